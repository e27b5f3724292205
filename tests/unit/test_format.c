/* base/format: says what vsnprintf says, in any room. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/format.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

enum { ROOM = 80 };

__attribute__((format(printf, 1, 2))) static void same(const char *format, ...) {
  for (size_t size = 0; size < ROOM; size++) {
    char expected[ROOM], got[ROOM];
    int wanted, n;
    va_list args;

    memset(expected, 'x', sizeof expected);
    memset(got, 'x', sizeof got);
    va_start(args, format);
    wanted = vsnprintf(expected, size, format, args);
    va_end(args);
    va_start(args, format);
    n = format_text(got, size, format, args);
    va_end(args);
    assert_int_equal(n, wanted);
    if (size) assert_string_equal(got, expected);
    for (size_t i = size; i < ROOM; i++) assert_int_equal(got[i], 'x'); /* nothing is written behind its end */
  }
}

static void test_own(void **state) {
  (void)state;
  same("no conversion at all");
  same("%s", "");
  same("%s, %s: %s", "a", "a longer text with \xc3\xbc", "c");
  same("$%u::%s", 17u, "text");
  same("%d %d %d %d %d", 0, 7, -7, INT_MAX, INT_MIN);
  same("%u %u %u", 0u, 10u, UINT_MAX);
  same("%zu and %zu%s", (size_t)123456789012, SIZE_MAX, "");
  same("100%% of %s", "it");
}

static void test_others(void **state) {
  (void)state;
  same("%zd, %zx and %s", (ssize_t)-5, (size_t)255, "what stands behind");
  same("%s %.*s %d %s", "before", 3, "abcdef", -1, "behind");
  same("%5d|%-5d|%05d|%x|%c|%lld|%g", 42, 42, 42, 255u, 'c', -5LL, 1.5);
  same("%s%%%5s%%%s", "a", "b", "c");
}

static void test_null(void **state) {
  const char *volatile none = NULL; /* the compiler is not to see it */

  (void)state;
  same("<%s>", none);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_own),
      cmocka_unit_test(test_others),
      cmocka_unit_test(test_null),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
