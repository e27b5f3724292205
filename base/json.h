/* JSON read strictly (RFC 8259, I-JSON where it matters): duplicate keys, invalid UTF-8, lone surrogates, \u0000 and
 * nesting beyond a limit are refused, numbers keep every digit. jansson is the parser; it has no raw-number mode, so a
 * pass ahead of it puts the literals aside (see json.c). Nobody else sees that. */
#ifndef WRIT_BASE_JSON_H
#define WRIT_BASE_JSON_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct str;

enum json_kind { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* Immutable once read; lives in the arena it was read into. */
struct json {
  enum json_kind kind;
  size_t len;               /* bytes of text, or number of items */
  const char *text;         /* STRING: UTF-8, no NUL inside; NUMBER: the literal as written */
  const struct json *items; /* ARRAY: elements; OBJECT: values */
  const char *const *keys;  /* OBJECT: names, in the order written */
};

/* Not the symbols json_null and json_true: libjansson exports functions of these names and would call our data. */
#define json_null json_null_node
#define json_true json_true_node
extern const struct json json_null, json_true;

/* One JSON text of len bytes. False: BAD_JSON with line and column in the message, which quotes nothing of the text, or
 * TOO_LARGE for more than a million values. max_depth: arrays and objects within each other, 1 for [] or {}. The input
 * need not end in NUL. */
bool json_read(const void *mem, const char *text, size_t len, unsigned max_depth, const struct json **root, struct err *e)
    __attribute__((warn_unused_result));

/* The member named key, or NULL. */
const struct json *json_get(const struct json *object, const char *key);

/* Text again, compact, numbers as they were written. */
void json_write(struct str *out, const struct json *value);

const char *json_kind_name(enum json_kind kind); /* "a number", "an object", ... for messages */

#endif
