/* Cuts one SQL statement at its :name parameters and finds its main verb. Not a parser: it knows PostgreSQL's tokens
 * (scan.l) and of the grammar only what a WITH list looks like. */
#include "manifest/sql_scan.h"

#include "base/arena.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

/* More names than any statement needs; keeps the search for a name among them short. */
enum { NAMES_MAX = 1000 };

enum token_kind {
  TOKEN_END,
  TOKEN_WORD,   /* identifier or key word */
  TOKEN_QUOTED, /* "identifier" */
  TOKEN_PARAM,  /* :name */
  TOKEN_OPEN,   /* ( or [ */
  TOKEN_CLOSE,
  TOKEN_COMMA,
  TOKEN_OTHER, /* strings, numbers, operators */
};

struct token {
  enum token_kind kind;
  size_t from, to; /* bytes of the text */
};

/* Where in a statement the next token stands. */
enum place {
  AT_START,
  IN_LIST,     /* behind WITH [RECURSIVE] or a comma of its list: the name of the next query */
  IN_HEAD,     /* behind that name: columns, AS [NOT] MATERIALIZED */
  BEFORE_BODY, /* behind AS: its parenthesis is the query */
  IN_TAIL,     /* behind the query: SEARCH, CYCLE, a comma, or the main statement */
  AT_MAIN,     /* inside parentheses that open the main statement */
  DONE,
};

struct scanner {
  const void *mem;
  const char *sql;
  size_t pos, end; /* end: of the text that counts; moves to a trailing ';' */
  bool expression;
  struct sql_scan *out;
  struct err *e;

  char *open; /* stack of ( and [ that are open: talloc array of depth bytes */
  size_t depth;
  size_t piece_from; /* first byte of the piece in work */

  enum place place;
  bool with;          /* a WITH list came */
  bool after_with;    /* WITH was the token before: RECURSIVE may follow */
  bool name_next;     /* IN_TAIL: the next word is a name or constant, whatever it spells */
  bool in_columns;    /* IN_TAIL: commas part columns of SEARCH or CYCLE */
  size_t query_depth; /* DONE, of an expression that begins with a query in parentheses: so deep is that; 0: not so */
};

