/* The engine: connections, shapes, and the one place where a transaction begins, is tried again, or ends. */
#include "commands/engine.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/problems.h"
#include "base/str.h"
#include "commands/compile.h"
#include "commands/config.h"
#include "commands/tree.h"
#include "db/conn.h"
#include "db/flight.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
  VERSION_WANTED = 1,    /* of schema writ: sql/install */
  LOOK_AGAIN_MS = 1000,  /* how often an error may make us ask PostgreSQL about a command again */
  RETRY_PAUSE_MS = 5,    /* before the first retry; doubles; jittered by half */
  READY_TIMEOUT_MS = 5000,
};

struct source {
  const struct datasource *datasource;
  struct conn *conn;
  bool described;
  void *mem; /* of the shapes that were described together */
};

struct engine {
  const struct config *config;
  const struct manifest *manifest;
  struct counters *counters;
  struct source *sources;  /* config->ndatasources */
  struct shape *shapes;    /* manifest->ncommands */
  void **shape_mem;        /* of those described alone since */
  struct variants *variants;
};

struct engine *engine_new(const void *mem, const struct config *config, const struct manifest *manifest,
                          struct counters *counters) {
  struct engine *engine = arena_new(mem, struct engine);

  *engine = (struct engine){.config = config, .manifest = manifest, .counters = counters};
  engine->sources = arena_array(engine, struct source, config->ndatasources);
  engine->shapes = arena_array(engine, struct shape, manifest->ncommands);
  engine->shape_mem = arena_array(engine, void *, manifest->ncommands);
  engine->variants = variants_new(engine);
  for (size_t i = 0; i < config->ndatasources; i++) {
    const struct datasource *d = &config->datasources[i];
    struct conn_options options = {.name = d->name, .conninfo = d->conninfo, .prepared = d->prepared,
                                   .statement_timeout_ms = config->timeout_ms, .lock_timeout_ms = config->lock_timeout_ms};

    engine->sources[i].datasource = d;
    engine->sources[i].conn = conn_new(engine, &options, counters);
  }
  return engine;
}

void engine_free(struct engine *engine) { talloc_free(engine); }
const struct config *engine_config(const struct engine *engine) { return engine->config; }
const struct manifest *engine_manifest(const struct engine *engine) { return engine->manifest; }

void engine_tidy(struct engine *engine) {
  for (size_t i = 0; i < engine->config->ndatasources; i++)
    conn_tidy(engine->sources[i].conn, (int64_t)engine->config->idle_connection_s * 1000);
}

/* Shapes: what PostgreSQL says of the commands. */

/* What PostgreSQL can be asked about. */
static bool has_statement(const struct command *c) {
  return c->kind == COMMAND_SQL || c->kind == COMMAND_CHECK || wrap_has_types(c);
}

static bool out_of_order(struct shape *shape, const char *why) {
  shape->d.ok = false;
  shape->d.error.message = why;
  shape->d.error.code = ERR_INTERNAL;
  return false;
}

/* Columns become names of JSON members. */
static bool columns_are_names(const void *mem, struct shape *shape) {
  const struct description *d = &shape->d;

  for (size_t i = 0; i < d->ncolumns; i++) {
    if (strcmp(d->columns[i], "?column?") == 0)
      return out_of_order(shape, arena_printf(mem, "column %zu has no name: write `expression as name`", i + 1));
    for (size_t j = 0; j < i; j++)
      if (strcmp(d->columns[i], d->columns[j]) == 0)
        return out_of_order(shape, arena_printf(mem, "two columns are named \"%s\": write `as` with another name", d->columns[i]));
  }
  return true;
}

static enum returns default_returns(const struct command *c, const struct shape *shape) {
  if (c->sql.verb == SQL_CALL) return RETURNS_NONE;
  return shape->d.ncolumns ? RETURNS_MANY : RETURNS_COUNT;
}

static bool finish_shape(const void *mem, const struct command *c, struct shape *shape) {
  shape->described_ms = clock_ms();
  shape->returns = c->returns;
  if (!shape->d.ok) return false;
  if (c->kind != COMMAND_SQL) return true;
  if (shape->returns == RETURNS_DEFAULT) shape->returns = default_returns(c, shape);
  if (shape->returns <= RETURNS_MANY && !shape->d.ncolumns)
    return out_of_order(shape, "`returns:` wants rows, but the statement gives none: add `returning ...`");
  return shape->returns > RETURNS_MANY || columns_are_names(mem, shape);
}

