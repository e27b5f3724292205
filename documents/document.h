/* A GraphQL document, ready to run: parsed, valid for those of a role, and as far made into commands as can be without
 * variables. Kept per worker, so that a request with a known text costs neither; the text's SHA-256 is its name. */
#ifndef WRIT_DOCUMENTS_DOCUMENT_H
#define WRIT_DOCUMENTS_DOCUMENT_H

#include "base/digest.h"
#include "documents/collect.h"
#include "documents/errors.h"
#include "documents/limits.h"
#include "documents/names.h"

struct caller;
struct documents;
struct schema_view;

enum root_kind { ROOT_COMMAND, ROOT_NULL /* the query of those who have none */, ROOT_TYPENAME, ROOT_SCHEMA, ROOT_TYPE };

/* One field of an operation. */
struct root {
  enum root_kind kind;
  struct wanted wanted;
  const struct json *select; /* a model's command: its argument; NULL: there is none, or a variable is in it */
  const struct json *args;   /* COMMAND: all of them, with select; NULL: a variable is in them */
  bool bare;                 /* a selection in it lost all of its fields to @skip: what is there must be taken out again */
};

struct prepared {
  const struct graphql_definition *definition;
  const struct gql_type *type; /* the root type */
  bool conditional;            /* variables decide which fields there are: roots are made for each request */
  struct root *roots;
  size_t nroots;
};

struct document {
  const struct schema *schema;
  const struct schema_view *view;
  const struct graphql_document *tree;
  struct names fragments;
  struct prepared *operations;
  size_t noperations;
};

struct documents_limits {
  struct document_limits document;
  size_t documents, bytes; /* that are kept, about */
};

/* For the life of a worker. All borrowed. */
struct documents *documents_new(const void *mem, const struct schema *schema, const struct documents_limits *limits);

/* One that is kept; NULL: none. Good until the next documents_add. */
const struct document *documents_find(struct documents *d, const struct caller *caller,
                                      const unsigned char hash[DIGEST_BYTES]);
/* Reads a text. NULL: *errors has what is wrong with it; nothing is kept then. mem: for those errors, and for a document that is
 * too large to be kept. */
const struct document *documents_add(struct documents *d, void *mem, const struct caller *caller,
                                     const unsigned char hash[DIGEST_BYTES], const char *text, size_t len,
                                     struct gql_errors *errors);

/* The operation of that name; name NULL: the only one. NULL: *errors. */
const struct prepared *document_operation(const struct document *document, const char *name, struct gql_errors *errors);

#endif
