#include "jobs/clean.h"

#include "base/arena.h"
#include "db/flight.h"

/* place: which of the statements of this file. */
static struct step step_of(unsigned place, const char *sql, const char *const *params, unsigned n) {
  return (struct step){.statement = {.sql = sql, .gen = UINT32_MAX - place, .slot = STATEMENT_CLEAN}, .params = params, .nparams = n,
                       .gives = GIVES_TAG, .member = MEMBER_NONE, .purpose = "cleaning"};
}

/* As a transaction of its own. *rows: of the last. */
static bool run_steps(struct conn *c, void *mem, struct step *steps, size_t n, const struct wait *w, uint64_t *rows, struct err *e) {
  struct plan plan = {.isolation = ISOLATION_READ_COMMITTED, .claims = "{}", .caller_role = "anonymous", .caller_user = "",
                      .request_id = "clean", .shared_session = true, .steps = steps, .n = n};
  struct flight f;

  if (!flight_run(c, mem, &plan, w, &f, e)) return false;
  *rows = f.results[n - 1].rows;
  return true;
}

static bool run(struct conn *c, void *mem, unsigned place, const char *sql, const char *const *params, unsigned nparams, const struct wait *w,
                uint64_t *rows, struct err *e) {
  struct step step = step_of(place, sql, params, nparams);

  return run_steps(c, mem, &step, 1, w, rows, e);
}

bool clean_keys(struct conn *c, void *mem, int hours, const struct wait *w, uint64_t *gone, struct err *e) {
  static const char sql[] =
      "delete from writ.idempotency where id in (select id from writ.idempotency"
      " where created < now() - make_interval(hours => $1::integer) order by created limit 1000 for update skip locked)";
  const char *param = arena_printf(mem, "%d", hours);

  return run(c, mem, 0, sql, &param, 1, w, gone, e);
}

/* Rows stand on disk in the order in which they go, so what is deleted are whole pages, at the front of table and indexes, which
 * VACUUM gives to those that come: the table does not grow. Partitions would have to be detached and dropped by their owner, who
 * writd's login role is not meant to be; and this takes no lock that anybody waits for. It begins behind the last one that was
 * deleted, so it does not walk over those that are no more. The lock comes in a statement ahead: what a reader or a rebuild wrote
 * until then must be seen, and who has it keeps the cleaning away. */
bool clean_events(struct conn *c, void *mem, int hours, const struct wait *w, uint64_t *gone, struct err *e) {
  static const char lock_sql[] =
      "with tail as (select from writ.event_tail for update skip locked)"
      " select set_config('writ.s1', case when exists (select from tail) then 'mine' else '' end, true)";
  static const char sql[] =
      "with tail as (select position from writ.event_tail where current_setting('writ.s1') = 'mine'),"
      " needed as (select min(position) as p from (select min(position) as position from writ.projection"
      " union all select min(position) from writ.event_reader) n),"
      " batch as (select e.position, e.at from tail t cross join lateral (select position, at from writ.event"
      " where position > t.position order by position limit 1000) e),"
      " upto as (select least((select p from needed), coalesce((select min(position) - 1 from batch"
      " where at >= now() - make_interval(hours => $1::integer)), (select max(position) from batch))) as p),"
      " gone as (delete from writ.event where position > (select position from tail) and position <= (select p from upto)"
      " returning position),"
      " moved as (update writ.event_tail set position = (select max(position) from gone) where exists (select from gone))"
      " select position from gone";
  const char *param = arena_printf(mem, "%d", hours);

  struct step steps[] = {step_of(4, lock_sql, NULL, 0), step_of(3, sql, &param, 1)};

  steps[0].statement.slot--; /* both are of one flight */
  return run_steps(c, mem, steps, 2, w, gone, e);
}

/* A mark is left alone while the process that made it may be about to take it in. */
bool clean_states(struct conn *c, void *mem, const char *rules, int hours, const struct wait *w, uint64_t *gone, struct err *e) {
  static const char settle[] =
      "with left_behind as (select mutation from writ.state where ended is null and lease < clock_timestamp()"
      " union select mutation from writ.state_mark where at < clock_timestamp() - interval '5 s' limit 100)"
      " select l.mutation from left_behind l where writ.state_settle(l.mutation, $1::jsonb)";
  static const char forget[] =
      "with old as (delete from writ.state where mutation in (select mutation from writ.state"
      " where ended < now() - make_interval(hours => $1::integer) order by ended limit 1000 for update skip locked) returning mutation),"
      " changes as (delete from writ.state_change c using old o where c.mutation = o.mutation)"
      " select mutation from old";
  const char *param = arena_printf(mem, "%d", hours);
  uint64_t settled;

  if (!run(c, mem, 1, settle, &rules, 1, w, &settled, e) || !run(c, mem, 2, forget, &param, 1, w, gone, e)) return false;
  *gone += settled;
  return true;
}
