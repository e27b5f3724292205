#include "base/json_schema.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

/* ---- values ---- */

/* Bounds and equality are of the number, not of its digits. */
static long double number_of(const struct json *value) { return strtold(value->text, NULL); }

/* Beyond the digits of a long double none are left behind the point. */
static bool is_whole(const struct json *value) {
  long double n = value->kind == JSON_NUMBER ? number_of(value) : 0.5L;
  return n > 9e18L || n < -9e18L || (long double)(long long)n == n;
}

static bool is_equal(const struct json *a, const struct json *b) {
  if (a->kind != b->kind) return false;
  if (a->kind == JSON_NUMBER) return number_of(a) == number_of(b);
  if (a->kind == JSON_STRING) return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
  if (a->kind != JSON_ARRAY && a->kind != JSON_OBJECT) return true;
  if (a->len != b->len) return false;
  for (size_t i = 0; i < a->len; i++) {
    const struct json *other = a->kind == JSON_ARRAY ? &b->items[i] : json_get(b, a->keys[i]);
    if (!other || !is_equal(&a->items[i], other)) return false;
  }
  return true;
}

static bool is_among(const struct json *value, const struct json *list) {
  for (size_t i = 0; i < list->len; i++)
    if (is_equal(value, &list->items[i])) return true;
  return false;
}

/* Characters, not bytes (section 6.3.1 of the validation specification). */
static long double length_of(const struct json *text) {
  size_t n = 0;

  for (size_t i = 0; i < text->len; i++) n += ((unsigned char)text->text[i] & 0xc0) != 0x80;
  return (long double)n;
}

static bool is_of_type(const struct json *value, const struct json *type) {
  static const char *const names[] = {
      [JSON_NULL] = "null",     [JSON_FALSE] = "boolean", [JSON_TRUE] = "boolean", [JSON_NUMBER] = "number",
      [JSON_STRING] = "string", [JSON_ARRAY] = "array",   [JSON_OBJECT] = "object"};
  return strcmp(type->text, names[value->kind]) == 0 || (strcmp(type->text, "integer") == 0 && is_whole(value));
}

/* ---- keywords ---- */

enum form { FORM_ANY, FORM_TYPE, FORM_LIST, FORM_NAMES, FORM_SCHEMA, FORM_SCHEMAS, FORM_NUMBER, FORM_COUNT };
/* What a bound is about, and on which side. */
enum measure { MEASURE_NOTHING, MEASURE_NUMBER, MEASURE_TEXT, MEASURE_ITEMS, MEASURE_MEMBERS };

static const struct keyword {
  const char *name;
  enum form form;
  enum measure measure;
  int side;    /* -1: at least, 1: at most */
  bool beyond; /* the bound itself is not allowed */
} keywords[] = {
    {"type", FORM_TYPE, 0, 0, false},
    {"enum", FORM_LIST, 0, 0, false},
    {"const", FORM_ANY, 0, 0, false},
    {"properties", FORM_SCHEMAS, 0, 0, false},
    {"required", FORM_NAMES, 0, 0, false},
    {"additionalProperties", FORM_SCHEMA, 0, 0, false},
    {"items", FORM_SCHEMA, 0, 0, false},
    {"minimum", FORM_NUMBER, MEASURE_NUMBER, -1, false},
    {"maximum", FORM_NUMBER, MEASURE_NUMBER, 1, false},
    {"exclusiveMinimum", FORM_NUMBER, MEASURE_NUMBER, -1, true},
    {"exclusiveMaximum", FORM_NUMBER, MEASURE_NUMBER, 1, true},
    {"minLength", FORM_COUNT, MEASURE_TEXT, -1, false},
    {"maxLength", FORM_COUNT, MEASURE_TEXT, 1, false},
    {"minItems", FORM_COUNT, MEASURE_ITEMS, -1, false},
    {"maxItems", FORM_COUNT, MEASURE_ITEMS, 1, false},
    {"minProperties", FORM_COUNT, MEASURE_MEMBERS, -1, false},
    {"maxProperties", FORM_COUNT, MEASURE_MEMBERS, 1, false},
    /* For people. */
    {"title", FORM_ANY, 0, 0, false},
    {"description", FORM_ANY, 0, 0, false},
    {"default", FORM_ANY, 0, 0, false},
    {"examples", FORM_ANY, 0, 0, false},
    {"deprecated", FORM_ANY, 0, 0, false},
    {"$schema", FORM_ANY, 0, 0, false},
    {"$comment", FORM_ANY, 0, 0, false},
};

static const struct keyword *find_keyword(const char *name) {
  for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
    if (strcmp(keywords[i].name, name) == 0) return &keywords[i];
  return NULL;
}

/* ---- is it a schema? ---- */

static bool is_type(const struct json *value) {
  static const char *const types[] = {"null", "boolean", "number", "integer", "string", "array", "object"};

  for (size_t i = 0; value->kind == JSON_STRING && i < sizeof types / sizeof *types; i++)
    if (strcmp(types[i], value->text) == 0) return true;
  return false;
}

static bool all_are(const struct json *list, bool (*is)(const struct json *)) {
  if (list->kind != JSON_ARRAY) return false;
  for (size_t i = 0; i < list->len; i++)
    if (!is(&list->items[i])) return false;
  return true;
}

static bool is_text(const struct json *value) { return value->kind == JSON_STRING; }

