/* Values of scalars and enums. */
#include "documents/scalar.h"

#include "base/arena.h"
#include "base/nearest.h"
#include "base/str.h"
#include "compile/input.h"
#include "documents/errors.h"
#include "graphql/print.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { WHOLE_DIGITS_MAX = 400, JSON_DEPTH_MAX = 64 };

struct json *json_new_text(void *mem, enum json_kind kind, const char *text) {
  struct json *j = arena_new(mem, struct json);

  *j = (struct json){.kind = kind, .text = text, .len = strlen(text)};
  return j;
}

static const struct json *json_bool(void *mem, bool value) {
  struct json *j;

  if (value) return &json_true;
  j = arena_new(mem, struct json);
  j->kind = JSON_FALSE;
  return j;
}

/* ---- whole numbers ---- */

/* The digits of a whole number, which JSON may write as 1.0 or 1e2; NULL: it is none, or has too many digits. */
static const char *whole_digits(void *mem, const char *text) {
  bool negative = *text == '-';
  const char *p = text + negative;
  size_t ahead = strspn(p, "0123456789"), n = 0;
  const char *fraction = p[ahead] == '.' ? p + ahead + 1 : "";
  size_t behind = strspn(fraction, "0123456789");
  const char *e = strpbrk(p, "eE");
  long exponent = e ? strtol(e + 1, NULL, 10) : 0;
  char *out;

  if (!e && !behind && !(negative && *p == '0')) return text;
  if (ahead > WHOLE_DIGITS_MAX || exponent > WHOLE_DIGITS_MAX || exponent < -WHOLE_DIGITS_MAX) return NULL;
  while (behind && fraction[behind - 1] == '0') behind--;
  if (exponent < (long)behind) { /* digits must go: they have to be zeros */
    if (behind) return NULL;
    for (; exponent < 0 && ahead > 1 && p[ahead - 1] == '0'; exponent++) ahead--;
    if (exponent < 0 && !(ahead == 1 && *p == '0')) return NULL;
    if (exponent < 0) exponent = 0;
  }
  out = arena_zeros(mem, 1, 1 + ahead + behind + (size_t)exponent + 1, "digits");
  for (size_t i = 0; i < ahead + (size_t)exponent; i++)
    out[1 + n++] = i < ahead ? p[i] : i - ahead < behind ? fraction[i - ahead] : '0';
  for (; n > 1 && out[1] == '0'; n--) memmove(out + 1, out + 2, n);
  out[0] = '-';
  return negative && out[1] != '0' ? out : out + 1;
}

static bool fits_32(const char *digits) {
  long long n;

  if (strlen(digits) > 11) return false;
  n = strtoll(digits, NULL, 10);
  return n >= INT32_MIN && n <= INT32_MAX;
}

/* ---- what is wrong ---- */

static const char *shown_json(void *mem, const struct json *value) {
  struct str *s = str_new(mem, 64);

  json_write(s, value);
  return gql_error_cut(mem, s->p);
}

static const char *enum_hint(void *mem, const struct gql_type *type, const char *text) {
  const char **names = arena_array(mem, const char *, type->nvalues + 1), *likely;

  for (size_t i = 0; i < type->nvalues; i++) names[i] = type->values[i].name;
  likely = nearest(text, names);
  return likely ? arena_printf(mem, " Did you mean the enum value \"%s\"?", likely) : "";
}

/* ---- the specification's scalars, enums ---- */

static const char *int_of(void *mem, const char *digits, const char *shown, const struct json **out) {
  if (!digits) return arena_printf(mem, "Int cannot represent non-integer value: %s", shown);
  if (!fits_32(digits)) return arena_printf(mem, "Int cannot represent non 32-bit signed integer value: %s", shown);
  *out = json_new_text(mem, JSON_NUMBER, digits);
  return NULL;
}

static const char *float_of(void *mem, const char *number, const char *shown, const struct json **out) {
  if (!number || !isfinite(strtod(number, NULL)))
    return arena_printf(mem, "Float cannot represent non numeric value: %s", shown);
  *out = json_new_text(mem, JSON_NUMBER, number);
  return NULL;
}

static const char *enum_of(void *mem, const struct gql_type *type, const char *name, const struct json **out) {
  if (!schema_value(type, name))
    return arena_printf(mem, "Value \"%s\" does not exist in \"%s\" enum.%s", gql_error_cut(mem, name), type->name,
                        enum_hint(mem, type, name));
  *out = json_new_text(mem, JSON_STRING, name);
  return NULL;
}

