/* The manifest: what is read from it, and each thing that is refused, with its line. */
#include "base/arena.h"
#include "base/json.h"
#include "base/problems.h"
#include "base/str.h"
#include "manifest/config.h"
#include "manifest/manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct datasource sources[] = {{.name = "main", .conninfo = "x"}, {.name = "other", .conninfo = "y"}};
static struct config config = {.manifest = "m.yaml", .datasources = sources, .ndatasources = 2};

struct fixture {
  void *mem;
  struct problems problems;
};

static int setup(void **state) {
  struct fixture *f = test_calloc(1, sizeof *f);
  f->mem = arena_request(NULL);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  talloc_free(f->mem);
  test_free(f);
  return 0;
}

static const struct manifest *read_text(struct fixture *f, const char *text) {
  problems_init(&f->problems, f->mem);
  return manifest_read(f->mem, &config, text, strlen(text), &f->problems);
}

static const struct manifest *must_read(struct fixture *f, const char *text) {
  const struct manifest *m = read_text(f, text);
  if (!m) problems_print(&f->problems);
  assert_non_null(m);
  assert_int_equal(f->problems.n, 0);
  return m;
}

static const struct command *must_find(const struct manifest *m, const char *name) {
  const struct command *c = manifest_command(m, name);
  assert_non_null(c);
  assert_string_equal(c->name, name);
  assert_ptr_equal(m->commands[c->id], c);
  return c;
}

static const char *as_text(struct fixture *f, const struct json *json) {
  struct str *out = str_new(f->mem, 32);
  json_write(out, json);
  return out->p;
}

/* The example of the guide. */
static const char example[] =
    "specVersion: 1\n"
    "commands:\n"
    "  unique_username:\n"
    "    check: select not exists (select from app_user where username = :username)\n"
    "    error: { code: USERNAME_TAKEN, status: 409, message: That username is taken. }\n"
    "  add_user:\n"
    "    sql: insert into app_user (username, email) values (:username, :email) returning id, username\n"
    "    returns: one\n"
    "  create_user:\n"
    "    allow: [anonymous]\n"
    "    args: { username: text, email: { type: text, default: null } }\n"
    "    commands:\n"
    "      - unique_username: { username: $args.username }\n"
    "      - add_user: { username: $args.username, email: $args.email }\n"
    "        as: user\n"
    "    result: $user\n"
    "constraints:\n"
    "  app_user_username_key: { code: USERNAME_TAKEN, message: That username is taken. }\n"
    "  pet_owner_fkey: { code: NO_SUCH_USER, status: 404, message: There is no such user. }\n"
    "roles: { anonymous: web_anonymous, member: web_user }\n";

static void test_example(void **state) {
  struct fixture *f = *state;
  const struct manifest *m = must_read(f, example);

  assert_string_equal(m->file, "m.yaml");
  assert_int_equal(m->ncommands, 6);
  assert_true(must_find(m, "dispatch_event")->nallow == 0);
  assert_int_equal(m->commands[0]->kind, COMMAND_TRANSACTIONAL_SET);
  assert_string_equal(m->commands[0]->name, "transactional_command_set");
  assert_int_equal(m->commands[1]->kind, COMMAND_EXECUTE_SET);
  assert_int_equal(must_find(m, "execute_command_set")->nargs, 0);

  const struct command *c = must_find(m, "unique_username");
  assert_int_equal(c->id, 2);
  assert_int_equal(c->line, 3);
  assert_int_equal(c->kind, COMMAND_CHECK);
  assert_int_equal(c->sql.verb, SQL_SELECT);
  assert_string_equal(c->error.code, "USERNAME_TAKEN");
  assert_int_equal(c->error.status, 409);
  assert_string_equal(c->error.message, "That username is taken.");
  assert_int_equal(c->nallow, 0);
  assert_int_equal(c->nargs, 1);
  assert_string_equal(c->args[0].name, "username");
  assert_null(c->args[0].type);
  assert_null(c->args[0].fallback);
  assert_false(c->args_declared);

  c = must_find(m, "add_user");
  assert_int_equal(c->kind, COMMAND_SQL);
  assert_int_equal(c->returns, RETURNS_ONE);
  assert_int_equal(c->nargs, 2);
  assert_string_equal(c->args[1].name, "email");

  c = must_find(m, "create_user");
  assert_int_equal(c->kind, COMMAND_COMPOSITE);
  assert_int_equal(c->nallow, 1);
  assert_string_equal(c->allow[0], "anonymous");
  assert_int_equal(c->nargs, 2);
  assert_string_equal(c->args[1].name, "email");
  assert_string_equal(c->args[1].type, "text");
  assert_int_equal(c->args[1].fallback->kind, JSON_NULL);
  assert_null(c->args[0].fallback);
  assert_int_equal(c->nmembers, 2);
  assert_ptr_equal(c->members[0].command, must_find(m, "unique_username"));
  assert_null(c->members[0].as);
  assert_int_equal(c->members[0].args->kind, TEMPLATE_OBJECT);
  assert_int_equal(c->members[0].args->n, 1);
  assert_string_equal(c->members[0].args->keys[0], "username");
  assert_int_equal(c->members[0].args->items[0].kind, TEMPLATE_ARGS);
  assert_int_equal(c->members[0].args->items[0].argument, 0);
  assert_int_equal(c->members[0].args->items[0].npath, 0);
  assert_string_equal(c->members[1].as, "user");
  assert_int_equal(c->members[1].line, 14);
  assert_int_equal(c->members[1].args->items[1].argument, 1);
  assert_int_equal(c->result->kind, TEMPLATE_RESULT);
  assert_int_equal(c->result->member, 1);
  assert_int_equal(c->result->npath, 0);
  assert_int_equal(c->isolation, ISOLATION_DEFAULT);

  assert_null(manifest_command(m, "drop_user"));
  assert_null(manifest_command(m, ""));
}

