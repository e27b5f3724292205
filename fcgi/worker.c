/* A worker blocks, in waiting for a connection, in read, in PostgreSQL: that keeps a request straight-line code. */
#include "fcgi/worker.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/str.h"
#include "base/user.h"
#include "documents/document.h"
#include "fcgi/child.h"
#include "fcgi/reply_write.h"
#include "fcgi/request_read.h"
#include "fcgi/setup.h"
#include "handlers/handler.h"
#include "manifest/config.h"

#include <errno.h>
#include <malloc.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* A web server sends the head of a request at once. A peer that connects and is silent, or stops in the middle of a
 * record, holds a worker no longer than this for each read (libfcgi itself: 2 s for the first byte, then for ever). */
enum { WORKER_HEAD_MS = 2000 };

/* After so long without a connection an idle worker gets to its housekeeping. */
enum { WORKER_IDLE_MS = 5000 };

enum { ROLE_RESPONDER = 1 }; /* FastCGI specification, section 6.2 */

struct worker {
  const struct worker_start *start;
  const struct config *config;
  void *mem;
  struct site site;
  FCGX_Request fcgi;
  int64_t requests_left; /* < 0: no limit */
};

/* ---- SIGTERM ---- */

/* A signal handler has nothing else to work on. */
static volatile sig_atomic_t leaving;
static int listening_fd = -1, arrivals_fd = -1, null_fd = -1;

/* Puts /dev/null in the place of the listening socket and of the epoll that waits for it, in this process only: a wait about to be
 * called fails at once. So no signal is lost between looking at a flag and going to sleep. It also lets go of the socket while a
 * request is in work, so that a new supervisor finds the path free after its predecessor was killed. */
static void on_term(int signo) {
  int saved = errno;

  (void)signo;
  leaving = 1;
  dup2(null_fd, arrivals_fd);
  dup2(null_fd, listening_fd);
  errno = saved;
}

/* EPOLLEXCLUSIVE: one of those that wait is woken, and always the first of them in the order they began. So the work of a quiet
 * hour is done by few workers, whose caches, and whose backends' caches, are warm; in accept they would take turns. */
static bool await_arrivals(int listen_fd) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE};

  listening_fd = listen_fd;
  arrivals_fd = epoll_create1(EPOLL_CLOEXEC);
  return arrivals_fd >= 0 && epoll_ctl(arrivals_fd, EPOLL_CTL_ADD, listen_fd, &event) == 0;
}

/* Order: before FCGX_Init, which puts handlers of its own where it finds the default, or SIG_IGN. SA_RESTART, so that a
 * read or write of a request in work goes on; what waits with a timeout is not restarted by the kernel and blocks
 * SIGTERM (see request_read.c, reply_write.c). */
static bool set_signals(const struct worker_start *start) {
  struct sigaction term = {.sa_handler = on_term, .sa_flags = SA_RESTART};
  struct sigaction ignore = {.sa_handler = SIG_IGN};

  null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null_fd < 0 || !await_arrivals(start->listen_fd) || sigaction(SIGTERM, &term, NULL) < 0 || FCGX_Init() != 0) return false;
  /* A terminal sends SIGINT and SIGQUIT to all of its foreground processes: the supervisor decides what they mean. */
  static const int ignored[] = {SIGINT, SIGQUIT, SIGHUP, SIGPIPE, SIGUSR1};
  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) sigaction(ignored[i], &ignore, NULL);
  return sigprocmask(SIG_SETMASK, &start->signals, NULL) == 0;
}

static void set_term(int how) {
  sigset_t term;

  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  sigprocmask(how, &term, NULL);
}

/* ---- start ---- */

/* Workers started together must not leave together: +-10 %. */
static int64_t spread(int max_requests) {
  if (max_requests == 0) return -1;
  return max_requests - max_requests / 10 + (int64_t)(child_chance() % (uint32_t)(max_requests / 5 + 1));
}

/* A worker that cannot reach PostgreSQL accepts all the same: it answers 503, and connects as soon as it can. */
static void make_ready(struct worker *w) {
  void *mem = arena_request(w->mem);
  struct err e;

  err_init(&e, mem);
  if (!engine_ready(w->site.engine, &e))
    log_line(LOG_WARN, "not-ready", "code=%s message=%s detail=%s", err_name(&e), log_quoted(mem, e.message),
             log_quoted(mem, e.log_detail));
  talloc_free(mem);
}

static struct documents *documents_of(const void *mem, const struct config *c, const struct schema *schema) {
  const struct documents_limits limits = {
      .document = {.depth = (unsigned)c->graphql_depth,
                   .nodes = (unsigned)c->graphql_fields,
                   .aliases = (unsigned)c->graphql_aliases,
                   .complexity = (unsigned)c->graphql_complexity},
      .documents = (size_t)c->graphql_cache_documents,
      .bytes = (size_t)c->graphql_cache_bytes,
  };

  return documents_new(mem, schema, &limits);
}

static bool prepare(struct worker *w) {
  const struct worker_start *start = w->start;

  if (!user_become(start->setup->user, start->setup->uid, start->setup->gid)) {
    log_line(LOG_ERROR, "worker", "reason=%s", "\"cannot become the user of the workers\"");
    return false;
  }
  if (!set_signals(start) || !child_follow(start->supervisor)) {
    log_line(LOG_ERROR, "worker", "reason=\"cannot set up signals: %s\"", strerror(errno));
    return false;
  }
  /* PostgreSQL sends its answers when the COMMIT is still to be done. Where there are fewer processors than work, a worker that took
   * its place at that moment would only find out that it has to wait for more. */
  child_let_others_run();
  prctl(PR_SET_NAME, start->inside ? "writd inside" : "writd border");
  srandom(child_chance()); /* the pauses between tries: workers that were in each other's way must not draw the same */
  FCGX_InitRequest(&w->fcgi, -1, FCGI_FAIL_ACCEPT_ON_INTR);
  w->requests_left = spread(w->config->max_requests);
  w->site = (struct site){
      .engine = engine_new(w->mem, w->config, start->setup->manifest, start->own),
      .counters = start->page,
      .own = start->own,
      .schema = start->setup->schema,
      .documents = start->setup->schema ? documents_of(w->mem, w->config, start->setup->schema) : NULL,
  };
  engine_wakes(w->site.engine, start->wake_fd, start->background_fd);
  engine_tells(w->site.engine, start->tell_fd);
  engine_share(w->site.engine, start->page, start->call_secret);
  engine_load_modules(w->site.engine);
  make_ready(w);
  return true;
}

