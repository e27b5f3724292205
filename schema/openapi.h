/* The commands that a caller may call, as an OpenAPI 3.1 document: made of the manifest, of the types of a data model, and of what
 * PostgreSQL says of statements. docs/openapi.md. */
#ifndef WRIT_SCHEMA_OPENAPI_H
#define WRIT_SCHEMA_OPENAPI_H

#include "schema/fit.h"

struct str;

/* For whom, and of what. All borrowed. */
struct openapi {
  const struct manifest *manifest;
  const struct schema *schema; /* of GraphQL; NULL: there is none */
  const char *role;
  bool inside;        /* all commands, whatever the role */
  const char *prefix; /* where nginx has put writ: "/api"; "" or NULL: at the root */
  bool streams;       /* are there streams of server-sent events? */
  fit_ask *ask;       /* what PostgreSQL said of a command, a composite's and a handler's arguments included */
  void *data;         /* ask's own */
};

/* Appends the document, as compact JSON. The same for the same manifest, database and role, byte for byte. */
void openapi_write(struct str *out, const void *mem, const struct openapi *of);

#endif
