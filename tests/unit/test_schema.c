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
#include "base/str.h"
#include "graphql/parse.h"
#include "manifest/config.h"
#include "manifest/manifest.h"
#include "model/model.h"
#include "schema/introspect.h"
#include "schema/print.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct schema *read_text(void *mem, const char *text, struct problems *p) {
  const struct graphql_document *document;
  struct err e;

  err_init(&e, mem);
  problems_init(p, mem);
  if (!graphql_parse_schema(mem, text, strlen(text), &graphql_limits_default, &document, &e))
    fail_msg("%s: %s", text, e.message);
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
  const struct gql_type *a = schema_type(s, "A"), *b = schema_type(s, "B"), *c = schema_type(s, "C"),
                        *u = schema_type(s, "U");

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
  const struct schema *s = must_read(
      mem, "extend type Query implements I { b: Int } type Query { a: Int } interface I { b: Int } enum E { A }\n"
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
    {"type Query { a: Int }\ninterface A implements B { a: Int }\ninterface B implements A { a: Int }", 2,
     "implement each other"},
    {"interface A { a: Int } interface B implements A { a: Int }\ntype Query implements B { a: Int }", 2,
     "must implement A, too"},
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

/* ---- of a manifest ---- */

struct folder {
  void *mem;
  char path[64];
  struct problems problems;
  struct config config;
  struct datasource source;
};

static void write_file(struct folder *f, const char *name, const char *text) {
  FILE *file = fopen(arena_printf(f->mem, "%s/%s", f->path, name), "w");

  assert_non_null(file);
  assert_true(fputs(text, file) >= 0);
  assert_int_equal(fclose(file), 0);
}

/* NULL sdl: the file is not written; NULL more: no mutations: */
static const struct schema *make(struct folder *f, const char *manifest, const char *sdl, const char *more,
                                 const char *more_sdl) {
  const struct manifest *m;

  f->mem = arena_request(NULL);
  strcpy(f->path, "/tmp/writ-test-schema-XXXXXX");
  assert_non_null(mkdtemp(f->path));
  write_file(f, "manifest.yaml", arena_printf(f->mem, "specVersion: 1\n%s", manifest));
  if (sdl) write_file(f, "schema.graphql", sdl);
  if (more) write_file(f, "more.yaml", more);
  if (more_sdl) write_file(f, "more.graphql", more_sdl);
  f->source = (struct datasource){.name = "main"};
  f->config = (struct config){
      .manifest = arena_printf(f->mem, "%s/manifest.yaml", f->path), .datasources = &f->source, .ndatasources = 1};
  problems_init(&f->problems, f->mem);
  m = manifest_load(f->mem, &f->config, &f->problems);
  return m ? schema_make(f->mem, m, &f->problems) : NULL;
}

static void done(struct folder *f) {
  static const char *const names[] = {"manifest.yaml", "schema.graphql", "more.yaml", "more.graphql", NULL};

  for (const char *const *name = names; *name; name++) unlink(arena_printf(f->mem, "%s/%s", f->path, *name));
  rmdir(f->path);
  talloc_free(f->mem);
}

static const struct schema *must_make(struct folder *f, const char *manifest, const char *sdl) {
  const struct schema *s = make(f, manifest, sdl, NULL, NULL);

  if (!s) fail_msg("%s: line %d: %s", f->problems.items[0].file, f->problems.items[0].line, f->problems.items[0].text);
  return s;
}

static const char *printed(const void *mem, const struct schema *s, const struct schema_view *v) {
  struct str *text = str_new(mem, 4096);

  schema_print(text, s, v);
  return text->p;
}

/* What is printed is read back, and printed the same. */
static void check_round_trip(void *mem, const struct schema *s, const struct schema_view *v) {
  const char *once = printed(mem, s, v);
  const struct schema *again = must_read(mem, once);

  assert_string_equal(printed(mem, again, NULL), once);
}

static void printing_is_read_back(void **state) {
  static const char *const texts[] = {
      "type Query { a: Int }",
      "\"all\" schema { query: Q } type Q { a(\"x\" b: [Int!] = [1, 2], c: String = \"a\\\"b\" @deprecated(reason: \"no\")): Q! } type Mutation { a: Int }",
      "\"\"\"\nlines\n  of\n\ntext \\\"\"\"x\"\"\"\ntype Query implements I & J { a: Int @deprecated b: Int @deprecated(reason: \"x\\ny\") }\n"
      "interface I implements J { a: Int } interface J { a: Int } union U = Query | T type T { u: U! }",
      "type Query { a(x: In = {e: A, l: [null, {l: []}]}): S } input In { e: E = B, l: [In], f: Float = 1.50 }\n"
      "enum E { A \"b\" B @deprecated } scalar S @specifiedBy(url: \"http://a/b\")",
      "directive @d(a: E = A, \"b\" b: Boolean!) repeatable on FIELD | QUERY\ntype Query { a: Int } enum E { A }",
  };

  (void)state;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    void *mem = arena_request(NULL);

    check_round_trip(mem, must_read(mem, texts[i]), NULL);
    talloc_free(mem);
  }
}

