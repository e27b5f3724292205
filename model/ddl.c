/* Writes the DDL of a data model. What a row must have is in the database too, not in writ alone: NOT NULL, UNIQUE, foreign
 * keys. They are deferred, so that rows that need each other can be written in any order within a transaction. */
#include "model/ddl.h"

#include "base/arena.h"
#include "base/str.h"
#include "db/catalog.h"

#include <stdint.h>
#include <string.h>

enum { NAME_BYTES = 63, HASHED_BYTES = 48 };

/* ---- small parts ---- */

static void add_columns(struct str *out, const struct column *const *columns, size_t n) {
  str_char(out, '(');
  for (size_t i = 0; i < n; i++) str_printf(out, "%s%s", i ? ", " : "", columns[i]->sql);
  str_char(out, ')');
}

static bool starts_with(const struct column *const *columns, size_t n, const struct column *const *first, size_t nfirst) {
  if (nfirst > n) return false;
  for (size_t i = 0; i < nfirst; i++)
    if (columns[i] != first[i]) return false;
  return true;
}

static void add_comment(struct str *out, const char *what, const char *name, const char *column, const char *text) {
  if (!text) return;
  str_printf(out, "comment on %s %s%s%s is ", what, name, column ? "." : "", column ? column : "");
  str_sql_literal(out, text);
  str_add(out, ";\n");
}

/* ---- schemas, enums, sequences ---- */

static void list_schema(const void *mem, const char ***list, size_t *n, const char *schema) {
  for (size_t i = 0; i < *n; i++)
    if (strcmp((*list)[i], schema) == 0) return;
  arena_grow(mem, *list, *n + 1); /* and NULL behind it */
  (*list)[(*n)++] = schema;
}

const char *const *model_schemas(const void *mem, const struct datamodel *d) {
  const char **list = arena_array(mem, const char *, 1);
  size_t n = 0;

  for (size_t i = 0; i < d->nmodels; i++) list_schema(mem, &list, &n, d->models[i].schema);
  for (size_t i = 0; i < d->nenums; i++) list_schema(mem, &list, &n, d->enums[i].schema);
  for (size_t i = 0; i < d->nrelations; i++)
    if (d->relations[i].storage == LINK_TABLE) list_schema(mem, &list, &n, d->relations[i].schema);
  return list;
}

static void add_schemas(struct str *out, const void *mem, const struct datamodel *d) {
  for (const char *const *schema = model_schemas(mem, d); *schema; schema++) {
    if (strcmp(*schema, "public") == 0) continue;
    str_add(out, "create schema if not exists ");
    str_sql_ident(out, *schema);
    str_add(out, ";\n");
  }
}

static void add_enum(struct str *out, const struct enumeration *e) {
  str_printf(out, "create type %s as enum (", e->type_sql);
  for (size_t i = 0; i < e->nvalues; i++) {
    if (i) str_add(out, ", ");
    str_sql_literal(out, e->values[i].label);
  }
  str_add(out, ");\n");
  add_comment(out, "type", e->type_sql, NULL, e->description);
}

static void add_sequence_name(struct str *out, const char *schema, const char *name) {
  str_sql_ident(out, schema);
  str_char(out, '.');
  str_sql_ident(out, name);
}

/* Named ones stand before the table, whose default they are. */
static void add_named_sequence(struct str *out, const struct field *f) {
  bool small = !f->relation && strcmp(f->column->type_sql, "integer") == 0;

  if (f->relation || !f->sequence) return;
  str_add(out, "create sequence ");
  add_sequence_name(out, f->sequence_schema, f->sequence);
  str_printf(out, "%s increment by %lld", small ? " as integer" : "", f->sequence_step);
  if (f->sequence_step < 0 || f->sequence_start < 1) /* beyond the default limits, 1 and up or -1 and down */
    str_add(out, small ? " minvalue -2147483648 maxvalue 2147483647"
                       : " minvalue -9223372036854775808 maxvalue 9223372036854775807");
  str_printf(out, " start with %lld;\n", f->sequence_start);
}

/* It goes with its column. */
static void add_owner(struct str *out, const struct field *f) {
  if (f->relation || !f->sequence) return;
  str_add(out, "alter sequence ");
  add_sequence_name(out, f->sequence_schema, f->sequence);
  str_printf(out, " owned by %s.%s;\n", f->model->table_sql, f->column->sql);
}

/* ---- tables ---- */

