/* What runners clear up in one datasource now and then: each kind by itself, so that one that cannot be does not keep the others
 * from it. */
#ifndef WRIT_JOBS_TIDY_H
#define WRIT_JOBS_TIDY_H

#include "db/conn.h"

#include <stdbool.h>

struct config;
struct counters;

struct tidy {
  const struct config *config;
  const char *datasource;
  const char *rules;    /* of states (struct manifest_state) */
  int version;          /* of schema writ there */
  bool quiet;           /* nothing here needs rights on writ's tables: that they are missing is no news */
  struct counters *own; /* may be NULL */
};

/* *more: there may be more to clear up. False: the datasource is away. What fails is told in the log. */
bool tidy_run(struct conn *c, void *mem, const struct tidy *t, bool *more, struct err *e)
    __attribute__((warn_unused_result));

#endif