static bool read_members(const void *mem, const struct json *value, const char **why) {
  if (value->kind != JSON_OBJECT) {
    *why = "properties takes an object of schemas";
    return false;
  }
  for (size_t i = 0; i < value->len; i++)
    if (!json_schema_read(mem, &value->items[i], why)) {
      *why = arena_printf(mem, "%s: %s", value->keys[i], *why);
      return false;
    }
  return true;
}

static bool read_keyword(const void *mem, const struct keyword *k, const struct json *value, const char **why) {
  *why = arena_printf(mem, "%s does not take %s", k->name, json_kind_name(value->kind));
  switch (k->form) {
  case FORM_TYPE:
    if (!is_type(value) && !all_are(value, is_type))
      *why = "type takes null, boolean, number, integer, string, array, object, or a list of these";
    return is_type(value) || all_are(value, is_type);
  case FORM_LIST: return value->kind == JSON_ARRAY;
  case FORM_NAMES: return all_are(value, is_text);
  case FORM_NUMBER: return value->kind == JSON_NUMBER;
  case FORM_COUNT: return is_whole(value) && number_of(value) >= 0;
  case FORM_SCHEMA: return json_schema_read(mem, value, why);
  case FORM_SCHEMAS: return read_members(mem, value, why);
  default: return true;
  }
}

bool json_schema_read(const void *mem, const struct json *schema, const char **why) {
  if (schema->kind == JSON_TRUE || schema->kind == JSON_FALSE) return true;
  *why = arena_printf(mem, "a schema is an object, true or false, not %s", json_kind_name(schema->kind));
  if (schema->kind != JSON_OBJECT) return false;
  for (size_t i = 0; i < schema->len; i++) {
    const struct keyword *k = find_keyword(schema->keys[i]);

    *why = arena_printf(mem, "the keyword %s of JSON Schema is not known here", schema->keys[i]);
    if (!k || !read_keyword(mem, k, &schema->items[i], why)) return false;
  }
  return true;
}

/* ---- is it obeyed? ---- */

static bool below(const void *mem, const struct json *schema, const struct json *value, const char *name, const char **why) {
  if (json_schema_holds(mem, schema, value, why)) return true;
  *why = arena_printf(mem, "%s%s%s", name, (*why)[0] == ' ' ? "" : ".", *why);
  return false;
}

static bool holds_members(const void *mem, const struct json *schema, const struct json *value, const char **why) {
  const struct json *properties = json_get(schema, "properties"), *others = json_get(schema, "additionalProperties"),
                    *required = json_get(schema, "required");

  for (size_t i = 0; required && i < required->len; i++)
    if (!json_get(value, required->items[i].text)) {
      *why = arena_printf(mem, " has no member %s", required->items[i].text);
      return false;
    }
  for (size_t i = 0; i < value->len; i++) {
    const struct json *of = properties ? json_get(properties, value->keys[i]) : NULL;

    if (!of) of = others;
    if (of && !below(mem, of, &value->items[i], value->keys[i], why)) return false;
  }
  return true;
}

static bool holds_items(const void *mem, const struct json *schema, const struct json *value, const char **why) {
  const struct json *items = json_get(schema, "items");

  for (size_t i = 0; items && i < value->len; i++)
    if (!below(mem, items, &value->items[i], arena_printf(mem, "%zu", i), why)) return false;
  return true;
}

static bool holds_bound(const void *mem, const struct keyword *k, const struct json *bound, const struct json *value,
                        const char **why) {
  static const enum measure of[] = {[JSON_NUMBER] = MEASURE_NUMBER,
                                    [JSON_STRING] = MEASURE_TEXT,
                                    [JSON_ARRAY] = MEASURE_ITEMS,
                                    [JSON_OBJECT] = MEASURE_MEMBERS};
  long double most = k->side ? number_of(bound) : 0, is;

  if (!k->side || of[value->kind] != k->measure) return true;
  is = k->measure == MEASURE_NUMBER ? number_of(value)
       : k->measure == MEASURE_TEXT ? length_of(value)
                                    : (long double)value->len;
  if (k->beyond ? (is - most) * k->side < 0 : (is - most) * k->side <= 0) return true;
  *why = arena_printf(mem, " does not obey %s %s", k->name, bound->text);
  return false;
}

static bool holds_type(const void *mem, const struct json *type, const struct json *value, const char **why) {
  bool ok = type->kind == JSON_STRING && is_of_type(value, type);

  for (size_t i = 0; type->kind == JSON_ARRAY && i < type->len; i++) ok = ok || is_of_type(value, &type->items[i]);
  if (!ok) *why = arena_printf(mem, " is %s, which is not of the type", json_kind_name(value->kind));
  return ok;
}

bool json_schema_holds(const void *mem, const struct json *schema, const struct json *value, const char **why) {
  const struct json *part;

  *why = " is not allowed";
  if (schema->kind != JSON_OBJECT) return schema->kind == JSON_TRUE;
  if ((part = json_get(schema, "type")) && !holds_type(mem, part, value, why)) return false;
  if (((part = json_get(schema, "enum")) && !is_among(value, part)) ||
      ((part = json_get(schema, "const")) && !is_equal(value, part))) {
    *why = " is none of the allowed values";
    return false;
  }
  for (size_t i = 0; i < schema->len; i++)
    if (!holds_bound(mem, find_keyword(schema->keys[i]), &schema->items[i], value, why)) return false;
  if (value->kind == JSON_OBJECT) return holds_members(mem, schema, value, why);
  return value->kind != JSON_ARRAY || holds_items(mem, schema, value, why);
}
