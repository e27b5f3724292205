/* What writ says of documents: tests/graphql/verdict SCHEMA FILE... The schema is a text in SDL; or NAME.yaml, a
 * manifest, whose schema is made as writd makes it, and --role=ROLE before it says who sees it.
 *
 * * A file has cases. Each begins with a line "### NAME"; the lines behind it, up to the next, are the document, comments
 * included. A comment "# expect RULE ..." says by which rules it is refused (Syntax: by the parser; Variables: by what is
 * given for them; Arguments: by what they then mean); "# expect-ROLE" says it for a role, where that sees another schema.
 * "# variables JSON" gives variables, and then values are looked at. A line of JSON is printed for each case, for
 * comparison with tests/js/verdict.js, which prints the same; to stderr and with status 1 goes what was not expected. */
#include "base/arena.h"
#include "base/json.h"
#include "base/problems.h"
#include "base/str.h"
#include "documents/coerce.h"
#include "documents/validate.h"
#include "graphql/parse.h"
#include "manifest/config.h"
#include "manifest/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;
static const char *role; /* NULL: all is seen */
static const struct schema_view *view;

static char *read_file(const void *mem, const char *name) {
  struct str *s = str_new(mem, 65536);
  FILE *file = fopen(name, "r");
  char buffer[4096];
  size_t n;

  if (!file) {
    perror(name);
    exit(2);
  }
  while ((n = fread(buffer, 1, sizeof buffer, file)) > 0) str_bytes(s, buffer, n);
  fclose(file);
  return s->p;
}

static const struct schema *read_schema(const void *mem, const char *name) {
  char *text = read_file(mem, name);
  const struct graphql_document *document;
  const struct schema *schema;
  struct problems problems;
  struct err e;

  err_init(&e, mem);
  problems_init(&problems, mem);
  if (!graphql_parse_schema(mem, text, strlen(text), &graphql_limits_default, &document, &e)) {
    fprintf(stderr, "%s: %s\n", name, e.message);
    exit(2);
  }
  schema = schema_read(mem, name, document, &problems);
  problems_print(&problems);
  if (!schema) exit(2);
  return schema;
}

static const struct schema *make_schema(const void *mem, const char *name) {
  struct datasource *source = arena_new(mem, struct datasource);
  struct config *config = arena_new(mem, struct config);
  const struct manifest *manifest;
  const struct schema *schema;
  struct problems problems;

  problems_init(&problems, mem);
  source->name = "main";
  config->manifest = name;
  config->datasources = source;
  config->ndatasources = 1;
  manifest = manifest_load(mem, config, &problems);
  schema = manifest ? schema_make(mem, manifest, &problems) : NULL;
  problems_print(&problems);
  if (!schema) exit(2);
  if (role) view = schema_view_new(mem, schema, role, false);
  return schema;
}

/* The rest of the line "# word ..."; NULL: there is none. */
static char *remark(const void *mem, const char *text, const char *word) {
  for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
    if (strncmp(line, "# ", 2) == 0 && strncmp(line + 2, word, strlen(word)) == 0 && line[2 + strlen(word)] == ' ')
      return arena_strndup(mem, line + 3 + strlen(word), strcspn(line + 3 + strlen(word), "\n"));
  return NULL;
}

static const struct graphql_definition *first_operation(const struct graphql_document *document) {
  const struct graphql_definition *def = document->definitions;

  while (def->kind != GRAPHQL_DEF_OPERATION) def = def->next;
  return def;
}

static void put_errors(struct str *out, const struct gql_errors *errors) {
  for (size_t i = 0; i < errors->n; i++) {
    str_printf(out, "%s[\"%s\",[", i ? "," : "", errors->list[i].rule ? errors->list[i].rule : "");
    for (size_t j = 0; j < errors->list[i].nlocations; j++)
      str_printf(out, "%s[%u,%u]", j ? "," : "", errors->list[i].locations[j].line, errors->list[i].locations[j].column);
    str_add(out, "]]");
  }
}

static const struct graphql_value *literal_of(const struct graphql_selection *node, const char *name) {
  for (const struct graphql_argument *a = node->arguments; a; a = a->next)
    if (strcmp(a->name, name) == 0) return a->value;
  return NULL;
}

/* The arguments of the root fields, as commands would get them. */
static void put_arguments(void *mem, struct str *out, const struct schema *schema,
                          const struct graphql_definition *operation, const struct json *variables,
                          struct gql_errors *errors) {
  const struct gql_type *root = operation->operation == GRAPHQL_QUERY ? schema->query : schema->mutation;
  const char *between = "";

  for (const struct graphql_selection *node = operation->selections; node; node = node->next) {
    const struct gql_field *field = node->kind == GRAPHQL_FIELD ? schema_field(root, node->name) : NULL;
    if (!field) continue;
    str_printf(out, "%s\"%s\":{", between, node->alias);
    between = "";
    for (size_t i = 0; i < field->nargs; i++) {
      const struct graphql_value *literal = literal_of(node, field->args[i].name);
      const struct json *value = coerce_argument(mem, schema, &field->args[i], literal, node->pos, variables, errors);
      if (!value) continue;
      str_printf(out, "%s\"%s\":", between, field->args[i].name);
      json_write(out, value);
      between = ",";
    }
    str_add(out, "}");
    between = ",";
  }
}

