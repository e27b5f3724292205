/* One request on its way through the handlers. dispatch.c makes it, finds the route and writes the log line; the
 * handler (command.c, health.c, metrics.c) judges the rest and fills the answer. */
#ifndef WRIT_HANDLERS_DISPATCH_H
#define WRIT_HANDLERS_DISPATCH_H

#include "handlers/handler.h"

struct call_token;
struct command;
struct graphql_call;

struct call {
  struct site *site;
  struct request *request;
  struct answer *answer;
  const char *request_id;
  const char *name;               /* what stood in the path for the route's NAME; NULL: the route has none */
  const char *label;              /* for the log line: the command or set; NULL: the path did not lead to a command */
  struct caller caller;           /* whom the log line names; role is "-" until it is known */
  const struct call_token *token; /* of the handler's call that this is part of; NULL: none */
  const struct command *command;
  struct graphql_call *graphql; /* NULL: it is none, or nothing is known of it yet */
  struct report report;
};

/* The path less the prefix ("/api", a slash at its end does not matter); NULL: it is not below the prefix. */
const char *path_below(const char *uri, const char *prefix);

/* Steps of a route. False: *e. */
typedef bool call_step(struct call *call, struct err *e);

#endif
