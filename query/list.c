/* Lists of nodes into FROM, WHERE, ORDER BY and LIMIT. */
#include "query/list.h"

#include "base/arena.h"
#include "base/str.h"
#include "manifest/config.h"
#include "query/where.h"

#include <stdlib.h>
#include <string.h>

const char *const list_arguments[] = {"where", "orderBy", "skip", "first", "last", "after", "before", NULL};

void list_take(struct list *l, const char *name, const struct expr *value) {
  const struct expr **places[] = {&l->where, &l->order_by, &l->skip, &l->first, &l->last, &l->after, &l->before};

  for (size_t i = 0; list_arguments[i]; i++)
    if (strcmp(list_arguments[i], name) == 0) *places[i] = expr_is_null(value) ? NULL : value;
}

bool list_is_cut(const struct list *l) { return l->first || l->last; }

struct list_build {
  struct sql_build *b;
  const struct config *config;
  const struct model *model;
  const struct list *list;
  const char *alias;
  const struct field *by; /* orderBy; NULL: the key alone */
  bool descending;        /* by */
  struct err *e;
};

/* ---- order ---- */

static const char *const *order_names(const void *mem, const struct model *m) {
  const char **names = arena_array(mem, const char *, 2 * m->nfields + 1);
  size_t n = 0;

  for (size_t i = 0; i < m->nfields; i++) {
    if (m->fields[i].relation || m->fields[i].list) continue;
    names[n++] = arena_printf(mem, "%s_ASC", m->fields[i].name);
    names[n++] = arena_printf(mem, "%s_DESC", m->fields[i].name);
  }
  return names;
}

/* f_ASC or f_DESC. */
static bool read_order(struct list_build *l) {
  const struct expr *x = l->list->order_by;
  struct input_place at = place_member(l->list->at, "orderBy");
  const char *text, *const *names;
  size_t len;

  if (!x) return true;
  if (x->kind != EXPR_LITERAL || x->literal->kind != JSON_STRING)
    return place_wrong(at, l->e, 0, "\"orderBy\" takes the name of a field with _ASC or _DESC behind it.");
  text = x->literal->text;
  len = strlen(text);
  l->descending = len > 5 && strcmp(text + len - 5, "_DESC") == 0;
  if (l->descending || (len > 4 && strcmp(text + len - 4, "_ASC") == 0))
    l->by = model_field(l->model, arena_strndup(l->b->mem, text, len - (l->descending ? 5 : 4)));
  if (l->by && !l->by->relation && !l->by->list) return true;
  names = order_names(l->b->mem, l->model);
  return place_wrong(at, l->e, 0, "%s has no order \"%.100s\"%s", l->model->name, text,
                     place_advice(l->b->mem, text, names));
}

static void put_order(struct list_build *l, const char *alias, bool reversed) {
  const struct key *key = l->model->key;

  sql_add(l->b, " order by ");
  if (l->by) sql_printf(l->b, "%s.%s%s, ", alias, l->by->column->sql, l->descending != reversed ? " desc" : "");
  for (size_t i = 0; i < key->ncolumns; i++)
    sql_printf(l->b, "%s%s.%s%s", i ? ", " : "", alias, key->columns[i]->sql, reversed ? " desc" : "");
}

/* ---- after, before ---- */

enum { CURSOR_DEPTH = 16 }; /* of a key of keys */

static void put_row(struct list_build *l, const char *alias) {
  sql_add(l->b, "(");
  sql_columns(l->b, alias, l->model->key->columns, l->model->key->ncolumns);
  sql_add(l->b, ")");
}

/* Behind (or ahead of) the key given. */
static bool put_key_cursor(struct list_build *l, const struct expr **values, bool after, struct input_place at) {
  const struct key *key = l->model->key;

  put_row(l, l->alias);
  sql_add(l->b, after ? " > (" : " < (");
  for (size_t i = 0; i < key->ncolumns; i++) {
    if (i) sql_add(l->b, ", ");
    if (!sql_input(l->b, values[i], key->columns[i], l->e)) return place_reason(at, l->e, "The key of %s", l->model->name);
  }
  sql_add(l->b, ")");
  return true;
}

/* In the order by a field the row of that key must be looked at: its value counts, and NULL is last of all, or first when
 * descending. */
static bool put_field_cursor(struct list_build *l, const struct expr **values, bool after, struct input_place at) {
  const struct key *key = l->model->key;
  const char *c = sql_alias(l->b), *t = l->alias, *by = l->by->column->sql;
  bool upwards = after != l->descending;

  sql_printf(l->b, "exists (select from %s as %s where ", l->model->table_sql, c);
  for (size_t i = 0; i < key->ncolumns; i++) {
    sql_printf(l->b, "%s.%s = ", c, key->columns[i]->sql);
    if (!sql_input(l->b, values[i], key->columns[i], l->e)) return place_reason(at, l->e, "The key of %s", l->model->name);
    sql_add(l->b, " and ");
  }
  if (upwards) sql_printf(l->b, "(%s.%s > %s.%s or (%s.%s is null and %s.%s is not null)", t, by, c, by, t, by, c, by);
  else sql_printf(l->b, "(%s.%s < %s.%s or (%s.%s is not null and %s.%s is null)", t, by, c, by, t, by, c, by);
  sql_printf(l->b, " or (%s.%s is not distinct from %s.%s and ", t, by, c, by);
  put_row(l, t);
  sql_add(l->b, after ? " > " : " < ");
  put_row(l, c);
  sql_add(l->b, ")))");
  return true;
}

