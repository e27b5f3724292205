/* Reads the input of a nested mutation. Both branches of an upsert are read, whichever will be taken. */
#include "nested/nested_tree.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/nearest.h"
#include "base/str.h"
#include "commands/caller.h"
#include "manifest/model_rules.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { CLAIMS_DEPTH = 1000 }; /* more than a request may have */

struct reader {
  void *mem;
  struct err *e;
  const struct nested_writer *writer;
  const struct json *claims; /* NULL: not looked at yet */
  bool of_caller;            /* what is read now came with the request: it is no part of a composite's own text */
};

static const char *const kind_names[] = {
    [NESTED_CREATE] = "create",
    [NESTED_UPDATE] = "update",
    [NESTED_UPSERT] = "upsert",
    [NESTED_DELETE] = "delete",
    [NESTED_CONNECT] = "connect",
    [NESTED_CONNECT_OR_CREATE] = "connectOrCreate",
    [NESTED_SET] = "set",
    [NESTED_DISCONNECT] = "disconnect",
    [NESTED_UPDATE_MANY] = "updateMany",
    [NESTED_DELETE_MANY] = "deleteMany",
};

const char *nested_kind_name(enum nested_kind kind) { return kind_names[kind]; }

static enum err_code code_of(int prisma_code) {
  switch (prisma_code) {
  case 3039: return ERR_NOT_FOUND;
  case 3041: return ERR_NOT_CONNECTED;
  case 3042: return ERR_REQUIRED_RELATION;
  default: return ERR_BAD_ARGUMENT;
  }
}

bool nested_refuse(struct err *e, int prisma_code, const char *path, const char *format, ...) {
  va_list args;
  char *message;

  va_start(args, format);
  message = talloc_vasprintf(e->mem, format, args);
  va_end(args);
  err_fill(e, code_of(prisma_code), __FILE__, __LINE__, "%s", message ? message : format);
  e->prisma_code = prisma_code;
  e->path = path;
  return false;
}

/* ---- the input as a tree, whether it is a literal or holds references ---- */

static enum json_kind kind_of(const struct expr *x) {
  bool is_result;
  enum json_kind kind = expr_kind(x, &is_result);
  return is_result ? JSON_STRING : kind;
}

static bool is_object(const struct expr *x) { return kind_of(x) == JSON_OBJECT; }
static bool is_array(const struct expr *x) { return kind_of(x) == JSON_ARRAY; }
static bool is_true(const struct expr *x) { return x->kind == EXPR_LITERAL && x->literal->kind == JSON_TRUE; }

static const char *what(const struct expr *x) { return x->kind == EXPR_RESULT ? "a reference" : json_kind_name(kind_of(x)); }

/* RFC 6901: ~ and / are escaped. */
static const char *below(struct reader *r, const char *path, const char *name) {
  struct str *s = str_new(r->mem, strlen(path) + strlen(name) + 8);

  str_add(s, path);
  str_char(s, '/');
  for (; *name; name++)
    if (*name == '~') str_add(s, "~0");
    else if (*name == '/') str_add(s, "~1");
    else str_char(s, *name);
  return s->p;
}

static const char *element(struct reader *r, const char *path, size_t i) { return arena_printf(r->mem, "%s/%zu", path, i); }

static bool must_be_object(struct reader *r, const struct expr *x, const char *path) {
  return is_object(x) || nested_refuse(r->e, 0, path, "An object is expected here, not %s.", what(x));
}

/* ---- names ---- */

static const char *hint(struct reader *r, const char *name, const char *const *names) {
  const char *near = nearest(name, names);
  return near ? arena_printf(r->mem, " Did you mean \"%s\"?", near) : "";
}

static bool unknown_field(struct reader *r, const struct model *m, const char *name, const char *path) {
  const char **names = arena_array(r->mem, const char *, m->nfields + 1);

  for (size_t i = 0; i < m->nfields; i++) names[i] = m->fields[i].name;
  return nested_refuse(r->e, 0, path, "%s has no field \"%.100s\".%s", m->name, name, hint(r, name, names));
}

/* ---- where ---- */

static bool too_long(const struct field *f, const struct expr *value) {
  size_t characters = 0;

  if (!f->max_length || value->kind != EXPR_LITERAL || value->literal->kind != JSON_STRING) return false;
  for (const char *p = value->literal->text; *p; p++) characters += (*p & 0xc0) != 0x80;
  return characters > f->max_length;
}

