/* Relations: which two fields are the sides of one, what it is called, and where its links stand. */
#include "model/reader.h"

#include "base/arena.h"
#include "base/problems.h"

#include <string.h>

/* ---- pairs ---- */

struct candidates {
  size_t all, unnamed;
  struct field_draft *named_alike, *first_unnamed, *first;
};

/* The fields of owner that lead to target, without one of them. */
static struct candidates look(struct model_draft *owner, const struct model_draft *target, const struct field_draft *without,
                              const char *name) {
  struct candidates c = {0};

  for (size_t i = 0; i < owner->nfields; i++) {
    struct field_draft *f = &owner->fields[i];

    if (f->target != target || f == without) continue;
    c.all++;
    if (!c.first) c.first = f;
    if (!f->relation_name) c.unnamed++;
    if (!f->relation_name && !c.first_unnamed) c.first_unnamed = f;
    if (name && f->relation_name && strcmp(f->relation_name, name) == 0 && !f->made && !c.named_alike) c.named_alike = f;
  }
  return c;
}

static void refuse_many(struct model_reader *r, struct field_draft *f) {
  f->refused = true;
  schema_wrong(r, f->field->line,
               "%s.%s: there are several relations between %s and %s; name each, on both of its sides, with "
               "@relation(name: \"...\")",
               f->owner->model->name, f->field->name, f->owner->model->name, f->target->model->name);
}

/* The field at the other end, NULL: none is declared, or f is refused. */
static struct field_draft *find_back(struct model_reader *r, struct field_draft *f) {
  bool self = f->target == f->owner;
  struct candidates there = look(f->target, f->owner, f, f->relation_name);
  struct candidates here = look(f->owner, f->target, f, NULL);
  bool only_pair = !self && here.all == 0 && there.all == 1;

  if (f->relation_name && there.named_alike) return there.named_alike;
  /* named on one side alone, and there is no other pair that it could belong to */
  if (only_pair && !there.first->made && (!f->relation_name || !there.first->relation_name)) return there.first;
  if (f->relation_name) return NULL;
  if (here.unnamed > (self ? 1 : 0) || (!self && there.unnamed > 1)) {
    refuse_many(r, f);
    return NULL;
  }
  return there.first_unnamed;
}

/* ---- sides ---- */

static const char *relation_name(const void *mem, const struct field_draft *f, const struct field_draft *back) {
  const char *a = f->owner->model->name, *b = f->target->model->name;

  if (f->relation_name) return f->relation_name;
  if (back && back->relation_name) return back->relation_name;
  return strcmp(a, b) <= 0 ? arena_printf(mem, "%sTo%s", a, b) : arena_printf(mem, "%sTo%s", b, a);
}

/* Is f the side A? */
static bool comes_first(const struct field_draft *f, const struct field_draft *back) {
  int order = strcmp(f->owner->model->name, f->target->model->name);

  if (order == 0) order = back ? strcmp(f->field->name, back->field->name) : -1;
  return order < 0;
}

static void fill_side(struct relation *relation, unsigned side, struct field_draft *f, const struct model_draft *owner) {
  struct relation_side *s = &relation->sides[side];

  *s = (struct relation_side){.model = owner->model, .list = true};
  if (!f) return;
  s->field = f->field;
  s->list = f->field->list;
  s->required = f->field->required;
  s->on_delete = f->on_delete;
  f->made = relation;
  f->field->relation = relation;
  f->field->side = side;
}

/* ---- storage ---- */

static enum link_wish wish_of(const struct field_draft *f) { return f ? f->link : LINK_ANY; }

static void wrong_link(struct model_reader *r, const struct field_draft *f, const char *text) {
  schema_wrong(r, f->field->line, "%s.%s: %s", f->owner->model->name, f->field->name, text);
}

/* Of a 1:1 relation: the type, or in a self relation the field, that is declared first. */
static bool declared_first(const struct field_draft *f, const struct field_draft *back) {
  if (f->owner == back->owner) return f->field->index < back->field->index;
  return f->owner->model->id < back->owner->model->id;
}

/* Which of the two holds an inline link. */
static struct field_draft *choose_holder(struct model_reader *r, struct field_draft *f, struct field_draft *back) {
  struct field_draft *holder;

