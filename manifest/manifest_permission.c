/* Reads what guards a command: permissions:, version: and max_affected:. */
#include "base/arena.h"
#include "base/json.h"
#include "manifest/manifest.h"
#include "manifest/manifest_reader.h"
#include "manifest/yaml.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const char version_name[] = "version"; /* of the guard, and of its argument */

static const struct {
  const char *name;
  enum given given;
  const char *type;
} givens[] = {{"result", GIVEN_RESULT, "jsonb"},
              {"claims", GIVEN_CLAIMS, "jsonb"},
              {"role", GIVEN_ROLE, "text"},
              {"user", GIVEN_USER, "text"}};
enum { NGIVENS = sizeof givens / sizeof *givens };

/* ---- texts ---- */

static const char *condition_text(struct manifest_reader *r, const char *where, const struct yaml *value) {
  if (value->json.kind == JSON_TRUE) return "true";
  if (value->json.kind == JSON_FALSE) return "false";
  return manifest_text(r, where, "sql", value);
}

static void read_lock(struct manifest_reader *r, const char *where, const struct yaml *value, struct permission *out) {
  static const char *const names[] = {"update", "share", "none", NULL};
  const char *text = manifest_text(r, where, "lock", value);

  for (size_t i = 0; text && names[i]; i++)
    if (strcmp(names[i], text) == 0) {
      out->lock = (enum row_lock)i;
      return;
    }
  if (text) manifest_wrong(r, value->line, where, "lock: %s is none of update, share, none", text);
}

static void read_as(struct manifest_reader *r, const char *where, const struct yaml *value, struct permission *out) {
  const char *text = manifest_text(r, where, "as", value);

  if (!text) return;
  out->as_login = strcmp(text, "login") == 0;
  if (!out->as_login && strcmp(text, "caller") != 0)
    manifest_wrong(r, value->line, where, "as: %s is none of caller, login", text);
}

/* A condition alone, or { sql:, lock:, as: }. Its text, or NULL and a problem. */
static const char *read_options(struct manifest_reader *r, const char *where, const struct yaml *value, struct command *c) {
  static const char *const keys[] = {"sql", "lock", "as", NULL}, *const version_keys[] = {"sql", "lock", "as", "required",
                                                                                          NULL};
  const char *const *known = c->kind == COMMAND_VERSION ? version_keys : keys;
  const struct yaml *sql;

  if (value->json.kind != JSON_OBJECT) return condition_text(r, where, value);
  for (size_t i = 0; i < value->json.len; i++) {
    const char *key = value->json.keys[i];
    if (!manifest_is_in(key, known)) manifest_wrong_key(r, value->key_lines[i], where, key, known);
    else if (strcmp(key, "lock") == 0) read_lock(r, where, &value->nodes[i], &c->permission);
    else if (strcmp(key, "as") == 0) read_as(r, where, &value->nodes[i], &c->permission);
  }
  sql = yaml_get(value, "sql");
  if (sql) return condition_text(r, where, sql);
  manifest_wrong(r, value->line, where, "sql: is missing");
  return NULL;
}

static bool check_verb(struct manifest_reader *r, const char *where, const struct command *c) {
  enum sql_verb verb = c->sql.verb;

  if (c->kind == COMMAND_VERSION) {
    if (verb == SQL_SELECT) return true;
    manifest_wrong(r, c->line, where,
                   "must be a SELECT of the column that tells the version, as in "
                   "select version from pet where id = :id");
    return false;
  }
  if (verb == SQL_SELECT || verb == SQL_VALUES || verb == SQL_EXPRESSION) return true;
  manifest_wrong(r, c->line, where, "must be a condition: an expression, SELECT or VALUES");
  return false;
}

/* One permission, without its arguments. NULL: a problem. */
static struct command *read_condition(struct manifest_reader *r, const struct command *of, enum command_kind kind,
                                      enum row_lock lock, const char *name, const struct yaml *value, int line) {
  struct command *c = arena_new(r->mem, struct command);
  const char *text;
  struct err e;

  *c = (struct command){.name = arena_printf(r->mem, "%s.%s", of->name, name),
                        .kind = kind,
                        .line = line,
                        .max_affected = -1,
                        .permission = {.of = of, .lock = lock},
                        .args_declared = true};
  c->error =
      kind == COMMAND_VERSION
          ? (struct own_error){"VERSION_MISMATCH", "It has been changed since that version was read, or is not there.", 412}
          : (struct own_error){"PERMISSION_DENIED",
                               arena_printf(r->mem, "The permission \"%s\" of \"%s\" denies this.", name, of->name), 403};
  text = read_options(r, c->name, value, c);
  if (!text) return NULL;
  err_init(&e, r->mem);
  if (!sql_scan(r->mem, text, kind == COMMAND_PERMISSION, &c->sql, &e)) {
    manifest_wrong(r, line, c->name, "%s", e.message);
    return NULL;
  }
  return check_verb(r, c->name, c) ? c : NULL;
}

