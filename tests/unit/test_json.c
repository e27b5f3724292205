/* base/json: what is read, what is refused and where, and that every digit comes back. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH = 64 };

#define BYTES(literal) literal, sizeof(literal) - 1

static const struct good {
  const char *text;
  size_t len;
  const char *written; /* NULL: as the text */
} good[] = {
    {BYTES("null"), NULL},
    {BYTES("true"), NULL},
    {BYTES("false"), NULL},
    {BYTES("\"\""), NULL},
    {BYTES("[]"), NULL},
    {BYTES("{}"), NULL},
    {BYTES(" \t\r\n{ \"a\" :\t1 ,\r\"b\":[ ] }\n"), "{\"a\":1,\"b\":[]}"},
    {BYTES("[1,\"2\",[3],{\"4\":5},null,true,false]"), NULL},
    {BYTES("{\"\":0}"), NULL},
    {BYTES("{\"z\":1,\"a\":2,\"m\":3,\"b\":{\"y\":4,\"x\":5},\"c\":6}"), NULL},
    {BYTES("{\"a\":1,\"A\":2,\"a \":3,\"\\u00e4\":4,\"a\\u0308\":5}"), "{\"a\":1,\"A\":2,\"a \":3,\"ä\":4,\"a\xcc\x88\":5}"},
    /* numbers */
    {BYTES("0"), NULL},
    {BYTES("-0"), NULL},
    {BYTES("-0.0"), NULL},
    {BYTES("1.10"), NULL},
    {BYTES("1e400"), NULL},
    {BYTES("-1E+05"), NULL},
    {BYTES("1e-0"), NULL},
    {BYTES("0e0"), NULL},
    {BYTES("9223372036854775808"), NULL},
    {BYTES("-9223372036854775809"), NULL},
    {BYTES("12345678901234567890.1234567890123456789"), NULL},
    {BYTES("[0.1,0.10,0.100,1e5,1E5,1e+5,100000,100000.0]"), NULL},
    {BYTES("[1 , 2\t,3\n,4\r]"), "[1,2,3,4]"},
    {BYTES("{\"a\":-1.50 }"), "{\"a\":-1.50}"},
    {BYTES("[[1,[2,{\"a\":3,\"b\":[4]}],5],6]"), NULL},
    /* what looks like a number or a bracket within a string */
    {BYTES("[\"01\",\"1.\",\"-\",\"[[[[\",\"}\",\",\",\"\\\"1\\\"\",\"\\\\\",2]"), NULL},
    /* strings */
    {BYTES("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), "\"\\\"\\\\/\\b\\f\\n\\r\\t\""},
    {BYTES("\"\\u0041\\u00e9\\u20AC\\ud83d\\uDE00\""), "\"A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
    {BYTES("\"\\u0001\\u001f\\u007f\""), "\"\\u0001\\u001f\x7f\""},
    {BYTES("\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""), NULL},
    {BYTES("\"\xef\xbb\xbf\""), NULL}, /* U+FEFF within a string is a character */
    {BYTES("\"\\ufffe\\uffff\""), "\"\xef\xbf\xbe\xef\xbf\xbf\""},
};

static const struct bad {
  const char *text;
  size_t len;
  const char *message; /* begins so; NULL: any */
} bad[] = {
    {BYTES(""), "Line 1, column 1: "},
    {BYTES(" \n"), "Line 2, column 1: "},
    /* structure */
    {BYTES("["), "Line 1, column 2: the text ends too early."},
    {BYTES("{\"a\""), "Line 1, column 5: the text ends too early."},
    {BYTES("{\"a\":"), "Line 1, column 6: the text ends too early."},
    {BYTES("]"), NULL},
    {BYTES("}"), NULL},
    {BYTES("[}"), "Line 1, column 2: "},
    {BYTES("{]"), "Line 1, column 2: "},
    {BYTES("[1,]"), "Line 1, column 4: "},
    {BYTES("[,1]"), "Line 1, column 2: "},
    {BYTES("[1 2]"), "Line 1, column 4: "},
    {BYTES("{\"a\":1,}"), "Line 1, column 8: "},
    {BYTES("{\n  \"a\": 1,\n  b: 2\n}"), "Line 3, column 3: "},
    {BYTES("{1:2}"), "Line 1, column 2: "},
    {BYTES("{\"a\" 1}"), "Line 1, column 6: "},
    {BYTES("{a:1}"), NULL},
    {BYTES("{'a':1}"), NULL},
    {BYTES("{} {}"), "Line 1, column 4: "},
    {BYTES("1 2"), "Line 1, column 3: "},
    {BYTES("null,"), NULL},
    {BYTES("nul"), NULL},
    {BYTES("nulll"), NULL},
    {BYTES("True"), NULL},
    {BYTES("undefined"), NULL},
    {BYTES("// c\n1"), NULL},
    {BYTES("1 /* c */"), NULL},
    {BYTES("\xef\xbb\xbf{}"), "Line 1, column 1: a byte order mark is not allowed."},
    {BYTES("\xfe\xff\0{\0}"), NULL},
    {BYTES("\xc2\xa0[]"), NULL}, /* no-break space */
    {BYTES("\v1"), NULL},
    {BYTES("\f1"), NULL},
    {BYTES("\0"), NULL},
    {BYTES("1\0"), "Line 1, column 2: a NUL byte is not allowed."},
    {BYTES("{}\0"), NULL},
    {BYTES("[1\0]"), NULL},
    {BYTES("[\"a\0b\"]"), NULL},
    {BYTES("{\"a\0b\":1}"), NULL},
    /* numbers */
    {BYTES("01"), "Line 1, column 2: malformed number."},
    {BYTES("-01"), "Line 1, column 3: malformed number."},
    {BYTES("00"), "Line 1, column 2: malformed number."},
    {BYTES("[1, 2,\n 007]"), "Line 2, column 3: malformed number."},
    {BYTES("+1"), NULL},
    {BYTES("-"), "Line 1, column 2: malformed number."},
    {BYTES("--1"), "Line 1, column 2: malformed number."},
    {BYTES("-a"), NULL},
    {BYTES(".5"), NULL},
    {BYTES("-.5"), NULL},
    {BYTES("1."), "Line 1, column 3: malformed number."},
    {BYTES("[1.]"), "Line 1, column 4: malformed number."},
    {BYTES("1.e5"), NULL},
    {BYTES("1e"), NULL},
    {BYTES("1e+"), NULL},
    {BYTES("1e5.5"), NULL},
    {BYTES("1ee5"), NULL},
    {BYTES("1.2.3"), NULL},
    {BYTES("1-2"), NULL},
    {BYTES("0x10"), NULL},
    {BYTES("1_000"), NULL},
    {BYTES("1a"), NULL},
    {BYTES("1true"), NULL},
    {BYTES("1\"a\""), NULL},
    {BYTES("[1[2]]"), NULL},
    {BYTES("{\"a\":1:2}"), NULL},
    {BYTES("NaN"), NULL},
    {BYTES("-NaN"), NULL},
    {BYTES("Infinity"), NULL},
    {BYTES("-Infinity"), NULL},
    {BYTES("1 0"), NULL},
    {BYTES("true1"), NULL},
    {BYTES("true 1"), NULL},
    {BYTES("\xd9\xa1"), NULL}, /* an Arabic digit */
    /* strings */
    {BYTES("\""), NULL},
    {BYTES("\"\\"), NULL},
    {BYTES("\"\\\""), NULL},
    {BYTES("\"\\u"), NULL},
    {BYTES("\"\\u12"), NULL},
    {BYTES("\"\\u12g4\""), NULL},
    {BYTES("\"\\x41\""), NULL},
    {BYTES("\"\\'\""), NULL},
    {BYTES("\"a\nb\""), NULL},
    {BYTES("\"a\tb\""), NULL},
    {BYTES("\"\x1f\""), NULL},
    {BYTES("[\"\\u0000\"]"), "Line 1, column 9: \\u0000 is not allowed."},
    {BYTES("{\"\\u0000\":1}"), "Line 1, column 9: \\u0000 is not allowed."},
    {BYTES("{\"a\\u0000b\":1}"), NULL},
    /* lone surrogates, either half, escaped or not */
    {BYTES("\"\\ud800\""), NULL},
    {BYTES("\"\\udc00\""), NULL},
    {BYTES("\"\\ud800\\ud800\""), NULL},
    {BYTES("\"\\ud800x\""), NULL},
    {BYTES("\"\\ud800\\u0041\""), NULL},
    {BYTES("\"\\udc00\\ud800\""), NULL},
    {BYTES("{\"\\ud800\":1}"), NULL},
    {BYTES("\"\xed\xa0\x80\""), NULL},
    {BYTES("\"\xed\xb0\x80\""), NULL},
    {BYTES("\"\xed\xa0\xbd\xed\xb8\x80\""), NULL}, /* CESU-8 */
    /* UTF-8 */
    {BYTES("\"\x80\""), "Line 1, column 2: invalid UTF-8."},
    {BYTES("[\"\xc3\xa4\xc3\xa4\", \"\xff\"]"), "Line 1, column 9: invalid UTF-8."},
    {BYTES("\"\xc3\""), NULL},
    {BYTES("\"\xc3\x28\""), NULL},
    {BYTES("\"\xc0\x80\""), NULL}, /* overlong */
    {BYTES("\"\xc1\xbf\""), NULL},
    {BYTES("\"\xe0\x80\x80\""), NULL},
    {BYTES("\"\xe0\x9f\xbf\""), NULL},
    {BYTES("\"\xf0\x80\x80\x80\""), NULL},
    {BYTES("\"\xf4\x90\x80\x80\""), NULL}, /* beyond U+10FFFF */
    {BYTES("\"\xf8\x88\x80\x80\x80\""), NULL},
    {BYTES("\"\xe2\x82"), NULL},
    {BYTES("\"\xf0\x9f\x98"), NULL},
    /* duplicate keys */
    {BYTES("{\"a\":1,\"a\":1}"), "Line 1, column 10: duplicate key."},
    {BYTES("{\"a\":1,\"b\":2,\"\\u0061\":3}"), NULL},
    {BYTES("[{\"x\":{\"a\":1,\"a\":2}}]"), NULL},
    {BYTES("{\"\":1,\"\":2}"), NULL},
    {BYTES("{\"a\":null,\"a\":1}"), NULL},
};

static bool read_text(const void *mem, const char *text, size_t len, unsigned depth, const struct json **root,
                      struct err *e) {
  /* Exactly len bytes, so that the sanitizers see one byte too many. */
  char *exact = malloc(len ? len : 1);
  bool ok;

  assert_non_null(exact);
  memcpy(exact, text, len);
  err_init(e, mem);
  ok = json_read(mem, exact, len, depth, root, e);
  free(exact); /* and the tree must not point into it */
  return ok;
}

static const char *written(const void *mem, const struct json *value) {
  struct str *s = str_new(mem, 0);

  json_write(s, value);
  return s->p;
}

static void test_good(void **state) {
  size_t i;

  (void)state;
  for (i = 0; i < sizeof good / sizeof *good; i++) {
    void *mem = arena_request(NULL);
    const struct json *root = NULL;
    struct err e;

    if (!read_text(mem, good[i].text, good[i].len, DEPTH, &root, &e)) fail_msg("%s: %s", good[i].text, e.message);
    assert_string_equal(written(mem, root), good[i].written ? good[i].written : good[i].text);
    talloc_free(mem);
  }
}

static void test_bad(void **state) {
  size_t i;

  (void)state;
  for (i = 0; i < sizeof bad / sizeof *bad; i++) {
    void *mem = arena_request(NULL);
    const struct json *root = NULL;
    struct err e;

    if (read_text(mem, bad[i].text, bad[i].len, DEPTH, &root, &e)) fail_msg("%zu, %s: was read", i, bad[i].text);
    assert_int_equal(e.code, ERR_BAD_JSON);
    assert_int_equal(e.status, 400);
    if (strncmp(e.message, "Line ", 5) != 0 ||
        (bad[i].message && strncmp(e.message, bad[i].message, strlen(bad[i].message)) != 0)) {
      fail_msg("%s: said \"%s\", not \"%s\"", bad[i].text, e.message, bad[i].message);
    }
    talloc_free(mem);
  }
}

/* A message quotes nothing of the text, so it is always printable. */
static void test_messages_quote_nothing(void **state) {
  void *mem = arena_request(NULL);
  const struct json *root;
  struct err e;

  (void)state;
  assert_false(read_text(mem, BYTES("{\"a\": secret}"), DEPTH, &root, &e));
  assert_null(strstr(e.message, "secret"));
  assert_false(read_text(mem, BYTES("{\"secret\": 1, \"secret\": 2}"), DEPTH, &root, &e));
  assert_null(strstr(e.message, "secret"));
  talloc_free(mem);
}

static void test_depth(void **state) {
  void *mem = arena_request(NULL);
  const struct json *root;
  struct err e;
  struct str *s = str_new(mem, 0);
  int i;

  (void)state;
  assert_true(read_text(mem, BYTES("1"), 0, &root, &e));
  assert_false(read_text(mem, BYTES("[]"), 0, &root, &e));
  assert_true(read_text(mem, BYTES("[]"), 1, &root, &e));
  assert_true(read_text(mem, BYTES("[[],[],{},{}]"), 2, &root, &e));
  assert_false(read_text(mem, BYTES("[[],[{}]]"), 2, &root, &e));
  assert_string_equal(e.message, "Line 1, column 6: nested too deeply.");
  assert_false(read_text(mem, BYTES("{\"a\":{\"b\":{}}}"), 2, &root, &e));
  assert_true(read_text(mem, BYTES("{\"a\":{\"b\":\"[[[{{{\"}}"), 2, &root, &e));

  for (i = 0; i < DEPTH; i++) str_char(s, '[');
  for (i = 0; i < DEPTH; i++) str_char(s, ']');
  assert_true(read_text(mem, s->p, s->len, DEPTH, &root, &e));
  assert_false(read_text(mem, s->p, s->len, DEPTH - 1, &root, &e));

  /* A million brackets must not recurse anywhere, whether they are closed or not. */
  str_clear(s);
  for (i = 0; i < 1000000; i++) str_char(s, i % 2 ? '{' : '[');
  assert_false(read_text(mem, s->p, s->len, DEPTH, &root, &e));
  assert_string_equal(e.message, "Line 1, column 65: nested too deeply.");
  talloc_free(mem);
}

static void test_too_many_values(void **state) {
  void *mem = arena_request(NULL);
  const struct json *root;
  struct err e;
  struct str *s = str_new(mem, 0);
  int i;

  (void)state;
  str_char(s, '[');
  for (i = 0; i < 1000000; i++) str_add(s, "1,");
  str_add(s, "1]");
  assert_false(read_text(mem, s->p, s->len, DEPTH, &root, &e));
  assert_int_equal(e.code, ERR_TOO_LARGE);
  /* A tenth of it is well. */
  memcpy(s->p + 200000, "1]", 3);
  assert_true(read_text(mem, s->p, strlen(s->p), DEPTH, &root, &e));
  assert_int_equal(root->len, 100000);
  talloc_free(mem);
}

static void test_tree(void **state) {
  static const char text[] = "{\"s\":\"a\\u00e4\",\"n\":1.50,\"a\":[null,true,false,-0],\"o\":{\"x\":{}},\"e\":[]}";
  void *mem = arena_request(NULL);
  const struct json *root, *v;
  struct err e;

  (void)state;
  assert_true(read_text(mem, BYTES(text), DEPTH, &root, &e));
  assert_int_equal(root->kind, JSON_OBJECT);
  assert_int_equal(root->len, 5);
  assert_string_equal(root->keys[0], "s");
  assert_string_equal(root->keys[4], "e");
  v = json_get(root, "s");
  assert_int_equal(v->kind, JSON_STRING);
  assert_int_equal(v->len, 3);
  assert_string_equal(v->text, "a\xc3\xa4");
  v = json_get(root, "n");
  assert_int_equal(v->kind, JSON_NUMBER);
  assert_int_equal(v->len, 4);
  assert_string_equal(v->text, "1.50");
  v = json_get(root, "a");
  assert_int_equal(v->kind, JSON_ARRAY);
  assert_int_equal(v->len, 4);
  assert_int_equal(v->items[0].kind, JSON_NULL);
  assert_int_equal(v->items[1].kind, JSON_TRUE);
  assert_int_equal(v->items[2].kind, JSON_FALSE);
  assert_string_equal(v->items[3].text, "-0");
  assert_null(json_get(v, "s"));
  v = json_get(json_get(root, "o"), "x");
  assert_int_equal(v->kind, JSON_OBJECT);
  assert_int_equal(v->len, 0);
  assert_int_equal(json_get(root, "e")->len, 0);
  assert_null(json_get(root, "missing"));
  assert_int_equal(json_null.kind, JSON_NULL);
  assert_int_equal(json_true.kind, JSON_TRUE);
  assert_string_equal(json_kind_name(JSON_NUMBER), "a number");
  assert_string_equal(json_kind_name(JSON_OBJECT), "an object");
  talloc_free(mem);
}

/* Many numbers, in objects large enough for jansson to rehash, each with its own digits: none may change places. */
static void test_numbers_keep_their_places(void **state) {
  void *mem = arena_request(NULL);
  struct str *s = str_new(mem, 0);
  const struct json *root;
  struct err e;
  int i;

  (void)state;
  str_char(s, '{');
  for (i = 0; i < 20000; i++)
    str_printf(s, "%s\"k%d\":[%d.%d0,\"%d\",{\"x\":-%de%d}]", i ? "," : "", i * 7919 % 20000, i, i, i, i, i);
  str_char(s, '}');
  assert_true(read_text(mem, s->p, s->len, 3, &root, &e));
  assert_string_equal(written(mem, root), s->p);
  talloc_free(mem);
}

/* Every byte value at every place of a text: read or refused, and what is read can be written and read again. */
static void test_every_byte(void **state) {
  static const char text[] = "{\"a\":[1.5e3,-0,\"\\u00e4\xc3\xa4\"],\"b\":{\"c\":null}}";
  size_t at;
  int byte, readable = 0;

  (void)state;
  for (at = 0; at < sizeof text - 1; at++) {
    for (byte = 0; byte < 256; byte++) {
      void *mem = arena_request(NULL);
      char changed[sizeof text];
      const struct json *root, *again;
      const char *first;
      struct err e;

      memcpy(changed, text, sizeof text);
      changed[at] = (char)byte;
      if (read_text(mem, changed, sizeof text - 1, DEPTH, &root, &e)) {
        readable++;
        first = written(mem, root);
        assert_true(read_text(mem, first, strlen(first), DEPTH, &again, &e));
        assert_string_equal(written(mem, again), first);
      }
      talloc_free(mem);
    }
  }
  assert_in_range(readable, 100, 5000);
}

/* Every beginning of a text is refused, but the whole. */
static void test_cut_short(void **state) {
  static const char text[] = "{\"a\":[1.5e3,-0,\"\\ud83d\\ude00\xc3\xa4\"],\"b\":{\"c\":null}}";
  size_t len;

  (void)state;
  for (len = 0; len < sizeof text; len++) {
    void *mem = arena_request(NULL);
    const struct json *root;
    struct err e;

    assert_int_equal(read_text(mem, text, len, DEPTH, &root, &e), len == sizeof text - 1);
    talloc_free(mem);
  }
}

/* jansson itself, whose header has names of ours. */
void *json_loadb(const char *text, size_t len, size_t flags, void *error);
void json_delete(void *tree);
enum { REJECT_DUPLICATES = 1, DECODE_ANY = 4 };

/* jansson is not shown what is put aside, and must not accept for that what it would refuse: of all texts of up to five of these. */
static void test_accepts_what_jansson_does(void **state) {
  static const char *const parts[] = {"\"a\"", "\"b\"", "0", ".", ",", ":", "[", "]", "{", "}", " ", "\"", "\\", "true"};
  enum { PARTS = sizeof parts / sizeof *parts, LONGEST = 5 };
  void *mem = talloc_new(NULL);
  size_t accepted = 0;

  (void)state;
  for (size_t n = 1, all = PARTS; n <= LONGEST; n++, all *= PARTS)
    for (size_t number = 0; number < all; number++) {
      char text[LONGEST * 4 + 1] = "";
      const struct json *root;
      struct err e;
      void *tree;
      bool ok;

      for (size_t i = 0, left = number; i < n; i++, left /= PARTS) strcat(text, parts[left % PARTS]);
      tree = json_loadb(text, strlen(text), REJECT_DUPLICATES | DECODE_ANY, NULL);
      ok = read_text(mem, text, strlen(text), DEPTH, &root, &e);
      if (ok != (tree != NULL)) fail_msg("%s: %s", text, ok ? "was read" : e.message);
      accepted += ok;
      if (tree) json_delete(tree);
      talloc_free_children(mem);
    }
  assert_in_range(accepted, 100, 10000);
  talloc_free(mem);
}

/* A typical body fits the request's first block: as many blocks before as after, so nothing of it went to malloc. */
static void test_memory_is_the_arenas(void **state) {
  static const char text[] =
      "{\"commands\":[{\"command\":\"add_user\",\"as\":\"user\",\"args\":{\"username\":\"tom\",\"n\":1}}]}";
  void *top = talloc_new(NULL);
  void *mem = arena_request(top);
  const struct json *root;
  size_t before = talloc_total_blocks(top), after;
  struct err e;

  (void)state;
  assert_true(read_text(mem, BYTES(text), DEPTH, &root, &e));
  after = talloc_total_blocks(top);
  assert_in_range(after - before, 1, 6);
  talloc_free(mem);
  assert_int_equal(talloc_total_blocks(top), 1);
  talloc_free(top);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_good),
      cmocka_unit_test(test_bad),
      cmocka_unit_test(test_messages_quote_nothing),
      cmocka_unit_test(test_depth),
      cmocka_unit_test(test_too_many_values),
      cmocka_unit_test(test_tree),
      cmocka_unit_test(test_numbers_keep_their_places),
      cmocka_unit_test(test_every_byte),
      cmocka_unit_test(test_cut_short),
      cmocka_unit_test(test_accepts_what_jansson_does),
      cmocka_unit_test(test_memory_is_the_arenas),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
