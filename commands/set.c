/* Decodes a request into a command set: admits the commands, binds names, unfolds composites. What needs PostgreSQL's
 * knowledge (types, columns) is left to the compiler. */
#include "commands/set.h"

#include "base/arena.h"
#include "base/str.h"
#include "commands/arguments.h"
#include "commands/caller.h"
#include "commands/nested_uses.h"
#include "commands/tree.h"
#include "manifest/config.h"

#include <stdint.h>
#include <string.h>

struct decoder {
  void *mem;
  const struct manifest *manifest;
  const struct caller *caller;
  struct command_set *set;
  struct err *e;
  size_t references_left; /* bytes that references may still bring */
  bool again;             /* the set is there: its parts stay where they are, arguments and results are bound anew */
  size_t nodes_before, uses_before; /* again: how many there were; */
  bool moved;             /* they are no longer the same */
  const struct command_set *behind; /* on_complete, on_error: the set whose end they follow; NULL: none */
  const struct inner *inner;   /* the transactional set in hand that is one step of an execute set; NULL: none */
  const struct command *named; /* in there, the element in hand and its place; NULL: none */
  const char *place;
};

/* A set within the set: what its references find beside the names of the set around it. */
struct inner {
  const char **as; /* NULL: none */
  const struct expr **results;
  size_t n;
};

const struct command *set_admit(const struct manifest *manifest, const char *name, const struct caller *caller,
                                struct err *e) {
  const struct command *command = manifest_command(manifest, name);
  bool built_in = command && (command->kind == COMMAND_TRANSACTIONAL_SET || command->kind == COMMAND_EXECUTE_SET);

  if (command && (caller->inside || built_in)) return command;
  if (!command || !command->nallow) {
    err_set(e, UNKNOWN_COMMAND, "There is no command \"%.100s\".", name);
    return NULL;
  }
  for (size_t i = 0; i < command->nallow; i++)
    if (strcmp(command->allow[i], caller->role) == 0) return command;
  if (strcmp(caller->role, "anonymous") == 0)
    err_set(e, UNAUTHENTICATED, "Sign in to call \"%s\".", name);
  else
    err_set(e, FORBIDDEN, "The role \"%s\" may not call \"%s\".", caller->role, name);
  return NULL;
}

/* "a.b.0" cut at the dots. */
static const char **split_path(void *mem, const char *text, size_t *n) {
  const char **parts = NULL;

  *n = 0;
  for (;;) {
    size_t len = strcspn(text, ".");
    arena_grow(mem, parts, *n);
    parts[(*n)++] = arena_strndup(mem, text, len);
    if (!text[len]) return parts;
    text += len + 1;
  }
}

/* References of a request: {"$ref": "name.path"} to an earlier entry; {"$literal": X} is X. */

static const struct entry *entry_of(const struct command_set *set, const char *as) {
  for (size_t i = 0; i < set->nentries; i++)
    if (set->entries[i].as && strcmp(set->entries[i].as, as) == 0) return &set->entries[i];
  return NULL;
}

/* What ended the commands is not known before: it is like the result of a program, which may have any member. */
static const struct expr *error_to_come(struct decoder *d) {
  static const struct command error = {.name = SET_ERROR, .kind = COMMAND_HANDLER};
  struct node *node = arena_new(d->mem, struct node);

  node->command = &error;
  return expr_result(d->mem, node, NULL, 0);
}

/* What a reference's first name stands for; NULL: nothing. */
static const struct expr *find_name(struct decoder *d, const char *name) {
  const struct json *known = d->set->known ? json_get(d->set->known, name) : NULL;
  const struct entry *entry = entry_of(d->set, name);
  struct expr *x;

  for (size_t i = 0; d->inner && i < d->inner->n; i++)
    if (d->inner->as[i] && strcmp(d->inner->as[i], name) == 0) return d->inner->results[i];
  if (known) {
    x = (struct expr *)expr_literal(d->mem, known);
    x->was_result = true;
    return x;
  }
  if (d->behind && !entry) entry = entry_of(d->behind, name);
  if (entry) return entry->result;
  return d->behind && d->behind->on_error == d->set && strcmp(name, SET_ERROR) == 0 ? error_to_come(d) : NULL;
}

static bool bind_reference(struct decoder *d, const struct json *value, struct expr *out) {
  const struct json *text = &value->items[0];
  const struct expr *from, *found;
  const char **path;
  size_t npath;

  if (text->kind != JSON_STRING)
    return err_set(d->e, BAD_REFERENCE, "\"$ref\" takes a string like \"name.column\".");
  path = split_path(d->mem, text->text, &npath);
  for (size_t i = 0; i < npath; i++)
    if (!*path[i]) return err_set(d->e, BAD_REFERENCE, "\"%.100s\" is no reference: write \"name.column\".", text->text);
  from = find_name(d, path[0]);
  if (!from)
    return err_set(d->e, BAD_REFERENCE, "\"%.100s\" refers to \"%.100s\", but no earlier command of this set has that name "
                   "in \"as\".", text->text, path[0]);
  found = expr_at(d->mem, from, path + 1, npath - 1);
  if (!found)
    return err_set(d->e, BAD_REFERENCE, "\"%.100s\": the result \"%.100s\" has no such value.", text->text, path[0]);
  if (!expr_spend(found, &d->references_left))
    return err_set(d->e, TOO_LARGE, "The references of the request bring more than %d bytes.", REFERENCE_BYTES);
  *out = *found;
  out->was_result = from->was_result;
  return true;
}

