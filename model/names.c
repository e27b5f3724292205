/* English plurals, and the names that the API makes of models and fields.
 *
 * The plural follows D. M. Conway's "An Algorithmic Approach to English Pluralization" (1998), as the inflector did that
 * Prisma 1 used, with its mistakes, so that its documents find their fields: Todo, todoes; Child, children; but Person, persons.
 * docs/datamodel.md has the table. */
#include "model/names.h"

#include "base/arena.h"
#include "base/problems.h"
#include "base/str.h"
#include "model/model.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- plurals ---- */

/* The first ending that fits decides. Longer ones stand before shorter ones. */
static const struct ending {
  const char *one, *many;
} endings[] = {
    /* the same word: it then gets es after s, else s, as a list needs a name of its own */
    {"fish", "fish"},
    {"sheep", "sheep"},
    {"deer", "deer"},
    {"series", "series"},
    {"species", "species"},
    {"news", "news"},
    {"measles", "measles"},
    {"chassis", "chassis"},
    {"pox", "pox"},
    {"ois", "ois"},
    {"itis", "itis"},
    /* irregular */
    {"child", "children"},
    {"human", "humans"},
    {"german", "germans"},
    {"roman", "romans"},
    {"man", "men"},
    {"mouse", "mice"},
    {"louse", "lice"},
    {"mongoose", "mongooses"},
    {"goose", "geese"},
    {"tooth", "teeth"},
    {"foot", "feet"},
    {"genus", "genera"},
    {"mythos", "mythoi"},
    {"ephemeris", "ephemerides"},
    {"quiz", "quizzes"},
    {"soliloquy", "soliloquies"},
    {"trilby", "trilbys"},
    /* Latin and Greek */
    {"codex", "codices"},
    {"murex", "murices"},
    {"silex", "silices"},
    {"radix", "radices"},
    {"helix", "helices"},
    {"criterion", "criteria"},
    {"phenomenon", "phenomena"},
    {"perihelion", "perihelia"},
    {"aphelion", "aphelia"},
    {"prolegomenon", "prolegomena"},
    {"noumenon", "noumena"},
    {"organon", "organa"},
    {"asyndeton", "asyndeta"},
    {"hyperbaton", "hyperbata"},
    {"alumnus", "alumni"},
    {"alveolus", "alveoli"},
    {"bacillus", "bacilli"},
    {"bronchus", "bronchi"},
    {"locus", "loci"},
    {"nucleus", "nuclei"},
    {"stimulus", "stimuli"},
    {"meniscus", "menisci"},
    {"thesaurus", "thesauri"},
    {"bacterium", "bacteria"},
    {"datum", "data"},
    {"erratum", "errata"},
    {"stratum", "strata"},
    {"agendum", "agenda"},
    {"desideratum", "desiderata"},
    {"ovum", "ova"},
    {"extremum", "extrema"},
    {"candelabrum", "candelabra"},
    {"ulum", "ula"},
    {"alga", "algae"},
    {"alumna", "alumnae"},
    {"vertebra", "vertebrae"},
    {"persona", "personae"},
    /* f and fe */
    {"alf", "alves"},
    {"elf", "elves"},
    {"olf", "olves"},
    {"deaf", "deafs"},
    {"eaf", "eaves"},
    {"arf", "arves"},
    {"life", "lives"},
    {"nife", "nives"},
    {"wife", "wives"},
    /* o: a few take only s */
    {"albino", "albinos"},
    {"alto", "altos"},
    {"archipelago", "archipelagos"},
    {"armadillo", "armadillos"},
    {"auto", "autos"},
    {"basso", "bassos"},
    {"canto", "cantos"},
    {"casino", "casinos"},
    {"commando", "commandos"},
    {"crescendo", "crescendos"},
    {"ditto", "dittos"},
    {"dynamo", "dynamos"},
    {"embryo", "embryos"},
    {"fiasco", "fiascos"},
    {"generalissimo", "generalissimos"},
    {"ghetto", "ghettos"},
    {"guano", "guanos"},
    {"inferno", "infernos"},
    {"jumbo", "jumbos"},
    {"lingo", "lingos"},
    {"lumbago", "lumbagos"},
    {"macro", "macros"},
    {"magneto", "magnetos"},
    {"manifesto", "manifestos"},
    {"medico", "medicos"},
    {"octavo", "octavos"},
    {"photo", "photos"},
    {"piano", "pianos"},
    {"pro", "pros"},
    {"quarto", "quartos"},
    {"rhino", "rhinos"},
    {"solo", "solos"},
    {"soprano", "sopranos"},
    {"stylo", "stylos"},
    {"tempo", "tempos"},
    {"virtuoso", "virtuosos"},
    {"zero", "zeros"},
    {"ao", "aos"},
    {"eo", "eos"},
    {"io", "ios"},
    {"oo", "oos"},
    {"uo", "uos"},
    /* the rest by sound */
    {"ay", "ays"},
    {"ey", "eys"},
    {"iy", "iys"},
    {"oy", "oys"},
    {"uy", "uys"},
    {"ss", "sses"},
    {"sis", "ses"},
    {"xis", "xes"},
    {"cis", "ces"},
    {"bus", "buses"},
    {"tus", "tuses"},
    {"us", "uses"},
    {"as", "ases"},
    {"ch", "ches"},
    {"sh", "shes"},
    {"x", "xes"},
    {"zz", "zzes"},
};

