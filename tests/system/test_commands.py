"""What commands do: SQL commands, checks, composites, arguments, result modes, both kinds of sets, roles."""

import json

import pytest

import harness

SCHEMA = """
create table person (
  id bigint generated always as identity primary key,
  name text not null constraint person_name unique,
  age integer constraint person_age check (age >= 0),
  boss bigint constraint person_boss references person deferrable initially deferred,
  extra jsonb not null default '{}');
create table audit (id bigint generated always as identity, text text not null);
grant select, insert, update, delete on person, audit to writ;

create procedure add_audits(texts text[]) language sql as 'insert into audit (text) select unnest(texts)';
create procedure commit_in_between(text text) language plpgsql as $$
begin
  insert into audit (text) values (text);
  commit;
end $$;
create function nothing() returns void language sql as '';
create function noisy() returns integer language plpgsql as $$
begin
  raise notice 'a notice'; raise warning 'a warning'; return 1;
end $$;
create function named(a integer, b integer default 5) returns integer language sql as 'select a * 10 + b';
create function set_person(p_name text) returns table (id bigint, name text) language sql as
  'insert into person (name) values (p_name) returning id, name';

create role commands_reader;
create role commands_writer;
create role commands_other;
grant commands_reader, commands_writer to writ;
grant select on person, audit to commands_reader, commands_writer;
grant insert on audit to commands_writer;
create table own (id integer primary key, owner text not null default current_user);
insert into own values (1, 'commands_reader'), (2, 'commands_writer');
grant select on own to commands_reader, commands_writer;
alter table own enable row level security;
create policy mine on own using (owner = current_user);
"""

