/* schema/: what definitions make, what is refused and where. The cases follow the specification's sections: October 2021,
 * chapter 3. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/problems.h"
#include "graphql/parse.h"
#include "schema/schema.h"

#include <stdlib.h>
#include <string.h>

static const struct schema *read_text(void *mem, const char *text, struct problems *p) {
  const struct graphql_document *document;
  struct err e;

  err_init(&e, mem);
  problems_init(p, mem);
  if (!graphql_parse_schema(mem, text, strlen(text), &graphql_limits_default, &document, &e)) fail_msg("%s: %s", text, e.message);
  return schema_read(mem, "s.graphql", document, p);
}

static const struct schema *must_read(void *mem, const char *text) {
  struct problems p;
  const struct schema *s = read_text(mem, text, &p);

  if (!s) fail_msg("%s: line %d: %s", text, p.items[0].line, p.items[0].text);
  return s;
}

/* ---- what is read ---- */

static void types_are_found_by_name(void **state) {
  void *mem = arena_request(NULL);
  const struct schema *s = must_read(mem, "type Query { \"one\" a(b: [Int!] = [1], c: In): [T!]! @deprecated }\n"
                                          "interface N { n: ID } type T implements N { n: ID! u: U }\n"
                                          "union U = T | V type V { v: Float } enum E { B A @deprecated(reason: \"old\") }\n"
                                          "input In { z: E = A y: [In!] } scalar S @specifiedBy(url: \"http://s\")");
  const struct gql_field *a;

  (void)state;
  assert_ptr_equal(s->query, schema_type(s, "Query"));
  assert_null(s->mutation);
  assert_null(schema_type(s, "__Meta"));
  assert_null(schema_type(s, "Nothing"));
  assert_true(schema_type(s, "__Schema")->built_in);
  assert_string_equal(s->types[0]->name, "Int");
  assert_string_equal(s->types[s->ntypes - 1]->name, "S");
  assert_string_equal(schema_type(s, "S")->specified_by, "http://s");
  for (size_t i = 0; i < s->ntypes; i++) assert_int_equal(s->types[i]->index, i);
  a = schema_field(s->query, "a");
  assert_string_equal(gql_type_text(mem, a->type), "[T!]!");
  assert_string_equal(a->description, "one");
  assert_string_equal(a->deprecated, "No longer supported");
  assert_int_equal(a->place.line, 1);
  assert_ptr_equal(gql_named(a->type), schema_type(s, "T"));
  assert_true(gql_is_composite(a->type) && !gql_is_input(a->type) && !gql_is_leaf(a->type));
  assert_int_equal(schema_input(a->args, a->nargs, "b")->default_value->kind, GRAPHQL_VALUE_LIST);
  assert_null(schema_input(a->args, a->nargs, "d"));
  assert_string_equal(schema_value(schema_type(s, "E"), "A")->deprecated, "old");
  assert_null(schema_value(schema_type(s, "E"), "C"));
  assert_non_null(schema_input_field(schema_type(s, "In"), "z"));
  assert_null(schema_input_field(schema_type(s, "In"), "a"));
  assert_null(schema_field(schema_type(s, "In"), "z"));
  talloc_free(mem);
}

static void wrapped_types_are_the_same(void **state) {
  void *mem = arena_request(NULL);
  const struct schema *s = must_read(mem, "type Query { a: [Int!]! b: [Int!]! c: [Int!] d: Int! }");
  const struct gql_field *f = s->query->fields;

  (void)state;
  assert_ptr_equal(f[0].type, f[1].type);
  assert_ptr_equal(f[0].type->of, f[2].type);
  assert_ptr_equal(f[2].type->of, f[3].type);
  assert_ptr_equal(f[2].type->non_null, f[0].type);
  talloc_free(mem);
}

