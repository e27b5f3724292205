/* Values of models' fields. What PostgreSQL would read in more ways than one (dates, 'infinity', ' 1 ') is narrowed to one
 * here. */
#include "compile/input.h"

#include "base/arena.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

static const char *const wants[] = {
    [SCALAR_ID] = "a string or a whole number",
    [SCALAR_STRING] = "a string",
    [SCALAR_INT] = "a whole number of 32 bits",
    [SCALAR_BIGINT] = "a whole number of 64 bits",
    [SCALAR_FLOAT] = "a number",
    [SCALAR_DECIMAL] = "a number, or a string with one",
    [SCALAR_BOOLEAN] = "true or false",
    [SCALAR_DATETIME] = "a string with an ISO 8601 time, as in \"2016-07-31T23:59:01.000Z\"",
    [SCALAR_JSON] = "JSON",
    [SCALAR_UUID] = "a string with a UUID",
};

static const char *wanted(const void *mem, enum scalar scalar, const struct enumeration *enumeration) {
  struct str *s;

  if (scalar != SCALAR_ENUM) return wants[scalar];
  s = str_new(mem, 128);
  str_add(s, "one of ");
  for (size_t i = 0; i < enumeration->nvalues; i++) str_printf(s, "%s%s", i ? ", " : "", enumeration->values[i].name);
  return s->p;
}

bool input_refuse(enum scalar scalar, const struct enumeration *enumeration, enum json_kind kind, struct err *e) {
  return err_set(e, BAD_ARGUMENT, "takes %s, not %s", wanted(e->mem, scalar, enumeration), json_kind_name(kind));
}

static bool bad_text(enum scalar scalar, const struct enumeration *enumeration, const char *text, struct err *e) {
  return err_set(e, BAD_ARGUMENT, "takes %s, not \"%.60s\"", wanted(e->mem, scalar, enumeration), text);
}

/* ---- numbers ---- */

static bool is_whole(const char *text) {
  text += *text == '-';
  return *text && strspn(text, "0123456789") == strlen(text);
}

/* Digits without sign and leading zeros against the largest magnitude, digit by digit. */
static bool fits(const char *text, const char *positive_limit, const char *negative_limit) {
  const char *limit = *text == '-' ? negative_limit : positive_limit;
  size_t len;

  text += *text == '-';
  while (*text == '0' && text[1]) text++;
  len = strlen(text);
  return len < strlen(limit) || (len == strlen(limit) && strcmp(text, limit) <= 0);
}

static bool whole_number(const char *text, enum scalar scalar, struct err *e) {
  bool ok = is_whole(text) && (scalar == SCALAR_INT ? fits(text, "2147483647", "2147483648")
                                                    : fits(text, "9223372036854775807", "9223372036854775808"));
  return ok || bad_text(scalar, NULL, text, e);
}

/* As JSON writes numbers: no NaN, no blanks, no 0x1. */
static bool is_number(const char *text) {
  size_t n;

  text += *text == '-';
  n = strspn(text, "0123456789");
  if (!n || n > 1000) return false;
  text += n;
  if (*text == '.') {
    n = strspn(++text, "0123456789");
    if (!n) return false;
    text += n;
  }
  if (*text == 'e' || *text == 'E') {
    text++;
    text += *text == '+' || *text == '-';
    n = strspn(text, "0123456789");
    if (!n) return false;
    text += n;
  }
  return !*text;
}

/* ---- times ---- */

struct scan {
  const char *p;
  bool ok;
};

static int digits(struct scan *s, unsigned n, int least, int most) {
  int value = 0;

  for (unsigned i = 0; i < n; i++, s->p++) {
    if (*s->p < '0' || *s->p > '9') {
      s->ok = false;
      return least;
    }
    value = value * 10 + (*s->p - '0');
  }
  s->ok &= value >= least && value <= most;
  return value;
}

static bool skip(struct scan *s, char c) {
  if (!s->ok || *s->p != c) return false;
  s->p++;
  return true;
}

static int days_of(int year, int month) {
  static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

  return month == 2 && leap ? 29 : days[month - 1];
}

struct moment {
  int year, month, day, hour, minute, second;
  const char *fraction; /* nfraction digits */
  int nfraction;
};

/* By how many minutes the zone is ahead of UTC. */
static int zone(struct scan *s) {
  int sign = *s->p == '-' ? -1 : 1, hours, minutes = 0;

  if (skip(s, 'Z') || skip(s, 'z') || !*s->p) return 0;
  if (!skip(s, '+') && !skip(s, '-')) {
    s->ok = false;
    return 0;
  }
  hours = digits(s, 2, 0, 14);
  if (skip(s, ':') || *s->p) minutes = digits(s, 2, 0, 59);
  return sign * (60 * hours + minutes);
}

static void previous_day(struct moment *m) {
  if (--m->day) return;
  if (!--m->month) {
    m->month = 12;
    m->year--;
  }
  m->day = days_of(m->year, m->month);
}

