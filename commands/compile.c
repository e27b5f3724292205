/* The compiler: each node a statement, its arguments parameters, references read on the server. */
#include "commands/compile.h"

#include "base/arena.h"
#include "base/str.h"
#include "commands/config.h"
#include "commands/nested.h"
#include "commands/outbox.h"
#include "commands/param.h"
#include "commands/query.h"

#include <string.h>

/* A step that belongs to writ and to no command has an id above all commands in its variant's key. */
enum { KEY_REFERENCE = 0x7ffffff0, KEY_ODD_REFERENCE, KEY_BUILD, KEY_BUILD_KEPT };

struct key {
  uint32_t id;
  unsigned char captured;
  unsigned char modes[]; /* one for each parameter */
};

/* Which results are asked for by others. */

/* Results that nobody can refer to. */
static bool can_be_kept(const struct command *c) { return c->sql.verb != SQL_CALL && c->sql.verb != SQL_MERGE; }

static void give_slot(const struct expr *result, void *data) {
  unsigned *last = data;
  if (!result->node->slot && can_be_kept(result->node->command)) result->node->slot = ++*last;
}

/* A result that is a node's as a whole is spliced into the answer; any other is made on the server. */
static bool is_spliced(const struct expr *result) {
  return result->kind == EXPR_LITERAL || (result->kind == EXPR_RESULT && !result->npath);
}

static void give_slots(struct command_set *set, size_t first, size_t end, bool keep) {
  unsigned last = 0;

  for (size_t i = first; i < end; i++) {
    const struct entry *entry = &set->entries[i];
    for (size_t j = entry->first_node; j < entry->end_node; j++) set->nodes[j]->slot = 0;
  }
  for (size_t i = first; i < end; i++) {
    const struct entry *entry = &set->entries[i];
    for (size_t j = entry->first_node; j < entry->end_node; j++)
      for (size_t a = 0; a < set->nodes[j]->command->nargs; a++)
        if (set->nodes[j]->args[a]) expr_each_result(set->nodes[j]->args[a], give_slot, &last);
    if (keep || !is_spliced(entry->result)) expr_each_result(entry->result, give_slot, &last);
    set->entries[i].slot = keep && !is_spliced(entry->result) ? ++last : 0;
  }
  outbox_each_result(set, first, end, give_slot, &last);
}

/* Places in the request. */

static const char *argument_path(void *mem, const struct command_set *set, size_t entry, const char *argument) {
  const char *args = argument ? arena_printf(mem, "/%s", argument) : "";

  if (!set->is_set) return argument ? args : NULL;
  return arena_printf(mem, "/commands/%zu%s%s", entry, argument ? "/args" : "", args);
}

static void place(void *mem, const struct command_set *set, size_t entry, const char *argument, struct err *e) {
  e->index = set->is_set ? (int)entry : -1;
  e->command = set->entries[entry].command->name;
  e->argument = argument;
  e->path = argument_path(mem, set, entry, argument);
}

/* What the caller knows a node's argument by: a composite's member has it from one of the composite's, or from the
 * manifest. */
static const char *callers_argument(const struct node *node, const char *argument) {
  const struct command *c = node->command;

  if (!argument || node->direct) return argument;
  for (size_t i = 0; i < c->nargs; i++)
    if (strcmp(c->args[i].name, argument) == 0) return node->args[i] ? node->args[i]->argument : NULL;
  return NULL;
}

void compile_place(void *mem, const struct command_set *set, const struct node *node, const char *argument, struct err *e) {
  place(mem, set, node->entry, callers_argument(node, argument), e);
}

void compile_place_at(void *mem, const struct command_set *set, const struct node *node, const char *path, struct err *e) {
  size_t len = strcspn(path + 1, "/");
  const char *argument = callers_argument(node, arena_strndup(mem, path + 1, len)), *rest = path + 1 + len;

  place(mem, set, node->entry, argument, e);
  /* Where a composite puts it together of other things, the caller knows no more than its own argument. */
  if (argument && node->direct) e->path = arena_printf(mem, "%s%s", e->path, rest);
}

