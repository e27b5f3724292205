/* Connections: their selection, read by a table of what they are made of, and its SQL. */
#include "query/connection.h"

#include "base/arena.h"
#include "base/str.h"
#include "graphql/ast.h"
#include "manifest/config.h"
#include "query/select_inside.h"

#include <string.h>

enum kind { KIND_CONNECTION, KIND_EDGE, KIND_PAGE, KIND_AGGREGATE, KIND_NODE, KIND_VALUE, KIND_NAME };

/* What each kind is made of. sql: of a value, over the row p (a page) or e (an edge); of NAME: the type's name in GraphQL, with the
 * model's. */
static const struct part {
  enum kind of, kind;
  const char *name, *sql;
} parts[] = {
    {KIND_CONNECTION, KIND_EDGE, "edges", NULL},
    {KIND_CONNECTION, KIND_PAGE, "pageInfo", NULL},
    {KIND_CONNECTION, KIND_AGGREGATE, "aggregate", NULL},
    {KIND_EDGE, KIND_NODE, "node", NULL},
    {KIND_EDGE, KIND_VALUE, "cursor", "cursor"},
    {KIND_PAGE, KIND_VALUE, "hasNextPage", "has_next"},
    {KIND_PAGE, KIND_VALUE, "hasPreviousPage", "has_previous"},
    {KIND_PAGE, KIND_VALUE, "startCursor", "first_cursor"},
    {KIND_PAGE, KIND_VALUE, "endCursor", "last_cursor"},
    {KIND_AGGREGATE, KIND_VALUE, "count", "total"},
    {KIND_CONNECTION, KIND_NAME, "__typename", "%sConnection"},
    {KIND_EDGE, KIND_NAME, "__typename", "%sEdge"},
    {KIND_PAGE, KIND_NAME, "__typename", "PageInfo"},
    {KIND_AGGREGATE, KIND_NAME, "__typename", "Aggregate%s"},
};
enum { NPARTS = sizeof parts / sizeof *parts };

struct chosen {
  const char *alias;
  const struct part *part;
  const struct group *group;    /* of EDGE, PAGE, AGGREGATE */
  const struct selection *node; /* of NODE */
};

struct group {
  struct chosen *items;
  size_t n;
};

struct connection {
  const struct model *model;
  const struct group *group;
};

/* ---- reading ---- */

static const char *const *names_of(const void *mem, enum kind of) {
  const char **names = arena_array(mem, const char *, NPARTS + 1);
  size_t n = 0;

  for (size_t i = 0; i < NPARTS; i++)
    if (parts[i].of == of && parts[i].kind != KIND_NAME) names[n++] = parts[i].name;
  return names;
}

static const struct part *find_part(struct select_reader *r, enum kind of, const char *name, struct input_place at) {
  for (size_t i = 0; i < NPARTS; i++)
    if (parts[i].of == of && strcmp(parts[i].name, name) == 0) return &parts[i];
  place_wrong(at, r->e, 0, "There is no field \"%.100s\" here%s", name, place_advice(r->mem, name, names_of(r->mem, of)));
  return NULL;
}

static bool choose(struct select_reader *r, struct group *g, struct chosen item, struct input_place at) {
  if (!select_is_name(item.alias))
    return place_wrong(at, r->e, 0, "\"%.100s\" cannot name a field of the answer.", item.alias);
  for (size_t i = 0; i < g->n; i++)
    if (strcmp(g->items[i].alias, item.alias) == 0)
      return place_wrong(at, r->e, 0, "Two fields of the answer are called \"%s\": write an alias.", item.alias);
  if (++r->nfields > SELECT_FIELDS) return place_wrong(at, r->e, 0, "A selection has at most %d fields.", SELECT_FIELDS);
  arena_grow(r->mem, g->items, g->n);
  g->items[g->n++] = item;
  return true;
}

static const struct group *text_group(struct select_reader *r, const struct model *m, enum kind of,
                                      const struct graphql_selection *g, struct input_place at);

static bool text_part(struct select_reader *r, const struct model *m, enum kind of, const struct graphql_selection *g,
                      struct input_place at, struct group *out) {
  struct chosen item = {.alias = g->alias};

  at.line = g->pos.line;
  at.column = g->pos.column;
  if (g->kind != GRAPHQL_FIELD || g->directives || g->arguments)
    return place_wrong(at, r->e, 0, "There are no fragments, directives or arguments here.");
  item.part = find_part(r, of, g->name, at);
  if (!item.part) return false;
  if ((item.part->kind >= KIND_VALUE) != !g->selections)
    return place_wrong(at, r->e, 0, g->selections ? "\"%s\" has no fields." : "Which fields of \"%s\"?", g->name);
  if (item.part->kind == KIND_NODE && !(item.node = select_text(r, m, g->selections, at))) return false;
  if (item.part->kind < KIND_NODE && !(item.group = text_group(r, m, item.part->kind, g->selections, at))) return false;
  return choose(r, out, item, at);
}

