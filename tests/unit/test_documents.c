/* documents/: what the corpus of tests/graphql cannot say: limits, bounds on errors and on work, words of messages,
 * values. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/problems.h"
#include "base/str.h"
#include "documents/coerce.h"
#include "documents/validate.h"
#include "graphql/parse.h"

#include <string.h>

static const char sdl[] =
    "scalar BigInt scalar Decimal scalar Json scalar Any enum Unit { GRAM POUND }\n"
    "interface Node { id: ID! } union Thing = Tool | Box\n"
    "type Tool implements Node { id: ID! name(short: Boolean): String box: Box next: Tool list: [Tool!]!\n"
    "  grid: [[Tool]] x: Node }\n"
    "type Box implements Node { id: ID! tools: [Tool!]! size: Int! x: Node }\n"
    "input In { need: Int! text: String = \"t\" list: [In!] }\n"
    "type Query { tool: Tool tools: [Tool] things: [Thing] node: Node count: Int\n"
    "  take(int: Int float: Float id: ID in: In big: BigInt decimal: Decimal json: Json any: Any unit: Unit text: String\n"
    "    need: Int! = 3 ints: [Int]): Int }\n"
    "type Mutation { do: Int }\n";

struct test {
  void *mem;
  const struct schema *schema;
  const struct graphql_document *document;
  struct gql_errors errors;
  struct document_limits limits;
};

static const struct graphql_limits generous = {.bytes = 1 << 26, .tokens = 3000000, .depth = 10000};

static int setup(void **state) {
  struct test *t = arena_new(NULL, struct test);
  const struct graphql_document *document;
  struct problems problems;
  struct err e;

  t->mem = t;
  t->errors.mem = t;
  err_init(&e, t);
  problems_init(&problems, t);
  assert_true(graphql_parse_schema(t, sdl, strlen(sdl), &graphql_limits_default, &document, &e));
  t->schema = schema_read(t, "test", document, &problems);
  assert_non_null(t->schema);
  *state = t;
  return 0;
}

static int teardown(void **state) {
  talloc_free(*state);
  return 0;
}

static void parse(struct test *t, const char *text) {
  struct err e;

  err_init(&e, t->mem);
  if (!graphql_parse(t->mem, text, strlen(text), &generous, &t->document, &e)) fail_msg("%s", e.message);
  t->errors = (struct gql_errors){.mem = t->mem};
}

static bool valid(struct test *t, const char *text) {
  parse(t, text);
  return document_validate(t->mem, NULL, t->schema, t->document, &t->limits, &t->errors);
}

static void assert_error(struct test *t, const char *rule, const char *words) {
  if (!t->errors.n) fail_msg("no error, not \"%s\"", words);
  if (!strstr(t->errors.list[0].message, words)) fail_msg("\"%s\", not \"%s\"", t->errors.list[0].message, words);
  if (rule) assert_string_equal(t->errors.list[0].rule, rule);
  else assert_null(t->errors.list[0].rule);
}

/* ---- limits ---- */

static void depth_is_limited(void **state) {
  struct test *t = *state;

  t->limits.depth = 3;
  assert_true(valid(t, "{ tool { next { id } } ... { ...F } } fragment F on Query { tool { next { id } } }"));
  assert_false(valid(t, "{ tool { next { next { id } } } }"));
  assert_error(t, "DocumentLimits", "nests its fields too deeply; the limit is 3, and this is 4.");
  assert_false(valid(t, "{ tool { ...F } } fragment F on Tool { next { ...G } } fragment G on Tool { next { id } }"));
  assert_error(t, "DocumentLimits", "this is 4.");
}

static void nodes_are_limited(void **state) {
  struct test *t = *state;

  t->limits.nodes = 6;
  assert_true(valid(t, "{ count tool { ...F ...F } } fragment F on Tool { id id }"));
  assert_false(valid(t, "{ count tool { ...F ...F id } } fragment F on Tool { id id }"));
  assert_error(t, "DocumentLimits", "too many fields, with fragments in their places; the limit is 6, and this is 7.");
  assert_true(valid(t, "query A { count count count count } query B { count count count count }"));
}

static void aliases_are_limited(void **state) {
  struct test *t = *state;

  t->limits.aliases = 2;
  assert_true(valid(t, "{ a: count b: count count tool { id } }"));
  assert_false(valid(t, "{ a: count ...F ...F } fragment F on Query { b: count }"));
  assert_error(t, "DocumentLimits", "too many aliases, with fragments in their places; the limit is 2, and this is 3.");
}

