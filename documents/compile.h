/* Operations into command sets: each root field is a command, its arguments are the command's, and for the commands of models
 * the fields below are one more argument, `select`. What stands in the set is given to set_decode() as any other request is. */
#ifndef WRIT_DOCUMENTS_COMPILE_H
#define WRIT_DOCUMENTS_COMPILE_H

#include "documents/document.h"

struct command;
struct manifest;

/* An operation with the variables of a request. */
struct operation_call {
  const struct document *document;
  const struct prepared *operation;
  const struct json *variables;  /* coerced */
  const struct root *roots;      /* in the order of the answer */
  size_t nroots;
  size_t *entries;               /* by root: index of its command in the set; of others: none */
  const struct root **commands;  /* by index in the set */
  size_t ncommands;              /* 0: nothing is to be run */
  const struct command *command; /* what is to be decoded: the one command, or transactional_command_set */
  const struct json *args;
};

/* What can be made of an operation ahead of its variables. mem: the document's. False: it unfolds to too many fields. */
bool operation_prepare(void *mem, const struct document *document, struct prepared *operation)
    __attribute__((warn_unused_result));
/* False: *errors; a value that only the variables show to be wrong. */
bool operation_compile(void *mem, const struct document *document, const struct prepared *operation,
                       const struct manifest *manifest, const struct json *variables, struct operation_call *out,
                       struct gql_errors *errors) __attribute__((warn_unused_result));

#endif
