/* A data model as SDL: the whole, its objects, and the root fields. */
#include "schema/derive.h"

#include "base/arena.h"
#include "base/str.h"
#include "manifest/manifest.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- small parts ---- */

void derive_description(struct str *out, const char *indent, const char *text) {
  if (!text) return;
  str_add(out, indent);
  str_json(out, text); /* a string of GraphQL is escaped as one of JSON */
  str_char(out, '\n');
}

void derive_open(struct derive *d, const char *keyword, const struct model *m, enum gql_use use, const char *format, ...) {
  va_list args;
  char *name;

  va_start(args, format);
  name = talloc_vasprintf(d->mem, format, args);
  va_end(args);
  if (!name) abort();
  arena_grow(d->mem, d->types, d->ntypes);
  d->types[d->ntypes++] = (struct derived_type){.name = name, .model = m, .use = use};
  str_printf(d->out, "%s %s {\n", keyword, name);
}

const char *derive_scalar(const struct field *f) {
  return f->scalar == SCALAR_ENUM ? f->enumeration->name : scalar_name(f->scalar);
}

/* ---- what is answered ---- */

static void put_list_arguments(struct str *out, const struct model *m) {
  str_printf(out, "(where: %sWhereInput, ", m->name);
  if (derive_has_order(m)) str_printf(out, "orderBy: %sOrderByInput, ", m->name);
  str_add(out, "skip: Int, first: Int, last: Int, after: String, before: String)");
}

static void put_field(struct str *out, const struct field *f) {
  const char *type = f->relation ? field_there(f)->model->name : derive_scalar(f);

  derive_description(out, "  ", f->description);
  str_printf(out, "  %s", f->name);
  if (f->relation && f->list) put_list_arguments(out, field_there(f)->model);
  str_printf(out, f->list ? ": [%s!]!\n" : f->required ? ": %s!\n" : ": %s\n", type);
}

static void put_objects(struct derive *d, const struct model *m) {
  derive_description(d->out, "", m->description);
  derive_open(d, "type", m, GQL_USE_NODE, "%s", m->name);
  for (size_t i = 0; i < m->nfields; i++) put_field(d->out, &m->fields[i]);
  str_add(d->out, "}\n");
  str_printf(d->out, "\"A list of nodes, and what is around it.\"\ntype %sConnection {\n", m->name);
  str_printf(d->out, "  pageInfo: PageInfo!\n  edges: [%sEdge!]!\n  aggregate: Aggregate%s!\n}\n", m->name, m->name);
  str_printf(d->out, "type %sEdge {\n  node: %s!\n  \"The node's key, for after and before.\"\n  cursor: String!\n}\n",
             m->name, m->name);
  str_printf(d->out, "type Aggregate%s {\n  \"All that the filter takes, whatever is cut.\"\n  count: Int!\n}\n", m->name);
}

static void put_enum(struct derive *d, const struct enumeration *e) {
  derive_description(d->out, "", e->description);
  str_printf(d->out, "enum %s {\n", e->name);
  for (size_t i = 0; i < e->nvalues; i++) {
    derive_description(d->out, "  ", e->values[i].description);
    str_printf(d->out, "  %s\n", e->values[i].name);
  }
  str_add(d->out, "}\n");
}

/* What is not used is seen by nobody. */
static void put_common(struct str *out) {
  str_add(
      out,
      "\"A moment, in UTC with milliseconds: 2016-07-31T23:59:01.000Z. It may be cut short: 2016 is its first moment.\"\n"
      "scalar DateTime @specifiedBy(url: \"https://www.rfc-editor.org/rfc/rfc3339\")\n"
      "\"An object or array of JSON; in a document as a string that holds it.\"\n"
      "scalar Json @specifiedBy(url: \"https://www.rfc-editor.org/rfc/rfc8259\")\n"
      "\"A whole number of 64 bits, as a string of digits.\"\nscalar BigInt\n"
      "\"A number with all its digits, as a string.\"\nscalar Decimal\n"
      "scalar UUID @specifiedBy(url: \"https://www.rfc-editor.org/rfc/rfc9562\")\n"
      "\"Where a list that was cut stands.\"\n"
      "type PageInfo {\n  \"Told with first, else false.\"\n  hasNextPage: Boolean!\n"
      "  \"Told with last, else false.\"\n  hasPreviousPage: Boolean!\n  startCursor: String\n  endCursor: String\n}\n"
      "\"How many nodes matched.\"\ntype BatchPayload {\n  count: Int!\n}\n");
}

