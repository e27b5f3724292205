/* OverlappingFieldsCanBeMerged, FieldsInSetCanMerge() of the specification, section 5.3.2.
 *
 * * Compared pair by pair, as it is written there, fields of one name cost the square of their number, and again at each
 * level. So here, as Simon Adameit's algorithm for Sangria has it, whole sets go down together: fields of one name in the
 * answer are compared with the first of them, and what stands in their braces is one set of the next level. Being of the
 * same shape, and having the same name and arguments, are equivalences, so the first stands for all.
 *
 * * Two fields of different object types are never answered both: they only need the same shape. So where a set has such,
 * its next level is looked at once for the shapes of all, and for names and arguments once for each object type.
 *
 * * A set is a list of selection sets; one that has been looked at is not looked at again. That bounds the work by the
 * document as it would be executed; where fragments make that huge, valid_works() ends it. */
#include "documents/validate_inside.h"

#include "base/arena.h"
#include "base/str.h"
#include "graphql/print.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SHAPES = 1, NAMES = 2 };

/* Scopes that are answered as one, by id. */
struct set {
  struct scope **scopes;
  size_t n;
  unsigned judge; /* SHAPES, NAMES or both */
  uint64_t hash;
  struct set *next; /* of the same bucket */
};

struct pair {
  const struct entry *a, *b;
};

struct merge {
  struct validator *v;
  struct set **waiting; /* all sets so far; those from done on are still to be looked at */
  size_t n, done;
  struct set **buckets;
  size_t nbuckets; /* a power of two */
  struct pair reported[GQL_ERRORS_MAX + 1];
  size_t nreported;
};

/* ---- sets ---------------------------------------------------------------------------------------------------------- */

static int by_id(const void *a, const void *b) {
  const struct scope *x = *(struct scope *const *)a, *y = *(struct scope *const *)b;

  return (x->id > y->id) - (x->id < y->id);
}

static void close_set(struct set *set) {
  size_t n = 0;

  qsort(set->scopes, set->n, sizeof *set->scopes, by_id);
  for (size_t i = 0; i < set->n; i++)
    if (!n || set->scopes[n - 1] != set->scopes[i]) set->scopes[n++] = set->scopes[i];
  set->n = n;
  set->hash = set->judge;
  for (size_t i = 0; i < n; i++) {
    set->hash = (set->hash ^ set->scopes[i]->id) * UINT64_C(0x9e3779b97f4a7c15);
    set->hash ^= set->hash >> 29;
  }
}

static bool same_set(const struct set *a, const struct set *b) {
  return a->hash == b->hash && a->n == b->n && a->judge == b->judge &&
         memcmp(a->scopes, b->scopes, a->n * sizeof *a->scopes) == 0;
}

static void rehash(struct merge *m) {
  m->nbuckets = m->nbuckets ? 2 * m->nbuckets : 64;
  talloc_free(m->buckets);
  m->buckets = arena_array(m->v->mem, struct set *, m->nbuckets);
  for (size_t i = 0; i < m->n; i++) {
    struct set **bucket = &m->buckets[m->waiting[i]->hash & (m->nbuckets - 1)];
    m->waiting[i]->next = *bucket;
    *bucket = m->waiting[i];
  }
}

/* Puts a set on the list of those to be looked at, unless it has been there. */
static void look_at(struct merge *m, struct set *set) {
  struct set **bucket;

  if (!set->n) return;
  close_set(set);
  if (m->n >= m->nbuckets) rehash(m);
  bucket = &m->buckets[set->hash & (m->nbuckets - 1)];
  for (const struct set *s = *bucket; s; s = s->next)
    if (!valid_works(m->v, 1) || same_set(s, set)) return;
  set->next = *bucket;
  *bucket = set;
  arena_grow(m->v->mem, m->waiting, m->n);
  m->waiting[m->n++] = set;
}

static struct set *set_new(struct merge *m, unsigned judge, size_t room) {
  struct set *set = arena_new(m->v->mem, struct set);

  set->judge = judge;
  set->scopes = arena_array(m->v->mem, struct scope *, room);
  return set;
}

/* ---- what differs -------------------------------------------------------------------------------------------------- */

