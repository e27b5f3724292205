/* graphql/: what is read (by what is printed of it), what is refused and where, limits. The cases follow the specification's
 * sections: October 2021, chapter 2 and chapter 3's definitions. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/str.h"
#include "graphql/parse.h"
#include "graphql/print.h"

#include <stdlib.h>
#include <string.h>

#define BYTES(literal) literal, sizeof(literal) - 1

/* The text in memory of exactly its size, so that the sanitizers see one byte too many. */
static bool read_document(void *mem, const char *text, size_t len, const struct graphql_document **out, struct err *e) {
  char *exact = malloc(len ? len : 1);
  bool ok;

  assert_non_null(exact);
  memcpy(exact, text, len);
  err_init(e, mem);
  ok = graphql_parse(mem, exact, len, &graphql_limits_default, out, e);
  memset(exact, 'x', len); /* nobody needs it any more */
  free(exact);
  return ok;
}

static const char *printed(void *mem, const struct graphql_document *document) {
  struct str *out = str_new(mem, 256);

  graphql_print_document(out, document);
  return out->p;
}

/* What text is when it has been read and printed; the same must come of that again. */
static const char *round_trip(void *mem, const char *text, size_t len) {
  const struct graphql_document *document;
  const char *once;
  struct err e;

  if (!read_document(mem, text, len, &document, &e)) fail_msg("%s: %s", text, e.message);
  once = printed(mem, document);
  if (!read_document(mem, once, strlen(once), &document, &e)) fail_msg("%s: %s", once, e.message);
  assert_string_equal(printed(mem, document), once);
  return once;
}

/* ---- what is read ----------------------------------------------------------------------------------------------------- */