/* What PostgreSQL has against the command; it says $1 where the manifest says :name. */
static const char *reason_against(const struct command *c, const struct shape *shape) {
  static const char parameter[] = "parameter $";
  const struct err *e = &shape->d.error;
  const char *at = e->log_detail ? strstr(e->log_detail, parameter) : NULL;
  size_t n = at ? strtoul(at + strlen(parameter), NULL, 10) : 0;

  if (!e->log_detail) return e->message;
  if (n < 1 || n > c->sql.nnames) return e->log_detail;
  return arena_printf(e->mem, "%s, which is :%s; give its type in args:", e->log_detail, c->sql.names[n - 1]);
}

static void log_out_of_order(const struct engine *engine, const struct command *c, const struct shape *shape) {
  log_line(LOG_ERROR, "command_out_of_order", "command=%s manifest=%s:%d reason=%s", c->name, engine->manifest->file, c->line,
           log_quoted(shape->d.error.mem, reason_against(c, shape)));
}

/* All commands of a datasource in one go. */
static bool describe_all(struct engine *engine, size_t source_index, const struct wait *w, struct err *e) {
  struct source *source = &engine->sources[source_index];
  const struct manifest *m = engine->manifest;
  void *mem = talloc_new(engine);
  const char **sql = arena_array(mem, const char *, m->ncommands);
  size_t *ids = arena_array(mem, size_t, m->ncommands), n = 0;
  struct description *out;

  for (size_t i = 0; i < m->ncommands; i++)
    if (has_statement(m->commands[i]) && m->commands[i]->datasource == source_index) {
      ids[n] = i;
      sql[n++] = wrap_plain(mem, m->commands[i]);
    }
  out = arena_array(mem, struct description, n ? n : 1);
  if (!catalog_describe(source->conn, mem, sql, n, out, w, e)) {
    talloc_free(mem);
    return false;
  }
  for (size_t i = 0; i < n; i++) {
    struct shape *shape = &engine->shapes[ids[i]];
    shape->d = out[i];
    if (!finish_shape(mem, m->commands[ids[i]], shape)) log_out_of_order(engine, m->commands[ids[i]], shape);
  }
  source->mem = mem;
  source->described = true;
  return true;
}

static bool same_columns(const struct description *a, const struct description *b) {
  if (a->ncolumns != b->ncolumns) return false;
  for (size_t i = 0; i < a->ncolumns; i++)
    if (strcmp(a->columns[i], b->columns[i]) != 0) return false;
  return true;
}

static bool same_shape(const struct shape *a, const struct shape *b) {
  if (a->d.ok != b->d.ok || a->d.nparams != b->d.nparams || !same_columns(&a->d, &b->d)) return false;
  for (size_t i = 0; a->d.ok && i < a->d.nparams; i++)
    if (a->d.params[i]->oid != b->d.params[i]->oid || strcmp(a->d.params[i]->name, b->d.params[i]->name) != 0) return false;
  return true;
}

/* The tables may have changed under us (DDL): asks PostgreSQL about one command again, at most once a second, as an error
 * that a client can provoke must not become a load. True: it has changed, and what was prepared is forgotten. */
static bool look_again(struct engine *engine, const struct command *c, const struct wait *w) {
  struct shape *shape = &engine->shapes[c->id], now = {0};
  void *mem;
  const char *sql;
  struct err ignored;
  bool changed;

  if (!has_statement(c) || clock_ms() - shape->described_ms < LOOK_AGAIN_MS) return false;
  mem = talloc_new(engine);
  err_init(&ignored, mem);
  sql = wrap_plain(mem, c);
  if (!catalog_describe(engine->sources[c->datasource].conn, mem, &sql, 1, &now.d, w, &ignored)) {
    talloc_free(mem);
    return false;
  }
  if (!finish_shape(mem, c, &now) && shape->d.ok) log_out_of_order(engine, c, &now);
  changed = !same_shape(shape, &now);
  *shape = now;
  talloc_free(engine->shape_mem[c->id]);
  engine->shape_mem[c->id] = mem;
  if (changed) {
    variants_clear(engine->variants);
    log_line(LOG_INFO, "described_again", "command=%s", c->name);
  }
  return changed;
}

