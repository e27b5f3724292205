/* A round of a projection: its row is locked, its events are read, its position is moved, its function is called. All of it is
 * one flight: events go from table to function inside the server. */
#include "events/projector.h"

#include "base/arena.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/str.h"
#include "db/flight.h"
#include "events/log.h"

#include <stdlib.h>
#include <string.h>

/* Each has a slot of its own, and its own generation: nobody else counts that far. */
enum place { PLACE_LOCK, PLACE_READ, PLACE_MOVE, PLACE_CALL, PLACE_BEGIN, PLACE_STAND, PLACE_OTHER };

static struct step step_of(enum place place, const char *sql, const char *const *params, unsigned n, bool gives) {
  return (struct step){.statement = {.sql = sql, .gen = UINT32_MAX - place, .slot = (uint16_t)(STATEMENT_QUEUE + place)},
                       .params = params,
                       .nparams = n,
                       .gives = gives ? GIVES_TEXT : GIVES_NOTHING,
                       .as_login = true,
                       .member = MEMBER_NONE,
                       .purpose = "projection"};
}

static bool run_one(struct conn *c, void *mem, struct step step, const struct wait *w, struct step_result *result,
                    struct err *e) {
  struct plan plan = plan_own("projection", &step, 1);
  struct flight f;

  if (!flight_run(c, mem, &plan, w, &f, e)) return false;
  if (result) *result = f.results[0];
  return true;
}

bool projection_begin(struct conn *c, void *mem, const struct projection *p, const struct wait *w, struct err *e) {
  static const char sql[] = "insert into writ.projection (name) values ($1::text) on conflict do nothing";
  const char *params[] = {p->name};

  return run_one(c, mem, step_of(PLACE_BEGIN, sql, params, 1, false), w, NULL, e);
}

/* ---- a round ---- */

/* writ.s1: its position; empty: somebody else is at it. Without a row nobody knows what is in its tables: to begin anew would put it
 * there twice. */
static const char lock_sql[] =
    "with mine as (select position from writ.projection where name = $1::text for update skip locked) "
    "select set_config('writ.s1', coalesce((select position::text from mine), (select '' from writ.projection where name = $1), "
    "writ.fail('" PROJECTION_LOST
    "', 'Its row in writ.projection is gone, and with it how far it has come: `writ projection rebuild ' || $1 "
    "|| '` builds it anew, with --from-snapshot POSITION it goes on behind a position.', 500)), true)";

/* In another statement, so that it sees what was committed until the row was locked. writ.s2: the events; empty: none.
 * writ.s3: behind them. A full batch ends with its last event, any other with what was looked at: the log, or, of all events, so
 * many positions, of which some may have been erased. */
#define READ(upto, filter)                                                                                                   \
  "with ends as (select t.position as gone, greatest(t.position, (select max(position) from writ.event)) as last, "          \
  "nullif(current_setting('writ.s1'), '')::bigint as here from writ.event_tail t), "                                         \
  "guarded as (select last, " upto " as upto, case "                                                                         \
  "when here < gone then writ.fail('EVENTS_GONE', 'Events up to position ' || gone || ' have been cleaned away, and it has " \
  "come to ' || here || ' only: rebuild it from a snapshot.', 500)::bigint "                                                 \
  "when here > last then writ.fail('EVENTS_AHEAD', 'It has come to position ' || here || ', and the log ends at ' || last "  \
  "|| ': rebuild it.', 500)::bigint else here end as here from ends offset 0), "                                             \
  "batch as (select e.* from guarded g cross join lateral (select * from writ.event where position > g.here "                \
  "and position <= g.upto" filter " order by position limit $1::integer) e), "                                               \
  "sum as (select count(*) as n, max(e.position) as position, json_agg(" EVENT_JSON                                          \
  " order by e.position)::text as events from batch e) "                                                                     \
  "select json_build_array(set_config('writ.s2', coalesce(sum.events, ''), true) = '', set_config('writ.s3', "               \
  "coalesce(case when sum.n = $1 then sum.position when g.here is not null then g.upto end::text, ''), true) = '', sum.n, "  \
  "g.last, (select position from writ.projection where name = $2::text))::text from sum, guarded g"

