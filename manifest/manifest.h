/* The manifest: which commands exist, who may call them, and what they are made of. Read once, then immutable. */
#ifndef WRIT_MANIFEST_MANIFEST_H
#define WRIT_MANIFEST_MANIFEST_H

#include "db/plan.h"
#include "manifest/event.h"
#include "manifest/mutex.h"
#include "manifest/service.h"
#include "manifest/sql_scan.h"

#include <stdbool.h>
#include <stddef.h>

struct config;
struct datamodel;
struct graphql_definition;
struct json;
struct model;
struct model_rules;
struct problems;

enum command_kind {
  COMMAND_SQL,
  COMMAND_CHECK,
  COMMAND_COMPOSITE,
  COMMAND_HANDLER,    /* a program: http: or module: */
  COMMAND_MUTATION,   /* of a model: createUser */
  COMMAND_QUERY,      /* of a model: user, users */
  COMMAND_PERMISSION, /* of another command, as COMMAND_VERSION: cannot be called */
  COMMAND_VERSION,
  COMMAND_TRANSACTIONAL_SET,
  COMMAND_EXECUTE_SET,
};
/* What a model's command does. */
enum operation {
  OPERATION_CREATE,
  OPERATION_UPDATE,
  OPERATION_UPSERT,
  OPERATION_DELETE,
  OPERATION_UPDATE_MANY,
  OPERATION_DELETE_MANY,
  OPERATION_ONE,        /* QUERY: the node of a unique where, or null */
  OPERATION_MANY,       /* QUERY: a list */
  OPERATION_CONNECTION, /* QUERY: a list with edges, pageInfo and aggregate */
};

enum returns { RETURNS_DEFAULT, RETURNS_ONE, RETURNS_OPTIONAL, RETURNS_MANY, RETURNS_COUNT, RETURNS_NONE };

/* An application's own error: of a check, or in place of a violated constraint (then code and message are always
 * there). */
struct own_error {
  const char *code;    /* NULL: none given; a check then fails with CHECK_FAILED */
  const char *message; /* NULL: none given */
  int status;          /* 400..499; default 422 for checks, 409 for constraints */
};

struct constraint_error {
  const char *constraint;
  struct own_error error;
};

struct argument {
  const char *name;
  const char *type;            /* PostgreSQL type name as written; NULL: as PostgreSQL finds it */
  const struct json *fallback; /* default; NULL: required */
  int line;
};

/* A template, in composites: JSON in which a string "$args.x.y" or "$user.id" is a reference and "$$..." a literal
 * dollar. */
struct template {
  enum { TEMPLATE_LITERAL, TEMPLATE_ARGS, TEMPLATE_RESULT, TEMPLATE_ARRAY, TEMPLATE_OBJECT } kind;
  const struct json *literal; /* LITERAL: no reference inside */
  size_t member;              /* RESULT: index of the earlier member */
  size_t argument;            /* ARGS: index into the composite's arguments */
  const char *const *path;    /* ARGS, RESULT: what follows; npath names */
  size_t npath;
  const struct template *items; /* ARRAY, OBJECT */
  const char *const *keys;      /* OBJECT */
  size_t n;
  int line;
};

struct member {
  const struct command *command;
  const char *as;              /* NULL: none */
  const struct template *args; /* OBJECT kind: one item for each argument given */
  int line;
};

enum { HOOK_ATTEMPTS = 15 };

/* A service told before a command runs, which may refuse it, or after it was committed. */
struct hook {
  const char *name; /* command.name: unique in the manifest */
  struct service service;
  bool changes;               /* before: its answer may hold changed arguments; one of a command */
  bool sync;                  /* after: tried before the answer is sent */
  bool skip_dead;             /* after: a dead letter does not hold its key back */
  int attempts;               /* after: then it is a dead letter */
  const struct template *key; /* after: deliveries of one key are in order; NULL: no order */
};

/* How a permission or version locks the rows that it looks at. */
enum row_lock { ROW_LOCK_UPDATE, ROW_LOCK_SHARE, ROW_LOCK_NONE };

/* Where a permission has a value from: an index into its command's args, or one of these. */
enum given { GIVEN_RESULT = -4, GIVEN_CLAIMS, GIVEN_ROLE, GIVEN_USER };

/* What a permission is beside an expression that must be true. */
struct permission {
  const struct command *of;
  const int *from; /* by index into its own args: enum given, or an index into of->args */
  enum row_lock lock;
  bool as_login;  /* the login role, not the mapped one */
  size_t version; /* VERSION: index into its own args of the value that the column must have */
};

/* What a manifest says under module: of a command. */
struct module_use {
  const char *file; /* absolute, without symbolic links */
  const char *function;
  const struct json *config; /* NULL: none */
  bool config_unknown;       /* it refers to what this process's environment does not have */
};

