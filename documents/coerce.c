/* Values by type. Recursion goes as deep as the JSON or the literal does, which have their limits; and a default value of an
 * input object, which may have defaults in it, cannot contain itself: schema_read refuses that. */
#include "documents/coerce.h"

#include "base/arena.h"
#include "base/nearest.h"
#include "base/str.h"
#include "documents/names.h"
#include "documents/scalar.h"

#include <stdlib.h>
#include <string.h>

/* Of a value that is wrong; more than a message takes (errors.c). */
enum { SHOWN_BYTES = 200 };

/* Where in a variable's value: links from the innermost outwards. */
struct step {
  const struct step *outer;
  const char *key; /* NULL: an item */
  size_t index;
};

struct coercion {
  void *mem;
  const struct schema_view *view; /* of JSON: which fields are there */
  const struct schema *schema;
  const struct json *variables; /* of literals */
  struct gql_errors *errors;
  const struct graphql_variable *variable; /* of JSON: whose value it is */
};

/* ---- JSON in the making ---- */

struct object {
  const char **keys;
  struct json *values;
  size_t n;
};

static void object_put(struct coercion *c, struct object *o, const char *key, const struct json *value) {
  arena_grow(c->mem, o->keys, o->n);
  arena_grow(c->mem, o->values, o->n);
  o->keys[o->n] = key;
  o->values[o->n++] = *value;
}

static const struct json *object_json(struct coercion *c, const struct object *o) {
  struct json *j = arena_new(c->mem, struct json);

  *j = (struct json){.kind = JSON_OBJECT, .len = o->n, .items = o->values, .keys = o->keys};
  return j;
}

static const struct json *list_json(struct coercion *c, const struct json *items, size_t n) {
  struct json *j = arena_new(c->mem, struct json);

  *j = (struct json){.kind = JSON_ARRAY, .len = n, .items = items};
  return j;
}

/* A single value where a list is expected, around it as many brackets as the type has. */
static const struct json *in_lists(struct coercion *c, const struct json *value) {
  return value ? list_json(c, value, 1) : NULL;
}

static const struct gql_type *nullable(const struct gql_type *t) { return t->kind == GQL_NON_NULL ? t->of : t; }

static const struct json *of_literal(struct coercion *c, const struct gql_type *type, const struct graphql_value *value);

/* ---- JSON by type -------------------------------------------------------------------------------------------------- */

static void put_path(struct str *s, const struct step *step) {
  if (!step) return;
  put_path(s, step->outer);
  if (step->key) str_printf(s, ".%s", step->key);
  else str_printf(s, "[%zu]", step->index);
}

/* The beginning of a value, for a message: 50 errors may each be of the whole of a large one. */
static void put_start(struct str *s, const struct json *value) {
  bool object = value->kind == JSON_OBJECT;

  if (value->kind == JSON_STRING || value->kind == JSON_NUMBER) {
    struct json start = *value;

    if (start.len > SHOWN_BYTES) start.len = SHOWN_BYTES;
    if (start.kind == JSON_STRING) str_json_bytes(s, start.text, start.len);
    else str_bytes(s, start.text, start.len);
    return;
  }
  if (!object && value->kind != JSON_ARRAY) {
    json_write(s, value);
    return;
  }
  str_char(s, object ? '{' : '[');
  for (size_t i = 0; i < value->len && s->len <= SHOWN_BYTES; i++) {
    if (i) str_char(s, ',');
    if (object) str_json_bytes(s, value->keys[i], strnlen(value->keys[i], SHOWN_BYTES));
    if (object) str_char(s, ':');
    put_start(s, &value->items[i]);
  }
  str_char(s, object ? '}' : ']');
}

static const struct json *refuse(struct coercion *c, const struct json *value, const struct step *step, const char *why) {
  struct str *s = str_new(c->mem, 128), *path = str_new(c->mem, 64), *shown = str_new(c->mem, 64);
  const char *name = gql_error_cut(c->mem, c->variable->name);

  if (gql_errors_full(c->errors)) return NULL;
  put_start(shown, value);
  str_printf(s, "Variable \"$%s\" got invalid value %s", name, gql_error_cut(c->mem, shown->p));
  put_path(path, step);
  if (step) str_printf(s, " at \"%s%s\"", name, gql_error_cut(c->mem, path->p));
  gql_error_add(c->errors, c->variable->pos, "%s; %s", s->p, why);
  return NULL;
}

static const struct json *of_json(struct coercion *c, const struct gql_type *type, const struct json *value,
                                  const struct step *step);

