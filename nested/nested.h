/* Nested mutations: an input tree over the data model into the steps of one flight. docs/design.md, "Nested mutations";
 * what each operation does: docs/nested.md. */
#ifndef WRIT_NESTED_NESTED_H
#define WRIT_NESTED_NESTED_H

#include "compile/compiler.h"

/* Adds the steps of set->nodes[owner], of kind COMMAND_MUTATION; node->step is the one that gives the result. False:
 * *e, with the place in the node's arguments as path (/data/cities/create/0), or none, and prisma_code where there is
 * one. Nothing is looked up: what the rows are is found out on the server. */
bool nested_compile(struct compiler *k, struct command_set *set, size_t owner, struct plan *plan, struct err *e)
    __attribute__((warn_unused_result));

/* After a failed flight: what the error of a step means to those who see the data model, not the tables. */
void nested_explain_error(const struct step *step, struct err *e);
/* Where in the input its fault is: step->path, or more exactly; NULL: nowhere. */
const char *nested_error_path(const struct step *step, const struct err *e);
/* Is it that somebody else made the row first which the step was to make if there was none, or holds one that has just been
 * linked to ours? Then the flight may be tried again. */
bool nested_lost_race(const struct step *step, const struct err *e);

#endif
