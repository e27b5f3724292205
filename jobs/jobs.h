/* The outbox for people: what waits, what failed for good, and what to do about it (writ jobs). */
#ifndef WRIT_JOBS_JOBS_H
#define WRIT_JOBS_JOBS_H

#include "db/conn.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json;

enum { JOBS_LIST_MAX = 1000 };

/* Which items: by id, or all dead letters of a hook. */
struct jobs_choice {
  const char *const *ids;
  size_t nids;
  const char *hook; /* NULL: by id */
};

/* One statement as a transaction; the text that it gives. */
bool jobs_ask(struct conn *c, void *mem, const char *sql, const char *const *params, unsigned n, const char **text,
              const struct wait *w, struct err *e) __attribute__((warn_unused_result));
/* An array of objects, the oldest first; of more than JOBS_LIST_MAX the oldest, of dead letters alone those that have been dead
 * for longest. As PostgreSQL wrote it and parsed. hooks: those of the manifest. */
bool jobs_list(struct conn *c, void *mem, bool dead_only, const char *const *hooks, size_t nhooks, const char **text,
               const struct json **rows, const struct wait *w, struct err *e) __attribute__((warn_unused_result));
/* One object, with its payload; NOT_FOUND. */
bool jobs_show(struct conn *c, void *mem, const char *id, const char *const *hooks, size_t nhooks, const char **text,
               const struct json **row, const struct wait *w, struct err *e) __attribute__((warn_unused_result));
/* Due now, with all attempts before it; or gone, so that those behind it may go on. What is being delivered is left
 * alone. */
bool jobs_retry(struct conn *c, void *mem, const struct jobs_choice *choice, uint64_t *n, const struct wait *w,
                struct err *e) __attribute__((warn_unused_result));
bool jobs_drop(struct conn *c, void *mem, const struct jobs_choice *choice, uint64_t *n, const struct wait *w, struct err *e)
    __attribute__((warn_unused_result));

#endif
