/* Round trips of a mutation with states, its own and those of single commands, beside those of its transactions: one ahead, in which
 * the states are made and a first step begun, and one behind, with the ends. That a step is done is told in its own transaction (state_put_mark), so that a state
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

#define OPERATION SIZE_MAX /* in place of an entry */

/* One state. */
struct kept {
  const char *mutation;
  const struct state_step *steps;
  size_t nsteps;
  size_t entry; /* of the set, whose state it is; OPERATION: of all of it */
  bool theirs;  /* others keep it: only events are passed on */
};

struct keeper {
  struct watch watch; /* the first member */
  struct engine *engine;
  void *mem;
  const char *caller;
  struct events *events; /* names them by their index: */
  struct kept *states;   /* the operation's first, if it has one */
  size_t nstates;
  bool drawn;         /* some UUID is writ's own making: the repeat of a request has another */
  bool there;         /* the states are made */
  size_t step;        /* the one that was begun */
  bool begun, marked; /* is one? its end is told in its transaction */
};

static struct keeper *keeper_of(struct watch *w) { return (struct keeper *)w; }

/* ---- events of writ's own ---- */

/* What is to be told of states, in one go. */
struct news {
  struct keeper *k;
  struct {
    size_t of;
    const char *name, *payload;
  } * list;
  size_t n;
};

static struct news no_news(struct keeper *k) { return (struct news){.k = k}; }

static void add_news(struct news *news, size_t of, const char *name, const char *payload) {
  arena_grow(news->k->mem, news->list, news->n);
  news->list[news->n].of = of;
  news->list[news->n].name = name;
  news->list[news->n++].payload = payload;
}

/* Only those that are kept here. */
static void add_news_of_step(struct news *news, const char *name, size_t step, const struct err *e, const char *request_id) {
  struct keeper *k = news->k;

  for (size_t i = 0; i < k->nstates; i++) {
    struct str *out = str_new(k->mem, 128);

    if (k->states[i].theirs) continue;
    str_add(out, "{\"step\":");
    str_json(out, k->states[i].steps[step].id);
    if (e) {
      str_add(out, ",\"error\":");
      err_put(out, e, request_id);
    }
    str_char(out, '}');
    add_news(news, i, name, out->p);
  }
}

static void put_news(const struct news *news, struct compiler *c, struct plan *plan) {
  for (size_t i = 0; i < news->n; i++)
    state_put_event(c, plan, news->k->states[news->list[i].of].mutation, news->k->watch.attempt, news->list[i].name,
                    news->list[i].payload);
}

static void tell_followers(const struct keeper *k) {
  for (size_t i = 0; i < k->nstates; i++)
    if (!k->states[i].theirs) engine_tell(k->engine, k->states[i].mutation);
}

/* As a transaction of their own, on the mutation's connection; what comes of it is not the mutation's business. */
static void run_aside(struct run *r, const struct news *news) {
  struct compiler c = transaction_compiler(r);
  struct plan plan = {0};
  struct err kept = *r->e;
  struct wait wait = r->wait;
  struct flight f;

  put_news(news, &c, &plan);
  r->wait = (struct wait){.deadline_ms = clock_ms() + END_MS, .caller_fd = -1};
  if (aside_run(r, news->k->watch.datasource, plan.steps, plan.n, true, &f)) tell_followers(news->k);
  r->wait = wait;
  *r->e = kept;
}

/* Behind what was dispatched. */
static bool post(const struct news *news) {
  struct events *q = news->k->events;

  if (!events_used(q)) return false;
  (void)events_finish(q, END_MS); /* room first: what is left of the application's events goes ahead */
  for (size_t i = 0; i < news->n; i++) {
    if (!events_room(q, 1)) (void)events_finish(q, END_MS);
    events_tell(q, news->list[i].of, news->k->watch.attempt, news->list[i].name, news->list[i].payload);
  }
  return events_finish(q, END_MS);
}

static void tell(struct run *r, const struct news *news) {
  if (!post(news)) run_aside(r, news);
}

/* ---- the beginning ---- */

static bool unprepared(struct run *r) {
  const char *why = r->e->log_detail ? r->e->log_detail : r->e->message;

  err_set(r->e, DATABASE_UNAVAILABLE, "The database is not prepared for states of mutations; nothing was changed.");
  r->e->log_detail = arena_printf(r->mem, "%s: run `writ install`, with --grant", why);
  r->e->retry_after_s = 5;
  return false;
}

/* entry: whose UUID it is. */
static bool used_before(struct run *r, size_t entry) {
  bool found = false;

  /* The same request once more, with a key: it gets its answer. */
  if (r->call->key && (!idempotency_find(r, r->set->entries[0].datasource, &found) || found)) return false;
  err_set(r->e, MUTATION_EXISTS, "There is a mutation with this UUID already.");
  if (entry != OPERATION) compile_place_entry(r->mem, r->set, entry, NULL, r->e);
  return false;
}

