/* A data model as SDL: what creates and updates take, nested to any depth. P is the model whose field carries a nested
 * operation, C the one at the other end, and back the field of C that leads to P again, which is left out below. */
#include "schema/derive.h"

#include "base/arena.h"
#include "base/str.h"
#include "manifest/model_rules.h"
#include "model/names.h"

#include <ctype.h>
#include <string.h>

/* ---- which fields ---- */

static bool is_written(const struct field *f, const struct field *back, bool create) {
  if (f->relation) return f != back;
  if (f->source == SOURCE_CREATED || f->source == SOURCE_UPDATED) return false;
  return create ? f->source != SOURCE_SEQUENCE : !f->in_key;
}

static bool has_written(const struct model *m, const struct field *back, bool create, bool relations) {
  for (size_t i = 0; i < m->nfields; i++)
    if ((relations || !m->fields[i].relation) && is_written(&m->fields[i], back, create)) return true;
  return false;
}

bool derive_has_create(const struct model *m, const struct field *back) { return has_written(m, back, true, true); }
bool derive_has_update(const struct model *m, const struct field *back) { return has_written(m, back, false, true); }
bool derive_has_update_many(const struct model *m) { return has_written(m, NULL, false, false); }

/* "WithoutParent", or "" where nothing leads back. */
static const char *without(struct derive *d, const struct field *back) {
  return back ? arena_printf(d->mem, "Without%s", name_upper_first(d->mem, back->name)) : "";
}

/* ---- fields of an input ---- */

/* "ChildCreateManyWithoutParentInput": what the relation field f takes. */
static void put_relation_type(struct derive *d, const struct field *f, bool create) {
  const struct relation_side *there = field_there(f);
  const char *how = f->list ? "Many" : f->required && !create ? "OneRequired" : "One";

  str_printf(d->out, "%s%s%s%sInput", there->model->name, create ? "Create" : "Update", how, without(d, there->field));
}

/* Must the client give it? Not what the manifest presets. */
static bool is_needed(const struct derive *d, const struct field *f) {
  const struct field_rules *rules = manifest_field_rules(d->manifest, f);

  return f->required && (f->relation || f->source == SOURCE_CLIENT) && !(rules && rules->preset_create);
}

static void put_create_field(struct derive *d, const struct model *m, const struct field *f) {
  str_printf(d->out, "  %s: ", f->name);
  if (f->relation) put_relation_type(d, f, true);
  else if (f->list) str_printf(d->out, "%sCreate%sInput", m->name, f->name);
  else str_add(d->out, derive_scalar(f));
  str_add(d->out, is_needed(d, f) ? "!\n" : "\n");
}

static void put_update_field(struct derive *d, const struct model *m, const struct field *f) {
  str_printf(d->out, "  %s: ", f->name);
  if (f->relation) put_relation_type(d, f, false);
  else if (f->list) str_printf(d->out, "%sUpdate%sInput", m->name, f->name);
  else str_add(d->out, derive_scalar(f));
  str_char(d->out, '\n');
  for (const char *const *change = name_changes; field_is_number(f) && *change; change++)
    str_printf(d->out, "  %s_%s: %s\n", f->name, *change, derive_scalar(f));
}

static void put_create(struct derive *d, const struct model *m, const struct field *back) {
  if (!derive_has_create(m, back)) return;
  derive_open(d, "input", m, GQL_USE_CREATE, "%sCreate%sInput", m->name, without(d, back));
  for (size_t i = 0; i < m->nfields; i++)
    if (is_written(&m->fields[i], back, true)) put_create_field(d, m, &m->fields[i]);
  str_add(d->out, "}\n");
}

/* name: MUpdateInput, MUpdateDataInput ... all have the same fields, but for relations. */
static void put_update(struct derive *d, const struct model *m, const struct field *back, bool relations, const char *name) {
  if (!has_written(m, back, false, relations)) return;
  derive_open(d, "input", m, GQL_USE_UPDATE, "%sUpdate%sInput", m->name, name);
  for (size_t i = 0; i < m->nfields; i++)
    if ((relations || !m->fields[i].relation) && is_written(&m->fields[i], back, false))
      put_update_field(d, m, &m->fields[i]);
  str_add(d->out, "}\n");
}

