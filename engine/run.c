/* A request, from its command set to its answer. */
#include "engine/engine_inside.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/str.h"
#include "engine/call_token.h"
#include "engine/handler.h"
#include "engine/hook.h"
#include "engine/outbox.h"

#include <string.h>

/* execute_command_set: results of earlier transactions are literals to the later ones. */

enum { RESULT_DEPTH = 1000 };

static bool too_much(struct run *r) {
  return err_set(r->e, TOO_LARGE, "The references of the request bring more than %d bytes.", REFERENCE_BYTES);
}

static bool parse_result(struct run *r, struct node *node) {
  const char *text = node->text ? node->text : "null";
  size_t len = node->text ? node->len : 4;

  if (node->value) return true;
  if (len > r->references_left) return too_much(r);
  r->references_left -= len;
  return json_read(r->mem, text, len, RESULT_DEPTH, &node->value, r->e) ||
         err_set(r->e, BAD_REFERENCE, "The result of \"%s\" cannot be referred to. %s", node->command->name, r->e->message);
}

static bool resolve(struct run *r, struct expr *x, size_t first_node_of_entry) {
  const struct json *value;

  for (size_t i = 0; i < x->n; i++)
    if (!resolve(r, (struct expr *)&x->items[i], first_node_of_entry)) return false;
  if (x->kind != EXPR_RESULT) return true;
  for (size_t i = first_node_of_entry; i < r->set->nnodes; i++)
    if (r->set->nodes[i] == x->node) return true; /* of this transaction: read on the server */
  if (!parse_result(r, x->node)) return false;
  value = json_at(x->node->value, x->path, x->npath);
  if (!value) return err_set(r->e, BAD_REFERENCE, "The result of \"%s\" has no such value.", x->node->command->name);
  if (!json_spend(value, &r->references_left)) return too_much(r);
  *x = (struct expr){.kind = EXPR_LITERAL, .literal = value, .was_result = true, .argument = x->argument};
  return true;
}

static bool resolve_node(struct run *r, const struct node *node, size_t first_node_of_entry) {
  for (size_t a = 0; a < node->command->nargs; a++)
    if (node->args[a] && !resolve(r, (struct expr *)node->args[a], first_node_of_entry)) {
      compile_place(r->mem, r->set, node, node->command->args[a].name, r->e);
      return false;
    }
  return true;
}

/* What hooks are shown. */
static bool resolve_uses(struct run *r, size_t index) {
  size_t first = r->set->entries[index].first_node;

  for (size_t i = 0; i < r->set->nuses; i++) {
    const struct use *use = &r->set->uses[i];

    if (use->entry != index) continue;
    for (size_t a = 0; a < use->command->nargs; a++)
      if (use->args[a] && !resolve(r, (struct expr *)use->args[a], first)) return false;
    for (size_t h = 0; h < use->command->nafter_hooks; h++)
      if (use->keys[h] && !resolve(r, (struct expr *)use->keys[h], first)) return false;
    for (size_t n = 0; n < use->command->nevents; n++)
      if ((use->event_keys[n] && !resolve(r, (struct expr *)use->event_keys[n], first)) ||
          (use->event_payloads[n] && !resolve(r, (struct expr *)use->event_payloads[n], first)))
        return false;
    if (!resolve(r, (struct expr *)use->result, first)) return false;
  }
  return true;
}

static bool resolve_entry(struct run *r, size_t index) {
  struct entry *entry = &r->set->entries[index];

  for (size_t j = entry->first_node; j < entry->end_node; j++)
    if (!resolve_node(r, r->set->nodes[j], entry->first_node)) return false;
  return resolve(r, (struct expr *)entry->result, entry->first_node) && resolve_uses(r, index);
}

static bool on_one_datasource(const struct command_set *set) {
  for (size_t i = 1; i < set->nentries; i++)
    if (set->entries[i].datasource != set->entries[0].datasource) return false;
  return true;
}

/* Entries [first, end) are compiled once for their errors alone. */
static bool judge(struct run *r, size_t first, size_t end, enum isolation isolation) {
  struct engine *engine = r->engine;
  struct compiler k = transaction_compiler(r);
  const struct command *c = r->set->entries[first].command, *fault = NULL;
  size_t datasource = r->set->entries[first].datasource;

  if (c->kind == COMMAND_HANDLER && !shapes_apply(c) && !c->nbefore && !c->nmutexes)
    return true; /* nothing that the database would know of */
  do {
    struct plan plan;

    err_init(r->e, r->mem);
    if (transaction_plan(r, &k, datasource, isolation, first, end, &plan, &fault)) break;
  } while (fault && shapes_look_again(engine, fault, &r->wait));
  return r->e->code == ERR_NONE;
}

/* Which entry it was, where that was not told: a datasource that is away. */
static bool blame_entry(struct run *r, size_t i) {
  r->e->index = (int)i;
  if (!r->e->command) r->e->command = r->set->entries[i].command->name;
  return false;
}

