/* The data model: which types of things there are, what they hold, how they are linked, and where in the database each of
 * them stands. Read once from a file in SDL (read.h; the language: docs/datamodel.md), then immutable, but for what
 * model_learn (check.h) adds of the catalog before anybody compiles with it. All of it lives in one arena.
 *
 * Names come as the API writes them (name), as the catalog has them (column->name), and as SQL, quoted and qualified, ready
 * to be put into a statement (..._sql). What is in SQL form holds no parameter and ends in no blank. */
#ifndef WRIT_MODEL_MODEL_H
#define WRIT_MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>

struct field;
struct graphql_definition;
struct key;
struct model;
struct relation;

enum scalar {
  SCALAR_ID,       /* text */
  SCALAR_STRING,   /* text */
  SCALAR_INT,      /* integer */
  SCALAR_BIGINT,   /* bigint */
  SCALAR_FLOAT,    /* double precision */
  SCALAR_DECIMAL,  /* numeric */
  SCALAR_BOOLEAN,  /* boolean */
  SCALAR_DATETIME, /* timestamp with time zone; timestamp and date, in UTC, with @db(type:) */
  SCALAR_JSON,     /* jsonb */
  SCALAR_UUID,     /* uuid */
  SCALAR_ENUM,
};

struct enum_value {
  const char *name;        /* in the API: a GraphQL name */
  const char *label;       /* in the database */
  const char *description; /* or NULL; so everywhere */
};

struct enumeration {
  const char *name, *description;
  const char *schema, *type; /* of the PostgreSQL enum, as the catalog has them */
  const char *type_sql;      /* "public"."Colour" */
  const struct enum_value *values;
  size_t nvalues;
  int line;
};

/* A column of a model's table, or of a link table. */
struct column {
  const char *name;                      /* as the catalog has it */
  const char *sql;                       /* "name" */
  enum scalar scalar;                    /* of a link's column: that of the key column which it refers to */
  const struct enumeration *enumeration; /* SCALAR_ENUM */
  bool list;                             /* an array */
  bool required; /* never NULL: so the file says; lists always, though an older table may hold NULL for an empty one */
  const char *type_sql;      /* as in DDL: character varying(40), text[] */
  const char *cast_sql;      /* for $1::cast_sql: without lengths, which would cut silently (character becomes bpchar) */
  bool bytewise;             /* COLLATE "C": of IDs whose column writ makes */
  bool zoned;                /* timestamp with time zone, or a domain over it; of domains known once model_learn has looked */
  const struct field *field; /* the scalar field that it stores; NULL: a link's only */
  unsigned nlinks; /* inline relations that it is part of. With field, or above 1: shared, so that two inputs may give
                          * it a value and must agree */
};

/* Where a new value comes from when the client gives none. */
enum value_source {
  SOURCE_CLIENT,   /* nowhere: a required field must be given, an optional one is NULL */
  SOURCE_DEFAULT,  /* field->default_sql */
  SOURCE_CUID,     /* key: clock_cuid() */
  SOURCE_SEQUENCE, /* key: field->next_sql; never accepted from the client */
  SOURCE_UUID7,    /* key: clock_uuid7() */
  SOURCE_CREATED,  /* @createdAt: the time; never accepted from the client, nor is @updatedAt */
  SOURCE_UPDATED,
};

struct field {
  const char *name, *description;
  size_t index; /* in model->fields */
  const struct model *model;
  int line;
  bool list, required; /* required: never of a list */

  const struct relation *relation; /* NULL: a scalar */
  unsigned side;                   /* of relation, which this field is: relation->sides[side].field == this */

  /* scalars only */
  enum scalar scalar;
  const struct enumeration *enumeration;
  const struct column *column;
  const struct key *unique; /* a unique constraint of this field alone, the primary key among them; NULL: not unique */
  bool in_key;              /* part of the primary key: not writable in updates */
  enum value_source source;
  const char *default_text; /* SOURCE_DEFAULT, @default(value:): in PostgreSQL's input syntax, fit for a parameter */
  const char *default_sql;  /* SOURCE_DEFAULT: an expression; 'red'::"public"."Colour", or now() of @default(sql:) */
  const char *next_sql;     /* SOURCE_SEQUENCE: an expression that draws the next number */
  size_t max_length;        /* characters: 25 with ID columns that writ made (NESTED, 3007); 0: no limit of ours */
  /* what DDL and check need of @sequence; NULL: an identity column or a sequence owned by the column */
  const char *sequence_schema, *sequence;
  long long sequence_start, sequence_step;
};

/* The primary key, or a unique constraint: what `where` may name. */
struct key {
  const char *name;                    /* in `where`: the field's, or order_no for @id(fields: ["order", "no"]) */
  const struct field *const *fields;   /* scalars, or required to-one relations whose link stands in this table */
  size_t nfields;                      /* 1: where {name: value}; else where {name: {field: value, ...}} */
  const struct column *const *columns; /* the fields', flattened: a relation stands for its link's columns */
  size_t ncolumns;
  const char *columns_sql; /* "order", "no" */
};

/* A unique index of a model's table as the database has it, without condition or expression. Errors tell its name. */
struct unique_index {
  const char *name;
  const char *columns_sql; /* as in struct key */
};

