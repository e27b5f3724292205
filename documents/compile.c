/* Makes command sets of operations, as JSON trees. */
#include "documents/compile.h"

#include "base/arena.h"
#include "base/json.h"
#include "commands/tree.h"
#include "documents/changes.h"
#include "documents/coerce.h"
#include "manifest/manifest.h"
#include "schema/schema.h"

#include <string.h>

/* Fields of one operation, with fragments in their places. Limits of validation are far below; they count before @skip. */
enum { FIELDS_MAX = 100000 };

static const struct json no_variables = {.kind = JSON_OBJECT};

struct maker {
  void *mem;
  struct collector collector;
  const struct json *variables; /* NULL: not known yet */
  struct gql_errors *errors;
  bool wants_variables; /* what was made is void: a variable is in it */
  bool bare;
};

/* ---- JSON in the making ---- */

struct object {
  void *mem;
  struct json *items;
  const char **keys;
  size_t n;
};

static struct object object_new(void *mem, size_t most) {
  return (struct object){
      .mem = mem, .items = arena_array(mem, struct json, most + 1), .keys = arena_array(mem, const char *, most + 1)};
}

static void put(struct object *o, const char *key, const struct json *value) {
  o->keys[o->n] = key;
  o->items[o->n++] = *value;
}

static struct json done(const struct object *o) {
  return (struct json){.kind = JSON_OBJECT, .len = o->n, .items = o->items, .keys = o->keys};
}

static void put_text(struct object *o, const char *key, const char *text) {
  put(o, key, &(struct json){.kind = JSON_STRING, .text = text, .len = strlen(text)});
}

/* ---- arguments ---- */

static bool has_variable(const struct graphql_value *value) {
  if (value->kind == GRAPHQL_VALUE_VARIABLE) return true;
  if (value->kind == GRAPHQL_VALUE_LIST)
    for (const struct graphql_value *item = value->items; item; item = item->next)
      if (has_variable(item)) return true;
  if (value->kind == GRAPHQL_VALUE_OBJECT)
    for (const struct graphql_argument *a = value->fields; a; a = a->next)
      if (has_variable(a->value)) return true;
  return false;
}

static const struct graphql_value *given_argument(const struct graphql_selection *s, const char *name) {
  for (const struct graphql_argument *a = s->arguments; a; a = a->next)
    if (strcmp(a->name, name) == 0) return a->value;
  return NULL;
}

/* *out NULL: not given. */
static bool argument_value(struct maker *m, const struct gql_input *arg, const struct wanted *w, const struct json **out) {
  const struct graphql_selection *s = w->first;
  const struct graphql_value *given = given_argument(s, arg->name);
  size_t before = m->errors->n;

  *out = NULL;
  if (given && !m->variables && has_variable(given)) {
    m->wants_variables = true;
    return true;
  }
  *out = coerce_argument(m->mem, m->collector.schema, arg, given, s->pos, m->variables ? m->variables : &no_variables,
                         m->errors);
  if (*out && w->field->command && w->field->command->kind == COMMAND_MUTATION)
    *out = changes_unfold(m->mem, arg->type, *out, s->pos, m->errors);
  return m->errors->n == before;
}

static bool put_arguments(struct maker *m, struct object *o, const struct wanted *w) {
  for (size_t i = 0; i < w->field->nargs; i++) {
    const struct gql_input *arg = &w->field->args[i];
    const struct json *value;

    if (!argument_value(m, arg, w, &value)) return false;
    if (value) put(o, arg->name, value);
  }
  return true;
}

/* ---- selections ---- */

static bool make_select(struct maker *m, const struct gql_type *type, struct selection_sets sets, struct json *out);

/* true, or { field: its name, arguments, select: what is below }; docs/queries.md. */
static bool make_field(struct maker *m, const struct wanted *w, struct json *out) {
  struct object o;

  if (strcmp(w->key, w->first->name) == 0 && !w->first->arguments && !w->below.n) {
    *out = json_true;
    return true;
  }
  o = object_new(m->mem, (w->field ? w->field->nargs : 0) + 2);
  if (strcmp(w->key, w->first->name) != 0) put_text(&o, "field", w->first->name);
  if (w->field && !put_arguments(m, &o, w)) return false;
  if (w->below.n) {
    struct json select;

    if (!make_select(m, gql_named(w->field->type), w->below, &select)) return false;
    put(&o, "select", &select);
  }
  *out = done(&o);
  return true;
}

/* A selection takes a field at least. */
static bool make_select(struct maker *m, const struct gql_type *type, struct selection_sets sets, struct json *out) {
  struct wanted_list fields = collect(&m->collector, type, sets);
  struct object o = object_new(m->mem, fields.n + 1);

  for (size_t i = 0; i < fields.n; i++) {
    struct json field;

    if (!make_field(m, &fields.list[i], &field)) return false;
    put(&o, fields.list[i].key, &field);
  }
  if (!o.n) {
    put(&o, "__typename", &json_true);
    m->bare = true;
  }
  *out = done(&o);
  return true;
}

/* ---- root fields ---- */

static bool takes_select(const struct root *root) {
  const struct command *c = root->wanted.field->command;

  for (size_t i = 0; c->model && i < c->nargs; i++)
    if (strcmp(c->args[i].name, "select") == 0) return true;
  return false;
}

/* In a set an object {"$ref": ...} would be a reference: the values of a document are data. */
static void protect(void *mem, struct object *o) {
  for (size_t i = 0; i < o->n; i++) {
    struct object literal;

    if (!json_has_marker(&o->items[i])) continue;
    literal = object_new(mem, 1);
    put(&literal, "$literal", &o->items[i]);
    o->items[i] = done(&literal);
  }
}

