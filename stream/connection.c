/* libevent's buffers around a descriptor, and FastCGI in them. */
#include "stream/connection.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/str.h"
#include "handlers/answer.h"
#include "handlers/events.h"
#include "handlers/headers.h"
#include "handlers/identity.h"
#include "manifest/config.h"
#include "stream/record.h"
#include "stream/sse.h"
#include "stream/streamer_inside.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  HEAD_MS = 5000,  /* nginx sends a request at once */
  RETRY_MS = 1000, /* and up to as much again by chance, so that those of a streamer that ended do not come all at once */
  LATER_MS = 2000, /* the same of those that are sent away */
};

enum phase { PHASE_READING, PHASE_WAITING, PHASE_OPEN, PHASE_ENDING };

struct connection {
  struct streamer *streamer;
  struct connection *before, *behind; /* in the streamer's list */
  struct bufferevent *bev;
  void *mem; /* the request's, until it has been read; then NULL */
  struct record_reader reader;
  enum phase phase;
  bool is_stream;            /* counted as one */
  struct follower *follower; /* of a state */
  struct log_follower *log;
  const char *request_id, *role, *what; /* for the log line */
  int64_t begun_ms, written_ms;
  int status;
  uint64_t events, bytes;
};

/* ---- the list, by the time of the last bytes ---- */

static void unlink_it(struct connection *c) {
  struct connection_list *l = &c->streamer->connections;

  *(c->before ? &c->before->behind : &l->first) = c->behind;
  *(c->behind ? &c->behind->before : &l->last) = c->before;
  l->n--;
}

static void link_last(struct connection *c) {
  struct connection_list *l = &c->streamer->connections;

  c->before = l->last;
  c->behind = NULL;
  *(l->last ? &l->last->behind : &l->first) = c;
  l->last = c;
  l->n++;
}

/* ---- the end ---- */

static void stop_following(struct connection *c) {
  if (c->follower) follow_end(c->follower);
  if (c->log) log_end(c->log);
  c->follower = NULL;
  c->log = NULL;
}

static void tell(const struct connection *c, const char *reason) {
  enum log_level level = c->status >= 500 ? LOG_ERROR : c->status ? LOG_INFO : LOG_DEBUG;

  if (!log_on(level)) return;
  log_line(level, "stream", "id=%s of=%s role=%s status=%d events=%llu bytes=%llu lived_ms=%lld end=%s",
           c->request_id ? c->request_id : "-", c->what ? c->what : "-", log_quoted(c, c->role ? c->role : "-"), c->status,
           (unsigned long long)c->events, (unsigned long long)c->bytes, (long long)(clock_ms() - c->begun_ms), reason);
}

/* Books closed; what was sent may still be on its way. */
static void finish(struct connection *c, const char *reason) {
  struct counters *own = c->streamer->start->own;

  if (c->phase == PHASE_ENDING) return;
  stop_following(c);
  tell(c, reason);
  if (own && c->phase == PHASE_OPEN) own->streams_open--;
  if (c->is_stream) c->streamer->streams--;
  c->is_stream = false;
  c->phase = PHASE_ENDING;
}

static void drop(struct connection *c, const char *reason) {
  struct streamer *s = c->streamer;

  finish(c, reason);
  unlink_it(c);
  bufferevent_free(c->bev); /* closes */
  talloc_free(c);
  streamer_accepts(s);
}

static void drop_slow(struct connection *c) {
  if (c->streamer->start->own && c->phase == PHASE_OPEN) c->streamer->start->own->streams_dropped++;
  drop(c, "slow");
}

/* ---- bytes out ---- */

static size_t unread(const struct connection *c) { return evbuffer_get_length(bufferevent_get_output(c->bev)); }

static void write_out(struct connection *c, const struct str *records) {
  c->bytes += records->len;
  c->written_ms = clock_ms();
  unlink_it(c);
  link_last(c);
  bufferevent_write(c->bev, records->p, records->len);
}

/* In one record where it fits. */
static void send_text(struct connection *c, const char *text, size_t len) {
  struct str *records = str_new(c, len + 64);

  record_put(records, c->reader.id, text, len);
  write_out(c, records);
  talloc_free(records);
}

static void send_end(struct connection *c, const char *reason) {
  struct str *records = str_new(c, 64);

  record_put_end(records, c->reader.id);
  write_out(c, records);
  talloc_free(records);
  finish(c, reason);
}

void connection_end(struct connection *c, const char *reason) { send_end(c, reason); }

