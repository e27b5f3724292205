/* The root fields of a schema file held against what PostgreSQL says of their commands: writ check. */
#ifndef WRIT_SCHEMA_FIT_H
#define WRIT_SCHEMA_FIT_H

#include "manifest/manifest.h"
#include "schema/schema.h"

struct description;
struct problems;

/* What is known of a command; false: nothing. */
typedef bool fit_ask(void *data, const struct command *c, const struct description **d, enum returns *returns);

/* Arguments whose values cannot be given to the command's parameters, results that its columns cannot answer. */
void schema_fit(const struct schema *s, fit_ask *ask, void *data, struct problems *p);

#endif
