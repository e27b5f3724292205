/* What a command gives, and whether a field of some type can answer it. */
#ifndef WRIT_SCHEMA_RESULT_H
#define WRIT_SCHEMA_RESULT_H

#include "manifest/manifest.h"
#include "schema/schema.h"

enum result {
  RESULT_UNKNOWN, /* of a handler, or only PostgreSQL knows */
  RESULT_ROW,     /* an object */
  RESULT_MAYBE,   /* an object or null */
  RESULT_ROWS,
  RESULT_COUNT,
  RESULT_NONE, /* null */
  RESULT_TRUE,
};

/* returns: the command's own, or what RETURNS_DEFAULT has turned out to mean. */
enum result result_of(const struct command *c, enum returns returns);
const char *result_text(enum result result); /* "the command gives one row" */
/* What to write instead; NULL: it fits. */
const char *result_misfit(const struct gql_type *type, enum result result);
/* May the scalar hold any JSON? Json, and those that are not writ's. */
bool result_is_foreign(const struct gql_type *type);

#endif
