/* A follower waits until a datasource knows its mutation, and may read it; then it belongs to the topic of that mutation, until
 * the mutation or the connection ends. Versions count up by one: whoever has seen one needs exactly the next. */
#include "stream/follow.h"

#include "base/arena.h"
#include "base/str.h"
#include "db/async.h"
#include "manifest/config.h"
#include "manifest/manifest.h"
#include "mutations/state.h"
#include "stream/connection.h"
#include "stream/source.h"
#include "stream/sse.h"
#include "stream/streamer_inside.h"

#include <stdlib.h>
#include <string.h>

/* One answer, at most, but for its last row: what is not in it is asked for again. */
enum { ROWS = 1000, BYTES = 1024 * 1024, LOOKUPS = 100 };

struct follower {
  struct connection *connection;
  struct source *source;
  struct topic *topic;              /* NULL: it is among those that wait */
  struct follower *before, *behind; /* of that topic, or of those that wait */
  unsigned char mutation[UUID_BYTES];
  int64_t seen; /* version; -1: nothing yet */
  bool asked;   /* waiting: in the question that is under way */
  bool open, head, end_known, reads_all;
  bool behind_reader; /* it gets nothing until its reader has read what it has */
  const char *caller; /* as state_caller has it; NULL: nobody known by name */
};

struct topic {
  struct topic *before, *behind; /* of all */
  struct topic *next;            /* in the bucket */
  unsigned char mutation[UUID_BYTES];
  struct follower_list followers;
  bool dirty;
};

/* ---- where a follower is ---- */

/* The last bytes are random, unless a client has chosen the UUID: then its own streams get slower. */
static struct topic **bucket(struct follows *f, const unsigned char *mutation) {
  return &f->buckets[((unsigned)mutation[UUID_BYTES - 2] << 8 | mutation[UUID_BYTES - 1]) % TOPIC_BUCKETS];
}

static struct topic *find_topic(struct follows *f, const unsigned char *mutation) {
  struct topic *t = *bucket(f, mutation);

  while (t && memcmp(t->mutation, mutation, UUID_BYTES) != 0) t = t->next;
  return t;
}

static struct topic *new_topic(struct follows *f, const unsigned char *mutation) {
  struct topic *t = arena_new(NULL, struct topic), **b = bucket(f, mutation);

  memcpy(t->mutation, mutation, UUID_BYTES);
  t->next = *b;
  *b = t;
  t->behind = f->topics;
  if (f->topics) f->topics->before = t;
  f->topics = t;
  f->ntopics++;
  return t;
}

static void free_topic(struct follows *f, struct topic *t) {
  struct topic **b = bucket(f, t->mutation);

  while (*b != t) b = &(*b)->next;
  *b = t->next;
  *(t->before ? &t->before->behind : &f->topics) = t->behind;
  if (t->behind) t->behind->before = t->before;
  f->ntopics--;
  talloc_free(t);
}

static struct follower_list *list_of(struct follower *f) {
  return f->topic ? &f->topic->followers : &f->source->follows.waiting;
}

static void link_last(struct follower *f) {
  struct follower_list *list = list_of(f);

  f->before = list->last;
  f->behind = NULL;
  *(list->last ? &list->last->behind : &list->first) = f;
  list->last = f;
}

static void unlink_it(struct follower *f) {
  struct follower_list *list = list_of(f);

  *(f->before ? &f->before->behind : &list->first) = f->behind;
  *(f->behind ? &f->behind->before : &list->last) = f->before;
  if (f->topic && !list->first) free_topic(&f->source->follows, f->topic);
  f->topic = NULL;
}

static void wait_in(struct follower *f, struct source *source) {
  f->source = source;
  f->asked = false;
  link_last(f);
  source_wake(source);
}

static void join_topic(struct follower *f) {
  struct follows *all = &f->source->follows;
  struct topic *t = find_topic(all, f->mutation);

  f->topic = t ? t : new_topic(all, f->mutation);
  link_last(f);
  f->topic->dirty = all->dirty = true; /* what was written since it was looked up */
}

/* ---- begin and end ---- */