void compile_place_use(void *mem, const struct command_set *set, const struct use *use, const char *argument,
                       struct err *e) {
  const struct command *c = use->command;

  for (size_t i = 0; !use->direct && argument && i < c->nargs; i++)
    if (strcmp(c->args[i].name, argument) == 0) {
      argument = use->args[i] ? use->args[i]->argument : NULL;
      break;
    }
  place(mem, set, use->entry, argument, e);
}

/* References. */

enum presence { ABSENT, MAYBE, CERTAIN };

static bool has_column(const struct description *d, const char *name) {
  for (size_t i = 0; i < d->ncolumns; i++)
    if (strcmp(d->columns[i], name) == 0) return true;
  return false;
}

static bool is_index(const char *text) { return *text && strspn(text, "0123456789") == strlen(text); }

/* Can the value be there, as far as it is known before anything runs? */
static enum presence presence(const struct expr *result, const struct shape *shape) {
  const char *const *path = result->path;
  size_t n = result->npath;

  if (!n) return CERTAIN;
  if (result->node->command->model) return MAYBE;
  if (result->node->command->kind == COMMAND_HANDLER) return MAYBE; /* it answers what it likes */
  switch (shape->returns) {
  case RETURNS_ONE: return !has_column(&shape->d, path[0]) ? ABSENT : n == 1 ? CERTAIN : MAYBE;
  case RETURNS_OPTIONAL: return has_column(&shape->d, path[0]) ? MAYBE : ABSENT;
  case RETURNS_MANY: return is_index(path[0]) && (n == 1 || has_column(&shape->d, path[1])) ? MAYBE : ABSENT;
  default: return ABSENT;
  }
}

struct references {
  struct compiler *k;
  struct plan *plan;
  size_t owner; /* node index of the step */
  const struct command **fault;
  struct err *e;
  bool ok;
};

size_t compile_step(struct compiler *k, struct plan *plan, struct step step) {
  arena_grow(k->mem, plan->steps, plan->n);
  plan->steps[plan->n] = step;
  return plan->n++;
}

static struct statement own_statement(struct compiler *k, uint32_t id, const char *sql) {
  struct statement s;

  if (variants_find(k->variants, &id, sizeof id, &s)) return s;
  return variants_add(k->variants, k->mem, &id, sizeof id, arena_strdup(k->mem, sql));
}

static char *dotted(void *mem, const struct expr *result) {
  struct str *s = str_new(mem, 64);

  str_add(s, result->node->command->name);
  for (size_t i = 0; i < result->npath; i++) str_printf(s, ".%s", result->path[i]);
  return s->p;
}

/* What PostgreSQL would read as a place in an array and we do not: -1 is its last element, +1 and " 1" are 1. */
static bool is_odd(const struct expr *result) {
  for (size_t i = 0; i < result->npath; i++)
    if (strchr("+- \t\n\v\f\r", result->path[i][0]) && result->path[i][0]) return true;
  return false;
}

static struct statement reference_statement(struct compiler *k, const struct expr *result) {
  return is_odd(result) ? own_statement(k, KEY_ODD_REFERENCE, wrap_odd_reference_sql)
                        : own_statement(k, KEY_REFERENCE, wrap_reference_sql);
}

static void check_reference(const struct expr *result, void *data) {
  struct references *r = data;
  const struct shape *shape = &r->k->shapes[result->node->command->id];
  enum presence p = presence(result, shape);
  const char **params;

  if (!r->ok) return;
  if (!can_be_kept(result->node->command)) {
    r->ok = err_set(r->e, BAD_REFERENCE, "The result of \"%s\" cannot be referred to: it is a CALL or MERGE.",
                    result->node->command->name);
    return;
  }
  if (p == CERTAIN) return;
  if (p == ABSENT) {
    *r->fault = result->node->command; /* it may have got that column since it was described */
    r->ok = err_set(r->e, BAD_REFERENCE, "The result of \"%s\" has no value at %s.", result->node->command->name,
                    dotted(r->k->mem, result));
    return;
  }
  params = arena_array(r->k->mem, const char *, 2);
  params[0] = param_place(r->k->mem, result);
  params[1] = arena_printf(r->k->mem, "There is no value at %s.", dotted(r->k->mem, result));
  compile_step(r->k, r->plan, (struct step){.statement = reference_statement(r->k, result), .params = params,
                                        .nparams = 2, .gives = GIVES_NOTHING, .member = (unsigned)r->owner,
                                        .purpose = arena_printf(r->k->mem, "%s is there", dotted(r->k->mem, result))});
}

