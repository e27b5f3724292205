/* Reads a data model: its types, enums and fields; what holds between them is in relations.c and keys.c. */
#include "model/read.h"

#include "base/arena.h"
#include "base/err.h"
#include "base/problems.h"
#include "base/str.h"
#include "graphql/parse.h"
#include "model/names.h"
#include "model/own.h"
#include "model/reader.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool schema_wrong(struct model_reader *r, int line, const char *format, ...) {
  va_list args;
  char *text;

  va_start(args, format);
  text = talloc_vasprintf(r->mem, format, args);
  va_end(args);
  if (!text) abort();
  problems_add(r->problems, r->out->file, line, "%s", text);
  return false;
}

bool schema_db_name(struct model_reader *r, const struct graphql_value *value, const char **out) {
  if (value->len == 0 || value->len > MODEL_NAME_BYTES || strlen(value->text) != value->len)
    return schema_wrong(r, (int)value->pos.line, "a name in the database has 1 to %d bytes", MODEL_NAME_BYTES);
  *out = value->text;
  return true;
}

struct model_draft *schema_draft(struct model_reader *r, const char *type, bool link_table) {
  for (size_t i = 0; i < r->ndrafts; i++)
    if (r->drafts[i].is_link_table == link_table && strcmp(r->drafts[i].model->name, type) == 0) return &r->drafts[i];
  return NULL;
}

static const char *text_of(const struct graphql_value *description) {
  return description && description->len ? description->text : NULL;
}

const char *schema_qualified(const void *mem, const char *schema, const char *name) {
  struct str *sql = str_new(mem, 64);

  str_sql_ident(sql, schema);
  str_char(sql, '.');
  str_sql_ident(sql, name);
  return sql->p;
}

/* The place in the database of a type or an enum: @db, or its own name in the file's schema. */
static void read_place(struct model_reader *r, const struct graphql_definition *def, const char **schema,
                       const char **name) {
  const struct graphql_directive *db = directive_find(def->directives, "db");

  *schema = r->schema;
  *name = def->name;
  if (directive_value(db, "schema")) schema_db_name(r, directive_value(db, "schema"), schema);
  if (directive_value(db, "name")) schema_db_name(r, directive_value(db, "name"), name);
  else if (strlen(def->name) > MODEL_NAME_BYTES)
    schema_wrong(r, (int)def->name_pos.line,
                 "%s has more than the %d bytes of a name in PostgreSQL; give a shorter one with "
                 "@db(name:)",
                 def->name, MODEL_NAME_BYTES);
}

/* ---- enums ---- */

static void read_enum_value(struct model_reader *r, struct enumeration *e, const struct graphql_enum_value *def) {
  struct enum_value *v = (struct enum_value *)&e->values[e->nvalues++];
  const struct graphql_value *label;

  *v = (struct enum_value){.name = def->name, .label = def->name, .description = text_of(def->description)};
  directives_check(r, ON_ENUM_VALUE, arena_printf(r->mem, "%s.%s", e->name, def->name), def->directives);
  label = directive_value(directive_find(def->directives, "db"), "name");
  if (label && !label->len) v->label = ""; /* PostgreSQL takes it for a label, though not for a name */
  else if (label) schema_db_name(r, label, &v->label);
  if (!isupper((unsigned char)def->name[0]))
    schema_wrong(r, (int)def->pos.line,
                 "%s.%s: values of an enum begin with an upper-case letter; the database keeps what it has "
                 "with @db(name:)",
                 e->name, def->name);
  if (strlen(v->label) > MODEL_NAME_BYTES)
    schema_wrong(r, (int)def->pos.line, "%s.%s has more than the %d bytes of a label in PostgreSQL", e->name, def->name,
                 MODEL_NAME_BYTES);
  for (const struct enum_value *other = e->values; other < v; other++)
    if (strcmp(other->name, v->name) == 0 || strcmp(other->label, v->label) == 0)
      schema_wrong(r, (int)def->pos.line, "%s.%s is there twice; keep one", e->name, def->name);
}

