/* JSON values as parameters: compile/param.c against the table in docs/protocol.md, "JSON value to parameter type". */
#include "base/arena.h"
#include "base/json.h"
#include "commands/tree.h"
#include "compile/param.h"
#include "db/catalog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct type text_type = {.name = "text", .kind = TYPE_OTHER};
static const struct type int_type = {.name = "bigint", .kind = TYPE_INTEGER};
static const struct type numeric_type = {.name = "numeric", .kind = TYPE_NUMBER};
static const struct type boolean_type = {.name = "boolean", .kind = TYPE_BOOLEAN};
static const struct type jsonb_type = {.name = "jsonb", .kind = TYPE_JSON};
static const struct type ints_type = {.name = "bigint[]", .kind = TYPE_ARRAY, .element = &int_type, .delimiter = ','};
static const struct type texts_type = {.name = "text[]", .kind = TYPE_ARRAY, .element = &text_type, .delimiter = ','};
static const struct type jsons_type = {.name = "jsonb[]", .kind = TYPE_ARRAY, .element = &jsonb_type, .delimiter = ','};
static const struct type_field pair_fields[] = {{"a", &int_type}, {"b", &text_type}};
static const struct type pair_type = {.name = "pair", .kind = TYPE_COMPOSITE, .fields = pair_fields, .nfields = 2};
static const struct type pairs_type = {.name = "pair[]", .kind = TYPE_ARRAY, .element = &pair_type, .delimiter = ','};

static const struct json *parse(void *mem, const char *text) {
  const struct json *root = NULL;
  struct err e;

  err_init(&e, mem);
  assert_true(json_read(mem, text, strlen(text), 64, &root, &e));
  return root;
}

struct literal_case {
  const struct type *type;
  const char *json;
  const char *text; /* NULL: refused */
};

static const struct literal_case literals[] = {
    {&text_type, "\"tom\"", "tom"},
    {&text_type, "\"\"", ""},
    {&text_type, "1", NULL},
    {&text_type, "true", NULL},
    {&text_type, "[]", NULL},
    {&text_type, "{}", NULL},
    {&int_type, "12", "12"},
    {&int_type, "-0", "-0"},
    {&int_type, "1.0", "1"},
    {&int_type, "1e2", "100"},
    {&int_type, "-1.50e1", "-15"},
    {&int_type, "0.0", "0"},
    {&int_type, "0e99999999999", "0"},
    {&int_type, "1.5", NULL},
    {&int_type, "1e-1", NULL},
    {&int_type, "1e400", NULL},
    {&int_type, "12345678901234567890123456789012345678901234567890", "12345678901234567890123456789012345678901234567890"},
    {&int_type, "\"12\"", "12"},
    {&int_type, "true", NULL},
    {&numeric_type, "1.10", "1.10"},
    {&numeric_type, "12345678901234567890.123456789", "12345678901234567890.123456789"},
    {&numeric_type, "1e400", "1e400"},
    {&numeric_type, "\"NaN\"", "NaN"},
    {&numeric_type, "false", NULL},
    {&boolean_type, "true", "true"},
    {&boolean_type, "false", "false"},
    {&boolean_type, "\"on\"", "on"},
    {&boolean_type, "1", NULL},
    {&jsonb_type, "{\"a\":[1.10,null,{\"b\":-0}]}", "{\"a\":[1.10,null,{\"b\":-0}]}"},
    {&jsonb_type, "1e2", "1e2"},
    {&jsonb_type, "true", "true"},
    {&jsonb_type, "\"[1]\"", "[1]"},
    {&ints_type, "[1,2.0,null]", "{\"1\",\"2\",NULL}"},
    {&ints_type, "[[1,2],[3,4]]", "{{\"1\",\"2\"},{\"3\",\"4\"}}"},
    {&ints_type, "[]", "{}"},
    {&ints_type, "[1.5]", NULL},
    {&ints_type, "\"{1,2}\"", "{1,2}"},
    {&ints_type, "{}", NULL},
    {&texts_type, "[\"a,b\",\"\\\"q\\\\\",\"NULL\",\"\"]", "{\"a,b\",\"\\\"q\\\\\",\"NULL\",\"\"}"},
    {&texts_type, "[1]", NULL},
    {&jsons_type, "[{\"a\":\"x\"},[1]]", "{\"{\\\"a\\\":\\\"x\\\"}\",\"[1]\"}"},
    {&pair_type, "{\"b\":\"x\\\"y\\\\\",\"a\":1}", "(\"1\",\"x\"\"y\\\\\")"},
    {&pair_type, "{\"b\":null}", "(,)"},
    {&pair_type, "{\"b\":\"\"}", "(,\"\")"},
    {&pair_type, "{\"c\":1}", NULL},
    {&pair_type, "[1]", NULL},
    {&pairs_type, "[{\"a\":1,\"b\":\"x\"}]", "{\"(\\\"1\\\",\\\"x\\\")\"}"},
};

