/* Commands of writ written in C: the interface between writd's workers and a shared object. writ-module(3) tells it in
 * full.
 *
 * A module is a shared object that a manifest names (module: in writ-manifest(5)). Every worker loads it when it starts;
 * a call of the command is a call of its function, in the worker's only thread.
 *
 * The interface has a version, WRIT_MODULE_ABI. What is added later is added behind what is there: sizes tell who knows
 * what, so that a module works with a newer writ, and with an older one that knows all that the module uses.
 *
 * C89, C99 and later, C++. */
#ifndef WRIT_MODULE_H
#define WRIT_MODULE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WRIT_MODULE_ABI 1

/* What functions return. WRIT_FAILED: the call has an error, which is the caller's answer when the module's function returns
 * anything but WRIT_OK. */
#define WRIT_OK 0
#define WRIT_FAILED 1
#define WRIT_NOT_SUPPORTED 2 /* not by this version of writ, or not at this place */

/* A length: the text ends in NUL. */
#define WRIT_TEXT ((size_t)-1)

/* Levels of writ_log, numbers of syslog(3). */
#define WRIT_LOG_ERROR 3
#define WRIT_LOG_WARN 4
#define WRIT_LOG_INFO 6
#define WRIT_LOG_DEBUG 7

struct writ_call;

/* What writ does for a module: use the functions below, which call these. */
struct writ_api {
  unsigned abi;
  size_t size; /* of this struct, in the writ that is running */
  const char *(*command)(struct writ_call *call);
  const char *(*args)(struct writ_call *call, size_t *len);
  const char *(*config)(struct writ_call *call, size_t *len);
  const char *(*request_id)(struct writ_call *call);
  const char *(*caller_role)(struct writ_call *call);
  const char *(*caller_user)(struct writ_call *call);
  const char *(*caller_claims)(struct writ_call *call, size_t *len);
  long (*deadline_ms)(struct writ_call *call);
  void *(*alloc)(struct writ_call *call, size_t bytes);
  int (*call_command)(struct writ_call *call, const char *command, const char *args, size_t len, const char **answer,
                      size_t *answer_len);
  int (*result)(struct writ_call *call, const char *json, size_t len);
  int (*error)(struct writ_call *call, const char *code, int status, const char *message);
  const char *(*error_code)(struct writ_call *call);
  int (*error_status)(struct writ_call *call);
  const char *(*error_message)(struct writ_call *call);
  int (*dispatch)(struct writ_call *call, const char *name, const char *payload, size_t len);
  void (*log)(struct writ_call *call, int level, const char *message);
  const char *(*json_get)(struct writ_call *call, const char *json, size_t len, const char *path, size_t *out_len);
  const char *(*json_text)(struct writ_call *call, const char *json, size_t len, size_t *out_len);
  const char *(*json_quote)(struct writ_call *call, const char *text, size_t len);
};

/* One call of a command. What follows is writ's own. */
struct writ_call {
  const struct writ_api *api;
};

/* One function of a module, which a manifest names in function:. */
struct writ_function {
  const char *name;
  /* A call of the command. WRIT_OK: its result is what writ_result was given, null without. Anything else: its error. */
  int (*run)(struct writ_call *call, void *state);
  /* NULL, or called once in each worker for each command that is this function, before any run: reads writ_config, sets
   * *state. There is no request yet. Anything but WRIT_OK: the command cannot be used; writ_error says why. writ check
   * calls it too. */
  int (*open)(struct writ_call *call, void **state);
  /* NULL, or called when a worker ends, after an open that succeeded. */
  void (*close)(void *state);
};

struct writ_module {
  unsigned abi;         /* WRIT_MODULE_ABI */
  size_t size;          /* sizeof(struct writ_module) */
  size_t function_size; /* sizeof(struct writ_function) */
  const char *name;     /* for messages */
  size_t nfunctions;
  const struct writ_function *functions;
};

#if defined(__GNUC__)
#define WRIT_MODULE_EXPORT __attribute__((visibility("default")))
#else
#define WRIT_MODULE_EXPORT
#endif

/* What writ looks for in a module: WRIT_MODULE below defines it. */
WRIT_MODULE_EXPORT const struct writ_module *writ_module_entry(void);

/* Stands once in a module, at file level: its name, and its array of struct writ_function. */
#define WRIT_MODULE(module_name, module_functions)                                                                          \
  WRIT_MODULE_EXPORT const struct writ_module *writ_module_entry(void) {                                                    \
    static const struct writ_module writ_this_module = {WRIT_MODULE_ABI,                                                    \
                                                        sizeof(struct writ_module),                                         \
                                                        sizeof(struct writ_function),                                       \
                                                        module_name,                                                        \
                                                        sizeof(module_functions) / sizeof((module_functions)[0]),           \
                                                        module_functions};                                                  \
    return &writ_this_module;                                                                                               \
  }

#if defined(__cplusplus) || (defined(__STDC_VERSION__) && __STDC_VERSION__ >= 199901L)
#define WRIT_INLINE static inline
#elif defined(__GNUC__)
#define WRIT_INLINE static __inline__
#else
#define WRIT_INLINE static
#endif

