/* GET /events?after=POSITION&name=&key=&limit=&datasource= */
#include "handlers/events.h"

#include "base/str.h"
#include "events/log.h"
#include "handlers/headers.h"
#include "handlers/identity.h"
#include "handlers/query_string.h"
#include "manifest/config.h"
#include "manifest/manifest.h"

#include <stdlib.h>
#include <string.h>

#define POSITION_MAX 999999999999999999LL /* digits that fit into 64 bits, whichever they are */

enum { ASK_AFTER, ASK_NAME, ASK_KEY, ASK_LIMIT, ASK_DATASOURCE, ASKS };
static const char *const asks[ASKS + 1] = {"after", "name", "key", "limit", "datasource", NULL};

bool events_may_read(const struct manifest *m, const struct caller *caller, struct err *e) {
  if (caller->inside) return true;
  /* Without readers it is not there for anybody outside. */
  if (!m->nevent_readers) return err_set(e, NOT_FOUND, "There is nothing at this path.");
  for (size_t i = 0; i < m->nevent_readers; i++)
    if (strcmp(m->event_readers[i], caller->role) == 0) return true;
  if (strcmp(caller->role, "anonymous") == 0) return err_set(e, UNAUTHENTICATED, "Sign in to read events.");
  return err_set(e, FORBIDDEN, "The role \"%s\" may not read events.", caller->role);
}

static bool number(const char *text, const char *what, int64_t min, int64_t max, int64_t *out, struct err *e) {
  size_t n = text ? strlen(text) : 0;

  if (!text) return true;
  *out = n && n < 19 && strspn(text, "0123456789") == n ? strtoll(text, NULL, 10) : -1;
  return (*out >= min && *out <= max) || err_set(e, BAD_REQUEST, "The parameter \"%s\" is a whole number from %lld to %lld.",
                                                 what, (long long)min, (long long)max);
}

static bool find_datasource(const struct config *config, const char *name, size_t *index, struct err *e) {
  *index = 0;
  for (size_t i = 0; name && i < config->ndatasources; i++)
    if (strcmp(config->datasources[i].name, name) == 0) {
      *index = i;
      return true;
    }
  return !name || err_set(e, BAD_REQUEST, "There is no datasource \"%.100s\".", name);
}

bool events_query(const struct config *config, const struct request *r, struct event_query *query, size_t *datasource,
                  struct err *e) {
  const char *values[ASKS];
  int64_t limit = EVENTS_LIMIT;

  *query = (struct event_query){0};
  if (!query_string_read(r->mem, r->query, asks, values, e) ||
      !number(values[ASK_AFTER], "after", 0, POSITION_MAX, &query->after, e) ||
      !number(values[ASK_LIMIT], "limit", 1, EVENTS_LIMIT_MAX, &limit, e) ||
      !find_datasource(config, values[ASK_DATASOURCE], datasource, e))
    return false;
  query->limit = (int)limit;
  query->name = values[ASK_NAME];
  query->key = values[ASK_KEY];
  return true;
}

bool events_show(struct call *call, struct err *e) {
  const struct request *r = call->request;
  struct engine *engine = call->site->engine;
  const struct config *config = engine_config(engine);
  struct wait w = {.deadline_ms = r->received_us / 1000 + config->timeout_ms, .caller_fd = r->caller_fd};
  struct event_query query;
  size_t datasource;
  const char *text;

  call->label = "events";
  if (!identity_read(r, call->request_id, (unsigned)config->max_depth, &call->caller, e) ||
      !events_may_read(engine_manifest(engine), &call->caller, e))
    return false;
  if (!headers_accept_json(r->accept)) return err_set(e, NOT_ACCEPTABLE, "Answers are application/json.");
  if (!events_query(config, r, &query, &datasource, e) || !event_log_page(engine, r->mem, datasource, &query, &w, &text, e))
    return false;
  str_add(call->answer->body, text);
  return true;
}
