/* Handlers: services (http:) and modules (module:). */
#include "engine/handler.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/str.h"
#include "commands/arguments.h"
#include "engine/call_token.h"
#include "engine/crowd.h"
#include "engine/engine_inside.h"
#include "engine/idempotency.h"
#include "engine/module.h"
#include "engine/service_call.h"

/* {"result": } around what a command may give. */
enum { ENVELOPE_BYTES = 256, BUSY_RETRY_S = 1 };

struct held {
  const struct mutex_held *list;
  size_t n;
};

/* As what the handler's own calls are made. */
static struct call_token token_for(struct run *r, const struct node *node, const struct held *held) {
  struct frame *frame = r->call->frame;
  struct call_token token = {.caller = *r->call->caller,
                             .mutation = r->mutation,
                             .deadline_ms = r->wait.deadline_ms,
                             .depth = (r->call->token ? r->call->token->depth : 0) + 1,
                             .key = r->call->key ? r->call->key->key : NULL,
                             .held = held->list,
                             .nheld = held->n};

  if (frame) token.key = frame->inside_key(frame, r, node->entry);
  token.caller.inside = true;
  if (r->call->watch) {
    token.state = (unsigned)r->call->watch->datasource + 1;
    token.attempt = r->call->watch->attempt;
  }
  return token;
}

/* What the handler may call back with until then; NULL: this process has no listener that would take it (the tool writ). */
static const char *token_text(struct run *r, const struct node *node, const struct held *held, int64_t until_ms) {
  struct call_token token = token_for(r, node, held);

  if (until_ms < token.deadline_ms) token.deadline_ms = until_ms;
  return r->engine->call_secret ? call_token_write(r->mem, r->engine->call_secret, &token) : NULL;
}

static void prepare(struct run *r, const struct node *node, const struct held *held, struct service_call *call) {
  const struct service *service = node->command->http;
  struct str *body = str_new(r->mem, 512);
  /* Nobody waits for it beyond that, and its mutexes are free again. */
  const char *token = token_text(r, node, held, clock_ms() + service->timeout_ms);

  str_char(body, '{');
  service_body(r, service, node->command, node->args, true, body);
  if (token) {
    str_add(body, ",\"call\":");
    str_json(body, token);
  }
  str_char(body, '}');
  service_prepare(r, service, body, call);
  call->exchange.max_answer_bytes = (size_t)r->engine->config->max_result_bytes + ENVELOPE_BYTES;
  if (token) service_header(call, "Writ-Call", token);
}

static void count(const struct run *r, bool done) {
  struct counters *c = r->engine->counters;

  if (!c) return;
  if (done) c->handlers_done++;
  else if (r->e->status < 500 && r->e->code != ERR_CALLER_GONE) c->handlers_refused++;
  else c->handlers_failed++;
}

/* {"result": anything}, or nothing. */
static bool take_result(struct run *r, const char *who, const struct json *answer, struct node *node) {
  static const struct json nothing = {.kind = JSON_NULL};
  const struct json *result = json_get(answer, "result");
  struct str *text = str_new(r->mem, 256);

  if (answer->len && (answer->len != 1 || !result))
    return service_failed(r->e, who, "answered with something else than {\"result\": ...}");
  node->value = result ? result : &nothing;
  json_write(text, node->value);
  node->text = text->p;
  node->len = text->len;
  return true;
}

static bool may_go_deeper(struct run *r) {
  unsigned depth = r->call->token ? r->call->token->depth : 0;
  int most = r->engine->config->calls_deep;

  return depth < (unsigned)most ||
         err_set(r->e, CALLS_TOO_DEEP, "Handlers call each other more than %d deep (limits.calls_deep).", most);
}

static bool ask(struct run *r, struct node *node, const struct held *held) {
  const char *who = arena_printf(r->mem, "handler %s", node->command->name);
  struct service_call call;
  bool ok;

  prepare(r, node, held, &call);
  http_run(engine_http(r->engine), r->mem, &call.exchange, 1, &r->wait);
  r->report->handler_us += call.exchange.took_us;
  r->report->handlers++;
  ok = service_answer(r, who, &call, r->e) && take_result(r, who, call.answer, node);
  count(r, ok);
  return ok;
}

/* Inside workers do not wait for each other: the last one that is free never goes into a handler. */
static bool ask_in_turn(struct run *r, struct node *node, const struct held *held) {
  struct engine *engine = r->engine;
  bool inside = engine->page && engine->counters->pool == COUNTERS_INSIDE, ok;

  if (inside && !crowd_enter(engine->page, engine->counters, engine->config->inside_workers - 1)) {
    err_set(r->e, HANDLERS_BUSY, "All places for handlers that are called by handlers are taken; nothing was done.");
    r->e->retry_after_s = BUSY_RETRY_S;
    engine->counters->handlers_busy++;
    return false;
  }
  ok = ask(r, node, held);
  if (inside) crowd_leave(engine->counters);
  return ok;
}

/* A module's calls are made by this worker itself, so it waits for no other, and takes no place. */
static bool run_module(struct run *r, struct node *node, const struct held *held) {
  struct call_token token = token_for(r, node, held);
  struct invocation inside = *r->call;
  struct str *args = str_new(r->mem, 256);
  int64_t begun_us = clock_us();
  struct watch *watch = r->call->watch;
  bool part = watch && watch->part, ok;

  inside.caller = &token.caller;
  inside.token = &token;
  inside.key = NULL; /* each call has one of its own, */
  inside.mutation = NULL;
  inside.frame = NULL; /* and transactions that are no steps of this mutation */
  inside.first = 0;
  inside.held = token.held;
  inside.nheld = token.nheld;
  arguments_write(args, r->set, node->command, node->args, true);
  if (watch) watch->part = true;
  ok = module_run(r->engine, r->mem, node->command, args->p, args->len, &inside, r->report, &node->text, &node->len, r->e);
  if (watch) watch->part = part;
  r->report->handler_us += clock_us() - begun_us;
  r->report->handlers++;
  count(r, ok);
  return ok;
}

static struct node *node_of(const struct run *r, size_t index) {
  size_t i = r->set->entries[index].first_node;

  while (r->set->nodes[i]->command->kind != COMMAND_HANDLER) i++;
  return r->set->nodes[i];
}

static bool run_program(struct run *r, struct node *node, const struct held *held) {
  return node->command->module ? run_module(r, node, held) : ask_in_turn(r, node, held);
}

/* Its mutexes are held for the whole call. Without any the database is not asked for. */
static bool ask_alone(struct run *r, size_t index, struct node *node) {
  struct held held = {r->call->held, r->call->nheld};
  bool ok;

  if (!node->command->nmutexes) return transaction_guard(r, index) && run_program(r, node, &held);
  ok = mutex_hold(r, index, &held.list, &held.n) && transaction_guard(r, index) && run_program(r, node, &held);
  mutex_release(r);
  return ok;
}

bool handler_run(struct run *r, size_t index) {
  struct node *node = node_of(r, index);

  if (may_go_deeper(r) && ask_alone(r, index, node)) return true;
  compile_place(r->mem, r->set, node, NULL, r->e);
  return false;
}
