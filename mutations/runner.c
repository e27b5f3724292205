/* The loop of a runner: a round trip that claims, then what was claimed, then a wait for a waker or the time. */
#include "mutations/runner.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/str.h"
#include "mutations/mutation_inside.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
  PAUSE_MIN_MS = 250, /* before a datasource that failed is tried again; doubles */
  PAUSE_MAX_MS = 15000,
  TIDY_MS = 10000,
  AGAIN_MS = 100, /* the same, when there was more to clean away than one look may */
  TELL_MS = 100,  /* ends wait for so long to be told of together, before the next mutation is begun */
};

/* What it knows of one datasource. */
struct place {
  int64_t next_ms, tidy_ms, pause_ms; /* clock_ms; pause_ms: after a failure, 0: none */
  int64_t told_ms;                    /* clock_ms: when ends were told last */
  void *mem;                          /* of ended: */
  const char **ended;                 /* since the last claim, which makes their states tell so */
  size_t nended;
};

struct runner {
  struct engine *engine;
  int wake_fd, stop_fd;
  struct place *places; /* config->ndatasources */
};

static bool can_read(int fd) {
  struct pollfd p = {.fd = fd, .events = POLLIN};
  return fd >= 0 && poll(&p, 1, 0) > 0;
}

static bool is_to_stop(void *data) { return can_read(((struct runner *)data)->stop_fd); }

/* ---- one mutation ---- */

static const char *const end_names[] = {[MUTATION_ENDED] = "ended",
                                        [MUTATION_PUT_OFF] = "put_off",
                                        [MUTATION_LOST] = "lost",
                                        [MUTATION_LEFT] = "left",
                                        [MUTATION_FORGOTTEN] = "forgotten"};

static void count(struct counters *c, enum mutation_end end, bool complete, const struct report *report) {
  if (!c) return;
  c->mutations_complete += complete;
  c->mutations_failed += end == MUTATION_ENDED && !complete;
  c->mutations_put_off += end == MUTATION_PUT_OFF;
  c->mutations_lost += end == MUTATION_LOST;
  c->postgres_us += (uint64_t)report->postgres_us;
  c->hook_us += (uint64_t)report->hook_us;
  c->handler_us += (uint64_t)report->handler_us;
}

static void tell(const struct mutation *m, enum mutation_end end, bool complete, const struct err *e, int64_t us) {
  log_line(LOG_INFO, "mutation", "id=%s mutation=%s command=%s end=%s code=%s attempt=%u total_ms=%lld.%03lld",
           m->request_id, m->id, m->command, complete ? "complete" : end_names[end], complete ? "-" : err_name(e),
           m->attempts + 1, (long long)(us / 1000), (long long)(us % 1000));
}

static void remember(struct place *p, const char *id) {
  if (!p->mem) p->mem = arena_request(NULL);
  arena_grow(p->mem, p->ended, p->nended);
  p->ended[p->nended++] = arena_strdup(p->mem, id);
}

static void forget(struct place *p) {
  talloc_free(p->mem);
  p->mem = NULL;
  p->ended = NULL;
  p->nended = 0;
}

static void run_one(struct runner *r, struct place *p, struct mutation *m) {
  void *mem = arena_request(r->engine);
  struct mutation_run how = {.stop = is_to_stop, .data = r, .answer = str_new(mem, 512)};
  struct report report;
  struct err e;
  int64_t begun_us = clock_us();
  enum mutation_end end;
  struct mutation_part *parts;
  size_t n;

  err_init(&e, mem);
  end = mutation_run(r->engine, mem, m, &how, &report, &e);
  count(r->engine->counters, end, how.complete, &report);
  tell(m, end, how.complete, &e, clock_us() - begun_us);
  remember(p, m->id);
  n = mutation_parts(mem, m, &parts);
  for (size_t i = 0; i < n; i++) remember(p, parts[i].id);
  talloc_free(mem);
  engine_wake(r->engine);
}

/* ---- a round ---- */

static void give_back(struct runner *r, void *mem, const struct mutation *list, size_t n) {
  struct err e;

  err_init(&e, mem);
  for (size_t i = 0; i < n; i++)
    if (!mutation_release(r->engine, mem, &list[i], 0, NULL, &e)) return; /* the leases end */
}

/* What waited beyond its lease behind others may be somebody else's by now; the rest is claimed anew. But not the first: a claim that took
 * longer than the lease would be made for ever. */
static bool is_ours(struct runner *r, void *mem, struct mutation *m, bool first) {
  int lease_ms = r->engine->config->background_lease_ms;
  struct err e;

  if (clock_ms() < m->leased_ms + lease_ms) return true;
  err_init(&e, mem);
  return first && mutation_renew(r->engine, mem, m, lease_ms, &e);
}

