/* A data model held against the database that it is of. The file may ask for more than the database does, never for less. */
#ifndef WRIT_MODEL_CHECK_H
#define WRIT_MODEL_CHECK_H

#include "base/err.h"
#include "model/model.h"

struct conn;
struct db_tables;
struct problems;
struct wait;

/* What differs, with the lines of the file: an error where commands would fail or the database does what the file does not
 * say; a warning where writ alone keeps a promise of the file. */
void model_check(const struct datamodel *d, const struct db_tables *tables, struct problems *p);

/* Puts what the catalog says into the model: foreign keys and unique constraints that are there, how they behave and what
 * errors call them; what the sequences of keys are called. Once,
 * before anybody compiles with it. What is not in the catalog counts as not there. */
void model_learn(struct datamodel *d, const struct db_tables *tables);

/* The tables in the model's schemas. */
bool model_tables(struct conn *c, const void *mem, const struct datamodel *d, const struct db_tables **out,
                  const struct wait *w, struct err *e) __attribute__((warn_unused_result));

#endif
