/* One loop: reap children, start and kill what is due, sleep until a signal or the next of those times. Signals are
 * blocked for good and taken by sigtimedwait, so there are no handlers and no races with them. */
#include "fcgi/supervise.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/problems.h"
#include "base/tell.h"
#include "engine/call_token.h"
#include "events/duty.h"
#include "fcgi/events.h"
#include "fcgi/runner.h"
#include "fcgi/setup.h"
#include "fcgi/socket.h"
#include "fcgi/streaming.h"
#include "fcgi/worker.h"
#include "manifest/config.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Pause before a worker that failed is started again: doubled each time, forgotten once one has lived for LIVED_MS. */
enum { PAUSE_MIN_MS = 100, PAUSE_MAX_MS = 10000, LIVED_MS = 10000 };
/* A checker does nothing but read files. */
enum { CHECKER_MS = 60000 };

/* Those that accept requests have a socket each: all but the runners and events. The numbers are those of struct counters. */
enum pool { POOL_BORDER, POOL_INSIDE, POOL_RUNNERS, POOL_BACKGROUND, POOL_EVENTS, POOL_STREAMER, POOLS };
static const char *const pool_names[POOLS] = {"border", "inside", "runner", "background", "events", "streamer"};

enum slot_state {
  SLOT_FREE,
  SLOT_PAUSED, /* a worker is to be started at start_ms */
  SLOT_RUNNING,
  SLOT_LEAVING, /* SIGTERM was sent, or is about to be; SIGKILL at kill_ms */
};

/* One worker, and one block of counters at the same index. */
struct slot {
  enum slot_state state;
  enum pool pool;
  size_t duty; /* POOL_EVENTS: which */
  pid_t pid;
  int64_t started_ms, start_ms, kill_ms; /* clock_ms */
  unsigned failures;                     /* in a row, soon after start */
  uint64_t requests_before;              /* of the block, when the worker started */
};

struct supervisor {
  const char *config_file;
  pid_t pid;
  void *mem;
  struct setup *setup;
  struct bound_socket sockets[POOLS];
  int wake[2], background[2]; /* runners read [0], workers write [1]; datagrams, so that none is in two pieces */
  int tell[2];                /* the streamer reads [0], workers and runners write [1] */
  struct counters_page *page;
  struct slot *slots;
  unsigned nslots;
  sigset_t signals, workers_mask;
  pid_t checker; /* 0: none */
  int64_t checker_kill_ms;
  bool reload_again; /* SIGHUP came while the checker was at work */
  bool stopping, fast;
  unsigned char call_secret[CALL_SECRET_BYTES]; /* the workers' own: who knows it may be anybody inside */
};

/* ---- children ---- */

/* The end of a child. Frees the supervisor's memory, so that what a leak checker finds is a leak. */
static void leave(struct supervisor *s, int status) __attribute__((noreturn));
static void leave(struct supervisor *s, int status) {
  talloc_free(s->setup);
  talloc_free(s->mem);
  exit(status);
}

/* In the child. Sockets of the other pools are not its business. */
static void keep_socket(struct supervisor *s, enum pool pool) {
  for (enum pool p = 0; p < POOLS; p++)
    if (p != pool && s->sockets[p].fd >= 0) close(s->sockets[p].fd);
}

static void be_worker(struct supervisor *s, unsigned index) __attribute__((noreturn));
static void be_worker(struct supervisor *s, unsigned index) {
  const struct slot *slot = &s->slots[index];
  struct worker_start start = {
      .setup = s->setup,
      .inside = slot->pool == POOL_INSIDE,
      .listen_fd = s->sockets[slot->pool].fd,
      .supervisor = s->pid,
      .signals = s->workers_mask,
      .wake_fd = s->wake[1],
      .background_fd = s->background[1],
      .tell_fd = s->tell[1],
      .page = s->page,
      .call_secret = s->call_secret,
      .own = &s->page->slot[index],
  };

  keep_socket(s, slot->pool);
  leave(s, worker_run(&start));
}

