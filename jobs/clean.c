#include "jobs/clean.h"

#include "base/arena.h"
#include "db/flight.h"

#include <stdlib.h>

/* hours: $1. place: each statement has a slot of its own. */
static bool run(struct conn *c, void *mem, unsigned place, const char *sql, int hours, enum gives gives, const struct wait *w,
                struct step_result *result, struct err *e) {
  const char *param = arena_printf(mem, "%d", hours);
  struct step step = {.statement = {.sql = sql, .gen = UINT32_MAX, .slot = (uint16_t)(STATEMENT_CLEAN - place)}, .params = &param,
                      .nparams = 1, .gives = gives, .member = MEMBER_NONE, .purpose = "clean"};
  struct plan plan = {.isolation = ISOLATION_READ_COMMITTED, .claims = "{}", .caller_role = "anonymous", .caller_user = "",
                      .request_id = "clean", .shared_session = true, .steps = &step, .n = 1};
  struct flight f;

  if (!flight_run(c, mem, &plan, w, &f, e)) return false;
  *result = f.results[0];
  return true;
}

bool clean_keys(struct conn *c, void *mem, int hours, const struct wait *w, uint64_t *gone, struct err *e) {
  static const char sql[] =
      "delete from writ.idempotency where id in (select id from writ.idempotency"
      " where created < now() - make_interval(hours => $1::integer) order by created limit 1000 for update skip locked)";
  struct step_result result;

  if (!run(c, mem, 0, sql, hours, GIVES_TAG, w, &result, e)) return false;
  *gone = result.rows;
  return true;
}

/* Rows stand on disk in the order in which they go, so what is deleted are whole pages, at the front of table and indexes, which
 * VACUUM gives to those that come: the table does not grow. Partitions would have to be detached and dropped by their owner, who
 * writd's login role is not meant to be; and this takes no lock that anybody waits for. It begins behind the last one that was
 * deleted, so it does not walk over those that are no more. */
bool clean_events(struct conn *c, void *mem, int hours, const struct wait *w, uint64_t *gone, struct err *e) {
  static const char sql[] =
      "with tail as (select position from writ.event_tail for update skip locked),"
      " needed as (select min(position) as p from (select min(position) as position from writ.projection"
      " union all select min(position) from writ.event_reader) n),"
      " batch as (select e.position, e.at from tail t cross join lateral (select position, at from writ.event"
      " where position > t.position order by position limit 1000) e),"
      " upto as (select least((select p from needed), coalesce((select min(position) - 1 from batch"
      " where at >= now() - make_interval(hours => $1::integer)), (select max(position) from batch))) as p),"
      " gone as (delete from writ.event where position > (select position from tail) and position <= (select p from upto)"
      " returning position),"
      " moved as (update writ.event_tail set position = (select max(position) from gone) where exists (select from gone))"
      " select count(*)::text from gone";
  struct step_result result;

  if (!run(c, mem, 1, sql, hours, GIVES_TEXT, w, &result, e)) return false;
  *gone = strtoull(result.text, NULL, 10);
  return true;
}
