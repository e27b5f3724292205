/* PostgreSQL's errors into ours, by the table in sqlstate.def. */
#include "db/sqlstate.h"

#include "base/arena.h"

#include <libpq-fe.h>

#include <stdlib.h>
#include <string.h>

struct row {
  const char *prefix;
  enum err_code code;
  bool show;
};

static const struct row rows[] = {
#define SQLSTATE(prefix, code, show) {prefix, ERR_##code, show},
#include "db/sqlstate.def"
#undef SQLSTATE
};

/* What a client reads where the server's own words could tell it too much. */
static const char *plain_words(enum err_code code) {
  switch (code) {
  case ERR_DATABASE_UNAVAILABLE: return "The database is not available at the moment; nothing was changed.";
  case ERR_TOO_MANY_ROWS: return "The command found more than one row where one was expected.";
  case ERR_SERIALIZATION_FAILURE: return "Another transaction was in the way; nothing was changed. Send the request again.";
  case ERR_DEADLOCK:
    return "This and another transaction waited for each other; nothing was changed. Send the request again.";
  case ERR_FORBIDDEN: return "The database does not permit this to the caller.";
  case ERR_LOCK_TIMEOUT: return "A row or table stayed locked for too long; nothing was changed. Send the request again.";
  case ERR_TIMEOUT: return "The request took too long and was stopped; nothing was changed.";
  default: return "The database refused this command for a reason that only the server's log tells.";
  }
}

static const struct row *find_row(const char *sqlstate) {
  const struct row *best = NULL;
  size_t best_len = 0;

  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    size_t len = strlen(rows[i].prefix);
    if (len > best_len && strncmp(sqlstate, rows[i].prefix, len) == 0) best = &rows[i], best_len = len;
  }
  return best;
}

static const char *field(const PGresult *r, int code) {
  const char *text = PQresultErrorField(r, code);
  return text ? text : "";
}

/* Where it happened, for the log: unless the server was told to write parameters into it (log_parameter_max_length_on_error),
 * as arguments do not belong into logs. */
static const char *context(const PGresult *r) {
  const char *text = field(r, PG_DIAG_CONTEXT);
  return strstr(text, "parameter") ? "" : text;
}

static char *keep(const struct err *e, const PGresult *r, int code) {
  return arena_strdup(e->mem, PQresultErrorField(r, code));
}

/* writ.fail(code, message, status): DETAIL is the code, HINT the status. One of our own codes keeps its meaning; NOT_FOUND/3039 has
 * the number of Prisma 1 with it, NOT_FOUND/3039/2 also which of several values it is about. */
static void fail_error(struct err *e, const PGresult *r) {
  const char *name = field(r, PG_DIAG_MESSAGE_DETAIL);
  int status = atoi(field(r, PG_DIAG_MESSAGE_HINT));
  const char *slash = strchr(name, '/');
  enum err_code code;

  if (slash) name = arena_strndup(e->mem, name, (size_t)(slash - name));
  if (!err_lookup(name, &code)) code = ERR_OWN;
  err_fill(e, code, __FILE__, __LINE__, "%s", field(r, PG_DIAG_MESSAGE_PRIMARY));
  if (code == ERR_OWN && name[0]) e->own_code = arena_strdup(e->mem, name); /* without a name: CHECK_FAILED */
  if (status >= 400 && status <= 599) e->status = status;
  if (slash) e->prisma_code = atoi(slash + 1);
  if (slash && strchr(slash + 1, '/')) e->item = atoi(strchr(slash + 1, '/') + 1);
  e->sqlstate[0] = '\0'; /* a private one: nothing to learn from it */
}

/* RAISE ... USING ERRCODE = 'PT409': the last three digits are the status; message, detail and hint are the client's. */
static void http_error(struct err *e, const PGresult *r, const char *sqlstate) {
  int status = atoi(sqlstate + 2);

  err_fill(e, ERR_OWN, __FILE__, __LINE__, "%s", field(r, PG_DIAG_MESSAGE_PRIMARY));
  e->own_code = arena_strdup(e->mem, sqlstate);
  e->status = status >= 400 && status <= 599 ? status : err_status(ERR_RAISED);
}