static bool bind_value(struct decoder *d, const struct json *value, bool in_set, struct expr *out);

/* References below: the tree is made again with them in place; subtrees without stay what they are. */
static bool bind_items(struct decoder *d, const struct json *value, struct expr *out) {
  struct expr *items = arena_array(d->mem, struct expr, value->len);

  for (size_t i = 0; i < value->len; i++)
    if (!bind_value(d, &value->items[i], true, &items[i])) return false;
  *out = (struct expr){.kind = value->kind == JSON_ARRAY ? EXPR_ARRAY : EXPR_OBJECT,
                       .items = items, .keys = value->keys, .n = value->len};
  return true;
}

static bool bind_value(struct decoder *d, const struct json *value, bool in_set, struct expr *out) {
  if (in_set && json_is_marker(value, "$ref")) return bind_reference(d, value, out);
  if (in_set && json_is_marker(value, "$literal")) {
    *out = (struct expr){.kind = EXPR_LITERAL, .literal = &value->items[0]};
    return true;
  }
  if (in_set && json_has_marker(value)) return bind_items(d, value, out);
  *out = (struct expr){.kind = EXPR_LITERAL, .literal = value};
  return true;
}

/* One command and its arguments. */

static const struct argument *find_argument(const struct command *c, const char *name, size_t *index) {
  for (*index = 0; *index < c->nargs; ++*index)
    if (strcmp(c->args[*index].name, name) == 0) return &c->args[*index];
  return NULL;
}

static bool name_argument(struct decoder *d, const char *name) {
  d->e->argument = name;
  return false;
}

/* The caller's arguments object against the command's: by index into command->args; NULL where the default counts. */
static const struct expr **bind_arguments(struct decoder *d, const struct command *c, const struct json *args,
                                          bool in_set) {
  const struct expr **bound = arena_array(d->mem, const struct expr *, c->nargs + 1);

  if (args && args->kind != JSON_OBJECT) {
    err_set(d->e, BAD_ARGUMENT, "The arguments of \"%s\" must be an object, not %s.", c->name, json_kind_name(args->kind));
    return NULL;
  }
  for (size_t i = 0; args && i < args->len; i++) {
    struct expr *x = arena_new(d->mem, struct expr);
    size_t index;

    if (!find_argument(c, args->keys[i], &index)) {
      err_set(d->e, BAD_ARGUMENT, "\"%s\" has no argument \"%.100s\".", c->name, args->keys[i]);
      name_argument(d, args->keys[i]);
      return NULL;
    }
    if (!bind_value(d, &args->items[i], in_set, x)) {
      name_argument(d, args->keys[i]);
      return NULL;
    }
    x->argument = args->keys[i];
    bound[index] = x;
  }
  for (size_t i = 0; i < c->nargs; i++)
    if (!bound[i] && !c->args[i].fallback) {
      err_set(d->e, BAD_ARGUMENT, "\"%s\" needs the argument \"%s\".", c->name, c->args[i].name);
      name_argument(d, c->args[i].name);
      return NULL;
    }
  return bound;
}

/* When the set is bound again. A change can take a guard away, or bring one (a version that is null): then it is
 * another set. */
static struct node *same_node(struct decoder *d, const struct command *c, const struct expr **args, size_t entry) {
  struct command_set *set = d->set;
  struct node *node = set->nnodes < d->nodes_before ? set->nodes[set->nnodes] : NULL;

  if (!node || node->command != c || node->entry != entry) {
    d->moved = true;
    return arena_new(d->mem, struct node);
  }
  node->args = args;
  set->nnodes++;
  set->nstatements += node->phase == PHASE_WRITE;
  return node;
}

static struct node *add_node(struct decoder *d, const struct command *c, const struct expr **args, size_t entry,
                             bool direct, enum phase phase) {
  struct command_set *set = d->set;
  struct node *node;

  if (d->again) return same_node(d, c, args, entry);
  node = arena_new(d->mem, struct node);
  *node = (struct node){.command = c, .phase = phase, .args = args, .entry = entry, .direct = direct, .named = d->named,
                        .place = d->place};
  set->nstatements += phase == PHASE_WRITE;
  arena_grow(d->mem, set->nodes, set->nnodes);
  set->nodes[set->nnodes++] = node;
  return node;
}

static const struct expr *unfold(struct decoder *d, const struct command *c, const struct expr **args, size_t entry,
                                 bool direct);

/* A composite's scope: its own arguments, and the results of the members so far. */
struct scope {
  const struct command *composite;
  const struct expr **args;
  const struct expr **results;
  const struct expr *caller; /* one of them: what it has not is null; NULL: there is none */
};

