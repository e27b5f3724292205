"""Queries over a data model: what comes back of every kind of field and relation, to whom, and in sets. What is found is
test_filters.py."""

import json
import re

import pytest

import crowd
import harness
from queried import ALL, MANIFEST, MODEL, SCHEMA, ask, ids, refuse, site


# ---- selections -----------------------------------------------------------------------------------------------------

def test_all_scalars(site, ask):
    ann = ask("user", where={"id": "u1"})
    assert ann == {
        "id": "u1", "email": "ann@example.org", "nick": "Ann", "age": 30, "big": 12345678901234567, "score": 1.5,
        "price": 1.10, "active": True, "born": "1969-07-20T20:17:40.125Z", "day": "2016-02-29T00:00:00.000Z",
        "data": {"a": [1, None, 1.10]},
        "token": "0b7a1f10-3b1d-4c5e-8f00-000000000001", "colour": "GREEN", "tags": ["b", "a"], "colours": ["BLUE", "GREEN"],
        "times": ["2016-01-01T00:00:00.500Z"], "createdAt": "2020-01-02T03:04:05.678Z"}
    text = site.inside.command("user", {"where": {"id": "u1"}}, role="customer").text
    assert '"price":1.10' in text and "1.10]" in text
    assert list(ann) == re.findall(r"^  (\w+):", MODEL.split("type User")[1], re.M)[:17]


def test_nulls_and_empty_lists(ask):
    bob = ask("user", where={"email": "bob@example.org"})
    assert bob["nick"] is None and bob["born"] is None and bob["data"] is None and bob["colour"] is None
    assert bob["tags"] == bob["colours"] == bob["times"] == []
    cy = ask("user", where={"id": "u3"}, select="{ score born price data }")
    assert cy == {"score": "NaN", "born": "infinity", "price": 0.00, "data": []}


def test_nobody(ask):
    assert ask("user", where={"id": "nobody"}) is None
    assert ask("users", where={"id": "nobody"}) == []


RELATIONS = {
    "{ boss { id } staff { id } }": {"boss": None, "staff": [{"id": "u2"}, {"id": "u3"}]},
    "{ friends { id } }": {"friends": [{"id": "u2"}, {"id": "u3"}]},
    "{ profile { bio user { id } } }": {"profile": {"bio": 'says "hi"', "user": {"id": "u1"}}},
    "{ posts { title comments { id post { id } } } }": {
        "posts": [{"title": "One", "comments": [{"id": "c1", "post": {"id": "a1"}}, {"id": "c2", "post": {"id": "a1"}}]},
                  {"title": "Two", "comments": []}]},
    "{ teams { name members { id } } }": {
        "teams": [{"name": "red", "members": [{"id": "u1"}, {"id": "u2"}]}, {"name": "blue", "members": [{"id": "u1"}]}]},
}


@pytest.mark.parametrize("select", RELATIONS)
def test_relations(ask, select):
    assert ask("user", where={"id": "u1"}, select=select) == RELATIONS[select]


def test_the_other_ends(ask):
    assert ask("comments", select="{ id post { id author { id } } }") == [
        {"id": "c1", "post": {"id": "a1", "author": {"id": "u1"}}},
        {"id": "c2", "post": {"id": "a1", "author": {"id": "u1"}}},
        {"id": "c3", "post": {"id": "a3", "author": {"id": "u2"}}}, {"id": "c4", "post": None}]
    assert ask("profiles", select="{ user { nick } }") == [{"user": {"nick": "Ann"}}, {"user": {"nick": "50%_\\"}}]
    assert ask("user", where={"id": "u2"}, select="{ friends { id } boss { staff { id boss { id } } } }") == {
        "friends": [], "boss": {"staff": [{"id": "u2", "boss": {"id": "u1"}}, {"id": "u3", "boss": {"id": "u1"}}]}}