static const char read_sql[] = READ("least(last, here + $1::integer)", "");
static const char read_named_sql[] = READ("last", " and name = any ($3::text[])");

static const char move_sql[] =
    "update writ.projection set position = current_setting('writ.s3')::bigint, updated = now(), failed_at = null, "
    "failed_since = null, error = null where name = $1::text and current_setting('writ.s3') <> '' "
    "and (position <> current_setting('writ.s3')::bigint or failed_at is not null)";

static const char *names_of(void *mem, const struct projection *p) {
  struct str *s = str_new(mem, 64);

  for (size_t i = 0; i < p->nevents; i++) {
    str_char(s, i ? ',' : '{');
    str_sql_element(s, p->events[i]);
  }
  str_char(s, '}');
  return s->p;
}

static int64_t number_of(const struct json *value) {
  return value->kind == JSON_NUMBER ? strtoll(value->text, NULL, 10) : 0;
}

static bool read_round(void *mem, const struct step_result *result, struct projection_round *out, struct err *e) {
  const struct json *row;

  if (!json_read(mem, result->text, result->len, 1, &row, e)) return false;
  out->busy = row->items[1].kind == JSON_TRUE;
  out->n = (unsigned)number_of(&row->items[2]);
  out->last = number_of(&row->items[3]);
  out->position = number_of(&row->items[4]);
  return true;
}

/* The position is moved ahead of the call: what the function may do to settings comes too late. */
bool projection_round(struct conn *c, void *mem, const struct projection *p, int batch, const struct wait *w,
                      struct projection_round *round, struct err *e) {
  const char *name[] = {p->name};
  const char *params[] = {arena_printf(mem, "%d", batch), p->name, p->nevents ? names_of(mem, p) : NULL};
  const char *call =
      arena_printf(mem, "select %s(current_setting('writ.s2')::jsonb) where current_setting('writ.s2') <> ''", p->function);
  struct step steps[] = {step_of(PLACE_LOCK, lock_sql, name, 1, false),
                         step_of(PLACE_READ, p->nevents ? read_named_sql : read_sql, params, p->nevents ? 3 : 2, true),
                         step_of(PLACE_MOVE, move_sql, name, 1, false), step_of(PLACE_CALL, call, NULL, 0, false)};
  struct plan plan = plan_own("projection", steps, sizeof steps / sizeof *steps);
  struct flight f;

  *round = (struct projection_round){0};
  steps[PLACE_CALL].as_login = false;
  plan.role = p->role;
  if (!flight_run(c, mem, &plan, w, &f, e)) {
    round->at_fault = !f.was_lost && !f.raised_by_server && f.state != TXN_UNKNOWN && f.failed_step >= PLACE_READ &&
                      e->code != ERR_DATABASE_UNAVAILABLE;
    return false;
  }
  FAULT("after-projecting");
  return read_round(mem, &f.results[PLACE_READ], round, e);
}

bool projection_stands(struct conn *c, void *mem, const struct projection *p, const struct err *why, int64_t *position,
                       const struct wait *w, struct err *e) {
  const char *sql = arena_printf(
      mem,
      "update writ.projection p set failed_since = coalesce(failed_since, now()), error = $2::text, failed_at = coalesce((select "
      "min(e.position) from writ.event e where e.position > p.position%s), p.position + 1) where name = $1::text "
      "returning failed_at::text",
      p->nevents ? " and e.name = any ($3::text[])" : "");
  const char *params[] = {p->name, why->log_detail ? why->log_detail : why->message, p->nevents ? names_of(mem, p) : NULL};
  struct step_result result;

  *position = 0;
  if (!run_one(c, mem, step_of(PLACE_STAND, sql, params, p->nevents ? 3 : 2, true), w, &result, e)) return false;
  if (result.text) *position = strtoll(result.text, NULL, 10);
  return true;
}

