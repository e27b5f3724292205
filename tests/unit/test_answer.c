/* Answers: an error as problem+json, member by member. */
#include "base/arena.h"
#include "base/str.h"
#include "handlers/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *header(const struct answer *a, const char *name) {
  for (size_t i = 0; i < a->nheaders; i++)
    if (strcmp(a->headers[i].name, name) == 0) return a->headers[i].value;
  return NULL;
}

static void test_short(void **state) {
  void *mem = arena_request(NULL);
  struct answer a;
  struct err e;

  (void)state;
  answer_init(&a, mem, "r-1");
  assert_int_equal(a.status, 200);
  assert_string_equal(a.content_type, "application/json");
  str_add(a.body, "half an answer");
  err_init(&e, mem);
  err_set(&e, BAD_JSON, "Line 1, column 2: \"%s\"", "x");
  answer_error(&a, &e, "r-1");
  assert_int_equal(a.status, 400);
  assert_string_equal(a.content_type, "application/problem+json");
  assert_string_equal(a.body->p, "{\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,\"code\":\"BAD_JSON\","
                                 "\"detail\":\"Line 1, column 2: \\\"x\\\"\",\"retryable\":false,\"request_id\":\"r-1\"}");
  assert_string_equal(header(&a, "X-Request-Id"), "r-1");
  assert_string_equal(header(&a, "Cache-Control"), "no-store");
  assert_null(header(&a, "Retry-After"));
  assert_null(header(&a, "WWW-Authenticate"));
  talloc_free(mem);
}

static void test_full(void **state) {
  void *mem = arena_request(NULL);
  struct answer a;
  struct err e;

  (void)state;
  answer_init(&a, mem, "r-2");
  err_init(&e, mem);
  err_set(&e, DEADLOCK, "m");
  e.log_detail = "for the log only";
  memcpy(e.sqlstate, "40P01", 6);
  e.constraint = "c";
  e.column = "col";
  e.details = "d";
  e.hint = "h";
  e.index = 0;
  e.command = "add_pet";
  e.path = "/commands/0/args/x";
  e.argument = "x";
  e.committed = 0;
  e.retry_after_s = 7;
  answer_error(&a, &e, "r-2");
  assert_string_equal(
      a.body->p, "{\"type\":\"about:blank\",\"title\":\"Conflict\",\"status\":409,\"code\":\"DEADLOCK\",\"detail\":\"m\","
                 "\"command\":\"add_pet\",\"index\":0,\"path\":\"/commands/0/args/x\",\"argument\":\"x\","
                 "\"sqlstate\":\"40P01\",\"constraint\":\"c\",\"column\":\"col\",\"details\":\"d\",\"hint\":\"h\","
                 "\"committed\":0,\"retryable\":true,\"request_id\":\"r-2\"}");
  assert_string_equal(header(&a, "Retry-After"), "7");
  talloc_free(mem);
}

static void test_own_code(void **state) {
  void *mem = arena_request(NULL);
  struct answer a;
  struct err e;

  (void)state;
  answer_init(&a, mem, "r-3");
  err_init(&e, mem);
  err_fill(&e, ERR_OWN, __FILE__, __LINE__, "No.");
  e.own_code = "USERNAME_TAKEN";
  e.status = 401;
  answer_error(&a, &e, "r-3");
  assert_non_null(strstr(a.body->p, "\"code\":\"USERNAME_TAKEN\""));
  assert_non_null(strstr(a.body->p, "\"title\":\"Unauthorized\""));
  assert_string_equal(header(&a, "WWW-Authenticate"), "Writ");
  talloc_free(mem);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_short),
      cmocka_unit_test(test_full),
      cmocka_unit_test(test_own_code),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
