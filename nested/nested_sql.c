/* Keys in slots, and links. */
#include "nested/nested_sql.h"

#include "base/arena.h"
#include "base/str.h"

#include <string.h>

struct link link_of(const struct field *f) {
  return (struct link){f->relation, f->side};
}
const struct relation_side *link_here(struct link l) { return &l.relation->sides[l.side]; }
const struct relation_side *link_there(struct link l) { return &l.relation->sides[!l.side]; }
bool link_is_here(struct link l) { return l.relation->storage == LINK_INLINE && l.relation->holder == l.side; }
bool link_is_there(struct link l) { return l.relation->storage == LINK_INLINE && l.relation->holder != l.side; }

/* ---- slots ---- */

const char *slot_name(const void *mem, unsigned slot) { return arena_printf(mem, "writ.n%u", slot); }

void put_set_slot(struct sql_build *b, unsigned slot) {
  sql_printf(b, "pg_catalog.set_config($%u::text, ", sql_param(b, slot_name(b->mem, slot)));
}

/* manual chapter 8.15.6 */
static const char *one_element(const void *mem, const char *key) {
  struct str *s = str_new(mem, strlen(key) + 8);

  str_char(s, '{');
  str_sql_element(s, key);
  str_char(s, '}');
  return s->p;
}

void put_held(struct sql_build *b, unsigned slot) {
  const char *key = known_key(b->known, slot);

  if (key) sql_printf(b, "$%u::text", sql_param(b, one_element(b->mem, key)));
  else sql_printf(b, "pg_catalog.current_setting($%u::text, true)", sql_param(b, slot_name(b->mem, slot)));
}

void put_filled(struct sql_build *b, unsigned slot) {
  if (known_key(b->known, slot)) {
    sql_add(b, "true");
    return;
  }
  put_held(b, slot);
  sql_add(b, " <> ''");
}

void put_if_filled(struct sql_build *b, const char *word, unsigned slot) {
  if (!slot || known_key(b->known, slot)) return;
  sql_add(b, word);
  put_filled(b, slot);
}

/* Empty is no array. */
static void put_array(struct sql_build *b, unsigned slot) {
  sql_add(b, "nullif(");
  put_held(b, slot);
  sql_add(b, ", '')::text[]");
}

void put_key(struct sql_build *b, const char *alias, const struct model *m) {
  sql_add(b, "array[");
  for (size_t i = 0; i < m->key->ncolumns; i++)
    sql_printf(b, "%s%s.%s::text", i ? ", " : "", alias, m->key->columns[i]->sql);
  sql_add(b, "]");
}

void put_key_part(struct sql_build *b, unsigned slot, size_t i, const char *cast_sql) {
  const char *key = known_key(b->known, slot);

  if (key) {
    sql_value(b, key, cast_sql);
    return;
  }
  sql_add(b, "((");
  put_array(b, slot);
  sql_printf(b, ")[%zu]::%s)", i + 1, cast_sql);
}

static void put_among_one(struct sql_build *b, const char *alias, const struct column *column, struct rows rows) {
  sql_printf(b, "%s.%s = ", alias, column->sql);
  if (rows.row) {
    sql_printf(b, "%s[1]::%s", rows.row, column->cast_sql);
  } else if (known_key(b->known, rows.slot)) {
    put_key_part(b, rows.slot, 0, column->cast_sql);
  } else {
    sql_add(b, "any (");
    put_array(b, rows.slot);
    sql_printf(b, "::%s[])", column->cast_sql);
  }
}

static void put_among_several(struct sql_build *b, const char *alias, const struct column *const *columns, size_t n,
                              struct rows rows) {
  sql_add(b, "(");
  sql_columns(b, alias, columns, n);
  sql_add(b, ") in (select ");
  for (size_t i = 0; i < n; i++) sql_printf(b, "%sv[i + %zu]::%s", i ? ", " : "", i, columns[i]->cast_sql);
  sql_add(b, " from (select ");
  put_array(b, rows.slot);
  sql_printf(b, " as v) as writ_v, generate_series(1, cardinality(v), %zu) as i)", n);
}

