/* writ check: everything that is wrong, before users find it. */
#include "cli/cli.h"

#include "base/problems.h"
#include "engine/engine.h"
#include "engine/module.h"
#include "events/check.h"
#include "manifest/config.h"
#include "manifest/manifest.h"

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

  for (size_t i = 0; i < m->ncommands; i++) n += m->commands[i]->kind != COMMAND_PERMISSION && m->commands[i]->kind != COMMAND_VERSION;
  return n;
}

static void check_database(struct engine *engine, struct problems *p) {
  engine_check(engine, p);
  events_check(engine, p);
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
  try_modules(config, manifest, &p);
  if (!o->offline) check_database(engine_new(mem, config, manifest, NULL), &p);
  problems_print(&p);
  if (p.errors) return 1;
  printf("%s: %zu commands, no errors%s\n", manifest->file, count_commands(manifest), o->offline ? " (database not asked)" : "");
  return 0;
}
