"""JSON in and out: what is refused, numbers digit for digit, every type of PostgreSQL, Unicode, limits."""

import json
import random
import re

import pytest

import harness

SCHEMA = """
create type mood as enum ('sad', 'ok', 'happy day');
create domain percent as numeric(5,2) check (value between 0 and 100);
create domain names as text[] check (cardinality(value) < 4);
create type point3 as (x int, y numeric, label text);
create type line3 as (start point3, stop point3, marks int[]);
create table everything (
  id bigint generated always as identity primary key,
  doc jsonb, n numeric, price numeric(10,2), f double precision, t text);
grant select, insert on everything to writ;
create table log (text text);
grant select, insert on log to writ;
"""

TYPES = {
    "smallint": "smallint", "integer": "integer", "bigint": "bigint", "numeric": "numeric", "real": "real",
    "float8": "double precision", "money": "money", "oid": "oid", "boolean": "boolean", "text": "text",
    "varchar": "varchar", "char": "char(3)",
    "name": "name", "bytea": "bytea", "date": "date", "time": "time", "timetz": "timetz", "timestamp": "timestamp",
    "timestamptz": "timestamptz", "interval": "interval", "uuid": "uuid", "inet": "inet", "cidr": "cidr",
    "macaddr": "macaddr",
    "bit": "bit(4)", "varbit": "varbit", "point": "point", "box": "box", "int4range": "int4range",
    "tstzrange": "tstzrange",
    "nummultirange": "nummultirange", "tsvector": "tsvector", "xml": "xml", "json": "json", "jsonb": "jsonb",
    "jsonpath": "jsonpath",
    "mood": "mood", "percent": "percent", "names": "names", "point3": "point3", "line3": "line3",
    "ints": "int[]", "bigints": "bigint[]", "numerics": "numeric[]", "texts": "text[]", "bools": "boolean[]",
    "uuids": "uuid[]", "moods": "mood[]",
    "jsons": "json[]", "jsonbs": "jsonb[]", "points": "point[]", "boxes": "box[]", "point3s": "point3[]",
    "byteas": "bytea[]", "dates": "date[]",
}

MANIFEST = """
specVersion: 1
commands:
  insert_log: { sql: "insert into log (text) values (:text)" }
  store:
    sql: insert into everything (doc, n, price, f, t) values (:doc, :n, :price, :f, :t) returning doc, n, price, f, t
    args: { doc: { type: jsonb, default: null }, n: { type: numeric, default: null },
            price: { type: numeric, default: null },
            f: { type: double precision, default: null }, t: { type: text, default: null } }
    returns: one
  many: { sql: "select i as n from generate_series(1, :n::int) i" }
  other_many: { sql: "insert into everything (n) select i from generate_series(1, :n::int) i returning n" }
  large: { sql: "select repeat('x', :n::int) as text", returns: one }
  large_rows: { sql: "select repeat('x', 100) as text from generate_series(1, :n::int)" }
  renders:
    sql: >
      select null::int as nothing, 9223372036854775807 as int8, 1.10 as numeric, 0.1::float8 as float8,
             'NaN'::float8 as nan,
             '-Infinity'::float8 as infinity, 'x'::bytea as bytea, array[[1,2],[3,null]] as array,
             row(1, 'a')::record as record,
             '{"b": 1.10, "a": [ ]}'::json as json, '{"b": 1.10, "a": [ ]}'::jsonb as jsonb, true as boolean,
             date '2026-11-20' as date, timestamptz '2026-11-20 12:00+02' as timestamptz, interval '1 day' as interval,
             '{}'::text[] as empty, e'tab\\t quote" back\\\\slash nl\\n bell\\u0007 é 👋' as text
    returns: one
""" + "".join(f'  t_{name}: {{ sql: "select :v as v", args: {{ v: "{type}" }}, returns: one }}\n' for name,
    type in TYPES.items())


@pytest.fixture(scope="module")
def site(database):
    limits = {"body_bytes": 200000, "depth": 20, "commands": 10, "rows": 50, "result_bytes": 100000}
    with harness.Site(database, MANIFEST, limits=limits, inside_workers=2) as site:
        yield site


def echo(site, name, text):
    """The answer to {"v": TEXT} for an argument of type NAME."""
    return site.inside.command(f"t_{name}", f'{{"v":{text}}}')


