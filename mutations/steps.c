/* The steps of a mutation, as they are told of. */
#include "base/arena.h"
#include "base/json.h"
#include "base/uuid.h"
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

static struct state_step step_of(const struct command *c, const char *id) {
  return (struct state_step){.id = id, .title = c->title ? c->title : c->name, .description = c->description};
}

struct state_step *mutation_state_steps(void *mem, const struct command_set *set) {
  size_t n = mutation_steps(set);
  struct state_step *out = arena_array(mem, struct state_step, n + 1);

  for (size_t i = 0; i < n; i++)
    out[i] = step_of(set->each_alone ? set->entries[i].command : set->command, mutation_step_id(mem, set, i));
  return out;
}

struct state_step *mutation_entry_step(void *mem, const struct command_set *set, size_t entry) {
  const struct command *c = set->entries[entry].command;
  struct state_step *out = arena_new(mem, struct state_step);

  *out = step_of(c, c->name);
  return out;
}

static bool take_part(void *mem, const struct json *element, struct mutation_part *out) {
  const struct json *id = json_get(element, "mutation"), *command = json_get(element, "command");
  unsigned char bytes[UUID_BYTES];
  char *text;

  if (!id || id->kind != JSON_STRING || !command || command->kind != JSON_STRING || !uuid_read(id->text, bytes))
    return false;
  text = arena_array(mem, char, 37);
  uuid_write(bytes, text);
  *out = (struct mutation_part){.id = text, .step = command->text};
  return true;
}

size_t mutation_parts(void *mem, const struct mutation *m, struct mutation_part **out) {
  const struct json *commands = json_get(m->args, "commands");
  size_t n = 0;

  *out = NULL;
  if (strcmp(m->command, "transactional_command_set") != 0 || !commands || commands->kind != JSON_ARRAY) return 0;
  *out = arena_array(mem, struct mutation_part, commands->len + 1);
  for (size_t i = 0; i < commands->len; i++) n += take_part(mem, &commands->items[i], &(*out)[n]);
  return n;
}
