/* Locks ahead of the writes, in the same order for everybody: names first (of rows that may not be there yet), then
 * rows, model by model, those of one model in the order of their keys: what the input names, and the children that it
 * will change by way of a row that it names. */
#include "nested/nested_inside.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"

#include <string.h>

/* From a row that the input names, through its fields. */
struct route {
  const struct where_unique *where;
  const struct field *const *fields;
  size_t n;
};

/* The rows of one model. */
struct wanted {
  const struct model *model;
  const struct where_unique **wheres;
  size_t n;
  struct route *routes;
  size_t nroutes;
  bool deletes; /* some of them go: nobody may refer to them any more */
  bool locked;
};

struct locks {
  struct planner *p;
  struct wanted *wanted; /* one a model */
  size_t nwanted;
  struct str *names; /* a text[]: what is promised to be made once only */
};

/* ---- collecting ---- */

static bool is_literal(const struct where_unique *where) {
  for (size_t i = 0; i < where->key->ncolumns; i++)
    if (where->values[i]->kind != EXPR_LITERAL) return false;
  return true;
}

static struct wanted *wanted_of(struct locks *l, const struct model *m) {
  for (size_t i = 0; i < l->nwanted; i++)
    if (l->wanted[i].model == m) return &l->wanted[i];
  arena_grow(l->p->mem, l->wanted, l->nwanted);
  l->wanted[l->nwanted] = (struct wanted){.model = m};
  return &l->wanted[l->nwanted++];
}

static void want(struct locks *l, const struct model *m, const struct where_unique *where) {
  struct wanted *w;

  if (!is_literal(where)) return;
  w = wanted_of(l, m);
  arena_grow(l->p->mem, w->wheres, w->n);
  w->wheres[w->n++] = where;
}

static void want_route(struct locks *l, const struct route *route) {
  struct wanted *w = wanted_of(l, field_there(route->fields[route->n - 1])->model);

  arena_grow(l->p->mem, w->routes, w->nroutes);
  w->routes[w->nroutes++] = *route;
}

static struct route longer(struct locks *l, const struct route *route, const struct field *f) {
  const struct field **fields = arena_array(l->p->mem, const struct field *, route->n + 1);

  for (size_t i = 0; i < route->n; i++) fields[i] = route->fields[i];
  fields[route->n] = f;
  return (struct route){.where = route->where, .fields = fields, .n = route->n + 1};
}

/* The row at the end of the route goes, and the links to it with it: in the rows that hold them. */
static void want_deleted(struct locks *l, const struct model *m, const struct route *route) {
  wanted_of(l, m)->deletes = true;
  for (size_t i = 0; i < m->nfields; i++) {
    struct route children;

    if (!m->fields[i].relation || !link_is_there(link_of(&m->fields[i]))) continue;
    children = longer(l, route, &m->fields[i]);
    want_route(l, &children);
  }
}

/* Does it write to children that the parent has, without naming them? */
static bool changes_children(const struct nested_op *op) {
  switch (op->kind) {
  case NESTED_SET:
  case NESTED_UPDATE_MANY:
  case NESTED_DELETE_MANY: return true;
  case NESTED_CREATE:
  case NESTED_CONNECT:
  case NESTED_CONNECT_OR_CREATE: return !op->field->list && link_is_there(link_of(op->field));
  default: return !op->field->list;
  }
}

bool where_is_carried(const struct where_unique *where, const struct nested_data *create) {
  const struct key *key = where->key;
  const struct json *value;

  if (key->nfields != 1 || key->fields[0]->relation || where->values[0]->kind != EXPR_LITERAL) return false;
  value = where->values[0]->literal;
  for (size_t i = 0; i < create->nvalues; i++) {
    const struct nested_value *v = &create->values[i];
    const struct json *given =
        v->field == key->fields[0] && v->value && v->value->kind == EXPR_LITERAL ? v->value->literal : NULL;
    if (given && given->text && value->text && strcmp(given->text, value->text) == 0) return true;
  }
  return false;
}

static void want_name(struct locks *l, const struct model *m, const struct where_unique *where,
                      const struct nested_data *create) {
  struct str *name = str_new(l->p->mem, 64);

  if (!where_is_carried(where, create)) return;
  str_printf(name, "%s.%s=%s", m->table_sql, where->key->columns[0]->sql, where->values[0]->literal->text);
  if (l->names->len > 1) str_char(l->names, ',');
  str_sql_element(l->names, name->p);
}