#define MODEL                                                                                                                          \
  "type User { id: ID! @id email: String! @unique age: Int no: Int @db(name: \"n\") tags: [String!]! role: Role! @default(value: A)\n" \
  "  pets: [Pet!]! best: Toy createdAt: DateTime @createdAt }\n"                                                                       \
  "type Pet { id: Int! @id owner: User! toys: [Toy!]! @relation(name: \"T\") }\n"                                                      \
  "type Toy { name: String! @id(strategy: NONE) pet: Pet @relation(name: \"T\") }\n"                                                   \
  "type Line @id(fields: [\"pet\", \"no\"]) { pet: Pet! no: Int! big: BigInt }\n"                                                      \
  "type Number { id: Int! @id } enum Role { A B }\n"
#define WITH_MODEL "schema: { file: schema.graphql }\n"

static const struct gql_input *input_of(const struct schema *s, const char *type, const char *name) {
  const struct gql_type *t = schema_type(s, type);

  if (!t) fail_msg("there is no %s", type);
  return schema_input_field(t, name);
}

static const char *type_of_input(void *mem, const struct schema *s, const char *type, const char *name) {
  const struct gql_input *input = input_of(s, type, name);

  return input ? gql_type_text(mem, input->type) : NULL;
}

static void models_make_types(void **state) {
  struct folder f;
  const struct schema *s = must_make(&f, WITH_MODEL, MODEL);
  const struct gql_field *field;

  (void)state;
#define TYPE_IS(type, name, text) assert_string_equal(type_of_input(f.mem, s, type, name), text)
#define NOT_IN(type, name) assert_null(input_of(s, type, name))
  TYPE_IS("UserCreateInput", "email", "String!");
  TYPE_IS("UserCreateInput", "id", "ID");
  TYPE_IS("UserCreateInput", "role", "Role");
  TYPE_IS("UserCreateInput", "tags", "UserCreatetagsInput");
  TYPE_IS("UserCreateInput", "pets", "PetCreateManyWithoutOwnerInput");
  TYPE_IS("UserCreateInput", "best", "ToyCreateOneInput");
  NOT_IN("UserCreateInput", "createdAt");
  NOT_IN("UserCreateInput", "age_increment");
  TYPE_IS("UserUpdateInput", "email", "String");
  TYPE_IS("UserUpdateInput", "age_increment", "Int");
  TYPE_IS("UserUpdateInput", "best", "ToyUpdateOneInput");
  NOT_IN("UserUpdateInput", "id");
  TYPE_IS("PetCreateInput", "owner", "UserCreateOneWithoutPetsInput!");
  NOT_IN("PetCreateInput", "id");
  NOT_IN("PetCreateWithoutOwnerInput", "owner");
  TYPE_IS("PetUpdateInput", "owner", "UserUpdateOneRequiredWithoutPetsInput");
  NOT_IN("UserUpdateOneRequiredWithoutPetsInput", "delete");
  TYPE_IS("ToyUpdateOneInput", "delete", "Boolean");
  TYPE_IS("ToyUpdateOneInput", "upsert", "ToyUpsertNestedInput");
  TYPE_IS("PetUpdateManyWithoutOwnerInput", "deleteMany", "[PetScalarWhereInput!]");
  TYPE_IS("PetUpdateManyWithoutOwnerInput", "update", "[PetUpdateWithWhereUniqueWithoutOwnerInput!]");
  TYPE_IS("PetCreateManyWithoutOwnerInput", "connectOrCreate", "[PetCreateOrConnectWithoutOwnerInput!]");
  NOT_IN("PetCreateManyWithoutOwnerInput", "set");
  NOT_IN("PetUpdateManyWithoutOwnerInput", "updateMany"); /* a pet has no scalar that could be updated */
  TYPE_IS("LineWhereUniqueInput", "pet_no", "LineWherepet_noInput");
  TYPE_IS("LineWherepet_noInput", "pet", "Int!");
  TYPE_IS("LineUpdateManyMutationInput", "big_multiply", "BigInt");
  TYPE_IS("UserWhereInput", "pets_every", "PetWhereInput");
  TYPE_IS("UserWhereInput", "AND", "[UserWhereInput!]");
  TYPE_IS("UserWhereInput", "role_in", "[Role!]");
  NOT_IN("UserWhereInput", "tags");
  NOT_IN("UserScalarWhereInput", "pets_every");
#undef TYPE_IS
#undef NOT_IN
  assert_null(schema_type(s, "NumberCreateInput"));
  assert_null(schema_type(s, "PetUpdateManyMutationInput"));
  assert_null(schema_field(s->mutation, "updateNumber"));
  assert_int_equal(schema_field(s->mutation, "createNumber")->nargs, 0);
  field = schema_field(s->query, "usersConnection");
  assert_string_equal(gql_type_text(f.mem, field->type), "UserConnection!");
  assert_ptr_equal(field->command, manifest_command(s->manifest, "usersConnection"));
  assert_string_equal(gql_type_text(f.mem, schema_field(schema_type(s, "User"), "pets")->type), "[Pet!]!");
  check_round_trip(f.mem, s, NULL);
  done(&f);
}