static bool fill_template(struct decoder *d, const struct scope *s, const struct template *t, struct expr *out);

static bool fill_items(struct decoder *d, const struct scope *s, const struct template *t, struct expr *out) {
  struct expr *items = arena_array(d->mem, struct expr, t->n ? t->n : 1);

  for (size_t i = 0; i < t->n; i++)
    if (!fill_template(d, s, &t->items[i], &items[i])) return false;
  *out = (struct expr){.kind = t->kind == TEMPLATE_ARRAY ? EXPR_ARRAY : EXPR_OBJECT,
                       .items = items, .keys = t->keys, .n = t->n};
  return true;
}

static bool fill_template(struct decoder *d, const struct scope *s, const struct template *t, struct expr *out) {
  const struct expr *from, *found;

  switch (t->kind) {
  case TEMPLATE_LITERAL: *out = (struct expr){.kind = EXPR_LITERAL, .literal = t->literal}; return true;
  case TEMPLATE_ARRAY:
  case TEMPLATE_OBJECT: return fill_items(d, s, t, out);
  case TEMPLATE_ARGS:
    from = s->args[t->argument];
    if (!from) from = expr_literal(d->mem, s->composite->args[t->argument].fallback);
    break;
  default: from = s->results[t->member];
  }
  found = expr_at(d->mem, from, t->path, t->npath);
  if (!found && from == s->caller) found = expr_literal(d->mem, &json_null);
  if (!found)
    return err_set(d->e, BAD_REFERENCE, "\"%s\" looks for a value that is not there (line %d of the manifest).",
                   s->composite->name, t->line);
  *out = *found;
  out->argument = from->argument;
  out->by_hook = from->by_hook;
  return true;
}

/* An array or object in which every reference has become a literal is a literal. */
static void settle(struct decoder *d, struct expr *x) {
  const char *argument = x->argument;
  struct json *value, *items;

  if (x->kind != EXPR_ARRAY && x->kind != EXPR_OBJECT) return;
  for (size_t i = 0; i < x->n; i++) settle(d, (struct expr *)&x->items[i]);
  for (size_t i = 0; i < x->n; i++)
    if (x->items[i].kind != EXPR_LITERAL) return;
  value = arena_new(d->mem, struct json);
  items = arena_array(d->mem, struct json, x->n ? x->n : 1);
  for (size_t i = 0; i < x->n; i++) {
    items[i] = *x->items[i].literal;
    if (!argument) argument = x->items[i].argument; /* a part of it is the caller's */
  }
  *value = (struct json){.kind = x->kind == EXPR_ARRAY ? JSON_ARRAY : JSON_OBJECT, .len = x->n, .items = items,
                         .keys = x->keys};
  *x = (struct expr){.kind = EXPR_LITERAL, .literal = value, .argument = argument};
}

/* A composite may stand for many statements, and a set for many composites. */
static bool has_room(struct decoder *d) {
  int most = d->manifest->config->max_commands;
  return d->set->nstatements < (size_t)most ||
         err_set(d->e, TOO_MANY_COMMANDS, "A request takes at most %d commands, those inside composites included.", most);
}

static const struct expr *run_member(struct decoder *d, const struct scope *s, const struct member *m, size_t entry) {
  const struct expr **args = arena_array(d->mem, const struct expr *, m->command->nargs + 1);

  for (size_t i = 0; m->args && i < m->args->n; i++) {
    struct expr *x = arena_new(d->mem, struct expr);
    size_t index;

    if (!find_argument(m->command, m->args->keys[i], &index)) continue; /* the manifest was checked for that */
    if (!fill_template(d, s, &m->args->items[i], x)) return NULL;
    if (m->command->kind != COMMAND_MUTATION) settle(d, x); /* of that one it counts which parts are the caller's */
    args[index] = x;
  }
  return unfold(d, m->command, args, entry, false);
}

static const struct expr *unfold_composite(struct decoder *d, const struct command *c, const struct expr **args,
                                           size_t entry) {
  const struct expr **results = arena_array(d->mem, const struct expr *, c->nmembers + 1);
  struct scope s = {.composite = c, .args = args, .results = results};
  struct expr *out;

  for (size_t i = 0; i < c->nmembers; i++)
    if (!(results[i] = run_member(d, &s, &c->members[i], entry))) return NULL;
  if (!c->result) return c->nmembers ? results[c->nmembers - 1] : expr_literal(d->mem, &json_null);
  out = arena_new(d->mem, struct expr);
  if (!fill_template(d, &s, c->result, out)) return NULL;
  settle(d, out);
  return out;
}

/* ---- what is nested ---- */

struct nested_visit {
  struct decoder *d;
  size_t entry;
};

/* Each is a request to a service: as many as a request may have commands. */
static bool has_room_for_hooks(struct decoder *d) {
  size_t n = 0, most = (size_t)d->manifest->config->max_commands;

  for (size_t i = 0; i < d->set->nuses; i++) n += d->set->uses[i].nested && d->set->uses[i].command->nbefore_hooks;
  return n <= most || err_set(d->e, TOO_MANY_COMMANDS, "A request takes at most %zu nested operations that have hooks.", most);
}

