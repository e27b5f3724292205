/* Selections, read: GraphQL text or a JSON tree into the same structs. */
#include "query/select.h"

#include "base/arena.h"
#include "base/str.h"
#include "graphql/parse.h"
#include "query/select_inside.h"

#include <string.h>

static const char *const *field_names(const void *mem, const struct model *m) {
  const char **names = arena_array(mem, const char *, m->nfields + 1);

  for (size_t i = 0; i < m->nfields; i++) names[i] = m->fields[i].name;
  return names;
}

/* A GraphQL name. It becomes the name of a column of a subselect: longer ones would be cut. */
bool select_is_name(const char *text) {
  static const char letters[] = "_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  size_t len = strspn(text, letters);

  return len && !text[len] && len <= SELECT_ALIAS_BYTES && !(*text >= '0' && *text <= '9');
}

static struct selection *new_selection(struct select_reader *r, const struct model *m) {
  struct selection *s = arena_new(r->mem, struct selection);

  s->model = m;
  return s;
}

static struct selected *find_alias(struct selection *s, const char *alias) {
  for (size_t i = 0; i < s->nitems; i++)
    if (strcmp(s->items[i].alias, alias) == 0) return &s->items[i];
  return NULL;
}

static bool add_item(struct select_reader *r, struct selection *s, struct selected item, struct input_place at) {
  if (!select_is_name(item.alias))
    return place_wrong(at, r->e, 0,
                       "\"%.100s\" cannot name a field of the answer: letters, digits and _, not a digit first, at most %d.",
                       item.alias, SELECT_ALIAS_BYTES);
  if (find_alias(s, item.alias))
    return place_wrong(at, r->e, 0, "Two fields of the answer are called \"%s\": write an alias.", item.alias);
  if (++r->nfields > SELECT_FIELDS) return place_wrong(at, r->e, 0, "A selection has at most %d fields.", SELECT_FIELDS);
  arena_grow(r->mem, s->items, s->nitems);
  s->items[s->nitems++] = item;
  return true;
}

static const struct selection *all_scalars(struct select_reader *r, const struct model *m, struct input_place at) {
  struct selection *s = new_selection(r, m);

  for (size_t i = 0; i < m->nfields; i++) {
    const struct field *f = &m->fields[i];
    if (!f->relation && !add_item(r, s, (struct selected){.alias = f->name, .field = f}, at)) return NULL;
  }
  return s;
}

static bool no_field(struct select_reader *r, const struct model *m, const char *name, struct input_place at) {
  return place_wrong(at, r->e, 0, "%s has no field \"%.100s\"%s", m->name, name,
                     place_advice(r->mem, name, field_names(r->mem, m)));
}

static bool too_deep(struct select_reader *r, struct input_place at) {
  return place_wrong(at, r->e, 0, "A selection goes through at most %d relations, one within the other.", SELECT_DEPTH);
}

static bool is_list_argument(const char *name) {
  for (size_t i = 0; list_arguments[i]; i++)
    if (strcmp(list_arguments[i], name) == 0) return true;
  return false;
}

static bool no_argument(struct select_reader *r, const struct field *f, const char *name, struct input_place at) {
  if (!f->relation || !f->list)
    return place_wrong(at, r->e, 0, "\"%s\" is no list and has no argument \"%.100s\".", f->name, name);
  return place_wrong(at, r->e, 0, "\"%s\" has no argument \"%.100s\"%s", f->name, name,
                     place_advice(r->mem, name, list_arguments));
}

/* ---- GraphQL text ---- */

static bool value_of(struct select_reader *r, const struct graphql_value *value, struct input_place at, struct json *out);

static bool object_of(struct select_reader *r, const struct graphql_value *value, struct input_place at, struct json *out) {
  struct json *items = arena_array(r->mem, struct json, value->len + 1);
  const char **keys = arena_array(r->mem, const char *, value->len + 1);
  size_t n = 0;

  for (const struct graphql_argument *a = value->fields; a; a = a->next) {
    for (size_t i = 0; i < n; i++)
      if (strcmp(keys[i], a->name) == 0) return place_wrong(at, r->e, 0, "\"%s\" stands twice in one object.", a->name);
    keys[n] = a->name;
    if (!value_of(r, a->value, at, &items[n++])) return false;
  }
  *out = (struct json){.kind = JSON_OBJECT, .len = n, .items = items, .keys = keys};
  return true;
}

