/* Filters and unique wheres into SQL conditions. What a client gives becomes parameters; its keys are looked up in the
 * model and never reach the text. */
#include "query/where.h"

#include "base/arena.h"
#include "base/str.h"
#include "model/filters.h"

#include <string.h>

/* ---- one node ---- */

enum { GIVEN_BYTES = 200 };

/* What a where holds, for messages; a reference shows as null. */
static const char *given_text(void *mem, const struct expr *where) {
  struct str *s;

  if (where->kind != EXPR_LITERAL) return "a reference";
  s = str_new(mem, 128);
  json_write(s, where->literal);
  return s->len > GIVEN_BYTES ? arena_printf(mem, "%.*s...", GIVEN_BYTES, s->p) : s->p;
}

static const char *const *key_names(void *mem, const struct model *m) {
  const char **names = arena_array(mem, const char *, m->nkeys + 1);

  for (size_t i = 0; i < m->nkeys; i++) names[i] = m->keys[i].name;
  return names;
}

static const char *list_of(void *mem, const char *const *names) {
  struct str *s = str_new(mem, 128);

  for (size_t i = 0; names[i]; i++) str_printf(s, "%s%s", i ? ", " : "", names[i]);
  return s->p;
}

static size_t columns_of(const struct field *field) { return field->relation ? field_here(field)->ncolumns : 1; }

/* { order: ..., no: ... } for fields, of which a relation stands for the key at its other end. */
static bool field_values(void *mem, const struct key *key, const struct expr *value, struct input_place at,
                         const struct expr **values, struct err *e) {
  const char **names = arena_array(mem, const char *, key->nfields + 1);

  for (size_t i = 0; i < key->nfields; i++) names[i] = key->fields[i]->name;
  for (size_t i = 0; i < expr_len(value); i++) {
    size_t j = 0;
    while (names[j] && strcmp(names[j], expr_key(value, i)) != 0) j++;
    if (!names[j])
      return place_wrong(place_member(at, expr_key(value, i)), e, 0, "The key \"%s\" has no field \"%.100s\"%s", key->name,
                         expr_key(value, i), place_advice(mem, expr_key(value, i), names));
  }
  for (size_t i = 0; i < key->nfields; i++) {
    const struct field *field = key->fields[i];
    const struct expr *part = expr_member(mem, value, field->name);

    if (expr_is_null(part))
      return place_wrong(at, e, 3040, "The key \"%s\" needs a value for \"%s\".", key->name, field->name);
    if (!field->relation) *values = part;
    else if (!where_key_values(mem, field_there(field)->model->key, part, place_member(at, field->name), values, e))
      return false;
    values += columns_of(field);
  }
  return true;
}

bool where_key_values(void *mem, const struct key *key, const struct expr *value, struct input_place at,
                      const struct expr **values, struct err *e) {
  bool is_result, is_object = expr_kind(value, &is_result) == JSON_OBJECT;

  if (key->nfields == 1 && !key->fields[0]->relation) {
    *values = value;
    return true;
  }
  if (key->nfields == 1 && !is_object)
    return where_key_values(mem, field_there(key->fields[0])->model->key, value, at, values, e);
  if (!is_object) return place_wrong(at, e, 0, "The key \"%s\" takes an object of its fields.", key->name);
  return field_values(mem, key, value, at, values, e);
}

