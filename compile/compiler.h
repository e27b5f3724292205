/* What compiles a command set into a plan, and the parts that all of it shares. It needs to know what PostgreSQL said of each
 * command (shapes). */
#ifndef WRIT_COMPILE_COMPILER_H
#define WRIT_COMPILE_COMPILER_H

#include "commands/tree.h"
#include "compile/variants.h"
#include "compile/wrap.h"
#include "db/plan.h"

struct caller;
struct config;

struct compiler {
  void *mem; /* the request's */
  const struct config *config;
  const struct manifest *manifest;
  const struct caller *caller;
  const struct shape *shapes; /* by command id */
  struct variants *variants;
  const char *mutation;       /* its UUID */
  const char *traceparent;    /* of the request; NULL: none */
  bool keep;                  /* all results in settings: the answer is put together on the server */
  bool numbers_as_text;       /* BigInt and Decimal of models are strings in the answer */
  bool reads;                 /* the caller asked for what changes nothing: GraphQL's query */
  bool one_by_one;            /* each row of a mutation by a statement of its own */
  bool guarding;              /* a handler's permissions alone: its after-hooks are written when it has answered */
  bool states_apart;          /* entries have states of their own: whose events are told changes between them; */
  const char *told, *listens; /* whose they are now, and those of an entry without one: a UUID, or "": nobody's */
};

/* A step that belongs to writ and to no command has an id above all commands in its variant's key. */
enum { KEY_REFERENCE = 0x7ffffff0, KEY_ODD_REFERENCE, KEY_BUILD, KEY_BUILD_KEPT, KEY_ANSWER, KEY_TELL_OF };
struct statement compile_own(struct compiler *k, uint32_t id, const char *sql);

/* Has it a result that others can refer to? */
bool compile_can_keep(const struct command *c);

/* Says in *e whose fault it was: index, command, path, argument (NULL: none). */
void compile_place(void *mem, const struct command_set *set, const struct node *node, const char *argument, struct err *e);
/* The same of an entry as a whole, or an argument of its command. */
void compile_place_entry(void *mem, const struct command_set *set, size_t entry, const char *argument, struct err *e);
/* The same for a use; argument: of its command. */
void compile_place_use(void *mem, const struct command_set *set, const struct use *use, const char *argument, struct err *e);

/* The same, of a place inside the node's arguments: a JSON pointer, /data/cities/create/0. */
void compile_place_at(void *mem, const struct command_set *set, const struct node *node, const char *path, struct err *e);
/* Adds the steps that refuse unless what an argument refers to is there. owner: the node's index. */
bool compile_references(struct compiler *k, const struct expr *x, struct plan *plan, size_t owner,
                        const struct command **fault, struct err *e) __attribute__((warn_unused_result));
/* Adds a step; gives its index. */
size_t compile_step(struct compiler *k, struct plan *plan, struct step step);

#endif