def test_composite_keys(ask):
    assert ask("line", where={"order_no": {"order": "o1", "no": 2}},
        select="{ note order { id } parts { id line { no } } }") == {
        "note": None, "order": {"id": "o1"}, "parts": [{"id": "q1", "line": {"no": 2}}, {"id": "q2", "line": {"no": 2}}]}
    assert ask("lines", select="{ no order { id } }") == [
        {"no": 1, "order": {"id": "o1"}}, {"no": 2, "order": {"id": "o1"}}, {"no": 1, "order": {"id": "o2"}}]
    assert ask("lines", select="{ note }", after={"order": "o1", "no": 1}) == [{"note": None}, {"note": "y"}]
    assert ask("parts", where={"line": {"order": {"id": "o1"}}}, select="{ id }") == [{"id": "q1"}, {"id": "q2"}]
    assert ask("parts", where={"line": None}, select="{ id }") == [{"id": "q4"}]


def test_aliases_and_arguments(ask):
    assert ask("user", where={"id": "u1"}, select="""{
        me: id  # of ann
        last: posts(orderBy: title_ASC, first: 1, skip: 1) { t: title }
        some: posts(where: {title_in: ["One", "Three"], OR: [{id: "a1"}, {id: "a2"}]}) { id }
        __typename }""") == {"me": "u1", "last": [{"t": "Two"}], "some": [{"id": "a1"}], "__typename": "User"}


def test_the_tree(ask):
    tree = {"me": {"field": "id"}, "nick": True, "age": False, "profile": True, "kind": {"field": "__typename"},
            "last": {"field": "posts", "orderBy": "title_DESC", "first": 1, "select": {"title": True}},
            "friends": {"where": {"id_not": "u2"}, "select": {"id": True}}}
    assert ask("user", where={"id": "u1"}, select=tree) == {
        "me": "u1", "nick": "Ann", "profile": {"id": "p1", "bio": 'says "hi"'}, "kind": "User", "last": [{"title": "Two"}],
        "friends": [{"id": "u3"}]}


BAD_SELECTIONS = [
    ("{ nic }", "Line 1, column 3: User has no field \"nic\"; did you mean nick?"),
    ("{ id\n  posts { titel } }", "Line 2, column 11: Post has no field \"titel\"; did you mean title?"),
    ("{ posts }", "Which fields of \"posts\"?"),
    ("{ id { x } }", "\"id\" is ID and has no fields"),
    ("{ id id }", "Two fields of the answer are called \"id\""),
    ("{ id(first: 1) }", "\"id\" is no list"),
    ("{ boss(first: 1) { id } }", "\"boss\" is no list"),
    ("{ posts(frist: 1) { id } }", "did you mean first?"),
    ("{ posts(first: 1, first: 2) { id } }", "stands here twice"),
    ("{ posts(first: $n) { id } }", "There are no variables here"),
    ("{ posts(where: {title: \"x\\u0000\"}) { id } }", "NUL"),
    ("{ ...X }", "There are no fragments here"),
    ("{ id @skip(if: true) }", "There are no directives here"),
    ("{ id", "Line 1, column 5"),
    ("", "Line 1, column 1"),
    ("{ " + "a" * 64 + ": id }", "at most 63"),
    ("{ posts { author " * 10 + "{ id }" + "}" * 20, "at most 16 relations"),
    ("{" + " ".join(f"a{i}: id" for i in range(1001)) + "}", "at most 1000 fields"),
    ({}, "needs a field"),
    ({"id": 1}, "\"id\" is selected by true or an object, not by a number"),
    ({"posts": {"select": {"titel": True}}}, "did you mean title?"),
    ({"posts": {"selekt": {"title": True}}}, "has no argument \"selekt\""),
    ({"posts": {"select": "{ id }"}}, "A selection is an object"),
    ({"x": {"field": 1}}, "\"field\" takes the name of a field"),
    ({"x\"; drop table app_user; --": {"field": "id"}}, "cannot name a field"),
    ({"é": {"field": "id"}}, "cannot name a field"),
    ({"": {"field": "id"}}, "cannot name a field"),
    (["id"], "A selection is an object"),
    (7, "A selection is an object"),
]


