/* Nested mutations: the roots, and the frame around what they do. */
#include "nested/nested_inside.h"

#include "base/arena.h"
#include "base/str.h"
#include "query/select.h"

#include <string.h>

/* ---- the frame ---- */

unsigned slot_take(struct planner *p) { return ++p->last_slot; }

void slot_give_back(struct planner *p, unsigned to) {
  p->last_slot = to;
  if (p->known.n > to + 1) p->known.n = to + 1;
}

void slot_know(struct planner *p, unsigned slot, const char *key) {
  while (p->known.n <= slot) {
    arena_grow(p->mem, p->known.keys, p->known.n);
    p->known.keys[p->known.n++] = NULL;
  }
  p->known.keys[slot] = key;
}

struct sql_build *plan_begin(struct planner *p) {
  struct sql_build *b = sql_begin(p->mem);

  b->known = &p->known;
  return b;
}

static void see_keys(struct planner *p, const struct model *m) {
  for (size_t i = 0; i < m->nlinks; i++)
    for (int side = 0; side < 2; side++) p->deferrable |= m->links[i].relation->sides[side].foreign_key.deferrable;
}

bool plan_step(struct planner *p, struct sql_build *b, const char *path, const struct nested_subject *subject,
               const char *purpose) {
  struct step step;

  if (!sql_end(b, p->k, p->owner, &step, p->e)) return false;
  step.path = path && *path ? path : NULL;
  step.subject = subject;
  step.purpose = purpose;
  if (subject && subject->removes) see_keys(p, subject->model);
  compile_step(p->k, p->plan, step);
  return true;
}

const struct nested_subject *subject_of(struct planner *p, const struct model *m, const struct key *unless) {
  struct nested_subject *s = arena_new(p->mem, struct nested_subject);

  *s = (struct nested_subject){.model = m, .unless = unless};
  return s;
}

bool value_error(struct planner *p, const char *field, const struct model *m, const char *path) {
  struct input_place at = {.mem = p->mem, .path = path};
  return place_reason(at, p->e, "The field %s of %s", field, m->name);
}

bool values_error(struct planner *p, const struct model *m, const struct key *key, const struct where_unique *const *wheres,
                  size_t n) {
  const char *path = NULL;

  for (size_t i = 0; i < n; i++) {
    if (wheres[i]->key != key) continue;
    path = wheres[i]->at.path;
    if (!sql_input(plan_begin(p), wheres[i]->values[0], key->columns[0], p->e)) break;
  }
  return value_error(p, key->name, m, path);
}

bool put_filter(struct planner *p, struct sql_build *b, const struct model *m, const char *alias, const struct expr *filter,
                bool scalars_only, const char *path) {
  sql_add(b, " and ");
  return where_put(b, m, alias, filter, scalars_only, (struct input_place){.mem = p->mem, .path = path}, p->e);
}

/* ---- keys ---- */

bool is_drawn(const struct nested_value *v) { return !v->value && v->field->source == SOURCE_SEQUENCE; }

const struct drawn *drawn_for(const struct planner *p, const struct model *m) {
  for (size_t i = 0; i < p->ndrawn; i++)
    if (p->drawn[i].model == m) return &p->drawn[i];
  return NULL;
}

/* group: rows that one statement makes, in their order. */
static size_t draw(struct planner *p, const struct model *m, const struct field *f, unsigned group, bool is_parent,
                   bool alone) {
  struct drawn *drawn = (struct drawn *)drawn_for(p, m);

  if (!drawn) {
    arena_grow(p->mem, p->drawn, p->ndrawn);
    drawn = &p->drawn[p->ndrawn++];
    *drawn = (struct drawn){.model = m, .field = f, .group = group};
  }
  drawn->ahead |= is_parent || drawn->group != group;
  drawn->alone |= alone;
  return ++drawn->n;
}

/* in_level: it is made with others of its level (nested_batch.c), whose children, or rules, find them by the keys. */
static void draw_data(struct planner *p, struct nested_data *d, unsigned group, bool in_level) {
  for (size_t i = 0; d && i < d->nvalues; i++)
    if (is_drawn(&d->values[i]))
      d->draw = draw(p, d->model, d->values[i].field, group, in_level && (d->nops || rules_keep_result(d)), !in_level);
  for (size_t i = 0, n; d && i < d->nops; i += n) {
    unsigned together = ++p->groups;
    bool level;

    n = in_level ? 1 : batch_length(p, d, i);
    level = in_level || is_batch(p, &d->ops[i], n);
    for (size_t j = i; j < i + n; j++) {
      draw_data(p, d->ops[j].update, ++p->groups, false);
      draw_data(p, d->ops[j].create, level ? together : ++p->groups, level);
    }
  }
}