static void test_constraints_and_roles(void **state) {
  const struct manifest *m = must_read(*state, example);
  const char *role = "unset";

  const struct own_error *e = manifest_constraint(m, "app_user_username_key");
  assert_string_equal(e->code, "USERNAME_TAKEN");
  assert_int_equal(e->status, 409);
  assert_string_equal(e->message, "That username is taken.");
  assert_int_equal(manifest_constraint(m, "pet_owner_fkey")->status, 404);
  assert_null(manifest_constraint(m, "other_key"));
  assert_true(manifest_role(m, "member", &role));
  assert_string_equal(role, "web_user");
  assert_false(manifest_role(m, "web_user", &role));
  assert_null(role);

  role = "unset";
  m = must_read(*state, "specVersion: 1\ncommands: { a: { sql: select 1 } }\n");
  assert_true(manifest_role(m, "anybody", &role));
  assert_null(role);
  assert_null(manifest_constraint(m, "app_user_username_key"));
}

static void test_args(void **state) {
  struct fixture *f = *state;
  const struct manifest *m = must_read(f, "specVersion: 1\n"
                                          "commands:\n"
                                          "  a:\n"
                                          "    sql: select :b, :a, :c, :d\n"
                                          "    args:\n"
                                          "      a: numeric(10,2)\n"
                                          "      b: { type: 'int[]', default: [1, 2.50, {x: '$no'}] }\n"
                                          "      c: { default: 007 }\n"
                                          "      d:\n"
                                          "  none: { sql: select 1, args: }\n"
                                          "  empty: { sql: select 1, args: {} }\n"
                                          "  quoted: { sql: 'select :x', args: { x: 'my.\"Odd Type\"' } }\n");
  const struct command *c = must_find(m, "a");

  assert_true(c->args_declared);
  assert_int_equal(c->nargs, 4);
  for (size_t i = 0; i < 4; i++) assert_string_equal(c->args[i].name, c->sql.names[i]);
  assert_string_equal(c->args[0].type, "int[]");
  assert_string_equal(as_text(f, c->args[0].fallback), "[1,2.50,{\"x\":\"$no\"}]");
  assert_int_equal(c->args[0].line, 7);
  assert_string_equal(c->args[1].type, "numeric(10,2)");
  assert_null(c->args[1].fallback);
  assert_null(c->args[2].type);
  assert_string_equal(as_text(f, c->args[2].fallback), "\"007\"");
  assert_null(c->args[3].type);
  assert_null(c->args[3].fallback);
  assert_true(must_find(m, "none")->args_declared);
  assert_int_equal(must_find(m, "empty")->nargs, 0);
}

static void test_keys_of_commands(void **state) {
  struct fixture *f = *state;
  const struct manifest *m =
      must_read(f, "specVersion: 1\n"
                   "commands:\n"
                   "  a: { sql: delete from t, returns: count, description: Removes all., datasource: other, allow: [] }\n"
                   "  b: { sql: call p(), returns: none }\n"
                   "  c: { sql: select 1, returns: optional, allow: [x, \"y\", org/team:z@example] }\n"
                   "  d: { sql: values (1), returns: many }\n"
                   "  e: { check: 'char_length(:a) > 2', error: { message: Too short. } }\n"
                   "  f: { check: 'with x as (select 1) select true from x' }\n"
                   "  always: { check: true }\n"
                   "  g: { sql: merge into t using u on true when matched then do nothing }\n"
                   "  h: { isolation: serializable, commands: [ b: ] }\n"
                   "  i: { isolation: repeatable_read, commands: [ b: {}, h: ] }\n"
                   "  j: { isolation: read_committed, datasource: other, commands: [ a: ] }\n"
                   "  k: { commands: [ j: ] }\n");

  assert_int_equal(must_find(m, "a")->returns, RETURNS_COUNT);
  assert_string_equal(must_find(m, "a")->description, "Removes all.");
  assert_int_equal(must_find(m, "a")->datasource, 1);
  assert_int_equal(must_find(m, "a")->nallow, 0);
  assert_int_equal(must_find(m, "b")->returns, RETURNS_NONE);
  assert_int_equal(must_find(m, "b")->sql.verb, SQL_CALL);
  assert_int_equal(must_find(m, "b")->datasource, 0);
  assert_int_equal(must_find(m, "c")->returns, RETURNS_OPTIONAL);
  assert_int_equal(must_find(m, "c")->nallow, 3);
  assert_string_equal(must_find(m, "c")->allow[2], "org/team:z@example");
  assert_int_equal(must_find(m, "d")->returns, RETURNS_MANY);
  assert_int_equal(must_find(m, "e")->sql.verb, SQL_EXPRESSION);
  assert_null(must_find(m, "e")->error.code);
  assert_int_equal(must_find(m, "e")->error.status, 422);
  assert_string_equal(must_find(m, "e")->error.message, "Too short.");
  assert_int_equal(must_find(m, "f")->error.status, 422);
  assert_null(must_find(m, "f")->error.message);
  assert_string_equal(must_find(m, "always")->sql.pieces[0], "true");
  assert_int_equal(must_find(m, "g")->returns, RETURNS_DEFAULT);
  assert_int_equal(must_find(m, "h")->isolation, ISOLATION_SERIALIZABLE);
  assert_int_equal(must_find(m, "h")->members[0].args->kind, TEMPLATE_OBJECT);
  assert_int_equal(must_find(m, "h")->members[0].args->n, 0);
  assert_null(must_find(m, "h")->result);
  assert_int_equal(must_find(m, "i")->isolation, ISOLATION_REPEATABLE_READ);
  assert_int_equal(must_find(m, "i")->nmembers, 2);
  assert_int_equal(must_find(m, "j")->isolation, ISOLATION_READ_COMMITTED);
  assert_int_equal(must_find(m, "j")->datasource, 1);
  assert_int_equal(must_find(m, "k")->datasource, 1); /* that of its member, which stands before it or behind */
}

