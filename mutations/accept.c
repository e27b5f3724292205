/* Taking a request over: one transaction, which has the mutation, its state, and its key; nothing was answered before it is
 * committed. */
#include "mutations/mutation_inside.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/str.h"
#include "engine/idempotency.h"

#include <string.h>

static const char insert_sql[] =
    "insert into writ.mutation (id, owner, due, deadline, command, args, role, caller_user, claims, request_id, key) "
    "values ($1::uuid, $2::uuid, clock_timestamp() + $3::integer * interval '1 ms', now() + $4::integer * interval '1 s', "
    "$5, $6::json, $7, $8, $9, $10, $11)";

struct acceptance {
  struct frame frame;
  const char *owner; /* of the caller's own lease; NULL: it is for the runners */
  bool has_state;
  size_t insert; /* its step in the plan; those of its state and of its commands' are behind it */
};

static void open_nothing(struct frame *frame, struct run *r, size_t datasource, struct plan *plan) {
  (void)frame;
  (void)r;
  (void)datasource;
  plan->durable = true;
}

static const char *text_of(void *mem, const struct json *value) {
  struct str *out = str_new(mem, 512);

  json_write(out, value);
  return out->p;
}

/* They go on by themselves, as long as the mutation does. */
static void put_states(const struct acceptance *a, struct run *r, struct compiler *k, struct plan *plan) {
  const char *caller = state_caller(r->mem, r->call->caller);

  if (a->has_state)
    state_put_new(k, plan, r->mutation, caller, mutation_state_steps(r->mem, r->set), mutation_steps(r->set), 0);
  for (size_t i = 0; r->set->has_states && i < r->set->nentries; i++)
    if (r->set->entries[i].mutation)
      state_put_new(k, plan, r->set->entries[i].mutation, caller, mutation_entry_step(r->mem, r->set, i), 1, 0);
}

static void put_row(struct frame *frame, struct run *r, size_t datasource, size_t first, size_t end, struct plan *plan) {
  struct acceptance *a = (struct acceptance *)frame;
  const struct config *config = r->engine->config;
  const struct caller *caller = r->call->caller;
  const char **params = arena_array(r->mem, const char *, 11);
  struct compiler k = transaction_compiler(r);

  (void)datasource;
  (void)first;
  (void)end;
  params[0] = r->mutation;
  params[1] = a->owner;
  params[2] = arena_printf(r->mem, "%d", a->owner ? config->background_lease_ms : 0);
  params[3] = config->background_deadline_s ? arena_printf(r->mem, "%d", config->background_deadline_s) : NULL;
  params[4] = r->set->command->name;
  params[5] = text_of(r->mem, r->set->request);
  params[6] = caller->role;
  params[7] = caller->user;
  params[8] = caller->claims;
  params[9] = r->call->request_id;
  params[10] = r->call->key ? r->call->key->key : NULL;
  a->insert = compile_step(&k, plan, mutation_own_step(r->engine, r->mem, insert_sql, params, 11, "accept the mutation"));
  put_states(a, r, &k, plan);
}

/* Whose state the step makes; nentries: the mutation's own. */
static size_t entry_of(const struct acceptance *a, const struct command_set *set, size_t step) {
  size_t next = a->insert + a->has_state, i = 0;

  for (; i < set->nentries && step > a->insert + a->has_state; i++)
    if (set->entries[i].mutation && ++next == step) return i;
  return set->nentries;
}

/* An id that the client chose may have been used before, for a mutation or a state. */
static void refuse_id(const struct acceptance *a, struct run *r, size_t step) {
  size_t entry = entry_of(a, r->set, step);
  bool own = entry == r->set->nentries;

  err_set(r->e, MUTATION_EXISTS, "There is a mutation with the UUID %s already.",
          own ? r->mutation : r->set->entries[entry].mutation);
  if (!own) compile_place_entry(r->mem, r->set, entry, NULL, r->e);
}

static enum next judge_row(struct frame *frame, struct run *r, const struct flight *f) {
  const struct acceptance *a = (const struct acceptance *)frame;

