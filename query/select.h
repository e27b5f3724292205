/* Selections: which fields of a node, and of those linked to it, an answer shows. From the argument `select` to the SQL
 * expression that builds the JSON. docs/queries.md. */
#ifndef WRIT_QUERY_SELECT_H
#define WRIT_QUERY_SELECT_H

#include "compile/input_place.h"
#include "compile/sql_build.h"
#include "model/model.h"
#include "query/list.h"

struct selection;
struct str;

/* Relations within each other, and fields in all: what a statement may be made of. */
enum { SELECT_DEPTH = 16, SELECT_FIELDS = 1000, SELECT_ALIAS_BYTES = 63 };

/* Reads and checks a selection of a model: GraphQL text in a string, or the JSON tree; value NULL or null: all scalar
 * fields. at: the place of the value (/select), for errors. NULL: *e, with path, and line and column of a text. */
const struct selection *select_read(void *mem, const struct model *model, const struct expr *value, struct input_place at,
                                    struct err *e) __attribute__((warn_unused_result));

/* The node as a JSON object: an expression of type json over the row that the alias stands for, a row of the model's
 * table (or of a CTE with all of its columns under their names, as `returning *` gives it). What is linked is read by
 * subselects, which see what the statement's snapshot sees: rows that the same statement wrote are not there. in_list: it is one
 * of many, so that its lists are bounded in bytes each; else the whole is (sql_result_begin). */
bool select_put_node(struct sql_build *b, const struct config *config, const struct selection *s, const char *alias,
                     bool in_list, struct err *e) __attribute__((warn_unused_result));
/* All of a list, as a JSON array. field and parent as in list_put. Refuses (TOO_MANY_ROWS) more than limits.rows. */
bool select_put_list(struct sql_build *b, const struct config *config, const struct selection *s, const struct field *field,
                     const char *parent, const struct list *l, struct err *e) __attribute__((warn_unused_result));

/* What a selection that has no arguments (where:, first: and the like) is known by, to begin the key of a statement: the same
 * bytes for the same selection only, whether or not it can be read. NULL: it has some, or refers to results. */
struct str *select_key(const struct compiler *k, const struct node *node, const struct expr *value);

/* The step that gives a node's result: one row of the model's table, as its JSON object, or null when the condition is true
 * for none. The condition's text is put by the callback, over the alias: t1."id" = ($3::text), or what a slot holds.
 * key: what the statement is known by; NULL: its text. */
bool select_step(struct compiler *k, const struct node *node, size_t owner, const struct selection *s, const struct str *key,
                 bool (*put_condition)(struct sql_build *b, const char *alias, const void *data, struct err *e),
                 const void *data, struct step *out, struct err *e) __attribute__((warn_unused_result));

#endif