bool where_unique_read(void *mem, const struct model *m, const struct expr *where, struct input_place at,
                       struct where_unique *out, struct err *e) {
  const struct expr *value = NULL;
  const char *const *names = key_names(mem, m);
  bool is_result;

  if (expr_is_null(where))
    return place_wrong(at, e, 3040, "No node of %s is named: give one of %s.", m->name, list_of(mem, names));
  if (expr_kind(where, &is_result) != JSON_OBJECT)
    return place_wrong(at, e, 0, "Which %s is meant is said by an object with one of %s.", m->name, list_of(mem, names));
  *out = (struct where_unique){.given = given_text(mem, where), .at = at};
  for (size_t i = 0; i < expr_len(where); i++) {
    const char *name = expr_key(where, i);
    const struct key *key = model_key(m, name);
    const struct expr *item = expr_item(mem, where, i);

    if (!key)
      return place_wrong(place_member(at, name), e, 0, "%s has no unique field \"%.100s\"%s", m->name, name,
                         place_advice(mem, name, names));
    if (expr_is_null(item)) continue;
    if (out->key) return place_wrong(at, e, 3045, "Several fields name one node of %s: give one of them only.", m->name);
    out->key = key;
    value = item;
  }
  if (!out->key) return place_wrong(at, e, 3040, "No node of %s is named: give one of %s.", m->name, list_of(mem, names));
  out->at = place_member(at, out->key->name);
  out->values = arena_array(mem, const struct expr *, out->key->ncolumns);
  return where_key_values(mem, out->key, value, out->at, out->values, e);
}

bool where_unique_put(struct sql_build *b, const struct where_unique *w, const char *alias, struct err *e) {
  for (size_t i = 0; i < w->key->ncolumns; i++) {
    sql_printf(b, "%s%s.%s = ", i ? " and " : "", alias, w->key->columns[i]->sql);
    if (!sql_input(b, w->values[i], w->key->columns[i], e)) return place_reason(w->at, e, "\"%s\"", w->key->name);
  }
  return true;
}

/* ---- many nodes ---- */

/* Between the column and its value. */
static const char *const operators[NFILTERS] = {
    [FILTER_IS] = "=",          [FILTER_NOT] = "<>",
    [FILTER_IN] = "= any",      [FILTER_NOT_IN] = "<> all",
    [FILTER_LT] = "<",          [FILTER_LTE] = "<=",
    [FILTER_GT] = ">",          [FILTER_GTE] = ">=",
    [FILTER_CONTAINS] = "like", [FILTER_NOT_CONTAINS] = "not like",
    [FILTER_STARTS] = "like",   [FILTER_NOT_STARTS] = "not like",
    [FILTER_ENDS] = "like",     [FILTER_NOT_ENDS] = "not like",
};

struct filter_build {
  struct sql_build *b;
  const struct model *model;
  const char *alias;
  bool scalars_only;
  struct err *e;
};

static const char *const *filter_names(const struct filter_build *w) {
  const struct model *m = w->model;
  const char **names = arena_array(w->b->mem, const char *, m->nfields *NFILTERS + 4);
  size_t n = 0;

  for (size_t i = 0; i < m->nfields; i++) {
    if (m->fields[i].relation && w->scalars_only) continue;
    for (enum filter filter = 0; filter < NFILTERS; filter++)
      if (filter_is_for(filter, &m->fields[i]))
        names[n++] = arena_printf(w->b->mem, "%s%s", m->fields[i].name, filter_ending(filter));
  }
  names[n++] = "AND";
  names[n++] = "OR";
  names[n++] = "NOT";
  return names;
}

/* ---- scalars ---- */

static bool put_null(const struct filter_build *w, const struct field *f, enum filter filter) {
  static const char *const texts[] = {
      [FILTER_IS] = "is null", [FILTER_IN] = "is null", [FILTER_NOT] = "is not null", [FILTER_NOT_IN] = "is not null"};
  if (filter > FILTER_NOT_IN) return false;
  sql_printf(w->b, "%s.%s %s", w->alias, f->column->sql, texts[filter]);
  return true;
}

/* % and _ in the value mean themselves; \ is LIKE's own escape. */
static const char *escape_like(void *mem, const char *text) {
  struct str *s = str_new(mem, strlen(text) + 16);

  for (; *text; text++) {
    if (*text == '%' || *text == '_' || *text == '\\') str_char(s, '\\');
    str_char(s, *text);
  }
  return s->p;
}

