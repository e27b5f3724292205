/* A plan: what one transaction will do, as data. commands/compile.c makes it, db/flight.c runs it in one network round
 * trip, `writ explain` prints it. */
#ifndef WRIT_DB_PLAN_H
#define WRIT_DB_PLAN_H

#include "db/statement.h"

#include <stdbool.h>
#include <stddef.h>

enum isolation { ISOLATION_DEFAULT, ISOLATION_READ_COMMITTED, ISOLATION_REPEATABLE_READ, ISOLATION_SERIALIZABLE };

/* What a statement brings back. */
enum gives {
  GIVES_NOTHING, /* it is run for its effect or to refuse */
  GIVES_TEXT,    /* one row, column 1 = the result as JSON text; column 2, where there is one, = rows it stands for */
  GIVES_TAG,     /* the command tag's count is the result */
};

struct step {
  struct statement statement;
  const char *const *params; /* text format; NULL is SQL NULL */
  unsigned nparams;
  enum gives gives;
  unsigned member;     /* whose fault an error would be: index of the member in the command set's flat list */
  const char *argument; /* of the member's command, which this step is about; NULL: none */
  const char *purpose; /* for people: "add_user", "reference user.id is there" */
};

struct plan {
  enum isolation isolation;
  bool dry_run;        /* SET CONSTRAINTS ALL IMMEDIATE, then ROLLBACK */
  const char *role;    /* SET LOCAL ROLE; NULL: the login role */
  const char *claims, *caller_role, *caller_user, *request_id; /* request.jwt.claims, request.role, .user, .id */
  int lock_timeout_ms; /* 0: the server's own setting stands */
  bool shared_session; /* behind a pooler: statement_timeout is set in the transaction, not with the session */
  struct step *steps;
  size_t n;
};

/* The statements around the steps, for the flight and for explain: BEGIN with its isolation; the settings with their
 * parameters; the end (COMMIT, or the two of a dry run). */
const char *plan_begin_sql(const struct plan *p);
const char *plan_settings_sql(const struct plan *p);

#endif
