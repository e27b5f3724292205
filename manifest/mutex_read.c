/* Reads mutexes of a manifest: text in which $args.name or $args.name.path stands for a value, and $$ for a dollar. */
#include "manifest/mutex.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"
#include "manifest/manifest.h"
#include "manifest/manifest_reader.h"
#include "manifest/yaml.h"

#include <string.h>

static const char word_bytes[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

/* One name in the making. */
struct name {
  struct manifest_reader *r;
  const struct draft *draft;
  int line;
  struct mutex *out;
  struct mutex_part *parts;
  struct str *text; /* not yet a part */
};

static void add_part(struct name *n, struct mutex_part part) {
  arena_grow(n->r->mem, n->parts, n->out->nparts);
  n->parts[n->out->nparts++] = part;
}

static void end_text(struct name *n) {
  if (n->text->len) add_part(n, (struct mutex_part){.text = arena_strdup(n->r->mem, n->text->p)});
  str_clear(n->text);
}

static size_t find_argument(const struct command *c, const char *name) {
  size_t i = 0;
  while (i < c->nargs && strcmp(c->args[i].name, name) != 0) i++;
  return i;
}

/* The words behind "$args", each with its dot; a dot that no word follows is text. Gives what stands behind them. */
static const char *read_words(struct name *n, const char *at, const char ***words, size_t *nwords) {
  *words = NULL;
  *nwords = 0;
  while (*at == '.' && strspn(at + 1, word_bytes)) {
    size_t len = strspn(++at, word_bytes);
    arena_grow(n->r->mem, *words, *nwords);
    (*words)[(*nwords)++] = arena_strndup(n->r->mem, at, len);
    at += len;
  }
  return at;
}

/* NULL: a problem was told. */
static const char *read_argument(struct name *n, const char *at) {
  const struct command *c = n->draft->command;
  const char **words;
  size_t nwords, index;

  at = read_words(n, at, &words, &nwords);
  if (!nwords) {
    manifest_wrong(n->r, n->line, c->name, "mutex: %s: name an argument, as in $args.name; a literal dollar is written $$",
                   n->out->name);
    return NULL;
  }
  index = find_argument(c, words[0]);
  if (index == c->nargs) {
    if (n->draft->args_known)
      manifest_wrong(n->r, n->line, c->name, "mutex: %s: there is no argument %s", n->out->name, words[0]);
    return NULL;
  }
  end_text(n);
  add_part(n, (struct mutex_part){.argument = index, .path = words + 1, .npath = nwords - 1});
  return at;
}

static bool read_name(struct name *n) {
  static const char args[] = "$args";
  const char *at = n->out->name;

  while (at && *at) {
    if (at[0] != '$') {
      str_char(n->text, *at++);
    } else if (at[1] == '$') {
      str_char(n->text, '$');
      at += 2;
    } else if (strncmp(at, args, strlen(args)) == 0) {
      at = read_argument(n, at + strlen(args));
    } else {
      manifest_wrong(n->r, n->line, n->draft->command->name,
                     "mutex: %s: only arguments can stand in it, as in $args.name; a literal dollar is written $$",
                     n->out->name);
      at = NULL;
    }
  }
  end_text(n);
  n->out->parts = n->parts;
  return at != NULL;
}

static void read_one(struct manifest_reader *r, struct draft *d, const struct yaml *value, struct mutex *mutexes) {
  struct command *c = d->command;
  const char *text = manifest_text(r, c->name, "mutex", value);
  struct mutex *out = &mutexes[c->nmutexes];
  struct name n = {.r = r, .draft = d, .line = value->line, .out = out, .text = str_new(r->mem, 64)};

  if (!text) return;
  for (size_t i = 0; i < c->nmutexes; i++)
    if (strcmp(mutexes[i].name, text) == 0)
      manifest_wrong(r, value->line, c->name, "mutex: %s stands here twice; remove one", text);
  out->name = text;
  if (read_name(&n)) c->nmutexes++;
}

void mutex_read(struct manifest_reader *r, struct draft *d, const struct yaml *value) {
  bool is_list = value->json.kind == JSON_ARRAY;
  size_t n = is_list ? value->json.len : 1;
  struct mutex *mutexes = arena_array(r->mem, struct mutex, n + 1);

  if (!n) manifest_wrong(r, value->line, d->command->name, "mutex: is empty; give a name, as in [\"user:$args.id\"]");
  for (size_t i = 0; i < n; i++) read_one(r, d, is_list ? &value->nodes[i] : value, mutexes);
  d->command->mutexes = mutexes;
}
