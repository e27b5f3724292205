/* Reads one command of a manifest: its keys and its statement. */
#include "manifest/manifest_reader.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/nearest.h"
#include "base/problems.h"
#include "base/str.h"
#include "manifest/config.h"
#include "manifest/manifest.h"
#include "manifest/yaml.h"

#include <string.h>

enum { STATUS_CHECK = 422 };

/* Commands of writ's own, now or later, and the key beside a member's name. */
static const char *const reserved[] = {"transactional_command_set", "execute_command_set", "dispatch_event", "as", NULL};

/* ---- keys of a command ---- */

static void read_description(struct manifest_reader *r, struct draft *d, const struct yaml *value) {
  d->command->description = manifest_text(r, d->command->name, "description", value);
}

void manifest_read_allow(struct manifest_reader *r, struct draft *d, const struct yaml *value) {
  manifest_read_roles(r, d->command->name, "allow", value, &d->command->allow, &d->command->nallow);
}

static void read_datasource(struct manifest_reader *r, struct draft *d, const struct yaml *value) {
  const struct config *config = r->config;
  const char *name = manifest_text(r, d->command->name, "datasource", value);
  const char **names = arena_array(r->mem, const char *, config->ndatasources + 1);

  if (!name) return;
  for (size_t i = 0; i < config->ndatasources; i++) {
    names[i] = config->datasources[i].name;
    if (strcmp(names[i], name) != 0) continue;
    d->command->datasource = i;
    d->own_datasource = true;
    return;
  }
  const char *near = nearest(name, names);
  manifest_wrong(r, value->line, d->command->name, "datasource: %s is not in writ.yaml%s%s%s", name,
                 near ? "; did you mean " : "", near ? near : ", datasources:", near ? "?" : "");
}

/* A type is written into SQL text as it is: only what a type name can have. PostgreSQL says whether it exists. */
static bool is_type(const char *text) {
  int open = 0;
  if (!strchr("\"_", text[0]) && !(text[0] >= 'a' && text[0] <= 'z') && !(text[0] >= 'A' && text[0] <= 'Z') &&
      (unsigned char)text[0] < 0x80)
    return false;
  for (; *text; text++) {
    bool letter = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') || (unsigned char)*text >= 0x80;
    if (!letter && !strchr("0123456789_ .,\"()[]", *text)) return false;
    open += (*text == '(') - (*text == ')');
    if (open < 0 || open > 1) return false;
  }
  return open == 0;
}

static bool read_type(struct manifest_reader *r, const char *where, const struct yaml *value, struct argument *out) {
  const char *type = manifest_text(r, where, "type", value);
  if (type && !is_type(type)) {
    manifest_wrong(r, value->line, where, "type: %s is not the name of a type, such as text, numeric(10,2) or int[]", type);
    return false;
  }
  out->type = type;
  return type != NULL;
}

static bool read_argument(struct manifest_reader *r, const struct command *c, const struct yaml *value,
                          struct argument *out) {
  static const char *const keys[] = {"type", "default", NULL};
  const char *where = arena_printf(r->mem, "%s: args: %s", c->name, out->name);
  bool ok = true;

  if (!sql_is_name(out->name)) {
    manifest_wrong(r, out->line, where, "a name is letters, digits and _, not a digit first, at most %d", SQL_NAME_BYTES);
    ok = false;
  }
  if (value->json.kind == JSON_NULL) return ok;
  if (value->json.kind != JSON_OBJECT) return read_type(r, where, value, out) && ok;
  for (size_t i = 0; i < value->json.len; i++) {
    const char *key = value->json.keys[i];
    if (strcmp(key, "default") == 0) {
      out->fallback = &value->nodes[i].json;
    } else if (strcmp(key, "type") == 0) {
      ok = read_type(r, where, &value->nodes[i], out) && ok;
    } else {
      manifest_wrong_key(r, value->key_lines[i], where, key, keys);
      ok = false;
    }
  }
  return ok;
}

static void read_title(struct manifest_reader *r, struct draft *d, const struct yaml *value) {
  d->command->title = manifest_text(r, d->command->name, "title", value);
}

static void read_args(struct manifest_reader *r, struct draft *d, const struct yaml *value) {
  struct command *c = d->command;
  size_t n = value->json.len;

  c->args_declared = true;
  if (value->json.kind == JSON_NULL ||
      !manifest_need_mapping(r, arena_printf(r->mem, "%s: args", c->name), value, "name: type")) {
    d->args_known = value->json.kind == JSON_NULL;
    return;
  }
  c->args = arena_array(r->mem, struct argument, n ? n : 1);
  c->nargs = n;
  for (size_t i = 0; i < n; i++) {
    c->args[i] = (struct argument){.name = value->json.keys[i], .line = value->key_lines[i]};
    if (!read_argument(r, c, &value->nodes[i], &c->args[i])) d->args_known = false;
  }
}

