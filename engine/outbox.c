/* Items of after-hooks, as one step of the plan: a row is made of literal text and of results that are read where they
 * are, on the server. */
#include "engine/outbox.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"
#include "compile/param.h"

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
  const char *key;      /* literal text; NULL: no order */
  const char *place;    /* behind that, {slot, path...}; NULL: nothing */
  const char *head;     /* literal text, or the pieces */
  const char *slot;     /* behind that, a whole result; NULL: nothing */
  const char *tail;
  const char *lease_ms; /* of who tries it now; NULL: runners only */
};
enum { ROW_FIELDS = sizeof(struct row) / sizeof(const char *) };

/* ---- what is told ---- */

static bool is_known(const struct expr *result) { return result->node->command->kind == COMMAND_HANDLER; }

/* By the server, for this step. Results of CALL and MERGE cannot be kept: they are told as null. */
static bool can_be_kept(const struct expr *result) {
  enum sql_verb verb = result->node->command->sql.verb;
  return !is_known(result) && verb != SQL_CALL && verb != SQL_MERGE;
}

static void put_text(struct str **s, struct str *tail, const struct expr *x);

struct visitor {
  void (*visit)(const struct expr *result, void *data);
  void *data;
};

static void visit_kept(const struct expr *result, void *data) {
  const struct visitor *v = data;
  if (can_be_kept(result)) v->visit(result, v->data);
}

static bool is_told(const struct use *use, size_t first, size_t end) {
  return use->command->nafter_hooks && !use->nested && use->entry >= first && use->entry < end;
}

void outbox_each_result(const struct command_set *set, size_t first, size_t end,
                        void (*visit)(const struct expr *result, void *data), void *data) {
  struct visitor v = {visit, data};

  for (size_t i = 0; i < set->nuses; i++) {
    const struct use *use = &set->uses[i];

    if (!is_told(use, first, end)) continue;
    for (size_t a = 0; a < use->command->nargs; a++)
      if (use->args[a]) expr_each_result(use->args[a], visit_kept, &v);
    for (size_t h = 0; h < use->command->nafter_hooks; h++)
      if (use->keys[h]) expr_each_result(use->keys[h], visit_kept, &v);
    expr_each_result(use->result, visit_kept, &v);
  }
}

static struct expr literal_text(const void *mem, const char *text) {
  struct json *value = arena_new(mem, struct json);

  *value = text ? (struct json){.kind = JSON_STRING, .text = text, .len = strlen(text)} : json_null;
  return (struct expr){.kind = EXPR_LITERAL, .literal = value};
}

/* What a program answered is known here; the rest of what cannot be kept is null. */
static struct expr known_result(const struct expr *x) {
  const struct json *value = is_known(x) && x->node->value ? json_at(x->node->value, x->path, x->npath) : NULL;
  return (struct expr){.kind = EXPR_LITERAL, .literal = value ? value : &json_null};
}

/* The same without results that are not to be read on the server. */
static struct expr tellable(void *mem, const struct expr *x) {
  struct expr out = *x, *items;

  if (x->kind == EXPR_RESULT && !can_be_kept(x)) return known_result(x);
  if (x->kind != EXPR_ARRAY && x->kind != EXPR_OBJECT) return out;
  items = arena_array(mem, struct expr, x->n ? x->n : 1);
  for (size_t i = 0; i < x->n; i++) items[i] = tellable(mem, &x->items[i]);
  out.items = items;
  return out;
}

static struct expr told_args(void *mem, const struct use *use) {
  const struct command *c = use->command;
  struct expr *items = arena_array(mem, struct expr, c->nargs ? c->nargs : 1);
  const char **keys = arena_array(mem, const char *, c->nargs ? c->nargs : 1);

