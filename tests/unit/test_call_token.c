/* Call tokens: what goes in comes out, nothing else comes in; keys derived from them. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "engine/call_token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const unsigned char secret[CALL_SECRET_BYTES] = "0123456789abcdef0123456789abcde";
static const unsigned char other[CALL_SECRET_BYTES] = "0123456789abcdef0123456789abcdf";
static const char uuid[] = "0198c0de-0000-7000-8000-000000000001";

static int setup(void **state) {
  *state = arena_request(NULL);
  return 0;
}

static int teardown(void **state) {
  talloc_free(*state);
  return 0;
}

static struct call_token sample(void) {
  static const struct mutex_held held[] = {{0, -2147483647}, {1, 5}};
  return (struct call_token){
      .caller = {.role = "member", .user = "7\xc3\xbc", .claims = "{\"role\": \"member\",\"n\":1.50}"},
      .mutation = uuid,
      .deadline_ms = clock_ms() + 60000,
      .depth = 3,
      .held = held,
      .nheld = 2,
      .key = "K-1"};
}

static bool reads(void *mem, const char *text) {
  struct call_token out;
  const char *why = NULL;
  bool ok = call_token_read(mem, secret, text, &out, &why);

  assert_non_null(why);
  return ok;
}

static void test_there_and_back(void **state) {
  struct call_token in = sample(), out;
  const char *why;
  const char *text = call_token_write(*state, secret, &in);

  for (const char *c = text; *c; c++) assert_true(*c > ' ' && *c < 0x7f);
  assert_true(call_token_read(*state, secret, text, &out, &why));
  assert_string_equal(out.caller.role, in.caller.role);
  assert_string_equal(out.caller.user, in.caller.user);
  assert_string_equal(out.caller.claims, in.caller.claims);
  assert_true(out.caller.inside);
  assert_string_equal(out.mutation, uuid);
  assert_int_equal(out.deadline_ms, in.deadline_ms);
  assert_int_equal(out.depth, 3);
  assert_int_equal(out.nheld, 2);
  assert_int_equal(out.held[0].lock, -2147483647);
  assert_int_equal(out.held[1].datasource, 1);
  assert_int_equal(out.held[1].lock, 5);
  assert_string_equal(out.key, "K-1");
}

static void test_what_is_not_there(void **state) {
  struct call_token in = {.caller.role = "anonymous", .mutation = uuid, .deadline_ms = clock_ms() + 60000, .depth = 1}, out;
  const char *why;

  assert_true(call_token_read(*state, secret, call_token_write(*state, secret, &in), &out, &why));
  assert_null(out.caller.user);
  assert_null(out.caller.claims);
  assert_null(out.key);
  assert_int_equal(out.nheld, 0);
}

/* Any bit of a token counts. */
static void test_changed(void **state) {
  struct call_token in = sample();
  char *text = call_token_write(*state, secret, &in);

  assert_true(reads(*state, text));
  for (size_t i = 0; text[i]; i++)
    for (unsigned bit = 0; bit < 8; bit++) {
      text[i] ^= (char)(1 << bit);
      if (text[i] && reads(*state, text)) fail_msg("changed at %zu, bit %u: %s", i, bit, text);
      text[i] ^= (char)(1 << bit);
    }
  for (size_t i = strlen(text); i-- > 0;) {
    text[i] = '\0';
    assert_false(reads(*state, text));
  }
}

static void test_not_ours(void **state) {
  struct call_token in = sample();
  const char *theirs = call_token_write(*state, other, &in), *ours = call_token_write(*state, secret, &in);
  struct digest_piece bare = {"eyJyb2xlIjoiYSJ9", 16};
  unsigned char digest[DIGEST_BYTES];
  char hex[DIGEST_HEX];

  assert_false(reads(*state, theirs));
  assert_false(reads(*state, ""));
  assert_false(reads(*state, "."));
  assert_false(reads(*state, arena_printf(*state, "%s.%s", ours, ours)));
  assert_false(reads(*state, arena_printf(*state, "%s ", ours)));
  /* The same secret, used for something else. */
  digest_hmac(secret, CALL_SECRET_BYTES, &bare, 1, digest);
  digest_hex(digest, hex);
  assert_false(reads(*state, arena_printf(*state, "eyJyb2xlIjoiYSJ9.%s", hex)));
}

static void test_deadline(void **state) {
  struct call_token in = sample(), out;
  const char *why;

  in.deadline_ms = clock_ms();
  assert_false(call_token_read(*state, secret, call_token_write(*state, secret, &in), &out, &why));
  assert_string_equal(why, "its deadline has passed");
}

static void test_keys(void **state) {
  struct call_token a = {.key = "K"}, b = {.key = "K1"};
  const char *keys[] = {call_token_key(*state, &a, "1x", NULL), call_token_key(*state, &b, "x", NULL),
                        call_token_key(*state, &a, NULL, "1x"), call_token_key(*state, &a, "x", NULL),
                        call_token_key(*state, &a, "", "x"),    call_token_key(*state, &a, NULL, "x")};

  for (size_t i = 0; i < 6; i++) {
    assert_true(strlen(keys[i]) <= CALL_KEY_BYTES);
    for (size_t j = 0; j < i; j++) assert_string_not_equal(keys[i], keys[j]);
  }
  assert_string_equal(keys[3], call_token_key(*state, &a, "x", "anything")); /* its own key counts, not what it does */
}

/* A call without a key: what the handler names is its own within the call. */
static void test_keys_without_a_key(void **state) {
  struct call_token a = {.mutation = uuid}, b = {.mutation = "0198c0de-0000-7000-8000-000000000002"};

  assert_null(call_token_key(*state, &a, NULL, "set"));
  assert_string_equal(call_token_key(*state, &a, "add", "set"), call_token_key(*state, &a, "add", "other"));
  assert_string_not_equal(call_token_key(*state, &a, "add", "set"), call_token_key(*state, &b, "add", "set"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
      TEST(test_there_and_back), TEST(test_what_is_not_there),  TEST(test_changed), TEST(test_not_ours), TEST(test_deadline),
      TEST(test_keys),           TEST(test_keys_without_a_key),
#undef TEST
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
