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

/* Sorted by name: a walk costs a few comparisons a parameter. Whatever a client sends arrives with HTTP_ before it, so
 * it can never become one of WRIT_*. */
static const struct row {
  const char *name;
  enum repeated repeated;
  size_t offset;
} rows[] = {
#define AT(member) offsetof(struct request, member)
    {"CONTENT_LENGTH", FIRST, AT(content_length)},
    {"CONTENT_TYPE", FIRST, AT(content_type)},
    {"DOCUMENT_URI", FIRST, AT(uri)},
    {"HTTP_ACCEPT", JOIN, AT(accept)},
    {"HTTP_IDEMPOTENCY_KEY", KEY, AT(idempotency_key)},
    {"HTTP_IF_MATCH", JOIN, AT(if_match)},
    {"HTTP_IF_NONE_MATCH", JOIN, AT(if_none_match)},
    {"HTTP_LAST_EVENT_ID", JOIN, AT(last_event_id)},
    {"HTTP_MUTATION_ID", JOIN, AT(mutation_id)},
    {"HTTP_PREFER", JOIN, AT(prefer)},
    {"HTTP_TRACEPARENT", JOIN, AT(traceparent)},
    {"HTTP_X_REQUEST_ID", JOIN, AT(x_request_id)},
    {"QUERY_STRING", FIRST, AT(query)},
    {"REQUEST_METHOD", FIRST, AT(method)},
    {"WRIT_CALL", IDENTITY, AT(call_token)},
    {"WRIT_CLAIMS", IDENTITY, AT(claims)},
    {"WRIT_INSIDE", IDENTITY, AT(came_inside)},
    {"WRIT_PREFIX", IDENTITY, AT(prefix)},
    {"WRIT_ROLE", IDENTITY, AT(role)},
    {"WRIT_USER", IDENTITY, AT(user)},
#undef AT
};

static const struct row *find_row(const char *name, size_t len) {
  size_t low = 0, high = sizeof rows / sizeof *rows;

  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = strncmp(name, rows[middle].name, len);

    if (order == 0 && rows[middle].name[len]) order = -1; /* name is only its beginning */
    if (order == 0) return &rows[middle];
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
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
