/* What a role sees of a type system: the root fields whose commands it may call, and what can be reached from them. */
#include "schema/schema.h"

#include "base/arena.h"
#include "manifest/manifest.h"
#include "manifest/model_rules.h"
#include "model/model.h"

#include <string.h>

struct schema_view {
  const struct schema *schema;
  const char *role; /* NULL: everything */
  bool introspection;
  bool *types;    /* by index: is it seen? */
  bool **members; /* by index, of inputs and roots: may it be given, may it be asked for? NULL: all of them */
  const struct gql_type **waiting; /* while it is made: seen, but what can be reached from it is not yet looked for */
  size_t nwaiting;
};

static bool is_among(const char *role, const char *const *roles, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (strcmp(roles[i], role) == 0) return true;
  return false;
}

static bool may_call(const struct schema_view *v, const struct command *c) {
  return !v->role || !c || is_among(v->role, c->allow, c->nallow);
}

/* ---- inputs: what may be given ---- */

static const bool *members_of(const struct schema_view *v, const struct gql_type *t) {
  return t->kind == GQL_LIST || t->kind == GQL_NON_NULL ? NULL : v->members[t->index];
}

/* An input of which nothing may be given cannot be written. */
static bool can_be_given(const struct schema_view *v, const struct gql_type *type) {
  const struct gql_type *t = gql_named(type);
  const bool *members = members_of(v, t);

  if (t->kind != GQL_INPUT || !members) return true;
  for (size_t i = 0; i < t->ninputs; i++)
    if (members[i]) return true;
  return false;
}

/* What the manifest says of the field of a model that the input writes. Of a relation in an update it keeps the role from the links,
 * not from the nodes behind them: that is told when it is tried. */
static bool may_write(const struct schema_view *v, const struct gql_type *t, const struct gql_input *input) {
  if (input->field && input->field->relation && t->use == GQL_USE_UPDATE) return true;
  return !v->role || !input->field ||
         manifest_may_write(v->schema->manifest, input->field, t->use == GQL_USE_CREATE, v->role);
}

/* Takes away what may not be given. A field that must be given and may not be takes all others with it. */
static bool narrow(struct schema_view *v, const struct gql_type *t) {
  bool *members = v->members[t->index], changed = false, impossible = false;

  for (size_t i = 0; i < t->ninputs; i++) {
    const struct gql_input *input = &t->inputs[i];

    if (!members[i] || (may_call(v, input->command) && may_write(v, t, input) && can_be_given(v, input->type))) continue;
    members[i] = false;
    changed = true;
    impossible = impossible || gql_is_required(input);
  }
  if (impossible) memset(members, 0, t->ninputs * sizeof *members);
  return changed;
}

static void find_inputs(struct schema_view *v) {
  const struct schema *s = v->schema;
  bool changed = true;

  for (size_t i = 0; i < s->ntypes; i++) {
    if (s->types[i]->kind != GQL_INPUT) continue;
    v->members[i] = arena_array(v, bool, s->types[i]->ninputs);
    memset(v->members[i], 1, s->types[i]->ninputs * sizeof(bool));
  }
  while (changed) {
    changed = false;
    for (size_t i = 0; i < s->ntypes; i++)
      if (s->types[i]->kind == GQL_INPUT && narrow(v, s->types[i])) changed = true;
  }
}

/* ---- roots: what may be asked for ---- */

static bool can_be_asked(const struct schema_view *v, const struct gql_field *f) {
  for (size_t i = 0; i < f->nargs; i++)
    if (gql_is_required(&f->args[i]) && !can_be_given(v, f->args[i].type)) return false;
  return may_call(v, f->command);
}

/* Of a manifest's schema each root field is a command, but for the query that stands in for others: it is there when they are
 * not. */
static bool find_fields(struct schema_view *v, const struct gql_type *root) {
  bool *members = arena_array(v, bool, root->nfields + 1), any = false;

  v->members[root->index] = members;
  for (size_t i = 0; i < root->nfields; i++) {
    const struct gql_field *f = &root->fields[i];

    members[i] = (f->command || !v->schema->manifest) && can_be_asked(v, f);
    any = any || members[i];
  }
  for (size_t i = 0; i < root->nfields && root == v->schema->query && !any; i++) members[i] = !root->fields[i].command;
  return any || root == v->schema->query;
}