static void put_lists(struct derive *d, const struct model *m) {
  for (size_t i = 0; i < m->nfields; i++) {
    const struct field *f = &m->fields[i];
    const char *type = f->relation ? NULL : derive_scalar(f);

    if (f->relation || !f->list) continue;
    derive_open(d, "input", m, GQL_USE_OTHER, "%sCreate%sInput", m->name, f->name);
    str_printf(d->out, "  set: [%s!]\n}\n", type);
    str_add(d->out, "\"At most one of them.\"\n");
    derive_open(d, "input", m, GQL_USE_OTHER, "%sUpdate%sInput", m->name, f->name);
    str_printf(d->out, "  set: [%s!]\n  push: [%s!]\n  remove: [%s!]\n}\n", type, type, type);
  }
}

/* ---- nested operations ---- */

static void put_op(struct derive *d, bool list, const char *op, const char *model, const char *type, const char *suffix) {
  str_printf(d->out, list ? "  %s: [%s%s%sInput!]\n" : "  %s: %s%s%sInput\n", op, model, type, suffix);
}

/* Which operations are offered: NESTED.md, 2.1, and decision 6. */
static void put_create_ops(struct derive *d, const struct field *f) {
  const struct model *c = field_there(f)->model;
  const struct field *back = field_there(f)->field;
  const char *suffix = without(d, back), *nested = back ? suffix : "Nested";

  derive_open(d, "input", c, GQL_USE_NESTED, "%sCreate%s%sInput", c->name, f->list ? "Many" : "One", suffix);
  if (derive_has_create(c, back)) put_op(d, f->list, "create", c->name, "Create", suffix);
  put_op(d, f->list, "connect", c->name, "WhereUnique", "");
  if (derive_has_create(c, back)) put_op(d, f->list, "connectOrCreate", c->name, "CreateOrConnect", nested);
  if (derive_has_create(c, back) && derive_has_update(c, back))
    put_op(d, f->list, "upsert", c->name, "UpsertWithWhereUnique", nested);
  str_add(d->out, "}\n");
}

static void put_update_many_ops(struct derive *d, const struct model *c) {
  put_op(d, true, "set", c->name, "WhereUnique", "");
  put_op(d, true, "disconnect", c->name, "WhereUnique", "");
  put_op(d, true, "delete", c->name, "WhereUnique", "");
  if (derive_has_update_many(c)) put_op(d, true, "updateMany", c->name, "UpdateManyWithWhereNested", "");
  put_op(d, true, "deleteMany", c->name, "ScalarWhere", "");
}

static void put_update_ops(struct derive *d, const struct field *f) {
  const struct model *c = field_there(f)->model;
  const struct field *back = field_there(f)->field;
  const char *suffix = without(d, back), *nested = back ? suffix : "Nested", *data = arena_printf(d->mem, "%sData", suffix);
  bool create = derive_has_create(c, back), update = derive_has_update(c, back);

  derive_open(d, "input", c, GQL_USE_NESTED, "%sUpdate%s%sInput", c->name,
              f->list       ? "Many"
              : f->required ? "OneRequired"
                            : "One",
              suffix);
  if (create) put_op(d, f->list, "create", c->name, "Create", suffix);
  if (update && f->list) put_op(d, true, "update", c->name, "UpdateWithWhereUnique", nested);
  if (update && !f->list) put_op(d, false, "update", c->name, "Update", data);
  if (create && update) put_op(d, f->list, "upsert", c->name, f->list ? "UpsertWithWhereUnique" : "Upsert", nested);
  put_op(d, f->list, "connect", c->name, "WhereUnique", "");
  if (create) put_op(d, f->list, "connectOrCreate", c->name, "CreateOrConnect", nested);
  if (f->list) put_update_many_ops(d, c);
  else if (!f->required) str_add(d->out, "  disconnect: Boolean\n  delete: Boolean\n");
  str_add(d->out, "}\n");
}

