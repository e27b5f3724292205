/* The outbox: what after-hooks are to be told is written in the transaction of the work that it tells of, so that it is
 * there when and only when that was committed. jobs/courier.c delivers it. */
#ifndef WRIT_ENGINE_OUTBOX_H
#define WRIT_ENGINE_OUTBOX_H

#include "compile/compiler.h"

struct run;
struct step_result;

/* Calls visit for each result that the items of entries [first, end) are made of, but those that cannot be kept. */
void outbox_each_result(const struct command_set *set, size_t first, size_t end,
                        void (*visit)(const struct expr *result, void *data), void *data);
/* Adds the step that writes them all, one statement, where there are any; set->outbox_step says which. */
void outbox_compile(struct compiler *k, struct command_set *set, size_t first, size_t end, struct plan *plan);
/* outbox_nested.c: the same for what is nested in the mutations among nodes [first_node, end_node), one statement for each hook;
 * behind outbox_compile. Runners deliver it, also what is sync. False: *e. */
bool outbox_compile_nested(struct compiler *k, struct command_set *set, size_t first_node, size_t end_node,
                           struct plan *plan, struct err *e) __attribute__((warn_unused_result));
/* For that: a payload behind its result; the purpose of all these steps. */
const char *outbox_tail(const struct compiler *k, const struct plan *plan);
extern const char outbox_purpose[];
/* That step has failed: what the caller is told of it is not about the caller's rights. */
void outbox_explain(struct err *e);
/* The same and its events as a transaction of their own, behind a handler that has done its work; with a frame, that it has. True
 * where there is nothing to write. */
bool outbox_write(struct run *r, size_t entry) __attribute__((warn_unused_result));
/* Behind the commit: tries what is to be tried before the answer is sent. What fails is left to the runners, and
 * r->report->after_pending is true. written: what the step gave. */
void outbox_deliver(struct run *r, size_t datasource, const struct step_result *written);

#endif