static void be_runner(struct supervisor *s, unsigned index) __attribute__((noreturn));
static void be_runner(struct supervisor *s, unsigned index) {
  bool background = s->slots[index].pool == POOL_BACKGROUND;
  struct runner_start start = {
      .setup = s->setup,
      .background = background,
      .wake_fd = background ? s->background[0] : s->wake[0],
      .after_fd = s->wake[1],
      .background_fd = s->background[1],
      .call_secret = s->call_secret,
      .tell_fd = s->tell[1],
      .supervisor = s->pid,
      .page = s->page,
      .own = &s->page->slot[index],
  };

  keep_socket(s, POOL_RUNNERS);
  leave(s, runner_run(&start));
}

static void be_events(struct supervisor *s, unsigned index) __attribute__((noreturn));
static void be_events(struct supervisor *s, unsigned index) {
  struct events_start start = {.setup = s->setup,
                               .duty = s->slots[index].duty,
                               .tell_fd = s->tell[1],
                               .supervisor = s->pid,
                               .page = s->page,
                               .own = &s->page->slot[index]};

  keep_socket(s, POOL_EVENTS);
  leave(s, events_run(&start));
}

static void be_streamer(struct supervisor *s, unsigned index) __attribute__((noreturn));
static void be_streamer(struct supervisor *s, unsigned index) {
  struct streaming_start start = {
      .setup = s->setup,
      .listen_fd = s->sockets[POOL_STREAMER].fd,
      .tell_fd = s->tell[0],
      .supervisor = s->pid,
      .own = &s->page->slot[index],
  };

  keep_socket(s, POOL_STREAMER);
  leave(s, streaming_run(&start));
}

static uint64_t requests_of(const struct counters *c) { return c->requests_border + c->requests_inside; }

static void pause_slot(struct slot *slot, int64_t now, bool failed) {
  int64_t pause = 0;

  if (failed) {
    pause = PAUSE_MAX_MS;
    if (slot->failures < 16 && (PAUSE_MIN_MS << slot->failures) < PAUSE_MAX_MS) pause = PAUSE_MIN_MS << slot->failures;
    slot->failures++;
  } else {
    slot->failures = 0;
  }
  slot->state = SLOT_PAUSED;
  slot->start_ms = now + pause;
}

static void start_worker(struct supervisor *s, unsigned index) {
  struct slot *slot = &s->slots[index];
  struct counters *c = &s->page->slot[index];
  pid_t pid;

  c->pool = slot->pool;
  c->busy_since_ms = 0;
  counters_wait_end(c);
  pid = fork();
  if (pid == 0 && slot->pool == POOL_STREAMER) be_streamer(s, index);
  if (pid == 0 && slot->pool == POOL_EVENTS) be_events(s, index);
  if (pid == 0 && slot->pool >= POOL_RUNNERS) be_runner(s, index);
  if (pid == 0) be_worker(s, index);
  slot->started_ms = clock_ms();
  if (pid < 0) {
    log_line(LOG_ERROR, "fork", "pool=%s reason=\"%s\"", pool_names[slot->pool], strerror(errno));
    pause_slot(slot, slot->started_ms, true);
    return;
  }
  slot->pid = pid;
  slot->state = SLOT_RUNNING;
  slot->requests_before = requests_of(c);
  c->pid = (uint32_t)pid;
  c->starts[slot->pool]++;
  log_line(LOG_DEBUG, "worker-start", "pool=%s worker=%ld", pool_names[slot->pool], (long)pid);
}

/* Ours: the fast stop, or the end of drain_ms. Processes of the event log have nothing to finish: any stop is fast. */
static bool was_killed(const struct slot *slot, int status) {
  int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  return slot->state == SLOT_LEAVING && (signal == SIGKILL || (signal == SIGTERM && slot->pool == POOL_EVENTS));
}

/* How a worker ended, in one line. */
static void tell_end(const struct slot *slot, const struct counters *c, int status, enum log_level level) {
  char how[64];
  const char *name;

  if (WIFSIGNALED(status)) {
    name = sigabbrev_np(WTERMSIG(status));
    snprintf(how, sizeof how, "signal=SIG%s%s", name ? name : "?", WCOREDUMP(status) ? " core=1" : "");
  } else {
    snprintf(how, sizeof how, "exit=%d", WEXITSTATUS(status));
  }
  log_line(level, "worker-end", "pool=%s worker=%ld %s requests=%llu lived_ms=%lld in_request=%d", pool_names[slot->pool],
           (long)slot->pid, how, (unsigned long long)(requests_of(c) - slot->requests_before),
           (long long)(clock_ms() - slot->started_ms), c->busy_since_ms != 0);
}

