/* From a request to its answer: finds the route, judges path and method, and keeps the books (log line, counters). */
#include "handlers/dispatch.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/str.h"
#include "handlers/answer.h"
#include "handlers/command.h"
#include "handlers/events.h"
#include "handlers/graphql.h"
#include "handlers/headers.h"
#include "handlers/health.h"
#include "handlers/metrics.h"
#include "handlers/mutation.h"
#include "handlers/openapi.h"
#include "manifest/config.h"

#include <string.h>

struct route {
  const char *path; /* below WRIT_PREFIX; one that ends in '/' is followed by a NAME */
  const char *const *methods;
  const char *allow; /* the same for the Allow header */
  bool inside_only;  /* on the border there is nothing at this path */
  call_step *find;   /* is there something of that NAME? NULL: there is no NAME */
  call_step *run;
  void (*refuse)(struct call *call, const struct err *e); /* NULL: an error is answered as problem+json */
};

static const char *const post[] = {"POST", NULL};
static const char *const get_post[] = {"GET", "POST", NULL};
static const char *const get[] = {"GET", "HEAD", NULL};
static const char *const get_or_delete[] = {"GET", "HEAD", "DELETE", NULL};

static const struct route routes[] = {
    {"/command/", post, "POST", false, command_find, command_run, NULL},
    {"/graphql", get_post, "GET, POST", false, NULL, graphql_run, graphql_answer_error},
    {"/mutation/", get_or_delete, "GET, HEAD, DELETE", false, mutation_find, mutation_state, NULL},
    {"/events", get, "GET, HEAD", false, NULL, events_show, NULL},
    {"/openapi.json", get, "GET, HEAD", false, NULL, openapi_show, NULL},
    {"/healthz", get, "GET, HEAD", true, NULL, health_alive, NULL},
    {"/readyz", get, "GET, HEAD", true, NULL, health_ready, NULL},
    {"/metrics", get, "GET, HEAD", true, NULL, metrics_show, NULL},
};
enum { NROUTES = sizeof routes / sizeof *routes };

const char *path_below(const char *uri, const char *prefix) {
  size_t len = prefix ? strlen(prefix) : 0;

  if (!uri) return NULL;
  while (len > 0 && prefix[len - 1] == '/') len--;
  if (strncmp(uri, prefix ? prefix : "", len) != 0 || uri[len] != '/') return NULL;
  return uri + len;
}

static const struct route *find_route(struct call *call) {
  const char *path = path_below(call->request->uri, call->request->prefix);

  for (size_t i = 0; path && i < NROUTES; i++) {
    const struct route *r = &routes[i];
    size_t len = strlen(r->path);

    if (r->inside_only && !call->request->inside) continue;
    if (!r->find) {
      if (strcmp(path, r->path) == 0) return r;
    } else if (strncmp(path, r->path, len) == 0 && path[len]) {
      call->name = path + len;
      return r;
    }
  }
  return NULL;
}

static bool method_is_one_of(const char *method, const char *const *methods) {
  for (; method && *methods; methods++)
    if (strcmp(method, *methods) == 0) return true;
  return false;
}

/* The order in which a request is judged: path, method; what follows is the handler's. */
static bool judge(struct call *call, const struct route *route, struct err *e) {
  if (!route) return err_set(e, NOT_FOUND, "There is nothing at this path.");
  if (route->find && !route->find(call, e)) return false;
  if (!method_is_one_of(call->request->method, route->methods)) {
    answer_header(call->answer, "Allow", route->allow);
    return err_set(e, METHOD_NOT_ALLOWED, "This path takes %s only.", route->allow);
  }
  return route->run(call, e);
}

/* ---- the books ---- */

static void count(struct call *call, int64_t total_us) {
  struct counters *own = call->site->own;
  int hundreds = call->answer->status / 100;

  if (!own) return;
  if (call->request->inside) own->requests_inside++;
  else own->requests_border++;
  if (hundreds >= 0 && hundreds < (int)(sizeof own->status / sizeof *own->status)) own->status[hundreds]++;
  own->replays += call->report.replayed;
  own->request_us += (uint64_t)total_us;
  own->postgres_us += (uint64_t)call->report.postgres_us;
  own->hook_us += (uint64_t)call->report.hook_us;
  own->handler_us += (uint64_t)call->report.handler_us;
  own->request_bucket[counters_bucket(total_us)]++;
}

