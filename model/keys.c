/* Columns and keys: what stands in which column, keys and unique constraints in columns, links in the columns of the keys
 * that they refer to. A key may hold a link (Line: order, no), so links and keys are found together, the key of the type at
 * the other end first. */
#include "model/reader.h"

#include "base/arena.h"
#include "base/str.h"

#include <string.h>

static bool find_key(struct model_reader *r, struct model_draft *d);

static struct model_draft *draft_of(struct model_reader *r, const struct model *m) {
  return schema_draft(r, m->name, false);
}

static struct field_draft *find_field(struct model_draft *d, const char *name) {
  for (size_t i = 0; i < d->nfields; i++)
    if (strcmp(d->fields[i].field->name, name) == 0) return &d->fields[i];
  return NULL;
}

static const char *join_columns(const void *mem, const struct column *const *columns, size_t n) {
  struct str *sql = str_new(mem, 64);

  for (size_t i = 0; i < n; i++) str_printf(sql, "%s%s", i ? ", " : "", columns[i]->sql);
  return sql->p;
}

/* ---- columns ---- */

static struct column *find_column(const struct model_draft *d, const char *name) {
  for (size_t i = 0; i < d->ncolumns; i++)
    if (strcmp(d->columns[i]->name, name) == 0) return d->columns[i];
  return NULL;
}

static struct column *add_column(struct model_reader *r, struct model_draft *d, struct column *c) {
  arena_grow(r->mem, d->columns, d->ncolumns);
  return d->columns[d->ncolumns++] = c;
}

static void add_scalars(struct model_reader *r, struct model_draft *d) {
  for (size_t i = 0; i < d->nfields; i++) {
    struct field *field = d->fields[i].field;
    const struct column *there;

    if (d->fields[i].target) continue;
    there = find_column(d, field->column->name);
    if (there)
      schema_wrong(r, field->line, "%s.%s and %s stand in one column, %s; give one of them another with @db(name:)",
                   d->model->name, field->name, there->field->name, there->name);
    add_column(r, d, (struct column *)field->column);
  }
}

/* ---- links ---- */

static struct field_draft *holder_field(struct model_reader *r, const struct relation *relation) {
  const struct relation_side *holder = &relation->sides[relation->holder];

  return find_field(draft_of(r, holder->model), holder->field->name);
}

/* The name of the column for the i-th column of the key that it refers to: given, or base, or base_column for several. */
static const char *link_column(const void *mem, const struct texts *given, const char *base, const struct key *key,
                               size_t i) {
  if (given->n) return given->items[i];
  return key->ncolumns == 1 ? base : arena_printf(mem, "%s_%s", base, key->columns[i]->name);
}

static bool check_link_names(struct model_reader *r, const struct field_draft *f, const struct key *key, const char *owner) {
  if (!f->columns.n || f->columns.n == key->ncolumns) return true;
  return schema_wrong(
      r, f->columns_line, "%s.%s: the key of %s has %zu columns (%s); name as many, in that order, with @db(%s)", owner,
      f->field->name, f->target->model->name, key->ncolumns, key->columns_sql, key->ncolumns == 1 ? "name:" : "names:");
}

static bool check_name_length(struct model_reader *r, int line, const char *name) {
  return strlen(name) <= MODEL_NAME_BYTES ||
         schema_wrong(r, line, "%s has more than the %d bytes of a name in PostgreSQL; give a shorter one with @db(name:)",
                      name, MODEL_NAME_BYTES);
}

static bool names_once(struct model_reader *r, int line, const struct column *const *columns, size_t n) {
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < i; j++)
      if (strcmp(columns[i]->name, columns[j]->name) == 0)
        return schema_wrong(r, line, "the column %s is there twice; give each its own name", columns[i]->name);
  return true;
}

/* A foreign key: as ddl.c makes it. */
static void promise_inline(struct relation_side *side) {
  bool all = true;

  for (size_t i = 0; i < side->ncolumns; i++) all = all && side->columns[i]->required;
  side->foreign_key =
      (struct foreign_key){.exists = true, .deferrable = true, .action = all ? ACTION_NO_ACTION : ACTION_SET_NULL};
  side->unique_exists = side->unique;
}

