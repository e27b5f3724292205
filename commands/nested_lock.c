/* Locks ahead of the writes, in the same order for everybody: names first (of rows that may not be there yet), then the rows that
 * the input names, model by model. Those that are reached through links are locked on the way. */
#include "commands/nested_inside.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"

#include <string.h>

/* What the wheres of a tree name, of one model by one key. */
struct wanted {
  const struct model *model;
  const struct where_unique **wheres;
  size_t n;
};

struct locks {
  struct planner *p;
  struct wanted *wanted; /* one a model */
  size_t nwanted;
  struct str *names;     /* a text[]: what is promised to be made once only */
};

/* ---- collecting ----------------------------------------------------------------------------------------------------------- */

static bool is_literal(const struct where_unique *where) {
  for (size_t i = 0; i < where->key->ncolumns; i++)
    if (where->values[i]->kind != EXPR_LITERAL) return false;
  return true;
}

static void want(struct locks *l, const struct model *m, const struct where_unique *where) {
  struct wanted *w = NULL;

  for (size_t i = 0; i < l->nwanted; i++)
    if (l->wanted[i].model == m) w = &l->wanted[i];
  if (!is_literal(where)) return;
  if (!w) {
    arena_grow(l->p->mem, l->wanted, l->nwanted);
    w = &l->wanted[l->nwanted++];
    *w = (struct wanted){.model = m};
  }
  arena_grow(l->p->mem, w->wheres, w->n);
  w->wheres[w->n++] = where;
}

static void quote_element(struct str *s, const char *text) {
  str_char(s, '"');
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') str_char(s, '\\');
    str_char(s, *text);
  }
  str_char(s, '"');
}

bool where_is_carried(const struct where_unique *where, const struct nested_data *create) {
  const struct key *key = where->key;
  const struct json *value;

  if (key->nfields != 1 || key->fields[0]->relation || where->values[0]->kind != EXPR_LITERAL) return false;
  value = where->values[0]->literal;
  for (size_t i = 0; i < create->nvalues; i++) {
    const struct nested_value *v = &create->values[i];
    const struct json *given = v->field == key->fields[0] && v->value && v->value->kind == EXPR_LITERAL ? v->value->literal : NULL;
    if (given && given->text && value->text && strcmp(given->text, value->text) == 0) return true;
  }
  return false;
}

static void want_name(struct locks *l, const struct model *m, const struct where_unique *where, const struct nested_data *create) {
  struct str *name = str_new(l->p->mem, 64);

  if (!where_is_carried(where, create)) return;
  str_printf(name, "%s.%s=%s", m->table_sql, where->key->columns[0]->sql, where->values[0]->literal->text);
  if (l->names->len > 1) str_char(l->names, ',');
  quote_element(l->names, name->p);
}

static void want_all(struct locks *l, const struct nested_data *d) {
  for (size_t i = 0; d && i < d->nops; i++) {
    const struct nested_op *op = &d->ops[i];
    const struct model *m = field_there(op->field)->model;

    for (size_t j = 0; j < op->nwheres; j++) want(l, m, &op->wheres[j]);
    if (op->nwheres && op->create) want_name(l, m, op->wheres, op->create);
    want_all(l, op->update);
    want_all(l, op->create);
  }
}

/* ---- statements ------------------------------------------------------------------------------------------------------------ */

static bool plan_names(struct locks *l) {
  struct sql_build *b = sql_begin(l->p->mem);

  if (l->names->len == 1) return true;
  str_char(l->names, '}');
  sql_printf(b, "select pg_advisory_xact_lock(h) from (select distinct pg_catalog.hashtextextended(v, 0) as h from "
                "unnest($%u::text[]) as v order by h) as writ_h", sql_param(b, l->names->p));
  return plan_step(l->p, b, NULL, NULL, "lock names");
}

static bool has_key_before(const struct wanted *w, size_t i) {
  for (size_t j = 0; j < i; j++)
    if (w->wheres[j]->key == w->wheres[i]->key) return true;
  return false;
}

/* All values of one key of one column as one list. */
static const struct expr *list_of(struct planner *p, const struct wanted *w, const struct key *key) {
  struct json *list = arena_new(p->mem, struct json), *items = arena_array(p->mem, struct json, w->n);
  size_t n = 0;

  for (size_t i = 0; i < w->n; i++)
    if (w->wheres[i]->key == key) items[n++] = *w->wheres[i]->values[0]->literal;
  *list = (struct json){.kind = JSON_ARRAY, .len = n, .items = items};
  return expr_literal(p->mem, list);
}

static bool put_wanted(struct planner *p, struct sql_build *b, const char *alias, const struct wanted *w, size_t i) {
  const struct key *key = w->wheres[i]->key;

  if (key->ncolumns > 1) return where_unique_put(b, w->wheres[i], alias, p->e);
  sql_printf(b, "%s.%s = any (", alias, key->columns[0]->sql);
  if (!sql_input_list(b, list_of(p, w, key), key->columns[0], p->e))
    return value_error(p, key->name, w->model, w->wheres[i]->at.path);
  sql_add(b, ")");
  return true;
}

static void put_lock_end(struct sql_build *b, const char *alias, const struct model *m) {
  sql_add(b, " order by ");
  sql_columns(b, alias, m->key->columns, m->key->ncolumns);
  sql_add(b, " for no key update");
}

static bool plan_rows(struct planner *p, const struct wanted *w) {
  struct sql_build *b = sql_begin(p->mem);
  const char *alias = sql_alias(b), *or = "";

  sql_printf(b, "select from %s as %s where ", w->model->table_sql, alias);
  for (size_t i = 0; i < w->n; i++) {
    if (w->wheres[i]->key->ncolumns == 1 && has_key_before(w, i)) continue;
    sql_add(b, or);
    or = " or ";
    if (!put_wanted(p, b, alias, w, i)) return false;
  }
  put_lock_end(b, alias, w->model);
  return plan_step(p, b, NULL, NULL, arena_printf(p->mem, "lock %s", w->model->name));
}

static struct wanted *next_by_rank(struct locks *l) {
  struct wanted *next = NULL;

  for (size_t i = 0; i < l->nwanted; i++)
    if (l->wanted[i].n && (!next || l->wanted[i].model->lock_rank < next->model->lock_rank)) next = &l->wanted[i];
  return next;
}

bool plan_locks(struct planner *p, const struct nested_root *root) {
  struct locks l = {.p = p, .names = str_new(p->mem, 64)};
  struct wanted *w;

  str_char(l.names, '{');
  if (root->where) want(&l, root->model, root->where);
  if (root->where && root->create) want_name(&l, root->model, root->where, root->create);
  want_all(&l, root->update);
  want_all(&l, root->create);
  if (!plan_names(&l)) return false;
  while ((w = next_by_rank(&l))) {
    if (!plan_rows(p, w)) return false;
    w->n = 0;
  }
  return true;
}

bool plan_lock_children(struct planner *p, struct link l, unsigned parent, const char *path) {
  struct sql_build *b = sql_begin(p->mem);
  const struct model *m = link_there(l)->model;
  const char *alias = sql_alias(b);

  sql_printf(b, "select from %s as %s where ", m->table_sql, alias);
  put_linked(b, l, (struct rows){.slot = parent}, alias);
  put_lock_end(b, alias, m);
  return plan_step(p, b, path, NULL, arena_printf(p->mem, "lock %s", m->name));
}
