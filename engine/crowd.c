/* Places in handlers. Each worker has a flag of its own, which it sets before it counts those of all: two that come at once
 * see each other, so there are never too many. Both might then step back though there is room for one: they try again,
 * after pauses of different length. A shared number would not do: a worker killed between taking a place and noting it
 * would keep it for ever. */
#include "engine/crowd.h"

#include "base/counters.h"

#include <stdlib.h>
#include <time.h>

enum { TRIES = 8, PAUSE_US = 500 };

static int taken(struct counters_page *page) {
  int n = 0;

  for (uint32_t i = 0; i < page->slots; i++)
    n += page->slot[i].pool && __atomic_load_n(&page->slot[i].handler, __ATOMIC_SEQ_CST);
  return n;
}

bool crowd_enter(struct counters_page *page, struct counters *own, int most) {
  for (int i = 0; i < TRIES && taken(page) < most; i++) {
    struct timespec pause = {.tv_nsec = (PAUSE_US + random() % (PAUSE_US << i)) * 1000L};

    __atomic_store_n(&own->handler, 1, __ATOMIC_SEQ_CST);
    if (taken(page) <= most) return true;
    crowd_leave(own);
    nanosleep(&pause, NULL);
  }
  return false;
}

void crowd_leave(struct counters *own) { __atomic_store_n(&own->handler, 0, __ATOMIC_SEQ_CST); }
