/* The process around a duty. */
#include "fcgi/events.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/user.h"
#include "events/duty.h"
#include "fcgi/child.h"
#include "fcgi/setup.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

/* SIGTERM ends it. What a terminal sends to all of its foreground processes is the supervisor's to judge. */
static bool set_signals(void) {
  static const int ignored[] = {SIGINT, SIGQUIT, SIGHUP, SIGPIPE, SIGUSR1};
  struct sigaction ignore = {.sa_handler = SIG_IGN}, standard = {.sa_handler = SIG_DFL};
  sigset_t none;

  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) sigaction(ignored[i], &ignore, NULL);
  sigaction(SIGTERM, &standard, NULL);
  sigemptyset(&none);
  return sigprocmask(SIG_SETMASK, &none, NULL) == 0;
}

int events_run(const struct events_start *start) {
  struct duty_start duty = {.config = start->setup->config,
                            .manifest = start->setup->manifest,
                            .page = start->page,
                            .own = start->own,
                            .tell_fd = start->tell_fd};

  log_init("events");
  if (!user_become(start->setup->user, start->setup->uid, start->setup->gid)) {
    log_line(LOG_ERROR, "worker", "reason=\"cannot become the user of the workers\"");
    return 1;
  }
  if (!set_signals() || !child_follow(start->supervisor)) {
    log_line(LOG_ERROR, "worker", "reason=\"cannot set up signals: %s\"", strerror(errno));
    return 1;
  }
  prctl(PR_SET_NAME, "writd events");
  srandom(child_chance()); /* the pauses between tries */
  duty_run(talloc_named_const(NULL, 0, "events"), &duty, start->duty);
}
