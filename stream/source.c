/* The connection and its times. One question is under way at most; what comes meanwhile waits for the next. */
#include "stream/source.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/async.h"
#include "manifest/config.h"
#include "stream/streamer_inside.h"

#include <event2/event.h>

enum {
  ANSWER_MS = 10000, /* to a question or to a connect; then the connection is given up */
  PAUSE_MIN_MS = 100,
  PAUSE_MAX_MS = 2000, /* between tries to connect */
  GATHER_MS = 5,       /* between questions: news of a moment are asked for together */
};

enum question { NONE, FOLLOW, LOG };

struct source_own {
  struct async *async;
  struct event *io;    /* the descriptor, once */
  struct event *timer; /* whatever is next: the end of a pause, of patience, the next look */
  enum question asked; /* and not answered yet */
  enum question last;
  bool down; /* the last try failed */
  unsigned failures;
  int64_t not_before_ms, patience_ms, poll_ms;
};

static void go_on(struct source *s);

/* ---- times ---- */

static bool is_busy(const struct source *s) {
  enum async_state state = async_state(s->own->async);
  return state == ASYNC_CONNECTING || state == ASYNC_ASKED;
}

static void set_timer(struct source *s, bool wants) {
  struct source_own *own = s->own;
  int64_t now = clock_ms(), due = own->poll_ms;
  struct timeval time;

  if (is_busy(s)) due = own->patience_ms;
  else if (wants && own->not_before_ms > now) due = own->not_before_ms;
  if (due < now) due = now;
  time = (struct timeval){.tv_sec = (due - now) / 1000, .tv_usec = (due - now) % 1000 * 1000};
  evtimer_add(own->timer, &time);
}

static void on_io(evutil_socket_t fd, short what, void *arg);

/* libpq may change its descriptor with each step of connecting. */
static void watch(struct source *s) {
  struct source_own *own = s->own;

  if (own->io) event_free(own->io);
  own->io = NULL;
  if (async_state(own->async) == ASYNC_CLOSED) return;
  own->io = event_new(s->streamer->base, async_fd(own->async),
                      (short)(async_state(own->async) == ASYNC_CONNECTING && async_wants_write(own->async) ? EV_WRITE
                              : async_wants_write(own->async) ? EV_READ | EV_WRITE
                                                              : EV_READ),
                      on_io, s);
  if (own->io) event_add(own->io, NULL);
}

/* ---- failure ---- */

static void failed(struct source *s, const struct err *e) {
  struct source_own *own = s->own;
  int64_t pause = own->failures < 8 ? PAUSE_MIN_MS << own->failures : PAUSE_MAX_MS;

  if (!own->down)
    log_line(LOG_WARN, "stream-source", "datasource=%s down=1 code=%s detail=%s",
             s->streamer->config->datasources[s->index].name, err_name(e),
             log_quoted(e->mem, e->log_detail ? e->log_detail : e->message));
  own->down = true;
  own->failures++;
  own->asked = NONE;
  own->not_before_ms = clock_ms() + (pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS);
  follow_failed(s);
  log_failed(s);
}

static void is_up(struct source *s) {
  struct source_own *own = s->own;

  if (own->down)
    log_line(LOG_INFO, "stream-source", "datasource=%s down=0", s->streamer->config->datasources[s->index].name);
  own->down = false;
  own->failures = 0;
}

static void give_up(struct source *s) {
  void *mem = arena_request(s);
  struct err e;

  err_init(&e, mem);
  err_set(&e, DATABASE_UNAVAILABLE, "No answer in %d ms.", ANSWER_MS);
  async_close(s->own->async);
  failed(s, &e);
  talloc_free(mem);
}

/* ---- questions ---- */