def value(answer):
    """The JSON text of v, as it came."""
    assert answer.status == 200, answer
    return re.fullmatch(r'\{"result":\{"v":(.*)\}\}', answer.text, re.DOTALL).group(1)


# ---------------------------------------------------------------------------------------------------- strictness

NOT_JSON = {
    "nothing but blanks": b"  \n\t ", "cut": b'{"v": 1', "cut text": b'{"v": "x', "no value": b'{"v": }',
    "no colon": b'{"v" 1}',
    "comma at the end": b'{"v": 1,}', "comma in an array": b'{"v": [1,]}', "two values": b'{"v": 1} {}',
    "garbage behind": b'{"v": 1}x',
    "single quotes": b"{'v': 1}", "bare key": b"{v: 1}", "comment": b'{"v": 1} // x',
    "block comment": b'/* x */ {"v": 1}',
    "duplicate": b'{"v": 1, "v": 1}', "duplicate by escape": rb'{"v": 1, "\u0076": 2}',
    "duplicate below": b'{"v": {"a": 1, "b": 2, "a": 3}}',
    "duplicate in an array": b'{"v": [{"a": 1, "a": 1}]}',
    "bare 0x80": b'{"v": "\x80"}', "cut UTF-8": b'{"v": "\xc3"}', "overlong": b'{"v": "\xc0\xaf"}',
    "overlong NUL": b'{"v": "\xc0\x80"}',
    "surrogate in UTF-8": b'{"v": "\xed\xa0\x80"}', "above U+10FFFF": b'{"v": "\xf4\x90\x80\x80"}',
    "Latin-1": '{"v": "é"}'.encode("latin-1"),
    "UTF-16": '{"v": 1}'.encode("utf-16"), "UTF-8 with a BOM": b'\xef\xbb\xbf{"v": 1}',
    "bad UTF-8 in a key": b'{"\xff": 1}',
    "lone high surrogate": rb'{"v": "\ud800"}', "lone low surrogate": rb'{"v": "\udc00"}',
    "surrogates reversed": rb'{"v": "\udc00\ud800"}',
    "two high surrogates": rb'{"v": "\ud800\ud800"}', "high and text": rb'{"v": "\ud83dx"}',
    "lone in a key": rb'{"\ud800": 1}',
    "NUL escape": rb'{"v": "\u0000"}', "NUL in a key": rb'{"\u0000": 1}', "raw NUL": b'{"v": "a\x00b"}',
    "NUL behind": b'{"v": 1}\x00',
    "raw newline in text": b'{"v": "a\nb"}', "raw tab in text": b'{"v": "a\tb"}', "bad escape": rb'{"v": "\x41"}',
    "short \\u": rb'{"v": "\u12"}',
    "NaN": b'{"v": NaN}', "Infinity": b'{"v": Infinity}', "-Infinity": b'{"v": -Infinity}', "True": b'{"v": True}',
    "undefined": b'{"v": undefined}',
    "01": b'{"v": 01}', "+1": b'{"v": +1}', ".5": b'{"v": .5}', "1.": b'{"v": 1.}', "1e": b'{"v": 1e}',
    "1e+": b'{"v": 1e+}', "-": b'{"v": -}',
    "--1": b'{"v": --1}', "0x10": b'{"v": 0x10}', "1_000": b'{"v": 1_000}', "1,5": b'{"v": 1,5}', "-01": b'{"v": -01}',
    "full-width": '{"v": １}'.encode(),
    "too deep": b'{"v": ' + b"[" * 20 + b"]" * 20 + b"}", "too deep objects": b'{"v":' * 21 + b"1" + b"}" * 21,
    "very deep": b"[" * 50000,
}


@pytest.mark.parametrize("name", NOT_JSON)
def test_what_is_no_json_is_refused(site, name):
    for path in ("/command/t_jsonb", "/command/transactional_command_set"):
        answer = site.inside.post(path, NOT_JSON[name])
        assert (answer.code, answer.status) == ("BAD_JSON", 400), answer
        assert answer.json["detail"]