void put_among(struct sql_build *b, const char *alias, const struct column *const *columns, size_t n, struct rows rows) {
  if (n == 1) {
    put_among_one(b, alias, columns[0], rows);
  } else if (rows.row) {
    for (size_t i = 0; i < n; i++)
      sql_printf(b, "%s%s.%s = %s[%zu]::%s", i ? " and " : "", alias, columns[i]->sql, rows.row, i + 1,
                 columns[i]->cast_sql);
  } else {
    put_among_several(b, alias, columns, n, rows);
  }
}

void put_one_row(struct sql_build *b, const char *alias, const struct key *key, unsigned slot) {
  struct rows rows = {.slot = slot};

  if (!known_key(b->known, slot))
    rows.row = arena_printf(b->mem, "(nullif(pg_catalog.current_setting($%u::text, true), '')::text[])",
                            sql_param(b, slot_name(b->mem, slot)));
  put_among(b, alias, key->columns, key->ncolumns, rows);
}

static void put_side(struct sql_build *b, const char *alias, const struct relation_side *side, struct rows rows) {
  put_among(b, alias, side->columns, side->ncolumns, rows);
}

static void put_keys(struct sql_build *b, const char *alias, const struct model *m, struct rows rows) {
  put_among(b, alias, m->key->columns, m->key->ncolumns, rows);
}

/* ---- links ---- */

void put_linked(struct sql_build *b, struct link l, struct rows parents, const char *child) {
  const struct relation_side *here = link_here(l), *there = link_there(l);
  const char *other;

  if (link_is_there(l)) {
    put_side(b, child, there, parents);
    return;
  }
  other = sql_alias(b);
  if (link_is_here(l)) {
    sql_printf(b, "exists (select from %s as %s where ", here->model->table_sql, other);
    put_keys(b, other, here->model, parents);
    sql_add(b, " and ");
    sql_match(b, other, here->columns, child, there->model->key->columns, here->ncolumns);
  } else {
    sql_printf(b, "exists (select from %s as %s where ", l.relation->table_sql, other);
    put_side(b, other, here, parents);
    sql_add(b, " and ");
    sql_match(b, other, there->columns, child, there->model->key->columns, there->ncolumns);
  }
  sql_add(b, ")");
}

static void put_not_null(struct sql_build *b, const char *alias, const struct relation_side *side) {
  for (size_t i = 0; i < side->ncolumns; i++)
    sql_printf(b, "%s%s.%s is not null", i ? " and " : "", alias, side->columns[i]->sql);
}

void put_has_parent(struct sql_build *b, struct link l, const char *child) {
  const struct relation_side *here = link_here(l), *there = link_there(l);
  const char *other = sql_alias(b);

  if (link_is_there(l)) {
    put_not_null(b, child, there);
    return;
  }
  sql_printf(b, "exists (select from %s as %s where ", link_is_here(l) ? here->model->table_sql : l.relation->table_sql,
             other);
  if (link_is_here(l)) sql_match(b, other, here->columns, child, there->model->key->columns, here->ncolumns);
  else sql_match(b, other, there->columns, child, there->model->key->columns, there->ncolumns);
  sql_add(b, ")");
}

void put_has_child(struct sql_build *b, struct link l, struct rows parents) {
  const struct relation_side *here = link_here(l), *there = link_there(l);
  const char *other = sql_alias(b);

  if (link_is_here(l)) {
    sql_printf(b, "exists (select from %s as %s where ", here->model->table_sql, other);
    put_keys(b, other, here->model, parents);
    sql_add(b, " and ");
    put_not_null(b, other, here);
  } else if (link_is_there(l)) {
    sql_printf(b, "exists (select from %s as %s where ", there->model->table_sql, other);
    put_side(b, other, there, parents);
  } else {
    sql_printf(b, "exists (select from %s as %s where ", l.relation->table_sql, other);
    put_side(b, other, here, parents);
  }
  sql_add(b, ")");
}

void put_fail(struct sql_build *b, int prisma_code, const char *message) {
  const char *code = prisma_code == 3039 ? "NOT_FOUND" : prisma_code == 3041 ? "NOT_CONNECTED" : "REQUIRED_RELATION";
  int status = prisma_code == 3039 ? 404 : 422;

  sql_printf(b, "writ.fail('%s/%d', $%u::text, %d)", code, prisma_code, sql_param(b, message), status);
}

