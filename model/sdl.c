/* Writes what introspection has found as SDL. */
#include "model/found.h"

#include "base/arena.h"
#include "base/str.h"
#include "model/types.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* ---- small parts ---- */

/* A string of GraphQL is escaped as one of JSON. */
static void add_text(struct str *out, const char *text) { str_json(out, text); }

static void add_description(struct str *out, const char *indent, const char *text) {
  if (!text) return;
  str_add(out, indent);
  add_text(out, text);
  str_char(out, '\n');
}

/* In a comment: one line, whatever a name holds. */
static void add_plain(struct str *out, const char *text) {
  for (; *text; text++) str_char(out, (unsigned char)*text < ' ' || *text == 0x7f ? ' ' : *text);
}

static void add_left_out(struct str *out, const char *indent, const char *what, const char *name, const char *why) {
  str_printf(out, "%s# left out: %s ", indent, what);
  add_plain(out, name);
  str_printf(out, ": %s\n", why);
}

static void add_db_name(struct str *out, const char *name, const char *column, const char *type) {
  const char *separator = "";

  if (strcmp(name, column) == 0 && !type) return;
  str_add(out, " @db(");
  if (strcmp(name, column) != 0) {
    str_add(out, "name: ");
    add_text(out, column);
    separator = ", ";
  }
  if (type) {
    str_printf(out, "%stype: ", separator);
    add_text(out, type);
  }
  str_char(out, ')');
}

/* ---- defaults ---- */

/* '...' with '' for a quote, and nothing but a cast behind it. NULL: the expression is something else. */
static const char *quoted_literal(const void *mem, const char *sql) {
  struct str *text = str_new(mem, 32);

  if (*sql != '\'') return NULL;
  for (sql++; *sql; sql++) {
    if (*sql == '\'' && sql[1] != '\'') break;
    if (*sql == '\'') sql++;
    str_char(text, *sql);
  }
  if (*sql != '\'') return NULL;
  sql++;
  if (str_starts(sql, "::")) sql += strcspn(sql, "+-*/|<>=%^&~!@#'") == strlen(sql) ? strlen(sql) : 0;
  return *sql ? NULL : text->p;
}

static bool is_number(const char *text) {
  const char *digits = text + (*text == '-');

  if (!isdigit((unsigned char)*digits) || (*digits == '0' && isdigit((unsigned char)digits[1]))) return false;
  digits += strspn(digits, "0123456789");
  if (*digits == '.' && isdigit((unsigned char)digits[1])) digits += 1 + strspn(digits + 1, "0123456789");
  return *digits == '\0';
}

static void add_default_value(struct str *out, const struct found *f, const struct db_column *c, enum scalar scalar,
                              const char *text, bool *done) {
  const struct found_enum *e = found_enum(f, c);

  *done = true;
  switch (scalar) {
  case SCALAR_INT:
  case SCALAR_BIGINT:
    if (!is_number(text) || strchr(text, '.')) break;
    str_printf(out, " @default(value: %s)", text);
    return;
  case SCALAR_FLOAT:
  case SCALAR_DECIMAL:
    if (!is_number(text)) break;
    str_printf(out, " @default(value: %s)", text);
    return;
  case SCALAR_BOOLEAN:
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) break;
    str_printf(out, " @default(value: %s)", text);
    return;
  case SCALAR_ENUM:
    for (size_t i = 0; e && i < e->from->nlabels; i++)
      if (strcmp(e->from->labels[i], text) == 0) {
        str_printf(out, " @default(value: %s)", e->values[i]);
        return;
      }
    break;
  default:
    str_add(out, " @default(value: ");
    add_text(out, text);
    str_char(out, ')');
    return;
  }
  *done = false;
}

static void add_default_sql(struct str *out, const char *sql) {
  str_add(out, " @default(sql: ");
  add_text(out, sql);
  str_char(out, ')');
}

static const char *own_sequence_sql(const void *mem, const struct found_type *t, const struct db_column *c) {
  struct str *table = str_new(mem, 64), *sql = str_new(mem, 128);

  str_sql_ident(table, t->table->schema);
  str_char(table, '.');
  str_sql_ident(table, t->table->name);
  str_add(sql, "nextval(pg_get_serial_sequence(");
  str_sql_literal(sql, table->p);
  str_add(sql, ", ");
  str_sql_literal(sql, c->name);
  str_add(sql, "))");
  return sql->p;
}

