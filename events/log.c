/* Pages of the log: one statement each, so one snapshot. */
#include "events/log.h"

#include "base/arena.h"
#include "base/str.h"
#include "engine/engine_inside.h"
#include "engine/told.h"
#include "jobs/queue.h"

#include <string.h>

/* Where the log begins and ends: $1 must be between. Partitions below $1 are not looked at. */
#define GUARDED                                                                                                                 \
  "with ends as (select t.position as gone, coalesce((select max(position) from writ.event where position >= $1::bigint), "     \
  "writ.event_last()) as last from writ.event_tail t) "                                                                         \
  "select case when $1::bigint < ends.gone then writ.fail('EVENTS_GONE', 'Events up to position ' || ends.gone || ' have been " \
  "cleaned away: begin with after=' || ends.gone || ', and with a state that has them.', 400) "                                 \
  "when $1::bigint > ends.last then writ.fail('EVENTS_AHEAD', 'The log ends at position ' || ends.last || ': after=' || $1 || " \
  "' is of another log, or of one that was restored to an earlier state.', 400) else "

/* A text for each of the filters there are: "is null or" would keep PostgreSQL from using their indexes. A page of all events is of
 * so many positions, as only the partitions that have them are to be looked at; some of the events may have been erased. */
static const char *page_sql(const void *mem, const struct event_query *q) {
  bool all = !q->name && !q->key;

  return arena_printf(
      mem,
      GUARDED "(select json_build_object('events', coalesce(json_agg(" EVENT_JSON " order by e.position), '[]'), "
              "'last', case when count(*) = $2::integer then max(e.position) else %s end)::text "
              "from (select * from writ.event where position > $1%s%s%s order by position limit $2) e) end from ends",
      all ? "least(ends.last, $1 + $2::integer)" : "ends.last", all ? " and position <= $1 + $2::integer" : "",
      q->name ? " and name = $3::text" : "",
      !q->key   ? ""
      : q->name ? " and key = " TOLD_SHORT("$4::text")
                : " and key = " TOLD_SHORT("$3::text"));
}

bool event_log_page(struct engine *engine, void *mem, size_t datasource, const struct event_query *q, const struct wait *w,
                    const char **text, struct err *e) {
  const char *params[4] = {arena_printf(mem, "%lld", (long long)q->after), arena_printf(mem, "%d", q->limit)};
  unsigned n = 2;
  struct step steps[] = {{.as_login = true, .member = MEMBER_NONE, .purpose = "plans"},
                         {.params = params, .gives = GIVES_TEXT, .as_login = true, .member = MEMBER_NONE, .purpose = "events"}};
  struct plan plan = plan_own("events", steps, 2);
  struct flight f;
  bool fresh;

  plan.read_only = true;
  plan.shared_session = !engine->config->datasources[datasource].prepared;
  if (q->name) params[n++] = q->name;
  if (q->key) params[n++] = q->key;
  steps[0].statement = variants_text(engine->variants, mem, QUEUE_PLANS);
  steps[1].nparams = n;
  steps[1].statement = variants_text(engine->variants, mem, page_sql(mem, q));
  if (!conn_open(engine->sources[datasource].conn, w, &fresh, e)) return false;
  if (flight_run(engine->sources[datasource].conn, mem, &plan, w, &f, e)) {
    *text = f.results[1].text;
    return true;
  }
  if (strcmp(e->sqlstate, "42P01") != 0 && strcmp(e->sqlstate, "42501") != 0 && strcmp(e->sqlstate, "3F000") != 0)
    return false;
  err_set(e, DATABASE_UNAVAILABLE, "The database is not prepared for events.");
  e->log_detail = "the login role may not read table writ.event: run `writ install`, with --grant";
  return false;
}
