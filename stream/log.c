/* One question for many followers: each has its position and its filters in it. */
#include "stream/log.h"

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "db/async.h"
#include "engine/told.h"
#include "events/log.h"
#include "manifest/config.h"
#include "stream/connection.h"
#include "stream/source.h"
#include "stream/sse.h"
#include "stream/streamer_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* BYTES in one answer, at most, but for its last event: who gets nothing of it is asked for first next time. */
enum {
  FOLLOWERS = 50, /* in one question */
  PAGE_FIRST = 10,
  PAGE_MAX = 100,
  BYTES = 4 * 1024 * 1024,
};

struct log_follower {
  struct connection *connection;
  struct source *source;
  struct log_follower *before, *behind;
  int64_t after;          /* position */
  const char *name, *key; /* NULL: all */
  unsigned number;        /* in the question that is under way; 0: not in it */
  bool open, head;
  unsigned page; /* so many events at most in the next answer: PostgreSQL makes them all, however few fit */
  bool due;      /* there may be something for it */
};

/* One page of one follower: so many events, but no more behind the one that reaches $6 bytes, as each may be large. A text for
 * each of the filters there are, of which PostgreSQL runs the one that is meant: "f.name is null or" would keep it from using
 * their indexes. A page of all is of so many positions: some of the events may have been erased. A long key is asked for as it
 * stands in the log. */
#define ALL "f.name is null and f.key is null and e.position <= f.after + f.page"
#define KEYED "e.key = " TOLD_SHORT("f.key")
#define PAGE(filter)                                                                                                        \
  "(select p.position, p.event, p.bytes >= $6::bigint as cut from (select b.position, b.event, "                            \
  "sum(octet_length(b.event)) over (order by b.position) as bytes from (select e.position, " EVENT_JSON "::text as event "  \
  "from writ.event e where e.position > f.after and " filter " order by e.position limit f.page) b) p "                     \
  "where p.bytes - octet_length(p.event) < $6)"

/* $1 number, $2 position, $3 name, $4 key, $5 page of each; $7 bytes of all. A row without an event tells how far the log goes, so
 * that a filter that finds nothing does not have to look at the same events again. Up to where the log was cleaned away is told too. */
static const char log_sql[] =
    "select i, top, tail, position, event, cut or bytes >= $7::bigint from (select f.i, t.tail, e.position, e.event, e.cut, "
    "greatest(t.tail, (select max(position) from writ.event)) as top, "
    "sum(coalesce(octet_length(e.event), 0)) over (order by f.i, e.position) as bytes "
    "from (select coalesce(max(position), 0) as tail from writ.event_tail) t, "
    "unnest($1::integer[], $2::bigint[], $3::text[], $4::text[], $5::integer[]) as f (i, after, name, key, page) left join lateral (" PAGE(ALL) " union all " PAGE(
        "f.key is null and e.name = f.name") " union all " PAGE("f.name is null and " KEYED) " union all " PAGE("e.name = f.name and " KEYED) ") e on true) z "
                                                                                                                                              "where bytes - coalesce(octet_length(event), 0) < $7 order by i, position";
enum { LOG_NUMBER, LOG_TOP, LOG_TAIL, LOG_POSITION, LOG_EVENT, LOG_CUT };

/* ---- the list: who was asked for last stands at the end, so that each has its turn, however many always want more ---- */

static void link_last(struct log_follower *f) {
  struct log_follows *l = &f->source->log;

  f->before = l->last;
  f->behind = NULL;
  *(l->last ? &l->last->behind : &l->list) = f;
  l->last = f;
}

static void link_first(struct log_follower *f) {
  struct log_follows *l = &f->source->log;

  f->before = NULL;
  f->behind = l->list;
  *(l->list ? &l->list->before : &l->last) = f;
  l->list = f;
}

static void unlink_it(struct log_follower *f) {
  struct log_follows *l = &f->source->log;

  *(f->before ? &f->before->behind : &l->list) = f->behind;
  *(f->behind ? &f->behind->before : &l->last) = f->before;
}

void log_begin(struct streamer *s, struct connection *c, const struct wanted *w) {
  struct source *source = s->sources[w->datasource];
  struct log_follower *f;

  if (source_is_down(source)) {
    connection_later(c, "database");
    return;
  }
  f = arena_new(c, struct log_follower);
  f->connection = c;
  f->source = source;
  f->after = w->after;
  f->name = arena_strdup(f, w->name);
  f->key = arena_strdup(f, w->key);
  f->head = w->head;
  f->page = PAGE_FIRST;
  f->due = true;
  link_last(f);
  connection_follow_log(c, f);
  source_wake(source);
}

void log_end(struct log_follower *f) {
  unlink_it(f);
  talloc_free(f);
}

void log_told(struct log_follows *l) {
  for (struct log_follower *f = l->list; f; f = f->behind) f->due = true;
}

void log_drained(struct log_follower *f) {
  if (f->due) source_wake(f->source);
}

void log_position(const struct log_follower *f, char text[24]) { snprintf(text, 24, "%lld", (long long)f->after); }

