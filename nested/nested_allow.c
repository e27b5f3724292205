/* Who may do what is nested: to make, change or delete a node within another's mutation takes what the command for it would.
 * To connect and disconnect takes no more than the mutation around it; what a composite itself nests takes no more than the
 * composite. */
#include "nested/nested_inside.h"

#include "commands/caller.h"

#include <string.h>

/* The command that an operation stands for; NULL: none. */
static const char *command_of(const struct model *m, enum nested_kind kind) {
  switch (kind) {
  case NESTED_CREATE:
  case NESTED_CONNECT_OR_CREATE: return m->mutation.create;
  case NESTED_UPDATE: return m->mutation.update;
  case NESTED_UPSERT: return m->mutation.upsert;
  case NESTED_DELETE: return m->mutation.delete;
  case NESTED_UPDATE_MANY: return m->mutation.update_many;
  case NESTED_DELETE_MANY: return m->mutation.delete_many;
  default: return NULL;
  }
}

static bool is_allowed(const struct planner *p, const char *name) {
  const struct command *c = name ? manifest_command(p->k->manifest, name) : NULL;

  for (size_t i = 0; c && i < c->nallow; i++)
    if (strcmp(c->allow[i], p->k->caller->role) == 0) return true;
  return !name;
}

/* A nested operation has no place for a version. */
static bool needs_version(struct planner *p, const struct nested_op *op, const char *name) {
  const struct command *c = name ? manifest_command(p->k->manifest, name) : NULL;

  if (!c || !c->version_required) return false;
  err_set(p->e, BAD_ARGUMENT,
          "\"%s\" needs the version that is to be changed, which what is nested cannot give: call it by "
          "itself.",
          name);
  p->e->path = op->path;
  return true;
}

static bool check_versions(struct planner *p, const struct nested_data *d) {
  for (size_t i = 0; d && i < d->nops; i++) {
    const struct nested_op *op = &d->ops[i];
    const struct model *m = field_there(op->field)->model;

    if (needs_version(p, op, command_of(m, op->kind)) ||
        (op->kind == NESTED_UPSERT && needs_version(p, op, m->mutation.update)))
      return false;
    if (!check_versions(p, op->update) || !check_versions(p, op->create)) return false;
  }
  return true;
}

static bool check_data(struct planner *p, const struct nested_data *d) {
  for (size_t i = 0; d && i < d->nops; i++) {
    const struct nested_op *op = &d->ops[i];
    const char *name = command_of(field_there(op->field)->model, op->kind);

    if (op->of_caller && !is_allowed(p, name)) {
      err_set(p->e, FORBIDDEN, "The role \"%s\" may not call \"%s\", which this would be.", p->k->caller->role, name);
      p->e->path = op->path;
      return false;
    }
    if (!check_data(p, op->update) || !check_data(p, op->create)) return false;
  }
  return true;
}

bool plan_allowed(struct planner *p, const struct nested_root *root) {
  if (!p->k->manifest) return true;
  if (!check_versions(p, root->update) || !check_versions(p, root->create)) return false;
  if (p->k->caller->inside) return true;
  return check_data(p, root->update) && check_data(p, root->create);
}
