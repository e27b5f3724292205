/* The walk over selection sets, and the rules of fields: FieldsOnCorrectType, ScalarLeafs, KnownFragmentNames,
 * PossibleFragmentSpreads, FragmentsOnCompositeTypes, KnownTypeNames of type conditions. Recursion ends where the parser's
 * limit of depth did. */
#include "documents/validate_inside.h"

#include "base/arena.h"

#include <string.h>

static struct scope *scope_new(struct validator *v) {
  struct scope *scope = arena_new(v->mem, struct scope);

  scope->id = v->nscopes++;
  return scope;
}

static bool sees_field(const struct validator *v, const struct gql_type *parent, const struct gql_field *f) {
  return f && view_has_field(v->view, parent, f);
}

static const struct gql_field *find_field(const struct validator *v, const struct gql_type *parent, const char *name) {
  const struct gql_field *f;

  if (strcmp(name, "__typename") == 0) return schema_meta_field(v->schema, name);
  if (parent == v->schema->query && view_introspects(v->view) && (f = schema_meta_field(v->schema, name)) != NULL) return f;
  f = schema_field(parent, name);
  return sees_field(v, parent, f) ? f : NULL;
}

/* ---- FieldsOnCorrectType ---- */

/* Of the types that an interface or union may be: those that have the field. "" when none has. */
static const char *hint_types(const struct validator *v, const struct gql_type *parent, const char *name) {
  for (size_t i = 0; i < parent->npossible; i++) {
    const struct gql_type *t = parent->possible[i];
    if (view_has_type(v->view, t) && sees_field(v, t, schema_field(t, name)))
      return arena_printf(v->mem, " Did you mean to use an inline fragment on \"%s\"?", t->name);
  }
  return "";
}

static const char *hint_fields(const struct validator *v, const struct gql_type *parent, const char *name) {
  const char **names = arena_array(v->mem, const char *, parent->nfields + 1);
  size_t n = 0;

  for (size_t i = 0; i < parent->nfields; i++)
    if (sees_field(v, parent, &parent->fields[i])) names[n++] = parent->fields[i].name;
  return valid_hint(v, name, names);
}

static void no_such_field(struct validator *v, const struct gql_type *parent, const struct graphql_selection *node) {
  const char *hint;

  if (gql_errors_full(v->errors)) return;
  hint = hint_types(v, parent, node->name);
  if (!*hint) hint = hint_fields(v, parent, node->name);
  BROKEN(v, "FieldsOnCorrectType", node->pos, "Cannot query field \"%s\" on type \"%s\".%s",
         gql_error_cut(v->mem, node->name), parent->name, hint);
}

/* ---- fields ---- */

static void check_leaf(struct validator *v, const struct graphql_selection *node, const struct gql_field *def) {
  bool leaf = gql_is_leaf(def->type);

  if (leaf && node->selections)
    BROKEN(v, "ScalarLeafs", node->selections_pos,
           "Field \"%s\" must not have a selection since type \"%s\" has no subfields.", def->name,
           gql_type_text(v->mem, def->type));
  if (!leaf && !node->selections)
    BROKEN(v, "ScalarLeafs", node->pos,
           "Field \"%s\" of type \"%s\" must have a selection of subfields. Did you mean \"%s { ... }\"?", def->name,
           gql_type_text(v->mem, def->type), def->name);
}

static void check_arguments(struct validator *v, struct part *part, const struct entry *entry) {
  const struct gql_field *def = entry->def;
  struct argued of = {.pos = entry->node->pos};

  if (def) {
    of = (struct argued){.defs = def->args, .ndefs = def->nargs, .known = true, .pos = entry->node->pos};
    of.missing = arena_printf(v->mem, "Field \"%s\"", def->name);
    of.where = arena_printf(v->mem, "field \"%s.%s\"", entry->parent->name, def->name);
  }
  if (entry->node->arguments || (def && def->nargs)) valid_arguments(v, part, entry->node->arguments, &of);
}

/* @state, which is for what a command stands behind. */
static void check_state(struct validator *v, const struct graphql_selection *node, const struct gql_type *parent) {
  for (const struct graphql_directive *d = node->directives; d && parent; d = d->next) {
    const struct gql_directive *def = strcmp(d->name, "state") == 0 ? schema_directive(v->schema, d->name) : NULL;

    if (!def || !def->own || (parent == v->schema->mutation && strcmp(node->name, "__typename") != 0)) continue;
    BROKEN(v, "StateOnRootField", d->pos,
           "Directive \"@state\" is for the root fields of a mutation, and \"%s\" of type \"%s\" is none.",
           gql_error_cut(v->mem, node->name), parent->name);
  }
}

static void walk(struct validator *v, struct part *part, const struct graphql_selection *list, const struct gql_type *parent,
                 struct scope *scope);

