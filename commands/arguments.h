/* Arguments as a service sees them: JSON in which what is not there yet stands as {"$ref": "name.path"}. */
#ifndef WRIT_COMMANDS_ARGUMENTS_H
#define WRIT_COMMANDS_ARGUMENTS_H

#include <stdbool.h>

struct command;
struct command_set;
struct expr;
struct json;
struct str;

/* One value. Data that could be taken for a reference stands as {"$literal": data}. */
void argument_write(struct str *out, const struct command_set *set, const struct expr *value);
/* The object of all of a command's arguments, its defaults among them. plain: there are no references any more, and data
 * is what it is. */
void arguments_write(struct str *out, const struct command_set *set, const struct command *c, const struct expr **args,
                     bool plain);
/* The same value? Members of objects may be in any order; numbers are the same when they are written so. */
bool json_same(const struct json *a, const struct json *b);

#endif