/* ---- for people ---- */

bool projection_list(struct conn *c, void *mem, const struct json **rows, const char **text, const struct wait *w,
                     struct err *e) {
  static const char sql[] =
      "with ends as (select greatest(t.position, (select max(position) from writ.event)) as last from writ.event_tail t) "
      "select coalesce(json_agg(to_json(r) order by kind, name), '[]')::text from ("
      "select 'projection' as kind, name, position, last - position as behind, updated, failed_at, failed_since, error "
      "from writ.projection, ends union all "
      "select 'reader', name, position, last - position, updated, null, null, null from writ.event_reader, ends) r";
  struct step_result result;

  if (!run_one(c, mem, step_of(PLACE_OTHER, sql, NULL, 0, true), w, &result, e)) return false;
  *text = result.text;
  return json_read(mem, result.text, result.len, 3, rows, e);
}

static const char *reset_sql(void *mem, const struct projection *p) {
  struct str *s = str_new(mem, 128);

  if (p->reset) {
    str_printf(s, "select %s()", p->reset);
    return s->p;
  }
  for (size_t i = 0; i < p->ntruncate; i++) str_printf(s, "%s%s", i ? ", " : "truncate ", p->truncate[i]);
  return s->p;
}

bool projection_rebuild(struct conn *c, void *mem, const struct projection *p, int64_t position, const struct wait *w,
                        struct err *e) {
  /* Cleaning keeps away until this is over, and what it has done is seen by the next statement. */
  static const char tail_sql[] = "select position from writ.event_tail for update";
  static const char row_sql[] =
      "insert into writ.projection (name) values ($1::text) on conflict (name) do update set position = excluded.position";
  static const char set_sql[] =
      "with ends as (select t.position as gone, greatest(t.position, (select max(position) from writ.event)) as last from "
      "writ.event_tail t) "
      "update writ.projection set position = case "
      "when $2::bigint < gone then writ.fail('EVENTS_GONE', 'Events up to position ' || gone || ' have been cleaned away: rebuild "
      "from a snapshot of a later position.', 409)::bigint "
      "when $2 > last then writ.fail('EVENTS_AHEAD', 'The log ends at position ' || last || '.', 409)::bigint else $2 end, "
      "updated = now(), failed_at = null, failed_since = null, error = null from ends where name = $1::text";
  const char *params[] = {p->name, arena_printf(mem, "%lld", (long long)(position < 0 ? 0 : position))};
  struct step steps[4] = {
      step_of(PLACE_OTHER, tail_sql, NULL, 0, false), step_of(PLACE_OTHER + 1, row_sql, params, 1, false),
      step_of(PLACE_OTHER + 2, set_sql, params, 2, false), step_of(PLACE_OTHER + 3, NULL, NULL, 0, false)};
  struct plan plan = plan_own("projection", steps, position < 0 ? 4 : 3);
  struct flight f;

  if (position < 0 && !p->reset && !p->ntruncate)
    return err_set(e, BAD_REQUEST,
                   "Nothing says how %s is emptied: give it reset: or truncate: in the manifest, or rebuild it "
                   "from a snapshot.",
                   p->name);
  steps[3].statement.sql = reset_sql(mem, p);
  steps[3].as_login = false;
  plan.role = p->role;
  return flight_run(c, mem, &plan, w, &f, e);
}

bool projection_drop(struct conn *c, void *mem, const char *name, const struct wait *w, struct err *e) {
  static const char sql[] = "with p as (delete from writ.projection where name = $1::text returning 1), "
                            "r as (delete from writ.event_reader where name = $1 returning 1) "
                            "select ((select count(*) from p) + (select count(*) from r))::text";
  const char *params[] = {name};
  struct step_result result;

  if (!run_one(c, mem, step_of(PLACE_OTHER, sql, params, 1, true), w, &result, e)) return false;
  return strcmp(result.text, "0") != 0 ||
         err_set(e, NOT_FOUND, "There is no projection and no reader %s in the database.", name);
}
