/* Running a mutation: the steps of a request (engine/run.c), with the lease looked at ahead of each transaction, and the mark put
 * behind it. */
#include "mutations/mutation_inside.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/str.h"
#include "mutations/keeper.h"

#include <stdlib.h>
#include <string.h>

enum {
  PAUSE_MIN_MS = 500, /* before a step is tried again; doubles, jittered by half */
  PAUSE_MAX_MS = 300000,
  LEASE_PARTS = 3,    /* a lease is renewed when a third of it is over */
};

/* Locks the row until the transaction ends: nobody claims it meanwhile, however long the step takes. */
#define LOCK_IF(more)                                                                                                  \
  "select coalesce((select " more " from writ.mutation where id = $1::uuid and owner = $2::uuid and ended is null "   \
  "and step = $3::integer for no key update), writ.fail('LEASE_LOST', 'lost', 409))"
static const char open_sql[] = LOCK_IF("case when exists (select from writ.mutation_cancel c where c.mutation = $1::uuid) "
                                       "then writ.fail('CANCEL_ASKED', 'cancelled', 409) else '' end");
static const char lock_sql[] = LOCK_IF("''");

/* Texts and names of settings take turns (result_pieces). */
#define PIECES(p)                                                                                                      \
  "(select string_agg(case when o % 2 = 1 then p else current_setting(p) end, '' order by o) "                         \
  "from json_array_elements_text(" p "::json) with ordinality as x (p, o))"
/* Behind them what is to be told of it, where there is a state: true when this is committed, so marks (mutations/state.h). */
static const char mark_sql[] =
    "with m as (update writ.mutation set step = $2::integer, attempts = 0, error = null, "
    "due = clock_timestamp() + $3::integer * interval '1 ms' where id = $1::uuid returning id), "
    "r as (insert into writ.mutation_result (mutation, step, result) select id, $2::integer - 1, " PIECES("$4") "::json from m) "
    "insert into writ.state_mark (mutation, attempt, name, payload) "
    "select id, $5::integer, 'TRANSACTION_COMPLETED', jsonb_build_object('step', $6::text) from m "
    "where exists (select from writ.state s where s.mutation = m.id)";
#define COMPLETE(more)                                                                                                 \
  "with m as (update writ.mutation set step = $2::integer, ended = now(), outcome = 'complete', owner = null, error = null, " \
  "answer = " PIECES("$3") " where id = $1::uuid returning id, answer::json as a" more ") "                            \
  "insert into writ.state_mark (mutation, attempt, name, payload) "                                                    \
  "select id, $4::integer, x.name, case x.o when 1 then jsonb_build_object('step', $5::text) "                         \
  "else jsonb_build_object('result', coalesce(a -> 'result', a -> 'results')) end "                                    \
  "from m cross join (values (1, 'TRANSACTION_COMPLETED'), (2, 'MUTATION_COMPLETED')) as x (o, name) "                 \
  "where exists (select from writ.state s where s.mutation = m.id) order by x.o"
static const char complete_sql[] = COMPLETE("");
/* Many ends wait for the disk together, in the claim behind them, and are told of behind that (runner.c). */
static const char complete_lazily_sql[] = COMPLETE(", set_config('synchronous_commit', 'off', true)");
static const char end_sql[] =
    "update writ.mutation set ended = now(), outcome = $2, dead = $3::boolean, owner = null, error = $4::json, "
    "answer = $5 where id = $1::uuid";
/* $2: its own id, $3: on_complete or on_error, $4: deadline. */
static const char follow_sql[] =
    "insert into writ.mutation (id, parent, deadline, command, args, role, caller_user, claims, request_id) "
    "select $2::uuid, id, now() + $4::integer * interval '1 s', 'execute_command_set', "
    "json_build_object('commands', args -> $3), role, caller_user, claims, request_id from writ.mutation where id = $1::uuid";

/* Why it stopped, where that is none of the set's own errors. */
enum stop { STOP_NONE, STOP_LOST, STOP_CANCELLED, STOP_EXPIRED, STOP_ASKED, STOP_OURS };

