/* Services in a manifest: hooks: and http:, and each thing of theirs that is refused, with its line. */
#include "base/arena.h"
#include "base/json.h"
#include "base/problems.h"
#include "base/str.h"
#include "manifest/config.h"
#include "manifest/manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECRET "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=" /* 01234567890123456789012345678901 */
#define TOP "specVersion: 1\ncommands:\n"

static struct datasource sources[] = {{.name = "main", .conninfo = "x"}};
static struct config config = {.manifest = "m.yaml", .datasources = sources, .ndatasources = 1};

struct fixture {
  void *mem;
  struct problems problems;
};

static int setup(void **state) {
  struct fixture *f = test_calloc(1, sizeof *f);
  f->mem = arena_request(NULL);
  setenv("WRIT_TEST_SECRET", SECRET, 1);
  setenv("WRIT_TEST_SHORT", "whsec_AAAA", 1);
  setenv("WRIT_TEST_URL", "http://127.0.0.1:9000/hook", 1);
  setenv("WRIT_TEST_EMPTY", "", 1);
  unsetenv("WRIT_TEST_UNSET");
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  talloc_free(f->mem);
  test_free(f);
  return 0;
}

static const struct manifest *read_text(struct fixture *f, const struct config *c, const char *text) {
  problems_init(&f->problems, f->mem);
  return manifest_read(f->mem, c, text, strlen(text), &f->problems);
}

static const struct command *must_read(struct fixture *f, const char *text, const char *name) {
  const struct manifest *m = read_text(f, &config, text);
  if (!m || f->problems.n) problems_print(&f->problems);
  assert_non_null(m);
  assert_int_equal(f->problems.n, 0);
  assert_non_null(manifest_command(m, name));
  return manifest_command(m, name);
}

static const char *as_text(struct fixture *f, const struct json *json) {
  struct str *out = str_new(f->mem, 32);
  json_write(out, json);
  return out->p;
}

static void test_before(void **state) {
  struct fixture *f = *state;
  const struct command *c = must_read(
      f,
      TOP
      "  a:\n"
      "    sql: select :x as y\n"
      "    hooks:\n"
      "      before:\n"
      "        normalise: { url: $env.WRIT_TEST_URL, timeout_ms: 500, changes: true, secrets: [$env.WRIT_TEST_SECRET] }\n"
      "        allowed: http://unix:/run/app.sock:/allowed\n",
      "a");

  assert_int_equal(c->nbefore_hooks, 2);
  assert_int_equal(c->nafter_hooks, 0);
  assert_string_equal(c->before_hooks[0].name, "a.normalise");
  assert_string_equal(c->before_hooks[0].service.endpoint.url, "http://127.0.0.1:9000/hook");
  assert_int_equal(c->before_hooks[0].service.timeout_ms, 500);
  assert_int_equal(c->before_hooks[0].service.nsecrets, 1);
  assert_int_equal(c->before_hooks[0].service.secrets[0].len, 32);
  assert_memory_equal(c->before_hooks[0].service.secrets[0].key, "01234567890123456789012345678901", 32);
  assert_true(c->before_hooks[0].changes);
  assert_string_equal(c->before_hooks[1].name, "a.allowed");
  assert_string_equal(c->before_hooks[1].service.endpoint.unix_socket, "/run/app.sock");
  assert_int_equal(c->before_hooks[1].service.timeout_ms, SERVICE_TIMEOUT_MS);
  assert_int_equal(c->before_hooks[1].service.nsecrets, 0);
  assert_false(c->before_hooks[1].changes);
}

static void test_after(void **state) {
  struct fixture *f = *state;
  const struct hook *h =
      must_read(
          f,
          TOP
          "  a:\n"
          "    sql: insert into t (x) values (:x) returning id\n"
          "    returns: one\n"
          "    hooks:\n"
          "      after:\n"
          "        welcome: { url: http://localhost:1/w, key: [user, $result.id, $args.x], sync: true, on_dead: skip, attempts: 3 }\n"
          "        plain: http://localhost:1/p\n",
          "a")
          ->after_hooks;

  assert_string_equal(h[0].name, "a.welcome");
  assert_true(h[0].sync);
  assert_true(h[0].skip_dead);
  assert_int_equal(h[0].attempts, 3);
  assert_int_equal(h[0].key->kind, TEMPLATE_ARRAY);
  assert_int_equal(h[0].key->n, 3);
  assert_int_equal(h[0].key->items[0].kind, TEMPLATE_LITERAL);
  assert_int_equal(h[0].key->items[1].kind, TEMPLATE_RESULT);
  assert_int_equal(h[0].key->items[1].member, 0);
  assert_string_equal(h[0].key->items[1].path[0], "id");
  assert_int_equal(h[0].key->items[2].kind, TEMPLATE_ARGS);
  assert_int_equal(h[0].key->items[2].argument, 0);
  assert_false(h[1].sync);
  assert_false(h[1].skip_dead);
  assert_int_equal(h[1].attempts, HOOK_ATTEMPTS);
  assert_null(h[1].key);
}