void follow_begin(struct streamer *s, struct connection *c, const struct wanted *w, const struct caller *caller) {
  struct follower *f = arena_new(c, struct follower);

  f->connection = c;
  memcpy(f->mutation, w->mutation, UUID_BYTES);
  f->seen = w->after;
  f->end_known = w->end_known;
  f->head = w->head;
  f->reads_all = caller->inside || manifest_reads_states(s->manifest, caller->role);
  f->caller = state_caller(f, caller);
  connection_follow_state(c, f);
  if (source_is_down(s->sources[0])) connection_later(c, "database");
  else wait_in(f, s->sources[0]);
}

void follow_drained(struct follower *f) {
  if (!f->behind_reader) return;
  f->behind_reader = false;
  if (!f->topic) return;
  f->topic->dirty = f->source->follows.dirty = true;
  source_wake(f->source);
}

void follow_end(struct follower *f) {
  if (f->source) unlink_it(f);
  talloc_free(f);
}

void follow_told(struct follows *f, const unsigned char mutation[UUID_BYTES]) {
  struct topic *t = find_topic(f, mutation);

  if (t) t->dirty = f->dirty = true;
}

void follow_failed(struct source *source) {
  struct follower *behind;

  for (struct follower *f = source->follows.waiting.first; f; f = behind) {
    behind = f->behind;
    if (f->open) f->asked = false; /* a stream that is to get its whole state again can wait */
    else connection_later(f->connection, "database");
  }
  source->follows.all = true;
}

/* ---- what is sent ---- */

static bool is_end(const char *status) {
  return strcmp(status, "complete") == 0 || strcmp(status, "error") == 0 || strcmp(status, "cancelled") == 0;
}

static void send(struct follower *f, const char *version, const char *event, const char *data) {
  struct str *text = str_new(NULL, strlen(data) + 64);

  sse_event(text, version, event, data);
  connection_send(f->connection, text->p, text->len, 1);
  talloc_free(text);
}

/* The last event, which has an id of its own: who comes again with it has missed nothing, and is sent away for good. */
static void send_end(struct follower *f, const char *status) {
  const char *id = arena_printf(f, "%lld/end", (long long)f->seen);

  send(f, id, "end", arena_printf(f, "{\"status\": \"%s\"}", status));
  connection_end(f->connection, "end");
}

/* ---- how much is asked for ---- */

static unsigned limit_of(unsigned learnt, unsigned most) { return learnt && learnt < most ? learnt : most; }

/* Is there more? What PostgreSQL writes as text only to leave it out is work for nothing: so of what is large no more is asked for
 * next time than twice what there was room for. */
static bool learn(unsigned *learnt, unsigned most, size_t rows, bool was_cut) {
  bool more = was_cut || rows >= limit_of(*learnt, most);

  *learnt = more ? (unsigned)rows * 2 : 0;
  return more;
}

/* ---- looking up ---- */

/* $2: the version that is known already. A state is sent whole when it is not, or when changes behind it are missing. $3: bytes. */
static const char lookup_sql[] =
    "select id, seen, version, caller, status, state, bytes >= $3::bigint from (select y.*, "
    "sum(coalesce(octet_length(state), 0)) over (order by i) as bytes from ("
    "select t.i, t.id, t.seen, s.version, encode(s.caller, 'hex') as caller, s.status, "
    "case when t.seen < 0 or t.seen > s.version or t.seen < coalesce(f.first, s.version + 1) - 1 then s.state::text end as state "
    "from unnest($1::uuid[], $2::bigint[]) with ordinality as t (id, seen, i) "
    "left join lateral (select * from writ.state where mutation = t.id limit 1) s on true "
    "left join lateral (select min(c.version) as first from writ.state_change c where c.mutation = s.mutation) f on true "
    "offset 0) y) z where bytes - coalesce(octet_length(state), 0) < $3 order by i";
enum { LOOKUP_ID, LOOKUP_SEEN, LOOKUP_VERSION, LOOKUP_CALLER, LOOKUP_STATUS, LOOKUP_STATE, LOOKUP_CUT };

static void put_element(struct str *s, const char *text) {
  str_char(s, s->len ? ',' : '{');
  str_add(s, text);
}

