/* Data models: what SDL means (model/read.h), and everything that is told of a wrong one, with its line. */
#include "base/arena.h"
#include "base/problems.h"
#include "graphql/ast.h"
#include "model/check.h"
#include "model/ddl.h"
#include "model/names.h"
#include "model/read.h"
#include "model/tables.h"
#include "model/types.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct datamodel *read_model(void *mem, const char *text, struct problems *p) {
  problems_init(p, mem);
  return model_read(mem, "m.graphql", text, strlen(text), NULL, p);
}

static const struct datamodel *must_read(void *mem, const char *text) {
  struct problems p;
  const struct datamodel *d = read_model(mem, text, &p);

  for (size_t i = 0; i < p.n; i++)
    if (!p.items[i].warning) print_error("line %d: %s\n", p.items[i].line, p.items[i].text);
  assert_non_null(d);
  return d;
}

static const struct field *field_of(const struct datamodel *d, const char *model, const char *field) {
  const struct model *m = model_find(d, model);

  assert_non_null(m);
  assert_non_null(model_field(m, field));
  return model_field(m, field);
}

/* ---- mistakes ---- */

struct mistake {
  const char *sdl;
  int line;
  const char *text; /* part of it */
};

#define KEY "id: ID! @id "

static const struct mistake mistakes[] = {
    {"", 1, ""},
    {"type A {", 1, ""},
    {"# nothing\n\nenum E { A }", 0, "there is no type"},
    {"query { a }", 1, ""},
    /* types */
    {"type A { " KEY "}\ntype A { " KEY "}", 2, "A is there twice, also on line 1"},
    {"type A { " KEY "}\nenum A { X }", 2, "A is there twice"},
    {"type a { " KEY "}", 1, "begins with an upper-case letter"},
    {"type Subscription { " KEY "}", 1, "there are no subscriptions"},
    {"type PageInfo { " KEY "}", 1, "PageInfo is a type of the API already"},
    {"enum DateTime { A }\ntype B { " KEY "}", 1, "DateTime is a type of the API already"},
    {"type A implements B { " KEY "}", 1, "no interfaces"},
    {"type A { " KEY " b: B }\nenum B { C }\ntype D { x: Int }\ntype Query { d: D } type E { " KEY " d: D }", 3,
     "D has no key"},
    {"type A { " KEY " b: B }\ninput B { c: Int }", 1, "there is no type, enum or scalar B"},
    {"schema { query: A }\ntype B { " KEY "}", 1, "remove schema { }"},
    {"type A { " KEY "}\nextend type A { b: Int }", 2, "put it where A is defined"},
    {"type A { " KEY " }\nextend type B { b: Int }", 2, "put it where B is defined"},
    {"type A @embedded { " KEY "}", 1, "@embedded is for document databases"},
    {"type A @db(name: \"\") { " KEY "}", 1, "1 to 63 bytes"},
    {"type A @db(name: \"b\\u0000c\") { " KEY "}", 1, "@db(name:) takes a string"},
    {"type A { " KEY "}\ntype B @db(name: \"A\") { " KEY "}", 2, "B and A (line 1) stand in one table"},
    {"type A1234567890123456789012345678901234567890123456789012345678901234 { " KEY "}", 1, "more than the 63 bytes"},
    /* names of the API */
    {"type User { " KEY "}\ntype Users { " KEY "}", 2, "Users and User (line 1) would both make users"},
    {"type User { " KEY "}\ntype ManyUsers { " KEY "}", 2, "would both make updateManyUsers"},
    {"type User { " KEY "}\ntype UserConnection { " KEY "}", 2, "a type that the API makes for User"},
    {"type User { " KEY "}\ntype UsersConnection { " KEY "}", 2, "would both make usersConnection"},
    {"type User { " KEY "}\ntype UserCreateInput { " KEY "}", 2, "the name of a type that the API makes for User (line 1)"},
    {"type User { " KEY "}\nenum UserOrderByInput { A }", 2, "the name of a type that the API makes for User"},
    {"type User { " KEY "\n name: String\n name_not: Int }", 3, "also a filter of the field name"},
    {"type User { " KEY "\n AND: String }", 2, "AND, OR and NOT are words of filters"},
    {"type User { " KEY "\n __a: String }", 2, "begin with __"},
    /* fields */
    {"type A { " KEY "\n a: Int\n a: Int }", 3, "A.a is there twice"},
    {"type A { " KEY "\n a: Strin }", 2, "no type, enum or scalar Strin"},
    {"type A { " KEY "\n a: Long }", 2, "it is called BigInt here"},
    {"type A { " KEY "\n a: [[Int]] }", 2, "is a list of lists"},
    {"type A { " KEY "\n a(b: Int): Int }", 2, "has arguments"},
    {"type A { " KEY "\n a: Int @unknown }", 2, "is no directive of a data model"},
    {"type A { " KEY "\n a: Int @entity }", 2, "@entity cannot stand on a field"},
    {"type A { " KEY "\n a: Int @unique(x: 1) }", 2, "@unique takes no x:"},
    {"type A { " KEY "\n a: Int @unique @unique }", 2, "@unique is there twice"},
    {"type A { " KEY "\n a: Int @db(name: \"x\", name: \"y\") }", 2, "has name: twice"},
    {"type A { " KEY "\n a: Int @db(name: 1) }", 2, "@db(name:) takes a string in quotes"},
    {"type A { " KEY "\n a: Int @db(type: \"int); drop\") }", 2, "takes the name of a type of PostgreSQL"},
    {"type A { " KEY "\n a: Int @db(type: \"int[]\") }", 2, "is an array and the field is not"},
    {"type A { " KEY "\n a: Int @relation(name: \"X\") }", 2, "@relation stands on fields whose type is another type"},
    {"type A { " KEY "\n a: Int @scalarList(strategy: RELATION) }", 2, "goes with a list"},
    {"type A { " KEY "\n a: Int @db(names: [\"b\", \"c\"]) }", 2, "a scalar stands in one column"},
    {"type A { " KEY "\n a: Int\n b: Int @db(name: \"a\") }", 3, "A.b and a stand in one column"},
    /* defaults and time stamps */
    {"type A { " KEY "\n a: Int @default }", 2, "@default needs value:"},
    {"type A { " KEY "\n a: Int @default(value: 1, sql: \"1\") }", 2, "keep one"},
    {"type A { " KEY "\n a: Int @default(value: 2147483648) }", 2, "a whole number of 32 bits"},
    {"type A { " KEY "\n a: Int @default(value: \"1\") }", 2, "a whole number of 32 bits"},
    {"type A { " KEY "\n a: BigInt @default(value: 9223372036854775808) }", 2, "64 bits"},
    {"type A { " KEY "\n a: Boolean @default(value: \"true\") }", 2, "true or false"},
    {"type A { " KEY "\n a: Decimal @default(value: \"a\") }", 2, "a number, also in quotes"},
    {"type A { " KEY "\n a: String @default(value: 1) }", 2, "a string in quotes"},
    {"type A { " KEY "\n a: E @default(value: C) }\nenum E { A B }", 2, "a value of the enum"},
    {"type A { " KEY "\n a: [Int] @default(value: 1) }", 2, "a list has no default"},
    {"type A { " KEY "\n a: Int @createdAt }", 2, "@createdAt stands on a DateTime"},
    {"type A { " KEY "\n a: DateTime @createdAt @updatedAt }", 2, "keep one"},
    {"type A { " KEY "\n a: DateTime @updatedAt\n b: DateTime @updatedAt }", 3, "a is that already"},
    /* enums */
    {"type A { " KEY "}\nenum E {\n a }", 3, "begin with an upper-case letter"},
    {"type A { " KEY "}\nenum E {\n A A }", 3, "is there twice"},
    {"type A { " KEY "}\nenum E {\n A\n B @db(name: \"A\") }", 4, "is there twice"},
    /* keys */
    {"type A { a: Int }", 1, "A has no key"},
    {"type A { id: ID! }", 1, "A has no key"},
    {"type A { id: ID @id }", 1, "write ! behind its type"},
    {"type A { " KEY "\n other: ID! @id }", 2, "A has two keys"},
    {"type A @id(fields: [\"a\"]) { " KEY "\n a: Int! }", 1, "A has two keys"},
    {"type A @id(fields: [\"a\", \"b\"]) { a: Int! }", 1, "names b, which is no field"},
    {"type A @id(fields: [\"a\", \"a\"]) { a: Int! }", 1, "names a twice"},
    {"type A @id(fields: [\"a\", \"b\"]) { a: Int!\n b: Int }", 1, "A.b: a part of the key is always there"},
    {"type A @id(fields: [\"a\"]) { a: Float! }", 1, "cannot be part of a key"},
    {"type A @id(fields: []) { a: Int! }", 1, "a list of strings"},
    {"type A @id { a: Int! }", 1, "@id needs fields:"},
    {"type A { a: String! @id }", 1, "write @id(strategy: NONE)"},
    {"type A { a: Json! @id(strategy: NONE) }", 1, "Json and Float cannot be keys"},
    {"type A { a: ID! @id @db(type: \"varchar(24)\") }", 1, "25 characters, more than its column takes"},
    {"type A { a: ID! @id @db(type: \"char(3)\") }", 1, "25 characters, more than its column takes"},
    {"type A { a: [ID] @id }", 1, "a list cannot be a key"},
    {"type A { " KEY "\n a: [Int] @unique }", 2, "a list cannot be a key nor unique"},
    {"type A { a: ID! @id(strategy: SEQUENCE) }", 1, "goes with Int or BigInt"},
    {"type A { a: ID! @id(strategy: FAST) }", 1, "one of AUTO NONE SEQUENCE"},
    {"type A { a: Int! @id @default(value: 1) }", 1, "the key is generated, or it has a default"},
    {"type A { a: Int! @id @sequence(name: \"s\") }", 1, "@sequence goes with @id(strategy: SEQUENCE)"},
    {"type A { a: Int! @id(strategy: SEQUENCE) @sequence(name: \"s\", allocationSize: 0) }", 1, "not 0"},
    {"type A { " KEY "\n a: Int @sequence(name: \"s\") }", 2, "@sequence goes with @id(strategy: SEQUENCE)"},
    {"type A @unique(fields: [\"a\", \"b\"]) { " KEY "a: Int b: Int\n a_b: Int }", 2, "the name of the key of 2 fields"},
    {"type A @id(fields: [\"b\"]) { b: B! @relation(name: \"Y\") }\ntype B @id(fields: [\"a\"]) { a: A! @relation(name: "
     "\"X\") }",
     1, "whose key is made of it"},
    {"type A @id(fields: [\"b\"]) { b: [B] }\ntype B { " KEY " a: A! }", 1, "a relation in a key"},
    {"type A @id(fields: [\"b\"]) {\n b: B! }\ntype B { " KEY "\n as: [A] }", 2,
     "A.b: the link alone is @id, so only one A can have a link to the same B; give B.as the type A, not a list, and "
     "write @relation(link: INLINE) here; or name another field in @id, too"},
    {"type B { " KEY " }\ntype A @id(fields: [\"b\"]) {\n b: B! }", 3, "give B a field of the type A, not a list"},
    {"type A @unique(fields: [\"b\"]) { " KEY "\n b: B }\ntype B { " KEY "\n as: [A] }", 2, "the link alone is @unique"},
    {"type A @id(fields: [\"x\", \"y\"]) { x: Int! y: Int!\n b: B! @db(names: [\"y\", \"x\"]) }\n"
     "type B @id(fields: [\"p\", \"q\"]) { p: Int! q: Int! as: [A] }",
     2, "A.b: the link alone is @id"},
    /* relations */
    {"type A { " KEY "\n b: B\n c: B }\ntype B { " KEY "}", 2, "there are several relations between A and B"},
    {"type A { " KEY "\n b: B }\ntype B { " KEY "\n a: A\n c: A }", 5, "there are several relations"},
    {"type A { " KEY "\n a: A\n b: A\n c: A }", 4, "there are several relations between A and A"},
    {"type A { " KEY "\n b: B @relation(name: \"X\")\n c: B @relation(name: \"X\") }\ntype B { " KEY "}", 3,
     "two relations X"},
    {"type A { " KEY "\n b: B @relation(name: \"X\") }\ntype B { " KEY "}\ntype C { " KEY "\n b: B @relation(name: \"X\") }",
     5, "two relations X"},
    {"type A { " KEY "\n b: [B] @relation(link: INLINE) }\ntype B { " KEY " a: A }", 2, "a list has no column"},
    {"type A { " KEY "\n b: B @relation(link: INLINE) }\ntype B { " KEY "\n a: A @relation(link: INLINE) }", 4,
     "both sides say link:"},
    {"type A { " KEY "\n b: B @relation(link: INLINE) }\ntype B { " KEY "\n a: A @relation(link: TABLE) }", 4,
     "both sides say link:"},
    {"type A { " KEY "\n b: B @unique }\ntype B { " KEY "}", 2, "@unique stands on scalars"},
    {"type A { " KEY "\n b: B! @id }\ntype B { " KEY "}", 2, "write @id(fields: [...]) on the type"},
    {"type A { " KEY "\n b: B @db(type: \"text\") }\ntype B { " KEY "}", 2, "remove @db(type:)"},
    {"type A { " KEY "\n b: [B] @db(name: \"x\") }\ntype B { " KEY " a: A }", 2, "move @db to that side"},
    {"type A { " KEY "\n b: [B] @db(name: \"x\") }\ntype B { " KEY "}", 2, "has no column here"},
    {"type A { " KEY "\n b: Int\n c: B @db(name: \"b\") }\ntype B { " KEY "}", 3,
     "stands in the column b, which the field b has"},
    {"type A { " KEY "\n c: B @db(names: [\"x\", \"y\"]) }\ntype B { " KEY "}", 2, "the key of B has 1 columns"},
    {"type A { " KEY "\n c: B @db(names: [\"x\", \"x\"]) }\ntype B @id(fields: [\"a\", \"b\"]) { a: Int! b: Int! }", 2,
     "the column x is there twice"},
    {"type A { " KEY "}\ntype B { " KEY "}\ntype X @relationTable { a: A b: B }", 3,
     "no relation of that name links the two"},
    {"type A { " KEY "bs: [B] @relation(name: \"X\") }\ntype B { " KEY "}\ntype X @relationTable { a: A }", 3,
     "exactly two fields"},
    {"type A { " KEY "bs: [B] @relation(name: \"X\") }\ntype B { " KEY "}\ntype X @relationTable { a: A c: A }", 3,
     "has a field for each"},
    {"type A { " KEY "bs: [B] @relation(name: \"X\") }\ntype B { " KEY "}\ntype X @relationTable {\n a: [A]\n b: B }", 4,
     "is no list"},
    {"type A { " KEY "bs: [B] @relation(name: \"X\") }\ntype B { " KEY
     "}\ntype X @relationTable {\n a: A @db(name: \"b\")\n b: B }",
     1, "both sides stand in one column"},
    {"type A { " KEY "\n x: X }\ntype X @relationTable { a: A b: A }", 2, "no type, enum or scalar X"},
};

