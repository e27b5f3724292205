/* Fills an answer: a result, or the one error as problem+json (RFC 9457). */
#ifndef WRIT_HANDLERS_ANSWER_H
#define WRIT_HANDLERS_ANSWER_H

#include "handlers/handler.h"

/* Empties the answer; every answer carries the request id and may not be stored by a cache. */
void answer_init(struct answer *answer, const void *mem, const char *request_id);
/* name and value are borrowed until the answer is sent; no more than the answer has room for. */
void answer_header(struct answer *answer, const char *name, const char *value);
/* Whatever stands in the body already goes; headers that were set stay. */
void answer_error(struct answer *answer, const struct err *e, const char *request_id);
/* The head as CGI has it (RFC 3875 section 6), its empty line included. */
void answer_write_head(const struct answer *answer, struct str *out);

#endif
