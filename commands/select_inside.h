/* What a selection is, for select.c (reads it) and select_sql.c (makes SQL of it). */
#ifndef WRIT_COMMANDS_SELECT_INSIDE_H
#define WRIT_COMMANDS_SELECT_INSIDE_H

#include "commands/select.h"

struct selected {
  const char *alias;                /* a GraphQL name of at most SELECT_ALIAS_BYTES */
  bool is_typename;                 /* __typename: the model's name; field NULL */
  const struct field *field;
  const struct selection *selection; /* of a relation */
  struct list list;                 /* of a list of nodes */
};

struct selection {
  const struct model *model;
  struct selected *items;
  size_t nitems; /* at least 1 */
};

#endif
