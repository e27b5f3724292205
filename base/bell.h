/* A bell in memory that processes share: those who have made work ring it, those who do it wait for that. All who wait are
 * woken. Nobody answers for a ring that is lost with a process: who waits looks by itself too, a little later. */
#ifndef WRIT_BASE_BELL_H
#define WRIT_BASE_BELL_H

#include <stdint.h>

/* Zeros at first. A process that is killed while it waits stays among the waiters: rings then cost a system call more. */
struct bell {
  uint32_t rings, waiters;
};

void bell_ring(struct bell *bell);
/* How often it has been rung: to be asked before looking for work. */
uint32_t bell_heard(const struct bell *bell);
/* Until it has been rung since it was heard so often, or timeout_ms have passed. */
void bell_wait(struct bell *bell, uint32_t heard, int timeout_ms);

#endif
