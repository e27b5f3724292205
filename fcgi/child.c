/* How a process of the supervisor begins. */
#include "fcgi/child.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

/* The kernel forgets this at a change of user: after user_become. */
bool child_follow(pid_t supervisor) {
  if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0) return false;
  if (getppid() != supervisor) raise(SIGTERM); /* it died before */
  return true;
}

uint32_t child_chance(void) {
  uint32_t value = 0;

  if (getrandom(&value, sizeof value, GRND_NONBLOCK) < 0) value = (uint32_t)getpid() * 2654435761u;
  return value;
}
