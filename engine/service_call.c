/* A request to a service and its answer. */
#include "engine/service_call.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/str.h"
#include "commands/arguments.h"
#include "engine/engine_inside.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MESSAGE_BYTES = 1000, RETRY_AFTER_MAX_S = 86400, STATUS_MIN = 400, STATUS_MAX = 499 };

/* ---- request ---- */

static void put_caller(const struct run *r, struct str *out) {
  const struct caller *caller = r->call->caller;

  str_add(out, ",\"caller\":{\"role\":");
  str_json(out, caller->role);
  str_add(out, ",\"user\":");
  str_json(out, caller->user);
  str_printf(out, ",\"claims\":%s}", caller_claims(r->mem, caller));
}

void service_body(struct run *r, const struct service *service, const struct command *c, const struct expr **args,
                  bool plain, struct str *out) {
  str_add(out, "\"command\":");
  str_json(out, c->name);
  str_add(out, ",\"args\":");
  arguments_write(out, r->set, c, args, plain);
  put_caller(r, out);
  str_add(out, ",\"mutation\":");
  str_json(out, r->mutation);
  str_add(out, ",\"request_id\":");
  str_json(out, r->call->request_id);
  if (!service->config) return;
  str_add(out, ",\"config\":");
  json_write(out, service->config);
}

void service_header(struct service_call *call, const char *name, const char *value) {
  call->headers[call->exchange.nheaders++] = (struct http_header){name, value};
}

/* Each message has an id of its own: what a receiver keeps against replays must let our next request pass. */
static void sign(struct run *r, const struct service *service, const struct str *body, struct service_call *call) {
  char *id = arena_array(r->mem, char, 37);
  int64_t now = time(NULL);

  clock_uuid7(id);
  service_header(call, "webhook-id", id);
  service_header(call, "webhook-timestamp", arena_printf(r->mem, "%lld", (long long)now));
  service_header(call, "webhook-signature",
                 signature_of(r->mem, service->secrets, service->nsecrets, id, now, body->p, body->len));
}

void service_prepare(struct run *r, const struct service *service, const struct str *body, struct service_call *call) {
  *call = (struct service_call){.service = service};
  call->exchange = (struct http_exchange){.endpoint = &service->endpoint,
                                          .timeout_ms = service->timeout_ms,
                                          .max_answer_bytes = SERVICE_ANSWER_BYTES,
                                          .headers = call->headers,
                                          .body = body->p,
                                          .len = body->len};
  service_header(call, "X-Request-Id", r->call->request_id);
  if (service->nsecrets) sign(r, service, body, call);
}

/* ---- answer ---- */

bool service_failed(struct err *e, const char *who, const char *why) {
  err_set(e, HANDLER_FAILED, "A service that the command needs has failed.");
  e->log_detail = arena_printf(e->mem, "%s: %s", who, why);
  return false;
}

static bool given_up(const struct run *r, const char *who, struct err *e) {
  if (clock_ms() < r->wait.deadline_ms) return err_set(e, CALLER_GONE, "The caller hung up.");
  err_set(e, TIMEOUT, "The request took too long.");
  e->log_detail = arena_printf(e->mem, "%s: not answered before the request's deadline", who);
  return false;
}

static bool is_json(const char *type) {
  static const char *const types[] = {"application/json", "application/problem+json"};
  size_t n = type ? strcspn(type, "; \t") : 0;

  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (n == strlen(types[i]) && strncasecmp(type, types[i], n) == 0) return true;
  return false;
}

/* The object of an answer; empty for an empty body. NULL: it is none, or not strict JSON. */
static const struct json *read_object(struct run *r, const struct http_exchange *x, const char **why) {
  static const struct json nothing = {.kind = JSON_OBJECT};
  const struct json *value;
  struct err e;

  err_init(&e, r->mem);
  if (!x->answer_len) return &nothing;
  if (!json_read(r->mem, x->answer, x->answer_len, (unsigned)r->engine->config->max_depth, &value, &e)) {
    *why = arena_printf(r->mem, "answered %d with what is no JSON: %s", x->status, e.message);
    return NULL;
  }
  *why = arena_printf(r->mem, "answered %d with %s, not an object", x->status, json_kind_name(value->kind));
  return value->kind == JSON_OBJECT ? value : NULL;
}

static const char *text_of(const struct json *object, const char *name) {
  const struct json *value = json_get(object, name);
  return value && value->kind == JSON_STRING ? value->text : NULL;
}

static bool is_code(const char *text) {
  size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
  return n > 0 && n <= 63 && text[n] == '\0';
}

/* The status that the answer's object names, else that of the answer; 0: not one that a refusal may have. */
static int status_of(const struct json *object, int status) {
  const struct json *value = json_get(object, "status");

  if (value) status = value->kind == JSON_NUMBER && value->len == 3 ? atoi(value->text) : 0;
  return status >= STATUS_MIN && status <= STATUS_MAX ? status : 0;
}

/* One of our codes keeps its meaning; those of 5xx say what only writ can know. */
static bool take_code(struct err *e, const char *name, const char *message) {
  enum err_code code;

  if (!err_lookup(name, &code)) code = ERR_OWN;
  else if (err_status(code) > STATUS_MAX || code == ERR_CALLER_GONE) return false;
  err_fill(e, code, __FILE__, __LINE__, "%s", message ? message : "The command was refused.");
  if (code == ERR_OWN) e->own_code = name;
  return true;
}

static int retry_after(const char *text) {
  int seconds = text && *text && strlen(text) < 8 && strspn(text, "0123456789") == strlen(text) ? atoi(text) : 0;
  return seconds > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : seconds;
}

/* 4xx with {"code", "message" or "detail", "status"}: the caller gets just that. */
static bool refusal(struct run *r, const char *who, const struct http_exchange *x, struct err *e) {
  const char *why = "answered without JSON", *code, *message;
  const struct json *object = is_json(x->content_type) ? read_object(r, x, &why) : NULL, *retryable;
  int status;

  if (!object) return service_failed(e, who, arena_printf(r->mem, "status %d: %s", x->status, why));
  code = text_of(object, "code");
  message = text_of(object, "message");
  if (!message) message = text_of(object, "detail");
  status = status_of(object, x->status);
  if (!code || !is_code(code))
    return service_failed(
        e, who, arena_printf(r->mem, "refused with status %d, but without a \"code\" of letters, digits and _", x->status));
  if (!status) return service_failed(e, who, "refused, but its \"status\" is not from 400 to 499");
  if (message && strlen(message) > MESSAGE_BYTES) return service_failed(e, who, "refused with too long a message");
  if (!take_code(e, code, message)) return service_failed(e, who, arena_printf(r->mem, "refused with the code %s", code));
  retryable = json_get(object, "retryable");
  e->status = status;
  if (retryable) e->retryable = retryable->kind == JSON_TRUE;
  e->retry_after_s = retry_after(x->retry_after);
  return false;
}

bool service_answer(struct run *r, const char *who, struct service_call *call, struct err *e) {
  const struct http_exchange *x = &call->exchange;
  const char *why;

  if (x->end == HTTP_GIVEN_UP) return given_up(r, who, e);
  if (x->end != HTTP_ANSWERED) return service_failed(e, who, x->why);
  if (x->status >= STATUS_MIN && x->status <= STATUS_MAX) return refusal(r, who, x, e);
  if (x->status < 200 || x->status > 299)
    return service_failed(e, who, arena_printf(r->mem, "answered with status %d", x->status));
  call->answer = read_object(r, x, &why);
  return call->answer || service_failed(e, who, why);
}
