/* What PostgreSQL's errors mean to those who see the data model. */
#include "nested/nested_inside.h"

#include "base/arena.h"
#include "base/str.h"

#include <string.h>

/* Is it these columns that PostgreSQL names? text: "email" or "a, b", in quotes where it wants them. */
static bool are_columns(const void *mem, const struct column *const *columns, size_t n, const char *text) {
  struct str *plain = str_new(mem, 64), *quoted = str_new(mem, 64);

  for (size_t i = 0; i < n; i++) {
    str_printf(plain, "%s%s", i ? ", " : "", columns[i]->name);
    str_printf(quoted, "%s%s", i ? ", " : "", columns[i]->sql);
  }
  return strcmp(plain->p, text) == 0 || strcmp(quoted->p, text) == 0;
}

static const struct key *violated(const struct model *m, const struct err *e) {
  if (!e->key || !e->table || strcmp(e->table, m->table) != 0) return NULL;
  for (size_t i = 0; i < m->nkeys; i++)
    if (are_columns(e->mem, m->keys[i].columns, m->keys[i].ncolumns, e->key)) return &m->keys[i];
  return NULL;
}

/* Is it the columns of a link that are unique, or the link's table? A database may also have unique indexes that no file knows. */
static bool is_link(const struct model *m, const struct err *e) {
  for (size_t i = 0; i < m->nlinks && e->table; i++) {
    const struct relation *r = m->links[i].relation;
    const struct relation_side *holder = &r->sides[r->holder];

    if (r->storage == LINK_TABLE && strcmp(r->table, e->table) == 0) return true;
    if (r->storage == LINK_INLINE && e->key && strcmp(holder->model->table, e->table) == 0 &&
        are_columns(e->mem, holder->columns, holder->ncolumns, e->key))
      return true;
  }
  return false;
}

static void become(struct err *e, enum err_code code, int prisma_code, const char *message) {
  e->code = code;
  e->status = err_status(code);
  e->prisma_code = prisma_code;
  e->message = message;
}

static const char *given(const struct nested_data *d, const struct field *f) {
  for (size_t i = 0; i < d->nvalues; i++)
    if (d->values[i].field == f && d->values[i].value) return d->values[i].value->literal->text;
  return NULL;
}

/* Which row of a batch has the value, which PostgreSQL shows as it writes it. NULL: that cannot be told, or several have. */
static const char *path_in_batch(const struct nested_subject *s, const struct err *e) {
  const struct key *key = violated(s->model, e);
  const char *path = NULL;

  if (!key || key->ncolumns != 1 || !e->key_value) return NULL;
  for (size_t i = 0; i < s->nbatch; i++) {
    const char *text = given(s->batch[i]->create, key->fields[0]);
    if (!text || strcmp(text, e->key_value) != 0) continue;
    if (path) return NULL;
    path = s->batch[i]->path;
  }
  return path;
}

/* What a value, or a row, did wrong: data exceptions, constraints, what triggers raise. */
static bool is_of_row(const struct err *e) {
  return strncmp(e->sqlstate, "22", 2) == 0 || strncmp(e->sqlstate, "23", 2) == 0 || strncmp(e->sqlstate, "P0", 2) == 0 ||
         strncmp(e->sqlstate, "PT", 2) == 0;
}

bool nested_is_one_of_many(const struct step *step, const struct err *e) {
  const struct nested_subject *s = step->subject;
  return s && s->nbatch > 1 && is_of_row(e) && !path_in_batch(s, e);
}

const char *nested_error_path(const struct step *step, const struct err *e) {
  const struct nested_subject *s = step->subject;
  const char *path = s && s->nbatch ? path_in_batch(s, e) : NULL;

  if (s && e->item >= 0 && (size_t)e->item < s->npaths) path = s->paths[e->item];
  return path ? path : step->path;
}

static void explain_unique(const struct model *m, struct err *e) {
  const struct key *key = violated(m, e);

  if (!key && is_link(m, e)) {
    become(e, ERR_REQUIRED_RELATION, 3042, arena_printf(e->mem, "A relation of %s would be broken.", m->name));
    return;
  }
  become(
      e, ERR_UNIQUE_VIOLATION, 3010,
      key ? arena_printf(e->mem, "A unique constraint would be violated on %s. Details: Field name = %s", m->name, key->name)
          : arena_printf(e->mem, "A unique constraint would be violated on %s.", m->name));
}

void nested_explain_error(const struct step *step, struct err *e) {
  const struct nested_subject *s = step->subject;

  if (!s) return;
  if (strcmp(e->sqlstate, "23505") == 0) explain_unique(s->model, e);
  else if (strcmp(e->sqlstate, "23503") == 0 && s->removes)
    become(e, ERR_REQUIRED_RELATION, 3042,
           arena_printf(e->mem, "A required relation of %s would be broken.", s->model->name));
  else if (strcmp(e->sqlstate, "23503") == 0)
    become(e, ERR_FOREIGN_KEY_VIOLATION, 3011,
           arena_printf(e->mem, "A node that %s is linked to does not exist.", s->model->name));
}

void nested_explain_late(const struct plan *plan, struct err *e) {
  bool writes = false;

  for (size_t i = 0; i < plan->n; i++) writes |= plan->steps[i].subject != NULL;
  if (writes && strcmp(e->sqlstate, "23503") == 0)
    become(e, ERR_FOREIGN_KEY_VIOLATION, 3011, "A node that was linked to does not exist.");
}

bool nested_lost_race(const struct step *step, const struct err *e) {
  const struct nested_subject *s = step->subject;

  if (s && s->no_wait) return strcmp(e->sqlstate, "55P03") == 0;
  return s && s->unless && strcmp(e->sqlstate, "23505") == 0 && violated(s->model, e) == s->unless;
}
