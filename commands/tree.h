/* The inside of a command set, for set.c (makes it), compile.c (turns it into a plan) and engine.c (runs it).
 *
 * An entry is what the request named and what the answer shows. A node is one statement to run: a composite unfolds into the
 * nodes of its members. An expression is an argument: a literal, or made on the server from results of earlier nodes. */
#ifndef WRIT_COMMANDS_TREE_H
#define WRIT_COMMANDS_TREE_H

#include "base/json.h"
#include "commands/set.h"
#include "manifest/manifest.h"

struct nested_ends;
struct node;

/* A reference makes much of few bytes: values that refer to values that refer to values double at each step. So many bytes all
 * references of a request may bring together. */
enum { REFERENCE_BYTES = 16 * 1024 * 1024 };

enum expr_kind { EXPR_LITERAL, EXPR_RESULT, EXPR_ARRAY, EXPR_OBJECT };

/* ARRAY and OBJECT have a reference somewhere below; all else is a LITERAL. */
struct expr {
  enum expr_kind kind;
  bool was_result;            /* LITERAL: read from a result (execute sets): JSON as it is, also for a json parameter */
  bool by_hook;               /* LITERAL: a hook has put it in the place of what the caller gave */
  const struct json *literal; /* LITERAL */
  struct node *node;          /* RESULT: whose; */
  const char *const *path;    /* names and indexes into it */
  size_t npath;
  const struct expr *items; /* ARRAY, OBJECT */
  const char *const *keys;  /* OBJECT */
  size_t n;
  const char *argument; /* of the entry's command, where the value is the whole of it or a part; NULL: from elsewhere */
};

/* When a node runs: guards ahead of the first write, as far as their arguments are known by then. */
enum phase { PHASE_WRITE, PHASE_BEFORE, PHASE_AFTER };

struct node {
  const struct command *command; /* an SQL command, a check, or a guard of one */
  enum phase phase;
  const struct expr **args;    /* by index into command->args; NULL: the default */
  size_t entry;                /* index into the set's entries */
  bool direct;                 /* the entry's own command, not a composite's member: its arguments are the caller's */
  const struct command *named; /* of a set within the set: what its element names, and where that stands below the entry: */
  const char *place;           /* "/args/commands/0"; NULL: it is no such set */
  unsigned slot;               /* the setting that keeps its result for others: writ.s<slot>; 0: nobody asks */
  size_t step;                 /* its step in the plan */
  const char *text;            /* its result as JSON, when it has run */
  size_t len;
  const struct json *value; /* the same, parsed, when a later transaction has asked for it */
  struct nested_ends *ends; /* of a mutation: what its nested operations leave to the end of the plan; NULL: nothing */
};

/* One command that the set stands for, at any depth, which is more than its statement: it has permissions, hooks, mutexes. In the
 * order in which they run; a composite before its members. */
struct use {
  const struct command *command;
  const struct expr **args; /* by index into command->args; NULL: the default */
  const struct expr *result;
  const struct expr **keys;                         /* of its after-hooks; NULL: no order */
  const struct expr **event_keys, **event_payloads; /* of its events; NULL: no key; {args, result} */
  size_t entry;                                     /* index into the set's entries */
  bool direct;                                      /* the entry's own command */
  const char *nested; /* it is nested in a mutation's input, at that place: it is asked ahead and holds mutexes, and the
                                   rest of its rules are nested/'s; NULL: it is not */
  size_t first_node, end_node; /* [first, end) of the set's nodes */
  const struct json *
      *changed; /* by index into command->args: what a hook put in their place; NULL: nothing, of all or of one */
};

struct entry {
  const struct command *command;
  const char *as;           /* NULL: none */
  const char *mutation;     /* the UUID of a state of its own, in a transactional set; NULL: it has none */
  enum isolation isolation; /* of its own transaction, in an execute set; */
  size_t datasource;        /* on that */
  const struct expr **args; /* by index into command->args; NULL: the default */
  const struct expr *result;
  size_t first_node, end_node; /* [first, end) of the set's nodes */
  size_t result_step;          /* of a result made on the server; SIZE_MAX: not so */
  unsigned slot;               /* the setting that keeps that; 0: nobody asks */
  const char *text;            /* that result, when it has run */
  size_t len;
  bool settled; /* text is the result whatever it is made of: it was given by a transaction before */
};

struct command_set {
  const struct command *command; /* as requested */
  const struct json *request;    /* its arguments object */
  const char *member;            /* of the request, where its elements stand: "commands" */
  bool is_set;                   /* answer with "results", errors with an index */
  bool each_alone;               /* execute_command_set: a transaction for each entry */
  bool has_states;               /* some entries have a mutation of their own */
  enum isolation isolation;
  size_t datasource;
  struct entry *entries;
  size_t nentries;
  struct node **nodes;
  size_t nnodes, nstatements; /* those of PHASE_WRITE: what limits.commands bounds */
  struct use *uses;
  size_t nuses;
  size_t outbox_step;       /* of the transaction in hand, which writes its after-hooks; SIZE_MAX: none */
  size_t events_step;       /* the same of its events */
  const char *outbox_owner; /* of the lease on those that are tried before the answer; NULL: none */
  size_t outbox_sync;       /* so many of those */
  const struct json *known; /* values that references find by name: an object; NULL: none. Ahead of the first entries, */
  size_t done;              /* which have been run, so many of them */
  struct command_set *on_complete, *on_error; /* what is to follow, as execute sets; NULL: not asked for */
};

/* The value of an argument; NULL: not given. The command has one of that name. */
const struct expr *node_argument(const struct node *node, const char *name);

const struct expr *expr_literal(void *mem, const struct json *value);
const struct expr *expr_result(void *mem, struct node *node, const char *const *path, size_t npath);
/* The value at path in an expression, or NULL: it cannot be there. mem: for a longer path. */
const struct expr *expr_at(void *mem, const struct expr *expr, const char *const *path, size_t npath);
/* An array or object, literal or not: its kind, elements, and names. kind: JSON_NULL.. of a literal; of what has references in it
 * JSON_ARRAY or JSON_OBJECT; *is_result: a reference itself, whose kind is not known (JSON_STRING then). */
enum json_kind expr_kind(const struct expr *x, bool *is_result);
bool expr_is_null(const struct expr *x); /* or not there: NULL */
size_t expr_len(const struct expr *x);
const char *expr_key(const struct expr *x, size_t i);
const struct expr *expr_item(void *mem, const struct expr *x, size_t i);
const struct expr *expr_member(void *mem, const struct expr *object, const char *key); /* or NULL */
/* Takes about the bytes that the value has as JSON from *left; false: that is not enough. */
bool json_spend(const struct json *value, size_t *left);
bool expr_spend(const struct expr *expr, size_t *left);
/* {"$ref": ...} or {"$literal": ...}: is it one, is there one in it? */
bool json_is_marker(const struct json *value, const char *name);
bool json_has_marker(const struct json *value);
/* As expr_at for a JSON value: array elements by index, members by name. */
const struct json *json_at(const struct json *value, const char *const *path, size_t npath);
/* Calls visit for each RESULT in the expression. */
void expr_each_result(const struct expr *expr, void (*visit)(const struct expr *result, void *data), void *data);

#endif
