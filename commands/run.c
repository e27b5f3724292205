/* A request, from its command set to its answer. */
#include "commands/engine_inside.h"

#include "base/arena.h"
#include "base/clock.h"

#include <string.h>

/* execute_command_set: results of earlier transactions are literals to the later ones. */

enum { RESULT_DEPTH = 1000 };

static bool too_much(struct run *r) {
  return err_set(r->e, TOO_LARGE, "The references of the request bring more than %d bytes.", REFERENCE_BYTES);
}

static bool parse_result(struct run *r, struct node *node) {
  const char *text = node->text ? node->text : "null";
  size_t len = node->text ? node->len : 4;

  if (node->value) return true;
  if (len > r->references_left) return too_much(r);
  r->references_left -= len;
  return json_read(r->mem, text, len, RESULT_DEPTH, &node->value, r->e) ||
         err_set(r->e, BAD_REFERENCE, "The result of \"%s\" cannot be referred to. %s", node->command->name, r->e->message);
}

static bool resolve(struct run *r, struct expr *x, size_t first_node_of_entry) {
  const struct json *value;

  for (size_t i = 0; i < x->n; i++)
    if (!resolve(r, (struct expr *)&x->items[i], first_node_of_entry)) return false;
  if (x->kind != EXPR_RESULT) return true;
  for (size_t i = first_node_of_entry; i < r->set->nnodes; i++)
    if (r->set->nodes[i] == x->node) return true; /* of this transaction: read on the server */
  if (!parse_result(r, x->node)) return false;
  value = json_at(x->node->value, x->path, x->npath);
  if (!value)
    return err_set(r->e, BAD_REFERENCE, "The result of \"%s\" has no such value.", x->node->command->name);
  if (!json_spend(value, &r->references_left)) return too_much(r);
  *x = (struct expr){.kind = EXPR_LITERAL, .literal = value, .was_result = true, .argument = x->argument};
  return true;
}

/* What after-hooks are told. */
static bool resolve_uses(struct run *r, size_t index) {
  size_t first = r->set->entries[index].first_node;

  for (size_t i = 0; i < r->set->nuses; i++) {
    const struct use *use = &r->set->uses[i];

    if (use->entry != index) continue;
    for (size_t a = 0; a < use->command->nargs; a++)
      if (use->args[a] && !resolve(r, (struct expr *)use->args[a], first)) return false;
    for (size_t h = 0; h < use->command->nafter_hooks; h++)
      if (use->keys[h] && !resolve(r, (struct expr *)use->keys[h], first)) return false;
    if (!resolve(r, (struct expr *)use->result, first)) return false;
  }
  return true;
}

static bool resolve_entry(struct run *r, size_t index) {
  struct entry *entry = &r->set->entries[index];

  for (size_t j = entry->first_node; j < entry->end_node; j++) {
    struct node *node = r->set->nodes[j];
    for (size_t a = 0; a < node->command->nargs; a++)
      if (node->args[a] && !resolve(r, (struct expr *)node->args[a], entry->first_node)) {
        compile_place(r->mem, r->set, node, node->command->args[a].name, r->e);
        return false;
      }
  }
  return resolve(r, (struct expr *)entry->result, entry->first_node) && resolve_uses(r, index);
}

static bool on_one_datasource(const struct command_set *set) {
  for (size_t i = 1; i < set->nentries; i++)
    if (set->entries[i].command->datasource != set->entries[0].command->datasource) return false;
  return true;
}

/* Nothing runs before all of the set has been judged: each entry is compiled once for its errors alone. */
static bool judge_each(struct run *r) {
  struct engine *engine = r->engine;
  struct compiler k = transaction_compiler(r);

  for (size_t i = 0; i < r->set->nentries; i++) {
    const struct command *c = r->set->entries[i].command, *fault = NULL;
    struct plan plan;

    do {
      err_init(r->e, r->mem);
      if (!transaction_begin(r, c->datasource, c->isolation, &plan)) return false;
      if (!source_ready(engine, c->datasource, &r->wait, r->e)) return false;
      if (compile_entries(&k, r->set, i, i + 1, &plan, &fault, r->e)) break;
    } while (fault && shapes_look_again(engine, fault, &r->wait));
    if (r->e->code != ERR_NONE) return false;
  }
  return true;
}

static bool run_each(struct run *r) {
  if (r->set->nentries > 1 && !judge_each(r)) {
    r->e->committed = 0;
    return false;
  }
  for (size_t i = 0; i < r->set->nentries; i++) {
    const struct command *c = r->set->entries[i].command;

    r->looked_again = r->session_renewed = false;
    r->retries = 0;
    if (!resolve_entry(r, i) || !transaction_run(r, c->datasource, c->isolation, i, i + 1)) {
      r->e->index = (int)i;
      if (!r->e->command) r->e->command = c->name;
      r->e->committed = (int)i;
      return false;
    }
  }
  return true;
}

bool engine_run(struct engine *engine, void *mem, struct command_set *set, const struct invocation *call,
                struct str *answer, struct report *report, struct err *e) {
  char *mutation = arena_zero(mem, 37, "mutation");
  struct run r = {.engine = engine, .mem = mem, .set = set, .call = call, .report = report, .e = e,
                  .wait = {.deadline_ms = call->deadline_ms, .caller_fd = call->caller_fd},
                  .references_left = REFERENCE_BYTES, .mutation = mutation};
  /* A dry run of an execute set is one transaction where it can be, so that later commands see what earlier ones did. */
  bool together = !set->each_alone || (call->dry_run && on_one_datasource(set));
  bool ok;

  *report = (struct report){0};
  clock_uuid7(mutation);
  if (!set->nentries) {
    result_put(answer, set);
    return true;
  }
  ok = together ? transaction_run(&r, set->entries[0].command->datasource, set->isolation, 0, set->nentries) : run_each(&r);
  report->retries = r.retries;
  if (ok) result_put(answer, set);
  else if (set->each_alone && e->committed < 0) e->committed = 0; /* a dry run as one transaction */
  return ok;
}
