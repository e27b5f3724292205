/* Signatures of webhooks: HMAC-SHA-256 over id, time and body. */
#include "services/signature.h"

#include "base/arena.h"
#include "base/digest.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Of the specification, "Signature scheme": 192 to 512 bits. */
enum { KEY_MIN = 24, KEY_MAX = 64 };

bool secret_read(const void *mem, const char *text, struct secret *out, const char **why) {
  static const char prefix[] = "whsec_";

  if (strncmp(text, prefix, sizeof prefix - 1) != 0) {
    *why = "a signing secret begins with whsec_";
    return false;
  }
  out->key = digest_unbase64(mem, text + sizeof prefix - 1, &out->len);
  if (!out->key) {
    *why = "behind whsec_ of a signing secret stands base64, with padding";
    return false;
  }
  if (out->len < KEY_MIN || out->len > KEY_MAX) {
    *why = "a signing secret has 24 to 64 bytes";
    return false;
  }
  return true;
}

const char *signature_of(const void *mem, const struct secret *secrets, size_t n, const char *id, int64_t seconds,
                         const char *body, size_t len) {
  struct str *value = str_new(mem, 64 * n + 1); /* one takes 48 */
  unsigned char digest[DIGEST_BYTES];
  char time[24];
  struct digest_piece pieces[] = {{id, strlen(id)}, {time, 0}, {body, len}};
  size_t i;

  pieces[1].len = (size_t)snprintf(time, sizeof time, ".%" PRId64 ".", seconds);
  for (i = 0; i < n; i++) {
    digest_hmac(secrets[i].key, secrets[i].len, pieces, sizeof pieces / sizeof *pieces, digest);
    str_printf(value, "%sv1,%s", i > 0 ? " " : "", digest_base64(value, digest, sizeof digest));
  }
  return value->p;
}
