/* Definitions into a type system: which types and directives there are, and which of them are the roots. */
#include "schema/schema.h"

#include "base/arena.h"
#include "base/problems.h"
#include "schema/builder.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

bool builder_wrong(struct schema_builder *b, struct gql_place place, const char *format, ...) {
  va_list args;
  char *text;

  va_start(args, format);
  text = talloc_vasprintf(b->mem, format, args);
  va_end(args);
  if (!text) abort();
  problems_add(b->problems, place.file ? place.file : "(made by writ)", place.line, "%s", text);
  return false;
}

struct gql_place builder_place(const struct schema_source *source, struct graphql_pos pos) {
  return (struct gql_place){.file = source->file, .line = (int)pos.line};
}

/* ---- types by name ---- */

static const enum gql_kind kinds[] = {
    [GRAPHQL_DEF_SCALAR] = GQL_SCALAR, [GRAPHQL_DEF_TYPE] = GQL_OBJECT, [GRAPHQL_DEF_INTERFACE] = GQL_INTERFACE,
    [GRAPHQL_DEF_UNION] = GQL_UNION,   [GRAPHQL_DEF_ENUM] = GQL_ENUM,   [GRAPHQL_DEF_INPUT] = GQL_INPUT,
};

static bool is_type(const struct graphql_definition *def) { return def->kind >= GRAPHQL_DEF_SCALAR; }

static void add_part(struct schema_builder *b, struct type_draft *d, const struct schema_source *source,
                     const struct graphql_definition *def) {
  arena_grow(b->mem, d->parts, d->nparts);
  d->parts[d->nparts++] = (struct type_part){.def = def, .source = source};
}

static void index_type(struct schema_builder *b, struct gql_type *t) {
  size_t at = schema_hash(t->name) & (b->out->nbuckets - 1);

  while (b->buckets[at]) at = (at + 1) & (b->out->nbuckets - 1);
  b->buckets[at] = (unsigned)t->index + 1;
}

static const char *place_text(struct schema_builder *b, struct gql_place place) {
  return place.file ? arena_printf(b->mem, "%s:%d", place.file, place.line) : "by writ";
}

static struct gql_type *new_type(struct schema_builder *b, const struct schema_source *source,
                                 const struct graphql_definition *def) {
  struct gql_type *t = arena_new(b->mem, struct gql_type);

  *t = (struct gql_type){.kind = kinds[def->kind],
                         .name = def->name,
                         .index = b->out->ntypes,
                         .built_in = source->built_in,
                         .place = builder_place(source, def->name_pos)};
  return t;
}

/* What may be asked of a root and of every object is written as a type, which is none of the schema's. */
static void declare_meta(struct schema_builder *b, const struct schema_source *source,
                         const struct graphql_definition *def) {
  b->meta.type = new_type(b, source, def);
  b->out->meta = b->meta.type;
  add_part(b, &b->meta, source, def);
}

/* The first of its name. Scalars that are there already may be declared again, as older files do; it says nothing new. */
static void declare(struct schema_builder *b, const struct schema_source *source, const struct graphql_definition *def) {
  const struct gql_type *other = schema_type(b->out, def->name);
  struct gql_type *t;

  if (other && !other->place.file && other->kind == GQL_SCALAR && def->kind == GRAPHQL_DEF_SCALAR) return;
  if (other) {
    builder_wrong(b, builder_place(source, def->name_pos), "%s is defined already, %s; keep one, or take another name",
                  def->name, place_text(b, other->place));
    return;
  }
  members_name(b, source, def->name_pos, def->name);
  t = new_type(b, source, def);
  b->types[b->out->ntypes] = t;
  b->drafts[b->out->ntypes++].type = t;
  add_part(b, &b->drafts[t->index], source, def);
  index_type(b, t);
}

static void extend(struct schema_builder *b, const struct schema_source *source, const struct graphql_definition *def) {
  struct gql_place place = builder_place(source, def->name_pos);
  const struct gql_type *t = schema_type(b->out, def->name);

  if (!t) builder_wrong(b, place, "extend %s: there is no such type", def->name);
  else if (t->built_in) builder_wrong(b, place, "extend %s: it is the specification's own", def->name);
  else if (t->kind != kinds[def->kind])
    builder_wrong(b, place, "extend %s: it is another kind of type where it is defined, %s", def->name,
                  place_text(b, t->place));
  else add_part(b, &b->drafts[t->index], source, def);
}

/* The specification's own directives may be declared again; that holds then. */
static void declare_directive(struct schema_builder *b, const struct schema_source *source,
                              const struct graphql_definition *def) {
  struct gql_directive *other = (struct gql_directive *)schema_directive(b->out, def->name);

  members_name(b, source, def->name_pos, def->name);
  if (!other) other = (struct gql_directive *)&b->out->directives[b->out->ndirectives++];
  else if (other->own) {
    builder_wrong(b, builder_place(source, def->name_pos), "@%s is writ's own; remove it, or take another name", def->name);
    return;
  } else if (other->place.file || source->built_in) {
    builder_wrong(b, builder_place(source, def->name_pos), "@%s is defined already, %s; keep one", def->name,
                  place_text(b, other->place));
    return;
  }
  members_read_directive(b, source, def, other);
}

/* ---- all definitions, in the order of the sources ---- */

typedef void visitor(struct schema_builder *b, const struct schema_source *source, const struct graphql_definition *def);

