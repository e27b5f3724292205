/* Keys, whose they are, and what was asked for. */
#include "base/arena.h"
#include "base/json.h"
#include "commands/caller.h"
#include "engine/idempotency.h"
#include "manifest/manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void *mem;

static int setup(void **state) {
  (void)state;
  mem = talloc_new(NULL);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  return talloc_free(mem);
}

static const char *read_key(const char *header) {
  struct err e;
  const char *key;

  err_init(&e, mem);
  key = idempotency_read(mem, header, &e);
  assert_true(key || e.code == ERR_BAD_REQUEST);
  return key;
}

static void test_forms(void **state) {
  static const char *const good[][2] = {
      {"k", "k"}, {"\"k\"", "k"}, {"\"a \\\"b\\\\\"", "a \"b\\"}, {"a\"b\\", "a\"b\\"}, {"~!,;=", "~!,;="}};
  static const char *const bad[] = {"",     "\"",  "\"\"", "\"a", "\"a\"b", "\"a\" ",   "\"\\a\"",
                                    "\"\\", "a b", " a",   "a\t", "\x7f",   "\xc3\xa4", "\"\xc3\xa4\""};
  char longest[IDEMPOTENCY_KEY_BYTES + 2];

  (void)state;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_string_equal(read_key(good[i][0]), good[i][1]);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_null(read_key(bad[i]));
  memset(longest, 'x', sizeof longest);
  longest[IDEMPOTENCY_KEY_BYTES + 1] = '\0';
  assert_null(read_key(longest));
  longest[IDEMPOTENCY_KEY_BYTES] = '\0';
  assert_string_equal(read_key(longest), longest);
}

static const struct idempotency *make(const char *role, const char *user, const char *claims, const char *key,
                                      const char *name, const char *args) {
  struct caller caller = {.role = role, .user = user, .claims = claims};
  struct command command = {.name = name};
  const struct json *value;
  struct err e;

  err_init(&e, mem);
  assert_true(json_read(mem, args, strlen(args), 64, &value, &e));
  return idempotency_new(mem, &caller, key, &command, value);
}

static bool same_id(const struct idempotency *a, const struct idempotency *b) {
  return strcmp(a->id, b->id) == 0 && strcmp(a->lock, b->lock) == 0;
}

static void test_whose(void **state) {
  const struct idempotency *first = make("customer", "1", NULL, "k", "c", "{}");

  (void)state;
  assert_int_equal(strlen(first->id), 2 + 64);
  assert_int_equal(strlen(first->fingerprint), 64);
  assert_true(same_id(first, make("customer", "1", "{\"exp\": 7, \"sub\": \"x\"}", "k", "other", "{\"a\": 1}")));
  assert_false(same_id(first, make("admin", "1", NULL, "k", "c", "{}")));
  assert_false(same_id(first, make("customer", "2", NULL, "k", "c", "{}")));
  assert_false(same_id(first, make("customer", "1", NULL, "l", "c", "{}")));
  assert_false(same_id(first, make("customer", NULL, NULL, "k", "c", "{}")));
  assert_false(same_id(make("customer", "1k", NULL, "", "c", "{}"), make("customer", "1", NULL, "k", "c", "{}")));
  /* Without a user the subject; and that is nobody of the same name. */
  first = make("customer", NULL, "{\"sub\": \"1\", \"exp\": 1}", "k", "c", "{}");
  assert_true(same_id(first, make("customer", NULL, "{\"exp\": 2, \"sub\": \"1\"}", "k", "c", "{}")));
  assert_false(same_id(first, make("customer", NULL, "{\"sub\": \"2\"}", "k", "c", "{}")));
  assert_false(same_id(first, make("customer", "1", NULL, "k", "c", "{}")));
  assert_true(same_id(make("customer", NULL, "{\"sub\": 1}", "k", "c", "{}"), make("customer", NULL, NULL, "k", "c", "{}")));
}

static bool same_request(const char *a, const char *b) {
  return strcmp(make("r", "u", NULL, "k", "c", a)->fingerprint, make("r", "u", NULL, "k", "c", b)->fingerprint) == 0;
}

static void test_what(void **state) {
  (void)state;
  assert_true(same_request("{\"a\": 1, \"b\": [{\"d\": 1, \"c\": 2}]}", "{\"b\":[{\"c\":2,\"d\":1}],\"\\u0061\":1}"));
  assert_false(same_request("{\"a\": 1}", "{\"a\": 1.0}"));
  assert_false(same_request("{\"a\": 1}", "{\"a\": \"1\"}"));
  assert_false(same_request("{\"a\": [1, 2]}", "{\"a\": [2, 1]}"));
  assert_false(same_request("{\"a\": null}", "{}"));
  assert_false(same_request("{\"a\": \"\\\"b\"}", "{\"a\": \"b\"}"));
  assert_string_not_equal(make("r", "u", NULL, "k", "c", "{}")->fingerprint,
                          make("r", "u", NULL, "k", "d", "{}")->fingerprint);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_forms, setup, teardown),
      cmocka_unit_test_setup_teardown(test_whose, setup, teardown),
      cmocka_unit_test_setup_teardown(test_what, setup, teardown),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
