/* A statement in the making: its text and its parameters side by side. Identifiers and types come from the data model only
 * (members ..._sql), what a client gave is a parameter. The same text is the same prepared statement. */
#ifndef WRIT_COMPILE_SQL_BUILD_H
#define WRIT_COMPILE_SQL_BUILD_H

#include "commands/tree.h"
#include "compile/compiler.h"
#include "db/plan.h"

struct column;
struct config;
struct known;
struct str;

/* Lists within a result that were not counted as they were made. */
struct sql_lists {
  const char *names; /* as writ.limited() takes them (sql/install/011.sql): {"posts":"posts","boss":{"team":"staff"}} */
  int bytes; /* a result of so many, which are at most limits.result_bytes, has none of more than limits.rows nodes */
};

struct sql_build {
  void *mem; /* the request's */
  struct str *text;
  const struct str *key; /* what the statement is known by; NULL: its text */
  const char **params;   /* text format; NULL is SQL NULL */
  unsigned nparams;
  unsigned naliases;
  bool numbers_as_text;      /* BigInt and Decimal of models, in what is answered */
  unsigned nlinked;          /* conditions on linked rows: where.c */
  const struct known *known; /* rows whose keys need not be asked for: nested/nested_sql.h */
};

struct sql_build *sql_begin(void *mem);
void sql_add(struct sql_build *b, const char *text);
void sql_printf(struct sql_build *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A table's alias that the statement does not have yet: t1. */
const char *sql_alias(struct sql_build *b);
/* n columns of the alias with a comma between, or both aliases' as a condition: a."x" = b."y" and ... */
void sql_columns(struct sql_build *b, const char *alias, const struct column *const *columns, size_t n);
void sql_match(struct sql_build *b, const char *alias_a, const struct column *const *a, const char *alias_b,
               const struct column *const *c, size_t n);

/* A new parameter; gives its number. The text puts it as sql_value does: $3::cast_sql, in parentheses. */
unsigned sql_param(struct sql_build *b, const char *value);
void sql_value(struct sql_build *b, const char *value, const char *cast_sql);
/* A value of the request as one of the column's, or of its elements' type (element: of an array column, and for lists of
 * values): literal, or read from an earlier result on the server. Null is NULL of that type. False: BAD_ARGUMENT with the
 * reason only, which reads "takes a string, not a number"; the caller says of what. */
bool sql_input(struct sql_build *b, const struct expr *value, const struct column *column, struct err *e)
    __attribute__((warn_unused_result));
/* An array of such values: of an array column, or to be compared with a column that is none. No nulls in it. */
bool sql_input_list(struct sql_build *b, const struct expr *value, const struct column *column, struct err *e)
    __attribute__((warn_unused_result));

/* Around an expression which is the result of the node, of a type that casts to text; its NULL is null. Refuses one that
 * is too large, or has a list that is (lists NULL: there are none to be judged), and of a create or upsert one that is NULL;
 * keeps it where others refer to it (node->slot). The whole is a SELECT of one row and column. */
void sql_result_begin(struct sql_build *b, const struct node *node, const struct config *config,
                      const struct sql_lists *lists);
void sql_result_end(struct sql_build *b);

/* The step of the finished statement: gives, purpose, path are the caller's to fill in. owner: index of the node. False:
 * TOO_LARGE for more parameters than PostgreSQL takes (65535), or a text beyond SQL_TEXT_BYTES. */
enum { SQL_TEXT_BYTES = 128 * 1024, SQL_PARAMS = 65535 };
bool sql_end(struct sql_build *b, struct compiler *k, size_t owner, struct step *out, struct err *e)
    __attribute__((warn_unused_result));

#endif
