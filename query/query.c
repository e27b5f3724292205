/* Queries of models: one statement each, whatever they select. */
#include "query/query.h"

#include "query/connection.h"
#include "query/select.h"
#include "query/where.h"

static bool put_where(struct sql_build *b, const char *alias, const void *where, struct err *e) {
  return where_unique_put(b, where, alias, e);
}

static bool compile_one(struct compiler *k, const struct node *node, size_t owner, const struct selection *s,
                        struct step *step, struct err *e) {
  struct input_place at = {.mem = k->mem, .path = "/where"};
  struct where_unique where;

  return where_unique_read(k->mem, node->command->model, node_argument(node, "where"), at, &where, e) &&
         select_step(k, node, owner, s, NULL, put_where, &where, step, e);
}

static struct list list_of(void *mem, const struct node *node) {
  struct list list = {.at = {.mem = mem, .path = ""}};

  for (size_t i = 0; list_arguments[i]; i++) list_take(&list, list_arguments[i], node_argument(node, list_arguments[i]));
  return list;
}

static bool end_step(struct compiler *k, struct sql_build *b, const struct node *node, size_t owner, struct step *step,
                     struct err *e) {
  sql_result_end(b);
  if (!sql_end(b, k, owner, step, e)) return false;
  step->gives = GIVES_TEXT;
  step->purpose = node->command->name;
  return true;
}

static bool compile_many(struct compiler *k, const struct node *node, size_t owner, const struct selection *s,
                         struct step *step, struct err *e) {
  struct sql_build *b = sql_begin(k->mem);
  struct list list = list_of(k->mem, node);

  b->numbers_as_text = k->numbers_as_text;
  sql_result_begin(b, node, k->config, NULL);
  return select_put_list(b, k->config, s, NULL, NULL, &list, e) && end_step(k, b, node, owner, step, e);
}

static bool compile_connection(struct compiler *k, const struct node *node, size_t owner, struct input_place at,
                               struct step *step, struct err *e) {
  struct sql_build *b = sql_begin(k->mem);
  struct list list = list_of(k->mem, node);
  const struct connection *c = connection_read(k->mem, node->command->model, node_argument(node, "select"), at, e);

  if (!c) return false;
  b->numbers_as_text = k->numbers_as_text;
  sql_result_begin(b, node, k->config, NULL);
  return connection_put(b, k->config, c, &list, e) && end_step(k, b, node, owner, step, e);
}

static bool compile_nodes(struct compiler *k, const struct node *node, size_t owner, struct input_place at,
                          struct step *step, struct err *e) {
  const struct selection *s = select_read(k->mem, node->command->model, node_argument(node, "select"), at, e);

  if (!s) return false;
  return (node->command->operation == OPERATION_ONE ? compile_one : compile_many)(k, node, owner, s, step, e);
}

bool query_compile(struct compiler *k, struct command_set *set, size_t owner, struct plan *plan, struct err *e) {
  struct node *node = set->nodes[owner];
  struct input_place at = {.mem = k->mem, .path = "/select"};
  bool is_connection = node->command->operation == OPERATION_CONNECTION;
  struct step step;

  if (!(is_connection ? compile_connection : compile_nodes)(k, node, owner, at, &step, e)) return false;
  node->step = compile_step(k, plan, step);
  return true;
}
