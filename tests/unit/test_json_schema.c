/* The part of JSON Schema that payloads of events are held against. */
#include "base/arena.h"
#include "base/json_schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void *mem;

static const struct json *read_text(const char *text) {
  const struct json *root;
  struct err e;

  err_init(&e, mem);
  assert_true(json_read(mem, text, strlen(text), 20, &root, &e));
  return root;
}

static const char *reason(const char *schema, const char *value) {
  const char *why = NULL;

  assert_true(json_schema_read(mem, read_text(schema), &why));
  return json_schema_holds(mem, read_text(schema), read_text(value), &why) ? NULL : why;
}

static void test_values(void **state) {
  static const struct {
    const char *schema, *good, *bad, *why;
  } cases[] = {
      {"{\"type\":\"integer\"}", "1.0", "1.5", " is a number, which is not of the type"},
      {"{\"type\":\"integer\"}", "12345678901234567890123", "\"1\"", " is a string, which is not of the type"},
      {"{\"type\":[\"null\",\"boolean\"]}", "false", "0", " is a number, which is not of the type"},
      {"{\"enum\":[1,\"a\",[1,2],{\"a\":1,\"b\":2}]}", "{\"b\":2.0,\"a\":1}", "[2,1]", " is none of the allowed values"},
      {"{\"const\":10}", "1e1", "11", " is none of the allowed values"},
      {"{\"minimum\":0,\"maximum\":1}", "1", "1.0001", " does not obey maximum 1"},
      {"{\"minimum\":0,\"maximum\":1}", "\"not a number\"", "-0.1", " does not obey minimum 0"},
      {"{\"exclusiveMinimum\":0}", "0.1", "0", " does not obey exclusiveMinimum 0"},
      {"{\"exclusiveMaximum\":0}", "-0.1", "0", " does not obey exclusiveMaximum 0"},
      {"{\"maxLength\":2}", "\"\xc3\xa4\xc3\xb6\"", "\"abc\"", " does not obey maxLength 2"},
      {"{\"minItems\":1}", "[0]", "[]", " does not obey minItems 1"},
      {"{\"maxProperties\":1}", "{\"a\":1}", "{\"a\":1,\"b\":1}", " does not obey maxProperties 1"},
      {"{\"required\":[\"a\"]}", "{\"a\":null}", "{}", " has no member a"},
      {"{\"properties\":{\"a\":{\"items\":{\"type\":\"string\"}}}}", "{\"a\":[\"x\"],\"b\":1}", "{\"a\":[\"x\",1]}",
       "a.1 is a number, which is not of the type"},
      {"{\"properties\":{\"a\":true},\"additionalProperties\":false}", "{\"a\":1}", "{\"a\":1,\"b\":1}", "b is not allowed"},
      {"{\"additionalProperties\":{\"type\":\"null\"}}", "{\"a\":null}", "{\"a\":0}",
       "a is a number, which is not of the type"},
      {"true", "1", NULL, NULL},
      {"{}", "[]", NULL, NULL},
  };

  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_null(reason(cases[i].schema, cases[i].good));
    if (!cases[i].bad) continue;
    const char *why = reason(cases[i].schema, cases[i].bad);
    assert_non_null(why);
    assert_string_equal(why, cases[i].why);
  }
}

static void test_schemas(void **state) {
  static const struct {
    const char *schema, *why;
  } cases[] = {
      {"[]", "a schema is an object, true or false, not an array"},
      {"{\"typ\":\"string\"}", "the keyword typ of JSON Schema is not known here"},
      {"{\"pattern\":\"^a\"}", "the keyword pattern of JSON Schema is not known here"},
      {"{\"properties\":{\"a\":{\"$ref\":\"#\"}}}", "a: the keyword $ref of JSON Schema is not known here"},
      {"{\"type\":\"text\"}", "type takes null, boolean, number, integer, string, array, object, or a list of these"},
      {"{\"required\":[1]}", "required does not take an array"},
      {"{\"minLength\":-1}", "minLength does not take a number"},
      {"{\"minimum\":\"0\"}", "minimum does not take a string"},
      {"{\"items\":[]}", "a schema is an object, true or false, not an array"},
  };

  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *why = NULL;
    assert_false(json_schema_read(mem, read_text(cases[i].schema), &why));
    assert_string_equal(why, cases[i].why);
  }
}

static int set_up(void **state) {
  (void)state;
  mem = talloc_new(NULL);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  talloc_free(mem);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_values), cmocka_unit_test(test_schemas)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
