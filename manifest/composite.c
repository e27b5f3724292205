/* Reads composites: commands made of other commands, with their arguments wired through. */
#include "base/arena.h"
#include "base/json.h"
#include "base/nearest.h"
#include "base/str.h"
#include "manifest/config.h"
#include "manifest/manifest.h"
#include "manifest/manifest_reader.h"
#include "manifest/yaml.h"

#include <string.h>

/* One composite may call another, which doubles what runs with each level: both are bounded, so that a few lines cannot
 * become a million statements. */
enum { LEVELS_MAX = 32, STATEMENTS_MAX = 1000 };

/* What a template may refer to: the arguments of its composite, and the members before it. */
struct scope {
  struct manifest_reader *r;
  const struct command *composite;
  const char *where;            /* for messages */
  const struct member *members; /* the first n are earlier ones */
  size_t n;
  bool *used; /* by argument */
};

static struct draft *draft_of(struct manifest_reader *r, const struct command *c) { return &r->drafts[c->id]; }

/* "; did you mean x?", "; there are x, y", or "; there are none". */
static const char *advice(const void *mem, const char *word, const char *const *names) {
  const char *near = nearest(word, names);
  struct str *list = str_new(mem, 64);

  if (near) return arena_printf(mem, "; did you mean %s?", near);
  for (size_t i = 0; names[i]; i++) str_printf(list, "%s%s", i ? ", " : "; there are ", names[i]);
  if (!names[0]) str_add(list, "; there are none");
  return list->p;
}

static const char *advise_argument(const void *mem, const struct command *c, const char *word) {
  const char **names = arena_array(mem, const char *, c->nargs + 1);
  for (size_t i = 0; i < c->nargs; i++) names[i] = c->args[i].name;
  return advice(mem, word, names);
}

static const char *advise_result(const void *mem, const struct scope *s, const char *word) {
  const char **names = arena_array(mem, const char *, s->n + 1);
  size_t n = 0;
  for (size_t i = 0; i < s->n; i++)
    if (s->members[i].as) names[n++] = s->members[i].as;
  return advice(mem, word, names);
}

static const char *advise_command(const struct manifest_reader *r, const char *word) {
  const struct manifest *m = r->manifest;
  const char **names = arena_array(r->mem, const char *, m->ncommands + 1);
  size_t n = 0;
  for (size_t i = 0; i < m->ncommands; i++)
    if (r->drafts[i].node) names[n++] = m->commands[i]->name;
  const char *near = nearest(word, names);
  return near ? arena_printf(r->mem, "; did you mean %s?", near) : "; define it under commands:";
}

/* Index of an argument; nargs: it has none of that name. */
static size_t find_argument(const struct command *c, const char *name) {
  size_t i = 0;
  while (i < c->nargs && strcmp(c->args[i].name, name) != 0) i++;
  return i;
}

/* ---- references ---- */

/* Cuts "user.address.0" at its dots; false: an empty part, or one with a blank in it, as text with a dollar would
 * have. */
static bool split_path(const void *mem, const char *text, const char ***parts, size_t *n) {
  *parts = NULL;
  *n = 0;
  for (;;) {
    size_t len = strcspn(text, ".");
    if (len == 0 || strcspn(text, " \t\r\n$") < len) return false;
    arena_grow(mem, *parts, *n);
    (*parts)[(*n)++] = arena_strndup(mem, text, len);
    if (text[len] == '\0') return true;
    text += len + 1;
  }
}

static void refer_to_argument(struct scope *s, const char *text, const char *const *parts, size_t n, struct template *out) {
  const struct command *c = s->composite;

  if (n < 2) {
    manifest_wrong(s->r, out->line, s->where, "%s: name an argument, as in $args.name", text);
    return;
  }
  size_t i = find_argument(c, parts[1]);
  if (i == c->nargs) {
    if (draft_of(s->r, c)->args_known)
      manifest_wrong(s->r, out->line, s->where, "%s: args: does not declare %s%s", text, parts[1],
                     c->nargs ? advise_argument(s->r->mem, c, parts[1]) : "; declare it there");
    return;
  }
  s->used[i] = true;
  out->kind = TEMPLATE_ARGS;
  out->argument = i;
  out->path = parts + 2;
  out->npath = n - 2;
}

/* What is known without a database of what a reference can find. first: of its path; NULL: the whole result. */
static const char *reason_against_path(const struct command *c, const char *first) {
  if (c->kind == COMMAND_SQL && (c->sql.verb == SQL_CALL || c->sql.verb == SQL_MERGE))
    return "is a CALL or MERGE, whose result cannot be referred to";
  if (!first) return NULL;
  if (c->kind == COMMAND_CHECK) return "is a check, whose result is true: it has no fields";
  if (c->kind != COMMAND_SQL) return NULL;
  if (c->returns == RETURNS_COUNT || c->returns == RETURNS_NONE) return "returns count or none: it has no fields";
  if (c->returns == RETURNS_MANY && first[strspn(first, "0123456789")] != '\0')
    return "returns many: name the row first, as in $name.0.column";
  return NULL;
}