/* handlers/graphql_state.c heeds it. */
static void put_state(struct str *out) {
  str_add(
      out,
      "\"The field has a state of its own, which tells at /mutation/ID how it is going. On a field's definition: always.\"\n"
      "directive @state(\"A new UUID; without it one is made, and told in the answer's extensions.\" id: UUID)"
      " on FIELD | FIELD_DEFINITION\n");
}

/* ---- the roots ---- */

static void put_queries(struct str *out, const struct model *m) {
  str_printf(out, "  %s(where: %sWhereUniqueInput!): %s\n", m->query.one, m->name, m->name);
  str_printf(out, "  %s", m->query.many);
  put_list_arguments(out, m);
  str_printf(out, ": [%s!]!\n  %s", m->name, m->query.connection);
  put_list_arguments(out, m);
  str_printf(out, ": %sConnection!\n", m->name);
}

/* ", version: String": where the manifest guards the command by a version, which may be of any type that has an input syntax. */
static const char *version_argument(const struct derive *d, const char *name) {
  const struct command *c = manifest_command(d->manifest, name);

  for (size_t i = 0; c && i < c->nargs; i++)
    if (strcmp(c->args[i].name, "version") == 0) return c->version_required ? ", version: String!" : ", version: String";
  return "";
}

/* Where nothing could be given there is no argument, or no field. */
static void put_mutations(struct derive *d, const struct model *m) {
  const char *name = m->name;
  bool create = derive_has_create(m, NULL), update = derive_has_update(m, NULL);
  struct str *out = d->out;

  str_printf(out, "  %s", m->mutation.create);
  if (create) str_printf(out, "(data: %sCreateInput!)", name);
  str_printf(out, ": %s!\n", name);
  if (update)
    str_printf(out, "  %s(data: %sUpdateInput!, where: %sWhereUniqueInput!%s): %s\n", m->mutation.update, name, name,
               version_argument(d, m->mutation.update), name);
  if (create && update)
    str_printf(out, "  %s(where: %sWhereUniqueInput!, create: %sCreateInput!, update: %sUpdateInput!%s): %s!\n",
               m->mutation.upsert, name, name, name, version_argument(d, m->mutation.upsert), name);
  str_printf(out, "  %s(where: %sWhereUniqueInput!%s): %s\n", m->mutation.delete, name,
             version_argument(d, m->mutation.delete), name);
  if (derive_has_update_many(m))
    str_printf(out, "  %s(data: %sUpdateManyMutationInput!, where: %sWhereInput): BatchPayload!\n", m->mutation.update_many,
               name, name);
  str_printf(out, "  %s(where: %sWhereInput): BatchPayload!\n", m->mutation.delete_many, name);
}

/* A schema must have a query; who has none gets one that gives null. */
static void put_roots(struct derive *d) {
  str_add(d->out, "type Query {\n");
  for (size_t i = 0; d->model && i < d->model->nmodels; i++) put_queries(d->out, &d->model->models[i]);
  str_add(d->out, "  \"There is no query; a schema must have one. Always null.\"\n  _: Boolean\n}\n");
  if (!d->mutations) return;
  str_add(d->out, "type Mutation");
  if (d->model && d->model->nmodels) {
    str_add(d->out, " {\n");
    for (size_t i = 0; i < d->model->nmodels; i++) put_mutations(d, &d->model->models[i]);
    str_char(d->out, '}');
  }
  str_char(d->out, '\n');
}

void derive_write(struct derive *d) {
  put_common(d->out);
  if (d->mutations) put_state(d->out);
  put_roots(d);
  if (!d->model) return;
  d->offered = arena_array(d->mem, unsigned, d->model->nmodels + 1);
  for (size_t i = 0; i < d->model->nenums; i++) put_enum(d, &d->model->enums[i]);
  for (size_t i = 0; i < d->model->nmodels; i++) {
    put_objects(d, &d->model->models[i]);
    derive_where(d, &d->model->models[i]);
    derive_inputs(d, &d->model->models[i]);
  }
}
