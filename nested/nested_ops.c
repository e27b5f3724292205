/* What is done to the children of a row: one function an operation. The checks and their order: docs/nested.md. */
#include "nested/nested_inside.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"

#include <string.h>

/* An operation on the children of the row in a slot. */
struct act {
  const struct nested_op *op;
  struct link link;
  unsigned parent;
  bool in_create; /* the parent was just made: it has no links of its own yet */
  bool alone;     /* nothing else can have made the link by then */
};

static const struct model *child_model(const struct act *a) { return link_there(a->link)->model; }

/* ---- texts ---- */

const char *text_3039(struct planner *p, const struct model *m, const struct where_unique *where) {
  return arena_printf(p->mem, "No node of %s was found for %s.", m->name, where->given);
}

const char *text_3042(struct planner *p, const struct relation *r) {
  const char *a = r->sides[0].model->name, *b = r->sides[1].model->name;
  bool sorted = strcmp(a, b) <= 0;

  return arena_printf(p->mem, "This would break the required relation %s between %s and %s.", r->name, sorted ? a : b,
                      sorted ? b : a);
}

static const char *text_3041(struct planner *p, const struct act *a) {
  const char *parent = link_here(a->link)->model->name, *child = child_model(a)->name;

  if (!a->op->nwheres)
    return arena_printf(p->mem, "The relation %s has no node of %s connected to this node of %s.", a->link.relation->name,
                        child, parent);
  return arena_printf(p->mem, "The relation %s does not connect this node of %s to the node of %s for %s.",
                      a->link.relation->name, parent, child, a->op->wheres->given);
}

static const char *purpose(struct planner *p, const struct act *a, const char *what) {
  return arena_printf(p->mem, "%s.%s: %s", link_here(a->link)->model->name, a->op->field->name, what);
}

/* ---- finding the child ---- */

/* Text of type text over the one row that is sought: the alias's. */
typedef void put_found(struct planner *p, struct sql_build *b, const struct act *a, const char *alias);

static void put_key_text(struct sql_build *b, const char *alias, const struct model *m) {
  put_key(b, alias, m);
  sql_add(b, "::text");
}

static bool put_condition(struct planner *p, struct sql_build *b, const struct act *a, const char *alias,
                          const struct where_unique *where) {
  if (!where) {
    put_linked(b, a->link, (struct rows){.slot = a->parent}, alias);
    return true;
  }
  return where_unique_put(b, where, alias, p->e);
}

/* (select <found> from C where ...): NULL when there is none. */
static bool put_child(struct planner *p, struct sql_build *b, const struct act *a, const struct where_unique *where,
                      put_found *found) {
  const char *alias = sql_alias(b);

  sql_add(b, "(select ");
  found(p, b, a, alias);
  sql_printf(b, " from %s as %s where ", child_model(a)->table_sql, alias);
  if (!put_condition(p, b, a, alias, where)) return false;
  sql_add(b, ")");
  return true;
}

static void found_any(struct planner *p, struct sql_build *b, const struct act *a, const char *alias) {
  (void)p;
  put_key_text(b, alias, child_model(a));
}

static void found_mine(struct planner *p, struct sql_build *b, const struct act *a, const char *alias) {
  sql_add(b, "case when ");
  put_linked(b, a->link, (struct rows){.slot = a->parent}, alias);
  sql_add(b, " then ");
  put_key_text(b, alias, child_model(a));
  sql_add(b, " else ");
  put_fail(b, 3041, text_3041(p, a));
  sql_add(b, " end");
}

/* When a connect is refused (docs/nested.md, "Links that are there already"). */
enum refused { NEVER, ALWAYS, CHILD_HAS_PARENT, PARENT_HAS_CHILD };

static enum refused connect_refused(const struct act *a) {
  const struct relation_side *here = link_here(a->link), *there = link_there(a->link);

  if (here->required && there->required) return ALWAYS;
  if (here->required && !there->list) return CHILD_HAS_PARENT;
  return !here->list && there->required && !a->in_create ? PARENT_HAS_CHILD : NEVER;
}

