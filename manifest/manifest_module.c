/* Reads what a manifest says of a module. Nothing is loaded here: this may be root, and a checker. */
#include "manifest/manifest_reader.h"

#include "base/arena.h"
#include "base/json.h"
#include "manifest/manifest.h"
#include "manifest/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *folder_of(const void *mem, const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? arena_strndup(mem, path, (size_t)(slash - path) + (slash == path)) : ".";
}

/* Whoever can write the file, or put another in its place, is the worker. */
static const char *reason_against(const void *mem, const char *path) {
  struct stat file, folder;

  if (stat(path, &file) < 0 || stat(folder_of(mem, path), &folder) < 0 || access(path, R_OK) < 0) return strerror(errno);
  if (!S_ISREG(file.st_mode)) return "is no file";
  if (file.st_mode & S_IWOTH) return "everybody can write it: chmod o-w";
  if ((folder.st_mode & S_IWOTH) && !(folder.st_mode & S_ISVTX)) return "everybody can write its folder: chmod o-w";
  return NULL;
}

static void read_file(struct manifest_reader *r, const char *where, const struct yaml *value, struct module_use *use) {
  const char *text = manifest_text(r, where, "file", value), *path, *reason;
  char *real;

  if (!text) return;
  path = text[0] == '/' ? text : arena_printf(r->mem, "%s/%s", folder_of(r->mem, r->file), text);
  real = realpath(path, NULL); /* a link that is changed later must not give some workers another module */
  reason = real ? reason_against(r->mem, real) : strerror(errno);
  if (reason) manifest_wrong(r, value->line, where, "file: %s: %s", path, reason);
  use->file = arena_strdup(r->mem, real ? real : path);
  free(real);
}

static void read_function(struct manifest_reader *r, const char *where, const struct yaml *value, struct module_use *use) {
  const char *text = manifest_text(r, where, "function", value);
  if (text) use->function = text;
}

static void read_config(struct manifest_reader *r, const char *where, const struct yaml *value, struct module_use *use) {
  use->config = service_config(r, where, value);
  use->config_unknown = !use->config;
}

static const char *const keys[] = {"file", "function", "config", NULL};
static void (*const readers[])(struct manifest_reader *, const char *, const struct yaml *,
                               struct module_use *) = {read_file, read_function, read_config};

static void read_key(struct manifest_reader *r, const char *where, const struct yaml *node, size_t i,
                     struct module_use *use) {
  for (size_t k = 0; keys[k]; k++) {
    if (strcmp(node->json.keys[i], keys[k]) != 0) continue;
    readers[k](r, where, &node->nodes[i], use);
    return;
  }
  manifest_wrong_key(r, node->key_lines[i], where, node->json.keys[i], keys);
}

void manifest_read_module(struct manifest_reader *r, struct draft *d, const struct yaml *node) {
  struct module_use *use = arena_new(r->mem, struct module_use);
  struct command *c = d->command;
  const char *where = arena_printf(r->mem, "%s: module", c->name);

  use->function = c->name;
  c->module = use;
  if (node->json.kind == JSON_STRING) {
    read_file(r, where, node, use);
    return;
  }
  if (!manifest_need_mapping(r, where, node, "{ file: ..., function: ... }, or the file alone")) return;
  if (!yaml_get(node, "file")) manifest_wrong(r, node->line, where, "file: is missing; name the shared object");
  for (size_t i = 0; i < node->json.len; i++) read_key(r, where, node, i, use);
}