struct work {
  struct frame frame;
  struct engine *engine;
  void *mem;
  struct mutation *m;
  const struct mutation_run *how;
  struct command_set *set;
  struct err *e;
  size_t open, close; /* places in the plan of the transaction in hand: the frame's steps are open and those from close on */
  bool lazy; /* the transaction that completes it does not wait for the disk */
  enum stop stop;
  struct watch *watch; /* of its state; NULL: it has none */
};

static struct step own(struct work *w, const char *sql, const char *const *params, unsigned n, const char *purpose) {
  return mutation_own_step(w->engine, w->mem, sql, params, n, purpose);
}

static struct work *work_of(struct frame *frame) { return (struct work *)frame; }

/* ---- the lease ---- */

/* While services are waited for; a transaction in hand needs none of it. */
static void beat(void *data) {
  struct work *w = data;
  struct err e;
  int lease_ms = w->engine->config->background_lease_ms;
  void *mem;

  if (clock_ms() < w->m->leased_ms + lease_ms / LEASE_PARTS) return;
  mem = arena_request(w->mem);
  err_init(&e, mem);
  if (!mutation_renew(w->engine, mem, w->m, lease_ms, &e)) {
    log_line(LOG_WARN, "mutation_lease", "mutation=%s reason=%s", w->m->id, log_quoted(mem, e.message));
    w->m->leased_ms = clock_ms(); /* not at once again: what it means is told by the mark */
  }
  talloc_free(mem);
}

static bool asks_outside(const struct work *w, size_t entry) {
  bool each = w->set->each_alone;

  if (w->set->entries[entry].command->kind == COMMAND_HANDLER) return true;
  for (size_t i = 0; i < w->set->nuses; i++)
    if (w->set->uses[i].command->nbefore_hooks && (!each || w->set->uses[i].entry == entry)) return true;
  return false;
}

/* A module does not come back to us while it runs: it gets a lease for all of its time. And what stands outside sees nothing that
 * a crash could take back: the renewal waits for the disk, with all that went before. */
static bool lease_for_outside(struct work *w, struct run *r, size_t entry) {
  const struct command *c = w->set->entries[entry].command;
  int64_t ms = w->engine->config->background_lease_ms;
  bool module = c->kind == COMMAND_HANDLER && c->module;

  if (module) ms += r->wait.deadline_ms - clock_ms();
  if (!module && !(w->how->lazy && asks_outside(w, entry))) return true;
  if (mutation_renew(w->engine, w->mem, w->m, ms, r->e)) return true;
  if (r->e->code == ERR_IDEMPOTENCY_CONFLICT) w->stop = STOP_LOST;
  return false;
}

/* ---- the frame ---- */

static bool stop_for(struct work *w, enum stop why, const char *text) {
  w->stop = why;
  return err_set(w->e, CANCELLED, "%s", text);
}

static bool begin_step(struct frame *frame, struct run *r, size_t entry) {
  struct work *w = work_of(frame);
  const struct command *c = w->set->entries[entry].command;
  int64_t now = clock_ms(), until = now + w->engine->config->timeout_ms;

  FAULT("mutation-step");
  if (entry > w->m->step) { /* the one before is committed */
    w->m->step = entry;
    w->m->attempts = 0;
  }
  if (w->how->stop && w->how->stop(w->how->data)) return stop_for(w, STOP_ASKED, "The process is to stop.");
  if (now >= w->m->deadline_ms) return stop_for(w, STOP_EXPIRED, "The mutation did not end within its time.");
  if (w->how->until_ms && now >= w->how->until_ms) return stop_for(w, STOP_ASKED, "The request took too long; it goes on.");
  if (until > w->m->deadline_ms) until = w->m->deadline_ms;
  if (w->how->until_ms && until > w->how->until_ms) until = w->how->until_ms;
  if (w->watch) w->watch->attempts_before = w->m->attempts;
  r->wait = (struct wait){.deadline_ms = until, .caller_fd = -1, .beat = beat, .data = w};
  if (mutation_steps(w->set) > 1 || c->kind == COMMAND_HANDLER) {
    struct str *payload = str_new(w->mem, 64);

    str_add(payload, "{\"step\":");
    str_json(payload, mutation_step_id(w->mem, w->set, entry));
    str_char(payload, '}');
    state_dispatch(r, "TRANSACTION_CREATED", payload->p);
  }
  return lease_for_outside(w, r, entry);
}

