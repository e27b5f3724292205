/* Requests that outlive their answer: accepted with 202, or run as a durable mutation while the caller waits. */
#ifndef WRIT_HANDLERS_BACKGROUND_H
#define WRIT_HANDLERS_BACKGROUND_H

#include "handlers/dispatch.h"

struct command_set;
struct invocation;
struct str;

/* Is it run without its caller waiting: by Prefer, or as something is to follow? */
bool background_is_asked(const struct call *call, const struct command_set *set, const struct invocation *invocation);
/* 202, or what the same key was answered before. */
bool background_accept(struct call *call, struct command_set *set, const struct invocation *invocation, struct err *e);
/* As a durable mutation, whose lease this worker has; answered as if it were none. */
bool background_run(struct call *call, struct command_set *set, const struct invocation *invocation, struct err *e);
/* The answer of a mutation that was accepted before, for which is waited a short while. */
bool background_repeat(struct call *call, size_t datasource, const char *mutation, struct err *e);
/* {"mutation": ..., "state": ...}, 202, and Location. */
void background_answer(struct call *call, const char *mutation);
/* That object alone. Gives the path of the state. */
const char *background_put(const struct call *call, const char *mutation, struct str *out);

#endif
