/* The loop and what is in it: the listening socket, the pipe on which others tell, the beat, the end. */
#include "stream/streamer_inside.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/tell.h"
#include "manifest/config.h"
#include "stream/connection.h"
#include "stream/source.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <string.h>
#include <sys/resource.h>

enum {
  READING = 64,     /* connections beyond the streams: requests that are being read, answers that are on their way */
  OTHER_FILES = 64, /* libevent's, libpq's, the log */
  BEAT_MS = 1000,
  AGAIN_MS = 100, /* when the process or the machine has no descriptor left */
  TOLD = 1024,    /* records taken at once */
  STOP_MS = 2000, /* for what is still to be sent when it ends */
};

static struct timeval after(int64_t ms) { return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000}; }

/* ---- connections ---- */

void streamer_accepts(struct streamer *s) {
  if (!s->listener) return;
  if (s->connections.n < s->most && !s->stopping) evconnlistener_enable(s->listener);
  else evconnlistener_disable(s->listener);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int len, void *arg) {
  struct streamer *s = arg;

  (void)listener;
  (void)address;
  (void)len;
  connection_new(s, fd);
  streamer_accepts(s);
}

/* EMFILE and the like would come again at once, for as long as somebody waits. */
static void on_accept_error(struct evconnlistener *listener, void *arg) {
  struct streamer *s = arg;
  struct timeval pause = after(AGAIN_MS);

  log_line(LOG_ERROR, "streamer", "reason=\"accept: %s\"", strerror(errno));
  evconnlistener_disable(listener);
  evtimer_add(s->again, &pause);
}

static void on_again(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  streamer_accepts(arg);
}

/* As many as the limits of the process allow, up to what the configuration asks for. */
static void set_most(struct streamer *s) {
  size_t wanted = (size_t)s->config->streams + READING;
  struct rlimit files;

  s->most = wanted;
  if (getrlimit(RLIMIT_NOFILE, &files) < 0) return;
  files.rlim_cur = files.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_max == RLIM_INFINITY || files.rlim_max >= wanted + OTHER_FILES) return;
  s->most = files.rlim_max > 2 * OTHER_FILES ? files.rlim_max - OTHER_FILES : OTHER_FILES;
  log_line(LOG_WARN, "streamer", "reason=\"streams.most needs %zu descriptors, the limit is %llu (LimitNOFILE)\"",
           wanted + OTHER_FILES, (unsigned long long)files.rlim_max);
}

/* ---- news ---- */

static void told_of(struct streamer *s, const unsigned char record[UUID_BYTES]) {
  static const unsigned char log[UUID_BYTES];

  for (size_t i = 0; i < s->config->ndatasources; i++) {
    if (memcmp(record, log, UUID_BYTES) == 0) log_told(&s->sources[i]->log);
    else follow_told(&s->sources[i]->follows, record);
  }
}

static void on_told(evutil_socket_t fd, short what, void *arg) {
  unsigned char records[TOLD][UUID_BYTES];
  struct streamer *s = arg;
  size_t n = tell_take(fd, records, TOLD);

  (void)what;
  for (size_t i = 0; i < n; i++) told_of(s, records[i]);
  for (size_t i = 0; n && i < s->config->ndatasources; i++) source_wake(s->sources[i]);
}

static void on_beat(evutil_socket_t fd, short what, void *arg) {
  struct streamer *s = arg;

  (void)fd;
  (void)what;
  connections_beat(s, (int64_t)s->config->stream_heartbeat_s * 1000);
}

/* ---- life ---- */

static void on_stop(evutil_socket_t fd, short what, void *arg) {
  struct streamer *s = arg;

  (void)fd;
  (void)what;
  s->stopping = true;
  event_base_loopbreak(s->base);
}

static bool prepare(struct streamer *s) {
  const struct streamer_start *start = s->start;
  struct timeval beat = after(BEAT_MS);

  s->base = event_base_new();
  if (!s->base || evutil_make_socket_nonblocking(start->listen_fd) < 0) return false;
  set_most(s);
  s->sources = arena_array(s, struct source *, s->config->ndatasources);
  for (size_t i = 0; i < s->config->ndatasources; i++) s->sources[i] = source_new(s, i);
  s->stop = event_new(s->base, start->stop_fd, EV_READ, on_stop, s);
  s->beat = event_new(s->base, -1, EV_PERSIST, on_beat, s);
  s->again = evtimer_new(s->base, on_again, s);
  s->listener = evconnlistener_new(s->base, on_accept, s, LEV_OPT_CLOSE_ON_EXEC, 0, start->listen_fd);
  if (!s->stop || !s->beat || !s->again || !s->listener) return false;
  evconnlistener_set_error_cb(s->listener, on_accept_error);
  if (start->tell_fd >= 0) {
    s->told = event_new(s->base, start->tell_fd, EV_READ | EV_PERSIST, on_told, s);
    if (!s->told || event_add(s->told, NULL) < 0) return false;
  }
  return event_add(s->stop, NULL) == 0 && event_add(s->beat, &beat) == 0;
}

/* Streams end properly; who does not take that in time is cut off by the end of the process. */
static void finish(struct streamer *s) {
  struct timeval most = after(STOP_MS);
  int64_t end_ms = clock_ms() + STOP_MS;

  connections_end(s, "stop");
  event_base_loopexit(s->base, &most);
  while (s->connections.n && clock_ms() < end_ms && event_base_loop(s->base, EVLOOP_ONCE) == 0) continue;
}

static void close_all(struct streamer *s) {
  struct event *events[] = {s->stop, s->told, s->beat, s->again};

  connections_close(s);
  for (size_t i = 0; s->sources && i < s->config->ndatasources; i++) source_free(s->sources[i]);
  for (size_t i = 0; i < sizeof events / sizeof *events; i++)
    if (events[i]) event_free(events[i]);
  if (s->listener) evconnlistener_free(s->listener);
  if (s->base) event_base_free(s->base);
  libevent_global_shutdown();
}

int streamer_run(const struct streamer_start *start) {
  struct streamer *s = arena_new(NULL, struct streamer);
  bool ok;

  s->start = start;
  s->config = start->config;
  s->manifest = start->manifest;
  ok = prepare(s);
  if (!ok) log_line(LOG_ERROR, "streamer", "reason=\"no event loop: %s\"", strerror(errno));
  while (ok && !s->stopping) ok = event_base_dispatch(s->base) >= 0;
  if (ok) finish(s);
  close_all(s);
  talloc_free(s);
  return ok ? 0 : 1;
}
