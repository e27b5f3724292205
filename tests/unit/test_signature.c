/* services/signature: the vector that the Standard Webhooks libraries are tested with, keys in rotation, what is none. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/arena.h"
#include "services/signature.h"

#include <string.h>

#define OLD "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define OLD_SIGNS "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define NEW "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define NEW_SIGNS "v1,O4Gjv1HqPqsMrjmczoggs/sWA8gZD0VyHG+fLh4+ktI="

static const char id[] = "msg_p5jXN8AQM9LWM0D4loKWxJek";
static const char body[] = "{\"test\": 2432232314}";

static struct secret secret(void *mem, const char *text) {
  struct secret out;
  const char *why = NULL;

  if (!secret_read(mem, text, &out, &why)) fail_msg("%s", why);
  return out;
}

static void test_vector(void **state) {
  void *mem = talloc_new(NULL);
  struct secret key = secret(mem, OLD);

  (void)state;
  assert_int_equal(key.len, 24);
  assert_string_equal(signature_of(mem, &key, 1, id, 1614265330, body, strlen(body)), OLD_SIGNS);
  talloc_free(mem);
}

static void test_rotation(void **state) {
  void *mem = talloc_new(NULL);
  struct secret keys[] = {secret(mem, NEW), secret(mem, OLD)};

  (void)state;
  assert_string_equal(signature_of(mem, keys, 2, id, 1614265330, body, strlen(body)), NEW_SIGNS " " OLD_SIGNS);
  assert_string_equal(signature_of(mem, keys, 0, id, 1614265330, body, strlen(body)), "");
  talloc_free(mem);
}

/* Each part counts, and len is the body's end. */
static void test_what_is_signed(void **state) {
  void *mem = talloc_new(NULL);
  struct secret key = secret(mem, OLD);

  (void)state;
  assert_string_not_equal(signature_of(mem, &key, 1, "msg_2", 1614265330, body, strlen(body)), OLD_SIGNS);
  assert_string_not_equal(signature_of(mem, &key, 1, id, 1614265331, body, strlen(body)), OLD_SIGNS);
  assert_string_not_equal(signature_of(mem, &key, 1, id, 1614265330, body, strlen(body) - 1), OLD_SIGNS);
  assert_string_equal(signature_of(mem, &key, 1, id, 1614265330, "{\"test\": 2432232314} ", strlen(body)), OLD_SIGNS);
  talloc_free(mem);
}

static void test_sizes(void **state) {
  void *mem = talloc_new(NULL);

  (void)state;
  assert_int_equal(secret(mem, "whsec_a2tra2tra2tra2tra2tra2tra2tra2tr").len, 24);
  assert_int_equal(secret(mem, "whsec_a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tr"
                               "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2traw==")
                       .len,
                   64);
  talloc_free(mem);
}

static void test_no_secret(void **state) {
  static const char *const texts[] = {
      "",
      "whsec_",
      "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
      "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
      "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
      "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa!!",
      "whsec_a2tra2tra2tra2tra2tra2tra2tra2s=",                                                         /* 23 bytes */
      "whsec_a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=", /* 65 bytes */
  };
  void *mem = talloc_new(NULL);
  struct secret out;
  size_t i;

  (void)state;
  for (i = 0; i < sizeof texts / sizeof *texts; i++) {
    const char *why = NULL;

    assert_false(secret_read(mem, texts[i], &out, &why));
    assert_non_null(why);
    if (strlen(texts[i]) > 6) assert_null(strstr(why, texts[i] + 6));
  }
  talloc_free(mem);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_vector), cmocka_unit_test(test_rotation),  cmocka_unit_test(test_what_is_signed),
      cmocka_unit_test(test_sizes),  cmocka_unit_test(test_no_secret),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