static void add_default(struct str *out, const struct found *f, const struct found_type *t, const struct db_column *c,
                        enum scalar scalar) {
  const char *text = c->fallback ? quoted_literal(f->mem, c->fallback) : NULL;
  bool plain =
      c->fallback && (is_number(c->fallback) || strcmp(c->fallback, "true") == 0 || strcmp(c->fallback, "false") == 0);
  bool done = false;

  if (c->list) return;
  if (c->identity) add_default_sql(out, own_sequence_sql(f->mem, t, c));
  if (!c->fallback || str_starts(c->fallback, "NULL::")) return;
  if (text || (plain && scalar != SCALAR_STRING)) add_default_value(out, f, c, scalar, text ? text : c->fallback, &done);
  if (!done) add_default_sql(out, c->fallback);
}

/* ---- time stamps ---- */

/* By its name, without underscores, as people call them. */
static bool is_called(const char *name, const char *const *names) {
  char plain[32];
  size_t n = 0;

  for (; *name && n + 1 < sizeof plain; name++)
    if (*name != '_') plain[n++] = *name;
  plain[n] = '\0';
  for (; *names; names++)
    if (!*name && strcasecmp(plain, *names) == 0) return true;
  return false;
}

static const char *stamp_of(const struct db_column *c) {
  static const char *const created[] = {"createdat", "created", "createdon", "createtime", "insertedat", NULL};
  static const char *const updated[] = {"updatedat",   "updated",    "updatedon",    "lastupdate",
                                        "lastupdated", "modifiedat", "lastmodified", NULL};

  if (c->list || (strcmp(c->base, "timestamptz") != 0 && strcmp(c->base, "timestamp") != 0)) return NULL;
  return is_called(c->name, created) ? " @createdAt" : is_called(c->name, updated) ? " @updatedAt" : NULL;
}

/* ---- scalars ---- */

static enum scalar scalar_of(const struct db_column *c) {
  enum scalar scalar = SCALAR_ENUM;

  if (!c->is_enum) type_scalar(c->base, &scalar);
  return strcmp(c->base, "text") == 0 && strcmp(c->type_sql, "text") == 0 && c->bytewise ? SCALAR_ID : scalar;
}

/* A key that writ made: its default is that of model/ddl.c, or it owns a sequence, from which writ drew keys once. */
static bool is_generated(const struct db_column *c) {
  return c->fallback ? str_starts(c->fallback, "(('c'::text || lpad(to_hex(") : c->owned;
}

/* How a key of one column has its values. */
static void add_id(struct str *out, const struct found *f, const struct found_type *t, const struct db_column *c,
                   enum scalar scalar) {
  bool number = scalar == SCALAR_INT || scalar == SCALAR_BIGINT, drawn = c->identity || (c->sequence && c->fallback);

  if (scalar == SCALAR_UUID || (scalar == SCALAR_ID && is_generated(c))) {
    str_add(out, " @id");
  } else if (number && drawn) {
    const char *usual = arena_printf(f->mem, "%s_%s_seq", t->table->name, c->name);
    bool plain = c->identity ||
                 (c->owned && strcmp(c->sequence, usual) == 0 && strcmp(c->start, "1") == 0 && strcmp(c->step, "1") == 0);

    str_printf(out, " @id%s", plain ? "" : "(strategy: SEQUENCE) @sequence(name: ");
    if (plain) return;
    add_text(out, c->sequence);
    if (strcmp(c->sequence_schema, t->table->schema) != 0) {
      str_add(out, ", schema: ");
      add_text(out, c->sequence_schema);
    }
    str_printf(out, ", initialValue: %s, allocationSize: %s)", c->start, c->step);
  } else {
    str_add(out, " @id(strategy: NONE)");
    add_default(out, f, t, c, scalar);
  }
}

static bool is_single_key(const struct found_type *t, const struct db_column *c) {
  return t->nparts == 1 && !t->parts[0].link && &t->table->columns[t->parts[0].column] == c;
}

static bool is_single_unique(const struct found_type *t, const struct db_column *c) {
  for (size_t i = 0; i < t->table->nkeys; i++)
    if (&t->table->keys[i] != t->key && t->table->keys[i].ncolumns == 1 &&
        strcmp(t->table->keys[i].columns[0], c->name) == 0)
      return true;
  return false;
}

