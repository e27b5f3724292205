/* Running a mutation: the steps of a request (engine/run.c), with the lease looked at ahead of each transaction, and the mark put
 * behind it. */
#include "mutations/work.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/str.h"
#include "mutations/keeper.h"

#include <stdlib.h>
#include <string.h>

enum { LEASE_PARTS = 3 }; /* a lease is renewed when a third of it is over */

static const char lock_sql[] = LOCK_IF("''");
static const char look_sql[] = LOCK_IF("case when exists (select from writ.mutation_cancel c where c.mutation = $1::uuid) "
                                       "then writ.fail('CANCEL_ASKED', 'cancelled', 409) else '' end");

/* Behind the mark what is to be told of it, where there is a state: true when this is committed, so a mark as well
 * (mutations/state.h). */
static const char mark_sql[] =
    "with m as (update writ.mutation set step = $2::integer, attempts = 0, error = null, away = null, "
    "due = clock_timestamp() + $3::integer * interval '1 ms' where id = $1::uuid returning id), "
    "r as (insert into writ.mutation_result (mutation, step, result) select id, $2::integer - 1, " PIECES(
        "$4") "::json from m) "
              "insert into writ.state_mark (mutation, attempt, name, payload) "
              "select id, $5::integer, 'TRANSACTION_COMPLETED', jsonb_build_object('step', $6::text) from m "
              "where $6::text is not null and exists (select from writ.state where mutation = $1::uuid)";

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

/* A module does not come back to us while it runs: it gets a lease for all of its time. */
static bool lease_for_module(struct work *w, struct run *r, size_t entry) {
  const struct command *c = w->set->entries[entry].command;
  int64_t ms = w->engine->config->background_lease_ms + r->wait.deadline_ms - clock_ms();

  if (c->kind != COMMAND_HANDLER || !c->module) return true;
  if (mutation_renew(w->engine, w->mem, w->m, ms, r->e)) return true;
  if (r->e->code == ERR_IDEMPOTENCY_CONFLICT) w->stop = STOP_LOST;
  return false;
}

/* ---- the frame ---- */

static const char **lease_params(struct work *w) {
  const char **params = arena_array(w->mem, const char *, 3);

  params[0] = w->m->id;
  params[1] = w->m->owner;
  params[2] = arena_printf(w->mem, "%zu", w->m->step);
  return params;
}

static bool stop_for(struct work *w, enum stop why, const char *text) {
  w->stop = why;
  return err_set(w->e, CANCELLED, "%s", text);
}

struct step work_lock_step(struct work *w) {
  return work_step(w, lock_sql, lease_params(w), 3, "lock the mutation");
}
struct step work_look_step(struct work *w) {
  return work_step(w, look_sql, lease_params(w), 3, "lock the mutation");
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
  if (w->watch) {
    w->watch->attempts_before = w->m->attempts;
    w->watch->attempt = w->m->attempts + 1;
  }
  r->wait = (struct wait){.deadline_ms = until,
                          .caller_fd = -1,
                          .beat = beat,
                          .data = w,
                          .beat_in_flight = w->set->entries[entry].datasource != w->m->datasource};
  if (mutation_steps(w->set) > 1 || c->kind == COMMAND_HANDLER) {
    struct str *payload = str_new(w->mem, 64);

    str_add(payload, "{\"step\":");
    str_json(payload, mutation_step_id(w->mem, w->set, entry));
    str_char(payload, '}');
    state_dispatch(r, "TRANSACTION_CREATED", payload->p);
  }
  return lease_for_module(w, r, entry);
}

/* Not that of the entry where it is judged only. */
static bool is_away(const struct work *w, size_t datasource) { return datasource != w->m->datasource; }

static void open_step(struct frame *frame, struct run *r, size_t datasource, struct plan *plan) {
  struct work *w = work_of(frame);
  struct compiler k = transaction_compiler(r);

  plan->durable = true;
  w->open = is_away(w, datasource) ? away_open(w, &k, plan) : compile_step(&k, plan, work_look_step(w));
  w->close = SIZE_MAX;
}

void work_put_mark(struct work *w, struct compiler *k, const char *pieces, const char *id, struct plan *plan) {
  const char **params = arena_array(w->mem, const char *, 6);

  params[0] = w->m->id;
  params[1] = arena_printf(w->mem, "%zu", w->m->step + 1);
  params[2] = arena_printf(w->mem, "%d", w->engine->config->background_lease_ms);
  params[3] = pieces;
  params[4] = arena_printf(w->mem, "%u", w->m->attempts + 1);
  params[5] = id;
  compile_step(k, plan, work_step(w, mark_sql, params, 6, "the step is done"));
}

static void close_step(struct frame *frame, struct run *r, size_t datasource, size_t first, size_t end, struct plan *plan) {
  struct work *w = work_of(frame);
  struct compiler k = transaction_compiler(r);

  w->close = plan->n;
  if (is_away(w, datasource))
    away_close(w, &k, w->set->each_alone ? result_pieces_alone(w->mem, w->set, first) : result_pieces(w->mem, w->set), plan);
  else if (end != w->set->nentries)
    work_put_mark(w, &k, result_pieces_alone(w->mem, w->set, first), mutation_step_id(w->mem, w->set, first), plan);
  else work_put_complete(w, &k, mutation_steps(w->set), result_pieces(w->mem, w->set), plan);
}

