/* Introspection. Each type of the specification is a table of its fields, by name. */
#include "schema/introspect.h"

#include "base/arena.h"
#include "base/str.h"
#include "graphql/parse.h"
#include "graphql/print.h"

#include <stdlib.h>
#include <string.h>

struct answer {
  struct str *out;
  const struct schema *schema;
  const struct schema_view *view;
};

/* Appends one field's value. field: for its arguments and what is asked of it. */
struct member {
  const char *name;
  void (*put)(const struct answer *a, const void *thing, const struct graphql_selection *field);
};

/* ---- parts ---- */

static void put_object(const struct answer *a, const char *type, const struct member *members, const void *thing,
                       const struct graphql_selection *field) {
  const char *between = "";

  str_char(a->out, '{');
  for (const struct graphql_selection *f = field->selections; f; f = f->next) {
    const struct member *m = members;

    str_add(a->out, between);
    str_json(a->out, f->alias);
    str_char(a->out, ':');
    while (m->name && strcmp(m->name, f->name) != 0) m++;
    if (m->name) m->put(a, thing, f);
    else str_json(a->out, type); /* __typename: the document is valid */
    between = ",";
  }
  str_char(a->out, '}');
}

static void put_flag(const struct answer *a, bool flag) { str_add(a->out, flag ? "true" : "false"); }

static void put_default(const struct answer *a, const struct graphql_value *value) {
  struct str *text;

  if (!value) {
    str_add(a->out, "null");
    return;
  }
  text = str_new(a->out, 64);
  graphql_print_value(text, value);
  str_json_bytes(a->out, text->p, text->len);
  talloc_free(text);
}

static bool with_deprecated(const struct graphql_selection *field) {
  const struct graphql_argument *argument = field->arguments;

  return argument && argument->value->kind == GRAPHQL_VALUE_BOOLEAN && strcmp(argument->value->text, "true") == 0;
}

/* A list of what is seen, and not deprecated unless it is asked for. */
struct list {
  const struct answer *a;
  bool deprecated, any;
};

static struct list list_open(const struct answer *a, const struct graphql_selection *field) {
  str_char(a->out, '[');
  return (struct list){.a = a, .deprecated = with_deprecated(field)};
}

/* False: leave it out. */
static bool list_next(struct list *l, const char *deprecated) {
  if (deprecated && !l->deprecated) return false;
  if (l->any) str_char(l->a->out, ',');
  return l->any = true;
}

static void put_type(const struct answer *a, const struct gql_type *t, const struct graphql_selection *field);

/* ---- __InputValue ---- */

static void input_name(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  (void)field;
  str_json(a->out, ((const struct gql_input *)thing)->name);
}

static void input_description(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  (void)field;
  str_json(a->out, ((const struct gql_input *)thing)->description);
}

static void input_type(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  put_type(a, ((const struct gql_input *)thing)->type, field);
}

static void input_default(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  (void)field;
  put_default(a, ((const struct gql_input *)thing)->default_value);
}

static void input_is_deprecated(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  (void)field;
  put_flag(a, ((const struct gql_input *)thing)->deprecated != NULL);
}

static void input_reason(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  (void)field;
  str_json(a->out, ((const struct gql_input *)thing)->deprecated);
}

static const struct member input_members[] = {
    {"name", input_name},
    {"description", input_description},
    {"type", input_type},
    {"defaultValue", input_default},
    {"isDeprecated", input_is_deprecated},
    {"deprecationReason", input_reason},
    {NULL, NULL},
};

static void put_arguments(const struct answer *a, const struct gql_input *args, size_t n,
                          const struct graphql_selection *field) {
  struct list l = list_open(a, field);

  for (size_t i = 0; i < n; i++)
    if (view_has_argument(a->view, &args[i]) && list_next(&l, args[i].deprecated))
      put_object(a, "__InputValue", input_members, &args[i], field);
  str_char(a->out, ']');
}

/* ---- __Field ---- */

static void field_name(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  (void)field;
  str_json(a->out, ((const struct gql_field *)thing)->name);
}

static void field_description(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  (void)field;
  str_json(a->out, ((const struct gql_field *)thing)->description);
}

static void field_args(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  const struct gql_field *f = thing;
  put_arguments(a, f->args, f->nargs, field);
}

static void field_type(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  put_type(a, ((const struct gql_field *)thing)->type, field);
}

static void field_is_deprecated(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  (void)field;
  put_flag(a, ((const struct gql_field *)thing)->deprecated != NULL);
}

static void field_reason(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  (void)field;
  str_json(a->out, ((const struct gql_field *)thing)->deprecated);
}

