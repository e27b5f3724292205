/* The process around a courier. */
#include "fcgi/runner.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/user.h"
#include "fcgi/child.h"
#include "fcgi/setup.h"
#include "jobs/courier.h"
#include "manifest/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

int runner_run(const struct runner_start *start) {
  void *mem;
  int stop_fd;

  log_init("runner");
  if (!user_become(start->setup->user, start->setup->uid, start->setup->gid)) {
    log_line(LOG_ERROR, "worker", "reason=\"cannot become the user of the workers\"");
    return 1;
  }
  stop_fd = child_open_stop();
  if (stop_fd < 0 || !child_follow(start->supervisor)) {
    log_line(LOG_ERROR, "worker", "reason=\"cannot set up signals: %s\"", strerror(errno));
    return 1;
  }
  prctl(PR_SET_NAME, "writd runner");
  srandom(child_chance()); /* the pauses between tries */
  mem = talloc_named_const(NULL, 0, "runner");
  courier_run(courier_new(mem, start->setup->config, start->setup->manifest, start->page, start->own), start->wake_fd,
              stop_fd);
  talloc_free(mem);
  close(stop_fd);
  return 0;
}