/* ---- scalars of data models ---- */

struct model_scalar {
  const char *name;
  enum scalar scalar;
};

static const struct model_scalar model_scalars[] = {
    {"BigInt", SCALAR_BIGINT}, {"DateTime", SCALAR_DATETIME}, {"Decimal", SCALAR_DECIMAL},
    {"Json", SCALAR_JSON},     {"UUID", SCALAR_UUID},
};

static const struct model_scalar *model_scalar(const struct gql_type *type) {
  for (size_t i = 0; i < sizeof model_scalars / sizeof *model_scalars; i++)
    if (strcmp(model_scalars[i].name, type->name) == 0) return &model_scalars[i];
  return NULL;
}

/* Objects and lists; a string is one that is written out. */
static const char *json_of(void *mem, const struct json *value, const struct json **out) {
  struct err e;

  err_init(&e, mem);
  *out = value;
  if (value->kind == JSON_STRING && !json_read(mem, value->text, value->len, JSON_DEPTH_MAX, out, &e))
    return arena_printf(mem, "Expected type \"Json\". The string is not JSON: %s", e.message);
  if ((*out)->kind == JSON_OBJECT || (*out)->kind == JSON_ARRAY) return NULL;
  return "Expected type \"Json\". It takes an object or a list, or a string with one of them in JSON.";
}

static const char *model_of(void *mem, const struct model_scalar *scalar, const struct json *value,
                            const struct json **out) {
  const char *text;
  struct err e;

  if (scalar->scalar == SCALAR_JSON) return json_of(mem, value, out);
  err_init(&e, mem);
  *out = value;
  if (scalar->scalar == SCALAR_BIGINT && value->kind == JSON_NUMBER) {
    const char *digits = whole_digits(mem, value->text);
    if (digits) *out = value = json_new_text(mem, JSON_NUMBER, digits);
  }
  if (input_text(mem, value, scalar->scalar, NULL, &text, &e)) return NULL;
  return arena_printf(mem, "Expected type \"%s\". It %s.", scalar->name, e.message);
}

/* ---- JSON ---- */

static bool named(const struct gql_type *type, const char *name) { return strcmp(type->name, name) == 0; }

static const char *string_of_json(void *mem, const struct json *value, const struct json **out) {
  if (value->kind != JSON_STRING)
    return arena_printf(mem, "String cannot represent a non string value: %s", shown_json(mem, value));
  *out = value;
  return NULL;
}

static const char *boolean_of_json(void *mem, const struct json *value, const struct json **out) {
  if (value->kind != JSON_TRUE && value->kind != JSON_FALSE)
    return arena_printf(mem, "Boolean cannot represent a non boolean value: %s", shown_json(mem, value));
  *out = value;
  return NULL;
}

static const char *id_of_json(void *mem, const struct json *value, const struct json **out) {
  const char *digits = value->kind == JSON_NUMBER ? whole_digits(mem, value->text) : NULL;

  *out = digits ? json_new_text(mem, JSON_STRING, digits) : value;
  return (*out)->kind == JSON_STRING ? NULL : arena_printf(mem, "ID cannot represent value: %s", shown_json(mem, value));
}

static const char *enum_of_json(void *mem, const struct gql_type *type, const struct json *value, const struct json **out) {
  if (value->kind == JSON_STRING) return enum_of(mem, type, value->text, out);
  return arena_printf(mem, "Enum \"%s\" cannot represent non-string value: %s.", type->name, shown_json(mem, value));
}

const char *scalar_of_json(void *mem, const struct gql_type *type, const struct json *value, const struct json **out) {
  const char *number = value->kind == JSON_NUMBER ? value->text : NULL;
  const struct model_scalar *scalar;

  if (type->kind == GQL_ENUM) return enum_of_json(mem, type, value, out);
  if (named(type, "String")) return string_of_json(mem, value, out);
  if (named(type, "Boolean")) return boolean_of_json(mem, value, out);
  if (named(type, "ID")) return id_of_json(mem, value, out);
  if (named(type, "Int")) return int_of(mem, number ? whole_digits(mem, number) : NULL, shown_json(mem, value), out);
  if (named(type, "Float")) return float_of(mem, number, shown_json(mem, value), out);
  if ((scalar = model_scalar(type)) != NULL) return model_of(mem, scalar, value, out);
  *out = value;
  return NULL;
}

