/* Lists that need not be counted while an answer is made: as long as the whole is short, none of them has too many nodes. */
#include "base/arena.h"
#include "base/str.h"
#include "manifest/config.h"
#include "query/select_inside.h"

#include <string.h>

/* What json holds as \u0000, or as half of a surrogate pair, goes into an answer and out to the client, but PostgreSQL does not
 * take apart again what has it. jsonb takes neither in. */
static bool is_opaque(const struct selection *s) {
  for (size_t i = 0; i < s->nitems; i++) {
    const struct field *f = s->items[i].field;

    if (!f) continue;
    if (f->relation ? is_opaque(s->items[i].selection)
                    : f->scalar == SCALAR_JSON && !str_starts(f->column->cast_sql, "jsonb"))
      return true;
  }
  return false;
}

static bool has_lists(const struct selection *s);

static bool leads_to_list(const struct selected *item) {
  if (!item->field || !item->field->relation) return false;
  return item->field->list ? !list_is_cut(&item->list) : has_lists(item->selection);
}

static bool has_lists(const struct selection *s) {
  for (size_t i = 0; i < s->nitems; i++)
    if (leads_to_list(&s->items[i])) return true;
  return false;
}

/* {"a":1,"b":1}: braces, and for each item quotes, a colon, one character, and but for the first a comma. */
static long long shortest_node(const struct selection *s) {
  long long bytes = 1;

  for (size_t i = 0; i < s->nitems; i++) bytes += (long long)strlen(s->items[i].alias) + 5;
  return bytes;
}

/* [{},{},{}], with one node too many. */
static long long shortest_long_list(const struct selection *s, const struct config *config) {
  return (config->max_rows + 1LL) * (shortest_node(s) + 1) + 1;
}

static void see(struct str *names, const struct selection *s, const struct config *config, long long *bytes) {
  const char *between = "{";

  for (size_t i = 0; i < s->nitems; i++) {
    const struct selected *item = &s->items[i];

    if (!leads_to_list(item)) continue;
    str_add(names, between);
    between = ",";
    str_json(names, item->alias);
    str_char(names, ':');
    if (!item->field->list) {
      see(names, item->selection, config, bytes);
      continue;
    }
    str_json(names, item->field->name);
    if (shortest_long_list(item->selection, config) <= *bytes) *bytes = shortest_long_list(item->selection, config) - 1;
  }
  str_char(names, '}');
}

const struct sql_lists *select_lists(void *mem, const struct config *config, const struct selection *s) {
  struct str *names;
  struct sql_lists *lists;
  long long bytes = config->max_result_bytes;

  if (!has_lists(s) || is_opaque(s)) return NULL;
  names = str_new(mem, 128);
  see(names, s, config, &bytes);
  lists = arena_new(mem, struct sql_lists);
  *lists = (struct sql_lists){.names = names->p, .bytes = (int)bytes};
  return lists;
}