/* ---- columns that several have ---- */

static bool is_shared(const struct column *c) { return c->nlinks + (c->field != NULL) > 1; }

static bool is_among(const struct column *const *columns, size_t n, const struct column *c) {
  for (size_t i = 0; i < n; i++)
    if (columns[i] == c) return true;
  return false;
}

void put_disagree(struct sql_build *b, const struct model *m, const struct column *c) {
  const char *message = arena_printf(b->mem, "The values given for the column %s of %s do not agree.", c->name, m->name);

  sql_printf(b, "writ.fail('BAD_ARGUMENT', $%u::text, 400)::%s", sql_param(b, message), c->cast_sql);
}

/* Is the value of the column settled, by the key or by another link that the alias's row has? */
static void put_is_settled(struct sql_build *b, const struct relation *of, const struct column *c, const char *alias) {
  const struct model *m = of->sides[of->holder].model;

  if (is_among(m->key->columns, m->key->ncolumns, c)) {
    sql_add(b, "true");
    return;
  }
  sql_add(b, "(false");
  for (size_t i = 0; i < m->nlinks; i++) {
    const struct relation *r = m->links[i].relation;

    if (r == of || r->storage != LINK_INLINE || r->holder != m->links[i].side ||
        !is_among(r->sides[r->holder].columns, r->sides[r->holder].ncolumns, c))
      continue;
    sql_add(b, " or ");
    put_not_null(b, alias, &r->sides[r->holder]);
  }
  sql_add(b, ")");
}

/* Part i of the key in the slot, which is to be linked to. What others have given it stays as it is. */
static void put_link_part(struct sql_build *b, const struct relation *r, const char *alias, unsigned slot, size_t i) {
  const struct relation_side *holder = &r->sides[r->holder];
  const struct column *c = holder->columns[i];
  bool in_key = is_among(holder->model->key->columns, holder->model->key->ncolumns, c);

  if (is_shared(c) || in_key) {
    sql_printf(b, "case when %s.%s <> ", alias, c->sql);
    put_key_part(b, slot, i, c->cast_sql);
    sql_add(b, " and ");
    put_is_settled(b, r, c, alias);
    sql_add(b, " then ");
    put_disagree(b, holder->model, c);
    sql_add(b, " else ");
  }
  put_key_part(b, slot, i, c->cast_sql);
  if (is_shared(c) || in_key) sql_add(b, " end");
}

/* Columns that are the link's alone, where there are any that can be NULL. */
static bool has_own_nullable(const struct relation_side *holder) {
  for (size_t i = 0; i < holder->ncolumns; i++)
    if (!holder->columns[i]->required && !is_shared(holder->columns[i])) return true;
  return false;
}

/* ---- taking links away, making them ---- */

/* update ... set "a" = null: of those columns that may. False: none may. */
static bool put_nulls(struct sql_build *b, const struct relation_side *holder, const char *alias) {
  bool any = false, own = has_own_nullable(holder);

  sql_printf(b, "update %s as %s set ", holder->model->table_sql, alias);
  for (size_t i = 0; i < holder->ncolumns; i++) {
    if (holder->columns[i]->required || (own && is_shared(holder->columns[i]))) continue;
    sql_printf(b, "%s%s = null", any ? ", " : "", holder->columns[i]->sql);
    any = true;
  }
  sql_add(b, " where ");
  return any;
}

static bool put_unlink(struct sql_build *b, struct link l, bool of_parents, unsigned slot, unsigned guard) {
  struct rows rows = {.slot = slot};
  const char *alias = sql_alias(b);
  const struct relation_side *own = of_parents ? link_here(l) : link_there(l),
                             *holder = &l.relation->sides[l.relation->holder];
  bool any = true;

  if (l.relation->storage == LINK_TABLE) {
    sql_printf(b, "delete from %s as %s where ", l.relation->table_sql, alias);
    put_side(b, alias, own, rows);
  } else {
    any = put_nulls(b, holder, alias);
    if (own == holder) put_keys(b, alias, own->model, rows);
    else put_side(b, alias, holder, rows);
  }
  put_if_filled(b, " and ", guard);
  return any;
}

