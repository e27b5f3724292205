/* The text of server-sent events (HTML standard, section 9.2). */
#ifndef WRIT_STREAM_SSE_H
#define WRIT_STREAM_SSE_H

struct str;

/* One event. id and event may be NULL: none, and "message". data: any text. */
void sse_event(struct str *out, const char *id, const char *event, const char *data);
/* How long a client that lost the stream waits before it comes again. */
void sse_retry(struct str *out, unsigned ms);
/* Nothing for the client, but for what lies between. id: how far the stream has come without an event of its own; NULL: none. */
void sse_heartbeat(struct str *out, const char *id);

#endif
