/* Reads events: of a command, event_log: and projections:. */
#include "manifest/manifest_reader.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/nearest.h"
#include "base/str.h"
#include "manifest/config.h"
#include "manifest/manifest.h"
#include "manifest/yaml.h"

#include <string.h>

enum { BATCH = 1000, BATCH_MAX = 100000 };

static bool is_event_name(const char *text) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", others[] = "0123456789_.-";
  char both[sizeof letters + sizeof others];
  size_t n;

  strcpy(both, letters);
  strcat(both, others);
  n = strspn(text, both);
  return strchr(letters, text[0]) && n >= 1 && n <= SQL_NAME_BYTES && !text[n];
}

/* The text of a value, if it can be the name of an event. */
static const char *event_name(struct manifest_reader *r, const char *where, const struct yaml *value) {
  const char *name = manifest_text(r, where, "name", value);

  if (!name || is_event_name(name)) return name;
  manifest_wrong(r, value->line, where, "an event's name is letters, digits, _, . and -, a letter first, at most %d",
                 SQL_NAME_BYTES);
  return NULL;
}

/* ---- events: of a command ---- */

static void read_event(struct manifest_reader *r, const struct command *c, const struct yaml *node,
                       struct domain_event *out) {
  static const char *const keys[] = {"name", "payload", "key", NULL};
  const char *where = arena_printf(r->mem, "%s: events", c->name);
  const struct yaml *name, *parts[2];
  struct template *templates = arena_array(r->mem, struct template, 2);

  out->line = node->line;
  if (!manifest_need_mapping(r, where, node, "{ name: ..., payload: { ... }, key: ... }")) return;
  for (size_t i = 0; i < node->json.len; i++)
    if (!manifest_is_in(node->json.keys[i], keys))
      manifest_wrong_key(r, node->key_lines[i], where, node->json.keys[i], keys);
  if ((name = yaml_get(node, "name"))) out->name = event_name(r, where, name);
  else manifest_wrong(r, node->line, where, "name: is missing; say what has happened, as in account_opened");
  if (out->name) where = arena_printf(r->mem, "%s: %s", where, out->name);
  parts[0] = yaml_get(node, "payload");
  parts[1] = yaml_get(node, "key");
  for (int i = 0; i < 2; i++)
    if (parts[i]) template_read_with_caller(r, c, where, parts[i], &templates[i]);
  if (parts[0]) out->payload = &templates[0];
  if (parts[1]) out->key = &templates[1];
}

void manifest_read_events(struct manifest_reader *r, struct draft *d, const struct yaml *node) {
  struct command *c = d->command;
  const char *where = arena_printf(r->mem, "%s: events", c->name);
  struct domain_event *events;

  if (node->json.kind != JSON_ARRAY || !node->json.len || node->json.len > EVENTS_OF_COMMAND) {
    manifest_wrong(r, node->line, where, "must be a list of 1 to %d events: - { name: ..., payload: ..., key: ... }",
                   EVENTS_OF_COMMAND);
    return;
  }
  events = arena_array(r->mem, struct domain_event, node->json.len);
  for (size_t i = 0; i < node->json.len; i++) read_event(r, c, &node->nodes[i], &events[i]);
  c->events = events;
  c->nevents = node->json.len;
}

/* ---- event_log: ---- */

static void read_readers(struct manifest_reader *r, const char *where, const struct yaml *value) {
  const char **roles;
  size_t n = 0;

  if (value->json.kind != JSON_ARRAY) {
    manifest_wrong(r, value->line, where, "must be a list of roles, as in [auditor]");
    return;
  }
  roles = arena_array(r->mem, const char *, value->json.len + 1);
  for (size_t i = 0; i < value->json.len; i++) {
    const struct yaml *item = &value->nodes[i];
    const char *role = manifest_text(r, where, "role", item);

    if (!role) continue;
    if (!manifest_is_role(role))
      manifest_wrong(r, item->line, where, "a role has no blanks and 1 to %d bytes", MANIFEST_ROLE_BYTES);
    else if (manifest_is_in(role, roles)) manifest_wrong(r, item->line, where, "%s stands here twice; remove one", role);
    roles[n++] = role;
  }
  r->manifest->event_readers = roles;
  r->manifest->nevent_readers = n;
}

void manifest_read_event_log(struct manifest_reader *r, const struct yaml *node) {
  static const char *const keys[] = {"readers", NULL};

  if (!manifest_need_mapping(r, "event_log", node, "{ readers: [ROLE] }")) return;
  for (size_t i = 0; i < node->json.len; i++)
    if (manifest_is_in(node->json.keys[i], keys)) read_readers(r, "event_log: readers", &node->nodes[i]);
    else manifest_wrong_key(r, node->key_lines[i], "event_log", node->json.keys[i], keys);
}

/* ---- projections: ---- */

struct projection_reader {
  struct manifest_reader *r;
  const char *where;
};

/* "schema.name" or "name", each part quoted; NULL and a problem. Quoted, so it must be written as PostgreSQL keeps it. */
static const char *sql_name(struct projection_reader *p, const char *key, const struct yaml *value) {
  const char *text = manifest_text(p->r, p->where, key, value), *dot;
  struct str *out = str_new(p->r->mem, 64);

  if (!text) return NULL;
  dot = strchr(text, '.');
  if ((dot && !sql_is_name(arena_strndup(p->r->mem, text, (size_t)(dot - text)))) || !sql_is_name(dot ? dot + 1 : text)) {
    manifest_wrong(p->r, value->line, p->where, "%s: %s is no name such as schema.name, of letters, digits and _", key,
                   text);
    return NULL;
  }
  if (dot) {
    str_sql_ident(out, arena_strndup(p->r->mem, text, (size_t)(dot - text)));
    str_char(out, '.');
  }
  str_sql_ident(out, dot ? dot + 1 : text);
  return out->p;
}