static bool check_length(struct reader *r, const struct field *f, const struct expr *value, const char *path) {
  if (!f || !too_long(f, value)) return true;
  return nested_refuse(r->e, 3007, path, "The value for the field %s is too long: at most %zu characters.", f->name,
                       f->max_length);
}

static bool read_where(struct reader *r, const struct model *m, const struct expr *x, const char *path,
                       struct where_unique *out) {
  return where_unique_read(r->mem, m, x, (struct input_place){.mem = r->mem, .path = path}, out, r->e);
}

/* ---- who may write, and what is preset ---- */

static bool may_write(struct reader *r, const struct field *f, bool create, const char *path) {
  const struct nested_writer *w = r->writer;

  if (!r->of_caller || w->caller->inside || manifest_may_write(w->manifest, f, create, w->caller->role)) return true;
  err_set(r->e, FORBIDDEN, "The role \"%s\" may not write the field %s of %s.", w->caller->role, f->name, f->model->name);
  r->e->path = path;
  return false;
}

/* Does an operation change the link, in a create or an update of the row at one end? */
static bool writes_link(enum nested_kind kind) {
  return kind == NESTED_CREATE || kind == NESTED_CONNECT || kind == NESTED_CONNECT_OR_CREATE || kind == NESTED_UPSERT ||
         kind == NESTED_SET || kind == NESTED_DISCONNECT;
}

/* The field at the other end is written as well: there, by a new node or one that is there already. */
static bool may_link(struct reader *r, const struct nested_data *d, enum nested_kind kind, const struct field *f,
                     const char *path) {
  const struct field *back = field_there(f)->field;
  bool makes = kind == NESTED_CREATE || kind == NESTED_UPSERT || kind == NESTED_CONNECT_OR_CREATE;
  bool takes = kind != NESTED_CREATE && (kind != NESTED_UPSERT || d->create);

  if (!writes_link(kind)) return true;
  if (!may_write(r, f, d->create, path)) return false;
  return !back || ((!makes || may_write(r, back, true, path)) && (!takes || may_write(r, back, false, path)));
}

static const struct json *text_value(struct reader *r, const char *text) {
  struct json *value;

  if (!text) return NULL;
  value = arena_new(r->mem, struct json);
  *value = (struct json){.kind = JSON_STRING, .text = text, .len = strlen(text)};
  return value;
}

static const struct json *claim(struct reader *r, const struct preset *preset) {
  const char *text = caller_claims(r->mem, r->writer->caller);
  struct err ignored;

  err_init(&ignored, r->mem);
  if (!r->claims && !json_read(r->mem, text, strlen(text), CLAIMS_DEPTH, &r->claims, &ignored)) r->claims = &json_null;
  return json_at(r->claims, preset->path, preset->npath);
}

static const struct json *preset_json(struct reader *r, const struct preset *preset) {
  switch (preset->kind) {
  case PRESET_USER: return text_value(r, r->writer->caller->user);
  case PRESET_ROLE: return text_value(r, r->writer->caller->role);
  case PRESET_CLAIM: return claim(r, preset);
  default: return preset->literal;
  }
}

/* As PostgreSQL takes text for a value of any type: a claim may be "42" where the column is a number, and 42 where it is
 * text. */
static const struct json *as_scalar(struct reader *r, const struct json *value, enum scalar scalar) {
  bool number = scalar == SCALAR_INT || scalar == SCALAR_BIGINT || scalar == SCALAR_FLOAT || scalar == SCALAR_DECIMAL;
  const struct json *parsed;
  struct err ignored;

  if (value->kind == JSON_NUMBER && !number && scalar != SCALAR_BOOLEAN) return text_value(r, value->text);
  if (value->kind != JSON_STRING || (!number && scalar != SCALAR_BOOLEAN)) return value;
  err_init(&ignored, r->mem);
  return json_read(r->mem, value->text, value->len, 1, &parsed, &ignored) ? parsed : value;
}

