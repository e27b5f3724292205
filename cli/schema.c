/* writ schema: tables of a data model, and data models of tables. */
#include "cli/cli.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/problems.h"
#include "base/str.h"
#include "db/conn.h"
#include "manifest/config.h"
#include "manifest/manifest.h"
#include "model/check.h"
#include "model/ddl.h"
#include "model/introspect.h"
#include "model/read.h"
#include "model/tables.h"
#include "schema/introspect.h"
#include "schema/print.h"

#include <stdio.h>
#include <string.h>

enum { TIMEOUT_MS = 60000 };

/* What an action has to work with, as far as it needs it. */
struct schema_call {
  const struct manifest *manifest;
  const struct datamodel *model;
  const char *conninfo, *source;
};

struct action {
  const char *name;
  bool manifest; /* it works on the manifest, not on a file */
  bool model, database;
  int (*run)(void *mem, const struct options *o, const struct schema_call *call);
};

/* ---- what to work with ---- */

static bool find_source(const struct options *o, const struct config *config, const struct manifest *manifest,
                        struct schema_call *call) {
  if (o->conninfo) return true;
  for (size_t i = 0; i < config->ndatasources; i++) {
    bool meant = o->datasource ? strcmp(config->datasources[i].name, o->datasource) == 0
                               : i == (manifest ? manifest->model_datasource : 0);

    if (!meant) continue;
    call->conninfo = config->datasources[i].conninfo;
    call->source = config->datasources[i].name;
    return true;
  }
  fprintf(stderr, "writ: there is no datasource %s in %s\n", o->datasource, o->config_file);
  return false;
}

static bool load_model(void *mem, const char *file, const char *schema, struct schema_call *call) {
  struct problems p;

  problems_init(&p, mem);
  call->model = model_load(mem, file, schema, &p);
  problems_print(&p);
  return call->model != NULL;
}

/* The manifest's data model; read again where its tables are to stand elsewhere. */
static bool take_model(void *mem, const struct options *o, const struct manifest *manifest, struct schema_call *call) {
  if (!manifest->model) {
    fprintf(stderr, "writ: %s has no schema:; add one, or name the file of the data model\n", manifest->file);
    return false;
  }
  if (o->nschemas) return load_model(mem, manifest->model->file, o->schemas[0], call);
  call->model = manifest->model;
  return true;
}

/* Configuration and manifest are read only where something of them is needed. */
static bool prepare(void *mem, const struct options *o, const struct action *action, struct schema_call *call) {
  bool needs_manifest = action->manifest || (action->model && !o->arguments),
       needs_config = needs_manifest || (action->database && !o->conninfo);
  struct config *config = NULL;
  struct manifest *manifest = NULL;
  struct problems p;

  *call = (struct schema_call){.conninfo = o->conninfo, .source = "--conninfo"};
  problems_init(&p, mem);
  if (needs_manifest && !cli_load(mem, o, &config, &manifest)) return false;
  if (needs_config && !config) {
    config = config_load(mem, o->config_file, &p);
    problems_print(&p);
    if (!config) return false;
  }
  if (action->database && !find_source(o, config, manifest, call)) return false;
  call->manifest = manifest;
  if (action->manifest) return true;
  if (needs_manifest) return take_model(mem, o, manifest, call);
  return !action->model || load_model(mem, o->arguments, o->schemas[0], call);
}

/* ---- what to do ---- */

static struct conn *connect_to(void *mem, const struct schema_call *call, struct wait *w) {
  struct conn_options options = {.name = call->source, .conninfo = call->conninfo};

  *w = (struct wait){.deadline_ms = clock_ms() + TIMEOUT_MS, .caller_fd = -1};
  return conn_new(mem, &options, NULL);
}

static int print_ddl(void *mem, const struct options *o, const struct schema_call *call) {
  (void)o;
  fputs(model_ddl(mem, call->model), stdout);
  return 0;
}

