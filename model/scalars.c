/* Scalar fields: the type of the column, the default, and who makes a value when the client gives none. */
#include "model/reader.h"

#include "base/arena.h"
#include "base/str.h"
#include "model/types.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ID_CHARACTERS = 25 }; /* a cuid's length, and the most that an ID of Prisma 1 had */

static bool wrong(struct model_reader *r, const struct field_draft *f, const char *text) {
  return schema_wrong(r, f->field->line, "%s.%s: %s", f->field->model->name, f->field->name, text);
}

struct column *column_new(struct model_reader *r, const char *name, const struct column *like) {
  struct column *c = arena_new(r->mem, struct column);
  struct str *sql = str_new(r->mem, 32);

  if (like)
    *c = (struct column){.scalar = like->scalar,
                         .enumeration = like->enumeration,
                         .type_sql = like->type_sql,
                         .cast_sql = like->cast_sql,
                         .bytewise = like->bytewise,
                         .zoned = like->zoned};
  str_sql_ident(sql, name);
  c->name = name;
  c->sql = sql->p;
  return c;
}

/* ---- types ---- */

static void read_type(struct model_reader *r, struct field_draft *f, struct column *c) {
  const char *given = directive_text(directive_find(f->def->directives, "db"), "type");
  struct type_name type = {0};

  if (given && !type_name_read(r->mem, given, &type))
    wrong(r, f, "@db(type:) takes the name of a type of PostgreSQL, as in \"varchar(40)\" or \"public.citext\"");
  if (type.list && !c->list) wrong(r, f, "@db(type:) is an array and the field is not; write the field's type in [ ]");
  if (!type.type_sql && c->enumeration) type.type_sql = type.cast_sql = c->enumeration->type_sql;
  if (!type.type_sql) type.type_sql = type.cast_sql = scalar_type_sql(c->scalar);
  c->type_sql = c->list ? arena_printf(r->mem, "%s[]", type.type_sql) : type.type_sql;
  c->cast_sql = c->list ? arena_printf(r->mem, "%s[]", type.cast_sql) : type.cast_sql;
  c->zoned = c->scalar == SCALAR_DATETIME && str_starts(type.cast_sql, "timestamp with time zone");
  if (given || c->scalar != SCALAR_ID) return;
  c->bytewise = true; /* so that the order of keys is the order of creation, in any database */
  f->field->max_length = ID_CHARACTERS;
}

/* ---- defaults ---- */

static const char *value_form(enum scalar s) {
  switch (s) {
  case SCALAR_INT: return "a whole number of 32 bits";
  case SCALAR_BIGINT: return "a whole number of 64 bits, also in quotes";
  case SCALAR_FLOAT: return "a number";
  case SCALAR_DECIMAL: return "a number, also in quotes";
  case SCALAR_BOOLEAN: return "true or false";
  case SCALAR_ENUM: return "a value of the enum";
  default: return "a string in quotes";
  }
}

static bool is_whole(const char *text, long long least, long long most) {
  char *end;
  long long number;

  errno = 0;
  number = strtoll(text, &end, 10);
  return *text && strchr("-0123456789", *text) && !*end && !errno && number >= least && number <= most;
}

static bool is_decimal(const char *text) {
  return *text && text[strspn(text, "+-.eE0123456789")] == '\0' && strpbrk(text, "0123456789");
}

/* What value means for the column, as a text in PostgreSQL's input syntax; NULL: it does not fit. */
static const char *default_text(const struct field *field, const struct graphql_value *v) {
  bool text = v->kind == GRAPHQL_VALUE_STRING && strlen(v->text) == v->len;
  bool whole = v->kind == GRAPHQL_VALUE_INT, number = whole || v->kind == GRAPHQL_VALUE_FLOAT;
  const struct enum_value *of_enum;

  switch (field->scalar) {
  case SCALAR_INT: return whole && is_whole(v->text, INT32_MIN, INT32_MAX) ? v->text : NULL;
  case SCALAR_BIGINT: return (whole || text) && is_whole(v->text, INT64_MIN, INT64_MAX) ? v->text : NULL;
  case SCALAR_FLOAT: return number ? v->text : NULL;
  case SCALAR_DECIMAL: return number || (text && is_decimal(v->text)) ? v->text : NULL;
  case SCALAR_BOOLEAN: return v->kind == GRAPHQL_VALUE_BOOLEAN ? v->text : NULL;
  case SCALAR_ENUM:
    of_enum = text || v->kind == GRAPHQL_VALUE_ENUM ? enum_value(field->enumeration, v->text) : NULL;
    return of_enum ? of_enum->label : NULL;
  case SCALAR_ID: return text || whole ? v->text : NULL;
  default: return text ? v->text : NULL;
  }
}

