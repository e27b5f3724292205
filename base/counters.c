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

bool counters_wait_begin(const struct counters_page *page, struct counters *own, unsigned most) {
  unsigned n = 0;

  __atomic_store_n(&own->waiting, 1, __ATOMIC_SEQ_CST);
  for (uint32_t i = 0; i < page->slots; i++)
    n += page->slot[i].pool == own->pool && __atomic_load_n(&page->slot[i].waiting, __ATOMIC_SEQ_CST);
  if (n <= most) return true;
  counters_wait_end(own);
  return false;
}

void counters_wait_end(struct counters *own) { __atomic_store_n(&own->waiting, 0, __ATOMIC_SEQ_CST); }

unsigned counters_bucket(int64_t us) {
  unsigned i = 0;

  while (i < COUNTERS_BUCKETS && us > (int64_t)500 << i) i++;
  return i;
}
