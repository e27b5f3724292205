/* An open transaction. */
#include "db/hold.h"

#include "base/arena.h"
#include "db/conn_libpq.h"
#include "db/sqlstate.h"

/* An idle transaction is what is wanted here. */
static const char no_timeout[] = "select pg_catalog.set_config('idle_in_transaction_session_timeout', '0', true)";

static bool send(struct conn *c, const char *sql, unsigned n, const char *const *params) {
  return PQsendQueryParams(c->pg, sql, (int)n, NULL, params, NULL, NULL, 0);
}

static bool send_all(struct conn *c, const struct step *steps, size_t n) {
  bool ok = send(c, "begin isolation level read committed", 0, NULL) && send(c, no_timeout, 0, NULL);

  for (size_t i = 0; ok && i < n; i++) ok = send(c, steps[i].statement.sql, steps[i].nparams, steps[i].params);
  return ok && PQpipelineSync(c->pg);
}

/* All results of one query. False: the connection. */
static bool read_one(struct conn *c, const void *mem, const struct wait *w, const char **text, bool *refused,
                     struct err *e) {
  PGresult *r;

  for (;;) {
    if (!conn_result(c, w, &r)) return false;
    if (!r) return true;
    switch (PQresultStatus(r)) {
    case PGRES_TUPLES_OK:
      if (text && PQntuples(r) == 1 && !PQgetisnull(r, 0, 0)) *text = arena_strdup(mem, PQgetvalue(r, 0, 0));
      break;
    case PGRES_COMMAND_OK:
    case PGRES_PIPELINE_ABORTED: break;
    default: *refused = true; sqlstate_error(e, r);
    }
    PQclear(r);
  }
}

static bool read_all(struct conn *c, const void *mem, const struct step *steps, size_t n, const struct wait *w,
                     const char **text, size_t *failed, bool *refused, struct err *e) {
  enum { AHEAD = 2 };

  for (size_t i = 0; i < n + AHEAD; i++) {
    bool was_refused = *refused, gives = i >= AHEAD && steps[i - AHEAD].gives == GIVES_TEXT;

    if (!read_one(c, mem, w, gives ? text : NULL, refused, e)) return false;
    if (*refused && !was_refused && i >= AHEAD) *failed = i - AHEAD;
  }
  return conn_read_sync(c, w);
}

bool hold_open(struct conn *c, const void *mem, const struct step *steps, size_t n, const struct wait *w, const char **text,
               size_t *failed, struct err *e) {
  bool refused = false;

  *text = NULL;
  *failed = n;
  conn_begin_flight(c);
  if (!send_all(c, steps, n) || !read_all(c, mem, steps, n, w, text, failed, &refused, e)) {
    conn_end_flight(c);
    return conn_lost(c, e);
  }
  if (!refused) return true;
  (void)hold_close(c, w);
  return false;
}

bool hold_close(struct conn *c, const struct wait *w) {
  bool refused = false, ok;
  struct err ignored;

  err_init(&ignored, c);
  ok = PQstatus(c->pg) == CONNECTION_OK && send(c, "rollback", 0, NULL) && PQpipelineSync(c->pg) &&
       read_one(c, c, w, NULL, &refused, &ignored) && conn_read_sync(c, w) && !refused;
  conn_end_flight(c);
  if (!ok) conn_close(c);
  return ok;
}
