/* The data of an answer (GraphQL specification, 6.4.3 and 6.4.4): results of commands, by the selections of an operation. What
 * PostgreSQL made by a model's selection is passed on as it is; results of other commands are cut to what was selected. A null
 * where the type has none goes up to the next place that may be null, and is told as an error. */
#ifndef WRIT_DOCUMENTS_ANSWER_H
#define WRIT_DOCUMENTS_ANSWER_H

#include "documents/compile.h"

struct err;
struct str;

/* One that came about while the data was put together. */
struct field_error {
  const char *message;
  const char *path;         /* JSON: ["users",0,"name"] */
  struct graphql_pos place; /* in the document */
};

struct field_errors {
  struct field_error *list; /* at most FIELD_ERRORS_MAX */
  size_t n;
};
enum { FIELD_ERRORS_MAX = 50 };

/* Text of a command's result, by its index in the set; data: the caller's. */
typedef void result_text(void *data, size_t index, const char **text, size_t *len);

/* Appends the value of "data". foreign: the results were made for another front end, which has other forms of numbers. False: *e, a
 * result that is no JSON that could be read. */
bool answer_data(void *mem, const struct operation_call *call, result_text *result, void *data, bool foreign,
                 struct str *out, struct field_errors *errors, struct err *e) __attribute__((warn_unused_result));

#endif
