/* The HTTP client: one libcurl multi handle, driven until every request of a run has ended. */
#include "services/http.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <assert.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
  HEADER_LINES_MAX = 100, /* as nginx has it for requests; the limits also bound interim answers and trailers */
  HEADER_BYTES_MAX = 32 * 1024,
  KEPT_CONNECTIONS_MAX = 16, /* a process, to all services together */
  KEPT_REPEATABLE_S = 60,
  /* Services close a connection that has been idle for 2 s (gunicorn), 5 s (node, uvicorn), 75 s (nginx). A request that
   * meets the close on its way is lost, so what must not be repeated takes no connection that has been idle for 2 s (libcurl
   * compares whole seconds). */
  KEPT_ONCE_S = 1,
  ANSWER_BYTES = 2048, /* to begin with */
  POLL_MS = 60000,
  BEAT_MS = 250, /* between calls of wait.beat */
};

struct http_client {
  CURLM *multi;
  int watch; /* epoll, readable when the caller has gone: curl_multi_poll knows no POLLRDHUP. -1: no descriptor was left */
};

/* An exchange under way. */
struct transfer {
  struct http_exchange *x;
  const void *mem; /* for the answer */
  CURL *easy;      /* NULL: not begun, or over */
  struct curl_slist *headers;
  struct str *answer;
  size_t header_lines, header_bytes;
  bool head_ended; /* libcurl takes a head that was cut between two lines for a whole one */
  int64_t began_us;
  const char *why; /* we ended it ourselves; NULL: libcurl knows */
  char error[CURL_ERROR_SIZE];
};

/* Out of memory, as in arena.h; or a libcurl that is older than the one this was built with. */
static void must(bool done) {
  if (done) return;
  log_line(LOG_ERROR, "curl_failed", "reason=\"out of memory, or libcurl is older than %s\"", LIBCURL_VERSION);
  abort();
}

#define SET(easy, option, value) must(curl_easy_setopt((easy), CURLOPT_##option, (value)) == CURLE_OK)

/* ---- where a service is --------------------------------------------------------------------------------------------- */

static bool refused(const char **why, const char *text) {
  *why = text;
  return false;
}

static bool has_part(CURLU *url, CURLUPart part) {
  char *text = NULL;
  bool has = curl_url_get(url, part, &text, 0) == CURLUE_OK;

  curl_free(text);
  return has;
}

static bool is_http(CURLU *url) {
  char *scheme = NULL;
  bool is;

  must(curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK);
  is = strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0;
  curl_free(scheme);
  return is;
}

static bool url_read(const void *mem, CURLU *url, const char *text, struct http_endpoint *out, const char **why) {
  CURLUcode code = curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME);
  char *normal = NULL;

  if (code != CURLUE_OK) return refused(why, curl_url_strerror(code));
  if (!is_http(url)) return refused(why, "a URL begins with http:// or https://");
  if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD))
    return refused(why, "a URL has no user and password in it: URLs are logged");
  if (has_part(url, CURLUPART_FRAGMENT)) return refused(why, "what stands behind # of a URL is never sent");
  must(curl_url_get(url, CURLUPART_URL, &normal, 0) == CURLUE_OK);
  out->url = arena_strdup(mem, normal);
  curl_free(normal);
  return true;
}

/* text: what stands behind unix: */
static bool unix_socket_read(const void *mem, const char *text, struct http_endpoint *out, const char **why) {
  size_t len = strcspn(text, ":");

  if (*text != '/') return refused(why, "the path of a unix socket begins with /");
  if (len >= sizeof((struct sockaddr_un *)NULL)->sun_path) return refused(why, "the path of the unix socket is too long");
  if (text[len] == ':' && text[len + 1] != '/') return refused(why, "behind unix:/path/of/socket: stands a path: /...");
  out->unix_socket = arena_strndup(mem, text, len);
  return true;
}

bool http_endpoint_read(const void *mem, const char *text, struct http_endpoint *out, const char **why) {
  static const char prefix[] = "http://unix:";
  CURLU *url;
  bool ok;

  *out = (struct http_endpoint){0};
  if (strncmp(text, "https://unix:", 13) == 0) return refused(why, "over a unix socket a service is asked by http://");
  if (strncmp(text, prefix, sizeof prefix - 1) == 0) {
    const char *socket = text + sizeof prefix - 1, *path = strchr(socket, ':');

    if (!unix_socket_read(mem, socket, out, why)) return false;
    text = arena_printf(mem, "http://localhost%s", path ? path + 1 : "/"); /* nginx too says Host: localhost */
  }
  url = curl_url();
  must(url);
  ok = url_read(mem, url, text, out, why);
  curl_url_cleanup(url);
  return ok;
}

