/* What is the same in every OpenAPI document: components, tags. Text is JSON in which ' stands for ". */
#include "schema/openapi_inside.h"

#include <string.h>

#define NEEDS(part) ((uint64_t)1 << PART_##part)

#define PROBLEM(code, status, text)                                                                                         \
  [PART_##code] = {"responses", status,                                                                                     \
                   "{'description':'" text "','headers':{'X-Request-Id':{'$ref':'#/components/headers/X-Request-Id'}},"     \
                   "'content':{'application/problem+json':{'schema':{'$ref':'#/components/schemas/writ.Problem'}}}}",       \
                   NEEDS(PROBLEM) | NEEDS(H_REQUEST_ID)}
/* One that may come with the time after which to ask again. */
#define PROBLEM_FOR_NOW(code, status, text)                                                                                 \
  [PART_##code] = {"responses", status,                                                                                     \
                   "{'description':'" text "','headers':{'X-Request-Id':{'$ref':'#/components/headers/X-Request-Id'},"      \
                   "'Retry-After':{'$ref':'#/components/headers/Retry-After'}},"                                            \
                   "'content':{'application/problem+json':{'schema':{'$ref':'#/components/schemas/writ.Problem'}}}}",       \
                   NEEDS(PROBLEM) | NEEDS(H_REQUEST_ID) | NEEDS(H_RETRY_AFTER)}

/* Without the brace at its end: there may be more. */
#define GRAPHQL_CONTENT                                                                                                     \
  "{'application/json':{'schema':{'$ref':'#/components/schemas/writ.GraphQLAnswer'}},"                                      \
  "'application/graphql-response+json':{'schema':{'$ref':'#/components/schemas/writ.GraphQLAnswer'}}"

#define HEADER(description, schema) "{'description':'" description "','schema':" schema "}"
#define IN_HEADER(name, required, description, schema)                                                                      \
  "{'name':'" name "','in':'header','required':" required ",'description':'" description "','schema':" schema "}"

#define AS                                                                                                                  \
  "{'type':'string','minLength':1,'maxLength':63,'pattern':'^[^.]+$','description':'Names the result, for references of later commands.'}"