static void put_refused(struct planner *p, struct sql_build *b, const struct act *a, const char *alias) {
  enum refused refused = connect_refused(a);

  sql_add(b, " when ");
  if (refused == CHILD_HAS_PARENT) put_has_parent(b, a->link, alias);
  else if (refused == PARENT_HAS_CHILD) put_has_child(b, a->link, (struct rows){.slot = a->parent});
  else sql_add(b, refused == ALWAYS ? "true" : "false");
  sql_add(b, " then ");
  put_fail(b, 3042, text_3042(p, a->link.relation));
}

/* '' when it is the parent's already. */
static void found_to_connect(struct planner *p, struct sql_build *b, const struct act *a, const char *alias) {
  bool asks = a->parent || connect_refused(a) != NEVER;

  if (asks) sql_add(b, "case");
  if (a->parent) {
    sql_add(b, " when ");
    put_linked(b, a->link, (struct rows){.slot = a->parent}, alias);
    sql_add(b, " then ''");
  }
  if (connect_refused(a) != NEVER) put_refused(p, b, a, alias);
  if (asks) sql_add(b, " else ");
  put_key_text(b, alias, child_model(a));
  if (asks) sql_add(b, " end");
}

static void put_case(struct sql_build *b, unsigned guard) {
  if (!guard) return;
  sql_add(b, "case when ");
  put_filled(b, guard);
  sql_add(b, " then ");
}

static void put_case_end(struct sql_build *b, unsigned guard) {
  if (guard) sql_add(b, " else '' end");
}

/* The child of a where (NULL: the one child of a to-one) into the slot; where there is none, that is an error. */
static bool plan_child(struct planner *p, const struct act *a, const struct where_unique *where, put_found *found,
                       unsigned guard, unsigned slot) {
  struct sql_build *b = plan_begin(p);

  sql_add(b, "select ");
  put_set_slot(b, slot);
  put_case(b, guard);
  sql_add(b, "coalesce(");
  if (!put_child(p, b, a, where, found)) return false;
  sql_add(b, ", ");
  if (where) put_fail(b, 3039, text_3039(p, child_model(a), where));
  else put_fail(b, 3041, text_3041(p, a));
  sql_add(b, ")");
  put_case_end(b, guard);
  sql_add(b, ", true)");
  return plan_step(p, b, where ? where->at.path : a->op->path, NULL, purpose(p, a, "find"));
}

/* The same where it is no error: then none is filled, with the parent's key where there is a parent. */
static bool plan_perhaps(struct planner *p, const struct act *a, const struct where_unique *where, put_found *found,
                         unsigned guard, unsigned slot, unsigned none) {
  struct sql_build *b = plan_begin(p);

  sql_add(b, "select ");
  put_set_slot(b, slot);
  sql_add(b, "coalesce(nullif(k, 'none'), ''), true), ");
  put_set_slot(b, none);
  sql_add(b, "case when k = 'none' then ");
  if (a->parent) put_held(b, a->parent);
  else sql_add(b, "'{}'");
  sql_add(b, " else '' end, true) from (select ");
  put_case(b, guard);
  sql_add(b, "coalesce(");
  if (!put_child(p, b, a, where, found)) return false;
  sql_add(b, ", 'none')");
  put_case_end(b, guard);
  sql_add(b, " as k offset 0) as writ_k");
  return plan_step(p, b, where ? where->at.path : a->op->path, NULL, purpose(p, a, "look for it"));
}

bool plan_find(struct planner *p, const struct model *m, const struct where_unique *where, unsigned slot, unsigned none) {
  struct sql_build *b = plan_begin(p);
  const char *alias = sql_alias(b);

  sql_add(b, "select ");
  put_set_slot(b, slot);
  sql_add(b, none ? "coalesce(k, ''), true), " : "k, true)");
  if (none) {
    put_set_slot(b, none);
    sql_add(b, "case when k is null then '{}' else '' end, true)");
  }
  sql_add(b, " from (select coalesce((select ");
  put_key_text(b, alias, m);
  sql_printf(b, " from %s as %s where ", m->table_sql, alias);
  if (!where_unique_put(b, where, alias, p->e)) return false;
  if (p->lock_root) sql_add(b, p->lock_root);
  sql_add(b, "), ");
  if (none) sql_add(b, "null");
  else put_fail(b, 3039, text_3039(p, m, where));
  sql_add(b, ") as k offset 0) as writ_k");
  return plan_step(p, b, where->at.path, NULL, arena_printf(p->mem, "find %s", m->name));
}

