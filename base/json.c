/* JSON in and out, with every digit of a number.
 *
 * jansson is the parser, but it makes a number an integer or a double: 1.10, 25 digits and -0 would change, 1e400 would
 * be refused. So a pass ahead of it walks a copy of the text, checks each number's grammar, puts the literal aside, and
 * writes 0 in its place; and strings that are plain ASCII, which jansson takes in byte by byte, give way to "". What is
 * wrong stays wrong without them. A text that jansson refuses is given to it once more with nothing moved, so that its
 * positions are those of the original text.
 * jansson keeps the order of arrays and (since 2.8) of objects, so walking its tree meets what was put aside in its order.
 * The same pass bounds the depth, before jansson or anything else here recurses. */

/* jansson's kinds have the names of ours: here, and only here, they are called JANSSON_*. Its own macros that test
 * kinds (json_is_object) are of no use below. */
#define JSON_OBJECT JANSSON_OBJECT
#define JSON_ARRAY JANSSON_ARRAY
#define JSON_STRING JANSSON_STRING
#define JSON_INTEGER JANSSON_INTEGER
#define JSON_REAL JANSSON_REAL
#define JSON_TRUE JANSSON_TRUE
#define JSON_FALSE JANSSON_FALSE
#define JSON_NULL JANSSON_NULL
#include <jansson.h>
#undef JSON_OBJECT
#undef JSON_ARRAY
#undef JSON_STRING
#undef JSON_INTEGER
#undef JSON_REAL
#undef JSON_TRUE
#undef JSON_FALSE
#undef JSON_NULL

#include "base/json.h"

#include "base/arena.h"
#include "base/str.h"

#include <assert.h>
#include <string.h>

const struct json json_null = {.kind = JSON_NULL};
const struct json json_true = {.kind = JSON_TRUE};

/* A value takes two bytes of text ("1,") and about 100 bytes of memory while it is read. The bound keeps a worker small
 * whatever limits.body_bytes is, and the block of nodes below the 256 MB that talloc gives in one piece. */
enum { MAX_VALUES = 1000000 };

/* ---- the pass ahead of jansson ---------------------------------------------------------------------------------- */

enum byte_class { BYTE_OTHER, BYTE_QUOTE, BYTE_NUMBER, BYTE_OPEN, BYTE_CLOSE, BYTE_COMMA, BYTE_NUL };

static const unsigned char byte_class[256] = {
    ['"'] = BYTE_QUOTE,  ['-'] = BYTE_NUMBER, ['0'] = BYTE_NUMBER, ['1'] = BYTE_NUMBER, ['2'] = BYTE_NUMBER,
    ['3'] = BYTE_NUMBER, ['4'] = BYTE_NUMBER, ['5'] = BYTE_NUMBER, ['6'] = BYTE_NUMBER, ['7'] = BYTE_NUMBER,
    ['8'] = BYTE_NUMBER, ['9'] = BYTE_NUMBER, ['['] = BYTE_OPEN,   ['{'] = BYTE_OPEN,   [']'] = BYTE_CLOSE,
    ['}'] = BYTE_CLOSE,  [','] = BYTE_COMMA,  ['\0'] = BYTE_NUL,
};

struct scan {
  char *copy; /* the text, ending in NUL; what is put aside gives way, and what stands behind it moves up */
  size_t len, copy_len;
  bool exact;     /* nothing moves: numbers become "0" and blanks, strings stay */
  char *literals; /* the texts of numbers and plain strings, each ending in NUL, in order */
  size_t literals_len;
  size_t nodes; /* not less than the number of values */
  unsigned max_depth;
  size_t fault; /* byte at which the text was refused */
  const char *why;
};

static const char *digits(const char *p) {
  while (*p >= '0' && *p <= '9') p++;
  return p;
}

/* Behind the number that begins at p (RFC 8259 section 6). NULL: not a number; *fault is the byte that is wrong. The
 * text ends in NUL, which is no part of a number. */
