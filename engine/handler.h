/* Handlers: commands whose logic is a program. */
#ifndef WRIT_ENGINE_HANDLER_H
#define WRIT_ENGINE_HANDLER_H

#include <stdbool.h>
#include <stddef.h>

struct run;

/* Runs the handler that entry `index` is; its arguments are known. Its result becomes its node's. False: r->e. */
bool handler_run(struct run *r, size_t index) __attribute__((warn_unused_result));

#endif
