/* What PostgreSQL says of statements and types: parameters, columns, and how a JSON value becomes a parameter. */
#ifndef WRIT_DB_CATALOG_H
#define WRIT_DB_CATALOG_H

#include "db/conn.h"

#include <stddef.h>

/* By what JSON a type may be given (docs/protocol.md, section 2). Domains are as their base type. */
enum type_kind {
  TYPE_OTHER,   /* strings only, in PostgreSQL's input syntax: text, dates, uuid, enums, bytea, ranges ... */
  TYPE_INTEGER, /* numbers with no fraction */
  TYPE_NUMBER,
  TYPE_BOOLEAN,
  TYPE_JSON,
  TYPE_ARRAY,
  TYPE_COMPOSITE,
};

struct type_field {
  const char *name;
  const struct type *type;
};

struct type {
  unsigned oid;
  const char *name; /* as PostgreSQL writes it, schema-qualified where needed: fit for a cast */
  const char *base; /* of a domain: the name of what it stands on; else its own */
  enum type_kind kind;
  const struct type *element;      /* ARRAY */
  char delimiter;                  /* ARRAY: ',' but for box */
  const struct type_field *fields; /* COMPOSITE */
  size_t nfields;
  const char *const *labels; /* of an enum, in its order */
  size_t nlabels;
};

/* One statement as PostgreSQL sees it. */
struct description {
  bool ok; /* false: it does not prepare; error tells why */
  struct err error;
  const struct type **params;
  size_t nparams;
  const char **columns;
  const struct type **column_types; /* NULL: not there any more */
  size_t ncolumns;
};

/* Describes n statements in one round trip, and their types in another. Statements that do not prepare get ok = false;
 * false is for the connection only. out: n of them, filled; all in mem. */
bool catalog_describe(struct conn *c, const void *mem, const char *const *sql, size_t n, struct description *out,
                      const struct wait *w, struct err *e) __attribute__((warn_unused_result));
/* writ.version() of the database; 0: schema writ is not there, or out of this login's reach. */
bool catalog_version(struct conn *c, int *version, const struct wait *w, struct err *e) __attribute__((warn_unused_result));
/* One text value by one query with parameters (text format), on an open connection; *value NULL: no row, or NULL. */
bool catalog_value(struct conn *c, const void *mem, const char *sql, int nparams, const char *const *params, char **value,
                   const struct wait *w, struct err *e) __attribute__((warn_unused_result));
/* Runs a script (several statements, one transaction) as `writ install` does, on a connection of its own. */
bool catalog_run_script(const char *conninfo, const char *const *scripts, size_t n, struct err *e)
    __attribute__((warn_unused_result));
/* One text value by one query on a connection of its own; *value NULL: no row, or NULL. */
bool catalog_ask(const char *conninfo, const void *mem, const char *sql, char **value, struct err *e)
    __attribute__((warn_unused_result));

#endif
