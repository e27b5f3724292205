/* Reads mutations: of a manifest: a second file, with commands and a schema of its own, which builds on the manifest's. Paths in
 * it are relative to it. And graphql:, who may ask for the schema. */
#include "manifest/manifest_reader.h"

#include "base/arena.h"
#include "base/json.h"
#include "manifest/manifest.h"
#include "manifest/yaml.h"

#include <string.h>

static const char *file_of(struct manifest_reader *r, const char *where, const struct yaml *node) {
  static const char *const keys[] = {"file", NULL};
  const struct yaml *file;
  const char *path;

  if (!manifest_need_mapping(r, where, node, "file: ./mutations.yaml")) return NULL;
  for (size_t i = 0; i < node->json.len; i++)
    if (!manifest_is_in(node->json.keys[i], keys))
      manifest_wrong_key(r, node->key_lines[i], where, node->json.keys[i], keys);
  file = yaml_get(node, "file");
  if (!file) {
    manifest_wrong(r, node->line, where, "file: is missing");
    return NULL;
  }
  path = manifest_text(r, where, "file", file);
  return path ? manifest_path(r, path) : NULL;
}

static void check_version(struct manifest_reader *r, const struct yaml *root) {
  const struct yaml *version = yaml_get(root, "specVersion");

  if (!version || version->json.kind != JSON_NUMBER || strcmp(version->json.text, "1") != 0)
    manifest_wrong(r, version ? version->line : 1, "specVersion", "must be 1, the only one that this version of writ reads");
}

static void read_parts(struct manifest_reader *r, const struct yaml *root) {
  static const char *const keys[] = {"specVersion", "schema", "commands", NULL};
  const struct yaml *schema = yaml_get(root, "schema");
  const char *path;

  for (size_t i = 0; i < root->json.len; i++)
    if (!manifest_is_in(root->json.keys[i], keys))
      manifest_wrong_key(r, root->key_lines[i], "mutations", root->json.keys[i], keys);
  check_version(r, root);
  path = schema ? file_of(r, "schema", schema) : NULL;
  if (path) manifest_add_schema(r, path);
  r->more_commands = yaml_get(root, "commands");
  if (!r->more_commands) manifest_wrong(r, 1, "commands", "is missing; without it there are no mutations here");
}

void manifest_read_mutations(struct manifest_reader *r, const struct yaml *node) {
  const char *file = r->file;
  const struct yaml *root;

  r->more_file = file_of(r, "mutations", node);
  root = r->more_file ? yaml_load(r->mem, r->more_file, r->problems) : NULL;
  if (!root) return;
  r->file = r->more_file;
  if (manifest_need_mapping(r, "mutations", root, "specVersion: 1, schema: ..., commands: ...")) read_parts(r, root);
  r->file = file;
}

void manifest_read_graphql(struct manifest_reader *r, const struct yaml *node) {
  static const char *const keys[] = {"introspection", NULL};
  const struct yaml *list;

  if (!manifest_need_mapping(r, "graphql", node, "introspection: [admin]")) return;
  for (size_t i = 0; i < node->json.len; i++)
    if (!manifest_is_in(node->json.keys[i], keys))
      manifest_wrong_key(r, node->key_lines[i], "graphql", node->json.keys[i], keys);
  list = yaml_get(node, "introspection");
  if (!list) return;
  r->manifest->introspection_limited = true;
  manifest_read_roles(r, "graphql", "introspection", list, &r->manifest->introspection, &r->manifest->nintrospection);
}
