/* The elements of a command set: which commands they name, transactional sets among them, and what is to follow the set. */
#include "commands/decoder.h"

#include "base/arena.h"
#include "base/str.h"
#include "base/uuid.h"
#include "commands/caller.h"
#include "manifest/config.h"

#include <string.h>

/* A name as one step of a JSON pointer (RFC 6901 section 3). */
const char *decoder_pointer(void *mem, const char *name) {
  struct str *out = str_new(mem, strlen(name) + 16);

  for (; *name; name++) {
    if (*name == '~') str_add(out, "~0");
    else if (*name == '/') str_add(out, "~1");
    else str_char(out, *name);
  }
  return out->p;
}

static bool place(struct decoder *d, size_t index) {
  struct err *e = d->e;
  const char *within = d->place ? d->place : "";

  e->index = (int)index;
  e->path = e->argument ? arena_printf(d->mem, "/%s/%zu%s/args/%s", d->set->member, index, within,
                                       decoder_pointer(d->mem, e->argument))
                        : arena_printf(d->mem, "/%s/%zu%s", d->set->member, index, within);
  return false;
}

static bool known_keys(struct decoder *d, const struct json *object, const char *const *keys, const char *what) {
  for (size_t i = 0; i < object->len; i++) {
    const char *const *key = keys;
    while (*key && strcmp(*key, object->keys[i]) != 0) key++;
    if (!*key) return err_set(d->e, BAD_REQUEST, "%s has no member \"%.100s\".", what, object->keys[i]);
  }
  return true;
}

static bool is_array(struct decoder *d, const struct json *commands, const char *where) {
  if (commands && commands->kind == JSON_ARRAY) return true;
  err_set(d->e, BAD_REQUEST, "\"%s\" must be an array of commands.", d->set->member);
  d->e->path = where;
  return false;
}

static bool is_uuid(const struct json *value) {
  unsigned char bytes[UUID_BYTES];

  return value->kind == JSON_STRING && uuid_read(value->text, bytes);
}

/* A state of its own is for what is one step of something larger; steps of an execute set are told of by its state. */
static bool check_mutation(struct decoder *d, const struct json *mutation, bool inner) {
  if (!mutation) return true;
  if (inner || d->set->each_alone)
    return err_set(d->e, BAD_REQUEST, "\"mutation\" is for the commands of a transactional_command_set.");
  return is_uuid(mutation) || err_set(d->e, BAD_REQUEST, "\"mutation\" takes a UUID.");
}

static bool admit_inner(struct decoder *d, const struct json *args);

/* The shape of one element, and whether the caller may name its command: for all elements before any is looked into. */
static const struct command *admit_element(struct decoder *d, const struct json *element, bool inner) {
  static const char *const keys[] = {"command", "args", "as", "mutation", NULL};
  const struct json *name, *as;
  const struct command *c;

  if (element->kind != JSON_OBJECT) {
    err_set(d->e, BAD_REQUEST, "Each of \"%s\" is an object with \"command\" and \"args\", not %s.", d->set->member,
            json_kind_name(element->kind));
    return NULL;
  }
  name = json_get(element, "command");
  as = json_get(element, "as");
  if (!name || name->kind != JSON_STRING) {
    err_set(d->e, BAD_REQUEST, "Each of \"%s\" needs the name of a command in \"command\".", d->set->member);
    return NULL;
  }
  c = set_admit(d->manifest, name->text, d->caller, d->e);
  if (!c) return NULL;
  if (c->kind == COMMAND_EXECUTE_SET || (c->kind == COMMAND_TRANSACTIONAL_SET && (inner || !d->set->each_alone))) {
    err_set(d->e, BAD_REQUEST, "A command set cannot stand here: only a transactional one, as a step of an execute set.");
    return NULL;
  }
  if (!known_keys(d, element, keys, "An element of \"commands\"")) return NULL;
  if (as && (as->kind != JSON_STRING || !*as->text || strchr(as->text, '.') || strlen(as->text) > 63)) {
    err_set(d->e, BAD_REQUEST, "\"as\" takes a name of at most 63 bytes without dots.");
    return NULL;
  }
  if (!check_mutation(d, json_get(element, "mutation"), inner)) return NULL;
  return c->kind != COMMAND_TRANSACTIONAL_SET || admit_inner(d, json_get(element, "args")) ? c : NULL;
}

/* A transactional set that is one step of an execute set. */

static const char *inner_place(struct decoder *d, size_t index) { return arena_printf(d->mem, "/args/commands/%zu", index); }

