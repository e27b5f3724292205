/* Where in a command's arguments something stands, for errors: a JSON pointer; and for what was written as GraphQL text
 * within one argument, line and column there. */
#ifndef WRIT_COMPILE_INPUT_PLACE_H
#define WRIT_COMPILE_INPUT_PLACE_H

#include "base/err.h"

#include <stddef.h>

struct input_place {
  const void *mem;
  const char *path;      /* RFC 6901, /where/name_in/0 */
  unsigned line, column; /* in a text, whose place path is; 0: not in a text */
};

/* The place below it; within a text it stays the same. */
struct input_place place_member(struct input_place at, const char *key);
struct input_place place_item(struct input_place at, size_t index);
/* BAD_ARGUMENT at the place; prisma_code 0: none. In place_reason what e->message holds ("takes a string, not a number")
 * becomes the end of a sentence that begins with the format's text. Always false. */
bool place_wrong(struct input_place at, struct err *e, int prisma_code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
bool place_reason(struct input_place at, struct err *e, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* "; did you mean x?" or "" */
const char *place_advice(const void *mem, const char *word, const char *const *names);

#endif
