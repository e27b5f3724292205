#include "db/post.h"

#include "base/arena.h"
#include "base/clock.h"
#include "db/conn_libpq.h"

#include <poll.h>

bool post_send(struct conn *c, const char *sql, unsigned nparams, const char *const *params) {
  if (!c->pg || !PQsendQueryParams(c->pg, sql, (int)nparams, NULL, params, NULL, NULL, 0) || !PQpipelineSync(c->pg) ||
      PQflush(c->pg) < 0) {
    conn_close(c);
    return false;
  }
  c->posted++;
  return true;
}

/* One result. True: go on. */
static bool take_one(struct conn *c, const void *mem, unsigned *refused, const char **why) {
  PGresult *r;

  if (PQisBusy(c->pg)) return false;
  r = PQgetResult(c->pg);
  if (PQresultStatus(r) == PGRES_PIPELINE_SYNC) {
    c->posted--;
  } else if (r && PQresultStatus(r) == PGRES_FATAL_ERROR) {
    if (refused) ++*refused;
    if (why) *why = arena_strdup(mem, PQresultErrorMessage(r));
  }
  PQclear(r);
  return PQstatus(c->pg) == CONNECTION_OK;
}

unsigned post_take(struct conn *c, const void *mem, unsigned *refused, const char **why) {
  if (!c->pg || !c->posted) return 0;
  if (PQflush(c->pg) < 0 || !PQconsumeInput(c->pg)) {
    conn_close(c);
    return 0;
  }
  while (c->posted && take_one(c, mem, refused, why)) continue;
  if (PQstatus(c->pg) != CONNECTION_OK) conn_close(c);
  else if (!c->posted) c->used_ms = clock_ms();
  return c->posted;
}

void post_wait(struct conn *c, int64_t deadline_ms) {
  struct pollfd fd = {.fd = post_fd(c), .events = POLLIN};
  int64_t left_ms = deadline_ms - clock_ms();

  if (fd.fd < 0) return;
  if (PQflush(c->pg) == 1) fd.events |= POLLOUT;
  if (left_ms > 0) (void)poll(&fd, 1, (int)left_ms);
}

int post_fd(const struct conn *c) { return c->pg && c->posted ? PQsocket(c->pg) : -1; }
