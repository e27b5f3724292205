/* What the files of rules share: nested_rules.c judges ahead of writes, nested_results.c what they have made. */
#ifndef WRIT_NESTED_NESTED_RULES_H
#define WRIT_NESTED_NESTED_RULES_H

#include "nested/nested_inside.h"

/* One operation, or a branch of one. */
struct part {
  const struct command *command;
  const struct expr *where, *data, *create, *update; /* NULL: not given */
  const char *path;
  bool judged;  /* ahead of all writes */
  size_t index; /* among those of its command that are kept, from 1; 0: it is not yet */
};

struct parts {
  struct part **list;
  size_t n;
};

/* What the server alone knows of the arguments: of a row without a where its key; of a link, what becomes of it. */
struct overlay {
  bool where;
  const struct field *back; /* of the row's model; NULL: no link, or one that it does not see */
  unsigned parent;          /* it is connected to the row in this slot; 0: disconnected */
};

/* Does its result count, for permissions after: and after-hooks? */
bool part_is_kept(const struct command *c);
/* The arguments of all, as an array of objects. */
const struct expr *parts_array(struct planner *p, const struct parts *parts);
/* Any value as an expression of type json; one text, whether it holds references or not. */
void rules_put_json(struct sql_build *b, const struct expr *x);
/* As jsonb, of the alias's row of the model. */
void rules_put_overlay(struct sql_build *b, const char *alias, const struct model *m, const struct overlay *o);
/* select case when the permission is true ...; to come: " from ... as writ_n", with v, its arguments (jsonb), o, its number from 1,
 * and in the end r, its result (jsonb). */
bool rules_put_condition(struct planner *p, struct sql_build *b, const struct command *permission);
/* That statement's step; parts by their numbers. */
bool rules_finish(struct planner *p, struct sql_build *b, const struct command *permission, const struct parts *parts);

#endif