static const struct json *list_of_json(struct coercion *c, const struct gql_type *item, const struct json *value,
                                       const struct step *step) {
  struct json *items;
  bool ok = true;

  if (value->kind != JSON_ARRAY) return in_lists(c, of_json(c, item, value, step));
  items = arena_array(c->mem, struct json, value->len + 1);
  for (size_t i = 0; i < value->len && !gql_errors_full(c->errors); i++) {
    struct step here = {step, NULL, i};
    const struct json *made = of_json(c, item, &value->items[i], &here);
    if (made) items[i] = *made;
    else ok = false;
  }
  return ok ? list_json(c, items, value->len) : NULL;
}

static const struct json *default_of(struct coercion *c, const struct gql_input *input) {
  struct coercion constant = *c;

  constant.variables = NULL;
  return of_literal(&constant, input->type, input->default_value);
}

static bool has_field(const struct coercion *c, const struct gql_type *type, const struct gql_input *input) {
  return input && view_has_input(c->view, type, input);
}

static bool unknown_fields(struct coercion *c, const struct gql_type *type, const struct json *value,
                           const struct step *step) {
  bool found = false;

  for (size_t i = 0; i < value->len && !gql_errors_full(c->errors); i++) {
    const char **names, *likely;
    size_t n = 0;
    if (has_field(c, type, schema_input_field(type, value->keys[i]))) continue;
    found = true;
    names = arena_array(c->mem, const char *, type->ninputs + 1);
    for (size_t j = 0; j < type->ninputs; j++)
      if (has_field(c, type, &type->inputs[j])) names[n++] = type->inputs[j].name;
    likely = nearest(value->keys[i], names);
    refuse(c, value, step,
           arena_printf(c->mem, "Field \"%s\" is not defined by type \"%s\".%s", gql_error_cut(c->mem, value->keys[i]),
                        type->name, likely ? arena_printf(c->mem, " Did you mean \"%s\"?", likely) : ""));
  }
  return found;
}

/* A member of an object of JSON, by its names in order. */
static struct names members_of(struct coercion *c, const struct json *object) {
  struct names names = {0};

  for (size_t i = 0; i < object->len; i++) names_add(c->mem, &names, object->keys[i], &object->items[i]);
  names_sort(&names);
  return names;
}

static const struct json *object_of_json(struct coercion *c, const struct gql_type *type, const struct json *value,
                                         const struct step *step) {
  struct object object = {0};
  struct names members;
  bool ok = true;

  if (value->kind != JSON_OBJECT)
    return refuse(c, value, step, arena_printf(c->mem, "Expected type \"%s\" to be an object.", type->name));
  members = members_of(c, value);
  for (size_t i = 0; i < type->ninputs && !gql_errors_full(c->errors); i++) {
    const struct gql_input *input = &type->inputs[i];
    const struct json *given = names_thing(&members, input->name), *made;
    struct step here = {step, input->name, 0};
    if ((!given && !input->default_value && !gql_is_required(input)) || !has_field(c, type, input)) continue;
    if (given) made = of_json(c, input->type, given, &here);
    else if (input->default_value) made = default_of(c, input);
    else
      made = refuse(c, value, step,
                    arena_printf(c->mem, "Field \"%s\" of required type \"%s\" was not provided.", input->name,
                                 gql_type_text(c->mem, input->type)));
    if (made) object_put(c, &object, input->name, made);
    else ok = false;
  }
  if (unknown_fields(c, type, value, step) || !ok) return NULL;
  return object_json(c, &object);
}

static const struct json *of_json(struct coercion *c, const struct gql_type *type, const struct json *value,
                                  const struct step *step) {
  const struct json *out;
  const char *wrong;

  if (value->kind == JSON_NULL) {
    if (type->kind != GQL_NON_NULL) return &json_null;
    return refuse(c, value, step,
                  arena_printf(c->mem, "Expected non-nullable type \"%s\" not to be null.", gql_type_text(c->mem, type)));
  }
  type = nullable(type);
  if (type->kind == GQL_LIST) return list_of_json(c, type->of, value, step);
  if (type->kind == GQL_INPUT) return object_of_json(c, type, value, step);
  wrong = scalar_of_json(c->mem, type, value, &out);
  return wrong ? refuse(c, value, step, wrong) : out;
}

/* ---- variables ----------------------------------------------------------------------------------------------------- */

static const struct gql_type *type_of(struct coercion *c, const struct graphql_type *written) {
  const struct gql_type *t = written->name ? schema_type(c->schema, written->name) : type_of(c, written->of);
  struct gql_type *wrapped;

  for (int i = 0; t && i < 2; i++) {
    if (i == 0 ? written->name != NULL : !written->required) continue;
    wrapped = arena_new(c->mem, struct gql_type);
    *wrapped = (struct gql_type){.kind = i == 0 ? GQL_LIST : GQL_NON_NULL, .of = t};
    t = wrapped;
  }
  return t;
}

