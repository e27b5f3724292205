/* What is old and of no more use: the runners delete it, a little at a time. Each kind is a transaction or two of its own, with a time
 * of its own, and knows nothing of the others. */
#ifndef WRIT_JOBS_CLEAN_H
#define WRIT_JOBS_CLEAN_H

#include "db/conn.h"

#include <stdbool.h>
#include <stdint.h>

enum { CLEAN_BATCH = 1000 };

/* Deletes some of the answers of keyed requests that are older than hours, CLEAN_BATCH at most; *gone: how many. */
bool clean_keys(struct conn *c, void *mem, int hours, const struct wait *w, uint64_t *gone, struct err *e)
    __attribute__((warn_unused_result));

/* Deletes states of mutations that have ended hours ago, CLEAN_BATCH at most; *gone: how many. */
bool clean_states(struct conn *c, void *mem, int hours, const struct wait *w, uint64_t *gone, struct err *e)
    __attribute__((warn_unused_result));

/* The log is in partitions since this version of schema writ. */
enum { CLEAN_EVENTS_VERSION = 9 };
/* Deletes events that are older than hours from the front of the log, CLEAN_BATCH at most, and none that a projection or a named
 * reader has still to see. Nothing while another runner is at it. */
bool clean_events(struct conn *c, void *mem, int hours, const struct wait *w, uint64_t *gone, struct err *e)
    __attribute__((warn_unused_result));
/* The same by partitions: moves the log's beginning behind one of which each event is older than hours and has been seen; the rows go
 * with clean_partition. */
bool clean_events_whole(struct conn *c, void *mem, int hours, const struct wait *w, uint64_t *gone, struct err *e)
    __attribute__((warn_unused_result));
/* Drops a partition that is wholly ahead of the log's beginning. *gone: 1, or 0: there is none, or somebody is reading the log at the
 * moment. */
bool clean_partition(struct conn *c, void *mem, const struct wait *w, uint64_t *gone, struct err *e)
    __attribute__((warn_unused_result));

#endif