/* ---- requests ---- */

/* Reads the head of a request from fd. libfcgi accepts by itself only when it has no connection: then a signal may be
 * lost, and an idle worker gets no time for housekeeping. keepConnection: so that it does not close the one it is
 * given. Detached: so that it closes one that brings no request at once, without waiting for its peer. SIGTERM is
 * blocked afterwards. */
static bool read_head(FCGX_Request *fcgi, int fd) {
  struct timeval time = {.tv_sec = WORKER_HEAD_MS / 1000};
  bool ok;

  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  fcgi->ipcFd = fd;
  fcgi->keepConnection = 1;
  FCGX_Detach(fcgi);
  set_term(SIG_BLOCK);
  ok = FCGX_Accept_r(fcgi) == 0; /* false: it has closed fd, and found no other to accept from */
  FCGX_Attach(fcgi);
  return ok;
}

static void tell_undelivered(struct worker *w, const struct answer *answer, int error) {
  if (answer->status == err_status(ERR_CALLER_GONE)) return; /* known, and told: that is why it is answered so */
  if (w->site.own) w->site.own->undelivered++;
  log_line(LOG_WARN, "undelivered", "id=%s status=%d reason=\"%s\"", answer->headers[0].value, answer->status,
           error > 0 ? strerror(error) : "FastCGI protocol error");
}

static void set_busy(struct worker *w, int64_t since_ms) {
  if (w->site.own) w->site.own->busy_since_ms = (uint64_t)since_ms;
}

static void answer_one(struct worker *w, struct request_input *input) {
  void *mem = arena_request(w->mem);
  struct request request;
  struct answer answer;
  int error;

  request_read(&request, input, mem, w->start->inside);
  set_busy(w, request.received_us / 1000);
  dispatch(&w->site, &request, &answer);
  request_done_reading(input);
  error = reply_write(&w->fcgi, &answer, mem);
  if (error) tell_undelivered(w, &answer, error);
  reply_finish(&w->fcgi, request_is_drained(input));
  set_busy(w, 0);
  talloc_free(mem);
}

static void serve(struct worker *w, int fd) {
  struct request_input input = {
      .fcgi = &w->fcgi,
      .max_body_bytes = w->config->max_body_bytes,
      .timeout_ms = w->config->timeout_ms,
      .term_blocked = true,
  };

  if (!read_head(&w->fcgi, fd)) {
    log_line(LOG_DEBUG, "no-request", "reason=\"a connection without a FastCGI request\"");
  } else if (FCGX_GetError(w->fcgi.in) != 0) {
    /* libfcgi takes parameters that end too early for all there are: one of those not seen may say who calls. */
    log_line(LOG_WARN, "no-request", "reason=\"the parameters were cut short\"");
    reply_finish(&w->fcgi, true);
  } else if (w->fcgi.role != ROLE_RESPONDER) {
    log_line(LOG_WARN, "no-request", "reason=\"FastCGI role %d: only responder is served\"", w->fcgi.role);
    reply_finish(&w->fcgi, false);
  } else {
    answer_one(w, &input);
  }
  request_done_reading(&input);
}

/* A connection, or -1: time to leave, or *failed. Whoever has been at work looks before it waits: one that arrived meanwhile woke
 * somebody who may have left, or died, instead of accepting it. */
static int next_connection(struct worker *w, bool *failed) {
  struct epoll_event event;

  while (!leaving) {
    int fd = accept4(listening_fd, NULL, NULL, SOCK_CLOEXEC), ready = -1;

    if (fd >= 0) return fd;
    if (errno == EAGAIN) ready = epoll_wait(arrivals_fd, &event, 1, WORKER_IDLE_MS);
    if (ready == 0) engine_tidy(w->site.engine);
    if (ready >= 0 || leaving || errno == EINTR || errno == ECONNABORTED) continue;
    log_line(LOG_ERROR, "worker", "reason=\"accept: %s\"", strerror(errno));
    *failed = true;
    return -1;
  }
  return -1;
}

static bool run(struct worker *w) {
  bool failed = false;
  int fd;

  while (w->requests_left != 0 && (fd = next_connection(w, &failed)) >= 0) {
    serve(w, fd);
    engine_wake(w->site.engine);
    engine_tidy(w->site.engine);
    if (w->requests_left > 0) w->requests_left--;
  }
  return !failed;
}

/* glibc raises these with what is freed: after one long request a worker would keep up to 64 MB that it has no use for. */
static void give_memory_back(void) {
  mallopt(M_MMAP_THRESHOLD, 256 * 1024);
  mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
}

int worker_run(const struct worker_start *start) {
  struct worker w = {.start = start, .config = start->setup->config};
  bool ok;

  give_memory_back();
  log_init(start->inside ? "inside" : "border");
  w.mem = talloc_named_const(NULL, 0, "worker");
  ok = prepare(&w) && run(&w);
  if (w.site.engine) engine_free(w.site.engine);
  talloc_free(w.mem);
  return ok ? 0 : 1;
}