static void read_enum(struct model_reader *r, const struct graphql_definition *def) {
  struct enumeration *e = &r->enums[r->out->nenums++];
  size_t n = 0;

  e->name = def->name;
  e->description = text_of(def->description);
  e->line = (int)def->name_pos.line;
  directives_check(r, ON_ENUM, def->name, def->directives);
  read_place(r, def, &e->schema, &e->type);
  e->type_sql = schema_qualified(r->mem, e->schema, e->type);
  for (const struct graphql_enum_value *v = def->values; v; v = v->next) n++;
  e->values = arena_array(r->mem, struct enum_value, n + 1);
  for (const struct graphql_enum_value *v = def->values; v; v = v->next) read_enum_value(r, e, v);
}

/* ---- fields ---- */

static bool find_scalar(const char *name, enum scalar *out) {
  for (enum scalar s = SCALAR_ID; s < SCALAR_ENUM; s++) {
    if (strcmp(scalar_name(s), name) != 0) continue;
    *out = s;
    return true;
  }
  return false;
}

/* What the field's type is: a scalar, an enum, or a type of the file. False: told. */
static bool read_field_type(struct model_reader *r, struct field_draft *f) {
  const struct graphql_type *type = f->def->type;
  struct field *field = f->field;
  const char *name = type->name ? type->name : type->of->name;

  field->list = !type->name;
  field->required = type->required && !field->list;
  if (!name)
    return schema_wrong(r, field->line, "%s.%s is a list of lists; make it a list, or Json", field->model->name,
                        field->name);
  if (find_scalar(name, &field->scalar)) return true;
  if ((field->enumeration = model_enum(r->out, name))) {
    field->scalar = SCALAR_ENUM;
    return true;
  }
  if ((f->target = schema_draft(r, name, false))) return true;
  return schema_wrong(r, field->line, "%s.%s: there is no type, enum or scalar %s%s", field->model->name, field->name, name,
                      strcmp(name, "Long") == 0 ? "; it is called BigInt here" : "");
}

/* False: it cannot be taken among the others. */
static bool check_field_name(struct model_reader *r, const struct model_draft *d, const struct field *field) {
  if (!name_is_valid(field->name))
    schema_wrong(r, field->line, "%s.%s: names that begin with __ belong to GraphQL; take another one", d->model->name,
                 field->name);
  if (name_is_reserved_field(field->name))
    schema_wrong(r, field->line,
                 "%s.%s: AND, OR and NOT are words of filters; take another name, the column keeps its own with "
                 "@db(name:)",
                 d->model->name, field->name);
  for (size_t i = 0; i < d->nfields; i++)
    if (strcmp(d->fields[i].field->name, field->name) == 0)
      return schema_wrong(r, field->line, "%s.%s is there twice; keep one", d->model->name, field->name);
  return true;
}

static void read_columns(struct model_reader *r, struct field_draft *f) {
  const struct graphql_directive *db = directive_find(f->def->directives, "db");
  const struct graphql_value *name = directive_value(db, "name"), *names = directive_value(db, "names");
  const struct graphql_value *first = name ? name : names ? names->items : NULL;

  f->columns = (struct texts){.items = arena_array(r->mem, const char *, names ? names->len + 1 : 1)};
  f->columns_line = db ? (int)db->pos.line : f->field->line;
  if (name && names)
    schema_wrong(r, f->columns_line, "%s.%s: @db has name: and names:; keep one", f->field->model->name, f->field->name);
  for (const struct graphql_value *item = first; item; item = item->next)
    if (schema_db_name(r, item, &f->columns.items[f->columns.n])) f->columns.n++;
}

static void read_relation_field(struct model_reader *r, struct field_draft *f) {
  static const char *const scalars_only[] = {"id",        "unique",   "default",    "createdAt",
                                             "updatedAt", "sequence", "scalarList", NULL};
  const struct graphql_directive *d = directive_find(f->def->directives, "relation");
  const char *link = directive_text(d, "link"), *on_delete = directive_text(d, "onDelete");

  for (const char *const *name = scalars_only; *name; name++)
    if (directive_find(f->def->directives, *name))
      schema_wrong(r, f->field->line, "%s.%s: @%s stands on scalars, not on relations; remove it%s", f->field->model->name,
                   f->field->name, *name, strcmp(*name, "id") == 0 ? ", and write @id(fields: [...]) on the type" : "");
  if (directive_value(directive_find(f->def->directives, "db"), "type"))
    schema_wrong(r, f->field->line, "%s.%s: a link has the type of the other side's key; remove @db(type:)",
                 f->field->model->name, f->field->name);
  f->relation_name = directive_text(d, "name");
  f->link = !link ? LINK_ANY : strcmp(link, "TABLE") == 0 ? LINK_WISH_TABLE : LINK_WISH_INLINE;
  f->on_delete = on_delete && strcmp(on_delete, "CASCADE") == 0 ? ON_DELETE_CASCADE : ON_DELETE_SET_NULL;
}

