/* What a manifest says of a model's fields: which roles may write them, and what writ puts in by itself (fields: and presets:
 * of models:). docs/permissions.md, "Fields". */
#ifndef WRIT_MANIFEST_MODEL_RULES_H
#define WRIT_MANIFEST_MODEL_RULES_H

#include <stdbool.h>
#include <stddef.h>

struct field;
struct json;
struct manifest;
struct manifest_reader;
struct model;
struct yaml;

struct preset {
  enum { PRESET_USER, PRESET_ROLE, PRESET_CLAIM, PRESET_LITERAL } kind;
  const char *const *path; /* CLAIM: names and indexes into the claims */
  size_t npath;
  const struct json *literal; /* LITERAL: a scalar, not null */
  const char *text;           /* as it is written: $claims.sub */
};

struct field_roles {
  bool limited; /* false: all may */
  const char *const *roles;
  size_t n;
};

struct field_rules {
  struct field_roles create, update;
  const struct preset *preset_create, *preset_update; /* NULL: none */
};

struct model_rules {
  const struct field_rules *fields; /* by field->index */
};

/* What is said of the field; NULL: nothing. */
const struct field_rules *manifest_field_rules(const struct manifest *m, const struct field *f);
/* May a caller with that role give the field a value, or change its link, in a create, or else in an update? A field with
 * a preset is writ's own: then only roles that fields: lists may. */
bool manifest_may_write(const struct manifest *m, const struct field *f, bool create, const char *role);

/* For manifest_models.c: fields: and presets: of one model; each node may be NULL. where: "models.User". */
void model_rules_read(struct manifest_reader *r, const struct model *m, const char *where, const struct yaml *fields,
                      const struct yaml *presets);

#endif