static void next_day(struct moment *m) {
  if (++m->day <= days_of(m->year, m->month)) return;
  m->day = 1;
  if (++m->month <= 12) return;
  m->month = 1;
  m->year++;
}

/* Where the column is a timestamp without a zone, or a date, PostgreSQL would pass over the zone. */
static void to_utc(struct moment *m, int ahead) {
  enum { DAY = 24 * 60 };
  int minutes = 60 * m->hour + m->minute - ahead;

  if (minutes < 0) previous_day(m);
  if (minutes >= DAY) next_day(m);
  minutes = (minutes + DAY) % DAY;
  m->hour = minutes / 60;
  m->minute = minutes % 60;
}

static void time_of_day(struct scan *s, struct moment *m) {
  m->hour = digits(s, 2, 0, 23);
  if (skip(s, ':')) m->minute = digits(s, 2, 0, 59);
  if (skip(s, ':')) m->second = digits(s, 2, 0, 59);
  if (skip(s, '.')) {
    size_t n = strspn(s->p, "0123456789");
    s->ok &= n > 0;
    m->fraction = s->p;
    m->nfraction = n > 6 ? 6 : (int)n;
    s->p += n;
  }
}

/* May be cut short behind the year, the month, the day, the hour or the minute; without a zone it is UTC. Written out in
 * full: PostgreSQL alone would take 2016 for 20:16 o'clock, and words like yesterday. */
static bool date_time(void *mem, const char *text, const char **out, struct err *e) {
  struct scan s = {.p = text, .ok = true};
  struct moment m = {.year = digits(&s, 4, 1, 9999), .month = 1, .day = 1, .fraction = ""};

  if (skip(&s, '-')) m.month = digits(&s, 2, 1, 12);
  if (s.ok && skip(&s, '-')) m.day = digits(&s, 2, 1, days_of(m.year, m.month));
  if (skip(&s, 'T') || skip(&s, 't') || skip(&s, ' ')) time_of_day(&s, &m);
  if (s.ok) to_utc(&m, zone(&s));
  *out = arena_printf(mem, "%04d-%02d-%02d %02d:%02d:%02d%s%.*s+00", m.year, m.month, m.day, m.hour, m.minute, m.second,
                      m.nfraction ? "." : "", m.nfraction, m.fraction);
  return (s.ok && !*s.p && m.year > 0 && m.year < 10000) || bad_text(SCALAR_DATETIME, NULL, text, e);
}

/* ---- the rest ---- */

static bool is_uuid(const char *text) {
  for (unsigned i = 0; i < 36; i++) {
    bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !text[i] || !strchr("0123456789abcdefABCDEF", text[i])) return false;
  }
  return !text[36];
}

static bool of_string(void *mem, const char *text, enum scalar scalar, const struct enumeration *enumeration,
                      const char **out, struct err *e) {
  const struct enum_value *value;

  *out = text;
  switch (scalar) {
  case SCALAR_ID:
  case SCALAR_STRING: return true;
  case SCALAR_BIGINT: return whole_number(text, scalar, e);
  case SCALAR_DECIMAL: return is_number(text) || bad_text(scalar, NULL, text, e);
  case SCALAR_DATETIME: return date_time(mem, text, out, e);
  case SCALAR_UUID: return is_uuid(text) || bad_text(scalar, NULL, text, e);
  case SCALAR_ENUM:
    value = enum_value(enumeration, text);
    *out = value ? value->label : NULL;
    return value || bad_text(scalar, enumeration, text, e);
  default: return input_refuse(scalar, enumeration, JSON_STRING, e);
  }
}

/* 1.0 and 1e2 are whole numbers only where a human counts so: here digits alone are. */
static bool of_number(const char *text, enum scalar scalar, const char **out, struct err *e) {
  *out = text;
  switch (scalar) {
  case SCALAR_ID: return is_whole(text) || bad_text(scalar, NULL, text, e);
  case SCALAR_INT:
  case SCALAR_BIGINT: return whole_number(text, scalar, e);
  case SCALAR_FLOAT:
  case SCALAR_DECIMAL: return true;
  default: return input_refuse(scalar, NULL, JSON_NUMBER, e);
  }
}

static bool of_json(void *mem, const struct json *value, const char **out) {
  struct str *s = str_new(mem, 128);

  json_write(s, value);
  *out = s->p;
  return true;
}

bool input_text(void *mem, const struct json *value, enum scalar scalar, const struct enumeration *enumeration,
                const char **text, struct err *e) {
  if (scalar == SCALAR_JSON) return of_json(mem, value, text);
  if (value->kind == JSON_STRING) return of_string(mem, value->text, scalar, enumeration, text, e);
  if (value->kind == JSON_NUMBER && scalar != SCALAR_ENUM) return of_number(value->text, scalar, text, e);
  if (scalar == SCALAR_BOOLEAN && (value->kind == JSON_TRUE || value->kind == JSON_FALSE)) {
    *text = value->kind == JSON_TRUE ? "true" : "false";
    return true;
  }
  return input_refuse(scalar, enumeration, value->kind, e);
}