static void test_mistakes(void **state) {
  size_t bad = 0;

  (void)state;
  for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
    const struct mistake *c = &mistakes[i];
    void *mem = talloc_new(NULL);
    struct problems p;
    bool found = false;

    if (read_model(mem, c->sdl, &p)) print_error("%s\n  is accepted\n", c->sdl);
    for (size_t j = 0; j < p.n; j++)
      found = found || (!p.items[j].warning && p.items[j].line == c->line && strstr(p.items[j].text, c->text));
    for (size_t j = 0; j < p.n && !found; j++) print_error("%s\n  line %d: %s\n", c->sdl, p.items[j].line, p.items[j].text);
    if (!found) print_error("  not told: line %d, %s\n", c->line, c->text);
    bad += !found;
    talloc_free(mem);
  }
  assert_int_equal(bad, 0);
}

static void test_all_mistakes_at_once(void **state) {
  void *mem = talloc_new(NULL);
  struct problems p;

  (void)state;
  assert_null(read_model(
      mem, "type A {\n id: ID @id\n a: Strin\n b: Int @default(value: true)\n}\ntype B {\n c: [Json] @unique\n}\n", &p));
  assert_int_equal(p.errors, 5);
  talloc_free(mem);
}

/* ---- relations ---- */

struct relation_case {
  const char *sdl;
  const char *name;
  const char *a, *b; /* fields of the two sides; NULL: invisible */
  enum link_storage storage;
  unsigned holder;
  const char *columns_a, *columns_b;
  bool unique_a, unique_b;
};