static void abstract_types_know_their_objects(void **state) {
  void *mem = arena_request(NULL);
  const struct schema *s = must_read(mem, "type Query { a: A } interface A { a: A } interface B implements A { a: B }\n"
                                          "type C implements A & B { a: C } union U = C");
  const struct gql_type *a = schema_type(s, "A"), *b = schema_type(s, "B"), *c = schema_type(s, "C"), *u = schema_type(s, "U");

  (void)state;
  assert_int_equal(a->npossible, 1);
  assert_true(gql_is_possible(a, c) && gql_is_possible(u, c) && gql_is_possible(c, c) && !gql_is_possible(a, s->query));
  assert_true(gql_is_subtype(b, a) && gql_is_subtype(c, u) && !gql_is_subtype(a, b) && !gql_is_subtype(u, c));
  talloc_free(mem);
}

static void roots_are_named_or_usual(void **state) {
  void *mem = arena_request(NULL);
  const struct schema *s = must_read(mem, "\"all\" schema { query: Q } extend schema { mutation: M }\n"
                                          "type Q { a: Int } type M { a: Int } type Mutation { a: Int }");

  (void)state;
  assert_string_equal(s->query->name, "Q");
  assert_string_equal(s->mutation->name, "M");
  assert_string_equal(s->description, "all");
  s = must_read(mem, "type Query { a: Int } type Mutation { a: Int } type Subscription { a: Int }");
  assert_string_equal(s->subscription->name, "Subscription");
  talloc_free(mem);
}

static void extensions_are_put_in(void **state) {
  void *mem = arena_request(NULL);
  const struct schema *s =
      must_read(mem, "extend type Query implements I { b: Int } type Query { a: Int } interface I { b: Int } enum E { A }\n"
                     "extend enum E { B } union U = Query extend union U = T type T { t: E } input In { a: Int }\n"
                     "extend input In { b: Int } scalar S extend scalar S @specifiedBy(url: \"x\") extend interface I { a: Int }");

  (void)state;
  assert_non_null(schema_field(s->query, "b"));
  assert_int_equal(s->query->ninterfaces, 1);
  assert_int_equal(schema_type(s, "E")->nvalues, 2);
  assert_int_equal(schema_type(s, "U")->npossible, 2);
  assert_int_equal(schema_type(s, "In")->ninputs, 2);
  assert_string_equal(schema_type(s, "S")->specified_by, "x");
  talloc_free(mem);
}

static void every_schema_has_introspection(void **state) {
  void *mem = arena_request(NULL);
  const struct schema *s = must_read(mem, "type Query { a: Int }");

  (void)state;
  assert_string_equal(gql_type_text(mem, schema_meta_field(s, "__schema")->type), "__Schema!");
  assert_string_equal(gql_type_text(mem, schema_meta_field(s, "__type")->args[0].type), "String!");
  assert_non_null(schema_meta_field(s, "__typename"));
  assert_null(schema_meta_field(s, "a"));
  assert_string_equal(s->directives[0].name, "include");
  assert_int_equal(s->ndirectives, 4);
  talloc_free(mem);
}

/* ---- what is refused ---- */

