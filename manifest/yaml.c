/* Reads YAML into a tree of struct json with the line of each node. libyaml parses; what makes a file say something
 * else than it seems to (aliases, merge keys, tags, duplicate keys, 0x10, 1.) is refused here. */
#include "manifest/yaml.h"

#include "base/arena.h"
#include "base/problems.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum {
  DEPTH_MAX = 64,            /* a manifest needs about six; keeps our recursion short */
  FILE_BYTES_MAX = 16 << 20, /* a thousand commands are about 0.3 MB: anything larger is another file given by mistake */
};

struct reader {
  const void *mem;
  const char *file;
  const char *text;
  struct problems *problems;
  yaml_parser_t parser;
  unsigned depth;
};

static bool read_node(struct reader *r, yaml_event_t *event, struct yaml *out);

/* Line of a byte: libyaml gives no line when the bytes themselves are wrong. */
static int line_at(const char *text, size_t offset) {
  int line = 1;
  for (size_t i = 0; i < offset; i++) line += text[i] == '\n';
  return line;
}

static void parser_problem(struct reader *r) {
  const yaml_parser_t *p = &r->parser;
  const char *what = p->problem ? p->problem : "cannot be read";

  if (p->error == YAML_READER_ERROR) {
    problems_add(r->problems, r->file, line_at(r->text, p->problem_offset), "not YAML: %s", what);
  } else if (p->context && p->context_mark.line != p->problem_mark.line) {
    problems_add(r->problems, r->file, (int)p->problem_mark.line + 1, "not YAML: %s, %s that begins on line %d", what,
                 p->context, (int)p->context_mark.line + 1);
  } else {
    problems_add(r->problems, r->file, (int)p->problem_mark.line + 1, "not YAML: %s%s%s", what, p->context ? ", " : "",
                 p->context ? p->context : "");
  }
}

static bool next_event(struct reader *r, yaml_event_t *event) {
  if (yaml_parser_parse(&r->parser, event)) return true;
  parser_problem(r);
  return false;
}

static int event_line(const yaml_event_t *event) { return (int)event->start_mark.line + 1; }

/* ---- scalars ---- */

static const char *digits(const char *s) {
  while (*s >= '0' && *s <= '9') s++;
  return s;
}

/* The optional end of a number, "e+10"; gives what follows. */
static const char *exponent(const char *s) {
  if (*s != 'e' && *s != 'E') return s;
  const char *from = s + 1 + (s[1] == '+' || s[1] == '-');
  const char *to = digits(from);
  return to > from ? to : s;
}

/* RFC 8259 section 6. */
static bool is_json_number(const char *s) {
  s += *s == '-';
  const char *whole = digits(s);
  if (whole == s || (*s == '0' && whole > s + 1)) return false;
  s = whole;
  if (*s == '.') {
    const char *fraction = digits(s + 1);
    if (fraction == s + 1) return false;
    s = fraction;
  }
  return *exponent(s) == '\0';
}

