/* The one place where a transaction begins, is tried again, or ends. */
#include "engine/engine_inside.h"
#include "nested/nested.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/str.h"
#include "engine/append.h"
#include "engine/hook.h"
#include "engine/outbox.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PRISMA_TOO_MANY_NODES = 2041 };
enum { RACES = 50 };         /* lost ones, which are tried again: their winners have come through */
enum { RETRY_PAUSE_MS = 5 }; /* before the first retry; doubles; jittered by half */

struct compiler transaction_compiler(struct run *r) {
  const struct engine *engine = r->engine;
  const struct watch *w = r->call->watch;
  bool kept = r->call->key || r->call->frame || r->accepting;

  return (struct compiler){.mem = r->mem,
                           .config = engine->config,
                           .manifest = engine->manifest,
                           .caller = r->call->caller,
                           .shapes = engine->shapes,
                           .variants = engine->variants,
                           .mutation = r->mutation,
                           .traceparent = r->call->traceparent,
                           .keep = kept && !r->call->dry_run,
                           .guarding = r->guarding,
                           .reads = r->call->reads,
                           .numbers_as_text = r->call->numbers_as_text,
                           .states_apart = w && w->apart && !r->guarding,
                           .told = w ? w->mutation : "",
                           .listens = w ? w->mutation : ""};
}

bool transaction_begin(struct run *r, size_t datasource, enum isolation isolation, struct plan *plan) {
  const struct caller *caller = r->call->caller;
  const struct config *config = r->engine->config;

  *plan = (struct plan){.isolation = isolation,
                        .dry_run = r->call->dry_run,
                        .claims = caller_claims(r->mem, caller),
                        .caller_role = caller->role,
                        .caller_user = caller->user ? caller->user : "",
                        .request_id = r->call->request_id,
                        .lock_timeout_ms = config->lock_timeout_ms,
                        .shared_session = !config->datasources[datasource].prepared};
  return manifest_role(r->engine->manifest, caller->role, &plan->role) ||
         err_set(r->e, FORBIDDEN, "The role \"%s\" has no role in the database.", caller->role);
}

