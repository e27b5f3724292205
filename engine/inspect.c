/* What PostgreSQL has against the commands of a manifest: writ check. */
#include "engine/engine_inside.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/problems.h"
#include "base/str.h"
#include "db/catalog.h"
#include "manifest/config.h"
#include "model/check.h"

#include <string.h>

enum { TIMEOUT_MS = 5000 };

static struct plan plan_of(struct step *step) {
  struct plan plan = plan_own("check", step, 1);

  plan.dry_run = true;
  plan.caller_role = "anonymous";
  return plan;
}

static void check_roles(struct engine *engine, const struct command *c, struct problems *p, void *mem) {
  const struct shape *shape = &engine->shapes[c->id];
  unsigned char *modes = arena_array(mem, unsigned char, c->sql.nnames + 1);
  const char **params = arena_array(mem, const char *, c->sql.nnames + 1);
  struct wait w = {.deadline_ms = clock_ms() + TIMEOUT_MS, .caller_fd = -1};
  size_t nroles = engine->manifest->nroles ? c->nallow : 1;

  if (c->kind == COMMAND_COMPOSITE || c->kind == COMMAND_HANDLER || c->sql.verb == SQL_CALL)
    return; /* EXPLAIN does not take CALL */
  for (size_t i = 0; i < nroles; i++) {
    struct str *sql = str_new(mem, 1024);
    struct err e;
    struct flight f;
    struct step step = {.params = params, .nparams = (unsigned)c->sql.nnames, .gives = GIVES_NOTHING};
    struct plan plan = plan_of(&step);
    bool fresh;

    err_init(&e, mem);
    if (engine->manifest->nroles && !c->permission.as_login) manifest_role(engine->manifest, c->allow[i], &plan.role);
    /* EXPLAIN plans and checks privileges, and runs nothing; but planning computes what is constant, and the user is '' and
     * the arguments are null here: a value that does not fit (class 22) says nothing against the command. */
    str_printf(sql, "explain %s", wrap_command(mem, c, shape, engine->config, modes, false));
    step.statement = variants_add(engine->variants, mem, sql->p, sql->len, sql->p);
    if (!conn_open(engine->sources[c->datasource].conn, &w, &fresh, &e) ||
        (!flight_run(engine->sources[c->datasource].conn, mem, &plan, &w, &f, &e) && !str_starts(e.sqlstate, "22")))
      problems_add(p, c->file, c->line, "%s, as database role %s: %s", c->name, plan.role ? plan.role : "of the login",
                   e.log_detail ? e.log_detail : e.message);
  }
}

/* What a model's command needs of the table of its own model; of others only those that the input names. Rights on some
 * columns may be enough. */
static const char *const model_rights[][4] = {
    [OPERATION_CREATE] = {"SELECT", "INSERT"},
    [OPERATION_UPDATE] = {"SELECT", "UPDATE"},
    [OPERATION_UPSERT] = {"SELECT", "INSERT", "UPDATE"},
    [OPERATION_DELETE] = {"SELECT", "UPDATE", "DELETE"},
    [OPERATION_UPDATE_MANY] = {"SELECT", "UPDATE"},
    [OPERATION_DELETE_MANY] = {"SELECT", "UPDATE", "DELETE"},
    [OPERATION_ONE] = {"SELECT"},
    [OPERATION_MANY] = {"SELECT"},
    [OPERATION_CONNECTION] = {"SELECT"},
};

/* The first right that a role has not got, as "may not UPDATE ..."; $1 the table, $2 the rights. */
static const char rights_sql[] =
    "select case when not has_schema_privilege(c.relnamespace, 'usage') then 'may not USE the schema of ' || $1::text else "
    "(select 'may not ' || r || ' ' || $1::text from unnest($2::text[]) with ordinality as u(r, o) where not case when r = 'DELETE' "
    "then has_table_privilege(c.oid, r) else has_any_column_privilege(c.oid, r) end order by o limit 1) end "
    "from pg_catalog.pg_class c where c.oid = pg_catalog.to_regclass($1::text)";

static const char *rights_list(const void *mem, enum operation o) {
  struct str *s = str_new(mem, 64);

  for (size_t i = 0; i < sizeof *model_rights / sizeof **model_rights && model_rights[o][i]; i++)
    str_printf(s, "%s%s", i ? "," : "{", model_rights[o][i]);
  str_char(s, '}');
  return s->p;
}

/* What a role has not got, or NULL, is what the statement gives: asked as each role that may call the command. tell: an error,
 * or a warning. */
