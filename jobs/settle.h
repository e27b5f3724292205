/* States of mutations that nobody keeps any more: their process has died, or left marks behind. */
#ifndef WRIT_JOBS_SETTLE_H
#define WRIT_JOBS_SETTLE_H

#include "db/conn.h"

#include <stdbool.h>
#include <stdint.h>

enum { SETTLE_BATCH = 100 };

/* Takes in what was left behind, and ends what will not go on: SETTLE_BATCH states at most; *n: of how many. rules: of the manifest
 * (struct manifest_state). One whose reducers take too long is settled without them. */
bool settle_states(struct conn *c, void *mem, const char *rules, const struct wait *w, uint64_t *n, struct err *e)
    __attribute__((warn_unused_result));

#endif
