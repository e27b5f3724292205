/* Sends a plan as one pipeline and reads what came of it. */
#include "db/flight.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/fault.h"
#include "db/conn_libpq.h"
#include "db/sqlstate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What was put into the pipeline, in order: each has an answer. */
enum item_kind { ITEM_DEALLOCATE, ITEM_PREPARE, ITEM_RUN, ITEM_SYNC, ITEM_END };

/* Results smaller than this are copied out of libpq's memory. */
enum { COPY_BYTES = 16 * 1024 };

struct item {
  enum item_kind kind;
  uint16_t slot;
  uint32_t gen;
  size_t step; /* plan->n: none of the steps */
};

struct pipe {
  struct conn *c;
  void *mem;
  const struct plan *plan;
  struct item *items;
  size_t nitems;
  bool implicit;   /* no BEGIN, and no COMMIT: the Sync is the end of the transaction */
  bool broken;     /* libpq took no more */
  bool commit_put; /* the COMMIT was handed to libpq: the server may have seen it */
};

/* Slots of the statements that every flight has; settings take one for each of their forms. */
enum fixed {
  FIXED_BEGIN,
  FIXED_SETTINGS = FIXED_BEGIN + 8,
  FIXED_COMMIT = FIXED_SETTINGS + 6,
  FIXED_IMMEDIATE,
  FIXED_ROLLBACK,
  FIXED_ROLE,
  FIXED_DURABLE,
};

static const char *const begins[][2] = {
    [ISOLATION_DEFAULT] = {"begin", "begin read only"},
    [ISOLATION_READ_COMMITTED] = {"begin isolation level read committed", "begin isolation level read committed read only"},
    [ISOLATION_REPEATABLE_READ] = {"begin isolation level repeatable read",
                                   "begin isolation level repeatable read read only"},
    [ISOLATION_SERIALIZABLE] = {"begin isolation level serializable", "begin isolation level serializable read only"},
};

/* The caller is known to SQL by settings local to the transaction. The role comes last: what stands before it runs as the
 * login role. A session of our own has its timeouts since it was opened (conn.c): set here, each costs PostgreSQL some 3 us
 * a transaction. num_nulls, so that not all of it is sent back. */
#define CALLER                                                                                                              \
  "select num_nulls(set_config('request.jwt.claims', $1, true), set_config('request.role', $2, true), "                     \
  "set_config('request.user', $3, true), set_config('request.id', $4, true)"
/* And no just-in-time compilation, which a session of ours has switched off for good: it takes longer than the statements. */
#define TIMEOUT ", set_config('statement_timeout', $5, true), set_config('jit', 'off', true)"
#define LOCKS ", set_config('lock_timeout', $6, true)"
#define ROLE(parameter) ", set_config('role', " parameter ", true)"

enum timeouts { TIMEOUTS_OF_SESSION, TIMEOUTS_STATEMENT, TIMEOUTS_BOTH };

static const char *const settings[][2] = {
    [TIMEOUTS_OF_SESSION] = {CALLER ")", CALLER ROLE("$5") ")"},
    [TIMEOUTS_STATEMENT] = {CALLER TIMEOUT ")", CALLER TIMEOUT ROLE("$6") ")"},
    [TIMEOUTS_BOTH] = {CALLER TIMEOUT LOCKS ")", CALLER TIMEOUT LOCKS ROLE("$7") ")"},
};

static enum timeouts timeouts_of(const struct plan *p) {
  if (!p->shared_session) return TIMEOUTS_OF_SESSION;
  return p->lock_timeout_ms ? TIMEOUTS_BOTH : TIMEOUTS_STATEMENT;
}

/* A step that runs as the login role ahead of all others: the role comes later. */
static bool begins_as_login(const struct plan *p) { return p->n && p->steps[0].as_login; }
static bool sets_role(const struct plan *p) { return p->role && !begins_as_login(p); }

/* What PostgreSQL itself calls a query, by its first word: of these alone none can end the transaction that it runs in, as a CALL
 * can, or needs a block around it, as LOCK does. What begins otherwise (with a comment, say) is not looked at further. */
static bool is_query(const char *sql) {
  static const char *const words[] = {"select", "insert", "update", "delete", "with", "merge", "values"};

  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    size_t len = strlen(words[i]);
    if (strncasecmp(sql, words[i], len) == 0) return sql[len] == ' ' || sql[len] == '\n' || sql[len] == '(';
  }
  return false;
}

