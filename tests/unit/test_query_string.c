/* handlers/query_string: what QUERY_STRING says. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/arena.h"
#include "handlers/query_string.h"

#include <string.h>

static const char *const names[] = {"after", "key", NULL};

/* "after|key" of a query, - for what was not given; or what is wrong with it. */
static const char *read(void *mem, const char *query) {
  const char *values[2];
  struct err e;

  err_init(&e, mem);
  if (!query_string_read(mem, query, names, values, &e)) {
    assert_int_equal(e.code, ERR_BAD_REQUEST);
    return e.message;
  }
  return arena_printf(mem, "%s|%s", values[0] ? values[0] : "-", values[1] ? values[1] : "-");
}

static void test_values(void **state) {
  static const struct {
    const char *query, *values;
  } rows[] = {
      {NULL, "-|-"},
      {"", "-|-"},
      {"&&", "-|-"},
      {"after=1", "1|-"},
      {"key=a&after=2", "2|a"},
      {"after&key=", "|"},
      {"key=a=b", "-|a=b"},
      {"key=a+b%20c%2Bd%26", "-|a b c+d&"},
      {"%6bey=%c3%a4", "-|\xc3\xa4"},
  };
  void *mem = talloc_new(NULL);

  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) assert_string_equal(read(mem, rows[i].query), rows[i].values);
  talloc_free(mem);
}

static void test_refused(void **state) {
  static const char *const wrong[] = {"other=1", "=1",      "after=1&after=1", "key=%",   "key=%4",
                                      "key=%4g", "key=%00", "key=%ff",         "key=%0a", "%zz=1"};
  void *mem = talloc_new(NULL);

  (void)state;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    if (strchr(read(mem, wrong[i]), '|')) fail_msg("taken: %s", wrong[i]);
  talloc_free(mem);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_values), cmocka_unit_test(test_refused)};

  arena_init();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