static void complexity_is_limited(void **state) {
  struct test *t = *state;

  t->limits.complexity = 111; /* tools 1, list 10, id 100 */
  assert_true(valid(t, "{ tools { list { id } } }"));
  assert_false(valid(t, "{ tools { list { id name } } }"));
  assert_error(t, "DocumentLimits", "too complex");
  assert_error(t, "DocumentLimits", "the limit is 111, and this is 211.");
  assert_true(valid(t, "{ tools { grid { id } } }")); /* one field, one list of lists */
  assert_false(valid(t, "{ tools { list { list { id } } } }"));
}

static void every_operation_is_limited(void **state) {
  struct test *t = *state;

  t->limits.depth = 1;
  assert_false(valid(t, "query A { count } query B { tool { id } }"));
  assert_int_equal(t->errors.list[0].locations[0].column, 19);
}

/* Fragments in a circle have no measure; that is what is wrong with them. */
static void circles_are_not_measured(void **state) {
  struct test *t = *state;

  t->limits = (struct document_limits){.depth = 1, .nodes = 1};
  assert_false(valid(t, "{ tool { ...F } } fragment F on Tool { next { next { ...F id } } }"));
  assert_int_equal(t->errors.n, 1);
  assert_error(t, "NoFragmentCycles", "Cannot spread fragment \"F\" within itself.");
}

/* Counts that no number holds. */
static void bombs_are_measured(void **state) {
  struct test *t = *state;
  struct str *text = str_new(t->mem, 65536);

  str_add(text, "{ tool { ...F0 } }");
  for (int i = 0; i < 100; i++)
    str_printf(text, " fragment F%d on Tool { a: next { ...F%d } b: next { ...F%d } }", i, i + 1, i + 1);
  str_add(text, " fragment F100 on Tool { id }");
  t->limits = (struct document_limits){.nodes = 1000};
  assert_false(valid(t, text->p));
  assert_error(t, "DocumentLimits", "the limit is 1000, and this is more.");
  t->limits = (struct document_limits){0};
  assert_true(valid(t, text->p)); /* there are few sets to be merged */
}

/* ---- bounds ---- */

static void errors_are_bounded(void **state) {
  struct test *t = *state;
  struct str *text = str_new(t->mem, 65536);

  str_add(text, "{");
  for (int i = 0; i < 20000; i++) str_printf(text, " no%d", i);
  str_add(text, "}");
  assert_false(valid(t, text->p));
  assert_int_equal(t->errors.n, GQL_ERRORS_MAX + 1);
  assert_string_equal(t->errors.list[GQL_ERRORS_MAX].message, "Too many errors; there are more than these.");
  assert_int_equal(t->errors.list[GQL_ERRORS_MAX].nlocations, 0);
}

static void places_are_bounded(void **state) {
  struct test *t = *state;
  struct str *text = str_new(t->mem, 65536);

  str_add(text, "{ take(int: 1");
  for (int i = 0; i < 20000; i++) str_add(text, " int: 1");
  str_add(text, ") }");
  assert_false(valid(t, text->p));
  assert_int_equal(t->errors.n, 1);
  assert_int_equal(t->errors.list[0].nlocations, GQL_LOCATIONS_MAX);
}

/* What a message quotes of the document is cut, between characters. */
static void quotes_are_bounded(void **state) {
  struct test *t = *state;
  struct str *text = str_new(t->mem, 65536);

  str_add(text, "{ take(int: \"xy"); /* so that a character stands across the cut */
  for (int i = 0; i < 10000; i++) str_add(text, "ö");
  str_add(text, "\") }");
  assert_false(valid(t, text->p));
  assert_true(strlen(t->errors.list[0].message) < 250);
  assert_error(t, "ValuesOfCorrectType", "öö...");
}

static void many_variables_are_taken(void **state) {
  struct test *t = *state;
  struct str *text = str_new(t->mem, 1 << 20), *given = str_new(t->mem, 1 << 20);
  const struct json *values, *variables, *made;
  struct err e;

  str_add(text, "query (");
  for (int i = 0; i < 100000; i++) str_printf(text, "$v%d: Int ", i);
  str_add(text, ") { take(ints: [");
  for (int i = 0; i < 100000; i++) str_printf(text, "$v%d ", i), str_printf(given, "%c\"v%d\":%d", i ? ',' : '{', i, i);
  str_add(text, "]) }");
  str_add(given, "}");
  assert_true(valid(t, text->p));
  err_init(&e, t->mem);
  assert_true(json_read(t->mem, given->p, given->len, 5, &values, &e));
  variables = coerce_variables(t->mem, NULL, t->schema, t->document->definitions, values, &t->errors);
  assert_non_null(variables);
  made = coerce_literal(t->mem, t->schema, schema_field(t->schema->query, "take")->args[11].type,
                        t->document->definitions->selections->arguments->value, variables, &t->errors);
  assert_int_equal(made->len, 100000);
  assert_string_equal(made->items[77777].text, "77777");
}

