/* base/log: the form of a line, levels, cutting, and that a line is one write. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* stderr goes to a socket that keeps the limits of writes: one packet is one write. */
static int packets = -1, true_stderr = -1;

static int capture(void **state) {
  int pair[2];

  (void)state;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) != 0) return -1;
  true_stderr = dup(STDERR_FILENO);
  packets = pair[0];
  dup2(pair[1], STDERR_FILENO);
  close(pair[1]);
  unsetenv("JOURNAL_STREAM");
  log_init("border");
  log_set_level(LOG_INFO);
  return 0;
}

static int release(void **state) {
  (void)state;
  dup2(true_stderr, STDERR_FILENO);
  close(true_stderr);
  close(packets);
  return 0;
}

/* The next packet, or "" when there is none. */
static const char *packet(void) {
  static char text[8192];
  ssize_t n = read(packets, text, sizeof text - 1);

  text[n > 0 ? n : 0] = '\0';
  return text;
}

static bool matches(const char *text, const char *pattern) {
  regex_t regex;
  bool yes;

  assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
  yes = regexec(&regex, text, 0, NULL, 0) == 0;
  regfree(&regex);
  return yes;
}

static void test_form(void **state) {
  char expected[200];

  (void)state;
  log_line(LOG_INFO, "request", "status=%d code=%s", 200, "-");
  snprintf(expected, sizeof expected,
           "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z info request who=border pid=%ld "
           "status=200 code=-\n$",
           (long)getpid());
  assert_true(matches(packet(), expected));
  log_line(LOG_ERROR, "stop", "%s", "");
  assert_true(matches(packet(), " error stop who=border pid=[0-9]+ \n$"));
  log_line(LOG_WARN, "slow", "ms=1");
  assert_true(matches(packet(), "Z warn slow who="));
  assert_string_equal(packet(), "");
}

static void test_levels(void **state) {
  (void)state;
  assert_true(log_on(LOG_INFO));
  assert_false(log_on(LOG_DEBUG));
  log_line(LOG_DEBUG, "x", "a=1");
  assert_string_equal(packet(), "");
  log_set_level(LOG_DEBUG);
  log_line(LOG_DEBUG, "x", "a=1");
  assert_true(matches(packet(), "Z debug x who="));
  log_set_level(LOG_ERROR);
  log_line(LOG_WARN, "x", "a=1");
  assert_string_equal(packet(), "");
  assert_true(log_on(LOG_ERROR));
}

static void test_journal(void **state) {
  char stream[64];
  struct stat st;

  (void)state;
  assert_int_equal(fstat(STDERR_FILENO, &st), 0);
  snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
  setenv("JOURNAL_STREAM", stream, 1);
  log_init("supervisor");
  log_line(LOG_WARN, "reload", "ok=1");
  assert_true(matches(packet(), "^<4>reload who=supervisor pid=[0-9]+ ok=1\n$"));
  /* Inherited, but stderr is something else now. */
  snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino + 1);
  setenv("JOURNAL_STREAM", stream, 1);
  log_init("supervisor");
  log_line(LOG_WARN, "reload", "ok=1");
  assert_true(matches(packet(), "^[0-9]{4}-.*Z warn reload"));
}

/* Lengths round the limit: one write each, at most 4096 bytes, whole or marked, and whole characters. */
static void test_cut(void **state) {
  static char text[5000];
  size_t i, n;

  (void)state;
  for (i = 0; i + 2 < sizeof text; i += 2) memcpy(text + i, "\xc3\xa4", 2);
  for (n = 3900; n < 4200; n++) {
    const char *line;
    size_t len;

    log_line(LOG_INFO, "x", "a=%s%.*s", n % 2 ? "b" : "", (int)(n / 2 * 2), text);
    line = packet();
    len = strlen(line);
    assert_true(len > 3900 && len <= 4096);
    assert_int_equal(line[len - 1], '\n');
    assert_ptr_equal(strchr(line, '\n'), line + len - 1);
    if (n < 4000) assert_null(strstr(line, "[cut]"));
    if (n > 4100) assert_string_equal(line + len - 7, " [cut]\n");
    len -= strstr(line, "[cut]") ? 7 : 1;
    assert_memory_equal(line + len - 2, "\xc3\xa4", 2);
    assert_string_equal(packet(), "");
  }
}

/* A value that was not quoted cannot make a second line or play with a terminal. */
static void test_control_characters(void **state) {
  const char *line;

  (void)state;
  log_line(LOG_INFO, "x", "a=%s", "1\n2026-01-01T00:00:00.000Z error fake\x1b[31m\x7f\t");
  line = packet();
  assert_non_null(strstr(line, "a=1?2026"));
  assert_non_null(strstr(line, "fake?[31m??\n"));
}

static void test_quoted(void **state) {
  void *mem = talloc_new(NULL);

  (void)state;
  assert_string_equal(log_quoted(mem, "a b"), "\"a b\"");
  assert_string_equal(log_quoted(mem, "\"\\\n\x01"), "\"\\\"\\\\\\n\\u0001\"");
  assert_string_equal(log_quoted(mem, ""), "\"\"");
  assert_string_equal(log_quoted(mem, NULL), "null");
  talloc_free(mem);
}

/* A log that cannot be written changes nothing for the caller. */
static void test_unwritable(void **state) {
  int i;

  (void)state;
  for (i = 0; i < 10000; i++) {
    errno = 7;
    log_line(LOG_INFO, "x", "a=1");
    assert_int_equal(errno, 7);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_form, capture, release),
      cmocka_unit_test_setup_teardown(test_levels, capture, release),
      cmocka_unit_test_setup_teardown(test_journal, capture, release),
      cmocka_unit_test_setup_teardown(test_cut, capture, release),
      cmocka_unit_test_setup_teardown(test_control_characters, capture, release),
      cmocka_unit_test(test_quoted),
      cmocka_unit_test_setup_teardown(test_unwritable, capture, release),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