static bool admit_inner(struct decoder *d, const struct json *args) {
  static const char *const keys[] = {"commands", "isolation", NULL};
  const struct json *commands;

  if (!args || args->kind != JSON_OBJECT) return err_set(d->e, BAD_REQUEST, "A command set is an object with \"commands\".");
  commands = json_get(args, "commands");
  if (!known_keys(d, args, keys, "A set within a set") || !is_array(d, commands, NULL)) return false;
  for (size_t i = 0; i < commands->len; i++) {
    d->place = inner_place(d, i);
    if (!admit_element(d, &commands->items[i], true)) return false;
  }
  d->place = NULL;
  return true;
}

/* *out is made stricter, as asked for. */
static bool decode_isolation(struct decoder *d, const struct json *value, enum isolation *out) {
  static const char *const names[] = {[ISOLATION_READ_COMMITTED] = "read_committed",
                                      [ISOLATION_REPEATABLE_READ] = "repeatable_read",
                                      [ISOLATION_SERIALIZABLE] = "serializable"};

  if (!value) return true;
  for (enum isolation i = ISOLATION_READ_COMMITTED; value->kind == JSON_STRING && i <= ISOLATION_SERIALIZABLE; i++)
    if (strcmp(value->text, names[i]) == 0) {
      if (i > *out) *out = i;
      return true;
    }
  err_set(d->e, BAD_REQUEST, "\"isolation\" is one of read_committed, repeatable_read, serializable.");
  d->e->path = "/isolation";
  return false;
}

static bool one_datasource(struct decoder *d, const struct command *c, size_t index, size_t *datasource) {
  if (c->kind == COMMAND_HANDLER)
    return err_set(d->e, NOT_TRANSACTIONAL, "\"%s\" is a handler, which cannot be part of a transaction.", c->name);
  if (index == 0) *datasource = c->datasource;
  return c->datasource == *datasource ||
         err_set(d->e, DIFFERENT_DATASOURCES, "A transactional set stays on one datasource; \"%s\" is on another.", c->name);
}

static bool named_before(struct decoder *d, const char *as) {
  for (size_t i = 0; d->inner && i < d->inner->n; i++)
    if (d->inner->as[i] && strcmp(d->inner->as[i], as) == 0) return true;
  return decoder_entry(d->set, as) != NULL;
}

static bool check_name(struct decoder *d, const struct json *as) {
  return !as || !named_before(d, as->text) ||
         err_set(d->e, BAD_REQUEST, "Two commands of the set are named \"%s\".", as->text);
}

static bool add_inner_element(struct decoder *d, const struct json *element, struct inner *inner, struct entry *entry) {
  const struct command *c = manifest_command(d->manifest, json_get(element, "command")->text);
  const struct json *as = json_get(element, "as");
  const struct expr **bound;

  d->named = c;
  d->e->command = c->name;
  if (!check_name(d, as) || !one_datasource(d, c, inner->n, &entry->datasource)) return false;
  bound = decoder_arguments(d, c, json_get(element, "args"), true);
  if (!bound || !(inner->results[inner->n] = decoder_unfold(d, c, bound, d->set->nentries, true))) return false;
  inner->as[inner->n++] = as ? as->text : NULL;
  if (c->isolation > entry->isolation) entry->isolation = c->isolation;
  return true;
}

/* Its result is the array of its commands' results. */
static bool add_inner(struct decoder *d, const struct json *element, const struct command *c) {
  const struct json *args = json_get(element, "args"), *commands = json_get(args, "commands"), *as = json_get(element, "as");
  struct entry entry = {.command = c,
                        .as = as ? as->text : NULL,
                        .args = arena_array(d->mem, const struct expr *, 1),
                        .first_node = d->set->nnodes};
  struct inner inner = {.as = arena_array(d->mem, const char *, commands->len + 1),
                        .results = arena_array(d->mem, const struct expr *, commands->len + 1)};
  struct expr *items = arena_array(d->mem, struct expr, commands->len + 1), *result = arena_new(d->mem, struct expr);

  if (!decode_isolation(d, json_get(args, "isolation"), &entry.isolation)) return false;
  d->inner = &inner;
  for (size_t i = 0; i < commands->len; i++) {
    d->place = inner_place(d, i);
    if (!add_inner_element(d, &commands->items[i], &inner, &entry)) return false;
    items[i] = *inner.results[i];
  }
  d->inner = NULL;
  d->named = NULL;
  d->place = NULL;
  *result = (struct expr){.kind = EXPR_ARRAY, .items = items, .n = commands->len};
  decoder_settle(d, result);
  entry.result = result;
  return decoder_put_entry(d, entry);
}