/* A hook of the whole may have changed what is nested; but that was judged by its own hooks as it was. */
static bool same_nested(const struct use *was, const struct use *now) {
  if (was->command != now->command || !was->nested || strcmp(was->nested, now->nested) != 0) return false;
  for (size_t i = 0; now->command->nbefore_hooks && i < now->command->nargs; i++) {
    const struct expr *a = was->args[i], *b = now->args[i];

    if (!a != !b) return false;
    if (a && (a->kind != b->kind || (a->kind == EXPR_LITERAL && !json_same(a->literal, b->literal)))) return false;
  }
  return true;
}

static bool add_nested_use(void *data, const struct command *c, const struct expr **args, const char *path) {
  struct nested_visit *v = data;
  struct decoder *d = v->d;
  struct command_set *set = d->set;
  struct use use = {.command = c, .args = args, .entry = v->entry, .nested = path, .result = expr_literal(d->mem, &json_null),
                    .keys = arena_array(d->mem, const struct expr *, c->nafter_hooks + 1), .first_node = set->nnodes,
                    .end_node = set->nnodes};

  if (d->again && (set->nuses >= d->uses_before || !same_nested(&set->uses[set->nuses], &use))) {
    d->moved = true;
    return true;
  }
  if (!d->again) arena_grow(d->mem, set->uses, set->nuses);
  set->uses[set->nuses++] = use;
  return has_room_for_hooks(d);
}

/* Adds the nodes that a command stands for; gives what its result is. */
static const struct expr *unfold_statements(struct decoder *d, const struct command *c, const struct expr **args,
                                            size_t entry, bool direct) {
  switch (c->kind) {
  case COMMAND_COMPOSITE: return unfold_composite(d, c, args, entry);
  case COMMAND_CHECK: add_node(d, c, args, entry, direct, PHASE_WRITE); return expr_literal(d->mem, &json_true);
  default: {
    struct node *node = add_node(d, c, args, entry, direct, PHASE_WRITE);
    struct nested_visit v = {d, entry};

    if (c->kind == COMMAND_MUTATION && !nested_uses(d->mem, d->manifest, c, args, add_nested_use, &v)) return NULL;
    return c->returns == RETURNS_NONE ? expr_literal(d->mem, &json_null) : expr_result(d->mem, node, NULL, 0);
  }
  }
}

/* Permissions and versions. */

static const struct json *text_literal(void *mem, const char *text) {
  struct json *value;

  if (!text) return &json_null;
  value = arena_new(mem, struct json);
  *value = (struct json){.kind = JSON_STRING, .text = text, .len = strlen(text)};
  return value;
}

/* What SQL sees as request.jwt.claims; NULL: *e, though the front end has judged them. */
static const struct json *claims_literal(struct decoder *d) {
  const char *text = caller_claims(d->mem, d->caller);
  const struct json *claims;

  return json_read(d->mem, text, strlen(text), (unsigned)d->manifest->config->max_depth, &claims, d->e) ? claims : NULL;
}

static const struct expr *given_value(struct decoder *d, const struct use *use, int from) {
  const struct json *claims;

  switch (from) {
  case GIVEN_RESULT: return use->result;
  case GIVEN_ROLE: return expr_literal(d->mem, text_literal(d->mem, d->caller->role));
  case GIVEN_USER: return expr_literal(d->mem, text_literal(d->mem, d->caller->user));
  case GIVEN_CLAIMS:
    claims = claims_literal(d);
    return claims ? expr_literal(d->mem, claims) : NULL;
  default: break;
  }
  if (use->args[from]) return use->args[from];
  return expr_literal(d->mem, use->command->args[from].fallback);
}

static bool is_null(const struct expr *x) { return x->kind == EXPR_LITERAL && x->literal->kind == JSON_NULL; }

static bool add_guard(struct decoder *d, const struct command *guard, const struct use *use, enum phase phase) {
  const struct permission *p = &guard->permission;
  const struct expr **args = arena_array(d->mem, const struct expr *, guard->nargs + 1);

  for (size_t i = 0; i < guard->nargs; i++)
    if (!(args[i] = given_value(d, use, p->from[i]))) return false;
  if (guard->kind == COMMAND_VERSION && is_null(args[p->version])) { /* no version was given */
    if (!use->command->version_required) return true;
    err_set(d->e, BAD_ARGUMENT, "\"%s\" needs the version that is to be changed: the argument \"version\", or the header If-Match.",
            use->command->name);
    return name_argument(d, "version");
  }
  add_node(d, guard, args, use->entry, false, phase);
  return true;
}

static bool add_guards(struct decoder *d, const struct command *const *guards, size_t n, const struct use *use, enum phase phase) {
  for (size_t i = 0; i < n; i++)
    if (!add_guard(d, guards[i], use, phase)) return false;
  return true;
}

