/* States of the root fields of a mutation (@state), between a document and the command set that it becomes. */
#ifndef WRIT_HANDLERS_GRAPHQL_STATE_H
#define WRIT_HANDLERS_GRAPHQL_STATE_H

#include "handlers/graphql_call.h"

struct call;
struct err;
struct invocation;
struct str;

/* Which UUIDs they have: makes those that nobody gave. The state of an only field is that of the operation: invocation->mutation.
 * Ahead of operation_set. False: *e, or g->errors as well. */
bool graphql_states(struct call *call, struct graphql_call *g, struct invocation *invocation, struct err *e)
    __attribute__((warn_unused_result));
/* Have some a UUID that the client does not know? "mutations":{FIELD:{"mutation","state"}} of those. */
bool graphql_has_states_to_tell(const struct call *call, const struct graphql_call *g);
void graphql_put_states(struct call *call, const struct graphql_call *g, struct str *out);

#endif
