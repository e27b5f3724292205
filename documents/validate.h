/* Is a document valid for a schema? All rules of section 5 of the GraphQL specification (October 2021), named as graphql-
 * js 16 names them, and limits of our own. Subscriptions are refused. */
#ifndef WRIT_DOCUMENTS_VALIDATE_H
#define WRIT_DOCUMENTS_VALIDATE_H

#include "documents/errors.h"
#include "documents/limits.h"

struct schema;
struct schema_view;

/* view: what of the schema is there for the caller; NULL: all of it. What it does not see does not exist, in suggestions
 * neither. limits NULL: none. Time and memory grow with the document, not with what its fragments unfold to. False: *errors
 * has at least one, in the order of their first places. */
bool document_validate(void *mem, const struct schema_view *view, const struct schema *schema,
                       const struct graphql_document *doc, const struct document_limits *limits, struct gql_errors *errors)
    __attribute__((warn_unused_result));

#endif
