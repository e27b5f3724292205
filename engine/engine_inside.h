/* The inside of the engine, for its own files: engine.c (connections), shapes.c (what PostgreSQL says of the commands),
 * transaction.c (one flight, tried until it is certain), run.c (the steps of a request), result.c (what it gave), explain.c
 * and inspect.c (for people). */
#ifndef WRIT_ENGINE_ENGINE_INSIDE_H
#define WRIT_ENGINE_ENGINE_INSIDE_H

#include "commands/set.h"
#include "commands/tree.h"
#include "compile/compiler.h"
#include "db/conn.h"
#include "db/flight.h"
#include "engine/engine.h"
#include "engine/entries.h"
#include "engine/watch.h"
#include "manifest/config.h"
#include "services/http.h"

struct source {
  const struct datasource *datasource;
  struct conn *conn;
  struct conn **seconds; /* to hold handlers' mutexes, made when needed: several where a module runs another */
  size_t nseconds, held; /* those that hold some are the first */
  struct conn *teller;   /* for events of states (db/post.h), made when needed */
  bool described;
  void *mem; /* of the shapes that were described together */
};

struct engine {
  const struct config *config;
  const struct manifest *manifest;
  struct counters *counters;
  struct source *sources; /* config->ndatasources */
  struct shape *shapes;   /* manifest->ncommands */
  void **shape_mem;       /* of those described alone since */
  struct variants *variants;
  struct modules *modules;          /* NULL: not loaded yet */
  struct http_client *http;         /* NULL: not needed yet */
  struct counters_page *page;       /* of all workers; NULL: there are no others */
  const unsigned char *call_secret; /* of call tokens; NULL: nobody would take one */
  int wake_fd, background_fd;       /* of the runners: of after-hooks, of mutations; -1: none */
  int tell_fd;                      /* of the streamer; -1: none */
  bool appended;                    /* events, since their sequencer was told last */
  bool wake, wake_background;       /* there is work for them since they were woken last */
};

/* What to do after a flight that failed. */
enum next {
  NEXT_OTHER,   /* judge it by other rules */
  NEXT_AGAIN,   /* run it again */
  NEXT_DONE,    /* there is an answer: r->stored */
  NEXT_REFUSED, /* *r->e is the answer */
};

struct run;

/* What stands around each transaction of a durable mutation, in its one flight, and between them: mutations/ knows what. */
struct frame {
  /* Ahead of an entry, outside of any transaction. False: *r->e, and it is not run. */
  bool (*begin)(struct frame *frame, struct run *r, size_t entry);
  /* Ahead of each try of a transaction on that datasource. False: *r->e, and it is not tried. NULL: nothing to do. */
  bool (*aim)(struct frame *frame, struct run *r, size_t datasource);
  /* Adds steps ahead of all others of a transaction; and behind all, when it is about entries [first, end). */
  void (*open)(struct frame *frame, struct run *r, size_t datasource, struct plan *plan);
  void (*close)(struct frame *frame, struct run *r, size_t datasource, size_t first, size_t end, struct plan *plan);
  /* A flight has failed: NEXT_REFUSED where it was at one of these steps, else NEXT_OTHER. */
  enum next (*judge)(struct frame *frame, struct run *r, const struct flight *f);
  /* Entries [first, end) are committed, and have their results. False: *r->e, and nothing is run behind them. */
  bool (*done)(struct frame *frame, struct run *r, size_t first, size_t end);
  const char *(*inside_key)(struct frame *frame, struct run *r,
                            size_t entry); /* what the keys of a handler's own calls are made of */
};

/* keyed.c: where its steps are in the plan; how long it has tried. */
struct keyed {
  size_t lock, find, store;
  unsigned rounds;
  int64_t until_ms, resolve_until_ms; /* clock_ms; 0: not begun */
};

/* mutex.c: the same. Steps [first, lock] of the plan are its own. */
struct mutexes {
  bool there, waits;
  size_t first, lock;
  int64_t until_ms;       /* clock_ms; 0: not begun */
  struct source *held_by; /* whose last second connection has the open transaction of mutex_hold; NULL: none */
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
  size_t hidden_at;       /* the step, from 1, that was tried again though the row in its way may be hidden; 0: none */
  bool waits;             /* it has a place among the workers that wait */
  bool guarding;          /* a handler's permissions alone: no key, no mutexes */
  size_t references_left; /* bytes that references may still bring */
  struct keyed keyed;
  struct mutexes mutexes;
  const char *stored; /* a stored answer to give; NULL: none */
  size_t stored_len;
  bool kept;                  /* the answer is stored, or was */
  bool accepting;             /* the transaction stores that the key belongs to the mutation, in place of an answer */
  const char *accepted;       /* what is stored is that: its UUID; NULL: no */
  struct source *key_held_by; /* whose last second connection holds the key (keyed_hold); NULL: none */
  struct step_result items;   /* what the step of the after-hooks gave */
};

/* engine.c: made when first needed. */
struct http_client *engine_http(struct engine *engine);
/* engine.c: connected, of the right version, its commands described. */
bool source_ready(struct engine *engine, size_t index, const struct wait *w, struct err *e);

/* The connection, open or not, on which the next open transaction is to be held: source->held counts them. */
struct conn *engine_second(struct engine *engine, size_t datasource);