static bool check_version(struct source *source, const struct wait *w, struct err *e) {
  int version;

  if (!catalog_version(source->conn, &version, w, e)) return false;
  if (version >= VERSION_WANTED) return true;
  err_set(e, DATABASE_UNAVAILABLE, "The database is not prepared for writ; nothing was changed.");
  e->log_detail = arena_printf(e->mem, "datasource %s: schema writ %s: run `writ install`", source->datasource->name,
                               version ? "is of an older version" : "is missing");
  e->retry_after_s = 5;
  return false;
}

static bool source_ready(struct engine *engine, size_t index, const struct wait *w, struct err *e) {
  struct source *source = &engine->sources[index];
  bool fresh;

  if (!conn_open(source->conn, w, &fresh, e)) return false;
  if (source->described) return true;
  return check_version(source, w, e) && describe_all(engine, index, w, e);
}

bool engine_ready(struct engine *engine, struct err *e) {
  struct wait w = {.deadline_ms = clock_ms() + READY_TIMEOUT_MS, .caller_fd = -1};

  for (size_t i = 0; i < engine->config->ndatasources; i++)
    if (!source_ready(engine, i, &w, e)) return false;
  return true;
}

/* A run. */

struct run {
  struct engine *engine;
  void *mem;
  struct command_set *set;
  const struct invocation *call;
  struct report *report;
  struct err *e;
  struct wait wait;
  unsigned retries;
  bool looked_again, session_renewed;
  size_t references_left; /* bytes that references may still bring */
};

static const char *claims_of(void *mem, const struct caller *caller) {
  struct str *s;

  if (caller->claims) return caller->claims;
  s = str_new(mem, 96);
  str_add(s, "{\"role\":");
  str_json(s, caller->role);
  if (caller->user) {
    str_add(s, ",\"sub\":");
    str_json(s, caller->user);
  }
  str_char(s, '}');
  return s->p;
}

static bool begin_plan(struct run *r, size_t datasource, enum isolation isolation, struct plan *plan) {
  const struct caller *caller = r->call->caller;
  const struct config *config = r->engine->config;

  *plan = (struct plan){.isolation = isolation, .dry_run = r->call->dry_run, .claims = claims_of(r->mem, caller),
                        .caller_role = caller->role, .caller_user = caller->user ? caller->user : "",
                        .request_id = r->call->request_id, .lock_timeout_ms = config->lock_timeout_ms,
                        .shared_session = !config->datasources[datasource].prepared};
  return manifest_role(r->engine->manifest, caller->role, &plan->role) ||
         err_set(r->e, FORBIDDEN, "The role \"%s\" has no role in the database.", caller->role);
}

static bool starts(const char *text, const char *prefix) { return strncmp(text, prefix, strlen(prefix)) == 0; }

/* Errors that a changed table gives: what is named is not there, a value no longer fits the type it was described with. */
static bool smells_of_ddl(const struct err *e) {
  const char *s = e->sqlstate;
  return (starts(s, "42") && strcmp(s, "42501") != 0) || starts(s, "0A000") || starts(s, "3F000") || starts(s, "22P02") ||
         starts(s, "22003") || starts(s, "22007") || starts(s, "22008");
}

static void own_constraint_error(struct run *r) {
  const struct own_error *own = r->e->constraint ? manifest_constraint(r->engine->manifest, r->e->constraint) : NULL;

  if (!own) return;
  if (own->code) {
    r->e->code = ERR_OWN;
    r->e->own_code = own->code;
  }
  r->e->message = own->message;
  r->e->status = own->status;
}

static const struct node *failed_node(const struct run *r, const struct plan *plan, const struct flight *f) {
  return f->failed_step < plan->n ? r->set->nodes[plan->steps[f->failed_step].member] : NULL;
}

static const char *failed_argument(const struct node *node, const struct plan *plan, const struct flight *f) {
  unsigned n = f->failed_parameter;

  if (node && plan->steps[f->failed_step].argument) return plan->steps[f->failed_step].argument;
  return node && n && n <= node->command->sql.nnames ? node->command->sql.names[n - 1] : NULL;
}