static const struct expr *link_to(struct reader *r, const struct key *key, const struct json *value) {
  struct json *where = arena_new(r->mem, struct json), *connect = arena_new(r->mem, struct json);
  static const char *const names[] = {"connect"};

  *where = (struct json){.kind = JSON_OBJECT, .len = 1, .keys = &key->name, .items = value};
  *connect = (struct json){.kind = JSON_OBJECT, .len = 1, .keys = names, .items = where};
  return expr_literal(r->mem, connect);
}

/* What is put in for a field that was not given; *value NULL: nothing. False: the caller has not got it. */
static bool read_preset(struct reader *r, const struct nested_data *d, const struct field *f, const struct expr **value) {
  const struct field_rules *rules = manifest_field_rules(r->writer->manifest, f);
  const struct preset *preset = rules ? d->create ? rules->preset_create : rules->preset_update : NULL;
  const struct key *key = f->relation ? field_there(f)->model->key : NULL;
  const struct json *json;

  *value = NULL;
  if (!preset) return true;
  json = preset_json(r, preset);
  if (!json || json->kind == JSON_NULL) {
    if (r->writer->caller->inside) return true;
    err_set(r->e, FORBIDDEN, "The field %s of %s is set from %s, which the caller does not have.", f->name, d->model->name,
            preset->text);
    r->e->path = d->path;
    return false;
  }
  json = as_scalar(r, json, key ? key->fields[0]->scalar : f->scalar);
  *value = key ? link_to(r, key, json) : expr_literal(r->mem, json);
  return true;
}

static bool takes_presets(const struct nested_data *d) { return d->create || d->nvalues; }

/* ---- scalars ---- */

static void add_value(struct reader *r, struct nested_data *d, struct nested_value v) {
  arena_grow(r->mem, d->values, d->nvalues);
  d->values[d->nvalues++] = v;
}

static bool is_number(const struct field *f) {
  return f->scalar == SCALAR_INT || f->scalar == SCALAR_BIGINT || f->scalar == SCALAR_FLOAT || f->scalar == SCALAR_DECIMAL;
}

static const char *const change_names[] = {
    [HOW_SET] = "set",       [HOW_INCREMENT] = "increment", [HOW_DECREMENT] = "decrement", [HOW_MULTIPLY] = "multiply",
    [HOW_DIVIDE] = "divide", [HOW_PUSH] = "push",           [HOW_REMOVE] = "remove"};
enum { CHANGES = sizeof change_names / sizeof *change_names };

static bool change_offered(const struct field *f, int how, bool create) {
  return how == HOW_SET || (!create && (how >= HOW_PUSH) == f->list);
}

static bool no_change(struct reader *r, const struct field *f, const char *name, const char *path, bool create) {
  const char *names[CHANGES + 1];
  size_t n = 0;

  for (int how = 0; how < CHANGES; how++)
    if (change_offered(f, how, create)) names[n++] = change_names[how];
  names[n] = NULL;
  return nested_refuse(r->e, 0, below(r, path, name), "\"%.100s\" is not offered for the field %s here.%s", name, f->name,
                       hint(r, name, names));
}

/* {set: x}, {increment: 1}, {push: [..]}: the one member, NULL for none. */
static bool read_change(struct reader *r, const struct field *f, const struct expr *x, const char *path, bool create,
                        struct nested_value *v) {
  int how = 0;

  v->value = NULL;
  if (!expr_len(x)) return true;
  while (how < CHANGES && strcmp(change_names[how], expr_key(x, 0)) != 0) how++;
  if (how == CHANGES || !change_offered(f, how, create)) return no_change(r, f, expr_key(x, 0), path, create);
  if (expr_len(x) > 1) return nested_refuse(r->e, 0, path, "Only one change of the field %s can be made at once.", f->name);
  v->how = (enum nested_how)how;
  v->value = expr_item(r->mem, x, 0);
  v->path = below(r, path, change_names[how]);
  return true;
}

static const struct expr *empty_list(struct reader *r) {
  static const struct json empty = {.kind = JSON_ARRAY};
  return expr_literal(r->mem, &empty);
}

