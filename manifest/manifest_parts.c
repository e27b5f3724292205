/* Small parts of a manifest that are read alike wherever they stand. */
#include "manifest/manifest_reader.h"
#include "manifest/yaml.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/nearest.h"
#include "base/problems.h"
#include "base/str.h"
#include "manifest/manifest.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATUS_MIN = 400, STATUS_MAX = 499 };

void manifest_wrong(struct manifest_reader *r, int line, const char *where, const char *format, ...) {
  char what[2048]; /* longer ones are cut */
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  problems_add(r->problems, r->file, line, "%s: %s", where, what);
}

bool manifest_is_in(const char *word, const char *const *words) {
  for (; *words; words++)
    if (strcmp(word, *words) == 0) return true;
  return false;
}

void manifest_wrong_key(struct manifest_reader *r, int line, const char *where, const char *key, const char *const *keys) {
  const char *near = nearest(key, keys);
  struct str *list = str_new(r->mem, 128);

  for (size_t i = 0; keys[i]; i++) str_printf(list, "%s%s", i ? ", " : "", keys[i]);
  if (near) manifest_wrong(r, line, where, "unknown key %s; did you mean %s?", key, near);
  else manifest_wrong(r, line, where, "unknown key %s; there are: %s", key, list->p);
}

/* The text of a value, or NULL and a problem. */
const char *manifest_text(struct manifest_reader *r, const char *where, const char *key, const struct yaml *value) {
  if (value->json.kind == JSON_STRING && value->json.text[0] != '\0') return value->json.text;
  manifest_wrong(r, value->line, where, "%s: must be text%s", key,
                 value->json.kind == JSON_STRING || value->json.kind == JSON_NULL ? ", and is empty" : "; put it in quotes");
  return NULL;
}

bool manifest_need_mapping(struct manifest_reader *r, const char *where, const struct yaml *value, const char *form) {
  if (value->json.kind == JSON_OBJECT) return true;
  manifest_wrong(r, value->line, where, "must be a mapping: %s", form);
  return false;
}

bool manifest_number(struct manifest_reader *r, const char *where, const char *key, const struct yaml *value, int min,
                     int max, int *out) {
  const char *text = value->json.kind == JSON_NUMBER ? value->json.text : "";
  size_t n = strlen(text);
  int number = n > 0 && n < 10 && strspn(text, "0123456789") == n ? atoi(text) : -1;

  if (number < min || number > max) {
    manifest_wrong(r, value->line, where, "%s: must be a number from %d to %d", key, min, max);
    return false;
  }
  *out = number;
  return true;
}

bool manifest_flag(struct manifest_reader *r, const char *where, const char *key, const struct yaml *value, bool *out) {
  if (value->json.kind != JSON_TRUE && value->json.kind != JSON_FALSE) {
    manifest_wrong(r, value->line, where, "%s: must be true or false", key);
    return false;
  }
  *out = value->json.kind == JSON_TRUE;
  return true;
}

bool manifest_is_role(const char *text) {
  size_t n = strlen(text);
  if (n == 0 || n > MANIFEST_ROLE_BYTES) return false;
  for (; *text; text++)
    if ((unsigned char)*text <= ' ' || *text == 0x7f) return false;
  return true;
}

bool manifest_has_role(const struct manifest *m, const char *role) {
  for (size_t i = 0; i < m->nroles; i++)
    if (strcmp(m->roles[i].role, role) == 0) return true;
  return m->nroles == 0;
}

static bool is_code(const char *text) {
  size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
  return text[0] >= 'A' && text[0] <= 'Z' && text[n] == '\0' && n <= SQL_NAME_BYTES;
}

static void read_code(struct manifest_reader *r, const char *where, const struct yaml *value, struct own_error *out) {
  const char *code = manifest_text(r, where, "code", value);
  if (code && !is_code(code))
    manifest_wrong(r, value->line, where, "code: %s must be capital letters, digits and _, as in USERNAME_TAKEN", code);
  out->code = code;
}

static void read_status(struct manifest_reader *r, const char *where, const struct yaml *value, struct own_error *out) {
  const char *text = value->json.kind == JSON_NUMBER ? value->json.text : "";
  int status = strlen(text) == 3 ? atoi(text) : 0;
  if (status < STATUS_MIN || status > STATUS_MAX)
    manifest_wrong(r, value->line, where, "status: must be a number from %d to %d", STATUS_MIN, STATUS_MAX);
  else out->status = status;
}

static void read_message(struct manifest_reader *r, const char *where, const struct yaml *value, struct own_error *out) {
  out->message = manifest_text(r, where, "message", value);
}

void manifest_own_error(struct manifest_reader *r, const char *where, const struct yaml *node, struct own_error *out) {
  static const char *const keys[] = {"code", "status", "message", NULL};
  static void (*const readers[])(struct manifest_reader *, const char *, const struct yaml *,
                                 struct own_error *) = {read_code, read_status, read_message};

  if (!manifest_need_mapping(r, where, node, "{ code: ..., status: ..., message: ... }")) return;
  if (node->json.len == 0) manifest_wrong(r, node->line, where, "is empty; give code, status or message");
  for (size_t i = 0; i < node->json.len; i++) {
    size_t k = 0;
    while (keys[k] && strcmp(keys[k], node->json.keys[i]) != 0) k++;
    if (keys[k]) readers[k](r, where, &node->nodes[i], out);
    else manifest_wrong_key(r, node->key_lines[i], where, node->json.keys[i], keys);
  }
}

void manifest_read_roles(struct manifest_reader *r, const char *where, const char *key, const struct yaml *value,
                         const char *const **out, size_t *n) {
  const char **roles;

  if (value->json.kind != JSON_ARRAY) {
    manifest_wrong(r, value->line, where, "%s: must be a list of roles, as in [anonymous, admin]", key);
    return;
  }
  roles = arena_array(r->mem, const char *, value->json.len + 1);
  *n = 0;
  for (size_t i = 0; i < value->json.len; i++) {
    const struct yaml *item = &value->nodes[i];
    const char *role = manifest_text(r, where, key, item);
    if (!role) continue;
    if (!manifest_is_role(role))
      manifest_wrong(r, item->line, where, "%s: a role has no blanks and 1 to %d bytes", key, MANIFEST_ROLE_BYTES);
    else if (manifest_is_in(role, roles))
      manifest_wrong(r, item->line, where, "%s: %s stands here twice; remove one", key, role);
    else if (!manifest_has_role(r->manifest, role))
      manifest_wrong(r, item->line, where, "%s: role %s is not in roles:; map it there to a role of the database", key,
                     role);
    roles[(*n)++] = role;
  }
  *out = roles;
}
