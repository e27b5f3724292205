/* Durable mutations, as seen by who asks for one. */
#include "handlers/background.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "commands/tree.h"
#include "handlers/answer.h"
#include "handlers/headers.h"
#include "manifest/config.h"
#include "mutations/mutation.h"

#include <stdlib.h>
#include <string.h>

enum { ERROR_DEPTH = 8, ACCEPTED_STATUS = 202 };

static bool prefers_async(const struct call *call) { return headers_prefer(call->request->prefer, "respond-async", ""); }

bool background_is_asked(const struct call *call, const struct command_set *set, const struct invocation *invocation) {
  return !invocation->dry_run && (set->on_complete || set->on_error || prefers_async(call));
}

const char *background_put(const struct call *call, const char *mutation, struct str *out) {
  const char *prefix = call->request->prefix ? call->request->prefix : "";
  size_t len = strlen(prefix);
  char *state;

  while (len > 0 && prefix[len - 1] == '/') len--;
  state = arena_printf(call->request->mem, "%.*s/mutation/%s", (int)len, prefix, mutation);
  str_add(out, "{\"mutation\":");
  str_json(out, mutation);
  str_add(out, ",\"state\":");
  str_json(out, state);
  str_char(out, '}');
  return state;
}

void background_answer(struct call *call, const char *mutation) {
  const char *state = background_put(call, mutation, call->answer->body);

  call->answer->status = ACCEPTED_STATUS;
  answer_header(call->answer, "Location", state);
}

static bool replay(struct call *call, const struct accepted *accepted) {
  call->report.replayed = true;
  str_bytes(call->answer->body, accepted->answer, accepted->len);
  return true;
}

bool background_accept(struct call *call, struct command_set *set, const struct invocation *invocation, struct err *e) {
  struct accepted accepted;

  if (!mutation_accept(call->site->engine, call->request->mem, set, invocation, false, &accepted, &call->report, e))
    return false;
  if (accepted.answer) return replay(call, &accepted);
  background_answer(call, accepted.mutation.id);
  if (prefers_async(call)) answer_header(call->answer, "Preference-Applied", "respond-async");
  return true;
}

/* ---- a repeat ---- */

/* An error of before, as it was answered. */
static bool answer_stored_error(struct call *call, const char *error, struct err *e) {
  const struct json *root, *status;

  if (!json_read(call->request->mem, error, strlen(error), ERROR_DEPTH, &root, e)) return false;
  status = json_get(root, "status");
  call->answer->status = status && status->kind == JSON_NUMBER ? atoi(status->text) : err_status(ERR_INTERNAL);
  call->answer->content_type = "application/problem+json";
  str_add(call->answer->body, error);
  return true;
}

static bool conflict(struct err *e) {
  err_set(e, IDEMPOTENCY_CONFLICT, "A request with this Idempotency-Key is still running; send it again a little later.");
  e->retry_after_s = 1;
  return false;
}

bool background_repeat(struct call *call, size_t datasource, const char *mutation, struct err *e) {
  int64_t until = clock_ms() + engine_config(call->site->engine)->idempotency_wait_ms;
  struct mutation_outcome outcome;

  if (!mutation_wait(call->site->engine, call->request->mem, datasource, mutation, until, &outcome, e)) return false;
  if (!outcome.outcome) return conflict(e);
  call->report.replayed = true;
  if (!outcome.answer) return answer_stored_error(call, outcome.error, e);
  str_add(call->answer->body, outcome.answer);
  return true;
}

/* ---- the caller's own ---- */

/* The connection was lost at a COMMIT: what became of it? */
static bool resolve(struct call *call, const struct mutation *m, struct err *e) {
  int64_t until = clock_ms() + engine_config(call->site->engine)->idempotency_wait_ms;
  struct mutation_outcome outcome;
  struct err why;

  err_init(&why, call->request->mem);
  if (!mutation_wait(call->site->engine, call->request->mem, m->datasource, m->id, until, &outcome, &why)) {
    if (why.code != ERR_NOT_FOUND) return false;
    err_set(e, DATABASE_UNAVAILABLE, "The connection to the database was lost; nothing was changed.");
    e->retry_after_s = 1;
    return false;
  }
  if (!outcome.answer) return false;
  str_clear(call->answer->body);
  str_add(call->answer->body, outcome.answer);
  err_init(e, call->request->mem);
  return true;
}

bool background_run(struct call *call, struct command_set *set, const struct invocation *invocation, struct err *e) {
  struct engine *engine = call->site->engine;
  void *mem = call->request->mem;
  struct mutation_run how = {.until_ms = invocation->deadline_ms,
                             .forget = !invocation->mutation || invocation->drawn,
                             .no_state = !invocation->mutation,
                             .set = set,
                             .answer = call->answer->body};
  struct accepted accepted;
  struct report before;

  if (!mutation_accept(engine, mem, set, invocation, true, &accepted, &before, e)) return false;
  if (accepted.answer) return replay(call, &accepted);
  if (accepted.before) return background_repeat(call, accepted.mutation.datasource, accepted.mutation.id, e);
  switch (mutation_run(engine, mem, &accepted.mutation, &how, &call->report, e)) {
  case MUTATION_LOST:
    err_init(e, mem);
    return background_repeat(call, accepted.mutation.datasource, accepted.mutation.id, e);
  case MUTATION_ENDED: break;
  default: return e->code == ERR_COMMIT_UNKNOWN && resolve(call, &accepted.mutation, e);
  }
  call->report.flights += before.flights;
  call->report.postgres_us += before.postgres_us;
  return how.complete;
}
