/* Followers of the log of events: /events. Each reads at its own speed, from its own position: who has not read what it was
 * sent is not sent more, and loses nothing. */
#ifndef WRIT_STREAM_LOG_H
#define WRIT_STREAM_LOG_H

#include <stdbool.h>

struct async;
struct connection;
struct log_follower;
struct source;
struct streamer;
struct str;
struct wanted;

/* Of one datasource. */
struct log_follows {
  struct log_follower *list, *last; /* who waits longest stands first */
};

enum { LOG_PARAMS = 7 };

void log_begin(struct streamer *s, struct connection *c, const struct wanted *w);
void log_end(struct log_follower *f);
/* Its reader has read all: it may have more. */
void log_drained(struct log_follower *f);
/* How far it has come, for a heartbeat. */
void log_position(const struct log_follower *f, char text[24]);

/* As those of stream/follow.h. params: room for LOG_PARAMS. */
bool log_ask(struct source *source, void *mem, const char **sql, const char **params, unsigned *n);
void log_answer(struct source *source, const struct async *a);
void log_failed(struct source *source);
/* There are new positions, or may be. */
void log_told(struct log_follows *l);

#endif
