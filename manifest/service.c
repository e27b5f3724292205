/* Reads what a manifest says of a service. */
#include "manifest/service.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/problems.h"
#include "manifest/config.h"
#include "manifest/manifest.h"
#include "manifest/manifest_reader.h"
#include "manifest/yaml.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TIMEOUT_MIN_MS = 1, TIMEOUT_MAX_MS = 3600000, SECRETS_MAX = 8 };

const char *const service_keys[] = {"url", "timeout_ms", "secrets", "config", NULL};

/* ---- the environment ---- */

/* A name as POSIX has them (Base Definitions, section 8.1), in either case. */
static bool is_variable(const char *name) {
  size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
  return n > 0 && name[n] == '\0' && !(name[0] >= '0' && name[0] <= '9');
}

/* Who only looks at the files need not have the secrets of who runs them. */
static void tell_unset(struct manifest_reader *r, const char *where, int line, const char *name) {
  if (r->config->environment_optional)
    problems_warn(r->problems, r->file, line, "%s: $env.%s: the environment has no %s here", where, name, name);
  else manifest_wrong(r, line, where, "$env.%s: the environment has no %s; set it for writd", name, name);
}

/* What a text stands for; NULL: nothing, and that was told. */
static const char *expand(struct manifest_reader *r, const char *where, const struct yaml *value) {
  static const char prefix[] = "$env.";
  const char *text = value->json.text, *name, *found;

  if (text[0] != '$') return text;
  if (text[1] == '$') return text + 1;
  name = text + strlen(prefix);
  if (strncmp(text, prefix, strlen(prefix)) != 0 || !is_variable(name)) {
    manifest_wrong(r, value->line, where, "%s: is no reference such as $env.NAME; a literal dollar is written $$", text);
    return NULL;
  }
  found = getenv(name);
  if (!found || !*found) {
    tell_unset(r, where, value->line, name);
    return NULL;
  }
  return found;
}

/* ---- config: ---- */

static bool expand_value(struct manifest_reader *r, const char *where, const struct yaml *value, struct json *out);

static bool expand_items(struct manifest_reader *r, const char *where, const struct yaml *value, struct json *out) {
  struct json *items = arena_array(r->mem, struct json, out->len ? out->len : 1);
  bool ok = true;

  for (size_t i = 0; i < out->len; i++) ok = expand_value(r, where, &value->nodes[i], &items[i]) && ok;
  out->items = items;
  return ok;
}

/* Recursion ends with the depth of the file, which yaml.c bounds. */
static bool expand_value(struct manifest_reader *r, const char *where, const struct yaml *value, struct json *out) {
  const char *text;

  *out = value->json;
  if (out->kind == JSON_ARRAY || out->kind == JSON_OBJECT) return expand_items(r, where, value, out);
  if (out->kind != JSON_STRING) return true;
  text = expand(r, where, value);
  if (!text) return false;
  out->text = arena_strdup(r->mem, text);
  out->len = strlen(text);
  return true;
}

const struct json *service_config(struct manifest_reader *r, const char *where, const struct yaml *value) {
  struct json *out = arena_new(r->mem, struct json);
  return expand_value(r, where, value, out) ? out : NULL;
}

/* ---- keys ---- */

static bool is_this_machine(const char *host) {
  size_t n = strcspn(host, ":/?#");

  if (strncmp(host, "127.", 4) == 0) return strspn(host, "0123456789.") == n;
  return strncmp(host, "[::1]", 5) == 0 || (n == strlen("localhost") && strncasecmp(host, "localhost", n) == 0);
}

/* A plain connection to another machine can be read, and answered, by whoever is between. */
static void warn_of_plain(struct manifest_reader *r, const char *where, int line, const struct http_endpoint *endpoint) {
  static const char scheme[] = "http://";

  if (endpoint->unix_socket || strncasecmp(endpoint->url, scheme, strlen(scheme)) != 0) return;
  if (is_this_machine(endpoint->url + strlen(scheme))) return;
  problems_warn(r->problems, r->file, line, "%s: url: goes to another machine without TLS: use https, or a tunnel", where);
}

static bool read_url(struct manifest_reader *r, const char *where, const struct yaml *value, struct service *out) {
  const char *text = manifest_text(r, where, "url", value), *why;

  if (text) text = expand(r, where, value);
  if (!text) return false;
  if (!http_endpoint_read(r->mem, text, &out->endpoint, &why)) {
    manifest_wrong(r, value->line, where, "url: %s", why);
    return false;
  }
  warn_of_plain(r, where, value->line, &out->endpoint);
  return true;
}

static bool read_timeout(struct manifest_reader *r, const char *where, const struct yaml *value, struct service *out) {
  return manifest_number(r, where, "timeout_ms", value, TIMEOUT_MIN_MS, TIMEOUT_MAX_MS, &out->timeout_ms);
}

/* A secret stands in the environment, not in a file that many read: written out it is refused. */
static bool read_secret(struct manifest_reader *r, const char *where, const struct yaml *value, struct secret *out) {
  const char *text = manifest_text(r, where, "secrets", value), *why;

  if (!text) return false;
  if (strncmp(text, "$env.", strlen("$env.")) != 0) {
    manifest_wrong(r, value->line, where, "secrets: must be references such as $env.NAME; a manifest keeps no secret");
    return false;
  }
  text = expand(r, where, value);
  if (!text) return false;
  if (secret_read(r->mem, text, out, &why)) return true;
  manifest_wrong(r, value->line, where, "secrets: %s: %s", value->json.text, why);
  return false;
}

static bool read_secrets(struct manifest_reader *r, const char *where, const struct yaml *value, struct service *out) {
  size_t n = value->json.len;
  struct secret *secrets;
  bool ok = true;

  if (value->json.kind != JSON_ARRAY || n == 0 || n > SECRETS_MAX) {
    manifest_wrong(r, value->line, where, "secrets: must be a list of 1 to %d references, the newest first: [$env.NAME]",
                   SECRETS_MAX);
    return false;
  }
  secrets = arena_array(r->mem, struct secret, n);
  for (size_t i = 0; i < n; i++) ok = read_secret(r, where, &value->nodes[i], &secrets[i]) && ok;
  out->secrets = secrets;
  out->nsecrets = ok ? n : 0;
  return ok;
}

static bool read_config(struct manifest_reader *r, const char *where, const struct yaml *value, struct service *out) {
  out->config = service_config(r, where, value);
  return out->config != NULL;
}

static const struct {
  const char *key;
  bool (*read)(struct manifest_reader *, const char *, const struct yaml *, struct service *);
} readers[] = {{"url", read_url}, {"timeout_ms", read_timeout}, {"secrets", read_secrets}, {"config", read_config}};
enum { NREADERS = sizeof readers / sizeof *readers };

bool service_read(struct manifest_reader *r, const char *where, const struct yaml *value, struct service *out) {
  bool ok = true;

  *out = (struct service){.timeout_ms = SERVICE_TIMEOUT_MS};
  if (value->json.kind == JSON_STRING) return read_url(r, where, value, out);
  if (!manifest_need_mapping(r, where, value, "{ url: ..., timeout_ms: ... }, or the URL alone")) return false;
  if (!yaml_get(value, "url")) {
    manifest_wrong(r, value->line, where, "url: is missing; say where the service is, as in http://127.0.0.1:9000/path");
    ok = false;
  }
  for (size_t i = 0; i < value->json.len; i++)
    for (size_t k = 0; k < NREADERS; k++)
      if (strcmp(value->json.keys[i], readers[k].key) == 0) ok = readers[k].read(r, where, &value->nodes[i], out) && ok;
  return ok;
}
