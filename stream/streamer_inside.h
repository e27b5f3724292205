/* The inside of the streamer, for the files of stream/ only. */
#ifndef WRIT_STREAM_STREAMER_INSIDE_H
#define WRIT_STREAM_STREAMER_INSIDE_H

#include "base/err.h"
#include "stream/follow.h"
#include "stream/log.h"
#include "stream/streamer.h"

#include <stdbool.h>
#include <stdint.h>

struct connection;
struct event;
struct event_base;
struct source;

/* Those whose last bytes went out longest ago stand first. */
struct connection_list {
  struct connection *first, *last;
  size_t n;
};

struct streamer {
  const struct streamer_start *start;
  const struct config *config;
  const struct manifest *manifest;
  struct event_base *base;
  struct evconnlistener *listener;
  struct event *stop, *told, *beat, *again; /* again: the listener was silenced for want of descriptors */
  struct connection_list connections;
  size_t streams;          /* of them, those that are one, or may become one */
  size_t most;             /* connections: beyond them none is accepted */
  struct source **sources; /* one for each datasource */
  bool stopping;
};

/* May another connection be accepted? Called when one came or went. */
void streamer_accepts(struct streamer *s);

#endif