MANIFEST = '''
specVersion: 1
constraints:
  person_name: { code: NAME_TAKEN, status: 409, message: "That name is taken: choose another." }
  person_age: { code: BAD_AGE, status: 422, message: Nobody is that young. }
commands:
  # results
  one: { sql: "select i, i * i as square from generate_series(1, :n::int) i order by i", returns: one }
  optional: { sql: "select i, i * i as square from generate_series(1, :n::int) i order by i", returns: optional }
  many: { sql: "select i, i * i as square from generate_series(1, :n::int) i order by i", returns: many }
  rows_by_default: { sql: "select i, i * i as square from generate_series(1, :n::int) i order by i" }
  count: { sql: "select i from generate_series(1, :n::int) i", returns: count }
  none: { sql: "select i from generate_series(1, :n::int) i", returns: none }
  insert_by_default: { sql: "insert into audit (text) select 'default' from generate_series(1, :n::int)" }
  insert_returning: { sql: "insert into audit (text) select 'x' || i from generate_series(1,
      :n::int) i returning text" }
  insert_one: { sql: "insert into audit (text) select 'one' from generate_series(1, :n::int) returning text",
      returns: one }
  insert_none: { sql: "insert into audit (text) select 'none' from generate_series(1, :n::int)", returns: none }
  delete_audit: { sql: "delete from audit where text = :text" }
  update_audit: { sql: "update audit set text = :new where text = :old", returns: count }
  from_values: { sql: "values (1, 'a'), (2, 'b')" }
  with_select: { sql: "with q as (select 7 as seven) select seven from q", returns: one }
  with_insert: { sql: "with q as (insert into audit (text) values (:text) returning text) select text from q",
      returns: one }
  with_insert_many: { sql: "with q as (insert into audit (text) values (:text),
      (:text) returning text) select text from q" }
  with_insert_count: { sql: "with q as (select :text::text as t) insert into audit (text) select t from q" }
  with_insert_optional:
    sql: with q as (insert into audit (text) select :text where :really::boolean returning text) select text from q
    returns: optional
  calls: { sql: "call add_audits(:texts)" }
  calls_none: { sql: "call add_audits(:texts)", returns: none }
  calls_commit: { sql: "call commit_in_between(:text)" }
  merges:
    sql: >
      merge into audit a using (select :text::text as t) n on a.text = n.t
      when matched then update set text = a.text || '!' when not matched then insert (text) values (n.t)
  from_function: { sql: "select id, name from set_person(:name)", returns: one }
  strange_columns:
    sql: select 1 as "a b", 2 as "say ""hi""", 3 as "Größe", 4 as "x.y", 5 as "$ref", 6 as "back\\slash"
    returns: one
  union_of_two: { sql: "(select 1 as x) union all (select 2) order by x desc" }
  recursive: { sql: "with recursive a as (select 1 as q), t(n) as (select 1 union all select n + 1 from t where n <
      :m::int),
                     b as materialized (select n from t) select n from b order by n desc" }
  on_conflict: { sql: "insert into person (name) values (:name) on conflict (name) do nothing returning name",
      returns: optional }
  upsert: { sql: "insert into person (name, age) values (:name,
      :age) on conflict (name) do update set age = excluded.age returning name, age", returns: one }
  for_update: { sql: "select name from person where name = :name for update", returns: optional }
  comment_first: { sql: "/* :a */ -- it's :b\\n SELECT 1 AS one", returns: one }
  named_notation: { sql: "select named(a := :a, b => :b) as x, named(a:=:a) as y", returns: one }
  literals: { sql: "select '12:30:00'::time as t, U&'\\\\0041:x' as u, 'it''s :x' as q", returns: one }
  operators: { sql: "select :d::jsonb -> 'a' as x, :d::jsonb ? 'a' as y, :d::jsonb @> '{\\"a\\": 1}' as z",
      returns: one }
  sorted: { sql: "select i from generate_series(1, 500) i order by i % 7, i desc" }
  count_of_returning: { sql: "insert into audit (text) values (:text) returning id", returns: count }
  none_of_returning: { sql: "insert into audit (text) values (:text) returning id", returns: none }
  no_columns: { sql: "select from generate_series(1, :n::int)" }
  nothing: { sql: "select nothing() as x", returns: one }
  noisy: { sql: "select noisy() as x", returns: one }
  check_values: { check: "values (true)" }
  check_end: { check: "select true; -- that is it" }
  check_comment: { check: "1 = 1 -- trailing" }
  check_parentheses: { check: "(select true)" }
  column_order: { sql: "select 1 as zulu, 2 as alpha, 3 as mike", returns: one }
  trailing: { sql: "select 1 as one; -- and that is all\\n", returns: one }

  # text that is no argument
  scanner:
    sql: >
      select ':no' as plain, E'it\\'s :no' as escaped, $$ :no $$ as dollar, $tag$ :no $$ :no $tag$ as tagged,
             :yes::int as cast /* :no */, (array[1, 2, 3])[1:2] as slice, ":no" as identifier -- :no
      from (select 9 as ":no") q
    returns: one
  twice: { sql: "select :x::int + :x::int as sum, :y::text || :y::text as text", returns: one }

  # arguments
  typed:
    sql: select :a as a, :b as b, :c as c, :d as d, :e as e
    args:
      a: integer
      b: { type: text, default: null }
      c: { type: numeric, default: 1.10 }
      d: { type: jsonb, default: { list: [1.10, "x", null], "$ref": "no" } }
      e: { type: "text[]", default: [] }
    returns: one
  no_arguments: { sql: "select 1 as one", returns: one }

  # checks
  check_expression: { check: ":n > 5", args: { n: integer } }
  check_select: { check: "select count(*) < 2 from audit where text = :text" }
  check_rows: { check: "select true from generate_series(1, :n::int)" }
  check_own:
    check: select :ok::boolean
    error: { code: NOT_OK, status: 409, message: It is not ok. }
  check_code_alone: { check: "false", error: { code: NEVER } }
  check_message_alone: { check: "false", error: { message: "Never, ever." } }
  fails: { sql: "select writ.fail('NO_MONEY', 'Your account is empty.', 402) as x", returns: one }
  asserts: { sql: "select writ.assert(:ok::boolean, 'TOO_LATE', 'It is too late.') as done", returns: one }

  # people
  unique_name:
    check: select not exists (select from person where name = :name)
    error: { code: TAKEN, status: 409, message: Taken. }
  add_person:
    allow: [anonymous, admin]
    sql: insert into person (name, age, boss) values (:name, :age, :boss) returning id, name
    args: { name: text, age: { type: integer, default: null }, boss: { type: bigint, default: null } }
    returns: one
  set_extra: { sql: "update person set extra = :extra where id = :id returning extra", returns: one }
  find_person: { sql: "select id, name, age from person where name = :name", returns: optional }
  count_people: { sql: "select count(*) as n from person", returns: one }
  add_audit: { sql: "insert into audit (text) values (:text)", returns: none }
  where_am_i:
    sql: >
      select pg_current_xact_id()::text as xid, current_setting('transaction_isolation') as isolation,
             current_setting('request.role') as role, current_setting('request.user') as "user",
             current_setting('request.jwt.claims')::json as claims, current_setting('request.id') as id,
             current_user::text as database_role
    returns: one
  of_two: { sql: "select 2 as two", datasource: second, returns: one }

  # composites
  create_person:
    allow: [anonymous]
    args: { name: text, age: { type: integer, default: 30 } }
    commands:
      - unique_name: { name: $args.name }
      - add_person: { name: $args.name, age: $args.age }
        as: person
      - add_audit: { text: $person.name }
    result: $person
  create_pair:
    args: { first: text, second: text }
    commands:
      - create_person: { name: $args.first }
        as: boss
      - add_person: { name: $args.second, boss: $boss.id }
        as: other
    result: { boss: $boss.id, names: [$boss.name, $other.name, literal], price: $$5, number: 1.10, whole: $other,
        no: null }
  last_counts:
    commands:
      - add_audit: { text: from last_counts }
      - many: { n: 2 }
  last_checks:
    commands:
      - check_own: { ok: true }
  last_none:
    commands:
      - add_audit: { text: from last_none }
  paths:
    args: { document: jsonb, list: "int[]" }
    commands:
      - typed: { a: $args.document.deep.0.n, b: $args.document.text, d: $args.document.deep, e: [x, $$y,
          $args.document.text] }
        as: t
      - typed: { a: $args.list.1, d: { "sum": [ $t.a, { again: $t.d } ], "$ref": plain, "price": $$1 } }
    result: $t
  to_json:
    args: { n: integer, when: { type: date, default: null }, list: { type: "int[]", default: null },
        any: { default: null } }
    commands:
      - typed: { a: 1, d: { n: $args.n, when: $args.when, list: $args.list, any: $args.any } }
  twice_serializable:
    isolation: serializable
    commands:
      - where_am_i: {}
'''


@pytest.fixture(scope="module")
def site(database):
    sources = {"default": database.conninfo, "second": database.conninfo}
    with harness.Site(database, MANIFEST, datasources=sources, workers=2, inside_workers=2) as site:
        yield site


@pytest.fixture
def call(site):
    """The inside listener, where every command may be called: call(NAME, args)."""
    return site.inside.command


@pytest.fixture
def count(database):
    return lambda text="%": database.one("select count(*) from audit where text like %s", (text,))


def execute(client, *commands):
    return client.post("/command/execute_command_set", {"commands": [harness.as_command(c) for c in commands]})


# ---------------------------------------------------------------------------------------------------- results

ONE, TWO = {"i": 1, "square": 1}, {"i": 2, "square": 4}