/* With a claim the ends of those before it are told. */
static bool claim_and_tell(struct runner *r, struct place *p, void *mem, struct mutation_claim *claim, struct err *e) {
  claim->settle = p->ended;
  claim->nsettle = p->nended;
  if (!mutation_claim(r->engine, mem, claim, e)) return false;
  for (size_t i = 0; i < claim->nsettle; i++) engine_tell(r->engine, claim->settle[i]);
  forget(p);
  p->told_ms = clock_ms();
  return true;
}

/* Those behind may take long. If it fails, a later claim tells. */
static void tell_late_ends(struct runner *r, struct place *p, void *mem, size_t datasource) {
  struct mutation_claim nothing = {.datasource = datasource, .most = 0};
  struct err ignored;

  if (!p->nended || clock_ms() < p->told_ms + TELL_MS) return;
  err_init(&ignored, mem);
  (void)claim_and_tell(r, p, mem, &nothing, &ignored);
  p->told_ms = clock_ms();
}

static void run_all(struct runner *r, struct place *p, void *mem, struct mutation_claim *claim) {
  for (size_t i = 0; i < claim->n; i++) {
    tell_late_ends(r, p, mem, claim->datasource);
    if (is_to_stop(r) || !is_ours(r, mem, &claim->list[i], i == 0)) {
      give_back(r, mem, claim->list + i, claim->n - i);
      return;
    }
    run_one(r, p, &claim->list[i]);
  }
}

static void failed(const struct runner *r, struct place *p, size_t datasource, const struct err *e) {
  p->pause_ms = p->pause_ms ? p->pause_ms * 2 : PAUSE_MIN_MS;
  if (p->pause_ms > PAUSE_MAX_MS) p->pause_ms = PAUSE_MAX_MS;
  p->next_ms = clock_ms() + p->pause_ms;
  log_line(LOG_WARN, "mutations_failed", "datasource=%s code=%s message=%s detail=%s pause_ms=%lld",
           r->engine->config->datasources[datasource].name, err_name(e), log_quoted(e->mem, e->message),
           log_quoted(e->mem, e->log_detail), (long long)p->pause_ms);
}

static bool serve(struct runner *r, size_t datasource, void *mem, struct err *e) {
  struct place *p = &r->places[datasource];
  const struct config *config = r->engine->config;
  struct mutation_claim claim = {.datasource = datasource, .most = (unsigned)config->background_claims};
  uint64_t gone = 0, away = 0;

  if (!claim_and_tell(r, p, mem, &claim, e)) return false;
  run_all(r, p, mem, &claim);
  p->next_ms = claim.n ? 0 : clock_ms() + config->background_poll_ms / 2 + random() % (config->background_poll_ms / 2 + 1);
  if (clock_ms() < p->tidy_ms) return true;
  p->tidy_ms = clock_ms() + TIDY_MS;
  if (!mutation_clean(r->engine, mem, datasource, &gone, e) || !mutation_clean_away(r->engine, mem, datasource, &away, e))
    return false;
  if (gone >= MUTATION_CLEAN_BATCH || away >= MUTATION_CLEAN_BATCH) p->tidy_ms = clock_ms() + AGAIN_MS;
  if (p->next_ms > p->tidy_ms) p->next_ms = p->tidy_ms;
  return true;
}

static void serve_due(struct runner *r) {
  for (size_t i = 0; i < r->engine->config->ndatasources; i++) {
    struct place *p = &r->places[i];
    struct err e;
    void *mem;

    if (clock_ms() < p->next_ms) continue;
    mem = arena_request(r->engine);
    err_init(&e, mem);
    if (serve(r, i, mem, &e)) p->pause_ms = 0;
    else failed(r, p, i, &e);
    talloc_free(mem);
  }
}

/* ---- the loop ---- */

static int time_left(const struct runner *r) {
  int64_t due = INT64_MAX, left;

  for (size_t i = 0; i < r->engine->config->ndatasources; i++)
    if (r->places[i].next_ms < due) due = r->places[i].next_ms;
  left = due - clock_ms();
  return left < 0 ? 0 : left > TIDY_MS ? TIDY_MS : (int)left;
}

static void rest(struct runner *r) {
  struct pollfd p[] = {{.fd = r->stop_fd, .events = POLLIN}, {.fd = r->wake_fd, .events = POLLIN}};
  bool woken = false;
  char byte;

  poll(p, r->wake_fd >= 0 ? 2 : 1, time_left(r));
  while (r->wake_fd >= 0 && recv(r->wake_fd, &byte, 1, MSG_DONTWAIT) >= 0) woken = true;
  for (size_t i = 0; woken && i < r->engine->config->ndatasources; i++)
    if (!r->places[i].pause_ms) r->places[i].next_ms = 0;
}

void mutation_runner(struct engine *engine, int wake_fd, int stop_fd) {
  struct runner r = {.engine = engine, .wake_fd = wake_fd, .stop_fd = stop_fd};

  r.places = arena_array(engine, struct place, engine->config->ndatasources);
  while (!can_read(stop_fd)) {
    serve_due(&r);
    engine_tidy(engine);
    rest(&r);
  }
  for (size_t i = 0; i < engine->config->ndatasources; i++) forget(&r.places[i]);
}
