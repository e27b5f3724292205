/* Fields and commands, as far as the manifest tells. */
#include "schema/commands.h"

#include "base/arena.h"
#include "base/nearest.h"
#include "base/problems.h"
#include "manifest/manifest.h"
#include "schema/result.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct checker {
  const struct schema *schema;
  const struct gql_type *root;
  struct problems *problems;
};

static void wrong(const struct checker *k, struct gql_place place, const struct gql_field *f, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void wrong(const struct checker *k, struct gql_place place, const struct gql_field *f, const char *format, ...) {
  va_list args;
  char *text;

  va_start(args, format);
  text = talloc_vasprintf(k->problems->mem, format, args);
  va_end(args);
  if (!text) abort();
  problems_add(k->problems, place.file, place.line, "%s.%s: %s", k->root->name, f->name, text);
}

/* ---- which command ---- */

static const char *near_command(const struct checker *k, const char *name) {
  const struct manifest *m = k->schema->manifest;
  const char **names = arena_array(k->problems->mem, const char *, m->ncommands + 1);

  for (size_t i = 0; i < m->ncommands; i++) names[i] = m->commands[i]->name;
  return nearest(name, names);
}

/* As far as its text tells; PostgreSQL sees to the rest when it runs. */
static bool writes(const struct command *c) {
  for (size_t i = 0; c->kind == COMMAND_COMPOSITE && i < c->nmembers; i++)
    if (c->members[i].command && writes(c->members[i].command)) return true;
  if (c->kind == COMMAND_MUTATION) return true;
  return c->kind == COMMAND_SQL && c->sql.verb != SQL_SELECT && c->sql.verb != SQL_VALUES;
}

static bool has_command(const struct checker *k, const struct gql_field *f) {
  const struct command *c = f->command;
  const char *near;

  if (c && (c->kind == COMMAND_TRANSACTIONAL_SET || c->kind == COMMAND_EXECUTE_SET)) {
    wrong(k, f->place, f, "is a set of commands, which GraphQL has as several fields in one operation; remove it");
  } else if (c && k->root == k->schema->query && writes(c)) {
    wrong(k, f->place, f, "the command changes data (%s:%d); put it into type Mutation", c->file, c->line);
  } else if (!c) {
    near = near_command(k, f->name);
    wrong(k, f->place, f, "there is no command of this name in %s%s%s%s", k->schema->manifest->file,
          near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
  } else {
    return true;
  }
  return false;
}

/* ---- arguments ---- */

static const struct argument *find_argument(const struct command *c, const char *name) {
  for (size_t i = 0; i < c->nargs; i++)
    if (strcmp(c->args[i].name, name) == 0) return &c->args[i];
  return NULL;
}

static void check_arguments(const struct checker *k, const struct gql_field *f) {
  const struct command *c = f->command;

  for (size_t i = 0; i < f->nargs; i++)
    if (!find_argument(c, f->args[i].name))
      wrong(k, f->args[i].place, f, "the command (%s:%d) has no argument %s; remove it here, or add it there", c->file,
            c->line, f->args[i].name);
  for (size_t i = 0; i < c->nargs; i++) {
    const struct gql_input *arg = schema_input(f->args, f->nargs, c->args[i].name);

    if (c->args[i].fallback) continue;
    if (!arg)
      wrong(k, f->place, f, "the command (%s:%d) needs the argument %s; add it here, or give it a default: there", c->file,
            c->line, c->args[i].name);
    else if (!gql_is_required(arg) && !arg->default_value)
      wrong(k, arg->place, f,
            "%s may be left out here, but the command (%s:%d) needs it; write %s!, or give it default: null there",
            arg->name, c->file, c->line, gql_type_text(k->problems->mem, arg->type));
  }
}

/* ---- results ---- */

static void check_result(const struct checker *k, const struct gql_field *f) {
  const struct command *c = f->command;
  enum result result = result_of(c, c->returns);
  const char *why = result_misfit(f->type, result);

  if (why)
    wrong(k, f->place, f, "%s (%s:%d), but here it is %s; %s", result_text(result), c->file, c->line,
          gql_type_text(k->problems->mem, f->type), why);
}

/* Members that the manifest itself writes. */
static void check_template(const struct checker *k, const struct gql_field *f) {
  const struct template *t = f->command->kind == COMMAND_COMPOSITE ? f->command->result : NULL;
  const struct gql_type *type = gql_named(f->type);

  if (!t || t->kind != TEMPLATE_OBJECT || type->kind != GQL_OBJECT) return;
  for (size_t i = 0; i < type->nfields; i++) {
    size_t j = 0;

    while (j < t->n && strcmp(t->keys[j], type->fields[i].name) != 0) j++;
    if (j == t->n && !type->fields[i].nargs)
      wrong(k, f->place, f, "%s has a field %s, but result: of the command (%s:%d) does not", type->name,
            type->fields[i].name, f->command->file, t->line);
  }
}

static void check_root(const struct schema *s, const struct gql_type *root, struct problems *p) {
  struct checker k = {.schema = s, .root = root, .problems = p};

  for (size_t i = 0; root && i < root->nfields; i++) {
    const struct gql_field *f = &root->fields[i];

    if (!f->place.file || !has_command(&k, f)) continue; /* what writ made itself fits */
    check_arguments(&k, f);
    check_result(&k, f);
    check_template(&k, f);
  }
}

void commands_check(const struct schema *s, struct problems *p) {
  check_root(s, s->query, p);
  check_root(s, s->mutation, p);
}
