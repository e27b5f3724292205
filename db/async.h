/* A connection that nobody waits for: for an event loop, which waits for its descriptor among others. One question at a time,
 * each a transaction of its own; no prepared statements and no settings, so it is as good through a pooler. */
#ifndef WRIT_DB_ASYNC_H
#define WRIT_DB_ASYNC_H

#include "base/err.h"
#include "db/conn.h"

#include <stdbool.h>
#include <stddef.h>

struct async;

enum async_state {
  ASYNC_CLOSED,
  ASYNC_CONNECTING,
  ASYNC_IDLE,
  ASYNC_ASKED,
  ASYNC_ANSWERED, /* async_rows and async_text until async_done */
};

/* Not connected yet. options is copied, its strings are borrowed; counters may be NULL. */
struct async *async_new(const void *mem, const struct conn_options *options, struct counters *counters);
enum async_state async_state(const struct async *a);
/* Of the open connection; another one after each step. */
int async_fd(const struct async *a);
bool async_wants_write(const struct async *a);

/* Begins to connect. A name of a host is looked up at once, as libpq does. False: *e, it is closed. */
bool async_connect(struct async *a, struct err *e) __attribute__((warn_unused_result));
/* The descriptor has news (or seems to): goes as far as it can without waiting. False: *e, the connection is closed; or the
 * statement failed, and it is idle. */
bool async_step(struct async *a, struct err *e) __attribute__((warn_unused_result));
/* IDLE only. False: *e, the connection is closed. */
bool async_ask(struct async *a, const char *sql, unsigned n, const char *const *params, struct err *e)
    __attribute__((warn_unused_result));
size_t async_rows(const struct async *a);
unsigned async_columns(const struct async *a);
const char *async_text(const struct async *a, size_t row, unsigned column); /* NULL: SQL NULL */
void async_done(struct async *a);
void async_close(struct async *a);

#endif
