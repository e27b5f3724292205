/* Followers of the states of mutations: /mutation/UUID/events. Several of one mutation share what is read of it. */
#ifndef WRIT_STREAM_FOLLOW_H
#define WRIT_STREAM_FOLLOW_H

#include "base/uuid.h"
#include "commands/caller.h"

#include <stdbool.h>
#include <stddef.h>

struct async;
struct connection;
struct follower;
struct source;
struct streamer;
struct topic;
struct wanted;

enum { TOPIC_BUCKETS = 4096 };

struct follower_list {
  struct follower *first, *last;
};

/* Of one datasource. */
struct follows {
  struct topic *buckets[TOPIC_BUCKETS]; /* by UUID */
  struct topic *topics;                 /* all */
  size_t ntopics;
  struct follower_list waiting; /* not found yet, in this datasource; who waits longest stands first */
  bool dirty, all;              /* some topics were told of; all are to be looked at */
  bool looked;                  /* the last question was for some that wait */
  unsigned lookups, rows;       /* as many as the next question asks for at most; 0: as many as one may */
};

/* Asks the datasources one behind the other who knows that mutation, and goes on from there. */
void follow_begin(struct streamer *s, struct connection *c, const struct wanted *w, const struct caller *caller);
/* Its reader has read all: it may have more. */
void follow_drained(struct follower *f);
/* Takes the follower away from wherever it is, and frees it. */
void follow_end(struct follower *f);

/* The next question that there is, as SQL with its parameters in mem; false: none. It will be answered by follow_answer, or
 * follow_failed. */
bool follow_ask(struct source *source, void *mem, const char **sql, const char **params, unsigned *n);
void follow_answer(struct source *source, const struct async *a);
/* The datasource is not there: those that wait for it are told to come again. */
void follow_failed(struct source *source);
/* This mutation has changed. */
void follow_told(struct follows *f, const unsigned char mutation[UUID_BYTES]);

#endif
