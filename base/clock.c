/* Time, and identifiers made of it. */
#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

int64_t clock_us(void) {
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static const char hex[] = "0123456789abcdef";

/* One per process: random bytes read ahead, so that an identifier seldom costs a system call, and the last time and
 * count given out, so that identifiers of one process sort in the order they were made (RFC 9562 section 6.2, method
 * 1). */
static struct {
  bool ready;
  size_t used;
  unsigned char bytes[512];
  uint64_t ms;    /* of the last identifier */
  unsigned count; /* 12 bits, in rand_a */
  uint64_t us;    /* of the last cuid */
} uuid_state;

enum { COUNT_MAX = 0xfff, COUNT_START_MASK = 0x7ff /* at least 2048 identifiers fit into a millisecond */ };

static void fill_random(void) {
  size_t got = 0;

  while (got < sizeof uuid_state.bytes) {
    ssize_t n = getrandom(uuid_state.bytes + got, sizeof uuid_state.bytes - got, 0);

    if (n > 0) got += (size_t)n;
    else if (errno != EINTR) abort(); /* only on a kernel without getrandom, before 3.17 */
  }
  uuid_state.used = 0;
}

/* A forked worker must not repeat its parent's. */
static void forget_random(void) { uuid_state.used = sizeof uuid_state.bytes; }

static const unsigned char *take_random(size_t n) {
  const unsigned char *bytes;

  if (!uuid_state.ready) {
    if (pthread_atfork(NULL, NULL, forget_random) != 0) abort(); /* out of memory */
    uuid_state.ready = true;
    forget_random();
  }
  if (sizeof uuid_state.bytes - uuid_state.used < n) fill_random();
  bytes = uuid_state.bytes + uuid_state.used;
  uuid_state.used += n;
  return bytes;
}

/* The next time and count. When a millisecond is used up, or the clock was set back, time goes on from the last one. */
static void tick(unsigned random) {
  struct timespec now;
  uint64_t ms;

  clock_gettime(CLOCK_REALTIME, &now);
  ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
  if (ms <= uuid_state.ms && uuid_state.count < COUNT_MAX) {
    uuid_state.count++;
    return;
  }
  uuid_state.ms = ms > uuid_state.ms ? ms : uuid_state.ms + 1;
  uuid_state.count = random & COUNT_START_MASK;
}

void clock_uuid7(char text[37]) {
  const unsigned char *random = take_random(10);
  unsigned char b[16];
  int i;

  tick((unsigned)random[8] << 8 | random[9]);
  for (i = 0; i < 6; i++) b[i] = (unsigned char)(uuid_state.ms >> (40 - 8 * i));
  b[6] = (unsigned char)(0x70 | uuid_state.count >> 8);
  b[7] = (unsigned char)uuid_state.count;
  memcpy(b + 8, random, 8);
  b[8] = (b[8] & 0x3f) | 0x80;
  for (i = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *text++ = '-';
    *text++ = hex[b[i] >> 4];
    *text++ = hex[b[i] & 15];
  }
  *text = '\0';
}

void clock_cuid(char text[26]) {
  struct timespec now;
  uint64_t us, random;
  int i;

  clock_gettime(CLOCK_REALTIME, &now);
  us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
  us = uuid_state.us = us > uuid_state.us ? us : uuid_state.us + 1;
  memcpy(&random, take_random(sizeof random), sizeof random);
  *text = 'c';
  for (i = 13; i > 0; i--, us >>= 4) text[i] = hex[us & 15];
  for (i = 24; i > 13; i--, random >>= 4) text[i] = hex[random & 15];
  text[25] = '\0';
}
