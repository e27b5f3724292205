/* What stands in a definition: fields, arguments, values, members, interfaces. All types are there by name. */
#include "schema/builder.h"

#include "base/arena.h"
#include "base/nearest.h"

#include <stdlib.h>
#include <string.h>

bool members_name(struct schema_builder *b, const struct schema_source *source, struct graphql_pos pos, const char *name) {
  if (source->built_in || strncmp(name, "__", 2) != 0) return true;
  return builder_wrong(b, builder_place(source, pos), "%s: names that begin with __ are GraphQL's own; take another one",
                       name);
}

/* It ends at a NUL, which may stand in it. */
static const char *description_of(const struct graphql_value *description) {
  return description && description->text[0] ? description->text : NULL;
}

static const char *deprecation_of(const struct graphql_directive *directives) {
  return builder_directive_text(directives, "deprecated", "reason", "No longer supported");
}

/* ---- types ---- */

static const struct gql_type *wrapped(struct schema_builder *b, const struct gql_type *of, enum gql_kind kind) {
  const struct gql_type **place = kind == GQL_LIST ? &((struct gql_type *)of)->list : &((struct gql_type *)of)->non_null;
  struct gql_type *t;

  if (*place) return *place;
  t = arena_new(b->mem, struct gql_type);
  *t = (struct gql_type){.kind = kind, .of = of};
  return *place = t;
}

static const char *nearest_type(struct schema_builder *b, const char *name) {
  const char **names = arena_array(b->mem, const char *, b->out->ntypes + 1);

  for (size_t i = 0; i < b->out->ntypes; i++) names[i] = b->out->types[i]->name;
  return nearest(name, names);
}

/* NULL: told. */
static const struct gql_type *find_type(struct schema_builder *b, struct gql_place place, const char *where,
                                        const char *name) {
  const struct gql_type *t = schema_type(b->out, name);
  const char *near;

  if (t) return t;
  near = nearest_type(b, name);
  builder_wrong(b, place, "%s: there is no type %s%s%s%s", where, name, near ? "; did you mean " : "", near ? near : "",
                near ? "?" : "");
  return NULL;
}

/* NULL: told. */
static const struct gql_type *read_type(struct schema_builder *b, const struct schema_source *source, const char *where,
                                        const struct graphql_type *type) {
  const struct gql_type *t =
      type->name ? find_type(b, builder_place(source, type->pos), where, type->name) : read_type(b, source, where, type->of);

  if (t && !type->name) t = wrapped(b, t, GQL_LIST);
  return t && type->required ? wrapped(b, t, GQL_NON_NULL) : t;
}

/* ---- names of a list, sorted ---- */

struct named_list {
  const char *list;
  size_t size;
};

static const char *name_at(const struct named_list *l, unsigned i) { return *(const char *const *)(l->list + i * l->size); }

static int by_name(const void *one, const void *other, void *list) {
  unsigned a = *(const unsigned *)one, b = *(const unsigned *)other;
  int order = strcmp(name_at(list, a), name_at(list, b));

  return order ? order : (a > b) - (a < b);
}

/* The indices of a list whose elements begin with their name, in the order of the names; where: whose names they are. A name
 * that is there twice is told; place_of: where an element has its place. */
static const unsigned *sort_names(struct schema_builder *b, const char *where, const void *list, size_t size, size_t n,
                                  size_t place_of) {
  struct named_list l = {.list = list, .size = size};
  unsigned *indices = arena_array(b->mem, unsigned, n + 1);

  for (unsigned i = 0; i < n; i++) indices[i] = i;
  qsort_r(indices, n, sizeof *indices, by_name, &l);
  for (size_t i = 1; i < n; i++)
    if (strcmp(name_at(&l, indices[i - 1]), name_at(&l, indices[i])) == 0)
      builder_wrong(b, *(const struct gql_place *)(l.list + indices[i] * size + place_of), "%s.%s is there twice; keep one",
                    where, name_at(&l, indices[i]));
  return indices;
}

#define SORT_NAMES(b, where, list, n)                                                                                       \
  sort_names((b), (where), (list), sizeof *(list), (n), (size_t)((const char *)&(list)->place - (const char *)(list)))

/* ---- arguments, and fields of an input ---- */