@pytest.mark.parametrize("name, n, expected", [
    ("one", 1, ONE), ("optional", 1, ONE), ("optional", 0, None),
    ("many", 0, []), ("many", 1, [ONE]), ("many", 2, [ONE, TWO]),
    ("rows_by_default", 0, []), ("rows_by_default", 2, [ONE, TWO]),
    ("count", 0, 0), ("count", 3, 3), ("none", 0, None), ("none", 3, None),
    ("insert_by_default", 0, 0), ("insert_by_default", 2, 2), ("insert_none", 1, None),
    ("insert_returning", 2, [{"text": "x1"}, {"text": "x2"}]), ("insert_returning", 0, []),
])
def test_result_modes(call, name, n, expected):
    answer = call(name, {"n": n})
    assert answer.json == {"result": expected} and answer.status == 200, answer
    assert answer.header("content-type") == "application/json"


@pytest.mark.parametrize("name, n, code, status", [
    ("one", 0, "NOT_FOUND", 404), ("one", 2, "TOO_MANY_ROWS", 422), ("optional", 2, "TOO_MANY_ROWS", 422),
    ("insert_one", 0, "NOT_FOUND", 404), ("insert_one", 2, "TOO_MANY_ROWS", 422),
])
def test_wrong_number_of_rows_undoes_everything(site, count, name, n, code, status):
    before = count()
    answer = site.inside.command(name, {"n": n})
    assert (answer.code, answer.status) == (code, status)
    assert answer.json["command"] == name
    in_set = site.inside.set(("add_audit", {"text": "before"}), (name, {"n": n}), ("add_audit", {"text": "after"}))
    assert (in_set.code, in_set.status) == (code, status)
    assert (in_set.json["index"], in_set.json["path"]) == (1, "/commands/1")
    assert count() == before


@pytest.mark.parametrize("name, args, expected", [
    ("from_values", {}, [{"column1": 1, "column2": "a"}, {"column1": 2, "column2": "b"}]),
    ("with_select", {}, {"seven": 7}),
    ("with_insert", {"text": "with"}, {"text": "with"}),
    ("with_insert_many", {"text": "with"}, [{"text": "with"}, {"text": "with"}]),
    ("with_insert_count", {"text": "with"}, 1),
    ("with_insert_optional", {"text": "with", "really": True}, {"text": "with"}),
    ("with_insert_optional", {"text": "with", "really": False}, None),
    ("trailing", {}, {"one": 1}),
    ("union_of_two", {}, [{"x": 2}, {"x": 1}]),
    ("recursive", {"m": 3}, [{"n": 3}, {"n": 2}, {"n": 1}]),
    ("comment_first", {}, {"one": 1}),
    ("named_notation", {"a": 1, "b": 2}, {"x": 12, "y": 15}),
    ("literals", {}, {"t": "12:30:00", "u": "A:x", "q": "it's :x"}),
    ("operators", {"d": {"a": 1}}, {"x": 1, "y": True, "z": True}),
    ("sorted", {}, [{"i": i} for i in sorted(range(1, 501), key=lambda i: (i % 7, -i))]),
    ("count_of_returning", {"text": "counted"}, 1),
    ("none_of_returning", {"text": "counted"}, None),
    ("no_columns", {"n": 3}, 3),
    ("nothing", {}, {"x": None}),
    ("check_values", {}, True), ("check_end", {}, True), ("check_comment", {}, True), ("check_parentheses", {}, True),
    ("strange_columns", {}, {"a b": 1, 'say "hi"': 2, "Größe": 3, "x.y": 4, "$ref": 5, "back\\slash": 6}),
    ("scanner", {"yes": 1}, {"plain": ":no", "escaped": "it's :no", "dollar": " :no ", "tagged": " :no $$ :no ",
                             "cast": 1, "slice": [1, 2], "identifier": 9}),
    ("twice", {"x": 4, "y": "ab"}, {"sum": 8, "text": "abab"}),
])
def test_statements(call, name, args, expected):
    assert call(name, args).result == expected


def test_statements_write(call, count):
    assert call("with_insert", {"text": "cte"}).status == 200
    assert call("with_insert_many", {"text": "cte"}).status == 200
    assert call("with_insert_count", {"text": "cte"}).result == 1
    assert count("cte") == 4
    assert call("update_audit", {"old": "cte", "new": "etc"}).result == 4
    assert call("delete_audit", {"text": "cte"}).result == 0
    assert call("delete_audit", {"text": "etc"}).result == 4
    assert call("from_function", {"name": "of a function"}).result["name"] == "of a function"


def test_conflicts_and_locks(call):
    assert call("for_update", {"name": "conflict"}).result is None
    assert call("on_conflict", {"name": "conflict"}).result == {"name": "conflict"}
    assert call("on_conflict", {"name": "conflict"}).result is None
    assert call("upsert", {"name": "conflict", "age": 7}).result == {"name": "conflict", "age": 7}
    assert call("upsert", {"name": "conflict", "age": 8}).result == {"name": "conflict", "age": 8}
    assert call("for_update", {"name": "conflict"}).result == {"name": "conflict"}


def test_call_and_merge(call, count, site):
    assert call("calls", {"texts": ["proc", "proc"]}).status == 200
    assert call("calls_none", {"texts": ["proc"]}).result is None
    assert count("proc") == 3
    assert call("merges", {"text": "merged"}).result == 1
    assert call("merges", {"text": "merged"}).result == 1
    assert count("merged!") == 1
    answer = site.inside.set(("calls", {"texts": ["in set"]}), ("merges", {"text": "in set"}), ("many", {"n": 1}))
    assert answer.results[2] == [ONE]
    assert count("in set!") == 1