static const char *number_end(const char *p, const char **fault) {
  const char *from;

  if (*p == '-') p++;
  from = p;
  *fault = p;
  p = digits(p);
  if (p == from) return NULL;
  if (*from == '0' && p > from + 1) {
    *fault = from + 1; /* a leading zero */
    return NULL;
  }
  if (*p == '.') {
    from = *fault = p + 1;
    p = digits(from);
    if (p == from) return NULL;
  }
  if (*p == 'e' || *p == 'E') {
    p++;
    if (*p == '+' || *p == '-') p++;
    from = *fault = p;
    p = digits(from);
    if (p == from) return NULL;
  }
  *fault = p;
  /* What may stand behind a number; jansson, which sees "0" and blanks, judges the rest. */
  return *p == '\0' || strchr(",:]} \t\n\r", *p) ? p : NULL;
}

static bool refuse(struct scan *s, const char *at, const char *why) {
  s->fault = (size_t)(at - s->copy);
  s->why = why;
  return false;
}

static void put_aside(struct scan *s, const char *from, size_t n) {
  memcpy(s->literals + s->literals_len, from, n);
  s->literals[s->literals_len + n] = '\0';
  s->literals_len += n + 1;
}

/* Behind what is written, which is never ahead of what is read. */
static void keep(struct scan *s, const char *from, size_t n) {
  memmove(s->copy + s->copy_len, from, n);
  s->copy_len += n;
}

static bool take_number(struct scan *s, const char **at) {
  const char *fault, *begin = *at, *end = number_end(begin, &fault);

  if (!end) return refuse(s, fault, "malformed number");
  put_aside(s, begin, (size_t)(end - begin));
  keep(s, "0", 1);
  for (; s->exact && s->copy + s->copy_len < end; s->copy_len++) s->copy[s->copy_len] = ' ';
  *at = end;
  return true;
}

/* Behind the string that begins at p, or the end of the text: jansson says what is wrong with it. plain: of ASCII that
 * stands for itself. */
static const char *string_end(const char *p, const char *end, bool *plain) {
  *plain = true;
  for (p++; p < end && *p != '"'; p++) {
    *plain &= (unsigned char)*p >= ' ' && (unsigned char)*p < 0x80 && *p != '\\';
    if (*p == '\\') p++;
  }
  *plain &= p < end;
  return p < end ? p + 1 : end;
}

/* The names of an object's members jansson must see: it looks for those that stand twice. */
static bool is_name(const char *behind) { return behind[strspn(behind, " \t\n\r")] == ':'; }

static void take_string(struct scan *s, const char **at, const char *end) {
  bool plain;
  const char *begin = *at;

  *at = string_end(begin, end, &plain);
  if (s->exact || !plain || is_name(*at)) {
    keep(s, begin, (size_t)(*at - begin));
  } else {
    put_aside(s, begin + 1, (size_t)(*at - begin) - 2);
    keep(s, "\"\"", 2);
  }
}

static bool scan(struct scan *s) {
  const char *p = s->copy, *end = s->copy + s->len;
  unsigned depth = 0;

  if (s->len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) return refuse(s, p, "a byte order mark is not allowed");
  s->nodes = 1;
  while (p < end) {
    switch ((enum byte_class)byte_class[(unsigned char)*p]) {
    case BYTE_QUOTE: take_string(s, &p, end); continue;
    case BYTE_NUMBER:
      if (!take_number(s, &p)) return false;
      continue;
    case BYTE_OPEN:
      if (++depth > s->max_depth) return refuse(s, p, "nested too deeply");
      s->nodes++; /* its first item */
      break;
    case BYTE_CLOSE:
      if (depth > 0) depth--; /* one too many: jansson's to refuse */
      break;
    case BYTE_COMMA: s->nodes++; break;
    case BYTE_NUL: /* which jansson takes for the end of the text */ return refuse(s, p, "a NUL byte is not allowed");
    case BYTE_OTHER: break;
    }
    s->copy[s->copy_len++] = *p++;
  }
  s->copy[s->copy_len] = '\0';
  return true;
}

/* ---- jansson's tree into ours ----------------------------------------------------------------------------------- */

/* All nodes, all keys and all strings lie in one block each, in the order of the text. */
struct fill {
  struct json *nodes; /* the next free one, and so on */
  const char **keys;
  char *strings;
  const char *literals;
  bool exact;
};

static const char *fill_text(struct fill *f, const char *text, size_t len) {
  char *copy = f->strings;

  memcpy(copy, text, len);
  copy[len] = '\0';
  f->strings += len + 1;
  return copy;
}

static void fill_node(struct fill *f, struct json *node, json_t *from);

