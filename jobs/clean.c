/* One statement for each kind; those that move the log's beginning have another one ahead, for its lock. */
#include "jobs/clean.h"

#include "base/arena.h"
#include "db/flight.h"
#include "jobs/queue.h"

#include <stdlib.h>

/* The statements of this file. */
enum place { PLACE_PLANS, PLACE_KEYS, PLACE_STATES, PLACE_TAIL, PLACE_EVENTS, PLACE_EVENTS_WHOLE, PLACE_PARTITION };

static struct step step_of(enum place place, const char *sql, const char *const *params, unsigned n) {
  return (struct step){.statement = {.sql = sql, .gen = UINT32_MAX - place, .slot = STATEMENT_CLEAN},
                       .params = params,
                       .nparams = n,
                       .gives = GIVES_TAG,
                       .member = MEMBER_NONE,
                       .purpose = "cleaning"};
}

/* Ahead of all others of its flight. */
static struct step plans_step(void) {
  struct step step = step_of(PLACE_PLANS, QUEUE_PLANS, NULL, 0);

  step.statement.slot -= 2; /* each of a flight has its own */
  step.gives = GIVES_NOTHING;
  return step;
}

/* As a transaction of its own. *rows: of the last. */
static bool run_steps(struct conn *c, void *mem, struct step *steps, size_t n, const struct wait *w, uint64_t *rows,
                      struct err *e) {
  struct plan plan = plan_own("clean", steps, n);
  struct flight f;

  if (!flight_run(c, mem, &plan, w, &f, e)) return false;
  if (steps[n - 1].gives == GIVES_TAG) *rows = f.results[n - 1].rows;
  else *rows = f.results[n - 1].text ? strtoull(f.results[n - 1].text, NULL, 10) : 0;
  return true;
}

static bool run(struct conn *c, void *mem, enum place place, const char *sql, const char *const *params, unsigned nparams,
                const struct wait *w, uint64_t *rows, struct err *e) {
  struct step steps[] = {plans_step(), step_of(place, sql, params, nparams)};

  return run_steps(c, mem, steps, 2, w, rows, e);
}

bool clean_keys(struct conn *c, void *mem, int hours, const struct wait *w, uint64_t *gone, struct err *e) {
  static const char sql[] =
      "delete from writ.idempotency where id = any (array(select id from writ.idempotency"
      " where created < now() - make_interval(hours => $1::integer) order by created limit 1000 for update skip locked))";
  const char *param = arena_printf(mem, "%d", hours);

  return run(c, mem, PLACE_KEYS, sql, &param, 1, w, gone, e);
}

/* Ahead of what moves the log's beginning, in a statement of its own: what a reader or a rebuild wrote until then must be seen by the
 * next one, and who has the row keeps the cleaning away. */
static const char tail_sql[] =
    "with tail as (select from writ.event_tail for update skip locked)"
    " select set_config('writ.s1', case when exists (select from tail) then 'mine' else '' end, true)";
#define TAIL "tail as (select position from writ.event_tail where current_setting('writ.s1') = 'mine')"
#define NEEDED                                                                                                              \
  "needed as (select min(position) as p from (select min(position) as position from writ.projection"                        \
  " union all select min(position) from writ.event_reader) n)"

/* tells: sql gives the number of what has gone, not the rows. */
static bool run_behind_tail(struct conn *c, void *mem, enum place place, const char *sql, bool tells, int hours,
                            const struct wait *w, uint64_t *gone, struct err *e) {
  const char *param = arena_printf(mem, "%d", hours);
  struct step steps[] = {plans_step(), step_of(PLACE_TAIL, tail_sql, NULL, 0), step_of(place, sql, &param, 1)};

  steps[1].statement.slot--;
  if (tells) steps[2].gives = GIVES_TEXT;
  return run_steps(c, mem, steps, 3, w, gone, e);
}

/* Rows stand on disk in the order in which they go, so what is deleted are whole pages, at the front of table and indexes, which
 * VACUUM gives to those that come; and this takes no lock that anybody waits for. It begins behind the last one that was deleted, so it
 * does not walk over those that are no more. */
bool clean_events(struct conn *c, void *mem, int hours, const struct wait *w, uint64_t *gone, struct err *e) {
  static const char sql[] =
      "with " TAIL ", " NEEDED
      ", batch as (select e.position, e.at from tail t cross join lateral (select position, at from writ.event"
      " where position > t.position order by position limit 1000) e),"
      " upto as (select least((select p from needed), coalesce((select min(position) - 1 from batch"
      " where at >= now() - make_interval(hours => $1::integer)), (select max(position) from batch))) as p),"
      " gone as (delete from writ.event where position > (select position from tail) and position <= (select p from upto)"
      " returning position),"
      " moved as (update writ.event_tail set position = (select max(position) from gone) where exists (select from gone))"
      " select position from gone";

  return run_behind_tail(c, mem, PLACE_EVENTS, sql, false, hours, w, gone, e);
}

/* Of a partition that is full: the newest of its events tell how old it is, more than one, as who commits late is behind others that are
 * younger. Until it is dropped its rows are ahead of the log's beginning, where nobody looks. */
bool clean_events_whole(struct conn *c, void *mem, int hours, const struct wait *w, uint64_t *gone, struct err *e) {
  static const char sql[] =
      "with " TAIL ", " NEEDED ", part as (select p.last from tail t, writ.event_partitions() p where p.last > t.position"
      " order by p.first limit 1),"
      " newest as (select max(n.at) as at from part p cross join lateral (select at from writ.event"
      " where position > p.last - 1000 and position <= p.last) n where exists (select from writ.event where position = p.last)),"
      " moved as (update writ.event_tail set position = p.last from part p, newest n"
      " where n.at < now() - make_interval(hours => $1::integer) and coalesce((select p from needed) >= p.last, true) returning p.last)"
      " select (m.last - t.position)::text from (select 1) one left join moved m on true left join tail t on true";

  return run_behind_tail(c, mem, PLACE_EVENTS_WHOLE, sql, true, hours, w, gone, e);
}

bool clean_partition(struct conn *c, void *mem, const struct wait *w, uint64_t *gone, struct err *e) {
  static const char sql[] = "select from writ.event_shrink() as dropped where dropped";

  return run(c, mem, PLACE_PARTITION, sql, NULL, 0, w, gone, e);
}

bool clean_states(struct conn *c, void *mem, int hours, const struct wait *w, uint64_t *gone, struct err *e) {
  static const char sql[] =
      "with old as (delete from writ.state where mutation = any (array(select mutation from writ.state"
      " where ended < now() - make_interval(hours => $1::integer) order by ended limit 1000 for update skip locked)) returning mutation),"
      " changes as (delete from writ.state_change where mutation = any (array(select mutation from old)))"
      " select mutation from old";
  const char *param = arena_printf(mem, "%d", hours);

  return run(c, mem, PLACE_STATES, sql, &param, 1, w, gone, e);
}
