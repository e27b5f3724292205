/* The tool `writ`: one subcommand a file. */
#ifndef WRIT_CLI_CLI_H
#define WRIT_CLI_CLI_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct command_set;
struct config;
struct engine;
struct invocation;
struct json;
struct manifest;
struct str;

/* What the command line said. Strings are argv's. */
enum { SCHEMAS_MAX = 32 };
struct options {
  const char *config_file;
  const char *conninfo, *datasource;    /* install, schema */
  const char *schemas[SCHEMAS_MAX + 1]; /* schema; NULL behind the last */
  size_t nschemas;
  const char *grant;               /* install: the login role; NULL: as the datasource says */
  const char *role;                /* run, explain, schema print, openapi; NULL: not given */
  const char *user, *claims, *key; /* run, explain */
  bool dry_run, offline, print, keys;
  bool only_checks;                   /* set by check: secrets of who runs writd may be missing here */
  unsigned given;                     /* which of these were, for main.c */
  bool dead, json;                    /* jobs; json: events, projection, schema print, state too */
  bool follow;                        /* events, state */
  int64_t after, snapshot;            /* events; projection: -1 is none */
  const char *event_name, *event_key; /* events; NULL: all */
  const char *all_dead;               /* jobs: of this hook; NULL: by id */
  const char *const *operands;        /* jobs: what to do, and ids */
  int noperands;
  const char *name, *arguments; /* run, explain: the command, its arguments as JSON; "-": standard input. schema: what
                                           * to do, the file */
};

/* Exit codes: 0 done, 1 refused or wrong, 2 the command line. */
int cli_check(void *mem, const struct options *o);
int cli_install(void *mem, const struct options *o);
int cli_run(void *mem, const struct options *o);
int cli_explain(void *mem, const struct options *o);
int cli_jobs(void *mem, const struct options *o);
int cli_events(void *mem, const struct options *o);
int cli_openapi(void *mem, const struct options *o);
int cli_projection(void *mem, const struct options *o);
int cli_schema(void *mem, const struct options *o);
int cli_state(void *mem, const struct options *o);   /* and 3 error, 4 cancelled, 5 not ended */
int cli_persist(void *mem, const struct options *o); /* schema persist */

/* Loads configuration and manifest; problems go to stderr. False: there were errors. */
bool cli_load(void *mem, const struct options *o, struct config **config, struct manifest **manifest);
/* Everything that run and explain need: an engine, and the set that name and arguments stand for. */
struct call {
  struct engine *engine;
  struct command_set *set;
  struct invocation *invocation;
};
bool cli_prepare(void *mem, const struct options *o, struct call *call, struct err *e);
/* Ahead of what changes schema writ: one at a time, as two that install at once would trip over each other. */
#define CLI_INSTALL_LOCK "select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('writ install'))"
/* Lets a role use writ's own tables, as writd's login role has to; nothing is done where it can already. Without must, a role that
 * is not there is no error: *granted is NULL then, and else the role. */
bool cli_grant(void *mem, const char *conninfo, const char *role, bool must, const char **granted, struct err *e);
/* ---- text.c: names, keys, payloads and answers are anybody's: what a terminal would obey is shown as a question mark ---- */

void cli_put_plain(struct str *out, const char *text);
void cli_put_json(struct str *out, const struct json *value);
/* A member of a row that is a string or a number, on one line; of any other a dash. */
const char *cli_text(const void *mem, const struct json *row, const char *key);

/* One error, to stderr; gives 1. */
int cli_fail(const struct err *e);

#endif