@pytest.mark.parametrize("kind", ["transactional", "execute"])
def test_any_statement_can_be_referred_to(site, kind):
    """... but for CALL and MERGE, which is told where the reference stands."""
    def run(name, args, path):
        return site.inside.post(f"/command/{kind}_command_set", {"commands": [
            {"command": name, "args": args, "as": "r"}, {"command": "typed", "args": {"a": 1, "d": {"$ref": path}}}]})

    for name, args, path, expected in (
        ("union_of_two", {}, "r.0.x", 2), ("recursive", {"m": 4}, "r", [{"n": n} for n in (4, 3, 2, 1)]),
        ("no_columns", {"n": 3}, "r", 3),
        ("count_of_returning", {"text": "x"}, "r", 1), ("none_of_returning", {"text": "x"}, "r", None),
        ("nothing", {}, "r.x", None),
        ("with_insert_count", {"text": "x"}, "r", 1), ("insert_by_default", {"n": 2}, "r", 2),
        ("check_values", {}, "r", True),
        ("strange_columns", {}, "r.a b", 1), ("strange_columns", {}, 'r.say "hi"', 2),
        ("strange_columns", {}, "r.Größe", 3),
        ("upsert", {"name": "referred", "age": 1}, "r.name", "referred"),
        ("from_function", {"name": f"for {kind}"}, "r.name", f"for {kind}"),
    ):
        assert run(name, args, path).results[1]["d"] == expected, name
    for name, args in (("calls", {"texts": ["never"]}), ("merges", {"text": "never"})):
        answer = run(name, args, "r")
        assert (answer.code, answer.status) == ("BAD_REFERENCE", 400)
        assert (answer.json["index"], answer.json["path"], answer.json["argument"]) == (1, "/commands/1/args/d", "d")


def test_notices_are_not_for_the_log(site):
    mark = site.writ.log_mark()
    assert site.inside.command("noisy").result == {"x": 1}
    log = site.writ.log_since(mark)
    assert "a notice" not in log and "a warning" not in log


def test_more_than_the_sockets_hold_both_ways(site):
    """What PostgreSQL sends is read while the rest is still being sent."""
    results = site.inside.set(*[("twice", {"x": 1, "y": "z" * 9000})] * 100).results
    assert results == [{"sum": 2, "text": "z" * 18000}] * 100


def test_commit_in_a_procedure_keeps_nothing(site, count):
    answer = site.inside.set(("add_audit", {"text": "half"}), ("calls_commit", {"text": "half"}))
    assert answer.status == 500 and answer.code == "INTERNAL"
    assert site.inside.command("calls_commit", {"text": "half"}).status == 500
    assert count("half") == 0


def test_columns_keep_their_order(call):
    assert list(call("column_order").result) == ["zulu", "alpha", "mike"]


# ---------------------------------------------------------------------------------------------------- arguments


def test_defaults(call):
    assert call("typed", {"a": 1}).text.replace(" ", "") == (
        '{"result":{"a":1,"b":null,"c":1.10,"d":{"$ref":"no","list":[1.10,"x",null]},"e":[]}}')
    given = {"a": 2, "b": "text", "c": 3.5, "d": [], "e": ["x", None]}
    assert call("typed", given).result == given


def test_null_is_not_the_default(call):
    nulls = dict.fromkeys("abcde")
    assert call("typed", nulls).result == nulls


@pytest.mark.parametrize("args, argument", [
    ({}, "a"),
    ({"a": 1, "f": 2}, "f"),
    ({"a": "x"}, "a"), ({"a": True}, "a"), ({"a": 1.5}, "a"), ({"a": [1]}, "a"), ({"a": {"n": 1}}, "a"),
    ({"a": 3000000000}, "a"), ({"a": ""}, "a"),
    ({"a": 1, "b": 5}, "b"), ({"a": 1, "b": False}, "b"), ({"a": 1, "b": ["x"]}, "b"), ({"a": 1, "b": {}}, "b"),
    ({"a": 1, "c": "abc"}, "c"), ({"a": 1, "c": True}, "c"), ({"a": 1, "c": [1]}, "c"),
    ({"a": 1, "d": "{broken"}, "d"),
    ({"a": 1, "e": "x"}, "e"), ({"a": 1, "e": [1]}, "e"), ({"a": 1, "e": {"0": "x"}}, "e"),
    ({"a": 1, "e": ["x", {}]}, "e"),
])
def test_wrong_arguments_are_named(site, count, args, argument):
    before = count()
    answer = site.inside.command("typed", args)
    assert (answer.code, answer.status) == ("BAD_ARGUMENT", 400), answer
    assert (answer.json["command"], answer.json["argument"], answer.json["path"]) == ("typed", argument, "/" + argument)
    assert "index" not in answer.json
    answer = site.inside.set(("add_audit", {"text": "x"}), ("typed", args))
    assert (answer.code, answer.status) == ("BAD_ARGUMENT", 400), answer
    problem = answer.json
    assert (problem["command"], problem["argument"], problem["index"]) == ("typed", argument, 1)
    assert problem["path"] == f"/commands/1/args/{argument}"
    assert count() == before


def test_whole_numbers_in_other_clothes(call):
    answer = call("typed", '{"a": 1.0, "c": 1e2, "d": 1e2}')
    assert answer.result["a"] == 1 and answer.result["c"] == 100
    assert call("typed", '{"a": 1e2}').result["a"] == 100
    assert call("typed", {"a": " 7 "}).result["a"] == 7  # a string, in PostgreSQL's input syntax


def test_body(site):
    assert site.inside.post("/command/no_arguments", b"").result == {"one": 1}
    assert site.inside.request("POST", "/command/no_arguments").result == {"one": 1}
    assert site.inside.command("no_arguments", {}).result == {"one": 1}
    assert site.inside.command("no_arguments", {"x": 1}).code == "BAD_ARGUMENT"
    for body in ("[]", "1", '"x"', "null", "true"):
        assert site.inside.post("/command/no_arguments", body).code == "BAD_REQUEST", body


