/* Finds out what the tables of a database are: types, links between types, enums; and gives them names. */
#include "model/introspect.h"

#include "base/arena.h"
#include "base/problems.h"
#include "base/str.h"
#include "model/found.h"
#include "model/names.h"
#include "model/read.h"
#include "model/types.h"

#include <ctype.h>
#include <string.h>

/* ---- names ---- */

static bool has_name(const struct names *names, const char *name) {
  for (size_t i = 0; i < names->n; i++)
    if (strcmp(names->items[i], name) == 0) return true;
  return false;
}

static const char *take_name(const void *mem, struct names *names, const char *name) {
  arena_grow(mem, names->items, names->n);
  return names->items[names->n++] = name;
}

/* What a GraphQL name may hold, of any name. */
static const char *clean_name(const void *mem, const char *name) {
  char *clean;

  name += strspn(name, "_") > 1 ? strspn(name, "_") - 1 : 0; /* __ belongs to GraphQL */
  clean = arena_printf(mem, "%s%s", isdigit((unsigned char)*name) || !*name ? "_" : "", name);
  for (char *c = clean; *c; c++)
    if (!isalnum((unsigned char)*c) || (*c & 0x80)) *c = '_';
  if (clean[0] == '_' && clean[1] == '_') clean[1] = 'x';
  return clean;
}

static bool field_clashes(const struct names *names, const char *name) {
  if (has_name(names, name) || name_is_reserved_field(name)) return true;
  for (size_t i = 0; i < names->n; i++)
    if (name_is_filter_of(name, names->items[i]) || name_is_filter_of(names->items[i], name)) return true;
  return false;
}

static const char *field_name(const struct found *f, struct found_type *t, const char *wish) {
  const char *name = clean_name(f->mem, wish);

  while (field_clashes(&t->fields, name)) name = arena_printf(f->mem, "%s_", name);
  return take_name(f->mem, &t->fields, name);
}

/* FilmActor of film_actors. What is a type's name already stays. */
static const char *camel(const void *mem, const char *name) {
  struct str *s = str_new(mem, 64);
  bool start = true;

  if (name_is_valid(name) && isupper((unsigned char)name[0])) return name;
  for (name = name_singular(mem, name); *name; name++) {
    bool letter = isalnum((unsigned char)*name) && !(*name & 0x80);

    if (letter) str_char(s, (char)(start ? toupper((unsigned char)*name) : *name));
    start = !letter;
  }
  return isalpha((unsigned char)s->p[0]) ? s->p : arena_printf(mem, "T%s", s->p);
}

static const char *type_name(struct found *f, const char *wish) {
  struct model *m = arena_new(f->mem, struct model);

  m->name = camel(f->mem, wish);
  name_model(f->mem, m);
  for (size_t i = 0; i <= f->ntaken;) {
    bool clash = i == f->ntaken ? name_is_reserved_type(m->name)
                                : strcmp(f->taken[i]->name, m->name) == 0 || name_models_clash(f->taken[i], m);

    i = clash ? 0 : i + 1;
    if (!clash) continue;
    m->name = arena_printf(f->mem, "%s_", m->name);
    name_model(f->mem, m);
  }
  arena_grow(f->mem, f->taken, f->ntaken);
  f->taken[f->ntaken++] = m;
  return m->name;
}

static const char *relation_name(struct found *f, const char *wish) {
  const char *name = wish;

  while (has_name(&f->relation_names, name)) name = arena_printf(f->mem, "%s_", name);
  return take_name(f->mem, &f->relation_names, name);
}

/* author of author_id and authorId; else the same. */
static const char *without_id(const void *mem, const char *column) {
  size_t n = strlen(column);

  if (n > 3 && (strcmp(column + n - 3, "_id") == 0 || strcmp(column + n - 3, "_ID") == 0))
    return arena_strndup(mem, column, n - 3);
  if (n > 2 && strcmp(column + n - 2, "Id") == 0) return arena_strndup(mem, column, n - 2);
  return column;
}

/* ---- enums ---- */

