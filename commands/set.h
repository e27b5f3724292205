/* A command set: what every front end (JSON, GraphQL, the command line) makes of a request, and all the compiler sees. */
#ifndef WRIT_COMMANDS_SET_H
#define WRIT_COMMANDS_SET_H

#include "base/err.h"
#include "db/plan.h"

#include <stdbool.h>
#include <stddef.h>

struct caller;
struct command;
struct json;
struct manifest;

/* The name by which references of on_error find what ended the commands. */
#define SET_ERROR "error"

/* The border, for one named command: UNKNOWN_COMMAND (404, also for inside-only ones seen from the border),
 * UNAUTHENTICATED (401) or FORBIDDEN (403). NULL then. */
const struct command *set_admit(const struct manifest *manifest, const char *name, const struct caller *caller,
                                struct err *e);

/* Makes a set of one command and its arguments object; for a built-in set command, of what `args` holds (commands,
 * isolation, ...), each named command admitted before anything else is looked at. All references are bound, names and
 * limits checked; types are checked when the set is compiled. NULL: *e, with index and path. */
struct command_set *set_decode(void *mem, const struct manifest *manifest, const struct command *command,
                               const struct json *args, const struct caller *caller, struct err *e);

/* The same, where values are there already: references find the members of known, an object, by name, where no entry of that name
 * comes before, or one of the first done, which have been run. */
struct command_set *set_decode_with(void *mem, const struct manifest *manifest, const struct command *command,
                                    const struct json *args, const struct caller *caller, const struct json *known,
                                    size_t done, struct err *e);

/* Binds all arguments of a set once more, with what hooks have put in their place (use.changed); nodes stay the same.
 * False: a reference finds nothing any more. */
bool set_decode_again(void *mem, const struct manifest *manifest, struct command_set *set, const struct caller *caller,
                      struct err *e) __attribute__((warn_unused_result));

/* For the log line: "add_user", or "transactional_command_set(unique_username,add_user,...)" cut at 200 bytes. */
const char *set_label(const struct command_set *set);

#endif
