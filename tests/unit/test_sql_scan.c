/* The :name scanner: what is a parameter and what only looks like one, the shape of statements, and what is refused. */
#include "base/arena.h"
#include "base/str.h"
#include "manifest/sql_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state) {
  *state = arena_request(NULL);
  return 0;
}

static int teardown(void **state) {
  talloc_free(*state);
  return 0;
}

static bool scan(void *mem, const char *sql, bool expression, struct sql_scan *out, struct err *e) {
  err_init(e, mem);
  return sql_scan(mem, sql, expression, out, e);
}

static void must_scan(void *mem, const char *sql, bool expression, struct sql_scan *out) {
  struct err e;
  if (!scan(mem, sql, expression, out, &e)) fail_msg("%s: %s", sql, e.message);
}

/* The pieces with each parameter as {name}. */
static const char *cut(void *mem, const struct sql_scan *s) {
  struct str *out = str_new(mem, 64);
  for (size_t i = 0; i <= s->nuses; i++) {
    str_add(out, s->pieces[i]);
    if (i < s->nuses) str_printf(out, "{%s}", s->names[s->uses[i]]);
  }
  return out->p;
}

/* Statement, and how it is cut; NULL: no parameter in it. */
static void test_parameters(void **state) {
  static const char *const cases[][2] = {
      {"select 1", NULL},
      {"select :a", "select {a}"},
      {"select :a, :b, :a", "select {a}, {b}, {a}"},
      {"select :a::text", "select {a}::text"},
      {"select (:a)::text[]", "select ({a})::text[]"},
      {"select x::text, y :: int", NULL},
      {"select x:::a", NULL},
      {"select ::a", NULL},
      {"select : a", NULL},
      {"select :_a1 , :A", "select {_a1} , {A}"},
      {"select :a+:b-:c", "select {a}+{b}-{c}"},
      {"select :a:b", "select {a}{b}"},
      {"select x=:a", "select x={a}"},
      {"select j->:a->>:b", "select j->{a}->>{b}"},
      {"select j @> :a and j ? :b and j ?| :c and j ?& array[:d]",
       "select j @> {a} and j ? {b} and j ?| {c} and j ?& array[{d}]"},
      {"select j ? 'x' and j @? '$.a ? (@ > 1)'", NULL},
      {"select f(a := 1)", NULL},
      {"select f(a := :b, c =>:d)", "select f(a := {b}, c =>{d})"},
      {"select f(a:=:b)", "select f(a:={b})"},
      {"select a[1:2], b[1 : 2], c[:2]", NULL},
      {"select a[:i:2]", "select a[{i}:2]"},
      {"select a[1:i]", "select a[1 {i}]"}, /* as in psql; a blank keeps the parameter apart */
      {"select a[lo:hi]", "select a[lo {hi}]"},
      {"select a[1: hi]", NULL},
      {"select 12:34", NULL},
      {"select '12:34'::time, :t", "select '12:34'::time, {t}"},
      {"select \xc3\xa9:a", "select \xc3\xa9 {a}"},
      {"select x$:a", "select x$ {a}"},
      {"select 'x':a", "select 'x'{a}"},
      /* strings */
      {"select ':a'", NULL},
      {"select 'it''s :a'", NULL},
      {"select '\\', :a, '\\'", "select '\\', {a}, '\\'"},
      {"select E'\\':a', :b", "select E'\\':a', {b}"},
      {"select e'\\\\', :b", "select e'\\\\', {b}"},
      {"select E'a''\\':b'", NULL},
      {"select e'\\'' ':a', :b", "select e'\\'' ':a', {b}"},
      {"select E'a'\n 'b\\':c', :d", "select E'a'\n 'b\\':c', {d}"}, /* goes on, backslashes too */
      {"select E'a' -- x'\n\n  '\\':c', :d", "select E'a' -- x'\n\n  '\\':c', {d}"},
      {"select E'a' 'b\\', :d", "select E'a' 'b\\', {d}"}, /* same line: another, standard string */
      {"select E'a' /* \n */ 'b\\', :d", "select E'a' /* \n */ 'b\\', {d}"},
      {"select 'a'\n'b\\', :d", "select 'a'\n'b\\', {d}"},
      {"select E '\\', :d", "select E '\\', {d}"}, /* a column called e, then a string */
      {"select date'\\', :d", "select date'\\', {d}"},
      {"select 1E'\\':d'", NULL},
      {"select 1e5, 1e-5, 1.5e+3, .5, 1., :d", "select 1e5, 1e-5, 1.5e+3, .5, 1., {d}"},
      {"select U&'\\0061\\', :d", "select U&'\\0061\\', {d}"},
      {"select u&'d!0061:x' UESCAPE '!', :d", "select u&'d!0061:x' UESCAPE '!', {d}"},
      {"select N'\\', B'01', X'1F', :d", "select N'\\', B'01', X'1F', {d}"},
      {"select $$:a '$$, :b", "select $$:a '$$, {b}"},
      {"select $t$:a $$ $tt$ $t $T$ $t$, :b", "select $t$:a $$ $tt$ $t $T$ $t$, {b}"},
      {"select $t$a$t$t$, :b", "select $t$a$t$t$, {b}"}, /* behind its end, a name t$ */
      {"select $\xc3\xa9_1$:a$\xc3\xa9_1$, :b", "select $\xc3\xa9_1$:a$\xc3\xa9_1$, {b}"},
      {"select 1$$:a$$", NULL},
      {"select a$$, :b, c$$", "select a$$, {b}, c$$"}, /* $ within names */
      {"select a$1, :b", "select a$1, {b}"},
      {"select $ , :b", "select $ , {b}"},
      {"select $a , :b", "select $a , {b}"},
      /* quoted names */
      {"select \":a\", :b", "select \":a\", {b}"},
      {"select \"a\"\":b\", :c", "select \"a\"\":b\", {c}"},
      {"select \"it's\", :c", "select \"it's\", {c}"},
      {"select U&\"\\0061\\\", :c", "select U&\"\\0061\\\", {c}"},
      /* comments */
      {"select 1 -- :a '\n, :b", "select 1 -- :a '\n, {b}"},
      {"select 1 -- :a\r, :b", "select 1 -- :a\r, {b}"},
      {"select 1 -- it's :a", NULL},
      {"select 1 /* :a ' */, :b", "select 1 /* :a ' */, {b}"},
      {"select 1 /* /* :a */ :b */, :c", "select 1 /* /* :a */ :b */, {c}"},
      {"select 1 /*/ :a */, :c", "select 1 /*/ :a */, {c}"},
      {"select 1 /**/ /***/ /* * / */, :c", "select 1 /**/ /***/ /* * / */, {c}"},
      {"select 1 */* :a */:c", "select 1 */* :a */{c}"},
      {"select 1 - -- :a\n:c", "select 1 - -- :a\n{c}"},
      {"-- :a\n/* :b */ select :c", "-- :a\n/* :b */ select {c}"},
      {"select '--', :a, '/*', :b", "select '--', {a}, '/*', {b}"},
      {"select a--b\n:c", "select a--b\n{c}"},
      {":a", "{a}"},
  };

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct sql_scan s;
    must_scan(*state, cases[i][0], true, &s);
    const char *expected = cases[i][1] ? cases[i][1] : cases[i][0];
    if (strcmp(cut(*state, &s), expected) != 0) fail_msg("%s was cut as %s, not %s", cases[i][0], cut(*state, &s), expected);
  }
}

