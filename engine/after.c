/* sync: true: an after-hook that is tried once before the answer is sent. Its item is in the outbox, and leased by this
 * worker: when the worker dies here, the runners have it as soon as the lease ends. */
#include "engine/engine_inside.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/log.h"
#include "engine/append.h"
#include "engine/outbox.h"
#include "jobs/delivery.h"

#include <string.h>

/* To write down what came of it, beyond the deadline of the request if need be. */
enum { MARK_MS = 2000 };
/* [[id, hook, payload], ...], the payload as a string. */
enum { ITEM_DEPTH = 2 };

static const struct hook *find_hook(const struct command_set *set, const char *name) {
  for (size_t i = 0; i < set->nuses; i++)
    for (size_t h = 0; h < set->uses[i].command->nafter_hooks; h++)
      if (strcmp(set->uses[i].command->after_hooks[h].name, name) == 0) return &set->uses[i].command->after_hooks[h];
  return NULL;
}

static struct delivery *prepare(struct run *r, const struct json *items) {
  struct delivery *out = arena_array(r->mem, struct delivery, items->len + 1);

  for (size_t i = 0; i < items->len; i++) {
    const struct json *v = items->items[i].items;
    struct queue_item item = {
        .id = v[0].text, .owner = r->set->outbox_owner, .hook = v[1].text, .payload = v[2].text, .mutation = r->mutation};
    delivery_prepare(r->mem, &item, find_hook(r->set, item.hook), &out[i]);
  }
  return out;
}

static void tell(const struct run *r, const struct delivery *d, const struct queue_mark *mark) {
  if (mark->end == QUEUE_DONE) return;
  log_line(LOG_WARN, "hook_failed", "id=%s hook=%s item=%s status=%d reason=%s", r->call->request_id, d->item.hook,
           d->item.id, mark->status, log_quoted(r->mem, mark->answer));
}

/* Not within the deadline of the request: what was delivered had better not be delivered again. */
static bool write_down(struct run *r, size_t datasource, struct queue_mark *marks, size_t n) {
  struct queue_round round = {.marks = marks, .nmarks = n};
  struct wait w = {.deadline_ms = clock_ms() + MARK_MS, .caller_fd = -1};
  struct err e;
  bool fresh;

  err_init(&e, r->mem);
  return conn_open(r->engine->sources[datasource].conn, &w, &fresh, &e) &&
         queue_run(r->engine->sources[datasource].conn, r->mem, &round, &w, &e);
}

static void try_now(struct run *r, size_t datasource, const struct json *items) {
  struct delivery *deliveries = prepare(r, items);
  struct http_exchange *exchanges = arena_array(r->mem, struct http_exchange, items->len);
  struct queue_mark *marks = arena_array(r->mem, struct queue_mark, items->len);
  struct wait w = r->wait;

  w.caller_fd = -1;                     /* a caller that has gone changes nothing */
  if (!w.beat_in_flight) w.beat = NULL; /* of the lease the commit has told; elsewhere (struct frame) it has not yet */

  for (size_t i = 0; i < items->len; i++) exchanges[i] = deliveries[i].exchange;
  http_run(engine_http(r->engine), r->mem, exchanges, items->len, &w);
  for (size_t i = 0; i < items->len; i++) {
    deliveries[i].exchange = exchanges[i];
    marks[i] = delivery_judge(r->mem, &deliveries[i]);
    if (marks[i].end != QUEUE_DONE) r->report->after_pending = true;
    tell(r, &deliveries[i], &marks[i]);
    if (r->engine->counters) delivery_count(r->engine->counters, &marks[i]);
  }
  FAULT("after-sync");
  (void)write_down(r, datasource, marks, items->len); /* if not: the lease ends, and the runners take over */
}

void outbox_deliver(struct run *r, size_t datasource, const struct step_result *written) {
  const struct json *items;
  struct err e;

  r->engine->wake = true;
  if (!r->set->outbox_owner) return;
  err_init(&e, r->mem);
  if (!written->text || !json_read(r->mem, written->text, written->len, ITEM_DEPTH, &items, &e)) {
    r->report->after_pending = true; /* an earlier try has written them, which we have not heard of */
    return;
  }
  if (items->len < r->set->outbox_sync) r->report->after_pending = true; /* behind another of its key */
  if (items->len) try_now(r, datasource, items);
}

static bool has_hooks(const struct run *r, size_t entry) {
  for (size_t i = 0; i < r->set->nuses; i++)
    if (r->set->uses[i].entry == entry && !r->set->uses[i].nested && r->set->uses[i].command->nafter_hooks) return true;
  return false;
}

/* Once more on a new connection, when the first one was lost without having done anything; or, with a key, perhaps not:
 * its row is there only once. */
static bool write_items(struct run *r, size_t datasource, size_t entry, struct flight *f) {
  struct compiler k = transaction_compiler(r);
  size_t items;
  struct plan plan;

  for (bool again = false;; again = true) {
    err_init(r->e, r->mem);
    if (!frame_aim(r, datasource) || !transaction_begin(r, datasource, ISOLATION_DEFAULT, &plan) ||
        !source_ready(r->engine, datasource, &r->wait, r->e))
      return false;
    frame_open(r, datasource, &plan);
    outbox_compile(&k, r->set, entry, entry + 1, &plan);
    append_compile(&k, r->set, entry, entry + 1, &plan);
    items = r->set->outbox_step;
    if (items != SIZE_MAX || r->set->events_step != SIZE_MAX) keyed_keep(r, &plan);
    frame_close(r, datasource, entry, entry + 1, &plan);
    if (flight_run(r->engine->sources[datasource].conn, r->mem, &plan, &r->wait, f, r->e)) return true;
    if (items != SIZE_MAX) f->results[items] = (struct step_result){0}; /* not what was rolled back */
    if (frame_judge(r, f) != NEXT_OTHER) return false;
    if (keyed_was_kept(r, datasource, f)) return true;
    if (again || !f->was_lost || (f->state != TXN_ROLLED_BACK && !r->kept)) return false;
  }
}

bool outbox_write(struct run *r, size_t entry) {
  const struct command *c = r->set->entries[entry].command;
  struct flight f;
  const char *why;

  if (r->call->dry_run || (!r->call->frame && !has_hooks(r, entry) && !append_is_needed(r->set, entry))) return true;
  if (write_items(r, c->datasource, entry, &f)) {
    r->engine->appended |= r->set->events_step != SIZE_MAX;
    if (r->set->outbox_step != SIZE_MAX) outbox_deliver(r, c->datasource, &f.results[r->set->outbox_step]);
    return true;
  }
  if (r->call->frame) return false; /* it is run again */
  why = r->e->log_detail ? r->e->log_detail : r->e->message;
  err_set(r->e, COMMIT_UNKNOWN,
          "\"%s\" has run, but its events, or what its after-hooks are to be told, could not be stored.", c->name);
  r->e->log_detail = why;
  return false;
}