static bool read_list(struct reader *r, struct nested_data *d, const struct field *f, const struct expr *x,
                      const char *path) {
  struct nested_value v = {.field = f, .path = path};

  if (expr_is_null(x)) return true;
  if (x->kind == EXPR_RESULT || is_array(x)) {
    v.value = x;
  } else {
    if (!is_object(x)) return nested_refuse(r->e, 0, path, "A list is given as {set: [...]}, not as %s.", what(x));
    if (!read_change(r, f, x, path, d->create, &v)) return false;
    if (!v.value) return true;
    if (expr_is_null(v.value)) v.value = empty_list(r);
  }
  for (size_t i = 0; is_array(v.value) && i < expr_len(v.value); i++) {
    if (expr_is_null(expr_item(r->mem, v.value, i)))
      return nested_refuse(r->e, 0, element(r, v.path, i), "A list holds no nulls.");
    if (!check_length(r, f, expr_item(r->mem, v.value, i), element(r, v.path, i))) return false;
  }
  add_value(r, d, v);
  return true;
}

static bool read_only(struct reader *r, const struct nested_data *d, const struct field *f, const char *path) {
  if (f->source == SOURCE_CREATED || f->source == SOURCE_UPDATED || (d->create && f->source == SOURCE_SEQUENCE))
    return nested_refuse(r->e, 0, path, "The field %s of %s is set by the server.", f->name, d->model->name);
  if (!d->create && f->in_key) return nested_refuse(r->e, 0, path, "The key of %s cannot be changed.", d->model->name);
  return true;
}

/* A new key, where writ makes them. NULL: the server gives the value. */
static const struct expr *generated(struct reader *r, const struct field *f) {
  char text[40];
  struct json *key;

  if (f->source == SOURCE_CUID) clock_cuid(text);
  else if (f->source == SOURCE_UUID7) clock_uuid7(text);
  else return NULL;
  key = arena_new(r->mem, struct json);
  *key = (struct json){.kind = JSON_STRING, .text = arena_strdup(r->mem, text), .len = strlen(text)};
  return expr_literal(r->mem, key);
}

static bool read_null(struct reader *r, struct nested_data *d, const struct field *f, const struct expr *x,
                      const char *path) {
  if (!f->required) {
    add_value(r, d, (struct nested_value){.field = f, .value = x, .path = path});
    return true;
  }
  if (!d->create)
    return nested_refuse(r->e, 3020, path, "The required field %s of %s cannot be null.", f->name, d->model->name);
  if (f->source == SOURCE_DEFAULT)
    return nested_refuse(r->e, 3036, path, "The field %s of %s is required: null is no value for it.", f->name,
                         d->model->name);
  if (f->source == SOURCE_CLIENT)
    return nested_refuse(r->e, 0, path, "The field %s of %s needs a value.", f->name, d->model->name);
  add_value(r, d, (struct nested_value){.field = f, .value = generated(r, f), .path = path});
  return true;
}

static bool read_scalar(struct reader *r, struct nested_data *d, const struct field *f, const struct expr *x,
                        const char *path) {
  struct nested_value v = {.field = f, .value = x, .path = path};

  if (!read_only(r, d, f, path)) return false;
  if (f->list) return read_list(r, d, f, x, path);
  if (is_object(x) && is_number(f) && !d->create) {
    if (!read_change(r, f, x, path, false, &v)) return false;
    if (!v.value) return true;
    if (expr_is_null(v.value) && v.how != HOW_SET) return nested_refuse(r->e, 0, v.path, "A number is needed here.");
  }
  if (expr_is_null(v.value)) return read_null(r, d, f, v.value, v.path);
  if (!check_length(r, f, v.value, v.path)) return false;
  add_value(r, d, v);
  return true;
}

/* What a create must write though nothing was given. */
static bool absent_scalar(struct reader *r, struct nested_data *d, const struct field *f) {
  if (!d->create) return true;
  if (f->source == SOURCE_CLIENT && f->list) {
    add_value(r, d, (struct nested_value){.field = f, .value = empty_list(r), .path = d->path});
    return true;
  }
  if (f->source == SOURCE_CLIENT)
    return !f->required || nested_refuse(r->e, 0, d->path, "The field %s of %s needs a value.", f->name, d->model->name);
  add_value(r, d, (struct nested_value){.field = f, .value = generated(r, f), .path = d->path});
  return true;
}

/* ---- nested operations ---- */