static bool explain(const struct keeper *k, struct run *r, const size_t *last_steps, size_t failed_step) {
  const char *s = r->e->sqlstate;
  size_t i = 0;

  if (strcmp(s, "23505") == 0) {
    while (i + 1 < k->nstates && (k->states[i].theirs || last_steps[i] < failed_step)) i++;
    return used_before(r, k->states[i].entry);
  }
  if (strcmp(s, "42501") == 0 || strcmp(s, "42P01") == 0 || strcmp(s, "42883") == 0 || strcmp(s, "3F000") == 0)
    return unprepared(r);
  return false;
}

static bool make_states(struct keeper *k, struct run *r, size_t step) {
  struct compiler c = transaction_compiler(r);
  struct plan plan = {0};
  struct flight f;
  struct news news = no_news(k);
  size_t *places = arena_array(k->mem, size_t, k->nstates + 1);
  int64_t left_ms = r->wait.deadline_ms - clock_ms();

  for (size_t i = 0; i < k->nstates; i++) {
    const struct kept *s = &k->states[i];

    places[i] = plan.n;
    if (!s->theirs) state_put_new(&c, &plan, s->mutation, k->caller, s->steps, s->nsteps, left_ms + LEASE_MORE_MS);
  }
  add_news_of_step(&news, "TRANSACTION_CREATED", step, NULL, NULL);
  put_news(&news, &c, &plan);
  if (!aside_run(r, k->watch.datasource, plan.steps, plan.n, true, &f)) return explain(k, r, places, f.failed_step);
  err_init(r->e, r->mem);
  k->there = true;
  tell_followers(k);
  return true;
}

/* A repeat brings no UUIDs that are there already where writ made them: its key tells. */
static bool is_repeat(const struct keeper *k, struct run *r, bool *failed) {
  bool found = false;

  *failed = k->drawn && r->call->key && !idempotency_find(r, r->set->entries[0].datasource, &found);
  return found;
}

static bool begin(struct watch *w, struct run *r, size_t first, size_t end) {
  struct keeper *k = keeper_of(w);
  size_t step = r->set->each_alone ? first : 0;
  bool failed;

  (void)end;
  if (!k->there) {
    if (is_repeat(k, r, &failed) || failed || !make_states(k, r, step)) return false;
  } else {
    struct news news = no_news(k);

    if (!k->marked) add_news_of_step(&news, "TRANSACTION_COMPLETED", k->step, NULL, NULL);
    add_news_of_step(&news, "TRANSACTION_CREATED", step, NULL, NULL);
    tell(r, &news);
  }
  k->step = step;
  k->begun = true;
  k->marked = false;
  return true;
}

/* ---- around a transaction ---- */

static void open_plan(struct watch *w, struct run *r, struct plan *plan) {
  static const char sql[] =
      "select pg_catalog.set_config('writ.mutation', $1, true), pg_catalog.set_config('client_min_messages', 'notice', true)";
  struct compiler c = transaction_compiler(r);
  const char **params = arena_array(r->mem, const char *, 1);

  params[0] = w->mutation;
  compile_step(&c, plan,
               (struct step){.statement = variants_text(c.variants, r->mem, sql),
                             .params = params,
                             .nparams = 1,
                             .gives = GIVES_NOTHING,
                             .member = MEMBER_NONE,
                             .purpose = "events have listeners"});
}

static void close_plan(struct watch *w, struct run *r, size_t first, size_t end, struct plan *plan) {
  struct keeper *k = keeper_of(w);
  struct compiler c = transaction_compiler(r);
  struct news news = no_news(k);

  (void)end;
  if (!k->begun || r->set->entries[first].datasource != w->datasource) return;
  add_news_of_step(&news, "TRANSACTION_COMPLETED", k->step, NULL, NULL);
  for (size_t i = 0; i < news.n; i++)
    state_put_mark(&c, plan, k->states[news.list[i].of].mutation, w->attempts_before + r->retries + 1, news.list[i].name,
                   news.list[i].payload);
  k->marked = true;
}

/* ---- the end ---- */

/* As writ.state_payload does with what is too large, without the way there. */
static const char *bounded(const struct run *r, const struct str *payload) {
  if (payload->len <= MANIFEST_STATE_BYTES) return payload->p;
  return arena_printf(r->mem, "{\"result_omitted\":{\"bytes\":%zu}}", payload->len);
}

/* NULL: it is not known. Of a front end that takes the results apart (GraphQL) the answer is empty; of a stored answer no parts are. */
static const char *result_of(const struct kept *s, struct run *r, const struct str *answer) {
  struct str *out;
  const char *text;
  size_t len;

  if (s->entry == OPERATION && answer->len) return bounded(r, answer);
  if (r->stored) return NULL;
  out = str_new(r->mem, 256);
  if (s->entry == OPERATION) {
    result_put(out, r->set);
    return bounded(r, out);
  }
  engine_result(r->set, s->entry, &text, &len);
  str_add(out, "{\"result\":");
  str_bytes(out, text, len);
  str_char(out, '}');
  return bounded(r, out);
}

