/* Counters as text. Blocks are read while their workers write them: a sum may be a request old, each number is whole.
 */
#include "handlers/metrics.h"

#include "base/counters.h"
#include "base/str.h"
#include "manifest/manifest.h"

#include <stddef.h>

/* offset: of an uint64_t in struct counters. */
static uint64_t sum(const struct counters_page *page, size_t offset) {
  uint64_t total = 0;

  for (uint32_t i = 0; i < page->slots; i++) total += *(const uint64_t *)((const char *)&page->slot[i] + offset);
  return total;
}

static void head(struct str *s, const char *name, const char *type, const char *help) {
  str_printf(s, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* One line a row; rows of one name stand together, the first has the help. */
static const struct row {
  const char *name, *labels;
  size_t offset;
  const char *help;
} rows[] = {
#define AT(member) offsetof(struct counters, member)
    {"writ_requests_total", "{listener=\"border\"}", AT(requests_border), "Requests answered, by listener."},
    {"writ_requests_total", "{listener=\"inside\"}", AT(requests_inside), NULL},
    {"writ_answers_total", "{status=\"2xx\"}", AT(status[2]), "Answers, by hundreds of their status."},
    {"writ_answers_total", "{status=\"3xx\"}", AT(status[3]), NULL},
    {"writ_answers_total", "{status=\"4xx\"}", AT(status[4]), NULL},
    {"writ_answers_total", "{status=\"5xx\"}", AT(status[5]), NULL},
    {"writ_answers_undelivered_total", "", AT(undelivered),
     "Answers that the web server did not take; what they tell of was done."},
    {"writ_commits_total", "", AT(commits), "Transactions committed."},
    {"writ_rollbacks_total", "", AT(rollbacks), "Transactions rolled back, dry runs among them."},
    {"writ_retries_total", "", AT(retries), "Transactions run again: serialization failures, deadlocks, lost races."},
    {"writ_replays_total", "", AT(replays), "Answers to an Idempotency-Key that were given again."},
    {"writ_state_events_total", "", AT(state_events), "Events written to states of mutations."},
    {"writ_state_events_lost_total", "", AT(state_events_lost),
     "Events of states that came too fast, or could not be written."},
    {"writ_flights_total", "", AT(flights), "Network round trips that carried a transaction."},
    {"writ_cancels_total", "", AT(cancels), "Transactions cancelled: deadline passed or caller gone."},
    {"writ_unknown_outcomes_total", "", AT(unknown_outcomes), "Connections lost while committing."},
    {"writ_database_connects_total", "", AT(connects), "Connections opened to PostgreSQL."},
    {"writ_database_lost_connections_total", "", AT(lost_connections), "Connections to PostgreSQL that broke."},
    {"writ_hooks_total", "{outcome=\"passed\"}", AT(hooks_passed), "Before-hooks asked, by what came of it."},
    {"writ_hooks_total", "{outcome=\"refused\"}", AT(hooks_refused), NULL},
    {"writ_hooks_total", "{outcome=\"failed\"}", AT(hooks_failed), NULL},
    {"writ_handlers_total", "{outcome=\"done\"}", AT(handlers_done), "Handlers run, by what came of it."},
    {"writ_handlers_total", "{outcome=\"refused\"}", AT(handlers_refused), NULL},
    {"writ_handlers_total", "{outcome=\"failed\"}", AT(handlers_failed), NULL},
    {"writ_handlers_busy_total", "", AT(handlers_busy), "Handlers not run, as all places on the inside were taken."},
    {"writ_worker_starts_total", "{pool=\"border\"}", AT(starts[0]), "Workers started."},
    {"writ_worker_starts_total", "{pool=\"inside\"}", AT(starts[1]), NULL},
    {"writ_worker_starts_total", "{pool=\"runner\"}", AT(starts[2]), NULL},
    {"writ_worker_starts_total", "{pool=\"background\"}", AT(starts[3]), NULL},
    {"writ_worker_starts_total", "{pool=\"events\"}", AT(starts[4]), NULL},
    {"writ_worker_starts_total", "{pool=\"streamer\"}", AT(starts[5]), NULL},
    {"writ_worker_crashes_total", "{pool=\"border\"}", AT(crashes[0]), "Workers that ended in failure."},
    {"writ_worker_crashes_total", "{pool=\"inside\"}", AT(crashes[1]), NULL},
    {"writ_worker_crashes_total", "{pool=\"runner\"}", AT(crashes[2]), NULL},
    {"writ_worker_crashes_total", "{pool=\"background\"}", AT(crashes[3]), NULL},
    {"writ_worker_crashes_total", "{pool=\"events\"}", AT(crashes[4]), NULL},
    {"writ_worker_crashes_total", "{pool=\"streamer\"}", AT(crashes[5]), NULL},
    {"writ_events_total", "", AT(events), "Events that were given their positions in the log, by this writd."},
    {"writ_events_cleaned_total", "", AT(events_cleaned), "Old events deleted from the log."},
    {"writ_event_rounds_total", "", AT(event_rounds), "Rounds of the sequencer in which there were some."},
    {"writ_deliveries_total", "{end=\"done\"}", AT(deliveries), "After-hooks tried, by how it ended."},
    {"writ_deliveries_total", "{end=\"failed\"}", AT(delivery_failures), NULL},
    {"writ_dead_letters_total", "", AT(dead_letters), "After-hooks that failed for good."},
    {"writ_lost_leases_total", "", AT(lost_leases), "After-hooks that a runner had claimed and did not finish in time."},
    {"writ_streams_total", "", AT(streams), "Streams of events opened."},
    {"writ_stream_events_total", "", AT(stream_events), "Events sent on streams."},
    {"writ_streams_dropped_total", "", AT(streams_dropped), "Streams ended as their reader was too slow."},
    {"writ_streams_later_total", "", AT(streams_later), "Streams not opened: the client was told to come again."},
    {"writ_mutations_total", "{end=\"complete\"}", AT(mutations_complete),
     "Runs of mutations in the background, by what came of them."},
    {"writ_mutations_total", "{end=\"error\"}", AT(mutations_failed), NULL},
    {"writ_mutations_total", "{end=\"put_off\"}", AT(mutations_put_off), NULL},
    {"writ_mutations_total", "{end=\"lost\"}", AT(mutations_lost), NULL},
#undef AT
};

static void show_sums(struct str *s, const struct counters_page *page) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const struct row *r = &rows[i];

    if (r->help) head(s, r->name, "counter", r->help);
    str_printf(s, "%s%s %llu\n", r->name, r->labels, (unsigned long long)sum(page, r->offset));
  }
}

