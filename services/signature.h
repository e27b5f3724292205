/* Signatures of webhooks, as the Standard Webhooks specification says (standard-webhooks/spec, "Signature scheme"): headers
 * webhook-id, webhook-timestamp, webhook-signature. */
#ifndef WRIT_SERVICES_SIGNATURE_H
#define WRIT_SERVICES_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A key: 24 to 64 bytes; written whsec_ and base64. */
struct secret {
  const unsigned char *key;
  size_t len;
};

/* False: *why, for people, without the secret in it. */
bool secret_read(const void *mem, const char *text, struct secret *out, const char **why)
    __attribute__((warn_unused_result));

/* The value of webhook-signature: "v1,<base64>" for each secret, the newest first, a blank between: while keys are rotated
 * the receiver takes either. id: without a dot, as dots part what is signed. seconds: Unix time. */
const char *signature_of(const void *mem, const struct secret *secrets, size_t n, const char *id, int64_t seconds,
                         const char *body, size_t len);

#endif
