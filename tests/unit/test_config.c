/* writ.yaml: defaults, limits, what is refused, and that what is printed reads back the same. */
#include "base/arena.h"
#include "base/problems.h"
#include "base/str.h"
#include "manifest/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
  void *mem;
  struct problems problems;
  char folder[64];
  char file[96];
};

static int setup(void **state) {
  struct fixture *f = test_calloc(1, sizeof *f);
  f->mem = arena_request(NULL);
  problems_init(&f->problems, f->mem);
  strcpy(f->folder, "/tmp/writ-test-config-XXXXXX");
  if (!mkdtemp(f->folder)) return -1;
  snprintf(f->file, sizeof f->file, "%s/writ.yaml", f->folder);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  unlink(f->file);
  rmdir(f->folder);
  talloc_free(f->mem);
  test_free(f);
  return 0;
}

static struct config *load(struct fixture *f, const char *text) {
  FILE *out = fopen(f->file, "w");
  assert_non_null(out);
  fputs(text, out);
  fclose(out);
  problems_init(&f->problems, f->mem);
  return config_load(f->mem, f->file, &f->problems);
}

static struct config *must_load(struct fixture *f, const char *text) {
  struct config *c = load(f, text);
  if (!c) problems_print(&f->problems);
  assert_non_null(c);
  return c;
}

#define SOURCE "datasources: { default: dbname=app }\n"

static void test_defaults(void **state) {
  struct fixture *f = *state;
  const struct config *c = must_load(f, SOURCE);

  assert_string_equal(c->file, f->file);
  assert_string_equal(c->manifest, arena_printf(f->mem, "%s/manifest.yaml", f->folder));
  assert_null(c->user);
  assert_null(c->group);
  assert_string_equal(c->border.socket, "/run/writ/border.sock");
  assert_string_equal(c->inside.socket, "/run/writ/inside.sock");
  assert_int_equal(c->border.mode, 0660);
  assert_int_equal(c->inside.mode, 0660);
  assert_null(c->border.owner);
  assert_null(c->inside.group);
  assert_int_equal(c->border.backlog, 1024);
  assert_int_equal(c->inside.backlog, 1024);
  assert_int_equal(c->ndatasources, 1);
  assert_string_equal(c->datasources[0].name, "default");
  assert_string_equal(c->datasources[0].conninfo, "dbname=app");
  assert_true(c->datasources[0].prepared);
  assert_int_equal(c->workers, 8);
  assert_int_equal(c->inside_workers, 4);
  assert_int_equal(c->max_requests, 100000);
  assert_int_equal(c->timeout_ms, 30000);
  assert_int_equal(c->lock_timeout_ms, 0);
  assert_int_equal(c->idempotency_wait_ms, 1000);
  assert_int_equal(c->idempotency_hours, 24);
  assert_int_equal(c->mutex_wait_ms, 5000);
  assert_int_equal(c->waiting_workers, 0);
  assert_int_equal(c->drain_ms, 10000);
  assert_int_equal(c->slow_ms, 1000);
  assert_int_equal(c->retries, 3);
  assert_int_equal(c->idle_connection_s, 600);
  assert_int_equal(c->log_level, LOG_INFO);
  assert_int_equal(c->max_body_bytes, 1048576);
  assert_int_equal(c->max_depth, 64);
  assert_int_equal(c->max_commands, 100);
  assert_int_equal(c->max_rows, 10000);
  assert_int_equal(c->max_result_bytes, 1048576);
  assert_false(c->graphql_known_only);
  assert_int_equal(c->graphql_depth, 25);
  assert_int_equal(c->graphql_cache_documents, 1000);
  assert_int_equal(c->graphql_stored_documents, 1000);
}

/* Nothing in it is a default, and some of it is hard to quote. */
static const char full[] = "manifest: ../my app/m.yaml\n"
                           "user: writ\n"
                           "group: app\n"
                           "border: { socket: /tmp/b.sock, mode: \"0600\", owner: writ, group: www-data, backlog: 10 }\n"
                           "inside:\n"
                           "  socket: i.sock\n"
                           "  mode: 0640\n"
                           "  owner: \"w\\\"r\\\\it\"\n"
                           "  group: \"\\u00e9 \\u2028 \\x85 \\x7f \\uFEFF # : {\"\n"
                           "  backlog: 65535\n"
                           "datasources:\n"
                           "  main: { conninfo: \"host=/run/postgresql password='it\\\\'s \\\\\\\\'\" }\n"
                           "  other: { conninfo: \"\", prepared: false }\n"
                           "  null: service=app\n"
                           "workers: 1024\n"
                           "inside_workers: 1\n"
                           "max_requests: 0\n"
                           "timeout_ms: 1\n"
                           "lock_timeout_ms: 50\n"
                           "idempotency_wait_ms: 0\n"
                           "idempotency_hours: 8784\n"
                           "mutex_wait_ms: 1\n"
                           "waiting_workers: 1024\n"
                           "drain_ms: 0\n"
                           "slow_ms: 0\n"
                           "retries: 0\n"
                           "idle_connection_s: 0\n"
                           "log_level: debug\n"
                           "limits: { body_bytes: 1, depth: 512, commands: 1, rows: 1, result_bytes: 209715200 }\n";

