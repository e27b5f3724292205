/* Shapes: what PostgreSQL says of the commands. */
#include "engine/engine_inside.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "model/check.h"

#include <stdlib.h>
#include <string.h>

enum { LOOK_AGAIN_MS = 1000 }; /* how often an error may make us ask PostgreSQL about a command again */

/* What PostgreSQL can be asked about. */
bool shapes_apply(const struct command *c) {
  return c->kind == COMMAND_SQL || c->kind == COMMAND_CHECK || c->kind == COMMAND_PERMISSION || c->kind == COMMAND_VERSION ||
         wrap_has_types(c);
}

static bool out_of_order(struct shape *shape, const char *why) {
  shape->d.ok = false;
  shape->d.error.message = why;
  shape->d.error.code = ERR_INTERNAL;
  return false;
}

/* Columns become names of JSON members. */
static bool columns_are_names(const void *mem, struct shape *shape) {
  const struct description *d = &shape->d;

  for (size_t i = 0; i < d->ncolumns; i++) {
    if (strcmp(d->columns[i], "?column?") == 0)
      return out_of_order(shape, arena_printf(mem, "column %zu has no name: write `expression as name`", i + 1));
    for (size_t j = 0; j < i; j++)
      if (strcmp(d->columns[i], d->columns[j]) == 0)
        return out_of_order(shape,
                            arena_printf(mem, "two columns are named \"%s\": write `as` with another name", d->columns[i]));
  }
  return true;
}

static enum returns default_returns(const struct command *c, const struct shape *shape) {
  if (c->sql.verb == SQL_CALL) return RETURNS_NONE;
  return shape->d.ncolumns ? RETURNS_MANY : RETURNS_COUNT;
}

static bool finish_shape(const void *mem, const struct command *c, struct shape *shape) {
  shape->described_ms = clock_ms();
  shape->returns = c->returns;
  if (!shape->d.ok) return false;
  if (c->kind != COMMAND_SQL) return true;
  if (shape->returns == RETURNS_DEFAULT) shape->returns = default_returns(c, shape);
  if (shape->returns <= RETURNS_MANY && !shape->d.ncolumns)
    return out_of_order(shape, "`returns:` wants rows, but the statement gives none: add `returning ...`");
  return shape->returns > RETURNS_MANY || columns_are_names(mem, shape);
}

/* What PostgreSQL has against the command; it says $1 where the manifest says :name. */
const char *shapes_reason(const struct command *c, const struct shape *shape) {
  static const char parameter[] = "parameter $";
  const struct err *e = &shape->d.error;
  const char *at = e->log_detail ? strstr(e->log_detail, parameter) : NULL;
  size_t n = at ? strtoul(at + strlen(parameter), NULL, 10) : 0;

  if (!e->log_detail) return e->message;
  if (n < 1 || n > c->sql.nnames) return e->log_detail;
  return arena_printf(e->mem, "%s, which is :%s; give its type in args:", e->log_detail, c->sql.names[n - 1]);
}

static void log_out_of_order(const struct command *c, const struct shape *shape) {
  log_line(LOG_ERROR, "command_out_of_order", "command=%s manifest=%s:%d reason=%s", c->name, c->file, c->line,
           log_quoted(shape->d.error.mem, shapes_reason(c, shape)));
}

/* Commands that are described together, of one datasource. */
struct batch {
  size_t *ids;
  const char **sql;
  size_t n;
};

static struct batch batch_new(const void *mem, size_t room) {
  return (struct batch){.ids = arena_array(mem, size_t, room), .sql = arena_array(mem, const char *, room)};
}

static void batch_add(struct batch *b, const void *mem, const struct command *c, bool unlocked) {
  b->ids[b->n] = c->id;
  b->sql[b->n++] = wrap_plain(mem, c, unlocked);
}

static bool describe_batch(struct engine *engine, struct source *source, const void *mem, const struct batch *b,
                           const struct wait *w, struct err *e) {
  struct description *out = arena_array(mem, struct description, b->n ? b->n : 1);

  if (!b->n) return true;
  if (!catalog_describe(source->conn, mem, b->sql, b->n, out, w, e)) return false;
  for (size_t i = 0; i < b->n; i++) engine->shapes[b->ids[i]].d = out[i];
  return true;
}

/* Not every statement can be had with a row lock (aggregates, outer joins, a view of several tables): then without it; `writ
 * check` says so. */
