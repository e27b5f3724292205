/* The state of a mutation (docs/state.md): what others see of how it is going. Its rows and reducers are functions of schema writ
 * (sql/install/004.sql). */
#ifndef WRIT_MUTATIONS_STATE_H
#define WRIT_MUTATIONS_STATE_H

#include <stddef.h>
#include <stdint.h>

struct caller;
struct compiler;
struct plan;
struct run;

/* Ahead of a call of these functions, in the same list: sessions keep the plans of their statements, so they must not be made for
 * tables that happen to be empty (jobs/queue.h, QUEUE_PLANS). Reducers get it too. For transactions of writ's own. */
#define STATE_PLANS "pg_catalog.set_config('enable_seqscan', 'off', true) || pg_catalog.set_config('jit', 'off', true)"

/* A step ahead. Texts may be NULL but id, which is what TRANSACTION_... events name. */
struct state_step {
  const char *id, *title, *description;
};

/* Who may read it, as a bytea literal: a digest of role and user, or of the claims' subject; NULL: whoever knows the UUID. */
const char *state_caller(const void *mem, const struct caller *caller);

/* Adds the step that makes the state of a mutation: pending, its steps known ahead. A UUID that was used before fails it with
 * 23505. lasts_ms: how long the process has that keeps it; then readers are told that it was lost. 0: it goes on by itself. */
void state_put_new(struct compiler *k, struct plan *plan, const char *mutation, const char *caller,
                   const struct state_step *steps, size_t n, int64_t lasts_ms);
/* Adds the step that applies an event: core reducer, then the manifest's. payload: JSON text or NULL. attempt: from 1. For
 * transactions of writ's own, as the row of the state is locked until their end. */
void state_put_event(struct compiler *k, struct plan *plan, const char *mutation, unsigned attempt, const char *name,
                     const char *payload);
/* The same for the end of a transaction that runs commands: it is true when that is committed, and told behind it, by the
 * next TRANSACTION_ or MUTATION_ event, or by state_settle. */
void state_put_mark(struct compiler *k, struct plan *plan, const char *mutation, unsigned attempt, const char *name,
                    const char *payload);
/* Adds the step that takes in such marks. */
void state_put_settle(struct compiler *k, struct plan *plan, const char *mutation);

/* An event of writ's own about the mutation that the run is, or is part of, at once, on a connection of its own: visible to others
 * now. Never fails nor delays it; nothing is done where no state is kept. payload: JSON text or NULL. */
void state_dispatch(struct run *r, const char *name, const char *payload);

#endif