static const char **lease_params(struct work *w) {
  const char **params = arena_array(w->mem, const char *, 3);

  params[0] = w->m->id;
  params[1] = w->m->owner;
  params[2] = arena_printf(w->mem, "%zu", w->m->step);
  return params;
}

static void open_step(struct frame *frame, struct run *r, struct plan *plan) {
  struct work *w = work_of(frame);
  struct compiler k = transaction_compiler(r);

  plan->durable = true;
  w->open = compile_step(&k, plan, own(w, open_sql, lease_params(w), 3, "lock the mutation"));
  w->close = SIZE_MAX;
}

/* What follows an end is accepted with it. */
static void put_follower(struct work *w, struct compiler *k, struct plan *plan, bool complete) {
  const struct command_set *next = complete ? w->set->on_complete : w->set->on_error;
  const char **params = arena_array(w->mem, const char *, 4);
  int deadline_s = w->engine->config->background_deadline_s;
  char *id;

  if (!next || !next->nentries) return;
  id = arena_zero(w->mem, 37, "uuid");
  clock_uuid7(id);
  params[0] = w->m->id;
  params[1] = id;
  params[2] = complete ? "on_complete" : "on_error";
  params[3] = deadline_s ? arena_printf(w->mem, "%d", deadline_s) : NULL;
  w->engine->wake_background = true;
  compile_step(k, plan, own(w, follow_sql, params, 4, complete ? "accept on_complete" : "accept on_error"));
  state_put_new(k, plan, id, state_caller(w->mem, &w->m->caller), mutation_state_steps(w->mem, next), mutation_steps(next), 0);
}

static void put_complete(struct work *w, struct compiler *k, size_t step, const char *pieces, bool lazily, struct plan *plan) {
  const char **params = arena_array(w->mem, const char *, 5);

  params[0] = w->m->id;
  params[1] = arena_printf(w->mem, "%zu", step);
  params[2] = pieces;
  params[3] = arena_printf(w->mem, "%u", w->m->attempts + 1);
  params[4] = step ? mutation_step_id(w->mem, w->set, step - 1) : "";
  compile_step(k, plan, own(w, lazily ? complete_lazily_sql : complete_sql, params, 5, "the mutation is complete"));
  put_follower(w, k, plan, true);
}

static void put_mark(struct work *w, struct compiler *k, size_t entry, struct plan *plan) {
  const char **params = arena_array(w->mem, const char *, 6);

  params[0] = w->m->id;
  params[1] = arena_printf(w->mem, "%zu", entry + 1);
  params[2] = arena_printf(w->mem, "%d", w->engine->config->background_lease_ms);
  params[3] = result_pieces_alone(w->mem, w->set, entry);
  params[4] = arena_printf(w->mem, "%u", w->m->attempts + 1);
  params[5] = mutation_step_id(w->mem, w->set, entry);
  compile_step(k, plan, own(w, mark_sql, params, 6, "the step is done"));
}

static void close_step(struct frame *frame, struct run *r, size_t first, size_t end, struct plan *plan) {
  struct work *w = work_of(frame);
  struct compiler k = transaction_compiler(r);

  w->close = plan->n;
  if (end != w->set->nentries) {
    put_mark(w, &k, first, plan);
    return;
  }
  /* What after-hooks are told must not be lost when it was told. */
  w->lazy = w->how->lazy && w->set->outbox_step == SIZE_MAX;
  plan->durable = !w->lazy;
  put_complete(w, &k, mutation_steps(w->set), result_pieces(w->mem, w->set), w->lazy, plan);
}

static enum next judge_step(struct frame *frame, struct run *r, const struct flight *f) {
  struct work *w = work_of(frame);