static bool list_of(struct select_reader *r, const struct graphql_value *value, struct input_place at, struct json *out) {
  struct json *items = arena_array(r->mem, struct json, value->len + 1);
  size_t n = 0;

  for (const struct graphql_value *item = value->items; item; item = item->next)
    if (!value_of(r, item, at, &items[n++])) return false;
  *out = (struct json){.kind = JSON_ARRAY, .len = n, .items = items};
  return true;
}

/* A value of GraphQL as the JSON that says the same. */
static bool value_of(struct select_reader *r, const struct graphql_value *value, struct input_place at, struct json *out) {
  *out = (struct json){.kind = JSON_STRING, .text = value->text, .len = value->len};
  at.line = value->pos.line;
  at.column = value->pos.column;
  switch (value->kind) {
  case GRAPHQL_VALUE_VARIABLE:
    return place_wrong(at, r->e, 0, "There are no variables here; write the value of $%s.", value->text);
  case GRAPHQL_VALUE_INT:
  case GRAPHQL_VALUE_FLOAT: out->kind = JSON_NUMBER; break;
  case GRAPHQL_VALUE_BOOLEAN: *out = (struct json){.kind = strcmp(value->text, "true") == 0 ? JSON_TRUE : JSON_FALSE}; break;
  case GRAPHQL_VALUE_NULL: *out = json_null; break;
  case GRAPHQL_VALUE_LIST: return list_of(r, value, at, out);
  case GRAPHQL_VALUE_OBJECT: return object_of(r, value, at, out);
  default:
    if (memchr(value->text, 0, value->len)) return place_wrong(at, r->e, 0, "A text holds no NUL.");
  }
  return true;
}

static bool text_arguments(struct select_reader *r, const struct graphql_selection *g, const struct field *f,
                           struct input_place at, struct list *list) {
  list->at = at;
  for (const struct graphql_argument *a = g->arguments; a; a = a->next) {
    struct json *value = arena_new(r->mem, struct json);

    at.line = a->pos.line;
    at.column = a->pos.column;
    if (!f->relation || !f->list || !is_list_argument(a->name)) return no_argument(r, f, a->name, at);
    for (const struct graphql_argument *b = g->arguments; b != a; b = b->next)
      if (strcmp(a->name, b->name) == 0) return place_wrong(at, r->e, 0, "The argument \"%s\" stands here twice.", a->name);
    if (!value_of(r, a->value, at, value)) return false;
    list_take(list, a->name, expr_literal(r->mem, value));
  }
  return true;
}

static bool text_field(struct select_reader *r, struct selection *s, const struct graphql_selection *g,
                       struct input_place at) {
  struct selected item = {.alias = g->alias, .field = model_field(s->model, g->name)};

  at.line = g->pos.line;
  at.column = g->pos.column;
  if (g->kind != GRAPHQL_FIELD) return place_wrong(at, r->e, 0, "There are no fragments here; write their fields.");
  if (g->directives) return place_wrong(at, r->e, 0, "There are no directives here; remove @%s.", g->directives->name);
  item.is_typename = !item.field && strcmp(g->name, "__typename") == 0 && !g->arguments && !g->selections;
  if (!item.field && !item.is_typename) return no_field(r, s->model, g->name, at);
  if (!item.is_typename && !text_arguments(r, g, item.field, at, &item.list)) return false;
  if (!item.is_typename && !item.field->relation && g->selections)
    return place_wrong(at, r->e, 0, "\"%s\" is %s and has no fields.", g->name, scalar_name(item.field->scalar));
  if (!item.is_typename && item.field->relation) {
    if (!g->selections) return place_wrong(at, r->e, 0, "Which fields of \"%s\"? Write %s { ... }.", g->name, g->name);
    item.selection = select_text(r, field_there(item.field)->model, g->selections, at);
    if (!item.selection) return false;
  }
  return add_item(r, s, item, at);
}

const struct selection *select_text(struct select_reader *r, const struct model *m, const struct graphql_selection *g,
                                    struct input_place at) {
  struct selection *s = new_selection(r, m);

  if (r->depth++ > SELECT_DEPTH) return too_deep(r, at) ? s : NULL;
  for (; g; g = g->next)
    if (!text_field(r, s, g, at)) return NULL;
  r->depth--;
  return s;
}

