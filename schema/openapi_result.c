/* What a command gives, in the OpenAPI document. */
#include "schema/openapi_inside.h"

#include <string.h>

bool openapi_described(const struct openapi_writer *w, const struct command *c, const struct description **d,
                       enum returns *returns) {
  return w->of->ask(w->of->data, c, d, returns);
}

static void put_row(struct openapi_writer *w, const struct description *d, const char *type) {
  openapi_put(w, "{'type':");
  openapi_put(w, type);
  openapi_put(w, ",'properties':{");
  for (size_t i = 0; i < d->ncolumns; i++) {
    openapi_next(w);
    str_json(w->out, d->columns[i]);
    str_char(w->out, ':');
    openapi_type(w, d->column_types[i], true);
  }
  openapi_put(w, "},'required':[");
  for (size_t i = 0; i < d->ncolumns; i++) {
    openapi_next(w);
    str_json(w->out, d->columns[i]);
  }
  openapi_put(w, "]}");
}

static void put_rows(struct openapi_writer *w, const struct command *c) {
  const struct description *d;
  enum returns returns;

  if (!openapi_described(w, c, &d, &returns)) returns = RETURNS_DEFAULT;
  switch (returns) {
  case RETURNS_ONE: put_row(w, d, "'object'"); return;
  case RETURNS_OPTIONAL: put_row(w, d, "['object','null']"); return;
  case RETURNS_COUNT: openapi_put(w, "{'type':'integer','minimum':0,'description':'The number of rows.'}"); return;
  case RETURNS_NONE: openapi_put(w, "{'type':'null'}"); return;
  case RETURNS_MANY:
    openapi_put(w, "{'type':'array','items':");
    put_row(w, d, "'object'");
    str_char(w->out, '}');
    return;
  default: openapi_put(w, "{}"); return;
  }
}

/* A column of a member's row. */
static void put_column(struct openapi_writer *w, const struct command *c, const char *column) {
  const struct description *d;
  enum returns returns;
  bool known = c->kind == COMMAND_SQL && openapi_described(w, c, &d, &returns);

  for (size_t i = 0; known && i < d->ncolumns; i++)
    if (strcmp(d->columns[i], column) == 0) {
      openapi_type(w, d->column_types[i], true);
      return;
    }
  openapi_put(w, "{}");
}

static void put_template(struct openapi_writer *w, const struct command *c, const struct template *t) {
  switch (t->kind) {
  case TEMPLATE_RESULT:
    if (!t->npath) openapi_result(w, c->members[t->member].command);
    else if (t->npath == 1) put_column(w, c->members[t->member].command, t->path[0]);
    else openapi_put(w, "{}");
    return;
  case TEMPLATE_ARGS: openapi_type(w, t->npath ? NULL : openapi_argument_type(w, c, t->argument), false); return;
  case TEMPLATE_ARRAY: openapi_put(w, "{'type':'array','items':{}}"); return;
  case TEMPLATE_OBJECT:
    openapi_put(w, "{'type':'object','properties':{");
    for (size_t i = 0; i < t->n; i++) {
      openapi_next(w);
      str_json(w->out, t->keys[i]);
      str_char(w->out, ':');
      put_template(w, c, &t->items[i]);
    }
    openapi_put(w, "}}");
    return;
  default: openapi_put(w, "{}"); return;
  }
}

void openapi_result(struct openapi_writer *w, const struct command *c) {
  const struct gql_field *root = openapi_root(w, c);

  if (c->kind == COMMAND_SQL) put_rows(w, c);
  else if (c->kind == COMMAND_CHECK) openapi_put(w, "{'const':true}");
  else if (c->kind == COMMAND_COMPOSITE && c->result) put_template(w, c, c->result);
  else if (c->kind == COMMAND_COMPOSITE && c->nmembers) openapi_result(w, c->members[c->nmembers - 1].command);
  else if (root) openapi_gql(w, root->type);
  else openapi_put(w, "{}"); /* a program's */
}