static const struct group *text_group(struct select_reader *r, const struct model *m, enum kind of,
                                      const struct graphql_selection *g, struct input_place at) {
  struct group *out = arena_new(r->mem, struct group);

  for (; g; g = g->next)
    if (!text_part(r, m, of, g, at, out)) return NULL;
  return out;
}

static const struct group *tree_group(struct select_reader *r, const struct model *m, enum kind of, const struct expr *value,
                                      struct input_place at);

/* true, or {"select": ..., "field": its own name}; value NULL: not a word is said of it. Then all of it. */
static bool tree_part(struct select_reader *r, const struct model *m, struct chosen item, const struct expr *value,
                      struct input_place at, struct group *out) {
  static const char *const keys[] = {"select", NULL};
  const struct expr *inner = value ? expr_member(r->mem, value, "select") : NULL;
  struct input_place below = inner ? place_member(at, "select") : at;

  for (size_t i = 0; value && i < expr_len(value); i++)
    if (strcmp(expr_key(value, i), "field") != 0 &&
        (item.part->kind >= KIND_VALUE || strcmp(expr_key(value, i), "select") != 0))
      return place_wrong(place_member(at, expr_key(value, i)), r->e, 0, "\"%s\" has no argument \"%.100s\"%s",
                         item.part->name, expr_key(value, i), place_advice(r->mem, expr_key(value, i), keys));
  if (item.part->kind == KIND_NODE && !(item.node = select_tree(r, m, inner, below))) return false;
  if (item.part->kind < KIND_NODE && !(item.group = tree_group(r, m, item.part->kind, inner, below))) return false;
  return choose(r, out, item, at);
}

static bool all_parts(struct select_reader *r, const struct model *m, enum kind of, struct input_place at,
                      struct group *out) {
  for (size_t i = 0; i < NPARTS; i++)
    if (parts[i].of == of && parts[i].kind != KIND_NAME &&
        !tree_part(r, m, (struct chosen){.alias = parts[i].name, .part = &parts[i]}, NULL, at, out))
      return false;
  return true;
}

static const struct group *tree_group(struct select_reader *r, const struct model *m, enum kind of, const struct expr *value,
                                      struct input_place at) {
  struct group *out = arena_new(r->mem, struct group);
  bool is_result;

  if (expr_is_null(value)) return all_parts(r, m, of, at, out) ? out : NULL;
  if (expr_kind(value, &is_result) != JSON_OBJECT) {
    place_wrong(at, r->e, 0, "A selection is an object like {\"edges\": true}, or at the top GraphQL text.");
    return NULL;
  }
  for (size_t i = 0; i < expr_len(value); i++) {
    const char *name = expr_key(value, i);
    const struct expr *item = expr_item(r->mem, value, i);
    struct input_place here = place_member(at, name);
    enum json_kind kind = expr_kind(item, &is_result);
    const struct part *part;
    const char *field;

    if (kind == JSON_FALSE || kind == JSON_NULL) continue;
    if (kind != JSON_TRUE && kind != JSON_OBJECT) {
      place_wrong(here, r->e, 0, "\"%.100s\" is selected by true or an object.", name);
      return NULL;
    }
    if (!(field = select_field_name(r->mem, item, name))) {
      place_wrong(place_member(here, "field"), r->e, 0, "\"field\" takes the name of a field.");
      return NULL;
    }
    part = find_part(r, of, field, here);
    if (!part || !tree_part(r, m, (struct chosen){.alias = name, .part = part}, item, here, out)) return NULL;
  }
  if (!out->n) place_wrong(at, r->e, 0, "A selection needs a field.");
  return out->n ? out : NULL;
}

const struct connection *connection_read(void *mem, const struct model *model, const struct expr *value,
                                         struct input_place at, struct err *e) {
  struct select_reader r = {.mem = mem, .e = e};
  struct connection *c = arena_new(mem, struct connection);
  const struct graphql_selection *selections;

  c->model = model;
  if (!select_is_text(value)) c->group = tree_group(&r, model, KIND_CONNECTION, value, at);
  else if (select_parse(&r, value, at, &selections)) c->group = text_group(&r, model, KIND_CONNECTION, selections, at);
  return c->group ? c : NULL;
}

/* ---- SQL ---- */

struct connection_build {
  struct sql_build *b;
  const struct config *config;
  const struct connection *c;
  const struct list *list;
  struct err *e;
};

/* The key as `after` takes it: a value, or an object of its fields. columns: one for each of key->columns, over the
 * alias. */
