/* POST /command/NAME. Decodes a request into a command set, in the order in which a request is judged: the border,
 * media type and size, JSON, names and arguments. Nothing runs before all of that has passed. */
#include "handlers/command.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "base/uuid.h"
#include "commands/tree.h"
#include "engine/call_token.h"
#include "engine/idempotency.h"
#include "handlers/answer.h"
#include "handlers/background.h"
#include "handlers/headers.h"
#include "handlers/identity.h"
#include "manifest/config.h"
#include "manifest/manifest.h"
#include "mutations/keeper.h"
#include "mutations/mutation.h"

#include <string.h>

/* What a manifest allows in a name: anything else cannot be a command, and need not be quoted in answers and logs. */
static bool is_name(const char *s) {
  size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
  return n >= 1 && n <= 63 && !s[n];
}

bool command_find(struct call *call, struct err *e) {
  const struct caller nobody = {.role = "anonymous", .inside = call->request->inside};
  struct err verdict;

  if (!is_name(call->name)) return err_set(e, UNKNOWN_COMMAND, "There is no command of that name.");
  call->label = call->name;
  err_init(&verdict, call->request->mem);
  /* Only whether it is there for this listener: who calls is judged behind the method. */
  if (!set_admit(engine_manifest(call->site->engine), call->name, &nobody, &verdict) &&
      verdict.code == ERR_UNKNOWN_COMMAND) {
    *e = verdict;
    return false;
  }
  return true;
}

static bool is_given(const char *s) { return s && s[0]; }

/* ---- the border ---- */

/* A handler's own call: it is made for the caller of that handler. */
static bool take_token(struct call *call, struct err *e) {
  struct call_token *token = arena_new(call->request->mem, struct call_token);

  if (!engine_token(call->site->engine, call->request->mem, call->request->call_token, token, e)) return false;
  call->token = token;
  call->caller = token->caller;
  return true;
}

/* Order: a token says who calls, so what nginx says of that does not count. On the border it is not even looked at: a
 * client could have brought it, were nginx so configured. */
bool command_identify(struct call *call, struct err *e) {
  const struct request *r = call->request;

  if (!identity_read(r, call->request_id, (unsigned)engine_config(call->site->engine)->max_depth, &call->caller, e))
    return false;
  return !r->inside || !is_given(r->call_token) || take_token(call, e);
}

/* ---- header fields ---- */

/* Mutation-Id is the UUID by which the caller wants to follow what it asks for. */
bool command_check_headers(const struct request *r, struct invocation *invocation, struct err *e) {
  unsigned char bytes[UUID_BYTES];
  char *text;

  if (r->idempotency_key_repeated) return err_set(e, BAD_REQUEST, "Idempotency-Key is given more than once.");
  if (!r->mutation_id) return true;
  if (!uuid_read(r->mutation_id, bytes)) return err_set(e, BAD_REQUEST, "Mutation-Id takes one UUID.");
  if (invocation->dry_run) return err_set(e, BAD_REQUEST, "A dry run leaves nothing behind, so it takes no Mutation-Id.");
  text = arena_array(r->mem, char, 37);
  uuid_write(bytes, text);
  invocation->mutation = text;
  return true;
}

static bool has_content(const struct request *r) {
  return is_given(r->content_length) && r->content_length[strspn(r->content_length, "0")];
}

static bool check_media(const struct request *r, struct err *e) {
  if (!headers_accept_json(r->accept)) return err_set(e, NOT_ACCEPTABLE, "Answers are application/json.");
  /* A wrong type is refused with an empty body too: a form of a stranger's page can send one, with the user's cookies.
   */
  if (is_given(r->content_type) ? !headers_is_json(r->content_type) : has_content(r))
    return err_set(e, UNSUPPORTED_MEDIA_TYPE, "The body must be application/json, in UTF-8.");
  return true;
}

/* ---- body ---- */

/* The arguments object. An empty body is {}. */
static bool read_arguments(struct call *call, const struct json **args, struct err *e) {
  static const struct json nothing = {.kind = JSON_OBJECT};
  struct request *r = call->request;
  const char *body;
  size_t len;

  if (!r->read_body(r, &body, &len, e)) return false;
  if (len == 0) {
    *args = &nothing;
    return true;
  }
  if (!is_given(r->content_type)) return err_set(e, UNSUPPORTED_MEDIA_TYPE, "The body must be application/json, in UTF-8.");
  if (!json_read(r->mem, body, len, (unsigned)engine_config(call->site->engine)->max_depth, args, e)) return false;
  if ((*args)->kind != JSON_OBJECT)
    return err_set(e, BAD_REQUEST, "The body must be a JSON object of arguments, not %s.", json_kind_name((*args)->kind));
  return true;
}

/* ---- If-Match ---- */

/* The opaque part of one strong entity tag (RFC 9110 section 8.8.3), which is the version as text; NULL: it is none. */
static const char *version_of_tag(void *mem, const char *tag) {
  size_t len = strlen(tag);

  if (len < 2 || tag[0] != '"' || tag[len - 1] != '"' || memchr(tag + 1, '"', len - 2) || !headers_is_text(tag)) return NULL;
  return arena_strndup(mem, tag + 1, len - 2);
}

