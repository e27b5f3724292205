/* Calling a service for a request: what hooks and handlers are sent alike, and what their answers mean. */
#ifndef WRIT_ENGINE_SERVICE_CALL_H
#define WRIT_ENGINE_SERVICE_CALL_H

#include "manifest/service.h"
#include "services/http.h"

struct command;
struct err;
struct expr;
struct run;
struct str;

enum { SERVICE_HEADERS = 5 };

struct service_call {
  const struct service *service;
  struct http_header headers[SERVICE_HEADERS];
  struct http_exchange exchange;
  const struct json *answer; /* of a service that agreed (2xx): an object; an empty one for an empty body */
};

/* Appends the members that every service gets: command, args, caller, mutation, request_id, config. plain: see
 * arguments_write. */
void service_body(struct run *r, const struct service *service, const struct command *c, const struct expr **args,
                  bool plain, struct str *out);
/* Makes *call ready for http_run: headers (request id, signature), limits. body stays borrowed. */
void service_prepare(struct run *r, const struct service *service, const struct str *body, struct service_call *call);
void service_header(struct service_call *call, const char *name, const char *value);
/* What came of it. True: it agreed, and call->answer is read. False: e is its refusal, or HANDLER_FAILED, with the reason
 * for the log alone, or TIMEOUT (the request's deadline), or CALLER_GONE. who: "hook a.normalise". */
bool service_answer(struct run *r, const char *who, struct service_call *call, struct err *e)
    __attribute__((warn_unused_result));
/* HANDLER_FAILED; why: for the log. */
bool service_failed(struct err *e, const char *who, const char *why);

#endif
