/* One connection of the web server: a request is read, and answered by a stream that may last for days, or by anything else at
 * once. A reader is never waited for: who is slow gets no more than it reads, who takes nothing at all is dropped. */
#ifndef WRIT_STREAM_CONNECTION_H
#define WRIT_STREAM_CONNECTION_H

#include "base/err.h"
#include "commands/caller.h"
#include "stream/wanted.h"

#include <stdbool.h>
#include <stdint.h>

struct connection;
struct follower;
struct log_follower;
struct streamer;

/* Takes the accepted descriptor over. */
void connection_new(struct streamer *s, int fd);

/* Who is to be told when the connection ends (follow_end, log_end); NULL: nobody any more. */
void connection_follow_state(struct connection *c, struct follower *f);
void connection_follow_log(struct connection *c, struct log_follower *f);

/* The one answer, and the end. */
void connection_refuse(struct connection *c, const struct err *e);
void connection_empty(struct connection *c, int status);
/* 200 and nothing but a time to come again: what a browser's EventSource understands, which gives up for good at any other
 * status. reason: a word for the log. */
void connection_later(struct connection *c, const char *reason);

/* The head of a stream. */
void connection_open(struct connection *c);
/* Text of the stream, with so many events in it. */
void connection_send(struct connection *c, const char *text, size_t len, unsigned events);
/* May it have more? Who is at streams.buffer_bytes may not, until all has been read: then follow_drained or log_drained. */
bool connection_has_room(const struct connection *c);
/* Has all been read that was sent? */
bool connection_is_drained(const struct connection *c);
/* The stream ends behind what was sent. The follower is gone when this returns. */
void connection_end(struct connection *c, const char *reason);

/* All those that have been silent for so long get a heartbeat. */
void connections_beat(struct streamer *s, int64_t silent_ms);
/* All streams end: what was sent is still delivered. */
void connections_end(struct streamer *s, const char *reason);
/* At once. */
void connections_close(struct streamer *s);

#endif