/* A value that PostgreSQL could not read as its parameter is the caller's mistake, and has a name. */
static void own_argument_error(struct run *r, const char *argument) {
  if (r->e->code != ERR_DATA_ERROR || !argument) return;
  r->e->code = ERR_BAD_ARGUMENT;
  r->e->status = err_status(ERR_BAD_ARGUMENT);
}

static void finish_error(struct run *r, const struct plan *plan, const struct flight *f) {
  const struct node *node = failed_node(r, plan, f);
  const char *argument = failed_argument(node, plan, f);

  own_argument_error(r, argument);
  own_constraint_error(r);
  if (node) compile_place(r->mem, r->set, node, argument, r->e);
  else if (!r->set->is_set) r->e->command = r->set->command->name;
}

/* Between tries; half of the pause is chance, so that two in each other's way part. False: no time left. */
static bool pause_before_retry(struct run *r) {
  int64_t ms = (int64_t)RETRY_PAUSE_MS << (r->retries > 6 ? 6 : r->retries);
  struct timespec t;

  ms = ms / 2 + random() % (ms / 2 + 1);
  if (clock_ms() + ms >= r->wait.deadline_ms) return false;
  t = (struct timespec){.tv_nsec = (long)(ms * 1000000)};
  nanosleep(&t, NULL);
  return true;
}

/* After a failed flight: may the same be tried once more? */
static bool try_again(struct run *r, const struct plan *plan, const struct flight *f) {
  const struct node *node = failed_node(r, plan, f);

  if (f->raised_by_server && !f->was_lost && r->retries < (unsigned)r->engine->config->retries && pause_before_retry(r)) {
    r->retries++;
    if (r->engine->counters) r->engine->counters->retries++;
    return true;
  }
  if (!r->session_renewed && (starts(r->e->sqlstate, "26000") || starts(r->e->sqlstate, "42P05"))) {
    r->session_renewed = true; /* the connection is doomed: the next try has a new one */
    return true;
  }
  if (!r->looked_again && node && !f->was_lost && smells_of_ddl(r->e)) {
    r->looked_again = true;
    return look_again(r->engine, node->command, &r->wait);
  }
  return false;
}

static void keep_results(struct run *r, size_t first, size_t end, const struct flight *f) {
  for (size_t i = first; i < end; i++)
    for (size_t j = r->set->entries[i].first_node; j < r->set->entries[i].end_node; j++) {
      struct node *node = r->set->nodes[j];
      const struct step_result *result = &f->results[node->step];
      enum returns returns = r->engine->shapes[node->command->id].returns;

      node->text = result->text;
      node->len = result->len;
      if (node->command->kind == COMMAND_CHECK) continue;
      if (returns == RETURNS_OPTIONAL && result->text && strcmp(result->text, "null") == 0) continue;
      r->report->rows += returns == RETURNS_COUNT && result->text ? strtoull(result->text, NULL, 10) : result->rows;
    }
  for (size_t i = first; i < end; i++) {
    struct entry *entry = &r->set->entries[i];
    if (entry->result_step == SIZE_MAX) continue;
    entry->text = f->results[entry->result_step].text;
    entry->len = f->results[entry->result_step].len;
  }
}

/* Entries [first, end) as one transaction. */
static bool run_transaction(struct run *r, size_t datasource, enum isolation isolation, size_t first, size_t end) {
  struct engine *engine = r->engine;
  struct compiler k = {.mem = r->mem, .config = engine->config, .shapes = engine->shapes, .variants = engine->variants};

  for (;;) {
    struct plan plan;
    struct flight f;
    const struct command *fault = NULL;
    int64_t started_us;
    bool ok;

    err_init(r->e, r->mem);
    if (!begin_plan(r, datasource, isolation, &plan)) return false;
    if (!source_ready(engine, datasource, &r->wait, r->e)) return false;
    if (!compile_entries(&k, r->set, first, end, &plan, &fault, r->e)) {
      if (r->looked_again || !fault || !look_again(engine, fault, &r->wait)) return false;
      r->looked_again = true;
      continue;
    }
    started_us = clock_us();
    ok = flight_run(engine->sources[datasource].conn, r->mem, &plan, &r->wait, &f, r->e);
    r->report->postgres_us += clock_us() - started_us;
    r->report->flights++;
    if (ok) {
      keep_results(r, first, end, &f);
      return true;
    }
    if (try_again(r, &plan, &f)) continue;
    r->report->retries = r->retries;
    finish_error(r, &plan, &f);
    return false;
  }
}