static void read_function(struct projection_reader *p, const struct yaml *value, struct projection *out) {
  out->function = sql_name(p, "function", value);
}

static void read_reset(struct projection_reader *p, const struct yaml *value, struct projection *out) {
  out->reset = sql_name(p, "reset", value);
}

static void read_truncate(struct projection_reader *p, const struct yaml *value, struct projection *out) {
  const char **tables;

  if (value->json.kind != JSON_ARRAY || !value->json.len) {
    manifest_wrong(p->r, value->line, p->where, "truncate: must be a list of tables, as in [ledger.balance]");
    return;
  }
  tables = arena_array(p->r->mem, const char *, value->json.len);
  for (size_t i = 0; i < value->json.len; i++) tables[i] = sql_name(p, "truncate", &value->nodes[i]);
  out->truncate = tables;
  out->ntruncate = value->json.len;
}

static void read_events(struct projection_reader *p, const struct yaml *value, struct projection *out) {
  const char **names;

  if (value->json.kind != JSON_ARRAY || !value->json.len || value->json.len > EVENT_NAMES_MAX) {
    manifest_wrong(p->r, value->line, p->where, "events: must be a list of 1 to %d names; leave it out for all events",
                   EVENT_NAMES_MAX);
    return;
  }
  names = arena_array(p->r->mem, const char *, value->json.len);
  for (size_t i = 0; i < value->json.len; i++)
    if (!(names[i] = event_name(p->r, p->where, &value->nodes[i]))) names[i] = "";
  out->events = names;
  out->nevents = value->json.len;
}

static void read_role(struct projection_reader *p, const struct yaml *value, struct projection *out) {
  out->role = manifest_text(p->r, p->where, "role", value);
  if (out->role && (!manifest_is_role(out->role) || strcmp(out->role, "none") == 0))
    manifest_wrong(p->r, value->line, p->where, "role: %s is no role of the database", out->role);
}

static void read_batch(struct projection_reader *p, const struct yaml *value, struct projection *out) {
  manifest_number(p->r, p->where, "batch", value, 1, BATCH_MAX, &out->batch);
}

static void read_datasource(struct projection_reader *p, const struct yaml *value, struct projection *out) {
  const struct config *config = p->r->config;
  const char *name = manifest_text(p->r, p->where, "datasource", value);

  for (size_t i = 0; name && i < config->ndatasources; i++)
    if (strcmp(config->datasources[i].name, name) == 0) {
      out->datasource = i;
      return;
    }
  if (name) manifest_wrong(p->r, value->line, p->where, "datasource: %s is not in writ.yaml", name);
}

static const struct projection_key {
  const char *name;
  void (*read)(struct projection_reader *, const struct yaml *, struct projection *);
} projection_keys[] = {
    {"function", read_function},     {"events", read_events}, {"reset", read_reset}, {"truncate", read_truncate},
    {"datasource", read_datasource}, {"role", read_role},     {"batch", read_batch}, {NULL, NULL}};

static void unknown_key(struct projection_reader *p, int line, const char *key) {
  const char *names[sizeof projection_keys / sizeof *projection_keys] = {NULL};

  for (size_t i = 0; projection_keys[i].name; i++) names[i] = projection_keys[i].name;
  manifest_wrong_key(p->r, line, p->where, key, names);
}

static void read_projection(struct projection_reader *p, const struct yaml *node, struct projection *out) {
  if (!manifest_need_mapping(p->r, p->where, node, "{ function: SCHEMA.NAME, ... }")) return;
  for (size_t i = 0; i < node->json.len; i++) {
    const struct projection_key *key = projection_keys;

    while (key->name && strcmp(key->name, node->json.keys[i]) != 0) key++;
    if (key->name) key->read(p, &node->nodes[i], out);
    else unknown_key(p, node->key_lines[i], node->json.keys[i]);
  }
  if (!yaml_get(node, "function"))
    manifest_wrong(p->r, node->line, p->where, "function: is missing; name an SQL function that takes (events jsonb)");
  if (out->reset && out->truncate)
    manifest_wrong(p->r, node->line, p->where, "only one of reset: and truncate: can say how it is emptied");
}

void manifest_read_projections(struct manifest_reader *r, const struct yaml *node) {
  size_t n = node->json.len;
  struct projection *list;

  if (!manifest_need_mapping(r, "projections", node, "name: { function: SCHEMA.NAME }")) return;
  if (n > PROJECTIONS_MAX) manifest_wrong(r, node->line, "projections", "there are more than %d", PROJECTIONS_MAX);
  list = arena_array(r->mem, struct projection, n ? n : 1);
  for (size_t i = 0; i < n; i++) {
    struct projection_reader p = {.r = r, .where = arena_printf(r->mem, "projections.%s", node->json.keys[i])};

    list[i] = (struct projection){.name = node->json.keys[i], .batch = BATCH, .line = node->key_lines[i]};
    if (!sql_is_name(list[i].name))
      manifest_wrong(r, node->key_lines[i], p.where,
                     "a projection's name is letters, digits and _, not a digit first, at most %d", SQL_NAME_BYTES);
    read_projection(&p, &node->nodes[i], &list[i]);
  }
  r->manifest->projections = list;
  r->manifest->nprojections = n;
}
