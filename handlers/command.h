/* POST /command/NAME: one command, or a set as the command it is. */
#ifndef WRIT_HANDLERS_COMMAND_H
#define WRIT_HANDLERS_COMMAND_H

#include "handlers/dispatch.h"

/* Is there such a command for this listener? UNKNOWN_COMMAND. */
call_step command_find;
/* The rest of the judgement, then the engine. */
call_step command_run;

/* What commands have in common, however a request names them (graphql.c). */

struct command_set;
struct json;
struct watch;

/* Who calls: the border, or a handler's token. Fills call->caller and call->token. */
call_step command_identify;
/* Header fields that all calls have in common: a repeated Idempotency-Key is refused, a Mutation-Id taken over. */
bool command_check_headers(const struct request *r, struct invocation *invocation, struct err *e)
    __attribute__((warn_unused_result));
/* Runs the set, or accepts it for the background: the answer's body, or the 202. */
bool command_execute(struct call *call, struct command_set *set, struct invocation *invocation, struct err *e)
    __attribute__((warn_unused_result));
/* When it is known who calls. */
struct invocation command_invocation(const struct call *call);
/* Idempotency-Key. args: what a repeat must have in common, beside call->command. */
bool command_read_key(struct call *call, struct invocation *invocation, const struct json *args, struct err *e)
    __attribute__((warn_unused_result));
/* Who keeps the state of the mutation that the set is, or is part of; NULL: nobody follows it. */
struct watch *command_watch(struct call *call, const struct invocation *invocation, const struct command_set *set);
/* Header fields of a call that went well. */
void command_answer_headers(struct call *call, const struct invocation *invocation);

#endif
