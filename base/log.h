/* One line an event to stderr: "2026-11-20T12:00:00.000Z info EVENT who=border pid=123 key=value ...". When stderr is
 * journald's (JOURNAL_STREAM), which keeps the time, the line begins with sd-daemon(3)'s "<6>EVENT" instead. Never a
 * body, an argument or a secret. A line is one write(2) of at most 4096 bytes, cut with " [cut]"; control characters
 * become "?". */
#ifndef WRIT_BASE_LOG_H
#define WRIT_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_ERROR = 3, LOG_WARN = 4, LOG_INFO = 6, LOG_DEBUG = 7 }; /* numbers of syslog(3) */

void log_init(const char *who);           /* "supervisor", "border", "inside": added to each line with the pid */
void log_set_level(enum log_level level); /* below it nothing is written; default LOG_INFO */
bool log_on(enum log_level level);
/* event: one word; then key=value pairs made by the format, values quoted by log_quoted where they may hold blanks. */
void log_line(enum log_level level, const char *event, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* value in quotes with ", \ and control characters escaped as in JSON, in mem; NULL: null. */
char *log_quoted(const void *mem, const char *value);

#endif
