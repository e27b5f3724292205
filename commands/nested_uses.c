/* Walks over the input of a mutation, by the data model alone. nested/nested_read.c has the rules; this follows the same
 * forms. */
#include "commands/nested_uses.h"

#include "base/arena.h"
#include "commands/tree.h"
#include "manifest/manifest.h"
#include "model/model.h"

#include <string.h>

struct walk {
  void *mem;
  const struct manifest *manifest;
  bool (*visit)(void *data, const struct command *c, const struct expr **args, const char *path);
  void *data;
};

/* What an operation gives to its command. NULL: not given. */
struct operands {
  const struct expr *where, *data, *create, *update;
};

static const struct expr *null_literal(void *mem) { return expr_literal(mem, &json_null); }

static bool tell(struct walk *w, const char *name, struct operands given, const char *path) {
  const struct command *c = name ? manifest_command(w->manifest, name) : NULL;
  const struct expr **args;

  if (!c || (!c->nbefore_hooks && !c->nmutexes)) return true;
  args = arena_array(w->mem, const struct expr *, c->nargs + 1);
  for (size_t i = 0; i < c->nargs; i++) {
    const char *argument = c->args[i].name;

    if (strcmp(argument, "where") == 0) args[i] = given.where;
    else if (strcmp(argument, "data") == 0) args[i] = given.data;
    else if (strcmp(argument, "create") == 0) args[i] = given.create;
    else if (strcmp(argument, "update") == 0) args[i] = given.update;
    if (!args[i] && !c->args[i].fallback) args[i] = null_literal(w->mem);
  }
  return w->visit(w->data, c, args, path);
}

static bool is_object(const struct expr *x) {
  bool is_result;
  return x && expr_kind(x, &is_result) == JSON_OBJECT;
}

static bool is_array(const struct expr *x) {
  bool is_result;
  return expr_kind(x, &is_result) == JSON_ARRAY;
}

static bool walk_data(struct walk *w, const struct model *m, const struct expr *data, const char *path);

static bool walk_create(struct walk *w, const struct model *m, const struct expr *x, const char *path) {
  return tell(w, m->mutation.create, (struct operands){.data = x}, path) && walk_data(w, m, x, path);
}

static bool walk_update(struct walk *w, const struct model *m, const struct expr *where, const struct expr *x,
                        const char *path) {
  return tell(w, m->mutation.update, (struct operands){.where = where, .data = x}, path) && walk_data(w, m, x, path);
}

static bool walk_branches(struct walk *w, const struct model *m, struct operands g, const char *path) {
  return walk_update(w, m, g.where, g.update, arena_printf(w->mem, "%s/update", path)) &&
         walk_create(w, m, g.create, arena_printf(w->mem, "%s/create", path));
}

/* One operation; x: one element of a list, or the whole of a to-one. */
static bool walk_op(struct walk *w, const struct field *f, const char *kind, const struct expr *x, const char *path) {
  const struct model *m = field_there(f)->model;
  bool object = is_object(x);
  struct operands g = {0};

  if (object)
    g = (struct operands){expr_member(w->mem, x, "where"), expr_member(w->mem, x, "data"), expr_member(w->mem, x, "create"),
                          expr_member(w->mem, x, "update")};
  if (strcmp(kind, "create") == 0) return walk_create(w, m, x, path);
  if (strcmp(kind, "update") == 0 && f->list)
    return walk_update(w, m, g.where, g.data, arena_printf(w->mem, "%s/data", path));
  if (strcmp(kind, "update") == 0) return walk_update(w, m, NULL, x, path);
  if (strcmp(kind, "upsert") == 0) return tell(w, m->mutation.upsert, g, path) && walk_branches(w, m, g, path);
  if (strcmp(kind, "connectOrCreate") == 0) return walk_create(w, m, g.create, arena_printf(w->mem, "%s/create", path));
  if (strcmp(kind, "delete") == 0) return tell(w, m->mutation.delete, (struct operands){.where = object ? x : NULL}, path);
  if (strcmp(kind, "updateMany") == 0)
    return tell(w, m->mutation.update_many, (struct operands){.where = g.where, .data = g.data}, path);
  if (strcmp(kind, "deleteMany") == 0) return tell(w, m->mutation.delete_many, (struct operands){.where = x}, path);
  return true;
}

static bool is_nothing(const struct expr *x) {
  return expr_is_null(x) || (x->kind == EXPR_LITERAL && x->literal->kind == JSON_FALSE);
}

static bool walk_kind(struct walk *w, const struct field *f, const char *kind, const struct expr *x, const char *path) {
  if (is_nothing(x)) return true;
  if (!is_array(x)) return walk_op(w, f, kind, x, path);
  for (size_t i = 0; i < expr_len(x); i++)
    if (!walk_op(w, f, kind, expr_item(w->mem, x, i), arena_printf(w->mem, "%s/%zu", path, i))) return false;
  return true;
}

static bool walk_data(struct walk *w, const struct model *m, const struct expr *data, const char *path) {
  if (!is_object(data)) return true;
  for (size_t i = 0; i < expr_len(data); i++) {
    const struct field *f = model_field(m, expr_key(data, i));
    const struct expr *ops = expr_item(w->mem, data, i);

    if (!f || !f->relation || !is_object(ops)) continue;
    for (size_t j = 0; j < expr_len(ops); j++)
      if (!walk_kind(w, f, expr_key(ops, j), expr_item(w->mem, ops, j),
                     arena_printf(w->mem, "%s/%s/%s", path, f->name, expr_key(ops, j))))
        return false;
  }
  return true;
}

bool nested_uses(void *mem, const struct manifest *m, const struct command *c, const struct expr **args,
                 bool (*visit)(void *data, const struct command *c, const struct expr **args, const char *path),
                 void *data) {
  struct walk w = {.mem = mem, .manifest = m, .visit = visit, .data = data};
  struct operands g = {0};

  if (!m->asks_nested) return true;
  for (size_t i = 0; i < c->nargs; i++) {
    const char *name = c->args[i].name;

    if (strcmp(name, "where") == 0) g.where = args[i];
    else if (strcmp(name, "data") == 0) g.data = args[i];
    else if (strcmp(name, "create") == 0) g.create = args[i];
    else if (strcmp(name, "update") == 0) g.update = args[i];
  }
  if (c->operation == OPERATION_UPSERT) return walk_branches(&w, c->model, g, "");
  return walk_data(&w, c->model, g.data, "/data");
}
