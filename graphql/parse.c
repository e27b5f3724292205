/* A parse from beginning to end: the copy of the text, memory for nodes, errors with their place. */
#include "graphql/parse.h"

#include "base/arena.h"
#include "graphql/grammar.h"
#include "graphql/inside.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct graphql_limits graphql_limits_default = {.bytes = 1024 * 1024, .tokens = 100 * 1000, .depth = 200};

enum { BLOCK_MIN = 1024, BLOCK_MAX = 64 * 1024, BYTES_PER_BYTE = 6 };

/* Nodes are cut from blocks: most are smaller than what talloc would keep about each. */
void *graphql_room(struct parser *p, size_t size) {
  char *room;

  size = (size + sizeof(void *) - 1) & ~(sizeof(void *) - 1);
  if ((size_t)(p->room_end - p->room) < size) {
    if (p->block_bytes < size) p->block_bytes = size;
    p->room = arena_resize(p->mem, NULL, p->block_bytes);
    p->room_end = p->room + p->block_bytes;
  }
  room = p->room;
  p->room += size;
  return room;
}

/* ---- errors ----------------------------------------------------------------------------------------------------------- */

static bool refuse_at(struct err *e, struct graphql_pos pos, bool size, const char *why) {
  if (size) {
    err_set(e, TOO_LARGE, "Line %u, column %u: %s.", pos.line, pos.column, why);
  } else {
    err_set(e, BAD_REQUEST, "Line %u, column %u: %s.", pos.line, pos.column, why);
  }
  e->input_line = pos.line;
  e->input_column = pos.column;
  return false;
}

static bool refuse(struct parser *p, struct graphql_pos pos, bool size, const char *format, va_list args) {
  char why[400]; /* the words of a message are ours but for one name, which is cut */

  if (p->refused) return false;
  p->refused = true;
  vsnprintf(why, sizeof why, format, args);
  return refuse_at(p->e, pos, size, why);
}

bool graphql_refuse(struct parser *p, struct graphql_pos pos, const char *format, ...) {
  va_list args;

  va_start(args, format);
  refuse(p, pos, false, format, args);
  va_end(args);
  return false;
}

bool graphql_refuse_size(struct parser *p, struct graphql_pos pos, const char *format, ...) {
  va_list args;

  va_start(args, format);
  refuse(p, pos, true, format, args);
  va_end(args);
  return false;
}

/* Where the byte at offset is, when nothing has been scanned yet. */
static struct graphql_pos place(const char *text, size_t offset) {
  struct graphql_pos pos = {1, 1};
  size_t i, line = 0;

  for (i = 0; i < offset; i++) {
    if (text[i] != '\n' && (text[i] != '\r' || (i + 1 < offset && text[i + 1] == '\n'))) continue;
    pos.line++;
    line = i + 1;
  }
  pos.column = (unsigned)(offset - line) + 1 - graphql_beyond(text + line, offset - line);
  return pos;
}

static bool check_text(const char *text, size_t len, const struct graphql_limits *limits, bool *wide, struct err *e) {
  size_t bad;

  if (len > limits->bytes) return err_set(e, TOO_LARGE, "The GraphQL text is longer than %zu bytes.", limits->bytes);
  if (graphql_text_valid(text, len, wide, &bad)) return true;
  return refuse_at(e, place(text, bad), false, text[bad] ? "invalid UTF-8" : "a NUL byte is not allowed");
}

/* ---- the three ways in ------------------------------------------------------------------------------------------------ */

static char *copy(const void *mem, const char *text, size_t len) {
  char *own = arena_resize(mem, NULL, len + 2);

  memcpy(own, text, len);
  own[len] = own[len + 1] = '\0';
  return own;
}

/* False: *e is filled. */
static bool run(struct parser *p, const char *text, size_t len) {
  size_t block = len * BYTES_PER_BYTE;
  int status;

  if (!check_text(text, len, p->limits, &p->wide, p->e)) return false;
  p->block_bytes = block < BLOCK_MIN ? BLOCK_MIN : block > BLOCK_MAX ? BLOCK_MAX : block;
  graphql_scan_open(p, copy(p->mem, text, len), len);
  status = graphql_yyparse(p);
  graphql_scan_close(p);
  if (status == 0) return true;
  /* 2: the stack is at its end, which the limit of depth leaves unreached unless somebody sets it to many thousands. */
  return status == 1 ? false : graphql_refuse_size(p, (struct graphql_pos){p->line, 1}, "nested too deeply");
}

static bool read_document(const void *mem, const char *text, size_t len, const struct graphql_limits *limits, int start,
                          const struct graphql_document **out, struct err *e) {
  struct parser p = {.mem = mem, .e = e, .limits = limits, .start = start};

  if (!run(&p, text, len)) return false;
  *out = GRAPHQL_NODE(&p, struct graphql_document, p.definitions);
  return true;
}

bool graphql_parse(const void *mem, const char *text, size_t len, const struct graphql_limits *limits,
                   const struct graphql_document **out, struct err *e) {
  return read_document(mem, text, len, limits, TOKEN_START_DOCUMENT, out, e);
}

bool graphql_parse_schema(const void *mem, const char *text, size_t len, const struct graphql_limits *limits,
                          const struct graphql_document **out, struct err *e) {
  return read_document(mem, text, len, limits, TOKEN_START_SCHEMA, out, e);
}

bool graphql_parse_selections(const void *mem, const char *text, size_t len, const struct graphql_limits *limits,
                              const struct graphql_selection **out, struct err *e) {
  struct parser p = {.mem = mem, .e = e, .limits = limits, .start = TOKEN_START_SELECTIONS};

  if (!run(&p, text, len)) return false;
  *out = p.selections;
  return true;
}
