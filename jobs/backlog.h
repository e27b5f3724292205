/* How many durable mutations wait for a runner: for /metrics. Asked by the runners of after-hooks, as those of mutations may all be at
 * work, or not be there at all. */
#ifndef WRIT_JOBS_BACKLOG_H
#define WRIT_JOBS_BACKLOG_H

#include "db/conn.h"

#include <stdbool.h>
#include <stdint.h>

enum { BACKLOG_MOST = 10000 }; /* it counts no further */

struct backlog {
  uint64_t waiting;   /* due, and nobody has claimed them */
  uint64_t oldest_ms; /* how long one of them has been due */
  uint64_t dead;      /* dead letters */
};

bool backlog_look(struct conn *c, void *mem, struct backlog *out, const struct wait *w, struct err *e)
    __attribute__((warn_unused_result));

#endif