static const struct good {
  const char *text;
  size_t len;
  const char *printed; /* NULL: as the text, and a newline */
} good[] = {
    /* 2.1 what is ignored: blanks, line ends, commas, comments, U+FEFF, anywhere */
    {BYTES("\xef\xbb\xbf{a}"), "query {\n  a\n}\n"},
    {BYTES("{\xef\xbb\xbf"
           "a\xef\xbb\xbf}"),
     "query {\n  a\n}\n"},
    {BYTES("\t{ \r a\r\n,,\n,b,}, # c\xc3\xa9 { \" \x01\r# d"), "query {\n  a\n  b\n}\n"},
    {BYTES("#\n{a#\"\"\"\n:#\rb}"), "query {\n  a: b\n}\n"},
    /* 2.1.9 names */
    {BYTES("{_ __a A9 z_Z}"), "query {\n  _\n  __a\n  A9\n  z_Z\n}\n"},
    /* 2.3 operations; keywords are names where no keyword can stand */
    {BYTES("query {\n  a\n}"), NULL},
    {BYTES("query query {\n  query\n}"), NULL},
    {BYTES("mutation M {\n  mutation\n}"), NULL},
    {BYTES("subscription on {\n  on\n}"), NULL},
    {BYTES("query ($a: Int) {\n  a\n}"), NULL},
    {BYTES("query @d {\n  a\n}"), NULL},
    {BYTES("query q($a: Int, $b: [String!]! = [\"x\"] @d, $true: [[A]!]) @e(x: $a) @e {\n  a\n}"), NULL},
    {BYTES("query($a:Int=1$b:Int){a}"), "query ($a: Int = 1, $b: Int) {\n  a\n}\n"},
    {BYTES("{a}query b{a}"), "query {\n  a\n}\n\nquery b {\n  a\n}\n"},
    /* 2.4 to 2.8 selections, fields, arguments, aliases, fragments */
    {BYTES("query {\n  a {\n    b {\n      c\n    }\n    d\n  }\n}"), NULL},
    {BYTES("query {\n  a: b(c: 1, c: 2) @d {\n    a: a\n  }\n  type: input(enum: 1)\n}"), NULL},
    {BYTES("{true:false(null:1)null}"), "query {\n  true: false(null: 1)\n  null\n}\n"},
    {BYTES("query {\n  ...on1\n  ...true @d\n  ... on on @d {\n    a\n  }\n}"), NULL},
    {BYTES("query {\n  ... @d {\n    a\n  }\n  ... {\n    a\n  }\n}"), NULL},
    {BYTES("fragment fragment on on @d(x: $v) {\n  a\n}"), NULL},
    {BYTES("{...a...b...on c{d}}"), "query {\n  ...a\n  ...b\n  ... on c {\n    d\n  }\n}\n"},
    /* 2.9 values */
    {BYTES("query {\n  a(b: [0, -0, 9, -12, 123456789012345678901234567890])\n}"), NULL},
    {BYTES("query {\n  a(b: [0.0, -1.50, 1e5, 1E+05, -0.0e-0, 1.23456789012345678901234567890])\n}"), NULL},
    {BYTES("{a(b:[1-2-0.5-1e1-3])}"), "query {\n  a(b: [1, -2, -0.5, -1e1, -3])\n}\n"},
    {BYTES("{a(b:[x-1\"y\"-2,true-3])}"), "query {\n  a(b: [x, -1, \"y\", -2, true, -3])\n}\n"},
    {BYTES("query {\n  a(b: true, c: false, d: null, e: nullx, f: on, g: type)\n}"), NULL},
    {BYTES("query {\n  a(b: [], c: {}, d: [[], {}], e: {f: [{g: $h}], f: $true})\n}"), NULL},
    {BYTES("{a(b:$ c,d:$#\nd)}"), "query {\n  a(b: $c, d: $d)\n}\n"},
    {BYTES("{a(b:\"x\"c:\"\"d:\"\"\"\"\"\"e:\"\"\"f\"\"\")}"), "query {\n  a(b: \"x\", c: \"\", d: \"\", e: \"f\")\n}\n"},
    /* 2.11 types */
    {BYTES("query ($a: [[Int!]]!, $b: on!) {\n  a\n}"), NULL},
    /* 3.2 descriptions */
    {BYTES("\"x\" scalar A"), "\"\"\"x\"\"\"\nscalar A\n"},
    {BYTES("\"\" scalar A"), "\"\"\nscalar A\n"},
    {BYTES("\"\"\"\na\n  \"b\"\n\nc \\\"\"\" \\\\\n\"\"\"\nscalar A"), NULL},
    {BYTES("\"a\\nb\" type T{\"c\" f(\"d\" a:Int b:Int):Int}"),
     "\"\"\"\na\nb\n\"\"\"\ntype T {\n  \"\"\"c\"\"\"\n  f(\n    \"\"\"d\"\"\"\n    a: Int\n    b: Int\n  ): Int\n}\n"},
    {BYTES("\"a\\\"\" scalar A"), "\"\"\"\na\"\n\"\"\"\nscalar A\n"},
    {BYTES("\"a\\\\\" scalar A"), "\"\"\"\na\\\n\"\"\"\nscalar A\n"},
    {BYTES("\" a\" scalar A"), "\" a\"\nscalar A\n"},
    {BYTES("\" a\\n b\" scalar A"), "\" a\\n b\"\nscalar A\n"},
    {BYTES("\"a\\n\" scalar A"), "\"a\\n\"\nscalar A\n"},
    {BYTES("\"\\na\" scalar A"), "\"\\na\"\nscalar A\n"},
    {BYTES("\"a\\r\" scalar A"), "\"a\\r\"\nscalar A\n"},
    /* 3.3 schema, 3.4 to 3.10 types, 3.13 directives, and extensions of all */
    {BYTES("\"s\" schema @a {query:Q mutation:M subscription:S}"),
     "\"\"\"s\"\"\"\nschema @a {\n  query: Q\n  mutation: M\n  subscription: S\n}\n"},
    {BYTES("extend schema @a"), NULL},
    {BYTES("extend schema @a {\n  query: Q\n}"), NULL},
    {BYTES("extend schema {\n  query: Q\n}"), NULL},
    {BYTES("scalar type @a(b: 1)"), NULL},
    {BYTES("extend scalar A @a"), NULL},
    {BYTES("type A"), NULL},
    {BYTES("type type {\n  type: type\n}"), NULL},
    {BYTES("type implements implements implements & B @c {\n  a(b: Int = 1 @d, c: [I!]! = [{x: 1}]): [B!]! @e\n}"), NULL},
    {BYTES("type A implements&B&C{a:B}"), "type A implements B & C {\n  a: B\n}\n"},
    {BYTES("extend type A implements B"), NULL},
    {BYTES("extend type A implements B @c {\n  a: B\n}"), NULL},
    {BYTES("extend type A @c"), NULL},
    {BYTES("extend type A {\n  a: B\n}"), NULL},
    {BYTES("interface A implements B & C @d {\n  a: B\n}"), NULL},
    {BYTES("interface A"), NULL},
    {BYTES("extend interface A implements B"), NULL},
    {BYTES("extend interface A @c {\n  a: B\n}"), NULL},
    {BYTES("extend interface A {\n  a: B\n}"), NULL},
    {BYTES("union A @d = B | on"), NULL},
    {BYTES("union A=|B|C"), "union A = B | C\n"},
    {BYTES("union A"), NULL},
    {BYTES("extend union A @d"), NULL},
    {BYTES("extend union A @d = B"), NULL},
    {BYTES("extend union A = B"), NULL},
    {BYTES("enum A @d {\n  \"\"\"b\"\"\"\n  B @e\n  on\n  type\n}"), NULL},
    {BYTES("enum A"), NULL},
    {BYTES("extend enum A @d"), NULL},
    {BYTES("extend enum A @d {\n  B\n}"), NULL},
    {BYTES("extend enum A {\n  B\n}"), NULL},
    {BYTES("input A @d {\n  \"\"\"b\"\"\"\n  a: Int! = 1 @e\n  b: [A]\n}"), NULL},
    {BYTES("input A"), NULL},
    {BYTES("extend input A @d"), NULL},
    {BYTES("extend input A @d {\n  a: Int\n}"), NULL},
    {BYTES("extend input A {\n  a: Int\n}"), NULL},
    {BYTES("directive @a on QUERY"), NULL},
    {BYTES("directive @on(a: Int = 1, b: A @c) repeatable on QUERY | FIELD"), NULL},
    {BYTES("directive@a on|QUERY|MUTATION|SUBSCRIPTION|FIELD|FRAGMENT_DEFINITION|FRAGMENT_SPREAD|INLINE_FRAGMENT"
           "|VARIABLE_DEFINITION|SCHEMA|SCALAR|OBJECT|FIELD_DEFINITION|ARGUMENT_DEFINITION|INTERFACE|UNION|ENUM"
           "|ENUM_VALUE|INPUT_OBJECT|INPUT_FIELD_DEFINITION"),
     "directive @a on QUERY | MUTATION | SUBSCRIPTION | FIELD | FRAGMENT_DEFINITION | FRAGMENT_SPREAD | INLINE_FRAGMENT"
     " | VARIABLE_DEFINITION | SCHEMA | SCALAR | OBJECT | FIELD_DEFINITION | ARGUMENT_DEFINITION | INTERFACE | UNION | ENUM"
     " | ENUM_VALUE | INPUT_OBJECT | INPUT_FIELD_DEFINITION\n"},
    /* definitions one behind the other: what follows is not taken for a part of what is before */
    {BYTES("type A query{a}"), "type A\n\nquery {\n  a\n}\n"},
    {BYTES("scalar A{a}"), "scalar A\n\nquery {\n  a\n}\n"},
    {BYTES("type A \"d\" type B extend type B@c"), "type A\n\n\"\"\"d\"\"\"\ntype B\n\nextend type B @c\n"},
    {BYTES("union A=B enum C directive@d on FIELD input D"), "union A = B\n\nenum C\n\ndirective @d on FIELD\n\ninput D\n"},
    /* Prisma 1's data models: no commas, comments between all */
    {BYTES("type User @db(name: \"app_user\") { # c\n  id: ID! @id(strategy: SEQUENCE) # d\n  posts: [Post!]!\n"
           "    @relation(name: \"P\" # e\n link: TABLE onDelete: CASCADE)\n  role: Role @default(value: ADMIN)\n}"),
     "type User @db(name: \"app_user\") {\n  id: ID! @id(strategy: SEQUENCE)\n"
     "  posts: [Post!]! @relation(name: \"P\", link: TABLE, onDelete: CASCADE)\n  role: Role @default(value: ADMIN)\n}\n"},
};

