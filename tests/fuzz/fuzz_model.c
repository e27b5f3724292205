/* Fuzz target: a data model. What is accepted must hold together, so that nobody behind it has to look again, and its DDL
 * can be written. */
#include "base/arena.h"
#include "base/problems.h"
#include "model/ddl.h"
#include "model/read.h"
#include "tests/fuzz/demand.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool stands_in(const struct model *m, const struct column *c) {
  for (size_t i = 0; i < m->ncolumns; i++)
    if (m->columns[i] == c) return true;
  return false;
}

static void demand_field(const struct model *m, const struct field *f, size_t at) {
  demand(f->model == m && f->index == at && model_field(m, f->name) == f);
  if (f->relation) {
    demand(field_here(f)->field == f && field_here(f)->model == m && !f->column);
    demand(field_here(f)->list == f->list && field_here(f)->required == f->required);
    return;
  }
  demand(f->column && f->column->field == f && f->column->type_sql && f->column->cast_sql && stands_in(m, f->column));
  demand((f->scalar == SCALAR_ENUM) == (f->enumeration != NULL));
  demand((f->source == SOURCE_DEFAULT) == (f->default_sql != NULL));
  demand((f->source == SOURCE_SEQUENCE) == (f->next_sql != NULL));
}

static void demand_key(const struct model *m, const struct key *key) {
  demand(key->nfields > 0 && key->ncolumns >= key->nfields && key->columns_sql[0] && model_key(m, key->name) == key);
  for (size_t i = 0; i < key->ncolumns; i++)
    demand(stands_in(m, key->columns[i]) && (key != m->key || key->columns[i]->required));
}

static void demand_model(const struct datamodel *d, const struct model *m) {
  demand(model_find(d, m->name) == m && &d->models[m->id] == m && d->by_lock_rank[m->lock_rank] == m);
  demand(m->key == m->keys && m->nkeys > 0);
  for (size_t i = 0; i < m->nfields; i++) demand_field(m, &m->fields[i], i);
  for (size_t i = 0; i < m->nkeys; i++) demand_key(m, &m->keys[i]);
  for (size_t i = 0; i < m->nlinks; i++) demand(m->links[i].relation->sides[m->links[i].side].model == m);
}

static void demand_relation(const struct relation *relation) {
  const struct relation_side *a = &relation->sides[0], *b = &relation->sides[1];

  demand((a->field || b->field) && relation->self == (a->model == b->model));
  demand(strcmp(a->model->name, b->model->name) <= 0);
  for (unsigned side = 0; side < 2; side++) {
    const struct relation_side *s = &relation->sides[side];
    bool holds = relation->storage == LINK_TABLE || relation->holder == side;
    size_t n = relation->storage == LINK_TABLE ? s->model->key->ncolumns : relation->sides[!side].model->key->ncolumns;

    demand(s->ncolumns == (holds ? n : 0) && (s->columns_sql != NULL) == holds && !(s->list && s->required));
    for (size_t i = 0; i < s->ncolumns; i++)
      demand(s->columns[i]->nlinks > 0 && (relation->storage == LINK_TABLE || stands_in(s->model, s->columns[i])));
  }
  demand(relation->storage == LINK_TABLE ? relation->table_sql != NULL : !relation->sides[relation->holder].list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  void *mem = arena_request(NULL);
  struct problems p;

  problems_init(&p, mem);
  const struct datamodel *d = model_read(mem, "m.graphql", (const char *)data, size, NULL, &p);
  demand((d == NULL) == (p.errors > 0));
  for (size_t i = 0; i < p.n; i++) demand(p.items[i].text[0] != '\0' && p.items[i].line >= 0);
  for (size_t i = 0; d && i < d->nmodels; i++) demand_model(d, &d->models[i]);
  for (size_t i = 0; d && i < d->nrelations; i++) demand_relation(&d->relations[i]);
  if (d) demand(model_ddl(mem, d)[0] != '\0');
  talloc_free(mem);
  return 0;
}