#define HEAD                                                                                                                \
  "specVersion: 1\n"                                                                                                        \
  "commands:\n"                                                                                                             \
  "  one: { sql: 'select :a as a, :j as j', returns: one }\n"                                                               \
  "  many: { sql: 'select 1 as n', returns: many }\n"                                                                       \
  "  del: { sql: delete from t, returns: count }\n"                                                                         \
  "  chk: { check: ':a > 0' }\n"

static void test_templates(void **state) {
  struct fixture *f = *state;
  const struct manifest *m = must_read(
      f, HEAD "  c:\n"
              "    args: { x: , y: { default: { k: [1] } } }\n"
              "    commands:\n"
              "      - many:\n"
              "        as: m\n"
              "      - as: o\n"
              "        one: { a: $m.0.n, j: { p: [$args.x.q.0, $$args, 1.10], r: { s: [$$$, '$$$$'] }, t: a $b } }\n"
              "      - one: { a: '$$5', j: [{ k: 2 }, text] }\n"
              "    result: { user: $o, all: $m, y: $args.y.k, last: $m.10, lit: [1, { d: '$$' }] }\n");
  const struct command *c = must_find(m, "c");

  assert_string_equal(c->members[1].as, "o");
  const struct template *a = &c->members[1].args->items[0];
  assert_int_equal(a->kind, TEMPLATE_RESULT);
  assert_int_equal(a->member, 0);
  assert_int_equal(a->npath, 2);
  assert_string_equal(a->path[0], "0");
  assert_string_equal(a->path[1], "n");
  assert_int_equal(a->line, 13);

  const struct template *j = &c->members[1].args->items[1];
  assert_int_equal(j->kind, TEMPLATE_OBJECT);
  assert_int_equal(j->n, 3);
  assert_string_equal(j->keys[1], "r");
  const struct template *p = &j->items[0];
  assert_int_equal(p->kind, TEMPLATE_ARRAY);
  assert_int_equal(p->n, 3);
  assert_int_equal(p->items[0].kind, TEMPLATE_ARGS);
  assert_int_equal(p->items[0].argument, 0);
  assert_int_equal(p->items[0].npath, 2);
  assert_string_equal(p->items[0].path[1], "0");
  assert_int_equal(p->items[1].kind, TEMPLATE_LITERAL);
  assert_string_equal(as_text(f, p->items[1].literal), "\"$args\"");
  assert_string_equal(as_text(f, p->items[2].literal), "1.10");
  assert_int_equal(j->items[1].kind, TEMPLATE_LITERAL);
  assert_string_equal(as_text(f, j->items[1].literal), "{\"s\":[\"$$\",\"$$$\"]}");
  assert_string_equal(as_text(f, j->items[2].literal), "\"a $b\"");

  const struct template *literal = c->members[2].args;
  assert_int_equal(literal->kind, TEMPLATE_OBJECT); /* arguments always are */
  assert_string_equal(as_text(f, literal->items[0].literal), "\"$5\"");
  assert_int_equal(literal->items[1].kind, TEMPLATE_LITERAL);
  assert_string_equal(as_text(f, literal->items[1].literal), "[{\"k\":2},\"text\"]");

  assert_int_equal(c->result->kind, TEMPLATE_OBJECT);
  assert_int_equal(c->result->n, 5);
  assert_int_equal(c->result->items[0].member, 1);
  assert_int_equal(c->result->items[2].kind, TEMPLATE_ARGS);
  assert_int_equal(c->result->items[2].argument, 1);
  assert_int_equal(c->result->items[4].kind, TEMPLATE_LITERAL);
  assert_string_equal(as_text(f, c->result->items[4].literal), "[1,{\"d\":\"$\"}]");
}

static void test_composites_in_composites(void **state) {
  struct fixture *f = *state;
  const struct manifest *m = must_read(f, "specVersion: 1\n"
                                          "commands:\n"
                                          "  top:\n"
                                          "    args: { x: int }\n"
                                          "    commands:\n"
                                          "      - middle: { x: $args.x }\n"
                                          "        as: m\n"
                                          "      - leaf: { a: $m.id.deep }\n"
                                          "  middle:\n"
                                          "    args: { x: , y: { default: 5 } }\n"
                                          "    commands: [ leaf: { a: $args.x }, leaf: { a: $args.y } ]\n"
                                          "  leaf: { sql: 'select :a as id' }\n");
  const struct command *top = must_find(m, "top");

  assert_ptr_equal(top->members[0].command, must_find(m, "middle"));
  assert_int_equal(top->members[0].args->n, 1);
  assert_int_equal(must_find(m, "middle")->nmembers, 2);
}

