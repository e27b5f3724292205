/* base/digest: the vectors of FIPS 180-4 (NIST's examples), RFC 4231 and RFC 4648; what is not base64. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/digest.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *sha256(const char *text, size_t len) {
  static char hex[DIGEST_HEX];
  const struct digest_piece piece = {text, len};
  unsigned char digest[DIGEST_BYTES];

  digest_sha256(&piece, 1, digest);
  digest_hex(digest, hex);
  return hex;
}

static void test_sha256(void **state) {
  const char *two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  char *million = malloc(1000000);

  (void)state;
  memset(million, 'a', 1000000);
  assert_string_equal(sha256("abc", 3), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  assert_string_equal(sha256("", 0), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  assert_string_equal(sha256(two_blocks, 56), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  assert_string_equal(sha256(million, 1000000), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  free(million);
}

static void test_pieces(void **state) {
  const struct digest_piece pieces[] = {{"a", 1}, {"", 0}, {"bc", 2}, {NULL, 0}};
  unsigned char parts[DIGEST_BYTES], whole[DIGEST_BYTES], none[DIGEST_BYTES];

  (void)state;
  digest_sha256(pieces, 4, parts);
  digest_sha256(&(struct digest_piece){"abc", 3}, 1, whole);
  assert_memory_equal(parts, whole, sizeof whole);
  digest_sha256(NULL, 0, none);
  assert_memory_not_equal(none, whole, sizeof whole);
  assert_true(digest_equal(parts, whole, sizeof whole));
  assert_false(digest_equal(none, whole, sizeof whole));
  parts[DIGEST_BYTES - 1] ^= 1;
  assert_false(digest_equal(parts, whole, sizeof whole));
  assert_true(digest_equal(parts, whole, sizeof whole - 1));
}

static const char *hmac(const char *key, size_t key_len, const char *text, size_t len) {
  static char hex[DIGEST_HEX];
  const struct digest_piece pieces[] = {{text, len / 2}, {text + len / 2, len - len / 2}};
  unsigned char digest[DIGEST_BYTES];

  digest_hmac(key, key_len, pieces, 2, digest);
  digest_hex(digest, hex);
  return hex;
}

static void test_hmac(void **state) {
  const char *long_text = "This is a test using a larger than block-size key and a larger than block-size data. The key "
                          "needs to be hashed before being used by the HMAC algorithm.";
  char key[131], text[50];
  int i;

  (void)state;
  memset(key, 0x0b, 20);
  assert_string_equal(hmac(key, 20, "Hi There", 8), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  assert_string_equal(hmac("Jefe", 4, "what do ya want for nothing?", 28),
                      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  memset(key, 0xaa, sizeof key);
  memset(text, 0xdd, sizeof text);
  assert_string_equal(hmac(key, 20, text, 50), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
  assert_string_equal(hmac(key, 131, "Test Using Larger Than Block-Size Key - Hash Key First", 54),
                      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  assert_string_equal(hmac(key, 131, long_text, strlen(long_text)),
                      "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
  for (i = 0; i < 25; i++) key[i] = (char)(i + 1);
  memset(text, 0xcd, sizeof text);
  assert_string_equal(hmac(key, 25, text, 50), "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
  /* An empty key is a key: not the one before. */
  assert_string_equal(hmac("", 0, "", 0), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
  assert_string_equal(hmac(NULL, 0, "", 0), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

/* What one process has made ahead serves its children as well. */
static void test_after_fork(void **state) {
  char before[DIGEST_HEX];
  pid_t child;
  int status;

  (void)state;
  strcpy(before, hmac("key", 3, "text", 4));
  child = fork();
  assert_true(child >= 0);
  if (child == 0)
    _exit(strcmp(before, hmac("key", 3, "text", 4)) == 0 && strncmp(sha256("abc", 3), "ba7816bf", 8) == 0 ? 0 : 1);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
}

static void test_base64(void **state) {
  static const char *const texts[] = {
      "",         "",      "f",        "Zg==",   "fo",       "Zm8=",         "foo",  "Zm9v",     "foob",
      "Zm9vYg==", "fooba", "Zm9vYmE=", "foobar", "Zm9vYmFy", "\xff\xfe\xfd", "//79", "\xfb\xf0", "+/A="};
  void *mem = talloc_new(NULL);
  size_t i, len;

  (void)state;
  for (i = 0; i < sizeof texts / sizeof *texts; i += 2) {
    unsigned char *data = digest_unbase64(mem, texts[i + 1], &len);

    assert_string_equal(digest_base64(mem, texts[i], strlen(texts[i])), texts[i + 1]);
    assert_non_null(data);
    assert_int_equal(len, strlen(texts[i]));
    assert_memory_equal(data, texts[i], len + 1);
  }
  talloc_free(mem);
}

static void test_not_base64(void **state) {
  static const char *const texts[] = {
      "Z",    "Zg",   "Zg=",  "Zm8",      "Zh==",     "Zm9=", "Zm9v=",  "=",     "==",
      "===",  "====", "Z===", "Zg==Zg==", " Zm9",     "Zm9 ", "Zm9v\n", "\nZm9", "Zm9v\n\n\n\n",
      "    ", "Zm-v", "Zm_v", "Zm.v",     "Zm9v Zm9", "=m9v", "Z=9v",   "Zm=v",  "\xc3\xa4\xc3\xa4"};
  void *mem = talloc_new(NULL);
  size_t i, len;

  (void)state;
  for (i = 0; i < sizeof texts / sizeof *texts; i++)
    if (digest_unbase64(mem, texts[i], &len)) fail_msg("\"%s\" was taken for base64", texts[i]);
  talloc_free(mem);
}

/* Every byte in every place comes back. */
static void test_base64_bytes(void **state) {
  void *mem = talloc_new(NULL);
  unsigned char bytes[256];
  size_t i, len;

  (void)state;
  for (i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(i * 7);
  for (i = 0; i <= sizeof bytes; i++) {
    unsigned char *data = digest_unbase64(mem, digest_base64(mem, bytes, i), &len);

    assert_non_null(data);
    assert_int_equal(len, i);
    assert_memory_equal(data, bytes, i);
  }
  talloc_free(mem);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sha256),     cmocka_unit_test(test_pieces),     cmocka_unit_test(test_hmac),
      cmocka_unit_test(test_base64),     cmocka_unit_test(test_not_base64), cmocka_unit_test(test_base64_bytes),
      cmocka_unit_test(test_after_fork),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
