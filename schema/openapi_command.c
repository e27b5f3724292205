/* One command in the OpenAPI document: what it takes, what it gives, how it fails. */
#include "schema/openapi_inside.h"

#include <string.h>

static bool is_of_model(const struct command *c) { return c->kind == COMMAND_MUTATION || c->kind == COMMAND_QUERY; }

static bool has_version(const struct command *c) { return c->nbefore && c->before[0]->kind == COMMAND_VERSION; }

/* The version may come in If-Match, too. */
static bool is_version(const struct command *c, size_t i) {
  return has_version(c) && strcmp(c->args[i].name, "version") == 0;
}

/* ---- arguments ---- */

/* An argument of a composite without a type is what the first member takes that gets it as it is. */
static const struct type *member_type(const struct openapi_writer *w, const struct command *c, size_t argument) {
  const struct type *found = NULL;

  for (size_t i = 0; i < c->nmembers; i++) {
    const struct command *member = c->members[i].command;
    const struct template *args = c->members[i].args;

    for (size_t j = 0; args && j < args->n; j++)
      for (size_t at = 0; at < member->nargs && !found; at++)
        if (args->items[j].kind == TEMPLATE_ARGS && !args->items[j].npath && args->items[j].argument == argument &&
            strcmp(member->args[at].name, args->keys[j]) == 0)
          found = openapi_argument_type(w, member, at);
  }
  return found;
}

const struct type *openapi_argument_type(const struct openapi_writer *w, const struct command *c, size_t i) {
  bool own = c->kind == COMMAND_SQL || c->kind == COMMAND_CHECK;
  const struct description *d;
  enum returns returns;

  if (is_of_model(c)) return NULL;
  if ((own || c->args[i].type) && openapi_described(w, c, &d, &returns) && i < d->nparams) return d->params[i];
  return member_type(w, c, i);
}

/* Of a model's command, as GraphQL has it; NULL: it is /command's alone. */
static const struct gql_input *model_argument(const struct openapi_writer *w, const struct command *c, size_t i) {
  const struct gql_field *root = is_of_model(c) ? openapi_root(w, c) : NULL;
  return root ? schema_input(root->args, root->nargs, c->args[i].name) : NULL;
}

static bool is_key(const char *name) { return strcmp(name, "after") == 0 || strcmp(name, "before") == 0; }

static bool is_required(const struct openapi_writer *w, const struct command *c, size_t i) {
  const struct gql_input *input = model_argument(w, c, i);
  return !is_version(c, i) && (!c->args[i].fallback || (input && gql_is_required(input)));
}

static void put_model_argument(struct openapi_writer *w, const struct command *c, size_t i) {
  const struct gql_input *input = model_argument(w, c, i);

  if (strcmp(c->args[i].name, "select") == 0) openapi_ref(w, PART_SELECT);
  else if (input && is_key(input->name)) openapi_put(w, "{'description':'The key of a node.'}");
  else if (input) openapi_gql(w, input->type);
  else openapi_put(w, "{}");
}

/* One more member of the object that was just written. */
static void add_member(struct openapi_writer *w, const char *name, const struct json *value) {
  w->out->len--;
  if (w->out->p[w->out->len - 1] != '{') str_char(w->out, ',');
  str_json(w->out, name);
  str_char(w->out, ':');
  json_write(w->out, value);
  str_char(w->out, '}');
}

static void put_argument(struct openapi_writer *w, const struct command *c, size_t i) {
  if (is_version(c, i))
    openapi_put(w, "{'description':'The version that is to be changed. It may be given in If-Match as well.'}");
  else if (is_of_model(c)) put_model_argument(w, c, i);
  else {
    openapi_type(w, openapi_argument_type(w, c, i), false);
    if (c->args[i].fallback) add_member(w, "default", c->args[i].fallback);
  }
}

static bool any_required(const struct openapi_writer *w, const struct command *c) {
  for (size_t i = 0; i < c->nargs; i++)
    if (is_required(w, c, i)) return true;
  return false;
}

static void put_arguments(struct openapi_writer *w, const struct command *c) {
  size_t n = 0;

  openapi_put(w, "{'type':'object','additionalProperties':false,'properties':{");
  for (size_t i = 0; i < c->nargs; i++) {
    openapi_next(w);
    str_json(w->out, c->args[i].name);
    str_char(w->out, ':');
    put_argument(w, c, i);
  }
  str_char(w->out, '}');
  for (size_t i = 0; i < c->nargs; i++) {
    if (!is_required(w, c, i)) continue;
    openapi_put(w, n++ ? "," : ",'required':[");
    str_json(w->out, c->args[i].name);
  }
  openapi_put(w, n ? "]}" : "}");
}