/* A number of YAML 1.2's core schema (section 10.3.2) in any of its forms. */
static bool is_yaml_number(const char *s) {
  if (s[0] == '0' && s[1] == 'o' && s[2]) return s[2 + strspn(s + 2, "01234567")] == '\0';
  if (s[0] == '0' && s[1] == 'x' && s[2]) return s[2 + strspn(s + 2, "0123456789abcdefABCDEF")] == '\0';
  static const char *const special[] = {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"};
  const char *unsigned_part = s + (*s == '-' || *s == '+');
  for (size_t i = 0; i < sizeof special / sizeof *special; i++)
    if (strcmp(unsigned_part, special[i]) == 0) return true;
  const char *end = digits(unsigned_part);
  size_t n = (size_t)(end - unsigned_part);
  if (*end == '.') {
    const char *fraction = digits(end + 1);
    n += (size_t)(fraction - end - 1);
    end = fraction;
  }
  return n > 0 && *exponent(end) == '\0';
}

static bool is_one_of(const char *s, const char *const *words) {
  for (; *words; words++)
    if (strcmp(s, *words) == 0) return true;
  return false;
}

static enum json_kind plain_kind(struct reader *r, const char *text, int line) {
  static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
  static const char *const trues[] = {"true", "True", "TRUE", NULL};
  static const char *const falses[] = {"false", "False", "FALSE", NULL};

  if (is_one_of(text, nulls)) return JSON_NULL;
  if (is_one_of(text, trues)) return JSON_TRUE;
  if (is_one_of(text, falses)) return JSON_FALSE;
  if (is_json_number(text)) return JSON_NUMBER;
  /* 0660 and 00501 are file modes and postal codes: text, whatever the schema says. Other numbers that JSON cannot
   * write would become text or change their digits; neither can be meant. */
  if (is_yaml_number(text) && *digits(text) != '\0')
    problems_add(r->problems, r->file, line, "%s: write a number as JSON does (0.5, 1, 31), or in quotes if text is meant",
                 text);
  return JSON_STRING;
}

/* The bytes of a scalar; text inside PostgreSQL and C strings both end at a NUL, so there is none. */
static const char *scalar_text(struct reader *r, const yaml_event_t *event) {
  const char *value = (const char *)event->data.scalar.value;
  size_t len = event->data.scalar.length;
  if (memchr(value, '\0', len)) problems_add(r->problems, r->file, event_line(event), "text cannot hold the character \\0");
  return arena_strndup(r->mem, value, len);
}

static void read_scalar(struct reader *r, const yaml_event_t *event, struct yaml *out) {
  out->json.text = scalar_text(r, event);
  out->json.len = strlen(out->json.text);
  out->json.kind =
      event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? plain_kind(r, out->json.text, out->line) : JSON_STRING;
  if (out->json.kind == JSON_STRING || out->json.kind == JSON_NUMBER) return;
  out->json.text = NULL;
  out->json.len = 0;
}

/* ---- sequences and mappings ---- */

/* Makes the children visible as plain struct json too. */
static void set_children(struct reader *r, struct yaml *out, struct yaml *nodes, size_t n) {
  struct json *items = arena_array(r->mem, struct json, n ? n : 1);
  for (size_t i = 0; i < n; i++) items[i] = nodes[i].json;
  out->nodes = nodes;
  out->json.items = items;
  out->json.len = n;
}

static bool read_sequence(struct reader *r, struct yaml *out) {
  struct yaml *nodes = NULL;
  size_t n = 0;

  out->json.kind = JSON_ARRAY;
  for (;;) {
    yaml_event_t event;
    if (!next_event(r, &event)) return false;
    if (event.type == YAML_SEQUENCE_END_EVENT) {
      yaml_event_delete(&event);
      break;
    }
    arena_grow(r->mem, nodes, n);
    memset(&nodes[n], 0, sizeof nodes[n]);
    if (!read_node(r, &event, &nodes[n])) return false;
    n++;
  }
  set_children(r, out, nodes, n);
  return true;
}

struct key_place {
  const char *key;
  int line;
};

static int compare_keys(const void *a, const void *b) {
  const struct key_place *x = a, *y = b;
  int order = strcmp(x->key, y->key);
  return order ? order : (x->line > y->line) - (x->line < y->line);
}

static void refuse_duplicates(struct reader *r, const char *const *keys, const int *lines, size_t n) {
  struct key_place *sorted = arena_array(r->mem, struct key_place, n ? n : 1);
  for (size_t i = 0; i < n; i++) sorted[i] = (struct key_place){keys[i], lines[i]};
  qsort(sorted, n, sizeof *sorted, compare_keys);
  for (size_t i = 1; i < n; i++)
    if (strcmp(sorted[i - 1].key, sorted[i].key) == 0)
      problems_add(r->problems, r->file, sorted[i].line, "%s: stands here twice, first on line %d; remove one",
                   sorted[i].key, sorted[i - 1].line);
  talloc_free(sorted);
}

static const char *read_key(struct reader *r, yaml_event_t *event) {
  const char *key = NULL;
  int line = event_line(event);

  if (event->type != YAML_SCALAR_EVENT) {
    problems_add(r->problems, r->file, line, "a key must be plain text");
  } else {
    if (event->data.scalar.anchor || event->data.scalar.tag)
      problems_add(r->problems, r->file, line, "anchors (&name) and tags (!name) are not supported; write the text itself");
    key = scalar_text(r, event);
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && strcmp(key, "<<") == 0)
      problems_add(r->problems, r->file, line, "merge keys (<<) are not supported; write the keys out");
  }
  yaml_event_delete(event);
  return key;
}

static bool read_mapping(struct reader *r, struct yaml *out) {
  struct yaml *nodes = NULL;
  const char **keys = NULL;
  int *lines = NULL;
  size_t n = 0;

  out->json.kind = JSON_OBJECT;
  for (;;) {
    yaml_event_t event;
    if (!next_event(r, &event)) return false;
    if (event.type == YAML_MAPPING_END_EVENT) {
      yaml_event_delete(&event);
      break;
    }
    arena_grow(r->mem, nodes, n);
    arena_grow(r->mem, keys, n);
    arena_grow(r->mem, lines, n);
    memset(&nodes[n], 0, sizeof nodes[n]);
    lines[n] = event_line(&event);
    keys[n] = read_key(r, &event);
    if (!keys[n] || !next_event(r, &event) || !read_node(r, &event, &nodes[n])) return false;
    n++;
  }
  refuse_duplicates(r, keys, lines, n);
  set_children(r, out, nodes, n);
  out->json.keys = keys;
  out->key_lines = lines;
  return true;
}

/* ---- nodes ---- */

static void refuse_marks(struct reader *r, int line, const yaml_char_t *anchor, const yaml_char_t *tag) {
  if (anchor)
    problems_add(r->problems, r->file, line, "anchors (&%s) are not supported; write the value out where it is needed",
                 (const char *)anchor);
  if (tag)
    problems_add(r->problems, r->file, line, "tags (%s) are not supported; quote the value if it is text",
                 (const char *)tag);
}

