/* What bounds any waiting for others. */
#ifndef WRIT_BASE_WAIT_H
#define WRIT_BASE_WAIT_H

#include <stdint.h>

/* What ends a wait, other than what is waited for. */
struct wait {
  int64_t deadline_ms; /* clock_ms */
  int caller_fd;       /* hang-up ends the wait; -1: none */
  /* Called a few times a second while services are waited for (http_run): whoever has a lease renews it. NULL: nothing to do. */
  void (*beat)(void *data);
  void *data;
};

#endif
