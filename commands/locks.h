/* The first number of writ's advisory locks (PostgreSQL manual, 13.3.5): which kind of lock it is. The second is a digest of
 * what is locked. docs/operation.md tells of them, as an application may take the mutexes too. The bytes "writ" read as a
 * number, plus 1, 2 ... */
#ifndef WRIT_COMMANDS_LOCKS_H
#define WRIT_COMMANDS_LOCKS_H

#include <stddef.h>
#include <stdint.h>

#define LOCK_KEYS "2003986805"    /* Idempotency-Key: keyed.c */
#define LOCK_MUTEXES "2003986806" /* mutex.c */
#define LOCK_OUTBOX "2003986807"  /* keys of after-hooks while a runner claims: queue.c */

/* A lock that a call up the chain holds already: what is not to be taken again. */
struct mutex_held {
  size_t datasource;
  int32_t lock; /* hashtext of the name */
};

#endif
