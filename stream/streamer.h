/* The streamer: one process that holds all streams of server-sent events, on a socket of its own (docs/streams.md). An event loop:
 * many connections, nearly all of them silent. Workers never have to do with them. */
#ifndef WRIT_STREAM_STREAMER_H
#define WRIT_STREAM_STREAMER_H

struct config;
struct counters;
struct manifest;

struct streamer_start {
  const struct config *config;
  const struct manifest *manifest;
  int listen_fd; /* borrowed */
  int tell_fd;   /* base/tell.h, to read; -1: none */
  int stop_fd;   /* readable: it is time to leave */
  struct counters *own;
};

/* Serves until stop_fd can be read: then streams are ended, and clients come again. Gives the exit status: 0, or 1 for a failure
 * that was logged. */
int streamer_run(const struct streamer_start *start);

#endif
