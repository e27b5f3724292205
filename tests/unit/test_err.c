/* base/err: the table of codes is the one promised to clients, and filling an error leaves nothing of an older one. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

#include <string.h>

static void test_init(void **state) {
  struct err e;

  (void)state;
  memset(&e, 0x55, sizeof e);
  err_init(&e, NULL);
  assert_int_equal(e.code, ERR_NONE);
  assert_int_equal(e.index, -1);
  assert_int_equal(e.committed, -1);
  assert_string_equal(e.sqlstate, "");
  assert_null(e.message);
}

static void test_fill(void **state) {
  void *mem = talloc_new(NULL);
  struct err e;

  (void)state;
  err_init(&e, mem);
  assert_false(err_set(&e, UNIQUE_VIOLATION, "%s is taken", "tom"));
  assert_int_equal(e.code, ERR_UNIQUE_VIOLATION);
  assert_int_equal(e.status, 409);
  assert_false(e.retryable);
  assert_string_equal(e.message, "tom is taken");
  assert_string_equal(err_name(&e), "UNIQUE_VIOLATION");
  assert_non_null(strstr(e.file, "test_err.c"));
  assert_true(e.line > 0);

  e.index = 3;
  e.committed = 2;
  e.constraint = "c";
  e.retry_after_s = 9;
  memcpy(e.sqlstate, "23505", 6);
  assert_false(err_set(&e, DEADLOCK, "again: %s", e.message)); /* its own text as an argument */
  assert_string_equal(e.message, "again: tom is taken");
  assert_true(e.retryable);
  assert_int_equal(e.index, -1);
  assert_int_equal(e.committed, -1);
  assert_null(e.constraint);
  assert_int_equal(e.retry_after_s, 0);
  assert_string_equal(e.sqlstate, "");
  assert_ptr_equal(e.mem, mem);
  talloc_free(mem);
}

static void test_names(void **state) {
  enum err_code code = ERR_NONE;
  struct err e;

  (void)state;
  err_init(&e, NULL);
  e.code = ERR_OWN;
  e.own_code = "USERNAME_TAKEN";
  assert_string_equal(err_name(&e), "USERNAME_TAKEN");
  assert_int_equal(err_status(ERR_OWN), 422);
  e.code = ERR_RESULT_TOO_LARGE;
  assert_string_equal(err_name(&e), "TOO_LARGE");
  assert_int_equal(err_status(ERR_RESULT_TOO_LARGE), 422);
  e.code = ERR_TOO_LARGE;
  assert_string_equal(err_name(&e), "TOO_LARGE");
  assert_int_equal(err_status(ERR_TOO_LARGE), 413);

  assert_true(err_lookup("NOT_FOUND", &code));
  assert_int_equal(code, ERR_NOT_FOUND);
  assert_true(err_lookup("TIMEOUT", &code));
  assert_int_equal(code, ERR_TIMEOUT);
  assert_false(err_lookup("USERNAME_TAKEN", &code));
  assert_false(err_lookup("not_found", &code));
  assert_false(err_lookup("", &code));
  assert_false(err_lookup("NONE", &code));
  assert_false(err_lookup("OWN", &code));
  assert_int_equal(code, ERR_TIMEOUT);
}

/* Every row: found by its name, with a status and the title that err_title gives for it. */
static void test_table(void **state) {
  static const struct {
    enum err_code code;
    const char *name, *title;
    int status;
    bool retryable;
  } rows[] = {
#define ERR(code, status, title, retryable) {ERR_##code, #code, title, status, retryable},
#include "base/err.def"
#undef ERR
  };
  size_t i;

  (void)state;
  assert_int_equal(sizeof rows / sizeof *rows, ERR_OWN - 1);
  for (i = 0; i < sizeof rows / sizeof *rows; i++) {
    enum err_code code;
    struct err e;

    assert_true(err_lookup(rows[i].name, &code));
    assert_int_equal(code, rows[i].code);
    assert_in_range(err_status(code), 400, 599);
    assert_int_equal(err_status(code), rows[i].status);
    assert_string_equal(err_title(rows[i].status), rows[i].title);
    err_init(&e, NULL);
    err_fill(&e, code, __FILE__, __LINE__, "x");
    assert_int_equal(e.retryable, rows[i].retryable);
    talloc_free((void *)e.message);
  }
}

/* What is read is what was put, but for where in our code it was. */
static void test_read(void **state) {
  void *mem = talloc_new(NULL);
  struct str *first = str_new(mem, 256), *again = str_new(mem, 256);
  const struct json *problem;
  struct err e, read;

  (void)state;
  err_init(&e, mem);
  err_set(&e, UNIQUE_VIOLATION, "Taken.");
  e.prisma_code = 3010;
  e.index = 2;
  e.committed = 1;
  e.retryable = true;
  e.command = "createUser";
  e.path = "/commands/2/args/data/x~1y";
  e.argument = "data";
  strcpy(e.sqlstate, "23505");
  e.constraint = "k";
  e.column = "c";
  e.details = "d";
  e.hint = "h";
  err_put(first, &e, NULL);
  err_init(&read, mem);
  assert_true(json_read(mem, first->p, first->len, 10, &problem, &read));
  assert_false(err_read(&read, problem));
  assert_int_equal(read.code, ERR_UNIQUE_VIOLATION);
  err_put(again, &read, NULL);
  assert_string_equal(again->p, first->p);
  assert_true(json_read(mem, "{\"code\":\"MINE\",\"status\":418}", 28, 10, &problem, &read));
  assert_false(err_read(&read, problem));
  assert_int_equal(read.code, ERR_OWN);
  assert_string_equal(err_name(&read), "MINE");
  assert_int_equal(read.status, 418);
  talloc_free(mem);
}

static void test_titles(void **state) {
  int status;

  (void)state;
  assert_string_equal(err_title(409), "Conflict");
  assert_string_equal(err_title(418), "I'm a teapot");
  assert_string_equal(err_title(429), "Too Many Requests");
  assert_string_equal(err_title(498), "Bad Request");
  assert_string_equal(err_title(599), "Internal Server Error");
  assert_string_equal(err_title(202), "Accepted");
  for (status = 200; status < 600; status++) assert_true(strlen(err_title(status)) > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_init),  cmocka_unit_test(test_fill),   cmocka_unit_test(test_names),
      cmocka_unit_test(test_table), cmocka_unit_test(test_titles), cmocka_unit_test(test_read),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
