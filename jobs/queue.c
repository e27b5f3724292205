/* Statements about the outbox. Each round trip is one transaction at read committed: what a statement sees is what is
 * committed when it begins, which the order within a key stands on. docs/after-hooks.md, "How it works". */
#include "jobs/queue.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "commands/locks.h"
#include "db/flight.h"

#include <stdlib.h>
#include <string.h>

/* As text: claimed payloads in an array, each escaped. */
enum { ANSWER_DEPTH = 8 };

/* $1 ids, $2 owners. */
#define IS_OURS "o.id = any ($1::bigint[]) and o.id = x.id and o.owner = x.owner and o.due > clock_timestamp()"
#define GIVE_IDS(from) "select coalesce(json_agg(id::text), '[]')::text from " from

static const char done_sql[] =
    "with e as (delete from writ.outbox o using unnest($1::bigint[], $2::uuid[]) as x(id, owner) where " IS_OURS
    " returning o.id, o.hook, o.key) select coalesce(json_agg(id::text), '[]')::text, " QUEUE_ENDED("e") " from e";

/* $3: pause in ms, $4: dead, $5: lets pass, $6: status, $7: answer. */
static const char failed_sql[] =
    "with f as (update writ.outbox o set attempts = o.attempts + 1, owner = null, last_try = now(), "
    "last_status = x.status, last_answer = x.answer, due = now() + x.pause * interval '1 ms', "
    "dead = case when x.dead then now() end from unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::boolean[], "
    "$5::boolean[], $6::integer[], $7::text[]) as x(id, owner, pause, dead, passes, status, answer) where " IS_OURS
    " returning o.id, o.hook, o.key, x.dead and x.passes as passes), "
    "e as (select id, hook, key from f where passes) "
    "select coalesce(json_agg(id::text), '[]')::text, " QUEUE_ENDED("e") " from f";

static const char next_sql[] = QUEUE_NEXT;

/* $3: lease in ms; null: it ends now. */
static const char renew_sql[] =
    "with e as (update writ.outbox o set owner = case when $3::integer is null then null else o.owner end, "
    "due = coalesce(clock_timestamp() + $3::integer * interval '1 ms', now()) "
    "from unnest($1::bigint[], $2::uuid[]) as x(id, owner) where " IS_OURS " returning o.id) " GIVE_IDS("e");

static const char plans_sql[] = QUEUE_PLANS;

/* Locks what is due: $1 hooks, $2 how many of each, $3 of all. The next statement looks at it again, in a state of the
 * table in which all that ended before the lock has its end. Of a key that another runner is just claiming for nothing is
 * taken: neither would see what the other takes. */
static const char lock_sql[] =
    "select set_config('writ.claimed', coalesce(array_agg(id) filter (where mine), '{}')::text, true) from ("
    "select o.id, o.key is null or pg_catalog.pg_try_advisory_xact_lock(" LOCK_OUTBOX ", "
    "hashtext(o.hook || ' ' || o.key)) as mine "
    "from unnest($1::text[], $2::integer[]) as h(hook, n) cross join lateral ("
    "select q.id, q.hook, q.key from writ.outbox q where q.hook = h.hook and q.dead is null and q.due <= now() "
    "order by q.due limit h.n for update skip locked) o limit $3::integer) x";

/* A round brings so many bytes of payloads, or one item: what is larger than PostgreSQL's largest text could never be claimed. */
#define ROUND_BYTES "16000000"

/* $1: owner, $2: lease in ms, $3: hooks whose dead letters let pass. An item that is not the first of its key is put off
 * until that has had its end (QUEUE_NEXT). What is ahead is locked for that: its end then comes after, and sees what waits
 * for it; where it cannot be locked, its end may just be under way, and is looked for again soon. The hour is for what no
 * statement of ours sees, a row that somebody deleted. An item whose transaction was late, so that a later one is under way
 * already, looks again when that one's lease ends. */
