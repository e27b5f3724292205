/* The grammar: chapter 2 and the type system definition language of chapter 3 of the specification (October 2021).
 *
 * A list under construction is a ring: its value is the last node, whose next is the first. SHUT makes a list of it that
 * begins with its first node. Left recursion keeps the parser's stack flat, so only nesting makes it grow. */

%define api.pure full
%define api.prefix {graphql_yy}
%define api.token.prefix {TOKEN_}
%define api.token.raw
%define api.location.type {struct graphql_pos}
%define api.value.type union
%define parse.error custom
/* So that what was expected is told in full: canonical tables, and no reduction unseen where something else may follow. */
%define lr.type canonical-lr
%define lr.default-reduction consistent
%param {struct parser *p}
%locations
%expect 0

%code requires {
#include "graphql/inside.h"
}

%code provides {
int graphql_yylex(GRAPHQL_YYSTYPE *value, struct graphql_pos *pos, struct parser *p);
}

%code {
#include "base/arena.h"
#include "base/str.h"

#include <string.h>

/* A rule's place is that of its first symbol; an empty one's that of the symbol before. */
#define YYLLOC_DEFAULT(place, right, n) ((place) = (n) ? YYRHSLOC(right, 1) : YYRHSLOC(right, 0))

/* The stack, when it outgrows its first 200 places, is the arena's as well. */
#define YYMALLOC(size) arena_resize(p->mem, NULL, (size))
#define YYFREE(memory) talloc_free(memory)
/* Each level of nesting takes up to some eight places. */
#define YYMAXDEPTH 100000

#define NODE(T, ...) GRAPHQL_NODE(p, struct T, __VA_ARGS__)
#define FIRST(node) ((node)->next = (node), (node))
#define MORE(last, node) ((node)->next = (last)->next, (last)->next = (node), (node))
#define SHUT(list, last) ((list) = (last)->next, (last)->next = NULL)

static void graphql_yyerror(const struct graphql_pos *pos, struct parser *p, const char *message);
static struct graphql_value *word_value(struct parser *p, enum graphql_value_kind kind, struct graphql_pos pos,
                                        const char *word);
static struct graphql_value *list_value(struct parser *p, struct graphql_pos pos, const struct graphql_value *items);
static struct graphql_value *object_value(struct parser *p, struct graphql_pos pos,
                                          const struct graphql_argument *fields);
static bool is_location(const char *name);
}

/* What is to be read: the first token, which is not in the text. */
%token START_DOCUMENT START_SCHEMA START_SELECTIONS

%token END 0 "the end of the text"
%token BANG "!" DOLLAR "$" AND "&" OPEN "(" CLOSE ")" DOTS "..." COLON ":" EQUALS "=" AT "@"
%token BRACKET "[" BRACKET_END "]" BRACE "{" BAR "|" BRACE_END "}"
%token <const char *> NAME "a name"
%token <const char *> DIRECTIVE "directive" ENUM "enum" EXTEND "extend" FALSE "false" FRAGMENT "fragment"
%token <const char *> IMPLEMENTS "implements" INPUT "input" INTERFACE "interface" MUTATION "mutation" NULL "null" ON "on"
%token <const char *> QUERY "query" REPEATABLE "repeatable" SCALAR "scalar" SCHEMA "schema"
%token <const char *> SUBSCRIPTION "subscription" TRUE "true" TYPE "type" UNION "union"
%token <struct graphql_value *> INT "a number" FLOAT "a number with a fraction" STRING "a string"

