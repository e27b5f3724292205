/* base/problems: counted, and told in the order of the files. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/problems.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What problems_print says. */
static const char *printed(const struct problems *p) {
  static char text[4096];
  FILE *file = tmpfile();
  int kept = dup(STDERR_FILENO);
  size_t n;

  assert_non_null(file);
  fflush(stderr);
  dup2(fileno(file), STDERR_FILENO);
  problems_print(p);
  fflush(stderr);
  dup2(kept, STDERR_FILENO);
  close(kept);
  rewind(file);
  n = fread(text, 1, sizeof text - 1, file);
  text[n] = '\0';
  fclose(file);
  return text;
}

static void test_order(void **state) {
  void *mem = talloc_new(NULL);
  struct problems p;
  char file[] = "b.yaml";
  int i;

  (void)state;
  problems_init(&p, mem);
  assert_string_equal(printed(&p), "");
  problems_add(&p, file, 10, "ten %s", "first");
  problems_add(&p, file, 9, "nine");
  problems_add(&p, file, 10, "ten second");
  problems_warn(&p, "a.yaml", 3, "%d%%", 50);
  problems_add(&p, file, 0, "whole");
  problems_add(&p, NULL, 0, "nowhere");
  memset(file, 'z', sizeof file - 1); /* names are copied */
  assert_int_equal(p.n, 6);
  assert_int_equal(p.errors, 5);
  assert_true(p.items[3].warning);
  assert_string_equal(printed(&p), "error: nowhere\n"
                                   "a.yaml:3: warning: 50%\n"
                                   "b.yaml: error: whole\n"
                                   "b.yaml:9: error: nine\n"
                                   "b.yaml:10: error: ten first\n"
                                   "b.yaml:10: error: ten second\n");
  assert_string_equal(p.items[0].text, "ten first"); /* the list stays as it was */
  for (i = 0; i < 1000; i++) problems_warn(&p, "c.yaml", i, "%d", i);
  assert_int_equal(p.n, 1006);
  assert_int_equal(p.errors, 5);
  talloc_free(mem);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_order)};

  return cmocka_run_group_tests(tests, NULL, NULL);
}
