/* Selections into SQL. Of the shapes that were measured (PostgreSQL 15; 1000 parents with 5 children each) row_to_json of a
 * subselect is 10 to 15 % ahead of json_build_object, which takes 100 arguments at most, and of lateral joins. */
#include "base/arena.h"
#include "base/str.h"
#include "manifest/config.h"
#include "query/select_inside.h"
#include "query/where.h"

#include <string.h>

struct select_build {
  struct sql_build *b;
  const struct config *config;
  unsigned lists; /* that the list in hand stands in */
  bool by_length; /* lists in none are judged by the length of the whole: select_lists.c */
  struct err *e;
};

/* ---- scalars ---- */

static bool has_labels(const struct enumeration *e) {
  for (size_t i = 0; i < e->nvalues; i++)
    if (strcmp(e->values[i].name, e->values[i].label) != 0) return true;
  return false;
}

/* JSON has one kind of number, and JavaScript reads 53 bits of it: GraphQL's BigInt and Decimal are strings. */
static bool is_text(const struct sql_build *b, const struct field *f) {
  return b->numbers_as_text && (f->scalar == SCALAR_BIGINT || f->scalar == SCALAR_DECIMAL);
}

static bool is_converted(const struct field *f) {
  return f->scalar == SCALAR_DATETIME || (f->scalar == SCALAR_ENUM && has_labels(f->enumeration));
}

static void put_enum(struct sql_build *b, const struct enumeration *e, const char *value) {
  sql_printf(b, "case %s", value);
  for (size_t i = 0; i < e->nvalues; i++) {
    sql_add(b, " when ");
    str_sql_literal(b->text, e->values[i].label);
    sql_add(b, " then ");
    str_sql_literal(b->text, e->values[i].name);
  }
  sql_printf(b, " else %s::text end", value);
}

/* UTC with three decimals and Z. to_char gives NULL for infinity, which is shown as the word. */
static void put_time(struct sql_build *b, const struct column *c, const char *value) {
  sql_printf(b, "coalesce(pg_catalog.to_char(%s%s, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), %s::text)", value,
             c->zoned ? " at time zone 'UTC'" : "::timestamp", value);
}

static void put_converted(struct sql_build *b, const struct field *f, const char *value) {
  if (f->scalar == SCALAR_ENUM) put_enum(b, f->enumeration, value);
  else put_time(b, f->column, value);
}

static void put_scalar(struct sql_build *b, const struct field *f, const char *alias) {
  const char *value = arena_printf(b->mem, "%s.%s", alias, f->column->sql);

  if (!f->list && is_converted(f)) put_converted(b, f, value);
  else if (!f->list) sql_printf(b, "%s%s", value, is_text(b, f) ? "::text" : "");
  else if (!is_converted(f)) sql_printf(b, "coalesce(%s%s, '{}')", value, is_text(b, f) ? "::text[]" : "");
  else {
    const char *u = sql_alias(b);
    sql_add(b, "array(select ");
    put_converted(b, f, arena_printf(b->mem, "%s.x", u));
    sql_printf(b, " from pg_catalog.unnest(%s) with ordinality as %s(x, o) order by %s.o)", value, u, u);
  }
}

/* ---- nodes ---- */

static bool put_columns(struct select_build *s, const struct selection *selection, const char *alias);

/* At most one: a link that the other side holds is not always unique in the database. */
static bool put_one(struct select_build *s, const struct selected *item, const char *parent) {
  const char *child = sql_alias(s->b), *row = sql_alias(s->b);

  sql_printf(s->b, "(select row_to_json(%s.*) from (select ", row);
  if (!put_columns(s, item->selection, child)) return false;
  sql_add(s->b, " ");
  where_put_linked(s->b, item->field, parent, child);
  sql_printf(s->b, " limit 1) as %s)", row);
  return true;
}

static void put_most_rows(struct select_build *s, const char *what) {
  sql_printf(s->b, "when count(*) > %d then writ.fail('TOO_MANY_ROWS', ", s->config->max_rows);
  str_sql_literal(s->b->text,
                  arena_printf(s->b->mem, "The list \"%s\" has more than %d nodes: ask for fewer with \"first\".", what,
                               s->config->max_rows));
  sql_add(s->b, ", 422)::json ");
}

