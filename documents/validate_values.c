/* Rules of literals: ValuesOfCorrectType, UniqueInputFieldNames. And where variables are used: what is expected there. */
#include "documents/validate_inside.h"

#include "base/arena.h"
#include "base/str.h"
#include "documents/scalar.h"
#include "graphql/print.h"

static void use_variable(struct validator *v, struct part *part, const struct graphql_value *value,
                         const struct gql_type *type, bool has_default) {
  struct usage *usage;

  if (!part) return;
  usage = arena_new(v->mem, struct usage);
  *usage = (struct usage){value->text, value->pos, type, has_default, part->usages};
  part->usages = usage;
}

static void not_of_type(struct validator *v, const struct graphql_value *value, const struct gql_type *type) {
  struct str *s;

  if (gql_errors_full(v->errors)) return;
  s = str_new(v->mem, 64);
  graphql_print_value(s, value);
  BROKEN(v, "ValuesOfCorrectType", value->pos, "Expected value of type \"%s\", found %s.", gql_type_text(v->mem, type),
         gql_error_cut(v->mem, s->p));
}

static void check_leaf(struct validator *v, const struct graphql_value *value, const struct gql_type *type) {
  const struct gql_type *leaf = gql_named(type);
  const struct json *out;
  const char *wrong;

  if (!gql_is_leaf(leaf)) {
    not_of_type(v, value, type);
    return;
  }
  if (gql_errors_full(v->errors)) return;
  wrong = scalar_of_literal(v->mem, leaf, value, &out);
  if (wrong) BROKEN(v, "ValuesOfCorrectType", value->pos, "%s", wrong);
}

/* judged: ValuesOfCorrectType has not been told yet of what this stands in. */
static void check(struct validator *v, struct part *part, const struct graphql_value *value, const struct gql_type *type,
                  bool has_default, bool judged);

static void check_list(struct validator *v, struct part *part, const struct graphql_value *value,
                       const struct gql_type *type, bool judged) {
  const struct gql_type *of = type && type->kind == GQL_NON_NULL ? type->of : type;
  bool is_list = of && of->kind == GQL_LIST;

  if (of && !is_list && judged) check_leaf(v, value, type);
  for (const struct graphql_value *item = value->items; item; item = item->next)
    check(v, part, item, is_list ? of->of : of, false, judged && is_list);
}

static void unique_fields(struct validator *v, const struct names *given) {
  for (size_t i = 0, run; i < given->n; i += run) {
    const struct graphql_argument *first = given->list[i].thing;
    run = names_run(given, i);
    for (size_t j = 1; j < run; j++) {
      BROKEN(v, "UniqueInputFieldNames", first->pos, "There can be only one input field named \"%s\".",
             gql_error_cut(v->mem, first->name));
      gql_error_also(v->errors, ((const struct graphql_argument *)given->list[i + j].thing)->pos);
    }
  }
}

static void unknown_field(struct validator *v, const struct graphql_argument *field, const struct gql_type *type) {
  const char **names;
  size_t n = 0;

  if (gql_errors_full(v->errors)) return;
  names = arena_array(v->mem, const char *, type->ninputs + 1);
  for (size_t i = 0; i < type->ninputs; i++)
    if (view_has_input(v->view, type, &type->inputs[i])) names[n++] = type->inputs[i].name;
  BROKEN(v, "ValuesOfCorrectType", field->pos, "Field \"%s\" is not defined by type \"%s\".%s",
         gql_error_cut(v->mem, field->name), type->name, valid_hint(v, field->name, names));
}

static const struct gql_input *find(const struct validator *v, const struct gql_type *type, const char *name) {
  const struct gql_input *def = type ? schema_input_field(type, name) : NULL;

  return def && view_has_input(v->view, type, def) ? def : NULL;
}

static bool is_missing(const struct validator *v, const struct gql_type *type, const struct gql_input *def,
                       const struct names *given) {
  return gql_is_required(def) && view_has_input(v->view, type, def) && !names_find(given, def->name);
}

static void required_fields(struct validator *v, const struct graphql_value *value, const struct gql_type *type,
                            const struct names *given) {
  for (size_t i = 0; i < type->ninputs; i++)
    if (is_missing(v, type, &type->inputs[i], given))
      BROKEN(v, "ValuesOfCorrectType", value->pos, "Field \"%s.%s\" of required type \"%s\" was not provided.", type->name,
             type->inputs[i].name, gql_type_text(v->mem, type->inputs[i].type));
}

static void check_object(struct validator *v, struct part *part, const struct graphql_value *value,
                         const struct gql_type *type, bool judged) {
  const struct gql_type *input = type ? gql_named(type) : NULL;
  struct names given = {0};

  if (input && input->kind != GQL_INPUT) {
    if (judged) check_leaf(v, value, type);
    input = NULL;
    judged = false;
  }
  for (const struct graphql_argument *field = value->fields; field; field = field->next) {
    const struct gql_input *def = find(v, input, field->name);
    names_add(v->mem, &given, field->name, field);
    if (input && !def && judged) unknown_field(v, field, input);
    check(v, part, field->value, def ? def->type : NULL, def && def->default_value, judged);
  }
  names_sort(&given);
  unique_fields(v, &given);
  if (input && judged) required_fields(v, value, input, &given);
}

static void check(struct validator *v, struct part *part, const struct graphql_value *value, const struct gql_type *type,
                  bool has_default, bool judged) {
  switch (value->kind) {
  case GRAPHQL_VALUE_VARIABLE: use_variable(v, part, value, type, has_default); break;
  case GRAPHQL_VALUE_LIST: check_list(v, part, value, type, judged); break;
  case GRAPHQL_VALUE_OBJECT: check_object(v, part, value, type, judged); break;
  case GRAPHQL_VALUE_NULL:
    if (judged && type && type->kind == GQL_NON_NULL) not_of_type(v, value, type);
    break;
  default:
    if (judged && type) check_leaf(v, value, type);
  }
}

void valid_value(struct validator *v, struct part *part, const struct graphql_value *value, const struct gql_type *type,
                 bool has_default) {
  check(v, part, value, type, has_default, true);
}
