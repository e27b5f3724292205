/* Reading the state of a mutation, and asking it to stop. */
#ifndef WRIT_MUTATIONS_STATE_READ_H
#define WRIT_MUTATIONS_STATE_READ_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct caller;
struct engine;
struct json;
struct wait;

struct state_row {
  size_t datasource;
  const char *version; /* digits */
  bool ended, durable; /* durable: goes on by itself; else a request runs it */
  const char *text;    /* JSON */
};

/* The state, on whichever datasource it is, as this caller may read it: who made it, the inside, and roles named in the manifest.
 * False: NOT_FOUND (also where it may not), DATABASE_UNAVAILABLE. What a process has left behind that died is told first. */
bool state_read(struct engine *engine, void *mem, const struct caller *caller, const char *mutation, const struct wait *w,
                struct state_row *row, struct err *e) __attribute__((warn_unused_result));
/* What has changed behind the version `after`, up to now: an array of {"event": ..., "set": ...} in their order. */
bool state_changes(struct engine *engine, void *mem, const char *mutation, const struct state_row *row, const char *after,
                   const struct wait *w, const struct json **changes, struct err *e) __attribute__((warn_unused_result));
/* Asks it to stop before its next step: for who made it, and the inside. False: NOT_FOUND, MUTATION_OVER, NOT_CANCELLABLE,
 * DATABASE_UNAVAILABLE. */
bool state_cancel(struct engine *engine, void *mem, const struct caller *caller, const char *mutation,
                  const struct state_row *row, struct err *e) __attribute__((warn_unused_result));

#endif
