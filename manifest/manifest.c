/* Reads the manifest as a whole; commands in manifest_command.c, what holds between them in composite.c. */
#include "manifest/manifest.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/problems.h"
#include "manifest/config.h"
#include "manifest/manifest_reader.h"
#include "manifest/yaml.h"

#include <stdint.h>
#include <string.h>

enum { STATUS_CONSTRAINT = 409, NAME_BYTES_MAX = 63 }; /* PostgreSQL's NAMEDATALEN - 1 */

static const struct {
  const char *name;
  enum command_kind kind;
} built_in[] = {{"transactional_command_set", COMMAND_TRANSACTIONAL_SET}, {"execute_command_set", COMMAND_EXECUTE_SET}};
enum { NBUILT_IN = sizeof built_in / sizeof *built_in + 1 };

static int line_of_key(const struct yaml *mapping, const char *key) {
  for (size_t i = 0; i < mapping->json.len; i++)
    if (strcmp(mapping->json.keys[i], key) == 0) return mapping->key_lines[i];
  return mapping->line;
}

static void read_constraints(struct manifest_reader *r, const struct yaml *node) {
  struct manifest *m = r->manifest;
  size_t n = node->json.len;

  if (!manifest_need_mapping(r, "constraints", node, "name of a constraint: { code: ..., message: ... }")) return;
  m->constraints = arena_array(r->mem, struct constraint_error, n ? n : 1);
  m->nconstraints = n;
  for (size_t i = 0; i < n; i++) {
    struct constraint_error *c = &m->constraints[i];
    const char *where = arena_printf(r->mem, "constraints.%s", node->json.keys[i]);
    const struct yaml *value = &node->nodes[i];

    *c = (struct constraint_error){.constraint = node->json.keys[i], .error.status = STATUS_CONSTRAINT};
    if (c->constraint[0] == '\0' || strlen(c->constraint) > NAME_BYTES_MAX)
      manifest_wrong(r, node->key_lines[i], where, "a constraint's name has 1 to %d bytes", NAME_BYTES_MAX);
    manifest_own_error(r, where, value, &c->error);
    if (value->json.kind != JSON_OBJECT) continue;
    if (!yaml_get(value, "code"))
      manifest_wrong(r, node->key_lines[i], where, "code: is missing; give one, as in USERNAME_TAKEN");
    if (!yaml_get(value, "message")) manifest_wrong(r, node->key_lines[i], where, "message: is missing; say what is wrong");
  }
}

/* ---- roles ---- */

static void read_roles(struct manifest_reader *r, const struct yaml *node) {
  struct manifest *m = r->manifest;
  size_t n = node->json.len;

  if (!manifest_need_mapping(r, "roles", node, "role of a caller: role of the database")) return;
  if (n == 0) manifest_wrong(r, node->line, "roles", "is empty; remove it, or map each role that calls");
  m->roles = arena_array(r->mem, struct role_map, n ? n : 1);
  m->nroles = n;
  for (size_t i = 0; i < n; i++) {
    struct role_map *role = &m->roles[i];
    const char *where = arena_printf(r->mem, "roles.%s", node->json.keys[i]);

    role->role = node->json.keys[i];
    if (!manifest_is_role(role->role))
      manifest_wrong(r, node->key_lines[i], where, "a role has no blanks and 1 to %d bytes", NAME_BYTES_MAX);
    role->database_role = manifest_text(r, where, "database role", &node->nodes[i]);
    if (!role->database_role) continue;
    if (strlen(role->database_role) > NAME_BYTES_MAX)
      manifest_wrong(r, node->nodes[i].line, where, "%s is longer than the %d bytes of a role in PostgreSQL",
                     role->database_role, NAME_BYTES_MAX);
    if (strcmp(role->database_role, "none") == 0) /* SET ROLE none is the login role */
      manifest_wrong(r, node->nodes[i].line, where, "none is no role of PostgreSQL; name the role to switch to");
  }
}

struct draft *manifest_add_draft(struct manifest_reader *r, const char *name, int line) {
  struct manifest *m = r->manifest;
  struct command *c = arena_new(r->mem, struct command);
  struct draft *d = &r->drafts[r->ndrafts++];

  c->name = name;
  c->id = m->ncommands;
  c->line = line;
  c->file = r->file;
  m->commands[m->ncommands++] = c;
  d->command = c;
  return d;
}

