/* POST /command/NAME: one command, or a set as the command it is. */
#ifndef WRIT_HANDLERS_COMMAND_H
#define WRIT_HANDLERS_COMMAND_H

#include "handlers/dispatch.h"

/* Is there such a command for this listener? UNKNOWN_COMMAND. */
call_step command_find;
/* Who calls: the border, or a handler's token. */
call_step command_identify;
/* The rest of the judgement, then the engine. */
call_step command_run;

#endif