static void add_rule(struct str *rules, const char *rule) {
  if (!strstr(rules->p, rule)) str_printf(rules, "%s%s", rules->len ? " " : "", rule);
}

static const struct json *read_variables(void *mem, const char *text) {
  const struct json *given;
  struct err e;

  err_init(&e, mem);
  if (json_read(mem, text, strlen(text), 64, &given, &e)) return given;
  fprintf(stderr, "variables: %s\n", e.message);
  exit(2);
}

static void put_values(void *mem, struct str *out, struct str *rules, const struct schema *schema,
                       const struct graphql_document *document, const char *given) {
  const struct graphql_definition *operation = first_operation(document);
  struct gql_errors errors = {.mem = mem};
  const struct json *variables = coerce_variables(mem, view, schema, operation, read_variables(mem, given), &errors);
  struct str *arguments = str_new(mem, 256);

  if (!variables) {
    add_rule(rules, "Variables");
    str_printf(out, ",\"refused\":%zu", errors.n);
    for (size_t i = 0; getenv("VERBOSE") && i < errors.n; i++) fprintf(stderr, "    %s\n", errors.list[i].message);
    return;
  }
  str_add(out, ",\"variables\":");
  json_write(out, variables);
  put_arguments(mem, arguments, schema, operation, variables, &errors);
  if (errors.n) add_rule(rules, "Arguments");
  for (size_t i = 0; getenv("VERBOSE") && i < errors.n; i++) fprintf(stderr, "    %s\n", errors.list[i].message);
  if (errors.n) str_add(out, ",\"arguments\":null");
  else str_printf(out, ",\"arguments\":{%s}", arguments->p);
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static const char *sorted(void *mem, const char *words) {
  char *copy = arena_strdup(mem, words), *list[64];
  struct str *s = str_new(mem, 64);
  size_t n = 0;

  for (char *word = strtok(copy, " "); word && n < 64; word = strtok(NULL, " ")) list[n++] = word;
  qsort(list, n, sizeof *list, by_text);
  for (size_t i = 0; i < n; i++) str_printf(s, "%s%s", i ? " " : "", list[i]);
  return s->p;
}

static void judge(const struct schema *schema, const char *file, const char *name, const char *text) {
  void *mem = arena_request(NULL);
  struct gql_errors errors = {.mem = mem};
  struct str *out = str_new(mem, 1024), *rules = str_new(mem, 64);
  const char *expected = role ? remark(mem, text, arena_printf(mem, "expect-%s", role)) : NULL;
  const struct graphql_document *document;
  struct err e;

  if (!expected) expected = remark(mem, text, "expect");
  err_init(&e, mem);
  str_add(out, "{\"case\":");
  str_json(out, name);
  str_add(out, ",\"errors\":[");
  if (!graphql_parse(mem, text, strlen(text), &graphql_limits_default, &document, &e)) {
    str_printf(out, "[\"Syntax\",[[%u,%u]]]]", e.input_line, e.input_column);
    add_rule(rules, "Syntax");
  } else if (!document_validate(mem, view, schema, document, NULL, &errors)) {
    put_errors(out, &errors);
    str_add(out, "]");
    for (size_t i = 0; i < errors.n; i++) add_rule(rules, errors.list[i].rule ? errors.list[i].rule : "?");
  } else {
    str_add(out, "]");
    if (remark(mem, text, "variables")) put_values(mem, out, rules, schema, document, remark(mem, text, "variables"));
  }
  str_add(out, "}");
  puts(out->p);
  if (strcmp(sorted(mem, rules->p), sorted(mem, expected ? expected : "")) != 0) {
    fprintf(stderr, "%s: %s: expected \"%s\", got \"%s\"\n", file, name, expected ? expected : "", rules->p);
    for (size_t i = 0; i < errors.n; i++) fprintf(stderr, "    %s: %s\n", errors.list[i].rule, errors.list[i].message);
    failures++;
  }
  talloc_free(mem);
}

static size_t judge_file(const void *mem, const struct schema *schema, const char *file) {
  char *text = read_file(mem, file), *at = strncmp(text, "### ", 4) == 0 ? text : NULL;
  size_t n = 0;

  for (char *next; at; at = next, n++) {
    char *name = at + 4, *end = strchr(name, '\n');
    next = strstr(end, "\n### ");
    if (next) *next++ = '\0';
    *end = '\0';
    judge(schema, file, name, end + 1);
  }
  return n;
}

int main(int argc, char **argv) {
  void *mem = arena_request(NULL);
  const struct schema *schema;
  size_t n = 0;

  if (argc > 1 && strncmp(argv[1], "--role=", 7) == 0) role = argv[1] + 7, argv++, argc--;
  if (argc < 3) {
    fputs("usage: verdict [--role=ROLE] SCHEMA FILE...\n", stderr);
    return 2;
  }
  schema = strstr(argv[1], ".yaml") ? make_schema(mem, argv[1]) : read_schema(mem, argv[1]);
  for (int i = 2; i < argc; i++) n += judge_file(mem, schema, argv[i]);
  fprintf(stderr, "verdict: %zu documents, %d not as expected\n", n, failures);
  talloc_free(mem);
  return failures || !n;
}
