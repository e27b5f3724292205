/* What the bytes of a text mean: UTF-8, escapes, the indentation of block strings. */
#include "graphql/inside.h"

#include <stdint.h>
#include <string.h>

bool graphql_is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

unsigned graphql_beyond(const char *text, size_t n) {
  unsigned beyond = 0;
  size_t i;

  for (i = 0; i < n; i++) beyond += ((unsigned char)text[i] & 0xc0) == 0x80;
  return beyond;
}

/* ---- UTF-8 ------------------------------------------------------------------------------------------------------------ */

/* How many of the bytes from at are ASCII: by eight, then one by one. */
static size_t ascii_run(const char *at, size_t n) {
  uint64_t eight;
  size_t i = 0;

  for (; i + sizeof eight <= n; i += sizeof eight) {
    memcpy(&eight, at + i, sizeof eight);
    if (eight & UINT64_C(0x8080808080808080)) break;
  }
  while (i < n && !((unsigned char)at[i] & 0x80)) i++;
  return i;
}

/* Bytes of the character at c, whose first byte is not ASCII; 0: it is none (RFC 3629 section 4). */
static size_t character(const unsigned char *c, size_t n) {
  unsigned char low = 0x80, high = 0xbf; /* of the second byte: no overlong form, no surrogate, nothing above 10FFFF */
  size_t i, len = c[0] < 0xc2 ? 0 : c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : c[0] < 0xf5 ? 4 : 0;

  if (len == 0 || len > n) return 0;
  if (c[0] == 0xe0) low = 0xa0;
  if (c[0] == 0xed) high = 0x9f;
  if (c[0] == 0xf0) low = 0x90;
  if (c[0] == 0xf4) high = 0x8f;
  if (c[1] < low || c[1] > high) return 0;
  for (i = 2; i < len; i++) {
    if ((c[i] & 0xc0) != 0x80) return 0;
  }
  return len;
}

bool graphql_text_valid(const char *text, size_t len, bool *wide, size_t *bad) {
  const char *nul = memchr(text, '\0', len);
  size_t end = nul ? (size_t)(nul - text) : len, i = ascii_run(text, end), n;

  *wide = i < end;
  while (i < end) {
    n = character((const unsigned char *)text + i, end - i);
    if (n == 0) break;
    i += n;
    i += ascii_run(text + i, end - i);
  }
  *bad = i;
  return i == len;
}

/* ---- escapes ---------------------------------------------------------------------------------------------------------- */

enum { LAST_CHARACTER = 0x10ffff };

static char *put(char *to, unsigned c) {
  if (c < 0x80) {
    *to++ = (char)c;
    return to;
  }
  if (c < 0x800) {
    *to++ = (char)(0xc0 | c >> 6);
  } else {
    if (c < 0x10000) {
      *to++ = (char)(0xe0 | c >> 12);
    } else {
      *to++ = (char)(0xf0 | c >> 18);
      *to++ = (char)(0x80 | (c >> 12 & 0x3f));
    }
    *to++ = (char)(0x80 | (c >> 6 & 0x3f));
  }
  *to++ = (char)(0x80 | (c & 0x3f));
  return to;
}

static int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* XXXX or {X...} at *at, which moves behind it; false: it is neither. More than 10FFFF stays more. The text goes on behind
 * end with a quote, which is no digit. */
static bool code_unit(const char **at, unsigned *c, bool *braced) {
  const char *from = *at;
  unsigned n;

  *c = 0;
  *braced = *from == '{';
  if (*braced) {
    for (from++, n = 0; hex(*from) >= 0; from++, n++) {
      if (*c <= LAST_CHARACTER) *c = *c << 4 | (unsigned)hex(*from);
    }
    if (n == 0 || *from++ != '}') return false;
  } else {
    for (n = 0; n < 4; from++, n++) {
      if (hex(*from) < 0) return false;
      *c = *c << 4 | (unsigned)hex(*from);
    }
  }
  *at = from;
  return true;
}

static bool is_surrogate(unsigned c) { return c >= 0xd800 && c <= 0xdfff; }

