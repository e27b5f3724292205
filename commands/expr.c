/* Expressions: arguments and results, as literals or as places in results that are not there yet. */
#include "base/arena.h"
#include "commands/tree.h"

#include <string.h>

static bool array_index(const char *text, size_t *index) {
  *index = 0;
  if (!*text || strlen(text) >= 10 || text[strspn(text, "0123456789")]) return false;
  for (; *text; text++) *index = *index * 10 + (size_t)(*text - '0');
  return true;
}

const struct json *json_at(const struct json *value, const char *const *path, size_t npath) {
  for (size_t i = 0; value && i < npath; i++) {
    if (value->kind == JSON_OBJECT) {
      value = json_get(value, path[i]);
    } else {
      size_t index;
      bool there = value->kind == JSON_ARRAY && array_index(path[i], &index) && index < value->len;
      value = there ? &value->items[index] : NULL;
    }
  }
  return value;
}

bool json_is_marker(const struct json *value, const char *name) {
  return value->kind == JSON_OBJECT && value->len == 1 && strcmp(value->keys[0], name) == 0;
}

bool json_has_marker(const struct json *value) {
  if (json_is_marker(value, "$ref") || json_is_marker(value, "$literal")) return true;
  if (value->kind != JSON_ARRAY && value->kind != JSON_OBJECT) return false;
  for (size_t i = 0; i < value->len; i++)
    if (json_has_marker(&value->items[i])) return true;
  return false;
}

const struct expr *expr_literal(void *mem, const struct json *value) {
  struct expr *x = arena_new(mem, struct expr);

  x->kind = EXPR_LITERAL;
  x->literal = value;
  return x;
}

const struct expr *expr_result(void *mem, struct node *node, const char *const *path, size_t npath) {
  struct expr *x = arena_new(mem, struct expr);

  x->kind = EXPR_RESULT;
  x->node = node;
  x->path = path;
  x->npath = npath;
  return x;
}

static const struct expr *deeper_result(void *mem, const struct expr *x, const char *const *path, size_t npath) {
  const char **joined = arena_array(mem, const char *, x->npath + npath + 1);

  for (size_t i = 0; i < x->npath; i++) joined[i] = x->path[i];
  for (size_t i = 0; i < npath; i++) joined[x->npath + i] = path[i];
  return expr_result(mem, x->node, joined, x->npath + npath);
}

static const struct expr *item_at(const struct expr *x, const char *name) {
  size_t index;

  if (x->kind == EXPR_OBJECT) {
    for (size_t i = 0; i < x->n; i++)
      if (strcmp(x->keys[i], name) == 0) return &x->items[i];
    return NULL;
  }
  return array_index(name, &index) && index < x->n ? &x->items[index] : NULL;
}

const struct expr *expr_at(void *mem, const struct expr *x, const char *const *path, size_t npath) {
  if (!npath) return x;
  switch (x->kind) {
  case EXPR_RESULT: return deeper_result(mem, x, path, npath);
  case EXPR_LITERAL: {
    const struct json *value = json_at(x->literal, path, npath);
    return value ? expr_literal(mem, value) : NULL;
  }
  default: x = item_at(x, path[0]); return x ? expr_at(mem, x, path + 1, npath - 1) : NULL;
  }
}

static bool spend(size_t *left, size_t bytes) {
  if (*left < bytes) return false;
  *left -= bytes;
  return true;
}

/* About the bytes of its JSON text. */
enum { VALUE_BYTES = 8 };

bool json_spend(const struct json *value, size_t *left) {
  bool scalar = value->kind != JSON_ARRAY && value->kind != JSON_OBJECT;

  if (!spend(left, VALUE_BYTES + (scalar ? value->len : 0))) return false;
  for (size_t i = 0; !scalar && i < value->len; i++) {
    if (value->kind == JSON_OBJECT && !spend(left, strlen(value->keys[i]))) return false;
    if (!json_spend(&value->items[i], left)) return false;
  }
  return true;
}

bool expr_spend(const struct expr *x, size_t *left) {
  if (x->kind == EXPR_LITERAL) return json_spend(x->literal, left);
  if (!spend(left, VALUE_BYTES)) return false;
  for (size_t i = 0; i < x->npath; i++)
    if (!spend(left, strlen(x->path[i]))) return false;
  for (size_t i = 0; i < x->n; i++) {
    if (x->kind == EXPR_OBJECT && !spend(left, strlen(x->keys[i]))) return false;
    if (!expr_spend(&x->items[i], left)) return false;
  }
  return true;
}

void expr_each_result(const struct expr *x, void (*visit)(const struct expr *, void *), void *data) {
  if (x->kind == EXPR_RESULT) visit(x, data);
  for (size_t i = 0; i < x->n; i++) expr_each_result(&x->items[i], visit, data);
}

/* Whether literal or not. */

const struct expr *node_argument(const struct node *node, const char *name) {
  for (size_t i = 0; i < node->command->nargs; i++)
    if (strcmp(node->command->args[i].name, name) == 0) return node->args[i];
  return NULL;
}

enum json_kind expr_kind(const struct expr *x, bool *is_result) {
  *is_result = x->kind == EXPR_RESULT;
  switch (x->kind) {
  case EXPR_LITERAL: return x->literal->kind;
  case EXPR_RESULT: return JSON_STRING;
  default: return x->kind == EXPR_ARRAY ? JSON_ARRAY : JSON_OBJECT;
  }
}

bool expr_is_null(const struct expr *x) { return !x || (x->kind == EXPR_LITERAL && x->literal->kind == JSON_NULL); }

size_t expr_len(const struct expr *x) {
  if (x->kind != EXPR_LITERAL) return x->n;
  return x->literal->kind == JSON_ARRAY || x->literal->kind == JSON_OBJECT ? x->literal->len : 0;
}

const char *expr_key(const struct expr *x, size_t i) { return x->kind == EXPR_LITERAL ? x->literal->keys[i] : x->keys[i]; }

const struct expr *expr_item(void *mem, const struct expr *x, size_t i) {
  struct expr *item;

  if (x->kind != EXPR_LITERAL) return &x->items[i];
  item = arena_new(mem, struct expr);
  *item = (struct expr){.kind = EXPR_LITERAL, .was_result = x->was_result, .literal = &x->literal->items[i]};
  return item;
}

const struct expr *expr_member(void *mem, const struct expr *object, const char *key) {
  const char *const *keys = object->kind == EXPR_LITERAL ? object->literal->keys : object->keys;

  for (size_t i = 0, n = expr_len(object); i < n; i++)
    if (*keys[i] == *key && strcmp(keys[i], key) == 0) return expr_item(mem, object, i);
  return NULL;
}
