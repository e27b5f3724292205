/* Statements that are posted: sent one by one, each a transaction of its own, without waiting for the answers. On a connection
 * that is used for nothing else. */
#ifndef WRIT_DB_POST_H
#define WRIT_DB_POST_H

#include "db/conn.h"

/* False: the connection is lost, or takes no more; it is closed then, and what was posted may be or not. */
bool post_send(struct conn *c, const char *sql, unsigned nparams, const char *const *params)
    __attribute__((warn_unused_result));
/* Reads the answers that have come, without waiting; how many are still to come. refused counts those that were errors; why: the last
 * of them, in mem (may both be NULL). */
unsigned post_take(struct conn *c, const void *mem, unsigned *refused, const char **why);
/* Waits for the next answers, or the deadline. */
void post_wait(struct conn *c, int64_t deadline_ms);
/* To poll; -1: it is closed, or there is no answer to come. */
int post_fd(const struct conn *c);

#endif
