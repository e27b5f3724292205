/* The inside of modules, for their own files: module.c (loading), module_call.c (a call, and what a module may ask for),
 * module_watch.c (what bounds its code), module_try.c (loading in a child). */
#ifndef WRIT_ENGINE_MODULE_INSIDE_H
#define WRIT_ENGINE_MODULE_INSIDE_H

#include "base/err.h"
#include "commands/caller.h"
#include "engine/module.h"

#include <stdint.h>
#include <writ-module.h>

/* A command's function, as it is loaded. */
struct module_function {
  const struct command *command; /* NULL: it is not a module's */
  struct writ_function function; /* what the module does not know of it is NULL */
  void *state;
  bool is_open;
  const char *config; /* JSON text */
  size_t config_len;
  const char *fault; /* why it cannot be run; NULL: it can */
};

struct modules {
  struct module_function *of; /* by command's id */
  size_t n;
};

struct modules *modules_new(const void *mem, const struct manifest *manifest);
/* Loads and opens one. False: f->fault says why. */
bool module_load(struct modules *m, struct module_function *f);

/* What a module's function is given; the module sees `shown` alone. */
struct module_call {
  struct writ_call shown; /* the first member */
  void *mem;
  const struct module_function *function;
  struct engine *engine;           /* NULL: open, there is no request */
  const struct invocation *inside; /* as is this: of the calls that it makes */
  struct report *report;           /* as is this */
  const struct caller *caller;
  const char *request_id;
  const char *args;
  size_t args_len;
  int64_t deadline_ms; /* clock_ms */
  int64_t kill_ms;     /* clock_ms: then the process ends */
  const char **asked;  /* fingerprints of the calls that it has made, when they have keys */
  size_t nasked;
  const char *result;
  size_t result_len;
  struct err error; /* code ERR_NONE: none yet */
};

/* module_call.c: a call without a request, for open. */
void module_call_open(struct module_call *call, void *mem, const struct module_function *f);

/* module_watch.c. Around all code of a module: at kill_ms (clock_ms) the process ends by SIGALRM; exit() is a failure,
 * told in the log with the command's name. Not nested: writ's own code in between is outside. */
void module_watch_init(void);
void module_watch_enter(const char *command, int64_t kill_ms);
void module_watch_leave(void);

/* How long a module's code may go on behind the request's deadline, and how long loading or closing one may take. */
enum { MODULE_GRACE_MS = 2000, MODULE_OPEN_MS = 10000 };

#endif