static void refer_to_result(struct scope *s, const char *text, const char *const *parts, size_t n, struct template *out) {
  size_t i = 0;

  while (i < s->n && !(s->members[i].as && strcmp(s->members[i].as, parts[0]) == 0)) i++;
  if (i == s->n) {
    manifest_wrong(s->r, out->line, s->where, "%s: no earlier command has `as: %s`%s; a literal dollar is written $$", text,
                   parts[0], advise_result(s->r->mem, s, parts[0]));
    return;
  }
  const struct command *target = s->members[i].command;
  const char *reason = target ? reason_against_path(target, n > 1 ? parts[1] : NULL) : NULL;
  if (reason) manifest_wrong(s->r, out->line, s->where, "%s: %s %s", text, target->name, reason);
  out->kind = TEMPLATE_RESULT;
  out->member = i;
  out->path = parts + 1;
  out->npath = n - 1;
}

/* A reference to nothing stays what *out was, a literal: reading goes on to find what else is wrong. */
static void read_reference(struct scope *s, const char *text, struct template *out) {
  const char **parts;
  size_t n;

  if (!split_path(s->r->mem, text + 1, &parts, &n))
    manifest_wrong(s->r, out->line, s->where,
                   "%s: is no reference such as $args.name or $user.id; a literal dollar is written $$", text);
  else if (strcmp(parts[0], "args") == 0) refer_to_argument(s, text, parts, n, out);
  else refer_to_result(s, text, parts, n, out);
}

/* ---- templates ---- */

static void read_text_template(struct scope *s, const struct yaml *node, struct template *out) {
  const char *text = node->json.text;

  if (text[0] != '$') return;
  if (text[1] != '$') {
    read_reference(s, text, out);
    return;
  }
  struct json *literal = arena_new(s->r->mem, struct json);
  *literal = (struct json){.kind = JSON_STRING, .text = text + 1, .len = node->json.len - 1};
  out->literal = literal;
}

/* A list or mapping of literals alone is one literal; made anew when a $$ in it lost a dollar. */
static const struct json *join_literals(const void *mem, const struct yaml *node, const struct template *items) {
  bool changed = false;
  struct json *joined, *values;

  for (size_t i = 0; i < node->json.len; i++) changed |= items[i].literal != &node->nodes[i].json;
  if (!changed) return &node->json;
  joined = arena_new(mem, struct json);
  values = arena_array(mem, struct json, node->json.len);
  for (size_t i = 0; i < node->json.len; i++) values[i] = *items[i].literal;
  *joined = node->json;
  joined->items = values;
  return joined;
}

/* Recursion ends with the depth of the file, which yaml.c bounds. */
static void read_template(struct scope *s, const struct yaml *node, struct template *out) {
  size_t n = node->json.len;
  bool literal = true;

  *out = (struct template){.kind = TEMPLATE_LITERAL, .literal = &node->json, .line = node->line};
  if (node->json.kind == JSON_STRING) read_text_template(s, node, out);
  if (node->json.kind != JSON_ARRAY && node->json.kind != JSON_OBJECT) return;

  struct template *items = arena_array(s->r->mem, struct template, n ? n : 1);
  for (size_t i = 0; i < n; i++) {
    read_template(s, &node->nodes[i], &items[i]);
    literal &= items[i].kind == TEMPLATE_LITERAL;
  }
  if (literal) {
    out->literal = join_literals(s->r->mem, node, items);
    return;
  }
  out->kind = node->json.kind == JSON_ARRAY ? TEMPLATE_ARRAY : TEMPLATE_OBJECT;
  out->literal = NULL;
  out->items = items;
  out->keys = node->json.keys;
  out->n = n;
}

void template_read(struct manifest_reader *r, const struct command *c, const char *where, const struct yaml *node,
                   struct template *out) {
  const struct member itself = {.command = c, .as = "result"};
  struct scope s = {.r = r, .composite = c, .where = where, .members = &itself, .n = 1};

  s.used = arena_array(r->mem, bool, c->nargs ? c->nargs : 1);
  read_template(&s, node, out);
}

void template_read_with_caller(struct manifest_reader *r, const struct command *c, const char *where,
                               const struct yaml *node, struct template *out) {
  const struct member members[] = {{.command = c, .as = "result"}, {.as = "caller"}};
  struct scope s = {.r = r, .composite = c, .where = where, .members = members, .n = 2};

  s.used = arena_array(r->mem, bool, c->nargs ? c->nargs : 1);
  read_template(&s, node, out);
}

