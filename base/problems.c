/* A list of what is wrong with files, told in the order of the files. */
#include "base/problems.h"

#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void problems_init(struct problems *p, const void *mem) { *p = (struct problems){.mem = mem}; }

static void add(struct problems *p, const char *file, int line, bool warning, const char *format, va_list args) {
  struct problem *problem;
  char *text = talloc_vasprintf(p->mem, format, args);

  if (!text) abort();
  arena_grow(p->mem, p->items, p->n);
  problem = &p->items[p->n++];
  *problem = (struct problem){.file = arena_strdup(p->mem, file), .line = line, .warning = warning, .text = text};
  if (!warning) p->errors++;
}

void problems_add(struct problems *p, const char *file, int line, const char *format, ...) {
  va_list args;

  va_start(args, format);
  add(p, file, line, false, format, args);
  va_end(args);
}

void problems_warn(struct problems *p, const char *file, int line, const char *format, ...) {
  va_list args;

  va_start(args, format);
  add(p, file, line, true, format, args);
  va_end(args);
}

/* By file, line, and then as found: items are neighbours in one array, so their addresses tell. */
static int compare(const void *one, const void *other) {
  const struct problem *a = *(const struct problem *const *)one, *b = *(const struct problem *const *)other;
  int order = strcmp(a->file ? a->file : "", b->file ? b->file : "");

  if (order == 0) order = (a->line > b->line) - (a->line < b->line);
  return order ? order : (a > b) - (a < b);
}

void problems_print(const struct problems *p) {
  const struct problem **sorted = arena_array(p->mem, const struct problem *, p->n);
  size_t i;

  for (i = 0; i < p->n; i++) sorted[i] = &p->items[i];
  qsort(sorted, p->n, sizeof *sorted, compare);
  for (i = 0; i < p->n; i++) {
    if (sorted[i]->file) fprintf(stderr, "%s:", sorted[i]->file);
    if (sorted[i]->line > 0) fprintf(stderr, "%d:", sorted[i]->line);
    fprintf(stderr, "%s%s: %s\n", sorted[i]->file || sorted[i]->line > 0 ? " " : "",
            sorted[i]->warning ? "warning" : "error", sorted[i]->text);
  }
  talloc_free(sorted);
}