bool compile_references(struct compiler *k, const struct expr *x, struct plan *plan, size_t owner,
                        const struct command **fault, struct err *e) {
  struct references r = {.k = k, .plan = plan, .owner = owner, .fault = fault, .e = e, .ok = true};

  expr_each_result(x, check_reference, &r);
  return r.ok;
}

/* Nodes. */

static const struct expr *argument_value(struct compiler *k, const struct node *node, const char *name, size_t *index) {
  const struct command *c = node->command;
  struct expr *x;

  for (*index = 0; strcmp(c->args[*index].name, name) != 0; ++*index) continue; /* the manifest gives each :name one */
  if (node->args[*index]) return node->args[*index];
  x = arena_new(k->mem, struct expr);
  *x = (struct expr){.kind = EXPR_LITERAL, .literal = c->args[*index].fallback};
  return x;
}

/* "the type text takes ..." becomes a sentence that names the argument. */
static bool name_argument(struct err *e, const char *command, const char *argument) {
  if (e->code == ERR_BAD_ARGUMENT)
    e->message = arena_printf(e->mem, "The argument \"%s\" of \"%s\": %s.", argument, command, e->message);
  return false;
}

static bool bind_params(struct compiler *k, const struct command_set *set, const struct node *node, size_t owner,
                        struct plan *plan, struct key *key, const char **params, const struct command **fault,
                        struct err *e) {
  const struct command *c = node->command;
  const struct shape *shape = &k->shapes[c->id];

  for (size_t i = 0; i < c->sql.nnames; i++) {
    enum param_mode mode;
    size_t index, checks = plan->n;
    const struct expr *value = argument_value(k, node, c->sql.names[i], &index);

    if (!compile_references(k, value, plan, owner, fault, e) ||
        !param_encode(k->mem, value, shape->d.params[i], &mode, &params[i], e)) {
      compile_place(k->mem, set, node, c->args[index].name, e);
      return e->argument ? name_argument(e, e->command, e->argument) : name_argument(e, c->name, c->args[index].name);
    }
    for (; checks < plan->n; checks++) plan->steps[checks].argument = c->sql.names[i];
    key->modes[i] = (unsigned char)mode;
  }
  return true;
}

static struct statement statement_for(struct compiler *k, const struct command *c, const struct key *key) {
  size_t len = sizeof *key + c->sql.nnames;
  struct statement s;

  if (variants_find(k->variants, key, len, &s)) return s;
  return variants_add(k->variants, k->mem, key, len,
                      wrap_command(k->mem, c, &k->shapes[c->id], k->config, key->modes, key->captured));
}

static bool out_of_order(const struct command *c, const struct shape *shape, struct err *e) {
  err_set(e, INTERNAL, "The command \"%s\" is out of order; the server's log tells why.", c->name);
  /* A copy: what was described ends when the command is described again, before the log line is written. */
  e->log_detail = arena_strdup(e->mem, shape->d.error.log_detail ? shape->d.error.log_detail : shape->d.error.message);
  return false;
}

/* A composite's arguments against the types that its args: gives them. What text means is judged by the members. */
static bool check_types(struct compiler *k, const struct command_set *set, size_t index, const struct command **fault,
                        struct err *e) {
  const struct entry *entry = &set->entries[index];
  const struct command *c = entry->command;
  const struct shape *shape = &k->shapes[c->id];

  if (!wrap_has_types(c)) return true;
  *fault = c;
  if (!shape->d.ok) {
    out_of_order(c, shape, e);
    place(k->mem, set, index, NULL, e);
    return false;
  }
  for (size_t i = 0; i < c->nargs; i++) {
    enum param_mode mode;
    const char *text;

    if (!c->args[i].type || !entry->args[i] || shape->d.params[i]->kind == TYPE_JSON) continue;
    if (param_encode(k->mem, entry->args[i], shape->d.params[i], &mode, &text, e)) continue;
    place(k->mem, set, index, c->args[i].name, e);
    return name_argument(e, c->name, c->args[i].name);
  }
  return true;
}