/* Is it more than its statements? */
static bool has_steps(const struct command *c) {
  return c->nbefore || c->nafter || c->nbefore_hooks || c->nafter_hooks || c->nmutexes || c->nevents;
}

/* What orders the deliveries of its after-hooks. */
static bool fill_keys(struct decoder *d, struct use *use) {
  const struct command *c = use->command;
  struct scope s = {.composite = c, .args = use->args, .results = &use->result};

  use->keys = arena_array(d->mem, const struct expr *, c->nafter_hooks + 1);
  for (size_t i = 0; i < c->nafter_hooks; i++) {
    struct expr *key;

    if (!c->after_hooks[i].key) continue;
    key = arena_new(d->mem, struct expr);
    if (!fill_template(d, &s, c->after_hooks[i].key, key)) return false;
    use->keys[i] = key;
  }
  return true;
}

/* What $caller stands for. */
static const struct expr *caller_value(struct decoder *d) {
  static const char *const keys[] = {"role", "user", "claims"};
  struct json *value = arena_new(d->mem, struct json), *items = arena_array(d->mem, struct json, 3);
  const struct json *claims = claims_literal(d);

  if (!claims) return NULL;
  items[0] = *text_literal(d->mem, d->caller->role);
  items[1] = *text_literal(d->mem, d->caller->user);
  items[2] = *claims;
  *value = (struct json){.kind = JSON_OBJECT, .len = 3, .items = items, .keys = keys};
  return expr_literal(d->mem, value);
}

static bool fill_part(struct decoder *d, const struct scope *s, const struct template *t, const struct expr **out) {
  struct expr *x;

  *out = NULL;
  if (!t) return true;
  *out = x = arena_new(d->mem, struct expr);
  return fill_template(d, s, t, x);
}

/* What its events are made of. */
static bool fill_events(struct decoder *d, struct use *use) {
  const struct command *c = use->command;
  const struct expr *results[2] = {use->result, NULL};
  struct scope s = {.composite = c, .args = use->args, .results = results};

  if (!c->nevents) return true;
  if (!(results[1] = s.caller = caller_value(d))) return false;
  use->event_keys = arena_array(d->mem, const struct expr *, c->nevents);
  use->event_payloads = arena_array(d->mem, const struct expr *, c->nevents);
  for (size_t i = 0; i < c->nevents; i++)
    if (!fill_part(d, &s, c->events[i].key, &use->event_keys[i]) ||
        !fill_part(d, &s, c->events[i].payload, &use->event_payloads[i])) return false;
  return true;
}

/* Arguments in whose place a hook has put others. */
static void put_changes(struct decoder *d, const struct use *use) {
  for (size_t i = 0; use->changed && i < use->command->nargs; i++) {
    struct expr *x;

    if (!use->changed[i]) continue;
    x = arena_new(d->mem, struct expr);
    *x = (struct expr){.kind = EXPR_LITERAL, .by_hook = true, .literal = use->changed[i],
                       .argument = use->command->args[i].name};
    if (!use->direct) x->argument = use->args[i] ? use->args[i]->argument : NULL;
    use->args[i] = x;
  }
}

/* By value: members that are unfolded behind it may move the array. */
static struct use add_use(struct decoder *d, const struct command *c, const struct expr **args, size_t entry, bool direct) {
  struct command_set *set = d->set;
  struct use use = {.command = c, .args = args, .entry = entry, .direct = direct, .first_node = set->nnodes};

  if (d->again && set->nuses < d->uses_before) use.changed = set->uses[set->nuses].changed;
  else arena_grow(d->mem, set->uses, set->nuses);
  set->nuses++;
  put_changes(d, &use);
  return use;
}

static const struct expr *unfold(struct decoder *d, const struct command *c, const struct expr **args, size_t entry,
                                 bool direct) {
  struct command_set *set = d->set;
  size_t index = set->nuses; /* a composite comes before its members */
  struct use use;

  if (!has_room(d)) return NULL;
  if (!has_steps(c)) return unfold_statements(d, c, args, entry, direct);
  use = add_use(d, c, args, entry, direct);
  if (!add_guards(d, c->before, c->nbefore, &use, PHASE_BEFORE)) return NULL;
  use.result = unfold_statements(d, c, args, entry, direct);
  if (!use.result || !add_guards(d, c->after, c->nafter, &use, PHASE_AFTER)) return NULL;
  use.end_node = set->nnodes;
  if (!fill_keys(d, &use) || !fill_events(d, &use)) return NULL;
  set->uses[index] = use;
  return use.result;
}

/* The entry that begins at first_node, whose nodes are there. */
static bool put_entry(struct decoder *d, struct entry entry) {
  struct command_set *set = d->set;

  if (entry.isolation > set->isolation) set->isolation = entry.isolation; /* the strictest that anyone asks for */
  if (d->again) {
    set->entries[set->nentries].args = entry.args;
    set->entries[set->nentries++].result = entry.result;
    return true;
  }
  entry.end_node = set->nnodes;
  entry.result_step = SIZE_MAX;
  arena_grow(d->mem, set->entries, set->nentries);
  set->entries[set->nentries++] = entry;
  return true;
}

