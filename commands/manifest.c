/* Reads the manifest: its keys, and those of each command. What holds between commands is checked in composite.c. */
#include "commands/manifest.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/problems.h"
#include "base/str.h"
#include "commands/config.h"
#include "commands/manifest_reader.h"
#include "commands/yaml.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATUS_MIN = 400, STATUS_MAX = 499, STATUS_CHECK = 422, STATUS_CONSTRAINT = 409 };
enum { ROLE_BYTES_MAX = 63, CONSTRAINT_BYTES_MAX = 63 }; /* PostgreSQL's NAMEDATALEN - 1 */

static const struct {
  const char *name;
  enum command_kind kind;
} built_in[] = {{"transactional_command_set", COMMAND_TRANSACTIONAL_SET}, {"execute_command_set", COMMAND_EXECUTE_SET}};
enum { NBUILT_IN = sizeof built_in / sizeof *built_in };

/* Commands of writ's own, now or later, and the key beside a member's name. */
static const char *const reserved[] = {"transactional_command_set", "execute_command_set", "dispatch_event", "as",
                                       NULL};

void manifest_wrong(struct manifest_reader *r, int line, const char *where, const char *format, ...) {
  char what[2048]; /* longer ones are cut */
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  problems_add(r->problems, r->manifest->file, line, "%s: %s", where, what);
}

/* ---- small parts ---- */

static bool is_in(const char *word, const char *const *words) {
  for (; *words; words++)
    if (strcmp(word, *words) == 0) return true;
  return false;
}

static void wrong_key(struct manifest_reader *r, int line, const char *where, const char *key,
                      const char *const *keys) {
  const char *near = yaml_nearest(key, keys);
  struct str *list = str_new(r->mem, 128);

  for (size_t i = 0; keys[i]; i++) str_printf(list, "%s%s", i ? ", " : "", keys[i]);
  if (near)
    manifest_wrong(r, line, where, "unknown key %s; did you mean %s?", key, near);
  else
    manifest_wrong(r, line, where, "unknown key %s; there are: %s", key, list->p);
}

/* The text of a value, or NULL and a problem. */
static const char *read_text(struct manifest_reader *r, const char *where, const char *key, const struct yaml *value) {
  if (value->json.kind == JSON_STRING && value->json.text[0] != '\0') return value->json.text;
  manifest_wrong(r, value->line, where, "%s: must be text%s", key,
                 value->json.kind == JSON_STRING || value->json.kind == JSON_NULL ? ", and is empty"
                                                                                  : "; put it in quotes");
  return NULL;
}

static bool need_mapping(struct manifest_reader *r, const char *where, const struct yaml *value, const char *form) {
  if (value->json.kind == JSON_OBJECT) return true;
  manifest_wrong(r, value->line, where, "must be a mapping: %s", form);
  return false;
}

static int line_of_key(const struct yaml *mapping, const char *key) {
  for (size_t i = 0; i < mapping->json.len; i++)
    if (strcmp(mapping->json.keys[i], key) == 0) return mapping->key_lines[i];
  return mapping->line;
}

/* ---- errors of the application's own ---- */

static bool is_code(const char *text) {
  size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
  return text[0] >= 'A' && text[0] <= 'Z' && text[n] == '\0' && n <= SQL_NAME_BYTES;
}

static void read_code(struct manifest_reader *r, const char *where, const struct yaml *value, struct own_error *out) {
  const char *code = read_text(r, where, "code", value);
  if (code && !is_code(code))
    manifest_wrong(r, value->line, where, "code: %s must be capital letters, digits and _, as in USERNAME_TAKEN", code);
  out->code = code;
}

static void read_status(struct manifest_reader *r, const char *where, const struct yaml *value, struct own_error *out) {
  const char *text = value->json.kind == JSON_NUMBER ? value->json.text : "";
  int status = strlen(text) == 3 ? atoi(text) : 0;
  if (status < STATUS_MIN || status > STATUS_MAX)
    manifest_wrong(r, value->line, where, "status: must be a number from %d to %d", STATUS_MIN, STATUS_MAX);
  else
    out->status = status;
}

static void read_message(struct manifest_reader *r, const char *where, const struct yaml *value,
                         struct own_error *out) {
  out->message = read_text(r, where, "message", value);
}