static bool connects(const struct nested_data *d, const struct nested_op *op) {
  return op->kind == NESTED_CONNECT || op->kind == NESTED_CONNECT_OR_CREATE || op->kind == NESTED_SET ||
         (op->kind == NESTED_UPSERT && d->create);
}

/* A child that moves leaves its old parent: where the link stands with that one, its row is written. */
static void want_old_parent(struct locks *l, const struct field *f, const struct where_unique *where) {
  const struct field *back = field_there(f)->field;
  struct route route = {.where = where};

  if (field_there(f)->list || link_is_there(link_of(f)) || !is_literal(where)) return; /* what is no list is declared */
  route = longer(l, &route, back);
  want_route(l, &route);
}

static void want_all(struct locks *l, const struct nested_data *d, const struct route *route);

static void want_below(struct locks *l, struct nested_op *op, const struct route *route) {
  struct route child = {0};

  if (op->nwheres == 1 && is_literal(op->wheres)) child.where = op->wheres;
  else if (route->where && !op->nwheres) child = longer(l, route, op->field);
  want_all(l, op->update, &child);
  want_all(l, op->create, &(struct route){0}); /* a new row has no children yet */
}

/* route: to the row of d; its where is NULL when no row is named, or none that is there. */
static void want_all(struct locks *l, const struct nested_data *d, const struct route *route) {
  for (size_t i = 0; d && i < d->nops; i++) {
    struct nested_op *op = &d->ops[i];
    const struct model *m = field_there(op->field)->model;

    for (size_t j = 0; j < op->nwheres; j++) {
      if (!connects_newborn(d->create, op)) want(l, m, &op->wheres[j]);
      if (connects(d, op)) want_old_parent(l, op->field, &op->wheres[j]);
    }
    if (op->nwheres && op->create) want_name(l, m, op->wheres, op->create);
    if (route->where && !d->create && changes_children(op)) {
      struct route children = longer(l, route, op->field);
      want_route(l, &children);
      op->locked = true;
      if (op->kind == NESTED_DELETE || op->kind == NESTED_DELETE_MANY) want_deleted(l, m, &children);
    }
    if (op->kind == NESTED_DELETE && op->nwheres && is_literal(op->wheres))
      want_deleted(l, m, &(struct route){.where = op->wheres});
    want_below(l, op, route);
  }
}

/* ---- statements ---- */

static bool plan_names(struct locks *l) {
  struct sql_build *b = sql_begin(l->p->mem);

  if (l->names->len == 1) return true;
  str_char(l->names, '}');
  sql_printf(b,
             "select pg_advisory_xact_lock(h) from (select distinct pg_catalog.hashtextextended(v, 0) as h from "
             "unnest($%u::text[]) as v order by h) as writ_h",
             sql_param(b, l->names->p));
  return plan_step(l->p, b, NULL, NULL, "lock names");
}

static bool has_key_before(const struct wanted *w, size_t i) {
  for (size_t j = 0; j < i; j++)
    if (w->wheres[j]->key == w->wheres[i]->key) return true;
  return false;
}

static const struct expr *list(struct planner *p, struct json *items, size_t n) {
  struct json *x = arena_new(p->mem, struct json);

  *x = (struct json){.kind = JSON_ARRAY, .len = n, .items = items};
  return expr_literal(p->mem, x);
}

/* All values of one key of one column as one list. */
static const struct expr *list_of(struct planner *p, const struct wanted *w, const struct key *key) {
  struct json *items = arena_array(p->mem, struct json, w->n);
  size_t n = 0;

  for (size_t i = 0; i < w->n; i++)
    if (w->wheres[i]->key == key) items[n++] = *w->wheres[i]->values[0]->literal;
  return list(p, items, n);
}

static bool put_wanted(struct planner *p, struct sql_build *b, const char *alias, const struct wanted *w, size_t i) {
  const struct key *key = w->wheres[i]->key;

  if (key->ncolumns > 1) return where_unique_put(b, w->wheres[i], alias, p->e);
  sql_printf(b, "%s.%s = any (", alias, key->columns[0]->sql);
  if (!sql_input_list(b, list_of(p, w, key), key->columns[0], p->e)) return values_error(p, w->model, key, w->wheres, w->n);
  sql_add(b, ")");
  return true;
}