static const struct relation_case relations[] = {
    {"type Parent { " KEY " c: [Child] } type Child { " KEY " p: Parent }", "ChildToParent", "p", "c", LINK_INLINE, 0,
     "\"p\"", NULL, false, false},
    {"type Post { " KEY " author: User! } type User { " KEY " }", "PostToUser", "author", NULL, LINK_INLINE, 0, "\"author\"",
     NULL, false, false},
    {"type User { " KEY " roles: [Role] } type Role { " KEY " }", "RoleToUser", NULL, "roles", LINK_TABLE, 0, "\"A\"",
     "\"B\"", false, false},
    {"type A { " KEY " b: B } type B { " KEY " a: A @relation(link: INLINE) }", "AToB", "b", "a", LINK_INLINE, 1, NULL,
     "\"a\"", false, true},
    {"type B { " KEY " a: A } type A { " KEY " b: B }", "AToB", "b", "a", LINK_INLINE, 1, NULL, "\"a\"", false, true},
    {"type A { " KEY " b: B @relation(link: TABLE) } type B { " KEY " a: [A] }", "AToB", "b", "a", LINK_TABLE, 0, "\"A\"",
     "\"B\"", true, false},
    {"type A { " KEY " b: B @relation(link: TABLE) } type B { " KEY " a: A }", "AToB", "b", "a", LINK_TABLE, 0, "\"A\"",
     "\"B\"", true, true},
    {"type U { " KEY " following: [U] followers: [U] }", "UToU", "followers", "following", LINK_TABLE, 0, "\"A\"", "\"B\"",
     false, false},
    {"type U { " KEY " related: [U] }", "UToU", "related", NULL, LINK_TABLE, 0, "\"A\"", "\"B\"", false, false},
    {"type U { " KEY " boss: U }", "UToU", "boss", NULL, LINK_INLINE, 0, "\"boss\"", NULL, false, false},
    {"type U { " KEY " z: U a: U }", "UToU", "a", "z", LINK_INLINE, 1, NULL, "\"z\"", false, true},
    {"type U { " KEY " boss: U @db(name: \"boss_id\") staff: [U] }", "UToU", "boss", "staff", LINK_INLINE, 0, "\"boss_id\"",
     NULL, false, false},
    {"type A { " KEY " b: B @relation(name: \"X\") c: B @relation(name: \"Y\") } type B { " KEY
     " a: [A] @relation(name: \"X\") }",
     "X", "b", "a", LINK_INLINE, 0, "\"b\"", NULL, false, false},
    {"type A { " KEY " b: [B] @relation(name: \"X\") } type B { " KEY " a: A }", "X", "b", "a", LINK_INLINE, 1, NULL,
     "\"a\"", false, false},
    {"type A { " KEY " b: [B] @relation(name: \"X\") } type B { " KEY " a: [A] @relation(name: \"X\") }"
     "type X @relationTable @db(name: \"t\") { bee: B @db(name: \"b_id\") ay: A }",
     "X", "b", "a", LINK_TABLE, 0, "\"ay\"", "\"b_id\"", false, false},
    {"type A { " KEY " t: T } type T @id(fields: [\"l\", \"n\"]) { l: String! n: Int! }", "AToT", "t", NULL, LINK_INLINE, 0,
     "\"t_l\", \"t_n\"", NULL, false, false},
    {"type A { " KEY " t: [T] } type T @id(fields: [\"l\", \"n\"]) { l: String! n: Int! }", "AToT", "t", NULL, LINK_TABLE, 0,
     "\"A\"", "\"B_l\", \"B_n\"", false, false},
};

