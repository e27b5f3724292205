/* Expressions: arguments and results, as literals or as places in results that are not there yet. */
#include "base/arena.h"
#include "commands/tree.h"

#include <stdio.h>
#include <string.h>

const struct json *json_at(const struct json *value, const char *const *path, size_t npath) {
  for (size_t i = 0; value && i < npath; i++) {
    if (value->kind == JSON_OBJECT) {
      value = json_get(value, path[i]);
    } else if (value->kind == JSON_ARRAY && *path[i] && strlen(path[i]) < 10 &&
               strspn(path[i], "0123456789") == strlen(path[i])) {
      size_t index = 0;
      for (const char *p = path[i]; *p; p++) index = index * 10 + (size_t)(*p - '0');
      value = index < value->len ? &value->items[index] : NULL;
    } else {
      value = NULL;
    }
  }
  return value;
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
  if (x->kind == EXPR_OBJECT) {
    for (size_t i = 0; i < x->n; i++)
      if (strcmp(x->keys[i], name) == 0) return &x->items[i];
    return NULL;
  }
  for (size_t i = 0; i < x->n; i++) {
    char index[24];
    snprintf(index, sizeof index, "%zu", i);
    if (strcmp(index, name) == 0) return &x->items[i];
  }
  return NULL;
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

void expr_each_result(const struct expr *x, void (*visit)(const struct expr *, void *), void *data) {
  if (x->kind == EXPR_RESULT) visit(x, data);
  for (size_t i = 0; i < x->n; i++) expr_each_result(&x->items[i], visit, data);
}
