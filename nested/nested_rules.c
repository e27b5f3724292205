/* Rules of models for what is nested: permission queries before and after, and what after-hooks are told. A nested operation
 * obeys those of the command that it would be; of an upsert, those of the branch that is taken as well.
 *
 * What all operations of one command have in common is judged by one statement over a list of them. What depends on the input
 * alone comes ahead of the first write; what depends on the branch that is taken, or on a row that only the server knows,
 * comes where that is known, behind the row's lock and ahead of its write. */
#include "nested/nested_rules.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"
#include "commands/caller.h"
#include "compile/param.h"

#include <string.h>

/* ---- who has rules ---- */

static size_t first_permission(const struct command *c) { return c->nbefore && c->before[0]->kind == COMMAND_VERSION; }
static bool is_judged_before(const struct command *c) { return c->nbefore > first_permission(c); }
bool part_is_kept(const struct command *c) { return c->nafter || c->nafter_hooks; }

static struct part *part_of(struct planner *p, const char *name, struct part given) {
  const struct command *c = name && p->k->manifest ? manifest_command(p->k->manifest, name) : NULL;
  struct part *part;

  if (!c || (!is_judged_before(c) && !part_is_kept(c))) return NULL;
  part = arena_new(p->mem, struct part);
  *part = given;
  part->command = c;
  return part;
}

static const struct expr *member(struct planner *p, const struct expr *x, const char *name) {
  return x ? expr_member(p->mem, x, name) : NULL;
}

static void find_in(struct planner *p, struct nested_data *d);

static void find_op(struct planner *p, struct nested_op *op) {
  const struct model *m = field_there(op->field)->model;
  const struct expr *x = op->input, *where = member(p, x, "where");

  switch (op->kind) {
  case NESTED_CREATE: op->create->part = part_of(p, m->mutation.create, (struct part){.data = x, .path = op->path}); break;
  case NESTED_CONNECT_OR_CREATE:
    op->create->part = part_of(p, m->mutation.create, (struct part){.data = member(p, x, "create"), .path = op->path});
    break;
  case NESTED_UPDATE:
    op->update->part =
        part_of(p, m->mutation.update,
                (struct part){
                    .where = op->nwheres ? where : NULL, .data = op->nwheres ? member(p, x, "data") : x, .path = op->path});
    break;
  case NESTED_UPSERT:
    if (!op->nwheres) where = NULL;
    op->part = part_of(
        p, m->mutation.upsert,
        (struct part){.where = where, .create = member(p, x, "create"), .update = member(p, x, "update"), .path = op->path});
    op->update->part =
        part_of(p, m->mutation.update, (struct part){.where = where, .data = member(p, x, "update"), .path = op->path});
    op->create->part = part_of(p, m->mutation.create, (struct part){.data = member(p, x, "create"), .path = op->path});
    op->update->also = op->create->also = op->part;
    break;
  case NESTED_DELETE:
    op->part = part_of(p, m->mutation.delete, (struct part){.where = op->nwheres ? x : NULL, .path = op->path});
    break;
  case NESTED_UPDATE_MANY:
    op->part =
        part_of(p, m->mutation.update_many, (struct part){.where = where, .data = member(p, x, "data"), .path = op->path});
    break;
  case NESTED_DELETE_MANY:
    op->part = part_of(p, m->mutation.delete_many, (struct part){.where = x, .path = op->path});
    break;
  default: break;
  }
  find_in(p, op->update);
  find_in(p, op->create);
}

static void find_in(struct planner *p, struct nested_data *d) {
  for (size_t i = 0; d && i < d->nops; i++) find_op(p, &d->ops[i]);
}

void rules_find(struct planner *p, struct nested_root *root) {
  const struct expr *where = node_argument(p->node, "where");

  if (root->kind == ROOT_UPSERT) {
    root->update->part = part_of(p, root->model->mutation.update,
                                 (struct part){.where = where, .data = node_argument(p->node, "update"), .path = "/update"});
    root->create->part =
        part_of(p, root->model->mutation.create, (struct part){.data = node_argument(p->node, "create"), .path = "/create"});
  }
  find_in(p, root->update);
  find_in(p, root->create);
}

/* ---- what a permission sees ---- */

