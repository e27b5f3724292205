/* Who calls, by what the web server said: docs/protocol.md, section 4. The same for workers and for the streamer. */
#ifndef WRIT_HANDLERS_IDENTITY_H
#define WRIT_HANDLERS_IDENTITY_H

#include "handlers/handler.h"

/* max_depth: of the claims' JSON. A call token is not looked at. False: *e, what the web server passed cannot be believed or
 * used, which is told in the log. */
bool identity_read(const struct request *request, const char *request_id, unsigned max_depth, struct caller *caller,
                   struct err *e) __attribute__((warn_unused_result));

#endif
