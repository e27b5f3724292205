/* What bounds any waiting for others. */
#ifndef WRIT_BASE_WAIT_H
#define WRIT_BASE_WAIT_H

#include <stdbool.h>
#include <stdint.h>

/* What ends a wait, other than what is waited for. */
struct wait {
  int64_t deadline_ms; /* clock_ms */
  int caller_fd;       /* hang-up ends the wait; -1: none */
  /* Called a few times a second while services are waited for (http_run): whoever has a lease renews it. NULL: nothing to do. */
  void (*beat)(void *data);
  bool
      beat_in_flight; /* and while PostgreSQL is: the lease is not a lock of the transaction in hand, nor on its connection */
  void *data;
};

#endif
