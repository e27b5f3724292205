/* Items of after-hooks, as one step of the plan: a row is made of literal text and of results that are read where they
 * are, on the server. */
#include "engine/outbox.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"
#include "engine/told.h"

#include <string.h>
#include <time.h>

/* A statement of this file has such an id in its variant's key, with the SHAPEs in its last bits. */
enum { KEY_OUTBOX = 0x7fffff00 };

/* How the rows are given. One row needs no arrays; a payload with no more than one whole result in it (nearly all) needs
 * no building of pieces: each spares the server some 20 us. */
enum shape_bits { SHAPE_SEVERAL = 1, SHAPE_PIECES = 2, SHAPE_SYNC = 4, SHAPE_KEYED = 8 };

/* A worker's lease on what it tries itself: the hook's timeout and some time to write down what came of it. */
enum { SYNC_LEASE_MORE_MS = 5000 };

/* Nesting of claims, more than a request may have. */
enum { CLAIMS_DEPTH = 1000 };

/* One row, as parameters. */
struct row {
  const char *hook;
  struct told told;
  const char *lease_ms; /* of who tries it now; NULL: runners only */
};
enum { ROW_FIELDS = sizeof(struct row) / sizeof(const char *) };

/* ---- what is told ---- */

static bool is_told(const struct use *use, size_t first, size_t end) {
  return use->command->nafter_hooks && !use->nested && use->entry >= first && use->entry < end;
}

void outbox_each_result(const struct command_set *set, size_t first, size_t end,
                        void (*visit)(const struct expr *result, void *data), void *data) {
  for (size_t i = 0; i < set->nuses; i++) {
    const struct use *use = &set->uses[i];

    if (!is_told(use, first, end)) continue;
    for (size_t a = 0; a < use->command->nargs; a++)
      if (use->args[a]) told_each_kept(use->args[a], visit, data);
    for (size_t h = 0; h < use->command->nafter_hooks; h++)
      if (use->keys[h]) told_each_kept(use->keys[h], visit, data);
    told_each_kept(use->result, visit, data);
  }
}

/* RFC 3339, UTC. */
static const char *wall_clock(void *mem) {
  char text[32];
  struct timespec now;
  struct tm parts;

  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &parts);
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  return arena_printf(mem, "%s.%03ldZ", text, now.tv_nsec / 1000000);
}

static struct expr literal_json(const void *mem, const char *text) {
  const struct json *value;
  struct err e;

  err_init(&e, mem);
  if (!json_read(mem, text, strlen(text), CLAIMS_DEPTH, &value, &e)) value = &json_null; /* it was read before */
  return (struct expr){.kind = EXPR_LITERAL, .literal = value};
}

static struct expr told_caller(void *mem, const struct plan *plan) {
  static const char *const keys[] = {"role", "user", "claims"};
  const struct expr items[] = {told_text(mem, plan->caller_role),
                               told_text(mem, *plan->caller_user ? plan->caller_user : NULL),
                               literal_json(mem, plan->claims)};

  return told_object(mem, keys, items, 3);
}

const char outbox_purpose[] = "after-hooks";

const char *outbox_tail(const struct compiler *k, const struct plan *plan) {
  static const char *const keys[] = {"caller", "mutation", "request_id", "at"};
  const struct expr items[] = {told_caller(k->mem, plan), told_text(k->mem, k->mutation),
                               told_text(k->mem, plan->request_id), told_text(k->mem, wall_clock(k->mem))};
  const struct expr tail = told_object(k->mem, keys, items, sizeof items / sizeof *items);
  struct told out;

  told_put(k->mem, &tail, NULL, false, &out);       /* all literals */
  return arena_printf(k->mem, ",%s", out.head + 1); /* behind other members */
}