static void parts_are_tied_to_the_model(void **state) {
  struct folder f;
  const struct schema *s = must_make(&f, WITH_MODEL, MODEL);
  const struct model *user = &s->manifest->model->models[0];

  (void)state;
  assert_ptr_equal(schema_type(s, "User")->model, user);
  assert_int_equal(schema_type(s, "User")->use, GQL_USE_NODE);
  assert_ptr_equal(schema_field(schema_type(s, "User"), "email")->field, model_field(user, "email"));
  assert_int_equal(schema_type(s, "UserUpdateWithoutPetsDataInput")->use, GQL_USE_UPDATE);
  assert_ptr_equal(input_of(s, "UserUpdateInput", "age_divide")->field, model_field(user, "age"));
  assert_string_equal(input_of(s, "UserUpdateInput", "age_divide")->change, "divide");
  assert_null(input_of(s, "UserUpdateInput", "age")->change);
  assert_int_equal(schema_type(s, "PetCreateManyWithoutOwnerInput")->use, GQL_USE_NESTED);
  assert_ptr_equal(input_of(s, "PetUpdateManyWithoutOwnerInput", "connectOrCreate")->command,
                   manifest_command(s->manifest, "createPet"));
  assert_ptr_equal(input_of(s, "PetUpdateManyWithoutOwnerInput", "deleteMany")->command,
                   manifest_command(s->manifest, "deleteManyPets"));
  assert_null(input_of(s, "PetUpdateManyWithoutOwnerInput", "set")->command);
  done(&f);
}

