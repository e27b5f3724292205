/* Who keeps the state of a mutation (mutations/keeper.c), as the engine knows it: what it is told while the mutation runs, and the
 * steps that it adds to its transactions. */
#ifndef WRIT_ENGINE_WATCH_H
#define WRIT_ENGINE_WATCH_H

#include <stdbool.h>
#include <stddef.h>

struct conn_listener;
struct plan;
struct run;
struct str;

struct watch {
  size_t datasource;                    /* where the state is */
  unsigned attempts_before;             /* of a mutation that is run again as a whole */
  unsigned attempt;                     /* the one at hand, from 1; the engine counts */
  bool part;                            /* what runs is part of a handler's call: it has events, and no steps of its own */
  bool apart;                           /* entries have states of their own (struct entry, mutation) */
  const char *mutation;                 /* whose the events of all others are; "": nobody's */
  const struct conn_listener *listener; /* of the connection in use, during a flight */

  /* Ahead of entries [first, end), which are one transaction or a handler. False: *r->e, or r->stored, and nothing is run. */
  bool (*begin)(struct watch *w, struct run *r, size_t first, size_t end);
  /* Adds steps ahead of all others of that transaction, and behind them. */
  void (*open)(struct watch *w, struct run *r, struct plan *plan);
  void (*close)(struct watch *w, struct run *r, size_t first, size_t end, struct plan *plan);
  /* All is over. answer: what is answered; NULL: it has failed, *r->e. */
  void (*end)(struct watch *w, struct run *r, const struct str *answer);
  /* An event of the application's for those who follow. payload: JSON text; whole false: it was too long to be passed on. Never
   * fails, hardly waits. */
  void (*event)(struct watch *w, const char *name, const char *payload, bool whole);
  /* One of writ's own, the same way. payload NULL: none. */
  void (*tell)(struct watch *w, const char *name, const char *payload);
};

#endif