@pytest.mark.parametrize("select, says", BAD_SELECTIONS)
def test_bad_selections(refuse, select, says):
    problem = refuse("users", select=select)
    assert says in problem["detail"], problem
    assert problem["path"].startswith("/select") and problem["command"] == "users"


def test_where_a_mistake_is(site, refuse):
    assert refuse("users", select={"posts": {"select": {"titel": True}}})["path"] == "/select/posts/select/titel"
    assert refuse("users", where={"OR": [{"id": "1"},
        {"posts_some": {"titel": 1}}]})["path"] == "/where/OR/1/posts_some/titel"
    assert refuse("users", where={"a/b~c": 1})["path"] == "/where/a~1b~0c"
    answer = site.inside.set(("touch",), ("users", {"where": {"nic": 1}}), role="customer")
    assert (answer.json["path"], answer.json["index"]) == ("/commands/1/args/where/nic", 1)
    assert "did you mean nick?" in answer.json["detail"]

@pytest.mark.parametrize("name", [f"t{i}" for i in range(1, 8)])
def test_names_that_statements_use(ask, name):
    """An alias of the client's is no alias of the statement's."""
    where = {"id": "u2"}
    select = "{ NAME: id posts { NAME: id } boss { NAME: nick staff { NAME: id } } }".replace("NAME", name)
    node = {name: "u2", "posts": [{name: "a3"}], "boss": {name: "Ann", "staff": [{name: "u2"}, {name: "u3"}]}}
    assert ask("user", where=where, select=select) == node
    assert ask("users", where=where, select=select) == [node]
    page = "{ edges { NAME: node NODE cursor } NAME: edges { NAME: cursor } pageInfo { NAME: endCursor } aggregate { NAME: count } }"
    assert ask("usersConnection", where=where, select=page.replace("NODE", select).replace("NAME", name)) == {
        "edges": [{name: node, "cursor": "u2"}], name: [{name: "u2"}], "pageInfo": {name: "u2"}, "aggregate": {name: 1}}


# ---- limits ---------------------------------------------------------------------------------------------------------

def test_limits(database):
    with harness.Site(database, MANIFEST, files={"schema.graphql": MODEL}, limits={"rows": 3, "result_bytes": 300}) as site:
        def ask(name, **args):
            return site.inside.command(name, args, role="customer")

        many = ask("users", select="{ id }")
        assert (many.status, many.code, many.json["prisma_code"]) == (422, "TOO_MANY_ROWS", 2041)
        assert "more than 3 nodes" in many.json["detail"] and many.json["command"] == "users"
        assert ids(ask("users", select="{ id }", first=3).result) == ["u1", "u2", "u3"]
        assert ask("users", select="{ id }", first=4).json["prisma_code"] == 2041
        assert ask("user", where={"id": "u1"}, select="{ id staff { id friends { id } } }").status == 200
        assert ask("usersConnection", select="{ aggregate { count } }").result == {"aggregate": {"count": 4}}
        assert ask("usersConnection", select="{ edges { cursor } }").json["prisma_code"] == 2041
        assert ask("usersConnection", select="{ edges { cursor } }", first=3).status == 200
        database.execute("insert into \"Post\" values ('b1', 'x', 'u2'), ('b2', 'x', 'u2'), ('b3', 'x', 'u2')")
        try:
            nested = ask("user", where={"id": "u2"}, select="{ posts { id } }")
            assert (nested.code, nested.json["prisma_code"]) == ("TOO_MANY_ROWS", 2041)
            assert '"posts"' in nested.json["detail"]
            database.execute("update \"Post\" set title = repeat('x', 300) where id = 'b1'")
            large = ask("user", where={"id": "u2"}, select="{ posts(first: 2) { id title } }")
            assert (large.status, large.code) == (422, "TOO_LARGE")
        finally:
            database.execute("delete from \"Post\" where id like 'b%'")


