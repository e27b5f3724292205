/* Types of GraphQL as JSON Schema, as /command has them: numbers are numbers, and their changes are objects. */
#include "schema/openapi_inside.h"

#include "base/arena.h"
#include "model/model.h"
#include "model/names.h"

#include <string.h>

enum { DEPTH_MAX = 8 }; /* of an example */

static const struct scalar_schema {
  const char *name, *type, *format, *example;
} scalars[] = {
    {"Int", "integer", "int32", "1"},
    {"Float", "number", "double", "1.5"},
    {"BigInt", "integer", "int64", "1"},
    {"Decimal", "number", NULL, "1.5"},
    {"Boolean", "boolean", NULL, "true"},
    {"String", "string", NULL, "'text'"},
    {"ID", "string", NULL, "'id1'"},
    {"DateTime", "string", "date-time", "'2026-01-31T12:00:00.000Z'"},
    {"UUID", "string", "uuid", "'019b1c60-5f00-7000-8000-000000000001'"},
};

static const struct scalar_schema *scalar_of(const struct gql_type *t) {
  for (size_t i = 0; i < sizeof scalars / sizeof *scalars; i++)
    if (strcmp(scalars[i].name, t->name) == 0) return &scalars[i];
  return NULL; /* Json, or one of the schema file's own */
}

/* ---- schemas ---- */

static void put_scalar(struct openapi_writer *w, const struct gql_type *t, bool nullable) {
  const struct scalar_schema *scalar = scalar_of(t);

  str_char(w->out, '{');
  if (scalar) {
    openapi_put(w, nullable ? "'type':['" : "'type':'");
    str_add(w->out, scalar->type);
    openapi_put(w, nullable ? "','null']" : "'");
  }
  if (scalar && scalar->format) {
    openapi_put(w, ",'format':");
    str_json(w->out, scalar->format);
  }
  str_char(w->out, '}');
}

static void put_named(struct openapi_writer *w, const struct gql_type *t, bool nullable) {
  w->types[t->index] = true;
  if (nullable) openapi_put(w, "{'anyOf':[");
  openapi_put(w, "{'$ref':'#/components/schemas/");
  str_add(w->out, t->name);
  openapi_put(w, "'}");
  if (nullable) openapi_put(w, ",{'type':'null'}]}");
}

static void put_value(struct openapi_writer *w, const struct gql_type *t, bool nullable) {
  if (t->kind == GQL_NON_NULL) put_value(w, t->of, false);
  else if (t->kind == GQL_SCALAR) put_scalar(w, t, nullable);
  else if (t->kind != GQL_LIST) put_named(w, t, nullable);
  else {
    openapi_put(w, nullable ? "{'type':['array','null'],'items':" : "{'type':'array','items':");
    put_value(w, t->of, true);
    str_char(w->out, '}');
  }
}

void openapi_gql(struct openapi_writer *w, const struct gql_type *t) { put_value(w, t, true); }

/* ---- inputs ---- */

/* Has the field of an update changes beside it: age, and age_increment? To /command they are one. */
static bool has_changes(const struct gql_type *t, const struct gql_input *input) {
  for (size_t i = 0; input->field && i < t->ninputs; i++)
    if (t->inputs[i].change && t->inputs[i].field == input->field) return true;
  return false;
}

static void put_changes(struct openapi_writer *w, const struct gql_type *type) {
  openapi_put(w, "{'anyOf':[");
  openapi_gql(w, type);
  openapi_put(w, ",{'type':'object','minProperties':1,'maxProperties':1,'additionalProperties':false,'properties':{'set':");
  openapi_gql(w, type);
  for (const char *const *change = name_changes; *change; change++) {
    str_char(w->out, ',');
    str_json(w->out, *change);
    str_char(w->out, ':');
    openapi_gql(w, type);
  }
  openapi_put(w, "}}]}");
}

static bool is_seen(const struct openapi_writer *w, const struct gql_type *t, const struct gql_input *input) {
  return view_has_input(w->view, t, input) && !input->change;
}

static void put_required(struct openapi_writer *w, const struct gql_type *t) {
  size_t n = 0;

  for (size_t i = 0; i < t->ninputs; i++) {
    if (!is_seen(w, t, &t->inputs[i]) || !gql_is_required(&t->inputs[i])) continue;
    openapi_put(w, n++ ? "," : ",'required':[");
    str_json(w->out, t->inputs[i].name);
  }
  if (n) str_char(w->out, ']');
}

static void put_input(struct openapi_writer *w, const struct gql_type *t) {
  openapi_put(w, "'type':'object','additionalProperties':false,'properties':{");
  for (size_t i = 0; i < t->ninputs; i++) {
    const struct gql_input *input = &t->inputs[i];

    if (!is_seen(w, t, input)) continue;
    openapi_next(w);
    str_json(w->out, input->name);
    str_char(w->out, ':');
    if (has_changes(t, input)) put_changes(w, input->type);
    else openapi_gql(w, input->type);
  }
  str_char(w->out, '}');
  put_required(w, t);
}

/* ---- answers ---- */

/* GraphQL has cursors as text; here they are keys, whatever these are. */
static bool is_cursor(const struct gql_field *f) {
  static const char *const names[] = {"cursor", "startCursor", "endCursor", NULL};

  for (const char *const *name = names; !f->field && *name; name++)
    if (strcmp(f->name, *name) == 0) return true;
  return false;
}

