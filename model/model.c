/* Looking things up in a data model. */
#include "model/model.h"

#include <string.h>

const struct model *model_find(const struct datamodel *d, const char *name) {
  for (size_t i = 0; i < d->nmodels; i++)
    if (strcmp(d->models[i].name, name) == 0) return &d->models[i];
  return NULL;
}

const struct field *model_field(const struct model *m, const char *name) {
  for (size_t i = 0; i < m->nfields; i++)
    if (strcmp(m->fields[i].name, name) == 0) return &m->fields[i];
  return NULL;
}

const struct key *model_key(const struct model *m, const char *name) {
  for (size_t i = 0; i < m->nkeys; i++)
    if (strcmp(m->keys[i].name, name) == 0) return &m->keys[i];
  return NULL;
}

const struct key *model_columns_key(const struct model *m, const struct column *const *columns, size_t n) {
  for (size_t i = 0; i < m->nkeys; i++) {
    const struct key *key = &m->keys[i];
    size_t found = 0;

    for (size_t j = 0; j < n; j++)
      for (size_t k = 0; k < key->ncolumns; k++) found += key->columns[k] == columns[j];
    if (found == n && n == key->ncolumns) return key;
  }
  return NULL;
}

const struct enumeration *model_enum(const struct datamodel *d, const char *name) {
  for (size_t i = 0; i < d->nenums; i++)
    if (strcmp(d->enums[i].name, name) == 0) return &d->enums[i];
  return NULL;
}

const struct enum_value *enum_value(const struct enumeration *e, const char *name) {
  for (size_t i = 0; i < e->nvalues; i++)
    if (strcmp(e->values[i].name, name) == 0) return &e->values[i];
  return NULL;
}

const struct relation *model_relation(const struct datamodel *d, const char *name) {
  for (size_t i = 0; i < d->nrelations; i++)
    if (strcmp(d->relations[i].name, name) == 0) return &d->relations[i];
  return NULL;
}

const struct relation_side *field_there(const struct field *f) { return &f->relation->sides[!f->side]; }

const struct relation_side *field_here(const struct field *f) { return &f->relation->sides[f->side]; }

bool field_holds_link(const struct field *f) {
  return f->relation->storage == LINK_INLINE && f->relation->holder == f->side;
}

static const struct {
  const char *name, *type_sql;
} scalars[] = {
    [SCALAR_ID] = {"ID", "text"},
    [SCALAR_STRING] = {"String", "text"},
    [SCALAR_INT] = {"Int", "integer"},
    [SCALAR_BIGINT] = {"BigInt", "bigint"},
    [SCALAR_FLOAT] = {"Float", "double precision"},
    [SCALAR_DECIMAL] = {"Decimal", "numeric"},
    [SCALAR_BOOLEAN] = {"Boolean", "boolean"},
    [SCALAR_DATETIME] = {"DateTime", "timestamp with time zone"},
    [SCALAR_JSON] = {"Json", "jsonb"},
    [SCALAR_UUID] = {"UUID", "uuid"},
    [SCALAR_ENUM] = {"enum", NULL},
};

const char *scalar_name(enum scalar s) { return scalars[s].name; }

const char *scalar_type_sql(enum scalar s) { return scalars[s].type_sql; }

bool field_is_number(const struct field *f) {
  return !f->relation && !f->list &&
         (f->scalar == SCALAR_INT || f->scalar == SCALAR_BIGINT || f->scalar == SCALAR_FLOAT || f->scalar == SCALAR_DECIMAL);
}
