/* What engine_run would send, for people. */
#include "engine/engine_inside.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/str.h"

#include <string.h>

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

/* The settings' parameters, as far as they are known before it is sent. */
static unsigned settings_of(const void *mem, const struct plan *plan, const char *params[PLAN_SETTINGS]) {
  unsigned n = 0;

  params[n++] = plan->claims;
  params[n++] = plan->caller_role;
  params[n++] = plan->caller_user;
  params[n++] = plan->request_id;
  if (plan->shared_session) params[n++] = "(milliseconds left)";
  if (plan->shared_session && plan->lock_timeout_ms) params[n++] = arena_printf(mem, "%d", plan->lock_timeout_ms);
  if (plan->role && !(plan->n && plan->steps[0].as_login)) params[n++] = plan->role;
  return n;
}

static size_t role_changes(const struct plan *plan) {
  size_t n = 0;

  for (size_t i = 0; i <= plan->n; i++) n += plan_role_change(plan, i) != NULL;
  return n;
}

static void explain_role(struct str *out, size_t *number, const struct plan *plan, size_t i) {
  const char *role = plan_role_change(plan, i);
  bool login = i < plan->n && plan->steps[i].as_login;

  if (role) explain_step(out, (*number)++, plan_role_sql(), &role, 1, login ? "as the login role" : "as the caller's role");
}

static void explain_plan(struct str *out, const struct plan *plan, const char *datasource) {
  const char *settings[PLAN_SETTINGS];
  unsigned nsettings = settings_of(out, plan, settings);
  const char *begin = plan_begin_sql(plan);
  size_t number = 1;

  str_printf(out, "transaction on datasource %s: %zu statements, 1 round trip\n", datasource,
             plan->n + 1 + (begin ? 2 : 0) + plan->dry_run + plan->durable + role_changes(plan));
  if (begin) explain_step(out, number++, begin, NULL, 0, "begin");
  explain_step(out, number++, plan_settings_sql(plan), settings, nsettings, "who calls");
  if (plan->durable) explain_step(out, number++, plan_durable_sql(), NULL, 0, "wait for the disk");
  for (size_t i = 0; i < plan->n; i++) {
    const struct step *step = &plan->steps[i];

    explain_role(out, &number, plan, i);
    explain_step(out, number++, step->statement.sql, step->params, step->nparams, step->purpose);
  }
  explain_role(out, &number, plan, plan->n);
  if (plan->dry_run) explain_step(out, number++, "set constraints all immediate", NULL, 0, "dry run");
  str_add(out, begin ? "     Sync\n" : "     Flush (on a unix socket)\n     Sync, which commits\n");
  if (!begin) return;
  explain_step(out, number, plan->dry_run ? "rollback" : "commit", NULL, 0, "end");
  str_add(out, "     Sync\n");
}

/* ---- services ---- */

static void explain_service(struct str *out, const char *what, const char *name, const struct service *s) {
  str_printf(out, "     %s %s: POST ", what, name);
  if (s->endpoint.unix_socket) str_printf(out, "%s of unix:%s", s->endpoint.url, s->endpoint.unix_socket);
  else str_add(out, s->endpoint.url);
  str_printf(out, ", at most %d ms%s", s->timeout_ms, s->nsecrets ? ", signed" : "");
}

/* Of a dry run none is asked or told. */
static void explain_hooks(const struct run *r, struct str *out, size_t first, size_t end, bool before) {
  const char *heading = before ? "ahead of it, asked all at once:\n" : "after it:\n";

  for (size_t i = 0; !r->call->dry_run && i < r->set->nuses; i++) {
    const struct use *use = &r->set->uses[i];
    const struct command *c = use->command;

    if (use->entry < first || use->entry >= end || (use->nested && !before)) continue;
    for (size_t h = 0; h < (before ? c->nbefore_hooks : c->nafter_hooks); h++) {
      const struct hook *hook = before ? &c->before_hooks[h] : &c->after_hooks[h];
      str_add(out, heading);
      heading = "";
      explain_service(out, "hook", hook->name, &hook->service);
      str_add(out, hook->changes ? ", may change arguments\n" : "\n");
    }
  }
}

static void explain_program(struct str *out, const struct command *c) {
  str_add(out, "no transaction of its own\n");
  if (c->http) {
    explain_service(out, "handler", c->name, c->http);
    str_char(out, '\n');
  } else {
    str_printf(out, "     module %s: function %s of %s\n", c->name, c->module->function, c->module->file);
  }
  for (size_t i = 0; i < c->nmutexes; i++) str_printf(out, "     mutex %s, held for the whole call\n", c->mutexes[i].name);
}

static bool explain_transaction(struct run *r, size_t first, size_t end, struct str *text) {
  const struct command *c = r->set->entries[first].command, *fault;
  enum isolation isolation = r->set->each_alone ? c->isolation : r->set->isolation;
  struct compiler k = transaction_compiler(r);
  struct plan plan;

  if (!transaction_plan(r, &k, c->datasource, isolation, first, end, &plan, &fault)) return false;
  explain_plan(text, &plan, r->engine->sources[c->datasource].datasource->name);
  return true;
}

/* Its permissions are a transaction ahead of it. */
static bool explain_handler(struct run *r, size_t index, struct str *text) {
  const struct command *c = r->set->entries[index].command;
  bool ok;

  if (c->nbefore) {
    str_add(text, "its permissions, ahead of it:\n");
    r->guarding = true;
    ok = explain_transaction(r, index, index + 1, text);
    r->guarding = false;
    if (!ok) return false;
  }
  explain_program(text, c);
  if (r->call->key) str_add(text, "     Idempotency-Key: looked up ahead of it, kept with the answer behind it\n");
  return true;
}

static bool explain_entries(struct run *r, size_t first, size_t end, struct str *text) {
  bool handler = r->set->entries[first].command->kind == COMMAND_HANDLER;

  explain_hooks(r, text, first, end, true);
  if (!(handler ? explain_handler(r, first, text) : explain_transaction(r, first, end, text))) return false;
  explain_hooks(r, text, first, end, false);
  return true;
}

bool engine_explain(struct engine *engine, void *mem, struct command_set *set, const struct invocation *call,
                    struct str *text, struct err *e) {
  struct report report = {0};
  struct run r = {.engine = engine,
                  .mem = mem,
                  .set = set,
                  .call = call,
                  .report = &report,
                  .e = e,
                  .mutation = "00000000-0000-0000-0000-000000000000", /* of each call another */
                  .wait = {.deadline_ms = call->deadline_ms, .caller_fd = -1}};
  size_t step = set->each_alone ? 1 : set->nentries;

  for (size_t i = 0; i < set->nentries; i += step)
    if (!explain_entries(&r, i, i + step, text)) return false;
  return true;
}
