"""$ref: values of earlier results as arguments of later commands, types and digits intact, in both kinds of sets."""

import decimal
import json
import math
import random

import pytest

import harness

# One row a type: its name in commands, PostgreSQL's name, values as JSON texts. A value must come back as the very same
# text after it has gone through PostgreSQL twice, the second time by reference. A pair is what is sent and what comes:
# a string for a json parameter is PostgreSQL's input syntax, that is, JSON text.
TYPES = [
    ("int2", "smallint", ["32767", "-32768", "0"]),
    ("int4", "integer", ["2147483647", "-1"]),
    ("int8", "bigint", ["9223372036854775807", "-9223372036854775808", "9007199254740993"]),
    ("numeric", "numeric", ["12345678901234567890123456789012345678.123456789", "1.10",
                            "0.00000000000000000000000000000001",
                            "-0.50", '"NaN"', '"Infinity"', "1" + 60 * "0"]),
    ("float4", "real", ["0.1", "3.4e+38"]),
    ("float8", "double precision", ["0.1", "1e+308", "5e-324", "0.30000000000000004", "-0", '"NaN"', '"-Infinity"']),
    ("boolean", "boolean", ["true", "false"]),
    ("text", "text", ['""', '" "', '"null"', '"NULL"', '"true"', '"{}"', '"{a,b}"', '"(a,b)"', '"[1]"', r'"\"quoted\""',
                      r'"back\\slash"', r'"line\nbreak\ttab"', '"\'); drop table note; --"', '"$ref"', '"Grüße 👋 ﷽"',
                      '"+"', '"="',
                      '"v"', '"1.10"', '"%s %1$s"', r'"\u0001"']),
    ("varchar", "varchar(20)", ['"abc"']),
    ("date", "date", ['"2026-11-20"', '"infinity"', '"0044-03-15 BC"']),
    ("timestamp", "timestamp", ['"2026-11-20T13:05:27.123456"', '"infinity"']),
    ("timestamptz", "timestamptz", ['"2026-11-20T13:05:27.123456+00:00"', '"-infinity"']),
    ("time", "time", ['"13:05:27.000001"']),
    ("interval", "interval", ['"1 year 2 mons -3 days +04:05:06.789"']),
    ("uuid", "uuid", ['"0198c5f0-7b1e-7c3d-9a4e-5f6071829304"']),
    ("bytea", "bytea", [r'"\\x"', r'"\\x00ff5c22"']),
    ("inet", "inet", ['"192.0.2.0/24"', '"2001:db8::1"']),
    ("bits", "varbit", ['"10101"', '""']),
    ("range", "int4range", ['"[1,5)"', '"empty"']),
    ("point", "point", ['"(1.5,-2)"']),
    ("enum", "mood", ['"so so"', '"great, \\"really\\""']),
    ("domain", "positive", ["7", "12345678901234567890.5"]),
    ("json", "json", ["1", (r'"\"x\""', '"x"'), '[ 1.10,  {"b":1, "a" : "é"}]', "true"]),
    ("jsonb", "jsonb", ["1.10", (r'"\"x\""', '"x"'), ('"[1]"', "[1]"),
                        '{"a": [1.10, null, {"b": 12345678901234567890.123}], "ref": {"$x": 1}}', "true", "[]", "{}"]),
    ("int_array", "int[]", ["[]", "[1,2,3]", "[null]", "[1,null,3]", "[[1,2],[3,4]]"]),
    ("int8_array", "bigint[]", ["[9223372036854775807]"]),
    ("numeric_array", "numeric[]", ["[1.10,12345678901234567890.123456789]"]),
    ("text_array", "text[]", ['[]', '["a","",null,"NULL","null"]', r'["a,b","{c}","\"d\"","e\\f"," g ","h\ni"]',
                              '[["a","b"],["c",null]]']),
    ("jsonb_array", "jsonb[]", [(r'[{"a": 1.10},[1, 2],"\"x\"",null]', '[{"a": 1.10},[1, 2],"x",null]')]),
    ("bool_array", "boolean[]", ["[true,false,null]"]),
    ("address", "address", ['{"street":"Main \\"St\\", 1","zip":"007","tags":["a,b",null]}',
                            '{"street":null,"zip":"","tags":null}']),
    ("addresses", "address[]", ['[{"street":"A, B","zip":"(1)","tags":[]},{"street":null,"zip":null,"tags":null}]']),
]