# ---------------------------------------------------------------------------------------------------- checks


@pytest.mark.parametrize("name, args, error", [
    ("check_expression", {"n": 6}, None),
    ("check_expression", {"n": 5}, ("CHECK_FAILED", 422, None)),
    ("check_expression", {"n": None}, ("CHECK_FAILED", 422, None)),
    ("check_select", {"text": "never written"}, None),
    ("check_rows", {"n": 1}, None),
    ("check_rows", {"n": 0}, ("CHECK_FAILED", 422, None)),
    ("check_own", {"ok": True}, None),
    ("check_own", {"ok": False}, ("NOT_OK", 409, "It is not ok.")),
    ("check_own", {"ok": None}, ("NOT_OK", 409, "It is not ok.")),
    ("check_code_alone", {}, ("NEVER", 422, None)),
    ("check_message_alone", {}, ("CHECK_FAILED", 422, "Never, ever.")),
    ("fails", {}, ("NO_MONEY", 402, "Your account is empty.")),
    ("asserts", {"ok": True}, None),
    ("asserts", {"ok": False}, ("TOO_LATE", 422, "It is too late.")),
    ("asserts", {"ok": None}, ("TOO_LATE", 422, "It is too late.")),
])
def test_checks(site, count, name, args, error):
    answer = site.inside.command(name, args)
    before = count()
    in_set = site.inside.set(("add_audit", {"text": "checked"}), (name, args))
    if error is None:
        assert answer.result == ({"done": True} if name == "asserts" else True)
        assert in_set.results == [None, answer.result]
        assert count() == before + 1
        return
    for given in (answer, in_set):
        assert (given.code, given.status) == error[:2]
        assert given.json["command"] == name
        assert error[2] is None or given.json["detail"] == error[2]
        assert given.json["detail"]
    assert count() == before


def test_a_check_sees_what_came_before_it_in_the_set(site, count):
    add = ("add_audit", {"text": "limited"})
    check = ("check_select", {"text": "limited"})
    assert site.inside.set(add, check).status == 200
    assert site.inside.set(add, check).code == "CHECK_FAILED"
    assert count("limited") == 1


# ---------------------------------------------------------------------------------------------------- constraints:


@pytest.mark.parametrize("first, args, expected", [
    ({"name": "unique"}, {"name": "unique"}, ("NAME_TAKEN", 409, "That name is taken: choose another.", "person_name")),
    (None, {"name": "young", "age": -1}, ("BAD_AGE", 422, "Nobody is that young.", "person_age")),
    (None, {"name": "slave", "boss": -1}, ("FOREIGN_KEY_VIOLATION", 409, None, "person_boss")),
])
def test_constraints(call, database, first, args, expected):
    if first:
        assert call("add_person", first).status == 200
    before = database.one("select count(*) from person")
    answer = call("add_person", args)
    assert (answer.code, answer.status) == expected[:2]
    assert expected[2] is None or answer.json["detail"] == expected[2]
    assert answer.json["constraint"] == expected[3]
    assert database.one("select count(*) from person") == before


# --------------------------------------------------------------------------------------------------- transactional sets


def test_set_answers_with_one_entry_for_each_command(site):
    answer = site.inside.set(
        {"command": "many", "args": {"n": 1}, "as": "a"}, {"command": "no_arguments"},
        {"command": "check_own", "args": {"ok": True}, "as": "c"}, {"command": "insert_by_default", "args": {"n": 2}},
        {"command": "add_audit", "args": {"text": "x"}}, {"command": "many", "args": {"n": 0}})
    assert answer.status == 200
    assert answer.json == {"results": [
        {"command": "many", "as": "a", "result": [ONE]}, {"command": "no_arguments", "result": {"one": 1}},
        {"command": "check_own", "as": "c", "result": True}, {"command": "insert_by_default", "result": 2},
        {"command": "add_audit", "result": None}, {"command": "many", "result": []}]}


def test_set_is_one_transaction(site):
    first, second = site.inside.set(("where_am_i",), ("where_am_i",)).results
    assert first["xid"] == second["xid"]
    answer = execute(site.inside, ("where_am_i",), ("where_am_i",))
    first, second = answer.results
    assert first["xid"] != second["xid"]


def test_set_is_all_or_nothing(site, database):
    people = database.one("select count(*) from person")
    answer = site.inside.set(("add_person", {"name": "first"}), ("add_person", {"name": "second"}),
                             ("add_person", {"name": "first"}), ("add_person", {"name": "third"}))
    assert answer.code == "NAME_TAKEN"
    assert (answer.json["index"], answer.json["path"], answer.json["command"]) == (2, "/commands/2", "add_person")
    assert database.one("select count(*) from person") == people


def test_later_commands_see_earlier_ones(site, database):
    people = database.one("select count(*) from person")
    results = site.inside.set(("count_people",), ("add_person", {"name": "seen"}), ("count_people",)).results
    assert [results[0]["n"], results[2]["n"]] == [people, people + 1]


def test_deferred_constraint_fails_the_set(site, database):
    people = database.one("select count(*) from person")
    answer = site.inside.set(("add_person", {"name": "deferred", "boss": -5}), ("count_people",))
    assert (answer.code, answer.status) == ("FOREIGN_KEY_VIOLATION", 409)
    assert answer.json["constraint"] == "person_boss"
    assert database.one("select count(*) from person") == people


@pytest.mark.parametrize("isolation", ["read_committed", "repeatable_read", "serializable"])
def test_isolation(site, isolation):
    (result,) = site.inside.set(("where_am_i",), isolation=isolation).results
    assert result["isolation"] == isolation.replace("_", " ")