static const char claim_sql[] =
    "with c as (select o.id, o.hook, o.key, octet_length(o.payload) as bytes, o.key is not null and ("
    "select true from writ.outbox a where a.hook = o.hook and a.key = o.key and a.id + 0 < o.id and a.dead is null "
    "order by a.id + 0 limit 1) is not null as behind, o.key is not null and o.hook <> all ($3::text[]) and ("
    "select true from writ.outbox d where d.hook = o.hook and d.key = o.key and d.dead is not null limit 1) is not null "
    "as behind_dead, "
    "(select l.due from writ.outbox l where l.hook = o.hook and l.key = o.key and l.key is not null and l.dead is null "
    "and l.owner is not null and l.due > now() and l.id <> o.id limit 1) as other "
    "from writ.outbox o where o.id = any (current_setting('writ.claimed')::bigint[])), "
    "w as (select *, behind or behind_dead as waits, sum(bytes) over (order by id) - bytes as ahead from c), "
    "s as (select w.id from w cross join lateral (select a.id from writ.outbox a where a.hook = w.hook and a.key = w.key "
    "and a.id + 0 < w.id and a.dead is null order by a.id + 0 limit 1 for share skip locked) l where w.behind), "
    "d as (select w.id from w cross join lateral (select a.id from writ.outbox a where a.hook = w.hook and a.key = w.key "
    "and a.dead is not null limit 1 for share skip locked) l where w.behind_dead and not w.behind), "
    "p as (select id, waits, other from w where waits or other is not null), "
    "b as (update writ.outbox o set held = true, owner = null, due = case when not p.waits then p.other "
    "when p.id in (select id from s union all select id from d) then now() + (1 + random()) * interval '1 hour' "
    "else clock_timestamp() + interval '100 ms' end "
    "from p where o.id = any (array(select id from p)) and o.id = p.id), "
    "t as (update writ.outbox o set held = false, owner = $1::uuid, "
    "due = clock_timestamp() + $2::integer * interval '1 ms' where o.id = any (array("
    "select id from w where not waits and other is null and ahead < " ROUND_BYTES ")) "
    "returning o.id, o.hook, o.payload, o.mutation, o.attempts) "
    "select json_build_array((select count(*) from c), (select coalesce(json_agg("
    "json_build_array(id::text, hook, payload, mutation, attempts) order by id), '[]') from t))::text";

/* Hooks are found one by one, each by one look at the index. What waits for longest is looked for among those that wait, as many
 * may be dead ahead of it, unless those are many. */
static const char look_sql[] =
    "with w as materialized (select created from writ.outbox where dead is null limit 10000) "
    "select json_build_array((select count(*) from w), "
    "(select count(*) from (select from writ.outbox where dead is not null and id > 0 order by dead limit 10000) x), "
    "greatest(0, floor(extract(epoch from now() - case when (select count(*) from w) < 10000 then (select min(created) from w) "
    "else (select created from writ.outbox where dead is null order by id limit 1) end) * 1000))::bigint, "
    "(with recursive h(hook) as ((select hook from writ.outbox where dead is null order by hook limit 1) union all "
    "select (select o.hook from writ.outbox o where o.dead is null and o.hook > h.hook order by o.hook limit 1) "
    "from h where h.hook is not null) "
    "select coalesce(json_agg(hook), '[]') from h where hook is not null))::text";

static const char clean_sql[] =
    "with e as (delete from writ.outbox where id = any (array("
    "select id from writ.outbox where dead < now() - $1::integer * interval '1 s' and id > 0 "
    "order by dead limit 1000 for update skip locked)) returning id, hook, key) select " QUEUE_ENDED("e");

static const char pass_sql[] =
    "with e as (select distinct hook, key from writ.outbox where dead is not null and key is not null "
    "and hook = any ($1::text[])) select " QUEUE_ENDED("e");

/* Each has its place among the prepared statements: these connections are used for nothing else, or by engines for theirs
 * behind these. */
enum place {
  PLACE_PLANS,
  PLACE_DONE,
  PLACE_FAILED,
  PLACE_NEXT,
  PLACE_RENEW,
  PLACE_LOCK,
  PLACE_CLAIM,
  PLACE_LOOK,
  PLACE_CLEAN,
  PLACE_PASS,
  PLACES
};

static const char *const texts[PLACES] = {
    [PLACE_PLANS] = plans_sql, [PLACE_DONE] = done_sql, [PLACE_FAILED] = failed_sql, [PLACE_NEXT] = next_sql,
    [PLACE_RENEW] = renew_sql, [PLACE_LOCK] = lock_sql, [PLACE_CLAIM] = claim_sql,   [PLACE_LOOK] = look_sql,
    [PLACE_CLEAN] = clean_sql, [PLACE_PASS] = pass_sql};

/* ---- plans ---- */

static struct step *add_step(void *mem, struct plan *plan, enum place place, const char *const *params, unsigned n,
                             bool gives) {
  /* No other user of these slots: a generation that nobody counts up to. */
  struct statement s = {
      .sql = texts[place], .gen = UINT32_MAX - (uint32_t)place, .slot = (uint16_t)(STATEMENT_QUEUE + place)};

  arena_grow(mem, plan->steps, plan->n);
  plan->steps[plan->n] = (struct step){.statement = s,
                                       .params = params,
                                       .nparams = n,
                                       .gives = gives ? GIVES_TEXT : GIVES_NOTHING,
                                       .member = MEMBER_NONE,
                                       .purpose = "outbox"};
  return &plan->steps[plan->n++];
}