static const struct part {
  const char *section, *name, *text; /* text NULL: openapi_components makes it */
  uint64_t needs;                    /* what the text refers to */
} parts[PARTS] = {
    [PART_PROBLEM] =
        {"schemas", "writ.Problem",
         "{'type':'object','description':'What went wrong (RFC 9457). Nothing has changed, but for what committed counts.',"
         "'required':['type','title','status','code','retryable'],'properties':{"
         "'type':{'type':'string'},'title':{'type':'string'},'status':{'type':'integer'},"
         "'code':{'type':'string','description':'What to tell errors apart by.'},'detail':{'type':'string','description':'For people.'},"
         "'command':{'type':'string'},'index':{'type':'integer','description':'The place of the command in its set.'},"
         "'path':{'type':'string','description':'A JSON pointer into the body.'},'argument':{'type':'string'},"
         "'sqlstate':{'type':'string'},'constraint':{'type':'string'},'column':{'type':'string'},'details':{'type':'string'},"
         "'hint':{'type':'string'},'prisma_code':{'type':'integer'},"
         "'committed':{'type':'integer','description':'How many commands of an execute_command_set were done before.'},"
         "'retryable':{'type':'boolean','description':'May the same request succeed when it is simply sent again?'},"
         "'request_id':{'type':'string'}}}",
         0},
    [PART_ACCEPTED] =
        {"schemas", "writ.Accepted",
         "{'type':'object','required':['mutation','state'],'properties':{'mutation':{'type':'string','format':'uuid'},"
         "'state':{'type':'string','format':'uri-reference','description':'Where to ask how it is going.'}}}",
         0},
    [PART_COMMAND] = {"schemas", "writ.Command", NULL, 0},
    [PART_ENTRY] =
        {"schemas", "writ.Entry",
         "{'type':'object','required':['command'],'additionalProperties':false,'properties':{"
         "'command':{'$ref':'#/components/schemas/writ.Command'},'as':" AS ","
         "'mutation':{'type':'string','format':'uuid','description':'In a transactional set: a new UUID, by which to follow the state of "
         "this command.'},"
         "'args':{'type':'object','description':'What the body of the command alone is. Anywhere in it, an object whose only member "
         "is `$ref` stands for a value out of an earlier result, by the name in `as`: `user.id`, `users.0.id`. One whose only member is "
         "`$literal` stands for the value of that member, which is not looked into.'}}}",
         NEEDS(COMMAND)},
    [PART_ENTRIES] = {"schemas", "writ.Entries", "{'type':'array','items':{'$ref':'#/components/schemas/writ.Entry'}}",
                      NEEDS(ENTRY)},
    [PART_STEPS] =
        {"schemas", "writ.Steps",
         "{'type':'array','description':'Each a transaction of its own; several may be one.','items':{'anyOf':[{'$ref':'#/components/schemas/writ.Entry'},"
         "{'type':'object','required':['command','args'],'additionalProperties':false,'properties':{"
         "'command':{'const':'transactional_command_set'},'as':" AS ",'args':{'type':'object','required':['commands'],"
         "'additionalProperties':false,'properties':{'commands':{'$ref':'#/components/schemas/writ.Entries'},'isolation':" OPENAPI_ISOLATION
         "}}}}]}}",
         NEEDS(ENTRY) | NEEDS(ENTRIES)},
    [PART_RESULTS] =
        {"schemas", "writ.Results",
         "{'type':'object','required':['results'],'properties':{'results':{'type':'array','items':{'type':'object',"
         "'required':['command','result'],'properties':{'command':{'anyOf':[{'$ref':'#/components/schemas/writ.Command'},"
         "{'const':'transactional_command_set'}]},"
         "'as':{'type':'string'},'result':{'description':'What the command alone answers as result; of a set, the list of its results.'}}}}}}",
         NEEDS(COMMAND)},
    [PART_STATE] =
        {"schemas", "writ.State",
         "{'type':'object','description':'How a mutation is going. Applications add members of their own.',"
         "'required':['uuid','status','progress','steps','events'],'properties':{'uuid':{'type':'string','format':'uuid'},"
         "'status':{'type':'string','enum':['pending','running','complete','error','cancelled']},"
         "'progress':{'type':'number','minimum':0,'maximum':1},'steps':{'type':'array','items':{'type':'object',"
         "'required':['id','status'],'properties':{'id':{'type':'string'},'title':{'type':['string','null']},"
         "'description':{'type':['string','null']},'status':{'type':'string','enum':['pending','processing','error','finished']},"
         "'current':{},'error':{},'data':{}}}},'events':{'type':'array','items':{'type':'object','required':['name'],"
         "'properties':{'name':{'type':'string'},'payload':{},'at':{'type':'string','format':'date-time'}}}},"
         "'result':{},'error':{'$ref':'#/components/schemas/writ.Problem'}}}",
         NEEDS(PROBLEM)},
    [PART_EVENT] =
        {"schemas", "writ.Event",
         "{'type':'object','required':['position','name','payload','at'],'properties':{'position':{'type':'integer','format':'int64'},"
         "'name':{'type':'string'},'key':{'type':['string','null']},'payload':{},'at':{'type':'string','format':'date-time'},"
         "'command':{'type':['string','null']},'role':{'type':['string','null']},'user':{'type':['string','null']},"
         "'mutation':{'type':['string','null']},'traceparent':{'type':['string','null']}}}",
         0},
    [PART_EVENTS] =
        {"schemas", "writ.Events",
         "{'type':'object','required':['events','last'],'properties':{'events':{'type':'array','items':"
         "{'$ref':'#/components/schemas/writ.Event'}},'last':{'type':'integer','format':'int64','description':'Where to go on: the "
         "next `after`.'}}}",
         NEEDS(EVENT)},
    [PART_GRAPHQL_REQUEST] =
        {"schemas", "writ.GraphQLRequest",
         "{'type':'object','properties':{'query':{'type':'string','description':'The document.'},"
         "'operationName':{'type':['string','null']},'variables':{'type':['object','null']},'extensions':{'type':['object','null']}}}",
         0},
    [PART_GRAPHQL_ANSWER] =
        {"schemas", "writ.GraphQLAnswer",
         "{'type':'object','properties':{'data':{'type':['object','null']},'errors':{'type':'array','items':{'type':'object',"
         "'required':['message'],'properties':{'message':{'type':'string'},'locations':{'type':'array','items':{'type':'object'}},"
         "'path':{'type':'array','items':{'type':['string','integer']}},'code':{'type':'integer'},'extensions':{'type':'object'}}}},"
         "'extensions':{'type':'object'}}}",
         0},
    [PART_SELECT] =
        {"schemas", "writ.Select",
         "{'description':'What is answered of a node: a selection set of GraphQL as text, `{ id posts { title } }`, or a tree, "
         "`{\\\"id\\\": true, \\\"posts\\\": {\\\"select\\\": {\\\"title\\\": true}}}`. Without it: all fields of the node itself.',"
         "'anyOf':[{'type':'string'},{'type':'object'},{'type':'null'}]}",
         0},
    [PART_202] = {"responses", "202-Accepted",
                  "{'description':'It runs in the background: durable, whatever dies.','headers':{'X-Request-Id':{'$ref':"
                  "'#/components/headers/X-Request-Id'},'Location':{'$ref':'#/components/headers/Location'},"
                  "'Preference-Applied':{'$ref':'#/components/headers/Preference-Applied'}},"
                  "'content':{'application/json':{'schema':{'$ref':'#/components/schemas/writ.Accepted'}}}}",
                  NEEDS(ACCEPTED) | NEEDS(H_REQUEST_ID) | NEEDS(H_LOCATION) | NEEDS(H_APPLIED)},
    PROBLEM(400, "400-BadRequest", "The request is no JSON, or its arguments, references or header fields are wrong."),
    PROBLEM(401, "401-Unauthenticated", "Sign in to do this."),
    PROBLEM(403, "403-Forbidden", "The caller may not do this."),
    PROBLEM(404, "404-NotFound", "There is no such thing."),
    PROBLEM(406, "406-NotAcceptable", "Accept does not allow what is answered."),
    PROBLEM_FOR_NOW(409, "409-Conflict", "It clashes with what is there, or with what others do at the moment."),
    PROBLEM(412, "412-VersionMismatch", "It has been changed since that version was read."),
    PROBLEM(413, "413-TooLarge", "There is too much of something."),
    PROBLEM(415, "415-UnsupportedMediaType", "The body must be application/json."),
    PROBLEM(422, "422-Refused", "A check, a constraint or a type of the database says no."),
    PROBLEM(500, "500-Failed", "It failed here, or it is not known whether it was committed."),
    PROBLEM_FOR_NOW(502, "502-HandlerFailed", "A service that is asked failed."),
    PROBLEM_FOR_NOW(503, "503-Unavailable", "The database is out of reach, or too many ask at once."),
    PROBLEM(504, "504-Timeout", "It took too long, and was cancelled."),
    PROBLEM_FOR_NOW(
        OTHER, "default-Other",
        "Another failure: one that the application has of its own, with whatever status it gives it, or one of HTTP."),
    [PART_GRAPHQL_200] =
        {"responses", "200-GraphQL",
         "{'description':'Data, or errors.','headers':{'X-Request-Id':{'$ref':'#/components/headers/X-Request-Id'},"
         "'Idempotent-Replay':{'$ref':'#/components/headers/Idempotent-Replay'},'Preference-Applied':{'$ref':'#/components/headers/Preference-Applied'},"
         "'Writ-After':{'$ref':'#/components/headers/Writ-After'}},'content':" GRAPHQL_CONTENT "}}",
         NEEDS(GRAPHQL_ANSWER) | NEEDS(H_REQUEST_ID) | NEEDS(H_REPLAY) | NEEDS(H_APPLIED) | NEEDS(H_AFTER)},
    [PART_GRAPHQL_202] =
        {"responses", "202-GraphQL",
         "{'description':'It runs in the background: `data` is null, `extensions` has where to ask how it is going.','headers':{"
         "'X-Request-Id':{'$ref':'#/components/headers/X-Request-Id'},'Location':{'$ref':'#/components/headers/Location'},"
         "'Preference-Applied':{'$ref':'#/components/headers/Preference-Applied'}},'content':" GRAPHQL_CONTENT "}}",
         NEEDS(GRAPHQL_ANSWER) | NEEDS(H_REQUEST_ID) | NEEDS(H_LOCATION) | NEEDS(H_APPLIED)},
    [PART_GRAPHQL_FAILED] =
        {"responses", "GraphQL-Failed",
         "{'description':'Errors, in the form of GraphQL, or of problem+json where the web server ahead says no.','headers':{"
         "'X-Request-Id':{'$ref':'#/components/headers/X-Request-Id'},'Retry-After':{'$ref':'#/components/headers/Retry-After'}},"
         "'content':" GRAPHQL_CONTENT
         ",'application/problem+json':{'schema':{'$ref':'#/components/schemas/writ.Problem'}}}}",
         NEEDS(GRAPHQL_ANSWER) | NEEDS(PROBLEM) | NEEDS(H_REQUEST_ID) | NEEDS(H_RETRY_AFTER)},
    [PART_KEY] = {"parameters", "Idempotency-Key",
                  IN_HEADER("Idempotency-Key", "false",
                            "The same key again, with the same request, gets the same answer; nothing is done twice.",
                            "{'type':'string','minLength':1,'maxLength':255}"),
                  0},
    [PART_KEY_NEEDED] =
        {"parameters", "Idempotency-Key-needed",
         IN_HEADER("Idempotency-Key", "true",
                   "Needed here. The same key again, with the same request, gets the same answer; nothing is done twice.",
                   "{'type':'string','minLength':1,'maxLength':255}"),
         0},
    [PART_PREFER] = {"parameters", "Prefer",
                     IN_HEADER("Prefer", "false",
                               "`tx=rollback`: a dry run. `respond-async`: in the background, answered at once with 202.",
                               "{'type':'string','examples':['tx=rollback','respond-async']}"),
                     0},
    [PART_IF_MATCH] = {"parameters", "If-Match",
                       IN_HEADER("If-Match", "false",
                                 "The version that is to be changed, in quotes. The same as the argument `version`.",
                                 "{'type':'string'}"),
                       0},
    [PART_MUTATION_ID] = {"parameters", "Mutation-Id",
                          IN_HEADER("Mutation-Id", "false", "A new UUID, by which to follow the state.",
                                    "{'type':'string','format':'uuid'}"),
                          0},
    [PART_TRACEPARENT] = {"parameters", "traceparent",
                          IN_HEADER("traceparent", "false", "W3C Trace Context.", "{'type':'string'}"), 0},
    [PART_REQUEST_ID] = {"parameters", "X-Request-Id",
                         IN_HEADER("X-Request-Id", "false", "Given back, and in the log.",
                                   "{'type':'string','minLength':1,'maxLength':128}"),
                         0},
    [PART_MUTATION] =
        {"parameters", "uuid",
         "{'name':'uuid','in':'path','required':true,'description':'Which mutation.','schema':{'type':'string','format':'uuid'}}",
         0},
    [PART_IF_NONE_MATCH] = {"parameters", "If-None-Match",
                            IN_HEADER("If-None-Match", "false", "The ETag of before: 304 when nothing has changed.",
                                      "{'type':'string'}"),
                            0},
    [PART_LAST_EVENT_ID] = {"parameters", "Last-Event-ID",
                            IN_HEADER("Last-Event-ID", "false", "Of the last event that was read, to go on behind it.",
                                      "{'type':'string'}"),
                            0},
    [PART_H_REQUEST_ID] = {"headers", "X-Request-Id", HEADER("That of the request, or a new one.", "{'type':'string'}"), 0},
    [PART_H_RETRY_AFTER] = {"headers", "Retry-After",
                            HEADER("Seconds to wait before the same request is sent again.", "{'type':'string'}"), 0},
    [PART_H_REPLAY] = {"headers", "Idempotent-Replay",
                       HEADER("The answer is a stored one.", "{'type':'string','enum':['true']}"), 0},
    [PART_H_APPLIED] = {"headers", "Preference-Applied", HEADER("What of Prefer was heeded.", "{'type':'string'}"), 0},
    [PART_H_LOCATION] = {"headers", "Location",
                         HEADER("Where the state of the mutation is.", "{'type':'string','format':'uri-reference'}"), 0},
    [PART_H_AFTER] = {"headers", "Writ-After",
                      HEADER("An after-hook has not been reached yet.", "{'type':'string','enum':['pending']}"), 0},
    [PART_H_ETAG] = {"headers", "ETag", HEADER("For If-None-Match.", "{'type':'string'}"), 0},
};