static void read_own_error(struct manifest_reader *r, const char *where, const struct yaml *node,
                           struct own_error *out) {
  static const char *const keys[] = {"code", "status", "message", NULL};
  static void (*const readers[])(struct manifest_reader *, const char *, const struct yaml *,
                                 struct own_error *) = {read_code, read_status, read_message};

  if (!need_mapping(r, where, node, "{ code: ..., status: ..., message: ... }")) return;
  if (node->json.len == 0) manifest_wrong(r, node->line, where, "is empty; give code, status or message");
  for (size_t i = 0; i < node->json.len; i++) {
    size_t k = 0;
    while (keys[k] && strcmp(keys[k], node->json.keys[i]) != 0) k++;
    if (keys[k])
      readers[k](r, where, &node->nodes[i], out);
    else
      wrong_key(r, node->key_lines[i], where, node->json.keys[i], keys);
  }
}

static void read_constraints(struct manifest_reader *r, const struct yaml *node) {
  struct manifest *m = r->manifest;
  size_t n = node->json.len;

  if (!need_mapping(r, "constraints", node, "name of a constraint: { code: ..., message: ... }")) return;
  m->constraints = arena_array(r->mem, struct constraint_error, n ? n : 1);
  m->nconstraints = n;
  for (size_t i = 0; i < n; i++) {
    struct constraint_error *c = &m->constraints[i];
    const char *where = arena_printf(r->mem, "constraints.%s", node->json.keys[i]);
    const struct yaml *value = &node->nodes[i];

    *c = (struct constraint_error){.constraint = node->json.keys[i], .error.status = STATUS_CONSTRAINT};
    if (c->constraint[0] == '\0' || strlen(c->constraint) > CONSTRAINT_BYTES_MAX)
      manifest_wrong(r, node->key_lines[i], where, "a constraint's name has 1 to %d bytes", CONSTRAINT_BYTES_MAX);
    read_own_error(r, where, value, &c->error);
    if (value->json.kind != JSON_OBJECT) continue;
    if (!yaml_get(value, "code"))
      manifest_wrong(r, node->key_lines[i], where, "code: is missing; give one, as in USERNAME_TAKEN");
    if (!yaml_get(value, "message"))
      manifest_wrong(r, node->key_lines[i], where, "message: is missing; say what is wrong");
  }
}

/* ---- roles ---- */

static bool is_role(const char *text) {
  size_t n = strlen(text);
  if (n == 0 || n > ROLE_BYTES_MAX) return false;
  for (; *text; text++)
    if ((unsigned char)*text <= ' ' || *text == 0x7f) return false;
  return true;
}

static void read_roles(struct manifest_reader *r, const struct yaml *node) {
  struct manifest *m = r->manifest;
  size_t n = node->json.len;

  if (!need_mapping(r, "roles", node, "role of a caller: role of the database")) return;
  if (n == 0) manifest_wrong(r, node->line, "roles", "is empty; remove it, or map each role that calls");
  m->roles = arena_array(r->mem, struct role_map, n ? n : 1);
  m->nroles = n;
  for (size_t i = 0; i < n; i++) {
    struct role_map *role = &m->roles[i];
    const char *where = arena_printf(r->mem, "roles.%s", node->json.keys[i]);

    role->role = node->json.keys[i];
    if (!is_role(role->role))
      manifest_wrong(r, node->key_lines[i], where, "a role has no blanks and 1 to %d bytes", ROLE_BYTES_MAX);
    role->database_role = read_text(r, where, "database role", &node->nodes[i]);
    if (!role->database_role) continue;
    if (strlen(role->database_role) > ROLE_BYTES_MAX)
      manifest_wrong(r, node->nodes[i].line, where, "%s is longer than the %d bytes of a role in PostgreSQL",
                     role->database_role, ROLE_BYTES_MAX);
    if (strcmp(role->database_role, "none") == 0) /* SET ROLE none is the login role */
      manifest_wrong(r, node->nodes[i].line, where, "none is no role of PostgreSQL; name the role to switch to");
  }
}

static bool is_mapped(const struct manifest *m, const char *role) {
  for (size_t i = 0; i < m->nroles; i++)
    if (strcmp(m->roles[i].role, role) == 0) return true;
  return m->nroles == 0;
}

/* ---- keys of a command ---- */

static void read_description(struct manifest_reader *r, struct draft *d, const struct yaml *value) {
  d->command->description = read_text(r, d->command->name, "description", value);
}

