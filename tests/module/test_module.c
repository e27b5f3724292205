/* A module for tests/system/test_module.py: what modules may do, and what they had better not. */
#include <writ-module.h>

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct text {
  char *p;
  size_t len;
};

static void add(struct text *t, const char *more) {
  size_t n = strlen(more);

  t->p = realloc(t->p, t->len + n + 1);
  memcpy(t->p + t->len, more, n + 1);
  t->len += n;
}

/* The argument as JSON, "null" where it is not there. */
static const char *arg(struct writ_call *call, const char *name) {
  const char *value = writ_json_get(call, writ_args(call, NULL), WRIT_TEXT, name, NULL);
  return value ? value : "null";
}

static const char *text_arg(struct writ_call *call, const char *name) {
  const char *text = writ_json_text(call, arg(call, name), WRIT_TEXT, NULL);
  return text ? text : "";
}

static int answer(struct writ_call *call, struct text *t) {
  int done = writ_result(call, t->p, t->len);

  free(t->p);
  return done;
}

static void member(struct text *t, const char *name, const char *json) {
  add(t, t->len ? ",\"" : "{\"");
  add(t, name);
  add(t, "\":");
  add(t, json);
}

/* All that a module learns. */
static int run_echo(struct writ_call *call, void *state) {
  struct text t = {NULL, 0};
  const char *user = writ_caller_user(call);
  size_t n;

  (void)state;
  member(&t, "command", writ_json_quote(call, writ_command(call), WRIT_TEXT));
  member(&t, "args", writ_args(call, &n));
  member(&t, "length", n == strlen(writ_args(call, NULL)) ? "true" : "false");
  member(&t, "config", writ_config(call, NULL));
  member(&t, "role", writ_json_quote(call, writ_caller_role(call), WRIT_TEXT));
  member(&t, "user", user ? writ_json_quote(call, user, WRIT_TEXT) : "null");
  member(&t, "claims", writ_caller_claims(call, NULL));
  member(&t, "id", writ_json_quote(call, writ_request_id(call), WRIT_TEXT));
  member(&t, "in_time", writ_deadline_ms(call) > 0 ? "true" : "false");
  add(&t, "}");
  return answer(call, &t);
}

/* Runs a command, and gives its answer, or its error as a result (catch), or as it is. */
static int run_call(struct writ_call *call, void *state) {
  const char *text, *value = arg(call, "args");
  struct text t = {NULL, 0};
  char status[16];
  size_t len;

  (void)state;
  if (writ_call_command(call, text_arg(call, "command"), value, strlen(value), &text, &len) == WRIT_OK)
    return writ_result(call, text, len);
  if (text || len || strcmp(arg(call, "catch"), "true") != 0) return WRIT_FAILED;
  usleep(50000); /* what it does about it takes a moment */
  snprintf(status, sizeof status, "%d", writ_error_status(call));
  member(&t, "code", writ_json_quote(call, writ_error_code(call), WRIT_TEXT));
  member(&t, "status", status);
  member(&t, "message", writ_json_quote(call, writ_error_message(call), WRIT_TEXT));
  add(&t, "}");
  return answer(call, &t);
}

/* Adds a row, then another that fails, or ends as `how` says. */
static int run_crash(struct writ_call *call, void *state) {
  const char *how = text_arg(call, "how"), *text;

  (void)state;
  if (strcmp(arg(call, "set"), "null") != 0 && writ_call_set(call, arg(call, "set"), WRIT_TEXT, &text, NULL) != WRIT_OK)
    return WRIT_FAILED;
  signal(SIGSEGV, SIG_DFL); /* a sanitizer would take it for a fault of writd */
  signal(SIGABRT, SIG_DFL);
  if (strcmp(how, "segv") == 0) *(volatile int *)NULL = 1;
  if (strcmp(how, "abort") == 0) abort();
  if (strcmp(how, "exit") == 0) exit(0);
  if (strcmp(how, "_exit") == 0) _exit(3);
  return WRIT_OK;
}

/* Never comes back; with calls: keeps asking for more. */
static int run_stuck(struct writ_call *call, void *state) {
  const char *text;
  int calls = strcmp(arg(call, "calls"), "true") == 0, asked = 0;

  (void)state;
  while (asked >= 0) {
    if (calls) asked = writ_call_command(call, "ping", "{}", 2, &text, NULL);
    else pause();
  }
  return WRIT_OK;
}

/* Waits for its deadline, then says so. */
static int run_patient(struct writ_call *call, void *state) {
  const char *text;

  (void)state;
  while (writ_deadline_ms(call) > 0) usleep(1000);
  if (writ_call_command(call, "ping", "{}", 2, &text, NULL) == WRIT_OK) return writ_result(call, "\"late\"", WRIT_TEXT);
  return writ_error(call, writ_error_code(call), 0, "too late");
}

/* JSON cannot bring what is not UTF-8. */
static int run_fail(struct writ_call *call, void *state) {
  const char *message = text_arg(call, "message");

  (void)state;
  if (strcmp(message, "latin") == 0) message = "caf\xe9";
  return writ_error(call, text_arg(call, "code"), atoi(arg(call, "status")), message);
}

/* A failure that is taken back, or one without an error. */
static int run_undecided(struct writ_call *call, void *state) {
  (void)state;
  if (strcmp(arg(call, "silent"), "true") == 0) return 77;
  writ_error(call, "CHANGED_MY_MIND", 0, "no");
  return WRIT_OK;
}

static int run_raw(struct writ_call *call, void *state) {
  const char *text = text_arg(call, "text");

  (void)state;
  return writ_result(call, text, strlen(text));
}