%type <const char *> name fragment_name enum_name
%type <enum graphql_operation> operation_type
%type <const struct graphql_definition *> all
%type <struct graphql_definition *> definitions type_definitions definition executable type_definition described
%type <struct graphql_definition *> extension extended fielded
%type <struct graphql_variable *> variable_list variable
%type <const struct graphql_variable *> variables
%type <struct graphql_selection *> selection_list selection field
%type <const struct graphql_selection *> selection_set selections
%type <struct graphql_argument *> argument_list argument field_list const_argument_list const_argument const_field_list
%type <const struct graphql_argument *> arguments const_arguments fields const_fields
%type <struct graphql_directive *> directive_list directive const_directive_list const_directive
%type <const struct graphql_directive *> directives const_directives some_const_directives
%type <struct graphql_value *> value const_value literal value_list const_value_list
%type <const struct graphql_value *> default values const_values
%type <struct graphql_type *> type nullable_type
%type <struct graphql_root *> root_list root
%type <const struct graphql_root *> roots roots_block
%type <struct graphql_name *> location listed interface_list union_list location_list
%type <const struct graphql_name *> interfaces some_interfaces members members_block locations
%type <struct graphql_field *> output_list output output_bare input_list input input_bare
%type <const struct graphql_field *> output_fields output_block input_fields input_block argument_definitions
%type <struct graphql_enum_value *> enum_value_list enum_value enum_value_bare
%type <const struct graphql_enum_value *> enum_values enum_block
%type <bool> repeatable

/* "type A" and "{": fields, not the end of the type and a query without a name ([lookahead != {] in the specification). */
%precedence NO_BLOCK
%precedence "{"

%%
start:
  START_DOCUMENT all             { p->definitions = $all; }
| START_SCHEMA type_definitions  { SHUT(p->definitions, $2); }
| START_SELECTIONS selection_set { p->selections = $2; }

all: definitions                 { SHUT($$, $1); }

definitions:
  definition             { $$ = FIRST($1); }
| definitions definition { $$ = MORE($1, $2); }

type_definitions:
  type_definition                  { $$ = FIRST($1); }
| type_definitions type_definition { $$ = MORE($1, $2); }

definition: executable | type_definition

/* ---- names: any keyword may be one; in full each time, as a rule less is a reduction less for each name ---- */

name:
  "a name" | "directive" | "enum" | "extend" | "fragment" | "implements" | "input" | "interface" | "mutation" | "query"
| "repeatable" | "scalar" | "schema" | "subscription" | "type" | "union"
| "on" | "true" | "false" | "null"

fragment_name:
  "a name" | "directive" | "enum" | "extend" | "fragment" | "implements" | "input" | "interface" | "mutation" | "query"
| "repeatable" | "scalar" | "schema" | "subscription" | "type" | "union"
| "true" | "false" | "null"

enum_name:
  "a name" | "directive" | "enum" | "extend" | "fragment" | "implements" | "input" | "interface" | "mutation" | "query"
| "repeatable" | "scalar" | "schema" | "subscription" | "type" | "union"
| "on"

/* ---- operations, fragments ---- */

executable:
  selection_set {
    $$ = NODE(graphql_definition, .kind = GRAPHQL_DEF_OPERATION, .pos = @1, .name_pos = @1, .operation = GRAPHQL_QUERY,
              .selections = $1);
  }
| operation_type variables directives selection_set {
    $$ = NODE(graphql_definition, .kind = GRAPHQL_DEF_OPERATION, .pos = @1, .name_pos = @1, .operation = $1,
              .variables = $2, .directives = $3, .selections = $4);
  }
| operation_type name variables directives selection_set {
    $$ = NODE(graphql_definition, .kind = GRAPHQL_DEF_OPERATION, .pos = @1, .name = $2, .name_pos = @2, .operation = $1,
              .variables = $3, .directives = $4, .selections = $5);
  }
| "fragment" fragment_name "on" name directives selection_set {
    $$ = NODE(graphql_definition, .kind = GRAPHQL_DEF_FRAGMENT, .pos = @1, .name = $2, .name_pos = @2, .on = $4,
              .on_pos = @4, .directives = $5, .selections = $6);
  }

operation_type:
  "query"        { $$ = GRAPHQL_QUERY; }