static bool put_like(const struct filter_build *w, const struct field *f, enum filter filter, const struct expr *value) {
  bool open_start = filter != FILTER_STARTS && filter != FILTER_NOT_STARTS;
  bool open_end = filter != FILTER_ENDS && filter != FILTER_NOT_ENDS;
  struct sql_build *b = w->b;
  const char *text;

  if (value->kind == EXPR_LITERAL && value->literal->kind == JSON_STRING) {
    text = escape_like(b->mem, value->literal->text);
    sql_value(b, arena_printf(b->mem, "%s%s%s", open_start ? "%" : "", text, open_end ? "%" : ""), "text");
    return true;
  }
  sql_printf(b, "(%spg_catalog.regexp_replace((", open_start ? "'%' || " : "");
  if (!sql_input(b, value, f->column, w->e)) return false;
  sql_printf(b, ")::text, '([\\\\%%_])', '\\\\\\1', 'g')%s)", open_end ? " || '%'" : "");
  return true;
}

static bool put_scalar(const struct filter_build *w, const struct field *f, enum filter filter, const struct expr *value,
                       struct input_place at) {
  bool ok;

  if (expr_is_null(value) && put_null(w, f, filter)) return true;
  sql_printf(w->b, "%s.%s %s ", w->alias, f->column->sql, operators[filter]);
  if (filter == FILTER_IN || filter == FILTER_NOT_IN) {
    sql_add(w->b, "(");
    ok = sql_input_list(w->b, value, f->column, w->e);
    sql_add(w->b, ")");
  } else if (filter >= FILTER_CONTAINS && !expr_is_null(value)) {
    ok = put_like(w, f, filter, value);
  } else {
    ok = sql_input(w->b, value, f->column, w->e);
  }
  return ok || place_reason(at, w->e, "The filter \"%s%s\" of %s", f->name, filter_ending(filter), w->model->name);
}

/* ---- relations ---- */

void where_put_linked(struct sql_build *b, const struct field *field, const char *parent, const char *child) {
  const struct relation *r = field->relation;
  const struct relation_side *here = field_here(field), *there = field_there(field);
  const struct key *parent_key = here->model->key, *child_key = there->model->key;

  sql_printf(b, "from %s as %s", there->model->table_sql, child);
  if (r->storage == LINK_TABLE) {
    const char *link = sql_alias(b);

    sql_printf(b, " join %s as %s on ", r->table_sql, link);
    sql_match(b, link, there->columns, child, child_key->columns, there->ncolumns);
    sql_add(b, " where ");
    sql_match(b, link, here->columns, parent, parent_key->columns, here->ncolumns);
  } else if (field_holds_link(field)) {
    sql_add(b, " where ");
    sql_match(b, child, child_key->columns, parent, here->columns, here->ncolumns);
  } else {
    sql_add(b, " where ");
    sql_match(b, child, there->columns, parent, parent_key->columns, there->ncolumns);
  }
}

static bool put_filter(const struct filter_build *w, const struct expr *where, struct input_place at);

/* PostgreSQL makes joins of the EXISTS of a statement, whose order it takes long to find when there are many: 1 s for 30
 * side by side, more than 20 s for 100. Where it cannot join them (below OR), it plans each in two ways, those within it
 * too: 2^n for n within each other. So only the first few are EXISTS; the others are subselects, planned once and looked
 * up row by row. */
enum { LINKED_JOINED = 5 };