static void put_pair(struct str *ids, struct str *versions, const unsigned char *mutation, int64_t seen) {
  char uuid[37], number[24];

  uuid_write(mutation, uuid);
  snprintf(number, sizeof number, "%lld", (long long)seen);
  put_element(ids, uuid);
  put_element(versions, number);
}

/* Sets the first three of params; false: there is nothing to ask for. */
static bool ask(void *mem, struct str *ids, struct str *versions, const char **params) {
  if (!ids->len) return false;
  str_char(ids, '}');
  str_char(versions, '}');
  params[0] = ids->p;
  params[1] = versions->p;
  params[2] = arena_printf(mem, "%d", BYTES);
  return true;
}

static bool ask_lookup(struct follows *all, void *mem, const char **sql, const char **params, unsigned *n) {
  struct str *ids = str_new(mem, 512), *versions = str_new(mem, 128);
  unsigned left = limit_of(all->lookups, LOOKUPS);

  for (struct follower *f = all->waiting.first; f && left; f = f->behind, left--) {
    f->asked = true;
    put_pair(ids, versions, f->mutation, f->seen);
  }
  *sql = lookup_sql;
  *n = 3;
  return ask(mem, ids, versions, params);
}

static void not_here(struct follower *f) {
  struct source *source = f->source;
  struct streamer *s = source->streamer;
  struct err e;

  if (source->index + 1 < s->config->ndatasources) {
    unlink_it(f);
    f->source = NULL;
    if (source_is_down(s->sources[source->index + 1])) connection_later(f->connection, "database");
    else wait_in(f, s->sources[source->index + 1]);
    return;
  }
  err_init(&e, f);
  err_set(&e, NOT_FOUND, "There is no mutation of this UUID that you may read.");
  if (f->open) connection_end(f->connection, "gone");
  else connection_refuse(f->connection, &e);
}

static bool may_read(const struct follower *f, const char *caller) {
  return f->reads_all || !caller || (f->caller && strcmp(f->caller + 2, caller) == 0); /* behind \x */
}

/* Found, and it may be read. */
static void go_on(struct follower *f, const struct async *a, size_t row) {
  const char *version = async_text(a, row, LOOKUP_VERSION), *status = async_text(a, row, LOOKUP_STATUS);
  const char *state = async_text(a, row, LOOKUP_STATE);
  int64_t now = strtoll(version, NULL, 10);

  if (f->head) {
    connection_empty(f->connection, 200);
    return;
  }
  if (is_end(status) && f->end_known && f->seen == now) {
    connection_empty(f->connection, 204); /* an EventSource does not come again */
    return;
  }
  if (!f->open) connection_open(f->connection);
  f->open = true;
  unlink_it(f);
  join_topic(f);
  if (state) {
    f->seen = now;
    send(f, version, "state", state);
  }
  if (is_end(status) && f->seen == now) send_end(f, status);
}

static void answer_lookup(struct source *source, const struct async *a) {
  struct follower *behind;
  unsigned char mutation[UUID_BYTES];
  size_t rows = async_rows(a);

  (void)learn(&source->follows.lookups, LOOKUPS, rows, rows && async_text(a, rows - 1, LOOKUP_CUT)[0] == 't');
  for (size_t row = 0; row < rows; row++) {
    int64_t seen = strtoll(async_text(a, row, LOOKUP_SEEN), NULL, 10);

    if (!uuid_read(async_text(a, row, LOOKUP_ID), mutation)) continue;
    for (struct follower *f = source->follows.waiting.first; f; f = behind) {
      behind = f->behind;
      if (!f->asked || f->seen != seen || memcmp(f->mutation, mutation, UUID_BYTES) != 0) continue;
      if (async_text(a, row, LOOKUP_VERSION) && may_read(f, async_text(a, row, LOOKUP_CALLER))) go_on(f, a, row);
      else not_here(f);
    }
  }
}

/* ---- changes ---- */

