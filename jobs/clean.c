#include "jobs/clean.h"

#include "base/arena.h"
#include "db/flight.h"

bool clean_keys(struct conn *c, void *mem, int hours, const struct wait *w, uint64_t *gone, struct err *e) {
  static const char sql[] =
      "delete from writ.idempotency where id in (select id from writ.idempotency"
      " where created < now() - make_interval(hours => $1::integer) order by created limit 1000 for update skip locked)";
  const char *param = arena_printf(mem, "%d", hours);
  struct step step = {.statement = {.sql = sql, .gen = UINT32_MAX, .slot = STATEMENT_CLEAN}, .params = &param, .nparams = 1,
                      .gives = GIVES_TAG, .member = MEMBER_NONE, .purpose = "old keys"};
  struct plan plan = {.isolation = ISOLATION_READ_COMMITTED, .claims = "{}", .caller_role = "anonymous", .caller_user = "",
                      .request_id = "clean", .shared_session = true, .steps = &step, .n = 1};
  struct flight f;

  if (!flight_run(c, mem, &plan, w, &f, e)) return false;
  *gone = f.results[0].rows;
  return true;
}
