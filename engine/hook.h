/* Before-hooks: services that are asked before commands run, and may refuse them or change their arguments. */
#ifndef WRIT_ENGINE_HOOK_H
#define WRIT_ENGINE_HOOK_H

#include <stdbool.h>
#include <stddef.h>

struct run;

/* Has any command of entries [first, end), at any depth, a before-hook? */
bool hooks_there(const struct run *r, size_t first, size_t end);
/* Asks all of them at once. *changed: arguments were changed, and the set is bound anew. False: r->e is the refusal of the
 * first one that did, in the order of the set, or HANDLER_FAILED, TIMEOUT, CALLER_GONE. */
bool hooks_ask(struct run *r, size_t first, size_t end, bool *changed) __attribute__((warn_unused_result));
/* Arguments changed by a hook turned out to be wrong: the hook's fault, not the caller's. r->e tells what; gives false. */
bool hooks_blamed(struct run *r);

#endif