static void test_good(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    void *mem = arena_request(NULL);
    const char *want = good[i].printed ? good[i].printed : arena_printf(mem, "%s\n", good[i].text);

    assert_string_equal(round_trip(mem, good[i].text, good[i].len), want);
    talloc_free(mem);
  }
}

/* ---- strings ---------------------------------------------------------------------------------------------------------- */

static const struct {
  const char *text;
  const char *value;
  size_t len;
} strings[] = {
    {"\"\"", BYTES("")},
    {"\"a 'b' # {c}\t\"", BYTES("a 'b' # {c}\t")},
    {"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x01\x7f\"", BYTES("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x01\x7f")},
    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", BYTES("\"\\/\b\f\n\r\t")},
    {"\"\\\"\"", BYTES("\"")},
    {"\"\\\\\"", BYTES("\\")},
    {"\"\\u0041\\u00e9\\u20Ac\\uFFFF\"", BYTES("A\xc3\xa9\xe2\x82\xac\xef\xbf\xbf")},
    {"\"a\\u0000b\"", BYTES("a\0b")},
    {"\"\\u{0}\\u{41}\\u{000041}\\u{e9}\\u{1F600}\\u{10FFFF}\"", BYTES("\0AA\xc3\xa9\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf")},
    {"\"\\uD83D\\uDE00x\\ud800\\udc00\\uDBFF\\uDFFF\"", BYTES("\xf0\x9f\x98\x80x\xf0\x90\x80\x80\xf4\x8f\xbf\xbf")},
    {"\"\\uD7FF\\uE000\"", BYTES("\xed\x9f\xbf\xee\x80\x80")},
    /* 2.9.4 block strings */
    {"\"\"\"\"\"\"", BYTES("")},
    {"\"\"\" \n\t\r\n \"\"\"", BYTES("")},
    {"\"\"\"a\"\"\"", BYTES("a")},
    {"\"\"\" a \"\"\"", BYTES(" a ")},
    {"\"\"\"\"a\" \"\" \\\"\"\"\"\"\"", BYTES("\"a\" \"\" \"\"\"")},
    {"\"\"\"\\\"\"\"\\\"\"\"\\\\\"\"\"\"\"\"", BYTES("\"\"\"\"\"\"\\\"\"\"")},
    {"\"\"\"\\n\\u0041\\\"\\\"\" \"\"\"", BYTES("\\n\\u0041\\\"\\\"\" ")},
    {"\"\"\"a \\ \"\"\"", BYTES("a \\ ")},
    {"\"\"\"\n    Hello,\n      World!\n\n    Yours,\n      GraphQL.\n  \"\"\"",
     BYTES("Hello,\n  World!\n\nYours,\n  GraphQL.")},
    {"\"\"\"a\n    b\n   c\"\"\"", BYTES("a\n b\nc")},
    {"\"\"\"  a\n    b\"\"\"", BYTES("  a\nb")},
    {"\"\"\"\n\ta\n \tb\n\"\"\"", BYTES("a\n\tb")},
    {"\"\"\"a\r\n  b\r  c\n\r  d\"\"\"", BYTES("a\nb\nc\n\nd")},
    {"\"\"\"\n    a\n \n      \n    b\n\"\"\"", BYTES("a\n\n  \nb")},
    {"\"\"\"\n\n a\n\n\n\"\"\"", BYTES("a")},
    {"\"\"\"\n  \\\"\"\"a\n  \\\"\"\"b\"\"\"", BYTES("\"\"\"a\n\"\"\"b")},
    {"\"\"\"\xc3\xa9\n \xe2\x80\xa8\x01\"\"\"", BYTES("\xc3\xa9\n\xe2\x80\xa8\x01")},
};

static void test_strings(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
    void *mem = arena_request(NULL);
    const char *text = arena_printf(mem, "{a(b:[%s c])}", strings[i].text), *again;
    const struct graphql_document *document;
    const struct graphql_value *value;
    struct err e;

    for (unsigned pass = 0; pass < 2; pass++) {
      if (!read_document(mem, text, strlen(text), &document, &e)) fail_msg("%s: %s", text, e.message);
      value = document->definitions->selections->arguments->value;
      assert_int_equal(value->len, 2);
      assert_string_equal(value->items->next->text, "c");
      assert_int_equal(value->items->kind, GRAPHQL_VALUE_STRING);
      assert_int_equal(value->items->len, strings[i].len);
      assert_memory_equal(value->items->text, strings[i].value, strings[i].len + 1);
      again = printed(mem, document);
      text = again;
    }
    talloc_free(mem);
  }
}

/* As a description, which is printed as a block where that keeps it. */
static void test_descriptions_come_back(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
    void *mem = arena_request(NULL);
    const char *text = arena_printf(mem, "enum A { %s B }", strings[i].text);
    const struct graphql_document *document;
    const struct graphql_value *value;
    struct err e;

    text = round_trip(mem, text, strlen(text));
    assert_true(read_document(mem, text, strlen(text), &document, &e));
    value = document->definitions->values->description;
    assert_int_equal(value->len, strings[i].len);
    assert_memory_equal(value->text, strings[i].value, strings[i].len + 1);
    talloc_free(mem);
  }
}

/* ---- what is refused -------------------------------------------------------------------------------------------------- */

#define NUMBER_END "a number must not be followed by a letter, a digit or a point"
#define SURROGATE "a surrogate without its other half is no character"
#define HEX "\\u must be followed by four hexadecimal digits, or by some in braces"
#define NOT_ASCII "a character that is not ASCII can only stand in strings and comments"
#define STRING_END "the string that begins here does not end on its line"