/* Nothing runs before all of the set has been judged. */
static bool judge_each(struct run *r) {
  for (size_t i = r->call->first; i < r->set->nentries; i++)
    if (!judge(r, i, i + 1, r->set->entries[i].isolation)) return blame_entry(r, i);
  return true;
}

/* A set that was bound again (hook.c): what earlier transactions gave is put in once more, into their own results too, which
 * are still to be answered. That brings nothing that was not counted before. */
static bool resolve_again(struct run *r, size_t index) {
  size_t left = r->references_left;
  bool ok = true;

  r->references_left = REFERENCE_BYTES;
  for (size_t i = 0; ok && i < index; i++)
    ok = resolve(r, (struct expr *)r->set->entries[i].result, r->set->entries[i].first_node);
  ok = ok && resolve_entry(r, index);
  r->references_left = left;
  return ok;
}

/* The before-hooks of [first, end), all at once, ahead of the transaction; not asked again when that is tried again. Of a
 * dry run none is asked. What a hook has put in the place of arguments is judged like a caller's. */
static bool ask_hooks(struct run *r, size_t first, size_t end, enum isolation isolation) {
  bool changed;

  if (r->call->dry_run || !hooks_there(r, first, end)) return true;
  if (!hooks_ask(r, first, end, &changed)) return false;
  if (!changed) return true;
  if (r->set->each_alone && !resolve_again(r, first)) return hooks_blamed(r);
  if (judge(r, first, end, isolation)) return true;
  return r->e->status < 500 ? hooks_blamed(r) : false;
}

/* Whoever keeps the state of the mutation is told what is about to run. */
static bool watch_begin(struct run *r, size_t first, size_t end) {
  struct watch *w = r->call->watch;

  if (w) w->attempt = w->attempts_before + 1;
  return !w || w->part || w->begin(w, r, first, end);
}

/* Behind a commit, where the mutation's row is elsewhere: its home is told. */
static bool frame_done(struct run *r, size_t first, size_t end) {
  struct frame *frame = r->call->frame;

  return !frame || frame->done(frame, r, first, end);
}

static bool run_handler(struct run *r, size_t i) {
  if (!handler_run(r, i)) return false;
  if (r->call->frame) result_settle(r->set, i, i + 1);
  return outbox_write(r, i) && frame_done(r, i, i + 1);
}

static bool may_begin(struct run *r, size_t i) { return !r->call->frame || r->call->frame->begin(r->call->frame, r, i); }

/* Entry i, as a transaction or a handler of its own; the steps of a mutation in their order. */
static bool run_entry(struct run *r, size_t i) {
  const struct entry *entry = &r->set->entries[i];

  r->looked_again = r->session_renewed = false;
  r->retries = 0;
  if (!may_begin(r, i) || !resolve_entry(r, i) || !watch_begin(r, i, i + 1) || !ask_hooks(r, i, i + 1, entry->isolation))
    return false;
  if (entry->command->kind == COMMAND_HANDLER) return run_handler(r, i);
  if (!transaction_run(r, entry->datasource, entry->isolation, i, i + 1)) return false;
  if (r->call->frame) result_settle(r->set, i, i + 1);
  return frame_done(r, i, i + 1);
}

static bool run_each(struct run *r) {
  size_t first = r->call->first;
  bool ahead = r->set->nentries > first + 1 || hooks_there(r, first, first + 1) ||
               r->set->entries[first].command->kind == COMMAND_HANDLER;

  if (ahead && !judge_each(r)) {
    r->e->committed = (int)first;
    return false;
  }
  for (size_t i = first; i < r->set->nentries; i++) {
    if (run_entry(r, i)) continue;
    r->e->committed = (int)i;
    return blame_entry(r, i);
  }
  return true;
}

/* All entries as one transaction, or the one handler that was called. */
static bool run_together(struct run *r) {
  const struct entry *entry = &r->set->entries[0];
  bool handler = entry->command->kind == COMMAND_HANDLER;

  if ((handler || hooks_there(r, 0, r->set->nentries)) && !judge(r, 0, r->set->nentries, r->set->isolation)) return false;
  if (handler) return run_entry(r, 0);
  return may_begin(r, 0) && watch_begin(r, 0, r->set->nentries) && ask_hooks(r, 0, r->set->nentries, r->set->isolation) &&
         transaction_run(r, entry->datasource, r->set->isolation, 0, r->set->nentries) && frame_done(r, 0, r->set->nentries);
}

/* What a program does cannot be taken back. */
static bool can_be_dry(struct run *r) {
  for (size_t i = 0; r->call->dry_run && i < r->set->nnodes; i++) {
    const struct node *node = r->set->nodes[i];

    if (node->command->kind != COMMAND_HANDLER) continue;
    err_set(r->e, NOT_IMPLEMENTED, "\"%s\" is a handler: it cannot be part of a dry run.", node->command->name);
    compile_place(r->mem, r->set, node, NULL, r->e);
    return false;
  }
  return true;
}