/* What would take time without bound ends, and says so: sets of fields that become ever new ones. */
static void work_is_bounded(void **state) {
  struct test *t = *state;
  struct str *text = str_new(t->mem, 65536);

  str_add(text, "{ tool { ...T0 } }");
  for (int i = 0; i < 60; i++)
    str_printf(text, " fragment T%d on Tool { a: next { ...T%d ...Q1 } b: next { ...T%d } }", i, i + 1, i + 1);
  str_add(text, " fragment T60 on Tool { id }");
  for (int i = 1; i < 60; i++)
    str_printf(text, " fragment Q%d on Tool { a: next { ...Q%d } b: next { ...Q%d } x%d: id }", i, i + 1, i + 1, i);
  str_add(text, " fragment Q60 on Tool { id }");
  assert_false(valid(t, text->p));
  assert_int_equal(t->errors.n, 1);
  assert_error(t, "DocumentLimits", "too entangled to be validated");
  t->limits.nodes = 10000;
  assert_false(valid(t, text->p));
  assert_error(t, "DocumentLimits", "too many fields");
}

/* As deep as fragments can be spread within each other: none of it on the stack. */
static void chains_are_walked(void **state) {
  struct test *t = *state;
  struct str *text = str_new(t->mem, 1 << 22);

  str_add(text, "{ tool { ...F0 } }");
  for (int i = 0; i < 100000; i++) str_printf(text, " fragment F%d on Tool { next { ...F%d } }", i, i + 1);
  str_add(text, " fragment F100000 on Tool { ...F0 id }");
  assert_false(valid(t, text->p));
  assert_error(t, "NoFragmentCycles", "Cannot spread fragment \"F0\" within itself via \"F1\", \"F2\"");
}

/* ---- words ---- */

static void hints_are_given(void **state) {
  struct test *t = *state;

  assert_false(valid(t, "{ toool { id } }"));
  assert_error(t, "FieldsOnCorrectType", "Cannot query field \"toool\" on type \"Query\". Did you mean \"tool\"?");
  assert_false(valid(t, "{ things { name } }"));
  assert_error(t, "FieldsOnCorrectType", "Did you mean to use an inline fragment on \"Tool\"?");
  assert_false(valid(t, "{ take(itn: 1) }"));
  assert_error(t, "KnownArgumentNames", "Unknown argument \"itn\" on field \"Query.take\". Did you mean \"int\"?");
  assert_false(valid(t, "{ take(unit: POND) }"));
  assert_error(t, "ValuesOfCorrectType",
               "Value \"POND\" does not exist in \"Unit\" enum. Did you mean the enum value \"POUND\"?");
  assert_false(valid(t, "{ take(in: {need: 1, txt: \"a\"}) }"));
  assert_error(t, "ValuesOfCorrectType", "Field \"txt\" is not defined by type \"In\". Did you mean \"text\"?");
  assert_false(valid(t, "query ($a: Utit) { take(unit: $a) }"));
  assert_error(t, "KnownTypeNames", "Unknown type \"Utit\". Did you mean \"Unit\"?");
}

static void errors_are_in_order_of_places(void **state) {
  struct test *t = *state;

  assert_false(valid(t, "query A($a: Int) { count(x: 1)\n no }\nfragment F on Tool { id @no }"));
  assert_int_equal(t->errors.n, 5);
  for (size_t i = 1; i < t->errors.n; i++) {
    const struct graphql_pos *a = t->errors.list[i - 1].locations, *b = t->errors.list[i].locations;
    assert_true(a->line < b->line || (a->line == b->line && a->column <= b->column));
  }
}

static void what_is_not_offered_is_refused(void **state) {
  struct test *t = *state;

  assert_false(valid(t, "subscription { a }"));
  assert_error(t, "OperationRootType", "Subscriptions are not offered here");
  assert_false(valid(t, "{ take(text: \"a\\u0000b\") }"));
  assert_error(t, "ValuesOfCorrectType", "String cannot hold the character U+0000.");
  assert_false(valid(t, "{ take(float: 1e400) }"));
  assert_error(t, "ValuesOfCorrectType", "Float cannot represent non numeric value: 1e400");
}

/* ---- values ---- */

static const struct json *variables_of(struct test *t, const char *document, const char *given) {
  const struct json *values;
  struct err e;

  if (!valid(t, document)) fail_msg("%s", t->errors.list[0].message);
  err_init(&e, t->mem);
  assert_true(json_read(t->mem, given, strlen(given), 64, &values, &e));
  return coerce_variables(t->mem, NULL, t->schema, t->document->definitions, values, &t->errors);
}

