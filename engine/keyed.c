/* A transaction with an Idempotency-Key. In its one flight, all as the login role: the key is locked or found busy; then,
 * in a statement of its own that sees what was committed until now, looked up; behind all writes its row is inserted, with
 * the answer, which is put together on the server. Nothing of it costs a trip of its own unless the key is busy or was
 * found. */
#include "engine/engine_inside.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/str.h"
#include "commands/locks.h"
#include "db/hold.h"
#include "engine/idempotency.h"

#include <string.h>
#include <time.h>

enum {
  RESOLVE_MS = 5000,     /* how long the outcome of a lost COMMIT is looked for */
  RESOLVE_PAUSE_MS = 50, /* between attempts to reach PostgreSQL meanwhile */
  RELEASE_MS = 5000,
  ROUNDS = 20, /* a key that is never free and never there: something else holds it */
};

/* Under another isolation than read committed the look-up sees the state before the lock: the flight must know. */
static const char lock_sql[] =
    "select case when pg_catalog.pg_try_advisory_xact_lock(" LOCK_KEYS ", $1::integer)"
    " then pg_catalog.current_setting('transaction_isolation') else writ.fail('IDEMPOTENCY_BUSY', 'busy', 409) end";
static const char find_sql[] =
    "select writ.fail('IDEMPOTENCY_FOUND', 'found', 409) from writ.idempotency where id = $1::bytea";
/* Texts and names of settings take turns in $4. */
#define STORE                                                                                                               \
  "insert into writ.idempotency (id, key, fingerprint, answer) "                                                            \
  "select $1::bytea, $2::text, pg_catalog.decode($3, 'hex'), "                                                              \
  "pg_catalog.string_agg(case when o % 2 = 1 then p else pg_catalog.current_setting(p) end, '' order by o) "                \
  "from pg_catalog.json_array_elements_text($4::json) with ordinality as x (p, o)"
static const char store_sql[] = STORE;
static const char store_once_sql[] = STORE " on conflict (id) do nothing";
static const char wait_sql[] = "select pg_catalog.pg_advisory_xact_lock(" LOCK_KEYS ", $1::integer)";
/* A key of a durable mutation in place of one of an answer, which begins with a brace. */
static const char accept_sql[] = "insert into writ.idempotency (id, key, fingerprint, mutation) "
                                 "values ($1::bytea, $2::text, pg_catalog.decode($3, 'hex'), $4::uuid)";
static const char read_sql[] =
    "select pg_catalog.encode(fingerprint, 'hex') || coalesce(answer, mutation::text) from writ.idempotency where id = $1::bytea";

static const struct idempotency *key_of(const struct run *r) { return r->call->dry_run ? NULL : r->call->key; }

static struct step own_step(struct run *r, const char *sql, const char *const *params, unsigned nparams,
                            const char *purpose) {
  return (struct step){.statement = variants_text(r->engine->variants, r->mem, sql),
                       .params = params,
                       .nparams = nparams,
                       .gives = GIVES_NOTHING,
                       .as_login = true,
                       .member = MEMBER_NONE,
                       .purpose = purpose};
}

static size_t add(struct run *r, struct plan *plan, struct step step) {
  arena_grow(r->mem, plan->steps, plan->n);
  plan->steps[plan->n] = step;
  return plan->n++;
}

/* ---- the steps of a flight ---- */

void keyed_open(struct run *r, struct plan *plan) {
  const struct idempotency *key = key_of(r);
  struct step lock;

  if (!key) return;
  plan->durable = true;
  lock = own_step(r, lock_sql, &key->lock, 1, "lock the Idempotency-Key");
  lock.gives = GIVES_TEXT;
  r->keyed.lock = add(r, plan, lock);
  r->keyed.find = add(r, plan, own_step(r, find_sql, &key->id, 1, "it is not there yet"));
}

/* what: pieces of the answer, or the mutation that has it. */
static struct step store_step(struct run *r, const char *sql, const char *what) {
  const char **params = arena_array(r->mem, const char *, 4);

