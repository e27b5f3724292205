/* The order in which a request is judged, from its path to its arguments, and the books that are kept. There is no
 * database: a request that passes everything ends in DATABASE_UNAVAILABLE. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/problems.h"
#include "base/str.h"
#include "handlers/handler.h"
#include "manifest/config.h"
#include "manifest/manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct datasource source = {.name = "main", .conninfo = "host=/nonexistent dbname=x", .prepared = true};
static const struct config config = {
    .manifest = "m.yaml",
    .datasources = &source,
    .ndatasources = 1,
    .timeout_ms = 1000,
    .max_body_bytes = 1000,
    .max_depth = 8,
    .max_commands = 3,
    .max_rows = 10,
    .max_result_bytes = 1000,
    .log_level = LOG_ERROR,
};
static const char manifest_text[] = "specVersion: 1\n"
                                    "commands:\n"
                                    "  open: { sql: 'select :a::int as a', allow: [anonymous] }\n"
                                    "  staff: { sql: 'select 1 as one', allow: [staff] }\n"
                                    "  inner: { sql: 'select 1 as one' }\n";

struct fixture {
  void *mem;
  struct site site;
  struct counters_page *page;
  struct request request;
  struct answer answer;
  const char *body;
  bool body_was_read;
};

static bool read_body(struct request *request, const char **body, size_t *len, struct err *e) {
  struct fixture *f = request->io;

  f->body_was_read = true;
  if (!f->body) return err_set(e, BAD_REQUEST, "The body was cut short.");
  *body = f->body;
  *len = strlen(f->body);
  return true;
}

static int setup(void **state) {
  struct fixture *f = test_calloc(1, sizeof *f);
  struct problems problems;
  const struct manifest *manifest;

  f->mem = arena_request(NULL);
  log_set_level((enum log_level)0);
  problems_init(&problems, f->mem);
  manifest = manifest_read(f->mem, &config, manifest_text, strlen(manifest_text), &problems);
  if (!manifest) problems_print(&problems);
  assert_non_null(manifest);
  f->page = counters_create(2);
  assert_non_null(f->page);
  f->site = (struct site){
      .engine = engine_new(f->mem, &config, manifest, &f->page->slot[1]), .counters = f->page, .own = &f->page->slot[1]};
  f->body = "{\"a\": 1}";
  f->request = (struct request){
      .mem = f->mem,
      .method = "POST",
      .uri = "/command/open",
      .prefix = "",
      .query = "",
      .content_type = "application/json",
      .content_length = "8",
      .read_body = read_body,
      .io = f,
      .caller_fd = -1,
      .received_us = clock_us(),
  };
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;

  engine_free(f->site.engine);
  talloc_free(f->mem);
  test_free(f);
  return 0;
}

static void expect(struct fixture *f, int status, const char *code) {
  char *wanted = arena_printf(f->mem, "\"code\":\"%s\"", code);

  f->body_was_read = false;
  dispatch(&f->site, &f->request, &f->answer);
  if (f->answer.status != status || !strstr(f->answer.body->p, wanted))
    fail_msg("wanted %d %s, got %d %s", status, code, f->answer.status, f->answer.body->p);
}

static const char *header(const struct fixture *f, const char *name) {
  for (size_t i = 0; i < f->answer.nheaders; i++)
    if (strcmp(f->answer.headers[i].name, name) == 0) return f->answer.headers[i].value;
  return NULL;
}

static void test_passes(void **state) { expect(*state, 503, "DATABASE_UNAVAILABLE"); }

static void test_path(void **state) {
  static const char *const wrong[] = {"", "/", "/command", "/command/", "/commands/open", "command/open", "/x/command/open"};
  struct fixture *f = *state;

  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    f->request.uri = wrong[i];
    expect(f, 404, "NOT_FOUND");
  }
  f->request.uri = NULL;
  expect(f, 404, "NOT_FOUND");
  f->request.uri = "/command/open/";
  expect(f, 404, "UNKNOWN_COMMAND");
  f->request.uri = "/command/caf\xe9";
  expect(f, 404, "UNKNOWN_COMMAND");
  f->request.uri = "/command/none";
  expect(f, 404, "UNKNOWN_COMMAND");
}

static void test_prefix(void **state) {
  struct fixture *f = *state;

  f->request.prefix = "/api";
  expect(f, 404, "NOT_FOUND");
  f->request.uri = "/apicommand/open";
  expect(f, 404, "NOT_FOUND");
  f->request.uri = "/api/command/open";
  expect(f, 503, "DATABASE_UNAVAILABLE");
  f->request.prefix = "/api/";
  expect(f, 503, "DATABASE_UNAVAILABLE");
  f->request.prefix = "/";
  f->request.uri = "/command/open";
  expect(f, 503, "DATABASE_UNAVAILABLE");
}

/* A caller from outside cannot tell an inside-only command from one that is not there. */
static void test_inside_only(void **state) {
  static const char *const inside_paths[] = {"/healthz", "/readyz", "/metrics"};
  struct fixture *f = *state;

  f->request.uri = "/command/inner";
  expect(f, 404, "UNKNOWN_COMMAND");
  f->request.role = "staff";
  expect(f, 404, "UNKNOWN_COMMAND");
  f->request.method = "GET";
  expect(f, 404, "UNKNOWN_COMMAND");
  for (size_t i = 0; i < 3; i++) {
    f->request.uri = inside_paths[i];
    expect(f, 404, "NOT_FOUND");
  }
  f->request.method = "POST";
  f->request.inside = true;
  f->request.uri = "/command/inner";
  f->body = "{}";
  expect(f, 503, "DATABASE_UNAVAILABLE");
}