/* ---- what can be reached ---- */

static void see(struct schema_view *v, const struct gql_type *type) {
  const struct gql_type *t = gql_named(type);

  if (v->types[t->index]) return;
  v->types[t->index] = true;
  v->waiting[v->nwaiting++] = t;
}

static void see_inputs(struct schema_view *v, const struct gql_input *list, size_t n, const bool *members) {
  for (size_t i = 0; i < n; i++)
    if ((!members || members[i]) && can_be_given(v, list[i].type)) see(v, list[i].type);
}

static void see_members(struct schema_view *v, const struct gql_type *t) {
  const bool *members = v->members[t->index];

  for (size_t i = 0; i < t->nfields; i++) {
    if (members && !members[i]) continue;
    see(v, t->fields[i].type);
    see_inputs(v, t->fields[i].args, t->fields[i].nargs, NULL);
  }
  see_inputs(v, t->inputs, t->ninputs, members);
  for (size_t i = 0; i < t->ninterfaces; i++) see(v, t->interfaces[i]);
  for (size_t i = 0; i < t->npossible; i++) see(v, t->possible[i]);
}

static void see_all(struct schema_view *v) {
  const struct schema *s = v->schema;
  const struct gql_type *roots[] = {s->query, s->mutation, s->subscription, schema_type(s, "__Schema")};

  for (size_t i = 0; i < sizeof roots / sizeof *roots; i++)
    if (roots[i] && (i == 3 || find_fields(v, roots[i]))) see(v, roots[i]);
  for (size_t i = 0; i < s->ndirectives; i++)
    if (view_has_directive(v, s, &s->directives[i])) see_inputs(v, s->directives[i].args, s->directives[i].nargs, NULL);
  /* Types of definitions alone, which nobody derived, are all meant, reached or not. */
  for (size_t i = 0; i < s->ntypes && !s->manifest; i++)
    if (!s->types[i]->built_in) see(v, s->types[i]);
  while (v->nwaiting) see_members(v, v->waiting[--v->nwaiting]);
}

const struct schema_view *schema_view_new(const void *mem, const struct schema *s, const char *role, bool inside) {
  struct schema_view *v = arena_new(mem, struct schema_view);
  const struct manifest *m = s->manifest;

  v->schema = s;
  v->role = inside ? NULL : role ? role : "anonymous";
  v->introspection = inside || !m || !m->introspection_limited || is_among(v->role, m->introspection, m->nintrospection);
  v->types = arena_array(v, bool, s->ntypes);
  v->members = arena_array(v, bool *, s->ntypes);
  v->waiting = arena_array(v, const struct gql_type *, s->ntypes);
  find_inputs(v);
  see_all(v);
  talloc_free(v->waiting);
  return v;
}

/* ---- questions ---- */

bool view_has_type(const struct schema_view *v, const struct gql_type *t) { return !v || v->types[gql_named(t)->index]; }

/* Writ's own is for mutations. */
bool view_has_directive(const struct schema_view *v, const struct schema *s, const struct gql_directive *d) {
  return !d->own || (s->mutation && view_has_type(v, s->mutation));
}

bool view_has_field(const struct schema_view *v, const struct gql_type *parent, const struct gql_field *f) {
  const bool *members = v ? v->members[parent->index] : NULL;

  if (parent->kind != GQL_OBJECT && parent->kind != GQL_INTERFACE) return false;
  return !members || members[f - parent->fields];
}

bool view_has_argument(const struct schema_view *v, const struct gql_input *argument) {
  return !v || can_be_given(v, argument->type);
}

bool view_has_input(const struct schema_view *v, const struct gql_type *parent, const struct gql_input *input) {
  return !v || v->members[parent->index][input - parent->inputs];
}

bool view_introspects(const struct schema_view *v) { return !v || v->introspection; }
