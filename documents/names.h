/* Things by their names: gathered, sorted once, then looked up by halving. Not a hash table, as clients choose the names and
 * could choose them to collide. */
#ifndef WRIT_DOCUMENTS_NAMES_H
#define WRIT_DOCUMENTS_NAMES_H

#include <stdbool.h>
#include <stddef.h>

struct named {
  const char *name;
  const void *thing;
  size_t order; /* from 0, in which they were gathered */
  bool used;    /* for whoever needs a mark */
};

/* All zero: empty. */
struct names {
  struct named *list;
  size_t n;
};

void names_add(void *mem, struct names *names, const char *name, const void *thing);
void names_sort(struct names *names); /* by name, and by order among the same name */
/* When sorted: of several of that name the last. NULL: none. */
struct named *names_find(const struct names *names, const char *name);
const void *names_thing(const struct names *names, const char *name);
/* When sorted: how many have the same name as the one at i, and stand behind it or are it. */
size_t names_run(const struct names *names, size_t i);

#endif
