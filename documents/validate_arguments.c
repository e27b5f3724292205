/* Rules of arguments and directives: KnownArgumentNames, UniqueArgumentNames, ProvidedRequiredArguments, KnownDirectives,
 * UniqueDirectivesPerLocation. */
#include "documents/validate_inside.h"

#include "base/arena.h"

#include <string.h>

static void unique_arguments(struct validator *v, const struct names *given) {
  for (size_t i = 0, run; i < given->n; i += run) {
    const struct graphql_argument *first = given->list[i].thing;
    run = names_run(given, i);
    if (run == 1) continue;
    BROKEN(v, "UniqueArgumentNames", first->pos, "There can be only one argument named \"%s\".",
           gql_error_cut(v->mem, first->name));
    for (size_t j = 1; j < run; j++)
      gql_error_also(v->errors, ((const struct graphql_argument *)given->list[i + j].thing)->pos);
  }
}

static void unknown_argument(struct validator *v, const struct graphql_argument *a, const struct argued *of) {
  const char **names;
  size_t n = 0;

  if (gql_errors_full(v->errors)) return;
  names = arena_array(v->mem, const char *, of->ndefs + 1);
  for (size_t i = 0; i < of->ndefs; i++)
    if (view_has_argument(v->view, &of->defs[i])) names[n++] = of->defs[i].name;
  BROKEN(v, "KnownArgumentNames", a->pos, "Unknown argument \"%s\" on %s.%s", gql_error_cut(v->mem, a->name), of->where,
         valid_hint(v, a->name, names));
}

static const struct gql_input *find(const struct validator *v, const struct argued *of, const char *name) {
  const struct gql_input *def = of->known ? schema_input(of->defs, of->ndefs, name) : NULL;

  return def && view_has_argument(v->view, def) ? def : NULL;
}

static bool is_missing(const struct validator *v, const struct gql_input *def, const struct names *given) {
  return gql_is_required(def) && view_has_argument(v->view, def) && !names_find(given, def->name);
}

void valid_arguments(struct validator *v, struct part *part, const struct graphql_argument *list, const struct argued *of) {
  struct names given = {0};

  for (const struct graphql_argument *a = list; a; a = a->next) {
    const struct gql_input *def = find(v, of, a->name);
    if (of->known && !def) unknown_argument(v, a, of);
    valid_value(v, part, a->value, def ? def->type : NULL, def && def->default_value);
    names_add(v->mem, &given, a->name, a);
  }
  names_sort(&given);
  unique_arguments(v, &given);
  for (size_t i = 0; i < of->ndefs; i++)
    if (is_missing(v, &of->defs[i], &given))
      BROKEN(v, "ProvidedRequiredArguments", of->pos,
             "%s argument \"%s\" of type \"%s\" is required, but it was not provided.", of->missing, of->defs[i].name,
             gql_type_text(v->mem, of->defs[i].type));
}

/* ---- directives ---- */

static bool may_stand(const struct gql_directive *def, const char *location) {
  for (size_t i = 0; i < def->nlocations; i++)
    if (strcmp(def->locations[i], location) == 0) return true;
  return false;
}

static const struct gql_directive *find_directive(const struct validator *v, const char *name) {
  const struct gql_directive *d = schema_directive(v->schema, name);

  return d && view_has_directive(v->view, v->schema, d) ? d : NULL;
}

static void check_directive(struct validator *v, struct part *part, const struct graphql_directive *d,
                            const char *location) {
  const struct gql_directive *def = find_directive(v, d->name);
  struct argued of = {.pos = d->pos};

  if (!def) BROKEN(v, "KnownDirectives", d->pos, "Unknown directive \"@%s\".", gql_error_cut(v->mem, d->name));
  else {
    if (!may_stand(def, location))
      BROKEN(v, "KnownDirectives", d->pos, "Directive \"@%s\" may not be used on %s.", def->name, location);
    of = (struct argued){.defs = def->args, .ndefs = def->nargs, .known = true, .pos = d->pos};
    of.missing = arena_printf(v->mem, "Directive \"@%s\"", def->name);
    of.where = arena_printf(v->mem, "directive \"@%s\"", def->name);
  }
  valid_arguments(v, part, d->arguments, &of);
}

void valid_directives(struct validator *v, struct part *part, const struct graphql_directive *list, const char *location) {
  struct names once = {0};

  for (const struct graphql_directive *d = list; d; d = d->next) {
    const struct gql_directive *def = find_directive(v, d->name);
    check_directive(v, part, d, location);
    if (def && !def->repeatable) names_add(v->mem, &once, d->name, d);
  }
  names_sort(&once);
  for (size_t i = 0, run; i < once.n; i += run) {
    const struct graphql_directive *first = once.list[i].thing;
    run = names_run(&once, i);
    for (size_t j = 1; j < run; j++) {
      BROKEN(v, "UniqueDirectivesPerLocation", first->pos, "The directive \"@%s\" can only be used once at this location.",
             first->name);
      gql_error_also(v->errors, ((const struct graphql_directive *)once.list[i + j].thing)->pos);
    }
  }
}
