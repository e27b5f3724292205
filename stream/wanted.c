/* From a request to what it asks for. */
#include "stream/wanted.h"

#include "base/arena.h"
#include "handlers/dispatch.h"
#include "handlers/headers.h"

#include <string.h>

/* Behind the id of the event that ends a state: a client that comes again with it has seen everything. */
#define END_MARK "/end"

static bool read_path(const struct request *r, struct wanted *out) {
  static const char state[] = "/mutation/", events[] = "/events";
  const char *path = path_below(r->uri, r->prefix);
  char uuid[37];

  if (!path) return false;
  out->log = strcmp(path, events) == 0;
  if (out->log) return true;
  if (strncmp(path, state, sizeof state - 1) != 0) return false;
  path += sizeof state - 1;
  if (strlen(path) != 36 + sizeof events - 1 || strcmp(path + 36, events) != 0) return false;
  memcpy(uuid, path, 36);
  uuid[36] = '\0';
  return uuid_read(uuid, out->mutation);
}

/* Digits, and what follows them. */
static bool read_number(const char *text, int64_t *n, const char **rest) {
  size_t digits = strspn(text, "0123456789");

  if (digits == 0 || digits > 18) return false;
  *n = 0;
  for (size_t i = 0; i < digits; i++) *n = *n * 10 + (text[i] - '0');
  *rest = text + digits;
  return true;
}

/* Of an EventSource that connects again. One that we have never given is of another server, say: it begins anew, as nothing
 * else would help a browser; of the log it does not, where beginning anew would repeat. */
static bool read_last(const struct request *r, struct wanted *out, struct err *e) {
  const char *rest = "";

  if (!r->last_event_id || !r->last_event_id[0]) return true;
  if (read_number(r->last_event_id, &out->after, &rest)) {
    out->end_known = !out->log && strcmp(rest, END_MARK) == 0;
    if (!rest[0] || out->end_known) return true;
  }
  out->after = -1;
  return !out->log || err_set(e, BAD_REQUEST, "Last-Event-ID must be a position that a stream of events has given.");
}

/* ---- the query ---- */

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* application/x-www-form-urlencoded. NULL: a % without its two digits, or a NUL. */
static char *decode(void *mem, const char *text, size_t len) {
  char *out = arena_strndup(mem, text, len), *to = out;

  for (size_t i = 0; i < len; i++) {
    char c = text[i];
    if (c == '%') {
      int high = i + 2 < len ? hex_digit(text[i + 1]) : -1, low = i + 2 < len ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0 || high + low == 0) return NULL;
      c = (char)(high << 4 | low);
      i += 2;
    }
    *to++ = c == '+' && text[i] == '+' ? ' ' : c;
  }
  *to = '\0';
  return out;
}

static bool read_after(const char *value, struct wanted *out, struct err *e) {
  const char *rest = "";
  int64_t n;

  if (!read_number(value, &n, &rest) || rest[0])
    return err_set(e, BAD_REQUEST, "after must be a position, a whole number from 0.");
  if (out->after < 0) out->after = n; /* else Last-Event-ID is newer */
  return true;
}

static bool read_filter(const char *which, const char *value, const char **filter, struct err *e) {
  if (*filter) return err_set(e, BAD_REQUEST, "%s is given twice.", which);
  if (strlen(value) > FILTER_BYTES || !headers_is_text(value))
    return err_set(e, BAD_REQUEST, "%s must be UTF-8 without control characters, at most %d bytes.", which, FILTER_BYTES);
  *filter = value;
  return true;
}

static bool read_pair(const struct request *r, const char *pair, size_t len, struct wanted *out, struct err *e) {
  const char *equals = memchr(pair, '=', len);
  size_t name = equals ? (size_t)(equals - pair) : len;
  const char *value = equals ? decode(r->mem, equals + 1, len - name - 1) : "";

  if (!value) return err_set(e, BAD_REQUEST, "The query is not URL-encoded as it should be.");
  if (name == 5 && memcmp(pair, "after", 5) == 0) return read_after(value, out, e);
  if (name == 4 && memcmp(pair, "name", 4) == 0) return read_filter("name", value, &out->name, e);
  if (name == 3 && memcmp(pair, "key", 3) == 0) return read_filter("key", value, &out->key, e);
  return err_set(e, BAD_REQUEST, "The query takes after, name and key.");
}

static bool read_query(const struct request *r, struct wanted *out, struct err *e) {
  const char *p = r->query;

  while (*p) {
    size_t len = strcspn(p, "&");

    if (len && !read_pair(r, p, len, out, e)) return false;
    p += len + (p[len] == '&');
  }
  return true;
}

bool wanted_read(const struct request *r, struct wanted *out, const char **allow, struct err *e) {
  *out = (struct wanted){.after = -1};
  if (!read_path(r, out)) return err_set(e, NOT_FOUND, "There is nothing at this path.");
  out->head = strcmp(r->method, "HEAD") == 0;
  if (!out->head && strcmp(r->method, "GET") != 0) {
    *allow = "GET, HEAD";
    return err_set(e, METHOD_NOT_ALLOWED, "This path takes GET, HEAD only.");
  }
  if (!headers_accept_events(r->accept)) return err_set(e, NOT_ACCEPTABLE, "A stream is text/event-stream.");
  if (!read_last(r, out, e)) return false;
  return !out->log || read_query(r, out, e);
}