  params[0] = r->call->key->id;
  params[1] = r->call->key->key;
  params[2] = r->call->key->fingerprint;
  params[3] = what;
  return own_step(r, sql, params, 4, "keep the answer with the Idempotency-Key");
}

void keyed_close(struct run *r, struct plan *plan) {
  if (!key_of(r)) return;
  r->keyed.store =
      add(r, plan,
          r->accepting ? store_step(r, accept_sql, r->mutation) : store_step(r, store_sql, result_pieces(r->mem, r->set)));
}

/* ---- what was found ---- */

/* The login role's rights are the operator's business, and "the database does not permit this to the caller" no answer. */
static void explain_rights(struct run *r) {
  const char *s = r->e->sqlstate;

  if (strcmp(s, "42501") != 0 && strcmp(s, "42P01") != 0 && strcmp(s, "3F000") != 0) return;
  err_set(r->e, DATABASE_UNAVAILABLE, "The database is not prepared for Idempotency-Key; nothing was changed.");
  r->e->log_detail = "the login role may not use table writ.idempotency: run `writ install`, with --grant";
  r->e->retry_after_s = 5;
}

/* read_sql's text: the fingerprint in hex, and the answer behind it. */
static enum next take_row(struct run *r, const struct step_result *row) {
  enum { HEX = DIGEST_HEX - 1 };

  if (!row->text) return NEXT_AGAIN;
  if (memcmp(row->text, r->call->key->fingerprint, HEX) != 0) {
    err_set(r->e, IDEMPOTENCY_MISMATCH, "This Idempotency-Key was used for another request.");
    return NEXT_REFUSED;
  }
  r->stored = row->text + HEX;
  r->stored_len = row->len - HEX;
  r->accepted = r->stored_len && *r->stored != '{' ? r->stored : NULL;
  r->report->replayed = true;
  return NEXT_DONE;
}

static enum next read_row(struct run *r, size_t datasource) {
  struct step step = own_step(r, read_sql, &r->call->key->id, 1, "what was answered");
  struct flight f;

  step.gives = GIVES_TEXT;
  if (aside_run(r, datasource, &step, 1, false, &f)) return take_row(r, &f.results[0]);
  explain_rights(r);
  return NEXT_REFUSED;
}

/* ---- waiting ---- */

static enum next conflict(struct run *r) {
  err_set(r->e, IDEMPOTENCY_CONFLICT, "A request with this Idempotency-Key is still running; send it again a little later.");
  r->e->retry_after_s = 1;
  return NEXT_REFUSED;
}

/* In a transaction of its own, that waits until whoever holds the key has ended; what it has left is seen by the statement
 * behind. NEXT_AGAIN: nothing. *busy: it still holds it. */
static enum next wait_for_key(struct run *r, size_t datasource, int64_t ms, bool *busy) {
  enum { TIMEOUT_STEP, WAIT_STEP, READ_STEP, STEPS };
  const char *timeout = aside_timeout(r, ms);
  struct step steps[STEPS] = {
      [TIMEOUT_STEP] = own_step(r, aside_timeout_sql, &timeout, 1, "how long to wait"),
      [WAIT_STEP] = own_step(r, wait_sql, &r->call->key->lock, 1, "wait for the Idempotency-Key"),
      [READ_STEP] = own_step(r, read_sql, &r->call->key->id, 1, "what was answered"),
  };
  struct flight f;

  *busy = false;
  steps[READ_STEP].gives = GIVES_TEXT;
  if (aside_run(r, datasource, steps, STEPS, false, &f)) return take_row(r, &f.results[READ_STEP]);
  *busy = f.failed_step == WAIT_STEP && strcmp(r->e->sqlstate, "55P03") == 0;
  explain_rights(r);
  return NEXT_REFUSED;
}

static enum next wait_a_while(struct run *r, size_t datasource) {
  int64_t now = clock_ms();
  enum next next;
  bool busy;

