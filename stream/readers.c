/* By name, by role, or by where they come from. */
#include "stream/readers.h"

#include "engine/idempotency.h"
#include "manifest/manifest.h"

#include <string.h>

/* A bytea literal: \x and hex. */
const char *readers_digest(const void *mem, const struct caller *caller) {
  const char *literal = idempotency_caller(mem, caller);
  return literal ? literal + 2 : NULL;
}

bool readers_of_states(const struct manifest *m, const struct caller *caller) {
  return caller->inside || manifest_reads_states(m, caller->role);
}

bool readers_of_events(const struct manifest *m, const struct caller *caller) {
  (void)m;
  return caller->inside;
}