static bool is_implicit(const struct plan *p) {
  if (p->isolation != ISOLATION_DEFAULT || p->read_only || p->dry_run) return false;
  for (size_t i = 0; i < p->n; i++)
    if (!is_query(p->steps[i].statement.sql)) return false;
  return true;
}

const char *plan_begin_sql(const struct plan *p) { return is_implicit(p) ? NULL : begins[p->isolation][p->read_only]; }

struct plan plan_own(const char *name, struct step *steps, size_t n) {
  return (struct plan){.isolation = ISOLATION_READ_COMMITTED,
                       .claims = "{}",
                       .caller_role = "",
                       .caller_user = "",
                       .request_id = name,
                       .shared_session = true,
                       .steps = steps,
                       .n = n};
}

const char *plan_settings_sql(const struct plan *p) { return settings[timeouts_of(p)][sets_role(p)]; }
const char *plan_role_sql(void) { return "select set_config('role', $1, true)"; }

static bool is_writs_alone(const struct plan *p) {
  for (size_t i = 0; i < p->n; i++)
    if (!p->steps[i].as_login) return false;
  return true;
}

/* What is deferred to the end (constraint triggers) runs as whoever is there then: the role of the writes that it is about. */
const char *plan_role_change(const struct plan *p, size_t i) {
  bool was_login = i ? p->steps[i - 1].as_login : begins_as_login(p);
  bool is_login = i < p->n ? p->steps[i].as_login : was_login && is_writs_alone(p);

  if (!p->role || is_login == was_login) return NULL;
  return is_login ? "none" : p->role;
}

/* 'remote_apply' and the like are more than is asked for: they stay. */
const char *plan_durable_sql(void) {
  return "select set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off'";
}

static void put_item(struct pipe *p, enum item_kind kind, const struct statement *s, size_t step) {
  arena_grow(p->mem, p->items, p->nitems);
  p->items[p->nitems++] = (struct item){kind, s ? s->slot : 0, s ? s->gen : 0, step};
}

/* w and the slot's number: snprintf costs more than all else that is done here for a statement. */
static void put_name(char name[16], unsigned slot) {
  char digits[8];
  size_t n = 0;

  do digits[n++] = (char)('0' + slot % 10);
  while (slot /= 10);
  *name++ = 'w';
  while (n) *name++ = digits[--n];
  *name = '\0';
}

/* Prepares the statement where the server does not have it, within the same flight: no trip of its own. */
static void put_prepare(struct pipe *p, const struct statement *s, size_t step, const char *name) {
  uint32_t *sent = &p->c->sent[s->slot];

  if (*sent == s->gen) return;
  if (*sent) {
    char deallocate[32];
    snprintf(deallocate, sizeof deallocate, "deallocate %s", name);
    p->broken |= !PQsendQueryParams(p->c->pg, deallocate, 0, NULL, NULL, NULL, NULL, 0);
    put_item(p, ITEM_DEALLOCATE, s, step);
  }
  p->broken |= !PQsendPrepare(p->c->pg, name, s->sql, 0, NULL);
  put_item(p, ITEM_PREPARE, s, step);
  *sent = s->gen;
}

static void put(struct pipe *p, enum item_kind kind, const struct statement *s, const char *const *params, unsigned nparams,
                size_t step) {
  if (p->broken) return;
  p->commit_put |= kind == ITEM_END;
  for (unsigned i = 0; i < nparams; i++)
    if (params[i]) p->c->flight_bytes += strlen(params[i]);
  if (p->c->options.prepared) {
    char name[16];
    put_name(name, s->slot);
    put_prepare(p, s, step, name);
    p->broken |= !PQsendQueryPrepared(p->c->pg, name, (int)nparams, params, NULL, NULL, 0);
  } else {
    p->broken |= !PQsendQueryParams(p->c->pg, s->sql, (int)nparams, NULL, params, NULL, NULL, 0);
  }
  put_item(p, kind, s, step);
}

static void put_fixed(struct pipe *p, enum item_kind kind, unsigned slot, const char *sql, const char *const *params,
                      unsigned nparams) {
  struct statement s = {.sql = sql, .gen = 1, .slot = (uint16_t)slot};
  put(p, kind, &s, params, nparams, p->plan->n);
}

static void put_sync(struct pipe *p) {
  if (p->broken) return;
  p->commit_put |= p->implicit;
  p->broken |= !PQpipelineSync(p->c->pg);
  put_item(p, ITEM_SYNC, NULL, p->plan->n);
}

