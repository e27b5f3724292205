/* Idempotency-Key: which keyed request this is, and the rows in which answers of such requests are kept. How a flight uses
 * them is in keyed.c. IETF draft-ietf-httpapi-idempotency-key-header; docs/protocol.md, section 5. */
#ifndef WRIT_ENGINE_IDEMPOTENCY_H
#define WRIT_ENGINE_IDEMPOTENCY_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call_token;
struct caller;
struct command;
struct conn;
struct engine;
struct json;
struct wait;

enum { IDEMPOTENCY_KEY_BYTES = 255 };

struct idempotency {
  const char *key;         /* as the client means it */
  const char *id;          /* SHA-256 of caller and key, as a bytea literal */
  const char *lock;        /* the second number of its advisory lock */
  const char *fingerprint; /* SHA-256 of what is asked for, lower-case hex */
};

/* The key in a header field: 1 to 255 visible ASCII characters; in quotes (sf-string, RFC 8941 section 3.3.3: blanks too)
 * it is the same key as without. NULL: BAD_REQUEST. */
const char *idempotency_read(const void *mem, const char *header, struct err *e);
/* Who calls, as a bytea literal: SHA-256 of the role, and the user or the subject of the claims. NULL: nobody known by name. */
const char *idempotency_caller(const void *mem, const struct caller *caller);
/* The keyed request. What is asked for: the command and its arguments, in whatever order their names stand. */
const struct idempotency *idempotency_new(const void *mem, const struct caller *caller, const char *key,
                                          const struct command *command, const struct json *args);
/* The same for what a handler's call (token) asks for: its key is one within that call. own: a key that came with it; NULL: what is
 * asked for tells, times (0: the first) how often the same was asked for before in this call. NULL: none; so it is without own for
 * an execute_command_set, which takes several transactions. */
const struct idempotency *idempotency_within(const void *mem, const struct call_token *token, const char *own,
                                             unsigned times, const struct command *command, const struct json *args);

#endif
