/* The YAML reader: kinds of scalars, lines, and everything that it refuses. */
#include "base/arena.h"
#include "base/nearest.h"
#include "base/problems.h"
#include "base/str.h"
#include "manifest/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
  void *mem;
  struct problems problems;
};

static int setup(void **state) {
  struct fixture *f = test_calloc(1, sizeof *f);
  f->mem = arena_request(NULL);
  problems_init(&f->problems, f->mem);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  talloc_free(f->mem);
  test_free(f);
  return 0;
}

static const struct yaml *read_text(struct fixture *f, const char *text) {
  problems_init(&f->problems, f->mem);
  return yaml_read(f->mem, "file.yaml", text, strlen(text), &f->problems);
}

static const struct yaml *must_read(struct fixture *f, const char *text) {
  const struct yaml *root = read_text(f, text);
  if (!root) problems_print(&f->problems);
  assert_non_null(root);
  assert_int_equal(f->problems.errors, 0);
  return root;
}

/* YAML and the JSON that it is. */
static void test_values(void **state) {
  static const char *const cases[][2] = {
      {"", "null"},
      {"# a comment alone\n", "null"},
      {"---\n", "null"},
      {"~", "null"},
      {"Null", "null"},
      {"nUll", "\"nUll\""},
      {"true", "true"},
      {"FALSE", "false"},
      {"yes", "\"yes\""},
      {"off", "\"off\""},
      {"'true'", "\"true\""},
      {"\"12\"", "\"12\""},
      {"|\n  12\n", "\"12\\n\""},
      {"|-\n  12\n", "\"12\""},
      {"12", "12"},
      {"-0", "-0"},
      {"1.10", "1.10"},
      {"1e400", "1e400"},
      {"1E-5", "1E-5"},
      {"123456789012345678901234567890.5", "123456789012345678901234567890.5"},
      {"0660", "\"0660\""},
      {"00", "\"00\""},
      {"0", "0"},
      {"2026-11-20", "\"2026-11-20\""},
      {"1.2.3", "\"1.2.3\""},
      {"12:30", "\"12:30\""},
      {"1e", "\"1e\""},
      {"0x", "\"0x\""},
      {"0xZZ", "\"0xZZ\""},
      {"-", "[null]"},
      {"--", "\"--\""},
      {"+", "\"+\""},
      {".", "\".\""},
      {"e5", "\"e5\""},
      {"select a::text from t where x = :name", "\"select a::text from t where x = :name\""},
      {"{ a: select :name, b: $args.x }", "{\"a\":\"select :name\",\"b\":\"$args.x\"}"},
      {"{ a: , b: ~ }", "{\"a\":null,\"b\":null}"},
      {"[]", "[]"},
      {"{}", "{}"},
      {"- 1\n- [2, {a: 3}]\n-\n  - 4\n", "[1,[2,{\"a\":3}],[4]]"},
      {"b: 1\na: 2\n", "{\"b\":1,\"a\":2}"},
      {"1: x\ntrue: y\n~: z\n", "{\"1\":\"x\",\"true\":\"y\",\"~\":\"z\"}"},
      {"'<<': 1\n", "{\"<<\":1}"},
      {"a: \"tab\\tline\\n\\u00e9 \\U0001F600\"\n", "{\"a\":\"tab\\tline\\n\xc3\xa9 \xf0\x9f\x98\x80\"}"},
      {"a: >\n  one\n  two\n", "{\"a\":\"one two\\n\"}"},
      {"a: 1\n...\n", "{\"a\":1}"},
      {"%YAML 1.1\n---\na: 1\n", "{\"a\":1}"},
  };
  struct fixture *f = *state;

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct str *out = str_new(f->mem, 16);
    json_write(out, &must_read(f, cases[i][0])->json);
    if (strcmp(out->p, cases[i][1]) != 0) fail_msg("%s gave %s, not %s", cases[i][0], out->p, cases[i][1]);
  }
}

