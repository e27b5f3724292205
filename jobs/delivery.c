/* A delivery as a request, and its answer as a verdict. */
#include "jobs/delivery.h"

#include "base/arena.h"
#include "base/counters.h"
#include "base/json.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What is read of an answer: its status counts, the body is for people. */
enum { READ_BYTES = 64 * 1024 };

/* ---- the request ---- */

/* The manifest's config: goes along as it is now, not as it was when the item was written. */
static const char *with_config(void *mem, const char *payload, const struct json *config) {
  struct str *s;

  if (!config) return payload;
  s = str_new(mem, strlen(payload) + 256);
  str_add(s, payload);
  s->len--; /* the last brace */
  str_add(s, ",\"config\":");
  json_write(s, config);
  str_char(s, '}');
  return s->p;
}

void delivery_prepare(void *mem, const struct queue_item *item, const struct hook *hook, struct delivery *out) {
  const struct service *service = &hook->service;
  int64_t now = time(NULL);
  size_t n = 0;

  *out = (struct delivery){.item = *item, .hook = hook};
  out->exchange = (struct http_exchange){.endpoint = &service->endpoint,
                                         .timeout_ms = service->timeout_ms,
                                         .max_answer_bytes = READ_BYTES,
                                         .repeatable = true,
                                         .headers = out->headers,
                                         .body = with_config(mem, item->payload, service->config)};
  out->exchange.len = strlen(out->exchange.body);
  /* The same over all repeats: the receiver knows by it what it has had already. */
  out->headers[n++] = (struct http_header){"webhook-id", arena_printf(mem, "%s-%s", item->mutation, item->id)};
  out->headers[n++] = (struct http_header){"webhook-timestamp", arena_printf(mem, "%lld", (long long)now)};
  if (service->nsecrets)
    out->headers[n++] = (struct http_header){"webhook-signature",
                                             signature_of(mem, service->secrets, service->nsecrets, out->headers[0].value,
                                                          now, out->exchange.body, out->exchange.len)};
  out->exchange.nheaders = n;
}

/* ---- the answer ---- */

int64_t delivery_pause_ms(int failures, unsigned chance) {
  int64_t pause = DELIVERY_PAUSE_MAX_MS;

  if (failures < 1) failures = 1;
  if (failures < 13) pause = (int64_t)DELIVERY_PAUSE_MIN_MS << (failures - 1);
  if (pause > DELIVERY_PAUSE_MAX_MS) pause = DELIVERY_PAUSE_MAX_MS;
  return pause / 2 + (int64_t)(chance % (unsigned)(pause / 2 + 1));
}

int64_t delivery_retry_after_ms(const char *value, int64_t now_s) {
  struct tm parts = {0};
  const char *end;
  int64_t seconds;

  if (!value) return 0;
  if (*value && value[strspn(value, "0123456789")] == '\0') {
    seconds = strlen(value) > 9 ? DELIVERY_PAUSE_MAX_MS : atoll(value);
  } else {
    end = strptime(value, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    if (!end || *end) return 0;
    seconds = timegm(&parts) - now_s;
  }
  if (seconds <= 0) return 0;
  return seconds > DELIVERY_PAUSE_MAX_MS / 1000 ? DELIVERY_PAUSE_MAX_MS : seconds * 1000;
}

/* Bytes of the character at s: 0: none of UTF-8 (RFC 3629 section 4). */
static size_t character(const unsigned char *s, size_t len) {
  size_t n = s[0] < 0x80                   ? 1
             : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
             : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
             : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                           : 0;

  if (n == 0 || n > len) return 0;
  for (size_t i = 1; i < n; i++)
    if ((s[i] & 0xc0) != 0x80) return 0;
  if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0)) return 0;
  if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90)) return 0;
  return n;
}

const char *delivery_excerpt(const void *mem, const char *text, size_t len, size_t max) {
  struct str *s = str_new(mem, 128);

  for (size_t i = 0; i < len;) {
    size_t n = character((const unsigned char *)text + i, len - i);
    bool blank = n == 1 && (unsigned char)text[i] <= ' ';

    if (s->len + (n ? n : 1) > max) break;
    if (blank) str_char(s, ' ');
    else if (n == 0 || text[i] == 0x7f) str_char(s, '?');
    else str_bytes(s, text + i, n);
    i += n ? n : 1;
  }
  return s->p;
}

static const char *answer_of(void *mem, const struct http_exchange *x) {
  if (x->end == HTTP_ANSWERED) return delivery_excerpt(mem, x->answer, x->answer_len, DELIVERY_ANSWER_BYTES);
  return delivery_excerpt(mem, x->why ? x->why : "", x->why ? strlen(x->why) : 0, DELIVERY_ANSWER_BYTES);
}

struct queue_mark delivery_judge(void *mem, const struct delivery *d) {
  const struct http_exchange *x = &d->exchange;
  struct queue_mark mark = {.id = d->item.id, .owner = d->item.owner, .end = QUEUE_AGAIN, .skip = d->hook->skip_dead};
  int failures = d->item.attempts + 1;
  int64_t asked;

  if (x->end == HTTP_ANSWERED) mark.status = x->status;
  if (mark.status >= 200 && mark.status < 300) {
    mark.end = QUEUE_DONE;
    return mark;
  }
  mark.answer = answer_of(mem, x);
  if (failures >= d->hook->attempts) mark.end = QUEUE_DEAD;
  mark.delay_ms = delivery_pause_ms(failures, (unsigned)random());
  asked = x->end == HTTP_ANSWERED ? delivery_retry_after_ms(x->retry_after, time(NULL)) : 0;
  if (asked > mark.delay_ms) mark.delay_ms = asked;
  return mark;
}

void delivery_count(struct counters *counters, const struct queue_mark *mark) {
  if (mark->end == QUEUE_DONE) counters->deliveries++;
  else counters->delivery_failures++;
  if (mark->end == QUEUE_DEAD) counters->dead_letters++;
}
