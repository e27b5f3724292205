/* The event log as readers see it: pages of events behind a position. docs/events.md */
#ifndef WRIT_EVENTS_LOG_H
#define WRIT_EVENTS_LOG_H

#include "base/err.h"
#include "base/wait.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct engine;

/* writ install has made the tables of the log. */
enum { EVENTS_VERSION = 9 };
/* Positions of a partition, where no setting says. */
enum { EVENTS_PARTITION = 10000000 };
enum { EVENTS_LIMIT = 100, EVENTS_LIMIT_MAX = 1000 };

/* One row e of writ.event as JSON. */
#define EVENT_JSON                                                                                                          \
  "json_build_object('position', e.position, 'name', e.name, 'key', e.key, 'payload', e.payload, 'at', "                    \
  "to_char(e.at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), 'command', e.command, 'role', e.role, "           \
  "'user', e.caller_user, 'mutation', e.mutation, 'traceparent', e.traceparent)"

struct event_query {
  int64_t after;          /* a position; 0: from the beginning */
  const char *name, *key; /* only such events; NULL: all */
  int limit;              /* 1 to EVENTS_LIMIT_MAX */
};

/* {"events": [...], "last": POSITION} of a datasource. last: where to go on; with a name or key that is behind what was passed
 * over too. False: EVENTS_GONE or EVENTS_AHEAD (400), DATABASE_UNAVAILABLE. */
bool event_log_page(struct engine *engine, void *mem, size_t datasource, const struct event_query *query,
                    const struct wait *w, const char **text, struct err *e) __attribute__((warn_unused_result));

#endif
