/* Statements in the making. */
#include "compile/sql_build.h"

#include "base/arena.h"
#include "base/str.h"
#include "compile/input.h"
#include "compile/param.h"
#include "manifest/config.h"

#include <stdarg.h>
#include <string.h>

struct sql_build *sql_begin(void *mem) {
  struct sql_build *b = arena_new(mem, struct sql_build);

  b->mem = mem;
  b->text = str_new(mem, 1024);
  return b;
}

void sql_add(struct sql_build *b, const char *text) { str_add(b->text, text); }

void sql_printf(struct sql_build *b, const char *format, ...) {
  va_list args;

  va_start(args, format);
  str_vprintf(b->text, format, args);
  va_end(args);
}

const char *sql_alias(struct sql_build *b) { return arena_printf(b->mem, "t%u", ++b->naliases); }

void sql_columns(struct sql_build *b, const char *alias, const struct column *const *columns, size_t n) {
  for (size_t i = 0; i < n; i++) sql_printf(b, "%s%s.%s", i ? ", " : "", alias, columns[i]->sql);
}

void sql_match(struct sql_build *b, const char *alias_a, const struct column *const *a, const char *alias_b,
               const struct column *const *c, size_t n) {
  for (size_t i = 0; i < n; i++) sql_printf(b, "%s%s.%s = %s.%s", i ? " and " : "", alias_a, a[i]->sql, alias_b, c[i]->sql);
}

/* ---- parameters ---- */

unsigned sql_param(struct sql_build *b, const char *value) {
  arena_grow(b->mem, b->params, b->nparams);
  b->params[b->nparams++] = value;
  return b->nparams;
}

void sql_value(struct sql_build *b, const char *value, const char *cast_sql) {
  sql_printf(b, "($%u::%s)", sql_param(b, value), cast_sql);
}

/* text[] of an array column is text of its elements. */
static const char *element_cast(struct sql_build *b, const struct column *column) {
  size_t len = strlen(column->cast_sql);

  if (len > 2 && strcmp(column->cast_sql + len - 2, "[]") == 0) return arena_strndup(b->mem, column->cast_sql, len - 2);
  return column->cast_sql;
}

/* Labels of an enum in the database may be others than the names that results have. */
static bool has_labels(const struct column *column) {
  const struct enumeration *e = column->scalar == SCALAR_ENUM ? column->enumeration : NULL;

  for (size_t i = 0; e && i < e->nvalues; i++)
    if (strcmp(e->values[i].name, e->values[i].label) != 0) return true;
  return false;
}

/* An expression of type text, as a time in UTC: PostgreSQL would pass over its zone where the column has none, and take the
 * session's where the text has none. Behind the date a sign, a Z and the name of a place are zones, BC is none. */
static void put_time(struct sql_build *b, const char *text, const struct column *column) {
  sql_printf(b,
             "((select case when pg_catalog.substr(t, 11) ~ '[-+Zz]|[[:alpha:]]{3}' then t::timestamptz at time zone 'UTC' "
             "else t::timestamp end from (select %s as t offset 0) as writ_t)%s)::%s",
             text, column->zoned ? " at time zone 'UTC'" : "", element_cast(b, column));
}

/* An expression of type text, as a value of the column. */
static void put_converted(struct sql_build *b, const char *text, const struct column *column) {
  if (column->scalar == SCALAR_DATETIME) {
    put_time(b, text, column);
    return;
  }
  if (!has_labels(column)) {
    sql_printf(b, "(%s)::%s", text, element_cast(b, column));
    return;
  }
  sql_printf(b, "(case %s", text);
  for (size_t i = 0; i < column->enumeration->nvalues; i++) {
    sql_add(b, " when ");
    str_sql_literal(b->text, column->enumeration->values[i].name);
    sql_add(b, " then ");
    str_sql_literal(b->text, column->enumeration->values[i].label);
  }
  sql_printf(b, " else %s end)::%s", text, element_cast(b, column)); /* what is no value of it is refused by the cast */
}

