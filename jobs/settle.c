/* All of them at once; when that takes too long each alone, with its reducers, and then without: so the reducer that does not return
 * costs others nothing but a moment. */
#include "jobs/settle.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "jobs/jobs.h"

#include <string.h>

enum {
  ALL_MS = 2000,
  ONE_MS = 500,
  LIST_DEPTH = 2,
};

/* A mark is left alone while the process that made it may be about to take it in. */
static const char list_sql[] =
    "select coalesce(json_agg(mutation), '[]')::text from ("
    "(select mutation from writ.state where ended is null and lease < now() order by lease limit 100)"
    " union (select mutation from (select mutation, at from writ.state_mark order by id limit 1000) m"
    " where at < now() - interval '5 s') limit 100) l";
/* $1: those, $2: the rules. */
static const char settle_sql[] =
    "select count(*)::text from unnest($1::uuid[]) as l(mutation) where writ.state_settle(l.mutation, $2::jsonb)";
static const char plainly_sql[] = "select count(*)::text from unnest($1::uuid[]) as l(mutation)"
                                  " where writ.state_settle(l.mutation, $2::jsonb - '{reducers,all}'::text[])";

/* Within ms of its own, and the deadline of all. */
static bool ask(struct conn *c, void *mem, const char *sql, const char *list, const char *rules, const struct wait *w,
                int ms, struct err *e) {
  const char *params[] = {list, rules}, *text;
  struct wait own = {.deadline_ms = clock_ms() + ms, .caller_fd = -1};
  bool fresh;

  if (own.deadline_ms > w->deadline_ms) own.deadline_ms = w->deadline_ms;
  return conn_open(c, &own, &fresh, e) && jobs_ask(c, mem, sql, params, 2, &text, &own, e);
}

static bool settle_one(struct conn *c, void *mem, const char *id, const char *rules, const struct wait *w, struct err *e) {
  const char *list = arena_printf(mem, "{%s}", id);

  if (ask(c, mem, settle_sql, list, rules, w, ONE_MS, e)) return true;
  if (e->code != ERR_TIMEOUT) return false;
  log_line(LOG_WARN, "state", "mutation=%s reason=%s", id,
           log_quoted(mem, "it is settled without the manifest's reducers, which took too long"));
  err_init(e, mem);
  return ask(c, mem, plainly_sql, list, rules, w, ONE_MS, e);
}

/* One that fails is left for the next time, as are those that there is no time for. */
static bool settle_each(struct conn *c, void *mem, const struct json *ids, const char *rules, const struct wait *w,
                        uint64_t *n, struct err *e) {
  struct err first;

  err_init(&first, mem);
  for (size_t i = 0; i < ids->len && clock_ms() + ONE_MS < w->deadline_ms; i++) {
    err_init(e, mem);
    if (settle_one(c, mem, ids->items[i].text, rules, w, e)) ++*n;
    else if (!first.code) first = *e;
  }
  *e = first;
  return !first.code;
}

bool settle_states(struct conn *c, void *mem, const char *rules, const struct wait *w, uint64_t *n, struct err *e) {
  struct str *list = str_new(mem, 64);
  const struct json *ids;
  const char *text;

  *n = 0;
  if (!jobs_ask(c, mem, list_sql, NULL, 0, &text, w, e) || !json_read(mem, text, strlen(text), LIST_DEPTH, &ids, e))
    return false;
  if (!ids->len) return true;
  for (size_t i = 0; i < ids->len; i++) str_printf(list, "%s%s", i ? "," : "{", ids->items[i].text);
  str_char(list, '}');
  if (ask(c, mem, settle_sql, list->p, rules, w, ALL_MS, e)) {
    *n = ids->len;
    return true;
  }
  if (e->code != ERR_TIMEOUT) return false;
  err_init(e, mem);
  return settle_each(c, mem, ids, rules, w, n, e);
}
