/* models: of a manifest: what is read, and each thing that is refused, with its line. */
#include "base/arena.h"
#include "base/problems.h"
#include "manifest/config.h"
#include "manifest/manifest.h"
#include "manifest/model_rules.h"
#include "model/read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TOP "specVersion: 1\nroles: { customer: c, admin: a }\nmodels:\n"

static const char model_text[] =
    "type User { id: ID! @id  name: String @unique  age: Int  tags: [String]  data: Json  at: DateTime! @createdAt\n"
    "  posts: [Post]  line: Line }\n"
    "type Post { id: Int! @id  author: User }\n"
    "type Line @id(fields: [\"a\", \"b\"]) { a: Int!  b: Int! }\n";

static struct datasource sources[] = {{.name = "main", .conninfo = "x"}};
static struct config config = {.manifest = "m.yaml", .datasources = sources, .ndatasources = 1};

struct fixture {
  void *mem;
  struct problems problems;
  const struct datamodel *model;
};

static int setup(void **state) {
  struct fixture *f = test_calloc(1, sizeof *f);

  f->mem = arena_request(NULL);
  problems_init(&f->problems, f->mem);
  f->model = model_read(f->mem, "model", model_text, strlen(model_text), NULL, &f->problems);
  assert_non_null(f->model);
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
  return manifest_read_over(f->mem, &config, f->model, text, strlen(text), &f->problems);
}

static const struct manifest *must_read(struct fixture *f, const char *text) {
  const struct manifest *m = read_text(f, text);

  if (!m) problems_print(&f->problems);
  assert_non_null(m);
  return m;
}

static const struct field *field(struct fixture *f, const char *model, const char *name) {
  const struct field *out = model_field(model_find(f->model, model), name);

  assert_non_null(out);
  return out;
}

static void test_operations(void **state) {
  struct fixture *f = *state;
  const struct manifest *m = must_read(
      f, TOP
      "  User:\n"
      "    create: { allow: [customer], mutex: \"u:$args.data.name\", hooks: { before: { b: http://h/ }, after: { a: http://h/ } } }\n"
      "    update: { version: select 1 from t where id = :where ->> 'id', hooks: { after: { a: { url: http://h/, key: $args.version } } } }\n"
      "    updateMany: { max_affected: 3 }\n");
  const struct command *create = manifest_command(m, "createUser"), *update = manifest_command(m, "updateUser");

  assert_int_equal(create->nmutexes, 1);
  assert_int_equal(create->nbefore_hooks, 1);
  assert_string_equal(create->before_hooks[0].name, "createUser.b");
  assert_int_equal(create->nafter_hooks, 1);
  assert_int_equal(create->line, 5);
  assert_true(m->asks_nested);
  assert_int_equal(update->nbefore, 1);
  assert_int_equal(update->before[0]->kind, COMMAND_VERSION);
  assert_string_equal(update->args[update->nargs - 1].name, "version");
  assert_int_equal(manifest_command(m, "updateManyUsers")->max_affected, 3);
  assert_int_equal(manifest_command(m, "deleteManyUsers")->max_affected, -1);
  assert_null(m->model_rules);
  assert_false(must_read(f, TOP "  User: { create: { allow: [customer] } }\n")->asks_nested);
}

static void test_fields(void **state) {
  struct fixture *f = *state;
  const struct manifest *m = must_read(
      f, TOP
      "  User:\n"
      "    fields: { name: { write: [admin] }, age: { create: [customer], update: [] }, tags: { update: [admin] }, posts: { write: [admin] } }\n");
  const struct field *name = field(f, "User", "name"), *age = field(f, "User", "age"), *tags = field(f, "User", "tags");

  assert_false(manifest_may_write(m, name, true, "customer"));
  assert_false(manifest_may_write(m, name, false, "customer"));
  assert_true(manifest_may_write(m, name, true, "admin"));
  assert_true(manifest_may_write(m, name, false, "admin"));
  assert_true(manifest_may_write(m, age, true, "customer"));
  assert_false(manifest_may_write(m, age, true, "admin"));
  assert_false(manifest_may_write(m, age, false, "admin"));
  assert_true(manifest_may_write(m, tags, true, "customer"));
  assert_false(manifest_may_write(m, tags, false, "customer"));
  assert_false(manifest_may_write(m, field(f, "User", "posts"), true, "customer"));
  assert_true(manifest_may_write(m, field(f, "User", "data"), true, "customer"));
  assert_true(manifest_may_write(m, field(f, "Post", "author"), true, "customer"));
  assert_null(manifest_field_rules(m, field(f, "Post", "author")));
}

