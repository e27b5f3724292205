/* What a set gave. */
#include "commands/engine_inside.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

void result_keep(struct run *r, size_t first, size_t end, const struct flight *f) {
  for (size_t i = first; i < end; i++)
    for (size_t j = r->set->entries[i].first_node; j < r->set->entries[i].end_node; j++) {
      struct node *node = r->set->nodes[j];
      const struct step_result *result = &f->results[node->step];
      enum returns returns = r->engine->shapes[node->command->id].returns;

      node->text = result->text;
      node->len = result->len;
      if (node->command->kind != COMMAND_SQL) continue;
      if (returns == RETURNS_OPTIONAL && result->text && strcmp(result->text, "null") == 0) continue;
      r->report->rows += returns == RETURNS_COUNT && result->text ? strtoull(result->text, NULL, 10) : result->rows;
    }
  for (size_t i = first; i < end; i++) {
    struct entry *entry = &r->set->entries[i];
    if (entry->result_step == SIZE_MAX) continue;
    entry->text = f->results[entry->result_step].text;
    entry->len = f->results[entry->result_step].len;
  }
}

/* Answers: what PostgreSQL rendered is spliced, not parsed. */

static void put_result(struct str *out, const struct entry *entry) {
  const struct expr *x = entry->result;

  if (entry->result_step != SIZE_MAX) str_bytes(out, entry->text ? entry->text : "null", entry->text ? entry->len : 4);
  else if (x->kind == EXPR_LITERAL) json_write(out, x->literal);
  else if (x->node->text) str_bytes(out, x->node->text, x->node->len);
  else str_add(out, "null");
}

void result_put(struct str *out, const struct command_set *set) {
  if (!set->is_set) {
    str_add(out, "{\"result\":");
    put_result(out, &set->entries[0]);
    str_char(out, '}');
    return;
  }
  str_add(out, "{\"results\":[");
  for (size_t i = 0; i < set->nentries; i++) {
    const struct entry *entry = &set->entries[i];

    str_add(out, i ? ",{\"command\":" : "{\"command\":");
    str_json(out, entry->command->name);
    if (entry->as) {
      str_add(out, ",\"as\":");
      str_json(out, entry->as);
    }
    str_add(out, ",\"result\":");
    put_result(out, entry);
    str_char(out, '}');
  }
  str_add(out, "]}");
}
