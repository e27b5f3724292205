/* Reads the catalog: one query, one JSON text, one snapshot. */
#include "model/tables.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"
#include "db/catalog.h"
#include "model/types.h"

#include <string.h>

enum { DEPTH_MAX = 16 };

/* Names of types outside pg_catalog are put together here, as format_type() leaves the schema out where the search path has
 * it. Domains are looked through, twice at most. */
static const char tables_sql[] =
    "select json_build_object("
    "'tables', (select coalesce(json_agg(json_build_object("
    "  'schema', n.nspname, 'name', c.relname, 'comment', obj_description(c.oid, 'pg_class'),"
    "  'columns', (select coalesce(json_agg(json_build_object("
    "     'name', a.attname, 'comment', col_description(c.oid, a.attnum), 'list', el.oid is not null,"
    "     'type', case when tn.nspname = 'pg_catalog' then format_type(coalesce(el.oid, t.oid), a.atttypmod)"
    "             else quote_ident(tn.nspname) || '.' || quote_ident(coalesce(el.typname, t.typname)) end,"
    "     'base', case when bn.nspname = 'pg_catalog' then b.typname else bn.nspname || '.' || b.typname end,"
    "     'enum', b.typtype = 'e', 'array_below', b.typcategory = 'A',"
    "     'required', a.attnotnull or t.typnotnull,"
    "     'bytewise', coalesce((select l.collname = 'C' from pg_collation l where l.oid = a.attcollation), false),"
    "     'default', pg_get_expr(ad.adbin, ad.adrelid), 'identity', a.attidentity <> '', 'generated', a.attgenerated <> '',"
    "     'sequence', (select json_build_object('schema', sn.nspname, 'name', s.relname, 'start', q.seqstart::text,"
    "           'step', q.seqincrement::text, 'owned', dep.classid = 'pg_class'::regclass)"
    "        from pg_depend dep"
    "        join pg_class s on s.relkind = 'S' and s.oid = case when dep.classid = 'pg_class'::regclass then dep.objid "
    "else dep.refobjid end"
    "        join pg_namespace sn on sn.oid = s.relnamespace join pg_sequence q on q.seqrelid = s.oid"
    "        where (dep.classid = 'pg_class'::regclass and dep.refclassid = 'pg_class'::regclass and dep.refobjid = c.oid"
    "               and dep.refobjsubid = a.attnum and dep.deptype in ('a', 'i'))"
    "           or (dep.classid = 'pg_attrdef'::regclass and dep.objid = ad.oid and dep.refclassid = 'pg_class'::regclass)"
    "        order by (dep.classid = 'pg_attrdef'::regclass) desc, s.relname limit 1),"
    "     'owned', exists (select from pg_depend o join pg_class s on s.oid = o.objid and s.relkind = 'S'"
    "        where o.classid = 'pg_class'::regclass and o.refclassid = 'pg_class'::regclass and o.refobjid = c.oid"
    "          and o.refobjsubid = a.attnum and o.deptype in ('a', 'i'))"
    "     ) order by a.attnum), '[]')"
    "     from pg_attribute a join pg_type t on t.oid = a.atttypid"
    "     left join pg_type el on el.oid = t.typelem and t.typcategory = 'A' and t.typlen = -1"
    "     join pg_namespace tn on tn.oid = coalesce(el.typnamespace, t.typnamespace)"
    "     left join pg_type d1 on d1.oid = coalesce(el.typbasetype, t.typbasetype) and d1.oid <> 0"
    "     left join pg_type d2 on d2.oid = d1.typbasetype and d2.oid <> 0"
    "     join pg_type b on b.oid = coalesce(d2.oid, d1.oid, el.oid, t.oid)"
    "     join pg_namespace bn on bn.oid = b.typnamespace"
    "     left join pg_attrdef ad on ad.adrelid = a.attrelid and ad.adnum = a.attnum"
    "     where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),"
    "  'keys', (select coalesce(json_agg(json_build_object('name', ic.relname, 'primary', i.indisprimary, 'columns',"
    "        (select json_agg(a.attname order by k.place) from unnest(i.indkey::int2[]) with ordinality as k(number, place)"
    "         join pg_attribute a on a.attrelid = c.oid and a.attnum = k.number where k.place <= i.indnkeyatts))"
    "        order by i.indisprimary desc, ic.relname), '[]')"
    "     from pg_index i join pg_class ic on ic.oid = i.indexrelid"
    "     where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null"
    "       and (i.indisprimary or i.indimmediate)),"
    "  'foreign_keys', (select coalesce(json_agg(json_build_object('name', f.conname, 'schema', fn.nspname, 'table', "
    "fc.relname,"
    "        'action', f.confdeltype, 'deferrable', f.condeferrable,"
    "        'columns', (select json_agg(a.attname order by k.place) from unnest(f.conkey) with ordinality as k(number, "
    "place)"
    "           join pg_attribute a on a.attrelid = f.conrelid and a.attnum = k.number),"
    "        'referenced', (select json_agg(a.attname order by k.place) from unnest(f.confkey) with ordinality as k(number, "
    "place)"
    "           join pg_attribute a on a.attrelid = f.confrelid and a.attnum = k.number)) order by f.conkey, f.conname), "
    "'[]')"
    "     from pg_constraint f join pg_class fc on fc.oid = f.confrelid join pg_namespace fn on fn.oid = fc.relnamespace"
    "     where f.conrelid = c.oid and f.contype = 'f'),"
    "  'insert_trigger', exists (select from pg_trigger g where g.tgrelid = c.oid and not g.tgisinternal and g.tgtype & 4 <> 0)"
    "  ) order by array_position($1::name[], n.nspname), c.relname), '[]')"
    "  from pg_class c join pg_namespace n on n.oid = c.relnamespace"
    "  where n.nspname = any($1::name[]) and c.relkind in ('r', 'p') and not c.relispartition"
    "    and not exists (select from pg_depend x where x.classid = 'pg_class'::regclass and x.objid = c.oid and x.deptype = "
    "'e')),"
    "'enums', (select coalesce(json_agg(json_build_object('schema', n.nspname, 'name', t.typname,"
    "    'comment', obj_description(t.oid, 'pg_type'),"
    "    'labels', (select coalesce(json_agg(l.enumlabel order by l.enumsortorder), '[]') from pg_enum l where l.enumtypid "
    "= t.oid))"
    "    order by array_position($1::name[], n.nspname), t.typname), '[]')"
    "  from pg_type t join pg_namespace n on n.oid = t.typnamespace where t.typtype = 'e' and n.nspname = any($1::name[])))";

