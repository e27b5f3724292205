/* A type system in the making: shared by read.c (names, definitions and their extensions), members.c (what stands in them),
 * directives.c (what stands behind an @) and check.c (what holds between types), derive.c and make.c; nobody else's. */
#ifndef WRIT_SCHEMA_BUILDER_H
#define WRIT_SCHEMA_BUILDER_H

#include "schema/schema.h"

/* A document that the schema is made of. */
struct schema_source {
  const char *file; /* NULL: made by writ */
  const struct graphql_document *document;
  bool built_in; /* the specification's own: names may begin with __ */
};

/* A definition or extension, and where it is from. */
struct type_part {
  const struct graphql_definition *def;
  const struct schema_source *source;
};

/* A named type, or a directive, in the making. */
struct type_draft {
  struct gql_type *type;
  struct type_part *parts; /* the definition, then its extensions */
  size_t nparts;
  char state; /* of a walk over inputs, looking for circles */
};

struct schema_builder {
  const void *mem;
  struct schema *out;
  struct problems *problems;
  const struct schema_source *sources;
  size_t nsources;
  struct type_draft *drafts; /* by index of the type */
  struct type_draft meta;    /* out->meta */
  struct gql_type **types;   /* out->types */
  unsigned *buckets;
};

/* read.c: the type system of all sources together. NULL: problems. */
const struct schema *schema_build(const void *mem, const struct schema_source *sources, size_t n, struct problems *p);
const struct schema_source *schema_builtin(const void *mem); /* builtin.c: the first of the sources */
/* A problem. Gives false. */
bool builder_wrong(struct schema_builder *b, struct gql_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
struct gql_place builder_place(const struct schema_source *source, struct graphql_pos pos);

/* members.c: fields, values, members of a type; arguments of a directive. */
void members_read(struct schema_builder *b, struct type_draft *d);
void members_read_directive(struct schema_builder *b, const struct schema_source *source,
                            const struct graphql_definition *def, struct gql_directive *out);
/* A name that is not the specification's own. */
bool members_name(struct schema_builder *b, const struct schema_source *source, struct graphql_pos pos, const char *name);

/* directives.c: each that stands anywhere is known, may stand there, has the arguments that it takes, and stands there
 * once. */
void builder_directives(struct schema_builder *b);
/* The text of an argument of one of them; given without the argument: fallback. NULL: not there, or null. */
const char *builder_directive_text(const struct graphql_directive *directives, const char *name, const char *argument,
                                   const char *fallback);

/* check.c: what holds between types, once all are read. */
void builder_check(struct schema_builder *b);

/* literal.c: may the literal be a value of the type? Without variables. why: says what does not fit. Scalars that are not the
 * specification's take anything. */
bool literal_fits(const void *mem, const struct graphql_value *value, const struct gql_type *type, const char **why);

unsigned schema_hash(const char *name);

#endif