  for (size_t i = 0; i < c->nargs; i++) {
    keys[i] = c->args[i].name;
    items[i] = use->args[i] ? tellable(mem, use->args[i])
                            : (struct expr){.kind = EXPR_LITERAL, .literal = c->args[i].fallback};
  }
  return (struct expr){.kind = EXPR_OBJECT, .items = items, .keys = keys, .n = c->nargs};
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

static struct expr object(void *mem, const char *const *keys, const struct expr *items, size_t n) {
  struct expr *copy = arena_array(mem, struct expr, n);

  memcpy(copy, items, n * sizeof *items);
  return (struct expr){.kind = EXPR_OBJECT, .items = copy, .keys = keys, .n = n};
}

static struct expr told_caller(void *mem, const struct plan *plan) {
  static const char *const keys[] = {"role", "user", "claims"};
  const struct expr items[] = {literal_text(mem, plan->caller_role),
                               literal_text(mem, *plan->caller_user ? plan->caller_user : NULL),
                               literal_json(mem, plan->claims)};

  return object(mem, keys, items, 3);
}

const char outbox_purpose[] = "after-hooks";

const char *outbox_tail(const struct compiler *k, const struct plan *plan) {
  static const char *const keys[] = {"caller", "mutation", "request_id", "at"};
  const struct expr items[] = {told_caller(k->mem, plan), literal_text(k->mem, k->mutation),
                               literal_text(k->mem, plan->request_id), literal_text(k->mem, wall_clock(k->mem))};
  const struct expr tail = object(k->mem, keys, items, sizeof items / sizeof *items);
  struct str *s = str_new(k->mem, 256), *rest = s;

  put_text(&rest, s, &tail);
  return arena_printf(k->mem, ",%s", s->p + 1); /* behind other members */
}

/* The body of a delivery. */
static struct expr told(const struct compiler *k, const struct plan *plan, const struct use *use, const struct hook *hook) {
  static const char *const keys[] = {"hook", "command", "args", "result", "caller", "mutation", "request_id", "at"};
  const struct expr items[] = {literal_text(k->mem, hook->name),    literal_text(k->mem, use->command->name),
                               told_args(k->mem, use),              tellable(k->mem, use->result),
                               told_caller(k->mem, plan),           literal_text(k->mem, k->mutation),
                               literal_text(k->mem, plan->request_id), literal_text(k->mem, wall_clock(k->mem))};

  return object(k->mem, keys, items, sizeof items / sizeof *items);
}

/* ---- rows ---- */

struct holes {
  size_t n;
  const struct expr *last;
};

static void count_hole(const struct expr *result, void *data) {
  struct holes *holes = data;

  holes->n++;
  holes->last = result;
}

static struct holes holes_of(const struct expr *x) {
  struct holes holes = {0};

