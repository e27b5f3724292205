/* A data model as SDL: which nodes, and in which order. */
#include "schema/derive.h"

#include "base/str.h"
#include "model/filters.h"

bool derive_has_order(const struct model *m) {
  for (size_t i = 0; i < m->nfields; i++)
    if (!m->fields[i].relation && !m->fields[i].list) return true;
  return false;
}

static void put_order(struct derive *d, const struct model *m) {
  if (!derive_has_order(m)) return;
  derive_open(d, "enum", m, GQL_USE_OTHER, "%sOrderByInput", m->name);
  for (size_t i = 0; i < m->nfields; i++)
    if (!m->fields[i].relation && !m->fields[i].list)
      str_printf(d->out, "  %s_ASC\n  %s_DESC\n", m->fields[i].name, m->fields[i].name);
  str_add(d->out, "}\n");
}

/* ---- one node ---- */

static void put_key_type(struct str *out, const struct model *m, const struct key *key) {
  if (key->nfields > 1) str_printf(out, "%sWhere%sInput", m->name, key->name);
  else if (!key->fields[0]->relation) str_add(out, derive_scalar(key->fields[0]));
  else put_key_type(out, field_there(key->fields[0])->model, field_there(key->fields[0])->model->key);
}

/* What a key of several fields takes; a relation among them stands for the key at its other end. */
static void put_key(struct derive *d, const struct model *m, const struct key *key) {
  derive_open(d, "input", m, GQL_USE_OTHER, "%sWhere%sInput", m->name, key->name);
  for (size_t i = 0; i < key->nfields; i++) {
    const struct field *f = key->fields[i];

    str_printf(d->out, "  %s: ", f->name);
    if (f->relation) put_key_type(d->out, field_there(f)->model, field_there(f)->model->key);
    else str_add(d->out, derive_scalar(f));
    str_add(d->out, "!\n");
  }
  str_add(d->out, "}\n");
}

static void put_unique(struct derive *d, const struct model *m) {
  for (size_t i = 0; i < m->nkeys; i++)
    if (m->keys[i].nfields > 1) put_key(d, m, &m->keys[i]);
  str_add(d->out, "\"Exactly one field, not null.\"\n");
  derive_open(d, "input", m, GQL_USE_OTHER, "%sWhereUniqueInput", m->name);
  for (size_t i = 0; i < m->nkeys; i++) {
    str_printf(d->out, "  %s: ", m->keys[i].name);
    put_key_type(d->out, m, &m->keys[i]);
    str_char(d->out, '\n');
  }
  str_add(d->out, "}\n");
}

/* ---- many nodes ---- */

static void put_filter(struct str *out, const struct field *f, enum filter filter) {
  str_printf(out, "  %s%s: ", f->name, filter_ending(filter));
  if (f->relation) str_printf(out, "%sWhereInput\n", field_there(f)->model->name);
  else str_printf(out, filter == FILTER_IN || filter == FILTER_NOT_IN ? "[%s!]\n" : "%s\n", derive_scalar(f));
}

static void put_filters(struct derive *d, const struct model *m, const char *kind, bool relations) {
  derive_open(d, "input", m, GQL_USE_OTHER, "%s%sInput", m->name, kind);
  for (size_t i = 0; i < m->nfields; i++)
    for (enum filter filter = 0; filter < NFILTERS; filter++)
      if ((relations || !m->fields[i].relation) && filter_is_for(filter, &m->fields[i]))
        put_filter(d->out, &m->fields[i], filter);
  str_printf(d->out, "  AND: [%s%sInput!]\n  OR: [%s%sInput!]\n  NOT: [%s%sInput!]\n}\n", m->name, kind, m->name, kind,
             m->name, kind);
}

void derive_where(struct derive *d, const struct model *m) {
  put_order(d, m);
  put_unique(d, m);
  put_filters(d, m, "Where", true);
  put_filters(d, m, "ScalarWhere", false);
}
