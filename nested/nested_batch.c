/* Many rows in one statement: creates of a list, level by level with what is created below them, and finding what a
 * list names. */
#include "nested/nested_inside.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"

#include <string.h>

/* Creates of one field that give the same fields, of one parent or of many. */
struct level {
  const struct nested_op **ops;
  const struct nested_data **parents; /* of each; NULL: the row in the slot is the parent of all */
  size_t n;
  struct link link;
  unsigned slot; /* all of it happens where this is filled */
};

/* ---- what can be done so ---- */

/* Children need to know the key: it is drawn, or was given. */
static bool knows_key(const struct nested_data *d) {
  const struct nested_value *key = key_value(d);
  return key && (is_drawn(key) || (key->value && !expr_is_null(key->value)));
}

static bool is_plain(const struct nested_op *op) {
  if (op->kind != NESTED_CREATE || !op->field->list) return false;
  for (size_t i = 0; i < op->create->nvalues; i++) {
    const struct expr *x = op->create->values[i].value;
    if (op->create->values[i].field->column->nlinks) return false; /* the link may say otherwise: nested_rows.c compares */
    if (x && (x->kind != EXPR_LITERAL || x->was_result)) return false;
  }
  for (size_t i = 0; i < op->create->nops; i++)
    if (!link_is_there(link_of(op->create->ops[i].field)) || !is_plain(&op->create->ops[i])) return false;
  return (!op->create->nops && !rules_keep_result(op->create)) || knows_key(op->create);
}

static bool same_shape(const struct nested_op *a, const struct nested_op *b) {
  if (a->field != b->field || a->create->nvalues != b->create->nvalues) return false;
  for (size_t i = 0; i < a->create->nvalues; i++) {
    const struct nested_value *x = &a->create->values[i], *y = &b->create->values[i];
    if (x->field != y->field || !x->value != !y->value) return false;
  }
  return true;
}

static bool connects_alike(const struct nested_op *a, const struct nested_op *b) {
  return b->kind == NESTED_CONNECT && a->field == b->field && a->wheres->key == b->wheres->key;
}

size_t batch_length(const struct planner *p, const struct nested_data *d, size_t first) {
  const struct nested_op *op = &d->ops[first];
  bool connects = op->kind == NESTED_CONNECT && op->field->list, creates = !p->k->one_by_one && is_plain(op);
  size_t end = first + 1;

  while (end < d->nops && ((connects && connects_alike(op, &d->ops[end])) ||
                           (creates && is_plain(&d->ops[end]) && same_shape(op, &d->ops[end]))))
    end++;
  return end - first;
}

bool is_batch(const struct planner *p, const struct nested_op *op, size_t n) {
  return !p->k->one_by_one && is_plain(op) && (n > 1 || op->create->nops);
}

/* ---- rows ---- */

/* manual chapter 8.15.6; NULL text: null. */
static void put_element(struct str *s, const char *text) {
  if (s->len > 1) str_char(s, ',');
  if (text) str_sql_element(s, text);
  else str_add(s, "NULL");
}

/* The values of all rows for one column: a text[]. */
static bool put_column(struct planner *p, struct sql_build *b, const struct level *l, size_t value) {
  struct str *s = str_new(p->mem, 16 * l->n);

  str_char(s, '{');
  for (size_t i = 0; i < l->n; i++) {
    const char *text;
    if (!value_text(p, l->ops[i]->create, &l->ops[i]->create->values[value], &text)) return false;
    put_element(s, text);
  }
  str_char(s, '}');
  sql_printf(b, "$%u::text[]", sql_param(b, s->p));
  return true;
}

/* Elements of the array of keys that were drawn for a model. */
static void put_drawn_at(struct planner *p, struct sql_build *b, const struct model *m, const struct str *places) {
  unsigned slot = sql_param(b, slot_name(b->mem, drawn_for(p, m)->slot)), at = sql_param(b, places->p);

  sql_printf(b,
             "array(select writ_d.a[writ_a.i] from (select nullif(pg_catalog.current_setting($%u::text, true), '')::text[] "
             "as a offset 0)"
             " as writ_d, unnest($%u::integer[]) with ordinality as writ_a(i, o) order by writ_a.o)",
             slot, at);
}

static void put_own_draws(struct planner *p, struct sql_build *b, const struct level *l) {
  struct str *s = str_new(p->mem, 8 * l->n);

  for (size_t i = 0; i < l->n; i++) str_printf(s, "%s%zu", i ? "," : "{", l->ops[i]->create->draw);
  str_char(s, '}');
  put_drawn_at(p, b, l->ops[0]->create->model, s);
}

