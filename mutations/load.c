/* What others have left for a mutation that is run: the results of steps before, and, for a continuation, those of what it follows.
 * They may be large, so they come one mutation at a time, and of what it follows those alone whose names it mentions. Results are
 * texts: json of the application's own may be such that a strict reader refuses it. */
#include "mutations/work.h"

#include "base/arena.h"
#include "base/clock.h"
#include "commands/tree.h"

#include <string.h>

enum { RESULT_DEPTH = 1000 }; /* results were bounded when they were made */

/* Results of the steps that are done; and pairs of name and result, and the error, of what it follows. An answer is taken to pieces only
 * where one of them is asked for. A name that JSON may write in several ways counts as mentioned. */
static const char load_sql[] =
    "select json_build_array("
    "(select json_agg(r.result::text order by r.step) from writ.mutation_result r where r.mutation = m.id and r.step < m.step), "
    "(with n as (select u.c ->> 'as' as name, o from json_array_elements(p.args -> 'commands') with ordinality as u (c, o) "
    "where strpos(m.args::text, u.c ->> 'as') > 0 or u.c ->> 'as' ~ '[\"\\\\[:cntrl:]]') "
    "select json_agg(json_build_array(name, result)) from ("
    "select n.name, r.result::text as result from n join writ.mutation_result r on r.mutation = p.id and r.step = n.o - 1 "
    "where p.answer is null union all "
    "select n.name, (v.v -> 'result')::text from json_array_elements(case when exists (select from n) then p.answer::json -> 'results' end) "
    "with ordinality as v (v, o) join n using (o)) x), "
    "p.error)::text from writ.mutation m "
    "left join lateral (select args, id, answer, error from writ.mutation f where f.id = m.parent limit 1) p on true where m.id = $1::uuid";
/* Only now: reading takes its time as well. */
static const char renew_sql[] =
    "update writ.mutation set due = clock_timestamp() + $2::integer * interval '1 ms' where id = $1::uuid";

static const struct json *array_of(const struct json *value) { return value->kind == JSON_ARRAY ? value : NULL; }

/* The first of a name counts. What cannot be read strictly is left out: a reference to it is BAD_REFERENCE. */
static void know(struct work *w, struct json *known, const char *name, const struct json *text) {
  const struct json *value;
  struct err ignored;

  err_init(&ignored, w->mem);
  if (text->kind != JSON_STRING || json_get(known, name) ||
      !json_read(w->mem, text->text, text->len, RESULT_DEPTH, &value, &ignored))
    return;
  ((const char **)known->keys)[known->len] = name;
  ((struct json *)known->items)[known->len++] = *value;
}

/* Its own steps' results come first. error: of what it follows. */
static const struct json *all_known(struct work *w, const struct json *before, const struct json *error) {
  const struct json *commands = json_get(w->m->args, "commands");
  size_t own = w->results && commands ? w->results->len < commands->len ? w->results->len : commands->len : 0;
  size_t most = own + (before ? before->len : 0) + 1;
  struct json *known = arena_new(w->mem, struct json);

  *known = (struct json){
      .kind = JSON_OBJECT, .items = arena_array(w->mem, struct json, most), .keys = arena_array(w->mem, const char *, most)};
  for (size_t i = 0; i < own; i++) {
    const struct json *as = json_get(&commands->items[i], "as");
    if (as) know(w, known, as->text, &w->results->items[i]);
  }
  for (size_t i = 0; before && i < before->len; i++)
    know(w, known, before->items[i].items[0].text, &before->items[i].items[1]);
  if (error->kind != JSON_NULL && !json_get(known, SET_ERROR)) {
    ((const char **)known->keys)[known->len] = SET_ERROR;
    ((struct json *)known->items)[known->len++] = *error;
  }
  return known;
}

bool work_load(struct work *w) {
  const char *renewed[] = {w->m->id, NULL};
  struct step steps[3];
  const struct json *row;
  struct flight f;
  int64_t now = clock_ms();

  if (!w->m->step && !(w->m->follows && json_has_marker(w->m->args))) return true;
  renewed[1] = arena_printf(w->mem, "%d", w->engine->config->background_lease_ms);
  steps[0] = work_lock_step(w);
  steps[1] = work_step(w, load_sql, renewed, 1, "what it follows has given");
  steps[1].gives = GIVES_TEXT;
  steps[2] = work_step(w, renew_sql, renewed, 2, "renew the lease");
  if (!mutation_trip_until(w->engine, w->mem, w->m->datasource, steps, 3, now + w->engine->config->timeout_ms, &f, w->e)) {
    if (err_is_own(w->e, "LEASE_LOST")) w->stop = STOP_LOST;
    return false;
  }
  w->m->leased_ms = clock_ms();
  if (!json_read(w->mem, f.results[1].text, f.results[1].len, RESULT_DEPTH, &row, w->e)) return false;
  w->results = array_of(&row->items[0]);
  w->known = all_known(w, array_of(&row->items[1]), &row->items[2]);
  return true;
}
