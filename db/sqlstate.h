/* What an error of PostgreSQL means to a client. */
#ifndef WRIT_DB_SQLSTATE_H
#define WRIT_DB_SQLSTATE_H

#include "base/err.h"

#include <stdbool.h>

struct pg_result;

/* Fills *e from a failed result: code by sqlstate.def; WR000 is writ.fail's, PTxyz an HTTP status (PostgREST's convention).
 * Gives false. */
bool sqlstate_error(struct err *e, const struct pg_result *result);

/* Raised by the server itself, not by a function's RAISE: worth running the transaction again. */
bool sqlstate_is_retryable(const struct pg_result *result);
/* A FATAL or PANIC: the session ended with it. */
bool sqlstate_is_fatal(const struct pg_result *result);
/* The number in "portal parameter $N" when a value could not be converted at Bind; 0: something else failed. */
unsigned sqlstate_parameter(const struct pg_result *result);

#endif