SCHEMA = """
create type mood as enum ('so so', 'great, "really"', 'bad');
create domain positive as numeric check (value > 0);
create type address as (street text, zip text, tags text[]);
create table note (id bigint generated always as identity primary key, text text, tags text[], doc jsonb,
    at timestamptz);
create table link (a bigint not null references note, b bigint references note);
grant select, insert, update, delete on note, link to writ;
create table large (id bigint primary key, name text unique, key uuid unique, n integer not null default 0);
insert into large (id, name, key) select i, 'name ' || i, md5(i::text)::uuid from generate_series(1, 20000) i;
analyze large;
grant select, update on large to writ;
"""

MANIFEST = """
specVersion: 1
commands:
  note: { sql: "insert into note (text) values (:text) returning id, text", returns: one }
  full_note:
    sql: insert into note (text, tags, doc, at) values (:text, :tags, :doc,
        '2026-11-20T13:05:27.123456Z') returning id, text, tags, doc, at
    args: { text: text, tags: "text[]", doc: jsonb }
    returns: one
  link: { sql: "insert into link (a, b) values (:a, :b)" }
  notes_like: { sql: "select id, text from note where text like :pattern order by id", args: { pattern: text } }
  maybe: { sql: "select id, text, doc from note where text = :text order by id limit 1", returns: optional }
  count_notes: { sql: "select count(*) as n from note", returns: one }
  touch: { sql: "update note set text = text || :with where id = :id returning id, text", returns: one }
  touch_many: { sql: "update note set text = text || '+' where id = any (:ids)", args: { ids: "bigint[]" } }
  rows: { sql: "select i as id, i * 1.10 as price, case when i = 2 then null else 'x' || i end as name from
      generate_series(1, :n::int) i" }
  nothing: { sql: "select 1 as one", returns: none }
  of_large: { sql: "select id, name, key from large where id = :id", returns: one }
  by_id: { sql: "update large set n = n + 1 where id = :id returning n", returns: one }
  by_name: { sql: "update large set n = n + 1 where name = :name returning n", returns: one }
  by_key: { sql: "select n from large where key = :key", returns: one }
  by_ids: { sql: "update large set n = n + 1 where id = any (:ids)" }
  flush: { sql: "select pg_stat_force_next_flush()::text as x", returns: none }
  wide:
    sql: select :a as a, :b as b, :c as c, :d as d, :e as e, :f as f, :g as g, :h as h
    args: { a: text, b: text, c: bigint, d: numeric, e: jsonb, f: jsonb, g: "text[]", h: "bigint[]" }
    returns: one
  ok: { check: ":n > 0", args: { n: integer } }
  pair:
    args: { first: text, with: jsonb }
    commands:
      - note: { text: $args.first }
        as: a
      - echo_jsonb: { v: { id: $a.id, with: $args.with, deep: $args.with.deep } }
        as: b
    result: { a: $a, b: $b.v, list: [$a.id, $a.text], fixed: 1.10 }
""" + "".join(f'  echo_{name}: {{ sql: "select :v as v", args: {{ v: "{type}" }}, returns: one }}\n' for name, type,
    _ in TYPES)


@pytest.fixture(scope="module")
def site(database):
    with harness.Site(database, MANIFEST, inside_workers=2) as site:
        yield site


SETS = pytest.mark.parametrize("kind", ["transactional", "execute"])


def run(site, kind, *commands, **options):
    """A command is (name, args[, as]); args may be JSON text."""
    parts = []
    for name, args, *rest in commands:
        part = f'{{"command": {json.dumps(name)}, "args": {args if isinstance(args, str) else json.dumps(args)}'
        parts.append(part + (f', "as": {json.dumps(rest[0])}' if rest else "") + "}")
    return site.inside.post(f"/command/{kind}_command_set", '{"commands": [' + ", ".join(parts) + "]}", **options)


def ref(path):
    return {"$ref": path}


def exact(answer):
    """Results with each number as the text it came as."""
    assert answer.status == 200, answer
    body = json.loads(answer.body, parse_int=lambda text: ("number", text), parse_float=lambda text: ("number", text),
                      parse_constant=lambda text: pytest.fail(text))
    return [entry["result"] for entry in body["results"]]