static const char *taken(struct sql_build *b, const struct expr *value) {
  struct str *s = str_new(b->mem, 128);

  wrap_put_take(s, sql_param(b, param_place(b->mem, value)));
  return s->p;
}

static const char *built(struct sql_build *b, const struct expr *value) {
  struct str *s = str_new(b->mem, 512);

  wrap_put_build(s, sql_param(b, param_pieces(b->mem, value)));
  return s->p;
}

/* A value that was a result, of an earlier transaction: any scalar is taken as its text, as the server would take it. */
static bool text_of_result(void *mem, const struct json *value, const struct column *column, const char **text,
                           struct err *e) {
  static const char *const words[] = {[JSON_TRUE] = "true", [JSON_FALSE] = "false"};
  struct json word = {.kind = JSON_STRING};

  if (value->kind == JSON_TRUE || value->kind == JSON_FALSE) word.text = words[value->kind];
  else if (value->kind == JSON_NUMBER) word.text = value->text;
  else return input_text(mem, value, column->scalar, column->enumeration, text, e);
  word.len = strlen(word.text);
  if (column->scalar == SCALAR_STRING || column->scalar == SCALAR_ID) value = &word;
  return input_text(mem, value, column->scalar, column->enumeration, text, e);
}

static bool literal_text(void *mem, const struct expr *value, const struct column *column, const char **text,
                         struct err *e) {
  *text = NULL;
  if (value->literal->kind == JSON_NULL) return true;
  if (value->was_result) return text_of_result(mem, value->literal, column, text, e);
  return input_text(mem, value->literal, column->scalar, column->enumeration, text, e);
}

bool sql_input(struct sql_build *b, const struct expr *value, const struct column *column, struct err *e) {
  const char *text;

  if (value->kind == EXPR_LITERAL) {
    if (!literal_text(b->mem, value, column, &text, e)) return false;
    sql_value(b, text, element_cast(b, column));
  } else if (column->scalar == SCALAR_JSON) {
    sql_printf(b, "(nullif(%s, 'null')::%s)", built(b, value), element_cast(b, column));
  } else if (value->kind == EXPR_RESULT) {
    sql_add(b, "(");
    put_converted(b, taken(b, value), column);
    sql_add(b, ")");
  } else {
    return input_refuse(column->scalar, column->enumeration, value->kind == EXPR_ARRAY ? JSON_ARRAY : JSON_OBJECT, e);
  }
  return true;
}

static bool no_null(struct err *e) { return err_set(e, BAD_ARGUMENT, "takes no null in a list"); }

static bool literal_list(struct sql_build *b, const struct expr *value, const struct column *column, struct err *e) {
  struct str *s = str_new(b->mem, 128);
  bool is_list = value->literal->kind == JSON_ARRAY;
  size_t n = is_list ? expr_len(value) : 1; /* one value is a list of one */
  const char *text;

  str_char(s, '{');
  for (size_t i = 0; i < n; i++) {
    if (!literal_text(b->mem, is_list ? expr_item(b->mem, value, i) : value, column, &text, e)) return false;
    if (!text) return no_null(e);
    if (i) str_char(s, ',');
    str_sql_element(s, text);
  }
  str_char(s, '}');
  sql_value(b, s->p, arena_printf(b->mem, "%s[]", element_cast(b, column)));
  return true;
}

/* The whole list is a result. */
static void taken_list(struct sql_build *b, const struct expr *value, const struct column *column) {
  const char *x = sql_alias(b);
  bool json = column->scalar == SCALAR_JSON;

  sql_add(b, "array(select ");
  put_converted(b, arena_printf(b->mem, "%s.value%s", x, json ? "::text" : ""), column);
  sql_printf(b, " from pg_catalog.json_array_elements%s((%s)::json) as %s)", json ? "" : "_text", taken(b, value), x);
}

