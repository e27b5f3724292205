/* Collects fields. */
#include "documents/collect.h"

#include "base/arena.h"
#include "base/json.h"
#include "documents/names.h"
#include "schema/schema.h"

#include <string.h>

struct collection {
  struct collector *c;
  const struct gql_type *type;
  struct wanted_list out;
  const struct graphql_definition **visited; /* fragments, each counts once */
  size_t nvisited;
};

struct selection_sets selection_set(void *mem, const struct graphql_selection *selections) {
  struct selection_sets sets = {.list = arena_array(mem, const struct graphql_selection *, 1), .n = 1};

  sets.list[0] = selections;
  return sets;
}

/* ---- @skip, @include ---- */

static bool condition(struct collector *c, const struct graphql_directive *d) {
  const struct graphql_value *value = d->arguments->value;
  const struct json *given;

  if (value->kind != GRAPHQL_VALUE_VARIABLE) return strcmp(value->text, "true") == 0;
  if (!c->variables) {
    c->conditional = true;
    return true;
  }
  given = json_get(c->variables, value->text);
  return given && given->kind == JSON_TRUE;
}

static bool is_there(struct collector *c, const struct graphql_directive *directives) {
  for (const struct graphql_directive *d = directives; d; d = d->next) {
    if (strcmp(d->name, "skip") == 0 && condition(c, d)) return false;
    if (strcmp(d->name, "include") == 0 && !condition(c, d)) return false;
  }
  return true;
}

/* ---- types ---- */

/* Does a fragment on a type of that name concern the object? */
static bool applies(const struct collection *k, const char *on) {
  return !on || gql_is_possible(schema_type(k->c->schema, on), k->type);
}

/* ---- fields ---- */

static struct wanted *find(struct collection *k, const char *key) {
  for (size_t i = 0; i < k->out.n; i++)
    if (strcmp(k->out.list[i].key, key) == 0) return &k->out.list[i];
  return NULL;
}

static void add_state(struct wanted *w, const struct graphql_directive *d) {
  while (d && strcmp(d->name, "state") != 0) d = d->next;
  if (!d) return;
  if (w->state) w->state_again = d;
  else w->state = d;
}

static void add_field(struct collection *k, const struct graphql_selection *s) {
  struct wanted *w = find(k, s->alias);

  if (!w) {
    if (!k->c->left) return;
    k->c->left--;
    arena_grow(k->c->mem, k->out.list, k->out.n);
    w = &k->out.list[k->out.n++];
    *w = (struct wanted){.key = s->alias, .first = s, .field = schema_field(k->type, s->name)};
  }
  add_state(w, s->directives);
  if (!s->selections) return;
  arena_grow(k->c->mem, w->below.list, w->below.n);
  w->below.list[w->below.n++] = s->selections;
}

static void add_selections(struct collection *k, const struct graphql_selection *s);

static bool is_new(struct collection *k, const struct graphql_definition *fragment) {
  for (size_t i = 0; i < k->nvisited; i++)
    if (k->visited[i] == fragment) return false;
  arena_grow(k->c->mem, k->visited, k->nvisited);
  k->visited[k->nvisited++] = fragment;
  return true;
}

static void add_selections(struct collection *k, const struct graphql_selection *s) {
  for (; s; s = s->next) {
    const struct graphql_definition *fragment;

    if (!is_there(k->c, s->directives)) continue;
    switch (s->kind) {
    case GRAPHQL_FIELD: add_field(k, s); break;
    case GRAPHQL_INLINE:
      if (applies(k, s->name)) add_selections(k, s->selections);
      break;
    case GRAPHQL_SPREAD:
      fragment = names_thing(k->c->fragments, s->name);
      if (is_new(k, fragment) && applies(k, fragment->on)) add_selections(k, fragment->selections);
    }
  }
}

struct wanted_list collect(struct collector *c, const struct gql_type *type, struct selection_sets sets) {
  struct collection k = {.c = c, .type = type};

  for (size_t i = 0; i < sets.n; i++) add_selections(&k, sets.list[i]);
  return k.out;
}
