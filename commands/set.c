/* Decodes a request into a command set: admits the commands, binds names, unfolds composites. What needs PostgreSQL's
 * knowledge (types, columns) is left to the compiler. */
#include "commands/decoder.h"

#include "base/arena.h"
#include "base/str.h"
#include "commands/arguments.h"
#include "commands/caller.h"
#include "commands/nested_uses.h"
#include "manifest/config.h"

#include <stdint.h>
#include <string.h>

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
  if (strcmp(caller->role, "anonymous") == 0) err_set(e, UNAUTHENTICATED, "Sign in to call \"%s\".", name);
  else err_set(e, FORBIDDEN, "The role \"%s\" may not call \"%s\".", caller->role, name);
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

const struct entry *decoder_entry(const struct command_set *set, const char *as) {
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
  const struct entry *entry = decoder_entry(d->set, name);
  struct expr *x;

  for (size_t i = 0; d->inner && i < d->inner->n; i++)
    if (d->inner->as[i] && strcmp(d->inner->as[i], name) == 0) return d->inner->results[i];
  if (entry && (size_t)(entry - d->set->entries) >= d->set->done) return entry->result;
  if (known) {
    x = (struct expr *)expr_literal(d->mem, known);
    x->was_result = true;
    return x;
  }
  if (d->behind && !entry) entry = decoder_entry(d->behind, name);
  if (entry) return entry->result;
  return d->behind && d->behind->on_error == d->set && strcmp(name, SET_ERROR) == 0 ? error_to_come(d) : NULL;
}