static bool describe_unlocked(struct engine *engine, struct source *source, const void *mem, const struct batch *tried,
                              const struct wait *w, struct err *e) {
  struct batch again = batch_new(mem, tried->n + 1);

  for (size_t i = 0; i < tried->n; i++) {
    const struct command *c = engine->manifest->commands[tried->ids[i]];
    struct shape *shape = &engine->shapes[c->id];

    shape->unlocked = !shape->d.ok && wrap_locks(c);
    if (shape->unlocked) batch_add(&again, mem, c, true);
  }
  return describe_batch(engine, source, mem, &again, w, e);
}

/* How the keys of the data model's tables behave. The manifest is this process's own copy: nobody else sees it change. */
static bool learn_model(struct engine *engine, size_t source_index, const struct wait *w, struct err *e) {
  const struct manifest *m = engine->manifest;
  const struct db_tables *tables;
  void *mem;
  bool ok;

  if (!m->model || m->model_datasource != source_index) return true;
  mem = talloc_new(engine);
  ok = model_tables(engine->sources[source_index].conn, mem, m->model, &tables, w, e);
  if (ok) model_learn((struct datamodel *)m->model, tables);
  talloc_free(mem);
  return ok;
}

/* All commands of a datasource in one go. */
bool shapes_describe(struct engine *engine, size_t source_index, const struct wait *w, struct err *e) {
  struct source *source = &engine->sources[source_index];
  const struct manifest *m = engine->manifest;
  void *mem = talloc_new(engine);
  struct batch b = batch_new(mem, m->ncommands);

  for (size_t i = 0; i < m->ncommands; i++)
    if (shapes_apply(m->commands[i]) && m->commands[i]->datasource == source_index)
      batch_add(&b, mem, m->commands[i], false);
  if (!describe_batch(engine, source, mem, &b, w, e) || !describe_unlocked(engine, source, mem, &b, w, e) ||
      !learn_model(engine, source_index, w, e)) {
    talloc_free(mem);
    return false;
  }
  for (size_t i = 0; i < b.n; i++) {
    const struct command *c = m->commands[b.ids[i]];
    if (!finish_shape(mem, c, &engine->shapes[c->id])) log_out_of_order(c, &engine->shapes[c->id]);
  }
  source->mem = mem;
  source->described = true;
  return true;
}

static bool same_columns(const struct description *a, const struct description *b) {
  if (a->ncolumns != b->ncolumns) return false;
  for (size_t i = 0; i < a->ncolumns; i++)
    if (strcmp(a->columns[i], b->columns[i]) != 0) return false;
  return true;
}

static bool same_shape(const struct shape *a, const struct shape *b) {
  if (a->d.ok != b->d.ok || a->unlocked != b->unlocked || a->d.nparams != b->d.nparams || !same_columns(&a->d, &b->d))
    return false;
  for (size_t i = 0; a->d.ok && i < a->d.nparams; i++)
    if (a->d.params[i]->oid != b->d.params[i]->oid || strcmp(a->d.params[i]->name, b->d.params[i]->name) != 0) return false;
  return true;
}

static bool describe_one(struct engine *engine, const void *mem, const struct command *c, struct shape *shape,
                         const struct wait *w, struct err *e) {
  for (int unlocked = 0; unlocked <= wrap_locks(c) && !shape->d.ok; unlocked++) {
    const char *sql = wrap_plain(mem, c, unlocked);

    shape->unlocked = unlocked;
    if (!catalog_describe(engine->sources[c->datasource].conn, mem, &sql, 1, &shape->d, w, e)) return false;
  }
  return true;
}

/* The tables may have changed under us (DDL): asks PostgreSQL about one command again, at most once a second, as an error
 * that a client can provoke must not become a load. True: it has changed, and what was prepared is forgotten. */
bool shapes_look_again(struct engine *engine, const struct command *c, const struct wait *w) {
  struct shape *shape = &engine->shapes[c->id], now = {0};
  void *mem;
  struct err ignored;
  bool changed;

  if (!shapes_apply(c) || clock_ms() - shape->described_ms < LOOK_AGAIN_MS) return false;
  mem = talloc_new(engine);
  err_init(&ignored, mem);
  if (!describe_one(engine, mem, c, &now, w, &ignored)) {
    talloc_free(mem);
    return false;
  }
  if (!finish_shape(mem, c, &now) && shape->d.ok) log_out_of_order(c, &now);
  changed = !same_shape(shape, &now);
  *shape = now;
  talloc_free(engine->shape_mem[c->id]);
  engine->shape_mem[c->id] = mem;
  if (changed) {
    variants_clear(engine->variants);
    log_line(LOG_INFO, "described_again", "command=%s", c->name);
  }
  return changed;
}
