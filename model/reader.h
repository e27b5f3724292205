/* What reading a data model needs besides its result: shared by read.c (types and fields), directives.c (what stands behind
 * an @), relations.c (which fields belong together, and where their links stand) and keys.c (columns and keys), nobody
 * else's. */
#ifndef WRIT_MODEL_READER_H
#define WRIT_MODEL_READER_H

#include "graphql/ast.h"
#include "model/model.h"

enum { MODEL_NAME_BYTES = 63 }; /* PostgreSQL's NAMEDATALEN - 1 */

enum link_wish { LINK_ANY, LINK_WISH_INLINE, LINK_WISH_TABLE };
enum draft_state { DRAFT_NEW, DRAFT_OPEN, DRAFT_DONE };

struct problems;

struct texts {
  const char **items;
  size_t n;
};

/* A field in the making. */
struct field_draft {
  struct field *field;
  const struct graphql_field *def;
  struct model_draft *owner;
  struct model_draft *target; /* a relation: where to */
  const char *relation_name;  /* NULL: not given */
  enum link_wish link;
  enum on_delete on_delete;
  struct texts columns; /* @db(name:) or @db(names:) */
  int columns_line;
  struct field_draft *back; /* the other side; NULL: none, or not paired yet */
  struct relation *made;    /* NULL: not yet, or not to be had */
  bool refused;             /* told already: it cannot be paired */
  bool is_key, is_unique;   /* @id, @unique */
};

/* A type in the making: of a model, or of a link table (@relationTable). */
struct model_draft {
  struct model *model; /* of a link table: name, schema, table and fields only */
  const struct graphql_definition *def;
  struct field_draft *fields; /* beside model->fields, without those that could not be read */
  size_t nfields;
  bool is_link_table, is_entity;
  bool used;               /* link table: by a relation */
  struct column **columns; /* as they are found; model->columns has them in order */
  size_t ncolumns;
  const struct graphql_directive *key; /* @id(fields:) */
  enum draft_state state;              /* of its key */
};

struct model_reader {
  const void *mem;
  struct datamodel *out;
  struct problems *problems;
  const char *schema;         /* of types that name none */
  struct model_draft *drafts; /* every type, in the order of the file */
  size_t ndrafts;
  struct enumeration *enums;
  struct relation *relations;
};

/* A problem of the file. Gives false. */
bool schema_wrong(struct model_reader *r, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* As a name of the database: not empty, no longer than the 63 bytes that PostgreSQL keeps, no NUL. */
bool schema_db_name(struct model_reader *r, const struct graphql_value *value, const char **out);
struct model_draft *schema_draft(struct model_reader *r, const char *type, bool link_table);
const char *schema_qualified(const void *mem, const char *schema, const char *name); /* "schema"."name" */

/* directives.c. Looks at every directive and its arguments: known here, not given twice, of the right kind; what is wrong is
 * told once, here, so that those who ask for them need not. where: what the directives stand on, for messages. */
enum directive_place { ON_TYPE = 1, ON_FIELD = 2, ON_ENUM = 4, ON_ENUM_VALUE = 8, ON_SCHEMA = 16 };
void directives_check(struct model_reader *r, enum directive_place place, const char *where,
                      const struct graphql_directive *directives);
const struct graphql_directive *directive_find(const struct graphql_directive *directives, const char *name); /* or NULL */
/* An argument's value when it is there and of the right kind, or NULL. directive may be NULL. */
const struct graphql_value *directive_value(const struct graphql_directive *directive, const char *argument);
const char *directive_text(const struct graphql_directive *directive, const char *argument);
struct texts directive_texts(struct model_reader *r, const struct graphql_directive *directive, const char *argument);

/* relations.c: fills r->relations and out->nrelations, fields' relation and side; where each link stands, but not its
 * columns. */
void relations_read(struct model_reader *r);

/* scalars.c: a scalar field of a model: its type, default, generation. */
void scalar_read(struct model_reader *r, struct field_draft *f);
/* A column for it, or for a link. */
struct column *column_new(struct model_reader *r, const char *name, const struct column *like);

/* keys.c: columns of the models and the links, keys, unique constraints, what is linked to whom. */
void keys_read(struct model_reader *r);

#endif
