/* Reads a type's name: words or one qualified name, numbers in parentheses, brackets. */
#include "model/types.h"

#include "base/arena.h"
#include "base/str.h"

#include <ctype.h>
#include <string.h>

/* What PostgreSQL's grammar, not its catalog, calls otherwise (manual, "Data Types"), as format_type() writes it. What
 * stands behind the first word and its parentheses belongs to the name: timestamp(3) with time zone. */
static const struct {
  const char *name, *type, *cast;
} names[] = {
    {"int", "integer", NULL},
    {"int4", "integer", NULL},
    {"int2", "smallint", NULL},
    {"int8", "bigint", NULL},
    {"float4", "real", NULL},
    {"float", "double precision", NULL},
    {"float8", "double precision", NULL},
    {"bool", "boolean", NULL},
    {"decimal", "numeric", NULL},
    {"varchar", "character varying", NULL},
    {"char", "character", "bpchar"},
    {"character", "character", "bpchar"},
    {"timestamptz", "timestamp with time zone", NULL},
    {"timestamp", "timestamp without time zone", NULL},
    {"timetz", "time with time zone", NULL},
    {"time", "time without time zone", NULL},
    {"varbit", "bit varying", NULL},
};

struct reading {
  const void *mem;
  const char *at;
};

static void skip_blanks(struct reading *r) { r->at += strspn(r->at, " \t\n"); }

/* "Name" with "" for a quote inside. NULL: it has no end, or is empty. */
static const char *read_quoted(struct reading *r) {
  struct str *name = str_new(r->mem, 32);

  for (r->at++; *r->at; r->at++) {
    if (*r->at == '"' && r->at[1] != '"') {
      r->at++;
      return name->len ? name->p : NULL;
    }
    if (*r->at == '"') r->at++;
    str_char(name, *r->at);
  }
  return NULL;
}

/* A word, in lower case as PostgreSQL folds it. NULL: there is none. Bytes above ASCII are letters to PostgreSQL. */
static const char *read_word(struct reading *r) {
  const char *start = r->at;
  char *word;

  if (!isalpha((unsigned char)*r->at) && *r->at != '_' && !(*r->at & 0x80)) return NULL;
  while (isalnum((unsigned char)*r->at) || *r->at == '_' || *r->at == '$' || (*r->at & 0x80)) r->at++;
  word = arena_strndup(r->mem, start, (size_t)(r->at - start));
  for (char *c = word; *c; c++) *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 'a' - 'A' : *c);
  return word;
}

/* (10) or (10,2), as one piece of text without blanks; "" when there is none, NULL when it is wrong. */
static const char *read_modifiers(struct reading *r) {
  struct str *text = str_new(r->mem, 16);
  bool digit = false;

  skip_blanks(r);
  if (*r->at != '(') return "";
  str_char(text, *r->at++);
  for (; *r->at != ')'; r->at++) {
    if (*r->at == ' ') continue;
    if (isdigit((unsigned char)*r->at)) digit = true;
    else if (*r->at == ',' && digit) digit = false;
    else if (!(*r->at == '-' && !digit && isdigit((unsigned char)r->at[1]))) return NULL; /* numeric(3,-2) */
    str_char(text, *r->at);
  }
  if (!digit) return NULL;
  str_char(text, *r->at++);
  return text->p;
}

/* [] or [][]: one array to PostgreSQL. */
static bool read_brackets(struct reading *r, bool *list) {
  for (skip_blanks(r); *r->at == '['; skip_blanks(r)) {
    if (*++r->at != ']') return false;
    r->at++;
    *list = true;
  }
  return *r->at == '\0';
}

/* schema.name or "Name": everything in quotes. */
static bool read_user_type(struct reading *r, const char *first, struct type_name *out) {
  struct str *sql = str_new(r->mem, 64);
  const char *second, *modifiers;

  str_sql_ident(sql, first);
  if (*r->at == '.') {
    r->at++;
    if (!(second = *r->at == '"' ? read_quoted(r) : read_word(r))) return false;
    str_char(sql, '.');
    str_sql_ident(sql, second);
  }
  if (!(modifiers = read_modifiers(r)) || !read_brackets(r, &out->list)) return false;
  out->cast_sql = sql->p;
  out->type_sql = arena_printf(r->mem, "%s%s", sql->p, modifiers);
  return true;
}

