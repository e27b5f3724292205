/* The definitions of a data model's types, inputs and root fields (NESTED.md, section 2), as text in SDL: shared by derive.c
 * (the whole, and what is answered), derive_where.c (which nodes), derive_inputs.c (what is written) and make.c, nobody
 * else's. */
#ifndef WRIT_SCHEMA_DERIVE_H
#define WRIT_SCHEMA_DERIVE_H

#include "model/model.h"
#include "schema/schema.h"

struct str;

/* A type that was made, so that its parts can be tied to the model again once it has been read. */
struct derived_type {
  const char *name;
  const struct model *model;
  enum gql_use use;
};

struct derive {
  const void *mem;
  const struct manifest *manifest;
  const struct datamodel *model; /* its; NULL: there is none */
  bool mutations;                /* there are some, of models or of others */
  struct str *out;
  unsigned *offered; /* by model->id: what of it that is nested without a back field is written already */
  struct derived_type *types;
  size_t ntypes;
};

/* Types, inputs and enums, and the roots, which others may extend. */
void derive_write(struct derive *d);

/* "input UserWhereInput {"; what stands in it, and the brace, are the caller's. */
void derive_open(struct derive *d, const char *keyword, const struct model *m, enum gql_use use, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
void derive_description(struct str *out, const char *indent, const char *text); /* NULL: none */
const char *derive_scalar(const struct field *f);                               /* "DateTime", or an enum's name */

/* derive_where.c */
void derive_where(struct derive *d, const struct model *m);
bool derive_has_order(const struct model *m);

/* derive_inputs.c: also what is nested in inputs of others' fields that lead here. */
void derive_inputs(struct derive *d, const struct model *m);
bool derive_has_create(const struct model *m, const struct field *back);
bool derive_has_update(const struct model *m, const struct field *back);
bool derive_has_update_many(const struct model *m);

#endif
