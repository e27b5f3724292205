/* The inside of nested mutations, for their own files: nested.c (the roots), nested_rows.c (one row), nested_batch.c
 * (many at once), nested_ops.c (what is done to a parent's children), nested_behind.c, nested_delete.c,
 * nested_lock.c, nested_allow.c, nested_rules.c and nested_results.c (what the manifest says of models), nested_error.c.
 *
 * Everything is guarded by slots: what is nested below a row runs where the slot of that row is filled, and the slot
 * of a branch that is not taken is empty. Each statement that names a slot's rows does nothing when it is empty. */
#ifndef WRIT_NESTED_NESTED_INSIDE_H
#define WRIT_NESTED_NESTED_INSIDE_H

#include "nested/nested.h"
#include "nested/nested_sql.h"
#include "nested/nested_tree.h"

/* The keys that are drawn from a sequence for one model: by the one statement that makes all of its rows, unless their children ask for them
 * or other statements make some too; then ahead, into a slot. */
struct drawn {
  const struct model *model;
  const struct field *field;
  unsigned slot;  /* an array of all; once they are drawn */
  unsigned parts; /* the first of the slots that have so many of them each: who wants one need not read all */
  size_t n;
  unsigned group; /* of the rows that were first */
  bool ahead;
  bool alone; /* some of the rows are made by statements of their own */
};

enum { DRAWN_PART = 200 };

struct planner {
  struct known known;
  struct compiler *k;
  void *mem;
  struct plan *plan;
  const struct node *node;
  size_t owner;
  struct err *e;
  unsigned last_slot; /* slots are taken and given back as from a stack: their number is the depth of the tree */
  struct drawn *drawn;
  size_t ndrawn;
  unsigned groups;       /* rows that are made together have one number */
  const char *lock_root; /* the root's row is not locked yet: this does it where it is found; NULL: it is */
  bool deferrable;       /* a foreign key in play may be deferred */
};

/* What an error of a step is about; a step's subject. */
struct nested_subject {
  const struct model *model; /* whose rows it writes */
  const struct key *unless;  /* it makes a row unless there is one with this key's value: if there is one by then, that is a
                               * lost race */
  const struct nested_op *const *batch; /* it makes many rows: each of these creates one */
  size_t nbatch;
  const char *const *paths; /* by err.item */
  size_t npaths;
  bool removes; /* rows go away: what still points to them is in the way */
  bool no_wait; /* it locks what it can have at once */
};

/* The row to be made: what it depends on, who asks for it. Slots; 0: none. */
struct birth {
  unsigned guard;   /* made where this is filled */
  unsigned parent;  /* the row is linked to the one in this slot; with result, where the link is not in the row */
  struct link link; /* seen from the parent; with parent */
  unsigned also;    /* gets its key, and keeps what it has where no row is made */
  unsigned result;  /* gets its key, or is emptied */
  const struct key *unless;
};

/* nested.c */
unsigned slot_take(struct planner *p);
void slot_give_back(struct planner *p, unsigned to); /* all that were taken after it; 0: all */
/* Nothing is written into the slot: its one row will be there, and this is its key. */
void slot_know(struct planner *p, unsigned slot, const char *key);
struct sql_build *plan_begin(struct planner *p);
/* Adds the finished statement. */
bool plan_step(struct planner *p, struct sql_build *b, const char *path, const struct nested_subject *subject,
               const char *purpose);
const struct nested_subject *subject_of(struct planner *p, const struct model *m, const struct key *unless);
/* "takes a string, not a number" becomes a sentence. False. */
bool value_error(struct planner *p, const char *field, const struct model *m, const char *path);
/* The same of a list of the values of those wheres that have the key, of one column: the first that is wrong. False. */
bool values_error(struct planner *p, const struct model *m, const struct key *key, const struct where_unique *const *wheres,
                  size_t n);
const struct drawn *drawn_for(const struct planner *p, const struct model *m);
/* In the place of a value: a number of f's sequence. */
void put_new_key(struct sql_build *b, const struct field *f);
void draw_keys(struct planner *p, struct nested_data *d); /* gives places to all of a tree */
bool plan_draws(struct planner *p);
bool is_drawn(const struct nested_value *v);

/* " and ..." of a filter over the alias. */
bool put_filter(struct planner *p, struct sql_build *b, const struct model *m, const char *alias, const struct expr *filter,
                bool scalars_only, const char *path);

/* nested_rows.c */
bool plan_create(struct planner *p, const struct nested_data *d, struct birth birth);
/* The row (or rows) in the slot: scalars and nested operations. */
bool plan_update(struct planner *p, const struct nested_data *d, unsigned slot);
/* set ...: false with nothing to set, and *e untouched, or with *e filled. */
bool put_assignments(struct planner *p, struct sql_build *b, const char *alias, const struct nested_data *d);
bool put_new_value(struct planner *p, struct sql_build *b, const struct nested_data *d, const struct nested_value *v);
/* A value in PostgreSQL's input syntax: what a statement of its own would have as parameter; NULL: null. */
bool value_text(struct planner *p, const struct nested_data *d, const struct nested_value *v, const char **text);
/* Of a key of one column; NULL: it is not in d, or the key has several. */
const struct nested_value *key_value(const struct nested_data *d);
const char *now_sql(const void *mem, const struct column *column, const char *time);

