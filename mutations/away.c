/* Steps on another datasource than the mutation's own, its home. There a step's writes are committed with a row that says so
 * (writ.mutation_step); then the home is told. In between that row alone knows. Whoever takes the mutation over then asks it first,
 * and shuts out all older tries of the step (docs/design.md, "Durable mutations"). */
#include "mutations/work.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

enum {
  LATE_S =
      900 /* between the look at the lease and the step, by two clocks: far less than a row is kept (sql/install/008.sql) */
};

/* At home, right ahead of the step: with the time there, and who it is. */
static const char begin_sql[] =
    "with m as (update writ.mutation set away = $2, due = clock_timestamp() + $3::integer * interval '1 ms' where id = $1::uuid "
    "returning coalesce(born, id) as born) "
    "select extract(epoch from clock_timestamp())::text || ' ' || m.born || ' ' || i.id from m, writ.installation i";

/* Away. Of two that have begun the same step one waits here for the other. */
#define STEP_ROW                                                                                                            \
  "insert into writ.mutation_step (mutation, step, born, home, attempt) "                                                   \
  "values ($1::uuid, $2::integer, $3::uuid, $4::uuid, $5::integer) on conflict (mutation, step, born) do update set "
#define OF_STEP "where mutation = $1::uuid and step = $2::integer and born = $3::uuid"
static const char open_sql[] =
    "with s as (" STEP_ROW "attempt = excluded.attempt where mutation_step.result is null "
    "and mutation_step.attempt <= excluded.attempt returning 1) "
    "select case when not exists (select from s) then writ.fail('STEP_TAKEN', 'taken', 409) "
    "when abs(extract(epoch from clock_timestamp()) - $6::numeric) > $7::numeric then writ.fail('STEP_LATE', 'late', 409) else '' end";
static const char close_sql[] = "update writ.mutation_step set result = " PIECES("$4") "::json " OF_STEP;

/* What became of it, in two statements: the second sees what the first has waited for. */
static const char fence_sql[] =
    STEP_ROW "attempt = greatest(mutation_step.attempt, excluded.attempt) where mutation_step.result is null";
static const char look_sql[] = "select attempt || ' ' || coalesce(result::text, '') from writ.mutation_step " OF_STEP;

static bool is_unprepared(const struct err *e) {
  return strcmp(e->sqlstate, "42501") == 0 || strcmp(e->sqlstate, "42P01") == 0 || strcmp(e->sqlstate, "3F000") == 0;
}

bool away_reach(struct work *w, void (*beat)(void *data)) {
  struct wait wait = {.deadline_ms = clock_ms() + w->engine->config->timeout_ms,
                      .caller_fd = -1,
                      .beat = beat,
                      .data = w,
                      .beat_in_flight = true};

  for (size_t i = w->m->step; i < w->set->nentries; i++) {
    size_t datasource = w->set->entries[i].datasource;
    if (datasource == w->m->datasource || source_ready(w->engine, datasource, &wait, w->e)) continue;
    if (w->set->each_alone) w->e->committed = (int)w->m->step;
    compile_place_entry(w->mem, w->set, i, NULL, w->e);
    return false;
  }
  return true;
}

/* ---- ahead of a try ---- */

/* "1789.123456 uuid uuid" */
static bool take_begin(struct work *w, const struct step_result *row, struct err *e) {
  const char *born = row->text ? strchr(row->text, ' ') : NULL, *home = born ? strchr(born + 1, ' ') : NULL;

  if (!home)
    return err_set(e, DATABASE_UNAVAILABLE, "The database has no row in table writ.installation; nothing was changed.");
  w->begun = arena_strndup(w->mem, row->text, (size_t)(born - row->text));
  w->m->born = arena_strndup(w->mem, born + 1, (size_t)(home - born - 1));
  w->m->home = home + 1;
  return true;
}

bool away_aim(struct frame *frame, struct run *r, size_t datasource) {
  struct work *w = (struct work *)frame;
  const char *name = w->engine->config->datasources[datasource].name;
  const char *params[] = {w->m->id, name, arena_printf(w->mem, "%d", w->engine->config->background_lease_ms)};
  struct step steps[2];
  int64_t now = clock_ms();
  struct flight f;

  w->away = datasource != w->m->datasource ? datasource : AT_HOME;
  if (w->away == AT_HOME) return true;
  /* One that cannot be reached leaves no question open. */
  if (!source_ready(w->engine, datasource, &r->wait, r->e)) return false;
  steps[0] = work_look_step(w);
  steps[1] = work_step(w, begin_sql, params, 3, "begin a step elsewhere");
  steps[1].gives = GIVES_TEXT;
  if (mutation_trip(w->engine, w->mem, w->m->datasource, steps, 2, &f, r->e)) {
    w->m->away = name;
    w->m->leased_ms = now;
    FAULT("away-begun");
    return take_begin(w, &f.results[1], r->e);
  }
  if (!f.was_lost && f.failed_step == 0) work_judge_look(w, r->e);
  return false;
}

/* ---- around it ---- */

static const char **step_params(struct work *w, size_t more) {
  const char **params = arena_array(w->mem, const char *, 5 + more);

  params[0] = w->m->id;
  params[1] = arena_printf(w->mem, "%zu", w->m->step);
  params[2] = w->m->born;
  params[3] = w->m->home;
  params[4] = arena_printf(w->mem, "%u", w->m->attempts);
  return params;
}