static const char *written(struct test *t, const struct json *value) {
  struct str *s = str_new(t->mem, 64);

  json_write(s, value);
  return s->p;
}

static void digits_stay(void **state) {
  struct test *t = *state;
  const struct json *v =
      variables_of(t,
                   "query ($a: Int, $b: Float, $c: ID, $d: BigInt, $e: Decimal, $f: Decimal, $g: Any) {"
                   " x: take(int: $a, float: $b, id: $c, big: $d, decimal: $e) y: take(decimal: $f, any: $g) }",
                   "{\"a\": 1.20e1, \"b\": 1.10, \"c\": 12345678901234567890123, \"d\": 9.2e3,"
                   " \"e\": 0.10000000000000000000000001, \"f\": \"1.10\", \"g\": [1.00, {\"x\": -0}]}");

  assert_string_equal(written(t, v), "{\"a\":12,\"b\":1.10,\"c\":\"12345678901234567890123\",\"d\":9200,"
                                     "\"e\":0.10000000000000000000000001,\"f\":\"1.10\",\"g\":[1.00,{\"x\":-0}]}");
}

static void whole_numbers_are_whole(void **state) {
  static const struct {
    const char *given, *made;
  } cases[] = {
      {"0", "0"},
      {"-0", "0"},
      {"-0.0e5", "0"},
      {"1e0", "1"},
      {"100e-2", "1"},
      {"-1.50e1", "-15"},
      {"0.0e9", "0"},
      {"0e-5", "0"},
      {"2147483647.0", "2147483647"},
      {"-2147483648", "-2147483648"},
      {"0.5e1", "5"},
      {"2147483648", NULL},
      {"1e10", NULL},
      {"0.5", NULL},
      {"15e-1", NULL},
      {"1e-1", NULL},
      {"1e999999999", NULL},
      {"1e-999999999", NULL},
      {"0.05e1", NULL},
  };
  struct test *t = *state;

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *given = arena_printf(t->mem, "{\"a\": %s}", cases[i].given);
    const struct json *v = variables_of(t, "query ($a: Int!) { take(int: $a) }", given);
    if (!v != !cases[i].made) fail_msg("%s", cases[i].given);
    if (v) assert_string_equal(v->items[0].text, cases[i].made);
  }
}

static void wrong_values_have_their_path(void **state) {
  struct test *t = *state;

  assert_null(variables_of(t, "query ($in: In) { take(in: $in) }",
                           "{\"in\": {\"need\": 1, \"list\": [{\"need\": 2}, {\"need\": \"x\"}]}}"));
  assert_error(t, NULL,
               "Variable \"$in\" got invalid value \"x\" at \"in.list[1].need\"; "
               "Int cannot represent non-integer value: \"x\"");
  assert_null(variables_of(t, "query ($in: In) { take(in: $in) }", "{\"in\": {\"need\": 1, \"list\": {\"nee\": 2}}}"));
  assert_error(t, NULL, "at \"in.list\"; Field \"need\" of required type \"Int!\" was not provided.");
  assert_int_equal(t->errors.n, 2);
  assert_null(variables_of(t, "query ($in: In!) { take(in: $in) }", "{}"));
  assert_error(t, NULL, "Variable \"$in\" of required type \"In!\" was not provided.");
  assert_null(variables_of(t, "query ($in: In!) { take(in: $in) }", "{\"in\": null}"));
  assert_error(t, NULL, "Variable \"$in\" of non-null type \"In!\" must not be null.");
}

static void variable_errors_are_bounded(void **state) {
  struct test *t = *state;
  struct str *given = str_new(t->mem, 65536);

  str_add(given, "{\"a\": [true");
  for (int i = 0; i < 20000; i++) str_add(given, ", true");
  str_add(given, "]}");
  assert_null(variables_of(t, "query ($a: [Int]) { take(ints: $a) }", given->p));
  assert_int_equal(t->errors.n, GQL_ERRORS_MAX + 1);
}

