/* A worker: one process that accepts one connection after the other, and answers one request on each. */
#ifndef WRIT_FCGI_WORKER_H
#define WRIT_FCGI_WORKER_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

struct counters;
struct counters_page;
struct setup;

struct worker_start {
  const struct setup *setup;
  bool inside;
  int listen_fd;
  pid_t supervisor;
  sigset_t signals; /* the mask to run with */
  struct counters_page *page;
  const unsigned char *call_secret; /* CALL_SECRET_BYTES */
  int wake_fd, background_fd;       /* of the runners: of after-hooks, of mutations; -1: none */
  int tell_fd;                      /* of the streamer; -1: none */
  struct counters *own;
};

/* Runs in a child of the supervisor, which has SIGTERM blocked since before the fork. SIGTERM, also sent by the kernel
 * when the supervisor dies: answer the request in work, then end. Gives the exit status: 0, or 1 for a failure that was
 * logged. */
int worker_run(const struct worker_start *start);

#endif