static const struct bad {
  const char *text;
  size_t len;
  unsigned line, column;
  const char *why;
} bad[] = {
    {BYTES(""), 1, 1, "expected a definition, found the end of the text"},
    {BYTES(" \n # a\r\n"), 3, 1, "expected a definition, found the end of the text"},
    {BYTES("{}"), 1, 2, "expected ... or a name, found }"},
    {BYTES("}"), 1, 1, "expected a definition, found }"},
    {BYTES("{a"), 1, 3, "expected (, ..., :, @, {, } or a name, found the end of the text"},
    {BYTES("{a}}"), 1, 4, "expected a definition, found }"},
    {BYTES("{a()}"), 1, 4, "expected a name, found )"},
    {BYTES("{a(b)}"), 1, 5, "expected :, found )"},
    {BYTES("{a(b:)}"), 1, 6, "expected a value, found )"},
    {BYTES("{a(b:[1)}"), 1, 8, "expected ] or a value, found )"},
    {BYTES("{a(b:{1:1})}"), 1, 7, "expected } or a name, found 1"},
    {BYTES("{a(b:{c:1]})}"), 1, 10, "expected } or a name, found ]"},
    {BYTES("{a:}"), 1, 4, "expected a name, found }"},
    {BYTES("{a:b:c}"), 1, 5, "expected (, ..., @, {, } or a name, found :"},
    {BYTES("{a@}"), 1, 4, "expected a name, found }"},
    {BYTES("{a{}}"), 1, 4, "expected ... or a name, found }"},
    {BYTES("{...}"), 1, 5, "expected @, { or a name, found }"},
    {BYTES("{...on}"), 1, 7, "expected a name, found }"},
    {BYTES("{... on A}"), 1, 10, "expected @ or {, found }"},
    {BYTES("{\"a\"}"), 1, 2, "expected ... or a name, found a string"},
    {BYTES("{$a}"), 1, 2, "expected ... or a name, found $"},
    {BYTES("query"), 1, 6, "expected (, @, { or a name, found the end of the text"},
    {BYTES("query a b"), 1, 9, "expected (, @ or {, found b"},
    {BYTES("query(){a}"), 1, 7, "expected $, found )"},
    {BYTES("query($a){a}"), 1, 9, "expected :, found )"},
    {BYTES("query($a:){a}"), 1, 10, "expected [ or a name, found )"},
    {BYTES("query($a:[A){a}"), 1, 12, "expected ! or ], found )"},
    {BYTES("query($a:A!!){a}"), 1, 12, "expected $, ), = or @, found !"},
    {BYTES("query($a:A=$b){a}"), 1, 12, "expected a value, found $"},
    {BYTES("query($a:A=[{x:$b}]){a}"), 1, 16, "expected a value, found $"},
    {BYTES("query($a:A@d(x:$b)){a}"), 1, 16, "expected a value, found $"},
    {BYTES("fragment on on A{a}"), 1, 10, "expected a name, found on"},
    {BYTES("fragment a{a}"), 1, 11, "expected on, found {"},
    {BYTES("fragment a on{a}"), 1, 14, "expected a name, found {"},
    {BYTES("Query{a}"), 1, 1, "expected a definition, found Query"},
    {BYTES("abcdefghijklmnopqrstuvwxyzabcdefghijklmnop1 {a}"), 1, 1,
     "expected a definition, found abcdefghijklmnopqrstuvwxyzabcdefghijklmn..."},
    {BYTES("\"d\" query{a}"), 1, 5, "expected a type definition, found query"},
    {BYTES("\"d\" extend type A@b"), 1, 5, "expected a type definition, found extend"},
    {BYTES("schema{}"), 1, 8, "expected mutation, query or subscription, found }"},
    {BYTES("schema"), 1, 7, "expected @ or {, found the end of the text"},
    {BYTES("schema{a:B}"), 1, 8, "expected mutation, query or subscription, found a"},
    {BYTES("extend"), 1, 7, "expected enum, input, interface, scalar, schema, type or union, found the end of the text"},
    {BYTES("extend directive@a on FIELD"), 1, 8,
     "expected enum, input, interface, scalar, schema, type or union, found directive"},
    {BYTES("extend schema"), 1, 14, "expected @ or {, found the end of the text"},
    {BYTES("extend scalar A"), 1, 16, "expected @, found the end of the text"},
    {BYTES("extend type A"), 1, 14, "expected @, { or implements, found the end of the text"},
    {BYTES("extend union A"), 1, 15, "expected = or @, found the end of the text"},
    {BYTES("extend enum A"), 1, 14, "expected @ or {, found the end of the text"},
    {BYTES("extend input A"), 1, 15, "expected @ or {, found the end of the text"},
    {BYTES("type A{}"), 1, 8, "expected a name, found }"},
    {BYTES("type A{a}"), 1, 9, "expected ( or :, found }"},
    {BYTES("type A{a:B=1}"), 1, 11, "expected !, @, } or a name, found ="},
    {BYTES("type A{a():B}"), 1, 10, "expected a name, found )"},
    {BYTES("type A{a:B@c(d:$e)}"), 1, 16, "expected a value, found $"},
    {BYTES("type A implements"), 1, 18, "expected & or a name, found the end of the text"},
    {BYTES("type A implements B C{a:B}"), 1, 21, "expected &, @, { or a definition, found C"},
    {BYTES("type A@b implements C"), 1, 10, "expected (, @, { or a definition, found implements"},
    {BYTES("type A a"), 1, 8, "expected @, {, a definition or implements, found a"},
    {BYTES("union A="), 1, 9, "expected | or a name, found the end of the text"},
    {BYTES("union A=B|"), 1, 11, "expected a name, found the end of the text"},
    {BYTES("enum A{}"), 1, 8, "expected a name, found }"},
    {BYTES("enum A{true}"), 1, 8, "expected a name, found true"},
    {BYTES("enum A{B null}"), 1, 10, "expected @, } or a name, found null"},
    {BYTES("input A{a(b:C):D}"), 1, 10, "expected :, found ("},
    {BYTES("directive a on FIELD"), 1, 11, "expected @, found a"},
    {BYTES("directive@a"), 1, 12, "expected (, on or repeatable, found the end of the text"},
    {BYTES("directive@a on FIELD|"), 1, 22, "expected a name, found the end of the text"},
    {BYTES("directive@a on FIELDS"), 1, 16,
     "a directive has no such place; known are QUERY, FIELD, OBJECT, FIELD_DEFINITION and so on"},
    {BYTES("directive@a on QUERY|query"), 1, 22,
     "a directive has no such place; known are QUERY, FIELD, OBJECT, FIELD_DEFINITION and so on"},
    /* 2.9.1, 2.9.2 numbers */
    {BYTES("{a(b:00)}"), 1, 6, "a number must not begin with 0 and go on with digits"},
    {BYTES("{a(b:-01.5)}"), 1, 6, "a number must not begin with 0 and go on with digits"},
    {BYTES("{a b-01}"), 1, 5, "a number must not begin with 0 and go on with digits"},
    {BYTES("{a b-1.}"), 1, 5, "digits must follow the point of a number"},
    {BYTES("{a b-x}"), 1, 5, "a digit must follow the minus sign"},
    {BYTES("{a(b:1.)}"), 1, 6, "digits must follow the point of a number"},
    {BYTES("{a(b:1.e5)}"), 1, 6, "digits must follow the point of a number"},
    {BYTES("{a(b:1...)}"), 1, 6, "digits must follow the point of a number"},
    {BYTES("{a(b:1a)}"), 1, 6, NUMBER_END},
    {BYTES("{a(b:1_)}"), 1, 6, NUMBER_END},
    {BYTES("{a(b:1.5x)}"), 1, 6, NUMBER_END},
    {BYTES("{a(b:1.5.)}"), 1, 6, NUMBER_END},
    {BYTES("{a(b:1e)}"), 1, 6, NUMBER_END},
    {BYTES("{a(b:1e5.0)}"), 1, 6, NUMBER_END},
    {BYTES("{a(b:0x1F)}"), 1, 6, NUMBER_END},
    {BYTES("{a(b:-)}"), 1, 6, "a digit must follow the minus sign"},
    {BYTES("{a(b:-a)}"), 1, 6, "a digit must follow the minus sign"},
    {BYTES("{a(b:+1)}"), 1, 6, "the character + has no meaning here"},
    {BYTES("{a(b:.5)}"), 1, 6, "a point can only stand in a number or as ..."},
    {BYTES("{..a}"), 1, 2, "a point can only stand in a number or as ..."},
    {BYTES("{a b 1-1}"), 1, 6, "expected (, ..., :, @, {, } or a name, found 1"},
    {BYTES("{a b-1.5e3}"), 1, 5, "expected (, ..., :, @, {, } or a name, found -1.5e3"},
    /* 2.9.4 strings */
    {BYTES("{a(b:\"x"), 1, 6, STRING_END},
    {BYTES("{a(b:\"x\n\")}"), 1, 6, STRING_END},
    {BYTES("{a(b:\"x\r\")}"), 1, 6, STRING_END},
    {BYTES("{a(b:\"x\\\n\")}"), 1, 6, STRING_END},
    {BYTES("{a(b:\"\\\")}"), 1, 6, STRING_END},
    {BYTES("{a(b:\"\"\")}"), 1, 6, "the block string that begins here does not end"},
    {BYTES("\n{a(b:\"\"\"\n\\\"\"\"\"\""), 2, 6, "the block string that begins here does not end"},
    {BYTES("{a(b:'x')}"), 1, 6, "strings stand in double quotes, not in single ones"},
    {BYTES("{a(b:\"\\x\")}"), 1, 7, "a backslash must be followed by one of \" \\ / b f n r t u"},
    {BYTES("{a(b:\"\xc3\xa9\\n\\u00e9\\x\")}"), 1, 16, "a backslash must be followed by one of \" \\ / b f n r t u"},
    {BYTES("{a(b:\"\\\xc3\xa9\")}"), 1, 7, "a backslash must be followed by one of \" \\ / b f n r t u"},
    {BYTES("{a(b:\"\\u\")}"), 1, 7, HEX},
    {BYTES("{a(b:\"\\u004\")}"), 1, 7, HEX},
    {BYTES("{a(b:\"\\u004G\")}"), 1, 7, HEX},
    {BYTES("{a(b:\"\\U0041\")}"), 1, 7, "a backslash must be followed by one of \" \\ / b f n r t u"},
    {BYTES("{a(b:\"\\u{}\")}"), 1, 7, HEX},
    {BYTES("{a(b:\"\\u{41\")}"), 1, 7, HEX},
    {BYTES("{a(b:\"\\u{4 1}\")}"), 1, 7, HEX},
    {BYTES("{a(b:\"\\u{110000}\")}"), 1, 7, "\\u{} goes up to 10FFFF only"},
    {BYTES("{a(b:\"\\u{FFFFFFFFFFFFFFFFFFFF0041}\")}"), 1, 7, "\\u{} goes up to 10FFFF only"},
    {BYTES("{a(b:\"\\uD800\")}"), 1, 7, SURROGATE},
    {BYTES("{a(b:\"\\uDC00\")}"), 1, 7, SURROGATE},
    {BYTES("{a(b:\"\\uDC00\\uD800\")}"), 1, 7, SURROGATE},
    {BYTES("{a(b:\"\\uD800\\uD800\")}"), 1, 7, SURROGATE},
    {BYTES("{a(b:\"\\uD800x\")}"), 1, 7, SURROGATE},
    {BYTES("{a(b:\"\\uD800\\n\")}"), 1, 7, SURROGATE},
    {BYTES("{a(b:\"\\uD83D\\u{DE00}\")}"), 1, 7, SURROGATE},
    {BYTES("{a(b:\"\\u{D83D}\\uDE00\")}"), 1, 7, SURROGATE},
    {BYTES("{a(b:\"\\u{DFFF}\")}"), 1, 7, SURROGATE},
    {BYTES("{a(b:\"\\uD83D\\u\")}"), 1, 7, SURROGATE},
    /* 2.1 characters */
    {BYTES("{\xc3\xa9}"), 1, 2, NOT_ASCII},
    {BYTES("{a\xc2\xa0}"), 1, 3, NOT_ASCII},
    {BYTES("{a\x01}"), 1, 3, "a control character can only stand in strings and comments"},
    {BYTES("{a\f}"), 1, 3, "a control character can only stand in strings and comments"},
    {BYTES("{a\x7f}"), 1, 3, "a control character can only stand in strings and comments"},
    {BYTES("{a?}"), 1, 3, "the character ? has no meaning here"},
    {BYTES("{a;}"), 1, 3, "the character ; has no meaning here"},
    {BYTES("{a %s}"), 1, 4, "the character % has no meaning here"},
    {BYTES("{a\0}"), 1, 3, "a NUL byte is not allowed"},
    {BYTES("{a(b:\"\0\")}"), 1, 7, "a NUL byte is not allowed"},
    {BYTES("{a}\0"), 1, 4, "a NUL byte is not allowed"},
    {BYTES("\r\n# \xc3\xa9\x80"), 2, 4, "invalid UTF-8"},
    {BYTES("{a(b:\"\xc0\x80\")}"), 1, 7, "invalid UTF-8"},
    {BYTES("{a(b:\"\xc1\xbf\")}"), 1, 7, "invalid UTF-8"},
    {BYTES("{a(b:\"\xe0\x9f\xbf\")}"), 1, 7, "invalid UTF-8"},
    {BYTES("{a(b:\"\xed\xa0\x80\")}"), 1, 7, "invalid UTF-8"},
    {BYTES("{a(b:\"\xf0\x8f\xbf\xbf\")}"), 1, 7, "invalid UTF-8"},
    {BYTES("{a(b:\"\xf4\x90\x80\x80\")}"), 1, 7, "invalid UTF-8"},
    {BYTES("{a(b:\"\xf5\x80\x80\x80\")}"), 1, 7, "invalid UTF-8"},
    {BYTES("{a(b:\"\xe2\x82\")}"), 1, 7, "invalid UTF-8"},
    {BYTES("{a} #\xe2\x82"), 1, 6, "invalid UTF-8"},
    {BYTES("{a} #\xf0\x9f\x98"), 1, 6, "invalid UTF-8"},
    /* 2.1.2 lines: LF, CR, CR LF, also within block strings; columns count characters */
    {BYTES("\n\n  ?"), 3, 3, "the character ? has no meaning here"},
    {BYTES("\r\r  ?"), 3, 3, "the character ? has no meaning here"},
    {BYTES("\r\n\r\n  ?"), 3, 3, "the character ? has no meaning here"},
    {BYTES("\n\r\n\r ?"), 4, 2, "the character ? has no meaning here"},
    {BYTES("\f"), 1, 1, "a control character can only stand in strings and comments"},
    {BYTES("\xef\xbb\xbf ?"), 1, 3, "the character ? has no meaning here"},
    {BYTES("{a(b:\"\xc3\xa9\xf0\x9f\x98\x80\" ?"), 1, 11, "the character ? has no meaning here"},
    {BYTES("{a(b:\"\xc3\xa9\"\n ?"), 2, 2, "the character ? has no meaning here"},
    {BYTES("{a(b:\"\"\"\xc3\xa9\r\n\r\n\xc3\xa9\"\"\" ?"), 3, 6, "the character ? has no meaning here"},
    {BYTES("{a(b:\"\"\"\r\r \"\"\" ?"), 3, 6, "the character ? has no meaning here"},
    {BYTES("# \xc3\xa9\n?"), 2, 1, "the character ? has no meaning here"},
};

