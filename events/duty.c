/* The loops around a sequencer and a projection: work while there is some, then wait for the bell. */
#include "events/duty.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/tell.h"
#include "db/catalog.h"
#include "events/log.h"
#include "events/projector.h"
#include "events/sequencer.h"
#include "manifest/config.h"
#include "manifest/manifest.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
  CONNECT_MS = 5000,
  ROUND_MS = 5000,      /* of the sequencer */
  PACE_MS = 20,         /* between rounds that had little to do: what comes meanwhile shares the next one's COMMIT */
  ROOM_AGAIN_MS = 2000, /* between tries to make partitions that failed, while there is room */
  PAUSE_MIN_MS = 250,   /* after a failure; doubles */
  PAUSE_MAX_MS = 15000,
  STAND_MAX_MS = 60000, /* the same for a projection that stands at an event */
};

bool duty_has_log(const struct manifest *m, size_t datasource) {
  for (size_t i = 0; i < m->ncommands; i++)
    if (m->commands[i]->nevents && m->commands[i]->datasource == datasource) return true;
  for (size_t i = 0; i < m->nprojections; i++)
    if (m->projections[i].datasource == datasource) return true;
  return false;
}

static size_t sequencers(const struct config *config, const struct manifest *m) {
  size_t n = 0;

  for (size_t i = 0; i < config->ndatasources; i++) n += duty_has_log(m, i);
  return n;
}

size_t duties(const struct config *config, const struct manifest *m) {
  return config->runners ? sequencers(config, m) + m->nprojections : 0;
}

/* ---- what both need ---- */

struct duty {
  const struct duty_start *start;
  const struct datasource *datasource;
  struct conn *conn;
  bool fresh;                /* the connection is a new one */
  int64_t pause_ms, room_ms; /* room_ms: clock_ms, no sooner are partitions to be made */
  void *mem;
};

static void begin(struct duty *d, void *mem, const struct duty_start *start, size_t datasource, int timeout_ms) {
  const struct datasource *source = &start->config->datasources[datasource];
  struct conn_options options = {.name = source->name,
                                 .conninfo = source->conninfo,
                                 .prepared = source->prepared,
                                 .statement_timeout_ms = timeout_ms,
                                 .lock_timeout_ms = ROUND_MS};

  *d = (struct duty){.start = start, .datasource = source, .mem = mem, .conn = conn_new(mem, &options, start->own)};
}

static bool open_duty(struct duty *d, struct err *e) {
  struct wait w = {.deadline_ms = clock_ms() + CONNECT_MS, .caller_fd = -1};
  int version;

  if (!conn_open(d->conn, &w, &d->fresh, e)) return false;
  if (!d->fresh) return true;
  if (!catalog_version(d->conn, &version, &w, e)) return false;
  if (version >= EVENTS_VERSION) return true;
  conn_close(d->conn); /* asked again, when it is opened again */
  return err_set(e, DATABASE_UNAVAILABLE, "schema writ is missing or old: run `writ install`");
}

static void sleep_ms(int64_t ms) {
  struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
  nanosleep(&t, NULL);
}

/* Half of a pause is chance: processes of several machines part. */
static void pause_after_failure(struct duty *d, int64_t most_ms) {
  d->pause_ms = d->pause_ms ? d->pause_ms * 2 : PAUSE_MIN_MS;
  if (d->pause_ms > most_ms) d->pause_ms = most_ms;
  sleep_ms(d->pause_ms / 2 + random() % (d->pause_ms / 2 + 1));
}

static const char *reason(const struct err *e) { return log_quoted(e->mem, e->log_detail ? e->log_detail : e->message); }

/* ---- the sequencer ---- */

static int64_t partition_size(const struct duty *d) {
  int size = d->start->config->event_partition;
  return size ? size : EVENTS_PARTITION;
}

/* Long ahead: what fails now is tried again before anybody needs it. */
static void keep_room(struct duty *d, struct sequencer *s, void *mem) {
  struct wait w = {.deadline_ms = clock_ms() + ROUND_MS, .caller_fd = -1};
  struct err e;

  if (sequencer_has_room(s, partition_size(d)) || clock_ms() < d->room_ms) return;
  err_init(&e, mem);
  if (sequencer_make_room(s, d->conn, mem, partition_size(d), &w, &e)) return;
  d->room_ms = clock_ms() + ROOM_AGAIN_MS;
  log_line(LOG_WARN, "sequencer_failed", "datasource=%s code=%s reason=%s", d->datasource->name, err_name(&e),
           log_quoted(mem, arena_printf(mem, "no partition could be made: %s", e.log_detail ? e.log_detail : e.message)));
}

/* Where there is no partition all the same (many machines at once, a log that was set back) it is made, and the round is run again. */
static bool run_round(struct duty *d, struct sequencer *s, void *mem, unsigned *n, uint64_t *oldest_ms, struct err *e) {
  struct wait w = {.deadline_ms = clock_ms() + 2 * ROUND_MS, .caller_fd = -1};

  keep_room(d, s, mem);
  if (sequencer_round(s, d->conn, mem, &w, n, oldest_ms, e)) return true;
  if (strcmp(e->sqlstate, "23514") != 0) return false;
  err_init(e, mem);
  return sequencer_make_room(s, d->conn, mem, partition_size(d), &w, e) &&
         sequencer_round(s, d->conn, mem, &w, n, oldest_ms, e);
}