static void test_mutexes(void **state) {
  struct fixture *f = *state;
  const struct manifest *m =
      must_read(f, "specVersion: 1\n"
                   "commands:\n"
                   "  one: { sql: 'select :a, :b', mutex: 'user:$args.b.c.0.$$x.', idempotency: required }\n"
                   "  two: { check: 'true', mutex: [plain, $$args.a, 'a. b'] }\n"
                   "  all: { args: { x: int }, commands: [ two: , one: { a: $args.x, b: 1 } ], mutex: [$args.x] }\n");
  const struct command *one = must_find(m, "one"), *two = must_find(m, "two"), *all = must_find(m, "all");
  const struct mutex *x = &one->mutexes[0];

  assert_true(one->needs_key && !two->needs_key);
  assert_int_equal(one->nmutexes, 1);
  assert_int_equal(x->nparts, 3);
  assert_string_equal(x->parts[0].text, "user:");
  assert_null(x->parts[1].text);
  assert_int_equal(x->parts[1].argument, 1);
  assert_int_equal(x->parts[1].npath, 2);
  assert_string_equal(x->parts[1].path[1], "0");
  assert_string_equal(x->parts[2].text, ".$x.");
  assert_int_equal(two->nmutexes, 3);
  assert_string_equal(two->mutexes[1].parts[0].text, "$args.a");
  assert_int_equal(two->mutexes[1].nparts, 1);
  assert_int_equal(all->mutexes[0].nparts, 1);
  assert_int_equal(all->mutexes[0].parts[0].argument, 0);
}

