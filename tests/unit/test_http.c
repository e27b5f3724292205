/* services/http against a server of its own: a process that listens on two unix sockets and on the loopback, with a process
 * for each connection. What it does with a request stands in the request's path. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/clock.h"
#include "services/http.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LONG_MS = 60000, SHORT_MS = 100, LIMIT = 1000, DOORS = 3, MEETING = 3 };

/* ---- the server ----------------------------------------------------------------------------------------------------- */

/* What server and test both see. */
struct seen {
  atomic_int connections, requests, met;
  sem_t closed; /* the server has closed a connection */
};

struct server {
  void *mem;
  struct seen *seen;
  pid_t pid;
  char folder[32];
  char paths[2][64]; /* of the unix sockets */
  int port;
  int doors[DOORS];
  int caller[2]; /* [0]: the caller's connection, as a worker has it; [1]: the caller */
  struct http_client *client;
};

struct visit {
  struct server *server;
  int fd, door, served; /* served: requests on this connection */
  size_t len;
  char *request;
};

enum { REQUEST_MAX = 2 * 1024 * 1024 };

static void say(struct visit *v, const char *bytes, size_t n) {
  while (n > 0) {
    ssize_t sent = write(v->fd, bytes, n);

    if (sent <= 0) _exit(0);
    bytes += sent;
    n -= (size_t)sent;
  }
}

static void say_text(struct visit *v, const char *text) { say(v, text, strlen(text)); }

static void answer(struct visit *v, const char *headers, const char *body, size_t len) {
  char head[300];

  snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n", headers, len);
  say_text(v, head);
  say(v, body, len);
}

static void wait_for_end(struct visit *v) {
  char c;

  while (read(v->fd, &c, 1) > 0) continue;
  _exit(0);
}

static void echo(struct visit *v) {
  char *text = malloc(v->len + 20);
  int n = sprintf(text, "door %d\n", v->door);

  memcpy(text + n, v->request, v->len);
  answer(v, "200 OK\r\nContent-Type: application/json; charset=utf-8", text, (size_t)n + v->len);
  free(text);
}

static void meet(struct visit *v) {
  const struct timespec nap = {.tv_nsec = 1000000};

  atomic_fetch_add(&v->server->seen->met, 1);
  while (atomic_load(&v->server->seen->met) < MEETING) nanosleep(&nap, NULL);
  answer(v, "200 OK", "met", 3);
}

static void cut_body(struct visit *v) {
  say_text(v, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\":");
  _exit(0);
}