/* ---- JSON into structs ---- */

static const char *text_of(const struct json *object, const char *key) {
  const struct json *value = json_get(object, key);

  return value && value->kind == JSON_STRING ? value->text : NULL;
}

static bool truth_of(const struct json *object, const char *key) {
  const struct json *value = json_get(object, key);

  return value && value->kind == JSON_TRUE;
}

static const char *const *names_of(const void *mem, const struct json *object, const char *key, size_t *n) {
  const struct json *list = json_get(object, key);
  const char **names = arena_array(mem, const char *, list ? list->len + 1 : 1);

  *n = list ? list->len : 0;
  for (size_t i = 0; i < *n; i++) names[i] = list->items[i].text;
  return names;
}

static void read_column(const void *mem, const struct json *from, struct db_column *c) {
  const struct json *sequence = json_get(from, "sequence");
  const char *type = text_of(from, "type");
  struct type_name name;

  *c = (struct db_column){.name = text_of(from, "name"),
                          .comment = text_of(from, "comment"),
                          .list = truth_of(from, "list"),
                          .base = text_of(from, "base"),
                          .is_enum = truth_of(from, "enum"),
                          .required = truth_of(from, "required"),
                          .bytewise = truth_of(from, "bytewise"),
                          .fallback = text_of(from, "default"),
                          .identity = truth_of(from, "identity"),
                          .generated = truth_of(from, "generated")};
  /* a domain over an array, or what has no name that can be written (a quoted "char") */
  if (!truth_of(from, "array_below") && type && type_name_read(mem, type, &name) && !name.list) c->type_sql = name.type_sql;
  if (!sequence || sequence->kind != JSON_OBJECT) return;
  c->sequence_schema = text_of(sequence, "schema");
  c->sequence = text_of(sequence, "name");
  c->start = text_of(sequence, "start");
  c->step = text_of(sequence, "step");
  c->owned = truth_of(from, "owned");
}

static enum key_action action_of(const char *letter) {
  switch (letter[0]) { /* pg_constraint.confdeltype */
  case 'r': return ACTION_RESTRICT;
  case 'c': return ACTION_CASCADE;
  case 'n': return ACTION_SET_NULL;
  case 'd': return ACTION_SET_DEFAULT;
  default: return ACTION_NO_ACTION;
  }
}

static void read_foreign_key(const void *mem, const struct json *from, struct db_foreign_key *f) {
  size_t same;

  *f = (struct db_foreign_key){.name = text_of(from, "name"),
                               .schema = text_of(from, "schema"),
                               .table = text_of(from, "table"),
                               .action = action_of(text_of(from, "action")),
                               .deferrable = truth_of(from, "deferrable")};
  f->columns = names_of(mem, from, "columns", &f->ncolumns);
  f->referenced = names_of(mem, from, "referenced", &same);
}

