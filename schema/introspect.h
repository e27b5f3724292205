/* What GraphQL clients ask of the type system itself (October 2021, chapter 4). */
#ifndef WRIT_SCHEMA_INTROSPECT_H
#define WRIT_SCHEMA_INTROSPECT_H

#include "schema/schema.h"

struct str;

/* Appends the value of a field __schema or __type of the root. The field is of a valid document; below it there are only fields,
 * merged, without directives and variables: fragments are put in, and variables as literals. view NULL: all is seen. */
void introspect_put(struct str *out, const struct schema *s, const struct schema_view *view,
                    const struct graphql_selection *field);

/* All of it at once, as tools keep it in files: {"__schema": ...}. */
void introspect_all(struct str *out, const struct schema *s, const struct schema_view *view);

#endif