/* The body of a delivery. */
static struct expr told(const struct compiler *k, const struct plan *plan, const struct use *use, const struct hook *hook) {
  static const char *const keys[] = {"hook", "command", "args", "result", "caller", "mutation", "request_id", "at"};
  const struct expr items[] = {told_text(k->mem, hook->name),
                               told_text(k->mem, use->command->name),
                               told_args(k->mem, use),
                               told_value(k->mem, use->result),
                               told_caller(k->mem, plan),
                               told_text(k->mem, k->mutation),
                               told_text(k->mem, plan->request_id),
                               told_text(k->mem, wall_clock(k->mem))};

  return told_object(k->mem, keys, items, sizeof items / sizeof *items);
}

/* ---- rows ---- */

static const struct expr *told_key(void *mem, const struct expr *key) {
  struct expr *out;

  if (!key) return NULL;
  out = arena_new(mem, struct expr);
  *out = told_value(mem, key);
  return out;
}

/* What the rows are to be made of, before their text is. */
struct item {
  const struct hook *hook;
  struct expr payload;
  const struct expr *key; /* NULL: no order */
};

static struct row row_of(void *mem, const struct item *item, unsigned shape) {
  struct row row = {.hook = item->hook->name};

  told_put(mem, &item->payload, item->key, shape & SHAPE_PIECES, &row.told);
  if (item->hook->sync) row.lease_ms = arena_printf(mem, "%d", item->hook->service.timeout_ms + SYNC_LEASE_MORE_MS);
  return row;
}

static struct item *collect(const struct compiler *k, const struct command_set *set, size_t first, size_t end,
                            const struct plan *plan, size_t *n, unsigned *shape) {
  struct item *items = NULL;

  *n = 0;
  *shape = 0;
  for (size_t i = 0; i < set->nuses; i++) {
    const struct use *use = &set->uses[i];

    for (size_t h = 0; is_told(use, first, end) && h < use->command->nafter_hooks; h++) {
      struct item *item;
      arena_grow(k->mem, items, *n);
      item = &items[(*n)++];
      item->hook = &use->command->after_hooks[h];
      item->payload = told(k, plan, use, item->hook);
      item->key = told_key(k->mem, use->keys[h]);
      if (!told_is_simple(&item->payload, item->key)) *shape |= SHAPE_PIECES;
      if (item->hook->sync) *shape |= SHAPE_SYNC;
      if (item->key) *shape |= SHAPE_KEYED;
    }
  }
  if (*n > 1) *shape |= SHAPE_SEVERAL;
  return items;
}

/* ---- the statement ---- */

static const char one_row[] =
    "(select $2::text as hook, $3::text as key, $4::text as place, $5::text as head, $6::text as slot, $7::text as tail, "
    "$8::text as lease, 1 as o)";
static const char several_rows[] =
    "(select * from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[]) "
    "with ordinality as u(hook, key, place, head, slot, tail, lease, o))";

/* What is to be tried before the answer is leased to the worker, when no other item of its key is ahead of it. Each of the two
 * looks has its index: that of what waits, by the order that only it has, and that of dead letters. */
static const char sync_insert[] =
    "with i as (insert into writ.outbox (mutation, hook, key, payload, owner, due) select $1::uuid, hook, k, p, "
    "case when mine then $9::uuid end, "
    "case when mine then clock_timestamp() + lease::integer * interval '1 ms' else now() end from ("
    "select *, lease is not null and (k is null or (row_number() over (partition by hook, k order by o) = 1 "
    "and (select true from writ.outbox a where a.hook = z.hook and a.key = z.k and a.dead is null "
    "order by a.id + 0 limit 1) is null and (select true from writ.outbox d "
    "where d.hook = z.hook and d.key = z.k and d.dead is not null limit 1) is null)) as mine from (";
static const char sync_end[] =
    ") z) w order by o returning id, hook, payload, owner) "
    "select coalesce(json_agg(json_build_array(id::text, hook, payload) order by id), '[]')::text from i "
    "where owner is not null";

static const char insert[] = "insert into writ.outbox (mutation, hook, key, payload) select $1::uuid, hook, k, p from (";
static const char insert_end[] = ") w order by o";

