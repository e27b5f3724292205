/* A string that grows, in an arena. Always NUL-terminated; may be read as p, len at any time. */
#ifndef WRIT_BASE_STR_H
#define WRIT_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct str {
  char *p;
  size_t len, cap;
};

/* cap: bytes to begin with. p is no piece of memory of its own: copy it for what is to outlive the string. */
struct str *str_new(const void *mem, size_t cap) __attribute__((returns_nonnull));
void str_bytes(struct str *s, const char *bytes, size_t n);
void str_add(struct str *s, const char *text);
void str_char(struct str *s, char c);
void str_printf(struct str *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void str_vprintf(struct str *s, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
void str_clear(struct str *s); /* len 0, memory kept */

bool str_starts(const char *text, const char *prefix);

/* A JSON string in quotes, escaped as RFC 8259 section 7 asks and no further (UTF-8 stays). NULL text: null. */
void str_json(struct str *s, const char *text);
void str_json_bytes(struct str *s, const char *text, size_t n);
/* An SQL string literal in quotes (E'' when a backslash is in it; NULL text: NULL), and an SQL identifier in quotes. */
void str_sql_literal(struct str *s, const char *text);
void str_sql_ident(struct str *s, const char *name);
/* An element of an array literal, in quotes (PostgreSQL manual, chapter 8.15.6). */
void str_sql_element(struct str *s, const char *text);

#endif