| "mutation"     { $$ = GRAPHQL_MUTATION; }
| "subscription" { $$ = GRAPHQL_SUBSCRIPTION; }

variables:
  %empty                { $$ = NULL; }
| "(" variable_list ")" { SHUT($$, $2); }

variable_list:
  variable               { $$ = FIRST($1); }
| variable_list variable { $$ = MORE($1, $2); }

variable:
  "$" name ":" type default const_directives {
    $$ = NODE(graphql_variable, .pos = @1, .name = $2, .name_pos = @2, .type = $4, .default_value = $5, .directives = $6);
  }

selection_set: "{" selection_list "}" { SHUT($$, $2); }

selection_list:
  selection                { $$ = FIRST($1); }
| selection_list selection { $$ = MORE($1, $2); }

selection:
  field
| name ":" field {
    $$ = $3;
    $$->pos = @1;
    $$->alias = $1;
  }
| "..." fragment_name directives {
    $$ = NODE(graphql_selection, .kind = GRAPHQL_SPREAD, .pos = @1, .name = $2, .name_pos = @2, .directives = $3);
  }
| "..." "on" name directives selection_set {
    $$ = NODE(graphql_selection, .kind = GRAPHQL_INLINE, .pos = @1, .name = $3, .name_pos = @3, .directives = $4,
              .selections = $5, .selections_pos = @5);
  }
| "..." directives selection_set {
    $$ = NODE(graphql_selection, .kind = GRAPHQL_INLINE, .pos = @1, .directives = $2, .selections = $3,
              .selections_pos = @3);
  }

field:
  name arguments directives selections {
    $$ = NODE(graphql_selection, .kind = GRAPHQL_FIELD, .pos = @1, .alias = $1, .name = $1, .name_pos = @1,
              .arguments = $2, .directives = $3, .selections = $4, .selections_pos = @4);
  }

selections:
  %empty { $$ = NULL; }
| selection_set

/* ---- arguments, directives, values; const_: without variables ---- */

arguments:
  %empty                { $$ = NULL; }
| "(" argument_list ")" { SHUT($$, $2); }

argument_list:
  argument               { $$ = FIRST($1); }
| argument_list argument { $$ = MORE($1, $2); }

argument: name ":" value { $$ = NODE(graphql_argument, .name = $1, .pos = @1, .value = $3); }

const_arguments:
  %empty                      { $$ = NULL; }
| "(" const_argument_list ")" { SHUT($$, $2); }

const_argument_list:
  const_argument                     { $$ = FIRST($1); }
| const_argument_list const_argument { $$ = MORE($1, $2); }

const_argument: name ":" const_value { $$ = NODE(graphql_argument, .name = $1, .pos = @1, .value = $3); }

directives:
  %empty         { $$ = NULL; }
| directive_list { SHUT($$, $1); }

directive_list:
  directive                { $$ = FIRST($1); }
| directive_list directive { $$ = MORE($1, $2); }

directive: "@" name arguments { $$ = NODE(graphql_directive, .name = $2, .pos = @1, .arguments = $3); }

const_directives:
  %empty { $$ = NULL; }
| some_const_directives

some_const_directives: const_directive_list { SHUT($$, $1); }

const_directive_list:
  const_directive                      { $$ = FIRST($1); }
| const_directive_list const_directive { $$ = MORE($1, $2); }

const_directive: "@" name const_arguments { $$ = NODE(graphql_directive, .name = $2, .pos = @1, .arguments = $3); }

value:
  literal
| "$" name       { $$ = word_value(p, GRAPHQL_VALUE_VARIABLE, @1, $2); }
| "[" values "]" { $$ = list_value(p, @1, $2); }
| "{" fields "}" { $$ = object_value(p, @1, $2); }

values:
  %empty     { $$ = NULL; }
| value_list { SHUT($$, $1); }

value_list:
  value            { $$ = FIRST($1); }
| value_list value { $$ = MORE($1, $2); }

fields:
  %empty     { $$ = NULL; }
