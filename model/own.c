/* Which definitions are the data model's, and which are not. */
#include "model/own.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

enum side { SIDE_UNKNOWN, SIDE_MODEL, SIDE_OWN };

struct item {
  const struct graphql_definition *def;
  enum side side;
  bool of_model; /* a type of the model leads to it */
};

struct split {
  struct item *items;    /* in the order of the file */
  struct item **by_name; /* types, sorted */
  struct item **waiting; /* own, but not yet looked at for what they lead to */
  size_t n, ntypes, nwaiting;
};

/* ---- what a definition is by itself ---- */

static const struct graphql_directive *directive(const struct graphql_directive *d, const char *name) {
  while (d && strcmp(d->name, name) != 0) d = d->next;
  return d;
}

static bool is_root(const struct graphql_definition *d) {
  return d->kind == GRAPHQL_DEF_TYPE && (strcmp(d->name, "Query") == 0 || strcmp(d->name, "Mutation") == 0);
}

/* Says the type that its rows are kept? A bare id: ID! @unique is a key, too, as in older files. */
static bool has_key(const struct graphql_definition *d) {
  if (directive(d->directives, "id") || directive(d->directives, "entity") || directive(d->directives, "relationTable") ||
      directive(d->directives, "db"))
    return true;
  for (const struct graphql_field *f = d->fields; f; f = f->next)
    if (directive(f->directives, "id") || (strcmp(f->name, "id") == 0 && directive(f->directives, "unique"))) return true;
  return false;
}

/* What is not known by itself: types without a key, enums. */
static enum side side_of(const struct graphql_definition *d) {
  switch (d->kind) {
  case GRAPHQL_DEF_TYPE: return is_root(d) ? SIDE_OWN : has_key(d) ? SIDE_MODEL : SIDE_UNKNOWN;
  case GRAPHQL_DEF_ENUM: return directive(d->directives, "db") ? SIDE_MODEL : SIDE_UNKNOWN;
  case GRAPHQL_DEF_SCHEMA: return SIDE_MODEL;
  default: return SIDE_OWN;
  }
}

/* ---- names ---- */

static int by_name(const void *one, const void *other) {
  const struct item *a = *(struct item *const *)one, *b = *(struct item *const *)other;
  int order = strcmp(a->def->name, b->def->name);

  return order ? order : (a > b) - (a < b);
}

static struct item *find(const struct split *s, const char *name) {
  size_t low = 0, high = s->ntypes;

  while (low < high) {
    size_t middle = low + (high - low) / 2;

    if (strcmp(s->by_name[middle]->def->name, name) < 0) low = middle + 1;
    else high = middle;
  }
  return low < s->ntypes && strcmp(s->by_name[low]->def->name, name) == 0 ? s->by_name[low] : NULL;
}

static const char *named(const struct graphql_type *type) {
  while (!type->name) type = type->of;
  return type->name;
}

/* ---- what leads where ---- */

typedef void leads_to(struct split *s, const char *name);

static void for_fields(struct split *s, const struct graphql_field *first, leads_to *to) {
  for (const struct graphql_field *f = first; f; f = f->next) {
    to(s, named(f->type));
    for_fields(s, f->arguments, to);
  }
}

static void for_names(struct split *s, const struct graphql_definition *d, leads_to *to) {
  for_fields(s, d->fields, to);
  if (d->kind == GRAPHQL_DEF_DIRECTIVE) return; /* its members are places */
  for (const struct graphql_name *name = d->members; name; name = name->next) to(s, name->name);
}

static void mark_of_model(struct split *s, const char *name) {
  struct item *item = find(s, name);

  if (item) item->of_model = true;
}

static void take(struct split *s, struct item *item) {
  if (item->side != SIDE_UNKNOWN || item->of_model) return;
  item->side = SIDE_OWN;
  s->waiting[s->nwaiting++] = item;
}

static void take_named(struct split *s, const char *name) {
  struct item *item = find(s, name);

  if (item) take(s, item);
}

/* ---- the whole ---- */

static void open_split(const void *mem, struct split *s, const struct graphql_definition *first) {
  for (const struct graphql_definition *d = first; d; d = d->next) s->n++;
  s->items = arena_array(mem, struct item, s->n + 1);
  s->by_name = arena_array(mem, struct item *, s->n + 1);
  s->waiting = arena_array(mem, struct item *, s->n + 1);
  s->n = 0;
  for (const struct graphql_definition *d = first; d; d = d->next) {
    struct item *item = &s->items[s->n++];

    *item = (struct item){.def = d, .side = side_of(d)};
    if (d->kind > GRAPHQL_DEF_DIRECTIVE && !d->extend) s->by_name[s->ntypes++] = item;
  }
  qsort(s->by_name, s->ntypes, sizeof *s->by_name, by_name);
}

/* An extension goes where that stands which it extends. */
static enum side final_side(const struct split *s, const struct item *item) {
  const struct item *extended =
      item->def->extend && item->def->name && !is_root(item->def) ? find(s, item->def->name) : item;

  return extended && extended->side == SIDE_OWN ? SIDE_OWN : SIDE_MODEL;
}

static void append(const void *mem, struct graphql_definition ***end, const struct graphql_definition *def) {
  struct graphql_definition *copy = arena_new(mem, struct graphql_definition);

  *copy = *def;
  copy->next = NULL;
  **end = copy;
  *end = (struct graphql_definition **)&copy->next;
}

void own_split(const void *mem, const struct graphql_definition *first, const struct graphql_definition **model,
               const struct graphql_definition **own) {
  struct graphql_definition **model_end = (struct graphql_definition **)model, **own_end = (struct graphql_definition **)own;
  void *scratch = talloc_new(mem);
  struct split s = {0};

  *model = *own = NULL;
  open_split(scratch, &s, first);
  for (size_t i = 0; i < s.n; i++)
    if (s.items[i].side == SIDE_MODEL) for_names(&s, s.items[i].def, mark_of_model);
  for (size_t i = 0; i < s.n; i++) {
    if (s.items[i].side == SIDE_OWN) for_names(&s, s.items[i].def, take_named);
    if (s.items[i].def->interfaces) take(&s, &s.items[i]);
  }
  while (s.nwaiting) for_names(&s, s.waiting[--s.nwaiting]->def, take_named);
  for (size_t i = 0; i < s.n; i++)
    append(mem, final_side(&s, &s.items[i]) == SIDE_OWN ? &own_end : &model_end, s.items[i].def);
  talloc_free(scratch);
}
