/* The process around the streamer. */
#ifndef WRIT_FCGI_STREAMING_H
#define WRIT_FCGI_STREAMING_H

#include <sys/types.h>

struct counters;
struct setup;

struct streaming_start {
  const struct setup *setup;
  int listen_fd;
  int tell_fd; /* -1: none */
  pid_t supervisor;
  struct counters *own;
};

/* Runs in a child of the supervisor, which has SIGTERM blocked since before the fork. SIGTERM, also sent by the kernel when
 * the supervisor dies: end all streams. Gives the exit status: 0, or 1 for a failure that was logged. */
int streaming_run(const struct streaming_start *start);

#endif
