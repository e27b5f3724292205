/* writ events tail: the event log, an event a line. */
#include "cli/cli.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "engine/engine.h"
#include "events/log.h"
#include "manifest/config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ANSWER_MS = 30000, LOOK_MS = 500 };

static bool find_datasource(const struct options *o, const struct config *config, size_t *index) {
  for (*index = 0; *index < config->ndatasources; ++*index)
    if (!o->datasource || strcmp(config->datasources[*index].name, o->datasource) == 0) return true;
  fprintf(stderr, "writ: there is no datasource %s in %s\n", o->datasource, o->config_file);
  return false;
}

static const char *text_of(const struct json *event, const char *key) {
  const struct json *value = json_get(event, key);
  return value && (value->kind == JSON_STRING || value->kind == JSON_NUMBER) ? value->text : "-";
}

static void print_event(const void *mem, const struct options *o, const struct json *event) {
  struct str *s = str_new(mem, 256);

  if (o->json) json_write(s, event);
  else {
    str_printf(s, "%s  %.19s  %s  %s  ", text_of(event, "position"), text_of(event, "at"), text_of(event, "name"), text_of(event, "key"));
    json_write(s, json_get(event, "payload"));
  }
  puts(s->p);
}

/* One page; false: *e. *more: it was full. */
static bool print_page(struct engine *engine, void *mem, const struct options *o, size_t datasource, struct event_query *query, bool *more,
                       struct err *e) {
  struct wait w = {.deadline_ms = clock_ms() + ANSWER_MS, .caller_fd = -1};
  const struct json *page, *events;
  const char *text;

  if (!event_log_page(engine, mem, datasource, query, &w, &text, e) ||
      !json_read(mem, text, strlen(text), 1000, &page, e)) return false;
  events = json_get(page, "events");
  for (size_t i = 0; i < events->len; i++) print_event(mem, o, &events->items[i]);
  fflush(stdout);
  query->after = strtoll(json_get(page, "last")->text, NULL, 10);
  *more = events->len == (size_t)query->limit;
  return !ferror(stdout) || err_set(e, INTERNAL, "Standard output takes no more.");
}

static int tail(struct engine *engine, const struct options *o, size_t datasource) {
  struct event_query query = {.after = o->after, .name = o->event_name, .key = o->event_key, .limit = EVENTS_LIMIT_MAX};

  for (;;) {
    void *mem = talloc_new(engine);
    bool more = false;
    struct err e;

    err_init(&e, mem);
    if (!print_page(engine, mem, o, datasource, &query, &more, &e)) return cli_fail(&e);
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
  return tail(engine_new(mem, config, manifest, NULL), o, datasource);
}