static void put_lock_end(struct sql_build *b, const char *alias, const struct model *m, bool deletes) {
  sql_add(b, " order by ");
  sql_columns(b, alias, m->key->columns, m->key->ncolumns);
  sql_add(b, deletes ? " for update" : " for no key update");
}

static bool put_all_wanted(struct planner *p, struct sql_build *b, const char *alias, const struct wanted *w) {
  const char * or = "";

  for (size_t i = 0; i < w->n; i++) {
    if (w->wheres[i]->key->ncolumns == 1 && has_key_before(w, i)) continue;
    sql_add(b, or);
    or = " or ";
    if (!put_wanted(p, b, alias, w, i)) return false;
  }
  return true;
}

/* Do both go the same way, from rows that one list can name? */
static bool is_alike(const struct route *a, const struct route *b) {
  if (a->n != b->n || memcmp(a->fields, b->fields, a->n * sizeof(struct field *)) != 0) return false;
  return a->where == b->where ||
         (can_find_all(&a->where, 1) && can_find_all((const struct where_unique *const[]){a->where, b->where}, 2));
}

static bool has_alike_before(const struct wanted *w, size_t i) {
  for (size_t j = 0; j < i; j++)
    if (is_alike(&w->routes[j], &w->routes[i])) return true;
  return false;
}

/* Where all routes like that one begin. */
static bool put_beginnings(struct planner *p, struct sql_build *b, const struct wanted *w, size_t i, const char *row) {
  const struct where_unique *where = w->routes[i].where, *last = NULL,
                            **wheres = arena_array(p->mem, const struct where_unique *, w->nroutes);
  struct json *items = arena_array(p->mem, struct json, w->nroutes);
  size_t n = 0;

  for (size_t j = i; j < w->nroutes; j++) {
    if (w->routes[j].where == last || !is_alike(&w->routes[i], &w->routes[j])) continue;
    wheres[n] = last = w->routes[j].where;
    items[n++] = *last->values[0]->literal;
  }
  if (n == 1 || where->key->ncolumns > 1) return where_unique_put(b, where, row, p->e);
  sql_printf(b, "%s.%s = any (", row, where->key->columns[0]->sql);
  if (!sql_input_list(b, list(p, items, n), where->key->columns[0], p->e))
    return values_error(p, field_here(w->routes[i].fields[0])->model, where->key, wheres, n);
  sql_add(b, ")");
  return true;
}

/* select the keys of what is at the end of a route, and of those like it: each field's children are a lateral subselect over
 * the row before. */
static bool put_route(struct planner *p, struct sql_build *b, const struct wanted *w, size_t at) {
  const struct route *r = &w->routes[at];
  const struct model *m = w->model;
  const char *row = sql_alias(b), **rows = arena_array(b->mem, const char *, r->n);

  for (size_t i = 0; i < r->n; i++) rows[i] = sql_alias(b);
  sql_add(b, "select ");
  sql_columns(b, rows[r->n - 1], m->key->columns, m->key->ncolumns);
  sql_printf(b, " from %s as %s", field_here(r->fields[0])->model->table_sql, row);
  for (size_t i = 0; i < r->n; i++) {
    const char *child = sql_alias(b);

    sql_printf(b, ", lateral (select %s.* ", child);
    where_put_linked(b, r->fields[i], i ? rows[i - 1] : row, child);
    sql_printf(b, ") as %s", rows[i]);
  }
  sql_add(b, " where ");
  return put_beginnings(p, b, w, at, row);
}

/* Several ways to the rows, each by its index; one statement locks all of them in the order of their keys. */
static bool put_union(struct planner *p, struct sql_build *b, const char *alias, const struct wanted *w) {
  const char *named = sql_alias(b), * or = "";

  sql_add(b, "(");
  sql_columns(b, alias, w->model->key->columns, w->model->key->ncolumns);
  sql_add(b, ") in (");
  if (w->n) {
    sql_add(b, "select ");
    sql_columns(b, named, w->model->key->columns, w->model->key->ncolumns);
    sql_printf(b, " from %s as %s where ", w->model->table_sql, named);
    if (!put_all_wanted(p, b, named, w)) return false;
    or = " union all ";
  }
  for (size_t i = 0; i < w->nroutes; i++) {
    if (has_alike_before(w, i)) continue;
    sql_add(b, or);
    or = " union all ";
    if (!put_route(p, b, w, i)) return false;
  }
  sql_add(b, ")");
  return true;
}