/* The same set twice, each of which adds a note with a text of its own. */
static int run_twice(struct writ_call *call, void *state) {
  static const char set[] = "{\"commands\":[{\"command\":\"add_another\",\"args\":{\"text\":\"same\"}}]}";
  const char *text;

  (void)state;
  for (int i = 0; i < 2; i++)
    if (writ_call_set(call, set, WRIT_TEXT, &text, NULL) != WRIT_OK) return WRIT_FAILED;
  return WRIT_OK;
}

static int run_dispatch(struct writ_call *call, void *state) {
  const char *name = text_arg(call, "name"), *payload = text_arg(call, "payload");
  char done[16];

  (void)state;
  snprintf(done, sizeof done, "%d", writ_dispatch(call, name, payload, strlen(payload)));
  if (done[0] == '0' + WRIT_FAILED) return WRIT_FAILED;
  return writ_result(call, done, WRIT_TEXT);
}

/* Calls itself; gives how deep it got. */
static int run_nest(struct writ_call *call, void *state) {
  int *level = (int *)state, mine = ++*level;
  const char *text;
  char deepest[16];

  if (writ_call_command(call, "nest", "{}", 2, &text, NULL) == WRIT_OK) {
    --*level;
    return writ_result(call, writ_json_get(call, text, WRIT_TEXT, "result", NULL), WRIT_TEXT);
  }
  snprintf(deepest, sizeof deepest, "%d", mine);
  --*level;
  return writ_result(call, deepest, WRIT_TEXT);
}

static int open_nest(struct writ_call *call, void **state) {
  (void)call;
  *state = calloc(1, sizeof(int));
  return WRIT_OK;
}

/* jansson is writd's own library too. */
static int run_jansson(struct writ_call *call, void *state) {
  const char *text;
  json_t *tree = json_loads(writ_args(call, NULL), 0, NULL);
  char *out;
  int done;

  (void)state;
  if (writ_call_command(call, "ping", "{}", 2, &text, NULL) != WRIT_OK) return WRIT_FAILED; /* reads JSON meanwhile */
  json_object_set_new(tree, "more", json_string("from jansson"));
  out = json_dumps(tree, JSON_COMPACT);
  done = writ_result(call, out, strlen(out));
  free(out);
  json_decref(tree);
  return done;
}

/* Memory of all kinds that is writ's to give back. */
static int run_busy(struct writ_call *call, void *state) {
  const char *text;
  char *block = writ_alloc(call, 20000);

  (void)state;
  if (block[0] || block[19999]) return WRIT_FAILED;
  memset(block, 'x', 20000);
  if (writ_call_set(call,
                    "{\"commands\":[{\"command\":\"ping\",\"as\":\"a\"},"
                    "{\"command\":\"say\",\"args\":{\"x\":{\"$ref\":\"a.one\"}}}]}",
                    WRIT_TEXT, &text, NULL) != WRIT_OK)
    return WRIT_FAILED;
  writ_error(call, "FORGOTTEN", 0, "no error after all");
  return writ_result(call, text, WRIT_TEXT);
}

/* ---- with a state of its own ---- */

struct counter {
  const char *greeting;
  int calls;
};

static int open_count(struct writ_call *call, void **state) {
  const char *config = writ_config(call, NULL), *greeting, *text;
  struct counter *c;

  if (writ_json_get(call, config, WRIT_TEXT, "stuck", NULL))
    for (;;) pause();
  if (writ_json_get(call, config, WRIT_TEXT, "crash", NULL)) {
    signal(SIGSEGV, SIG_DFL);
    *(volatile int *)NULL = 1;
  }
  if (writ_json_get(call, config, WRIT_TEXT, "exit", NULL)) exit(0);
  if (writ_call_command(call, "ping", "{}", 2, &text, NULL) != WRIT_NOT_SUPPORTED) return WRIT_FAILED;
  greeting = writ_json_get(call, config, WRIT_TEXT, "greeting", NULL);
  if (!greeting) return writ_error(call, "NO_GREETING", 0, "config: needs a greeting");
  c = calloc(1, sizeof *c);
  c->greeting = strdup(greeting);
  writ_log(call, WRIT_LOG_INFO, "opened with \"quotes\"\nand two lines");
  *state = c;
  return WRIT_OK;
}

static int run_count(struct writ_call *call, void *state) {
  struct counter *c = state;
  struct text t = {NULL, 0};
  char calls[16];

  snprintf(calls, sizeof calls, "%d", ++c->calls);
  member(&t, "calls", calls);
  member(&t, "greeting", c->greeting);
  add(&t, "}");
  return answer(call, &t);
}

static void close_count(void *state) {
  struct counter *c = state;

  free((char *)c->greeting);
  free(c);
}

static const struct writ_function functions[] = {
    {"echo", run_echo, NULL, NULL},           {"call", run_call, NULL, NULL},
    {"crash", run_crash, NULL, NULL},         {"stuck", run_stuck, NULL, NULL},
    {"patient", run_patient, NULL, NULL},     {"fail", run_fail, NULL, NULL},
    {"undecided", run_undecided, NULL, NULL}, {"raw", run_raw, NULL, NULL},
    {"twice", run_twice, NULL, NULL},         {"dispatch", run_dispatch, NULL, NULL},
    {"nest", run_nest, open_nest, free},      {"jansson", run_jansson, NULL, NULL},
    {"busy", run_busy, NULL, NULL},           {"count", run_count, open_count, close_count},
};

WRIT_MODULE("test", functions)