/* What the file says without @db(type:). */
static const char *usual_type(const struct found *f, const struct db_column *c, enum scalar scalar) {
  struct str *sql = str_new(f->mem, 64);
  const struct found_enum *e = found_enum(f, c);

  if (!e) return scalar_type_sql(scalar);
  str_sql_ident(sql, e->from->schema);
  str_char(sql, '.');
  str_sql_ident(sql, e->from->name);
  return sql->p;
}

static void add_scalar(struct str *out, const struct found *f, const struct found_type *t, size_t i, bool *created,
                       bool *updated) {
  const struct db_column *c = &t->table->columns[i];
  enum scalar scalar = scalar_of(c);
  const char *type = c->is_enum ? found_enum(f, c)->name : scalar_name(scalar);
  const char *stamp = stamp_of(c);
  bool key = is_single_key(t, c), *seen = stamp && stamp[2] == 'c' ? created : updated;

  add_description(out, "  ", c->comment);
  if (c->list) str_printf(out, "  %s: [%s!]!", t->scalars[i].name, type);
  else str_printf(out, "  %s: %s%s", t->scalars[i].name, type, c->required ? "!" : "");
  if (key) add_id(out, f, t, c, scalar);
  else if (!c->list && is_single_unique(t, c) && scalar != SCALAR_JSON && scalar != SCALAR_FLOAT) str_add(out, " @unique");
  if (!key && stamp && !*seen) {
    str_add(out, stamp);
    *seen = true;
  } else if (!key) {
    add_default(out, f, t, c, scalar);
  }
  add_db_name(out, t->scalars[i].name, c->name, strcmp(c->type_sql, usual_type(f, c, scalar)) != 0 ? c->type_sql : NULL);
  str_char(out, '\n');
}

/* ---- relations ---- */

static void add_relation(struct str *out, const char *name, const char *link, bool cascade) {
  const char *separator = "";

  if (!name && !link && !cascade) return;
  str_add(out, " @relation(");
  if (name) {
    str_add(out, "name: ");
    add_text(out, name);
    separator = ", ";
  }
  if (link) str_printf(out, "%slink: %s", separator, link);
  if (link) separator = ", ";
  if (cascade) str_printf(out, "%sonDelete: CASCADE", separator);
  str_char(out, ')');
}

static void add_link_columns(struct str *out, const struct found *f, const char *field, const char *const *columns, size_t n,
                             const struct db_key *key) {
  bool usual = true;

  for (size_t i = 0; i < n; i++)
    usual = usual && strcmp(columns[i], n == 1 ? field : arena_printf(f->mem, "%s_%s", field, key->columns[i])) == 0;
  if (usual) return;
  str_add(out, n == 1 ? " @db(name: " : " @db(names: [");
  for (size_t i = 0; i < n; i++) {
    if (i) str_add(out, ", ");
    add_text(out, columns[i]);
  }
  str_add(out, n == 1 ? ")" : "])");
}

static void add_link(struct str *out, const struct found *f, const struct found_link *link) {
  const struct db_column *first = table_column(link->from->table, link->columns[0]);

  add_description(out, "  ", link->ncolumns == 1 ? first->comment : NULL);
  str_printf(out, "  %s: %s%s", link->field, link->to->name, link->required ? "!" : "");
  add_relation(out, link->relation, link->unique ? "INLINE" : NULL, false);
  add_link_columns(out, f, link->field, link->columns, link->ncolumns, link->to->key);
  str_char(out, '\n');
}

static void add_back(struct str *out, const struct found_link *link) {
  str_printf(out, link->unique ? "  %s: %s" : "  %s: [%s!]!", link->back, link->from->name);
  add_relation(out, link->relation, NULL, link->key->action == ACTION_CASCADE);
  str_char(out, '\n');
}

static void add_table_side(struct str *out, const struct found_type *table, size_t side) {
  bool to_one = table->side_unique[side] || table->side_unique[!side];

  str_printf(out, table->side_unique[side] ? "  %s: %s" : "  %s: [%s!]!", table->side_fields[side],
             table->ends[!side]->name);
  add_relation(out, table->relation, to_one && side == 0 ? "TABLE" : NULL, false);
  str_char(out, '\n');
}

