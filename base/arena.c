/* Memory from talloc that is never NULL: running out of it ends the process. */
#include "base/arena.h"

#include "base/format.h"
#include "base/log.h"

#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* A request of three commands with its answer takes about 20 kB; more than this simply goes to malloc. Below malloc's
 * mmap threshold (128 kB), so that no system call is made and no page is zeroed for each request. */
enum { REQUEST_POOL_BYTES = 64 * 1024 };

enum { FIRST_ELEMENTS = 8 };
enum { SHORT_TEXT = 256 };

static _Noreturn void out_of_memory(size_t size) {
  log_line(LOG_ERROR, "out_of_memory", "bytes=%zu", size);
  abort();
}

static void talloc_failed(const char *reason) {
  log_line(LOG_ERROR, "talloc_failed", "reason=\"%s\"", reason);
  abort();
}

void arena_init(void) { talloc_set_abort_fn(talloc_failed); }

void *arena_request(const void *parent) {
  void *pool = talloc_pool(parent, REQUEST_POOL_BYTES);

  if (!pool) out_of_memory(REQUEST_POOL_BYTES);
  talloc_set_name_const(pool, "request");
  return pool;
}

void *arena_zero(const void *mem, size_t size, const char *name) {
  void *p = _talloc_zero(mem, size, name);

  if (!p) out_of_memory(size);
  return p;
}

void *arena_zeros(const void *mem, size_t size, size_t n, const char *name) {
  /* talloc counts elements in an unsigned. */
  void *p = n <= UINT_MAX ? _talloc_zero_array(mem, size, (unsigned)n, name) : NULL;

  if (!p) out_of_memory(size);
  return p;
}

char *arena_strdup(const void *mem, const char *s) { return s ? arena_strndup(mem, s, strlen(s)) : NULL; }

char *arena_strndup(const void *mem, const char *s, size_t n) {
  char *copy = talloc_named_const(mem, n + 1, "char");

  if (!copy) out_of_memory(n);
  if (n > 0) memcpy(copy, s, n);
  copy[n] = '\0';
  return copy;
}

/* talloc's own formats twice, to know the length first. */
char *arena_printf(const void *mem, const char *format, ...) {
  char buffer[SHORT_TEXT], *text;
  va_list args;
  int n;

  va_start(args, format);
  n = format_text(buffer, sizeof buffer, format, args);
  va_end(args);
  if (n >= 0 && n < SHORT_TEXT) return arena_strndup(mem, buffer, (size_t)n);
  va_start(args, format);
  text = talloc_vasprintf(mem, format, args);
  va_end(args);
  if (!text) out_of_memory(strlen(format));
  return text;
}

void *arena_resize(const void *mem, void *p, size_t size) {
  p = talloc_realloc_size(mem, p, size > 0 ? size : 1); /* size 0 would free p */
  if (!p) out_of_memory(size);
  return p;
}

void *arena_grown(const void *mem, void *p, size_t n, size_t size) {
  size_t room = p ? talloc_get_size(p) : 0;
  size_t wanted;

  if ((n + 1) * size <= room) return p;
  wanted = n < FIRST_ELEMENTS ? FIRST_ELEMENTS * size : 2 * n * size;
  p = arena_resize(mem, p, wanted);
  memset((char *)p + room, 0, wanted - room);
  return p;
}