static bool plan_rows(struct planner *p, const struct wanted *w) {
  struct sql_build *b = plan_begin(p);
  const char *alias = sql_alias(b);

  sql_printf(b, "select from %s as %s where ", w->model->table_sql, alias);
  if (!(w->nroutes ? put_union : put_all_wanted)(p, b, alias, w)) return false;
  put_lock_end(b, alias, w->model, w->deletes);
  return plan_step(p, b, NULL, NULL, arena_printf(p->mem, "lock %s", w->model->name));
}

/* Whoever changes a link holds the row at its one end, at least. So where each row on a route is locked before the next is
 * looked for, what is at its end cannot change any more. Else it may have, while the lock was waited for. */
static bool is_certain(const struct route *r) {
  for (size_t i = 0; i < r->n; i++)
    if (field_here(r->fields[i])->model->lock_rank >= field_there(r->fields[i])->model->lock_rank) return false;
  return true;
}

/* What is at the ends of routes by now, when all locks are held. What came there meanwhile is locked too, but not waited for:
 * that would be out of the order. If it is somebody else's, all begins anew (nested_lost_race). */
static bool plan_rows_again(struct planner *p, const struct wanted *w) {
  struct sql_build *b = plan_begin(p);
  const char *alias = sql_alias(b);
  struct nested_subject *subject = arena_new(p->mem, struct nested_subject);
  struct wanted again = {.model = w->model, .routes = arena_array(p->mem, struct route, w->nroutes + 1)};

  for (size_t i = 0; i < w->nroutes; i++)
    if (!is_certain(&w->routes[i])) again.routes[again.nroutes++] = w->routes[i];
  if (!again.nroutes) return true;
  sql_printf(b, "select from %s as %s where ", w->model->table_sql, alias);
  if (!put_union(p, b, alias, &again)) return false;
  put_lock_end(b, alias, w->model, w->deletes);
  sql_add(b, " nowait");
  *subject = (struct nested_subject){.model = w->model, .no_wait = true};
  return plan_step(p, b, NULL, subject, arena_printf(p->mem, "lock %s again", w->model->name));
}

/* The root's row alone is locked where it is looked for: nothing else is read by then. */
static bool is_root_alone(const struct locks *l, const struct nested_root *root) {
  return root->where && is_literal(root->where) && l->nwanted == 1 && l->wanted->n == 1 && !l->wanted->nroutes;
}

static struct wanted *next_by_rank(struct locks *l) {
  struct wanted *next = NULL;

  for (size_t i = 0; i < l->nwanted; i++)
    if (!l->wanted[i].locked && (l->wanted[i].n || l->wanted[i].nroutes) &&
        (!next || l->wanted[i].model->lock_rank < next->model->lock_rank))
      next = &l->wanted[i];
  return next;
}

bool plan_locks(struct planner *p, const struct nested_root *root) {
  struct locks l = {.p = p, .names = str_new(p->mem, 64)};
  struct wanted *w;

  str_char(l.names, '{');
  if (root->where) want(&l, root->model, root->where);
  if (root->kind == ROOT_DELETE && is_literal(root->where))
    want_deleted(&l, root->model, &(struct route){.where = root->where});
  if (root->where && root->create) want_name(&l, root->model, root->where, root->create);
  want_all(&l, root->update, &(struct route){.where = root->where && is_literal(root->where) ? root->where : NULL});
  want_all(&l, root->create, &(struct route){0});
  if (!plan_names(&l)) return false;
  if (is_root_alone(&l, root)) {
    p->lock_root = l.wanted->deletes ? " for update" : " for no key update";
    return true;
  }
  while ((w = next_by_rank(&l))) {
    if (!plan_rows(p, w)) return false;
    w->locked = true;
  }
  for (size_t i = 0; i < l.nwanted; i++)
    if (!plan_rows_again(p, &l.wanted[i])) return false;
  return true;
}

bool plan_lock_children(struct planner *p, struct link l, unsigned parent, const char *path) {
  struct sql_build *b = plan_begin(p);
  const struct model *m = link_there(l)->model;
  const char *alias = sql_alias(b);

  sql_printf(b, "select from %s as %s where ", m->table_sql, alias);
  put_linked(b, l, (struct rows){.slot = parent}, alias);
  put_lock_end(b, alias, m, false);
  return plan_step(p, b, path, NULL, arena_printf(p->mem, "lock %s", m->name));
}
