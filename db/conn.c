/* A connection: opened when first needed, watched while waited for, thrown away when in doubt. */
#include "db/conn_libpq.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "db/sqlstate.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
  CANCEL_GRACE_MS = 5000, /* how long a cancelled flight may take to end before the connection is given up */
  BEAT_MS = 250,          /* between calls of wait.beat */
  CANCEL_AGAIN_MS = 250,  /* a cancel request that comes before the backend has begun with the flight does nothing */
  RECYCLE_BYTES = 4 * 1024 * 1024, /* libpq never shrinks its buffers: a flight of this size costs a new connection */
};

enum waited { WAIT_READY, WAIT_DEADLINE, WAIT_CALLER_GONE };

static int disconnect(struct conn *c) {
  conn_close(c);
  return 0;
}

struct conn *conn_new(const void *mem, const struct conn_options *options, struct counters *counters) {
  struct conn *c = arena_new(mem, struct conn);

  c->options = *options;
  c->counters = counters;
  talloc_set_destructor(c, disconnect);
  return c;
}

void conn_close(struct conn *c) {
  if (c->cancel) PQfreeCancel(c->cancel);
  if (c->pg) PQfinish(c->pg);
  c->cancel = NULL;
  c->pg = NULL;
  c->doomed = false;
  c->posted = 0;
}

static int poll_ms(int64_t left_ms, const struct wait *w, const struct conn_listener *listener) {
  int own = listener ? listener->wait_ms(listener->data) : -1, ms = left_ms > 60000 ? 60000 : (int)left_ms + 1;

  if (w->beat_in_flight && ms > BEAT_MS) ms = BEAT_MS;
  return own >= 0 && own < ms ? own : ms;
}

/* Polls PostgreSQL and the caller's socket until one has news or the time is over. The listener's news are its own. */
static enum waited wait_for(int pg_fd, short events, const struct wait *w, const struct conn_listener *listener) {
  struct pollfd fds[3] = {{.fd = pg_fd, .events = events}, {.fd = w->caller_fd, .events = POLLRDHUP}, {.events = POLLIN}};

  for (;;) {
    int64_t left_ms;
    int n;

    if (w->beat_in_flight) w->beat(w->data);
    left_ms = w->deadline_ms - clock_ms();
    if (left_ms < 0) return WAIT_DEADLINE;
    fds[2].fd = listener ? listener->fd(listener->data) : -1; /* poll passes over -1 */
    n = poll(fds, 3, poll_ms(left_ms, w, listener));
    if (n < 0 && errno != EINTR) return WAIT_READY; /* a broken descriptor: libpq will say so */
    if (n < 0) continue;
    if (fds[0].revents) return WAIT_READY;
    if (w->caller_fd >= 0 && fds[1].revents) return WAIT_CALLER_GONE;
    if (listener && (!n || fds[2].revents)) listener->ready(listener->data);
  }
}

/* A notice is the application's own (RAISE NOTICE): not an error, and not for our log. But for those of writ.dispatch
 * (sql/install/007.sql), where somebody listens. */
static void take_notice(void *data, const PGresult *result) {
  const struct conn *c = data;
  const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE), *mutation, *name, *payload;

  if (!c->listener || !state || strcmp(state, "WR002") != 0) return;
  mutation = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
  name = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  payload = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
  c->listener->notice(c->listener->data, mutation ? mutation : "", name ? name : "", payload ? payload : "null",
                      !PQresultErrorField(result, PG_DIAG_MESSAGE_HINT));
}

void conn_listen(struct conn *c, const struct conn_listener *listener) { c->listener = listener; }

static bool is_unix_socket(int fd) {
  struct sockaddr_storage address;
  socklen_t len = sizeof address;

  return getsockname(fd, (struct sockaddr *)&address, &len) == 0 && address.ss_family == AF_UNIX;
}

