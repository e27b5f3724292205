/* From a FastCGI request to struct request. */
#ifndef WRIT_FCGI_REQUEST_READ_H
#define WRIT_FCGI_REQUEST_READ_H

#include "handlers/handler.h"

struct FCGX_Request;

/* Of one request; request->io points to it. */
struct request_input {
  struct FCGX_Request *fcgi;
  int max_body_bytes;
  int timeout_ms;
  bool term_blocked;    /* see request_done_reading */
  int64_t deadline_ms;  /* clock_ms: a body that comes in drops is not waited for any longer */
  int64_t limit_set_ms; /* clock_ms: when the connection's read timeout was last set; 0: not for the body */
};

/* Fills *request: names and texts are borrowed from fcgi until FCGX_Finish_r. The body is read when it is asked for. */
void request_read(struct request *request, struct request_input *input, void *mem, bool inside);

/* A signal must not break into a read that waits: libfcgi gives a stream up at EINTR, and with SO_RCVTIMEO set the
 * kernel does not restart the call. So a worker reads with SIGTERM blocked, from the head to the end of the body. This
 * unblocks it; called by read_body, and by the worker for a request whose body nobody wanted. */
void request_done_reading(struct request_input *input);

/* Has everything been read that the web server will send for this request, its end mark included? */
bool request_is_drained(const struct request_input *input);

#endif
