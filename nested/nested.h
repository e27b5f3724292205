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

/* What the nested operations of a mutation that are one command have left to the end: their results, in a setting. */
struct nested_kept {
  const struct command *command;
  const char
      *setting; /* JSON, comma, JSON ...: {"p": which of them, "v": arguments that only the server knew, "r": result} */
  struct part **parts;
  size_t n;
};

struct nested_ends {
  struct nested_kept *kept;
  size_t n;
};

struct sql_build;

/* Behind all nodes: adds what judges the results (permissions after:) of set->nodes[owner]. False: *e. */
bool nested_end(struct compiler *k, struct command_set *set, size_t owner, struct plan *plan, struct err *e)
    __attribute__((warn_unused_result));
/* A row for each operation that was really done, as writ_n: v, its arguments (jsonb), o, its number from 1, r, its result
 * (jsonb), and told, the same as json. */
void nested_put_kept(struct sql_build *b, const struct nested_kept *kept);
/* Their arguments, as an array of objects. */
const struct expr *nested_kept_args(void *mem, const struct nested_kept *kept);

/* After a failed flight: what the error of a step means to those who see the data model, not the tables. */
void nested_explain_error(const struct step *step, struct err *e);
/* The same of an error that came with the commit: keys that wait are looked at there. */
void nested_explain_late(const struct plan *plan, struct err *e);
/* Where in the input its fault is: step->path, or more exactly; NULL: nowhere. */
const char *nested_error_path(const struct step *step, const struct err *e);
/* Was it one of many rows that the step makes, and cannot be told which? Compiled one_by_one, it can. */
bool nested_is_one_of_many(const struct step *step, const struct err *e);
/* Is it that somebody else made the row first which the step was to make if there was none, or holds one that has just been
 * linked to ours? Then the flight may be tried again. */
bool nested_lost_race(const struct step *step, const struct err *e);
/* May the row that was made first be one that the caller never sees? Then the next try fails in the same way, and the one
 * behind it. */
bool nested_is_hidden(const struct err *e);

#endif