| field_list { SHUT($$, $1); }

field_list: argument_list

const_value:
  literal
| "[" const_values "]" { $$ = list_value(p, @1, $2); }
| "{" const_fields "}" { $$ = object_value(p, @1, $2); }

const_values:
  %empty           { $$ = NULL; }
| const_value_list { SHUT($$, $1); }

const_value_list:
  const_value                  { $$ = FIRST($1); }
| const_value_list const_value { $$ = MORE($1, $2); }

const_fields:
  %empty           { $$ = NULL; }
| const_field_list { SHUT($$, $1); }

const_field_list: const_argument_list

literal:
  "a number"
| "a number with a fraction"
| "a string"
| "true"    { $$ = word_value(p, GRAPHQL_VALUE_BOOLEAN, @1, $1); }
| "false"   { $$ = word_value(p, GRAPHQL_VALUE_BOOLEAN, @1, $1); }
| "null"    { $$ = word_value(p, GRAPHQL_VALUE_NULL, @1, $1); }
| enum_name { $$ = word_value(p, GRAPHQL_VALUE_ENUM, @1, $1); }

default:
  %empty          { $$ = NULL; }
| "=" const_value { $$ = $2; }

type:
  nullable_type
| nullable_type "!" {
    $$ = $1;
    $$->required = true;
  }

nullable_type:
  name         { $$ = NODE(graphql_type, .name = $1, .pos = @1); }
| "[" type "]" { $$ = NODE(graphql_type, .of = $2, .pos = @1); }

/* ---- definitions of the type system ---- */

type_definition:
  described
| "a string" described {
    $$ = $2;
    $$->description = $1;
  }
| extension

described:
  "schema" const_directives roots_block {
    $$ = NODE(graphql_definition, .kind = GRAPHQL_DEF_SCHEMA, .pos = @1, .name_pos = @1, .directives = $2, .roots = $3);
  }
| "directive" "@" name argument_definitions repeatable "on" locations {
    $$ = NODE(graphql_definition, .kind = GRAPHQL_DEF_DIRECTIVE, .pos = @1, .name = $3, .name_pos = @3, .fields = $4,
              .repeatable = $5, .members = $7);
  }
| "scalar" name const_directives {
    $$ = NODE(graphql_definition, .kind = GRAPHQL_DEF_SCALAR, .pos = @1, .name = $2, .name_pos = @2, .directives = $3);
  }
| "type" name interfaces const_directives output_fields {
    $$ = NODE(graphql_definition, .kind = GRAPHQL_DEF_TYPE, .pos = @1, .name = $2, .name_pos = @2, .interfaces = $3,
              .directives = $4, .fields = $5);
  }
| "interface" name interfaces const_directives output_fields {
    $$ = NODE(graphql_definition, .kind = GRAPHQL_DEF_INTERFACE, .pos = @1, .name = $2, .name_pos = @2, .interfaces = $3,
              .directives = $4, .fields = $5);
  }
| "union" name const_directives members {
    $$ = NODE(graphql_definition, .kind = GRAPHQL_DEF_UNION, .pos = @1, .name = $2, .name_pos = @2, .directives = $3,
              .members = $4);
  }
| "enum" name const_directives enum_values {
    $$ = NODE(graphql_definition, .kind = GRAPHQL_DEF_ENUM, .pos = @1, .name = $2, .name_pos = @2, .directives = $3,
              .values = $4);
  }
| "input" name const_directives input_fields {
    $$ = NODE(graphql_definition, .kind = GRAPHQL_DEF_INPUT, .pos = @1, .name = $2, .name_pos = @2, .directives = $3,
              .fields = $4);
  }

/* An extension adds something. */
extension:
  "extend" extended {
    $$ = $2;
    $$->extend = true;
    $$->pos = @1;
  }

extended:
  "schema" some_const_directives roots {
    $$ = NODE(graphql_definition, .kind = GRAPHQL_DEF_SCHEMA, .name_pos = @1, .directives = $2, .roots = $3);
  }
