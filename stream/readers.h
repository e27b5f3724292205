/* Who may read a stream. */
#ifndef WRIT_STREAM_READERS_H
#define WRIT_STREAM_READERS_H

#include "commands/caller.h"

#include <stdbool.h>

struct manifest;

/* What writ.state has of who made a mutation, in hex; NULL: nobody known by name. */
const char *readers_digest(const void *mem, const struct caller *caller);
/* All states, not only those of one's own. */
bool readers_of_states(const struct manifest *m, const struct caller *caller);
bool readers_of_events(const struct manifest *m, const struct caller *caller);

#endif