static void put_settings(struct pipe *p, const struct wait *w) {
  const struct plan *plan = p->plan;
  enum timeouts timeouts = timeouts_of(plan);
  int64_t left_ms = w->deadline_ms - clock_ms();
  char timeout[24], lock_timeout[24];
  const char *params[PLAN_SETTINGS] = {plan->claims, plan->caller_role, plan->caller_user, plan->request_id};
  unsigned n = 4;

  if (timeouts >= TIMEOUTS_STATEMENT) {
    snprintf(timeout, sizeof timeout, "%lld", (long long)(left_ms > 1 ? left_ms : 1));
    params[n++] = timeout;
  }
  if (timeouts == TIMEOUTS_BOTH) {
    snprintf(lock_timeout, sizeof lock_timeout, "%d", plan->lock_timeout_ms);
    params[n++] = lock_timeout;
  }
  if (sets_role(plan)) params[n++] = plan->role;
  put_fixed(p, ITEM_RUN, FIXED_SETTINGS + 2 * timeouts + sets_role(plan), plan_settings_sql(plan), params, n);
}

static void put_role(struct pipe *p, size_t step) {
  const char *role = plan_role_change(p->plan, step);

  if (role) put_fixed(p, ITEM_RUN, FIXED_ROLE, plan_role_sql(), &role, 1);
}

/* What ends the transaction is sent with all else, and comes behind the answers to all else: that they came says something where
 * it is known that what the server had sent was read (judge_loss). */
static void put_end(struct pipe *p) {
  const struct plan *plan = p->plan;

  if (plan->dry_run) put_fixed(p, ITEM_RUN, FIXED_IMMEDIATE, "set constraints all immediate", NULL, 0);
  if (!p->implicit) put_sync(p);
  else if (p->c->direct) p->broken |= !PQsendFlushRequest(p->c->pg);
  FAULT("before-commit");
  if (plan->dry_run) put_fixed(p, ITEM_END, FIXED_ROLLBACK, "rollback", NULL, 0);
  else if (!p->implicit) put_fixed(p, ITEM_END, FIXED_COMMIT, "commit", NULL, 0);
  put_sync(p);
}

static void put_plan(struct pipe *p, const struct wait *w) {
  const struct plan *plan = p->plan;
  const char *begin = plan_begin_sql(plan);

  p->implicit = !begin;
  if (begin) put_fixed(p, ITEM_RUN, FIXED_BEGIN + 2 * plan->isolation + plan->read_only, begin, NULL, 0);
  put_settings(p, w);
  if (plan->durable) put_fixed(p, ITEM_RUN, FIXED_DURABLE, plan_durable_sql(), NULL, 0);
  for (size_t i = 0; i < plan->n; i++) {
    const struct step *step = &plan->steps[i];

    put_role(p, i);
    put(p, ITEM_RUN, &step->statement, step->params, step->nparams, i);
  }
  put_role(p, plan->n);
  put_end(p);
}

/* Reading. */

struct reading {
  struct pipe *p;
  const struct wait *w;
  struct flight *f;
  struct err *e;
  bool fatal;  /* the first error ended the session */
  bool lost;   /* some error ended the session: nothing follows it */
  bool ending; /* all ahead of the end was answered: the server has begun on the COMMIT, or will */
};

static int clear_result(PGresult **holder) {
  PQclear(*holder);
  return 0;
}

/* A large result is kept as long as the request; a small one is copied, so that libpq's block for it is used again at once. */
static const char *keep_text(void *mem, PGresult **result, size_t len) {
  const char *text = PQgetvalue(*result, 0, 0);
  PGresult **holder;

  if (len < COPY_BYTES) return arena_strndup(mem, text, len);
  holder = arena_new(mem, PGresult *);
  *holder = *result;
  *result = NULL;
  talloc_set_destructor(holder, clear_result);
  return text;
}

/* The role that the manifest maps to is not there (invalid_parameter_value): no mistake of the client, and its name is no business
 * of it either. */
static void own_role_error(struct reading *r, const struct item *item) {
  bool sets = (item->slot >= FIXED_SETTINGS && item->slot < FIXED_COMMIT) || item->slot == FIXED_ROLE;
  char *why;

  if (!sets || strcmp(r->e->sqlstate, "22023") != 0) return;
  why = arena_printf(r->e->mem, "22023: %s", r->e->message);
  err_set(r->e, INTERNAL, "The caller's role is not set up in the database.");
  r->e->log_detail = why;
}

/* In a transaction that we made so: what is told to be a query calls something that writes. A matter of the manifest, not of the
 * server having become a standby. */
