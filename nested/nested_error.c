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

static bool is_table(const struct err *e, const char *schema, const char *table) {
  return e->table && strcmp(e->table, table) == 0 && (!e->schema || strcmp(e->schema, schema) == 0);
}

/* Is it these columns of m's table that the error is about? Where PostgreSQL does not name them, as to those whom row-level
 * security applies to, or some of them in quotes, the name of the index tells. */
static bool is_about(const struct err *e, const struct model *m, const struct column *const *columns, size_t n,
                     const char *columns_sql) {
  if (!is_table(e, m->schema, m->table)) return false;
  if (e->key && are_columns(e->mem, columns, n, e->key)) return true;
  for (size_t i = 0; i < m->nindexes && e->constraint; i++)
    if (strcmp(m->indexes[i].name, e->constraint) == 0) return strcmp(m->indexes[i].columns_sql, columns_sql) == 0;
  return false;
}

static const struct key *violated(const struct model *m, const struct err *e) {
  for (size_t i = 0; i < m->nkeys; i++)
    if (is_about(e, m, m->keys[i].columns, m->keys[i].ncolumns, m->keys[i].columns_sql)) return &m->keys[i];
  return NULL;
}

/* Is it the columns of a link that are unique, or the link's table? A database may also have unique indexes that no file knows. */
static bool is_link(const struct model *m, const struct err *e) {
  for (size_t i = 0; i < m->nlinks; i++) {
    const struct relation *r = m->links[i].relation;
    const struct relation_side *holder = &r->sides[r->holder];

    if (r->storage == LINK_TABLE && is_table(e, r->schema, r->table)) return true;
    if (r->storage == LINK_INLINE && is_about(e, holder->model, holder->columns, holder->ncolumns, holder->columns_sql))
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

bool nested_is_hidden(const struct err *e) { return strcmp(e->sqlstate, "23505") == 0 && !e->key; }
