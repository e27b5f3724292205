/* Types of GraphQL and of PostgreSQL. What goes in: docs/protocol.md, section 2; what comes out: as to_json writes it. */
#include "schema/fit.h"

#include "base/arena.h"
#include "base/problems.h"
#include "db/catalog.h"
#include "model/model.h"
#include "schema/result.h"

#include <string.h>

/* ---- one type and another ---- */

/* What a scalar needs in the database, in and out. Text goes into all that has an input syntax. */
#define BIT(kind) (1U << TYPE_##kind)
enum {
  NUMBERS = BIT(INTEGER) | BIT(NUMBER) | BIT(JSON),
  TEXT = BIT(OTHER) | BIT(JSON),
};
static const struct scalar_fit {
  const char *name;
  unsigned in, out;
} scalars[] = {
    {"Int", NUMBERS, BIT(INTEGER) | BIT(JSON)},
    {"Float", NUMBERS, NUMBERS},
    {"BigInt", NUMBERS | BIT(OTHER), BIT(INTEGER) | BIT(JSON)},
    {"Decimal", NUMBERS | BIT(OTHER), NUMBERS},
    {"Boolean", BIT(BOOLEAN) | BIT(JSON), BIT(BOOLEAN) | BIT(JSON)},
    {"String", ~(BIT(ARRAY) | BIT(COMPOSITE)), TEXT | NUMBERS | BIT(BOOLEAN)},
    {"ID", ~(BIT(ARRAY) | BIT(COMPOSITE) | BIT(BOOLEAN)), TEXT | NUMBERS},
    {"DateTime", TEXT, TEXT},
    {"UUID", TEXT, TEXT},
};

static const struct gql_type *bare(const struct gql_type *t) { return t->kind == GQL_NON_NULL ? t->of : t; }

static bool scalar_fits(const struct gql_type *t, const struct type *pg, bool in) {
  if (t->kind == GQL_ENUM) return TEXT & (1U << pg->kind);
  for (size_t i = 0; i < sizeof scalars / sizeof *scalars; i++)
    if (strcmp(scalars[i].name, t->name) == 0) return (in ? scalars[i].in : scalars[i].out) & (1U << pg->kind);
  if (strcmp(t->name, "Json") == 0)
    return !in || pg->kind == TYPE_JSON || pg->kind == TYPE_ARRAY || pg->kind == TYPE_COMPOSITE;
  return true; /* an own scalar is whatever its author says */
}

static const struct type *field_type(const struct type *pg, const char *name) {
  for (size_t i = 0; i < pg->nfields; i++)
    if (strcmp(pg->fields[i].name, name) == 0) return pg->fields[i].type;
  return NULL;
}

/* Composites within composites are finite, inputs and types within each other need not be: depth ends it. */
enum { DEPTH_MAX = 16 };

static bool fits(const struct gql_type *type, const struct type *pg, bool in, unsigned depth);

static bool fields_fit(const struct gql_type *t, const struct type *pg, bool in, unsigned depth) {
  size_t n = in ? t->ninputs : t->nfields;

  if (pg->kind != TYPE_COMPOSITE) return false;
  for (size_t i = 0; i < n; i++) {
    const struct type *field = field_type(pg, in ? t->inputs[i].name : t->fields[i].name);

    if (!field || !fits(in ? t->inputs[i].type : t->fields[i].type, field, in, depth + 1)) return false;
  }
  return true;
}

static bool fits(const struct gql_type *type, const struct type *pg, bool in, unsigned depth) {
  const struct gql_type *t = bare(type);

  if (!pg || pg->kind == TYPE_JSON || depth > DEPTH_MAX) return true;
  if (t->kind == GQL_LIST) return pg->kind == TYPE_ARRAY && fits(t->of, pg->element, in, depth);
  if (t->kind == GQL_SCALAR || t->kind == GQL_ENUM) return scalar_fits(t, pg, in);
  if (t->kind == GQL_UNION || t->kind == GQL_INTERFACE) return pg->kind == TYPE_COMPOSITE;
  return fields_fit(t, pg, in, depth);
}

/* ---- fields ---- */

struct fitter {
  fit_ask *ask;
  void *data;
  struct problems *problems;
  const struct gql_type *root;
  const struct gql_field *field;
};

static void check_param(const struct fitter *k, const struct command *c, size_t argument, const struct gql_input *given);

