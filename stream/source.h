/* A datasource as the streamer has it: one connection, on which one question follows the other, while anybody follows
 * anything there. */
#ifndef WRIT_STREAM_SOURCE_H
#define WRIT_STREAM_SOURCE_H

#include "base/uuid.h"
#include "stream/follow.h"
#include "stream/log.h"

#include <stdbool.h>
#include <stddef.h>

struct source {
  struct streamer *streamer;
  size_t index; /* of the datasource */
  struct follows follows;
  struct log_follows log;
  struct source_own *own; /* source.c's */
};

struct source *source_new(struct streamer *s, size_t index);
void source_free(struct source *s);
/* There is, or may be, something to ask. */
void source_wake(struct source *s);
/* Is it known not to be there at the moment? */
bool source_is_down(const struct source *s);

#endif
