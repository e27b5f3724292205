/* state: who may read the states of mutations, and what the application adds to them. */
#include "manifest/manifest_reader.h"

#include "base/arena.h"
#include "base/json_schema.h"
#include "base/str.h"
#include "manifest/config.h"
#include "manifest/manifest.h"
#include "manifest/yaml.h"

#include <string.h>

enum { EVENT_NAME_BYTES = 63 };

static const char *const core_members[] = {"uuid", "status", "progress", "steps", "events", "result", "error", NULL};

/* ---- for others ---- */

bool manifest_reads_states(const struct manifest *m, const char *role) {
  for (size_t i = 0; i < m->state.nreaders; i++)
    if (strcmp(m->state.readers[i], role) == 0) return true;
  return false;
}

const struct state_event *manifest_state_event(const struct manifest *m, const char *name) {
  for (size_t i = 0; i < m->state.nevents; i++)
    if (strcmp(m->state.events[i].name, name) == 0) return &m->state.events[i];
  return NULL;
}

/* ---- parts ---- */

/* schema.name, each as PostgreSQL takes it without quotes; as SQL. */
static const char *read_function(struct manifest_reader *r, const char *where, const struct yaml *value) {
  const char *text = manifest_text(r, where, "a function", value), *dot = text ? strchr(text, '.') : NULL;
  const char *schema = dot ? arena_strndup(r->mem, text, (size_t)(dot - text)) : NULL;
  struct str *sql = str_new(r->mem, 64);

  if (!text) return NULL;
  if (!dot || !sql_is_name(schema) || !sql_is_name(dot + 1)) {
    manifest_wrong(r, value->line, where, "%s is not the name of a function with its schema, as in app.file_stored", text);
    return NULL;
  }
  str_sql_ident(sql, schema);
  str_char(sql, '.');
  str_sql_ident(sql, dot + 1);
  return sql->p;
}

static void read_readers(struct manifest_reader *r, const struct yaml *value) {
  struct state_rules *state = &r->manifest->state;
  const char **roles;

  if (value->json.kind != JSON_ARRAY) {
    manifest_wrong(r, value->line, "state", "readers: must be a list of roles, as in [support, admin]");
    return;
  }
  roles = arena_array(r->mem, const char *, value->json.len + 1);
  for (size_t i = 0; i < value->json.len; i++) {
    const char *role = manifest_text(r, "state", "readers", &value->nodes[i]);

    if (!role) continue;
    if (!manifest_is_role(role))
      manifest_wrong(r, value->nodes[i].line, "state", "readers: a role has no blanks and 1 to %d bytes",
                     MANIFEST_ROLE_BYTES);
    else if (!manifest_has_role(r->manifest, role))
      manifest_wrong(r, value->nodes[i].line, "state",
                     "readers: role %s is not in roles:; map it there to a role of the database", role);
    roles[state->nreaders++] = role;
  }
  state->readers = roles;
}

static void read_initial(struct manifest_reader *r, const struct yaml *value) {
  struct state_rules *state = &r->manifest->state;

  if (!manifest_need_mapping(r, "state: initial", value, "members of the state, or { function: app.initial }")) return;
  if (value->json.len == 1 && strcmp(value->json.keys[0], "function") == 0) {
    state->initial_function = read_function(r, "state: initial: function", &value->nodes[0]);
    return;
  }
  state->initial = &value->json;
  for (size_t i = 0; i < value->json.len; i++)
    if (manifest_is_in(value->json.keys[i], core_members))
      manifest_wrong(r, value->key_lines[i], "state: initial", "%s is writ's own member of a state; choose another name",
                     value->json.keys[i]);
}

/* The one of that name, made when it is not there. NULL: a name that no event can have. */
static struct state_event *event_of(struct manifest_reader *r, const char *where, const char *name, int line) {
  struct state_rules *state = &r->manifest->state;
  size_t len = strlen(name);