static bool offered(const struct nested_data *d, const struct field *f, enum nested_kind kind) {
  switch (kind) {
  case NESTED_CREATE:
  case NESTED_CONNECT:
  case NESTED_CONNECT_OR_CREATE: return true;
  case NESTED_UPDATE: return !d->create;
  case NESTED_UPSERT: return true; /* in create: found anywhere, updated and connected */
  case NESTED_DELETE:
  case NESTED_DISCONNECT: return !d->create && (f->list || !f->required);
  default: return !d->create && f->list;
  }
}

static bool read_data(struct reader *r, const struct model *m, const struct field *from, const struct expr *x,
                      const char *path, bool create, struct nested_data **out);

static bool is_member(const struct expr *x, const char *const *names, const char **unknown) {
  for (size_t i = 0; i < expr_len(x); i++) {
    const char *const *name = names;
    while (*name && strcmp(*name, expr_key(x, i)) != 0) name++;
    *unknown = expr_key(x, i);
    if (!*name) return false;
  }
  return true;
}

/* {where, update, create} and the like: exactly these members; a member that is NULL in out is not wanted. */
static bool read_members(struct reader *r, const struct expr *x, const char *path, const char *const *names) {
  const char *unknown;

  if (!must_be_object(r, x, path)) return false;
  if (!is_member(x, names, &unknown))
    return nested_refuse(r->e, 0, below(r, path, unknown), "\"%.100s\" is not expected here.%s", unknown,
                         hint(r, unknown, names));
  for (; *names; names++)
    if (!expr_member(r->mem, x, *names)) return nested_refuse(r->e, 0, path, "\"%s\" is missing.", *names);
  return true;
}

static bool read_part(struct reader *r, const struct nested_op *op, const struct expr *x, const char *name, bool create,
                      struct nested_data **out) {
  return read_data(r, field_there(op->field)->model, op->field, expr_member(r->mem, x, name), below(r, op->path, name),
                   create, out);
}

static bool read_one_where(struct reader *r, struct nested_op *op, const struct expr *x, const char *path) {
  struct where_unique *where = arena_new(r->mem, struct where_unique);

  op->wheres = where;
  op->nwheres = 1;
  return read_where(r, field_there(op->field)->model, x, path, where);
}

static bool read_upsert(struct reader *r, struct nested_op *op, const struct expr *x, bool with_where) {
  static const char *const with[] = {"where", "update", "create", NULL}, *const without[] = {"update", "create", NULL};

  if (!read_members(r, x, op->path, with_where ? with : without)) return false;
  if (with_where && !read_one_where(r, op, expr_member(r->mem, x, "where"), below(r, op->path, "where"))) return false;
  return read_part(r, op, x, "update", false, &op->update) && read_part(r, op, x, "create", true, &op->create);
}

static bool read_update(struct reader *r, struct nested_op *op, const struct expr *x) {
  static const char *const members[] = {"where", "data", NULL};

  if (!op->field->list) return read_data(r, field_there(op->field)->model, op->field, x, op->path, false, &op->update);
  if (!read_members(r, x, op->path, members)) return false;
  return read_one_where(r, op, expr_member(r->mem, x, "where"), below(r, op->path, "where")) &&
         read_part(r, op, x, "data", false, &op->update);
}

static bool read_update_many(struct reader *r, struct nested_op *op, const struct expr *x) {
  static const char *const members[] = {"where", "data", NULL};

  if (!read_members(r, x, op->path, members)) return false;
  op->filter = expr_member(r->mem, x, "where");
  if (!read_part(r, op, x, "data", false, &op->update)) return false;
  return !op->update->nops || nested_refuse(r->e, 0, op->update->path, "updateMany takes scalars only.");
}

static bool read_connect_or_create(struct reader *r, struct nested_op *op, const struct expr *x) {
  static const char *const members[] = {"where", "create", NULL};

  return read_members(r, x, op->path, members) &&
         read_one_where(r, op, expr_member(r->mem, x, "where"), below(r, op->path, "where")) &&
         read_part(r, op, x, "create", true, &op->create);
}

/* true alone makes sense: false and null were passed over. */
static bool read_flag(struct reader *r, const struct nested_op *op, const struct expr *x) {
  return is_true(x) || nested_refuse(r->e, 0, op->path, "true or false is expected here, not %s.", what(x));
}

