/* Is this service alive, and can it do its work? */
#include "handlers/health.h"

#include "base/str.h"

bool health_alive(struct call *call, struct err *e) {
  (void)e;
  str_add(call->answer->body, "{\"status\":\"ok\"}");
  return true;
}

bool health_ready(struct call *call, struct err *e) {
  if (!engine_ready(call->site->engine, e)) {
    /* Whatever the reason, a load balancer is to read it as "not now". */
    e->status = 503;
    return false;
  }
  str_add(call->answer->body, "{\"status\":\"ready\"}");
  return true;
}