static struct plan new_plan(void *mem) {
  struct plan plan = plan_own("queue", NULL, 0);

  plan.durable = true;
  add_step(mem, &plan, PLACE_PLANS, NULL, 0, false);
  return plan;
}

/* An array literal that grows. */
static void add_element(struct str *s, const char *text) {
  str_char(s, s->len ? ',' : '{');
  if (text) str_sql_element(s, text);
  else str_add(s, "NULL");
}

static const char *array_of(struct str *s) {
  str_add(s, s->len ? "}" : "{}");
  return s->p;
}

/* ---- marks ---- */

enum { MARK_FIELDS = 7 };

static bool is_failure(enum queue_end end) { return end == QUEUE_AGAIN || end == QUEUE_DEAD; }

static void add_failure(void *mem, struct str **fields, const struct queue_mark *m) {
  add_element(fields[2], arena_printf(mem, "%lld", (long long)(m->end == QUEUE_DEAD ? 0 : m->delay_ms)));
  add_element(fields[3], m->end == QUEUE_DEAD ? "t" : "f");
  add_element(fields[4], m->skip ? "t" : "f");
  add_element(fields[5], m->status ? arena_printf(mem, "%d", m->status) : NULL);
  add_element(fields[6], m->answer);
}

/* The step for the marks of one kind: what they share is the statement. Gives its index; 0: there are none. */
static size_t add_marks(void *mem, struct plan *plan, const struct queue_round *round, enum queue_end end) {
  const char **params = arena_array(mem, const char *, MARK_FIELDS);
  struct str *fields[MARK_FIELDS];
  bool failures = is_failure(end);
  unsigned n = failures ? MARK_FIELDS : 2;
  size_t found = 0;

  for (size_t f = 0; f < MARK_FIELDS; f++) fields[f] = str_new(mem, 64);
  for (size_t i = 0; i < round->nmarks; i++) {
    const struct queue_mark *m = &round->marks[i];
    if (m->end != end && !(failures && is_failure(m->end))) continue;
    found++;
    add_element(fields[0], m->id);
    add_element(fields[1], m->owner);
    if (failures) add_failure(mem, fields, m);
  }
  if (!found) return 0;
  for (size_t f = 0; f < n; f++) params[f] = array_of(fields[f]);
  if (end == QUEUE_RENEW) params[n++] = arena_printf(mem, "%d", round->lease_ms);
  if (end == QUEUE_RELEASE) params[n++] = NULL;
  found = plan->n;
  add_step(mem, plan, end == QUEUE_DONE ? PLACE_DONE : failures ? PLACE_FAILED : PLACE_RENEW, params, n, true);
  if (end == QUEUE_DONE || failures) add_step(mem, plan, PLACE_NEXT, NULL, 0, false);
  return found;
}

static bool holds(const struct json *ids, const char *id) {
  for (size_t i = 0; i < ids->len; i++)
    if (strcmp(ids->items[i].text, id) == 0) return true;
  return false;
}

static bool read_answer(void *mem, const struct flight *f, size_t step, const struct json **out, struct err *e) {
  const struct step_result *r = &f->results[step];
  return json_read(mem, r->text ? r->text : "[]", r->text ? r->len : 2, ANSWER_DEPTH, out, e);
}

static bool read_marks(void *mem, struct queue_round *round, const struct flight *f, size_t step, enum queue_end end,
                       struct err *e) {
  const struct json *ids;

  if (!step) return true;
  if (!read_answer(mem, f, step, &ids, e)) return false;
  for (size_t i = 0; i < round->nmarks; i++) {
    struct queue_mark *m = &round->marks[i];
    if (m->end == end || (is_failure(end) && is_failure(m->end))) m->lost = !holds(ids, m->id);
  }
  return true;
}

/* ---- claims ---- */

static const char *skipping(void *mem, const struct queue_want *wants, size_t n) {
  struct str *s = str_new(mem, 64);

  for (size_t i = 0; i < n; i++)
    if (wants[i].skip_dead) add_element(s, wants[i].hook);
  return array_of(s);
}

