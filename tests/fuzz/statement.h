/* For fuzz targets that compile arguments over a data model: what every statement must be, and arguments with references. */
#ifndef WRIT_TESTS_FUZZ_STATEMENT_H
#define WRIT_TESTS_FUZZ_STATEMENT_H

#include "base/arena.h"
#include "base/json.h"
#include "commands/tree.h"
#include "db/plan.h"
#include "tests/fuzz/demand.h"

#include <string.h>

/* Behind the closing quote of what begins at p. */
static inline const char *behind_quotes(const char *p) {
  char quote = *p++;

  for (; *p; p++) {
    demand((unsigned char)*p >= ' ' && (unsigned char)*p < 0x7f);
    if (*p == quote && *++p != quote) return p;
  }
  abort();
}

/* One statement: quotes and parentheses are closed, nothing of the input stands outside of quotes, and it has as many parameters as
 * are given. verbs: what it may begin with, up to a NULL. */
static inline void demand_statement(const struct step *step, const char *const *verbs) {
  const char *p = step->statement.sql;
  unsigned highest = 0;
  int open = 0;

  while (*verbs && strncmp(p, *verbs, strlen(*verbs)) != 0) verbs++;
  demand(*verbs != NULL);
  while (*p) {
    if (*p == '\'' || *p == '"') {
      p = behind_quotes(p);
      continue;
    }
    open += *p == '(';
    open -= *p == ')';
    demand(open >= 0 && (*p >= ' ' || *p == '\n') && *p < 0x7f && *p != ';' && strncmp(p, "--", 2) != 0 &&
           strncmp(p, "/*", 2) != 0);
    if (*p++ == '$') {
      unsigned n = (unsigned)strtoul(p, NULL, 10);
      if (n > highest) highest = n;
    }
  }
  demand(open == 0 && highest == step->nparams);
}

/* An argument's value; a text "$r" in it is the id of what earlier gave. */
static inline const struct expr *with_references(void *mem, const struct json *value, struct node *earlier) {
  struct expr *x = arena_new(mem, struct expr), *items;
  const char **path;

  *x = (struct expr){.kind = EXPR_LITERAL, .literal = value};
  if (value->kind == JSON_STRING && strcmp(value->text, "$r") == 0) {
    path = arena_array(mem, const char *, 1);
    path[0] = "id";
    return expr_result(mem, earlier, path, 1);
  }
  if (value->kind != JSON_ARRAY && value->kind != JSON_OBJECT) return x;
  items = arena_array(mem, struct expr, value->len + 1);
  for (size_t i = 0; i < value->len; i++) {
    items[i] = *with_references(mem, &value->items[i], earlier);
    if (items[i].kind != EXPR_LITERAL) x->kind = value->kind == JSON_ARRAY ? EXPR_ARRAY : EXPR_OBJECT;
  }
  if (x->kind != EXPR_LITERAL) *x = (struct expr){.kind = x->kind, .items = items, .keys = value->keys, .n = value->len};
  return x;
}

#endif