static void same_text(const char *got, const char *wanted) {
  if (!wanted) assert_null(got);
  else assert_string_equal(got ? got : "(null)", wanted);
}

static void check_relation(const struct relation_case *c) {
  void *mem = talloc_new(NULL);
  const struct datamodel *d = must_read(mem, c->sdl);
  const struct relation *relation = model_relation(d, c->name);

  assert_non_null(relation);
  for (unsigned side = 0; side < 2; side++) {
    const struct relation_side *s = &relation->sides[side];

    same_text(s->field ? s->field->name : NULL, side ? c->b : c->a);
    same_text(s->columns_sql, side ? c->columns_b : c->columns_a);
    assert_int_equal(s->unique, side ? c->unique_b : c->unique_a);
    if (!s->field) assert_true(s->list && !s->required);
    if (!s->field) continue;
    assert_ptr_equal(s->field->relation, relation);
    assert_ptr_equal(field_here(s->field), s);
    assert_ptr_equal(field_there(s->field), &relation->sides[!side]);
    assert_int_equal(field_holds_link(s->field), c->storage == LINK_INLINE && c->holder == side);
  }
  assert_int_equal(relation->storage, c->storage);
  if (c->storage == LINK_INLINE) assert_int_equal(relation->holder, c->holder);
  talloc_free(mem);
}