/* Errors that a changed table gives: what is named is not there, a value no longer fits the type it was described with. */
static bool smells_of_ddl(const struct err *e) {
  const char *s = e->sqlstate;
  return (str_starts(s, "42") && strcmp(s, "42501") != 0) || str_starts(s, "0A000") || str_starts(s, "3F000") ||
         str_starts(s, "22P02") || str_starts(s, "22003") || str_starts(s, "22007") || str_starts(s, "22008");
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
  unsigned member = f->failed_step < plan->n ? plan->steps[f->failed_step].member : MEMBER_NONE;
  return member != MEMBER_NONE ? r->set->nodes[member] : NULL;
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

static bool is_by_hook(const struct node *node, const char *argument) {
  const struct command *c = node->command;

  for (size_t i = 0; argument && i < c->nargs; i++)
    if (strcmp(c->args[i].name, argument) == 0) return node->args[i] && node->args[i]->by_hook;
  return false;
}

static void finish_error(struct run *r, const struct plan *plan, const struct flight *f) {
  const struct node *node = failed_node(r, plan, f);
  const char *argument = failed_argument(node, plan, f),
             *path = node ? nested_error_path(&plan->steps[f->failed_step], r->e) : NULL;

  own_argument_error(r, argument);
  if (f->failed_step < plan->n) nested_explain_error(&plan->steps[f->failed_step], r->e);
  else nested_explain_late(plan, r->e);
  if (node && node->command->model && r->e->code == ERR_TOO_MANY_ROWS) r->e->prisma_code = PRISMA_TOO_MANY_NODES;
  own_constraint_error(r);
  if (f->failed_step < plan->n && plan->steps[f->failed_step].purpose == outbox_purpose) outbox_explain(r->e);
  if (f->failed_step == r->set->events_step) append_explain(r->e);
  if (node && path) compile_place_at(r->mem, r->set, node, path, r->e);
  else if (node) compile_place(r->mem, r->set, node, argument, r->e);
  else if (!r->set->is_set) r->e->command = r->set->command->name;
  if (node && r->e->code == ERR_BAD_ARGUMENT && is_by_hook(node, argument)) hooks_blamed(r);
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

/* Where row-level security may hide the row in the way, a step that fails a second time will always. */
static bool lost_race(const struct run *r, const struct plan *plan, const struct flight *f) {
  if (nested_is_hidden(r->e) && r->hidden_at == f->failed_step + 1) return false;
  return f->failed_step < plan->n && nested_lost_race(&plan->steps[f->failed_step], r->e);
}

/* So often what has failed may be tried again. */
static unsigned most_retries(const struct run *r, const struct plan *plan, const struct flight *f) {
  if (f->was_lost) return 0;
  if (lost_race(r, plan, f)) return RACES;
  return f->raised_by_server ? (unsigned)r->engine->config->retries : 0;
}

/* After a failed flight: may the same be tried once more? */
static bool try_again(struct run *r, const struct plan *plan, const struct flight *f) {
  const struct node *node = failed_node(r, plan, f);

  if (r->retries < most_retries(r, plan, f) && pause_before_retry(r)) {
    r->retries++;
    if (nested_is_hidden(r->e)) r->hidden_at = f->failed_step + 1;
    if (r->engine->counters) r->engine->counters->retries++;
    return true;
  }
  if (!r->session_renewed && (str_starts(r->e->sqlstate, "26000") || str_starts(r->e->sqlstate, "42P05"))) {
    r->session_renewed = true; /* the connection is doomed: the next try has a new one */
    return true;
  }
  if (!r->looked_again && node && !f->was_lost && smells_of_ddl(r->e)) {
    r->looked_again = true;
    return shapes_look_again(r->engine, node->command, &r->wait);
  }
  return false;
}

bool frame_aim(struct run *r, size_t datasource) {
  struct frame *frame = r->call->frame;

  return !frame || !frame->aim || frame->aim(frame, r, datasource);
}

void frame_open(struct run *r, size_t datasource, struct plan *plan) {
  if (r->call->frame) r->call->frame->open(r->call->frame, r, datasource, plan);
}

void frame_close(struct run *r, size_t datasource, size_t first, size_t end, struct plan *plan) {
  if (r->call->frame) r->call->frame->close(r->call->frame, r, datasource, first, end, plan);
}

enum next frame_judge(struct run *r, const struct flight *f) {
  return r->call->frame ? r->call->frame->judge(r->call->frame, r, f) : NEXT_OTHER;
}

/* The order of locks is the same for all: the mutation, key, mutexes, rows. */
bool transaction_plan(struct run *r, struct compiler *k, size_t datasource, enum isolation isolation, size_t first,
                      size_t end, struct plan *plan, const struct command **fault) {
  *fault = NULL;
  if (!transaction_begin(r, datasource, isolation, plan)) return false;
  if (!source_ready(r->engine, datasource, &r->wait, r->e)) return false;
  if (r->guarding) return compile_entries(k, r->set, first, end, plan, fault, r->e);
  frame_open(r, datasource, plan);
  if (r->call->watch) r->call->watch->open(r->call->watch, r, plan);
  keyed_open(r, plan);
  if (!mutex_open(r, datasource, first, end, plan)) return false;
  if (!compile_entries(k, r->set, first, end, plan, fault, r->e)) return false;
  keyed_close(r, plan);
  if (r->call->watch && !r->call->watch->part) r->call->watch->close(r->call->watch, r, first, end, plan);
  frame_close(r, datasource, first, end, plan);
  /* A session that waits for the disk anyway need not be told. */
  plan->durable = plan->durable && !conn_is_durable(r->engine->sources[datasource].conn);
  return true;
}

static enum next judge(struct run *r, size_t datasource, const struct plan *plan, const struct flight *f) {
  enum next next = r->guarding ? NEXT_OTHER : frame_judge(r, f);

  if (next == NEXT_OTHER && !r->guarding) next = keyed_judge(r, datasource, plan, f);
  if (next == NEXT_OTHER && !r->guarding) next = mutex_judge(r, datasource, plan, f);
  if (next == NEXT_OTHER) next = try_again(r, plan, f) ? NEXT_AGAIN : NEXT_OTHER;
  return next;
}

/* With whoever keeps the state of the mutation listening to what is dispatched in it. */
static bool fly_plan(struct run *r, struct conn *c, const struct plan *plan, struct flight *f) {
  struct watch *w = r->call->watch;
  bool ok;

  if (!w) return flight_run(c, r->mem, plan, &r->wait, f, r->e);
  w->attempt = w->attempts_before + r->retries + 1;
  conn_listen(c, w->listener);
  ok = flight_run(c, r->mem, plan, &r->wait, f, r->e);
  conn_listen(c, NULL);
  return ok;
}

enum { PLACING_STEPS = 5000 }; /* of which none is in vain but the last */

/* Where in the input of a mutation it was, when one statement made many rows: the same is done once more, row by row, and
 * rolled back. What is said of it then is the error; false: nothing, and *r->e is as it was. */
static bool place_error(struct run *r, size_t datasource, enum isolation isolation, size_t first, size_t end,
                        const char *sqlstate) {
  struct compiler k = transaction_compiler(r);
  const struct command *fault;
  struct err *given = r->e, found;
  struct plan plan;
  struct flight f;
  int64_t started_us = clock_us();
  bool ok;

  err_init(&found, r->mem);
  r->e = &found;
  k.one_by_one = true;
  k.keep = k.states_apart = false;
  ok = transaction_begin(r, datasource, isolation, &plan) && source_ready(r->engine, datasource, &r->wait, &found);
  plan.dry_run = true;
  ok = ok && compile_entries(&k, r->set, first, end, &plan, &fault, &found) && plan.n <= PLACING_STEPS;
  ok = ok && !flight_run(r->engine->sources[datasource].conn, r->mem, &plan, &r->wait, &f, &found) && !f.was_lost &&
       strcmp(found.sqlstate, sqlstate) == 0;
  if (ok) finish_error(r, &plan, &f);
  r->report->postgres_us += clock_us() - started_us;
  r->report->flights++;
  r->e = given;
  if (ok) *given = found;
  return ok;
}

/* One try. NEXT_DONE: it is committed, or answered already. */
static enum next fly(struct run *r, size_t datasource, enum isolation isolation, size_t first, size_t end) {
  struct engine *engine = r->engine;
  struct compiler k = transaction_compiler(r);
  const struct command *fault;
  struct plan plan;
  struct flight f;
  int64_t started_us;
  enum next next;
  bool ok;

  err_init(r->e, r->mem);
  if (!r->guarding && !frame_aim(r, datasource)) return NEXT_REFUSED;
  if (!transaction_plan(r, &k, datasource, isolation, first, end, &plan, &fault)) {
    if (r->looked_again || !fault || !shapes_look_again(engine, fault, &r->wait)) return NEXT_REFUSED;
    r->looked_again = true;
    return NEXT_AGAIN;
  }
  started_us = clock_us();
  ok = fly_plan(r, engine->sources[datasource].conn, &plan, &f);
  r->report->postgres_us += clock_us() - started_us;
  r->report->flights++;
  if (ok) {
    result_keep(r, first, end, &f);
    if (r->set->outbox_step != SIZE_MAX) r->items = f.results[r->set->outbox_step];
    return NEXT_DONE;
  }
  next = judge(r, datasource, &plan, &f);
  if (next == NEXT_OTHER && f.failed_step < plan.n && nested_is_one_of_many(&plan.steps[f.failed_step], r->e) &&
      place_error(r, datasource, isolation, first, end, r->e->sqlstate))
    return NEXT_REFUSED;
  if (next == NEXT_OTHER) finish_error(r, &plan, &f);
  return next == NEXT_OTHER ? NEXT_REFUSED : next;
}

bool transaction_run(struct run *r, size_t datasource, enum isolation isolation, size_t first, size_t end) {
  enum next next;

  r->hidden_at = 0;
  r->keyed = (struct keyed){0};
  r->mutexes = (struct mutexes){.held_by = r->mutexes.held_by};
  do next = fly(r, datasource, isolation, first, end);
  while (next == NEXT_AGAIN);
  wait_end(r);
  r->report->retries = r->retries;
  if (next == NEXT_DONE && !r->report->replayed && r->set->events_step != SIZE_MAX) r->engine->appended = true;
  /* Of a lost COMMIT that came through nothing more is known than that. */
  if (next == NEXT_DONE && !r->report->replayed && r->set->outbox_step != SIZE_MAX)
    outbox_deliver(r, datasource, r->stored ? &(struct step_result){0} : &r->items);
  return next == NEXT_DONE;
}

bool transaction_guard(struct run *r, size_t index) {
  const struct entry *entry = &r->set->entries[index];
  bool guarded = false, ok;

  for (size_t i = entry->first_node; i < entry->end_node; i++) guarded = guarded || r->set->nodes[i]->phase == PHASE_BEFORE;
  if (!guarded) return true;
  r->guarding = true;
  ok = transaction_run(r, entry->command->datasource, ISOLATION_DEFAULT, index, index + 1);
  r->guarding = false;
  return ok;
}
