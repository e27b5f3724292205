/* Places in arguments. */
#include "compile/input_place.h"

#include "base/arena.h"
#include "base/nearest.h"
#include "base/str.h"

#include <stdarg.h>
#include <string.h>

static const char *pointer(const void *mem, const char *path, const char *key) {
  struct str *s = str_new(mem, strlen(path) + strlen(key) + 8);

  str_printf(s, "%s/", path);
  for (; *key; key++) {
    if (*key == '~') str_add(s, "~0");
    else if (*key == '/') str_add(s, "~1");
    else str_char(s, *key);
  }
  return s->p;
}

struct input_place place_member(struct input_place at, const char *key) {
  if (!at.line) at.path = pointer(at.mem, at.path, key);
  return at;
}

struct input_place place_item(struct input_place at, size_t index) {
  if (!at.line) at.path = arena_printf(at.mem, "%s/%zu", at.path, index);
  return at;
}

/* e is set but for its place, which its message begins with in a text. */
static bool put_place(struct input_place at, struct err *e, const char *message, int prisma_code) {
  if (at.line) err_set(e, BAD_ARGUMENT, "Line %u, column %u: %s", at.line, at.column, message);
  else err_set(e, BAD_ARGUMENT, "%s", message);
  e->path = at.path;
  e->input_line = at.line;
  e->input_column = at.column;
  e->prisma_code = prisma_code;
  return false;
}

bool place_wrong(struct input_place at, struct err *e, int prisma_code, const char *format, ...) {
  va_list args;
  const char *message;

  va_start(args, format);
  message = talloc_vasprintf(at.mem, format, args);
  va_end(args);
  return put_place(at, e, message, prisma_code);
}

bool place_reason(struct input_place at, struct err *e, const char *format, ...) {
  va_list args;
  const char *what;

  if (e->code != ERR_BAD_ARGUMENT) return false;
  va_start(args, format);
  what = talloc_vasprintf(at.mem, format, args);
  va_end(args);
  return put_place(at, e, arena_printf(at.mem, "%s %s.", what, e->message), e->prisma_code);
}

const char *place_advice(const void *mem, const char *word, const char *const *names) {
  const char *near = nearest(word, names);
  return near ? arena_printf(mem, "; did you mean %s?", near) : ".";
}
