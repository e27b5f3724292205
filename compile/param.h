/* A value of a request as a parameter of a statement. docs/protocol.md, section 2: "JSON value to parameter type". */
#ifndef WRIT_COMPILE_PARAM_H
#define WRIT_COMPILE_PARAM_H

#include "base/err.h"

#include <stdbool.h>

struct expr;
struct type;

/* How the statement gets at it: one letter of a statement variant's key. */
enum param_mode {
  PARAM_TEXT,  /* $n is the value, in PostgreSQL's input syntax */
  PARAM_TAKE,  /* $n is {slot, path...}: the statement reads a scalar out of an earlier result */
  PARAM_BUILD, /* $n is a JSON array of pieces: the statement builds a JSON text of literals and earlier results */
};

/* *text: NULL for SQL NULL; in mem. False: BAD_ARGUMENT, with the reason only: the caller names the argument. */
bool param_encode(void *mem, const struct expr *value, const struct type *type, enum param_mode *mode, const char **text,
                  struct err *e) __attribute__((warn_unused_result));
/* {slot, path...} of a RESULT, as a text[] literal. */
const char *param_place(void *mem, const struct expr *result);
/* The pieces of any expression, for PARAM_BUILD without a type (results of composites). */
const char *param_pieces(void *mem, const struct expr *value);

#endif
