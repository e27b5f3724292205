/* Operations into command sets: each root field is a command, its arguments are the command's, and for the commands of models
 * the fields below are one more argument, `select`. What stands in the set is given to set_decode() as any other request is. */
#ifndef WRIT_DOCUMENTS_COMPILE_H
#define WRIT_DOCUMENTS_COMPILE_H

#include "documents/document.h"
#include "documents/states.h"

struct command;
struct manifest;

/* An operation with the variables of a request. */
struct operation_call {
  const struct document *document;
  const struct prepared *operation;
  const struct json *variables; /* coerced */
  const struct root *roots;     /* in the order of the answer */
  size_t nroots;
  size_t *entries;               /* by root: index of its command in the set; of others: none */
  const struct root **commands;  /* by index in the set */
  size_t ncommands;              /* 0: nothing is to be run */
  struct root_state *states;     /* the same, for whoever goes on from here to fill */
  const struct command *command; /* operation_set: what is to be decoded: the one command, or transactional_command_set */
  const struct json *args;
};

/* What can be made of an operation ahead of its variables. mem: the document's. False: it unfolds to too many fields. */
bool operation_prepare(void *mem, const struct document *document, struct prepared *operation)
    __attribute__((warn_unused_result));
/* All but the set. False: *errors; a value that only the variables show to be wrong. */
bool operation_compile(void *mem, const struct document *document, const struct prepared *operation,
                       const struct json *variables, struct operation_call *out, struct gql_errors *errors)
    __attribute__((warn_unused_result));
/* The set, with a mutation for each command that has one now. */
void operation_set(void *mem, const struct manifest *manifest, struct operation_call *call);

#endif
