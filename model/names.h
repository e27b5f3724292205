/* Names that are made of names: plurals, fields of the API, and which ones cannot be given as they would clash. */
#ifndef WRIT_MODEL_NAMES_H
#define WRIT_MODEL_NAMES_H

#include <stdbool.h>
#include <stddef.h>

struct datamodel;
struct model;
struct problems;

/* English, of one word or of the last one in CamelCase: Child, Children; never the word itself. And back, as well as that
 * can be told. */
const char *name_plural(const void *mem, const char *word);
const char *name_singular(const void *mem, const char *word);

/* "userCity" of "UserCity"; "UserCity" of "userCity". ASCII. */
const char *name_lower_first(const void *mem, const char *name);
const char *name_upper_first(const void *mem, const char *name);

/* A GraphQL name (letters, digits, _; no digit first) that does not begin with two underscores. */
bool name_is_valid(const char *name);
/* Is it a type of the API that no model or enum can be called by (Query, PageInfo, String)? */
bool name_is_reserved_type(const char *name);
/* AND, OR, NOT: members of every filter. */
bool name_is_reserved_field(const char *name);
/* Is name a type that the API makes for a model of the name model, as in UserCreateInput? */
bool name_is_made_for(const char *name, const char *model);
/* Is name a filter that the API makes for the field, as in name_not? */
bool name_is_filter_of(const char *name, const char *field);

/* What the API can do to a number besides setting it, NULL behind the last; and the one that name is for the field, as
 * age_increment is; NULL: it is none. */
extern const char *const name_changes[];
const char *name_change_of(const char *name, const char *field);

/* m->plural, m->query and m->mutation of its name. */
void name_model(const void *mem, struct model *m);
/* Would the API make one name of two models? Both have been through name_model. */
bool name_models_clash(const struct model *a, const struct model *b);
/* All clashes between what is made of the models' names, the enums' and the fields'. */
void names_check(const struct datamodel *d, struct problems *p);

#endif