static void test_names(void **state) {
  struct sql_scan s;

  must_scan(*state, "insert into t values (:b, :a, :b, :c, :a)", false, &s);
  assert_int_equal(s.nnames, 3);
  assert_string_equal(s.names[0], "b");
  assert_string_equal(s.names[1], "a");
  assert_string_equal(s.names[2], "c");
  assert_int_equal(s.nuses, 5);
  static const unsigned uses[] = {0, 1, 0, 2, 1};
  for (size_t i = 0; i < 5; i++) assert_int_equal(s.uses[i], uses[i]);
}

static void test_semicolons(void **state) {
  static const char *const cases[][2] = {
      {"select :a;", "select {a}"},
      {"select :a ; ", "select {a} "},
      {"select 1;;; ;", "select 1"},
      {"select 1; -- the end", "select 1"},
      {"select 1; /* the /* very */ end */ ;\n--", "select 1"},
      {"select ';', \";\", $$;$$ -- ;\n /* ; */", "select ';', \";\", $$;$$ -- ;\n /* ; */"},
      {"select 1 -- kept", "select 1 -- kept"},
  };

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct sql_scan s;
    must_scan(*state, cases[i][0], false, &s);
    assert_string_equal(cut(*state, &s), cases[i][1]);
  }
}

static void test_verbs(void **state) {
  static const struct {
    const char *sql;
    enum sql_verb verb, as_check;
    const char *word;
  } cases[] = {
      {"select 1", SQL_SELECT, SQL_SELECT, "select"},
      {"\n /* x */ -- y\n SeLeCT 1", SQL_SELECT, SQL_SELECT, "select"},
      {"INSERT into t values (1)", SQL_INSERT, SQL_INSERT, "insert"},
      {"update t set a = 1", SQL_UPDATE, SQL_UPDATE, "update"},
      {"delete from t", SQL_DELETE, SQL_DELETE, "delete"},
      {"values (1)", SQL_VALUES, SQL_VALUES, "values"},
      {"merge into t using u on true when matched then do nothing", SQL_MERGE, SQL_MERGE, "merge"},
      {"call p(:a)", SQL_CALL, SQL_CALL, "call"},
      {"(select 1) union (select 2)", SQL_SELECT, SQL_SELECT, "select"},
      {"((select 1))", SQL_SELECT, SQL_SELECT, "select"},
      {"(values (1)) union select 2", SQL_SELECT, SQL_SELECT, "values"},
      {"(with a as (select 1) select * from a) union select 2", SQL_SELECT, SQL_SELECT, "with"},
      {"(insert into t values (1))", SQL_OTHER, SQL_OTHER, "insert"},
      {"(table t)", SQL_OTHER, SQL_OTHER, "table"},
      {"begin", SQL_OTHER, SQL_OTHER, "begin"},
      {"COMMIT", SQL_OTHER, SQL_OTHER, "commit"},
      {"set role x", SQL_OTHER, SQL_OTHER, "set"},
      {"create table t ()", SQL_OTHER, SQL_OTHER, "create"},
      {"copy t from stdin", SQL_OTHER, SQL_OTHER, "copy"},
      {"listen x", SQL_OTHER, SQL_OTHER, "listen"},
      {"notify x", SQL_OTHER, SQL_OTHER, "notify"},
      {"vacuum", SQL_OTHER, SQL_OTHER, "vacuum"},
      {"do $$ begin end $$", SQL_OTHER, SQL_OTHER, "do"},
      {"explain select 1", SQL_OTHER, SQL_OTHER, "explain"},
      {"table t", SQL_OTHER, SQL_OTHER, "table"},
      {"selects 1", SQL_OTHER, SQL_EXPRESSION, "selects"},
      {"\"select\" 1", SQL_OTHER, SQL_EXPRESSION, ""},
      {"exists (select 1)", SQL_OTHER, SQL_EXPRESSION, "exists"},
      {"not exists (select from t where x = :x)", SQL_OTHER, SQL_EXPRESSION, "not"},
      {"(:a) > 1", SQL_OTHER, SQL_EXPRESSION, ""},
      {":a > 1", SQL_OTHER, SQL_EXPRESSION, ""},
      {"(select count(*) from t) < 10", SQL_SELECT, SQL_EXPRESSION, "select"},
      {"((select (1)) + 1) < :a", SQL_SELECT, SQL_EXPRESSION, "select"},
      {"((select 1) + 1)", SQL_SELECT, SQL_EXPRESSION, "select"},
      {"(select a from t)::int = 1", SQL_SELECT, SQL_EXPRESSION, "select"},
      {"((select 1) union (select 2)) = :a", SQL_SELECT, SQL_EXPRESSION, "select"},
      {"(values (1)) is not null", SQL_SELECT, SQL_EXPRESSION, "values"},
      {"((select 1) union (select 2)) order by (1)", SQL_SELECT, SQL_SELECT, "select"},
      {"(select (1 + 2) * 3 from t where (a) = (b)) -- no more", SQL_SELECT, SQL_SELECT, "select"},
      {"(select 1) for update;", SQL_SELECT, SQL_SELECT, "select"},
      {"'x' = :a", SQL_OTHER, SQL_EXPRESSION, ""},
      {"-1 < :a", SQL_OTHER, SQL_EXPRESSION, ""},
      {"char_length(:a) > 3", SQL_OTHER, SQL_EXPRESSION, "char_length"},
      {"app.is_ok(:a)", SQL_OTHER, SQL_EXPRESSION, "app"},
  };

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    for (int expression = 0; expression <= 1; expression++) {
      struct sql_scan s;
      must_scan(*state, cases[i].sql, expression, &s);
      if (s.verb != (expression ? cases[i].as_check : cases[i].verb) || strcmp(s.first_word, cases[i].word) != 0)
        fail_msg("%s: verb %d, word %s", cases[i].sql, (int)s.verb, s.first_word);
      assert_int_equal(s.main_piece, 0);
      assert_int_equal(s.main_offset, 0);
      assert_int_equal(s.with_list_offset, 0);
      assert_false(s.recursive);
    }
  }
}