static void ask_roles(struct engine *engine, const struct command *c, const char *sql, const char *const *params,
                      unsigned nparams, __typeof__(problems_add) *tell, struct problems *p, void *mem) {
  struct wait w = {.deadline_ms = clock_ms() + TIMEOUT_MS, .caller_fd = -1};
  size_t nroles = engine->manifest->nroles ? c->nallow : c->nallow > 0;

  for (size_t i = 0; i < nroles; i++) {
    struct step step = {.statement = variants_text(engine->variants, mem, sql),
                        .params = params,
                        .nparams = nparams,
                        .gives = GIVES_TEXT,
                        .member = MEMBER_NONE};
    struct plan plan = plan_of(&step);
    struct flight f;
    struct err e;
    bool fresh, ok;

    err_init(&e, mem);
    if (engine->manifest->nroles) manifest_role(engine->manifest, c->allow[i], &plan.role);
    ok = conn_open(engine->sources[c->datasource].conn, &w, &fresh, &e) &&
         flight_run(engine->sources[c->datasource].conn, mem, &plan, &w, &f, &e);
    if (ok && !f.results[0].text) continue;
    tell(p, engine->manifest->file, c->line, "%s, as database role %s: %s", c->name, plan.role ? plan.role : "of the login",
         ok             ? f.results[0].text
         : e.log_detail ? e.log_detail
                        : e.message);
  }
}

/* nextval(...) of a key takes a right of its own. */
static void check_sequence(struct engine *engine, const struct command *c, const struct field *f, struct problems *p,
                           void *mem) {
  static const char draw[] = "nextval(";
  const char *sequence;

  if (!f->next_sql || !str_starts(f->next_sql, draw)) return;
  sequence = arena_strndup(mem, f->next_sql + strlen(draw), strlen(f->next_sql) - strlen(draw) - 1);
  ask_roles(engine, c,
            arena_printf(
                mem,
                "select 'may not USE the sequence ' || s || ', from which keys are drawn' from (select %s::text as s) as s "
                "where not has_sequence_privilege(pg_catalog.to_regclass(s), 'usage, update')",
                sequence),
            NULL, 0, problems_add, p, mem);
}

/* Links of its nodes that stand in a table of their own. */
static void check_link_table(struct engine *engine, const struct command *c, const struct field *f, struct problems *p,
                             void *mem) {
  const char *params[] = {f->relation->table_sql,
                          c->operation == OPERATION_CREATE ? "{SELECT,INSERT}" : "{SELECT,INSERT,DELETE}"};
  ask_roles(engine, c, rights_sql, params, 2, problems_warn, p, mem);
}

/* As check_roles, for a command of a model, whose statements depend on the request. A table that is not there is told by
 * check_model. */
static void check_model_roles(struct engine *engine, const struct command *c, struct problems *p, void *mem) {
  const char *params[] = {c->model->table_sql, rights_list(mem, c->operation)};
  bool creates = c->operation == OPERATION_CREATE || c->operation == OPERATION_UPSERT;

  ask_roles(engine, c, rights_sql, params, 2, problems_add, p, mem);
  for (size_t i = 0; i < c->model->nfields; i++) {
    const struct field *f = &c->model->fields[i];

    if (creates && !f->relation) check_sequence(engine, c, f, p, mem);
    if ((creates || c->operation == OPERATION_UPDATE) && f->relation && f->relation->storage == LINK_TABLE)
      check_link_table(engine, c, f, p, mem);
  }
}

/* The login role's rights on writ's own tables. What needs them is refused at run time, and all else works: a warning,
 * unless the manifest itself asks for it. */
static void check_tables(struct engine *engine, size_t datasource, struct problems *p, void *mem) {
  static const char sql[] =
      "select current_user || ' may not use ' || string_agg('writ.' || c.relname, ', ' order by c.relname)"
      " from pg_catalog.pg_class c where c.relnamespace = 'writ'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition"
      " and not (has_table_privilege(c.oid, 'select') and has_table_privilege(c.oid, 'insert')"
      " and has_table_privilege(c.oid, 'update') and has_table_privilege(c.oid, 'delete'))";
  struct wait w = {.deadline_ms = clock_ms() + TIMEOUT_MS, .caller_fd = -1};
  struct step step = {.statement = variants_text(engine->variants, mem, sql), .gives = GIVES_TEXT, .member = MEMBER_NONE};
  struct plan plan = plan_of(&step);
  struct flight f;
  struct err e;
  bool needed = false;

  err_init(&e, mem);
  if (!flight_run(engine->sources[datasource].conn, mem, &plan, &w, &f, &e) || !f.results[0].text) return;
  for (size_t i = 0; i < engine->manifest->ncommands; i++) {
    const struct command *c = engine->manifest->commands[i];
    needed |= c->datasource == datasource && (c->needs_key || c->nevents);
  }
  (needed ? problems_add : problems_warn)(p, engine->config->file, engine->config->datasources[datasource].line,
                                          "datasource %s: %s: run `writ install`, with --grant for that role",
                                          engine->config->datasources[datasource].name, f.results[0].text);
}