# ---- who may see what -----------------------------------------------------------------------------------------------

def test_roles(site):
    assert site.client.command("users", {"select": "{ id }"}, role="customer").status == 200
    assert site.client.command("secrets", {}, role="reader").code == "FORBIDDEN"
    assert site.client.command("users", {}).code == "UNAUTHENTICATED"
    assert site.client.command("teams", {}, role="customer").code == "UNKNOWN_COMMAND"  # inside only
    assert site.client.command("createUser", {"data": {}}, role="customer").code == "UNKNOWN_COMMAND"


def test_row_level_security(site):
    for user, seen in (("ann", ["s1"]), ("bob", ["s2"]), ("eve", [])):
        assert ids(site.client.command("secrets", {}, role="customer", user=user).result) == seen
    assert site.client.command("secret", {"where": {"id": "s2"}}, role="customer", user="ann").result is None


def test_rights_in_the_database(site):
    """customer's database role may not read comments, on whatever way they are reached."""
    for args in ({"select": "{ comments { id } }"}, {"where": {"comments_some": {}}}):
        answer = site.client.command("posts", args, role="customer")
        assert (answer.status, answer.code) == (403, "FORBIDDEN"), answer


# ---- sets -----------------------------------------------------------------------------------------------------------

def test_references(site):
    results = site.inside.set(
        ("user", {"where": {"email": "ann@example.org"}, "select": "{ id nick colour colours tags staff { id } big }"},
        "ann"),
        ("users", {"where": {"boss": {"id": {"$ref": "ann.id"}}}, "select": "{ id }"}),
        ("users", {"where": {"OR": [{"id": {"$ref": "ann.staff.0.id"}}, {"nick_contains": {"$ref": "ann.nick"}}]},
        "select": "{ id }"}),
        ("users", {"where": {"colour": {"$ref": "ann.colour"}}, "select": "{ id }"}),
        ("users", {"where": {"colour_in": {"$ref": "ann.colours"}}, "select": "{ id }"}),
        ("users", {"where": {"nick_in": ["O'Dan", {"$ref": "ann.nick"}]}, "select": "{ id }"}),
        ("user", {"where": {"id": {"$ref": "ann.staff.1.id"}}, "select": "{ id }"}),
        ("users", {"where": {"big": {"$ref": "ann.big"}}, "select": {"id": True,
        "posts": {"where": {"author": {"id": {"$ref": "ann.id"}}}}}}),
        role="customer").results
    assert [ids(r) if isinstance(r, list) else r["id"] for r in results] == [
        "u1", ["u2", "u3"], ["u1", "u2"], ["u1"], ["u1", "u4"], ["u1", "u4"], "u3", ["u1"]]
    assert ids(results[-1][0]["posts"]) == ["a1", "a2"]


def test_wildcards_in_references(site):
    results = site.inside.set(("user", {"where": {"id": "u3"}, "select": "{ nick }"}, "cy"),
                              ("users", {"where": {"nick_contains": {"$ref": "cy.nick"}}, "select": "{ id }"}),
                              ("users", {"where": {"nick_starts_with": {"$ref": "cy.nick"}}, "select": "{ id }"}),
                              role="customer").results
    assert results[1] == results[2] == [{"id": "u3"}]


@pytest.mark.parametrize("args, code", [
    ({"where": {"id": {"$ref": "ann.nothing"}}}, "BAD_REFERENCE"),
    ({"where": {"id": {"$ref": "ann.staff.7.id"}}}, "BAD_REFERENCE"),
    ({"where": {"$ref": "ann.staff.0"}}, "BAD_ARGUMENT"),
    ({"where": {"age": {"$ref": "ann.nick"}}}, "BAD_ARGUMENT"),
    ({"select": {"$ref": "ann.nick"}}, "BAD_ARGUMENT"),
    ({"first": {"$ref": "ann.age"}}, "BAD_ARGUMENT"),
])
def test_bad_references(site, args, code):
    answer = site.inside.set(("user", {"where": {"id": "u1"}, "select": "{ id nick age staff { id } }"}, "ann"),
        ("users", args), role="customer")
    assert answer.status in (400, 422) and answer.code in (code, "DATA_ERROR"), answer
    assert answer.json["index"] == 1


