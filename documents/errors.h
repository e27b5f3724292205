/* What is wrong with a GraphQL document, or with the variables that came along: messages for the client, each with its
 * places. Their number is bounded, as a document of a megabyte can have a hundred thousand mistakes. */
#ifndef WRIT_DOCUMENTS_ERRORS_H
#define WRIT_DOCUMENTS_ERRORS_H

#include "graphql/ast.h"

#include <stdbool.h>
#include <stddef.h>

enum { GQL_ERRORS_MAX = 50, GQL_LOCATIONS_MAX = 20 };

struct gql_error {
  const char *message;
  const struct graphql_pos *locations; /* at most GQL_LOCATIONS_MAX */
  size_t nlocations;
  const char *rule; /* of the specification, as graphql-js names it: "ScalarLeafs"; NULL: none, as with variables */
};

/* Set mem and nothing else before the first error. */
struct gql_errors {
  void *mem;
  const char *rule; /* what errors that are added from now on are given */
  struct gql_error *list;
  size_t n;
};

/* Always false. at.line 0: no place. Behind GQL_ERRORS_MAX there is one that says that there are more; later ones are
 * dropped. */
bool gql_error_add(struct gql_errors *to, struct graphql_pos at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* One more place of the error that was added last. Always false. */
bool gql_error_also(struct gql_errors *to, struct graphql_pos at);
/* No more fit: looking for others is in vain. */
bool gql_errors_full(const struct gql_errors *errors);

/* text, cut to what a message may hold of what a client sent, at the boundary of a character. */
const char *gql_error_cut(void *mem, const char *text);

#endif
