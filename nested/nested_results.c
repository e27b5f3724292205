/* Results of what is nested, for permissions after: and for after-hooks: collected in one setting for each command as they come
 * about, and looked at when everything is written. What was not done has left nothing there. */
#include "nested/nested_rules.h"

#include "base/arena.h"
#include "base/str.h"
#include "query/select.h"

bool rules_keep_result(const struct nested_data *d) {
  return (d->part && part_is_kept(d->part->command)) || (d->also && part_is_kept(d->also->command));
}

/* ---- results ---- */

static struct nested_kept *kept_of(struct planner *p, const struct command *c) {
  struct nested_ends *ends = p->node->ends;
  struct nested_kept *kept;

  for (size_t i = 0; ends && i < ends->n; i++)
    if (ends->kept[i].command == c) return &ends->kept[i];
  if (!ends) ends = ((struct node *)p->node)->ends = arena_new(p->mem, struct nested_ends);
  arena_grow(p->mem, ends->kept, ends->n);
  kept = &ends->kept[ends->n];
  *kept = (struct nested_kept){.command = c, .setting = arena_printf(p->mem, "writ.k%zu_%zu", p->owner, ends->n)};
  ends->n++;
  return kept;
}

static size_t enlist(struct planner *p, struct part *part) {
  struct nested_kept *kept = kept_of(p, part->command);

  if (part->index) return part->index - 1;
  arena_grow(p->mem, kept->parts, kept->n);
  kept->parts[kept->n++] = part;
  part->index = kept->n;
  return kept->n - 1;
}

/* set_config(setting, what it holds, a comma, and text of JSON, or NULL, which follows */
static void put_keep(struct planner *p, struct sql_build *b, const struct part *part) {
  const char *setting = kept_of(p, part->command)->setting;
  unsigned n = sql_param(b, setting);

  sql_printf(b, "pg_catalog.set_config($%u::text, concat_ws(',', nullif(pg_catalog.current_setting($%u::text, true), ''), ",
             n, n);
}

static bool put_row_json(struct planner *p, struct sql_build *b, const struct model *m, const char *alias) {
  const struct selection *s = select_read(p->mem, m, NULL, (struct input_place){.mem = p->mem, .path = ""}, p->e);
  return s && select_put_node(b, p->k->config, s, alias, false, p->e);
}

/* Behind the rows' JSON: what cannot be read cannot be judged, so it is refused. A caller's policies may hide a row that it wrote. */
static void put_or_refused(struct sql_build *b, const struct part *part) {
  sql_add(b, ", writ.fail('FORBIDDEN', ");
  str_sql_literal(
      b->text, arena_printf(b->mem,
                            "What \"%s\" has written cannot be read for its rules: a policy hides it from the caller, or a "
                            "trigger gave it another key or kept it out.",
                            part->command->name));
  sql_add(b, ", 403))");
}

static bool keep_rows(struct planner *p, struct part *part, const struct model *m, unsigned slot, const struct overlay *o) {
  struct sql_build *b = plan_begin(p);
  const char *alias;

  if (!part || !part_is_kept(part->command)) return true;
  alias = sql_alias(b);
  sql_add(b, "select ");
  sql_printf(b, "case when ");
  put_filled(b, slot);
  sql_add(b, " then ");
  enlist(p, part);
  put_keep(p, b, part);
  sql_printf(b, "coalesce((select string_agg(json_build_object('p', $%u::integer, 'v', ",
             sql_param(b, arena_printf(p->mem, "%zu", part->index - 1)));
  rules_put_overlay(b, alias, m, o);
  sql_add(b, ", 'r', ");
  if (!put_row_json(p, b, m, alias)) return false;
  sql_printf(b, ")::text, ',') from %s as %s where ", m->table_sql, alias);
  put_among(b, alias, m->key->columns, m->key->ncolumns, (struct rows){.slot = slot});
  sql_add(b, ")");
  put_or_refused(b, part);
  sql_add(b, "), true) end");
  return plan_step(p, b, part->path, NULL, arena_printf(p->mem, "result of %s", part->command->name));
}

bool rules_keep(struct planner *p, struct part *part, unsigned slot) {
  struct overlay o = {.where = part && !part->where && part->command->operation != OPERATION_CREATE &&
                               part->command->operation != OPERATION_UPSERT};
  return !part || keep_rows(p, part, part->command->model, slot, &o);
}

