/* What is old and of no more use: the runners delete it, a little at a time. */
#ifndef WRIT_JOBS_CLEAN_H
#define WRIT_JOBS_CLEAN_H

#include "db/conn.h"

#include <stdbool.h>
#include <stdint.h>

enum { CLEAN_BATCH = 1000 };

/* Deletes some of the answers of keyed requests that are older than hours, CLEAN_BATCH at most; *gone: how many. */
bool clean_keys(struct conn *c, void *mem, int hours, const struct wait *w, uint64_t *gone, struct err *e)
    __attribute__((warn_unused_result));

/* States of mutations: ends those whose process has died, and takes in what it left behind; deletes those that have ended hours ago. rules:
 * of the manifest (struct state_rules). *gone: how many of either. */
bool clean_states(struct conn *c, void *mem, const char *rules, int hours, const struct wait *w, uint64_t *gone, struct err *e)
    __attribute__((warn_unused_result));

/* Deletes events that are older than hours from the front of the log, CLEAN_BATCH at most, and none that a projection or a named
 * reader has still to see. Nothing while another runner is at it. Needs version CLEAN_EVENTS_VERSION of schema writ. */
enum { CLEAN_EVENTS_VERSION = 5 };
bool clean_events(struct conn *c, void *mem, int hours, const struct wait *w, uint64_t *gone, struct err *e)
    __attribute__((warn_unused_result));

#endif
