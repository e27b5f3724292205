/* Values of scalars and enums: which JSON and which literals each takes (GraphQL specification, sections 3.5 and 3.9; the
 * scalars of data models: docs/documents.md), and the JSON that a command is given. Digits stay as they were written. */
#ifndef WRIT_DOCUMENTS_SCALAR_H
#define WRIT_DOCUMENTS_SCALAR_H

#include "base/json.h"
#include "schema/schema.h"

/* type: SCALAR or ENUM. Gives NULL and *out, or what is wrong: a sentence. */
const char *scalar_of_json(void *mem, const struct gql_type *type, const struct json *value, const struct json **out);

/* Not a variable, not null. A list or an object is taken by scalars that are not known here alone, and then *out is NULL:
 * literal_untyped makes it, which knows what variables in it mean. */
const char *scalar_of_literal(void *mem, const struct gql_type *type, const struct graphql_value *value,
                              const struct json **out);

/* Are its values not looked at? */
bool scalar_is_foreign(const struct gql_type *type);

/* JSON of a literal that is neither list nor object nor variable, as it stands there. NULL: a text with a NUL. */
const struct json *scalar_untyped(void *mem, const struct graphql_value *value);

struct json *json_new_text(void *mem, enum json_kind kind, const char *text);

#endif