@pytest.mark.parametrize("text", [
    '{"v":1}', ' \r\n\t{ "v" : 1 }\n', '{"\\u0076":1}', '{"v":[]}', '{"v":{}}', '{"v":"\\/"}', '{"v":"\\ud83d\\udc4b"}',
    '{"v":"\x7f"}', '{"v":"\uffff\ufffe"}',
    '{"v":' + "[" * 19 + "]" * 19 + "}",
])
def test_what_is_json_is_taken(site, text):
    if text == '{"v":"\\/"}' or '"v":"' in text:
        text = text.replace('"v":"', '"v":["').replace('"}', '"]}')
    answer = site.inside.command("t_jsonb", text)
    assert answer.result == {"v": json.loads(text)["v"]}


# ---------------------------------------------------------------------------------------------------- numbers

NUMBERS = ["0", "1", "-1", "1.10", "1.0", "0.1", "-0.5", "1.000000000000000000000000000000",
           "12345678901234567890.123456789",
           "9007199254740993", "9223372036854775807", "9223372036854775808", "1" * 38, "1" * 130, "0." + "0" * 60 + "1",
           "-" + "9" * 100 + ".5"]


@pytest.mark.parametrize("number", NUMBERS)
def test_numeric_digit_for_digit(site, number):
    assert value(echo(site, "numeric", number)) == number
    assert value(echo(site, "numeric", f'"{number}"')) == number
    assert value(echo(site, "numerics", f"[{number},null,{number}]")) == f"[{number},null,{number}]"
    assert value(echo(site, "jsonb", number)) == number
    assert value(echo(site, "jsonb", f'{{"a": [{number}]}}')) == f'{{"a": [{number}]}}'
    assert value(echo(site, "json", f'{{"a":[ {number}]}}')).replace(" ", "") == f'{{"a":[{number}]}}'


@pytest.mark.parametrize("number, numeric, jsonb", [
    ("1e2", "100", "100"), ("1E+2", "100", "100"), ("12.50e1", "125.0", "125.0"), ("1e-3", "0.001", "0.001"),
    ("-0", "0", "0"), ("-0.0", "0.0", "0.0"),
    ("1e40", "1" + "0" * 40, "1" + "0" * 40), ("1e400", "1" + "0" * 400, "1" + "0" * 400), ("0e99999999", None, None),
])
def test_exponents(site, number, numeric, jsonb):
    answer = echo(site, "numeric", number)
    if numeric is None:
        assert answer.status == 200 or answer.code == "BAD_ARGUMENT", answer
        return
    assert value(answer) == numeric
    assert value(echo(site, "jsonb", number)) == jsonb


@pytest.mark.parametrize("number", ["-0", "1e400", "1.10", "1E5", "12345678901234567890123456789.000"])
def test_json_keeps_the_very_text_of_numbers(site, number):
    """Type json keeps its input, and so does what stands between."""
    assert value(echo(site, "json", f"[{number}]")).replace(" ", "") == f"[{number}]"


@pytest.mark.parametrize("sent, comes", [
    ("0.1", "0.1"), ("1", "1"), ("1.10", "1.1"), ("0.30000000000000004", "0.30000000000000004"), ("1e308", "1e+308"),
    ("5e-324", "5e-324"), ("-0", "-0"), ("-0.0", "-0"),
    ("1.7976931348623157e308", "1.7976931348623157e+308"), ("9007199254740993", "9.007199254740992e+15"),
    ('"NaN"', '"NaN"'), ('"Infinity"', '"Infinity"'),
    ('"-inf"', '"-Infinity"'), ("1e-5", "1e-05"),
])
def test_float8(site, sent, comes):
    assert value(echo(site, "float8", sent)) == comes
    assert value(echo(site, "float8", comes)) == comes  # what came reads back as the same


@pytest.mark.parametrize("name, sent, comes", [
    ("integer", "1.0", "1"), ("integer", "1e2", "100"), ("integer", "-1.5e1", "-15"), ("integer", "-0", "0"),
    ("integer", "2147483647", "2147483647"),
    ("bigint", "9223372036854775807", "9223372036854775807"),
    ("bigint", "-9223372036854775808", "-9223372036854775808"),
    ("bigint", "9.223372036854775807e18", "9223372036854775807"),
    ("bigint", "0e999999999", "0"), ("smallint", "32767.000", "32767"), ("smallint", "100e-2", "1"),
    ("ints", "[1.0, 1e1]", "[1,10]"),
])
def test_whole_numbers(site, name, sent, comes):
    assert value(echo(site, name, sent)) == comes