static void add_type(struct str *out, const struct column *c) {
  str_printf(out, "  %s %s", c->sql, c->type_sql);
  if (c->bytewise) str_add(out, " collate \"C\"");
  if (c->required) str_add(out, " not null");
}

/* Keys as clock_cuid() and clock_uuid7() make them, for those who do not come through writ. */
static const char cuid_default[] =
    " default 'c' || lpad(to_hex((extract(epoch from clock_timestamp()) * 1000000)::bigint), 13, '0')"
    " || right(gen_random_uuid()::text, 11)";
static const char uuid7_default[] =
    " default (overlay(lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') placing '-' from 9 for 0)"
    " || '-7' || substr(gen_random_uuid()::text, 16))::uuid";

static void add_column(struct str *out, const struct column *c) {
  const struct field *f = c->field;

  add_type(out, c);
  if (!f) return;
  if (f->list) str_add(out, " default '{}'");
  else if (f->source == SOURCE_SEQUENCE && f->sequence) str_printf(out, " default %s", f->next_sql);
  else if (f->source == SOURCE_SEQUENCE) str_add(out, " generated by default as identity");
  else if (f->source == SOURCE_DEFAULT) str_printf(out, " default %s", f->default_sql);
  else if (f->source == SOURCE_CUID) str_add(out, cuid_default);
  else if (f->source == SOURCE_UUID7) str_add(out, uuid7_default);
}

static void add_table(struct str *out, const struct model *m) {
  str_printf(out, "create table %s (\n", m->table_sql);
  for (size_t i = 0; i < m->ncolumns; i++) {
    add_column(out, m->columns[i]);
    str_add(out, ",\n");
  }
  for (size_t i = 1; i < m->nkeys; i++) str_printf(out, "  unique (%s),\n", m->keys[i].columns_sql);
  for (size_t i = 0; i < m->nlinks; i++) {
    const struct relation *relation = m->links[i].relation;
    const struct relation_side *side = &relation->sides[m->links[i].side];

    if (relation->storage == LINK_INLINE && side->columns && side->unique &&
        !model_columns_key(m, side->columns, side->ncolumns))
      str_printf(out, "  unique (%s),\n", side->columns_sql);
  }
  str_printf(out, "  primary key (%s)\n);\n", m->key->columns_sql);
}

/* A link's comment stands at its first column. */
static void add_comments(struct str *out, const struct model *m) {
  add_comment(out, "table", m->table_sql, NULL, m->description);
  for (size_t i = 0; i < m->nfields; i++) {
    const struct field *f = &m->fields[i];

    if (f->column) add_comment(out, "column", m->table_sql, f->column->sql, f->description);
    else if (field_holds_link(f)) add_comment(out, "column", m->table_sql, field_here(f)->columns[0]->sql, f->description);
  }
}

static void add_link_table(struct str *out, const struct relation *relation) {
  const struct relation_side *a = &relation->sides[0], *b = &relation->sides[1];

  str_printf(out, "create table %s (\n", relation->table_sql);
  for (unsigned side = 0; side < 2; side++)
    for (size_t i = 0; i < relation->sides[side].ncolumns; i++) {
      add_type(out, relation->sides[side].columns[i]);
      str_add(out, ",\n");
    }
  if (a->unique) str_printf(out, "  unique (%s),\n", a->columns_sql);
  if (b->unique) str_printf(out, "  unique (%s),\n", b->columns_sql);
  str_printf(out, "  primary key (%s, %s)\n);\n", a->columns_sql, b->columns_sql);
}

/* ---- foreign keys and their indexes ---- */

/* Where some of the columns are never NULL (they are part of a key), the others alone become NULL. */
static void add_set_null(struct str *out, const struct relation_side *side) {
  const char *separator = "";
  bool some = false;

  for (size_t i = 0; i < side->ncolumns; i++) some = some || side->columns[i]->required;
  str_add(out, " on delete set null");
  if (!some) return;
  str_add(out, " (");
  for (size_t i = 0; i < side->ncolumns; i++) {
    if (side->columns[i]->required) continue;
    str_printf(out, "%s%s", separator, side->columns[i]->sql);
    separator = ", ";
  }
  str_char(out, ')');
}

