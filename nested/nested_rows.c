/* One row made or changed, and what is nested below it. */
#include "nested/nested_inside.h"

#include "base/arena.h"

#include <string.h>

/* ---- values ---- */

/* time: an expression of type timestamp with time zone. The answer shows milliseconds, so that is what is kept: what
 * a client read is what it can filter by. */
const char *now_sql(const void *mem, const struct column *column, const char *time) {
  if (column->zoned) return arena_printf(mem, "date_trunc('milliseconds', %s)", time);
  return arena_printf(mem, "(date_trunc('milliseconds', %s) at time zone 'UTC')::%s", time, column->cast_sql);
}

static void put_drawn(struct planner *p, struct sql_build *b, const struct nested_data *d, const struct column *column) {
  const struct drawn *drawn = drawn_for(p, d->model);
  unsigned slot = drawn->parts ? drawn->parts + (unsigned)((d->draw - 1) / DRAWN_PART) : drawn->slot;

  sql_printf(b, "((nullif(pg_catalog.current_setting($%u::text, true), '')::text[])", sql_param(b, slot_name(b->mem, slot)));
  sql_printf(b, "[$%u::integer]::%s)",
             sql_param(b, arena_printf(b->mem, "%zu", drawn->parts ? (d->draw - 1) % DRAWN_PART + 1 : d->draw)),
             column->cast_sql);
}

static bool put_given(struct planner *p, struct sql_build *b, const struct nested_data *d, const struct nested_value *v) {
  const struct column *column = v->field->column;
  bool ok = v->field->list ? sql_input_list(b, v->value, column, p->e) : sql_input(b, v->value, column, p->e);

  return ok || value_error(p, v->field->name, d->model, v->path);
}

bool put_new_value(struct planner *p, struct sql_build *b, const struct nested_data *d, const struct nested_value *v) {
  if (v->value) return put_given(p, b, d, v);
  switch (v->field->source) {
  case SOURCE_DEFAULT: sql_printf(b, "(%s)", v->field->default_sql); break;
  case SOURCE_CREATED:
  case SOURCE_UPDATED: sql_add(b, now_sql(b->mem, v->field->column, "statement_timestamp()")); break;
  case SOURCE_CLIENT: sql_add(b, "null"); break;
  default:
    if (drawn_for(p, d->model)->ahead) put_drawn(p, b, d, v->field->column);
    else put_new_key(b, v->field);
  }
  return true;
}

bool value_text(struct planner *p, const struct nested_data *d, const struct nested_value *v, const char **text) {
  struct sql_build *scratch = plan_begin(p);

  *text = NULL;
  if (expr_is_null(v->value)) return true;
  if (!put_new_value(p, scratch, d, v)) return false;
  *text = scratch->params[0];
  return true;
}

const struct nested_value *key_value(const struct nested_data *d) {
  for (size_t i = 0; i < d->nvalues; i++)
    if (d->model->key->ncolumns == 1 && d->values[i].field->column == d->model->key->columns[0]) return &d->values[i];
  return NULL;
}

/* ---- make a row ---- */

/* Columns of links: to the parent, and to children that were made or found ahead. */
struct holding {
  const struct relation_side *side;
  unsigned slot;
};

static bool is_assigned(const struct nested_data *d, const struct holding *holdings, size_t n, const struct column *column) {
  for (size_t i = 0; i < d->nvalues; i++)
    if (d->values[i].field->column == column) return true;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < holdings[i].side->ncolumns; j++)
      if (holdings[i].side->columns[j] == column) return true;
  return false;
}

static bool draws_sequence(const struct nested_data *d) {
  for (size_t i = 0; i < d->nvalues; i++)
    if (is_drawn(&d->values[i])) return true;
  return false;
}

static void put_columns(struct sql_build *b, const struct nested_data *d, const struct holding *holdings, size_t n) {
  const char *comma = "";

  sql_printf(b, "insert into %s (", d->model->table_sql);
  for (size_t i = 0; i < d->nvalues; i++, comma = ", ") sql_printf(b, "%s%s", comma, d->values[i].field->column->sql);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < holdings[i].side->ncolumns; j++) {
      const struct column *column = holdings[i].side->columns[j];
      if (is_assigned(d, holdings, i, column)) continue; /* shared with what stands before */
      sql_printf(b, "%s%s", comma, column->sql);
      comma = ", ";
    }
  sql_add(b, draws_sequence(d) ? ") overriding system value select " : ") select ");
}

/* Around the value of a column that links have too: what all of those from the given one on say, or it is refused. False: it has
 * no other. */