/* YAML, the line of the first problem, and a part of its text. */
static void test_refused(void **state) {
  static const struct {
    const char *text;
    int line;
    const char *what;
  } cases[] = {
      {"a: 1\nb: [1\n", 3, "not YAML"},
      {"a: 1\n  b: 2\n", 2, "not YAML"},
      {"a: \"x\n", 2, "not YAML"},
      {"a: 1\nb: \xff\n", 2, "not YAML"},
      {"a: 1\nb: \x01\n", 2, "not YAML"},
      {"a: 1\nb:\n\tc: 2\n", 3, "not YAML"},
      {"a: \"\\ud800\"\n", 1, "not YAML"},
      {"%YAML 3.0\n---\na: 1\n", 1, "not YAML"},
      {"a: 1\nb: 2\na: 3\n", 3, "a: stands here twice, first on line 1"},
      {"x:\n  a: 1\n  'a': 3\n", 3, "a: stands here twice, first on line 2"},
      {"x: &here 1\n", 1, "anchors (&here)"},
      {"x: &here [1]\n", 1, "anchors"},
      {"&here x: 1\n", 1, "anchors"},
      {"x: &here {a: 1}\ny: *here\n", 1, "anchors"},
      {"a: *b\n", 1, "aliases"},
      {"x:\n  <<: {a: 1}\n", 2, "merge keys"},
      {"x: !!str 1\n", 1, "tags"},
      {"x: !mine {a: 1}\n", 1, "tags (!mine)"},
      {"x: ! 1\n", 1, "tags"},
      {"!!str x: 1\n", 1, "tags"},
      {"%TAG ! tag:example.org,2000:\n---\na: 1\n", 1, "%TAG"},
      {"a: 1\n---\nb: 1\n", 2, "a second document"},
      {"? [a]\n: 1\n", 1, "a key must be plain text"},
      {"{[a]: 1}", 1, "a key must be plain text"},
      {"a: \"x\\0y\"\n", 1, "\\0"},
      {"\"x\\0y\": 1\n", 1, "\\0"},
      {"a: .5", 1, ".5: write a number as JSON does"},
      {"a: 5.", 1, "as JSON does"},
      {"a: +1", 1, "as JSON does"},
      {"a: -01", 1, "as JSON does"},
      {"a: 01.5", 1, "as JSON does"},
      {"a: 0x1F", 1, "as JSON does"},
      {"a: 0o17", 1, "as JSON does"},
      {"a: -.inf", 1, "as JSON does"},
      {"a: .NaN", 1, "as JSON does"},
  };
  struct fixture *f = *state;

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_null(read_text(f, cases[i].text));
    assert_true(f->problems.errors > 0);
    const struct problem *p = &f->problems.items[0];
    assert_string_equal(p->file, "file.yaml");
    if (p->line != cases[i].line || !strstr(p->text, cases[i].what)) fail_msg("%s: %d: %s", cases[i].text, p->line, p->text);
  }
}

static void test_all_at_once(void **state) {
  struct fixture *f = *state;
  assert_null(read_text(f, "a: .5\nb: &x 1\nc: *x\na: 2\n"));
  assert_int_equal(f->problems.errors, 4);
}

static void test_lines(void **state) {
  const struct yaml *root = must_read(*state, "# first\na: 1\n\nb:\n  c:\n    - x\n    - |\n      text\n  d: 4\n");
  const struct yaml *b = yaml_get(root, "b");

  assert_int_equal(root->line, 2);
  assert_int_equal(root->key_lines[0], 2);
  assert_int_equal(root->key_lines[1], 4);
  assert_int_equal(b->line, 5);
  assert_int_equal(b->key_lines[1], 9);
  assert_int_equal(yaml_get(b, "c")->nodes[0].line, 6);
  assert_int_equal(yaml_get(b, "c")->nodes[1].line, 7);
  assert_null(yaml_get(root, "c"));
  assert_null(yaml_get(yaml_get(root, "a"), "c"));
}

