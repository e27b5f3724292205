/* Who keeps the state of a mutation while it runs (engine/watch.h): writes its row, tells the ends of its steps, and passes on
 * what is dispatched within it. */
#ifndef WRIT_MUTATIONS_KEEPER_H
#define WRIT_MUTATIONS_KEEPER_H

#include <stddef.h>

struct caller;
struct command_set;
struct engine;
struct watch;

/* For a mutation that is run now: the state is made ahead of its first transaction and ended behind its last, whatever becomes of
 * it. mutation: a UUID, also that of the invocation; used before: engine_run gives MUTATION_EXISTS. All of a call's data is borrowed. */
struct watch *keeper_new(struct engine *engine, void *mem, const struct caller *caller, const struct command_set *set,
                         const char *mutation, size_t datasource);
/* For what is part of a mutation whose state is kept by others (a handler's call, a step of a durable mutation): passes on events
 * only. attempt: the one at hand, from 1. */
struct watch *keeper_part(struct engine *engine, void *mem, const char *mutation, size_t datasource, unsigned attempt);

#endif
