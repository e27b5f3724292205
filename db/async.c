/* libpq's asynchronous calls, one at a time. */
#include "db/async.h"

#include "base/arena.h"
#include "base/counters.h"
#include "db/conn_libpq.h"
#include "db/sqlstate.h"

#include <string.h>

struct async {
  struct conn_options options;
  struct counters *counters;
  enum async_state state;
  PGconn *pg;       /* NULL: CLOSED */
  bool writing;     /* libpq waits for room, not for bytes */
  PGresult *result; /* of the question: the first */
};

static int disconnect(struct async *a) {
  async_close(a);
  return 0;
}

struct async *async_new(const void *mem, const struct conn_options *options, struct counters *counters) {
  struct async *a = arena_new(mem, struct async);

  a->options = *options;
  a->counters = counters;
  talloc_set_destructor(a, disconnect);
  return a;
}

enum async_state async_state(const struct async *a) { return a->state; }
int async_fd(const struct async *a) { return PQsocket(a->pg); }
bool async_wants_write(const struct async *a) { return a->writing; }

void async_close(struct async *a) {
  PQclear(a->result);
  if (a->pg) PQfinish(a->pg);
  a->result = NULL;
  a->pg = NULL;
  a->state = ASYNC_CLOSED;
}

/* With libpq's own words, for the log; closes. */
static bool lost(struct async *a, struct err *e) {
  char *text = arena_strdup(e->mem, a->pg ? PQerrorMessage(a->pg) : "out of memory");

  if (a->state > ASYNC_CONNECTING && a->counters) a->counters->lost_connections++;
  text[strcspn(text, "\n")] = '\0';
  err_set(e, DATABASE_UNAVAILABLE, "The database is not available at the moment.");
  e->retry_after_s = 1;
  e->log_detail = arena_printf(e->mem, "datasource %s: %s", a->options.name, text);
  async_close(a);
  return false;
}

static void drop_notice(void *unused, const PGresult *result) {
  (void)unused;
  (void)result;
}

bool async_connect(struct async *a, struct err *e) {
  async_close(a);
  a->pg = conn_start(&a->options);
  a->state = ASYNC_CONNECTING;
  a->writing = true;
  return a->pg && PQstatus(a->pg) != CONNECTION_BAD ? true : lost(a, e);
}

static bool go_on_connecting(struct async *a, struct err *e) {
  switch (PQconnectPoll(a->pg)) {
  case PGRES_POLLING_READING: a->writing = false; return true;
  case PGRES_POLLING_WRITING: a->writing = true; return true;
  case PGRES_POLLING_OK: break;
  default: return lost(a, e);
  }
  PQsetNoticeReceiver(a->pg, drop_notice, NULL);
  if (PQsetnonblocking(a->pg, 1) != 0) return lost(a, e);
  if (a->counters) a->counters->connects++;
  a->writing = false;
  a->state = ASYNC_IDLE;
  return true;
}

/* All results of the question; the first one counts. */
static bool take_results(struct async *a, struct err *e) {
  while (!PQisBusy(a->pg)) {
    PGresult *r = PQgetResult(a->pg);

    if (!r) {
      a->state = ASYNC_IDLE;
      if (!a->result) return lost(a, e);
      if (PQstatus(a->pg) == CONNECTION_BAD) return lost(a, e);
      if (PQresultStatus(a->result) == PGRES_TUPLES_OK) {
        a->state = ASYNC_ANSWERED;
        return true;
      }
      sqlstate_error(e, a->result);
      async_done(a);
      return false;
    }
    if (a->result) PQclear(r);
    else a->result = r;
  }
  return true;
}

bool async_step(struct async *a, struct err *e) {
  int unsent;

  if (a->state == ASYNC_CLOSED || a->state == ASYNC_ANSWERED) return true;
  if (a->state == ASYNC_CONNECTING) return go_on_connecting(a, e);
  unsent = PQflush(a->pg);
  a->writing = unsent == 1;
  /* Idle, and there is something to read: the end, or what comes unasked. */
  if (unsent < 0 || !PQconsumeInput(a->pg)) return lost(a, e);
  return a->state == ASYNC_ASKED ? take_results(a, e) : true;
}

bool async_ask(struct async *a, const char *sql, unsigned n, const char *const *params, struct err *e) {
  a->state = ASYNC_ASKED;
  if (!PQsendQueryParams(a->pg, sql, (int)n, NULL, params, NULL, NULL, 0)) return lost(a, e);
  a->writing = PQflush(a->pg) == 1;
  return true;
}

size_t async_rows(const struct async *a) { return (size_t)PQntuples(a->result); }

unsigned async_columns(const struct async *a) { return (unsigned)PQnfields(a->result); }

const char *async_text(const struct async *a, size_t row, unsigned column) {
  if (PQgetisnull(a->result, (int)row, (int)column)) return NULL;
  return PQgetvalue(a->result, (int)row, (int)column);
}

void async_done(struct async *a) {
  PQclear(a->result);
  a->result = NULL;
  if (a->state == ASYNC_ANSWERED) a->state = ASYNC_IDLE;
}
