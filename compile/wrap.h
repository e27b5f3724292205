/* The SQL text that is sent for a command: its own statement, wrapped so that a result comes back as JSON text and whatever
 * refuses does so on the server, before COMMIT. docs/design.md, "Wrapping". */
#ifndef WRIT_COMPILE_WRAP_H
#define WRIT_COMPILE_WRAP_H

#include "compile/param.h"
#include "db/catalog.h"
#include "db/plan.h"
#include "manifest/manifest.h"

struct config;
struct str;

/* What PostgreSQL and the manifest together say of a command. */
struct shape {
  struct description d;
  enum returns returns; /* never RETURNS_DEFAULT once described */
  int64_t described_ms; /* clock_ms; 0: not yet */
  bool unlocked;        /* a permission that PostgreSQL does not take with a row lock */
};

/* The statement as written with $1, $2 ...: to be described. For a check, the statement that runs it. For a composite or a
 * handler one that has its arguments as parameters, never to be run. unlocked: a permission without its row lock. */
char *wrap_plain(const void *mem, const struct command *c, bool unlocked);
/* A permission or version that locks rows, as long as PostgreSQL takes it so. */
bool wrap_locks(const struct command *c);
/* A composite or a handler whose args: name types. */
bool wrap_has_types(const struct command *c);
/* The statement that runs the command. modes: one for each of c->sql.names. captured: its last parameter, behind those, is
 * the name of the setting that keeps the result. */
char *wrap_command(const void *mem, const struct command *c, const struct shape *shape, const struct config *config,
                   const unsigned char *modes, bool captured);
/* The condition of a permission alone, an expression without parentheses around it, whose values are put by the callback: i is
 * an index into c->sql.names. */
typedef void wrap_put(struct str *s, unsigned i, void *data);
void wrap_put_condition(struct str *s, const struct command *c, bool unlocked, wrap_put *put, void *data);
/* What that statement gives. */
enum gives wrap_gives(const struct command *c, const struct shape *shape, bool captured);

/* The expressions that read $n: of PARAM_TAKE, text; of PARAM_BUILD, JSON as text. */
void wrap_put_take(struct str *s, unsigned n);
void wrap_put_build(struct str *s, unsigned n);
/* The JSON text made of the pieces in $n (compile/param.c). A short request can refer to a long result many times: what
 * they bring has a bound (16 MB, REFERENCE_BYTES of tree.h), looked at while they come; a window in their order would first
 * have them all. */
#define WRAP_BUILD(n)                                                                                                       \
  "(select string_agg(case when brought > 16777216 then writ.fail('TOO_LARGE', "                                            \
  "'References bring more than 16 MB into one value.', 422) else t end, '' order by o) from (select o, t, "                 \
  "sum(case when h then octet_length(t) else 0 end) over (rows unbounded preceding) as brought from (select o, "            \
  "json_typeof(p) <> 'string' as h, case json_typeof(p) when 'string' then p #>> '{}' else "                                \
  "coalesce((pg_catalog.current_setting(p ->> 0)::json #> array(select json_array_elements_text(p -> 1)))::text, "          \
  "'null') end as t from json_array_elements(" n "::json) with ordinality as x(p, o) offset 0) y) z)"

/* Refuses (BAD_REFERENCE) unless there is a value at $1 = {slot, path...}; $2 is the message. */
extern const char wrap_reference_sql[];
/* The same, where a step of the path could be taken for a place in an array but is no plain index. */
extern const char wrap_odd_reference_sql[];
/* JSON text of the pieces $1. */
extern const char wrap_build_sql[];
/* The same, kept in the setting $4 too. */
extern const char wrap_build_kept_sql[];

#endif
