/* What after-hooks and events are told of a command: expressions as text, with the results of the transaction in hand left out,
 * to be put in where they are, on the server. */
#ifndef WRIT_ENGINE_TOLD_H
#define WRIT_ENGINE_TOLD_H

#include "compile/param.h"
#include "compile/wrap.h"
#include "commands/tree.h"

/* Of one row. Either pieces are used by all rows of a statement, or by none. */
struct told {
  const char *key;   /* literal text, or the pieces; NULL: none */
  const char *place; /* behind that, {slot, path...}; NULL: nothing */
  const char *head;  /* of the payload: literal text, or the pieces */
  const char *slot;  /* behind that, a whole result; NULL: nothing */
  const char *tail;  /* behind that; NULL: nothing */
};

/* Calls visit for each result in it that the server keeps. Those of CALL and MERGE cannot be: they are told as null. */
void told_each_kept(const struct expr *x, void (*visit)(const struct expr *result, void *data), void *data);

/* Parts of a payload. */
struct expr told_text(const void *mem, const char *text); /* NULL: null */
struct expr told_object(void *mem, const char *const *keys, const struct expr *items, size_t n);
struct expr told_value(void *mem, const struct expr *x); /* without results that are not read on the server */
struct expr told_args(void *mem, const struct use *use);

/* No more than one whole result in the payload, and one at the end of the key (NULL: none): then no pieces are needed, which
 * spares the server some 20 us. */
bool told_is_simple(const struct expr *payload, const struct expr *key);
void told_put(void *mem, const struct expr *payload, const struct expr *key, bool pieces, struct told *out);
/* A parameter: one member of all n rows, which are size bytes each and have it at offset, as a text[] literal; or of one row, the
 * member itself. */
const char *told_field(void *mem, const void *rows, size_t n, size_t size, size_t offset);

/* The SQL that puts together key and payload of a row x, as k and p; pieces or not. */
#define TOLD_AT(place) "coalesce(pg_catalog.current_setting((" place "::text[])[1])::json #>> (" place "::text[])[2:], '')"
#define TOLD_SIMPLE                                                                                                         \
  "x.key || case when x.place is null then '' else " TOLD_AT(                                                               \
      "x.place") " end as k, "                                                                                              \
                 "x.head || coalesce(pg_catalog.current_setting(x.slot), '') || coalesce(x.tail, '') as p"
#define TOLD_BUILT                                                                                                          \
  "(select string_agg(case json_typeof(e) when 'string' then e #>> '{}' when 'array' then " TOLD_AT(                        \
      "(e ->> 0)") " end, "                                                                                                 \
                   "'' order by n) from json_array_elements(x.key::json) with ordinality as t(e, n)) as k, " WRAP_BUILD(    \
                       "x.head") " as p"
/* An index row has room for some 2700 bytes. */
#define TOLD_SHORT(key) "case when octet_length(" key ") > 200 then left(" key ", 40) || md5(" key ") else " key " end"

#endif
