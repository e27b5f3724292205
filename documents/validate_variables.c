/* Rules of variables: UniqueVariableNames, VariablesAreInputTypes, and by use NoUndefinedVariables, NoUnusedVariables,
 * VariablesInAllowedPosition. */
#include "documents/validate_inside.h"

#include "base/arena.h"

#include <string.h>

static void unique_names(struct validator *v, const struct names *names) {
  for (size_t i = 0, run; i < names->n; i += run) {
    const struct graphql_variable *first = names->list[i].thing;
    run = names_run(names, i);
    if (run == 1) continue;
    BROKEN(v, "UniqueVariableNames", first->name_pos, "There can be only one variable named \"$%s\".",
           gql_error_cut(v->mem, first->name));
    for (size_t j = 1; j < run; j++)
      gql_error_also(v->errors, ((const struct graphql_variable *)names->list[i + j].thing)->name_pos);
  }
}

static void check_definition(struct validator *v, struct part *operation, const struct graphql_variable *var) {
  const struct gql_type *t = valid_type_of(v, var->type);
  const struct graphql_type *innermost = var->type;

  while (!innermost->name) innermost = innermost->of;
  valid_name_type(v, innermost->name, innermost->pos);
  if (t && !gql_is_input(t))
    BROKEN(v, "VariablesAreInputTypes", var->type->pos, "Variable \"$%s\" cannot be non-input type \"%s\".",
           gql_error_cut(v->mem, var->name), gql_type_text(v->mem, t));
  if (var->default_value) valid_value(v, NULL, var->default_value, t && gql_is_input(t) ? t : NULL, false);
  valid_directives(v, operation, var->directives, "VARIABLE_DEFINITION");
}

static struct names names_of(struct validator *v, const struct part *operation) {
  struct names names = {0};

  for (const struct graphql_variable *var = operation->def->variables; var; var = var->next)
    names_add(v->mem, &names, var->name, var);
  names_sort(&names);
  return names;
}

void valid_variables(struct validator *v, struct part *operation) {
  struct names names = names_of(v, operation);

  unique_names(v, &names);
  for (const struct graphql_variable *var = operation->def->variables; var; var = var->next)
    check_definition(v, operation, var);
}

/* ---- uses ---- */

/* AreTypesCompatible() of the specification, section 5.8.5. */
static bool compatible(const struct gql_type *variable, const struct gql_type *place) {
  if (place->kind == GQL_NON_NULL) return variable->kind == GQL_NON_NULL && compatible(variable->of, place->of);
  if (variable->kind == GQL_NON_NULL) return compatible(variable->of, place);
  if (place->kind == GQL_LIST) return variable->kind == GQL_LIST && compatible(variable->of, place->of);
  return variable == place;
}

/* IsVariableUsageAllowed(). */
static bool allowed(const struct gql_type *variable, const struct graphql_value *fallback, const struct usage *usage) {
  bool never_null = (fallback && fallback->kind != GRAPHQL_VALUE_NULL) || usage->has_default;

  if (usage->type->kind == GQL_NON_NULL && variable->kind != GQL_NON_NULL)
    return never_null && compatible(variable, usage->type->of);
  return compatible(variable, usage->type);
}

static const char *of_operation(struct validator *v, const struct part *operation, const char *words) {
  if (!operation->def->name) return "";
  return arena_printf(v->mem, " %s operation \"%s\"", words, gql_error_cut(v->mem, operation->def->name));
}

static void check_usage(struct validator *v, const struct part *operation, const struct names *names,
                        const struct usage *usage) {
  struct named *found = names_find(names, usage->name);
  const struct graphql_variable *var;
  const struct gql_type *t;

  if (!found) {
    BROKEN(v, "NoUndefinedVariables", usage->pos, "Variable \"$%s\" is not defined%s.", gql_error_cut(v->mem, usage->name),
           of_operation(v, operation, "by"));
    gql_error_also(v->errors, operation->def->pos);
    return;
  }
  var = found->thing;
  found->used = true;
  t = usage->type ? valid_type_of(v, var->type) : NULL;
  if (!t || allowed(t, var->default_value, usage)) return;
  BROKEN(v, "VariablesInAllowedPosition", var->pos,
         "Variable \"$%s\" of type \"%s\" used in position expecting type \"%s\".", gql_error_cut(v->mem, var->name),
         gql_type_text(v->mem, t), gql_type_text(v->mem, usage->type));
  gql_error_also(v->errors, usage->pos);
}

static bool check_usages(struct validator *v, const struct part *operation, const struct names *names,
                         const struct part *part) {
  for (const struct usage *usage = part->usages; usage; usage = usage->next) {
    if (!valid_works(v, 1) || gql_errors_full(v->errors)) return false;
    check_usage(v, operation, names, usage);
  }
  return true;
}

void valid_variable_uses(struct validator *v, struct part *operation) {
  struct names names = names_of(v, operation);
  struct part **reached;
  size_t n;

  if (!valid_reach(v, operation, &reached, &n) || !check_usages(v, operation, &names, operation)) return;
  for (size_t i = 0; i < n; i++)
    if (!check_usages(v, operation, &names, reached[i])) return;
  for (const struct graphql_variable *var = operation->def->variables; var; var = var->next) {
    const struct named *found = names_find(&names, var->name);
    if (!found->used)
      BROKEN(v, "NoUnusedVariables", var->pos, "Variable \"$%s\" is never used%s.", gql_error_cut(v->mem, var->name),
             of_operation(v, operation, "in"));
  }
}