/* A manifest and all its problems: "line: part of the text" each, in the order found. */
static void test_refused(void **state) {
  static const struct {
    const char *text;
    const char *problems[5];
  } cases[] = {
      /* the whole */
      {"", {"1: manifest: must be a mapping"}},
      {"- a\n", {"1: manifest: must be a mapping"}},
      {"a: [\n", {"2: not YAML"}},
      {"specVersion: 1\n", {"0: commands: is missing"}},
      {"specVersion: 1\ncommands:\n", {"2: commands: must be a mapping"}},
      {"specVersion: 1\ncommands: [a]\n", {"2: commands: must be a mapping"}},
      {"commands: { a: { sql: select 1 } }\n", {"1: specVersion: is missing"}},
      {"commands: {}\nspecVersion: 2\n", {"2: specVersion: must be 1"}},
      {"commands: {}\nspecVersion: '1'\n", {"2: specVersion: must be 1"}},
      {"specVersion: 1\nschema: x\ncommands: {}\n", {"2: schema: must be a mapping"}},
      {"specVersion: 1\nschema: { fiel: x }\ncommands: {}\n",
       {"2: schema: unknown key fiel; did you mean file?", "2: schema: file: is missing"}},
      {"specVersion: 1\nmodels: {}\ncommands: {}\n", {"2: models: needs schema:"}},
      {"specVersion: 1\ncommand: {}\n",
       {"2: manifest: unknown key command; did you mean commands?", "0: commands: is missing"}},
      {"specVersion: 1\ncommands: {}\nfoo: 1\n", {"3: manifest: unknown key foo; there are: specVersion, schema, models, "}},
      /* roles and constraints */
      {"specVersion: 1\ncommands: {}\nroles:\n", {"3: roles: must be a mapping"}},
      {"specVersion: 1\ncommands: {}\nroles: {}\n", {"3: roles: is empty"}},
      {"specVersion: 1\ncommands: {}\nroles:\n  a: 5\n  b: none\n  'c d': x\n  e:\n",
       {"4: roles.a: database role: must be text; put it in quotes", "5: roles.b: none is no role",
        "6: roles.c d: a role has no blanks", "7: roles.e: database role: must be text, and is empty"}},
      {"specVersion: 1\nroles: { web: web }\ncommands:\n  a:\n    sql: select 1\n    allow:\n      - web\n      - "
       "admin\n",
       {"8: a: allow: role admin is not in roles:"}},
      {"specVersion: 1\ncommands: {}\nopenapi: Shop\n", {"3: openapi: must be a mapping"}},
      {"specVersion: 1\ncommands: {}\nopenapi:\n  title:\n  version: 2.1\n  titel: Shop\n",
       {"4: openapi: title: must be text, and is empty", "5: openapi: version: must be text; put it in quotes",
        "6: openapi: unknown key titel; did you mean title?"}},
      {"specVersion: 1\ncommands: {}\nconstraints: [a]\n", {"3: constraints: must be a mapping"}},
      {"specVersion: 1\ncommands: {}\nconstraints:\n  k: 5\n", {"4: constraints.k: must be a mapping"}},
      {"specVersion: 1\ncommands: {}\nconstraints:\n  k: { status: 409 }\n",
       {"4: constraints.k: code: is missing", "4: constraints.k: message: is missing"}},
      {"specVersion: 1\ncommands: {}\nconstraints:\n  k: { code: taken, message: x, status: 500 }\n",
       {"4: constraints.k: code: taken must be capital letters",
        "4: constraints.k: status: must be a number from 400 to 499"}},
      {"specVersion: 1\ncommands: {}\nconstraints:\n  k: { code: K, message: x, mesage: y }\n",
       {"4: constraints.k: unknown key mesage; did you mean message?"}},
      {"specVersion: 1\ncommands: {}\nconstraints:\n  k: {}\n",
       {"4: constraints.k: is empty", "4: constraints.k: code: is missing", "4: constraints.k: message: is missing"}},
      /* names */
      {"specVersion: 1\ncommands:\n  a-b: { sql: select 1 }\n  2a: { sql: select 1 }\n  '': { sql: select 1 }\n",
       {"3: a-b: a command's name is letters", "4: 2a: a command's name is letters", "5: : a command's name is letters"}},
      {"specVersion: 1\ncommands:\n  transactional_command_set: { sql: select 1 }\n  execute_command_set: { sql: "
       "select 1 }\n"
       "  dispatch_event: { sql: select 1 }\n  as: { sql: select 1 }\n",
       {"3: transactional_command_set: this name is writ's own", "4: execute_command_set: this name",
        "5: dispatch_event: this name", "6: as: this name"}},
      {"specVersion: 1\ncommands:\n  a: { sql: select 1 }\n  a: { sql: select 2 }\n",
       {"4: a: stands here twice, first on line 3"}},
      /* kinds and keys */
      {"specVersion: 1\ncommands:\n  a: select 1\n  b:\n", {"3: a: must be a mapping", "4: b: must be a mapping"}},
      {"specVersion: 1\ncommands:\n  a: {}\n  b: { returns: one }\n",
       {"3: a: one of sql:, check:, commands:, http: and module: is needed", "4: b: one of sql:"}},
      {"specVersion: 1\ncommands:\n  a: { sql: select 1, check: 'true' }\n", {"3: a: only one of sql:"}},
      {"specVersion: 1\ncommands:\n  a: { sql: select 1, retruns: one }\n",
       {"3: a: unknown key retruns; did you mean returns?"}},
      {"specVersion: 1\ncommands:\n  a: { sql: select 1, qq: one }\n",
       {"3: a: unknown key qq; there are: sql, check, commands, "}},
      {"specVersion: 1\ncommands:\n  b: { module: /proc/self/exe, sql: select 1 }\n", {"3: b: only one of sql:"}},
      {"specVersion: 1\ncommands:\n  b: { module: /proc/self/exe, returns: one, error: {} }\n",
       {"3: b: returns: does not apply to a handler", "3: b: error: does not apply to a handler"}},
      {"specVersion: 1\ncommands:\n  b: { module: ./none.so }\n", {"3: b: module: file: ././none.so: No such file"}},
      {"specVersion: 1\ncommands:\n  b: { module: / }\n", {"3: b: module: file: /: is no file"}},
      {"specVersion: 1\ncommands:\n  b: { module: /dev/null }\n", {"3: b: module: file: /dev/null: is no file"}},
      {"specVersion: 1\ncommands:\n  b: { module: [] }\n  c: { module: {} }\n",
       {"3: b: module: must be a mapping", "4: c: module: file: is missing"}},
      {"specVersion: 1\ncommands:\n  b:\n    module:\n      file: 1\n      function: []\n      config: { a: [ $x ] }\n      fil: 2\n",
       {"5: b: module: file: must be text", "6: b: module: function: must be text", "7: b: module: $x: is no reference",
        "8: b: module: unknown key fil; did you mean file?"}},
      {"specVersion: 1\ncommands:\n  b: { module: /proc/self/exe }\n  c: { commands: [ b: ] }\n", {"4: c: "}},
      {"specVersion: 1\ncommands:\n  a:\n    sql: select 1\n    error: {}\n    result: 1\n    isolation: "
       "serializable\n",
       {"5: a: error: does not apply to an sql command", "6: a: result: does not apply", "7: a: isolation: does not apply"}},
      {"specVersion: 1\ncommands:\n  a:\n    sql: select :x\n    mutex:\n    - 'u:$args.y'\n    - 'u:$x'\n    - $args\n    - ''\n",
       {"6: a: mutex: u:$args.y: there is no argument y", "7: a: mutex: u:$x: only arguments can stand in it",
        "8: a: mutex: $args: name an argument", "9: a: mutex: must be text"}},
      {"specVersion: 1\ncommands:\n  a: { sql: select 1, mutex: [] }\n  b: { sql: select 1, mutex: [x, x] }\n",
       {"3: a: mutex: is empty", "4: b: mutex: x stands here twice"}},
      {"specVersion: 1\ncommands:\n  a: { sql: select 1, idempotency: optional }\n  b: { sql: 'merge into t using s on a', "
       "idempotency: required }\n",
       {"3: a: idempotency: optional is not known here", "4: b: idempotency: the count of a MERGE"}},
      {"specVersion: 1\ncommands:\n  a: { check: 'true', returns: one }\n", {"3: a: returns: does not apply to a check"}},
      {"specVersion: 1\ncommands:\n  b: { sql: select 1 }\n  a: { commands: [ b: ], error: {} }\n",
       {"4: a: error: does not apply to a composite"}},
      {"specVersion: 1\ncommands:\n  a: { sql: select 1, returns: two, description: , datasource: mian }\n",
       {"3: a: returns: two is none of one", "3: a: description: must be text",
        "3: a: datasource: mian is not in writ.yaml; did you mean main?"}},
      {"specVersion: 1\ncommands:\n  a: { sql: select 1, datasource: elsewhere }\n",
       {"3: a: datasource: elsewhere is not in writ.yaml, datasources:"}},
      {"specVersion: 1\ncommands:\n  a: { sql: select 1, allow: anonymous }\n", {"3: a: allow: must be a list of roles"}},
      {"specVersion: 1\ncommands:\n  a: { sql: select 1, allow: [x, 5, 'a b', x, ''] }\n",
       {"3: a: allow: must be text; put it", "3: a: allow: a role has no blanks", "3: a: allow: x stands here twice",
        "3: a: allow: must be text, and is empty"}},
      {"specVersion: 1\ncommands:\n  a: { check: 'true', error: { status: 399 } }\n  b: { check: 'true', error: { "
       "status: '404' } }\n"
       "  c: { check: 'true', error: { code: 9A, status: 4e2 } }\n",
       {"3: a: error: status: must be", "4: b: error: status: must be", "5: c: error: code: 9A must be",
        "5: c: error: status: must be"}},
      {"specVersion: 1\ncommands:\n  a: { check: 'true', error: X }\n  b: { check: 'true', error: {} }\n",
       {"3: a: error: must be a mapping", "4: b: error: is empty"}},
      /* statements */
      {"specVersion: 1\ncommands:\n  a: { sql: 5 }\n  b: { sql: }\n  c: { check: 5 }\n",
       {"3: a: sql: must be text; put it", "4: b: sql: must be text, and is empty", "5: c: check: must be text; put it"}},
      {"specVersion: 1\ncommands:\n  a: { sql: select 'x }\n", {"3: a: sql: a string ' has no end"}},
      {"specVersion: 1\ncommands:\n  a: { sql: select 1; select 2 }\n", {"3: a: sql: one statement only"}},
      {"specVersion: 1\ncommands:\n  a: { sql: begin }\n  b: { sql: SET x = 1 }\n  c: { sql: table t }\n  d: { sql: "
       "create table t () }\n  e: { sql: 1 + 1 }\n",
       {"3: a: sql: BEGIN cannot be used here: writ opens and ends the transaction",
        "4: b: sql: SET cannot be used here: it would outlive", "5: c: sql: TABLE cannot be used here: write SELECT * FROM",
        "6: d: sql: CREATE cannot be used here: a command is one", "7: e: sql: this cannot be used here: a command is one"}},
      {"specVersion: 1\ncommands:\n  a: { check: delete from t }\n  b: { check: begin }\n  c: { check: 'call p()' }\n  "
       "d: { check: with x as (select 1) update t set a = 1 }\n",
       {"3: a: check: DELETE changes data", "4: b: check: BEGIN cannot be used here", "5: c: check: CALL changes data",
        "6: d: check: UPDATE changes data"}},
      {"specVersion: 1\ncommands:\n  a: { sql: call p(), returns: one }\n  b: { sql: merge into t using u on true when "
       "matched then do nothing, returns: many }\n"
       "  c: { sql: call p(), returns: optional }\n",
       {"3: a: returns: CALL gives no rows", "4: b: returns: MERGE gives no rows", "5: c: returns: CALL"}},
      /* arguments */
      {"specVersion: 1\ncommands:\n  a: { sql: 'select :username', args: { usrname: text } }\n",
       {"3: a: args: has no username, but the statement uses :username; did you mean :usrname?",
        "3: a: args: declares usrname, but the statement does not use :usrname"}},
      {"specVersion: 1\ncommands:\n  a:\n    sql: 'select :b'\n    args: {}\n",
       {"4: a: args: has no b, but the statement uses :b; declare it"}},
      {"specVersion: 1\ncommands:\n  a:\n    sql: 'select 1'\n    args:\n      b: int\n",
       {"6: a: args: declares b, but the statement does not use :b"}},
      {"specVersion: 1\ncommands:\n  a: { sql: 'select :b', args: [b] }\n",
       {"3: a: args: must be a mapping", "3: a: args: has no b"}},
      {"specVersion: 1\ncommands:\n  a: { sql: 'select :b, :c, :d', args: { b: 5, c: { typ: int }, d: [] } }\n",
       {"3: a: args: b: type: must be text", "3: a: args: c: unknown key typ; did you mean type?",
        "3: a: args: d: type: must be text"}},
      {"specVersion: 1\ncommands:\n  a: { sql: 'select :b, :c', args: { b: 'int; drop', c: 'int)' } }\n",
       {"3: a: args: b: type: int; drop is not the name of a type", "3: a: args: c: type: int) is not"}},
      {"specVersion: 1\ncommands:\n  a: { args: { x-y: int, x: }, commands: [ b: { q: $args.x } ] }\n  b: { sql: "
       "'select :q' }\n",
       {"3: a: args: x-y: a name is letters", "3: a: args: declares x-y, but $args.x-y is used nowhere"}},
      /* composites */
      {HEAD "  c: { commands: one }\n  d: { commands: [] }\n  e: { commands: }\n",
       {"7: c: commands: must be a list", "8: d: commands: must be a list", "9: e: commands: must be a list"}},
      {HEAD "  c:\n    commands:\n      - del\n      - { as: x }\n      - { del: , many: }\n      - []\n",
       {"9: c: commands: an entry names no command", "10: c: commands: an entry names no command",
        "11: c: commands: two names", "12: c: commands: an entry"}},
      {HEAD "  c: { commands: [ delt: , nothing_like: ] }\n",
       {"7: c: delt: there is no command of this name; did you mean del?",
        "7: c: nothing_like: there is no command of this name; define it"}},
      {HEAD "  c: { commands: [ transactional_command_set: , execute_command_set: { commands: [] } ] }\n",
       {"7: c: transactional_command_set: a set cannot be part", "7: c: execute_command_set: a set cannot be part"}},
      {HEAD "  c: { commands: [ dispatch: ] }\n", {"7: c: dispatch: there is no command of this name"}},
      {HEAD "  c:\n    commands:\n      - one: { a: 1, k: 2 }\n",
       {"9: c: one: one has no argument k; there are a, j", "9: c: one: argument j is missing"}},
      {HEAD "  c: { commands: [ del: { a: 1 } ] }\n", {"7: c: del: del has no argument a; there are none"}},
      {HEAD "  c: { commands: [ chk: ] }\n", {"7: c: chk: argument a is missing"}},
      {HEAD "  c: { commands: [ chk: [1] ] }\n  d: { commands: [ chk: $x ] }\n",
       {"7: c: chk: arguments are a mapping", "8: d: chk: arguments are a mapping"}},
      {HEAD "  c: { args: { xs: , y: }, commands: [ chk: { a: $args.x } ] }\n",
       {"7: c: chk: $args.x: args: does not declare x; did you mean xs?",
        "7: c: args: declares xs, but $args.xs is used nowhere", "7: c: args: declares y"}},
      {HEAD "  c: { commands: [ chk: { a: $args.x } ] }\n",
       {"7: c: chk: $args.x: args: does not declare x; declare it there"}},
      {HEAD "  c: { commands: [ chk: { a: $args } ] }\n", {"7: c: chk: $args: name an argument"}},
      {HEAD "  c: { commands: [ chk: { a: $later }, { many: , as: later }, { chk: { a: $latr.0.n } } ] }\n",
       {"7: c: chk: $later: no earlier command has `as: later`; there are none; a literal dollar",
        "7: c: chk: $latr.0.n: no earlier command has `as: latr`; did you mean later?"}},
      {HEAD "  c: { commands: [ { many: , as: m }, { chk: { a: [1, { b: '$5' }] } } ] }\n",
       {"7: c: chk: $5: no earlier command has `as: 5`; there are m; a literal dollar is written $$"}},
      {HEAD "  c: { commands: [ chk: { a: '$' }, chk: { a: '$a..b' }, chk: { a: '$a.' }, chk: { a: '$a is it' }, chk: "
            "{ a: '$a.$b' } ] }\n",
       {"7: c: chk: $: is no reference", "7: c: chk: $a..b: is no reference", "7: c: chk: $a.: is no reference",
        "7: c: chk: $a is it: is no reference", "7: c: chk: $a.$b: is no reference"}},
      {HEAD "  c: { commands: [ { many: , as: m }, { chk: { a: $m.n } } ] }\n",
       {"7: c: chk: $m.n: many returns many: name the row first"}},
      {HEAD "  c: { commands: [ { del: , as: d }, { chk: { a: $d.n } }, { chk: { a: $d } } ] }\n",
       {"7: c: chk: $d.n: del returns count or none"}},
      {HEAD "  c: { commands: [ { chk: { a: 1 }, as: d } ], result: $d.x }\n", {"7: c: result: $d.x: chk is a check"}},
      {HEAD "  c: { commands: [ { p: , as: p }, { chk: { a: $p } } ] }\n  p: { sql: call p() }\n",
       {"7: c: chk: $p: p is a CALL or MERGE"}},
      {HEAD "  c: { commands: [ { del: , as: a-b }, { del: , as: 5 }, { del: , as: args }, { del: , as: error }, { "
            "del: , as: } ] }\n",
       {"7: c: del: as: must be a name", "7: c: del: as: must be a name", "7: c: del: as: args has a meaning",
        "7: c: del: as: error has a meaning", "7: c: del: as: must be a name"}},
      {HEAD "  c:\n    commands:\n      - { del: , as: x }\n      - { del: , as: x }\n",
       {"10: c: del: as: x is the name of an earlier result, on line 9"}},
      {HEAD "  c: { commands: [ del: ], isolation: snapshot }\n", {"7: c: isolation: snapshot is none of"}},
      /* between commands */
      {HEAD "  c:\n    commands:\n      - c:\n", {"9: c: c calls itself; commands may not run in a circle"}},
      {HEAD "  c: { commands: [ d: ] }\n  d: { commands: [ del: , e: ] }\n  e: { commands: [ c: ] }\n",
       {"9: e: c calls itself by way of e"}},
      {"specVersion: 1\ncommands:\n  a: { sql: select 1 }\n  b: { sql: select 1, datasource: other }\n  c:\n    "
       "commands:\n      - a:\n      - b:\n",
       {"8: c: DIFFERENT_DATASOURCES: b is on other, but c begins on main"}},
      {"specVersion: 1\ncommands:\n  a: { sql: select 1 }\n  c:\n    datasource: other\n    commands:\n      - a:\n",
       {"7: c: DIFFERENT_DATASOURCES: a is on main, but c is on other"}},
      {"specVersion: 1\ncommands:\n  d: { commands: [ a: , c: ] }\n  c: { commands: [ b: ] }\n  b: { sql: select 1, "
       "datasource: other }\n  a: { sql: select 1 }\n",
       {"3: d: DIFFERENT_DATASOURCES: c is on other, but d begins on main"}},
      /* one mistake does not make others of what depends on it */
      {"specVersion: 1\ncommands:\n  a: { sql: select 'x }\n  c: { commands: [ a: { any: 1 } ] }\n",
       {"3: a: sql: a string"}},
      {"specVersion: 1\ncommands:\n  a: { sqll: 'select :x' }\n  c: { commands: [ a: { any: 1 } ] }\n",
       {"3: a: one of sql:", "3: a: unknown key sqll; did you mean sql?"}},
      {"specVersion: 1\ncommands:\n  a: { sql: 'select 1', datasource: other }\n  c: { commands: [ x: , a: ] }\n",
       {"4: c: x: there is no command"}},
  };
  struct fixture *f = *state;

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    size_t n = 0;
    if (read_text(f, cases[i].text)) fail_msg("%s was accepted", cases[i].text);
    while (n < 5 && cases[i].problems[n]) n++;
    bool good = f->problems.n == n;
    for (size_t k = 0; good && k < n; k++) {
      const struct problem *p = &f->problems.items[k];
      assert_string_equal(p->file, "m.yaml");
      char *line = arena_printf(f->mem, "%d: %s", p->line, p->text);
      good = strncmp(line, cases[i].problems[k], strlen(cases[i].problems[k])) == 0;
    }
    if (good) continue;
    problems_print(&f->problems);
    fail_msg("%s: %zu problems, expected %zu, the first %s", cases[i].text, f->problems.n, n, cases[i].problems[0]);
  }
}

