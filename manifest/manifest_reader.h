/* What reading a manifest needs besides its result: shared by manifest.c (the whole), manifest_parts.c (small
 * parts), manifest_command.c (a command's keys), manifest_hooks.c (its services) and composite.c (what commands are to each other), nobody else's. */
#ifndef WRIT_MANIFEST_MANIFEST_READER_H
#define WRIT_MANIFEST_MANIFEST_READER_H

#include <stdbool.h>
#include <stddef.h>

struct command;
struct config;
struct datamodel;
struct manifest;
struct own_error;
struct problems;
struct template;
struct yaml;

enum draft_state { DRAFT_NEW, DRAFT_OPEN, DRAFT_DONE };

/* A command in the making. */
struct draft {
  struct command *command;
  const struct yaml *node; /* its mapping; NULL: built in, or not a mapping */
  bool own_datasource;     /* datasource: is given */
  bool datasource_known;   /* of a composite: taken from its first member */
  bool args_known;         /* its arguments were understood: who calls it can be judged by them */
  bool kind_known;
  enum draft_state state; /* of the walk over composites */
  unsigned levels;        /* composites within each other, itself among them */
  unsigned statements;    /* all that it runs */
};

struct manifest_reader {
  const void *mem;
  const struct config *config;
  struct manifest *manifest;
  struct problems *problems;
  const char *file;      /* that is being read; paths in it are relative to it */
  const char *more_file; /* of mutations:, and its commands:; NULL: none */
  const struct yaml *more_commands;
  struct draft *drafts; /* one for each of manifest->commands */
  size_t ndrafts;
  bool too_deep; /* told already */
};

/* A problem of the manifest: "where: text". */
void manifest_wrong(struct manifest_reader *r, int line, const char *where, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* manifest_parts.c: what is read alike wherever it stands. where: "command: key", for messages. */
enum { MANIFEST_ROLE_BYTES = 63 };                               /* PostgreSQL's NAMEDATALEN - 1 */
bool manifest_is_in(const char *word, const char *const *words); /* words: NULL behind the last */
void manifest_wrong_key(struct manifest_reader *r, int line, const char *where, const char *key, const char *const *keys);
/* The text of a value, or NULL and a problem. */
const char *manifest_text(struct manifest_reader *r, const char *where, const char *key, const struct yaml *value);
bool manifest_need_mapping(struct manifest_reader *r, const char *where, const struct yaml *value, const char *form);
bool manifest_is_role(const char *text);
/* Is the role in roles:, where there is one? */
bool manifest_has_role(const struct manifest *m, const char *role);
/* A list of roles. where, key: for messages. */
void manifest_read_roles(struct manifest_reader *r, const char *where, const char *key, const struct yaml *value,
                         const char *const **out, size_t *n);
/* A whole number, or true or false. False: a problem, and *out is left alone. */
bool manifest_number(struct manifest_reader *r, const char *where, const char *key, const struct yaml *value, int min,
                     int max, int *out);
bool manifest_flag(struct manifest_reader *r, const char *where, const char *key, const struct yaml *value, bool *out);
void manifest_own_error(struct manifest_reader *r, const char *where, const struct yaml *node, struct own_error *out);

/* manifest_command.c: d->command has its name, id and line. */
void manifest_read_command(struct manifest_reader *r, struct draft *d, const struct yaml *node);

/* The same for a command of writ's own, of any name. */
void manifest_read_statement(struct manifest_reader *r, struct draft *d, const struct yaml *node);

/* manifest_hooks.c: hooks: (once the command's arguments are known), http:. */
void manifest_read_hooks(struct manifest_reader *r, struct draft *d, const struct yaml *node);
void manifest_read_http(struct manifest_reader *r, struct draft *d, const struct yaml *node);

/* manifest_events.c: events: of a command (once its arguments are known), event_log:, projections:. */
void manifest_read_events(struct manifest_reader *r, struct draft *d, const struct yaml *node);
void manifest_read_event_log(struct manifest_reader *r, const struct yaml *node);
void manifest_read_projections(struct manifest_reader *r, const struct yaml *node);

/* manifest_module.c. */
void manifest_read_module(struct manifest_reader *r, struct draft *d, const struct yaml *node);

/* composite.c: a template over a command's own arguments and its result: $args.name, $result.column (RESULT: member 0). */
void template_read(struct manifest_reader *r, const struct command *c, const char *where, const struct yaml *node,
                   struct template *out);
/* The same with $caller.role, $caller.user and $caller.claims.NAME (RESULT: member 1), which are null where there is none. */
void template_read_with_caller(struct manifest_reader *r, const struct command *c, const char *where,
                               const struct yaml *node, struct template *out);
/* manifest_permission.c: permissions:, version: and max_affected:. First their texts, when the keys are read; then, when the
 * command's arguments are known, what each has its values from. */
void manifest_read_permissions(struct manifest_reader *r, struct draft *d, const struct yaml *value);
void manifest_read_version(struct manifest_reader *r, struct draft *d, const struct yaml *value);
void manifest_read_max_affected(struct manifest_reader *r, struct draft *d, const struct yaml *value);
void manifest_bind_permissions(struct manifest_reader *r, struct draft *d);
/* Is an argument used by one of them? */
bool manifest_permission_uses(const struct command *c, const char *name);
/* Gives each an id among the commands: the last thing that is done. */
void manifest_add_permissions(struct manifest_reader *r);

/* manifest_schema.c: schema:, and the data model that it names; a schema file that has no data model; a path, which is relative
 * to r->file. */
void manifest_read_schema(struct manifest_reader *r, const struct yaml *node);
void manifest_add_schema(struct manifest_reader *r, const char *file);
const char *manifest_path(struct manifest_reader *r, const char *file);

/* manifest_mutations.c: mutations: (its commands are left in r->more_commands) and graphql:. */
void manifest_read_mutations(struct manifest_reader *r, const struct yaml *node);
void manifest_read_graphql(struct manifest_reader *r, const struct yaml *node);

/* manifest_state.c: state:, once roles: is known; node NULL: there is none. */
void manifest_read_state(struct manifest_reader *r, const struct yaml *node);

/* manifest_models.c: models:, who may do what with which model; node NULL: there is none. Adds the commands of all models of
 * the data model, with manifest_add_command; there is room for manifest_models_room of them. */
void manifest_read_models(struct manifest_reader *r, const struct yaml *node);
size_t manifest_models_room(const struct datamodel *d);
/* manifest.c: a command of this name, of the next id. */
struct draft *manifest_add_draft(struct manifest_reader *r, const char *name, int line);

/* manifest_command.c: a list of roles. */
void manifest_read_allow(struct manifest_reader *r, struct draft *d, const struct yaml *value);

/* Reads `commands:` and `result:` of every composite, once all commands are known and can be found by name, and checks
 * what holds between commands: members exist and get the arguments they need, references, cycles, one datasource. */
void composite_link(struct manifest_reader *r);

#endif