@pytest.mark.parametrize("name, sent", [
    ("integer", "1.5"), ("integer", "1e-1"), ("integer", "2147483648"), ("integer", "1e400"),
    ("integer", "1e999999999999"), ("integer", "-2147483649"), ("integer", '"1.5"'),
    ("integer", '""'), ("integer", '"0x10"'), ("integer", '"1 2"'), ("smallint", "32768"),
    ("bigint", "9223372036854775808"), ("bigint", "1e19"), ("bigint", "1" * 500),
    ("real", "1e400"), ("float8", "1e400"), ("float8", "-1e309"), ("float8", "1e-400"), ("numeric", "1e200000"),
    ("numeric", "1e999999999999"), ("numeric", '"1,5"'),
    ("ints", "[1, 1.5]"), ("ints", "[1, 1e400]"), ("percent", '"x"'), ("jsonb", '{"a": 1e999999}'),
])
def test_numbers_that_do_not_fit(site, name, sent):
    answer = echo(site, name, sent)
    assert (answer.code, answer.status) == ("BAD_ARGUMENT", 400), answer
    assert (answer.json["argument"], answer.json["path"]) == ("v", "/v")
    commands = f'{{"command":"many","args":{{"n":1}}}},{{"command":"t_{name}","args":{{"v":{sent}}}}}'
    in_set = site.inside.post("/command/transactional_command_set", f'{{"commands":[{commands}]}}')
    assert (in_set.code, in_set.json["index"], in_set.json["path"]) == ("BAD_ARGUMENT", 1, "/commands/1/args/v"), in_set


def test_the_promise_ends_at_the_parameter(site):
    answer = site.inside.command("store",
                                 '{"n": 1.10, "price": 1.005, "f": 0.10, "doc": [1.10, -0.0, 12345678901234567890.10]}')
    assert answer.text == (
        '{"result":{"doc":[1.10, 0.0, 12345678901234567890.10],"n":1.10,"price":1.01,"f":0.1,"t":null}}')
    answer = site.inside.command("store", '{"price": 123456789.00}')
    # The column's, not the argument's:
    assert (answer.code, answer.status, answer.json["sqlstate"]) == ("DATA_ERROR", 422, "22003")


# ---------------------------------------------------------------------------------------------------- types