static void for_each(struct schema_builder *b, visitor *visit) {
  for (size_t i = 0; i < b->nsources; i++)
    for (const struct graphql_definition *d = b->sources[i].document->definitions; d; d = d->next)
      visit(b, &b->sources[i], d);
}

static void visit_definition(struct schema_builder *b, const struct schema_source *source,
                             const struct graphql_definition *def) {
  if (def->kind < GRAPHQL_DEF_SCHEMA) builder_wrong(b, builder_place(source, def->pos), "a schema has definitions only");
  else if (is_type(def) && !def->extend && source->built_in && strcmp(def->name, "__Meta") == 0)
    declare_meta(b, source, def);
  else if (is_type(def) && !def->extend) declare(b, source, def);
}

static void visit_extension(struct schema_builder *b, const struct schema_source *source,
                            const struct graphql_definition *def) {
  if (is_type(def) && def->extend) extend(b, source, def);
}

static void visit_directive(struct schema_builder *b, const struct schema_source *source,
                            const struct graphql_definition *def) {
  if (def->kind == GRAPHQL_DEF_DIRECTIVE) declare_directive(b, source, def);
}

/* ---- roots ---- */

static const struct gql_type **root_of(struct schema_builder *b, enum graphql_operation operation) {
  return operation == GRAPHQL_QUERY      ? &b->out->query
         : operation == GRAPHQL_MUTATION ? &b->out->mutation
                                         : &b->out->subscription;
}

static void read_root(struct schema_builder *b, const struct schema_source *source, const struct graphql_root *root) {
  static const char *const words[] = {"query", "mutation", "subscription"};
  const struct gql_type **place = root_of(b, root->operation), *t = schema_type(b->out, root->type);
  struct gql_place where = builder_place(source, root->pos);

  if (*place) builder_wrong(b, where, "schema has two types for %s; keep one", words[root->operation]);
  else if (!t) builder_wrong(b, where, "schema: there is no type %s", root->type);
  else if (t->kind != GQL_OBJECT) builder_wrong(b, where, "schema: %s is no object type", root->type);
  else *place = t;
}

/* The first of them, in any source. NULL: there is none. */
static const struct graphql_definition *first_schema(const struct schema_builder *b) {
  for (size_t i = 0; i < b->nsources; i++)
    for (const struct graphql_definition *d = b->sources[i].document->definitions; d; d = d->next)
      if (d->kind == GRAPHQL_DEF_SCHEMA && !d->extend) return d;
  return NULL;
}

static void visit_schema(struct schema_builder *b, const struct schema_source *source,
                         const struct graphql_definition *def) {
  if (def->kind != GRAPHQL_DEF_SCHEMA) return;
  if (!def->extend && def != first_schema(b)) {
    builder_wrong(b, builder_place(source, def->pos), "there are two schema { }; keep one");
    return;
  }
  if (def->description && def->description->text[0]) b->out->description = def->description->text;
  for (const struct graphql_root *root = def->roots; root; root = root->next) read_root(b, source, root);
}

static void usual_root(struct schema_builder *b, enum graphql_operation operation, const char *name) {
  const struct gql_type *t = schema_type(b->out, name);

  if (!t || *root_of(b, operation)) return;
  if (t->kind == GQL_OBJECT) *root_of(b, operation) = t;
  else builder_wrong(b, t->place, "%s is a root type, and so must be an object type", name);
}

static void find_roots(struct schema_builder *b) {
  for_each(b, visit_schema);
  if (!first_schema(b)) {
    usual_root(b, GRAPHQL_QUERY, "Query");
    usual_root(b, GRAPHQL_MUTATION, "Mutation");
    usual_root(b, GRAPHQL_SUBSCRIPTION, "Subscription");
  }
}

/* ---- the whole ---- */

static void make_room(struct schema_builder *b) {
  size_t n = 0;

  for (size_t i = 0; i < b->nsources; i++)
    for (const struct graphql_definition *d = b->sources[i].document->definitions; d; d = d->next) n++;
  for (b->out->nbuckets = 16; b->out->nbuckets < 2 * n;) b->out->nbuckets *= 2;
  b->out->buckets = b->buckets = arena_array(b->mem, unsigned, b->out->nbuckets);
  b->types = arena_array(b->mem, struct gql_type *, n);
  b->out->types = (const struct gql_type *const *)b->types;
  b->drafts = arena_array(b->mem, struct type_draft, n);
  b->out->directives = arena_array(b->mem, struct gql_directive, n);
}

const struct schema *schema_build(const void *mem, const struct schema_source *sources, size_t n, struct problems *p) {
  struct schema_builder b = {.mem = mem, .problems = p, .sources = sources, .nsources = n};
  size_t errors = p->errors;

  b.out = arena_new(mem, struct schema);
  make_room(&b);
  for_each(&b, visit_definition);
  for_each(&b, visit_extension);
  for_each(&b, visit_directive);
  for (size_t i = 0; i < b.out->ntypes; i++) members_read(&b, &b.drafts[i]);
  members_read(&b, &b.meta);
  find_roots(&b);
  if (p->errors == errors) builder_check(&b);
  talloc_free(b.drafts);
  return p->errors == errors ? b.out : NULL;
}

const struct schema *schema_read(const void *mem, const char *file, const struct graphql_document *document,
                                 struct problems *p) {
  struct schema_source sources[] = {*schema_builtin(mem), {.file = file, .document = document}};

  return schema_build(mem, sources, 2, p);
}