/* lock: what is looked at before must stay so; what is looked at after the writes is theirs, or cannot be helped. */
static void read_list(struct manifest_reader *r, struct command *of, enum row_lock lock, const struct yaml *node,
                      const struct command ***list, size_t *n) {
  if (!manifest_need_mapping(r, arena_printf(r->mem, "%s: permissions", of->name), node, "name: condition")) return;
  for (size_t i = 0; i < node->json.len; i++) {
    const char *name = node->json.keys[i];
    const struct command *c;

    if (!sql_is_name(name) || strcmp(name, version_name) == 0) {
      manifest_wrong(r, node->key_lines[i], of->name,
                     "permissions: %s: a name is letters, digits and _, not a digit first, and not %s", name, version_name);
      continue;
    }
    c = read_condition(r, of, COMMAND_PERMISSION, lock, name, &node->nodes[i], node->key_lines[i]);
    if (!c) continue;
    arena_grow(r->mem, *list, *n);
    (*list)[(*n)++] = c;
  }
}

void manifest_read_permissions(struct manifest_reader *r, struct draft *d, const struct yaml *value) {
  struct command *c = d->command;
  const struct yaml *before = yaml_get(value, "before"), *after = yaml_get(value, "after");

  if (!manifest_need_mapping(r, arena_printf(r->mem, "%s: permissions", c->name), value, "{ before: {...}, after: {...} }"))
    return;
  if (!before && !after) {
    read_list(r, c, ROW_LOCK_UPDATE, value, &c->before, &c->nbefore);
    return;
  }
  for (size_t i = 0; i < value->json.len; i++)
    if (&value->nodes[i] != before && &value->nodes[i] != after)
      manifest_wrong(r, value->key_lines[i], c->name, "permissions: %s: put it into before: or after:", value->json.keys[i]);
  if (after && c->kind == COMMAND_HANDLER)
    manifest_wrong(r, value->line, c->name,
                   "permissions: after: what a program has done cannot be rolled back; ask before:, or in the "
                   "sets that it runs");
  if (before) read_list(r, c, ROW_LOCK_UPDATE, before, &c->before, &c->nbefore);
  if (after) read_list(r, c, ROW_LOCK_NONE, after, &c->after, &c->nafter);
}

/* It comes first: when the version is another, the rest does not matter. */
void manifest_read_version(struct manifest_reader *r, struct draft *d, const struct yaml *value) {
  struct command *c = d->command,
                 *guard = read_condition(r, c, COMMAND_VERSION, ROW_LOCK_UPDATE, version_name, value, value->line);
  const struct yaml *required = yaml_get(value, "required");

  if (required && required->json.kind != JSON_TRUE && required->json.kind != JSON_FALSE)
    manifest_wrong(r, required->line, guard ? guard->name : c->name, "required: must be true or false");
  c->version_required = required && required->json.kind == JSON_TRUE;
  if (!guard) return;
  arena_grow(r->mem, c->before, c->nbefore);
  memmove(c->before + 1, c->before, c->nbefore * sizeof *c->before);
  c->before[0] = guard;
  c->nbefore++;
}

void manifest_read_max_affected(struct manifest_reader *r, struct draft *d, const struct yaml *value) {
  const char *text = value->json.kind == JSON_NUMBER ? value->json.text : "";

  if (text[0] && text[strspn(text, "0123456789")] == '\0' && strlen(text) <= 9) d->command->max_affected = atol(text);
  else manifest_wrong(r, value->line, d->command->name, "max_affected: must be a number of rows");
}

/* ---- arguments ---- */

static bool names_it(const struct command *permission, const char *name) {
  for (size_t i = 0; i < permission->sql.nnames; i++)
    if (strcmp(permission->sql.names[i], name) == 0) return true;
  return false;
}

static bool is_used(const struct command *permission, const char *name) {
  return names_it(permission, name) || (permission->kind == COMMAND_VERSION && strcmp(name, version_name) == 0);
}

bool manifest_permission_uses(const struct command *c, const char *name) {
  for (size_t i = 0; i < c->nbefore; i++)
    if (is_used(c->before[i], name)) return true;
  for (size_t i = 0; i < c->nafter; i++)
    if (is_used(c->after[i], name)) return true;
  return false;
}

static bool find_argument(const struct command *c, const char *name, size_t *index) {
  for (*index = 0; *index < c->nargs; ++*index)
    if (strcmp(c->args[*index].name, name) == 0) return true;
  return false;
}

