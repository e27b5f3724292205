/* Mutexes of a transaction: advisory locks that end with it, taken in one statement ahead of all that looks at data, in the
 * order of what is locked. First none is waited for, so that a worker waits only where it must: then the flight is sent
 * again, and waits. */
#include "engine/engine_inside.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "commands/locks.h"
#include "compile/param.h"
#include "db/hold.h"

#include <stdlib.h>
#include <string.h>

enum { RELEASE_MS = 5000 };

/* The locks x (h) of the names $1, each an array in which texts and names of settings take turns, but for those in $2.
 * offset 0 keeps the order, and the functions that lock, apart from what is below. */
#define LOCKS                                                                                                               \
  " from (select h from (select distinct hashtext((select string_agg(case when o % 2 = 1 then p else "                      \
  "pg_catalog.current_setting(p) end, '' order by o) from json_array_elements_text(name) with ordinality as y (p, o))) "    \
  "from json_array_elements($1::json) as z (name)) as n (h) where h <> all ($2::integer[]) order by h offset 0) x"

/* Where nobody waits it makes no difference when the snapshot was taken; where somebody does, the flight must know. */
static const char try_sql[] =
    "select case when coalesce(bool_and(pg_catalog.pg_try_advisory_xact_lock(" LOCK_MUTEXES ", h)), true) then null else "
    "writ.fail('MUTEX_TAKEN', pg_catalog.current_setting('transaction_isolation'), 409) end" LOCKS;
static const char save_sql[] =
    "select pg_catalog.set_config('writ.lock_timeout', pg_catalog.current_setting('lock_timeout'), true)";
/* lock_timeout is for each lock: it is set anew for each, to what is left of $3 ms. */
static const char wait_sql[] =
    "select pg_catalog.set_config('lock_timeout', greatest(1, $3::integer - (1000 * extract(epoch from "
    "clock_timestamp() - statement_timestamp()))::integer)::text, true), "
    "pg_catalog.pg_advisory_xact_lock(" LOCK_MUTEXES ", h)" LOCKS;
static const char restore_sql[] =
    "select pg_catalog.set_config('lock_timeout', pg_catalog.current_setting('writ.lock_timeout'), true)";

static size_t add(struct run *r, struct plan *plan, const char *sql, const char **params, unsigned n, const char *purpose) {
  arena_grow(r->mem, plan->steps, plan->n);
  plan->steps[plan->n] = (struct step){.statement = variants_text(r->engine->variants, r->mem, sql),
                                       .params = params,
                                       .nparams = n,
                                       .gives = GIVES_NOTHING,
                                       .member = MEMBER_NONE,
                                       .purpose = purpose};
  return plan->n++;
}

/* ---- names ---- */

/* The names of a transaction in the making. */
struct naming {
  struct run *r;
  struct plan *plan;
  const struct use *use;
  struct str *names;  /* JSON: arrays of pieces */
  struct str *text;   /* not yet a piece */
  struct str *people; /* the names as the manifest has them */
  unsigned slots;
};

static void end_text(struct naming *n) {
  str_json_bytes(n->names, n->text->p, n->text->len);
  str_clear(n->text);
}

static bool is_uuid(const char *s) {
  static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

  for (size_t i = 0; i < sizeof form; i++)
    if (form[i] == 'x' ? !s[i] || !strchr("0123456789abcdef", s[i]) : s[i] != form[i]) return false;
  return true;
}

static bool is_integer(const char *s) {
  if (strcmp(s, "0") == 0) return true;
  s += *s == '-';
  return *s >= '1' && *s <= '9' && s[strspn(s, "0123456789")] == '\0';
}

/* Is it how PostgreSQL itself would write the value? Then there is nothing to ask it. */
static bool is_plain(const struct type *type, const char *text) {
  enum { TEXT = 25, VARCHAR = 1043, UUID = 2950 }; /* pg_type.dat */

  if (type->kind == TYPE_JSON || type->oid == TEXT || type->oid == VARCHAR) return true;
  if (type->kind == TYPE_INTEGER) return is_integer(text);
  if (type->kind == TYPE_BOOLEAN) return strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
  return type->oid == UUID && is_uuid(text);
}

