/* Fuzz target: inputs of mutations over a data model, read and compiled. Whatever comes, it is refused as the caller's mistake
 * with its place, or becomes statements each of which is one statement: quotes and parentheses are closed, nothing of the input
 * stands outside of quotes, and each has as many parameters as are given. (That PostgreSQL takes them is shown by
 * tests/system/test_nested.py and test_nested_rules.py.) The models have rules: permissions, fields, presets, limits. The input
 * is a JSON object of arguments: data, where, create, update, select. A text "$r" in it stands for a reference to an earlier
 * result. */
#include "base/arena.h"
#include "base/json.h"
#include "base/problems.h"
#include "commands/caller.h"
#include "commands/nested_uses.h"
#include "manifest/config.h"
#include "manifest/manifest.h"
#include "model/read.h"
#include "nested/nested.h"
#include "tests/fuzz/statement.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char model_text[] =
    "enum Colour { RED GREEN @db(name: \"dark 'green'\") }\n"
    "type User { id: ID! @id  email: String @unique  age: Int  tags: [String]  colour: Colour @default(value: RED)  data: Json\n"
    "  born: DateTime  token: UUID @unique  at: DateTime! @createdAt  changed: DateTime! @updatedAt\n"
    "  boss: User @relation(name: \"Boss\")  staff: [User] @relation(name: \"Boss\")  friends: [User] @relation(name: \"F\")\n"
    "  posts: [Post]  lines: [Line]  card: Card! @relation(link: INLINE) }\n"
    "type Post { id: Int! @id  title: String! @unique  owner: String  author: User  comments: [Comment] "
    "@relation(onDelete: CASCADE) }\n"
    "type Comment { id: UUID! @id  text: String! @unique  post: Post! }\n"
    "type Card { id: ID! @id  no: String! @unique  user: User }\n"
    "type Order { id: ID! @id  lines: [Line] }\n"
    "type Line @id(fields: [\"order\", \"no\"]) { order: Order!  no: Int!  note: String  user: User @relation(link: TABLE) }\n";

static const char manifest_text[] =
    "specVersion: 1\n"
    "models:\n"
    "  User:\n"
    "    fields: { email: { write: [admin] } }\n"
    "    create: { allow: [a], permissions: { before: { x: \":data is not null\" }, after: { y: \":result is not null\" } } }\n"
    "    update: { allow: [a], permissions: { before: { x: \"exists (select from t where id = :where ->> 'id')\" } } }\n"
    "    upsert: { allow: [a], permissions: { after: { y: \":result is not null\" } } }\n"
    "  Post:\n"
    "    presets: { create: { owner: $user }, update: { owner: $claims.sub } }\n"
    "    create: { allow: [a], mutex: \"p:$args.data.title\" }\n"
    "    update: { allow: [a], permissions: { after: { y: \":result is not null and :claims is not null\" } } }\n"
    "    updateMany: { allow: [a], max_affected: 2, permissions: { before: { x: \":where is null\" }, after: { y: \":role = :user\" } } }\n"
    "    deleteMany: { allow: [a], max_affected: 2 }\n"
    "    delete: { allow: [a], permissions: { before: { x: \":where is not null\" }, after: { y: \"true\" } } }\n"
    "  Comment: { create: { allow: [a], permissions: { after: { y: \"select :result is not null\" } } } }\n"
    "  Line: { update: { allow: [a], permissions: { before: { x: \":where is not null\" } } }, create: { allow: [a] } }\n"
    "commands: {}\n";

static const struct config config = {
    .manifest = "m", .max_rows = 10, .max_result_bytes = 1000, .max_depth = 32, .max_commands = 100};

static void demand_mistake(const struct err *e) {
  demand(e->code == ERR_BAD_ARGUMENT || e->code == ERR_TOO_LARGE || e->code == ERR_FORBIDDEN);
  demand(e->message && *e->message);
}

/* ---- the request ---- */

static bool note(void *data, const struct command *c, const struct expr **args, const char *path) {
  (void)data;
  for (size_t i = 0; i < c->nargs; i++) demand(args[i] || c->args[i].fallback);
  demand(path != NULL);
  return true;
}

static void compile(void *mem, const struct manifest *manifest, const char *name, const struct json *root, bool inside) {
  const struct command *command = manifest_command(manifest, name);
  const struct caller caller = {.role = "a", .user = inside ? NULL : "u", .inside = inside};
  struct command earlier_command = {.name = "earlier"};
  struct node earlier = {.command = &earlier_command, .slot = 1};
  const struct expr **args = arena_array(mem, const struct expr *, command->nargs + 1);
  struct node node = {.command = command, .args = args}, *nodes = &node;
  struct command_set set = {.nodes = &nodes, .nnodes = 1};
  struct shape *shapes = arena_array(mem, struct shape, manifest->ncommands);
  struct compiler k = {.mem = mem,
                       .config = &config,
                       .manifest = manifest,
                       .caller = &caller,
                       .shapes = shapes,
                       .variants = variants_new(mem)};
  static const char *const verbs[] = {"select ", "insert ", "update ", "delete ", "with ", "set constraints all ", NULL};
  struct plan plan = {0};
  struct err e;

  for (size_t i = 0; i < manifest->ncommands; i++) shapes[i].d.ok = true;
  for (size_t i = 0; i < command->nargs; i++)
    if (json_get(root, command->args[i].name)) {
      args[i] = with_references(mem, json_get(root, command->args[i].name), &earlier);
      ((struct expr *)args[i])->argument = command->args[i].name;
    }
  demand(nested_uses(mem, manifest, command, args, note, NULL));
  err_init(&e, mem);
  if (nested_compile(&k, &set, 0, &plan, &e) && nested_end(&k, &set, 0, &plan, &e))
    for (size_t i = 0; i < plan.n; i++) demand_statement(&plan.steps[i], verbs);
  else demand_mistake(&e);
}

static const struct manifest *read_manifest(void) {
  static struct datasource sources[] = {{.name = "main", .conninfo = "x"}};
  static struct config reading;
  void *process = talloc_named_const(NULL, 0, "fuzz_nested");
  struct problems problems;
  struct manifest *out;

  reading = config;
  reading.datasources = sources;
  reading.ndatasources = 1;
  problems_init(&problems, process);
  out = manifest_read_over(process, &reading, model_read(process, "fuzz", model_text, strlen(model_text), NULL, &problems),
                           manifest_text, strlen(manifest_text), &problems);
  if (!out) problems_print(&problems);
  demand(out != NULL);
  return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const names[] = {"createUser",      "updateUser",  "upsertUser",    "deleteUser", "updateManyUsers",
                                      "deleteManyUsers", "createPost",  "updatePost",    "upsertPost", "createLine",
                                      "updateLine",      "updateOrder", "createComment", "updateCard"};
  static const struct manifest *manifest;
  void *mem = arena_request(NULL);
  const struct json *root;
  struct err e;

  if (!manifest) manifest = read_manifest();
  err_init(&e, mem);
  if (json_read(mem, (const char *)data, size, (unsigned)config.max_depth, &root, &e) && root->kind == JSON_OBJECT)
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
      compile(mem, manifest, names[i], root, false);
      compile(mem, manifest, names[i], root, true);
    }
  talloc_free(mem);
  return 0;
}
