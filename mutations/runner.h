/* A runner of mutations: claims what is due on all datasources, and runs one after the other. Any number of them may be at work,
 * on any number of machines. */
#ifndef WRIT_MUTATIONS_RUNNER_H
#define WRIT_MUTATIONS_RUNNER_H

struct engine;

/* Works until stop_fd can be read; then goes no further than the step in hand, and gives the rest back. wake_fd: a datagram socket
 * on which others tell that there is work; -1: none. */
void mutation_runner(struct engine *engine, int wake_fd, int stop_fd);

#endif