static void check_full(const struct fixture *f, const struct config *c) {
  assert_string_equal(c->manifest, arena_printf(f->mem, "%s/../my app/m.yaml", f->folder));
  assert_string_equal(c->user, "writ");
  assert_string_equal(c->group, "app");
  assert_string_equal(c->border.socket, "/tmp/b.sock");
  assert_string_equal(c->border.owner, "writ");
  assert_string_equal(c->border.group, "www-data");
  assert_int_equal(c->border.mode, 0600);
  assert_int_equal(c->border.backlog, 10);
  assert_string_equal(c->inside.socket, arena_printf(f->mem, "%s/i.sock", f->folder));
  assert_int_equal(c->inside.mode, 0640);
  assert_string_equal(c->inside.owner, "w\"r\\it");
  assert_string_equal(c->inside.group, "\xc3\xa9 \xe2\x80\xa8 \xc2\x85 \x7f \xef\xbb\xbf # : {");
  assert_int_equal(c->inside.backlog, 65535);
  assert_int_equal(c->ndatasources, 3);
  assert_string_equal(c->datasources[0].name, "main");
  assert_string_equal(c->datasources[0].conninfo, "host=/run/postgresql password='it\\'s \\\\'");
  assert_true(c->datasources[0].prepared);
  assert_string_equal(c->datasources[1].name, "other");
  assert_string_equal(c->datasources[1].conninfo, "");
  assert_false(c->datasources[1].prepared);
  assert_string_equal(c->datasources[2].name, "null");
  assert_int_equal(c->workers, 1024);
  assert_int_equal(c->inside_workers, 1);
  assert_int_equal(c->max_requests, 0);
  assert_int_equal(c->timeout_ms, 1);
  assert_int_equal(c->lock_timeout_ms, 50);
  assert_int_equal(c->idempotency_wait_ms, 0);
  assert_int_equal(c->idempotency_hours, 8784);
  assert_int_equal(c->mutex_wait_ms, 1);
  assert_int_equal(c->waiting_workers, 1024);
  assert_int_equal(c->drain_ms, 0);
  assert_int_equal(c->slow_ms, 0);
  assert_int_equal(c->retries, 0);
  assert_int_equal(c->idle_connection_s, 0);
  assert_int_equal(c->log_level, LOG_DEBUG);
  assert_int_equal(c->max_body_bytes, 1);
  assert_int_equal(c->max_depth, 512);
  assert_int_equal(c->max_commands, 1);
  assert_int_equal(c->max_rows, 1);
  assert_int_equal(c->max_result_bytes, 200 << 20);
}

static void test_full(void **state) {
  struct fixture *f = *state;
  const struct config *c = must_load(f, full);
  check_full(f, c);
  assert_int_equal(c->datasources[1].line, 13);
}

static const char *printed(struct fixture *f, const struct config *c) {
  char *text = NULL;
  size_t len;
  FILE *out = open_memstream(&text, &len);
  assert_non_null(out);
  config_print(out, c);
  fclose(out);
  const char *copy = arena_strdup(f->mem, text);
  free(text);
  return copy;
}

static void test_print(void **state) {
  struct fixture *f = *state;
  const char *first = printed(f, must_load(f, full));
  const struct config *again = must_load(f, first);

  check_full(f, again);
  assert_string_equal(printed(f, again), first);
  first = printed(f, must_load(f, SOURCE));
  again = must_load(f, first);
  assert_null(again->user);
  assert_null(again->border.owner);
  assert_string_equal(printed(f, again), first);
}

/* Every key is printed at its place, and with a help line before it. */
static void test_keys(void **state) {
  struct fixture *f = *state;
  const char *text = printed(f, must_load(f, "datasources: { NAME: dbname=x }\n"));
  size_t n = 0;

  for (const char *const *key = config_keys(); *key; key++, n++) {
    const char *last = strrchr(*key, '.') ? strrchr(*key, '.') + 1 : *key;
    unsigned indent = 0;
    for (const char *c = *key; *c; c++) indent += *c == '.';
    const char *line = strstr(text, arena_printf(f->mem, "\n%*s%s:", (int)indent * 2, "", last));
    if (!line) fail_msg("%s is not printed", *key);
    const char *before = line;
    while (before > text && before[-1] != '\n') before--;
    assert_int_equal(before[strspn(before, " ")], '#');
  }
  assert_int_equal(n, 69);
}

