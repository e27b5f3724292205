/* The courier: what a runner does. Claims items of the outboxes of all datasources, delivers them, several at once, and
 * writes down what came of each. Only the database's state counts: any number of couriers may be at work, on any number
 * of machines. */
#ifndef WRIT_JOBS_COURIER_H
#define WRIT_JOBS_COURIER_H

#include <stdbool.h>

struct config;
struct counters;
struct counters_page;
struct courier;
struct manifest;

/* All borrowed for the courier's life. page and own may be NULL. */
struct courier *courier_new(const void *mem, const struct config *config, const struct manifest *manifest,
                            struct counters_page *page, struct counters *own);
/* Works until stop_fd can be read; then finishes what is under way, for a bounded time, and gives the rest back. wake_fd:
 * a datagram socket on which others tell that there is work; -1: none. */
void courier_run(struct courier *courier, int wake_fd, int stop_fd);

#endif