static void read_returns(struct manifest_reader *r, struct draft *d, const struct yaml *value) {
  static const char *const names[] = {"one", "optional", "many", "count", "none", NULL};
  static const enum returns returns[] = {RETURNS_ONE, RETURNS_OPTIONAL, RETURNS_MANY, RETURNS_COUNT, RETURNS_NONE};
  const char *text = manifest_text(r, d->command->name, "returns", value);

  if (!text) return;
  for (size_t i = 0; names[i]; i++)
    if (strcmp(names[i], text) == 0) d->command->returns = returns[i];
  if (d->command->returns == RETURNS_DEFAULT)
    manifest_wrong(r, value->line, d->command->name, "returns: %s is none of one, optional, many, count, none", text);
}

static void read_error(struct manifest_reader *r, struct draft *d, const struct yaml *value) {
  manifest_own_error(r, arena_printf(r->mem, "%s: error", d->command->name), value, &d->command->error);
}

static void read_isolation(struct manifest_reader *r, struct draft *d, const struct yaml *value) {
  static const char *const names[] = {"read_committed", "repeatable_read", "serializable", NULL};
  static const enum isolation levels[] = {ISOLATION_READ_COMMITTED, ISOLATION_REPEATABLE_READ, ISOLATION_SERIALIZABLE};
  const char *text = manifest_text(r, d->command->name, "isolation", value);

  if (!text) return;
  for (size_t i = 0; names[i]; i++)
    if (strcmp(names[i], text) == 0) d->command->isolation = levels[i];
  if (d->command->isolation == ISOLATION_DEFAULT)
    manifest_wrong(r, value->line, d->command->name,
                   "isolation: %s is none of read_committed, repeatable_read, serializable", text);
}

static void read_idempotency(struct manifest_reader *r, struct draft *d, const struct yaml *value) {
  const char *text = manifest_text(r, d->command->name, "idempotency", value);

  if (text && strcmp(text, "required") != 0)
    manifest_wrong(r, value->line, d->command->name, "idempotency: %s is not known here; write required, or remove it",
                   text);
  d->command->needs_key = text != NULL;
}

/* ---- statements ---- */

/* Why a statement that begins so cannot be a command, and what to do instead. */
static const char *reason_against(const char *word) {
  static const char *const transaction[] = {"abort",   "begin",    "commit",    "end",   "prepare",
                                            "release", "rollback", "savepoint", "start", NULL};
  static const char *const session[] = {"close", "deallocate", "declare", "discard", "execute",  "fetch", "listen",
                                        "load",  "move",       "reset",   "set",     "unlisten", NULL};
  if (manifest_is_in(word, transaction)) return "writ opens and ends the transaction itself; remove it";
  if (manifest_is_in(word, session)) return "it would outlive the request in a connection that others use";
  if (strcmp(word, "table") == 0) return "write SELECT * FROM ...";
  if (strcmp(word, "notify") == 0) return "use SELECT pg_notify(...)";
  if (strcmp(word, "do") == 0) return "put the block into a function or procedure";
  if (strcmp(word, "explain") == 0) return "use writ explain";
  return "a command is one SELECT, INSERT, UPDATE, DELETE, VALUES, MERGE or CALL, with or without WITH";
}

static const char *upper(const void *mem, const char *word) {
  char *copy = arena_strdup(mem, word);
  for (char *c = copy; *c; c++)
    if (*c >= 'a' && *c <= 'z') *c -= 'a' - 'A';
  return copy;
}

static void check_verb(struct manifest_reader *r, const struct command *c, const char *key, int line) {
  enum sql_verb verb = c->sql.verb;
  const char *word = upper(r->mem, c->sql.first_word);
  enum returns returns = c->returns;

  if (verb == SQL_OTHER) {
    manifest_wrong(r, line, c->name, "%s: %s cannot be used here: %s", key, word[0] ? word : "this",
                   reason_against(c->sql.first_word));
  } else if (c->kind == COMMAND_CHECK) {
    if (verb != SQL_SELECT && verb != SQL_VALUES && verb != SQL_EXPRESSION)
      manifest_wrong(r, line, c->name,
                     "%s: %s changes data; a check is an expression, SELECT or VALUES; make it an sql: command", key, word);
  } else if (c->max_affected >= 0 && verb != SQL_INSERT && verb != SQL_UPDATE && verb != SQL_DELETE) {
    manifest_wrong(r, line, c->name, "max_affected: applies to INSERT, UPDATE and DELETE, not to %s", word);
  } else if (verb == SQL_MERGE || verb == SQL_CALL) {
    if (returns == RETURNS_ONE || returns == RETURNS_OPTIONAL || returns == RETURNS_MANY)
      manifest_wrong(r, line, c->name, "returns: %s gives no rows here; write returns: count or none, or remove it", word);
  }
}

