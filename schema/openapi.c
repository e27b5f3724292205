/* The OpenAPI document as a whole, and the paths that are no command's. */
#include "schema/openapi_inside.h"

#include "base/arena.h"

#include <string.h>

/* ---- who may what ---- */

static bool is_among(const char *role, const char *const *roles, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (role && strcmp(roles[i], role) == 0) return true;
  return false;
}

static bool is_set(const struct command *c) {
  return c->kind == COMMAND_TRANSACTIONAL_SET || c->kind == COMMAND_EXECUTE_SET;
}

bool openapi_has(const struct openapi *of, const struct command *c) {
  if (is_set(c) || c->kind == COMMAND_PERMISSION || c->kind == COMMAND_VERSION) return false;
  return of->inside || is_among(of->role, c->allow, c->nallow);
}

static bool reads_events(const struct openapi *of) {
  return of->inside || is_among(of->role, of->manifest->event_readers, of->manifest->nevent_readers);
}

/* ---- the head ---- */

static void put_info(struct openapi_writer *w) {
  const struct openapi_info *info = &w->of->manifest->openapi;

  openapi_put(w, "'openapi':'3.1.0','info':{'title':");
  str_json(w->out, info->title);
  openapi_put(w, ",'version':");
  str_json(w->out, info->version);
  openapi_put(w, ",'license':{'name':'None is stated','identifier':'NOASSERTION'},'description':");
  str_json(w->out,
           info->description
               ? info->description
               : "What the caller may do here. A value may be given as a string, in the input syntax of PostgreSQL, "
                 "whatever its type; numbers keep all their digits. A failure is one error, and nothing has changed.");
  str_char(w->out, '}');
}

static void put_server(struct openapi_writer *w) {
  const char *prefix = w->of->prefix ? w->of->prefix : "";
  size_t n = strlen(prefix);

  while (n && prefix[n - 1] == '/') n--;
  openapi_put(w, ",'servers':[{'url':");
  if (n) str_json_bytes(w->out, prefix, n);
  else openapi_put(w, "'/'");
  /* Who calls is for the web server ahead to find out, by whatever means. */
  openapi_put(w, "}],'security':[]");
}

/* ---- paths ---- */

#define LIST(parts) parts, sizeof parts / sizeof *parts

static void put_state(struct openapi_writer *w) {
  static const enum openapi_part headers[] = {PART_H_REQUEST_ID, PART_H_ETAG};
  static const enum openapi_part answers[] = {PART_400, PART_401, PART_403, PART_404, PART_503, PART_OTHER};

  openapi_put(
      w,
      "'get':{'operationId':'mutation.state','summary':'The state of a mutation','description':'For who asked for it, and "
      "for roles that may read all.',");
  openapi_tag(w, TAG_MUTATION);
  openapi_put(w, ",'parameters':[");
  openapi_ref(w, PART_IF_NONE_MATCH);
  openapi_put(w, "],'responses':{'200':{'description':'The state.'");
  openapi_headers(w, LIST(headers));
  openapi_put(w, ",'content':{'application/json':{'schema':");
  openapi_ref(w, PART_STATE);
  openapi_put(w, "}}},'304':{'description':'It has not changed.'");
  openapi_headers(w, LIST(headers));
  str_char(w->out, '}');
  openapi_answers(w, LIST(answers));
  openapi_put(w, "}}");
}

static void put_cancel(struct openapi_writer *w) {
  static const enum openapi_part answers[] = {PART_202, PART_400, PART_401, PART_403,
                                              PART_404, PART_409, PART_503, PART_OTHER};

  openapi_put(w, ",'delete':{'operationId':'mutation.cancel','summary':'Ask it to stop before its next step',");
  openapi_tag(w, TAG_MUTATION);
  openapi_put(w, ",'responses':{");
  openapi_answers(w, LIST(answers));
  openapi_put(w, "}}");
}

static void put_stream(struct openapi_writer *w) {
  static const enum openapi_part headers[] = {PART_H_REQUEST_ID};
  static const enum openapi_part answers[] = {PART_400, PART_401, PART_403, PART_404, PART_503, PART_OTHER};

  openapi_next(w);
  openapi_put(
      w, "'/mutation/{uuid}/events':{'get':{'operationId':'mutation.events','summary':'The state now, then each change, as "
         "server-sent events',");
  openapi_tag(w, TAG_MUTATION);
  openapi_put(w, ",'parameters':[");
  openapi_ref(w, PART_MUTATION);
  str_char(w->out, ',');
  openapi_ref(w, PART_LAST_EVENT_ID);
  openapi_put(w, "],'responses':{'200':{'description':'Events, until the mutation has ended.'");
  openapi_headers(w, LIST(headers));
  openapi_put(w, ",'content':{'text/event-stream':{'schema':{'type':'string'}}}}");
  openapi_answers(w, LIST(answers));
  openapi_put(w, "}}}");
}

static void put_mutation(struct openapi_writer *w) {
  openapi_next(w);
  openapi_put(w, "'/mutation/{uuid}':{'parameters':[");
  openapi_ref(w, PART_MUTATION);
  openapi_put(w, "],");
  put_state(w);
  put_cancel(w);
  str_char(w->out, '}');
  if (w->of->streams) put_stream(w);
}

