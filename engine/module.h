/* Commands whose logic is a shared object: include/writ-module.h is what a module sees, writ-module(3) tells of it.
 *
 * Loading a module runs its code, so it is done in workers, in the tool `writ`, and in a child that tries; never by root. */
#ifndef WRIT_ENGINE_MODULE_H
#define WRIT_ENGINE_MODULE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct command;
struct engine;
struct invocation;
struct json;
struct manifest;
struct problems;
struct report;

struct modules;

/* Loads what the manifest's commands need and opens each command's function. What cannot be loaded is told in the log; the
 * command alone is out of order then. Order: after the process has become who it will be, before it accepts; once a process.
 * talloc_free closes the functions; what is loaded stays, as its code may be in use by what it has set up. */
struct modules *modules_load(const void *mem, const struct manifest *manifest);

/* Does all that in a child, and ends it: what is wrong becomes problems of the manifest, a crash among them. As root the
 * child becomes user (see user_become); NULL: nothing is tried, and a warning says so. */
void modules_try(const struct manifest *manifest, const char *user, uid_t uid, gid_t gid, struct problems *p);

/* Runs a command that is a module's. args: its arguments object, complete. inside: as what the module's own calls are
 * made; its deadline also bounds the module's code: some time after it the process ends, as nothing else stops code that
 * does not come back. Those calls use the engine, so no transaction may be open; what they did is added to report.
 * *result: JSON text in mem. False: the module's error, or that of a set it ran with the places of that set, or
 * HANDLER_FAILED. */
bool module_run(struct engine *engine, void *mem, const struct command *c, const char *args, size_t args_len,
                const struct invocation *inside, struct report *report, const char **result, size_t *result_len,
                struct err *e) __attribute__((warn_unused_result));

#endif