/* NULL is no composite type. */
static const struct gql_type *composite(const struct gql_type *t) {
  t = t ? gql_named(t) : NULL;
  return t && gql_is_composite(t) ? t : NULL;
}

static void walk_field(struct validator *v, struct part *part, const struct graphql_selection *node,
                       const struct gql_type *parent, struct scope *scope) {
  struct entry *entry = arena_new(v->mem, struct entry);

  *entry = (struct entry){.node = node, .parent = parent, .order = v->nentries++};
  entry->def = parent ? find_field(v, parent, node->name) : NULL;
  if (scope->last_entry) ((struct entry *)scope->last_entry)->next = entry;
  else scope->entries = entry;
  scope->last_entry = entry;

  if (parent && !entry->def) no_such_field(v, parent, node);
  if (entry->def) check_leaf(v, node, entry->def);
  check_arguments(v, part, entry);
  valid_directives(v, part, node->directives, "FIELD");
  check_state(v, node, parent);
  if (!node->selections) return;
  entry->sub = scope_new(v);
  walk(v, part, node->selections, entry->def ? composite(entry->def->type) : NULL, entry->sub);
}

/* ---- fragments ---- */

static void walk_spread(struct validator *v, struct part *part, const struct graphql_selection *node,
                        const struct gql_type *parent, struct scope *scope) {
  struct spread *spread = arena_new(v->mem, struct spread);
  const struct gql_type *t;

  *spread = (struct spread){.node = node, .fragment = (struct part *)names_thing(&v->fragments, node->name)};
  if (scope->last_spread) ((struct spread *)scope->last_spread)->next = spread;
  else scope->spreads = spread;
  scope->last_spread = spread;

  valid_directives(v, part, node->directives, "FRAGMENT_SPREAD");
  if (!spread->fragment) {
    BROKEN(v, "KnownFragmentNames", node->name_pos, "Unknown fragment \"%s\".", gql_error_cut(v->mem, node->name));
    return;
  }
  t = composite(valid_type(v, spread->fragment->def->on));
  if (t && parent && !valid_fit(v, t, parent))
    BROKEN(v, "PossibleFragmentSpreads", node->pos,
           "Fragment \"%s\" cannot be spread here as objects of type \"%s\" can never be of type \"%s\".",
           gql_error_cut(v->mem, node->name), parent->name, t->name);
}

static const struct gql_type *condition(struct validator *v, const char *name, struct graphql_pos at, const char *fragment) {
  const struct gql_type *t = valid_type(v, name);

  valid_name_type(v, name, at);
  if (!t || gql_is_composite(t)) return t;
  if (fragment)
    BROKEN(v, "FragmentsOnCompositeTypes", at, "Fragment \"%s\" cannot condition on non composite type \"%s\".",
           gql_error_cut(v->mem, fragment), t->name);
  else BROKEN(v, "FragmentsOnCompositeTypes", at, "Fragment cannot condition on non composite type \"%s\".", t->name);
  return NULL;
}

static void walk_inline(struct validator *v, struct part *part, const struct graphql_selection *node,
                        const struct gql_type *parent, struct scope *scope) {
  const struct gql_type *t = node->name ? condition(v, node->name, node->name_pos, NULL) : parent;

  if (t && parent && !valid_fit(v, t, parent))
    BROKEN(v, "PossibleFragmentSpreads", node->pos,
           "Fragment cannot be spread here as objects of type \"%s\" can never be of type \"%s\".", parent->name, t->name);
  valid_directives(v, part, node->directives, "INLINE_FRAGMENT");
  walk(v, part, node->selections, t, scope);
}

static void walk(struct validator *v, struct part *part, const struct graphql_selection *list, const struct gql_type *parent,
                 struct scope *scope) {
  for (const struct graphql_selection *node = list; node; node = node->next) switch (node->kind) {
    case GRAPHQL_FIELD: walk_field(v, part, node, parent, scope); break;
    case GRAPHQL_SPREAD: walk_spread(v, part, node, parent, scope); break;
    case GRAPHQL_INLINE: walk_inline(v, part, node, parent, scope); break;
    }
}

void valid_walk(struct validator *v, struct part *part) {
  static const char *const locations[] = {"QUERY", "MUTATION", "SUBSCRIPTION"};
  const struct graphql_definition *def = part->def;

  if (def->kind == GRAPHQL_DEF_FRAGMENT) part->type = condition(v, def->on, def->on_pos, def->name);
  valid_directives(v, part, def->directives,
                   def->kind == GRAPHQL_DEF_FRAGMENT ? "FRAGMENT_DEFINITION" : locations[def->operation]);
  part->scope = scope_new(v);
  walk(v, part, def->selections, part->type, part->scope);
  valid_fragment_spreads(v, part);
}
