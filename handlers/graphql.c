/* /graphql. A document is looked up or read, its operation made a command set with the variables, and that runs as any other
 * does; the order in which a request is judged is that of command.c. */
#include "handlers/graphql.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"
#include "commands/set.h"
#include "documents/coerce.h"
#include "handlers/answer.h"
#include "handlers/command.h"
#include "handlers/graphql_call.h"
#include "handlers/graphql_document.h"
#include "handlers/graphql_state.h"
#include "manifest/config.h"
#include "manifest/manifest.h"
#include "schema/schema.h"

#include <string.h>

enum { RESULT_DEPTH = 1000, LABEL_BYTES = 180 };

/* What the errors say, for the log. Always false. */
static bool refuse_document(struct graphql_call *g, struct err *e) {
  return err_set(e, BAD_REQUEST, "%s", g->errors.list[0].message);
}

/* ---- the operation ---- */

/* By GET only what changes nothing: pages of others can have a browser send one, and caches may. */
static bool check_method(struct call *call, const struct prepared *operation, struct err *e) {
  if (strcmp(call->request->method, "GET") != 0 || operation->definition->operation == GRAPHQL_QUERY) return true;
  answer_header(call->answer, "Allow", "POST");
  return err_set(e, METHOD_NOT_ALLOWED, "A mutation is sent by POST.");
}

/* PostgreSQL keeps a query from writing, nobody a program. */
static bool check_programs(struct call *call, const struct operation_call *operation, struct err *e) {
  if (strcmp(call->request->method, "GET") != 0) return true;
  for (size_t i = 0; i < operation->ncommands; i++) {
    if (operation->commands[i]->wanted.field->command->kind != COMMAND_HANDLER) continue;
    answer_header(call->answer, "Allow", "POST");
    return err_set(e, METHOD_NOT_ALLOWED, "\"%s\" runs a program: send it by POST.",
                   operation->commands[i]->wanted.field->name);
  }
  return true;
}

static bool compile(struct call *call, struct graphql_call *g, struct err *e) {
  static const struct json nothing = {.kind = JSON_OBJECT};
  void *mem = call->request->mem;
  const struct graphql_request *r = &g->request;
  const struct document *document;
  const struct prepared *operation;
  const struct json *variables;

  if (!graphql_document(call, g, &document, e)) return false;
  operation = document_operation(document, r->operation, &g->errors);
  if (!operation) return refuse_document(g, e);
  if (!check_method(call, operation, e)) return false;
  variables = coerce_variables(mem, document->view, document->schema, operation->definition,
                               r->variables ? r->variables : &nothing, &g->errors);
  if (!variables || !operation_compile(mem, document, operation, variables, &g->operation, &g->errors))
    return refuse_document(g, e);
  return check_programs(call, &g->operation, e);
}

/* For the log line: graphql(createUser,users). */
static const char *label_of(void *mem, const struct operation_call *o) {
  struct str *s = str_new(mem, 128);

  str_add(s, "graphql(");
  for (size_t i = 0; i < o->ncommands; i++) {
    if (s->len > LABEL_BYTES) {
      str_add(s, ",...");
      break;
    }
    str_printf(s, "%s%s", i ? "," : "", o->commands[i]->wanted.field->command->name);
  }
  str_char(s, ')');
  return s->p;
}

/* ---- the key ---- */

/* What a repeat has in common: the document, by its digest, the operation, and the variables as they were sent. */
static const struct json *fingerprint_of(void *mem, const struct graphql_request *r) {
  struct json *out = arena_new(mem, struct json), *items = arena_array(mem, struct json, 3);
  const char **keys = arena_array(mem, const char *, 3);
  char *hex = arena_array(mem, char, DIGEST_HEX);

  digest_hex(r->hash, hex);
  keys[0] = "document";
  items[0] = (struct json){.kind = JSON_STRING, .text = hex, .len = DIGEST_HEX - 1};
  keys[1] = "operationName";
  items[1] =
      r->operation ? (struct json){.kind = JSON_STRING, .text = r->operation, .len = strlen(r->operation)} : json_null;
  keys[2] = "variables";
  items[2] = r->variables ? *r->variables : json_null;
  *out = (struct json){.kind = JSON_OBJECT, .len = 3, .items = items, .keys = keys};
  return out;
}

/* ---- results ---- */

static void result_of_set(void *data, size_t index, const char **text, size_t *len) {
  engine_result(data, index, text, len);
}

struct replay {
  void *mem;
  const struct json *answer;
};

/* Of an answer as commands have it, {"result": ...} or {"results": [{"result": ...}, ...]}. */
static void result_of_replay(void *data, size_t index, const char **text, size_t *len) {
  const struct replay *replay = data;
  const struct json *results = json_get(replay->answer, "results"), *value;
  struct str *s = str_new(replay->mem, 256);

  value = results ? json_get(&results->items[index], "result") : json_get(replay->answer, "result");
  json_write(s, value);
  *text = s->p;
  *len = s->len;
}

/* made: what was put together already: a stored answer; empty: the set has the results. */
static bool put_data(struct call *call, struct graphql_call *g, struct command_set *set, const struct str *made,
                     struct err *e) {
  struct replay replay = {.mem = call->request->mem};
  bool foreign = made && made->len;

  if (foreign && !json_read(replay.mem, made->p, made->len, RESULT_DEPTH, &replay.answer, e)) return false;
  return answer_data(replay.mem, &g->operation, foreign ? result_of_replay : result_of_set,
                     foreign ? (void *)&replay : (void *)set, foreign, call->answer->body, &g->fields, e);
}