static bool add_entry(struct decoder *d, const struct command *c, const char *as, const struct json *args, bool in_set) {
  size_t first = d->set->nnodes;
  const struct expr **bound = bind_arguments(d, c, args, in_set);
  const struct expr *result;

  if (!bound || !(result = unfold(d, c, bound, d->set->nentries, true))) return false;
  return put_entry(d, (struct entry){.command = c, .as = as, .isolation = c->isolation, .datasource = c->datasource,
                                     .args = bound, .result = result, .first_node = first});
}

/* Sets. */

/* A name as one step of a JSON pointer (RFC 6901 section 3). */
static const char *pointer_step(void *mem, const char *name) {
  struct str *out = str_new(mem, strlen(name) + 16);

  for (; *name; name++) {
    if (*name == '~') str_add(out, "~0");
    else if (*name == '/') str_add(out, "~1");
    else str_char(out, *name);
  }
  return out->p;
}

static bool place(struct decoder *d, size_t index) {
  struct err *e = d->e;
  const char *within = d->place ? d->place : "";

  e->index = (int)index;
  e->path = e->argument ? arena_printf(d->mem, "/%s/%zu%s/args/%s", d->set->member, index, within, pointer_step(d->mem, e->argument))
                        : arena_printf(d->mem, "/%s/%zu%s", d->set->member, index, within);
  return false;
}

static bool known_keys(struct decoder *d, const struct json *object, const char *const *keys, const char *what) {
  for (size_t i = 0; i < object->len; i++) {
    const char *const *key = keys;
    while (*key && strcmp(*key, object->keys[i]) != 0) key++;
    if (!*key) return err_set(d->e, BAD_REQUEST, "%s has no member \"%.100s\".", what, object->keys[i]);
  }
  return true;
}

static bool is_array(struct decoder *d, const struct json *commands, const char *where) {
  if (commands && commands->kind == JSON_ARRAY) return true;
  err_set(d->e, BAD_REQUEST, "\"%s\" must be an array of commands.", d->set->member);
  d->e->path = where;
  return false;
}

static bool admit_inner(struct decoder *d, const struct json *args);

/* The shape of one element, and whether the caller may name its command: for all elements before any is looked into. */
static const struct command *admit_element(struct decoder *d, const struct json *element, bool inner) {
  static const char *const keys[] = {"command", "args", "as", NULL};
  const struct json *name, *as;
  const struct command *c;

  if (element->kind != JSON_OBJECT) {
    err_set(d->e, BAD_REQUEST, "Each of \"%s\" is an object with \"command\" and \"args\", not %s.", d->set->member,
            json_kind_name(element->kind));
    return NULL;
  }
  name = json_get(element, "command");
  as = json_get(element, "as");
  if (!name || name->kind != JSON_STRING) {
    err_set(d->e, BAD_REQUEST, "Each of \"%s\" needs the name of a command in \"command\".", d->set->member);
    return NULL;
  }
  c = set_admit(d->manifest, name->text, d->caller, d->e);
  if (!c) return NULL;
  if (c->kind == COMMAND_EXECUTE_SET || (c->kind == COMMAND_TRANSACTIONAL_SET && (inner || !d->set->each_alone))) {
    err_set(d->e, BAD_REQUEST, "A command set cannot stand here: only a transactional one, as a step of an execute set.");
    return NULL;
  }
  if (!known_keys(d, element, keys, "An element of \"commands\"")) return NULL;
  if (as && (as->kind != JSON_STRING || !*as->text || strchr(as->text, '.') || strlen(as->text) > 63)) {
    err_set(d->e, BAD_REQUEST, "\"as\" takes a name of at most 63 bytes without dots.");
    return NULL;
  }
  return c->kind != COMMAND_TRANSACTIONAL_SET || admit_inner(d, json_get(element, "args")) ? c : NULL;
}

/* A transactional set that is one step of an execute set. */

static const char *inner_place(struct decoder *d, size_t index) { return arena_printf(d->mem, "/args/commands/%zu", index); }

static bool admit_inner(struct decoder *d, const struct json *args) {
  static const char *const keys[] = {"commands", "isolation", NULL};
  const struct json *commands;

  if (!args || args->kind != JSON_OBJECT) return err_set(d->e, BAD_REQUEST, "A command set is an object with \"commands\".");
  commands = json_get(args, "commands");
  if (!known_keys(d, args, keys, "A set within a set") || !is_array(d, commands, NULL)) return false;
  for (size_t i = 0; i < commands->len; i++) {
    d->place = inner_place(d, i);
    if (!admit_element(d, &commands->items[i], true)) return false;
  }
  d->place = NULL;
  return true;
}