static void test_relations(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof relations / sizeof *relations; i++) check_relation(&relations[i]);
}

static void test_one_to_one_warns(void **state) {
  void *mem = talloc_new(NULL);
  struct problems p;

  (void)state;
  assert_non_null(read_model(mem, "type A { " KEY " b: B }\ntype B { " KEY " a: A }", &p));
  assert_int_equal(p.n, 1);
  assert_true(p.items[0].warning && p.items[0].line == 1);
  assert_non_null(read_model(mem, "type A { " KEY " b: B @relation(link: INLINE) }\ntype B { " KEY " a: A }", &p));
  assert_int_equal(p.n, 0);
  talloc_free(mem);
}

/* ---- keys ---- */

static void test_key_sources(void **state) {
  static const struct {
    const char *sdl;
    enum value_source source;
    const char *next_sql;
  } cases[] = {
      {"type A { id: ID! @id }", SOURCE_CUID, NULL},
      {"type A { id: ID! @unique }", SOURCE_CUID, NULL},
      {"type A @entity { id: ID! }", SOURCE_CUID, NULL},
      {"type A { id: ID! @id(strategy: NONE) }", SOURCE_CLIENT, NULL},
      {"type A { id: UUID! @id }", SOURCE_UUID7, NULL},
      {"type A { id: UUID! @id(strategy: NONE) }", SOURCE_CLIENT, NULL},
      {"type A { id: Int! @id }", SOURCE_SEQUENCE, "nextval(pg_get_serial_sequence('\"public\".\"A\"', 'id'))"},
      {"type A @db(name: \"a'b\\\"c\") { id: Int! @id }", SOURCE_SEQUENCE,
       "nextval(pg_get_serial_sequence('\"public\".\"a''b\"\"c\"', 'id'))"},
      {"extend schema @db(schema: \"s\") type A { id: Int! @id(strategy: SEQUENCE) @sequence(name: \"q\") }",
       SOURCE_SEQUENCE, "nextval('\"s\".\"q\"')"},
      {"type A { id: Int! @id(strategy: SEQUENCE) @sequence(name: \"q\" schema: \"t\") }", SOURCE_SEQUENCE,
       "nextval('\"t\".\"q\"')"},
      {"type A { id: Int! @id(strategy: NONE) }", SOURCE_CLIENT, NULL},
      {"type A { id: String! @id(strategy: NONE) }", SOURCE_CLIENT, NULL},
      {"type A { id: ID! @id(strategy: NONE) @default(sql: \"f()\") }", SOURCE_DEFAULT, NULL},
      {"type A @id(fields: [\"id\"]) { id: Int! }", SOURCE_CLIENT, NULL},
  };

  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    void *mem = talloc_new(NULL);
    const struct field *f = field_of(must_read(mem, cases[i].sdl), "A", "id");

    assert_int_equal(f->source, cases[i].source);
    same_text(f->next_sql, cases[i].next_sql);
    assert_true(f->in_key && f->column->required && f->unique == f->model->key && f->model->key->nfields == 1);
    talloc_free(mem);
  }
}