bool conn_can_read(const char *conninfo) {
  PQconninfoOption *options = PQconninfoParse(conninfo, NULL);

  PQconninfoFree(options);
  return options != NULL;
}

const char *conn_user(const void *mem, const char *conninfo) {
  PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
  const char *user = NULL;

  for (const PQconninfoOption *o = options; o && o->keyword; o++)
    if (strcmp(o->keyword, "user") == 0 && o->val) user = arena_strdup(mem, o->val);
  PQconninfoFree(options);
  return user;
}

static bool refused(struct conn *c, struct err *e) {
  char *text = arena_strdup(e->mem, c->pg ? PQerrorMessage(c->pg) : "out of memory");
  size_t len = strlen(text);

  while (len && text[len - 1] == '\n') text[--len] = '\0';
  err_set(e, DATABASE_UNAVAILABLE, "The database is not available at the moment; nothing was changed.");
  e->retry_after_s = 1;
  e->log_detail = arena_printf(e->mem, "datasource %s: %s", c->options.name, text);
  conn_close(c);
  return false;
}

/* libpq's defaults ahead of the user's conninfo, which may override them; what must hold behind it. No startup `options`:
 * PgBouncer refuses them. */
PGconn *conn_start(const struct conn_options *options) {
  const char *keywords[] = {"keepalives_idle",
                            "keepalives_interval",
                            "tcp_user_timeout",
                            "fallback_application_name",
                            "dbname",
                            "client_encoding",
                            NULL};
  const char *values[] = {"30", "10", "30000", "writ", options->conninfo, "UTF8", NULL};

  return PQconnectStartParams(keywords, values, 1);
}

/* Gave up waiting for a connection; nothing was sent on it. */
static bool unanswered(struct conn *c, enum waited waited, struct err *e) {
  conn_close(c);
  if (waited == WAIT_CALLER_GONE) return err_set(e, CALLER_GONE, "The caller hung up; nothing was changed.");
  err_set(e, DATABASE_UNAVAILABLE, "The database did not answer in time; nothing was changed.");
  e->retry_after_s = 1;
  return false;
}

static bool connect_now(struct conn *c, const struct wait *w, struct err *e) {
  PostgresPollingStatusType state = PGRES_POLLING_WRITING;

  c->pg = conn_start(&c->options);
  if (!c->pg || PQstatus(c->pg) == CONNECTION_BAD) return refused(c, e);
  while (state != PGRES_POLLING_OK) {
    enum waited waited;

    if (state == PGRES_POLLING_FAILED) return refused(c, e);
    waited = wait_for(PQsocket(c->pg), state == PGRES_POLLING_READING ? POLLIN : POLLOUT, w, NULL);
    if (waited != WAIT_READY) return unanswered(c, waited, e);
    state = PQconnectPoll(c->pg);
  }
  PQsetNoticeReceiver(c->pg, take_notice, c);
  if (PQsetnonblocking(c->pg, 1) != 0 || !PQenterPipelineMode(c->pg)) return refused(c, e);
  c->cancel = PQgetCancel(c->pg);
  c->direct = c->durable = false;
  c->doomed = false;
  memset(c->prepared, 0, sizeof c->prepared);
  memset(c->sent, 0, sizeof c->sent);
  c->used_ms = clock_ms();
  if (c->counters) c->counters->connects++;
  return true;
}

/* The server closed it while nobody looked (restart, idle timeout): end of file is waiting to be read, or the server's last
 * words and not yet the end. Little else comes unasked (a changed parameter after a reload): not worth telling apart. */
static bool is_dead(struct conn *c, int caller_fd, bool *caller_gone) {
  struct pollfd fds[2] = {{.fd = PQsocket(c->pg), .events = POLLIN}, {.fd = caller_fd, .events = POLLRDHUP}};
  int n = poll(fds, 2, 0); /* a descriptor of -1 is passed over */

  *caller_gone = n > 0 && fds[1].revents;
  return PQstatus(c->pg) != CONNECTION_OK || (n > 0 && fds[0].revents);
}