static void read_allow(struct manifest_reader *r, struct draft *d, const struct yaml *value) {
  struct command *c = d->command;
  const char **roles;

  if (value->json.kind != JSON_ARRAY) {
    manifest_wrong(r, value->line, c->name, "allow: must be a list of roles, as in [anonymous, admin]");
    return;
  }
  roles = arena_array(r->mem, const char *, value->json.len + 1);
  for (size_t i = 0; i < value->json.len; i++) {
    const struct yaml *item = &value->nodes[i];
    const char *role = read_text(r, c->name, "allow", item);
    if (!role) continue;
    if (!is_role(role))
      manifest_wrong(r, item->line, c->name, "allow: a role has no blanks and 1 to %d bytes", ROLE_BYTES_MAX);
    else if (is_in(role, roles))
      manifest_wrong(r, item->line, c->name, "allow: %s stands here twice; remove one", role);
    else if (!is_mapped(r->manifest, role))
      manifest_wrong(r, item->line, c->name, "allow: role %s is not in roles:; map it there to a role of the database",
                     role);
    roles[c->nallow++] = role;
  }
  c->allow = roles;
}

static void read_datasource(struct manifest_reader *r, struct draft *d, const struct yaml *value) {
  const struct config *config = r->config;
  const char *name = read_text(r, d->command->name, "datasource", value);
  const char **names = arena_array(r->mem, const char *, config->ndatasources + 1);

  if (!name) return;
  for (size_t i = 0; i < config->ndatasources; i++) {
    names[i] = config->datasources[i].name;
    if (strcmp(names[i], name) != 0) continue;
    d->command->datasource = i;
    d->own_datasource = true;
    return;
  }
  const char *near = yaml_nearest(name, names);
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
  const char *type = read_text(r, where, "type", value);
  if (type && !is_type(type)) {
    manifest_wrong(r, value->line, where, "type: %s is not the name of a type, such as text, numeric(10,2) or int[]",
                   type);
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
    manifest_wrong(r, out->line, where, "a name is letters, digits and _, not a digit first, at most %d",
                   SQL_NAME_BYTES);
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
      wrong_key(r, value->key_lines[i], where, key, keys);
      ok = false;
    }
  }
  return ok;
}

static void read_args(struct manifest_reader *r, struct draft *d, const struct yaml *value) {
  struct command *c = d->command;
  size_t n = value->json.len;

  c->args_declared = true;
  if (value->json.kind == JSON_NULL ||
      !need_mapping(r, arena_printf(r->mem, "%s: args", c->name), value, "name: type")) {
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
  const char *text = read_text(r, d->command->name, "returns", value);

  if (!text) return;
  for (size_t i = 0; names[i]; i++)
    if (strcmp(names[i], text) == 0) d->command->returns = returns[i];
  if (d->command->returns == RETURNS_DEFAULT)
    manifest_wrong(r, value->line, d->command->name, "returns: %s is none of one, optional, many, count, none", text);
}

static void read_error(struct manifest_reader *r, struct draft *d, const struct yaml *value) {
  read_own_error(r, arena_printf(r->mem, "%s: error", d->command->name), value, &d->command->error);
}

static void read_isolation(struct manifest_reader *r, struct draft *d, const struct yaml *value) {
  static const char *const names[] = {"read_committed", "repeatable_read", "serializable", NULL};
  static const enum isolation levels[] = {ISOLATION_READ_COMMITTED, ISOLATION_REPEATABLE_READ, ISOLATION_SERIALIZABLE};
  const char *text = read_text(r, d->command->name, "isolation", value);

  if (!text) return;
  for (size_t i = 0; names[i]; i++)
    if (strcmp(names[i], text) == 0) d->command->isolation = levels[i];
  if (d->command->isolation == ISOLATION_DEFAULT)
    manifest_wrong(r, value->line, d->command->name,
                   "isolation: %s is none of read_committed, repeatable_read, serializable", text);
}

/* ---- statements ---- */

/* Why a statement that begins so cannot be a command, and what to do instead. */
static const char *reason_against(const char *word) {
  static const char *const transaction[] = {"abort",   "begin",    "commit",    "end",   "prepare",
                                            "release", "rollback", "savepoint", "start", NULL};
  static const char *const session[] = {"close", "deallocate", "declare", "discard", "execute",  "fetch", "listen",
                                        "load",  "move",       "reset",   "set",     "unlisten", NULL};
  if (is_in(word, transaction)) return "writ opens and ends the transaction itself; remove it";
  if (is_in(word, session)) return "it would outlive the request in a connection that others use";
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
                     "%s: %s changes data; a check is an expression, SELECT or VALUES; make it an sql: command", key,
                     word);
  } else if (verb == SQL_MERGE || verb == SQL_CALL) {
    if (returns == RETURNS_ONE || returns == RETURNS_OPTIONAL || returns == RETURNS_MANY)
      manifest_wrong(r, line, c->name, "returns: %s gives no rows here; write returns: count or none, or remove it",
                     word);
  }
}

