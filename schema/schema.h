/* The type system that GraphQL clients see (GraphQL specification, October 2021, chapter 3), made once of the data model, the
 * commands and the schema file, then immutable. Everything lives in one arena.
 *
 * read.c makes it of definitions (any SDL); derive*.c makes the definitions of a data model's types, inputs and root fields;
 * print.c and introspect.c tell of it. A reader may see less than all of it: see schema_sees. */
#ifndef WRIT_SCHEMA_SCHEMA_H
#define WRIT_SCHEMA_SCHEMA_H

#include "graphql/ast.h"

#include <stdbool.h>
#include <stddef.h>

struct caller;
struct command;
struct field;
struct manifest;
struct model;
struct problems;
struct schema;

enum gql_kind {
  GQL_SCALAR,
  GQL_OBJECT,
  GQL_INTERFACE,
  GQL_UNION,
  GQL_ENUM,
  GQL_INPUT,
  GQL_LIST,
  GQL_NON_NULL,
};

/* What a type that was made of a model is for. */
enum gql_use {
  GQL_USE_OTHER,
  GQL_USE_NODE,   /* OBJECT: a row */
  GQL_USE_CREATE, /* INPUT: values for a new row */
  GQL_USE_UPDATE, /* INPUT: for one that is there */
  GQL_USE_NESTED, /* INPUT: operations of a relation that leads to the model: create, connect ... */
};

/* Where something is written, for messages. file NULL: nowhere, writ made it. */
struct gql_place {
  const char *file;
  int line;
};

/* A value that may be given: an argument, or a field of an input. */
struct gql_input {
  const char *name, *description; /* description or NULL; so everywhere */
  const struct gql_type *type;
  const struct graphql_value *default_value; /* NULL: none */
  const char *deprecated;                    /* the reason; NULL: it is not */
  const struct field *field; /* of a model's create or update (enum gql_use): what is written; NULL elsewhere */
  const char *change;        /* in an update, age_increment: "increment", where /command has age: {increment: ...} */
  const struct command
      *command; /* of operations nested in a relation: what a caller must be allowed to call; NULL: nothing */
  struct gql_place place;
};

struct gql_field {
  const char *name, *description;
  const struct gql_type *type;
  const struct gql_input *args;
  size_t nargs;
  const char *deprecated;
  const struct command *command; /* of a root type: what it runs; NULL elsewhere */
  bool has_state;                /* @state: each of its calls has one, where it is a mutation's */
  const struct field *field;     /* of a model's type: the data model's; NULL elsewhere */
  struct gql_place place;
};

struct gql_enum_value {
  const char *name, *description, *deprecated;
  struct gql_place place;
};

/* A named type, or a list or non-null of one. Wrapped types are interned: the same wrapping is the same pointer, for those
 * that the schema itself has. */
struct gql_type {
  enum gql_kind kind;
  const char *name, *description; /* name NULL: LIST, NON_NULL */
  const struct gql_type *of;      /* LIST, NON_NULL */
  const struct gql_field *fields; /* OBJECT, INTERFACE */
  size_t nfields;
  const struct gql_input *inputs; /* INPUT */
  size_t ninputs;
  const struct gql_enum_value *values; /* ENUM */
  size_t nvalues;
  const struct gql_type *const *interfaces; /* OBJECT, INTERFACE: those that it implements */
  size_t ninterfaces;
  const struct gql_type *const *possible; /* UNION: its members; INTERFACE: objects that implement it */
  size_t npossible;
  const char *specified_by;  /* SCALAR: a URL; NULL: none */
  const struct model *model; /* that it was made of, for .use; NULL: of none */
  enum gql_use use;
  size_t index;  /* of a named type, in the schema's list */
  bool built_in; /* Int, Float, String, Boolean, ID, and the types of introspection */
  struct gql_place place;
  const struct gql_type *list, *non_null; /* of this; NULL: the schema has none */
  const unsigned *by_name;                /* indices into fields, inputs or values, sorted by name */
};

