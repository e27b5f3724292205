/* Puts a fixed delay between an application and PostgreSQL: a relay from one unix socket to another that holds every
 * chunk of bytes for half of the round trip in each direction. One process, one epoll loop, no copying beyond the one
 * that holding needs, so that it is never what a benchmark measures.
 *
 *   delay_proxy LISTEN_PATH TARGET_PATH ROUND_TRIP_US
 *
 * Opening a connection is not delayed. It ends on SIGTERM and when its parent dies. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
  READ_BYTES = 64 * 1024,
  HOLD_BYTES = 8 * 1024 * 1024, /* of one direction; above it reading pauses, so a slow reader slows the writer */
  EVENTS = 64,
};

struct flow;

struct chunk {
  struct chunk *next;
  struct flow *flow;
  int64_t due_ns; /* CLOCK_MONOTONIC */
  size_t len, sent;
  char bytes[]; /* none: end of file */
};

struct queue {
  struct chunk *first, **last;
};

/* One direction of a connection. A chunk is first in the common queue `held` (the delay is the same for all, so the
 * order of arrival is the order of leaving), then, when its time has come, in `ready` until it is written. */
struct flow {
  struct pair *pair;
  int from, to;
  struct queue ready;
  size_t bytes; /* held and ready */
  bool paused;  /* reading waits for `bytes` to fall */
  bool blocked; /* writing waits for EPOLLOUT on `to` */
  bool ended;   /* end of file was read */
  bool done;    /* end of file was passed on */
};

struct pair {
  struct flow flow[2]; /* flow[i] reads ends[i].fd and writes ends[1 - i].fd */
  struct end {
    struct pair *pair;
    int fd, index;
  } ends[2];
  unsigned held;     /* chunks of this pair in the common queue; it is freed when there are none */
  bool dead;         /* descriptors are closed */
  struct pair *next; /* in `graves` */
};

static int epoll_fd;
static int64_t hold_ns;
static struct queue held;
static struct pair *graves;