def test_in_an_execute_set(site):
    answer = site.inside.post("/command/execute_command_set", {"commands": [
        {"command": "user", "args": {"where": {"id": "u1"}}, "as": "ann"},
        {"command": "users", "args": {"where": {"age": {"$ref": "ann.age"}, "colour_not": {"$ref": "ann.colour"},
                                                "nick_not": {"$ref": "ann.age"}, "active": {"$ref": "ann.active"}},
                                                "select": "{ id }"}}]},
        role="customer")
    assert answer.results[1] == [{"id": "u4"}]


def test_in_a_composite(site):
    answer = site.inside.command("two_users", {"id": "u1"}, role="customer")
    assert answer.result == {"one": "u1", "staff": [{"id": "u2"}, {"id": "u3"}]}
    bad = site.inside.command("two_users", {"id": 1.5}, role="customer")
    assert bad.code == "BAD_ARGUMENT" and bad.json["path"] == "/id", bad


def explain(site, *commands):
    commands = [harness.as_command(command) for command in commands]
    return harness.writ("explain", "transactional_command_set", json.dumps({"commands": commands}), "-c", site.writ.file,
        "--role", "staff").stdout


def test_one_statement_each_on_one_snapshot(site):
    text = explain(site, ("users", {"select": "{ id posts { comments { id } } teams { members { id } } }"}), ("posts", {}))
    assert "5 statements, 1 round trip" in text
    assert "begin isolation level repeatable read read only" in text
    assert "read only" not in explain(site, ("users", {}), ("touch",))
    guarded = explain(site, ("guardeds", {}), ("posts", {}))
    assert "begin isolation level repeatable read\n" in guarded  # a permission may lock rows


def test_run(site):
    text = harness.writ("run", "users", json.dumps({"select": "{ id }", "first": 1}), "-c", site.writ.file, "--role",
        "staff").stdout
    assert json.loads(text) == {"result": [{"id": "u1"}]}


def test_a_snapshot(site, database):
    """What another transaction commits between two queries of a set is not seen by the second."""
    with database.connect() as other:
        other.execute("begin; lock table \"Team\" in access exclusive mode")
        asked = crowd.Later(lambda: site.inside.set(("users", {"select": "{ id }"}), ("teams", {"select": "{ id }"}),
                                                    ("users", {"select": "{ id }"}), role="staff"))
        harness.wait_until(lambda: database.one("select count(*) from pg_locks where not granted"),
            "the set to wait for the lock")
        other.execute("insert into app_user (id, email) values ('v1', 'v@example.org'); commit")
        results = asked.get().results
    database.execute("delete from app_user where id = 'v1'")
    assert ids(results[0]) == ids(results[2]) == ALL


def test_nothing_can_be_written(site):
    """A row-level policy or a view may call a function that writes: the transaction only reads."""
    answer = site.inside.command("sneaks", {}, role="staff")
    assert answer.status != 200 and answer.json.get("sqlstate", "25006") == "25006", answer


def test_permissions(site):
    assert ids(site.client.command("guardeds", {"where": {"id": "g1"}}, role="customer").result) == ["g1"]
    denied = site.client.command("guardeds", {"where": {"id": "g2"}}, role="customer")
    assert (denied.status, denied.code) == (403, "PERMISSION_DENIED")
    assert site.client.command("guardeds", {}, role="customer").code == "PERMISSION_DENIED"
    assert site.client.command("guarded", {"where": {"id": "g1"}}, role="customer").result == {"id": "g1"}