/* One element of a list, or the whole value of a to-one. */
static bool read_op(struct reader *r, const struct nested_data *d, struct nested_op *op, const struct expr *x) {
  bool list = op->field->list;

  switch (op->kind) {
  case NESTED_CREATE: return read_data(r, field_there(op->field)->model, op->field, x, op->path, true, &op->create);
  case NESTED_UPDATE: return read_update(r, op, x);
  case NESTED_UPSERT: return read_upsert(r, op, x, list || d->create);
  case NESTED_CONNECT_OR_CREATE: return read_connect_or_create(r, op, x);
  case NESTED_CONNECT: return read_one_where(r, op, x, op->path);
  case NESTED_DELETE:
  case NESTED_DISCONNECT: return list ? read_one_where(r, op, x, op->path) : read_flag(r, op, x);
  case NESTED_UPDATE_MANY: return read_update_many(r, op, x);
  case NESTED_DELETE_MANY: op->filter = x; return must_be_object(r, x, op->path);
  default: return false;
  }
}

static struct nested_op *add_op(struct reader *r, struct nested_data *d, enum nested_kind kind, const struct field *f,
                                const char *path) {
  arena_grow(r->mem, d->ops, d->nops);
  d->ops[d->nops] = (struct nested_op){.kind = kind, .field = f, .path = path};
  return &d->ops[d->nops++];
}

/* set: one operation, however many it names. */
static bool read_set(struct reader *r, struct nested_data *d, const struct field *f, const struct expr *x,
                     const char *path) {
  size_t n = is_array(x) ? expr_len(x) : 1;
  struct where_unique *wheres = arena_array(r->mem, struct where_unique, n ? n : 1);
  struct nested_op *op = add_op(r, d, NESTED_SET, f, path);

  op->wheres = wheres;
  op->nwheres = n;
  for (size_t i = 0; i < n; i++) {
    const struct expr *item = is_array(x) ? expr_item(r->mem, x, i) : x;
    if (!read_where(r, field_there(f)->model, item, is_array(x) ? element(r, path, i) : path, &wheres[i])) return false;
  }
  return true;
}

/* null, and false of a delete or disconnect. */
static bool does_nothing(const char *kind, const struct expr *x) {
  bool flag = strcmp(kind, kind_names[NESTED_DELETE]) == 0 || strcmp(kind, kind_names[NESTED_DISCONNECT]) == 0;
  return expr_is_null(x) || (flag && x->kind == EXPR_LITERAL && x->literal->kind == JSON_FALSE);
}

static bool read_kind(struct reader *r, struct nested_data *d, const struct field *f, enum nested_kind kind,
                      const struct expr *x, const char *path) {
  size_t n = is_array(x) ? expr_len(x) : 1;

  if (does_nothing(kind_names[kind], x)) return true;
  if (x->kind == EXPR_RESULT)
    return nested_refuse(r->e, 0, path, "A reference can stand for a value here, not for the input of \"%s\".",
                         kind_names[kind]);
  if (is_array(x) && !f->list)
    return nested_refuse(r->e, 0, path, "The field %s is no list: one object is expected.", f->name);
  if (kind == NESTED_SET) {
    r->of_caller |= x->argument != NULL; /* read_ops puts it back */
    return may_link(r, d, kind, f, path) && read_set(r, d, f, x, path);
  }
  for (size_t i = 0; i < n; i++) {
    const struct expr *item = is_array(x) ? expr_item(r->mem, x, i) : x;
    struct nested_op op = {.kind = kind, .field = f, .path = is_array(x) ? element(r, path, i) : path, .input = item};
    bool of_caller = r->of_caller;

    op.of_caller = r->of_caller = of_caller || x->argument || item->argument;
    if (!may_link(r, d, kind, f, op.path) || !read_op(r, d, &op, item)) return false;
    r->of_caller = of_caller;
    *add_op(r, d, kind, f, op.path) = op;
  }
  return true;
}

/* Those of a to-one: one at most (decision 10), and a required one of a create must have one. */
static bool count_ops(struct reader *r, const struct nested_data *d, const struct field *f, const struct expr *x,
                      const char *path) {
  const char *first = NULL;

  for (size_t i = 0; x && i < expr_len(x); i++) {
    const struct expr *item = expr_item(r->mem, x, i);
    if (does_nothing(expr_key(x, i), item)) continue;
    if (first && !f->list)
      return nested_refuse(r->e, 0, path, "\"%s\" and \"%s\" cannot both be given for the field %s.", first, expr_key(x, i),
                           f->name);
    first = expr_key(x, i);
  }
  if (!f->required || !d->create || first) return true;
  return nested_refuse(r->e, 3032, path, "The field %s of type %s needs a create or connect.", f->name,
                       field_there(f)->model->name);
}

