/* A courier's loop: a round trip to each datasource that has something to tell or may have something to do, then a wait for
 * answers, a waker, or the time. */
#include "jobs/courier.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/str.h"
#include "db/catalog.h"
#include "jobs/backlog.h"
#include "jobs/delivery.h"
#include "jobs/tidy.h"
#include "manifest/config.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
  VERSION_WANTED = 4, /* of schema writ: outbox and states are there */
  CONNECT_MS = 2000,  /* one datasource that does not answer must not let the leases of another end */
  ROUND_MS = 5000,
  PAUSE_MIN_MS = 250, /* before a datasource that failed is tried again; doubles */
  PAUSE_MAX_MS = 15000,
  TIDY_MS = 10000, /* between looks at the whole of an outbox */
  AGAIN_MS = 100,  /* the same, when there was more to clean away than one look may */
  LEASE_PARTS = 3, /* a lease is renewed when a third of it is over */
};

/* One item that is claimed. Its memory is its own: it stays for as long as the service takes. */
struct parcel {
  struct delivery delivery;
  struct queue_mark mark;
  bool ended;
};

struct source {
  const struct datasource *datasource;
  struct conn *conn;
  bool checked; /* of the right version, since it was connected */
  int version;
  bool more;                /* the last round brought as much as it could: there may be more */
  struct queue_want *wants; /* of the hooks of this datasource */
  size_t nwants;
  struct parcel **parcels;
  size_t nparcels;
  int64_t next_ms, renew_ms, tidy_ms; /* clock_ms: a round, of all leases, a look */
  int64_t pause_ms;                   /* after a failure; 0: none */
  struct queue_state state;
  struct backlog backlog;
  const char **told; /* hooks that the manifest does not have, and that were told of */
  size_t ntold;
};

struct courier {
  const struct config *config;
  const struct manifest *manifest;
  struct counters_page *page;
  struct counters *own;
  struct http_client *http;
  struct source *sources; /* config->ndatasources */
  bool stopping;
  unsigned turn; /* which hook is first */
};

/* ---- what there is ---- */

static const struct hook *find_hook(const struct courier *c, const char *name) {
  for (size_t i = 0; i < c->manifest->ncommands; i++)
    for (size_t h = 0; h < c->manifest->commands[i]->nafter_hooks; h++)
      if (strcmp(c->manifest->commands[i]->after_hooks[h].name, name) == 0) return &c->manifest->commands[i]->after_hooks[h];
  return NULL;
}

static void collect_hooks(struct courier *c, struct source *s, size_t index) {
  for (size_t i = 0; i < c->manifest->ncommands; i++) {
    const struct command *command = c->manifest->commands[i];

    for (size_t h = 0; command->datasource == index && h < command->nafter_hooks; h++) {
      arena_grow(c, s->wants, s->nwants);
      s->wants[s->nwants++] = (struct queue_want){command->after_hooks[h].name, command->after_hooks[h].skip_dead, 0};
    }
  }
}

struct courier *courier_new(const void *mem, const struct config *config, const struct manifest *manifest,
                            struct counters_page *page, struct counters *own) {
  struct courier *c = arena_new(mem, struct courier);

  *c = (struct courier){.config = config, .manifest = manifest, .page = page, .own = own, .http = http_client_new(c)};
  c->sources = arena_array(c, struct source, config->ndatasources);
  for (size_t i = 0; i < config->ndatasources; i++) {
    const struct datasource *d = &config->datasources[i];
    struct conn_options options = {
        .name = d->name, .conninfo = d->conninfo, .prepared = d->prepared, .statement_timeout_ms = ROUND_MS};

    c->sources[i].datasource = d;
    c->sources[i].conn = conn_new(c, &options, own);
    collect_hooks(c, &c->sources[i], i);
  }
  return c;
}

/* ---- a round ---- */

static bool is_idle(const struct source *s) { return !s->nwants && !s->nparcels; }

