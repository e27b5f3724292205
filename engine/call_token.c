/* A token is base64 of a JSON object, a dot, and the HMAC of the base64 in hex. Order: the signature is judged before
 * anything else of a token is looked at. */
#include "engine/call_token.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64 }; /* of its JSON: claims are an object that the border has let pass */

/* What is signed with the secret for this, and nothing else. */
static const char purpose[] = "writ-call 1\n";

static void sign(const unsigned char *secret, const char *text, size_t len, char hex[DIGEST_HEX]) {
  const struct digest_piece pieces[] = {{purpose, sizeof purpose - 1}, {text, len}};
  unsigned char digest[DIGEST_BYTES];

  digest_hmac(secret, CALL_SECRET_BYTES, pieces, 2, digest);
  digest_hex(digest, hex);
}

static void put_text(struct str *out, const char *name, const char *value) {
  if (!value) return;
  str_printf(out, ",\"%s\":", name);
  str_json(out, value);
}

char *call_token_write(const void *mem, const unsigned char secret[CALL_SECRET_BYTES], const struct call_token *t) {
  struct str *out = str_new(mem, 256);
  char hex[DIGEST_HEX];
  char *text;

  str_printf(out, "{\"deadline\":%lld,\"depth\":%u", (long long)t->deadline_ms, t->depth);
  put_text(out, "role", t->caller.role);
  put_text(out, "user", t->caller.user);
  put_text(out, "claims", t->caller.claims); /* as text: it comes back as it was, byte for byte */
  put_text(out, "mutation", t->mutation);
  put_text(out, "key", t->key);
  if (t->state) str_printf(out, ",\"state\":%u,\"attempt\":%u", t->state, t->attempt);
  str_add(out, ",\"held\":[");
  for (size_t i = 0; i < t->nheld; i++)
    str_printf(out, "%s[%zu,%d]", i ? "," : "", t->held[i].datasource, (int)t->held[i].lock);
  str_add(out, "]}");
  text = digest_base64(mem, out->p, out->len);
  sign(secret, text, strlen(text), hex);
  return arena_printf(mem, "%s.%s", text, hex);
}

/* NULL: not one of ours. Otherwise its JSON. */
static const char *verified(const void *mem, const unsigned char *secret, const char *text, size_t *len) {
  const char *dot = strrchr(text, '.');
  char hex[DIGEST_HEX];

  if (!dot || strlen(dot + 1) != DIGEST_HEX - 1) return NULL;
  sign(secret, text, (size_t)(dot - text), hex);
  if (!digest_equal(hex, dot + 1, DIGEST_HEX - 1)) return NULL;
  return (const char *)digest_unbase64(mem, arena_strndup(mem, text, (size_t)(dot - text)), len);
}

static const char *text_of(const struct json *object, const char *name) {
  const struct json *value = json_get(object, name);
  return value && value->kind == JSON_STRING ? value->text : NULL;
}

static long long number_of(const struct json *object, const char *name) {
  const struct json *value = json_get(object, name);
  return value && value->kind == JSON_NUMBER ? atoll(value->text) : 0;
}

/* [[datasource, lock], ...] */
static void read_held(const void *mem, const struct json *list, struct call_token *out) {
  size_t n = list && list->kind == JSON_ARRAY ? list->len : 0;
  struct mutex_held *held = arena_array(mem, struct mutex_held, n + 1);

  for (size_t i = 0; i < n; i++) {
    const struct json *pair = &list->items[i];
    if (pair->kind != JSON_ARRAY || pair->len != 2) continue;
    held[out->nheld++] = (struct mutex_held){.datasource = strtoul(pair->items[0].text, NULL, 10),
                                             .lock = (int32_t)strtol(pair->items[1].text, NULL, 10)};
  }
  out->held = held;
}

bool call_token_read(const void *mem, const unsigned char secret[CALL_SECRET_BYTES], const char *text,
                     struct call_token *out, const char **why) {
  const struct json *root;
  const char *payload;
  struct err e;
  size_t len = 0;

  *why = "it is not one of this server's, or was changed";
  payload = verified(mem, secret, text, &len);
  err_init(&e, mem);
  if (!payload || !json_read(mem, payload, len, DEPTH_MAX, &root, &e) || !text_of(root, "role")) return false;
  *out = (struct call_token){
      .caller = {.role = text_of(root, "role"),
                 .user = text_of(root, "user"),
                 .claims = text_of(root, "claims"),
                 .inside = true},
      .mutation = text_of(root, "mutation"),
      .deadline_ms = number_of(root, "deadline"),
      .depth = (unsigned)number_of(root, "depth"),
      .key = text_of(root, "key"),
      .state = (unsigned)number_of(root, "state"),
      .attempt = (unsigned)number_of(root, "attempt"),
  };
  read_held(mem, json_get(root, "held"), out);
  *why = "its deadline has passed";
  return clock_ms() < out->deadline_ms;
}

/* A digest, so that long keys stay within what a key may have; with the length of the first part, as "ab" and "c" are not
 * "a" and "bc". A client that works it out and uses it as a key of its own is in nobody's way but its own: keys are each
 * caller's own. */
char *call_token_key(const void *mem, const struct call_token *token, const char *own, const char *fingerprint) {
  const char *base = token->key ? token->key : token->mutation, *last = own ? own : fingerprint;
  char length[32], hex[DIGEST_HEX];
  struct digest_piece pieces[4];
  unsigned char digest[DIGEST_BYTES];

  if (!own && !token->key) return NULL;
  snprintf(length, sizeof length, "%zu ", strlen(base));
  pieces[0] = (struct digest_piece){length, strlen(length)};
  pieces[1] = (struct digest_piece){base, strlen(base)};
  pieces[2] = (struct digest_piece){own ? " key " : " set ", 5};
  pieces[3] = (struct digest_piece){last, strlen(last)};
  digest_sha256(pieces, 4, digest);
  digest_hex(digest, hex);
  return arena_printf(mem, "writ-call:%s", hex);
}
