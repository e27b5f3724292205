/* A durable mutation: a request that is stored before it is answered, and run in one transaction a step, in which the step's writes
 * and its mark stand together. docs/background.md tells what that promises; sql/install/003.sql has its row. */
#ifndef WRIT_MUTATIONS_MUTATION_H
#define WRIT_MUTATIONS_MUTATION_H

#include "base/err.h"
#include "commands/caller.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct command_set;
struct engine;
struct invocation;
struct json;
struct report;
struct str;

/* One that is claimed: whoever has it may run it while nobody else claims it, which the database tells by the owner. */
struct mutation {
  const char *id, *owner; /* UUIDs; another owner with each claim */
  size_t datasource;      /* where its row is */
  const char *command;
  const struct json *args;
  struct caller caller; /* as when it was accepted */
  const char *request_id;
  const char *key;     /* Idempotency-Key; NULL: none */
  size_t step;         /* so many are done */
  unsigned attempts;   /* that failed, at the step after those */
  int64_t deadline_ms; /* clock_ms; INT64_MAX: none */
  int64_t leased_ms;   /* clock_ms: when the lease was begun */
  const char *home,
      *born;        /* writ.installation of its datasource, and a name of its own that no client gave; NULL: not known yet */
  const char *away; /* the datasource on which the next step was begun, which alone knows whether it is done; NULL: none */
  bool follows;     /* it is a continuation: its references find what another has given */
};

/* ---- accept.c ---- */

/* Is the request one that is made durable even though its caller waits for the answer: has it a key, and takes more than one
 * transaction? */
bool mutation_is_durable(const struct command_set *set, const struct invocation *call);
/* Judges all of the request and stores it, with its key where it has one. lease: it is the caller's own to run, else the runners'.
 * *out: it, in mem; or, where the key belongs to another request already, that one's id with *before true, and, where that was no
 * mutation, its answer in report->... False: *e, and nothing is stored. */
struct accepted {
  struct mutation mutation;
  bool before;        /* it was accepted before: mutation.id and datasource alone count */
  const char *answer; /* before: the answer of a request that was no mutation; NULL: it is one */
  size_t len;
};
bool mutation_accept(struct engine *engine, void *mem, struct command_set *set, const struct invocation *call, bool lease,
                     struct accepted *out, struct report *report, struct err *e) __attribute__((warn_unused_result));

/* ---- execute.c ---- */

enum mutation_end {
  MUTATION_ENDED,     /* complete, or in an error that is stored */
  MUTATION_PUT_OFF,   /* to be tried again, by whoever claims it then */
  MUTATION_LOST,      /* somebody else has it */
  MUTATION_LEFT,      /* given back, as we are to stop */
  MUTATION_FORGOTTEN, /* it has done nothing, and is no more */
};

/* Runs it from the first step that is not done. stop: asked between steps; NULL: never. until_ms: the caller of it waits no longer,
 * and gets *answer or *e; 0: nobody waits. */
struct mutation_run {
  bool (*stop)(void *data);
  void *data;
  int64_t until_ms;        /* clock_ms */
  bool forget;             /* one that fails and has done nothing is not kept, as its caller hears why and may ask again */
  struct command_set *set; /* decoded already; NULL: not so */
  bool no_state;           /* nobody follows it */
  struct str *answer;      /* filled when it is complete */
  bool complete;           /* filled */
};
enum mutation_end mutation_run(struct engine *engine, void *mem, struct mutation *m, struct mutation_run *how,
                               struct report *report, struct err *e);

/* ---- store.c ---- */

/* Claims what is due. Those in settle, of one datasource, have ended lately: their states are made to tell so, without the
 * manifest's reducers where those take too long. False: the database. */
struct mutation_claim {
  size_t datasource;
  unsigned most;
  const char *const *settle;
  size_t nsettle;
  struct mutation *list; /* filled, in mem */
  size_t n;
};
bool mutation_claim(struct engine *engine, void *mem, struct mutation_claim *claim, struct err *e)
    __attribute__((warn_unused_result));
bool mutation_renew(struct engine *engine, void *mem, struct mutation *m, int64_t lease_ms, struct err *e)
    __attribute__((warn_unused_result));
/* Gives it back, or leaves it to the end of its lease: due again in pause_ms. error: of the attempt that failed, as JSON; NULL: it was none. */
bool mutation_release(struct engine *engine, void *mem, const struct mutation *m, int64_t pause_ms, const char *error,
                      struct err *e);
/* One that ended without having done anything, and whose caller has heard why: it and its key are forgotten. */
bool mutation_forget(struct engine *engine, void *mem, const struct mutation *m, struct err *e);
/* Of those that have ended: the answer, or the error. *outcome NULL: not yet. False: NOT_FOUND, or the database. */
struct mutation_outcome {
  const char *outcome, *answer, *error;
};
bool mutation_look(struct engine *engine, void *mem, size_t datasource, const char *id, struct mutation_outcome *out,
                   struct err *e) __attribute__((warn_unused_result));
/* The same, waiting for the end until then (clock_ms), where a worker may wait at all. */
bool mutation_wait(struct engine *engine, void *mem, size_t datasource, const char *id, int64_t until_ms,
                   struct mutation_outcome *out, struct err *e) __attribute__((warn_unused_result));
/* Asks it to stop before its next step, on whatever datasource it is. False: NOT_FOUND, also where it is another caller's. */
bool mutation_cancel(struct engine *engine, void *mem, const char *id, const struct caller *caller, struct err *e)
    __attribute__((warn_unused_result));
/* Deletes some that ended long ago: MUTATION_CLEAN_BATCH at most. */
enum { MUTATION_CLEAN_BATCH = 1000 };
bool mutation_clean(struct engine *engine, void *mem, size_t datasource, uint64_t *gone, struct err *e)
    __attribute__((warn_unused_result));

/* ---- away_clean.c ---- */

/* The same of steps that were done here, of mutations of other datasources: those that are needed no more. */
bool mutation_clean_away(struct engine *engine, void *mem, size_t datasource, uint64_t *gone, struct err *e)
    __attribute__((warn_unused_result));

#endif
