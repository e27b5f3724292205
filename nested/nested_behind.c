/* Which links of a new row are made behind it. A link that the row holds is found ahead of it and written with it, in one
 * statement; but where it may lead to the row itself, or to one that the same create makes first (docs/nested.md, "Order"), it
 * is made as in an update. What is required must be there when the row is. */
#include "nested/nested_inside.h"

#include <string.h>

static const char *literal_text(const struct expr *x) { return x && x->kind == EXPR_LITERAL ? x->literal->text : NULL; }

static bool is_given(const struct nested_data *d, const struct field *f, const struct expr *value) {
  const char *sought = literal_text(value);

  for (size_t i = 0; i < d->nvalues; i++)
    if (d->values[i].field == f) {
      const char *given = literal_text(d->values[i].value);
      return sought && given && strcmp(given, sought) == 0;
    }
  return false;
}

/* Does the where name the row? Of a key's relations it is not asked where they lead. */
static bool may_be(const struct where_unique *where, const struct nested_data *made) {
  const struct key *key = where->key;

  for (size_t i = 0, column = 0; i < key->nfields; i++) {
    const struct field *f = key->fields[i];

    if (!f->relation && !is_given(made, f, where->values[column])) return false;
    column += f->relation ? field_here(f)->ncolumns : 1;
  }
  return true;
}

/* Looks at so many operations and wheres and no more: then it may be any. To make a link behind the row is always right. */
struct search {
  const struct nested_op *op;
  size_t left;
};

enum { SEARCHED = 100000 };

static bool names(struct search *s, const struct nested_op *op, const struct nested_data *made);

static bool any_names(struct search *s, const struct nested_data *d, const struct nested_data *made) {
  for (size_t i = 0; d && i < d->nops; i++)
    if (names(s, &d->ops[i], made)) return true;
  return false;
}

/* Does it, or what is nested below it, name the row that is made? */
static bool names(struct search *s, const struct nested_op *op, const struct nested_data *made) {
  if (s->left <= op->nwheres) return true;
  s->left -= op->nwheres + 1;
  for (size_t i = 0; i < op->nwheres && field_there(op->field)->model == made->model; i++)
    if (may_be(&op->wheres[i], made)) return true;
  return any_names(s, op->create, made) || any_names(s, op->update, made);
}

static bool names_below(struct search *s, const struct nested_data *d);

/* The same of the rows that another operation makes. */
static bool names_made(struct search *s, const struct nested_op *other) {
  return (other->create && names(s, s->op, other->create)) || names_below(s, other->create) || names_below(s, other->update);
}

static bool names_below(struct search *s, const struct nested_data *d) {
  for (size_t i = 0; d && i < d->nops; i++)
    if (names_made(s, &d->ops[i])) return true;
  return false;
}

/* The row itself, or what those make that run ahead of the op once the row is there. */
static bool is_behind(const struct nested_data *d, const struct nested_op *op) {
  struct search s = {.op = op, .left = SEARCHED};

  if (names(&s, op, d)) return true;
  for (const struct nested_op *other = d->ops; other < op; other++)
    if (!op_comes_before(d, other) && names_made(&s, other)) return true;
  return false;
}

void find_links_behind(struct nested_data *d) {
  for (size_t i = 0; d && i < d->nops; i++) {
    struct nested_op *op = &d->ops[i];

    find_links_behind(op->create);
    find_links_behind(op->update);
    if (op_comes_before(d, op) && !op->field->required) op->behind = is_behind(d, op);
  }
}
