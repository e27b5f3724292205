/* Fuzz target: arguments of queries over a data model, compiled. Whatever comes, it is refused as the caller's mistake
 * with its place, or becomes a statement that is one statement: quotes and parentheses are closed, nothing of the input
 * stands outside of quotes, and it has as many parameters as are given. (That PostgreSQL takes it is shown by
 * tests/system/test_queries_by_chance.py.) The input is a JSON object of arguments of `users`, or else GraphQL text for `select`.
 * A text "$r" in it stands for a reference to an earlier result. */
#include "base/arena.h"
#include "base/json.h"
#include "base/problems.h"
#include "manifest/config.h"
#include "manifest/manifest.h"
#include "model/read.h"
#include "query/query.h"
#include "tests/fuzz/statement.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char model_text[] =
    "enum Colour { RED GREEN @db(name: \"dark 'green'\") }\n"
    "type User { id: ID! @id  email: String @unique  age: Int  big: BigInt  score: Float  price: Decimal  active: Boolean\n"
    "  born: DateTime  data: Json  token: UUID @unique  colour: Colour  tags: [String]  colours: [Colour]  times: "
    "[DateTime]\n"
    "  boss: User @relation(name: \"Boss\")  staff: [User] @relation(name: \"Boss\")  friends: [User] @relation(name: "
    "\"F\")\n"
    "  lines: [Line] }\n"
    "type Order { id: ID! @id  lines: [Line] }\n"
    "type Line @id(fields: [\"order\", \"no\"]) { order: Order!  no: Int!  note: String  user: User @relation(link: TABLE) "
    "}\n";

static const struct config config = {.max_rows = 10, .max_result_bytes = 1000, .max_depth = 32};

static void demand_mistake(const struct err *e) {
  demand(e->code == ERR_BAD_ARGUMENT || e->code == ERR_TOO_LARGE);
  demand(e->message && *e->message);
  demand(e->code == ERR_TOO_LARGE || (e->path && e->path[0] == '/'));
}

/* ---- the request ---- */

static struct argument args[] = {{.name = "where"}, {.name = "orderBy"}, {.name = "skip"},   {.name = "first"},
                                 {.name = "last"},  {.name = "after"},   {.name = "before"}, {.name = "select"}};
enum { NARGS = sizeof args / sizeof *args, SELECT = NARGS - 1 };

static void compile(void *mem, enum operation operation, const struct model *model, const struct expr **values,
                    unsigned slot) {
  struct command command = {
      .name = "users", .kind = COMMAND_QUERY, .model = model, .operation = operation, .args = args, .nargs = NARGS};
  struct node node = {.command = &command, .args = values, .slot = slot}, *nodes = &node;
  struct command_set set = {.nodes = &nodes, .nnodes = 1};
  struct compiler k = {.mem = mem, .config = &config, .variants = variants_new(mem)};
  static const char *const verbs[] = {"select ", NULL};
  struct plan plan = {0};
  struct err e;

  err_init(&e, mem);
  if (query_compile(&k, &set, 0, &plan, &e)) demand_statement(&plan.steps[node.step], verbs);
  else demand_mistake(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const struct datamodel *model;
  void *mem = arena_request(NULL);
  const struct expr *values[NARGS] = {NULL};
  struct command earlier_command = {.name = "earlier"};
  struct node earlier = {.command = &earlier_command, .slot = 1};
  const struct json *root;
  struct err e;

  if (!model) {
    void *process = talloc_named_const(NULL, 0, "fuzz_select");
    struct problems problems;

    problems_init(&problems, process);
    model = model_read(process, "fuzz", model_text, strlen(model_text), NULL, &problems);
    demand(model != NULL);
  }
  err_init(&e, mem);
  if (json_read(mem, (const char *)data, size, (unsigned)config.max_depth, &root, &e) && root->kind == JSON_OBJECT) {
    for (size_t i = 0; i < NARGS; i++)
      if (json_get(root, args[i].name)) values[i] = with_references(mem, json_get(root, args[i].name), &earlier);
  } else {
    struct json *text = arena_new(mem, struct json);
    *text = (struct json){.kind = JSON_STRING, .text = arena_strndup(mem, (const char *)data, size)};
    text->len = strlen(text->text);
    values[SELECT] = expr_literal(mem, text);
  }
  compile(mem, OPERATION_MANY, model_find(model, "User"), values, 0);
  compile(mem, OPERATION_ONE, model_find(model, "User"), values, 1);
  compile(mem, OPERATION_MANY, model_find(model, "Line"), values, 2);
  compile(mem, OPERATION_CONNECTION, model_find(model, "User"), values, 3);
  compile(mem, OPERATION_CONNECTION, model_find(model, "Line"), values, 0);
  talloc_free(mem);
  return 0;
}