/* ---- characters ---- */

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool is_newline(char c) { return c == '\n' || c == '\r'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool is_name_char(char c) { return is_name_start(c) || is_digit(c); }
/* Every byte beyond ASCII is a letter to PostgreSQL's scanner. */
static bool is_word_start(char c) { return is_name_start(c) || (unsigned char)c >= 0x80; }
static bool is_word_char(char c) { return is_word_start(c) || is_digit(c) || c == '$'; }

bool sql_is_name(const char *text) {
  size_t n = 0;
  if (!is_name_start(text[0])) return false;
  while (is_name_char(text[n])) n++;
  return text[n] == '\0' && n <= SQL_NAME_BYTES;
}

/* Lines are counted within the statement: where it stands in its file is the caller's to tell. */
static int line_of(const struct scanner *s, size_t pos) {
  int line = 1;
  for (size_t i = 0; i < pos; i++) line += s->sql[i] == '\n';
  return line;
}

static bool refuse(const struct scanner *s, size_t pos, const char *what) {
  if (strchr(s->sql, '\n')) return err_set(s->e, BAD_REQUEST, "%s (line %d of the statement)", what, line_of(s, pos));
  return err_set(s->e, BAD_REQUEST, "%s", what);
}

/* ---- what is passed over; each moves pos from the opening to behind the closing ---- */

static void pass_line_comment(struct scanner *s) {
  while (s->pos < s->end && !is_newline(s->sql[s->pos])) s->pos++;
}

static bool pass_block_comment(struct scanner *s) {
  size_t from = s->pos;
  unsigned depth = 0;

  while (s->pos < s->end) {
    bool opens = strncmp(s->sql + s->pos, "/*", 2) == 0, closes = strncmp(s->sql + s->pos, "*/", 2) == 0;
    s->pos += opens || closes ? 2 : 1;
    depth += opens;
    depth -= closes;
    if (depth == 0) return true;
  }
  return refuse(s, from, "a comment /* has no end */");
}

static bool pass_blanks(struct scanner *s) {
  for (;;) {
    while (s->pos < s->end && is_space(s->sql[s->pos])) s->pos++;
    if (strncmp(s->sql + s->pos, "--", 2) == 0) pass_line_comment(s);
    else if (strncmp(s->sql + s->pos, "/*", 2) != 0) return true;
    else if (!pass_block_comment(s)) return false;
  }
}

/* A doubled quote stands for one; to these eyes that is the end of one string and the start of the next. */
static bool pass_quoted(struct scanner *s, char quote, bool backslashes, const char *complaint) {
  size_t from = s->pos;

  for (s->pos++; s->pos < s->end; s->pos++) {
    if (backslashes && s->sql[s->pos] == '\\' && s->pos + 1 < s->end) s->pos++;
    else if (s->sql[s->pos] == quote) {
      s->pos++;
      return true;
    }
  }
  return refuse(s, from, complaint);
}

static bool pass_string(struct scanner *s) { return pass_quoted(s, '\'', false, "a string ' has no end"); }

/* Behind an E'' string: does it go on? It does directly ('' is a quote in it), and behind blanks with a newline among
 * them (manual 4.1.2.1); there a further part obeys the same backslash rules. Moves pos to that quote. */
static bool string_goes_on(struct scanner *s) {
  size_t pos = s->pos;
  bool newline = false;

  if (s->sql[pos] == '\'') return true;
  for (;;) {
    while (is_space(s->sql[pos])) newline |= is_newline(s->sql[pos++]);
    if (strncmp(s->sql + pos, "--", 2) != 0) break;
    while (s->sql[pos] && !is_newline(s->sql[pos])) pos++;
  }
  if (!newline || s->sql[pos] != '\'') return false;
  s->pos = pos;
  return true;
}

static bool pass_escape_string(struct scanner *s) {
  do
    if (!pass_quoted(s, '\'', true, "a string E' has no end")) return false;
  while (string_goes_on(s));
  return true;
}

/* $$..$$ and $tag$..$tag$; pos is at the first $. *is_quote false: it is none, pos is unchanged. */
static bool pass_dollar_quoted(struct scanner *s, bool *is_quote) {
  const char *tag = s->sql + s->pos;
  size_t len = 1;

  if (is_word_start(tag[len]))
    while (is_word_start(tag[len]) || is_digit(tag[len])) len++;
  *is_quote = tag[len] == '$';
  if (!*is_quote) return true;
  len++;
  const char *close = strstr(tag + len, arena_strndup(s->mem, tag, len));
  if (!close) return refuse(s, s->pos, "a dollar-quoted string has no end");
  s->pos = (size_t)(close - s->sql) + len;
  return true;
}

/* An exponent belongs to the number only with its digits: in 1e'x' the e opens a string. */
static void pass_number(struct scanner *s) {
  const char *p = s->sql + s->pos;
  while (is_digit(*p) || *p == '.' || *p == '_') p++;
  if (*p == 'e' || *p == 'E') {
    const char *digit = p + 1 + (p[1] == '+' || p[1] == '-');
    if (is_digit(*digit)) p = digit;
    while (is_digit(*p)) p++;
  }
  s->pos = (size_t)(p - s->sql);
}

/* ---- parameters ---- */

static unsigned name_index(struct scanner *s, const char *name) {
  struct sql_scan *out = s->out;
  for (size_t i = 0; i < out->nnames; i++)
    if (strcmp(out->names[i], name) == 0) return (unsigned)i;
  arena_grow(s->mem, out->names, out->nnames);
  out->names[out->nnames] = name;
  return (unsigned)out->nnames++;
}

/* The text up to the byte `to` becomes a piece. A parameter is written as $1, which would melt into a name or number
 * right before it: a[i:x] is not a[i$1]. */
static void end_piece(struct scanner *s, size_t to, bool before_param) {
  struct sql_scan *out = s->out;
  const char *from = s->sql + s->piece_from;
  int len = (int)(to - s->piece_from);
  bool part = before_param && len > 0 && is_word_char(from[len - 1]);

  arena_grow(s->mem, out->pieces, out->nuses);
  out->pieces[out->nuses] = arena_printf(s->mem, "%.*s%s", len, from, part ? " " : "");
}

/* pos is at a colon with a name behind it. */
static bool take_param(struct scanner *s) {
  size_t from = s->pos, to = s->pos + 1;
  unsigned *uses = (unsigned *)s->out->uses;

  while (is_name_char(s->sql[to])) to++;
  if (is_word_char(s->sql[to]))
    return refuse(s, from, "a parameter's name (:name) has letters of ASCII, digits and _ only; put a blank behind it");
  if (to - from - 1 > SQL_NAME_BYTES) return refuse(s, from, "a parameter's name is longer than 63 bytes");
  end_piece(s, from, true);
  unsigned index = name_index(s, arena_strndup(s->mem, s->sql + from + 1, to - from - 1));
  if (s->out->nnames > NAMES_MAX) return refuse(s, from, "there are more than 1000 parameters");
  arena_grow(s->mem, uses, s->out->nuses);
  uses[s->out->nuses++] = index;
  s->out->uses = uses;
  s->piece_from = s->pos = to;
  return true;
}

/* ---- tokens ---- */

static bool token_word(struct scanner *s, struct token *t) {
  char first = s->sql[s->pos];
  while (is_word_char(s->sql[s->pos])) s->pos++;
  t->kind = TOKEN_WORD;
  if (s->pos != t->from + 1 || (first != 'e' && first != 'E') || s->sql[s->pos] != '\'') return true;
  t->kind = TOKEN_OTHER;
  return pass_escape_string(s);
}

static bool token_colon(struct scanner *s, struct token *t) {
  t->kind = TOKEN_OTHER;
  if (s->sql[s->pos + 1] == ':') { /* a cast; a third colon is a mistake that PostgreSQL tells better */
    while (s->sql[s->pos] == ':') s->pos++;
    return true;
  }
  if (!is_name_start(s->sql[s->pos + 1])) {
    s->pos++;
    return true;
  }
  t->kind = TOKEN_PARAM;
  return take_param(s);
}

static bool token_dollar(struct scanner *s, struct token *t) {
  bool is_quote;
  t->kind = TOKEN_OTHER;
  if (is_digit(s->sql[s->pos + 1])) return refuse(s, s->pos, "parameters are written as :name, not as $1");
  if (!pass_dollar_quoted(s, &is_quote)) return false;
  if (!is_quote) s->pos++;
  return true;
}

static bool token_open(struct scanner *s, struct token *t) {
  arena_grow(s->mem, s->open, s->depth);
  s->open[s->depth++] = s->sql[s->pos++];
  t->kind = TOKEN_OPEN;
  return true;
}

static bool token_close(struct scanner *s, struct token *t) {
  bool round = s->sql[s->pos] == ')';
  if (s->depth == 0 || s->open[s->depth - 1] != (round ? '(' : '['))
    return refuse(s, s->pos, round ? "a ) has no (" : "a ] has no [");
  s->depth--;
  s->pos++;
  t->kind = TOKEN_CLOSE;
  return true;
}

/* Only blanks and further semicolons may follow; the text ends before the first. */
static bool token_semicolon(struct scanner *s, struct token *t) {
  size_t first = s->pos;
  for (;;) {
    while (s->sql[s->pos] == ';') s->pos++;
    if (!pass_blanks(s)) return false;
    if (s->pos == s->end) break;
    if (s->sql[s->pos] != ';') return refuse(s, s->pos, "one statement only: there is a second one behind ;");
  }
  s->pos = s->end = first;
  t->kind = TOKEN_END;
  return true;
}

/* What begins with this byte. */
static bool token_at(struct scanner *s, struct token *t) {
  char c = s->sql[s->pos];

  t->kind = TOKEN_OTHER;
  if (is_word_start(c)) return token_word(s, t);
  if (is_digit(c)) {
    pass_number(s);
    return true;
  }
  switch (c) {
  case '\'': return pass_string(s);
  case '"': t->kind = TOKEN_QUOTED; return pass_quoted(s, '"', false, "a quoted name \" has no end");
  case '$': return token_dollar(s, t);
  case ':': return token_colon(s, t);
  case '(':
  case '[': return token_open(s, t);
  case ')':
  case ']': return token_close(s, t);
  case ';': return token_semicolon(s, t);
  case ',': t->kind = TOKEN_COMMA;
  }
  s->pos++;
  return true;
}

static bool next_token(struct scanner *s, struct token *t) {
  if (!pass_blanks(s)) return false;
  *t = (struct token){TOKEN_END, s->pos, s->pos};
  if (s->pos < s->end && !token_at(s, t)) return false;
  t->to = s->pos;
  return true;
}

/* ---- shape ---- */

static bool is_word(const struct scanner *s, const struct token *t, const char *word) {
  size_t len = strlen(word);
  return t->kind == TOKEN_WORD && t->to - t->from == len && strncasecmp(s->sql + t->from, word, len) == 0;
}

static bool is_one_of(const struct scanner *s, const struct token *t, const char *const *words) {
  for (; *words; words++)
    if (is_word(s, t, *words)) return true;
  return false;
}

/* Words that begin a statement of PostgreSQL 16 (manual, part VI), beyond those with a verb of their own. */
static const char *const statement_words[] = {
    "abort",   "alter",   "analyse",    "analyze",  "begin",   "checkpoint", "close",     "cluster",  "comment", "commit",
    "copy",    "create",  "deallocate", "declare",  "discard", "do",         "drop",      "end",      "execute", "explain",
    "fetch",   "grant",   "import",     "listen",   "load",    "lock",       "move",      "notify",   "prepare", "reassign",
    "refresh", "reindex", "release",    "reset",    "revoke",  "rollback",   "savepoint", "security", "set",     "show",
    "start",   "table",   "truncate",   "unlisten", "vacuum",  "with",       NULL};

static enum sql_verb verb_of(const struct scanner *s, const struct token *t) {
  static const struct {
    const char *word;
    enum sql_verb verb;
  } verbs[] = {{"select", SQL_SELECT}, {"insert", SQL_INSERT}, {"update", SQL_UPDATE}, {"delete", SQL_DELETE},
               {"values", SQL_VALUES}, {"merge", SQL_MERGE},   {"call", SQL_CALL}};

  for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
    if (is_word(s, t, verbs[i].word)) return verbs[i].verb == SQL_CALL && s->with ? SQL_OTHER : verbs[i].verb;
  return s->expression && !s->with && !is_one_of(s, t, statement_words) ? SQL_EXPRESSION : SQL_OTHER;
}

static void decide(struct scanner *s, const struct token *t) {
  char *word = arena_strndup(s->mem, s->sql + t->from, t->kind == TOKEN_WORD ? t->to - t->from : 0);
  for (char *c = word; *c; c++)
    if (*c >= 'A' && *c <= 'Z') *c += 'a' - 'A';
  s->out->first_word = word;
  s->out->verb = verb_of(s, t);
  s->place = DONE;
}

/* The main statement begins with this token. */
static void begin_main(struct scanner *s, const struct token *t) {
  if (s->with) { /* then it is a word or a parenthesis, in the piece in work */
    s->out->main_piece = s->out->nuses;
    s->out->main_offset = t->from - s->piece_from;
  }
  if (t->kind == TOKEN_OPEN) s->place = AT_MAIN;
  else decide(s, t);
}

static void shape_start(struct scanner *s, const struct token *t) {
  if (!is_word(s, t, "with")) {
    begin_main(s, t);
    return;
  }
  s->with = s->after_with = true;
  s->out->with_list_offset = t->to; /* no parameter can have come before: piece 0 */
  s->place = IN_LIST;
}

/* Behind (select ...) more of a query may come; with anything else, as in (select ...) < 3, it was part of an expression. */
static void shape_behind_query(struct scanner *s, const struct token *t, size_t depth) {
  static const char *const more[] = {"union", "intersect", "except", "order", "limit", "offset", "fetch", "for", NULL};

  if (depth >= s->query_depth || t->kind == TOKEN_CLOSE) return;
  if (!is_one_of(s, t, more)) s->out->verb = SQL_EXPRESSION;
  s->query_depth = is_one_of(s, t, more) ? depth : 0;
}

/* (select ...) union ..., ((values ...)); with a name, a string or anything else inside it is an expression. */
static void shape_main(struct scanner *s, const struct token *t, size_t depth) {
  if (t->kind == TOKEN_OPEN) return;
  decide(s, t);
  struct sql_scan *out = s->out;
  if (is_word(s, t, "with") || out->verb == SQL_VALUES) out->verb = SQL_SELECT;
  else if (out->verb != SQL_SELECT && out->verb != SQL_EXPRESSION) out->verb = SQL_OTHER;
  if (s->expression && !s->with && out->verb == SQL_SELECT) s->query_depth = depth;
}

static void shape_list(struct scanner *s, const struct token *t) {
  if (s->after_with && is_word(s, t, "recursive")) {
    s->after_with = false;
    s->out->recursive = true;
    s->out->with_list_offset = t->to;
    return;
  }
  s->after_with = false;
  s->place = IN_HEAD;
}

/* Behind the query of one WITH entry, outside of parentheses. Names are passed over by their place, not by how they are
 * spelled: most of the words here may be names of columns too. */
static void shape_tail(struct scanner *s, const struct token *t) {
  static const char *const before_list[] = {"by", "cycle", NULL},
                           *const before_name[] = {"set", "to", "default", "using", NULL},
                           *const plain[] = {"search", "depth", "breadth", "first", NULL};

  if (s->name_next || s->sql[t->from] == '.') { /* pg_catalog.int4 '1' */
    s->name_next = s->sql[t->from] == '.';
  } else if (t->kind == TOKEN_COMMA) {
    s->name_next = s->in_columns;
    if (!s->in_columns) s->place = IN_LIST;
  } else if (is_one_of(s, t, before_list)) {
    s->name_next = s->in_columns = true;
  } else if (is_one_of(s, t, before_name)) {
    s->name_next = true;
    s->in_columns = false;
  } else if (s->sql[t->from] == '(' || (t->kind == TOKEN_WORD && !is_one_of(s, t, plain))) {
    begin_main(s, t);
  }
}

/* depth: of parentheses around the token. */
static void shape(struct scanner *s, const struct token *t, size_t depth) {
  if (t->kind == TOKEN_END) return;
  if (s->place == DONE) {
    shape_behind_query(s, t, depth);
  } else if (s->place == AT_START) {
    shape_start(s, t);
  } else if (s->place == AT_MAIN) {
    shape_main(s, t, depth);
  } else if (depth == 0) {
    if (s->place == IN_LIST) {
      shape_list(s, t);
    } else if (s->place == IN_HEAD) {
      if (is_word(s, t, "as")) s->place = BEFORE_BODY;
    } else if (s->place == BEFORE_BODY) {
      if (t->kind == TOKEN_CLOSE) s->place = IN_TAIL;
    } else if (t->kind != TOKEN_CLOSE) {
      shape_tail(s, t);
    }
  }
}

static bool scan(struct scanner *s) {
  struct token t;

  do {
    size_t depth = s->depth;
    if (!next_token(s, &t)) return false;
    shape(s, &t, t.kind == TOKEN_CLOSE ? s->depth : depth);
  } while (t.kind != TOKEN_END);

  if (s->depth > 0) return refuse(s, s->end, s->open[s->depth - 1] == '(' ? "a ( has no )" : "a [ has no ]");
  if (s->place == AT_START) return refuse(s, 0, "there is no statement");
  if (s->place != DONE)
    return refuse(s, s->end, s->with ? "the WITH list has no statement behind it" : "there is no statement");
  end_piece(s, s->end, false);
  return true;
}

bool sql_scan(const void *mem, const char *sql, bool expression, struct sql_scan *out, struct err *e) {
  struct scanner s = {.mem = mem, .sql = sql, .end = strlen(sql), .expression = expression, .out = out, .e = e};

  *out = (struct sql_scan){.verb = SQL_OTHER, .first_word = ""};
  if (s.end > INT32_MAX / 2) return refuse(&s, 0, "the statement is longer than 1 GB");
  return scan(&s);
}
