/* GET /mutation/UUID: its state. DELETE: it is to stop before its next step. */
#include "handlers/mutation.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/uuid.h"
#include "base/wait.h"
#include "handlers/answer.h"
#include "handlers/background.h"
#include "handlers/command.h"
#include "handlers/headers.h"
#include "manifest/config.h"
#include "mutations/state_read.h"

#include <string.h>

bool mutation_find(struct call *call, struct err *e) {
  unsigned char uuid[UUID_BYTES];
  char text[37];

  if (!uuid_read(call->name, uuid)) return err_set(e, NOT_FOUND, "There is no such mutation.");
  uuid_write(uuid, text);
  call->name = arena_strdup(call->request->mem, text);
  return true;
}

/* It changes, so a cache has to ask each time; a validator is what it may keep. */
static void state_headers(struct answer *answer, const char *tag) {
  for (size_t i = 0; i < answer->nheaders; i++)
    if (strcmp(answer->headers[i].name, "Cache-Control") == 0) answer->headers[i].value = "private, no-cache";
  answer_header(answer, "ETag", tag);
}

static void show(struct call *call, const struct state_row *row) {
  const char *tag = arena_printf(call->request->mem, "\"%s\"", row->version);

  state_headers(call->answer, tag);
  if (headers_tag_matches(call->request->if_none_match, tag)) call->answer->status = 304;
  else str_add(call->answer->body, row->text);
}

static bool cancel(struct call *call, const struct state_row *row, struct err *e) {
  if (!state_cancel(call->site->engine, call->request->mem, &call->caller, call->name, row, e)) return false;
  background_answer(call, call->name);
  return true;
}

bool mutation_state(struct call *call, struct err *e) {
  const struct request *r = call->request;
  struct engine *engine = call->site->engine;
  struct wait w = {.deadline_ms = r->received_us / 1000 + engine_config(engine)->timeout_ms, .caller_fd = r->caller_fd};
  int64_t started_us = clock_us();
  struct state_row row;
  bool ok;

  if (!command_identify(call, e)) return false;
  ok = state_read(engine, r->mem, &call->caller, call->name, &w, &row, e);
  if (ok && strcmp(r->method, "DELETE") == 0) ok = cancel(call, &row, e);
  else if (ok) show(call, &row);
  call->report.postgres_us += clock_us() - started_us;
  return ok;
}
