/* A list of nodes, as `users` or a list field gives it: filtered, ordered, cut. docs/queries.md. */
#ifndef WRIT_QUERY_LIST_H
#define WRIT_QUERY_LIST_H

#include "compile/input_place.h"
#include "compile/sql_build.h"
#include "model/model.h"

/* By what a list is cut to size and ordered; NULL: not given. */
struct list {
  const struct expr *where, *order_by, *skip, *first, *last, *after, *before;
  bool one_more;         /* than first or last: who counts sees whether there are others */
  struct input_place at; /* its members' parent */
};

/* Their names, NULL at the end. */
extern const char *const list_arguments[];
/* Takes one argument; name is one of list_arguments. */
void list_take(struct list *l, const char *name, const struct expr *value);

/* It has first or last, which are refused beyond limits.rows. */
bool list_is_cut(const struct list *l);

/* "from ... where ... order by ... limit ..." of the nodes in their order, for a SELECT whose list is over alias. field
 * and parent: those linked to a row of another model; NULL: all of the model. Without first or last at most max_rows + 1
 * come: who counts them sees that there are too many. */
bool list_put(struct sql_build *b, const struct config *config, const struct model *m, const struct field *field,
              const char *parent, const struct list *l, const char *alias, struct err *e)
    __attribute__((warn_unused_result));
/* "from ... where ..." of all those that the filter takes, neither ordered nor cut: for a count. */
bool list_put_all(struct sql_build *b, const struct model *m, const struct list *l, const char *alias, struct err *e)
    __attribute__((warn_unused_result));

#endif
