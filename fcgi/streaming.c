/* The process around the streamer. */
#include "fcgi/streaming.h"

#include "base/log.h"
#include "base/user.h"
#include "fcgi/child.h"
#include "fcgi/setup.h"
#include "manifest/config.h"
#include "stream/streamer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

int streaming_run(const struct streaming_start *start) {
  struct streamer_start streamer = {.config = start->setup->config,
                                    .manifest = start->setup->manifest,
                                    .listen_fd = start->listen_fd,
                                    .tell_fd = start->tell_fd,
                                    .own = start->own};
  int status;

  log_init("streamer");
  if (!user_become(start->setup->user, start->setup->uid, start->setup->gid)) {
    log_line(LOG_ERROR, "worker", "reason=\"cannot become the user of the workers\"");
    return 1;
  }
  streamer.stop_fd = child_open_stop();
  if (streamer.stop_fd < 0 || !child_follow(start->supervisor)) {
    log_line(LOG_ERROR, "worker", "reason=\"cannot set up signals: %s\"", strerror(errno));
    return 1;
  }
  prctl(PR_SET_NAME, "writd streamer");
  srandom(child_chance()); /* when clients come again */
  status = streamer_run(&streamer);
  close(streamer.stop_fd);
  return status;
}