/* NULL: an error, or no value. */
static const struct json *variable_value(struct coercion *c, const struct gql_type *type, const struct json *given) {
  const struct graphql_variable *var = c->variable;

  if (!given && var->default_value) return of_literal(c, type, var->default_value);
  if (!given && type->kind != GQL_NON_NULL) return NULL;
  if (given && (given->kind != JSON_NULL || type->kind != GQL_NON_NULL)) return of_json(c, type, given, NULL);
  if (!given)
    gql_error_add(c->errors, var->pos, "Variable \"$%s\" of required type \"%s\" was not provided.",
                  gql_error_cut(c->mem, var->name), gql_type_text(c->mem, type));
  else
    gql_error_add(c->errors, var->pos, "Variable \"$%s\" of non-null type \"%s\" must not be null.",
                  gql_error_cut(c->mem, var->name), gql_type_text(c->mem, type));
  return NULL;
}

const struct json *coerce_variables(void *mem, const struct schema_view *view, const struct schema *schema,
                                    const struct graphql_definition *operation, const struct json *given,
                                    struct gql_errors *errors) {
  struct coercion c = {.mem = mem, .view = view, .schema = schema, .errors = errors};
  struct names members = {0}, values = {0};
  struct object object = {0};
  size_t before = errors->n;

  if (given && given->kind == JSON_OBJECT) members = members_of(&c, given);
  for (c.variable = operation->variables; c.variable && !gql_errors_full(errors); c.variable = c.variable->next) {
    const struct gql_type *type = type_of(&c, c.variable->type);
    const struct json *value = type ? variable_value(&c, type, names_thing(&members, c.variable->name)) : NULL;
    if (value) names_add(mem, &values, c.variable->name, value);
  }
  names_sort(&values);
  for (size_t i = 0; i < values.n; i++) object_put(&c, &object, values.list[i].name, values.list[i].thing);
  return errors->n == before ? object_json(&c, &object) : NULL;
}

const struct json *coerced(const struct json *variables, const char *name) {
  size_t low = 0, high = variables ? variables->len : 0;

  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = strcmp(name, variables->keys[middle]);
    if (order == 0) return &variables->items[middle];
    if (order < 0) high = middle;
    else low = middle + 1;
  }
  return NULL;
}

/* ---- literals by type ---------------------------------------------------------------------------------------------- */

/* Of a valid document, so what is left to be wrong is what a variable brings. */
static const struct json *literal_wrong(struct coercion *c, const struct graphql_value *value, const char *why) {
  gql_error_add(c->errors, value->pos, "%s", why);
  return NULL;
}

static const struct json *of_variable(struct coercion *c, const struct gql_type *type, const struct graphql_value *value) {
  const struct json *given = coerced(c->variables, value->text);

  if (given && given->kind == JSON_NULL && type->kind == GQL_NON_NULL)
    return literal_wrong(c, value,
                         arena_printf(c->mem, "Variable \"$%s\" must not be null here, where \"%s\" is expected.",
                                      gql_error_cut(c->mem, value->text), gql_type_text(c->mem, type)));
  return given; /* of the right type: VariablesInAllowedPosition has seen to that */
}

static const struct json *list_of_literal(struct coercion *c, const struct gql_type *item,
                                          const struct graphql_value *value) {
  struct json *items;
  size_t n = 0;
  bool ok = true;

  if (value->kind != GRAPHQL_VALUE_LIST) return in_lists(c, of_literal(c, item, value));
  items = arena_array(c->mem, struct json, value->len + 1);
  for (const struct graphql_value *v = value->items; v && !gql_errors_full(c->errors); v = v->next) {
    bool missing = v->kind == GRAPHQL_VALUE_VARIABLE && !coerced(c->variables, v->text);
    const struct json *made = missing && item->kind != GQL_NON_NULL ? &json_null : of_literal(c, item, v);
    if (made) items[n++] = *made;
    else if (missing)
      ok = literal_wrong(c, v,
                         arena_printf(c->mem, "Variable \"$%s\" has no value, and the list takes no null here.",
                                      gql_error_cut(c->mem, v->text)));
    else ok = false;
  }
  return ok ? list_json(c, items, n) : NULL;
}

/* Fields given, with those left out that are a variable without a value. */
static struct names fields_given(struct coercion *c, const struct graphql_value *value) {
  struct names given = {0};

