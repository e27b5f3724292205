/* Selections: which fields of a node, and of those linked to it, an answer shows. From the argument `select` to the SQL
 * expression that builds the JSON. docs/queries.md. */
#ifndef WRIT_COMMANDS_SELECT_H
#define WRIT_COMMANDS_SELECT_H

#include "commands/sql_build.h"
#include "model/model.h"

struct selection;

/* Reads and checks a selection of a model: GraphQL text in a string, or the JSON tree; value NULL or null: all scalar fields.
 * path: the place of the value ("/select"), for errors. NULL: *e, with path, and line and column of a text. */
const struct selection *select_read(struct compiler *k, const struct model *model, const struct expr *value, const char *path,
                                    struct err *e) __attribute__((warn_unused_result));

/* The node as a JSON object: an expression of type json over the row that the alias stands for, a row of the model's
 * table (or of a CTE with all of its columns under their names, as `returning *` gives it). What is linked is read by subselects, which
 * see what the statement's snapshot sees: rows that the same statement wrote are not there. */
bool select_put_node(struct sql_build *b, struct compiler *k, const struct selection *s, const char *alias, struct err *e)
    __attribute__((warn_unused_result));

/* A step that reads one node back: the JSON object of the row of the model's table for which the condition is true, or null.
 * The condition's text is put by the callback, over the alias: for example t1."id" = $3::text, or what a slot holds. Gives
 * the whole statement, with the result kept for others and limited; the step is ready to be added. */
bool select_step(struct compiler *k, const struct node *node, size_t owner, const struct selection *s,
                 bool (*put_condition)(struct sql_build *b, const char *alias, void *data, struct err *e), void *data,
                 struct step *out, struct err *e) __attribute__((warn_unused_result));

#endif
