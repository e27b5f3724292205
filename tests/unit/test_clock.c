/* base/clock: time goes forward; UUIDs (version 7) have the right form, sort in order, and differ between processes. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/clock.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void test_monotonic(void **state) {
  const struct timespec nap = {.tv_nsec = 2000000};
  int64_t before = clock_us(), after;

  (void)state;
  nanosleep(&nap, NULL);
  after = clock_us();
  assert_true(after - before >= 2000);
  assert_true(after - before < 5000000);
  assert_true(clock_ms() >= after / 1000);
}

static void test_uuid_form(void **state) {
  char text[37];
  size_t i;

  (void)state;
  clock_uuid7(text);
  assert_int_equal(strlen(text), 36);
  for (i = 0; i < 36; i++) {
    if (i == 8 || i == 13 || i == 18 || i == 23) assert_int_equal(text[i], '-');
    else assert_true(isdigit((unsigned char)text[i]) || (text[i] >= 'a' && text[i] <= 'f'));
  }
  assert_int_equal(text[14], '7');
  assert_non_null(strchr("89ab", text[19]));
}

static void test_uuid_time(void **state) {
  char text[37], digits[13];
  time_t now = time(NULL);
  long long ms;

  (void)state;
  clock_uuid7(text);
  memcpy(digits, text, 8);
  memcpy(digits + 8, text + 9, 4);
  digits[12] = '\0';
  ms = strtoll(digits, NULL, 16);
  assert_true(ms / 1000 >= now - 1 && ms / 1000 <= now + 5);
}

/* Many in one millisecond: more than the count in rand_a can hold. */
static void test_uuid_order(void **state) {
  char last[37], next[37];
  int i;

  (void)state;
  clock_uuid7(last);
  for (i = 0; i < 200000; i++) {
    clock_uuid7(next);
    if (strcmp(last, next) >= 0) fail_msg("%s came before %s", last, next);
    memcpy(last, next, sizeof last);
  }
}

/* 25 characters, as Prisma 1's: c, 13 digits of the time, 11 random ones. */
static void test_cuid_form(void **state) {
  char text[26], digits[14];
  time_t now = time(NULL);
  long long us;

  (void)state;
  clock_cuid(text);
  assert_int_equal(strlen(text), 25);
  assert_int_equal(text[0], 'c');
  assert_int_equal(strspn(text, "0123456789abcdef"), 25);
  memcpy(digits, text + 1, 13);
  digits[13] = '\0';
  us = strtoll(digits, NULL, 16);
  assert_true(us / 1000000 >= now - 1 && us / 1000000 <= now + 5);
}

/* Many more than there are microseconds meanwhile; and the random part is another each time. */
static void test_cuid_order(void **state) {
  char last[26], next[26];

  (void)state;
  clock_cuid(last);
  for (int i = 0; i < 200000; i++) {
    clock_cuid(next);
    if (strncmp(last, next, 14) >= 0) fail_msg("%s came before %s", last, next);
    assert_string_not_equal(last + 14, next + 14);
    memcpy(last, next, sizeof last);
  }
}

/* A worker must not repeat what its parent or its sister says, though it began with the same memory. */
static void test_uuid_after_fork(void **state) {
  char texts[3][37];
  int pipes[2], i;

  (void)state;
  clock_uuid7(texts[0]);
  assert_int_equal(pipe(pipes), 0);
  for (i = 0; i < 2; i++) {
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
      clock_uuid7(texts[0]);
      _exit(write(pipes[1], texts[0], sizeof texts[0]) == sizeof texts[0] ? 0 : 1);
    }
    assert_int_equal(read(pipes[0], texts[i + 1], sizeof texts[0]), sizeof texts[0]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
  }
  clock_uuid7(texts[0]);
  /* The random part: behind the variant digit. */
  assert_string_not_equal(texts[0] + 20, texts[1] + 20);
  assert_string_not_equal(texts[0] + 20, texts[2] + 20);
  assert_string_not_equal(texts[1] + 20, texts[2] + 20);
  close(pipes[0]);
  close(pipes[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_monotonic),       cmocka_unit_test(test_uuid_form), cmocka_unit_test(test_uuid_time),
      cmocka_unit_test(test_uuid_order),      cmocka_unit_test(test_cuid_form), cmocka_unit_test(test_cuid_order),
      cmocka_unit_test(test_uuid_after_fork),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
