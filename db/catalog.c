/* Asks PostgreSQL what statements take and give, in a handful of round trips for any number of them. */
#include "db/catalog.h"

#include "base/arena.h"
#include "base/str.h"
#include "db/conn_libpq.h"
#include "db/sqlstate.h"

#include <stdlib.h>
#include <string.h>

/* Object identifiers that PostgreSQL never changes (catalog/pg_type.dat). */
enum { OID_BOOL = 16, OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23, OID_OID = 26, OID_JSON = 114, OID_JSONB = 3802 };

/* Statements: Parse and Describe of the unnamed statement, each with a Sync of its own, so that one that fails leaves the
 * others alone; all in one flight. */

static bool send_describes(struct conn *c, const char *const *sql, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!PQsendPrepare(c->pg, "", sql[i], 0, NULL) || !PQsendDescribePrepared(c->pg, "") || !PQpipelineSync(c->pg))
      return false;
  return true;
}

/* oids: of the parameters, then of the columns. */
static void take_description(const void *mem, const PGresult *r, struct description *d, unsigned **oids) {
  d->ok = true;
  d->nparams = (size_t)PQnparams(r);
  d->params = arena_array(mem, const struct type *, d->nparams ? d->nparams : 1);
  d->ncolumns = (size_t)PQnfields(r);
  *oids = arena_array(mem, unsigned, d->nparams + d->ncolumns + 1);
  for (size_t i = 0; i < d->nparams; i++) (*oids)[i] = PQparamtype(r, (int)i);
  for (size_t i = 0; i < d->ncolumns; i++) (*oids)[d->nparams + i] = PQftype(r, (int)i);
  d->columns = arena_array(mem, const char *, d->ncolumns ? d->ncolumns : 1);
  d->column_types = arena_array(mem, const struct type *, d->ncolumns ? d->ncolumns : 1);
  for (size_t i = 0; i < d->ncolumns; i++) d->columns[i] = arena_strdup(mem, PQfname(r, (int)i));
}

static bool read_description(struct conn *c, const void *mem, const struct wait *w, struct description *d, unsigned **oids) {
  PGresult *prepared = NULL, *described = NULL;
  bool ok = conn_read_query(c, w, &prepared) && conn_read_query(c, w, &described) && conn_read_sync(c, w);

  err_init(&d->error, mem);
  if (ok && described && PQresultStatus(described) == PGRES_COMMAND_OK) take_description(mem, described, d, oids);
  else if (ok) sqlstate_error(&d->error, prepared && PQresultStatus(prepared) != PGRES_COMMAND_OK ? prepared : described);
  PQclear(prepared);
  PQclear(described);
  return ok;
}

/* Types: the closure over domains' base types, arrays' elements and composites' fields, one row a type. With the typmod -1
 * format_type says bpchar and "bit"; without one it says character and bit, which as a cast mean a length of 1. */

static const char types_sql[] =
    "with recursive t(oid) as ("
    " select unnest($1::oid[])"
    " union"
    " select x.oid from t join pg_catalog.pg_type p on p.oid = t.oid"
    " left join pg_catalog.pg_attribute a on p.typtype = 'c' and a.attrelid = p.typrelid and a.attnum > 0"
    "  and not a.attisdropped,"
    " lateral (values (p.typbasetype), (p.typelem), (a.atttypid)) x(oid) where x.oid <> 0)"
    "select p.oid, pg_catalog.format_type(p.oid, -1), p.typtype, p.typcategory, p.typbasetype, p.typelem,"
    " coalesce((select e.typdelim from pg_catalog.pg_type e where e.oid = p.typelem), ','),"
    " (select pg_catalog.string_agg(a.attname, e'\\x01' order by a.attnum) from pg_catalog.pg_attribute a"
    "  where p.typtype = 'c' and a.attrelid = p.typrelid and a.attnum > 0 and not a.attisdropped),"
    " (select pg_catalog.string_agg(a.atttypid::text, e'\\x01' order by a.attnum) from pg_catalog.pg_attribute a"
    "  where p.typtype = 'c' and a.attrelid = p.typrelid and a.attnum > 0 and not a.attisdropped),"
    " (select pg_catalog.string_agg(l.enumlabel, e'\\x01' order by l.enumsortorder) from pg_catalog.pg_enum l"
    "  where l.enumtypid = p.oid)"
    " from (select distinct oid from t) t join pg_catalog.pg_type p using (oid) order by p.oid";

struct types {
  struct type *items; /* in order of oid */
  size_t n;
};

