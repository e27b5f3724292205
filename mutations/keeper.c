/* Round trips of a mutation with a state, beside those of its transactions: one ahead, in which the state is made and its first
 * step begun, and one behind, with the end. That a step is done is told in its own transaction (state_put_mark), so that the state
 * is right about it whatever becomes of this process. Where events were dispatched, the end goes behind them, on their connection. */
#include "mutations/keeper.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/str.h"
#include "engine/engine_inside.h"
#include "engine/idempotency.h"
#include "mutations/events.h"
#include "mutations/mutation_inside.h"

#include <string.h>

enum {
  LEASE_MORE_MS = 15000, /* beyond the deadline: a cancel request, the end, a slow machine */
  END_MS = 2000,         /* how long the end may take to be told */
  PART_MS = 500,         /* the same of events of a handler's call */
};

struct keeper {
  struct watch watch; /* the first member */
  struct engine *engine;
  void *mem;
  const char *mutation, *caller;
  struct events *events;
  const struct state_step *steps;
  size_t nsteps;
  const struct command_set *set;
  bool there;         /* the state is made */
  size_t step;        /* the one that was begun */
  bool begun, marked; /* is one? its end is told in its transaction */
};

static struct keeper *keeper_of(struct watch *w) { return (struct keeper *)w; }

/* ---- events of writ's own ---- */

static const char *step_payload(struct keeper *k, size_t step, const struct err *e, const char *request_id) {
  struct str *out = str_new(k->mem, 128);

  str_add(out, "{\"step\":");
  str_json(out, k->steps[step].id);
  if (e) {
    str_add(out, ",\"error\":");
    err_put(out, e, request_id);
  }
  str_char(out, '}');
  return out->p;
}

/* Some events as a transaction of their own, on the mutation's connection; what comes of it is not the mutation's business. */
static void run_aside(struct keeper *k, struct run *r, struct plan *plan) {
  struct err kept = *r->e;
  struct wait wait = r->wait;
  struct flight f;

  r->wait = (struct wait){.deadline_ms = clock_ms() + END_MS, .caller_fd = -1};
  if (aside_run(r, k->watch.datasource, plan->steps, plan->n, true, &f)) engine_tell(k->engine, k->mutation);
  r->wait = wait;
  *r->e = kept;
}

/* name NULL: none. */
static void tell(struct keeper *k, struct run *r, const char *first, const char *first_payload, const char *second,
                 const char *second_payload) {
  struct compiler c = transaction_compiler(r);
  struct plan plan = {0};
  unsigned attempt = k->watch.attempt;

  if (events_used(k->events)) {
    /* Room first: what is left of the application's events goes ahead. */
    (void)events_finish(k->events, END_MS);
    if (first) events_tell(k->events, attempt, first, first_payload);
    if (second) events_tell(k->events, attempt, second, second_payload);
    if (events_finish(k->events, END_MS)) return;
  }
  if (first) state_put_event(&c, &plan, k->mutation, attempt, first, first_payload);
  if (second) state_put_event(&c, &plan, k->mutation, attempt, second, second_payload);
  run_aside(k, r, &plan);
}

/* ---- the beginning ---- */

static bool explain(struct run *r) {
  const char *s = r->e->sqlstate;
  bool found = false;

  if (strcmp(s, "23505") == 0) {
    /* The same request once more, with a key: it gets its answer. */
    if (r->call->key && (!idempotency_find(r, r->set->entries[0].datasource, &found) || found)) return false;
    err_set(r->e, MUTATION_EXISTS, "There is a mutation with this Mutation-Id already.");
  } else if (strcmp(s, "42501") == 0 || strcmp(s, "42P01") == 0 || strcmp(s, "42883") == 0 || strcmp(s, "3F000") == 0) {
    const char *why = r->e->log_detail ? r->e->log_detail : r->e->message;

    err_set(r->e, DATABASE_UNAVAILABLE, "The database is not prepared for states of mutations; nothing was changed.");
    r->e->log_detail = arena_printf(r->mem, "%s: run `writ install`, with --grant", why);
    r->e->retry_after_s = 5;
  }
  return false;
}

static bool make_state(struct keeper *k, struct run *r, size_t step) {
  struct compiler c = transaction_compiler(r);
  struct plan plan = {0};
  struct flight f;
  int64_t left_ms = r->wait.deadline_ms - clock_ms();

  state_put_new(&c, &plan, k->mutation, k->caller, k->steps, k->nsteps, left_ms + LEASE_MORE_MS);
  state_put_event(&c, &plan, k->mutation, 1, "TRANSACTION_CREATED", step_payload(k, step, NULL, NULL));
  if (!aside_run(r, k->watch.datasource, plan.steps, plan.n, true, &f)) return explain(r);
  err_init(r->e, r->mem);
  k->there = true;
  engine_tell(k->engine, k->mutation);
  return true;
}