static void put_cursor(struct sql_build *b, const struct key *key, const struct column *const *columns, const char *alias) {
  const char *row;

  if (key->ncolumns == 1) {
    sql_printf(b, "%s.%s", alias, columns[0]->sql);
    return;
  }
  row = sql_alias(b);
  sql_printf(b, "(select row_to_json(%s.*) from (select ", row);
  for (size_t i = 0; i < key->nfields; i++) {
    const struct field *f = key->fields[i];

    if (i) sql_add(b, ", ");
    if (f->relation) put_cursor(b, field_there(f)->model->key, columns, alias);
    else sql_printf(b, "%s.%s", alias, columns[0]->sql);
    columns += f->relation ? field_here(f)->ncolumns : 1;
    sql_add(b, " as ");
    str_sql_ident(b->text, f->name);
  }
  sql_printf(b, ") as %s)", row);
}

/* GraphQL's cursors are strings. */
static void put_shown_cursor(struct connection_build *k, const char *alias) {
  const struct key *key = k->c->model->key;

  if (k->b->numbers_as_text) sql_add(k->b, "(");
  put_cursor(k->b, key, key->columns, alias);
  if (k->b->numbers_as_text) sql_add(k->b, ")::text");
}

static void put_name(struct connection_build *k, const struct part *part) {
  const char *model = k->c->model->name;
  const char *format = part->sql, *place = strstr(format, "%s");

  str_sql_literal(k->b->text,
                  place ? arena_printf(k->b->mem, "%.*s%s%s", (int)(place - format), format, model, place + 2) : format);
  sql_add(k->b, "::text");
}

/* { alias: value, ... } of a group's values; they stand in the row given. */
static void put_values(struct connection_build *k, const struct group *g, const char *alias) {
  const char *row = sql_alias(k->b);

  sql_printf(k->b, "(select row_to_json(%s.*) from (select ", row);
  for (size_t i = 0; i < g->n; i++) {
    if (i) sql_add(k->b, ", ");
    if (g->items[i].part->kind == KIND_NAME) put_name(k, g->items[i].part);
    else sql_printf(k->b, "%s.%s", alias, g->items[i].part->sql);
    sql_add(k->b, " as ");
    str_sql_ident(k->b->text, g->items[i].alias);
  }
  sql_printf(k->b, ") as %s)", row);
}

/* One edge, over a row of the model's table. */
static bool put_edge(struct connection_build *k, const struct group *g, const char *node) {
  const char *row = sql_alias(k->b);

  sql_printf(k->b, "(select row_to_json(%s.*) from (select ", row);
  for (size_t i = 0; i < g->n; i++) {
    const struct chosen *item = &g->items[i];

    if (i) sql_add(k->b, ", ");
    if (item->part->kind == KIND_NAME) put_name(k, item->part);
    else if (item->node && !select_put_node(k->b, k->config, item->node, node, true, k->e)) return false;
    else if (!item->node) put_shown_cursor(k, node);
    sql_add(k->b, " as ");
    str_sql_ident(k->b->text, item->alias);
  }
  sql_printf(k->b, ") as %s)", row);
  return true;
}

/* Rows e(i, n, cursor, e1, e2 ...): where it stands, how many came, and each of the edges that are asked for. Of first or
 * last one more comes than is shown; it is the last or the first. */
static bool put_rows(struct connection_build *k, const char *rows) {
  const struct group *g = k->c->group;
  const char *node = sql_alias(k->b), *row = sql_alias(k->b);
  struct list list = *k->list;
  unsigned edges = 0;

  list.one_more = true;
  sql_printf(k->b, "(select row_number() over () as i, count(*) over () as n, %s.* from (select ", row);
  put_shown_cursor(k, node);
  sql_add(k->b, " as cursor");
  for (size_t i = 0; i < g->n; i++) {
    if (g->items[i].part->kind != KIND_EDGE) continue;
    sql_add(k->b, ", ");
    if (!put_edge(k, g->items[i].group, node)) return false;
    sql_printf(k->b, " as e%u", ++edges);
  }
  sql_add(k->b, " ");
  if (!list_put(k->b, k->config, k->c->model, NULL, NULL, &list, node, k->e)) return false;
  sql_printf(k->b, ") as %s) as %s", row, rows);
  return true;
}

/* How many are shown; list_put has read the number. */
static const char *shown(const struct connection_build *k) {
  const struct expr *x = k->list->first ? k->list->first : k->list->last;

  return x && x->kind == EXPR_LITERAL && x->literal->kind == JSON_NUMBER ? x->literal->text : NULL;
}

/* Is the row one of those shown? */
static void put_shown(struct connection_build *k, const char *rows, unsigned limit) {
  if (!limit) sql_add(k->b, "true");
  else if (k->list->first) sql_printf(k->b, "%s.i <= $%u::bigint", rows, limit);
  else sql_printf(k->b, "%s.i > %s.n - $%u::bigint", rows, rows, limit);
}

