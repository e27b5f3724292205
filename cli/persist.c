/* writ schema persist: GraphQL documents that are known from now on, by the hash that clients send in their place. All of them are
 * held against the schema before any is stored. */
#include "cli/cli.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/problems.h"
#include "base/str.h"
#include "documents/validate.h"
#include "engine/stored.h"
#include "graphql/parse.h"
#include "manifest/config.h"
#include "manifest/manifest.h"
#include "schema/schema.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { FILE_BYTES = 64 << 20, LIST_DEPTH = 20 };

struct persisted {
  const char *file, *name; /* name NULL: the file is the document */
  const char *text;
  size_t len;
  unsigned char hash[DIGEST_BYTES];
};

struct persist {
  void *mem;
  const struct config *config;
  const struct manifest *manifest;
  const struct schema *schema;
  struct persisted *list;
  size_t n;
};

static bool wrong(const char *file, const char *what) {
  fprintf(stderr, "writ: %s: %s\n", file, what);
  return false;
}

/* ---- reading ---- */

static bool read_file(void *mem, const char *file, struct str **out) {
  FILE *in = fopen(file, "r");
  char block[65536];
  size_t n;

  if (!in) return wrong(file, strerror(errno));
  *out = str_new(mem, sizeof block);
  while ((n = fread(block, 1, sizeof block, in)) > 0 && (*out)->len < FILE_BYTES) str_bytes(*out, block, n);
  fclose(in);
  return (*out)->len < FILE_BYTES || wrong(file, "is larger than 64 MB");
}

static struct persisted *add(struct persist *p, const char *file, const char *name, const char *text, size_t len) {
  const struct digest_piece piece = {text, len};
  struct persisted *d;

  arena_grow(p->mem, p->list, p->n);
  d = &p->list[p->n++];
  *d = (struct persisted){.file = file, .name = name, .text = text, .len = len};
  digest_sha256(&piece, 1, d->hash);
  return d;
}

/* A hash that is not the text's would never be found. */
static bool add_named(struct persist *p, const char *file, const char *hash, const struct json *text) {
  char hex[DIGEST_HEX];

  if (text->kind != JSON_STRING) return wrong(file, "a document must be a string");
  digest_hex(add(p, file, hash, text->text, text->len)->hash, hex);
  if (strcasecmp(hash, hex) == 0) return true;
  return wrong(file, arena_printf(p->mem, "%.100s is not the SHA-256 of its document, which is %s", hash, hex));
}

/* Apollo's manifest: {"format": "apollo-persisted-query-manifest", "operations": [{"id", "body", ...}]}. */
static bool add_operations(struct persist *p, const char *file, const struct json *operations) {
  for (size_t i = 0; i < operations->len; i++) {
    const struct json *operation = &operations->items[i], *id, *body;

    id = operation->kind == JSON_OBJECT ? json_get(operation, "id") : NULL;
    body = operation->kind == JSON_OBJECT ? json_get(operation, "body") : NULL;
    if (!id || id->kind != JSON_STRING || !body) return wrong(file, "each operation has \"id\" and \"body\"");
    if (!add_named(p, file, id->text, body)) return false;
  }
  return true;
}

/* That, or {"hash": "document", ...}, as code generators write it. */
static bool add_list(struct persist *p, const char *file, const struct str *text) {
  const struct json *root, *operations;
  struct err e;

  err_init(&e, p->mem);
  if (!json_read(p->mem, text->p, text->len, LIST_DEPTH, &root, &e)) return wrong(file, e.message);
  if (root->kind != JSON_OBJECT) return wrong(file, "an object of hashes and documents is needed");
  operations = json_get(root, "operations");
  if (operations && operations->kind == JSON_ARRAY) return add_operations(p, file, operations);
  for (size_t i = 0; i < root->len; i++)
    if (!add_named(p, file, root->keys[i], &root->items[i])) return false;
  return true;
}

static bool read_one(struct persist *p, const char *file) {
  size_t len = strlen(file);
  struct str *text;

  if (!read_file(p->mem, file, &text)) return false;
  if (len > 5 && strcmp(file + len - 5, ".json") == 0) return add_list(p, file, text);
  add(p, file, NULL, text->p, text->len);
  return true;
}

/* ---- judging ---- */

static bool check(struct persist *p, const struct persisted *d) {
  const struct graphql_document *document;
  struct gql_errors errors = {.mem = p->mem};
  struct err e;

  err_init(&e, p->mem);
  if (!graphql_parse(p->mem, d->text, d->len, &graphql_limits_default, &document, &e))
    return wrong(d->name ? d->name : d->file, e.message);
  if (document_validate(p->mem, NULL, p->schema, document, NULL, &errors)) return true;
  for (size_t i = 0; i < errors.n; i++) {
    const struct gql_error *error = &errors.list[i];
    const struct graphql_pos at = error->nlocations ? error->locations[0] : (struct graphql_pos){0};

    fprintf(stderr, "%s:%u:%u: %s\n", d->name ? d->name : d->file, at.line, at.column, error->message);
  }
  return false;
}

/* ---- the whole ---- */

static bool load(struct persist *p, const struct options *o) {
  struct config *config;
  struct manifest *manifest;
  struct problems problems;

  if (!cli_load(p->mem, o, &config, &manifest)) return false;
  p->config = config;
  p->manifest = manifest;
  problems_init(&problems, p->mem);
  p->schema = schema_make(p->mem, manifest, &problems);
  problems_print(&problems);
  return p->schema || problems.errors || wrong(manifest->file, "has no schema:");
}

static bool store(struct persist *p, struct err *e) {
  const struct caller caller = {.role = "anonymous", .inside = true};
  const struct invocation invocation = {.caller = &caller,
                                        .request_id = "writ schema persist",
                                        .deadline_ms = clock_ms() + p->config->timeout_ms,
                                        .caller_fd = -1};
  struct engine *engine = engine_new(p->mem, p->config, p->manifest, NULL);
  char hex[DIGEST_HEX];

  for (size_t i = 0; i < p->n; i++) {
    const struct persisted *d = &p->list[i];

    if (!stored_persist(engine, p->mem, d->hash, d->text, &invocation, e)) return false;
    digest_hex(d->hash, hex);
    printf("%s  %s\n", hex, d->file);
  }
  return true;
}

int cli_persist(void *mem, const struct options *o) {
  struct persist p = {.mem = mem};
  bool ok = o->noperands > 1;
  struct err e;

  if (!ok) {
    fprintf(stderr, "writ: schema persist takes files of documents\n");
    return 2;
  }
  if (!load(&p, o) || !p.schema) return 1;
  for (int i = 1; i < o->noperands; i++)
    if (!read_one(&p, o->operands[i])) return 1;
  for (size_t i = 0; i < p.n; i++) ok = check(&p, &p.list[i]) && ok;
  err_init(&e, mem);
  if (!ok) return 1;
  return store(&p, &e) ? 0 : cli_fail(&e);
}
