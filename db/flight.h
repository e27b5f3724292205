/* A flight: one plan sent to PostgreSQL and its answers read, in one network round trip (docs/design.md, "One flight").
 *
 *     settings  steps ...  Flush  Sync
 *     BEGIN  settings  steps ...  Sync  COMMIT  Sync
 *
 * The first where all steps are queries: one implicit transaction, which the Sync commits. After an error the server skips to
 * the Sync; in the second form the COMMIT behind it answers ROLLBACK. Nothing is reported before the last Sync has been read. */
#ifndef WRIT_DB_FLIGHT_H
#define WRIT_DB_FLIGHT_H

#include "db/conn.h"
#include "db/plan.h"

enum txn_state { TXN_NONE, TXN_OPEN, TXN_FAILED, TXN_COMMITTED, TXN_ROLLED_BACK, TXN_UNKNOWN };

struct step_result {
  const char *text; /* JSON, or NULL: SQL NULL, or the step gives nothing */
  size_t len;
  uint64_t rows; /* that it stands for */
};

struct flight {
  enum txn_state state;
  struct step_result *results; /* plan->n of them */
  size_t failed_step;          /* plan->n: none of the steps (settings, COMMIT, the connection) */
  unsigned failed_parameter;   /* $N that could not be converted; 0: none */
  bool raised_by_server;       /* a serialization failure or deadlock of the server's own: worth another try */
  bool was_lost;               /* the connection went away */
};

/* Runs the plan on an open connection. True: committed (dry run: rolled back as asked). False: *e; the state says whether
 * that is for certain: TXN_UNKNOWN goes with COMMIT_UNKNOWN. Results live in mem. */
bool flight_run(struct conn *c, void *mem, const struct plan *plan, const struct wait *w, struct flight *f, struct err *e)
    __attribute__((warn_unused_result));

#endif
