/* Reads a request: its parameters (handlers/params.h), the body against its announced length and the limit. */
#include "fcgi/request_read.h"

#include "base/arena.h"
#include "base/clock.h"
#include "handlers/params.h"

#include <errno.h>
#include <fcgiapp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

/* Reading a body: after so long the timeout of a read is set again to what is left. */
enum { LIMIT_AGAIN_MS = 1000 };

/* The path where the web server passes no DOCUMENT_URI: SCRIPT_NAME, else REQUEST_URI less its query. */
static const char *other_path(const struct request *request, char **envp) {
  const char *uri = FCGX_GetParam("SCRIPT_NAME", envp);

  if (uri && uri[0]) return uri;
  uri = FCGX_GetParam("REQUEST_URI", envp);
  return uri ? arena_strndup(request->mem, uri, strcspn(uri, "?")) : NULL;
}

/* ---- the body ---- */

/* Digits only; false too when it does not fit. */
static bool parse_length(const char *text, int64_t *length) {
  int64_t n = 0;

  if (!text[0]) return false;
  for (; *text; text++) {
    if (*text < '0' || *text > '9' || n > (INT64_MAX - 9) / 10) return false;
    n = n * 10 + (*text - '0');
  }
  *length = n;
  return true;
}

/* How long one read may wait. libfcgi keeps what it has read to itself, so poll cannot tell whether there is more. */
static void limit_read(const struct request_input *input, int64_t ms) {
  struct timeval time = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
  setsockopt(input->fcgi->ipcFd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
}

static bool too_slow(struct err *e) { return err_set(e, TIMEOUT, "The body did not arrive in time."); }

/* Up to n bytes, fewer at the end of the stream. FCGX_GetStr would wait for all of them however long it takes; this
 * waits for those of one read at a time, and looks at the clock in between. False: the deadline has passed. */
static bool read_bytes(struct request_input *input, char *to, size_t n, size_t *got, struct err *e) {
  FCGX_Stream *in = input->fcgi->in;

  for (*got = 0; *got < n && !in->isClosed;) {
    size_t ready = (size_t)(in->stop - in->rdNext);
    int64_t now = clock_ms();
    int c;

    if (ready > 0) {
      if (ready > n - *got) ready = n - *got;
      *got += (size_t)FCGX_GetStr(to + *got, (int)ready, in);
      continue;
    }
    if (now >= input->deadline_ms) return too_slow(e);
    if (now >= input->limit_set_ms + LIMIT_AGAIN_MS) {
      limit_read(input, input->deadline_ms - now);
      input->limit_set_ms = now;
    }
    c = FCGX_GetChar(in);
    if (c != EOF) to[(*got)++] = (char)c;
    else if (FCGX_GetError(in) == EAGAIN) return too_slow(e);
  }
  return true;
}

/* The stream must end here: reads its end mark too, so that nothing is left unread on the connection. */
static bool at_end(struct request_input *input, const void *mem) {
  char more;
  size_t got;
  struct err ignored;

  err_init(&ignored, mem);
  return read_bytes(input, &more, 1, &got, &ignored) && got == 0 && FCGX_GetError(input->fcgi->in) == 0;
}

/* Without CONTENT_LENGTH there is no body, or it is not known how much would have to be read. */
static bool read_without_length(struct request_input *input, struct err *e) {
  char first;
  size_t got;

  if (!read_bytes(input, &first, 1, &got, e)) return false;
  if (got > 0) return err_set(e, LENGTH_REQUIRED, "The request has a body, but no Content-Length.");
  if (FCGX_GetError(input->fcgi->in) != 0) return err_set(e, BAD_REQUEST, "The body was cut short.");
  return true;
}

static bool read_with_length(struct request *request, const char **body, size_t *len, struct err *e) {
  struct request_input *input = request->io;
  int64_t length = 0;
  char *buffer;
  size_t got;

  if (!parse_length(request->content_length, &length)) return err_set(e, BAD_REQUEST, "Content-Length is not a length.");
  if (length > input->max_body_bytes)
    return err_set(e, TOO_LARGE, "The body has %lld bytes, the limit is %d (limits.body_bytes).", (long long)length,
                   input->max_body_bytes);
  buffer = arena_resize(request->mem, NULL, (size_t)length + 1);
  if (!read_bytes(input, buffer, (size_t)length, &got, e)) return false;
  if (got != (size_t)length || !at_end(input, request->mem))
    return err_set(e, BAD_REQUEST, "The body was cut short, or is longer than its Content-Length.");
  buffer[length] = '\0';
  *body = buffer;
  *len = (size_t)length;
  return true;
}

static bool read_body(struct request *request, const char **body, size_t *len, struct err *e) {
  bool has_length = request->content_length && request->content_length[0];
  bool ok;

  *body = "";
  *len = 0;
  ok = has_length ? read_with_length(request, body, len, e) : read_without_length(request->io, e);
  request_done_reading(request->io);
  return ok;
}

void request_read(struct request *request, struct request_input *input, void *mem, bool inside) {
  char **envp = input->fcgi->envp;

  *request = (struct request){
      .mem = mem,
      .inside = inside,
      .read_body = read_body,
      .io = input,
      .caller_fd = input->fcgi->ipcFd,
      .received_us = clock_us(),
  };
  input->deadline_ms = request->received_us / 1000 + input->timeout_ms;
  for (char **p = envp; *p; p++) {
    const char *equals = strchr(*p, '=');
    if (equals) params_put(request, *p, (size_t)(equals - *p), equals + 1);
  }
  if (!request->uri || !request->uri[0]) request->uri = other_path(request, envp);
  if (!request->prefix) request->prefix = "";
  if (!request->method) request->method = "";
  if (!request->query) request->query = "";
}

void request_done_reading(struct request_input *input) {
  sigset_t term;

  if (!input->term_blocked) return;
  input->term_blocked = false;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  sigprocmask(SIG_UNBLOCK, &term, NULL);
}

bool request_is_drained(const struct request_input *input) {
  const FCGX_Stream *in = input->fcgi->in;
  return in->isClosed && in->FCGI_errno == 0;
}
