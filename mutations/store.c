/* Rows of mutations, but for what stands in the transactions of their steps (execute.c). Each trip is one transaction, as the login
 * role. */
#include "mutations/mutation_inside.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "jobs/queue.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
  TRIP_MS = 5000,
  LOOK_MS = 50,     /* between looks for an end */
  ROW_DEPTH = 1000, /* arguments were bounded when they were made */
};

/* What a mutation was asked for and how far it is. $1: how many, $2: owner, $3: lease in ms. A lease that has ended without a word
 * counts as an attempt: what kills its runner must not do so for ever. A claim is quick, or its lease would be over with it: arguments
 * of several megabytes are taken one at a time, and results that are referred to come when it is run (load.c). */
static const char claim_sql[] =
    "with d as (select id, octet_length(args::text) as bytes, row_number() over () as o from (select id, args from writ.mutation "
    "where ended is null and due <= now() order by due limit $1::integer for no key update skip locked) x), "
    "c as (select id from (select id, o, sum(bytes) over (order by o) - bytes as ahead from d) y where ahead < 8000000), "
    "t as (update writ.mutation m set attempts = m.attempts + case when m.owner is null then 0 else 1 end, owner = $2::uuid, "
    "due = clock_timestamp() + $3::integer * interval '1 ms' "
    "where m.id = any (array(select id from c)) returning m.*) "
    "select coalesce(json_agg(json_build_array(id, command, args, role, caller_user, claims, request_id, step, attempts, "
    "floor(extract(epoch from deadline - clock_timestamp()) * 1000)::bigint, parent, key, away, (select i.id from writ.installation i), coalesce(born, id)) order by id), '[]')::text from t";

/* $1: those whose states have something to take in, $2: the rules of states. */
static const char settle_sql[] =
    "select count(writ.state_event(id, 1, null, null, $2::jsonb))::text from unnest($1::uuid[]) as u(id)";
/* Nobody has the row of a state for long, but for a reducer that does not return. */
static const char hurry_sql[] = "select set_config('lock_timeout', '1000', true), set_config('enable_seqscan', 'off', true)";

/* By key: not "ended is null", which an index is partial for (jobs/queue.h, QUEUE_PLANS). */
#define OURS "where id = $1::uuid and owner = $2::uuid and outcome is null"
static const char renew_sql[] =
    "with m as (update writ.mutation set due = clock_timestamp() + $3::integer * interval '1 ms' " OURS
    " returning id) select count(*)::text from m";
static const char release_sql[] =
    "update writ.mutation set owner = null, due = clock_timestamp() + $3::integer * interval '1 ms', "
    "away = $5, attempts = attempts + case when $4::text is null then 0 else 1 end, error = coalesce($4::json, error) " OURS;
static const char forget_sql[] = "with m as (delete from writ.mutation where id = $1::uuid and step = 0 returning id), "
                                 "s as (delete from writ.state where mutation = (select id from m)), "
                                 "c as (delete from writ.state_change where mutation = (select id from m)), "
                                 "k as (delete from writ.state_mark where mutation = (select id from m)) "
                                 "delete from writ.idempotency where mutation = (select id from m)";
static const char look_sql[] =
    "select json_build_array(outcome, answer, error::text)::text from writ.mutation where id = $1::uuid";

/* $2 to $4: whose it must be, unless $5: asked from the inside. One that waits for another try, or for a runner, has its end at once. */
static const char cancel_sql[] =
    "with s as (select m.id, m.ended from writ.mutation m where m.id = $1::uuid and ($5::boolean or m.role = $2 "
    "and coalesce(m.caller_user, '') = $3 and ($3 <> '' or coalesce(m.claims::json ->> 'sub', '') = $4))), "
    "c as (insert into writ.mutation_cancel (mutation) select id from s where ended is null on conflict do nothing), "
    "w as (update writ.mutation set due = now() where id = (select m.id from writ.mutation m "
    "where m.id = (select id from s) and m.owner is null and m.outcome is null for no key update skip locked)) "
    "select case when ended is null then 'asked' else 'ended' end from s";

/* $1: seconds. A key's row is older than what it names, and continuations look at what they follow. */
static const char clean_sql[] = "with m as (delete from writ.mutation where id = any (array(select m.id from writ.mutation m "
                                "where m.ended < now() - $1::integer * interval '1 s' "
                                "and (select true from writ.idempotency i where i.mutation = m.id limit 1) is null "
                                "and (select true from writ.mutation c where c.parent = m.id and c.outcome is null limit 1) is null "
                                "order by m.ended limit 1000 for update of m skip locked)) returning id), "
                                "r as (delete from writ.mutation_result where mutation = any (array(select id from m))), "
                                "c as (delete from writ.mutation_cancel where mutation = any (array(select id from m))) "
                                "select count(*)::text from m";

/* ---- a trip ---- */

struct step mutation_own_step(struct engine *engine, void *mem, const char *sql, const char *const *params, unsigned n,
                              const char *purpose) {
  return (struct step){.statement = variants_text(engine->variants, mem, sql),
                       .params = params,
                       .nparams = n,
                       .gives = GIVES_NOTHING,
                       .as_login = true,
                       .member = MEMBER_NONE,
                       .purpose = purpose};
}