static void test_handler(void **state) {
  struct fixture *f = *state;
  const struct command *c = must_read(
      f,
      TOP
      "  sign_up:\n"
      "    allow: [anonymous]\n"
      "    args: { username: text, email: { default: null } }\n"
      "    http:\n"
      "      url: http://unix:/run/app/users.sock:/sign_up\n"
      "      timeout_ms: 10000\n"
      "      config: { domain: $env.WRIT_TEST_URL, price: 1.10, list: [$$x, { deep: $env.WRIT_TEST_SECRET }], no: null }\n",
      "sign_up");

  assert_int_equal(c->kind, COMMAND_HANDLER);
  assert_int_equal(c->nargs, 2);
  assert_string_equal(c->http->endpoint.unix_socket, "/run/app/users.sock");
  assert_int_equal(c->http->timeout_ms, 10000);
  assert_string_equal(as_text(f, c->http->config), "{\"domain\":\"http://127.0.0.1:9000/hook\",\"price\":1.10,"
                                                   "\"list\":[\"$x\",{\"deep\":\"" SECRET "\"}],\"no\":null}");
  c = must_read(f, TOP "  short: { http: 'http://127.0.0.1:1/' }\n", "short");
  assert_int_equal(c->kind, COMMAND_HANDLER);
  assert_null(c->http->config);
  assert_int_equal(c->http->timeout_ms, SERVICE_TIMEOUT_MS);
}

#define HOOKS TOP "  a:\n    sql: select :x as y\n    hooks:\n"

static void test_refused(void **state) {
  static const struct {
    const char *text;
    const char *problem;
  } cases[] = {
      {HOOKS "      before: http://localhost:1/\n", "6: a: hooks: before: must be a mapping"},
      {HOOKS "      during: { h: 'http://localhost:1/' }\n", "6: a: hooks: unknown key during"},
      {TOP "  a: { sql: select 1, hooks: [] }\n", "3: a: hooks: must be a mapping"},
      {HOOKS "      before: { h-i: 'http://localhost:1/' }\n", "6: a: hooks: before: h-i: a hook's name is letters"},
      {HOOKS "      before: { h: 5 }\n", "6: a: hooks: before: h: must be a mapping"},
      {HOOKS "      before: { h: { timeout_ms: 5 } }\n", "6: a: hooks: before: h: url: is missing"},
      {HOOKS "      before: { h: 'ftp://localhost:1/' }\n", "6: a: hooks: before: h: url: "},
      {HOOKS "      before: { h: { url: 'http://localhost:1/', timeout_ms: 0 } }\n",
       "6: a: hooks: before: h: timeout_ms: must be"},
      {HOOKS "      before: { h: { url: 'http://localhost:1/', timeout_ms: 1.5 } }\n",
       "6: a: hooks: before: h: timeout_ms: must be"},
      {HOOKS "      before: { h: { url: 'http://localhost:1/', changes: 1 } }\n",
       "6: a: hooks: before: h: changes: must be true"},
      {HOOKS "      before: { h: { url: 'http://localhost:1/', sync: true } }\n",
       "6: a: hooks: before: h: unknown key sync"},
      {HOOKS "      after: { h: { url: 'http://localhost:1/', changes: true } }\n",
       "6: a: hooks: after: h: unknown key changes"},
      {HOOKS "      after: { h: { url: 'http://localhost:1/', on_dead: wait } }\n",
       "6: a: hooks: after: h: on_dead: wait is none"},
      {HOOKS "      after: { h: { url: 'http://localhost:1/', attempts: 0 } }\n",
       "6: a: hooks: after: h: attempts: must be"},
      {HOOKS "      after: { h: { url: 'http://localhost:1/', key: $args.z } }\n",
       "6: a: hooks: after: h: $args.z: args: does not"},
      {HOOKS "      after: { h: { url: 'http://localhost:1/', key: $other.z } }\n",
       "6: a: hooks: after: h: $other.z: no earlier"},
      {HOOKS "      before:\n        h: { url: 'http://localhost:1/', changes: true }\n"
             "        i: { url: 'http://localhost:1/', changes: true }\n",
       "6: a: hooks: changes: only one hook"},
      {HOOKS "      before: { h: 'http://localhost:1/' }\n      after: { h: 'http://localhost:1/' }\n",
       "6: a: hooks: a.h stands in before: and in after:"},
      {HOOKS "      before: { h: $env.WRIT_TEST_UNSET }\n",
       "6: a: hooks: before: h: $env.WRIT_TEST_UNSET: the environment has no"},
      {HOOKS "      before: { h: $env.WRIT_TEST_EMPTY }\n",
       "6: a: hooks: before: h: $env.WRIT_TEST_EMPTY: the environment has no"},
      {HOOKS "      before: { h: $other.X }\n", "6: a: hooks: before: h: $other.X: is no reference such as $env.NAME"},
      {HOOKS "      before: { h: $env.A-B }\n", "6: a: hooks: before: h: $env.A-B: is no reference"},
      {HOOKS "      before: { h: { url: 'http://localhost:1/', secrets: $env.WRIT_TEST_SECRET } }\n",
       "6: a: hooks: before: h: secrets: must be a list"},
      {HOOKS "      before: { h: { url: 'http://localhost:1/', secrets: [" SECRET "] } }\n",
       "6: a: hooks: before: h: secrets: must be references such as $env.NAME"},
      {HOOKS "      before: { h: { url: 'http://localhost:1/', secrets: [$env.WRIT_TEST_SHORT] } }\n",
       "6: a: hooks: before: h: secrets: $env.WRIT_TEST_SHORT: "},
      {TOP "  a: { http: { url: 'http://localhost:1/', changes: true } }\n", "3: a: http: unknown key changes"},
      {TOP "  a: { http: 'http://localhost:1/', returns: one }\n", "3: a: returns: does not apply to a handler"},
      {TOP "  a: { http: 'http://localhost:1/', sql: select 1 }\n", "3: a: only one of sql:"},
      {TOP "  a: { http: 'http://localhost:1/' }\n  c: { commands: [ a: ] }\n",
       "4: c: a: a handler cannot be part of a composite"},
  };
  struct fixture *f = *state;

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    if (read_text(f, &config, cases[i].text)) fail_msg("%s was accepted", cases[i].text);
    const struct problem *p = &f->problems.items[0];
    const char *line = arena_printf(f->mem, "%d: %s", p->line, p->text);
    if (f->problems.n == 1 && strncmp(line, cases[i].problem, strlen(cases[i].problem)) == 0) continue;
    problems_print(&f->problems);
    fail_msg("%s: %zu problems, expected %s", cases[i].text, f->problems.n, cases[i].problem);
  }
}