void connection_send(struct connection *c, const char *text, size_t len, unsigned events) {
  struct counters *own = c->streamer->start->own;

  send_text(c, text, len);
  c->events += events;
  if (own) own->stream_events += events;
}

bool connection_has_room(const struct connection *c) {
  return unread(c) <= (size_t)c->streamer->config->stream_buffer_bytes;
}

bool connection_is_drained(const struct connection *c) { return unread(c) == 0; }

/* ---- answers ---- */

static void send_answer(struct connection *c, const struct answer *answer, bool with_body) {
  struct str *text = str_new(c, 512 + answer->body->len);

  c->status = answer->status;
  answer_write_head(answer, text);
  if (with_body) str_bytes(text, answer->body->p, answer->body->len);
  send_text(c, text->p, text->len);
  talloc_free(text);
}

/* Of all of nginx's ways to keep an answer back, this is the one that an application can switch off by itself. */
static void stream_answer(const struct connection *c, const void *mem, struct answer *answer) {
  answer_init(answer, mem, c->request_id);
  answer->content_type = "text/event-stream";
  answer_header(answer, "X-Accel-Buffering", "no");
}

static void refuse(struct connection *c, const struct err *e, const char *allow) {
  void *mem = arena_request(c);
  struct answer answer;

  answer_init(&answer, mem, c->request_id);
  if (allow) answer_header(&answer, "Allow", allow);
  answer_error(&answer, e, c->request_id);
  send_answer(c, &answer, true);
  talloc_free(mem);
  send_end(c, err_name(e));
}

void connection_refuse(struct connection *c, const struct err *e) { refuse(c, e, NULL); }

void connection_empty(struct connection *c, int status) {
  void *mem = arena_request(c);
  struct answer answer;

  stream_answer(c, mem, &answer);
  answer.status = status;
  send_answer(c, &answer, false);
  talloc_free(mem);
  send_end(c, "empty");
}

static unsigned by_chance(unsigned ms) { return ms + (unsigned)(random() % (long)ms); }

void connection_later(struct connection *c, const char *reason) {
  void *mem = arena_request(c);
  struct answer answer;

  stream_answer(c, mem, &answer);
  sse_retry(answer.body, by_chance(LATER_MS));
  send_answer(c, &answer, true);
  talloc_free(mem);
  if (c->streamer->start->own) c->streamer->start->own->streams_later++;
  send_end(c, reason);
}

void connection_open(struct connection *c) {
  void *mem = arena_request(c);
  struct answer answer;

  stream_answer(c, mem, &answer);
  send_answer(c, &answer, false);
  str_clear(answer.body);
  sse_retry(answer.body, by_chance(RETRY_MS));
  send_text(c, answer.body->p, answer.body->len);
  talloc_free(mem);
  c->phase = PHASE_OPEN;
  if (c->streamer->start->own) {
    c->streamer->start->own->streams++;
    c->streamer->start->own->streams_open++;
  }
}

/* ---- the request ---- */

static const char *request_id(struct connection *c, const struct request *r) {
  char made[37];

  if (headers_request_id(r->x_request_id)) return arena_strdup(c, r->x_request_id);
  clock_uuid7(made);
  return arena_strdup(c, made);
}

static const char *what(struct connection *c, const struct wanted *w) {
  char uuid[37];

  if (w->log) return "log";
  uuid_write(w->mutation, uuid);
  return arena_strdup(c, uuid);
}

/* What is left of the request is copied by whoever follows. */
static void begin(struct connection *c, struct request *r) {
  struct streamer *s = c->streamer;
  const char *allow = NULL;
  struct caller caller;
  struct wanted w;
  struct err e;

  err_init(&e, r->mem);
  c->phase = PHASE_WAITING;
  c->request_id = request_id(c, r);
  if (!wanted_where(r, &w, &allow, &e) || !identity_read(r, c->request_id, (unsigned)s->config->max_depth, &caller, &e) ||
      (w.log && !events_may_read(s->manifest, &caller, &e)) || !wanted_what(s->config, r, &w, &e)) {
    refuse(c, &e, allow);
    return;
  }
  c->what = what(c, &w);
  c->role = arena_strdup(c, caller.role);
  if (s->streams >= (size_t)s->config->streams) {
    connection_later(c, "full");
    return;
  }
  s->streams++;
  c->is_stream = true;
  if (w.log) log_begin(s, c, &w);
  else follow_begin(s, c, &w, &caller);
}

