/* What can be asked of a type system: names, and how types stand to each other. */
#include "schema/schema.h"

#include "base/arena.h"
#include "schema/builder.h"

#include <stdlib.h>
#include <string.h>

/* ---- names ---- */

/* FNV-1a, as the manifest's: names are chosen by the schema's author. */
unsigned schema_hash(const char *name) {
  unsigned h = 2166136261U;
  for (; *name; name++) h = (h ^ (unsigned char)*name) * 16777619U;
  return h;
}

const struct gql_type *schema_type(const struct schema *s, const char *name) {
  for (size_t at = schema_hash(name) & (s->nbuckets - 1); s->buckets[at]; at = (at + 1) & (s->nbuckets - 1)) {
    const struct gql_type *t = s->types[s->buckets[at] - 1];
    if (strcmp(t->name, name) == 0) return t;
  }
  return NULL;
}

const struct gql_directive *schema_directive(const struct schema *s, const char *name) {
  for (size_t i = 0; i < s->ndirectives; i++)
    if (strcmp(s->directives[i].name, name) == 0) return &s->directives[i];
  return NULL;
}

/* Fields, inputs and values all begin with their name. Halves the sorted indices; n: none has it. */
static size_t find_sorted(const void *list, size_t size, const unsigned *by_name, size_t n, const char *name) {
  size_t low = 0, high = n;

  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = strcmp(name, *(const char *const *)((const char *)list + by_name[middle] * size));

    if (order == 0) return by_name[middle];
    if (order < 0) high = middle;
    else low = middle + 1;
  }
  return n;
}

const struct gql_field *schema_field(const struct gql_type *t, const char *name) {
  size_t i = t->nfields ? find_sorted(t->fields, sizeof *t->fields, t->by_name, t->nfields, name) : 0;
  return i < t->nfields ? &t->fields[i] : NULL;
}

const struct gql_input *schema_input_field(const struct gql_type *t, const char *name) {
  size_t i = t->ninputs ? find_sorted(t->inputs, sizeof *t->inputs, t->by_name, t->ninputs, name) : 0;
  return i < t->ninputs ? &t->inputs[i] : NULL;
}

const struct gql_enum_value *schema_value(const struct gql_type *t, const char *name) {
  size_t i = t->nvalues ? find_sorted(t->values, sizeof *t->values, t->by_name, t->nvalues, name) : 0;
  return i < t->nvalues ? &t->values[i] : NULL;
}

const struct gql_field *schema_meta_field(const struct schema *s, const char *name) { return schema_field(s->meta, name); }

const struct gql_input *schema_input(const struct gql_input *list, size_t n, const char *name) {
  for (size_t i = 0; i < n; i++)
    if (strcmp(list[i].name, name) == 0) return &list[i];
  return NULL;
}

/* ---- types ---- */

const struct gql_type *gql_named(const struct gql_type *t) {
  while (t->of) t = t->of;
  return t;
}

bool gql_is_leaf(const struct gql_type *t) {
  t = gql_named(t);
  return t->kind == GQL_SCALAR || t->kind == GQL_ENUM;
}

bool gql_is_input(const struct gql_type *t) { return gql_is_leaf(t) || gql_named(t)->kind == GQL_INPUT; }

bool gql_is_composite(const struct gql_type *t) {
  t = gql_named(t);
  return t->kind == GQL_OBJECT || t->kind == GQL_INTERFACE || t->kind == GQL_UNION;
}

bool gql_is_required(const struct gql_input *i) { return i->type->kind == GQL_NON_NULL && !i->default_value; }

static bool is_among(const struct gql_type *const *list, size_t n, const struct gql_type *t) {
  for (size_t i = 0; i < n; i++)
    if (list[i] == t) return true;
  return false;
}

bool gql_is_possible(const struct gql_type *abstract, const struct gql_type *object) {
  return abstract == object || is_among(abstract->possible, abstract->npossible, object);
}

bool gql_is_subtype(const struct gql_type *t, const struct gql_type *of) {
  if (t == of) return true;
  if (t->kind == GQL_NON_NULL) return gql_is_subtype(t->of, of->kind == GQL_NON_NULL ? of->of : of);
  if (t->kind == GQL_LIST) return of->kind == GQL_LIST && gql_is_subtype(t->of, of->of);
  return (of->kind == GQL_UNION && is_among(of->possible, of->npossible, t)) ||
         (of->kind == GQL_INTERFACE && is_among(t->interfaces, t->ninterfaces, of));
}

const char *gql_type_text(const void *mem, const struct gql_type *t) {
  if (t->kind == GQL_LIST) return arena_printf(mem, "[%s]", gql_type_text(mem, t->of));
  if (t->kind == GQL_NON_NULL) return arena_printf(mem, "%s!", gql_type_text(mem, t->of));
  return t->name;
}
