/* writ explain: what a command would send to PostgreSQL. */
#include "cli/cli.h"

#include "base/str.h"
#include "engine/engine.h"

#include <stdio.h>

int cli_explain(void *mem, const struct options *o) {
  struct str *text = str_new(mem, 4096);
  struct call call;
  struct err e;

  err_init(&e, mem);
  if (!cli_prepare(mem, o, &call, &e) || !engine_explain(call.engine, mem, call.set, call.invocation, text, &e))
    return cli_fail(&e);
  fputs(text->p, stdout);
  return 0;
}
