#include "mutations/state_read.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "db/catalog.h"
#include "mutations/mutation_inside.h"

#include <string.h>

enum { CHANGES_DEPTH = 1000, SETTLE_MS = 1000 };

/* version, flags, caller, state, with blanks between. A mark is left alone while the process that made it may be about to take it in. */
static const char read_sql[] =
    "select s.version || ' ' || case when s.ended is null then '-' else 'e' end || case when s.lease is null then 'd' else '-' end"
    " || case when (s.ended is null and s.lease < clock_timestamp()) or (select true from writ.state_mark m"
    " where m.mutation = s.mutation and m.at < clock_timestamp() - interval '5 s' limit 1) then 'u' else '-' end"
    " || ' ' || coalesce(encode(s.caller, 'hex'), '-') || ' ' || s.state::text from writ.state s where s.mutation = $1::uuid";
static const char settle_sql[] = "select case when " STATE_PLANS " <> '' then writ.state_settle($1::uuid, $2::jsonb)::text end";

/* *text NULL: it is not there. */
static bool look(struct engine *engine, void *mem, size_t datasource, const char *mutation, const struct wait *w,
                 char **text, struct err *e) {
  struct conn *conn = engine->sources[datasource].conn;
  const char *params[] = {mutation, engine->manifest->state.text};
  struct wait soon = {.deadline_ms = clock_ms() + SETTLE_MS, .caller_fd = w->caller_fd};
  char *settled;

  if (!catalog_value(conn, mem, read_sql, 1, params, text, w, e)) return false;
  if (!*text || strchr(*text, ' ')[3] != 'u') return true;
  if (soon.deadline_ms > w->deadline_ms) soon.deadline_ms = w->deadline_ms;
  if (catalog_value(conn, mem, settle_sql, 2, params, &settled, &soon, e)) engine_tell(engine, mutation);
  else if (e->code != ERR_TIMEOUT) return false;
  else err_init(e, mem); /* a reducer does not return: it is shown as it is, and runners settle it without */
  if (!source_ready(engine, datasource, w, e)) return false;
  return catalog_value(conn, mem, read_sql, 1, params, text, w, e);
}

static bool may_read(const struct engine *engine, void *mem, const struct caller *caller, const char *made_by) {
  const char *reader = state_caller(mem, caller); /* \x and hex */

  return caller->inside || strcmp(made_by, "-") == 0 || manifest_reads_states(engine->manifest, caller->role) ||
         (reader && strcmp(reader + 2, made_by) == 0);
}

/* Cuts the text at its blanks. */
static const char *take_row(char *text, struct state_row *row) {
  char *flags = strchr(text, ' ') + 1, *made_by = strchr(flags, ' ') + 1, *state = strchr(made_by, ' ') + 1;

  flags[-1] = made_by[-1] = state[-1] = '\0';
  row->version = text;
  row->ended = flags[0] == 'e';
  row->durable = flags[1] == 'd';
  row->text = state;
  return made_by;
}

bool state_read(struct engine *engine, void *mem, const struct caller *caller, const char *mutation, const struct wait *w,
                struct state_row *row, struct err *e) {
  bool reached = true;
  struct err why;

  for (size_t i = 0; i < engine->config->ndatasources; i++) {
    char *text;

    err_init(&why, mem);
    if (!source_ready(engine, i, w, &why) || !look(engine, mem, i, mutation, w, &text, &why)) {
      *e = why;
      reached = false;
      continue;
    }
    if (!text) continue;
    row->datasource = i;
    if (may_read(engine, mem, caller, take_row(text, row))) return true;
    break;
  }
  return reached ? err_set(e, NOT_FOUND, "There is no such mutation.") : false;
}

bool state_changes(struct engine *engine, void *mem, const char *mutation, const struct state_row *row, const char *after,
                   const struct wait *w, const struct json **changes, struct err *e) {
  static const char sql[] = "select coalesce(json_agg(change order by version), '[]')::text from writ.state_change"
                            " where mutation = $1::uuid and version > $2::bigint and version <= $3::bigint";
  const char *params[] = {mutation, after, row->version};
  char *text;

  return catalog_value(engine->sources[row->datasource].conn, mem, sql, 3, params, &text, w, e) &&
         json_read(mem, text, strlen(text), CHANGES_DEPTH, changes, e);
}

/* The state is that of one command of a durable mutation. */
static bool is_part(struct engine *engine, void *mem, const char *mutation, const struct state_row *row) {
  struct mutation_outcome outcome;
  struct err why;

  err_init(&why, mem);
  return !mutation_look(engine, mem, row->datasource, mutation, &outcome, &why) && why.code == ERR_NOT_FOUND;
}

bool state_cancel(struct engine *engine, void *mem, const struct caller *caller, const char *mutation,
                  const struct state_row *row, struct err *e) {
  if (row->ended) return err_set(e, MUTATION_OVER, "The mutation has ended.");
  if (!row->durable) return err_set(e, NOT_CANCELLABLE, "The mutation runs within a request: whoever sent that can end it.");
  if (mutation_cancel(engine, mem, mutation, caller, e)) return true;
  return e->code == ERR_NOT_FOUND && is_part(engine, mem, mutation, row)
             ? err_set(e, NOT_CANCELLABLE, "The mutation is part of another, which can only be stopped as a whole.")
             : false;
}
