/* A call of a module's function, and what the function may ask for while it runs. */
#include "engine/module_inside.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/call_token.h"
#include "engine/engine_inside.h"
#include "engine/idempotency.h"
#include "manifest/manifest.h"

#include <limits.h>
#include <string.h>

/* JSON that a module makes may hold results, which PostgreSQL may have nested deeper than a request may be. */
enum { JSON_DEPTH = 1000, CODE_BYTES = 63, EVENT_BYTES = 63 };

static struct module_call *inside_of(struct writ_call *shown) { return (struct module_call *)shown; }
static size_t length(const char *text, size_t len) { return len == WRIT_TEXT ? strlen(text) : len; }

static const char *give(const char *text, size_t len, size_t *out_len) {
  if (out_len) *out_len = len;
  return text;
}

/* The module's own mistake: the client learns no more than that. */
static int misused(struct module_call *call, const char *what, const char *why) {
  err_set(&call->error, HANDLER_FAILED, "The command failed.");
  call->error.log_detail = arena_printf(call->mem, "module: %s: %s", what, why);
  return WRIT_FAILED;
}

/* Is it one JSON text? What reading takes is given back. */
static bool is_json(struct module_call *call, const char *json, size_t len, struct err *e) {
  void *scratch = talloc_new(call->mem);
  const struct json *root;
  bool ok = json_read(scratch, json, len, JSON_DEPTH, &root, e);

  talloc_free(scratch);
  return ok;
}

/* ---- what was asked, and by whom ---- */

static const char *get_command(struct writ_call *shown) { return inside_of(shown)->function->command->name; }
static const char *get_request_id(struct writ_call *shown) { return inside_of(shown)->request_id; }
static const char *get_role(struct writ_call *shown) { return inside_of(shown)->caller->role; }
static const char *get_user(struct writ_call *shown) { return inside_of(shown)->caller->user; }

static const char *get_args(struct writ_call *shown, size_t *len) {
  return give(inside_of(shown)->args, inside_of(shown)->args_len, len);
}

static const char *get_config(struct writ_call *shown, size_t *len) {
  return give(inside_of(shown)->function->config, inside_of(shown)->function->config_len, len);
}

static const char *get_claims(struct writ_call *shown, size_t *len) {
  const char *claims = caller_claims(inside_of(shown)->mem, inside_of(shown)->caller);
  return give(claims, strlen(claims), len);
}

static long get_deadline(struct writ_call *shown) {
  int64_t left = inside_of(shown)->deadline_ms - clock_ms();
  return left < 0 ? 0 : left > LONG_MAX ? LONG_MAX : (long)left;
}

static void *alloc(struct writ_call *shown, size_t bytes) {
  return arena_zero(inside_of(shown)->mem, bytes ? bytes : 1, "module");
}

/* ---- commands ---- */

/* The Idempotency-Key of a call within one that has a key. A module that asks for the same twice means two. */
static const struct idempotency *key_of(struct module_call *call, const struct command *command, const struct json *args) {
  const struct call_token *token = call->inside->token;
  const char *fingerprint;
  unsigned times = 0;

  if (!token->key) return NULL;
  fingerprint = idempotency_new(call->mem, call->caller, "", command, args)->fingerprint;
  for (size_t i = 0; i < call->nasked; i++) times += strcmp(call->asked[i], fingerprint) == 0;
  arena_grow(call->mem, call->asked, call->nasked);
  call->asked[call->nasked++] = fingerprint;
  return idempotency_within(call->mem, token, NULL, times, command, args);
}

static bool run_inside(struct module_call *call, const char *name, const char *args_text, size_t len, struct str *answer) {
  struct invocation invocation = *call->inside;
  struct engine *engine = call->engine;
  struct err *e = &call->error;
  const struct command *command;
  const struct json *args;
  struct command_set *set;
  struct report report;
  bool ok;

  if (!json_read(call->mem, args_text, len, (unsigned)engine->config->max_depth, &args, e)) return false;
  command = set_admit(engine->manifest, name, call->caller, e);
  if (!command || !(set = set_decode(call->mem, engine->manifest, command, args, call->caller, e))) return false;
  invocation.key = key_of(call, command, args);
  ok = engine_run(engine, call->mem, set, &invocation, answer, &report, e);
  call->report->postgres_us += report.postgres_us;
  call->report->hook_us += report.hook_us;
  call->report->rows += report.rows;
  call->report->flights += report.flights;
  call->report->retries += report.retries;
  call->report->hooks += report.hooks;
  call->report->handlers += report.handlers;
  return ok;
}

/* What writ does meanwhile minds the deadline itself, and must not be cut off while it learns how a transaction ended. A
 * call begun in time gives the module its grace anew, so that it can do something about the outcome; one begun late is
 * refused, so that no loop of them lasts for ever. */
