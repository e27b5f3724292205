/* Writes arguments for services. */
#include "commands/arguments.h"

#include "base/json.h"
#include "base/str.h"
#include "commands/tree.h"

#include <string.h>

/* By what name is a result known? That of its entry, when the request gave one; a composite's member has that of its
 * command. */
static const char *name_of(const struct command_set *set, const struct expr *result) {
  for (size_t i = 0; i < set->nentries; i++) {
    const struct entry *entry = &set->entries[i];
    if (entry->as && entry->result->kind == EXPR_RESULT && entry->result->node == result->node && !entry->result->npath)
      return entry->as;
  }
  return result->node->command->name;
}

static void write_reference(struct str *out, const struct command_set *set, const struct expr *result) {
  struct str *text = str_new(out, 64);

  str_add(text, name_of(set, result));
  for (size_t i = 0; i < result->npath; i++) str_printf(text, ".%s", result->path[i]);
  str_add(out, "{\"$ref\":");
  str_json(out, text->p);
  str_char(out, '}');
}

static void write_literal(struct str *out, const struct json *value, bool plain) {
  bool quoted = !plain && json_has_marker(value);

  if (quoted) str_add(out, "{\"$literal\":");
  json_write(out, value);
  if (quoted) str_char(out, '}');
}

static void write_value(struct str *out, const struct command_set *set, const struct expr *x, bool plain) {
  bool object = x->kind == EXPR_OBJECT;

  if (x->kind == EXPR_LITERAL) {
    write_literal(out, x->literal, plain);
    return;
  }
  if (x->kind == EXPR_RESULT) {
    write_reference(out, set, x);
    return;
  }
  str_char(out, object ? '{' : '[');
  for (size_t i = 0; i < x->n; i++) {
    if (i) str_char(out, ',');
    if (object) {
      str_json(out, x->keys[i]);
      str_char(out, ':');
    }
    write_value(out, set, &x->items[i], plain);
  }
  str_char(out, object ? '}' : ']');
}

void argument_write(struct str *out, const struct command_set *set, const struct expr *value) {
  write_value(out, set, value, false);
}

void arguments_write(struct str *out, const struct command_set *set, const struct command *c, const struct expr **args,
                     bool plain) {
  str_char(out, '{');
  for (size_t i = 0; i < c->nargs; i++) {
    if (i) str_char(out, ',');
    str_json(out, c->args[i].name);
    str_char(out, ':');
    if (args[i]) write_value(out, set, args[i], plain);
    else write_literal(out, c->args[i].fallback, plain);
  }
  str_char(out, '}');
}

bool json_same(const struct json *a, const struct json *b) {
  if (a->kind != b->kind || a->len != b->len) return false;
  if (a->kind == JSON_STRING || a->kind == JSON_NUMBER) return memcmp(a->text, b->text, a->len) == 0;
  if (a->kind != JSON_ARRAY && a->kind != JSON_OBJECT) return true;
  for (size_t i = 0; i < a->len; i++) {
    const struct json *other = a->kind == JSON_ARRAY ? &b->items[i] : json_get(b, a->keys[i]);
    if (!other || !json_same(&a->items[i], other)) return false;
  }
  return true;
}
