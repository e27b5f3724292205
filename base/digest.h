/* Digests, for fingerprints, signatures and call tokens: libcrypto is included in digest.c only. */
#ifndef WRIT_BASE_DIGEST_H
#define WRIT_BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

enum { DIGEST_BYTES = 32, DIGEST_HEX = 2 * DIGEST_BYTES + 1 };

struct digest_piece {
  const void *data;
  size_t len;
};

/* SHA-256 (FIPS 180-4) of the pieces one behind the other. */
void digest_sha256(const struct digest_piece *pieces, size_t n, unsigned char out[DIGEST_BYTES]);
/* HMAC-SHA-256 (RFC 2104) of the pieces. */
void digest_hmac(const void *key, size_t key_len, const struct digest_piece *pieces, size_t n,
                 unsigned char out[DIGEST_BYTES]);
/* Lower-case hex and NUL. */
void digest_hex(const unsigned char digest[DIGEST_BYTES], char text[DIGEST_HEX]);
/* Takes the same time whatever differs. */
bool digest_equal(const void *a, const void *b, size_t len);

/* RFC 4648 section 4, with padding. */
char *digest_base64(const void *mem, const void *data, size_t len);
/* NULL: not base64 as digest_base64 writes it (blanks, no padding, bits behind the last byte). *len: bytes, without the NUL
 * that is put behind them. */
unsigned char *digest_unbase64(const void *mem, const char *text, size_t *len);

#endif
