/* A futex. Without anybody who waits a ring is no system call: under load, workers ring for nothing. */
#include "base/bell.h"

#include <linux/futex.h>
#include <limits.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void bell_ring(struct bell *bell) {
  __atomic_add_fetch(&bell->rings, 1, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&bell->waiters, __ATOMIC_SEQ_CST))
    syscall(SYS_futex, &bell->rings, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

uint32_t bell_heard(const struct bell *bell) { return __atomic_load_n(&bell->rings, __ATOMIC_SEQ_CST); }

/* The kernel looks at rings once more: one that comes between is not missed. */
void bell_wait(struct bell *bell, uint32_t heard, int timeout_ms) {
  struct timespec time = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L};

  __atomic_add_fetch(&bell->waiters, 1, __ATOMIC_SEQ_CST);
  syscall(SYS_futex, &bell->rings, FUTEX_WAIT, heard, &time, NULL, 0);
  __atomic_sub_fetch(&bell->waiters, 1, __ATOMIC_SEQ_CST);
}
