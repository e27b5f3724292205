/* Puts the data of an answer together. */
#include "documents/answer.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"
#include "manifest/manifest.h"
#include "schema/introspect.h"
#include "schema/schema.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { RESULT_DEPTH = 1000 };

/* Where we are: from the innermost to the operation. */
struct place {
  const struct place *up;
  const char *key; /* NULL: an item of a list, at index */
  size_t index;
};

/* Fields of an object are collected once, not for each row. */
struct memo {
  const struct graphql_selection **sets;
  const struct gql_type *object;
  struct wanted_list fields;
};

struct putter {
  void *mem;
  const struct operation_call *call;
  struct str *out;
  struct field_errors *errors;
  bool foreign;
  bool by_key; /* members have their names of the answer already: a model's result */
  struct collector collector;
  struct memo *memos;
  size_t nmemos;
};

/* ---- errors ---- */

static void put_path(struct str *out, const struct place *at) {
  if (!at) return;
  put_path(out, at->up);
  if (at->up) str_char(out, ',');
  if (at->key) str_json(out, at->key);
  else str_printf(out, "%zu", at->index);
}

static bool wrong(struct putter *p, const struct place *at, const struct wanted *w, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static bool wrong(struct putter *p, const struct place *at, const struct wanted *w, const char *format, ...) {
  struct str *path = str_new(p->mem, 64);
  va_list args;

  if (p->errors->n == FIELD_ERRORS_MAX) return false;
  str_char(path, '[');
  put_path(path, at);
  str_char(path, ']');
  arena_grow(p->mem, p->errors->list, p->errors->n);
  va_start(args, format);
  p->errors->list[p->errors->n++] =
      (struct field_error){.message = talloc_vasprintf(p->mem, format, args), .path = path->p, .place = w->first->pos};
  va_end(args);
  return false;
}

/* ---- leaves ---- */

static bool is_int(const struct json *v) {
  char *end;
  double d;

  if (v->kind != JSON_NUMBER) return false;
  d = strtod(v->text, &end);
  return d >= INT32_MIN && d <= INT32_MAX && d == (double)(int32_t)d;
}

static bool is_text_type(const char *name) {
  static const char *const names[] = {"ID", "String", "BigInt", "Decimal", "UUID", "DateTime"};

  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(names[i], name) == 0) return true;
  return false;
}

/* Is it a value of that type? Scalars that we do not know take all. */
static bool leaf_fits(const struct gql_type *t, const struct json *v) {
  bool boolean = v->kind == JSON_TRUE || v->kind == JSON_FALSE;

  if (t->kind == GQL_ENUM) return v->kind == JSON_STRING && schema_value(t, v->text);
  if (strcmp(t->name, "Int") == 0) return is_int(v);
  if (strcmp(t->name, "Float") == 0) return v->kind == JSON_NUMBER;
  if (strcmp(t->name, "Boolean") == 0) return boolean;
  return !is_text_type(t->name) || v->kind == JSON_STRING || v->kind == JSON_NUMBER ||
         (boolean && strcmp(t->name, "String") == 0);
}

static bool put_leaf(struct putter *p, const struct gql_type *t, const struct wanted *w, const struct json *v,
                     const struct place *at) {
  bool as_text = v->kind == JSON_NUMBER && t->kind == GQL_SCALAR && is_text_type(t->name);

  if (!p->by_key && !leaf_fits(t, v)) return wrong(p, at, w, "The result is no value of the type %s.", t->name);
  if (as_text) str_json_bytes(p->out, v->text, v->len);
  else json_write(p->out, v);
  return true;
}

/* ---- values ---- */

static bool put_value(struct putter *p, const struct gql_type *t, const struct wanted *w, const struct json *v,
                      const struct place *at);

/* An interface or union: the result says which type it is in __typename, unless there is one only. */
static const struct gql_type *concrete(const struct gql_type *t, const struct json *v) {
  const struct json *name = json_get(v, "__typename");

  if (t->kind == GQL_OBJECT) return t;
  if (!name) return t->npossible == 1 ? t->possible[0] : NULL;
  for (size_t i = 0; name->kind == JSON_STRING && i < t->npossible; i++)
    if (strcmp(t->possible[i]->name, name->text) == 0) return t->possible[i];
  return NULL;
}