def pairs(values):
    return [value if isinstance(value, tuple) else (value, value) for value in values]


def as_numbers(value):
    """Exact results, with numbers as numbers: 1e2 is 100."""
    if isinstance(value, tuple):
        return decimal.Decimal(value[1])
    if isinstance(value, dict):
        return {key: as_numbers(item) for key, item in value.items()}
    return [as_numbers(item) for item in value] if isinstance(value, list) else value


def parsed(text):
    return json.loads(text, parse_int=lambda text: ("number", text), parse_float=lambda text: ("number", text))


# ---------------------------------------------------------------------------------------------------- values


@SETS
@pytest.mark.parametrize("name, values", [(name, values) for name, _, values in TYPES], ids=[row[0] for row in TYPES])
def test_value_keeps_type_and_digits(site, kind, name, values):
    for value, expected in pairs([*values, "null"]):
        answer = run(site, kind, (f"echo_{name}", f'{{"v": {value}}}', "a"),
                     (f"echo_{name}", '{"v": {"$ref": "a.v"}}', "b"),
                     (f"echo_{name}", '{"v": {"$ref": "b.v"}}'))
        first, second, third = exact(answer)
        assert first == {"v": parsed(expected)}, "the value itself"
        assert second == first, f"{value} by reference"
        assert third == first, f"{value} by reference to a reference"


@SETS
@pytest.mark.parametrize("name, values", [(name, values) for name, _, values in TYPES], ids=[row[0] for row in TYPES])
def test_value_inside_jsonb(site, kind, name, values):
    """A value put into a jsonb argument is what it is in the result: numbers stay numbers with all their digits."""
    for value, _ in pairs([*values, "null"]):
        answer = run(site, kind, (f"echo_{name}", f'{{"v": {value}}}', "a"),
                     ("echo_jsonb", '{"v": {"x": [1.10, {"$ref": "a.v"}, {"y": {"$ref": "a.v"}}], "z": "$ref"}}'))
        first, second = exact(answer)
        first["fixed"] = ("number", "1.10")
        if name.startswith("float"):  # jsonb has numeric inside: the same number, in other words
            first, second = as_numbers(first), as_numbers(second)
        once = first["v"]
        fixed = first["fixed"]
        assert second["v"] == {"x": [fixed, once, {"y": once}], "z": "$ref"}, value


@SETS
@pytest.mark.parametrize("source, value, target, expected", [
    ("int8", "9007199254740993", "text", '"9007199254740993"'),
    ("int8", "5", "numeric", "5"),
    ("numeric", "1.10", "text", '"1.10"'),
    ("text", '"12"', "int4", "12"),
    ("text", '"{1,2}"', "int_array", "[1,2]"),
    ("text", '"so so"', "enum", '"so so"'),
    ("enum", '"so so"', "text", '"so so"'),
    ("uuid", '"0198c5f0-7b1e-7c3d-9a4e-5f6071829304"', "text", '"0198c5f0-7b1e-7c3d-9a4e-5f6071829304"'),
    ("int_array", "[1,2]", "int8_array", "[1,2]"),
    ("int_array", "[1,2]", "text_array", '["1","2"]'),
    ("int_array", "[1,2]", "jsonb", "[1,2]"),
    ("jsonb", "[1, 2]", "int_array", "[1,2]"),
    ("jsonb", "7", "int4", "7"),
    ("jsonb", r'"\"so so\""', "enum", '"so so"'),
    ("address", '{"street":"a","zip":"b","tags":["c"]}', "jsonb", '{"street":"a","zip":"b","tags":["c"]}'),
    ("jsonb", '{"street":"a","zip":"b","tags":["c"]}', "address", '{"street":"a","zip":"b","tags":["c"]}'),
    ("text", '"x"', "jsonb", '"x"'),
    ("text", '"[1]"', "jsonb", '"[1]"'),
    ("text", "null", "jsonb", "null"),
])
def test_value_of_another_type(site, kind, source, value, target, expected):
    answer = run(site, kind, (f"echo_{source}", f'{{"v": {value}}}', "a"), (f"echo_{target}", '{"v": {"$ref": "a.v"}}'))
    assert exact(answer)[1] == {"v": parsed(expected)}


