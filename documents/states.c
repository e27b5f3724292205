#include "documents/states.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/uuid.h"
#include "documents/coerce.h"
#include "documents/compile.h"
#include "schema/schema.h"

#include <string.h>

/* *out NULL: not given, or null. */
static bool read_id(void *mem, const struct operation_call *call, const struct graphql_directive *d, const char **out,
                    struct gql_errors *errors) {
  const struct gql_directive *def = schema_directive(call->document->schema, d->name);
  const struct graphql_value *given = d->arguments ? d->arguments->value : NULL;
  size_t before = errors->n;
  const struct json *id =
      coerce_argument(mem, call->document->schema, &def->args[0], given, d->pos, call->variables, errors);
  unsigned char bytes[UUID_BYTES];
  char *text;

  *out = NULL;
  if (errors->n > before) return false;
  if (!id || id->kind == JSON_NULL) return true;
  text = arena_array(mem, char, 37);
  if (uuid_read(id->text, bytes)) uuid_write(bytes, text); /* as its type says it is */
  *out = text;
  return true;
}

static bool read_state(void *mem, const struct operation_call *call, const struct wanted *w, struct root_state *out,
                       struct gql_errors *errors) {
  const struct graphql_directive *d = w->state;

  out->wanted = d || w->field->has_state;
  if (!d) return true;
  out->asked = true;
  out->pos = d->pos;
  if (!w->state_again) return read_id(mem, call, d, &out->mutation, errors);
  gql_error_add(errors, d->pos, "\"%s\" has \"@state\" twice: once is enough for all that is asked of the field.", w->key);
  return gql_error_also(errors, w->state_again->pos);
}

bool states_read(void *mem, struct operation_call *call, struct gql_errors *errors) {
  bool ok = true;

  call->states = arena_array(mem, struct root_state, call->ncommands + 1);
  if (call->operation->definition->operation != GRAPHQL_MUTATION) return true;
  for (size_t i = 0; i < call->ncommands; i++)
    ok = read_state(mem, call, &call->commands[i]->wanted, &call->states[i], errors) && ok;
  return ok;
}

bool states_differ(const struct operation_call *call, const char *taken, struct gql_errors *errors) {
  const struct root_state *s = call->states;

  for (size_t i = 0; i < call->ncommands; i++) {
    if (!s[i].mutation) continue;
    if (taken && strcmp(s[i].mutation, taken) == 0)
      return gql_error_add(errors, s[i].pos, "The state %s is that of the operation: each takes a UUID of its own.", taken);
    for (size_t j = 0; j < i; j++) {
      if (!s[j].mutation || strcmp(s[i].mutation, s[j].mutation) != 0) continue;
      gql_error_add(errors, s[j].pos, "Two fields have the state %s: each takes a UUID of its own.", s[j].mutation);
      return gql_error_also(errors, s[i].pos);
    }
  }
  return true;
}