VALUES = [  # type, what is sent, what comes (None: the same)
    ("smallint", "5", None), ("money", '"$1.10"', None), ("oid", "4294967295", '"4294967295"'),
    ("boolean", "true", None), ("boolean", '"yes"', "true"), ("boolean", "false", None),
    ("text", '""', None), ("text", '" \\" "', None), ("text", '"1"', None), ("varchar", '"ä"', None),
    ("char", '"ab"', '"ab "'), ("name", '"n"', None),
    ("bytea", '"\\\\x00ff"', None), ("bytea", '"abc"', '"\\\\x616263"'), ("date", '"2026-02-28"', None),
    ("date", '"20 Nov 2026"', '"2026-11-20"'),
    ("time", '"04:05:06.789"', None), ("timetz", '"04:05:06+02"', None), ("timestamp", '"2026-11-20T04:05:06"', None),
    ("timestamptz", '"2026-11-20T04:05:06+02:00"', '"2026-11-20T02:05:06+00:00"'),
    ("timestamptz", '"2026-11-20T04:05:06Z"', '"2026-11-20T04:05:06+00:00"'),
    ("interval", '"P1DT2H"', '"1 day 02:00:00"'), ("uuid", '"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"',
                                                   '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"'),
    ("inet", '"::1"', None), ("cidr", '"10.0.0.0/8"', None), ("macaddr", '"08:00:2b:01:02:03"', None),
    ("bit", '"1010"', None), ("varbit", '"1"', None),
    ("point", '"(1,2)"', None), ("box", '"(2,2),(1,1)"', None), ("int4range", '"[1,3]"', '"[1,4)"'),
    ("nummultirange", '"{[1,2),[3,4)}"', None),
    ("tsvector", "\"'a':1\"", None), ("xml", '"<a>1</a>"', None), ("jsonpath", '"$.\\"a\\""', None),
    ("mood", '"happy day"', None), ("percent", "99.50", None), ("percent", "5", "5.00"), ("names", '["a","b"]', None),
    ("point3", '{"x":1,"y":1.10,"label":"l"}', None),
    ("point3", '{"label":"only, \\"one\\" (\\\\)"}', '{"x":null,"y":null,"label":"only, \\"one\\" (\\\\)"}'),
    ("point3", '{}', '{"x":null,"y":null,"label":null}'), ("point3", '"(1,2,abc)"', '{"x":1,"y":2,"label":"abc"}'),
    ("point3", '{"x":1.0,"y":1e1,"label":""}', '{"x":1,"y":10,"label":""}'),
    ("line3", '{"start":{"x":1,"y":2,"label":"a\\"b"},"stop":{"x":null,"y":null,"label":null},"marks":[1,null]}', None),
    ("line3", '{"stop":null}', '{"start":null,"stop":null,"marks":null}'),
    ("point3s", '[{"x":1,"y":null,"label":"a,b"},null]', None),
    ("ints", "[]", None), ("ints", "[null]", None), ("ints", "[[1,2],[3,4]]", None), ("ints", '["1", 2]', "[1,2]"),
    ("ints", '"{1,2}"', "[1,2]"), ("ints", "[[[1]],[[2]]]", None),
    ("texts", '["","null",null,"a,b","{}","\\"","\\\\"," "]', None), ("texts", '["NULL"]', None),
    ("bools", "[true,null,false]", None),
    ("uuids", '["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]', None), ("moods", '["ok","happy day"]', None),
    ("dates", '["2026-11-20",null]', None),
    ("jsons", '[{"a": 1.10}, [1, 2], 5, true]', '[{"a":1.10},[1,2],5,true]'),
    ("jsonbs", '[{"a": 1.10},[1, 2],5,true]', None), ("points", '["(1,2)",null]', None),
    ("boxes", '["(2,2),(1,1)","(4,4),(3,3)"]', None), ("byteas", '["\\\\x00",null]', None),
    ("jsonb", '{"b": 1, "a": {"c": null}}', '{"a": {"c": null}, "b": 1}'), ("jsonb", "true", None),
    ("jsonb", '"[1, 2]"', "[1, 2]"), ("jsonb", "[]", None),
    ("json", '{"b":1,"a":1}', None), ("json", '"{\\"b\\":  1}"', '{"b":  1}'), ("json", "false", None),
]


@pytest.mark.parametrize("name, sent, comes", VALUES, ids=[f"{row[0]}-{i}" for i, row in enumerate(VALUES)])
def test_types(site, name, sent, comes):
    answer = echo(site, name, sent)
    if name in ("json", "jsons"):
        assert answer.result["v"] == json.loads(comes or sent), answer
        assert ("1.10" in answer.text) == ("1.10" in sent), answer
        return
    if name == "oid":
        assert json.loads(value(answer)) in (4294967295, "4294967295")
        return
    assert value(answer) == (comes or sent)


@pytest.mark.parametrize("name", TYPES)
def test_null(site, name):
    assert echo(site, name, "null").text == '{"result":{"v":null}}'


def test_every_type_is_tried():
    assert {name for name, _, _ in VALUES} | {"integer", "bigint", "numeric", "real", "float8", "bigints", "numerics",
                                              "tstzrange"} == set(TYPES)