struct gql_directive {
  const char *name, *description;
  const struct gql_input *args;
  size_t nargs;
  const char *const *locations; /* "FIELD", ... */
  size_t nlocations;
  bool repeatable;
  bool own; /* writ's own: @state */
  struct gql_place place;
};

struct schema {
  const struct manifest *manifest; /* NULL: made of definitions alone */
  const char *description;
  const struct gql_type *query, *mutation, *subscription; /* NULL: there is none; query is always there */
  const struct gql_type *const *types;                    /* the named ones: built-in ones first, then in a stable order */
  size_t ntypes;
  const struct gql_directive *directives; /* include, skip, deprecated, specifiedBy first */
  size_t ndirectives;
  const struct gql_type *meta; /* an object, not in types, whose fields are __schema, __type and __typename */
  const unsigned *buckets;     /* schema_type's own */
  size_t nbuckets;
};

/* Of definitions alone (a text in SDL, parsed), whose names must all be there and fit each other; extensions are applied. A
 * schema { } says which the root types are; without one they are Query, Mutation and Subscription. Problems go to *p with
 * file and line; NULL then. The document must live as long as the schema. */
const struct schema *schema_read(const void *mem, const char *file, const struct graphql_document *document,
                                 struct problems *p);

/* Of a manifest: its data model's types, the commands that they make, and the fields of type Mutation and type Query of the
 * schema file, which are commands of the same name, held against the commands' arguments and results. There is one also
 * without a data model and a schema file: then commands are not reached by GraphQL, and the result is NULL without a problem. */
const struct schema *schema_make(const void *mem, const struct manifest *manifest, struct problems *p);

/* By name; NULL: none. Types by a hash table, fields, fields of an input and values by halving, the others one by one. */
const struct gql_type *schema_type(const struct schema *s, const char *name);
const struct gql_directive *schema_directive(const struct schema *s, const char *name);
const struct gql_field *schema_field(const struct gql_type *t, const char *name); /* OBJECT, INTERFACE; others have none */
const struct gql_field *schema_meta_field(const struct schema *s, const char *name);    /* __schema, __type, __typename */
const struct gql_input *schema_input_field(const struct gql_type *t, const char *name); /* INPUT */
const struct gql_enum_value *schema_value(const struct gql_type *t, const char *name);  /* ENUM */
const struct gql_input *schema_input(const struct gql_input *list, size_t n, const char *name); /* an argument */

bool gql_is_input(const struct gql_type *t);                /* may a variable or an argument be of it? */
bool gql_is_leaf(const struct gql_type *t);                 /* SCALAR or ENUM, wrapped or not */
bool gql_is_composite(const struct gql_type *t);            /* OBJECT, INTERFACE, UNION, wrapped or not */
const struct gql_type *gql_named(const struct gql_type *t); /* without its wrappings */
bool gql_is_required(const struct gql_input *i);            /* non-null and without a default */
bool gql_is_possible(const struct gql_type *abstract,
                     const struct gql_type *object);                      /* a member, an implementation, itself */
bool gql_is_subtype(const struct gql_type *t, const struct gql_type *of); /* section 3.6.1, IsValidImplementationFieldType */
const char *gql_type_text(const void *mem, const struct gql_type *t);     /* "[User!]!" */

/* What a caller sees: the root fields whose commands its role may call, the types that can be reached from them, and of the
 * inputs what it may give; inside, or of a schema without a manifest: everything. Made once for a role and kept by who made
 * it. The questions are answered yes when v is NULL; meta fields and __typename are not asked about here. */
struct schema_view;
const struct schema_view *schema_view_new(const void *mem, const struct schema *s, const char *role, bool inside);
bool view_has_type(const struct schema_view *v, const struct gql_type *t);
bool view_has_directive(const struct schema_view *v, const struct schema *s, const struct gql_directive *d);
bool view_has_field(const struct schema_view *v, const struct gql_type *parent, const struct gql_field *f);
bool view_has_argument(const struct schema_view *v, const struct gql_input *argument);
bool view_has_input(const struct schema_view *v, const struct gql_type *parent, const struct gql_input *input);
bool view_introspects(const struct schema_view *v); /* may it ask for __schema and __type? */

#endif
