/* One delivery of an after-hook: the request it is, and what its answer means. Requests are signed as the Standard Webhooks
 * specification says (standard-webhooks/spec, sections "Signature scheme" and "Delivery"). */
#ifndef WRIT_JOBS_DELIVERY_H
#define WRIT_JOBS_DELIVERY_H

#include "jobs/queue.h"
#include "manifest/manifest.h"
#include "services/http.h"

struct counters;

enum { DELIVERY_PAUSE_MIN_MS = 1000, DELIVERY_PAUSE_MAX_MS = 3600 * 1000, DELIVERY_ANSWER_BYTES = 1000 };

struct delivery {
  struct queue_item item;
  const struct hook *hook;
  struct http_header headers[3];
  struct http_exchange exchange;
};

/* Everything is ready for http_run. *item and *hook are borrowed, the rest is in mem. */
void delivery_prepare(void *mem, const struct queue_item *item, const struct hook *hook, struct delivery *out);
/* What becomes of the item, by the exchange that has ended. */
struct queue_mark delivery_judge(void *mem, const struct delivery *d);
void delivery_count(struct counters *counters, const struct queue_mark *mark);

/* The pause before the next try, after so many failures (from 1): doubled each time, half of it chance. */
int64_t delivery_pause_ms(int failures, unsigned chance);
/* What Retry-After (RFC 9110 section 10.2.3) asks for, in ms from now (Unix time, seconds); 0: nothing, or not readable. */
int64_t delivery_retry_after_ms(const char *value, int64_t now_s);
/* At most max bytes of a text that came from outside, as one line of UTF-8: what is none becomes "?". */
const char *delivery_excerpt(const void *mem, const char *text, size_t len, size_t max);

#endif
