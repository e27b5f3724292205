/* The table of filters. */
#include "model/filters.h"

#include "model/model.h"

#include <string.h>

#define BIT(s) (1U << SCALAR_##s)
enum {
  OF_TEXT = BIT(ID) | BIT(STRING),
  OF_ORDER = OF_TEXT | BIT(INT) | BIT(BIGINT) | BIT(FLOAT) | BIT(DECIMAL) | BIT(DATETIME),
  OF_IN = OF_ORDER | BIT(UUID) | BIT(ENUM),
  OF_IS = OF_IN | BIT(BOOLEAN),
};

/* scalars 0: of a list of linked nodes. */
static const struct {
  const char *ending;
  unsigned scalars;
} filters[NFILTERS] = {
    [FILTER_IS] = {"", OF_IS},
    [FILTER_NOT] = {"_not", OF_IS},
    [FILTER_IN] = {"_in", OF_IN},
    [FILTER_NOT_IN] = {"_not_in", OF_IN},
    [FILTER_LT] = {"_lt", OF_ORDER},
    [FILTER_LTE] = {"_lte", OF_ORDER},
    [FILTER_GT] = {"_gt", OF_ORDER},
    [FILTER_GTE] = {"_gte", OF_ORDER},
    [FILTER_CONTAINS] = {"_contains", OF_TEXT},
    [FILTER_NOT_CONTAINS] = {"_not_contains", OF_TEXT},
    [FILTER_STARTS] = {"_starts_with", OF_TEXT},
    [FILTER_NOT_STARTS] = {"_not_starts_with", OF_TEXT},
    [FILTER_ENDS] = {"_ends_with", OF_TEXT},
    [FILTER_NOT_ENDS] = {"_not_ends_with", OF_TEXT},
    [FILTER_SOME] = {"_some", 0},
    [FILTER_EVERY] = {"_every", 0},
    [FILTER_NONE] = {"_none", 0},
};

const char *filter_ending(enum filter filter) { return filters[filter].ending; }

bool filter_is_for(enum filter filter, const struct field *f) {
  if (f->relation) return f->list ? !filters[filter].scalars : filter == FILTER_IS;
  return !f->list && (filters[filter].scalars & (1U << f->scalar));
}

static const struct field *find_field(const struct model *m, const char *name, size_t len) {
  for (size_t i = 0; i < m->nfields; i++)
    if (strncmp(m->fields[i].name, name, len) == 0 && m->fields[i].name[len] == '\0') return &m->fields[i];
  return NULL;
}

/* Any order will do: that a name could be two filters is refused when the model is read (names.c). */
const struct field *filter_find(const struct model *m, const char *name, enum filter *out) {
  size_t len = strlen(name);

  for (enum filter filter = 0; filter < NFILTERS; filter++) {
    size_t n = strlen(filters[filter].ending);
    const struct field *f;

    if (len <= n || strcmp(name + len - n, filters[filter].ending) != 0) continue;
    f = find_field(m, name, len - n);
    if (!f || !filter_is_for(filter, f)) continue;
    *out = filter;
    return f;
  }
  return NULL;
}
