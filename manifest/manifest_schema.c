/* Reads schema: of a manifest: which file the data model is in, and which database it is of. */
#include "manifest/manifest_reader.h"

#include "base/arena.h"
#include "base/json.h"
#include "graphql/ast.h"
#include "manifest/config.h"
#include "manifest/manifest.h"
#include "manifest/yaml.h"
#include "model/read.h"

#include <string.h>

const char *manifest_path(struct manifest_reader *r, const char *file) {
  const char *slash = strrchr(r->file, '/');

  if (file[0] == '/' || !slash) return file;
  return arena_printf(r->mem, "%.*s/%s", (int)(slash - r->file), r->file, file);
}

static void add_text(struct manifest_reader *r, const char *file, const struct graphql_definition *definitions) {
  struct schema_text *texts = (struct schema_text *)r->manifest->schema_texts;

  if (!definitions) return;
  arena_grow(r->mem, texts, r->manifest->nschema_texts);
  texts[r->manifest->nschema_texts++] = (struct schema_text){.file = file, .definitions = definitions};
  r->manifest->schema_texts = texts;
}

/* Its definitions are judged together with those of the data model, by schema/. */
void manifest_add_schema(struct manifest_reader *r, const char *file) {
  const struct graphql_document *document = model_document(r->mem, file, r->problems);

  if (document) add_text(r, file, document->definitions);
}

static void read_datasource(struct manifest_reader *r, const struct yaml *value) {
  const char *name = manifest_text(r, "schema", "datasource", value);

  for (size_t i = 0; name && i < r->config->ndatasources; i++) {
    if (strcmp(r->config->datasources[i].name, name) != 0) continue;
    r->manifest->model_datasource = i;
    return;
  }
  if (name) manifest_wrong(r, value->line, "schema", "datasource: %s is not in writ.yaml, datasources:", name);
}

void manifest_read_schema(struct manifest_reader *r, const struct yaml *node) {
  static const char *const keys[] = {"file", "datasource", NULL};
  const struct yaml *file, *datasource;
  const char *path;

  if (!manifest_need_mapping(r, "schema", node, "file: ./schema.graphql")) return;
  for (size_t i = 0; i < node->json.len; i++)
    if (!manifest_is_in(node->json.keys[i], keys))
      manifest_wrong_key(r, node->key_lines[i], "schema", node->json.keys[i], keys);
  if ((datasource = yaml_get(node, "datasource"))) read_datasource(r, datasource);
  file = yaml_get(node, "file");
  if (!file)
    manifest_wrong(r, node->line, "schema",
                   "file: is missing; name the file of the data model, as in file: ./schema.graphql");
  else if ((path = manifest_text(r, "schema", "file", file)))
    r->manifest->model = model_load(r->mem, manifest_path(r, path), NULL, r->problems);
  if (r->manifest->model) add_text(r, r->manifest->model->file, r->manifest->model->own);
}