/* PG_13 of PG-13, Open of open. */
static const char *value_name(const struct found *f, struct names *taken, const char *label) {
  char *name = arena_strdup(f->mem, clean_name(f->mem, label));
  const char *unique = name;

  if (*name == '_') unique = arena_printf(f->mem, "V%s", name);
  else name[0] = (char)toupper((unsigned char)name[0]);
  while (has_name(taken, unique)) unique = arena_printf(f->mem, "%s_", unique);
  return take_name(f->mem, taken, unique);
}

static void find_enums(struct found *f) {
  f->enums = arena_array(f->mem, struct found_enum, f->tables->nenums + 1);
  for (size_t i = 0; i < f->tables->nenums; i++) {
    const struct db_enum *from = &f->tables->enums[i];
    struct names taken = {0};

    f->enums[i] = (struct found_enum){.from = from, .values = arena_array(f->mem, const char *, from->nlabels + 1)};
    if (from->nlabels == 0) continue;
    f->enums[i].name = type_name(f, from->name);
    for (size_t j = 0; j < from->nlabels; j++) f->enums[i].values[j] = value_name(f, &taken, from->labels[j]);
  }
}

const struct found_enum *found_enum(const struct found *f, const struct db_column *c) {
  for (size_t i = 0; i < f->tables->nenums; i++) {
    const struct db_enum *e = f->enums[i].from;
    size_t n = strlen(e->schema);

    if (c->is_enum && f->enums[i].name && strncmp(c->base, e->schema, n) == 0 && c->base[n] == '.' &&
        strcmp(c->base + n + 1, e->name) == 0)
      return &f->enums[i];
  }
  return NULL;
}

/* ---- types ---- */

static const char *why_no_scalar(const struct found *f, const struct db_column *c) {
  enum scalar scalar;

  if (c->generated) return "it is generated by PostgreSQL";
  if (!c->type_sql || !c->base) return "there is no scalar for its type";
  if (c->is_enum) return found_enum(f, c) ? NULL : "its enum is in another schema, or empty";
  return type_scalar(c->base, &scalar) ? NULL : "there is no scalar for its type";
}

static bool can_be_key(const struct found *f, const struct db_table *t, const struct db_key *k) {
  for (size_t i = 0; i < k->ncolumns; i++) {
    const struct db_column *c = table_column(t, k->columns[i]);
    enum scalar scalar = SCALAR_ENUM;

    if (!c || !c->required || c->list || why_no_scalar(f, c)) return false;
    if (!c->is_enum && (!type_scalar(c->base, &scalar) || scalar == SCALAR_JSON || scalar == SCALAR_FLOAT)) return false;
  }
  return k->ncolumns > 0;
}

static void begin_type(struct found *f, struct found_type *t, const struct db_table *table) {
  *t = (struct found_type){.table = table};
  t->scalars = arena_array(f->mem, struct found_scalar, table->ncolumns + 1);
  t->links = arena_array(f->mem, struct found_link *, table->nforeign_keys + 1);
  t->whys = arena_array(f->mem, const char *, table->nforeign_keys + 1);
  t->parts = arena_array(f->mem, struct found_part, table->ncolumns + 1);
  for (size_t i = 0; i < table->nkeys && !t->key; i++)
    if (can_be_key(f, table, &table->keys[i])) t->key = &table->keys[i];
  if (!t->key) t->left_out = "it has no primary key, nor a unique constraint that could be one";
}

static struct found_type *find_type(const struct found *f, const char *schema, const char *table) {
  for (size_t i = 0; i < f->ntypes; i++)
    if (strcmp(f->types[i].table->name, table) == 0 && strcmp(f->types[i].table->schema, schema) == 0) return &f->types[i];
  return NULL;
}

/* ---- link tables ---- */

static bool refers_to_key(const struct db_foreign_key *k, const struct found_type *to) {
  return to && to->key && names_same(k->referenced, k->ncolumns, to->key->columns, to->key->ncolumns);
}