static const char *mutation_of(void *mem, const struct invocation *call) {
  char *made;

  if (call->mutation) return call->mutation;
  if (call->token && call->token->mutation) return call->token->mutation;
  made = arena_array(mem, char, 37);
  clock_uuid7(made);
  return made;
}

/* What the request names: whoever may repeat it must be able to tell so. */
static bool check_key(struct run *r) {
  const struct command_set *set = r->set;

  if (r->call->dry_run || r->call->frame) return true;
  for (size_t i = 0; i < set->nentries && !r->call->key; i++)
    if (set->entries[i].command->needs_key) {
      err_set(r->e, BAD_REQUEST, "\"%s\" needs the header Idempotency-Key.", set->entries[i].command->name);
      r->e->index = set->is_set ? (int)i : -1;
      r->e->command = set->entries[i].command->name;
      return false;
    }
  return true;
}

static bool is_handled(const struct command_set *set) {
  for (size_t i = 0; i < set->nnodes; i++)
    if (set->nodes[i]->command->kind == COMMAND_HANDLER) return true;
  return false;
}

/* Ahead of what is called outside of the transaction: a repeat calls nobody. A program is not run by two at once either. */
static bool look_up_key(struct run *r, bool *found) {
  *found = false;
  if (r->call->key && !r->call->dry_run && is_handled(r->set)) return keyed_hold(r, r->set->entries[0].datasource, found);
  return !r->call->key || !hooks_there(r, 0, r->set->nentries) || idempotency_find(r, r->set->entries[0].datasource, found);
}

/* What came about outside of a transaction is kept behind it, unless it was with its after-hooks. */
static bool keep_answer(struct run *r) {
  struct str *answer;
  bool stored;

  if (!r->call->key || r->call->dry_run || r->kept || !is_handled(r->set)) return true;
  answer = str_new(r->mem, 1024);
  result_put(answer, r->set);
  return idempotency_store(r, r->set->entries[0].datasource, answer->p, answer->len, &stored);
}

/* Who asks for what is to follow must be able to take it over (mutations/): a module is not, nor is the tool writ. */
static bool check_end(struct run *r) {
  const struct command_set *set = r->set;

  bool several = r->call->key && set->each_alone && set->nentries > 1;

  return r->call->dry_run || r->call->frame || (!set->on_complete && !set->on_error && !several) ||
         err_set(r->e, NOT_IMPLEMENTED,
                 "\"on_complete\", \"on_error\", and an execute_command_set with a key can be asked for "
                 "over HTTP only.");
}

/* States of single commands are kept by who keeps those of mutations: a module's sets and the tool writ have nobody. */
static bool check_states(struct run *r) {
  const struct watch *w = r->call->watch;

  if (!r->set->has_states || r->accepting || r->call->frame || (w && w->apart)) return true;
  if (r->call->dry_run)
    return err_set(r->e, BAD_REQUEST, "A dry run leaves nothing behind, so no command of it has a \"mutation\".");
  return err_set(r->e, NOT_IMPLEMENTED, "A \"mutation\" for single commands can be asked for over HTTP only.");
}

bool run_judge(struct run *r) {
  const struct command_set *set = r->set;

  if (!can_be_dry(r) || !check_key(r)) return false;
  return !set->nentries || (set->each_alone ? judge_each(r) : judge(r, 0, set->nentries, set->isolation));
}

bool engine_run(struct engine *engine, void *mem, struct command_set *set, const struct invocation *call, struct str *answer,
                struct report *report, struct err *e) {
  struct run r = {.engine = engine,
                  .mem = mem,
                  .set = set,
                  .call = call,
                  .report = report,
                  .e = e,
                  .wait = {.deadline_ms = call->deadline_ms, .caller_fd = call->caller_fd},
                  .references_left = REFERENCE_BYTES};
  /* A dry run of an execute set is one transaction where it can be, so that later commands see what earlier ones did. */
  bool together = !set->each_alone || (call->dry_run && on_one_datasource(set));
  bool ok, found;

  *report = (struct report){0};
  if (!set->nentries) {
    if (!call->results_apart) result_put(answer, set);
    return true;
  }
  r.mutation = mutation_of(mem, call);
  ok = can_be_dry(&r) && check_key(&r) && check_end(&r) && check_states(&r) && look_up_key(&r, &found) &&
       (found || ((together ? run_together(&r) : run_each(&r)) && keep_answer(&r)) || r.stored);
  keyed_release(&r);
  report->retries = r.retries;
  report->accepted = r.accepted;
  if (ok && r.accepted) {
    if (call->watch) call->watch->end(call->watch, &r, str_new(mem, 16)); /* another mutation has the answer */
    return true;
  }
  if (ok && r.stored) str_bytes(answer, r.stored, r.stored_len);
  else if (ok && (!call->results_apart || call->watch)) result_put(answer, set);
  else if (set->each_alone && e->committed < 0) e->committed = 0; /* a dry run as one transaction */
  if (call->watch) call->watch->end(call->watch, &r, ok ? answer : NULL);
  return ok;
}