/* *out is made stricter, as asked for. */
static bool decode_isolation(struct decoder *d, const struct json *value, enum isolation *out) {
  static const char *const names[] = {[ISOLATION_READ_COMMITTED] = "read_committed",
                                      [ISOLATION_REPEATABLE_READ] = "repeatable_read",
                                      [ISOLATION_SERIALIZABLE] = "serializable"};

  if (!value) return true;
  for (enum isolation i = ISOLATION_READ_COMMITTED; value->kind == JSON_STRING && i <= ISOLATION_SERIALIZABLE; i++)
    if (strcmp(value->text, names[i]) == 0) {
      if (i > *out) *out = i;
      return true;
    }
  err_set(d->e, BAD_REQUEST, "\"isolation\" is one of read_committed, repeatable_read, serializable.");
  d->e->path = "/isolation";
  return false;
}

static bool one_datasource(struct decoder *d, const struct command *c, size_t index, size_t *datasource) {
  if (c->kind == COMMAND_HANDLER)
    return err_set(d->e, NOT_TRANSACTIONAL, "\"%s\" is a handler, which cannot be part of a transaction.", c->name);
  if (index == 0) *datasource = c->datasource;
  return c->datasource == *datasource ||
         err_set(d->e, DIFFERENT_DATASOURCES, "A transactional set stays on one datasource; \"%s\" is on another.", c->name);
}

static bool named_before(struct decoder *d, const char *as) {
  for (size_t i = 0; d->inner && i < d->inner->n; i++)
    if (d->inner->as[i] && strcmp(d->inner->as[i], as) == 0) return true;
  return entry_of(d->set, as) != NULL;
}

static bool check_name(struct decoder *d, const struct json *as) {
  return !as || !named_before(d, as->text) ||
         err_set(d->e, BAD_REQUEST, "Two commands of the set are named \"%s\".", as->text);
}

static bool add_inner_element(struct decoder *d, const struct json *element, struct inner *inner, struct entry *entry) {
  const struct command *c = manifest_command(d->manifest, json_get(element, "command")->text);
  const struct json *as = json_get(element, "as");
  const struct expr **bound;

  d->named = c;
  d->e->command = c->name;
  if (!check_name(d, as) || !one_datasource(d, c, inner->n, &entry->datasource)) return false;
  bound = bind_arguments(d, c, json_get(element, "args"), true);
  if (!bound || !(inner->results[inner->n] = unfold(d, c, bound, d->set->nentries, true))) return false;
  inner->as[inner->n++] = as ? as->text : NULL;
  if (c->isolation > entry->isolation) entry->isolation = c->isolation;
  return true;
}

/* Its result is the array of its commands' results. */
static bool add_inner(struct decoder *d, const struct json *element, const struct command *c) {
  const struct json *args = json_get(element, "args"), *commands = json_get(args, "commands"), *as = json_get(element, "as");
  struct entry entry = {.command = c, .as = as ? as->text : NULL, .args = arena_array(d->mem, const struct expr *, 1),
                        .first_node = d->set->nnodes};
  struct inner inner = {.as = arena_array(d->mem, const char *, commands->len + 1),
                        .results = arena_array(d->mem, const struct expr *, commands->len + 1)};
  struct expr *items = arena_array(d->mem, struct expr, commands->len + 1), *result = arena_new(d->mem, struct expr);

  if (!decode_isolation(d, json_get(args, "isolation"), &entry.isolation)) return false;
  d->inner = &inner;
  for (size_t i = 0; i < commands->len; i++) {
    d->place = inner_place(d, i);
    if (!add_inner_element(d, &commands->items[i], &inner, &entry)) return false;
    items[i] = *inner.results[i];
  }
  d->inner = NULL;
  d->named = NULL;
  d->place = NULL;
  *result = (struct expr){.kind = EXPR_ARRAY, .items = items, .n = commands->len};
  settle(d, result);
  entry.result = result;
  return put_entry(d, entry);
}

static bool add_element(struct decoder *d, const struct json *element, const struct command *c, size_t index) {
  const struct json *as = json_get(element, "as");

  if (!check_name(d, as)) return false;
  if (c->kind == COMMAND_TRANSACTIONAL_SET) return add_inner(d, element, c);
  if (!d->set->each_alone && !one_datasource(d, c, index, &d->set->datasource)) return false;
  return add_entry(d, c, as ? as->text : NULL, json_get(element, "args"), true);
}

static bool admit_elements(struct decoder *d, const struct json *commands) {
  const struct config *config = d->manifest->config;

  if (!is_array(d, commands, arena_printf(d->mem, "/%s", d->set->member))) return false;
  if (commands->len > (size_t)config->max_commands)
    return err_set(d->e, TOO_MANY_COMMANDS, "A set takes at most %d commands; this one has %zu.", config->max_commands,
                   commands->len);
  for (size_t i = 0; i < commands->len; i++)
    if (!admit_element(d, &commands->items[i], false)) {
      const struct json *name = json_get(&commands->items[i], "command");
      if (name && name->kind == JSON_STRING) d->e->command = name->text;
      return place(d, i);
    }
  return true;
}

/* All of them were admitted. */
static bool add_elements(struct decoder *d, const struct json *commands) {
  for (size_t i = 0; i < commands->len; i++) {
    const struct command *c = manifest_command(d->manifest, json_get(&commands->items[i], "command")->text);

    if (add_element(d, &commands->items[i], c, i)) continue;
    if (!d->named) d->e->command = c->name;
    return place(d, i);
  }
  return true;
}

