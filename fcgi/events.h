/* A process of the pool "events": one duty of the event log (events/duty.h). */
#ifndef WRIT_FCGI_EVENTS_H
#define WRIT_FCGI_EVENTS_H

#include <stddef.h>
#include <sys/types.h>

struct counters;
struct counters_page;
struct setup;

struct events_start {
  const struct setup *setup;
  size_t duty;
  int tell_fd; /* of the streamer; -1: none */
  pid_t supervisor;
  struct counters_page *page;
  struct counters *own;
};

/* Runs in a child of the supervisor. Any signal may end it at any moment, SIGTERM from the supervisor or, when that has died, from
 * the kernel: what it had not committed is rolled back, and the next one begins where the tables say. Gives 1: a failure that was
 * logged. */
int events_run(const struct events_start *start);

#endif