/* ---- literals ---- */

bool scalar_is_foreign(const struct gql_type *type) {
  static const char *const own[] = {"Boolean", "Float", "ID", "Int", "String"};

  for (size_t i = 0; i < sizeof own / sizeof *own; i++)
    if (named(type, own[i])) return false;
  return type->kind == GQL_SCALAR && !model_scalar(type);
}

const struct json *scalar_untyped(void *mem, const struct graphql_value *value) {
  switch (value->kind) {
  case GRAPHQL_VALUE_NULL: return &json_null;
  case GRAPHQL_VALUE_BOOLEAN: return json_bool(mem, value->text[0] == 't');
  case GRAPHQL_VALUE_INT:
  case GRAPHQL_VALUE_FLOAT: return json_new_text(mem, JSON_NUMBER, value->text);
  default: return strlen(value->text) == value->len ? json_new_text(mem, JSON_STRING, value->text) : NULL;
  }
}

static const char *shown(void *mem, const struct graphql_value *value) {
  struct str *s = str_new(mem, 64);

  graphql_print_value(s, value);
  return gql_error_cut(mem, s->p);
}

static const char *enum_of_literal(void *mem, const struct gql_type *type, const struct graphql_value *value,
                                   const struct json **out) {
  bool is_text = value->kind == GRAPHQL_VALUE_STRING;

  if (value->kind == GRAPHQL_VALUE_ENUM) return enum_of(mem, type, value->text, out);
  return arena_printf(mem, "Enum \"%s\" cannot represent non-enum value: %s.%s", type->name, shown(mem, value),
                      is_text ? enum_hint(mem, type, value->text) : "");
}

/* Which kinds of literals a scalar takes, and what is said of others. */
struct literal_rule {
  const char *type;
  unsigned kinds; /* bits */
  const char *wrong;
};

#define KIND(name) (1u << GRAPHQL_VALUE_##name)
static const struct literal_rule literal_rules[] = {
    {"Boolean", KIND(BOOLEAN), "Boolean cannot represent a non boolean value: %s"},
    {"Float", KIND(INT) | KIND(FLOAT), "Float cannot represent non numeric value: %s"},
    {"ID", KIND(INT) | KIND(STRING), "ID cannot represent a non-string and non-integer value: %s"},
    {"Int", KIND(INT), "Int cannot represent non-integer value: %s"},
    {"String", KIND(STRING), "String cannot represent a non string value: %s"},
    {"BigInt", KIND(INT) | KIND(STRING), "Expected value of type \"BigInt\", found %s."},
    {"DateTime", KIND(STRING), "Expected value of type \"DateTime\", found %s."},
    {"Decimal", KIND(INT) | KIND(FLOAT) | KIND(STRING), "Expected value of type \"Decimal\", found %s."},
    {"Json", KIND(STRING), "Expected value of type \"Json\", found %s; it is a string with JSON in it, or a variable."},
    {"UUID", KIND(STRING), "Expected value of type \"UUID\", found %s."},
};

static const struct literal_rule *literal_rule(const struct gql_type *type) {
  for (size_t i = 0; i < sizeof literal_rules / sizeof *literal_rules; i++)
    if (named(type, literal_rules[i].type)) return &literal_rules[i];
  return NULL;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the table above */
static const char *wrong_kind(void *mem, const struct literal_rule *rule, const struct graphql_value *value) {
  return arena_printf(mem, rule->wrong, shown(mem, value));
}
#pragma GCC diagnostic pop

const char *scalar_of_literal(void *mem, const struct gql_type *type, const struct graphql_value *value,
                              const struct json **out) {
  const struct literal_rule *rule;
  const struct json *plain;

  *out = NULL;
  if (type->kind == GQL_ENUM) return enum_of_literal(mem, type, value, out);
  rule = literal_rule(type);
  if (rule && !(rule->kinds & 1u << value->kind)) return wrong_kind(mem, rule, value);
  if (value->kind == GRAPHQL_VALUE_LIST || value->kind == GRAPHQL_VALUE_OBJECT) return NULL;
  plain = scalar_untyped(mem, value);
  if (!plain) return arena_printf(mem, "%s cannot hold the character U+0000.", type->name);
  return scalar_of_json(mem, type, plain, out);
}
