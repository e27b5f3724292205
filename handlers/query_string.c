/* Takes QUERY_STRING apart. */
#include "handlers/query_string.h"

#include "base/arena.h"
#include "base/str.h"
#include "handlers/headers.h"

#include <string.h>

static int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* NULL: a % without two hexadecimal digits, or not UTF-8, or control characters. */
static const char *decode(const void *mem, const char *text, size_t len) {
  struct str *out = str_new(mem, len + 1);

  for (size_t i = 0; i < len; i++) {
    if (text[i] != '%') {
      str_char(out, text[i] == '+' ? ' ' : text[i]);
      continue;
    }
    if (i + 2 >= len || digit(text[i + 1]) < 0 || digit(text[i + 2]) < 0 || strncmp(text + i, "%00", 3) == 0) return NULL;
    str_char(out, (char)(digit(text[i + 1]) * 16 + digit(text[i + 2])));
    i += 2;
  }
  return headers_is_text(out->p) || !*out->p ? out->p : NULL;
}

static bool put(const char *name, const char *value, const char *const *names, const char **values, struct err *e) {
  for (size_t i = 0; names[i]; i++) {
    if (strcmp(names[i], name) != 0) continue;
    if (values[i]) return err_set(e, BAD_REQUEST, "The parameter \"%s\" is given twice.", name);
    values[i] = value;
    return true;
  }
  return err_set(e, BAD_REQUEST, "There is no parameter \"%.100s\" here.", name);
}

bool query_string_read(const void *mem, const char *query, const char *const *names, const char **values, struct err *e) {
  for (size_t i = 0; names[i]; i++) values[i] = NULL;
  while (query && *query) {
    size_t len = strcspn(query, "&");
    const char *equals = memchr(query, '=', len), *name, *value;

    if (len) {
      name = decode(e->mem, query, equals ? (size_t)(equals - query) : len);
      value = equals ? decode(mem, equals + 1, len - (size_t)(equals + 1 - query)) : "";
      if (!name || !value) return err_set(e, BAD_REQUEST, "The query string is not percent-encoded UTF-8 text.");
      if (!put(name, value, names, values, e)) return false;
    }
    query += len + (query[len] == '&');
  }
  return true;
}