/* ---- what libcurl asks while it works ------------------------------------------------------------------------------- */

/* Has anything of the request left this process? Counted over all attempts; what TLS could not send whole counts as nothing,
 * as nobody can read it. */
static bool is_sent(CURL *easy) {
  long bytes = 0;

  return curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &bytes) == CURLE_OK && bytes > 0;
}

/* Ahead of each attempt. libcurl repeats a request, even a POST, when a kept connection ends without an answer: the service
 * may have closed it before, but may also have died over this very request. */
static int may_send(void *arg, char *address, char *local, int port, int local_port) {
  struct transfer *t = arg;

  (void)address;
  (void)local;
  (void)port;
  (void)local_port;
  if (t->x->repeatable || !is_sent(t->easy)) return CURL_PREREQFUNC_OK;
  t->why = "the service closed a kept connection without an answer";
  return CURL_PREREQFUNC_ABORT;
}

/* Nothing that the process starts is to have it. */
static curl_socket_t open_socket(void *unused, curlsocktype purpose, struct curl_sockaddr *a) {
  (void)unused;
  (void)purpose;
  return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* Both take a line or a piece and give its length; another number ends the transfer. */
static size_t take_header(char *line, size_t size, size_t n, void *arg) {
  struct transfer *t = arg;

  n *= size;
  if (*line == '\r' || *line == '\n') t->head_ended = true;
  else if (n > 5 && memcmp(line, "HTTP/", 5) == 0) t->head_ended = false; /* the one before was an interim answer */
  t->header_lines++;
  t->header_bytes += n;
  if (t->header_lines <= HEADER_LINES_MAX && t->header_bytes <= HEADER_BYTES_MAX) return n;
  t->why = "the answer has too many headers";
  return 0;
}

static size_t take_body(char *bytes, size_t size, size_t n, void *arg) {
  struct transfer *t = arg;

  n *= size;
  if (n > t->x->max_answer_bytes || t->answer->len > t->x->max_answer_bytes - n) {
    t->why = arena_printf(t->mem, "the answer is larger than %zu bytes", t->x->max_answer_bytes);
    return CURL_WRITEFUNC_ERROR;
  }
  str_bytes(t->answer, bytes, n);
  return n;
}

/* ---- one exchange --------------------------------------------------------------------------------------------------- */

static void add_header(struct transfer *t, const char *line) {
  struct curl_slist *longer = curl_slist_append(t->headers, line);

  must(longer);
  t->headers = longer;
}

static bool is_clean(const char *value) {
  for (; *value; value++)
    if (((unsigned char)*value < ' ' && *value != '\t') || *value == 0x7f) return false;
  return true;
}

/* False: one holds what would end its line. libcurl would send it as it is. */
static bool add_headers(struct transfer *t) {
  size_t i;

  add_header(t, "Content-Type: application/json");
  add_header(t, "Accept: application/json");
  add_header(t, "Expect:"); /* none: it costs a round trip, or a second where the service does not know it */
  for (i = 0; i < t->x->nheaders; i++) {
    const struct http_header *h = &t->x->headers[i];
    char *line;

    if (!is_clean(h->name) || !is_clean(h->value)) return false;
    /* libcurl's way to say that the value is empty: a semicolon. */
    line = *h->value ? arena_printf(t->mem, "%s: %s", h->name, h->value) : arena_printf(t->mem, "%s;", h->name);
    add_header(t, line);
    talloc_free(line);
  }
  return true;
}

/* What the service decides nothing about, and the environment neither. */
static void set_bounds(struct transfer *t) {
  SET(t->easy, PROTOCOLS_STR, "http,https");
  SET(t->easy, HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  SET(t->easy, FOLLOWLOCATION, 0L);
  SET(t->easy, PROXY, ""); /* not that of http_proxy */
  SET(t->easy, NETRC, (long)CURL_NETRC_IGNORED);
  SET(t->easy, NOSIGNAL, 1L);
  SET(t->easy, TIMEOUT_MS, (long)t->x->timeout_ms);
  SET(t->easy, QUICK_EXIT, 1L); /* a name server that is silent holds up a thread, not us */
  SET(t->easy, MAXAGE_CONN, t->x->repeatable ? (long)KEPT_REPEATABLE_S : (long)KEPT_ONCE_S);
  SET(t->easy, OPENSOCKETFUNCTION, open_socket);
}

static void set_request(struct transfer *t) {
  SET(t->easy, URL, t->x->endpoint->url);
  if (t->x->endpoint->unix_socket) SET(t->easy, UNIX_SOCKET_PATH, t->x->endpoint->unix_socket);
  SET(t->easy, USERAGENT, "writ/" PACKAGE_VERSION);
  SET(t->easy, HTTPHEADER, t->headers);
  SET(t->easy, POSTFIELDSIZE_LARGE, (curl_off_t)t->x->len);
  SET(t->easy, POSTFIELDS, t->x->body ? t->x->body : ""); /* borrowed */
  SET(t->easy, PRIVATE, t);
  SET(t->easy, ERRORBUFFER, t->error);
  SET(t->easy, PREREQFUNCTION, may_send);
  SET(t->easy, PREREQDATA, t);
  SET(t->easy, HEADERFUNCTION, take_header);
  SET(t->easy, HEADERDATA, t);
  SET(t->easy, WRITEFUNCTION, take_body);
  SET(t->easy, WRITEDATA, t);
}

static void ended(struct transfer *t, enum http_end end, const char *why) {
  t->x->end = end;
  t->x->why = arena_strdup(t->mem, why);
  t->x->took_us = clock_us() - t->began_us;
}

static void begin(struct http_client *client, struct transfer *t, struct http_exchange *x, void *mem) {
  assert(x->timeout_ms > 0); /* 0 is for ever to libcurl */
  *t = (struct transfer){.x = x, .mem = mem, .began_us = clock_us()};
  x->sent = false;
  x->status = 0;
  x->content_type = x->retry_after = x->answer = NULL;
  x->answer_len = 0;
  x->transfer = NULL;
  if (!add_headers(t)) {
    ended(t, HTTP_BROKEN, "a header of the request has a control character in it: it was not sent");
    return;
  }
  t->answer = str_new(mem, ANSWER_BYTES);
  t->easy = curl_easy_init();
  must(t->easy);
  set_bounds(t);
  set_request(t);
  must(curl_multi_add_handle(client->multi, t->easy) == CURLM_OK);
}

static void end(struct http_client *client, struct transfer *t) {
  if (t->easy) {
    curl_multi_remove_handle(client->multi, t->easy); /* what is under way is cut off */
    curl_easy_cleanup(t->easy);
  }
  curl_slist_free_all(t->headers);
  t->easy = NULL;
  t->headers = NULL;
}

static const char *answer_header(struct transfer *t, const char *name) {
  struct curl_header *header;

  if (curl_easy_header(t->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK) return NULL;
  return arena_strdup(t->mem, header->value);
}

static void answered(struct transfer *t) {
  long status = 0;

  if (!t->head_ended) {
    ended(t, HTTP_BROKEN, "the answer was cut short");
    return;
  }
  curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
  t->x->status = (int)status;
  t->x->content_type = answer_header(t, "Content-Type");
  t->x->retry_after = answer_header(t, "Retry-After");
  t->x->answer = t->answer->p;
  t->x->answer_len = t->answer->len;
  ended(t, HTTP_ANSWERED, NULL);
}

static void finish(struct http_client *client, struct transfer *t, CURLcode code) {
  const char *why = t->why ? t->why : *t->error ? t->error : curl_easy_strerror(code);

  t->x->sent = is_sent(t->easy);
  if (code == CURLE_OK) answered(t);
  else if (code == CURLE_OPERATION_TIMEDOUT) ended(t, HTTP_TIMEOUT, why);
  else ended(t, t->x->sent ? HTTP_BROKEN : HTTP_UNREACHABLE, why);
  t->x->transfer = NULL;
  end(client, t);
}

/* ---- all of a run --------------------------------------------------------------------------------------------------- */

static int discard(struct http_client *client) {
  curl_multi_cleanup(client->multi);
  if (client->watch >= 0) close(client->watch);
  curl_global_cleanup();
  return 0;
}

struct http_client *http_client_new(const void *mem) {
  struct http_client *client = arena_new(mem, struct http_client);

  must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
  client->multi = curl_multi_init();
  must(client->multi);
  must(curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)KEPT_CONNECTIONS_MAX) == CURLM_OK);
  client->watch = epoll_create1(EPOLL_CLOEXEC);
  talloc_set_destructor(client, discard);
  return client;
}

/* False: nobody to watch, or no descriptor left to do it with; the deadline stays. */
static bool watch(struct http_client *client, int fd) {
  struct epoll_event hang_up = {.events = EPOLLRDHUP};

  return fd >= 0 && client->watch >= 0 && epoll_ctl(client->watch, EPOLL_CTL_ADD, fd, &hang_up) == 0;
}

static bool is_gone(struct http_client *client) {
  struct epoll_event event;

  return epoll_wait(client->watch, &event, 1, 0) > 0;
}

/* NULL: go on. */
static const char *is_over(struct http_client *client, const struct wait *w, bool watching) {
  if (watching && is_gone(client)) return "the caller hung up";
  return clock_ms() >= w->deadline_ms ? "the deadline of the request came" : NULL;
}

/* Those that have an end; gives how many. */
static size_t harvest(struct http_client *client) {
  CURLMsg *message;
  size_t n = 0;
  int waiting;

  while ((message = curl_multi_info_read(client->multi, &waiting))) {
    struct transfer *t;

    if (message->msg != CURLMSG_DONE) continue;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t);
    finish(client, t, message->data.result);
    n++;
  }
  return n;
}