/* No hook takes more than half of the places: one whose service is slow must not keep those of others waiting. */
static unsigned set_wants(struct courier *c, struct source *s) {
  unsigned most = (unsigned)c->config->runner_deliveries, each = s->nwants > 1 ? (most + 1) / 2 : most;
  unsigned left = s->nparcels < most ? most - (unsigned)s->nparcels : 0;

  for (size_t i = 0; i < s->nwants; i++) {
    unsigned busy = 0;
    for (size_t p = 0; p < s->nparcels; p++) busy += strcmp(s->parcels[p]->delivery.item.hook, s->wants[i].hook) == 0;
    s->wants[i].n = c->stopping || busy >= each ? 0 : each - busy;
  }
  return c->stopping ? 0 : left;
}

/* The list of hooks begins elsewhere each time: all get their turn. */
static void rotate(struct source *s) {
  struct queue_want first;

  if (s->nwants < 2) return;
  first = s->wants[0];
  memmove(s->wants, s->wants + 1, (s->nwants - 1) * sizeof first);
  s->wants[s->nwants - 1] = first;
}

static struct queue_mark *collect_marks(struct source *s, void *mem, bool renew, size_t *n) {
  struct queue_mark *marks = arena_array(mem, struct queue_mark, s->nparcels + 1);

  *n = 0;
  for (size_t i = 0; i < s->nparcels; i++) {
    const struct parcel *p = s->parcels[i];
    if (p->ended) marks[(*n)++] = p->mark;
    else if (renew)
      marks[(*n)++] = (struct queue_mark){.id = p->delivery.item.id, .owner = p->delivery.item.owner, .end = QUEUE_RENEW};
  }
  return marks;
}

static void begin(struct courier *c, struct source *s, const struct queue_item *item) {
  struct parcel *p = arena_new(c, struct parcel);
  struct queue_item own = {.id = arena_strdup(p, item->id),
                           .owner = arena_strdup(p, item->owner),
                           .hook = arena_strdup(p, item->hook),
                           .payload = arena_strdup(p, item->payload),
                           .mutation = arena_strdup(p, item->mutation),
                           .attempts = item->attempts};

  delivery_prepare(p, &own, find_hook(c, item->hook), &p->delivery);
  arena_grow(c, s->parcels, s->nparcels);
  s->parcels[s->nparcels++] = p;
  http_begin(c->http, p, &p->delivery.exchange);
}

static struct parcel *parcel_of(const struct source *s, const struct queue_mark *m) {
  for (size_t i = 0; i < s->nparcels; i++)
    if (strcmp(s->parcels[i]->delivery.item.id, m->id) == 0 && strcmp(s->parcels[i]->delivery.item.owner, m->owner) == 0)
      return s->parcels[i];
  return NULL;
}

/* Somebody else has it now, or has had it: what we know of it counts no more. */
static void tell_lost(struct courier *c, const struct source *s, const struct parcel *p) {
  log_line(LOG_WARN, "lease_lost", "datasource=%s hook=%s item=%s delivered=%d", s->datasource->name, p->delivery.item.hook,
           p->delivery.item.id, p->ended && p->mark.end == QUEUE_DONE);
  if (c->own) c->own->lost_leases++;
}

static void drop(struct courier *c, struct source *s, struct parcel *p) {
  size_t i = 0;

  while (s->parcels[i] != p) i++;
  s->parcels[i] = s->parcels[--s->nparcels];
  http_give_up(c->http, &p->delivery.exchange);
  talloc_free(p);
}

static void finish_marks(struct courier *c, struct source *s, const struct queue_mark *marks, size_t n) {
  for (size_t i = 0; i < n; i++) {
    struct parcel *p = parcel_of(s, &marks[i]);

    if (!p) continue;
    if (marks[i].lost) tell_lost(c, s, p);
    if (marks[i].lost || marks[i].end != QUEUE_RENEW) drop(c, s, p);
  }
}

static bool check_version(struct source *s, const struct wait *w, struct err *e) {
  if (s->checked) return true;
  if (!catalog_version(s->conn, &s->version, w, e)) return false;
  if (s->version < VERSION_WANTED)
    return err_set(e, DATABASE_UNAVAILABLE, "schema writ is missing or old: run `writ install`");
  s->checked = true;
  return true;
}

