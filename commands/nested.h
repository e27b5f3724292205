/* Nested mutations: createX, updateX and so on, with all that their data asks for, as steps of one flight. */
#ifndef WRIT_COMMANDS_NESTED_H
#define WRIT_COMMANDS_NESTED_H

#include "commands/compile.h"

/* Adds the steps of set->nodes[owner], of kind COMMAND_MUTATION, and says in its step which of them gives the result.
 * False: *e, with the place in the node's arguments as path (/data/cities/create/0), or none. */
bool nested_compile(struct compiler *k, struct command_set *set, size_t owner, struct plan *plan, struct err *e)
    __attribute__((warn_unused_result));

#endif
