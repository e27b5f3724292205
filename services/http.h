/* Requests to the services that a manifest names: hooks, handlers, webhooks. libcurl is included in http.c only. */
#ifndef WRIT_SERVICES_HTTP_H
#define WRIT_SERVICES_HTTP_H

#include "base/wait.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a service is: http://host:port/path, https://..., or, as nginx writes it, http://unix:/path/of/socket:/path. */
struct http_endpoint {
  const char *url;         /* as libcurl takes it */
  const char *unix_socket; /* NULL: none */
};

/* Reads a URL as a manifest writes it. False: *why, for people, a constant. User and password in it are refused, as they
 * would be logged. */
bool http_endpoint_read(const void *mem, const char *text, struct http_endpoint *out, const char **why)
    __attribute__((warn_unused_result));

struct http_header {
  const char *name, *value;
};

enum http_end {
  HTTP_ANSWERED,    /* whatever the status */
  HTTP_UNREACHABLE, /* no connection; surely nothing was sent. Also a unix socket whose queue (listen's backlog) is full */
  HTTP_BROKEN,      /* the answer was cut short, is no HTTP, or is larger than allowed */
  HTTP_TIMEOUT,     /* of timeout_ms */
  HTTP_GIVEN_UP,    /* the caller hung up, or the request's deadline came */
  HTTP_UNDER_WAY,   /* begun by http_begin, and not ended yet */
};

/* One POST and its answer. */
struct http_exchange {
  const struct http_endpoint *endpoint;
  int timeout_ms;          /* more than 0: for all of it, looking up the name and connecting included */
  size_t max_answer_bytes; /* of the body; its headers have a limit of their own */
  /* May the service get it twice? Then a kept connection that ends without an answer is replaced and the request sent again.
   * Without it the end is BROKEN, unless surely nothing was sent. */
  bool repeatable;
  /* Beside Content-Type, Content-Length, Accept, User-Agent, Host. With a control character (a line end) in one: BROKEN, and
   * nothing is sent. */
  const struct http_header *headers;
  size_t nheaders;
  const char *body; /* application/json */
  size_t len;
  /* Filled: */
  enum http_end end;
  bool sent;                /* some of it at least: the service may have acted on it, whatever the end */
  const char *why;          /* unless ANSWERED: for the log */
  int status;               /* this and what follows: 0 or NULL unless ANSWERED */
  const char *content_type; /* NULL: none */
  const char *retry_after;  /* NULL: none */
  const char *answer;       /* in mem, NUL behind it. Without length or chunks its end looks like a cut */
  size_t answer_len;
  int64_t took_us;
  struct transfer *transfer; /* the client's own, while it is under way */
};

struct http_client;

/* One a process, made when first needed and after the last fork; keeps connections to services open between requests.
 * talloc_free ends it. */
struct http_client *http_client_new(const void *mem);
/* All at once; comes back when each has ended. No redirect is followed, no cookie kept, no proxy of the environment used.
 * w: its deadline and its caller's hang-up end what is still under way (HTTP_GIVEN_UP). */
void http_run(struct http_client *client, void *mem, struct http_exchange *exchanges, size_t n, const struct wait *w);

/* Without waiting for all of them: begins one; it is UNDER_WAY until a later http_wait has ended it. The exchange, what
 * it borrows and mem stay until then. */
void http_begin(struct http_client *client, void *mem, struct http_exchange *exchange);
enum { HTTP_WATCHED_MAX = 4 };
/* Drives what was begun until one of it has ended, one of fds can be read, or timeout_ms have passed. */
void http_wait(struct http_client *client, const int *fds, size_t nfds, int timeout_ms);
/* Ends it now: HTTP_GIVEN_UP. */
void http_give_up(struct http_client *client, struct http_exchange *exchange);

#endif
