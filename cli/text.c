/* What the tool prints for people, of texts that are anybody's. */
#include "cli/cli.h"

#include "base/json.h"
#include "base/str.h"

#include <stddef.h>

void cli_put_plain(struct str *out, const char *text) {
  for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
    bool c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f;

    str_char(out, *p < ' ' || *p == 0x7f || c1 ? '?' : (char)*p);
    if (c1) p++;
  }
}

void cli_put_json(struct str *out, const struct json *value) {
  struct str *text = str_new(out, 256);

  json_write(text, value);
  cli_put_plain(out, text->p);
}

const char *cli_text(const void *mem, const struct json *row, const char *key) {
  const struct json *value = json_get(row, key);
  struct str *out;

  if (!value || (value->kind != JSON_STRING && value->kind != JSON_NUMBER)) return "-";
  out = str_new(mem, value->len + 1);
  cli_put_plain(out, value->text);
  return out->p;
}
