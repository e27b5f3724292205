/* JSON into PostgreSQL's input syntax: scalars, array literals (manual chapter 8.15.6), row literals (8.16.6); references
 * into what the statement needs to find the value on the server. */
#include "compile/param.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"
#include "commands/tree.h"
#include "db/catalog.h"

#include <stdlib.h>
#include <string.h>

/* Numbers. "1.0 and 1e2 are integers": the digits of a whole number, without fraction or exponent. PostgreSQL's integers
 * have at most 19 digits; anything much longer is refused here, before an exponent could ask for memory. */

enum { MAX_INTEGER_DIGITS = 40 };

struct decimal {
  bool negative;
  const char *digits; /* with the dot taken out, leading zeros kept */
  size_t ndigits;
  long point; /* digits ahead of the decimal point; may lie outside of the digits */
};

static struct decimal parse_decimal(void *mem, const char *text) {
  struct decimal d = {.negative = *text == '-'};
  char *digits = arena_strdup(mem, text), *out = digits;
  const char *p = text + d.negative;
  long ahead = 0;
  bool behind_dot = false;

  for (; *p && *p != 'e' && *p != 'E'; p++) {
    if (*p == '.') {
      behind_dot = true;
      continue;
    }
    *out++ = *p;
    if (!behind_dot) ahead++;
  }
  *out = '\0';
  d.digits = digits;
  d.ndigits = (size_t)(out - digits);
  d.point = ahead;
  if (*p) {
    long exponent = strtol(p + 1, NULL, 10);
    d.point += exponent > 100000 ? 100000 : exponent < -100000 ? -100000 : exponent;
  }
  return d;
}

static bool whole_number(void *mem, const char *text, const char **out, struct err *e) {
  struct decimal d;
  struct str *s;

  *out = text;
  if (!strpbrk(text, ".eE")) return true;
  d = parse_decimal(mem, text);
  for (size_t i = 0; i < d.ndigits; i++)
    if ((long)i >= d.point && d.digits[i] != '0') return err_set(e, BAD_ARGUMENT, "%.60s is not a whole number", text);
  if (strspn(d.digits, "0") == d.ndigits) {
    *out = "0";
    return true;
  }
  if (d.point > MAX_INTEGER_DIGITS) return err_set(e, BAD_ARGUMENT, "%.60s is out of range", text);
  s = str_new(mem, MAX_INTEGER_DIGITS + 8);
  if (d.negative) str_char(s, '-');
  for (long i = 0; i < d.point; i++) str_char(s, i < (long)d.ndigits ? d.digits[i] : '0');
  *out = s->p;
  return true;
}

/* Literals. */

static bool wrong(const struct json *value, const struct type *type, struct err *e) {
  static const char *const wants[] = {[TYPE_OTHER] = "a string",
                                      [TYPE_INTEGER] = "a whole number or a string",
                                      [TYPE_NUMBER] = "a number or a string",
                                      [TYPE_BOOLEAN] = "true, false or a string",
                                      [TYPE_JSON] = "any JSON",
                                      [TYPE_ARRAY] = "an array or a string",
                                      [TYPE_COMPOSITE] = "an object or a string"};

  return err_set(e, BAD_ARGUMENT, "the type %s takes %s, not %s", type->name, wants[type->kind],
                 json_kind_name(value->kind));
}

static bool text_of(void *mem, const struct json *value, const struct type *type, const char **text, struct err *e);

static void quote(struct str *s, const char *text, bool row) {
  str_char(s, '"');
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') str_char(s, row ? *text : '\\');
    str_char(s, *text);
  }
  str_char(s, '"');
}

static bool put_element(void *mem, struct str *s, const struct json *value, const struct type *type, struct err *e);

static bool put_array(void *mem, struct str *s, const struct json *value, const struct type *type, struct err *e) {
  str_char(s, '{');
  for (size_t i = 0; i < value->len; i++) {
    if (i) str_char(s, type->delimiter);
    if (!put_element(mem, s, &value->items[i], type, e)) return false;
  }
  str_char(s, '}');
  return true;
}