/* Gives each :name its argument, in the order of names, from the declared ones. */
static void bind_args(struct manifest_reader *r, struct draft *d, int line) {
  struct command *c = d->command;
  const struct argument *declared = c->args;
  size_t n = c->sql.nnames, ndeclared = c->nargs;
  struct argument *args = arena_array(r->mem, struct argument, n + ndeclared + 1);
  bool *used = arena_array(r->mem, bool, ndeclared ? ndeclared : 1);
  const char **names = arena_array(r->mem, const char *, ndeclared + 1);

  for (size_t k = 0; k < ndeclared; k++) names[k] = declared[k].name;
  for (size_t i = 0; i < n; i++) {
    size_t k = 0;
    args[i] = (struct argument){.name = c->sql.names[i], .line = line};
    while (k < ndeclared && strcmp(declared[k].name, args[i].name) != 0) k++;
    if (k < ndeclared) {
      args[i] = declared[k];
      used[k] = true;
    } else if (c->args_declared) {
      const char *near = nearest(args[i].name, names);
      manifest_wrong(r, line, c->name, "args: has no %s, but the statement uses :%s%s%s%s", args[i].name, args[i].name,
                     near ? "; did you mean :" : "; declare it, or remove args:", near ? near : "", near ? "?" : "");
    }
  }
  for (size_t k = 0; k < ndeclared; k++) {
    if (used[k]) continue;
    if (manifest_permission_uses(c, declared[k].name)) args[n++] = declared[k];
    else
      manifest_wrong(r, declared[k].line, c->name, "args: declares %s, but the statement does not use :%s; remove it",
                     declared[k].name, declared[k].name);
  }
  c->args = args;
  c->nargs = n;
}

/* `check: true` is an expression, though YAML reads it as no text. */
static const char *statement_text(struct manifest_reader *r, const struct command *c, const char *key,
                                  const struct yaml *value) {
  if (c->kind == COMMAND_CHECK && value->json.kind == JSON_TRUE) return "true";
  if (c->kind == COMMAND_CHECK && value->json.kind == JSON_FALSE) return "false";
  return manifest_text(r, c->name, key, value);
}

static void read_statement(struct manifest_reader *r, struct draft *d, const char *key, const struct yaml *value) {
  struct command *c = d->command;
  const char *text = statement_text(r, c, key, value);
  struct err e;

  d->args_known = d->args_known && text;
  if (!text) return;
  err_init(&e, r->mem);
  if (!sql_scan(r->mem, text, c->kind == COMMAND_CHECK, &c->sql, &e)) {
    manifest_wrong(r, value->line, c->name, "%s: %s", key, e.message);
    d->args_known = false;
    return;
  }
  check_verb(r, c, key, value->line);
  bind_args(r, d, value->line);
}

/* ---- commands ---- */

enum {
  OF_SQL = 1 << COMMAND_SQL,
  OF_CHECK = 1 << COMMAND_CHECK,
  OF_COMPOSITE = 1 << COMMAND_COMPOSITE,
  OF_HANDLER = 1 << COMMAND_HANDLER
};
enum { OF_TRANSACTION = OF_SQL | OF_CHECK | OF_COMPOSITE, OF_ALL = OF_TRANSACTION | OF_HANDLER };

/* read NULL: read later, when the others are there. */
static const struct command_key {
  const char *name;
  unsigned kinds;
  void (*read)(struct manifest_reader *, struct draft *, const struct yaml *);
} command_keys[] = {
    {"sql", OF_SQL, NULL},
    {"check", OF_CHECK, NULL},
    {"commands", OF_COMPOSITE, NULL},
    {"title", OF_ALL, read_title},
    {"description", OF_ALL, read_description},
    {"allow", OF_ALL, manifest_read_allow},
    {"datasource", OF_ALL, read_datasource},
    {"args", OF_ALL, read_args},
    {"returns", OF_SQL, read_returns},
    {"error", OF_CHECK, read_error},
    {"result", OF_COMPOSITE, NULL},
    {"isolation", OF_COMPOSITE, read_isolation},
    {"permissions", OF_ALL, manifest_read_permissions},
    {"version", OF_TRANSACTION, manifest_read_version},
    {"max_affected", OF_SQL, manifest_read_max_affected},
    {"mutex", OF_ALL, NULL},
    {"idempotency", OF_ALL, read_idempotency},
    {"http", OF_HANDLER, manifest_read_http},
    {"hooks", OF_ALL, NULL},
    {"events", OF_ALL, NULL},
    {"module", OF_HANDLER, manifest_read_module},
};
enum { NCOMMAND_KEYS = sizeof command_keys / sizeof *command_keys };