/* (company, order), in which companies overlap: shared columns are one column. */
static void test_composite_keys(void **state) {
  void *mem = talloc_new(NULL);
  const struct datamodel *d =
      must_read(mem, "type Company { id: Int! @id }\n"
                     "type Customer @id(fields: [\"company\", \"no\"]) { company: Company! no: Int! }\n"
                     "type Order @id(fields: [\"company\", \"order_no\"]) @unique(fields: [\"customer\", \"day\"]) {\n"
                     "  company: Company!  order_no: Int!  day: DateTime!  customer: Customer! @db(names: [\"company\", "
                     "\"customer_no\"])  lines: [Line] }\n"
                     "type Line @id(fields: [\"order\", \"no\"]) { no: Int! order: Order! }");
  const struct model *order = model_find(d, "Order"), *line = model_find(d, "Line");

  (void)state;
  assert_string_equal(order->key->name, "company_order_no");
  assert_string_equal(order->key->columns_sql, "\"company\", \"order_no\"");
  assert_int_equal(order->ncolumns, 4);
  assert_int_equal(order->columns[0]->nlinks, 2);
  assert_string_equal(order->keys[1].name, "customer_day");
  assert_string_equal(order->keys[1].columns_sql, "\"company\", \"customer_no\", \"day\"");
  assert_ptr_equal(model_key(order, "customer_day"), &order->keys[1]);
  assert_string_equal(line->key->name, "order_no");
  assert_string_equal(line->key->columns_sql, "\"order_company\", \"order_order_no\", \"no\"");
  assert_int_equal(line->columns[1]->scalar, SCALAR_INT);
  assert_string_equal(line->columns[1]->type_sql, "integer");
  assert_true(line->columns[1]->required && line->columns[2]->required);
  talloc_free(mem);
}

static void test_links_of_a_model(void **state) {
  void *mem = talloc_new(NULL);
  const struct datamodel *d =
      must_read(mem, "type B { " KEY " a: A! }\ntype A { " KEY " self: A }\ntype C { " KEY " as: [A] }");
  const struct model *a = model_find(d, "A");

  (void)state;
  assert_int_equal(a->nlinks, 4); /* B's, its own twice, C's */
  assert_ptr_equal(a->links[0].relation, field_of(d, "B", "a")->relation);
  assert_int_equal(a->links[0].side, 0);
  assert_ptr_equal(d->by_lock_rank[0], a);
  assert_int_equal(a->lock_rank, 0);
  assert_int_equal(a->id, 1);
  talloc_free(mem);
}

/* ---- scalars ---- */

static void test_scalars(void **state) {
  static const struct {
    const char *field, *type_sql, *cast_sql, *default_sql;
  } cases[] = {
      {"f: ID", "text", "text", NULL},
      {"f: String @default(value: \"it's\")", "text", "text", "'it''s'::text"},
      {"f: Int @default(value: -1)", "integer", "integer", "'-1'::integer"},
      {"f: BigInt @default(value: \"9223372036854775807\")", "bigint", "bigint", "'9223372036854775807'::bigint"},
      {"f: Float @default(value: 1e3)", "double precision", "double precision", "'1e3'::double precision"},
      {"f: Decimal @default(value: 1.50)", "numeric", "numeric", "'1.50'::numeric"},
      {"f: Boolean @default(value: true)", "boolean", "boolean", "'true'::boolean"},
      {"f: DateTime @default(sql: \"now()\")", "timestamp with time zone", "timestamp with time zone", "now()"},
      {"f: Json", "jsonb", "jsonb", NULL},
      {"f: UUID", "uuid", "uuid", NULL},
      {"f: E @default(value: B)", "\"public\".\"E\"", "\"public\".\"E\"", "'b-b'::\"public\".\"E\""},
      {"f: E @default(value: \"A\")", "\"public\".\"E\"", "\"public\".\"E\"", "'A'::\"public\".\"E\""},
      {"f: [Int!]!", "integer[]", "integer[]", NULL},
      {"f: [Int] @scalarList(strategy: RELATION)", "integer[]", "integer[]", NULL},
      {"f: String @db(type: \"VARCHAR ( 40 )\")", "character varying(40)", "character varying", NULL},
      {"f: String @db(type: \"char\")", "character(1)", "bpchar", NULL},
      {"f: [String] @db(type: \"varchar(3)[]\")", "character varying(3)[]", "character varying[]", NULL},
      {"f: DateTime @db(type: \"timestamp (3)\")", "timestamp(3) without time zone", "timestamp without time zone", NULL},
      {"f: DateTime @db(type: \"timestamptz(3)\")", "timestamp(3) with time zone", "timestamp with time zone", NULL},
      {"f: Decimal @db(type: \"decimal(10, 2)\")", "numeric(10,2)", "numeric", NULL},
      {"f: String @db(type: \"ext.citext\")", "\"ext\".\"citext\"", "\"ext\".\"citext\"", NULL},
      {"f: String @db(type: \"ext.\\\"Cit\\\"\\\"Ext\\\"\")", "\"ext\".\"Cit\"\"Ext\"", "\"ext\".\"Cit\"\"Ext\"", NULL},
  };

  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    void *mem = talloc_new(NULL);
    const char *sdl = arena_printf(mem, "enum E { A B @db(name: \"b-b\") } type A { " KEY " %s }", cases[i].field);
    const struct field *f = field_of(must_read(mem, sdl), "A", "f");

    assert_string_equal(f->column->type_sql, cases[i].type_sql);
    assert_string_equal(f->column->cast_sql, cases[i].cast_sql);
    same_text(f->default_sql, cases[i].default_sql);
    assert_int_equal(f->required, 0);
    assert_int_equal(f->column->required, f->list);
    talloc_free(mem);
  }
}

