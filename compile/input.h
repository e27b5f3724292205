/* Values of models' fields in requests: which JSON each scalar takes, and what it is in PostgreSQL's input syntax. */
#ifndef WRIT_COMPILE_INPUT_H
#define WRIT_COMPILE_INPUT_H

#include "base/err.h"
#include "base/json.h"
#include "model/model.h"

/* One value, not null, not a list. False: BAD_ARGUMENT with the reason only ("takes a string, not a number"). */
bool input_text(void *mem, const struct json *value, enum scalar scalar, const struct enumeration *enumeration,
                const char **text, struct err *e) __attribute__((warn_unused_result));
/* The same error for a value of that kind, which is not even looked at. Always false. */
bool input_refuse(enum scalar scalar, const struct enumeration *enumeration, enum json_kind kind, struct err *e);

#endif