/* What was set aside for good in a manifest of before may let pass now. */
static bool open_source(struct source *s, void *mem, struct err *e) {
  struct wait connect = {.deadline_ms = clock_ms() + CONNECT_MS, .caller_fd = -1};
  struct wait w = {.deadline_ms = clock_ms() + ROUND_MS, .caller_fd = -1};
  bool fresh, first = !s->checked;

  if (!conn_open(s->conn, &connect, &fresh, e) || !check_version(s, &w, e)) return false;
  return !first || queue_pass(s->conn, mem, s->wants, s->nwants, &w, e);
}

static bool run_round(struct courier *c, struct source *s, void *mem, struct err *e) {
  int64_t now = clock_ms();
  bool renew = s->nparcels && now >= s->renew_ms;
  struct queue_round round = {
      .wants = s->wants, .nwants = s->nwants, .most = set_wants(c, s), .lease_ms = c->config->runner_lease_ms};
  struct wait w = {.deadline_ms = now + ROUND_MS, .caller_fd = -1};
  bool ok;

  round.marks = collect_marks(s, mem, renew, &round.nmarks);
  if (!open_source(s, mem, e)) return false;
  ok = queue_run(s->conn, mem, &round, &w, e);
  if (!ok) return false;
  FAULT("after-claim");
  finish_marks(c, s, round.marks, round.nmarks);
  if (renew || !s->nparcels) s->renew_ms = now + c->config->runner_lease_ms / LEASE_PARTS;
  for (size_t i = 0; i < round.nitems; i++) begin(c, s, &round.items[i]);
  s->more = round.looked_at > 0;
  rotate(s);
  return true;
}

/* Class 22: the database cannot take what services have answered, one in another encoding say. Their answers are for
 * people; that they have answered must be written down. */
static void forget_answers(struct source *s, const struct err *e) {
  for (size_t i = 0; str_starts(e->sqlstate, "22") && i < s->nparcels; i++) s->parcels[i]->mark.answer = NULL;
}

static void source_failed(struct source *s, const struct err *e) {
  forget_answers(s, e);
  s->pause_ms = s->pause_ms ? s->pause_ms * 2 : PAUSE_MIN_MS;
  if (s->pause_ms > PAUSE_MAX_MS) s->pause_ms = PAUSE_MAX_MS;
  s->next_ms = clock_ms() + s->pause_ms / 2 + random() % (s->pause_ms / 2 + 1);
  s->checked = false;
  /* Without hooks it may have no rights on the outbox, and need none. */
  log_line(s->nwants ? LOG_WARN : LOG_DEBUG, "outbox_failed", "datasource=%s code=%s message=%s detail=%s",
           s->datasource->name, err_name(e), log_quoted(e->mem, e->message), log_quoted(e->mem, e->log_detail));
}

/* ---- a look at the whole ---- */

static bool was_told(struct courier *c, struct source *s, const char *hook) {
  for (size_t i = 0; i < s->ntold; i++)
    if (strcmp(s->told[i], hook) == 0) return true;
  arena_grow(c, s->told, s->ntold);
  s->told[s->ntold++] = arena_strdup(c, hook);
  return false;
}

/* Items wait for a hook that the manifest does not have (any more): they stay, and somebody should know. */
static void tell_strangers(struct courier *c, struct source *s) {
  for (size_t i = 0; i < s->state.nhooks; i++) {
    const char *hook = s->state.hooks[i];
    size_t w = 0;

    while (w < s->nwants && strcmp(s->wants[w].hook, hook) != 0) w++;
    if (w < s->nwants || was_told(c, s, hook)) continue;
    log_line(LOG_WARN, "hook_unknown",
             "datasource=%s hook=%s reason=\"items wait for a hook that the manifest does not have\"", s->datasource->name,
             hook);
  }
}

