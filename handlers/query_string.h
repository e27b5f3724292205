/* QUERY_STRING: name=value&name=value, percent-encoded (WHATWG URL, "application/x-www-form-urlencoded parsing"). */
#ifndef WRIT_HANDLERS_QUERY_STRING_H
#define WRIT_HANDLERS_QUERY_STRING_H

#include "base/err.h"

#include <stdbool.h>

/* Puts the value of each parameter into the place of its name in values; NULL: it was not given. names: NULL behind the last.
 * False: BAD_REQUEST: a name that is none of them, one given twice, a % without two digits, or what is no text. query: NULL or
 * empty: none. */
bool query_string_read(const void *mem, const char *query, const char *const *names, const char **values, struct err *e)
    __attribute__((warn_unused_result));

#endif
