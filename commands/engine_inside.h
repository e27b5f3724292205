/* The inside of the engine, for its own files: engine.c (connections), shapes.c (what PostgreSQL says of the commands),
 * transaction.c (one flight, tried until it is certain), run.c (the steps of a request), result.c (what it gave), explain.c and
 * inspect.c (for people). */
#ifndef WRIT_COMMANDS_ENGINE_INSIDE_H
#define WRIT_COMMANDS_ENGINE_INSIDE_H

#include "commands/compile.h"
#include "commands/config.h"
#include "commands/engine.h"
#include "commands/http.h"
#include "commands/set.h"
#include "commands/tree.h"
#include "db/conn.h"
#include "db/flight.h"

struct source {
  const struct datasource *datasource;
  struct conn *conn;
  bool described;
  void *mem; /* of the shapes that were described together */
};

struct engine {
  const struct config *config;
  const struct manifest *manifest;
  struct counters *counters;
  struct source *sources;  /* config->ndatasources */
  struct shape *shapes;    /* manifest->ncommands */
  void **shape_mem;        /* of those described alone since */
  struct variants *variants;
  struct http_client *http;           /* NULL: not needed yet */
  struct counters_page *page;         /* of all workers; NULL: this is none */
  const unsigned char *call_secret;   /* of call tokens; NULL: nobody would take one */
  int wake_fd;             /* of the runners; -1: none */
  bool wake;               /* there is work for them since they were woken last */
};

/* One call of engine_run. */
struct run {
  struct engine *engine;
  void *mem;
  struct command_set *set;
  const struct invocation *call;
  struct report *report;
  struct err *e;
  struct wait wait;
  const char *mutation; /* UUID: the call's that this is part of, or one of its own */
  unsigned retries;
  bool looked_again, session_renewed;
  size_t references_left; /* bytes that references may still bring */
};

/* engine.c: made when first needed. */
struct http_client *engine_http(struct engine *engine);
/* engine.c: connected, of the right version, its commands described. */
bool source_ready(struct engine *engine, size_t index, const struct wait *w, struct err *e);

/* shapes.c. Can PostgreSQL be asked about the command? */
bool shapes_apply(const struct command *c);
/* All commands of a datasource in one go. False: the connection. */
bool shapes_describe(struct engine *engine, size_t source_index, const struct wait *w, struct err *e);
/* The tables may have changed under us (DDL): asks PostgreSQL about one command again, at most once a second, as an error
 * that a client can provoke must not become a load. True: it has changed, and what was prepared is forgotten. */
bool shapes_look_again(struct engine *engine, const struct command *c, const struct wait *w);
/* What PostgreSQL has against the command; it says $1 where the manifest says :name. */
const char *shapes_reason(const struct command *c, const struct shape *shape);

/* transaction.c. The plan's frame: who calls, how. False: FORBIDDEN. */
bool transaction_begin(struct run *r, size_t datasource, enum isolation isolation, struct plan *plan);
struct compiler transaction_compiler(struct run *r);
/* Entries [first, end) as one transaction. */
bool transaction_run(struct run *r, size_t datasource, enum isolation isolation, size_t first, size_t end);

/* result.c. */
void result_keep(struct run *r, size_t first, size_t end, const struct flight *f);
/* {"result": ...} or {"results": [...]}; what PostgreSQL rendered is spliced, not parsed. */
void result_put(struct str *out, const struct command_set *set);

#endif
