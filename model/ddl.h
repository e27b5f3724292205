/* The tables of a data model as DDL, and into a database. docs/datamodel.md says what is made of what. */
#ifndef WRIT_MODEL_DDL_H
#define WRIT_MODEL_DDL_H

#include "base/err.h"
#include "model/model.h"

/* A script, statement by statement in an order that works in empty schemas. */
const char *model_ddl(const void *mem, const struct datamodel *d) __attribute__((returns_nonnull));

/* Runs it in one transaction. False: a schema that it writes to is not empty, or what PostgreSQL said; nothing was
 * changed. */
bool model_apply(const void *mem, const struct datamodel *d, const char *conninfo, struct err *e)
    __attribute__((warn_unused_result));

/* The schemas that the model's tables and enums stand in, NULL behind the last. */
const char *const *model_schemas(const void *mem, const struct datamodel *d);

#endif