static void worker_ended(struct supervisor *s, unsigned index, int status) {
  struct slot *slot = &s->slots[index];
  struct counters *c = &s->page->slot[index];
  int64_t now = clock_ms();
  bool killed = was_killed(slot, status);
  bool failed = !killed && (!WIFEXITED(status) || WEXITSTATUS(status) != 0);
  bool lived = now - slot->started_ms >= LIVED_MS;

  tell_end(slot, c, status, failed ? LOG_ERROR : killed && slot->pool != POOL_EVENTS ? LOG_WARN : LOG_INFO);
  if (failed) c->crashes[slot->pool]++;
  c->pid = 0;
  c->busy_since_ms = 0;
  c->handler = 0; /* wherever it was */
  c->streams_open = 0;
  counters_wait_end(c);
  slot->pid = 0;
  if (slot->state == SLOT_LEAVING) {
    slot->state = SLOT_FREE;
    return;
  }
  if (lived) slot->failures = 0;
  pause_slot(slot, now, failed && !lived);
}

/* ---- pools ---- */

static int pool_size(const struct supervisor *s, enum pool pool) {
  if (s->stopping) return 0;
  if (pool == POOL_RUNNERS) return s->setup->config->runners;
  if (pool == POOL_BACKGROUND) return s->setup->config->background_runners;
  if (pool == POOL_EVENTS) return (int)duties(s->setup->config, s->setup->manifest);
  if (s->sockets[pool].fd < 0) return 0;
  if (pool == POOL_STREAMER) return 1;
  return pool == POOL_BORDER ? s->setup->config->workers : s->setup->config->inside_workers;
}

static struct slot *free_slot(struct supervisor *s) {
  for (unsigned i = 0; i < s->nslots; i++)
    if (s->slots[i].state == SLOT_FREE) return &s->slots[i];
  return NULL; /* many reloads at once: the next worker that has left makes room */
}

/* The first duty that no process has, and none is to be started for. */
static size_t free_duty(const struct supervisor *s) {
  for (size_t duty = 0;; duty++) {
    bool taken = false;

    for (unsigned i = 0; i < s->nslots; i++) {
      const struct slot *has = &s->slots[i];
      taken |= has->pool == POOL_EVENTS && (has->state == SLOT_RUNNING || has->state == SLOT_PAUSED) && has->duty == duty;
    }
    if (!taken) return duty;
  }
}

/* Gives each pool as many slots as it should have; there are never too many, as a reload lets all of the old ones
 * leave. */
static void fill_pools(struct supervisor *s) {
  for (enum pool pool = 0; pool < POOLS; pool++) {
    int missing = pool_size(s, pool);
    struct slot *slot;

    for (unsigned i = 0; i < s->nslots; i++) {
      const struct slot *has = &s->slots[i];
      if (has->pool == pool && (has->state == SLOT_RUNNING || has->state == SLOT_PAUSED)) missing--;
    }
    for (; missing > 0 && (slot = free_slot(s)) != NULL; missing--)
      *slot = (struct slot){.state = SLOT_PAUSED, .pool = pool, .duty = pool == POOL_EVENTS ? free_duty(s) : 0};
  }
}

static void start_due(struct supervisor *s) {
  int64_t now = clock_ms();

  for (unsigned i = 0; i < s->nslots; i++)
    if (s->slots[i].state == SLOT_PAUSED && s->slots[i].start_ms <= now) start_worker(s, i);
}

/* Every worker there is now shall leave; those that are to be started shall not. Nobody is told yet. */
static void retire_all(struct supervisor *s) {
  int64_t kill_ms = clock_ms() + s->setup->config->drain_ms;

  for (unsigned i = 0; i < s->nslots; i++) {
    struct slot *slot = &s->slots[i];
    if (slot->state == SLOT_PAUSED) slot->state = SLOT_FREE;
    if (slot->state != SLOT_RUNNING) continue;
    slot->state = SLOT_LEAVING;
    slot->kill_ms = kill_ms;
  }
}

static void signal_leaving(struct supervisor *s, int signo) {
  for (unsigned i = 0; i < s->nslots; i++)
    if (s->slots[i].state == SLOT_LEAVING) kill(s->slots[i].pid, signo);
}