/* The keys of the parents: some may be drawn, others given, but all of one level are of one shape. */
static bool put_parents(struct planner *p, struct sql_build *b, const struct level *l) {
  struct str *s = str_new(p->mem, 16 * l->n);
  bool drawn = is_drawn(key_value(l->parents[0]));

  str_char(s, '{');
  for (size_t i = 0; i < l->n; i++) {
    const char *text;
    if (drawn) text = arena_printf(p->mem, "%zu", l->parents[i]->draw);
    else if (!value_text(p, l->parents[i], key_value(l->parents[i]), &text)) return false;
    put_element(s, text);
  }
  str_char(s, '}');
  if (drawn) put_drawn_at(p, b, l->parents[0]->model, s);
  else sql_printf(b, "$%u::text[]", sql_param(b, s->p));
  return true;
}

static bool is_drawn_ahead(const struct planner *p, const struct nested_data *d, const struct nested_value *v) {
  return is_drawn(v) && drawn_for(p, d->model)->ahead;
}

static bool put_rows(struct planner *p, struct sql_build *b, const struct level *l) {
  const struct nested_data *d = l->ops[0]->create;
  size_t columns = 0;

  sql_add(b, " from unnest(");
  for (size_t i = 0; i < d->nvalues; i++) {
    if (!d->values[i].value && !is_drawn_ahead(p, d, &d->values[i])) continue; /* an expression, the same for each */
    if (columns++) sql_add(b, ", ");
    if (!d->values[i].value) put_own_draws(p, b, l);
    else if (!put_column(p, b, l, i)) return false;
  }
  if (l->parents) {
    sql_add(b, columns ? ", " : "");
    if (!put_parents(p, b, l)) return false;
  } else if (!columns) {
    sql_printf(b, "array_fill(''::text, array[$%u::integer])", sql_param(b, arena_printf(p->mem, "%zu", l->n)));
  }
  sql_add(b, ") with ordinality as writ_u(");
  for (size_t i = 0; i < columns; i++) sql_printf(b, "v%zu, ", i);
  sql_add(b, l->parents ? "p, o)" : columns ? "o)" : "v0, o)");
  return true;
}

static void put_names(struct sql_build *b, const struct nested_data *d, const struct relation_side *holder) {
  bool sequence = false;

  sql_printf(b, "insert into %s (", d->model->table_sql);
  for (size_t i = 0; i < d->nvalues; i++) {
    sql_printf(b, "%s%s", i ? ", " : "", d->values[i].field->column->sql);
    sequence |= is_drawn(&d->values[i]);
  }
  for (size_t i = 0; holder && i < holder->ncolumns; i++)
    sql_printf(b, "%s%s", i || d->nvalues ? ", " : "", holder->columns[i]->sql);
  sql_add(b, sequence ? ") overriding system value " : ") ");
}

/* Up to so many rows are cheaper as values than as arrays, and are few enough for a text, and a prepared statement, of each number. */
enum { FEW = 4 };

static bool is_few(const struct planner *p, const struct level *l) {
  bool drawn = false;

  for (size_t i = 0; i < l->ops[0]->create->nvalues; i++) drawn |= is_drawn(&l->ops[0]->create->values[i]);
  return l->n <= FEW && !l->parents && !drawn && known_key(&p->known, l->slot);
}

static bool put_few(struct planner *p, struct sql_build *b, const struct level *l, const struct relation_side *holder) {
  for (size_t i = 0; i < l->n; i++) {
    const struct nested_data *d = l->ops[i]->create;

    sql_add(b, i ? "), (" : "values (");
    for (size_t j = 0; j < d->nvalues; j++) {
      if (j) sql_add(b, ", ");
      if (!put_new_value(p, b, d, &d->values[j])) return false;
    }
    for (size_t j = 0; holder && j < holder->ncolumns; j++) {
      if (j || d->nvalues) sql_add(b, ", ");
      put_key_part(b, l->slot, j, holder->columns[j]->cast_sql);
    }
  }
  sql_add(b, ")");
  return true;
}

