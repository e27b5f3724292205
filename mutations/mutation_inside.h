/* The inside of mutations/, for its own files. */
#ifndef WRIT_MUTATIONS_MUTATION_INSIDE_H
#define WRIT_MUTATIONS_MUTATION_INSIDE_H

#include "engine/engine_inside.h"
#include "mutations/mutation.h"
#include "mutations/state.h"

/* What is a step: each entry of an execute set; else all of it is one. */
size_t mutation_steps(const struct command_set *set);
/* As a state knows them; in mem. */
struct state_step *mutation_state_steps(void *mem, const struct command_set *set);
/* The one step of an entry with a state of its own; in mem. */
struct state_step *mutation_entry_step(void *mem, const struct command_set *set, size_t entry);
/* The commands that have states of their own, of what is stored, as the set may be one that cannot be read any more. */
struct mutation_part {
  const char *id, *step; /* a UUID in lower case; its one step's id */
};
size_t mutation_parts(void *mem, const struct mutation *m, struct mutation_part **out);
const char *mutation_step_id(const void *mem, const struct command_set *set, size_t step);
/* The same of one of an execute set; as: its name, NULL: none. */
const char *mutation_step_name(const void *mem, const char *as, size_t step);

/* A step of writ's own. params are borrowed. */
struct step mutation_own_step(struct engine *engine, void *mem, const char *sql, const char *const *params, unsigned n,
                              const char *purpose);
/* store.c: a transaction of such steps, as the login role. */
bool mutation_trip(struct engine *engine, void *mem, size_t datasource, struct step *steps, size_t n, struct flight *f,
                   struct err *e) __attribute__((warn_unused_result));
/* The same, with as much time as that (clock_ms). */
bool mutation_trip_until(struct engine *engine, void *mem, size_t datasource, struct step *steps, size_t n, int64_t until_ms,
                         struct flight *f, struct err *e) __attribute__((warn_unused_result));
/* The same of one statement; *text: what it gives. */
bool mutation_ask(struct engine *engine, void *mem, size_t datasource, const char *sql, const char *const *params,
                  unsigned n, const char **text, struct err *e) __attribute__((warn_unused_result));

#endif
