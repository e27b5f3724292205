/* Mutexes of a command: names that no two transactions hold at once, over all workers and machines of a datasource. */
#ifndef WRIT_MANIFEST_MUTEX_H
#define WRIT_MANIFEST_MUTEX_H

#include <stddef.h>

struct draft;
struct manifest_reader;
struct yaml;

/* A piece of a name: text as it is, or a value of the command's arguments. */
struct mutex_part {
  const char *text;        /* NULL: an argument */
  size_t argument;         /* index into command->args */
  const char *const *path; /* into its value */
  size_t npath;
};

struct mutex {
  const char *name; /* as it is written: "user:$args.id" */
  const struct mutex_part *parts;
  size_t nparts;
};

/* Reads `mutex:`, a name or a list of them, when the command's arguments are known. */
void mutex_read(struct manifest_reader *r, struct draft *d, const struct yaml *value);

#endif
