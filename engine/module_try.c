/* Loads a manifest's modules in a child of its own: what a module does while it is loaded, a crash too, is told and harms
 * nobody. */
#include "engine/module_inside.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/problems.h"
#include "base/str.h"
#include "base/user.h"
#include "manifest/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static bool has_modules(const struct manifest *m) {
  for (size_t i = 0; i < m->ncommands; i++)
    if (m->commands[i]->module) return true;
  return false;
}

static void tell(int fd, const char *text, size_t len) {
  for (ssize_t n; len > 0; text += n, len -= (size_t)n) {
    n = write(fd, text, len);
    if (n < 0 && errno != EINTR) return;
    if (n < 0) n = 0;
  }
}

/* To the parent, for each module command: its id and NUL before it is loaded, what is wrong with it and NUL afterwards. */
static void load_each(const struct manifest *manifest, int fd) {
  struct modules *m = modules_new(NULL, manifest);

  for (size_t i = 0; i < m->n; i++) {
    struct module_function *f = &m->of[i];
    char id[32];

    if (!f->command) continue;
    tell(fd, id, (size_t)snprintf(id, sizeof id, "%zu", i) + 1);
    if (module_load(m, f)) tell(fd, "", 1);
    else tell(fd, f->fault, strlen(f->fault) + 1);
  }
  talloc_free(m);
}

static void be_child(const struct manifest *manifest, const char *user, uid_t uid, gid_t gid, int fd, pid_t parent)
    __attribute__((noreturn));
static void be_child(const struct manifest *manifest, const char *user, uid_t uid, gid_t gid, int fd, pid_t parent) {
  if (!user_become(user, uid, gid)) _exit(EXIT_FAILURE);
  prctl(PR_SET_PDEATHSIG, SIGKILL); /* the kernel forgets it at a change of user */
  if (getppid() != parent) _exit(EXIT_FAILURE);
  load_each(manifest, fd);
  _exit(EXIT_SUCCESS); /* not exit: what is to be done at the end is the parent's */
}

static const struct str *read_all(const void *mem, int fd) {
  struct str *text = str_new(mem, 256);
  char block[1024];
  ssize_t n;

  while ((n = read(fd, block, sizeof block)) > 0 || (n < 0 && errno == EINTR))
    if (n > 0) str_bytes(text, block, (size_t)n);
  return text;
}

static const char *end_of(const void *mem, int status) {
  const char *name = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;

  if (!WIFSIGNALED(status)) return arena_printf(mem, "the process ended with status %d", WEXITSTATUS(status));
  if (WTERMSIG(status) == SIGALRM) return arena_printf(mem, "it took longer than %d s", MODULE_OPEN_MS / 1000);
  return arena_printf(mem, "it crashed with SIG%s", name ? name : "?");
}

/* What the child has told, until it ended in whatever way. */
static void take(const struct manifest *m, const struct str *told, int status, struct problems *p) {
  const char *at = told->p, *end = told->p + told->len;

  while (at < end) {
    const struct command *c = m->commands[strtoul(at, NULL, 10)];

    at += strlen(at) + 1;
    if (at >= end) /* told no more: it ended there */
      problems_add(p, c->file, c->line, "%s: module: file: %s: while it was loaded %s", c->name, c->module->file,
                   end_of(p->mem, status));
    else if (*at) problems_add(p, c->file, c->line, "%s: module: file: %s: %s", c->name, c->module->file, at);
    if (at < end) at += strlen(at) + 1;
  }
}

static int wait_for(pid_t child) {
  int status = 0;

  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return status;
}

static void try_in_child(const struct manifest *m, const char *user, uid_t uid, gid_t gid, struct problems *p) {
  size_t before = p->errors;
  const struct str *told;
  pid_t child, parent = getpid();
  int ends[2], status;

  if (pipe2(ends, O_CLOEXEC) < 0 || (child = fork()) < 0) {
    problems_add(p, m->file, 0, "modules cannot be tried: %s", strerror(errno));
    return;
  }
  if (child == 0) {
    close(ends[0]);
    be_child(m, user, uid, gid, ends[1], parent);
  }
  close(ends[1]);
  told = read_all(p->mem, ends[0]);
  close(ends[0]);
  status = wait_for(child);
  take(m, told, status, p);
  if (status != 0 && p->errors == before) problems_add(p, m->file, 0, "modules cannot be tried: %s", end_of(p->mem, status));
}

void modules_try(const struct manifest *manifest, const char *user, uid_t uid, gid_t gid, struct problems *p) {
  if (!has_modules(manifest)) return;
  if (geteuid() == 0 && !user)
    problems_warn(p, manifest->file, 0, "modules are not tried: root loads none; set user: in writ.yaml");
  else try_in_child(manifest, user, uid, gid, p);
}