static const struct tag {
  const char *name, *description;
} tags[TAGS] = {
    [TAG_SQL] = {"SQL commands", "One statement each."},
    [TAG_CHECK] = {"Checks", "Conditions that must hold: true, or an error."},
    [TAG_COMPOSITE] = {"Composites", "Several commands in one transaction, wired together."},
    [TAG_HANDLER] = {"Handlers", "Programs of the application."},
    [TAG_MODEL] = {"Models", "What can be read and written of the data model, nested to any depth."},
    [TAG_SET] = {"Command sets", "Several commands in one request."},
    [TAG_MUTATION] = {"Mutations", "How what was asked for is going."},
    [TAG_EVENTS] = {"Events", "The log of what has happened."},
    [TAG_GRAPHQL] = {"GraphQL", "The same commands, as GraphQL."},
};

void openapi_put(struct openapi_writer *w, const char *text) {
  for (size_t n; *text; text += n) {
    n = strcspn(text, "'");
    str_bytes(w->out, text, n);
    if (!text[n]) return;
    str_char(w->out, '"');
    n++;
  }
}

void openapi_ref(struct openapi_writer *w, enum openapi_part part) {
  w->parts |= (uint64_t)1 << part;
  str_printf(w->out, "{\"$ref\":\"#/components/%s/%s\"}", parts[part].section, parts[part].name);
}

