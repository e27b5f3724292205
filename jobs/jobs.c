/* Statements of writ jobs. */
#include "jobs/jobs.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"
#include "db/flight.h"
#include "jobs/queue.h"

#include <stdlib.h>
#include <string.h>

enum { ROW_DEPTH = 4 };

/* $1: the hooks of the manifest. */
#define ROW                                                                                                                 \
  "'id', id, 'hook', hook, 'key', key, 'state', case when dead is not null then 'dead' "                                    \
  "when owner is not null and due > now() then 'delivering' when hook <> all ($1::text[]) then 'no hook' "                  \
  "when attempts > 0 and not held then 'retrying' else 'waiting' end, 'attempts', attempts, 'created', created, "           \
  "'due', case when dead is null and not held then due end, 'last_try', last_try, 'last_status', last_status, "             \
  "'last_answer', last_answer, 'mutation', mutation"

#define LIST(items) "select coalesce(json_agg(json_build_object(" ROW ") order by id), '[]')::text from (" items " limit 1000) o"
static const char list_sql[] = LIST("select * from writ.outbox order by id");
static const char dead_sql[] = LIST("select * from writ.outbox where dead is not null and id > 0 order by dead");
static const char show_sql[] = "select coalesce(json_agg(json_build_object(" ROW ", 'payload', payload)), '[]')::text "
                               "from writ.outbox where id = $2::bigint";

/* $1 ids, $2 hook. */
#define CHOSEN                                                                                                              \
  "id = any (array(select unnest($1::bigint[]) union all "                                                                  \
  "select d.id from writ.outbox d where d.hook = $2 and d.dead is not null and d.id > 0)) "                                 \
  "and (id = any ($1::bigint[]) or dead is not null) and (owner is null or due <= now())"

static const char retry_sql[] =
    "with e as (update writ.outbox set dead = null, attempts = 0, due = now(), owner = null, held = false where " CHOSEN
    " returning id) select count(*)::text from e";
static const char drop_sql[] = "with e as (delete from writ.outbox where " CHOSEN " returning id, hook, key) "
                               "select count(*)::text, " QUEUE_ENDED("e") " from e";

/* One connection may be asked several: each text is another generation of its slot. */
static uint32_t generation;

static struct step step_of(unsigned slot, const char *sql, const char *const *params, unsigned n) {
  return (struct step){.statement = {.sql = sql, .gen = ++generation, .slot = (uint16_t)slot},
                       .params = params,
                       .nparams = n,
                       .gives = GIVES_TEXT,
                       .member = MEMBER_NONE,
                       .purpose = "jobs"};
}

static struct step plans_step(void) {
  struct step step = step_of(STATEMENT_FIXED, QUEUE_PLANS, NULL, 0);

  step.gives = GIVES_NOTHING;
  return step;
}

/* The text of the second of these steps; the first is plans_step. */
static bool ask(struct conn *c, void *mem, struct step *steps, size_t n, const char **text, const struct wait *w,
                struct err *e) {
  struct plan plan = plan_own("jobs", steps, n);
  struct flight f;

  plan.durable = true;
  if (!flight_run(c, mem, &plan, w, &f, e)) return false;
  *text = f.results[1].text;
  return true;
}

bool jobs_ask(struct conn *c, void *mem, const char *sql, const char *const *params, unsigned n, const char **text,
              const struct wait *w, struct err *e) {
  struct step steps[] = {plans_step(), step_of(STATEMENT_FIXED + 1, sql, params, n)};
  return ask(c, mem, steps, 2, text, w, e);
}

static const char *array_of(void *mem, const char *const *items, size_t n) {
  struct str *s = str_new(mem, 128);

  str_char(s, '{');
  for (size_t i = 0; i < n; i++) {
    if (i) str_char(s, ',');
    str_sql_element(s, items[i]);
  }
  str_char(s, '}');
  return s->p;
}

static bool ask_rows(struct conn *c, void *mem, const char *sql, const char *const *params, unsigned n, const char **text,
                     const struct json **rows, const struct wait *w, struct err *e) {
  return jobs_ask(c, mem, sql, params, n, text, w, e) && json_read(mem, *text, strlen(*text), ROW_DEPTH, rows, e);
}

bool jobs_list(struct conn *c, void *mem, bool dead_only, const char *const *hooks, size_t nhooks, const char **text,
               const struct json **rows, const struct wait *w, struct err *e) {
  const char *params[] = {array_of(mem, hooks, nhooks)};
  return ask_rows(c, mem, dead_only ? dead_sql : list_sql, params, 1, text, rows, w, e);
}

bool jobs_show(struct conn *c, void *mem, const char *id, const char *const *hooks, size_t nhooks, const char **text,
               const struct json **row, const struct wait *w, struct err *e) {
  const char *params[] = {array_of(mem, hooks, nhooks), id};
  const struct json *rows;

  if (!ask_rows(c, mem, show_sql, params, 2, text, &rows, w, e)) return false;
  if (!rows->len) return err_set(e, NOT_FOUND, "There is no item %s.", id);
  *row = &rows->items[0];
  *text = arena_strndup(mem, *text + 1, strlen(*text) - 2); /* without the brackets */
  return true;
}

/* next: what was ahead of others may be gone. */
static bool change(struct conn *c, void *mem, const char *sql, bool next, const struct jobs_choice *choice, uint64_t *n,
                   const struct wait *w, struct err *e) {
  const char *params[] = {array_of(mem, choice->ids, choice->nids), choice->hook}, *text;
  struct step steps[] = {
      plans_step(), step_of(STATEMENT_FIXED + 1, sql, params, 2), step_of(STATEMENT_FIXED + 2, QUEUE_NEXT, NULL, 0)};

  if (!ask(c, mem, steps, next ? 3 : 2, &text, w, e)) return false;
  *n = strtoull(text, NULL, 10);
  return true;
}

bool jobs_retry(struct conn *c, void *mem, const struct jobs_choice *choice, uint64_t *n, const struct wait *w,
                struct err *e) {
  return change(c, mem, retry_sql, false, choice, n, w, e);
}

bool jobs_drop(struct conn *c, void *mem, const struct jobs_choice *choice, uint64_t *n, const struct wait *w,
               struct err *e) {
  return change(c, mem, drop_sql, true, choice, n, w, e);
}