/* nested_batch.c: how many operations from ops[first] on can be one statement; then that statement. */
size_t batch_length(const struct planner *p, const struct nested_data *d, size_t first);
bool is_batch(const struct planner *p, const struct nested_op *op, size_t n); /* of so many, or with creates below */
bool plan_batch(struct planner *p, const struct nested_op *ops, size_t n, unsigned parent);
/* Can the rows of all these wheres be found by one statement? Then that statement: their keys into the slot, but for
 * those that the parent is linked to; 3039 for one that is not there. */
/* A row that has just been made is linked to others, of which each may have many links: nothing can be linked already, nothing
 * else changes, and the link's foreign key locks what has to stay. So these are not locked ahead. */
bool connects_newborn(bool in_create, const struct nested_op *op);
/* All links of such operations on one field, in one statement. alone: nothing else can have made the link. */
bool plan_connect_newborn(struct planner *p, struct link l, const struct where_unique *const *wheres, size_t n,
                          unsigned parent, bool alone);
bool can_find_all(const struct where_unique *const *wheres, size_t n);
bool plan_find_all(struct planner *p, struct link l, const struct where_unique *const *wheres, size_t n, unsigned parent,
                   unsigned slot);

/* nested_ops.c */
bool plan_ops(struct planner *p, const struct nested_data *d, unsigned parent);
/* Of a to-one whose link is in the parent, which is yet to be made: the child's key into result. */
bool plan_op_before(struct planner *p, const struct nested_op *op, unsigned guard, unsigned result);
/* Is it such a one? */
bool op_comes_before(const struct nested_data *d, const struct nested_op *op);
/* The root's row into the slot. none: a slot that is filled where there is no such row; 0: that is an error, 3039. */
bool plan_find(struct planner *p, const struct model *m, const struct where_unique *where, unsigned slot, unsigned none);
const char *text_3039(struct planner *p, const struct model *m, const struct where_unique *where);
const char *text_3042(struct planner *p, const struct relation *r);

/* nested_delete.c: the rows in the slot, with all that section 6 of the rules says: cascades, checks. */
bool plan_delete(struct planner *p, const struct model *m, unsigned slot, const char *path);

/* nested_behind.c: marks the operations of all of a tree. */
void find_links_behind(struct nested_data *d);

/* nested_allow.c. False: FORBIDDEN. */
bool plan_allowed(struct planner *p, const struct nested_root *root);

/* nested_rules.c, nested_results.c. A part is NULL where there are no rules. All that add steps: false: *e. */
/* Gives parts to all of a tree; then judges those ahead of the writes that can be. */
void rules_find(struct planner *p, struct nested_root *root);
bool rules_judge_ahead(struct planner *p, const struct nested_root *root);
/* Permissions before: of what was not judged yet, by what was given, where guard is filled; where nothing names the row, by
 * the key of the one in the slot. */
bool rules_judge(struct planner *p, struct part *part, unsigned guard);
bool rules_judge_row(struct planner *p, struct part *part, unsigned slot);
bool rules_judge_batch(struct planner *p, const struct nested_op *ops, size_t n, unsigned guard);
/* Is its row wanted in the end? Then it must be in a slot. */
bool rules_keep_result(const struct nested_data *d);
/* The rows in the slot, as they are now, are the results. */
bool rules_keep(struct planner *p, struct part *part, unsigned slot);
/* The same of the rows of a batch, all of one model, whose keys are an array of text that is put by the callback. */
bool rules_keep_batch(struct planner *p, const struct nested_op *const *ops, size_t n, unsigned guard,
                      void (*put_keys)(struct planner *p, struct sql_build *b, void *data), void *data);
/* The same of a count, an expression: one more column ", set_config(...)". */
void rules_put_count(struct planner *p, struct sql_build *b, const struct nested_op *op, const char *count);
/* A link that the rows in the slot hold themselves is about to be made, to the row in parent, or broken (0); l is seen from
 * these rows. Then that it was. */
bool rules_has_links(const struct planner *p, const struct model *m);
bool rules_link(struct planner *p, struct link l, unsigned slot, unsigned parent, const char *path, struct part **part);
bool rules_linked(struct planner *p, struct link l, unsigned slot, unsigned parent, struct part *part);
/* max_affected of an updateMany or deleteMany; -1: none. The count, or TOO_MANY_AFFECTED. */
long rules_most(const struct planner *p, const struct nested_op *op);
void rules_put_limit(struct sql_build *b, const char *name, long most, const char *count);

/* nested_lock.c */
bool plan_locks(struct planner *p, const struct nested_root *root);
/* Does the row to be made have the value that the where looks for? */
bool where_is_carried(const struct where_unique *where, const struct nested_data *create);
bool plan_lock_children(struct planner *p, struct link l, unsigned parent, const char *path);

#endif