/* Endings that need a letter before them: y alone is a name, Y. */
static const struct ending late_endings[] = {{"y", "ies"}, {"o", "oes"}, {"z", "zes"}};

static bool ends_in(const char *word, const char *end) {
  size_t n = strlen(word), m = strlen(end);

  return n >= m && strcasecmp(word + n - m, end) == 0;
}

/* word without end, and another end in its place; the first letter of the end keeps its case. */
static const char *change_end(const void *mem, const char *word, const char *end, const char *other) {
  size_t stem = strlen(word) - strlen(end);
  char *changed = arena_printf(mem, "%.*s%s", (int)stem, word, other);

  if (isupper((unsigned char)word[stem]) && *other) changed[stem] = (char)toupper((unsigned char)*other);
  return changed;
}

const char *name_plural(const void *mem, const char *word) {
  const char *plural = NULL;
  size_t i;

  for (i = 0; !plural && i < sizeof endings / sizeof *endings; i++)
    if (ends_in(word, endings[i].one)) plural = change_end(mem, word, endings[i].one, endings[i].many);
  for (i = 0; !plural && i < sizeof late_endings / sizeof *late_endings; i++)
    if (word[1] && ends_in(word, late_endings[i].one) && islower((unsigned char)word[strlen(word) - 1]))
      plural = change_end(mem, word, late_endings[i].one, late_endings[i].many);
  if (plural && strcmp(plural, word) != 0) return plural;
  return arena_printf(mem, "%s%s", word, ends_in(word, "s") ? "es" : "s");
}

/* Back, for names of tables. The endings above go one way, from names that are known to be of one: formula is no plural, and
 * a table called people holds persons. */
static const struct ending single_endings[] = {
    {"children", "child"},
    {"people", "person"},
    {"men", "man"},
    {"mice", "mouse"},
    {"lice", "louse"},
    {"geese", "goose"},
    {"teeth", "tooth"},
    {"feet", "foot"},
    {"genera", "genus"},
    {"criteria", "criterion"},
    {"phenomena", "phenomenon"},
    {"alumni", "alumnus"},
    {"loci", "locus"},
    {"nuclei", "nucleus"},
    {"stimuli", "stimulus"},
    {"thesauri", "thesaurus"},
    {"bacteria", "bacterium"},
    {"data", "datum"},
    {"errata", "erratum"},
    {"strata", "stratum"},
    {"addenda", "addendum"},
    {"algae", "alga"},
    {"alumnae", "alumna"},
    {"vertebrae", "vertebra"},
    {"personae", "persona"},
    {"mythoi", "mythos"},
    {"lives", "life"},
    {"knives", "knife"},
    {"wives", "wife"},
    {"leaves", "leaf"},
    {"loaves", "loaf"},
    {"thieves", "thief"},
    {"halves", "half"},
    {"shelves", "shelf"},
    {"selves", "self"},
    {"calves", "calf"},
    {"elves", "elf"},
    {"wolves", "wolf"},
    {"scarves", "scarf"},
    {"wharves", "wharf"},
    {"news", "news"},
    {"series", "series"},
    {"species", "species"},
    {"movies", "movie"},
    {"cookies", "cookie"},
    {"caches", "cache"},
    {"databases", "database"},
    {"analyses", "analysis"},
    {"shoes", "shoe"},
    {"quizzes", "quiz"},
    {"indices", "index"},
    {"codices", "codex"},
    {"vertices", "vertex"},
    {"matrices", "matrix"},
    {"statuses", "status"},
    {"buses", "bus"},
    {"viruses", "virus"},
    {"bonuses", "bonus"},
    {"campuses", "campus"},
    {"aliases", "alias"},
    {"atlases", "atlas"},
    {"monies", "money"},
    {"ies", "y"},
    {"sses", "ss"},
    {"ches", "ch"},
    {"shes", "sh"},
    {"xes", "x"},
    {"zzes", "zz"},
    {"oes", "o"},
    {"ss", "ss"},
    {"us", "us"},
    {"is", "is"},
    {"s", ""},
};

