/* Finds the :name parameters of one SQL statement and its outer shape, by PostgreSQL's lexical rules (manual chapter
 * 4.1): strings, E'', U&'', dollar quotes, quoted identifiers, nested comments and :: are passed over. */
#ifndef WRIT_MANIFEST_SQL_SCAN_H
#define WRIT_MANIFEST_SQL_SCAN_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum sql_verb { SQL_SELECT, SQL_INSERT, SQL_UPDATE, SQL_DELETE, SQL_VALUES, SQL_MERGE, SQL_CALL, SQL_EXPRESSION, SQL_OTHER };

/* The text cut at its parameters: piece[0] $param[0] piece[1] $param[1] ... piece[nparams]. */
struct sql_scan {
  enum sql_verb verb;     /* of the main statement, behind WITH; EXPRESSION (checks, permissions): no statement alone */
  const char *first_word; /* the word that decided the verb, lower case, "" when it is none: for messages */
  const char **pieces;    /* nuses + 1; as written, but a blank parts a parameter from a name or number before it */
  const unsigned *uses;   /* name index at each cut */
  size_t nuses;
  const char **names; /* distinct parameter names, in order of first use */
  size_t nnames;
  /* WITH list, so that it can be hoisted: [with_start, main_start) is "WITH [RECURSIVE] a as (...), b as (...) ".
   * As (piece, offset) of the main statement's first byte; both 0 when there is no WITH. */
  size_t main_piece, main_offset;
  bool recursive;
  size_t with_list_offset; /* in piece 0: first byte behind WITH [RECURSIVE] */
};

/* False with BAD_REQUEST in *e: an unterminated string or comment, parentheses that do not match, a second statement
 * behind ';', $1 instead of :name, a WITH list without its statement, nothing at all. A trailing ';' is dropped with
 * what is behind it; a trailing -- comment is not: put a newline behind the text. expression: a check's text may be a
 * bare expression. a[1:x] holds the parameter :x; write a[1: x] for the column x, as in psql. */
bool sql_scan(const void *mem, const char *sql, bool expression, struct sql_scan *out, struct err *e)
    __attribute__((warn_unused_result));

enum { SQL_NAME_BYTES = 63 }; /* as PostgreSQL's own identifiers (NAMEDATALEN - 1) */

/* The form of names of parameters, arguments and commands: ASCII letters, digits and _, not a digit first, 1 to 63
 * bytes. */
bool sql_is_name(const char *text);

#endif