static struct expr argument_of(const struct part *part, const char *name) {
  static const struct expr none = {.kind = EXPR_LITERAL, .literal = &json_null};
  const struct expr *x = strcmp(name, "where") == 0    ? part->where
                         : strcmp(name, "data") == 0   ? part->data
                         : strcmp(name, "create") == 0 ? part->create
                         : strcmp(name, "update") == 0 ? part->update
                                                       : NULL;

  return x ? *x : none;
}

/* All arguments of its command. */
static struct expr part_object(struct planner *p, const struct part *part) {
  const struct command *c = part->command;
  struct expr *items = arena_array(p->mem, struct expr, c->nargs + 1);
  const char **keys = arena_array(p->mem, const char *, c->nargs + 1);

  for (size_t i = 0; i < c->nargs; i++) {
    keys[i] = c->args[i].name;
    items[i] = argument_of(part, keys[i]);
  }
  return (struct expr){.kind = EXPR_OBJECT, .items = items, .keys = keys, .n = c->nargs};
}

const struct expr *parts_array(struct planner *p, const struct parts *parts) {
  struct expr *items = arena_array(p->mem, struct expr, parts->n + 1), *x = arena_new(p->mem, struct expr);

  for (size_t i = 0; i < parts->n; i++) items[i] = part_object(p, parts->list[i]);
  *x = (struct expr){.kind = EXPR_ARRAY, .items = items, .n = parts->n};
  return x;
}

/* Any value as an expression of type json; one text, whether it holds references or not. */
void rules_put_json(struct sql_build *b, const struct expr *x) {
  struct str *s = str_new(b->mem, 512);

  wrap_put_build(s, sql_param(b, param_pieces(b->mem, x)));
  sql_printf(b, "(%s)::json", s->p);
}

/* One permission's values: of the alias writ_n, whose v holds the arguments and r the result. */
struct values {
  struct planner *p;
  struct sql_build *b;
  const struct command *permission;
};

static void put_value(struct str *s, unsigned i, void *data) {
  struct values *v = data;
  const struct caller *caller = v->p->k->caller;
  int from = v->permission->permission.from[i];

  switch (from) {
  case GIVEN_RESULT: str_add(s, "writ_n.r"); break;
  case GIVEN_CLAIMS: str_printf(s, "($%u::jsonb)", sql_param(v->b, caller_claims(v->b->mem, caller))); break;
  case GIVEN_ROLE: str_printf(s, "($%u::text)", sql_param(v->b, caller->role)); break;
  case GIVEN_USER: str_printf(s, "($%u::text)", sql_param(v->b, caller->user)); break;
  default:
    if (!v->permission->permission.of->args[from].type) { /* version: what is nested has none */
      str_add(s, "null");
      return;
    }
    str_add(s, "(nullif(writ_n.v -> ");
    str_sql_literal(s, v->permission->permission.of->args[from].name);
    str_add(s, ", 'null'))");
  }
}

bool rules_put_condition(struct planner *p, struct sql_build *b, const struct command *permission) {
  const struct shape *shape = &p->k->shapes[permission->id];
  struct values v = {p, b, permission};

  if (!shape->d.ok) {
    err_set(p->e, INTERNAL, "The command \"%s\" is out of order; the server's log tells why.", permission->name);
    p->e->log_detail =
        arena_strdup(p->e->mem, shape->d.error.log_detail ? shape->d.error.log_detail : shape->d.error.message);
    return false;
  }
  sql_add(b, "select case when (");
  wrap_put_condition(b->text, permission, shape->unlocked, put_value, &v);
  sql_add(b, "\n) then 'true' else writ.fail('PERMISSION_DENIED/0/' || writ_n.o - 1, ");
  str_sql_literal(b->text, permission->error.message);
  sql_printf(b, ", %d) end", permission->error.status);
  return true;
}

static const struct nested_subject *places(struct planner *p, const struct parts *parts) {
  struct nested_subject *s = arena_new(p->mem, struct nested_subject);
  const char **paths = arena_array(p->mem, const char *, parts->n + 1);

  for (size_t i = 0; i < parts->n; i++) paths[i] = parts->list[i]->path;
  *s = (struct nested_subject){.model = parts->list[0]->command->model, .paths = paths, .npaths = parts->n};
  return s;
}

bool rules_finish(struct planner *p, struct sql_build *b, const struct command *permission, const struct parts *parts) {
  if (!plan_step(p, b, parts->list[0]->path, places(p, parts), arena_printf(p->mem, "permission %s", permission->name)))
    return false;
  p->plan->steps[p->plan->n - 1].as_login = permission->permission.as_login;
  return true;
}

