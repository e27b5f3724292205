/* SDL into a data model. The language: docs/datamodel.md. */
#ifndef WRIT_MODEL_READ_H
#define WRIT_MODEL_READ_H

#include "model/model.h"

struct graphql_document;
struct problems;

/* Reads the file. schema: of types that name none, in place of what the file says; NULL: as it says, or public. NULL when *p
 * got errors; all of them are reported at once, each with its line and the way out. */
const struct datamodel *model_load(const void *mem, const char *file, const char *schema, struct problems *p);
/* The same from text; file: for messages. */
const struct datamodel *model_read(const void *mem, const char *file, const char *text, size_t len, const char *schema,
                                   struct problems *p);

/* The definitions of a schema file that has no data model. NULL: told. */
const struct graphql_document *model_document(const void *mem, const char *file, struct problems *p);

#endif