static void read_table(const void *mem, const struct json *from, struct db_table *t) {
  const struct json *columns = json_get(from, "columns"), *keys = json_get(from, "keys"),
                    *foreign = json_get(from, "foreign_keys");

  *t = (struct db_table){.schema = text_of(from, "schema"),
                         .name = text_of(from, "name"),
                         .comment = text_of(from, "comment"),
                         .insert_trigger = truth_of(from, "insert_trigger"),
                         .ncolumns = columns->len,
                         .nkeys = keys->len,
                         .nforeign_keys = foreign->len};
  t->columns = arena_array(mem, struct db_column, columns->len + 1);
  t->keys = arena_array(mem, struct db_key, keys->len + 1);
  t->foreign_keys = arena_array(mem, struct db_foreign_key, foreign->len + 1);
  for (size_t i = 0; i < columns->len; i++) read_column(mem, &columns->items[i], &t->columns[i]);
  for (size_t i = 0; i < foreign->len; i++) read_foreign_key(mem, &foreign->items[i], &t->foreign_keys[i]);
  for (size_t i = 0; i < keys->len; i++) {
    t->keys[i].name = text_of(&keys->items[i], "name");
    t->keys[i].primary = truth_of(&keys->items[i], "primary");
    t->keys[i].columns = names_of(mem, &keys->items[i], "columns", &t->keys[i].ncolumns);
  }
}

static const struct db_tables *read_all(const void *mem, const struct json *root) {
  const struct json *tables = json_get(root, "tables"), *enums = json_get(root, "enums");
  struct db_tables *out = arena_new(mem, struct db_tables);

  out->ntables = tables->len;
  out->tables = arena_array(mem, struct db_table, tables->len + 1);
  for (size_t i = 0; i < tables->len; i++) read_table(mem, &tables->items[i], &out->tables[i]);
  out->nenums = enums->len;
  out->enums = arena_array(mem, struct db_enum, enums->len + 1);
  for (size_t i = 0; i < enums->len; i++) {
    const struct json *from = &enums->items[i];
    struct db_enum *e = &out->enums[i];

    *e = (struct db_enum){
        .schema = text_of(from, "schema"), .name = text_of(from, "name"), .comment = text_of(from, "comment")};
    e->labels = names_of(mem, from, "labels", &e->nlabels);
  }
  return out;
}

/* An array of PostgreSQL: {"a","b"}, quotes and backslashes escaped (manual, "Array Input and Output Syntax"). */
static const char *array_of(const void *mem, const char *const *names) {
  struct str *s = str_new(mem, 128);

  str_char(s, '{');
  for (size_t i = 0; names[i]; i++) {
    str_add(s, i ? ",\"" : "\"");
    for (const char *c = names[i]; *c; c++) {
      if (*c == '"' || *c == '\\') str_char(s, '\\');
      str_char(s, *c);
    }
    str_char(s, '"');
  }
  str_char(s, '}');
  return s->p;
}

bool tables_read(struct conn *c, const void *mem, const char *const *schemas, const struct db_tables **out,
                 const struct wait *w, struct err *e) {
  const char *param = array_of(mem, schemas);
  const struct json *root;
  char *text;

  if (!catalog_value(c, mem, tables_sql, 1, &param, &text, w, e)) return false;
  if (!json_read(mem, text, strlen(text), DEPTH_MAX, &root, e)) return false;
  *out = read_all(mem, root);
  return true;
}

/* ---- looking things up ---- */

const struct db_table *tables_find(const struct db_tables *t, const char *schema, const char *name) {
  for (size_t i = 0; i < t->ntables; i++)
    if (strcmp(t->tables[i].name, name) == 0 && strcmp(t->tables[i].schema, schema) == 0) return &t->tables[i];
  return NULL;
}

const struct db_enum *tables_enum(const struct db_tables *t, const char *schema, const char *name) {
  for (size_t i = 0; i < t->nenums; i++)
    if (strcmp(t->enums[i].name, name) == 0 && strcmp(t->enums[i].schema, schema) == 0) return &t->enums[i];
  return NULL;
}

const struct db_column *table_column(const struct db_table *t, const char *name) {
  for (size_t i = 0; i < t->ncolumns; i++)
    if (strcmp(t->columns[i].name, name) == 0) return &t->columns[i];
  return NULL;
}

bool names_same(const char *const *a, size_t na, const char *const *b, size_t nb) {
  size_t found = 0;

  for (size_t i = 0; i < na; i++)
    for (size_t j = 0; j < nb; j++) found += strcmp(a[i], b[j]) == 0;
  return na == nb && found == na;
}

bool table_is_unique(const struct db_table *t, const char *const *columns, size_t n) {
  for (size_t i = 0; i < t->nkeys; i++)
    if (names_same(t->keys[i].columns, t->keys[i].ncolumns, columns, n)) return true;
  return false;
}
