/* From struct answer to the web server, and the end of the FastCGI request. */
#ifndef WRIT_FCGI_REPLY_WRITE_H
#define WRIT_FCGI_REPLY_WRITE_H

#include "handlers/handler.h"

struct FCGX_Request;

/* Sends the answer. Gives 0, or the errno for which the web server did not get all of it: what was committed stays
 * committed. The request can still be read. */
int reply_write(struct FCGX_Request *fcgi, const struct answer *answer, void *mem);

/* Ends the request and lets go of the connection. drained: all of the request has been read. Order: last of all, the
 * texts of the request are freed. */
void reply_finish(struct FCGX_Request *fcgi, bool drained);

#endif