static void test_type_names_refused(void **state) {
  static const char *const names[] = {"",          " ",         "1",          "text;",         "text)", "text'",
                                      "a.b.c",     "a.",        ".a",         "\"a",           "\"\"",  "numeric(",
                                      "numeric()", "numeric(1", "numeric(a)", "numeric(1)(2)", "text[", "text[1]",
                                      "text[]x",   "a--b",      "a/*b*/",     "a\"b\""};

  (void)state;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    void *mem = talloc_new(NULL);
    struct type_name out;

    if (type_name_read(mem, names[i], &out)) fail_msg("%s is taken for %s", names[i], out.type_sql);
    talloc_free(mem);
  }
}

/* ---- names ---- */

static void test_plurals(void **state) {
  static const char *const words[][3] = {
      /* one, many, and back */
      {"User", "Users", "User"},
      {"Todo", "Todoes", "Todo"},
      {"Child", "Children", "Child"},
      {"Technology", "Technologies", "Technology"},
      {"A", "As", "A"},
      {"E", "Es", "E"},
      {"MyObject", "MyObjects", "MyObject"},
      {"GC", "GCs", "GC"},
      {"SC", "SCs", "SC"},
      {"TableA", "TableAs", "TableA"},
      {"Middle", "Middles", "Middle"},
      {"Person", "Persons", "Person"}, /* this and what follows: as Prisma 1's own generator of schemas has them */
      {"Logo", "Logoes", "Logo"},
      {"Info", "Infoes", "Info"},
      {"Auto", "Autos", "Auto"},
      {"Zero", "Zeros", "Zero"},
      {"Money", "Moneys", "Money"},
      {"Persona", "Personae", "Persona"},
      {"Curriculum", "Curricula", NULL},
      {"Helix", "Helices", NULL},
      {"Thief", "Thiefs", "Thief"},
      {"Loaf", "Loafs", "Loaf"},
      {"BookShelf", "BookShelves", "BookShelf"},
      {"Waltz", "Waltzes", NULL},
      {"Chassis", "Chassises", NULL},
      {"SalesMan", "SalesMen", "SalesMan"},
      {"Box", "Boxes", "Box"},
      {"Class", "Classes", "Class"},
      {"Address", "Addresses", "Address"},
      {"Status", "Statuses", "Status"},
      {"Day", "Days", "Day"},
      {"City", "Cities", "City"},
      {"Photo", "Photos", "Photo"},
      {"Video", "Videos", "Video"},
      {"Shelf", "Shelves", "Shelf"},
      {"Fish", "Fishs", NULL},
      {"Series", "Serieses", NULL},
      {"Woman", "Women", "Woman"},
      {"Y", "Ys", NULL},
      {"Branch", "Branches", "Branch"},
      {"Analysis", "Analyses", "Analysis"},
      {"Bus", "Buses", "Bus"},
      {"Quiz", "Quizzes", "Quiz"},
  };
  void *mem = talloc_new(NULL);

  (void)state;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    assert_string_equal(name_plural(mem, words[i][0]), words[i][1]);
    if (words[i][2]) assert_string_equal(name_singular(mem, words[i][1]), words[i][2]);
  }
  assert_string_equal(name_singular(mem, "people"), "person"); /* tables are called as people call them */
  assert_string_equal(name_singular(mem, "formula"), "formula");
  assert_string_equal(name_singular(mem, "valves"), "valve");
  talloc_free(mem);
}

static void test_names_of_the_api(void **state) {
  void *mem = talloc_new(NULL);
  const struct datamodel *d = must_read(mem, "type Child { " KEY " } type SC { " KEY " }");
  const struct model *child = model_find(d, "Child"), *sc = model_find(d, "SC");

  (void)state;
  assert_string_equal(child->query.one, "child");
  assert_string_equal(child->query.many, "children");
  assert_string_equal(child->query.connection, "childrenConnection");
  assert_string_equal(child->mutation.create, "createChild");
  assert_string_equal(child->mutation.update_many, "updateManyChildren");
  assert_string_equal(sc->query.one, "sC");
  assert_string_equal(sc->query.many, "sCs");
  assert_string_equal(sc->mutation.delete_many, "deleteManySCs");
  talloc_free(mem);
}

/* ---- what the catalog adds ---- */