  if (!r->keyed.until_ms) r->keyed.until_ms = now + r->engine->config->idempotency_wait_ms;
  if (now >= r->keyed.until_ms || !wait_begin(r)) return conflict(r);
  next = wait_for_key(r, datasource, r->keyed.until_ms - now, &busy);
  return busy ? conflict(r) : next;
}

/* Whoever replays holds the key too, for a moment: a row that is there is the answer, whoever has the lock. That there is none
 * says nothing: the first run may not have ended. */
static enum next key_is_busy(struct run *r, size_t datasource) {
  enum next next = read_row(r, datasource);
  return next == NEXT_AGAIN ? wait_a_while(r, datasource) : next;
}

/* ---- a lost COMMIT ---- */

static void pause_ms(int ms) {
  struct timespec t = {.tv_nsec = ms * 1000000L};
  nanosleep(&t, NULL);
}

/* The old backend may still be at work: its lock is waited for, on a new connection. It is over when we have the lock: then
 * its row is there, or it was rolled back and the same may run again. */
static enum next resolve(struct run *r, size_t datasource) {
  struct err unknown = *r->e;
  int64_t now = clock_ms(), end;

  if (!r->keyed.resolve_until_ms) r->keyed.resolve_until_ms = now + RESOLVE_MS;
  end = r->keyed.resolve_until_ms < r->wait.deadline_ms ? r->keyed.resolve_until_ms : r->wait.deadline_ms;
  for (; now < end; now = clock_ms()) {
    bool busy;
    enum next next = wait_for_key(r, datasource, end - now, &busy);

    if (next != NEXT_REFUSED || r->e->code == ERR_IDEMPOTENCY_MISMATCH) {
      r->report->replayed = false; /* it is this request's own answer */
      return next;
    }
    if (busy || r->e->code != ERR_DATABASE_UNAVAILABLE) break;
    pause_ms(RESOLVE_PAUSE_MS);
  }
  *r->e = unknown;
  return NEXT_REFUSED;
}

/* ---- judging ---- */

/* With a snapshot older than the lock, whatever was refused may have been refused for what the first run of this very
 * request has written. */
static bool saw_the_past(const struct run *r, const struct flight *f) {
  const char *isolation = f->results[r->keyed.lock].text;
  return isolation && strcmp(isolation, "read committed") != 0;
}

static enum next look_back(struct run *r, size_t datasource) {
  struct err before = *r->e;
  enum next next = read_row(r, datasource);

  if (next == NEXT_DONE || (next == NEXT_REFUSED && r->e->code == ERR_IDEMPOTENCY_MISMATCH)) return next;
  *r->e = before;
  return NEXT_OTHER;
}

enum next keyed_judge(struct run *r, size_t datasource, const struct plan *plan, const struct flight *f) {
  const struct keyed *k = &r->keyed;
  size_t at = f->failed_step;

  if (!key_of(r)) return NEXT_OTHER;
  if (f->state == TXN_UNKNOWN) return resolve(r, datasource);
  /* These were answered before the connection was lost, if it was. */
  if (++r->keyed.rounds > ROUNDS && (at == k->lock || at == k->find || at == k->store)) return conflict(r);
  if (at == k->lock && err_is_own(r->e, "IDEMPOTENCY_BUSY")) return key_is_busy(r, datasource);
  if (at == k->find && err_is_own(r->e, "IDEMPOTENCY_FOUND")) return read_row(r, datasource);
  if (at == k->store && strcmp(r->e->sqlstate, "23505") == 0) return read_row(r, datasource);
  if (f->was_lost) return NEXT_OTHER;
  if (at == k->lock || at == k->find || at == k->store) {
    explain_rights(r);
    return NEXT_OTHER;
  }
  return at < plan->n && !f->raised_by_server && saw_the_past(r, f) ? look_back(r, datasource) : NEXT_OTHER;
}

/* ---- for those who run no transaction of their own ---- */

bool idempotency_find(struct run *r, size_t datasource, bool *found) {
  enum next next = NEXT_AGAIN;

  if (key_of(r)) next = read_row(r, datasource);
  *found = next == NEXT_DONE;
  return next != NEXT_REFUSED;
}