/* Two foreign keys that share no column, together all columns, and a unique pair. */
static bool looks_like_links(const struct found *f, const struct found_type *t) {
  const struct db_table *table = t->table;
  const struct db_foreign_key *a = &table->foreign_keys[0], *b = &table->foreign_keys[1];
  const char **all = arena_array(f->mem, const char *, table->ncolumns + 1);

  if (table->nforeign_keys != 2 || a->ncolumns + b->ncolumns != table->ncolumns) return false;
  for (size_t i = 0; i < a->ncolumns; i++) all[i] = a->columns[i];
  for (size_t i = 0; i < b->ncolumns; i++) all[a->ncolumns + i] = b->columns[i];
  for (size_t i = 0; i < table->ncolumns; i++) {
    if (!table->columns[i].required || table->columns[i].generated || table->columns[i].list) return false;
    for (size_t j = 0; j < i; j++)
      if (strcmp(all[i], all[j]) == 0) return false;
  }
  if (a->action == ACTION_SET_NULL || a->action == ACTION_SET_DEFAULT || b->action == ACTION_SET_NULL ||
      b->action == ACTION_SET_DEFAULT)
    return false;
  return table_is_unique(table, all, table->ncolumns);
}

static bool is_referred_to(const struct found *f, const struct found_type *t) {
  for (size_t i = 0; i < f->tables->ntables; i++)
    for (size_t j = 0; j < f->tables->tables[i].nforeign_keys; j++)
      if (find_type(f, f->tables->tables[i].foreign_keys[j].schema, f->tables->tables[i].foreign_keys[j].table) == t)
        return true;
  return false;
}

static void find_link_table(const struct found *f, struct found_type *t) {
  const struct db_foreign_key *keys = t->table->foreign_keys;

  if (!looks_like_links(f, t) || is_referred_to(f, t)) return;
  for (size_t i = 0; i < 2; i++) {
    t->sides[i] = &keys[i];
    t->ends[i] = find_type(f, keys[i].schema, keys[i].table);
    if (t->ends[i] == t || !refers_to_key(&keys[i], t->ends[i])) return;
    t->side_unique[i] = table_is_unique(t->table, keys[i].columns, keys[i].ncolumns);
  }
  t->is_link_table = true;
}

/* ---- links ---- */

static const char *const *ordered_columns(const struct found *f, const struct db_foreign_key *k,
                                          const struct found_type *to) {
  const char **columns = arena_array(f->mem, const char *, k->ncolumns + 1);

  for (size_t i = 0; i < to->key->ncolumns; i++)
    for (size_t j = 0; j < k->ncolumns; j++)
      if (strcmp(k->referenced[j], to->key->columns[i]) == 0) columns[i] = k->columns[j];
  return columns;
}

static bool has_column(const char *const *columns, size_t n, const char *name) {
  for (size_t i = 0; i < n; i++)
    if (strcmp(columns[i], name) == 0) return true;
  return false;
}

/* A link that would stand in the way of this one. */
static bool is_taken(const struct found_type *t, const struct db_foreign_key *k) {
  for (size_t i = 0; i < t->table->nforeign_keys; i++) {
    const struct found_link *other = t->links[i];

    if (!other) continue;
    if (names_same(other->columns, other->ncolumns, k->columns, k->ncolumns)) return true;
    if (k->ncolumns == 1 && has_column(other->columns, other->ncolumns, k->columns[0]) &&
        !table_column(t->table, k->columns[0])->required)
      return true;
  }
  return false;
}

static bool all_required(const struct db_table *t, const struct db_foreign_key *k) {
  for (size_t i = 0; i < k->ncolumns; i++)
    if (!table_column(t, k->columns[i])->required) return false;
  return true;
}

/* Does the key have the column, or a link that is required? */
static bool is_held(const struct found *f, const struct found_type *t, const char *column) {
  if (has_column(t->key->columns, t->key->ncolumns, column)) return true;
  for (size_t i = 0; i < t->table->nforeign_keys; i++) {
    const struct db_foreign_key *k = &t->table->foreign_keys[i];
    const struct found_type *to = find_type(f, k->schema, k->table);

    if (has_column(k->columns, k->ncolumns, column) && all_required(t->table, k) && to && !to->left_out &&
        refers_to_key(k, to))
      return true;
  }
  return false;
}