/* Order: what follows may end the connection. */
static void begin_request(struct connection *c) {
  void *mem = c->mem;
  struct request request;

  c->mem = NULL;
  talloc_steal(NULL, mem);
  if (record_request(&c->reader, mem, &request)) begin(c, &request);
  else drop(c, "params");
  talloc_free(mem);
}

static void refuse_bytes(struct connection *c, const char *why) {
  log_line(LOG_WARN, "no-request", "reason=\"%s\"", why);
  drop(c, "bad");
}

/* Behind the request only the end of the connection matters; but what is sent must not pile up. */
static void on_read(struct bufferevent *bev, void *arg) {
  struct connection *c = arg;
  struct evbuffer *in = bufferevent_get_input(bev);
  enum record_news news = RECORD_MORE;
  bool complete = false;
  const char *why = "";
  size_t used;

  if (c->phase == PHASE_ENDING) {
    evbuffer_drain(in, evbuffer_get_length(in));
    return;
  }
  do {
    size_t n = evbuffer_get_length(in);

    news = record_take(&c->reader, evbuffer_pullup(in, -1), n, &used, &why);
    evbuffer_drain(in, used);
    complete |= news == RECORD_COMPLETE;
  } while (news <= RECORD_COMPLETE && used > 0 && evbuffer_get_length(in) > 0);
  if (news == RECORD_BAD) refuse_bytes(c, why);
  else if (news == RECORD_GONE) drop(c, "gone");
  else if (complete) begin_request(c);
}

static void on_written(struct bufferevent *bev, void *arg) {
  struct connection *c = arg;

  (void)bev;
  if (unread(c) > 0) return;
  if (c->phase == PHASE_ENDING) drop(c, "sent");
  else if (c->log) log_drained(c->log);
  else if (c->follower) follow_drained(c->follower);
}

static void on_event(struct bufferevent *bev, short events, void *arg) {
  struct connection *c = arg;

  (void)bev;
  if (events & BEV_EVENT_TIMEOUT) drop_slow(c);
  else drop(c, "gone");
}

void connection_new(struct streamer *s, int fd) {
  struct connection *c = arena_new(NULL, struct connection);

  c->streamer = s;
  c->bev = bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
  if (!c->bev) { /* out of memory, or of what the kernel gives to epoll */
    close(fd);
    talloc_free(c);
    return;
  }
  c->begun_ms = c->written_ms = clock_ms();
  c->mem = arena_request(c);
  record_begin(&c->reader, c->mem);
  link_last(c);
  bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
  bufferevent_setwatermark(c->bev, EV_READ, 0, RECORD_BYTES);
  bufferevent_set_timeouts(c->bev, NULL, &(struct timeval){.tv_sec = s->config->stream_stuck_s});
  bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

void connection_follow_state(struct connection *c, struct follower *f) { c->follower = f; }
void connection_follow_log(struct connection *c, struct log_follower *f) { c->log = f; }

/* ---- all of them ---- */

/* Who has not read what there is needs no heartbeat. */
static void beat(struct connection *c) {
  struct str *text;
  char position[24];

  if (!connection_is_drained(c)) return;
  text = str_new(NULL, 64);
  if (c->log) log_position(c->log, position);
  sse_heartbeat(text, c->log ? position : NULL);
  connection_send(c, text->p, text->len, 0);
  talloc_free(text);
}

void connections_beat(struct streamer *s, int64_t silent_ms) {
  int64_t now = clock_ms(), least = silent_ms < HEAD_MS ? silent_ms : HEAD_MS;
  struct connection *behind;

  for (struct connection *c = s->connections.first; c && now - c->written_ms >= least; c = behind) {
    int64_t silent = now - c->written_ms;

    behind = c->behind;
    if (c->phase == PHASE_READING && silent >= HEAD_MS) drop(c, "silent");
    else if (c->phase == PHASE_OPEN && silent >= silent_ms) beat(c);
  }
}

void connections_end(struct streamer *s, const char *reason) {
  struct connection *behind;

  for (struct connection *c = s->connections.first; c; c = behind) {
    behind = c->behind;
    if (c->phase == PHASE_OPEN) send_end(c, reason);
    else if (c->phase == PHASE_WAITING) connection_later(c, reason);
    else if (c->phase == PHASE_READING) drop(c, reason);
  }
}

void connections_close(struct streamer *s) {
  while (s->connections.first) drop(s->connections.first, "stop");
}
