/* Types of PostgreSQL as JSON Schema: what goes in as docs/protocol.md, section 2, has it, what comes out as to_json writes it. */
#include "schema/openapi_inside.h"

#include <string.h>

/* What is text in JSON. */
static const struct text {
  const char *name;   /* of the type in PostgreSQL */
  const char *format; /* of JSON Schema; NULL: none */
  const char *example;
} texts[] = {
    {"date", "date", "2026-01-31"},
    {"timestamp with time zone", "date-time", "2026-01-31T12:00:00+00:00"},
    {"timestamp without time zone", NULL, "2026-01-31T12:00:00"},
    {"time without time zone", NULL, "12:00:00"},
    {"time with time zone", NULL, "12:00:00+00"},
    {"interval", NULL, "1 day"},
    {"uuid", "uuid", "019b1c60-5f00-7000-8000-000000000001"},
    {"bytea", NULL, "\\x616263"},
    {"inet", NULL, "192.0.2.1"},
    {"cidr", NULL, "192.0.2.0/24"},
    {"macaddr", NULL, "00:00:5e:00:53:01"},
    {"macaddr8", NULL, "00:00:5e:ff:fe:00:53:01"},
    {"\"bit\"", NULL, "1"},
    {"bit varying", NULL, "101"},
    {"bpchar", NULL, "a"},
    {"\"char\"", NULL, "a"},
    {"point", NULL, "(1,2)"},
    {"box", NULL, "(1,2),(3,4)"},
    {"lseg", NULL, "[(1,2),(3,4)]"},
    {"line", NULL, "{1,2,3}"},
    {"path", NULL, "[(1,2),(3,4)]"},
    {"polygon", NULL, "((1,2),(3,4),(5,6))"},
    {"circle", NULL, "<(1,2),3>"},
    {"int4range", NULL, "[1,10)"},
    {"int8range", NULL, "[1,10)"},
    {"numrange", NULL, "[1.5,10)"},
    {"daterange", NULL, "[2026-01-31,2026-02-28)"},
    {"tsrange", NULL, "[2026-01-31 12:00,2026-01-31 13:00)"},
    {"tstzrange", NULL, "[2026-01-31 12:00+00,2026-01-31 13:00+00)"},
    {"int4multirange", NULL, "{[1,10)}"},
    {"int8multirange", NULL, "{[1,10)}"},
    {"nummultirange", NULL, "{[1.5,10)}"},
    {"datemultirange", NULL, "{[2026-01-31,2026-02-28)}"},
    {"tsvector", NULL, "'a':1"},
    {"tsquery", NULL, "'a'"},
    {"xml", NULL, "<a/>"},
    {"pg_lsn", NULL, "0/0"},
    {"money", NULL, "$1.50"},
    {"oid", NULL, "1"},
};

/* Composites within composites are finite; a table's row type may be within itself by way of a domain. */
enum { DEPTH_MAX = 16 };

static const struct text *text_of(const struct type *t) {
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    if (strcmp(texts[i].name, t->base) == 0) return &texts[i];
  return NULL;
}

/* Numbers to PostgreSQL, but not to to_json. */
static bool is_text_outside(const struct type *t) {
  bool number = t->kind == TYPE_INTEGER || t->kind == TYPE_NUMBER;
  return number && text_of(t);
}

static bool is_text(const struct type *t, bool out) { return t->kind == TYPE_OTHER || (out && is_text_outside(t)); }

static const char *integer_format(const struct type *t) {
  if (strcmp(t->base, "integer") == 0) return ",'format':'int32'";
  return strcmp(t->base, "bigint") == 0 ? ",'format':'int64'" : "";
}

static void put_text(struct openapi_writer *w, const struct type *t) {
  const struct text *text = text_of(t);

  openapi_put(w, "'type':['string','null']");
  if (text && text->format) {
    openapi_put(w, ",'format':");
    str_json(w->out, text->format);
  }
  if (!t->nlabels) return;
  openapi_put(w, ",'enum':[");
  for (size_t i = 0; i < t->nlabels; i++) {
    str_json(w->out, t->labels[i]);
    str_char(w->out, ',');
  }
  openapi_put(w, "null]");
}

