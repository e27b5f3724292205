/* Fuzz target: the parameters of a request and its body, through dispatch. Whatever comes, there is one well-formed
 * answer with a documented status. There is no database, so a request that passes everything ends in
 * DATABASE_UNAVAILABLE.
 *
 * The input is lines "NAME=value" with FastCGI parameter names, an empty line, and the body. A name that comes twice
 * counts as in fcgi/request_read.c; INSIDE=1 is the inside listener. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/json.h"
#include "base/log.h"
#include "base/problems.h"
#include "base/str.h"
#include "handlers/handler.h"
#include "manifest/config.h"
#include "manifest/manifest.h"
#include "tests/fuzz/demand.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEPTH = 16 };

static struct datasource source = {.name = "main", .conninfo = "host=/nonexistent dbname=x", .prepared = true};
static const struct config config = {
    .manifest = "m.yaml",
    .datasources = &source,
    .ndatasources = 1,
    .timeout_ms = 1000,
    .max_body_bytes = 1000,
    .max_depth = DEPTH,
    .max_commands = 5,
    .max_rows = 10,
    .max_result_bytes = 1000,
    .log_level = LOG_ERROR,
};
static const char manifest_text[] =
    "specVersion: 1\n"
    "commands:\n"
    "  add_user:\n"
    "    sql: insert into app_user (username, email) values (:username, :email) returning id, username\n"
    "    args: { username: text, email: { type: text, default: null } }\n"
    "    returns: one\n"
    "    allow: [anonymous]\n"
    "  free: { check: 'select not exists (select from app_user where username = :username)', allow: [anonymous, staff] "
    "}\n"
    "  both:\n"
    "    args: { username: text }\n"
    "    allow: [staff]\n"
    "    commands:\n"
    "      - free: { username: $args.username }\n"
    "      - add_user: { username: $args.username }\n"
    "        as: user\n"
    "    result: $user\n"
    "  inner: { sql: 'select 1 as one' }\n";

/* ---- the request ---- */

static const struct row {
  const char *name;
  size_t offset;
} rows[] = {
#define AT(member) offsetof(struct request, member)
    {"REQUEST_METHOD", AT(method)},
    {"DOCUMENT_URI", AT(uri)},
    {"QUERY_STRING", AT(query)},
    {"CONTENT_TYPE", AT(content_type)},
    {"CONTENT_LENGTH", AT(content_length)},
    {"HTTP_ACCEPT", AT(accept)},
    {"HTTP_PREFER", AT(prefer)},
    {"HTTP_IDEMPOTENCY_KEY", AT(idempotency_key)},
    {"HTTP_MUTATION_ID", AT(mutation_id)},
    {"HTTP_IF_MATCH", AT(if_match)},
    {"HTTP_TRACEPARENT", AT(traceparent)},
    {"HTTP_X_REQUEST_ID", AT(x_request_id)},
    {"WRIT_PREFIX", AT(prefix)},
    {"WRIT_ROLE", AT(role)},
    {"WRIT_USER", AT(user)},
    {"WRIT_CLAIMS", AT(claims)},
#undef AT
};

struct input {
  const char *p;
  size_t left;
};

static bool read_body(struct request *request, const char **body, size_t *len, struct err *e) {
  const struct input *rest = request->io;

  if (rest->left > (size_t)config.max_body_bytes) return err_set(e, TOO_LARGE, "The body has %zu bytes.", rest->left);
  *body = arena_strndup(request->mem, rest->p, rest->left);
  *len = rest->left;
  return true;
}

static void set_field(struct request *request, const char *line) {
  const char *equals = strchr(line, '=');
  size_t len = equals ? (size_t)(equals - line) : 0;

  if (!equals) return;
  if (len == 6 && memcmp(line, "INSIDE", len) == 0) request->inside = equals[1] == '1';
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const char **field = (const char **)((char *)request + rows[i].offset);

    if (strlen(rows[i].name) != len || memcmp(rows[i].name, line, len) != 0) continue;
    if (*field && strncmp(line, "WRIT_", 5) == 0) request->identity_repeated = true;
    if (*field && field == &request->idempotency_key) request->idempotency_key_repeated = true;
    *field = equals + 1;
  }
}

/* Leaves the body in *in. */
static void read_lines(struct request *request, struct input *in) {
  while (in->left > 0) {
    const char *end = memchr(in->p, '\n', in->left);
    size_t len = end ? (size_t)(end - in->p) : in->left;
    char *line = arena_strndup(request->mem, in->p, len);

    in->p += len + (end != NULL);
    in->left -= len + (end != NULL);
    if (len == 0) return;
    set_field(request, line);
  }
}

/* ---- the answer ---- */

static bool is_documented(int status, const struct request *request) {
  static const int statuses[] = {200, 400, 401, 403, 404, 405, 406, 413, 415, 422, 501, 503};

  if (status == 500) return request->identity_repeated;
  for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
    if (statuses[i] == status) return true;
  return false;
}

static void demand_problem(const struct request *request, const struct answer *a) {
  const struct json *root, *status, *code;
  struct err e;

  err_init(&e, request->mem);
  demand(json_read(request->mem, a->body->p, a->body->len, 4, &root, &e));
  status = json_get(root, "status");
  code = json_get(root, "code");
  demand(status && status->kind == JSON_NUMBER && atoi(status->text) == a->status);
  demand(code && code->kind == JSON_STRING && code->len > 0);
  demand(json_get(root, "title") && json_get(root, "retryable") && json_get(root, "request_id"));
}

static void demand_headers(const struct answer *a) {
  demand(a->nheaders >= 2 && strcmp(a->headers[0].name, "X-Request-Id") == 0);
  for (size_t i = 0; i < a->nheaders; i++)
    for (const char *p = a->headers[i].value; *p; p++) demand(*p >= ' ' && *p < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct site site;
  void *mem = arena_request(NULL);
  struct input in = {(const char *)data, size};
  struct request request = {.mem = mem, .read_body = read_body, .io = &in, .caller_fd = -1, .received_us = clock_us()};
  struct answer answer;

  if (!site.engine) {
    void *process = talloc_named_const(NULL, 0, "fuzz_params");
    struct problems problems;
    const struct manifest *manifest;

    log_set_level((enum log_level)0);
    problems_init(&problems, process);
    manifest = manifest_read(process, &config, manifest_text, strlen(manifest_text), &problems);
    demand(manifest != NULL);
    site.counters = counters_create(1);
    site.engine = engine_new(process, &config, manifest, NULL);
  }
  read_lines(&request, &in);
  if (!request.method) request.method = "POST";
  if (!request.prefix) request.prefix = "";
  if (!request.query) request.query = "";
  dispatch(&site, &request, &answer);
  demand(is_documented(answer.status, &request));
  demand_headers(&answer);
  if (answer.status != 200 && strcmp(request.method, "HEAD") != 0) demand_problem(&request, &answer);
  talloc_free(mem);
  return 0;
}
