/* The engine: what a worker holds for its life. */
#include "engine/engine_inside.h"

#include "base/arena.h"
#include "base/counters.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/tell.h"
#include "db/post.h"
#include "engine/call_token.h"
#include "engine/module.h"

#include <string.h>
#include <sys/socket.h>

enum {
  VERSION_WANTED = 11, /* of schema writ: sql/install */
  READY_TIMEOUT_MS = 5000,
  EVENT_MS = 2000, /* for the reducers of one event of a state, which has the state's row locked meanwhile */
};

static struct conn *new_connection(struct engine *engine, size_t datasource, int statement_timeout_ms) {
  const struct config *config = engine->config;
  const struct datasource *d = &config->datasources[datasource];
  struct conn_options options = {.name = d->name,
                                 .conninfo = d->conninfo,
                                 .prepared = d->prepared,
                                 .statement_timeout_ms = statement_timeout_ms,
                                 .lock_timeout_ms = config->lock_timeout_ms};

  return conn_new(engine, &options, engine->counters);
}

struct conn *engine_second(struct engine *engine, size_t datasource) {
  struct source *source = &engine->sources[datasource];

  if (source->held == source->nseconds) {
    arena_grow(engine, source->seconds, source->nseconds);
    source->seconds[source->nseconds++] = new_connection(engine, datasource, engine->config->timeout_ms);
  }
  return source->seconds[source->held];
}

struct conn *engine_teller(struct engine *engine, size_t datasource) {
  struct source *source = &engine->sources[datasource];

  if (!source->teller) source->teller = new_connection(engine, datasource, EVENT_MS);
  return source->teller;
}

struct engine *engine_new(const void *mem, const struct config *config, const struct manifest *manifest,
                          struct counters *counters) {
  struct engine *engine = arena_new(mem, struct engine);

  *engine = (struct engine){
      .config = config, .manifest = manifest, .counters = counters, .wake_fd = -1, .background_fd = -1, .tell_fd = -1};
  engine->sources = arena_array(engine, struct source, config->ndatasources);
  engine->shapes = arena_array(engine, struct shape, manifest->ncommands);
  engine->shape_mem = arena_array(engine, void *, manifest->ncommands);
  engine->variants = variants_new(engine);
  for (size_t i = 0; i < config->ndatasources; i++) {
    engine->sources[i].datasource = &config->datasources[i];
    engine->sources[i].conn = new_connection(engine, i, config->timeout_ms);
  }
  return engine;
}

void engine_share(struct engine *engine, struct counters_page *page, const unsigned char *call_secret) {
  engine->page = page;
  engine->call_secret = call_secret;
}

bool engine_token(const struct engine *engine, const void *mem, const char *text, struct call_token *out, struct err *e) {
  const char *why = "this process knows no secret of tokens";

  if (engine->call_secret && call_token_read(mem, engine->call_secret, text, out, &why)) return true;
  err_set(e, FORBIDDEN, "The call token is not valid: %s.", why);
  return false;
}

struct http_client *engine_http(struct engine *engine) {
  if (!engine->http) engine->http = http_client_new(engine);
  return engine->http;
}

void engine_free(struct engine *engine) { talloc_free(engine); }

void engine_load_modules(struct engine *engine) {
  if (!engine->modules) engine->modules = modules_load(engine, engine->manifest);
}

const struct config *engine_config(const struct engine *engine) { return engine->config; }
const struct manifest *engine_manifest(const struct engine *engine) { return engine->manifest; }

void engine_wakes(struct engine *engine, int after_fd, int background_fd) {
  engine->wake_fd = after_fd;
  engine->background_fd = background_fd;
}

/* A full socket means that they have been told already. */
void engine_wake(struct engine *engine) {
  if (engine->wake && engine->wake_fd >= 0) (void)send(engine->wake_fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (engine->wake_background && engine->background_fd >= 0)
    (void)send(engine->background_fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (engine->appended && engine->page) bell_ring(&engine->page->appended);
  engine->wake = engine->wake_background = engine->appended = false;
}

void engine_tells(struct engine *engine, int fd) { engine->tell_fd = fd; }

void engine_tell(const struct engine *engine, const char *mutation) { tell_streamer(engine->tell_fd, mutation); }

void engine_tidy(struct engine *engine) {
  int64_t idle_ms = (int64_t)engine->config->idle_connection_s * 1000;

  for (size_t i = 0; i < engine->config->ndatasources; i++) {
    conn_tidy(engine->sources[i].conn, idle_ms);
    if (engine->sources[i].teller && !post_take(engine->sources[i].teller, engine, NULL, NULL))
      conn_tidy(engine->sources[i].teller, idle_ms);
    for (size_t j = 0; j < engine->sources[i].nseconds; j++) conn_tidy(engine->sources[i].seconds[j], idle_ms);
  }
}

static bool check_version(struct source *source, const struct wait *w, struct err *e) {
  int version;

  if (!catalog_version(source->conn, &version, w, e)) return false;
  if (version >= VERSION_WANTED) return true;
  err_set(e, DATABASE_UNAVAILABLE, "The database is not prepared for writ; nothing was changed.");
  e->log_detail = arena_printf(e->mem, "datasource %s: schema writ %s: run `writ install`", source->datasource->name,
                               version ? "is of an older version" : "is missing");
  e->retry_after_s = 5;
  return false;
}

bool source_ready(struct engine *engine, size_t index, const struct wait *w, struct err *e) {
  struct source *source = &engine->sources[index];
  bool fresh;

  if (!conn_open(source->conn, w, &fresh, e)) return false;
  if (source->described) return true;
  return check_version(source, w, e) && shapes_describe(engine, index, w, e);
}

bool engine_ready(struct engine *engine, struct err *e) {
  struct wait w = {.deadline_ms = clock_ms() + READY_TIMEOUT_MS, .caller_fd = -1};

  for (size_t i = 0; i < engine->config->ndatasources; i++)
    if (!source_ready(engine, i, &w, e)) return false;
  return true;
}
