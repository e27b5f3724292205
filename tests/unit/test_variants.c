/* The bounded cache of statements. */
#include "base/arena.h"
#include "compile/variants.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct statement add(struct variants *v, void *mem, unsigned key) {
  return variants_add(v, mem, &key, sizeof key, arena_printf(mem, "select %u", key));
}

static void finds_what_was_added(void **state) {
  void *mem = talloc_new(NULL);
  struct variants *v = variants_new(mem);
  unsigned key = 7, other = 8;
  struct statement added = add(v, mem, key), found;
  (void)state;

  assert_true(variants_find(v, &key, sizeof key, &found));
  assert_string_equal(found.sql, "select 7");
  assert_int_equal(found.slot, added.slot);
  assert_int_equal(found.gen, added.gen);
  assert_true(found.slot >= STATEMENT_FIXED && found.slot < STATEMENT_SLOTS);
  assert_false(variants_find(v, &other, sizeof other, &found));
  variants_clear(v);
  assert_false(variants_find(v, &key, sizeof key, &found));
  talloc_free(mem);
}

static void stays_bounded_and_keeps_what_is_used(void **state) {
  void *mem = talloc_new(NULL), *request = talloc_new(mem);
  struct variants *v = variants_new(mem);
  unsigned hot = 0;
  struct statement first = add(v, request, hot), found;
  size_t kept = 0;
  (void)state;

  for (unsigned key = 1; key <= 10000; key++) {
    struct statement s = add(v, request, key);
    assert_true(s.slot < STATEMENT_SLOTS && s.gen != 0);
    assert_true(variants_find(v, &hot, sizeof hot, &found)); /* in use: it never gives way */
  }
  assert_int_equal(found.gen, first.gen);
  for (unsigned key = 0; key <= 10000; key++) kept += variants_find(v, &key, sizeof key, &found);
  assert_true(kept <= STATEMENT_SLOTS - STATEMENT_FIXED);
  talloc_free(mem);
}

static void a_slot_taken_over_has_another_generation(void **state) {
  void *mem = talloc_new(NULL), *request = talloc_new(mem);
  struct variants *v = variants_new(mem);
  static uint32_t gens[STATEMENT_SLOTS];
  (void)state;

  for (unsigned key = 0; key < 5000; key++) {
    struct statement s = add(v, request, key);
    assert_int_not_equal(gens[s.slot], s.gen);
    gens[s.slot] = s.gen;
  }
  talloc_free(mem);
}

static void a_text_in_hand_outlives_its_place(void **state) {
  void *mem = talloc_new(NULL), *request = talloc_new(mem);
  struct variants *v = variants_new(mem);
  struct statement first = add(v, request, 0);
  (void)state;

  for (unsigned key = 1; key < 5000; key++) add(v, request, key);
  assert_string_equal(first.sql, "select 0"); /* under ASan: not freed */
  talloc_free(mem);
}

/* A client can make statements long: few of those are kept. */
static void few_long_ones_are_kept(void **state) {
  enum { BYTES = 10000, N = 100 };
  void *mem = talloc_new(NULL), *request = talloc_new(mem);
  struct variants *v = variants_new(mem);
  char *key = talloc_zero_array(mem, char, BYTES);
  struct statement found;
  size_t kept = 0;
  (void)state;

  for (int i = 0; i < N; i++) {
    key[BYTES - 1] = (char)i;
    variants_add(v, request, key, BYTES, "select 1");
    assert_true(variants_find(v, key, BYTES, &found));
  }
  for (int i = 0; i < N; i++) {
    key[BYTES - 1] = (char)i;
    kept += variants_find(v, key, BYTES, &found);
  }
  assert_int_equal(kept, 4);
  talloc_free(mem);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_what_was_added),
      cmocka_unit_test(stays_bounded_and_keeps_what_is_used),
      cmocka_unit_test(a_slot_taken_over_has_another_generation),
      cmocka_unit_test(a_text_in_hand_outlives_its_place),
      cmocka_unit_test(few_long_ones_are_kept),
  };

  arena_init();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