static int compare_types(const void *a, const void *b) {
  const struct type *x = a, *y = b;
  return x->oid < y->oid ? -1 : x->oid > y->oid;
}

static struct type *find_type(const struct types *t, unsigned oid) {
  struct type key = {.oid = oid};
  return bsearch(&key, t->items, t->n, sizeof key, compare_types);
}

static unsigned oid_at(const PGresult *r, int row, int column) {
  return (unsigned)strtoul(PQgetvalue(r, row, column), NULL, 10);
}

static enum type_kind kind_of(unsigned oid, char type, char category) {
  switch (oid) {
  case OID_BOOL: return TYPE_BOOLEAN;
  case OID_INT2:
  case OID_INT4:
  case OID_INT8:
  case OID_OID: return TYPE_INTEGER;
  case OID_JSON:
  case OID_JSONB: return TYPE_JSON;
  }
  if (type == 'c') return TYPE_COMPOSITE;
  if (category == 'A') return TYPE_ARRAY;
  return category == 'N' ? TYPE_NUMBER : TYPE_OTHER;
}

static void take_fields(const void *mem, const struct types *t, struct type *type, const char *names, const char *oids) {
  while (*names) {
    struct type_field *fields = (struct type_field *)type->fields;
    size_t len = strcspn(names, "\x01");

    arena_grow(mem, fields, type->nfields);
    fields[type->nfields++] =
        (struct type_field){arena_strndup(mem, names, len), find_type(t, (unsigned)strtoul(oids, NULL, 10))};
    type->fields = fields;
    names += len + (names[len] != '\0');
    oids += strcspn(oids, "\x01");
    oids += *oids != '\0';
  }
}

static void take_labels(const void *mem, struct type *type, const char *labels) {
  while (*labels) {
    const char **list = (const char **)type->labels;
    size_t len = strcspn(labels, "\x01");

    arena_grow(mem, list, type->nlabels);
    list[type->nlabels++] = arena_strndup(mem, labels, len);
    type->labels = list;
    labels += len + (labels[len] != '\0');
  }
}

/* A domain is used as its base type is, under its own name. Base types first: a domain may stand on a domain. */
static void resolve_domain(struct types *t, struct type *type, const PGresult *r) {
  int row = (int)(type - t->items);
  struct type *base;

  for (;;) {
    unsigned oid = oid_at(r, row, 4);
    if (!oid || !(base = find_type(t, oid))) break;
    row = (int)(base - t->items);
  }
  if (row == (int)(type - t->items)) return;
  base = &t->items[row];
  type->base = base->name;
  type->kind = base->kind;
  type->element = base->element;
  type->delimiter = base->delimiter;
  type->fields = base->fields;
  type->nfields = base->nfields;
  type->labels = base->labels;
  type->nlabels = base->nlabels;
}

static void take_types(const void *mem, const PGresult *r, struct types *t) {
  t->n = (size_t)PQntuples(r);
  t->items = arena_array(mem, struct type, t->n ? t->n : 1);
  for (int i = 0; i < (int)t->n; i++)
    t->items[i] = (struct type){.oid = oid_at(r, i, 0),
                                .name = arena_strdup(mem, PQgetvalue(r, i, 1)),
                                .delimiter = *PQgetvalue(r, i, 6),
                                .kind = kind_of(oid_at(r, i, 0), *PQgetvalue(r, i, 2), *PQgetvalue(r, i, 3))};
  for (int i = 0; i < (int)t->n; i++) {
    struct type *type = &t->items[i];
    if (type->kind == TYPE_ARRAY) type->element = find_type(t, oid_at(r, i, 5));
    if (type->kind == TYPE_ARRAY && !type->element) type->kind = TYPE_OTHER;
    type->base = type->name;
    take_fields(mem, t, type, PQgetvalue(r, i, 7), PQgetvalue(r, i, 8));
    take_labels(mem, type, PQgetvalue(r, i, 9));
  }
  for (size_t i = 0; i < t->n; i++) resolve_domain(t, &t->items[i], r);
}

static bool load_types(struct conn *c, const void *mem, const struct description *d, unsigned *const *oids, size_t n,
                       struct types *types, const struct wait *w, struct err *e) {
  struct str *list = str_new(mem, 256);
  const char *param;
  PGresult *r = NULL;

  str_char(list, '{');
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; d[i].ok && j < d[i].nparams + d[i].ncolumns; j++)
      str_printf(list, "%s%u", list->len > 1 ? "," : "", oids[i][j]);
  str_char(list, '}');
  param = list->p;
  if (!conn_ask(c, types_sql, 1, &param, &r, w, e)) return false;
  take_types(mem, r, types);
  PQclear(r);
  return true;
}