  if (wish_of(f) == LINK_WISH_INLINE) return f;
  if (wish_of(back) == LINK_WISH_INLINE) return back;
  if (!back || back->field->list) return f;
  if (f->field->list) return back;
  holder = declared_first(f, back) ? f : back;
  problems_warn(r->problems, r->out->file, holder->field->line,
                "%s.%s: a 1:1 relation without link: stands in the table of %s, which "
                "is declared first; say so with @relation(link: INLINE)",
                holder->owner->model->name, holder->field->name, holder->owner->model->name);
  return holder;
}

static void choose_storage(struct model_reader *r, struct relation *relation, struct field_draft *f,
                           struct field_draft *back) {
  enum link_wish one = wish_of(f), two = wish_of(back);
  bool many = f->field->list && (!back || back->field->list);
  bool has_table = schema_draft(r, relation->name, true) != NULL;

  if (one == LINK_WISH_INLINE && f->field->list)
    wrong_link(r, f, "a list has no column for its link; write link: INLINE on the other side");
  if (two == LINK_WISH_INLINE && back->field->list)
    wrong_link(r, back, "a list has no column for its link; write link: INLINE on the other side");
  if (one != LINK_ANY && two != LINK_ANY && (one != two || one == LINK_WISH_INLINE))
    wrong_link(r, back, "both sides say link:; keep one");
  if (has_table && (one == LINK_WISH_INLINE || two == LINK_WISH_INLINE))
    wrong_link(r, f, "the relation has a @relationTable, so link: INLINE cannot be; remove one of them");
  if (many || has_table || one == LINK_WISH_TABLE || two == LINK_WISH_TABLE) {
    relation->storage = LINK_TABLE;
    return;
  }
  relation->storage = LINK_INLINE;
  relation->holder = choose_holder(r, f, back)->field->side;
}

/* Columns are named where they are. */
static void check_columns(struct model_reader *r, const struct relation *relation, const struct field_draft *f) {
  if (!f || !f->columns.n) return;
  if (relation->storage == LINK_TABLE)
    schema_wrong(r, f->columns_line,
                 "%s.%s: the link stands in a table of its own, so it has no column here; remove @db, or describe "
                 "the table: type %s @relationTable",
                 f->owner->model->name, f->field->name, relation->name);
  else if (relation->holder != f->field->side)
    schema_wrong(r, f->columns_line, "%s.%s: the link stands in the table of %s; move @db to that side",
                 f->owner->model->name, f->field->name, f->target->model->name);
}

/* ---- the whole ---- */

static void check_name(struct model_reader *r, const struct relation *relation) {
  for (const struct relation *other = r->relations; other < relation; other++)
    if (strcmp(other->name, relation->name) == 0)
      schema_wrong(r, relation->line,
                   "there are two relations %s, also on line %d; a name stands on the two sides of one relation",
                   relation->name, other->line);
}

static void make_relation(struct model_reader *r, struct field_draft *f) {
  struct field_draft *back = find_back(r, f);
  struct relation *relation;
  unsigned side;

  if (f->refused) return;
  side = comes_first(f, back) ? 0 : 1;
  relation = &r->relations[r->out->nrelations];
  relation->id = r->out->nrelations++;
  relation->line = f->field->line;
  relation->self = f->owner == f->target;
  relation->name = relation_name(r->mem, f, back);
  fill_side(relation, side, f, f->owner);
  fill_side(relation, !side, back, f->target);
  check_name(r, relation);
  choose_storage(r, relation, f, back);
  check_columns(r, relation, f);
  check_columns(r, relation, back);
}

void relations_read(struct model_reader *r) {
  size_t n = 0;

  for (size_t i = 0; i < r->ndrafts; i++) n += r->drafts[i].nfields;
  r->relations = arena_array(r->mem, struct relation, n + 1);
  r->out->relations = r->relations;
  for (size_t i = 0; i < r->ndrafts; i++)
    for (size_t j = 0; j < r->drafts[i].nfields; j++) {
      struct field_draft *f = &r->drafts[i].fields[j];

      if (f->target && !f->made && !r->drafts[i].is_link_table) make_relation(r, f);
    }
}