/* Until none of n is under way (NULL), or gives why it ended sooner. */
static const char *drive(struct http_client *client, size_t n, const struct wait *w, bool watching) {
  struct curl_waitfd caller = {.fd = client->watch, .events = CURL_WAIT_POLLIN};

  for (;;) {
    const char *over = is_over(client, w, watching);
    CURLMcode code;
    int running;
    int64_t left_ms;

    if (over) return over;
    if (w->beat) w->beat(w->data);
    code = curl_multi_perform(client->multi, &running);
    n -= harvest(client);
    if (n == 0) return NULL;
    left_ms = w->deadline_ms - clock_ms();
    if (left_ms > POLL_MS) left_ms = POLL_MS;
    if (w->beat && left_ms > BEAT_MS) left_ms = BEAT_MS;
    if (code == CURLM_OK) code = curl_multi_poll(client->multi, &caller, watching, left_ms > 0 ? (int)left_ms : 0, NULL);
    if (code != CURLM_OK) return curl_multi_strerror(code);
  }
}

void http_run(struct http_client *client, void *mem, struct http_exchange *exchanges, size_t n, const struct wait *w) {
  struct transfer *transfers = arena_array(mem, struct transfer, n);
  bool watching = watch(client, w->caller_fd);
  size_t under_way = 0, i;
  const char *over;

  for (i = 0; i < n; i++) {
    begin(client, &transfers[i], &exchanges[i], mem);
    if (transfers[i].easy) under_way++;
  }
  over = under_way > 0 ? drive(client, under_way, w, watching) : NULL;
  for (i = 0; i < n; i++) {
    struct transfer *t = &transfers[i];

    if (t->easy) {
      t->x->sent = is_sent(t->easy);
      ended(t, HTTP_GIVEN_UP, over);
    }
    end(client, t);
  }
  if (watching) epoll_ctl(client->watch, EPOLL_CTL_DEL, w->caller_fd, NULL);
  talloc_free(transfers);
}

