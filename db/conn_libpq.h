/* The inside of a connection, for the files of db/ only: all that includes libpq. */
#ifndef WRIT_DB_CONN_LIBPQ_H
#define WRIT_DB_CONN_LIBPQ_H

#include "db/conn.h"

#include <libpq-fe.h>

enum cancelled { NOT_CANCELLED, CANCELLED_DEADLINE, CANCELLED_CALLER };

struct conn {
  struct conn_options options;
  struct counters *counters;
  PGconn *pg; /* NULL: not connected */
  PGcancel *cancel;
  const struct conn_listener *listener; /* NULL: none */
  unsigned posted;                      /* statements of db/post.h whose answers are still to be read */
  bool direct;  /* a unix socket of the server's own, no pooler or tunnel between: then end of file tells the truth, as
                           * all that the server had sent has been read */
  bool durable; /* synchronous_commit is not off, for as long as the session lasts */
  bool doomed;  /* close instead of using it again */
  enum cancelled cancelled;           /* a cancel request was sent in this flight */
  int64_t give_up_ms;                 /* with cancelled: stop waiting for the end of the flight */
  int64_t cancel_again_ms;            /* with cancelled: send the request once more */
  int64_t used_ms;                    /* clock_ms of the last flight's end */
  size_t flight_bytes;                /* sent and received in this flight: what libpq's buffers may have grown to */
  uint32_t prepared[STATEMENT_SLOTS]; /* generation that the server has, as far as its answers were read; 0: none */
  uint32_t sent[STATEMENT_SLOTS];     /* the same when all that was sent has succeeded */
};

/* Begins to connect, with the keywords that every connection of ours has. NULL: out of memory. */
PGconn *conn_start(const struct conn_options *options);
/* The next result of the query at the head of the pipeline, NULL behind its last one. Sends what is still to be sent, waits;
 * when w ends the wait, asks the server to cancel, and goes on asking and reading for a bounded time. False: the connection is
 * lost, or the bounded time is over: nothing more can be read. The caller clears the result. */
bool conn_result(struct conn *c, const struct wait *w, PGresult **result) __attribute__((warn_unused_result));
/* One query in a flight of its own. *result: cleared by the caller; NULL on failure. */
bool conn_ask(struct conn *c, const char *sql, int nparams, const char *const *params, PGresult **result,
              const struct wait *w, struct err *e) __attribute__((warn_unused_result));
/* The answers to one pipelined query: the first to *kept (may be NULL), the rest thrown away; and to one Sync. False: lost. */
bool conn_read_query(struct conn *c, const struct wait *w, PGresult **kept) __attribute__((warn_unused_result));
bool conn_read_sync(struct conn *c, const struct wait *w) __attribute__((warn_unused_result));
/* DATABASE_UNAVAILABLE; the connection will not be used again. Gives false. */
bool conn_lost(struct conn *c, struct err *e);
/* Begins a flight: no cancel sent, nothing received. */
void conn_begin_flight(struct conn *c);
void conn_end_flight(struct conn *c);

#endif
