/* base/arena: zeroed memory, exact copies, growing arrays, and what happens when there is none. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/arena.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_new_is_zero(void **state) {
  void *mem = arena_request(NULL);
  struct {
    long a[50];
  } * one;
  int *many, i;

  (void)state;
  one = arena_zero(mem, sizeof *one, "one");
  many = arena_array(mem, int, 1000);
  for (i = 0; i < 50; i++) assert_int_equal(one->a[i], 0);
  for (i = 0; i < 1000; i++) assert_int_equal(many[i], 0);
  assert_non_null(arena_array(mem, int, 0));
  assert_string_equal(talloc_get_name(many), "int");
  talloc_free(mem);
}

static void test_copies(void **state) {
  void *mem = arena_request(NULL);
  char *bytes;

  (void)state;
  assert_null(arena_strdup(mem, NULL));
  assert_string_equal(arena_strdup(mem, ""), "");
  assert_string_equal(arena_strdup(mem, "abc"), "abc");
  assert_string_equal(arena_strndup(mem, "abcdef", 3), "abc");
  bytes = arena_strndup(mem, "a\0b", 3);
  assert_memory_equal(bytes, "a\0b", 4);
  assert_string_equal(arena_strndup(mem, "", 0), "");
  assert_string_equal(arena_printf(mem, "%d %s", 7, "x"), "7 x");
  talloc_free(mem);
}

static void test_grow(void **state) {
  void *mem = arena_request(NULL);
  int *numbers = NULL;
  size_t n, room, grown = 0;

  (void)state;
  for (n = 0; n < 10000; n++) {
    room = numbers ? talloc_get_size(numbers) : 0;
    arena_grow(mem, numbers, n);
    if (talloc_get_size(numbers) != room) grown++;
    assert_int_equal(numbers[n], 0);
    numbers[n] = (int)n + 1;
  }
  for (n = 0; n < 10000; n++) assert_int_equal(numbers[n], n + 1);
  assert_in_range(grown, 5, 15); /* by doubling */
  assert_ptr_equal(talloc_parent(numbers), mem);
  talloc_free(mem);
}

static void test_resize(void **state) {
  void *mem = arena_request(NULL);
  char *p = arena_resize(mem, NULL, 4);

  (void)state;
  memcpy(p, "abc", 4);
  p = arena_resize(mem, p, 100000); /* beyond the request's first block */
  assert_string_equal(p, "abc");
  p = arena_resize(mem, p, 0);
  assert_non_null(p);
  talloc_free(mem);
}

/* A request larger than its first block is whole, and all of it goes with the arena. */
static void test_request_overflows_to_the_heap(void **state) {
  void *top = talloc_new(NULL);
  void *mem = arena_request(top);
  int i;

  (void)state;
  for (i = 0; i < 1000; i++) memset(arena_array(mem, char, 1000), i, 1000);
  assert_int_equal(talloc_total_blocks(mem), 1001);
  talloc_free(mem);
  assert_int_equal(talloc_total_blocks(top), 1);
  talloc_free(top);
}

/* Runs f in a child with stderr in a pipe: true when it died of SIGABRT, having told so. */
static bool aborts(void (*f)(void), const char *event) {
  char said[5000] = "";
  int pipes[2], status;
  ssize_t n;
  pid_t pid;

  assert_int_equal(pipe(pipes), 0);
  pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    signal(SIGABRT, SIG_DFL); /* cmocka catches it */
    dup2(pipes[1], STDERR_FILENO);
    f();
    _exit(0);
  }
  close(pipes[1]);
  n = read(pipes[0], said, sizeof said - 1);
  close(pipes[0]);
  assert_true(n >= 0);
  assert_int_equal(waitpid(pid, &status, 0), pid);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(said, event);
}

/* talloc refuses 256 MB and more in one piece. */
static void too_large(void) { arena_strdup(arena_zero(NULL, (size_t)1 << 30, "huge"), "x"); }
static void too_many(void) { memset(arena_zeros(NULL, 8, ((size_t)1 << 32) + 1, "many"), 0, 1); }
static void too_large_to_grow(void) { memset(arena_resize(NULL, NULL, (size_t)1 << 30), 0, 1); }
static void bad_pointer(void) {
  static char none[200];

  arena_init();
  talloc_free(none + 100);
}

static void test_out_of_memory_aborts(void **state) {
  (void)state;
  assert_true(aborts(too_large, "out_of_memory"));
  assert_true(aborts(too_many, "out_of_memory"));
  assert_true(aborts(too_large_to_grow, "out_of_memory"));
  assert_true(aborts(bad_pointer, "talloc_failed"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_new_is_zero),
      cmocka_unit_test(test_copies),
      cmocka_unit_test(test_grow),
      cmocka_unit_test(test_resize),
      cmocka_unit_test(test_request_overflows_to_the_heap),
      cmocka_unit_test(test_out_of_memory_aborts),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