/* The columns of an inline link, new ones or, where several keys and links overlap, those that are there. */
static bool find_link(struct model_reader *r, struct relation *relation) {
  struct relation_side *side = &relation->sides[relation->holder];
  const struct relation_side *other = &relation->sides[!relation->holder];
  struct model_draft *owner = draft_of(r, side->model);
  struct field_draft *f = holder_field(r, relation);
  const struct column **columns;
  const struct key *key;

  if (side->columns) return true;
  if (!find_key(r, draft_of(r, other->model)) || side->columns) return side->columns != NULL;
  key = other->model->key;
  if (!check_link_names(r, f, key, owner->model->name)) return false;
  columns = arena_array(r->mem, const struct column *, key->ncolumns);
  for (size_t i = 0; i < key->ncolumns; i++) {
    const char *name = link_column(r->mem, &f->columns, f->field->name, key, i);
    struct column *c = find_column(owner, name);

    if (!check_name_length(r, f->field->line, name)) return false;
    if (!c) c = add_column(r, owner, column_new(r, name, key->columns[i]));
    c->required |= side->required;
    c->nlinks++;
    columns[i] = c;
  }
  if (!names_once(r, f->field->line, columns, key->ncolumns)) return false;
  side->columns = columns;
  side->ncolumns = key->ncolumns;
  side->columns_sql = join_columns(r->mem, columns, side->ncolumns);
  side->unique = !other->list && !side->list;
  return true;
}

/* ---- keys ---- */

struct key_parts {
  const struct field **fields;
  const struct column **columns;
  size_t nfields, ncolumns;
};

static void add_part(struct model_reader *r, struct key_parts *parts, const struct column *c) {
  arena_grow(r->mem, parts->columns, parts->ncolumns);
  parts->columns[parts->ncolumns++] = c;
}

/* A scalar, or the link of a relation. what: @id or @unique. */
static bool add_key_field(struct model_reader *r, struct key_parts *parts, struct field_draft *f, const char *what,
                          int line) {
  bool key = strcmp(what, "@id") == 0;
  const char *type = f->owner->model->name, *name = f->field->name;
  const struct relation_side *side;

  arena_grow(r->mem, parts->fields, parts->nfields);
  parts->fields[parts->nfields++] = f->field;
  if (!f->target) {
    if (key && (!f->field->required || f->field->list))
      return schema_wrong(r, line, "%s.%s: a part of the key is always there, and no list; write ! behind its type", type,
                          name);
    if (f->field->list || f->field->scalar == SCALAR_JSON || f->field->scalar == SCALAR_FLOAT)
      return schema_wrong(r, line, "%s.%s: Json, Float and lists cannot be part of a key", type, name);
    if (key) f->field->in_key = true;
    add_part(r, parts, f->field->column);
    return true;
  }
  if (!f->made) return false; /* told */
  if (!field_holds_link(f->field) || (key && !f->field->required))
    return schema_wrong(
        r, line, "%s.%s: a relation in a key is %sheld by a column of this table; write %sand @relation(link: INLINE)", type,
        name, key ? "required, and " : "", key ? "! behind its type, " : "");
  if (!find_link(r, f->made)) return false;
  side = field_here(f->field);
  for (size_t i = 0; i < side->ncolumns; i++) add_part(r, parts, side->columns[i]);
  return true;
}

/* name: of the fields, or their names joined by _. */
static void fill_key(struct model_reader *r, struct key *key, const struct key_parts *parts) {
  struct str *name = str_new(r->mem, 32);

  for (size_t i = 0; i < parts->nfields; i++) str_printf(name, "%s%s", i ? "_" : "", parts->fields[i]->name);
  key->name = name->p;
  key->fields = parts->fields;
  key->nfields = parts->nfields;
  key->columns = parts->columns;
  key->ncolumns = parts->ncolumns;
  key->columns_sql = join_columns(r->mem, parts->columns, parts->ncolumns);
  if (parts->nfields == 1 && !parts->fields[0]->relation && !parts->fields[0]->unique)
    ((struct field *)parts->fields[0])->unique = key;
}

static bool read_fields(struct model_reader *r, struct model_draft *d, const struct graphql_directive *directive,
                        const char *what, struct key_parts *parts) {
  struct texts names = directive_texts(r, directive, "fields");
  int line = (int)directive->pos.line;
  bool ok = names.n > 0;

  for (size_t i = 0; i < names.n; i++) {
    struct field_draft *f = find_field(d, names.items[i]);

    for (size_t j = 0; j < i; j++)
      if (strcmp(names.items[j], names.items[i]) == 0)
        ok = schema_wrong(r, line, "%s: %s names %s twice; keep one", d->model->name, what, names.items[i]);
    if (!f)
      ok = schema_wrong(r, line, "%s: %s names %s, which is no field of the type", d->model->name, what, names.items[i]);
    else if (!add_key_field(r, parts, f, what, line)) ok = false;
  }
  return ok && names_once(r, line, parts->columns, parts->ncolumns);
}

