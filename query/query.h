/* Queries of models: user, users, usersConnection: one statement each. */
#ifndef WRIT_QUERY_QUERY_H
#define WRIT_QUERY_QUERY_H

#include "compile/compiler.h"

/* Adds the step of set->nodes[owner], of kind COMMAND_QUERY. False: *e, with the place in the node's arguments as path
 * (/where/name_in), or none. */
bool query_compile(struct compiler *k, struct command_set *set, size_t owner, struct plan *plan, struct err *e)
    __attribute__((warn_unused_result));

#endif
