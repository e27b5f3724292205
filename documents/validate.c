/* Validation: the definitions of a document, and the order in which rules are asked. */
#include "documents/validate.h"

#include "base/arena.h"
#include "base/nearest.h"
#include "documents/validate_inside.h"

#include <stdlib.h>
#include <string.h>

/* Steps, of some 10 ns to 100 ns each. What people write takes some thousands. */
enum { WORK_MAX = 1000000 };

bool valid_works(struct validator *v, size_t n) {
  v->work += n;
  if (v->work <= WORK_MAX) return true;
  if (!v->exhausted)
    BROKEN(v, "DocumentLimits", v->parts[0].def->pos,
           "The document is too entangled to be validated: its fragments, variables or fields of one name are too many.");
  v->exhausted = true;
  return false;
}

const struct gql_type *valid_type(const struct validator *v, const char *name) {
  const struct gql_type *t = schema_type(v->schema, name);

  return t && view_has_type(v->view, t) ? t : NULL;
}

static const struct gql_type *wrapped(const struct validator *v, enum gql_kind kind, const struct gql_type *of) {
  struct gql_type *t = arena_new(v->mem, struct gql_type);

  *t = (struct gql_type){.kind = kind, .of = of};
  return t;
}

const struct gql_type *valid_type_of(const struct validator *v, const struct graphql_type *written) {
  const struct gql_type *t = written->name ? valid_type(v, written->name) : valid_type_of(v, written->of);

  if (t && !written->name) t = wrapped(v, GQL_LIST, t);
  return t && written->required ? wrapped(v, GQL_NON_NULL, t) : t;
}

const char *valid_hint(const struct validator *v, const char *word, const char *const *names) {
  const char *likely = nearest(word, names);

  return likely ? arena_printf(v->mem, " Did you mean \"%s\"?", likely) : "";
}

void valid_name_type(struct validator *v, const char *name, struct graphql_pos at) {
  const char **names;
  size_t n = 0;

  if (valid_type(v, name) || gql_errors_full(v->errors)) return;
  names = arena_array(v->mem, const char *, v->schema->ntypes + 1);
  for (size_t i = 0; i < v->schema->ntypes; i++)
    if (view_has_type(v->view, v->schema->types[i])) names[n++] = v->schema->types[i]->name;
  BROKEN(v, "KnownTypeNames", at, "Unknown type \"%s\".%s", gql_error_cut(v->mem, name), valid_hint(v, name, names));
}

/* ---- definitions --------------------------------------------------------------------------------------------------- */

static void not_executable(struct validator *v, const struct graphql_definition *def) {
  struct graphql_pos at = def->description ? def->description->pos : def->pos;

  if (def->kind == GRAPHQL_DEF_SCHEMA) BROKEN(v, "ExecutableDefinitions", at, "The schema definition is not executable.");
  else BROKEN(v, "ExecutableDefinitions", at, "The \"%s\" definition is not executable.", gql_error_cut(v->mem, def->name));
}

static void take_definitions(struct validator *v, const struct graphql_document *doc) {
  for (const struct graphql_definition *def = doc->definitions; def; def = def->next) {
    if (def->kind != GRAPHQL_DEF_OPERATION && def->kind != GRAPHQL_DEF_FRAGMENT) {
      not_executable(v, def);
      continue;
    }
    arena_grow(v->mem, v->parts, v->nparts);
    v->parts[v->nparts++] = (struct part){.def = def};
  }
}

static void operation_names(struct validator *v) {
  struct names names = {0};
  size_t n = 0;

  for (size_t i = 0; i < v->nparts; i++) {
    const struct graphql_definition *def = v->parts[i].def;
    n += def->kind == GRAPHQL_DEF_OPERATION;
    if (def->kind == GRAPHQL_DEF_OPERATION && def->name) names_add(v->mem, &names, def->name, def);
  }
  names_sort(&names);
  for (size_t i = 0, run; i < names.n; i += run) {
    const struct graphql_definition *first = names.list[i].thing;
    run = names_run(&names, i);
    for (size_t j = 1; j < run; j++) {
      const struct graphql_definition *again = names.list[i + j].thing;
      BROKEN(v, "UniqueOperationNames", first->name_pos, "There can be only one operation named \"%s\".",
             gql_error_cut(v->mem, first->name));
      gql_error_also(v->errors, again->name_pos);
    }
  }
  for (size_t i = 0; n > 1 && i < v->nparts; i++)
    if (v->parts[i].def->kind == GRAPHQL_DEF_OPERATION && !v->parts[i].def->name)
      BROKEN(v, "LoneAnonymousOperation", v->parts[i].def->pos,
             "This anonymous operation must be the only defined operation.");
}

static const struct gql_type *root_type(struct validator *v, const struct graphql_definition *def) {
  const struct gql_type *t;

  if (def->operation == GRAPHQL_SUBSCRIPTION) {
    BROKEN(v, "OperationRootType", def->pos, "Subscriptions are not offered here; the event log is: /events.");
    return NULL;
  }
  t = def->operation == GRAPHQL_QUERY ? v->schema->query : v->schema->mutation;
  if (t && view_has_type(v->view, t)) return t;
  BROKEN(v, "OperationRootType", def->pos, "There are no %s for this caller.",
         def->operation == GRAPHQL_QUERY ? "queries" : "mutations");
  return NULL;
}

/* ---- all rules ----------------------------------------------------------------------------------------------------- */

static void walk_parts(struct validator *v) {
  for (size_t i = 0; i < v->nparts && !gql_errors_full(v->errors); i++) {
    struct part *part = &v->parts[i];
    if (part->def->kind == GRAPHQL_DEF_OPERATION) {
      part->type = root_type(v, part->def);
      valid_variables(v, part);
    }
    valid_walk(v, part);
  }
}

static void check_operations(struct validator *v) {
  valid_fragment_uses(v);
  for (size_t i = 0; i < v->nparts && !v->exhausted && !gql_errors_full(v->errors); i++)
    if (v->parts[i].def->kind == GRAPHQL_DEF_OPERATION) valid_variable_uses(v, &v->parts[i]);
}

/* In order of places; of equals, as they were found. */
static void sort_errors(struct gql_errors *errors) {
  for (size_t i = 1; i < errors->n && i < GQL_ERRORS_MAX; i++)
    for (size_t j = i; j > 0 && errors->list[j].nlocations; j--) {
      const struct graphql_pos *a = errors->list[j - 1].locations, *b = errors->list[j].locations;
      struct gql_error swapped = errors->list[j];
      if (a->line < b->line || (a->line == b->line && a->column <= b->column)) break;
      errors->list[j] = errors->list[j - 1];
      errors->list[j - 1] = swapped;
    }
}

bool document_validate(void *mem, const struct schema_view *view, const struct schema *schema,
                       const struct graphql_document *doc, const struct document_limits *limits, struct gql_errors *errors) {
  struct validator v = {.mem = mem, .view = view, .schema = schema, .limits = limits, .errors = errors};

  take_definitions(&v, doc);
  if (v.nparts) {
    operation_names(&v);
    valid_fragment_names(&v);
    walk_parts(&v);
  }
  if (v.nparts && !gql_errors_full(errors)) { /* else there may be parts that have not been walked */
    valid_fragment_cycles(&v);
    check_operations(&v);
    if (valid_limits(&v)) valid_merge(&v);
  }
  sort_errors(errors);
  errors->rule = NULL;
  return !errors->n;
}
