/* Expressions into text with holes in it, where the server puts in what it has. */
#include "engine/told.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"

#include <string.h>

static bool is_known(const struct expr *result) { return result->node->command->kind == COMMAND_HANDLER; }

/* By the server, for this step. Results of CALL and MERGE cannot be kept: they are told as null. */
static bool can_be_kept(const struct expr *result) {
  enum sql_verb verb = result->node->command->sql.verb;
  return !is_known(result) && verb != SQL_CALL && verb != SQL_MERGE;
}

struct visitor {
  void (*visit)(const struct expr *result, void *data);
  void *data;
};

static void visit_kept(const struct expr *result, void *data) {
  const struct visitor *v = data;
  if (can_be_kept(result)) v->visit(result, v->data);
}

void told_each_kept(const struct expr *x, void (*visit)(const struct expr *result, void *data), void *data) {
  struct visitor v = {visit, data};

  expr_each_result(x, visit_kept, &v);
}

struct expr told_text(const void *mem, const char *text) {
  struct json *value = arena_new(mem, struct json);

  *value = text ? (struct json){.kind = JSON_STRING, .text = text, .len = strlen(text)} : json_null;
  return (struct expr){.kind = EXPR_LITERAL, .literal = value};
}

/* What a program answered is known here; the rest of what cannot be kept is null. */
static struct expr known_result(const struct expr *x) {
  const struct json *value = is_known(x) && x->node->value ? json_at(x->node->value, x->path, x->npath) : NULL;
  return (struct expr){.kind = EXPR_LITERAL, .literal = value ? value : &json_null};
}

/* The same without results that are not to be read on the server. */
struct expr told_value(void *mem, const struct expr *x) {
  struct expr out = *x, *items;

  if (x->kind == EXPR_RESULT && !can_be_kept(x)) return known_result(x);
  if (x->kind != EXPR_ARRAY && x->kind != EXPR_OBJECT) return out;
  items = arena_array(mem, struct expr, x->n ? x->n : 1);
  for (size_t i = 0; i < x->n; i++) items[i] = told_value(mem, &x->items[i]);
  out.items = items;
  return out;
}

struct expr told_args(void *mem, const struct use *use) {
  const struct command *c = use->command;
  struct expr *items = arena_array(mem, struct expr, c->nargs ? c->nargs : 1);
  const char **keys = arena_array(mem, const char *, c->nargs ? c->nargs : 1);

  for (size_t i = 0; i < c->nargs; i++) {
    keys[i] = c->args[i].name;
    items[i] =
        use->args[i] ? told_value(mem, use->args[i]) : (struct expr){.kind = EXPR_LITERAL, .literal = c->args[i].fallback};
  }
  return (struct expr){.kind = EXPR_OBJECT, .items = items, .keys = keys, .n = c->nargs};
}

struct expr told_object(void *mem, const char *const *keys, const struct expr *items, size_t n) {
  struct expr *copy = arena_array(mem, struct expr, n);

  memcpy(copy, items, n * sizeof *items);
  return (struct expr){.kind = EXPR_OBJECT, .items = copy, .keys = keys, .n = n};
}

struct holes {
  size_t n;
  const struct expr *last;
};

static void count_hole(const struct expr *result, void *data) {
  struct holes *holes = data;

  holes->n++;
  holes->last = result;
}

static struct holes holes_of(const struct expr *x) {
  struct holes holes = {0};

  expr_each_result(x, count_hole, &holes);
  return holes;
}

/* Text of an expression; where a result comes, a NUL. */
static void put_text(struct str *s, const struct expr *x) {
  if (x->kind == EXPR_RESULT) str_char(s, '\0');
  else if (x->kind == EXPR_LITERAL) json_write(s, x->literal);
  if (x->kind != EXPR_ARRAY && x->kind != EXPR_OBJECT) return;
  str_char(s, x->kind == EXPR_ARRAY ? '[' : '{');
  for (size_t i = 0; i < x->n; i++) {
    if (i) str_char(s, ',');
    if (x->kind == EXPR_OBJECT) {
      str_json(s, x->keys[i]);
      str_char(s, ':');
    }
    put_text(s, &x->items[i]);
  }
  str_char(s, x->kind == EXPR_ARRAY ? ']' : '}');
}

