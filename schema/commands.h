/* The root fields of a schema file, which are commands of the same name, held against these. */
#ifndef WRIT_SCHEMA_COMMANDS_H
#define WRIT_SCHEMA_COMMANDS_H

#include "schema/schema.h"

struct problems;

/* What can be known without a database: each field has its command, the arguments are the same, the result is a list or may be
 * null where the command's is. */
void commands_check(const struct schema *s, struct problems *p);

#endif