static struct field_draft *single_key(struct model_reader *r, struct model_draft *d) {
  struct field_draft *found = NULL;

  for (size_t i = 0; i < d->nfields; i++) {
    struct field_draft *f = &d->fields[i];

    if (!f->is_key || f->target) continue;
    if (found || d->key)
      schema_wrong(r, f->field->line, "%s has two keys; keep one @id, or write @id(fields: [...]) on the type alone",
                   d->model->name);
    found = f;
  }
  return found;
}

static bool read_key(struct model_reader *r, struct model_draft *d) {
  struct key_parts parts = {0};
  struct field_draft *single = single_key(r, d);
  struct key *key = (struct key *)&d->model->keys[0];
  bool ok;

  if (!single && !d->key)
    return schema_wrong(
        r, d->model->line,
        "%s has no key; give one field @id, as in id: ID! @id; or, if it is no table, let type Query or Mutation "
        "lead to it, and no type of the model",
        d->model->name);
  if (d->key) ok = read_fields(r, d, d->key, "@id", &parts);
  else ok = single->field->required && add_key_field(r, &parts, single, "@id", single->field->line);
  if (!ok) return false;
  for (size_t i = 0; i < parts.ncolumns; i++) ((struct column *)parts.columns[i])->required = true;
  fill_key(r, key, &parts);
  d->model->key = key;
  d->model->nkeys = 1;
  return true;
}

static bool find_key(struct model_reader *r, struct model_draft *d) {
  if (d->state == DRAFT_DONE) return d->model->key != NULL;
  if (d->state == DRAFT_OPEN)
    return schema_wrong(r, d->model->line,
                        "the key of %s is made of a link to a type whose key is made of it in turn; give one of them a "
                        "key of its own",
                        d->model->name);
  d->state = DRAFT_OPEN;
  read_key(r, d);
  d->state = DRAFT_DONE;
  return d->model->key != NULL;
}

static void read_uniques(struct model_reader *r, struct model_draft *d) {
  struct model *m = d->model;

  for (size_t i = 0; i < d->nfields; i++) {
    struct field_draft *f = &d->fields[i];
    struct key_parts parts = {0};

    if (!f->is_unique || f->is_key || f->target || f->field->list) continue;
    if (add_key_field(r, &parts, f, "@unique", f->field->line)) fill_key(r, (struct key *)&m->keys[m->nkeys++], &parts);
  }
  for (const struct graphql_directive *u = d->def->directives; u; u = u->next) {
    struct key_parts parts = {0};

    if (strcmp(u->name, "unique") == 0 && read_fields(r, d, u, "@unique", &parts))
      fill_key(r, (struct key *)&m->keys[m->nkeys++], &parts);
  }
}

static void check_key_names(struct model_reader *r, const struct model *m) {
  for (size_t i = 0; i < m->nkeys; i++) {
    const struct key *key = &m->keys[i];
    const struct field *alike = key->nfields > 1 ? model_field(m, key->name) : NULL;

    if (alike)
      schema_wrong(r, alike->line,
                   "%s.%s is also the name of the key of %zu fields; take another name, the column keeps its own "
                   "with @db(name:)",
                   m->name, alike->name, key->nfields);
    for (size_t j = 0; j < i; j++)
      if (strcmp(m->keys[j].name, key->name) == 0)
        schema_wrong(r, m->line, "%s has two keys called %s; keep one", m->name, key->name);
  }
}

/* ---- link tables ---- */

/* Which field of a @relationTable is for this side: by type, in a self relation the first for A. */
static struct field_draft *table_field(struct model_draft *table, const struct relation *relation, unsigned side) {
  const struct model *wanted = relation->sides[side].model;

  if (relation->self) return table->fields[side].target->model == wanted ? &table->fields[side] : NULL;
  for (size_t i = 0; i < 2; i++)
    if (table->fields[i].target->model == wanted) return &table->fields[i];
  return NULL;
}

