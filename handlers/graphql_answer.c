/* Errors as GraphQL clients read them; docs/graphql.md. */
#include "handlers/graphql.h"
#include "handlers/graphql_call.h"

#include "base/arena.h"
#include "base/str.h"
#include "handlers/answer.h"
#include "manifest/manifest.h"
#include "schema/schema.h"

#include <stdlib.h>
#include <string.h>

const char *graphql_media_type(enum media media) {
  return media == MEDIA_GRAPHQL ? "application/graphql-response+json; charset=utf-8" : "application/json; charset=utf-8";
}

/* ---- parts of an error ---- */

static void text_member(struct str *s, const char *name, const char *value) {
  if (!value || !value[0]) return;
  str_printf(s, ",\"%s\":", name);
  str_json(s, value);
}

static void put_locations(struct str *s, const struct graphql_pos *at, size_t n) {
  if (!n) return;
  str_add(s, ",\"locations\":[");
  for (size_t i = 0; i < n; i++) str_printf(s, "%s{\"line\":%u,\"column\":%u}", i ? "," : "", at[i].line, at[i].column);
  str_char(s, ']');
}

static void begin_error(struct str *s, bool first, const char *message) {
  str_add(s, first ? "{\"message\":" : ",{\"message\":");
  str_json(s, message ? message : "The request failed.");
}

static void end_error(struct str *s, const char *request_id) {
  text_member(s, "requestId", request_id);
  str_char(s, '}');
}

/* ---- where ---- */

/* The field that an error is about; NULL: none, or all. */
static const struct root *root_of(const struct graphql_call *g, const struct err *e) {
  const struct operation_call *o = &g->operation;

  if (e->index >= 0 && (size_t)e->index < o->ncommands) return o->commands[e->index];
  return o->ncommands == 1 ? o->commands[0] : NULL;
}

/* One step of a JSON pointer as JSON: a number, where it is an index. No name in GraphQL begins with a digit. */
static void put_step(struct str *s, const char *step, size_t len) {
  struct str *name = str_new(s, len);

  if (strspn(step, "0123456789") == len && len < 10) {
    str_bytes(s, step, len);
    return;
  }
  for (size_t i = 0; i < len; i++) {
    bool escaped = step[i] == '~' && i + 1 < len;

    str_char(name, !escaped ? step[i] : step[i + 1] == '1' ? '/' : '~');
    i += escaped;
  }
  str_json(s, name->p);
}

static bool step_is(const char *step, size_t len, const char *word) {
  return len == strlen(word) && memcmp(step, word, len) == 0;
}

/* Where in the arguments of the field: the command's, without what names the command in a set. Of a model's command (selects) the
 * argument "select" and each "select" right behind a field in it are ours: the client wrote fields there. */
static void put_input_path(struct str *s, const char *pointer, bool selects) {
  enum { OURS_MAY_COME, FIELD_COMES, GIVEN } next = selects ? OURS_MAY_COME : GIVEN;
  bool first = true;

  if (!pointer) return;
  if (strncmp(pointer, "/commands/", 10) == 0) {
    pointer = strstr(pointer, "/args/");
    if (!pointer) return;
    pointer += 5;
  }
  for (const char *p = pointer; *p == '/';) {
    size_t len = strcspn(++p, "/");
    bool ours = next == OURS_MAY_COME && step_is(p, len, "select");

    if (!ours) {
      str_add(s, first ? ",\"inputPath\":[" : ",");
      put_step(s, p, len);
      first = false;
    }
    next = ours ? FIELD_COMES : next == FIELD_COMES ? OURS_MAY_COME : GIVEN;
    p += len;
  }
  if (!first) str_char(s, ']');
}

/* ---- errors ---- */

static void put_extensions(struct str *s, const struct err *e, bool selects) {
  str_add(s, ",\"extensions\":{\"code\":");
  str_json(s, err_name(e));
  str_printf(s, ",\"status\":%d", e->status);
  put_input_path(s, e->path, selects);
  text_member(s, "command", e->command);
  text_member(s, "sqlstate", e->sqlstate);
  text_member(s, "constraint", e->constraint);
  text_member(s, "column", e->column);
  text_member(s, "details", e->details);
  text_member(s, "hint", e->hint);
  str_printf(s, ",\"retryable\":%s}", e->retryable ? "true" : "false");
}

/* The one error of an operation, or of a request that did not come so far. */
static void put_error(struct str *s, const struct graphql_call *g, const struct err *e, const char *request_id) {
  const struct root *root = g && g->executing ? root_of(g, e) : NULL;

  begin_error(s, true, e->message);
  if (root) {
    put_locations(s, &root->wanted.first->pos, 1);
    str_add(s, ",\"path\":[");
    str_json(s, root->wanted.key);
    str_char(s, ']');
  }
  if (e->prisma_code) str_printf(s, ",\"code\":%d", e->prisma_code);
  put_extensions(s, e, root && root->wanted.field->command->model);
  end_error(s, request_id);
}

static void put_document_errors(struct str *s, const struct gql_errors *errors, const struct err *e,
                                const char *request_id) {
  for (size_t i = 0; i < errors->n; i++) {
    const struct gql_error *error = &errors->list[i];

    begin_error(s, i == 0, error->message);
    put_locations(s, error->locations, error->nlocations);
    str_add(s, ",\"extensions\":{\"code\":");
    str_json(s, err_name(e));
    text_member(s, "rule", error->rule);
    str_char(s, '}');
    end_error(s, request_id);
  }
}

void graphql_put_field_errors(struct str *s, const struct field_errors *errors, const char *request_id) {
  str_add(s, "\"errors\":[");
  for (size_t i = 0; i < errors->n; i++) {
    begin_error(s, i == 0, errors->list[i].message);
    put_locations(s, &errors->list[i].place, 1);
    str_printf(s, ",\"path\":%s,\"extensions\":{\"code\":\"INTERNAL\",\"status\":500,\"retryable\":false}",
               errors->list[i].path);
    end_error(s, request_id);
  }
  str_char(s, ']');
}

/* GraphQL over HTTP, section 6.4: what was asked for in a well-formed request and failed is a 200 to application/json; to
 * application/graphql-response+json only if there is data. Errors of ours keep their status with both: those who watch the
 * traffic, and load balancers, look at nothing else. */
static int status_of(const struct graphql_call *g, const struct err *e) {
  if (!g || e->status >= 500) return e->status;
  if (g->executing) return 200;
  if (g->media != MEDIA_JSON) return e->status;
  return g->errors.n || e->code == ERR_PERSISTED_QUERY_NOT_FOUND || e->code == ERR_PERSISTED_QUERY_NOT_SUPPORTED ? 200
                                                                                                                 : e->status;
}

void graphql_answer_error(struct call *call, const struct err *e) {
  const struct graphql_call *g = call->graphql;
  struct answer *answer = call->answer;
  struct str *s = answer->body;

  answer_error(answer, e, call->request_id); /* for its header fields */
  if (!call->site->documents) return;        /* there is no GraphQL here: an error as of any other path */
  answer->status = status_of(g, e);
  answer->content_type = graphql_media_type(g ? g->media : headers_accept_graphql(call->request->accept));
  str_clear(s);
  str_add(s, g && g->executing ? "{\"data\":null,\"errors\":[" : "{\"errors\":[");
  if (g && g->errors.n) put_document_errors(s, &g->errors, e, call->request_id);
  else put_error(s, g, e, call->request_id);
  str_add(s, "]}");
}