static bool bind_reference(struct decoder *d, const struct json *value, struct expr *out) {
  const struct json *text = &value->items[0];
  const struct expr *from, *found;
  const char **path;
  size_t npath;

  if (text->kind != JSON_STRING) return err_set(d->e, BAD_REFERENCE, "\"$ref\" takes a string like \"name.column\".");
  path = split_path(d->mem, text->text, &npath);
  for (size_t i = 0; i < npath; i++)
    if (!*path[i]) return err_set(d->e, BAD_REFERENCE, "\"%.100s\" is no reference: write \"name.column\".", text->text);
  from = find_name(d, path[0]);
  if (!from)
    return err_set(d->e, BAD_REFERENCE,
                   "\"%.100s\" refers to \"%.100s\", but no earlier command of this set has that name "
                   "in \"as\".",
                   text->text, path[0]);
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
  *out = (struct expr){
      .kind = value->kind == JSON_ARRAY ? EXPR_ARRAY : EXPR_OBJECT, .items = items, .keys = value->keys, .n = value->len};
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
const struct expr **decoder_arguments(struct decoder *d, const struct command *c, const struct json *args, bool in_set) {
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

static struct node *add_node(struct decoder *d, const struct command *c, const struct expr **args, size_t entry, bool direct,
                             enum phase phase) {
  struct command_set *set = d->set;
  struct node *node;

  if (d->again) return same_node(d, c, args, entry);
  node = arena_new(d->mem, struct node);
  *node = (struct node){
      .command = c, .phase = phase, .args = args, .entry = entry, .direct = direct, .named = d->named, .place = d->place};
  set->nstatements += phase == PHASE_WRITE;
  arena_grow(d->mem, set->nodes, set->nnodes);
  set->nodes[set->nnodes++] = node;
  return node;
}

/* A composite's scope: its own arguments, and the results of the members so far. */
struct scope {
  const struct command *composite;
  const struct expr **args;
  const struct expr **results; /* NULL: $caller, which is made when somebody asks for it */
};

static bool fill_template(struct decoder *d, const struct scope *s, const struct template *t, struct expr *out);
static const struct expr *caller_value(struct decoder *d);

static bool fill_items(struct decoder *d, const struct scope *s, const struct template *t, struct expr *out) {
  struct expr *items = arena_array(d->mem, struct expr, t->n ? t->n : 1);

  for (size_t i = 0; i < t->n; i++)
    if (!fill_template(d, s, &t->items[i], &items[i])) return false;
  *out = (struct expr){
      .kind = t->kind == TEMPLATE_ARRAY ? EXPR_ARRAY : EXPR_OBJECT, .items = items, .keys = t->keys, .n = t->n};
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
  default:
    from = s->results[t->member];
    if (!from && !(from = caller_value(d))) return false;
  }
  found = expr_at(d->mem, from, t->path, t->npath);
  if (!found && from == d->caller_value) found = expr_literal(d->mem, &json_null);
  if (!found)
    return err_set(d->e, BAD_REFERENCE, "\"%s\" looks for a value that is not there (line %d of the manifest).",
                   s->composite->name, t->line);
  *out = *found;
  out->argument = from->argument;
  out->by_hook = from->by_hook;
  return true;
}

/* An array or object in which every reference has become a literal is a literal. */
void decoder_settle(struct decoder *d, struct expr *x) {
  const char *argument = x->argument;
  struct json *value, *items;

  if (x->kind != EXPR_ARRAY && x->kind != EXPR_OBJECT) return;
  for (size_t i = 0; i < x->n; i++) decoder_settle(d, (struct expr *)&x->items[i]);
  for (size_t i = 0; i < x->n; i++)
    if (x->items[i].kind != EXPR_LITERAL) return;
  value = arena_new(d->mem, struct json);
  items = arena_array(d->mem, struct json, x->n ? x->n : 1);
  for (size_t i = 0; i < x->n; i++) {
    items[i] = *x->items[i].literal;
    if (!argument) argument = x->items[i].argument; /* a part of it is the caller's */
  }
  *value =
      (struct json){.kind = x->kind == EXPR_ARRAY ? JSON_ARRAY : JSON_OBJECT, .len = x->n, .items = items, .keys = x->keys};
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
    if (m->command->kind != COMMAND_MUTATION) decoder_settle(d, x); /* of that one it counts which parts are the caller's */
    args[index] = x;
  }
  return decoder_unfold(d, m->command, args, entry, false);
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
  decoder_settle(d, out);
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
  return n <= most ||
         err_set(d->e, TOO_MANY_COMMANDS, "A request takes at most %zu nested operations that have hooks.", most);
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
  struct use use = {.command = c,
                    .args = args,
                    .entry = v->entry,
                    .nested = path,
                    .result = expr_literal(d->mem, &json_null),
                    .keys = arena_array(d->mem, const struct expr *, c->nafter_hooks + 1),
                    .first_node = set->nnodes,
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
  case GIVEN_CLAIMS: claims = claims_literal(d); return claims ? expr_literal(d->mem, claims) : NULL;
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
    err_set(d->e, BAD_ARGUMENT,
            "\"%s\" needs the version that is to be changed: the argument \"version\", or the header If-Match.",
            use->command->name);
    return name_argument(d, "version");
  }
  add_node(d, guard, args, use->entry, false, phase);
  return true;
}

