/* Deleting rows, with what hangs on them: all that cascades is collected by one query, then what requires any of it
 * and stays is looked for, then the rows go. */
#include "nested/nested_inside.h"

#include "base/arena.h"

/* The rows of one model that go. */
struct doomed {
  const struct model *model;
  unsigned slot;
  bool gone;
};

/* Deleting a row of from deletes those that it sees through the link. */
struct cascade {
  size_t from, to;
  struct link link;
};

struct deletion {
  struct planner *p;
  const char *path;
  struct doomed *doomed;
  size_t ndoomed;
  struct cascade *cascades;
  size_t ncascades;
};

static struct link link_at(const struct model *m, size_t i) { return (struct link){m->links[i].relation, m->links[i].side}; }

static const struct doomed *doomed_of(const struct deletion *d, const struct model *m) {
  for (size_t i = 0; i < d->ndoomed; i++)
    if (d->doomed[i].model == m) return &d->doomed[i];
  return NULL;
}

static size_t add_doomed(struct deletion *d, const struct model *m, unsigned slot) {
  const struct doomed *there = doomed_of(d, m);

  if (there) return (size_t)(there - d->doomed);
  arena_grow(d->p->mem, d->doomed, d->ndoomed);
  d->doomed[d->ndoomed] = (struct doomed){.model = m, .slot = slot ? slot : slot_take(d->p)};
  return d->ndoomed++;
}

/* Models that cascade into themselves or each other come once: the query goes round. */
static void find_cascades(struct deletion *d) {
  for (size_t i = 0; i < d->ndoomed; i++)
    for (size_t j = 0; j < d->doomed[i].model->nlinks; j++) {
      struct link l = link_at(d->doomed[i].model, j);
      size_t to;

      if (!link_here(l)->field || link_here(l)->on_delete != ON_DELETE_CASCADE) continue;
      to = add_doomed(d, link_there(l)->model, 0);
      arena_grow(d->p->mem, d->cascades, d->ncascades);
      d->cascades[d->ncascades++] = (struct cascade){.from = i, .to = to, .link = l};
    }
}

static bool step(struct deletion *d, struct sql_build *b, const struct model *m, const char *purpose) {
  struct nested_subject *subject = arena_new(d->p->mem, struct nested_subject);

  *subject = (struct nested_subject){.model = m, .removes = true};
  return plan_step(d->p, b, d->path, subject, purpose);
}

/* The first rows: each key an array. */
static void put_first_rows(struct sql_build *b, const struct doomed *first) {
  sql_printf(b,
             "select 0, v[i : i + %zu] collate \"C\" from (select nullif(pg_catalog.current_setting($%u::text, true), "
             "'')::text[] as v) as writ_v, ",
             first->model->key->ncolumns - 1, sql_param(b, slot_name(b->mem, first->slot)));
  sql_printf(b, "generate_series(1, cardinality(v), %zu) as i", first->model->key->ncolumns);
}

static bool plan_collect(struct deletion *d) {
  struct sql_build *b = plan_begin(d->p);

  if (!d->ncascades) return true;
  sql_add(b, "with recursive writ_w(m, k) as (");
  put_first_rows(b, &d->doomed[0]);
  sql_add(b, " union select writ_x.m, writ_x.k from writ_w, lateral (");
  for (size_t i = 0; i < d->ncascades; i++) {
    const struct cascade *c = &d->cascades[i];
    const char *alias = sql_alias(b);

    sql_printf(b, "%sselect %zu as m, ", i ? " union all " : "", c->to);
    put_key(b, alias, d->doomed[c->to].model);
    sql_printf(b, " collate \"C\" as k from %s as %s where writ_w.m = %zu and ", d->doomed[c->to].model->table_sql, alias,
               c->from);
    put_linked(b, c->link, (struct rows){.row = "writ_w.k"}, alias);
  }
  sql_add(b, ") as writ_x) select ");
  for (size_t i = 0; i < d->ndoomed; i++) {
    if (i) sql_add(b, ", ");
    put_set_slot(b, d->doomed[i].slot);
    sql_printf(b,
               "coalesce((select array_agg(writ_u.v)::text from writ_w, unnest(writ_w.k) as writ_u(v) where writ_w.m = "
               "%zu), ''), true)",
               i);
  }
  return step(d, b, d->doomed[0].model, "collect what cascades");
}