static void default_value(struct model_reader *r, struct field_draft *f, const struct graphql_value *value) {
  struct field *field = f->field;
  struct str *sql;

  field->default_text = default_text(field, value);
  if (!field->default_text) {
    schema_wrong(r, field->line, "%s.%s: @default(value:) takes %s", field->model->name, field->name,
                 value_form(field->scalar));
    return;
  }
  sql = str_new(r->mem, 64);
  str_sql_literal(sql, field->default_text);
  str_printf(sql, "::%s", field->column->cast_sql);
  field->default_sql = sql->p;
}

static void read_default(struct model_reader *r, struct field_draft *f) {
  const struct graphql_directive *d = directive_find(f->def->directives, "default");
  const struct graphql_value *value = directive_value(d, "value"), *sql = directive_value(d, "sql");

  if (!d) return;
  f->field->source = SOURCE_DEFAULT;
  if (value && sql) wrong(r, f, "@default has value: and sql:; keep one");
  else if (!value && !sql) wrong(r, f, "@default needs value:, or sql: with an expression of PostgreSQL");
  else if (f->field->list) wrong(r, f, "a list has no default, it begins empty; remove @default");
  else if (value) default_value(r, f, value);
  else f->field->default_sql = sql->text;
}

/* ---- time stamps ---- */

static void read_stamp(struct model_reader *r, struct field_draft *f, const char *directive, enum value_source source) {
  if (!directive_find(f->def->directives, directive)) return;
  if (f->field->scalar != SCALAR_DATETIME || f->field->list)
    schema_wrong(r, f->field->line, "%s.%s: @%s stands on a DateTime, which is no list", f->field->model->name,
                 f->field->name, directive);
  else if (f->field->source != SOURCE_CLIENT)
    schema_wrong(r, f->field->line, "%s.%s: @%s excludes @default and the other of @createdAt and @updatedAt; keep one",
                 f->field->model->name, f->field->name, directive);
  f->field->source = source;
}

/* ---- keys ---- */

/* nextval('"public"."Child_no"'), or of the sequence that the column owns, whatever it is called. */
static const char *next_sql(struct model_reader *r, const struct field *field) {
  struct str *sql = str_new(r->mem, 96);

  if (field->sequence) {
    str_add(sql, "nextval(");
    str_sql_literal(sql, schema_qualified(r->mem, field->sequence_schema, field->sequence));
  } else {
    str_add(sql, "nextval(pg_get_serial_sequence(");
    str_sql_literal(sql, field->model->table_sql);
    str_add(sql, ", ");
    str_sql_literal(sql, field->column->name);
    str_char(sql, ')');
  }
  str_char(sql, ')');
  return sql->p;
}

static long long whole_number(struct model_reader *r, struct field_draft *f, const struct graphql_directive *d,
                              const char *argument) {
  const struct graphql_value *value = directive_value(d, argument);

  if (!value) return 1;
  if (is_whole(value->text, INT64_MIN, INT64_MAX) && strtoll(value->text, NULL, 10) != 0)
    return strtoll(value->text, NULL, 10);
  schema_wrong(r, f->field->line, "%s.%s: %s: takes a whole number of 64 bits, not 0", f->field->model->name, f->field->name,
               argument);
  return 1;
}