static void cut_chunk(struct visit *v) {
  say_text(v, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n");
  _exit(0);
}

static void cut_head(struct visit *v) {
  say_text(v, "HTTP/1.1 200 OK\r\nContent-Len");
  _exit(0);
}

/* An interim answer is whole, the answer is not. */
static void cut_second(struct visit *v) {
  say_text(v, "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nX-A: b\r\n");
  _exit(0);
}

static void silent(struct visit *v) {
  (void)v;
  _exit(0);
}

static void exact(struct visit *v) {
  char body[LIMIT];

  memset(body, 'x', sizeof body);
  answer(v, "200 OK", body, sizeof body);
}

static void large(struct visit *v) {
  char body[LIMIT + 1];

  memset(body, 'x', sizeof body);
  answer(v, "200 OK", body, sizeof body);
}

static void endless(struct visit *v) {
  say_text(v, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (;;) say_text(v, "a\r\n0123456789\r\n");
}

static void many_headers(struct visit *v) {
  int i;

  say_text(v, "HTTP/1.1 200 OK\r\n");
  for (i = 0; i < 200; i++) say_text(v, "X-A: b\r\n");
  say_text(v, "Content-Length: 0\r\n\r\n");
}

static void endless_interim(struct visit *v) {
  for (;;) say_text(v, "HTTP/1.1 103 Early Hints\r\n\r\n");
}

static void long_header(struct visit *v) {
  char text[40000];

  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  say_text(v, "HTTP/1.1 200 OK\r\nX-A: ");
  say_text(v, text);
  say_text(v, "\r\nContent-Length: 0\r\n\r\n");
}

static void garbage(struct visit *v) {
  say_text(v, "SSH-2.0-OpenSSH_9.2p1 Debian\r\n");
  wait_for_end(v);
}

static void redirect(struct visit *v) { answer(v, "302 Found\r\nLocation: /echo", "", 0); }

static void busy(struct visit *v) { answer(v, "503 Service Unavailable\r\nRetry-After: 7", "later", 5); }

static void no_content(struct visit *v) { say_text(v, "HTTP/1.1 204 No Content\r\nSet-Cookie: a=b\r\n\r\n"); }

static void trailer(struct visit *v) {
  say_text(v, "HTTP/1.1 200 OK\r\nContent-Type: text/a\r\nTransfer-Encoding: chunked\r\n\r\n"
              "2\r\n{}\r\n0\r\nContent-Type: text/b\r\nRetry-After: 9\r\n\r\n");
}

/* Keeps the connection, as it says, and then does not. */
static void bye(struct visit *v) {
  answer(v, "200 OK", "bye", 3);
  shutdown(v->fd, SHUT_RDWR); /* not close alone: the process that forked may not have closed its own yet */
  close(v->fd);
  sem_post(&v->server->seen->closed);
  _exit(0);
}

/* Only the first request of a connection is answered. */
static void flaky(struct visit *v) {
  if (v->served > 0) _exit(0);
  answer(v, "200 OK", "ok", 2);
}

static void leave(struct visit *v) {
  shutdown(v->server->caller[1], SHUT_WR);
  wait_for_end(v);
}

static const struct {
  const char *path;
  void (*act)(struct visit *);
} acts[] = {
    {"/echo", echo},         {"/meet", meet},
    {"/cut-body", cut_body}, {"/cut-chunk", cut_chunk},
    {"/cut-head", cut_head}, {"/silent", silent},
    {"/exact", exact},       {"/large", large},
    {"/endless", endless},   {"/many", many_headers},
    {"/long", long_header},  {"/interim", endless_interim},
    {"/garbage", garbage},   {"/redirect", redirect},
    {"/busy", busy},         {"/no-content", no_content},
    {"/trailer", trailer},   {"/bye", bye},
    {"/flaky", flaky},       {"/leave", leave},
    {"/slow", wait_for_end}, {"/cut-second", cut_second},
};

static size_t body_bytes(const char *head) {
  const char *line = strstr(head, "\r\nContent-Length: ");

  return line ? strtoul(line + 18, NULL, 10) : 0;
}

static void read_request(struct visit *v) {
  char *end;

  v->len = 0;
  for (;;) {
    ssize_t n = read(v->fd, v->request + v->len, REQUEST_MAX - v->len);

    if (n <= 0) _exit(0);
    v->len += (size_t)n;
    v->request[v->len] = '\0';
    end = strstr(v->request, "\r\n\r\n");
    if (end && v->len >= (size_t)(end + 4 - v->request) + body_bytes(v->request)) return;
  }
}

static void die_with(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  alarm(120);
}

static void serve(struct server *s, int fd, int door) {
  struct visit v = {.server = s, .fd = fd, .door = door, .request = malloc(REQUEST_MAX + 1)};

  atomic_fetch_add(&s->seen->connections, 1);
  for (;; v.served++) {
    size_t i;

    read_request(&v);
    atomic_fetch_add(&s->seen->requests, 1);
    for (i = 0; i < sizeof acts / sizeof *acts; i++) {
      size_t len = strlen(acts[i].path);

      if (strncmp(v.request + 5, acts[i].path, len) == 0 && v.request[5 + len] == ' ') acts[i].act(&v);
    }
  }
}

static _Noreturn void listen_on(struct server *s) {
  signal(SIGCHLD, SIG_IGN);
  for (;;) {
    struct pollfd fds[DOORS];
    int i, fd;

    for (i = 0; i < DOORS; i++) fds[i] = (struct pollfd){.fd = s->doors[i], .events = POLLIN};
    poll(fds, DOORS, -1);
    for (i = 0; i < DOORS; i++) {
      pid_t me = getpid();

      if (!fds[i].revents || (fd = accept(s->doors[i], NULL, NULL)) < 0) continue;
      if (fork() == 0) {
        die_with(me);
        serve(s, fd, i);
      }
      close(fd);
    }
  }
}

static int unix_socket_at(const char *path, int backlog) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);

  strcpy(address.sun_path, path);
  assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
  assert_int_equal(listen(fd, backlog), 0);
  return fd;
}