| "schema" roots_block { $$ = NODE(graphql_definition, .kind = GRAPHQL_DEF_SCHEMA, .name_pos = @1, .roots = $2); }
| "scalar" name some_const_directives {
    $$ = NODE(graphql_definition, .kind = GRAPHQL_DEF_SCALAR, .name = $2, .name_pos = @2, .directives = $3);
  }
| "type" name fielded {
    $$ = $3;
    $$->kind = GRAPHQL_DEF_TYPE, $$->name = $2, $$->name_pos = @2;
  }
| "interface" name fielded {
    $$ = $3;
    $$->kind = GRAPHQL_DEF_INTERFACE, $$->name = $2, $$->name_pos = @2;
  }
| "union" name some_const_directives members {
    $$ = NODE(graphql_definition, .kind = GRAPHQL_DEF_UNION, .name = $2, .name_pos = @2, .directives = $3, .members = $4);
  }
| "union" name members_block {
    $$ = NODE(graphql_definition, .kind = GRAPHQL_DEF_UNION, .name = $2, .name_pos = @2, .members = $3);
  }
| "enum" name some_const_directives enum_values {
    $$ = NODE(graphql_definition, .kind = GRAPHQL_DEF_ENUM, .name = $2, .name_pos = @2, .directives = $3, .values = $4);
  }
| "enum" name enum_block {
    $$ = NODE(graphql_definition, .kind = GRAPHQL_DEF_ENUM, .name = $2, .name_pos = @2, .values = $3);
  }
| "input" name some_const_directives input_fields {
    $$ = NODE(graphql_definition, .kind = GRAPHQL_DEF_INPUT, .name = $2, .name_pos = @2, .directives = $3, .fields = $4);
  }
| "input" name input_block {
    $$ = NODE(graphql_definition, .kind = GRAPHQL_DEF_INPUT, .name = $2, .name_pos = @2, .fields = $3);
  }

fielded:
  some_interfaces const_directives output_fields {
    $$ = NODE(graphql_definition, .interfaces = $1, .directives = $2, .fields = $3);
  }
| some_const_directives output_fields { $$ = NODE(graphql_definition, .directives = $1, .fields = $2); }
| output_block                        { $$ = NODE(graphql_definition, .fields = $1); }

roots:
  %empty %prec NO_BLOCK { $$ = NULL; }
| roots_block

roots_block: "{" root_list "}" { SHUT($$, $2); }

root_list:
  root           { $$ = FIRST($1); }
| root_list root { $$ = MORE($1, $2); }

root: operation_type ":" name { $$ = NODE(graphql_root, .operation = $1, .pos = @1, .type = $3); }

repeatable:
  %empty       { $$ = false; }
| "repeatable" { $$ = true; }

locations:
  location_list     { SHUT($$, $1); }
| "|" location_list { SHUT($$, $2); }

location:
  name {
    if (!is_location($1)) {
      graphql_refuse(p, @1, "a directive has no such place; known are QUERY, FIELD, OBJECT, FIELD_DEFINITION and so on");
      YYABORT;
    }
    $$ = NODE(graphql_name, .name = $1, .pos = @1);
  }

listed: name { $$ = NODE(graphql_name, .name = $1, .pos = @1); }

location_list:
  location                   { $$ = FIRST($1); }
| location_list "|" location { $$ = MORE($1, $3); }

interfaces:
  %empty { $$ = NULL; }
| some_interfaces

some_interfaces:
  "implements" interface_list     { SHUT($$, $2); }
| "implements" "&" interface_list { SHUT($$, $3); }

interface_list:
  listed                    { $$ = FIRST($1); }
| interface_list "&" listed { $$ = MORE($1, $3); }

members:
  %empty { $$ = NULL; }
| members_block

members_block:
  "=" union_list     { SHUT($$, $2); }
