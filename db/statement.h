/* One SQL text that may be prepared. By value: a plan stays whole when the cache moves on. */
#ifndef WRIT_DB_STATEMENT_H
#define WRIT_DB_STATEMENT_H

#include <stdint.h>

/* slot: its place in the bounded table of prepared statements, the same on every connection of a worker; gen: which text
 * is meant, as a slot is reused for another text (never 0). On the server it is called w<slot>. */
struct statement {
  const char *sql;
  uint32_t gen;
  uint16_t slot;
};

enum {
  STATEMENT_QUEUE = 24, /* slots below are flight.c's own: BEGIN, settings, COMMIT ... */
  STATEMENT_CLEAN = 39, /* of a runner, as are those from QUEUE on; downwards, for what is cleaned */
  STATEMENT_FIXED = 40, /* and below these, those of the outbox (jobs/queue.c) */
  STATEMENT_SLOTS = 1024,
};

#endif