/* ---- without waiting ------------------------------------------------------------------------------------------------- */

/* What ended it has put its end into the exchange; ours is to let go. */
static void let_go(struct http_client *client, struct transfer *t) {
  t->x->transfer = NULL;
  end(client, t);
}

void http_begin(struct http_client *client, void *mem, struct http_exchange *x) {
  struct transfer *t = arena_new(mem, struct transfer);

  x->end = HTTP_UNDER_WAY;
  begin(client, t, x, mem);
  x->transfer = t;
  if (!t->easy) let_go(client, t);
}

void http_wait(struct http_client *client, const int *fds, size_t nfds, int timeout_ms) {
  struct curl_waitfd watched[HTTP_WATCHED_MAX];
  int running;

  assert(nfds <= HTTP_WATCHED_MAX);
  for (size_t i = 0; i < nfds; i++) watched[i] = (struct curl_waitfd){.fd = fds[i], .events = CURL_WAIT_POLLIN};
  if (curl_multi_perform(client->multi, &running) != CURLM_OK || harvest(client)) return;
  if (curl_multi_poll(client->multi, watched, (unsigned)nfds, timeout_ms, NULL) != CURLM_OK) return;
  curl_multi_perform(client->multi, &running);
  harvest(client);
}

void http_give_up(struct http_client *client, struct http_exchange *x) {
  struct transfer *t = x->transfer;

  if (!t) return;
  x->sent = is_sent(t->easy);
  ended(t, HTTP_GIVEN_UP, "given up");
  let_go(client, t);
}
