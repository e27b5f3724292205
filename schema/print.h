/* A type system as text in SDL, which schema_read and other tools read back to the same. */
#ifndef WRIT_SCHEMA_PRINT_H
#define WRIT_SCHEMA_PRINT_H

#include "schema/schema.h"

struct str;

/* What view sees; NULL: all. Without what the specification itself defines. Types in their order; one empty line between. */
void schema_print(struct str *out, const struct schema *s, const struct schema_view *view);

#endif
