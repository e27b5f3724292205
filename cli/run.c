/* writ run: one command from the command line, the way an inside caller would. */
#include "cli/cli.h"

#include "base/str.h"
#include "engine/engine.h"

#include <stdio.h>

int cli_run(void *mem, const struct options *o) {
  struct str *answer = str_new(mem, 1024);
  struct report report;
  struct call call;
  struct err e;

  err_init(&e, mem);
  if (!cli_prepare(mem, o, &call, &e) || !engine_run(call.engine, mem, call.set, call.invocation, answer, &report, &e))
    return cli_fail(&e);
  puts(answer->p);
  return 0;
}
