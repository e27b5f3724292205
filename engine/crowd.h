/* How many inside workers are in handlers, or wait for what a handler may hold, at once: over all workers of one writd, in
 * the page of counters that they share. */
#ifndef WRIT_ENGINE_CROWD_H
#define WRIT_ENGINE_CROWD_H

#include <stdbool.h>

struct counters;
struct counters_page;

/* Takes a place for the worker that `own` belongs to; at most `most` have one at any time. False: there is none. The place
 * of a worker that was killed is given back by the supervisor, which clears own->handler. */
bool crowd_enter(struct counters_page *page, struct counters *own, int most) __attribute__((warn_unused_result));
void crowd_leave(struct counters *own);

#endif