static size_t add_claim(void *mem, struct plan *plan, const struct queue_round *round, const char *owner) {
  const char **lock = arena_array(mem, const char *, 3), **claim = arena_array(mem, const char *, 3);
  struct str *hooks = str_new(mem, 128), *numbers = str_new(mem, 64);

  if (!round->most) return 0;
  for (size_t i = 0; i < round->nwants; i++) {
    if (!round->wants[i].n) continue;
    add_element(hooks, round->wants[i].hook);
    add_element(numbers, arena_printf(mem, "%u", round->wants[i].n));
  }
  lock[0] = array_of(hooks);
  lock[1] = array_of(numbers);
  lock[2] = arena_printf(mem, "%u", round->most);
  claim[0] = owner;
  claim[1] = arena_printf(mem, "%d", round->lease_ms);
  claim[2] = skipping(mem, round->wants, round->nwants);
  add_step(mem, plan, PLACE_LOCK, lock, 3, false);
  add_step(mem, plan, PLACE_CLAIM, claim, 3, true);
  return plan->n - 1;
}

static bool read_claim(void *mem, struct queue_round *round, const struct flight *f, size_t step, const char *owner,
                       struct err *e) {
  const struct json *root, *items;

  round->nitems = round->looked_at = 0;
  if (!step) return true;
  if (!read_answer(mem, f, step, &root, e)) return false;
  items = &root->items[1];
  round->looked_at = strtoul(root->items[0].text, NULL, 10);
  round->items = arena_array(mem, struct queue_item, items->len ? items->len : 1);
  for (size_t i = 0; i < items->len; i++) {
    const struct json *v = items->items[i].items;
    round->items[round->nitems++] = (struct queue_item){.id = v[0].text,
                                                        .owner = owner,
                                                        .hook = v[1].text,
                                                        .payload = v[2].text,
                                                        .mutation = v[3].text,
                                                        .attempts = atoi(v[4].text)};
  }
  return true;
}

bool queue_run(struct conn *c, void *mem, struct queue_round *round, const struct wait *w, struct err *e) {
  static const enum queue_end ends[] = {QUEUE_DONE, QUEUE_AGAIN, QUEUE_RENEW, QUEUE_RELEASE};
  enum { KINDS = sizeof ends / sizeof *ends };
  struct plan plan = new_plan(mem);
  size_t steps[KINDS], claim;
  char *owner = arena_zero(mem, 37, "owner");
  struct flight f;

  clock_uuid7(owner);
  for (size_t i = 0; i < KINDS; i++) steps[i] = add_marks(mem, &plan, round, ends[i]);
  claim = add_claim(mem, &plan, round, owner);
  if (!flight_run(c, mem, &plan, w, &f, e)) return false;
  for (size_t i = 0; i < KINDS; i++)
    if (!read_marks(mem, round, &f, steps[i], ends[i], e)) return false;
  return read_claim(mem, round, &f, claim, owner, e);
}

/* ---- for people, and for order ---- */

bool queue_look(struct conn *c, void *mem, struct queue_state *out, const struct wait *w, struct err *e) {
  struct plan plan = new_plan(mem);
  const struct json *root, *hooks;
  struct flight f;

  add_step(mem, &plan, PLACE_LOOK, NULL, 0, true);
  if (!flight_run(c, mem, &plan, w, &f, e) || !read_answer(mem, &f, 1, &root, e)) return false;
  *out = (struct queue_state){.waiting = strtoull(root->items[0].text, NULL, 10),
                              .dead = strtoull(root->items[1].text, NULL, 10)};
  if (root->items[2].kind == JSON_NUMBER) out->oldest_ms = strtoull(root->items[2].text, NULL, 10);
  hooks = &root->items[3];
  out->hooks = arena_array(mem, const char *, hooks->len + 1);
  for (size_t i = 0; i < hooks->len; i++) out->hooks[out->nhooks++] = hooks->items[i].text;
  return true;
}

bool queue_clean(struct conn *c, void *mem, int seconds, const struct wait *w, struct err *e) {
  struct plan plan = new_plan(mem);
  const char *param = arena_printf(mem, "%d", seconds);
  struct flight f;

  add_step(mem, &plan, PLACE_CLEAN, &param, 1, false);
  add_step(mem, &plan, PLACE_NEXT, NULL, 0, false);
  return flight_run(c, mem, &plan, w, &f, e);
}

bool queue_pass(struct conn *c, void *mem, const struct queue_want *wants, size_t n, const struct wait *w, struct err *e) {
  struct plan plan = new_plan(mem);
  const char *param = skipping(mem, wants, n);
  struct flight f;

  add_step(mem, &plan, PLACE_PASS, &param, 1, false);
  add_step(mem, &plan, PLACE_NEXT, NULL, 0, false);
  return flight_run(c, mem, &plan, w, &f, e);
}