/* Depth first, in the order of the input, the parent before its children: answers sorted by key are in this order. */
void draw_keys(struct planner *p, struct nested_data *d) { draw_data(p, d, ++p->groups, false); }

void put_new_key(struct sql_build *b, const struct field *f) { sql_printf(b, "(%s)::%s", f->next_sql, f->column->cast_sql); }

/* How many: in a SELECT of its own, so that PostgreSQL does not plan anew for each number. */
static void put_draw(struct planner *p, struct sql_build *b, struct drawn *drawn) {
  drawn->slot = slot_take(p);
  put_set_slot(b, drawn->slot);
  sql_printf(b,
             "(select array_agg(writ_d.n order by writ_d.o)::text from (select o, %s as n from generate_series(1, "
             "(select $%u::bigint)) as o offset 0) as writ_d), true)",
             drawn->field->next_sql, sql_param(b, arena_printf(p->mem, "%zu", drawn->n)));
}

/* What was drawn, in parts. */
static bool plan_parts(struct planner *p, struct drawn *drawn) {
  struct sql_build *b = plan_begin(p);
  size_t n = (drawn->n + DRAWN_PART - 1) / DRAWN_PART;

  if (!drawn->ahead || !drawn->alone || n <= 1) return true;
  drawn->parts = slot_take(p);
  p->last_slot += (unsigned)n - 1;
  sql_printf(
      b,
      "select pg_catalog.set_config('writ.n' || $%u::integer + i, writ_d.a[i * %d + 1:i * %d + %d]::text, true) from (select ",
      sql_param(b, arena_printf(p->mem, "%u", drawn->parts)), DRAWN_PART, DRAWN_PART, DRAWN_PART);
  sql_printf(
      b,
      "pg_catalog.current_setting($%u::text, true)::text[] as a offset 0) as writ_d, generate_series(0, $%u::integer - 1) as i",
      sql_param(b, slot_name(b->mem, drawn->slot)), sql_param(b, arena_printf(p->mem, "%zu", n)));
  return plan_step(p, b, NULL, NULL, "keys in parts");
}

bool plan_draws(struct planner *p) {
  struct sql_build *b = plan_begin(p);

  for (size_t i = 0; i < p->ndrawn; i++) {
    if (!p->drawn[i].ahead) continue;
    sql_add(b, b->nparams ? ", " : "select ");
    put_draw(p, b, &p->drawn[i]);
  }
  if (b->nparams && !plan_step(p, b, NULL, NULL, "keys")) return false;
  for (size_t i = 0; i < p->ndrawn; i++)
    if (!plan_parts(p, &p->drawn[i])) return false;
  return true;
}

/* ---- answers ---- */

struct answer_rows {
  const struct model *model;
  unsigned slot;
  const struct known *known;
};

static bool put_answer_rows(struct sql_build *b, const char *alias, const void *data, struct err *e) {
  const struct answer_rows *a = data;

  (void)e;
  b->known = a->known;
  put_one_row(b, alias, a->model->key, a->slot);
  return true;
}

static bool make_answer(struct planner *p, const struct nested_root *root, const struct str *key, unsigned slot,
                        struct step *step) {
  struct input_place at = {.mem = p->mem, .path = "/select"};
  const struct selection *s = select_read(p->mem, root->model, node_argument(p->node, "select"), at, p->e);
  struct answer_rows rows = {root->model, slot, &p->known};

  return s && select_step(p->k, p->node, p->owner, s, key, put_answer_rows, &rows, step, p->e);
}

/* Clients select the same again and again: a selection without arguments is found by its own bytes, without being read. Such a
 * statement has no parameters but those that make_answer gives it. */
static bool find_answer(struct planner *p, const struct str *key, unsigned slot, struct step *step) {
  const char **params = arena_array(p->mem, const char *, 2);
  struct statement statement;
  unsigned n = 0;

  if (!key || !variants_find(p->k->variants, key->p, key->len, &statement)) return false;
  if (p->node->slot) params[n++] = arena_printf(p->mem, "writ.s%u", p->node->slot);
  params[n++] = known_key(&p->known, slot) ? known_key(&p->known, slot) : slot_name(p->mem, slot);
  *step = (struct step){.statement = statement,
                        .params = params,
                        .nparams = n,
                        .gives = GIVES_TEXT,
                        .member = (unsigned)p->owner,
                        .purpose = p->node->command->name};
  return true;
}

