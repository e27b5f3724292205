/* The directives of a data model: which there are, where they may stand, and what they take. */
#include "model/reader.h"

#include "base/arena.h"

#include <string.h>

enum argument_kind { TAKES_TEXT, TAKES_TEXTS, TAKES_INT, TAKES_WORD, TAKES_ANY };

struct argument_rule {
  const char *name;
  enum argument_kind kind;
  bool needed;
  const char *words; /* TAKES_WORD: those that are allowed, with blanks around each */
};

enum { ARGUMENTS_MAX = 4 };

static const struct directive_rule {
  const char *name;
  unsigned places;
  bool repeats;
  struct argument_rule arguments[ARGUMENTS_MAX];
} rules[] = {
    {"id", ON_FIELD, false, {{.name = "strategy", .kind = TAKES_WORD, .words = " AUTO NONE SEQUENCE "}}},
    {"id", ON_TYPE, false, {{.name = "fields", .kind = TAKES_TEXTS, .needed = true}}},
    {"unique", ON_FIELD, false, {{0}}},
    {"unique", ON_TYPE, true, {{.name = "fields", .kind = TAKES_TEXTS, .needed = true}}},
    {"sequence",
     ON_FIELD,
     false,
     {{.name = "name", .kind = TAKES_TEXT, .needed = true},
      {.name = "schema", .kind = TAKES_TEXT},
      {.name = "initialValue", .kind = TAKES_INT},
      {.name = "allocationSize", .kind = TAKES_INT}}},
    {"default", ON_FIELD, false, {{.name = "value", .kind = TAKES_ANY}, {.name = "sql", .kind = TAKES_TEXT}}},
    {"createdAt", ON_FIELD, false, {{0}}},
    {"updatedAt", ON_FIELD, false, {{0}}},
    {"relation",
     ON_FIELD,
     false,
     {{.name = "name", .kind = TAKES_TEXT},
      {.name = "link", .kind = TAKES_WORD, .words = " INLINE TABLE "},
      {.name = "onDelete", .kind = TAKES_WORD, .words = " CASCADE SET_NULL "}}},
    {"scalarList", ON_FIELD, false, {{.name = "strategy", .kind = TAKES_WORD, .words = " RELATION "}}},
    {"db",
     ON_FIELD,
     false,
     {{.name = "name", .kind = TAKES_TEXT}, {.name = "names", .kind = TAKES_TEXTS}, {.name = "type", .kind = TAKES_TEXT}}},
    {"db", ON_TYPE | ON_ENUM, false, {{.name = "name", .kind = TAKES_TEXT}, {.name = "schema", .kind = TAKES_TEXT}}},
    {"db", ON_ENUM_VALUE, false, {{.name = "name", .kind = TAKES_TEXT, .needed = true}}},
    {"db", ON_SCHEMA, false, {{.name = "schema", .kind = TAKES_TEXT, .needed = true}}},
    {"entity", ON_TYPE, false, {{0}}},
    {"relationTable", ON_TYPE, false, {{0}}},
};

static const struct directive_rule *find_rule(const char *name, unsigned place, bool *elsewhere) {
  *elsewhere = false;
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
    if (strcmp(rules[i].name, name) != 0) continue;
    if (rules[i].places & place) return &rules[i];
    *elsewhere = true;
  }
  return NULL;
}

static const struct argument_rule *find_argument(const struct directive_rule *rule, const char *name) {
  for (size_t i = 0; i < ARGUMENTS_MAX && rule->arguments[i].name; i++)
    if (strcmp(rule->arguments[i].name, name) == 0) return &rule->arguments[i];
  return NULL;
}

/* A text that can be a NUL-terminated string. */
static bool is_text(const struct graphql_value *value) {
  return value->kind == GRAPHQL_VALUE_STRING && strlen(value->text) == value->len;
}

static bool are_texts(const struct graphql_value *value) {
  if (value->kind != GRAPHQL_VALUE_LIST || !value->items) return false;
  for (const struct graphql_value *item = value->items; item; item = item->next)
    if (!is_text(item)) return false;
  return true;
}

static bool is_word_of(const char *words, const struct graphql_value *value) {
  char padded[32];

  if (value->kind != GRAPHQL_VALUE_ENUM || value->len > sizeof padded - 3) return false;
  padded[0] = ' ';
  memcpy(padded + 1, value->text, value->len);
  memcpy(padded + 1 + value->len, " ", 2);
  return strstr(words, padded) != NULL;
}

static bool fits(const struct argument_rule *rule, const struct graphql_value *value) {
  switch (rule->kind) {
  case TAKES_TEXT: return is_text(value);
  case TAKES_TEXTS: return are_texts(value);
  case TAKES_INT: return value->kind == GRAPHQL_VALUE_INT;
  case TAKES_WORD: return is_word_of(rule->words, value);
  case TAKES_ANY: return value->kind != GRAPHQL_VALUE_VARIABLE;
  }
  return false;
}

