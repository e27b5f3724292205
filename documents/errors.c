/* Errors of documents. */
#include "documents/errors.h"

#include "base/arena.h"

#include <stdarg.h>
#include <string.h>

enum { CUT_BYTES = 120 };

bool gql_errors_full(const struct gql_errors *errors) { return errors->n > GQL_ERRORS_MAX; }

static void append(struct gql_errors *to, const char *rule, struct graphql_pos at, const char *message) {
  struct graphql_pos *locations = arena_array(to->mem, struct graphql_pos, 1);

  arena_grow(to->mem, to->list, to->n);
  locations[0] = at;
  to->list[to->n++] = (struct gql_error){message, locations, at.line ? 1 : 0, rule};
}

bool gql_error_add(struct gql_errors *to, struct graphql_pos at, const char *format, ...) {
  va_list args;
  char *message;

  if (gql_errors_full(to)) return false;
  if (to->n == GQL_ERRORS_MAX) {
    append(to, NULL, (struct graphql_pos){0}, "Too many errors; there are more than these.");
    return false;
  }
  va_start(args, format);
  message = talloc_vasprintf(to->mem, format, args);
  va_end(args);
  append(to, to->rule, at, message);
  return false;
}

bool gql_error_also(struct gql_errors *to, struct graphql_pos at) {
  struct gql_error *last;
  struct graphql_pos *more;

  if (!to->n || gql_errors_full(to)) return false;
  last = &to->list[to->n - 1];
  if (last->nlocations == GQL_LOCATIONS_MAX) return false;
  more = arena_array(to->mem, struct graphql_pos, last->nlocations + 1);
  memcpy(more, last->locations, last->nlocations * sizeof *more);
  more[last->nlocations++] = at;
  last->locations = more;
  return false;
}

const char *gql_error_cut(void *mem, const char *text) {
  size_t len = strnlen(text, CUT_BYTES + 1);

  if (len <= CUT_BYTES) return text;
  for (len = CUT_BYTES; len && ((unsigned char)text[len] & 0xc0) == 0x80; len--) {
  }
  return arena_printf(mem, "%.*s...", (int)len, text);
}
