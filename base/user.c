/* From root to somebody else. */
#include "base/user.h"

#include <grp.h>
#include <unistd.h>

bool user_become(const char *name, uid_t uid, gid_t gid) {
  if (geteuid() != 0) return true;
  if (!name || initgroups(name, gid) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0) return false;
  return setuid(0) < 0 && setgid(0) < 0 && getuid() == uid && geteuid() == uid;
}