/* An optional link gives no value to a column that is NOT NULL. */
static bool lacks_value(const struct found *f, const struct found_type *t, const struct db_foreign_key *k) {
  if (all_required(t->table, k)) return false;
  for (size_t i = 0; i < k->ncolumns; i++)
    if (table_column(t->table, k->columns[i])->required && !is_held(f, t, k->columns[i])) return true;
  return false;
}

static const char *why_no_link(const struct found *f, const struct found_type *t, const struct db_foreign_key *k) {
  const struct found_type *to = find_type(f, k->schema, k->table);

  if (!to || to->left_out || to->is_link_table) return "it refers to a table that is no type here";
  if (!refers_to_key(k, to)) return "it does not refer to the key";
  if (k->action == ACTION_SET_DEFAULT) return "ON DELETE SET DEFAULT cannot be expressed";
  if (is_taken(t, k)) return "another relation has its columns";
  if (lacks_value(f, t, k)) return "a column of it is NOT NULL and others are not, and no key or required relation has it";
  for (size_t i = 0; i < k->ncolumns; i++)
    if (table_column(t->table, k->columns[i])->generated) return "a column of it is generated by PostgreSQL";
  return NULL;
}

static void find_link(struct found *f, struct found_type *t, size_t i) {
  const struct db_foreign_key *k = &t->table->foreign_keys[i];
  struct found_link *link;

  if ((t->whys[i] = why_no_link(f, t, k))) return;
  link = arena_new(f->mem, struct found_link);
  link->key = k;
  link->from = t;
  link->to = find_type(f, k->schema, k->table);
  link->columns = ordered_columns(f, k, link->to);
  link->ncolumns = k->ncolumns;
  link->unique = table_is_unique(t->table, k->columns, k->ncolumns);
  link->required = true;
  for (size_t j = 0; j < k->ncolumns; j++)
    link->required = link->required && table_column(t->table, k->columns[j])->required;
  t->links[i] = link;
}

/* Links of several columns first: one column of theirs may be a link of its own. */
static void find_links(struct found *f, struct found_type *t) {
  for (size_t i = 0; i < t->table->nforeign_keys; i++)
    if (t->table->foreign_keys[i].ncolumns > 1) find_link(f, t, i);
  for (size_t i = 0; i < t->table->nforeign_keys; i++)
    if (t->table->foreign_keys[i].ncolumns == 1) find_link(f, t, i);
}

/* ---- keys ---- */

static void find_parts(struct found *f, struct found_type *t);

/* The link whose columns stand at place i of the key, the longest one; not one whose own key is being made of this one. */
static const struct found_link *link_at(struct found *f, const struct found_type *t, size_t at) {
  const struct found_link *best = NULL;

  for (size_t i = 0; i < t->table->nforeign_keys; i++) {
    const struct found_link *link = t->links[i];
    bool fits = link && at + link->ncolumns <= t->key->ncolumns && (!best || link->ncolumns > best->ncolumns);

    for (size_t j = 0; fits && j < link->ncolumns; j++) fits = strcmp(link->columns[j], t->key->columns[at + j]) == 0;
    if (!fits) continue;
    find_parts(f, link->to);
    if (link->to->state == FOUND_DONE) best = link;
  }
  return best;
}

static size_t column_index(const struct db_table *t, const char *name) {
  return (size_t)(table_column(t, name) - t->columns);
}

static void find_parts(struct found *f, struct found_type *t) {
  if (t->state != FOUND_NEW) return;
  t->state = FOUND_OPEN;
  for (size_t i = 0; i < t->key->ncolumns;) {
    struct found_part *part = &t->parts[t->nparts++];

    *part = (struct found_part){.link = link_at(f, t, i), .column = column_index(t->table, t->key->columns[i])};
    if (!part->link) t->scalars[part->column].in_key = true;
    i += part->link ? part->link->ncolumns : 1;
  }
  t->state = FOUND_DONE;
}