/* ---- the key of a row, as a where names it ---- */

static void put_key_value(struct sql_build *b, const char *alias, const struct key *key,
                          const struct column *const *columns);

static void put_field_value(struct sql_build *b, const char *alias, const struct field *f,
                            const struct column *const *columns) {
  if (f->relation) put_key_value(b, alias, field_there(f)->model->key, columns);
  else sql_printf(b, "to_jsonb(%s.%s)", alias, columns[0]->sql);
}

static void put_key_value(struct sql_build *b, const char *alias, const struct key *key,
                          const struct column *const *columns) {
  if (key->nfields == 1) {
    put_field_value(b, alias, key->fields[0], columns);
    return;
  }
  sql_add(b, "jsonb_build_object(");
  for (size_t i = 0; i < key->nfields; i++) {
    if (i) sql_add(b, ", ");
    str_sql_literal(b->text, key->fields[i]->name);
    sql_add(b, ", ");
    put_field_value(b, alias, key->fields[i], columns);
    columns += key->fields[i]->relation ? field_here(key->fields[i])->ncolumns : 1;
  }
  sql_add(b, ")");
}

static void put_where(struct sql_build *b, const char *alias, const struct model *m) {
  sql_add(b, "jsonb_build_object(");
  str_sql_literal(b->text, m->key->name);
  sql_add(b, ", ");
  put_key_value(b, alias, m->key, m->key->columns);
  sql_add(b, ")");
}

void rules_put_overlay(struct sql_build *b, const char *alias, const struct model *m, const struct overlay *o) {
  const char *parent = o->back && o->parent ? sql_alias(b) : NULL;

  if (!o->where) {
    sql_add(b, "'{}'::jsonb");
    return;
  }
  sql_add(b, "jsonb_build_object('where', ");
  put_where(b, alias, m);
  if (o->back) {
    const struct model *other = field_there(o->back)->model;

    sql_add(b, ", 'data', jsonb_build_object(");
    str_sql_literal(b->text, o->back->name);
    if (parent) {
      sql_add(b, ", jsonb_build_object('connect', (select ");
      put_where(b, parent, other);
      sql_printf(b, " from %s as %s where ", other->table_sql, parent);
      put_among(b, parent, other->key->columns, other->key->ncolumns, (struct rows){.slot = o->parent});
      sql_add(b, "))");
    } else {
      sql_add(b, ", '{\"disconnect\": true}'::jsonb");
    }
    sql_add(b, ")");
  }
  sql_add(b, ")");
}

/* ---- before ---- */

/* By what was given. guard: judged where it is filled; 0: in any case. */
static bool judge_given(struct planner *p, const struct parts *parts, unsigned guard) {
  const struct command *c = parts->list[0]->command;

  for (size_t i = first_permission(c); i < c->nbefore; i++) {
    struct sql_build *b = plan_begin(p);

    if (!rules_put_condition(p, b, c->before[i])) return false;
    sql_add(b, " from jsonb_array_elements(");
    rules_put_json(b, parts_array(p, parts));
    sql_add(b, "::jsonb) with ordinality as writ_n(v, o)");
    put_if_filled(b, " where ", guard);
    if (!rules_finish(p, b, c->before[i], parts)) return false;
  }
  return true;
}

/* For each of the rows in the slot. */
static bool judge_rows(struct planner *p, struct part *part, const struct model *m, unsigned slot, const struct overlay *o) {
  const struct command *c = part->command;
  struct parts parts = {&part, 1};

  for (size_t i = first_permission(c); i < c->nbefore; i++) {
    struct sql_build *b = plan_begin(p);
    struct expr given = part_object(p, part);
    const char *alias = sql_alias(b);

    if (!rules_put_condition(p, b, c->before[i])) return false;
    sql_printf(b, " from %s as %s, lateral (select ", m->table_sql, alias);
    rules_put_json(b, &given);
    sql_add(b, "::jsonb || ");
    rules_put_overlay(b, alias, m, o);
    sql_add(b, " as v, 1 as o offset 0) as writ_n where ");
    put_among(b, alias, m->key->columns, m->key->ncolumns, (struct rows){.slot = slot});
    if (!rules_finish(p, b, c->before[i], &parts)) return false;
  }
  return true;
}

static bool is_due(const struct part *part) { return part && !part->judged && is_judged_before(part->command); }