static bool put_member(struct putter *p, const struct gql_type *object, const struct wanted *w, const struct json *v,
                       const struct place *at) {
  const struct json *member;

  str_json(p->out, w->key);
  str_char(p->out, ':');
  if (!w->field) {
    str_json(p->out, object->name);
    return true;
  }
  member = json_get(v, p->by_key ? w->key : w->first->name);
  return put_value(p, w->field->type, w, member ? member : &json_null, at);
}

static struct wanted_list fields_of(struct putter *p, const struct gql_type *object, struct selection_sets sets) {
  for (size_t i = p->nmemos; i-- > 0;)
    if (p->memos[i].sets == sets.list && p->memos[i].object == object) return p->memos[i].fields;
  arena_grow(p->mem, p->memos, p->nmemos);
  p->memos[p->nmemos] = (struct memo){sets.list, object, collect(&p->collector, object, sets)};
  return p->memos[p->nmemos++].fields;
}

static bool put_object(struct putter *p, const struct gql_type *t, const struct wanted *w, const struct json *v,
                       const struct place *at) {
  const struct gql_type *object;
  struct wanted_list fields;

  if (v->kind != JSON_OBJECT) return wrong(p, at, w, "The result is no object of the type %s.", t->name);
  object = concrete(t, v);
  if (!object) return wrong(p, at, w, "The result does not say in __typename which %s it is.", t->name);
  fields = fields_of(p, object, w->below);
  str_char(p->out, '{');
  for (size_t i = 0; i < fields.n; i++) {
    struct place here = {.up = at, .key = fields.list[i].key};

    if (i) str_char(p->out, ',');
    if (!put_member(p, object, &fields.list[i], v, &here)) return false;
  }
  str_char(p->out, '}');
  return true;
}

/* One value where a list is wanted is a list of one, as with arguments. */
static bool put_list(struct putter *p, const struct gql_type *t, const struct wanted *w, const struct json *v,
                     const struct place *at) {
  bool is_list = v->kind == JSON_ARRAY;
  size_t n = is_list ? v->len : 1;

  str_char(p->out, '[');
  for (size_t i = 0; i < n; i++) {
    struct place here = {.up = at, .index = i};

    if (i) str_char(p->out, ',');
    if (!put_value(p, t->of, w, is_list ? &v->items[i] : v, &here)) return false;
  }
  str_char(p->out, ']');
  return true;
}

/* False: null where there may be none, or below; the place above decides. */
static bool put_value(struct putter *p, const struct gql_type *t, const struct wanted *w, const struct json *v,
                      const struct place *at) {
  const struct gql_type *inner = t->kind == GQL_NON_NULL ? t->of : t;
  size_t mark = p->out->len, errors = p->errors->n;
  bool ok = false;

  if (v->kind != JSON_NULL && inner->kind == GQL_LIST) ok = put_list(p, inner, w, v, at);
  else if (v->kind != JSON_NULL && gql_is_composite(inner)) ok = put_object(p, inner, w, v, at);
  else if (v->kind != JSON_NULL) ok = put_leaf(p, inner, w, v, at);
  if (ok) return true;
  p->out->len = mark;
  p->out->p[mark] = '\0';
  if (t->kind != GQL_NON_NULL) {
    str_add(p->out, "null");
    return true;
  }
  if (p->errors->n == errors && v->kind == JSON_NULL)
    wrong(p, at, w, "The result has null where the type %s has a value.", gql_type_text(p->mem, t));
  return false;
}

/* ---- introspection ---- */

/* With its variables in their places, as introspect.h takes it. */
static const struct graphql_value *plain_value(struct putter *p, const struct graphql_value *v) {
  const struct json *given = v->kind == GRAPHQL_VALUE_VARIABLE ? json_get(p->call->variables, v->text) : NULL;
  struct graphql_value *out;

  if (v->kind != GRAPHQL_VALUE_VARIABLE) return v;
  out = arena_new(p->mem, struct graphql_value);
  *out = (struct graphql_value){.kind = GRAPHQL_VALUE_NULL, .pos = v->pos, .text = "null"};
  if (given && given->kind == JSON_STRING) {
    out->kind = GRAPHQL_VALUE_STRING;
    out->text = given->text;
  } else if (given && (given->kind == JSON_TRUE || given->kind == JSON_FALSE)) {
    out->kind = GRAPHQL_VALUE_BOOLEAN;
    out->text = given->kind == JSON_TRUE ? "true" : "false";
  }
  out->len = given && given->kind == JSON_STRING ? given->len : strlen(out->text);
  return out;
}