static bool check_offered(struct reader *r, const struct nested_data *d, const struct field *f, const struct expr *x,
                          const char *path) {
  const char *names[NESTED_KINDS + 1];
  size_t n = 0;

  for (enum nested_kind kind = 0; kind < NESTED_KINDS; kind++)
    if (offered(d, f, kind)) names[n++] = kind_names[kind];
  names[n] = NULL;
  for (size_t i = 0; i < expr_len(x); i++) {
    size_t j = 0;
    while (j < n && strcmp(names[j], expr_key(x, i)) != 0) j++;
    if (j == n)
      return nested_refuse(r->e, 0, below(r, path, expr_key(x, i)), "\"%.100s\" is not offered for the field %s here.%s",
                           expr_key(x, i), f->name, hint(r, expr_key(x, i), names));
  }
  return true;
}

static bool check_relation(struct reader *r, const struct nested_data *d, const struct field *f, const struct expr *x,
                           const char *path) {
  if (!x) {
    if (!d->create || !f->required) return true;
    return nested_refuse(r->e, 0, d->path, "The field %s of %s needs a value.", f->name, d->model->name);
  }
  if (expr_is_null(x)) return count_ops(r, d, f, NULL, path);
  return must_be_object(r, x, path) && check_offered(r, d, f, x, path) && count_ops(r, d, f, x, path);
}

static const struct field *back_field(const struct field *from) { return from ? field_there(from)->field : NULL; }

static bool check_names(struct reader *r, const struct nested_data *d, const struct expr *x) {
  for (size_t i = 0; i < expr_len(x); i++) {
    const struct field *f = model_field(d->model, expr_key(x, i));

    if (!f) return unknown_field(r, d->model, expr_key(x, i), below(r, d->path, expr_key(x, i)));
    if (f == back_field(d->from))
      return nested_refuse(r->e, 0, below(r, d->path, f->name),
                           "The field %s of %s leads back to where this was reached from.", f->name, d->model->name);
  }
  return true;
}

/* The member of that name, or what is preset for it; NULL: neither. */
static bool member_or_preset(struct reader *r, const struct nested_data *d, const struct expr *x, const struct field *f,
                             const struct expr **out) {
  *out = expr_member(r->mem, x, f->name);
  if (*out) return true;
  return !takes_presets(d) || f == back_field(d->from) || read_preset(r, d, f, out);
}

static bool read_given(struct reader *r, struct nested_data *d, const struct field *f, const struct expr *value) {
  const char *path = below(r, d->path, f->name);

  return may_write(r, f, d->create, path) && read_scalar(r, d, f, value, path);
}

/* Of a create: what is preset for the field, or what it has by itself. */
static bool read_absent(struct reader *r, struct nested_data *d, const struct field *f) {
  const struct expr *preset;

  if (!read_preset(r, d, f, &preset)) return false;
  return preset ? read_scalar(r, d, f, preset, below(r, d->path, f->name)) : absent_scalar(r, d, f);
}

/* Those that are given ahead of those that are not: in an update presets come with them. */
static bool read_scalars(struct reader *r, struct nested_data *d, const struct expr *x) {
  for (size_t i = 0; i < d->model->nfields; i++) {
    const struct field *f = &d->model->fields[i];
    const struct expr *value = f->relation ? NULL : expr_member(r->mem, x, f->name);

    if (f->relation || (!value && !d->create)) continue;
    if (!(value ? read_given(r, d, f, value) : read_absent(r, d, f))) return false;
  }
  for (size_t i = 0; i < d->model->nfields && !d->create && d->nvalues; i++) {
    const struct field *f = &d->model->fields[i];
    const struct expr *value;

    if (f->relation || expr_member(r->mem, x, f->name)) continue;
    if (!read_preset(r, d, f, &value) || (value && !read_scalar(r, d, f, value, below(r, d->path, f->name)))) return false;
  }
  return true;
}

