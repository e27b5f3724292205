/* Builds statements from the manifest's text, never from a request: identifiers and types come from the manifest or the
 * catalog, values are parameters. */
#include "compile/wrap.h"

#include "base/arena.h"
#include "base/str.h"
#include "manifest/config.h"

#include <string.h>

/* {slot, path...} in $n: the value there, as text or as json. current_setting is stable: an index can be used. */
#define TAKE_TEXT(n) "(pg_catalog.current_setting((" n "::text[])[1])::json #>> (" n "::text[])[2:])"

const char wrap_reference_sql[] =
    "select writ.assert((pg_catalog.current_setting(($1::text[])[1])::json #> ($1::text[])[2:]) is not null, "
    "'BAD_REFERENCE', $2, 400)";

const char wrap_odd_reference_sql[] =
    "select writ.assert((d #> p) is not null and not exists (select from generate_subscripts(p, 1) as i "
    "where p[i] !~ '^[0-9]+$' and json_typeof(d #> p[:i - 1]) = 'array'), 'BAD_REFERENCE', $2, 400) "
    "from (select pg_catalog.current_setting(($1::text[])[1])::json as d, ($1::text[])[2:] as p offset 0) x";

#define BUILT "case when octet_length(r) > $2::integer then writ.fail('TOO_LARGE', $3, 422) else r end"
#define FROM_PIECES " from (select " WRAP_BUILD("$1") " as r offset 0) x"
const char wrap_build_sql[] = "select " BUILT FROM_PIECES;
const char wrap_build_kept_sql[] = "select pg_catalog.set_config($4, " BUILT ", true)" FROM_PIECES;

static void put_number(struct str *s, const char *text, unsigned n) {
  for (; *text; text++)
    if (*text == '@') str_printf(s, "$%u", n);
    else str_char(s, *text);
}

void wrap_put_take(struct str *s, unsigned n) { put_number(s, TAKE_TEXT("@"), n); }
void wrap_put_build(struct str *s, unsigned n) { put_number(s, WRAP_BUILD("@"), n); }

static const char *declared_type(const struct command *c, const char *name) {
  for (size_t i = 0; i < c->nargs; i++)
    if (strcmp(c->args[i].name, name) == 0) return c->args[i].type;
  return NULL;
}

/* How the statement gets its parameters. */
struct how {
  const struct shape *shape;
  const unsigned char *modes;
  wrap_put *put; /* NULL: $n, by its mode */
  void *data;
};

/* Parameter number i in its mode. */
static void put_param(struct str *s, const struct command *c, const struct how *how, unsigned i) {
  const char *declared = declared_type(c, c->sql.names[i]);
  enum param_mode mode = how->modes ? (enum param_mode)how->modes[i] : PARAM_TEXT;
  const struct type *type = mode == PARAM_TEXT ? NULL : how->shape->d.params[i];

  if (how->put) {
    how->put(s, i, how->data);
  } else if (mode == PARAM_TEXT && !declared) {
    str_printf(s, "$%u", i + 1);
  } else if (mode == PARAM_TEXT) {
    str_printf(s, "($%u::%s)", i + 1, declared);
  } else if (mode == PARAM_TAKE) {
    str_char(s, '(');
    wrap_put_take(s, i + 1);
    str_printf(s, "::%s)", declared ? declared : type->name);
  } else if (type->kind == TYPE_JSON) {
    str_add(s, "(nullif("); /* null alone is NULL, as it is in a request */
    wrap_put_build(s, i + 1);
    str_printf(s, ", 'null')::%s)", type->name);
  } else {
    str_add(s, "((select x from json_to_record(json_build_object('x', ");
    wrap_put_build(s, i + 1);
    str_printf(s, "::json)) as t(x %s))::%s)", type->name, declared ? declared : type->name);
  }
}

/* The command's own text from (piece, offset) up to (end_piece, end_offset). */
static void put_text(struct str *s, const struct command *c, const struct how *how, size_t piece, size_t offset,
                     size_t end_piece, size_t end_offset) {
  for (size_t i = piece; i <= end_piece && i <= c->sql.nuses; i++) {
    const char *text = c->sql.pieces[i] + (i == piece ? offset : 0);
    size_t len = i == end_piece ? end_offset - (i == piece ? offset : 0) : strlen(text);

    str_bytes(s, text, len);
    if (i < end_piece && i < c->sql.nuses) put_param(s, c, how, c->sql.uses[i]);
  }
}

static void put_all(struct str *s, const struct command *c, const struct how *how) {
  put_text(s, c, how, 0, 0, c->sql.nuses, strlen(c->sql.pieces[c->sql.nuses]));
}

/* A newline ends a comment that the text may end in. */
static void put_check(struct str *s, const struct command *c, const struct how *how) {
  const struct own_error *error = &c->error;

  str_add(s, "select case when (");
  put_all(s, c, how);
  str_add(s, "\n) then 'true' else writ.fail(");
  str_sql_literal(s, error->code ? error->code : "CHECK_FAILED");
  str_add(s, ", ");
  str_sql_literal(s, error->message ? error->message : arena_printf(s, "The check \"%s\" failed.", c->name));
  str_printf(s, ", %d) end", error->status ? error->status : 422);
}

