/* What a GraphQL request asks for, as GraphQL over HTTP writes it: in a JSON body, or in the parameters of a URL. */
#ifndef WRIT_HANDLERS_GRAPHQL_REQUEST_H
#define WRIT_HANDLERS_GRAPHQL_REQUEST_H

#include "base/digest.h"
#include "handlers/handler.h"

struct json;

struct graphql_request {
  const char *query; /* the document; NULL: none, but a hash */
  size_t query_len;
  const char *operation;        /* NULL: none */
  const struct json *variables; /* an object; NULL: none */
  bool has_hash;                /* extensions.persistedQuery.sha256Hash; else it is made of the document */
  unsigned char hash[DIGEST_BYTES];
};

/* max_depth: of the JSON. False: BAD_JSON, BAD_REQUEST, UNSUPPORTED_MEDIA_TYPE, TOO_LARGE. */
bool graphql_request_read(struct request *r, unsigned max_depth, struct graphql_request *out, struct err *e)
    __attribute__((warn_unused_result));

#endif