static void read_sequence(struct model_reader *r, struct field_draft *f, bool wanted) {
  const struct graphql_directive *d = directive_find(f->def->directives, "sequence");
  struct field *field = f->field;

  if (!d) return;
  if (!wanted) wrong(r, f, "@sequence goes with @id(strategy: SEQUENCE) on an Int or BigInt");
  field->sequence_start = whole_number(r, f, d, "initialValue");
  field->sequence_step = whole_number(r, f, d, "allocationSize");
  field->sequence_schema = field->model->schema;
  if (directive_value(d, "schema")) schema_db_name(r, directive_value(d, "schema"), &field->sequence_schema);
  if (directive_value(d, "name")) schema_db_name(r, directive_value(d, "name"), &field->sequence);
}

/* varchar(20), char(20): how many characters a column takes; 0: any number. */
static unsigned long most_characters(const struct column *c) {
  const char *number = str_starts(c->type_sql, "character") ? strchr(c->type_sql, '(') : NULL;
  return number ? strtoul(number + 1, NULL, 10) : 0;
}

static void read_strategy(struct model_reader *r, struct field_draft *f, const struct graphql_directive *id) {
  struct field *field = f->field;
  const char *strategy = directive_text(id, "strategy");
  bool none = strategy && strcmp(strategy, "NONE") == 0, sequence = strategy && strcmp(strategy, "SEQUENCE") == 0;
  bool number = field->scalar == SCALAR_INT || field->scalar == SCALAR_BIGINT;

  if (sequence && !number) wrong(r, f, "@id(strategy: SEQUENCE) goes with Int or BigInt");
  read_sequence(r, f, sequence && number);
  if (none) return;
  if (field->source == SOURCE_DEFAULT) {
    wrong(r, f, "the key is generated, or it has a default; write @id(strategy: NONE), or remove @default");
    return;
  }
  if (field->scalar == SCALAR_UUID) field->source = SOURCE_UUID7;
  else if (field->scalar == SCALAR_ID) field->source = SOURCE_CUID;
  else if (number) field->source = SOURCE_SEQUENCE;
  else wrong(r, f, "a key of this type cannot be generated; write @id(strategy: NONE)");
  if (field->source == SOURCE_SEQUENCE) field->next_sql = next_sql(r, field);
  if (field->source == SOURCE_CUID && most_characters(field->column) && most_characters(field->column) < ID_CHARACTERS)
    wrong(
        r, f,
        "a key that writ makes has 25 characters, more than its column takes; write @id(strategy: NONE), or a longer type");
}

static void read_key(struct model_reader *r, struct field_draft *f) {
  const struct graphql_directive *id = directive_find(f->def->directives, "id");

  if (f->is_key) read_strategy(r, f, id);
  else if (directive_find(f->def->directives, "sequence")) read_sequence(r, f, false);
  if (f->is_key && !f->field->required) wrong(r, f, "a key is always there; write ! behind its type");
  if (!f->is_key && !f->is_unique) return;
  if (f->field->list) wrong(r, f, "a list cannot be a key nor unique; remove @id or @unique");
  if (f->is_key && (f->field->scalar == SCALAR_JSON || f->field->scalar == SCALAR_FLOAT))
    wrong(r, f, "Json and Float cannot be keys; take another type");
}

void scalar_read(struct model_reader *r, struct field_draft *f) {
  struct field *field = f->field;
  const char *name = f->columns.n ? f->columns.items[0] : field->name;
  struct column *c = column_new(r, name, NULL);

  if (strlen(name) > MODEL_NAME_BYTES)
    wrong(r, f, "a column's name has at most 63 bytes; give a shorter one with @db(name:)");
  if (f->columns.n > 1) wrong(r, f, "a scalar stands in one column; write @db(name:)");
  c->scalar = field->scalar;
  c->enumeration = field->enumeration;
  c->list = field->list;
  c->required = field->required || field->list;
  c->field = field;
  field->column = c;
  read_type(r, f, c);
  read_default(r, f);
  read_stamp(r, f, "createdAt", SOURCE_CREATED);
  read_stamp(r, f, "updatedAt", SOURCE_UPDATED);
  read_key(r, f);
  if (directive_find(f->def->directives, "relation"))
    wrong(r, f, "@relation stands on fields whose type is another type; remove it");
  if (directive_find(f->def->directives, "scalarList") && !field->list)
    wrong(r, f, "@scalarList goes with a list; remove it");
}
