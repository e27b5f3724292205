/* The filters that a where of many offers, by name and by what they are for: one table for the query that reads them and the
 * schema that tells of them. */
#ifndef WRIT_MODEL_FILTERS_H
#define WRIT_MODEL_FILTERS_H

#include <stdbool.h>
#include <stddef.h>

struct field;
struct model;

enum filter {
  FILTER_IS,
  FILTER_NOT,
  FILTER_IN,
  FILTER_NOT_IN,
  FILTER_LT,
  FILTER_LTE,
  FILTER_GT,
  FILTER_GTE,
  FILTER_CONTAINS,
  FILTER_NOT_CONTAINS,
  FILTER_STARTS,
  FILTER_NOT_STARTS,
  FILTER_ENDS,
  FILTER_NOT_ENDS,
  FILTER_SOME,
  FILTER_EVERY,
  FILTER_NONE,
  NFILTERS
};

const char *filter_ending(enum filter filter); /* "_not_in"; of FILTER_IS "" */
bool filter_is_for(enum filter filter, const struct field *field);
/* The field whose filter of that name is meant; NULL: there is none. */
const struct field *filter_find(const struct model *m, const char *name, enum filter *out);

#endif
