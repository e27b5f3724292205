/* What a selection is known by, so that the statement of one that was seen before need not be made again. */
#include "base/arena.h"
#include "base/str.h"
#include "query/select_inside.h"

#include <string.h>

/* Behind the head of the key, and ahead of each member of a tree: nothing else begins so. */
enum { NOTHING = '0', TEXT = 't', TREE = '{', END = '}', MEMBER = 'm', LEFT_OUT = 'x', FIELD = 'f', ALL = 'a' };

static void put_name(struct str *key, enum json_kind kind, const char *name) {
  str_char(key, kind == JSON_FALSE || kind == JSON_NULL ? LEFT_OUT : MEMBER);
  str_bytes(key, name, strlen(name) + 1); /* with its NUL: where it ends */
}

static bool put_tree(struct str *key, const struct json *tree);

/* {"select": ..., "field": ...} */
static bool put_member(struct str *key, const struct json *value) {
  const struct json *selection = NULL;

  for (size_t i = 0; value->kind == JSON_OBJECT && i < value->len; i++) {
    const struct json *item = &value->items[i];

    if (strcmp(value->keys[i], "select") == 0) {
      selection = item;
    } else if (strcmp(value->keys[i], "field") == 0 && item->kind == JSON_STRING) {
      str_char(key, FIELD);
      str_bytes(key, item->text, item->len);
      str_char(key, '\0');
    } else {
      return false;
    }
  }
  if (selection && selection->kind != JSON_NULL) return put_tree(key, selection);
  str_char(key, ALL);
  return true;
}

static bool put_tree(struct str *key, const struct json *tree) {
  if (tree->kind != JSON_OBJECT) return false;
  str_char(key, TREE);
  for (size_t i = 0; i < tree->len; i++) {
    const struct json *value = &tree->items[i];

    put_name(key, value->kind, tree->keys[i]);
    if (value->kind == JSON_ARRAY || value->kind == JSON_STRING || value->kind == JSON_NUMBER) return false;
    if (!put_member(key, value)) return false;
  }
  str_char(key, END);
  return true;
}

static bool put_selection(struct str *key, const struct expr *value) {
  if (expr_is_null(value)) {
    str_char(key, NOTHING);
    return true;
  }
  if (value->kind != EXPR_LITERAL) return false;
  if (value->literal->kind != JSON_STRING) return put_tree(key, value->literal);
  if (memchr(value->literal->text, '(', value->literal->len)) return false; /* arguments */
  str_char(key, TEXT);
  str_bytes(key, value->literal->text, value->literal->len);
  return true;
}

struct str *select_key(const struct compiler *k, const struct node *node, const struct expr *value) {
  const uint32_t head[] = {KEY_ANSWER, (uint32_t)node->command->id, k->numbers_as_text, node->slot != 0};
  struct str *key = str_new(k->mem, 256);

  str_bytes(key, (const char *)head, sizeof head);
  return put_selection(key, value) ? key : NULL;
}