static const struct graphql_argument *plain_arguments(struct putter *p, const struct graphql_argument *a) {
  struct graphql_argument *out;

  if (!a) return NULL;
  out = arena_new(p->mem, struct graphql_argument);
  *out = *a;
  out->value = plain_value(p, a->value);
  out->next = plain_arguments(p, a->next);
  return out;
}

/* Merged and flattened: nothing but fields. */
static const struct graphql_selection *plain_selection(struct putter *p, const struct gql_type *t, const struct wanted *w) {
  struct graphql_selection *out = arena_new(p->mem, struct graphql_selection);
  const struct graphql_selection **place = &out->selections;
  struct wanted_list below = {0};

  *out = *w->first;
  out->kind = GRAPHQL_FIELD;
  out->directives = NULL;
  out->selections = out->next = NULL;
  out->arguments = plain_arguments(p, w->first->arguments);
  if (w->below.n) below = collect(&p->collector, t, w->below);
  for (size_t i = 0; i < below.n; i++) {
    const struct wanted *inner = &below.list[i];
    struct graphql_selection *s =
        (struct graphql_selection *)plain_selection(p, inner->field ? gql_named(inner->field->type) : NULL, inner);

    *place = s;
    place = &s->next;
  }
  return out;
}

static void put_introspection(struct putter *p, const struct root *root) {
  const struct document *d = p->call->document;
  const struct gql_type *t = schema_type(d->schema, root->kind == ROOT_SCHEMA ? "__Schema" : "__Type");

  introspect_put(p->out, d->schema, d->view, plain_selection(p, t, &root->wanted));
}

/* ---- root fields ---- */

/* Text in which no null stands needs no look: PostgreSQL made it by this very selection. */
static bool is_sound(const struct putter *p, const struct root *root, const char *text, size_t len) {
  return root->select && !root->bare && !p->foreign && !memmem(text, len, "null", 4);
}

static bool put_result(struct putter *p, const struct root *root, const char *text, size_t len, const struct place *at,
                       bool *ok, struct err *e) {
  const struct json *value;

  *ok = true;
  if (is_sound(p, root, text, len)) {
    str_bytes(p->out, text, len);
    return true;
  }
  if (!json_read(p->mem, text, len, RESULT_DEPTH, &value, e)) return false;
  p->by_key = root->select != NULL;
  *ok = put_value(p, root->wanted.field->type, &root->wanted, value, at);
  return true;
}

static bool put_root(struct putter *p, size_t i, result_text *result, void *data, bool *ok, struct err *e) {
  const struct operation_call *call = p->call;
  const struct root *root = &call->roots[i];
  const struct place at = {.key = root->wanted.key};
  const char *text = "null";
  size_t len = 4;

  str_json(p->out, root->wanted.key);
  str_char(p->out, ':');
  *ok = true;
  switch (root->kind) {
  case ROOT_NULL: str_add(p->out, "null"); return true;
  case ROOT_TYPENAME: str_json(p->out, call->operation->type->name); return true;
  case ROOT_SCHEMA:
  case ROOT_TYPE: put_introspection(p, root); return true;
  case ROOT_COMMAND: break;
  }
  result(data, call->entries[i], &text, &len);
  return put_result(p, root, text, len, &at, ok, e);
}

bool answer_data(void *mem, const struct operation_call *call, result_text *result, void *data, bool foreign,
                 struct str *out, struct field_errors *errors, struct err *e) {
  struct putter p = {.mem = mem,
                     .call = call,
                     .out = out,
                     .errors = errors,
                     .foreign = foreign,
                     .collector = {.mem = mem,
                                   .schema = call->document->schema,
                                   .fragments = &call->document->fragments,
                                   .variables = call->variables,
                                   .left = (size_t)-1}};
  size_t mark = out->len;
  bool ok = true;

  str_char(out, '{');
  for (size_t i = 0; ok && i < call->nroots; i++) {
    if (i) str_char(out, ',');
    if (!put_root(&p, i, result, data, &ok, e)) return false;
  }
  if (ok) {
    str_char(out, '}');
    return true;
  }
  out->len = mark; /* a root field that may not be null */
  out->p[mark] = '\0';
  str_add(out, "null");
  return true;
}
