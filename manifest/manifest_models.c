/* Reads models: of a manifest, and adds the commands that every model of the data model has. */
#include "manifest/manifest_reader.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/nearest.h"
#include "base/problems.h"
#include "manifest/manifest.h"
#include "manifest/model_rules.h"
#include "manifest/yaml.h"
#include "model/model.h"

#include <stddef.h>
#include <string.h>

/* What stands under a model in models:; query is for all that read. */
static const char *const operation_keys[] = {
    [OPERATION_CREATE] = "create",
    [OPERATION_UPDATE] = "update",
    [OPERATION_UPSERT] = "upsert",
    [OPERATION_DELETE] = "delete",
    [OPERATION_UPDATE_MANY] = "updateMany",
    [OPERATION_DELETE_MANY] = "deleteMany",
    [OPERATION_ONE] = "query",
    [OPERATION_MANY] = "query",
    [OPERATION_CONNECTION] = "query",
};
enum { NOPERATIONS = sizeof operation_keys / sizeof *operation_keys };

static const char *const model_keys[] = {"create",     "update", "upsert", "delete",  "updateMany",
                                         "deleteMany", "query",  "fields", "presets", NULL};

/* Arguments; one that is not given is null, but for those with a !. To permissions they are jsonb. */
static const char *const operation_args[] = {
    [OPERATION_CREATE] = "data select",
    [OPERATION_UPDATE] = "where! data! select",
    [OPERATION_UPSERT] = "where! create! update! select",
    [OPERATION_DELETE] = "where! select",
    [OPERATION_UPDATE_MANY] = "where data!",
    [OPERATION_DELETE_MANY] = "where",
    [OPERATION_ONE] = "where! select",
    [OPERATION_MANY] = "where orderBy skip first last after before select",
    [OPERATION_CONNECTION] = "where orderBy skip first last after before select",
};

static const char *operation_name(const struct model *m, enum operation o) {
  const char *const names[] = {
      [OPERATION_CREATE] = m->mutation.create,
      [OPERATION_UPDATE] = m->mutation.update,
      [OPERATION_UPSERT] = m->mutation.upsert,
      [OPERATION_DELETE] = m->mutation.delete,
      [OPERATION_UPDATE_MANY] = m->mutation.update_many,
      [OPERATION_DELETE_MANY] = m->mutation.delete_many,
      [OPERATION_ONE] = m->query.one,
      [OPERATION_MANY] = m->query.many,
      [OPERATION_CONNECTION] = m->query.connection,
  };
  return names[o];
}

static void add_args(const void *mem, struct command *c) {
  const char *p = operation_args[c->operation];

  while (*p) {
    size_t len = strcspn(p, " !");
    bool required = p[len] == '!';

    arena_grow(mem, c->args, c->nargs);
    c->args[c->nargs++] =
        (struct argument){.name = arena_strndup(mem, p, len), .type = "jsonb", .fallback = required ? NULL : &json_null};
    p += len + required;
    p += *p == ' ';
  }
}

static bool is_taken(const struct manifest *m, const char *name) {
  for (size_t i = 0; i < m->ncommands; i++)
    if (strcmp(m->commands[i]->name, name) == 0) return true;
  return false;
}

static struct draft *add_command(struct manifest_reader *r, const struct model *m, enum operation o) {
  const char *name = operation_name(m, o);
  struct draft *d;

  if (is_taken(r->manifest, name))
    manifest_wrong(r, 0, "models", "%s is a command of the model %s and of another; rename one", name, m->name);
  d = manifest_add_draft(r, name, 0);
  d->command->kind = o >= OPERATION_ONE ? COMMAND_QUERY : COMMAND_MUTATION;
  d->command->model = m;
  d->command->operation = o;
  d->command->datasource = r->manifest->model_datasource;
  d->command->max_affected = -1;
  d->kind_known = d->args_known = true;
  add_args(r->mem, d->command);
  return d;
}

/* What stands under an operation, for each of the commands that it means. In the order in which it is read: arguments (of
 * which version: adds one) are known before what names them. */
enum {
  OF_CREATE = 1 << OPERATION_CREATE,
  OF_ONE = 1 << OPERATION_UPDATE | 1 << OPERATION_UPSERT | 1 << OPERATION_DELETE,
  OF_MANY = 1 << OPERATION_UPDATE_MANY | 1 << OPERATION_DELETE_MANY,
  OF_MUTATIONS = OF_CREATE | OF_ONE | OF_MANY,
  OF_ALL = (1 << NOPERATIONS) - 1
};

static void bind_permissions(struct manifest_reader *r, struct draft *d, const struct yaml *value) {
  (void)value;
  manifest_bind_permissions(r, d);
}

