#include "jobs/backlog.h"

#include "base/json.h"
#include "jobs/jobs.h"

#include <stdlib.h>
#include <string.h>

static const char look_sql[] =
    "select json_build_array(count(*), greatest(0, extract(epoch from now() - min(due)) * 1000)::bigint,"
    " (select count(*) from (select from writ.mutation where dead limit 10000) d))::text"
    " from (select due from writ.mutation where ended is null and due <= now() and owner is null order by due limit 10000) w";

static uint64_t number_of(const struct json *value) {
  return value->kind == JSON_NUMBER ? strtoull(value->text, NULL, 10) : 0;
}

bool backlog_look(struct conn *c, void *mem, struct backlog *out, const struct wait *w, struct err *e) {
  const struct json *row;
  const char *text;

  if (!jobs_ask(c, mem, look_sql, NULL, 0, &text, w, e) || !json_read(mem, text, strlen(text), 1, &row, e)) return false;
  *out = (struct backlog){number_of(&row->items[0]), number_of(&row->items[1]), number_of(&row->items[2])};
  return true;
}
