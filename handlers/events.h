/* GET /events: a page of the event log, as JSON. */
#ifndef WRIT_HANDLERS_EVENTS_H
#define WRIT_HANDLERS_EVENTS_H

#include "handlers/dispatch.h"

struct event_query;

call_step events_show;

/* Of a request for events, in whatever form it is to be answered: who calls is in call->caller, and is one of event_log: readers
 * or from the inside; what is asked for. datasource: index into config.datasources. False: UNAUTHENTICATED, FORBIDDEN,
 * BAD_REQUEST. */
bool events_may_read(const struct manifest *m, const struct caller *caller, struct err *e)
    __attribute__((warn_unused_result));
bool events_query(const struct config *config, const struct request *r, struct event_query *query, size_t *datasource,
                  struct err *e) __attribute__((warn_unused_result));

#endif
