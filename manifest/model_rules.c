/* Reads fields: and presets: of a model. */
#include "manifest/model_rules.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/nearest.h"
#include "manifest/manifest.h"
#include "manifest/manifest_reader.h"
#include "manifest/yaml.h"
#include "model/model.h"

#include <string.h>

/* One model's rules in the making. */
struct rules_reader {
  struct manifest_reader *r;
  const struct model *model;
  struct field_rules *fields;
};

/* ---- asking ---- */

const struct field_rules *manifest_field_rules(const struct manifest *m, const struct field *f) {
  const struct field_rules *fields = m && m->model_rules ? m->model_rules[f->model->id].fields : NULL;
  return fields ? &fields[f->index] : NULL;
}

bool manifest_may_write(const struct manifest *m, const struct field *f, bool create, const char *role) {
  const struct field_rules *rules = manifest_field_rules(m, f);
  const struct field_roles *may = rules ? create ? &rules->create : &rules->update : NULL;

  if (!rules) return true;
  if (!may->limited) return !rules->preset_create && !rules->preset_update;
  for (size_t i = 0; i < may->n; i++)
    if (strcmp(may->roles[i], role) == 0) return true;
  return false;
}

/* ---- fields ---- */

static const struct field *find_field(struct rules_reader *t, const char *where, int line, const char *name) {
  const struct model *m = t->model;
  const char **names = arena_array(t->r->mem, const char *, m->nfields + 1), *near;

  for (size_t i = 0; i < m->nfields; i++)
    if (strcmp(names[i] = m->fields[i].name, name) == 0) return &m->fields[i];
  near = nearest(name, names);
  manifest_wrong(t->r, line, where, "%s has no field %s%s%s%s", m->name, name, near ? "; did you mean " : "",
                 near ? near : "", near ? "?" : "");
  return NULL;
}

/* Set by the server whoever asks. */
static bool is_servers(const struct field *f) {
  return !f->relation && (f->source == SOURCE_CREATED || f->source == SOURCE_UPDATED || f->source == SOURCE_SEQUENCE);
}

static void read_field(struct rules_reader *t, const char *where, const struct yaml *node, struct field_rules *out) {
  static const char *const keys[] = {"write", "create", "update", NULL};

  if (!manifest_need_mapping(t->r, where, node, "{ write: [admin] }")) return;
  for (size_t i = 0; i < node->json.len; i++) {
    const char *key = node->json.keys[i];
    struct field_roles roles = {.limited = true};

    if (!manifest_is_in(key, keys)) {
      manifest_wrong_key(t->r, node->key_lines[i], where, key, keys);
      continue;
    }
    if (strcmp(key, "write") == 0 && node->json.len > 1)
      manifest_wrong(t->r, node->key_lines[i], where, "write: is create: and update: in one; give it alone, or these two");
    manifest_read_roles(t->r, where, key, &node->nodes[i], &roles.roles, &roles.n);
    if (strcmp(key, "update") != 0) out->create = roles;
    if (strcmp(key, "create") != 0) out->update = roles;
  }
}

static void read_fields(struct rules_reader *t, const char *where, const struct yaml *node) {
  if (!manifest_need_mapping(t->r, where, node, "email: { write: [admin] }")) return;
  for (size_t i = 0; i < node->json.len; i++) {
    const struct field *f = find_field(t, where, node->key_lines[i], node->json.keys[i]);

    if (!f) continue;
    if (is_servers(f))
      manifest_wrong(t->r, node->key_lines[i], where, "%s: is set by the server; nobody can write it", f->name);
    read_field(t, arena_printf(t->r->mem, "%s.%s", where, f->name), &node->nodes[i], &t->fields[f->index]);
  }
}

/* ---- presets ---- */

static const char **split_path(const void *mem, const char *text, size_t *n) {
  const char **parts = NULL;

  for (*n = 0; *text == '.'; text += strcspn(text, ".")) {
    text++;
    arena_grow(mem, parts, *n);
    parts[(*n)++] = arena_strndup(mem, text, strcspn(text, "."));
  }
  return parts;
}

/* "$claims.a.b": *out. False: it is none that is known. */
static bool read_reference(struct rules_reader *t, const char *text, struct preset *out) {
  static const char claims[] = "$claims.";

  *out = (struct preset){.kind = PRESET_USER, .text = text};
  if (strcmp(text, "$user") == 0) return true;
  out->kind = PRESET_ROLE;
  if (strcmp(text, "$role") == 0) return true;
  out->kind = PRESET_CLAIM;
  if (strncmp(text, claims, strlen(claims)) != 0) return false;
  out->path = split_path(t->r->mem, text + strlen(claims) - 1, &out->npath);
  for (size_t i = 0; i < out->npath; i++)
    if (!*out->path[i]) return false;
  return true;
}