/* The connection, open or not, on which state events are posted. Not one of the seconds: those hold transactions. */
struct conn *engine_teller(struct engine *engine, size_t datasource);

/* shapes.c. Can PostgreSQL be asked about the command? */
bool shapes_apply(const struct command *c);
/* All commands of a datasource in one go. False: the connection. */
bool shapes_describe(struct engine *engine, size_t source_index, const struct wait *w, struct err *e);
/* The tables may have changed under us (DDL): asks PostgreSQL about one command again, at most once a second, as an error
 * that a client can provoke must not become a load. True: it has changed, and what was prepared is forgotten. */
bool shapes_look_again(struct engine *engine, const struct command *c, const struct wait *w);
/* What PostgreSQL has against the command; it says $1 where the manifest says :name. */
const char *shapes_reason(const struct command *c, const struct shape *shape);

/* run.c. All that is judged before anything runs, from entry r->call->first on. False: *r->e. */
bool run_judge(struct run *r);

/* transaction.c. A frame's steps, where there is one. */
bool frame_aim(struct run *r, size_t datasource);
void frame_open(struct run *r, size_t datasource, struct plan *plan);
void frame_close(struct run *r, size_t datasource, size_t first, size_t end, struct plan *plan);
enum next frame_judge(struct run *r, const struct flight *f);
/* The plan's frame: who calls, how. False: FORBIDDEN. */
bool transaction_begin(struct run *r, size_t datasource, enum isolation isolation, struct plan *plan);
struct compiler transaction_compiler(struct run *r);
/* Entries [first, end) as a plan, the datasource being ready. *fault: as of compile_entries. */
bool transaction_plan(struct run *r, struct compiler *k, size_t datasource, enum isolation isolation, size_t first,
                      size_t end, struct plan *plan, const struct command **fault);
/* The permissions of the handler that is entry index, ahead of it, in a transaction of their own. */
bool transaction_guard(struct run *r, size_t index);
/* The same, run. */
bool transaction_run(struct run *r, size_t datasource, enum isolation isolation, size_t first, size_t end);

/* keyed.c: a call with an Idempotency-Key; nothing for one without. The steps ahead of all others, and behind them. */
void keyed_open(struct run *r, struct plan *plan);
void keyed_close(struct run *r, struct plan *plan);
/* What a failed flight means for the key. */
enum next keyed_judge(struct run *r, size_t datasource, const struct plan *plan, const struct flight *f);
/* A plain look-up, ahead of what is not to be done twice: was this call answered? Then r->stored is that answer. False:
 * IDEMPOTENCY_MISMATCH, or the database. */
bool idempotency_find(struct run *r, size_t datasource, bool *found);
/* Locks the key on a second connection until keyed_release, for what is not to be done by two at once, and looks it up.
 * False: IDEMPOTENCY_CONFLICT as well. */
bool keyed_hold(struct run *r, size_t datasource, bool *found);
void keyed_release(struct run *r);
/* The answer of a program, to be kept in the transaction in which its after-hooks are written. */
void keyed_keep(struct run *r, struct plan *plan);
/* A flight with that has failed: because an earlier try came through? Then r->stored is what was kept. */
bool keyed_was_kept(struct run *r, size_t datasource, const struct flight *f);
/* Keeps an answer that came about outside of a transaction. *stored false: another was there before, and is r->stored. */
bool idempotency_store(struct run *r, size_t datasource, const char *answer, size_t len, bool *stored);

/* mutex.c: the mutexes of entries [first, end), for those that have some. False: BAD_REQUEST, BAD_ARGUMENT. */
bool mutex_open(struct run *r, size_t datasource, size_t first, size_t end, struct plan *plan);
enum next mutex_judge(struct run *r, size_t datasource, const struct plan *plan, const struct flight *f);
/* The mutexes of an entry, for the time of a call to its handler: in an open transaction on a second connection, which ends
 * with this worker at the latest. *held: what the calls that it makes must not take again, those of this call's own callers
 * among them. False: as a transaction would be refused. mutex_release ends it, in any case. */
bool mutex_hold(struct run *r, size_t entry, const struct mutex_held **held, size_t *nheld);
void mutex_release(struct run *r);

/* aside.c: steps as a transaction of their own. Without writes it is rolled back. */
bool aside_run(struct run *r, size_t datasource, struct step *steps, size_t n, bool writes, struct flight *f);
/* Sets lock_timeout to $1, which aside_timeout makes: ms, or what is left of the deadline. */
extern const char aside_timeout_sql[];
const char *aside_timeout(struct run *r, int64_t ms);
/* A place among the workers that wait for each other, unless the call has one; false: there is none left. */
bool wait_begin(struct run *r);
void wait_end(struct run *r);

/* result.c. */
void result_keep(struct run *r, size_t first, size_t end, const struct flight *f);
/* {"result": ...} or {"results": [...]}; what PostgreSQL rendered is spliced, not parsed. */
void result_put(struct str *out, const struct command_set *set);
/* The same, to be put together on the server: a JSON array in which texts and names of settings take turns. All results
 * that are no literals were kept (struct compiler, keep). */
const char *result_pieces(void *mem, const struct command_set *set);
/* The same of what one entry gave. */
const char *result_pieces_alone(void *mem, const struct command_set *set, size_t entry);
/* Entries [first, end) have run: each has its text from now on, whatever other transactions do. */
void result_settle(struct command_set *set, size_t first, size_t end);

#endif
