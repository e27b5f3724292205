/* A transaction that stays open while others work, for the locks it holds: on a connection that has nothing else to do.
 * Locks that end with a transaction, not with a session: so it is as good through a pooler. */
#ifndef WRIT_DB_HOLD_H
#define WRIT_DB_HOLD_H

#include "db/conn.h"
#include "db/plan.h"

/* BEGIN (read committed) and the steps, in one trip; *text: what the last of them that GIVES_TEXT gave. False: *e, *failed
 * is the step (n: none of them), and nothing is held. The connection is open. */
bool hold_open(struct conn *c, const void *mem, const struct step *steps, size_t n, const struct wait *w, const char **text,
               size_t *failed, struct err *e) __attribute__((warn_unused_result));
/* Lets go. False: the connection was lost before, and with it what it held. */
bool hold_close(struct conn *c, const struct wait *w);

#endif