static void report(struct merge *m, const struct entry *a, const struct entry *b, const char *reason) {
  for (size_t i = 0; i < m->nreported; i++)
    if (m->reported[i].a == a && m->reported[i].b == b) return;
  if (gql_errors_full(m->v->errors)) return;
  m->reported[m->nreported++] = (struct pair){a, b};
  BROKEN(m->v, "OverlappingFieldsCanBeMerged", a->node->pos,
         "Fields \"%s\" conflict because %s. Use different aliases on the fields to fetch both if this was intentional.",
         gql_error_cut(m->v->mem, a->node->alias), reason);
  gql_error_also(m->v->errors, b->node->pos);
}

/* SameResponseShape(), without what is in braces. */
static bool same_shape(const struct gql_type *a, const struct gql_type *b) {
  while (a->of || b->of) {
    if (a->kind != b->kind) return false;
    a = a->of;
    b = b->of;
  }
  return a == b || (gql_is_composite(a) && gql_is_composite(b));
}

static int by_name(const void *a, const void *b) {
  const struct graphql_argument *x = *(const struct graphql_argument *const *)a;
  const struct graphql_argument *y = *(const struct graphql_argument *const *)b;

  return strcmp(x->name, y->name);
}

static void put_value(struct validator *v, struct str *s, const struct graphql_value *value);

/* In order of names: that in which they were written means nothing. */
static void put_arguments(struct validator *v, struct str *s, const struct graphql_argument *list) {
  const struct graphql_argument **sorted = NULL;
  size_t n = 0;

  for (const struct graphql_argument *a = list; a; a = a->next) {
    arena_grow(v->mem, sorted, n);
    sorted[n++] = a;
  }
  if (n > 1) qsort(sorted, n, sizeof *sorted, by_name);
  for (size_t i = 0; i < n; i++) {
    str_printf(s, "%s:", sorted[i]->name);
    put_value(v, s, sorted[i]->value);
    str_char(s, ',');
  }
}

static void put_value(struct validator *v, struct str *s, const struct graphql_value *value) {
  if (value->kind == GRAPHQL_VALUE_LIST) {
    str_char(s, '[');
    for (const struct graphql_value *item = value->items; item; item = item->next) {
      put_value(v, s, item);
      str_char(s, ',');
    }
    str_char(s, ']');
  } else if (value->kind == GRAPHQL_VALUE_OBJECT) {
    str_char(s, '{');
    put_arguments(v, s, value->fields);
    str_char(s, '}');
  } else graphql_print_value(s, value);
}

static const char *arguments_of(struct validator *v, const struct entry *entry) {
  struct str *s;

  if (entry->arguments) return entry->arguments;
  if (!entry->node->arguments) return "";
  s = str_new(v->mem, 64);
  put_arguments(v, s, entry->node->arguments);
  ((struct entry *)entry)->arguments = s->p;
  return s->p;
}

/* ---- a level ------------------------------------------------------------------------------------------------------- */

static bool shapes_differ(struct merge *m, const struct entry *const *run, size_t n) {
  const struct entry *first = NULL;

  for (size_t i = 0; i < n; i++) {
    if (!run[i]->def) continue;
    if (!first) first = run[i];
    if (same_shape(first->def->type, run[i]->def->type)) continue;
    report(m, first, run[i],
           arena_printf(m->v->mem, "they return conflicting types \"%s\" and \"%s\"",
                        gql_type_text(m->v->mem, first->def->type), gql_type_text(m->v->mem, run[i]->def->type)));
    return true;
  }
  return false;
}

static bool names_differ(struct merge *m, const struct entry *const *run, size_t n) {
  for (size_t i = 1; i < n; i++) {
    const struct graphql_selection *a = run[0]->node, *b = run[i]->node;
    if (strcmp(a->name, b->name) != 0)
      report(m, run[0], run[i],
             arena_printf(m->v->mem, "\"%s\" and \"%s\" are different fields", gql_error_cut(m->v->mem, a->name),
                          gql_error_cut(m->v->mem, b->name)));
    else if (strcmp(arguments_of(m->v, run[0]), arguments_of(m->v, run[i])) != 0)
      report(m, run[0], run[i], "they have differing arguments");
    else continue;
    return true;
  }
  return false;
}

static void look_below(struct merge *m, const struct entry *const *run, size_t n, unsigned judge) {
  struct set *below = set_new(m, judge, n);

  for (size_t i = 0; i < n; i++)
    if (run[i]->sub) below->scopes[below->n++] = run[i]->sub;
  look_at(m, below);
}

static const struct gql_type *object_of(const struct entry *entry) {
  return entry->parent && entry->parent->kind == GQL_OBJECT ? entry->parent : NULL;
}

