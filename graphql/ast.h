/* The syntax tree of a GraphQL document: operations and fragments, type definitions and extensions. What the text says,
 * no more: nothing here knows whether a name means something. Made by parse.h, never changed afterwards, all of it in one
 * arena.
 *
 * Lists are linked through next, in the order written; NULL is the empty list. Names end in NUL and are never empty. */
#ifndef WRIT_GRAPHQL_AST_H
#define WRIT_GRAPHQL_AST_H

#include <stdbool.h>
#include <stddef.h>

/* Both from 1. Lines end in LF, CR or CR LF; columns count characters (code points), as in messages about JSON. */
struct graphql_pos {
  unsigned line, column;
};

struct graphql_name {
  const char *name;
  struct graphql_pos pos;
  const struct graphql_name *next;
};

enum graphql_value_kind {
  GRAPHQL_VALUE_VARIABLE,
  GRAPHQL_VALUE_INT,
  GRAPHQL_VALUE_FLOAT,
  GRAPHQL_VALUE_STRING,
  GRAPHQL_VALUE_BOOLEAN,
  GRAPHQL_VALUE_NULL,
  GRAPHQL_VALUE_ENUM,
  GRAPHQL_VALUE_LIST,
  GRAPHQL_VALUE_OBJECT
};

struct graphql_value {
  enum graphql_value_kind kind;
  struct graphql_pos pos;
  const char *text; /* VARIABLE: its name, without $; INT, FLOAT: the digits as written; STRING: what it means, in UTF-8,
                     * which may hold a NUL (\u0000); BOOLEAN: "true" or "false"; NULL: "null"; ENUM: the name. All end in
                     * a NUL that len does not count */
  size_t len;       /* bytes of text; LIST: number of items; OBJECT: number of fields */
  const struct graphql_value *items;     /* LIST */
  const struct graphql_argument *fields; /* OBJECT; a name may come twice */
  const struct graphql_value *next;      /* in the list that it is an item of */
};

/* name: value, in a field's or directive's parentheses, or in an input object's braces. */
struct graphql_argument {
  const char *name;
  struct graphql_pos pos;
  const struct graphql_value *value;
  const struct graphql_argument *next;
};

struct graphql_directive {
  const char *name;       /* without @ */
  struct graphql_pos pos; /* of the @ */
  const struct graphql_argument *arguments;
  const struct graphql_directive *next;
};

/* Name, Name!, [type] or [type]!. */
struct graphql_type {
  const char *name;              /* NULL: a list */
  const struct graphql_type *of; /* a list: of these */
  bool required;                 /* has its own ! */
  struct graphql_pos pos;
};

/* ---- what is executed ------------------------------------------------------------------------------------------------ */

enum graphql_operation { GRAPHQL_QUERY, GRAPHQL_MUTATION, GRAPHQL_SUBSCRIPTION };

struct graphql_variable {
  const char *name;            /* without $ */
  struct graphql_pos pos;      /* of the $ */
  struct graphql_pos name_pos; /* behind the $ */
  const struct graphql_type *type;
  const struct graphql_value *default_value; /* NULL: none */
  const struct graphql_directive *directives;
  const struct graphql_variable *next;
};

enum graphql_selection_kind {
  GRAPHQL_FIELD,
  GRAPHQL_SPREAD, /* ...Name */
  GRAPHQL_INLINE  /* ... on Type { } or ... { } */
};

struct graphql_selection {
  enum graphql_selection_kind kind;
  struct graphql_pos pos;                   /* FIELD: of the alias or, without one, of the name; else of the dots */
  const char *alias;                        /* FIELD: the name in the answer; without an alias the same pointer as name */
  const char *name;                         /* the field's, the fragment's, or INLINE: the type's, NULL without "on" */
  struct graphql_pos name_pos;              /* not of INLINE without "on" */
  const struct graphql_argument *arguments; /* FIELD */
  const struct graphql_directive *directives;
  const struct graphql_selection *selections; /* FIELD: NULL without braces; INLINE: never empty */
  struct graphql_pos selections_pos;          /* of the brace */
  const struct graphql_selection *next;
};

/* ---- what is defined ------------------------------------------------------------------------------------------------- */

/* A field of a type, interface or input, or an argument in the definition of a field or directive. */
struct graphql_field {
  const struct graphql_value *description; /* a STRING; NULL: none; so everywhere below */
  const char *name;
  struct graphql_pos pos;                /* of the name */
  const struct graphql_field *arguments; /* field of a type or interface */
  const struct graphql_type *type;
  const struct graphql_value *default_value; /* argument or field of an input; NULL: none */
  const struct graphql_directive *directives;
  const struct graphql_field *next;
};

struct graphql_enum_value {
  const struct graphql_value *description;
  const char *name; /* not true, false, null */
  struct graphql_pos pos;
  const struct graphql_directive *directives;
  const struct graphql_enum_value *next;
};

/* query: Type, in schema { }. */
struct graphql_root {
  enum graphql_operation operation;
  struct graphql_pos pos;
  const char *type;
  const struct graphql_root *next;
};

enum graphql_definition_kind {
  GRAPHQL_DEF_OPERATION,
  GRAPHQL_DEF_FRAGMENT,
  GRAPHQL_DEF_SCHEMA, /* this and all that follow: the type system's */
  GRAPHQL_DEF_DIRECTIVE,
  GRAPHQL_DEF_SCALAR,
  GRAPHQL_DEF_TYPE,
  GRAPHQL_DEF_INTERFACE,
  GRAPHQL_DEF_UNION,
  GRAPHQL_DEF_ENUM,
  GRAPHQL_DEF_INPUT
};

/* One struct for all kinds, as they have much in common; a member that says for whom it is is NULL or false with others. */
struct graphql_definition {
  enum graphql_definition_kind kind;
  bool extend;                                /* extend type ...: SCHEMA, SCALAR to INPUT */
  struct graphql_pos pos;                     /* of its first word (extend, type, query) or brace, not of the description */
  const struct graphql_value *description;    /* SCHEMA to INPUT, never of an extension */
  const char *name;                           /* SCHEMA: NULL; OPERATION: NULL when it has none; DIRECTIVE: without @ */
  struct graphql_pos name_pos;                /* without a name: as pos */
  const struct graphql_directive *directives; /* all but DIRECTIVE */
  enum graphql_operation operation;           /* OPERATION */
  const struct graphql_variable *variables;   /* OPERATION */
  const char *on;                             /* FRAGMENT: the type */
  struct graphql_pos on_pos;                  /* FRAGMENT */
  const struct graphql_selection *selections; /* OPERATION, FRAGMENT: never empty */
  const struct graphql_root *roots;           /* SCHEMA */
  const struct graphql_name *interfaces;      /* TYPE, INTERFACE */
  const struct graphql_field *fields;         /* TYPE, INTERFACE, INPUT; DIRECTIVE: its arguments */
  const struct graphql_name *members;         /* UNION: types; DIRECTIVE: locations, which are of the specification's list */
  const struct graphql_enum_value *values;    /* ENUM */
  bool repeatable;                            /* DIRECTIVE */
  const struct graphql_definition *next;
};

struct graphql_document {
  const struct graphql_definition *definitions; /* never empty */
};

#endif
