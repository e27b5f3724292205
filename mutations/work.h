/* One run of a mutation, for execute.c (its steps) and ends.c (its end). */
#ifndef WRIT_MUTATIONS_WORK_H
#define WRIT_MUTATIONS_WORK_H

#include "mutations/mutation_inside.h"

/* Locks the row until the transaction ends: nobody claims it meanwhile, however long the step takes. */
#define LOCK_IF(more)                                                                                                       \
  "select coalesce((select " more " from writ.mutation where id = $1::uuid and owner = $2::uuid and outcome is null "       \
  "and step = $3::integer for no key update), writ.fail('LEASE_LOST', 'lost', 409))"

/* Texts and names of settings take turns (result_pieces). */
#define PIECES(p)                                                                                                           \
  "(select string_agg(case when o % 2 = 1 then p else current_setting(p) end, '' order by o) "                              \
  "from json_array_elements_text(" p "::json) with ordinality as x (p, o))"

enum { AT_HOME = SIZE_MAX };

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
  size_t away; /* the datasource of the transaction in hand, or the last, where that is not the mutation's; else AT_HOME */
  const char *begun; /* when the lease was looked at for that, by the home's clock: seconds */
  bool doubt;        /* whether the step is done is known there alone */
  enum stop stop;
  struct watch *watch; /* of its state; NULL: it has none */
};

/* execute.c. Steps that end what they stand in with LEASE_LOST, unless the mutation is ours, and locked until its end; the first also
 * with CANCEL_ASKED. And what such an error means. */
struct step work_look_step(struct work *w);
struct step work_lock_step(struct work *w);
void work_judge_look(struct work *w, const struct err *e);
/* Adds the step that records the step in hand as done. id: as readers of the state know it; NULL: they are told of it later. */
void work_put_mark(struct work *w, struct compiler *k, const char *pieces, const char *id, struct plan *plan);

/* load.c: fills results and known from the database, where there are any, and begins its lease anew. False: *w->e; w->stop tells when
 * it is somebody else's. */
bool work_load(struct work *w) __attribute__((warn_unused_result));
/* ends.c. A step of writ's own; params are borrowed. And what has no run compiles with. */
struct step work_step(struct work *w, const char *sql, const char *const *params, unsigned n, const char *purpose);
struct compiler work_compiler(struct work *w);
/* A text that stands already, as of result_pieces. */
const char *work_one_piece(struct work *w, const char *text);
/* Adds the steps that record it as complete, step steps being done, and accept what follows. */
void work_put_complete(struct work *w, struct compiler *k, size_t step, const char *pieces, struct plan *plan);
/* Ends it in the error *e, or as cancelled, in a transaction of its own. */
enum mutation_end work_end_in_error(struct work *w, const struct err *e, bool dead);
/* All of its steps are done, or it has none. */
enum mutation_end work_end_done(struct work *w, struct str *answer);
/* Makes its state tell so now, as its caller is answered and may look. Of others a runner makes it so with its next claim. */
void work_tell_end(struct work *w);
/* Whoever had it died so often. */
enum mutation_end work_give_up(struct work *w);
/* A step has failed, with *w->e or w->stop. */
enum mutation_end work_judge_failure(struct work *w);
/* Tried again later, with *w->e. */
enum mutation_end work_put_off(struct work *w);

/* away.c: steps on another datasource than the mutation's. What is left to run has its connections, as far as need be, the lease being
 * kept meanwhile. False: *w->e. */
bool away_reach(struct work *w, void (*beat)(void *data));
/* Of struct frame: */
bool away_aim(struct frame *frame, struct run *r, size_t datasource);
bool away_done(struct frame *frame, struct run *r, size_t first, size_t end);
/* Of such a transaction: the first step, its index; the last one; what it means that it failed at one of them. */
size_t away_open(struct work *w, struct compiler *k, struct plan *plan);
void away_close(struct work *w, struct compiler *k, const char *pieces, struct plan *plan);
enum next away_judge(struct work *w, struct run *r, const struct flight *f);
/* What became of the step that was begun on w->m->away. */
enum away {
  AWAY_KNOWN,   /* not done, and only we may do it now; or done, and so is the home's mark: w->m is one further */
  AWAY_UNKNOWN, /* *w->e: later */
  AWAY_LOST,    /* somebody else has the mutation */
  AWAY_GONE,    /* there is no such datasource any more */
};
enum away away_resolve(struct work *w);

#endif
