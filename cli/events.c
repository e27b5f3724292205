/* writ events tail: the event log, an event a line. */
#include "cli/cli.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/engine.h"
#include "events/log.h"
#include "manifest/config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
  ANSWER_MS = 30000,
  LOOK_MS = 500,
  AWAY_MAX = 60, /* looks at a database that is away, before that is told */
};

static bool find_datasource(const struct options *o, const struct config *config, size_t *index) {
  for (*index = 0; *index < config->ndatasources; ++*index)
    if (!o->datasource || strcmp(config->datasources[*index].name, o->datasource) == 0) return true;
  fprintf(stderr, "writ: there is no datasource %s in %s\n", o->datasource, o->config_file);
  return false;
}

static void print_event(const void *mem, const struct options *o, const struct json *event) {
  struct str *s = str_new(mem, 256);

  if (o->json) json_write(s, event);
  else {
    str_printf(s, "%s  %.19s  %s  %s  ", cli_text(mem, event, "position"), cli_text(mem, event, "at"),
               cli_text(mem, event, "name"), cli_text(mem, event, "key"));
    cli_put_json(s, json_get(event, "payload"));
  }
  puts(s->p);
}

/* One page; false: *e. *more: it was full. */
static bool print_page(struct engine *engine, void *mem, const struct options *o, size_t datasource,
                       struct event_query *query, bool *more, struct err *e) {
  struct wait w = {.deadline_ms = clock_ms() + ANSWER_MS, .caller_fd = -1};
  const struct json *page, *events;
  const char *text;

  if (!event_log_page(engine, mem, datasource, query, &w, &text, e) || !json_read(mem, text, strlen(text), 1000, &page, e))
    return false;
  events = json_get(page, "events");
  for (size_t i = 0; i < events->len; i++) print_event(mem, o, &events->items[i]);
  fflush(stdout);
  query->after = strtoll(json_get(page, "last")->text, NULL, 10);
  *more = events->len == (size_t)query->limit;
  return !ferror(stdout) || err_set(e, INTERNAL, "Standard output takes no more.");
}

/* One that goes on survives a restart of PostgreSQL. */
static bool may_wait(const struct options *o, const struct err *e, bool seen, unsigned away) {
  return o->follow && seen && away <= AWAY_MAX && e->code == ERR_DATABASE_UNAVAILABLE;
}

static int tail(struct engine *engine, const struct options *o, size_t datasource) {
  struct event_query query = {.after = o->after, .name = o->event_name, .key = o->event_key, .limit = EVENTS_LIMIT_MAX};

  bool seen = false;

  for (unsigned away = 0;;) {
    void *mem = talloc_new(engine);
    bool more = false, ok;
    struct err e;

    err_init(&e, mem);
    ok = print_page(engine, mem, o, datasource, &query, &more, &e);
    if (!ok && !may_wait(o, &e, seen, ++away)) return cli_fail(&e);
    seen |= ok;
    if (ok) away = 0;
    talloc_free(mem);
    if (!more && !o->follow) return 0;
    if (!more) nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
  }
}

int cli_events(void *mem, const struct options *o) {
  struct config *config;
  struct manifest *manifest;
  size_t datasource;

  if (strcmp(o->operands[0], "tail") != 0) {
    fprintf(stderr, "usage: writ events tail [--after POSITION] [--name NAME] [--key KEY] [--follow] [--json]\n");
    return 2;
  }
  if (!cli_load(mem, o, &config, &manifest)) return 1;
  if (!find_datasource(o, config, &datasource)) return 2;
  log_set_level((enum log_level)0);
  return tail(engine_new(mem, config, manifest, NULL), o, datasource);
}
