/* Queries of models: one statement each, whatever they select. */
#include "commands/query.h"

#include "commands/select.h"
#include "commands/where.h"

static bool put_where(struct sql_build *b, const char *alias, const void *where, struct err *e) {
  return where_unique_put(b, where, alias, e);
}

static bool compile_one(struct compiler *k, const struct node *node, size_t owner, const struct selection *s, struct step *step,
                        struct err *e) {
  struct input_place at = {.mem = k->mem, .path = "/where"};
  struct where_unique where;

  return where_unique_read(k->mem, node->command->model, node_argument(node, "where"), at, &where, e) &&
         select_step(k, node, owner, s, put_where, &where, step, e);
}

static bool compile_many(struct compiler *k, const struct node *node, size_t owner, const struct selection *s, struct step *step,
                         struct err *e) {
  struct sql_build *b = sql_begin(k->mem);
  struct list list = {.at = {.mem = k->mem, .path = ""}};

  for (size_t i = 0; list_arguments[i]; i++) list_take(&list, list_arguments[i], node_argument(node, list_arguments[i]));
  sql_result_begin(b, node, k->config);
  if (!select_put_list(b, k->config, s, NULL, NULL, &list, e)) return false;
  sql_result_end(b);
  if (!sql_end(b, k, owner, step, e)) return false;
  step->gives = GIVES_TEXT;
  step->purpose = node->command->name;
  return true;
}

bool query_compile(struct compiler *k, struct command_set *set, size_t owner, struct plan *plan, struct err *e) {
  struct node *node = set->nodes[owner];
  const struct command *c = node->command;
  struct input_place at = {.mem = k->mem, .path = "/select"};
  const struct selection *s = select_read(k->mem, c->model, node_argument(node, "select"), at, e);
  struct step step;

  if (!s) return false;
  if (!(c->operation == OPERATION_ONE ? compile_one : compile_many)(k, node, owner, s, &step, e)) return false;
  node->step = compile_step(k, plan, step);
  return true;
}
