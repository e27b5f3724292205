/* GET /metrics, for those inside: counters of all workers in Prometheus' text format 0.0.4. */
#ifndef WRIT_HANDLERS_METRICS_H
#define WRIT_HANDLERS_METRICS_H

#include "handlers/dispatch.h"

call_step metrics_show;

#endif