/* Every node is a plain struct json too. */
static void test_is_json(void **state) {
  const struct yaml *root = must_read(*state, "a: {b: [1, x]}\n");
  const struct json *b = json_get(json_get(&root->json, "a"), "b");

  assert_int_equal(b->kind, JSON_ARRAY);
  assert_int_equal(b->len, 2);
  assert_int_equal(b->items[0].kind, JSON_NUMBER);
  assert_string_equal(b->items[1].text, "x");
}

static void test_depth(void **state) {
  struct fixture *f = *state;
  char text[201];

  for (unsigned depth = 1; depth <= 100; depth++) {
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    text[2 * depth] = '\0';
    if (depth <= 64) {
      must_read(f, text);
    } else {
      assert_null(read_text(f, text));
      assert_non_null(strstr(f->problems.items[0].text, "nested more than 64 deep"));
    }
  }
}

static void test_many(void **state) {
  struct fixture *f = *state;
  struct str *text = str_new(f->mem, 1024);

  for (int i = 0; i < 2000; i++) str_printf(text, "key%d: [%d]\n", i, i);
  const struct yaml *root = must_read(f, text->p);
  assert_int_equal(root->json.len, 2000);
  assert_string_equal(yaml_get(root, "key1999")->nodes[0].json.text, "1999");
  assert_int_equal(root->key_lines[1999], 2000);
}

static void test_load(void **state) {
  struct fixture *f = *state;
  char name[] = "/tmp/writ-test-yaml-XXXXXX";
  int fd = mkstemp(name);
  FILE *out = fdopen(fd, "w");

  assert_non_null(out);
  for (int i = 0; i < 5000; i++) fprintf(out, "- line %d\n", i); /* more than the first buffer */
  fclose(out);
  const struct yaml *root = yaml_load(f->mem, name, &f->problems);
  unlink(name);
  assert_non_null(root);
  assert_int_equal(root->json.len, 5000);
  assert_string_equal(root->nodes[4999].json.text, "line 4999");
}

static void test_load_fails(void **state) {
  struct fixture *f = *state;

  assert_null(yaml_load(f->mem, "/nowhere/writ.yaml", &f->problems));
  assert_string_equal(f->problems.items[0].file, "/nowhere/writ.yaml");
  assert_string_equal(f->problems.items[0].text, "cannot be read: No such file or directory");
  assert_null(yaml_load(f->mem, "/tmp", &f->problems));
  assert_string_equal(f->problems.items[1].text, "cannot be read: Is a directory");
  assert_null(yaml_load(f->mem, "/dev/zero", &f->problems));
  assert_string_equal(f->problems.items[2].text, "cannot be read: File too large");
}

static void test_nearest(void **state) {
  static const char *const names[] = {"returns", "description", "allow", "args", "sql", NULL};
  static const char *const cases[][2] = {
      {"return", "returns"},
      {"retruns", "returns"},
      {"Returns", "returns"},
      {"desciption", "description"},
      {"descripton", "description"},
      {"alow", "allow"},
      {"arg", "args"},
      {"sq", "sql"},
      {"sqll", "sql"},
      {"x", NULL},
      {"", NULL},
      {"permissions", NULL},
      {"returns", "returns"},
  };
  char big[300];
  (void)state;

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *near = nearest(cases[i][0], names);
    if (!cases[i][1] && near) fail_msg("%s: %s", cases[i][0], near);
    if (cases[i][1] && (!near || strcmp(near, cases[i][1]) != 0)) fail_msg("%s: %s", cases[i][0], near ? near : "none");
  }
  memset(big, 'a', sizeof big - 1);
  big[sizeof big - 1] = '\0';
  const char *const long_names[] = {big, NULL};
  assert_null(nearest(big, names));
  assert_null(nearest("aaa", long_names));
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
      TEST(test_values), TEST(test_refused), TEST(test_all_at_once), TEST(test_lines),      TEST(test_is_json),
      TEST(test_depth),  TEST(test_many),    TEST(test_load),        TEST(test_load_fails), TEST(test_nearest),
#undef TEST
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
