/* Header fields: what counts as JSON, as acceptable, as a preference, as an id. */
#include "handlers/headers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

static void test_accept(void **state) {
  static const struct {
    const char *accept;
    bool ok;
  } cases[] = {
      {NULL, true},
      {"", true},
      {" , ,", true},
      {"garbage", true},
      {"application/json", true},
      {"APPLICATION/JSON ; charset=utf-8", true},
      {"application/*", true},
      {"*/*", true},
      {"text/html, */*;q=0.1", true},
      {"text/html", false},
      {"application/problem+json", false},
      {"application/jsonx", false},
      {"application/json;q=0", false},
      {"application/json; q=0.000", false},
      {"application/json;Q=0.0", false},
      {"application/json;q=0.001", true},
      {"*/*, application/json;q=0", false},
      {"application/json;q=0, */*", false},
      {"*/*;q=0, application/json", true},
      {"application/*;q=0, */*", false},
      {"application/json;q=0, application/json", true},
      {"text/html;x=\"application/json, */*\"", false},
      {"text/html;x=\"\\\",\", */*", true},
      {"text/html;x=\"unterminated, */*", false},
  };

  (void)state;
  for (size_t i = 0; i < COUNT(cases); i++) {
    if (headers_accept_json(cases[i].accept) != cases[i].ok) fail_msg("Accept: %s", cases[i].accept);
  }
}

static void test_content_type(void **state) {
  static const struct {
    const char *type;
    bool ok;
  } cases[] = {
      {NULL, false},
      {"", false},
      {"application/json", true},
      {"Application/JSON", true},
      {"application/json;", true},
      {"application/json; charset=utf-8", true},
      {"application/json; charset=\"UTF-8\"", true},
      {"application/json; charset=latin1", false},
      {"application/json; charset=utf-16", false},
      {"application/json; version=2", true},
      {"application/jsonp", false},
      {"application/merge-patch+json", false},
      {"text/plain", false},
      {"text/plain; application/json", false},
      {"application/x-www-form-urlencoded", false},
  };

  (void)state;
  for (size_t i = 0; i < COUNT(cases); i++) {
    if (headers_is_json(cases[i].type) != cases[i].ok) fail_msg("Content-Type: %s", cases[i].type);
  }
}

static void test_prefer(void **state) {
  static const struct {
    const char *prefer;
    bool rollback;
  } cases[] = {
      {NULL, false},
      {"", false},
      {"tx=rollback", true},
      {"tx=commit", false},
      {"tx", false},
      {"tx=", false},
      {"TX=\"Rollback\"", true},
      {" tx = rollback ", true},
      {"respond-async, tx=rollback", true},
      {"respond-async; tx=rollback", false},
      {"wait=100; foo=\"a, tx=commit\", tx=rollback; strict", true},
      {"tx=commit, tx=rollback", false},
      {"tx=rollback, tx=commit", true},
      {"x=\"tx=rollback\"", false},
      {"x=\"\\\", tx=rollback", false},
      {"tx=rollbacks", false},
      {"tx=roll", false},
      {",,tx=rollback", true},
      {"tx=rollback\\", false},
  };

  (void)state;
  for (size_t i = 0; i < COUNT(cases); i++) {
    if (headers_prefer(cases[i].prefer, "tx", "rollback") != cases[i].rollback) fail_msg("Prefer: %s", cases[i].prefer);
  }
}

static void test_request_id(void **state) {
  char longest[130];

  (void)state;
  assert_true(headers_request_id("a"));
  assert_true(headers_request_id("0198c7b4-0000-7000-8000-000000000000/x_y~"));
  assert_false(headers_request_id(NULL));
  assert_false(headers_request_id(""));
  assert_false(headers_request_id("a b"));
  assert_false(headers_request_id("a\"b"));
  assert_false(headers_request_id("a\\b"));
  assert_false(headers_request_id("a\nb"));
  assert_false(headers_request_id("caf\xc3\xa9"));
  snprintf(longest, sizeof longest, "%0128d", 0);
  assert_true(headers_request_id(longest));
  snprintf(longest, sizeof longest, "%0129d", 0);
  assert_false(headers_request_id(longest));
}

static void test_trace(void **state) {
  static const char *const wrong[] = {
      NULL,
      "",
      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
      "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      "00-00000000000000000000000000000000-b7ad6b7169203331-01",
      "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
      "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
  };
  char id[33];

  (void)state;
  assert_true(headers_trace_id("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", id));
  assert_string_equal(id, "0af7651916cd43dd8448eb211c80319c");
  assert_true(headers_trace_id("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-later", id));
  for (size_t i = 0; i < COUNT(wrong); i++) {
    if (headers_trace_id(wrong[i], id)) fail_msg("traceparent: %s", wrong[i]);
  }
}

static void test_text(void **state) {
  static const char *const wrong[] = {
      "a\tb",         "a\nb",     "\x7f",         "\x80",         "caf\xe9",
      "\xc0\xaf",     "\xc3",     "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
      "\xf8\x88\x80", "\xe2\x82", "\xc2\x85",     "\xf0\x9f\x98",
  };

  (void)state;
  assert_true(headers_is_text(""));
  assert_true(headers_is_text("J\xc3\xb6rg O'Neil \xe2\x82\xac \xf0\x9f\x98\x80 \xef\xbf\xbf"));
  for (size_t i = 0; i < COUNT(wrong); i++) {
    if (headers_is_text(wrong[i])) fail_msg("text %zu", i);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_accept),     cmocka_unit_test(test_content_type), cmocka_unit_test(test_prefer),
      cmocka_unit_test(test_request_id), cmocka_unit_test(test_trace),        cmocka_unit_test(test_text),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