static const struct member field_members[] = {
    {"name", field_name}, {"description", field_description},    {"args", field_args},
    {"type", field_type}, {"isDeprecated", field_is_deprecated}, {"deprecationReason", field_reason},
    {NULL, NULL},
};

/* ---- __EnumValue ---- */

static void value_name(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  (void)field;
  str_json(a->out, ((const struct gql_enum_value *)thing)->name);
}

static void value_description(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  (void)field;
  str_json(a->out, ((const struct gql_enum_value *)thing)->description);
}

static void value_is_deprecated(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  (void)field;
  put_flag(a, ((const struct gql_enum_value *)thing)->deprecated != NULL);
}

static void value_reason(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  (void)field;
  str_json(a->out, ((const struct gql_enum_value *)thing)->deprecated);
}

static const struct member value_members[] = {
    {"name", value_name},
    {"description", value_description},
    {"isDeprecated", value_is_deprecated},
    {"deprecationReason", value_reason},
    {NULL, NULL},
};

/* ---- __Type ---- */

static void type_kind(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  static const char *const kinds[] = {"SCALAR", "OBJECT", "INTERFACE", "UNION", "ENUM", "INPUT_OBJECT", "LIST", "NON_NULL"};

  (void)field;
  str_json(a->out, kinds[((const struct gql_type *)thing)->kind]);
}

static void type_name(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  (void)field;
  str_json(a->out, ((const struct gql_type *)thing)->name);
}

static void type_description(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  (void)field;
  str_json(a->out, ((const struct gql_type *)thing)->description);
}

static void type_specified_by(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  (void)field;
  str_json(a->out, ((const struct gql_type *)thing)->specified_by);
}

static void type_fields(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  const struct gql_type *t = thing;
  struct list l;

  if (t->kind != GQL_OBJECT && t->kind != GQL_INTERFACE) {
    str_add(a->out, "null");
    return;
  }
  l = list_open(a, field);
  for (size_t i = 0; i < t->nfields; i++)
    if (view_has_field(a->view, t, &t->fields[i]) && list_next(&l, t->fields[i].deprecated))
      put_object(a, "__Field", field_members, &t->fields[i], field);
  str_char(a->out, ']');
}

static void put_types(const struct answer *a, const struct gql_type *const *list, size_t n,
                      const struct graphql_selection *field) {
  str_char(a->out, '[');
  for (size_t i = 0; i < n; i++) {
    if (i) str_char(a->out, ',');
    put_type(a, list[i], field);
  }
  str_char(a->out, ']');
}

static void type_interfaces(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  const struct gql_type *t = thing;

  if (t->kind == GQL_OBJECT || t->kind == GQL_INTERFACE) put_types(a, t->interfaces, t->ninterfaces, field);
  else str_add(a->out, "null");
}

static void type_possible(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  const struct gql_type *t = thing;

  if (t->kind == GQL_UNION || t->kind == GQL_INTERFACE) put_types(a, t->possible, t->npossible, field);
  else str_add(a->out, "null");
}

static void type_values(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  const struct gql_type *t = thing;
  struct list l;

  if (t->kind != GQL_ENUM) {
    str_add(a->out, "null");
    return;
  }
  l = list_open(a, field);
  for (size_t i = 0; i < t->nvalues; i++)
    if (list_next(&l, t->values[i].deprecated)) put_object(a, "__EnumValue", value_members, &t->values[i], field);
  str_char(a->out, ']');
}

static void type_inputs(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  const struct gql_type *t = thing;
  struct list l;

  if (t->kind != GQL_INPUT) {
    str_add(a->out, "null");
    return;
  }
  l = list_open(a, field);
  for (size_t i = 0; i < t->ninputs; i++)
    if (view_has_input(a->view, t, &t->inputs[i]) && list_next(&l, t->inputs[i].deprecated))
      put_object(a, "__InputValue", input_members, &t->inputs[i], field);
  str_char(a->out, ']');
}

static void type_of(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  put_type(a, ((const struct gql_type *)thing)->of, field);
}

static void type_is_one_of(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  (void)field;
  str_add(a->out, ((const struct gql_type *)thing)->kind == GQL_INPUT ? "false" : "null");
}

static const struct member type_members[] = {
    {"kind", type_kind},
    {"name", type_name},
    {"description", type_description},
    {"specifiedByURL", type_specified_by},
    {"fields", type_fields},
    {"interfaces", type_interfaces},
    {"possibleTypes", type_possible},
    {"enumValues", type_values},
    {"inputFields", type_inputs},
    {"ofType", type_of},
    {"isOneOf", type_is_one_of},
    {NULL, NULL},
};

static void put_type(const struct answer *a, const struct gql_type *t, const struct graphql_selection *field) {
  if (t) put_object(a, "__Type", type_members, t, field);
  else str_add(a->out, "null");
}