/* Each fault stands before the next in the order of judgement: mended one by one. */
static void test_order(void **state) {
  struct fixture *f = *state;
  struct request *r = &f->request;

  r->uri = "/command/nobody";
  r->method = "GET";
  r->identity_repeated = true;
  r->mutation_id = "x";
  r->content_type = "text/plain";
  f->body = NULL;
  expect(f, 404, "UNKNOWN_COMMAND");
  r->uri = "/command/staff";
  expect(f, 405, "METHOD_NOT_ALLOWED");
  assert_string_equal(header(f, "Allow"), "POST");
  r->method = "POST";
  expect(f, 500, "INTERNAL");
  r->identity_repeated = false;
  r->claims = "[]";
  expect(f, 400, "BAD_REQUEST");
  r->claims = "{\"sub\": \"x\"}";
  expect(f, 401, "UNAUTHENTICATED");
  r->role = "guest";
  expect(f, 403, "FORBIDDEN");
  r->role = "staff";
  expect(f, 400, "BAD_REQUEST"); /* no UUID */
  r->mutation_id = NULL;
  expect(f, 415, "UNSUPPORTED_MEDIA_TYPE");
  assert_false(f->body_was_read);
  r->content_type = "application/json";
  expect(f, 400, "BAD_REQUEST"); /* cut short */
  assert_true(f->body_was_read);
  f->body = "{";
  expect(f, 400, "BAD_JSON");
  f->body = "[1]";
  expect(f, 400, "BAD_REQUEST");
  f->body = "{\"nothing\": 1}";
  expect(f, 400, "BAD_ARGUMENT");
  f->body = "{}";
  expect(f, 503, "DATABASE_UNAVAILABLE");
}

static void test_identity(void **state) {
  struct fixture *f = *state;

  f->request.role = "";
  f->request.user = "";
  f->request.claims = "";
  expect(f, 503, "DATABASE_UNAVAILABLE"); /* absent: anonymous */
  f->request.role = "a\nb";
  expect(f, 400, "BAD_REQUEST");
  f->request.role = NULL;
  f->request.user = "caf\xe9";
  expect(f, 400, "BAD_REQUEST");
  f->request.user = "J\xc3\xb6rg";
  f->request.claims = "{\"a\": 1, \"a\": 2}";
  expect(f, 400, "BAD_REQUEST");
  f->request.claims = "{\"a\": {\"a\": {\"a\": {\"a\": {\"a\": {\"a\": {\"a\": {\"a\": {}}}}}}}}}";
  expect(f, 400, "BAD_REQUEST");
}

static void test_headers(void **state) {
  struct fixture *f = *state;

  f->request.idempotency_key = "a, b";
  f->request.idempotency_key_repeated = true;
  expect(f, 400, "BAD_REQUEST");
  f->request.idempotency_key = NULL;
  f->request.idempotency_key_repeated = false;
  f->request.idempotency_key = "a b";
  expect(f, 400, "BAD_REQUEST");
  f->request.idempotency_key = NULL;
  f->request.mutation_id = "0198c5f0-7b1e-7c3d-9a4e-5f607182930";
  expect(f, 400, "BAD_REQUEST");
  f->request.mutation_id = NULL;
  f->request.if_match = "*";
  expect(f, 400, "BAD_REQUEST");
  f->request.if_match = NULL;
  f->request.accept = "text/html";
  expect(f, 406, "NOT_ACCEPTABLE");
}