/* Every courier of this writd tells the same. */
static void show_state(const struct courier *c) {
  uint64_t waiting = 0, dead = 0, oldest = 0;
  struct backlog mutations = {0};

  for (size_t i = 0; i < c->config->ndatasources; i++) {
    const struct queue_state *state = &c->sources[i].state;
    const struct backlog *b = &c->sources[i].backlog;

    mutations.waiting += b->waiting;
    mutations.dead += b->dead;
    if (b->oldest_ms > mutations.oldest_ms) mutations.oldest_ms = b->oldest_ms;
    waiting += state->waiting;
    dead += state->dead;
    if (state->oldest_ms > oldest) oldest = state->oldest_ms;
  }
  if (!c->page) return;
  c->page->outbox_waiting = waiting;
  c->page->outbox_dead = dead;
  c->page->outbox_oldest_ms = oldest;
  c->page->mutations_waiting = mutations.waiting;
  c->page->mutations_dead = mutations.dead;
  c->page->mutations_oldest_ms = mutations.oldest_ms;
}

static struct tidy tidy_of(const struct courier *c, const struct source *s) {
  return (struct tidy){.config = c->config,
                       .datasource = s->datasource->name,
                       .rules = c->manifest->state.text,
                       .version = s->version,
                       .quiet = !s->nwants,
                       .own = c->own};
}

static bool look(struct courier *c, struct source *s, void *mem, struct err *e) {
  struct wait w = {.deadline_ms = clock_ms() + ROUND_MS, .caller_fd = -1};

  if (!open_source(s, mem, e) || !queue_look(s->conn, mem, &s->state, &w, e) ||
      !backlog_look(s->conn, mem, &s->backlog, &w, e))
    return false;
  tell_strangers(c, s);
  s->state.hooks = NULL; /* of mem */
  s->state.nhooks = 0;
  show_state(c);
  return true;
}

static bool tidy(struct courier *c, struct source *s, void *mem, struct err *e) {
  bool more;
  struct tidy t;

  if (!look(c, s, mem, e)) return false;
  t = tidy_of(c, s);
  if (!tidy_run(s->conn, mem, &t, &more, e)) return false;
  if (more) s->tidy_ms = clock_ms() + AGAIN_MS;
  conn_tidy(s->conn, 0);
  return true;
}

/* ---- the loop ---- */

static void tell_failure(const struct parcel *p) {
  const struct delivery *d = &p->delivery;
  char *what = arena_printf(p, "hook=%s item=%s status=%d attempt=%d reason=%s", d->item.hook, d->item.id, p->mark.status,
                            d->item.attempts + 1, log_quoted(p, p->mark.answer));

  if (p->mark.end == QUEUE_DEAD) log_line(LOG_WARN, "hook_dead", "%s", what);
  else log_line(LOG_WARN, "hook_failed", "%s", what);
}

static void judge(struct courier *c, struct source *s, struct parcel *p) {
  if (p->ended || p->delivery.exchange.end == HTTP_UNDER_WAY) return;
  p->ended = true;
  p->mark = delivery_judge(p, &p->delivery);
  s->next_ms = s->pause_ms ? s->next_ms : 0;
  if (c->own) delivery_count(c->own, &p->mark);
  if (p->mark.end != QUEUE_DONE) tell_failure(p);
  else
    log_line(LOG_DEBUG, "hook_delivered", "hook=%s item=%s status=%d us=%lld", p->delivery.item.hook, p->delivery.item.id,
             p->mark.status, (long long)p->delivery.exchange.took_us);
}

static void serve(struct courier *c, struct source *s) {
  int64_t now = clock_ms();
  void *mem = arena_request(c);
  struct err e;
  bool ok = true;

  err_init(&e, mem);
  if (s->nparcels && now >= s->renew_ms && !s->pause_ms) s->next_ms = 0;
  if (now >= s->next_ms && !(c->stopping && !s->nparcels)) {
    s->next_ms = now + c->config->runner_poll_ms / 2 + random() % (c->config->runner_poll_ms / 2 + 1);
    ok = is_idle(s) || run_round(c, s, mem, &e);
    if (ok) s->pause_ms = 0;
    if (ok && s->more) s->next_ms = 0;
  }
  if (ok && !c->stopping && !s->pause_ms && now >= s->tidy_ms) {
    s->tidy_ms = now + TIDY_MS;
    ok = tidy(c, s, mem, &e);
  }
  if (!ok) source_failed(s, &e);
  talloc_free(mem);
}

