/* `where`: which nodes are meant. Of one node by what is unique, of many by a filter. docs/queries.md. */
#ifndef WRIT_QUERY_WHERE_H
#define WRIT_QUERY_WHERE_H

#include "compile/input_place.h"
#include "compile/sql_build.h"
#include "model/model.h"

/* A node named by one of its keys. */
struct where_unique {
  const struct key *key;
  const struct expr **values; /* one for each of key->columns; checked as text only when they are put */
  const char *given;          /* the whole as the client wrote it, for messages: {"email":"x"}; cut at 200 bytes */
  struct input_place at;
};

/* Reads MWhereUniqueInput. False: *e: 3040 (no field that is not null), 3045 (several), BAD_ARGUMENT. */
bool where_unique_read(void *mem, const struct model *m, const struct expr *where, struct input_place at,
                       struct where_unique *out, struct err *e) __attribute__((warn_unused_result));
/* The condition over the alias, a row of the model's table. */
bool where_unique_put(struct sql_build *b, const struct where_unique *w, const char *alias, struct err *e)
    __attribute__((warn_unused_result));

/* A filter (MWhereInput) as a condition over the alias, in parentheses, of three values as SQL has them; NULL, null and
 * {} are true. scalars_only: no filters on relations (nested updateMany and deleteMany). */
bool where_put(struct sql_build *b, const struct model *m, const char *alias, const struct expr *where, bool scalars_only,
               struct input_place at, struct err *e) __attribute__((warn_unused_result));

/* The rows of the other side that are linked through the relation field: "from ... where ..." with the child's alias,
 * ready for further conditions behind " and ". parent: alias of a row of field->model. */
void where_put_linked(struct sql_build *b, const struct field *field, const char *parent, const char *child);

/* Values for the columns of a key, as { field: value } or, with one column, the value itself. */
bool where_key_values(void *mem, const struct key *key, const struct expr *value, struct input_place at,
                      const struct expr **values, struct err *e) __attribute__((warn_unused_result));

#endif