bool select_parse(struct select_reader *r, const struct expr *value, struct input_place at,
                  const struct graphql_selection **out) {
  const struct json *text = value->literal;
  unsigned line, column;

  if (graphql_parse_selections(r->mem, text->text, text->len, &graphql_limits_default, out, r->e)) return true;
  line = r->e->input_line;
  column = r->e->input_column;
  if (r->e->code == ERR_BAD_REQUEST) err_set(r->e, BAD_ARGUMENT, "%s", r->e->message);
  r->e->path = at.path;
  r->e->input_line = line;
  r->e->input_column = column;
  return false;
}

bool select_is_text(const struct expr *value) {
  return !expr_is_null(value) && value->kind == EXPR_LITERAL && value->literal->kind == JSON_STRING;
}

/* ---- JSON ---- */

/* {"select": ..., "where": ..., "field": ...} behind the name of a relation; true is short for {}. */
static bool tree_arguments(struct select_reader *r, struct selected *item, const struct expr *value, struct input_place at) {
  const struct model *there = item->field->relation ? field_there(item->field)->model : NULL;

  item->list.at = at;
  for (size_t i = 0; i < expr_len(value); i++) {
    const char *key = expr_key(value, i);
    const struct expr *argument = expr_item(r->mem, value, i);
    struct input_place here = place_member(at, key);

    if (strcmp(key, "field") == 0) continue;
    if (there && strcmp(key, "select") == 0) item->selection = select_tree(r, there, argument, here);
    else if (there && item->field->list && is_list_argument(key)) list_take(&item->list, key, argument);
    else return no_argument(r, item->field, key, here);
    if (r->e->code) return false;
  }
  if (there && !item->selection) item->selection = all_scalars(r, there, at);
  return !there || item->selection;
}

const char *select_field_name(void *mem, const struct expr *value, const char *alias) {
  const struct expr *field = expr_member(mem, value, "field");

  if (!field) return alias;
  return field->kind == EXPR_LITERAL && field->literal->kind == JSON_STRING ? field->literal->text : NULL;
}

static bool tree_field(struct select_reader *r, struct selection *s, const char *alias, const struct expr *value,
                       struct input_place at) {
  struct selected item = {.alias = alias};
  bool is_result;
  enum json_kind kind = expr_kind(value, &is_result);
  const char *name;

  if (kind == JSON_FALSE || kind == JSON_NULL) return true;
  if (kind != JSON_TRUE && kind != JSON_OBJECT)
    return place_wrong(at, r->e, 0, "\"%.100s\" is selected by true or an object, not by %s.", alias,
                       is_result ? "a reference" : json_kind_name(kind));
  name = select_field_name(r->mem, value, alias);
  if (!name) return place_wrong(place_member(at, "field"), r->e, 0, "\"field\" takes the name of a field.");
  item.field = model_field(s->model, name);
  item.is_typename = !item.field && strcmp(name, "__typename") == 0;
  if (!item.field && !item.is_typename) return no_field(r, s->model, name, at);
  if (item.field && !tree_arguments(r, &item, value, at)) return false;
  return add_item(r, s, item, at);
}

const struct selection *select_tree(struct select_reader *r, const struct model *m, const struct expr *value,
                                    struct input_place at) {
  struct selection *s = new_selection(r, m);
  bool is_result;

  if (expr_is_null(value)) return all_scalars(r, m, at);
  if (expr_kind(value, &is_result) != JSON_OBJECT) {
    place_wrong(at, r->e, 0, "A selection is an object like {\"id\": true}, or at the top GraphQL text like \"{ id }\".");
    return NULL;
  }
  if (r->depth++ > SELECT_DEPTH) return too_deep(r, at) ? s : NULL;
  for (size_t i = 0; i < expr_len(value); i++)
    if (!tree_field(r, s, expr_key(value, i), expr_item(r->mem, value, i), place_member(at, expr_key(value, i))))
      return NULL;
  if (!s->nitems) place_wrong(at, r->e, 0, "A selection needs a field.");
  r->depth--;
  return s->nitems ? s : NULL;
}

const struct selection *select_read(void *mem, const struct model *model, const struct expr *value, struct input_place at,
                                    struct err *e) {
  struct select_reader r = {.mem = mem, .e = e};
  const struct graphql_selection *selections;

  if (!select_is_text(value)) return select_tree(&r, model, value, at);
  return select_parse(&r, value, at, &selections) ? select_text(&r, model, selections, at) : NULL;
}
