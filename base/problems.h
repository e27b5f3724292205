/* What is wrong with a file that a person wrote: all of it, each with its place, so that one look mends all. */
#ifndef WRIT_BASE_PROBLEMS_H
#define WRIT_BASE_PROBLEMS_H

#include <stdbool.h>
#include <stddef.h>

struct problem {
  const char *file;
  int line;         /* from 1; 0: the whole file */
  bool warning;     /* tell, but go on */
  const char *text; /* what is wrong and the way out */
};

struct problems {
  const void *mem;
  struct problem *items;
  size_t n;
  size_t errors; /* those that are no warnings */
};

void problems_init(struct problems *p, const void *mem);
void problems_add(struct problems *p, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void problems_warn(struct problems *p, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* "file:line: error: text" lines, in order of file and line, to stderr. */
void problems_print(const struct problems *p);

#endif
