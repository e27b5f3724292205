/* The entries of a command set into a plan: the one compiler. */
#ifndef WRIT_ENGINE_ENTRIES_H
#define WRIT_ENGINE_ENTRIES_H

#include "compile/compiler.h"

/* Adds the steps of entries [first, end) to *plan. False: *e with index, path, argument; BAD_ARGUMENT, BAD_REFERENCE, or
 * INTERNAL for a command that does not prepare. *fault: the command whose shape was at odds, to look at it again. */
bool compile_entries(struct compiler *k, struct command_set *set, size_t first, size_t end, struct plan *plan,
                     const struct command **fault, struct err *e) __attribute__((warn_unused_result));

#endif
