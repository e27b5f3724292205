/* Keys and fingerprints. */
#include "engine/idempotency.h"

#include "base/arena.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/str.h"
#include "engine/call_token.h"
#include "engine/engine_inside.h"

#include <stdlib.h>
#include <string.h>

/* Quotes and what they escape taken off; NULL: it is no sf-string. */
static const char *unquote(const void *mem, const char *text) {
  struct str *out = str_new(mem, 64);

  for (text++; *text && *text != '"'; text++) {
    if (*text == '\\' && *++text != '"' && *text != '\\') return NULL;
    str_char(out, *text);
  }
  return *text == '"' && !text[1] ? out->p : NULL;
}

static bool is_key(const char *text, char least) {
  size_t len = strlen(text);

  for (size_t i = 0; i < len; i++)
    if (text[i] < least || text[i] > '~') return false;
  return len >= 1 && len <= IDEMPOTENCY_KEY_BYTES;
}

const char *idempotency_read(const void *mem, const char *header, struct err *e) {
  bool quoted = header[0] == '"';
  const char *key = quoted ? unquote(mem, header) : header;

  if (key && is_key(key, quoted ? ' ' : '!')) return key;
  err_set(e, BAD_REQUEST, "Idempotency-Key takes 1 to %d visible ASCII characters, or such a string in quotes.",
          IDEMPOTENCY_KEY_BYTES);
  return NULL;
}

/* JSON with the members of each object in order of their names: a client may write them in another order when it sends its
 * request again. */

static int by_name(const void *a, const void *b) {
  return strcmp(**(const char *const *const *)a, **(const char *const *const *)b);
}

static void put_canonical(struct str *out, const struct json *value);

static void put_object(struct str *out, const struct json *value) {
  const char *const **order = arena_array(out, const char *const *, value->len + 1);

  for (size_t i = 0; i < value->len; i++) order[i] = &value->keys[i];
  qsort(order, value->len, sizeof *order, by_name);
  str_char(out, '{');
  for (size_t i = 0; i < value->len; i++) {
    if (i) str_char(out, ',');
    str_json(out, *order[i]);
    str_char(out, ':');
    put_canonical(out, &value->items[order[i] - value->keys]);
  }
  str_char(out, '}');
}

static void put_canonical(struct str *out, const struct json *value) {
  if (value->kind == JSON_OBJECT) {
    put_object(out, value);
  } else if (value->kind == JSON_ARRAY) {
    str_char(out, '[');
    for (size_t i = 0; i < value->len; i++) {
      if (i) str_char(out, ',');
      put_canonical(out, &value->items[i]);
    }
    str_char(out, ']');
  } else {
    json_write(out, value);
  }
}

/* Who may get the stored answer: role and user; where there is no user, the subject of the claims. Not the claims as a
 * whole: they change with each renewal of a token. */
static const char *who(const void *mem, const struct caller *caller) {
  const struct json *claims, *sub;
  struct err ignored;

  if (caller->user) return arena_printf(mem, "user %s", caller->user);
  err_init(&ignored, mem);
  if (!caller->claims || !json_read(mem, caller->claims, strlen(caller->claims), 512, &claims, &ignored)) return "";
  sub = claims->kind == JSON_OBJECT ? json_get(claims, "sub") : NULL;
  return sub && sub->kind == JSON_STRING ? arena_printf(mem, "sub %s", sub->text) : "";
}

/* The pieces are told apart by the NUL at the end of each. */
static void digest_texts(const char *const *texts, size_t n, unsigned char out[DIGEST_BYTES]) {
  struct digest_piece pieces[4];

  for (size_t i = 0; i < n; i++) pieces[i] = (struct digest_piece){texts[i], strlen(texts[i]) + 1};
  digest_sha256(pieces, n, out);
}

const char *idempotency_caller(const void *mem, const struct caller *caller) {
  const char *name = who(mem, caller);
  unsigned char id[DIGEST_BYTES];
  char hex[DIGEST_HEX];

  if (!*name) return NULL;
  digest_texts((const char *const[]){caller->role, name}, 2, id);
  digest_hex(id, hex);
  return arena_printf(mem, "\\x%s", hex);
}

const struct idempotency *idempotency_new(const void *mem, const struct caller *caller, const char *key,
                                          const struct command *command, const struct json *args) {
  struct idempotency *out = arena_new(mem, struct idempotency);
  struct str *text = str_new(out, 1024);
  unsigned char id[DIGEST_BYTES], fingerprint[DIGEST_BYTES];
  char hex[DIGEST_HEX];
  int32_t lock;

  put_canonical(text, args);
  digest_texts((const char *const[]){caller->role, who(out, caller), key}, 3, id);
  digest_texts((const char *const[]){command->name, text->p}, 2, fingerprint);
  memcpy(&lock, id, sizeof lock);
  digest_hex(id, hex);
  out->key = arena_strdup(out, key);
  out->id = arena_printf(out, "\\x%s", hex);
  out->lock = arena_printf(out, "%d", (int)lock);
  digest_hex(fingerprint, hex);
  out->fingerprint = arena_strdup(out, hex);
  return out;
}

const struct idempotency *idempotency_within(const void *mem, const struct call_token *token, const char *own,
                                             unsigned times, const struct command *command, const struct json *args) {
  const char *fingerprint, *key;

  if (!own && command->kind == COMMAND_EXECUTE_SET) return NULL;
  fingerprint = idempotency_new(mem, &token->caller, "", command, args)->fingerprint;
  if (times) fingerprint = arena_printf(mem, "%s %u", fingerprint, times);
  key = call_token_key(mem, token, own, fingerprint);
  return key ? idempotency_new(mem, &token->caller, key, command, args) : NULL;
}
