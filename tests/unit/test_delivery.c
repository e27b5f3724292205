/* jobs/delivery: pauses, what an answer means, and what is kept of it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/json.h"
#include "jobs/delivery.h"

#include <string.h>

static void test_pauses(void **state) {
  int64_t last = 0;

  (void)state;
  for (int failures = 1; failures < 40; failures++) {
    int64_t least = delivery_pause_ms(failures, 0);

    assert_true(least >= last && least >= DELIVERY_PAUSE_MIN_MS / 2);
    for (unsigned chance = 1; chance < 4000000000u; chance += 99999989u) {
      int64_t pause = delivery_pause_ms(failures, chance);
      assert_true(pause >= least && pause <= 2 * least && pause <= DELIVERY_PAUSE_MAX_MS);
    }
    last = least;
  }
  assert_int_equal(delivery_pause_ms(1, 0), 500);
  assert_int_equal(delivery_pause_ms(3, 0), 2000);
  assert_int_equal(last, DELIVERY_PAUSE_MAX_MS / 2);
}

static void test_retry_after(void **state) {
  static const int64_t now = 1445412480; /* Wed, 21 Oct 2015 07:28:00 GMT */

  (void)state;
  assert_int_equal(delivery_retry_after_ms(NULL, now), 0);
  assert_int_equal(delivery_retry_after_ms("", now), 0);
  assert_int_equal(delivery_retry_after_ms("120", now), 120000);
  assert_int_equal(delivery_retry_after_ms("-1", now), 0);
  assert_int_equal(delivery_retry_after_ms("1.5", now), 0);
  assert_int_equal(delivery_retry_after_ms("soon", now), 0);
  assert_int_equal(delivery_retry_after_ms("99999999999999999999", now), DELIVERY_PAUSE_MAX_MS);
  assert_int_equal(delivery_retry_after_ms("86400", now), DELIVERY_PAUSE_MAX_MS);
  assert_int_equal(delivery_retry_after_ms("Wed, 21 Oct 2015 07:28:30 GMT", now), 30000);
  assert_int_equal(delivery_retry_after_ms("Wed, 21 Oct 2015 07:27:30 GMT", now), 0);
  assert_int_equal(delivery_retry_after_ms("Wed, 21 Oct 2015 07:28:30 GMT, 5", now), 0);
}

static void test_excerpt(void **state) {
  void *mem = talloc_new(NULL);

  (void)state;
  assert_string_equal(delivery_excerpt(mem,
                                       "a\nb\tc\x01\x7f"
                                       "d",
                                       8, 100),
                      "a b c ?d");
  assert_string_equal(delivery_excerpt(mem, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, 100),
                      "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
  assert_string_equal(delivery_excerpt(mem, "\xff\xc0\x80\xed\xa0\x80\xf5\xc3", 8, 100), "????????");
  assert_string_equal(delivery_excerpt(mem, "\xc3\xa4\xc3\xa4", 4, 3), "\xc3\xa4");
  assert_string_equal(delivery_excerpt(mem, "a\0b", 3, 100), "a b");
  assert_string_equal(delivery_excerpt(mem, "\xe2\x82", 2, 100), "??");
  talloc_free(mem);
}

static struct delivery answered(const struct hook *hook, int attempts, int status) {
  return (struct delivery){.item = {.id = "7", .owner = "o", .attempts = attempts},
                           .hook = hook,
                           .exchange = {.end = HTTP_ANSWERED, .status = status, .answer = "no\xff", .answer_len = 3}};
}

static void test_verdicts(void **state) {
  static const struct hook hook = {.name = "c.h", .attempts = 3, .skip_dead = true};
  void *mem = talloc_new(NULL);
  struct delivery d = answered(&hook, 0, 204);
  struct queue_mark mark = delivery_judge(mem, &d);

  (void)state;
  assert_int_equal(mark.end, QUEUE_DONE);
  d = answered(&hook, 1, 302);
  mark = delivery_judge(mem, &d);
  assert_int_equal(mark.end, QUEUE_AGAIN);
  assert_int_equal(mark.status, 302);
  assert_string_equal(mark.answer, "no?");
  assert_true(mark.delay_ms >= 1000 && mark.delay_ms <= 2000);
  d.exchange.retry_after = "60";
  assert_int_equal(delivery_judge(mem, &d).delay_ms, 60000);
  d = answered(&hook, 2, 500);
  mark = delivery_judge(mem, &d);
  assert_int_equal(mark.end, QUEUE_DEAD);
  assert_true(mark.skip);
  d = (struct delivery){.item = {.id = "7", .owner = "o"}, .hook = &hook, .exchange = {.end = HTTP_TIMEOUT, .why = "slow"}};
  mark = delivery_judge(mem, &d);
  assert_int_equal(mark.end, QUEUE_AGAIN);
  assert_int_equal(mark.status, 0);
  assert_string_equal(mark.answer, "slow");
  talloc_free(mem);
}

static void test_request(void **state) {
  void *mem = talloc_new(NULL);
  static const struct json one = {.kind = JSON_NUMBER, .text = "1.10", .len = 4};
  static const char *const keys[] = {"a"};
  static const struct json config = {.kind = JSON_OBJECT, .len = 1, .items = &one, .keys = keys};
  struct hook hook = {.name = "c.h", .service = {.timeout_ms = 77}};
  struct queue_item item = {.id = "12", .mutation = "0198", .payload = "{\"x\":1}"};
  struct delivery d;

  (void)state;
  delivery_prepare(mem, &item, &hook, &d);
  assert_string_equal(d.exchange.body, "{\"x\":1}");
  assert_int_equal(d.exchange.nheaders, 2); /* nothing to sign with */
  assert_int_equal(d.exchange.timeout_ms, 77);
  assert_string_equal(d.headers[0].value, "0198-12");
  hook.service.config = &config;
  delivery_prepare(mem, &item, &hook, &d);
  assert_string_equal(d.exchange.body, "{\"x\":1,\"config\":{\"a\":1.10}}");
  assert_int_equal(d.exchange.len, strlen(d.exchange.body));
  talloc_free(mem);
}

int main(void) {
  static const struct CMUnitTest tests[] = {cmocka_unit_test(test_pauses), cmocka_unit_test(test_retry_after),
                                            cmocka_unit_test(test_excerpt), cmocka_unit_test(test_verdicts),
                                            cmocka_unit_test(test_request)};

  return cmocka_run_group_tests(tests, NULL, NULL);
}
