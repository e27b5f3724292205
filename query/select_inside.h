/* What a selection is, for select.c (reads it), select_sql.c (makes SQL of it) and connection.c. */
#ifndef WRIT_QUERY_SELECT_INSIDE_H
#define WRIT_QUERY_SELECT_INSIDE_H

#include "query/select.h"

struct selected {
  const char *alias; /* a GraphQL name of at most SELECT_ALIAS_BYTES */
  bool is_typename;  /* __typename: the model's name; field NULL */
  const struct field *field;
  const struct selection *selection; /* of a relation */
  struct list list;                  /* of a list of nodes */
};

struct selection {
  const struct model *model;
  struct selected *items;
  size_t nitems; /* at least 1 */
};

struct graphql_selection;

/* One selection being read. */
struct select_reader {
  void *mem;
  size_t nfields; /* of the whole */
  unsigned depth;
  struct err *e;
};

/* The field that a member of the tree stands for: the one it is called by, or what its "field" says; NULL: that is no name. */
const char *select_field_name(void *mem, const struct expr *value, const char *alias);
bool select_is_text(const struct expr *value); /* GraphQL, not a tree */
bool select_is_name(const char *text);         /* fit for a name in the answer */
bool select_parse(struct select_reader *r, const struct expr *value, struct input_place at,
                  const struct graphql_selection **out);
const struct selection *select_text(struct select_reader *r, const struct model *m, const struct graphql_selection *g,
                                    struct input_place at);
const struct selection *select_tree(struct select_reader *r, const struct model *m, const struct expr *value,
                                    struct input_place at);

/* The lists in a node, or in what it leads to one of, which may have too many nodes: not counted where they stand, but when the
 * whole is long enough to have such a one (sql_result_begin). Lists within lists are not among them. NULL: each is to be counted
 * where it stands. */
const struct sql_lists *select_lists(void *mem, const struct config *config, const struct selection *s);

#endif
