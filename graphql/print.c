/* The syntax tree as text. */
#include "graphql/print.h"

#include "base/str.h"

#include <string.h>

static const char *const operations[] = {
    [GRAPHQL_QUERY] = "query", [GRAPHQL_MUTATION] = "mutation", [GRAPHQL_SUBSCRIPTION] = "subscription"};

static const char *const keywords[] = {
    [GRAPHQL_DEF_SCHEMA] = "schema", [GRAPHQL_DEF_DIRECTIVE] = "directive", [GRAPHQL_DEF_SCALAR] = "scalar",
    [GRAPHQL_DEF_TYPE] = "type",     [GRAPHQL_DEF_INTERFACE] = "interface", [GRAPHQL_DEF_UNION] = "union",
    [GRAPHQL_DEF_ENUM] = "enum",     [GRAPHQL_DEF_INPUT] = "input"};

static void new_line(struct str *out, unsigned level) {
  str_char(out, '\n');
  for (; level > 0; level--) str_add(out, "  ");
}

/* ---- values, types, directives ---------------------------------------------------------------------------------------- */

/* In quotes; as JSON, whose escapes GraphQL has too. */
static void print_string(struct str *out, const struct graphql_value *value) {
  str_json_bytes(out, value->text, value->len);
}

static void print_arguments(struct str *out, const struct graphql_argument *argument) {
  const char *between = "";

  for (; argument; argument = argument->next) {
    str_printf(out, "%s%s: ", between, argument->name);
    graphql_print_value(out, argument->value);
    between = ", ";
  }
}

static void print_list(struct str *out, const struct graphql_value *item) {
  str_char(out, '[');
  for (; item; item = item->next) {
    graphql_print_value(out, item);
    if (item->next) str_add(out, ", ");
  }
  str_char(out, ']');
}

void graphql_print_value(struct str *out, const struct graphql_value *value) {
  switch (value->kind) {
  case GRAPHQL_VALUE_STRING: print_string(out, value); break;
  case GRAPHQL_VALUE_LIST: print_list(out, value->items); break;
  case GRAPHQL_VALUE_OBJECT:
    str_char(out, '{');
    print_arguments(out, value->fields);
    str_char(out, '}');
    break;
  case GRAPHQL_VALUE_VARIABLE: str_char(out, '$'); /* fall through */
  default: str_bytes(out, value->text, value->len);
  }
}

void graphql_print_type(struct str *out, const struct graphql_type *type) {
  if (type->name) {
    str_add(out, type->name);
  } else {
    str_char(out, '[');
    graphql_print_type(out, type->of);
    str_char(out, ']');
  }
  if (type->required) str_char(out, '!');
}

static void print_in_parentheses(struct str *out, const struct graphql_argument *arguments) {
  if (!arguments) return;
  str_char(out, '(');
  print_arguments(out, arguments);
  str_char(out, ')');
}

static void print_directives(struct str *out, const struct graphql_directive *directive) {
  for (; directive; directive = directive->next) {
    str_printf(out, " @%s", directive->name);
    print_in_parentheses(out, directive->arguments);
  }
}

static void print_default(struct str *out, const struct graphql_value *value) {
  if (!value) return;
  str_add(out, " = ");
  graphql_print_value(out, value);
}

/* ---- what is executed ------------------------------------------------------------------------------------------------- */

static void print_selections(struct str *out, const struct graphql_selection *selection, unsigned level);

static void print_selection(struct str *out, const struct graphql_selection *s, unsigned level) {
  if (s->kind == GRAPHQL_FIELD) {
    if (s->alias != s->name) str_printf(out, "%s: ", s->alias);
    str_add(out, s->name);
    print_in_parentheses(out, s->arguments);
  } else {
    str_add(out, s->kind == GRAPHQL_SPREAD ? "..." : s->name ? "... on " : "...");
    if (s->name) str_add(out, s->name);
  }
  print_directives(out, s->directives);
  if (s->selections) {
    str_char(out, ' ');
    print_selections(out, s->selections, level);
  }
}

static void print_selections(struct str *out, const struct graphql_selection *selection, unsigned level) {
  str_char(out, '{');
  for (; selection; selection = selection->next) {
    new_line(out, level + 1);
    print_selection(out, selection, level + 1);
  }
  new_line(out, level);
  str_char(out, '}');
}

void graphql_print_selections(struct str *out, const struct graphql_selection *selections) {
  print_selections(out, selections, 0);
}

static void print_variables(struct str *out, const struct graphql_variable *variable) {
  if (!variable) return;
  str_char(out, '(');
  for (; variable; variable = variable->next) {
    str_printf(out, "$%s: ", variable->name);
    graphql_print_type(out, variable->type);
    print_default(out, variable->default_value);
    print_directives(out, variable->directives);
    if (variable->next) str_add(out, ", ");
  }
  str_char(out, ')');
}

/* Never { } without "query": after a type without fields it would be taken for them. */
static void print_operation(struct str *out, const struct graphql_definition *d) {
  str_add(out, operations[d->operation]);
  if (d->name || d->variables) str_char(out, ' ');
  if (d->name) str_add(out, d->name);
  print_variables(out, d->variables);
  print_directives(out, d->directives);
  str_char(out, ' ');
  print_selections(out, d->selections, 0);
}

static void print_fragment(struct str *out, const struct graphql_definition *d) {
  str_printf(out, "fragment %s on %s", d->name, d->on);
  print_directives(out, d->directives);
  str_char(out, ' ');
  print_selections(out, d->selections, 0);
}

/* ---- what is defined -------------------------------------------------------------------------------------------------- */

static bool is_blank(const char *p, size_t n) {
  while (n > 0 && (*p == ' ' || *p == '\t')) p++, n--;
  return n == 0;
}