/* What follows \u at *at, with the second half of a pair. NULL: fine; else what is wrong. */
static const char *unicode_escape(const char **at, unsigned *c) {
  unsigned low;
  bool braced;

  if (!code_unit(at, c, &braced)) return "\\u must be followed by four hexadecimal digits, or by some in braces";
  if (*c > LAST_CHARACTER) return "\\u{} goes up to 10FFFF only";
  if (!is_surrogate(*c)) return NULL;
  if (!braced && *c < 0xdc00 && (*at)[0] == '\\' && (*at)[1] == 'u') {
    *at += 2;
    if (code_unit(at, &low, &braced) && !braced && low >= 0xdc00 && low <= 0xdfff) {
      *c = 0x10000 + ((*c - 0xd800) << 10) + (low - 0xdc00);
      return NULL;
    }
  }
  return "a surrogate without its other half is no character";
}

/* The escape behind the backslash at *at, which moves behind it. */
static const char *escape(const char **at, unsigned *c) {
  static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
  const char *found;
  char name = *(*at)++;

  if (name == 'u') return unicode_escape(at, c);
  found = memchr(names, name, sizeof names - 1);
  if (!found) return "a backslash must be followed by one of \" \\ / b f n r t u";
  *c = (unsigned char)meanings[found - names];
  return NULL;
}

/* The column of what is at: ahead of it nothing has been decoded but what stood left of it. */
static bool refuse_escape(struct parser *p, struct graphql_pos pos, unsigned column, const char *why) {
  pos.column += column;
  return graphql_refuse(p, pos, "%s", why);
}

bool graphql_decode(struct parser *p, struct graphql_pos pos, char *text, size_t *len) {
  const char *from = text, *end = text + *len, *escaped, *why;
  unsigned c, column = 1; /* to the right of the opening quote */
  char *to = text;

  while (from < end) {
    if (*from != '\\') {
      column += ((unsigned char)*from & 0xc0) != 0x80;
      *to++ = *from++;
      continue;
    }
    escaped = from++;
    why = escape(&from, &c);
    if (why) return refuse_escape(p, pos, column, why);
    column += (unsigned)(from - escaped);
    to = put(to, c);
  }
  *len = (size_t)(to - text);
  return true;
}

/* ---- block strings ---------------------------------------------------------------------------------------------------- */

/* One line of a block string: [p, p + len), of which the first indent bytes are blanks and tabs. */
struct line {
  const char *p;
  size_t len, indent;
};

/* The line at *at, which moves behind its end; NULL after the last. */
static bool take_line(const char **at, const char *end, struct line *line) {
  const char *from = *at;

  if (!from) return false;
  line->p = from;
  while (from < end && (*from == ' ' || *from == '\t')) from++;
  line->indent = (size_t)(from - line->p);
  while (from < end && *from != '\n' && *from != '\r') from++;
  line->len = (size_t)(from - line->p);
  if (from == end) {
    *at = NULL;
  } else {
    *at = from + (from[0] == '\r' && from + 1 < end && from[1] == '\n' ? 2 : 1);
  }
  return true;
}

/* The indentation that all lines but the first have in common, and which of them, from 0, are the first and the last that
 * are not blank. False: all are. */
static bool measure(const char *text, const char *end, size_t *common, size_t *first, size_t *last) {
  const char *at = text;
  struct line line;
  size_t i;
  bool any = false;

  *common = SIZE_MAX;
  for (i = 0; take_line(&at, end, &line); i++) {
    if (line.indent == line.len) continue;
    if (i > 0 && line.indent < *common) *common = line.indent;
    if (!any) *first = i;
    *last = i;
    any = true;
  }
  if (*common == SIZE_MAX) *common = 0;
  return any;
}

/* n bytes, where \""" means """. */
static char *put_block(char *to, const char *from, size_t n) {
  const char *end = from + n;

  while (from < end) {
    if (end - from >= 4 && memcmp(from, "\\\"\"\"", 4) == 0) from++;
    *to++ = *from++;
  }
  return to;
}

void graphql_decode_block(char *text, size_t *len) {
  const char *at = text, *end = text + *len;
  size_t common, first = 0, last = 0, skip, i;
  struct line line;
  char *to = text;

  if (measure(text, end, &common, &first, &last)) {
    for (i = 0; i <= last && take_line(&at, end, &line); i++) {
      if (i < first) continue;
      if (i > first) *to++ = '\n';
      skip = i == 0 ? 0 : line.len < common ? line.len : common;
      to = put_block(to, line.p + skip, line.len - skip);
    }
  }
  *len = (size_t)(to - text);
}
