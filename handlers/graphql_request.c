/* Reads GraphQL requests. */
#include "handlers/graphql_request.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"
#include "handlers/headers.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* ---- parameters of a URL ---- */

static int hex_value(char c) { return isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10; }

/* application/x-www-form-urlencoded. */
static bool decode(struct str *out, const char *text, size_t len, struct err *e) {
  for (size_t i = 0; i < len; i++) {
    if (text[i] != '%') {
      str_char(out, text[i] == '+' ? ' ' : text[i]);
      continue;
    }
    if (i + 2 >= len || !isxdigit((unsigned char)text[i + 1]) || !isxdigit((unsigned char)text[i + 2]))
      return err_set(e, BAD_REQUEST, "A %% in the URL needs two hex digits behind it.");
    str_char(out, (char)(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2])));
    i += 2;
  }
  if (memchr(out->p, 0, out->len) || !headers_is_utf8(out->p))
    return err_set(e, BAD_REQUEST, "The parameters of the URL must be UTF-8 without NUL.");
  return true;
}

/* *out NULL: not there. */
static bool parameter(const struct request *r, const char *name, struct str **out, struct err *e) {
  size_t len = strlen(name);

  *out = NULL;
  for (const char *p = r->query ? r->query : ""; *p; p += strspn(p, "&")) {
    size_t n = strcspn(p, "&");

    if (n > len && strncmp(p, name, len) == 0 && p[len] == '=') {
      if (*out) return err_set(e, BAD_REQUEST, "The parameter \"%s\" is given twice.", name);
      *out = str_new(r->mem, n);
      if (!decode(*out, p + len + 1, n - len - 1, e)) return false;
    }
    p += n;
  }
  return true;
}

/* A parameter that holds JSON. *out NULL: not there, or empty. */
static bool json_parameter(const struct request *r, const char *name, unsigned max_depth, const struct json **out,
                           struct err *e) {
  struct str *text;

  *out = NULL;
  if (!parameter(r, name, &text, e)) return false;
  if (!text || !text->len) return true;
  return json_read(r->mem, text->p, text->len, max_depth, out, e) ||
         err_set(e, BAD_REQUEST, "The parameter \"%s\" is no JSON. %s", name, e->message);
}

/* ---- what the members mean ---- */

static bool take_text(const struct json *value, const char *name, const char **out, size_t *len, struct err *e) {
  if (!value || value->kind == JSON_NULL) return true;
  if (value->kind != JSON_STRING)
    return err_set(e, BAD_REQUEST, "\"%s\" must be a string, not %s.", name, json_kind_name(value->kind));
  *out = value->text;
  *len = value->len;
  return true;
}

static bool take_object(const struct json *value, const char *name, const struct json **out, struct err *e) {
  if (!value || value->kind == JSON_NULL) return true;
  if (value->kind != JSON_OBJECT)
    return err_set(e, BAD_REQUEST, "\"%s\" must be an object, not %s.", name, json_kind_name(value->kind));
  *out = value;
  return true;
}

static bool take_hash(const char *hex, struct graphql_request *out, struct err *e) {
  if (strlen(hex) != DIGEST_HEX - 1 || strspn(hex, "0123456789abcdefABCDEF") != DIGEST_HEX - 1)
    return err_set(e, BAD_REQUEST, "\"sha256Hash\" takes the 64 hex digits of a SHA-256.");
  for (size_t i = 0; i < DIGEST_BYTES; i++)
    out->hash[i] = (unsigned char)(hex_value(hex[2 * i]) * 16 + hex_value(hex[2 * i + 1]));
  out->has_hash = true;
  return true;
}

/* Apollo's protocol: {"persistedQuery": {"version": 1, "sha256Hash": "..."}}. Other extensions are for others. */
static bool take_extensions(const struct json *extensions, struct graphql_request *out, struct err *e) {
  const struct json *given = extensions ? json_get(extensions, "persistedQuery") : NULL, *version, *hash;

  if (!given || given->kind == JSON_NULL) return true;
  version = given->kind == JSON_OBJECT ? json_get(given, "version") : NULL;
  hash = given->kind == JSON_OBJECT ? json_get(given, "sha256Hash") : NULL;
  if (!version || version->kind != JSON_NUMBER || strcmp(version->text, "1") != 0 || !hash || hash->kind != JSON_STRING)
    return err_set(e, BAD_REQUEST, "\"persistedQuery\" takes {\"version\": 1, \"sha256Hash\": \"...\"}.");
  return take_hash(hash->text, out, e);
}

static bool complete(struct graphql_request *out, struct err *e) {
  if (out->query && !out->query_len) out->query = NULL;
  if (out->query || out->has_hash) return true;
  return err_set(e, BAD_REQUEST, "The request has no \"query\", which is the GraphQL document.");
}

static bool read_url(struct request *r, unsigned max_depth, struct graphql_request *out, struct err *e) {
  struct str *query, *operation;
  const struct json *variables, *extensions;

  if (!parameter(r, "query", &query, e) || !parameter(r, "operationName", &operation, e) ||
      !json_parameter(r, "variables", max_depth, &variables, e) ||
      !json_parameter(r, "extensions", max_depth, &extensions, e))
    return false;
  if (query) {
    out->query = query->p;
    out->query_len = query->len;
  }
  if (operation && operation->len) out->operation = operation->p;
  return take_object(variables, "variables", &out->variables, e) && take_object(extensions, "extensions", &extensions, e) &&
         take_extensions(extensions, out, e) && complete(out, e);
}

static bool read_json(const struct json *body, struct graphql_request *out, struct err *e) {
  const struct json *extensions = NULL;
  size_t ignored;

  if (body->kind == JSON_ARRAY)
    return err_set(e, BAD_REQUEST,
                   "Several operations in one request (batching) are not supported: send one object. Fields of one "
                   "mutation are one transaction.");
  if (body->kind != JSON_OBJECT)
    return err_set(e, BAD_REQUEST, "The body must be an object with \"query\", not %s.", json_kind_name(body->kind));
  return take_text(json_get(body, "query"), "query", &out->query, &out->query_len, e) &&
         take_text(json_get(body, "operationName"), "operationName", &out->operation, &ignored, e) &&
         take_object(json_get(body, "variables"), "variables", &out->variables, e) &&
         take_object(json_get(body, "extensions"), "extensions", &extensions, e) && take_extensions(extensions, out, e) &&
         complete(out, e);
}

static bool refuse_type(const struct request *r, struct err *e) {
  bool upload = r->content_type && strncasecmp(r->content_type, "multipart/", 10) == 0;

  return err_set(e, UNSUPPORTED_MEDIA_TYPE, "%s",
                 upload ? "Files cannot be uploaded (multipart); the body must be application/json."
                        : "The body must be application/json, in UTF-8.");
}

bool graphql_request_read(struct request *r, unsigned max_depth, struct graphql_request *out, struct err *e) {
  const struct json *body;
  const char *text;
  size_t len;

  *out = (struct graphql_request){0};
  if (strcmp(r->method, "GET") == 0) return read_url(r, max_depth, out, e);
  if (!headers_is_json(r->content_type)) return refuse_type(r, e);
  if (!r->read_body(r, &text, &len, e)) return false;
  if (!len) return err_set(e, BAD_REQUEST, "The body is empty; it must be an object with \"query\".");
  return json_read(r->mem, text, len, max_depth, &body, e) && read_json(body, out, e);
}