struct model {
  const char *name, *description;
  const char *plural; /* first letter as in name: Children */
  size_t id;          /* in datamodel->models */
  size_t lock_rank;   /* models are locked in this order, on each machine that has the same tables */
  int line;
  const char *schema, *table; /* as the catalog has them */
  const char *table_sql;      /* "public"."Child" */

  const struct field *fields; /* in the order of the file */
  size_t nfields;
  const struct column *const *columns; /* of the table: fields in order, each link's columns at the field's place, those of
                                        * invisible sides nowhere (a link stands on a visible side) */
  size_t ncolumns;
  const struct key *key;  /* the primary key: == &keys[0] */
  const struct key *keys; /* it, then the unique ones in the order of the file */
  size_t nkeys;
  const struct field *created_at, *updated_at; /* NULL: none */
  bool insert_trigger;                         /* a new row may be linked already; known once model_learn has looked */
  const struct unique_index *indexes;          /* known once model_learn has looked */
  size_t nindexes;

  /* Relations in which rows of this model may be the child of another row, or have children, also through sides that are
   * not visible here: everything that deleting a row must look at. In the order of their declaration; a self relation
   * comes twice, once for each side. */
  const struct model_link {
    const struct relation *relation;
    unsigned side; /* this model's */
  } * links;
  size_t nlinks;

  struct {
    const char *one, *many, *connection;
  } query; /* child children childrenConnection */
  struct {
    const char *create, *update, *upsert, *delete, *update_many, *delete_many;
  } mutation; /* createChild ... */
};

enum on_delete { ON_DELETE_SET_NULL, ON_DELETE_CASCADE };

/* What the database does by itself: the action of a foreign key. */
enum key_action { ACTION_NO_ACTION, ACTION_RESTRICT, ACTION_CASCADE, ACTION_SET_NULL, ACTION_SET_DEFAULT };

/* A foreign key as `writ schema ddl` makes it, or, once model_learn has looked, as the catalog has it. */
struct foreign_key {
  bool exists;
  bool deferrable;        /* and so deferred by SET CONSTRAINTS ALL DEFERRED */
  enum key_action action; /* ON DELETE */
};

/* A link is a pair of rows (a, b), a of sides[0].model, b of sides[1].model. Seen from the parent P through its field, with
 * f->relation and f->side: P is sides[side], C is sides[!side]; P1! is sides[side].required, PM is sides[side].list,
 * C1! is sides[!side].required and so on. */
struct relation_side {
  const struct model *model; /* whose rows are on this side */
  const struct field *field; /* through which they see the other side; NULL: not declared, invisible, and a list */
  bool list, required;
  enum on_delete on_delete; /* CASCADE: deleting a row on this side deletes those that it sees through field */

  /* LINK_INLINE, the holder: columns of the model's own table that hold the other side's key. The other side: none.
   * LINK_TABLE: columns of the link table that hold this side's own key. Always in the order of the key's columns. A NULL
   * in them: no link; unlinking sets those to NULL that are not required. */
  const struct column *const *columns;
  size_t ncolumns;
  const char *columns_sql;        /* "a", "b"; NULL with none */
  bool unique;                    /* the columns are unique: INLINE, holder: of 1:1; TABLE: this side's field is to-one */
  bool unique_exists;             /* and the database knows it (as struct foreign_key) */
  struct foreign_key foreign_key; /* of columns, to the holder's other side or to this side's own table */
};

enum link_storage { LINK_INLINE, LINK_TABLE };

struct relation {
  const char *name;              /* ChildToParent */
  size_t id;                     /* in datamodel->relations */
  bool self;                     /* both sides are one model */
  struct relation_side sides[2]; /* 0 is A: the alphabetically first model, or of a self relation field; in a self relation
                                  * with one field, that one's */
  enum link_storage storage;
  unsigned holder;                        /* INLINE: index of the side whose table has the columns */
  const char *schema, *table, *table_sql; /* TABLE */
  bool table_key_exists; /* TABLE: the pair is unique in the database: ON CONFLICT DO NOTHING may rely on it */
  int line;
};

struct datamodel {
  const char *file;
  const struct graphql_definition *own; /* what in the file is not the model's (own.h): for schema/, which reads it */
  const struct model *models;           /* in the order of the file */
  size_t nmodels;
  const struct enumeration *enums;
  size_t nenums;
  const struct relation *relations;
  size_t nrelations;
  const struct model *const *by_lock_rank;
};

/* By name; NULL: none. Linear: for reading files. A compiler keeps what it has found. */
const struct model *model_find(const struct datamodel *d, const char *name);
const struct field *model_field(const struct model *m, const char *name);
const struct key *model_key(const struct model *m, const char *name); /* what a where names */
/* The key of just these columns, in any order. */
const struct key *model_columns_key(const struct model *m, const struct column *const *columns, size_t n);
const struct enumeration *model_enum(const struct datamodel *d, const char *name);
const struct enum_value *enum_value(const struct enumeration *e, const char *name);
const struct relation *model_relation(const struct datamodel *d, const char *name);

/* Of a relation field: the side at the other end (C), this end (P), and whether the link stands in the table of the
 * field's own model. */
const struct relation_side *field_there(const struct field *f);
const struct relation_side *field_here(const struct field *f);
bool field_holds_link(const struct field *f);
bool field_is_number(const struct field *f); /* one that can be counted up: no list */

const char *scalar_name(enum scalar s);     /* "DateTime" */
const char *scalar_type_sql(enum scalar s); /* "timestamp with time zone"; ENUM: NULL */

#endif
