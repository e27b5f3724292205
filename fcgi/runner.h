/* A runner: one process that delivers after-hooks, or one that runs mutations. */
#ifndef WRIT_FCGI_RUNNER_H
#define WRIT_FCGI_RUNNER_H

#include <stdbool.h>
#include <sys/types.h>

struct counters;
struct counters_page;
struct setup;

struct runner_start {
  const struct setup *setup;
  bool background;                  /* of mutations */
  int wake_fd;                      /* its own; -1: none */
  int after_fd, background_fd;      /* of mutations: of the other runners, and of its own kind; -1: none */
  const unsigned char *call_secret; /* of mutations: CALL_SECRET_BYTES */
  int tell_fd;                      /* of the streamer; -1: none */
  pid_t supervisor;
  struct counters_page *page;
  struct counters *own;
};

/* Runs in a child of the supervisor, which has SIGTERM blocked since before the fork. SIGTERM, also sent by the kernel
 * when the supervisor dies: finish what is under way, give the rest back, end. Gives the exit status: 0, or 1 for a
 * failure that was logged. */
int runner_run(const struct runner_start *start);

#endif