static void die(const char *what) {
  fprintf(stderr, "delay_proxy: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void *allocate(size_t size) {
  void *p = malloc(size);
  if (!p) die("out of memory");
  return p;
}

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void queue_init(struct queue *q) {
  q->first = NULL;
  q->last = &q->first;
}

static void queue_put(struct queue *q, struct chunk *c) {
  c->next = NULL;
  *q->last = c;
  q->last = &c->next;
}

static struct chunk *queue_take(struct queue *q) {
  struct chunk *c = q->first;
  q->first = c->next;
  if (!q->first) q->last = &q->first;
  return c;
}

static void watch(struct end *end, int op, uint32_t events) {
  struct epoll_event ev = {.events = events | EPOLLRDHUP | EPOLLET, .data.ptr = end};
  if (epoll_ctl(epoll_fd, op, end->fd, &ev) != 0) die("epoll_ctl");
}

/* Closes both ends. The memory stays until events already fetched and chunks still held can no longer point to it. */
static void pair_kill(struct pair *pair) {
  if (pair->dead) return;
  pair->dead = true;
  for (int i = 0; i < 2; i++) {
    close(pair->ends[i].fd);
    while (pair->flow[i].ready.first) free(queue_take(&pair->flow[i].ready));
  }
  pair->next = graves;
  graves = pair;
}

static void bury(void) {
  for (struct pair **p = &graves; *p;) {
    struct pair *pair = *p;
    if (pair->held) {
      p = &pair->next;
      continue;
    }
    *p = pair->next;
    free(pair);
  }
}

static void hold(struct flow *flow, const char *bytes, size_t len) {
  struct chunk *c = allocate(sizeof *c + len);
  *c = (struct chunk){.flow = flow, .due_ns = now_ns() + hold_ns, .len = len};
  if (len) memcpy(c->bytes, bytes, len);
  queue_put(&held, c);
  flow->bytes += len;
  flow->pair->held++;
}

/* Reads what is there. With edge triggering a short read means that the rest will be announced, but an end of file
 * that was announced together with data must be looked for (`to_the_end`). */
static void flow_read(struct flow *flow, bool to_the_end) {
  static char buffer[READ_BYTES];
  while (!flow->ended && !flow->pair->dead) {
    flow->paused = flow->bytes > HOLD_BYTES;
    if (flow->paused) return;
    ssize_t n = read(flow->from, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    flow->ended = n <= 0; /* a broken connection ends like a closed one */
    hold(flow, buffer, n > 0 ? (size_t)n : 0);
    if (n < READ_BYTES && !to_the_end) return;
  }
}

/* False: it could not all be written now. */
static bool chunk_write(struct flow *flow, struct chunk *c) {
  while (c->sent < c->len) {
    ssize_t n = send(flow->to, c->bytes + c->sent, c->len - c->sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      if (errno != EAGAIN) pair_kill(flow->pair);
      return false;
    }
    c->sent += (size_t)n;
    flow->bytes -= (size_t)n;
  }
  return true;
}

static struct end *flow_target(struct flow *flow) {
  struct pair *pair = flow->pair;
  return &pair->ends[flow == &pair->flow[0] ? 1 : 0];
}

static void flow_write(struct flow *flow) {
  struct pair *pair = flow->pair;
  while (flow->ready.first) {
    struct chunk *c = flow->ready.first;
    if (!chunk_write(flow, c)) {
      if (!pair->dead && !flow->blocked) watch(flow_target(flow), EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
      flow->blocked = true;
      return;
    }
    if (c->len == 0) {
      shutdown(flow->to, SHUT_WR);
      flow->done = true;
    }
    free(queue_take(&flow->ready));
  }
  if (flow->blocked) watch(flow_target(flow), EPOLL_CTL_MOD, EPOLLIN);
  flow->blocked = false;
  if (pair->flow[0].done && pair->flow[1].done) {
    pair_kill(pair);
  } else if (flow->paused) {
    flow_read(flow, true);
  }
}

/* Passes on every chunk whose time has come. */
static void release_due(void) {
  int64_t now = now_ns();
  while (held.first && held.first->due_ns <= now) {
    struct chunk *c = queue_take(&held);
    struct flow *flow = c->flow;
    flow->pair->held--;
    if (flow->pair->dead) {
      free(c);
      continue;
    }
    queue_put(&flow->ready, c);
    if (!flow->blocked) flow_write(flow);
  }
}

static struct sockaddr_un address(const char *path) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof a.sun_path) {
    errno = ENAMETOOLONG;
    die(path);
  }
  strcpy(a.sun_path, path);
  return a;
}

/* Connects blocking: on a unix socket that only waits for room in the backlog. */
static int connect_to(const struct sockaddr_un *target) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  if (connect(fd, (const struct sockaddr *)target, sizeof *target) != 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

static void accept_one(int listener, const struct sockaddr_un *target) {
  int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (client < 0) return;
  int server = connect_to(target);
  if (server < 0) {
    close(client);
    return;
  }
  struct pair *pair = allocate(sizeof *pair);
  memset(pair, 0, sizeof *pair);
  int fds[2] = {client, server};
  for (int i = 0; i < 2; i++) {
    pair->ends[i] = (struct end){.pair = pair, .fd = fds[i], .index = i};
    pair->flow[i] = (struct flow){.pair = pair, .from = fds[i], .to = fds[1 - i]};
    queue_init(&pair->flow[i].ready);
    watch(&pair->ends[i], EPOLL_CTL_ADD, EPOLLIN);
  }
}

static void end_event(struct end *end, uint32_t events) {
  struct pair *pair = end->pair;
  if (pair->dead) return;
  if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
    flow_read(&pair->flow[end->index], (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
  }
  struct flow *out = &pair->flow[1 - end->index];
  if (out->blocked && !pair->dead) flow_write(out);
}

static int wait_events(struct epoll_event *events) {
  struct timespec timeout = {0, 0};
  if (held.first) {
    int64_t left = held.first->due_ns - now_ns();
    if (left > 0) timeout = (struct timespec){.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
  }
  int n = epoll_pwait2(epoll_fd, events, EVENTS, held.first ? &timeout : NULL, NULL);
  if (n < 0 && errno != EINTR) die("epoll_pwait2");
  return n < 0 ? 0 : n;
}

static int listen_on(const char *path) {
  struct sockaddr_un a = address(path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 1024) != 0) die(path);
  return fd;
}

int main(int argc, char **argv) {
  long round_trip_us = argc == 4 ? strtol(argv[3], NULL, 10) : 0;
  if (round_trip_us <= 0) {
    fprintf(stderr, "usage: delay_proxy LISTEN_PATH TARGET_PATH ROUND_TRIP_US\n");
    return 2;
  }
  hold_ns = round_trip_us * INT64_C(500);
  queue_init(&held);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  prctl(PR_SET_TIMERSLACK, 1UL); /* the default lets a timer be 50 us late */

  struct sockaddr_un target = address(argv[2]);
  int listener = listen_on(argv[1]);
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
  if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &ev) != 0) die("epoll");

  for (;;) {
    struct epoll_event events[EVENTS];
    int n = wait_events(events);
    for (int i = 0; i < n; i++) {
      if (events[i].data.ptr) {
        end_event(events[i].data.ptr, events[i].events);
      } else {
        accept_one(listener, &target);
      }
    }
    release_due();
    bury();
  }
}
