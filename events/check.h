/* What PostgreSQL has against the events and projections of a manifest (writ check). */
#ifndef WRIT_EVENTS_CHECK_H
#define WRIT_EVENTS_CHECK_H

struct engine;
struct problems;

/* Each with file and line. Nothing of a manifest without any. */
void events_check(struct engine *engine, struct problems *p);

#endif