| "=" "|" union_list { SHUT($$, $3); }

union_list:
  listed                { $$ = FIRST($1); }
| union_list "|" listed { $$ = MORE($1, $3); }

output_fields:
  %empty %prec NO_BLOCK { $$ = NULL; }
| output_block

output_block: "{" output_list "}" { SHUT($$, $2); }

output_list:
  output             { $$ = FIRST($1); }
| output_list output { $$ = MORE($1, $2); }

output:
  output_bare
| "a string" output_bare {
    $$ = $2;
    $$->description = $1;
  }

output_bare:
  name argument_definitions ":" type const_directives {
    $$ = NODE(graphql_field, .name = $1, .pos = @1, .arguments = $2, .type = $4, .directives = $5);
  }

argument_definitions:
  %empty             { $$ = NULL; }
| "(" input_list ")" { SHUT($$, $2); }

input_fields:
  %empty %prec NO_BLOCK { $$ = NULL; }
| input_block

input_block: "{" input_list "}" { SHUT($$, $2); }

input_list:
  input            { $$ = FIRST($1); }
| input_list input { $$ = MORE($1, $2); }

input:
  input_bare
| "a string" input_bare {
    $$ = $2;
    $$->description = $1;
  }

input_bare:
  name ":" type default const_directives {
    $$ = NODE(graphql_field, .name = $1, .pos = @1, .type = $3, .default_value = $4, .directives = $5);
  }

enum_values:
  %empty %prec NO_BLOCK { $$ = NULL; }
| enum_block

enum_block: "{" enum_value_list "}" { SHUT($$, $2); }

enum_value_list:
  enum_value                 { $$ = FIRST($1); }
| enum_value_list enum_value { $$ = MORE($1, $2); }

enum_value:
  enum_value_bare
| "a string" enum_value_bare {
    $$ = $2;
    $$->description = $1;
  }

enum_value_bare:
  enum_name const_directives { $$ = NODE(graphql_enum_value, .name = $1, .pos = @1, .directives = $2); }

%%
/* Of the stack alone: a syntax error is told below. */
static void graphql_yyerror(const struct graphql_pos *pos, struct parser *p, const char *message) {
  graphql_refuse_size(p, *pos, "nested too deeply (%s)", message);
}

/* ---- values, places ---- */

/* The NUL behind a word comes only with the token after it. */
static size_t word_len(const char *word) {
  size_t len = 0;

  while (graphql_is_word(word[len])) len++;
  return len;
}

static struct graphql_value *word_value(struct parser *p, enum graphql_value_kind kind, struct graphql_pos pos,
                                        const char *word) {
  return NODE(graphql_value, .kind = kind, .pos = pos, .text = word, .len = word_len(word));
}

static struct graphql_value *list_value(struct parser *p, struct graphql_pos pos, const struct graphql_value *items) {
  struct graphql_value *list = NODE(graphql_value, .kind = GRAPHQL_VALUE_LIST, .pos = pos, .items = items);

  for (; items; items = items->next) list->len++;
  return list;
}

static struct graphql_value *object_value(struct parser *p, struct graphql_pos pos,
                                          const struct graphql_argument *fields) {
  struct graphql_value *object = NODE(graphql_value, .kind = GRAPHQL_VALUE_OBJECT, .pos = pos, .fields = fields);

  for (; fields; fields = fields->next) object->len++;
  return object;
}

/* DirectiveLocation, section 3.13. */
static bool is_location(const char *name) {
  static const char *const all[] = {
      "QUERY", "MUTATION", "SUBSCRIPTION", "FIELD", "FRAGMENT_DEFINITION", "FRAGMENT_SPREAD", "INLINE_FRAGMENT",
      "VARIABLE_DEFINITION", "SCHEMA", "SCALAR", "OBJECT", "FIELD_DEFINITION", "ARGUMENT_DEFINITION", "INTERFACE", "UNION",
      "ENUM", "ENUM_VALUE", "INPUT_OBJECT", "INPUT_FIELD_DEFINITION"};
  size_t i, len = word_len(name);

  for (i = 0; i < sizeof all / sizeof *all; i++) {
    if (strlen(all[i]) == len && memcmp(all[i], name, len) == 0) return true;
  }
  return false;
}