/* $3: bytes, $4: rows. One row of a mutation without changes, which has no text. */
static const char changes_sql[] =
    "select id, newest, status, version, change, bytes >= $3::bigint from (select y.*, "
    "sum(coalesce(octet_length(change), 0)) over (order by id, version) as bytes from ("
    "select t.id, s.version as newest, s.status, c.version, c.change::text as change "
    "from unnest($1::uuid[], $2::bigint[]) as t (id, seen) "
    "left join lateral (select mutation, version, status from writ.state where mutation = t.id limit 1) s on true "
    "left join lateral (select version, change from writ.state_change where mutation = s.mutation and version > t.seen offset 0) c on true "
    "where s.mutation is null or s.version > t.seen order by t.id, c.version limit $4::integer) y) z "
    "where bytes - coalesce(octet_length(change), 0) < $3 order by id, version";
enum { CHANGES_ID, CHANGES_VERSION, CHANGES_STATUS, CHANGES_CHANGE, CHANGES_TEXT, CHANGES_CUT };

static bool ask_changes(struct follows *all, void *mem, const char **sql, const char **params, unsigned *n) {
  struct str *ids = str_new(mem, 512), *versions = str_new(mem, 128);

  for (struct topic *t = all->topics; t; t = t->behind) {
    int64_t seen = INT64_MAX;

    if (!all->all && !t->dirty) continue;
    t->dirty = false;
    for (struct follower *f = t->followers.first; f; f = f->behind)
      if (f->seen < seen && !f->behind_reader) seen = f->seen;
    if (seen < INT64_MAX) put_pair(ids, versions, t->mutation, seen);
  }
  all->all = all->dirty = false;
  params[3] = arena_printf(mem, "%u", limit_of(all->rows, ROWS));
  *sql = changes_sql;
  *n = 4;
  return ask(mem, ids, versions, params);
}

/* It needs the whole state: changes between are not there any more. */
static void begin_anew(struct follower *f) {
  struct source *source = f->source;

  unlink_it(f);
  f->seen = -1;
  wait_in(f, source);
}

/* One row of one follower. */
static void take_change(struct follower *f, const struct async *a, size_t row) {
  const char *change = async_text(a, row, CHANGES_CHANGE), *status = async_text(a, row, CHANGES_STATUS);
  int64_t now, version;

  if (!status) {
    connection_end(f->connection, "gone"); /* it was cleaned away */
    return;
  }
  now = strtoll(async_text(a, row, CHANGES_VERSION), NULL, 10);
  version = change ? strtoll(change, NULL, 10) : now;
  if (version <= f->seen || f->behind_reader) return;
  if (!connection_has_room(f->connection)) {
    f->behind_reader = true;
    return;
  }
  if (!change || version != f->seen + 1) {
    begin_anew(f);
    return;
  }
  f->seen = version;
  send(f, change, "change", async_text(a, row, CHANGES_TEXT));
  if (version == now && is_end(status)) send_end(f, status);
}

/* What is sent to one may end it, and with the last one the topic. */
static void answer_changes(struct source *source, const struct async *a) {
  unsigned char mutation[UUID_BYTES];
  struct follower *behind;
  size_t rows = async_rows(a);

  if (learn(&source->follows.rows, ROWS, rows, rows && async_text(a, rows - 1, CHANGES_CUT)[0] == 't'))
    source->follows.all = true;
  for (size_t row = 0; row < rows; row++) {
    struct topic *t = uuid_read(async_text(a, row, CHANGES_ID), mutation) ? find_topic(&source->follows, mutation) : NULL;

    for (struct follower *f = t ? t->followers.first : NULL; f; f = behind) {
      behind = f->behind;
      take_change(f, a, row);
    }
  }
}

/* Those that wait, and news for those that do not, take turns. */
bool follow_ask(struct source *source, void *mem, const char **sql, const char **params, unsigned *n) {
  struct follows *all = &source->follows;
  bool waited = all->looked;

  all->looked = false;
  if (waited && (all->all || all->dirty) && ask_changes(all, mem, sql, params, n)) return true;
  if ((all->looked = ask_lookup(all, mem, sql, params, n))) return true;
  return (all->all || all->dirty) && ask_changes(all, mem, sql, params, n);
}

void follow_answer(struct source *source, const struct async *a) {
  if (source->follows.looked) answer_lookup(source, a);
  else answer_changes(source, a);
}
