/* The tables, keys and enums of a database as its catalog has them: what a data model is held against, and written from. */
#ifndef WRIT_MODEL_TABLES_H
#define WRIT_MODEL_TABLES_H

#include "base/err.h"
#include "model/model.h"

struct conn;
struct wait;

struct db_column {
  const char *name, *comment;
  const char *type_sql; /* as struct column has it, without []; NULL: a type that has no such name */
  bool list;
  const char *base; /* the type below domains and arrays: "int4"; of a user's type: "schema.name" */
  bool is_enum;     /* base is one */
  bool required, bytewise;
  const char *fallback; /* the default's expression, or NULL */
  bool identity, generated;
  const char *sequence_schema, *sequence; /* that its default draws from, or that it owns; NULL: none */
  bool owned;                             /* it owns that sequence */
  const char *start, *step;
};

/* A unique index without condition or expression; the primary key, when there is one, is the first. */
struct db_key {
  const char *name;
  const char *const *columns;
  size_t ncolumns;
  bool primary;
};

struct db_foreign_key {
  const char *name;
  const char *const *columns, *const *referenced;
  size_t ncolumns;
  const char *schema, *table; /* that it refers to */
  enum key_action action;
  bool deferrable;
};

struct db_table {
  const char *schema, *name, *comment;
  struct db_column *columns;
  size_t ncolumns;
  struct db_key *keys;
  size_t nkeys;
  struct db_foreign_key *foreign_keys;
  size_t nforeign_keys;
  bool insert_trigger; /* somebody has made a trigger that an INSERT sets off */
};

struct db_enum {
  const char *schema, *name, *comment;
  const char *const *labels;
  size_t nlabels;
};

struct db_tables {
  struct db_table
      *tables; /* in the order of the schemas asked for, then by name; no views, no partitions, none of an extension's */
  size_t ntables;
  struct db_enum *enums;
  size_t nenums;
};

/* schemas: NULL behind the last. */
bool tables_read(struct conn *c, const void *mem, const char *const *schemas, const struct db_tables **out,
                 const struct wait *w, struct err *e) __attribute__((warn_unused_result));

const struct db_table *tables_find(const struct db_tables *t, const char *schema, const char *name);
const struct db_enum *tables_enum(const struct db_tables *t, const char *schema, const char *name);
const struct db_column *table_column(const struct db_table *t, const char *name);
/* Are these, in any order, the columns of a unique index? */
bool table_is_unique(const struct db_table *t, const char *const *columns, size_t n);
/* Do two lists hold the same names, in any order? Neither has one twice. */
bool names_same(const char *const *a, size_t na, const char *const *b, size_t nb);

#endif
