/* A runner: one process that delivers after-hooks. */
#ifndef WRIT_FCGI_RUNNER_H
#define WRIT_FCGI_RUNNER_H

#include <sys/types.h>

struct counters;
struct counters_page;
struct setup;

struct runner_start {
  const struct setup *setup;
  int wake_fd; /* -1: none */
  int tell_fd; /* of the streamer; -1: none */
  pid_t supervisor;
  struct counters_page *page;
  struct counters *own;
};

/* Runs in a child of the supervisor, which has SIGTERM blocked since before the fork. SIGTERM, also sent by the kernel
 * when the supervisor dies: finish what is under way, give the rest back, end. Gives the exit status: 0, or 1 for a
 * failure that was logged. */
int runner_run(const struct runner_start *start);

#endif