/* An array within an array is a further dimension, unless the elements are JSON. type: the array's. */
static bool put_element(void *mem, struct str *s, const struct json *value, const struct type *type, struct err *e) {
  const char *text;

  if (value->kind == JSON_ARRAY && type->element->kind != TYPE_JSON) return put_array(mem, s, value, type, e);
  if (!text_of(mem, value, type->element, &text, e)) return false;
  if (text) quote(s, text, false);
  else str_add(s, "NULL");
  return true;
}

static bool put_row(void *mem, struct str *s, const struct json *value, const struct type *type, struct err *e) {
  size_t found = 0;

  str_char(s, '(');
  for (size_t i = 0; i < type->nfields; i++) {
    const struct json *field = json_get(value, type->fields[i].name);
    const char *text = NULL;

    if (i) str_char(s, ',');
    if (!field) continue;
    found++;
    if (!text_of(mem, field, type->fields[i].type, &text, e)) return false;
    if (text) quote(s, text, true);
  }
  str_char(s, ')');
  if (found == value->len) return true;
  for (size_t i = 0; i < value->len; i++) {
    size_t j = 0;
    while (j < type->nfields && strcmp(type->fields[j].name, value->keys[i]) != 0) j++;
    if (j == type->nfields)
      return err_set(e, BAD_ARGUMENT, "the type %s has no field \"%.100s\"", type->name, value->keys[i]);
  }
  return true;
}

static bool text_of(void *mem, const struct json *value, const struct type *type, const char **text, struct err *e) {
  struct str *s;

  *text = value->text;
  if (value->kind == JSON_NULL) {
    *text = NULL;
    return true;
  }
  if (value->kind == JSON_STRING) return true;
  if (value->kind == JSON_NUMBER && type->kind == TYPE_INTEGER) return whole_number(mem, value->text, text, e);
  if (value->kind == JSON_NUMBER && type->kind == TYPE_NUMBER) return true;
  if ((value->kind == JSON_TRUE || value->kind == JSON_FALSE) && type->kind == TYPE_BOOLEAN) {
    *text = value->kind == JSON_TRUE ? "true" : "false";
    return true;
  }
  s = str_new(mem, 128);
  *text = s->p;
  if (type->kind == TYPE_JSON) json_write(s, value);
  else if (type->kind == TYPE_ARRAY && value->kind == JSON_ARRAY) {
    if (!put_array(mem, s, value, type, e)) return false;
  } else if (type->kind == TYPE_COMPOSITE && value->kind == JSON_OBJECT) {
    if (!put_row(mem, s, value, type, e)) return false;
  } else return wrong(value, type, e);
  *text = s->p;
  return true;
}

/* References. */

static void slot_name(struct str *s, const struct expr *result) { str_printf(s, "writ.s%u", result->node->slot); }

const char *param_place(void *mem, const struct expr *result) {
  struct str *s = str_new(mem, 64);

  str_char(s, '{');
  slot_name(s, result);
  for (size_t i = 0; i < result->npath; i++) {
    str_char(s, ',');
    quote(s, result->path[i], false);
  }
  str_char(s, '}');
  return s->p;
}

/* Pieces: strings are JSON text as it is, arrays [slot, [path...]] are to be filled in. */
struct pieces {
  void *mem;
  struct str *out;  /* the JSON array of pieces */
  struct str *text; /* literal text not yet put out */
  struct err *e;
};

static void flush_text(struct pieces *p) {
  if (!p->text->len) return;
  if (p->out->len > 1) str_char(p->out, ',');
  str_json(p->out, p->text->p);
  str_clear(p->text);
}

static void put_hole(struct pieces *p, const struct expr *result) {
  flush_text(p);
  if (p->out->len > 1) str_char(p->out, ',');
  str_add(p->out, "[\"");
  slot_name(p->out, result);
  str_add(p->out, "\",[");
  for (size_t i = 0; i < result->npath; i++) {
    if (i) str_char(p->out, ',');
    str_json(p->out, result->path[i]);
  }
  str_add(p->out, "]]");
}