static bool can_read(int fd) {
  struct pollfd p = {.fd = fd, .events = POLLIN};
  return fd >= 0 && poll(&p, 1, 0) > 0;
}

/* Told that there is work: how often does not matter. */
static void take_wakes(struct courier *c, int wake_fd) {
  char byte;
  bool woken = false;

  while (wake_fd >= 0 && recv(wake_fd, &byte, 1, MSG_DONTWAIT) >= 0) woken = true;
  for (size_t i = 0; woken && i < c->config->ndatasources; i++)
    if (!c->sources[i].pause_ms) c->sources[i].next_ms = 0;
}

/* Milliseconds until something is due without an answer. */
static int time_left(const struct courier *c) {
  int64_t due = INT64_MAX, left;

  for (size_t i = 0; i < c->config->ndatasources; i++) {
    const struct source *s = &c->sources[i];
    if (s->next_ms < due) due = s->next_ms;
    if (s->nparcels && s->renew_ms < due && !s->pause_ms) due = s->renew_ms;
    if (s->tidy_ms < due && !s->pause_ms) due = s->tidy_ms;
  }
  left = due - clock_ms();
  return left < 0 ? 0 : left > TIDY_MS ? TIDY_MS : (int)left;
}

static void work(struct courier *c, int wake_fd, int stop_fd, int timeout_ms) {
  int fds[] = {stop_fd, wake_fd};

  http_wait(c->http, fds, wake_fd >= 0 ? 2 : 1, timeout_ms);
  take_wakes(c, wake_fd);
  for (size_t i = 0; i < c->config->ndatasources; i++)
    for (size_t p = 0; p < c->sources[i].nparcels; p++) judge(c, &c->sources[i], c->sources[i].parcels[p]);
}

static size_t under_way(const struct courier *c) {
  size_t n = 0;

  for (size_t i = 0; i < c->config->ndatasources; i++) n += c->sources[i].nparcels;
  return n;
}

/* Another runner may have them at once. */
static void give_back(struct courier *c, struct source *s) {
  void *mem = arena_request(c);
  struct queue_round round = {.marks = arena_array(mem, struct queue_mark, s->nparcels + 1)};
  struct wait w = {.deadline_ms = clock_ms() + CONNECT_MS, .caller_fd = -1};
  struct err e;
  bool fresh;

  err_init(&e, mem);
  for (size_t i = 0; i < s->nparcels; i++) {
    const struct parcel *p = s->parcels[i];
    round.marks[round.nmarks++] =
        p->ended ? p->mark
                 : (struct queue_mark){.id = p->delivery.item.id, .owner = p->delivery.item.owner, .end = QUEUE_RELEASE};
  }
  if (round.nmarks && (!conn_open(s->conn, &w, &fresh, &e) || !queue_run(s->conn, mem, &round, &w, &e)))
    source_failed(s, &e);
  while (s->nparcels) drop(c, s, s->parcels[0]);
  talloc_free(mem);
}

/* Half of the time there is before the supervisor loses patience: what is delivered had better be written down. */
static void finish(struct courier *c) {
  int64_t end_ms = clock_ms() + c->config->drain_ms / 2;

  c->stopping = true;
  while (under_way(c) && clock_ms() < end_ms) {
    int64_t left = end_ms - clock_ms();
    int none = -1;

    for (size_t i = 0; i < c->config->ndatasources; i++) serve(c, &c->sources[i]);
    http_wait(c->http, &none, 0, left < 100 ? (int)left : 100);
    for (size_t i = 0; i < c->config->ndatasources; i++)
      for (size_t p = 0; p < c->sources[i].nparcels; p++) judge(c, &c->sources[i], c->sources[i].parcels[p]);
  }
  for (size_t i = 0; i < c->config->ndatasources; i++) give_back(c, &c->sources[i]);
}

void courier_run(struct courier *c, int wake_fd, int stop_fd) {
  while (!can_read(stop_fd)) {
    for (size_t i = 0; i < c->config->ndatasources; i++) serve(c, &c->sources[i]);
    work(c, wake_fd, stop_fd, time_left(c));
  }
  finish(c);
}