static void show_pools(struct str *s, const struct counters_page *page) {
  unsigned workers[COUNTERS_POOLS] = {0}, busy[COUNTERS_POOLS] = {0}, waiting[COUNTERS_POOLS] = {0};
  static const char *const names[COUNTERS_POOLS] = {"border", "inside", "runner", "background", "events", "streamer"};

  for (uint32_t i = 0; i < page->slots; i++) {
    const struct counters *c = &page->slot[i];
    if (!c->pid) continue;
    workers[c->pool]++;
    if (c->busy_since_ms) busy[c->pool]++;
    if (c->waiting) waiting[c->pool]++;
  }
  head(s, "writ_workers", "gauge", "Workers that are there.");
  for (int p = 0; p < COUNTERS_POOLS; p++) str_printf(s, "writ_workers{pool=\"%s\"} %u\n", names[p], workers[p]);
  head(s, "writ_workers_busy", "gauge", "Workers with a request in work; the one that answers this is among them.");
  for (int p = 0; p < 2; p++) str_printf(s, "writ_workers_busy{pool=\"%s\"} %u\n", names[p], busy[p]);
  head(s, "writ_workers_waiting", "gauge", "Workers that wait for another request: its mutex, or its Idempotency-Key.");
  for (int p = 0; p < 2; p++) str_printf(s, "writ_workers_waiting{pool=\"%s\"} %u\n", names[p], waiting[p]);
}

static void show_seconds(struct str *s, const char *name, uint64_t us) {
  str_printf(s, "%s %llu.%06llu\n", name, (unsigned long long)(us / 1000000), (unsigned long long)(us % 1000000));
}

/* Bounds as counters_bucket has them: 0.5 ms * 2^i. */
static void show_histogram(struct str *s, const struct counters_page *page) {
  uint64_t below = 0;

  head(s, "writ_request_duration_seconds", "histogram", "From the arrival of a request to its answer.");
  for (unsigned i = 0; i <= COUNTERS_BUCKETS; i++) {
    below += sum(page, offsetof(struct counters, request_bucket) + i * sizeof(uint64_t));
    if (i < COUNTERS_BUCKETS)
      str_printf(s, "writ_request_duration_seconds_bucket{le=\"%.4f\"} %llu\n", 0.0005 * (double)(1u << i),
                 (unsigned long long)below);
    else str_printf(s, "writ_request_duration_seconds_bucket{le=\"+Inf\"} %llu\n", (unsigned long long)below);
  }
  show_seconds(s, "writ_request_duration_seconds_sum", sum(page, offsetof(struct counters, request_us)));
  /* Not a counter of its own: a scrape between two counts must not contradict itself. */
  str_printf(s, "writ_request_duration_seconds_count %llu\n", (unsigned long long)below);
  head(s, "writ_database_seconds_total", "counter", "Time spent waiting for PostgreSQL.");
  show_seconds(s, "writ_database_seconds_total", sum(page, offsetof(struct counters, postgres_us)));
  head(s, "writ_hook_seconds_total", "counter", "Time spent waiting for before-hooks.");
  show_seconds(s, "writ_hook_seconds_total", sum(page, offsetof(struct counters, hook_us)));
  head(s, "writ_handler_seconds_total", "counter", "Time spent waiting for handlers.");
  show_seconds(s, "writ_handler_seconds_total", sum(page, offsetof(struct counters, handler_us)));
}