  if (f->was_lost || (f->failed_step != w->open && (f->failed_step < w->close || w->close == SIZE_MAX))) return NEXT_OTHER;
  if (f->failed_step == w->open && err_is_own(r->e, "LEASE_LOST")) w->stop = STOP_LOST;
  else if (f->failed_step == w->open && err_is_own(r->e, "CANCEL_ASKED")) w->stop = STOP_CANCELLED;
  else if (f->raised_by_server) return NEXT_OTHER; /* as of any other step */
  else w->stop = STOP_OURS;
  return NEXT_REFUSED;
}

/* What a handler's own calls have their keys from: applied once, however often the handler is run. A key of the caller's is known
 * to whoever asks again, also when the mutation was forgotten meanwhile. */
static const char *inside_key(struct frame *frame, struct run *r, size_t entry) {
  const struct work *w = work_of(frame);

  if (!w->m->key) return arena_printf(r->mem, "mutation %s %zu", w->m->id, entry);
  return mutation_steps(w->set) > 1 ? arena_printf(r->mem, "%s %zu", w->m->key, entry) : w->m->key;
}

/* ---- ends ---- */

static const char *error_json(struct work *w, const struct err *e) {
  struct str *out = str_new(w->mem, 256);

  err_put(out, e, w->m->request_id);
  return out->p;
}

static const char *event_payload(struct work *w, const char *error, const char *step) {
  struct str *out = str_new(w->mem, 256);

  str_printf(out, "{\"error\":%s", error);
  if (step) {
    str_add(out, ",\"step\":");
    str_json(out, step);
  }
  str_char(out, '}');
  return out->p;
}

static void put_end_events(struct work *w, struct compiler *k, struct plan *plan, const char *error, bool cancelled) {
  bool in_step = !cancelled && w->stop != STOP_EXPIRED && w->m->step < mutation_steps(w->set);
  const char *id = w->m->id;

  if (in_step)
    state_put_event(k, plan, id, w->m->attempts + 1, "TRANSACTION_ERROR",
                    event_payload(w, error, mutation_step_id(w->mem, w->set, w->m->step)));
  state_put_event(k, plan, id, w->m->attempts + 1, cancelled ? "MUTATION_CANCELLED" : "MUTATION_ERROR",
                  event_payload(w, error, NULL));
}

static struct compiler own_compiler(struct work *w) {
  return (struct compiler){.mem = w->mem, .config = w->engine->config, .manifest = w->engine->manifest,
                           .variants = w->engine->variants, .mutation = w->m->id};
}

static enum mutation_end ended_by(struct work *w, struct plan *plan) {
  struct flight f;
  struct err e;

  err_init(&e, w->mem);
  if (mutation_trip(w->engine, w->mem, w->m->datasource, plan->steps, plan->n, &f, &e)) return MUTATION_ENDED;
  if (f.failed_step == 0 && err_is_own(&e, "LEASE_LOST")) return MUTATION_LOST;
  log_line(LOG_WARN, "mutation_put_off", "mutation=%s code=%s reason=%s detail=%s", w->m->id, err_name(&e),
           log_quoted(w->mem, e.message), log_quoted(w->mem, e.log_detail));
  return MUTATION_PUT_OFF; /* the lease ends, and it is tried once more */
}

/* In an error, or cancelled: with what is to follow that. */
static enum mutation_end end_in_error(struct work *w, const struct err *e, bool dead) {
  bool cancelled = w->stop == STOP_CANCELLED;
  const char *error = error_json(w, e), **params = arena_array(w->mem, const char *, 5);
  struct compiler k = own_compiler(w);
  struct plan plan = {0};

  params[0] = w->m->id;
  params[1] = cancelled ? "cancelled" : "error";
  params[2] = dead ? "t" : "f";
  params[3] = error;
  params[4] = NULL;
  compile_step(&k, &plan, own(w, lock_sql, lease_params(w), 3, "lock the mutation"));
  compile_step(&k, &plan, own(w, end_sql, params, 5, "the mutation has ended"));
  put_follower(w, &k, &plan, false);
  put_end_events(w, &k, &plan, error, cancelled);
  return ended_by(w, &plan);
}

/* A set without commands. */
static enum mutation_end end_empty(struct work *w, struct str *answer) {
  struct compiler k = own_compiler(w);
  struct plan plan = {0};