@pytest.mark.parametrize("name, sent", [
    ("integer", "true"), ("integer", "[]"), ("integer", "{}"), ("text", "1"), ("text", "true"), ("text", "[]"),
    ("text", '{"a":1}'), ("boolean", "1"), ("boolean", '"maybe"'),
    ("boolean", "0"), ("uuid", '"x"'), ("uuid", "1"), ("date", '"2026-02-30"'), ("date", "20261120"),
    ("timestamptz", '"yesterday evening"'), ("timestamptz", "1700000000"), ("mood", '"bad"'), ("mood", "1"),
    ("bytea", '"\\\\xzz"'), ("inet", '"1.2.3"'), ("numeric", "true"), ("numeric", "[1]"), ("percent", "true"),
    ("names", "1"), ("names", '"a"'), ("names", "[1]"),
    ("ints", "1"), ("ints", "{}"), ("ints", '["x"]'), ("ints", "[true]"), ("ints", "[1,[2]]"), ("ints", "[[1,2],[3]]"),
    ("ints", '"1,2"'), ("texts", "[1]"), ("texts", "[{}]"), ("texts", '"a"'),
    ("moods", '["ok","bad"]'), ("point3", "[]"), ("point3", "1"), ("point3", '{"z":1}'), ("point3", '{"x":"a"}'),
    ("point3", '{"x":1.5}'), ("point3", '"(1,2)"'), ("point3", '{"x":{"a":1}}'),
    ("line3", '{"start":[1]}'), ("line3", '{"start":{"z":1}}'), ("point3s", '[{"z":1}]'), ("jsonb", '"{\\"a\\": }"'),
    ("jsonb", '"plain"'), ("json", '""'), ("int4range", '"[3,1)"'), ("interval", '"x"'),
])
def test_values_that_a_type_does_not_take(site, name, sent):
    answer = echo(site, name, sent)
    assert (answer.code, answer.status) == ("BAD_ARGUMENT", 400), answer
    assert (answer.json["command"], answer.json["argument"], answer.json["path"]) == (f"t_{name}", "v", "/v")
    assert answer.json["retryable"] is False


@pytest.mark.parametrize("name, sent, constraint", [("percent", "101", "percent_check"),
                                                    ("percent", "-1", "percent_check"),
                                                    ("names", '["a","b","c","d"]', "names_check")])
def test_domain_constraints(site, name, sent, constraint):
    answer = echo(site, name, sent)
    assert (answer.code, answer.status, answer.json["constraint"]) == ("CHECK_VIOLATION", 422, constraint), answer


def test_results_are_rendered_as_to_json_does(site, database):
    answer = site.inside.command("renders")
    expected = {
        "nothing": None, "int8": 9223372036854775807, "numeric": 1.1, "float8": 0.1, "nan": "NaN",
        "infinity": "-Infinity", "bytea": "\\x78", "array": [[1, 2], [3, None]],
        "record": {"f1": 1, "f2": "a"}, "json": {"b": 1.1, "a": []}, "jsonb": {"a": [], "b": 1.1}, "boolean": True,
        "date": "2026-11-20",
        "timestamptz": "2026-11-20T10:00:00+00:00", "interval": "1 day", "empty": [],
        "text": 'tab\t quote" back\\slash nl\n bell\x07 é 👋'}
    assert answer.result == expected
    for exact in ('"numeric":1.10', '"json":{"b": 1.10, "a": [ ]}', '"jsonb":{"a": [], "b": 1.10}'):
        assert exact in answer.text


# --------------------------------------------------------------------------------------------- Unicode, absent and null


@pytest.mark.parametrize("text", ["é", "e\u0301", "日本語", "👋🏽", "\U0010ffff", "\ufeff", "\u2028\u2029", "\u200d", "﷽",
                                  "\x7f\x80\x9f", "\x01\x1f", "%s %n", "$1 :v", "\\", "'; select 1; --"])
def test_unicode(site, text):
    for body in (json.dumps({"v": text}, ensure_ascii=True), json.dumps({"v": text}, ensure_ascii=False)):
        assert site.inside.command("t_text", body).result == {"v": text}
        assert site.inside.command("t_texts", body.replace(': "', ': ["').replace('"}', '"]}')).result == {"v": [text]}
        assert site.inside.command("t_jsonb", json.dumps({"v": {text: [text]}},
                                                         ensure_ascii="\\u" in body)).result == {"v": {text: [text]}}


def test_unicode_is_stored(site, database):
    assert site.inside.command("store", {"t": "Grüße 👋", "doc": {"ключ": "значение"}}).status == 200
    rows = database.execute("select t, doc from everything order by id desc limit 1")
    assert rows == [("Grüße 👋", {"ключ": "значение"})]


def test_null_against_absent(site):
    assert site.inside.command("t_text", {"v": None}).result == {"v": None}
    answer = site.inside.command("t_text", {})
    assert (answer.code, answer.json["argument"], answer.json["path"]) == ("BAD_ARGUMENT", "v", "/v")
    assert site.inside.command("t_jsonb", {"v": {"a": None}}).result == {"v": {"a": None}}
    assert site.inside.command("t_jsonb", '{"v":"null"}').result == {"v": None}
    assert site.inside.command("store", {}).result == dict.fromkeys(["doc", "n", "price", "f", "t"])
    assert site.inside.set({"command": "t_text", "args": {"v": None}, "as": "a"}).results == [{"v": None}]