/* 7, 07 and " 7" are one integer and must be one mutex: PostgreSQL reads and writes it. */
static void put_cast(struct naming *n, const struct type *type, const char *text, const char *argument) {
  const char **params = arena_array(n->r->mem, const char *, 2);
  const char *format = type->kind == TYPE_NUMBER
                           ? "select pg_catalog.set_config($1, trim_scale(($2::%s)::numeric)::text, true)"
                           : "select pg_catalog.set_config($1, ($2::%s)::text, true)";
  size_t step;

  params[0] = arena_printf(n->r->mem, "writ.m%u", ++n->slots);
  params[1] = text;
  step = add(n->r, n->plan, arena_printf(n->r->mem, format, type->name), params, 2,
             arena_printf(n->r->mem, "%s of %s as PostgreSQL writes it", argument, n->use->command->name));
  n->plan->steps[step].argument = argument;
  end_text(n);
  str_printf(n->names, ",\"%s\",", params[0]);
}

static bool wrong(struct naming *n, const char *argument, struct err *e) {
  compile_place_use(n->r->mem, n->r->set, n->use, argument, e);
  return false;
}

/* A value out of the inside of an argument: it has no type. */
static void put_inner(struct naming *n, const struct json *value) {
  if (value->kind == JSON_STRING) str_add(n->text, value->text);
  else if (value->kind != JSON_NULL) json_write(n->text, value);
}

static const struct type *type_of(const struct run *r, const struct command *c, size_t argument) {
  const struct description *d = &r->engine->shapes[c->id].d;
  return d->ok && argument < d->nparams ? d->params[argument] : NULL;
}

static bool put_argument(struct naming *n, const struct mutex_part *part) {
  const struct command *c = n->use->command;
  const char *argument = c->args[part->argument].name, *text;
  const struct expr *x = n->use->args[part->argument];
  const struct type *type = part->npath ? NULL : type_of(n->r, c, part->argument);
  enum param_mode mode;

  if (!x) x = expr_literal(n->r->mem, c->args[part->argument].fallback);
  x = expr_at(n->r->mem, x, part->path, part->npath);
  if (!x) return true; /* nothing there: as null */
  if (x->kind != EXPR_LITERAL || x->was_result) {
    err_set(n->r->e, BAD_REQUEST, "The argument \"%s\" of \"%s\" is part of a mutex: it takes a value, not a reference.",
            argument, c->name);
    return wrong(n, argument, n->r->e);
  }
  if (!type) {
    put_inner(n, x->literal);
    return true;
  }
  if (!param_encode(n->r->mem, x, type, &mode, &text, n->r->e)) {
    n->r->e->message = arena_printf(n->r->mem, "The argument \"%s\" of \"%s\": %s.", argument, c->name, n->r->e->message);
    return wrong(n, argument, n->r->e);
  }
  if (!text) return true;
  if (is_plain(type, text)) str_add(n->text, text);
  else put_cast(n, type, text, argument);
  return true;
}

static bool put_name(struct naming *n, const struct mutex *mutex) {
  str_add(n->names, n->names->len > 1 ? ",[" : "[");
  for (size_t i = 0; i < mutex->nparts; i++) {
    if (mutex->parts[i].text) str_add(n->text, mutex->parts[i].text);
    else if (!put_argument(n, &mutex->parts[i])) return false;
  }
  end_text(n);
  str_char(n->names, ']');
  str_printf(n->people, "%s%s", n->people->len ? ", " : "", mutex->name);
  return true;
}

/* An array literal of the locks that a call up the chain holds. */
static const char *held_locks(const struct run *r, size_t datasource) {
  struct str *out = str_new(r->mem, 64);

  str_char(out, '{');
  for (size_t i = 0; i < r->call->nheld; i++)
    if (r->call->held[i].datasource == datasource)
      str_printf(out, "%s%d", out->len > 1 ? "," : "", (int)r->call->held[i].lock);
  str_char(out, '}');
  return out->p;
}

