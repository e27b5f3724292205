/* A GraphQL request on its way, for graphql.c (judges and runs it) and graphql_answer.c (its errors). */
#ifndef WRIT_HANDLERS_GRAPHQL_CALL_H
#define WRIT_HANDLERS_GRAPHQL_CALL_H

#include "documents/answer.h"
#include "documents/compile.h"
#include "documents/errors.h"
#include "handlers/graphql_request.h"
#include "handlers/headers.h"

struct str;

struct graphql_call {
  enum media media;
  struct graphql_request request;
  struct gql_errors errors; /* of the document, and of variables: nothing has run */
  bool executing;           /* errors from now on are the operation's */
  struct operation_call operation;
  const char **drawn;         /* by index in the set: the UUID of its state, where writ made it; NULL: not so */
  struct field_errors fields; /* of the data */
};

const char *graphql_media_type(enum media media);
/* "errors":[...] of what the data lacks. */
void graphql_put_field_errors(struct str *out, const struct field_errors *errors, const char *request_id);

#endif