/* backlog -1: bound, not listening: who connects is refused. */
static int loopback_socket(int backlog, int *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM, 0);

  assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
  if (backlog >= 0) assert_int_equal(listen(fd, backlog), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
  *port = ntohs(address.sin_port);
  return fd;
}

static int start(void **state) {
  struct server *s = calloc(1, sizeof *s);
  pid_t me = getpid();
  int i;

  signal(SIGPIPE, SIG_IGN);
  s->mem = talloc_new(NULL);
  s->seen = mmap(NULL, sizeof *s->seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  sem_init(&s->seen->closed, 1, 0);
  strcpy(s->folder, "/tmp/writ-http-XXXXXX");
  if (!mkdtemp(s->folder)) return -1;
  for (i = 0; i < 2; i++) {
    snprintf(s->paths[i], sizeof s->paths[i], "%s/%d.sock", s->folder, i);
    s->doors[i] = unix_socket_at(s->paths[i], 16);
  }
  s->doors[2] = loopback_socket(16, &s->port);
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, s->caller) != 0) return -1;
  s->pid = fork();
  if (s->pid == 0) {
    die_with(me);
    listen_on(s);
  }
  s->client = http_client_new(s->mem);
  *state = s;
  return 0;
}

static int stop(void **state) {
  struct server *s = *state;
  int i;

  talloc_free(s->mem);
  kill(s->pid, SIGKILL); /* its children go with it */
  waitpid(s->pid, NULL, 0);
  for (i = 0; i < DOORS; i++) close(s->doors[i]);
  for (i = 0; i < 2; i++) {
    close(s->caller[i]);
    unlink(s->paths[i]);
  }
  rmdir(s->folder);
  munmap(s->seen, sizeof *s->seen);
  free(s);
  return 0;
}

/* ---- the system, where it is to fail -------------------------------------------------------------------------------- */

static atomic_int sends_to_fail;
static sem_t name_server; /* a look-up of silent.test ends when it is posted */
static atomic_bool name_server_told;

ssize_t send(int fd, const void *data, size_t n, int flags) {
  if (atomic_load(&sends_to_fail) > 0) {
    atomic_fetch_sub(&sends_to_fail, 1);
    errno = EPIPE;
    return -1;
  }
  return sendto(fd, data, n, flags, NULL, 0);
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
  int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

  if (host && strcmp(host, "silent.test") == 0) {
    while (sem_wait(&name_server) != 0) continue;
    atomic_store(&name_server_told, true);
    return EAI_FAIL;
  }
  *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
  return real(host, service, hints, found);
}

/* ---- asking --------------------------------------------------------------------------------------------------------- */

static struct http_endpoint endpoint(struct server *s, const char *text) {
  struct http_endpoint out;
  const char *why = NULL;

  if (!http_endpoint_read(s->mem, text, &out, &why)) fail_msg("%s: %s", text, why);
  return out;
}

static struct http_endpoint at(struct server *s, int door, const char *path) {
  char *text = door == 2 ? arena_printf(s->mem, "http://127.0.0.1:%d%s", s->port, path)
                         : arena_printf(s->mem, "http://unix:%s:%s", s->paths[door], path);