/* ---- members ---- */

static void check_member_args(struct scope *s, const struct command *target, const struct yaml *node, int line) {
  struct manifest_reader *r = s->r;

  for (size_t i = 0; node && i < node->json.len; i++)
    if (find_argument(target, node->json.keys[i]) == target->nargs)
      manifest_wrong(r, node->key_lines[i], s->where, "%s has no argument %s%s", target->name, node->json.keys[i],
                     advise_argument(r->mem, target, node->json.keys[i]));
  for (size_t i = 0; i < target->nargs; i++)
    if (!target->args[i].fallback && !(node && yaml_get(node, target->args[i].name)))
      manifest_wrong(r, line, s->where, "argument %s is missing; give it here, or give it a default in args: of %s",
                     target->args[i].name, target->name);
}

/* node: what stands behind the member's name. */
static void read_member_args(struct scope *s, const struct yaml *node, struct member *out) {
  struct manifest_reader *r = s->r;
  struct template *args = arena_new(r->mem, struct template);
  struct template *items = arena_array(r->mem, struct template, node->json.len ? node->json.len : 1);

  *args = (struct template){.kind = TEMPLATE_OBJECT, .items = items, .line = node->line};
  out->args = args;
  if (node->json.kind == JSON_OBJECT) {
    for (size_t i = 0; i < node->json.len; i++) read_template(s, &node->nodes[i], &items[i]);
    args->keys = node->json.keys;
    args->n = node->json.len;
  } else if (node->json.kind != JSON_NULL) {
    manifest_wrong(r, node->line, s->where, "arguments are a mapping: { name: value, ... }");
    return;
  }
  if (out->command && draft_of(r, out->command)->args_known)
    check_member_args(s, out->command, node->json.kind == JSON_OBJECT ? node : NULL, out->line);
}

static const struct command *find_target(struct scope *s, const char *name, int line) {
  struct manifest_reader *r = s->r;
  const struct command *target = manifest_command(r->manifest, name);

  if (!target) manifest_wrong(r, line, s->where, "there is no command of this name%s", advise_command(r, name));
  else if (target->kind == COMMAND_TRANSACTIONAL_SET || target->kind == COMMAND_EXECUTE_SET) {
    manifest_wrong(r, line, s->where, "a set cannot be part of a composite; list its commands here");
    return NULL;
  }
  if (target && target->kind == COMMAND_HANDLER) {
    manifest_wrong(r, line, s->where,
                   "a handler cannot be part of a composite: its program runs outside of the transaction");
    return NULL;
  }
  return target;
}

static const char *read_as(struct scope *s, const struct yaml *value) {
  const char *as = value->json.kind == JSON_STRING ? value->json.text : "";

  if (!sql_is_name(as)) {
    manifest_wrong(s->r, value->line, s->where, "as: must be a name of letters, digits and _, not a digit first, at most %d",
                   SQL_NAME_BYTES);
    return NULL;
  }
  if (strcmp(as, "args") == 0 || strcmp(as, "error") == 0) {
    manifest_wrong(s->r, value->line, s->where, "as: %s has a meaning of its own in references; choose another name", as);
    return NULL;
  }
  for (size_t i = 0; i < s->n; i++) {
    if (!s->members[i].as || strcmp(s->members[i].as, as) != 0) continue;
    manifest_wrong(s->r, value->line, s->where, "as: %s is the name of an earlier result, on line %d; choose another", as,
                   s->members[i].line);
    return NULL;
  }
  return as;
}

/* { NAME: arguments, as: name } */
static void read_member(struct scope *s, const struct yaml *node, struct member *out) {
  const char *composite = s->composite->name;
  size_t at = 0, names = 0;

  out->line = node->line;
  s->where = composite;
  for (size_t i = 0; node->json.kind == JSON_OBJECT && i < node->json.len; i++) {
    if (strcmp(node->json.keys[i], "as") == 0) continue;
    at = i;
    names++;
  }
  if (names != 1) {
    manifest_wrong(s->r, node->line, composite,
                   "commands: %s; write each as `- name: { argument: value }`, with `as:` if need be",
                   names ? "two names stand in one entry" : "an entry names no command");
    return;
  }
  const char *name = node->json.keys[at];
  s->where = arena_printf(s->r->mem, "%s: %s", composite, name);
  out->command = find_target(s, name, node->key_lines[at]);
  read_member_args(s, &node->nodes[at], out);
  const struct yaml *as = yaml_get(node, "as");
  if (as) out->as = read_as(s, as);
}

