/* How a process of the supervisor begins. */
#include "fcgi/child.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* The kernel forgets this at a change of user: after user_become. */
bool child_follow(pid_t supervisor) {
  if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0) return false;
  if (getppid() != supervisor) raise(SIGTERM); /* it died before */
  return true;
}

void child_let_others_run(void) {
  struct sched_param none = {0};

  if (sched_getscheduler(0) == SCHED_OTHER) (void)sched_setscheduler(0, SCHED_BATCH, &none);
}

uint32_t child_chance(void) {
  uint32_t value = 0;

  if (getrandom(&value, sizeof value, GRND_NONBLOCK) < 0) value = (uint32_t)getpid() * 2654435761u;
  return value;
}

/* SIGTERM stays blocked, and is read like anything else that the process waits for. A terminal sends SIGINT and SIGQUIT
 * to all of its foreground processes: the supervisor decides what they mean. */
int child_open_stop(void) {
  static const int ignored[] = {SIGINT, SIGQUIT, SIGHUP, SIGPIPE, SIGUSR1};
  struct sigaction ignore = {.sa_handler = SIG_IGN}, standard = {.sa_handler = SIG_DFL};
  sigset_t term;

  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) sigaction(ignored[i], &ignore, NULL);
  sigaction(SIGTERM, &standard, NULL);
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  if (sigprocmask(SIG_SETMASK, &term, NULL) < 0) return -1;
  return signalfd(-1, &term, SFD_CLOEXEC | SFD_NONBLOCK);
}
