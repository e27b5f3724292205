/* The inside of set.c (one command: its arguments, what it stands for) and elements.c (sets of them). */
#ifndef WRIT_COMMANDS_DECODER_H
#define WRIT_COMMANDS_DECODER_H

#include "commands/set.h"
#include "commands/tree.h"

struct decoder {
  void *mem;
  const struct manifest *manifest;
  const struct caller *caller;
  struct command_set *set;
  struct err *e;
  size_t references_left; /* bytes that references may still bring */
  bool again;             /* the set is there: its parts stay where they are, arguments and results are bound anew */
  size_t nodes_before, uses_before; /* again: how many there were; */
  bool moved;                       /* they are no longer the same */
  const struct command_set *behind; /* on_complete, on_error: the set whose end they follow; NULL: none */
  const struct inner *inner;        /* the transactional set in hand that is one step of an execute set; NULL: none */
  const struct command *named;      /* in there, the element in hand and its place; NULL: none */
  const char *place;
  const struct expr *caller_value; /* what $caller stands for; NULL: nobody has asked */
};

/* A set within the set: what its references find beside the names of the set around it. */
struct inner {
  const char **as; /* NULL: none */
  const struct expr **results;
  size_t n;
};

/* set.c. The entry of that name, or NULL. */
const struct entry *decoder_entry(const struct command_set *set, const char *as);
/* The caller's arguments object against the command's: by index into command->args; NULL where the default counts. NULL: *e. */
const struct expr **decoder_arguments(struct decoder *d, const struct command *c, const struct json *args, bool in_set);
/* Adds what a command stands for, its guards too; gives what its result is. NULL: *e. */
const struct expr *decoder_unfold(struct decoder *d, const struct command *c, const struct expr **args, size_t entry,
                                  bool direct);
/* An array or object in which every reference has become a literal is a literal. */
void decoder_settle(struct decoder *d, struct expr *x);
/* The entry that begins at first_node, whose nodes are there. */
bool decoder_put_entry(struct decoder *d, struct entry entry);
/* A command as an entry. */
bool decoder_add_entry(struct decoder *d, const struct command *c, const char *as, const struct json *args, bool in_set);

/* elements.c. All elements of the set that args is, and what is to follow it. False: *e, with its place. */
bool decoder_elements(struct decoder *d, const struct json *args);
/* A name as one step of a JSON pointer (RFC 6901 section 3). */
const char *decoder_pointer(void *mem, const char *name);

#endif
