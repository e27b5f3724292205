/* Functions, tables, grants and names of projections; what events take out of results. */
#include "events/check.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/problems.h"
#include "base/str.h"
#include "db/catalog.h"
#include "engine/engine_inside.h"
#include "events/duty.h"
#include "events/log.h"

#include <string.h>

enum { TIMEOUT_MS = 5000 };

struct check {
  struct engine *engine;
  const struct manifest *manifest;
  struct problems *problems;
  void *mem;
  struct wait wait;
};

static void wrong(const struct check *c, const struct projection *p, const struct err *e) {
  problems_add(c->problems, c->manifest->file, p->line, "projections.%s, as database role %s: %s", p->name,
               p->role ? p->role : "of the login", e->log_detail ? e->log_detail : e->message);
}

/* EXPLAIN plans and checks rights, and runs nothing. */
static void check_call(const struct check *c, const struct projection *p, const char *function, const char *argument) {
  struct conn *conn = c->engine->sources[p->datasource].conn;
  struct str *sql = str_new(c->mem, 128);
  struct step step = {.gives = GIVES_NOTHING, .member = MEMBER_NONE};
  struct plan plan = {.dry_run = true,
                      .claims = "{}",
                      .caller_role = "",
                      .caller_user = "",
                      .request_id = "check",
                      .role = p->role,
                      .steps = &step,
                      .n = 1};
  struct flight f;
  struct err e;
  bool fresh;

  err_init(&e, c->mem);
  str_printf(sql, "explain select %s(%s)", function, argument);
  step.statement = variants_text(c->engine->variants, c->mem, sql->p);
  if (!conn_open(conn, &c->wait, &fresh, &e) || !flight_run(conn, c->mem, &plan, &c->wait, &f, &e)) wrong(c, p, &e);
}

static void check_table(const struct check *c, const struct projection *p, const char *table) {
  static const char sql[] =
      "select case when to_regclass($1) is null then 'there is no table ' || $1 when not "
      "has_table_privilege(coalesce($2, current_user), to_regclass($1), 'truncate') then 'it may not truncate ' || $1 end";
  const char *params[] = {table, p->role};
  struct conn *conn = c->engine->sources[p->datasource].conn;
  struct err e;
  char *text = NULL;
  bool fresh;

  err_init(&e, c->mem);
  if (conn_open(conn, &c->wait, &fresh, &e) && catalog_value(conn, c->mem, sql, 2, params, &text, &c->wait, &e) && !text)
    return;
  if (text) e.message = text;
  wrong(c, p, &e);
}

static bool is_appended(const struct manifest *m, const struct projection *p, const char *name) {
  for (size_t i = 0; i < m->ncommands; i++)
    for (size_t e = 0; m->commands[i]->datasource == p->datasource && e < m->commands[i]->nevents; e++)
      if (strcmp(m->commands[i]->events[e].name, name) == 0) return true;
  return false;
}

/* Events of a name that no command appends any more may still be in the log. */
static void check_names(const struct check *c, const struct projection *p) {
  for (size_t i = 0; i < p->nevents; i++)
    if (!is_appended(c->manifest, p, p->events[i]))
      problems_warn(c->problems, c->manifest->file, p->line, "projections.%s: no command appends events named %s", p->name,
                    p->events[i]);
}

static void check_projection(const struct check *c, const struct projection *p) {
  check_names(c, p);
  check_call(c, p, p->function, "current_setting('writ.s2', true)::jsonb");
  if (p->reset) check_call(c, p, p->reset, "");
  for (size_t i = 0; i < p->ntruncate; i++) check_table(c, p, p->truncate[i]);
}

/* ---- what events are made of ---- */

static bool has_column(const struct description *d, const char *name) {
  for (size_t i = 0; i < d->ncolumns; i++)
    if (strcmp(d->columns[i], name) == 0) return true;
  return false;
}

/* A column that is not there would be null in every event. */
static void check_template(const struct check *c, const struct command *command, const struct domain_event *event,
                           const struct template *t) {
  const struct shape *shape = &c->engine->shapes[command->id];
  bool one_row = command->returns == RETURNS_ONE || command->returns == RETURNS_OPTIONAL;

  for (size_t i = 0; i < t->n; i++) check_template(c, command, event, &t->items[i]);
  if (t->kind != TEMPLATE_RESULT || t->member != 0 || !t->npath) return;
  if (command->kind == COMMAND_SQL && one_row && shape->d.ok && !has_column(&shape->d, t->path[0]))
    problems_add(c->problems, c->manifest->file, t->line, "%s: events: %s: the result has no column %s", command->name,
                 event->name, t->path[0]);
}

static void check_events(const struct check *c, const struct command *command) {
  for (size_t i = 0; i < command->nevents; i++) {
    const struct domain_event *event = &command->events[i];
    if (event->payload) check_template(c, command, event, event->payload);
    if (event->key) check_template(c, command, event, event->key);
  }
}

/* False: the tables of the log are missing there, or the database does not answer, which has been told. */
static bool check_version(const struct check *c, size_t datasource) {
  const struct datasource *d = &c->engine->config->datasources[datasource];
  struct err e;
  int version = 0;
  bool fresh;

  err_init(&e, c->mem);
  if (!conn_open(c->engine->sources[datasource].conn, &c->wait, &fresh, &e) ||
      !catalog_version(c->engine->sources[datasource].conn, &version, &c->wait, &e))
    return false;
  if (version < EVENTS_VERSION)
    problems_add(c->problems, c->engine->config->file, d->line,
                 "datasource %s: schema writ is of version %d, which has no event log: run "
                 "`writ install`",
                 d->name, version);
  return version >= EVENTS_VERSION;
}

void events_check(struct engine *engine, struct problems *p) {
  const struct manifest *m = engine->manifest;
  struct check c = {.engine = engine,
                    .manifest = m,
                    .problems = p,
                    .mem = talloc_new(engine),
                    .wait = {.deadline_ms = clock_ms() + TIMEOUT_MS, .caller_fd = -1}};

  for (size_t d = 0; d < engine->config->ndatasources; d++) {
    if (!duty_has_log(m, d) || !check_version(&c, d)) continue;
    for (size_t i = 0; i < m->nprojections; i++)
      if (m->projections[i].datasource == d) check_projection(&c, &m->projections[i]);
  }
  for (size_t i = 0; i < m->ncommands; i++) check_events(&c, m->commands[i]);
  talloc_free(c.mem);
}
