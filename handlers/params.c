/* Parameters by one walk over a table. */
#include "handlers/params.h"

#include "base/arena.h"

#include <stddef.h>
#include <string.h>

/* What a second parameter of the same name means. */
enum repeated {
  FIRST,    /* a CGI variable: the web server's configuration includes its list twice */
  JOIN,     /* a header field: joined with ", " (RFC 9110 section 5.3), as nginx does itself since 1.23 */
  KEY,      /* joined, and noted */
  IDENTITY, /* noted: of two roles none is to be believed */
};

/* Whatever a client sends arrives with HTTP_ before it, so it can never become one of WRIT_*. */
static const struct row {
  const char *name;
  size_t len;
  enum repeated repeated;
  size_t offset;
} rows[] = {
#define ROW(name, repeated, member)                                                                                         \
  { name, sizeof name - 1, repeated, offsetof(struct request, member) }
    ROW("CONTENT_LENGTH", FIRST, content_length),
    ROW("CONTENT_TYPE", FIRST, content_type),
    ROW("DOCUMENT_URI", FIRST, uri),
    ROW("HTTP_ACCEPT", JOIN, accept),
    ROW("HTTP_IDEMPOTENCY_KEY", KEY, idempotency_key),
    ROW("HTTP_IF_MATCH", JOIN, if_match),
    ROW("HTTP_IF_NONE_MATCH", JOIN, if_none_match),
    ROW("HTTP_LAST_EVENT_ID", JOIN, last_event_id),
    ROW("HTTP_MUTATION_ID", JOIN, mutation_id),
    ROW("HTTP_PREFER", JOIN, prefer),
    ROW("HTTP_TRACEPARENT", JOIN, traceparent),
    ROW("HTTP_X_REQUEST_ID", JOIN, x_request_id),
    ROW("QUERY_STRING", FIRST, query),
    ROW("REQUEST_METHOD", FIRST, method),
    ROW("WRIT_CALL", IDENTITY, call_token),
    ROW("WRIT_CLAIMS", IDENTITY, claims),
    ROW("WRIT_INSIDE", IDENTITY, came_inside),
    ROW("WRIT_PREFIX", IDENTITY, prefix),
    ROW("WRIT_ROLE", IDENTITY, role),
    ROW("WRIT_USER", IDENTITY, user),
#undef ROW
};

/* Lengths first: few names have the same. */
static const struct row *find_row(const char *name, size_t len) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].len == len && memcmp(rows[i].name, name, len) == 0) return &rows[i];
  return NULL;
}

static void put(struct request *request, const struct row *row, const char *value) {
  const char **field = (const char **)((char *)request + row->offset);

  if (!*field) {
    *field = value;
    return;
  }
  switch (row->repeated) {
  case FIRST: break;
  case KEY: request->idempotency_key_repeated = true; /* fall through */
  case JOIN: *field = arena_printf(request->mem, "%s, %s", *field, value); break;
  case IDENTITY: request->identity_repeated = true; break;
  }
}

void params_put(struct request *request, const char *name, size_t len, const char *value) {
  const struct row *row = find_row(name, len);

  if (row) put(request, row, value);
}