/* Each error shows the value that it is in: its beginning, or 50 errors would take 50 times the request. */
static void wrong_values_are_shown_in_part(void **state) {
  struct test *t = *state;
  struct str *given = str_new(t->mem, 1 << 20);
  size_t before;

  str_add(given, "{\"in\": {\"need\": 1, \"text\": \"");
  for (int i = 0; i < 1000; i++) str_add(given, "ö");
  str_add(given, "\"");
  for (int i = 0; i < 50000; i++) str_printf(given, ", \"field%d\": [%d, {}]", i, i);
  str_add(given, "}}");
  before = talloc_total_size(t->mem);
  assert_null(variables_of(t, "query ($in: In) { take(in: $in) }", given->p));
  assert_int_equal(t->errors.n, GQL_ERRORS_MAX + 1);
  assert_in_range(talloc_total_size(t->mem) - before, 0, 30 * given->len);
  assert_non_null(strstr(t->errors.list[0].message, "got invalid value {\"need\":1,\"text\":\"öö"));
  assert_non_null(strstr(t->errors.list[0].message, "ö...; Field \"field0\" is not defined by type \"In\""));
}

static const struct json *argument(struct test *t, const char *name, const char *document, const char *given) {
  const struct json *variables = variables_of(t, document, given);
  const struct gql_field *field = schema_field(t->schema->query, "take");
  const struct graphql_selection *node = t->document->definitions->selections;

  assert_non_null(variables);
  return coerce_argument(t->mem, t->schema, schema_input(field->args, field->nargs, name),
                         node->arguments ? node->arguments->value : NULL, node->pos, variables, &t->errors);
}

static void single_values_become_lists(void **state) {
  struct test *t = *state;

  assert_string_equal(written(t, argument(t, "ints", "query ($a: [Int]) { take(ints: $a) }", "{\"a\": 1.0}")), "[1]");
  assert_string_equal(written(t, argument(t, "ints", "{ take(ints: 1) }", "{}")), "[1]");
  assert_string_equal(written(t, argument(t, "in", "query ($a: In) { take(in: $a) }",
                                          "{\"a\": {\"need\": 1, \"text\": null, \"list\": {\"need\": 2}}}")),
                      "{\"need\":1,\"text\":null,\"list\":[{\"need\":2,\"text\":\"t\"}]}");
}

static void variables_are_found_by_name(void **state) {
  struct test *t = *state;

  assert_string_equal(
      written(t, argument(t, "ints", "query ($c: Int, $a: Int, $b: Int, $aa: Int) { take(ints: [$a, $aa, $b, $c]) }",
                          "{\"b\": 2, \"c\": 3, \"x\": 0, \"aa\": 11, \"a\": 1}")),
      "[1,11,2,3]");
}

static void absent_is_not_null(void **state) {
  struct test *t = *state;

  assert_null(argument(t, "int", "query ($a: Int) { take(int: $a) }", "{}"));
  assert_int_equal(t->errors.n, 0);
  assert_int_equal(argument(t, "int", "query ($a: Int) { take(int: $a) }", "{\"a\": null}")->kind, JSON_NULL);
  assert_string_equal(written(t, argument(t, "need", "query ($a: Int) { take(need: $a) }", "{}")), "3");
  assert_null(argument(t, "need", "query ($a: Int) { take(need: $a) }", "{\"a\": null}"));
  assert_error(t, NULL, "Variable \"$a\" must not be null here, where \"Int!\" is expected.");
  assert_string_equal(written(t, argument(t, "in", "query ($a: String) { take(in: {need: 1, text: $a}) }", "{}")),
                      "{\"need\":1,\"text\":\"t\"}");
  assert_string_equal(written(t, argument(t, "in", "query ($a: String) { take(in: {need: 1, text: $a}) }", "{\"a\": null}")),
                      "{\"need\":1,\"text\":null}");
  assert_string_equal(written(t, argument(t, "ints", "query ($a: Int) { take(ints: [1, $a]) }", "{}")), "[1,null]");
  assert_string_equal(written(t, argument(t, "json", "{ take(json: \"{\\\"a\\\": 1.0}\") }", "{}")), "{\"a\":1.0}");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(depth_is_limited),
      TEST(nodes_are_limited),
      TEST(aliases_are_limited),
      TEST(complexity_is_limited),
      TEST(every_operation_is_limited),
      TEST(circles_are_not_measured),
      TEST(bombs_are_measured),
      TEST(errors_are_bounded),
      TEST(places_are_bounded),
      TEST(quotes_are_bounded),
      TEST(many_variables_are_taken),
      TEST(work_is_bounded),
      TEST(chains_are_walked),
      TEST(hints_are_given),
      TEST(errors_are_in_order_of_places),
      TEST(what_is_not_offered_is_refused),
      TEST(digits_stay),
      TEST(whole_numbers_are_whole),
      TEST(wrong_values_have_their_path),
      TEST(variable_errors_are_bounded),
      TEST(wrong_values_are_shown_in_part),
      TEST(single_values_become_lists),
      TEST(variables_are_found_by_name),
      TEST(absent_is_not_null),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