static void put_type(struct openapi_writer *w, const struct type *t, bool out, unsigned depth);

static void put_fields(struct openapi_writer *w, const struct type *t, bool out, unsigned depth) {
  openapi_put(w, "'type':['object','null'],'properties':{");
  for (size_t i = 0; i < t->nfields; i++) {
    openapi_next(w);
    str_json(w->out, t->fields[i].name);
    str_char(w->out, ':');
    put_type(w, t->fields[i].type, out, depth + 1);
  }
  str_char(w->out, '}');
}

/* An array may have several dimensions; what PostgreSQL says of its type does not tell. */
static void put_elements(struct openapi_writer *w, const struct type *t, bool out, unsigned depth) {
  openapi_put(w, "'type':['array','null'],'items':");
  put_type(w, t->element, out, depth + 1);
}

static void put_kind(struct openapi_writer *w, const struct type *t, bool out, unsigned depth) {
  switch (t->kind) {
  case TYPE_INTEGER:
    openapi_put(w, "'type':['integer','null']");
    openapi_put(w, integer_format(t));
    return;
  /* NaN and the infinities are text. */
  case TYPE_NUMBER: openapi_put(w, out ? "'type':['number','string','null']" : "'type':['number','null']"); return;
  case TYPE_BOOLEAN: openapi_put(w, "'type':['boolean','null']"); return;
  case TYPE_ARRAY: put_elements(w, t, out, depth); return;
  case TYPE_COMPOSITE: put_fields(w, t, out, depth); return;
  default: return;
  }
}

static void put_type(struct openapi_writer *w, const struct type *t, bool out, unsigned depth) {
  if (!t || depth > DEPTH_MAX || t->kind == TYPE_JSON) {
    openapi_put(w, "{}");
    return;
  }
  str_char(w->out, '{');
  if (is_text(t, out)) put_text(w, t);
  else put_kind(w, t, out, depth);
  openapi_put(w, ",'description':");
  str_json(w->out, t->name);
  str_char(w->out, '}');
}

void openapi_type(struct openapi_writer *w, const struct type *t, bool out) { put_type(w, t, out, 0); }

/* ---- examples ---- */

static void put_example(struct openapi_writer *w, const struct type *t, bool out, unsigned depth);

static void put_example_fields(struct openapi_writer *w, const struct type *t, bool out, unsigned depth) {
  str_char(w->out, '{');
  for (size_t i = 0; i < t->nfields; i++) {
    openapi_next(w);
    str_json(w->out, t->fields[i].name);
    str_char(w->out, ':');
    put_example(w, t->fields[i].type, out, depth + 1);
  }
  str_char(w->out, '}');
}

static void put_example_text(struct openapi_writer *w, const struct type *t) {
  const struct text *text = text_of(t);
  str_json(w->out, t->nlabels ? t->labels[0] : text ? text->example : "text");
}

static void put_example(struct openapi_writer *w, const struct type *t, bool out, unsigned depth) {
  if (!t || depth > DEPTH_MAX) {
    openapi_put(w, "null");
    return;
  }
  if (is_text(t, out)) {
    put_example_text(w, t);
    return;
  }
  switch (t->kind) {
  case TYPE_INTEGER: openapi_put(w, "1"); return;
  case TYPE_NUMBER: openapi_put(w, "1.5"); return;
  case TYPE_BOOLEAN: openapi_put(w, "true"); return;
  case TYPE_ARRAY:
    str_char(w->out, '[');
    put_example(w, t->element, out, depth + 1);
    str_char(w->out, ']');
    return;
  case TYPE_COMPOSITE: put_example_fields(w, t, out, depth); return;
  default: openapi_put(w, "{'key':'value'}"); return;
  }
}

void openapi_type_example(struct openapi_writer *w, const struct type *t, bool out) { put_example(w, t, out, 0); }