/* What of it is there is for `select` to say. */
static void put_object(struct openapi_writer *w, const struct gql_type *t) {
  openapi_put(w, "'type':'object','properties':{");
  for (size_t i = 0; i < t->nfields; i++) {
    const struct gql_field *f = &t->fields[i];

    if (!view_has_field(w->view, t, f) || !view_has_type(w->view, f->type)) continue;
    openapi_next(w);
    str_json(w->out, f->name);
    str_char(w->out, ':');
    if (is_cursor(f)) openapi_put(w, "{'description':'The key of a node.'}");
    else openapi_gql(w, f->type);
  }
  str_char(w->out, '}');
}

static void put_enum(struct openapi_writer *w, const struct gql_type *t) {
  openapi_put(w, "'type':'string','enum':[");
  for (size_t i = 0; i < t->nvalues; i++) {
    openapi_next(w);
    str_json(w->out, t->values[i].name);
  }
  str_char(w->out, ']');
}

/* ---- components ---- */

static void put_component(struct openapi_writer *w, const struct gql_type *t) {
  str_json(w->out, t->name);
  openapi_put(w, ":{");
  if (t->kind == GQL_INPUT) put_input(w, t);
  else if (t->kind == GQL_ENUM) put_enum(w, t);
  else put_object(w, t);
  if (t->description) {
    openapi_put(w, ",'description':");
    str_json(w->out, t->description);
  }
  str_char(w->out, '}');
}

/* Types refer to types: until there are no more. */
void openapi_models(struct openapi_writer *w) {
  const struct schema *s = w->of->schema;
  bool *written = s ? arena_array(w->mem, bool, s->ntypes) : NULL, more = s;

  while (more) {
    more = false;
    for (size_t i = 0; i < s->ntypes; i++) {
      if (!w->types[i] || written[i]) continue;
      written[i] = more = true;
      openapi_next(w);
      put_component(w, s->types[i]);
    }
  }
}

const struct gql_field *openapi_root(const struct openapi_writer *w, const struct command *c) {
  const struct schema *s = w->of->schema;

  if (!s || !c->model) return NULL;
  return schema_field(c->kind == COMMAND_QUERY ? s->query : s->mutation, c->name);
}

/* ---- examples ---- */

static bool put_example(struct openapi_writer *w, const struct gql_type *t, unsigned depth);

/* Of an update the first value, of a create what stands in its row, of relations one operation, of others what must be there. */
static bool belongs(const struct gql_type *t, const struct gql_input *input, bool first) {
  bool key = input->field && input->field->in_key;

  if (gql_is_required(input)) return true;
  if (t->use == GQL_USE_CREATE) return gql_is_leaf(input->type) && input->type->kind != GQL_LIST && !key;
  return first;
}

static bool has_required(const struct openapi_writer *w, const struct gql_type *t) {
  for (size_t i = 0; i < t->ninputs; i++)
    if (is_seen(w, t, &t->inputs[i]) && gql_is_required(&t->inputs[i])) return true;
  return false;
}

/* What stands for an input of which nothing must be given: connect needs no more than a key; else a value, if there is one. */
static const struct gql_input *first_of(const struct openapi_writer *w, const struct gql_type *t) {
  const struct gql_input *found = NULL;

  if (has_required(w, t)) return NULL;
  if (t->use == GQL_USE_NESTED) found = schema_input_field(t, "connect");
  for (size_t i = 0; !found && i < t->ninputs; i++)
    if (is_seen(w, t, &t->inputs[i]) && gql_is_leaf(t->inputs[i].type)) found = &t->inputs[i];
  for (size_t i = 0; !found && i < t->ninputs; i++)
    if (is_seen(w, t, &t->inputs[i])) found = &t->inputs[i];
  return found;
}

static bool put_example_fields(struct openapi_writer *w, const struct gql_type *t, unsigned depth) {
  const struct gql_input *first = first_of(w, t);
  str_char(w->out, '{');
  for (size_t i = 0; i < t->ninputs; i++) {
    const struct gql_input *input = &t->inputs[i];

    if (!is_seen(w, t, input) || !belongs(t, input, input == first)) continue;
    openapi_next(w);
    str_json(w->out, input->name);
    str_char(w->out, ':');
    if (!put_example(w, input->type, depth + 1)) return false;
  }
  str_char(w->out, '}');
  return true;
}

static bool put_example(struct openapi_writer *w, const struct gql_type *t, unsigned depth) {
  const struct scalar_schema *scalar;
  bool ok;

  switch (t->kind) {
  case GQL_NON_NULL: return put_example(w, t->of, depth);
  case GQL_INPUT: return depth < DEPTH_MAX && put_example_fields(w, t, depth);
  case GQL_ENUM: str_json(w->out, t->values[0].name); return true;
  case GQL_LIST:
    str_char(w->out, '[');
    ok = put_example(w, t->of, depth);
    str_char(w->out, ']');
    return ok;
  default:
    scalar = scalar_of(t);
    openapi_put(w, scalar ? scalar->example : "{'key':'value'}");
    return true;
  }
}

bool openapi_gql_example(struct openapi_writer *w, const struct gql_type *t) {
  size_t mark = w->out->len;

  if (put_example(w, t, 0)) return true;
  w->out->len = mark;
  w->out->p[mark] = '\0';
  return false;
}