static void own_write_error(struct reading *r) {
  char *why;

  if (!r->p->plan->read_only || strcmp(r->e->sqlstate, "25006") != 0) return;
  why = arena_printf(r->e->mem, "25006: %s", r->e->message);
  err_set(r->e, INTERNAL, "A query must not change data, and one of these commands does.");
  r->e->log_detail = why;
}

static void first_error(struct reading *r, const struct item *item, const PGresult *result) {
  struct conn *c = r->p->c;
  /* Without a SQLSTATE it is libpq's own: the server is gone. libpq would give the same for each item that is left. */
  bool fatal = sqlstate_is_fatal(result) || !PQresultErrorField(result, PG_DIAG_SQLSTATE);

  if (fatal) r->lost = true;
  if (r->f->state != TXN_OPEN) return; /* failed already, or ended: an error behind COMMIT's answer takes nothing back */
  r->f->state = TXN_FAILED;
  r->f->failed_step = item->step;
  r->f->failed_parameter = sqlstate_parameter(result);
  r->f->raised_by_server = sqlstate_is_retryable(result);
  r->fatal = fatal;
  sqlstate_error(r->e, result);
  own_role_error(r, item);
  own_write_error(r);
  /* A server that has become a standby, or a session that someone else has changed: a new connection is wanted. */
  if (strcmp(r->e->sqlstate, "25006") == 0 || strcmp(r->e->sqlstate, "26000") == 0 || strcmp(r->e->sqlstate, "42P05") == 0)
    c->doomed = true;
}

static void keep_step(struct reading *r, const struct item *item, PGresult **result) {
  const struct step *step = &r->p->plan->steps[item->step];
  struct step_result *out = &r->f->results[item->step];

  if (step->gives == GIVES_TAG) {
    const char *tag = PQcmdTuples(*result);
    out->rows = strtoull(tag, NULL, 10);
    out->text = arena_strdup(r->p->mem, *tag ? tag : "null");
    out->len = strlen(out->text);
  } else if (step->gives == GIVES_TEXT && PQntuples(*result) == 1 && !PQgetisnull(*result, 0, 0)) {
    out->len = (size_t)PQgetlength(*result, 0, 0);
    out->rows = PQnfields(*result) > 1 ? strtoull(PQgetvalue(*result, 0, 1), NULL, 10) : 1;
    out->text = keep_text(r->p->mem, result, out->len);
  }
  r->p->c->flight_bytes += out->len;
}

/* Takes *result over. */
static void take_result(struct reading *r, const struct item *item, PGresult *result) {
  uint32_t *prepared = &r->p->c->prepared[item->slot];

  switch (PQresultStatus(result)) {
  case PGRES_COMMAND_OK:
  case PGRES_TUPLES_OK:
    if (item->kind == ITEM_DEALLOCATE) *prepared = 0;
    if (item->kind == ITEM_PREPARE) *prepared = item->gen;
    if (item->kind == ITEM_END && r->f->state == TXN_OPEN)
      r->f->state = strcmp(PQcmdStatus(result), "COMMIT") == 0 ? TXN_COMMITTED : TXN_ROLLED_BACK;
    if (item->kind == ITEM_RUN && item->step < r->p->plan->n) keep_step(r, item, &result);
    break;
  case PGRES_PIPELINE_SYNC:
    if (r->p->implicit && r->f->state == TXN_OPEN) r->f->state = TXN_COMMITTED;
    break;
  case PGRES_PIPELINE_ABORTED: break;
  default: first_error(r, item, result);
  }
  PQclear(result);
}

/* Up to the NULL behind the results of a query or of an error, or to the answer to a Sync. False: nothing more can be read. */
static bool read_results(struct reading *r, const struct item *item, bool *synced) {
  PGresult *result;

  do {
    if (!conn_result(r->p->c, r->w, &result)) return false;
    if (!result) return true;
    *synced = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
    take_result(r, item, result);
    if (r->lost) return false;
  } while (!*synced);
  return true;
}

/* All results of one item. The answer to a Sync that was to commit and could not stands behind the error. */
static bool read_item(struct reading *r, const struct item *item) {
  bool synced = false;

  if (!read_results(r, item, &synced)) return false;
  return item->kind != ITEM_SYNC || synced || (read_results(r, item, &synced) && synced);
}

/* PgBouncer's own FATALs for a client that it never gave a server: nothing was run. It has one SQLSTATE for all. */
static bool refused_by_pooler(const struct err *e) {
  static const char *const texts[] = {"query_wait_timeout", "cannot connect to server", "server login has been failing",
                                      "no more connections allowed"};

  for (size_t i = 0; e->log_detail && i < sizeof texts / sizeof *texts; i++)
    if (strstr(e->log_detail, texts[i])) return true;
  return false;
}