static void kill_due(struct supervisor *s) {
  int64_t now = clock_ms();

  for (unsigned i = 0; i < s->nslots; i++) {
    struct slot *slot = &s->slots[i];
    if (slot->state != SLOT_LEAVING || slot->kill_ms > now) continue;
    log_line(LOG_WARN, "worker-kill", "pool=%s worker=%ld reason=\"still at work after drain_ms\"", pool_names[slot->pool],
             (long)slot->pid);
    kill(slot->pid, SIGKILL);
    slot->kill_ms = INT64_MAX;
  }
  if (s->checker && s->checker_kill_ms <= now) {
    kill(s->checker, SIGKILL);
    s->checker_kill_ms = INT64_MAX;
  }
}

/* ---- reload ---- */

static void log_problems(const struct problems *p, const void *mem) {
  for (size_t i = 0; i < p->n; i++) {
    const struct problem *one = &p->items[i];
    log_line(one->warning ? LOG_WARN : LOG_ERROR, "problem", "at=%s:%d text=%s", one->file ? one->file : "-", one->line,
             log_quoted(mem, one->text));
  }
}

/* A parser that falls over new text must not take the service with it: a child looks first. */
static void be_checker(struct supervisor *s) __attribute__((noreturn));
static void be_checker(struct supervisor *s) {
  void *mem = arena_request(NULL);
  struct problems problems;
  struct setup *setup;
  bool ok;

  log_init("checker");
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != s->pid) _exit(1);
  sigprocmask(SIG_SETMASK, &s->workers_mask, NULL);
  problems_init(&problems, mem);
  setup = setup_load(mem, s->config_file, &problems);
  ok = setup && setup_try_modules(setup, &problems);
  log_problems(&problems, mem);
  talloc_free(mem);
  leave(s, ok ? 0 : 1);
}

static void reload_failed(struct supervisor *s, const char *reason) {
  s->page->reload_failures++;
  log_line(LOG_ERROR, "reload", "done=0 reason=\"%s\"", reason);
}

static void begin_reload(struct supervisor *s) {
  if (s->stopping) return;
  if (s->checker) {
    s->reload_again = true;
    return;
  }
  s->checker = fork();
  if (s->checker == 0) be_checker(s);
  if (s->checker < 0) {
    s->checker = 0;
    reload_failed(s, "cannot fork");
    return;
  }
  s->checker_kill_ms = clock_ms() + CHECKER_MS;
}

static bool same(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

static void warn_of_restart(const struct listener *old, const struct listener *new, enum pool pool) {
  if (same(old->socket, new->socket) && same(old->owner, new->owner) && same(old->group, new->group) &&
      old->mode == new->mode && old->backlog == new->backlog)
    return;
  log_line(LOG_WARN, "reload", "listener=%s reason=\"a changed socket needs a restart\"", pool_names[pool]);
}

static void warn_of_changes(const struct supervisor *s, const struct config *new, const struct manifest *manifest) {
  const struct config *old = s->setup->config;

  warn_of_restart(&old->border, &new->border, POOL_BORDER);
  warn_of_restart(&old->inside, &new->inside, POOL_INSIDE);
  if (new->streams > 0) warn_of_restart(&old->stream, &new->stream, POOL_STREAMER);
  if (new->inside_workers > 0 && s->sockets[POOL_INSIDE].fd < 0)
    log_line(LOG_WARN, "reload", "listener=inside reason=\"it was off at start: a restart opens it\"");
  if (new->streams > 0 && s->sockets[POOL_STREAMER].fd < 0)
    log_line(LOG_WARN, "reload", "listener=streamer reason=\"it was off at start: a restart opens it\"");
  if ((unsigned)(new->workers + new->inside_workers + new->runners + new->background_runners + 1) * 2 +
          2 * duties(new, manifest) >
      s->nslots)
    log_line(LOG_WARN, "reload", "reason=\"so many more workers need a restart, there is room for %u\"", s->nslots);
}

/* The supervisor keeps what the checker found good in memory of its own, for workers that start later: one that takes
 * the place of a dead one must run the manifest of its fellows, not what somebody is just writing into the file. */
static void finish_reload(struct supervisor *s) {
  void *mem = arena_request(NULL);
  struct problems problems;
  struct setup *setup;

  problems_init(&problems, mem);
  setup = setup_load(s->mem, s->config_file, &problems);
  if (!setup) {
    log_problems(&problems, mem);
    reload_failed(s, "a file changed while it was read");
    talloc_free(mem);
    return;
  }
  talloc_free(mem);
  warn_of_changes(s, setup->config, setup->manifest);
  talloc_free(s->setup);
  s->setup = setup;
  log_set_level(setup->config->log_level);
  s->page->reloads++;
  /* Without workers nobody would ever answer: let callers be refused instead. A restart opens it again. */
  if (setup->config->inside_workers == 0 && s->sockets[POOL_INSIDE].fd >= 0) socket_close(&s->sockets[POOL_INSIDE]);
  if (setup->config->streams == 0 && s->sockets[POOL_STREAMER].fd >= 0) socket_close(&s->sockets[POOL_STREAMER]);
  /* Order: new workers first, so that somebody accepts all the time. */
  retire_all(s);
  fill_pools(s);
  start_due(s);
  signal_leaving(s, SIGTERM);
  log_line(LOG_INFO, "reload", "done=1 workers=%d inside_workers=%d runners=%d", pool_size(s, POOL_BORDER),
           pool_size(s, POOL_INSIDE), pool_size(s, POOL_RUNNERS));
}

static void checker_ended(struct supervisor *s, int status) {
  s->checker = 0;
  if (s->stopping) return;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) finish_reload(s);
  else
    reload_failed(s, WIFSIGNALED(status) ? "the checker died" : "errors in configuration or manifest: nothing is changed");
  if (s->reload_again) {
    s->reload_again = false;
    begin_reload(s);
  }
}

