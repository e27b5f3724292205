/* GraphQL text into its syntax tree, ast.h: the language of the October 2021 edition (chapter 2, and the definitions of
 * chapter 3). Strings and comments may hold all of Unicode, as the edition after it has it: \u{1F600}, and pairs of
 * surrogates. NUL is refused, as is a text that is not UTF-8.
 *
 * text need not end in NUL and is not needed afterwards. The tree lives in mem. False: BAD_REQUEST with line and column in
 * the message ("Line 1, column 5: expected a name, found }.") and in e->input_line and e->input_column; TOO_LARGE for what
 * is beyond a limit. What has been allocated stays in mem then, too. */
#ifndef WRIT_GRAPHQL_PARSE_H
#define WRIT_GRAPHQL_PARSE_H

#include "base/err.h"
#include "graphql/ast.h"

/* All at least 1. Memory grows with the tokens (some 100 bytes each) and the bytes; the parser's stack with the depth. */
struct graphql_limits {
  size_t bytes;    /* of the text */
  unsigned tokens; /* names, numbers, strings, punctuators; as every node has one, a bound on the nodes too */
  unsigned depth;  /* braces and brackets within each other: 1 for { a }, 2 for { a { b } }; parentheses do not count */
};

/* 1 MiB, 100,000 tokens, depth 200. */
extern const struct graphql_limits graphql_limits_default;

/* A document, of operations and fragments, or of definitions, or (not for execution) of both. */
bool graphql_parse(const void *mem, const char *text, size_t len, const struct graphql_limits *limits,
                   const struct graphql_document **out, struct err *e) __attribute__((warn_unused_result));

/* A document of definitions and extensions only. Prisma 1's data models are such documents as they are: comments in #
 * anywhere, commas where one likes. */
bool graphql_parse_schema(const void *mem, const char *text, size_t len, const struct graphql_limits *limits,
                          const struct graphql_document **out, struct err *e) __attribute__((warn_unused_result));

/* A selection set alone: { id cities { name } }. */
bool graphql_parse_selections(const void *mem, const char *text, size_t len, const struct graphql_limits *limits,
                              const struct graphql_selection **out, struct err *e) __attribute__((warn_unused_result));

#endif
