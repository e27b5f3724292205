/* Domain events: facts that a command's events: appends to the log, in the transaction of its work, so that they are there
 * when and only when that was committed. events/ gives them positions. */
#ifndef WRIT_ENGINE_APPEND_H
#define WRIT_ENGINE_APPEND_H

#include "compile/compiler.h"

struct run;

/* Calls visit for each result that the events of entries [first, end) are made of, and that the server keeps. */
void append_each_result(const struct command_set *set, size_t first, size_t end,
                        void (*visit)(const struct expr *result, void *data), void *data);
/* Adds the step that appends them all, one statement, where there are any; set->events_step says which. */
void append_compile(struct compiler *k, struct command_set *set, size_t first, size_t end, struct plan *plan);
/* Has an entry any? */
bool append_is_needed(const struct command_set *set, size_t entry);
/* That step has failed: what the caller is told of it is not about the caller's rights. */
void append_explain(struct err *e);

#endif
