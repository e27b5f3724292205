/* One connection to PostgreSQL, in libpq's pipeline mode and non-blocking, so that a wait for it can also watch the caller
 * and the deadline. A worker has one for each datasource. */
#ifndef WRIT_DB_CONN_H
#define WRIT_DB_CONN_H

#include "base/err.h"
#include "base/wait.h"
#include "db/statement.h"

#include <stdbool.h>
#include <stdint.h>

struct conn;
struct counters;
struct pg_result; /* libpq's */

/* Who listens to what SQL tells by writ.dispatch, while a flight is under way: of the mutation that the setting writ.mutation names. Of the connection on which it passes that on the answers
 * are waited for beside the flight's own. */
struct conn_listener {
  /* Called within libpq: must not use this connection. */
  void (*notice)(void *data, const char *mutation, const char *name, const char *payload, bool whole);
  int (*fd)(void *data);      /* of that other connection; -1: none */
  int (*wait_ms)(void *data); /* until it wants to go on anyhow; -1: never */
  void (*ready)(void *data);  /* it can be read, or that time is over */
  void *data;
};

struct conn_options {
  const char *name;     /* of the datasource, for messages */
  const char *conninfo; /* libpq's connection string or URI */
  bool prepared;        /* keep named prepared statements; false: behind a pooler that shares sessions */
  /* For a session that is ours alone (prepared): a backstop for when the worker is gone; 0: the server's own. */
  int statement_timeout_ms, lock_timeout_ms;
};

/* Is this a connection string or URI by libpq's grammar? What is not would be quoted in libpq's errors, password and all. */
bool conn_can_read(const char *conninfo);

/* The user that a connection string names; NULL: none, which is left to libpq's environment. */
const char *conn_user(const void *mem, const char *conninfo);

/* Not connected yet. options is copied, its strings are borrowed; counters may be NULL. */
struct conn *conn_new(const void *mem, const struct conn_options *options, struct counters *counters);

/* Makes sure that there is a live connection: one that died while idle is replaced silently. *fresh: a new one was made,
 * and nothing is prepared on it. False: DATABASE_UNAVAILABLE or TIMEOUT. */
bool conn_open(struct conn *c, const struct wait *w, bool *fresh, struct err *e) __attribute__((warn_unused_result));
/* Does each COMMIT wait for the disk, without being told so? False behind a pooler: nobody knows. */
bool conn_is_durable(const struct conn *c);
/* NULL: nobody any more. Borrowed. */
void conn_listen(struct conn *c, const struct conn_listener *listener);
void conn_close(struct conn *c);
/* Closes it when it has been unused for idle_ms (0: never mind), or its buffers have grown. */
void conn_tidy(struct conn *c, int64_t idle_ms);

#endif
