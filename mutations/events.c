#include "mutations/events.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/json.h"
#include "base/json_schema.h"
#include "base/log.h"
#include "base/str.h"
#include "db/post.h"
#include "engine/engine_inside.h"
#include "mutations/state.h"

#include <string.h>

enum {
  QUEUE_MAX = 64,   /* events that wait here */
  POSTED_MAX = 8,   /* that wait for PostgreSQL */
  BURST = 200,      /* events that may come at once; */
  EACH_MS = 20,     /* beyond those one in so many ms */
  CONNECT_MS = 500, /* the one time that may hold up the mutation */
  NAME_BYTES = 63,
  PAYLOAD_DEPTH = 64,
};

/* A lock that is not free soon is not waited for: nobody has the state's row for long. */
static const char event_sql[] = "select pg_catalog.set_config('lock_timeout', '1000', true) || " STATE_PLANS ", "
                                "writ.state_event($1::uuid, $2::integer, $3::text, writ.state_payload($3, $4), $5::jsonb)";

struct event {
  void *mem; /* of its texts */
  size_t of; /* index into mutations */
  unsigned attempt;
  const char *name, *payload;
};

struct events {
  struct engine *engine;
  const char *const *mutations;
  size_t nmutations;
  size_t datasource;
  struct conn *conn; /* NULL: not needed yet */
  bool given_up;     /* no connection is to be had: nothing more is tried */
  bool finishing;    /* no longer slowed down */
  struct event queue[QUEUE_MAX];
  size_t n;
  size_t posted_of[POSTED_MAX]; /* whose they are, in their order */
  unsigned posted, lost;
  unsigned *dropped; /* by mutation */
  int64_t room_ms;   /* clock_ms: of the time before it BURST events may be made up for; grows by EACH_MS an event */
  struct conn_listener listener;
  const unsigned *attempt;
};

struct events *events_new(struct engine *engine, const void *mem, const char *const *mutations, size_t n,
                          size_t datasource) {
  struct events *q = arena_new(mem, struct events);

  q->engine = engine;
  q->mutations = mutations;
  q->nmutations = n;
  q->datasource = datasource;
  q->dropped = arena_array(q, unsigned, n);
  return q;
}

bool events_used(const struct events *q) { return q->conn && !q->given_up; }

bool events_room(const struct events *q, size_t n) { return q->n + n <= QUEUE_MAX; }

/* ---- to PostgreSQL ---- */

static void complain(const struct events *q, size_t of, const char *why) {
  log_line(LOG_WARN, "state", "mutation=%s reason=%s", q->mutations[of], log_quoted(q, why));
}

static void give_up(struct events *q, const char *why) {
  complain(q, q->posted ? q->posted_of[0] : q->n ? q->queue[0].of : 0, why);
  q->given_up = true;
  q->lost += (unsigned)q->n + q->posted;
  q->n = q->posted = 0;
}

static bool connect(struct events *q) {
  struct wait w = {.deadline_ms = clock_ms() + CONNECT_MS, .caller_fd = -1};
  struct err e;
  bool fresh;

  if (q->conn) return true;
  q->conn = engine_teller(q->engine, q->datasource);
  if (post_take(q->conn, q, NULL, NULL)) return true; /* open, and another mutation's events on their way still */
  err_init(&e, q);
  if (conn_open(q->conn, &w, &fresh, &e)) return true;
  give_up(q, e.log_detail ? e.log_detail : e.message);
  return false;
}

/* Answers that have come. Followers are told behind the commit. */
static void take(struct events *q) {
  unsigned refused = 0, left, taken;
  const char *why = NULL;

  if (!q->posted) return;
  left = post_take(q->conn, q, &refused, &why);
  taken = q->posted - left;
  for (unsigned i = 0; i < taken; i++)
    if (!i || q->posted_of[i] != q->posted_of[i - 1]) engine_tell(q->engine, q->mutations[q->posted_of[i]]);
  if (why) complain(q, q->posted_of[0], why);
  q->posted = left;
  memmove(q->posted_of, q->posted_of + taken, left * sizeof *q->posted_of);
  q->lost += refused;
}

static bool may_send(struct events *q) {
  int64_t now = clock_ms();

  if (q->finishing) return true;
  if (q->room_ms < now - (int64_t)BURST * EACH_MS) q->room_ms = now - (int64_t)BURST * EACH_MS;
  return q->room_ms < now;
}

static bool send_first(struct events *q) {
  struct event first = q->queue[0];
  const char *attempt = arena_printf(first.mem, "%u", first.attempt);
  const char *params[] = {q->mutations[first.of], attempt, first.name, first.payload, q->engine->manifest->state.text};

  if (!post_send(q->conn, event_sql, sizeof params / sizeof *params, params)) {
    give_up(q, "the connection was lost");
    return false;
  }
  if (q->engine->counters) q->engine->counters->state_events++;
  q->posted_of[q->posted++] = first.of;
  q->room_ms += EACH_MS;
  memmove(q->queue, q->queue + 1, --q->n * sizeof *q->queue);
  talloc_free(first.mem);
  return true;
}

void events_pump(struct events *q) {
  if (q->given_up || !connect(q)) return;
  take(q);
  while (q->n && q->posted < POSTED_MAX && may_send(q))
    if (!send_first(q)) return;
}