void openapi_next(struct openapi_writer *w) {
  char last = w->out->p[w->out->len - 1];
  if (last != '{' && last != '[') str_char(w->out, ',');
}

void openapi_answer(struct openapi_writer *w, enum openapi_part part) {
  openapi_next(w);
  str_printf(w->out, "\"%.*s\":", (int)strcspn(parts[part].name, "-"), parts[part].name);
  openapi_ref(w, part);
}

void openapi_answers(struct openapi_writer *w, const enum openapi_part *list, size_t n) {
  for (size_t i = 0; i < n; i++) openapi_answer(w, list[i]);
}

void openapi_headers(struct openapi_writer *w, const enum openapi_part *list, size_t n) {
  openapi_put(w, ",'headers':{");
  for (size_t i = 0; i < n; i++) {
    openapi_next(w);
    str_json(w->out, parts[list[i]].name);
    str_char(w->out, ':');
    openapi_ref(w, list[i]);
  }
  str_char(w->out, '}');
}

void openapi_tag(struct openapi_writer *w, enum openapi_tag tag) {
  w->tags |= 1u << tag;
  str_printf(w->out, "\"tags\":[\"%s\"]", tags[tag].name);
}

void openapi_tags(struct openapi_writer *w) {
  openapi_put(w, ",'tags':[");
  for (unsigned i = 0; i < TAGS; i++) {
    if (!(w->tags & 1u << i)) continue;
    openapi_next(w);
    str_printf(w->out, "{\"name\":\"%s\",\"description\":\"%s\"}", tags[i].name, tags[i].description);
  }
  str_char(w->out, ']');
}