static const struct type *field_type(const struct type *type, const struct expr *x, size_t i) {
  if (!type) return NULL;
  if (type->kind == TYPE_ARRAY) return x->items[i].kind == EXPR_ARRAY ? type : type->element;
  for (size_t j = 0; type->kind == TYPE_COMPOSITE && x->kind == EXPR_OBJECT && j < type->nfields; j++)
    if (strcmp(type->fields[j].name, x->keys[i]) == 0) return type->fields[j].type;
  return NULL;
}

static bool put_expr(struct pieces *p, const struct expr *x, const struct type *type) {
  if (x->kind == EXPR_RESULT) {
    put_hole(p, x);
    return true;
  }
  if (x->kind == EXPR_LITERAL) {
    const char *digits;
    if (type && type->kind == TYPE_INTEGER && x->literal->kind == JSON_NUMBER) {
      if (!whole_number(p->mem, x->literal->text, &digits, p->e)) return false;
      str_add(p->text, digits);
    } else {
      json_write(p->text, x->literal);
    }
    return true;
  }
  str_char(p->text, x->kind == EXPR_ARRAY ? '[' : '{');
  for (size_t i = 0; i < x->n; i++) {
    if (i) str_char(p->text, ',');
    if (x->kind == EXPR_OBJECT) {
      str_json(p->text, x->keys[i]);
      str_char(p->text, ':');
    }
    if (!put_expr(p, &x->items[i], field_type(type, x, i))) return false;
  }
  str_char(p->text, x->kind == EXPR_ARRAY ? ']' : '}');
  return true;
}

static bool pieces_of(void *mem, const struct expr *x, const struct type *type, const char **text, struct err *e) {
  struct pieces p = {.mem = mem, .out = str_new(mem, 128), .text = str_new(mem, 128), .e = e};

  str_char(p.out, '[');
  if (!put_expr(&p, x, type)) return false;
  flush_text(&p);
  str_char(p.out, ']');
  *text = p.out->p;
  return true;
}

const char *param_pieces(void *mem, const struct expr *value) {
  const char *text = NULL;

  (void)!pieces_of(mem, value, NULL, &text, NULL); /* without a type nothing can be wrong */
  return text;
}

static bool is_scalar(const struct type *type) {
  return type->kind != TYPE_JSON && type->kind != TYPE_ARRAY && type->kind != TYPE_COMPOSITE;
}

/* A value that was a result is taken as the server would take it by reference: any scalar as its text, JSON as it is. */
static const char *text_of_result(void *mem, const struct json *value, const struct type *type) {
  struct str *s;

  if (value->kind == JSON_NULL) return NULL;
  if (type->kind != TYPE_JSON && value->kind == JSON_STRING) return value->text;
  s = str_new(mem, 64);
  json_write(s, value);
  return s->p;
}

bool param_encode(void *mem, const struct expr *value, const struct type *type, enum param_mode *mode, const char **text,
                  struct err *e) {
  *mode = PARAM_TEXT;
  if (value->kind == EXPR_LITERAL && value->was_result && (is_scalar(type) || type->kind == TYPE_JSON)) {
    *text = text_of_result(mem, value->literal, type);
    return true;
  }
  /* Into arrays and composite types the server converts it, as it does by reference: number to text, and so on. */
  if (value->kind == EXPR_LITERAL && !value->was_result) return text_of(mem, value->literal, type, text, e);
  if (value->kind == EXPR_RESULT && is_scalar(type)) {
    *mode = PARAM_TAKE;
    *text = param_place(mem, value);
    return true;
  }
  *mode = PARAM_BUILD;
  if (is_scalar(type))
    return err_set(e, BAD_ARGUMENT, "the type %s does not take %s", type->name,
                   value->kind == EXPR_ARRAY ? "an array" : "an object");
  if (value->kind == EXPR_OBJECT && type->kind == TYPE_COMPOSITE)
    for (size_t i = 0; i < value->n; i++)
      if (!field_type(type, value, i))
        return err_set(e, BAD_ARGUMENT, "the type %s has no field \"%.100s\"", type->name, value->keys[i]);
  return pieces_of(mem, value, type, text, e);
}
