/* Fuzz target: a GraphQL document is parsed, validated, measured, and its values are coerced. What is refused has errors
 * with places within the text, not more than there may be; what is valid gives values that are JSON. Behind a NUL: JSON
 * with variables. */
#include "base/arena.h"
#include "base/problems.h"
#include "base/str.h"
#include "documents/coerce.h"
#include "documents/validate.h"
#include "graphql/parse.h"
#include "tests/fuzz/demand.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char sdl[] =
    "directive @note(text: String) repeatable on QUERY | FIELD | VARIABLE_DEFINITION\n"
    "directive @once(n: Int! = 1) on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT | FRAGMENT_DEFINITION\n"
    "scalar Tick scalar DateTime scalar Json scalar BigInt scalar Decimal scalar UUID\n"
    "enum Unit { GRAM POUND }\n"
    "interface Node { id: ID! } interface Named implements Node { id: ID! name(short: Boolean = false): String! }\n"
    "type A implements Node & Named { id: ID! name(short: Boolean = false): String! a: A! b: B list: [A!]! size: Int! }\n"
    "type B implements Node { id: ID! a: A b: B! list: [[B]] size: String u: U n: Node }\n"
    "union U = A | B\n"
    "input I { need: Int! with: Int! = 1 text: String unit: Unit list: [I!] in: I tick: Tick at: DateTime json: Json }\n"
    "type Query { a: A b: B u: U! us: [U] n(id: ID!): Node\n"
    "  e(i: Int f: Float t: String b: Boolean id: ID u: Unit us: [Unit!] g: [[Int!]] in: I = {need: 3} big: BigInt\n"
    "    dec: Decimal at: DateTime json: Json uuid: UUID tick: Tick): Int }\n"
    "type Mutation { m(in: I!, ins: [I!]): A }\n";

static const struct schema *make_schema(void) {
  void *process = talloc_named_const(NULL, 0, "fuzz_document");
  const struct graphql_document *document;
  const struct schema *schema;
  struct problems problems;
  struct err e;

  err_init(&e, process);
  problems_init(&problems, process);
  demand(graphql_parse_schema(process, sdl, strlen(sdl), &graphql_limits_default, &document, &e));
  schema = schema_read(process, "fuzz", document, &problems);
  problems_print(&problems);
  demand(schema != NULL);
  return schema;
}

static void demand_errors(const struct gql_errors *errors, size_t size) {
  demand(errors->n <= GQL_ERRORS_MAX + 1);
  for (size_t i = 0; i < errors->n; i++) {
    const struct gql_error *e = &errors->list[i];
    demand(e->message && *e->message && strlen(e->message) < 4000 && e->nlocations <= GQL_LOCATIONS_MAX);
    for (size_t j = 0; j < e->nlocations; j++)
      demand(e->locations[j].line > 0 && e->locations[j].column > 0 && e->locations[j].line <= size + 1);
  }
}

static void demand_json(void *mem, const struct json *value) {
  struct str *s = str_new(mem, 64);
  const struct json *again;
  struct err e;

  err_init(&e, mem);
  json_write(s, value);
  demand(json_read(mem, s->p, s->len, 400, &again, &e) || e.code == ERR_TOO_LARGE);
}

static void coerce(void *mem, const struct schema *schema, const struct graphql_definition *operation, const char *text,
                   size_t size, size_t document_size) {
  const struct gql_type *root = operation->operation == GRAPHQL_QUERY ? schema->query : schema->mutation;
  struct gql_errors errors = {.mem = mem};
  const struct json *given = NULL, *variables;
  struct err e;

  err_init(&e, mem);
  if (size && !json_read(mem, text, size, 64, &given, &e)) return;
  variables = coerce_variables(mem, NULL, schema, operation, given, &errors);
  demand_errors(&errors, document_size);
  demand(!variables == (errors.n > 0));
  if (!variables) return;
  demand_json(mem, variables);
  for (size_t i = 0; i < variables->len; i++) demand(coerced(variables, variables->keys[i]) == &variables->items[i]);
  for (const struct graphql_selection *node = operation->selections; node; node = node->next) {
    const struct gql_field *field = node->kind == GRAPHQL_FIELD ? schema_field(root, node->name) : NULL;
    for (const struct graphql_argument *a = field ? node->arguments : NULL; a; a = a->next) {
      const struct gql_input *input = schema_input(field->args, field->nargs, a->name);
      size_t before = errors.n;
      const struct json *value = coerce_argument(mem, schema, input, a->value, node->pos, variables, &errors);
      if (value) demand_json(mem, value);
      demand(!value || errors.n == before);
    }
  }
  demand_errors(&errors, document_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const struct document_limits limits = {.depth = 20, .nodes = 1000, .aliases = 100, .complexity = 100000};
  static const struct schema *schema;
  const uint8_t *nul = memchr(data, 0, size);
  size_t len = nul ? (size_t)(nul - data) : size;
  const char *text = (const char *)data;
  const struct graphql_document *document;
  void *mem = arena_request(NULL);
  struct gql_errors errors = {.mem = mem}, limited = {.mem = mem};
  struct err e;

  if (!schema) schema = make_schema();
  err_init(&e, mem);
  if (graphql_parse(mem, text, len, &graphql_limits_default, &document, &e)) {
    bool valid = document_validate(mem, NULL, schema, document, NULL, &errors);
    bool within = document_validate(mem, NULL, schema, document, &limits, &limited);
    demand(valid == (errors.n == 0) && within == (limited.n == 0) && (valid || !within));
    demand_errors(&errors, len);
    demand_errors(&limited, len);
    for (const struct graphql_definition *d = valid ? document->definitions : NULL; d; d = d->next)
      if (d->kind == GRAPHQL_DEF_OPERATION) coerce(mem, schema, d, nul ? text + len + 1 : "", nul ? size - len - 1 : 0, len);
  }
  talloc_free(mem);
  return 0;
}