static bool read_children(struct reader *r, bool mapping, struct yaml *out) {
  bool ok = false;
  if (++r->depth > DEPTH_MAX) problems_add(r->problems, r->file, out->line, "nested more than %d deep", DEPTH_MAX);
  else ok = mapping ? read_mapping(r, out) : read_sequence(r, out);
  r->depth--;
  return ok;
}

/* Takes the event. False: reading cannot go on. */
static bool read_node(struct reader *r, yaml_event_t *event, struct yaml *out) {
  bool ok = true;

  out->line = event_line(event);
  switch (event->type) {
  case YAML_SCALAR_EVENT:
    refuse_marks(r, out->line, event->data.scalar.anchor, event->data.scalar.tag);
    read_scalar(r, event, out);
    break;
  case YAML_SEQUENCE_START_EVENT:
    refuse_marks(r, out->line, event->data.sequence_start.anchor, event->data.sequence_start.tag);
    ok = read_children(r, false, out);
    break;
  case YAML_MAPPING_START_EVENT:
    refuse_marks(r, out->line, event->data.mapping_start.anchor, event->data.mapping_start.tag);
    ok = read_children(r, true, out);
    break;
  default: /* what is left in place of a node is an alias; it stands as null */
    problems_add(r->problems, r->file, out->line, "aliases (*name) are not supported; write the value out");
    out->json = json_null;
  }
  yaml_event_delete(event);
  return ok;
}

/* The events around the one document. A file without any document is an empty one: null. */
static bool read_stream(struct reader *r, struct yaml *root) {
  yaml_event_t event;
  unsigned documents = 0;

  *root = (struct yaml){.json = json_null, .line = 1};
  for (;;) {
    if (!next_event(r, &event)) return false;
    yaml_event_type_t type = event.type;
    int line = event_line(&event);
    bool directives = type == YAML_DOCUMENT_START_EVENT &&
                      event.data.document_start.tag_directives.start != event.data.document_start.tag_directives.end;
    bool node = type == YAML_SCALAR_EVENT || type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT ||
                type == YAML_ALIAS_EVENT;
    if (node) {
      if (!read_node(r, &event, root)) return false;
      continue;
    }
    yaml_event_delete(&event);
    if (type == YAML_STREAM_END_EVENT) return true;
    if (directives) problems_add(r->problems, r->file, line, "%%TAG is not supported; remove the line");
    if (type == YAML_DOCUMENT_START_EVENT && ++documents > 1) {
      problems_add(r->problems, r->file, line, "a second document begins here; a file holds one");
      return false;
    }
  }
}

const struct yaml *yaml_read(const void *mem, const char *file, const char *text, size_t len, struct problems *p) {
  struct reader r = {.mem = mem, .file = file, .text = text, .problems = p};
  struct yaml *root = arena_new(mem, struct yaml);
  size_t errors = p->errors;
  bool ok;

  if (!yaml_parser_initialize(&r.parser)) {
    problems_add(p, file, 0, "out of memory");
    return NULL;
  }
  yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
  ok = read_stream(&r, root);
  yaml_parser_delete(&r.parser);
  return ok && p->errors == errors ? root : NULL;
}

/* The whole file, in mem; NULL: *p tells. */
static char *read_file(const void *mem, const char *file, size_t *len, struct problems *p) {
  char *text = NULL;
  bool ok = false;
  size_t cap = 16 * 1024;
  FILE *in = fopen(file, "re");

  *len = 0;
  if (!in) goto out;
  text = arena_array(mem, char, cap);
  for (;;) {
    size_t got = fread(text + *len, 1, cap - *len, in);
    *len += got;
    if (got == 0) break;
    if (*len < cap) continue;
    if (cap >= FILE_BYTES_MAX) {
      errno = EFBIG;
      goto out;
    }
    char *more = arena_array(mem, char, cap * 2);
    memcpy(more, text, *len);
    talloc_free(text);
    text = more;
    cap *= 2;
  }
  ok = !ferror(in);
out:
  if (!ok) problems_add(p, file, 0, "cannot be read: %s", strerror(errno));
  if (in) fclose(in);
  return ok ? text : NULL;
}

const struct yaml *yaml_load(const void *mem, const char *file, struct problems *p) {
  size_t len;
  char *text = read_file(mem, file, &len, p);
  if (!text) return NULL;
  const struct yaml *root = yaml_read(mem, file, text, len, p);
  talloc_free(text);
  return root;
}

const struct yaml *yaml_get(const struct yaml *mapping, const char *key) {
  if (mapping->json.kind != JSON_OBJECT) return NULL;
  for (size_t i = 0; i < mapping->json.len; i++)
    if (strcmp(mapping->json.keys[i], key) == 0) return &mapping->nodes[i];
  return NULL;
}