/* Does a row that stays need one that goes? */
static bool plan_check(struct deletion *d, const struct doomed *of, struct link l) {
  struct sql_build *b = plan_begin(d->p);
  const struct model *other = link_there(l)->model;
  const struct doomed *too = doomed_of(d, other);
  const char *alias = sql_alias(b);

  if (!link_there(l)->required) return true;
  sql_printf(b, "select case when exists (select from %s as %s where ", other->table_sql, alias);
  put_linked(b, l, (struct rows){.slot = of->slot}, alias);
  if (too) {
    sql_add(b, " and (");
    put_among(b, alias, other->key->columns, other->key->ncolumns, (struct rows){.slot = too->slot});
    sql_add(b, ") is not true"); /* of an empty slot it is null */
  }
  sql_add(b, ") then ");
  put_fail(b, 3042, text_3042(d->p, l.relation));
  sql_add(b, " end");
  return step(d, b, of->model, arena_printf(d->p->mem, "does a %s need it", other->name));
}

static bool acts_alone(const struct foreign_key *f) {
  return f->exists && (f->action == ACTION_CASCADE || f->action == ACTION_SET_NULL);
}

/* Links to rows that stay; where the database does it by itself there is nothing to do. */
static bool plan_unlink_gone(struct deletion *d, const struct doomed *of, struct link l) {
  struct sql_build *b = plan_begin(d->p);
  const struct relation_side *holder = link_is_there(l) ? link_there(l) : link_here(l);

  if (link_is_here(l) || acts_alone(&holder->foreign_key)) return true;
  return !put_unlink_parents(b, l, of->slot, 0) || step(d, b, of->model, "unlink");
}

/* Does a row of a, by a foreign key that cannot wait, point to rows of b? Then it goes first. */
static bool must_precede(const struct model *a, const struct model *b) {
  for (size_t i = 0; i < a->nlinks; i++) {
    struct link l = link_at(a, i);
    const struct foreign_key *f = &link_here(l)->foreign_key;

    if (a != b && link_is_here(l) && link_there(l)->model == b && f->exists && !f->deferrable && !acts_alone(f)) return true;
  }
  return false;
}

static struct doomed *next_to_go(struct deletion *d) {
  struct doomed *any = NULL;

  for (size_t i = d->ndoomed; i-- > 0;) {
    bool held = false;

    if (d->doomed[i].gone) continue;
    if (!any) any = &d->doomed[i];
    for (size_t j = 0; j < d->ndoomed; j++)
      held |= !d->doomed[j].gone && must_precede(d->doomed[j].model, d->doomed[i].model);
    if (!held) return &d->doomed[i];
  }
  return any;
}

static bool plan_go(struct deletion *d, struct doomed *of) {
  struct sql_build *b = plan_begin(d->p);
  const char *alias = sql_alias(b);

  of->gone = true;
  sql_printf(b, "delete from %s as %s where ", of->model->table_sql, alias);
  put_among(b, alias, of->model->key->columns, of->model->key->ncolumns, (struct rows){.slot = of->slot});
  return step(d, b, of->model, arena_printf(d->p->mem, "delete %s", of->model->name));
}

static bool for_each_link(struct deletion *d, bool (*plan)(struct deletion *, const struct doomed *, struct link)) {
  for (size_t i = 0; i < d->ndoomed; i++)
    for (size_t j = 0; j < d->doomed[i].model->nlinks; j++)
      if (!plan(d, &d->doomed[i], link_at(d->doomed[i].model, j))) return false;
  return true;
}

bool plan_delete(struct planner *p, const struct model *m, unsigned slot, const char *path) {
  struct deletion d = {.p = p, .path = path};
  unsigned top = p->last_slot;
  struct doomed *of;

  add_doomed(&d, m, slot);
  find_cascades(&d);
  if (!plan_collect(&d) || !for_each_link(&d, plan_check) || !for_each_link(&d, plan_unlink_gone)) return false;
  while ((of = next_to_go(&d)) && !of->gone)
    if (!plan_go(&d, of)) return false;
  slot_give_back(p, top);
  return true;
}
