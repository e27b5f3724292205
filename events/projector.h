/* Projections: SQL functions that are fed with the events of a log, in order, each exactly once, as their position is moved in
 * the transaction of their writes. Only the database's state counts: one that is killed leaves nothing to be taken over. */
#ifndef WRIT_EVENTS_PROJECTOR_H
#define WRIT_EVENTS_PROJECTOR_H

#include "base/err.h"
#include "db/conn.h"
#include "manifest/event.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json;

/* A function may take so long for a batch. */
enum { PROJECTION_MS = 300 * 1000 };

/* The code of a round that failed as its row is gone: somebody has to say how it goes on. */
#define PROJECTION_LOST "PROJECTION_LOST"

/* What came of a round. */
struct projection_round {
  bool busy;        /* another process is at it */
  unsigned n;       /* events that it was fed with */
  int64_t position; /* where it is now */
  int64_t last;     /* of the log */
  bool at_fault;    /* of a round that failed: it was the function itself */
};

/* Makes its row, where there is none: a new projection begins at the beginning. */
bool projection_begin(struct conn *c, void *mem, const struct projection *p, const struct wait *w, struct err *e)
    __attribute__((warn_unused_result));
/* Feeds it with up to batch events, in one transaction and one network round trip. */
bool projection_round(struct conn *c, void *mem, const struct projection *p, int batch, const struct wait *w,
                      struct projection_round *round, struct err *e) __attribute__((warn_unused_result));
/* It stands at the next event, whose position is *position: for people, and until it goes on. */
bool projection_stands(struct conn *c, void *mem, const struct projection *p, const struct err *why, int64_t *position,
                       const struct wait *w, struct err *e) __attribute__((warn_unused_result));

/* For people. An array of objects: those that have a row, readers too ("kind"). */
bool projection_list(struct conn *c, void *mem, const struct json **rows, const char **text, const struct wait *w,
                     struct err *e) __attribute__((warn_unused_result));
/* Empties it, by what the manifest says, and sets it to the beginning; or, with a position of 0 or more, sets it to that alone:
 * its tables are those of a snapshot. In one transaction; whoever is at it is waited for. */
bool projection_rebuild(struct conn *c, void *mem, const struct projection *p, int64_t position, const struct wait *w,
                        struct err *e) __attribute__((warn_unused_result));
/* Forgets a projection or a reader that is no more: what it kept may be cleaned away. NOT_FOUND. */
bool projection_drop(struct conn *c, void *mem, const char *name, const struct wait *w, struct err *e)
    __attribute__((warn_unused_result));

#endif