static void test_bad(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    void *mem = arena_request(NULL);
    const struct graphql_document *document = NULL;
    const char *message = arena_printf(mem, "Line %u, column %u: %s.", bad[i].line, bad[i].column, bad[i].why);
    struct err e;

    if (read_document(mem, bad[i].text, bad[i].len, &document, &e)) fail_msg("read: %s", bad[i].text);
    if (strcmp(e.message, message) != 0) fail_msg("%s\n  is: %s\nwant: %s", bad[i].text, e.message, message);
    assert_int_equal(e.code, ERR_BAD_REQUEST);
    assert_int_equal(e.input_line, bad[i].line);
    assert_int_equal(e.input_column, bad[i].column);
    assert_null(document);
    talloc_free(mem);
  }
}

/* Every beginning of a text is refused or read, and nothing else. */
static void test_cut_short(void **state) {
  static const char text[] = "query q($a:[Int!]=[1.5e3 \"\\u{41}\"]@x){a:b(c:{d:$a})...F ...on T@y{e}}"
                             "\"\"\"d\\\"\"\"\r\n\"\"\"type A implements B&C{f(g:Int=-1):[H!]!}"
                             "union U=|A|B directive@z repeatable on|FIELD";

  (void)state;
  for (size_t len = 0; len < sizeof text; len++) {
    void *mem = arena_request(NULL);
    const struct graphql_document *document;
    struct err e;

    if (!read_document(mem, text, len, &document, &e)) assert_non_null(strstr(e.message, "Line "));
    talloc_free(mem);
  }
}

