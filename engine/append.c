/* The events of a transaction as one step of its plan, made of literal text and of results that are read where they are. */
#include "engine/append.h"

#include "base/arena.h"
#include "base/str.h"
#include "engine/told.h"

#include <string.h>

/* A statement of this file has such an id in its variant's key, with the SHAPEs in its last bits. */
enum { KEY_APPEND = 0x7ffffe00 };
/* How the rows are given. PLAIN, nearly all there are, has none of OTHERS: one row whose key is known here, or has none. It has
 * only what it needs: each parameter costs PostgreSQL some 1,300 instructions, each function some 3,000. */
enum shape_bits {
  SHAPE_SEVERAL = 1,
  SHAPE_PIECES = 2,
  SHAPE_PLACED = 4,
  SHAPE_OTHERS = 7,
  SHAPE_SLOT = 8,
  SHAPE_USER = 16,
  SHAPE_TRACE = 32, /* of PLAIN: a result in its payload; the caller has a user, a trace */
};
/* A longer key is cut, by SQL (TOLD_SHORT). */
enum { PLAIN_KEY = 200 };

/* One row, as parameters. */
struct row {
  const char *command, *name;
  struct told told;
};
enum { ROW_FIELDS = sizeof(struct row) / sizeof(const char *), PARAMS = 4 + ROW_FIELDS };

static bool has_events(const struct use *use, size_t first, size_t end) {
  return use->command->nevents && use->entry >= first && use->entry < end;
}

bool append_is_needed(const struct command_set *set, size_t entry) {
  for (size_t i = 0; i < set->nuses; i++)
    if (has_events(&set->uses[i], entry, entry + 1)) return true;
  return false;
}

static void each_result_of(const struct use *use, size_t event, void (*visit)(const struct expr *, void *), void *data) {
  if (use->event_keys[event]) told_each_kept(use->event_keys[event], visit, data);
  if (use->event_payloads[event]) {
    told_each_kept(use->event_payloads[event], visit, data);
    return;
  }
  for (size_t a = 0; a < use->command->nargs; a++)
    if (use->args[a]) told_each_kept(use->args[a], visit, data);
  told_each_kept(use->result, visit, data);
}

void append_each_result(const struct command_set *set, size_t first, size_t end,
                        void (*visit)(const struct expr *result, void *data), void *data) {
  for (size_t i = 0; i < set->nuses; i++)
    for (size_t e = 0; has_events(&set->uses[i], first, end) && e < set->uses[i].command->nevents; e++)
      each_result_of(&set->uses[i], e, visit, data);
}

/* ---- rows ---- */

static struct expr payload_of(void *mem, const struct use *use, size_t event) {
  static const char *const keys[] = {"args", "result"};

  if (use->event_payloads[event]) return told_value(mem, use->event_payloads[event]);
  return told_object(mem, keys, (const struct expr[]){told_args(mem, use), told_value(mem, use->result)}, 2);
}

/* What a row is to be made of, before its text is. */
struct item {
  const char *command, *name;
  struct expr payload, key;
  bool has_key;
};

static void add_item(struct compiler *k, const struct use *use, size_t event, struct item *out) {
  const struct expr *key = use->event_keys[event];

  *out = (struct item){.command = use->command->name,
                       .name = use->command->events[event].name,
                       .payload = payload_of(k->mem, use, event),
                       .has_key = key != NULL};
  if (key) out->key = told_value(k->mem, key);
}

static struct item *collect(struct compiler *k, const struct command_set *set, size_t first, size_t end, size_t *n,
                            unsigned *shape) {
  struct item *items = NULL;

  *n = 0;
  *shape = 0;
  for (size_t i = 0; i < set->nuses; i++)
    for (size_t e = 0; has_events(&set->uses[i], first, end) && e < set->uses[i].command->nevents; e++) {
      struct item *item;

      arena_grow(k->mem, items, *n);
      item = &items[(*n)++];
      add_item(k, &set->uses[i], e, item);
      if (!told_is_simple(&item->payload, item->has_key ? &item->key : NULL)) *shape |= SHAPE_PIECES;
    }
  if (*n > 1) *shape |= SHAPE_SEVERAL;
  return items;
}

static struct row *make_rows(void *mem, const struct item *items, size_t n, unsigned *shape) {
  struct row *rows = arena_array(mem, struct row, n);

  for (size_t i = 0; i < n; i++) {
    struct told *told = &rows[i].told;

    rows[i].command = items[i].command;
    rows[i].name = items[i].name;
    told_put(mem, &items[i].payload, items[i].has_key ? &items[i].key : NULL, *shape & SHAPE_PIECES, told);
    if (told->place || (told->key && strlen(told->key) > PLAIN_KEY)) *shape |= SHAPE_PLACED;
  }
  return rows;
}

/* ---- the statement ---- */

#define INSERT "insert into writ.event_new (mutation, role, command, name, key, payload%s%s) "