  if (!len || len > EVENT_NAME_BYTES) {
    manifest_wrong(r, line, where, "the name of an event has 1 to %d bytes", EVENT_NAME_BYTES);
    return NULL;
  }
  for (size_t i = 0; i < state->nevents; i++)
    if (strcmp(state->events[i].name, name) == 0) return &state->events[i];
  arena_grow(r->mem, state->events, state->nevents);
  state->events[state->nevents] = (struct state_event){.name = name, .line = line};
  return &state->events[state->nevents++];
}

static void read_reducers(struct manifest_reader *r, const struct yaml *value) {
  static const char where[] = "state: reducers";

  if (!manifest_need_mapping(r, where, value, "EVENT: app.function")) return;
  for (size_t i = 0; i < value->json.len; i++) {
    struct state_event *event = event_of(r, where, value->json.keys[i], value->key_lines[i]);
    if (event) event->reducer = read_function(r, arena_printf(r->mem, "%s: %s", where, event->name), &value->nodes[i]);
  }
}

static void read_payloads(struct manifest_reader *r, const struct yaml *value) {
  static const char where[] = "state: payloads";

  if (!manifest_need_mapping(r, where, value, "EVENT: { type: object, ... }, a JSON Schema")) return;
  for (size_t i = 0; i < value->json.len; i++) {
    struct state_event *event = event_of(r, where, value->json.keys[i], value->key_lines[i]);
    const char *why;

    if (!event) continue;
    event->payload = &value->nodes[i].json;
    if (!json_schema_read(r->mem, event->payload, &why))
      manifest_wrong(r, value->nodes[i].line, arena_printf(r->mem, "%s: %s", where, event->name), "%s", why);
  }
}

static void read_catch_all(struct manifest_reader *r, const struct yaml *value) {
  r->manifest->state.catch_all = read_function(r, "state: catch_all", value);
}

/* ---- all of it ---- */

static void put_reducers(struct str *out, const struct state_rules *state) {
  const char *between = "";

  str_add(out, ",\"reducers\":{");
  for (size_t i = 0; i < state->nevents; i++) {
    if (!state->events[i].reducer) continue;
    str_add(out, between);
    str_json(out, state->events[i].name);
    str_char(out, ':');
    str_json(out, state->events[i].reducer);
    between = ",";
  }
  str_char(out, '}');
}

static void put_function(struct str *out, const char *name, const char *function) {
  if (!function) return;
  str_printf(out, ",\"%s\":", name);
  str_json(out, function);
}

/* As sql/install/004.sql reads it. */
static const char *rules_text(struct manifest_reader *r) {
  const struct state_rules *state = &r->manifest->state;
  struct str *out = str_new(r->mem, 256);

  str_printf(out, "{\"events\":%d,\"changes\":%d,\"bytes\":%d", r->config->state_events, r->config->state_changes,
             MANIFEST_STATE_BYTES);
  put_reducers(out, state);
  put_function(out, "all", state->catch_all);
  put_function(out, "initial_function", state->initial_function);
  if (state->initial) {
    str_add(out, ",\"initial\":");
    json_write(out, state->initial);
  }
  str_char(out, '}');
  return out->p;
}

void manifest_read_state(struct manifest_reader *r, const struct yaml *node) {
  static const struct {
    const char *name;
    void (*read)(struct manifest_reader *, const struct yaml *);
  } rows[] = {{"readers", read_readers},
              {"initial", read_initial},
              {"reducers", read_reducers},
              {"catch_all", read_catch_all},
              {"payloads", read_payloads}};
  enum { NROWS = sizeof rows / sizeof *rows };
  const char *names[NROWS + 1] = {NULL};

  for (size_t i = 0; i < NROWS; i++) names[i] = rows[i].name;
  if (node && manifest_need_mapping(r, "state", node, "readers, initial, reducers, catch_all, payloads")) {
    r->manifest->state.line = node->line;
    for (size_t i = 0; i < node->json.len; i++) {
      size_t k = 0;

      while (k < NROWS && strcmp(rows[k].name, node->json.keys[i]) != 0) k++;
      if (k < NROWS) rows[k].read(r, &node->nodes[i]);
      else manifest_wrong_key(r, node->key_lines[i], "state", node->json.keys[i], names);
    }
  }
  r->manifest->state.text = rules_text(r);
}
