/* States that root fields of a mutation ask for: @state, in the document or on the field's definition. */
#ifndef WRIT_DOCUMENTS_STATES_H
#define WRIT_DOCUMENTS_STATES_H

#include "documents/errors.h"

struct operation_call;

/* Of one command of an operation. */
struct root_state {
  bool asked;             /* by the document; */
  struct graphql_pos pos; /* there */
  bool wanted;            /* it is to have one, also because its definition says so */
  const char *mutation;   /* a UUID in lower case, the client's; NULL: the client gave none */
};

/* Fills call->states by what stands in the document, the commands being there. False: *errors. */
bool states_read(void *mem, struct operation_call *call, struct gql_errors *errors) __attribute__((warn_unused_result));
/* No two of one UUID, and none of taken (NULL: none), which is the operation's. False: *errors. */
bool states_differ(const struct operation_call *call, const char *taken, struct gql_errors *errors)
    __attribute__((warn_unused_result));

#endif
