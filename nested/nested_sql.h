/* Pieces of the statements of nested mutations: keys of rows in slots, and links between rows, wherever they are
 * stored.
 *
 * A slot is a setting of the transaction (writ.n1, writ.n2 ...). It holds the keys of rows of one model, one behind
 * the other, each as many elements as the key has columns, as a text array; or it is empty: no row, which also is how
 * a branch is not taken. The name is a parameter: one prepared text serves every place in a tree. */
#ifndef WRIT_NESTED_NESTED_SQL_H
#define WRIT_NESTED_NESTED_SQL_H

#include "compile/sql_build.h"
#include "model/model.h"

/* Where the keys of rows are. */
struct rows {
  unsigned slot;   /* from 1 */
  const char *row; /* in place of a slot: an SQL expression of type text[], the key of one row */
};

/* Slots that are not used, as what they would hold is known ahead: the key, of one column, of a row that will surely be there. By
 * the slot's number; NULL, or not below n: it is not known. */
struct known {
  const char **keys;
  size_t n;
};

static inline const char *known_key(const struct known *known, unsigned slot) {
  return known && slot < known->n ? known->keys[slot] : NULL;
}

/* How a parent sees its children: sides[side] is the parent's. */
struct link {
  const struct relation *relation;
  unsigned side;
};

struct link link_of(const struct field *f);
const struct relation_side *link_here(struct link l);
const struct relation_side *link_there(struct link l);
bool link_is_here(struct link l);  /* in the parent's table */
bool link_is_there(struct link l); /* in the child's table */

const char *slot_name(const void *mem, unsigned slot);
/* set_config(slot, ... the value follows ..., true) */
void put_set_slot(struct sql_build *b, unsigned slot);
/* What it holds, as text. */
void put_held(struct sql_build *b, unsigned slot);
/* The alias's row is the one in it: PostgreSQL then knows that it is not many. One parameter. */
void put_one_row(struct sql_build *b, const char *alias, const struct key *key, unsigned slot);
/* Is there a row in it? */
void put_filled(struct sql_build *b, unsigned slot);
/* The same as " and ..." or " where ...", nothing for slot 0. */
void put_if_filled(struct sql_build *b, const char *word, unsigned slot);
/* array[t."a"::text, ...]: the key of the alias's row. */
void put_key(struct sql_build *b, const char *alias, const struct model *m);
/* Column i of the one row in the slot, as cast_sql. */
void put_key_part(struct sql_build *b, unsigned slot, size_t i, const char *cast_sql);
/* (t."a", t."b") is one of the rows; columns: a key's, or those that hold it elsewhere. */
void put_among(struct sql_build *b, const char *alias, const struct column *const *columns, size_t n, struct rows rows);
/* The alias's row of the child's model is linked to one of the parents. */
void put_linked(struct sql_build *b, struct link l, struct rows parents, const char *child);
/* The alias's row of the child's model is linked to any parent. */
void put_has_parent(struct sql_build *b, struct link l, const char *child);
/* One of the parents is linked to any child. */
void put_has_child(struct sql_build *b, struct link l, struct rows parents);
/* writ.fail(...) with a number of Prisma 1 (docs/errors.md); the message is a parameter. */
void put_fail(struct sql_build *b, int prisma_code, const char *message);

/* Whole statements that take links away, of the rows in the slots, where guard (0: none) is filled. Of columns that
 * can be NULL in no way nothing is taken; false: there is nothing to do. */
bool put_unlink_parents(struct sql_build *b, struct link l, unsigned parents, unsigned guard);
bool put_unlink_children(struct sql_build *b, struct link l, unsigned children, unsigned guard);
bool put_unlink_pair(struct sql_build *b, struct link l, unsigned parent, unsigned child);
/* In the place of a value of m's column: what gives it is not of one mind. */
void put_disagree(struct sql_build *b, const struct model *m, const struct column *c);
/* And one that links the row in one slot to the rows in the other (children: of a list only), when both are filled. */
void put_link(struct sql_build *b, struct link l, unsigned parent, unsigned child);

#endif
