/* stream/record: FastCGI as bytes, in pieces of any size; what is none. stream/wanted: what a request asks for. stream/sse. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/str.h"
#include "base/tell.h"
#include "manifest/config.h"
#include "stream/record.h"
#include "stream/sse.h"
#include "stream/wanted.h"

#include <string.h>
#include <unistd.h>

static void put_record(struct str *s, int kind, const char *content, size_t n) {
  const char head[8] = {1, (char)kind, 0, 1, (char)(n >> 8), (char)n, 3, 0};

  str_bytes(s, head, sizeof head);
  str_bytes(s, content, n);
  str_bytes(s, "\0\0\0", 3);
}

static void put_pair(struct str *s, const char *name, const char *value) {
  const unsigned char lengths[5] = {(unsigned char)strlen(name), 0x80, 0, (unsigned char)(strlen(value) >> 8),
                                    (unsigned char)strlen(value)};

  str_bytes(s, (const char *)lengths, sizeof lengths);
  str_add(s, name);
  str_add(s, value);
}

/* A whole request. */
static struct str *request_bytes(void *mem) {
  struct str *s = str_new(mem, 256), *pairs = str_new(mem, 256);

  put_pair(pairs, "REQUEST_METHOD", "GET");
  put_pair(pairs, "DOCUMENT_URI", "/api/mutation/0198c9a1-0000-7000-8000-0000000000ff/events");
  put_pair(pairs, "WRIT_PREFIX", "/api");
  put_pair(pairs, "HTTP_LAST_EVENT_ID", "12");
  put_pair(pairs, "HTTP_WRIT_ROLE", "admin");
  put_record(s, 1, "\0\1\0\0\0\0\0\0", 8);
  put_record(s, 4, pairs->p, 20);
  put_record(s, 4, pairs->p + 20, pairs->len - 20);
  put_record(s, 4, "", 0);
  put_record(s, 5, "", 0);
  return s;
}

/* As a connection does: bytes come in pieces, whole records are taken from them. */
static enum record_news feed(struct record_reader *r, const struct str *bytes, size_t piece, bool *complete,
                             const char **why) {
  enum record_news news = RECORD_MORE;
  size_t start = 0, used;

  for (size_t end = piece; news <= RECORD_COMPLETE && start < bytes->len; end += piece) {
    if (end > bytes->len) end = bytes->len;
    do {
      news = record_take(r, (const unsigned char *)bytes->p + start, end - start, &used, why);
      start += used;
      *complete |= news == RECORD_COMPLETE;
    } while (used && news <= RECORD_COMPLETE);
  }
  return news;
}

static void test_pieces(void **state) {
  void *mem = talloc_new(NULL);
  struct str *bytes = request_bytes(mem);

  (void)state;
  for (size_t piece = 1; piece <= bytes->len; piece++) {
    struct record_reader r;
    struct request request;
    const char *why = NULL;
    bool complete = false;

    record_begin(&r, mem);
    assert_int_equal(feed(&r, bytes, piece, &complete, &why), RECORD_MORE);
    assert_true(complete && r.id == 1);
    assert_true(record_request(&r, mem, &request));
    assert_string_equal(request.method, "GET");
    assert_string_equal(request.prefix, "/api");
    assert_string_equal(request.last_event_id, "12");
    assert_null(request.role); /* a header field of the client's is none of ours */
    assert_false(request.inside);
  }
  talloc_free(mem);
}

static enum record_news take(const char *bytes, size_t n) {
  void *mem = talloc_new(NULL);
  struct str *s = str_new(mem, n + 1);
  struct record_reader r;
  bool complete = false;
  const char *why = NULL;
  enum record_news news;

  str_bytes(s, bytes, n);
  record_begin(&r, mem);
  news = feed(&r, s, n, &complete, &why);
  if (news == RECORD_BAD) assert_non_null(why);
  talloc_free(mem);
  return news;
}

#define BEGIN "\1\1\0\1\0\10\0\0\0\1\0\0\0\0\0\0"

static void test_bad(void **state) {
  (void)state;
#define TAKE(text) take(text, sizeof text - 1)
  assert_int_equal(TAKE(BEGIN), RECORD_MORE);
  assert_int_equal(TAKE("\2\1\0\1\0\0\0\0"), RECORD_BAD);                  /* version */
  assert_int_equal(TAKE(BEGIN BEGIN), RECORD_BAD);                         /* twice */
  assert_int_equal(TAKE("\1\1\0\1\0\10\0\0\0\2\0\0\0\0\0\0"), RECORD_BAD); /* authorizer */
  assert_int_equal(TAKE("\1\1\0\0\0\10\0\0\0\1\0\0\0\0\0\0"), RECORD_BAD); /* request 0 */
  assert_int_equal(TAKE("\1\4\0\1\0\0\0\0"), RECORD_BAD);                  /* no begin */
  assert_int_equal(TAKE(BEGIN "\1\4\0\2\0\0\0\0"), RECORD_BAD);            /* of another request */
  assert_int_equal(TAKE(BEGIN "\1\2\0\1\0\0\0\0"), RECORD_GONE);
  assert_int_equal(TAKE(BEGIN "\1\4\0\1\0\0\0\0\1\4\0\1\0\0\0\0"), RECORD_BAD); /* behind the last */
#undef TAKE
}