/* ---- places ----------------------------------------------------------------------------------------------------------- */

static void assert_pos(struct graphql_pos pos, unsigned line, unsigned column) {
  assert_int_equal(pos.line, line);
  assert_int_equal(pos.column, column);
}

static const struct graphql_definition *definitions(void *mem, const char *text) {
  const struct graphql_document *document;
  struct err e;

  if (!read_document(mem, text, strlen(text), &document, &e)) fail_msg("%s: %s", text, e.message);
  return document->definitions;
}

static void test_places_of_what_is_executed(void **state) {
  void *mem = arena_request(NULL);
  const struct graphql_definition *d =
      definitions(mem, "query Q($a: [Int]! = 1 @x) {\n  a: b(c: [$a, {d: 1}]) @y\n  c ...F ... on T { e }\n}\n"
                       "{ a }\nfragment F on T { a }");
  const struct graphql_selection *s = d->selections;

  (void)state;
  assert_pos(d->pos, 1, 1);
  assert_pos(d->name_pos, 1, 7);
  assert_pos(d->variables->pos, 1, 9);
  assert_pos(d->variables->type->pos, 1, 13);
  assert_pos(d->variables->type->of->pos, 1, 14);
  assert_pos(d->variables->default_value->pos, 1, 22);
  assert_pos(d->variables->directives->pos, 1, 24);
  assert_pos(s->pos, 2, 3);
  assert_pos(s->arguments->pos, 2, 8);
  assert_pos(s->arguments->value->pos, 2, 11);
  assert_pos(s->arguments->value->items->pos, 2, 12);
  assert_pos(s->arguments->value->items->next->pos, 2, 16);
  assert_pos(s->arguments->value->items->next->fields->pos, 2, 17);
  assert_pos(s->directives->pos, 2, 25);
  assert_pos((s = s->next)->pos, 3, 3);
  assert_ptr_equal(s->alias, s->name);
  assert_pos((s = s->next)->pos, 3, 5);
  assert_int_equal(s->kind, GRAPHQL_SPREAD);
  assert_pos((s = s->next)->pos, 3, 10);
  assert_int_equal(s->kind, GRAPHQL_INLINE);
  assert_pos(s->selections->pos, 3, 21);
  assert_null(s->next);
  d = d->next;
  assert_pos(d->pos, 5, 1);
  assert_pos(d->name_pos, 5, 1);
  d = d->next;
  assert_pos(d->pos, 6, 1);
  assert_pos(d->name_pos, 6, 10);
  assert_pos(d->on_pos, 6, 15);
  assert_null(d->next);
  talloc_free(mem);
}