/* The node in the slot, as it is now. */
static bool plan_answer(struct planner *p, const struct nested_root *root, unsigned slot) {
  struct str *key = select_key(p->k, p->node, node_argument(p->node, "select"));
  struct step step;

  if (key) str_char(key, known_key(&p->known, slot) ? 'k' : 's');
  if (!find_answer(p, key, slot, &step) && !make_answer(p, root, key, slot, &step)) return false;
  ((struct node *)p->node)->step = compile_step(p->k, p->plan, step);
  return true;
}

/* What a statement that ends in a count gives; the text so far is its WITH list. */
static bool plan_count(struct planner *p, struct sql_build *b, const char *count, const struct nested_subject *subject) {
  const struct command *c = p->node->command;

  sql_result_begin(b, p->node, p->k->config, NULL);
  sql_add(b, "json_build_object('count', ");
  if (c->max_affected >= 0) rules_put_limit(b, c->name, c->max_affected, count);
  else sql_add(b, count);
  sql_add(b, ")");
  sql_result_end(b);
  if (!plan_step(p, b, NULL, subject, p->node->command->name)) return false;
  ((struct node *)p->node)->step = p->plan->n - 1;
  p->plan->steps[p->plan->n - 1].gives = GIVES_TEXT;
  return true;
}

/* ---- roots ---- */

static bool root_create(struct planner *p, const struct nested_root *root) {
  unsigned slot = slot_take(p);
  return plan_create(p, root->create, (struct birth){.result = slot}) && plan_answer(p, root, slot);
}

static bool root_update(struct planner *p, const struct nested_root *root) {
  unsigned slot = slot_take(p);
  return plan_find(p, root->model, root->where, slot, 0) && plan_update(p, root->update, slot) && plan_answer(p, root, slot);
}

static bool root_upsert(struct planner *p, const struct nested_root *root) {
  unsigned slot = slot_take(p), none = slot_take(p);
  const struct key *unless = where_is_carried(root->where, root->create) ? root->where->key : NULL;

  return plan_find(p, root->model, root->where, slot, none) && plan_update(p, root->update, slot) &&
         plan_create(p, root->create, (struct birth){.guard = none, .also = slot, .unless = unless}) &&
         plan_answer(p, root, slot);
}

static bool root_delete(struct planner *p, const struct nested_root *root) {
  unsigned slot = slot_take(p);
  return plan_find(p, root->model, root->where, slot, 0) && plan_answer(p, root, slot) &&
         plan_delete(p, root->model, slot, "/where");
}

static bool root_update_many(struct planner *p, const struct nested_root *root) {
  struct sql_build *b = plan_begin(p);
  const char *alias = sql_alias(b);
  bool any = root->update->nvalues > 0;

  sql_add(b, "with writ_i as (");
  if (any) sql_printf(b, "update %s as %s", root->model->table_sql, alias);
  else sql_printf(b, "select 1 from %s as %s", root->model->table_sql, alias);
  if (any && !put_assignments(p, b, alias, root->update)) return false;
  sql_add(b, " where true");
  if (!put_filter(p, b, root->model, alias, root->filter, false, "/where")) return false;
  sql_add(b, any ? " returning 1) " : ") ");
  return plan_count(p, b, "(select count(*) from writ_i)", subject_of(p, root->model, NULL));
}

static bool plan_all(struct planner *p, const struct nested_root *root, unsigned slot) {
  struct sql_build *b = plan_begin(p);
  const char *alias = sql_alias(b);

  sql_add(b, "select ");
  put_set_slot(b, slot);
  sql_add(b, "coalesce((select array_agg(writ_u.v)::text from (select ");
  put_key(b, alias, root->model);
  sql_printf(b, " as k from %s as %s where true", root->model->table_sql, alias);
  if (!put_filter(p, b, root->model, alias, root->filter, false, "/where")) return false;
  sql_add(b, " order by ");
  sql_columns(b, alias, root->model->key->columns, root->model->key->ncolumns);
  sql_add(b, " for update) as writ_k, lateral unnest(writ_k.k) as writ_u(v)), ''), true)");
  return plan_step(p, b, NULL, NULL, arena_printf(p->mem, "find %s", root->model->plural));
}

