/* /mutation/UUID: the state of a mutation, and the wish that it stop. */
#ifndef WRIT_HANDLERS_MUTATION_H
#define WRIT_HANDLERS_MUTATION_H

#include "handlers/dispatch.h"

/* Is it a UUID? NOT_FOUND. */
call_step mutation_find;
/* GET and HEAD: the state; DELETE: 202. */
call_step mutation_state;

#endif