/* execute_command_set: results of earlier transactions are literals to the later ones. */

enum { RESULT_DEPTH = 1000 };

static bool too_much(struct run *r) {
  return err_set(r->e, TOO_LARGE, "The references of the request bring more than %d bytes.", REFERENCE_BYTES);
}

static bool parse_result(struct run *r, struct node *node) {
  const char *text = node->text ? node->text : "null";
  size_t len = node->text ? node->len : 4;

  if (node->value) return true;
  if (len > r->references_left) return too_much(r);
  r->references_left -= len;
  return json_read(r->mem, text, len, RESULT_DEPTH, &node->value, r->e) ||
         err_set(r->e, BAD_REFERENCE, "The result of \"%s\" cannot be referred to. %s", node->command->name, r->e->message);
}

static bool resolve(struct run *r, struct expr *x, size_t first_node_of_entry) {
  const struct json *value;

  for (size_t i = 0; i < x->n; i++)
    if (!resolve(r, (struct expr *)&x->items[i], first_node_of_entry)) return false;
  if (x->kind != EXPR_RESULT) return true;
  for (size_t i = first_node_of_entry; i < r->set->nnodes; i++)
    if (r->set->nodes[i] == x->node) return true; /* of this transaction: read on the server */
  if (!parse_result(r, x->node)) return false;
  value = json_at(x->node->value, x->path, x->npath);
  if (!value)
    return err_set(r->e, BAD_REFERENCE, "The result of \"%s\" has no such value.", x->node->command->name);
  if (!json_spend(value, &r->references_left)) return too_much(r);
  *x = (struct expr){.kind = EXPR_LITERAL, .literal = value, .was_result = true, .argument = x->argument};
  return true;
}

static bool resolve_entry(struct run *r, size_t index) {
  struct entry *entry = &r->set->entries[index];

  for (size_t j = entry->first_node; j < entry->end_node; j++) {
    struct node *node = r->set->nodes[j];
    for (size_t a = 0; a < node->command->nargs; a++)
      if (node->args[a] && !resolve(r, (struct expr *)node->args[a], entry->first_node)) {
        compile_place(r->mem, r->set, node, node->command->args[a].name, r->e);
        return false;
      }
  }
  return resolve(r, (struct expr *)entry->result, entry->first_node);
}

static bool on_one_datasource(const struct command_set *set) {
  for (size_t i = 1; i < set->nentries; i++)
    if (set->entries[i].command->datasource != set->entries[0].command->datasource) return false;
  return true;
}

/* Nothing runs before all of the set has been judged: each entry is compiled once for its errors alone. */
static bool judge_each(struct run *r) {
  struct engine *engine = r->engine;
  struct compiler k = {.mem = r->mem, .config = engine->config, .shapes = engine->shapes, .variants = engine->variants};

  for (size_t i = 0; i < r->set->nentries; i++) {
    const struct command *c = r->set->entries[i].command, *fault = NULL;
    struct plan plan;

    do {
      err_init(r->e, r->mem);
      if (!begin_plan(r, c->datasource, c->isolation, &plan)) return false;
      if (!source_ready(engine, c->datasource, &r->wait, r->e)) return false;
      if (compile_entries(&k, r->set, i, i + 1, &plan, &fault, r->e)) break;
    } while (fault && look_again(engine, fault, &r->wait));
    if (r->e->code != ERR_NONE) return false;
  }
  return true;
}

static bool run_each(struct run *r) {
  if (r->set->nentries > 1 && !judge_each(r)) {
    r->e->committed = 0;
    return false;
  }
  for (size_t i = 0; i < r->set->nentries; i++) {
    const struct command *c = r->set->entries[i].command;

    r->looked_again = r->session_renewed = false;
    r->retries = 0;
    if (!resolve_entry(r, i) || !run_transaction(r, c->datasource, c->isolation, i, i + 1)) {
      r->e->index = (int)i;
      if (!r->e->command) r->e->command = c->name;
      r->e->committed = (int)i;
      return false;
    }
  }
  return true;
}