static const struct operation_key {
  const char *name; /* NULL: not a key, but a step */
  unsigned operations;
  void (*read)(struct manifest_reader *, struct draft *, const struct yaml *);
} operation_parts[] = {
    {"allow", OF_ALL, manifest_read_allow},
    {"permissions", OF_ALL, manifest_read_permissions},
    {"version", OF_ONE, manifest_read_version},
    {"max_affected", OF_MANY, manifest_read_max_affected},
    {NULL, OF_ALL, bind_permissions},
    {"mutex", OF_MUTATIONS, mutex_read},
    {"hooks", OF_MUTATIONS, manifest_read_hooks},
    {"events", OF_MUTATIONS, manifest_read_events},
};
enum { NPARTS = sizeof operation_parts / sizeof *operation_parts };

static void check_operation_keys(struct manifest_reader *r, const char *where, const struct yaml *node, enum operation o) {
  const char *names[NPARTS + 1] = {NULL};
  size_t n = 0;

  for (size_t k = 0; k < NPARTS; k++)
    if (operation_parts[k].name && operation_parts[k].operations & (1U << o)) names[n++] = operation_parts[k].name;
  for (size_t i = 0; i < node->json.len; i++)
    if (!manifest_is_in(node->json.keys[i], names))
      manifest_wrong_key(r, node->key_lines[i], where, node->json.keys[i], names);
}

static void read_operation(struct manifest_reader *r, const char *where, const struct yaml *node, struct draft *d) {
  enum operation o = d->command->operation;

  if (!manifest_need_mapping(r, where, node, "{ allow: [...] }")) return;
  if (o <= OPERATION_ONE) check_operation_keys(r, where, node, o); /* query: means several, and is looked at once */
  for (size_t k = 0; k < NPARTS; k++) {
    const struct operation_key *part = &operation_parts[k];
    const struct yaml *value = part->name ? yaml_get(node, part->name) : node;

    if (value && part->operations & (1U << o)) part->read(r, d, value);
  }
}

/* node: of models.NAME; NULL: nothing is said of the model. */
static void add_commands(struct manifest_reader *r, const struct model *m, const struct yaml *node) {
  const char *where = arena_printf(r->mem, "models.%s", m->name);

  if (node && !manifest_need_mapping(r, where, node, "{ create: { allow: [...] }, query: ... }")) node = NULL;
  for (size_t i = 0; node && i < node->json.len; i++)
    if (!manifest_is_in(node->json.keys[i], model_keys))
      manifest_wrong_key(r, node->key_lines[i], where, node->json.keys[i], model_keys);
  for (unsigned o = 0; o < NOPERATIONS; o++) {
    struct draft *d = add_command(r, m, o);
    const struct yaml *operation = node ? yaml_get(node, operation_keys[o]) : NULL;

    if (operation) d->command->line = operation->line;

    if (operation) read_operation(r, arena_printf(r->mem, "%s.%s", where, operation_keys[o]), operation, d);
    r->manifest->asks_nested |= d->command->nbefore_hooks || d->command->nmutexes;
  }
  if (node) model_rules_read(r, m, where, yaml_get(node, "fields"), yaml_get(node, "presets"));
}

size_t manifest_models_room(const struct datamodel *d) { return d ? d->nmodels * NOPERATIONS : 0; }

static void unknown_model(struct manifest_reader *r, const struct datamodel *d, int line, const char *name) {
  const char **names = arena_array(r->mem, const char *, d->nmodels + 1);
  const char *near;

  for (size_t i = 0; i < d->nmodels; i++) names[i] = d->models[i].name;
  near = nearest(name, names);
  manifest_wrong(r, line, "models", "%s has no type %s%s%s%s", d->file, name, near ? "; did you mean " : "",
                 near ? near : "", near ? "?" : "");
}

void manifest_read_models(struct manifest_reader *r, const struct yaml *node) {
  const struct datamodel *d = r->manifest->model;

  if (node && !manifest_need_mapping(r, "models", node, "User: { create: { allow: [...] }, ... }")) node = NULL;
  if (!d) {
    if (node && !r->problems->errors)
      manifest_wrong(r, node->line, "models", "needs schema: { file: ... }, which says what the models are");
    return;
  }
  for (size_t i = 0; node && i < node->json.len; i++)
    if (!model_find(d, node->json.keys[i])) unknown_model(r, d, node->key_lines[i], node->json.keys[i]);
  for (size_t i = 0; i < d->nmodels; i++) add_commands(r, &d->models[i], node ? yaml_get(node, d->models[i].name) : NULL);
}
