/* writ install: brings schema writ of a database to this program's version. Run again, it does nothing. */
#include "cli/cli.h"

#include "base/arena.h"
#include "cli/install_sql.h"
#include "db/catalog.h"
#include "manifest/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_UPGRADES = sizeof install_sql / sizeof *install_sql - 1 /* the last row is the end */ };

/* Whoever owns the schema can put other functions into it, which then run with the rights of those who call them: ours,
 * at once, as soon as we ask for the version. */
static bool check_owner(void *mem, const char *conninfo, struct err *e) {
  static const char sql[] =
      "select pg_catalog.pg_get_userbyid(n.nspowner) from pg_catalog.pg_namespace n"
      " join pg_catalog.pg_roles r on r.oid = n.nspowner join pg_catalog.pg_database d on d.datname = pg_catalog.current_database()"
      " where n.nspname = 'writ' and r.rolname <> current_user and not r.rolsuper and n.nspowner <> d.datdba";
  char *owner;

  if (!catalog_ask(conninfo, mem, sql, &owner, e)) return false;
  return !owner || err_set(e, FORBIDDEN,
                           "There is a schema writ, but it belongs to \"%s\", who is neither you, nor the owner of the "
                           "database, nor a superuser. Drop it, or give it to yourself.",
                           owner);
}

static bool version_of(void *mem, const char *conninfo, int *version, struct err *e) {
  char *there, *text = NULL;

  *version = 0;
  if (!catalog_ask(conninfo, mem, "select to_regprocedure('writ.version()')", &there, e)) return false;
  if (there && !catalog_ask(conninfo, mem, "select writ.version()", &text, e)) return false;
  if (text) *version = atoi(text);
  return true;
}

/* One transaction, one at a time: two that install at once do not meet half way. */
static bool upgrade(void *mem, const char *conninfo, int from, struct err *e) {
  const char **scripts = arena_array(mem, const char *, N_UPGRADES + 1);
  size_t n = 0;

  scripts[n++] = CLI_INSTALL_LOCK;
  for (size_t i = 0; i < N_UPGRADES; i++)
    if (install_sql[i].version > from) scripts[n++] = install_sql[i].text;
  return catalog_run_script(conninfo, scripts, n, e);
}

/* The role that writd logs in as needs writ's tables: the one that was named, else the one that the datasource names. */
static bool grant(void *mem, const struct options *o, const struct datasource *d, const char *conninfo, struct err *e) {
  const char *role = o->grant ? o->grant : conn_user(mem, d->conninfo), *granted = NULL;

  if (role && !cli_grant(mem, conninfo, role, o->grant != NULL, &granted, e)) return false;
  if (!granted) printf("%s: who logs in is not known here: let it use writ's tables with --grant ROLE\n", d->name);
  return true;
}

static int install_into(void *mem, const struct options *o, const struct datasource *d) {
  const char *name = d->name, *conninfo = o->conninfo ? o->conninfo : d->conninfo;
  int newest = install_sql[N_UPGRADES - 1].version, before, after;
  struct err e, second;

  err_init(&e, mem);
  err_init(&second, mem);
  if (!check_owner(mem, conninfo, &e) || !version_of(mem, conninfo, &before, &e)) return cli_fail(&e);
  if (before >= newest) printf("%s: schema writ is at version %d, nothing to do\n", name, before);
  else if (!upgrade(mem, conninfo, before, &e) && (!version_of(mem, conninfo, &after, &second) || after < newest))
    return cli_fail(&e);
  else printf("%s: schema writ is at version %d now\n", name, newest);
  return grant(mem, o, d, conninfo, &e) ? 0 : cli_fail(&e);
}

int cli_install(void *mem, const struct options *o) {
  struct config *config;
  struct manifest *manifest;
  int code = 0, done = 0;

  if (!cli_load(mem, o, &config, &manifest)) return 1;
  for (size_t i = 0; i < config->ndatasources && code == 0; i++) {
    const struct datasource *d = &config->datasources[i];
    bool meant = o->datasource ? strcmp(d->name, o->datasource) == 0 : !o->conninfo || i == 0;

    if (!meant) continue;
    done++;
    code = install_into(mem, o, d);
  }
  if (done) return code;
  fprintf(stderr, "writ: there is no datasource %s in %s\n", o->datasource, o->config_file);
  return 2;
}
