/* The compiler: each node a statement, its arguments parameters, references read on the server. */
#include "engine/entries.h"

#include "base/arena.h"
#include "base/str.h"
#include "compile/param.h"
#include "engine/append.h"
#include "engine/outbox.h"
#include "manifest/config.h"
#include "nested/nested.h"
#include "query/query.h"

#include <string.h>

struct key {
  uint32_t id;
  unsigned char captured;
  unsigned char modes[]; /* one for each parameter */
};

static const char tell_of_sql[] = "select pg_catalog.set_config('writ.mutation', $1, true)";

/* Which results are asked for by others. */

static void give_slot(const struct expr *result, void *data) {
  unsigned *last = data;
  if (!result->node->slot && compile_can_keep(result->node->command)) result->node->slot = ++*last;
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
  append_each_result(set, first, end, give_slot, &last);
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
    compile_place_entry(k->mem, set, index, NULL, e);
    return false;
  }
  for (size_t i = 0; i < c->nargs; i++) {
    enum param_mode mode;
    const char *text;

    if (!c->args[i].type || !entry->args[i] || shape->d.params[i]->kind == TYPE_JSON) continue;
    if (param_encode(k->mem, entry->args[i], shape->d.params[i], &mode, &text, e)) continue;
    compile_place_entry(k->mem, set, index, c->args[i].name, e);
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
  if (c->kind == COMMAND_MUTATION ? nested_compile(k, set, owner, plan, e) : query_compile(k, set, owner, plan, e))
    return true;
  if (e->path) compile_place_at(k->mem, set, node, e->path, e);
  else compile_place(k->mem, set, node, NULL, e);
  return false;
}

/* What is dispatched from here on is told to those who follow this mutation; "": to nobody. */
static void tell_of(struct compiler *k, const char *mutation, struct plan *plan) {
  const char **params;

  if (!k->states_apart || strcmp(k->told, mutation) == 0) return;
  params = arena_array(k->mem, const char *, 1);
  params[0] = k->told = mutation;
  compile_step(k, plan,
               (struct step){.statement = compile_own(k, KEY_TELL_OF, tell_of_sql),
                             .params = params,
                             .nparams = 1,
                             .gives = GIVES_NOTHING,
                             .member = MEMBER_NONE,
                             .purpose = "whose events are told"});
}

static void tell_of_entry(struct compiler *k, const struct command_set *set, size_t entry, struct plan *plan) {
  tell_of(k, set->entries[entry].mutation ? set->entries[entry].mutation : k->listens, plan);
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
  tell_of_entry(k, set, node->entry, plan);
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
  compile_step(k, plan,
               (struct step){.statement = statement_for(k, c, key),
                             .params = params,
                             .nparams = nparams,
                             .gives = wrap_gives(c, shape, node->slot != 0),
                             .as_login = c->permission.as_login,
                             .member = (unsigned)owner,
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
  compile_step(k, plan,
               (struct step){.statement = entry->slot ? compile_own(k, KEY_BUILD_KEPT, wrap_build_kept_sql)
                                                      : compile_own(k, KEY_BUILD, wrap_build_sql),
                             .params = params,
                             .nparams = entry->slot ? 4 : 3,
                             .gives = GIVES_TEXT,
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
  compile_place_entry(k->mem, set, index, NULL, e);
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

static bool compile_nodes(struct compiler *k, struct command_set *set, size_t first, size_t end,
                          bool (*which)(const struct node *), struct plan *plan, const struct command **fault,
                          struct err *e) {
  for (size_t i = first; i < end; i++)
    if (set->nodes[i]->command->kind != COMMAND_HANDLER && which(set->nodes[i]) && !compile_node(k, set, i, plan, fault, e))
      return false;
  return true;
}

/* Queries alone: one snapshot for all of them, as for all that was asked for as a query. A permission may lock rows, or call a function that writes: with one it is no
 * transaction that only reads. What is in the plan already belongs to a key or a mutex: they write, and must see what was
 * committed while they waited. */
static void read_only(const struct compiler *k, const struct command_set *set, size_t first_node, size_t end_node,
                      struct plan *plan) {
  size_t queries = 0;

  for (size_t i = first_node; i < end_node; i++) {
    bool wanted = set->nodes[i]->phase == PHASE_WRITE;
    bool is_query = set->nodes[i]->command->kind == COMMAND_QUERY || (k->reads && wanted);

    if (!is_query && wanted) return;
    queries += is_query;
  }
  if (!queries || plan->n) return;
  plan->read_only = queries == end_node - first_node;
  if (plan->isolation < ISOLATION_REPEATABLE_READ) plan->isolation = ISOLATION_REPEATABLE_READ;
}

/* What is nested in mutations is judged by its results when everything is written, as all else is. */
static bool end_nested(struct compiler *k, struct command_set *set, size_t first, size_t end, struct plan *plan,
                       struct err *e) {
  for (size_t i = first; i < end; i++) {
    if (set->nodes[i]->command->kind != COMMAND_MUTATION) continue;
    tell_of_entry(k, set, set->nodes[i]->entry, plan);
    if (nested_end(k, set, i, plan, e)) continue;
    compile_place(k->mem, set, set->nodes[i], NULL, e);
    return false;
  }
  return true;
}

bool compile_entries(struct compiler *k, struct command_set *set, size_t first, size_t end, struct plan *plan,
                     const struct command **fault, struct err *e) {
  size_t first_node = first < end ? set->entries[first].first_node : 0,
         end_node = first < end ? set->entries[end - 1].end_node : 0;

  give_slots(set, first, end, k->keep);
  read_only(k, set, first_node, end_node, plan);
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
  if (!end_nested(k, set, first_node, end_node, plan, e)) return false;
  tell_of(k, k->listens, plan); /* what is deferred to COMMIT is nobody's own */
  outbox_compile(k, set, first, end, plan);
  if (!outbox_compile_nested(k, set, first_node, end_node, plan, e)) return false;
  append_compile(k, set, first, end, plan);
  for (size_t i = 0; i < plan->n; i++) plan->read_only = plan->read_only && !plan->steps[i].as_login;
  return true;
}
