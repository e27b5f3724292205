/* Unfolds changes of numbers. */
#include "documents/changes.h"

#include "base/arena.h"
#include "model/model.h"
#include "schema/schema.h"

#include <string.h>

struct unfolding {
  void *mem;
  struct graphql_pos at;
  struct gql_errors *errors;
  bool failed;
};

static const struct json *unfold(struct unfolding *u, const struct gql_type *type, const struct json *value);

/* A copy of the value whose items may be set. */
static struct json *copy_items(void *mem, const struct json *value) {
  struct json *items = arena_array(mem, struct json, value->len + 1);

  memcpy(items, value->items, value->len * sizeof *items);
  return items;
}

static const struct json *with_items(void *mem, const struct json *value, const struct json *items, const char *const *keys,
                                     size_t n) {
  struct json *out = arena_new(mem, struct json);

  *out = (struct json){.kind = value->kind, .len = n, .items = items, .keys = keys};
  return out;
}

static const struct json *unfold_list(struct unfolding *u, const struct gql_type *type, const struct json *value) {
  struct json *items = NULL;

  for (size_t i = 0; i < value->len; i++) {
    const struct json *item = unfold(u, type, &value->items[i]);

    if (item == &value->items[i]) continue;
    if (!items) items = copy_items(u->mem, value);
    items[i] = *item;
  }
  return items ? with_items(u->mem, value, items, NULL, value->len) : value;
}

/* { age: { increment: 1 } }, or one more change within that, which the command judges. */
static void put_change(struct unfolding *u, struct json *items, const char **keys, size_t *n, const struct gql_input *input,
                       const struct json *value) {
  const char *name = input->field->name, **inner_keys;
  struct json *inner;
  size_t i = 0;

  if (value->kind == JSON_NULL) return;
  while (i < *n && strcmp(keys[i], name) != 0) i++;
  if (i == *n) {
    keys[(*n)++] = name;
    items[i] = (struct json){.kind = JSON_OBJECT};
  }
  inner = arena_array(u->mem, struct json, items[i].len + 1);
  inner_keys = arena_array(u->mem, const char *, items[i].len + 1);
  for (size_t j = 0; j < items[i].len; j++) {
    inner[j] = items[i].items[j];
    inner_keys[j] = items[i].keys[j];
  }
  inner[items[i].len] = *value;
  inner_keys[items[i].len] = input->change;
  items[i] = (struct json){.kind = JSON_OBJECT, .len = items[i].len + 1, .items = inner, .keys = inner_keys};
}

static bool is_alone(struct unfolding *u, const struct gql_input *input, const struct json *value) {
  if (!json_get(value, input->field->name)) return true;
  u->failed = true;
  return gql_error_add(u->errors, u->at, "\"%s\" is given and changed by \"%s\": one of them only.", input->field->name,
                       input->name);
}

static const struct json *unfold_changes(struct unfolding *u, const struct gql_type *type, const struct json *value) {
  struct json *items = arena_array(u->mem, struct json, value->len + 1);
  const char **keys = arena_array(u->mem, const char *, value->len + 1);
  size_t n = 0;

  for (size_t i = 0; i < value->len; i++) {
    const struct gql_input *input = schema_input_field(type, value->keys[i]);

    if (input && input->change) {
      if (!is_alone(u, input, value)) return value;
      put_change(u, items, keys, &n, input, &value->items[i]);
      continue;
    }
    keys[n] = value->keys[i];
    items[n++] = value->items[i];
  }
  return with_items(u->mem, value, items, keys, n);
}

static const struct json *unfold_object(struct unfolding *u, const struct gql_type *type, const struct json *value) {
  struct json *items = NULL;
  bool changes = false;

  for (size_t i = 0; i < value->len; i++) {
    const struct gql_input *input = schema_input_field(type, value->keys[i]);
    const struct json *item = input ? unfold(u, input->type, &value->items[i]) : &value->items[i];

    if (input && input->change) changes = true;
    if (item == &value->items[i]) continue;
    if (!items) items = copy_items(u->mem, value);
    items[i] = *item;
  }
  if (items) value = with_items(u->mem, value, items, value->keys, value->len);
  return changes ? unfold_changes(u, type, value) : value;
}

static const struct json *unfold(struct unfolding *u, const struct gql_type *type, const struct json *value) {
  const struct gql_type *named = gql_named(type);

  if (named->kind != GQL_INPUT) return value;
  if (value->kind == JSON_ARRAY) return unfold_list(u, named, value);
  return value->kind == JSON_OBJECT ? unfold_object(u, named, value) : value;
}

const struct json *changes_unfold(void *mem, const struct gql_type *type, const struct json *value, struct graphql_pos at,
                                  struct gql_errors *errors) {
  struct unfolding u = {.mem = mem, .at = at, .errors = errors};
  const struct json *out = unfold(&u, type, value);

  return u.failed ? NULL : out;
}