/* ---- checks and links ---- */

/* Refuses where the parent's slot is filled and the condition (NULL: always) is true. */
static bool plan_refuse(struct planner *p, const struct act *a, bool if_child) {
  struct sql_build *b = plan_begin(p);

  sql_add(b, "select case when ");
  put_filled(b, a->parent);
  if (if_child) {
    sql_add(b, " and ");
    put_has_child(b, a->link, (struct rows){.slot = a->parent});
  }
  sql_add(b, " then ");
  put_fail(b, 3042, text_3042(p, a->link.relation));
  sql_add(b, " end");
  return plan_step(p, b, a->op->path, NULL, purpose(p, a, "required relation"));
}

static struct link reverse(struct link l) { return (struct link){l.relation, !l.side}; }

/* Rows that hold a link which is about to be broken: all of the slot's, or those at the other end. */
static bool plan_holders(struct planner *p, struct link l, unsigned at, unsigned guard, const char *path, unsigned slot) {
  struct sql_build *b = plan_begin(p);
  const struct model *m = link_there(l)->model;
  const char *alias = sql_alias(b);

  sql_add(b, "select ");
  put_set_slot(b, slot);
  put_case(b, guard);
  sql_printf(b, "coalesce((select array_agg(writ_u.v)::text from (select ");
  put_key(b, alias, m);
  sql_printf(b, " as k from %s as %s where ", m->table_sql, alias);
  put_linked(b, l, (struct rows){.slot = at}, alias);
  sql_add(b, " for no key update) as writ_k, lateral unnest(writ_k.k) as writ_u(v)), '')");
  put_case_end(b, guard);
  sql_add(b, ", true)");
  return plan_step(p, b, path, NULL, arena_printf(p->mem, "find %s", m->plural));
}

/* A statement that breaks links which rows of another model hold (link_there), with the rules of these. at: the rows at this
 * end. */
static bool plan_break(struct planner *p, const struct act *a, struct link l, unsigned at, unsigned guard,
                       struct sql_build *b, const char *what) {
  unsigned top = p->last_slot, rows;
  struct part *part = NULL;
  bool ruled = link_is_there(l) && rules_has_links(p, link_there(l)->model);

  rows = ruled ? slot_take(p) : 0;
  if (ruled &&
      (!plan_holders(p, l, at, guard, a->op->path, rows) || !rules_link(p, reverse(l), rows, 0, a->op->path, &part)))
    return false;
  if (!plan_step(p, b, a->op->path, subject_of(p, child_model(a), NULL), purpose(p, a, what))) return false;
  if (ruled && !rules_linked(p, reverse(l), rows, 0, part)) return false;
  slot_give_back(p, top);
  return true;
}

static bool plan_unlink_parent(struct planner *p, const struct act *a, unsigned guard) {
  struct sql_build *b = plan_begin(p);

  if (guard == a->parent) guard = 0;
  return !put_unlink_parents(b, a->link, a->parent, guard) ||
         plan_break(p, a, a->link, a->parent, guard, b, "unlink the old child");
}

static bool plan_link(struct planner *p, const struct act *a, unsigned child) {
  struct sql_build *b = plan_begin(p);

  put_link(b, a->link, a->parent, child);
  return plan_step(p, b, a->op->path, subject_of(p, child_model(a), NULL), purpose(p, a, "link"));
}

/* The same to a child that was there: where it holds the link, that is an update of it. */
static bool plan_link_there(struct planner *p, const struct act *a, unsigned child) {
  struct part *part = NULL;

  if (!link_is_there(a->link)) return plan_link(p, a, child);
  return rules_link(p, reverse(a->link), child, a->parent, a->op->path, &part) && plan_link(p, a, child) &&
         rules_linked(p, reverse(a->link), child, a->parent, part);
}

/* A child that goes away from another parent; a link in the child itself is overwritten. */
static bool plan_leave(struct planner *p, const struct act *a, unsigned child) {
  struct sql_build *b = plan_begin(p);

  if (link_there(a->link)->list || link_is_there(a->link)) return true;
  return !put_unlink_children(b, a->link, child, 0) ||
         plan_break(p, a, reverse(a->link), child, 0, b, "leave the old parent");
}

