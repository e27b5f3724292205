/* base/counters: the limits of the buckets, and that processes see each other's numbers. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/counters.h"

#include <sys/wait.h>
#include <unistd.h>

static void test_buckets(void **state) {
  unsigned i;

  (void)state;
  assert_int_equal(counters_bucket(-1), 0);
  assert_int_equal(counters_bucket(0), 0);
  assert_int_equal(counters_bucket(499), 0);
  /* A limit belongs to its bucket: Prometheus's le. */
  for (i = 0; i < COUNTERS_BUCKETS; i++) {
    assert_int_equal(counters_bucket((int64_t)500 << i), i);
    assert_int_equal(counters_bucket(((int64_t)500 << i) + 1), i + 1);
  }
  assert_int_equal(counters_bucket(4096000), COUNTERS_BUCKETS - 1);
  assert_int_equal(counters_bucket(4096001), COUNTERS_BUCKETS);
  assert_int_equal(counters_bucket(INT64_MAX), COUNTERS_BUCKETS);
}

static void test_shared(void **state) {
  struct counters_page *page = counters_create(3);
  int status;
  pid_t pid;

  (void)state;
  assert_non_null(page);
  assert_int_equal(page->slots, 3);
  assert_int_equal(page->slot[2].commits, 0);
  assert_int_equal((uintptr_t)&page->slot[0] % 64, 0);
  assert_int_equal((uintptr_t)&page->slot[1] % 64, 0);
  pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    page->slot[2].commits = 7;
    page->slot[2].request_bucket[COUNTERS_BUCKETS] = 8;
    _exit(0);
  }
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_int_equal(page->slot[2].commits, 7);
  assert_int_equal(page->slot[2].request_bucket[COUNTERS_BUCKETS], 8);
  assert_int_equal(page->slot[1].commits, 0);
}

static void test_places_to_wait(void **state) {
  struct counters_page *page = counters_create(4);

  (void)state;
  page->slot[3].pool = 1;
  assert_true(counters_wait_begin(page, &page->slot[0], 2));
  assert_true(counters_wait_begin(page, &page->slot[1], 2));
  assert_false(counters_wait_begin(page, &page->slot[2], 2));
  assert_int_equal(page->slot[2].waiting, 0);
  assert_true(counters_wait_begin(page, &page->slot[3], 1)); /* the other pool */
  counters_wait_end(&page->slot[0]);
  assert_true(counters_wait_begin(page, &page->slot[2], 2));
  assert_true(counters_wait_begin(page, &page->slot[2], 2)); /* its own place is not another's */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_buckets),
      cmocka_unit_test(test_shared),
      cmocka_unit_test(test_places_to_wait),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