def test_with_a_key(site, database):
    """A query may have an Idempotency-Key: its answer is stored as any other is."""
    def ask():
        return site.inside.command("users", {"select": "{ id }"}, role="staff", headers={"Idempotency-Key": "queries-1"})

    first = ask()
    database.execute("insert into app_user (id, email) values ('v2', 'v2@example.org')")
    second, fresh = ask(), site.inside.command("users", {"select": "{ id }"}, role="staff")
    database.execute("delete from app_user where id = 'v2'")
    assert ids(first.result) == ids(second.result) == ALL and second.header("idempotent-replay") == "true"
    assert ids(fresh.result) == ALL + ["v2"]


def test_with_a_hook(site):
    """What a hook is to be told is written in the transaction of the queries."""
    assert ids(site.inside.command("told", {}, role="staff").result) == ALL


# ---- attacks --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("text", harness.POISON, ids=lambda t: t[:20])
def test_injection(site, database, text):
    """A text is a value, or no name at all, wherever it stands."""
    def command(name, **args):
        return site.inside.command(name, args, role="staff")

    before = database.one("select count(*) from app_user")
    for field in ("id", "email", "nick"):
        for ending in ("", "_contains", "_starts_with", "_ends_with", "_lt"):
            assert command("users", where={field + ending: text}, select="{ id }").status == 200
        assert command("users", where={field: text}, select="{ id }").result == []
        assert command("users", where={field + "_in": [text, text]}, select="{ id }").result == []
    assert command("user", where={"email": text}).result is None
    assert command("users", after=text, select="{ id }").status == 200
    assert command("users", orderBy="nick_ASC", before=text, select="{ id }").result == []
    quoted = json.dumps(text)
    assert command("users", select="{ posts(where: {title: %s}, after: %s) { id } }" % (quoted, quoted)).status == 200
    refused = [{"orderBy": text}, {"orderBy": text + "_ASC"}, {"where": {text: 1}}, {"where": {"nick_" + text: 1}},
        {"where": {"colour": text}},
               {"where": {"age": text}}, {"where": {"token": text}}, {"where": {"born": text}}, {"where": {"price": text}},
               {"where": {"boss": {text: text}}}, {"where": {"AND": text}}, {"select": {text: True}},
               {"select": {text: {"field": "id"}}},
               {"select": {"x": {"field": text}}}, {"select": {"posts": {text: 1}}},
               {"select": {"posts": {"orderBy": text}}},
               {"select": "{ posts(orderBy: %s) { id } }" % quoted}, {"select": "{ %s: id x }" % text}, {"first": text},
               {"skip": text}]
    for args in refused:
        answer = command("users", **args)
        assert answer.code == "BAD_ARGUMENT", (args, answer)
    assert database.one("select count(*) from app_user") == before


def test_many_conditions_on_relations(site):
    """PostgreSQL would think for minutes about so many joins side by side, and about so many subplans within each other."""
    def ask(where):
        return ids(site.inside.command("users", {"where": {"AND": [where, {"boss": {"id": "u1"}}]}, "select": "{ id }"},
            role="staff").result)

    assert ask({"AND": [{"boss": {"nick_not": str(n)}} for n in range(200)]}) == ["u2", "u3"]
    assert ask({"AND": [{"boss": {"nick_not": str(n)}} for n in range(200)], "staff_none": {}}) == ["u3"]
    assert ask({"AND": [{"friends_none": {"nick": str(n)}} for n in range(200)], "friends_some": {}}) == ["u3"]
    assert ask({"AND": [{"staff_every": {"nick_not": str(n)}} for n in range(100)], "profile": None}) == ["u2"]
    assert ask({"AND": [{"friends_none": {"nick": str(n)}} for n in range(6)], "profile": None}) == ["u2"]
    deep, branches = {}, {}
    for _ in range(18):
        deep, branches = {"friends_some": deep}, {"OR": [{"friends_some": branches}, {"boss": None, "id": "x"}]}
    assert ask(deep) == ask(branches) == ["u3"]