  expr_each_result(x, count_hole, &holes);
  return holes;
}

/* Text of an expression; where a result comes, that of head ends and *s becomes tail. */
static void put_text(struct str **s, struct str *tail, const struct expr *x) {
  if (x->kind == EXPR_RESULT) *s = tail;
  else if (x->kind == EXPR_LITERAL) json_write(*s, x->literal);
  if (x->kind != EXPR_ARRAY && x->kind != EXPR_OBJECT) return;
  str_char(*s, x->kind == EXPR_ARRAY ? '[' : '{');
  for (size_t i = 0; i < x->n; i++) {
    if (i) str_char(*s, ',');
    if (x->kind == EXPR_OBJECT) {
      str_json(*s, x->keys[i]);
      str_char(*s, ':');
    }
    put_text(s, tail, &x->items[i]);
  }
  str_char(*s, x->kind == EXPR_ARRAY ? ']' : '}');
}

static bool is_simple(const struct expr *payload) {
  struct holes holes = holes_of(payload);
  return holes.n == 0 || (holes.n == 1 && !holes.last->npath);
}

static void put_payload(void *mem, const struct expr *payload, bool pieces, struct row *row) {
  struct str *head, *tail, *s;
  struct holes holes;

  if (pieces) {
    row->head = param_pieces(mem, payload);
    return;
  }
  holes = holes_of(payload);
  s = head = str_new(mem, 512);
  tail = str_new(mem, 256);
  put_text(&s, tail, payload);
  row->head = head->p;
  row->tail = tail->p;
  if (holes.n) row->slot = arena_printf(mem, "writ.s%u", holes.last->node->slot);
}

/* A key is text: its parts with a colon between. Of a string it takes what it says, as 42 and "42" are the same user. */
struct key_text {
  void *mem;
  struct str *pieces; /* NULL: text is all, and place what comes behind it */
  struct str *text;
  const char *place;
  bool begun;
};

static void flush_text(struct key_text *t) {
  if (!t->text->len) return;
  str_json(t->pieces, t->text->p);
  str_char(t->pieces, ',');
  str_clear(t->text);
}

static void put_key_result(struct key_text *t, const struct expr *result) {
  t->place = param_place(t->mem, result);
  if (!t->pieces) return;
  flush_text(t);
  str_char(t->pieces, '[');
  str_json(t->pieces, t->place);
  str_add(t->pieces, "],");
}

static void put_key_literal(struct key_text *t, const struct json *value) {
  if (value->kind == JSON_ARRAY || value->kind == JSON_OBJECT) {
    for (size_t i = 0; i < value->len; i++) put_key_literal(t, &value->items[i]);
    return;
  }
  if (t->begun) str_char(t->text, ':');
  t->begun = true;
  if (value->kind == JSON_STRING) str_bytes(t->text, value->text, value->len);
  else if (value->kind != JSON_NULL) json_write(t->text, value);
}

static void put_key_part(struct key_text *t, const struct expr *x) {
  if (x->kind == EXPR_LITERAL) put_key_literal(t, x->literal);
  for (size_t i = 0; i < x->n; i++) put_key_part(t, &x->items[i]);
  if (x->kind != EXPR_RESULT) return;
  if (t->begun) str_char(t->text, ':');
  t->begun = true;
  put_key_result(t, x);
}

/* Is a result the last of its parts, or none of them? */
static bool is_simple_key(const struct expr *key) {
  const struct expr *last = key;

  if (holes_of(key).n == 0) return true;
  while (last->n) last = &last->items[last->n - 1];
  return holes_of(key).n == 1 && last->kind == EXPR_RESULT;
}

static void put_key(void *mem, const struct expr *key, bool pieces, struct row *row) {
  struct key_text t = {.mem = mem, .text = str_new(mem, 64), .pieces = pieces ? str_new(mem, 64) : NULL};

  if (pieces) str_char(t.pieces, '[');
  put_key_part(&t, key);
  row->key = t.text->p;
  row->place = t.place;
  if (!pieces) return;
  flush_text(&t);
  str_add(t.pieces, "null]");
  row->key = t.pieces->p;
}

static const struct expr *told_key(void *mem, const struct expr *key) {
  struct expr *out;

  if (!key) return NULL;
  out = arena_new(mem, struct expr);
  *out = tellable(mem, key);
  return out;
}

/* What the rows are to be made of, before their text is. */
struct item {
  const struct hook *hook;
  struct expr payload;
  const struct expr *key; /* NULL: no order */
};

static struct row row_of(void *mem, const struct item *item, unsigned shape) {
  bool pieces = shape & SHAPE_PIECES;
  struct row row = {.hook = item->hook->name};

  put_payload(mem, &item->payload, pieces, &row);
  if (item->key) put_key(mem, item->key, pieces, &row);
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
      if (!is_simple(&item->payload) || (item->key && !is_simple_key(item->key))) *shape |= SHAPE_PIECES;
      if (item->hook->sync) *shape |= SHAPE_SYNC;
      if (item->key) *shape |= SHAPE_KEYED;
    }
  }
  if (*n > 1) *shape |= SHAPE_SEVERAL;
  return items;
}

/* ---- the statement ---- */