static bool put_agree(struct sql_build *b, const struct model *m, const struct column *column,
                      const struct holding *holdings, size_t n) {
  const char *word = "(select case when ";

  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < holdings[i].side->ncolumns; j++) {
      if (holdings[i].side->columns[j] != column) continue;
      sql_printf(b, "%swrit_v.v <> ", word);
      put_key_part(b, holdings[i].slot, j, column->cast_sql);
      word = " or ";
    }
  if (*word == '(') return false;
  sql_add(b, " then ");
  put_disagree(b, m, column);
  sql_add(b, " else writ_v.v end from (select ");
  return true;
}

static void put_agree_end(struct sql_build *b, bool began) {
  if (began) sql_add(b, " as v offset 0) as writ_v)");
}

static bool put_insert(struct planner *p, struct sql_build *b, const struct nested_data *d, const struct holding *holdings,
                       size_t n, unsigned guard) {
  const char *comma = "";
  bool agree;

  put_columns(b, d, holdings, n);
  for (size_t i = 0; i < d->nvalues; i++, comma = ", ") {
    sql_add(b, comma);
    agree = put_agree(b, d->model, d->values[i].field->column, holdings, n);
    if (!put_new_value(p, b, d, &d->values[i])) return false;
    put_agree_end(b, agree);
  }
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < holdings[i].side->ncolumns; j++) {
      const struct column *column = holdings[i].side->columns[j];
      if (is_assigned(d, holdings, i, column)) continue;
      sql_add(b, comma);
      agree = put_agree(b, d->model, column, &holdings[i + 1], n - i - 1);
      put_key_part(b, holdings[i].slot, j, column->cast_sql);
      put_agree_end(b, agree);
      comma = ", ";
    }
  put_if_filled(b, " where ", guard);
  return true;
}

static void put_kept_key(struct sql_build *b, const struct model *m, unsigned slot, bool keep) {
  put_set_slot(b, slot);
  sql_add(b, "coalesce((select ");
  put_key(b, "writ_i", m);
  sql_add(b, "::text from writ_i), ");
  if (keep) sql_printf(b, "pg_catalog.current_setting($%u::text, true)", sql_param(b, slot_name(b->mem, slot)));
  else sql_add(b, "''");
  sql_add(b, "), true)");
}

/* The row will be there, or an error: then its key, if it is given, need not go through a slot. */
static bool is_certain(const struct planner *p, unsigned guard) { return !guard || known_key(&p->known, guard); }

static bool know_key(struct planner *p, const struct nested_data *d, const struct birth *birth) {
  const struct nested_value *key = key_value(d);
  const char *text;

  if (!birth->result || birth->also || !is_certain(p, birth->guard) || !key || !key->value) return true;
  if (key->value->kind != EXPR_LITERAL || key->value->was_result || expr_is_null(key->value)) return true;
  if (!value_text(p, d, key, &text)) return false;
  slot_know(p, birth->result, text);
  return true;
}

/* A row that nobody asks for is a plain INSERT. */
static bool plan_insert(struct planner *p, const struct nested_data *d, const struct birth *birth,
                        const struct holding *holdings, size_t n) {
  struct sql_build *b = plan_begin(p);
  unsigned result = known_key(&p->known, birth->result) ? 0 : birth->result;
  bool asked = result || birth->also;

  if (asked) sql_add(b, "with writ_i as (");
  if (!put_insert(p, b, d, holdings, n, birth->guard)) return false;
  if (asked) {
    sql_add(b, " returning ");
    for (size_t i = 0; i < d->model->key->ncolumns; i++)
      sql_printf(b, "%s%s", i ? ", " : "", d->model->key->columns[i]->sql);
    sql_add(b, ") select ");
    if (result) put_kept_key(b, d->model, result, false);
    if (result && birth->also) sql_add(b, ", ");
    if (birth->also) put_kept_key(b, d->model, birth->also, true);
  }
  return plan_step(p, b, d->path, subject_of(p, d->model, birth->unless), arena_printf(p->mem, "create %s", d->model->name));
}

/* To the parent, where the link is not in the row: ahead of what is nested below it, which may change the link again. */
static bool plan_link_born(struct planner *p, const struct nested_data *d, const struct birth *birth) {
  struct sql_build *b = plan_begin(p);
  const struct relation_side *here = link_here(birth->link);

  put_link(b, birth->link, birth->parent, birth->result);
  return plan_step(p, b, d->path, subject_of(p, d->model, NULL),
                   arena_printf(p->mem, "%s.%s: link", here->model->name, here->field->name));
}