static size_t count_commands(struct manifest_reader *r, const struct yaml *node) {
  return node && manifest_need_mapping(r, "commands", node, "name: { sql: ... }") ? node->json.len : 0;
}

/* n: the first of them. */
static void read_list(struct manifest_reader *r, const struct yaml *node, size_t n) {
  for (size_t i = 0; i < n; i++)
    manifest_read_command(r, manifest_add_draft(r, node->json.keys[i], node->key_lines[i]), &node->nodes[i]);
}

/* Those of mutations:, which come behind the manifest's own. */
static void read_more(struct manifest_reader *r, const struct yaml *own, size_t n) {
  const char *file = r->file;

  r->file = r->more_file;
  for (size_t i = 0; i < n; i++)
    if (own && yaml_get(own, r->more_commands->json.keys[i]))
      manifest_wrong(r, r->more_commands->key_lines[i], r->more_commands->json.keys[i],
                     "%s has a command of this name, too; rename one", file);
  read_list(r, r->more_commands, n);
  r->file = file;
}

/* For the inside: as the statement says, it does something only where the state of a mutation is kept. */
static void add_dispatch_event(struct manifest_reader *r) {
  static const char text[] =
      "{ sql: \"select writ.dispatch(:name, :payload)\", returns: none, args: { name: text, payload: { type: jsonb, default: null } } }";
  struct draft *d = manifest_add_draft(r, "dispatch_event", 0);

  manifest_read_statement(r, d, yaml_read(r->mem, "dispatch_event", text, sizeof text - 1, r->problems));
}

/* node NULL: there is no commands: */
static void read_commands(struct manifest_reader *r, const struct yaml *node) {
  size_t n = count_commands(r, node), more = count_commands(r, r->more_commands);
  size_t room = NBUILT_IN + n + more + manifest_models_room(r->manifest->model);

  r->manifest->commands = arena_array(r->mem, const struct command *, room);
  r->drafts = arena_array(r->mem, struct draft, room);
  for (size_t i = 0; i < NBUILT_IN - 1; i++) manifest_add_draft(r, built_in[i].name, 0)->command->kind = built_in[i].kind;
  read_list(r, node, n);
  if (more) read_more(r, n ? node : NULL, more);
  add_dispatch_event(r);
}

/* ---- names ---- */

/* FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/ : names are short and chosen by the manifest's author. */
static uint32_t hash(const char *name) {
  uint32_t h = 2166136261U;
  for (; *name; name++) h = (h ^ (unsigned char)*name) * 16777619U;
  return h;
}

/* Open addressing, at most half full; a bucket holds an index into commands plus one, 0 is empty. */
static void index_commands(const void *mem, struct manifest *m) {
  size_t n = 16;
  while (n < 2 * m->ncommands) n *= 2;
  unsigned *buckets = arena_array(mem, unsigned, n);
  for (size_t i = 0; i < m->ncommands; i++) {
    size_t at = hash(m->commands[i]->name) & (n - 1);
    while (buckets[at]) at = (at + 1) & (n - 1);
    buckets[at] = (unsigned)i + 1;
  }
  m->buckets = buckets;
  m->nbuckets = n;
}

const struct command *manifest_command(const struct manifest *m, const char *name) {
  for (size_t at = hash(name) & (m->nbuckets - 1); m->buckets[at]; at = (at + 1) & (m->nbuckets - 1)) {
    const struct command *c = m->commands[m->buckets[at] - 1];
    if (strcmp(c->name, name) == 0) return c;
  }
  return NULL;
}

bool manifest_role(const struct manifest *m, const char *caller_role, const char **role) {
  *role = NULL;
  for (size_t i = 0; i < m->nroles; i++) {
    if (strcmp(m->roles[i].role, caller_role) != 0) continue;
    *role = m->roles[i].database_role;
    return true;
  }
  return m->nroles == 0;
}

const struct own_error *manifest_constraint(const struct manifest *m, const char *constraint) {
  for (size_t i = 0; i < m->nconstraints; i++)
    if (strcmp(m->constraints[i].constraint, constraint) == 0) return &m->constraints[i].error;
  return NULL;
}

/* ---- what the OpenAPI document says of itself ---- */