/* ---- __Directive ---- */

static void directive_name(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  (void)field;
  str_json(a->out, ((const struct gql_directive *)thing)->name);
}

static void directive_description(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  (void)field;
  str_json(a->out, ((const struct gql_directive *)thing)->description);
}

static void directive_is_repeatable(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  (void)field;
  put_flag(a, ((const struct gql_directive *)thing)->repeatable);
}

static void directive_locations(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  const struct gql_directive *d = thing;

  (void)field;
  str_char(a->out, '[');
  for (size_t i = 0; i < d->nlocations; i++) {
    if (i) str_char(a->out, ',');
    str_json(a->out, d->locations[i]);
  }
  str_char(a->out, ']');
}

static void directive_args(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  const struct gql_directive *d = thing;
  put_arguments(a, d->args, d->nargs, field);
}

static const struct member directive_members[] = {
    {"name", directive_name},
    {"description", directive_description},
    {"isRepeatable", directive_is_repeatable},
    {"locations", directive_locations},
    {"args", directive_args},
    {NULL, NULL},
};

/* ---- __Schema ---- */

static void schema_description(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  (void)field;
  str_json(a->out, ((const struct schema *)thing)->description);
}

static void schema_types(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  const struct schema *s = thing;
  const char *between = "";

  str_char(a->out, '[');
  for (size_t i = 0; i < s->ntypes; i++) {
    if (!view_has_type(a->view, s->types[i])) continue;
    str_add(a->out, between);
    put_type(a, s->types[i], field);
    between = ",";
  }
  str_char(a->out, ']');
}

static void put_root(const struct answer *a, const struct gql_type *root, const struct graphql_selection *field) {
  put_type(a, root && view_has_type(a->view, root) ? root : NULL, field);
}

static void schema_query(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  put_root(a, ((const struct schema *)thing)->query, field);
}

static void schema_mutation(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  put_root(a, ((const struct schema *)thing)->mutation, field);
}

static void schema_subscription(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  put_root(a, ((const struct schema *)thing)->subscription, field);
}

static void schema_directives(const struct answer *a, const void *thing, const struct graphql_selection *field) {
  const struct schema *s = thing;
  size_t n = 0;

  str_char(a->out, '[');
  for (size_t i = 0; i < s->ndirectives; i++) {
    if (!view_has_directive(a->view, s, &s->directives[i])) continue;
    if (n++) str_char(a->out, ',');
    put_object(a, "__Directive", directive_members, &s->directives[i], field);
  }
  str_char(a->out, ']');
}

static const struct member schema_members[] = {
    {"description", schema_description},
    {"types", schema_types},
    {"queryType", schema_query},
    {"mutationType", schema_mutation},
    {"subscriptionType", schema_subscription},
    {"directives", schema_directives},
    {NULL, NULL},
};

/* ---- the whole ---- */

void introspect_put(struct str *out, const struct schema *s, const struct schema_view *view,
                    const struct graphql_selection *field) {
  struct answer a = {.out = out, .schema = s, .view = view};
  const struct gql_type *t;

  if (strcmp(field->name, "__schema") == 0) {
    put_object(&a, "__Schema", schema_members, s, field);
    return;
  }
  t = schema_type(s, field->arguments->value->text);
  put_root(&a, t, field);
}

/* ---- all at once ---- */

#define OF(inner) "kind name ofType { " inner " }"
#define TYPE OF(OF(OF(OF(OF(OF(OF("kind name")))))))
#define INPUT "name description type { " TYPE " } defaultValue isDeprecated deprecationReason"
#define ARGUMENTS "args(includeDeprecated: true) { " INPUT " }"

/* As getIntrospectionQuery() of graphql-js asks, with all its options, and the fragments in their places. */
static const char everything[] =
    "{ __schema { description queryType { name kind } mutationType { name kind } subscriptionType { name kind }"
    " types { kind name description specifiedByURL isOneOf fields(includeDeprecated: true) { name description " ARGUMENTS
    " type { " TYPE " }"
    " isDeprecated deprecationReason } inputFields(includeDeprecated: true) { " INPUT " } interfaces { " TYPE " }"
    " enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason } possibleTypes { " TYPE " } }"
    " directives { name description isRepeatable locations " ARGUMENTS " } } }";

void introspect_all(struct str *out, const struct schema *s, const struct schema_view *view) {
  const struct graphql_selection *field;
  void *mem = talloc_new(out);
  struct err e;

  err_init(&e, mem);
  if (!graphql_parse_selections(mem, everything, sizeof everything - 1, &graphql_limits_default, &field, &e)) abort();
  str_add(out, "{\"__schema\":");
  introspect_put(out, s, view, field);
  str_char(out, '}');
  talloc_free(mem);
}