static bool root_delete_many(struct planner *p, const struct nested_root *root) {
  struct sql_build *b = plan_begin(p);
  unsigned slot = slot_take(p), matched = slot_take(p);
  const char *count;

  /* A cascade into the model itself adds to the rows: the count is of those that matched. */
  if (!plan_all(p, root, slot)) return false;
  sql_add(b, "select ");
  put_set_slot(b, matched);
  sql_printf(b, "coalesce(cardinality(nullif(pg_catalog.current_setting($%u::text, true), '')::text[]), 0)::text, true)",
             sql_param(b, slot_name(b->mem, slot)));
  if (!plan_step(p, b, NULL, NULL, "count") || !plan_delete(p, root->model, slot, NULL)) return false;
  b = plan_begin(p);
  count = arena_printf(p->mem, "pg_catalog.current_setting($%u::text, true)::bigint / %zu",
                       sql_param(b, slot_name(b->mem, matched)), root->model->key->ncolumns);
  return plan_count(p, b, count, NULL);
}

/* ---- all ---- */

static bool (*const roots[])(struct planner *p, const struct nested_root *root) = {
    [ROOT_CREATE] = root_create, [ROOT_UPDATE] = root_update,           [ROOT_UPSERT] = root_upsert,
    [ROOT_DELETE] = root_delete, [ROOT_UPDATE_MANY] = root_update_many, [ROOT_DELETE_MANY] = root_delete_many,
};

/* Keys that wait to be looked at until COMMIT are looked at now, so that an error has its place. */
static bool plan_constraints(struct planner *p, const struct nested_root *root, const char *when) {
  struct sql_build *b = plan_begin(p);
  struct nested_subject *subject = arena_new(p->mem, struct nested_subject);

  *subject = (struct nested_subject){.model = root->model, .removes = true};
  sql_printf(b, "set constraints all %s", when);
  return plan_step(p, b, NULL, subject, "constraints");
}

static bool read_root(struct planner *p, struct nested_root *root) {
  static const int kinds[] = {[OPERATION_CREATE] = ROOT_CREATE,           [OPERATION_UPDATE] = ROOT_UPDATE,
                              [OPERATION_UPSERT] = ROOT_UPSERT,           [OPERATION_DELETE] = ROOT_DELETE,
                              [OPERATION_UPDATE_MANY] = ROOT_UPDATE_MANY, [OPERATION_DELETE_MANY] = ROOT_DELETE_MANY};
  const struct command *c = p->node->command;
  struct nested_input input = {0};

  *root = (struct nested_root){.kind = kinds[c->operation], .model = c->model};
  for (size_t i = 0; i < c->nargs; i++) {
    const struct expr *x = p->node->args[i];
    if (!x || expr_is_null(x)) continue;
    if (strcmp(c->args[i].name, "data") == 0) input.data = x;
    else if (strcmp(c->args[i].name, "where") == 0) input.where = x;
    else if (strcmp(c->args[i].name, "create") == 0) input.create = x;
    else if (strcmp(c->args[i].name, "update") == 0) input.update = x;
  }
  return nested_read(p->mem, &input, &(struct nested_writer){p->k->manifest, p->k->caller}, root, p->e);
}

static size_t steps_that_remove(const struct planner *p) {
  size_t n = 0;

  for (size_t i = 0; i < p->plan->n; i++) n += p->plan->steps[i].subject && p->plan->steps[i].subject->removes;
  return n;
}

bool nested_compile(struct compiler *k, struct command_set *set, size_t owner, struct plan *plan, struct err *e) {
  struct planner p = {.k = k, .mem = k->mem, .plan = plan, .node = set->nodes[owner], .owner = owner, .e = e};
  struct nested_root root;

  set->nodes[owner]->ends = NULL;
  if (!read_root(&p, &root) || !plan_allowed(&p, &root)) return false;
  rules_find(&p, &root);
  find_links_behind(root.update);
  find_links_behind(root.create);
  /* An earlier mutation of this transaction has ended the waiting. */
  if (steps_that_remove(&p) && !plan_constraints(&p, &root, "deferred")) return false;
  if (!plan_locks(&p, &root) || !rules_judge_ahead(&p, &root)) return false;
  draw_keys(&p, root.update);
  draw_keys(&p, root.create);
  if (!plan_draws(&p) || !roots[root.kind](&p, &root)) return false;
  return !p.deferrable || plan_constraints(&p, &root, "immediate");
}
