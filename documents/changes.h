/* GraphQL's inputs name changes of a number flatly, { age_increment: 1 }, as their types must say what may be given; commands take
 * { age: { increment: 1 } }. */
#ifndef WRIT_DOCUMENTS_CHANGES_H
#define WRIT_DOCUMENTS_CHANGES_H

#include "base/json.h"
#include "documents/errors.h"

struct gql_type;

/* A coerced value of an input type as commands take it; the same pointer where nothing differs. NULL: *errors, a field is given
 * itself and changed as well. at: for the error. */
const struct json *changes_unfold(void *mem, const struct gql_type *type, const struct json *value, struct graphql_pos at,
                                  struct gql_errors *errors) __attribute__((warn_unused_result));

#endif