static void show_gauge(struct str *s, const char *name, uint64_t value, const char *help) {
  head(s, name, "gauge", help);
  str_printf(s, "%s %llu\n", name, (unsigned long long)value);
}

/* By name: those of the manifest that this worker has. */
static void show_projections(struct str *s, const struct counters_page *page, const struct manifest *m) {
  static const struct {
    const char *name, *type, *help;
  } heads[] = {{"writ_projection_position", "gauge", "The last event that a projection has seen."},
               {"writ_projection_behind", "gauge", "Positions of the log that are behind that."},
               {"writ_projection_events_total", "counter", "Events that it was fed with, by this writd."},
               {"writ_projection_failures_total", "counter", "Tries that failed at one event."},
               {"writ_projection_stands", "gauge", "1: it stands at an event that it fails with."}};

  for (size_t h = 0; m->nprojections && h < sizeof heads / sizeof *heads; h++) {
    head(s, heads[h].name, heads[h].type, heads[h].help);
    for (size_t i = 0; i < m->nprojections; i++) {
      const struct projection_state *p = &page->projection[i];
      const uint64_t values[] = {p->position, p->behind, p->events, p->failures, p->stands};

      str_printf(s, "%s{projection=\"%s\"} %llu\n", heads[h].name, m->projections[i].name, (unsigned long long)values[h]);
    }
  }
}

static void show_outbox(struct str *s, const struct counters_page *page) {
  show_gauge(s, "writ_outbox_waiting", page->outbox_waiting, "After-hooks to be delivered; 10000 of a datasource: or more.");
  show_gauge(s, "writ_outbox_dead", page->outbox_dead, "Dead letters; 10000 of a datasource is that or more.");
  head(s, "writ_outbox_oldest_seconds", "gauge", "Age of the oldest after-hook that is to be delivered.");
  show_seconds(s, "writ_outbox_oldest_seconds", page->outbox_oldest_ms * 1000);
}

static void show_backlog(struct str *s, const struct counters_page *page) {
  show_gauge(s, "writ_mutations_waiting", page->mutations_waiting,
             "Mutations in the background that are due and that no runner has claimed; 10000 of a datasource: or more.");
  show_gauge(s, "writ_mutations_dead", page->mutations_dead,
             "Those of them that are dead letters; 10000 of a datasource is that or more.");
  head(s, "writ_mutations_oldest_seconds", "gauge", "How long the first of those that wait has been due.");
  show_seconds(s, "writ_mutations_oldest_seconds", page->mutations_oldest_ms * 1000);
}

bool metrics_show(struct call *call, struct err *e) {
  const struct counters_page *page = call->site->counters;
  struct str *s = call->answer->body;

  (void)e;
  call->answer->content_type = "text/plain; version=0.0.4; charset=utf-8";
  if (!page) return true;
  show_sums(s, page);
  show_pools(s, page);
  show_outbox(s, page);
  show_backlog(s, page);
  show_gauge(s, "writ_streams_open", sum(page, offsetof(struct counters, streams_open)), "Streams of events that are open.");
  head(s, "writ_event_wait_seconds_total", "counter",
       "How long the oldest event of each round had waited for its position.");
  show_seconds(s, "writ_event_wait_seconds_total", sum(page, offsetof(struct counters, events_waited_ms)) * 1000);
  show_projections(s, page, engine_manifest(call->site->engine));
  show_histogram(s, page);
  head(s, "writ_reloads_total", "counter", "Reloads that took effect.");
  str_printf(s, "writ_reloads_total %llu\n", (unsigned long long)page->reloads);
  head(s, "writ_reload_failures_total", "counter", "Reloads refused for errors in the configuration or the manifest.");
  str_printf(s, "writ_reload_failures_total %llu\n", (unsigned long long)page->reload_failures);
  return true;
}
