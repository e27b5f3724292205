/* Statements of writ jobs about mutations. */
#include "mutations/letters.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "jobs/jobs.h"

#include <stdlib.h>
#include <string.h>

enum { ROW_DEPTH = 1000 };

/* Members of the same names as those of after-hooks (jobs/jobs.c) mean the same. */
#define ROW                                                                                                                 \
  "'id', id, 'hook', command, 'key', null, 'state', case when dead then 'dead' when ended is not null then outcome "        \
  "when (select true from writ.mutation_cancel c where c.mutation = m.id) then 'stopping' "                               \
  "when owner is not null and due > now() then 'running' when attempts > 0 then 'retrying' else 'waiting' end, "            \
  "'attempts', attempts, 'created', created, 'due', case when ended is null then due end, "                                 \
  "'last_status', error -> 'status', 'last_answer', error ->> 'detail', 'mutation', id, 'step', step, "                     \
  "'deadline', deadline, 'ended', ended, 'parent', parent, 'retry_of', retry_of, "                                          \
  "'retried_as', (select max(r.id::text) from writ.mutation r where r.retry_of = m.id)"
#define LIST(waiting)                                                                                                       \
  "select coalesce(json_agg(json_build_object(" ROW ") order by id), '[]')::text from (select * from ("                     \
  "(select * from writ.mutation where dead order by ended limit 1000)" waiting ") u limit 1000) m"
static const char list_sql[] = LIST(" union all (select * from writ.mutation where ended is null order by due limit 1000)");
static const char dead_sql[] = LIST("");
static const char show_sql[] =
    "select coalesce(json_agg(json_build_object(" ROW ", 'role', role, 'user', caller_user, 'request_id', request_id, "
    "'error', error::text, 'args', args::text, 'answer', answer)), '[]')::text from writ.mutation m where id = $1::uuid";
/* $1: ids, $2: of the new ones, $3: the rules of states. Steps that are done are copied with what they gave. Each is retried once:
 * two that go on from one place would do the rest twice. A step's own calls inside keep the keys that they had (execute.c). */
static const char retry_sql[] =
    "with o as (select m.*, x.fresh from unnest($1::uuid[], $2::uuid[]) as x(old, fresh) join writ.mutation m on m.id = x.old "
    "where m.id = any ($1::uuid[]) and m.outcome in ('error', 'cancelled') for no key update of m), "
    "n as (insert into writ.mutation (id, retry_of, parent, step, deadline, command, args, role, caller_user, claims, request_id, key) "
    "select fresh, id, parent, step, now() + (deadline - created), command, args, role, caller_user, claims, request_id, "
    "coalesce(key, 'mutation ' || id) from o on conflict (retry_of) where retry_of is not null do nothing returning id), "
    "f as (select o.* from o join n on n.id = o.fresh), "
    "r as (insert into writ.mutation_result (mutation, step, result) select o.fresh, t.step, t.result from f as o "
    "join writ.mutation_result t on t.mutation = o.id and t.step < o.step where t.mutation = any ($1::uuid[])), "
    "d as (update writ.mutation set dead = false where id = any (array(select id from f where dead))), "
    "s as (select o.fresh, writ.state_new(o.fresh, t.caller, (select coalesce(jsonb_agg(case when v ->> 'status' = 'finished' then v "
    "else (v - 'error' - 'current') || '{\"status\": \"pending\"}' end order by i), '[]') "
    "from jsonb_array_elements(t.state -> 'steps') with ordinality as u(v, i)), $3::jsonb) from f as o "
    "join writ.state t on t.mutation = o.id where t.mutation = any ($1::uuid[])) "
    "select coalesce(json_agg(json_build_array(o.id, o.fresh, s.fresh)), '[]')::text from f as o left join s using (fresh)";
/* By key: neither "dead" nor "ended is null", which indexes are partial for (jobs/queue.h, QUEUE_PLANS). */
static const char drop_sql[] =
    "with d as (update writ.mutation set dead = false where id = any ($1::uuid[]) and dead > false returning id), "
    "c as (insert into writ.mutation_cancel (mutation) select id from writ.mutation where id = any ($1::uuid[]) and outcome is null "
    "on conflict do nothing returning mutation), "
    "w as (update writ.mutation set due = now() where id = any (array(select id from writ.mutation where id = any ($1::uuid[]) "
    "and owner is null and outcome is null for no key update skip locked))) "
    "select ((select count(*) from d) + (select count(*) from c))::text";

static const char *uuids(void *mem, const char *const *ids, size_t n) {
  struct str *s = str_new(mem, 64);

  str_char(s, '{');
  for (size_t i = 0; i < n; i++) str_printf(s, "%s%s", i ? "," : "", ids[i]);
  str_char(s, '}');
  return s->p;
}

static bool ask_rows(struct conn *c, void *mem, const char *sql, const char *const *params, unsigned n, const char **text,
                     const struct json **rows, const struct wait *w, struct err *e) {
  return jobs_ask(c, mem, sql, params, n, text, w, e) && json_read(mem, *text, strlen(*text), ROW_DEPTH, rows, e);
}

bool letters_list(struct conn *c, void *mem, bool dead_only, const char **text, const struct json **rows,
                  const struct wait *w, struct err *e) {
  return ask_rows(c, mem, dead_only ? dead_sql : list_sql, NULL, 0, text, rows, w, e);
}

bool letters_show(struct conn *c, void *mem, const char *id, const char **text, const struct json **row,
                  const struct wait *w, struct err *e) {
  const struct json *rows;

  if (!ask_rows(c, mem, show_sql, &id, 1, text, &rows, w, e)) return false;
  if (!rows->len) return err_set(e, NOT_FOUND, "There is no mutation %s.", id);
  *row = &rows->items[0];
  *text = arena_strndup(mem, *text + 1, strlen(*text) - 2); /* without the brackets */
  return true;
}

bool letters_retry(struct conn *c, void *mem, const char *const *ids, size_t n, const char *rules, const struct json **rows,
                   const struct wait *w, struct err *e) {
  const char **fresh = arena_array(mem, const char *, n + 1), *params[3], *text;

  for (size_t i = 0; i < n; i++) {
    char *id = arena_array(mem, char, 37);
    clock_uuid7(id);
    fresh[i] = id;
  }
  params[0] = uuids(mem, ids, n);
  params[1] = uuids(mem, fresh, n);
  params[2] = rules;
  return ask_rows(c, mem, retry_sql, params, 3, &text, rows, w, e);
}

bool letters_drop(struct conn *c, void *mem, const char *const *ids, size_t n, uint64_t *done, const struct wait *w,
                  struct err *e) {
  const char *param = uuids(mem, ids, n), *text;

  if (!jobs_ask(c, mem, drop_sql, &param, 1, &text, w, e)) return false;
  *done = strtoull(text, NULL, 10);
  return true;
}