bool rules_keep_batch(struct planner *p, const struct nested_op *const *ops, size_t n, unsigned guard,
                      void (*put_keys)(struct planner *p, struct sql_build *b, void *data), void *data) {
  struct sql_build *b = plan_begin(p);
  struct part *first = ops[0]->create->part;
  const struct model *m = ops[0]->create->model;
  struct str *indexes = str_new(p->mem, 8 * n);
  const char *alias = sql_alias(b);

  if (!first || !part_is_kept(first->command)) return true;
  for (size_t i = 0; i < n; i++) str_printf(indexes, "%s%zu", i ? "," : "{", enlist(p, ops[i]->create->part));
  str_char(indexes, '}');
  sql_add(b, "select ");
  put_keep(p, b, first);
  sql_add(b, "coalesce((select string_agg(json_build_object('p', writ_k.i, 'r', ");
  if (!put_row_json(p, b, m, alias)) return false;
  sql_add(b, ")::text, ',' order by writ_k.i) from unnest(");
  put_keys(p, b, data);
  sql_printf(b, ", $%u::integer[]) as writ_k(k, i), %s as %s where %s.%s = writ_k.k::%s having count(*) = $%u::bigint)",
             sql_param(b, indexes->p), m->table_sql, alias, alias, m->key->columns[0]->sql, m->key->columns[0]->cast_sql,
             sql_param(b, arena_printf(p->mem, "%zu", n)));
  put_or_refused(b, first);
  sql_add(b, "), true)");
  put_if_filled(b, " where ", guard);
  return plan_step(p, b, n > 1 ? NULL : ops[0]->path, NULL, arena_printf(p->mem, "results of %s", first->command->name));
}

void rules_put_count(struct planner *p, struct sql_build *b, const struct nested_op *op, const char *count) {
  const struct command *c = op->part ? op->part->command : NULL;

  if (!c || !part_is_kept(c)) return;
  enlist(p, op->part);
  sql_add(b, ", ");
  put_keep(p, b, op->part);
  sql_printf(b, "json_build_object('p', $%u::integer, 'r', json_build_object('count', %s))::text), true)",
             sql_param(b, arena_printf(p->mem, "%zu", op->part->index - 1)), count);
}

bool rules_linked(struct planner *p, struct link l, unsigned slot, unsigned parent, struct part *part) {
  struct overlay o = {.where = true, .back = link_here(l)->field, .parent = parent};
  return keep_rows(p, part, link_here(l)->model, slot, &o);
}

/* ---- the end of the plan ---- */

const struct expr *nested_kept_args(void *mem, const struct nested_kept *kept) {
  struct planner p = {.mem = mem};
  return parts_array(&p, &(struct parts){(struct part **)kept->parts, kept->n});
}

void nested_put_kept(struct sql_build *b, const struct nested_kept *kept) {
  sql_add(b, "(select coalesce(");
  rules_put_json(b, nested_kept_args(b->mem, kept));
  sql_printf(
      b,
      "::jsonb -> (x.r ->> 'p')::integer, '{}') || coalesce((x.r -> 'v')::jsonb, '{}') as v, (x.r ->> 'p')::integer + 1 as o, "
      "(x.r -> 'r')::jsonb as r, x.r -> 'r' as told from json_array_elements(('[' || "
      "nullif(pg_catalog.current_setting($%u::text, true), '') || ']')::json) as x(r) offset 0) as writ_n",
      sql_param(b, kept->setting));
}

static bool end_one(struct planner *p, const struct nested_kept *kept) {
  const struct command *c = kept->command;
  struct parts parts = {(struct part **)kept->parts, kept->n};

  for (size_t i = 0; i < c->nafter; i++) {
    struct sql_build *b = plan_begin(p);

    if (!rules_put_condition(p, b, c->after[i])) return false;
    sql_add(b, " from ");
    nested_put_kept(b, kept);
    if (!rules_finish(p, b, c->after[i], &parts)) return false;
  }
  return true;
}

bool nested_end(struct compiler *k, struct command_set *set, size_t owner, struct plan *plan, struct err *e) {
  struct planner p = {.k = k, .mem = k->mem, .plan = plan, .node = set->nodes[owner], .owner = owner, .e = e};
  const struct nested_ends *ends = p.node->ends;

  for (size_t i = 0; ends && i < ends->n; i++)
    if (!end_one(&p, &ends->kept[i])) return false;
  return true;
}
