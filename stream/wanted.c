/* From a request to what it asks for. */
#include "stream/wanted.h"

#include "events/log.h"
#include "handlers/dispatch.h"
#include "handlers/events.h"
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

/* As of a page, but for its limit: a stream goes on. */
static bool read_query(const struct config *config, const struct request *r, struct wanted *out, struct err *e) {
  struct event_query query;

  if (!events_query(config, r, &query, &out->datasource, e)) return false;
  if (out->after < 0) out->after = query.after; /* else Last-Event-ID, which is newer */
  out->name = query.name;
  out->key = query.key;
  return true;
}

bool wanted_where(const struct request *r, struct wanted *out, const char **allow, struct err *e) {
  *out = (struct wanted){.after = -1};
  if (!read_path(r, out)) return err_set(e, NOT_FOUND, "There is nothing at this path.");
  out->head = strcmp(r->method, "HEAD") == 0;
  if (!out->head && strcmp(r->method, "GET") != 0) {
    *allow = "GET, HEAD";
    return err_set(e, METHOD_NOT_ALLOWED, "This path takes GET, HEAD only.");
  }
  return true;
}

bool wanted_what(const struct config *config, const struct request *r, struct wanted *out, struct err *e) {
  if (!headers_accept_events(r->accept)) return err_set(e, NOT_ACCEPTABLE, "A stream is text/event-stream.");
  if (!read_last(r, out, e)) return false;
  return !out->log || read_query(config, r, out, e);
}