/* The names of entries [first, end), and ahead of them the steps that they need. *names NULL: there are none. */
static bool name_all(struct run *r, size_t first, size_t end, struct plan *plan, const char **names, const char **people) {
  struct naming n = {
      .r = r, .plan = plan, .names = str_new(r->mem, 128), .text = str_new(r->mem, 64), .people = str_new(r->mem, 64)};

  *names = NULL;
  str_char(n.names, '[');
  for (size_t i = 0; i < r->set->nuses; i++) {
    n.use = &r->set->uses[i];
    if (n.use->entry < first || n.use->entry >= end) continue;
    for (size_t j = 0; j < n.use->command->nmutexes; j++)
      if (!put_name(&n, &n.use->command->mutexes[j])) return false;
  }
  if (n.names->len == 1) return true;
  str_char(n.names, ']');
  *names = n.names->p;
  *people = n.people->p;
  return true;
}

/* ---- the steps of a flight ---- */

static int64_t left_ms(const struct run *r) {
  int64_t left = (r->mutexes.until_ms < r->wait.deadline_ms ? r->mutexes.until_ms : r->wait.deadline_ms) - clock_ms();
  return left > 1 ? left : 1;
}

static void add_waiting(struct run *r, struct plan *plan, const char *const *params, const char *people) {
  const char **three = arena_array(r->mem, const char *, 3);

  three[0] = params[0];
  three[1] = params[1];
  three[2] = arena_printf(r->mem, "%lld", (long long)left_ms(r));
  add(r, plan, save_sql, NULL, 0, "lock_timeout put aside");
  r->mutexes.lock = add(r, plan, wait_sql, three, 3, people);
  add(r, plan, restore_sql, NULL, 0, "lock_timeout as it was");
}

bool mutex_open(struct run *r, size_t datasource, size_t first, size_t end, struct plan *plan) {
  const char **params = arena_array(r->mem, const char *, 2), *people = NULL;

  r->mutexes.first = plan->n;
  r->mutexes.there = false;
  if (!name_all(r, first, end, plan, &params[0], &people)) return false;
  if (!params[0]) return true;
  r->mutexes.there = true;
  params[1] = held_locks(r, datasource);
  people = arena_printf(r->mem, "mutex %s", people);
  if (r->mutexes.waits) add_waiting(r, plan, params, people);
  else r->mutexes.lock = add(r, plan, try_sql, params, 2, people);
  return true;
}

/* ---- judging ---- */

static enum next busy(struct run *r) {
  err_set(r->e, MUTEX_BUSY, "Another request holds a mutex that this one needs; send it again a little later.");
  r->e->retry_after_s = 1;
  return NEXT_REFUSED;
}

/* A snapshot is older than the wait that follows it: under such an isolation the wait has a transaction of its own. */
static enum next wait_aside(struct run *r, size_t datasource, const struct plan *plan) {
  size_t first = r->mutexes.first, ncasts = r->mutexes.lock - first;
  struct plan waiting = {0};
  struct flight f;

  for (size_t i = 0; i < ncasts; i++) {
    arena_grow(r->mem, waiting.steps, waiting.n);
    waiting.steps[waiting.n++] = plan->steps[first + i];
  }
  add_waiting(r, &waiting, plan->steps[r->mutexes.lock].params, "wait for the mutexes");
  if (aside_run(r, datasource, waiting.steps, waiting.n, false, &f)) return NEXT_AGAIN;
  return strcmp(r->e->sqlstate, "55P03") == 0 ? busy(r) : NEXT_REFUSED;
}

static enum next wait_a_while(struct run *r, size_t datasource, const struct plan *plan) {
  int64_t now = clock_ms();
  bool fresh = strcmp(r->e->message, "read committed") == 0;

  if (!r->mutexes.until_ms) r->mutexes.until_ms = now + r->engine->config->mutex_wait_ms;
  if (now >= r->mutexes.until_ms) return busy(r);
  if (!wait_begin(r)) return busy(r);
  r->mutexes.waits = fresh;
  return fresh ? NEXT_AGAIN : wait_aside(r, datasource, plan);
}

enum next mutex_judge(struct run *r, size_t datasource, const struct plan *plan, const struct flight *f) {
  size_t at = f->failed_step;

  if (!r->mutexes.there || at < r->mutexes.first || at > r->mutexes.lock) return NEXT_OTHER;
  if (at < r->mutexes.lock) { /* a value that its type does not take */
    const char *argument = plan->steps[at].argument;

    if (r->e->code != ERR_DATA_ERROR) return NEXT_OTHER;
    err_set(r->e, BAD_ARGUMENT, "The argument \"%s\": %s", argument, r->e->message);
    r->e->argument = argument;
    return NEXT_REFUSED;
  }
  if (err_is_own(r->e, "MUTEX_TAKEN")) return wait_a_while(r, datasource, plan);
  return strcmp(r->e->sqlstate, "55P03") == 0 ? busy(r) : NEXT_OTHER;
}

