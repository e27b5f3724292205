/* Who keeps the states of a mutation while it runs (engine/watch.h): writes their rows, tells the ends of their steps, and passes
 * on what is dispatched within them. */
#ifndef WRIT_MUTATIONS_KEEPER_H
#define WRIT_MUTATIONS_KEEPER_H

#include <stdbool.h>
#include <stddef.h>

struct caller;
struct command_set;
struct engine;
struct watch;

/* What is to be followed beside the commands of the set that have a mutation of their own. UUIDs. */
struct keeping {
  const char *mutation; /* the operation, as the invocation has it; NULL: it has no state */
  const char
      *within; /* then: the mutation that it is part of, whose state others keep: it hears of its events; NULL: none */
  bool drawn;  /* one of them all was made by writ: a repeat by its key is looked for ahead */
};
/* For what is run now: the states are made ahead of its first transaction and ended behind its last, whatever becomes of it. A UUID
 * that was used before: engine_run gives MUTATION_EXISTS. All of a call's data is borrowed. */
struct watch *keeper_new(struct engine *engine, void *mem, const struct caller *caller, const struct command_set *set,
                         const struct keeping *what, size_t datasource);
/* For what is part of a mutation whose states are kept by others (a handler's call, a step of a durable mutation): passes on events
 * only. set: of the durable one; NULL: none. attempt: the one at hand, from 1. */
struct watch *keeper_part(struct engine *engine, void *mem, const struct command_set *set, const char *mutation,
                          size_t datasource, unsigned attempt);

#endif