/* A text[] literal of one field of all rows; or of one row, the field itself. */
static const char *field(void *mem, const struct row *rows, size_t n, size_t offset) {
  struct str *s;

  if (n == 1) return *(const char *const *)((const char *)rows + offset);
  s = str_new(mem, 256);
  for (size_t i = 0; i < n; i++) {
    const char *text = *(const char *const *)((const char *)&rows[i] + offset);

    str_char(s, i ? ',' : '{');
    if (text) str_sql_element(s, text);
    else str_add(s, "NULL");
  }
  str_char(s, '}');
  return s->p;
}

static const char one_row[] =
    "(select $2::text as hook, $3::text as key, $4::text as place, $5::text as head, $6::text as slot, $7::text as tail, "
    "$8::text as lease, 1 as o)";
static const char several_rows[] =
    "(select * from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[]) "
    "with ordinality as u(hook, key, place, head, slot, tail, lease, o))";

#define TEXT_AT(place) "coalesce(pg_catalog.current_setting((" place "::text[])[1])::json #>> (" place "::text[])[2:], '')"
static const char simple_values[] =
    "x.key || case when x.place is null then '' else " TEXT_AT("x.place") " end as k, "
    "x.head || coalesce(pg_catalog.current_setting(x.slot), '') || coalesce(x.tail, '') as p";
static const char built_values[] =
    "(select string_agg(case json_typeof(e) when 'string' then e #>> '{}' when 'array' then " TEXT_AT("(e ->> 0)") " end, "
    "'' order by n) from json_array_elements(x.key::json) with ordinality as t(e, n)) as k, " WRAP_BUILD("x.head") " as p";

/* An index row has room for some 2700 bytes. */
static const char short_key[] = OUTBOX_SHORT_KEY;

/* What is to be tried before the answer is leased to the worker, when no other item of its key is ahead of it. */
static const char sync_insert[] =
    "with i as (insert into writ.outbox (mutation, hook, key, payload, owner, due) select $1::uuid, hook, k, p, "
    "case when mine then $9::uuid end, "
    "case when mine then clock_timestamp() + lease::integer * interval '1 ms' else now() end from ("
    "select *, lease is not null and (k is null or (row_number() over (partition by hook, k order by o) = 1 "
    "and not exists (select from writ.outbox a where a.hook = z.hook and a.key = z.k))) as mine from (";
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
  str_printf(s, "select hook, %s as k, p, lease, o from (select x.hook, x.lease, x.o, %s from %s x offset 0) y", short_key,
             shape & SHAPE_PIECES ? built_values : simple_values, shape & SHAPE_SEVERAL ? several_rows : one_row);
  str_add(s, shape & SHAPE_SYNC ? sync_end : insert_end);
  return s->p;
}

/* The parameters of rows behind $1, in the order of the statement. */
static unsigned put_params(void *mem, const struct row *rows, size_t n, unsigned shape, const char **params) {
  unsigned count = 0;

  if (shape) {
    for (size_t f = 0; f < ROW_FIELDS; f++) params[count++] = field(mem, rows, n, f * sizeof(const char *));
    return count;
  }
  params[count++] = rows->hook;
  params[count++] = rows->head;
  params[count++] = rows->slot;
  params[count++] = rows->tail;
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
  plan->steps[plan->n++] = (struct step){.statement = statement_for(k, shape), .params = params, .nparams = n,
                                         .gives = shape & SHAPE_SYNC ? GIVES_TEXT : GIVES_NOTHING, .as_login = true,
                                         .member = MEMBER_NONE, .purpose = outbox_purpose};
}

void outbox_explain(struct err *e) {
  const char *s = e->sqlstate;

  if (strcmp(s, "42501") != 0 && strcmp(s, "42P01") != 0 && strcmp(s, "3F000") != 0) return;
  err_set(e, DATABASE_UNAVAILABLE, "The database is not prepared for after-hooks; nothing was changed.");
  e->log_detail = "the login role may not use table writ.outbox: run `writ install`, with --grant";
  e->retry_after_s = 5;
}