static void test_params_cut_short(void **state) {
  static const char *const texts[] = {"\5", "\5\5abc", "\377\377\377\377\1ab", "\200\0", "\1\377\377\377\377a"};
  void *mem = talloc_new(NULL);

  (void)state;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    struct record_reader r;
    struct request request;

    record_begin(&r, mem);
    str_bytes(r.params, texts[i], i == 3 ? 2 : strlen(texts[i]));
    assert_false(record_request(&r, mem, &request));
  }
  talloc_free(mem);
}

static void test_out(void **state) {
  void *mem = talloc_new(NULL);
  struct str *out = str_new(mem, 16);
  char *big = arena_zero(mem, 70000, "big");

  (void)state;
  record_put(out, 0x0102, "abc", 3);
  assert_int_equal(out->len, 11);
  assert_memory_equal(out->p, "\1\6\1\2\0\3\0\0abc", 11);
  str_clear(out);
  record_put(out, 1, big, 70000);
  assert_int_equal(out->len, 70016);
  str_clear(out);
  record_put_end(out, 1);
  assert_memory_equal(out->p, "\1\6\0\1\0\0\0\0\1\3\0\1\0\10\0\0\0\0\0\0\0\0\0\0", 24);
  talloc_free(mem);
}

static void test_sse(void **state) {
  struct str *out = str_new(NULL, 16);

  (void)state;
  sse_event(out, "7", "change", "{\"a\":\n1}\r\n");
  assert_string_equal(out->p, "id: 7\nevent: change\ndata: {\"a\":\ndata: 1}\ndata: \n\n");
  str_clear(out);
  sse_event(out, NULL, NULL, "");
  assert_string_equal(out->p, "data: \n\n");
  str_clear(out);
  sse_heartbeat(out, "9");
  sse_heartbeat(out, NULL);
  sse_retry(out, 1500);
  assert_string_equal(out->p, "id: 9\n:\n\n:\n\nretry: 1500\n\n");
  talloc_free(out);
}

static bool wants(const char *uri, const char *last, const char *query, struct wanted *w) {
  static struct datasource source = {.name = "main"};
  static const struct config config = {.datasources = &source, .ndatasources = 1};
  void *mem = talloc_new(NULL);
  struct request r = {.mem = mem, .method = "GET", .uri = uri, .prefix = "", .query = query, .last_event_id = last};
  const char *allow = NULL;
  struct err e;
  bool ok;

  err_init(&e, mem);
  ok = wanted_where(&r, w, &allow, &e) && wanted_what(&config, &r, w, &e);
  talloc_free(mem);
  return ok;
}

#define STATE "/mutation/0198c9a1-0000-7000-8000-0000000000FF/events"

static void test_wanted(void **state) {
  struct wanted w;

  (void)state;
  assert_true(wants(STATE, NULL, "", &w));
  assert_true(!w.log && w.after == -1 && !w.end_known && w.mutation[15] == 0xff);
  assert_true(wants(STATE, "12", "", &w) && w.after == 12 && !w.end_known);
  assert_true(wants(STATE, "12/end", "", &w) && w.after == 12 && w.end_known);
  assert_true(wants(STATE, "12/", "", &w) && w.after == -1 && !w.end_known);
  assert_true(wants(STATE, "9999999999999999999", "", &w) && w.after == -1);
  assert_false(wants(STATE "/", NULL, "", &w));
  assert_false(wants("/mutation/0198c9a1-0000-7000-8000-0000000000F/events", NULL, "", &w));
  assert_true(wants("/events", NULL, "", &w) && w.log && w.after == 0);
  assert_true(wants("/events", NULL, "after=5", &w) && w.after == 5);
  assert_true(wants("/events", "7", "after=5", &w) && w.after == 7);
  assert_false(wants("/events", "7/end", "", &w));
  assert_false(wants("/events", "x", "", &w));
  assert_false(wants("/events", NULL, "datasource=other", &w));
}

static void test_tell(void **state) {
  static const char uuid[] = "0198c9a1-0000-7000-8000-0000000000ff";
  unsigned char records[8][UUID_BYTES];
  char text[37];
  int fds[2];

  (void)state;
  assert_true(tell_open(fds));
  assert_int_equal(tell_take(fds[0], records, 8), 0);
  tell_streamer(fds[1], uuid);
  tell_streamer(fds[1], NULL);
  tell_streamer(fds[1], "no uuid");
  tell_streamer(-1, uuid);
  assert_int_equal(tell_take(fds[0], records, 8), 2);
  uuid_write(records[0], text);
  assert_string_equal(text, uuid);
  assert_memory_equal(records[1], (unsigned char[UUID_BYTES]){0}, UUID_BYTES);
  for (int i = 0; i < 100000; i++) tell_streamer(fds[1], uuid); /* does not block */
  assert_int_equal(tell_take(fds[0], records, 8), 8);
  close(fds[0]);
  close(fds[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_pieces), cmocka_unit_test(test_bad), cmocka_unit_test(test_params_cut_short),
      cmocka_unit_test(test_out),    cmocka_unit_test(test_sse), cmocka_unit_test(test_wanted),
      cmocka_unit_test(test_tell),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