static void test_places_of_what_is_defined(void **state) {
  void *mem = arena_request(NULL);
  const struct graphql_definition *d =
      definitions(mem, "\"d\"\ntype A implements B & C @x {\n  \"e\" f(\"g\" h: Int = 1 @y): J @z\n}\n"
                       "extend enum E { \"x\" F }\nschema { query: Q }\ndirective @d on FIELD | QUERY\nunion U = A | B");

  (void)state;
  assert_pos(d->pos, 2, 1);
  assert_pos(d->description->pos, 1, 1);
  assert_pos(d->name_pos, 2, 6);
  assert_pos(d->interfaces->next->pos, 2, 23);
  assert_pos(d->directives->pos, 2, 25);
  assert_pos(d->fields->pos, 3, 7);
  assert_pos(d->fields->description->pos, 3, 3);
  assert_pos(d->fields->arguments->pos, 3, 13);
  assert_pos(d->fields->arguments->description->pos, 3, 9);
  assert_pos(d->fields->type->pos, 3, 29);
  assert_pos(d->fields->directives->pos, 3, 31);
  d = d->next;
  assert_true(d->extend);
  assert_int_equal(d->kind, GRAPHQL_DEF_ENUM);
  assert_pos(d->pos, 5, 1);
  assert_pos(d->name_pos, 5, 13);
  assert_pos(d->values->pos, 5, 21);
  d = d->next;
  assert_pos(d->pos, 6, 1);
  assert_pos(d->name_pos, 6, 1);
  assert_pos(d->roots->pos, 6, 10);
  d = d->next;
  assert_pos(d->name_pos, 7, 12);
  assert_pos(d->members->next->pos, 7, 25);
  assert_pos(d->next->members->next->pos, 8, 15);
  talloc_free(mem);
}

static void test_values(void **state) {
  void *mem = arena_request(NULL);
  const struct graphql_definition *d = definitions(mem, "{a(b:[1-2.5e-1 $v true null E{}[]\"\"{x:1,x:2}{y:$v}])}");
  const struct graphql_value *list = d->selections->arguments->value, *v = list->items;
  static const struct {
    enum graphql_value_kind kind;
    const char *text;
    size_t len;
  } want[] = {{GRAPHQL_VALUE_INT, "1", 1},        {GRAPHQL_VALUE_FLOAT, "-2.5e-1", 7}, {GRAPHQL_VALUE_VARIABLE, "v", 1},
              {GRAPHQL_VALUE_BOOLEAN, "true", 4}, {GRAPHQL_VALUE_NULL, "null", 4},     {GRAPHQL_VALUE_ENUM, "E", 1},
              {GRAPHQL_VALUE_OBJECT, NULL, 0},    {GRAPHQL_VALUE_LIST, NULL, 0},       {GRAPHQL_VALUE_STRING, "", 0},
              {GRAPHQL_VALUE_OBJECT, NULL, 2},    {GRAPHQL_VALUE_OBJECT, NULL, 1}};

  (void)state;
  assert_int_equal(list->len, sizeof want / sizeof *want);
  for (size_t i = 0; i < sizeof want / sizeof *want; i++, v = v->next) {
    assert_int_equal(v->kind, want[i].kind);
    assert_int_equal(v->len, want[i].len);
    if (want[i].text) assert_string_equal(v->text, want[i].text);
  }
  assert_null(v);
  talloc_free(mem);
}

/* ---- the other two ways in -------------------------------------------------------------------------------------------- */

static void test_selections(void **state) {
  static const struct {
    const char *text, *message; /* NULL: it is fine */
  } cases[] = {
      {"{ id cities(first: 2) { name } }", NULL},
      {"{ ...F }", NULL},
      {"{ id } ", NULL},
      {"", "Line 1, column 1: expected {, found the end of the text."},
      {"id", "Line 1, column 1: expected {, found id."},
      {"query { id }", "Line 1, column 1: expected {, found query."},
      {"{ id } { id }", "Line 1, column 8: expected the end of the text, found {."},
      {"{ }", "Line 1, column 3: expected ... or a name, found }."},
  };

  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    void *mem = arena_request(NULL);
    const struct graphql_selection *selections;
    struct err e;
    bool ok;

    err_init(&e, mem);
    ok = graphql_parse_selections(mem, cases[i].text, strlen(cases[i].text), &graphql_limits_default, &selections, &e);
    assert_int_equal(ok, cases[i].message == NULL);
    if (!ok) assert_string_equal(e.message, cases[i].message);
    talloc_free(mem);
  }
}

static void test_print_selections(void **state) {
  void *mem = arena_request(NULL);
  const struct graphql_selection *selections;
  struct str *out = str_new(mem, 64);
  struct err e;

  (void)state;
  err_init(&e, mem);
  assert_true(graphql_parse_selections(mem, BYTES("{id c:cities{name}}"), &graphql_limits_default, &selections, &e));
  graphql_print_selections(out, selections);
  assert_string_equal(out->p, "{\n  id\n  c: cities {\n    name\n  }\n}");
  talloc_free(mem);
}

