/* Errors as values: the table of codes, and how one is filled. */
#include "base/err.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const struct row {
  const char *name, *title;
  int status;
  bool retryable;
} rows[] = {
    [ERR_NONE] = {"NONE", "OK", 200, false},
#define ERR(code, status, title, retryable) [ERR_##code] = {#code, title, status, retryable},
#include "base/err.def"
#undef ERR
    [ERR_OWN] = {"OWN", "Unprocessable Content", 422, false},
};

/* Titles of statuses that no code of ours has: an application may choose any from 400 to 599 (RFC 9110 section 15). */
static const struct title {
  int status;
  const char *title;
} titles[] = {
    {200, "OK"},
    {202, "Accepted"},
    {204, "No Content"},
    {402, "Payment Required"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {410, "Gone"},
    {412, "Precondition Failed"},
    {414, "URI Too Long"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {418, "I'm a teapot"},
    {421, "Misdirected Request"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {502, "Bad Gateway"},
    {505, "HTTP Version Not Supported"},
    {506, "Variant Also Negotiates"},
    {507, "Insufficient Storage"},
    {508, "Loop Detected"},
    {511, "Network Authentication Required"},
};

void err_init(struct err *e, const void *mem) { *e = (struct err){.mem = mem, .index = -1, .item = -1, .committed = -1}; }

bool err_fill(struct err *e, enum err_code code, const char *file, int line, const char *format, ...) {
  va_list args;
  char *message;

  va_start(args, format);
  message = talloc_vasprintf(e->mem, format, args); /* before the reset: an argument may be a text of *e itself */
  va_end(args);
  if (!message) abort();
  err_init(e, e->mem);
  e->code = code;
  e->status = rows[code].status;
  e->retryable = rows[code].retryable;
  e->message = message;
  e->file = file;
  e->line = line;
  return false;
}

const char *err_name(const struct err *e) {
  switch (e->code) {
  case ERR_OWN: return e->own_code ? e->own_code : "CHECK_FAILED";
  case ERR_RESULT_TOO_LARGE: return "TOO_LARGE"; /* for a client one code; the status tells whose size is meant */
  default: return rows[e->code].name;
  }
}

bool err_is_own(const struct err *e, const char *code) {
  return e->code == ERR_OWN && e->own_code && strcmp(e->own_code, code) == 0;
}

const char *err_title(int status) {
  size_t i;

  for (i = ERR_NONE; i < ERR_OWN; i++) {
    if (rows[i].status == status) return rows[i].title;
  }
  for (i = 0; i < sizeof titles / sizeof *titles; i++) {
    if (titles[i].status == status) return titles[i].title;
  }
  /* An unknown status means what the first of its class means (RFC 9110 section 15). */
  return status < 400 ? "OK" : status < 500 ? "Bad Request" : "Internal Server Error";
}

bool err_lookup(const char *name, enum err_code *code) {
  size_t i;

  for (i = ERR_NONE + 1; i < ERR_OWN; i++) {
    if (strcmp(rows[i].name, name) == 0) {
      *code = (enum err_code)i;
      return true;
    }
  }
  return false;
}

int err_status(enum err_code code) { return rows[code].status; }

/* ---- as bytes: the only place ---- */

static void text_member(struct str *s, const char *name, const char *value) {
  if (!value || !value[0]) return;
  str_printf(s, ",\"%s\":", name);
  str_json(s, value);
}

static void number_member(struct str *s, const char *name, int value) {
  if (value >= 0) str_printf(s, ",\"%s\":%d", name, value);
}

void err_put(struct str *s, const struct err *e, const char *request_id) {
  str_add(s, "{\"type\":\"about:blank\",\"title\":");
  str_json(s, err_title(e->status));
  str_printf(s, ",\"status\":%d,\"code\":", e->status);
  str_json(s, err_name(e));
  if (e->prisma_code) number_member(s, "prisma_code", e->prisma_code);
  text_member(s, "detail", e->message);
  text_member(s, "command", e->command);
  number_member(s, "index", e->index);
  text_member(s, "path", e->path);
  text_member(s, "argument", e->argument);
  text_member(s, "sqlstate", e->sqlstate);
  text_member(s, "constraint", e->constraint);
  text_member(s, "column", e->column);
  text_member(s, "details", e->details);
  text_member(s, "hint", e->hint);
  number_member(s, "committed", e->committed);
  str_printf(s, ",\"retryable\":%s", e->retryable ? "true" : "false");
  text_member(s, "request_id", request_id);
  str_char(s, '}');
}

/* ---- and back ---- */

static const char *text_of(const struct json *problem, const char *name) {
  const struct json *value = json_get(problem, name);

  return value && value->kind == JSON_STRING ? value->text : NULL;
}

static int number_of(const struct json *problem, const char *name, int otherwise) {
  const struct json *value = json_get(problem, name);

  return value && value->kind == JSON_NUMBER ? atoi(value->text) : otherwise;
}

bool err_read(struct err *e, const struct json *problem) {
  const char *code = text_of(problem, "code"), *sqlstate = text_of(problem, "sqlstate");
  const struct json *retryable = json_get(problem, "retryable");
  enum err_code known;

  err_set(e, INTERNAL, "%s", text_of(problem, "detail") ? text_of(problem, "detail") : "The request failed.");
  if (code && err_lookup(code, &known)) {
    e->code = known;
  } else if (code) {
    e->code = ERR_OWN;
    e->own_code = code;
  }
  e->status = number_of(problem, "status", e->status);
  e->retryable = retryable && retryable->kind == JSON_TRUE;
  e->prisma_code = number_of(problem, "prisma_code", 0);
  e->index = number_of(problem, "index", -1);
  e->committed = number_of(problem, "committed", -1);
  e->command = text_of(problem, "command");
  e->path = text_of(problem, "path");
  e->argument = text_of(problem, "argument");
  if (sqlstate && strlen(sqlstate) < sizeof e->sqlstate) strcpy(e->sqlstate, sqlstate);
  e->constraint = text_of(problem, "constraint");
  e->column = text_of(problem, "column");
  e->details = text_of(problem, "details");
  e->hint = text_of(problem, "hint");
  return false;
}
