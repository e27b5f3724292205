/* FastCGI as bytes (specification 1.0, section 3): what arrives on a connection becomes a request, what is to be sent becomes
 * records. No descriptors in here, so that a fuzzer can have it. libfcgi blocks for each request, and is not used. */
#ifndef WRIT_STREAM_RECORD_H
#define WRIT_STREAM_RECORD_H

#include "handlers/handler.h"

#include <stdbool.h>
#include <stddef.h>

struct str;

/* nginx passes all header fields as parameters, at most 32 kB by default (large_client_header_buffers). */
enum { RECORD_PARAMS_BYTES = 128 * 1024 };
/* One record with its padding: more than this never has to be in memory to go on. */
enum { RECORD_HEAD_BYTES = 8, RECORD_BYTES = RECORD_HEAD_BYTES + 65535 + 255 };

/* One connection, one request: BEGIN, the parameters and the (unheeded) body. */
struct record_reader {
  unsigned id;        /* of the request; 0: not begun */
  bool complete;      /* the parameters are all there */
  struct str *params; /* in the arena given to record_begin */
};

enum record_news { RECORD_MORE, RECORD_COMPLETE, RECORD_GONE, RECORD_BAD };

void record_begin(struct record_reader *reader, const void *mem);
/* Takes whole records from n bytes; *used of them are not needed any more. COMPLETE once, when the last parameter is there.
 * GONE: the web server gives the request up. BAD: no FastCGI of a web server, *why tells. */
enum record_news record_take(struct record_reader *reader, const unsigned char *bytes, size_t n, size_t *used,
                             const char **why);
/* The parameters as a request; mem is the reader's arena. False: they are cut short, or a NUL stands in one. */
bool record_request(const struct record_reader *reader, void *mem, struct request *request)
    __attribute__((warn_unused_result));

/* Appends bytes of the answer as records, and the end of the request. */
void record_put(struct str *out, unsigned id, const char *bytes, size_t n);
void record_put_end(struct str *out, unsigned id);

#endif
