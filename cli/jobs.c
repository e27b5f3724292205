/* writ jobs: after-hooks and mutations that wait, and those that failed for good. A number is an after-hook's id, a UUID a
 * mutation's. */
#include "cli/cli.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/uuid.h"
#include "jobs/jobs.h"
#include "manifest/config.h"
#include "manifest/manifest.h"
#include "mutations/letters.h"

#include <stdio.h>
#include <string.h>

enum { ANSWER_MS = 30000 };

struct jobs {
  void *mem;
  const struct options *o;
  const struct config *config;
  const struct manifest *manifest;
  const char **hooks; /* of the manifest */
  size_t nhooks;
  struct conn *conn;
  struct wait wait;
  struct err e;
};

static void collect_hooks(struct jobs *j, const struct manifest *m) {
  for (size_t i = 0; i < m->ncommands; i++)
    for (size_t h = 0; h < m->commands[i]->nafter_hooks; h++) {
      arena_grow(j->mem, j->hooks, j->nhooks);
      j->hooks[j->nhooks++] = m->commands[i]->after_hooks[h].name;
    }
}

static const struct datasource *find_datasource(const struct jobs *j) {
  for (size_t i = 0; i < j->config->ndatasources; i++)
    if (!j->o->datasource || strcmp(j->config->datasources[i].name, j->o->datasource) == 0)
      return &j->config->datasources[i];
  return NULL;
}

static bool open_jobs(struct jobs *j, const struct datasource *d) {
  struct conn_options options = {
      .name = d->name, .conninfo = d->conninfo, .prepared = d->prepared, .statement_timeout_ms = ANSWER_MS};
  bool fresh;

  j->conn = conn_new(j->mem, &options, NULL);
  j->wait = (struct wait){.deadline_ms = clock_ms() + ANSWER_MS, .caller_fd = -1};
  return conn_open(j->conn, &j->wait, &fresh, &j->e);
}

/* To the second: 2026-11-20T12:00:00. */
static void print_time(const void *mem, const struct json *row, const char *key) {
  printf("  %-19.19s", cli_text(mem, row, key));
}

static void print_rows(const void *mem, const struct json *rows) {
  for (size_t i = 0; i < rows->len; i++) {
    const struct json *row = &rows->items[i];

    printf("%-36s  %-10s  %-8s  %-6s", cli_text(mem, row, "id"), cli_text(mem, row, "state"), cli_text(mem, row, "attempts"),
           cli_text(mem, row, "last_status"));
    print_time(mem, row, "created");
    print_time(mem, row, "due");
    printf("  %-32s  %s\n", cli_text(mem, row, "hook"), cli_text(mem, row, "key"));
  }
  if (rows->len == JOBS_LIST_MAX) printf("(the oldest %d)\n", JOBS_LIST_MAX);
}

static void print_all(const void *mem, const struct json *items, const struct json *mutations) {
  printf("%-36s  %-10s  %-8s  %-6s  %-19s  %-19s  %-32s  %s\n", "ID", "STATE", "ATTEMPTS", "STATUS", "CREATED", "DUE",
         "HOOK OR COMMAND", "KEY");
  print_rows(mem, items);
  print_rows(mem, mutations);
}

/* Two arrays as one. */
static void print_json(const char *items, const char *mutations) {
  bool both = strcmp(items, "[]") != 0 && strcmp(mutations, "[]") != 0;

  printf("%.*s%s%s\n", (int)strlen(items) - 1, items, both ? ", " : "", mutations + 1);
}

static bool list(struct jobs *j) {
  const struct json *rows, *mutations;
  const char *text, *more;

  if (!jobs_list(j->conn, j->mem, j->o->dead, j->hooks, j->nhooks, &text, &rows, &j->wait, &j->e)) return false;
  if (!letters_list(j->conn, j->mem, j->o->dead, &more, &mutations, &j->wait, &j->e)) return false;
  if (j->o->json) print_json(text, more);
  else print_all(j->mem, rows, mutations);
  return true;
}

static bool is_uuid(const char *text) {
  unsigned char bytes[UUID_BYTES];
  return uuid_read(text, bytes);
}

static bool show(struct jobs *j) {
  const char *id = j->o->operands[1], *text;
  const struct json *row;

  if (is_uuid(id) ? !letters_show(j->conn, j->mem, id, &text, &row, &j->wait, &j->e)
                  : !jobs_show(j->conn, j->mem, id, j->hooks, j->nhooks, &text, &row, &j->wait, &j->e))
    return false;
  if (j->o->json) puts(text);
  for (size_t i = 0; !j->o->json && i < row->len; i++)
    printf("%-12s %s\n", row->keys[i], cli_text(j->mem, row, row->keys[i]));
  return true;
}

