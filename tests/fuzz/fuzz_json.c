/* Fuzz target: a JSON body. What is read must be written and read back the same, digit for digit. */
#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"
#include "tests/fuzz/demand.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEPTH = 32 };

static void demand_same(const struct json *a, const struct json *b) {
  size_t i;

  demand(a->kind == b->kind && a->len == b->len);
  if (a->kind == JSON_STRING || a->kind == JSON_NUMBER) {
    demand(strlen(a->text) == a->len && memcmp(a->text, b->text, a->len + 1) == 0);
  }
  if (a->kind != JSON_ARRAY && a->kind != JSON_OBJECT) return;
  for (i = 0; i < a->len; i++) {
    if (a->kind == JSON_OBJECT) {
      demand(strcmp(a->keys[i], b->keys[i]) == 0);
      demand(json_get(a, a->keys[i]) == &a->items[i]);
    }
    demand_same(&a->items[i], &b->items[i]);
  }
}

/* Without escapes, what is written is the text less the blanks between its tokens. */
static void demand_digits(const char *text, size_t len, const struct str *written) {
  bool quoted = false;
  size_t i, n = 0;

  if (memchr(text, '\\', len)) return;
  for (i = 0; i < len; i++) {
    if (text[i] == '"') quoted = !quoted;
    if (!quoted && memchr(" \t\r\n", text[i], 4)) continue;
    demand(n < written->len && written->p[n] == text[i]);
    n++;
  }
  demand(n == written->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  void *mem = arena_request(NULL);
  struct str *first = str_new(mem, size), *second = str_new(mem, size);
  const struct json *root, *again;
  struct err e;

  err_init(&e, mem);
  if (json_read(mem, (const char *)data, size, DEPTH, &root, &e)) {
    json_write(first, root);
    demand_digits((const char *)data, size, first);
    demand(json_read(mem, first->p, first->len, DEPTH, &again, &e));
    demand_same(root, again);
    json_write(second, again);
    demand(strcmp(first->p, second->p) == 0);
  } else {
    demand(e.code == ERR_BAD_JSON && e.message);
  }
  talloc_free(mem);
  return 0;
}