struct command {
  const char *name;
  size_t id; /* index into manifest.commands */
  enum command_kind kind;
  const char *title, *description; /* for people; or NULL */
  size_t datasource;               /* index into config.datasources; of a composite: that of all its members */
  const char *const *allow;        /* roles; n 0: inside only */
  size_t nallow;
  struct argument *args; /* COMPOSITE: as declared; SQL, CHECK: one for each of sql.names, in that order
                                   (type NULL when not declared) */
  size_t nargs;
  bool args_declared;
  struct sql_scan sql; /* SQL, CHECK */
  enum returns returns;
  struct own_error error;       /* CHECK */
  const struct member *members; /* COMPOSITE */
  size_t nmembers;
  const struct template *result; /* COMPOSITE; NULL: the last member's result */
  enum isolation isolation;
  const struct command **before, **after; /* permissions; a version guard is the first of before */
  size_t nbefore, nafter;
  struct permission permission; /* PERMISSION, VERSION */
  bool version_required;        /* there is a version guard, and it needs a value */
  long max_affected;            /* rows; -1: no limit */
  const struct hook *before_hooks, *after_hooks;
  size_t nbefore_hooks, nafter_hooks;
  const struct domain_event *events; /* appended to the log in its transaction */
  size_t nevents;
  const struct model *model;   /* MUTATION, QUERY */
  enum operation operation;    /* MUTATION, QUERY; args: manifest_models.c has the table */
  const struct mutex *mutexes; /* held from ahead of the first statement to the end of the transaction */
  size_t nmutexes;
  const char *file;                /* where it is written */
  bool needs_key;                  /* a request that names it must have an Idempotency-Key */
  const struct service *http;      /* HANDLER: the program; NULL: a module */
  const struct module_use *module; /* HANDLER: the module; NULL: a program */
  int line;
};

/* What a schema file has besides a data model: for schema/. */
struct schema_text {
  const char *file;
  const struct graphql_definition *definitions;
};

/* An event that states of mutations know by its name. */
struct state_event {
  const char *name;
  const char *reducer;        /* an SQL function, as SQL: "app"."file_stored"; NULL: none */
  const struct json *payload; /* its JSON Schema; NULL: any */
  int line;
};

/* A state does not grow beyond it by reducers, and results that are longer stay out of it. */
enum { MANIFEST_STATE_BYTES = 256 * 1024 };

/* What a manifest says under state: */
struct state_rules {
  const char *const *readers; /* roles that may read all states */
  size_t nreaders;
  const struct json *initial;   /* members of a new state; NULL: none, or */
  const char *initial_function; /* what this function of the UUID gives, as SQL */
  const char *catch_all;        /* reducer of all events, as SQL; NULL: none */
  struct state_event *events;
  size_t nevents;
  int line;
  const char *text; /* what the functions of schema writ are to know: JSON */
};

struct role_map {
  const char *role, *database_role;
};

/* What the OpenAPI document says of itself. Never NULL, but for description. */
struct openapi_info {
  const char *title, *version, *description;
};

struct manifest {
  const char *file;
  const struct config *config; /* that it was read with; borrowed */
  const struct command *
      *commands; /* the built-in sets, those of the file in its order, dispatch_event, those of models, permissions */
  size_t ncommands;
  struct constraint_error *constraints;
  size_t nconstraints;
  struct role_map *roles; /* n 0: no mapping, everything runs as the login role */
  size_t nroles;
  struct state_rules state;
  const char *const *event_readers; /* roles that may read the event log over the border */
  size_t nevent_readers;
  const struct projection *projections;
  size_t nprojections;
  const struct datamodel *model;          /* NULL: there is no schema: */
  const struct schema_text *schema_texts; /* of schema:, and of that of mutations: */
  size_t nschema_texts;
  struct model_rules *model_rules; /* by model->id: who may write its fields (model_rules.h); NULL: nothing is said */
  bool asks_nested;                /* a mutation of some model has before-hooks or mutexes */
  size_t model_datasource;         /* index into config.datasources */
  bool introspection_limited;      /* graphql: introspection: says which roles may ask GraphQL for its types */
  const char *const *introspection;
  size_t nintrospection;
  struct openapi_info openapi;
  const unsigned *buckets; /* by name: manifest_command's own */
  size_t nbuckets;
};

/* Reads config->manifest. NULL when *p got errors. Everything that can be known without a database is checked: unknown
 * keys, types of values, names (letters, digits, _; at most 63 bytes), clashes with built-ins, references to nothing
 * or to later members, cycles of composites, arguments not used or not declared, statements that are refused (verbs),
 * roles in allow: not in roles: when there is a roles:. */
struct manifest *manifest_load(const void *mem, const struct config *config, struct problems *p);
/* As manifest_load, from text (fuzzing, tests). */
struct manifest *manifest_read(const void *mem, const struct config *config, const char *text, size_t len,
                               struct problems *p);
/* The same over a data model that was read already, in place of a schema:. */
struct manifest *manifest_read_over(const void *mem, const struct config *config, const struct datamodel *model,
                                    const char *text, size_t len, struct problems *p);
/* By name (a hash table), or NULL. */
const struct command *manifest_command(const struct manifest *m, const char *name);
/* The database role of a caller's role; false: there is a mapping and the role is not in it. *role NULL: login role. */
bool manifest_role(const struct manifest *m, const char *caller_role, const char **role);
/* May this role read the states of all mutations? */
bool manifest_reads_states(const struct manifest *m, const char *role);
const struct state_event *manifest_state_event(const struct manifest *m, const char *name);    /* or NULL */
const struct own_error *manifest_constraint(const struct manifest *m, const char *constraint); /* or NULL */

#endif