static const char *form_of(const void *mem, const struct argument_rule *rule) {
  switch (rule->kind) {
  case TAKES_TEXT: return "a string in quotes";
  case TAKES_TEXTS: return "a list of strings, as in [\"a\", \"b\"]";
  case TAKES_INT: return "a whole number";
  case TAKES_WORD: return arena_printf(mem, "one of%.*s", (int)strlen(rule->words) - 1, rule->words);
  case TAKES_ANY: break;
  }
  return "a value, not a variable";
}

static void check_arguments(struct model_reader *r, const struct directive_rule *rule, const char *where,
                            const struct graphql_directive *d) {
  int line = (int)d->pos.line;

  for (const struct graphql_argument *a = d->arguments; a; a = a->next) {
    const struct argument_rule *known = find_argument(rule, a->name);

    if (!known) schema_wrong(r, line, "%s: @%s takes no %s:; remove it", where, d->name, a->name);
    else if (!fits(known, a->value))
      schema_wrong(r, line, "%s: @%s(%s:) takes %s", where, d->name, a->name, form_of(r->mem, known));
    for (const struct graphql_argument *b = a->next; b; b = b->next)
      if (strcmp(a->name, b->name) == 0) schema_wrong(r, line, "%s: @%s has %s: twice; keep one", where, d->name, a->name);
  }
  for (size_t i = 0; i < ARGUMENTS_MAX && rule->arguments[i].name; i++) {
    const struct argument_rule *needed = &rule->arguments[i];
    const struct graphql_argument *a = d->arguments;

    while (a && strcmp(a->name, needed->name) != 0) a = a->next;
    if (needed->needed && !a)
      schema_wrong(r, line, "%s: @%s needs %s:, which takes %s", where, d->name, needed->name, form_of(r->mem, needed));
  }
}

static const char *place_name(enum directive_place place) {
  switch (place) {
  case ON_TYPE: return "a type";
  case ON_FIELD: return "a field";
  case ON_ENUM: return "an enum";
  case ON_ENUM_VALUE: return "a value of an enum";
  case ON_SCHEMA: break;
  }
  return "schema";
}

void directives_check(struct model_reader *r, enum directive_place place, const char *where,
                      const struct graphql_directive *directives) {
  for (const struct graphql_directive *d = directives; d; d = d->next) {
    bool elsewhere;
    const struct directive_rule *rule = find_rule(d->name, place, &elsewhere);

    if (!rule && strcmp(d->name, "embedded") == 0)
      schema_wrong(r, (int)d->pos.line,
                   "%s: @embedded is for document databases; make it a type of its own, or a Json field", where);
    else if (!rule)
      schema_wrong(r, (int)d->pos.line, "%s: @%s %s; remove it", where, d->name,
                   elsewhere ? arena_printf(r->mem, "cannot stand on %s", place_name(place))
                             : "is no directive of a data model");
    if (!rule) continue;
    check_arguments(r, rule, where, d);
    for (const struct graphql_directive *other = d->next; other && !rule->repeats; other = other->next)
      if (strcmp(d->name, other->name) == 0)
        schema_wrong(r, (int)other->pos.line, "%s: @%s is there twice; keep one", where, d->name);
  }
}

const struct graphql_directive *directive_find(const struct graphql_directive *directives, const char *name) {
  while (directives && strcmp(directives->name, name) != 0) directives = directives->next;
  return directives;
}

/* An argument of a name that several rules have is of one kind in all of them. */
const struct graphql_value *directive_value(const struct graphql_directive *directive, const char *argument) {
  for (const struct graphql_argument *a = directive ? directive->arguments : NULL; a; a = a->next) {
    if (strcmp(a->name, argument) != 0) continue;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
      const struct argument_rule *known = find_argument(&rules[i], argument);

      if (known && strcmp(rules[i].name, directive->name) == 0) return fits(known, a->value) ? a->value : NULL;
    }
  }
  return NULL;
}

const char *directive_text(const struct graphql_directive *directive, const char *argument) {
  const struct graphql_value *value = directive_value(directive, argument);

  return value ? value->text : NULL;
}

struct texts directive_texts(struct model_reader *r, const struct graphql_directive *directive, const char *argument) {
  const struct graphql_value *value = directive_value(directive, argument);
  struct texts texts = {.items = arena_array(r->mem, const char *, value ? value->len + 1 : 1)};

  for (const struct graphql_value *item = value ? value->items : NULL; item; item = item->next)
    texts.items[texts.n++] = item->text;
  return texts;
}