bool sql_input_list(struct sql_build *b, const struct expr *value, const struct column *column, struct err *e) {
  if (value->kind == EXPR_LITERAL) return literal_list(b, value, column, e);
  if (value->kind == EXPR_RESULT) {
    taken_list(b, value, column);
    return true;
  }
  if (value->kind == EXPR_OBJECT) return input_refuse(column->scalar, column->enumeration, JSON_OBJECT, e);
  sql_add(b, "(array[");
  for (size_t i = 0; i < value->n; i++) {
    if (expr_is_null(&value->items[i])) return no_null(e);
    if (i) sql_add(b, ", ");
    if (!sql_input(b, &value->items[i], column, e)) return false;
  }
  sql_printf(b, "]::%s[])", element_cast(b, column));
  return true;
}

/* ---- the whole ---- */

/* A row was made; where it is not to be found it was kept out or changed by a trigger, or hidden by row-level security (an INSERT
 * without RETURNING has no policy asked). Nothing of it may be committed then, as nobody would be told. */
static bool must_be_there(const struct command *c) {
  return c->kind == COMMAND_MUTATION && (c->operation == OPERATION_CREATE || c->operation == OPERATION_UPSERT);
}

enum { SHORTEST_NODE = 7 }; /* {"a":1}: null is shorter */

/* One function that refuses, for all: each costs the start of the statement some 3 us, though it hardly ever runs. */
static void put_limits(struct sql_build *b, const struct command *c, const struct config *config,
                       const struct sql_lists *lists) {
  int most = config->max_result_bytes, few = lists ? lists->bytes : most;
  bool made = must_be_there(c);

  if (!lists && !made) {
    sql_printf(b, "case when octet_length(r) > %d then writ.fail('TOO_LARGE', ", most);
    str_sql_literal(b->text, arena_printf(b->mem, "The result of \"%s\" is larger than %d bytes.", c->name, most));
    sql_add(b, ", 422) else r end");
    return;
  }
  if (made) sql_printf(b, "case when octet_length(r) between %d and %d then r else writ.limited(r, ", SHORTEST_NODE, few);
  else sql_printf(b, "case when octet_length(r) <= %d then r else writ.limited(r, ", few);
  str_sql_literal(b->text, c->name);
  sql_printf(b, ", %d, %d, ", most, config->max_rows);
  str_sql_literal(b->text, lists ? lists->names : "{}");
  sql_add(b, ", ");
  if (made) str_sql_literal(b->text, c->model->name);
  else sql_add(b, "null");
  sql_add(b, ") end");
}

void sql_result_begin(struct sql_build *b, const struct node *node, const struct config *config,
                      const struct sql_lists *lists) {
  sql_add(b, "select ");
  if (node->slot)
    sql_printf(b, "pg_catalog.set_config($%u::text, ", sql_param(b, arena_printf(b->mem, "writ.s%u", node->slot)));
  put_limits(b, node->command, config, lists);
  sql_printf(b, "%s from (select coalesce((", node->slot ? ", true)" : "");
}

/* offset 0: or the planner would put the expression for r in the place of each r, and run it twice. */
void sql_result_end(struct sql_build *b) { sql_add(b, ")::text, 'null') as r offset 0) as writ_r"); }

bool sql_end(struct sql_build *b, struct compiler *k, size_t owner, struct step *out, struct err *e) {
  const struct str *s = b->text, *key = b->key ? b->key : s;
  struct statement statement;

  if (b->nparams > SQL_PARAMS)
    return err_set(e, TOO_LARGE, "The request has more than %d values in one statement.", SQL_PARAMS);
  if (s->len > SQL_TEXT_BYTES)
    return err_set(e, TOO_LARGE, "The request makes a statement of more than %d bytes; select or filter by less.",
                   SQL_TEXT_BYTES);
  if (!variants_find(k->variants, key->p, key->len, &statement))
    statement = variants_add(k->variants, k->mem, key->p, key->len, s->p);
  *out = (struct step){.statement = statement,
                       .params = b->params,
                       .nparams = b->nparams,
                       .gives = GIVES_NOTHING,
                       .member = (unsigned)owner,
                       .purpose = "?"};
  return true;
}
