/* Items of after-hooks of what is nested in mutations: only the server knows which of it was done, so it makes the rows, of the
 * results that it has kept (nested/nested.h). */
#include "engine/outbox.h"
#include "engine/told.h"

#include "base/arena.h"
#include "base/str.h"
#include "compile/sql_build.h"
#include "nested/nested.h"

#include <string.h>

/* What a key is made of, each as text: nothing where there is no value. */
static void put_key_parts(struct sql_build *b, const struct command *c, const struct template *t, const char **colon) {
  bool group = t->kind == TEMPLATE_ARRAY || t->kind == TEMPLATE_OBJECT;

  for (size_t i = 0; group && i < t->n; i++) put_key_parts(b, c, &t->items[i], colon);
  if (group) return;
  sql_add(b, *colon);
  *colon = " || ':' || ";
  if (t->kind == TEMPLATE_LITERAL) {
    struct str *text = str_new(b->mem, 64);
    if (t->literal->kind == JSON_STRING) str_add(text, t->literal->text);
    else if (t->literal->kind != JSON_NULL) json_write(text, t->literal);
    sql_printf(b, "$%u::text", sql_param(b, text->p));
    return;
  }
  sql_printf(b, "coalesce(writ_n.%s #>> array[", t->kind == TEMPLATE_ARGS ? "v" : "r");
  if (t->kind == TEMPLATE_ARGS) sql_printf(b, "$%u::text", sql_param(b, c->args[t->argument].name));
  for (size_t i = 0; i < t->npath; i++)
    sql_printf(b, "%s$%u::text", i || t->kind == TEMPLATE_ARGS ? ", " : "", sql_param(b, t->path[i]));
  sql_add(b, "]::text[], '')");
}

static void put_key(struct sql_build *b, const struct command *c, const struct hook *hook) {
  const char *colon = "";

  if (!hook->key) {
    sql_add(b, "null::text");
    return;
  }
  put_key_parts(b, c, hook->key, &colon);
  if (!*colon) sql_add(b, "''");
}

static bool put_hook(struct compiler *k, struct command_set *set, size_t owner, struct plan *plan,
                     const struct nested_kept *kept, const struct hook *hook, struct err *e) {
  struct sql_build *b = sql_begin(k->mem);
  struct str *head = str_new(k->mem, 128);
  unsigned mutation = sql_param(b, k->mutation), name = sql_param(b, hook->name);
  struct step step;

  str_add(head, "{\"hook\":");
  str_json(head, hook->name);
  str_add(head, ",\"command\":");
  str_json(head, kept->command->name);
  str_add(head, ",\"args\":");
  sql_printf(b,
             "insert into writ.outbox (mutation, hook, key, payload) select $%u::uuid, $%u::text, " TOLD_SHORT(
                 "k") ", p from (select ",
             mutation, name);
  put_key(b, kept->command, hook);
  sql_printf(b, " as k, $%u::text || writ_n.v::text || ',\"result\":' || writ_n.told::text || $%u::text as p, o from ",
             sql_param(b, head->p), sql_param(b, outbox_tail(k, plan)));
  nested_put_kept(b, kept);
  sql_add(b, " offset 0) as writ_w order by o");
  if (!sql_end(b, k, owner, &step, e)) return false;
  step.as_login = true;
  step.member = MEMBER_NONE;
  step.purpose = outbox_purpose;
  plan->durable = true;
  if (set->outbox_step == SIZE_MAX) set->outbox_step = plan->n;
  compile_step(k, plan, step);
  return true;
}

bool outbox_compile_nested(struct compiler *k, struct command_set *set, size_t first_node, size_t end_node,
                           struct plan *plan, struct err *e) {
  if (plan->dry_run || k->guarding) return true;
  for (size_t i = first_node; i < end_node; i++) {
    const struct nested_ends *ends = set->nodes[i]->command->kind == COMMAND_MUTATION ? set->nodes[i]->ends : NULL;

    for (size_t j = 0; ends && j < ends->n; j++)
      for (size_t h = 0; h < ends->kept[j].command->nafter_hooks; h++)
        if (!put_hook(k, set, i, plan, &ends->kept[j], &ends->kept[j].command->after_hooks[h], e)) return false;
  }
  return true;
}
