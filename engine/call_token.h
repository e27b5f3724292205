/* Call tokens: what a handler is given, and sends with its own calls to the inside listener, so that these are made for the
 * same caller, within the same deadline. Signed with a secret that the supervisor makes at its start and only its workers
 * know: no other writd, and none that is started later, takes them. */
#ifndef WRIT_ENGINE_CALL_TOKEN_H
#define WRIT_ENGINE_CALL_TOKEN_H

#include "commands/caller.h"
#include "commands/locks.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CALL_SECRET_BYTES = 32, CALL_KEY_BYTES = 255 };

struct call_token {
  struct caller caller;          /* inside is always true when read */
  const char *mutation;          /* UUID */
  int64_t deadline_ms;           /* clock_ms: of this machine, since its start */
  unsigned depth;                /* handlers within each other: 1 for what a border's handler calls */
  const struct mutex_held *held; /* mutexes that the call holds already */
  size_t nheld;
  unsigned state;   /* the state of the mutation is on this datasource, from 1; 0: none is kept */
  unsigned attempt; /* of the mutation, from 1 */
  const char *key;  /* Idempotency-Key of the call; NULL: none */
};

/* Text for a header field. */
char *call_token_write(const void *mem, const unsigned char secret[CALL_SECRET_BYTES], const struct call_token *token);
/* False: *why, for the log: it is not one of this secret's, is no token at all, or its deadline has passed. */
bool call_token_read(const void *mem, const unsigned char secret[CALL_SECRET_BYTES], const char *text,
                     struct call_token *out, const char **why) __attribute__((warn_unused_result));
/* The Idempotency-Key of what a handler's call asks for, NULL: none. It is made of the call's own key and of `own`, which
 * came with the request, or, without one (NULL), of `fingerprint`, which tells this request from others. Where the call has
 * no key `own` counts within this call only (its mutation), and without `own` there is none. */
char *call_token_key(const void *mem, const struct call_token *token, const char *own, const char *fingerprint);

#endif
