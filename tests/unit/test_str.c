/* base/str: growing, and quoting for JSON and SQL. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

static void test_grow(void **state) {
  void *mem = talloc_new(NULL);
  struct str *s = str_new(mem, 0);
  size_t i;

  (void)state;
  assert_string_equal(s->p, "");
  for (i = 0; i < 10000; i++) {
    str_char(s, (char)('a' + i % 26));
    assert_int_equal(s->len, i + 1);
    assert_int_equal(s->p[s->len], '\0');
    assert_true(s->cap > s->len);
  }
  for (i = 0; i < 10000; i++) assert_int_equal(s->p[i], 'a' + i % 26);
  str_clear(s);
  assert_int_equal(s->len, 0);
  assert_string_equal(s->p, "");
  str_add(s, "x");
  str_add(s, "");
  str_bytes(s, "a\0b", 3);
  str_bytes(s, NULL, 0);
  assert_int_equal(s->len, 4);
  assert_memory_equal(s->p, "xa\0b", 5);
  talloc_free(mem);
}

/* Every length round the ends of the room that there is. */
static void test_exact_fit(void **state) {
  static char bytes[300];
  size_t n;

  (void)state;
  memset(bytes, 'b', sizeof bytes - 1);
  for (n = 0; n < sizeof bytes; n++) {
    void *mem = talloc_new(NULL);
    struct str *s = str_new(mem, 1), *t = str_new(mem, 100);

    str_bytes(s, bytes, n);
    str_printf(t, "%.*s", (int)n, bytes);
    assert_int_equal(s->len, n);
    assert_int_equal(strlen(s->p), n);
    assert_int_equal(t->len, n);
    assert_string_equal(s->p, t->p);
    str_printf(t, "%d-%s", 42, "end");
    assert_string_equal(t->p + n, "42-end");
    talloc_free(mem);
  }
}

static void test_json(void **state) {
  void *mem = talloc_new(NULL);
  struct str *s = str_new(mem, 0);
  char text[2] = "", expected[16];
  int c;

  (void)state;
  for (c = 1; c < 256; c++) {
    switch (c) {
    case '\b': strcpy(expected, "\"\\b\""); break;
    case '\f': strcpy(expected, "\"\\f\""); break;
    case '\n': strcpy(expected, "\"\\n\""); break;
    case '\r': strcpy(expected, "\"\\r\""); break;
    case '\t': strcpy(expected, "\"\\t\""); break;
    case '"': strcpy(expected, "\"\\\"\""); break;
    case '\\': strcpy(expected, "\"\\\\\""); break;
    default: snprintf(expected, sizeof expected, c < ' ' ? "\"\\u%04x\"" : "\"%c\"", c);
    }
    text[0] = (char)c;
    str_clear(s);
    str_json(s, text);
    assert_string_equal(s->p, expected);
  }
  str_clear(s);
  str_json_bytes(s, "a\0b", 3);
  assert_string_equal(s->p, "\"a\\u0000b\"");
  str_clear(s);
  str_json(s, NULL);
  str_json(s, "");
  str_json(s, "plain \xc3\xa4 / \xf0\x9f\x98\x80");
  str_json(s, "\n\nab\"");
  assert_string_equal(s->p, "null\"\"\"plain \xc3\xa4 / \xf0\x9f\x98\x80\"\"\\n\\nab\\\"\"");
  talloc_free(mem);
}

static void test_sql(void **state) {
  static const struct {
    const char *text, *literal, *ident;
  } rows[] = {
      {"", "''", "\"\""},
      {"abc", "'abc'", "\"abc\""},
      {"it's", "'it''s'", "\"it's\""},
      {"''", "''''''", "\"''\""},
      {"a\"b", "'a\"b'", "\"a\"\"b\""},
      {"\"", "'\"'", "\"\"\"\""},
      {"a\\b", "E'a\\\\b'", "\"a\\b\""},
      {"\\'; drop", "E'\\\\''; drop'", "\"\\'; drop\""},
      {"Ma\xc3\x9f", "'Ma\xc3\x9f'", "\"Ma\xc3\x9f\""},
  };
  void *mem = talloc_new(NULL);
  struct str *s = str_new(mem, 0);
  size_t i;

  (void)state;
  for (i = 0; i < sizeof rows / sizeof *rows; i++) {
    str_clear(s);
    str_sql_literal(s, rows[i].text);
    assert_string_equal(s->p, rows[i].literal);
    str_clear(s);
    str_sql_ident(s, rows[i].text);
    assert_string_equal(s->p, rows[i].ident);
  }
  str_clear(s);
  str_sql_literal(s, NULL);
  assert_string_equal(s->p, "NULL");
  talloc_free(mem);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_grow),
      cmocka_unit_test(test_exact_fit),
      cmocka_unit_test(test_json),
      cmocka_unit_test(test_sql),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