@SETS
@pytest.mark.parametrize("source, value, target", [
    ("text", '"x"', "int4"), ("numeric", "1.5", "int4"), ("int8", "3000000000", "int4"), ("text", '"nobody"', "enum"),
    ("numeric", "-1", "domain"), ("jsonb", '{"a": 1}', "int4"), ("jsonb", '{"no": 1}', "int_array"),
])
def test_value_that_does_not_fit(site, database, kind, source, value, target):
    before = database.one("select count(*) from note")
    answer = run(site, kind, (f"echo_{source}", f'{{"v": {value}}}', "a"), ("note", {"text": "x"}),
                 (f"echo_{target}", '{"v": {"$ref": "a.v"}}'))
    assert answer.status in (400, 422), answer
    assert answer.code in ("BAD_ARGUMENT", "BAD_REFERENCE", "DATA_ERROR", "CHECK_VIOLATION"), answer
    assert (answer.json["index"], answer.json["command"]) == (2, f"echo_{target}")
    assert database.one("select count(*) from note") == before + (1 if kind == "execute" else 0)


# ---------------------------------------------------------------------------------------------------- places


@SETS
def test_chain(site, database, kind):
    answer = run(site, kind, ("note", {"text": "parent"}, "p"), ("note", {"text": "child"}, "c"),
                 ("link", {"a": ref("p.id"), "b": ref("c.id")}), ("link", {"a": ref("c.id"), "b": None}),
                 ("touch", {"id": ref("p.id"), "with": ref("c.text")}))
    parent, child = answer.results[0]["id"], answer.results[1]["id"]
    assert answer.results[4] == {"id": parent, "text": "parentchild"}
    assert database.execute("select a, b from link order by a desc limit 2") == [(child, None), (parent, child)]


@SETS
def test_a_long_chain(site, kind):
    commands = [("echo_numeric", '{"v": 1234567890.10}', "n0")]
    commands += [("echo_numeric", ref_args, f"n{i}") for i in range(1, 60) for ref_args in [{"v": ref(f"n{i - 1}.v")}]]
    results = exact(run(site, kind, *commands))
    assert results == [{"v": ("number", "1234567890.10")}] * 60


@SETS
def test_into_json_columns(site, kind):
    doc = '{"key": {"list": [5, {"price": 1.10}], "null": null, "": "empty", "a b": "blank", "0": "zero"}, "top": "text"}'
    start = ("full_note", f'{{"text": "json", "tags": ["t0", "t1"], "doc": {doc}}}', "n")
    answer = run(site, kind, start,
                 ("echo_int4", {"v": ref("n.doc.key.list.0")}), ("echo_numeric", {"v": ref("n.doc.key.list.1.price")}),
                 ("echo_text", {"v": ref("n.doc.top")}), ("echo_text", {"v": ref("n.doc.key.null")}),
                 ("echo_jsonb", {"v": ref("n.doc.key.list")}), ("echo_jsonb", {"v": {"x": ref("n.doc.key.null")}}),
                 ("echo_text", {"v": ref("n.doc.key.a b")}), ("echo_text", {"v": ref("n.doc.key.0")}),
                 ("echo_jsonb", {"v": ref("n.doc")}), ("echo_text_array", {"v": ref("n.tags")}),
                 ("echo_text", {"v": ref("n.tags.1")}))
    results = [result["v"] for result in exact(answer)[1:]]
    number = lambda text: ("number", text)
    assert results == [number("5"), number("1.10"), "text", None, [number("5"), {"price": number("1.10")}], {"x": None},
                       "blank", "zero", parsed(doc), ["t0", "t1"], "t1"]


@SETS
def test_into_many(site, kind):
    answer = run(site, kind, ("rows", {"n": 3}, "r"), ("echo_int4", {"v": ref("r.0.id")}),
                 ("echo_numeric", {"v": ref("r.2.price")}),
                 ("echo_text", {"v": ref("r.1.name")}), ("echo_jsonb", {"v": ref("r")}),
                 ("echo_jsonb", {"v": [ref("r.2"), ref("r.0.name")]}),
                 ("echo_int_array", {"v": [ref("r.2.id"), None, ref("r.0.id")]}))
    number = lambda text: ("number", text)
    rows = [{"id": number("1"), "price": number("1.10"), "name": "x1"},
            {"id": number("2"), "price": number("2.20"), "name": None},
            {"id": number("3"), "price": number("3.30"), "name": "x3"}]
    assert exact(answer) == [rows, {"v": number("1")}, {"v": number("3.30")}, {"v": None}, {"v": rows},
                             {"v": [rows[2], "x1"]},
                             {"v": [number("3"), None, number("1")]}]


