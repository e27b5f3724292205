/* POST and GET /graphql: operations as command sets. */
#ifndef WRIT_HANDLERS_GRAPHQL_H
#define WRIT_HANDLERS_GRAPHQL_H

#include "handlers/dispatch.h"

call_step graphql_run;
/* Fills the answer of a request that failed: {"errors": [...]}, with "data": null where something had begun to run. */
void graphql_answer_error(struct call *call, const struct err *e);

#endif