/* Its name and type only: defaults need all enums, relations all types. */
static void read_field(struct model_reader *r, struct model_draft *d, const struct graphql_field *def) {
  struct field_draft *f = &d->fields[d->nfields];
  struct field *field = (struct field *)&d->model->fields[d->nfields];

  *f = (struct field_draft){.field = field, .def = def, .owner = d};
  *field = (struct field){.name = def->name,
                          .description = text_of(def->description),
                          .index = d->nfields,
                          .model = d->model,
                          .line = (int)def->pos.line};
  directives_check(r, ON_FIELD, arena_printf(r->mem, "%s.%s", d->model->name, def->name), def->directives);
  if (!check_field_name(r, d, field)) return;
  if (def->arguments)
    schema_wrong(r, field->line, "%s.%s has arguments; fields of a data model have none", d->model->name, def->name);
  if (!read_field_type(r, f)) return;
  read_columns(r, f);
  if (f->target) read_relation_field(r, f);
  f->is_key = directive_find(def->directives, "id") != NULL;
  f->is_unique = directive_find(def->directives, "unique") != NULL;
  d->nfields++;
  d->model->nfields++;
}

static void check_link_table(struct model_reader *r, const struct model_draft *d) {
  bool fine = d->nfields == 2 && d->fields[0].target && d->fields[1].target;

  if (!fine)
    schema_wrong(r, d->model->line, "%s: a @relationTable has exactly two fields, one for each type that it links",
                 d->model->name);
  for (size_t i = 0; fine && i < 2; i++)
    if (d->fields[i].field->list || directive_find(d->fields[i].def->directives, "relation"))
      schema_wrong(r, d->fields[i].field->line, "%s.%s: a field of a @relationTable is no list and has no @relation",
                   d->model->name, d->fields[i].field->name);
  if (directive_find(d->def->directives, "id") || directive_find(d->def->directives, "unique"))
    schema_wrong(r, d->model->line, "%s: the key of a @relationTable is its two links; remove @id and @unique",
                 d->model->name);
}

/* No @id anywhere: id: ID! @unique is read as the key, and in an @entity type a bare id: ID!, as in older data models. */
static void find_old_key(struct model_draft *d) {
  struct field_draft *id = NULL;

  for (size_t i = 0; i < d->nfields; i++) {
    if (d->fields[i].is_key) return;
    if (strcmp(d->fields[i].field->name, "id") == 0) id = &d->fields[i];
  }
  if (d->key || !id || id->target || id->field->scalar != SCALAR_ID || !id->field->required) return;
  id->is_key = id->is_unique || d->is_entity;
}

static void read_fields(struct model_reader *r, struct model_draft *d) {
  size_t n = 0;

  for (const struct graphql_field *f = d->def->fields; f; f = f->next) n++;
  d->model->fields = arena_array(r->mem, struct field, n + 1);
  d->fields = arena_array(r->mem, struct field_draft, n + 1);
  for (const struct graphql_field *f = d->def->fields; f; f = f->next) read_field(r, d, f);
  if (d->is_link_table) {
    check_link_table(r, d);
    return;
  }
  find_old_key(d);
  for (size_t i = 0; i < d->nfields; i++)
    if (!d->fields[i].target) scalar_read(r, &d->fields[i]);
}

/* ---- definitions ---- */

static void check_type_name(struct model_reader *r, const struct graphql_definition *def) {
  if (strcmp(def->name, "Subscription") == 0)
    schema_wrong(r, (int)def->pos.line, "type Subscription: there are no subscriptions; remove it");
  else if (name_is_reserved_type(def->name))
    schema_wrong(r, (int)def->pos.line,
                 "%s is a type of the API already; take another name, the table keeps its own with "
                 "@db(name:)",
                 def->name);
  else if (!isupper((unsigned char)def->name[0]))
    schema_wrong(r, (int)def->pos.line,
                 "%s: a type begins with an upper-case letter; the table keeps its name with "
                 "@db(name:)",
                 def->name);
}