/* The list begins behind WITH [RECURSIVE]; the main statement as given. */
static void test_with(void **state) {
  static const struct {
    const char *sql;
    enum sql_verb verb;
    const char *list, *main; /* texts that begin at each place (in the piece of main) */
    bool recursive;
  } cases[] = {
      {"with a as (select 1) select * from a", SQL_SELECT, " a as", "select * from a", false},
      {"WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", SQL_INSERT, " a AS", "INSERT INTO", false},
      {"with a as (delete from t returning *) update u set x = 1", SQL_UPDATE, " a as", "update u", false},
      {"with a as (select 1), b as (select 2) delete from t", SQL_DELETE, " a as", "delete from t", false},
      {"with a as (select 1) values (1)", SQL_VALUES, " a as", "values (1)", false},
      {"with a as (select 1) merge into t using a on true when matched then do nothing", SQL_MERGE, " a as", "merge", false},
      {"with recursive a(n) as (values (1) union all select n + 1 from a) select n from a", SQL_SELECT, " a(n)",
       "select n from", true},
      {"-- x\nwith/**/recursive-- with\na as (select 1)select 1", SQL_SELECT, "-- with", "select 1", true},
      {"with /* select */ a /* insert */ as /* ( */ ( /* ) */ select 1 -- )\n) -- select\n/* , */ select 2", SQL_SELECT,
       " /* select */ a", "select 2", false},
      /* names that are words of statements */
      {"with update as (select 1), delete as (select 2), insert (values) as (select 3) select 4", SQL_SELECT, " update",
       "select 4", false},
      {"with \"select\" as (select 1) select 4", SQL_SELECT, " \"select\"", "select 4", false},
      {"with \"a\"\"b\" as (select 1), U&\"d\\0061\" as (select 2) select 4", SQL_SELECT, " \"a", "select 4", false},
      {"with as_is as (select 1) select 4", SQL_SELECT, " as_is", "select 4", false},
      {"with recursive recursive as (select 1) select 4", SQL_SELECT, " recursive as", "select 4", true},
      {"with materialized as not materialized (select 1) select 4", SQL_SELECT, " materialized", "select 4", false},
      {"with a as materialized (select 1), b as not materialized (select 2) select 4", SQL_SELECT, " a as", "select 4",
       false},
      {"with a (select_, \"insert\", update) as (select 1, 2, 3) select 4", SQL_SELECT, " a (", "select 4", false},
      {"with set as (select 1), cycle as (select 2), search as (select 3), using as (select 4), by as (select 5) "
       "select 6",
       SQL_SELECT, " set", "select 6", false},
      /* parentheses in front of the main statement */
      {"with a as (select 1) (select * from a) union select 2", SQL_SELECT, " a as", "(select * from a)", false},
      {"with a as (select 1)(select 2)", SQL_SELECT, " a as", "(select 2)", false},
      {"with a as (select 1) ((values (2)))", SQL_SELECT, " a as", "((values", false},
      {"with a(x) as (select 1), b(y) as (select 2) (select 3)", SQL_SELECT, " a(x)", "(select 3)", false},
      /* SEARCH and CYCLE */
      {"with recursive a as (select 1) search depth first by x set ord select 3", SQL_SELECT, " a as", "select 3", true},
      {"with recursive a as (select 1) search breadth first by x, update, y set values, b as (select 2) select 3",
       SQL_SELECT, " a as", "select 3", true},
      {"with recursive a as (select 1) search depth first by select_, set set insert (select 3)", SQL_SELECT, " a as",
       "(select 3)", true},
      {"with recursive a as (select 1) cycle x set is_cycle using path select 3", SQL_SELECT, " a as", "select 3", true},
      {"with recursive a as (select 1) cycle x, delete set update to 'Y' default 'N' using insert, b as (select 2) "
       "delete from t",
       SQL_DELETE, " a as", "delete from t", true},
      {"with recursive a as (select 1) cycle x set c to true default false using p insert into t values (1)", SQL_INSERT,
       " a as", "insert into", true},
      {"with recursive a as (select 1) search depth first by x set o cycle x, y set c using p, b as (select 2) update "
       "t set x = 1",
       SQL_UPDATE, " a as", "update t", true},
      {"with recursive a as (select 1) cycle x set c to pg_catalog.int4 '1' default .5 using p select 1", SQL_SELECT,
       " a as", "select 1", true},
      {"with recursive a as (select 1) cycle x set c to 1 default 0 using p (values (1))", SQL_SELECT, " a as", "(values",
       true},
      /* parameters before it */
      {"with a as (select :x) select :y", SQL_SELECT, " a as (select ", "select ", false},
      {"with a as (select :x, :y[1]), b as (select ')', :z) insert into t select :x", SQL_INSERT, " a as",
       "insert into t select ", false},
      /* what is not a main statement of ours */
      {"with a as (select 1) table a", SQL_OTHER, " a as", "table a", false},
      {"with a as (select 1) call p()", SQL_OTHER, " a as", "call p", false},
      {"with a as (select 1) with b as (select 2) select 3", SQL_OTHER, " a as", "with b", false},
      {"with a as (select 1) (insert into t values (1))", SQL_OTHER, " a as", "(insert", false},
      {"with a as (select 1) [(b)] foo", SQL_OTHER, " a as", "foo", false},
      {"with a as (select 1) exists (select 1)", SQL_OTHER, " a as", "exists", false},
  };

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    for (int expression = 0; expression <= 1; expression++) {
      struct sql_scan s;
      must_scan(*state, cases[i].sql, expression, &s);
      const char *list = s.pieces[0] + s.with_list_offset;
      const char *begin = s.pieces[s.main_piece] + s.main_offset;
      if (s.verb != cases[i].verb || strncmp(list, cases[i].list, strlen(cases[i].list)) != 0 ||
          strncmp(begin, cases[i].main, strlen(cases[i].main)) != 0 || s.recursive != cases[i].recursive)
        fail_msg("%s: verb %d, list at \"%s\", main in piece %zu at \"%s\"", cases[i].sql, (int)s.verb, list, s.main_piece,
                 begin);
    }
  }
}