static int by_parent(const void *a, const void *b) {
  const struct entry *x = *(const struct entry *const *)a, *y = *(const struct entry *const *)b;
  size_t p = object_of(x) ? object_of(x)->index + 1 : 0, q = object_of(y) ? object_of(y)->index + 1 : 0;

  return p != q ? (p > q) - (p < q) : (x->order > y->order) - (x->order < y->order);
}

/* Those that may be answered together have the same name and arguments. Sorted by parent, with abstract ones first. */
static bool judge_groups(struct merge *m, const struct entry *const *sorted, size_t n, size_t nabstract) {
  for (size_t i = nabstract, end; i < n; i = end) {
    const struct entry **group;
    for (end = i; end < n && object_of(sorted[end]) == object_of(sorted[i]); end++) {
    }
    if (!valid_works(m->v, nabstract + end - i)) return false;
    group = arena_array(m->v->mem, const struct entry *, nabstract + end - i);
    memcpy(group, sorted, nabstract * sizeof *group);
    memcpy(group + nabstract, sorted + i, (end - i) * sizeof *group);
    if (!names_differ(m, group, nabstract + end - i)) look_below(m, group, nabstract + end - i, NAMES);
    talloc_free(group);
  }
  return true;
}

/* Fields of one name in the answer. */
static bool judge_run(struct merge *m, const struct entry **run, size_t n, unsigned judge) {
  size_t nabstract = 0;

  if (judge & SHAPES && shapes_differ(m, run, n)) return true;
  if (judge & NAMES) {
    qsort(run, n, sizeof *run, by_parent);
    while (nabstract < n && !object_of(run[nabstract])) nabstract++;
    if (nabstract < n && object_of(run[nabstract]) != object_of(run[n - 1])) {
      if (!judge_groups(m, run, n, nabstract)) return false;
      judge &= ~(unsigned)NAMES;
    } else if (names_differ(m, run, n)) return true;
  }
  if (judge) look_below(m, run, n, judge);
  return true;
}

static int by_answer(const void *a, const void *b) {
  const struct entry *x = *(const struct entry *const *)a, *y = *(const struct entry *const *)b;
  int order = strcmp(x->node->alias, y->node->alias);

  return order ? order : (x->order > y->order) - (x->order < y->order);
}

/* All fields of a set, those of fragments that are spread there included. */
static bool gather(struct merge *m, const struct set *set, const struct entry ***list, size_t *n) {
  struct scope **scopes = arena_array(m->v->mem, struct scope *, set->n);
  size_t nscopes = 0;

  m->v->stamp++;
  for (size_t i = 0; i < set->n; i++) scopes[nscopes++] = set->scopes[i], set->scopes[i]->stamp = m->v->stamp;
  for (size_t i = 0; i < nscopes; i++) {
    for (const struct entry *e = scopes[i]->entries; e; e = e->next) {
      if (!valid_works(m->v, 1)) return false;
      arena_grow(m->v->mem, *list, *n);
      (*list)[(*n)++] = e;
    }
    for (const struct spread *s = scopes[i]->spreads; s; s = s->next) {
      if (!valid_works(m->v, 1)) return false;
      if (!s->fragment || s->fragment->scope->stamp == m->v->stamp) continue;
      s->fragment->scope->stamp = m->v->stamp;
      arena_grow(m->v->mem, scopes, nscopes);
      scopes[nscopes++] = s->fragment->scope;
    }
  }
  talloc_free(scopes);
  return true;
}

static bool judge_set(struct merge *m, const struct set *set) {
  const struct entry **list = NULL;
  size_t n = 0;
  bool ok = gather(m, set, &list, &n);

  if (n > 1) qsort(list, n, sizeof *list, by_answer);
  for (size_t i = 0, run; ok && i < n; i += run) {
    for (run = 1; i + run < n && strcmp(list[i]->node->alias, list[i + run]->node->alias) == 0; run++) {
    }
    if (run > 1 || list[i]->sub) ok = judge_run(m, list + i, run, set->judge);
  }
  talloc_free(list);
  return ok;
}

void valid_merge(struct validator *v) {
  struct merge m = {.v = v};

  for (size_t i = 0; i < v->nparts; i++) {
    struct set *set;
    if (v->parts[i].used) continue; /* a fragment that the sets of an operation have in them */
    set = set_new(&m, SHAPES | NAMES, 1);
    set->scopes[set->n++] = v->parts[i].scope;
    look_at(&m, set);
  }
  while (m.done < m.n && !v->exhausted && !gql_errors_full(v->errors) && judge_set(&m, m.waiting[m.done])) m.done++;
}
