/* Fuzz target: a schema of GraphQL. What is accepted must hold together, is seen whole by a view of it, and what is printed of it is
 * read back, and then printed the same; all of it can be introspected. */
#include "base/arena.h"
#include "base/problems.h"
#include "base/str.h"
#include "graphql/parse.h"
#include "schema/introspect.h"
#include "schema/print.h"
#include "tests/fuzz/demand.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand_type_of(const struct schema *s, const struct gql_type *t) {
  t = gql_named(t);
  demand(t->index < s->ntypes && s->types[t->index] == t && schema_type(s, t->name) == t);
}

static void demand_inputs(const struct schema *s, const struct gql_input *list, size_t n) {
  for (size_t i = 0; i < n; i++) {
    demand_type_of(s, list[i].type);
    demand(gql_is_input(list[i].type) && schema_input(list, n, list[i].name) == &list[i]);
  }
}

static void demand_type(const struct schema *s, const struct gql_type *t) {
  demand_type_of(s, t);
  demand_inputs(s, t->inputs, t->ninputs);
  for (size_t i = 0; i < t->nfields; i++) {
    demand_type_of(s, t->fields[i].type);
    demand(gql_named(t->fields[i].type)->kind != GQL_INPUT && schema_field(t, t->fields[i].name) == &t->fields[i]);
    demand_inputs(s, t->fields[i].args, t->fields[i].nargs);
  }
  for (size_t i = 0; i < t->ninputs; i++) demand(schema_input_field(t, t->inputs[i].name) == &t->inputs[i]);
  for (size_t i = 0; i < t->nvalues; i++) demand(schema_value(t, t->values[i].name) == &t->values[i]);
  for (size_t i = 0; i < t->ninterfaces; i++)
    for (size_t j = 0; j < t->interfaces[i]->nfields; j++) {
      const struct gql_field *asked = &t->interfaces[i]->fields[j], *f = schema_field(t, asked->name);

      demand(f && gql_is_subtype(f->type, asked->type));
    }
  for (size_t i = 0; i < t->npossible; i++) demand(t->possible[i]->kind == GQL_OBJECT && gql_is_possible(t, t->possible[i]));
}

static const struct schema *read_text(void *mem, const char *text, size_t len) {
  const struct graphql_document *document;
  const struct schema *s;
  struct problems p;
  struct err e;

  err_init(&e, mem);
  problems_init(&p, mem);
  if (!graphql_parse_schema(mem, text, len, &graphql_limits_default, &document, &e)) return NULL;
  s = schema_read(mem, "s.graphql", document, &p);
  demand(!s == (p.errors > 0));
  for (size_t i = 0; i < p.n; i++) demand(p.items[i].text[0] && strcmp(p.items[i].file, "s.graphql") == 0);
  return s;
}

static const char *printed(void *mem, const struct schema *s) {
  struct str *text = str_new(mem, 1024);

  schema_print(text, s, schema_view_new(mem, s, "role", false));
  return text->p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  void *mem = arena_request(NULL);
  const struct schema *s = read_text(mem, (const char *)data, size), *again;

  if (s) {
    const char *once = printed(mem, s);
    struct str *json = str_new(mem, 1024);

    for (size_t i = 0; i < s->ntypes; i++) demand_type(s, s->types[i]);
    demand(s->query && !s->query->built_in && view_introspects(schema_view_new(mem, s, NULL, true)));
    again = read_text(mem, once, strlen(once));
    demand(again && strcmp(printed(mem, again), once) == 0);
    introspect_all(json, s, NULL);
    demand(json->p[json->len - 1] == '}');
  }
  talloc_free(mem);
  return 0;
}