/* What must be given, and defaults that are worth seeing. */
static bool is_in_example(const struct openapi_writer *w, const struct command *c, size_t i) {
  const struct json *fallback = c->args[i].fallback;

  if (is_version(c, i)) return c->version_required;
  return is_required(w, c, i) || (fallback && fallback->kind != JSON_NULL);
}

static bool put_argument_example(struct openapi_writer *w, const struct command *c, size_t i) {
  const struct gql_input *input = model_argument(w, c, i);
  const struct type *type = openapi_argument_type(w, c, i);

  if (input) return openapi_gql_example(w, input->type);
  if (c->args[i].fallback && c->args[i].fallback->kind != JSON_NULL) json_write(w->out, c->args[i].fallback);
  else if (type) openapi_type_example(w, type, false);
  else openapi_put(w, is_version(c, i) ? "'1'" : "'text'");
  return true;
}

static bool put_example(struct openapi_writer *w, const struct command *c) {
  str_char(w->out, '{');
  for (size_t i = 0; i < c->nargs; i++) {
    if (!is_in_example(w, c, i)) continue;
    openapi_next(w);
    str_json(w->out, c->args[i].name);
    str_char(w->out, ':');
    if (!put_argument_example(w, c, i)) return false;
  }
  str_char(w->out, '}');
  return true;
}

/* Takes back what was written behind mark. */
static bool cut(struct openapi_writer *w, size_t mark) {
  w->out->len = mark;
  w->out->p[mark] = '\0';
  return false;
}

static void put_body(struct openapi_writer *w, const struct command *c) {
  size_t mark;

  openapi_put(w, ",'requestBody':{'required':");
  openapi_put(w, any_required(w, c) ? "true" : "false");
  openapi_put(w, ",'content':{'application/json':{'schema':");
  put_arguments(w, c);
  mark = w->out->len;
  openapi_put(w, ",'example':");
  if (!put_example(w, c)) cut(w, mark);
  openapi_put(w, "}}}");
}

/* ---- answers ---- */

static bool asks_services(const struct command *c) {
  if (c->kind == COMMAND_HANDLER || c->nbefore_hooks) return true;
  for (size_t i = 0; i < c->nmembers; i++)
    if (asks_services(c->members[i].command)) return true;
  return false;
}

static void put_others(struct openapi_writer *w, bool version, bool services) {
  static const enum openapi_part always[] = {PART_202, PART_400, PART_401, PART_403, PART_404, PART_406, PART_409,
                                             PART_413, PART_415, PART_422, PART_500, PART_503, PART_504};

  openapi_answers(w, always, sizeof always / sizeof *always);
  if (version) openapi_answer(w, PART_412);
  if (services) openapi_answer(w, PART_502);
  openapi_answer(w, PART_OTHER);
}

static void put_headers(struct openapi_writer *w) {
  static const enum openapi_part headers[] = {PART_H_REQUEST_ID, PART_H_REPLAY, PART_H_APPLIED, PART_H_AFTER};
  openapi_headers(w, headers, sizeof headers / sizeof *headers);
}

static void put_responses(struct openapi_writer *w, const struct command *c) {
  openapi_put(w, ",'responses':{'200':{'description':'It is done.'");
  put_headers(w);
  openapi_put(w, ",'content':{'application/json':{'schema':{'type':'object','required':['result'],'properties':{'result':");
  openapi_result(w, c);
  openapi_put(w, "}}}}}");
  put_others(w, has_version(c), asks_services(c));
  openapi_put(w, "}}}");
}

/* ---- the head ---- */

static void tell_errors(struct str *text, const struct command *c) {
  if (c->kind == COMMAND_CHECK)
    str_printf(text, "%sRefused with %d `%s`%s%s", text->len ? "\n\n" : "", c->error.status,
               c->error.code ? c->error.code : "CHECK_FAILED", c->error.message ? ": " : ".",
               c->error.message ? c->error.message : "");
  for (size_t i = 0; i < c->nmembers; i++) tell_errors(text, c->members[i].command);
}

static void put_texts(struct openapi_writer *w, const struct command *c) {
  struct str *text = str_new(w->mem, 256);

  openapi_put(w, ",'summary':");
  str_json(w->out, c->title ? c->title : c->name);
  str_add(text, c->description ? c->description : "");
  tell_errors(text, c);
  if (!text->len) return;
  openapi_put(w, ",'description':");
  str_json(w->out, text->p);
}