  result_put(answer, w->set);
  compile_step(&k, &plan, own(w, lock_sql, lease_params(w), 3, "lock the mutation"));
  put_complete(w, &k, mutation_steps(w->set), result_pieces(w->mem, w->set), false, &plan);
  return ended_by(w, &plan);
}

/* ---- what a failure means ---- */

/* Not of the request's making: it may be tried again. */
static bool is_passing(const struct err *e) {
  switch (e->code) {
  case ERR_SERIALIZATION_FAILURE:
  case ERR_DEADLOCK:
  case ERR_LOCK_TIMEOUT:
  case ERR_MUTEX_BUSY:
  case ERR_IDEMPOTENCY_CONFLICT:
  case ERR_DATABASE_UNAVAILABLE:
  case ERR_COMMIT_UNKNOWN:
  case ERR_HANDLER_FAILED:
  case ERR_HANDLERS_BUSY:
  case ERR_TIMEOUT: return true;
  default: return false;
  }
}

static int64_t pause_of(unsigned attempts) {
  int64_t ms = attempts > 10 ? PAUSE_MAX_MS : (int64_t)PAUSE_MIN_MS << attempts;

  if (ms > PAUSE_MAX_MS) ms = PAUSE_MAX_MS;
  return ms / 2 + random() % (ms / 2 + 1);
}

static enum mutation_end put_off(struct work *w, const struct err *e) {
  struct err ignored;

  err_init(&ignored, w->mem);
  log_line(LOG_WARN, "mutation_failed", "mutation=%s step=%zu attempt=%u code=%s reason=%s detail=%s", w->m->id, w->m->step,
           w->m->attempts + 1, err_name(e), log_quoted(w->mem, e->message), log_quoted(w->mem, e->log_detail));
  if (w->m->attempts + 1 >= (unsigned)w->engine->config->background_attempts) {
    log_line(LOG_WARN, "mutation_dead", "mutation=%s step=%zu code=%s", w->m->id, w->m->step, err_name(e));
    return end_in_error(w, e, true);
  }
  /* If not: the lease ends. */
  (void)mutation_release(w->engine, w->mem, w->m, pause_of(w->m->attempts), error_json(w, e), &ignored);
  return MUTATION_PUT_OFF;
}

/* Whoever had it died so often. */
static enum mutation_end give_up(struct work *w) {
  err_set(w->e, INTERNAL, "The processes that ran it ended %u times without a word.", w->m->attempts);
  log_line(LOG_WARN, "mutation_dead", "mutation=%s step=%zu code=%s", w->m->id, w->m->step, err_name(w->e));
  return end_in_error(w, w->e, true);
}

static void give_back(struct work *w) {
  struct err ignored;

  err_init(&ignored, w->mem);
  (void)mutation_release(w->engine, w->mem, w->m, 0, NULL, &ignored);
  w->engine->wake_background = true;
  if (w->how->until_ms) err_set(w->e, TIMEOUT, "The request took too long; what was accepted goes on.");
}

/* Its caller hears why. If it cannot be forgotten, the lease ends and it is tried again: it is what a repeat finds then. */
static enum mutation_end forget(struct work *w) {
  struct err ignored;

  err_init(&ignored, w->mem);
  (void)mutation_forget(w->engine, w->mem, w->m, &ignored);
  return MUTATION_FORGOTTEN;
}

static enum mutation_end judge_failure(struct work *w) {
  struct err *e = w->e;
  int committed = e->committed;

  if (w->how->forget && w->m->step == 0 && (w->stop == STOP_NONE || w->stop == STOP_OURS)) return forget(w);
  switch (w->stop) {
  case STOP_LOST: return MUTATION_LOST;
  case STOP_ASKED:
    give_back(w);
    e->committed = committed;
    return MUTATION_LEFT;
  case STOP_CANCELLED: err_set(e, CANCELLED, "The mutation was cancelled."); break;
  case STOP_EXPIRED: err_set(e, TIMEOUT, "The mutation did not end within its time."); break;
  case STOP_OURS: return put_off(w, e);
  case STOP_NONE: return is_passing(e) ? put_off(w, e) : end_in_error(w, e, false);
  }
  e->committed = committed;
  return end_in_error(w, e, false);
}

