/* The SQL text that is sent for a command: its own statement, wrapped so that a result comes back as JSON text and whatever
 * refuses does so on the server, before COMMIT. docs/design.md, "Wrapping". */
#ifndef WRIT_COMMANDS_WRAP_H
#define WRIT_COMMANDS_WRAP_H

#include "commands/manifest.h"
#include "commands/param.h"
#include "db/catalog.h"
#include "db/plan.h"

struct config;
struct str;

/* What PostgreSQL and the manifest together say of a command. */
struct shape {
  struct description d;
  enum returns returns;  /* never RETURNS_DEFAULT once described */
  int64_t described_ms;  /* clock_ms; 0: not yet */
  bool unlocked;         /* a permission that PostgreSQL does not take with a row lock */
};

/* The statement as written with $1, $2 ...: to be described. For a check, the statement that runs it. For a composite one that
 * has its arguments as parameters, never to be run. unlocked: a permission without its row lock. */
char *wrap_plain(const void *mem, const struct command *c, bool unlocked);
/* A permission or version that locks rows, as long as PostgreSQL takes it so. */
bool wrap_locks(const struct command *c);
/* A composite whose args: name types. */
bool wrap_has_types(const struct command *c);
/* The statement that runs the command. modes: one for each of c->sql.names. captured: its last parameter, behind those, is
 * the name of the setting that keeps the result. */
char *wrap_command(const void *mem, const struct command *c, const struct shape *shape, const struct config *config,
                   const unsigned char *modes, bool captured);
/* What that statement gives. */
enum gives wrap_gives(const struct command *c, const struct shape *shape, bool captured);

/* The expressions that read $n: of PARAM_TAKE, text; of PARAM_BUILD, JSON as text. */
void wrap_put_take(struct str *s, unsigned n);
void wrap_put_build(struct str *s, unsigned n);
/* Refuses (BAD_REFERENCE) unless there is a value at $1 = {slot, path...}; $2 is the message. */
extern const char wrap_reference_sql[];
/* The same, where a step of the path could be taken for a place in an array but is no plain index. */
extern const char wrap_odd_reference_sql[];
/* JSON text of the pieces $1. */
extern const char wrap_build_sql[];

#endif
