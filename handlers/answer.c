/* Answers: the only place where an error becomes bytes. */
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

void answer_write_head(const struct answer *a, struct str *out) {
  str_printf(out, "Status: %d %s\r\nContent-Type: %s\r\n", a->status, err_title(a->status), a->content_type);
  /* Only the answer to HEAD is empty: its length would be told wrong. */
  if (a->body->len > 0) str_printf(out, "Content-Length: %zu\r\n", a->body->len);
  for (size_t i = 0; i < a->nheaders; i++) str_printf(out, "%s: %s\r\n", a->headers[i].name, a->headers[i].value);
  str_add(out, "\r\n");
}

static void text_member(struct str *s, const char *name, const char *value) {
  if (!value || !value[0]) return;
  str_printf(s, ",\"%s\":", name);
  str_json(s, value);
}

static void number_member(struct str *s, const char *name, int value) {
  if (value >= 0) str_printf(s, ",\"%s\":%d", name, value);
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
  struct str *s = answer->body;

  answer->status = e->status;
  answer->content_type = "application/problem+json";
  str_clear(s);
  str_add(s, "{\"type\":\"about:blank\",\"title\":");
  str_json(s, err_title(e->status));
  str_printf(s, ",\"status\":%d,\"code\":", e->status);
  str_json(s, err_name(e));
  if (e->prisma_code) number_member(s, "prisma_code", e->prisma_code);
  text_member(s, "detail", e->message);
  text_member(s, "command", e->command);
  number_member(s, "index", e->index);
  text_member(s, "path", e->path);
  text_member(s, "argument", e->argument);
  text_member(s, "sqlstate", e->sqlstate);
  text_member(s, "constraint", e->constraint);
  text_member(s, "column", e->column);
  text_member(s, "details", e->details);
  text_member(s, "hint", e->hint);
  number_member(s, "committed", e->committed);
  str_printf(s, ",\"retryable\":%s", e->retryable ? "true" : "false");
  text_member(s, "request_id", request_id);
  str_char(s, '}');
  status_headers(answer, e);
}