static void roles_see_what_they_may_call(void **state) {
  struct folder f;
  const struct schema *s = must_make(
      &f,
      WITH_MODEL
      "graphql: { introspection: [reader] }\nmodels:\n  User: { create: { allow: [writer] }, query: { allow: [reader] } }\n",
      MODEL);
  const struct schema_view *writer = schema_view_new(f.mem, s, "writer", false),
                           *reader = schema_view_new(f.mem, s, "reader", false),
                           *nobody = schema_view_new(f.mem, s, NULL, false),
                           *inside = schema_view_new(f.mem, s, "writer", true);
  const struct gql_type *pets = schema_type(s, "PetCreateManyWithoutOwnerInput");

  (void)state;
  assert_true(view_has_field(writer, s->mutation, schema_field(s->mutation, "createUser")));
  assert_false(view_has_field(writer, s->mutation, schema_field(s->mutation, "deleteUser")));
  assert_true(view_has_field(inside, s->mutation, schema_field(s->mutation, "deleteUser")));
  assert_false(view_has_field(writer, s->query, schema_field(s->query, "user")));
  assert_true(view_has_field(reader, s->query, schema_field(s->query, "user")));
  /* a query that stands in for others */
  assert_true(view_has_field(writer, s->query, schema_field(s->query, "_")));
  assert_false(view_has_field(reader, s->query, schema_field(s->query, "_")));
  assert_false(view_has_field(inside, s->query, schema_field(s->query, "_")));
  assert_false(view_has_type(reader, s->mutation));
  assert_false(view_has_type(reader, schema_type(s, "UserCreateInput")));
  assert_true(view_has_type(writer, schema_type(s, "UserCreateInput")));
  assert_true(view_has_type(writer, schema_type(s, "Pet"))); /* by the fields of User */
  assert_false(view_has_type(writer, schema_type(s, "UserUpdateInput")));
  /* to nest a create takes what the create takes */
  assert_false(view_has_input(writer, pets, schema_input_field(pets, "create")));
  assert_true(view_has_input(writer, pets, schema_input_field(pets, "connect")));
  assert_true(view_has_input(inside, pets, schema_input_field(pets, "create")));
  assert_false(view_has_type(writer, schema_type(s, "PetCreateWithoutOwnerInput")));
  assert_true(view_introspects(reader) && view_introspects(inside) && !view_introspects(writer));
  check_round_trip(f.mem, s, writer);
  check_round_trip(f.mem, s, reader);
  assert_string_equal(
      printed(f.mem, s, nobody),
      "type Query {\n  \"\"\"There is no query; a schema must have one. Always null.\"\"\"\n  _: Boolean\n}\n");
  done(&f);
}

/* fields:, presets: and version: of models: in the manifest. */
static void roles_write_what_they_may(void **state) {
  struct folder f;
  const struct schema *s = must_make(
      &f,
      WITH_MODEL
      "models:\n  User:\n    create: { allow: [writer, admin] }\n    update: { allow: [writer], version: { sql: 'select 1', required: true } }\n"
      "    delete: { allow: [writer], version: select 1 }\n"
      "    fields: { age: { create: [admin], update: [admin] }, no: { update: [admin] }, best: { write: [admin] } }\n"
      "    presets: { email: $user }\n"
      "  Toy: { create: { allow: [writer, admin] }, fields: { name: { create: [admin] } } }\n",
      MODEL);
  const struct schema_view *writer = schema_view_new(f.mem, s, "writer", false),
                           *admin = schema_view_new(f.mem, s, "admin", false);
  const struct gql_type *create = schema_type(s, "UserCreateInput"), *update = schema_type(s, "UserUpdateInput");

  (void)state;
  assert_string_equal(type_of_input(f.mem, s, "UserCreateInput", "email"), "String");
  assert_string_equal(type_of_input(f.mem, s, "UserUpdateInput", "email"), "String");
  assert_false(view_has_input(writer, create, schema_input_field(create, "email")));
  assert_false(view_has_input(admin, create, schema_input_field(create, "email")));
  assert_true(view_has_input(NULL, create, schema_input_field(create, "email")));
  assert_false(view_has_input(writer, create, schema_input_field(create, "age")));
  assert_true(view_has_input(admin, create, schema_input_field(create, "age")));
  assert_true(view_has_input(writer, create, schema_input_field(create, "no")));
  assert_false(view_has_input(writer, update, schema_input_field(update, "no")));
  assert_false(view_has_input(writer, create, schema_input_field(create, "best")));
  assert_true(view_has_input(writer, update, schema_input_field(update, "best"))); /* the link is refused, not all of it */
  assert_false(view_has_input(writer, update, schema_input_field(update, "age_increment")));
  assert_string_equal(gql_type_text(f.mem, schema_input(schema_field(s->mutation, "updateUser")->args, 3, "version")->type),
                      "String!");
  assert_string_equal(gql_type_text(f.mem, schema_input(schema_field(s->mutation, "deleteUser")->args, 2, "version")->type),
                      "String");
  assert_int_equal(schema_field(s->mutation, "upsertUser")->nargs, 3);
  /* what must be given and may not: there is nothing left of the input, and so not of what takes it */
  assert_false(view_has_field(writer, s->mutation, schema_field(s->mutation, "createToy")));
  assert_true(view_has_field(admin, s->mutation, schema_field(s->mutation, "createToy")));
  assert_false(view_has_type(writer, schema_type(s, "ToyCreateInput")));
  check_round_trip(f.mem, s, writer);
  done(&f);
}