/* A command of a model: each argument may refer to earlier results anywhere in it. */
static bool compile_model(struct compiler *k, struct command_set *set, size_t owner, struct plan *plan,
                          const struct command **fault, struct err *e) {
  struct node *node = set->nodes[owner];
  const struct command *c = node->command;

  for (size_t i = 0; i < c->nargs; i++) {
    size_t checks = plan->n;
    bool ok = !node->args[i] || compile_references(k, node->args[i], plan, owner, fault, e);

    for (; checks < plan->n; checks++) plan->steps[checks].argument = c->args[i].name;
    if (ok) continue;
    compile_place(k->mem, set, node, c->args[i].name, e);
    return false;
  }
  if (c->kind == COMMAND_MUTATION ? nested_compile(k, set, owner, plan, e) : query_compile(k, set, owner, plan, e)) return true;
  if (e->path) compile_place_at(k->mem, set, node, e->path, e);
  else compile_place(k->mem, set, node, NULL, e);
  return false;
}

static bool compile_node(struct compiler *k, struct command_set *set, size_t owner, struct plan *plan,
                         const struct command **fault, struct err *e) {
  struct node *node = set->nodes[owner];
  const struct command *c = node->command;
  const struct shape *shape = &k->shapes[c->id];
  const char **params = arena_array(k->mem, const char *, c->sql.nnames + 1);
  struct key *key = arena_zero(k->mem, sizeof *key + c->sql.nnames + 1, "key");
  unsigned nparams = (unsigned)c->sql.nnames;

  *fault = c;
  if (c->model) return compile_model(k, set, owner, plan, fault, e);
  if (!shape->d.ok) {
    out_of_order(c, shape, e);
    compile_place(k->mem, set, node, NULL, e);
    return false;
  }
  key->id = (uint32_t)c->id;
  key->captured = node->slot != 0;
  if (!bind_params(k, set, node, owner, plan, key, params, fault, e)) return false;
  if (node->slot) params[nparams++] = arena_printf(k->mem, "writ.s%u", node->slot);
  node->step = plan->n;
  compile_step(k, plan, (struct step){.statement = statement_for(k, c, key), .params = params, .nparams = nparams,
                                  .gives = wrap_gives(c, shape, node->slot != 0), .as_login = c->permission.as_login, .member = (unsigned)owner,
                                  .purpose = c->name});
  return true;
}

/* A composite's result that is put together of several: one more statement. */
static bool compile_result(struct compiler *k, struct command_set *set, struct entry *entry, struct plan *plan,
                           const struct command **fault, struct err *e) {
  size_t owner = entry->end_node - 1;
  const char **params;

  entry->result_step = SIZE_MAX;
  if (is_spliced(entry->result)) return true;
  if (!compile_references(k, entry->result, plan, owner, fault, e)) {
    compile_place(k->mem, set, set->nodes[owner], NULL, e);
    return false;
  }
  params = arena_array(k->mem, const char *, 4);
  params[0] = param_pieces(k->mem, entry->result);
  params[1] = arena_printf(k->mem, "%d", k->config->max_result_bytes);
  params[2] = arena_printf(k->mem, "The result of \"%s\" is larger than %d bytes.", entry->command->name,
                           k->config->max_result_bytes);
  if (entry->slot) params[3] = arena_printf(k->mem, "writ.s%u", entry->slot);
  entry->result_step = plan->n;
  compile_step(k, plan, (struct step){.statement = entry->slot ? own_statement(k, KEY_BUILD_KEPT, wrap_build_kept_sql)
                                                           : own_statement(k, KEY_BUILD, wrap_build_sql),
                                  .params = params, .nparams = entry->slot ? 4 : 3, .gives = GIVES_TEXT,
                                  .member = (unsigned)owner,
                                  .purpose = arena_printf(k->mem, "result of %s", entry->command->name)});
  return true;
}