static const struct bad {
  const char *text;
  int line;
  const char *says;
} bad[] = {
    {"type A { a: Int }", 0, "there is no type Query"},
    /* names */
    {"type Query { a: Int }\ntype Query { b: Int }", 2, "Query is defined already, s.graphql:1"},
    {"type Query { a: Int\na: Int }", 2, "Query.a is there twice"},
    {"type Query { a(b: Int\nb: Int): Int }", 2, "Query.a.b is there twice"},
    {"type Query { a: Int }\nenum E { A A }", 2, "E.A is there twice"},
    {"type Query { a: Int }\ninput I { a: Int a: Int }", 2, "I.a is there twice"},
    {"type Query { a: Int }\ntype __A { a: Int }", 2, "begin with __"},
    {"type Query { __a: Int }", 1, "begin with __"},
    {"type Query { a(__a: Int): Int }", 1, "begin with __"},
    {"type Query { a: Int }\nenum E { __A }", 2, "begin with __"},
    {"type Query { a: Int }\ndirective @__a on FIELD", 2, "begin with __"},
    {"type Query { a: Int }\nextend type __Schema { a: Int }", 2, "the specification's own"},
    {"type Query { a: Int }\ntype __Schema { a: Int }", 2, "__Schema is defined already, by writ"},
    {"type Query { a: Itn }", 1, "there is no type Itn; did you mean Int?"},
    {"type Query { a(b: Other): Int }", 1, "Query.a.b: there is no type Other"},
    /* 3.6 objects, 3.7 interfaces */
    {"type Query", 1, "Query has no fields"},
    {"input I { a: Int }\ntype Query { a: [I!] }", 2, "[I!] is an input"},
    {"type Query { a(\nb: [Query]): Int }", 2, "[Query] is not a type of values"},
    {"type Query implements A { a: Int }", 1, "there is no type A"},
    {"type Query implements B { a: Int }\ntype B { a: Int }", 1, "B, which is no interface"},
    {"type Query implements A & A { a: Int }\ninterface A { a: Int }", 1, "A is there twice"},
    {"interface A { b: Int }\ntype Query implements A { a: Int }", 2, "Query has no field b, which A asks for"},
    {"interface A { a: Int! }\ntype Query implements A { a: Int }", 2, "Query.a is Int, but A asks for Int!"},
    {"interface A { a: [Int] }\ntype Query implements A { a: Int }", 2, "Query.a is Int, but A asks for [Int]"},
    {"interface A { a(b: Int): Int }\ntype Query implements A { a: Int }", 2, "Query.a has no argument b"},
    {"interface A { a(b: Int): Int }\ntype Query implements A { a(b: Int!): Int }", 2, "b is Int! here, but Int in A"},
    {"interface A { a: Int }\ntype Query implements A { a(b: Int!): Int }", 2, "b is required"},
    {"type Query { a: Int }\ninterface A implements A { a: Int }", 2, "A implements itself"},
    {"type Query { a: Int }\ninterface A implements B { a: Int }\ninterface B implements A { a: Int }", 2, "implement each other"},
    {"interface A { a: Int } interface B implements A { a: Int }\ntype Query implements B { a: Int }", 2, "must implement A, too"},
    {"type Query { a(b: Int! @deprecated): Int }", 1, "cannot be deprecated"},
    /* 3.8 unions, 3.9 enums, 3.10 inputs */
    {"type Query { a: Int }\nunion U", 2, "U has no members"},
    {"type Query { a: Int }\nunion U = E enum E { A }", 2, "E is no object type"},
    {"type Query { a: Int }\nunion U = Query | Query", 2, "Query is there twice"},
    {"type Query { a: Int }\nenum E", 2, "E has no values"},
    {"type Query { a: Int }\ninput I", 2, "I has no fields"},
    {"type Query { a: Int }\ninput I { a: Query }", 2, "Query is not a type of values"},
    {"type Query { a: Int }\ninput I { a: I! }", 2, "I needs itself"},
    {"type Query { a: Int }\ninput I { b: J! } input J { k: K! }\ninput K { b: J! }", 3, "K.b: J needs itself"},
    {"type Query { a(b: Int = \"x\"): Int }", 1, "the default does not fit Int: that is no Int"},
    {"type Query { a(b: Int = 2147483648): Int }", 1, "that is no Int"},
    {"type Query { a(b: E = B): Int } enum E { A }", 1, "that is no E"},
    {"type Query { a(b: [Int!] = [null]): Int }", 1, "null is no Int!"},
    {"type Query { a(b: I = {}): Int } input I { a: Int! }", 1, "I needs a"},
    {"type Query { a(b: I = {b: 1}): Int } input I { a: Int }", 1, "I has no field b"},
    {"type Query { a(b: I = {a: 1, a: 2}): Int } input I { a: Int }", 1, "a is given twice"},
    {"type Query { a(b: I = 3): Int } input I { a: Int }", 1, "I is an object"},
    /* 3.3 the schema */
    {"schema { query: A }", 1, "there is no type A"},
    {"schema { query: E }\nenum E { A }", 1, "E is no object type"},
    {"type Query { a: Int }\nenum Mutation { A }", 2, "Mutation is a root type"},
    {"schema { query: A }\nschema { query: A } type A { a: Int }", 2, "two schema { }"},
    {"schema { query: A\nquery: A } type A { a: Int }", 2, "two types for query"},
    {"schema { query: A mutation: A }\ntype A { a: Int }", 2, "two kinds of operation"},
    /* extensions */
    {"type Query { a: Int }\nextend type A { a: Int }", 2, "extend A: there is no such type"},
    {"type Query { a: Int }\nextend enum Query { A }", 2, "another kind of type"},
    {"type Query { a: Int }\nextend type Query { a: Int }", 2, "Query.a is there twice"},
    /* 3.13 directives */
    {"type Query { a: Int @a }", 1, "there is no directive @a"},
    {"type Query @deprecated { a: Int }", 1, "@deprecated may not stand on OBJECT"},
    {"type Query { a: Int @deprecated\n@deprecated }", 2, "@deprecated is there twice"},
    {"type Query { a: Int @deprecated(b: 1) }", 1, "@deprecated has no argument b"},
    {"type Query { a: Int @deprecated(reason: 1) }", 1, "reason: that is no String"},
    {"type Query { a: Int }\nscalar S @specifiedBy", 2, "@specifiedBy needs url:"},
    {"type Query { a: Int }\nscalar S @specifiedBy(url: \"a\", url: \"b\")", 2, "url is given twice"},
    {"type Query { a: Int }\ndirective @a on FIELD directive @a on FIELD", 2, "@a is defined already"},
    {"type Query { a: Int }\ndirective @a(b: Query) on FIELD", 2, "@a.b: Query is not a type of values"},
};