static void encodes_literals(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof literals / sizeof *literals; i++) {
    const struct literal_case *c = &literals[i];
    void *mem = talloc_new(NULL);
    struct expr x = {.kind = EXPR_LITERAL, .literal = parse(mem, c->json)};
    enum param_mode mode;
    const char *text;
    struct err e;
    bool ok;

    err_init(&e, mem);
    ok = param_encode(mem, &x, c->type, &mode, &text, &e);
    if (ok != (c->text != NULL)) fail_msg("%s as %s: %s", c->json, c->type->name, ok ? "taken" : e.message);
    if (ok && strcmp(text, c->text) != 0) fail_msg("%s as %s: %s, not %s", c->json, c->type->name, text, c->text);
    if (ok) assert_int_equal(mode, PARAM_TEXT);
    if (!ok) assert_int_equal(e.code, ERR_BAD_ARGUMENT);
    talloc_free(mem);
  }
}

static void null_is_null(void **state) {
  static const struct type *const types[] = {&text_type, &int_type, &jsonb_type, &ints_type, &pair_type};
  (void)state;

  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    void *mem = talloc_new(NULL);
    struct expr x = {.kind = EXPR_LITERAL, .literal = &json_null};
    enum param_mode mode;
    const char *text = "";
    struct err e;

    err_init(&e, mem);
    assert_true(param_encode(mem, &x, types[i], &mode, &text, &e));
    assert_null(text);
    talloc_free(mem);
  }
}

static void scalars_are_taken_from_slots(void **state) {
  void *mem = talloc_new(NULL);
  struct node node = {.slot = 3};
  const char *path[] = {"a\"b", "0"};
  struct expr x = {.kind = EXPR_RESULT, .node = &node, .path = path, .npath = 2};
  enum param_mode mode;
  const char *text;
  struct err e;
  (void)state;

  err_init(&e, mem);
  assert_true(param_encode(mem, &x, &int_type, &mode, &text, &e));
  assert_int_equal(mode, PARAM_TAKE);
  assert_string_equal(text, "{writ.s3,\"a\\\"b\",\"0\"}");
  talloc_free(mem);
}

static void json_is_built_of_pieces(void **state) {
  void *mem = talloc_new(NULL);
  struct node node = {.slot = 1};
  const char *path[] = {"id"};
  const char *keys[] = {"k\"", "v"};
  struct expr items[] = {{.kind = EXPR_LITERAL, .literal = parse(mem, "1.10")},
                         {.kind = EXPR_RESULT, .node = &node, .path = path, .npath = 1}};
  struct expr x = {.kind = EXPR_OBJECT, .items = items, .keys = keys, .n = 2};
  enum param_mode mode;
  const char *text;
  struct err e;
  (void)state;

  err_init(&e, mem);
  assert_true(param_encode(mem, &x, &jsonb_type, &mode, &text, &e));
  assert_int_equal(mode, PARAM_BUILD);
  assert_string_equal(text, "[\"{\\\"k\\\\\\\"\\\":1.10,\\\"v\\\":\",[\"writ.s1\",[\"id\"]],\"}\"]");
  assert_false(param_encode(mem, &x, &text_type, &mode, &text, &e));
  assert_false(param_encode(mem, &x, &pair_type, &mode, &text, &e)); /* no field k" */
  talloc_free(mem);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(encodes_literals),
      cmocka_unit_test(null_is_null),
      cmocka_unit_test(scalars_are_taken_from_slots),
      cmocka_unit_test(json_is_built_of_pieces),
  };

  arena_init();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