/* Links the row in the child's slot, which is empty when nothing is to be done. */
static bool plan_attach(struct planner *p, const struct act *a, unsigned child) {
  bool replaces = !link_here(a->link)->list && !a->in_create && !link_is_here(a->link) && !link_there(a->link)->required;

  return (!replaces || plan_unlink_parent(p, a, child)) && plan_leave(p, a, child) && plan_link_there(p, a, child);
}

/* Of an upsert or connectOrCreate: that its row is there by now is a lost race, if the row would be found by its
 * where. */
static const struct key *unless_of(const struct nested_op *op) {
  return op->nwheres && where_is_carried(op->wheres, op->create) ? op->wheres->key : NULL;
}

/* ---- operations ---- */

/* Ahead of a create in an update (section 5.1): what becomes of the old child of a to-one. */
static bool plan_make_room(struct planner *p, const struct act *a) {
  const struct relation_side *here = link_here(a->link), *there = link_there(a->link);

  if (a->in_create || here->list) return true;
  if (there->required) return plan_refuse(p, a, !here->required);
  return link_is_here(a->link) || plan_unlink_parent(p, a, a->parent);
}

/* unless: of an upsert or connectOrCreate, the key that its where names. */
static bool plan_create_child(struct planner *p, const struct act *a, const struct nested_data *d,
                              const struct key *unless) {
  unsigned top = p->last_slot;
  struct birth birth = {.guard = a->parent, .parent = a->parent, .link = a->link, .unless = unless};

  if (!plan_make_room(p, a)) return false;
  if (!link_is_there(a->link)) birth.result = slot_take(p);
  if (!plan_create(p, d, birth)) return false;
  slot_give_back(p, top);
  return true;
}

static bool plan_connect_one(struct planner *p, const struct act *a, const struct where_unique *where) {
  unsigned top = p->last_slot, child = slot_take(p);

  if (!plan_child(p, a, where, found_to_connect, a->parent, child) || !plan_attach(p, a, child)) return false;
  slot_give_back(p, top);
  return true;
}

/* Of a list: its children may have any parent before, so nothing is refused. */
static bool plan_connect_all(struct planner *p, const struct act *a, const struct where_unique *const *wheres, size_t n) {
  unsigned top = p->last_slot, children = slot_take(p);

  if (!can_find_all(wheres, n) || !link_here(a->link)->list) {
    slot_give_back(p, top);
    for (size_t i = 0; i < n; i++)
      if (!plan_connect_one(p, a, wheres[i])) return false;
    return true;
  }
  if (!plan_find_all(p, a->link, wheres, n, a->parent, children) || !plan_attach(p, a, children)) return false;
  slot_give_back(p, top);
  return true;
}

static bool plan_connects(struct planner *p, const struct act *a, const struct nested_op *ops, size_t n) {
  const struct where_unique **wheres = arena_array(p->mem, const struct where_unique *, n);
  struct nested_op list = *ops;
  struct act all = *a;

  for (size_t i = 0; i < n; i++) wheres[i] = ops[i].wheres;
  if (a->in_create && connects_newborn(true, ops)) return plan_connect_newborn(p, a->link, wheres, n, a->parent, a->alone);
  if (n == 1) return plan_connect_all(p, a, wheres, n);
  list.path = arena_strndup(p->mem, ops->path, (size_t)(strrchr(ops->path, '/') - ops->path)); /* it is all of them */
  all.op = &list;
  return plan_connect_all(p, &all, wheres, n);
}

static bool op_create(struct planner *p, const struct act *a) { return plan_create_child(p, a, a->op->create, NULL); }
static bool op_connect(struct planner *p, const struct act *a) { return plan_connects(p, a, a->op, 1); }

/* Of a row that was named by a reference, or found in a create: its children could not be locked ahead. */
static bool plan_lock_own(struct planner *p, const struct act *a) {
  return a->op->locked || plan_lock_children(p, a->link, a->parent, a->op->path);
}