static void test_empty_body(void **state) {
  struct fixture *f = *state;

  f->request.uri = "/command/staff";
  f->request.role = "staff";
  f->request.content_type = NULL;
  f->request.content_length = NULL;
  f->body = "";
  expect(f, 503, "DATABASE_UNAVAILABLE"); /* it counts as {} */
  f->request.content_length = "0";
  expect(f, 503, "DATABASE_UNAVAILABLE");
  f->request.content_type = "application/x-www-form-urlencoded"; /* a form of a stranger's page */
  expect(f, 415, "UNSUPPORTED_MEDIA_TYPE");
  f->request.content_type = NULL;
  f->request.content_length = "2";
  f->body = "{}";
  expect(f, 415, "UNSUPPORTED_MEDIA_TYPE");
}

static void test_request_id(void **state) {
  struct fixture *f = *state;

  f->request.x_request_id = "mine-1";
  expect(f, 503, "DATABASE_UNAVAILABLE");
  assert_string_equal(header(f, "X-Request-Id"), "mine-1");
  assert_non_null(strstr(f->answer.body->p, "\"request_id\":\"mine-1\""));
  f->request.x_request_id = "not one\r\nEvil: yes";
  expect(f, 503, "DATABASE_UNAVAILABLE");
  assert_int_equal(strlen(header(f, "X-Request-Id")), 36);
}

static void test_probes(void **state) {
  struct fixture *f = *state;

  f->request.inside = true;
  f->request.uri = "/healthz";
  expect(f, 405, "METHOD_NOT_ALLOWED");
  assert_string_equal(header(f, "Allow"), "GET, HEAD");
  f->request.method = "GET";
  dispatch(&f->site, &f->request, &f->answer);
  assert_int_equal(f->answer.status, 200);
  assert_string_equal(f->answer.body->p, "{\"status\":\"ok\"}");
  f->request.method = "HEAD";
  dispatch(&f->site, &f->request, &f->answer);
  assert_int_equal(f->answer.status, 200);
  assert_int_equal(f->answer.body->len, 0);
  f->request.method = "GET";
  f->request.uri = "/readyz";
  expect(f, 503, "DATABASE_UNAVAILABLE");
}

static void test_metrics(void **state) {
  struct fixture *f = *state;
  const char *text;

  expect(f, 503, "DATABASE_UNAVAILABLE");
  f->request.uri = "/none";
  expect(f, 404, "NOT_FOUND");
  f->page->slot[0] = (struct counters){.requests_inside = 5, .pid = 77, .busy_since_ms = 1, .pool = 1, .starts = {0, 3}};
  f->page->slot[1].pid = 78;
  f->page->reloads = 9;
  f->request.inside = true;
  f->request.method = "GET";
  f->request.uri = "/metrics";
  dispatch(&f->site, &f->request, &f->answer);
  assert_int_equal(f->answer.status, 200);
  text = f->answer.body->p;
  assert_string_equal(f->answer.content_type, "text/plain; version=0.0.4; charset=utf-8");
  assert_non_null(strstr(text, "\nwrit_requests_total{listener=\"border\"} 2\n"));
  assert_non_null(strstr(text, "\nwrit_requests_total{listener=\"inside\"} 5\n"));
  assert_non_null(strstr(text, "\nwrit_answers_total{status=\"4xx\"} 1\n"));
  assert_non_null(strstr(text, "\nwrit_answers_total{status=\"5xx\"} 1\n"));
  assert_non_null(strstr(text, "\nwrit_workers{pool=\"border\"} 1\n"));
  assert_non_null(strstr(text, "\nwrit_workers_busy{pool=\"inside\"} 1\n"));
  assert_non_null(strstr(text, "\nwrit_worker_starts_total{pool=\"inside\"} 3\n"));
  assert_non_null(strstr(text, "\nwrit_request_duration_seconds_bucket{le=\"0.0005\"} "));
  assert_non_null(strstr(text, "\nwrit_request_duration_seconds_bucket{le=\"4.0960\"} "));
  assert_non_null(strstr(text, "\nwrit_request_duration_seconds_bucket{le=\"+Inf\"} 2\n"));
  assert_non_null(strstr(text, "\nwrit_request_duration_seconds_count 2\n"));
  assert_non_null(strstr(text, "\nwrit_reloads_total 9\n"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
      TEST(test_passes),     TEST(test_path),     TEST(test_prefix),  TEST(test_inside_only),
      TEST(test_order),      TEST(test_identity), TEST(test_headers), TEST(test_empty_body),
      TEST(test_request_id), TEST(test_probes),   TEST(test_metrics),
#undef TEST
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
