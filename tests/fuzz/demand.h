/* What a fuzz target finds out about the code under test: it must be so, or the process ends where libFuzzer sees it. */
#ifndef WRIT_TESTS_FUZZ_DEMAND_H
#define WRIT_TESTS_FUZZ_DEMAND_H

#include <stdbool.h>
#include <stdlib.h>

static inline void demand(bool fact) {
  if (!fact) abort();
}

#endif
