/* What a manifest says of domain events: which commands append which, who reads the log, what is projected from it. */
#ifndef WRIT_MANIFEST_EVENT_H
#define WRIT_MANIFEST_EVENT_H

#include <stdbool.h>
#include <stddef.h>

struct template;

/* One that a command appends to the log. */
struct domain_event {
  const char *name;
  const struct template *payload; /* over $args, $result, $caller; NULL: {"args", "result"} */
  const struct template *key;     /* NULL: none */
  int line;
};

enum { EVENTS_OF_COMMAND = 32, PROJECTIONS_MAX = 64, EVENT_NAMES_MAX = 100 };

/* An SQL function that is fed with all events in order. Names are fit for SQL: quoted. */
struct projection {
  const char *name;
  const char *function;        /* (events jsonb): a batch, in order of position */
  const char *reset;           /* a function without arguments that forgets all; NULL: none */
  const char *const *truncate; /* tables that are emptied instead */
  size_t ntruncate;
  const char *const *events; /* only events of these names; n 0: all */
  size_t nevents;
  const char *role;  /* database role that the function runs as; NULL: the login role */
  int batch;         /* most events in one call */
  size_t datasource; /* index into config.datasources */
  int line;
};

#endif
