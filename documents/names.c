/* Things by their names. */
#include "documents/names.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

void names_add(void *mem, struct names *names, const char *name, const void *thing) {
  arena_grow(mem, names->list, names->n);
  names->list[names->n] = (struct named){name, thing, names->n, false};
  names->n++;
}

static int compare(const void *a, const void *b) {
  const struct named *x = a, *y = b;
  int order = strcmp(x->name, y->name);

  return order ? order : (x->order > y->order) - (x->order < y->order);
}

void names_sort(struct names *names) {
  if (names->n > 1) qsort(names->list, names->n, sizeof *names->list, compare);
}

struct named *names_find(const struct names *names, const char *name) {
  size_t low = 0, high = names->n; /* the first whose name is greater */

  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (strcmp(names->list[middle].name, name) <= 0) low = middle + 1;
    else high = middle;
  }
  return low && strcmp(names->list[low - 1].name, name) == 0 ? &names->list[low - 1] : NULL;
}

const void *names_thing(const struct names *names, const char *name) {
  const struct named *found = names_find(names, name);

  return found ? found->thing : NULL;
}

size_t names_run(const struct names *names, size_t i) {
  size_t n = 1;

  while (i + n < names->n && strcmp(names->list[i].name, names->list[i + n].name) == 0) n++;
  return n;
}