/* A secret is in no message. */
static void test_quiet(void **state) {
  struct fixture *f = *state;

  setenv("WRIT_TEST_WRONG", "whsec_verysecretthing!", 1);
  assert_null(read_text(f, &config, TOP "  a: { http: { url: 'http://localhost:1/', secrets: [$env.WRIT_TEST_WRONG] } }\n"));
  assert_int_equal(f->problems.n, 1);
  assert_null(strstr(f->problems.items[0].text, "verysecret"));
}

static void test_only_checked(void **state) {
  struct fixture *f = *state;
  struct config checking = config;

  checking.environment_optional = true;
  assert_null(read_text(f, &config, TOP "  a: { http: { url: 'http://localhost:1/', secrets: [$env.WRIT_TEST_UNSET] } }\n"));
  assert_non_null(
      read_text(f, &checking, TOP "  a: { http: { url: 'http://localhost:1/', secrets: [$env.WRIT_TEST_UNSET] } }\n"));
  assert_int_equal(f->problems.n, 1);
  assert_true(f->problems.items[0].warning);
  assert_non_null(read_text(f, &checking, TOP "  a: { http: $env.WRIT_TEST_UNSET }\n"));
  assert_int_equal(f->problems.n, 1);
}

static void test_warnings(void **state) {
  struct fixture *f = *state;
  static const struct {
    const char *url;
    unsigned warnings;
  } cases[] = {{"http://localhost:1/x", 0},
               {"http://127.0.0.1/x", 0},
               {"http://[::1]:80/x", 0},
               {"https://app.example/x", 0},
               {"http://unix:/run/a.sock:/x", 0},
               {"http://app.example/x", 1},
               {"http://localhost.evil.example/x", 1},
               {"http://127.0.0.1.evil.example/x", 1}};

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_non_null(read_text(f, &config, arena_printf(f->mem, TOP "  a: { http: '%s' }\n", cases[i].url)));
    if (f->problems.n != cases[i].warnings) fail_msg("%s: %zu warnings", cases[i].url, f->problems.n);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
      TEST(test_before), TEST(test_after),        TEST(test_handler),  TEST(test_refused),
      TEST(test_quiet),  TEST(test_only_checked), TEST(test_warnings),
#undef TEST
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