/* 501 tells of the client, not of us. A probe that is fine is no news: it comes every few seconds. */
static enum log_level level_of(const struct call *call, int64_t total_us) {
  int slow_ms = engine_config(call->site->engine)->slow_ms;

  if (call->answer->status >= 500 && call->answer->status != 501) return LOG_ERROR;
  if (slow_ms > 0 && total_us >= (int64_t)slow_ms * 1000) return LOG_WARN;
  return call->label || call->answer->status >= 400 ? LOG_INFO : LOG_DEBUG;
}

static void ms_pair(struct str *s, const char *name, int64_t us) {
  str_printf(s, " %s=%lld.%03lld", name, (long long)(us / 1000), (long long)(us % 1000));
}

/* The detail of an error may hold what PostgreSQL said: for the log alone. */
static void tell_error(struct str *s, const struct err *e) {
  if (e->sqlstate[0]) str_printf(s, " sqlstate=%s", e->sqlstate);
  if (e->message) str_printf(s, " message=%s", log_quoted(s, e->message));
  if (e->log_detail) str_printf(s, " detail=%s", log_quoted(s, e->log_detail));
  if (e->file) str_printf(s, " at=%s:%d", e->file, e->line);
}

/* A code of the application's own may be any text. */
static const char *code_of(const void *mem, const struct err *e) {
  const char *name = e->code == ERR_NONE ? "-" : err_name(e);
  size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.:");

  return name[n] || !n ? log_quoted(mem, name) : name;
}

static void write_log_line(struct call *call, const struct err *e, int64_t total_us) {
  enum log_level level = level_of(call, total_us);
  const struct request *r = call->request;
  const struct report *report = &call->report;
  struct str *s;
  char trace[33];

  if (!log_on(level)) return;
  s = str_new(r->mem, 512);
  str_printf(s, "id=%s command=%s role=%s status=%d code=%s", call->request_id, call->label ? call->label : "-",
             log_quoted(s, call->caller.role), call->answer->status, code_of(s, e));
  ms_pair(s, "total_ms", total_us);
  ms_pair(s, "db_ms", report->postgres_us);
  if (report->hooks) ms_pair(s, "hook_ms", report->hook_us);
  if (report->handlers) ms_pair(s, "handler_ms", report->handler_us);
  str_printf(s, " rows=%llu flights=%u retries=%u bytes=%zu", (unsigned long long)report->rows, report->flights,
             report->retries, call->answer->body->len);
  if (report->replayed) str_add(s, " replay=1");
  if (headers_trace_id(r->traceparent, trace)) str_printf(s, " trace=%s", trace);
  if (level == LOG_ERROR) tell_error(s, e);
  log_line(level, "request", "%s", s->p);
}

static const char *request_id(const struct request *r) {
  char *made;

  if (headers_request_id(r->x_request_id)) return r->x_request_id;
  made = arena_array(r->mem, char, 37);
  clock_uuid7(made);
  return made;
}

void dispatch(struct site *site, struct request *request, struct answer *answer) {
  struct call call = {.site = site, .request = request, .answer = answer, .request_id = request_id(request)};
  const struct route *route;
  struct err e;
  int64_t total_us;

  call.caller.role = "-";
  err_init(&e, request->mem);
  answer_init(answer, request->mem, call.request_id);
  route = find_route(&call);
  if (!judge(&call, route, &e)) {
    if (e.code == ERR_NONE) err_set(&e, INTERNAL, "The request failed.");
    if (route && route->refuse) route->refuse(&call, &e);
    else answer_error(answer, &e, call.request_id);
  }
  /* RFC 9110 section 9.3.2: the same header fields, no content. */
  if (request->method && strcmp(request->method, "HEAD") == 0) str_clear(answer->body);
  total_us = clock_us() - request->received_us;
  count(&call, total_us);
  write_log_line(&call, &e, total_us);
}