/* exists (select ...): the lock stands before the last parenthesis. */
static bool is_exists(const struct sql_scan *q) {
  const char *last = q->pieces[q->nuses];
  size_t len = strlen(last);

  while (len && strchr(" \t\r\n\f\v", last[len - 1])) len--;
  return strcmp(q->first_word, "exists") == 0 && len && last[len - 1] == ')';
}

bool wrap_locks(const struct command *c) {
  bool can = c->sql.verb == SQL_SELECT || (c->sql.verb == SQL_EXPRESSION && is_exists(&c->sql));

  return (c->kind == COMMAND_PERMISSION || c->kind == COMMAND_VERSION) && c->permission.lock != ROW_LOCK_NONE && can;
}

static void put_lock(struct str *s, const struct command *c, bool unlocked) {
  if (wrap_locks(c) && !unlocked) str_add(s, c->permission.lock == ROW_LOCK_SHARE ? "\nfor share" : "\nfor no key update");
}

/* Rows of a SELECT must all be true, and there must be one. */
static void put_condition(struct str *s, const struct command *c, const struct how *how, bool unlocked) {
  const struct sql_scan *q = &c->sql;

  if (q->verb != SQL_EXPRESSION) {
    str_add(s, c->kind == COMMAND_VERSION ? "select v = " : "select bool_and(v)");
    if (c->kind == COMMAND_VERSION) put_param(s, c, how, (unsigned)c->permission.version);
    str_add(s, " from (");
    put_all(s, c, how);
    put_lock(s, c, unlocked);
    str_add(s, "\n) as writ_p(v)");
  } else if (wrap_locks(c)) {
    const char *last = strrchr(q->pieces[q->nuses], ')');

    put_text(s, c, how, 0, 0, q->nuses, (size_t)(last - q->pieces[q->nuses]));
    put_lock(s, c, unlocked);
    str_add(s, "\n)");
  } else {
    put_all(s, c, how);
  }
}

void wrap_put_condition(struct str *s, const struct command *c, bool unlocked, wrap_put *put, void *data) {
  put_condition(s, c, &(struct how){.put = put, .data = data}, unlocked);
}

static void put_permission(struct str *s, const struct command *c, const struct how *how, bool unlocked) {
  str_add(s, "select case when (");
  put_condition(s, c, how, unlocked);
  str_add(s, "\n) then 'true' else writ.fail(");
  str_sql_literal(s, c->error.code);
  str_add(s, ", ");
  str_sql_literal(s, c->error.message);
  str_printf(s, ", %d) end", c->error.status);
}

static bool is_guard(const struct command *c) { return c->kind == COMMAND_PERMISSION || c->kind == COMMAND_VERSION; }

static bool has_no_statement(const struct command *c) { return c->kind == COMMAND_COMPOSITE || c->kind == COMMAND_HANDLER; }

bool wrap_has_types(const struct command *c) {
  for (size_t i = 0; has_no_statement(c) && i < c->nargs; i++)
    if (c->args[i].type) return true;
  return false;
}

static void put_types(struct str *s, const struct command *c) {
  for (size_t i = 0; i < c->nargs; i++)
    str_printf(s, "%s$%zu::%s", i ? ", " : "select ", i + 1, c->args[i].type ? c->args[i].type : "text");
}

char *wrap_plain(const void *mem, const struct command *c, bool unlocked) {
  struct str *s = str_new(mem, 512);
  static const struct how plain = {0};

  if (has_no_statement(c)) put_types(s, c);
  else if (c->kind == COMMAND_CHECK) put_check(s, c, &plain);
  else if (is_guard(c)) put_permission(s, c, &plain, unlocked);
  else put_all(s, c, &plain);
  return s->p;
}

/* with [recursive] <the statement's own list,> writ_q as (<its main part>). The list is lifted out, as PostgreSQL wants
 * data-modifying WITH at the top. */
static void put_with(struct str *s, const struct command *c, const struct how *how) {
  const struct sql_scan *q = &c->sql;
  bool has_list = q->main_piece || q->main_offset;

  str_add(s, q->recursive ? "with recursive" : "with");
  if (has_list) {
    put_text(s, c, how, 0, q->with_list_offset, q->main_piece, q->main_offset);
    str_add(s, "\n,");
  }
  /* Where only the rows are counted, the planner leaves out columns, and with them functions that refuse. */
  str_add(s, how->shape->returns > RETURNS_MANY ? " writ_q as materialized (" : " writ_q as (");
  put_text(s, c, how, q->main_piece, q->main_offset, q->nuses, strlen(q->pieces[q->nuses]));
  if (!how->shape->d.ncolumns && c->sql.verb != SQL_SELECT) str_add(s, "\nreturning 1"); /* it has none of its own */
  str_add(s, "\n)");
}