static void put_edges(struct connection_build *k, const char *rows, unsigned edge, unsigned limit) {
  sql_printf(k->b,
             "case when octet_length(json_agg(%s.e%u)::text) > %d then writ.fail('TOO_LARGE', 'The edges are larger than %d "
             "bytes.', 422)::json else coalesce(json_agg(%s.e%u order by %s.i) filter (where ",
             rows, edge, k->config->max_result_bytes, k->config->max_result_bytes, rows, edge, rows);
  put_shown(k, rows, limit);
  sql_add(k->b, "), '[]') end");
}

/* The page, one row p of what pageInfo tells and of the edges. */
static bool put_page(struct connection_build *k, const char *page) {
  const char *rows = sql_alias(k->b), *n = shown(k);
  unsigned limit = n ? sql_param(k->b, n) : 0, edges = 0;

  sql_add(k->b, "(select ");
  if (limit)
    sql_printf(k->b, "count(*) > $%u::bigint and %s as has_next, count(*) > $%u::bigint and %s as has_previous, ", limit,
               k->list->first ? "true" : "false", limit, k->list->first ? "false" : "true");
  else sql_add(k->b, "false as has_next, false as has_previous, ");
  for (int last = 0; last <= 1; last++) {
    sql_printf(k->b, "(array_agg(%s.cursor order by %s.i%s) filter (where ", rows, rows, last ? " desc" : "");
    put_shown(k, rows, limit);
    sql_printf(k->b, "))[1] as %s_cursor, ", last ? "last" : "first");
  }
  for (size_t i = 0; i < k->c->group->n; i++) {
    if (k->c->group->items[i].part->kind != KIND_EDGE) continue;
    put_edges(k, rows, ++edges, limit);
    sql_printf(k->b, " as e%u, ", edges);
  }
  sql_printf(k->b, "case when count(*) > %d then writ.fail('TOO_MANY_ROWS', ", k->config->max_rows + (limit ? 1 : 0));
  str_sql_literal(k->b->text,
                  arena_printf(k->b->mem, "The list \"%s\" has more than %d nodes: ask for fewer with \"first\".",
                               k->c->model->query.connection, k->config->max_rows));
  sql_add(k->b, ", 422) end as checked from ");
  if (!put_rows(k, rows)) return false;
  sql_printf(k->b, " offset 0) as %s", page);
  return true;
}

static bool put_total(struct connection_build *k, const struct group *g) {
  const char *node = sql_alias(k->b), *row = sql_alias(k->b);

  sql_printf(k->b, "(select row_to_json(%s.*) from (select ", row);
  for (size_t i = 0; i < g->n; i++) {
    if (i) sql_add(k->b, ", ");
    if (g->items[i].part->kind == KIND_NAME) put_name(k, g->items[i].part);
    else sql_add(k->b, "count(*)");
    sql_add(k->b, " as ");
    str_sql_ident(k->b->text, g->items[i].alias);
  }
  sql_add(k->b, " ");
  if (!list_put_all(k->b, k->c->model, k->list, node, k->e)) return false;
  sql_printf(k->b, ") as %s)", row);
  return true;
}

/* A count alone reads no nodes. */
static bool needs_page(const struct group *g) {
  for (size_t i = 0; i < g->n; i++)
    if (g->items[i].part->kind != KIND_AGGREGATE && g->items[i].part->kind != KIND_NAME) return true;
  return false;
}

bool connection_put(struct sql_build *b, const struct config *config, const struct connection *c, const struct list *list,
                    struct err *e) {
  struct connection_build k = {.b = b, .config = config, .c = c, .list = list, .e = e};
  const char *row = sql_alias(b), *page = sql_alias(b);
  unsigned edges = 0;

  sql_printf(b, "(select row_to_json(%s.*) from (select ", row);
  for (size_t i = 0; i < c->group->n; i++) {
    const struct chosen *item = &c->group->items[i];

    if (i) sql_add(b, ", ");
    if (item->part->kind == KIND_NAME) put_name(&k, item->part);
    else if (item->part->kind == KIND_EDGE) sql_printf(b, "%s.e%u", page, ++edges);
    else if (item->part->kind == KIND_PAGE) put_values(&k, item->group, page);
    else if (!put_total(&k, item->group)) return false;
    sql_add(b, " as ");
    str_sql_ident(b->text, item->alias);
  }
  if (needs_page(c->group)) {
    sql_add(b, " from ");
    if (!put_page(&k, page)) return false;
    sql_printf(b, " where %s.checked is null", page);
  }
  sql_printf(b, ") as %s)", row);
  return true;
}
