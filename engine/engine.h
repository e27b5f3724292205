/* The engine of one worker (or of the tool writ): configuration, manifest, one connection for each datasource, what
 * PostgreSQL said of each command's statement, and the prepared variants. A front end decodes a request into a command set
 * (commands/set.h) and gives it to engine_run. */
#ifndef WRIT_ENGINE_ENGINE_H
#define WRIT_ENGINE_ENGINE_H

#include "base/err.h"
#include "commands/caller.h"
#include "db/plan.h"
#include "manifest/manifest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call_token;
struct command;
struct command_set;
struct config;
struct counters;
struct counters_page;
struct description;
struct engine;
struct frame;
struct idempotency;
struct manifest;
struct mutex_held;
struct problems;
struct str;
struct watch;

/* One call of the engine. */
struct invocation {
  const struct caller *caller;
  const char *request_id;
  const char *traceparent;        /* a valid one; NULL: none */
  const struct call_token *token; /* of the handler's call that this is part of; NULL: none */
  bool dry_run;
  const struct idempotency *key; /* NULL: none */
  const char *mutation;          /* its UUID; NULL: that of the token, or a new one */
  bool drawn;                    /* that, or the mutation of a single command, is of writ's making: no client knows it yet */
  struct watch *watch;           /* who keeps its state (engine/watch.h); NULL: none is kept */
  struct frame *frame;           /* of a durable mutation (engine_inside.h); NULL: none */
  size_t first;                  /* with a frame: the entries before are done, and have their text */
  const struct mutex_held *held; /* by the calls that this one is part of: not taken again */
  size_t nheld;
  bool
      results_apart; /* the caller takes them with engine_result; *answer stays empty, but for a stored answer and for a watch */
  bool numbers_as_text; /* BigInt and Decimal of models, as GraphQL has them */
  bool reads;           /* nothing may be changed, one snapshot for all: GraphQL's query */
  int64_t deadline_ms;  /* clock_ms */
  int caller_fd;        /* watched while waiting: hang-up cancels; -1: nobody to watch */
};

/* What happened, for the log line and the counters. */
struct report {
  int64_t postgres_us;
  int64_t hook_us, handler_us; /* of hooks asked together: the longest */
  uint64_t rows;
  unsigned flights, retries, hooks, handlers;
  bool after_pending;   /* an after-hook that is tried before the answer has not been delivered yet */
  bool replayed;        /* the answer is a stored one */
  const char *accepted; /* the key belongs to this durable mutation, which has the answer (mutations/); NULL: to none */
};

/* counters may be NULL. Opens no connection yet: PostgreSQL may be down. All borrowed for the engine's life. */
struct engine *engine_new(const void *mem, const struct config *config, const struct manifest *manifest,
                          struct counters *counters);
/* Of a worker: the counters of all workers of one writd, who bound together how many of them wait for locks and how many are in
 * handlers; counters are one's own of this page. And the secret of call tokens (CALL_SECRET_BYTES). */
void engine_share(struct engine *engine, struct counters_page *page, const unsigned char *call_secret);
/* A call token that came with a request (call_token_read). False: FORBIDDEN. */
bool engine_token(const struct engine *engine, const void *mem, const char *text, struct call_token *out, struct err *e)
    __attribute__((warn_unused_result));
void engine_free(struct engine *engine); /* closes connections */

const struct config *engine_config(const struct engine *engine);
const struct manifest *engine_manifest(const struct engine *engine);

/* Loads the modules of the manifest; what is wrong with one is told in the log. Without it they are loaded by the first call. */
void engine_load_modules(struct engine *engine);
/* Connects where needed and describes every command. False: DATABASE_UNAVAILABLE, or what is missing (writ install). */
bool engine_ready(struct engine *engine, struct err *e) __attribute__((warn_unused_result));
/* What PostgreSQL has against the commands (writ check): each with file and line of its command; grants that are missing. */
void engine_check(struct engine *engine, struct problems *p);
/* What PostgreSQL says of a command's statement, once engine_ready or engine_check has been through, and what its results are; of a
 * composite or handler what it says of the types of its arguments, one for each (text where none is declared). False: nothing, as
 * there is nothing to ask, or it does not prepare. */
bool engine_described(const struct engine *engine, const struct command *c, const struct description **d,
                      enum returns *returns);
/* Datagram sockets on which a byte wakes the runners: those that deliver after-hooks, and those that run mutations; borrowed. */
void engine_wakes(struct engine *engine, int after_fd, int background_fd);
/* Behind an answer: wakes the runners when there is something to deliver, and the sequencer when there are events. */
void engine_wake(struct engine *engine);
/* fd: of the streamer's pipe (base/tell.h), on which it is told what has changed; borrowed. */
void engine_tells(struct engine *engine, int fd);
/* The state of a mutation was changed, by a transaction that has ended; NULL: the log of events has new positions. */
void engine_tell(const struct engine *engine, const char *mutation);
/* Between requests: closes connections idle for too long, replaces those that have grown. */
void engine_tidy(struct engine *engine);

/* Runs a set; its answer as JSON text ({"result": ...} or {"results": [...]}) is appended to *answer. False: *e, and nothing
 * changed, except e->committed. mem: the request's arena. */
bool engine_run(struct engine *engine, void *mem, struct command_set *set, const struct invocation *call, struct str *answer,
                struct report *report, struct err *e) __attribute__((warn_unused_result));
/* Behind engine_run: the result of an entry as JSON text, for as long as the set is there. */
void engine_result(const struct command_set *set, size_t entry, const char **text, size_t *len);
/* What engine_run would send, for people: BEGIN, settings, each statement with its parameters, COMMIT, round trips. */
bool engine_explain(struct engine *engine, void *mem, struct command_set *set, const struct invocation *call,
                    struct str *text, struct err *e) __attribute__((warn_unused_result));

#endif