  for (const struct graphql_argument *f = value->fields; f; f = f->next)
    if (f->value->kind != GRAPHQL_VALUE_VARIABLE || coerced(c->variables, f->value->text))
      names_add(c->mem, &given, f->name, f->value);
  names_sort(&given);
  return given;
}

static const struct json *object_of_literal(struct coercion *c, const struct gql_type *type,
                                            const struct graphql_value *value) {
  struct object object = {0};
  struct names given;
  bool ok = true;

  if (value->kind != GRAPHQL_VALUE_OBJECT)
    return literal_wrong(c, value, arena_printf(c->mem, "Expected type \"%s\" to be an object.", type->name));
  given = fields_given(c, value);
  for (size_t i = 0; i < type->ninputs && !gql_errors_full(c->errors); i++) {
    const struct gql_input *input = &type->inputs[i];
    const struct graphql_value *literal = names_thing(&given, input->name);
    const struct json *made;
    if (!literal && !input->default_value && !gql_is_required(input)) continue;
    if (literal) made = of_literal(c, input->type, literal);
    else if (input->default_value) made = default_of(c, input);
    else
      made = literal_wrong(c, value,
                           arena_printf(c->mem, "Field \"%s\" of required type \"%s\" was not provided.", input->name,
                                        gql_type_text(c->mem, input->type)));
    if (made) object_put(c, &object, input->name, made);
    else ok = false;
  }
  return ok ? object_json(c, &object) : NULL;
}

/* For scalars that writ knows nothing of: as it is written. A variable without a value is null. */
static const struct json *untyped(struct coercion *c, const struct graphql_value *value) {
  const struct json *plain;
  struct object object = {0};
  struct json *items;
  size_t n = 0;

  switch (value->kind) {
  case GRAPHQL_VALUE_VARIABLE: plain = coerced(c->variables, value->text); return plain ? plain : &json_null;
  case GRAPHQL_VALUE_LIST:
    items = arena_array(c->mem, struct json, value->len + 1);
    for (const struct graphql_value *v = value->items; v; v = v->next) items[n++] = *untyped(c, v);
    return list_json(c, items, n);
  case GRAPHQL_VALUE_OBJECT:
    for (const struct graphql_argument *f = value->fields; f; f = f->next)
      object_put(c, &object, f->name, untyped(c, f->value));
    return object_json(c, &object);
  default:
    plain = scalar_untyped(c->mem, value);
    if (!plain) literal_wrong(c, value, "A string cannot hold the character U+0000.");
    return plain ? plain : &json_null;
  }
}

static const struct json *leaf_of_literal(struct coercion *c, const struct gql_type *type,
                                          const struct graphql_value *value) {
  const struct json *out;
  const char *wrong;

  if (scalar_is_foreign(type)) return untyped(c, value);
  wrong = scalar_of_literal(c->mem, type, value, &out);
  return wrong ? literal_wrong(c, value, wrong) : out;
}

static const struct json *of_literal(struct coercion *c, const struct gql_type *type, const struct graphql_value *value) {
  if (value->kind == GRAPHQL_VALUE_VARIABLE) return of_variable(c, type, value);
  if (value->kind == GRAPHQL_VALUE_NULL)
    return type->kind == GQL_NON_NULL ? literal_wrong(c, value, "A value is expected here, not null.") : &json_null;
  type = nullable(type);
  if (type->kind == GQL_LIST) return list_of_literal(c, type->of, value);
  if (type->kind == GQL_INPUT) return object_of_literal(c, type, value);
  return leaf_of_literal(c, type, value);
}

const struct json *coerce_literal(void *mem, const struct schema *schema, const struct gql_type *type,
                                  const struct graphql_value *value, const struct json *variables,
                                  struct gql_errors *errors) {
  struct coercion c = {.mem = mem, .schema = schema, .variables = variables, .errors = errors};
  size_t before = errors->n;
  const struct json *made = of_literal(&c, type, value);

  return errors->n == before ? made : NULL;
}

const struct json *coerce_argument(void *mem, const struct schema *schema, const struct gql_input *argument,
                                   const struct graphql_value *literal, struct graphql_pos at, const struct json *variables,
                                   struct gql_errors *errors) {
  bool absent = !literal || (literal->kind == GRAPHQL_VALUE_VARIABLE && !coerced(variables, literal->text));

  if (!absent) return coerce_literal(mem, schema, argument->type, literal, variables, errors);
  if (argument->default_value) return coerce_literal(mem, schema, argument->type, argument->default_value, NULL, errors);
  if (argument->type->kind == GQL_NON_NULL)
    gql_error_add(errors, at, "Argument \"%s\" of required type \"%s\" was not provided.", argument->name,
                  gql_type_text(mem, argument->type));
  return NULL;
}
