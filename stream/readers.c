#include "stream/readers.h"

#include "base/arena.h"
#include "base/digest.h"

#include <string.h>

const char *readers_digest(const void *mem, const struct caller *caller) {
  struct digest_piece pieces[2];
  unsigned char digest[DIGEST_BYTES];
  char hex[DIGEST_HEX];
  const char *who;

  if (!caller->user) return NULL;
  who = arena_printf(mem, "user %s", caller->user);
  pieces[0] = (struct digest_piece){caller->role, strlen(caller->role) + 1};
  pieces[1] = (struct digest_piece){who, strlen(who) + 1};
  digest_sha256(pieces, 2, digest);
  digest_hex(digest, hex);
  return arena_strdup(mem, hex);
}

bool readers_of_states(const struct manifest *m, const struct caller *caller) {
  (void)m;
  return caller->inside;
}

bool readers_of_events(const struct manifest *m, const struct caller *caller) {
  (void)m;
  return caller->inside;
}