static bool make_args(struct maker *m, struct root *root) {
  struct object o = object_new(m->mem, root->wanted.field->nargs + 1);
  struct json *args = arena_new(m->mem, struct json);

  m->wants_variables = m->bare = false;
  if (!root->select && takes_select(root)) {
    struct json *select = arena_new(m->mem, struct json);

    if (!make_select(m, gql_named(root->wanted.field->type), root->wanted.below, select)) return false;
    root->bare = m->bare;
    if (!m->wants_variables) root->select = select;
  }
  if (!put_arguments(m, &o, &root->wanted)) return false;
  if (root->select) put(&o, "select", root->select);
  *args = done(&o);
  root->args = m->wants_variables ? NULL : args;
  return true;
}

static enum root_kind kind_of(const struct wanted *w) {
  if (w->field) return w->field->command ? ROOT_COMMAND : ROOT_NULL;
  if (strcmp(w->first->name, "__schema") == 0) return ROOT_SCHEMA;
  return strcmp(w->first->name, "__type") == 0 ? ROOT_TYPE : ROOT_TYPENAME;
}

static bool make_roots(struct maker *m, const struct prepared *operation, struct root **roots, size_t *n) {
  struct wanted_list fields =
      collect(&m->collector, operation->type, selection_set(m->mem, operation->definition->selections));

  *roots = arena_array(m->mem, struct root, fields.n + 1);
  *n = fields.n;
  for (size_t i = 0; i < fields.n; i++) {
    struct root *root = &(*roots)[i];

    *root = (struct root){.kind = kind_of(&fields.list[i]), .wanted = fields.list[i]};
    if (root->kind == ROOT_COMMAND && !make_args(m, root)) return false;
  }
  return true;
}

static struct maker maker_of(void *mem, const struct document *document, const struct json *variables,
                             struct gql_errors *errors) {
  return (struct maker){.mem = mem,
                        .variables = variables,
                        .errors = errors,
                        .collector = {.mem = mem,
                                      .schema = document->schema,
                                      .fragments = &document->fragments,
                                      .variables = variables,
                                      .left = FIELDS_MAX}};
}

bool operation_prepare(void *mem, const struct document *document, struct prepared *operation) {
  struct gql_errors errors = {.mem = mem};
  struct maker m = maker_of(mem, document, NULL, &errors);
  bool ok = make_roots(&m, operation, &operation->roots, &operation->nroots);

  operation->conditional = m.collector.conditional || !ok;
  return m.collector.left > 0;
}

/* ---- with variables ---- */

/* What was not made ahead. */
static bool fill_roots(struct maker *m, struct operation_call *call) {
  const struct prepared *operation = call->operation;
  struct root *roots;

  if (operation->conditional) {
    if (!make_roots(m, operation, &roots, &call->nroots)) return false;
    call->roots = roots;
    return true;
  }
  call->nroots = operation->nroots;
  roots = arena_array(m->mem, struct root, call->nroots + 1);
  memcpy(roots, operation->roots, call->nroots * sizeof *roots);
  call->roots = roots;
  for (size_t i = 0; i < call->nroots; i++)
    if (roots[i].kind == ROOT_COMMAND && !roots[i].args && !make_args(m, &roots[i])) return false;
  return true;
}

static struct json command_of(void *mem, const struct root *root, const char *mutation) {
  struct object o = object_new(mem, 4), args = object_new(mem, root->args->len);

  put_text(&o, "command", root->wanted.field->command->name);
  if (strlen(root->wanted.key) <= 63) put_text(&o, "as", root->wanted.key); /* to people; nothing refers to it */
  if (mutation) put_text(&o, "mutation", mutation);
  for (size_t i = 0; i < root->args->len; i++) put(&args, root->args->keys[i], &root->args->items[i]);
  protect(mem, &args);
  o.keys[o.n] = "args";
  o.items[o.n++] = done(&args);
  return done(&o);
}

/* One command stands for itself, as it may be one that cannot be part of a set. */
void operation_set(void *mem, const struct manifest *manifest, struct operation_call *call) {
  struct object o;
  struct json *set, commands = {.kind = JSON_ARRAY, .len = call->ncommands}, *items;

  if (!call->ncommands) return;
  if (call->ncommands == 1 && !call->states[0].mutation) {
    call->command = call->commands[0]->wanted.field->command;
    call->args = call->commands[0]->args;
    return;
  }
  items = arena_array(mem, struct json, call->ncommands + 1);
  for (size_t i = 0; i < call->ncommands; i++) items[i] = command_of(mem, call->commands[i], call->states[i].mutation);
  commands.items = items;
  o = object_new(mem, 1);
  put(&o, "commands", &commands);
  set = arena_new(mem, struct json);
  *set = done(&o);
  call->command = manifest_command(manifest, "transactional_command_set");
  call->args = set;
}

bool operation_compile(void *mem, const struct document *document, const struct prepared *operation,
                       const struct json *variables, struct operation_call *out, struct gql_errors *errors) {
  struct maker m = maker_of(mem, document, variables, errors);

  *out = (struct operation_call){.document = document, .operation = operation, .variables = variables};
  if (!fill_roots(&m, out)) return false;
  if (!m.collector.left) return gql_error_add(errors, operation->definition->pos, "The document asks for too many fields.");
  out->entries = arena_array(mem, size_t, out->nroots + 1);
  out->commands = arena_array(mem, const struct root *, out->nroots + 1);
  for (size_t i = 0; i < out->nroots; i++) {
    if (out->roots[i].kind != ROOT_COMMAND) continue;
    out->entries[i] = out->ncommands;
    out->commands[out->ncommands++] = &out->roots[i];
  }
  return states_read(mem, out, errors);
}