static bool begin(struct watch *w, struct run *r, size_t first, size_t end) {
  struct keeper *k = keeper_of(w);
  size_t step = k->nsteps == 1 ? 0 : first;

  (void)end;
  if (!k->there) {
    if (!make_state(k, r, step)) return false;
  } else {
    bool told = k->marked;
    tell(k, r, told ? NULL : "TRANSACTION_COMPLETED", told ? NULL : step_payload(k, k->step, NULL, NULL), "TRANSACTION_CREATED",
         step_payload(k, step, NULL, NULL));
  }
  k->step = step;
  k->begun = true;
  k->marked = false;
  return true;
}

/* ---- around a transaction ---- */

static void open_plan(struct watch *w, struct run *r, struct plan *plan) {
  static const char sql[] = "select pg_catalog.set_config('writ.mutation', $1, true), pg_catalog.set_config('client_min_messages', 'notice', true)";
  struct compiler c = transaction_compiler(r);
  const char **params = arena_array(r->mem, const char *, 1);

  params[0] = keeper_of(w)->mutation;
  compile_step(&c, plan, (struct step){.statement = variants_text(c.variants, r->mem, sql), .params = params, .nparams = 1,
                                       .gives = GIVES_NOTHING, .member = MEMBER_NONE, .purpose = "events have listeners"});
}

static void close_plan(struct watch *w, struct run *r, size_t first, size_t end, struct plan *plan) {
  struct keeper *k = keeper_of(w);
  struct compiler c = transaction_compiler(r);

  (void)end;
  if (!k->begun || r->set->entries[first].datasource != w->datasource) return;
  state_put_mark(&c, plan, k->mutation, w->attempts_before + r->retries + 1, "TRANSACTION_COMPLETED", step_payload(k, k->step, NULL, NULL));
  k->marked = true;
}

/* ---- the end ---- */

/* Of a front end that takes the results apart (GraphQL) the answer is empty; of a key that another mutation has it is not known. */
static const char *end_payload(struct keeper *k, struct run *r, const struct str *answer) {
  struct str *out = str_new(k->mem, 256);

  if (!answer->len && r->accepted) return NULL;
  if (!answer->len) {
    result_put(out, r->set);
    answer = out;
  }
  /* As writ.state_payload does, without the way there. */
  if (answer->len > MANIFEST_STATE_BYTES) return arena_printf(k->mem, "{\"result_omitted\":{\"bytes\":%zu}}", answer->len);
  return answer->p;
}

static void end(struct watch *w, struct run *r, const struct str *answer) {
  struct keeper *k = keeper_of(w);

  if (w->part || !k->there) {
    if (events_used(k->events)) (void)events_finish(k->events, PART_MS);
    return;
  }
  if (answer) {
    tell(k, r, k->marked ? NULL : "TRANSACTION_COMPLETED", k->marked ? NULL : step_payload(k, k->step, NULL, NULL),
         "MUTATION_COMPLETED", end_payload(k, r, answer));
  } else if (r->e->code == ERR_COMMIT_UNKNOWN && k->marked) {
    /* The mark will tell, when the lease is over. */
  } else {
    struct str *error = str_new(k->mem, 512);

    str_add(error, "{\"error\":");
    err_put(error, r->e, r->call->request_id);
    str_char(error, '}');
    tell(k, r, "TRANSACTION_ERROR", step_payload(k, k->step, r->e, r->call->request_id), "MUTATION_ERROR", error->p);
  }
}

static void tell_own(struct watch *w, const char *name, const char *payload) {
  events_tell(keeper_of(w)->events, w->attempt, name, payload);
  events_pump(keeper_of(w)->events);
}

static void event(struct watch *w, const char *name, const char *payload, bool whole) {
  struct keeper *k = keeper_of(w);

  events_dispatch(k->events, w->attempt, name, payload, whole);
  (void)events_finish(k->events, PART_MS);
}

/* ---- life ---- */

static struct keeper *new_keeper(struct engine *engine, void *mem, const char *mutation, size_t datasource) {
  struct keeper *k = arena_new(mem, struct keeper);

  k->engine = engine;
  k->mem = mem;
  k->mutation = mutation;
  k->events = events_new(engine, mem, mutation, datasource);
  k->watch = (struct watch){.datasource = datasource, .attempt = 1, .begin = begin, .open = open_plan, .close = close_plan, .end = end,
                            .event = event, .tell = tell_own};
  k->watch.listener = events_listener(k->events, &k->watch.attempt);
  return k;
}

struct watch *keeper_new(struct engine *engine, void *mem, const struct caller *caller, const struct command_set *set,
                         const char *mutation, size_t datasource) {
  struct keeper *k = new_keeper(engine, mem, mutation, datasource);

  k->caller = state_caller(mem, caller);
  k->set = set;
  k->nsteps = mutation_steps(set);
  k->steps = mutation_state_steps(mem, set);
  return &k->watch;
}

struct watch *keeper_part(struct engine *engine, void *mem, const char *mutation, size_t datasource, unsigned attempt) {
  struct keeper *k = new_keeper(engine, mem, mutation, datasource);

  k->watch.part = true;
  k->watch.attempts_before = attempt ? attempt - 1 : 0;
  k->watch.attempt = attempt ? attempt : 1;
  return &k->watch;
}