static struct step step_of(struct engine *engine, void *mem, const char *sql, const char *const *params, unsigned n,
                           bool gives) {
  struct step step = mutation_own_step(engine, mem, sql, params, n, "mutations");

  if (gives) step.gives = GIVES_TEXT;
  return step;
}

static bool trip_within(struct engine *engine, void *mem, size_t datasource, struct step *steps, size_t n, struct flight *f,
                        const struct wait *w, struct err *e) {
  struct plan plan = plan_own("mutations", steps, n);

  plan.durable = true;
  *f = (struct flight){.failed_step = n};
  return source_ready(engine, datasource, w, e) && flight_run(engine->sources[datasource].conn, mem, &plan, w, f, e);
}

/* Once more where the session has lost what was prepared in it. */
bool mutation_trip_until(struct engine *engine, void *mem, size_t datasource, struct step *steps, size_t n, int64_t until_ms,
                         struct flight *f, struct err *e) {
  struct wait w = {.deadline_ms = until_ms, .caller_fd = -1};

  if (trip_within(engine, mem, datasource, steps, n, f, &w, e)) return true;
  if (strcmp(e->sqlstate, "26000") != 0 && strcmp(e->sqlstate, "42P05") != 0) return false;
  err_init(e, mem);
  return trip_within(engine, mem, datasource, steps, n, f, &w, e);
}

bool mutation_trip(struct engine *engine, void *mem, size_t datasource, struct step *steps, size_t n, struct flight *f,
                   struct err *e) {
  return mutation_trip_until(engine, mem, datasource, steps, n, clock_ms() + TRIP_MS, f, e);
}

bool mutation_ask(struct engine *engine, void *mem, size_t datasource, const char *sql, const char *const *params,
                  unsigned n, const char **text, struct err *e) {
  struct step steps[] = {step_of(engine, mem, QUEUE_PLANS, NULL, 0, false), step_of(engine, mem, sql, params, n, true)};
  struct flight f;

  if (!mutation_trip(engine, mem, datasource, steps, 2, &f, e)) return false;
  *text = f.results[1].text;
  return true;
}

/* ---- claims ---- */

static const char *text_of(const struct json *value) { return value->kind == JSON_NULL ? NULL : value->text; }

static struct mutation read_row(const struct json *row, size_t datasource, const char *owner, int64_t now_ms) {
  const struct json *v = row->items;

  return (struct mutation){
      .id = v[0].text,
      .owner = owner,
      .datasource = datasource,
      .command = v[1].text,
      .args = &v[2],
      .caller = {.role = v[3].text, .user = text_of(&v[4]), .claims = text_of(&v[5])},
      .request_id = v[6].text,
      .key = text_of(&v[11]),
      .away = text_of(&v[12]),
      .home = text_of(&v[13]),
      .born = v[14].text,
      .step = strtoul(v[7].text, NULL, 10),
      .attempts = (unsigned)strtoul(v[8].text, NULL, 10),
      .deadline_ms = v[9].kind == JSON_NULL ? INT64_MAX : now_ms + strtoll(v[9].text, NULL, 10),
      .leased_ms = now_ms,
      .follows = v[10].kind == JSON_STRING,
  };
}

static const char *uuids(void *mem, const char *const *list, size_t n) {
  struct str *s = str_new(mem, 64);

  str_char(s, '{');
  for (size_t i = 0; i < n; i++) str_printf(s, "%s%s", i ? "," : "", list[i]);
  str_char(s, '}');
  return s->p;
}

/* Ends are told without the manifest's reducers, one of which was in the way of the claim. If that fails too, readers take them in. */
static void settle_plainly(struct engine *engine, void *mem, struct mutation_claim *claim, struct err *e) {
  const char *settle[] = {uuids(mem, claim->settle, claim->nsettle), NULL};
  struct step steps[2] = {step_of(engine, mem, hurry_sql, NULL, 0, false),
                          step_of(engine, mem, settle_sql, settle, 2, false)};
  struct flight f;

  log_line(LOG_WARN, "state", "reason=%s",
           log_quoted(mem, "the ends of mutations are told without reducers, which took too long"));
  if (!mutation_trip(engine, mem, claim->datasource, steps, 2, &f, e))
    log_line(LOG_WARN, "state", "reason=%s", log_quoted(mem, e->log_detail ? e->log_detail : e->message));
  else
    for (size_t i = 0; i < claim->nsettle; i++) engine_tell(engine, claim->settle[i]);
  err_init(e, mem);
  claim->nsettle = 0;
}