static void read_openapi(struct manifest_reader *r, const struct yaml *node) {
  static const char *const keys[] = {"title", "version", "description", NULL};
  struct openapi_info *info = &r->manifest->openapi;
  const char **const places[] = {&info->title, &info->version, &info->description};

  *info = (struct openapi_info){.title = "Commands", .version = "1"};
  if (!node || !manifest_need_mapping(r, "openapi", node, "title: Pet shop, version: \"1.2\"")) return;
  for (size_t i = 0; i < node->json.len; i++) {
    size_t at = 0;

    while (keys[at] && strcmp(keys[at], node->json.keys[i]) != 0) at++;
    if (keys[at]) *places[at] = manifest_text(r, "openapi", keys[at], &node->nodes[i]);
    else manifest_wrong_key(r, node->key_lines[i], "openapi", node->json.keys[i], keys);
  }
}

/* ---- the whole ---- */

static void check_top(struct manifest_reader *r, const struct yaml *root) {
  static const char *const keys[] = {"specVersion", "schema",    "models",  "roles",   "constraints",
                                     "state",       "mutations", "graphql", "openapi", "event_log",
                                     "projections", "commands",  NULL};
  const struct yaml *version = yaml_get(root, "specVersion");

  for (size_t i = 0; i < root->json.len; i++) {
    const char *key = root->json.keys[i];
    if (!manifest_is_in(key, keys)) manifest_wrong_key(r, root->key_lines[i], "manifest", key, keys);
  }
  if (!version) manifest_wrong(r, 1, "specVersion", "is missing; write specVersion: 1");
  else if (version->json.kind != JSON_NUMBER || strcmp(version->json.text, "1") != 0)
    manifest_wrong(r, line_of_key(root, "specVersion"), "specVersion",
                   "must be 1, the only one that this version of writ reads");
}

static void read_root(struct manifest_reader *r, const struct yaml *root) {
  const struct yaml *part;

  if (!manifest_need_mapping(r, "manifest", root, "specVersion: 1, commands: ...")) return;
  check_top(r, root);
  if ((part = yaml_get(root, "schema"))) manifest_read_schema(r, part);
  if ((part = yaml_get(root, "roles"))) read_roles(r, part); /* before the commands: their allow: names them */
  if ((part = yaml_get(root, "constraints"))) read_constraints(r, part);
  if ((part = yaml_get(root, "mutations"))) manifest_read_mutations(r, part);
  if ((part = yaml_get(root, "graphql"))) manifest_read_graphql(r, part);
  read_openapi(r, yaml_get(root, "openapi"));
  manifest_read_state(r, yaml_get(root, "state"));
  part = yaml_get(root, "commands");
  if (!part && !r->manifest->model && !r->more_commands)
    manifest_wrong(r, 0, "commands", "is missing; without it there is nothing to call");
  read_commands(r, part);
  if ((part = yaml_get(root, "event_log"))) manifest_read_event_log(r, part);
  if ((part = yaml_get(root, "projections"))) manifest_read_projections(r, part);
  manifest_read_models(r, yaml_get(root, "models"));
  index_commands(r->mem, r->manifest);
  composite_link(r);
  r->file = r->manifest->file;
  manifest_add_permissions(r);
}

static struct manifest *read_tree(const void *mem, const struct config *config, const struct datamodel *model,
                                  const struct yaml *root, size_t errors, struct problems *p) {
  struct manifest_reader r = {.mem = mem, .config = config, .problems = p};

  r.manifest = arena_new(mem, struct manifest);
  r.manifest->file = r.file = config->manifest;
  r.manifest->config = config;
  r.manifest->model = model;
  if (root) read_root(&r, root);
  talloc_free(r.drafts);
  return p->errors == errors ? r.manifest : NULL;
}

struct manifest *manifest_load(const void *mem, const struct config *config, struct problems *p) {
  size_t errors = p->errors;
  return read_tree(mem, config, NULL, yaml_load(mem, config->manifest, p), errors, p);
}

struct manifest *manifest_read_over(const void *mem, const struct config *config, const struct datamodel *model,
                                    const char *text, size_t len, struct problems *p) {
  size_t errors = p->errors;
  return read_tree(mem, config, model, yaml_read(mem, config->manifest, text, len, p), errors, p);
}

struct manifest *manifest_read(const void *mem, const struct config *config, const char *text, size_t len,
                               struct problems *p) {
  return manifest_read_over(mem, config, NULL, text, len, p);
}