static bool table_side(struct model_reader *r, struct relation *relation, unsigned side, struct model_draft *table) {
  static const char *const bases[] = {"A", "B"};
  struct relation_side *s = &relation->sides[side];
  struct field_draft *f = table ? table_field(table, relation, side) : NULL;
  const struct texts none = {0};
  const struct key *key;
  const struct column **columns;

  if (table && !f)
    return schema_wrong(r, table->model->line,
                        "%s: the relation of this name links %s and %s, so its table has a field for each",
                        table->model->name, relation->sides[0].model->name, relation->sides[1].model->name);
  if (!find_key(r, draft_of(r, s->model))) return false;
  key = s->model->key;
  if (f && !check_link_names(r, f, key, table->model->name)) return false;
  columns = arena_array(r->mem, const struct column *, key->ncolumns);
  for (size_t i = 0; i < key->ncolumns; i++) {
    struct column *c = column_new(r, link_column(r->mem, f ? &f->columns : &none, f ? f->field->name : bases[side], key, i),
                                  key->columns[i]);

    if (!check_name_length(r, relation->line, c->name)) return false;
    c->required = true;
    c->nlinks = 1;
    columns[i] = c;
  }
  s->columns = columns;
  s->ncolumns = key->ncolumns;
  s->columns_sql = join_columns(r->mem, columns, s->ncolumns);
  s->unique = s->unique_exists = !s->list;
  s->foreign_key = (struct foreign_key){.exists = true, .deferrable = true, .action = ACTION_CASCADE};
  return true;
}

static bool table_columns_differ(struct model_reader *r, const struct relation *relation) {
  const struct relation_side *a = &relation->sides[0], *b = &relation->sides[1];

  for (size_t i = 0; i < a->ncolumns; i++)
    for (size_t j = 0; j < b->ncolumns; j++)
      if (strcmp(a->columns[i]->name, b->columns[j]->name) == 0)
        return schema_wrong(r, relation->line, "%s: both sides stand in one column, %s; name them with @db(name:)",
                            relation->name, a->columns[i]->name);
  return true;
}

static void find_table(struct model_reader *r, struct relation *relation) {
  struct model_draft *table = schema_draft(r, relation->name, true);

  if (table && (table->nfields != 2 || !table->fields[0].target || !table->fields[1].target)) return; /* told */
  relation->schema = table ? table->model->schema : relation->sides[0].model->schema;
  relation->table = table ? table->model->table : arena_printf(r->mem, "_%s", relation->name);
  relation->table_sql = schema_qualified(r->mem, relation->schema, relation->table);
  relation->table_key_exists = true;
  if (table) table->used = true;
  if (!check_name_length(r, relation->line, relation->table)) return;
  if (table_side(r, relation, 0, table) && table_side(r, relation, 1, table)) table_columns_differ(r, relation);
}

/* ---- the whole ---- */

/* A column may be given by two inputs, which then have to agree: in keys and links that overlap, as in (company, order) and
 * (company, customer). Elsewhere it is a mistake. */
static void check_shared(struct model_reader *r, const struct relation *relation) {
  const struct relation_side *side = &relation->sides[relation->holder];
  bool required = side->ncolumns > 0;

  for (size_t i = 0; i < side->ncolumns; i++) {
    const struct column *c = side->columns[i];

    required = required && c->required;
    if (c->field && !c->field->in_key)
      schema_wrong(r, side->field->line,
                   "%s.%s stands in the column %s, which the field %s has; remove that field, or give one of them "
                   "another column with @db(name:)",
                   side->model->name, side->field->name, c->name, c->field->name);
    else if (c->nlinks > 1 && side->ncolumns == 1 && !c->required)
      schema_wrong(r, side->field->line,
                   "%s.%s stands in the column %s, as another relation does; give it another with @db(name:)",
                   side->model->name, side->field->name, c->name);
  }
  if (required && !side->required)
    schema_wrong(r, side->field->line,
                 "%s.%s: the columns of the link are never NULL, so the relation is required; write ! behind its "
                 "type",
                 side->model->name, side->field->name);
}

