/* Mutations for people (writ jobs): what is still to end, and what ended as a dead letter. */
#ifndef WRIT_MUTATIONS_LETTERS_H
#define WRIT_MUTATIONS_LETTERS_H

#include "db/conn.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json;

/* As jobs_list and jobs_show do for after-hooks (jobs/jobs.h). */
bool letters_list(struct conn *c, void *mem, bool dead_only, const char **text, const struct json **rows,
                  const struct wait *w, struct err *e) __attribute__((warn_unused_result));
bool letters_show(struct conn *c, void *mem, const char *id, const char **text, const struct json **row,
                  const struct wait *w, struct err *e) __attribute__((warn_unused_result));
/* Those that ended in an error, or were cancelled, are accepted once more, each as a new mutation that goes on with the first step
 * not done, and names the old one. Of one that was retried before this makes nothing. *rows: an array of [old, new]. rules: of states (manifest->state.text). */
bool letters_retry(struct conn *c, void *mem, const char *const *ids, size_t n, const char *rules, const struct json **rows,
                   const struct wait *w, struct err *e) __attribute__((warn_unused_result));
/* Dead letters are none any more; what has not ended is cancelled. */
bool letters_drop(struct conn *c, void *mem, const char *const *ids, size_t n, uint64_t *done, const struct wait *w,
                  struct err *e) __attribute__((warn_unused_result));

#endif
