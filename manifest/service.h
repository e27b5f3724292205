/* A program outside that a manifest names: the other end of a hook, of a handler, of a webhook. */
#ifndef WRIT_MANIFEST_SERVICE_H
#define WRIT_MANIFEST_SERVICE_H

#include "services/http.h"
#include "services/signature.h"

struct json;
struct manifest_reader;
struct yaml;

enum { SERVICE_TIMEOUT_MS = 5000, SERVICE_ANSWER_BYTES = 1024 * 1024 };

struct service {
  struct http_endpoint endpoint;
  int timeout_ms;               /* for one try */
  const struct secret *secrets; /* sign with these, the newest first; n 0: unsigned */
  size_t nsecrets;
  const struct json *config; /* handed over as "config"; NULL: none */
};

/* Keys that every service has; a reader of more keys passes over these. NULL behind the last. */
extern const char *const service_keys[];

/* A URL alone, or a mapping with url:, timeout_ms:, secrets:, config: and what else its reader knows (left alone here).
 * Values "$env.NAME" are taken from the environment of the process that reads. Problems go to the reader's; false: there
 * were some. */
bool service_read(struct manifest_reader *r, const char *where, const struct yaml *value, struct service *out);
/* A tree of a manifest's values in which "$env.NAME" is the environment's NAME, and "$$..." a literal dollar. NULL: a
 * problem. */
const struct json *service_config(struct manifest_reader *r, const char *where, const struct yaml *value);

#endif