static bool has_ops_behind(const struct nested_data *d) {
  for (size_t i = 0; i < d->nops; i++)
    if (!op_comes_before(d, &d->ops[i])) return true;
  return false;
}

bool plan_create(struct planner *p, const struct nested_data *d, struct birth birth) {
  struct holding *holdings = arena_array(p->mem, struct holding, d->nops + 1);
  unsigned top = p->last_slot;
  size_t n = 0;

  if (!birth.result && (has_ops_behind(d) || rules_keep_result(d))) birth.result = slot_take(p);
  if (!rules_judge(p, d->part, birth.guard)) return false;
  if (birth.parent && link_is_there(birth.link)) holdings[n++] = (struct holding){link_there(birth.link), birth.parent};
  for (size_t i = 0; i < d->nops; i++) {
    if (!op_comes_before(d, &d->ops[i])) continue;
    holdings[n] = (struct holding){field_here(d->ops[i].field), slot_take(p)};
    if (!plan_op_before(p, &d->ops[i], birth.guard, holdings[n].slot)) return false;
    n++;
  }
  if (!know_key(p, d, &birth) || !plan_insert(p, d, &birth, holdings, n)) return false;
  if (birth.parent && !link_is_there(birth.link) && !plan_link_born(p, d, &birth)) return false;
  if (has_ops_behind(d) && !plan_ops(p, d, birth.result)) return false;
  if (!rules_keep(p, d->part, birth.result) || !rules_keep(p, d->also, birth.result)) return false;
  slot_give_back(p, top);
  return true;
}

/* ---- change a row ---- */

static bool put_number_change(struct planner *p, struct sql_build *b, const char *alias, const struct nested_data *d,
                              const struct nested_value *v) {
  static const char *const operators[] = {
      [HOW_INCREMENT] = "+", [HOW_DECREMENT] = "-", [HOW_MULTIPLY] = "*", [HOW_DIVIDE] = "/"};

  sql_printf(b, "%s.%s %s ", alias, v->field->column->sql, operators[v->how]);
  return put_given(p, b, d, v);
}

static bool put_change(struct planner *p, struct sql_build *b, const char *alias, const struct nested_data *d,
                       const struct nested_value *v) {
  const char *column = v->field->column->sql;

  switch (v->how) {
  case HOW_SET: return put_given(p, b, d, v);
  case HOW_PUSH: sql_printf(b, "coalesce(%s.%s, '{}') || ", alias, column); return put_given(p, b, d, v);
  case HOW_REMOVE:
    sql_printf(b, "array(select writ_u.v from unnest(%s.%s) with ordinality as writ_u(v, o) where not writ_u.v = any (",
               alias, column);
    if (!put_given(p, b, d, v)) return false;
    sql_add(b, ") order by writ_u.o)");
    return true;
  default: return put_number_change(p, b, alias, d, v);
  }
}

/* Two updates always differ (docs/nested.md, updatedAt). */
static void put_updated_at(struct sql_build *b, const char *alias, const struct column *column) {
  sql_printf(b, ", %s = greatest(%s, %s.%s + interval '1 ms')", column->sql, now_sql(b->mem, column, "clock_timestamp()"),
             alias, column->sql);
}

bool put_assignments(struct planner *p, struct sql_build *b, const char *alias, const struct nested_data *d) {
  if (!d->nvalues) return false;
  for (size_t i = 0; i < d->nvalues; i++) {
    sql_printf(b, "%s%s = ", i ? ", " : " set ", d->values[i].field->column->sql);
    if (!put_change(p, b, alias, d, &d->values[i])) return false;
  }
  if (d->model->updated_at) put_updated_at(b, alias, d->model->updated_at->column);
  return true;
}

static bool plan_scalars(struct planner *p, const struct nested_data *d, unsigned slot) {
  struct sql_build *b = plan_begin(p);
  const char *alias = sql_alias(b);

  if (!d->nvalues) return true;
  sql_printf(b, "update %s as %s", d->model->table_sql, alias);
  if (!put_assignments(p, b, alias, d)) return false;
  sql_add(b, " where ");
  put_among(b, alias, d->model->key->columns, d->model->key->ncolumns, (struct rows){.slot = slot});
  return plan_step(p, b, d->path, subject_of(p, d->model, NULL), arena_printf(p->mem, "update %s", d->model->name));
}

bool plan_update(struct planner *p, const struct nested_data *d, unsigned slot) {
  return rules_judge_row(p, d->part, slot) && plan_scalars(p, d, slot) && plan_ops(p, d, slot) &&
         rules_keep(p, d->part, slot) && rules_keep(p, d->also, slot);
}