# ---------------------------------------------------------------------------------------------------- limits


def test_body_limit(site, database):
    fits = '{"v":"' + "x" * (200000 - 8) + '"}'
    assert len(fits) == 200000
    assert site.inside.command("t_jsonb", '{"v":["' + "x" * 1000 + '"]}').status == 200
    answer = site.inside.command("t_text", fits)
    assert answer.status == 422 and answer.code == "TOO_LARGE"  # the body is taken; it is the result that is too large
    answer = site.inside.command("t_text", fits + " ")
    assert (answer.code, answer.status) == ("TOO_LARGE", 413)
    assert "200000" in answer.json["detail"]


def test_body_limit_of_a_body_without_a_length(site):
    body = b'{"text":"' + b"x" * 250000 + b'"}'
    parts = [body[i:i + 50000] for i in range(0, len(body), 50000)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    head = (b"POST /command/insert_log HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
    answer = site.inside.raw(head + chunks)
    assert (answer.code, answer.status) == ("TOO_LARGE", 413)
    small = b'{"v": 1.10}'
    head = head.replace(b"insert_log", b"t_numeric")
    assert site.inside.raw(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(small), small)).text == '{"result":{"v":1.10}}'


def test_command_limit(site, database):
    assert len(site.inside.set(*[("many", {"n": 1})] * 10).results) == 10
    for kind in ("transactional", "execute"):
        answer = site.inside.post(f"/command/{kind}_command_set",
                                  {"commands": [{"command": "insert_log", "args": {"text": "x"}}] * 11})
        assert (answer.code, answer.status) == ("TOO_MANY_COMMANDS", 413)
        assert "10" in answer.json["detail"]
    assert database.one("select count(*) from log") == 0


def test_row_limit(site, database):
    before = database.one("select count(*) from everything")
    assert len(site.inside.command("many", {"n": 50}).result) == 50
    for name in ("many", "other_many"):
        answer = site.inside.command(name, {"n": 51})
        assert (answer.code, answer.status) == ("TOO_MANY_ROWS", 422)
        assert "50" in answer.json["detail"]
        answer = site.inside.set(("insert_log", {"text": "x"}), (name, {"n": 100000}))
        assert (answer.code, answer.json["index"]) == ("TOO_MANY_ROWS", 1)
    assert database.one("select count(*) from everything") == before
    assert database.one("select count(*) from log") == 0


def test_result_limit(site, database):
    assert site.inside.command("large", {"n": 99000}).status == 200
    for name, n in (("large", 100001), ("large", 3_000_000)):
        answer = site.inside.command(name, {"n": n})
        assert (answer.code, answer.status) == ("TOO_LARGE", 422)
        assert "100000" in answer.json["detail"]
        answer = site.inside.set(("insert_log", {"text": "x"}), (name, {"n": n}))
        assert (answer.code, answer.json["index"], answer.json["path"]) == ("TOO_LARGE", 1, "/commands/1")
    assert database.one("select count(*) from log") == 0


def test_limits_of_results_are_for_each_command(site):
    assert len(site.inside.set(*[("large", {"n": 60000})] * 3).results) == 3
    assert [len(rows) for rows in site.inside.set(*[("many", {"n": 50})] * 3).results] == [50, 50, 50]


def test_many_arguments_of_all_sizes(site):
    for size in (1, 100, 4095, 4096, 4097, 65535, 65536, 65537, 90000):
        assert site.inside.command("t_text", {"v": "y" * size}).result == {"v": "y" * size}


# ---------------------------------------------------------------------------------------------------- chance

LETTERS = ["a", "B", "0", " ", '"', "\\", "/", "\n", "\t", "\x01", "\x7f", "{", "}", ",", "(", ")", "'", "$", ":", "é",
           "日", "👋", "\u2028", "NULL", "null"]


def any_text(chance):
    return "".join(chance.choice(LETTERS) for _ in range(chance.randrange(8)))


def any_number(chance):
    number = chance.choice(["", "-"]) + chance.choice(["0", str(chance.randrange(1, 10 ** chance.randrange(1, 40)))])
    number += chance.choice(["", "",
                             "." + "".join(chance.choice("0123456789") for _ in range(chance.randrange(1, 30)))])
    return number + chance.choice(["", "", "",
                                   f"{chance.choice('eE')}{chance.choice(['', '+', '-'])}{chance.randrange(50)}"])


def any_json(chance, depth=0):
    """JSON text; escapes or not, blanks or not."""
    kind = chance.randrange(7 if depth < 5 else 5)
    blank = chance.choice(["", " ", "\n "])
    if kind < 3:
        return chance.choice(["null", "true", "false",
                              json.dumps(any_text(chance), ensure_ascii=chance.random() < 0.5)])
    if kind < 5:
        return any_number(chance)
    if kind == 5:
        return "[" + blank + f"{blank},{blank}".join(any_json(chance,
                                                              depth + 1) for _ in range(chance.randrange(5))) + "]"
    keys = {any_text(chance) for _ in range(chance.randrange(5))}
    members = [f"{json.dumps(key)}{blank}:{blank}{any_json(chance, depth + 1)}" for key in keys]
    return "{" + blank + f"{blank},".join(members) + "}"


def test_any_json_is_what_postgresql_makes_of_it(site, database):
    chance = random.Random(1)
    with database.connect() as connection:
        for _ in range(300):
            text = f'[{any_json(chance)}, {any_json(chance)}]'
            (expected,), = connection.execute("select (%s::text)::jsonb::text", (text,)).fetchall()
            assert value(echo(site, "jsonb", text)) == expected, text
            (expected,), = connection.execute("select to_json((%s::text)::json::jsonb)::text",
                                              (value(echo(site, "json", text)),)).fetchall()
            assert value(echo(site, "jsonb", text)) == expected, text


def test_any_array_and_any_row_come_back(site):
    chance = random.Random(2)

    def text():
        return chance.choice([None, any_text(chance), any_text(chance)])

    for _ in range(150):
        flat = [text() for _ in range(chance.randrange(6))]
        width = chance.randrange(1, 4)
        square = [[text() for _ in range(width)] for _ in range(chance.randrange(1, 4))]
        row = {"x": chance.choice([None, chance.randrange(-9, 9)]), "y": chance.choice([None, 5]), "label": text()}
        line = {"start": row, "stop": None, "marks": [None, 1]}
        for name, sent in (("texts", flat), ("texts", square), ("point3", row), ("point3s", [row, None, row]),
                           ("line3", line)):
            assert site.inside.command(f"t_{name}", {"v": sent}).result == {"v": sent}
        results = site.inside.set({"command": "t_line3", "args": {"v": line}, "as": "a"},
                                  ("t_line3", {"v": {"$ref": "a.v"}}),
                                  ("t_point3", {"v": {**row, "label": {"$ref": "a.v.start.label"}}}),
                                  ("t_texts", {"v": [{"$ref": "a.v.start.label"}, *flat]})).results
        assert results == [{"v": line}, {"v": line}, {"v": row}, {"v": [row["label"], *flat]}]


class Latin1(harness.Database):
    def __init__(self, postgres, name):
        self.postgres, self.name = postgres, name
        postgres.execute(f"create database {name} encoding 'LATIN1' locale 'C' template template0")
        self.execute("create table note (t text); grant all on note to writ")
        self.install()


def test_database_of_another_encoding(postgres):
    """UTF-8 outside, whatever inside; what the database cannot hold is refused."""
    manifest = """{ specVersion: 1, commands: {
        add: { sql: "insert into note values (:v) returning t as v, length(t) as n", returns: one } } }"""
    database = Latin1(postgres, "test_json_latin1")
    try:
        with harness.Site(database, manifest) as site:
            assert site.inside.command("add", {"v": "Größe"}).result == {"v": "Größe", "n": 5}
            answer = site.inside.set(("add", {"v": "é"}, "a"), ("add", {"v": {"$ref": "a.v"}}))
            assert answer.results[1] == {"v": "é", "n": 1}
            answer = site.inside.command("add", {"v": "👋"})
            assert (answer.code, answer.status, answer.json["argument"]) == ("BAD_ARGUMENT", 400, "v")
    finally:
        database.drop()