/* What is wrong with a function of state:, as PostgreSQL sees it; NULL: nothing. */
static const char *state_fault(struct engine *engine, size_t datasource, const char *function, const char *types,
                               void *mem) {
  static const char sql[] =
      "select case when p.oid is null then 'there is no function ' || f.shown"
      " when p.prorettype <> 'jsonb'::regtype or p.proretset then f.shown || ' gives ' || format_type(p.prorettype, null) || ', not jsonb'"
      " when p.provolatile = 'v' then f.shown || ' is VOLATILE; it is only to work out members of the state: declare it STABLE or IMMUTABLE'"
      " when not has_function_privilege(p.oid, 'execute') then current_user || ' may not execute ' || f.shown end"
      " from (select replace($1::text, '\"', '') || '(' || $2::text || ')' as shown) f"
      " left join pg_catalog.pg_proc p on p.oid = to_regprocedure($1::text || '(' || $2::text || ')')";
  struct wait w = {.deadline_ms = clock_ms() + TIMEOUT_MS, .caller_fd = -1};
  const char *params[] = {function, types};
  struct err e;
  char *fault;

  err_init(&e, mem);
  if (catalog_value(engine->sources[datasource].conn, mem, sql, 2, params, &fault, &w, &e)) return fault;
  return e.log_detail ? e.log_detail : e.message;
}

static void check_state_function(struct engine *engine, const char *where, const char *function, const char *types, int line,
                                 struct problems *p, void *mem) {
  const struct manifest *m = engine->manifest;

  for (size_t i = 0; function && i < engine->config->ndatasources; i++) {
    bool used = i == 0; /* a state is where the mutation's first command is */
    const char *fault;

    for (size_t c = 0; c < m->ncommands; c++) used = used || m->commands[c]->datasource == i;
    fault = used ? state_fault(engine, i, function, types, mem) : NULL;
    if (fault)
      problems_add(p, m->file, line, "state: %s: %s, on datasource %s", where, fault, engine->config->datasources[i].name);
  }
}

static void check_state(struct engine *engine, struct problems *p, void *mem) {
  const struct state_rules *state = &engine->manifest->state;

  check_state_function(engine, "initial: function", state->initial_function, "uuid", state->line, p, mem);
  check_state_function(engine, "catch_all", state->catch_all, "jsonb, jsonb", state->line, p, mem);
  for (size_t i = 0; i < state->nevents; i++)
    check_state_function(engine, arena_printf(mem, "reducers: %s", state->events[i].name), state->events[i].reducer,
                         "jsonb, jsonb", state->events[i].line, p, mem);
}

static void check_model(struct engine *engine, struct problems *p, void *mem) {
  const struct manifest *m = engine->manifest;
  struct conn *conn = engine->sources[m->model_datasource].conn;
  struct wait w = {.deadline_ms = clock_ms() + TIMEOUT_MS, .caller_fd = -1};
  const struct db_tables *tables;
  struct err e;
  bool fresh;

  err_init(&e, mem);
  if (!conn_open(conn, &w, &fresh, &e) || !model_tables(conn, mem, m->model, &tables, &w, &e))
    problems_add(p, m->model->file, 0, "%s", e.log_detail ? e.log_detail : e.message);
  else model_check(m->model, tables, p);
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
  for (size_t i = 0; i < engine->config->ndatasources; i++) check_tables(engine, i, p, mem);
  for (size_t i = 0; i < m->ncommands; i++) {
    const struct command *c = m->commands[i];
    const struct shape *shape = &engine->shapes[i];

    if (c->model) check_model_roles(engine, c, p, mem);
    if (!shapes_apply(c)) continue;
    if (shape->unlocked && shape->d.ok)
      problems_warn(p, c->file, c->line,
                    "%s: PostgreSQL takes it without a row lock only, so what it looks at can change before the writes; "
                    "make it one plain SELECT or EXISTS, take a mutex:, or write lock: none",
                    c->name);
    if (shape->d.ok) check_roles(engine, c, p, mem);
    else problems_add(p, c->file, c->line, "%s: %s", c->name, shapes_reason(c, shape));
  }
  check_state(engine, p, mem);
  if (m->model) check_model(engine, p, mem);
  log_set_level(engine->config->log_level);
  talloc_free(mem);
}

bool engine_described(const struct engine *engine, const struct command *c, const struct description **d,
                      enum returns *returns) {
  const struct shape *shape = &engine->shapes[c->id];

  if (c->kind == COMMAND_PERMISSION || c->kind == COMMAND_VERSION || !shape->d.ok) return false;
  *d = &shape->d;
  *returns = shape->returns;
  return true;
}
