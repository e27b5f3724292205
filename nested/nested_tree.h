/* The input of a nested mutation, checked and put in order: what to write, before anything is known of the rows. */
#ifndef WRIT_NESTED_NESTED_TREE_H
#define WRIT_NESTED_NESTED_TREE_H

#include "commands/tree.h"
#include "model/model.h"
#include "query/where.h"

struct caller;
struct manifest;
struct nested_data;
struct part;

/* In the order in which they run within one node (docs/nested.md, "Order"). */
enum nested_kind {
  NESTED_CREATE,
  NESTED_UPDATE,
  NESTED_UPSERT,
  NESTED_DELETE,
  NESTED_CONNECT,
  NESTED_CONNECT_OR_CREATE,
  NESTED_SET,
  NESTED_DISCONNECT,
  NESTED_UPDATE_MANY,
  NESTED_DELETE_MANY,
  NESTED_KINDS,
};

/* How a value changes what is there. */
enum nested_how { HOW_SET, HOW_INCREMENT, HOW_DECREMENT, HOW_MULTIPLY, HOW_DIVIDE, HOW_PUSH, HOW_REMOVE };

struct nested_value {
  const struct field *field; /* a scalar, not of the key in an update */
  enum nested_how how;
  const struct expr *value; /* NULL: in a create, what the server gives by field->source */
  const char *path;         /* JSON pointer into the node's arguments; so everywhere */
};

struct nested_op {
  enum nested_kind kind;
  const struct field *field; /* of the parent */
  const char *path;
  const struct where_unique *wheres; /* one; SET: any number; none of a to-one (but CONNECT and CONNECT_OR_CREATE) */
  size_t nwheres;
  struct nested_data *create, *update; /* CREATE; UPDATE, UPDATE_MANY; both UPSERT; create CONNECT_OR_CREATE */
  const struct expr *filter;           /* UPDATE_MANY, DELETE_MANY; NULL: all */
  const struct expr *input;            /* as it was given: an element of a list, or the whole; NULL: SET */
  struct part *part; /* what its rules judge (nested_rules.c); NULL: nothing. Of CREATE, UPDATE, CONNECT_OR_CREATE it is
                                   with what they write */
  bool of_caller;    /* it came with the request, and is no part of a composite's own text */
  bool behind;       /* planned: a link of the new row that is made once it is there (nested_behind.c) */
  bool locked;       /* planned: the children that it finds through the link are locked ahead */
};

/* The writes to one row. */
struct nested_data {
  const struct model *model;
  const struct field *from; /* of the parent, through which it was reached; NULL: the root */
  bool create;
  const char *path;
  struct nested_value *values; /* in the order of the file; of a create all that the server must write */
  size_t nvalues;
  struct nested_op *ops; /* in the order in which they run */
  size_t nops;
  struct part *part, *also; /* what rules judge of this; also: the upsert whose branch it is; NULL: nothing */
  size_t draw;              /* create: its place among the keys that are drawn for its model, from 1; 0: none is */
};

/* What a mutation does at its root. */
struct nested_root {
  enum { ROOT_CREATE, ROOT_UPDATE, ROOT_UPSERT, ROOT_DELETE, ROOT_UPDATE_MANY, ROOT_DELETE_MANY } kind;
  const struct model *model;
  const struct where_unique *where; /* UPDATE, UPSERT, DELETE */
  struct nested_data *create, *update;
  const struct expr *filter; /* the MANY ones; NULL: all */
};

/* The arguments by name: NULL where they are not given. */
struct nested_input {
  const struct expr *data, *where, *create, *update;
};

/* Who writes: fields may not be everybody's, and some are preset (manifest/model_rules.h). manifest NULL: no such rules. */
struct nested_writer {
  const struct manifest *manifest;
  const struct caller *caller;
};

/* root->kind and ->model are given. False: *e with path and, where there is one, prisma_code; nothing was sent. */
bool nested_read(void *mem, const struct nested_input *input, const struct nested_writer *writer, struct nested_root *root,
                 struct err *e) __attribute__((warn_unused_result));

/* Fills *e as err_set does, and its prisma_code and path. False. */
bool nested_refuse(struct err *e, int prisma_code, const char *path, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
const char *nested_kind_name(enum nested_kind kind); /* "connectOrCreate" */

#endif