/* Answers: what PostgreSQL rendered is spliced, not parsed. */

static void put_result(struct str *out, const struct entry *entry) {
  const struct expr *x = entry->result;

  if (entry->result_step != SIZE_MAX) str_bytes(out, entry->text ? entry->text : "null", entry->text ? entry->len : 4);
  else if (x->kind == EXPR_LITERAL) json_write(out, x->literal);
  else if (x->node->text) str_bytes(out, x->node->text, x->node->len);
  else str_add(out, "null");
}

static void put_answer(struct str *out, const struct command_set *set) {
  if (!set->is_set) {
    str_add(out, "{\"result\":");
    put_result(out, &set->entries[0]);
    str_char(out, '}');
    return;
  }
  str_add(out, "{\"results\":[");
  for (size_t i = 0; i < set->nentries; i++) {
    const struct entry *entry = &set->entries[i];

    str_add(out, i ? ",{\"command\":" : "{\"command\":");
    str_json(out, entry->command->name);
    if (entry->as) {
      str_add(out, ",\"as\":");
      str_json(out, entry->as);
    }
    str_add(out, ",\"result\":");
    put_result(out, entry);
    str_char(out, '}');
  }
  str_add(out, "]}");
}

bool engine_run(struct engine *engine, void *mem, struct command_set *set, const struct invocation *call,
                struct str *answer, struct report *report, struct err *e) {
  struct run r = {.engine = engine, .mem = mem, .set = set, .call = call, .report = report, .e = e,
                  .wait = {.deadline_ms = call->deadline_ms, .caller_fd = call->caller_fd},
                  .references_left = REFERENCE_BYTES};
  /* A dry run of an execute set is one transaction where it can be, so that later commands see what earlier ones did. */
  bool together = !set->each_alone || (call->dry_run && on_one_datasource(set));
  bool ok;

  *report = (struct report){0};
  if (!set->nentries) {
    put_answer(answer, set);
    return true;
  }
  ok = together ? run_transaction(&r, set->entries[0].command->datasource, set->isolation, 0, set->nentries) : run_each(&r);
  report->retries = r.retries;
  if (ok) put_answer(answer, set);
  else if (set->each_alone && e->committed < 0) e->committed = 0; /* a dry run as one transaction */
  return ok;
}

/* For people. */

static void explain_step(struct str *out, size_t number, const char *sql, const char *const *params, unsigned n,
                         const char *purpose) {
  str_printf(out, "%3zu  -- %s\n     ", number, purpose);
  for (; *sql; sql++) {
    str_char(out, *sql);
    if (*sql == '\n') str_add(out, "     ");
  }
  str_char(out, '\n');
  for (unsigned i = 0; i < n; i++) {
    str_printf(out, "       $%u = ", i + 1);
    if (params[i]) str_sql_literal(out, params[i]);
    else str_add(out, "null");
    str_char(out, '\n');
  }
}

static void explain_plan(struct str *out, const struct plan *plan, const char *datasource) {
  const char *settings[7] = {plan->claims, plan->caller_role, plan->caller_user, plan->request_id};
  unsigned nsettings = 4;
  size_t number = 1;

  str_printf(out, "transaction on datasource %s: %zu statements, 1 round trip\n", datasource, plan->n + 3 + plan->dry_run);
  explain_step(out, number++, plan_begin_sql(plan), NULL, 0, "begin");
  if (plan->shared_session) settings[nsettings++] = "(milliseconds left)";
  if (plan->shared_session && plan->lock_timeout_ms) settings[nsettings++] = arena_printf(out, "%d", plan->lock_timeout_ms);
  if (plan->role) settings[nsettings++] = plan->role;
  explain_step(out, number++, plan_settings_sql(plan), settings, nsettings, "who calls");
  for (size_t i = 0; i < plan->n; i++)
    explain_step(out, number++, plan->steps[i].statement.sql, plan->steps[i].params, plan->steps[i].nparams,
                 plan->steps[i].purpose);
  if (plan->dry_run) explain_step(out, number++, "set constraints all immediate", NULL, 0, "dry run");
  str_add(out, "     Sync\n");
  explain_step(out, number, plan->dry_run ? "rollback" : "commit", NULL, 0, "end");
  str_add(out, "     Sync\n");
}

