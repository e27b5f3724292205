/* writ openapi: the OpenAPI document, as /openapi.json has it. */
#include "cli/cli.h"

#include "base/arena.h"
#include "base/problems.h"
#include "base/str.h"
#include "engine/engine.h"
#include "manifest/config.h"
#include "schema/openapi.h"

#include <stdio.h>

static bool ask(void *engine, const struct command *c, const struct description **d, enum returns *returns) {
  return engine_described(engine, c, d, returns);
}

int cli_openapi(void *mem, const struct options *o) {
  struct str *text = str_new(mem, 65536);
  struct openapi of = {.role = o->role, .inside = !o->role, .ask = ask};
  struct config *config;
  struct manifest *manifest;
  struct problems p;
  struct err e;

  if (!cli_load(mem, o, &config, &manifest)) return 1;
  problems_init(&p, mem);
  err_init(&e, mem);
  of.manifest = manifest;
  of.streams = config->streams > 0;
  of.schema = schema_make(mem, manifest, &p);
  problems_print(&p);
  if (p.errors) return 1;
  of.data = engine_new(mem, config, manifest, NULL);
  if (!engine_ready(of.data, &e)) return cli_fail(&e);
  openapi_write(text, mem, &of);
  puts(text->p);
  engine_free(of.data);
  return 0;
}
