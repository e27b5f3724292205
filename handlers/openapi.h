/* GET /openapi.json: what the caller may call, for programs. */
#ifndef WRIT_HANDLERS_OPENAPI_H
#define WRIT_HANDLERS_OPENAPI_H

#include "handlers/dispatch.h"

call_step openapi_show;

#endif
