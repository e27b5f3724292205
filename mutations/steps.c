/* The steps of a mutation, as they are told of. */
#include "base/arena.h"
#include "mutations/mutation_inside.h"

#include <string.h>

size_t mutation_steps(const struct command_set *set) {
  if (set->each_alone) return set->nentries;
  return set->nentries ? 1 : 0;
}

/* A name of the request's own, which no number can be taken for; else the place. */
const char *mutation_step_name(const void *mem, const char *as, size_t step) {
  return as && as[strspn(as, "0123456789")] ? as : arena_printf(mem, "%zu", step);
}

const char *mutation_step_id(const void *mem, const struct command_set *set, size_t step) {
  return set->each_alone ? mutation_step_name(mem, set->entries[step].as, step) : set->command->name;
}

struct state_step *mutation_state_steps(void *mem, const struct command_set *set) {
  size_t n = mutation_steps(set);
  struct state_step *out = arena_array(mem, struct state_step, n + 1);

  for (size_t i = 0; i < n; i++) {
    const struct command *c = set->each_alone ? set->entries[i].command : set->command;
    out[i] = (struct state_step){.id = mutation_step_id(mem, set, i), .title = c->title ? c->title : c->name, .description = c->description};
  }
  return out;
}