/* ---- type Mutation, type Query ---- */

#define COMMANDS                                                                                                            \
  "commands:\n"                                                                                                             \
  "  one: { sql: 'select :a::int as a', returns: one, args: { a: int } }\n"                                                 \
  "  maybe: { sql: 'select 1 as a', returns: optional, allow: [writer] }\n"                                                 \
  "  rows: { sql: 'select 1 as a', returns: many }\n"                                                                       \
  "  deleted: { sql: 'delete from t where a = :a', returns: count, args: { a: { type: int, default: 3 } } }\n"              \
  "  none: { sql: 'select 1 as a', returns: none }\n"                                                                       \
  "  ok: { check: 'true' }\n"                                                                                               \
  "  both: { args: { a: int }, commands: [{ one: { a: $args.a }, as: x }], result: { a: $x.a } }\n"                         \
  "  within: { commands: [{ deleted: { a: 1 }, as: x }], result: { a: $x } }\n"

static void commands_are_fields(void **state) {
  struct folder f;
  const struct schema_view *v;
  const struct schema *s;

  (void)state;
  s = must_make(
      &f, WITH_MODEL COMMANDS,
      MODEL
      "type Mutation { one(a: Int!): A! maybe: A deleted(a: Int): Int! none: Boolean ok: Boolean! both(a: Int! = 3): B! }\n"
      "type Query { rows: [A!]! } type A { a: Int u: User } type B { a: Int }\n"
      "interface I { a: Int } extend type A implements I @x directive @x on OBJECT\n");
  assert_ptr_equal(schema_field(s->mutation, "one")->command, manifest_command(s->manifest, "one"));
  assert_non_null(schema_field(s->mutation, "createUser"));
  v = schema_view_new(f.mem, s, "writer", false);
  assert_true(view_has_field(v, s->mutation, schema_field(s->mutation, "maybe")));
  assert_true(view_has_type(v, schema_type(s, "User")) && view_has_type(v, schema_type(s, "I")));
  assert_false(view_has_type(v, schema_type(s, "B")));
  check_round_trip(f.mem, s, NULL);
  check_round_trip(f.mem, s, v);
  done(&f);
}

static void a_schema_needs_no_model(void **state) {
  struct folder f;
  const struct schema *s = must_make(&f, WITH_MODEL COMMANDS, "type Mutation { ok: Boolean }");

  (void)state;
  assert_int_equal(s->mutation->nfields, 1);
  assert_string_equal(s->query->fields[0].name, "_");
  done(&f);
  assert_null(make(&f, COMMANDS, NULL, NULL, NULL));
  assert_int_equal(f.problems.errors, 0);
  done(&f);
}