static void fill_array(struct fill *f, struct json *node, json_t *from) {
  struct json *items = f->nodes;
  size_t i;

  node->items = items;
  node->len = json_array_size(from);
  f->nodes += node->len;
  for (i = 0; i < node->len; i++) fill_node(f, &items[i], json_array_get(from, i));
}

static void fill_object(struct fill *f, struct json *node, json_t *from) {
  struct json *items = f->nodes;
  const char **keys = f->keys, *key;
  json_t *value;
  size_t i = 0;

  node->items = items;
  node->keys = keys;
  node->len = json_object_size(from);
  f->nodes += node->len;
  f->keys += node->len;
  json_object_foreach(from, key, value) {
    keys[i] = fill_text(f, key, strlen(key));
    fill_node(f, &items[i], value);
    i++;
  }
}

static void fill_literal(struct fill *f, struct json *node) {
  node->text = f->literals;
  node->len = strlen(f->literals);
  f->literals += node->len + 1;
}

/* Recursion is bounded by max_depth. */
static void fill_node(struct fill *f, struct json *node, json_t *from) {
  static const enum json_kind kinds[] = {
      [JANSSON_OBJECT] = JSON_OBJECT,  [JANSSON_ARRAY] = JSON_ARRAY, [JANSSON_STRING] = JSON_STRING,
      [JANSSON_INTEGER] = JSON_NUMBER, [JANSSON_TRUE] = JSON_TRUE,   [JANSSON_FALSE] = JSON_FALSE,
      [JANSSON_NULL] = JSON_NULL,
  };

  node->kind = kinds[json_typeof(from)];
  switch (node->kind) {
  case JSON_OBJECT: fill_object(f, node, from); break;
  case JSON_ARRAY: fill_array(f, node, from); break;
  case JSON_STRING:
    node->len = json_string_length(from);
    if (!node->len && !f->exact) fill_literal(f, node); /* whatever jansson was shown is longer */
    else node->text = fill_text(f, json_string_value(from), node->len);
    break;
  case JSON_NUMBER: fill_literal(f, node); break;
  case JSON_NULL:
  case JSON_FALSE:
  case JSON_TRUE: break;
  }
}

/* s->copy has done its work and takes the strings: a string with its NUL is shorter than it was with quotes. */
static const struct json *fill_tree(const void *mem, const struct scan *s, json_t *from) {
  struct fill f = {.strings = s->copy, .literals = s->literals, .exact = s->exact};
  struct json *root;

  root = f.nodes = arena_array(mem, struct json, s->nodes);
  f.nodes++;
  f.keys = arena_array(mem, const char *, s->nodes);
  fill_node(&f, root, from);
  assert(f.literals == s->literals + s->literals_len);
  assert(f.nodes <= root + s->nodes);
  return root;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

/* Line and column, from 1, of the byte at offset; columns count characters. */
static bool refuse_at(struct err *e, const char *text, size_t offset, const char *why) {
  unsigned line = 1, column = 1;
  size_t i;

  for (i = 0; i < offset; i++) {
    if (text[i] == '\n') {
      line++;
      column = 1;
    } else if (((unsigned char)text[i] & 0xc0) != 0x80) {
      column++;
    }
  }
  return err_set(e, BAD_JSON, "Line %u, column %u: %s.", line, column, why);
}

/* jansson's words, less what it quotes of the text: that may be anything, also half a character. */
static bool refuse_as_jansson(struct err *e, const char *text, size_t len, json_error_t *error) {
  char *quote = strstr(error->text, " near '");
  size_t taken = error->position < 0 ? 0 : (size_t)error->position < len ? (size_t)error->position : len;
  size_t offset = taken > 0 ? taken - 1 : 0; /* the last byte of the token that was refused */

  switch (json_error_code(error)) {
  case json_error_duplicate_key: return refuse_at(e, text, offset, "duplicate key");
  case json_error_invalid_utf8:
    return refuse_at(e, text, taken, "invalid UTF-8"); /* its first byte has not been taken yet */
  case json_error_null_character:
  case json_error_null_byte_in_key: return refuse_at(e, text, offset, "\\u0000 is not allowed");
  case json_error_premature_end_of_input: return refuse_at(e, text, len, "the text ends too early");
  default:
    if (quote) *quote = '\0';
    return refuse_at(e, text, offset, error->text);
  }
}

/* jansson's own memory: taken from blocks in the arena and never given back one by one, as the tree is thrown away as a
 * whole. malloc and free of each node were a fifth of the time that reading takes. One text is read at a time. */
static struct {
  const void *mem;
  char *at, *end;
} region;

enum { REGION_BYTES = 16 * 1024, REGION_ALIGN = 16 };

static void *region_alloc(size_t size) {
  char *p;

  size = (size + REGION_ALIGN - 1) & ~(size_t)(REGION_ALIGN - 1);
  if ((size_t)(region.end - region.at) < size) {
    size_t block = size > REGION_BYTES ? size : REGION_BYTES;
    region.at = arena_resize(region.mem, NULL, block);
    region.end = region.at + block;
  }
  p = region.at;
  region.at += size;
  return p;
}

static void region_free(void *p) { (void)p; }

/* A module that uses jansson shares it with us: what it takes must be its own. */
static json_t *parse(const void *mem, const char *text, size_t len, json_error_t *error) {
  json_malloc_t theirs;
  json_free_t theirs_free;
  json_t *tree;

  json_get_alloc_funcs(&theirs, &theirs_free);
  json_set_alloc_funcs(region_alloc, region_free);
  region.mem = mem;
  region.at = region.end = NULL;
  tree = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, error);
  json_set_alloc_funcs(theirs, theirs_free);
  return tree;
}