/* What is to follow is an execute set of its own, whose references find the results of the one before as well. */

static struct decoder decoder_behind(struct decoder *d, const char *member, const struct json *commands) {
  struct decoder out = *d;
  struct json *request = arena_new(d->mem, struct json);
  const char **keys = arena_array(d->mem, const char *, 1);

  keys[0] = "commands";
  *request = (struct json){.kind = JSON_OBJECT, .len = 1, .items = commands, .keys = keys};
  out.behind = d->set;
  out.set = arena_new(d->mem, struct command_set);
  *out.set = (struct command_set){.command = manifest_command(d->manifest, "execute_command_set"), .request = request,
                                  .is_set = true, .each_alone = true, .member = member, .known = d->set->known};
  return out;
}

static bool decode_set(struct decoder *d, const struct json *args) {
  static const char *const transactional_keys[] = {"commands", "isolation", "on_complete", "on_error", NULL};
  static const char *const execute_keys[] = {"commands", "on_complete", "on_error", NULL};
  const char *const *keys = d->set->each_alone ? execute_keys : transactional_keys;
  const struct json *commands, *complete, *error;
  struct decoder on_complete, on_error;

  if (args->kind != JSON_OBJECT)
    return err_set(d->e, BAD_REQUEST, "A command set is an object with \"commands\", not %s.", json_kind_name(args->kind));
  if (!known_keys(d, args, keys, "A command set")) return false;
  commands = json_get(args, "commands");
  complete = d->again ? NULL : json_get(args, "on_complete");
  error = d->again ? NULL : json_get(args, "on_error");
  on_complete = decoder_behind(d, "on_complete", complete);
  on_error = decoder_behind(d, "on_error", error);
  if (!d->again) {
    d->set->on_complete = complete ? on_complete.set : NULL;
    d->set->on_error = error ? on_error.set : NULL;
  }
  return admit_elements(d, commands) && (!complete || admit_elements(&on_complete, complete)) &&
         (!error || admit_elements(&on_error, error)) && add_elements(d, commands) &&
         decode_isolation(d, json_get(args, "isolation"), &d->set->isolation) &&
         (!complete || add_elements(&on_complete, complete)) && (!error || add_elements(&on_error, error));
}

static bool decode_single(struct decoder *d, const struct command *command, const struct json *args) {
  d->set->datasource = command->datasource;
  if (add_entry(d, command, NULL, args, false)) return true;
  d->e->command = command->name;
  if (d->e->argument) d->e->path = arena_printf(d->mem, "/%s", pointer_step(d->mem, d->e->argument));
  return false;
}

struct command_set *set_decode_with(void *mem, const struct manifest *manifest, const struct command *command,
                                    const struct json *args, const struct caller *caller, const struct json *known,
                                    struct err *e) {
  struct command_set *set = arena_new(mem, struct command_set);
  struct decoder d = {.mem = mem, .manifest = manifest, .caller = caller, .set = set, .e = e,
                      .references_left = REFERENCE_BYTES};
  bool ok;

  set->command = command;
  set->request = args;
  set->member = "commands";
  set->known = known;
  set->each_alone = command->kind == COMMAND_EXECUTE_SET;
  set->is_set = set->each_alone || command->kind == COMMAND_TRANSACTIONAL_SET;
  ok = set->is_set ? decode_set(&d, args) : decode_single(&d, command, args);
  if (!ok && set->each_alone) e->committed = 0;
  return ok ? set : NULL;
}

struct command_set *set_decode(void *mem, const struct manifest *manifest, const struct command *command,
                               const struct json *args, const struct caller *caller, struct err *e) {
  return set_decode_with(mem, manifest, command, args, caller, NULL, e);
}

bool set_decode_again(void *mem, const struct manifest *manifest, struct command_set *set, const struct caller *caller,
                      struct err *e) {
  struct decoder d = {.mem = mem, .manifest = manifest, .caller = caller, .set = set, .e = e,
                      .references_left = REFERENCE_BYTES, .again = true, .nodes_before = set->nnodes,
                      .uses_before = set->nuses};

  set->nentries = set->nnodes = set->nstatements = set->nuses = 0;
  if (!(set->is_set ? decode_set(&d, set->request) : decode_single(&d, set->command, set->request))) return false;
  return (!d.moved && set->nnodes == d.nodes_before && set->nuses == d.uses_before) ||
         err_set(e, BAD_ARGUMENT, "The set consists of other statements now.");
}

const char *set_label(const struct command_set *set) {
  struct str *label;

  if (!set->is_set) return set->command->name;
  label = str_new(set, 128);
  str_printf(label, "%s(", set->command->name);
  for (size_t i = 0; i < set->nentries; i++) {
    if (label->len > 180) {
      str_add(label, ",...");
      break;
    }
    str_printf(label, "%s%s", i ? "," : "", set->entries[i].command->name);
  }
  str_char(label, ')');
  return label->p;
}