/* As far as there is room. */
static void tell_dropped(struct events *q) {
  for (size_t i = 0; i < q->nmutations; i++) {
    unsigned n = q->dropped[i];

    if (!n || (!q->given_up && !events_room(q, 1))) continue;
    q->dropped[i] = 0;
    q->lost += n;
    events_tell(q, i, *(q->attempt ? q->attempt : &(unsigned){1}), "EVENTS_DROPPED", arena_printf(q, "{\"count\":%u}", n));
  }
}

bool events_finish(struct events *q, int wait_ms) {
  int64_t until_ms = clock_ms() + wait_ms;

  tell_dropped(q);
  q->finishing = true;
  while (!q->given_up && (q->n || q->posted) && clock_ms() < until_ms) {
    events_pump(q);
    if (q->posted) post_wait(q->conn, until_ms);
    take(q);
    tell_dropped(q);
  }
  q->finishing = false;
  if (q->engine->counters) q->engine->counters->state_events_lost += q->lost;
  q->lost = 0;
  return !q->given_up && !q->n && !q->posted;
}

/* ---- from the application ---- */

static bool is_progress(const char *name) { return strcmp(name, "PROGRESS_UPDATE") == 0; }

/* Of progress that waits only the last counts. */
static bool make_room(struct events *q, size_t of, unsigned attempt, const char *name) {
  const struct event *last = q->n ? &q->queue[q->n - 1] : NULL;

  if (last && is_progress(name) && is_progress(last->name) && last->of == of && last->attempt == attempt) {
    talloc_free(last->mem);
    q->n--;
  }
  return q->n < QUEUE_MAX;
}

void events_tell(struct events *q, size_t of, unsigned attempt, const char *name, const char *payload) {
  struct event event = {.mem = talloc_new(q), .of = of, .attempt = attempt};

  if (q->n == QUEUE_MAX) talloc_free(q->queue[--q->n].mem); /* what came last of too many gives way */
  event.name = arena_strdup(event.mem, name);
  event.payload = payload ? arena_strdup(event.mem, payload) : NULL;
  q->queue[q->n++] = event;
}

static bool is_own(const char *name) {
  static const char *const names[] = {"REDUCER_FAILED", "EVENT_REFUSED", "EVENTS_DROPPED"};

  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(name, names[i]) == 0) return true;
  return str_starts(name, "TRANSACTION_") || str_starts(name, "MUTATION_");
}

static const char *bad_payload(struct events *q, void *mem, const char *name, const char *payload) {
  const struct state_event *rule = manifest_state_event(q->engine->manifest, name);
  const struct json *value;
  const char *why;
  struct err e;

  if (!rule || !rule->payload) return NULL;
  err_init(&e, mem);
  if (!json_read(mem, payload, strlen(payload), PAYLOAD_DEPTH, &value, &e)) return e.message;
  return json_schema_holds(mem, rule->payload, value, &why) ? NULL
                                                            : arena_printf(mem, "payload%s%s", *why == ' ' ? "" : ".", why);
}

/* Why it is none. */
static const char *bad_event(struct events *q, void *mem, const char *name, const char *payload, bool whole) {
  size_t len = strlen(name);
  int most = q->engine->config->event_bytes;

  if (!len || len > NAME_BYTES) return "a name has 1 to 63 bytes";
  if (is_own(name)) return "this name is writ's own";
  if (!whole || strlen(payload) > (size_t)most)
    return arena_printf(mem, "its payload is longer than %d bytes (limits.event_bytes)", most);
  return bad_payload(q, mem, name, payload);
}

static const char *refusal(void *mem, const char *name, const char *why) {
  struct str *out = str_new(mem, 128);

  str_add(out, "{\"event\":");
  str_json(out, name);
  str_add(out, ",\"reason\":");
  str_json(out, why);
  str_char(out, '}');
  return out->p;
}

/* Order: what there is no room for is not even looked at. */
void events_dispatch(struct events *q, size_t of, unsigned attempt, const char *name, const char *payload, bool whole) {
  void *scratch;
  const char *why;

  if (q->given_up || !make_room(q, of, attempt, name)) {
    q->dropped[of]++;
    if (!q->given_up) events_pump(q);
    return;
  }
  scratch = talloc_new(q);
  why = bad_event(q, scratch, name, payload, whole);
  if (why) events_tell(q, of, attempt, "EVENT_REFUSED", refusal(scratch, name, why));
  else events_tell(q, of, attempt, name, payload);
  talloc_free(scratch);
  events_pump(q);
}

/* ---- beside a flight ---- */

static void on_notice(void *data, const char *mutation, const char *name, const char *payload, bool whole) {
  struct events *q = data;

  for (size_t i = 0; i < q->nmutations; i++)
    if (strcmp(q->mutations[i], mutation) == 0) events_dispatch(q, i, *q->attempt, name, payload, whole);
}

static int fd_of(void *data) {
  const struct events *q = data;
  return q->conn && !q->given_up ? post_fd(q->conn) : -1;
}

static int wait_of(void *data) {
  const struct events *q = data;
  return q->n && !q->given_up && q->posted < POSTED_MAX ? EACH_MS : -1;
}

static void on_ready(void *data) { events_pump(data); }

const struct conn_listener *events_listener(struct events *q, const unsigned *attempt) {
  q->attempt = attempt;
  q->listener = (struct conn_listener){.notice = on_notice, .fd = fd_of, .wait_ms = wait_of, .ready = on_ready, .data = q};
  return &q->listener;
}
