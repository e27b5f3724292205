/* YAML read into the same tree as JSON, with the line of each node; libyaml is the parser. Plain scalars follow YAML
 * 1.2's core schema (null ~ true false numbers), anything quoted is a string; digits that begin with 0 (0660) are
 * text, and numbers that JSON does not write so (.5, 0x1F, +1) are refused. Duplicate keys, anchors, aliases, merge
 * keys, tags and several documents are refused: a manifest says what it means. */
#ifndef WRIT_MANIFEST_YAML_H
#define WRIT_MANIFEST_YAML_H

#include "base/json.h"

struct problems;

struct yaml {
  struct json json;         /* kind and scalar text; .items/.keys too, so that any node is also a plain struct json */
  int line;                 /* from 1 */
  const struct yaml *nodes; /* json.len children, in order */
  const int *key_lines;     /* mappings: line of each key */
};

/* NULL when *p got an error. file is the name used in messages. */
const struct yaml *yaml_read(const void *mem, const char *file, const char *text, size_t len, struct problems *p);
const struct yaml *yaml_load(const void *mem, const char *file, struct problems *p);
const struct yaml *yaml_get(const struct yaml *mapping, const char *key); /* or NULL */

#endif
