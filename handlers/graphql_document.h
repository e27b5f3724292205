/* The document of a GraphQL request: the text that came with it, or what its hash stands for. */
#ifndef WRIT_HANDLERS_GRAPHQL_DOCUMENT_H
#define WRIT_HANDLERS_GRAPHQL_DOCUMENT_H

#include "handlers/dispatch.h"

struct document;
struct graphql_call;

/* Fills g->request.hash where the request has none. False: *e, with g->errors when the document is not valid;
 * PERSISTED_QUERY_NOT_FOUND, DOCUMENT_NOT_KNOWN. */
bool graphql_document(struct call *call, struct graphql_call *g, const struct document **out, struct err *e)
    __attribute__((warn_unused_result));

#endif
