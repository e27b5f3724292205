/* Places, references, steps: what each part of the compiler needs. */
#include "compile/compiler.h"

#include "base/arena.h"
#include "base/str.h"
#include "compile/param.h"

#include <string.h>

/* Places in the request. */

static const char *argument_path(void *mem, const struct command_set *set, size_t entry, const char *argument) {
  const char *args = argument ? arena_printf(mem, "/%s", argument) : "";

  if (!set->is_set) return argument ? args : NULL;
  return arena_printf(mem, "/%s/%zu%s%s", set->member, entry, argument ? "/args" : "", args);
}

void compile_place_entry(void *mem, const struct command_set *set, size_t entry, const char *argument, struct err *e) {
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

/* argument: by the name that the caller knows. */
static void place_node(void *mem, const struct command_set *set, const struct node *node, const char *argument,
                       struct err *e) {
  compile_place_entry(mem, set, node->entry, argument, e);
  if (!node->place) return;
  e->command = node->named->name;
  e->path = arena_printf(mem, "/%s/%zu%s%s%s", set->member, node->entry, node->place, argument ? "/args/" : "",
                         argument ? argument : "");
}

void compile_place(void *mem, const struct command_set *set, const struct node *node, const char *argument, struct err *e) {
  place_node(mem, set, node, callers_argument(node, argument), e);
}

void compile_place_at(void *mem, const struct command_set *set, const struct node *node, const char *path, struct err *e) {
  size_t len = strcspn(path + 1, "/");
  const char *argument = callers_argument(node, arena_strndup(mem, path + 1, len)), *rest = path + 1 + len;

  place_node(mem, set, node, argument, e);
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
  compile_place_entry(mem, set, use->entry, argument, e);
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

bool compile_can_keep(const struct command *c) { return c->sql.verb != SQL_CALL && c->sql.verb != SQL_MERGE; }

struct statement compile_own(struct compiler *k, uint32_t id, const char *sql) {
  struct statement s;

  if (variants_find(k->variants, &id, sizeof id, &s)) return s;
  return variants_add(k->variants, k->mem, &id, sizeof id, sql);
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
  return is_odd(result) ? compile_own(k, KEY_ODD_REFERENCE, wrap_odd_reference_sql)
                        : compile_own(k, KEY_REFERENCE, wrap_reference_sql);
}

static void check_reference(const struct expr *result, void *data) {
  struct references *r = data;
  const struct shape *shape = &r->k->shapes[result->node->command->id];
  enum presence p = presence(result, shape);
  const char **params;

  if (!r->ok) return;
  if (!compile_can_keep(result->node->command)) {
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
  compile_step(r->k, r->plan,
               (struct step){.statement = reference_statement(r->k, result),
                             .params = params,
                             .nparams = 2,
                             .gives = GIVES_NOTHING,
                             .member = (unsigned)r->owner,
                             .purpose = arena_printf(r->k->mem, "%s is there", dotted(r->k->mem, result))});
}

bool compile_references(struct compiler *k, const struct expr *x, struct plan *plan, size_t owner,
                        const struct command **fault, struct err *e) {
  struct references r = {.k = k, .plan = plan, .owner = owner, .fault = fault, .e = e, .ok = true};

  expr_each_result(x, check_reference, &r);
  return r.ok;
}
