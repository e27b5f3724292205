/* A request and its answer as plain bytes: what fcgi/ fills and sends, what a handler reads and makes. No FastCGI, no JSON
 * types: handlers run without either in unit tests and fuzzers. All memory is the request's arena. */
#ifndef WRIT_HANDLERS_HANDLER_H
#define WRIT_HANDLERS_HANDLER_H

#include "base/err.h"
#include "engine/engine.h"

#include <stdbool.h>
#include <stddef.h>

struct counters_page;
struct documents;
struct schema;
struct str;

struct request {
  void *mem;
  bool inside;                /* by which listener it came */
  const char *method;         /* "POST" */
  const char *uri;            /* DOCUMENT_URI, decoded by nginx */
  const char *prefix;         /* WRIT_PREFIX, "" when absent */
  const char *query;          /* QUERY_STRING */
  const char *content_type;   /* NULL: none */
  const char *content_length; /* as sent; NULL: none */
  const char *accept, *prefer, *idempotency_key, *mutation_id, *traceparent, *x_request_id, *if_match,
      *if_none_match;        /* NULL: none */
  const char *came_inside;   /* WRIT_INSIDE: for the streamer, which has one listener, the same as inside */
  const char *last_event_id; /* of a stream that is resumed; NULL: none */
  bool idempotency_key_repeated;
  const char *role, *user, *claims; /* WRIT_ROLE, WRIT_USER, WRIT_CLAIMS as nginx passed them; NULL: none */
  const char *call_token;           /* WRIT_CALL; NULL: none, and on the border never heeded */
  bool identity_repeated;           /* one of WRIT_* came twice: a mistake in nginx's configuration, refused */
  /* Reads the body, at most once and only when asked: a request refused before costs no reading. False: BAD_REQUEST (cut
   * short), TOO_LARGE, LENGTH_REQUIRED. *body belongs to mem. */
  bool (*read_body)(struct request *request, const char **body, size_t *len, struct err *e);
  void *io;            /* read_body's own */
  int caller_fd;       /* the FastCGI connection, for engine_run; -1: none */
  int64_t received_us; /* clock_us at accept */
};

struct answer_header {
  const char *name, *value;
};

struct answer {
  int status;
  const char *content_type;
  struct str *body;
  struct answer_header headers[8]; /* behind Content-Type */
  size_t nheaders;
};

/* What a worker holds for its life. */
struct site {
  struct engine *engine;
  const struct counters_page *counters; /* all slots, for /metrics; NULL: none */
  struct counters *own;                 /* this worker's; NULL: none */
  const struct schema *schema;          /* of GraphQL; NULL: there is none */
  struct documents *documents;          /* of that schema; NULL: there is none */
};

/* Answers one request: always fills *answer; logs its one line; counts. */
void dispatch(struct site *site, struct request *request, struct answer *answer);

#endif