@SETS
def test_into_optional(site, kind):
    run(site, "execute", ("note", {"text": f"optional {kind}"}))
    found, missing = ("maybe", {"text": f"optional {kind}"}, "m"), ("maybe", {"text": "not there"}, "m")
    assert run(site, kind, found, ("echo_text", {"v": ref("m.text")})).results[1] == {"v": f"optional {kind}"}
    assert run(site, kind, found, ("echo_jsonb", {"v": ref("m.doc")})).results[1] == {"v": None}  # the column is null
    assert run(site, kind, missing, ("echo_jsonb", {"v": ref("m")})).results[1] == {"v": None}  # the result is null
    answer = run(site, kind, missing, ("echo_text", {"v": ref("m.text")}))
    assert (answer.code, answer.status) == ("BAD_REFERENCE", 400)


@SETS
def test_other_results(site, kind):
    answer = run(site, kind, ("ok", {"n": 1}, "c"), ("touch_many", {"ids": [-1]}, "n"), ("nothing", {}, "z"),
                 ("count_notes", {}, "one"),
                 ("echo_jsonb", {"v": [ref("c"), ref("n"), ref("z"), ref("one")]}), ("echo_boolean", {"v": ref("c")}),
                 ("echo_int4", {"v": ref("n")}))
    results = answer.results
    assert results[4]["v"] == [True, 0, None, results[3]]
    assert results[5:] == [{"v": True}, {"v": 0}]


@SETS
def test_inside_arrays_and_composite_types(site, database, kind):
    answer = run(site, kind, ("note", {"text": 'a "quoted", {braced} \\ text'}, "a"), ("note", {"text": None}, "b"),
                 ("touch_many", {"ids": [ref("a.id"), ref("b.id")]}),
                 ("echo_text_array", {"v": [ref("a.text"), "x", None, ref("b.text")]}),
                 ("echo_text_array", {"v": [[ref("a.text"), "x"], ["y", ref("b.text")]]}),
                 ("echo_address", {"v": {"street": ref("a.text"), "tags": [ref("b.text"), ref("a.text")]}}),
                 ("echo_addresses", {"v": [{"zip": ref("a.text")}, None]}),
                 ("echo_jsonb_array", {"v": [{"id": ref("a.id")}, ref("b.text"), 1]}))
    results = answer.results
    text = 'a "quoted", {braced} \\ text'
    assert results[2] == 2
    assert results[3] == {"v": [text, "x", None, None]}
    assert results[4] == {"v": [[text, "x"], ["y", None]]}
    assert results[5] == {"v": {"street": text, "zip": None, "tags": [None, text]}}
    assert results[6] == {"v": [{"street": None, "zip": text, "tags": None}, None]}
    assert results[7]["v"][0] == {"id": results[0]["id"]} and results[7]["v"][2] == 1


@SETS
def test_into_composites(site, kind):
    answer = run(site, kind, ("pair", {"first": "one", "with": {"deep": 1}}, "p"),
                 ("pair", {"first": ref("p.a.text"), "with": {"deep": ref("p.list.0"), "all": ref("p.b")}}, "q"),
                 ("echo_int8", {"v": ref("q.b.deep")}), ("echo_numeric", {"v": ref("q.fixed")}),
                 ("echo_jsonb", {"v": ref("p")}),
                 ("link", {"a": ref("p.a.id"), "b": ref("q.list.0")}))
    p, q, deep, fixed, whole, linked = exact(answer)
    assert p["fixed"] == ("number", "1.10") and p["list"] == [p["a"]["id"], "one"]
    assert q["a"]["text"] == "one" and q["b"]["with"] == {"deep": p["a"]["id"],
                                                          "all": p["b"]} and q["b"]["deep"] == p["a"]["id"]
    assert deep["v"] == p["a"]["id"] and fixed["v"] == ("number", "1.10") and whole["v"] == p


# ------------------------------------------------------------------------------------------------- what is no reference