/* Is it the server itself at the other end of a unix socket? A tunnel's server side is TCP; a pooler has made up the process
 * id that it gave at the start. */
static bool is_direct(struct conn *c, const PGresult *told) {
  return is_unix_socket(PQsocket(c->pg)) && PQgetisnull(told, 0, 3) && atoi(PQgetvalue(told, 0, 2)) == PQbackendPID(c->pg);
}

/* The settings of a session that is ours alone: timeouts, and no just-in-time compilation, which for a query with a few lists within
 * each other takes a hundred times what it saves (0.4 s; PostgreSQL guesses by estimated cost, and keeps nothing of it). */
static bool settle_session(struct conn *c, const struct wait *w, struct err *e) {
  static const char sql[] = "select set_config('statement_timeout', $1, false), "
                            "set_config('lock_timeout', coalesce($2, current_setting('lock_timeout')), false), "
                            "pg_backend_pid(), inet_client_addr(), set_config('jit', 'off', false), "
                            /* What is not off is held fast: a reload of PostgreSQL must not change it behind our back. */
                            "case when current_setting('synchronous_commit') <> 'off' then "
                            "set_config('synchronous_commit', current_setting('synchronous_commit'), false) end";
  const char *statement = arena_printf(e->mem, "%d", c->options.statement_timeout_ms);
  const char *lock = arena_printf(e->mem, "%d", c->options.lock_timeout_ms);
  const char *params[] = {statement, c->options.lock_timeout_ms ? lock : NULL};
  PGresult *result;

  if (!c->options.prepared) return true;
  if (!conn_ask(c, sql, 2, params, &result, w, e)) {
    c->doomed = true;
    return false;
  }
  c->direct = is_direct(c, result);
  c->durable = !PQgetisnull(result, 0, 5);
  PQclear(result);
  return true;
}

bool conn_is_durable(const struct conn *c) { return c->pg && c->options.prepared && c->durable; }

bool conn_open(struct conn *c, const struct wait *w, bool *fresh, struct err *e) {
  bool caller_gone = false;

  *fresh = false;
  if (c->pg && (is_dead(c, w->caller_fd, &caller_gone) || c->doomed)) {
    log_line(LOG_INFO, "reconnect", "datasource=%s", c->options.name);
    conn_close(c);
  }
  /* While it waited for a worker, say: not begun, it need not be cancelled, which costs far more. */
  if (caller_gone) return err_set(e, CALLER_GONE, "The caller hung up; nothing was changed.");
  if (c->pg) return true;
  *fresh = true;
  if (connect_now(c, w, e) && settle_session(c, w, e)) return true;
  conn_close(c); /* a session without its timeouts is none */
  return false;
}

void conn_tidy(struct conn *c, int64_t idle_ms) {
  bool grown = c->flight_bytes > RECYCLE_BYTES;

  if (!c->pg) return;
  if (c->doomed || grown || (idle_ms && clock_ms() - c->used_ms > idle_ms)) conn_close(c);
  if (grown) malloc_trim(0); /* what was freed lies between what was not */
  c->flight_bytes = 0;
}

void conn_begin_flight(struct conn *c) {
  c->cancelled = NOT_CANCELLED;
  c->flight_bytes = 0;
}

void conn_end_flight(struct conn *c) {
  c->used_ms = clock_ms();
  /* A late cancel request could hit the next flight. */
  if (c->cancelled != NOT_CANCELLED || PQstatus(c->pg) != CONNECTION_OK) c->doomed = true;
  /* Nothing of a flight stays open; should it ever, the next one is not to be part of it. */
  if (PQtransactionStatus(c->pg) != PQTRANS_IDLE) c->doomed = true;
}

/* PQcancel connects, and that can block: a grandchild does it, with a bounded life. The supervisor reaps it, as a
 * subreaper; without one (writ run) init does. */
