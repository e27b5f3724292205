/* What must hold between types (October 2021, chapter 3, "type validation" of each section), once all of them are read. */
#include "schema/builder.h"

#include "base/arena.h"

#include <string.h>

static void check_members(struct schema_builder *b, const struct gql_type *t) {
  static const struct {
    const char *what, *way;
  } none[] = {
      [GQL_OBJECT] = {"fields", "{ name: String }"}, [GQL_INTERFACE] = {"fields", "{ name: String }"},
      [GQL_UNION] = {"members", "= One | Other"},    [GQL_ENUM] = {"values", "{ ONE OTHER }"},
      [GQL_INPUT] = {"fields", "{ name: String }"},
  };

  if (t->kind != GQL_SCALAR && t->nfields + t->ninputs + t->nvalues + (t->kind == GQL_UNION ? t->npossible : 0) == 0)
    builder_wrong(b, t->place, "%s has no %s; give it some, as in %s", t->name, none[t->kind].what, none[t->kind].way);
}

/* ---- interfaces (3.6.1, IsValidImplementation) ---- */

static bool implements(const struct gql_type *t, const struct gql_type *interface) {
  for (size_t i = 0; i < t->ninterfaces; i++)
    if (t->interfaces[i] == interface) return true;
  return false;
}

static void check_arguments(struct schema_builder *b, const struct gql_type *t, const struct gql_field *f,
                            const struct gql_type *interface, const struct gql_field *asked) {
  for (size_t i = 0; i < asked->nargs; i++) {
    const struct gql_input *arg = schema_input(f->args, f->nargs, asked->args[i].name);

    if (!arg)
      builder_wrong(b, f->place, "%s.%s has no argument %s, which %s asks for", t->name, f->name, asked->args[i].name,
                    interface->name);
    else if (arg->type != asked->args[i].type)
      builder_wrong(b, arg->place, "%s.%s: %s is %s here, but %s in %s", t->name, f->name, arg->name,
                    gql_type_text(b->mem, arg->type), gql_type_text(b->mem, asked->args[i].type), interface->name);
  }
  for (size_t i = 0; i < f->nargs; i++)
    if (gql_is_required(&f->args[i]) && !schema_input(asked->args, asked->nargs, f->args[i].name))
      builder_wrong(b, f->args[i].place, "%s.%s: %s is required, but %s does not have it; let it be null", t->name, f->name,
                    f->args[i].name, interface->name);
}

static void check_interface(struct schema_builder *b, const struct gql_type *t, const struct gql_type *interface) {
  if (t == interface) {
    builder_wrong(b, t->place, "%s implements itself", t->name);
    return;
  }
  for (size_t i = 0; i < interface->ninterfaces; i++)
    if (interface->interfaces[i] == t) {
      if (t->index < interface->index)
        builder_wrong(b, t->place, "%s and %s implement each other", t->name, interface->name);
    } else if (!implements(t, interface->interfaces[i]))
      builder_wrong(b, t->place, "%s implements %s, and so must implement %s, too", t->name, interface->name,
                    interface->interfaces[i]->name);
  for (size_t i = 0; i < interface->nfields; i++) {
    const struct gql_field *asked = &interface->fields[i], *f = schema_field(t, asked->name);

    if (!f) {
      builder_wrong(b, t->place, "%s has no field %s, which %s asks for", t->name, asked->name, interface->name);
      continue;
    }
    if (!gql_is_subtype(f->type, asked->type))
      builder_wrong(b, f->place, "%s.%s is %s, but %s asks for %s", t->name, f->name, gql_type_text(b->mem, f->type),
                    interface->name, gql_type_text(b->mem, asked->type));
    check_arguments(b, t, f, interface, asked);
  }
}

/* ---- inputs that need each other without end (3.10) ---- */

enum { WALK_NEW, WALK_OPEN, WALK_DONE };

/* Within itself by way of required fields that are no lists: no value could be written. path: for the message. The depth is
 * that of the types, which the number of tokens bounds; an explicit stack keeps ours small. */
struct walk {
  size_t type, field;
};

static const struct gql_type *next_required(const struct gql_type *t, size_t *field) {
  while (*field < t->ninputs) {
    const struct gql_type *type = t->inputs[(*field)++].type;

    if (type->kind == GQL_NON_NULL && type->of->kind == GQL_INPUT) return type->of;
  }
  return NULL;
}

static void check_circles(struct schema_builder *b, size_t first) {
  struct walk *stack = NULL;
  size_t depth = 0;

  if (b->drafts[first].state != WALK_NEW) return;
  arena_grow(b->mem, stack, depth);
  stack[depth++] = (struct walk){.type = first};
  b->drafts[first].state = WALK_OPEN;
  while (depth) {
    struct walk *top = &stack[depth - 1];
    const struct gql_type *t = b->drafts[top->type].type, *next = next_required(t, &top->field);

    if (!next) {
      b->drafts[top->type].state = WALK_DONE;
      depth--;
    } else if (b->drafts[next->index].state == WALK_OPEN) {
      builder_wrong(b, t->inputs[top->field - 1].place,
                    "%s.%s: %s needs itself, so no value of it could be written; let one field of the circle be null",
                    t->name, t->inputs[top->field - 1].name, next->name);
    } else if (b->drafts[next->index].state == WALK_NEW) {
      b->drafts[next->index].state = WALK_OPEN;
      arena_grow(b->mem, stack, depth);
      stack[depth++] = (struct walk){.type = next->index};
    }
  }
  talloc_free(stack);
}

/* ---- defaults ---- */

static void check_defaults(struct schema_builder *b, const char *where, const struct gql_input *list, size_t n) {
  const char *why;

  for (size_t i = 0; i < n; i++)
    if (list[i].default_value && !literal_fits(b->mem, list[i].default_value, list[i].type, &why))
      builder_wrong(b, list[i].place, "%s.%s: the default does not fit %s: %s", where, list[i].name,
                    gql_type_text(b->mem, list[i].type), why);
}

static void check_type(struct schema_builder *b, const struct gql_type *t) {
  check_members(b, t);
  for (size_t i = 0; i < t->ninterfaces; i++) check_interface(b, t, t->interfaces[i]);
  check_defaults(b, t->name, t->inputs, t->ninputs);
  for (size_t i = 0; i < t->nfields; i++)
    check_defaults(b, arena_printf(b->mem, "%s.%s", t->name, t->fields[i].name), t->fields[i].args, t->fields[i].nargs);
  if (t->kind == GQL_INPUT) check_circles(b, t->index);
}

static void check_roots(struct schema_builder *b) {
  const struct gql_type *roots[] = {b->out->query, b->out->mutation, b->out->subscription};

  if (!roots[0])
    builder_wrong(b, (struct gql_place){.file = b->sources[b->nsources - 1].file},
                  "there is no type Query; a schema must have one");
  for (size_t i = 1; i < 3; i++)
    for (size_t j = 0; j < i; j++)
      if (roots[i] && roots[i] == roots[j])
        builder_wrong(b, roots[i]->place, "%s is the type of two kinds of operation; give each its own", roots[i]->name);
}

void builder_check(struct schema_builder *b) {
  for (size_t i = 0; i < b->out->ntypes; i++) check_type(b, b->out->types[i]);
  for (size_t i = 0; i < b->out->ndirectives; i++)
    check_defaults(b, arena_printf(b->mem, "@%s", b->out->directives[i].name), b->out->directives[i].args,
                   b->out->directives[i].nargs);
  check_roots(b);
  builder_directives(b);
}