@SETS
def test_literal(site, kind):
    answer = run(site, kind, ("echo_jsonb", {"v": {"$literal": {"$ref": "a.v"}}}, "a"),
                 ("echo_int4", {"v": {"$literal": 5}}),
                 ("echo_jsonb", {"v": {"x": {"$literal": {"$literal": 1}}, "y": ref("a.v")}}),
                 ("echo_jsonb", {"v": {"$ref": "a.v", "more": 1}}), ("echo_jsonb", {"v": {"$literal": 1, "more": 1}}),
                 ("echo_jsonb", {"v": {"$literal": None}}), ("echo_jsonb", {"v": ["$ref", "$literal", {"ref": "a.v"}]}))
    assert [result["v"] for result in answer.results] == [
        {"$ref": "a.v"}, 5, {"x": {"$literal": 1}, "y": {"$ref": "a.v"}}, {"$ref": "a.v", "more": 1},
        {"$literal": 1, "more": 1},
        None, ["$ref", "$literal", {"ref": "a.v"}]]


def test_outside_of_sets_it_is_data(site):
    for value in ({"$ref": "a.v"}, {"$literal": 1}, [{"$ref": 5}], {"x": {"$ref": "no"}}):
        assert site.inside.command("echo_jsonb", {"v": value}).result == {"v": value}
    assert site.inside.command("echo_int4", {"v": {"$ref": "a.v"}}).code == "BAD_ARGUMENT"


# ---------------------------------------------------------------------------------------------------- errors


@SETS
@pytest.mark.parametrize("path", ["no", "no.id", "later.id", "self.v", "x.none", "many.0.none", "many.none", "", ".",
                                  "x.", "x..id", ".id",
                                  5, None, ["x.id"], {"x": 1}])
@pytest.mark.parametrize("where", ["plain", "deep"])
def test_reference_to_nothing_is_refused_before_anything_runs(site, database, kind, path, where):
    before = database.one("select count(*) from note"), database.one("select last_value from note_id_seq")
    value = {"$ref": path} if where == "plain" else {"a": [{"$ref": path}]}
    answer = run(site, kind, ("note", {"text": "never"}, "x"), ("rows", {"n": 1}, "many"),
                 ("echo_jsonb", {"v": value}, "self"),
                 ("note", {"text": "later"}, "later"))
    assert (answer.code, answer.status) == ("BAD_REFERENCE", 400), answer
    problem = answer.json
    assert (problem["index"], problem["command"], problem["argument"]) == (2, "echo_jsonb", "v")
    assert problem["path"] == "/commands/2/args/v"
    assert (database.one("select count(*) from note"), database.one("select last_value from note_id_seq")) == before


@SETS
@pytest.mark.parametrize("path", ["r.3.id", "r.99999999999999999999.id", "j.v.none", "j.v.list.2", "j.v.list.x",
                                  "j.v.text.x", "j.v.null.x",
                                  "m.id", "j.v.list.-1", "j.v.list.01x"])
@pytest.mark.parametrize("target", ["text", "jsonb", "inside"])
def test_value_that_is_not_there_fails_the_set(site, database, kind, path, target):
    before = database.one("select count(*) from note")
    args = {"v": {"deep": [ref(path)]}} if target == "inside" else {"v": ref(path)}
    name = "echo_text" if target == "text" else "echo_jsonb"
    answer = run(site, kind, ("note", {"text": "undone"}), ("rows", {"n": 3}, "r"), ("maybe", {"text": "nobody"}, "m"),
                 ("echo_jsonb", {"v": {"list": [1, 2], "text": "t", "null": None}}, "j"), (name, args),
                 ("note", {"text": "after"}))
    assert (answer.code, answer.status) == ("BAD_REFERENCE", 400), answer
    assert (answer.json["index"], answer.json["command"]) == (4, name)
    assert database.one("select count(*) from note") == before + (1 if kind == "execute" else 0)


@SETS
def test_null_by_reference_is_null(site, kind):
    answer = run(site, kind, ("echo_int8", {"v": None}, "a"), ("echo_int8", {"v": ref("a.v")}),
                 ("echo_jsonb", {"v": ref("a.v")}),
                 ("echo_jsonb", {"v": [ref("a.v")]}), ("link", {"a": ref("a.v"), "b": None}))
    assert (answer.code, answer.status) == ("NOT_NULL_VIOLATION", 422)
    assert answer.json["index"] == 4 and answer.json["column"] == "a"


