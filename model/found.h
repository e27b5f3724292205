/* What introspection has found so far: shared by introspect.c (what the tables are to each other, and what all is called)
 * and sdl.c (writes it down), nobody else's. */
#ifndef WRIT_MODEL_FOUND_H
#define WRIT_MODEL_FOUND_H

#include "model/model.h"
#include "model/tables.h"

struct names {
  const char **items;
  size_t n;
};

enum found_state { FOUND_NEW, FOUND_OPEN, FOUND_DONE };

/* A foreign key that becomes a relation. */
struct found_link {
  const struct db_foreign_key *key;
  struct found_type *from, *to;
  const char *const *columns; /* in the order of to's key */
  size_t ncolumns;
  bool unique, required;
  const char *field, *back; /* the names of its two fields */
  const char *relation;     /* NULL: need not be named */
};

/* A column as a scalar field; name NULL: it is none. */
struct found_scalar {
  const char *name;
  const char *why; /* it cannot be one; NULL: as a link has it, or it is one */
  bool in_key;
};

/* A key's part: a link, or a column. */
struct found_part {
  const struct found_link *link;
  size_t column;
};

struct found_type {
  const struct db_table *table;
  const struct db_key *key; /* NULL: none that could be one */
  const char *left_out;     /* why it is no type; NULL: it is one */
  const char *name;
  bool is_link_table;
  struct found_scalar *scalars; /* by column */
  struct found_link **links;    /* of its foreign keys; NULL where a key becomes none, with the reason in whys */
  const char **whys;
  struct found_part *parts; /* of its key */
  size_t nparts;
  enum found_state state; /* of parts */
  struct names fields;    /* taken names */
  /* link tables: the two keys, in the order of the sides, and the fields through which the sides see each other */
  const struct db_foreign_key *sides[2];
  struct found_type *ends[2];
  const char *side_fields[2];
  bool side_unique[2];
  bool is_plain; /* _Name with columns A and B: it needs no @relationTable */
  const char *relation;
};

struct found_enum {
  const struct db_enum *from;
  const char *name;
  const char **values; /* for each label */
};

struct found {
  const void *mem;
  const struct db_tables *tables;
  const char *schema;
  struct found_type *types; /* one for each table */
  size_t ntypes;
  struct found_enum *enums; /* one for each enum */
  struct model **taken;     /* names of types and enums, with all that the API makes of them */
  size_t ntaken;
  struct names relation_names;
};

struct str;

const struct found_enum *found_enum(const struct found *f, const struct db_column *c); /* the column's, or NULL */
/* sdl.c */
void sdl_write(struct str *out, const struct found *f);

#endif
