/* A command set into a plan: the one compiler. Needs to know what PostgreSQL said of each command (shapes). */
#ifndef WRIT_COMMANDS_COMPILE_H
#define WRIT_COMMANDS_COMPILE_H

#include "commands/tree.h"
#include "commands/variants.h"
#include "commands/wrap.h"
#include "db/plan.h"

struct config;

struct compiler {
  void *mem;                  /* the request's */
  const struct config *config;
  const struct shape *shapes; /* by command id */
  struct variants *variants;
  const char *mutation;       /* its UUID */
  bool keep;                  /* all results in settings: the answer is put together on the server */
};

/* Adds the steps of entries [first, end) to *plan. False: *e with index, path, argument; BAD_ARGUMENT, BAD_REFERENCE, or
 * INTERNAL for a command that does not prepare. *fault: the command whose shape was at odds, to look at it again. */
bool compile_entries(struct compiler *k, struct command_set *set, size_t first, size_t end, struct plan *plan,
                     const struct command **fault, struct err *e) __attribute__((warn_unused_result));

/* Says in *e whose fault it was: index, command, path, argument (NULL: none). */
void compile_place(void *mem, const struct command_set *set, const struct node *node, const char *argument, struct err *e);
/* The same for a use; argument: of its command. */
void compile_place_use(void *mem, const struct command_set *set, const struct use *use, const char *argument, struct err *e);

/* The same, of a place inside the node's arguments: a JSON pointer, /data/cities/create/0. */
void compile_place_at(void *mem, const struct command_set *set, const struct node *node, const char *path, struct err *e);
/* Adds the steps that refuse unless what an argument refers to is there. owner: the node's index. */
bool compile_references(struct compiler *k, const struct expr *x, struct plan *plan, size_t owner, const struct command **fault,
                        struct err *e) __attribute__((warn_unused_result));
/* Adds a step; gives its index. */
size_t compile_step(struct compiler *k, struct plan *plan, struct step step);

#endif