/* Some linked node for which the filter is true, or for r_every: none for which it is false. */
static bool put_relation(const struct filter_build *w, const struct field *f, enum filter filter, const struct expr *value,
                         struct input_place at) {
  struct sql_build *b = w->b;
  struct filter_build inner = *w;
  bool none = filter == FILTER_EVERY || filter == FILTER_NONE || expr_is_null(value), exists;

  if (expr_is_null(value) && filter != FILTER_IS)
    return place_wrong(at, w->e, 3033, "The filter \"%s%s\" of %s takes an object, not null.", f->name,
                       filter_ending(filter), w->model->name);
  inner.model = field_there(f)->model;
  inner.alias = sql_alias(b);
  exists = b->nlinked++ < LINKED_JOINED;
  sql_add(b, !exists ? "(select true " : none ? "not exists (select " : "exists (select ");
  where_put_linked(b, f, w->alias, inner.alias);
  if (!expr_is_null(value)) {
    sql_add(b, " and ");
    if (!put_filter(&inner, value, at)) return false;
    if (filter == FILTER_EVERY) sql_add(b, " is false");
  }
  sql_add(b, exists ? ")" : none ? " limit 1) is null" : " limit 1) is not null");
  return true;
}

/* ---- the whole ---- */

/* AND, OR, NOT: a list of filters; a single one will do. */
static bool put_combined(const struct filter_build *w, const char *name, const struct expr *value, struct input_place at) {
  bool is_result, is_list, is_or = strcmp(name, "OR") == 0, is_not = strcmp(name, "NOT") == 0;
  size_t n;

  if (expr_is_null(value)) {
    sql_add(w->b, "true");
    return true;
  }
  is_list = expr_kind(value, &is_result) == JSON_ARRAY;
  n = is_list ? expr_len(value) : 1;
  if (!n) sql_add(w->b, is_or ? "false" : "true");
  if (n) sql_add(w->b, "(");
  for (size_t i = 0; i < n; i++) {
    const struct expr *item = is_list ? expr_item(w->b->mem, value, i) : value;

    if (i) sql_add(w->b, is_or ? " or " : " and ");
    if (is_not) sql_add(w->b, "not ");
    if (!put_filter(w, item, is_list ? place_item(at, i) : at)) return false;
  }
  if (n) sql_add(w->b, ")");
  return true;
}

static bool is_combination(const char *name) {
  return strcmp(name, "AND") == 0 || strcmp(name, "OR") == 0 || strcmp(name, "NOT") == 0;
}

static bool put_one(const struct filter_build *w, const char *name, const struct expr *value, struct input_place at) {
  enum filter filter;
  const struct field *f;

  if (is_combination(name) && !model_field(w->model, name)) return put_combined(w, name, value, at);
  f = filter_find(w->model, name, &filter);
  if (f && f->relation && w->scalars_only)
    return place_wrong(at, w->e, 0, "\"%s\": only fields of %s itself may stand in this filter, no relations.", name,
                       w->model->name);
  if (!f)
    return place_wrong(at, w->e, 0, "%s has no filter \"%.100s\"%s", w->model->name, name,
                       place_advice(w->b->mem, name, filter_names(w)));
  return f->relation ? put_relation(w, f, filter, value, at) : put_scalar(w, f, filter, value, at);
}

static bool put_filter(const struct filter_build *w, const struct expr *where, struct input_place at) {
  bool is_result;
  size_t n;

  if (expr_kind(where, &is_result) != JSON_OBJECT)
    return place_wrong(at, w->e, 0, "A filter of %s is an object, not %s.", w->model->name,
                       is_result ? "a reference" : json_kind_name(where->literal ? where->literal->kind : JSON_ARRAY));
  n = expr_len(where);
  sql_add(w->b, n ? "(" : "true");
  for (size_t i = 0; i < n; i++) {
    if (i) sql_add(w->b, " and ");
    if (!put_one(w, expr_key(where, i), expr_item(w->b->mem, where, i), place_member(at, expr_key(where, i)))) return false;
  }
  if (n) sql_add(w->b, ")");
  return true;
}

bool where_put(struct sql_build *b, const struct model *m, const char *alias, const struct expr *where, bool scalars_only,
               struct input_place at, struct err *e) {
  struct filter_build w = {.b = b, .model = m, .alias = alias, .scalars_only = scalars_only, .e = e};

  if (!expr_is_null(where)) return put_filter(&w, where, at);
  sql_add(b, "true");
  return true;
}
