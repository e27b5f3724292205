/* Places in handlers: never more are taken than there are, by processes that race for them; none is lost. */
#include "base/counters.h"
#include "engine/crowd.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { WORKERS = 8, ROUNDS = 200000 };

static struct counters_page *page_of(unsigned slots) {
  struct counters_page *page = counters_create(slots);

  assert_non_null(page);
  for (unsigned i = 0; i < slots; i++) page->slot[i].pool = 1;
  return page;
}

static void test_places(void **state) {
  struct counters_page *page = page_of(3);

  (void)state;
  assert_false(crowd_enter(page, &page->slot[0], 0));
  assert_false(crowd_enter(page, &page->slot[0], -1));
  assert_true(crowd_enter(page, &page->slot[0], 2));
  assert_true(crowd_enter(page, &page->slot[1], 2));
  assert_false(crowd_enter(page, &page->slot[2], 2));
  assert_int_equal(page->slot[2].handler, 0);
  crowd_leave(&page->slot[0]);
  assert_true(crowd_enter(page, &page->slot[2], 2));
  page->slot[1].handler = 0; /* as the supervisor does for a worker that was killed */
  assert_true(crowd_enter(page, &page->slot[0], 2));
}

/* A border worker's flag is not counted. */
static void test_border(void **state) {
  struct counters_page *page = page_of(3);

  (void)state;
  page->slot[0].pool = 0;
  page->slot[0].handler = 1;
  assert_true(crowd_enter(page, &page->slot[1], 1));
  assert_false(crowd_enter(page, &page->slot[2], 1));
}

static void race(struct counters_page *page, unsigned own, int most, volatile int *in, volatile int *over) {
  for (int i = 0; i < ROUNDS; i++) {
    if (!crowd_enter(page, &page->slot[own], most)) continue;
    if (__atomic_add_fetch(in, 1, __ATOMIC_SEQ_CST) > most) *over = 1;
    sched_yield();
    __atomic_sub_fetch(in, 1, __ATOMIC_SEQ_CST);
    crowd_leave(&page->slot[own]);
  }
}

static void test_race(void **state) {
  struct counters_page *page = page_of(WORKERS);
  int *shared = mmap(NULL, 2 * sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

  (void)state;
  for (unsigned i = 0; i < WORKERS; i++)
    if (fork() == 0) {
      srandom(i + 1);
      race(page, i, 3, &shared[0], &shared[1]);
      _exit(0);
    }
  while (wait(NULL) > 0) continue;
  assert_int_equal(shared[1], 0);
  for (unsigned i = 0; i < WORKERS; i++) assert_int_equal(page->slot[i].handler, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_places),
      cmocka_unit_test(test_border),
      cmocka_unit_test(test_race),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
