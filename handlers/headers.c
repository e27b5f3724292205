/* Header fields: Accept, Content-Type, Prefer, X-Request-Id, traceparent. */
#include "handlers/headers.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

/* Bytes of the header value that are meant; not NUL-terminated. */
struct span {
  const char *p;
  size_t len;
};

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static struct span trim(struct span s) {
  while (s.len > 0 && is_blank(s.p[0])) s.p++, s.len--;
  while (s.len > 0 && is_blank(s.p[s.len - 1])) s.len--;
  return s;
}

static bool span_is(struct span s, const char *word) { return s.len == strlen(word) && strncasecmp(s.p, word, s.len) == 0; }

/* Cuts the next piece off *rest, up to a separator outside of quotes. False: nothing is left. */
static bool next_piece(struct span *rest, char separator, struct span *piece) {
  bool quoted = false;
  size_t i;

  if (!rest->p) return false;
  for (i = 0; i < rest->len; i++) {
    char c = rest->p[i];
    if (c == '"') quoted = !quoted;
    else if (quoted && c == '\\') i++;
    else if (!quoted && c == separator) break;
  }
  if (i > rest->len) i = rest->len; /* a backslash was last */
  *piece = trim((struct span){rest->p, i});
  *rest = i < rest->len ? (struct span){rest->p + i + 1, rest->len - i - 1} : (struct span){NULL, 0};
  return true;
}

/* "name = value" with blanks around; without "=" the value is empty. A quoted value is given without its quotes;
 * escapes inside stay, as no value that means anything here has one. */
static void split_pair(struct span pair, struct span *name, struct span *value) {
  const char *equals = memchr(pair.p, '=', pair.len);

  if (!equals) {
    *name = pair;
    *value = (struct span){pair.p + pair.len, 0};
    return;
  }
  *name = trim((struct span){pair.p, (size_t)(equals - pair.p)});
  *value = trim((struct span){equals + 1, pair.len - (size_t)(equals - pair.p) - 1});
  if (value->len >= 2 && value->p[0] == '"' && value->p[value->len - 1] == '"') {
    value->p++;
    value->len -= 2;
  }
}

/* q=0, q=0.0, q=0.00, q=0.000 (RFC 9110 section 12.4.2). */
static bool is_zero(struct span q) {
  if (q.len == 0 || q.p[0] != '0') return false;
  for (size_t i = 1; i < q.len; i++)
    if (q.p[i] != '.' && q.p[i] != '0') return false;
  return true;
}

/* ranges: the later, the more specific. */
static bool accepts(const char *accept, const char *const ranges[3]) {
  struct span rest, element, part, name, value;
  int best = -1;
  bool acceptable = false, any = false;

  if (!accept) return true;
  rest = (struct span){accept, strlen(accept)};
  while (next_piece(&rest, ',', &element)) {
    bool zero = false;
    int rank;

    if (!next_piece(&element, ';', &part) || !memchr(part.p, '/', part.len)) continue;
    any = true;
    for (rank = 2; rank >= 0 && !span_is(part, ranges[rank]); rank--) continue;
    if (rank < 0) continue;
    while (next_piece(&element, ';', &part)) {
      split_pair(part, &name, &value);
      if (span_is(name, "q")) zero = is_zero(value);
    }
    if (rank > best) acceptable = !zero;
    else if (rank == best) acceptable = acceptable || !zero;
    else continue;
    best = rank;
  }
  return acceptable || !any;
}

bool headers_accept_json(const char *accept) {
  static const char *const ranges[] = {"*/*", "application/*", "application/json"};
  return accepts(accept, ranges);
}

bool headers_accept_events(const char *accept) {
  static const char *const ranges[] = {"*/*", "text/*", "text/event-stream"};
  return accepts(accept, ranges);
}

/* A weight in thousandths: 0.85 is 850. What cannot be read is 1. */
static int weight_of(struct span q) {
  int weight = 0, part = 100;

  if (q.len == 0 || q.p[0] != '0') return 1000;
  for (size_t i = 2; i < q.len && part > 0 && isdigit((unsigned char)q.p[i]); i++, part /= 10)
    weight += (q.p[i] - '0') * part;
  return weight;
}

/* What a header says of one media type: the most specific range that takes it counts. */
struct wish {
  const char *type;
  int rank, weight; /* rank 0: nothing; 1 for any type, 3 for this very one */
  size_t place;     /* of the range in the header */
};

static void consider(struct wish *wish, struct span range, int weight, size_t place) {
  const char *const ranges[] = {"*/*", "application/*", wish->type};

  for (int i = 2; i >= 0; i--) {
    if (!span_is(range, ranges[i])) continue;
    if (i + 1 > wish->rank) *wish = (struct wish){wish->type, i + 1, weight, place};
    return;
  }
}

enum media headers_accept_graphql(const char *accept) {
  struct wish json = {.type = "application/json"}, graphql = {.type = "application/graphql-response+json"};
  struct span rest = {accept, accept ? strlen(accept) : 0}, element, part, name, value;
  bool any = false;