/* The elements of operations that are made of several parts. */
static void put_elements(struct derive *d, const struct model *c, const struct field *back) {
  const char *suffix = without(d, back), *nested = back ? suffix : "Nested", *name = c->name;
  bool create = derive_has_create(c, back), update = derive_has_update(c, back);

  if (create) {
    derive_open(d, "input", c, GQL_USE_OTHER, "%sCreateOrConnect%sInput", name, nested);
    str_printf(d->out, "  where: %sWhereUniqueInput!\n  create: %sCreate%sInput!\n}\n", name, name, suffix);
  }
  if (update) {
    derive_open(d, "input", c, GQL_USE_OTHER, "%sUpdateWithWhereUnique%sInput", name, nested);
    str_printf(d->out, "  where: %sWhereUniqueInput!\n  data: %sUpdate%sDataInput!\n}\n", name, name, suffix);
  }
  if (!create || !update) return;
  derive_open(d, "input", c, GQL_USE_OTHER, "%sUpsert%sInput", name, nested);
  str_printf(d->out, "  update: %sUpdate%sDataInput!\n  create: %sCreate%sInput!\n}\n", name, suffix, name, suffix);
  derive_open(d, "input", c, GQL_USE_OTHER, "%sUpsertWithWhereUnique%sInput", name, nested);
  str_printf(d->out, "  where: %sWhereUniqueInput!\n  update: %sUpdate%sDataInput!\n  create: %sCreate%sInput!\n}\n", name,
             name, suffix, name, suffix);
}

static void put_nested(struct derive *d, const struct model *c, const struct field *back) {
  const char *data = arena_printf(d->mem, "%sData", without(d, back));

  if (back) put_create(d, c, back); /* without: MCreateInput itself */
  put_update(d, c, back, true, data);
  put_elements(d, c, back);
}

/* What is written is for the model at the other end. Where a field leads back from there, no other relation has these
 * names; where none does, all relations of that kind share them. */
static void put_relation(struct derive *d, const struct field *f) {
  enum { ONE = 1, REQUIRED = 2, MANY = 4, PARTS = 8 };
  const struct relation_side *there = field_there(f);
  unsigned kind = f->list ? MANY : f->required ? REQUIRED : ONE, *offered = &d->offered[there->model->id], had = 0;

  if (!there->field) {
    had = *offered;
    *offered |= kind | PARTS;
  }
  if (!(had & PARTS)) put_nested(d, there->model, there->field);
  if (!(had & (kind == MANY ? MANY : ONE | REQUIRED))) put_create_ops(d, f);
  if (!(had & kind)) put_update_ops(d, f);
}

static bool is_nested_many(const struct datamodel *d, const struct model *m) {
  for (size_t i = 0; i < d->nmodels; i++)
    for (size_t j = 0; j < d->models[i].nfields; j++)
      if (d->models[i].fields[j].relation && d->models[i].fields[j].list && field_there(&d->models[i].fields[j])->model == m)
        return true;
  return false;
}

void derive_inputs(struct derive *d, const struct model *m) {
  put_lists(d, m);
  put_create(d, m, NULL);
  put_update(d, m, NULL, true, "");
  put_update(d, m, NULL, false, "ManyMutation");
  if (is_nested_many(d->model, m) && derive_has_update_many(m)) {
    put_update(d, m, NULL, false, "ManyData");
    derive_open(d, "input", m, GQL_USE_OTHER, "%sUpdateManyWithWhereNestedInput", m->name);
    str_printf(d->out, "  where: %sScalarWhereInput!\n  data: %sUpdateManyDataInput!\n}\n", m->name, m->name);
  }
  for (size_t i = 0; i < m->nfields; i++)
    if (m->fields[i].relation) put_relation(d, &m->fields[i]);
}