static void put_most_bytes(struct select_build *s, const char *what, const char *row) {
  sql_printf(s->b, "when octet_length(json_agg(%s.*)::text) > %d then writ.fail('TOO_LARGE', ", row,
             s->config->max_result_bytes);
  str_sql_literal(s->b->text,
                  arena_printf(s->b->mem, "The list \"%s\" is larger than %d bytes.", what, s->config->max_result_bytes));
  sql_add(s->b, ", 422)::json ");
}

/* Each list is refused when it has too many rows, if only in the end, and one within another when it has too many bytes:
 * nothing much larger than the whole may be, which is looked at in the end, is ever put together. */
static bool put_list(struct select_build *s, const struct selection *selection, const struct field *field,
                     const char *parent, const struct list *list) {
  struct sql_build *b = s->b;
  const char *child = sql_alias(b), *row = sql_alias(b), *what = field ? field->name : selection->model->query.many;
  bool count = !list_is_cut(list) && (s->lists || !s->by_length), measure = s->lists;

  if (count || measure) sql_add(b, "(select case ");
  else sql_printf(b, "array_to_json(array(select (%s.*)::record", row); /* quicker than an aggregate */
  if (count) put_most_rows(s, what);
  if (measure) put_most_bytes(s, what, row);
  if (count || measure) sql_printf(b, "else coalesce(json_agg(%s.*), '[]') end", row);
  sql_add(b, " from (select ");
  s->lists++;
  if (!put_columns(s, selection, child)) return false;
  s->lists--;
  sql_add(b, " ");
  if (!list_put(b, s->config, selection->model, field, parent, list, child, s->e)) return false;
  sql_printf(b, ") as %s)%s", row, count || measure ? "" : ")");
  return true;
}

static bool put_item(struct select_build *s, const struct selection *selection, const struct selected *item,
                     const char *alias) {
  if (item->is_typename) str_sql_literal(s->b->text, selection->model->name);
  else if (!item->field->relation) put_scalar(s->b, item->field, alias);
  else if (!item->field->list) return put_one(s, item, alias);
  else return put_list(s, item->selection, item->field, alias, &item->list);
  return true;
}

static bool put_columns(struct select_build *s, const struct selection *selection, const char *alias) {
  for (size_t i = 0; i < selection->nitems; i++) {
    const struct selected *item = &selection->items[i];

    if (i) sql_add(s->b, ", ");
    if (!put_item(s, selection, item, alias)) return false;
    sql_add(s->b, item->is_typename ? "::text as " : " as ");
    str_sql_ident(s->b->text, item->alias);
  }
  return true;
}

bool select_put_node(struct sql_build *b, const struct config *config, const struct selection *selection, const char *alias,
                     bool in_list, struct err *e) {
  struct select_build s = {.b = b, .config = config, .lists = in_list, .e = e};
  const char *row = sql_alias(b);

  sql_printf(b, "(select row_to_json(%s.*) from (select ", row);
  if (!put_columns(&s, selection, alias)) return false;
  sql_printf(b, ") as %s)", row);
  return true;
}

bool select_put_list(struct sql_build *b, const struct config *config, const struct selection *selection,
                     const struct field *field, const char *parent, const struct list *list, struct err *e) {
  struct select_build s = {.b = b, .config = config, .e = e};

  return put_list(&s, selection, field, parent, list);
}

bool select_step(struct compiler *k, const struct node *node, size_t owner, const struct selection *selection,
                 const struct str *key,
                 bool (*put_condition)(struct sql_build *b, const char *alias, const void *data, struct err *e),
                 const void *data, struct step *out, struct err *e) {
  struct sql_build *b = sql_begin(k->mem);
  const char *alias = sql_alias(b), *row = sql_alias(b);
  const struct sql_lists *lists = select_lists(k->mem, k->config, selection);
  struct select_build s = {.b = b, .config = k->config, .by_length = lists != NULL, .e = e};

  b->key = key;
  b->numbers_as_text = k->numbers_as_text;
  sql_result_begin(b, node, k->config, lists);
  sql_printf(b, "select row_to_json(%s.*) from (select ", row);
  if (!put_columns(&s, selection, alias)) return false;
  sql_printf(b, " from %s as %s where ", selection->model->table_sql, alias);
  if (!put_condition(b, alias, data, e)) return false;
  sql_printf(b, ") as %s", row);
  sql_result_end(b);
  if (!sql_end(b, k, owner, out, e)) return false;
  out->gives = GIVES_TEXT;
  out->purpose = node->command->name;
  return true;
}