/* The child by its where, which must be this parent's, or the one child. */
static bool plan_own_child(struct planner *p, const struct act *a, unsigned slot) {
  if (!a->op->nwheres) return plan_lock_own(p, a) && plan_child(p, a, NULL, found_any, a->parent, slot);
  return plan_child(p, a, a->op->wheres, found_mine, a->parent, slot);
}

static bool op_update(struct planner *p, const struct act *a) {
  unsigned child = slot_take(p);
  return plan_own_child(p, a, child) && plan_update(p, a->op->update, child);
}

static bool op_delete(struct planner *p, const struct act *a) {
  unsigned child = slot_take(p);
  return plan_own_child(p, a, child) && rules_judge_row(p, a->op->part, child) && rules_keep(p, a->op->part, child) &&
         plan_delete(p, child_model(a), child, a->op->path);
}

/* 'none' also for a row that is another parent's: it is not touched. */
static void found_mine_or_none(struct planner *p, struct sql_build *b, const struct act *a, const char *alias) {
  (void)p;
  sql_add(b, "case when ");
  put_linked(b, a->link, (struct rows){.slot = a->parent}, alias);
  sql_add(b, " then ");
  put_key_text(b, alias, child_model(a));
  sql_add(b, " end");
}

/* In an update: only what is this parent's already is updated. */
static bool op_upsert_own(struct planner *p, const struct act *a) {
  unsigned child = slot_take(p), none = slot_take(p);
  const struct where_unique *where = a->op->nwheres ? a->op->wheres : NULL;
  struct act create = *a;

  create.parent = none;
  return (where || plan_lock_own(p, a)) && rules_judge(p, a->op->part, a->parent) &&
         plan_perhaps(p, a, where, where ? found_mine_or_none : found_any, a->parent, child, none) &&
         plan_update(p, a->op->update, child) && plan_create_child(p, &create, a->op->create, unless_of(a->op));
}

/* The row in a slot, which has been updated since, into the other: what is nested below it may have given it a parent, or have
 * deleted it. */
static bool plan_look_again(struct planner *p, const struct act *a, unsigned found, unsigned slot) {
  struct sql_build *b = plan_begin(p);
  const struct model *m = child_model(a);
  const char *alias = sql_alias(b);

  sql_add(b, "select ");
  put_set_slot(b, slot);
  put_case(b, found);
  sql_add(b, "coalesce((select ");
  found_to_connect(p, b, a, alias);
  sql_printf(b, " from %s as %s where ", m->table_sql, alias);
  put_among(b, alias, m->key->columns, m->key->ncolumns, (struct rows){.slot = found});
  sql_add(b, "), ");
  put_fail(b, 3039, text_3039(p, m, a->op->wheres));
  sql_add(b, ")");
  put_case_end(b, found);
  sql_add(b, ", true)");
  return plan_step(p, b, a->op->path, NULL, purpose(p, a, "find"));
}

/* In a create: found anywhere, it is updated and connected. */
static bool op_upsert_any(struct planner *p, const struct act *a) {
  unsigned child = slot_take(p), none = slot_take(p), found = slot_take(p);
  struct act create = *a;

  create.parent = none;
  return rules_judge(p, a->op->part, a->parent) && plan_perhaps(p, a, a->op->wheres, found_any, a->parent, found, none) &&
         plan_update(p, a->op->update, found) && plan_look_again(p, a, found, child) && plan_attach(p, a, child) &&
         plan_create_child(p, &create, a->op->create, unless_of(a->op));
}

static bool op_upsert(struct planner *p, const struct act *a) {
  return a->in_create ? op_upsert_any(p, a) : op_upsert_own(p, a);
}

static bool op_connect_or_create(struct planner *p, const struct act *a) {
  unsigned child = slot_take(p), none = slot_take(p);
  struct act create = *a;

  create.parent = none;
  return plan_perhaps(p, a, a->op->wheres, found_to_connect, a->parent, child, none) && plan_attach(p, a, child) &&
         plan_create_child(p, &create, a->op->create, unless_of(a->op));
}