static int apply(void *mem, const struct options *o, const struct schema_call *call) {
  struct err e;

  (void)o;
  err_init(&e, mem);
  if (!model_apply(mem, call->model, call->conninfo, &e)) return cli_fail(&e);
  printf("%s: %zu types are there now\n", call->model->file, call->model->nmodels);
  return 0;
}

static int introspect(void *mem, const struct options *o, const struct schema_call *call) {
  static const char *const usual[] = {"public", NULL};
  const char *const *schemas = o->nschemas ? o->schemas : usual;
  const struct db_tables *tables;
  struct problems p;
  struct wait w;
  struct conn *conn = connect_to(mem, call, &w);
  struct err e;
  bool fresh;

  err_init(&e, mem);
  if (!conn_open(conn, &w, &fresh, &e) || !tables_read(conn, mem, schemas, &tables, &w, &e)) return cli_fail(&e);
  problems_init(&p, mem);
  fputs(model_introspect(mem, tables, schemas[0], &p), stdout);
  problems_print(&p);
  return p.errors ? 1 : 0;
}

static int check(void *mem, const struct options *o, const struct schema_call *call) {
  const struct db_tables *tables;
  struct problems p;
  struct wait w;
  struct conn *conn = connect_to(mem, call, &w);
  struct err e;
  bool fresh;

  (void)o;
  err_init(&e, mem);
  problems_init(&p, mem);
  if (!conn_open(conn, &w, &fresh, &e) || !model_tables(conn, mem, call->model, &tables, &w, &e)) return cli_fail(&e);
  model_check(call->model, tables, &p);
  problems_print(&p);
  if (p.errors) return 1;
  printf("%s: %zu types, %s\n", call->model->file, call->model->nmodels, p.n ? "no errors" : "no difference");
  return 0;
}

static int print(void *mem, const struct options *o, const struct schema_call *call) {
  const struct schema *schema;
  const struct schema_view *view;
  struct str *text = str_new(mem, 65536);
  struct problems p;

  problems_init(&p, mem);
  schema = schema_make(mem, call->manifest, &p);
  problems_print(&p);
  if (!schema) {
    if (!p.errors) fprintf(stderr, "writ: %s has no schema:, so there is nothing for GraphQL\n", call->manifest->file);
    return 1;
  }
  view = schema_view_new(mem, schema, o->role, !o->role);
  if (o->json) introspect_all(text, schema, view);
  else schema_print(text, schema, view);
  printf("%s%s", text->p, o->json ? "\n" : "");
  return 0;
}

static const struct action actions[] = {{"ddl", false, true, false, print_ddl},
                                        {"apply", false, true, true, apply},
                                        {"introspect", false, false, true, introspect},
                                        {"check", false, true, true, check},
                                        {"print", true, false, false, print}};

/* These are print's alone. */
static bool takes_options(const struct action *action, const struct options *o) {
  if ((!o->role && !o->json) || action->run == print) return true;
  fprintf(stderr, "writ: schema %s takes no --%s\n", action->name, o->role ? "role" : "json");
  return false;
}

int cli_schema(void *mem, const struct options *o) {
  if (strcmp(o->name, "persist") == 0)
    return takes_options(&(struct action){.name = "persist"}, o) ? cli_persist(mem, o) : 2;
  if (o->noperands > 2) {
    fprintf(stderr, "writ: schema %s takes one file\n", o->name);
    return 2;
  }
  for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
    struct schema_call call;

    if (strcmp(actions[i].name, o->name) != 0) continue;
    if (o->arguments && !actions[i].model) {
      fprintf(stderr, "writ: schema %s takes no file\n", o->name);
      return 2;
    }
    if (!takes_options(&actions[i], o)) return 2;
    return prepare(mem, o, &actions[i], &call) ? actions[i].run(mem, o, &call) : 1;
  }
  fprintf(stderr, "writ: schema is followed by ddl, apply, introspect, check, print or persist, not by %s\n", o->name);
  return 2;
}