static void set_types(struct description *d, const struct types *types, const unsigned *oids) {
  for (size_t i = 0; i < d->ncolumns; i++) d->column_types[i] = find_type(types, oids[d->nparams + i]);
  for (size_t i = 0; i < d->nparams; i++) {
    d->params[i] = find_type(types, oids[i]);
    if (d->params[i]) continue;
    d->ok = false; /* dropped between the two questions */
    err_set(&d->error, INTERNAL, "the type of a parameter is not there any more");
  }
}

bool catalog_describe(struct conn *c, const void *mem, const char *const *sql, size_t n, struct description *out,
                      const struct wait *w, struct err *e) {
  unsigned **oids = arena_array(mem, unsigned *, n ? n : 1);
  struct types types = {0};
  bool ok;

  memset(out, 0, n * sizeof *out);
  conn_begin_flight(c);
  ok = send_describes(c, sql, n);
  for (size_t i = 0; ok && i < n; i++) ok = read_description(c, mem, w, &out[i], &oids[i]);
  conn_end_flight(c);
  if (!ok) return conn_lost(c, e);
  if (!load_types(c, mem, out, oids, n, &types, w, e)) return false;
  for (size_t i = 0; i < n; i++)
    if (out[i].ok) set_types(&out[i], &types, oids[i]);
  return true;
}

bool catalog_version(struct conn *c, int *version, const struct wait *w, struct err *e) {
  PGresult *r = NULL;

  *version = 0;
  if (!conn_ask(c, "select writ.version()", 0, NULL, &r, w, e)) {
    bool missing =
        strcmp(e->sqlstate, "3F000") == 0 || strcmp(e->sqlstate, "42883") == 0 || strcmp(e->sqlstate, "42501") == 0;
    return missing;
  }
  *version = atoi(PQgetvalue(r, 0, 0));
  PQclear(r);
  return true;
}

bool catalog_value(struct conn *c, const void *mem, const char *sql, int nparams, const char *const *params, char **value,
                   const struct wait *w, struct err *e) {
  PGresult *r = NULL;

  *value = NULL;
  if (!conn_ask(c, sql, nparams, params, &r, w, e)) return false;
  if (PQntuples(r) && !PQgetisnull(r, 0, 0)) *value = arena_strdup(mem, PQgetvalue(r, 0, 0));
  PQclear(r);
  return true;
}

/* The operator's errands: blocking, on a connection of their own. */

static PGconn *connect_plain(const char *conninfo, struct err *e) {
  PGconn *pg = PQconnectdb(conninfo);

  if (PQstatus(pg) == CONNECTION_OK) return pg;
  err_set(e, DATABASE_UNAVAILABLE, "%s", PQerrorMessage(pg));
  PQfinish(pg);
  return NULL;
}

static bool run_plain(PGconn *pg, const char *sql, struct err *e) {
  PGresult *r = PQexec(pg, sql);
  bool ok = PQresultStatus(r) == PGRES_COMMAND_OK || PQresultStatus(r) == PGRES_TUPLES_OK;

  if (!ok) {
    err_set(e, INTERNAL, "%s", PQresultErrorMessage(r));
  }
  PQclear(r);
  return ok;
}

static void drop_notice(void *unused, const PGresult *result) {
  (void)unused;
  (void)result;
}

bool catalog_run_script(const char *conninfo, const char *const *scripts, size_t n, struct err *e) {
  PGconn *pg = connect_plain(conninfo, e);
  bool ok = false;

  if (!pg) return false;
  PQsetNoticeReceiver(pg, drop_notice, NULL);
  ok = run_plain(pg, "begin", e);
  for (size_t i = 0; ok && i < n; i++) ok = run_plain(pg, scripts[i], e);
  ok = ok && run_plain(pg, "commit", e);
  PQfinish(pg);
  return ok;
}

bool catalog_ask(const char *conninfo, const void *mem, const char *sql, char **value, struct err *e) {
  PGconn *pg = connect_plain(conninfo, e);
  PGresult *r;
  bool ok;

  *value = NULL;
  if (!pg) return false;
  r = PQexec(pg, sql);
  ok = PQresultStatus(r) == PGRES_TUPLES_OK;
  if (ok && PQntuples(r) && !PQgetisnull(r, 0, 0)) *value = arena_strdup(mem, PQgetvalue(r, 0, 0));
  if (!ok) err_set(e, INTERNAL, "%s", PQresultErrorMessage(r));
  PQclear(r);
  PQfinish(pg);
  return ok;
}