static void bad_definitions_are_refused(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    void *mem = arena_request(NULL);
    struct problems p;

    if (read_text(mem, bad[i].text, &p)) fail_msg("taken: %s", bad[i].text);
    if (p.items[0].line != bad[i].line || !strstr(p.items[0].text, bad[i].says))
      fail_msg("%s: line %d: %s", bad[i].text, p.items[0].line, p.items[0].text);
    assert_string_equal(p.items[0].file, "s.graphql");
    if (p.errors != 1) fail_msg("%s: also: %s", bad[i].text, p.items[1].text);
    talloc_free(mem);
  }
}

static void what_is_odd_is_taken(void **state) {
  static const char *const good[] = {
      "type Query { a: Int } scalar ID scalar Int",
      "type Query { a: Int } directive @deprecated(reason: String, at: Int!) on FIELD_DEFINITION type T { a: Int @deprecated(at: 1) }",
      "type Query { a(b: [Int!]! = 3, c: Float = 3, d: ID = 3, e: [[Int]] = [[1], null, 2]): Int }",
      "type Query { a: Int } input I { a: [I!]! b: I c: I } input J { j: I! = {a: []} }",
      "type Query { a: Int @a(x: {y: 1}) @a(x: 2) } directive @a(x: S!) repeatable on FIELD_DEFINITION scalar S",
      "type Query { a: Int @deprecated(reason: null) }",
      "type Query { type: Int query: Int on: Int }",
  };

  (void)state;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    void *mem = arena_request(NULL);

    must_read(mem, good[i]);
    talloc_free(mem);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(types_are_found_by_name),
      cmocka_unit_test(wrapped_types_are_the_same),
      cmocka_unit_test(abstract_types_know_their_objects),
      cmocka_unit_test(roots_are_named_or_usual),
      cmocka_unit_test(extensions_are_put_in),
      cmocka_unit_test(every_schema_has_introspection),
      cmocka_unit_test(bad_definitions_are_refused),
      cmocka_unit_test(what_is_odd_is_taken),
  };
  return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