/* ---- components ---- */

/* What is referred to refers to others. */
static void close_over(struct openapi_writer *w) {
  uint64_t before;

  do {
    before = w->parts;
    for (unsigned i = 0; i < PARTS; i++)
      if (w->parts & (uint64_t)1 << i) w->parts |= parts[i].needs;
  } while (w->parts != before);
}

static void put_commands(struct openapi_writer *w) {
  const struct manifest *m = w->of->manifest;
  openapi_put(w, "{'type':'string','enum':[");
  for (size_t i = 0; i < m->ncommands; i++) {
    if (!openapi_has(w->of, m->commands[i])) continue;
    openapi_next(w);
    str_json(w->out, m->commands[i]->name);
  }
  openapi_put(w, "]}");
}

static void put_section(struct openapi_writer *w, const char *section) {
  str_json(w->out, section);
  openapi_put(w, ":{");
  for (unsigned i = 0; i < PARTS; i++) {
    if (!(w->parts & (uint64_t)1 << i) || strcmp(parts[i].section, section) != 0) continue;
    openapi_next(w);
    str_json(w->out, parts[i].name);
    str_char(w->out, ':');
    if (parts[i].text) openapi_put(w, parts[i].text);
    else put_commands(w);
  }
  if (strcmp(section, "schemas") == 0) openapi_models(w);
  str_char(w->out, '}');
}

void openapi_components(struct openapi_writer *w) {
  static const char *const sections[] = {"schemas", "responses", "parameters", "headers"};

  close_over(w);
  openapi_put(w, ",'components':{");
  for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
    openapi_next(w);
    put_section(w, sections[i]);
  }
  str_char(w->out, '}');
}