static void test_presets(void **state) {
  struct fixture *f = *state;
  const struct manifest *m =
      must_read(f, TOP "  User:\n"
                       "    fields: { age: { write: [admin] } }\n"
                       "    presets: { create: { name: $claims.org.0.id, age: 7 }, update: { name: $role } }\n"
                       "  Post: { presets: { author: $user } }\n");
  const struct field_rules *name = manifest_field_rules(m, field(f, "User", "name"));
  const struct field_rules *author = manifest_field_rules(m, field(f, "Post", "author"));

  assert_int_equal(name->preset_create->kind, PRESET_CLAIM);
  assert_int_equal(name->preset_create->npath, 3);
  assert_string_equal(name->preset_create->path[1], "0");
  assert_string_equal(name->preset_create->text, "$claims.org.0.id");
  assert_int_equal(name->preset_update->kind, PRESET_ROLE);
  assert_int_equal(manifest_field_rules(m, field(f, "User", "age"))->preset_create->kind, PRESET_LITERAL);
  assert_int_equal(author->preset_create->kind, PRESET_USER);
  assert_null(author->preset_update);
  assert_false(manifest_may_write(m, field(f, "Post", "author"), true, "admin"));
  assert_false(manifest_may_write(m, field(f, "Post", "author"), false, "admin")); /* given at creation only, but writ's */
  assert_true(manifest_may_write(m, field(f, "User", "age"), true, "admin"));
  assert_false(manifest_may_write(m, field(f, "User", "age"), true, "customer"));
}

static void test_refused(void **state) {
  static const struct {
    const char *text, *problem;
  } cases[] = {
      {"  User: { fields: { nme: { write: [admin] } } }\n",
       "4: models.User.fields: User has no field nme; did you mean name?"},
      {"  User: { fields: { name: { write: [boss] } } }\n", "write: role boss is not in roles:"},
      {"  User: { fields: { name: { writes: [admin] } } }\n", "unknown key writes"},
      {"  User: { fields: { name: [admin] } }\n", "models.User.fields.name"},
      {"  User: { fields: { name: { write: admin } } }\n", "write: must be a list of roles"},
      {"  User: { fields: { name: { write: [admin], create: [admin] } } }\n", "write: is create: and update: in one"},
      {"  User: { fields: { at: { write: [admin] } } }\n", "at: is set by the server; nobody can write it"},
      {"  User: { presets: { nme: $user } }\n", "User has no field nme; did you mean name?"},
      {"  User: { presets: { at: $user } }\n", "at: is set by the server already"},
      {"  User: { presets: { tags: $user } }\n", "tags: is a list"},
      {"  User: { presets: { posts: $user } }\n", "posts: is a list"},
      {"  User: { presets: { data: $user } }\n", "data: is Json"},
      {"  User: { presets: { line: $user } }\n", "line: links to a type whose key has several fields"},
      {"  User: { presets: { update: { id: $user } } }\n", "id: is part of the key"},
      {"  User: { presets: { name: $claim.sub } }\n", "$claim.sub is none of $user, $role, $claims.name"},
      {"  User: { presets: { name: $claims. } }\n", "$claims. is none of"},
      {"  User: { presets: { name: [a] } }\n", "must be one value"},
      {"  User: { presets: { name: null } }\n", "must be one value"},
      {"  User: { create: { version: select 1 } }\n", "unknown key version; there are: allow, permissions, mutex, hooks"},
      {"  User: { update: { max_affected: 1 } }\n", "unknown key max_affected"},
      {"  User: { deleteMany: { version: select 1 } }\n", "unknown key version"},
      {"  User: { query: { hooks: {} } }\n", "unknown key hooks; there are: allow, permissions"},
      {"  User: { create: { mutex: $args.dat } }\n", "mutex: $args.dat: there is no argument dat"},
      {"  User: { updateMany: { max_affected: many } }\n", "max_affected: must be a number of rows"},
      {"  User: { create: { hooks: { before: { b: { url: http://h/, sync: true } } } } }\n", "unknown key sync"},
      {"  User: { filds: {} }\n", "did you mean fields"},
  };
  struct fixture *f = *state;

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    bool found = false;

    assert_null(read_text(f, arena_printf(f->mem, TOP "%s", cases[i].text)));
    for (size_t j = 0; j < f->problems.n; j++)
      found |= strstr(arena_printf(f->mem, "%d: %s", f->problems.items[j].line, f->problems.items[j].text),
                      cases[i].problem) != NULL;
    if (!found) {
      print_error("case %zu, %s wanted %s, got:\n", i, cases[i].text, cases[i].problem);
      problems_print(&f->problems);
    }
    assert_true(found);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_operations, setup, teardown),
      cmocka_unit_test_setup_teardown(test_fields, setup, teardown),
      cmocka_unit_test_setup_teardown(test_presets, setup, teardown),
      cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