static void mutations_have_a_file_of_their_own(void **state) {
  struct folder f;
  const struct schema *s =
      make(&f, WITH_MODEL "mutations: { file: more.yaml }\n" COMMANDS, MODEL "type Mutation { ok: Boolean }",
           "specVersion: 1\nschema: { file: ./more.graphql }\ncommands:\n  more: { sql: 'select 1 as a', returns: one }\n",
           "scalar DateTime type Mutation { more: More! } type More { a: Int user: User }");

  (void)state;
  if (!s) fail_msg("%s", f.problems.items[0].text);
  assert_ptr_equal(schema_field(s->mutation, "more")->command, manifest_command(s->manifest, "more"));
  assert_non_null(schema_field(s->mutation, "ok"));
  assert_string_equal(manifest_command(s->manifest, "more")->file, arena_printf(f.mem, "%s/more.yaml", f.path));
  done(&f);
}

static const struct misfit {
  const char *sdl;
  int line;
  const char *says;
} misfits[] = {
    {"type Mutation {\non: Int }", 2, "Mutation.on: there is no command of this name"},
    {"type Mutation {\nmaybe2: A } type A { a: Int }", 2, "did you mean maybe?"},
    {"type Mutation {\nexecute_command_set: Int }", 2, "is a set of commands"},
    {"type Query {\ndeleted: Int }", 2, "the command changes data"},
    {"type Query {\nwithin: A } type A { a: Int }", 2, "the command changes data"},
    {"type Mutation { createUser: Int }", 1, "Mutation.createUser is there twice"},
    {"type Mutation { one: A! } type A { a: Int }", 1, "needs the argument a"},
    {"type Mutation { one(\na: Int): A! } type A { a: Int }", 2, "a may be left out here"},
    {"type Mutation { one(a: Int!,\nb: Int): A! } type A { a: Int }", 2, "has no argument b"},
    {"type Mutation { one(a: Int!): [A] } type A { a: Int }", 1, "gives one row"},
    {"type Mutation { one(a: Int!): Int }", 1, "take a type that has fields"},
    {"type Mutation { maybe: A! } type A { a: Int }", 1, "write it without !"},
    {"type Mutation { rows: A } type A { a: Int }", 1, "write it in [ ]"},
    {"type Mutation { rows: [[A]] } type A { a: Int }", 1, "without [ ]"},
    {"type Mutation { deleted: String }", 1, "write Int!"},
    {"type Mutation { none: Boolean! }", 1, "write it without !"},
    {"type Mutation { ok: Int }", 1, "write Boolean!"},
    {"type Mutation { both(a: Int!): A! } type A { a: Int\nb: Int }", 1, "A has a field b, but result: of the command"},
    {"type Mutation { ok: Boolean }\ntype UserEdge { a: Int } extend type Query { rows: [UserEdge] }", 2,
     "UserEdge is defined already, by writ"},
    {"type Mutation { ok: Boolean }\ninput UserCreateInput { a: Int }", 2, "UserCreateInput is defined already, by writ"},
    {"type Mutation { ok: Boolean\nb: Nothing }", 2, "there is no type Nothing"},
};

static void misfits_are_told(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof misfits / sizeof *misfits; i++) {
    struct folder f;
    const char *text = arena_printf(NULL, "%s\n" MODEL, misfits[i].sdl);

    if (make(&f, WITH_MODEL COMMANDS, text, NULL, NULL)) fail_msg("taken: %s", misfits[i].sdl);
    if (f.problems.items[0].line != misfits[i].line || !strstr(f.problems.items[0].text, misfits[i].says))
      fail_msg("%s: line %d: %s", misfits[i].sdl, f.problems.items[0].line, f.problems.items[0].text);
    if (f.problems.errors != 1) fail_msg("%s: also: %s", misfits[i].sdl, f.problems.items[1].text);
    assert_string_equal(f.problems.items[0].file, arena_printf(f.mem, "%s/schema.graphql", f.path));
    talloc_free((void *)text);
    done(&f);
  }
}

