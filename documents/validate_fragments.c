/* Rules of fragments: UniqueFragmentNames, NoFragmentCycles, NoUnusedFragments, and what fits where. No recursion: a
 * document can be a chain of ten thousand fragments. */
#include "documents/validate_inside.h"

#include "base/arena.h"
#include "base/str.h"

#include <string.h>

enum { VIA_MAX = 10 }; /* fragments of a cycle that are named */

void valid_fragment_names(struct validator *v) {
  for (size_t i = 0; i < v->nparts; i++)
    if (v->parts[i].def->kind == GRAPHQL_DEF_FRAGMENT) names_add(v->mem, &v->fragments, v->parts[i].def->name, &v->parts[i]);
  names_sort(&v->fragments);
  for (size_t i = 0, run; i < v->fragments.n; i += run) {
    const struct part *first = v->fragments.list[i].thing;
    run = names_run(&v->fragments, i);
    for (size_t j = 1; j < run; j++) {
      const struct part *again = v->fragments.list[i + j].thing;
      BROKEN(v, "UniqueFragmentNames", first->def->name_pos, "There can be only one fragment named \"%s\".",
             gql_error_cut(v->mem, first->def->name));
      gql_error_also(v->errors, again->def->name_pos);
    }
  }
}

/* Those of the outermost braces first, then of the last braces within: the order in which graphql-js looks for cycles, which
 * decides where one begins. */
void valid_fragment_spreads(struct validator *v, struct part *part) {
  const struct graphql_selection **lists = NULL;
  size_t n = 0;

  arena_grow(v->mem, lists, n);
  lists[n++] = part->def->selections;
  while (n) {
    const struct graphql_selection *list = lists[--n];
    for (const struct graphql_selection *node = list; node; node = node->next) {
      if (node->kind != GRAPHQL_SPREAD) continue;
      arena_grow(v->mem, part->spreads, part->nspreads);
      part->spreads[part->nspreads++] = (struct spread){node, (struct part *)names_thing(&v->fragments, node->name), NULL};
    }
    for (const struct graphql_selection *node = list; node; node = node->next) {
      if (!node->selections) continue;
      arena_grow(v->mem, lists, n);
      lists[n++] = node->selections;
    }
  }
}

static bool overlap(struct validator *v, const struct gql_type *a, const struct gql_type *b) {
  valid_works(v, a->npossible);
  for (size_t i = 0; i < a->npossible; i++)
    if (view_has_type(v->view, a->possible[i]) && gql_is_possible(b, a->possible[i])) return true;
  return false;
}

bool valid_fit(struct validator *v, const struct gql_type *fragment, const struct gql_type *parent) {
  if (fragment == parent) return true;
  if (fragment->kind == GQL_OBJECT) return gql_is_possible(parent, fragment);
  if (parent->kind == GQL_OBJECT) return gql_is_possible(fragment, parent);
  return overlap(v, fragment, parent);
}

/* ---- NoFragmentCycles ---------------------------------------------------------------------------------------------- */

/* A fragment on the way down, and which of its spreads comes next. */
struct level {
  struct part *part;
  size_t next;
};

static void report_cycle(struct validator *v, const struct level *levels, size_t n, size_t from) {
  const struct graphql_selection *last = levels[n - 1].part->spreads[levels[n - 1].next - 1].node;
  struct str *via;

  v->cyclic = true;
  if (gql_errors_full(v->errors)) return;
  via = str_new(v->mem, 64);
  for (size_t i = from; i + 1 < n && i < from + VIA_MAX; i++)
    str_printf(via, "%s\"%s\"", i == from ? " via " : ", ",
               gql_error_cut(v->mem, levels[i].part->spreads[levels[i].next - 1].node->name));
  BROKEN(v, "NoFragmentCycles", levels[from].part->spreads[levels[from].next - 1].node->pos,
         "Cannot spread fragment \"%s\" within itself%s.", gql_error_cut(v->mem, last->name), via->p);
  for (size_t i = from + 1; i < n && i < from + GQL_LOCATIONS_MAX; i++)
    gql_error_also(v->errors, levels[i].part->spreads[levels[i].next - 1].node->pos);
}

/* Of several of one name, which is a mistake of its own, one keeps the marks of all. */
static struct part *marks(const struct validator *v, const struct part *fragment) {
  return (struct part *)names_thing(&v->fragments, fragment->def->name);
}

static struct level *enter(struct validator *v, struct level *levels, size_t *n, struct part *part) {
  arena_grow(v->mem, levels, *n);
  marks(v, part)->visited = marks(v, part)->on_path = true;
  marks(v, part)->path_place = *n;
  levels[(*n)++] = (struct level){part, 0};
  return levels;
}

static struct level *search(struct validator *v, struct level *levels, struct part *from) {
  size_t n = 0;

  levels = enter(v, levels, &n, from);
  while (n) {
    struct level *level = &levels[n - 1];
    struct part *next;
    if (level->next == level->part->nspreads) {
      marks(v, level->part)->on_path = false;
      v->ordered[v->nordered++] = level->part;
      n--;
      continue;
    }
    next = level->part->spreads[level->next++].fragment;
    if (next && next->on_path) report_cycle(v, levels, n, next->path_place);
    else if (next && !next->visited) levels = enter(v, levels, &n, next);
  }
  return levels;
}

void valid_fragment_cycles(struct validator *v) {
  struct level *levels = NULL;

  v->ordered = arena_array(v->mem, struct part *, v->nparts + 1);
  for (size_t i = 0; i < v->nparts; i++)
    if (v->parts[i].def->kind == GRAPHQL_DEF_FRAGMENT && !marks(v, &v->parts[i])->visited)
      levels = search(v, levels, &v->parts[i]);
}

/* ---- what an operation reaches ------------------------------------------------------------------------------------- */

bool valid_reach(struct validator *v, const struct part *operation, struct part ***list, size_t *n) {
  const struct part *part = operation;

  *list = NULL;
  *n = 0;
  v->stamp++;
  for (size_t done = 0;; part = (*list)[done++]) {
    if (!valid_works(v, part->nspreads + 1)) return false;
    for (size_t i = 0; i < part->nspreads; i++) {
      struct part *fragment = part->spreads[i].fragment;
      if (!fragment || fragment->stamp == v->stamp) continue;
      fragment->stamp = v->stamp;
      arena_grow(v->mem, *list, *n);
      (*list)[(*n)++] = fragment;
    }
    if (done == *n) return true;
  }
}

/* From all operations at once: each fragment is looked at once. Of several of one name the last is what a spread means. */
void valid_fragment_uses(struct validator *v) {
  struct part **waiting = arena_array(v->mem, struct part *, v->nparts + 1);
  size_t n = 0;

  for (size_t i = 0; i < v->nparts; i++)
    if (v->parts[i].def->kind == GRAPHQL_DEF_OPERATION) waiting[n++] = &v->parts[i];
  while (n) {
    const struct part *part = waiting[--n];
    for (size_t i = 0; i < part->nspreads; i++) {
      struct part *fragment = part->spreads[i].fragment;
      if (!fragment || fragment->used) continue;
      fragment->used = true;
      waiting[n++] = fragment;
    }
  }
  for (size_t i = 0; i < v->nparts; i++)
    if (v->parts[i].def->kind == GRAPHQL_DEF_FRAGMENT && !marks(v, &v->parts[i])->used)
      BROKEN(v, "NoUnusedFragments", v->parts[i].def->pos, "Fragment \"%s\" is never used.",
             gql_error_cut(v->mem, v->parts[i].def->name));
}
