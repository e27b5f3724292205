/* SHA-256, HMAC and base64 of libcrypto. What of it can fail is memory, or an OpenSSL that is set up without SHA-256: both
 * end the process, as arena.h does. */
#include "base/digest.h"

#include "base/arena.h"
#include "base/log.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

/* One per process, made when first needed: fetching an algorithm by name takes several times as long as hashing a small
 * request with it (OpenSSL's manual crypto(7), "Explicit fetching"). */
static struct {
  EVP_MD *sha256;
  EVP_MD_CTX *sha256_run;
  EVP_MAC_CTX *hmac_run;
} crypto;

static void must(bool done) {
  if (done) return;
  log_line(LOG_ERROR, "crypto_failed", "reason=\"out of memory, or OpenSSL has no SHA-256\"");
  abort();
}

void digest_sha256(const struct digest_piece *pieces, size_t n, unsigned char out[DIGEST_BYTES]) {
  size_t i;

  if (!crypto.sha256_run) {
    crypto.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    crypto.sha256_run = EVP_MD_CTX_new();
    must(crypto.sha256 && crypto.sha256_run);
  }
  must(EVP_DigestInit_ex2(crypto.sha256_run, crypto.sha256, NULL));
  for (i = 0; i < n; i++) must(EVP_DigestUpdate(crypto.sha256_run, pieces[i].data, pieces[i].len));
  must(EVP_DigestFinal_ex(crypto.sha256_run, out, NULL));
}

static void prepare_hmac(void) {
  char name[] = "SHA256";
  OSSL_PARAM params[] = {OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0), OSSL_PARAM_END};
  EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);

  must(hmac);
  crypto.hmac_run = EVP_MAC_CTX_new(hmac);
  EVP_MAC_free(hmac); /* the context has a reference of its own */
  must(crypto.hmac_run && EVP_MAC_CTX_set_params(crypto.hmac_run, params));
}

void digest_hmac(const void *key, size_t key_len, const struct digest_piece *pieces, size_t n,
                 unsigned char out[DIGEST_BYTES]) {
  size_t i, len;

  if (!crypto.hmac_run) prepare_hmac();
  /* A NULL key would be the last one again. */
  must(EVP_MAC_init(crypto.hmac_run, key ? key : (const void *)"", key_len, NULL));
  for (i = 0; i < n; i++) must(EVP_MAC_update(crypto.hmac_run, pieces[i].data, pieces[i].len));
  must(EVP_MAC_final(crypto.hmac_run, out, &len, DIGEST_BYTES) && len == DIGEST_BYTES);
}

void digest_hex(const unsigned char digest[DIGEST_BYTES], char text[DIGEST_HEX]) {
  static const char hex[] = "0123456789abcdef";
  size_t i;

  for (i = 0; i < DIGEST_BYTES; i++) {
    *text++ = hex[digest[i] >> 4];
    *text++ = hex[digest[i] & 15];
  }
  *text = '\0';
}

bool digest_equal(const void *a, const void *b, size_t len) { return CRYPTO_memcmp(a, b, len) == 0; }

char *digest_base64(const void *mem, const void *data, size_t len) {
  char *text;

  must(len <= INT_MAX / 2);
  text = arena_zero(mem, (len + 2) / 3 * 4 + 1, "char");
  EVP_EncodeBlock((unsigned char *)text, data, (int)len);
  return text;
}

unsigned char *digest_unbase64(const void *mem, const char *text, size_t *len) {
  size_t text_len = strlen(text), padding = 0;
  unsigned char *data;
  char *again;
  bool same;

  if (text_len % 4 != 0 || text_len > INT_MAX / 2) return NULL;
  while (padding < 2 && padding < text_len && text[text_len - padding - 1] == '=') padding++;
  data = arena_zero(mem, text_len / 4 * 3 + 1, "unsigned char");
  /* It takes blanks, and any bits behind the last byte: only what would be written so is base64. */
  if (EVP_DecodeBlock(data, (const unsigned char *)text, (int)text_len) < 0) return NULL;
  *len = text_len / 4 * 3 - padding;
  again = digest_base64(mem, data, *len);
  same = strcmp(again, text) == 0;
  talloc_free(again);
  return same ? data : NULL;
}