def test_isolation_of_a_composite_is_the_least(site):
    assert site.inside.command("twice_serializable").result["isolation"] == "serializable"
    (result,) = site.inside.set(("twice_serializable",), isolation="repeatable_read").results
    assert result["isolation"] == "serializable"
    assert site.inside.command("where_am_i").result["isolation"] == "read committed"


@pytest.mark.parametrize("body", [
    {}, {"commands": {}}, {"commands": None}, {"commands": "many"}, {"commands": [1]}, {"commands": [[]]},
    {"commands": [{}]},
    {"commands": [{"command": 5}]}, {"commands": [{"command": "many", "args": {"n": 1}, "more": 1}]},
    {"commands": [], "isolation": "chaos"}, {"commands": [], "isolation": 5}, {"commands": [], "more": 1},
    {"commands": [{"command": "no_arguments", "as": 5}]}, {"commands": [{"command": "no_arguments", "as": ""}]},
    {"commands": [{"command": "no_arguments", "as": "a.b"}]},
    {"commands": [{"command": "no_arguments", "as": "x" * 64}]},
    {"commands": [{"command": "no_arguments", "as": "a"}, {"command": "no_arguments", "as": "a"}]},
    {"commands": [{"command": "transactional_command_set", "args": {"commands": [], "on_complete": []}}]},
    {"commands": [{"command": "transactional_command_set", "args": {"commands": [{"command": "transactional_command_set", "args": {"commands": []}}]}}]},
    {"commands": [{"command": "transactional_command_set"}]},
    {"commands": [{"command": "execute_command_set", "args": {"commands": []}}]},
])
@pytest.mark.parametrize("kind", ["transactional", "execute"])
def test_malformed_sets(site, kind, body):
    answer = site.inside.post(f"/command/{kind}_command_set", body)
    assert (answer.code, answer.status) == ("BAD_REQUEST", 400), answer


@pytest.mark.parametrize("kind", ["transactional", "execute"])
def test_empty_set(site, kind):
    answer = site.inside.post(f"/command/{kind}_command_set", {"commands": []})
    assert answer.status == 200 and answer.json == {"results": []}


@pytest.mark.parametrize("kind", ["transactional", "execute"])
def test_null_members_and_missing_args(site, kind):
    answer = site.inside.post(f"/command/{kind}_command_set", {"commands": [{"command": "no_arguments"}]})
    assert answer.results == [{"one": 1}]


def test_any_name_is_a_name(site):
    names = ["a", "A", "ünïcödé", "with blank", "$ref", "0", "x" * 63, "args", "error"]
    commands = [{"command": "no_arguments", "as": name} for name in names]
    entries = site.inside.set(*commands).json["results"]
    assert [entry["as"] for entry in entries] == names


# ---------------------------------------------------------------------------------------------------- execute sets


def test_execute_set_keeps_what_was_done(site, count):
    answer = execute(site.inside, ("add_audit", {"text": "kept 1"}), ("add_audit", {"text": "kept 2"}),
                     ("check_own", {"ok": False}), ("add_audit", {"text": "kept 3"}))
    assert (answer.code, answer.status) == ("NOT_OK", 409)
    assert (answer.json["committed"], answer.json["index"], answer.json["path"]) == (2, 2, "/commands/2")
    assert count("kept %") == 2


def test_execute_set_refuses_before_it_runs(site, count):
    """Names, arguments and references are judged before anything runs, also when nothing undoes it."""
    for bad in (("no_such_command", {}), ("typed", {}), ("typed", {"a": "1", "zz": 1}), ("typed", {"a": True}),
                ("typed", {"a": {"$ref": "no.x"}})):
        answer = execute(site.inside, ("add_audit", {"text": "early"}), bad)
        assert answer.status in (400, 404), answer
        assert answer.json["index"] == 1
        assert answer.json["committed"] == 0
    assert count("early") == 0


def test_execute_set_spans_datasources(site, count):
    answer = execute(site.inside, ("add_audit", {"text": "span"}), ("of_two",), ("no_arguments",))
    assert answer.results == [None, {"two": 2}, {"one": 1}]
    answer = site.inside.set(("add_audit", {"text": "span"}), ("of_two",))
    assert (answer.code, answer.status) == ("DIFFERENT_DATASOURCES", 400)
    assert answer.json["index"] == 1
    assert site.inside.set(("of_two",), ("of_two",)).results == [{"two": 2}] * 2
    assert count("span") == 1


def test_execute_set_has_no_isolation(site):
    answer = site.inside.post("/command/execute_command_set", {"commands": [], "isolation": "serializable"})
    assert answer.code == "BAD_REQUEST"


def test_composite_in_an_execute_set_is_one_transaction(site, database):
    people = database.one("select count(*) from person")
    answer = execute(site.inside, ("create_pair", {"first": "pair 1", "second": "pair 2"}),
                     ("create_pair", {"first": "pair 3", "second": "pair 1"}))
    assert answer.code == "NAME_TAKEN" and answer.json["committed"] == 1
    assert database.one("select count(*) from person") == people + 2


# ---------------------------------------------------------------------------------------------------- composites


def test_composite(site, database, count):
    answer = site.client.command("create_person", {"name": "Ann"})
    assert answer.result == {"id": database.one("select id from person where name = 'Ann'"), "name": "Ann"}
    assert database.one("select age from person where name = 'Ann'") == 30
    assert count("Ann") == 1
    assert site.client.command("create_person", {"name": "Bob", "age": 5}).status == 200
    assert database.one("select age from person where name = 'Bob'") == 5
    assert site.client.command("create_person", {"name": "Cid", "age": None}).status == 200
    assert database.one("select age from person where name = 'Cid'") is None