/* ---- what all is called ---- */

static bool is_linked(const struct found_type *t, const char *column) {
  for (size_t i = 0; i < t->table->nforeign_keys; i++)
    if (t->links[i] && has_column(t->links[i]->columns, t->links[i]->ncolumns, column)) return true;
  return false;
}

static void name_scalars(struct found *f, struct found_type *t) {
  for (size_t i = 0; i < t->table->ncolumns; i++) {
    const struct db_column *c = &t->table->columns[i];
    struct found_scalar *s = &t->scalars[i];

    if (!s->in_key && is_linked(t, c->name)) continue;
    if ((s->why = why_no_scalar(f, c))) continue;
    s->name = field_name(f, t, c->name);
  }
}

static bool joins(const struct found_type *a, const struct found_type *b, const struct found_type *x,
                  const struct found_type *y) {
  return (a == x && b == y) || (a == y && b == x);
}

/* How many relations there are between the two. */
static size_t count_between(const struct found *f, const struct found_type *a, const struct found_type *b) {
  size_t n = 0;

  for (size_t i = 0; i < f->ntypes; i++) {
    const struct found_type *t = &f->types[i];

    if (t->is_link_table) n += joins(a, b, t->ends[0], t->ends[1]);
    for (size_t j = 0; !t->left_out && !t->is_link_table && j < t->table->nforeign_keys; j++)
      if (t->links[j]) n += joins(a, b, t->links[j]->from, t->links[j]->to);
  }
  return n;
}

static const char *default_relation(const void *mem, const char *a, const char *b) {
  return strcmp(a, b) <= 0 ? arena_printf(mem, "%sTo%s", a, b) : arena_printf(mem, "%sTo%s", b, a);
}

/* The name comes from the column that the link has alone, or from the type. */
static const char *link_wish(const struct found *f, const struct found_link *link) {
  const char *wish = NULL;

  for (size_t i = 0; i < link->ncolumns; i++) {
    const char *column = link->columns[i];
    bool shared = link->from->scalars[column_index(link->from->table, column)].in_key;

    for (size_t j = 0; j < link->from->table->nforeign_keys; j++) {
      const struct found_link *other = link->from->links[j];

      shared = shared || (other && other != link && has_column(other->columns, other->ncolumns, column));
    }
    if (!shared) wish = column;
  }
  if (!wish || (link->ncolumns > 1 && wish == without_id(f->mem, wish))) return name_lower_first(f->mem, link->to->name);
  return without_id(f->mem, wish);
}

static void name_link(struct found *f, struct found_link *link) {
  const char *from = link->from->name, *to = link->to->name;
  bool single = count_between(f, link->from, link->to) == 1 && link->from != link->to;
  const char *wish = default_relation(f->mem, from, to);
  const char *many = name_lower_first(f->mem, link->unique ? from : name_plural(f->mem, from));

  link->field = field_name(f, link->from, link_wish(f, link));
  link->back = field_name(f, link->to, single ? many : arena_printf(f->mem, "%s_by_%s", many, link->field));
  if (!single) wish = arena_printf(f->mem, "%s%s", from, name_upper_first(f->mem, link->field));
  link->relation = relation_name(f, wish);
  if (single && link->relation == wish) link->relation = NULL;
}

/* The field through which rows of side i see the other side. */
static const char *side_wish(const struct found *f, const struct found_type *t, size_t i, bool single) {
  const char *type = name_lower_first(f->mem, t->ends[!i]->name), *column = t->sides[!i]->columns[0];
  bool telling = t->sides[!i]->ncolumns == 1 && strlen(column) > 1;

  if (!single) type = telling ? without_id(f->mem, column) : arena_printf(f->mem, "%s_%s", type, i ? "b" : "a");
  return t->side_unique[i] ? type : name_plural(f->mem, type);
}

