/* Requests to the services that a manifest names: hooks, handlers, webhooks. libcurl is included in http.c only. */
#ifndef WRIT_COMMANDS_HTTP_H
#define WRIT_COMMANDS_HTTP_H

#include "db/conn.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a service is: http://host:port/path, https://..., or, as nginx writes it, http://unix:/path/of/socket:/path. */
struct http_endpoint {
  const char *url;         /* as libcurl takes it */
  const char *unix_socket; /* NULL: none */
};

/* Reads a URL as a manifest writes it. False: *why, for people. User and password in it are refused, as they would be logged. */
bool http_endpoint_read(const void *mem, const char *text, struct http_endpoint *out, const char **why)
    __attribute__((warn_unused_result));

struct http_header {
  const char *name, *value;
};

enum http_end {
  HTTP_ANSWERED,    /* whatever the status */
  HTTP_UNREACHABLE, /* nothing was sent: no connection */
  HTTP_BROKEN,      /* the answer was cut short, is no HTTP, or is larger than allowed */
  HTTP_TIMEOUT,
  HTTP_GIVEN_UP,    /* the caller hung up, or the request's deadline came */
};

/* One POST and its answer. */
struct http_exchange {
  const struct http_endpoint *endpoint;
  int timeout_ms;                      /* for all of it, connecting included */
  size_t max_answer_bytes;
  const struct http_header *headers;   /* beside Content-Type, Content-Length, User-Agent; values without line ends */
  size_t nheaders;
  const char *body;                    /* application/json */
  size_t len;
  /* Filled: */
  enum http_end end;
  const char *why;                     /* unless ANSWERED: for the log */
  int status;
  const char *content_type;            /* NULL: none */
  const char *retry_after;             /* NULL: none */
  const char *answer;                  /* in mem, NUL behind it */
  size_t answer_len;
  int64_t took_us;
};

struct http_client;

/* One a process, made when first needed; keeps connections to services open between requests. talloc_free ends it. */
struct http_client *http_client_new(const void *mem);
/* All at once; comes back when each has ended. No redirect is followed, no cookie kept, no proxy of the environment used.
 * w: its deadline and its caller's hang-up end what is still under way (HTTP_GIVEN_UP). */
void http_run(struct http_client *client, void *mem, struct http_exchange *exchanges, size_t n, const struct wait *w);

#endif
