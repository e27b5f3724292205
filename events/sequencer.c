/* A round of the sequencer: lock, move, and now and then a look at who is still appending. One network round trip. */
#include "events/sequencer.h"

#include "base/arena.h"
#include "base/fault.h"
#include "base/json.h"
#include "db/catalog.h"
#include "db/flight.h"

#include <stdlib.h>
#include <string.h>

/* The lock is the transaction's, so it holds behind a pooler too. And plans that do not depend on what statistics say of a table
 * that is empty at one moment and long at the next: made once, as PostgreSQL would plan the move anew in each round, for more than a
 * hundred events cost. The sequencer's machine may die in the middle: nobody waits for it longer. */
static const char lock_sql[] =
    "select set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true), "
    "set_config('plan_cache_mode', 'force_generic_plan', true), set_config('idle_in_transaction_session_timeout', '5000', true), "
    "pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('writ sequencer'))";

/* Who may have drawn a seq and not committed: whoever has the lock that an INSERT takes before it draws. No other transaction
 * matters, however long it is open, here or in other databases. One that was prepared goes by another name then. */
#define APPENDING                                                                                                           \
  "from pg_catalog.pg_locks where locktype = 'relation' and relation = 'writ.event_new'::pg_catalog.regclass "              \
  "and database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()) "                  \
  "and mode = 'RowExclusiveLock' and pid is distinct from pg_catalog.pg_backend_pid()"
/* Ahead of the move, which then sees all that they have committed. */
static const char over_sql[] = "select case when exists (select " APPENDING
                               " and (virtualtransaction = any ($1::text[]) or virtualtransaction like '-1/%')) "
                               "then 'false' else 'true' end";
/* Behind it: each seq below the highest that was seen was drawn before that, by one that is over, or has the lock now. */
static const char open_sql[] = "select coalesce(array_agg(virtualtransaction), '{}')::text " APPENDING;

/* $1: low, $2: how many, $3: the server that low was found on. A pooler may have gone over to another one behind our back, which
 * draws lower numbers, as it had not all of the first one's transactions. All of it sees the same rows. The order of seq is that of the
 * promise: what was committed when another began, or waited, has the lower one, and who sees that one's event sees this one's too.
 * $4: one that was given, so that partitions below it are not looked at; if it is not there any more, all are. */
static const char move_sql[] =
    "with server as (select extract(epoch from pg_catalog.pg_postmaster_start_time())::text as began), "
    "known as (select case when began = $3::text then $1::bigint else 0 end as low from server), "
    "last as (select coalesce((select max(position) from writ.event where position >= $4::bigint), writ.event_last()) as p), "
    "upto as (select max(seq) as seq, count(*) as n from "
    "(select seq from writ.event_new where seq > (select low from known) order by seq limit $2::integer) s), "
    "taken as (delete from writ.event_new where seq > (select low from known) and seq <= (select seq from upto) returning *), "
    "moved as (insert into writ.event (position, seq, name, key, payload, at, command, role, caller_user, traceparent, mutation) "
    "select (select p from last) + row_number() over (order by seq), seq, name, key, payload, at, command, role, caller_user, "
    "traceparent, mutation from taken order by seq returning at, position) "
    "select json_build_array(upto.n, upto.seq, m.n, greatest(0, extract(epoch from clock_timestamp() - m.at) * 1000)::bigint, began, "
    "m.position)::text from upto, server, (select count(*) as n, min(at) as at, max(position) as position from moved) m";

enum place { PLACE_LOCK, PLACE_OVER, PLACE_MOVE, PLACE_OPEN };
static const char *const texts[] = {lock_sql, over_sql, move_sql, open_sql};

static void add(struct step *steps, size_t *n, enum place place, const char *const *params, unsigned nparams, bool gives) {
  /* No other user of these slots on this connection: a generation that nobody counts up to. */
  steps[(*n)++] = (struct step){
      .statement = {.sql = texts[place], .gen = UINT32_MAX - place, .slot = (uint16_t)(STATEMENT_QUEUE + place)},
      .params = params,
      .nparams = nparams,
      .gives = gives ? GIVES_TEXT : GIVES_NOTHING,
      .member = MEMBER_NONE,
      .purpose = "sequencer"};
}