static bool is_model_part(const struct graphql_definition *def) {
  return !def->extend && (def->kind == GRAPHQL_DEF_TYPE || def->kind == GRAPHQL_DEF_ENUM);
}

/* Those that are neither a type nor an enum; extend schema @db(schema:) alone has a meaning. */
static void refuse_definition(struct model_reader *r, const struct graphql_definition *def) {
  int line = (int)def->pos.line;

  if (def->kind == GRAPHQL_DEF_SCHEMA && def->extend && !def->roots)
    directives_check(r, ON_SCHEMA, "schema", def->directives);
  else if (def->kind == GRAPHQL_DEF_SCHEMA) schema_wrong(r, line, "writ makes the schema of the API; remove schema { }");
  else schema_wrong(r, line, "extend %s: put it where %s is defined", def->name, def->name);
}

/* False: another one of the name is there already. */
static bool check_twice(struct model_reader *r, const struct graphql_definition *first,
                        const struct graphql_definition *def) {
  for (const struct graphql_definition *other = first; other != def; other = other->next)
    if (is_model_part(other) && strcmp(other->name, def->name) == 0)
      return schema_wrong(r, (int)def->name_pos.line, "%s is there twice, also on line %u; keep one", def->name,
                          other->name_pos.line);
  return true;
}

static void read_type(struct model_reader *r, const struct graphql_definition *def) {
  struct model_draft *d = &r->drafts[r->ndrafts++];
  struct model *m;

  *d = (struct model_draft){.def = def,
                            .is_link_table = directive_find(def->directives, "relationTable") != NULL,
                            .is_entity = directive_find(def->directives, "entity") != NULL,
                            .key = directive_find(def->directives, "id")};
  if (d->is_link_table) m = arena_new(r->mem, struct model);
  else m = (struct model *)&r->out->models[r->out->nmodels++];
  d->model = m;
  m->id = d->is_link_table ? 0 : r->out->nmodels - 1;
  m->name = def->name;
  m->description = text_of(def->description);
  m->line = (int)def->name_pos.line;
  directives_check(r, ON_TYPE, def->name, def->directives);
  read_place(r, def, &m->schema, &m->table);
  m->table_sql = schema_qualified(r->mem, m->schema, m->table);
  if (def->interfaces)
    schema_wrong(r, (int)def->interfaces->pos.line, "%s implements %s; a data model has no interfaces, remove it", def->name,
                 def->interfaces->name);
  check_type_name(r, def);
  name_model(r->mem, m);
}

/* Enums and types by name, then the fields, which refer to them. */
static void read_definitions(struct model_reader *r, const struct graphql_definition *first) {
  size_t n = 0;

  for (const struct graphql_definition *d = first; d; d = d->next) {
    const char *schema = directive_text(directive_find(d->directives, "db"), "schema");

    if (d->kind == GRAPHQL_DEF_SCHEMA && d->extend && schema && !r->schema)
      schema_db_name(r, directive_value(directive_find(d->directives, "db"), "schema"), &r->schema);
    n++;
  }
  if (!r->schema) r->schema = "public";
  r->drafts = arena_array(r->mem, struct model_draft, n + 1);
  r->enums = arena_array(r->mem, struct enumeration, n + 1);
  r->out->enums = r->enums;
  r->out->models = arena_array(r->mem, struct model, n + 1);
  for (const struct graphql_definition *d = first; d; d = d->next) {
    if (!is_model_part(d)) {
      refuse_definition(r, d);
      continue;
    }
    if (!check_twice(r, first, d)) continue;
    if (d->kind == GRAPHQL_DEF_TYPE) {
      read_type(r, d);
      continue;
    }
    read_enum(r, d);
    if (name_is_reserved_type(d->name))
      schema_wrong(r, (int)d->pos.line, "%s is a type of the API already; take another name", d->name);
  }
  for (size_t i = 0; i < r->ndrafts; i++) read_fields(r, &r->drafts[i]);
}

/* ---- the whole ---- */

