/* What /metrics shows: counters in memory shared by the supervisor and all workers. Each worker slot has a block of its
 * own, written by that worker only, so there are no locks; a reader sums the blocks. A block outlives its worker. */
#ifndef WRIT_BASE_COUNTERS_H
#define WRIT_BASE_COUNTERS_H

#include "base/bell.h"

#include <stdbool.h>
#include <stdint.h>

enum { COUNTERS_POOLS = 6, COUNTERS_INSIDE = 1, COUNTERS_BACKGROUND = 3, COUNTERS_PROJECTIONS = 64 };
enum { COUNTERS_BUCKETS = 14 }; /* request seconds: 0.5 ms * 2^i up to 4.096 s, then +Inf */

struct counters {
  uint64_t requests_border, requests_inside;
  uint64_t status[6]; /* answers by hundreds: [2] = 2xx ... [5]; [0], [1] stay 0 */
  uint64_t commits, rollbacks, retries, lost_connections, connects, unknown_outcomes, cancels, undelivered;
  uint64_t flights;                                                  /* round trips that carried a transaction */
  uint64_t deliveries, delivery_failures, dead_letters, lost_leases; /* of after-hooks */
  uint64_t mutations_complete, mutations_failed, mutations_put_off, mutations_lost; /* run by runners */
  uint64_t hooks_passed, hooks_refused, hooks_failed;
  uint64_t handlers_done, handlers_refused, handlers_failed, handlers_busy;
  uint64_t streams, stream_events, streams_dropped, streams_later; /* opened, sent; for a slow reader; come again */
  uint64_t streams_open;                                           /* now; set to 0 when the streamer has ended */
  uint64_t state_events, state_events_lost;                        /* of mutations; too many or too late */
  uint64_t events_cleaned;
  uint64_t events, event_rounds, events_waited_ms; /* that got positions; in so many rounds; the oldest of each had waited */
  uint64_t replays;                                /* answers that were stored ones */
  uint64_t request_us, postgres_us, hook_us, handler_us; /* sums */
  uint64_t request_bucket[COUNTERS_BUCKETS + 1];
  uint64_t busy_since_ms; /* clock_ms of the request in work; 0: idle (or the worker is gone) */
  uint32_t pid;           /* 0: no worker in this slot */
  uint32_t pool;    /* of the slot: 0 border, 1 inside, 2 runners of after-hooks, 3 of mutations, 4 events, 5 streamer */
  uint32_t handler; /* 1: an inside worker in a handler, or waiting (engine/crowd.c); cleared when it has ended */
  uint32_t waiting; /* 1: this worker waits for a lock that another request holds */
  /* By pool; written by the supervisor. A slot may change its pool at a reload, counters must not. */
  uint64_t starts[COUNTERS_POOLS], crashes[COUNTERS_POOLS];
} __attribute__((aligned(64)));

/* A projection of the manifest, by its place there. Written by the process that runs it. */
struct projection_state {
  uint64_t position, behind; /* events of the log behind that */
  uint64_t events, failures; /* fed to it; rounds in which it stood */
  uint32_t stands;           /* 1: at an event that it fails with */
};

struct counters_page {
  uint32_t slots;
  uint64_t reloads, reload_failures;                      /* written by the supervisor */
  uint64_t outbox_waiting, outbox_dead, outbox_oldest_ms; /* as the runner saw them that looked last */
  uint64_t mutations_waiting, mutations_dead,
      mutations_oldest_ms; /* the same of durable mutations: due and claimed by nobody */
  struct projection_state projection[COUNTERS_PROJECTIONS];
  struct bell appended, numbered; /* events: to be given positions; in the log */
  struct counters slot[];
};

/* MAP_SHARED | MAP_ANONYMOUS, made before the first fork; never freed. NULL with errno on failure. */
struct counters_page *counters_create(unsigned slots);
/* A place among those of one pool that wait, of which there are most; false: all are taken. Two that come for the last one
 * at the same moment may both be sent away. A worker that dies keeps its place until the supervisor clears its block. */
bool counters_wait_begin(const struct counters_page *page, struct counters *own, unsigned most);
void counters_wait_end(struct counters *own);
/* The bucket of a request that took us microseconds. */
unsigned counters_bucket(int64_t us);

#endif