/* The test itself stands for a module: the manifest only looks at the file. */
static void test_module(void **state) {
  struct fixture *f = *state;
  char real[4096];
  ssize_t n = readlink("/proc/self/exe", real, sizeof real - 1);
  const struct manifest *m;
  const struct command *c;
  struct str *config_text = str_new(f->mem, 64);

  assert_true(n > 0);
  real[n] = '\0';
  setenv("WRIT_TEST_NAME", "1.10", 1);
  m = must_read(f, "specVersion: 1\ncommands:\n  a: { module: /proc/self/exe }\n"
                   "  b:\n    args: { x: int }\n    allow: [anonymous]\n    description: d\n"
                   "    module: { file: /proc/self/exe, function: g, config: { k: [ 1.10, $env.WRIT_TEST_NAME, $$ ] } }\n");
  c = must_find(m, "a");
  assert_int_equal(c->kind, COMMAND_HANDLER);
  assert_null(c->http);
  assert_string_equal(c->module->file, real);
  assert_string_equal(c->module->function, "a");
  assert_null(c->module->config);
  c = must_find(m, "b");
  assert_string_equal(c->module->function, "g");
  json_write(config_text, c->module->config);
  assert_string_equal(config_text->p, "{\"k\":[1.10,\"1.10\",\"$\"]}");
  assert_false(c->module->config_unknown);
  assert_int_equal(c->nargs, 1);
}