bool engine_explain(struct engine *engine, void *mem, struct command_set *set, const struct invocation *call,
                    struct str *text, struct err *e) {
  struct report report = {0};
  struct run r = {.engine = engine, .mem = mem, .set = set, .call = call, .report = &report, .e = e,
                  .wait = {.deadline_ms = call->deadline_ms, .caller_fd = -1}};
  struct compiler k = {.mem = mem, .config = engine->config, .shapes = engine->shapes, .variants = engine->variants};
  size_t step = set->each_alone ? 1 : set->nentries;

  for (size_t i = 0; i < set->nentries; i += step) {
    const struct command *c = set->entries[i].command, *fault;
    struct plan plan;

    if (!begin_plan(&r, c->datasource, set->each_alone ? c->isolation : set->isolation, &plan)) return false;
    if (!source_ready(engine, c->datasource, &r.wait, e)) return false;
    if (!compile_entries(&k, set, i, i + step, &plan, &fault, e)) return false;
    explain_plan(text, &plan, engine->sources[c->datasource].datasource->name);
  }
  return true;
}

/* writ check. */

static void check_roles(struct engine *engine, const struct command *c, struct problems *p, void *mem) {
  const struct shape *shape = &engine->shapes[c->id];
  unsigned char *modes = arena_array(mem, unsigned char, c->sql.nnames + 1);
  const char **params = arena_array(mem, const char *, c->sql.nnames + 1);
  struct wait w = {.deadline_ms = clock_ms() + READY_TIMEOUT_MS, .caller_fd = -1};
  size_t nroles = engine->manifest->nroles ? c->nallow : 1;

  if (c->kind == COMMAND_COMPOSITE || c->sql.verb == SQL_CALL) return; /* EXPLAIN does not take CALL */
  for (size_t i = 0; i < nroles; i++) {
    struct str *sql = str_new(mem, 1024);
    struct err e;
    struct flight f;
    struct step step = {.params = params, .nparams = (unsigned)c->sql.nnames, .gives = GIVES_NOTHING};
    struct plan plan = {.dry_run = true, .claims = "{}", .caller_role = "anonymous", .caller_user = "", .request_id = "check",
                        .steps = &step, .n = 1};
    bool fresh;

    err_init(&e, mem);
    if (engine->manifest->nroles) manifest_role(engine->manifest, c->allow[i], &plan.role);
    /* EXPLAIN plans and checks privileges, and runs nothing; but planning computes what is constant, and the user is '' and
     * the arguments are null here: a value that does not fit (class 22) says nothing against the command. */
    str_printf(sql, "explain %s", wrap_command(mem, c, shape, engine->config, modes, false));
    step.statement = variants_add(engine->variants, mem, sql->p, sql->len, arena_strdup(mem, sql->p));
    if (!conn_open(engine->sources[c->datasource].conn, &w, &fresh, &e) ||
        (!flight_run(engine->sources[c->datasource].conn, mem, &plan, &w, &f, &e) && !starts(e.sqlstate, "22")))
      problems_add(p, engine->manifest->file, c->line, "%s, as database role %s: %s", c->name,
                   plan.role ? plan.role : "of the login", e.log_detail ? e.log_detail : e.message);
  }
}

void engine_check(struct engine *engine, struct problems *p) {
  const struct manifest *m = engine->manifest;
  void *mem = talloc_new(engine);
  struct err e;

  err_init(&e, mem);
  log_set_level((enum log_level)0); /* what is out of order is told below, with its place */
  if (!engine_ready(engine, &e)) {
    problems_add(p, engine->config->file, 0, "%s", e.log_detail ? e.log_detail : e.message);
    talloc_free(mem);
    return;
  }
  for (size_t i = 0; i < m->ncommands; i++) {
    const struct command *c = m->commands[i];
    const struct shape *shape = &engine->shapes[i];

    if (!has_statement(c)) continue;
    if (shape->d.ok) check_roles(engine, c, p, mem);
    else
      problems_add(p, m->file, c->line, "%s: %s", c->name, reason_against(c, shape));
  }
  log_set_level(engine->config->log_level);
  talloc_free(mem);
}
