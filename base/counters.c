/* The page of counters that all processes of one writd share. */
#include "base/counters.h"

#include <stddef.h>
#include <sys/mman.h>

struct counters_page *counters_create(unsigned slots) {
  size_t size = sizeof(struct counters_page) + slots * sizeof(struct counters);
  struct counters_page *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

  if (page == MAP_FAILED) return NULL;
  page->slots = slots;
  return page;
}

unsigned counters_bucket(int64_t us) {
  unsigned i = 0;

  while (i < COUNTERS_BUCKETS && us > (int64_t)500 << i) i++;
  return i;
}