/* b1 calls b0 twice, b2 calls b1 twice ... */
static void test_growth(void **state) {
  struct fixture *f = *state;
  struct str *text = str_new(f->mem, 1024);

  str_add(text, "specVersion: 1\ncommands:\n  b0: { sql: select 1 }\n");
  for (int i = 1; i <= 9; i++) str_printf(text, "  b%d: { commands: [ b%d: , b%d: ] }\n", i, i - 1, i - 1);
  must_read(f, text->p); /* 512 statements */
  for (int i = 10; i <= 30; i++) str_printf(text, "  b%d: { commands: [ b%d: , b%d: ] }\n", i, i - 1, i - 1);
  assert_null(read_text(f, text->p));
  assert_non_null(strstr(f->problems.items[0].text, "b10: runs more than 1000 statements"));
}

/* A long chain, once from its top and once from its end. */
static void test_nesting(void **state) {
  struct fixture *f = *state;

  for (int down = 0; down <= 1; down++) {
    for (int levels = 31; levels <= 34; levels++) {
      struct str *text = str_new(f->mem, 1024);
      str_add(text, "specVersion: 1\ncommands:\n  b0: { sql: select 1 }\n");
      for (int i = 1; i <= levels; i++) {
        int b = down ? levels + 1 - i : i;
        str_printf(text, "  b%d: { commands: [ b%d: ] }\n", b, b - 1);
      }
      if (levels <= 32) {
        must_read(f, text->p);
        continue;
      }
      assert_null(read_text(f, text->p));
      assert_int_equal(f->problems.n, 1);
      assert_non_null(strstr(f->problems.items[0].text, "composites call each other more than 32 deep"));
    }
  }
}

