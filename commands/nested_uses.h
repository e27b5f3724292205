/* What is nested in the arguments of a mutation of a model, as far as it must be known ahead of the transaction: services
 * are asked before, and mutexes taken, for a createPet within a createPerson as for one of its own. */
#ifndef WRIT_COMMANDS_NESTED_USES_H
#define WRIT_COMMANDS_NESTED_USES_H

#include <stdbool.h>

struct command;
struct expr;
struct manifest;

/* Calls visit for each nested operation, in the order of the input, with the command that it would be and that one's
 * arguments by index (none is NULL that has no default), and where it stands: /data/pets/create/0. Of an upsert comes
 * itself, and what each of its branches would be: which of them is taken is not known yet. Links alone are left out. Only
 * operations whose command has before-hooks or mutexes are told. What is not well-formed is passed over: it is refused when
 * it is compiled, ahead of everything else. False: visit said so. */
bool nested_uses(void *mem, const struct manifest *m, const struct command *c, const struct expr **args,
                 bool (*visit)(void *data, const struct command *c, const struct expr **args, const char *path), void *data);

#endif
