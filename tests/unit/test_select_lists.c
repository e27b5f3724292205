/* How short an answer shows that none of its lists is too long: never shorter than the shortest that has one. */
#include "base/arena.h"
#include "base/problems.h"
#include "base/str.h"
#include "manifest/config.h"
#include "model/read.h"
#include "query/select_inside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char model_text[] =
    "type User { id: ID! @id  n: Int  data: Json  odd: Json @db(type: \"json\")  boss: User @relation(name: \"Boss\")\n"
    "  staff: [User] @relation(name: \"Boss\")  posts: [Post]  friends: [User] @relation(name: \"Friends\") }\n"
    "type Post { id: ID! @id  title: String  author: User  likes: [Like] }\n"
    "type Like { id: ID! @id  of: Post  odd: Json @db(type: \"json\") }\n";

static const struct config config = {.max_rows = 2, .max_result_bytes = 200};

/* names NULL: each list is counted where it stands. shortest: of the lists with one node too many, the shortest. */
static const struct lists_case {
  const char *select, *names, *shortest;
} cases[] = {
    {"{ posts { id } }", "{\"posts\":\"posts\"}", "[{\"id\":1},{\"id\":1},{\"id\":1}]"},
    {"{ id n posts { id title } }", "{\"posts\":\"posts\"}",
     "[{\"id\":1,\"title\":1},{\"id\":1,\"title\":1},{\"id\":1,\"title\":1}]"},
    {"{ p: posts { a: id } }", "{\"p\":\"posts\"}", "[{\"a\":1},{\"a\":1},{\"a\":1}]"},
    {"{ posts { a: __typename } }", "{\"posts\":\"posts\"}", "[{\"a\":1},{\"a\":1},{\"a\":1}]"},
    {"{ a: posts { id title } b: posts { id } c: posts { title } }", "{\"a\":\"posts\",\"b\":\"posts\",\"c\":\"posts\"}",
     "[{\"id\":1},{\"id\":1},{\"id\":1}]"},
    {"{ posts { a: likes { id } b: author { n } } }", "{\"posts\":\"posts\"}",
     "[{\"a\":1,\"b\":1},{\"a\":1,\"b\":1},{\"a\":1,\"b\":1}]"},
    {"{ boss { id f: friends { id n } } posts { title } staff { n } }",
     "{\"boss\":{\"f\":\"friends\"},\"posts\":\"posts\",\"staff\":\"staff\"}", "[{\"n\":1},{\"n\":1},{\"n\":1}]"},
    {"{ x: boss { y: boss { z: staff { id } } n } }", "{\"x\":{\"y\":{\"z\":\"staff\"}}}",
     "[{\"id\":1},{\"id\":1},{\"id\":1}]"},
    {"{ data posts { author { data } } }", "{\"posts\":\"posts\"}", "[{\"author\":1},{\"author\":1},{\"author\":1}]"},
    {"{ posts(first: 2) { id } staff(orderBy: id_ASC) { title: id } }", "{\"staff\":\"staff\"}",
     "[{\"title\":1},{\"title\":1},{\"title\":1}]"},
    {"{ a: boss { posts(last: 1) { id } } b: boss { id } c: boss { posts(skip: 1) { id } } }",
     "{\"c\":{\"posts\":\"posts\"}}", "[{\"id\":1},{\"id\":1},{\"id\":1}]"},
    {"{ posts(first: null) { id } }", "{\"posts\":\"posts\"}", "[{\"id\":1},{\"id\":1},{\"id\":1}]"},
    {"{ id boss { n } }", NULL, NULL},
    {"{ posts(first: 1) { likes { id } } }", NULL, NULL},
    {"{ odd posts { id } }", NULL, NULL},
    {"{ boss { odd } posts { id } }", NULL, NULL},
    {"{ posts { likes { of { author { odd } } } } }", NULL, NULL},
    {"{ odd }", NULL, NULL},
};

static const struct selection *read(void *mem, const char *text) {
  static const struct datamodel *model;
  struct json *json = arena_new(mem, struct json);
  const struct selection *s;
  struct err e;

  if (!model) {
    void *process = talloc_named_const(NULL, 0, "test_select_lists");
    struct problems problems;

    problems_init(&problems, process);
    model = model_read(process, "test", model_text, strlen(model_text), NULL, &problems);
    assert_non_null(model);
  }
  err_init(&e, mem);
  *json = (struct json){.kind = JSON_STRING, .text = text, .len = strlen(text)};
  s = select_read(mem, model_find(model, "User"), expr_literal(mem, json),
                  (struct input_place){.mem = mem, .path = "/select"}, &e);
  if (!s) fail_msg("%s: %s", text, e.message);
  return s;
}

static void a_list_that_is_too_long_makes_at_least_so_many_bytes(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    void *mem = arena_request(NULL);
    const struct sql_lists *lists = select_lists(mem, &config, read(mem, cases[i].select));

    if (!lists || !cases[i].names) {
      if (lists || cases[i].names) fail_msg("%s: %s", cases[i].select, lists ? lists->names : "NULL");
    } else {
      assert_string_equal(lists->names, cases[i].names);
      assert_int_equal(lists->bytes, strlen(cases[i].shortest) - 1);
    }
    talloc_free(mem);
  }
}

/* The limit of bytes is never beyond its own, and the largest limits there are do not overflow. */
static void limits_of_all_sizes_fit(void **state) {
  static const struct config bytes = {.max_rows = 2, .max_result_bytes = 28},
                             rows = {.max_rows = 1000000000, .max_result_bytes = 209715200};
  void *mem = arena_request(NULL);
  const struct selection *s = read(mem, "{ posts { id } }");

  (void)state;
  assert_int_equal(select_lists(mem, &bytes, s)->bytes, 27);
  assert_int_equal(select_lists(mem, &(struct config){.max_rows = 2, .max_result_bytes = 20}, s)->bytes, 20);
  assert_int_equal(select_lists(mem, &rows, s)->bytes, 209715200);
  talloc_free(mem);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_list_that_is_too_long_makes_at_least_so_many_bytes),
                                     cmocka_unit_test(limits_of_all_sizes_fit)};

  return cmocka_run_group_tests(tests, NULL, NULL);
}
