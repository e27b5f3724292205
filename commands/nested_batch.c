/* Many rows of one list in one statement: creates that have nothing nested below them, and give the same fields. */
#include "commands/nested_inside.h"

#include "base/arena.h"
#include "base/str.h"

#include <string.h>

static bool is_null(const struct nested_value *v) { return v->value && expr_is_null(v->value); }

static bool is_plain(const struct nested_op *op) {
  if (op->kind != NESTED_CREATE || op->create->nops || !op->field->list) return false;
  for (size_t i = 0; i < op->create->nvalues; i++) {
    const struct expr *x = op->create->values[i].value;
    if (x && (x->kind != EXPR_LITERAL || x->was_result)) return false;
  }
  return true;
}

static bool same_shape(const struct nested_op *a, const struct nested_op *b) {
  if (a->field != b->field || a->create->nvalues != b->create->nvalues || !a->create->draw != !b->create->draw) return false;
  for (size_t i = 0; i < a->create->nvalues; i++) {
    const struct nested_value *x = &a->create->values[i], *y = &b->create->values[i];
    if (x->field != y->field || !x->value != !y->value) return false;
  }
  return true;
}

static bool connects_alike(const struct nested_op *a, const struct nested_op *b) {
  return b->kind == NESTED_CONNECT && a->field == b->field && a->wheres->key == b->wheres->key;
}

size_t batch_length(const struct nested_data *d, size_t first) {
  size_t end = first + 1;

  if (d->ops[first].kind == NESTED_CONNECT && d->ops[first].field->list)
    while (end < d->nops && connects_alike(&d->ops[first], &d->ops[end])) end++;
  if (!is_plain(&d->ops[first])) return end - first;
  while (end < d->nops && is_plain(&d->ops[end]) && same_shape(&d->ops[first], &d->ops[end])) end++;
  return end - first;
}

/* manual chapter 8.15.6; NULL text: null. */
static void put_element(struct str *s, const char *text) {
  if (s->len > 1) str_char(s, ',');
  if (!text) {
    str_add(s, "NULL");
    return;
  }
  str_char(s, '"');
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') str_char(s, '\\');
    str_char(s, *text);
  }
  str_char(s, '"');
}

/* A value in PostgreSQL's input syntax: what a statement of its own would have as parameter. */
static bool value_text(struct planner *p, const struct nested_data *d, const struct nested_value *v, const char **text) {
  struct sql_build *scratch = sql_begin(p->mem);

  *text = NULL;
  if (is_null(v)) return true;
  if (!put_new_value(p, scratch, d, v)) return false;
  *text = scratch->params[0];
  return true;
}

/* The values of all rows for one column: a text[]. */
static bool put_column(struct planner *p, struct sql_build *b, const struct nested_op *ops, size_t n, size_t value) {
  struct str *s = str_new(p->mem, 64 * n);

  str_char(s, '{');
  for (size_t i = 0; i < n; i++) {
    const char *text;
    if (!value_text(p, ops[i].create, &ops[i].create->values[value], &text)) return false;
    put_element(s, text);
  }
  str_char(s, '}');
  sql_printf(b, "$%u::text[]", sql_param(b, s->p));
  return true;
}

static void put_draws(struct planner *p, struct sql_build *b, const struct nested_op *ops, size_t n) {
  const struct drawn *drawn = drawn_for(p, ops->create->model);
  unsigned first = sql_param(b, arena_printf(p->mem, "%zu", ops[0].create->draw));
  unsigned last = sql_param(b, arena_printf(p->mem, "%zu", ops[n - 1].create->draw));

  sql_printf(b, "(nullif(pg_catalog.current_setting($%u::text, true), '')::text[])[$%u::integer : $%u::integer]",
             sql_param(b, slot_name(b->mem, drawn->slot)), first, last);
}

/* Is it one of those that come with the rows, as text? The others are the same expression for each. */
static bool is_column(const struct nested_value *v) {
  return v->value || v->field->source == SOURCE_CUID || v->field->source == SOURCE_SEQUENCE || v->field->source == SOURCE_UUID7;
}

static bool put_rows(struct planner *p, struct sql_build *b, const struct nested_op *ops, size_t n) {
  const struct nested_data *d = ops->create;
  size_t columns = 0;

  sql_add(b, " from unnest(");
  for (size_t i = 0; i < d->nvalues; i++) {
    if (!is_column(&d->values[i])) continue;
    if (columns++) sql_add(b, ", ");
    if (!d->values[i].value) put_draws(p, b, ops, n);
    else if (!put_column(p, b, ops, n, i)) return false;
  }
  if (!columns) sql_printf(b, "array_fill(''::text, array[$%u::integer])", sql_param(b, arena_printf(p->mem, "%zu", n)));
  sql_add(b, ") with ordinality as writ_u(");
  for (size_t i = 0; i < columns; i++) sql_printf(b, "v%zu, ", i);
  sql_add(b, columns ? "o)" : "v0, o)");
  return true;
}

