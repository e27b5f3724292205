/* base/bell: who waits is woken, by another process too. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/bell.h"
#include "base/clock.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LONG_MS = 60000 };

/* A ring between the look and the wait is not missed: a wait of a minute would hang the test. */
static void test_rung_before(void **state) {
  struct bell bell = {0};
  uint32_t heard = bell_heard(&bell);

  (void)state;
  bell_ring(&bell);
  bell_wait(&bell, heard, LONG_MS);
  assert_int_not_equal(bell_heard(&bell), heard);
  assert_int_equal(bell.waiters, 0);
}

static void test_not_rung(void **state) {
  struct bell bell = {0};
  int64_t begun = clock_ms();

  (void)state;
  bell_wait(&bell, bell_heard(&bell), 20);
  assert_true(clock_ms() - begun >= 19);
}

/* All that wait, in other processes. */
static void test_across_processes(void **state) {
  struct bell *bell = mmap(NULL, sizeof *bell, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t children[3];
  int status;

  (void)state;
  assert_true(bell != MAP_FAILED);
  for (int i = 0; i < 3; i++)
    if ((children[i] = fork()) == 0) {
      bell_wait(bell, 0, LONG_MS);
      _exit(bell_heard(bell) == 1 ? 0 : 1);
    }
  while (__atomic_load_n(&bell->waiters, __ATOMIC_SEQ_CST) < 3) usleep(1000);
  bell_ring(bell);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(waitpid(children[i], &status, 0), children[i]);
    assert_int_equal(status, 0);
  }
  munmap(bell, sizeof *bell);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_rung_before), cmocka_unit_test(test_not_rung),
                                     cmocka_unit_test(test_across_processes)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