static bool add_guards(struct decoder *d, const struct command *const *guards, size_t n, const struct use *use,
                       enum phase phase) {
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

/* What $caller stands for; what it has not is null. NULL: *e. */
static const struct expr *caller_value(struct decoder *d) {
  static const char *const keys[] = {"role", "user", "claims"};
  const struct json *claims;
  struct json *value, *items;

  if (d->caller_value) return d->caller_value;
  if (!(claims = claims_literal(d))) return NULL;
  value = arena_new(d->mem, struct json);
  items = arena_array(d->mem, struct json, 3);
  items[0] = *text_literal(d->mem, d->caller->role);
  items[1] = *text_literal(d->mem, d->caller->user);
  items[2] = *claims;
  *value = (struct json){.kind = JSON_OBJECT, .len = 3, .items = items, .keys = keys};
  return d->caller_value = expr_literal(d->mem, value);
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
  use->event_keys = arena_array(d->mem, const struct expr *, c->nevents);
  use->event_payloads = arena_array(d->mem, const struct expr *, c->nevents);
  for (size_t i = 0; i < c->nevents; i++)
    if (!fill_part(d, &s, c->events[i].key, &use->event_keys[i]) ||
        !fill_part(d, &s, c->events[i].payload, &use->event_payloads[i]))
      return false;
  return true;
}

/* Arguments in whose place a hook has put others. */
static void put_changes(struct decoder *d, const struct use *use) {
  for (size_t i = 0; use->changed && i < use->command->nargs; i++) {
    struct expr *x;

    if (!use->changed[i]) continue;
    x = arena_new(d->mem, struct expr);
    *x = (struct expr){
        .kind = EXPR_LITERAL, .by_hook = true, .literal = use->changed[i], .argument = use->command->args[i].name};
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

const struct expr *decoder_unfold(struct decoder *d, const struct command *c, const struct expr **args, size_t entry,
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
bool decoder_put_entry(struct decoder *d, struct entry entry) {
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

bool decoder_add_entry(struct decoder *d, const struct command *c, const char *as, const struct json *args, bool in_set) {
  size_t first = d->set->nnodes;
  const struct expr **bound = decoder_arguments(d, c, args, in_set);
  const struct expr *result;

  if (!bound || !(result = decoder_unfold(d, c, bound, d->set->nentries, true))) return false;
  return decoder_put_entry(d, (struct entry){.command = c,
                                             .as = as,
                                             .isolation = c->isolation,
                                             .datasource = c->datasource,
                                             .args = bound,
                                             .result = result,
                                             .first_node = first});
}

static bool decode_single(struct decoder *d, const struct command *command, const struct json *args) {
  d->set->datasource = command->datasource;
  if (decoder_add_entry(d, command, NULL, args, false)) return true;
  d->e->command = command->name;
  if (d->e->argument) d->e->path = arena_printf(d->mem, "/%s", decoder_pointer(d->mem, d->e->argument));
  return false;
}

struct command_set *set_decode_with(void *mem, const struct manifest *manifest, const struct command *command,
                                    const struct json *args, const struct caller *caller, const struct json *known,
                                    size_t done, struct err *e) {
  struct command_set *set = arena_new(mem, struct command_set);
  struct decoder d = {
      .mem = mem, .manifest = manifest, .caller = caller, .set = set, .e = e, .references_left = REFERENCE_BYTES};
  bool ok;

  set->command = command;
  set->request = args;
  set->member = "commands";
  set->known = known;
  set->done = done;
  set->each_alone = command->kind == COMMAND_EXECUTE_SET;
  set->is_set = set->each_alone || command->kind == COMMAND_TRANSACTIONAL_SET;
  ok = set->is_set ? decoder_elements(&d, args) : decode_single(&d, command, args);
  if (!ok && set->each_alone) e->committed = 0;
  return ok ? set : NULL;
}

struct command_set *set_decode(void *mem, const struct manifest *manifest, const struct command *command,
                               const struct json *args, const struct caller *caller, struct err *e) {
  return set_decode_with(mem, manifest, command, args, caller, NULL, 0, e);
}

bool set_decode_again(void *mem, const struct manifest *manifest, struct command_set *set, const struct caller *caller,
                      struct err *e) {
  struct decoder d = {.mem = mem,
                      .manifest = manifest,
                      .caller = caller,
                      .set = set,
                      .e = e,
                      .references_left = REFERENCE_BYTES,
                      .again = true,
                      .nodes_before = set->nnodes,
                      .uses_before = set->nuses};

  set->nentries = set->nnodes = set->nstatements = set->nuses = 0;
  if (!(set->is_set ? decoder_elements(&d, set->request) : decode_single(&d, set->command, set->request))) return false;
  return (!d.moved && set->nnodes == d.nodes_before && set->nuses == d.uses_before) ||
         err_set(e, BAD_ARGUMENT, "The set consists of other statements now.");
}

const char *set_label(const struct command_set *set) {
  struct str *label;

  if (!set->is_set) return set->command->name;
  label = str_new(set, 128);
  str_add(label, set->command->name);
  for (size_t i = 0; i < set->nentries; i++) {
    if (label->len > 180) {
      str_add(label, ",...");
      break;
    }
    str_char(label, i ? ',' : '(');
    str_add(label, set->entries[i].command->name);
  }
  str_add(label, set->nentries ? ")" : "()");
  return label->p;
}