static void put_events(struct openapi_writer *w) {
  static const enum openapi_part headers[] = {PART_H_REQUEST_ID};
  static const enum openapi_part answers[] = {PART_400, PART_401, PART_403, PART_406, PART_503, PART_OTHER};

  openapi_next(w);
  openapi_put(w, "'/events':{'get':{'operationId':'events.read','summary':'A page of the event log',");
  openapi_tag(w, TAG_EVENTS);
  openapi_put(
      w,
      ",'parameters':["
      "{'name':'after','in':'query','description':'A position: only events behind it.','schema':{'type':'integer','format':'int64','minimum':0,'default':0}},"
      "{'name':'name','in':'query','description':'Only events of that name.','schema':{'type':'string'}},"
      "{'name':'key','in':'query','description':'Only events with that key.','schema':{'type':'string'}},"
      "{'name':'limit','in':'query','description':'At most so many.','schema':{'type':'integer','minimum':1}},"
      "{'name':'datasource','in':'query','description':'Of which database; the first, when it is not given.','schema':{'type':'string'}}");
  if (w->of->streams) {
    str_char(w->out, ',');
    openapi_ref(w, PART_LAST_EVENT_ID);
  }
  openapi_put(w, "],'responses':{'200':{'description':'Events, in the order of their positions.'");
  openapi_headers(w, LIST(headers));
  openapi_put(w, ",'content':{'application/json':{'schema':");
  openapi_ref(w, PART_EVENTS);
  openapi_put(w, "}");
  if (w->of->streams) openapi_put(w, ",'text/event-stream':{'schema':{'type':'string'}}");
  openapi_put(w, "}}");
  openapi_answers(w, LIST(answers));
  openapi_put(w, "}}}");
}

/* A query is never accepted for later. */
static void put_graphql_answers(struct openapi_writer *w, bool later) {
  static const char *const failures[] = {"4XX", "5XX"};

  openapi_put(w, ",'responses':{");
  openapi_answer(w, PART_GRAPHQL_200);
  if (later) openapi_answer(w, PART_GRAPHQL_202);
  for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
    str_printf(w->out, ",\"%s\":", failures[i]);
    openapi_ref(w, PART_GRAPHQL_FAILED);
  }
  openapi_put(w, "}}");
}

static void put_graphql(struct openapi_writer *w) {
  static const enum openapi_part fields[] = {PART_KEY, PART_PREFER, PART_MUTATION_ID, PART_TRACEPARENT, PART_REQUEST_ID};

  openapi_next(w);
  openapi_put(w, "'/graphql':{'post':{'operationId':'graphql.post','summary':'A query or mutation',");
  openapi_tag(w, TAG_GRAPHQL);
  openapi_put(w, ",'parameters':[");
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    openapi_next(w);
    openapi_ref(w, fields[i]);
  }
  openapi_put(w, "],'requestBody':{'required':true,'content':{'application/json':{'schema':");
  openapi_ref(w, PART_GRAPHQL_REQUEST);
  openapi_put(w, ",'example':{'query':'{ __typename }'}}}}");
  put_graphql_answers(w, true);
  openapi_put(w, ",'get':{'operationId':'graphql.get','summary':'A query',");
  openapi_tag(w, TAG_GRAPHQL);
  openapi_put(
      w, ",'parameters':["
         "{'name':'query','in':'query','description':'The document.','schema':{'type':'string'},'example':'{ __typename }'},"
         "{'name':'operationName','in':'query','description':'Which of its operations.','schema':{'type':'string'}},"
         "{'name':'variables','in':'query','description':'JSON.','schema':{'type':'string'}},"
         "{'name':'extensions','in':'query','description':'JSON.','schema':{'type':'string'}}]");
  put_graphql_answers(w, false);
  str_char(w->out, '}');
}

static void put_commands(struct openapi_writer *w) {
  const struct manifest *m = w->of->manifest;
  bool any = false;

  for (size_t i = 0; i < m->ncommands; i++) {
    if (!openapi_has(w->of, m->commands[i])) continue;
    openapi_next(w);
    openapi_command(w, m->commands[i]);
    any = true;
  }
  /* A set of nothing is of no use. */
  for (size_t i = 0; i < m->ncommands && any; i++) {
    if (!is_set(m->commands[i])) continue;
    openapi_next(w);
    openapi_set(w, m->commands[i]);
  }
}

void openapi_write(struct str *out, const void *mem, const struct openapi *of) {
  struct openapi_writer w = {.mem = mem, .of = of, .out = out};

  if (of->schema) {
    w.view = schema_view_new(mem, of->schema, of->role, of->inside);
    w.types = arena_array(mem, bool, of->schema->ntypes);
  }
  str_char(out, '{');
  put_info(&w);
  put_server(&w);
  openapi_put(&w, ",'paths':{");
  put_commands(&w);
  put_mutation(&w);
  if (reads_events(of)) put_events(&w);
  if (of->schema) put_graphql(&w);
  str_char(out, '}');
  openapi_tags(&w);
  openapi_components(&w);
  str_char(out, '}');
}