static const char one_row[] =
    "(select $5::text as command, $6::text as name, $7::text as key, $8::text as place, $9::text as head, $10::text as slot, "
    "$11::text as tail, 1 as o)";
static const char several_rows[] =
    "(select * from unnest($5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[]) "
    "with ordinality as u(command, name, key, place, head, slot, tail, o))";

static char *plain_text(const void *mem, unsigned shape) {
  bool user = shape & SHAPE_USER, trace = shape & SHAPE_TRACE, slot = shape & SHAPE_SLOT;
  unsigned n = slot ? 8 : 6;
  struct str *s = str_new(mem, 512);

  str_printf(s, INSERT "values ($1::uuid, $2::text, $3::text, $4::text, $5::text, %s", user ? ", caller_user" : "",
             trace ? ", traceparent" : "",
             slot ? "($6::text || pg_catalog.current_setting($7::text) || $8::text)::jsonb" : "$6::jsonb");
  if (user) str_printf(s, ", $%u::text", ++n);
  if (trace) str_printf(s, ", $%u::text", ++n);
  str_char(s, ')');
  return s->p;
}

/* Numbers are drawn behind the sort: a set's events are in the order of its commands. */
static char *statement_text(const void *mem, unsigned shape) {
  if (!(shape & SHAPE_OTHERS)) return plain_text(mem, shape);
  return arena_printf(mem,
                      INSERT "select $1::uuid, $2::text, command, name, %s, p::jsonb, $3::text, $4::text from "
                             "(select x.command, x.name, x.o, %s from %s x offset 0) y order by o",
                      ", caller_user", ", traceparent", TOLD_SHORT("nullif(k, '')"),
                      shape & SHAPE_PIECES ? TOLD_BUILT : TOLD_SIMPLE, shape & SHAPE_SEVERAL ? several_rows : one_row);
}

static struct statement statement_for(struct compiler *k, unsigned shape) {
  uint32_t id = KEY_APPEND + shape;
  struct statement s;

  if (variants_find(k->variants, &id, sizeof id, &s)) return s;
  return variants_add(k->variants, k->mem, &id, sizeof id, statement_text(k->mem, shape));
}

static unsigned put_plain(const struct row *row, const struct plan *plan, const char *traceparent, unsigned *shape,
                          const char **params) {
  const struct told *told = &row->told;
  unsigned n = 0;

  params[n++] = row->command;
  params[n++] = row->name;
  params[n++] = told->key && *told->key ? told->key : NULL;
  params[n++] = told->head;
  if (told->slot) {
    *shape |= SHAPE_SLOT;
    params[n++] = told->slot;
    params[n++] = told->tail;
  }
  if (*plan->caller_user) {
    *shape |= SHAPE_USER;
    params[n++] = plan->caller_user;
  }
  if (traceparent) {
    *shape |= SHAPE_TRACE;
    params[n++] = traceparent;
  }
  return n;
}

/* Behind mutation and role. */
static unsigned put_params(const struct compiler *k, const struct plan *plan, const struct row *rows, size_t n,
                           unsigned *shape, const char **params) {
  unsigned count = 0;

  if (!(*shape & SHAPE_OTHERS)) return put_plain(rows, plan, k->traceparent, shape, params);
  params[count++] = *plan->caller_user ? plan->caller_user : NULL;
  params[count++] = k->traceparent;
  for (size_t f = 0; f < ROW_FIELDS; f++)
    params[count++] = told_field(k->mem, rows, n, sizeof *rows, f * sizeof(const char *));
  return count;
}

void append_compile(struct compiler *k, struct command_set *set, size_t first, size_t end, struct plan *plan) {
  const char **params;
  struct item *items;
  struct row *rows;
  unsigned shape, n = 0;
  size_t count;

  set->events_step = SIZE_MAX;
  if (plan->dry_run || k->guarding) return;
  items = collect(k, set, first, end, &count, &shape);
  if (!count) return;
  rows = make_rows(k->mem, items, count, &shape);
  params = arena_array(k->mem, const char *, PARAMS);
  params[n++] = k->mutation;
  params[n++] = plan->caller_role;
  n += put_params(k, plan, rows, count, &shape, params + n);
  set->events_step = plan->n;
  arena_grow(k->mem, plan->steps, plan->n);
  plan->steps[plan->n++] = (struct step){.statement = statement_for(k, shape),
                                         .params = params,
                                         .nparams = n,
                                         .gives = GIVES_NOTHING,
                                         .as_login = true,
                                         .member = MEMBER_NONE,
                                         .purpose = "events"};
}

void append_explain(struct err *e) {
  const char *s = e->sqlstate;

  if (strcmp(s, "42501") != 0 && strcmp(s, "42P01") != 0 && strcmp(s, "3F000") != 0) return;
  err_set(e, DATABASE_UNAVAILABLE, "The database is not prepared for events; nothing was changed.");
  e->log_detail = "the login role may not use table writ.event_new: run `writ install`, with --grant";
  e->retry_after_s = 5;
}
