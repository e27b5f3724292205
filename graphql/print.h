/* The syntax tree as text again: one form for each tree, with two blanks a level, which parse.h reads back to the same tree.
 * All append to out. */
#ifndef WRIT_GRAPHQL_PRINT_H
#define WRIT_GRAPHQL_PRINT_H

#include "graphql/ast.h"

struct str;

/* Definitions with an empty line between; ends in a newline. */
void graphql_print_document(struct str *out, const struct graphql_document *document);
void graphql_print_definition(struct str *out, const struct graphql_definition *definition);

/* A description: a block string where that keeps the text, and the line behind it; level: of what is described. */
void graphql_print_description(struct str *out, const char *text, size_t len, unsigned level);

/* With braces, on several lines, no newline at the end. */
void graphql_print_selections(struct str *out, const struct graphql_selection *selections);

/* On one line: [{a: 1}, "x"] and [Int!]!. */
void graphql_print_value(struct str *out, const struct graphql_value *value);
void graphql_print_type(struct str *out, const struct graphql_type *type);

#endif
