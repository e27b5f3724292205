/* The log: one line an event on stderr. Allocates nothing, so that it can also tell of being out of memory. */
#include "base/log.h"

#include "base/arena.h"
#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* With its newline; writes up to PIPE_BUF (4096 on Linux) to a pipe are never mixed with those of other processes. */
enum { LINE_BYTES = 4096 };
static const char cut_mark[] = " [cut]\n";

/* One log a process: the only state in base/ besides clock.c's. */
static struct {
  const char *who;
  enum log_level level;
  bool journal; /* stderr goes to journald, which keeps the time */
} logger = {.who = "writ", .level = LOG_INFO};

/* JOURNAL_STREAM is inherited by children whose stderr is something else: device and inode tell (systemd.exec(5)). */
static bool stderr_is_journal(void) {
  const char *stream = getenv("JOURNAL_STREAM");
  unsigned long long device, inode;
  struct stat st;

  return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
         st.st_dev == device && st.st_ino == inode;
}

void log_init(const char *who) {
  logger.who = who;
  logger.journal = stderr_is_journal();
}

void log_set_level(enum log_level level) { logger.level = level; }

bool log_on(enum log_level level) { return level <= logger.level; }

static const char *level_name(enum log_level level) {
  switch (level) {
  case LOG_ERROR: return "error";
  case LOG_WARN: return "warn";
  case LOG_INFO: return "info";
  case LOG_DEBUG: return "debug";
  }
  return "info";
}

/* "<6>" or "2026-11-20T12:00:00.000Z info ". Returns its length. */
static size_t prefix(char *line, size_t size, enum log_level level) {
  struct timespec now;
  struct tm tm;
  size_t n;

  if (logger.journal) return (size_t)snprintf(line, size, "<%d>", (int)level);
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &tm);
  n = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &tm);
  return n + (size_t)snprintf(line + n, size - n, ".%03ldZ %s ", now.tv_nsec / 1000000, level_name(level));
}

/* Ends the line, which wanted to be len bytes long; returns its true length. */
static size_t finish(char *line, size_t len) {
  size_t i, room = LINE_BYTES - sizeof cut_mark; /* sizeof counts the NUL: vsnprintf has written one too */

  if (len > LINE_BYTES - 2) {
    while (room > 0 && ((unsigned char)line[room] & 0xc0) == 0x80) room--; /* whole UTF-8 characters only */
    memcpy(line + room, cut_mark, sizeof cut_mark - 1);
    len = room + sizeof cut_mark - 1;
  } else {
    line[len++] = '\n';
  }
  /* Whatever a caller forgot to quote: an event stays one line, and a terminal is not played with. */
  for (i = 0; i + 1 < len; i++) {
    if ((unsigned char)line[i] < ' ' || line[i] == 0x7f) line[i] = '?';
  }
  return len;
}

void log_line(enum log_level level, const char *event, const char *format, ...) {
  char line[LINE_BYTES];
  size_t len;
  ssize_t written;
  int saved = errno;
  va_list args;

  if (!log_on(level)) return;
  len = prefix(line, sizeof line, level);
  len += (size_t)snprintf(line + len, sizeof line - len, "%.100s who=%.40s pid=%ld%s", event, logger.who, (long)getpid(),
                          format[0] ? " " : "");
  va_start(args, format);
  written = vsnprintf(line + len, sizeof line - len, format, args);
  va_end(args);
  if (written > 0) len += (size_t)written;
  len = finish(line, len);
  /* A log that cannot be written (a full disk, a reader gone) is no reason to fail a request. */
  do written = write(STDERR_FILENO, line, len);
  while (written < 0 && errno == EINTR);
  errno = saved;
}

char *log_quoted(const void *mem, const char *value) {
  struct str *s = str_new(mem, value ? strlen(value) + 3 : 5);

  str_json(s, value);
  return s->p;
}
