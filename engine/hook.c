/* Before-hooks. */
#include "engine/hook.h"

#include "base/arena.h"
#include "base/counters.h"
#include "base/str.h"
#include "commands/arguments.h"
#include "engine/engine_inside.h"
#include "engine/service_call.h"

#include <string.h>

struct asked {
  struct use *use;
  const struct hook *hook;
};

/* Everything of one round. */
struct round {
  struct run *r;
  struct asked *asked;
  struct http_exchange *exchanges; /* one beside the other, as http_run wants them */
  struct service_call *calls;
  size_t n;
};

static bool is_among(const struct use *use, size_t first, size_t end) { return use->entry >= first && use->entry < end; }

bool hooks_there(const struct run *r, size_t first, size_t end) {
  for (size_t i = 0; i < r->set->nuses; i++)
    if (is_among(&r->set->uses[i], first, end) && r->set->uses[i].command->nbefore_hooks) return true;
  return false;
}

static void gather(struct round *round, size_t first, size_t end) {
  struct run *r = round->r;

  for (size_t i = 0; i < r->set->nuses; i++) {
    struct use *use = &r->set->uses[i];

    for (size_t h = 0; is_among(use, first, end) && h < use->command->nbefore_hooks; h++) {
      arena_grow(r->mem, round->asked, round->n);
      round->asked[round->n++] = (struct asked){use, &use->command->before_hooks[h]};
    }
  }
}

static void prepare(struct round *round, size_t i) {
  struct run *r = round->r;
  const struct asked *a = &round->asked[i];
  struct str *body = str_new(r->mem, 512);

  str_add(body, "{\"hook\":");
  str_json(body, a->hook->name);
  str_char(body, ',');
  service_body(r, &a->hook->service, a->use->command, a->use->args, false, body);
  str_char(body, '}');
  service_prepare(r, &a->hook->service, body, &round->calls[i]);
  round->calls[i].exchange.repeatable = true; /* hooks are pure by contract */
}

static void send_all(struct round *round) {
  struct run *r = round->r;
  int64_t longest_us = 0;

  round->calls = arena_array(r->mem, struct service_call, round->n);
  round->exchanges = arena_array(r->mem, struct http_exchange, round->n);
  for (size_t i = 0; i < round->n; i++) {
    prepare(round, i);
    round->exchanges[i] = round->calls[i].exchange;
  }
  http_run(engine_http(r->engine), r->mem, round->exchanges, round->n, &r->wait);
  for (size_t i = 0; i < round->n; i++) {
    round->calls[i].exchange = round->exchanges[i];
    if (round->exchanges[i].took_us > longest_us) longest_us = round->exchanges[i].took_us;
  }
  r->report->hook_us += longest_us;
  r->report->hooks += (unsigned)round->n;
}

static void count(const struct run *r, bool passed, const struct err *e) {
  struct counters *c = r->engine->counters;

  if (!c) return;
  if (passed) c->hooks_passed++;
  else if (e->code == ERR_HANDLER_FAILED || e->code == ERR_TIMEOUT || e->code == ERR_CALLER_GONE) c->hooks_failed++;
  else c->hooks_refused++;
}

/* ---- changed arguments ---- */

/* As it was sent. */
static const struct json *shown(const struct round *round, size_t i, const char *name) {
  const struct run *r = round->r;
  const struct asked *a = &round->asked[i];
  struct str *text = str_new(r->mem, 128);
  const struct json *args;
  struct err e;

  err_init(&e, r->mem);
  arguments_write(text, r->set, a->use->command, a->use->args, false);
  if (!json_read(r->mem, text->p, text->len, 2 * (unsigned)r->engine->config->max_depth + 2, &args, &e)) return NULL;
  return json_get(args, name);
}

static void note(const struct expr *result, void *data) {
  (void)result;
  *(bool *)data = true;
}

static bool has_reference(const struct expr *x) {
  bool found = false;

  if (x) expr_each_result(x, note, &found);
  return found;
}