/* ---- for the time of a call to a handler ---- */

static const char list_sql[] = "select coalesce(array_agg(h)::text, '{}')" LOCKS;

/* Values are read as the caller's role, as in a transaction. */
static void put_role(struct run *r, struct plan *plan) {
  const char **role = arena_array(r->mem, const char *, 1);

  role[0] = plan->role;
  if (plan->role) add(r, plan, plan_role_sql(), role, 1, "as the caller's role");
}

/* The steps of a hold: as those of a flight, and last a list of what is held. */
static bool plan_hold(struct run *r, size_t entry, size_t datasource, struct plan *plan) {
  const char **params;

  if (!transaction_begin(r, datasource, ISOLATION_READ_COMMITTED, plan)) return false;
  put_role(r, plan);
  if (!mutex_open(r, datasource, entry, entry + 1, plan)) return false;
  if (!r->mutexes.there) return true;
  params = (const char **)plan->steps[r->mutexes.lock].params;
  plan->steps[add(r, plan, list_sql, params, 2, "what is held")].gives = GIVES_TEXT;
  return true;
}

/* "{1,-2}" and what calls up the chain hold. */
static void keep_held(struct run *r, size_t datasource, const char *list, struct mutex_held **held, size_t *n) {
  for (size_t i = 0; i < r->call->nheld; i++) {
    arena_grow(r->mem, *held, *n);
    (*held)[(*n)++] = r->call->held[i];
  }
  for (const char *at = list + 1; *at && *at != '}'; at += *at == ',') {
    char *end;

    arena_grow(r->mem, *held, *n);
    (*held)[(*n)++] = (struct mutex_held){datasource, (int32_t)strtol(at, &end, 10)};
    at = end;
  }
}

/* One try. NEXT_AGAIN: once more, waiting. */
static enum next hold_once(struct run *r, size_t entry, size_t datasource, struct mutex_held **held, size_t *nheld) {
  struct conn *c = engine_second(r->engine, datasource);
  struct flight failed = {0};
  struct plan plan;
  const char *list;
  bool fresh;

  err_init(r->e, r->mem);
  if (!plan_hold(r, entry, datasource, &plan)) return NEXT_REFUSED;
  if (!r->mutexes.there) {
    keep_held(r, datasource, "{}", held, nheld);
    return NEXT_DONE;
  }
  if (!conn_open(c, &r->wait, &fresh, r->e)) return NEXT_REFUSED;
  if (hold_open(c, r->mem, plan.steps, plan.n, &r->wait, &list, &failed.failed_step, r->e)) {
    r->mutexes.held_by = &r->engine->sources[datasource];
    r->mutexes.held_by->held++;
    keep_held(r, datasource, list, held, nheld);
    return NEXT_DONE;
  }
  return mutex_judge(r, datasource, &plan, &failed);
}

bool mutex_hold(struct run *r, size_t entry, const struct mutex_held **held, size_t *nheld) {
  size_t datasource = r->set->entries[entry].command->datasource;
  struct mutex_held *list = NULL;
  enum next next;

  *nheld = 0;
  r->mutexes = (struct mutexes){0};
  /* Types of arguments, for their values in the names. */
  if (!source_ready(r->engine, datasource, &r->wait, r->e)) return false;
  do next = hold_once(r, entry, datasource, &list, nheld);
  while (next == NEXT_AGAIN);
  wait_end(r); /* it has them, or does without */
  *held = list;
  return next == NEXT_DONE;
}

void mutex_release(struct run *r) {
  struct wait w = {.deadline_ms = clock_ms() + RELEASE_MS, .caller_fd = -1};
  struct source *source = r->mutexes.held_by;

  r->mutexes.held_by = NULL;
  if (source && !hold_close(source->seconds[--source->held], &w))
    log_line(LOG_WARN, "mutex_lost", "id=%s reason=\"the connection that held it broke\"", r->call->request_id);
}