static void read_input(struct schema_builder *b, const struct schema_source *source, const char *where,
                       const struct graphql_field *def, struct gql_input *out) {
  struct gql_place place = builder_place(source, def->pos);

  where = arena_printf(b->mem, "%s.%s", where, def->name);
  members_name(b, source, def->pos, def->name);
  *out = (struct gql_input){.name = def->name,
                            .description = description_of(def->description),
                            .type = read_type(b, source, where, def->type),
                            .default_value = def->default_value,
                            .deprecated = deprecation_of(def->directives),
                            .place = place};
  if (!out->type) return;
  if (!gql_is_input(out->type))
    builder_wrong(b, place, "%s: %s is not a type of values that can be given; take a scalar, an enum or an input", where,
                  gql_type_text(b->mem, out->type));
  if (out->deprecated && gql_is_required(out))
    builder_wrong(b, place, "%s is required and so cannot be deprecated; give it a default, or let it be null", where);
}

static size_t count_fields(const struct graphql_field *f) {
  size_t n = 0;

  for (; f; f = f->next) n++;
  return n;
}

static const struct gql_input *read_arguments(struct schema_builder *b, const struct schema_source *source,
                                              const char *where, const struct graphql_field *first, size_t *n) {
  struct gql_input *args;

  *n = 0;
  if (!first) return NULL;
  args = arena_array(b->mem, struct gql_input, count_fields(first));
  for (const struct graphql_field *f = first; f; f = f->next) read_input(b, source, where, f, &args[(*n)++]);
  if (*n > 1) talloc_free((void *)SORT_NAMES(b, where, args, *n));
  return args;
}

/* ---- members of each kind; all parts of a type one after the other ---- */

static bool has_state(const struct graphql_directive *d) {
  while (d && strcmp(d->name, "state") != 0) d = d->next;
  return d != NULL;
}

static void read_field(struct schema_builder *b, const struct schema_source *source, const char *where,
                       const struct graphql_field *def, struct gql_field *out) {
  struct gql_place place = builder_place(source, def->pos);

  where = arena_printf(b->mem, "%s.%s", where, def->name);
  members_name(b, source, def->pos, def->name);
  *out = (struct gql_field){.name = def->name,
                            .description = description_of(def->description),
                            .type = read_type(b, source, where, def->type),
                            .deprecated = deprecation_of(def->directives),
                            .has_state = has_state(def->directives),
                            .place = place};
  out->args = read_arguments(b, source, where, def->arguments, &out->nargs);
  if (out->type && gql_named(out->type)->kind == GQL_INPUT)
    builder_wrong(b, place, "%s: %s is an input, which cannot be answered; take a type", where,
                  gql_type_text(b->mem, out->type));
}

static void read_fields(struct schema_builder *b, const struct type_draft *d) {
  struct gql_type *t = d->type;
  struct gql_field *fields;
  size_t n = 0;

  for (size_t i = 0; i < d->nparts; i++) n += count_fields(d->parts[i].def->fields);
  fields = arena_array(b->mem, struct gql_field, n + 1);
  for (size_t i = 0; i < d->nparts; i++)
    for (const struct graphql_field *f = d->parts[i].def->fields; f; f = f->next)
      read_field(b, d->parts[i].source, t->name, f, &fields[t->nfields++]);
  t->fields = fields;
  t->by_name = SORT_NAMES(b, t->name, fields, n);
}

static void read_inputs(struct schema_builder *b, const struct type_draft *d) {
  struct gql_type *t = d->type;
  struct gql_input *inputs;
  size_t n = 0;

  for (size_t i = 0; i < d->nparts; i++) n += count_fields(d->parts[i].def->fields);
  inputs = arena_array(b->mem, struct gql_input, n + 1);
  for (size_t i = 0; i < d->nparts; i++)
    for (const struct graphql_field *f = d->parts[i].def->fields; f; f = f->next)
      read_input(b, d->parts[i].source, t->name, f, &inputs[t->ninputs++]);
  t->inputs = inputs;
  t->by_name = SORT_NAMES(b, t->name, inputs, n);
}