static bool plan_unlink_own(struct planner *p, const struct act *a, unsigned child) {
  struct sql_build *b = plan_begin(p);
  bool theirs = link_is_there(a->link);
  struct part *part = NULL;

  if (!put_unlink_pair(b, a->link, a->parent, child)) return true;
  return (!theirs || rules_link(p, reverse(a->link), child, 0, a->op->path, &part)) &&
         plan_step(p, b, a->op->path, subject_of(p, child_model(a), NULL), purpose(p, a, "unlink")) &&
         (!theirs || rules_linked(p, reverse(a->link), child, 0, part));
}

static bool op_disconnect(struct planner *p, const struct act *a) {
  unsigned child = slot_take(p);

  if (link_there(a->link)->required) return plan_refuse(p, a, false);
  return plan_own_child(p, a, child) && plan_unlink_own(p, a, child);
}

/* ---- set ---- */

static bool seen_before(const struct nested_op *op, size_t i) {
  for (size_t j = 0; j < i; j++)
    if (op->wheres[j].key == op->wheres[i].key) return true;
  return false;
}

static bool all_literal(const struct nested_op *op, const struct key *key) {
  for (size_t i = 0; i < op->nwheres; i++)
    if (op->wheres[i].key == key && (op->wheres[i].values[0]->kind != EXPR_LITERAL || op->wheres[i].values[0]->was_result))
      return false;
  return true;
}

/* The values of all wheres with this key of one column: one parameter where that can be. */
static const struct expr *values_of(struct planner *p, const struct nested_op *op, const struct key *key) {
  struct expr *x = arena_new(p->mem, struct expr);
  struct json *list = arena_new(p->mem, struct json), *texts = arena_array(p->mem, struct json, op->nwheres);
  struct expr *items = arena_array(p->mem, struct expr, op->nwheres);
  size_t n = 0;

  for (size_t i = 0; i < op->nwheres; i++) {
    if (op->wheres[i].key != key) continue;
    items[n] = *op->wheres[i].values[0];
    if (items[n].kind == EXPR_LITERAL) texts[n] = *items[n].literal;
    n++;
  }
  *list = (struct json){.kind = JSON_ARRAY, .len = n, .items = texts};
  if (all_literal(op, key)) *x = (struct expr){.kind = EXPR_LITERAL, .literal = list};
  else *x = (struct expr){.kind = EXPR_ARRAY, .items = items, .n = n};
  return x;
}

static bool wrong_name(struct planner *p, const struct act *a, const struct key *key) {
  const struct where_unique **wheres = arena_array(p->mem, const struct where_unique *, a->op->nwheres);

  for (size_t i = 0; i < a->op->nwheres; i++) wheres[i] = &a->op->wheres[i];
  return values_error(p, child_model(a), key, wheres, a->op->nwheres);
}

/* Is the alias's row one of those that set names? */
static bool put_named(struct planner *p, struct sql_build *b, const struct act *a, const char *alias) {
  const struct nested_op *op = a->op;

  sql_add(b, "((false");
  for (size_t i = 0; i < op->nwheres; i++) {
    const struct key *key = op->wheres[i].key;

    if (key->ncolumns == 1 && seen_before(op, i)) continue;
    sql_add(b, " or ");
    if (key->ncolumns > 1) {
      if (!where_unique_put(b, &op->wheres[i], alias, p->e)) return false;
      continue;
    }
    sql_printf(b, "%s.%s = any (", alias, key->columns[0]->sql);
    if (!sql_input_list(b, values_of(p, op, key), key->columns[0], p->e)) return wrong_name(p, a, key);
    sql_add(b, ")");
  }
  sql_add(b, ") is true)");
  return true;
}

/* exists (a child of the parent's that is not named) */
static bool plan_check_named(struct planner *p, const struct act *a) {
  struct sql_build *b = plan_begin(p);
  const char *alias = sql_alias(b);

  sql_printf(b, "select case when exists (select from %s as %s where ", child_model(a)->table_sql, alias);
  put_linked(b, a->link, (struct rows){.slot = a->parent}, alias);
  sql_add(b, " and not ");
  if (!put_named(p, b, a, alias)) return false;
  sql_add(b, ") then ");
  put_fail(b, 3042, text_3042(p, a->link.relation));
  sql_add(b, " end");
  return plan_step(p, b, a->op->path, NULL, purpose(p, a, "required relation"));
}

