/* A small cache of statements, keyed by bytes. */
#include "compile/variants.h"

#include "base/arena.h"

#include <string.h>

enum { WAYS = 4, SETS = (STATEMENT_SLOTS - STATEMENT_FIXED) / WAYS };

/* A key may be the statement's own text, which a client can make long: PostgreSQL keeps a plan of each, many times its size. */
enum { LONG_KEY = 8 * 1024 };

struct variant {
  unsigned char *key; /* owns: the sql too */
  size_t len;
  char *sql;
  uint32_t gen;
  uint64_t used;
};

struct variants {
  struct variant items[SETS][WAYS];
  uint32_t last_gen;
  uint64_t clock;
};

struct variants *variants_new(const void *mem) {
  return arena_new(mem, struct variants);
}

void variants_clear(struct variants *v) {
  for (size_t i = 0; i < SETS; i++)
    for (size_t j = 0; j < WAYS; j++) {
      talloc_free(v->items[i][j].key);
      v->items[i][j] = (struct variant){0};
    }
}

/* FNV-1a's steps, but over words of 64 bits: a key may be a statement of some thousand bytes, looked up in each request. Long
 * ones have one set for all of them. */
static struct variant *set_of(struct variants *v, const unsigned char *key, size_t len) {
  uint64_t hash = 14695981039346656037u, word, last = 0;

  if (len > LONG_KEY) return v->items[0];
  for (; len >= sizeof word; key += sizeof word, len -= sizeof word) {
    memcpy(&word, key, sizeof word);
    hash = (hash ^ word) * 1099511628211u;
    hash ^= hash >> 32; /* what stands high in a word must reach the low bits */
  }
  memcpy(&last, key, len);
  hash = (hash ^ last) * 1099511628211u;
  return v->items[(hash ^ hash >> 32) % SETS];
}

static struct statement as_statement(const struct variants *v, const struct variant *item) {
  return (struct statement){
      .sql = item->sql, .gen = item->gen, .slot = (uint16_t)(STATEMENT_FIXED + (item - &v->items[0][0]))};
}

bool variants_find(struct variants *v, const void *key, size_t len, struct statement *out) {
  struct variant *set = set_of(v, key, len);

  for (size_t i = 0; i < WAYS; i++)
    if (set[i].key && set[i].len == len && memcmp(set[i].key, key, len) == 0) {
      set[i].used = ++v->clock;
      *out = as_statement(v, &set[i]);
      return true;
    }
  return false;
}

struct statement variants_add(struct variants *v, void *request_mem, const void *key, size_t len, const char *sql) {
  struct variant *set = set_of(v, key, len), *oldest = &set[0];

  for (size_t i = 1; i < WAYS; i++)
    if (set[i].used < oldest->used) oldest = &set[i];
  if (oldest->key) talloc_steal(request_mem, oldest->key);
  if (++v->last_gen == 0) v->last_gen = 1;
  *oldest = (struct variant){.key = arena_array(v, unsigned char, len), .len = len, .gen = v->last_gen, .used = ++v->clock};
  memcpy(oldest->key, key, len);
  oldest->sql = arena_strdup(oldest->key, sql);
  return as_statement(v, oldest);
}

struct statement variants_text(struct variants *v, void *request_mem, const char *sql) {
  size_t len = strlen(sql);
  struct statement s;

  if (variants_find(v, sql, len, &s)) return s;
  return variants_add(v, request_mem, sql, len, sql);
}