static void read_values(struct schema_builder *b, const struct type_draft *d) {
  struct gql_type *t = d->type;
  struct gql_enum_value *values;
  size_t n = 0;

  for (size_t i = 0; i < d->nparts; i++)
    for (const struct graphql_enum_value *v = d->parts[i].def->values; v; v = v->next) n++;
  values = arena_array(b->mem, struct gql_enum_value, n + 1);
  for (size_t i = 0; i < d->nparts; i++)
    for (const struct graphql_enum_value *v = d->parts[i].def->values; v; v = v->next) {
      members_name(b, d->parts[i].source, v->pos, v->name);
      values[t->nvalues++] = (struct gql_enum_value){.name = v->name,
                                                     .description = description_of(v->description),
                                                     .deprecated = deprecation_of(v->directives),
                                                     .place = builder_place(d->parts[i].source, v->pos)};
    }
  t->values = values;
  t->by_name = SORT_NAMES(b, t->name, values, n);
}

/* Types that a type names: members of a union, interfaces. */
static const struct gql_type **read_names(struct schema_builder *b, const struct gql_type *t,
                                          const struct schema_source *source, const struct graphql_name *first,
                                          enum gql_kind kind, const struct gql_type **list, size_t *n) {
  for (const struct graphql_name *name = first; name; name = name->next) {
    struct gql_place place = builder_place(source, name->pos);
    const struct gql_type *other = find_type(b, place, t->name, name->name);
    bool twice = false;

    for (size_t i = 0; i < *n; i++) twice = twice || list[i] == other;
    if (!other) continue;
    if (other->kind != kind)
      builder_wrong(b, place,
                    kind == GQL_OBJECT ? "%s: %s is no object type; only such can be members of a union"
                                       : "%s implements %s, which is no interface",
                    t->name, other->name);
    else if (twice) builder_wrong(b, place, "%s: %s is there twice; keep one", t->name, other->name);
    else {
      arena_grow(b->mem, list, *n);
      list[(*n)++] = other;
    }
  }
  return list;
}

static void add_implementation(struct schema_builder *b, struct gql_type *interface, const struct gql_type *t) {
  const struct gql_type **list = (const struct gql_type **)interface->possible;

  if (t->kind != GQL_OBJECT) return;
  arena_grow(b->mem, list, interface->npossible);
  list[interface->npossible++] = t;
  interface->possible = list;
}

static void read_interfaces(struct schema_builder *b, const struct type_draft *d) {
  const struct gql_type **list = NULL;
  struct gql_type *t = d->type;

  for (size_t i = 0; i < d->nparts; i++)
    list = read_names(b, t, d->parts[i].source, d->parts[i].def->interfaces, GQL_INTERFACE, list, &t->ninterfaces);
  t->interfaces = list;
  for (size_t i = 0; i < t->ninterfaces; i++) add_implementation(b, (struct gql_type *)t->interfaces[i], t);
}

static void read_union(struct schema_builder *b, const struct type_draft *d) {
  const struct gql_type **list = NULL;

  for (size_t i = 0; i < d->nparts; i++)
    list = read_names(b, d->type, d->parts[i].source, d->parts[i].def->members, GQL_OBJECT, list, &d->type->npossible);
  d->type->possible = list;
}

/* The description is the definition's: an extension has none. */
void members_read(struct schema_builder *b, struct type_draft *d) {
  struct gql_type *t = d->type;

  t->description = description_of(d->parts[0].def->description);
  for (size_t i = 0; i < d->nparts && t->kind == GQL_SCALAR && !t->specified_by; i++)
    t->specified_by = builder_directive_text(d->parts[i].def->directives, "specifiedBy", "url", NULL);
  if (t->kind == GQL_OBJECT || t->kind == GQL_INTERFACE) {
    read_fields(b, d);
    read_interfaces(b, d);
  }
  if (t->kind == GQL_INPUT) read_inputs(b, d);
  if (t->kind == GQL_ENUM) read_values(b, d);
  if (t->kind == GQL_UNION) read_union(b, d);
}

void members_read_directive(struct schema_builder *b, const struct schema_source *source,
                            const struct graphql_definition *def, struct gql_directive *out) {
  const char **locations = NULL;

  *out = (struct gql_directive){.name = def->name,
                                .description = description_of(def->description),
                                .repeatable = def->repeatable,
                                .own = !source->file && !source->built_in,
                                .place = builder_place(source, def->name_pos)};
  for (const struct graphql_name *l = def->members; l; l = l->next) {
    arena_grow(b->mem, locations, out->nlocations);
    locations[out->nlocations++] = l->name;
  }
  out->locations = locations;
  out->args = read_arguments(b, source, arena_printf(b->mem, "@%s", def->name), def->fields, &out->nargs);
}
