/* create_user as a module: looks at the e-mail address in C, then takes the name and adds the user as one transaction.
 *
 * writ-module(3) tells of each function. There is no library here but writ's own: a module of yours may use what it
 * likes. */
#include <writ-module.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* From the manifest's config:. Each worker has one for each command that names the function. */
struct settings {
  char *blocked; /* a domain that nobody may have an address in; NULL: none */
};

static int open_sign_up(struct writ_call *call, void **state) {
  const char *config = writ_config(call, NULL), *blocked;
  struct settings *s = calloc(1, sizeof *s);

  if (!s) return writ_error(call, "NO_MEMORY", 500, "There is no memory.");
  blocked = writ_json_get(call, config, WRIT_TEXT, "blocked", NULL);
  if (blocked) {
    blocked = writ_json_text(call, blocked, WRIT_TEXT, NULL);
    if (!blocked) {
      free(s);
      return writ_error(call, "BAD_CONFIG", 500, "config: blocked: must be the name of a domain");
    }
    s->blocked = strdup(blocked); /* what writ gives lives until open returns */
  }
  *state = s;
  return WRIT_OK;
}

static void close_sign_up(void *state) {
  struct settings *s = state;

  free(s->blocked);
  free(s);
}

/* The domain of an address in small letters, which is how we keep it; NULL: that is no address. */
static char *domain_of(struct writ_call *call, const char *email) {
  const char *at = strchr(email, '@'), *dot = at ? strrchr(at, '.') : NULL;
  char *domain, *p;

  if (!at || at == email || strchr(at + 1, '@') || strpbrk(email, " \t\r\n")) return NULL;
  if (!dot || dot == at + 1 || !dot[1]) return NULL;
  domain = writ_alloc(call, strlen(at)); /* zeroed, and given back by itself */
  for (p = domain, at++; *at; p++, at++) *p = (char)tolower((unsigned char)*at);
  return domain;
}

/* "ada@example.org", from "ada@" and "example.org". */
static char *join(struct writ_call *call, const char *email, const char *domain) {
  size_t name = (size_t)(strchr(email, '@') - email) + 1;
  char *joined = writ_alloc(call, name + strlen(domain) + 1);

  memcpy(joined, email, name);
  strcpy(joined + name, domain);
  return joined;
}

/* The set, in the same words as that of a client. Texts of others are quoted, never pasted. */
static char *set_for(struct writ_call *call, const char *username_json, const char *email) {
  static const char form[] = "{\"commands\": [{\"command\": \"unique_username\", \"args\": {\"username\": %s}},"
                             " {\"command\": \"add_user\", \"args\": {\"username\": %s, \"email\": %s}}]}";
  const char *email_json = writ_json_quote(call, email, WRIT_TEXT);
  size_t room = sizeof form + 2 * strlen(username_json) + strlen(email_json);
  char *set = writ_alloc(call, room);

  snprintf(set, room, form, username_json, username_json, email_json);
  return set;
}

static int run_sign_up(struct writ_call *call, void *state) {
  const struct settings *s = state;
  const char *args = writ_args(call, NULL), *answer, *user;
  const char *username_json = writ_json_get(call, args, WRIT_TEXT, "username", NULL);
  const char *email_json = writ_json_get(call, args, WRIT_TEXT, "email", NULL);
  const char *email = email_json ? writ_json_text(call, email_json, WRIT_TEXT, NULL) : NULL;
  char *domain = email ? domain_of(call, email) : NULL;

  if (!username_json || !domain) return writ_error(call, "BAD_EMAIL", 422, "That is not an e-mail address.");
  if (s->blocked && strcmp(domain, s->blocked) == 0)
    return writ_error(call, "BLOCKED_DOMAIN", 422, "Addresses of that domain are not taken.");

  /* An error, USERNAME_TAKEN for one, is the client's answer as it is. */
  if (writ_call_set(call, set_for(call, username_json, join(call, email, domain)), WRIT_TEXT, &answer, NULL) != WRIT_OK)
    return WRIT_FAILED;
  user = writ_json_get(call, answer, WRIT_TEXT, "results.1.result", NULL);
  return writ_result(call, user ? user : "null", WRIT_TEXT);
}

static const struct writ_function functions[] = {
    {"sign_up", run_sign_up, open_sign_up, close_sign_up},
};

WRIT_MODULE("sign_up", functions)