def test_error_in_a_composite_is_that_of_the_command_called(site, database):
    people = database.one("select count(*) from person")
    assert site.inside.command("create_person", {"name": "Dee"}).status == 200
    answer = site.inside.command("create_person", {"name": "Dee"})
    assert (answer.code, answer.status, answer.json["detail"]) == ("TAKEN", 409, "Taken.")
    answer = site.inside.set(("add_audit", {"text": "x"}), ("create_pair", {"first": "Eve", "second": "Dee"}))
    assert answer.code == "NAME_TAKEN"
    assert (answer.json["index"], answer.json["path"]) == (1, "/commands/1")
    assert database.one("select count(*) from person") == people + 1


@pytest.mark.parametrize("name, args, argument", [
    ("create_person", {}, "name"), ("create_person", {"name": 5}, "name"),
    ("create_person", {"name": "x", "age": "x"}, "age"),
    ("create_person", {"name": "x", "age": 1.5}, "age"), ("create_person", {"name": "x", "age": True}, "age"),
    ("create_person", {"name": "x", "y": 1}, "y"),
    ("create_pair", {"first": 5, "second": "x"}, "first"), ("create_pair", {"first": "x", "second": ["x"]}, "second"),
    ("paths", {"document": {"deep": [{"n": "x"}], "text": "x"}, "list": [1, 2]}, "document"),
    ("paths", {"document": {"deep": [{"n": 1}], "text": 5}, "list": [1, 2]}, "document"),
    ("paths", {"document": "{broken", "list": [1, 2]}, None), ("to_json", {"n": 1.5}, "n"),
    ("to_json", {"n": [1]}, "n"), ("to_json", {"n": 1, "when": 5}, "when"),
    ("to_json", {"n": 1, "list": [True]}, "list"),
])
def test_composite_judges_its_arguments(site, name, args, argument):
    """By its own types, also where the commands within would take anything; errors of the commands within are told by the
    name of the composite's argument."""
    answer = site.inside.command(name, args)
    if argument is None:  # a path into text finds nothing
        assert answer.status == 400
        return
    assert (answer.code, answer.status) == ("BAD_ARGUMENT", 400), answer
    assert (answer.json["command"], answer.json["argument"],
            answer.json["path"]) == (name, argument, "/" + argument), answer
    for kind in ("transactional", "execute"):
        answer = site.inside.post(f"/command/{kind}_command_set",
                                  {"commands": [{"command": "no_arguments"}, {"command": name, "args": args}]})
        assert (answer.code, answer.status, answer.json["index"]) == ("BAD_ARGUMENT", 400, 1), answer
        assert (answer.json["command"], answer.json["argument"],
                answer.json["path"]) == (name, argument, f"/commands/1/args/{argument}"), answer


def test_composite_takes_what_its_types_take(site):
    assert site.inside.command("to_json",
                               '{"n": 1e2, "when": "2026-11-20", "list": [1.0], "any": {"x": 1.10}}').text == (
        '{"result":{"a":1,"b":null,"c":1.10,'
        '"d":{"n": 100, "any": {"x": 1.10}, "list": [1.0], "when": "2026-11-20"},"e":[]}}')
    assert site.inside.command("to_json", {"n": None}).result["d"] == {"n": None, "when": None, "list": None,
                                                                       "any": None}
    answer = site.inside.set(("typed", {"a": 5}, "t"), ("to_json", {"n": {"$ref": "t.a"}, "list": [{"$ref": "t.a"}]}))
    assert answer.results[1]["d"] == {"n": 5, "when": None, "list": [5], "any": None}


def test_composite_of_composites_and_its_result(site, database):
    answer = site.inside.command("create_pair", {"first": "Fay", "second": "Gus"})
    result = answer.result
    boss, other = (database.one("select id from person where name = %s", (name,)) for name in ("Fay", "Gus"))
    assert result == {"boss": boss, "names": ["Fay", "Gus", "literal"], "price": "$5", "number": 1.1,
                      "whole": {"id": other, "name": "Gus"}, "no": None}
    assert '"number":1.10' in answer.text.replace(" ", "")
    assert database.one("select boss from person where name = 'Gus'") == boss


def test_composite_without_result(site):
    assert site.inside.command("last_counts").result == [ONE, TWO]
    assert site.inside.command("last_checks").result is True
    assert site.inside.command("last_none").result is None


def test_templates(site):
    document = {"deep": [{"n": 5}], "text": "it's \"$text\""}
    answer = site.inside.command("paths", {"document": document, "list": [10, 20]})
    assert answer.result == {"a": 5, "b": document["text"], "c": 1.1, "d": [{"n": 5}],
                             "e": ["x", "$y", document["text"]]}


def test_the_same_command_many_times_in_one_set(site):
    results = site.inside.set(*[("twice", {"x": i, "y": str(i)}) for i in range(60)]).results
    assert results == [{"sum": 2 * i, "text": f"{i}{i}"} for i in range(60)]


# ---------------------------------------------------------------------------------------------------- dry run


def test_dry_run(site, count):
    before = count()
    options = {"headers": {"Prefer": "tx=rollback"}}
    answer = site.inside.command("insert_returning", {"n": 1}, **options)
    assert answer.result == [{"text": "x1"}] and answer.header("preference-applied") == "tx=rollback"
    answer = site.inside.set(("add_audit", {"text": "dry"}), ("delete_audit", {"text": "dry"}), **options)
    assert answer.results == [None, 1] and answer.header("preference-applied") == "tx=rollback"
    answer = site.inside.post("/command/execute_command_set", {"commands": [
        {"command": "add_audit", "args": {"text": "dry"}}, {"command": "delete_audit", "args": {"text": "dry"}}]},
        **options)
    assert answer.results == [None, 1] and answer.header("preference-applied") == "tx=rollback"
    assert count() == before
    assert site.inside.command("add_audit", {"text": "wet"}).header("preference-applied") is None
    assert count() == before + 1