static bool put_level(struct planner *p, struct sql_build *b, const struct level *l) {
  const struct nested_data *d = l->ops[0]->create;
  const struct relation_side *holder = link_is_there(l->link) ? link_there(l->link) : NULL;
  size_t column = 0;

  put_names(b, d, holder);
  if (is_few(p, l)) return put_few(p, b, l, holder);
  sql_add(b, "select ");
  for (size_t i = 0; i < d->nvalues; i++) {
    const struct nested_value *v = &d->values[i];

    if (i) sql_add(b, ", ");
    if (v->value || is_drawn_ahead(p, d, v)) sql_printf(b, "writ_u.v%zu::%s", column++, v->field->column->cast_sql);
    else if (is_drawn(v)) put_new_key(b, v->field);
    else if (!put_new_value(p, b, d, v)) return false;
  }
  for (size_t i = 0; holder && i < holder->ncolumns; i++) {
    if (i || d->nvalues) sql_add(b, ", ");
    if (l->parents) sql_printf(b, "writ_u.p::%s", holder->columns[i]->cast_sql);
    else put_key_part(b, l->slot, i, holder->columns[i]->cast_sql);
  }
  if (!put_rows(p, b, l)) return false;
  put_if_filled(b, " where ", l->slot);
  sql_add(b, " order by writ_u.o");
  return true;
}

/* Rows of a link table, beside the rows: foreign keys are looked at when the whole statement is done. */
static void put_link_rows(struct sql_build *b, const struct level *l) {
  const struct relation_side *here = link_here(l->link), *there = link_there(l->link);
  const struct model *m = there->model;

  sql_printf(b, " returning %s) insert into %s (%s, %s) select ", m->key->columns_sql, l->link.relation->table_sql,
             here->columns_sql, there->columns_sql);
  for (size_t i = 0; i < here->ncolumns; i++) {
    put_key_part(b, l->slot, i, here->columns[i]->cast_sql);
    sql_add(b, ", ");
  }
  sql_columns(b, "writ_i", m->key->columns, m->key->ncolumns);
  sql_add(b, " from writ_i");
}

/* The list's place, or with one row that row's. */
static const char *path_of(struct planner *p, const struct level *l) {
  const char *path = l->ops[0]->path;
  size_t len = l->n > 1 ? (size_t)(strrchr(path, '/') - path) : strlen(path);

  return l->parents && l->n > 1 ? NULL : arena_strndup(p->mem, path, len);
}

/* The keys of the rows that were just made: drawn, or given. */
static void put_new_keys(struct planner *p, struct sql_build *b, void *data) {
  const struct level *l = data;
  const struct nested_value *key = key_value(l->ops[0]->create);
  struct str *s;

  if (is_drawn(key)) {
    put_own_draws(p, b, l);
    return;
  }
  s = str_new(p->mem, 16 * l->n);
  str_char(s, '{');
  for (size_t i = 0; i < l->n; i++) {
    const char *text = NULL;
    if (!value_text(p, l->ops[i]->create, key_value(l->ops[i]->create), &text)) text = NULL; /* it was looked at before */
    put_element(s, text);
  }
  str_char(s, '}');
  sql_printf(b, "$%u::text[]", sql_param(b, s->p));
}

static bool plan_rows(struct planner *p, const struct level *l) {
  struct sql_build *b = plan_begin(p);
  const struct model *m = l->ops[0]->create->model;
  struct nested_subject *subject = arena_new(p->mem, struct nested_subject);
  bool table = l->link.relation->storage == LINK_TABLE;

  if (table) sql_add(b, "with writ_i as (");
  if (!put_level(p, b, l)) return false;
  if (table) put_link_rows(b, l);
  *subject = (struct nested_subject){.model = m, .batch = l->ops, .nbatch = l->n};
  return plan_step(p, b, path_of(p, l), subject,
                   arena_printf(p->mem, "create %zu %s", l->n, l->n > 1 ? m->plural : m->name));
}

/* ---- levels ---- */

static bool plan_level(struct planner *p, const struct level *l);

/* Of the children that are left, those with the shape of the first; they are taken out. */
static struct level take_alike(struct planner *p, struct level *left) {
  struct level out = {.link = left->link, .slot = left->slot};
  size_t kept = 0;

  out.ops = arena_array(p->mem, const struct nested_op *, left->n);
  out.parents = arena_array(p->mem, const struct nested_data *, left->n);
  for (size_t i = 0; i < left->n; i++) {
    bool alike = !i || (same_shape(out.ops[0], left->ops[i]) &&
                        is_drawn(key_value(out.parents[0])) == is_drawn(key_value(left->parents[i])));
    if (alike) {
      out.ops[out.n] = left->ops[i];
      out.parents[out.n++] = left->parents[i];
    } else {
      left->ops[kept] = left->ops[i];
      left->parents[kept++] = left->parents[i];
    }
  }
  left->n = kept;
  return out;
}