/* The entry added last. */
static bool put_mutation(struct decoder *d, const struct json *value) {
  unsigned char bytes[UUID_BYTES];
  size_t last = d->set->nentries - 1;
  char *text;

  if (!value || d->again) return true;
  text = arena_array(d->mem, char, 37);
  if (uuid_read(value->text, bytes)) uuid_write(bytes, text);
  for (size_t i = 0; i < last; i++)
    if (d->set->entries[i].mutation && strcmp(d->set->entries[i].mutation, text) == 0)
      return err_set(d->e, BAD_REQUEST, "Two commands of the set have the mutation %s.", text);
  d->set->entries[last].mutation = text;
  d->set->has_states = true;
  return true;
}

static bool add_element(struct decoder *d, const struct json *element, const struct command *c, size_t index) {
  const struct json *as = json_get(element, "as");

  if (!check_name(d, as)) return false;
  if (c->kind == COMMAND_TRANSACTIONAL_SET) return add_inner(d, element, c);
  if (!d->set->each_alone && !one_datasource(d, c, index, &d->set->datasource)) return false;
  return decoder_add_entry(d, c, as ? as->text : NULL, json_get(element, "args"), true) &&
         put_mutation(d, json_get(element, "mutation"));
}

static bool admit_elements(struct decoder *d, const struct json *commands) {
  const struct config *config = d->manifest->config;

  if (!is_array(d, commands, arena_printf(d->mem, "/%s", d->set->member))) return false;
  if (commands->len > (size_t)config->max_commands)
    return err_set(d->e, TOO_MANY_COMMANDS, "A set takes at most %d commands; this one has %zu.", config->max_commands,
                   commands->len);
  for (size_t i = 0; i < commands->len; i++)
    if (!admit_element(d, &commands->items[i], false)) {
      const struct json *name = json_get(&commands->items[i], "command");
      if (name && name->kind == JSON_STRING) d->e->command = name->text;
      return place(d, i);
    }
  return true;
}

/* All of them were admitted. */
static bool add_elements(struct decoder *d, const struct json *commands) {
  for (size_t i = 0; i < commands->len; i++) {
    const struct command *c = manifest_command(d->manifest, json_get(&commands->items[i], "command")->text);

    if (add_element(d, &commands->items[i], c, i)) continue;
    if (!d->named) d->e->command = c->name;
    return place(d, i);
  }
  return true;
}

/* What is to follow is an execute set of its own, whose references find the results of the one before as well. */

static struct decoder decoder_behind(struct decoder *d, const char *member, const struct json *commands) {
  struct decoder out = *d;
  struct json *request = arena_new(d->mem, struct json);
  const char **keys = arena_array(d->mem, const char *, 1);

  keys[0] = "commands";
  *request = (struct json){.kind = JSON_OBJECT, .len = 1, .items = commands, .keys = keys};
  out.behind = d->set;
  out.set = arena_new(d->mem, struct command_set);
  *out.set = (struct command_set){.command = manifest_command(d->manifest, "execute_command_set"),
                                  .request = request,
                                  .is_set = true,
                                  .each_alone = true,
                                  .member = member,
                                  .known = d->set->known};
  return out;
}

bool decoder_elements(struct decoder *d, const struct json *args) {
  static const char *const transactional_keys[] = {"commands", "isolation", "on_complete", "on_error", NULL};
  static const char *const execute_keys[] = {"commands", "on_complete", "on_error", NULL};
  const char *const *keys = d->set->each_alone ? execute_keys : transactional_keys;
  const struct json *commands, *complete, *error;
  struct decoder on_complete, on_error;

  if (args->kind != JSON_OBJECT)
    return err_set(d->e, BAD_REQUEST, "A command set is an object with \"commands\", not %s.", json_kind_name(args->kind));
  if (!known_keys(d, args, keys, "A command set")) return false;
  commands = json_get(args, "commands");
  complete = d->again ? NULL : json_get(args, "on_complete");
  error = d->again ? NULL : json_get(args, "on_error");
  on_complete = decoder_behind(d, "on_complete", complete);
  on_error = decoder_behind(d, "on_error", error);
  if (!d->again) {
    d->set->on_complete = complete ? on_complete.set : NULL;
    d->set->on_error = error ? on_error.set : NULL;
  }
  return admit_elements(d, commands) && (!complete || admit_elements(&on_complete, complete)) &&
         (!error || admit_elements(&on_error, error)) && add_elements(d, commands) &&
         decode_isolation(d, json_get(args, "isolation"), &d->set->isolation) &&
         (!complete || add_elements(&on_complete, complete)) && (!error || add_elements(&on_error, error));
}