/* The result r as it is kept and sent: not too large, and where others refer to it in a setting. */
static void put_kept(struct str *s, const struct command *c, const struct config *config, bool captured,
                     const char *more_cases) {
  if (captured) str_printf(s, "pg_catalog.set_config($%zu::text, ", c->sql.nnames + 1);
  str_printf(s, "case %swhen octet_length(r) > %d then writ.fail('TOO_LARGE', ", more_cases, config->max_result_bytes);
  str_sql_literal(s, arena_printf(s, "The result of \"%s\" is larger than %d bytes.", c->name, config->max_result_bytes));
  str_add(s, ", 422) else r end");
  if (captured) str_add(s, ", true)");
}

/* Where others refer to the result: names its columns, to no other effect. When one of them is no longer there the statement fails
 * and is described again; a reference to it would read as null otherwise. */
static const char *mention(const void *mem, const struct shape *shape, bool captured) {
  struct str *s = str_new(mem, 128);

  for (size_t i = 0; captured && i < shape->d.ncolumns; i++) {
    str_add(s, i ? ", writ_q." : " where true or (writ_q.");
    str_sql_ident(s, shape->d.columns[i]);
  }
  if (s->len) str_add(s, ") is null");
  return s->p;
}

/* offset 0: or the planner would put the expression for r in the place of each r, and run it twice. */
static void put_row(struct str *s, const struct command *c, const struct shape *shape, const struct config *config,
                    bool captured) {
  str_add(s, " select ");
  put_kept(s, c, config, captured, "");
  str_printf(s, " from (select coalesce((select row_to_json(writ_q)::text from writ_q%s), ", mention(s, shape, captured));
  if (shape->returns == RETURNS_ONE) {
    str_add(s, "writ.fail('NOT_FOUND', ");
    str_sql_literal(s, arena_printf(s, "\"%s\" found no row.", c->name));
    str_add(s, ", 404)) as r offset 0) writ_r");
  } else {
    str_add(s, "'null') as r offset 0) writ_r");
  }
}

/* Rows are counted where there are several: n of them. */
static void put_affected(struct str *s, const struct command *c) {
  if (c->max_affected < 0) return;
  str_printf(s, "when n > %ld then writ.fail('TOO_MANY_AFFECTED', ", c->max_affected);
  str_sql_literal(s, arena_printf(s, "\"%s\" would change more than %ld rows.", c->name, c->max_affected));
  str_add(s, ", 422) ");
}

static void put_rows(struct str *s, const struct command *c, const struct shape *shape, const struct config *config,
                     bool captured) {
  struct str *cases = str_new(s, 128);

  put_affected(cases, c);
  str_printf(cases, "when n > %d then writ.fail('TOO_MANY_ROWS', ", config->max_rows);
  str_sql_literal(cases, arena_printf(s, "The result of \"%s\" has more than %d rows.", c->name, config->max_rows));
  str_add(cases, ", 422) ");
  str_add(s, " select ");
  put_kept(s, c, config, captured, cases->p);
  str_printf(s,
             ", n from (select '[' || coalesce(string_agg(row_to_json(writ_q)::text, ','), '') || ']' as r, count(*) as n "
             "from (select * from writ_q%s limit %d) writ_q) writ_r",
             mention(s, shape, captured), config->max_rows + 1);
}

static void put_count(struct str *s, const struct command *c, bool captured) {
  str_add(s, " select ");
  if (captured) str_printf(s, "pg_catalog.set_config($%zu::text, ", c->sql.nnames + 1);
  if (c->max_affected >= 0) {
    str_add(s, "case ");
    put_affected(s, c);
    str_add(s, "else n::text end");
  } else {
    str_add(s, "count(*)::text");
  }
  str_add(s, captured ? ", true)" : "");
  str_add(s, c->max_affected >= 0 ? " from (select count(*) as n from writ_q) writ_r" : " from writ_q");
}

/* Sent as it is written: nothing comes back but the command tag. */
static bool is_bare(const struct command *c, const struct shape *shape, bool captured) {
  if (c->sql.verb == SQL_CALL || c->sql.verb == SQL_MERGE) return true;
  if (c->max_affected >= 0) return false;
  return !shape->d.ncolumns && !captured;
}

enum gives wrap_gives(const struct command *c, const struct shape *shape, bool captured) {
  if (c->kind == COMMAND_CHECK || is_guard(c)) return GIVES_NOTHING;
  return is_bare(c, shape, captured) ? GIVES_TAG : GIVES_TEXT;
}

char *wrap_command(const void *mem, const struct command *c, const struct shape *shape, const struct config *config,
                   const unsigned char *modes, bool captured) {
  struct str *s = str_new(mem, 1024);
  struct how how = {.shape = shape, .modes = modes};

  if (c->kind == COMMAND_CHECK) {
    put_check(s, c, &how);
  } else if (is_guard(c)) {
    put_permission(s, c, &how, shape->unlocked);
  } else if (is_bare(c, shape, captured)) {
    put_all(s, c, &how);
  } else {
    put_with(s, c, &how);
    switch (shape->returns) {
    case RETURNS_ONE:
    case RETURNS_OPTIONAL: put_row(s, c, shape, config, captured); break;
    case RETURNS_MANY: put_rows(s, c, shape, config, captured); break;
    default: put_count(s, c, captured);
    }
  }
  return s->p;
}
