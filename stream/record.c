/* Records in and out. */
#include "stream/record.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/str.h"
#include "handlers/params.h"

#include <string.h>

enum { FCGI_VERSION = 1, ROLE_RESPONDER = 1, BEGIN_BYTES = 8 };
enum kind { KIND_BEGIN = 1, KIND_ABORT, KIND_END, KIND_PARAMS, KIND_STDIN, KIND_STDOUT };

void record_begin(struct record_reader *reader, const void *mem) {
  *reader = (struct record_reader){.params = str_new(mem, 2048)};
}

/* ---- in ---- */

static unsigned two(const unsigned char *p) { return (unsigned)p[0] << 8 | p[1]; }

static enum record_news bad(const char **why, const char *reason) {
  *why = reason;
  return RECORD_BAD;
}

static enum record_news take_begin(struct record_reader *r, unsigned id, const unsigned char *content, size_t len,
                                   const char **why) {
  if (r->id) return bad(why, "a second request on one connection");
  if (len != BEGIN_BYTES || id == 0) return bad(why, "a request that begins as none does");
  if (two(content) != ROLE_RESPONDER) return bad(why, "only the role of a responder is served");
  r->id = id;
  return RECORD_MORE;
}

static enum record_news take_params(struct record_reader *r, const unsigned char *content, size_t len, const char **why) {
  if (r->complete) return bad(why, "parameters behind the last one");
  if (len == 0) {
    r->complete = true;
    return RECORD_COMPLETE;
  }
  if (r->params->len + len > RECORD_PARAMS_BYTES) return bad(why, "too many bytes of parameters");
  str_bytes(r->params, (const char *)content, len);
  return RECORD_MORE;
}

static enum record_news take_one(struct record_reader *r, const unsigned char *head, size_t len, const char **why) {
  const unsigned char *content = head + RECORD_HEAD_BYTES;
  unsigned id = two(head + 2);

  if (head[0] != FCGI_VERSION) return bad(why, "not FastCGI");
  if (head[1] == KIND_BEGIN) return take_begin(r, id, content, len, why);
  if (!r->id || id != r->id) return bad(why, "a record of no request");
  switch (head[1]) {
  case KIND_ABORT: return RECORD_GONE;
  case KIND_PARAMS: return take_params(r, content, len, why);
  case KIND_STDIN: return RECORD_MORE; /* who follows has nothing to say */
  default: return bad(why, "a record that no web server sends");
  }
}

enum record_news record_take(struct record_reader *r, const unsigned char *bytes, size_t n, size_t *used, const char **why) {
  enum record_news news = RECORD_MORE;

  *used = 0;
  while (news == RECORD_MORE && n - *used >= RECORD_HEAD_BYTES) {
    const unsigned char *head = bytes + *used;
    size_t len = two(head + 4), whole = RECORD_HEAD_BYTES + len + head[6];

    if (n - *used < whole) break;
    news = take_one(r, head, len, why);
    *used += whole;
  }
  return news;
}

/* Section 3.4: one byte, or four with the highest bit set. */
static bool take_length(const unsigned char **p, const unsigned char *end, size_t *len) {
  if (*p == end) return false;
  if (**p < 0x80) {
    *len = *(*p)++;
    return true;
  }
  if (end - *p < 4) return false;
  *len = (size_t)(two(*p) & 0x7fff) << 16 | two(*p + 2);
  *p += 4;
  return true;
}

bool record_request(const struct record_reader *r, void *mem, struct request *request) {
  const unsigned char *p = (const unsigned char *)r->params->p, *end = p + r->params->len;

  *request = (struct request){.mem = mem, .caller_fd = -1, .received_us = clock_us()};
  while (p < end) {
    size_t name, value;

    if (!take_length(&p, end, &name) || !take_length(&p, end, &value)) return false;
    if (name > (size_t)(end - p) || value > (size_t)(end - p) - name) return false;
    if (memchr(p, '\0', name + value)) return false;
    params_put(request, (const char *)p, name, arena_strndup(mem, (const char *)p + name, value));
    p += name + value;
  }
  request->inside = request->came_inside && request->came_inside[0];
  if (!request->prefix) request->prefix = "";
  if (!request->method) request->method = "";
  if (!request->query) request->query = "";
  return true;
}

/* ---- out ---- */

static void put_head(struct str *out, enum kind kind, unsigned id, size_t len) {
  const char head[RECORD_HEAD_BYTES] = {
      FCGI_VERSION, (char)kind, (char)(id >> 8), (char)id, (char)(len >> 8), (char)len, 0, 0};
  str_bytes(out, head, sizeof head);
}

void record_put(struct str *out, unsigned id, const char *bytes, size_t n) {
  while (n > 0) {
    size_t piece = n < 65535 ? n : 65535;

    put_head(out, KIND_STDOUT, id, piece);
    str_bytes(out, bytes, piece);
    bytes += piece;
    n -= piece;
  }
}

void record_put_end(struct str *out, unsigned id) {
  static const char complete[BEGIN_BYTES] = {0}; /* application status 0, FCGI_REQUEST_COMPLETE */

  put_head(out, KIND_STDOUT, id, 0);
  put_head(out, KIND_END, id, sizeof complete);
  str_bytes(out, complete, sizeof complete);
}