/* All text that writ gives is UTF-8, ends in NUL, and lives until the module's function returns. All text that writ is
 * given is copied. A len may be NULL where a length is given, and WRIT_TEXT where one is taken. No function returns NULL
 * but where it says so. */

/* ---- what was asked, and by whom ---- */

/* The command's name in the manifest. */
WRIT_INLINE const char *writ_command(struct writ_call *call) { return call->api->command(call); }

/* The arguments: a JSON object with every argument of args:, defaults filled in, numbers digit for digit. */
WRIT_INLINE const char *writ_args(struct writ_call *call, size_t *len) { return call->api->args(call, len); }

/* config: of the manifest as JSON; null without one. */
WRIT_INLINE const char *writ_config(struct writ_call *call, size_t *len) { return call->api->config(call, len); }

/* The request's id, as in the log and in X-Request-Id. */
WRIT_INLINE const char *writ_request_id(struct writ_call *call) { return call->api->request_id(call); }

/* Who calls: the role; the user, NULL when unknown; the claims, a JSON object. */
WRIT_INLINE const char *writ_caller_role(struct writ_call *call) { return call->api->caller_role(call); }
WRIT_INLINE const char *writ_caller_user(struct writ_call *call) { return call->api->caller_user(call); }
WRIT_INLINE const char *writ_caller_claims(struct writ_call *call, size_t *len) {
  return call->api->caller_claims(call, len);
}

/* Milliseconds until the request's deadline; 0: it has passed. */
WRIT_INLINE long writ_deadline_ms(struct writ_call *call) { return call->api->deadline_ms(call); }

/* ---- commands ---- */

/* Runs a command as an inside call with the caller's identity: args is its arguments object. *answer is what a client
 * would get, {"result": ...} or {"results": [...]}. WRIT_FAILED: nothing was changed by it, but by the commands of an
 * execute_command_set ahead of the one that failed; *answer is NULL, and the call has its error. Every call is a
 * transaction of its own. */
WRIT_INLINE int writ_call_command(struct writ_call *call, const char *command, const char *args, size_t len,
                                  const char **answer, size_t *answer_len) {
  return call->api->call_command(call, command, args, len, answer, answer_len);
}

/* The same for a set, {"commands": [...]}, as one transaction. */
WRIT_INLINE int writ_call_set(struct writ_call *call, const char *set, size_t len, const char **answer, size_t *answer_len) {
  return call->api->call_command(call, "transactional_command_set", set, len, answer, answer_len);
}

/* ---- what is answered ---- */

/* The result, one JSON text. WRIT_FAILED: it is none, or too long; the call has that as its error. The last one counts. */
WRIT_INLINE int writ_result(struct writ_call *call, const char *json, size_t len) {
  return call->api->result(call, json, len);
}

/* Sets the call's error, in place of any other: a code as in USERNAME_TAKEN, an HTTP status of 400 to 599 (0: as is usual
 * for the code, 422 for one of your own), a message that the client sees. Gives WRIT_FAILED, for `return
 * writ_error(...)`. */
WRIT_INLINE int writ_error(struct writ_call *call, const char *code, int status, const char *message) {
  return call->api->error(call, code, status, message);
}

/* The error of the last function that gave WRIT_FAILED: code, status, message. NULL, 0, NULL before any. */
WRIT_INLINE const char *writ_error_code(struct writ_call *call) { return call->api->error_code(call); }
WRIT_INLINE int writ_error_status(struct writ_call *call) { return call->api->error_status(call); }
WRIT_INLINE const char *writ_error_message(struct writ_call *call) { return call->api->error_message(call); }

/* ---- everything else ---- */

/* A state event: name, and payload as JSON. Those who follow the mutation see it at once; nothing is done where nobody can. In
 * open: WRIT_NOT_SUPPORTED. */
WRIT_INLINE int writ_dispatch(struct writ_call *call, const char *name, const char *payload, size_t len) {
  return call->api->dispatch(call, name, payload, len);
}

/* Memory, set to zero, until the module's function returns. Never NULL. */
WRIT_INLINE void *writ_alloc(struct writ_call *call, size_t bytes) { return call->api->alloc(call, bytes); }

/* A line in writd's log: event module, with the command and the request's id. No secrets. */
WRIT_INLINE void writ_log(struct writ_call *call, int level, const char *message) { call->api->log(call, level, message); }

/* The value at a path such as results.0.result.id in a JSON text, as JSON text, digits as they are; an empty path: all of
 * it. NULL: it is not there, or the text is no JSON. */
WRIT_INLINE const char *writ_json_get(struct writ_call *call, const char *json, size_t len, const char *path,
                                      size_t *out_len) {
  return call->api->json_get(call, json, len, path, out_len);
}

/* What a JSON string says, without quotes and escapes. NULL: it is no JSON string. */
WRIT_INLINE const char *writ_json_text(struct writ_call *call, const char *json, size_t len, size_t *out_len) {
  return call->api->json_text(call, json, len, out_len);
}

/* Text as a JSON string, in quotes. NULL: it is not UTF-8. */
WRIT_INLINE const char *writ_json_quote(struct writ_call *call, const char *text, size_t len) {
  return call->api->json_quote(call, text, len);
}

#ifdef __cplusplus
}
#endif

#endif