/* A link that is a key cannot be one of several to the same row, as a list at the other end, declared or not, would have it. */
static void check_alone(struct model_reader *r, const struct relation *relation) {
  const struct relation_side *side = &relation->sides[relation->holder], *other = &relation->sides[!relation->holder];
  const struct key *key =
      side->unique || !side->columns ? NULL : model_columns_key(side->model, side->columns, side->ncolumns);
  const char *type = side->model->name, *to = other->model->name;
  const char *what = key == side->model->key ? "@id" : "@unique";

  if (!key) return;
  schema_wrong(
      r, side->field->line,
      "%s.%s: the link alone is %s, so only one %s can have a link to the same %s; give %s%s the type %s, not a list, "
      "and write @relation(link: INLINE) here; or name another field in %s, too",
      type, side->field->name, what, type, to, to,
      other->field ? arena_printf(r->mem, ".%s", other->field->name) : " a field of", type, what);
}

static bool is_listed(const struct column *const *columns, size_t n, const struct column *c) {
  for (size_t i = 0; i < n; i++)
    if (columns[i] == c) return true;
  return false;
}

static void order_columns(struct model_reader *r, struct model_draft *d) {
  const struct column **ordered = arena_array(r->mem, const struct column *, d->ncolumns + 1);
  size_t n = 0;

  for (size_t i = 0; i < d->nfields; i++) {
    const struct field *f = d->fields[i].field;
    const struct relation_side *side = f->relation && field_holds_link(f) ? field_here(f) : NULL;

    if (f->column) ordered[n++] = f->column;
    for (size_t j = 0; side && j < side->ncolumns; j++)
      if (!side->columns[j]->field && !is_listed(ordered, n, side->columns[j])) ordered[n++] = side->columns[j];
  }
  d->model->columns = ordered;
  d->model->ncolumns = n;
}

static void find_stamps(struct model_reader *r, struct model *m) {
  for (size_t i = 0; i < m->nfields; i++) {
    const struct field *f = &m->fields[i];
    const struct field **stamp = f->relation                   ? NULL
                                 : f->source == SOURCE_CREATED ? &m->created_at
                                 : f->source == SOURCE_UPDATED ? &m->updated_at
                                                               : NULL;

    if (!stamp) continue;
    if (*stamp) schema_wrong(r, f->line, "%s.%s: %s is that already; keep one", m->name, f->name, (*stamp)->name);
    *stamp = f;
  }
}

static void list_links(struct model_reader *r, struct model *m) {
  struct model_link *links = NULL;

  for (size_t i = 0; i < r->out->nrelations; i++)
    for (unsigned side = 0; side < 2; side++) {
      if (r->relations[i].sides[side].model != m) continue;
      arena_grow(r->mem, links, m->nlinks);
      links[m->nlinks++] = (struct model_link){&r->relations[i], side};
    }
  m->links = links;
}

static size_t count_keys(const struct model_draft *d) {
  size_t n = 1;

  for (size_t i = 0; i < d->nfields; i++) n += d->fields[i].is_unique;
  for (const struct graphql_directive *u = d->def->directives; u; u = u->next) n += strcmp(u->name, "unique") == 0;
  return n;
}

static void read_links(struct model_reader *r) {
  for (size_t i = 0; i < r->out->nrelations; i++) {
    struct relation *relation = &r->relations[i];

    if (relation->storage == LINK_TABLE) find_table(r, relation);
    else find_link(r, relation);
  }
}

void keys_read(struct model_reader *r) {
  for (size_t i = 0; i < r->ndrafts; i++) {
    if (r->drafts[i].is_link_table) continue;
    r->drafts[i].model->keys = arena_array(r->mem, struct key, count_keys(&r->drafts[i]));
    add_scalars(r, &r->drafts[i]);
  }
  for (size_t i = 0; i < r->ndrafts; i++)
    if (!r->drafts[i].is_link_table) find_key(r, &r->drafts[i]);
  read_links(r);
  for (size_t i = 0; i < r->out->nrelations; i++)
    if (r->relations[i].storage == LINK_INLINE) {
      check_shared(r, &r->relations[i]);
      promise_inline(&r->relations[i].sides[r->relations[i].holder]);
    }
  for (size_t i = 0; i < r->ndrafts; i++) {
    struct model_draft *d = &r->drafts[i];

    if (d->is_link_table) continue;
    read_uniques(r, d);
    order_columns(r, d);
    find_stamps(r, d->model);
    list_links(r, d->model);
    check_key_names(r, d->model);
  }
  for (size_t i = 0; i < r->out->nrelations; i++)
    if (r->relations[i].storage == LINK_INLINE) check_alone(r, &r->relations[i]);
}
