/* Results of commands and types of fields. */
#include "schema/result.h"

#include <string.h>

static enum result of_model(enum operation operation) {
  switch (operation) {
  case OPERATION_ONE: return RESULT_MAYBE;
  case OPERATION_MANY: return RESULT_ROWS;
  default: return RESULT_ROW;
  }
}

static enum result of_sql(enum returns returns) {
  static const enum result results[] = {
      [RETURNS_DEFAULT] = RESULT_UNKNOWN, [RETURNS_ONE] = RESULT_ROW,     [RETURNS_OPTIONAL] = RESULT_MAYBE,
      [RETURNS_MANY] = RESULT_ROWS,       [RETURNS_COUNT] = RESULT_COUNT, [RETURNS_NONE] = RESULT_NONE,
  };

  return results[returns];
}

static enum result of_composite(const struct command *c) {
  const struct command *last = c->nmembers ? c->members[c->nmembers - 1].command : NULL;

  if (c->result)
    return c->result->kind == TEMPLATE_OBJECT  ? RESULT_ROW
           : c->result->kind == TEMPLATE_ARRAY ? RESULT_ROWS
                                               : RESULT_UNKNOWN;
  return last ? result_of(last, last->returns) : RESULT_UNKNOWN;
}

enum result result_of(const struct command *c, enum returns returns) {
  switch (c->kind) {
  case COMMAND_SQL: return of_sql(returns);
  case COMMAND_CHECK: return RESULT_TRUE;
  case COMMAND_COMPOSITE: return of_composite(c);
  case COMMAND_MUTATION:
  case COMMAND_QUERY: return of_model(c->operation);
  default: return RESULT_UNKNOWN;
  }
}

const char *result_text(enum result result) {
  static const char *const texts[] = {
      [RESULT_UNKNOWN] = "it is not known what the command gives", [RESULT_ROW] = "the command gives one row",
      [RESULT_MAYBE] = "the command gives one row or null",        [RESULT_ROWS] = "the command gives rows",
      [RESULT_COUNT] = "the command gives a number of rows",       [RESULT_NONE] = "the command gives null",
      [RESULT_TRUE] = "the command is a check, which gives true",
  };

  return texts[result];
}

bool result_is_foreign(const struct gql_type *type) {
  static const char *const known[] = {"DateTime", "BigInt", "Decimal", "UUID", NULL};

  if (type->kind != GQL_SCALAR || type->built_in) return false;
  for (const char *const *name = known; *name; name++)
    if (strcmp(type->name, *name) == 0) return false;
  return true;
}

static bool is_number(const struct gql_type *t) {
  static const char *const numbers[] = {"Int", "Float", "BigInt", "Decimal", NULL};

  for (const char *const *name = numbers; t->kind == GQL_SCALAR && *name; name++)
    if (strcmp(t->name, *name) == 0) return true;
  return false;
}

/* A row answers an object; a scalar that may be any JSON answers it, too. */
static const char *row_misfit(const struct gql_type *t) {
  if (t->kind == GQL_LIST) return "write the type of one row, without [ ]";
  return gql_is_composite(t) || result_is_foreign(t) ? NULL : "take a type that has fields, for its columns, or Json";
}

const char *result_misfit(const struct gql_type *type, enum result result) {
  const struct gql_type *t = type->kind == GQL_NON_NULL ? type->of : type;

  switch (result) {
  case RESULT_ROW: return row_misfit(t);
  case RESULT_MAYBE: return t != type ? "write it without !" : row_misfit(t);
  case RESULT_ROWS:
    if (t->kind != GQL_LIST) return result_is_foreign(t) ? NULL : "write it in [ ]";
    return row_misfit(t->of->kind == GQL_NON_NULL ? t->of->of : t->of);
  case RESULT_COUNT: return is_number(t) || result_is_foreign(t) ? NULL : "write Int!";
  case RESULT_NONE: return t != type ? "write it without !" : NULL;
  case RESULT_TRUE:
    return t->kind == GQL_SCALAR && (strcmp(t->name, "Boolean") == 0 || result_is_foreign(t)) ? NULL : "write Boolean!";
  default: return NULL;
  }
}