/* Those that are not named, into a slot: they are unlinked by pairs. */
static bool plan_unnamed(struct planner *p, const struct act *a, unsigned slot) {
  struct sql_build *b = plan_begin(p);
  const char *alias = sql_alias(b);

  sql_add(b, "select ");
  put_set_slot(b, slot);
  sql_add(b, "coalesce((select array_agg(writ_u.v)::text from ");
  sql_printf(b, "%s as %s, lateral unnest(", child_model(a)->table_sql, alias);
  put_key(b, alias, child_model(a));
  sql_add(b, ") as writ_u(v) where ");
  put_linked(b, a->link, (struct rows){.slot = a->parent}, alias);
  sql_add(b, " and not ");
  if (!put_named(p, b, a, alias)) return false;
  sql_add(b, "), ''), true)");
  return plan_step(p, b, a->op->path, NULL, purpose(p, a, "those not named"));
}

static bool op_set(struct planner *p, const struct act *a) {
  const struct where_unique **wheres = arena_array(p->mem, const struct where_unique *, a->op->nwheres + 1);
  unsigned unnamed = slot_take(p);

  for (size_t i = 0; i < a->op->nwheres; i++) wheres[i] = &a->op->wheres[i];
  if (!plan_connect_all(p, a, wheres, a->op->nwheres)) return false;
  if (link_there(a->link)->required) return plan_check_named(p, a);
  return plan_unnamed(p, a, unnamed) && plan_unlink_own(p, a, unnamed);
}

/* ---- many ---- */

/* How many there were, within the limit, and for the rules: over a writ_c with its n. */
static void put_many(struct planner *p, struct sql_build *b, const struct act *a) {
  const struct model *m = child_model(a);
  const char *name = a->op->kind == NESTED_UPDATE_MANY ? m->mutation.update_many : m->mutation.delete_many;
  long most = rules_most(p, a->op);

  if (most < 0) sql_add(b, "writ_c.n");
  else rules_put_limit(b, name, most, "writ_c.n");
  rules_put_count(p, b, a->op, "writ_c.n");
}

static bool counts(const struct planner *p, const struct act *a) { return a->op->part || rules_most(p, a->op) >= 0; }

static bool op_update_many(struct planner *p, const struct act *a) {
  struct sql_build *b = plan_begin(p);
  const char *alias = sql_alias(b);
  bool any = a->op->update->nvalues > 0;

  if (!rules_judge(p, a->op->part, a->parent)) return false;
  if (counts(p, a)) sql_add(b, "with writ_i as (");
  sql_printf(b, any ? "update %s as %s" : "select 1 from %s as %s", child_model(a)->table_sql, alias);
  if (any && !put_assignments(p, b, alias, a->op->update)) return false;
  sql_add(b, " where ");
  put_linked(b, a->link, (struct rows){.slot = a->parent}, alias);
  if (!put_filter(p, b, child_model(a), alias, a->op->filter, true, arena_printf(p->mem, "%s/where", a->op->path)))
    return false;
  if (!any && !counts(p, a)) return true; /* the filter has been looked at */
  if (counts(p, a)) {
    sql_add(b, any ? " returning 1) select " : ") select ");
    put_many(p, b, a);
    sql_add(b, " from (select count(*) as n from writ_i offset 0) as writ_c");
    put_if_filled(b, " where ", a->parent);
  }
  return plan_step(p, b, a->op->path, subject_of(p, child_model(a), NULL), purpose(p, a, "update many"));
}

static bool plan_counted(struct planner *p, const struct act *a, unsigned children) {
  struct sql_build *b = plan_begin(p);

  if (!counts(p, a)) return true;
  sql_add(b, "select ");
  put_many(p, b, a);
  sql_printf(
      b,
      " from (select coalesce(cardinality(nullif(pg_catalog.current_setting($%u::text, true), '')::text[]), 0) / %zu as n "
      "offset 0) as writ_c",
      sql_param(b, slot_name(b->mem, children)), child_model(a)->key->ncolumns);
  put_if_filled(b, " where ", a->parent);
  return plan_step(p, b, a->op->path, NULL, purpose(p, a, "count"));
}

