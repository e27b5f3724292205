/* Binds a unix socket in the order of spawn-fcgi: is another process listening? bind, owner, mode, and only then
 * listen, so that nobody connects before the mode is what it should be. */
#include "fcgi/socket.h"

#include "base/arena.h"
#include "manifest/config.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Workers whose supervisor was killed let go of the socket within microseconds, unless they are just reading the head
 * of a request (WORKER_HEAD_MS): so long may the last of them still be seen listening. */
enum { PROBES = 25, PROBE_PAUSE_MS = 100 };

static bool address(struct sockaddr_un *un, const char *path, const void *mem, const char **why) {
  if (strlen(path) >= sizeof un->sun_path) {
    *why = arena_printf(mem, "%s: the path of a unix socket has at most %zu bytes", path, sizeof un->sun_path - 1);
    return false;
  }
  *un = (struct sockaddr_un){.sun_family = AF_UNIX};
  strcpy(un->sun_path, path);
  return true;
}

/* 0 or an errno: 0 and EAGAIN (its queue is full) tell of somebody listening. */
static int probe(const struct sockaddr_un *un) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int result = fd < 0 || connect(fd, (const struct sockaddr *)un, sizeof *un) < 0 ? errno : 0;

  if (fd >= 0) close(fd);
  return result;
}

static bool clear_path(const struct sockaddr_un *un, const void *mem, const char **why) {
  struct timespec pause = {.tv_nsec = PROBE_PAUSE_MS * 1000000L};
  struct stat st;
  int result;

  if (lstat(un->sun_path, &st) < 0 && errno == ENOENT) return true;
  for (int i = 0; (result = probe(un)) == 0 || result == EAGAIN; i++) {
    if (i == PROBES) {
      *why = arena_printf(mem, "%s: another process is listening there", un->sun_path);
      return false;
    }
    nanosleep(&pause, NULL);
  }
  if (result == ENOENT) return true;
  if (result == ECONNREFUSED && lstat(un->sun_path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
    *why = arena_printf(mem, "%s: there is a file that is no socket", un->sun_path);
    return false;
  }
  if (result == ECONNREFUSED && unlink(un->sun_path) == 0) return true;
  *why = arena_printf(mem, "%s: %s", un->sun_path, strerror(result == ECONNREFUSED ? errno : result));
  return false;
}

/* (uid_t)-1, (gid_t)-1: stays as it is. */
static bool find_owner(const struct listener *l, uid_t *uid, gid_t *gid, const void *mem, const char **why) {
  *uid = (uid_t)-1;
  *gid = (gid_t)-1;
  if (l->owner) {
    const struct passwd *pw = getpwnam(l->owner);
    if (!pw) *why = arena_printf(mem, "%s: there is no user %s", l->socket, l->owner);
    if (!pw) return false;
    *uid = pw->pw_uid;
  }
  if (l->group) {
    const struct group *gr = getgrnam(l->group);
    if (!gr) *why = arena_printf(mem, "%s: there is no group %s", l->socket, l->group);
    if (!gr) return false;
    *gid = gr->gr_gid;
  }
  return true;
}

static bool bind_private(int fd, const struct sockaddr_un *un) {
  mode_t before = umask(0177);
  bool ok = bind(fd, (const struct sockaddr *)un, sizeof *un) == 0;

  umask(before);
  return ok;
}

bool socket_open(struct bound_socket *s, const struct listener *l, const void *mem, const char **why) {
  const char *what = "socket";
  struct sockaddr_un un;
  struct stat st;
  uid_t uid;
  gid_t gid;

  *s = (struct bound_socket){.path = arena_strdup(mem, l->socket), .fd = -1};
  if (!address(&un, l->socket, mem, why) || !find_owner(l, &uid, &gid, mem, why) || !clear_path(&un, mem, why)) return false;
  s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (s->fd < 0) goto failed;
  what = "bind";
  if (!bind_private(s->fd, &un) || lstat(l->socket, &st) < 0) goto failed;
  s->device = st.st_dev;
  s->inode = st.st_ino;
  what = "change its owner or group";
  if ((l->owner || l->group) && chown(l->socket, uid, gid) < 0) goto failed;
  what = "change its mode";
  if (chmod(l->socket, (mode_t)l->mode) < 0) goto failed;
  what = "listen";
  if (listen(s->fd, l->backlog) < 0) goto failed;
  return true;

failed:
  *why = arena_printf(mem, "%s: cannot %s: %s", l->socket, what, strerror(errno));
  socket_close(s);
  return false;
}

void socket_close(struct bound_socket *s) {
  struct stat st;

  if (s->fd < 0) return;
  close(s->fd);
  s->fd = -1;
  if (s->inode && lstat(s->path, &st) == 0 && st.st_dev == s->device && st.st_ino == s->inode) unlink(s->path);
}
