/* The sequencer of one datasource: moves events from where transactions append them to the log, giving each its position. Any
 * number may be at work, on any number of machines: each round is one transaction under one lock, and knows nothing of those
 * before it but what the tables say. So one that is killed, at any moment, leaves nothing to be taken over. */
#ifndef WRIT_EVENTS_SEQUENCER_H
#define WRIT_EVENTS_SEQUENCER_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conn;
struct wait;

enum { SEQUENCER_BATCH = 1000 };
/* So many rows that are no more are walked over before somebody looks whether they need be. */
enum { SEQUENCER_LOOK_AFTER = 500 };

/* What one sequencer knows so as not to walk over rows that are no more: all events with a seq up to low have positions, or will
 * never be. */
struct sequencer {
  int64_t low;
  int64_t mark;       /* that low is to become when transactions open then are over; 0: none */
  const char *open;   /* those: a text[] literal, of mem */
  const char *server; /* on which all that is so: when it was started, of mem */
  unsigned since;     /* events moved since low was looked after last */
  int64_t last, room; /* a position that was given; the last one that has a partition; 0: not known */
  void *mem;
};

/* Knows nothing any more: to be called for each new connection, also the first. It looks soon, as it may be the one that has to
 * walk over much. */
void sequencer_forget(struct sequencer *s);
/* The log is in partitions of `size` positions. Is there room ahead, for long enough? */
bool sequencer_has_room(const struct sequencer *s, int64_t size);
/* Makes some, in a transaction of its own, which nobody waits for. */
bool sequencer_make_room(struct sequencer *s, struct conn *conn, void *mem, int64_t size, const struct wait *w,
                         struct err *e) __attribute__((warn_unused_result));
/* One round; SQLSTATE 23514 when there is no partition for what is to be moved. *n: so many events got positions, SEQUENCER_BATCH at most; *oldest_ms: how long the oldest of them had waited. */
bool sequencer_round(struct sequencer *s, struct conn *conn, void *mem, const struct wait *w, unsigned *n,
                     uint64_t *oldest_ms, struct err *e) __attribute__((warn_unused_result));

#endif
