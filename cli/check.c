/* writ check: everything that is wrong, before users find it. */
#include "cli/cli.h"

#include "base/problems.h"
#include "engine/engine.h"
#include "engine/module.h"
#include "events/check.h"
#include "manifest/config.h"
#include "manifest/manifest.h"
#include "schema/fit.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

static int print_keys(void) {
  for (const char *const *key = config_keys(); *key; key++) puts(*key);
  return 0;
}

/* As who the workers would be, when this is root; root loads none. */
static void try_modules(const struct config *config, const struct manifest *manifest, struct problems *p) {
  const struct passwd *pw = geteuid() == 0 && config->user ? getpwnam(config->user) : NULL;
  const struct group *gr = pw && config->group ? getgrnam(config->group) : NULL;

  modules_try(manifest, pw ? config->user : NULL, pw ? pw->pw_uid : 0, gr ? gr->gr_gid : pw ? pw->pw_gid : 0, p);
}

/* Permissions are no commands to people. */
static size_t count_commands(const struct manifest *m) {
  size_t n = 0;

  for (size_t i = 0; i < m->ncommands; i++)
    n += m->commands[i]->kind != COMMAND_PERMISSION && m->commands[i]->kind != COMMAND_VERSION;
  return n;
}

/* Of an engine that has been asked about all of them. */
static bool tell_shape(void *engine, const struct command *c, const struct description **d, enum returns *returns) {
  return engine_described(engine, c, d, returns);
}

static void check_all(void *mem, const struct config *config, const struct manifest *manifest, bool offline,
                      struct problems *p) {
  const struct schema *schema = schema_make(mem, manifest, p);
  struct engine *engine;

  try_modules(config, manifest, p);
  if (offline) return;
  engine = engine_new(mem, config, manifest, NULL);
  engine_check(engine, p);
  events_check(engine, p);
  if (schema) schema_fit(schema, tell_shape, engine, p);
}

int cli_check(void *mem, const struct options *o) {
  struct options checking = *o;
  struct problems p;
  struct config *config;
  struct manifest *manifest;

  if (o->keys) return print_keys();
  checking.only_checks = true;
  if (!cli_load(mem, &checking, &config, &manifest)) return 1;
  if (o->print) {
    config_print(stdout, config);
    return 0;
  }
  problems_init(&p, mem);
  check_all(mem, config, manifest, o->offline, &p);
  problems_print(&p);
  if (p.errors) return 1;
  printf("%s: %zu commands, no errors%s\n", manifest->file, count_commands(manifest),
         o->offline ? " (database not asked)" : "");
  return 0;
}