static const struct command_key *find_command_key(const char *name) {
  for (size_t i = 0; i < NCOMMAND_KEYS; i++)
    if (strcmp(command_keys[i].name, name) == 0) return &command_keys[i];
  return NULL;
}

static void unknown_command_key(struct manifest_reader *r, int line, const struct command *c, const char *key) {
  const char *names[NCOMMAND_KEYS + 1] = {NULL};
  size_t n = 0;
  for (size_t i = 0; i < NCOMMAND_KEYS; i++) names[n++] = command_keys[i].name;
  manifest_wrong_key(r, line, c->name, key, names);
}

/* By which of its keys the command is what it is. */
static void find_kind(struct manifest_reader *r, struct draft *d, int line) {
  static const char *const keys[] = {"sql", "check", "commands", "http", "module"};
  static const enum command_kind kinds[] = {COMMAND_SQL, COMMAND_CHECK, COMMAND_COMPOSITE, COMMAND_HANDLER, COMMAND_HANDLER};
  unsigned found = 0;

  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    if (!yaml_get(d->node, keys[i])) continue;
    d->command->kind = kinds[i];
    found++;
  }
  d->kind_known = d->args_known = found == 1;
  if (found != 1)
    manifest_wrong(r, line, d->command->name,
                   "%s sql:, check:, commands:, http: and module: is needed; it says what the command is",
                   found ? "only one of" : "one of");
}

static void read_command_keys(struct manifest_reader *r, struct draft *d) {
  static const char *const kind_names[] = {"an sql command", "a check", "a composite", "a handler"};
  const struct yaml *node = d->node;
  struct command *c = d->command;

  for (size_t i = 0; i < node->json.len; i++) {
    const struct command_key *key = find_command_key(node->json.keys[i]);
    if (!key) unknown_command_key(r, node->key_lines[i], c, node->json.keys[i]);
    else if (d->kind_known && !(key->kinds & (1U << c->kind)))
      manifest_wrong(r, node->key_lines[i], c->name, "%s: does not apply to %s; remove it", key->name, kind_names[c->kind]);
    else if (key->read) key->read(r, d, &node->nodes[i]);
  }
}

/* What can be judged when the arguments are known. */
static void read_behind_args(struct manifest_reader *r, struct draft *d) {
  const struct command *c = d->command;
  const struct yaml *mutex = yaml_get(d->node, "mutex"), *hooks = yaml_get(d->node, "hooks");
  const struct yaml *events = yaml_get(d->node, "events");

  if (mutex) mutex_read(r, d, mutex);
  if (hooks) manifest_read_hooks(r, d, hooks);
  if (events) manifest_read_events(r, d, events);
  if (c->needs_key && c->kind == COMMAND_SQL && c->sql.verb == SQL_MERGE && c->returns != RETURNS_NONE)
    manifest_wrong(r, c->line, c->name,
                   "idempotency: the count of a MERGE cannot be kept for a repeat; write "
                   "returns: none");
}

void manifest_read_command(struct manifest_reader *r, struct draft *d, const struct yaml *node) {
  struct command *c = d->command;

  if (manifest_is_in(c->name, reserved)) manifest_wrong(r, c->line, c->name, "this name is writ's own; choose another");
  else if (!sql_is_name(c->name))
    manifest_wrong(r, c->line, c->name, "a command's name is letters, digits and _, not a digit first, at most %d",
                   SQL_NAME_BYTES);
  manifest_read_statement(r, d, node);
}

void manifest_read_statement(struct manifest_reader *r, struct draft *d, const struct yaml *node) {
  struct command *c = d->command;

  if (!manifest_need_mapping(r, c->name, node,
                             "{ sql: ... }, { check: ... }, { commands: [...] }, { http: ... } or { module: ... }"))
    return;
  d->node = node;
  c->max_affected = -1;
  find_kind(r, d, c->line);
  c->error.status = c->kind == COMMAND_CHECK ? STATUS_CHECK : 0;
  read_command_keys(r, d);
  if (!d->kind_known) return;
  if (c->kind == COMMAND_SQL || c->kind == COMMAND_CHECK) {
    const char *key = c->kind == COMMAND_CHECK ? "check" : "sql";
    read_statement(r, d, key, yaml_get(node, key));
  }
  manifest_bind_permissions(r, d);
  read_behind_args(r, d);
}