bool rules_judge(struct planner *p, struct part *part, unsigned guard) {
  struct parts parts = {&part, 1};
  return !is_due(part) || judge_given(p, &parts, guard);
}

bool rules_judge_row(struct planner *p, struct part *part, unsigned slot) {
  static const struct overlay where = {.where = true};

  if (!is_due(part) || part->where) return rules_judge(p, part, slot);
  return judge_rows(p, part, part->command->model, slot, &where);
}

static void collect(struct planner *p, struct parts *all, struct part *part) {
  if (!is_due(part)) return;
  arena_grow(p->mem, all->list, all->n);
  all->list[all->n++] = part;
}

/* All of one command by one statement for each of its permissions, in the order of the input. */
static bool judge_all(struct planner *p, struct parts *all, unsigned guard) {
  for (size_t i = 0; i < all->n; i++) {
    struct parts alike = {arena_array(p->mem, struct part *, all->n), 0};

    if (all->list[i]->judged) continue;
    for (size_t j = i; j < all->n; j++) {
      if (all->list[j]->command != all->list[i]->command) continue;
      all->list[j]->judged = true;
      alike.list[alike.n++] = all->list[j];
    }
    if (!judge_given(p, &alike, guard)) return false;
  }
  return true;
}

/* Those of which it is certain that they run, and whose arguments were given. */
static void collect_certain(struct planner *p, struct parts *all, const struct nested_data *d) {
  for (size_t i = 0; d && i < d->nops; i++) {
    const struct nested_op *op = &d->ops[i];
    bool named = op->nwheres > 0;

    if (op->kind != NESTED_DELETE || named) collect(p, all, op->part);
    if (op->kind == NESTED_CREATE) collect(p, all, op->create->part);
    if (op->kind == NESTED_UPDATE && named) collect(p, all, op->update->part);
    if (op->kind == NESTED_CREATE) collect_certain(p, all, op->create);
    if (op->kind == NESTED_UPDATE) collect_certain(p, all, op->update);
  }
}

bool rules_judge_ahead(struct planner *p, const struct nested_root *root) {
  struct parts all = {0};

  if (root->kind == ROOT_UPSERT) return true;
  collect_certain(p, &all, root->update);
  collect_certain(p, &all, root->create);
  return judge_all(p, &all, 0);
}

static void collect_creates(struct planner *p, struct parts *all, const struct nested_op *ops, size_t n) {
  for (size_t i = 0; i < n; i++) {
    collect(p, all, ops[i].create->part);
    collect_creates(p, all, ops[i].create->ops, ops[i].create->nops);
  }
}

bool rules_judge_batch(struct planner *p, const struct nested_op *ops, size_t n, unsigned guard) {
  struct parts all = {0};

  collect_creates(p, &all, ops, n);
  return judge_all(p, &all, guard);
}

/* ---- links ---- */

/* The rows of the model in the slot get or lose a link that they hold: an update of each. */
static struct part *link_part(struct planner *p, const struct model *m, const char *path) {
  return part_of(p, m->mutation.update, (struct part){.path = path});
}

bool rules_has_links(const struct planner *p, const struct model *m) {
  return link_part((struct planner *)p, m, NULL) != NULL;
}

bool rules_link(struct planner *p, struct link l, unsigned slot, unsigned parent, const char *path, struct part **part) {
  struct overlay o = {.where = true, .back = link_here(l)->field, .parent = parent};
  const struct model *m = link_here(l)->model;

  *part = link_part(p, m, path);
  return !*part || judge_rows(p, *part, m, slot, &o);
}

/* ---- limits ---- */

static long most_of(const struct planner *p, const char *name) {
  const struct command *c = name && p->k->manifest ? manifest_command(p->k->manifest, name) : NULL;
  return c ? c->max_affected : -1;
}

long rules_most(const struct planner *p, const struct nested_op *op) {
  const struct model *m = field_there(op->field)->model;
  return most_of(p, op->kind == NESTED_UPDATE_MANY ? m->mutation.update_many : m->mutation.delete_many);
}

void rules_put_limit(struct sql_build *b, const char *name, long most, const char *count) {
  sql_printf(b, "case when %s > %ld then writ.fail('TOO_MANY_AFFECTED', ", count, most);
  str_sql_literal(b->text, arena_printf(b->mem, "\"%s\" would change more than %ld rows.", name, most));
  sql_printf(b, ", 422)::bigint else %s end", count);
}