static void tell_complete(struct keeper *k, struct run *r, const struct str *answer) {
  struct news news = no_news(k);

  if (!k->marked) add_news_of_step(&news, "TRANSACTION_COMPLETED", k->step, NULL, NULL);
  for (size_t i = 0; i < k->nstates; i++)
    if (!k->states[i].theirs) add_news(&news, i, "MUTATION_COMPLETED", result_of(&k->states[i], r, answer));
  tell(r, &news);
}

/* It was one transaction: all of them have the one error. */
static void tell_error(struct keeper *k, struct run *r) {
  struct news news = no_news(k);
  struct str *error = str_new(k->mem, 512);

  str_add(error, "{\"error\":");
  err_put(error, r->e, r->call->request_id);
  str_char(error, '}');
  add_news_of_step(&news, "TRANSACTION_ERROR", k->step, r->e, r->call->request_id);
  for (size_t i = 0; i < k->nstates; i++)
    if (!k->states[i].theirs) add_news(&news, i, "MUTATION_ERROR", error->p);
  tell(r, &news);
}

static void end(struct watch *w, struct run *r, const struct str *answer) {
  struct keeper *k = keeper_of(w);

  if (w->part || !k->there) {
    if (events_used(k->events)) (void)events_finish(k->events, PART_MS);
    return;
  }
  if (answer) tell_complete(k, r, answer);
  else if (r->e->code != ERR_COMMIT_UNKNOWN || !k->marked) tell_error(k, r);
  /* else the mark will tell, when the lease is over. */
}

/* Of the operation; of single commands only what they dispatch themselves. */
static void tell_own(struct watch *w, const char *name, const char *payload) {
  if (!w->mutation[0]) return;
  events_tell(keeper_of(w)->events, 0, w->attempt, name, payload);
  events_pump(keeper_of(w)->events);
}

static void event(struct watch *w, const char *name, const char *payload, bool whole) {
  struct keeper *k = keeper_of(w);

  if (!w->mutation[0]) return;
  events_dispatch(k->events, 0, w->attempt, name, payload, whole);
  (void)events_finish(k->events, PART_MS);
}

/* ---- life ---- */

static void add_operation(struct keeper *k, const char *mutation, bool theirs) {
  arena_grow(k->mem, k->states, k->nstates);
  k->states[k->nstates++] = (struct kept){.mutation = mutation, .entry = OPERATION, .theirs = theirs};
  k->watch.mutation = mutation;
}

static void add_entries(struct keeper *k, const struct command_set *set, bool theirs) {
  for (size_t i = 0; i < set->nentries; i++) {
    if (!set->entries[i].mutation) continue;
    arena_grow(k->mem, k->states, k->nstates);
    k->states[k->nstates++] = (struct kept){.mutation = set->entries[i].mutation,
                                            .entry = i,
                                            .theirs = theirs,
                                            .nsteps = 1,
                                            .steps = mutation_entry_step(k->mem, set, i)};
    k->watch.apart = true;
  }
}

static struct keeper *new_keeper(struct engine *engine, void *mem, size_t datasource) {
  struct keeper *k = arena_new(mem, struct keeper);

  k->engine = engine;
  k->mem = mem;
  k->watch = (struct watch){.datasource = datasource,
                            .attempt = 1,
                            .mutation = "",
                            .begin = begin,
                            .open = open_plan,
                            .close = close_plan,
                            .end = end,
                            .event = event,
                            .tell = tell_own};
  return k;
}

/* All states are there. */
static struct watch *listening(struct keeper *k) {
  const char **mutations = arena_array(k->mem, const char *, k->nstates + 1);

  for (size_t i = 0; i < k->nstates; i++) mutations[i] = k->states[i].mutation;
  k->events = events_new(k->engine, k->mem, mutations, k->nstates, k->watch.datasource);
  k->watch.listener = events_listener(k->events, &k->watch.attempt);
  return &k->watch;
}

struct watch *keeper_new(struct engine *engine, void *mem, const struct caller *caller, const struct command_set *set,
                         const struct keeping *what, size_t datasource) {
  struct keeper *k = new_keeper(engine, mem, datasource);

  k->caller = state_caller(mem, caller);
  k->drawn = what->drawn;
  if (what->mutation) {
    add_operation(k, what->mutation, false);
    k->states[0].nsteps = mutation_steps(set);
    k->states[0].steps = mutation_state_steps(mem, set);
  } else if (what->within) {
    add_operation(k, what->within, true);
  }
  add_entries(k, set, false);
  return listening(k);
}

struct watch *keeper_part(struct engine *engine, void *mem, const struct command_set *set, const char *mutation,
                          size_t datasource, unsigned attempt) {
  struct keeper *k = new_keeper(engine, mem, datasource);

  add_operation(k, mutation, true);
  if (set) add_entries(k, set, true);
  k->watch.part = true;
  k->watch.attempts_before = attempt ? attempt - 1 : 0;
  k->watch.attempt = attempt ? attempt : 1;
  return listening(k);
}