bool mutation_claim(struct engine *engine, void *mem, struct mutation_claim *claim, struct err *e) {
  const char *settle[] = {uuids(mem, claim->settle, claim->nsettle), engine->manifest->state.text};
  char *owner = arena_zero(mem, 37, "owner");
  const char *params[] = {arena_printf(mem, "%u", claim->most), owner,
                          arena_printf(mem, "%d", engine->config->background_lease_ms)};
  struct step steps[3];
  const struct json *rows;
  int64_t now = clock_ms();
  struct flight f;
  size_t n = 0;

  clock_uuid7(owner);
  steps[n++] = step_of(engine, mem, QUEUE_PLANS, NULL, 0, false);
  if (claim->nsettle) steps[n++] = step_of(engine, mem, settle_sql, settle, 2, false);
  steps[n++] = step_of(engine, mem, claim_sql, params, 3, true);
  claim->n = 0;
  if (!mutation_trip(engine, mem, claim->datasource, steps, n, &f, e)) {
    if (e->code != ERR_TIMEOUT || !claim->nsettle) return false;
    settle_plainly(engine, mem, claim, e);
    return mutation_claim(engine, mem, claim, e);
  }
  if (!json_read(mem, f.results[n - 1].text, f.results[n - 1].len, ROW_DEPTH, &rows, e)) return false;
  claim->list = arena_array(mem, struct mutation, rows->len + 1);
  for (; claim->n < rows->len; claim->n++)
    claim->list[claim->n] = read_row(&rows->items[claim->n], claim->datasource, owner, now);
  return true;
}

bool mutation_renew(struct engine *engine, void *mem, struct mutation *m, int64_t lease_ms, struct err *e) {
  const char *params[] = {m->id, m->owner, arena_printf(mem, "%lld", (long long)lease_ms)}, *text;
  int64_t now = clock_ms();

  if (!mutation_ask(engine, mem, m->datasource, renew_sql, params, 3, &text, e)) return false;
  m->leased_ms = now + lease_ms - engine->config->background_lease_ms;
  return strcmp(text, "1") == 0 || err_set(e, IDEMPOTENCY_CONFLICT, "The mutation %s is run by somebody else.", m->id);
}

bool mutation_release(struct engine *engine, void *mem, const struct mutation *m, int64_t pause_ms, const char *error,
                      struct err *e) {
  const char *params[] = {m->id, m->owner, arena_printf(mem, "%lld", (long long)pause_ms), error, m->away};
  const char *ignored;

  return mutation_ask(engine, mem, m->datasource, release_sql, params, 5, &ignored, e);
}

bool mutation_forget(struct engine *engine, void *mem, const struct mutation *m, struct err *e) {
  const char *ignored;

  return mutation_ask(engine, mem, m->datasource, forget_sql, &m->id, 1, &ignored, e);
}

bool mutation_look(struct engine *engine, void *mem, size_t datasource, const char *id, struct mutation_outcome *out,
                   struct err *e) {
  const struct json *row;
  const char *text;

  if (!mutation_ask(engine, mem, datasource, look_sql, &id, 1, &text, e)) return false;
  if (!text) return err_set(e, NOT_FOUND, "There is no mutation %s.", id);
  if (!json_read(mem, text, strlen(text), ROW_DEPTH, &row, e)) return false;
  *out = (struct mutation_outcome){text_of(&row->items[0]), text_of(&row->items[1]), text_of(&row->items[2])};
  return true;
}

bool mutation_wait(struct engine *engine, void *mem, size_t datasource, const char *id, int64_t until_ms,
                   struct mutation_outcome *out, struct err *e) {
  struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
  struct run waiting = {.engine = engine}; /* a place among the workers that wait */
  bool ok;

  while ((ok = mutation_look(engine, mem, datasource, id, out, e)) && !out->outcome && clock_ms() + LOOK_MS < until_ms &&
         wait_begin(&waiting))
    nanosleep(&pause, NULL);
  wait_end(&waiting);
  return ok;
}

/* The subject of claims of a caller without user: as with keys, a renewed token is the same caller. */
static const char *subject(void *mem, const struct caller *caller) {
  const struct json *claims, *sub;
  struct err ignored;

  err_init(&ignored, mem);
  if (!caller->claims || !json_read(mem, caller->claims, strlen(caller->claims), ROW_DEPTH, &claims, &ignored)) return "";
  sub = json_get(claims, "sub");
  return sub && sub->kind == JSON_STRING ? sub->text : "";
}

bool mutation_cancel(struct engine *engine, void *mem, const char *id, const struct caller *caller, struct err *e) {
  const char *params[] = {id, caller->role, caller->user ? caller->user : "", subject(mem, caller),
                          caller->inside ? "t" : "f"},
             *text = NULL;

  for (size_t i = 0; !text && i < engine->config->ndatasources; i++)
    if (!mutation_ask(engine, mem, i, cancel_sql, params, 5, &text, e)) return false;
  engine->wake_background = true;
  return text || err_set(e, NOT_FOUND, "There is no mutation %s of yours that is still to end.", id);
}

bool mutation_clean(struct engine *engine, void *mem, size_t datasource, uint64_t *gone, struct err *e) {
  const char *param = arena_printf(mem, "%d", engine->config->background_keep_s), *text;

  *gone = 0;
  if (!engine->config->background_keep_s) return true;
  if (!mutation_ask(engine, mem, datasource, clean_sql, &param, 1, &text, e)) return false;
  *gone = strtoull(text, NULL, 10);
  return true;
}
