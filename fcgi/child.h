/* What workers, runners and the streamer have in common: they are children of the supervisor, without its rights, and end with it. */
#ifndef WRIT_FCGI_CHILD_H
#define WRIT_FCGI_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* SIGTERM when the supervisor dies. Behind user_become, as the kernel forgets it at a change of user. */
bool child_follow(pid_t supervisor) __attribute__((warn_unused_result));
/* Woken, it lets whoever runs go on (SCHED_BATCH), unless the operator has chosen a policy of his own. */
void child_let_others_run(void);
/* Of a process that waits for descriptors: one that can be read when SIGTERM has come. -1 with errno. */
int child_open_stop(void);
/* A number that the next process will not have too. */
uint32_t child_chance(void);

#endif
