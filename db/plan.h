/* A plan: what one transaction will do, as data. compile/compile.c makes it, db/flight.c runs it in one network round
 * trip, `writ explain` prints it. */
#ifndef WRIT_DB_PLAN_H
#define WRIT_DB_PLAN_H

#include "db/statement.h"

#include <stdbool.h>
#include <stddef.h>

struct nested_subject;

enum isolation { ISOLATION_DEFAULT, ISOLATION_READ_COMMITTED, ISOLATION_REPEATABLE_READ, ISOLATION_SERIALIZABLE };

/* What a statement brings back. */
enum gives {
  GIVES_NOTHING, /* it is run for its effect or to refuse */
  GIVES_TEXT,    /* one row, column 1 = the result as JSON text; column 2, where there is one, = rows it stands for */
  GIVES_TAG,     /* the command tag's count is the result */
};

enum { MEMBER_NONE = (unsigned)-1 };

struct step {
  struct statement statement;
  const char *const *params; /* text format; NULL is SQL NULL */
  unsigned nparams;
  enum gives gives;
  bool as_login; /* run as the login role, not the mapped one: writ's own tables */
  unsigned
      member; /* whose fault an error would be: index of the member in the command set's flat list; MEMBER_NONE: nobody's */
  const char *argument; /* of the member's command, which this step is about; NULL: none */
  const char *path;     /* the same as a place within the arguments: JSON pointer, /data/cities/create/0; NULL: none */
  const struct nested_subject *subject; /* of a mutation of a model: what an error is about (nested/nested.h); NULL: none */
  const char *purpose;                  /* for people: "add_user", "reference user.id is there" */
};

struct plan {
  enum isolation isolation;
  bool read_only;   /* BEGIN ... READ ONLY */
  bool dry_run;     /* SET CONSTRAINTS ALL IMMEDIATE, then ROLLBACK */
  bool durable;     /* COMMIT waits for the disk, also where the database's default is not to */
  const char *role; /* SET LOCAL ROLE; NULL: the login role */
  const char *claims, *caller_role, *caller_user, *request_id; /* request.jwt.claims, request.role, .user, .id */
  int lock_timeout_ms;                                         /* 0: the server's own setting stands */
  bool shared_session; /* behind a pooler: statement_timeout is set in the transaction, not with the session */
  struct step *steps;
  size_t n;
};

/* A transaction of writ's own, whoever calls: read committed, as the login role, without a caller; name: what request.id says. */
struct plan plan_own(const char *name, struct step *steps, size_t n);

/* The statements around the steps, for the flight and for explain: BEGIN with its isolation (NULL: the transaction is implicit,
 * from the first statement to the only Sync, which commits); the settings with their
 * parameters, of which there are at most PLAN_SETTINGS; between steps of different roles, the one that changes it ($1: the
 * role); the end (COMMIT, or the two of a dry run). */
enum { PLAN_SETTINGS = 7 };
const char *plan_begin_sql(const struct plan *p);
const char *plan_settings_sql(const struct plan *p);
const char *plan_role_sql(void);
const char *plan_durable_sql(void);
/* The role that step i runs as, where it is another than before it; NULL: it stays. i = n: the end. */
const char *plan_role_change(const struct plan *p, size_t i);

#endif
