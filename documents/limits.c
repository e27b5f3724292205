/* Limits of a document, and MaxIntrospectionDepth: what operations ask for, fragments in their places. Measured without
 * unfolding: a fragment is measured once, after those that it spreads. */
#include "documents/validate_inside.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { LIST_WEIGHT = 10, INTROSPECTED_LISTS_MAX = 2 };

static unsigned plus(unsigned a, unsigned b) { return a > UINT_MAX - b ? UINT_MAX : a + b; }

static unsigned times(unsigned a, unsigned b) { return a && b > UINT_MAX / a ? UINT_MAX : a * b; }

static unsigned most(unsigned a, unsigned b) { return a > b ? a : b; }

static void take(struct measure *into, struct measure m) {
  into->depth = most(into->depth, m.depth);
  into->nodes = plus(into->nodes, m.nodes);
  into->aliases = plus(into->aliases, m.aliases);
  into->complexity = plus(into->complexity, m.complexity);
  into->type_lists = most(into->type_lists, m.type_lists);
}

static bool is_list(const struct gql_type *t) {
  for (; t->of; t = t->of)
    if (t->kind == GQL_LIST) return true;
  return false;
}

/* Lists of types through which introspection can go round and round. */
static bool is_type_list(const char *name) {
  return strcmp(name, "fields") == 0 || strcmp(name, "interfaces") == 0 || strcmp(name, "possibleTypes") == 0 ||
         strcmp(name, "inputFields") == 0;
}

static bool enters_introspection(const char *name) { return strcmp(name, "__schema") == 0 || strcmp(name, "__type") == 0; }

static struct measure measure(struct validator *v, const struct scope *scope);

static struct measure measure_field(struct validator *v, const struct entry *entry) {
  struct measure m = {0};

  if (entry->sub) m = measure(v, entry->sub);
  m.depth = plus(m.depth, 1);
  m.nodes = plus(m.nodes, 1);
  m.aliases = plus(m.aliases, entry->node->alias != entry->node->name);
  if (entry->def && is_list(entry->def->type)) m.complexity = times(m.complexity, LIST_WEIGHT);
  m.complexity = plus(m.complexity, 1);
  m.type_lists = plus(m.type_lists, is_type_list(entry->node->name));
  if (enters_introspection(entry->node->name) && m.type_lists > INTROSPECTED_LISTS_MAX)
    BROKEN(v, "MaxIntrospectionDepth", entry->node->pos, "Maximum introspection depth exceeded.");
  return m;
}

static struct measure measure(struct validator *v, const struct scope *scope) {
  struct measure m = {0};

  for (const struct entry *entry = scope->entries; entry; entry = entry->next) take(&m, measure_field(v, entry));
  for (const struct spread *s = scope->spreads; s; s = s->next)
    if (s->fragment) take(&m, s->fragment->measure);
  return m;
}

static bool within(struct validator *v, const struct part *operation, unsigned value, unsigned limit, const char *what) {
  char count[32] = "more";

  if (!limit || value <= limit) return true;
  if (value != UINT_MAX) snprintf(count, sizeof count, "%u", value);
  return BROKEN(v, "DocumentLimits", operation->def->pos, "The operation %s; the limit is %u, and this is %s.", what, limit,
                count);
}

static bool check_operation(struct validator *v, const struct part *operation) {
  const struct document_limits *limits = v->limits;
  struct measure m = measure(v, operation->scope);
  bool ok = true;

  if (!limits) return true;
  ok &= within(v, operation, m.depth, limits->depth, "nests its fields too deeply");
  ok &= within(v, operation, m.nodes, limits->nodes, "has too many fields, with fragments in their places");
  ok &= within(v, operation, m.aliases, limits->aliases, "has too many aliases, with fragments in their places");
  ok &= within(v, operation, m.complexity, limits->complexity,
               "is too complex (each field counts 1, within a list 10, within a list of lists 100 ...)");
  return ok;
}

bool valid_limits(struct validator *v) {
  bool ok = true;

  if (v->cyclic) return true; /* refused for that; without an order there is no measure */
  for (size_t i = 0; i < v->nordered; i++) v->ordered[i]->measure = measure(v, v->ordered[i]->scope);
  for (size_t i = 0; i < v->nparts; i++)
    if (v->parts[i].def->kind == GRAPHQL_DEF_OPERATION) ok &= check_operation(v, &v->parts[i]);
  return ok;
}