static const struct preset *read_preset(struct rules_reader *t, const char *where, const struct yaml *node) {
  struct preset *out = arena_new(t->r->mem, struct preset);
  const struct json *value = &node->json;
  struct json *text;

  *out = (struct preset){.kind = PRESET_LITERAL, .literal = value, .text = value->text};
  if (value->kind == JSON_NULL || value->kind == JSON_ARRAY || value->kind == JSON_OBJECT) {
    manifest_wrong(t->r, node->line, where, "must be one value: $user, $role, $claims.name, or a constant");
    return NULL;
  }
  if (value->kind != JSON_STRING || value->text[0] != '$') return out;
  if (value->text[1] != '$') {
    if (read_reference(t, value->text, out)) return out;
    manifest_wrong(t->r, node->line, where, "%s is none of $user, $role, $claims.name; a literal dollar is written $$",
                   value->text);
    return NULL;
  }
  text = arena_new(t->r->mem, struct json);
  *text = (struct json){.kind = JSON_STRING, .text = value->text + 1, .len = value->len - 1};
  out->literal = text;
  return out;
}

/* Why a value cannot be put in there; NULL: it can. */
static const char *cannot_preset(const struct field *f, bool create) {
  const struct key *key = f->relation ? field_there(f)->model->key : NULL;

  if (is_servers(f)) return "is set by the server already";
  if (f->list) return "is a list; only single values and links to one can be preset";
  if (!create && f->in_key) return "is part of the key, which updates do not change; preset it in creates";
  if (key && (key->nfields != 1 || key->fields[0]->relation)) return "links to a type whose key has several fields";
  if (!f->relation && f->scalar == SCALAR_JSON) return "is Json; only single values and links to one can be preset";
  return NULL;
}

static void read_presets(struct rules_reader *t, const char *where, const struct yaml *node, bool create) {
  if (!manifest_need_mapping(t->r, where, node, "owner: $claims.sub")) return;
  for (size_t i = 0; i < node->json.len; i++) {
    const struct field *f = find_field(t, where, node->key_lines[i], node->json.keys[i]);
    const char *reason = f ? cannot_preset(f, create) : NULL;
    const struct preset *preset;

    if (!f) continue;
    if (reason) manifest_wrong(t->r, node->key_lines[i], where, "%s: %s", f->name, reason);
    preset = read_preset(t, arena_printf(t->r->mem, "%s.%s", where, f->name), &node->nodes[i]);
    if (create) t->fields[f->index].preset_create = preset;
    else t->fields[f->index].preset_update = preset;
  }
}

/* Is it { create: {...}, update: {...} }? */
static bool is_by_operation(const struct yaml *node) {
  for (size_t i = 0; i < node->json.len; i++)
    if (node->nodes[i].json.kind != JSON_OBJECT ||
        (strcmp(node->json.keys[i], "create") != 0 && strcmp(node->json.keys[i], "update") != 0))
      return false;
  return node->json.len > 0;
}

static void read_all_presets(struct rules_reader *t, const char *where, const struct yaml *node) {
  const struct yaml *create, *update;

  if (node->json.kind != JSON_OBJECT || !is_by_operation(node)) {
    read_presets(t, where, node, true);
    return;
  }
  create = yaml_get(node, "create");
  update = yaml_get(node, "update");
  if (create) read_presets(t, arena_printf(t->r->mem, "%s.create", where), create, true);
  if (update) read_presets(t, arena_printf(t->r->mem, "%s.update", where), update, false);
}

void model_rules_read(struct manifest_reader *r, const struct model *m, const char *where, const struct yaml *fields,
                      const struct yaml *presets) {
  struct rules_reader t = {.r = r, .model = m};
  struct manifest *manifest = r->manifest;

  if (!fields && !presets) return;
  t.fields = arena_array(r->mem, struct field_rules, m->nfields);
  if (!manifest->model_rules) manifest->model_rules = arena_array(r->mem, struct model_rules, manifest->model->nmodels);
  manifest->model_rules[m->id].fields = t.fields;
  if (fields) read_fields(&t, arena_printf(r->mem, "%s.fields", where), fields);
  if (presets) read_all_presets(&t, arena_printf(r->mem, "%s.presets", where), presets);
}