static void test_schema(void **state) {
  static const struct {
    const char *text, *message;
  } cases[] = {
      {"type A { a: B } extend type A @x", NULL},
      {"# only\ntype A", NULL},
      {"", "Line 1, column 1: expected a type definition, found the end of the text."},
      {"{ a }", "Line 1, column 1: expected a type definition, found {."},
      {"type A { a: B } query { a }", "Line 1, column 17: expected a type definition, found query."},
      {"scalar A { a: B }", "Line 1, column 10: expected @ or a type definition, found {."},
      {"fragment A on B { a }", "Line 1, column 1: expected a type definition, found fragment."},
  };

  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    void *mem = arena_request(NULL);
    const struct graphql_document *document;
    struct err e;
    bool ok;

    err_init(&e, mem);
    ok = graphql_parse_schema(mem, cases[i].text, strlen(cases[i].text), &graphql_limits_default, &document, &e);
    assert_int_equal(ok, cases[i].message == NULL);
    if (!ok) assert_string_equal(e.message, cases[i].message);
    talloc_free(mem);
  }
}

/* ---- limits ----------------------------------------------------------------------------------------------------------- */

/* The message with these limits, or "" if all is well. */
static const char *within(void *mem, const char *text, size_t len, size_t bytes, unsigned tokens, unsigned depth) {
  struct graphql_limits limits = {.bytes = bytes, .tokens = tokens, .depth = depth};
  const struct graphql_document *document;
  struct err e;

  err_init(&e, mem);
  if (graphql_parse(mem, text, len, &limits, &document, &e)) return "";
  assert_int_equal(e.code, ERR_TOO_LARGE);
  return e.message;
}

static void test_limits(void **state) {
  void *mem = arena_request(NULL);

  (void)state;
  assert_string_equal(within(mem, BYTES("{ a }"), 5, 3, 1), "");
  assert_string_equal(within(mem, BYTES("{ a } "), 5, 9, 9), "The GraphQL text is longer than 5 bytes.");
  assert_string_equal(within(mem, BYTES("{ a b }"), 9, 4, 1), "");
  assert_string_equal(within(mem, BYTES("{ a b c }"), 9, 4, 1), "Line 1, column 9: there are more than 4 tokens.");
  assert_string_equal(within(mem, BYTES("{ a { b(c: 1) } }"), 99, 99, 2), "");
  assert_string_equal(within(mem, BYTES("{ a { b { c } } }"), 99, 99, 2),
                      "Line 1, column 9: braces and brackets are nested deeper than 2.");
  assert_string_equal(within(mem, BYTES("{ a(b: [{c: []}]) }"), 99, 99, 4), "");
  assert_string_equal(within(mem, BYTES("{ a(b: [{c: []}]) }"), 99, 99, 3),
                      "Line 1, column 13: braces and brackets are nested deeper than 3.");
  assert_string_equal(within(mem, BYTES("{ a {b} c {b} d(e: []) }"), 99, 99, 2), "");
  talloc_free(mem);
}

/* unit so many times. */
static char *repeat(void *mem, const char *unit, size_t times) {
  struct str *s = str_new(mem, strlen(unit) * times + 1);

  while (times-- > 0) str_add(s, unit);
  return s->p;
}

/* However deep the text: an error, and no more memory than some for each byte. */
static void test_deep(void **state) {
  static const char *const units[] = {"{a", "{a(b:[", "{a(b:{c:", "{...{", "query($a:[", "[", "{a(b:[[[["};

  (void)state;
  for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
    void *mem = arena_request(NULL), *texts = talloc_new(NULL);
    char *text = repeat(texts, units[i], 10000);
    const struct graphql_document *document;
    struct err e;

    assert_false(read_document(mem, text, strlen(text), &document, &e));
    assert_true(talloc_total_size(mem) < 4 * strlen(text) + 256 * 1024);
    talloc_free(mem);
    talloc_free(texts);
  }
}

/* A limit that somebody has set high: as deep as the stack goes, then an error. */
static void test_depth_of_many_thousands(void **state) {
  struct graphql_limits limits = {.bytes = 16 * 1024 * 1024, .tokens = 4 * 1000 * 1000, .depth = 1000 * 1000};
  void *mem = talloc_new(NULL);
  const struct graphql_document *document;
  char *text;
  struct err e;

  (void)state;
  err_init(&e, mem);
  text = arena_printf(mem, "%sa%s", repeat(mem, "{a", 5000), repeat(mem, "}", 5000));
  assert_true(graphql_parse(mem, text, strlen(text), &limits, &document, &e));
  text = repeat(mem, "{a", 500 * 1000);
  assert_false(graphql_parse(mem, text, strlen(text), &limits, &document, &e));
  assert_int_equal(e.code, ERR_TOO_LARGE);
  assert_non_null(strstr(e.message, "nested too deeply"));
  talloc_free(mem);
}

/* A long flat text needs no stack, and memory in proportion. */
static void test_long(void **state) {
  struct graphql_limits limits = {.bytes = 2 * 1024 * 1024, .tokens = 1000 * 1000, .depth = 2};
  void *mem = talloc_new(NULL), *texts = talloc_new(NULL);
  char *text = arena_printf(texts, "{%s}", repeat(texts, "a:b ", 250 * 1000));
  const struct graphql_document *document;
  struct err e;

  (void)state;
  err_init(&e, mem);
  assert_true(graphql_parse(mem, text, strlen(text), &limits, &document, &e));
  assert_true(talloc_total_size(mem) < 30 * strlen(text));
  talloc_free(mem);
  talloc_free(texts);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_good),
      cmocka_unit_test(test_strings),
      cmocka_unit_test(test_descriptions_come_back),
      cmocka_unit_test(test_bad),
      cmocka_unit_test(test_cut_short),
      cmocka_unit_test(test_places_of_what_is_executed),
      cmocka_unit_test(test_places_of_what_is_defined),
      cmocka_unit_test(test_values),
      cmocka_unit_test(test_selections),
      cmocka_unit_test(test_print_selections),
      cmocka_unit_test(test_schema),
      cmocka_unit_test(test_limits),
      cmocka_unit_test(test_deep),
      cmocka_unit_test(test_depth_of_many_thousands),
      cmocka_unit_test(test_long),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