static void test_main_piece(void **state) {
  struct sql_scan s;
  must_scan(*state, "with a as (select :x, :y, :x) select :z", false, &s);
  assert_int_equal(s.main_piece, 3);
  assert_int_equal(s.main_offset, 2);
  assert_string_equal(s.pieces[3], ") select ");
  assert_string_equal(s.pieces[4], "");
}

static void test_refused(void **state) {
  static const char *const cases[][2] = {
      {"", "there is no statement"},
      {"  \n\t ", "there is no statement"},
      {"-- only this", "there is no statement"},
      {"/* only this */ ;", "there is no statement"},
      {";", "there is no statement"},
      {"; select 1", "one statement only"},
      {"select 1; select 2", "one statement only"},
      {"select 1;; :a", "one statement only"},
      {"select 1; /* x", "a comment /* has no end"},
      {"(select 1; select 2)", "one statement only"},
      {"(select 1;)", "one statement only"},
      {"select (1;", "a ( has no )"},
      {"select 'x", "a string ' has no end"},
      {"select 'x''", "a string ' has no end"},
      {"select E'x\\'", "a string E' has no end"},
      {"select E'x\\", "a string E' has no end"},
      {"select E'x'\n'\\'", "a string E' has no end"},
      {"select \"x", "a quoted name \" has no end"},
      {"select $$x", "a dollar-quoted string has no end"},
      {"select $a$x$b$", "a dollar-quoted string has no end"},
      {"select $a$", "a dollar-quoted string has no end"},
      {"select /* x", "a comment /* has no end"},
      {"select /* /* x */", "a comment /* has no end"},
      {"select /*/", "a comment /* has no end"},
      {"select 1)", "a ) has no ("},
      {"select (1", "a ( has no )"},
      {"select [1", "a [ has no ]"},
      {"select 1]", "a ] has no ["},
      {"select (1]", "a ] has no ["},
      {"select [1)", "a ) has no ("},
      {"select 1) from (select 2", "a ) has no ("},
      {"(", "a ( has no )"},
      {"select $1", "parameters are written as :name"},
      {"select x=$12", "parameters are written as :name"},
      {"select :a$1", "put a blank behind it"},
      {"select :a\xc3\xa9", "put a blank behind it"},
      {"select :a$$x$$", "put a blank behind it"},
      {"select 1\nfrom t\nwhere x = $1", "(line 3 of the statement)"},
      {"with", "the WITH list has no statement"},
      {"with a", "the WITH list has no statement"},
      {"with a as (select 1)", "the WITH list has no statement"},
      {"with a as (select 1),", "the WITH list has no statement"},
      {"with a as (select 1), select * from a", "the WITH list has no statement"},
      {"with a (select 1) select 2", "the WITH list has no statement"},
      {"with recursive a as (select 1) search depth first by x set select", "the WITH list has no statement"},
  };

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    for (int expression = 0; expression <= 1; expression++) {
      struct sql_scan s;
      struct err e;
      if (scan(*state, cases[i][0], expression, &s, &e)) fail_msg("%s was accepted", cases[i][0]);
      assert_int_equal(e.code, ERR_BAD_REQUEST);
      if (!strstr(e.message, cases[i][1])) fail_msg("%s: %s", cases[i][0], e.message);
    }
  }
}