static int call_command(struct writ_call *shown, const char *command, const char *args, size_t len, const char **answer,
                        size_t *answer_len) {
  struct module_call *call = inside_of(shown);
  struct str *text;
  bool ok;

  *answer = NULL;
  if (answer_len) *answer_len = 0;
  if (!call->engine) return WRIT_NOT_SUPPORTED;
  if (clock_ms() >= call->deadline_ms) {
    err_set(&call->error, TIMEOUT, "The time for the request is over.");
    return WRIT_FAILED;
  }
  text = str_new(call->mem, 256);
  module_watch_leave();
  ok = run_inside(call, command, args, length(args, len), text);
  if (clock_ms() + MODULE_GRACE_MS > call->kill_ms) call->kill_ms = clock_ms() + MODULE_GRACE_MS;
  module_watch_enter(call->function->command->name, call->kill_ms);
  if (!ok) return WRIT_FAILED;
  *answer = give(text->p, text->len, answer_len);
  return WRIT_OK;
}

/* ---- what is answered ---- */

static int set_result(struct writ_call *shown, const char *json, size_t len) {
  struct module_call *call = inside_of(shown);
  struct err e;

  len = length(json, len);
  err_init(&e, call->mem);
  if (!is_json(call, json, len, &e)) return misused(call, "its result", e.message);
  if (call->engine && len > (size_t)call->engine->config->max_result_bytes) {
    err_set(&call->error, RESULT_TOO_LARGE, "The result is longer than %d bytes.", call->engine->config->max_result_bytes);
    return WRIT_FAILED;
  }
  call->result = arena_strndup(call->mem, json, len);
  call->result_len = len;
  return WRIT_OK;
}

static bool is_code(const char *text) {
  size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
  return text[0] >= 'A' && text[0] <= 'Z' && text[n] == '\0' && n <= CODE_BYTES;
}

/* JSON takes nothing else. */
static bool is_utf8(struct module_call *call, const char *text, size_t len) {
  struct str *quoted = str_new(call->mem, len + 16);
  struct err e;

  err_init(&e, call->mem);
  str_json_bytes(quoted, text, len);
  return is_json(call, quoted->p, quoted->len, &e);
}

static int set_error(struct writ_call *shown, const char *code, int status, const char *message) {
  struct module_call *call = inside_of(shown);
  enum err_code known;

  if (!is_code(code)) return misused(call, "writ_error", "a code is capital letters, digits and _, as in USERNAME_TAKEN");
  if (status && (status < 400 || status > 599)) return misused(call, "writ_error", "a status is 400 to 599");
  if (!is_utf8(call, message, strlen(message))) return misused(call, "writ_error", "the message is not UTF-8");
  if (!err_lookup(code, &known)) known = ERR_OWN;
  err_fill(&call->error, known, __FILE__, __LINE__, "%s", message);
  if (known == ERR_OWN) call->error.own_code = arena_strdup(call->mem, code);
  if (status) call->error.status = status;
  return WRIT_FAILED;
}

static const char *get_error_code(struct writ_call *shown) {
  const struct err *e = &inside_of(shown)->error;
  return e->code == ERR_NONE ? NULL : err_name(e);
}

static int get_error_status(struct writ_call *shown) { return inside_of(shown)->error.status; }
static const char *get_error_message(struct writ_call *shown) { return inside_of(shown)->error.message; }

/* ---- everything else ---- */

static int dispatch_event(struct writ_call *shown, const char *name, const char *payload, size_t len) {
  struct module_call *call = inside_of(shown);
  size_t n = strlen(name);
  struct err e;

  err_init(&e, call->mem);
  if (!n || n > EVENT_BYTES || !is_utf8(call, name, n))
    return misused(call, "writ_dispatch", "a name has 1 to 63 bytes of UTF-8");
  len = length(payload, len);
  if (!is_json(call, payload, len, &e)) return misused(call, "writ_dispatch", e.message);
  if (!call->engine) return WRIT_NOT_SUPPORTED;
  if (!call->inside->watch) return WRIT_OK; /* nobody could follow it */
  /* As in call_command: what writ does is not on the module's time. */
  module_watch_leave();
  call->inside->watch->event(call->inside->watch, name, arena_strndup(call->mem, payload, len), true);
  module_watch_enter(call->function->command->name, call->kill_ms);
  return WRIT_OK;
}

static void say(struct writ_call *shown, int level, const char *message) {
  struct module_call *call = inside_of(shown);
  enum log_level known = level <= LOG_ERROR  ? LOG_ERROR
                         : level == LOG_WARN ? LOG_WARN
                         : level <= LOG_INFO ? LOG_INFO
                                             : LOG_DEBUG;
  struct str *quoted;

  if (!log_on(known)) return;
  quoted = str_new(call->mem, 128);
  str_json(quoted, message);
  log_line(known, "module", "command=%s id=%s says=%s", call->function->command->name, call->request_id, quoted->p);
  talloc_free(quoted);
}

/* "a.b.0" cut at the dots; "" is no step. */
static size_t split(void *mem, const char *path, const char ***parts) {
  size_t n = 0;

  *parts = NULL;
  while (*path) {
    size_t len = strcspn(path, ".");

    arena_grow(mem, *parts, n);
    (*parts)[n++] = arena_strndup(mem, path, len);
    path += path[len] ? len + 1 : len;
  }
  return n;
}