/* ---- the loop ---- */

static void reap(struct supervisor *s) {
  int status;
  pid_t pid;

  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    unsigned i = 0;

    if (pid == s->checker) {
      checker_ended(s, status);
      continue;
    }
    while (i < s->nslots && s->slots[i].pid != pid) i++;
    if (i < s->nslots) worker_ended(s, i, status);
  }
}

static void close_sockets(struct supervisor *s) {
  for (enum pool p = 0; p < POOLS; p++) socket_close(&s->sockets[p]);
}

/* The sockets go first: who connects now had better be told at once. */
static void begin_stop(struct supervisor *s, bool fast) {
  if (!s->stopping) {
    log_line(LOG_INFO, "stop", "fast=%d", fast);
    s->stopping = true;
    close_sockets(s);
    retire_all(s);
    if (s->checker) kill(s->checker, SIGKILL);
  }
  if (fast) s->fast = true;
  signal_leaving(s, s->fast ? SIGKILL : SIGTERM);
}

static void take_signal(struct supervisor *s, int signo) {
  switch (signo) {
  case SIGTERM: begin_stop(s, false); break;
  case SIGINT: begin_stop(s, s->stopping); break;
  case SIGQUIT: begin_stop(s, true); break;
  case SIGHUP: begin_reload(s); break;
  default: break; /* SIGCHLD: reap looks anyway */
  }
}

static bool has_children(const struct supervisor *s) {
  for (unsigned i = 0; i < s->nslots; i++)
    if (s->slots[i].pid) return true;
  return s->checker != 0;
}

/* When there is something to do without a signal; INT64_MAX: never. */
static int64_t next_due(const struct supervisor *s) {
  int64_t due = s->checker ? s->checker_kill_ms : INT64_MAX;

  for (unsigned i = 0; i < s->nslots; i++) {
    const struct slot *slot = &s->slots[i];
    int64_t at = slot->state == SLOT_PAUSED ? slot->start_ms : slot->state == SLOT_LEAVING ? slot->kill_ms : INT64_MAX;
    if (at < due) due = at;
  }
  return due;
}