static void test_relative_file(void **state) {
  struct fixture *f = *state;
  char here[4096];

  must_load(f, SOURCE);
  assert_non_null(getcwd(here, sizeof here));
  assert_int_equal(chdir(f->folder), 0);
  const struct config *c = config_load(f->mem, "writ.yaml", &f->problems);
  const struct config *dotted = config_load(f->mem, "./writ.yaml", &f->problems);
  assert_int_equal(chdir("/tmp"), 0);
  const struct config *below = config_load(f->mem, arena_printf(f->mem, "%s/writ.yaml", f->folder + 5), &f->problems);
  assert_int_equal(chdir(here), 0);
  const char *manifest = arena_printf(f->mem, "%s/manifest.yaml", f->folder);
  assert_non_null(c);
  assert_string_equal(c->manifest, manifest);
  assert_non_null(dotted);
  assert_string_equal(dotted->manifest, manifest);
  assert_non_null(below);
  assert_string_equal(below->manifest, manifest);
}

static void test_inside_off(void **state) {
  /* an inside socket that nobody opens is not judged */
  const struct config *c =
      must_load(*state, SOURCE "inside_workers: 0\nborder: { socket: /s }\ninside: { socket: /s, mode: 0666 }\n");
  assert_int_equal(c->inside_workers, 0);
}

static void test_mode(void **state) {
  struct fixture *f = *state;
  assert_int_equal(must_load(f, SOURCE "border: { mode: 0600 }\n")->border.mode, 0600);
  assert_int_equal(must_load(f, SOURCE "border: { mode: \"0600\" }\n")->border.mode, 0600);
  assert_int_equal(must_load(f, SOURCE "border: { mode: 600 }\n")->border.mode, 0600);
  assert_int_equal(f->problems.n, 0);
  assert_int_equal(must_load(f, SOURCE "border: { mode: 0666 }\n")->border.mode, 0666);
  assert_int_equal(f->problems.n, 1);
  assert_true(f->problems.items[0].warning);
  assert_int_equal(f->problems.items[0].line, 2);
}

