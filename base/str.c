/* Strings that grow in an arena, and the three ways of quoting: JSON, SQL literal, SQL identifier. */
#include "base/str.h"

#include "base/arena.h"
#include "base/format.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* talloc gives less than 256 MB in one piece: a long string no longer doubles, or it would meet that bound at half of it. */
enum { LEAST_CAP = 32, DOUBLING_ENDS = 64 * 1024 * 1024 };

/* What stands behind the backslash for a byte that a JSON string may not hold as it is; 'u': \u00xx. */
static const char json_escape[256] = {
    ['\0'] = 'u', [1] = 'u',    [2] = 'u',  [3] = 'u',    [4] = 'u',    [5] = 'u',   [6] = 'u',     [7] = 'u',  ['\b'] = 'b',
    ['\t'] = 't', ['\n'] = 'n', [11] = 'u', ['\f'] = 'f', ['\r'] = 'r', [14] = 'u',  [15] = 'u',    [16] = 'u', [17] = 'u',
    [18] = 'u',   [19] = 'u',   [20] = 'u', [21] = 'u',   [22] = 'u',   [23] = 'u',  [24] = 'u',    [25] = 'u', [26] = 'u',
    [27] = 'u',   [28] = 'u',   [29] = 'u', [30] = 'u',   [31] = 'u',   ['"'] = '"', ['\\'] = '\\',
};

/* The room to begin with lies behind the struct itself: two pieces of memory for each string were a fifth of all. */
static char *own_room(struct str *s) { return (char *)(s + 1); }

struct str *str_new(const void *mem, size_t cap) {
  struct str *s;

  if (cap < LEAST_CAP) cap = LEAST_CAP;
  s = arena_resize(mem, NULL, sizeof *s + cap);
  *s = (struct str){.p = own_room(s), .cap = cap};
  s->p[0] = '\0';
  return s;
}

static void grow(struct str *s, size_t n) {
  while (n >= s->cap - s->len) s->cap += s->cap < DOUBLING_ENDS ? s->cap : DOUBLING_ENDS / 4;
  if (s->p != own_room(s)) {
    s->p = arena_resize(s, s->p, s->cap);
    return;
  }
  s->p = arena_resize(s, NULL, s->cap);
  memcpy(s->p, own_room(s), s->len + 1);
}

/* Room for n more bytes and the NUL. */
static inline void reserve(struct str *s, size_t n) {
  if (n >= s->cap - s->len) grow(s, n);
}

void str_bytes(struct str *s, const char *bytes, size_t n) {
  reserve(s, n);
  if (n > 0) memcpy(s->p + s->len, bytes, n);
  s->len += n;
  s->p[s->len] = '\0';
}

void str_add(struct str *s, const char *text) { str_bytes(s, text, strlen(text)); }

void str_char(struct str *s, char c) {
  reserve(s, 1);
  s->p[s->len++] = c;
  s->p[s->len] = '\0';
}

void str_vprintf(struct str *s, const char *format, va_list args) {
  va_list again;
  int n;

  va_copy(again, args);
  n = format_text(s->p + s->len, s->cap - s->len, format, args);
  /* Fails only for a format that is wrong or a text beyond 2 GB: ours to mend. */
  if (n < 0) abort();
  if ((size_t)n >= s->cap - s->len) {
    reserve(s, (size_t)n);
    format_text(s->p + s->len, s->cap - s->len, format, again);
  }
  va_end(again);
  s->len += (size_t)n;
}

void str_printf(struct str *s, const char *format, ...) {
  va_list args;

  va_start(args, format);
  str_vprintf(s, format, args);
  va_end(args);
}

void str_clear(struct str *s) {
  s->len = 0;
  s->p[0] = '\0';
}

void str_json(struct str *s, const char *text) { str_json_bytes(s, text, text ? strlen(text) : 0); }

static void escape_json(struct str *s, unsigned char c) {
  static const char hex[] = "0123456789abcdef";
  char escape[6] = {'\\', json_escape[c], '0', '0', hex[c >> 4], hex[c & 15]};

  str_bytes(s, escape, escape[1] == 'u' ? 6 : 2);
}

void str_json_bytes(struct str *s, const char *text, size_t n) {
  const char *end, *run;

  if (!text) {
    str_add(s, "null");
    return;
  }
  reserve(s, n + 2);
  str_char(s, '"');
  for (run = text, end = text + n; text < end; text++) {
    if (!json_escape[(unsigned char)*text]) continue;
    str_bytes(s, run, (size_t)(text - run));
    escape_json(s, (unsigned char)*text);
    run = text + 1;
  }
  str_bytes(s, run, (size_t)(end - run));
  str_char(s, '"');
}

/* text with each quote doubled, in quotes. */
static void add_quoted(struct str *s, const char *text, char quote) {
  const char *at;

  str_char(s, quote);
  while ((at = strchr(text, quote))) {
    str_bytes(s, text, (size_t)(at - text) + 1);
    str_char(s, quote);
    text = at + 1;
  }
  str_add(s, text);
  str_char(s, quote);
}

void str_sql_literal(struct str *s, const char *text) {
  if (!text) {
    str_add(s, "NULL");
    return;
  }
  if (!strchr(text, '\\')) {
    add_quoted(s, text, '\'');
    return;
  }
  /* E'' means the same whatever standard_conforming_strings says. */
  str_add(s, "E'");
  for (; *text; text++) {
    if (*text == '\\' || *text == '\'') str_char(s, *text);
    str_char(s, *text);
  }
  str_char(s, '\'');
}

void str_sql_ident(struct str *s, const char *name) { add_quoted(s, name, '"'); }

bool str_starts(const char *text, const char *prefix) { return strncmp(text, prefix, strlen(prefix)) == 0; }

void str_sql_element(struct str *s, const char *text) {
  str_char(s, '"');
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') str_char(s, '\\');
    str_char(s, *text);
  }
  str_char(s, '"');
}