/* Gives each :name its argument, in the order of names, from the declared ones. */
static void bind_args(struct manifest_reader *r, struct draft *d, int line) {
  struct command *c = d->command;
  const struct argument *declared = c->args;
  size_t n = c->sql.nnames, ndeclared = c->nargs;
  struct argument *args = arena_array(r->mem, struct argument, n ? n : 1);
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
      const char *near = yaml_nearest(args[i].name, names);
      manifest_wrong(r, line, c->name, "args: has no %s, but the statement uses :%s%s%s%s", args[i].name, args[i].name,
                     near ? "; did you mean :" : "; declare it, or remove args:", near ? near : "", near ? "?" : "");
    }
  }
  for (size_t k = 0; k < ndeclared; k++)
    if (!used[k])
      manifest_wrong(r, declared[k].line, c->name, "args: declares %s, but the statement does not use :%s; remove it",
                     declared[k].name, declared[k].name);
  c->args = args;
  c->nargs = n;
}

/* `check: true` is an expression, though YAML reads it as no text. */
static const char *statement_text(struct manifest_reader *r, const struct command *c, const char *key,
                                  const struct yaml *value) {
  if (c->kind == COMMAND_CHECK && value->json.kind == JSON_TRUE) return "true";
  if (c->kind == COMMAND_CHECK && value->json.kind == JSON_FALSE) return "false";
  return read_text(r, c->name, key, value);
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

enum { OF_SQL = 1 << COMMAND_SQL, OF_CHECK = 1 << COMMAND_CHECK, OF_COMPOSITE = 1 << COMMAND_COMPOSITE };
enum { OF_STATEMENT = OF_SQL | OF_CHECK, OF_ALL = OF_STATEMENT | OF_COMPOSITE };

/* read NULL: read later, when the others are there. kinds 0: for another version of writ. */
static const struct command_key {
  const char *name;
  unsigned kinds;
  void (*read)(struct manifest_reader *, struct draft *, const struct yaml *);
} command_keys[] = {
    {"sql", OF_SQL, NULL},
    {"check", OF_CHECK, NULL},
    {"commands", OF_COMPOSITE, NULL},
    {"description", OF_ALL, read_description},
    {"allow", OF_ALL, read_allow},
    {"datasource", OF_ALL, read_datasource},
    {"args", OF_ALL, read_args},
    {"returns", OF_SQL, read_returns},
    {"error", OF_CHECK, read_error},
    {"result", OF_COMPOSITE, NULL},
    {"isolation", OF_COMPOSITE, read_isolation},
    {"http", 0, NULL},
    {"module", 0, NULL},
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
  for (size_t i = 0; i < NCOMMAND_KEYS; i++)
    if (command_keys[i].kinds) names[n++] = command_keys[i].name;
  wrong_key(r, line, c->name, key, names);
}

/* By which of its keys the command is what it is. */
static void find_kind(struct manifest_reader *r, struct draft *d, int line) {
  static const char *const keys[] = {"sql", "check", "commands"};
  static const enum command_kind kinds[] = {COMMAND_SQL, COMMAND_CHECK, COMMAND_COMPOSITE};
  unsigned found = 0;

  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    if (!yaml_get(d->node, keys[i])) continue;
    d->command->kind = kinds[i];
    found++;
  }
  d->kind_known = d->args_known = found == 1;
  if (found == 0 && (yaml_get(d->node, "http") || yaml_get(d->node, "module"))) return; /* told with the key */
  if (found != 1)
    manifest_wrong(r, line, d->command->name, "%s sql:, check: and commands: is needed; it says what the command is",
                   found ? "only one of" : "one of");
}

static void read_command_keys(struct manifest_reader *r, struct draft *d) {
  static const char *const kind_names[] = {"an sql command", "a check", "a composite"};
  const struct yaml *node = d->node;
  struct command *c = d->command;

  for (size_t i = 0; i < node->json.len; i++) {
    const struct command_key *key = find_command_key(node->json.keys[i]);
    if (!key)
      unknown_command_key(r, node->key_lines[i], c, node->json.keys[i]);
    else if (key->kinds == 0)
      manifest_wrong(r, node->key_lines[i], c->name, "%s: is not supported by this version of writ", key->name);
    else if (d->kind_known && !(key->kinds & (1U << c->kind)))
      manifest_wrong(r, node->key_lines[i], c->name, "%s: does not apply to %s; remove it", key->name,
                     kind_names[c->kind]);
    else if (key->read)
      key->read(r, d, &node->nodes[i]);
  }
}

