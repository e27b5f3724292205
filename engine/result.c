/* What a set gave. */
#include "engine/engine_inside.h"

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

  if (entry->settled || entry->result_step != SIZE_MAX)
    str_bytes(out, entry->text ? entry->text : "null", entry->text ? entry->len : 4);
  else if (x->kind == EXPR_LITERAL) json_write(out, x->literal);
  else if (x->node->text) str_bytes(out, x->node->text, x->node->len);
  else str_add(out, "null");
}

void engine_result(const struct command_set *set, size_t index, const char **text, size_t *len) {
  const struct entry *entry = &set->entries[index];
  const struct node *node = entry->result->node;
  struct str *out;

  if (entry->result_step == SIZE_MAX && entry->result->kind == EXPR_RESULT && node->text) { /* the usual case: as it came */
    *text = node->text;
    *len = node->len;
    return;
  }
  out = str_new(set, 256);
  put_result(out, entry);
  *text = out->p;
  *len = out->len;
}

/* An answer in the making: pieces NULL: with its results; else in pieces. */
struct answer {
  struct str *text, *pieces;
};

static void end_piece(struct answer *a) {
  str_json_bytes(a->pieces, a->text->p, a->text->len);
  str_clear(a->text);
}

/* The place of a result: the setting that has it. A literal, or the null of a CALL, is text. */
static void put_place(struct answer *a, const struct entry *entry) {
  unsigned slot = entry->slot;

  if (!slot && entry->result->kind == EXPR_RESULT) slot = entry->result->node->slot;
  if (!slot || entry->settled) {
    put_result(a->text, entry);
    return;
  }
  end_piece(a);
  str_printf(a->pieces, ",\"writ.s%u\",", slot);
}

static void put_answer(struct answer *a, const struct entry *entry) {
  if (a->pieces) put_place(a, entry);
  else put_result(a->text, entry);
}

static void put_all(struct answer *a, const struct command_set *set) {
  struct str *out = a->text;

  if (!set->is_set) {
    str_add(out, "{\"result\":");
    put_answer(a, &set->entries[0]);
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
    put_answer(a, entry);
    str_char(out, '}');
  }
  str_add(out, "]}");
}

void result_put(struct str *out, const struct command_set *set) { put_all(&(struct answer){.text = out}, set); }

static const char *pieces_of(void *mem, const struct command_set *set, const struct entry *alone) {
  struct answer a = {.text = str_new(mem, 256), .pieces = str_new(mem, 256)};

  str_char(a.pieces, '[');
  if (alone) put_answer(&a, alone);
  else put_all(&a, set);
  end_piece(&a);
  str_char(a.pieces, ']');
  return a.pieces->p;
}

const char *result_pieces(void *mem, const struct command_set *set) { return pieces_of(mem, set, NULL); }

const char *result_pieces_alone(void *mem, const struct command_set *set, size_t entry) {
  return pieces_of(mem, set, &set->entries[entry]);
}

void result_settle(struct command_set *set, size_t first, size_t end) {
  for (size_t i = first; i < end; i++) {
    struct entry *entry = &set->entries[i];

    if (entry->result->kind == EXPR_LITERAL) continue;
    if (entry->result_step == SIZE_MAX) {
      entry->text = entry->result->node->text;
      entry->len = entry->result->node->len;
    }
    entry->settled = true;
  }
}
