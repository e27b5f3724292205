/* Loads configuration and manifest, and looks up the user of the workers. */
#include "fcgi/setup.h"

#include "base/arena.h"
#include "base/problems.h"
#include "engine/module.h"
#include "manifest/config.h"
#include "manifest/manifest.h"
#include "schema/schema.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

/* Only root can become somebody else, and root's workers must. */
static void find_user(struct setup *s, struct problems *p) {
  const struct config *c = s->config;
  const struct passwd *pw;
  const struct group *gr;

  if (geteuid() != 0) {
    pw = c->user ? getpwnam(c->user) : NULL;
    if (c->user && (!pw || pw->pw_uid != geteuid()))
      problems_warn(p, c->file, 0, "user: %s is not heeded, as writd is not started as root", c->user);
    return;
  }
  if (!c->user) {
    problems_add(p, c->file, 0, "user: needed when writd is started as root, workers never run as root");
    return;
  }
  pw = getpwnam(c->user);
  if (!pw) {
    problems_add(p, c->file, 0, "user: there is no user %s", c->user);
    return;
  }
  s->user = c->user;
  s->uid = pw->pw_uid;
  s->gid = pw->pw_gid;
  if (c->group) {
    gr = getgrnam(c->group);
    if (!gr) problems_add(p, c->file, 0, "group: there is no group %s", c->group);
    else s->gid = gr->gr_gid;
  }
  if (s->uid == 0) problems_add(p, c->file, 0, "user: workers never run as root");
  if (s->gid == 0) problems_add(p, c->file, 0, "group: workers never run in root's group");
}

struct setup *setup_load(const void *mem, const char *config_file, struct problems *p) {
  struct setup *s = arena_new(mem, struct setup);

  s->config = config_load(s, config_file, p);
  if (s->config) {
    find_user(s, p);
    s->manifest = manifest_load(s, s->config, p);
    if (s->manifest) s->schema = schema_make(s, s->manifest, p);
  }
  if (p->errors == 0 && s->config && s->manifest) return s;
  talloc_free(s);
  return NULL;
}

bool setup_try_modules(const struct setup *s, struct problems *p) {
  size_t errors = p->errors;

  modules_try(s->manifest, s->user, s->uid, s->gid, p);
  return p->errors == errors;
}
