/* The conversions that are used most; all others, and what stands behind the first of them, are vsnprintf's. */
#include "base/format.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct output {
  char *to;
  size_t size, len; /* len: of the whole text, which may be more than size */
};

static void put(struct output *o, const char *bytes, size_t n) {
  size_t room = o->len < o->size ? o->size - o->len : 0;

  if (room) memcpy(o->to + o->len, bytes, n < room ? n : room);
  o->len += n;
}

static void put_number(struct output *o, size_t value, bool negative) {
  char digits[24];
  size_t n = sizeof digits;

  do digits[--n] = (char)('0' + value % 10);
  while (value /= 10);
  if (negative) digits[--n] = '-';
  put(o, digits + n, sizeof digits - n);
}

static void put_text(struct output *o, const char *text) { put(o, text ? text : "(null)", text ? strlen(text) : 6); }

/* The NUL, which a text that is cut short has too. */
static int end(const struct output *o) {
  if (o->size) o->to[o->len < o->size ? o->len : o->size - 1] = '\0';
  return o->len <= INT_MAX ? (int)o->len : -1;
}

static int end_with(struct output *o, const char *format, va_list args) {
  size_t room = o->len < o->size ? o->size - o->len : 0;
  int n = vsnprintf(room ? o->to + o->len : NULL, room, format, args);

  if (n < 0) return -1;
  o->len += (size_t)n;
  return end(o);
}

int format_text(char *to, size_t size, const char *format, va_list args) {
  struct output o = {.to = to, .size = size};
  int number;

  for (;;) {
    const char *at = strchrnul(format, '%');

    put(&o, format, (size_t)(at - format));
    if (!*at) return end(&o);
    switch (at[1]) {
    case 's': put_text(&o, va_arg(args, const char *)); break;
    case 'u': put_number(&o, va_arg(args, unsigned), false); break;
    case 'd':
      number = va_arg(args, int);
      put_number(&o, number < 0 ? 0u - (unsigned)number : (unsigned)number, number < 0);
      break;
    case 'z':
      if (at[2] != 'u') return end_with(&o, at, args);
      put_number(&o, va_arg(args, size_t), false);
      at++;
      break;
    case '%': put(&o, "%", 1); break;
    default: return end_with(&o, at, args);
    }
    format = at + 2;
  }
}
