/* A schema file has two parts: the data model, and what commands of the application's own answer and take. */
#ifndef WRIT_MODEL_OWN_H
#define WRIT_MODEL_OWN_H

#include "graphql/ast.h"

/* Parts the definitions; each list in its order, NULL when empty. Not the model's are: type Query and type Mutation; inputs,
 * interfaces, unions, scalars and directives; types without a key that these lead to, or that implement an interface, if no
 * type of the model leads to them; enums that these lead to, if no type of the model does, and that have no @db; and what
 * extends one of them. */
void own_split(const void *mem, const struct graphql_definition *first, const struct graphql_definition **model,
               const struct graphql_definition **own);

#endif
