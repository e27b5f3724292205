/* How a mutation ends, or is put off, and what follows it. */
#include "mutations/work.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

enum {
  PAUSE_MIN_MS = 500, /* before a step is tried again; doubles, jittered by half */
  PAUSE_MAX_MS = 300000,
};

/* Behind the end what is to be told of it, as behind a mark (execute.c). */
static const char complete_sql[] =
    "with m as (update writ.mutation set step = $2::integer, ended = now(), outcome = 'complete', owner = null, away = null, error = null, "
    "answer = " PIECES(
        "$3") " where id = $1::uuid returning id, answer) "
              "insert into writ.state_mark (mutation, attempt, name, payload) "
              "select id, $4::integer, x.name, case x.o when 1 then jsonb_build_object('step', $5::text) "
              "else writ.state_payload(x.name, answer) end "
              "from m cross join (values (1, 'TRANSACTION_COMPLETED'), (2, 'MUTATION_COMPLETED')) as x (o, name) "
              "where exists (select from writ.state where mutation = $1::uuid) order by x.o";
/* The same of one of its commands that has a state of its own, unless that has ended: a retry goes on with others. */
static const char complete_part_sql[] =
    "insert into writ.state_mark (mutation, attempt, name, payload) "
    "select s.mutation, $2::integer, x.name, case x.o when 1 then jsonb_build_object('step', $3::text) "
    "else writ.state_payload(x.name, '{\"result\":' || " PIECES(
        "$4") " || '}') end "
              "from writ.state s cross join (values (1, 'TRANSACTION_COMPLETED'), (2, 'MUTATION_COMPLETED')) as x (o, name) "
              "where s.mutation = $1::uuid and s.ended is null order by x.o";
static const char end_sql[] =
    "update writ.mutation set ended = now(), outcome = $2, dead = $3::boolean, owner = null, error = $4::json, "
    "attempts = greatest(attempts, $5::integer), answer = null where id = $1::uuid";
/* $2: its own id, $3: on_complete or on_error, $4: deadline. */
static const char follow_sql[] =
    "insert into writ.mutation (id, parent, deadline, command, args, role, caller_user, claims, request_id) "
    "select $2::uuid, id, now() + $4::integer * interval '1 s', 'execute_command_set', "
    "json_build_object('commands', args -> $3), role, caller_user, claims, request_id from writ.mutation where id = $1::uuid";

struct step work_step(struct work *w, const char *sql, const char *const *params, unsigned n, const char *purpose) {
  return mutation_own_step(w->engine, w->mem, sql, params, n, purpose);
}

const char *work_one_piece(struct work *w, const char *text) {
  struct str *out = str_new(w->mem, 64);

  str_char(out, '[');
  str_json(out, text);
  str_char(out, ']');
  return out->p;
}

/* ---- ends ---- */

/* What follows an end is accepted with it; also where the commands cannot be read any more, and its steps are not known. */
static void put_follower(struct work *w, struct compiler *k, struct plan *plan, bool complete) {
  const struct command_set *next = complete ? w->set->on_complete : w->set->on_error;
  const char *member = complete ? "on_complete" : "on_error", **params = arena_array(w->mem, const char *, 4);
  const struct json *commands = json_get(w->m->args, member);
  int deadline_s = w->engine->config->background_deadline_s;
  char *id;

  if (!commands || !commands->len) return;
  id = arena_zero(w->mem, 37, "uuid");
  clock_uuid7(id);
  params[0] = w->m->id;
  params[1] = id;
  params[2] = member;
  params[3] = deadline_s ? arena_printf(w->mem, "%d", deadline_s) : NULL;
  w->engine->wake_background = true;
  compile_step(k, plan, work_step(w, follow_sql, params, 4, complete ? "accept on_complete" : "accept on_error"));
  state_put_new(k, plan, id, state_caller(w->mem, &w->m->caller), next ? mutation_state_steps(w->mem, next) : NULL,
                next ? mutation_steps(next) : 0, 0);
}

static void put_complete_part(struct work *w, struct compiler *k, size_t entry, struct plan *plan) {
  const struct entry *part = &w->set->entries[entry];
  const char **params = arena_array(w->mem, const char *, 4);

  params[0] = part->mutation;
  params[1] = arena_printf(w->mem, "%u", w->m->attempts + 1);
  params[2] = part->command->name;
  params[3] = result_pieces_alone(w->mem, w->set, entry);
  compile_step(k, plan, work_step(w, complete_part_sql, params, 4, "a command of the mutation is complete"));
}

