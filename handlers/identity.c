/* WRIT_ROLE, WRIT_USER and WRIT_CLAIMS become a caller. */
#include "handlers/identity.h"

#include "base/json.h"
#include "base/log.h"
#include "handlers/headers.h"

#include <string.h>

/* A parameter that the web server made and that cannot be used: 400, as what it is made of (a name in a certificate, a
 * user of a password file) is the caller's. The operator is told too. */
static bool refuse(const struct request *r, const char *request_id, const char *parameter, const char *reason,
                   struct err *e) {
  log_line(LOG_WARN, "identity", "id=%s parameter=%s reason=%s", request_id, parameter, log_quoted(r->mem, reason));
  return err_set(e, BAD_REQUEST, "The web server passed %s that cannot be used: %s", parameter, reason);
}

static bool check_claims(const struct request *r, const char *request_id, unsigned max_depth, struct err *e) {
  const struct json *root;
  struct err why;

  err_init(&why, r->mem);
  if (!json_read(r->mem, r->claims, strlen(r->claims), max_depth, &root, &why))
    return refuse(r, request_id, "WRIT_CLAIMS", why.message, e);
  if (root->kind != JSON_OBJECT) return refuse(r, request_id, "WRIT_CLAIMS", "It must be a JSON object.", e);
  return true;
}

static bool is_given(const char *s) { return s && s[0]; }

bool identity_read(const struct request *r, const char *request_id, unsigned max_depth, struct caller *caller,
                   struct err *e) {
  static const char not_text[] = "It must be UTF-8 without control characters.";

  if (r->identity_repeated) {
    err_set(e, INTERNAL, "The web server is not configured as it should be.");
    e->log_detail =
        "WRIT_ROLE, WRIT_USER, WRIT_CLAIMS, WRIT_CALL or WRIT_PREFIX came more than once: look for two fastcgi_param lines";
    return false;
  }
  if (is_given(r->role) && !headers_is_text(r->role)) return refuse(r, request_id, "WRIT_ROLE", not_text, e);
  if (is_given(r->user) && !headers_is_text(r->user)) return refuse(r, request_id, "WRIT_USER", not_text, e);
  if (is_given(r->claims) && !check_claims(r, request_id, max_depth, e)) return false;
  *caller = (struct caller){
      .role = is_given(r->role) ? r->role : "anonymous",
      .user = is_given(r->user) ? r->user : NULL,
      .claims = is_given(r->claims) ? r->claims : NULL,
      .inside = r->inside,
  };
  return true;
}
