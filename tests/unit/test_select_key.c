/* What selections are known by: two that differ must never share a statement. */
#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"
#include "manifest/manifest.h"
#include "query/select.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *const known[] = {
    "null",
    "{}",
    "\"{ id }\"",
    "\"{ id name }\"",
    "\"{id}\"",
    "{\"id\":true}",
    "{\"id\":false}",
    "{\"id\":true,\"name\":true}",
    "{\"idname\":true}",
    "{\"a\":{\"field\":\"id\"}}",
    "{\"a\":{\"field\":\"name\"}}",
    "{\"a\":true,\"field\":true}",
    "{\"a\":{\"select\":{\"id\":true}}}",
    "{\"a\":{\"select\":{}},\"id\":true}",
    "{\"a\":{\"select\":{\"id\":true,\"b\":true}}}",
    "{\"a\":{\"select\":{\"id\":true}},\"b\":true}",
    "{\"a\":{\"field\":\"b\",\"select\":{\"id\":true}}}",
    "{\"a\":{\"field\":\"\"}}",
    "{\"m\":true}",
    "{\"a\":true,\"m\":true}",
    "{\"amm\":true}",
    "{\"a\":true,\"b\":true}",
    "{\"aamb\":true}",
    "{\"a\":{\"field\":\"amm\"}}",
};
enum { KNOWN = sizeof known / sizeof *known };

static const char *const unknown[] = {
    "\"{ posts(first: 1) { id } }\"",
    "{\"a\":{\"where\":{\"id\":\"1\"}}}",
    "{\"a\":{\"first\":1,\"select\":{\"id\":true}}}",
    "{\"a\":{\"select\":{\"b\":{\"last\":2}}}}",
    "{\"a\":{\"field\":1}}",
    "{\"a\":1}",
    "{\"a\":\"b\"}",
    "[]",
    "7",
    "{\"a\":[true]}",
};

static struct str *key_of(void *mem, const char *text, bool numbers_as_text, unsigned slot, size_t id) {
  struct compiler k = {.mem = mem, .numbers_as_text = numbers_as_text};
  struct command *command = arena_new(mem, struct command);
  struct node node = {.command = command, .slot = slot};
  struct expr value = {.kind = EXPR_LITERAL};
  struct err e;

  command->id = id;
  err_init(&e, mem);
  assert_true(json_read(mem, text, strlen(text), 16, &value.literal, &e));
  return select_key(&k, &node, &value);
}

static bool same(const struct str *a, const struct str *b) { return a->len == b->len && memcmp(a->p, b->p, a->len) == 0; }

static void different_selections_have_different_keys(void **state) {
  void *mem = talloc_new(NULL);
  (void)state;

  for (size_t i = 0; i < KNOWN; i++)
    for (size_t j = 0; j < KNOWN; j++) {
      struct str *a = key_of(mem, known[i], false, 0, 1), *b = key_of(mem, known[j], false, 0, 1);

      assert_non_null(a);
      assert_non_null(b);
      if (same(a, b) != (i == j)) fail_msg("%s and %s", known[i], known[j]);
    }
  talloc_free(mem);
}

static void what_the_statement_depends_on_is_in_the_key(void **state) {
  void *mem = talloc_new(NULL);
  const char *text = "{\"id\":true}";
  struct str *key = key_of(mem, text, false, 0, 1);
  (void)state;

  assert_false(same(key, key_of(mem, text, true, 0, 1)));
  assert_false(same(key, key_of(mem, text, false, 1, 1)));
  assert_false(same(key, key_of(mem, text, false, 0, 2)));
  assert_true(same(key_of(mem, text, false, 1, 1), key_of(mem, text, false, 2, 1))); /* the setting's name is a parameter */
  talloc_free(mem);
}

static void arguments_make_it_another_statement_each_time(void **state) {
  void *mem = talloc_new(NULL);
  (void)state;

  for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
    if (key_of(mem, unknown[i], false, 0, 1)) fail_msg("%s", unknown[i]);
  talloc_free(mem);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(different_selections_have_different_keys),
      cmocka_unit_test(what_the_statement_depends_on_is_in_the_key),
      cmocka_unit_test(arguments_make_it_another_statement_each_time),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
