/* Fuzz target: GraphQL as a document, as a schema and as a selection set. What is read must be printed and read back to the
 * same tree, less its places; what is refused has its place within the text. */
#include "base/arena.h"
#include "base/str.h"
#include "graphql/parse.h"
#include "graphql/print.h"
#include "tests/fuzz/demand.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Both NULL, or the same text. */
static void demand_text(const char *a, const char *b) { demand(a ? b && strcmp(a, b) == 0 : !b); }

/* A node is compared with a node, a list with a list: until both end. */
#define PAIRS(a, b) for (; (a) || (b); (a) = (a)->next, (b) = (b)->next)

static void demand_arguments(const struct graphql_argument *a, const struct graphql_argument *b);

static void demand_value(const struct graphql_value *a, const struct graphql_value *b) {
  const struct graphql_value *x, *y;

  demand(!a == !b);
  if (!a) return;
  demand(a->kind == b->kind && a->len == b->len);
  if (a->text || b->text) demand(a->text && b->text && memcmp(a->text, b->text, a->len + 1) == 0);
  x = a->items, y = b->items;
  PAIRS(x, y) demand_value(x, y);
  demand_arguments(a->fields, b->fields);
}

static void demand_arguments(const struct graphql_argument *a, const struct graphql_argument *b) {
  PAIRS(a, b) {
    demand(a && b);
    demand_text(a->name, b->name);
    demand_value(a->value, b->value);
  }
}

static void demand_directives(const struct graphql_directive *a, const struct graphql_directive *b) {
  PAIRS(a, b) {
    demand(a && b);
    demand_text(a->name, b->name);
    demand_arguments(a->arguments, b->arguments);
  }
}

static void demand_type(const struct graphql_type *a, const struct graphql_type *b) {
  demand(!a == !b);
  if (!a) return;
  demand(a->required == b->required);
  demand_text(a->name, b->name);
  demand_type(a->of, b->of);
}

static void demand_selections(const struct graphql_selection *a, const struct graphql_selection *b) {
  PAIRS(a, b) {
    demand(a && b);
    demand(a->kind == b->kind && (a->alias == a->name) == (b->alias == b->name));
    demand_text(a->alias, b->alias);
    demand_text(a->name, b->name);
    demand_arguments(a->arguments, b->arguments);
    demand_directives(a->directives, b->directives);
    demand_selections(a->selections, b->selections);
  }
}

static void demand_variables(const struct graphql_variable *a, const struct graphql_variable *b) {
  PAIRS(a, b) {
    demand(a && b);
    demand_text(a->name, b->name);
    demand_type(a->type, b->type);
    demand_value(a->default_value, b->default_value);
    demand_directives(a->directives, b->directives);
  }
}

static void demand_fields(const struct graphql_field *a, const struct graphql_field *b) {
  PAIRS(a, b) {
    demand(a && b);
    demand_value(a->description, b->description);
    demand_text(a->name, b->name);
    demand_fields(a->arguments, b->arguments);
    demand_type(a->type, b->type);
    demand_value(a->default_value, b->default_value);
    demand_directives(a->directives, b->directives);
  }
}

static void demand_names(const struct graphql_name *a, const struct graphql_name *b) {
  PAIRS(a, b) {
    demand(a && b);
    demand_text(a->name, b->name);
  }
}

static void demand_rest(const struct graphql_definition *a, const struct graphql_definition *b) {
  const struct graphql_root *r = a->roots, *s = b->roots;
  const struct graphql_enum_value *v = a->values, *w = b->values;

  PAIRS(r, s) {
    demand(r && s && r->operation == s->operation);
    demand_text(r->type, s->type);
  }
  PAIRS(v, w) {
    demand(v && w);
    demand_value(v->description, w->description);
    demand_text(v->name, w->name);
    demand_directives(v->directives, w->directives);
  }
}

static void demand_definitions(const struct graphql_definition *a, const struct graphql_definition *b) {
  PAIRS(a, b) {
    demand(a && b);
    demand(a->kind == b->kind && a->extend == b->extend && a->operation == b->operation);
    demand(a->repeatable == b->repeatable);
    demand_value(a->description, b->description);
    demand_text(a->name, b->name);
    demand_text(a->on, b->on);
    demand_directives(a->directives, b->directives);
    demand_variables(a->variables, b->variables);
    demand_selections(a->selections, b->selections);
    demand_names(a->interfaces, b->interfaces);
    demand_fields(a->fields, b->fields);
    demand_names(a->members, b->members);
    demand_rest(a, b);
  }
}

/* Printing breaks lines and indents: text that was within a limit may be beyond it then. */
static const struct graphql_limits generous = {.bytes = SIZE_MAX, .tokens = UINT32_MAX, .depth = 64};

static const struct graphql_definition *again(void *mem, const struct graphql_document *document, struct err *e) {
  struct str *first = str_new(mem, 256), *second = str_new(mem, 256);
  const struct graphql_document *back;

  graphql_print_document(first, document);
  demand(graphql_parse(mem, first->p, first->len, &generous, &back, e));
  graphql_print_document(second, back);
  demand(strcmp(first->p, second->p) == 0);
  return back->definitions;
}

static void demand_place(const struct err *e, size_t size) {
  demand((e->code == ERR_BAD_REQUEST || e->code == ERR_TOO_LARGE) && e->message);
  demand(e->input_line >= 1 && e->input_line <= size + 1);
  demand(e->input_column >= 1 && e->input_column <= size + 1);
}

static void try_selections(void *mem, const char *text, size_t size) {
  struct str *out = str_new(mem, 256);
  const struct graphql_selection *selections, *back;
  struct err e;

  err_init(&e, mem);
  if (!graphql_parse_selections(mem, text, size, &generous, &selections, &e)) {
    demand_place(&e, size);
    return;
  }
  graphql_print_selections(out, selections);
  demand(graphql_parse_selections(mem, out->p, out->len, &generous, &back, &e));
  demand_selections(selections, back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const struct graphql_limits limits = {.bytes = 64 * 1024, .tokens = 10000, .depth = 64};
  void *mem = arena_request(NULL);
  const char *text = (const char *)data;
  const struct graphql_document *document, *schema;
  struct err e;
  bool ok;

  err_init(&e, mem);
  if (size > limits.bytes) size = limits.bytes;
  ok = graphql_parse(mem, text, size, &limits, &document, &e);
  if (!ok) demand_place(&e, size);
  if (ok) demand_definitions(document->definitions, again(mem, document, &e));
  if (graphql_parse_schema(mem, text, size, &limits, &schema, &e)) {
    demand(ok);
    demand_definitions(document->definitions, schema->definitions);
  } else {
    demand_place(&e, size);
  }
  try_selections(mem, text, size);
  talloc_free(mem);
  return 0;
}
