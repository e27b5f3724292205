/* What workers and runners have in common: both are children of the supervisor, without its rights, and end with it. */
#ifndef WRIT_FCGI_CHILD_H
#define WRIT_FCGI_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct setup;

/* Becomes the user of the workers, when started as root. False: it must not go on. */
bool child_drop_privileges(const struct setup *s) __attribute__((warn_unused_result));
/* SIGTERM when the supervisor dies. Behind child_drop_privileges, as the kernel forgets it at a change of user. */
bool child_follow(pid_t supervisor) __attribute__((warn_unused_result));
/* A number that the next process will not have too. */
uint32_t child_chance(void);

#endif