static void swap_sides(struct found_type *t) {
  const struct db_foreign_key *side = t->sides[0];
  struct found_type *end = t->ends[0];
  const char *field = t->side_fields[0];
  bool unique = t->side_unique[0];

  t->sides[0] = t->sides[1];
  t->ends[0] = t->ends[1];
  t->side_fields[0] = t->side_fields[1];
  t->side_unique[0] = t->side_unique[1];
  t->sides[1] = side;
  t->ends[1] = end;
  t->side_fields[1] = field;
  t->side_unique[1] = unique;
}

/* _Name with A and B in just the places where a data model puts them. */
static bool is_plain(const struct found_type *t) {
  const char *rest = t->table->name + 1;

  return t->table->name[0] == '_' && name_is_valid(rest) && t->sides[0]->ncolumns == 1 && t->sides[1]->ncolumns == 1 &&
         strcmp(t->sides[0]->columns[0], "A") == 0 && strcmp(t->sides[1]->columns[0], "B") == 0 &&
         strcmp(t->table->schema, t->ends[0]->table->schema) == 0;
}

static void name_link_table(struct found *f, struct found_type *t) {
  bool self = t->ends[0] == t->ends[1], single = !self && count_between(f, t->ends[0], t->ends[1]) == 1;

  /* A first, if there is one, so that a self relation's fields are called a and b in that order. */
  if (strcmp(t->sides[0]->columns[0], t->sides[1]->columns[0]) > 0) swap_sides(t);
  for (size_t i = 0; i < 2; i++) t->side_fields[i] = field_name(f, t->ends[i], side_wish(f, t, i, single));
  if (strcmp(self ? t->side_fields[0] : t->ends[0]->name, self ? t->side_fields[1] : t->ends[1]->name) > 0) swap_sides(t);
  t->is_plain = is_plain(t) && !has_name(&f->relation_names, t->table->name + 1);
  if (t->is_plain) {
    t->relation = relation_name(f, t->table->name + 1);
    return;
  }
  do t->name = type_name(f, t->table->name);
  while (has_name(&f->relation_names, t->name));
  t->relation = take_name(f->mem, &f->relation_names, t->name);
}

/* ---- the whole ---- */

static bool is_model(const struct found_type *t) { return !t->left_out && !t->is_link_table; }

static void find_all(struct found *f) {
  size_t n = f->tables->ntables;

  f->types = arena_array(f->mem, struct found_type, n + 1);
  f->ntypes = n;
  find_enums(f);
  for (size_t i = 0; i < n; i++) begin_type(f, &f->types[i], &f->tables->tables[i]);
  for (size_t i = 0; i < n; i++) find_link_table(f, &f->types[i]);
  for (size_t i = 0; i < n; i++)
    if (is_model(&f->types[i])) f->types[i].name = type_name(f, f->types[i].table->name);
  for (size_t i = 0; i < n; i++)
    if (is_model(&f->types[i])) find_links(f, &f->types[i]);
  for (size_t i = 0; i < n; i++)
    if (is_model(&f->types[i])) find_parts(f, &f->types[i]);
  for (size_t i = 0; i < n; i++)
    if (is_model(&f->types[i])) name_scalars(f, &f->types[i]);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; is_model(&f->types[i]) && j < f->types[i].table->nforeign_keys; j++)
      if (f->types[i].links[j]) name_link(f, f->types[i].links[j]);
  for (size_t i = 0; i < n; i++)
    if (f->types[i].is_link_table) name_link_table(f, &f->types[i]);
}

const char *model_introspect(const void *mem, const struct db_tables *tables, const char *schema, struct problems *p) {
  struct found f = {.mem = mem, .tables = tables, .schema = schema};
  struct str *out = str_new(mem, 4096);
  struct problems again;

  find_all(&f);
  sdl_write(out, &f);
  problems_init(&again, mem);
  if (!model_read(mem, "introspected", out->p, out->len, NULL, &again))
    for (size_t i = 0; i < again.n; i++)
      if (!again.items[i].warning) problems_add(p, "introspected", again.items[i].line, "%s", again.items[i].text);
  return out->p;
}