static bool take_change(struct round *round, size_t i, const char *who, const char *name, const struct json *value,
                        struct err *e) {
  const struct command *c = round->asked[i].use->command;
  struct use *use = round->asked[i].use;
  const struct json *before = shown(round, i, name);
  size_t index = 0;

  while (index < c->nargs && strcmp(c->args[index].name, name) != 0) index++;
  if (index == c->nargs)
    return service_failed(e, who, arena_printf(e->mem, "gave an argument \"%.100s\" that is not there", name));
  if (before && json_same(before, value)) return true;
  if (use->nested)
    return service_failed(e, who, arena_printf(e->mem, "changed \"%s\" of what is nested in another command", name));
  if (has_reference(use->args[index]))
    return service_failed(e, who, arena_printf(e->mem, "changed \"%s\", which refers to another result", name));
  if (json_is_marker(value, "$literal")) value = &value->items[0];
  else if (json_has_marker(value)) return service_failed(e, who, arena_printf(e->mem, "put a reference into \"%s\"", name));
  if (!use->changed) use->changed = arena_array(round->r->mem, const struct json *, c->nargs);
  use->changed[index] = value;
  return true;
}

/* {}, or {"args": {...}} of a hook that may change them. */
static bool take_answer(struct round *round, size_t i, const char *who, bool *changed, struct err *e) {
  const struct json *answer = round->calls[i].answer, *args = json_get(answer, "args");

  if (!answer->len) return true;
  if (answer->len != 1 || !args) return service_failed(e, who, "answered with members that mean nothing here");
  if (!round->asked[i].hook->changes)
    return service_failed(e, who, "gave arguments, but is not declared with `changes: true`");
  if (args->kind != JSON_OBJECT) return service_failed(e, who, "gave \"args\" that are no object");
  for (size_t k = 0; k < args->len; k++)
    if (!take_change(round, i, who, args->keys[k], &args->items[k], e)) return false;
  *changed = *changed || round->asked[i].use->changed;
  return true;
}

static void name_place(struct run *r, const struct use *use, struct err *e) {
  const struct node place = {.entry = use->entry, .direct = true};
  if (use->nested && r->set->entries[use->entry].command->kind == COMMAND_MUTATION)
    compile_place_at(r->mem, r->set, &place, use->nested, e);
  else compile_place(r->mem, r->set, &place, NULL, e);
}

/* The first that is against it, in the order of the set; all are looked at, to be counted. */
static bool judge_all(struct round *round, bool *changed) {
  struct run *r = round->r;
  bool ok = true;

  for (size_t i = 0; i < round->n; i++) {
    const char *who = arena_printf(r->mem, "hook %s", round->asked[i].hook->name);
    struct err e;
    bool passed;

    err_init(&e, r->mem);
    passed = service_answer(r, who, &round->calls[i], &e) && take_answer(round, i, who, changed, &e);
    count(r, passed, &e);
    if (passed || !ok) continue;
    ok = false;
    name_place(r, round->asked[i].use, &e);
    *r->e = e;
  }
  return ok;
}

/* What is wrong with a value may quote it, which is nothing for the log. */
bool hooks_blamed(struct run *r) {
  struct err was = *r->e;
  const char *which = was.argument ? was.argument : "an argument";

  service_failed(r->e, "hook", arena_printf(r->mem, "changed %s to what does not fit (%s)", which, err_name(&was)));
  r->e->index = was.index;
  r->e->command = was.command;
  return false;
}

bool hooks_ask(struct run *r, size_t first, size_t end, bool *changed) {
  struct round round = {.r = r};

  *changed = false;
  gather(&round, first, end);
  if (!round.n) return true;
  send_all(&round);
  if (!judge_all(&round, changed)) return false;
  if (!*changed) return true;
  return set_decode_again(r->mem, r->engine->manifest, r->set, r->call->caller, r->e) || hooks_blamed(r);
}