static void check_args_used(const struct scope *s) {
  const struct command *c = s->composite;
  for (size_t i = 0; i < c->nargs; i++)
    if (!s->used[i] && !manifest_permission_uses(c, c->args[i].name))
      manifest_wrong(s->r, c->args[i].line, c->name, "args: declares %s, but $args.%s is used nowhere; remove it",
                     c->args[i].name, c->args[i].name);
}

static void read_composite(struct manifest_reader *r, struct draft *d) {
  struct command *c = d->command;
  const struct yaml *list = yaml_get(d->node, "commands"), *result = yaml_get(d->node, "result");
  struct scope s = {.r = r, .composite = c, .where = c->name};

  r->file = c->file;
  if (list->json.kind != JSON_ARRAY || list->json.len == 0) {
    manifest_wrong(r, list->line, c->name, "commands: must be a list of commands: - name: { argument: value }");
    return;
  }
  struct member *members = arena_array(r->mem, struct member, list->json.len);
  s.used = arena_array(r->mem, bool, c->nargs ? c->nargs : 1);
  s.members = members;
  for (; s.n < list->json.len; s.n++) read_member(&s, &list->nodes[s.n], &members[s.n]);
  c->members = members;
  c->nmembers = s.n;
  if (result) {
    struct template *template = arena_new(r->mem, struct template);
    s.where = arena_printf(r->mem, "%s: result", c->name);
    read_template(&s, result, template);
    c->result = template;
  }
  check_args_used(&s);
}

/* ---- what holds between commands ---- */

static void check_datasource(struct manifest_reader *r, struct draft *d, const struct member *m) {
  struct command *c = d->command;
  const struct datasource *sources = r->config->datasources;

  if (!d->own_datasource && !d->datasource_known) c->datasource = m->command->datasource;
  d->datasource_known = true;
  if (m->command->datasource == c->datasource) return;
  manifest_wrong(r, m->line, c->name,
                 "DIFFERENT_DATASOURCES: %s is on %s, but %s %s on %s; a transaction has one datasource", m->command->name,
                 sources[m->command->datasource].name, c->name, d->own_datasource ? "is" : "begins",
                 sources[c->datasource].name);
}

static void visit(struct manifest_reader *r, struct draft *d, unsigned depth);

/* Adds what a member brings to its composite; false: it cannot be judged. */
static bool visit_member(struct manifest_reader *r, struct draft *d, const struct member *m, unsigned depth) {
  struct draft *target = draft_of(r, m->command);

  if (target->state == DRAFT_OPEN) {
    r->file = d->command->file;
    manifest_wrong(r, m->line, d->command->name, "%s calls itself%s; commands may not run in a circle", m->command->name,
                   target == d ? "" : arena_printf(r->mem, " by way of %s", d->command->name));
    return false;
  }
  visit(r, target, depth + 1);
  if (target->levels + 1 > d->levels) d->levels = target->levels + 1;
  d->statements += target->statements;
  return true;
}

static void visit_members(struct manifest_reader *r, struct draft *d, unsigned depth) {
  const struct command *c = d->command;

  for (size_t i = 0; i < c->nmembers; i++) {
    const struct member *m = &c->members[i];
    if (!m->command || !visit_member(r, d, m, depth)) continue;
    check_datasource(r, d, m);
    if (d->statements <= STATEMENTS_MAX) continue;
    manifest_wrong(r, m->line, c->name, "runs more than %d statements with all that it calls; make less of them",
                   STATEMENTS_MAX);
    d->statements = 1; /* told once, not again by all that call it */
    return;
  }
}

/* Depth first; a command is done after all that it calls. depth: of calls that are open, bounds the recursion. */
static void visit(struct manifest_reader *r, struct draft *d, unsigned depth) {
  if (d->state != DRAFT_NEW) return;
  if (d->command->kind != COMMAND_COMPOSITE) {
    d->statements = 1;
    d->state = DRAFT_DONE;
    return;
  }
  d->levels = 1;
  d->state = DRAFT_OPEN;
  if (depth < LEVELS_MAX) visit_members(r, d, depth);
  if (!r->too_deep && (depth >= LEVELS_MAX || d->levels > LEVELS_MAX)) {
    r->file = d->command->file;
    manifest_wrong(r, d->command->line, d->command->name, "composites call each other more than %d deep; make them flatter",
                   LEVELS_MAX);
    r->too_deep = true;
  }
  d->state = DRAFT_DONE;
}

void composite_link(struct manifest_reader *r) {
  for (size_t i = 0; i < r->ndrafts; i++)
    if (r->drafts[i].kind_known && r->drafts[i].command->kind == COMMAND_COMPOSITE) read_composite(r, &r->drafts[i]);
  for (size_t i = 0; i < r->ndrafts; i++)
    if (r->drafts[i].node) visit(r, &r->drafts[i], 0);
}