static bool is_simple(const struct expr *payload) {
  struct holes holes = holes_of(payload);
  return holes.n == 0 || (holes.n == 1 && !holes.last->npath);
}

static void put_payload(void *mem, const struct expr *payload, bool pieces, struct told *row) {
  struct holes holes;
  struct str *s;

  if (pieces) {
    row->head = param_pieces(mem, payload);
    return;
  }
  holes = holes_of(payload);
  s = str_new(mem, 512);
  put_text(s, payload);
  row->head = s->p;
  if (!holes.n) return;
  row->tail = s->p + strlen(s->p) + 1;
  row->slot = arena_printf(mem, "writ.s%u", holes.last->node->slot);
}

/* A key is text: its parts with a colon between. Of a string it takes what it says, as 42 and "42" are the same user. */
struct key_text {
  void *mem;
  struct str *pieces; /* NULL: text is all, and place what comes behind it */
  struct str *text;
  const char *place;
  bool begun;
};

static void flush_text(struct key_text *t) {
  if (!t->text->len) return;
  str_json(t->pieces, t->text->p);
  str_char(t->pieces, ',');
  str_clear(t->text);
}

static void put_key_result(struct key_text *t, const struct expr *result) {
  t->place = param_place(t->mem, result);
  if (!t->pieces) return;
  flush_text(t);
  str_char(t->pieces, '[');
  str_json(t->pieces, t->place);
  str_add(t->pieces, "],");
}

static void put_key_literal(struct key_text *t, const struct json *value) {
  if (value->kind == JSON_ARRAY || value->kind == JSON_OBJECT) {
    for (size_t i = 0; i < value->len; i++) put_key_literal(t, &value->items[i]);
    return;
  }
  if (t->begun) str_char(t->text, ':');
  t->begun = true;
  if (value->kind == JSON_STRING) str_bytes(t->text, value->text, value->len);
  else if (value->kind != JSON_NULL) json_write(t->text, value);
}

static void put_key_part(struct key_text *t, const struct expr *x) {
  if (x->kind == EXPR_LITERAL) put_key_literal(t, x->literal);
  for (size_t i = 0; i < x->n; i++) put_key_part(t, &x->items[i]);
  if (x->kind != EXPR_RESULT) return;
  if (t->begun) str_char(t->text, ':');
  t->begun = true;
  put_key_result(t, x);
}

/* Is a result the last of its parts, or none of them? */
static bool is_simple_key(const struct expr *key) {
  const struct expr *last = key;

  if (holes_of(key).n == 0) return true;
  while (last->n) last = &last->items[last->n - 1];
  return holes_of(key).n == 1 && last->kind == EXPR_RESULT;
}

static void put_key(void *mem, const struct expr *key, bool pieces, struct told *row) {
  struct key_text t = {.mem = mem};

  if (!pieces && key->kind == EXPR_LITERAL && key->literal->kind == JSON_STRING) {
    row->key = key->literal->text;
    return;
  }
  t.text = str_new(mem, 64);
  t.pieces = pieces ? str_new(mem, 64) : NULL;
  if (pieces) str_char(t.pieces, '[');
  put_key_part(&t, key);
  row->key = t.text->p;
  row->place = t.place;
  if (!pieces) return;
  flush_text(&t);
  str_add(t.pieces, "null]");
  row->key = t.pieces->p;
}

bool told_is_simple(const struct expr *payload, const struct expr *key) {
  return is_simple(payload) && (!key || is_simple_key(key));
}

void told_put(void *mem, const struct expr *payload, const struct expr *key, bool pieces, struct told *out) {
  put_payload(mem, payload, pieces, out);
  if (key) put_key(mem, key, pieces, out);
}

const char *told_field(void *mem, const void *rows, size_t n, size_t size, size_t offset) {
  const char *first = (const char *)rows + offset;
  struct str *s;

  if (n == 1) return *(const char *const *)first;
  s = str_new(mem, 256);
  for (size_t i = 0; i < n; i++) {
    const char *text = *(const char *const *)(first + i * size);

    str_char(s, i ? ',' : '{');
    if (text) str_sql_element(s, text);
    else str_add(s, "NULL");
  }
  str_char(s, '}');
  return s->p;
}