/* Does a block string keep the text? Not where it would take away: blank lines at the ends, an indentation that all lines
 * have; nor what has no place in it but escaped. */
static bool fits_block(const char *text, size_t len) {
  const char *line = text, *end = text + len, *stop;
  bool indented = true, blank = true;

  for (stop = text; stop < end; stop++) {
    if (((unsigned char)*stop < 0x20 && *stop != '\t' && *stop != '\n') || *stop == 0x7f) return false;
  }
  for (;; line = stop + 1) {
    stop = memchr(line, '\n', (size_t)(end - line));
    blank = is_blank(line, (size_t)((stop ? stop : end) - line));
    if (blank && (line == text || !stop)) return false;
    if (!blank && *line != ' ' && *line != '\t') indented = false;
    if (!stop) return !indented;
  }
}

/* On one line if it is short and no quote or backslash comes to stand before the quotes that end it. */
static void print_block(struct str *out, const char *text, size_t len, unsigned level) {
  enum { SHORT = 90 };
  const char *at = text, *end = text + len;
  bool lines = len > SHORT || memchr(text, '\n', len) || end[-1] == '"' || end[-1] == '\\';

  str_add(out, "\"\"\"");
  if (lines) new_line(out, level);
  while (at < end) {
    if (end - at >= 3 && memcmp(at, "\"\"\"", 3) == 0) {
      str_add(out, "\\\"\"\"");
      at += 3;
    } else if (*at == '\n' && at[1] != '\n') {
      new_line(out, level);
      at++;
    } else {
      str_char(out, *at++);
    }
  }
  if (lines) new_line(out, level);
  str_add(out, "\"\"\"");
}

void graphql_print_description(struct str *out, const char *text, size_t len, unsigned level) {
  if (fits_block(text, len)) {
    print_block(out, text, len, level);
  } else {
    str_json_bytes(out, text, len);
  }
  new_line(out, level);
}

static void print_description(struct str *out, const struct graphql_value *description, unsigned level) {
  if (description) graphql_print_description(out, description->text, description->len, level);
}

static void print_names(struct str *out, const char *before, const struct graphql_name *name, const char *between) {
  for (; name; name = name->next) {
    str_printf(out, "%s%s", before, name->name);
    before = between;
  }
}

static void print_parameters(struct str *out, const struct graphql_field *parameters, unsigned level);

static void print_field(struct str *out, const struct graphql_field *field, unsigned level) {
  print_description(out, field->description, level);
  str_add(out, field->name);
  print_parameters(out, field->arguments, level);
  str_add(out, ": ");
  graphql_print_type(out, field->type);
  print_default(out, field->default_value);
  print_directives(out, field->directives);
}

/* On one line, unless one has a description. */
static void print_parameters(struct str *out, const struct graphql_field *parameters, unsigned level) {
  const struct graphql_field *f;
  bool lines = false;

  if (!parameters) return;
  for (f = parameters; f; f = f->next) lines |= f->description != NULL;
  str_char(out, '(');
  for (f = parameters; f; f = f->next) {
    if (lines) new_line(out, level + 1);
    print_field(out, f, level + 1);
    if (!lines && f->next) str_add(out, ", ");
  }
  if (lines) new_line(out, level);
  str_char(out, ')');
}

static void print_fields(struct str *out, const struct graphql_field *field) {
  for (; field; field = field->next) {
    new_line(out, 1);
    print_field(out, field, 1);
  }
}

static void print_enum_values(struct str *out, const struct graphql_enum_value *value) {
  for (; value; value = value->next) {
    new_line(out, 1);
    print_description(out, value->description, 1);
    str_add(out, value->name);
    print_directives(out, value->directives);
  }
}

static void print_roots(struct str *out, const struct graphql_root *root) {
  for (; root; root = root->next) {
    new_line(out, 1);
    str_printf(out, "%s: %s", operations[root->operation], root->type);
  }
}

/* What is in braces: only one of them is there. */
static void print_body(struct str *out, const struct graphql_definition *d) {
  if (!d->roots && !d->fields && !d->values) return;
  str_add(out, " {");
  print_roots(out, d->roots);
  print_fields(out, d->fields);
  print_enum_values(out, d->values);
  str_add(out, "\n}");
}

static void print_directive_definition(struct str *out, const struct graphql_definition *d) {
  str_printf(out, "directive @%s", d->name);
  print_parameters(out, d->fields, 0);
  if (d->repeatable) str_add(out, " repeatable");
  print_names(out, " on ", d->members, " | ");
}

static void print_type_definition(struct str *out, const struct graphql_definition *d) {
  if (d->extend) str_add(out, "extend ");
  str_add(out, keywords[d->kind]);
  if (d->name) str_printf(out, " %s", d->name);
  print_names(out, " implements ", d->interfaces, " & ");
  print_directives(out, d->directives);
  print_names(out, " = ", d->members, " | ");
  print_body(out, d);
}

void graphql_print_definition(struct str *out, const struct graphql_definition *definition) {
  print_description(out, definition->description, 0);
  switch (definition->kind) {
  case GRAPHQL_DEF_OPERATION: print_operation(out, definition); break;
  case GRAPHQL_DEF_FRAGMENT: print_fragment(out, definition); break;
  case GRAPHQL_DEF_DIRECTIVE: print_directive_definition(out, definition); break;
  default: print_type_definition(out, definition);
  }
  str_char(out, '\n');
}

void graphql_print_document(struct str *out, const struct graphql_document *document) {
  const struct graphql_definition *d;

  for (d = document->definitions; d; d = d->next) {
    graphql_print_definition(out, d);
    if (d->next) str_char(out, '\n');
  }
}
