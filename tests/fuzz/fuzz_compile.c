/* Fuzz target: a valid GraphQL document is kept, prepared, made a command set of with variables, and answered of some result.
 * The set has one command for each root field that is one, and is JSON; the data is JSON with a member for each root field, or
 * null with an error. Behind a NUL: JSON with variables; behind another: JSON that all commands gave. */
#include "base/arena.h"
#include "base/problems.h"
#include "base/str.h"
#include "commands/caller.h"
#include "documents/answer.h"
#include "documents/coerce.h"
#include "documents/validate.h"
#include "graphql/parse.h"
#include "manifest/manifest.h"
#include "model/model.h"
#include "schema/schema.h"
#include "tests/fuzz/demand.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char sdl[] =
    "scalar Json scalar BigInt scalar UUID directive @state(id: UUID) on FIELD enum Mood { GOOD BAD }\n"
    "interface Named { name(short: Boolean = false): String! }\n"
    "type A implements Named { id: ID! name(short: Boolean = false): String! a: A! b: B list: [A!]! size: Int mood: Mood }\n"
    "type B implements Named { name(short: Boolean = false): String! a(first: Int, where: I): [A!] big: BigInt json: Json }\n"
    "union U = A | B\n"
    "input I { need: Int! with: Int = 1 in: [I!] mood: Mood json: Json }\n"
    "type Query { a(where: I): A as(first: Int = 3): [A!]! named: [Named] u(json: Json): U one: Int! }\n"
    "type Mutation { m(in: I!, ins: [I!]): A! n: B done: Boolean! }\n";

static const struct model any_model;
static struct argument select_argument = {.name = "select"};
static struct command of_model = {
    .name = "of_model", .kind = COMMAND_MUTATION, .model = &any_model, .args = &select_argument, .nargs = 1};
static struct command of_file = {.name = "of_file", .kind = COMMAND_SQL};
static struct command set = {.name = "transactional_command_set", .kind = COMMAND_TRANSACTIONAL_SET};

/* Fields of objects of type A are a model's, whose results come by selection; the others are not. */
static void give_commands(const struct gql_type *root) {
  for (size_t i = 0; i < root->nfields; i++)
    ((struct gql_field *)root->fields)[i].command =
        strcmp(gql_named(root->fields[i].type)->name, "A") == 0 ? &of_model : &of_file;
}

static const struct schema *make_schema(void *process) {
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
  give_commands(schema->query);
  give_commands(schema->mutation);
  return schema;
}

/* In which only the set is found: every bucket leads to it. */
static const struct manifest *make_manifest(void) {
  static const struct command *commands[] = {&set};
  static const unsigned buckets[] = {1};
  static const struct manifest manifest = {.commands = commands, .ncommands = 1, .buckets = buckets, .nbuckets = 1};

  return &manifest;
}

struct result {
  const char *text;
  size_t len;
};

static void give_result(void *data, size_t index, const char **text, size_t *len) {
  const struct result *result = data;

  (void)index;
  *text = result->text;
  *len = result->len;
}

static const struct json *demand_json(void *mem, const char *text, size_t len) {
  const struct json *value;
  struct err e;

  err_init(&e, mem);
  demand(json_read(mem, text, len, 1000, &value, &e));
  return value;
}

static void answer(void *mem, const struct operation_call *call, struct result *result, bool foreign) {
  struct field_errors errors = {0};
  struct str *out = str_new(mem, 256);
  const struct json *data;
  struct err e;

  err_init(&e, mem);
  demand(answer_data(mem, call, give_result, result, foreign, out, &errors, &e));
  data = demand_json(mem, out->p, out->len);
  demand(errors.n <= FIELD_ERRORS_MAX);
  if (data->kind == JSON_NULL) demand(errors.n > 0);
  else demand(data->kind == JSON_OBJECT && data->len == call->nroots);
  for (size_t i = 0; i < errors.n; i++)
    demand(demand_json(mem, errors.list[i].path, strlen(errors.list[i].path))->kind == JSON_ARRAY);
}

static void demand_set(void *mem, const struct operation_call *call) {
  struct str *s = str_new(mem, 256);
  size_t commands = 0;

  for (size_t i = 0; i < call->nroots; i++) commands += call->roots[i].kind == ROOT_COMMAND;
  demand(commands == call->ncommands);
  if (!commands) return;
  json_write(s, call->args);
  demand_json(mem, s->p, s->len);
  if (commands == 1 && !call->states[0].mutation) demand(call->command == &of_model || call->command == &of_file);
  else demand(call->command == &set && json_get(call->args, "commands")->len == commands);
}

static void run(void *mem, const struct document *document, const struct prepared *operation, const struct json *given,
                struct result *result) {
  struct gql_errors errors = {.mem = mem};
  const struct json *variables = coerce_variables(mem, NULL, document->schema, operation->definition, given, &errors);
  struct operation_call call;

  if (!variables) return;
  if (!operation_compile(mem, document, operation, variables, &call, &errors)) {
    demand(errors.n > 0);
    return;
  }
  demand(errors.n == 0);
  if (!states_differ(&call, NULL, &errors)) return;
  operation_set(mem, make_manifest(), &call);
  demand_set(mem, &call);
  answer(mem, &call, result, true);
  answer(mem, &call, &(struct result){"{}", 2}, false);
}

/* The next piece of the input, up to a NUL. */
static struct result cut(const char **p, size_t *left) {
  const char *nul = memchr(*p, 0, *left);
  struct result piece = {*p, nul ? (size_t)(nul - *p) : *left};

  *left -= nul ? piece.len + 1 : piece.len;
  *p += nul ? piece.len + 1 : piece.len;
  return piece;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const struct documents_limits limits = {
      .document = {.depth = 12, .nodes = 300, .aliases = 100, .complexity = 100000}, .documents = 4, .bytes = 1 << 20};
  static const struct caller caller = {.role = "anyone", .inside = true};
  static const unsigned char hash[DIGEST_BYTES];
  static struct documents *documents;
  static void *process;
  const char *p = (const char *)data;
  struct result text = cut(&p, &size), variables = cut(&p, &size), result = cut(&p, &size);
  void *mem = arena_request(NULL);
  struct gql_errors errors = {.mem = mem};
  const struct json *given = NULL, *value;
  const struct document *document;
  struct err e;

  err_init(&e, mem);
  if (!process) {
    process = talloc_named_const(NULL, 0, "fuzz_compile");
    documents = documents_new(process, make_schema(process), &limits);
  }
  if (!result.len || !json_read(mem, result.text, result.len, 64, &value, &e)) result = (struct result){"null", 4};
  document = documents_add(documents, mem, &caller, hash, text.text, text.len, &errors);
  demand(!document == (errors.n > 0));
  if (document && (!variables.len || json_read(mem, variables.text, variables.len, 64, &given, &e)))
    for (size_t i = 0; i < document->noperations; i++) run(mem, document, &document->operations[i], given, &result);
  talloc_free(mem);
  return 0;
}