/* All children that the rows of the level have through a field. */
static struct level children_of(struct planner *p, const struct level *l, const struct field *f) {
  struct level out = {.link = link_of(f), .slot = l->slot};
  size_t n = 0;

  for (size_t i = 0; i < l->n; i++) n += l->ops[i]->create->nops;
  out.ops = arena_array(p->mem, const struct nested_op *, n + 1);
  out.parents = arena_array(p->mem, const struct nested_data *, n + 1);
  for (size_t i = 0; i < l->n; i++)
    for (size_t j = 0; j < l->ops[i]->create->nops; j++) {
      const struct nested_op *op = &l->ops[i]->create->ops[j];
      if (op->field != f) continue;
      out.ops[out.n] = op;
      out.parents[out.n++] = l->ops[i]->create;
    }
  return out;
}

static bool plan_level(struct planner *p, const struct level *l) {
  const struct model *m = l->ops[0]->create->model;

  if (!plan_rows(p, l) || !rules_keep_batch(p, l->ops, l->n, l->slot, put_new_keys, (void *)l)) return false;
  for (size_t i = 0; i < m->nfields; i++) {
    struct level left;

    if (!m->fields[i].relation) continue;
    left = children_of(p, l, &m->fields[i]);
    while (left.n) {
      struct level alike = take_alike(p, &left);
      if (!plan_level(p, &alike)) return false;
    }
  }
  return true;
}

bool plan_batch(struct planner *p, const struct nested_op *ops, size_t n, unsigned parent) {
  struct level l = {
      .n = n, .link = link_of(ops->field), .slot = parent, .ops = arena_array(p->mem, const struct nested_op *, n)};

  for (size_t i = 0; i < n; i++) l.ops[i] = &ops[i];
  return rules_judge_batch(p, ops, n, parent) && plan_level(p, &l);
}

/* ---- finding ---- */

bool can_find_all(const struct where_unique *const *wheres, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const struct expr *x = wheres[i]->values[0];
    if (wheres[i]->key != wheres[0]->key || wheres[i]->key->ncolumns > 1 || x->kind != EXPR_LITERAL || x->was_result)
      return false;
  }
  return n > 0;
}

static const struct expr *list_of(void *mem, const struct where_unique *const *wheres, size_t n) {
  struct json *list = arena_new(mem, struct json), *items = arena_array(mem, struct json, n);

  for (size_t i = 0; i < n; i++) items[i] = *wheres[i]->values[0]->literal;
  *list = (struct json){.kind = JSON_ARRAY, .len = n, .items = items};
  return expr_literal(mem, list);
}

static const struct nested_subject *places(struct planner *p, const struct model *m,
                                           const struct where_unique *const *wheres, size_t n) {
  struct nested_subject *s = arena_new(p->mem, struct nested_subject);
  const char **paths = arena_array(p->mem, const char *, n);

  for (size_t i = 0; i < n; i++) paths[i] = wheres[i]->at.path;
  *s = (struct nested_subject){.model = m, .paths = paths, .npaths = n};
  return s;
}

/* The messages of all, of which one may be needed. */
static unsigned messages(struct planner *p, struct sql_build *b, const struct model *m,
                         const struct where_unique *const *wheres, size_t n) {
  struct str *s = str_new(p->mem, 64 * n);

  str_char(s, '{');
  for (size_t i = 0; i < n; i++) put_element(s, text_3039(p, m, wheres[i]));
  str_char(s, '}');
  return sql_param(b, s->p);
}

bool connects_newborn(bool in_create, const struct nested_op *op) {
  const struct relation *r = op->field->relation;
  const struct where_unique *where = op->wheres;

  return op->kind == NESTED_CONNECT && in_create && r->storage == LINK_TABLE && r->table_key_exists && r->sides[0].list &&
         r->sides[1].list && r->sides[0].foreign_key.exists && r->sides[1].foreign_key.exists && can_find_all(&where, 1);
}

/* The key of the row that was found; of its first column, when there is none, the refusal. */
static void put_found_key(struct planner *p, struct sql_build *b, const char *alias, const struct model *m,
                          const struct where_unique *const *wheres, size_t n) {
  for (size_t i = 0; i < m->key->ncolumns; i++) {
    const struct column *c = m->key->columns[i];

    if (i) sql_printf(b, ", %s.%s", alias, c->sql);
    else
      sql_printf(
          b,
          "case when %s.%s is null then writ.fail('NOT_FOUND/3039/' || writ_w.o - 1, ($%u::text[])[writ_w.o], 404)::%s "
          "else %s.%s end",
          alias, c->sql, messages(p, b, m, wheres, n), c->cast_sql, alias, c->sql);
  }
}