const char *name_singular(const void *mem, const char *word) {
  for (size_t i = 0; i < sizeof single_endings / sizeof *single_endings; i++)
    if (ends_in(word, single_endings[i].one) && (word[1] || *single_endings[i].many)) /* s alone is a word */
      return change_end(mem, word, single_endings[i].one, single_endings[i].many);
  return arena_strdup(mem, word);
}

/* ---- names of the API ---- */

const char *name_lower_first(const void *mem, const char *name) {
  char *copy = arena_strdup(mem, name);

  copy[0] = (char)tolower((unsigned char)copy[0]);
  return copy;
}

const char *name_upper_first(const void *mem, const char *name) {
  char *copy = arena_strdup(mem, name);

  copy[0] = (char)toupper((unsigned char)copy[0]);
  return copy;
}

bool name_is_valid(const char *name) {
  if (!*name || isdigit((unsigned char)*name) || str_starts(name, "__")) return false;
  return name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0';
}

static bool is_in(const char *name, const char *const *list) {
  for (; *list; list++)
    if (strcmp(name, *list) == 0) return true;
  return false;
}

bool name_is_reserved_type(const char *name) {
  static const char *const reserved[] = {
      "ID",   "String", "Int",      "BigInt",       "Float",    "Decimal",      "Boolean", "DateTime",     "Json", "UUID",
      "Long", "Query",  "Mutation", "Subscription", "PageInfo", "BatchPayload", "Node",    "MutationType", NULL};

  return is_in(name, reserved);
}

bool name_is_reserved_field(const char *name) {
  static const char *const reserved[] = {"AND", "OR", "NOT", NULL};

  return is_in(name, reserved);
}

bool name_is_made_for(const char *name, const char *model) {
  static const char *const before_input[] = {"Create",      "Update",  "Upsert",       "Where",
                                             "ScalarWhere", "OrderBy", "Subscription", NULL};
  static const char *const whole[] = {"Connection", "Edge", "PreviousValues", "SubscriptionPayload", NULL};
  const char *rest = name + strlen(model);

  if (str_starts(name, "Aggregate")) return strcmp(name + strlen("Aggregate"), model) == 0;
  if (!str_starts(name, model)) return false;
  if (is_in(rest, whole)) return true;
  if (!ends_in(rest, "Input")) return false;
  for (const char *const *word = before_input; *word; word++)
    if (str_starts(rest, *word)) return true;
  return false;
}

bool name_is_filter_of(const char *name, const char *field) {
  static const char *const suffixes[] = {"_not",
                                         "_in",
                                         "_not_in",
                                         "_lt",
                                         "_lte",
                                         "_gt",
                                         "_gte",
                                         "_contains",
                                         "_not_contains",
                                         "_starts_with",
                                         "_not_starts_with",
                                         "_ends_with",
                                         "_not_ends_with",
                                         "_some",
                                         "_every",
                                         "_none",
                                         NULL};

  return str_starts(name, field) && is_in(name + strlen(field), suffixes);
}

const char *const name_changes[] = {"increment", "decrement", "multiply", "divide", NULL};

const char *name_change_of(const char *name, const char *field) {
  size_t len = strlen(field);

  if (strncmp(name, field, len) != 0 || name[len] != '_') return NULL;
  for (const char *const *change = name_changes; *change; change++)
    if (strcmp(name + len + 1, *change) == 0) return *change;
  return NULL;
}

