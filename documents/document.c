/* Reads documents, and keeps those that were used last. */
#include "documents/document.h"

#include "base/arena.h"
#include "base/err.h"
#include "commands/caller.h"
#include "documents/compile.h"
#include "documents/validate.h"
#include "graphql/parse.h"
#include "manifest/manifest.h"
#include "schema/schema.h"

#include <string.h>

/* A document that takes more than this part of the room is not kept: it would drive out too many others. */
enum { LARGEST_PART = 8, BUCKETS = 1024 };

/* What one role sees. */
struct view {
  const char *role; /* "": a role that no command allows */
  bool inside;
  const struct schema_view *view;
};

struct kept {
  unsigned char hash[DIGEST_BYTES];
  const struct view *view;
  const struct document *document;
  size_t bytes;
  struct kept *next;          /* of the bucket */
  struct kept *newer, *older; /* in the order of their last use */
};

struct documents {
  const struct schema *schema;
  struct documents_limits limits;
  struct view **views;
  size_t nviews;
  struct kept *buckets[BUCKETS], *newest, *oldest;
  size_t n, bytes;
};

struct documents *documents_new(const void *mem, const struct schema *schema, const struct documents_limits *limits) {
  struct documents *d = arena_new(mem, struct documents);

  d->schema = schema;
  d->limits = *limits;
  return d;
}

/* ---- views ---- */

/* Roles that no command names all see the same: there must not be a view for each that somebody makes up. */
static const char *known_role(const struct manifest *m, const char *role) {
  for (size_t i = 0; i < m->ncommands; i++)
    for (size_t j = 0; j < m->commands[i]->nallow; j++)
      if (strcmp(m->commands[i]->allow[j], role) == 0) return m->commands[i]->allow[j];
  return "";
}

static const struct view *view_of(struct documents *d, const struct caller *caller) {
  struct view *v;
  const char *role;

  for (size_t i = 0; i < d->nviews; i++)
    if (d->views[i]->inside == caller->inside && (caller->inside || strcmp(d->views[i]->role, caller->role) == 0))
      return d->views[i];
  role = caller->inside ? "" : known_role(d->schema->manifest, caller->role);
  for (size_t i = 0; i < d->nviews; i++)
    if (d->views[i]->inside == caller->inside && strcmp(d->views[i]->role, role) == 0) return d->views[i];
  v = arena_new(d, struct view);
  *v = (struct view){.role = role, .inside = caller->inside, .view = schema_view_new(d, d->schema, role, caller->inside)};
  arena_grow(d, d->views, d->nviews);
  return d->views[d->nviews++] = v;
}

/* ---- those that are kept ---- */

static struct kept **bucket_of(struct documents *d, const unsigned char *hash) {
  return &d->buckets[(hash[0] | hash[1] << 8) % BUCKETS];
}

static void unlink_use(struct documents *d, struct kept *k) {
  *(k->newer ? &k->newer->older : &d->newest) = k->older;
  *(k->older ? &k->older->newer : &d->oldest) = k->newer;
}

static void link_use(struct documents *d, struct kept *k) {
  k->newer = NULL;
  k->older = d->newest;
  *(k->older ? &k->older->newer : &d->oldest) = k;
  d->newest = k;
}

static void forget(struct documents *d, struct kept *k) {
  struct kept **place = bucket_of(d, k->hash);

  while (*place != k) place = &(*place)->next;
  *place = k->next;
  unlink_use(d, k);
  d->n--;
  d->bytes -= k->bytes;
  talloc_free(k);
}

const struct document *documents_find(struct documents *d, const struct caller *caller,
                                      const unsigned char hash[DIGEST_BYTES]) {
  const struct view *view = view_of(d, caller);

  for (struct kept *k = *bucket_of(d, hash); k; k = k->next) {
    if (k->view != view || memcmp(k->hash, hash, DIGEST_BYTES) != 0) continue;
    unlink_use(d, k);
    link_use(d, k);
    return k->document;
  }
  return NULL;
}

/* k with all that it has, which is moved to the request's memory where it is too large. */
static void keep(struct documents *d, void *mem, struct kept *k) {
  struct kept **place = bucket_of(d, k->hash);

  k->bytes = talloc_total_size(k);
  if (k->bytes > d->limits.bytes / LARGEST_PART || !d->limits.documents) {
    talloc_steal(mem, k);
    return;
  }
  while (d->oldest && (d->n >= d->limits.documents || d->bytes + k->bytes > d->limits.bytes)) forget(d, d->oldest);
  k->next = *place;
  *place = k;
  link_use(d, k);
  d->n++;
  d->bytes += k->bytes;
}

/* ---- reading ---- */

static bool parse(void *mem, const char *text, size_t len, struct document *out, struct gql_errors *errors) {
  struct err e;

  err_init(&e, mem);
  if (graphql_parse(mem, text, len, &graphql_limits_default, &out->tree, &e)) return true;
  errors->rule = NULL;
  return gql_error_add(errors, (struct graphql_pos){e.input_line, e.input_column}, "%s",
                       arena_strdup(errors->mem, e.message));
}

static bool prepare(void *mem, struct document *out, struct gql_errors *errors) {
  const struct schema *s = out->schema;

  for (const struct graphql_definition *def = out->tree->definitions; def; def = def->next) {
    struct prepared *o;

    if (def->kind == GRAPHQL_DEF_FRAGMENT) names_add(mem, &out->fragments, def->name, def);
    if (def->kind != GRAPHQL_DEF_OPERATION) continue;
    arena_grow(mem, out->operations, out->noperations);
    o = &out->operations[out->noperations++];
    *o = (struct prepared){.definition = def, .type = def->operation == GRAPHQL_MUTATION ? s->mutation : s->query};
  }
  names_sort(&out->fragments);
  for (size_t i = 0; i < out->noperations; i++)
    if (!operation_prepare(mem, out, &out->operations[i]))
      return gql_error_add(errors, out->operations[i].definition->pos, "The document asks for too many fields.");
  return true;
}

const struct document *documents_add(struct documents *d, void *mem, const struct caller *caller,
                                     const unsigned char hash[DIGEST_BYTES], const char *text, size_t len,
                                     struct gql_errors *errors) {
  struct kept *k = arena_new(d, struct kept);
  struct document *document = arena_new(k, struct document);

  memcpy(k->hash, hash, DIGEST_BYTES);
  k->view = view_of(d, caller);
  k->document = document;
  document->schema = d->schema;
  document->view = k->view->view;
  if (parse(k, text, len, document, errors) &&
      document_validate(mem, document->view, d->schema, document->tree, &d->limits.document, errors) &&
      prepare(k, document, errors)) {
    keep(d, mem, k);
    return document;
  }
  talloc_free(k);
  return NULL;
}

const struct prepared *document_operation(const struct document *document, const char *name, struct gql_errors *errors) {
  const struct graphql_pos nowhere = {0};

  for (size_t i = 0; name && i < document->noperations; i++)
    if (document->operations[i].definition->name && strcmp(document->operations[i].definition->name, name) == 0)
      return &document->operations[i];
  if (name) gql_error_add(errors, nowhere, "Unknown operation named \"%s\".", gql_error_cut(errors->mem, name));
  else if (document->noperations == 1) return &document->operations[0];
  else if (!document->noperations) gql_error_add(errors, nowhere, "The document has no operation.");
  else gql_error_add(errors, nowhere, "Must provide operation name if query contains multiple operations.");
  return NULL;
}