bool put_unlink_parents(struct sql_build *b, struct link l, unsigned parents, unsigned guard) {
  return put_unlink(b, l, true, parents, guard);
}

bool put_unlink_children(struct sql_build *b, struct link l, unsigned children, unsigned guard) {
  return put_unlink(b, l, false, children, guard);
}

bool put_unlink_pair(struct sql_build *b, struct link l, unsigned parent, unsigned child) {
  const char *alias = sql_alias(b);
  const struct relation_side *here = link_here(l), *there = link_there(l), *holder = &l.relation->sides[l.relation->holder];
  bool any = true;

  if (l.relation->storage == LINK_TABLE) {
    sql_printf(b, "delete from %s as %s where ", l.relation->table_sql, alias);
    put_side(b, alias, here, (struct rows){.slot = parent});
    sql_add(b, " and ");
    put_side(b, alias, there, (struct rows){.slot = child});
  } else {
    any = put_nulls(b, holder, alias);
    put_keys(b, alias, holder->model, (struct rows){.slot = holder == here ? parent : child});
    sql_add(b, " and ");
    put_side(b, alias, holder, (struct rows){.slot = holder == here ? child : parent});
  }
  return any;
}

/* v[i]::text, ... from ...: one row for each of those in the slot. */
static void put_slices(struct sql_build *b, unsigned slot, const struct relation_side *side) {
  for (size_t i = 0; i < side->ncolumns; i++)
    sql_printf(b, "%sv[i + %zu]::%s", i ? ", " : "", i, side->columns[i]->cast_sql);
  sql_add(b, " from (select ");
  put_array(b, slot);
  sql_printf(b, " as v offset 0) as writ_v, generate_series(1, cardinality(v), %zu) as i", side->ncolumns);
}

/* A row of the link table; where the database does not know that a pair is unique, only when it is not there. */
static void put_link_row(struct sql_build *b, struct link l, unsigned parent, unsigned child) {
  const struct relation_side *here = link_here(l), *there = link_there(l);
  const char *alias = sql_alias(b);

  sql_printf(b, "insert into %s (%s, %s) select distinct ", l.relation->table_sql, here->columns_sql, there->columns_sql);
  for (size_t i = 0; i < here->ncolumns; i++) {
    put_key_part(b, parent, i, here->columns[i]->cast_sql);
    sql_add(b, ", ");
  }
  put_slices(b, child, there);
  sql_add(b, " where ");
  put_filled(b, parent);
  if (l.relation->table_key_exists) {
    sql_printf(b, " on conflict (%s, %s) do nothing", here->columns_sql, there->columns_sql);
    return;
  }
  sql_printf(b, " and not exists (select from %s as %s where ", l.relation->table_sql, alias);
  put_side(b, alias, here, (struct rows){.slot = parent});
  for (size_t i = 0; i < there->ncolumns; i++)
    sql_printf(b, " and %s.%s = v[i + %zu]::%s", alias, there->columns[i]->sql, i, there->columns[i]->cast_sql);
  sql_add(b, ")");
}

void put_link(struct sql_build *b, struct link l, unsigned parent, unsigned child) {
  const struct relation_side *holder = &l.relation->sides[l.relation->holder];
  unsigned own = link_is_here(l) ? parent : child, other = link_is_here(l) ? child : parent;
  const char *alias = sql_alias(b);

  if (l.relation->storage == LINK_TABLE) {
    put_link_row(b, l, parent, child);
    return;
  }
  sql_printf(b, "update %s as %s set ", holder->model->table_sql, alias);
  for (size_t i = 0; i < holder->ncolumns; i++) {
    sql_printf(b, "%s%s = ", i ? ", " : "", holder->columns[i]->sql);
    put_link_part(b, l.relation, alias, other, i);
  }
  sql_add(b, " where ");
  put_keys(b, alias, holder->model, (struct rows){.slot = own});
  put_if_filled(b, " and ", other);
}
