/* The caller's claims. */
#include "commands/caller.h"

#include "base/str.h"

#include <stddef.h>

const char *caller_claims(const void *mem, const struct caller *caller) {
  struct str *s;

  if (caller->claims) return caller->claims;
  s = str_new(mem, 96);
  str_add(s, "{\"role\":");
  str_json(s, caller->role);
  if (caller->user) {
    str_add(s, ",\"sub\":");
    str_json(s, caller->user);
  }
  str_char(s, '}');
  return s->p;
}
