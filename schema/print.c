/* The type system as SDL. */
#include "schema/print.h"

#include "base/str.h"
#include "graphql/print.h"

#include <string.h>

static void put_type(struct str *out, const struct gql_type *t) {
  if (t->kind == GQL_LIST) {
    str_char(out, '[');
    put_type(out, t->of);
    str_char(out, ']');
  } else if (t->kind == GQL_NON_NULL) {
    put_type(out, t->of);
    str_char(out, '!');
  } else {
    str_add(out, t->name);
  }
}

static void put_deprecated(struct str *out, const char *reason) {
  if (!reason) return;
  str_add(out, " @deprecated");
  if (strcmp(reason, "No longer supported") == 0) return;
  str_add(out, "(reason: ");
  str_json(out, reason);
  str_char(out, ')');
}

static void put_description(struct str *out, const char *text, unsigned level) {
  if (text) graphql_print_description(out, text, strlen(text), level);
}

static void put_input(struct str *out, const struct gql_input *input) {
  str_printf(out, "%s: ", input->name);
  put_type(out, input->type);
  if (input->default_value) {
    str_add(out, " = ");
    graphql_print_value(out, input->default_value);
  }
  put_deprecated(out, input->deprecated);
}

static bool is_seen(const struct schema_view *view, const struct gql_input *argument) {
  return view_has_argument(view, argument);
}

/* On one line, unless one has a description. level: of what the arguments belong to. */
static void put_arguments(struct str *out, const struct schema_view *view, const struct gql_input *args, size_t n,
                          unsigned level) {
  bool lines = false, first = true;

  for (size_t i = 0; i < n; i++) lines = lines || args[i].description;
  for (size_t i = 0; i < n; i++) {
    if (!is_seen(view, &args[i])) continue;
    str_add(out, first ? "(" : lines ? "" : ", ");
    if (lines) str_printf(out, "\n%*s", 2 * ((int)level + 1), "");
    put_description(out, args[i].description, level + 1);
    put_input(out, &args[i]);
    first = false;
  }
  if (first) return;
  if (lines) str_printf(out, "\n%*s", 2 * (int)level, "");
  str_char(out, ')');
}

static void put_fields(struct str *out, const struct schema *s, const struct schema_view *view, const struct gql_type *t) {
  for (size_t i = 0; i < t->nfields; i++) {
    const struct gql_field *f = &t->fields[i];

    if (!view_has_field(view, t, f)) continue;
    str_add(out, "\n  ");
    put_description(out, f->description, 1);
    str_add(out, f->name);
    put_arguments(out, view, f->args, f->nargs, 1);
    str_add(out, ": ");
    put_type(out, f->type);
    put_deprecated(out, f->deprecated);
    if (t == s->mutation && f->has_state) str_add(out, " @state");
  }
}

static void put_inputs(struct str *out, const struct schema_view *view, const struct gql_type *t) {
  for (size_t i = 0; i < t->ninputs; i++) {
    if (!view_has_input(view, t, &t->inputs[i])) continue;
    str_add(out, "\n  ");
    put_description(out, t->inputs[i].description, 1);
    put_input(out, &t->inputs[i]);
  }
}

static void put_values(struct str *out, const struct gql_type *t) {
  for (size_t i = 0; i < t->nvalues; i++) {
    str_add(out, "\n  ");
    put_description(out, t->values[i].description, 1);
    str_add(out, t->values[i].name);
    put_deprecated(out, t->values[i].deprecated);
  }
}

static void put_names(struct str *out, const char *before, const char *between, const struct gql_type *const *list,
                      size_t n) {
  for (size_t i = 0; i < n; i++) str_printf(out, "%s%s", i ? between : before, list[i]->name);
}

static void put_definition(struct str *out, const struct schema *s, const struct schema_view *view,
                           const struct gql_type *t) {
  static const char *const keywords[] = {[GQL_SCALAR] = "scalar", [GQL_OBJECT] = "type", [GQL_INTERFACE] = "interface",
                                         [GQL_UNION] = "union",   [GQL_ENUM] = "enum",   [GQL_INPUT] = "input"};

  put_description(out, t->description, 0);
  str_printf(out, "%s %s", keywords[t->kind], t->name);
  put_names(out, " implements ", " & ", t->interfaces, t->ninterfaces);
  if (t->specified_by) {
    str_add(out, " @specifiedBy(url: ");
    str_json(out, t->specified_by);
    str_char(out, ')');
  }
  if (t->kind == GQL_UNION) put_names(out, " = ", " | ", t->possible, t->npossible);
  if (t->kind != GQL_SCALAR && t->kind != GQL_UNION) {
    str_add(out, " {");
    put_fields(out, s, view, t);
    put_inputs(out, view, t);
    put_values(out, t);
    str_add(out, "\n}");
  }
  str_char(out, '\n');
}

static void put_directive(struct str *out, const struct schema_view *view, const struct gql_directive *d) {
  put_description(out, d->description, 0);
  str_printf(out, "directive @%s", d->name);
  put_arguments(out, view, d->args, d->nargs, 0);
  str_add(out, d->repeatable ? " repeatable on " : " on ");
  for (size_t i = 0; i < d->nlocations; i++) str_printf(out, "%s%s", i ? " | " : "", d->locations[i]);
  str_char(out, '\n');
}

/* ---- schema { } ---- */

static bool is_usual(const struct schema *s, const struct gql_type *root, const char *name) {
  return root ? strcmp(root->name, name) == 0 : schema_type(s, name) == NULL;
}

/* Needed where the roots could not be told by their names, and for a description. */
static void put_schema(struct str *out, const struct schema *s, const struct schema_view *view) {
  const struct gql_type *roots[] = {s->query, s->mutation, s->subscription};
  static const char *const words[] = {"query", "mutation", "subscription"}, *const names[] = {"Query", "Mutation",
                                                                                              "Subscription"};
  bool usual = !s->description;

  for (size_t i = 0; i < 3; i++) usual = usual && is_usual(s, roots[i], names[i]);
  if (usual) return;
  put_description(out, s->description, 0);
  str_add(out, "schema {");
  for (size_t i = 0; i < 3; i++)
    if (roots[i] && view_has_type(view, roots[i])) str_printf(out, "\n  %s: %s", words[i], roots[i]->name);
  str_add(out, "\n}\n");
}

void schema_print(struct str *out, const struct schema *s, const struct schema_view *view) {
  size_t start = out->len;

  put_schema(out, s, view);
  for (size_t i = 0; i < s->ndirectives; i++) {
    if ((!s->directives[i].place.file && !s->directives[i].own) || !view_has_directive(view, s, &s->directives[i])) continue;
    if (out->len > start) str_char(out, '\n');
    put_directive(out, view, &s->directives[i]);
  }
  for (size_t i = 0; i < s->ntypes; i++) {
    if (s->types[i]->built_in || !view_has_type(view, s->types[i])) continue;
    if (out->len > start) str_char(out, '\n');
    put_definition(out, s, view, s->types[i]);
  }
}