/* ---- what was expected, in plain words ---- */

static bool is_keyword(yysymbol_kind_t kind) { return kind >= YYSYMBOL_DIRECTIVE && kind <= YYSYMBOL_UNION; }

/* What a message makes of a token that could have stood there, or NULL: told by the word for another one. All keywords are
 * names too, and many tokens may begin a value or a definition. has: which tokens could have stood there. */
static const char *plain_word(yysymbol_kind_t kind, const bool *has) {
  bool value = has[YYSYMBOL_NAME] && has[YYSYMBOL_INT], definition = has[YYSYMBOL_DIRECTIVE] && !has[YYSYMBOL_NAME];

  switch (kind) {
  case YYSYMBOL_NAME: return value ? "a value" : "a name";
  case YYSYMBOL_INT:
  case YYSYMBOL_FLOAT:
  case YYSYMBOL_STRING: return NULL; /* a value; or, before a definition or a name, its description */
  case YYSYMBOL_DOLLAR:
  case YYSYMBOL_BRACKET: return value ? NULL : yysymbol_name(kind);
  case YYSYMBOL_BRACE: /* a query without a name is a definition, too */
    return value || (definition && !has[YYSYMBOL_AT]) ? NULL : yysymbol_name(kind);
  case YYSYMBOL_YYEOF: return definition ? NULL : yysymbol_name(kind);
  case YYSYMBOL_DIRECTIVE:
    if (definition) return has[YYSYMBOL_FRAGMENT] ? "a definition" : "a type definition";
    return NULL;
  case YYSYMBOL_IMPLEMENTS: return has[YYSYMBOL_NAME] ? NULL : yysymbol_name(kind);
  default: return is_keyword(kind) && (has[YYSYMBOL_NAME] || definition) ? NULL : yysymbol_name(kind);
  }
}

static void say_expected(const yypcontext_t *context, struct str *words) {
  yysymbol_kind_t kinds[YYNTOKENS];
  const char *plain[YYNTOKENS];
  bool has[YYNTOKENS] = {false};
  int i, n = yypcontext_expected_tokens(context, kinds, YYNTOKENS), m = 0;

  for (i = 0; i < n; i++) has[kinds[i]] = true;
  for (i = 0; i < n; i++) {
    plain[m] = plain_word(kinds[i], has);
    if (plain[m]) m++;
  }
  for (i = 0; i < m; i++) str_printf(words, "%s%s", i == 0 ? "" : i < m - 1 ? ", " : " or ", plain[i]);
}

/* What stands there instead: a word or a number is quoted, so far as it is not too long; of a string nothing is. */
static void say_found(yysymbol_kind_t kind, const char *token, struct str *words) {
  enum { LONGEST = 40 };
  size_t len;

  if (kind == YYSYMBOL_NAME || is_keyword(kind)) {
    len = word_len(token);
  } else if (kind == YYSYMBOL_INT || kind == YYSYMBOL_FLOAT) {
    len = strspn(token, "-+.0123456789eE");
  } else {
    str_add(words, yysymbol_name(kind));
    return;
  }
  str_bytes(words, token, len > LONGEST ? LONGEST : len);
  if (len > LONGEST) str_add(words, "...");
}

static int yyreport_syntax_error(const yypcontext_t *context, struct parser *p) {
  struct str *words = str_new(p->mem, 128);

  str_add(words, "expected ");
  say_expected(context, words);
  str_add(words, ", found ");
  say_found(yypcontext_token(context), p->token, words);
  graphql_refuse(p, *yypcontext_location(context), "%s", words->p);
  return 0;
}
