/* Small transactions beside the request's own: a look at what is stored, a wait for a lock. Under read committed,
 * so that each statement sees what was committed until then. */
#include "engine/engine_inside.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/fault.h"
#include "engine/crowd.h"

#include <string.h>

const char aside_timeout_sql[] = "select pg_catalog.set_config('lock_timeout', $1, true)";

const char *aside_timeout(struct run *r, int64_t ms) {
  int64_t left = r->wait.deadline_ms - clock_ms();

  if (ms > left) ms = left;
  return arena_printf(r->mem, "%lld", (long long)(ms > 1 ? ms : 1)); /* 0 would be: for ever */
}

/* What only looks is rolled back: then a lost connection leaves no question open. */
static bool run_once(struct run *r, size_t datasource, struct step *steps, size_t n, bool writes, struct flight *f) {
  int64_t started_us;
  struct plan plan;
  bool ok;

  *f = (struct flight){.failed_step = n};
  err_init(r->e, r->mem);
  if (!transaction_begin(r, datasource, ISOLATION_READ_COMMITTED, &plan)) return false;
  if (!source_ready(r->engine, datasource, &r->wait, r->e)) return false;
  plan.dry_run = !writes;
  plan.durable = writes;
  plan.steps = steps;
  plan.n = n;
  started_us = clock_us();
  ok = flight_run(r->engine->sources[datasource].conn, r->mem, &plan, &r->wait, f, r->e);
  r->report->postgres_us += clock_us() - started_us;
  r->report->flights++;
  return ok;
}

/* The session may have lost what was prepared in it (26000, 42P05), as in transaction.c. */
static bool is_stale(const struct err *e) { return strcmp(e->sqlstate, "26000") == 0 || strcmp(e->sqlstate, "42P05") == 0; }

bool aside_run(struct run *r, size_t datasource, struct step *steps, size_t n, bool writes, struct flight *f) {
  return run_once(r, datasource, steps, n, writes, f) || (is_stale(r->e) && run_once(r, datasource, steps, n, writes, f));
}

/* ---- who may wait ---- */

static bool is_inside(const struct counters *own) { return own->pool == COUNTERS_INSIDE; }

/* Nobody waits for a runner of mutations: all of them may wait. */
static unsigned places(const struct engine *engine) {
  const struct config *c = engine->config;
  int pool = is_inside(engine->counters) ? c->inside_workers : c->workers;
  int most = c->waiting_workers ? c->waiting_workers : pool / 2;

  if (engine->counters->pool == COUNTERS_BACKGROUND) most = c->background_runners;
  return most > 1 ? (unsigned)most : 1;
}

/* On the inside what is waited for may be held by a handler that is about to call us: as with handlers, the last worker
 * that is free never waits. */
static bool take_place(struct engine *engine) {
  struct counters *own = engine->counters;

  if (is_inside(own) && !crowd_enter(engine->page, own, engine->config->inside_workers - 1)) return false;
  if (counters_wait_begin(engine->page, own, places(engine))) return true;
  if (is_inside(own)) crowd_leave(own);
  return false;
}

bool wait_begin(struct run *r) {
  if (!r->waits && r->engine->page && !take_place(r->engine)) return false;
  r->waits = true;
  FAULT("waiting");
  return true;
}

void wait_end(struct run *r) {
  struct counters *own = r->engine->counters;

  if (r->waits && r->engine->page) {
    counters_wait_end(own);
    if (is_inside(own)) crowd_leave(own);
  }
  r->waits = false;
}