def test_references_of_a_dry_run(site, database):
    before = database.one("select count(*) from note")
    for kind in ("transactional", "execute"):
        answer = run(site, kind, ("note", {"text": "dry"}, "a"), ("touch", {"id": ref("a.id"), "with": "!"}),
                     headers={"Prefer": "tx=rollback"})
        assert answer.results[1]["text"] == "dry!"
    assert database.one("select count(*) from note") == before


def test_nothing_of_an_earlier_request_can_be_seen(database):
    """Values are kept on the server for the time of the transaction only: one worker, one connection."""
    with harness.Site(database, MANIFEST, inside_workers=1) as site:
        assert run(site, "transactional", ("echo_text", {"v": "secret"}, "a"),
                   ("echo_text", {"v": ref("a.v")})).status == 200
        failed = run(site, "transactional", ("echo_text", {"v": "secret"}, "a"), ("ok", {"n": 0}),
                     ("echo_text", {"v": ref("a.v")}))
        assert failed.code == "CHECK_FAILED"
        missing = run(site, "transactional", ("maybe", {"text": "nobody"}, "a"), ("echo_text", {"v": ref("a.text")}))
        assert missing.code == "BAD_REFERENCE" and "secret" not in missing.text
        assert run(site, "transactional", ("echo_text", {"v": None}, "a"),
                   ("echo_text", {"v": ref("a.v")})).results[1] == {"v": None}


def test_an_index_is_used(site, database):
    scans = "select seq_scan, idx_scan from pg_stat_user_tables where relname = 'large'"
    assert site.inside.command("flush").status == 200
    ((before, by_index),) = database.execute(scans)
    commands = [("of_large", {"id": 4711}, "a"), ("by_id", {"id": ref("a.id")}), ("by_name", {"name": ref("a.name")}),
                ("by_key", {"key": ref("a.key")}),
                ("by_ids", {"ids": [ref("a.id"), 5]})]
    for _ in range(8):  # the sixth time PostgreSQL may take a generic plan
        assert run(site, "transactional", *commands, ("flush", {})).results[4] == 2
        assert run(site, "execute", *commands, ("flush", {})).results[4] == 2
    ((after, by_index_after),) = database.execute(scans)
    assert after == before, "the table was read from end to end"
    assert by_index_after >= by_index + 80


def test_many_references_to_a_large_value(site):
    text = "x" * 20000 + "é"
    commands = [("echo_text", {"v": text}, "a")] + [("echo_text", {"v": ref("a.v")}) for _ in range(20)]
    results = run(site, "transactional", *commands).results
    assert all(result == {"v": text} for result in results)


def test_every_way_to_give_arguments(site):
    """Each argument as a value or by reference makes a statement of its own: far more of them than a worker keeps, and
    more in one set than fit into one place of its table."""
    chance = random.Random(5)
    values = {"a": "text", "b": None, "c": 9007199254740993, "d": "1.10", "e": {"x": [1]}, "f": [None],
              "g": ["a,b", None], "h": [1, 2]}
    expected = {**values, "d": 1.1}
    for attempt in range(40):
        commands, given = [("wide", values, "w0")], 1
        for i in range(60):
            args = {name: ref(f"w{chance.randrange(given)}.{name}") if chance.random() < 0.5 else value for name,
                    value in values.items()}
            args["e"] = chance.choice([args["e"], {"x": [ref("w0.h.0")]}])
            args["g"] = chance.choice([args["g"], [ref("w0.g.0"), None]])
            if chance.random() < 0.7:
                commands.append(("wide", args, f"w{given}"))
                given += 1
            else:
                commands.append(("wide", args))
        if attempt % 3 == 2:  # what stands behind it is neither run nor prepared
            commands.insert(chance.randrange(1, len(commands)), ("ok", {"n": 0}))
            assert run(site, "transactional", *commands).code == "CHECK_FAILED"
        else:
            assert run(site, "transactional", *commands).results == [expected] * 61


def test_float_is_the_same_number(site):
    for value in (math.pi, 2 ** 0.5, 1 / 3, 1.7976931348623157e308, 2.2250738585072014e-308):
        first, second = run(site, "transactional", ("echo_float8", {"v": value}, "a"),
                            ("echo_float8", {"v": ref("a.v")})).results
        assert first["v"] == second["v"] == value