/* A version in the header is the argument of that name. */
static bool take_if_match(struct call *call, const struct json **args, struct err *e) {
  const char *tag = call->request->if_match, *version;
  void *mem = call->request->mem;
  const struct json *given = *args;
  struct json *more, *items;
  const char **keys;

  if (!tag) return true;
  if (!call->command->nbefore || call->command->before[0]->kind != COMMAND_VERSION)
    return err_set(e, BAD_REQUEST, "\"%s\" has no version that If-Match could be compared with.", call->name);
  version = version_of_tag(mem, tag);
  if (!version) return err_set(e, BAD_REQUEST, "If-Match takes one version in quotes, such as \"5\".");
  if (json_get(given, "version"))
    return err_set(e, BAD_REQUEST, "The version is given twice, in If-Match and in the arguments.");
  more = arena_new(mem, struct json);
  items = arena_array(mem, struct json, given->len + 1);
  keys = arena_array(mem, const char *, given->len + 1);
  for (size_t i = 0; i < given->len; i++) {
    items[i] = given->items[i];
    keys[i] = given->keys[i];
  }
  items[given->len] = (struct json){.kind = JSON_STRING, .text = version, .len = strlen(version)};
  keys[given->len] = "version";
  *more = (struct json){.kind = JSON_OBJECT, .len = given->len + 1, .items = items, .keys = keys};
  *args = more;
  return true;
}

/* ---- all of it ---- */

/* Not for a dry run, which leaves nothing behind that could be repeated. */
bool command_read_key(struct call *call, struct invocation *invocation, const struct json *args, struct err *e) {
  const struct request *r = call->request;
  const char *key = NULL;

  if (invocation->dry_run) return true;
  if (r->idempotency_key && !(key = idempotency_read(r->mem, r->idempotency_key, e))) return false;
  if (call->token) invocation->key = idempotency_within(r->mem, call->token, key, 0, call->command, args);
  else if (key) invocation->key = idempotency_new(r->mem, &call->caller, key, call->command, args);
  return true;
}

struct invocation command_invocation(const struct call *call) {
  const struct request *r = call->request;
  const struct call_token *token = call->token;
  char trace[33];
  struct invocation invocation = {
      .caller = &call->caller,
      .request_id = call->request_id,
      .traceparent = headers_trace_id(r->traceparent, trace) ? r->traceparent : NULL,
      .dry_run = headers_prefer(r->prefer, "tx", "rollback"),
      .deadline_ms = r->received_us / 1000 + engine_config(call->site->engine)->timeout_ms,
      .caller_fd = r->caller_fd,
  };

  if (!token) return invocation;
  invocation.token = token;
  invocation.held = token->held;
  invocation.nheld = token->nheld;
  if (token->deadline_ms < invocation.deadline_ms) invocation.deadline_ms = token->deadline_ms;
  return invocation;
}

/* This request for states of its own; for a mutation that it is part of it only passes on events. */
struct watch *command_watch(struct call *call, const struct invocation *invocation, const struct command_set *set) {
  struct engine *engine = call->site->engine;
  const struct call_token *token = call->token;
  bool within = token && token->state && token->mutation && token->state <= engine_config(engine)->ndatasources;
  size_t datasource = set->nentries ? set->entries[0].datasource : 0;
  void *mem = call->request->mem;

  if (invocation->dry_run) return NULL;
  if (invocation->mutation || set->has_states) {
    struct keeping what = {.mutation = invocation->mutation, .drawn = invocation->drawn};

    if (within && token->state - 1 == datasource) what.within = token->mutation;
    return keeper_new(engine, mem, &call->caller, set, &what, datasource);
  }
  return within ? keeper_part(engine, mem, NULL, token->mutation, token->state - 1, token->attempt) : NULL;
}

static bool decode(struct call *call, struct invocation *invocation, struct command_set **set, struct err *e) {
  const struct engine *engine = call->site->engine;
  const struct json *args;

  call->command = set_admit(engine_manifest(engine), call->name, &call->caller, e);
  if (!call->command || !command_check_headers(call->request, invocation, e) || !check_media(call->request, e)) return false;
  if (!read_arguments(call, &args, e) || !take_if_match(call, &args, e) || !command_read_key(call, invocation, args, e))
    return false;
  *set = set_decode(call->request->mem, engine_manifest(engine), call->command, args, &call->caller, e);
  return *set != NULL;
}

/* What is followed as a whole and as a part must be two mutations. */
static bool check_states(const struct command_set *set, const struct invocation *invocation, struct err *e) {
  for (size_t i = 0; i < set->nentries; i++)
    if (set->entries[i].mutation && invocation->mutation && strcmp(set->entries[i].mutation, invocation->mutation) == 0)
      return err_set(e, BAD_REQUEST, "The Mutation-Id is the mutation of a command, too: each takes a UUID of its own.");
  return true;
}

bool command_execute(struct call *call, struct command_set *set, struct invocation *invocation, struct err *e) {
  struct engine *engine = call->site->engine;
  struct request *r = call->request;

  if (!check_states(set, invocation, e)) return false;
  if (background_is_asked(call, set, invocation)) return background_accept(call, set, invocation, e);
  if (mutation_is_durable(set, invocation)) return background_run(call, set, invocation, e);
  invocation->watch = command_watch(call, invocation, set);
  if (!engine_run(engine, r->mem, set, invocation, call->answer->body, &call->report, e)) return false;
  if (!call->report.accepted) return true;
  return background_repeat(call, set->entries[0].datasource, call->report.accepted, e);
}

void command_answer_headers(struct call *call, const struct invocation *invocation) {
  if (call->report.after_pending) answer_header(call->answer, "Writ-After", "pending");
  if (call->report.replayed) answer_header(call->answer, "Idempotent-Replay", "true");
  if (invocation->dry_run) answer_header(call->answer, "Preference-Applied", "tx=rollback");
}

bool command_run(struct call *call, struct err *e) {
  struct command_set *set;
  struct invocation invocation;

  if (!command_identify(call, e)) return false;
  invocation = command_invocation(call);
  if (!decode(call, &invocation, &set, e)) return false;
  call->label = set_label(set);
  if (!command_execute(call, set, &invocation, e)) return false;
  command_answer_headers(call, &invocation);
  return true;
}
