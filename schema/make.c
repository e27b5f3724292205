/* The type system of a manifest: what is derived of its data model, with what its schema files have of their own; and what
 * in it stands for which model, field and command. */
#include "schema/schema.h"

#include "base/arena.h"
#include "base/problems.h"
#include "base/str.h"
#include "graphql/parse.h"
#include "manifest/manifest.h"
#include "model/names.h"
#include "schema/builder.h"
#include "schema/commands.h"
#include "schema/derive.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- what stands for what ---- */

/* What is built is const to everybody but us. */
#define CHANGEABLE(T, p) ((T *)(p))

static void tie_input(struct gql_input *input, const struct model *m) {
  input->field = model_field(m, input->name);
  for (size_t i = 0; !input->field && i < m->nfields; i++) {
    input->change = field_is_number(&m->fields[i]) ? name_change_of(input->name, m->fields[i].name) : NULL;
    if (input->change) input->field = &m->fields[i];
  }
}

/* As nested_allow.c has it: connecting takes nothing. */
static const char *command_of(const struct model *m, const char *operation) {
  const struct {
    const char *operation, *command;
  } takes[] = {
      {"create", m->mutation.create},          {"connectOrCreate", m->mutation.create}, {"update", m->mutation.update},
      {"upsert", m->mutation.upsert},          {"updateMany", m->mutation.update_many}, {"delete", m->mutation.delete},
      {"deleteMany", m->mutation.delete_many},
  };

  for (size_t i = 0; i < sizeof takes / sizeof *takes; i++)
    if (strcmp(takes[i].operation, operation) == 0) return takes[i].command;
  return NULL;
}

static void tie_operation(struct gql_input *input, const struct model *m, const struct manifest *manifest) {
  const char *name = command_of(m, input->name);

  if (name) input->command = manifest_command(manifest, name);
}

static void tie_type(struct gql_type *t, const struct derived_type *made, const struct manifest *manifest) {
  t->model = made->model;
  t->use = made->use;
  for (size_t i = 0; i < t->nfields && t->use == GQL_USE_NODE; i++)
    CHANGEABLE(struct gql_field, t->fields)[i].field = model_field(t->model, t->fields[i].name);
  for (size_t i = 0; i < t->ninputs; i++) {
    struct gql_input *input = &CHANGEABLE(struct gql_input, t->inputs)[i];

    if (t->use == GQL_USE_CREATE || t->use == GQL_USE_UPDATE) tie_input(input, t->model);
    if (t->use == GQL_USE_NESTED) tie_operation(input, t->model, manifest);
  }
}

static void tie_root(const struct gql_type *root, const struct manifest *manifest) {
  for (size_t i = 0; root && i < root->nfields; i++)
    CHANGEABLE(struct gql_field, root->fields)[i].command = manifest_command(manifest, root->fields[i].name);
}

/* ---- the whole ---- */

static const struct graphql_document *parse_derived(const void *mem, const struct str *text) {
  static const struct graphql_limits limits = {.bytes = SIZE_MAX, .tokens = UINT_MAX, .depth = 200};
  const struct graphql_document *document;
  struct err e;

  err_init(&e, mem);
  if (!graphql_parse_schema(mem, text->p, text->len, &limits, &document, &e)) abort(); /* we wrote it */
  return document;
}

static bool is_root(const struct graphql_definition *d) {
  return d->kind == GRAPHQL_DEF_TYPE && (strcmp(d->name, "Query") == 0 || strcmp(d->name, "Mutation") == 0);
}

/* The roots are there already, so a file's own add to them. */
static const struct graphql_document *own_document(const void *mem, const struct graphql_definition *first) {
  struct graphql_document *document = arena_new(mem, struct graphql_document);
  const struct graphql_definition **end = &document->definitions;

  for (const struct graphql_definition *d = first; d; d = d->next) {
    struct graphql_definition *copy = arena_new(mem, struct graphql_definition);

    *copy = *d;
    copy->extend = d->extend || is_root(d);
    *end = copy;
    end = &copy->next;
  }
  *end = NULL;
  return document;
}

static bool has_mutations(const struct manifest *m) {
  bool any = m->model && m->model->nmodels;

  for (size_t i = 0; i < m->nschema_texts; i++)
    for (const struct graphql_definition *d = m->schema_texts[i].definitions; d; d = d->next)
      any = any || (is_root(d) && d->name[0] == 'M');
  return any;
}

static struct schema_source *list_sources(const void *mem, const struct manifest *m,
                                          const struct graphql_document *derived) {
  struct schema_source *sources = arena_array(mem, struct schema_source, m->nschema_texts + 2);

  sources[0] = *schema_builtin(mem);
  sources[1].document = derived;
  for (size_t i = 0; i < m->nschema_texts; i++)
    sources[i + 2] = (struct schema_source){.file = m->schema_texts[i].file,
                                            .document = own_document(mem, m->schema_texts[i].definitions)};
  return sources;
}

const struct schema *schema_make(const void *mem, const struct manifest *manifest, struct problems *p) {
  struct derive derived = {.mem = mem, .manifest = manifest, .model = manifest->model, .out = str_new(mem, 65536)};
  size_t errors = p->errors;
  struct schema *s;

  if (!manifest->model && !manifest->nschema_texts) return NULL;
  derived.mutations = has_mutations(manifest);
  derive_write(&derived);
  s = CHANGEABLE(struct schema, schema_build(mem, list_sources(mem, manifest, parse_derived(mem, derived.out)),
                                             manifest->nschema_texts + 2, p));
  talloc_free(derived.out);
  if (!s) return NULL;
  s->manifest = manifest;
  for (size_t i = 0; i < derived.ntypes; i++)
    tie_type(CHANGEABLE(struct gql_type, schema_type(s, derived.types[i].name)), &derived.types[i], manifest);
  tie_root(s->query, manifest);
  tie_root(s->mutation, manifest);
  commands_check(s, p);
  return p->errors == errors ? s : NULL;
}
