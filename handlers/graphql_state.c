#include "handlers/graphql_state.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/str.h"
#include "engine/engine.h"
#include "handlers/background.h"
#include "handlers/dispatch.h"
#include "manifest/manifest.h"
#include "schema/schema.h"

/* ---- which ---- */

static bool is_mutation(const struct graphql_call *g) {
  return g->operation.operation->definition->operation == GRAPHQL_MUTATION;
}

static bool refuse(struct graphql_call *g, struct err *e) {
  return err_set(e, BAD_REQUEST, "%s", g->errors.list[0].message);
}

/* What is rolled back has nothing to follow: asked for it is refused, and the schema's wish is not heeded. */
static bool leave_out(struct graphql_call *g, struct err *e) {
  for (size_t i = 0; i < g->operation.ncommands; i++) {
    struct root_state *s = &g->operation.states[i];

    if (s->asked) {
      gql_error_add(&g->errors, s->pos, "A dry run leaves nothing behind, so its fields take no \"@state\".");
      return refuse(g, e);
    }
    s->wanted = false;
  }
  return true;
}

static const char *draw(void *mem, struct invocation *invocation) {
  char *id = arena_array(mem, char, 37);

  clock_uuid7(id);
  invocation->drawn = true;
  return id;
}

/* A field alone is the operation. Followed by two UUIDs it is a set of one command, which a program cannot be. */
static bool state_alone(struct call *call, struct graphql_call *g, struct invocation *invocation, struct err *e) {
  struct root_state *s = &g->operation.states[0];

  if (!s->wanted) return true;
  if (!invocation->mutation) {
    invocation->mutation = s->mutation ? s->mutation : draw(call->request->mem, invocation);
    if (!s->mutation) g->drawn[0] = invocation->mutation;
    s->mutation = NULL;
  } else if (!s->asked) {
    return true; /* it has one */
  } else if (g->operation.commands[0]->wanted.field->command->kind == COMMAND_HANDLER) {
    gql_error_add(&g->errors, s->pos, "What a program does has one state: keep \"@state\" or the header Mutation-Id.");
    return refuse(g, e);
  } else if (!s->mutation) {
    s->mutation = g->drawn[0] = draw(call->request->mem, invocation);
  }
  return true;
}

bool graphql_states(struct call *call, struct graphql_call *g, struct invocation *invocation, struct err *e) {
  struct operation_call *o = &g->operation;
  void *mem = call->request->mem;

  if (!is_mutation(g)) return true;
  if (invocation->dry_run && !leave_out(g, e)) return false;
  if (!states_differ(o, invocation->mutation, &g->errors)) return refuse(g, e);
  g->drawn = arena_array(mem, const char *, o->ncommands + 1);
  if (o->ncommands == 1) return state_alone(call, g, invocation, e);
  for (size_t i = 0; i < o->ncommands; i++)
    if (o->states[i].wanted && !o->states[i].mutation) o->states[i].mutation = g->drawn[i] = draw(mem, invocation);
  return true;
}

/* ---- what is told of them ---- */

/* A repeat has what was done before, whose UUIDs were others. */
bool graphql_has_states_to_tell(const struct call *call, const struct graphql_call *g) {
  for (size_t i = 0; g->drawn && !call->report.replayed && i < g->operation.ncommands; i++)
    if (g->drawn[i]) return true;
  return false;
}

void graphql_put_states(struct call *call, const struct graphql_call *g, struct str *out) {
  bool first = true;

  str_add(out, "\"mutations\":{");
  for (size_t i = 0; i < g->operation.ncommands; i++) {
    if (!g->drawn[i]) continue;
    if (!first) str_char(out, ',');
    str_json(out, g->operation.commands[i]->wanted.key);
    str_char(out, ':');
    background_put(call, g->drawn[i], out);
    first = false;
  }
  str_char(out, '}');
}