void name_model(const void *mem, struct model *m) {
  m->plural = name_plural(mem, m->name);
  m->query.one = name_lower_first(mem, m->name);
  m->query.many = name_lower_first(mem, m->plural);
  m->query.connection = arena_printf(mem, "%sConnection", m->query.many);
  m->mutation.create = arena_printf(mem, "create%s", m->name);
  m->mutation.update = arena_printf(mem, "update%s", m->name);
  m->mutation.upsert = arena_printf(mem, "upsert%s", m->name);
  m->mutation.delete = arena_printf(mem, "delete%s", m->name);
  m->mutation.update_many = arena_printf(mem, "updateMany%s", m->plural);
  m->mutation.delete_many = arena_printf(mem, "deleteMany%s", m->plural);
}

/* ---- clashes ---- */

enum { API_NAMES = 9 };

struct api_name {
  const char *name;
  const struct model *model;
};

static void list_names(const struct model *m, struct api_name *out) {
  const char *names[API_NAMES] = {m->query.one,       m->query.many,           m->query.connection,
                                  m->mutation.create, m->mutation.update,      m->mutation.upsert,
                                  m->mutation.delete, m->mutation.update_many, m->mutation.delete_many};

  for (size_t i = 0; i < API_NAMES; i++) out[i] = (struct api_name){names[i], m};
}

static int by_name(const void *one, const void *other) {
  const struct api_name *a = one, *b = other;
  int order = strcmp(a->name, b->name);

  return order ? order : (a->model->line > b->model->line) - (a->model->line < b->model->line);
}

static void check_api(const struct datamodel *d, struct problems *p) {
  size_t n = d->nmodels * API_NAMES;
  struct api_name *names = arena_array(p->mem, struct api_name, n + 1);

  for (size_t i = 0; i < d->nmodels; i++) list_names(&d->models[i], names + i * API_NAMES);
  qsort(names, n, sizeof *names, by_name);
  for (size_t i = 1; i < n; i++) {
    const struct model *a = names[i - 1].model, *b = names[i].model;

    if (strcmp(names[i - 1].name, names[i].name) == 0)
      problems_add(
          p, d->file, b->line,
          "%s and %s (line %d) would both make %s in the API; give one of the types another name, its table keeps its own "
          "with @db(name:)",
          b->name, a->name, a->line, names[i].name);
  }
  talloc_free(names);
}

bool name_models_clash(const struct model *a, const struct model *b) {
  struct api_name of_a[API_NAMES], of_b[API_NAMES];

  list_names(a, of_a);
  list_names(b, of_b);
  for (size_t i = 0; i < API_NAMES; i++)
    for (size_t j = 0; j < API_NAMES; j++)
      if (strcmp(of_a[i].name, of_b[j].name) == 0) return true;
  return name_is_made_for(a->name, b->name) || name_is_made_for(b->name, a->name);
}

static void check_made(const struct datamodel *d, const char *name, int line, struct problems *p) {
  for (size_t i = 0; i < d->nmodels; i++)
    if (name_is_made_for(name, d->models[i].name))
      problems_add(p, d->file, line,
                   "%s is the name of a type that the API makes for %s (line %d); take another one, the "
                   "database keeps its own with @db(name:)",
                   name, d->models[i].name, d->models[i].line);
}

static void check_fields(const struct datamodel *d, const struct model *m, struct problems *p) {
  for (size_t i = 0; i < m->nfields; i++)
    for (size_t j = 0; j < m->nfields; j++) {
      const struct field *f = &m->fields[i], *other = &m->fields[j];
      bool change = field_is_number(other) && name_change_of(f->name, other->name);

      if (i != j && (change || name_is_filter_of(f->name, other->name)))
        problems_add(p, d->file, f->line,
                     "%s.%s is also a %s of the field %s; take another name, the column keeps its own with "
                     "@db(name:)",
                     m->name, f->name, change ? "change" : "filter", other->name);
    }
}

void names_check(const struct datamodel *d, struct problems *p) {
  check_api(d, p);
  for (size_t i = 0; i < d->nmodels; i++) {
    check_made(d, d->models[i].name, d->models[i].line, p);
    check_fields(d, &d->models[i], p);
  }
  for (size_t i = 0; i < d->nenums; i++) check_made(d, d->enums[i].name, d->enums[i].line, p);
}