static bool put_answer(struct call *call, struct graphql_call *g, struct command_set *set, const struct str *made,
                       struct err *e) {
  struct str *body = call->answer->body;

  str_add(body, "{\"data\":");
  if (!put_data(call, g, set, made, e)) return err_set(e, INTERNAL, "A result cannot be read. %s", e->message);
  if (g->fields.n) {
    str_char(body, ',');
    graphql_put_field_errors(body, &g->fields, call->request_id);
  }
  if (graphql_has_states_to_tell(call, g)) {
    str_add(body, ",\"extensions\":{");
    graphql_put_states(call, g, body);
    str_char(body, '}');
  }
  str_char(body, '}');
  call->answer->content_type = graphql_media_type(g->media);
  return true;
}

/* ---- what goes on without its caller, or did ---- */

/* Prefer: respond-async: there is no data yet. */
static void put_accepted(struct call *call, struct graphql_call *g, const struct str *made) {
  struct str *body = call->answer->body;

  bool more = graphql_has_states_to_tell(call, g);

  str_add(body, "{\"data\":null,\"extensions\":");
  str_bytes(body, made->p, made->len - more); /* one more member ahead of its end */
  if (more) {
    str_char(body, ',');
    graphql_put_states(call, g, body);
    str_char(body, '}');
  }
  str_char(body, '}');
  call->answer->content_type = graphql_media_type(g->media);
}

/* A repeat of what was accepted, and failed then: the problem+json that is kept becomes the error. */
static bool refuse_again(struct call *call, const struct str *made, struct err *e) {
  const struct json *problem;

  return json_read(call->request->mem, made->p, made->len, RESULT_DEPTH, &problem, e) && err_read(e, problem);
}

static bool is_query(const struct graphql_call *g) { return g->operation.operation->definition->operation == GRAPHQL_QUERY; }

/* A query leaves nothing behind that could be done twice or followed: neither a key nor a preference for later means anything. */
static bool run(struct call *call, struct graphql_call *g, struct command_set *set, struct invocation *invocation,
                struct err *e) {
  struct engine *engine = call->site->engine;
  void *mem = call->request->mem;

  if (is_query(g)) return engine_run(engine, mem, set, invocation, call->answer->body, &call->report, e);
  return command_execute(call, set, invocation, e);
}

/* What ran has left in the answer what a command would answer, if anything. */
static bool finish(struct call *call, struct graphql_call *g, struct command_set *set, const struct invocation *invocation,
                   struct err *e) {
  struct str *made = call->answer->body;

  call->answer->body = str_new(call->request->mem, made->len + 1024);
  if (call->answer->status == 202) put_accepted(call, g, made);
  else if (call->answer->status >= 400) return refuse_again(call, made, e);
  else if (!put_answer(call, g, set, made, e)) return false;
  command_answer_headers(call, invocation);
  return true;
}

static bool execute(struct call *call, struct graphql_call *g, struct invocation *invocation, struct err *e) {
  void *mem = call->request->mem;
  const struct manifest *manifest = engine_manifest(call->site->engine);
  struct command_set *set;

  invocation->results_apart = invocation->numbers_as_text = true;
  invocation->reads = is_query(g);
  call->label = label_of(mem, &g->operation);
  if (!graphql_states(call, g, invocation, e)) return false;
  operation_set(mem, manifest, &g->operation);
  call->command = g->operation.command;
  if (is_query(g) && invocation->mutation)
    return err_set(e, BAD_REQUEST, "A query takes no Mutation-Id: there is no state to follow.");
  if (!is_query(g) && !command_read_key(call, invocation, fingerprint_of(mem, &g->request), e)) return false;
  g->executing = true;
  set = set_decode(mem, manifest, call->command, g->operation.args, &call->caller, e);
  return set && run(call, g, set, invocation, e) && finish(call, g, set, invocation, e);
}

bool graphql_run(struct call *call, struct err *e) {
  const struct request *r = call->request;
  struct graphql_call *g = arena_new(r->mem, struct graphql_call);
  struct invocation invocation;

  g->media = headers_accept_graphql(r->accept);
  g->errors.mem = r->mem;
  call->graphql = g;
  call->label = "graphql";
  if (!call->site->documents) return err_set(e, NOT_FOUND, "There is no GraphQL here: the manifest has no schema.");
  if (!command_identify(call, e)) return false;
  invocation = command_invocation(call);
  if (!command_check_headers(r, &invocation, e)) return false;
  if (r->if_match) return err_set(e, BAD_REQUEST, "If-Match is not for GraphQL: give the version as an argument.");
  if (g->media == MEDIA_NONE)
    return err_set(e, NOT_ACCEPTABLE, "Answers are application/json or application/graphql-response+json.");
  if (!graphql_request_read(call->request, (unsigned)engine_config(call->site->engine)->max_depth, &g->request, e))
    return false;
  if (!compile(call, g, e)) return false;
  return g->operation.ncommands ? execute(call, g, &invocation, e) : put_answer(call, g, NULL, NULL, e);
}