/* Operands of one kind. */
static const char **ids_of(struct jobs *j, bool uuids, size_t *n) {
  const char **out = arena_array(j->mem, const char *, (size_t)j->o->noperands);

  *n = 0;
  for (int i = 1; i < j->o->noperands; i++)
    if (is_uuid(j->o->operands[i]) == uuids) out[(*n)++] = j->o->operands[i];
  return out;
}

static bool left_alone(struct jobs *j) {
  return err_set(
      &j->e, NOT_FOUND,
      "Some were left alone: they are not there (any more), are just at work, have ended well, or were retried before.");
}

typedef bool change_items(struct conn *, void *, const struct jobs_choice *, uint64_t *, const struct wait *, struct err *);

/* missed: filled, those that were named and are not there. */
static bool change(struct jobs *j, change_items *how, uint64_t *done, bool *missed) {
  struct jobs_choice choice = {.hook = j->o->all_dead};

  choice.ids = ids_of(j, false, &choice.nids);
  *done = 0;
  *missed = false;
  if (!choice.hook && !choice.nids) return true;
  if (!how(j->conn, j->mem, &choice, done, &j->wait, &j->e)) return false;
  *missed = !choice.hook && *done != choice.nids;
  return true;
}

static bool retry(struct jobs *j) {
  const struct json *rows = NULL;
  const char **ids;
  uint64_t done;
  bool missed;
  size_t n;

  ids = ids_of(j, true, &n);
  if (!change(j, jobs_retry, &done, &missed)) return false;
  if (n && !letters_retry(j->conn, j->mem, ids, n, j->manifest->state.text, &rows, &j->wait, &j->e)) return false;
  for (size_t i = 0; n && i < rows->len; i++)
    printf("%s: once more as %s\n", rows->items[i].items[0].text, rows->items[i].items[1].text);
  printf("retried: %llu\n", (unsigned long long)(done + (n ? rows->len : 0)));
  return (!missed && (!n || rows->len == n)) || left_alone(j);
}

static bool drop(struct jobs *j) {
  uint64_t done, mutations = 0;
  const char **ids;
  bool missed;
  size_t n;

  ids = ids_of(j, true, &n);
  if (!change(j, jobs_drop, &done, &missed)) return false;
  if (n && !letters_drop(j->conn, j->mem, ids, n, &mutations, &j->wait, &j->e)) return false;
  printf("dropped: %llu\n", (unsigned long long)(done + mutations));
  return (!missed && mutations == n) || left_alone(j);
}

static const struct verb {
  const char *name;
  bool (*run)(struct jobs *);
  int least, most; /* ids */
  bool takes_hook; /* --all-dead, in place of ids */
} verbs[] = {{"list", list, 0, 0, false},
             {"show", show, 1, 1, false},
             {"retry", retry, 1, 1000, true},
             {"drop", drop, 1, 1000, true}};

static bool is_number(const char *text) { return *text && strlen(text) < 19 && strspn(text, "0123456789") == strlen(text); }

static const struct verb *find_verb(const struct options *o) {
  for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
    const struct verb *v = &verbs[i];
    int n = o->noperands - 1;

    if (strcmp(v->name, o->operands[0]) != 0) continue;
    for (int id = 1; id < o->noperands; id++)
      if (!is_number(o->operands[id]) && !is_uuid(o->operands[id])) return NULL;
    if (o->all_dead) return v->takes_hook && n == 0 ? v : NULL;
    return n >= v->least && n <= v->most ? v : NULL;
  }
  return NULL;
}

int cli_jobs(void *mem, const struct options *o) {
  struct jobs j = {.mem = mem, .o = o};
  const struct verb *verb = find_verb(o);
  const struct datasource *d;
  struct config *config;
  struct manifest *manifest;

  if (!verb) {
    fprintf(stderr, "usage: writ jobs list [--dead] | show ID | retry ID... | drop ID... | retry, drop --all-dead HOOK\n");
    return 2;
  }
  err_init(&j.e, mem);
  if (!cli_load(mem, o, &config, &manifest)) return 1;
  j.config = config;
  j.manifest = manifest;
  collect_hooks(&j, manifest);
  d = find_datasource(&j);
  if (!d) {
    fprintf(stderr, "writ: there is no datasource %s in %s\n", o->datasource, o->config_file);
    return 2;
  }
  return open_jobs(&j, d) && verb->run(&j) ? 0 : cli_fail(&j.e);
}