  return endpoint(s, text);
}

static struct http_exchange exchange(const struct http_endpoint *where) {
  return (struct http_exchange){.endpoint = where, .timeout_ms = LONG_MS, .max_answer_bytes = LIMIT, .body = "{}", .len = 2};
}

static void run(struct server *s, struct http_exchange *x, size_t n) {
  const struct wait w = {.deadline_ms = clock_ms() + LONG_MS, .caller_fd = s->caller[0]};

  http_run(s->client, s->mem, x, n, &w);
}

static struct http_exchange ask_endpoint(struct server *s, struct http_endpoint where) {
  struct http_exchange x = exchange(&where);

  run(s, &x, 1);
  x.endpoint = NULL;
  return x;
}

static struct http_exchange ask(struct server *s, int door, const char *path) { return ask_endpoint(s, at(s, door, path)); }

static void assert_end(const struct http_exchange *x, enum http_end end) {
  if (x->end != end) fail_msg("ended with %d (%s, status %d)", (int)x->end, x->why ? x->why : "-", x->status);
  if (end == HTTP_ANSWERED) {
    assert_null(x->why);
    assert_true(x->sent);
  } else {
    assert_non_null(x->why);
    assert_null(x->answer);
    assert_int_equal(x->status, 0);
  }
  if (end == HTTP_UNREACHABLE) assert_false(x->sent);
  assert_true(x->took_us >= 0);
}

static int requests(struct server *s) { return atomic_load(&s->seen->requests); }

static int connections(struct server *s) { return atomic_load(&s->seen->connections); }

/* ---- tests ---------------------------------------------------------------------------------------------------------- */