  if (f->was_lost || f->failed_step < a->insert) return NEXT_OTHER;
  if (f->failed_step > a->insert + a->has_state && entry_of(a, r->set, f->failed_step) == r->set->nentries)
    return NEXT_OTHER;
  if (strcmp(r->e->sqlstate, "23505") == 0) {
    refuse_id(a, r, f->failed_step);
  } else if (strcmp(r->e->sqlstate, "42501") == 0 || strcmp(r->e->sqlstate, "42P01") == 0) {
    err_set(r->e, DATABASE_UNAVAILABLE, "The database is not prepared for durable mutations; nothing was changed.");
    r->e->log_detail = "the login role may not use table writ.mutation: run `writ install`, with --grant";
    r->e->retry_after_s = 5;
  } else {
    return NEXT_OTHER;
  }
  return NEXT_REFUSED;
}

static bool judge_set(const struct run *r, struct command_set *set) {
  struct run own = *r;

  own.set = set;
  return !set || run_judge(&own);
}

/* What is to follow is judged now: later there is nobody to tell. */
static bool judge_all(struct run *r) {
  return judge_set(r, r->set) && judge_set(r, r->set->on_complete) && judge_set(r, r->set->on_error);
}

/* What a program does is in no transaction. */
static bool has_program(const struct command_set *set) {
  for (size_t i = 0; i < set->nnodes; i++)
    if (set->nodes[i]->command->kind == COMMAND_HANDLER) return true;
  return false;
}

bool mutation_is_durable(const struct command_set *set, const struct invocation *call) {
  return call->key && !call->dry_run && ((set->each_alone && set->nentries > 1) || has_program(set));
}

static char *new_uuid(void *mem) {
  char *out = arena_zero(mem, 37, "uuid");

  clock_uuid7(out);
  return out;
}

bool mutation_accept(struct engine *engine, void *mem, struct command_set *set, const struct invocation *call, bool lease,
                     struct accepted *out, struct report *report, struct err *e) {
  size_t datasource = set->nentries ? set->entries[0].datasource : set->datasource;
  struct acceptance a = {.frame = {.open = open_nothing, .close = put_row, .judge = judge_row},
                         .owner = lease ? new_uuid(mem) : NULL,
                         .has_state = !lease || call->mutation};
  struct invocation own = *call;
  struct run r = {.engine = engine,
                  .mem = mem,
                  .set = set,
                  .call = call,
                  .report = report,
                  .e = e,
                  .accepting = true,
                  .wait = {.deadline_ms = call->deadline_ms, .caller_fd = call->caller_fd},
                  .references_left = REFERENCE_BYTES};
  int64_t now = clock_ms();

  *report = (struct report){0};
  *out = (struct accepted){0};
  r.mutation = call->mutation ? call->mutation : new_uuid(mem);
  if (!judge_all(&r)) return false;
  own.frame = &a.frame;
  r.call = &own;
  if (!transaction_run(&r, datasource, ISOLATION_READ_COMMITTED, 0, 0)) return false;
  FAULT("accepted");
  /* A lost COMMIT that came through: what was found is our own. */
  if (r.accepted && strcmp(r.accepted, r.mutation) == 0) {
    r.stored = r.accepted = NULL;
    report->replayed = false;
  }
  out->before = r.stored != NULL;
  if (r.stored && !r.accepted) {
    out->answer = r.stored;
    out->len = r.stored_len;
  }
  engine->wake_background = engine->wake_background || !lease;
  out->mutation = (struct mutation){.id = r.accepted ? r.accepted : r.mutation,
                                    .owner = a.owner,
                                    .datasource = datasource,
                                    .command = set->command->name,
                                    .args = set->request,
                                    .caller = *call->caller,
                                    .request_id = call->request_id,
                                    .key = call->key ? call->key->key : NULL,
                                    .leased_ms = now,
                                    .deadline_ms = INT64_MAX};
  if (engine->config->background_deadline_s)
    out->mutation.deadline_ms = now + (int64_t)engine->config->background_deadline_s * 1000;
  return true;
}
