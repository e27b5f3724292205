/* Values that clients give, by type (GraphQL specification, sections 6.1.2, 6.4.1 and 3): a single value becomes a list,
 * defaults are put in, and what does not fit is an error. The result is JSON as a command takes it; digits stay as they
 * were written, but whole numbers come without fraction and exponent. */
#ifndef WRIT_DOCUMENTS_COERCE_H
#define WRIT_DOCUMENTS_COERCE_H

#include "base/json.h"
#include "documents/errors.h"
#include "schema/schema.h"

/* The variables of an operation of a valid document, by what the request gave: an object, or NULL for none. Gives an
 * object with those that have a value, in order of their names; what else was given is left out. view: as
 * document_validate takes it. NULL: *errors. */
const struct json *coerce_variables(void *mem, const struct schema_view *view, const struct schema *schema,
                                    const struct graphql_definition *operation, const struct json *given,
                                    struct gql_errors *errors) __attribute__((warn_unused_result));

/* A literal of a valid document, with its variables put in. variables: of coerce_variables. NULL: an error has been
 * added, or the value is a variable that has none: then it is as if nothing were written there. */
const struct json *coerce_literal(void *mem, const struct schema *schema, const struct gql_type *type,
                                  const struct graphql_value *value, const struct json *variables, struct gql_errors *errors)
    __attribute__((warn_unused_result));

/* An argument of a field or directive: the literal, or the default when it is not given (literal NULL, or a variable
 * without a value). NULL: an error has been added, or it has no value and needs none. at: the field, for messages. */
const struct json *coerce_argument(void *mem, const struct schema *schema, const struct gql_input *argument,
                                   const struct graphql_value *literal, struct graphql_pos at, const struct json *variables,
                                   struct gql_errors *errors) __attribute__((warn_unused_result));

/* By name, in an object whose names are in order, as those of coerce_variables are. NULL: not there. */
const struct json *coerced(const struct json *variables, const char *name);

#endif
