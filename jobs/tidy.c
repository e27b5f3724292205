#include "jobs/tidy.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "jobs/clean.h"
#include "jobs/queue.h"
#include "jobs/settle.h"
#include "manifest/config.h"

#include <string.h>

enum { KIND_MS = 5000 };

typedef bool tidy_kind(struct conn *c, void *mem, const struct tidy *t, const struct wait *w, uint64_t *n, struct err *e);

static bool dead_letters(struct conn *c, void *mem, const struct tidy *t, const struct wait *w, uint64_t *n, struct err *e) {
  *n = 0;
  return !t->config->runner_keep_dead_s || queue_clean(c, mem, t->config->runner_keep_dead_s, w, e);
}

static bool keys(struct conn *c, void *mem, const struct tidy *t, const struct wait *w, uint64_t *n, struct err *e) {
  return clean_keys(c, mem, t->config->idempotency_hours, w, n, e);
}

static bool events(struct conn *c, void *mem, const struct tidy *t, const struct wait *w, uint64_t *n, struct err *e) {
  int hours = t->config->event_keep_hours;
  bool ok;

  *n = 0;
  if (!hours || t->version < CLEAN_EVENTS_VERSION) return true;
  ok = t->config->event_partition ? clean_events_whole(c, mem, hours, w, n, e) : clean_events(c, mem, hours, w, n, e);
  if (t->own) t->own->events_cleaned += *n;
  return ok;
}

static bool partitions(struct conn *c, void *mem, const struct tidy *t, const struct wait *w, uint64_t *n, struct err *e) {
  *n = 0;
  return !t->config->event_keep_hours || t->version < CLEAN_EVENTS_VERSION || clean_partition(c, mem, w, n, e);
}

static bool left_states(struct conn *c, void *mem, const struct tidy *t, const struct wait *w, uint64_t *n, struct err *e) {
  return settle_states(c, mem, t->rules, w, n, e);
}

static bool states(struct conn *c, void *mem, const struct tidy *t, const struct wait *w, uint64_t *n, struct err *e) {
  return clean_states(c, mem, t->config->state_hours, w, n, e);
}

/* more: so many at once mean that there may be more. */
static const struct {
  const char *name;
  tidy_kind *run;
  uint64_t more;
} kinds[] = {{"dead_letters", dead_letters, UINT64_MAX},
             {"keys", keys, CLEAN_BATCH},
             {"events", events, CLEAN_BATCH},
             {"partitions", partitions, 1},
             {"left_states", left_states, SETTLE_BATCH},
             {"states", states, CLEAN_BATCH}};

static void tell(const struct tidy *t, const char *kind, const struct err *e) {
  bool no_rights = strcmp(e->sqlstate, "42501") == 0;

  log_line(t->quiet && no_rights ? LOG_DEBUG : LOG_WARN, "cleaning_failed", "datasource=%s kind=%s code=%s reason=%s",
           t->datasource, kind, err_name(e), log_quoted(e->mem, e->log_detail ? e->log_detail : e->message));
}

bool tidy_run(struct conn *c, void *mem, const struct tidy *t, bool *more, struct err *e) {
  *more = false;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    struct wait w = {.deadline_ms = clock_ms() + KIND_MS, .caller_fd = -1};
    uint64_t n = 0;
    bool fresh;

    err_init(e, mem);
    if (!conn_open(c, &w, &fresh, e)) return false;
    if (!kinds[i].run(c, mem, t, &w, &n, e)) tell(t, kinds[i].name, e);
    else if (n >= kinds[i].more) *more = true;
  }
  return true;
}
