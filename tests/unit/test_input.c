/* Values of models' fields: compile/input.c against the table in docs/queries.md, "Values in the request". */
#include "base/arena.h"
#include "base/json.h"
#include "compile/input.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct enum_value values[] = {{.name = "RED", .label = "RED"}, {.name = "GREEN", .label = "dark green"}};
static const struct enumeration colour = {.name = "Colour", .values = values, .nvalues = 2};

static const struct input_case {
  enum scalar scalar;
  const char *json;
  const char *text; /* NULL: refused */
} cases[] = {
    {SCALAR_ID, "\"x\"", "x"},
    {SCALAR_ID, "12", "12"},
    {SCALAR_ID, "-1", "-1"},
    {SCALAR_ID, "1.5", NULL},
    {SCALAR_ID, "1e3", NULL},
    {SCALAR_ID, "true", NULL},
    {SCALAR_ID, "[]", NULL},
    {SCALAR_STRING, "\"\"", ""},
    {SCALAR_STRING, "1", NULL},
    {SCALAR_STRING, "{}", NULL},
    {SCALAR_INT, "2147483647", "2147483647"},
    {SCALAR_INT, "-2147483648", "-2147483648"},
    {SCALAR_INT, "2147483648", NULL},
    {SCALAR_INT, "-2147483649", NULL},
    {SCALAR_INT, "99999999999999999999", NULL},
    {SCALAR_INT, "-0", "-0"},
    {SCALAR_INT, "1.0", NULL},
    {SCALAR_INT, "\"1\"", NULL},
    {SCALAR_BIGINT, "9223372036854775807", "9223372036854775807"},
    {SCALAR_BIGINT, "-9223372036854775808", "-9223372036854775808"},
    {SCALAR_BIGINT, "9223372036854775808", NULL},
    {SCALAR_BIGINT, "\"-5\"", "-5"},
    {SCALAR_BIGINT, "\"0000000000000000000000005\"", "0000000000000000000000005"},
    {SCALAR_BIGINT, "\" 5\"", NULL},
    {SCALAR_BIGINT, "\"-\"", NULL},
    {SCALAR_FLOAT, "1e300", "1e300"},
    {SCALAR_FLOAT, "3", "3"},
    {SCALAR_FLOAT, "\"3\"", NULL},
    {SCALAR_DECIMAL, "1.10", "1.10"},
    {SCALAR_DECIMAL, "\"-1.10e+5\"", "-1.10e+5"},
    {SCALAR_DECIMAL, "\"NaN\"", NULL},
    {SCALAR_DECIMAL, "\"1.\"", NULL},
    {SCALAR_DECIMAL, "\".5\"", NULL},
    {SCALAR_DECIMAL, "\"1e\"", NULL},
    {SCALAR_DECIMAL, "\"\"", NULL},
    {SCALAR_DECIMAL, "\"0x10\"", NULL},
    {SCALAR_BOOLEAN, "true", "true"},
    {SCALAR_BOOLEAN, "false", "false"},
    {SCALAR_BOOLEAN, "\"true\"", NULL},
    {SCALAR_BOOLEAN, "1", NULL},
    {SCALAR_JSON, "{\"a\": [1.10]}", "{\"a\":[1.10]}"},
    {SCALAR_JSON, "\"x\"", "\"x\""},
    {SCALAR_UUID, "\"0b7a1f10-3b1d-4c5e-8F00-00000000000a\"", "0b7a1f10-3b1d-4c5e-8F00-00000000000a"},
    {SCALAR_UUID, "\"0b7a1f103b1d4c5e8f00000000000001\"", NULL},
    {SCALAR_UUID, "\"0b7a1f10-3b1d-4c5e-8f00-0000000000012\"", NULL},
    {SCALAR_UUID, "\"{b7a1f10-3b1d-4c5e-8f00-000000000001\"", NULL},
    {SCALAR_UUID, "1", NULL},
    {SCALAR_ENUM, "\"GREEN\"", "dark green"},
    {SCALAR_ENUM, "\"dark green\"", NULL},
    {SCALAR_ENUM, "\"red\"", NULL},
    {SCALAR_ENUM, "1", NULL},
    {SCALAR_DATETIME, "\"2016\"", "2016-01-01 00:00:00+00"},
    {SCALAR_DATETIME, "\"2016-07\"", "2016-07-01 00:00:00+00"},
    {SCALAR_DATETIME, "\"2016-02-29\"", "2016-02-29 00:00:00+00"},
    {SCALAR_DATETIME, "\"1900-02-29\"", NULL},
    {SCALAR_DATETIME, "\"2000-02-29\"", "2000-02-29 00:00:00+00"},
    {SCALAR_DATETIME, "\"2016-07-31T23\"", "2016-07-31 23:00:00+00"},
    {SCALAR_DATETIME, "\"2016-07-31T23:59Z\"", "2016-07-31 23:59:00+00"},
    {SCALAR_DATETIME, "\"2016-07-31T23:59:01.5z\"", "2016-07-31 23:59:01.5+00"},
    {SCALAR_DATETIME, "\"2016-07-31 23:59:01.123456789+05:30\"", "2016-07-31 18:29:01.123456+00"},
    {SCALAR_DATETIME, "\"2016-07-31T23:59:01-0800\"", "2016-08-01 07:59:01+00"},
    {SCALAR_DATETIME, "\"2016-07-31T23:59:01+02\"", "2016-07-31 21:59:01+00"},
    {SCALAR_DATETIME, "\"2016-03-01T00:30+01\"", "2016-02-29 23:30:00+00"},
    {SCALAR_DATETIME, "\"2015-12-31T23:00-01:00\"", "2016-01-01 00:00:00+00"},
    {SCALAR_DATETIME, "\"2016-01-01T13:59+14:00\"", "2015-12-31 23:59:00+00"},
    {SCALAR_DATETIME, "\"0001-01-01T00:00+01:00\"", NULL},
    {SCALAR_DATETIME, "\"9999-12-31T23:59-00:01\"", NULL},
    {SCALAR_DATETIME, "\"9999-12-31T23:58-00:01\"", "9999-12-31 23:59:00+00"},
    {SCALAR_DATETIME, "\"1969-07-20T20:17:40.125Z\"", "1969-07-20 20:17:40.125+00"},
    {SCALAR_DATETIME, "\"2016-07-31T24:00\"", NULL},
    {SCALAR_DATETIME, "\"2016-07-31T23:60\"", NULL},
    {SCALAR_DATETIME, "\"2016-13\"", NULL},
    {SCALAR_DATETIME, "\"2016-00\"", NULL},
    {SCALAR_DATETIME, "\"2016-07-31T23:59:01.\"", NULL},
    {SCALAR_DATETIME, "\"2016-07-31T23:59:01+15:00\"", NULL},
    {SCALAR_DATETIME, "\"2016-07-31T23:59:01 CET\"", NULL},
    {SCALAR_DATETIME, "\"0000\"", NULL},
    {SCALAR_DATETIME, "\"12016\"", NULL},
    {SCALAR_DATETIME, "\"201\"", NULL},
    {SCALAR_DATETIME, "\"\"", NULL},
    {SCALAR_DATETIME, "\"now\"", NULL},
    {SCALAR_DATETIME, "\"infinity\"", NULL},
    {SCALAR_DATETIME, "2016", NULL},
};

static void values_become_texts(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const struct input_case *c = &cases[i];
    void *mem = talloc_new(NULL);
    const struct json *value = NULL;
    const char *text = NULL;
    struct err e;

    err_init(&e, mem);
    assert_true(json_read(mem, c->json, strlen(c->json), 8, &value, &e));
    if (input_text(mem, value, c->scalar, c->scalar == SCALAR_ENUM ? &colour : NULL, &text, &e)) {
      if (!c->text) fail_msg("%s was taken as %s", c->json, text);
      assert_string_equal(text, c->text);
    } else {
      if (c->text) fail_msg("%s was refused: it %s", c->json, e.message);
      assert_int_equal(e.code, ERR_BAD_ARGUMENT);
      assert_non_null(strstr(e.message, "takes "));
    }
    talloc_free(mem);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(values_become_texts)};

  arena_init();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
