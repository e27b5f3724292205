/* Literals of the schema itself, which are defaults and arguments of directives, held against their types. */
#include "schema/builder.h"

#include "base/arena.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static bool is_int(const struct graphql_value *value) {
  long n;

  if (value->kind != GRAPHQL_VALUE_INT) return false;
  errno = 0;
  n = strtol(value->text, NULL, 10);
  return errno == 0 && n >= INT_MIN && n <= INT_MAX;
}

/* Scalars of others say themselves what they take. */
static bool fits_scalar(const struct graphql_value *value, const struct gql_type *type) {
  enum graphql_value_kind kind = value->kind;

  if (!type->built_in) return true;
  if (strcmp(type->name, "Int") == 0) return is_int(value);
  if (strcmp(type->name, "Float") == 0) return kind == GRAPHQL_VALUE_INT || kind == GRAPHQL_VALUE_FLOAT;
  if (strcmp(type->name, "ID") == 0) return kind == GRAPHQL_VALUE_INT || kind == GRAPHQL_VALUE_STRING;
  return kind == (strcmp(type->name, "Boolean") == 0 ? GRAPHQL_VALUE_BOOLEAN : GRAPHQL_VALUE_STRING);
}

static bool refuse(const char **why, const char *text) {
  *why = text;
  return false;
}

static const struct graphql_argument *given(const struct graphql_argument *first, const char *name) {
  for (const struct graphql_argument *a = first; a; a = a->next)
    if (strcmp(a->name, name) == 0) return a;
  return NULL;
}

static bool fits_object(const void *mem, const struct graphql_value *value, const struct gql_type *type, const char **why) {
  if (value->kind != GRAPHQL_VALUE_OBJECT) return refuse(why, arena_printf(mem, "%s is an object", type->name));
  for (const struct graphql_argument *a = value->fields; a; a = a->next) {
    const struct gql_input *input = schema_input_field(type, a->name);

    if (given(value->fields, a->name) != a) return refuse(why, arena_printf(mem, "%s is given twice", a->name));
    if (!input) return refuse(why, arena_printf(mem, "%s has no field %s", type->name, a->name));
    if (!literal_fits(mem, a->value, input->type, why)) return false;
  }
  for (size_t i = 0; i < type->ninputs; i++)
    if (gql_is_required(&type->inputs[i]) && !given(value->fields, type->inputs[i].name))
      return refuse(why, arena_printf(mem, "%s needs %s", type->name, type->inputs[i].name));
  return true;
}

static bool fits_list(const void *mem, const struct graphql_value *value, const struct gql_type *type, const char **why) {
  if (value->kind != GRAPHQL_VALUE_LIST) return literal_fits(mem, value, type->of, why); /* one will do for a list of one */
  for (const struct graphql_value *item = value->items; item; item = item->next)
    if (!literal_fits(mem, item, type->of, why)) return false;
  return true;
}

bool literal_fits(const void *mem, const struct graphql_value *value, const struct gql_type *type, const char **why) {
  if (value->kind == GRAPHQL_VALUE_VARIABLE) return refuse(why, "a variable cannot stand here");
  if (type->kind == GQL_NON_NULL)
    return value->kind == GRAPHQL_VALUE_NULL ? refuse(why, arena_printf(mem, "null is no %s", gql_type_text(mem, type)))
                                             : literal_fits(mem, value, type->of, why);
  if (value->kind == GRAPHQL_VALUE_NULL) return true;
  if (type->kind == GQL_LIST) return fits_list(mem, value, type, why);
  if (type->kind == GQL_INPUT) return fits_object(mem, value, type, why);
  if (type->kind == GQL_ENUM ? value->kind == GRAPHQL_VALUE_ENUM && schema_value(type, value->text) != NULL
                             : fits_scalar(value, type))
    return true;
  return refuse(why, arena_printf(mem, "that is no %s", type->name));
}