void work_judge_look(struct work *w, const struct err *e) {
  if (err_is_own(e, "LEASE_LOST")) w->stop = STOP_LOST;
  if (err_is_own(e, "CANCEL_ASKED")) w->stop = STOP_CANCELLED;
}

static enum next judge_step(struct frame *frame, struct run *r, const struct flight *f) {
  struct work *w = work_of(frame);

  if (f->was_lost || (f->failed_step != w->open && (f->failed_step < w->close || w->close == SIZE_MAX))) return NEXT_OTHER;
  if (w->away != AT_HOME && f->failed_step == w->open) return away_judge(w, r, f);
  if (f->failed_step == w->open) work_judge_look(w, r->e);
  if (w->stop == STOP_NONE && f->raised_by_server) return NEXT_OTHER; /* as of any other step */
  if (w->stop == STOP_NONE) w->stop = STOP_OURS;
  return NEXT_REFUSED;
}

/* What a handler's own calls have their keys from: applied once, however often the handler is run. A key of the caller's is known
 * to whoever asks again, also when the mutation was forgotten meanwhile. */
static const char *inside_key(struct frame *frame, struct run *r, size_t entry) {
  const struct work *w = work_of(frame);

  const char *key =
      w->m->key ? w->m->key : arena_printf(r->mem, "mutation %s", w->m->id); /* that, too, a retry has as its key */

  return mutation_steps(w->set) > 1 ? arena_printf(r->mem, "%s %zu", key, entry) : key;
}

/* ---- from the row to a run ---- */

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
  w->set = set_decode_with(w->mem, w->engine->manifest, command, w->m->args, &admitted, w->known, w->m->step, w->e);
  return w->set != NULL;
}

/* Entries that are done have their texts. */
static void take_results(struct work *w) {
  for (size_t i = 0; w->results && i < w->results->len && i < w->set->nentries; i++) {
    w->set->entries[i].text = w->results->items[i].text;
    w->set->entries[i].len = w->results->items[i].len;
    w->set->entries[i].settled = true;
  }
}

static bool run_steps(struct work *w, struct str *answer, struct report *report) {
  struct invocation call = {.caller = &w->m->caller,
                            .request_id = w->m->request_id,
                            .mutation = w->m->id,
                            .frame = &w->frame,
                            .first = w->m->step,
                            .caller_fd = -1,
                            .deadline_ms = clock_ms() + w->engine->config->timeout_ms};

  take_results(w);
  if (!w->how->no_state)
    call.watch = w->watch = keeper_part(w->engine, w->mem, w->set, w->m->id, w->m->datasource, w->m->attempts + 1);
  return away_reach(w, beat) && engine_run(w->engine, w->mem, w->set, &call, answer, report, w->e);
}

/* A set of which nothing is known, for the end of what cannot be decoded any more. */
static struct command_set *no_set(struct work *w) {
  struct command_set *set = arena_new(w->mem, struct command_set);

  *set = (struct command_set){.command = manifest_command(w->engine->manifest, "execute_command_set"),
                              .is_set = true,
                              .each_alone = true,
                              .member = "commands",
                              .outbox_step = SIZE_MAX};
  return set;
}

/* Nobody can tell any more. */
static enum mutation_end end_in_doubt(struct work *w) {
  err_set(w->e, COMMIT_UNKNOWN,
          "There is no datasource \"%s\" any more: whether the step that was begun there is done is not known.", w->m->away);
  log_line(LOG_WARN, "mutation_dead", "mutation=%s step=%zu code=%s", w->m->id, w->m->step, err_name(w->e));
  return work_end_in_error(w, w->e, true);
}

enum mutation_end mutation_run(struct engine *engine, void *mem, struct mutation *m, struct mutation_run *how,
                               struct report *report, struct err *e) {
  struct work w = {.frame = {.begin = begin_step,
                             .aim = away_aim,
                             .open = open_step,
                             .close = close_step,
                             .judge = judge_step,
                             .done = away_done,
                             .inside_key = inside_key},
                   .engine = engine,
                   .mem = mem,
                   .m = m,
                   .how = how,
                   .e = e,
                   .away = AT_HOME};
  enum away away = AWAY_KNOWN;

  how->complete = false;
  *report = (struct report){0};
  if (m->away) away = away_resolve(&w);
  if (away == AWAY_UNKNOWN) return work_put_off(&w);
  if (away == AWAY_LOST) return MUTATION_LOST;
  w.doubt = away == AWAY_GONE;
  if (!work_load(&w)) {
    w.set = no_set(&w);
    return work_judge_failure(&w);
  }
  if (!decode(&w)) {
    w.set = no_set(&w);
    return work_end_in_error(&w, e, false);
  }
  if (away == AWAY_GONE) return end_in_doubt(&w);
  if (m->step > mutation_steps(w.set)) {
    err_set(e, INTERNAL, "The mutation has more steps behind it than it has.");
    return work_end_in_error(&w, e, false);
  }
  if (m->step == mutation_steps(w.set)) {
    take_results(&w);
    how->complete = true;
    return work_end_done(&w, how->answer);
  }
  if (m->attempts >= (unsigned)engine->config->background_attempts) return work_give_up(&w);
  how->complete = run_steps(&w, how->answer, report);
  if (!how->complete) return work_judge_failure(&w);
  if (how->until_ms && !how->no_state) work_tell_end(&w);
  return MUTATION_ENDED;
}