/* Asks what there is to ask; the two kinds take turns, so that neither starves. */
static void ask(struct source *s, struct err *e) {
  struct source_own *own = s->own;
  const char *sql, *params[LOG_PARAMS];
  unsigned n;
  void *mem = arena_request(s);

  own->asked = NONE;
  if (own->last == FOLLOW && log_ask(s, mem, &sql, params, &n)) own->asked = LOG;
  else if (follow_ask(s, mem, &sql, params, &n)) own->asked = FOLLOW;
  else if (log_ask(s, mem, &sql, params, &n)) own->asked = LOG;
  if (own->asked != NONE) {
    own->last = own->asked;
    own->patience_ms = clock_ms() + ANSWER_MS;
    if (!async_ask(own->async, sql, n, params, e)) failed(s, e);
  }
  talloc_free(mem);
}

static void take_answer(struct source *s) {
  struct source_own *own = s->own;
  enum question asked = own->asked;

  is_up(s);
  own->asked = NONE;
  own->not_before_ms = clock_ms() + GATHER_MS;
  if (asked == FOLLOW) follow_answer(s, own->async);
  else if (asked == LOG) log_answer(s, own->async);
  async_done(own->async);
}

/* Is there anybody for whom it is worth to be connected? */
static bool is_wanted(const struct source *s) { return s->follows.waiting.first || s->follows.ntopics || s->log.list; }

static void begin(struct source *s, struct err *e) {
  struct source_own *own = s->own;

  if (async_state(own->async) == ASYNC_CLOSED && is_wanted(s)) {
    own->patience_ms = clock_ms() + ANSWER_MS;
    if (!async_connect(own->async, e)) failed(s, e);
  } else if (async_state(own->async) == ASYNC_IDLE) {
    ask(s, e);
  }
}

static void go_on(struct source *s) {
  struct source_own *own = s->own;
  void *mem = arena_request(s);
  struct err e;

  err_init(&e, mem);
  if (!is_busy(s) && clock_ms() >= own->not_before_ms) begin(s, &e);
  talloc_free(mem);
  watch(s);
  set_timer(s, is_wanted(s));
}

/* What came of a step: errors of statements count as a source that is down, too (a schema that is not installed). */
static void on_io(evutil_socket_t fd, short what, void *arg) {
  struct source *s = arg;
  void *mem = arena_request(s);
  struct err e;

  (void)fd;
  (void)what;
  err_init(&e, mem);
  if (!async_step(s->own->async, &e)) failed(s, &e);
  else if (async_state(s->own->async) == ASYNC_ANSWERED) take_answer(s);
  talloc_free(mem);
  go_on(s);
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
  struct source *s = arg;
  int64_t now = clock_ms();

  (void)fd;
  (void)what;
  if (is_busy(s) && now >= s->own->patience_ms) give_up(s);
  if (now >= s->own->poll_ms) {
    s->own->poll_ms = now + s->streamer->config->stream_poll_ms;
    s->follows.all = true;
    log_told(&s->log);
  }
  go_on(s);
}

void source_wake(struct source *s) {
  if (!is_busy(s)) set_timer(s, true);
  if (!is_busy(s) && clock_ms() >= s->own->not_before_ms) evtimer_add(s->own->timer, &(struct timeval){0});
}

/* Behind the pause the next one who comes may try. */
bool source_is_down(const struct source *s) { return s->own->down && clock_ms() < s->own->not_before_ms; }

struct source *source_new(struct streamer *s, size_t index) {
  struct source *source = arena_new(s, struct source);
  const struct datasource *d = &s->config->datasources[index];
  struct conn_options options = {.name = d->name, .conninfo = d->conninfo, .prepared = d->prepared};

  source->streamer = s;
  source->index = index;
  source->own = arena_new(source, struct source_own);
  source->own->async = async_new(source, &options, s->start->own);
  source->own->timer = evtimer_new(s->base, on_timer, source);
  source->own->poll_ms = clock_ms() + s->config->stream_poll_ms;
  set_timer(source, false);
  return source;
}

void source_free(struct source *s) {
  if (s->own->io) event_free(s->own->io);
  event_free(s->own->timer);
  talloc_free(s);
}