static bool number_events(struct duty *d, struct sequencer *s, void *mem, unsigned *n, struct err *e) {
  struct counters *own = d->start->own;
  uint64_t oldest_ms;

  if (!open_duty(d, e)) return false;
  if (d->fresh) sequencer_forget(s);
  if (!run_round(d, s, mem, n, &oldest_ms, e)) return false;
  own->events += *n;
  own->events_waited_ms += oldest_ms * (*n > 0);
  own->event_rounds += *n > 0;
  if (*n) {
    bell_ring(&d->start->page->numbered);
    tell_streamer(d->start->tell_fd, NULL);
  }
  return true;
}

static void sequence(struct duty *d) __attribute__((noreturn));
static void sequence(struct duty *d) {
  struct bell *bell = &d->start->page->appended;
  struct sequencer s = {.mem = d->mem};

  for (;;) {
    void *mem = arena_request(d->mem);
    uint32_t heard = bell_heard(bell);
    unsigned n = 0;
    struct err e;
    bool ok;

    err_init(&e, mem);
    ok = number_events(d, &s, mem, &n, &e);
    if (!ok)
      log_line(LOG_WARN, "sequencer_failed", "datasource=%s code=%s reason=%s", d->datasource->name, err_name(&e),
               reason(&e));
    talloc_free(mem);
    if (!ok) pause_after_failure(d, PAUSE_MAX_MS);
    else if (!n) bell_wait(bell, heard, d->start->config->runner_poll_ms);
    else if (n < SEQUENCER_BATCH) sleep_ms(PACE_MS);
    if (ok) d->pause_ms = 0;
  }
}

_Static_assert((int)COUNTERS_PROJECTIONS >= (int)PROJECTIONS_MAX, "each projection has a place in the page");

/* ---- a projection ---- */

struct projector {
  struct duty duty;
  const struct projection *projection;
  struct projection_state *state; /* what /metrics shows */
  bool begun;                     /* it has a row, or had one */
  int batch;                      /* of the next round: halved down to the event at fault, doubled behind it */
};

static void show(struct projector *p, const struct projection_round *round) {
  p->state->position = (uint64_t)round->position;
  p->state->behind = round->last > round->position ? (uint64_t)(round->last - round->position) : 0;
}

/* A smaller batch comes nearer to the event at fault. At that it stands: those ahead of it are done, and others go on. */
static void failed(struct projector *p, void *mem, const struct projection_round *round, const struct err *why) {
  struct duty *d = &p->duty;
  struct wait w = {.deadline_ms = clock_ms() + ROUND_MS, .caller_fd = -1};
  int64_t position = 0;
  struct err e;

  if (round->at_fault && p->batch > 1) {
    p->batch /= 2;
    return;
  }
  err_init(&e, mem);
  if (round->at_fault) {
    p->state->failures++;
    p->state->stands = 1;
    if (!projection_stands(d->conn, mem, p->projection, why, &position, &w, &e)) position = 0; /* told in the log anyway */
  }
  if (err_is_own(why, PROJECTION_LOST)) p->state->stands = 1;
  log_line(LOG_WARN, "projection_failed", "projection=%s position=%lld code=%s sqlstate=%s reason=%s", p->projection->name,
           (long long)position, err_name(why), why->sqlstate[0] ? why->sqlstate : "-", reason(why));
  pause_after_failure(d, round->at_fault ? STAND_MAX_MS : PAUSE_MAX_MS);
}

static bool feed(struct projector *p, void *mem, struct projection_round *round, struct err *e) {
  struct wait w = {.deadline_ms = clock_ms() + PROJECTION_MS, .caller_fd = -1};

  *round = (struct projection_round){0};
  if (!open_duty(&p->duty, e) || (!p->begun && !projection_begin(p->duty.conn, mem, p->projection, &w, e))) return false;
  p->begun = true;
  return projection_round(p->duty.conn, mem, p->projection, p->batch, &w, round, e);
}

static void fed(struct projector *p, const struct projection_round *round) {
  show(p, round);
  if (round->n) p->duty.pause_ms = 0;
  if (!round->busy) p->state->stands = 0;
  p->state->events += round->n;
  if (p->batch < p->projection->batch) p->batch = p->batch * 2 < p->projection->batch ? p->batch * 2 : p->projection->batch;
}

static void project(struct projector *p) __attribute__((noreturn));
static void project(struct projector *p) {
  struct bell *bell = &p->duty.start->page->numbered;

  for (;;) {
    void *mem = arena_request(p->duty.mem);
    uint32_t heard = bell_heard(bell);
    struct projection_round round;
    struct err e;
    bool ok;

    err_init(&e, mem);
    ok = feed(p, mem, &round, &e);
    if (ok) fed(p, &round);
    else failed(p, mem, &round, &e);
    talloc_free(mem);
    if (ok && !round.n && (round.busy || round.position >= round.last))
      bell_wait(bell, heard, p->duty.start->config->runner_poll_ms);
  }
}

void duty_run(void *mem, const struct duty_start *start, size_t i) {
  size_t n = sequencers(start->config, start->manifest), datasource = 0;
  struct duty d;

  if (i >= n) {
    struct projector p = {.projection = &start->manifest->projections[i - n], .state = &start->page->projection[i - n]};
    p.batch = p.projection->batch;
    begin(&p.duty, mem, start, p.projection->datasource, PROJECTION_MS);
    project(&p);
  }
  for (;; datasource++)
    if (duty_has_log(start->manifest, datasource) && i-- == 0) break;
  begin(&d, mem, start, datasource, 2 * ROUND_MS);
  sequence(&d);
}
