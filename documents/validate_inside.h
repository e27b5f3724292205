/* The inside of validation, for validate*.c alone.
 *
 * * validate.c numbers the operations and fragments; validate_fields.c walks each of them once, with types at hand,
 * judges what can be judged in place, and notes what the other rules need: the fields and spreads of each selection set,
 * the variables that are used. Those work on the notes, never on what fragments unfold to. */
#ifndef WRIT_DOCUMENTS_VALIDATE_INSIDE_H
#define WRIT_DOCUMENTS_VALIDATE_INSIDE_H

#include "documents/errors.h"
#include "documents/limits.h"
#include "documents/names.h"
#include "schema/schema.h"

/* A field of a selection set. */
struct entry {
  const struct graphql_selection *node;
  const struct gql_type *parent; /* NULL: not known */
  const struct gql_field *def;   /* NULL: not known */
  struct scope *sub;             /* NULL: no braces */
  const char *arguments;         /* in one form, for comparison; NULL: not made yet */
  size_t order;                  /* in the document */
  const struct entry *next;
};

struct spread {
  const struct graphql_selection *node;
  struct part *fragment; /* NULL: there is none of that name */
  const struct spread *next;
};

/* A selection set, with inline fragments in it: what is within the same braces, or in braces of an inline fragment there. */
struct scope {
  const struct entry *entries, *last_entry;
  const struct spread *spreads, *last_spread;
  size_t id;
  size_t stamp; /* of the walk that has seen it last */
};

/* A variable where it is used. */
struct usage {
  const char *name;
  struct graphql_pos pos;
  const struct gql_type *type; /* what is expected there; NULL: not known */
  bool has_default;            /* the place has a default value */
  const struct usage *next;
};

/* What a selection set asks for, fragments included; see limits.h. */
struct measure {
  unsigned depth, nodes, aliases, complexity; /* UINT_MAX: that or more */
  unsigned type_lists;                        /* lists of introspection within each other */
};

/* An operation or a fragment. */
struct part {
  const struct graphql_definition *def;
  struct scope *scope;
  const struct usage *usages;
  struct spread *spreads; /* all of them, at any depth; next is not used */
  size_t nspreads;
  const struct gql_type *type; /* the root type; the fragment's; NULL: not known */
  size_t stamp;
  bool visited, on_path, used; /* fragments: in the search for cycles; by an operation */
  size_t path_place;           /* on_path: where */
  struct measure measure;
};

struct validator {
  void *mem;
  const struct schema_view *view; /* NULL: all is seen */
  const struct schema *schema;
  const struct document_limits *limits; /* NULL: none */
  struct gql_errors *errors;
  struct part *parts; /* all operations and fragments, in the document's order */
  size_t nparts;
  struct names fragments; /* to struct part */
  struct part **ordered;  /* fragments, each behind those that it spreads, if there is no cycle */
  size_t nordered;
  bool cyclic;
  size_t nscopes, nentries, stamp;
  size_t work; /* steps of what is not plainly linear */
  bool exhausted;
};

/* An error by a rule. Always false. */
#define BROKEN(v, rule_name, at, ...) ((v)->errors->rule = (rule_name), gql_error_add((v)->errors, (at), __VA_ARGS__))

/* n steps more. False: they have become too many, which is an error then; the rule at work gives up. */
bool valid_works(struct validator *v, size_t n);
/* A named type that is there for the caller; NULL. */
const struct gql_type *valid_type(const struct validator *v, const char *name);
/* What is written, with its wrappings; NULL: its name is not known. */
const struct gql_type *valid_type_of(const struct validator *v, const struct graphql_type *written);
/* " Did you mean ...?" or "". names end in NULL. */
const char *valid_hint(const struct validator *v, const char *word, const char *const *names);
/* KnownTypeNames. */
void valid_name_type(struct validator *v, const char *name, struct graphql_pos at);

/* validate_fields.c */
void valid_walk(struct validator *v, struct part *part);

/* validate_arguments.c: of a field or a directive. what: for messages. */
struct argued {
  const struct gql_input *defs; /* NULL with known false */
  size_t ndefs;
  bool known;          /* the field or directive is */
  const char *where;   /* "field \"User.name\"", "directive \"@skip\"" */
  const char *missing; /* "Field \"name\"", "Directive \"@skip\"" */
  struct graphql_pos pos;
};
void valid_arguments(struct validator *v, struct part *part, const struct graphql_argument *given, const struct argued *of);
void valid_directives(struct validator *v, struct part *part, const struct graphql_directive *list, const char *location);

/* validate_values.c: a literal; type NULL: not known; part NULL: variables cannot stand there. */
void valid_value(struct validator *v, struct part *part, const struct graphql_value *value, const struct gql_type *type,
                 bool has_default);

/* validate_fragments.c */
void valid_fragment_spreads(struct validator *v, struct part *part); /* makes part->spreads */
void valid_fragment_names(struct validator *v);                      /* UniqueFragmentNames; before any walk */
void valid_fragment_cycles(struct validator *v);                     /* NoFragmentCycles; makes v->ordered */
void valid_fragment_uses(struct validator *v);                       /* NoUnusedFragments */
bool valid_fit(struct validator *v, const struct gql_type *fragment, const struct gql_type *parent);

/* validate_variables.c */
void valid_variables(struct validator *v, struct part *operation);     /* rules of their definitions */
void valid_variable_uses(struct validator *v, struct part *operation); /* rules of their uses */

/* validate_merge.c: OverlappingFieldsCanBeMerged */
void valid_merge(struct validator *v);

/* limits.c: false: an operation is beyond them. */
bool valid_limits(struct validator *v);

/* The fragments that an operation reaches, each once: *list of *n, in v->mem. False: too much work. */
bool valid_reach(struct validator *v, const struct part *operation, struct part ***list, size_t *n);

#endif