/* Class 08 is a pooler's word about a server that it has lost: what became of the transaction it does not know. */
static bool is_of_server(const struct err *e) { return *e->sqlstate && strncmp(e->sqlstate, "08", 2) != 0; }

/* The connection went away (or was given up) in the middle: what has become of the transaction? docs/design.md: an answer read
 * decides; on a unix socket all that the server sent before it died has been read, over TCP or a pooler it may not. */
static bool judge_loss(struct reading *r) {
  struct conn *c = r->p->c;
  bool direct = c->direct && c->options.prepared;
  bool given_up = c->cancelled != NOT_CANCELLED && PQstatus(c->pg) == CONNECTION_OK;
  char *words = arena_strdup(r->e->mem, PQerrorMessage(c->pg));

  c->doomed = true;
  r->f->was_lost = true;
  if (c->counters) c->counters->lost_connections++;
  words[strcspn(words, "\n")] = '\0';
  if (r->f->state == TXN_COMMITTED) return true;            /* COMMIT was answered: only the end of the flight is missing */
  if (r->f->state == TXN_FAILED && !r->fatal) return false; /* an error before COMMIT: certain, and already told */
  r->f->failed_step = r->p->plan->n;                        /* no command is to blame */
  if (r->p->plan->dry_run || !r->p->commit_put ||
      (!r->ending && !given_up &&
       (direct || (r->f->state == TXN_FAILED && c->options.prepared && is_of_server(r->e)) || refused_by_pooler(r->e)))) {
    r->f->state = TXN_ROLLED_BACK;
    err_set(r->e, DATABASE_UNAVAILABLE, "The connection to the database was lost; nothing was changed.");
    r->e->retry_after_s = 1;
  } else {
    r->f->state = TXN_UNKNOWN;
    if (c->counters) c->counters->unknown_outcomes++;
    err_set(r->e, COMMIT_UNKNOWN, "The connection to the database was lost while committing; the outcome is not known.");
  }
  r->e->log_detail = given_up ? "no answer after a cancel request" : words;
  return false;
}

/* We asked the server to cancel, and it did: whose wish was it? */
static void explain_cancel(struct reading *r) {
  if (r->p->c->cancelled == NOT_CANCELLED || strcmp(r->e->sqlstate, "57014") != 0) return;
  if (r->p->c->cancelled == CANCELLED_CALLER) err_set(r->e, CALLER_GONE, "The caller hung up; nothing was changed.");
  else err_set(r->e, TIMEOUT, "The request took too long and was stopped; nothing was changed.");
}

static bool read_answers(struct reading *r) {
  struct pipe *p = r->p;
  bool readable = !p->broken;

  for (size_t i = 0; readable && i < p->nitems; i++) {
    readable = read_item(r, &p->items[i]);
    if (readable && (p->items[i].kind == ITEM_SYNC || (p->implicit && i + 2 == p->nitems))) r->ending = true;
  }
  /* What was not confirmed is not there: a Parse skipped in an aborted pipeline. */
  for (size_t i = 0; i < p->nitems; i++) p->c->sent[p->items[i].slot] = p->c->prepared[p->items[i].slot];
  if (!readable) return judge_loss(r);
  if (r->f->state == TXN_FAILED) {
    explain_cancel(r);
    return false;
  }
  return r->f->state == (p->plan->dry_run ? TXN_ROLLED_BACK : TXN_COMMITTED) ||
         err_set(r->e, INTERNAL, "The transaction did not end as it should; nothing was changed.");
}

bool flight_run(struct conn *c, void *mem, const struct plan *plan, const struct wait *w, struct flight *f, struct err *e) {
  struct pipe p = {.c = c, .mem = mem, .plan = plan};
  struct reading r = {.p = &p, .w = w, .f = f, .e = e};
  bool ok;

  *f = (struct flight){.state = TXN_OPEN, .failed_step = plan->n};
  f->results = arena_array(mem, struct step_result, plan->n ? plan->n : 1);
  conn_begin_flight(c);
  put_plan(&p, w);
  FAULT("after-send");
  ok = read_answers(&r);
  FAULT("after-commit");
  conn_end_flight(c);
  if (c->counters) {
    c->counters->flights++;
    if (f->state == TXN_COMMITTED) c->counters->commits++;
    else c->counters->rollbacks++;
  }
  return ok;
}