static enum openapi_tag tag_of(const struct command *c) {
  switch (c->kind) {
  case COMMAND_SQL: return TAG_SQL;
  case COMMAND_CHECK: return TAG_CHECK;
  case COMMAND_COMPOSITE: return TAG_COMPOSITE;
  case COMMAND_HANDLER: return TAG_HANDLER;
  case COMMAND_MUTATION:
  case COMMAND_QUERY: return TAG_MODEL;
  default: return TAG_SET;
  }
}

static void put_parameters(struct openapi_writer *w, bool needs_key, bool version) {
  const enum openapi_part parts[] = {needs_key ? PART_KEY_NEEDED : PART_KEY,
                                     PART_PREFER,
                                     PART_MUTATION_ID,
                                     PART_TRACEPARENT,
                                     PART_REQUEST_ID,
                                     PART_IF_MATCH};

  openapi_put(w, ",'parameters':[");
  for (size_t i = 0; i < sizeof parts / sizeof *parts - !version; i++) {
    openapi_next(w);
    openapi_ref(w, parts[i]);
  }
  str_char(w->out, ']');
}

static void put_head(struct openapi_writer *w, const struct command *c) {
  openapi_put(w, "'/command/");
  str_add(w->out, c->name);
  openapi_put(w, "':{'post':{'operationId':");
  str_json(w->out, c->name);
  str_char(w->out, ',');
  openapi_tag(w, tag_of(c));
  put_texts(w, c);
  put_parameters(w, c->needs_key, has_version(c));
}

void openapi_command(struct openapi_writer *w, const struct command *c) {
  put_head(w, c);
  put_body(w, c);
  put_responses(w, c);
}

/* ---- sets ---- */

/* One that a transaction takes, and that can be shown. */
static void put_set_example(struct openapi_writer *w) {
  const struct manifest *m = w->of->manifest;
  size_t mark = w->out->len;

  for (size_t i = 0; i < m->ncommands; i++) {
    const struct command *c = m->commands[i];

    if (!openapi_has(w->of, c) || c->kind == COMMAND_HANDLER || c->needs_key) continue;
    openapi_put(w, ",'example':{'commands':[{'command':");
    str_json(w->out, c->name);
    openapi_put(w, ",'as':'first','args':");
    if (put_example(w, c)) {
      openapi_put(w, "}]}");
      return;
    }
    cut(w, mark);
  }
}

static void put_set_body(struct openapi_writer *w, const struct command *c) {
  openapi_put(
      w, ",'requestBody':{'required':true,'content':{'application/json':{'schema':{'type':'object','required':['commands'],"
         "'additionalProperties':false,'properties':{'commands':");
  openapi_ref(w, c->kind == COMMAND_TRANSACTIONAL_SET ? PART_ENTRIES : PART_STEPS);
  if (c->kind == COMMAND_TRANSACTIONAL_SET) openapi_put(w, ",'isolation':" OPENAPI_ISOLATION);
  openapi_put(w, ",'on_complete':");
  openapi_ref(w, PART_STEPS);
  openapi_put(w, ",'on_error':");
  openapi_ref(w, PART_STEPS);
  openapi_put(w, "}}");
  put_set_example(w);
  openapi_put(w, "}}}");
}

void openapi_set(struct openapi_writer *w, const struct command *c) {
  static const struct command transactional = {
      .name = "transactional_command_set",
      .kind = COMMAND_TRANSACTIONAL_SET,
      .title = "Several commands, one transaction",
      .description =
          "Runs its commands in order, all in one transaction on one datasource: all of them are done, or none. With "
          "`on_complete` or `on_error` it is answered at once with 202, and these run when it is over."};
  static const struct command execute = {
      .name = "execute_command_set",
      .kind = COMMAND_EXECUTE_SET,
      .title = "Several commands, each a transaction of its own",
      .description =
          "Runs its commands in order, each in its own transaction, on any datasources. Stops at the first error, which "
          "has `committed`, the number of commands done. With `on_complete` or `on_error` it is answered at once with "
          "202, and these run when it is over."};

  put_head(w, c->kind == COMMAND_EXECUTE_SET ? &execute : &transactional);
  put_set_body(w, c);
  openapi_put(w, ",'responses':{'200':{'description':'It is done.'");
  put_headers(w);
  openapi_put(w, ",'content':{'application/json':{'schema':");
  openapi_ref(w, PART_RESULTS);
  openapi_put(w, "}}}");
  put_others(w, true, true);
  openapi_put(w, "}}}");
}