static const struct bad_file {
  const char *manifest, *more;
  const char *file;
  int line;
  const char *says;
} bad_files[] = {
    {"mutations: {}\ncommands: {}", NULL, "manifest.yaml", 2, "mutations: file: is missing"},
    {"mutations: { file: no.yaml }\ncommands: {}", NULL, "no.yaml", 0, "No such file"},
    {"mutations: { file: more.yaml }", "commands: { a: { sql: select 1 as b } }", "more.yaml", 1, "specVersion"},
    {"mutations: { file: more.yaml }", "specVersion: 1\nx: 1\ncommands: { a: { sql: select 1 as b } }", "more.yaml", 2,
     "unknown key x"},
    {"mutations: { file: more.yaml }", "specVersion: 1\ncommands:\n  a: { sql: 3 }", "more.yaml", 3, "a: sql"},
    {"mutations: { file: more.yaml }", "specVersion: 1\ncommands:\n  a: { commands: [{ b: {} }] }", "more.yaml", 3, "a"},
    {"mutations: { file: more.yaml }\ncommands:\n  a: { sql: select 1 as b }",
     "specVersion: 1\ncommands:\n  a: { sql: select 1 as b }", "more.yaml", 3, "has a command of this name"},
    {"mutations: { file: more.yaml }\ncommands: {}", "specVersion: 1\nschema: { file: none.graphql }\ncommands: {}",
     "none.graphql", 0, "cannot read it"},
    {"graphql: { introspection: all }\ncommands: {}", NULL, "manifest.yaml", 2, "must be a list of roles"},
    {"graphql: { depth: 3 }\ncommands: {}", NULL, "manifest.yaml", 2, "unknown key depth"},
};

static void bad_files_are_told(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof bad_files / sizeof *bad_files; i++) {
    struct folder f;

    if (make(&f, bad_files[i].manifest, NULL, bad_files[i].more, NULL)) fail_msg("taken: %s", bad_files[i].manifest);
    if (!f.problems.n) fail_msg("no word on %s", bad_files[i].manifest);
    if (f.problems.items[0].line != bad_files[i].line || !strstr(f.problems.items[0].text, bad_files[i].says))
      fail_msg("%s: line %d: %s", bad_files[i].manifest, f.problems.items[0].line, f.problems.items[0].text);
    assert_string_equal(f.problems.items[0].file, arena_printf(f.mem, "%s/%s", f.path, bad_files[i].file));
    done(&f);
  }
}

/* ---- introspection ---- */

static const char *introspected(void *mem, const struct schema *s, const struct schema_view *v, const char *query) {
  const struct graphql_selection *field;
  struct str *out = str_new(mem, 256);
  struct err e;

  err_init(&e, mem);
  if (!graphql_parse_selections(mem, query, strlen(query), &graphql_limits_default, &field, &e)) fail_msg("%s", e.message);
  introspect_put(out, s, v, field);
  return out->p;
}