  for (size_t place = 0; next_piece(&rest, ',', &element); place++) {
    struct span range;
    int weight = 1000;

    if (!next_piece(&element, ';', &range) || !memchr(range.p, '/', range.len)) continue;
    any = true;
    while (next_piece(&element, ';', &part)) {
      split_pair(part, &name, &value);
      if (span_is(name, "q")) weight = weight_of(value);
    }
    consider(&json, range, weight, place);
    consider(&graphql, range, weight, place);
  }
  if (!any) return MEDIA_JSON;
  if (!json.weight && !graphql.weight) return MEDIA_NONE;
  if (json.weight != graphql.weight) return json.weight > graphql.weight ? MEDIA_JSON : MEDIA_GRAPHQL;
  return graphql.place < json.place ? MEDIA_GRAPHQL : MEDIA_JSON;
}

bool headers_is_json(const char *content_type) {
  struct span rest, part, name, value;

  if (!content_type) return false;
  rest = (struct span){content_type, strlen(content_type)};
  if (!next_piece(&rest, ';', &part) || !span_is(part, "application/json")) return false;
  while (next_piece(&rest, ';', &part)) {
    split_pair(part, &name, &value);
    if (span_is(name, "charset") && !span_is(value, "utf-8") && !span_is(value, "utf8")) return false;
  }
  return true;
}

bool headers_prefer(const char *prefer, const char *name, const char *value) {
  struct span rest, element, part, key, given;

  if (!prefer) return false;
  rest = (struct span){prefer, strlen(prefer)};
  while (next_piece(&rest, ',', &element)) {
    if (!next_piece(&element, ';', &part)) continue; /* parameters of a preference mean nothing here */
    split_pair(part, &key, &given);
    if (span_is(key, name)) return span_is(given, value);
  }
  return false;
}

bool headers_tag_matches(const char *if_none_match, const char *tag) {
  struct span rest, element;

  if (!if_none_match) return false;
  rest = (struct span){if_none_match, strlen(if_none_match)};
  while (next_piece(&rest, ',', &element)) {
    if (element.len >= 2 && memcmp(element.p, "W/", 2) == 0) element.p += 2, element.len -= 2;
    if ((element.len == 1 && *element.p == '*') || (element.len == strlen(tag) && memcmp(element.p, tag, element.len) == 0))
      return true;
  }
  return false;
}

bool headers_request_id(const char *id) {
  size_t n = 0;

  if (!id) return false;
  for (; id[n]; n++)
    if (id[n] <= ' ' || id[n] >= 0x7f || strchr("\"'\\`", id[n])) return false;
  return n >= 1 && n <= 128;
}

static bool hex_digits(const char *p, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!p[i] || !strchr("0123456789abcdef", p[i])) return false;
  return true;
}

/* version "-" trace-id "-" parent-id "-" flags, in lower-case hex; a version above 00 may have more behind it. */
bool headers_trace_id(const char *traceparent, char id[33]) {
  const char *t = traceparent;

  if (!t || strlen(t) < 55 || !hex_digits(t, 2) || t[2] != '-' || !hex_digits(t + 3, 32) || t[35] != '-' ||
      !hex_digits(t + 36, 16) || t[52] != '-' || !hex_digits(t + 53, 2))
    return false;
  if (memcmp(t, "ff", 2) == 0 || (memcmp(t, "00", 2) == 0 ? t[55] != '\0' : t[55] != '\0' && t[55] != '-')) return false;
  if (strspn(t + 3, "0") >= 32 || strspn(t + 36, "0") >= 16) return false;
  memcpy(id, t + 3, 32);
  id[32] = '\0';
  return true;
}

/* Length of the UTF-8 character at p (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF); 0: it is none. */
static size_t utf8_length(const unsigned char *p) {
  unsigned char low = 0x80, high = 0xbf;
  size_t n;

  if (p[0] < 0x80) return 1;
  if (p[0] < 0xc2 || p[0] > 0xf4) return 0;
  n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
  if (p[0] == 0xe0) low = 0xa0;
  if (p[0] == 0xed) high = 0x9f;
  if (p[0] == 0xf0) low = 0x90;
  if (p[0] == 0xf4) high = 0x8f;
  if (p[1] < low || p[1] > high) return 0;
  for (size_t i = 2; i < n; i++)
    if (p[i] < 0x80 || p[i] > 0xbf) return 0;
  return n;
}

bool headers_is_utf8(const char *text) {
  const unsigned char *p = (const unsigned char *)text;
  size_t n = 1;

  for (; n && *p; p += n) n = utf8_length(p);
  return n > 0;
}

bool headers_is_text(const char *text) {
  const unsigned char *p = (const unsigned char *)text;
  size_t n;

  for (; *p; p += n) {
    if (*p < ' ' || *p == 0x7f) return false;
    /* C1 controls are characters of two bytes, c2 80 to c2 9f. */
    if (*p == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f) return false;
    n = utf8_length(p);
    if (n == 0) return false;
  }
  return true;
}