static int64_t number_of(const struct json *value) {
  return value->kind == JSON_NUMBER ? strtoll(value->text, NULL, 10) : 0;
}

/* A batch that was full may have left some below the mark. */
static void raise_low(struct sequencer *s, int64_t highest, bool full) {
  s->low = full && highest < s->mark ? highest : s->mark;
  s->mark = 0;
  s->since = 0;
}

static void take_mark(struct sequencer *s, int64_t highest, const char *open) {
  talloc_free((void *)s->open);
  s->open = arena_strdup(s->mem, open);
  s->mark = highest;
}

void sequencer_forget(struct sequencer *s) {
  talloc_free((void *)s->open);
  talloc_free((void *)s->server);
  *s = (struct sequencer){.mem = s->mem, .since = SEQUENCER_LOOK_AFTER};
}

/* What is known of another server is worth nothing. */
static bool is_known(const struct sequencer *s, const char *server) { return s->server && strcmp(s->server, server) == 0; }

static void begin_on(struct sequencer *s, const char *server) {
  int64_t last = s->last, room = s->room;

  sequencer_forget(s);
  s->server = arena_strdup(s->mem, server);
  s->last = last;
  s->room = room;
}

/* ---- partitions ---- */

static int64_t ahead_of(int64_t size) { return size / 2 > 4 * SEQUENCER_BATCH ? size / 2 : 4 * SEQUENCER_BATCH; }

bool sequencer_has_room(const struct sequencer *s, int64_t size) { return s->last + ahead_of(size) / 2 < s->room; }

bool sequencer_make_room(struct sequencer *s, struct conn *conn, void *mem, int64_t size, const struct wait *w,
                         struct err *e) {
  static const char sql[] = "select writ.event_extend($1::bigint, $2::bigint)::text";
  const char *params[] = {arena_printf(mem, "%lld", (long long)size), arena_printf(mem, "%lld", (long long)ahead_of(size))};
  char *text;

  if (!catalog_value(conn, mem, sql, 2, params, &text, w, e)) return false;
  s->room = text ? strtoll(text, NULL, 10) : 0;
  return true;
}

/* ---- a round ---- */

bool sequencer_round(struct sequencer *s, struct conn *conn, void *mem, const struct wait *w, unsigned *n,
                     uint64_t *oldest_ms, struct err *e) {
  const char *params[] = {arena_printf(mem, "%lld", (long long)s->low), arena_printf(mem, "%d", SEQUENCER_BATCH),
                          s->server ? s->server : "", arena_printf(mem, "%lld", (long long)s->last)};
  bool look = s->since >= SEQUENCER_LOOK_AFTER, waits = look && s->mark;
  struct step steps[4];
  struct plan plan = plan_own("sequencer", steps, 0);
  const struct json *moved;
  struct flight f;
  size_t move;

  plan.durable = !conn_is_durable(conn);
  add(steps, &plan.n, PLACE_LOCK, NULL, 0, false);
  if (waits) add(steps, &plan.n, PLACE_OVER, &s->open, 1, true);
  move = plan.n;
  add(steps, &plan.n, PLACE_MOVE, params, 4, true);
  if (look && !waits) add(steps, &plan.n, PLACE_OPEN, NULL, 0, true);
  if (!flight_run(conn, mem, &plan, w, &f, e)) return false;
  FAULT("after-sequencing");
  if (!json_read(mem, f.results[move].text, f.results[move].len, 1, &moved, e)) return false;
  *n = (unsigned)number_of(&moved->items[2]);
  *oldest_ms = (uint64_t)number_of(&moved->items[3]);
  if (*n) s->last = number_of(&moved->items[5]);
  if (!is_known(s, moved->items[4].text)) {
    begin_on(s, moved->items[4].text);
    return true;
  }
  s->since += *n;
  if (waits && strcmp(f.results[1].text, "true") == 0) raise_low(s, number_of(&moved->items[1]), *n == SEQUENCER_BATCH);
  if (look && !waits && *n) take_mark(s, number_of(&moved->items[1]), f.results[move + 1].text);
  return true;
}