/* One row without a key, nearly always all there is: half of the work. */
static const char plain_insert[] =
    "insert into writ.outbox (mutation, hook, payload) values ($1::uuid, $2::text, "
    "$3::text || coalesce(pg_catalog.current_setting($4::text), '') || coalesce($5::text, ''))";

static char *statement_text(const void *mem, unsigned shape) {
  struct str *s = str_new(mem, 1024);

  str_add(s, shape & SHAPE_SYNC ? sync_insert : insert);
  str_printf(s, "select hook, %s as k, p, lease, o from (select x.hook, x.lease, x.o, %s from %s x offset 0) y",
             TOLD_SHORT("k"), shape & SHAPE_PIECES ? TOLD_BUILT : TOLD_SIMPLE,
             shape & SHAPE_SEVERAL ? several_rows : one_row);
  str_add(s, shape & SHAPE_SYNC ? sync_end : insert_end);
  return s->p;
}

/* The parameters of rows behind $1, in the order of the statement. */
static unsigned put_params(void *mem, const struct row *rows, size_t n, unsigned shape, const char **params) {
  unsigned count = 0;

  if (shape) {
    for (size_t f = 0; f < ROW_FIELDS; f++)
      params[count++] = told_field(mem, rows, n, sizeof *rows, f * sizeof(const char *));
    return count;
  }
  params[count++] = rows->hook;
  params[count++] = rows->told.head;
  params[count++] = rows->told.slot;
  params[count++] = rows->told.tail;
  return count;
}

static struct statement statement_for(struct compiler *k, unsigned shape) {
  uint32_t id = KEY_OUTBOX + shape;
  struct statement s;

  if (variants_find(k->variants, &id, sizeof id, &s)) return s;
  return variants_add(k->variants, k->mem, &id, sizeof id,
                      shape ? statement_text(k->mem, shape) : arena_strdup(k->mem, plain_insert));
}

void outbox_compile(struct compiler *k, struct command_set *set, size_t first, size_t end, struct plan *plan) {
  const char **params = arena_array(k->mem, const char *, ROW_FIELDS + 2);
  struct item *items;
  struct row *rows;
  unsigned shape, n = 0;
  size_t count;

  set->outbox_step = SIZE_MAX;
  set->outbox_owner = NULL;
  set->outbox_sync = 0;
  if (plan->dry_run || k->guarding) return;
  items = collect(k, set, first, end, plan, &count, &shape);
  if (!count) return;
  rows = arena_array(k->mem, struct row, count);
  for (size_t i = 0; i < count; i++) rows[i] = row_of(k->mem, &items[i], shape);
  params[n++] = k->mutation;
  n += put_params(k->mem, rows, count, shape, params + n);
  if (shape & SHAPE_SYNC) params[n++] = set->outbox_owner = k->mutation;
  for (size_t i = 0; i < count; i++) set->outbox_sync += items[i].hook->sync;
  set->outbox_step = plan->n;
  plan->durable = true;
  arena_grow(k->mem, plan->steps, plan->n);
  plan->steps[plan->n++] = (struct step){.statement = statement_for(k, shape),
                                         .params = params,
                                         .nparams = n,
                                         .gives = shape & SHAPE_SYNC ? GIVES_TEXT : GIVES_NOTHING,
                                         .as_login = true,
                                         .member = MEMBER_NONE,
                                         .purpose = outbox_purpose};
}

void outbox_explain(struct err *e) {
  const char *s = e->sqlstate;

  if (strcmp(s, "42501") != 0 && strcmp(s, "42P01") != 0 && strcmp(s, "3F000") != 0) return;
  err_set(e, DATABASE_UNAVAILABLE, "The database is not prepared for after-hooks; nothing was changed.");
  e->log_detail = "the login role may not use table writ.outbox: run `writ install`, with --grant";
  e->retry_after_s = 5;
}
