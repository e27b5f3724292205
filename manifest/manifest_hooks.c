/* Reads hooks: of a command, and http: of a handler. */
#include "manifest/manifest_reader.h"

#include "base/arena.h"
#include "base/json.h"
#include "manifest/manifest.h"
#include "manifest/yaml.h"

#include <string.h>

enum { ATTEMPTS_MAX = 1000 };

struct hook_reader {
  struct manifest_reader *r;
  const struct command *command;
  const char *where; /* "command: hooks: before: name" */
};

/* ---- keys of a hook beside those of its service ---- */

static void read_changes(struct hook_reader *h, const struct yaml *value, struct hook *out) {
  manifest_flag(h->r, h->where, "changes", value, &out->changes);
}

static void read_sync(struct hook_reader *h, const struct yaml *value, struct hook *out) {
  manifest_flag(h->r, h->where, "sync", value, &out->sync);
}

static void read_on_dead(struct hook_reader *h, const struct yaml *value, struct hook *out) {
  const char *text = manifest_text(h->r, h->where, "on_dead", value);

  if (!text) return;
  out->skip_dead = strcmp(text, "skip") == 0;
  if (!out->skip_dead && strcmp(text, "hold") != 0)
    manifest_wrong(h->r, value->line, h->where, "on_dead: %s is none of hold, skip", text);
}

static void read_attempts(struct hook_reader *h, const struct yaml *value, struct hook *out) {
  manifest_number(h->r, h->where, "attempts", value, 1, ATTEMPTS_MAX, &out->attempts);
}

static void read_key(struct hook_reader *h, const struct yaml *value, struct hook *out) {
  struct template *key = arena_new(h->r->mem, struct template);

  template_read(h->r, h->command, h->where, value, key);
  out->key = key;
}

static const struct hook_key {
  const char *name;
  void (*read)(struct hook_reader *, const struct yaml *, struct hook *);
} before_keys[] = {{"changes", read_changes}, {NULL, NULL}},
  after_keys[] = {
      {"key", read_key}, {"sync", read_sync}, {"on_dead", read_on_dead}, {"attempts", read_attempts}, {NULL, NULL}};

/* ---- a hook ---- */

static const struct hook_key *find_key(const struct hook_key *keys, const char *name) {
  while (keys->name && strcmp(keys->name, name) != 0) keys++;
  return keys->name ? keys : NULL;
}

static void unknown_key(struct hook_reader *h, const struct hook_key *keys, int line, const char *key) {
  const char **names = NULL;
  size_t n = 0;

  for (size_t i = 0; service_keys[i]; i++) {
    arena_grow(h->r->mem, names, n);
    names[n++] = service_keys[i];
  }
  for (; keys->name; keys++) {
    arena_grow(h->r->mem, names, n);
    names[n++] = keys->name;
  }
  arena_grow(h->r->mem, names, n);
  names[n] = NULL;
  manifest_wrong_key(h->r, line, h->where, key, names);
}

static void read_hook(struct hook_reader *h, const struct hook_key *keys, const struct yaml *node, struct hook *out) {
  service_read(h->r, h->where, node, &out->service);
  for (size_t i = 0; node->json.kind == JSON_OBJECT && i < node->json.len; i++) {
    const char *name = node->json.keys[i];
    const struct hook_key *key = find_key(keys, name);

    if (key) key->read(h, &node->nodes[i], out);
    else if (!manifest_is_in(name, service_keys)) unknown_key(h, keys, node->key_lines[i], name);
  }
}

/* before: or after: by name. Gives how many. */
static size_t read_list(struct hook_reader *h, const struct hook_key *keys, const struct yaml *node,
                        const struct hook **out) {
  const char *place = h->where;
  size_t n = node->json.len;
  struct hook *hooks;

  if (!manifest_need_mapping(h->r, place, node, "name: URL, or name: { url: ... }")) return 0;
  hooks = arena_array(h->r->mem, struct hook, n ? n : 1);
  for (size_t i = 0; i < n; i++) {
    const char *name = node->json.keys[i];

    h->where = arena_printf(h->r->mem, "%s: %s", place, name);
    if (!sql_is_name(name))
      manifest_wrong(h->r, node->key_lines[i], h->where,
                     "a hook's name is letters, digits and _, not a digit first, at most %d", SQL_NAME_BYTES);
    hooks[i].name = arena_printf(h->r->mem, "%s.%s", h->command->name, name);
    hooks[i].attempts = HOOK_ATTEMPTS;
    read_hook(h, keys, &node->nodes[i], &hooks[i]);
  }
  *out = hooks;
  return n;
}

/* Two that change the same arguments would each undo what the other did. */
static void check_changes(struct hook_reader *h, const struct command *c, int line) {
  size_t n = 0;

  for (size_t i = 0; i < c->nbefore_hooks; i++) n += c->before_hooks[i].changes;
  if (n > 1) manifest_wrong(h->r, line, h->where, "changes: only one hook of a command may change its arguments");
}

/* Names of hooks are the names of their deliveries: before and after share them. */
static void check_names(struct hook_reader *h, const struct command *c, int line) {
  for (size_t i = 0; i < c->nbefore_hooks; i++)
    for (size_t j = 0; j < c->nafter_hooks; j++)
      if (strcmp(c->before_hooks[i].name, c->after_hooks[j].name) == 0)
        manifest_wrong(h->r, line, h->where, "%s stands in before: and in after:; choose another name",
                       c->after_hooks[j].name);
}

void manifest_read_hooks(struct manifest_reader *r, struct draft *d, const struct yaml *node) {
  static const char *const keys[] = {"before", "after", NULL};
  struct command *c = d->command;
  const char *where = arena_printf(r->mem, "%s: hooks", c->name);
  struct hook_reader h = {.r = r, .command = c};

  if (!manifest_need_mapping(r, where, node, "{ before: { name: URL }, after: { name: URL } }")) return;
  for (size_t i = 0; i < node->json.len; i++) {
    const char *key = node->json.keys[i];

    h.where = arena_printf(r->mem, "%s: %s", where, key);
    if (strcmp(key, "before") == 0) c->nbefore_hooks = read_list(&h, before_keys, &node->nodes[i], &c->before_hooks);
    else if (strcmp(key, "after") == 0) c->nafter_hooks = read_list(&h, after_keys, &node->nodes[i], &c->after_hooks);
    else manifest_wrong_key(r, node->key_lines[i], where, key, keys);
  }
  h.where = where;
  check_changes(&h, c, node->line);
  check_names(&h, c, node->line);
}

void manifest_read_http(struct manifest_reader *r, struct draft *d, const struct yaml *node) {
  struct command *c = d->command;
  struct service *service = arena_new(r->mem, struct service);
  const char *where = arena_printf(r->mem, "%s: http", c->name);

  service_read(r, where, node, service);
  c->http = service;
  for (size_t i = 0; node->json.kind == JSON_OBJECT && i < node->json.len; i++)
    if (!manifest_is_in(node->json.keys[i], service_keys))
      manifest_wrong_key(r, node->key_lines[i], where, node->json.keys[i], service_keys);
}
