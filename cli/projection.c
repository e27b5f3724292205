/* writ projection: how far projections and named readers have come, and building one anew. */
#include "cli/cli.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "events/projector.h"
#include "manifest/config.h"
#include "manifest/manifest.h"

#include <stdio.h>
#include <string.h>

enum { ANSWER_MS = 30000 };

struct projections {
  void *mem;
  const struct options *o;
  const struct config *config;
  const struct manifest *manifest;
  struct conn *conn;
  struct wait wait;
  struct err e;
};

static bool open_source(struct projections *p, size_t datasource) {
  const struct datasource *d = &p->config->datasources[datasource];
  struct conn_options options = {
      .name = d->name, .conninfo = d->conninfo, .prepared = d->prepared, .statement_timeout_ms = PROJECTION_MS};
  bool fresh;

  p->conn = conn_new(p->mem, &options, NULL);
  p->wait = (struct wait){.deadline_ms = clock_ms() + ANSWER_MS, .caller_fd = -1};
  return conn_open(p->conn, &p->wait, &fresh, &p->e);
}

static const struct projection *find(const struct projections *p, const char *name) {
  for (size_t i = 0; i < p->manifest->nprojections; i++)
    if (strcmp(p->manifest->projections[i].name, name) == 0) return &p->manifest->projections[i];
  return NULL;
}

/* -1: all that have one of the manifest's projections. */
static bool is_meant(const struct projections *p, size_t datasource) {
  if (p->o->datasource) return strcmp(p->config->datasources[datasource].name, p->o->datasource) == 0;
  for (size_t i = 0; i < p->manifest->nprojections; i++)
    if (p->manifest->projections[i].datasource == datasource) return true;
  return datasource == 0 && !p->manifest->nprojections;
}

static const char *state_of(const struct projections *p, const struct json *row) {
  if (strcmp(cli_text(p->mem, row, "kind"), "reader") == 0) return "reader";
  if (!find(p, cli_text(p->mem, row, "name"))) return "unknown";
  return json_get(row, "failed_at")->kind == JSON_NULL ? "runs" : "stands";
}

static void print_row(const struct projections *p, const struct json *row) {
  printf("%-24s  %-8s  %12s  %10s  %-19.19s", cli_text(p->mem, row, "name"), state_of(p, row),
         cli_text(p->mem, row, "position"), cli_text(p->mem, row, "behind"), cli_text(p->mem, row, "updated"));
  if (json_get(row, "failed_at")->kind != JSON_NULL)
    printf("  at %s since %.19s: %s", cli_text(p->mem, row, "failed_at"), cli_text(p->mem, row, "failed_since"),
           cli_text(p->mem, row, "error"));
  putchar('\n');
}

static bool list(struct projections *p) {
  if (!p->o->json) printf("%-24s  %-8s  %12s  %10s  %-19s\n", "NAME", "STATE", "POSITION", "BEHIND", "UPDATED");
  for (size_t d = 0; d < p->config->ndatasources; d++) {
    const struct json *rows;
    const char *text;

    if (!is_meant(p, d)) continue;
    if (!open_source(p, d) || !projection_list(p->conn, p->mem, &rows, &text, &p->wait, &p->e)) return false;
    if (p->o->json) puts(text);
    for (size_t i = 0; !p->o->json && i < rows->len; i++) print_row(p, &rows->items[i]);
  }
  return true;
}

static bool rebuild(struct projections *p) {
  const struct projection *projection = find(p, p->o->operands[1]);
  int64_t position = p->o->snapshot;

  if (!projection) return err_set(&p->e, NOT_FOUND, "There is no projection %s in the manifest.", p->o->operands[1]);
  if (!open_source(p, projection->datasource)) return false;
  p->wait.deadline_ms = clock_ms() + PROJECTION_MS; /* what is under way ends first */
  if (!projection_rebuild(p->conn, p->mem, projection, position, &p->wait, &p->e)) return false;
  printf("%s: goes on from position %lld\n", projection->name, (long long)(position < 0 ? 0 : position));
  return true;
}

static bool drop(struct projections *p) {
  const struct projection *projection = find(p, p->o->operands[1]);

  if (projection)
    return err_set(&p->e, BAD_REQUEST, "The projection %s is in the manifest: take it out there first.", projection->name);
  for (size_t d = 0; d < p->config->ndatasources; d++) {
    if (p->o->datasource ? strcmp(p->config->datasources[d].name, p->o->datasource) != 0 : d > 0) continue;
    if (!open_source(p, d) || !projection_drop(p->conn, p->mem, p->o->operands[1], &p->wait, &p->e)) return false;
    printf("dropped: %s\n", p->o->operands[1]);
    return true;
  }
  return err_set(&p->e, NOT_FOUND, "There is no datasource %s.", p->o->datasource);
}

static const struct verb {
  const char *name;
  bool (*run)(struct projections *);
  int operands;
} verbs[] = {{"list", list, 0}, {"rebuild", rebuild, 1}, {"drop", drop, 1}};

int cli_projection(void *mem, const struct options *o) {
  struct projections p = {.mem = mem, .o = o};
  const struct verb *verb = NULL;
  struct config *config;
  struct manifest *manifest;

  for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
    if (strcmp(verbs[i].name, o->operands[0]) == 0 && o->noperands == 1 + verbs[i].operands) verb = &verbs[i];
  if (!verb) {
    fprintf(stderr, "usage: writ projection list | rebuild NAME [--from-snapshot POSITION] | drop NAME\n");
    return 2;
  }
  err_init(&p.e, mem);
  if (!cli_load(mem, o, &config, &manifest)) return 1;
  p.config = config;
  p.manifest = manifest;
  return verb->run(&p) ? 0 : cli_fail(&p.e);
}
