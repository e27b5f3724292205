/* What every type system has: the specification's scalars, directives and types of introspection (October 2021, sections
 * 3.5, 3.13, 4.2), in its own language. isOneOf and deprecated arguments are as graphql-js 16 has
 * them. */
#include "schema/builder.h"

#include "base/arena.h"
#include "base/err.h"
#include "graphql/parse.h"

#include <stdlib.h>
#include <string.h>

static const char sdl[] =
    "\"A whole number of 32 bits.\" scalar Int\n"
    "\"A number of 64 bits, IEEE 754.\" scalar Float\n"
    "\"Text in UTF-8.\" scalar String\n"
    "\"true or false.\" scalar Boolean\n"
    "\"A key: text; a whole number will do.\" scalar ID\n"
    "\"The field or fragment is left out unless the argument is true.\"\n"
    "directive @include(\"Included when true.\" if: Boolean!) on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT\n"
    "\"The field or fragment is left out when the argument is true.\"\n"
    "directive @skip(\"Skipped when true.\" if: Boolean!) on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT\n"
    "\"Not to be used any more.\"\n"
    "directive @deprecated(\"Why, and what to use instead, in Markdown.\" reason: String = \"No longer supported\")\n"
    "  on FIELD_DEFINITION | ARGUMENT_DEFINITION | INPUT_FIELD_DEFINITION | ENUM_VALUE\n"
    "\"Where the format of a scalar is described.\"\n"
    "directive @specifiedBy(\"The URL.\" url: String!) on SCALAR\n"
    "\"The types, directives and root types of this API.\"\n"
    "type __Schema {\n"
    "  description: String\n"
    "  types: [__Type!]!\n"
    "  queryType: __Type!\n"
    "  mutationType: __Type\n"
    "  subscriptionType: __Type\n"
    "  directives: [__Directive!]!\n"
    "}\n"
    "type __Type {\n"
    "  kind: __TypeKind!\n"
    "  name: String\n"
    "  description: String\n"
    "  specifiedByURL: String\n"
    "  fields(includeDeprecated: Boolean = false): [__Field!]\n"
    "  interfaces: [__Type!]\n"
    "  possibleTypes: [__Type!]\n"
    "  enumValues(includeDeprecated: Boolean = false): [__EnumValue!]\n"
    "  inputFields(includeDeprecated: Boolean = false): [__InputValue!]\n"
    "  ofType: __Type\n"
    "  \"Of inputs of which exactly one field is given: there are none.\" isOneOf: Boolean\n"
    "}\n"
    "enum __TypeKind { SCALAR OBJECT INTERFACE UNION ENUM INPUT_OBJECT LIST NON_NULL }\n"
    "type __Field {\n"
    "  name: String!\n"
    "  description: String\n"
    "  args(includeDeprecated: Boolean = false): [__InputValue!]!\n"
    "  type: __Type!\n"
    "  isDeprecated: Boolean!\n"
    "  deprecationReason: String\n"
    "}\n"
    "type __InputValue {\n"
    "  name: String!\n"
    "  description: String\n"
    "  type: __Type!\n"
    "  \"As GraphQL text.\" defaultValue: String\n"
    "  isDeprecated: Boolean!\n"
    "  deprecationReason: String\n"
    "}\n"
    "type __EnumValue {\n"
    "  name: String!\n"
    "  description: String\n"
    "  isDeprecated: Boolean!\n"
    "  deprecationReason: String\n"
    "}\n"
    "type __Directive {\n"
    "  name: String!\n"
    "  description: String\n"
    "  isRepeatable: Boolean!\n"
    "  locations: [__DirectiveLocation!]!\n"
    "  args(includeDeprecated: Boolean = false): [__InputValue!]!\n"
    "}\n"
    "enum __DirectiveLocation {\n"
    "  QUERY MUTATION SUBSCRIPTION FIELD FRAGMENT_DEFINITION FRAGMENT_SPREAD INLINE_FRAGMENT VARIABLE_DEFINITION\n"
    "  SCHEMA SCALAR OBJECT FIELD_DEFINITION ARGUMENT_DEFINITION INTERFACE UNION ENUM ENUM_VALUE INPUT_OBJECT\n"
    "  INPUT_FIELD_DEFINITION\n"
    "}\n"
    /* No type of the schema: what can be asked of the root, and of every object. */
    "type __Meta {\n"
    "  \"The type system.\" __schema: __Schema!\n"
    "  \"One of its types.\" __type(name: String!): __Type\n"
    "  \"The name of the object's type.\" __typename: String!\n"
    "}\n";

const struct schema_source *schema_builtin(const void *mem) {
  struct schema_source *source = arena_new(mem, struct schema_source);
  struct err e;

  err_init(&e, mem);
  source->built_in = true;
  if (!graphql_parse_schema(mem, sdl, sizeof sdl - 1, &graphql_limits_default, &source->document, &e)) abort();
  return source;
}
