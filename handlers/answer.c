/* Answers, and the headers that belong to errors. */
#include "handlers/answer.h"

#include "base/arena.h"
#include "base/str.h"

#include <assert.h>

/* First room for a body: the usual answer is shorter, so it is never moved. */
enum { BODY_BYTES = 512 };

void answer_header(struct answer *answer, const char *name, const char *value) {
  assert(answer->nheaders < sizeof answer->headers / sizeof *answer->headers);
  answer->headers[answer->nheaders++] = (struct answer_header){name, value};
}

void answer_init(struct answer *answer, const void *mem, const char *request_id) {
  *answer = (struct answer){.status = 200, .content_type = "application/json", .body = str_new(mem, BODY_BYTES)};
  answer_header(answer, "X-Request-Id", request_id);
  answer_header(answer, "Cache-Control", "no-store");
}

static void write_field(struct str *out, const char *name, const char *value) {
  str_add(out, name);
  str_add(out, ": ");
  str_add(out, value);
  str_add(out, "\r\n");
}

void answer_write_head(const struct answer *a, struct str *out) {
  str_printf(out, "Status: %d %s\r\n", a->status, err_title(a->status));
  write_field(out, "Content-Type", a->content_type);
  /* Only the answer to HEAD is empty: its length would be told wrong. */
  if (a->body->len > 0) str_printf(out, "Content-Length: %zu\r\n", a->body->len);
  for (size_t i = 0; i < a->nheaders; i++) write_field(out, a->headers[i].name, a->headers[i].value);
  str_add(out, "\r\n");
}

/* Headers that belong to a status. */
static void status_headers(struct answer *answer, const struct err *e) {
  if (e->retry_after_s > 0) answer_header(answer, "Retry-After", arena_printf(answer->body, "%d", e->retry_after_s));
  /* RFC 9110 section 15.5.2 wants a challenge in every 401. How to authenticate is known to the web server alone, so
   * this one names no scheme that a browser would open a dialog for; a site may replace it (nginx: add_header,
   * hide_header). */
  if (e->status == 401) answer_header(answer, "WWW-Authenticate", "Writ");
}

void answer_error(struct answer *answer, const struct err *e, const char *request_id) {
  answer->status = e->status;
  answer->content_type = "application/problem+json";
  str_clear(answer->body);
  err_put(answer->body, e, request_id);
  status_headers(answer, e);
}