static void check_tables(struct model_reader *r) {
  for (size_t i = 0; i < r->ndrafts; i++)
    for (size_t j = 0; j < i; j++)
      if (strcmp(r->drafts[i].model->table_sql, r->drafts[j].model->table_sql) == 0 &&
          strcmp(r->drafts[i].model->name, r->drafts[j].model->name) != 0)
        schema_wrong(r, r->drafts[i].model->line,
                     "%s and %s (line %d) stand in one table, %s; give one of them another with "
                     "@db(name:)",
                     r->drafts[i].model->name, r->drafts[j].model->name, r->drafts[j].model->line,
                     r->drafts[i].model->table_sql);
  for (size_t i = 0; i < r->ndrafts; i++)
    if (r->drafts[i].is_link_table && !r->drafts[i].used)
      schema_wrong(r, r->drafts[i].model->line,
                   "%s is a @relationTable, but no relation of that name links the two types; name one "
                   "with @relation(name: \"%s\")",
                   r->drafts[i].model->name, r->drafts[i].model->name);
}

static int by_table(const void *one, const void *other) {
  const struct model *a = *(const struct model *const *)one, *b = *(const struct model *const *)other;

  return strcmp(a->table_sql, b->table_sql);
}

static void rank_models(struct model_reader *r) {
  struct datamodel *out = r->out;
  const struct model **ranked = arena_array(r->mem, const struct model *, out->nmodels + 1);

  for (size_t i = 0; i < out->nmodels; i++) ranked[i] = &out->models[i];
  qsort(ranked, out->nmodels, sizeof *ranked, by_table);
  for (size_t i = 0; i < out->nmodels; i++) ((struct model *)ranked[i])->lock_rank = i;
  out->by_lock_rank = ranked;
}

static const struct graphql_document *parse(const void *mem, const char *file, const char *text, size_t len,
                                            struct problems *p) {
  const struct graphql_document *document;
  struct err e;

  err_init(&e, mem);
  if (graphql_parse_schema(mem, text, len, &graphql_limits_default, &document, &e)) return document;
  problems_add(p, file, (int)e.input_line, "%s", e.message);
  return NULL;
}

const struct datamodel *model_read(const void *mem, const char *file, const char *text, size_t len, const char *schema,
                                   struct problems *p) {
  struct model_reader r = {.mem = mem, .problems = p, .schema = schema};
  const struct graphql_document *document = parse(mem, file, text, len, p);
  const struct graphql_definition *of_model;
  size_t errors = p->errors;

  if (!document) return NULL;
  r.out = arena_new(mem, struct datamodel);
  r.out->file = arena_strdup(mem, file);
  own_split(mem, document->definitions, &of_model, &r.out->own);
  read_definitions(&r, of_model);
  relations_read(&r);
  keys_read(&r);
  check_tables(&r);
  names_check(r.out, p);
  if (r.out->nmodels == 0 && !r.out->own)
    problems_add(p, file, 0, "there is no type; without one there is nothing to write to");
  rank_models(&r);
  return p->errors == errors ? r.out : NULL;
}

/* A little more than the parser takes, so that it is the parser that says so. O_NONBLOCK: a pipe nobody writes to would be
 * waited for. */
static const char *read_file(const void *mem, const char *file, size_t *len) {
  int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  size_t room = graphql_limits_default.bytes + 2;
  char *text;
  ssize_t n = 1;

  if (fd < 0) return NULL;
  text = arena_zero(mem, room, "data model");
  while (*len + 1 < room && (n = read(fd, text + *len, room - 1 - *len)) > 0) *len += (size_t)n;
  close(fd);
  return n < 0 ? NULL : text;
}

static const char *load(const void *mem, const char *file, size_t *len, struct problems *p) {
  const char *text = read_file(mem, file, len);

  if (!text) problems_add(p, file, 0, "cannot read it: %s", strerror(errno));
  return text;
}

const struct datamodel *model_load(const void *mem, const char *file, const char *schema, struct problems *p) {
  size_t len = 0;
  const char *text = load(mem, file, &len, p);

  return text ? model_read(mem, file, text, len, schema, p) : NULL;
}

const struct graphql_document *model_document(const void *mem, const char *file, struct problems *p) {
  size_t len = 0;
  const char *text = load(mem, file, &len, p);

  return text ? parse(mem, file, text, len, p) : NULL;
}