static bool read_as(const void *mem, const char *text, size_t len, unsigned max_depth, bool exact, const struct json **root,
                    struct err *e) {
  struct scan s = {.len = len, .max_depth = max_depth, .exact = exact};
  json_error_t error;
  json_t *tree; /* lives in scratch */
  void *scratch;

  *root = NULL;
  s.copy = arena_strndup(mem, text, len);
  s.literals = arena_resize(mem, NULL, len + 1); /* a number with its NUL is no longer than with what follows it */
  if (!scan(&s)) return refuse_at(e, text, s.fault, s.why);
  if (s.nodes > MAX_VALUES) return err_set(e, TOO_LARGE, "The JSON has more than %d values.", MAX_VALUES);
  scratch = talloc_new(mem);
  tree = parse(scratch, s.copy, s.copy_len, &error);
  if (tree) *root = fill_tree(mem, &s, tree);
  else if (exact) refuse_as_jansson(e, text, len, &error);
  talloc_free(scratch);
  return tree || !exact;
}

bool json_read(const void *mem, const char *text, size_t len, unsigned max_depth, const struct json **root, struct err *e) {
  return read_as(mem, text, len, max_depth, false, root, e) && (*root || read_as(mem, text, len, max_depth, true, root, e));
}

const struct json *json_get(const struct json *object, const char *key) {
  size_t i;

  if (object->kind != JSON_OBJECT) return NULL;
  for (i = 0; i < object->len; i++) {
    if (strcmp(object->keys[i], key) == 0) return &object->items[i];
  }
  return NULL;
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

static void write_items(struct str *out, const struct json *value, char open, char close) {
  size_t i;

  str_char(out, open);
  for (i = 0; i < value->len; i++) {
    if (i > 0) str_char(out, ',');
    if (value->kind == JSON_OBJECT) {
      str_json(out, value->keys[i]);
      str_char(out, ':');
    }
    json_write(out, &value->items[i]);
  }
  str_char(out, close);
}

void json_write(struct str *out, const struct json *value) {
  switch (value->kind) {
  case JSON_NULL: str_bytes(out, "null", 4); break;
  case JSON_FALSE: str_bytes(out, "false", 5); break;
  case JSON_TRUE: str_bytes(out, "true", 4); break;
  case JSON_NUMBER: str_bytes(out, value->text, value->len); break;
  case JSON_STRING: str_json_bytes(out, value->text, value->len); break;
  case JSON_ARRAY: write_items(out, value, '[', ']'); break;
  case JSON_OBJECT: write_items(out, value, '{', '}'); break;
  }
}

const char *json_kind_name(enum json_kind kind) {
  static const char *const names[] = {
      [JSON_NULL] = "null",       [JSON_FALSE] = "false",    [JSON_TRUE] = "true",        [JSON_NUMBER] = "a number",
      [JSON_STRING] = "a string", [JSON_ARRAY] = "an array", [JSON_OBJECT] = "an object",
  };

  return names[kind];
}