static void test_answered(void **state) {
  static const struct http_header headers[] = {{"X-One", "1 \xc3\xa4"}, {"X-Empty", ""}};
  struct server *s = *state;
  int door;

  for (door = 0; door < DOORS; door++) {
    struct http_endpoint where = at(s, door, "/echo");
    struct http_exchange x = exchange(&where);

    x.headers = headers;
    x.nheaders = 2;
    x.body = "{\"a\":1}ignored";
    x.len = 7;
    run(s, &x, 1);
    assert_end(&x, HTTP_ANSWERED);
    assert_int_equal(x.status, 200);
    assert_string_equal(x.content_type, "application/json; charset=utf-8");
    assert_null(x.retry_after);
    assert_int_equal(x.answer_len, strlen(x.answer));
    assert_int_equal(x.answer[5] - '0', door);
    assert_non_null(strstr(x.answer, "POST /echo HTTP/1.1\r\n"));
    assert_non_null(strstr(x.answer, door == 2 ? "\r\nHost: 127.0.0.1:" : "\r\nHost: localhost\r\n"));
    assert_non_null(strstr(x.answer, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(x.answer, "\r\nContent-Length: 7\r\n"));
    assert_non_null(strstr(x.answer, "\r\nUser-Agent: writ/" PACKAGE_VERSION "\r\n"));
    assert_non_null(strstr(x.answer, "\r\nX-One: 1 \xc3\xa4\r\n"));
    assert_non_null(strstr(x.answer, "\r\nX-Empty:\r\n"));
    assert_non_null(strstr(x.answer, "\r\n\r\n{\"a\":1}"));
    assert_string_equal(strstr(x.answer, "\r\n\r\n"), "\r\n\r\n{\"a\":1}");
  }
}

static void test_other_answers(void **state) {
  struct server *s = *state;
  struct http_exchange x = ask(s, 0, "/busy");

  assert_end(&x, HTTP_ANSWERED);
  assert_int_equal(x.status, 503);
  assert_string_equal(x.retry_after, "7");
  assert_string_equal(x.answer, "later");
  assert_null(x.content_type);
  x = ask(s, 0, "/no-content");
  assert_end(&x, HTTP_ANSWERED);
  assert_int_equal(x.status, 204);
  assert_string_equal(x.answer, "");
  x = ask(s, 0, "/trailer");
  assert_string_equal(x.content_type, "text/a");
  assert_null(x.retry_after);
  x = ask(s, 0, "/echo");
  assert_null(strstr(x.answer, "Cookie"));
  assert_int_equal(connections(s), 1); /* kept all the time */
}

/* Larger than what libcurl sends in one piece, and than where it would ask with Expect: 100-continue. */
static void test_large_request(void **state) {
  struct server *s = *state;
  struct http_endpoint where = at(s, 2, "/echo");
  struct http_exchange x = exchange(&where);
  char *body = malloc(1500000);

  memset(body, 'x', 1500000);
  x.body = body;
  x.len = 1500000;
  x.max_answer_bytes = 1600000;
  run(s, &x, 1);
  assert_end(&x, HTTP_ANSWERED);
  assert_true(x.answer_len > 1500000);
  assert_null(strstr(x.answer, "Expect"));
  assert_memory_equal(strstr(x.answer, "\r\n\r\n") + 4, body, 1500000);
  free(body);
}

static void test_parallel(void **state) {
  struct server *s = *state;
  struct http_endpoint meet = at(s, 0, "/meet"), none = endpoint(s, "http://unix:/nowhere/at/all"), slow = at(s, 1, "/slow");
  struct http_exchange x[] = {exchange(&meet), exchange(&none), exchange(&meet), exchange(&slow), exchange(&meet)};

  x[3].timeout_ms = SHORT_MS;
  run(s, x, 5);
  assert_end(&x[0], HTTP_ANSWERED);
  assert_end(&x[1], HTTP_UNREACHABLE);
  assert_end(&x[2], HTTP_ANSWERED);
  assert_end(&x[3], HTTP_TIMEOUT);
  assert_end(&x[4], HTTP_ANSWERED);
  assert_string_equal(x[4].answer, "met");
  run(s, x, 0);
}

static void test_unreachable(void **state) {
  struct server *s = *state;
  struct http_exchange x = ask_endpoint(s, endpoint(s, arena_printf(s->mem, "http://unix:%s/none", s->folder)));
  int port, fd = loopback_socket(-1, &port);

  assert_end(&x, HTTP_UNREACHABLE);
  x = ask_endpoint(s, endpoint(s, arena_printf(s->mem, "http://127.0.0.1:%d/", port)));
  assert_end(&x, HTTP_UNREACHABLE);
  close(fd);
  atomic_store(&sends_to_fail, 1);
  x = ask(s, 0, "/echo");
  assert_end(&x, HTTP_UNREACHABLE);
  assert_int_equal(requests(s), 0);
}

/* What a TLS handshake sends is nothing of the request: with a service that speaks no TLS, and waits. */
static void test_no_tls(void **state) {
  struct server *s = *state;
  struct http_endpoint where = endpoint(s, arena_printf(s->mem, "https://127.0.0.1:%d/echo", s->port));
  struct http_exchange x = exchange(&where);

  x.timeout_ms = SHORT_MS;
  run(s, &x, 1);
  assert_end(&x, HTTP_TIMEOUT);
  assert_false(x.sent);
  assert_int_equal(requests(s), 0);
}

/* Nobody accepts: connecting takes for ever, or with a unix socket fails at once. */
static void test_full_queue(void **state) {
  struct server *s = *state;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_un local = {.sun_family = AF_UNIX};
  int fds[8], port, i, full = loopback_socket(0, &port), local_full;
  struct http_endpoint where = endpoint(s, arena_printf(s->mem, "http://127.0.0.1:%d/", port));
  struct http_exchange x = exchange(&where);

  snprintf(local.sun_path, sizeof local.sun_path, "%s/full", s->folder);
  local_full = unix_socket_at(local.sun_path, 0);
  address.sin_port = htons((uint16_t)port);
  for (i = 0; i < 8; i++) {
    fds[i] = socket(i < 4 ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    (void)!connect(fds[i], i < 4 ? (struct sockaddr *)&address : (struct sockaddr *)&local,
                   i < 4 ? sizeof address : sizeof local);
  }
  x.timeout_ms = SHORT_MS;
  run(s, &x, 1);
  assert_end(&x, HTTP_TIMEOUT);
  assert_false(x.sent);
  x = ask_endpoint(s, endpoint(s, arena_printf(s->mem, "http://unix:%s", local.sun_path)));
  assert_end(&x, HTTP_UNREACHABLE);
  for (i = 0; i < 8; i++) close(fds[i]);
  close(full);
  close(local_full);
  unlink(local.sun_path);
}

/* The look-up is still waiting when the request has ended: by its timeout, and by the deadline. */
static void test_silent_name_server(void **state) {
  const struct timespec nap = {.tv_nsec = 1000000};
  struct server *s = *state;
  struct http_endpoint where = endpoint(s, "http://silent.test/");
  struct http_exchange x = exchange(&where);
  struct wait w = {.deadline_ms = clock_ms() + SHORT_MS, .caller_fd = -1};

  sem_init(&name_server, 0, 0);
  x.timeout_ms = SHORT_MS;
  run(s, &x, 1);
  assert_end(&x, HTTP_TIMEOUT);
  assert_false(x.sent);
  x.timeout_ms = LONG_MS;
  http_run(s->client, s->mem, &x, 1, &w);
  assert_end(&x, HTTP_GIVEN_UP);
  assert_false(x.sent);
  assert_false(atomic_load(&name_server_told));
  sem_post(&name_server);
  sem_post(&name_server);
  while (!atomic_load(&name_server_told)) nanosleep(&nap, NULL);
  x = ask(s, 0, "/echo");
  assert_end(&x, HTTP_ANSWERED);
}

static void test_broken(void **state) {
  static const char *const paths[] = {"/cut-body", "/cut-chunk", "/cut-head", "/cut-second", "/silent", "/garbage",
                                      "/large",    "/endless",   "/many",     "/long",       "/interim"};
  struct server *s = *state;
  size_t i;

  for (i = 0; i < sizeof paths / sizeof *paths; i++) {
    struct http_exchange x = ask(s, (int)i % DOORS, paths[i]);

    if (x.end != HTTP_BROKEN) fail_msg("%s ended with %d (%s)", paths[i], (int)x.end, x.why ? x.why : "-");
    assert_end(&x, HTTP_BROKEN);
    assert_true(x.sent);
    assert_int_equal(requests(s), i + 1); /* not repeated */
  }
}

static void test_exact_limit(void **state) {
  struct server *s = *state;
  struct http_exchange x = ask(s, 0, "/exact");

  assert_end(&x, HTTP_ANSWERED);
  assert_int_equal(x.answer_len, LIMIT);
}

static void test_slow(void **state) {
  struct server *s = *state;
  struct http_endpoint where = at(s, 2, "/slow");
  struct http_exchange x = exchange(&where);

  x.timeout_ms = SHORT_MS;
  run(s, &x, 1);
  assert_end(&x, HTTP_TIMEOUT);
  assert_true(x.sent);
  assert_true(x.took_us >= SHORT_MS * 1000 - 2000);
}

static void test_redirect(void **state) {
  struct server *s = *state;
  struct http_exchange x = ask(s, 2, "/redirect");

  assert_end(&x, HTTP_ANSWERED);
  assert_int_equal(x.status, 302);
  assert_int_equal(requests(s), 1);
}

static void test_environment(void **state) {
  struct server *s = *state;
  struct http_exchange x;

  setenv("http_proxy", "http://127.0.0.1:1", 1);
  setenv("all_proxy", "http://127.0.0.1:1", 1);
  x = ask(s, 2, "/echo");
  unsetenv("http_proxy");
  unsetenv("all_proxy");
  assert_end(&x, HTTP_ANSWERED);
}

static void test_kept(void **state) {
  struct server *s = *state;
  struct http_exchange x;
  int i;

  for (i = 0; i < 20; i++) {
    x = ask(s, 2, "/echo");
    assert_end(&x, HTTP_ANSWERED);
  }
  assert_int_equal(connections(s), 1);
  /* The same URL in another socket is another service. */
  for (i = 0; i < 4; i++) {
    x = ask(s, i % 2, "/echo");
    assert_int_equal(x.answer[5] - '0', i % 2);
  }
  assert_int_equal(connections(s), 3);
}

static void test_closed_between(void **state) {
  struct server *s = *state;
  int door;

  for (door = 0; door < DOORS; door++) {
    struct http_exchange x = ask(s, door, "/bye");

    assert_end(&x, HTTP_ANSWERED);
    while (sem_wait(&s->seen->closed) != 0) continue;
    x = ask(s, door, "/echo");
    assert_end(&x, HTTP_ANSWERED);
    assert_int_equal(requests(s), 2 * (door + 1));
    assert_int_equal(connections(s), 2 * (door + 1));
  }
}

/* Closed in the moment before the request: seen only when it cannot be sent. */
static void test_closed_before_sending(void **state) {
  struct server *s = *state;
  struct http_exchange x = ask(s, 0, "/echo");

  atomic_store(&sends_to_fail, 1);
  x = ask(s, 0, "/echo");
  assert_end(&x, HTTP_ANSWERED);
  assert_int_equal(requests(s), 2);
  assert_int_equal(connections(s), 2);
}

/* The service got it, and the kept connection ended: whether it did it nobody knows. */
static void test_died_over_it(void **state) {
  struct server *s = *state;
  struct http_endpoint where = at(s, 2, "/flaky");
  struct http_exchange x = exchange(&where);

  run(s, &x, 1);
  assert_end(&x, HTTP_ANSWERED);
  run(s, &x, 1);
  assert_end(&x, HTTP_BROKEN);
  assert_true(x.sent);
  assert_int_equal(requests(s), 2);
  run(s, &x, 1);
  assert_end(&x, HTTP_ANSWERED);
  x.repeatable = true;
  run(s, &x, 1);
  assert_end(&x, HTTP_ANSWERED);
  assert_int_equal(requests(s), 5);
}

static void test_caller_hangs_up(void **state) {
  struct server *s = *state;
  struct http_endpoint slow = at(s, 0, "/slow"), go = at(s, 2, "/leave"), none = endpoint(s, "http://unix:/nowhere/at/all");
  struct http_exchange x[] = {exchange(&slow), exchange(&none), exchange(&go)};

  assert_int_equal(write(s->caller[1], "unread", 6), 6); /* what the caller says is not its leaving */
  x[0] = ask(s, 0, "/echo");
  assert_end(&x[0], HTTP_ANSWERED);
  x[0] = exchange(&slow);
  run(s, x, 3);
  assert_end(&x[0], HTTP_GIVEN_UP);
  assert_end(&x[1], HTTP_UNREACHABLE);
  assert_end(&x[2], HTTP_GIVEN_UP);
  assert_true(x[2].sent);
  /* Gone before it began: nothing is sent. */
  x[0] = exchange(&slow);
  run(s, x, 1);
  assert_end(&x[0], HTTP_GIVEN_UP);
  assert_false(x[0].sent);
}

static void test_deadline(void **state) {
  struct server *s = *state;
  struct http_endpoint where = at(s, 0, "/slow");
  struct http_exchange x = exchange(&where);
  struct wait w = {.deadline_ms = clock_ms() + SHORT_MS, .caller_fd = -1};

  http_run(s->client, s->mem, &x, 1, &w);
  assert_end(&x, HTTP_GIVEN_UP);
  assert_true(clock_ms() >= w.deadline_ms);
}

static void test_bad_header(void **state) {
  static const char *const values[] = {"a\r\nX-B: c", "a\nb", "a\r", "\x01", "\x7f"};
  struct server *s = *state;
  struct http_endpoint where = at(s, 0, "/echo");
  size_t i;

  for (i = 0; i < sizeof values / sizeof *values; i++) {
    const struct http_header header = {"X-A", values[i]};
    struct http_exchange x[] = {exchange(&where), exchange(&where)};

    x[0].headers = &header;
    x[0].nheaders = 1;
    run(s, x, 2);
    assert_end(&x[0], HTTP_BROKEN);
    assert_false(x[0].sent);
    assert_end(&x[1], HTTP_ANSWERED);
    assert_int_equal(requests(s), i + 1);
  }
}

static void test_endpoints(void **state) {
  static const struct {
    const char *text, *url, *unix_socket;
  } good[] = {
      {"http://a.example", "http://a.example/", NULL},
      {"HTTP://a.example:81/b?c=d", "http://a.example:81/b?c=d", NULL},
      {"https://[::1]:8443/x", "https://[::1]:8443/x", NULL},
      {"http://unix:/run/a.sock", "http://localhost/", "/run/a.sock"},
      {"http://unix:/run/a.sock:/", "http://localhost/", "/run/a.sock"},
      {"http://unix:/run/a.sock:/b:c?d", "http://localhost/b:c?d", "/run/a.sock"},
  };
  static const char *const bad[] = {
      "",
      "a.example",
      "/b",
      "ftp://a.example/",
      "file:///etc/passwd",
      "gopher://a.example/",
      "http://",
      "http://u:p@a.example/",
      "http://u@a.example/",
      "http://a.example/#b",
      "http://a.example/ b",
      "http://a.example/\r\nX: y",
      "http://a.example:99999/",
      "http://unix:",
      "http://unix:run/a.sock",
      "http://unix:/run/a.sock:b",
      "http://unix:/run/a.sock:",
      "http://unix::/b",
      "http://unix:/run/a.sock:/b#c",
      "http://unix:/run/a.sock:/b c",
      "https://unix:/run/a.sock",
      "http://unix:/012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567",
  };
  void *mem = talloc_new(NULL);
  struct http_endpoint out;
  const char *why;
  size_t i;

  (void)state;
  for (i = 0; i < sizeof good / sizeof *good; i++) {
    if (!http_endpoint_read(mem, good[i].text, &out, &why)) fail_msg("%s: %s", good[i].text, why);
    assert_string_equal(out.url, good[i].url);
    if (good[i].unix_socket) assert_string_equal(out.unix_socket, good[i].unix_socket);
    else assert_null(out.unix_socket);
  }
  for (i = 0; i < sizeof bad / sizeof *bad; i++) {
    why = NULL;
    if (http_endpoint_read(mem, bad[i], &out, &why)) fail_msg("%s was taken: %s", bad[i], out.url);
    assert_non_null(why);
  }
  talloc_free(mem);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_endpoints),
      WITH_SERVER(test_answered),
      WITH_SERVER(test_other_answers),
      WITH_SERVER(test_large_request),
      WITH_SERVER(test_parallel),
      WITH_SERVER(test_unreachable),
      WITH_SERVER(test_no_tls),
      WITH_SERVER(test_full_queue),
      WITH_SERVER(test_silent_name_server),
      WITH_SERVER(test_broken),
      WITH_SERVER(test_exact_limit),
      WITH_SERVER(test_slow),
      WITH_SERVER(test_redirect),
      WITH_SERVER(test_environment),
      WITH_SERVER(test_kept),
      WITH_SERVER(test_closed_between),
      WITH_SERVER(test_closed_before_sending),
      WITH_SERVER(test_died_over_it),
      WITH_SERVER(test_caller_hangs_up),
      WITH_SERVER(test_deadline),
      WITH_SERVER(test_bad_header),
  };

  alarm(300); /* what should end and does not */
  return cmocka_run_group_tests(tests, NULL, NULL);
}