/* One try. NEXT_DONE: it is held, or r->stored. */
static enum next hold_once(struct run *r, size_t datasource) {
  struct source *source = &r->engine->sources[datasource];
  struct conn *c = engine_second(r->engine, datasource);
  struct step lock = own_step(r, lock_sql, &r->call->key->lock, 1, "lock the Idempotency-Key");
  const char *text;
  size_t failed;
  bool fresh;

  err_init(r->e, r->mem);
  if (!conn_open(c, &r->wait, &fresh, r->e)) return NEXT_REFUSED;
  if (hold_open(c, r->mem, &lock, 1, &r->wait, &text, &failed, r->e)) {
    source->held++;
    r->key_held_by = source;
    return NEXT_DONE;
  }
  return err_is_own(r->e, "IDEMPOTENCY_BUSY") ? key_is_busy(r, datasource) : NEXT_REFUSED;
}

bool keyed_hold(struct run *r, size_t datasource, bool *found) {
  enum next next;

  *found = false;
  r->keyed = (struct keyed){0};
  if (!source_ready(r->engine, datasource, &r->wait, r->e)) return false;
  do next = hold_once(r, datasource);
  while (next == NEXT_AGAIN);
  wait_end(r);
  if (next == NEXT_REFUSED) return false;
  *found = r->stored != NULL;
  return *found || idempotency_find(r, datasource, found);
}

/* Had the connection been lost, others could have run the same meanwhile: the row's unique key stands behind. */
void keyed_release(struct run *r) {
  struct wait w = {.deadline_ms = clock_ms() + RELEASE_MS, .caller_fd = -1};
  struct source *source = r->key_held_by;

  r->key_held_by = NULL;
  if (source) (void)hold_close(source->seconds[--source->held], &w);
}

static const char *pieces_of(void *mem, const char *answer, size_t len) {
  struct str *pieces = str_new(mem, len + len / 8 + 16);

  str_char(pieces, '[');
  str_json_bytes(pieces, answer, len);
  str_char(pieces, ']');
  return pieces->p;
}

void keyed_keep(struct run *r, struct plan *plan) {
  struct str *answer;

  if (!key_of(r)) return;
  answer = str_new(r->mem, 1024);
  result_put(answer, r->set);
  r->keyed.store = add(r, plan, store_step(r, store_sql, pieces_of(r->mem, answer->p, answer->len)));
  r->kept = true;
}

bool keyed_was_kept(struct run *r, size_t datasource, const struct flight *f) {
  struct str *answer;

  if (!key_of(r) || f->was_lost || f->failed_step != r->keyed.store || strcmp(r->e->sqlstate, "23505") != 0) return false;
  if (read_row(r, datasource) != NEXT_DONE) return false;
  answer = str_new(r->mem, 1024);
  result_put(answer, r->set);
  r->report->replayed = r->stored_len != answer->len || memcmp(r->stored, answer->p, answer->len) != 0;
  return true;
}

/* A lost COMMIT: the same once more finds the row, or puts it there. */
static bool store_aside(struct run *r, size_t datasource, struct step steps[2], struct flight *f) {
  for (int tries = 0; tries < 2; tries++) {
    if (aside_run(r, datasource, steps, 2, true, f)) return true;
    if (f->state != TXN_UNKNOWN) break;
  }
  explain_rights(r);
  return false;
}

bool idempotency_store(struct run *r, size_t datasource, const char *answer, size_t len, bool *stored) {
  struct step steps[2];
  struct flight f;

  steps[0] = store_step(r, store_once_sql, pieces_of(r->mem, answer, len));
  steps[1] = own_step(r, read_sql, &r->call->key->id, 1, "which answer is there");
  steps[1].gives = GIVES_TEXT;
  if (!store_aside(r, datasource, steps, &f) || take_row(r, &f.results[1]) == NEXT_REFUSED) return false;
  *stored = r->stored_len == len && memcmp(r->stored, answer, len) == 0;
  if (*stored) r->report->replayed = false;
  return true;
}