static void add_backs(struct str *out, const struct found *f, const struct found_type *t) {
  for (size_t i = 0; i < f->ntypes; i++) {
    const struct found_type *other = &f->types[i];

    for (size_t j = 0; !other->left_out && !other->is_link_table && j < other->table->nforeign_keys; j++)
      if (other->links[j] && other->links[j]->to == t) add_back(out, other->links[j]);
    for (size_t side = 0; other->is_link_table && side < 2; side++)
      if (other->ends[side] == t) add_table_side(out, other, side);
  }
}

/* ---- types ---- */

static void add_place(struct str *out, const struct found *f, const char *name, const char *schema, const char *table) {
  const char *separator = "";

  if (strcmp(name, table) == 0 && strcmp(schema, f->schema) == 0) return;
  str_add(out, " @db(");
  if (strcmp(name, table) != 0) {
    str_add(out, "name: ");
    add_text(out, table);
    separator = ", ";
  }
  if (strcmp(schema, f->schema) != 0) {
    str_printf(out, "%sschema: ", separator);
    add_text(out, schema);
  }
  str_char(out, ')');
}

static void add_fields_of(struct str *out, const char *directive, const struct found_type *t, const struct found_part *parts,
                          size_t n) {
  str_printf(out, " %s(fields: [", directive);
  for (size_t i = 0; i < n; i++)
    str_printf(out, "%s\"%s\"", i ? ", " : "", parts[i].link ? parts[i].link->field : t->scalars[parts[i].column].name);
  str_add(out, "])");
}

static const struct found_link *unique_link(const struct found_type *t, const char *const *columns, size_t n) {
  for (size_t i = 0; i < t->table->nforeign_keys; i++)
    if (t->links[i] && names_same(t->links[i]->columns, t->links[i]->ncolumns, columns, n)) return t->links[i];
  return NULL;
}

static bool names_start(const char *const *all, size_t n, const char *const *first, size_t nfirst) {
  if (nfirst > n) return false;
  for (size_t i = 0; i < nfirst; i++)
    if (strcmp(all[i], first[i]) != 0) return false;
  return true;
}

/* The fields of a unique constraint. 0: it cannot be expressed. */
static size_t unique_parts(const struct found_type *t, const struct db_key *k, struct found_part *parts) {
  size_t n = 0;

  for (size_t i = 0; i < k->ncolumns;) {
    const struct db_column *c = table_column(t->table, k->columns[i]);
    const struct found_link *link = NULL;

    for (size_t j = 0; !link && j < t->table->nforeign_keys; j++)
      if (t->links[j] && names_start(k->columns + i, k->ncolumns - i, t->links[j]->columns, t->links[j]->ncolumns))
        link = t->links[j];
    parts[n] = (struct found_part){.link = link, .column = (size_t)(c - t->table->columns)};
    if (!link &&
        (!t->scalars[parts[n].column].name || c->list || scalar_of(c) == SCALAR_JSON || scalar_of(c) == SCALAR_FLOAT))
      return 0;
    i += link ? link->ncolumns : 1;
    n++;
  }
  return n;
}

/* Is there an earlier unique index on the same columns? */
static bool comes_again(const struct found_type *t, size_t at) {
  const struct db_key *k = &t->table->keys[at];

  if (names_same(k->columns, k->ncolumns, t->key->columns, t->key->ncolumns)) return true;
  for (size_t i = 0; i < at; i++)
    if (names_same(k->columns, k->ncolumns, t->table->keys[i].columns, t->table->keys[i].ncolumns)) return true;
  return false;
}

static void add_uniques(struct str *out, struct str *notes, const struct found *f, const struct found_type *t) {
  for (size_t i = 0; i < t->table->nkeys; i++) {
    const struct db_key *k = &t->table->keys[i];
    struct found_part *parts;
    size_t n;

    if (comes_again(t, i) || unique_link(t, k->columns, k->ncolumns)) continue;
    parts = arena_array(f->mem, struct found_part, k->ncolumns + 1);
    n = unique_parts(t, k, parts);
    if (n == 0)
      add_left_out(notes, "  ", "unique constraint with", k->columns[0], "its columns are no fields that could be unique");
    else if (n > 1) add_fields_of(out, "@unique", t, parts, n);
  }
}