static void test_name_length(void **state) {
  struct sql_scan s;
  struct err e;
  char sql[100] = "select :";

  memset(sql + 8, 'x', 63);
  must_scan(*state, sql, false, &s);
  assert_int_equal(strlen(s.names[0]), 63);
  sql[8 + 63] = 'x';
  assert_false(scan(*state, sql, false, &s, &e));
  assert_non_null(strstr(e.message, "longer than 63"));
}

static void test_too_many(void **state) {
  struct sql_scan s;
  struct err e;
  struct str *sql = str_new(*state, 8192);

  str_add(sql, "select 0");
  for (int i = 0; i < 1000; i++) str_printf(sql, ",:p%d,:p%d", i, i);
  must_scan(*state, sql->p, false, &s);
  assert_int_equal(s.nnames, 1000);
  assert_int_equal(s.nuses, 2000);
  assert_string_equal(s.names[s.uses[1999]], "p999");
  str_add(sql, ",:more");
  assert_false(scan(*state, sql->p, false, &s, &e));
  assert_non_null(strstr(e.message, "more than 1000"));
}

static void test_deep(void **state) {
  struct sql_scan s;
  struct str *sql = str_new(*state, 8192);

  str_add(sql, "select ");
  for (int i = 0; i < 100000; i++) str_char(sql, '(');
  for (int i = 0; i < 100000; i++) str_char(sql, ')');
  must_scan(*state, sql->p, false, &s);
}

static void test_is_name(void **state) {
  char name[70];
  (void)state;

  assert_true(sql_is_name("a"));
  assert_true(sql_is_name("_"));
  assert_true(sql_is_name("Add_User2"));
  assert_false(sql_is_name(""));
  assert_false(sql_is_name("2a"));
  assert_false(sql_is_name("a-b"));
  assert_false(sql_is_name("a b"));
  assert_false(sql_is_name("a$"));
  assert_false(sql_is_name("\xc3\xa9"));
  memset(name, 'n', sizeof name);
  name[63] = '\0';
  assert_true(sql_is_name(name));
  name[63] = 'n';
  name[64] = '\0';
  assert_false(sql_is_name(name));
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
      TEST(test_parameters), TEST(test_names),      TEST(test_semicolons), TEST(test_verbs),
      TEST(test_with),       TEST(test_main_piece), TEST(test_refused),    TEST(test_name_length),
      TEST(test_too_many),   TEST(test_deep),       TEST(test_is_name),
#undef TEST
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
