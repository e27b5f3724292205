/* What the parts of the OpenAPI document have in common: for schema/openapi*.c only.
 *
 * openapi.c (the whole), openapi_command.c (a command: what it takes), openapi_result.c (what it
 * gives), openapi_type.c (types of PostgreSQL),
 * openapi_model.c (types of GraphQL), openapi_parts.c (what is the same in every document). */
#ifndef WRIT_SCHEMA_OPENAPI_INSIDE_H
#define WRIT_SCHEMA_OPENAPI_INSIDE_H

#include "base/json.h"
#include "base/str.h"
#include "db/catalog.h"
#include "schema/openapi.h"
#include "schema/schema.h"

#include <stdint.h>

/* Components that are written when something refers to them. */
enum openapi_part {
  PART_PROBLEM,
  PART_ACCEPTED,
  PART_COMMAND,
  PART_ENTRY,
  PART_ENTRIES,
  PART_STEPS,
  PART_RESULTS,
  PART_STATE,
  PART_EVENT,
  PART_EVENTS,
  PART_GRAPHQL_REQUEST,
  PART_GRAPHQL_ANSWER,
  PART_SELECT,
  PART_400,
  PART_401,
  PART_403,
  PART_404,
  PART_406,
  PART_409,
  PART_412,
  PART_413,
  PART_415,
  PART_422,
  PART_500,
  PART_502,
  PART_503,
  PART_504,
  PART_202,
  PART_OTHER,
  PART_GRAPHQL_200,
  PART_GRAPHQL_202,
  PART_GRAPHQL_FAILED,
  PART_KEY,
  PART_KEY_NEEDED,
  PART_PREFER,
  PART_IF_MATCH,
  PART_MUTATION_ID,
  PART_TRACEPARENT,
  PART_REQUEST_ID,
  PART_MUTATION,
  PART_IF_NONE_MATCH,
  PART_LAST_EVENT_ID,
  PART_H_REQUEST_ID,
  PART_H_RETRY_AFTER,
  PART_H_REPLAY,
  PART_H_APPLIED,
  PART_H_LOCATION,
  PART_H_AFTER,
  PART_H_ETAG,
  PARTS,
};

enum openapi_tag {
  TAG_SQL,
  TAG_CHECK,
  TAG_COMPOSITE,
  TAG_HANDLER,
  TAG_MODEL,
  TAG_SET,
  TAG_MUTATION,
  TAG_EVENTS,
  TAG_GRAPHQL,
  TAGS
};

struct openapi_writer {
  const void *mem;
  const struct openapi *of;
  const struct schema_view *view; /* NULL: all of the schema */
  struct str *out;
  uint64_t parts; /* by enum openapi_part: referred to */
  unsigned tags;  /* by enum openapi_tag: in use */
  bool *types;    /* by index of a type of GraphQL: referred to; NULL: there is no schema */
};

/* Of a transactional set. */
#define OPENAPI_ISOLATION "{'type':'string','enum':['read_committed','repeatable_read','serializable']}"

/* May the caller call it, by its name? */
bool openapi_has(const struct openapi *of, const struct command *c);

/* openapi_parts.c. Text in which ' stands for ". */
void openapi_put(struct openapi_writer *w, const char *text);
void openapi_ref(struct openapi_writer *w, enum openapi_part part); /* {"$ref": ...} */
void openapi_next(struct openapi_writer *w);                        /* a comma, where something stands before */
void openapi_answer(struct openapi_writer *w,
                    enum openapi_part part); /* "404":{"$ref": ...}; by the first letters of its name */
void openapi_answers(struct openapi_writer *w, const enum openapi_part *list, size_t n);
void openapi_headers(struct openapi_writer *w, const enum openapi_part *list, size_t n); /* ,"headers":{...}: of an answer */
void openapi_tag(struct openapi_writer *w, enum openapi_tag tag);                        /* "tags":["..."] */
void openapi_tags(struct openapi_writer *w);       /* those in use, with what they are */
void openapi_components(struct openapi_writer *w); /* those referred to */

/* openapi_type.c. out: a value that is answered, else one that is given. NULL: not known, which takes any. An example is good
 * for the schema and for PostgreSQL. */
void openapi_type(struct openapi_writer *w, const struct type *t, bool out);
void openapi_type_example(struct openapi_writer *w, const struct type *t, bool out);

/* openapi_model.c */
void openapi_gql(struct openapi_writer *w, const struct gql_type *t); /* its schema */
bool openapi_gql_example(struct openapi_writer *w,
                         const struct gql_type *t); /* of an input; false: nothing, there is none */
void openapi_models(struct openapi_writer *w);      /* components of types referred to */
const struct gql_field *openapi_root(const struct openapi_writer *w,
                                     const struct command *c); /* of a model's command: that runs it; else NULL */

/* openapi_result.c: the schema of what is answered as result. */
void openapi_result(struct openapi_writer *w, const struct command *c);
bool openapi_described(const struct openapi_writer *w, const struct command *c, const struct description **d,
                       enum returns *returns);

/* openapi_command.c: the path of a command, "/command/NAME": {...} */
void openapi_command(struct openapi_writer *w, const struct command *c);
const struct type *openapi_argument_type(const struct openapi_writer *w, const struct command *c,
                                         size_t i); /* NULL: not known */
void openapi_set(struct openapi_writer *w, const struct command *c);

#endif