def test_dry_run_includes_deferred_constraints(site, database):
    people = database.one("select count(*) from person")
    answer = site.inside.command("add_person", {"name": "dry", "boss": -1}, headers={"Prefer": "tx=rollback"})
    assert (answer.code, answer.status) == ("FOREIGN_KEY_VIOLATION", 409)
    assert database.one("select count(*) from person") == people


@pytest.mark.parametrize("headers, dry", [
    ([("Prefer", "return=minimal"), ("Prefer", "tx=rollback")], True),
    ([("Prefer", "return=minimal, tx=rollback; x=y, handling=strict")], True),
    ([("Prefer", "TX=rollback")], True),
    ([("Prefer", 'tx="rollback"')], True),
    ([("Prefer", "tx=commit")], False),
    ([("Prefer", "tx=commit, tx=rollback")], False),  # RFC 7240: the first counts
    ([("Prefer", "nothing=known")], False),
    ([("Prefer", "")], False),
])
def test_prefer(site, count, headers, dry):
    before = count()
    assert site.inside.command("add_audit", {"text": "prefer"}, headers=headers).status == 200
    assert count() == before + (0 if dry else 1)


# ---------------------------------------------------------------------------------------------------- the caller


def test_the_caller_is_known_in_the_transaction(site):
    result = site.inside.command("where_am_i").result
    assert (result["role"], result["user"], result["database_role"]) == ("anonymous", "", "writ")
    assert result["claims"]["role"] == "anonymous"
    claims = {"sub": "7", "role": "admin", "deep": [1.10, "é", None]}
    answer = site.inside.command("where_am_i", role="admin", user="7", claims=json.dumps(claims, ensure_ascii=True),
                                 headers={"X-Request-Id": "my-own-id"})
    result = answer.result
    assert (result["role"], result["user"], result["claims"], result["id"]) == ("admin", "7", claims, "my-own-id")
    result = site.inside.command("where_am_i", role="admin", user="7").result
    assert result["claims"] == {"role": "admin", "sub": "7"}


ROLES = """
specVersion: 1
roles: { anonymous: commands_reader, reader: commands_reader, writer: commands_writer, ghost: commands_no_such_role,
    other: commands_other }
commands:
  who: { sql: "select current_user::text as me, session_user::text as login", returns: one, allow: [anonymous, reader,
      writer] }
  mine: { sql: select id from own order by id, allow: [anonymous, reader, writer] }
  write: { sql: insert into audit (text) values (:text), allow: [anonymous, reader, writer] }
  secret: { sql: select 1 as one, allow: [writer], returns: one }
  inside: { sql: select 1 as one }
  both:
    allow: [reader]
    commands:
      - inside: {}
      - secret: {}
"""


@pytest.fixture(scope="module")
def roles(database):
    with harness.Site(database, ROLES, workers=1) as site:
        yield site


def test_database_roles(roles):
    for role, database_role, own in (("writer", "commands_writer", 2), ("reader", "commands_reader", 1),
                                     (None, "commands_reader", 1), ("writer", "commands_writer", 2)):
        assert roles.client.command("who", role=role).result == {"me": database_role, "login": "writ"}
        assert roles.client.command("mine", role=role).result == [{"id": own}]
        assert roles.inside.command("mine", role=role).result == [{"id": own}]


def test_grants_are_those_of_the_database_role(roles, count):
    before = count()
    answer = roles.client.command("write", {"text": "x"}, role="reader")
    assert (answer.code, answer.status, answer.json["sqlstate"]) == ("FORBIDDEN", 403, "42501")
    assert roles.client.command("write", {"text": "x"}, role="writer").result == 1
    assert count() == before + 1


def test_a_role_without_a_database_role_is_refused(roles):
    for client in (roles.client, roles.inside):
        for command in ("who", "mine"):
            answer = client.command(command, role="stranger")
            assert (answer.code, answer.status) == ("FORBIDDEN", 403)


def test_a_database_role_that_is_not_there_is_an_error_of_the_site(roles):
    answer = roles.inside.command("who", role="ghost")
    assert (answer.code, answer.status) == ("INTERNAL", 500)
    assert "commands_" not in answer.text and "commands_no_such_role" in roles.writ.log()
    assert roles.inside.command("who", role="other").code == "FORBIDDEN"  # there, but writ is no member of it
    assert roles.inside.command("who", role="writer").status == 200


@pytest.mark.parametrize("role, name, code", [
    (None, "secret", "UNAUTHENTICATED"), ("anonymous", "secret", "UNAUTHENTICATED"), ("", "secret", "UNAUTHENTICATED"),
    ("reader", "secret", "FORBIDDEN"), ("writer", "secret", None), ("writer", "inside", "UNKNOWN_COMMAND"),
    ("reader", "both", None), ("writer", "both", "FORBIDDEN"), ("writer", "no_such", "UNKNOWN_COMMAND"),
])
def test_allow(roles, count, role, name, code):
    """For the command called, and for every command that a set names: before anything runs."""
    before = count()
    single = roles.client.command(name, role=role)
    in_set = roles.client.set(("write", {"text": "x"}), (name,), role=role)
    executed = roles.client.post("/command/execute_command_set", {"commands": [
        {"command": "write", "args": {"text": "x"}}, {"command": name}]}, role=role)
    if code:
        for answer in (single, in_set, executed):
            assert answer.code == code
        assert in_set.json["index"] == executed.json["index"] == 1
        assert count() == before
        return
    assert single.status == 200
    assert in_set.status == executed.status == (200 if role == "writer" else 403)
    assert roles.inside.command(name, role=role).status == 200