static const char *json_get_path(struct writ_call *shown, const char *json, size_t len, const char *path, size_t *out_len) {
  struct module_call *call = inside_of(shown);
  void *scratch = talloc_new(call->mem);
  const struct json *root, *found = NULL;
  const char **parts;
  struct str *out = NULL;
  struct err e;

  err_init(&e, scratch);
  if (json_read(scratch, json, length(json, len), JSON_DEPTH, &root, &e))
    found = json_at(root, parts, split(scratch, path, &parts));
  if (found) {
    out = str_new(call->mem, 64);
    json_write(out, found);
  }
  talloc_free(scratch);
  return out ? give(out->p, out->len, out_len) : give(NULL, 0, out_len);
}

static const char *json_text_of(struct writ_call *shown, const char *json, size_t len, size_t *out_len) {
  struct module_call *call = inside_of(shown);
  void *scratch = talloc_new(call->mem);
  const struct json *root;
  const char *out = NULL;
  struct err e;
  size_t n = 0;

  err_init(&e, scratch);
  if (json_read(scratch, json, length(json, len), JSON_DEPTH, &root, &e) && root->kind == JSON_STRING) {
    out = arena_strndup(call->mem, root->text, root->len);
    n = root->len;
  }
  talloc_free(scratch);
  return give(out, n, out_len);
}

static const char *json_quote_text(struct writ_call *shown, const char *text, size_t len) {
  struct module_call *call = inside_of(shown);
  struct str *out;

  len = length(text, len);
  if (!is_utf8(call, text, len)) return NULL;
  out = str_new(call->mem, len + 16);
  str_json_bytes(out, text, len);
  return out->p;
}

static const struct writ_api api = {
    .abi = WRIT_MODULE_ABI,
    .size = sizeof(struct writ_api),
    .command = get_command,
    .args = get_args,
    .config = get_config,
    .request_id = get_request_id,
    .caller_role = get_role,
    .caller_user = get_user,
    .caller_claims = get_claims,
    .deadline_ms = get_deadline,
    .alloc = alloc,
    .call_command = call_command,
    .result = set_result,
    .error = set_error,
    .error_code = get_error_code,
    .error_status = get_error_status,
    .error_message = get_error_message,
    .dispatch = dispatch_event,
    .log = say,
    .json_get = json_get_path,
    .json_text = json_text_of,
    .json_quote = json_quote_text,
};

/* ---- calls ---- */

static const struct caller nobody = {.role = "anonymous", .inside = true};

void module_call_open(struct module_call *call, void *mem, const struct module_function *f) {
  int64_t end_ms = clock_ms() + MODULE_OPEN_MS;

  *call = (struct module_call){.shown = {&api},
                               .mem = mem,
                               .function = f,
                               .caller = &nobody,
                               .request_id = "-",
                               .args = "{}",
                               .args_len = 2,
                               .deadline_ms = end_ms,
                               .kill_ms = end_ms};
  err_init(&call->error, mem);
}

/* How far an execute_command_set within got means nothing to who did not ask for it; its places are the handler's to
 * change. */
static bool pass_error(const struct module_call *call, struct err *e) {
  if (call->error.code == ERR_NONE) {
    err_set(e, HANDLER_FAILED, "The command failed.");
    e->log_detail = arena_printf(e->mem, "module: function %s failed and does not say why", call->function->function.name);
  } else {
    *e = call->error;
  }
  e->committed = -1;
  return false;
}

static bool is_ready(struct engine *engine, const struct command *c, const struct invocation *call, struct err *e) {
  const char *fault;

  engine_load_modules(engine);
  fault = engine->modules->of[c->id].fault;
  if (fault) {
    err_set(e, HANDLER_FAILED, "The command is out of order.");
    e->log_detail = arena_printf(e->mem, "module %s: %s", c->module->file, fault);
    return false;
  }
  return clock_ms() < call->deadline_ms || err_set(e, TIMEOUT, "The time for the request is over.");
}

bool module_run(struct engine *engine, void *mem, const struct command *c, const char *args, size_t args_len,
                const struct invocation *inside, struct report *report, const char **result, size_t *result_len,
                struct err *e) {
  struct module_call call = {.shown = {&api},
                             .mem = mem,
                             .engine = engine,
                             .inside = inside,
                             .report = report,
                             .caller = inside->caller,
                             .request_id = inside->request_id,
                             .args = args,
                             .args_len = args_len,
                             .deadline_ms = inside->deadline_ms,
                             .result = "null",
                             .result_len = 4};
  int done;

  if (!is_ready(engine, c, inside, e)) return false;
  call.function = &engine->modules->of[c->id];
  call.kill_ms = call.deadline_ms + MODULE_GRACE_MS;
  err_init(&call.error, mem);
  module_watch_enter(c->name, call.kill_ms);
  done = call.function->function.run(&call.shown, call.function->state);
  module_watch_leave();
  if (done != WRIT_OK) return pass_error(&call, e);
  *result = call.result;
  *result_len = call.result_len;
  return true;
}
