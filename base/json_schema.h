/* JSON Schema (draft 2020-12), the part of it that says how one value is built: type, enum, const, properties, required,
 * additionalProperties, items, and the bounds of numbers, texts, lists and objects. No references, combinations, patterns and
 * formats. There is no C library for it in Debian (valijson is C++), and a schema that is only half enforced would mislead: so a
 * keyword that is not known here is a mistake of the schema. */
#ifndef WRIT_BASE_JSON_SCHEMA_H
#define WRIT_BASE_JSON_SCHEMA_H

#include "base/json.h"

/* Is it a schema of that part? False: *why, in mem. */
bool json_schema_read(const void *mem, const struct json *schema, const char **why) __attribute__((warn_unused_result));
/* Does the value obey the schema, which json_schema_read has agreed to? False: *why, in mem: where, and what is wrong. */
bool json_schema_holds(const void *mem, const struct json *schema, const struct json *value, const char **why)
    __attribute__((warn_unused_result));

#endif
