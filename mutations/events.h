/* State events on their way: written one behind the other on a connection of their own, while the mutation's transaction goes on on
 * another. So many and so fast as is good for all; what comes too fast is put together or left out, and told to be. */
#ifndef WRIT_MUTATIONS_EVENTS_H
#define WRIT_MUTATIONS_EVENTS_H

#include "db/conn.h"

#include <stdbool.h>
#include <stddef.h>

struct engine;
struct events;

/* Of some mutations, which others of these functions name by their index; n may be 0. mutations: UUIDs, borrowed. */
struct events *events_new(struct engine *engine, const void *mem, const char *const *mutations, size_t n, size_t datasource);
/* One of the application's: held against the manifest first; what it has against it becomes the event EVENT_REFUSED. payload: JSON
 * text; whole false: it was too long. */
void events_dispatch(struct events *q, size_t of, unsigned attempt, const char *name, const char *payload, bool whole);
/* One of writ's own. It is sent by the next of these functions. */
void events_tell(struct events *q, size_t of, unsigned attempt, const char *name, const char *payload);
/* Is there room for n more, or would the last that wait give way? */
bool events_room(const struct events *q, size_t n);
/* Sends what may be sent, takes what was answered; does not wait. */
void events_pump(struct events *q);
/* Was there any, so that what comes must go the same way to come behind them? */
bool events_used(const struct events *q);
/* Waits until all are written, for a bounded time. False: some may be lost. */
bool events_finish(struct events *q, int wait_ms);
/* For the connection that a transaction runs on: hears what it dispatches. attempt: where the number of the attempt stands. */
const struct conn_listener *events_listener(struct events *q, const unsigned *attempt);

#endif
