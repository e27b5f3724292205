/* One run of a mutation, for execute.c (its steps) and ends.c (its end). */
#ifndef WRIT_MUTATIONS_WORK_H
#define WRIT_MUTATIONS_WORK_H

#include "mutations/mutation_inside.h"

/* Locks the row until the transaction ends: nobody claims it meanwhile, however long the step takes. */
#define LOCK_IF(more)                                                                                                  \
  "select coalesce((select " more " from writ.mutation where id = $1::uuid and owner = $2::uuid and ended is null "   \
  "and step = $3::integer for no key update), writ.fail('LEASE_LOST', 'lost', 409))"

/* Texts and names of settings take turns (result_pieces). */
#define PIECES(p)                                                                                                      \
  "(select string_agg(case when o % 2 = 1 then p else current_setting(p) end, '' order by o) "                         \
  "from json_array_elements_text(" p "::json) with ordinality as x (p, o))"

/* Why it stopped, where that is none of the set's own errors. */
enum stop { STOP_NONE, STOP_LOST, STOP_CANCELLED, STOP_EXPIRED, STOP_ASKED, STOP_OURS };

struct work {
  struct frame frame;
  struct engine *engine;
  void *mem;
  struct mutation *m;
  const struct mutation_run *how;
  struct command_set *set;
  const struct json *results; /* what the steps before have given, an array of JSON texts; NULL: none was done */
  const struct json *known;   /* what references find, by name: an object; NULL: nothing */
  struct err *e;
  size_t open, close; /* places in the plan of the transaction in hand: the frame's steps are open and those from close on */
  enum stop stop;
  struct watch *watch; /* of its state; NULL: it has none */
};

/* load.c: fills results and known from the database, where there are any, and begins its lease anew. False: *w->e; w->stop tells when
 * it is somebody else's. */
bool work_load(struct work *w) __attribute__((warn_unused_result));
/* ends.c. A step of writ's own; params are borrowed. And the parameters of LOCK_IF. */
struct step work_step(struct work *w, const char *sql, const char *const *params, unsigned n, const char *purpose);
const char **work_lease(struct work *w);
/* Adds the steps that record it as complete, step steps being done, and accept what follows. */
void work_put_complete(struct work *w, struct compiler *k, size_t step, const char *pieces, struct plan *plan);
/* Ends it in the error *e, or as cancelled, in a transaction of its own. */
enum mutation_end work_end_in_error(struct work *w, const struct err *e, bool dead);
/* A set without commands. */
enum mutation_end work_end_empty(struct work *w, struct str *answer);
/* Whoever had it died so often. */
enum mutation_end work_give_up(struct work *w);
/* A step has failed, with *w->e or w->stop. */
enum mutation_end work_judge_failure(struct work *w);

#endif