size_t away_open(struct work *w, struct compiler *k, struct plan *plan) {
  const char **params = step_params(w, 2);

  params[5] = w->begun;
  params[6] = arena_printf(w->mem, "%d", LATE_S);
  return compile_step(k, plan, work_step(w, open_sql, params, 7, "begin the step here"));
}

void away_close(struct work *w, struct compiler *k, const char *pieces, struct plan *plan) {
  const char **params = step_params(w, 0);

  params[3] = pieces;
  compile_step(k, plan, work_step(w, close_sql, params, 4, "the step is done here"));
}

/* Refused by its first step, for certain. That it was done, or somebody newer is at it, the home may not know: it is asked anew. */
enum next away_judge(struct work *w, struct run *r, const struct flight *f) {
  const char *name = w->engine->config->datasources[w->away].name;

  if (err_is_own(r->e, "STEP_TAKEN")) {
    w->doubt = true;
    err_set(r->e, IDEMPOTENCY_CONFLICT, "The step was begun by somebody else.");
  } else if (err_is_own(r->e, "STEP_LATE")) {
    err_set(r->e, DATABASE_UNAVAILABLE, "The step came too late for its datasource; nothing was changed.");
    r->e->log_detail =
        arena_printf(r->mem, "datasource %s: its clock and that of %s are more than %d s apart, or so long passed", name,
                     w->engine->config->datasources[w->m->datasource].name, LATE_S);
  } else if (is_unprepared(r->e)) {
    err_set(r->e, DATABASE_UNAVAILABLE, "The database is not prepared for durable mutations; nothing was changed.");
    r->e->log_detail =
        arena_printf(r->mem,
                     "datasource %s: the login role may not use table writ.mutation_step: run `writ install`, "
                     "with --grant",
                     name);
  } else if (f->raised_by_server) {
    return NEXT_OTHER; /* as of any other step */
  } else {
    w->stop = STOP_OURS;
  }
  return NEXT_REFUSED;
}

/* ---- behind it ---- */

bool away_done(struct frame *frame, struct run *r, size_t first, size_t end) {
  struct work *w = (struct work *)frame;
  struct compiler k = transaction_compiler(r);
  struct plan plan = {0};
  int64_t now = clock_ms();
  struct flight f;

  if (w->away == AT_HOME) return true;
  FAULT("away-committed");
  result_settle(w->set, first, end);
  compile_step(&k, &plan, work_lock_step(w));
  if (end == w->set->nentries) work_put_complete(w, &k, mutation_steps(w->set), result_pieces(w->mem, w->set), &plan);
  else work_put_mark(w, &k, result_pieces_alone(w->mem, w->set, first), mutation_step_id(w->mem, w->set, first), &plan);
  if (mutation_trip(w->engine, w->mem, w->m->datasource, plan.steps, plan.n, &f, r->e)) {
    w->m->away = NULL;
    w->m->leased_ms = now;
    FAULT("away-told");
    return true;
  }
  w->doubt = true;
  if (!f.was_lost && f.failed_step == 0) work_judge_look(w, r->e);
  return false;
}

/* ---- taken over ---- */

static size_t find_datasource(const struct config *config, const char *name) {
  size_t i = 0;

  while (i < config->ndatasources && strcmp(config->datasources[i].name, name) != 0) i++;
  return i;
}

static bool ask(struct work *w, size_t datasource, const char **text) {
  const char **params = step_params(w, 0);
  struct step steps[] = {work_step(w, fence_sql, params, 5, "shut out older tries"),
                         work_step(w, look_sql, params, 3, "is the step done?")};
  struct flight f;

  steps[1].gives = GIVES_TEXT;
  if (!mutation_trip(w->engine, w->mem, datasource, steps, 2, &f, w->e)) return false;
  *text = f.results[1].text;
  return *text || err_set(w->e, INTERNAL, "A row of writ.mutation_step has vanished.");
}

/* The home hears of it. The last step is told of with the end, which comes next. */
static enum away tell_home(struct work *w, const char *result) {
  const struct json *commands = json_get(w->m->args, "commands"), *as;
  bool each = strcmp(w->m->command, "execute_command_set") == 0,
       last = !each || !commands || w->m->step + 1 >= commands->len;
  struct compiler k = work_compiler(w);
  struct plan plan = {0};
  struct flight f;

  as = last ? NULL : json_get(&commands->items[w->m->step], "as");
  compile_step(&k, &plan, work_lock_step(w));
  work_put_mark(w, &k, work_one_piece(w, result), last ? NULL : mutation_step_name(w->mem, as ? as->text : NULL, w->m->step),
                &plan);
  if (!mutation_trip(w->engine, w->mem, w->m->datasource, plan.steps, plan.n, &f, w->e))
    return !f.was_lost && f.failed_step == 0 && err_is_own(w->e, "LEASE_LOST") ? AWAY_LOST : AWAY_UNKNOWN;
  w->m->away = NULL;
  w->m->attempts = 0;
  w->m->step++;
  return AWAY_KNOWN;
}

enum away away_resolve(struct work *w) {
  size_t datasource = find_datasource(w->engine->config, w->m->away);
  const char *text;

  if (datasource == w->engine->config->ndatasources) return AWAY_GONE;
  if (!ask(w, datasource, &text)) return AWAY_UNKNOWN;
  if (strtoul(text, NULL, 10) > w->m->attempts) return AWAY_LOST;
  text = strchr(text, ' ') + 1;
  if (*text) return tell_home(w, text);
  w->m->away = NULL;
  return AWAY_KNOWN;
}