static void add_foreign_key(struct str *out, const char *table_sql, const struct relation_side *side,
                            const struct model *to) {
  str_printf(out, "alter table %s add foreign key (%s) references %s (%s)", table_sql, side->columns_sql, to->table_sql,
             to->key->columns_sql);
  if (side->foreign_key.action == ACTION_SET_NULL) add_set_null(out, side);
  else str_printf(out, " on delete %s", side->foreign_key.action == ACTION_CASCADE ? "cascade" : "no action");
  str_add(out, " deferrable initially deferred;\n");
}

static void add_index(struct str *out, const char *table_sql, const struct relation_side *side) {
  str_printf(out, "create index on %s ", table_sql);
  add_columns(out, side->columns, side->ncolumns);
  str_add(out, ";\n");
}

/* Deleting looks for the rows that refer to what goes: with an index, unless a key begins with these columns. */
static bool needs_index(const struct model *m, const struct relation_side *side) {
  for (size_t i = 0; i < m->nkeys; i++)
    if (starts_with(m->keys[i].columns, m->keys[i].ncolumns, side->columns, side->ncolumns)) return false;
  return !side->unique;
}

static void add_link_keys(struct str *out, const struct relation *relation) {
  const struct relation_side *a = &relation->sides[0], *b = &relation->sides[1],
                             *holder = &relation->sides[relation->holder];

  if (relation->storage == LINK_TABLE) {
    add_foreign_key(out, relation->table_sql, a, a->model);
    add_foreign_key(out, relation->table_sql, b, b->model);
    if (!b->unique) add_index(out, relation->table_sql, b); /* the key begins with A */
    return;
  }
  add_foreign_key(out, holder->model->table_sql, holder, relation->sides[!relation->holder].model);
  if (needs_index(holder->model, holder)) add_index(out, holder->model->table_sql, holder);
}

/* ---- the whole ---- */

const char *model_ddl(const void *mem, const struct datamodel *d) {
  struct str *out = str_new(mem, 4096);

  add_schemas(out, mem, d);
  for (size_t i = 0; i < d->nenums; i++) add_enum(out, &d->enums[i]);
  for (size_t i = 0; i < d->nmodels; i++) {
    const struct model *m = &d->models[i];

    for (size_t j = 0; j < m->nfields; j++) add_named_sequence(out, &m->fields[j]);
    add_table(out, m);
    for (size_t j = 0; j < m->nfields; j++) add_owner(out, &m->fields[j]);
    add_comments(out, m);
  }
  for (size_t i = 0; i < d->nrelations; i++)
    if (d->relations[i].storage == LINK_TABLE) add_link_table(out, &d->relations[i]);
  for (size_t i = 0; i < d->nrelations; i++) add_link_keys(out, &d->relations[i]);
  return out->p;
}

/* Refuses when there is a table, view, sequence or enum already, other than of an extension. The text is a literal, not
 * between dollars, which a schema's name may hold. */
static const char *emptiness_sql(const void *mem, const char *const *schemas) {
  struct str *body = str_new(mem, 1024), *sql = str_new(mem, 1024);

  str_add(body, "declare found text; begin "
                "select string_agg(format('%I.%I', n.nspname, o.name), ', ') into found from ("
                "select c.relnamespace, c.relname::text as name, c.oid, 'pg_class'::regclass from pg_class c"
                " where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') union all "
                "select t.typnamespace, t.typname::text, t.oid, 'pg_type'::regclass from pg_type t where t.typtype = 'e'"
                ") as o (namespace, name, oid, class) join pg_namespace n on n.oid = o.namespace where n.nspname in (");
  for (size_t i = 0; schemas[i]; i++) {
    if (i) str_add(body, ", ");
    str_sql_literal(body, schemas[i]);
  }
  str_add(body,
          ") and not exists (select from pg_depend d where d.classid = o.class and d.objid = o.oid and d.deptype = 'e'); "
          "if found is not null then raise exception 'There are tables already: %. Apply the file to empty schemas, or "
          "write the "
          "changes by hand; writ schema check tells them.', left(found, 200); end if; end");
  str_add(sql, "do ");
  str_sql_literal(sql, body->p);
  return sql->p;
}

bool model_apply(const void *mem, const struct datamodel *d, const char *conninfo, struct err *e) {
  const char *scripts[] = {"select pg_advisory_xact_lock(hashtext('writ schema apply'))",
                           emptiness_sql(mem, model_schemas(mem, d)), model_ddl(mem, d)};

  return catalog_run_script(conninfo, scripts, sizeof scripts / sizeof *scripts, e);
}
