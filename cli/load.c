/* What several subcommands begin with. */
#include "cli/cli.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/problems.h"
#include "base/str.h"
#include "commands/set.h"
#include "engine/engine.h"
#include "engine/idempotency.h"
#include "manifest/config.h"
#include "manifest/manifest.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool cli_load(void *mem, const struct options *o, struct config **config, struct manifest **manifest) {
  struct problems p;

  problems_init(&p, mem);
  *config = config_load(mem, o->config_file, &p);
  if (*config) (*config)->environment_optional = o->only_checks;
  *manifest = *config ? manifest_load(mem, *config, &p) : NULL;
  problems_print(&p);
  return *config && *manifest;
}

static const char *read_input(void *mem) {
  struct str *s = str_new(mem, 4096);
  char block[4096];
  ssize_t n;

  while ((n = read(STDIN_FILENO, block, sizeof block)) > 0) str_bytes(s, block, (size_t)n);
  return s->p;
}

static bool read_arguments(void *mem, const struct options *o, const struct config *config, const struct json **args,
                           struct err *e) {
  const char *text = o->arguments ? o->arguments : "{}";

  if (strcmp(text, "-") == 0) text = read_input(mem);
  return json_read(mem, text, strlen(text), (unsigned)config->max_depth, args, e);
}

static bool check_claims(void *mem, const struct options *o, const struct config *config, struct err *e) {
  const struct json *claims;

  if (!o->claims) return true;
  return (json_read(mem, o->claims, strlen(o->claims), (unsigned)config->max_depth, &claims, e) &&
          claims->kind == JSON_OBJECT) ||
         err_set(e, BAD_REQUEST, "--claims must be a JSON object.");
}

static bool read_key(void *mem, const struct options *o, const struct command *command, const struct json *args,
                     struct invocation *invocation, struct err *e) {
  const char *key;

  if (!o->key || o->dry_run) return true;
  key = idempotency_read(mem, o->key, e);
  if (key) invocation->key = idempotency_new(mem, invocation->caller, key, command, args);
  return key != NULL;
}

bool cli_prepare(void *mem, const struct options *o, struct call *call, struct err *e) {
  struct caller *caller = arena_new(mem, struct caller);
  const struct command *command;
  const struct json *args;
  struct config *config;
  struct manifest *manifest;
  char *id = arena_zero(mem, 37, "request id");

  if (!cli_load(mem, o, &config, &manifest)) return err_set(e, BAD_REQUEST, "The configuration has errors.");
  *caller = (struct caller){.role = o->role ? o->role : "anonymous", .user = o->user, .claims = o->claims, .inside = true};
  clock_uuid7(id);
  call->invocation = arena_new(mem, struct invocation);
  *call->invocation = (struct invocation){.caller = caller,
                                          .request_id = id,
                                          .dry_run = o->dry_run,
                                          .deadline_ms = clock_ms() + config->timeout_ms,
                                          .caller_fd = -1};
  call->engine = engine_new(mem, config, manifest, NULL);
  command = set_admit(manifest, o->name, caller, e);
  if (!command || !check_claims(mem, o, config, e) || !read_arguments(mem, o, config, &args, e)) return false;
  if (!read_key(mem, o, command, args, call->invocation, e)) return false;
  call->set = set_decode(mem, manifest, command, args, caller, e);
  return call->set != NULL;
}

int cli_fail(const struct err *e) {
  fprintf(stderr, "writ: %s: %s\n", err_name(e), e->message);
  if (e->path) fprintf(stderr, "  at %s\n", e->path);
  if (e->details) fprintf(stderr, "  detail: %s\n", e->details);
  if (e->hint) fprintf(stderr, "  hint: %s\n", e->hint);
  if (e->log_detail) fprintf(stderr, "  reason: %s\n", e->log_detail);
  if (e->committed > 0) fprintf(stderr, "  committed before it: %d\n", e->committed);
  return 1;
}