/* given: of each field, what is done to it. */
static bool read_ops(struct reader *r, struct nested_data *d, const struct expr *x, const struct expr *const *given) {
  for (enum nested_kind kind = 0; kind < NESTED_KINDS; kind++)
    for (size_t i = 0; i < d->model->nfields; i++) {
      const struct field *f = &d->model->fields[i];
      const struct expr *ops = given[i], *value;
      bool of_caller = r->of_caller;

      if (!ops || expr_is_null(ops) || !(value = expr_member(r->mem, ops, kind_names[kind]))) continue;
      r->of_caller = expr_member(r->mem, x, f->name) && (of_caller || ops->argument);
      if (!read_kind(r, d, f, kind, value, below(r, below(r, d->path, f->name), kind_names[kind]))) return false;
      r->of_caller = of_caller;
    }
  return true;
}

/* All of them are looked at before the first is read. */
static bool read_relations(struct reader *r, struct nested_data *d, const struct expr *x) {
  const struct expr **given = arena_array(r->mem, const struct expr *, d->model->nfields + 1);

  for (size_t i = 0; i < d->model->nfields; i++) {
    const struct field *f = &d->model->fields[i];

    if (!f->relation || f == back_field(d->from)) continue;
    if (!member_or_preset(r, d, x, f, &given[i])) return false;
    if ((given[i] || f->required) && !check_relation(r, d, f, given[i], below(r, d->path, f->name))) return false;
  }
  return read_ops(r, d, x, given);
}

static bool read_data(struct reader *r, const struct model *m, const struct field *from, const struct expr *x,
                      const char *path, bool create, struct nested_data **out) {
  struct nested_data *d = arena_new(r->mem, struct nested_data);
  bool of_caller = r->of_caller;

  r->of_caller = of_caller || x->argument;
  *d = (struct nested_data){.model = m, .from = from, .create = create, .path = path};
  *out = d;
  if (x->kind == EXPR_RESULT)
    return nested_refuse(r->e, 0, path, "A reference can stand for a value here, not for an object.");
  if (!must_be_object(r, x, path) || !check_names(r, d, x) || !read_scalars(r, d, x) || !read_relations(r, d, x))
    return false;
  r->of_caller = of_caller;
  return true;
}

/* ---- the root ---- */

static bool read_root_where(struct reader *r, const struct nested_input *input, struct nested_root *root) {
  struct where_unique *where = arena_new(r->mem, struct where_unique);

  root->where = where;
  if (!input->where) return nested_refuse(r->e, 0, "", "\"where\" is missing.");
  return read_where(r, root->model, input->where, "/where", where);
}

static bool read_root_data(struct reader *r, const struct nested_root *root, const struct expr *x, const char *name,
                           bool create, struct nested_data **out) {
  static const struct json none = {.kind = JSON_OBJECT};

  if (!x && create && strcmp(name, "data") == 0) x = expr_literal(r->mem, &none); /* of a model with a generated key alone */
  if (!x) return nested_refuse(r->e, 0, "", "\"%s\" is missing.", name);
  return read_data(r, root->model, NULL, x, arena_printf(r->mem, "/%s", name), create, out);
}

bool nested_read(void *mem, const struct nested_input *input, const struct nested_writer *writer, struct nested_root *root,
                 struct err *e) {
  struct reader r = {.mem = mem, .e = e, .writer = writer};

  root->filter = input->where;
  switch (root->kind) {
  case ROOT_CREATE: return read_root_data(&r, root, input->data, "data", true, &root->create);
  case ROOT_UPDATE:
    return read_root_where(&r, input, root) && read_root_data(&r, root, input->data, "data", false, &root->update);
  case ROOT_UPSERT:
    return read_root_where(&r, input, root) && read_root_data(&r, root, input->update, "update", false, &root->update) &&
           read_root_data(&r, root, input->create, "create", true, &root->create);
  case ROOT_DELETE: return read_root_where(&r, input, root);
  case ROOT_UPDATE_MANY:
    if (!read_root_data(&r, root, input->data, "data", false, &root->update)) return false;
    return !root->update->nops || nested_refuse(e, 0, "/data", "%s takes scalars only.", root->model->mutation.update_many);
  default: return true;
  }
}
