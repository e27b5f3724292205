/* What stands behind an @ in definitions. */
#include "schema/builder.h"

#include "base/arena.h"

#include <string.h>

const char *builder_directive_text(const struct graphql_directive *directives, const char *name, const char *argument,
                                   const char *fallback) {
  for (const struct graphql_directive *d = directives; d; d = d->next) {
    if (strcmp(d->name, name) != 0) continue;
    for (const struct graphql_argument *a = d->arguments; a; a = a->next)
      if (strcmp(a->name, argument) == 0) return a->value->kind == GRAPHQL_VALUE_STRING ? a->value->text : NULL;
    return fallback;
  }
  return NULL;
}

static void check_argument(struct schema_builder *b, const struct schema_source *source, const struct gql_directive *known,
                           const struct graphql_directive *d, const struct graphql_argument *a) {
  const struct gql_input *input = schema_input(known->args, known->nargs, a->name);
  struct gql_place place = builder_place(source, a->pos);
  const char *why;

  for (const struct graphql_argument *other = d->arguments; other != a; other = other->next)
    if (strcmp(other->name, a->name) == 0) builder_wrong(b, place, "@%s: %s is given twice; keep one", d->name, a->name);
  if (!input) builder_wrong(b, place, "@%s has no argument %s", d->name, a->name);
  else if (input->type && !literal_fits(b->mem, a->value, input->type, &why))
    builder_wrong(b, builder_place(source, a->value->pos), "@%s: %s: %s", d->name, a->name, why);
}

static bool is_given(const struct graphql_directive *d, const char *name) {
  for (const struct graphql_argument *a = d->arguments; a; a = a->next)
    if (strcmp(a->name, name) == 0) return true;
  return false;
}

static bool may_stand(const struct gql_directive *known, const char *location) {
  for (size_t i = 0; i < known->nlocations; i++)
    if (strcmp(known->locations[i], location) == 0) return true;
  return false;
}

/* location: the specification's word for what they stand on. */
static void check_directives(struct schema_builder *b, const struct schema_source *source, const char *location,
                             const struct graphql_directive *directives) {
  for (const struct graphql_directive *d = directives; d; d = d->next) {
    const struct gql_directive *known = schema_directive(b->out, d->name);
    struct gql_place place = builder_place(source, d->pos);

    if (!known) {
      builder_wrong(b, place, "there is no directive @%s; remove it, or declare it with directive @%s on %s", d->name,
                    d->name, location);
      continue;
    }
    if (!may_stand(known, location)) builder_wrong(b, place, "@%s may not stand on %s", d->name, location);
    for (const struct graphql_directive *other = directives; other != d && !known->repeatable; other = other->next)
      if (strcmp(other->name, d->name) == 0) builder_wrong(b, place, "@%s is there twice; keep one", d->name);
    for (const struct graphql_argument *a = d->arguments; a; a = a->next) check_argument(b, source, known, d, a);
    for (size_t i = 0; i < known->nargs; i++)
      if (known->args[i].type && gql_is_required(&known->args[i]) && !is_given(d, known->args[i].name))
        builder_wrong(b, place, "@%s needs %s:", d->name, known->args[i].name);
  }
}

static void check_fields(struct schema_builder *b, const struct schema_source *source, const char *location,
                         const struct graphql_field *first) {
  for (const struct graphql_field *f = first; f; f = f->next) {
    check_directives(b, source, location, f->directives);
    check_fields(b, source, "ARGUMENT_DEFINITION", f->arguments);
  }
}

/* Only commands have states, and who calls names them. */
static void check_states(struct schema_builder *b, const struct schema_source *source,
                         const struct graphql_definition *def) {
  const struct gql_directive *state = schema_directive(b->out, "state");
  bool root = b->out->mutation && strcmp(b->out->mutation->name, def->name) == 0;

  for (const struct graphql_field *f = def->fields; state && state->own && f; f = f->next)
    for (const struct graphql_directive *d = f->directives; d; d = d->next) {
      if (strcmp(d->name, "state") != 0) continue;
      if (!root) builder_wrong(b, builder_place(source, d->pos), "@state is for fields of type Mutation; remove it");
      else if (d->arguments)
        builder_wrong(b, builder_place(source, d->pos), "@state: an id is given by who calls the field; remove it");
    }
}

static void check_definition(struct schema_builder *b, const struct schema_source *source,
                             const struct graphql_definition *d) {
  static const char *const on[] = {
      [GRAPHQL_DEF_SCHEMA] = "SCHEMA",       [GRAPHQL_DEF_SCALAR] = "SCALAR", [GRAPHQL_DEF_TYPE] = "OBJECT",
      [GRAPHQL_DEF_INTERFACE] = "INTERFACE", [GRAPHQL_DEF_UNION] = "UNION",   [GRAPHQL_DEF_ENUM] = "ENUM",
      [GRAPHQL_DEF_INPUT] = "INPUT_OBJECT",
  };
  const char *fields = d->kind == GRAPHQL_DEF_INPUT       ? "INPUT_FIELD_DEFINITION"
                       : d->kind == GRAPHQL_DEF_DIRECTIVE ? "ARGUMENT_DEFINITION"
                                                          : "FIELD_DEFINITION";

  if (d->kind < GRAPHQL_DEF_SCHEMA) return;
  if (on[d->kind]) check_directives(b, source, on[d->kind], d->directives);
  check_fields(b, source, fields, d->fields);
  if (d->kind == GRAPHQL_DEF_TYPE || d->kind == GRAPHQL_DEF_INTERFACE) check_states(b, source, d);
  for (const struct graphql_enum_value *v = d->values; v; v = v->next)
    check_directives(b, source, "ENUM_VALUE", v->directives);
}

void builder_directives(struct schema_builder *b) {
  for (size_t i = 0; i < b->nsources; i++)
    for (const struct graphql_definition *d = b->sources[i].document->definitions; d; d = d->next)
      check_definition(b, &b->sources[i], d);
}