/* A count of MERGE comes with the command tag only: the server cannot put it into an answer. */
static bool check_kept(struct compiler *k, const struct command_set *set, size_t index, struct err *e) {
  const struct entry *entry = &set->entries[index];
  const struct command *c = entry->result->kind == EXPR_RESULT ? entry->result->node->command : NULL;

  if (!k->keep || !c || c->sql.verb != SQL_MERGE) return true;
  err_set(e, NOT_IMPLEMENTED, "The result of \"%s\" cannot be kept: with an Idempotency-Key a MERGE needs `returns: none`.",
          c->name);
  place(k->mem, set, index, NULL, e);
  return false;
}

static bool has_reference(const struct node *node) {
  for (size_t i = 0; i < node->command->nargs; i++)
    if (node->args[i] && node->args[i]->kind != EXPR_LITERAL) return true;
  return false;
}

/* A guard ahead of the first write of the whole set; one that looks at an earlier result waits for that. */
static bool comes_first(const struct node *node) { return node->phase == PHASE_BEFORE && !has_reference(node); }
static bool comes_last(const struct node *node) { return node->phase == PHASE_AFTER; }
static bool comes_between(const struct node *node) { return !comes_first(node) && !comes_last(node); }

static bool compile_nodes(struct compiler *k, struct command_set *set, size_t first, size_t end, bool (*which)(const struct node *),
                          struct plan *plan, const struct command **fault, struct err *e) {
  for (size_t i = first; i < end; i++)
    if (set->nodes[i]->command->kind != COMMAND_HANDLER && which(set->nodes[i]) &&
        !compile_node(k, set, i, plan, fault, e)) return false;
  return true;
}

/* Queries alone: one snapshot for all of them. A permission may lock rows, or call a function that writes: with one it is no
 * transaction that only reads. What is in the plan already belongs to a key or a mutex: they write, and must see what was
 * committed while they waited. */
static void read_only(const struct command_set *set, size_t first_node, size_t end_node, struct plan *plan) {
  size_t queries = 0;

  for (size_t i = first_node; i < end_node; i++) {
    bool is_query = set->nodes[i]->command->kind == COMMAND_QUERY;

    if (!is_query && set->nodes[i]->phase == PHASE_WRITE) return;
    queries += is_query;
  }
  if (!queries || plan->n) return;
  plan->read_only = queries == end_node - first_node;
  if (plan->isolation < ISOLATION_REPEATABLE_READ) plan->isolation = ISOLATION_REPEATABLE_READ;
}

bool compile_entries(struct compiler *k, struct command_set *set, size_t first, size_t end, struct plan *plan,
                     const struct command **fault, struct err *e) {
  size_t first_node = first < end ? set->entries[first].first_node : 0, end_node = first < end ? set->entries[end - 1].end_node : 0;

  give_slots(set, first, end, k->keep);
  read_only(set, first_node, end_node, plan);
  *fault = NULL;
  for (size_t i = first; i < end; i++)
    if (!check_types(k, set, i, fault, e) || !check_kept(k, set, i, e)) return false;
  if (!compile_nodes(k, set, first_node, end_node, comes_first, plan, fault, e)) return false;
  for (size_t i = first; i < end; i++) {
    struct entry *entry = &set->entries[i];
    if (!compile_nodes(k, set, entry->first_node, entry->end_node, comes_between, plan, fault, e)) return false;
    if (!compile_result(k, set, entry, plan, fault, e)) return false;
  }
  if (!compile_nodes(k, set, first_node, end_node, comes_last, plan, fault, e)) return false;
  outbox_compile(k, set, first, end, plan);
  for (size_t i = 0; i < plan->n; i++) plan->read_only = plan->read_only && !plan->steps[i].as_login;
  return true;
}
