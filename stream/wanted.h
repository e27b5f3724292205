/* What a request of the streamer asks for. */
#ifndef WRIT_STREAM_WANTED_H
#define WRIT_STREAM_WANTED_H

#include "base/uuid.h"
#include "handlers/handler.h"

#include <stdbool.h>
#include <stdint.h>

struct config;

struct wanted {
  bool log;                           /* /events; false: /mutation/UUID/events */
  bool head;                          /* HEAD */
  unsigned char mutation[UUID_BYTES]; /* of a state */
  int64_t after;                      /* the version (-1: none) or position that is known already */
  bool end_known;                     /* of a state: its last event as well */
  const char *name, *key;             /* of the log: NULL: all */
  size_t datasource;                  /* of the log */
};

/* Path and method: log, head and mutation. False: *e; *allow is set for METHOD_NOT_ALLOWED. */
bool wanted_where(const struct request *request, struct wanted *out, const char **allow, struct err *e)
    __attribute__((warn_unused_result));
/* Behind that, and behind who is calling: Accept, Last-Event-ID and query, in that order. Texts are the request's, or live in its
 * arena. */
bool wanted_what(const struct config *config, const struct request *request, struct wanted *out, struct err *e)
    __attribute__((warn_unused_result));

#endif