/* A signal, or 0. */
static int sleep_until(const struct supervisor *s, int64_t due) {
  struct timespec left;
  int64_t ms = due - clock_ms();
  int signo;

  if (due == INT64_MAX) {
    signo = sigwaitinfo(&s->signals, NULL);
  } else {
    if (ms < 0) ms = 0;
    left = (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    signo = sigtimedwait(&s->signals, NULL, &left);
  }
  return signo > 0 ? signo : 0;
}

static void loop(struct supervisor *s) {
  for (;;) {
    reap(s);
    fill_pools(s);
    start_due(s);
    kill_due(s);
    if (s->stopping && !has_children(s)) return;
    take_signal(s, sleep_until(s, next_due(s)));
  }
}

static void block_signals(struct supervisor *s) {
  static const int taken[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGCHLD};
  /* A log whose reader is gone must not end the service with the next line; nor must a signal by which other servers open
   * their logs anew, or reload. */
  static const int ignored[] = {SIGPIPE, SIGUSR1, SIGUSR2};
  struct sigaction standard = {.sa_handler = SIG_DFL}, ignore = {.sa_handler = SIG_IGN};

  sigemptyset(&s->signals);
  for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
    sigaddset(&s->signals, taken[i]);
    /* What was ignored when we were started (nohup, a shell's background job) would never come. */
    sigaction(taken[i], &standard, NULL);
  }
  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) sigaction(ignored[i], &ignore, NULL);
  sigprocmask(SIG_BLOCK, &s->signals, NULL);
  sigemptyset(&s->workers_mask);
}

static bool open_sockets(struct supervisor *s) {
  const struct config *c = s->setup->config;
  const struct listener *const listeners[POOLS] = {
      [POOL_BORDER] = &c->border,
      [POOL_INSIDE] = c->inside_workers ? &c->inside : NULL,
      [POOL_STREAMER] = c->streams ? &c->stream : NULL,
  };
  const char *why;

  for (enum pool p = 0; p < POOLS; p++) s->sockets[p].fd = -1;
  for (enum pool p = 0; p < POOLS; p++) {
    if (!listeners[p] || socket_open(&s->sockets[p], listeners[p], s->mem, &why)) continue;
    log_line(LOG_ERROR, "socket", "reason=%s", log_quoted(s->mem, why));
    return false;
  }
  return true;
}

/* Without these runners and streamer look by themselves, a little later. */
static void open_pair(int fds[2]) {
  fds[0] = fds[1] = -1;
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
    log_line(LOG_WARN, "socket", "reason=\"no socket to wake runners: %s\"", strerror(errno));
}

static void open_wake(struct supervisor *s) {
  open_pair(s->wake);
  open_pair(s->background);
  s->tell[0] = s->tell[1] = -1;
  if (!tell_open(s->tell)) log_line(LOG_WARN, "socket", "reason=\"no pipe to the streamer: %s\"", strerror(errno));
}

/* Twice the workers: old and new ones of a reload stand side by side. Twice that: a reload may ask for more. */
static bool make_slots(struct supervisor *s) {
  const struct config *c = s->setup->config;

  s->nslots = 4 * (unsigned)(c->workers + c->inside_workers + c->runners + c->background_runners + 1 +
                             (int)duties(c, s->setup->manifest));
  if (s->nslots < 64) s->nslots = 64;
  s->slots = arena_array(s->mem, struct slot, s->nslots);
  s->page = counters_create(s->nslots);
  if (!s->page) log_line(LOG_ERROR, "start", "reason=\"no shared memory: %s\"", strerror(errno));
  return s->page != NULL;
}

static bool make_secret(struct supervisor *s) {
  bool ok = getrandom(s->call_secret, sizeof s->call_secret, 0) == (ssize_t)sizeof s->call_secret;

  if (!ok) log_line(LOG_ERROR, "start", "reason=\"no random bytes: %s\"", strerror(errno));
  return ok;
}

int supervise(const char *config_file, struct setup *setup) {
  struct supervisor s = {.config_file = config_file, .pid = getpid(), .setup = setup};
  bool ok;

  s.mem = arena_request(NULL);
  log_init("supervisor");
  log_set_level(setup->config->log_level);
  block_signals(&s);
  open_wake(&s);
  /* Workers leave short-lived children behind (cancel requests); not every container has an init that reaps them. */
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  ok = make_secret(&s) && make_slots(&s) && open_sockets(&s);
  if (ok) {
    log_line(LOG_INFO, "start", "workers=%d inside_workers=%d runners=%d background_runners=%d border=%s inside=%s",
             setup->config->workers, setup->config->inside_workers, setup->config->runners,
             setup->config->background_runners, setup->config->border.socket,
             setup->config->inside_workers ? setup->config->inside.socket : "-");
    loop(&s);
    log_line(LOG_INFO, "end", "reloads=%llu", (unsigned long long)s.page->reloads);
  }
  close_sockets(&s);
  talloc_free(s.setup);
  talloc_free(s.mem);
  return ok ? 0 : 1;
}
