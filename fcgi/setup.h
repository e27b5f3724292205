/* What writd runs with: its configuration, the manifest, and the user of the workers. Read as a whole or not at all. */
#ifndef WRIT_FCGI_SETUP_H
#define WRIT_FCGI_SETUP_H

#include <sys/types.h>

struct config;
struct manifest;
struct problems;

struct setup {
  struct config *config;
  struct manifest *manifest;
  const char *user; /* workers become that user; NULL: they stay what they are */
  uid_t uid;
  gid_t gid;
};

/* NULL when *p got errors. Everything belongs to the setup: talloc_free. */
struct setup *setup_load(const void *mem, const char *config_file, struct problems *p);

#endif