/* "Key (a, b)=(1, 2) already exists.": what is said around it may be in any language. Not sent to those who may not read it. */
static void copy_key(struct err *e, const PGresult *r) {
  const char *detail = field(r, PG_DIAG_MESSAGE_DETAIL), *begin = strchr(detail, '('),
             *end = begin ? strstr(begin, ")=(") : NULL;

  e->schema = keep(e, r, PG_DIAG_SCHEMA_NAME);
  e->table = keep(e, r, PG_DIAG_TABLE_NAME);
  if (!end) return;
  e->key = arena_strndup(e->mem, begin + 1, (size_t)(end - begin - 1));
  begin = end + strlen(")=(");
  end = strrchr(begin, ')');
  if (end) e->key_value = arena_strndup(e->mem, begin, (size_t)(end - begin));
}

static void copy_place(struct err *e, const PGresult *r) {
  e->constraint = keep(e, r, PG_DIAG_CONSTRAINT_NAME);
  e->column = keep(e, r, PG_DIAG_COLUMN_NAME);
}

bool sqlstate_error(struct err *e, const PGresult *r) {
  const char *sqlstate = field(r, PG_DIAG_SQLSTATE);
  const struct row *row = find_row(sqlstate);
  bool raised = strncmp(sqlstate, "PT", 2) == 0 || strcmp(sqlstate, "P0001") == 0;

  if (strcmp(sqlstate, "WR000") == 0) {
    fail_error(e, r);
    return false;
  }
  if (strncmp(sqlstate, "PT", 2) == 0 && strspn(sqlstate + 2, "0123456789") == 3) http_error(e, r, sqlstate);
  else if (!row) err_fill(e, ERR_INTERNAL, __FILE__, __LINE__, "%s", plain_words(ERR_INTERNAL));
  else
    err_fill(e, row->code, __FILE__, __LINE__, "%s", row->show ? field(r, PG_DIAG_MESSAGE_PRIMARY) : plain_words(row->code));

  if (raised) {
    e->details = keep(e, r, PG_DIAG_MESSAGE_DETAIL);
    e->hint = keep(e, r, PG_DIAG_MESSAGE_HINT);
  }
  strncpy(e->sqlstate, sqlstate, sizeof e->sqlstate - 1);
  if (row && row->show) copy_place(e, r);
  if (strncmp(sqlstate, "23", 2) == 0) copy_key(e, r);
  if (e->code == ERR_DATABASE_UNAVAILABLE) e->retry_after_s = 1;
  if (!row || !row->show)
    e->log_detail = arena_printf(e->mem, "%s: %s%s%s", sqlstate, field(r, PG_DIAG_MESSAGE_PRIMARY), *context(r) ? " | " : "",
                                 context(r));
  return false;
}

bool sqlstate_is_retryable(const PGresult *r) {
  const char *sqlstate = field(r, PG_DIAG_SQLSTATE);

  return (strcmp(sqlstate, "40001") == 0 || strcmp(sqlstate, "40P01") == 0) &&
         strcmp(field(r, PG_DIAG_SOURCE_FUNCTION), "exec_stmt_raise") != 0;
}

bool sqlstate_is_fatal(const PGresult *r) {
  const char *severity = field(r, PG_DIAG_SEVERITY_NONLOCALIZED);
  /* A pooler that has lost its server says so in its own name, as an ERROR (PgBouncer 1.18). PostgreSQL's errors, those of
   * a foreign server among them, tell where in its source they come from. */
  bool of_pooler = strncmp(field(r, PG_DIAG_SQLSTATE), "08", 2) == 0 && !PQresultErrorField(r, PG_DIAG_SOURCE_FILE);

  return of_pooler || strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0;
}

unsigned sqlstate_parameter(const PGresult *r) {
  const char *context = field(r, PG_DIAG_CONTEXT), *last = strrchr(context, '\n'), *dollar;
  bool of_json = strcmp(field(r, PG_DIAG_SOURCE_FILE), "jsonfuncs.c") == 0; /* a line of its own first: the JSON at fault */

  if (of_json != (last != NULL)) return 0;
  if (last) context = last + 1;
  dollar = strchr(context, '$');
  /* At Bind the context is one line that PostgreSQL writes itself (exec_bind_message); a function's error has lines of SQL
   * in its context, or a statement position. */
  if (!dollar || PQresultErrorField(r, PG_DIAG_INTERNAL_QUERY) ||
      strcmp(field(r, PG_DIAG_SOURCE_FUNCTION), "exec_stmt_raise") == 0 || strncmp(context, "PL/", 3) == 0 ||
      strncmp(context, "SQL ", 4) == 0)
    return 0;
  return (unsigned)strtoul(dollar + 1, NULL, 10);
}