/* The words behind the first: "precision", "varying", "with time zone". Modifiers may stand before them. */
static bool read_words(struct reading *r, struct str *words, const char **modifiers) {
  const char *word;

  *modifiers = "";
  for (;;) {
    skip_blanks(r);
    if (*r->at == '(') {
      if (**modifiers || !(*modifiers = read_modifiers(r))) return false;
    } else if ((word = read_word(r))) {
      str_printf(words, " %s", word);
    } else {
      return true;
    }
  }
}

/* time (3) with time zone: the number stands behind the first word. */
static const char *put_modifiers(const void *mem, const char *type, const char *modifiers) {
  size_t first = str_starts(type, "time") ? strcspn(type, " ") : strlen(type);

  return arena_printf(mem, "%.*s%s%s", (int)first, type, modifiers, type + first);
}

static bool read_own_type(struct reading *r, const char *first, struct type_name *out) {
  struct str *words = str_new(r->mem, 32);
  const char *modifiers, *type, *cast = NULL;

  str_add(words, first);
  if (!read_words(r, words, &modifiers) || !read_brackets(r, &out->list)) return false;
  type = words->p;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (strcmp(type, names[i].name) != 0) continue;
    type = names[i].type;
    cast = names[i].cast;
    break;
  }
  /* format_type() says character(1) of what was declared as character: there it is a length like any other */
  if (cast && !*modifiers) modifiers = "(1)";
  out->type_sql = put_modifiers(r->mem, type, modifiers);
  out->cast_sql = cast ? cast : type;
  return true;
}

bool type_name_read(const void *mem, const char *name, struct type_name *out) {
  struct reading r = {.mem = mem, .at = name};
  bool quoted;
  const char *first;

  *out = (struct type_name){0};
  skip_blanks(&r);
  quoted = *r.at == '"';
  first = quoted ? read_quoted(&r) : read_word(&r);
  if (!first) return false;
  return quoted || *r.at == '.' ? read_user_type(&r, first, out) : read_own_type(&r, first, out);
}

/* ---- scalars ---- */

/* The first row of a type is what it is read as; by the others it may be stored as well. */
static const struct {
  const char *base;
  enum scalar scalar;
} stores[] = {
    {"text", SCALAR_STRING},
    {"text", SCALAR_ID},
    {"text", SCALAR_ENUM},
    {"varchar", SCALAR_STRING},
    {"varchar", SCALAR_ID},
    {"varchar", SCALAR_ENUM},
    {"bpchar", SCALAR_STRING},
    {"bpchar", SCALAR_ID},
    {"bpchar", SCALAR_ENUM},
    {"name", SCALAR_STRING},
    {"citext", SCALAR_STRING},
    {"citext", SCALAR_ID},
    {"int4", SCALAR_INT},
    {"int2", SCALAR_INT},
    {"int8", SCALAR_BIGINT},
    {"int4", SCALAR_BIGINT},
    {"int2", SCALAR_BIGINT},
    {"float8", SCALAR_FLOAT},
    {"float4", SCALAR_FLOAT},
    {"numeric", SCALAR_DECIMAL},
    {"numeric", SCALAR_FLOAT},
    {"bool", SCALAR_BOOLEAN},
    {"timestamptz", SCALAR_DATETIME},
    {"timestamp", SCALAR_DATETIME},
    {"date", SCALAR_DATETIME},
    {"jsonb", SCALAR_JSON},
    {"json", SCALAR_JSON},
    {"uuid", SCALAR_UUID},
};

/* citext is an extension's type, in whatever schema that was put. */
static const char *plain_base(const char *base) {
  const char *dot = strrchr(base, '.');

  return dot && strcmp(dot + 1, "citext") == 0 ? dot + 1 : base;
}

bool type_scalar(const char *base, enum scalar *out) {
  base = plain_base(base);
  for (size_t i = 0; i < sizeof stores / sizeof *stores; i++) {
    if (strcmp(stores[i].base, base) != 0) continue;
    *out = stores[i].scalar;
    return true;
  }
  return false;
}

bool type_fits(const char *base, bool is_enum, enum scalar scalar) {
  if (is_enum) return scalar == SCALAR_ENUM;
  base = plain_base(base);
  for (size_t i = 0; i < sizeof stores / sizeof *stores; i++)
    if (stores[i].scalar == scalar && strcmp(stores[i].base, base) == 0) return true;
  return false;
}