/* GraphQL's cursors are strings: a key that is none stands in one as JSON. What is no JSON is judged as it is. */
static const struct expr *cursor_value(struct list_build *l, const struct expr *cursor) {
  const struct key *key = l->model->key;
  enum scalar scalar = key->columns[0]->scalar;
  const struct json *text = cursor->kind == EXPR_LITERAL ? cursor->literal : NULL, *value;
  struct err ignored;

  if (!text || text->kind != JSON_STRING || (key->ncolumns == 1 && scalar != SCALAR_INT && scalar != SCALAR_BIGINT))
    return cursor;
  err_init(&ignored, l->b->mem);
  return json_read(l->b->mem, text->text, text->len, CURSOR_DEPTH, &value, &ignored) ? expr_literal(l->b->mem, value)
                                                                                     : cursor;
}

static bool put_cursor(struct list_build *l, const struct expr *cursor, bool after) {
  struct input_place at = place_member(l->list->at, after ? "after" : "before");
  const struct expr **values = arena_array(l->b->mem, const struct expr *, l->model->key->ncolumns);

  if (!cursor) return true;
  sql_add(l->b, " and ");
  if (!where_key_values(l->b->mem, l->model->key, cursor_value(l, cursor), at, values, l->e)) return false;
  return l->by ? put_field_cursor(l, values, after, at) : put_key_cursor(l, values, after, at);
}

/* ---- first, last, skip ---- */

/* A count in decimal digits; NULL: none given. most: the limit of rows, 0: none. */
static bool read_count(struct list_build *l, const struct expr *x, const char *name, int negative_code, int most,
                       const char **out) {
  struct input_place at = place_member(l->list->at, name);
  const char *text;

  *out = NULL;
  if (!x) return true;
  text = x->kind == EXPR_LITERAL && x->literal->kind == JSON_NUMBER ? x->literal->text : "";
  if (text[0] == '-' && text[1] && strspn(text + 1, "0123456789") == strlen(text + 1))
    return place_wrong(at, l->e, negative_code, "\"%s\" takes no negative number.", name);
  if (!*text || strspn(text, "0123456789") != strlen(text) || strlen(text) > 9)
    return place_wrong(at, l->e, 0, "\"%s\" takes a whole number of at most 9 digits.", name);
  if (most && atoi(text) > most)
    return place_wrong(at, l->e, 2041, "\"%s\" asks for %s nodes, but a list has at most %d.", name, text, most);
  *out = text;
  return true;
}

struct counts {
  const char *first, *last, *skip;
};

static bool read_counts(struct list_build *l, struct counts *c) {
  const struct list *list = l->list;
  int most = l->config->max_rows;

  if (list->first && list->last)
    return place_wrong(place_member(list->at, "last"), l->e, 3014, "\"first\" and \"last\" exclude each other.");
  return read_count(l, list->first, "first", 3026, most, &c->first) &&
         read_count(l, list->last, "last", 3027, most, &c->last) && read_count(l, list->skip, "skip", 3028, 0, &c->skip);
}

static void put_limit(struct list_build *l, const struct counts *c) {
  const char *most = c->first ? c->first : c->last;

  sql_add(l->b, " limit ");
  if (most) {
    sql_value(l->b, most, "bigint");
    if (l->list->one_more) sql_add(l->b, " + 1");
  } else sql_printf(l->b, "%d", l->config->max_rows + 1);
  if (!c->skip) return;
  sql_add(l->b, " offset ");
  sql_value(l->b, c->skip, "bigint");
}

/* ---- the whole ---- */

static bool put_rows(struct list_build *l, const struct field *field, const char *parent) {
  if (field) where_put_linked(l->b, field, parent, l->alias);
  else sql_printf(l->b, "from %s as %s where true", l->model->table_sql, l->alias);
  if (l->list->where) {
    sql_add(l->b, " and ");
    if (!where_put(l->b, l->model, l->alias, l->list->where, false, place_member(l->list->at, "where"), l->e)) return false;
  }
  return put_cursor(l, l->list->after, true) && put_cursor(l, l->list->before, false);
}

bool list_put(struct sql_build *b, const struct config *config, const struct model *m, const struct field *field,
              const char *parent, const struct list *list, const char *alias, struct err *e) {
  struct list_build l = {.b = b, .config = config, .model = m, .list = list, .alias = alias, .e = e};
  struct counts counts;

  if (!read_order(&l) || !read_counts(&l, &counts)) return false;
  if (counts.last) { /* the last ones are the first ones backwards, turned round */
    l.alias = sql_alias(b);
    sql_printf(b, "from (select %s.* ", l.alias);
  }
  if (!put_rows(&l, field, parent)) return false;
  put_order(&l, l.alias, counts.last != NULL);
  put_limit(&l, &counts);
  if (!counts.last) return true;
  sql_printf(b, ") as %s", alias);
  put_order(&l, alias, false);
  return true;
}

bool list_put_all(struct sql_build *b, const struct model *m, const struct list *list, const char *alias, struct err *e) {
  struct list filter = {.where = list->where, .at = list->at};
  struct list_build l = {.b = b, .model = m, .list = &filter, .alias = alias, .e = e};

  return put_rows(&l, NULL, NULL);
}