/* One row, whose key is one column: a look-up. A join is planned for some rows, and then often by a hash of all there are. */
static bool put_found_one(struct planner *p, struct sql_build *b, const char *alias, const struct model *m,
                          const struct where_unique *where) {
  const struct column *key = m->key->columns[0];

  sql_printf(b, "coalesce((select %s.%s from %s as %s where ", alias, key->sql, m->table_sql, alias);
  if (!where_unique_put(b, where, alias, p->e)) return false;
  sql_printf(b, "), writ.fail('NOT_FOUND/3039/0', $%u::text, 404)::%s)", sql_param(b, text_3039(p, m, where)),
             key->cast_sql);
  return true;
}

static bool put_found_some(struct planner *p, struct sql_build *b, const char *alias, const struct model *m,
                           const struct where_unique *const *wheres, size_t n) {
  const struct column *column = wheres[0]->key->columns[0];

  put_found_key(p, b, alias, m, wheres, n);
  sql_add(b, " from unnest(");
  if (!sql_input_list(b, list_of(p->mem, wheres, n), column, p->e)) return values_error(p, m, wheres[0]->key, wheres, n);
  sql_printf(b, ") with ordinality as writ_w(v, o) left join %s as %s on %s.%s = writ_w.v", m->table_sql, alias, alias,
             column->sql);
  return true;
}

bool plan_connect_newborn(struct planner *p, struct link l, const struct where_unique *const *wheres, size_t n,
                          unsigned parent, bool alone) {
  struct sql_build *b = plan_begin(p);
  const struct relation_side *here = link_here(l), *there = link_there(l);
  const struct model *m = there->model;
  const char *alias = sql_alias(b);
  bool one = n == 1 && m->key->ncolumns == 1;

  sql_printf(b, "insert into %s (%s, %s) select ", l.relation->table_sql, here->columns_sql, there->columns_sql);
  if (!one) sql_add(b, "distinct ");
  for (size_t i = 0; i < here->ncolumns; i++) {
    put_key_part(b, parent, i, here->columns[i]->cast_sql);
    sql_add(b, ", ");
  }
  if (!(one ? put_found_one(p, b, alias, m, wheres[0]) : put_found_some(p, b, alias, m, wheres, n))) return false;
  if (one && alone) {
    put_if_filled(b, " where ", parent);
  } else { /* two may have named the same row */
    sql_add(b, " where ");
    put_filled(b, parent);
    sql_add(b, " on conflict do nothing");
  }
  return plan_step(p, b, wheres[0]->at.path, places(p, m, wheres, n), arena_printf(p->mem, "link %s", m->plural));
}

bool plan_find_all(struct planner *p, struct link l, const struct where_unique *const *wheres, size_t n, unsigned parent,
                   unsigned slot) {
  struct sql_build *b = plan_begin(p);
  const struct model *m = link_there(l)->model;
  const struct column *column = wheres[0]->key->columns[0];
  const char *alias = sql_alias(b);

  sql_add(b, "select ");
  put_set_slot(b, slot);
  sql_add(b, "coalesce((select array_agg(writ_u.v)::text from (select case when ");
  sql_printf(b, "%s.%s is null then array[writ.fail('NOT_FOUND/3039/' || writ_w.o - 1, ($%u::text[])[writ_w.o], 404)] else ",
             alias, m->key->columns[0]->sql, messages(p, b, m, wheres, n));
  put_key(b, alias, m);
  sql_add(b, " end as k from unnest(");
  if (!sql_input_list(b, list_of(p->mem, wheres, n), column, p->e)) return values_error(p, m, wheres[0]->key, wheres, n);
  sql_printf(b, ") with ordinality as writ_w(v, o) left join %s as %s on %s.%s = writ_w.v where ", m->table_sql, alias,
             alias, column->sql);
  put_filled(b, parent);
  sql_add(b, " and (");
  put_linked(b, l, (struct rows){.slot = parent}, alias);
  sql_add(b, ") is not true order by writ_w.o offset 0) as writ_k, lateral unnest(writ_k.k) as writ_u(v)), ''), true)");
  return plan_step(p, b, wheres[0]->at.path, places(p, m, wheres, n), arena_printf(p->mem, "find %s", m->plural));
}