void log_failed(struct source *source) {
  struct log_follower *behind;

  for (struct log_follower *f = source->log.list; f; f = behind) {
    behind = f->behind;
    f->due = true;
    f->number = 0;
    if (!f->open) connection_later(f->connection, "database");
  }
}

/* ---- the question ---- */

static void put_element(struct str *s, const char *text) {
  str_char(s, s->len ? ',' : '{');
  if (text) str_sql_element(s, text);
  else str_add(s, "NULL");
}

enum { FIELDS = 5 };

static void put_follower(struct str *const fields[FIELDS], const struct log_follower *f) {
  char number[24], after[24], page[24];

  snprintf(number, sizeof number, "%u", f->number);
  snprintf(page, sizeof page, "%u", f->page);
  log_position(f, after);
  put_element(fields[0], number);
  put_element(fields[1], after);
  put_element(fields[2], f->name);
  put_element(fields[3], f->key);
  put_element(fields[4], page);
}

bool log_ask(struct source *source, void *mem, const char **sql, const char **params, unsigned *n) {
  struct log_follower *behind;
  struct str *fields[FIELDS];
  unsigned many = 0;

  for (int i = 0; i < FIELDS; i++) fields[i] = str_new(mem, 64);
  for (struct log_follower *f = source->log.list; f && many < FOLLOWERS; f = behind) {
    behind = f->behind;
    if (!f->due || !connection_is_drained(f->connection)) continue;
    f->number = ++many;
    f->due = false;
    put_follower(fields, f);
    unlink_it(f);
    link_last(f);
  }
  for (int i = 0; i < FIELDS; i++) {
    if (many) str_char(fields[i], '}');
    params[i] = fields[i]->p;
  }
  params[FIELDS] = arena_printf(mem, "%d", source->streamer->config->stream_buffer_bytes);
  params[FIELDS + 1] = arena_printf(mem, "%d", BYTES);
  *sql = log_sql;
  *n = LOG_PARAMS;
  return many > 0;
}

/* ---- its answer ---- */

/* As GET /events has it for pages (events/log.c). */
static void refuse(struct log_follower *f, const char *code, const char *format, int64_t end) {
  struct err e;

  err_init(&e, f);
  err_set(&e, OWN, format, (long long)end);
  e.own_code = code;
  e.status = 400;
  if (f->open) connection_end(f->connection, code);
  else connection_refuse(f->connection, &e);
}

/* What it asks for is there, or still is. False: it has got an answer, and is gone. */
static bool open_it(struct log_follower *f, const struct async *a, size_t row) {
  int64_t tail = strtoll(async_text(a, row, LOG_TAIL), NULL, 10), top = strtoll(async_text(a, row, LOG_TOP), NULL, 10);

  if (f->after < tail) {
    refuse(f, "EVENTS_GONE", "Events up to position %lld have been cleaned away.", tail);
    return false;
  }
  if (f->after > top) {
    refuse(f, "EVENTS_AHEAD", "The log ends at position %lld.", top);
    return false;
  }
  if (f->head) {
    connection_empty(f->connection, 200);
    return false;
  }
  if (!f->open) connection_open(f->connection);
  f->open = true;
  return true;
}

static void set_page(struct log_follower *f, unsigned events) { f->page = events < PAGE_MAX ? events : PAGE_MAX; }

/* The rows of one follower, in one piece. */
static void take_rows(struct log_follower *f, const struct async *a, size_t row, size_t end) {
  int64_t top = strtoll(async_text(a, row, LOG_TOP), NULL, 10), upto = f->name || f->key ? top : f->after + f->page;
  struct str *text;
  unsigned events = 0;
  bool more, cut = false;

  f->number = 0;
  if (!open_it(f, a, row)) return;
  text = str_new(NULL, 1024);
  for (; row < end && async_text(a, row, LOG_POSITION); row++, events++) {
    const char *position = async_text(a, row, LOG_POSITION);

    sse_event(text, position, NULL, async_text(a, row, LOG_EVENT));
    f->after = strtoll(position, NULL, 10);
    cut = async_text(a, row, LOG_CUT)[0] == 't';
  }
  more = cut || events == f->page;
  if (more) set_page(f, 2 * events);
  else if (upto < top) f->after = upto;
  else if (top > f->after) f->after = top;
  if (more || f->after < top) f->due = true;
  if (events) connection_send(f->connection, text->p, text->len, events);
  talloc_free(text);
}

/* The answer was full before its turn. */
static void is_first_next_time(struct log_follower *f) {
  f->number = 0;
  f->due = true;
  unlink_it(f);
  link_first(f);
}

void log_answer(struct source *source, const struct async *a) {
  struct log_follower *behind;

  for (struct log_follower *f = source->log.list; f; f = behind) {
    size_t row = 0, end;

    behind = f->behind;
    if (!f->number) continue;
    while (row < async_rows(a) && (unsigned)atoi(async_text(a, row, LOG_NUMBER)) != f->number) row++;
    for (end = row; end < async_rows(a) && (unsigned)atoi(async_text(a, end, LOG_NUMBER)) == f->number;) end++;
    if (row < end) take_rows(f, a, row, end);
    else is_first_next_time(f);
  }
}