static void read_command(struct manifest_reader *r, struct draft *d, const struct yaml *node) {
  struct command *c = d->command;

  if (is_in(c->name, reserved))
    manifest_wrong(r, c->line, c->name, "this name is writ's own; choose another");
  else if (!sql_is_name(c->name))
    manifest_wrong(r, c->line, c->name, "a command's name is letters, digits and _, not a digit first, at most %d",
                   SQL_NAME_BYTES);
  if (!need_mapping(r, c->name, node, "{ sql: ... }, { check: ... } or { commands: [...] }")) return;
  d->node = node;
  find_kind(r, d, c->line);
  c->error.status = c->kind == COMMAND_CHECK ? STATUS_CHECK : 0;
  read_command_keys(r, d);
  if (!d->kind_known || c->kind == COMMAND_COMPOSITE) return;
  const char *key = c->kind == COMMAND_CHECK ? "check" : "sql";
  read_statement(r, d, key, yaml_get(node, key));
}

static struct draft *add_draft(struct manifest_reader *r, const char *name, int line) {
  struct manifest *m = r->manifest;
  struct command *c = arena_new(r->mem, struct command);
  struct draft *d = &r->drafts[r->ndrafts++];

  c->name = name;
  c->id = m->ncommands;
  c->line = line;
  m->commands[m->ncommands++] = c;
  d->command = c;
  return d;
}

/* node NULL: there is no commands: */
static void read_commands(struct manifest_reader *r, const struct yaml *node) {
  size_t n = node && need_mapping(r, "commands", node, "name: { sql: ... }") ? node->json.len : 0;

  r->manifest->commands = arena_array(r->mem, const struct command *, NBUILT_IN + n);
  r->drafts = arena_array(r->mem, struct draft, NBUILT_IN + n);
  for (size_t i = 0; i < NBUILT_IN; i++) add_draft(r, built_in[i].name, 0)->command->kind = built_in[i].kind;
  for (size_t i = 0; i < n; i++) read_command(r, add_draft(r, node->json.keys[i], node->key_lines[i]), &node->nodes[i]);
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

/* ---- the whole ---- */

static void check_top(struct manifest_reader *r, const struct yaml *root) {
  static const char *const keys[] = {"specVersion", "roles", "constraints", "commands", NULL};
  const struct yaml *version = yaml_get(root, "specVersion");

  for (size_t i = 0; i < root->json.len; i++) {
    const char *key = root->json.keys[i];
    if (strcmp(key, "schema") == 0)
      manifest_wrong(r, root->key_lines[i], key,
                     "is not supported by this version of writ; remove it and write sql: commands");
    else if (!is_in(key, keys))
      wrong_key(r, root->key_lines[i], "manifest", key, keys);
  }
  if (!version)
    manifest_wrong(r, 1, "specVersion", "is missing; write specVersion: 1");
  else if (version->json.kind != JSON_NUMBER || strcmp(version->json.text, "1") != 0)
    manifest_wrong(r, line_of_key(root, "specVersion"), "specVersion",
                   "must be 1, the only one that this version of writ reads");
}

static void read_root(struct manifest_reader *r, const struct yaml *root) {
  const struct yaml *part;

  if (!need_mapping(r, "manifest", root, "specVersion: 1, commands: ...")) return;
  check_top(r, root);
  if ((part = yaml_get(root, "roles"))) read_roles(r, part); /* before the commands: their allow: names them */
  if ((part = yaml_get(root, "constraints"))) read_constraints(r, part);
  part = yaml_get(root, "commands");
  if (!part) manifest_wrong(r, 0, "commands", "is missing; without it there is nothing to call");
  read_commands(r, part);
  index_commands(r->mem, r->manifest);
  composite_link(r);
}

static struct manifest *read_tree(const void *mem, const struct config *config, const struct yaml *root, size_t errors,
                                  struct problems *p) {
  struct manifest_reader r = {.mem = mem, .config = config, .problems = p};

  r.manifest = arena_new(mem, struct manifest);
  r.manifest->file = config->manifest;
  if (root) read_root(&r, root);
  talloc_free(r.drafts);
  return p->errors == errors ? r.manifest : NULL;
}

struct manifest *manifest_load(const void *mem, const struct config *config, struct problems *p) {
  size_t errors = p->errors;
  return read_tree(mem, config, yaml_load(mem, config->manifest, p), errors, p);
}

struct manifest *manifest_read(const void *mem, const struct config *config, const char *text, size_t len,
                               struct problems *p) {
  size_t errors = p->errors;
  return read_tree(mem, config, yaml_read(mem, config->manifest, text, len, p), errors, p);
}