/* Members of a composite that get the argument as it is. */
static void check_members(const struct fitter *k, const struct command *c, size_t argument, const struct gql_input *given) {
  for (size_t i = 0; i < c->nmembers; i++) {
    const struct template *args = c->members[i].args;

    for (size_t j = 0; args && j < args->n; j++) {
      const struct template *item = &args->items[j];
      const struct command *member = c->members[i].command;
      size_t at = 0;

      if (item->kind != TEMPLATE_ARGS || item->npath || item->argument != argument) continue;
      while (at < member->nargs && strcmp(member->args[at].name, args->keys[j]) != 0) at++;
      if (at < member->nargs) check_param(k, member, at, given);
    }
  }
}

static void check_param(const struct fitter *k, const struct command *c, size_t argument, const struct gql_input *given) {
  const struct description *d;
  enum returns returns;

  if (c->kind == COMMAND_COMPOSITE) check_members(k, c, argument, given);
  if (!k->ask(k->data, c, &d, &returns) || argument >= c->sql.nnames || argument >= d->nparams) return;
  if (fits(given->type, d->params[argument], true, 0)) return;
  problems_add(k->problems, given->place.file, given->place.line,
               "%s.%s: %s is %s here, which does not fit %s of the command %s (%s:%d)", k->root->name, k->field->name,
               given->name, gql_type_text(k->problems->mem, given->type), d->params[argument]->name, c->name, c->file,
               c->line);
}

static void check_params(const struct fitter *k) {
  const struct command *c = k->field->command;

  for (size_t i = 0; i < c->nargs; i++) {
    const struct gql_input *given = schema_input(k->field->args, k->field->nargs, c->args[i].name);

    if (given) check_param(k, c, i, given);
  }
}

/* Of a model's type a command gives columns, and so no relation. */
static void missing(const struct fitter *k, const struct gql_type *t, const struct gql_field *f, const struct command *c) {
  if (f->field && f->field->relation)
    problems_warn(k->problems, k->field->place.file, k->field->place.line,
                  "%s.%s: %s of %s cannot be asked for here: the command %s (%s:%d) has no column of that name",
                  k->root->name, k->field->name, f->name, t->name, c->name, c->file, c->line);
  else
    problems_add(k->problems, k->field->place.file, k->field->place.line,
                 "%s.%s: %s has a field %s, but the command %s (%s:%d) has no column of that name", k->root->name,
                 k->field->name, t->name, f->name, c->name, c->file, c->line);
}

static void check_columns(const struct fitter *k, const struct command *c, const struct description *d) {
  const struct gql_type *t = gql_named(k->field->type);

  if (t->kind != GQL_OBJECT) return;
  for (size_t i = 0; i < t->nfields; i++) {
    size_t j = 0;

    while (j < d->ncolumns && strcmp(d->columns[j], t->fields[i].name) != 0) j++;
    if (j == d->ncolumns) missing(k, t, &t->fields[i], c);
    else if (!fits(t->fields[i].type, d->column_types[j], false, 0))
      problems_add(k->problems, k->field->place.file, k->field->place.line,
                   "%s.%s: %s.%s is %s, which does not fit the column of the command %s (%s:%d), which is %s", k->root->name,
                   k->field->name, t->name, t->fields[i].name, gql_type_text(k->problems->mem, t->fields[i].type), c->name,
                   c->file, c->line, d->column_types[j]->name);
  }
}

/* Whose result the field answers: of a composite that says nothing else, its last member's. */
static const struct command *answering(const struct command *c) {
  while (c && c->kind == COMMAND_COMPOSITE) c = c->result || !c->nmembers ? NULL : c->members[c->nmembers - 1].command;
  return c;
}

static void check_result(const struct fitter *k) {
  const struct command *c = answering(k->field->command);
  const struct description *d;
  enum returns returns;
  const char *why;

  if (!c || !k->ask(k->data, c, &d, &returns)) return;
  why = c->returns == RETURNS_DEFAULT ? result_misfit(k->field->type, result_of(c, returns)) : NULL;
  if (why)
    problems_add(k->problems, k->field->place.file, k->field->place.line, "%s.%s: %s (%s:%d), but here it is %s; %s",
                 k->root->name, k->field->name, result_text(result_of(c, returns)), c->file, c->line,
                 gql_type_text(k->problems->mem, k->field->type), why);
  else if (returns == RETURNS_ONE || returns == RETURNS_OPTIONAL || returns == RETURNS_MANY) check_columns(k, c, d);
}

void schema_fit(const struct schema *s, fit_ask *ask, void *data, struct problems *p) {
  const struct gql_type *roots[] = {s->query, s->mutation};

  for (size_t r = 0; r < 2; r++)
    for (size_t i = 0; roots[r] && i < roots[r]->nfields; i++) {
      struct fitter k = {.ask = ask, .data = data, .problems = p, .root = roots[r], .field = &roots[r]->fields[i]};

      if (!k.field->place.file) continue;
      check_params(&k);
      check_result(&k);
    }
}