static void introspection_answers(void **state) {
  void *mem = arena_request(NULL);
  const struct schema *s =
      must_read(mem, "\"q\" type Query { a(b: [E!] = [A], c: Int @deprecated): T @deprecated(reason: \"x\") b: U }\n"
                     "enum E { A B @deprecated } type T implements I { i: Int } interface I { i: Int }\n"
                     "union U = T input In { a: Int = 3 } scalar S @specifiedBy(url: \"u\")");

  (void)state;
#define ANSWER(query, text) assert_string_equal(introspected(mem, s, NULL, query), text)
  ANSWER(
      "{ __schema { q: queryType { name kind } mutationType { name } __typename description } }",
      "{\"q\":{\"name\":\"Query\",\"kind\":\"OBJECT\"},\"mutationType\":null,\"__typename\":\"__Schema\",\"description\":null}");
  ANSWER("{ __type(name: \"None\") { name } }", "null");
  ANSWER(
      "{ __type(name: \"Query\") { description fields { name } enumValues { name } inputFields { name } possibleTypes { name } } }",
      "{\"description\":\"q\",\"fields\":[{\"name\":\"b\"}],\"enumValues\":null,\"inputFields\":null,\"possibleTypes\":null}");
  ANSWER(
      "{ __type(name: \"Query\") { fields(includeDeprecated: true) { name isDeprecated deprecationReason args { name } } } }",
      "{\"fields\":[{\"name\":\"a\",\"isDeprecated\":true,\"deprecationReason\":\"x\",\"args\":[{\"name\":\"b\"}]},"
      "{\"name\":\"b\",\"isDeprecated\":false,\"deprecationReason\":null,\"args\":[]}]}");
  ANSWER(
      "{ __type(name: \"Query\") { fields(includeDeprecated: true) { args(includeDeprecated: true) { defaultValue "
      "type { kind name ofType { kind ofType { name } } } } type { name } } } }",
      "{\"fields\":[{\"args\":[{\"defaultValue\":\"[A]\",\"type\":{\"kind\":\"LIST\",\"name\":null,\"ofType\":{\"kind\":\"NON_NULL\","
      "\"ofType\":{\"name\":\"E\"}}}},{\"defaultValue\":null,\"type\":{\"kind\":\"SCALAR\",\"name\":\"Int\",\"ofType\":null}}],"
      "\"type\":{\"name\":\"T\"}},{\"args\":[],\"type\":{\"name\":\"U\"}}]}");
  ANSWER("{ __type(name: \"E\") { enumValues { name } fields { name } } }",
         "{\"enumValues\":[{\"name\":\"A\"}],\"fields\":null}");
  ANSWER("{ __type(name: \"I\") { possibleTypes { name } interfaces { name } } }",
         "{\"possibleTypes\":[{\"name\":\"T\"}],\"interfaces\":[]}");
  ANSWER("{ __type(name: \"T\") { interfaces { name } } }", "{\"interfaces\":[{\"name\":\"I\"}]}");
  ANSWER("{ __type(name: \"S\") { specifiedByURL kind } }", "{\"specifiedByURL\":\"u\",\"kind\":\"SCALAR\"}");
  ANSWER("{ __type(name: \"In\") { inputFields { name defaultValue __typename } } }",
         "{\"inputFields\":[{\"name\":\"a\",\"defaultValue\":\"3\",\"__typename\":\"__InputValue\"}]}");
#undef ANSWER
  talloc_free(mem);
}

static void introspection_keeps_to_the_view(void **state) {
  struct folder f;
  const struct schema *s = must_make(&f, WITH_MODEL "models: { User: { create: { allow: [writer] } } }\n", MODEL);
  const struct schema_view *v = schema_view_new(f.mem, s, "writer", false);

  (void)state;
  assert_string_equal(
      introspected(f.mem, s, v, "{ __schema { mutationType { fields { name } } queryType { fields { name } } } }"),
      "{\"mutationType\":{\"fields\":[{\"name\":\"createUser\"}]},\"queryType\":{\"fields\":[{\"name\":\"_\"}]}}");
  assert_string_equal(introspected(f.mem, s, v, "{ __type(name: \"UserUpdateInput\") { name } }"), "null");
  assert_string_equal(
      introspected(f.mem, s, v, "{ __type(name: \"PetCreateManyWithoutOwnerInput\") { inputFields { name } } }"),
      "{\"inputFields\":[{\"name\":\"connect\"}]}");
  done(&f);
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
      cmocka_unit_test(printing_is_read_back),
      cmocka_unit_test(models_make_types),
      cmocka_unit_test(parts_are_tied_to_the_model),
      cmocka_unit_test(roles_see_what_they_may_call),
      cmocka_unit_test(roles_write_what_they_may),
      cmocka_unit_test(commands_are_fields),
      cmocka_unit_test(a_schema_needs_no_model),
      cmocka_unit_test(mutations_have_a_file_of_their_own),
      cmocka_unit_test(misfits_are_told),
      cmocka_unit_test(bad_files_are_told),
      cmocka_unit_test(introspection_answers),
      cmocka_unit_test(introspection_keeps_to_the_view),
  };
  return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