void work_put_complete(struct work *w, struct compiler *k, size_t step, const char *pieces, struct plan *plan) {
  const char **params = arena_array(w->mem, const char *, 5);

  params[0] = w->m->id;
  params[1] = arena_printf(w->mem, "%zu", step);
  params[2] = pieces;
  params[3] = arena_printf(w->mem, "%u", w->m->attempts + 1);
  params[4] = step ? mutation_step_id(w->mem, w->set, step - 1) : "";
  compile_step(k, plan, work_step(w, complete_sql, params, 5, "the mutation is complete"));
  for (size_t i = 0; i < w->set->nentries; i++)
    if (w->set->entries[i].mutation) put_complete_part(w, k, i, plan);
  put_follower(w, k, plan, true);
}

static const char *error_json(struct work *w, const struct err *e) {
  struct str *out = str_new(w->mem, 256);
  struct err told = *e;

  /* Also where it was found out ahead of the steps that are left (a command is not there any more): others are done. */
  if (w->m->step && told.committed < (int)w->m->step) told.committed = (int)w->m->step;
  err_put(out, &told, w->m->request_id);
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

/* step NULL: it was in none. */
static void put_end_of(struct work *w, struct compiler *k, struct plan *plan, const char *id, const char *step,
                       const char *error, bool cancelled) {
  unsigned attempt = w->m->attempts + 1;

  if (step) state_put_event(k, plan, id, attempt, "TRANSACTION_ERROR", event_payload(w, error, step));
  state_put_event(k, plan, id, attempt, cancelled ? "MUTATION_CANCELLED" : "MUTATION_ERROR", event_payload(w, error, NULL));
}

static void put_end_events(struct work *w, struct compiler *k, struct plan *plan, const char *error, bool cancelled) {
  bool ran = !cancelled && w->stop != STOP_EXPIRED, in_step = ran && w->m->step < mutation_steps(w->set);
  struct mutation_part *parts;
  size_t n = mutation_parts(w->mem, w->m, &parts);

  put_end_of(w, k, plan, w->m->id, in_step ? mutation_step_id(w->mem, w->set, w->m->step) : NULL, error, cancelled);
  for (size_t i = 0; i < n; i++) put_end_of(w, k, plan, parts[i].id, ran ? parts[i].step : NULL, error, cancelled);
}

struct compiler work_compiler(struct work *w) {
  return (struct compiler){.mem = w->mem,
                           .config = w->engine->config,
                           .manifest = w->engine->manifest,
                           .variants = w->engine->variants,
                           .mutation = w->m->id};
}

/* What the end is, put into the plan behind the lease. */
typedef void put_end(struct work *w, struct compiler *k, const void *what, struct plan *plan);

static bool is_lost(const struct flight *f, const struct err *e) {
  return err_is_own(e, "LEASE_LOST") && f->failed_step == 0;
}

/* Functions of the manifest's stand in this transaction. One that fails it, or does not return, must not keep the mutation from its end:
 * then that is told without them. */
static bool may_do_without(const struct err *e) {
  return e->code != ERR_DATABASE_UNAVAILABLE && e->code != ERR_COMMIT_UNKNOWN;
}

static enum mutation_end end_by(struct work *w, put_end *put, const void *what) {
  struct compiler k = work_compiler(w);
  struct manifest plain = *k.manifest;
  struct flight f;
  struct err e;

  plain.state.text = NULL;
  for (bool again = false;; again = true) {
    struct plan plan = {0};

    err_init(&e, w->mem);
    compile_step(&k, &plan, work_lock_step(w));
    put(w, &k, what, &plan);
    if (mutation_trip(w->engine, w->mem, w->m->datasource, plan.steps, plan.n, &f, &e)) return MUTATION_ENDED;
    if (is_lost(&f, &e)) return MUTATION_LOST;
    if (again || !may_do_without(&e)) break;
    log_line(LOG_WARN, "state", "mutation=%s reason=%s detail=%s", w->m->id,
             log_quoted(w->mem, "its end is told without reducers, as it could not be with them"),
             log_quoted(w->mem, e.log_detail));
    k.manifest = &plain;
  }
  log_line(LOG_WARN, "mutation_put_off", "mutation=%s code=%s reason=%s detail=%s", w->m->id, err_name(&e),
           log_quoted(w->mem, e.message), log_quoted(w->mem, e.log_detail));
  return MUTATION_PUT_OFF; /* the lease ends, and it is tried once more */
}

struct end_in_error {
  const char *error; /* as JSON */
  bool dead;
};

static void put_end_in_error(struct work *w, struct compiler *k, const void *what, struct plan *plan) {
  const struct end_in_error *end = what;
  bool cancelled = w->stop == STOP_CANCELLED;
  const char **params = arena_array(w->mem, const char *, 5);

  params[0] = w->m->id;
  params[1] = cancelled ? "cancelled" : "error";
  params[2] = end->dead ? "t" : "f";
  params[3] = end->error;
  params[4] =
      end->dead ? arena_printf(w->mem, "%d", w->engine->config->background_attempts) : "0"; /* the last one counts, too */
  compile_step(k, plan, work_step(w, end_sql, params, 5, "the mutation has ended"));
  put_follower(w, k, plan, false);
  put_end_events(w, k, plan, end->error, cancelled);
}

/* In an error, or cancelled: with what is to follow that. */
enum mutation_end work_end_in_error(struct work *w, const struct err *e, bool dead) {
  struct end_in_error end = {.error = error_json(w, e), .dead = dead};

  return end_by(w, put_end_in_error, &end);
}

static void put_end_done(struct work *w, struct compiler *k, const void *what, struct plan *plan) {
  work_put_complete(w, k, mutation_steps(w->set), work_one_piece(w, ((const struct str *)what)->p), plan);
}

/* The one result of what is no execute set is the answer (execute.c, close_step). */
enum mutation_end work_end_done(struct work *w, struct str *answer) {
  if (w->m->step && !w->set->each_alone) str_add(answer, w->results->items[0].text);
  else result_put(answer, w->set);
  return end_by(w, put_end_done, answer);
}

void work_tell_end(struct work *w) {
  struct compiler k = work_compiler(w);
  struct plan plan = {0};
  struct mutation_part *parts;
  size_t n = mutation_parts(w->mem, w->m, &parts);
  struct flight f;
  struct err ignored;

  err_init(&ignored, w->mem);
  state_put_settle(&k, &plan, w->m->id);
  for (size_t i = 0; i < n; i++) state_put_settle(&k, &plan, parts[i].id);
  if (!mutation_trip(w->engine, w->mem, w->m->datasource, plan.steps, plan.n, &f, &ignored)) return;
  engine_tell(w->engine, w->m->id);
  for (size_t i = 0; i < n; i++) engine_tell(w->engine, parts[i].id);
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

enum mutation_end work_put_off(struct work *w) {
  const struct err *e = w->e;
  struct err ignored;

  err_init(&ignored, w->mem);
  log_line(LOG_WARN, "mutation_failed", "mutation=%s step=%zu attempt=%u code=%s reason=%s detail=%s", w->m->id, w->m->step,
           w->m->attempts + 1, err_name(e), log_quoted(w->mem, e->message), log_quoted(w->mem, e->log_detail));
  /* What may be done elsewhere has no end before that is known. */
  if (!w->m->away && w->m->attempts + 1 >= (unsigned)w->engine->config->background_attempts) {
    log_line(LOG_WARN, "mutation_dead", "mutation=%s step=%zu code=%s", w->m->id, w->m->step, err_name(e));
    return work_end_in_error(w, e, true);
  }
  /* If not: the lease ends. */
  (void)mutation_release(w->engine, w->mem, w->m, pause_of(w->m->attempts), error_json(w, e), &ignored);
  return MUTATION_PUT_OFF;
}

/* Whoever had it died so often. */
enum mutation_end work_give_up(struct work *w) {
  err_set(w->e, INTERNAL, "It was tried %u times, and the last ones ended without a word.", w->m->attempts);
  log_line(LOG_WARN, "mutation_dead", "mutation=%s step=%zu code=%s", w->m->id, w->m->step, err_name(w->e));
  return work_end_in_error(w, w->e, true);
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

enum mutation_end work_judge_failure(struct work *w) {
  struct err *e = w->e;
  int committed = e->committed;

  if (!w->doubt && e->code != ERR_COMMIT_UNKNOWN) w->m->away = NULL; /* not done, for certain */
  if (w->how->forget && !w->m->away && w->m->step == 0 && (w->stop == STOP_NONE || w->stop == STOP_OURS)) return forget(w);
  switch (w->stop) {
  case STOP_LOST: return MUTATION_LOST;
  case STOP_ASKED:
    give_back(w);
    e->committed = committed;
    return MUTATION_LEFT;
  case STOP_CANCELLED: err_set(e, CANCELLED, "The mutation was cancelled."); break;
  case STOP_EXPIRED: err_set(e, TIMEOUT, "The mutation did not end within its time."); break;
  case STOP_OURS: return work_put_off(w);
  case STOP_NONE: return is_passing(e) ? work_put_off(w) : work_end_in_error(w, e, false);
  }
  e->committed = committed;
  return work_end_in_error(w, e, false);
}
