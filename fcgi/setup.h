/* What writd runs with: its configuration, the manifest, and the user of the workers. Read as a whole or not at all. */
#ifndef WRIT_FCGI_SETUP_H
#define WRIT_FCGI_SETUP_H

#include <stdbool.h>
#include <sys/types.h>

struct config;
struct manifest;
struct problems;
struct schema;

struct setup {
  struct config *config;
  struct manifest *manifest;
  const struct schema *schema; /* of GraphQL; NULL: the manifest has none */
  const char *user;            /* workers become that user; NULL: they stay what they are */
  uid_t uid;
  gid_t gid;
};

/* NULL when *p got errors. Everything belongs to the setup: talloc_free. */
struct setup *setup_load(const void *mem, const char *config_file, struct problems *p);

/* Loads the manifest's modules in a child, as the user of the workers. False: *p got errors. Order: in a process that may wait,
 * at start and in the checker of a reload; not in the supervisor. */
bool setup_try_modules(const struct setup *s, struct problems *p);

#endif
