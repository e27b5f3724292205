/* /mutation/UUID: what was accepted to be run. */
#ifndef WRIT_HANDLERS_MUTATION_H
#define WRIT_HANDLERS_MUTATION_H

#include "handlers/dispatch.h"

/* Is it a UUID? NOT_FOUND. */
call_step mutation_find;
/* DELETE: asks it to stop before its next step. */
call_step mutation_stop;

#endif
