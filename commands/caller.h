/* Who calls, as nginx said; docs/protocol.md, section 4. */
#ifndef WRIT_COMMANDS_CALLER_H
#define WRIT_COMMANDS_CALLER_H

#include <stdbool.h>

struct caller {
  const char *role;   /* never NULL or empty: "anonymous" */
  const char *user;   /* NULL: unknown */
  const char *claims; /* JSON object as text, checked; NULL: made from role and user */
  bool inside;        /* came by the inside listener: allow: is not applied */
};

/* What SQL sees as request.jwt.claims: a JSON object as text. */
const char *caller_claims(const void *mem, const struct caller *caller);

#endif