/* ---- from the row to a run ---- */

/* What steps before have given, for references by name; behind it what this one follows has. */
static const struct json *all_known(struct work *w) {
  const struct json *commands = json_get(w->m->args, "commands"), *before = w->m->known, *results = w->m->results;
  size_t most = (before ? before->len : 0) + w->m->step;
  struct json *out = arena_new(w->mem, struct json), *items = arena_array(w->mem, struct json, most + 1);
  const char **keys = arena_array(w->mem, const char *, most + 1);

  *out = (struct json){.kind = JSON_OBJECT, .items = items, .keys = keys};
  for (size_t i = 0; results && commands && i < results->len && i < commands->len; i++) {
    const struct json *as = json_get(&commands->items[i], "as");

    if (!as) continue;
    keys[out->len] = as->text;
    items[out->len++] = results->items[i];
  }
  for (size_t i = 0; before && i < before->len; i++) {
    if (json_get(out, before->keys[i])) continue;
    keys[out->len] = before->keys[i];
    items[out->len++] = before->items[i];
  }
  return out;
}

/* allow: was judged when it was accepted. */
static bool decode(struct work *w) {
  const struct command *command = manifest_command(w->engine->manifest, w->m->command);
  struct caller admitted = w->m->caller;

  if (w->how->set) {
    w->set = w->how->set;
    return true;
  }
  admitted.inside = true;
  if (!command) return err_set(w->e, UNKNOWN_COMMAND, "There is no command \"%s\" any more.", w->m->command);
  w->set = set_decode_with(w->mem, w->engine->manifest, command, w->m->args, &admitted, all_known(w), w->e);
  return w->set != NULL;
}

/* Entries that are done have their texts. */
static void take_results(struct work *w) {
  for (size_t i = 0; w->m->results && i < w->m->results->len && i < w->set->nentries; i++) {
    struct str *text = str_new(w->mem, 64);

    json_write(text, &w->m->results->items[i]);
    w->set->entries[i].text = text->p;
    w->set->entries[i].len = text->len;
    w->set->entries[i].settled = true;
  }
}

static bool run_steps(struct work *w, struct str *answer, struct report *report) {
  struct invocation call = {.caller = &w->m->caller, .request_id = w->m->request_id, .mutation = w->m->id, .frame = &w->frame,
                            .first = w->m->step, .caller_fd = -1,
                            .deadline_ms = clock_ms() + w->engine->config->timeout_ms};

  take_results(w);
  if (!w->how->no_state) call.watch = w->watch = keeper_part(w->engine, w->mem, w->m->id, w->m->datasource, w->m->attempts + 1);
  return engine_run(w->engine, w->mem, w->set, &call, answer, report, w->e);
}

/* A set of which nothing is known, for the end of what cannot be decoded any more. */
static struct command_set *no_set(struct work *w) {
  struct command_set *set = arena_new(w->mem, struct command_set);

  *set = (struct command_set){.command = manifest_command(w->engine->manifest, "execute_command_set"), .is_set = true,
                              .each_alone = true, .member = "commands", .outbox_step = SIZE_MAX};
  return set;
}

enum mutation_end mutation_run(struct engine *engine, void *mem, struct mutation *m, struct mutation_run *how,
                               struct report *report, struct err *e) {
  struct work w = {.frame = {.begin = begin_step, .open = open_step, .close = close_step, .judge = judge_step,
                             .inside_key = inside_key},
                   .engine = engine, .mem = mem, .m = m, .how = how, .e = e};

  how->complete = false;
  *report = (struct report){0};
  if (!decode(&w)) {
    w.set = no_set(&w);
    return end_in_error(&w, e, false);
  }
  if (!w.set->nentries) {
    how->complete = true;
    return end_empty(&w, how->answer);
  }
  if (m->attempts >= (unsigned)engine->config->background_attempts) return give_up(&w);
  how->complete = run_steps(&w, how->answer, report);
  if (how->complete) return MUTATION_ENDED;
  return judge_failure(&w);
}
