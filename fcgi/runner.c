/* The process around a courier, or a runner of mutations. */
#include "fcgi/runner.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/user.h"
#include "engine/engine.h"
#include "fcgi/child.h"
#include "fcgi/setup.h"
#include "jobs/courier.h"
#include "manifest/config.h"
#include "mutations/runner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static void deliver(const struct runner_start *start, void *mem, int stop_fd) {
  const struct setup *setup = start->setup;

  courier_run(courier_new(mem, setup->config, setup->manifest, start->page, start->own), start->wake_fd, stop_fd);
}

static void run_mutations(const struct runner_start *start, void *mem, int stop_fd) {
  struct engine *engine = engine_new(mem, start->setup->config, start->setup->manifest, start->own);

  engine_wakes(engine, start->after_fd, start->background_fd);
  engine_tells(engine, start->tell_fd);
  engine_share(engine, start->page, start->call_secret);
  engine_load_modules(engine);
  mutation_runner(engine, start->wake_fd, stop_fd);
}

int runner_run(const struct runner_start *start) {
  void *mem;
  int stop_fd;

  log_init(start->background ? "background" : "runner");
  if (!user_become(start->setup->user, start->setup->uid, start->setup->gid)) {
    log_line(LOG_ERROR, "worker", "reason=\"cannot become the user of the workers\"");
    return 1;
  }
  stop_fd = child_open_stop();
  if (stop_fd < 0 || !child_follow(start->supervisor)) {
    log_line(LOG_ERROR, "worker", "reason=\"cannot set up signals: %s\"", strerror(errno));
    return 1;
  }
  prctl(PR_SET_NAME, start->background ? "writd background" : "writd runner");
  srandom(child_chance()); /* the pauses between tries */
  mem = talloc_named_const(NULL, 0, "runner");
  if (start->background) run_mutations(start, mem, stop_fd);
  else deliver(start, mem, stop_fd);
  talloc_free(mem);
  close(stop_fd);
  return 0;
}
