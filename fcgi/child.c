/* How a process of the supervisor begins. */
#include "fcgi/child.h"

#include "fcgi/setup.h"

#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

/* All or nothing: there must be no way back. */
bool child_drop_privileges(const struct setup *s) {
  if (geteuid() != 0) return true;
  if (!s->user || initgroups(s->user, s->gid) < 0 || setresgid(s->gid, s->gid, s->gid) < 0 ||
      setresuid(s->uid, s->uid, s->uid) < 0)
    return false;
  return setuid(0) < 0 && setgid(0) < 0 && getuid() == s->uid && geteuid() == s->uid;
}

/* The kernel forgets this at a change of user: after child_drop_privileges. */
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