static bool put_insert(struct planner *p, struct sql_build *b, const struct nested_op *ops, size_t n, struct link l, unsigned parent) {
  const struct nested_data *d = ops->create;
  const struct relation_side *holder = link_is_there(l) ? link_there(l) : NULL;
  bool sequence = false;
  size_t column = 0;

  sql_printf(b, "insert into %s (", d->model->table_sql);
  for (size_t i = 0; i < d->nvalues; i++) {
    sql_printf(b, "%s%s", i ? ", " : "", d->values[i].field->column->sql);
    sequence |= !d->values[i].value && d->values[i].field->source == SOURCE_SEQUENCE;
  }
  for (size_t i = 0; holder && i < holder->ncolumns; i++)
    sql_printf(b, "%s%s", i || d->nvalues ? ", " : "", holder->columns[i]->sql);
  sql_add(b, sequence ? ") overriding system value select " : ") select ");
  for (size_t i = 0; i < d->nvalues; i++) {
    if (i) sql_add(b, ", ");
    if (is_column(&d->values[i])) sql_printf(b, "writ_u.v%zu::%s", column++, d->values[i].field->column->cast_sql);
    else if (!put_new_value(p, b, d, &d->values[i])) return false;
  }
  for (size_t i = 0; holder && i < holder->ncolumns; i++) {
    if (i || d->nvalues) sql_add(b, ", ");
    put_key_part(b, parent, i, holder->columns[i]->cast_sql);
  }
  if (!put_rows(p, b, ops, n)) return false;
  put_if_filled(b, " where ", parent);
  sql_add(b, " order by writ_u.o");
  return true;
}

/* Rows of a link table, beside the rows: foreign keys are looked at when the whole statement is done. */
static void put_link_rows(struct sql_build *b, const struct model *m, struct link l, unsigned parent) {
  const struct relation_side *here = link_here(l), *there = link_there(l);

  sql_printf(b, " returning %s) insert into %s (%s, %s) select ", m->key->columns_sql, l.relation->table_sql, here->columns_sql,
             there->columns_sql);
  for (size_t i = 0; i < here->ncolumns; i++) {
    put_key_part(b, parent, i, here->columns[i]->cast_sql);
    sql_add(b, ", ");
  }
  sql_columns(b, "writ_i", m->key->columns, m->key->ncolumns);
  sql_add(b, " from writ_i");
}

bool plan_batch(struct planner *p, const struct nested_op *ops, size_t n, unsigned parent) {
  struct sql_build *b = sql_begin(p->mem);
  const struct model *m = ops->create->model;
  struct link l = link_of(ops->field);
  const char *path = ops->path, *last = strrchr(path, '/');
  struct nested_subject *subject = arena_new(p->mem, struct nested_subject);

  if (l.relation->storage == LINK_TABLE) sql_add(b, "with writ_i as (");
  if (!put_insert(p, b, ops, n, l, parent)) return false;
  if (l.relation->storage == LINK_TABLE) put_link_rows(b, m, l, parent);
  *subject = (struct nested_subject){.model = m, .batch = ops, .nbatch = n};
  return plan_step(p, b, arena_strndup(p->mem, path, (size_t)(last - path)), subject,
                   arena_printf(p->mem, "create %zu %s", n, m->plural));
}

/* ---- finding ----------------------------------------------------------------------------------------------------------------- */

bool can_find_all(const struct where_unique *const *wheres, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const struct expr *x = wheres[i]->values[0];
    if (wheres[i]->key != wheres[0]->key || wheres[i]->key->ncolumns > 1 || x->kind != EXPR_LITERAL || x->was_result) return false;
  }
  return n > 0;
}

static const struct expr *list_of(void *mem, const struct where_unique *const *wheres, size_t n) {
  struct json *list = arena_new(mem, struct json), *items = arena_array(mem, struct json, n);

  for (size_t i = 0; i < n; i++) items[i] = *wheres[i]->values[0]->literal;
  *list = (struct json){.kind = JSON_ARRAY, .len = n, .items = items};
  return expr_literal(mem, list);
}

static const struct nested_subject *places(struct planner *p, const struct model *m, const struct where_unique *const *wheres, size_t n) {
  struct nested_subject *s = arena_new(p->mem, struct nested_subject);
  const char **paths = arena_array(p->mem, const char *, n);

  for (size_t i = 0; i < n; i++) paths[i] = wheres[i]->at.path;
  *s = (struct nested_subject){.model = m, .paths = paths, .npaths = n};
  return s;
}

/* The messages of all, of which one may be needed. */
static unsigned messages(struct planner *p, struct sql_build *b, const struct model *m, const struct where_unique *const *wheres, size_t n) {
  struct str *s = str_new(p->mem, 64 * n);

  str_char(s, '{');
  for (size_t i = 0; i < n; i++) put_element(s, text_3039(p, m, wheres[i]));
  str_char(s, '}');
  return sql_param(b, s->p);
}

bool plan_find_all(struct planner *p, struct link l, const struct where_unique *const *wheres, size_t n, unsigned parent, unsigned slot) {
  struct sql_build *b = sql_begin(p->mem);
  const struct model *m = link_there(l)->model;
  const struct column *column = wheres[0]->key->columns[0];
  const char *alias = sql_alias(b);

  sql_add(b, "select ");
  put_set_slot(b, slot);
  sql_add(b, "coalesce((select array_agg(writ_u.v)::text from (select case when ");
  sql_printf(b, "%s.%s is null then array[writ.fail('NOT_FOUND/3039/' || writ_w.o - 1, ($%u::text[])[writ_w.o], 404)] else ", alias,
             m->key->columns[0]->sql, messages(p, b, m, wheres, n));
  put_key(b, alias, m);
  sql_add(b, " end as k from unnest(");
  if (!sql_input_list(b, list_of(p->mem, wheres, n), column, p->e)) return value_error(p, wheres[0]->key->name, m, wheres[0]->at.path);
  sql_printf(b, ") with ordinality as writ_w(v, o) left join %s as %s on %s.%s = writ_w.v where ", m->table_sql, alias, alias, column->sql);
  put_filled(b, parent);
  sql_add(b, " and (");
  put_linked(b, l, (struct rows){.slot = parent}, alias);
  sql_add(b, ") is not true order by writ_w.o offset 0) as writ_k, lateral unnest(writ_k.k) as writ_u(v)), ''), true)");
  return plan_step(p, b, wheres[0]->at.path, places(p, m, wheres, n), arena_printf(p->mem, "find %s", m->plural));
}
