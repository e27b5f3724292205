/* Loads modules. */
#include "engine/module_inside.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "manifest/manifest.h"

#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

typedef const struct writ_module *entry_function(void);

static bool fault(struct modules *m, struct module_function *f, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool fault(struct modules *m, struct module_function *f, const char *format, ...) {
  va_list args;

  va_start(args, format);
  f->fault = talloc_vasprintf(m, format, args);
  va_end(args);
  return false;
}

/* A struct of a newer interface is longer than ours: what we do not know must not be used. */
static bool is_zero(const char *bytes, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (bytes[i]) return false;
  return true;
}

/* The sizes that version 1 began with are the least. */
static bool fits(size_t size, size_t least, size_t known, const void *bytes) {
  return size >= least && (size <= known || is_zero((const char *)bytes + known, size - known));
}

static bool check_module(struct modules *m, struct module_function *f, const struct writ_module *module) {
  if (!module) return fault(m, f, "writ_module_entry gives nothing");
  if (module->abi != WRIT_MODULE_ABI)
    return fault(m, f, "is made for version %u of the interface, this writ has version %d: compile it again", module->abi,
                 WRIT_MODULE_ABI);
  if (!fits(module->size, sizeof *module, sizeof *module, module) || module->function_size < sizeof(struct writ_function))
    return fault(m, f, "uses what only a newer writ has: install that, or compile the module again");
  return true;
}

static const char *names_of(const void *mem, const struct writ_module *module) {
  const char *at = (const char *)module->functions;
  struct str *list = str_new(mem, 64);

  for (size_t i = 0; i < module->nfunctions; i++, at += module->function_size)
    str_printf(list, "%s%s", i ? ", " : "", ((const struct writ_function *)at)->name);
  return list->p;
}

static bool find_function(struct modules *m, struct module_function *f, const struct writ_module *module) {
  const char *at = (const char *)module->functions, *wanted = f->command->module->function;

  for (size_t i = 0; i < module->nfunctions; i++, at += module->function_size) {
    if (strcmp(((const struct writ_function *)at)->name, wanted) != 0) continue;
    if (!fits(module->function_size, sizeof f->function, sizeof f->function, at))
      return fault(m, f, "function %s uses what only a newer writ has: install that, or compile the module again", wanted);
    memcpy(&f->function, at, sizeof f->function);
    return f->function.run || fault(m, f, "function %s has no run", wanted);
  }
  return fault(m, f, "has no function %s; there are: %s", wanted, names_of(m, module));
}

static bool open_function(struct modules *m, struct module_function *f) {
  struct module_call call;
  void *mem;
  int done;

  if (!f->function.open) return true;
  mem = talloc_new(m);
  module_call_open(&call, mem, f);
  module_watch_enter(f->command->name, call.kill_ms);
  done = f->function.open(&call.shown, &f->state);
  module_watch_leave();
  f->is_open = done == WRIT_OK;
  if (!f->is_open)
    fault(m, f, "function %s does not open: %s", f->function.name,
          call.error.code != ERR_NONE ? call.error.message : "it does not say why");
  talloc_free(mem);
  return f->is_open;
}

bool module_load(struct modules *m, struct module_function *f) {
  const struct module_use *use = f->command->module;
  entry_function *entry;
  const struct writ_module *module;
  void *handle;

  if (geteuid() == 0 || getuid() == 0) return fault(m, f, "is not loaded by root: run this as another user");
  module_watch_enter(f->command->name, clock_ms() + MODULE_OPEN_MS);
  handle = dlopen(use->file, RTLD_NOW | RTLD_LOCAL);
  module_watch_leave();
  if (!handle) return fault(m, f, "cannot be loaded: %s", dlerror());
  entry = (entry_function *)dlsym(handle, "writ_module_entry");
  if (!entry) return fault(m, f, "is no module of writ: it has no writ_module_entry");
  module_watch_enter(f->command->name, clock_ms() + MODULE_OPEN_MS);
  module = entry();
  module_watch_leave();
  if (!check_module(m, f, module) || !find_function(m, f, module)) return false;
  return use->config_unknown || open_function(m, f);
}

static int close_all(struct modules *m) {
  for (size_t i = m->n; i-- > 0;) {
    struct module_function *f = &m->of[i];

    if (!f->is_open || !f->function.close) continue;
    module_watch_enter(f->command->name, clock_ms() + MODULE_OPEN_MS);
    f->function.close(f->state);
    module_watch_leave();
  }
  return 0;
}

static void put_config(struct modules *m, struct module_function *f) {
  struct str *text = str_new(m, 64);

  if (f->command->module->config) json_write(text, f->command->module->config);
  else str_add(text, "null");
  f->config = text->p;
  f->config_len = text->len;
}

struct modules *modules_new(const void *mem, const struct manifest *manifest) {
  struct modules *m = arena_new(mem, struct modules);

  m->n = manifest->ncommands;
  m->of = arena_array(m, struct module_function, m->n + 1);
  for (size_t i = 0; i < m->n; i++) {
    const struct command *c = manifest->commands[i];

    if (!c->module) continue;
    m->of[i].command = c;
    put_config(m, &m->of[i]);
  }
  module_watch_init();
  talloc_set_destructor(m, close_all);
  return m;
}

struct modules *modules_load(const void *mem, const struct manifest *manifest) {
  struct modules *m = modules_new(mem, manifest);

  for (size_t i = 0; i < m->n; i++) {
    struct module_function *f = &m->of[i];

    if (!f->command || module_load(m, f)) continue;
    log_line(LOG_ERROR, "module", "command=%s file=%s reason=%s", f->command->name, log_quoted(m, f->command->module->file),
             log_quoted(m, f->fault));
  }
  return m;
}
