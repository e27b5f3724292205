/* The parameters of a FastCGI (or CGI) request, one by one: which of them count, and what a second one of the same name
 * means. The one place that decides it, for workers (libfcgi) and the streamer (stream/record.h). */
#ifndef WRIT_HANDLERS_PARAMS_H
#define WRIT_HANDLERS_PARAMS_H

#include "handlers/handler.h"

/* name: len bytes; value: ends in NUL, borrowed for the request's life. Others than ours are passed over. */
void params_put(struct request *request, const char *name, size_t len, const char *value);

#endif
