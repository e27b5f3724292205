/* What has to be done for the event log without being asked, each by a process of its own: a sequencer for each datasource with
 * events, and each projection. A process of the pool does one duty, until it is killed; it has nothing to finish. */
#ifndef WRIT_EVENTS_DUTY_H
#define WRIT_EVENTS_DUTY_H

#include <stdbool.h>
#include <stddef.h>

struct config;
struct counters;
struct counters_page;
struct manifest;

struct duty_start {
  const struct config *config;
  const struct manifest *manifest;
  struct counters_page *page;
  struct counters *own;
  int tell_fd; /* of the streamer; -1: none */
};

/* Has a datasource (index into config.datasources) an event log: commands that append to it, or projections? */
bool duty_has_log(const struct manifest *manifest, size_t datasource);
/* How many there are; on a machine without runners: none. */
size_t duties(const struct config *config, const struct manifest *manifest);
/* Does number i of them. mem: the process's. */
void duty_run(void *mem, const struct duty_start *start, size_t i) __attribute__((noreturn));

#endif