static bool op_delete_many(struct planner *p, const struct act *a) {
  struct sql_build *b = plan_begin(p);
  const char *alias = sql_alias(b);
  unsigned children = slot_take(p);

  if (!rules_judge(p, a->op->part, a->parent)) return false;
  sql_add(b, "select ");
  put_set_slot(b, children);
  sql_printf(b, "coalesce((select array_agg(writ_u.v)::text from %s as %s, lateral unnest(", child_model(a)->table_sql,
             alias);
  put_key(b, alias, child_model(a));
  sql_add(b, ") as writ_u(v) where ");
  put_linked(b, a->link, (struct rows){.slot = a->parent}, alias);
  if (!put_filter(p, b, child_model(a), alias, a->op->filter, true, a->op->path)) return false;
  sql_add(b, "), ''), true)");
  return plan_step(p, b, a->op->path, NULL, purpose(p, a, "find many")) && plan_counted(p, a, children) &&
         plan_delete(p, child_model(a), children, a->op->path);
}

/* ---- all of a node's ---- */

typedef bool run_op(struct planner *p, const struct act *a);

static run_op *const runs[] = {
    [NESTED_CREATE] = op_create,
    [NESTED_UPDATE] = op_update,
    [NESTED_UPSERT] = op_upsert,
    [NESTED_DELETE] = op_delete,
    [NESTED_CONNECT] = op_connect,
    [NESTED_CONNECT_OR_CREATE] = op_connect_or_create,
    [NESTED_SET] = op_set,
    [NESTED_DISCONNECT] = op_disconnect,
    [NESTED_UPDATE_MANY] = op_update_many,
    [NESTED_DELETE_MANY] = op_delete_many,
};

bool op_comes_before(const struct nested_data *d, const struct nested_op *op) {
  return d->create && field_holds_link(op->field) && !op->behind;
}

static bool plan_group(struct planner *p, const struct act *a, size_t n) {
  if (is_batch(p, a->op, n)) return plan_batch(p, a->op, n, a->parent);
  return n > 1 ? plan_connects(p, a, a->op, n) : runs[a->op->kind](p, a);
}

static bool nests(const struct nested_op *op) {
  return (op->create && op->create->nops) || (op->update && op->update->nops);
}

/* Other operations of the row may be of the same relation (in one of a type with itself, from its other end too), what is
 * nested below those that have run may lead back to the row, and a trigger may have linked it. */
static bool is_alone(const struct nested_data *d, const struct nested_op *op) {
  if (d->model->insert_trigger) return false;
  for (size_t i = 0; i < d->nops; i++)
    if (&d->ops[i] != op && (d->ops[i].field->relation == op->field->relation || (&d->ops[i] < op && nests(&d->ops[i]))))
      return false;
  return true;
}

bool plan_ops(struct planner *p, const struct nested_data *d, unsigned parent) {
  for (size_t i = 0, n; i < d->nops; i += n) {
    struct act a = {.op = &d->ops[i],
                    .link = link_of(d->ops[i].field),
                    .parent = parent,
                    .in_create = d->create,
                    .alone = is_alone(d, &d->ops[i])};
    unsigned top = p->last_slot;

    n = batch_length(p, d, i);
    if (op_comes_before(d, a.op)) continue;
    if (!plan_group(p, &a, n)) return false;
    slot_give_back(p, top);
  }
  return true;
}

/* ---- ahead of the parent ---- */

bool plan_op_before(struct planner *p, const struct nested_op *op, unsigned guard, unsigned result) {
  struct act a = {.op = op, .link = link_of(op->field), .in_create = true};
  unsigned top = p->last_slot, none;
  bool ok;

  if (op->kind == NESTED_CREATE) return plan_create(p, op->create, (struct birth){.guard = guard, .result = result});
  if (op->kind == NESTED_CONNECT)
    return plan_child(p, &a, op->wheres, found_to_connect, guard, result) && plan_leave(p, &a, result);
  none = slot_take(p);
  ok = rules_judge(p, op->part, guard) && plan_perhaps(p, &a, op->wheres, found_to_connect, guard, result, none) &&
       (op->kind != NESTED_UPSERT || plan_update(p, op->update, result)) && plan_leave(p, &a, result) &&
       plan_create(p, op->create, (struct birth){.guard = none, .also = result, .unless = unless_of(op)});
  slot_give_back(p, top);
  return ok;
}