static void test_learning(void **state) {
  static const char *const id[] = {"id"}, *const b[] = {"b"}, *const pair[] = {"B", "A"}, *const first[] = {"A"};
  struct db_key keys[] = {{.name = "A_pkey", .columns = id, .ncolumns = 1, .primary = true},
                          {.name = "both", .columns = pair, .ncolumns = 2}};
  struct db_foreign_key foreign[] = {{.name = "f",
                                      .columns = b,
                                      .referenced = id,
                                      .ncolumns = 1,
                                      .schema = "public",
                                      .table = "B",
                                      .action = ACTION_SET_NULL,
                                      .deferrable = true}};
  struct db_foreign_key link[] = {{.name = "g",
                                   .columns = first,
                                   .referenced = id,
                                   .ncolumns = 1,
                                   .schema = "public",
                                   .table = "A",
                                   .action = ACTION_RESTRICT}};
  struct db_table tables[] = {
      {.schema = "public", .name = "A", .keys = keys, .nkeys = 2, .foreign_keys = foreign, .nforeign_keys = 1},
      {.schema = "public", .name = "_Many", .keys = &keys[1], .nkeys = 1, .foreign_keys = link, .nforeign_keys = 1}};
  const struct db_tables catalog = {.tables = tables, .ntables = 2};
  void *mem = talloc_new(NULL);
  const struct datamodel *d =
      must_read(mem, "type A { " KEY " b: B @relation(link: INLINE name: \"One\") bs: [B] @relation(name: \"Many\") }"
                     "type B { " KEY " a: A @relation(name: \"One\") as: [A] @relation(name: \"Many\") }");
  const struct relation *one = model_relation(d, "One"), *many = model_relation(d, "Many");
  const struct model *a = model_find(d, "A");

  (void)state;
  assert_true(one->sides[0].unique && one->sides[0].unique_exists && one->sides[0].foreign_key.exists);
  assert_true(many->table_key_exists && many->sides[1].foreign_key.action == ACTION_CASCADE);
  model_learn((struct datamodel *)d, &catalog);
  assert_true(one->sides[0].unique && !one->sides[0].unique_exists);
  assert_true(one->sides[0].foreign_key.exists && one->sides[0].foreign_key.deferrable);
  assert_int_equal(one->sides[0].foreign_key.action, ACTION_SET_NULL);
  assert_true(many->table_key_exists);
  assert_true(many->sides[0].foreign_key.exists && !many->sides[0].foreign_key.deferrable);
  assert_int_equal(many->sides[0].foreign_key.action, ACTION_RESTRICT);
  assert_false(many->sides[1].foreign_key.exists);
  assert_int_equal(a->nindexes, 2);
  assert_string_equal(a->indexes[0].name, "A_pkey");
  assert_string_equal(a->indexes[0].columns_sql, a->key->columns_sql);
  assert_string_equal(a->indexes[1].name, "both");
  assert_string_equal(a->indexes[1].columns_sql, "\"B\", \"A\"");
  assert_int_equal(model_find(d, "B")->nindexes, 0);
  talloc_free(mem);
}

/* What commands of the application's own take and give stands in the same file. */
static void test_own_definitions(void **state) {
  static const struct {
    const char *text, *own;
    size_t models, enums;
  } cases[] = {
      {"type A { " KEY " } type Query { a: A b: B } type B { c: [C!] } enum C { D } enum E { F }", "Query B C ", 1, 1},
      {"type Mutation { a(b: B): C } input B { d: D } enum D { E } interface I { x: Int } type C implements I { x: Int }",
       "Mutation B D I C ", 0, 0},
      {"type A { " KEY " c: C } type Query { c: C } enum C { D }", "Query ", 1, 1},
      {"type A { " KEY " } type Query { c: C } enum C @db(name: \"c\") { D } union U = B | A type B { x: Int } scalar S",
       "Query U B S ", 1, 1},
      {"type A { " KEY
       " } directive @d(x: I) on OBJECT input I { x: E } enum E { A } extend enum E { B } extend type Query { a: A }",
       "d I E E Query ", 1, 0},
      {"type A { " KEY " }", "", 1, 0},
  };

  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    void *mem = arena_request(NULL);
    const struct datamodel *d = must_read(mem, cases[i].text);
    char own[200] = "";

    for (const struct graphql_definition *def = d->own; def; def = def->next) {
      strcat(own, def->name);
      strcat(own, " ");
    }
    assert_string_equal(own, cases[i].own);
    assert_int_equal(d->nmodels, cases[i].models);
    assert_int_equal(d->nenums, cases[i].enums);
    talloc_free(mem);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_own_definitions),
      cmocka_unit_test(test_mistakes),
      cmocka_unit_test(test_all_mistakes_at_once),
      cmocka_unit_test(test_relations),
      cmocka_unit_test(test_one_to_one_warns),
      cmocka_unit_test(test_key_sources),
      cmocka_unit_test(test_composite_keys),
      cmocka_unit_test(test_links_of_a_model),
      cmocka_unit_test(test_scalars),
      cmocka_unit_test(test_type_names_refused),
      cmocka_unit_test(test_plurals),
      cmocka_unit_test(test_names_of_the_api),
      cmocka_unit_test(test_learning),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
