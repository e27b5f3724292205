/* Texts made of a format. */
#ifndef WRIT_BASE_FORMAT_H
#define WRIT_BASE_FORMAT_H

#include <stdarg.h>
#include <stddef.h>

/* As vsnprintf: up to size bytes with the NUL; gives the length that the whole text has, or a negative number. %s, %d, %u, %zu and
 * %% cost a fifth of what vsnprintf takes for them, and are nearly all that the making of SQL asks for. */
int format_text(char *to, size_t size, const char *format, va_list args) __attribute__((format(printf, 3, 0)));

#endif
