/* The state of a mutation, as steps of plans. */
#include "mutations/state.h"

#include "base/arena.h"
#include "base/str.h"
#include "engine/engine_inside.h"
#include "engine/idempotency.h"

#include <string.h>

static const char new_sql[] = "select writ.state_new($1::uuid, $2::bytea, $3::jsonb, $4::jsonb, $5::bigint)::text";
static const char event_sql[] =
    "select " STATE_PLANS ", writ.state_event($1::uuid, $2::integer, $3::text, writ.state_payload($3, $4), $5::jsonb)";
static const char settle_sql[] = "select " STATE_PLANS ", writ.state_event($1::uuid, 1, null, null, $2::jsonb)";
static const char mark_sql[] = "insert into writ.state_mark (mutation, attempt, name, payload)"
                               " values ($1::uuid, $2::integer, $3::text, $4::jsonb)";

static void put(struct compiler *k, struct plan *plan, const char *sql, const char **params, unsigned n,
                const char *purpose) {
  compile_step(k, plan,
               (struct step){.statement = variants_text(k->variants, k->mem, sql),
                             .params = params,
                             .nparams = n,
                             .gives = GIVES_NOTHING,
                             .as_login = true,
                             .member = MEMBER_NONE,
                             .purpose = purpose});
}

const char *state_caller(const void *mem, const struct caller *caller) { return idempotency_caller(mem, caller); }

static const char *steps_json(void *mem, const struct state_step *steps, size_t n) {
  struct str *out = str_new(mem, 256);

  str_char(out, '[');
  for (size_t i = 0; i < n; i++) {
    str_add(out, i ? ",{\"id\":" : "{\"id\":");
    str_json(out, steps[i].id);
    if (steps[i].title) str_add(out, ",\"title\":"), str_json(out, steps[i].title);
    if (steps[i].description) str_add(out, ",\"description\":"), str_json(out, steps[i].description);
    str_add(out, ",\"status\":\"pending\"}");
  }
  str_char(out, ']');
  return out->p;
}

void state_put_new(struct compiler *k, struct plan *plan, const char *mutation, const char *caller,
                   const struct state_step *steps, size_t n, int64_t lasts_ms) {
  const char **params = arena_array(k->mem, const char *, 5);

  params[0] = mutation;
  params[1] = caller;
  params[2] = steps_json(k->mem, steps, n);
  params[3] = k->manifest->state.text;
  params[4] = lasts_ms ? arena_printf(k->mem, "%lld", (long long)lasts_ms) : NULL;
  put(k, plan, new_sql, params, 5, "begin the state");
}

static const char **event_params(struct compiler *k, const char *mutation, unsigned attempt, const char *name,
                                 const char *payload) {
  const char **params = arena_array(k->mem, const char *, 5);

  params[0] = mutation;
  params[1] = arena_printf(k->mem, "%u", attempt);
  params[2] = name;
  params[3] = payload;
  params[4] = k->manifest->state.text;
  return params;
}

void state_put_event(struct compiler *k, struct plan *plan, const char *mutation, unsigned attempt, const char *name,
                     const char *payload) {
  put(k, plan, event_sql, event_params(k, mutation, attempt, name, payload), 5, arena_printf(k->mem, "state: %s", name));
}

void state_put_mark(struct compiler *k, struct plan *plan, const char *mutation, unsigned attempt, const char *name,
                    const char *payload) {
  put(k, plan, mark_sql, event_params(k, mutation, attempt, name, payload), 4,
      arena_printf(k->mem, "state: %s, once committed", name));
}

void state_put_settle(struct compiler *k, struct plan *plan, const char *mutation) {
  const char **params = arena_array(k->mem, const char *, 2);

  params[0] = mutation;
  params[1] = k->manifest->state.text;
  put(k, plan, settle_sql, params, 2, "state: what was committed");
}

void state_dispatch(struct run *r, const char *name, const char *payload) {
  struct watch *w = r->call->watch;

  if (w) w->tell(w, name, payload);
}
