/* GET /healthz and /readyz, for those inside: a supervisor of services, a load balancer. */
#ifndef WRIT_HANDLERS_HEALTH_H
#define WRIT_HANDLERS_HEALTH_H

#include "handlers/dispatch.h"

call_step health_alive; /* 200 as long as a worker answers; PostgreSQL is not asked */
call_step health_ready; /* 200, or 503: PostgreSQL cannot be reached, or the commands do not fit the database */

#endif