static void test_many_commands(void **state) {
  struct fixture *f = *state;
  struct str *text = str_new(f->mem, 1024);

  str_add(text, "specVersion: 1\ncommands:\n");
  for (int i = 0; i < 3000; i++) str_printf(text, "  c%d: { sql: 'select :a, %d' }\n", i, i);
  const struct manifest *m = must_read(f, text->p);
  assert_int_equal(m->ncommands, 3003);
  for (int i = 0; i < 3000; i++) assert_int_equal(must_find(m, arena_printf(f->mem, "c%d", i))->id, i + 2);
  assert_null(manifest_command(m, "c3000"));
}

static void test_load(void **state) {
  struct fixture *f = *state;
  char name[] = "/tmp/writ-test-manifest-XXXXXX";
  int fd = mkstemp(name);
  struct config here = config;

  assert_int_equal(write(fd, example, sizeof example - 1), sizeof example - 1);
  close(fd);
  problems_init(&f->problems, f->mem);
  here.manifest = name;
  const struct manifest *m = manifest_load(f->mem, &here, &f->problems);
  unlink(name);
  assert_non_null(m);
  assert_string_equal(m->file, name);
  must_find(m, "create_user");
  assert_null(manifest_load(f->mem, &here, &f->problems));
  assert_int_equal(f->problems.errors, 1);
  assert_string_equal(f->problems.items[0].file, name);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
      TEST(test_example),
      TEST(test_constraints_and_roles),
      TEST(test_args),
      TEST(test_keys_of_commands),
      TEST(test_templates),
      TEST(test_mutexes),
      TEST(test_composites_in_composites),
      TEST(test_refused),
      TEST(test_growth),
      TEST(test_nesting),
      TEST(test_many_commands),
      TEST(test_load),
      TEST(test_module),
#undef TEST
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
