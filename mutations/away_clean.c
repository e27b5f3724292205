/* Rows of steps that were done here for mutations of other databases (away.c) go when those need them no more. That only their homes
 * can say: one that does not answer, or that no datasource leads to, is asked again later. */
#include "mutations/mutation_inside.h"

#include "base/arena.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

enum { ROW_DEPTH = 8, COLUMNS = 4 };

/* By homes, so that each is asked once. */
static const char due_sql[] =
    "select coalesce(json_agg(json_build_array(home, mutation, step, born) order by home), '[]')::text from "
    "(select home, mutation, step, born from writ.mutation_step where due <= now() order by due limit 1000) d";
static const char home_sql[] = "select id::text from writ.installation";
/* The numbers of those that are. A step that the home has heard of is done there, and can be begun by those alone that come too late. */
static const char needed_sql[] =
    "select coalesce(json_agg(o order by o), '[]')::text from unnest($1::uuid[], $2::integer[], $3::uuid[]) "
    "with ordinality as u (mutation, step, born, o) where (select true from writ.mutation m "
    "where m.id = u.mutation and coalesce(m.born, m.id) = u.born and m.outcome is null and m.step <= u.step)";
/* $4: how long they are kept still; null: not at all. */
static const char keep_sql[] =
    "with u as (select * from unnest($1::uuid[], $2::integer[], $3::uuid[], $4::integer[]) as u (mutation, step, born, hours)), "
    "k as (update writ.mutation_step s set due = now() + u.hours * interval '1 hour' from u "
    "where s.mutation = any ($1::uuid[]) and (s.mutation, s.step, s.born) = (u.mutation, u.step, u.born) and u.hours is not null), "
    "d as (delete from writ.mutation_step s using u "
    "where s.mutation = any ($1::uuid[]) and (s.mutation, s.step, s.born) = (u.mutation, u.step, u.born) and u.hours is null returning 1) "
    "select count(*)::text from d";

enum { KEEP_NOT = 0, KEEP_NEEDED = 1, KEEP_UNKNOWN = 24 };

struct sweep {
  struct engine *engine;
  void *mem;
  const struct json *rows;
  int *hours; /* for each, enum KEEP_ */
};

static const char *field(const struct sweep *s, size_t row, size_t column) { return s->rows->items[row].items[column].text; }

/* Rows [first, end) of a column as an array; behind the last one, of hours. */
static const char *array_of(const struct sweep *s, size_t first, size_t end, size_t column) {
  struct str *out = str_new(s->mem, 64);

  for (size_t i = first; i < end; i++) {
    str_add(out, i > first ? "," : "{");
    if (column < COLUMNS) str_add(out, field(s, i, column));
    else if (s->hours[i] == KEEP_NOT) str_add(out, "null");
    else str_printf(out, "%d", s->hours[i]);
  }
  str_char(out, '}');
  return out->p;
}

static bool is_home(struct sweep *s, size_t datasource, const char *home) {
  const char *text;
  struct err ignored;

  err_init(&ignored, s->mem);
  return mutation_ask(s->engine, s->mem, datasource, home_sql, NULL, 0, &text, &ignored) && text && strcmp(text, home) == 0;
}

/* What one home says of rows [first, end). */
static void ask_home(struct sweep *s, size_t first, size_t end) {
  const char *params[] = {array_of(s, first, end, 1), array_of(s, first, end, 2), array_of(s, first, end, 3)}, *text;
  const struct json *needed;
  size_t home = 0;
  struct err ignored;

  for (size_t i = first; i < end; i++) s->hours[i] = KEEP_UNKNOWN;
  while (home < s->engine->config->ndatasources && !is_home(s, home, field(s, first, 0))) home++;
  if (home == s->engine->config->ndatasources) return;
  err_init(&ignored, s->mem);
  if (!mutation_ask(s->engine, s->mem, home, needed_sql, params, 3, &text, &ignored)) return;
  if (!json_read(s->mem, text, strlen(text), ROW_DEPTH, &needed, &ignored)) return;
  for (size_t i = first; i < end; i++) s->hours[i] = KEEP_NOT;
  for (size_t i = 0; i < needed->len; i++) s->hours[first + strtoul(needed->items[i].text, NULL, 10) - 1] = KEEP_NEEDED;
}

bool mutation_clean_away(struct engine *engine, void *mem, size_t datasource, uint64_t *gone, struct err *e) {
  struct sweep s = {.engine = engine, .mem = mem};
  const char *params[COLUMNS], *text;
  size_t end;

  *gone = 0;
  if (!mutation_ask(engine, mem, datasource, due_sql, NULL, 0, &text, e)) return false;
  if (!json_read(mem, text, strlen(text), ROW_DEPTH, &s.rows, e)) return false;
  if (!s.rows->len) return true;
  s.hours = arena_array(mem, int, s.rows->len);
  for (size_t first = 0; first < s.rows->len; first = end) {
    for (end = first + 1; end < s.rows->len && strcmp(field(&s, end, 0), field(&s, first, 0)) == 0; end++) continue;
    ask_home(&s, first, end);
  }
  for (size_t i = 0; i < COLUMNS; i++) params[i] = array_of(&s, 0, s.rows->len, i + 1);
  if (!mutation_ask(engine, mem, datasource, keep_sql, params, COLUMNS, &text, e)) return false;
  *gone = strtoull(text, NULL, 10);
  return true;
}
