/* A list with what is around it: edges with cursors, whether there are more pages, and the count of all. docs/queries.md. */
#ifndef WRIT_QUERY_CONNECTION_H
#define WRIT_QUERY_CONNECTION_H

#include "compile/input_place.h"
#include "compile/sql_build.h"
#include "model/model.h"
#include "query/list.h"

struct connection;

/* As select_read: of { edges { node { } cursor } pageInfo { } aggregate { count } }; value NULL or null: all of it. */
const struct connection *connection_read(void *mem, const struct model *model, const struct expr *value,
                                         struct input_place at, struct err *e) __attribute__((warn_unused_result));
/* An expression of type json. */
bool connection_put(struct sql_build *b, const struct config *config, const struct connection *c, const struct list *list,
                    struct err *e) __attribute__((warn_unused_result));

#endif
