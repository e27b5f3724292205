/* The outbox as work: items are claimed for a while (a lease), kept by renewing it, and given an end. Whatever holds the
 * lease no longer cannot write: each statement asks for the owner that the claim made up and for the time, both by the
 * database. */
#ifndef WRIT_JOBS_QUEUE_H
#define WRIT_JOBS_QUEUE_H

#include "db/conn.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Items of keys have had their end: of the rows `from` (id, hook, key) this tells QUEUE_NEXT, in the same transaction. */
#define QUEUE_ENDED(from)                                                                                                   \
  "(select pg_catalog.set_config('writ.ended', coalesce(json_agg(json_build_array(hook, key)) "                             \
  "filter (where key is not null), '[]')::text, true) from " from ")"
/* The first of each such key is due. A statement of its own behind the ends: it sees whatever was put off behind them, as
 * who puts off locks what is ahead (queue.c). The row may just be locked by a runner that puts it off; then this waits for
 * that, and sees what it wrote: so it must not ask for held before. Items that are leased or failed keep their time. */
#define QUEUE_NEXT                                                                                                          \
  "update writ.outbox o set due = case when o.held then now() else o.due end, held = false where o.id = any (array("         \
  "select (select a.id from writ.outbox a where a.hook = e.hook and a.key = e.key and a.dead is null "                      \
  "order by a.id + 0 limit 1) from (select distinct v ->> 0 as hook, v ->> 1 as key from "                                  \
  "json_array_elements(current_setting('writ.ended')::json) as t(v)) e)) and o.owner is null"

/* Plans that do not depend on what statistics say of a queue, which is empty at one moment and has a million rows at the next.
 * The worst is one row in many pages, which is what ANALYZE finds while the INSERT of a million is not committed: then to walk
 * an index costs no more than to look into it. So statements about tables that grow leave the planner no choice, by these
 * settings, where they are not in a transaction of an application's statements, and by four rules:
 * - Rows that are known are asked for by their key, "id = any (array(select ...))", also beside a join that brings values for
 *   them: of two tables that are joined by a key alone, either may be walked to look for the other's.
 * - Beside the key they do not name what an index is partial for: that one could be walked in its place.
 * - What only one index has in order is ordered by that, with a limit. Sorting is out of the question.
 * - A look for each row is "(select ... limit 1) is not null": EXISTS may become a join, or a hash table of all there are. */
#define QUEUE_PLANS                                                                                                         \
  "select set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true), "                        \
  "set_config('enable_sort', 'off', true)"

struct queue_item {
  const char *id;    /* a number */
  const char *owner; /* of the lease: a UUID */
  const char *hook, *payload, *mutation;
  int attempts; /* that failed */
};

enum queue_end {
  QUEUE_DONE,    /* it is deleted */
  QUEUE_AGAIN,   /* it failed and is due again after delay_ms */
  QUEUE_DEAD,    /* it failed for good */
  QUEUE_RENEW,   /* it is still at work: the lease is prolonged */
  QUEUE_RELEASE, /* nothing is known of it: due again now, and no failure */
};

/* What became of an item. */
struct queue_mark {
  const char *id, *owner;
  enum queue_end end;
  int64_t delay_ms;
  bool skip;          /* DEAD: lets those behind it pass */
  int status;         /* 0: no answer */
  const char *answer; /* UTF-8 */
  bool lost;          /* filled: the lease was not ours any more, nothing was written */
};

/* So many items of a hook at most. */
struct queue_want {
  const char *hook;
  bool skip_dead;
  unsigned n;
};

/* One round trip: marks first, then claims. */
struct queue_round {
  struct queue_mark *marks;
  size_t nmarks;
  const struct queue_want *wants;
  size_t nwants;
  unsigned most; /* of all hooks together; 0: nothing is claimed */
  int lease_ms;
  struct queue_item *items; /* filled, with what was claimed */
  size_t nitems;
  size_t looked_at; /* filled: those put off behind another of their key are among them */
};

/* False: the connection; what of it was written is not known, and it may be tried again. */
bool queue_run(struct conn *c, void *mem, struct queue_round *round, const struct wait *w, struct err *e)
    __attribute__((warn_unused_result));

/* For people. Counts end at QUEUE_COUNT_MAX. */
enum { QUEUE_COUNT_MAX = 10000 };
struct queue_state {
  uint64_t waiting, dead, oldest_ms; /* oldest_ms: age of the oldest that waits */
  const char **hooks;                /* that items wait for */
  size_t nhooks;
};
bool queue_look(struct conn *c, void *mem, struct queue_state *out, const struct wait *w, struct err *e)
    __attribute__((warn_unused_result));
/* Deletes some dead letters older than seconds. */
bool queue_clean(struct conn *c, void *mem, int seconds, const struct wait *w, struct err *e)
    __attribute__((warn_unused_result));
/* Those of these hooks that were put off behind a dead letter may pass now. */
bool queue_pass(struct conn *c, void *mem, const struct queue_want *wants, size_t n, const struct wait *w, struct err *e)
    __attribute__((warn_unused_result));

#endif