static void send_cancel(struct conn *c) {
  pid_t child = fork();

  if (child == 0) {
    char text[256];

    if (fork() == 0) {
      close_range(3, ~0U, 0); /* the listening socket above all: a new supervisor asks whether anybody still has it */
      signal(SIGALRM, SIG_DFL);
      alarm(CANCEL_GRACE_MS / 1000);
      (void)PQcancel(c->cancel, text, sizeof text);
    }
    _exit(0);
  }
  while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
}

static void cancel_flight(struct conn *c, enum cancelled why) {
  c->cancelled = why;
  c->give_up_ms = clock_ms() + CANCEL_GRACE_MS;
  c->cancel_again_ms = clock_ms() + CANCEL_AGAIN_MS;
  if (c->counters) c->counters->cancels++;
  if (c->cancel) send_cancel(c);
}

/* False: given up. */
static bool cancel_again(struct conn *c) {
  if (clock_ms() >= c->give_up_ms) return false;
  c->cancel_again_ms = clock_ms() + CANCEL_AGAIN_MS;
  if (c->cancel) send_cancel(c);
  return true;
}

/* Waits until libpq has something to read, sending what is left to send meanwhile. False: time to give up. */
static bool wait_for_input(struct conn *c, const struct wait *w) {
  for (;;) {
    int unsent = PQflush(c->pg);
    struct wait grace = {.deadline_ms = c->cancel_again_ms, .caller_fd = -1};
    enum waited waited =
        wait_for(PQsocket(c->pg), unsent == 1 ? POLLIN | POLLOUT : POLLIN, c->cancelled ? &grace : w, c->listener);

    if (waited == WAIT_READY) return true;
    if (c->cancelled && !cancel_again(c)) return false;
    if (!c->cancelled) cancel_flight(c, waited == WAIT_DEADLINE ? CANCELLED_DEADLINE : CANCELLED_CALLER);
  }
}

bool conn_result(struct conn *c, const struct wait *w, PGresult **result) {
  *result = NULL;
  while (PQisBusy(c->pg)) {
    if (!wait_for_input(c, w)) return false;
    if (!PQconsumeInput(c->pg)) break; /* lost: PQgetResult has the server's last words, if there were any */
  }
  *result = PQgetResult(c->pg);
  return *result || PQstatus(c->pg) == CONNECTION_OK;
}

bool conn_lost(struct conn *c, struct err *e) {
  c->doomed = true;
  err_set(e, DATABASE_UNAVAILABLE, "The connection to the database was lost; nothing was changed.");
  e->log_detail = arena_strdup(e->mem, PQerrorMessage(c->pg));
  e->retry_after_s = 1;
  return false;
}

bool conn_read_query(struct conn *c, const struct wait *w, PGresult **kept) {
  PGresult *r;

  *kept = NULL;
  for (;;) {
    if (!conn_result(c, w, &r)) return false;
    if (!r) return true;
    if (PQresultStatus(r) == PGRES_PIPELINE_SYNC || *kept) PQclear(r);
    else *kept = r;
  }
}

bool conn_read_sync(struct conn *c, const struct wait *w) {
  PGresult *r;
  bool ok = conn_result(c, w, &r) && r;

  PQclear(r);
  return ok;
}

bool conn_ask(struct conn *c, const char *sql, int nparams, const char *const *params, PGresult **result,
              const struct wait *w, struct err *e) {
  bool ok = false;

  conn_begin_flight(c);
  if (PQsendQueryParams(c->pg, sql, nparams, NULL, params, NULL, NULL, 0) && PQpipelineSync(c->pg))
    ok = conn_read_query(c, w, result) && conn_read_sync(c, w);
  conn_end_flight(c);
  if (!ok) {
    PQclear(*result);
    *result = NULL;
    return conn_lost(c, e);
  }
  if (PQresultStatus(*result) == PGRES_TUPLES_OK) return true;
  sqlstate_error(e, *result);
  PQclear(*result);
  *result = NULL;
  return false;
}