/* Text behind a good datasources: line 1 (unless it begins with "!"), the line of the problem, a part of its text. */
static void test_refused(void **state) {
  static const struct {
    const char *text;
    int line;
    const char *what;
  } cases[] = {
      {"!", 1, "a mapping is needed"},
      {"!- a\n", 1, "a mapping is needed"},
      {"!workers: 3\n", 0, "datasources: is missing"},
      {"!datasources:\n", 1, "datasources: a mapping is needed"},
      {"!datasources: {}\n", 1, "datasources: a mapping is needed"},
      {"!datasources: [a]\n", 1, "datasources: a mapping is needed"},
      {"!datasources: dbname=x\n", 1, "datasources: a mapping is needed"},
      {"!datasources:\n  a-b: dbname=x\n", 2, "datasources.a-b: a name is letters"},
      {"!datasources:\n  a: 5\n", 2, "datasources.a: a conninfo is needed"},
      {"!datasources:\n  a:\n", 2, "datasources.a: a conninfo is needed"},
      {"!datasources:\n  a: { prepared: true }\n", 2, "datasources.a: conninfo is missing"},
      {"!datasources:\n  a: { conninfo: 5 }\n", 2, "conninfo must be text"},
      {"!datasources:\n  a: app\n", 2, "datasources.a: libpq cannot read this conninfo"},
      {"!datasources:\n  a: { conninfo: \"postgresql://u:secret%zz@h/db\" }\n", 2, "libpq cannot read this conninfo; write"},
      {"!datasources:\n  a: { conninfo: dbname=x, prepared: no }\n", 2, "prepared must be true or false"},
      {"!datasources:\n  a:\n    conninfo: dbname=x\n    prepare: true\n", 4, "unknown key prepare; did you mean prepared?"},
      {"!datasources:\n  a: { conninfo: dbname=x, password: y }\n", 2,
       "unknown key password; there are conninfo and prepared"},
      {"worker: 3\n", 2, "worker: unknown key; did you mean workers?"},
      {"colour: 3\n", 2, "colour: unknown key; writ.yaml(5) lists"},
      {"bordr: {}\n", 2, "did you mean border?"},
      {"limits:\n  body_byte: 3\n", 3, "limits.body_byte: unknown key; did you mean body_bytes?"},
      {"limits: { workers: 3 }\n", 2, "limits.workers: unknown key"},
      {"limits.rows: 3\n", 2, "limits.rows: unknown key"},
      {"border.socket: 3\n", 2, "border.socket: unknown key"},
      {"datasources.NAME.conninfo: 3\n", 2, "unknown key"},
      {"limits: 5\n", 2, "limits: a mapping is needed"},
      {"border:\n", 2, "border: a mapping is needed"},
      {"limits: { rows: { max: 3 } }\n", 2, "limits.rows: a whole number"},
      {"workers: 0\n", 2, "workers: a whole number from 1 to 1024 is needed"},
      {"workers: 1025\n", 2, "from 1 to 1024"},
      {"workers: 4.0\n", 2, "from 1 to 1024"},
      {"workers: 1e2\n", 2, "from 1 to 1024"},
      {"workers: \"8\"\n", 2, "from 1 to 1024"},
      {"workers: eight\n", 2, "from 1 to 1024"},
      {"workers:\n", 2, "from 1 to 1024"},
      {"workers: 99999999999999999999999\n", 2, "from 1 to 1024"},
      {"workers: -99999999999999999999999\n", 2, "from 1 to 1024"},
      {"inside_workers: -1\n", 2, "from 0 to 1024"},
      {"timeout_ms: 0\n", 2, "from 1 to 3600000"},
      {"log_level: loud\n", 2, "one of error, warn, info, debug"},
      {"log_level: 3\n", 2, "one of error"},
      {"manifest: 5\n", 2, "manifest: a path is needed"},
      {"manifest: \"\"\n", 2, "manifest: a path is needed"},
      {"manifest:\n", 2, "manifest: a path is needed"},
      {"user: \"\"\n", 2, "user: a name is needed"},
      {"user: 33\n", 2, "user: a name is needed"},
      {"border: { mode: 0888 }\n", 2, "border.mode: a file mode in octal digits"},
      {"border: { mode: 7777 }\n", 2, "a file mode in octal"},
      {"border: { mode: rw }\n", 2, "a file mode in octal"},
      {"border: { mode: \"00660\" }\n", 2, "a file mode in octal"},
      {"border: { backlog: 0 }\n", 2, "from 1 to 65535"},
      {"border: { socket: /a }\ninside: { socket: /a }\n", 3, "inside.socket: is the same as border.socket"},
      {"workers: 1\nworkers: 2\n", 3, "workers: stands here twice"},
      {"workers: [\n", 3, "not YAML"},
  };
  struct fixture *f = *state;

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *text = cases[i].text[0] == '!' ? cases[i].text + 1 : arena_printf(f->mem, SOURCE "%s", cases[i].text);
    if (load(f, text)) fail_msg("%s was accepted", text);
    const struct problem *p = f->problems.items;
    if (f->problems.n != 1 || p->line != cases[i].line || !strstr(p->text, cases[i].what) || strcmp(p->file, f->file) != 0) {
      problems_print(&f->problems);
      fail_msg("%s: not line %d: %s", text, cases[i].line, cases[i].what);
    }
  }
}

static void test_long_socket(void **state) {
  struct fixture *f = *state;
  char path[120] = "/";

  memset(path + 1, 'x', 106);
  must_load(f, arena_printf(f->mem, SOURCE "border: { socket: %s }\n", path));
  path[107] = 'x';
  assert_null(load(f, arena_printf(f->mem, SOURCE "border:\n  socket: %s\n", path)));
  assert_int_equal(f->problems.items[0].line, 3);
  assert_non_null(strstr(f->problems.items[0].text, "longer than the 107 bytes"));
}

static void test_all_at_once(void **state) {
  struct fixture *f = *state;
  assert_null(load(f, "workers: 0\nwroker: 1\nlimits: { rows: 0, depth: x }\nlog_level: x\n"));
  assert_int_equal(f->problems.errors, 6);
}

static void test_no_file(void **state) {
  struct fixture *f = *state;
  assert_null(config_load(f->mem, "/nowhere/writ.yaml", &f->problems));
  assert_string_equal(f->problems.items[0].file, "/nowhere/writ.yaml");
  assert_int_equal(f->problems.errors, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
      TEST(test_defaults),      TEST(test_full),        TEST(test_print),   TEST(test_keys),
      TEST(test_relative_file), TEST(test_inside_off),  TEST(test_mode),    TEST(test_refused),
      TEST(test_long_socket),   TEST(test_all_at_once), TEST(test_no_file),
#undef TEST
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
