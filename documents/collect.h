/* Which fields a selection set asks for (GraphQL specification, 6.3.2 CollectFields): fragments flattened, @skip and @include
 * resolved, all selections of one response key merged. */
#ifndef WRIT_DOCUMENTS_COLLECT_H
#define WRIT_DOCUMENTS_COLLECT_H

#include "graphql/ast.h"

#include <stdbool.h>
#include <stddef.h>

struct gql_field;
struct gql_type;
struct json;
struct names;
struct schema;

/* Selection sets that are to be merged: those of all selections of one response key. */
struct selection_sets {
  const struct graphql_selection **list; /* each is never NULL */
  size_t n;
};

/* One member of the answer. */
struct wanted {
  const char *key;                             /* its name in the answer: the alias, or the field's name */
  const struct gql_field *field;               /* NULL: __typename, __schema, __type */
  const struct graphql_selection *first;       /* its name and arguments; a valid document gives the others the same */
  struct selection_sets below;                 /* n 0: a leaf */
  const struct graphql_directive *state;       /* @state, where a selection of that key has it; NULL: none; */
  const struct graphql_directive *state_again; /* where another has it, too */
};

struct wanted_list {
  struct wanted *list;
  size_t n;
};

struct collector {
  void *mem;
  const struct schema *schema;
  const struct names *fragments; /* of the document: struct graphql_definition, sorted */
  const struct json *variables;  /* coerced; NULL: not known yet; */
  bool conditional;              /* then set where a variable decides whether a field is there: what was collected is void */
  size_t left;                   /* fields that may still be collected, all in all: fragments within fragments double at each
                                  * step; 0: some are missing */
};

/* Of an object type; the document is valid. */
struct wanted_list collect(struct collector *c, const struct gql_type *type, struct selection_sets sets);
/* One selection set. */
struct selection_sets selection_set(void *mem, const struct graphql_selection *selections);

#endif
