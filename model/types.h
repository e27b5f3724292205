/* Names of PostgreSQL's types as people and the catalog write them, in one form. */
#ifndef WRIT_MODEL_TYPES_H
#define WRIT_MODEL_TYPES_H

#include "model/model.h"

#include <stdbool.h>
#include <stddef.h>

/* A type's name in parts: whoever reads it cannot be made to read anything else, as it is written anew from them. */
struct type_name {
  const char *type_sql; /* character varying(40); "public"."Colour"; as format_type() has it, but user types in quotes */
  const char *cast_sql; /* without (40), which in a cast would cut silently; character becomes bpchar */
  bool list;            /* [] behind it, which is not in the two above */
};

/* Reads name ("varchar(40)", "public.colour[]"). False: it is no type's name. What is not a type of PostgreSQL's own stands
 * with its schema; without one it is looked for in the search path. */
bool type_name_read(const void *mem, const char *name, struct type_name *out);

/* base: the type below domains and arrays as struct db_column has it, "int4". The scalar that it is read as; false: none. */
bool type_scalar(const char *base, enum scalar *out);
/* Can the column store such a scalar? An enum also in a text. */
bool type_fits(const char *base, bool is_enum, enum scalar scalar);

#endif