static void add_notes(struct str *out, const struct found_type *t) {
  for (size_t i = 0; i < t->table->ncolumns; i++)
    if (t->scalars[i].why) add_left_out(out, "  ", "column", t->table->columns[i].name, t->scalars[i].why);
  for (size_t i = 0; i < t->table->nforeign_keys; i++)
    if (t->whys[i]) add_left_out(out, "  ", "foreign key", t->table->foreign_keys[i].name, t->whys[i]);
}

/* A link stands where its first column does. */
static void add_column(struct str *out, const struct found *f, const struct found_type *t, size_t i, bool *created,
                       bool *updated) {
  if (t->scalars[i].name) add_scalar(out, f, t, i, created, updated);
  for (size_t j = 0; j < t->table->nforeign_keys; j++)
    if (t->links[j] && strcmp(t->links[j]->columns[0], t->table->columns[i].name) == 0) add_link(out, f, t->links[j]);
}

static void add_type(struct str *out, const struct found *f, const struct found_type *t) {
  struct str *notes = str_new(f->mem, 128);
  bool created = false, updated = false;

  str_char(out, '\n');
  add_description(out, "", t->table->comment);
  str_printf(out, "type %s", t->name);
  add_place(out, f, t->name, t->table->schema, t->table->name);
  if (t->nparts > 1 || t->parts[0].link) add_fields_of(out, "@id", t, t->parts, t->nparts);
  add_uniques(out, notes, f, t);
  str_add(out, " {\n");
  for (size_t i = 0; i < t->table->ncolumns; i++) add_column(out, f, t, i, &created, &updated);
  add_backs(out, f, t);
  add_notes(out, t);
  str_add(out, notes->p);
  str_add(out, "}\n");
}

static void add_link_table(struct str *out, const struct found *f, const struct found_type *t) {
  if (t->is_plain) return;
  str_char(out, '\n');
  add_description(out, "", t->table->comment);
  str_printf(out, "type %s @relationTable", t->name);
  add_place(out, f, t->name, t->table->schema, t->table->name);
  str_add(out, " {\n");
  for (size_t i = 0; i < 2; i++) {
    const char *field = i ? "b" : "a";
    const struct db_foreign_key *k = t->sides[i];
    const struct db_key *key = t->ends[i]->key;
    const char **columns = arena_array(f->mem, const char *, k->ncolumns + 1);

    for (size_t j = 0; j < key->ncolumns; j++)
      for (size_t n = 0; n < k->ncolumns; n++)
        if (strcmp(k->referenced[n], key->columns[j]) == 0) columns[j] = k->columns[n];
    str_printf(out, "  %s: %s", field, t->ends[i]->name);
    add_link_columns(out, f, field, columns, k->ncolumns, key);
    str_char(out, '\n');
  }
  str_add(out, "}\n");
}

static void add_enum(struct str *out, const struct found *f, const struct found_enum *e) {
  str_char(out, '\n');
  add_description(out, "", e->from->comment);
  str_printf(out, "enum %s", e->name);
  add_place(out, f, e->name, e->from->schema, e->from->name);
  str_add(out, " {\n");
  for (size_t i = 0; i < e->from->nlabels; i++) {
    str_printf(out, "  %s", e->values[i]);
    add_db_name(out, e->values[i], e->from->labels[i], NULL);
    str_char(out, '\n');
  }
  str_add(out, "}\n");
}

void sdl_write(struct str *out, const struct found *f) {
  str_add(out, "# Written by writ schema introspect.\n");
  if (strcmp(f->schema, "public") != 0) {
    str_add(out, "\nextend schema @db(schema: ");
    add_text(out, f->schema);
    str_add(out, ")\n");
  }
  for (size_t i = 0; i < f->ntypes; i++) {
    const struct found_type *t = &f->types[i];

    if (t->left_out) {
      str_char(out, '\n');
      add_left_out(out, "", "table", t->table->name, t->left_out);
    } else if (t->is_link_table) {
      add_link_table(out, f, t);
    } else {
      add_type(out, f, t);
    }
  }
  for (size_t i = 0; i < f->tables->nenums; i++)
    if (f->enums[i].name) add_enum(out, f, &f->enums[i]);
}