static bool can_have_result(const struct command *c) {
  return c->kind != COMMAND_SQL || (c->sql.verb != SQL_CALL && c->sql.verb != SQL_MERGE);
}

/* An argument of the command goes ahead of what is given: `role` may well be a column. */
static void bind_name(struct manifest_reader *r, struct command *p, bool after, size_t i, int *from) {
  const struct command *of = p->permission.of;
  const char *name = p->sql.names[i];
  size_t index;

  p->args[i] = (struct argument){.name = name, .line = p->line};
  *from = GIVEN_CLAIMS;
  if (find_argument(of, name, &index)) {
    p->args[i].type = of->args[index].type;
    *from = (int)index;
    return;
  }
  for (size_t g = 0; g < NGIVENS; g++) {
    if (strcmp(givens[g].name, name) != 0) continue;
    p->args[i].type = givens[g].type;
    *from = givens[g].given;
    if (*from == GIVEN_RESULT && !after)
      manifest_wrong(r, p->line, p->name, ":result is not there yet; put the permission into after:");
    else if (*from == GIVEN_RESULT && !can_have_result(of))
      manifest_wrong(r, p->line, p->name, ":result: that of a CALL or MERGE cannot be looked at");
    return;
  }
  manifest_wrong(r, p->line, p->name,
                 "uses :%s, but %s has no such argument, and it is none of :claims, :role, :user, :result", name, of->name);
}

static void bind_names(struct manifest_reader *r, struct command *p, bool after) {
  size_t n = p->sql.nnames;
  int *from = arena_array(r->mem, int, n ? n : 1);

  p->args = arena_array(r->mem, struct argument, n ? n : 1);
  p->nargs = n;
  for (size_t i = 0; i < n; i++) bind_name(r, p, after, i, &from[i]);
  p->permission.from = from;
}

/* The value to compare with is one parameter more, if the guard's own text does not name it. */
static void add_version_name(struct manifest_reader *r, struct command *guard) {
  const char **names = arena_array(r->mem, const char *, guard->sql.nnames + 1);
  size_t n = 0;

  for (; n < guard->sql.nnames; n++) names[n] = guard->sql.names[n];
  guard->permission.version = n;
  names[n++] = version_name;
  guard->sql.names = names;
  guard->sql.nnames = n;
}

/* The command takes the argument version, though its own statement may not use it. */
static void add_version_argument(struct manifest_reader *r, struct command *c) {
  struct argument *args;
  size_t index;

  if (find_argument(c, version_name, &index)) return;
  args = arena_array(r->mem, struct argument, c->nargs + 1);
  memcpy(args, c->args, c->nargs * sizeof *args);
  args[c->nargs++] = (struct argument){.name = version_name, .fallback = &json_null, .line = c->before[0]->line};
  c->args = args;
}

void manifest_bind_permissions(struct manifest_reader *r, struct draft *d) {
  struct command *c = d->command;

  if (!d->args_known) return;
  if (c->nbefore && c->before[0]->kind == COMMAND_VERSION) {
    add_version_argument(r, c);
    if (names_it(c->before[0], version_name))
      manifest_wrong(r, c->before[0]->line, c->before[0]->name,
                     "does not use :version itself: it selects the column to compare with it");
    else add_version_name(r, (struct command *)c->before[0]);
  }
  for (size_t i = 0; i < c->nbefore; i++) bind_names(r, (struct command *)c->before[i], false);
  for (size_t i = 0; i < c->nafter; i++) bind_names(r, (struct command *)c->after[i], true);
}

/* ---- ids ---- */

static void add_list(struct manifest_reader *r, const struct command *of, const struct command **list, size_t n) {
  struct manifest *m = r->manifest;

  for (size_t i = 0; i < n; i++) {
    struct command *p = (struct command *)list[i];

    p->id = m->ncommands;
    p->datasource = of->datasource;
    p->file = of->file;
    p->allow = of->allow;
    p->nallow = of->nallow;
    m->commands[m->ncommands++] = p;
  }
}

void manifest_add_permissions(struct manifest_reader *r) {
  struct manifest *m = r->manifest;
  const struct command **all;
  size_t n = m->ncommands, total = n;

  for (size_t i = 0; i < n; i++) total += m->commands[i]->nbefore + m->commands[i]->nafter;
  if (total == n) return;
  all = arena_array(r->mem, const struct command *, total);
  memcpy(all, m->commands, n * sizeof *all);
  m->commands = all;
  for (size_t i = 0; i < n; i++) {
    const struct command *c = all[i];
    add_list(r, c, c->before, c->nbefore);
    add_list(r, c, c->after, c->nafter);
  }
}
