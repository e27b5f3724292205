"""Queries over a data model: which rows are found, in which order, how many of them, and by cursors."""

import json

import pytest

from queried import ALL, SCHEMA, ask, ids, refuse, site


# ---- filters --------------------------------------------------------------------------------------------------------

FILTERS = [
    ({}, ALL),
    (None, ALL),
    ({"nick": "Ann"}, ["u1"]),
    ({"nick": None}, ["u2"]),
    ({"nick_not": "Ann"}, ["u3", "u4"]),
    ({"nick_not": None}, ["u1", "u3", "u4"]),
    ({"nick_in": None}, ["u2"]),
    ({"nick_not_in": None}, ["u1", "u3", "u4"]),
    ({"nick_in": ["Ann", "O'Dan", "x"]}, ["u1", "u4"]),
    ({"nick_in": "Ann"}, ["u1"]),
    ({"nick_in": []}, []),
    ({"nick_not_in": ["Ann"]}, ["u3", "u4"]),
    ({"nick_not_in": []}, ALL),
    ({"age_lt": 30}, ["u3"]),
    ({"age_lte": 30}, ["u1", "u3", "u4"]),
    ({"age_gt": 20}, ["u1", "u4"]),
    ({"age_gte": 20, "active": True}, ["u1", "u4"]),
    ({"age_gt": None}, []),
    ({"big": 12345678901234567}, ["u1"]),
    ({"big": "-1"}, ["u3"]),
    ({"price": 1.1}, ["u1"]),
    ({"price_gt": "1.05"}, ["u1", "u4"]),
    ({"score_gt": 1}, ["u1", "u3"]),
    ({"active_not": True}, ["u3"]),
    ({"nick_contains": "n"}, ["u1", "u4"]),
    ({"nick_contains": "N"}, []),
    ({"nick_contains": "%"}, ["u3"]),
    ({"nick_contains": "_\\"}, ["u3"]),
    ({"nick_contains": ""}, ["u1", "u3", "u4"]),
    ({"nick_not_contains": "n"}, ["u3"]),
    ({"nick_starts_with": "5"}, ["u3"]),
    ({"nick_starts_with": "_"}, []),
    ({"nick_not_starts_with": "A"}, ["u3", "u4"]),
    ({"nick_ends_with": "\\"}, ["u3"]),
    ({"nick_not_ends_with": "n"}, ["u3"]),
    ({"email_contains": "_%@"}, ["u3"]),
    ({"id_gt": "u2"}, ["u3", "u4"]),
    ({"born_lt": "1970"}, ["u1"]),
    ({"born": "1969-07-20T21:17:40.125+01:00"}, ["u1"]),
    ({"day": "2016-02-29"}, ["u1"]),
    ({"token": "0B7A1F10-3b1d-4c5e-8f00-000000000001"}, ["u1"]),
    ({"colour": "GREEN"}, ["u1"]),
    ({"colour_in": ["GREEN", "BLUE"]}, ["u1", "u4"]),
    ({"AND": []}, ALL),
    ({"OR": []}, []),
    ({"NOT": []}, ALL),
    ({"AND": None, "OR": None, "NOT": None}, ALL),
    ({"AND": {"age": 30}}, ["u1", "u4"]),
    ({"AND": [{"age": 30}, {"nick_not": "Ann"}]}, ["u4"]),
    ({"OR": [{"age": 20}, {"nick": None}, {"id": "u4", "age": 0}]}, ["u2", "u3"]),
    ({"OR": [{}]}, ALL),
    ({"NOT": {"age": 30}}, ["u3"]),
    ({"NOT": [{"age": 30}, {"age": 20}]}, []),
    ({"NOT": [{"nick": "Ann"}, {"nick": "O'Dan"}]}, ["u3"]),
    ({"boss": None}, ["u1"]),
    ({"boss": {}}, ["u2", "u3", "u4"]),
    ({"boss": {"nick": "Ann"}}, ["u2", "u3"]),
    ({"boss": {"boss": {"id": "u1"}}}, ["u4"]),
    ({"NOT": {"boss": {"nick": "Ann"}}}, ["u1", "u4"]),
    ({"profile": None}, ["u2", "u4"]),
    ({"profile": {"bio": None}}, ["u3"]),
    ({"staff_some": {}}, ["u1", "u2"]),
    ({"staff_none": {}}, ["u3", "u4"]),
    ({"staff_some": {"age": 30}}, ["u2"]),
    # bob's age is unknown: ann has no member of staff whose age is known not to be 20
    ({"staff_every": {"age": 20}}, ["u1", "u3", "u4"]),
    ({"staff_every": {"age": 99}}, ["u3", "u4"]),
    ({"staff_none": {"age": 20}}, ["u2", "u3", "u4"]),
    ({"friends_some": {"id": "u1"}}, ["u3"]),
    ({"friends_none": {}}, ["u2", "u4"]),
    ({"teams_some": {"name": "blue"}}, ["u1"]),
    ({"teams_every": {"name": "red"}}, ["u2", "u3", "u4"]),
    ({"posts_some": {"comments_some": {"text_contains": "sec"}}}, ["u1"]),
    ({"posts_some": {"comments_none": {}}}, ["u1"]),
    ({"posts_some": {"author": {"posts_some": {"id": "a3"}}}}, ["u2"]),
]


@pytest.mark.parametrize("where, found", FILTERS, ids=lambda x: json.dumps(x)[:60])
def test_filters(ask, where, found):
    assert ids(ask("users", where=where, select={"id": True})) == found


@pytest.mark.parametrize("where, code, says", [
    ({"staff_some": None}, 3033, "not null"),
    ({"staff_none": None}, 3033, "not null"),
    ({"staff_every": None}, 3033, "not null"),
    ({"nic": "x"}, None, "did you mean nick?"),
    ({"nick_contians": "x"}, None, "did you mean nick_contains?"),
    ({"age_contains": 3}, None, "has no filter \"age_contains\""),
    ({"data": {}}, None, "has no filter \"data\""),
    ({"tags": ["a"]}, None, "has no filter \"tags\""),
    ({"active_in": [True]}, None, "has no filter"),
    ({"staff": {}}, None, "has no filter \"staff\""),
    ({"boss_some": {}}, None, "has no filter \"boss_some\""),
    ({"age": "30"}, None, "takes a whole number of 32 bits, not a string"),
    ({"age": 30.5}, None, "not \"30.5\""),
    ({"age": 2147483648}, None, "takes a whole number of 32 bits"),
    ({"big": 9223372036854775808}, None, "takes a whole number of 64 bits"),
    ({"nick": 5}, None, "takes a string, not a number"),
    ({"nick": ["x"]}, None, "takes a string, not an array"),
    ({"nick": {"x": 1}}, None, "takes a string, not an object"),
    ({"id": True}, None, "takes a string or a whole number"),
    ({"nick_in": ["x", None]}, None, "takes no null"),
    ({"active": "true"}, None, "takes true or false"),
    ({"born": "yesterday"}, None, "ISO 8601"),
    ({"born": "infinity"}, None, "ISO 8601"),
    ({"born": "2015-02-29"}, None, "ISO 8601"),
    ({"born": "2016-01-01T25:00"}, None, "ISO 8601"),
    ({"token": "x"}, None, "UUID"),
    ({"price": "NaN"}, None, "a number"),
    ({"colour": "dark green"}, None, "one of RED, GREEN, BLUE"),
    ({"colour": "green"}, None, "one of RED, GREEN, BLUE"),
    ({"boss": "u1"}, None, "A filter of User is an object"),
    ({"AND": [None]}, None, "A filter of User is an object"),
    ({"OR": "x"}, None, "A filter of User is an object"),
    ([], None, "A filter of User is an object"),
])
def test_bad_filters(refuse, where, code, says):
    problem = refuse("users", where=where)
    assert says in problem["detail"], problem
    assert problem.get("prisma_code") == code
    assert problem["path"].startswith("/where")


@pytest.mark.parametrize("command, where, code, says", [
    ("user", {}, 3040, "give one of id, email, token"),
    ("user", None, 3040, "give one of id, email, token"),
    ("user", {"id": None, "email": None}, 3040, "give one of"),
    ("user", {"id": "u1", "email": "x"}, 3045, "one of them only"),
    ("user", {"nick": "Ann"}, None, "no unique field \"nick\""),
    ("user", {"emial": "Ann"}, None, "did you mean email?"),
    ("user", {"id": []}, None, "not an array"),
    ("user", "u1", None, "by an object"),
    ("line", {"order_no": {"order": "o1"}}, 3040, "needs a value for \"no\""),
    ("line", {"order_no": {"order": "o1", "no": None}}, 3040, "needs a value for \"no\""),
    ("line", {"order_no": {"order": "o1", "no": 1, "x": 1}}, None, "no field \"x\""),
    ("line", {"order_no": 1}, None, "takes an object of its fields"),
    ("line", {"order_no": {"order": "o1", "no": "x"}}, None, "whole number"),
])
def test_bad_unique_where(refuse, command, where, code, says):
    problem = refuse(command, where=where)
    assert says in problem["detail"], problem
    assert problem.get("prisma_code") == code
    assert problem["path"].startswith("/where")


def test_unique_where(ask):
    assert ask("user", where={"id": None, "email": "dan@example.org"}, select="{ id }") == {"id": "u4"}
    assert ask("user", where={"token": "0b7a1f10-3b1d-4c5e-8f00-000000000001"}, select="{ id }") == {"id": "u1"}
    assert ask("team", where={"id": 2}, select="{ name }") == {"name": "blue"}


# ---- order and cuts -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("args, found", [
    ({}, ALL),
    ({"orderBy": "age_ASC"}, ["u3", "u1", "u4", "u2"]),
    ({"orderBy": "age_DESC"}, ["u2", "u1", "u4", "u3"]),
    ({"orderBy": "id_DESC"}, ["u4", "u3", "u2", "u1"]),
    ({"orderBy": "colour_ASC"}, ["u3", "u1", "u4", "u2"]),
    ({"first": 2}, ["u1", "u2"]),
    ({"first": 0}, []),
    ({"first": None, "skip": None, "orderBy": None}, ALL),
    ({"first": 2, "skip": 1}, ["u2", "u3"]),
    ({"skip": 3}, ["u4"]),
    ({"last": 2}, ["u3", "u4"]),
    ({"last": 2, "skip": 1}, ["u2", "u3"]),
    ({"last": 2, "orderBy": "age_ASC"}, ["u4", "u2"]),
    ({"after": "u1"}, ["u2", "u3", "u4"]),
    ({"after": "u1", "first": 1}, ["u2"]),
    ({"before": "u3"}, ["u1", "u2"]),
    ({"before": "u3", "last": 1}, ["u2"]),
    ({"after": "u1", "before": "u4"}, ["u2", "u3"]),
    ({"after": "zzz"}, []),
    ({"orderBy": "age_ASC", "after": "u3"}, ["u1", "u4", "u2"]),
    ({"orderBy": "age_ASC", "after": "u1"}, ["u4", "u2"]),
    ({"orderBy": "age_ASC", "after": "u2"}, []),
    ({"orderBy": "age_ASC", "before": "u2"}, ["u3", "u1", "u4"]),
    ({"orderBy": "age_DESC", "after": "u2"}, ["u1", "u4", "u3"]),
    ({"orderBy": "age_DESC", "after": "u4"}, ["u3"]),
    ({"orderBy": "age_DESC", "before": "u4"}, ["u2", "u1"]),
    ({"orderBy": "age_DESC", "before": "u2"}, []),
    ({"orderBy": "age_DESC", "after": "nobody"}, []),
    ({"where": {"age": 30}, "last": 1}, ["u4"]),
])
def test_cuts(ask, args, found):
    assert ids(ask("users", select="{ id }", **args)) == found


@pytest.mark.parametrize("args, code, says", [
    ({"first": 1, "last": 1}, 3014, "exclude each other"),
    ({"first": -1}, 3026, "no negative number"),
    ({"last": -1}, 3027, "no negative number"),
    ({"skip": -1}, 3028, "no negative number"),
    ({"first": 10001}, 2041, "at most 10000"),
    ({"last": 10001}, 2041, "at most 10000"),
    ({"first": 1.5}, None, "whole number"),
    ({"first": "1"}, None, "whole number"),
    ({"skip": 99999999999}, None, "at most 9 digits"),
    ({"orderBy": "age"}, None, "has no order \"age\""),
    ({"orderBy": "age_UP"}, None, "has no order"),
    ({"orderBy": "boss_ASC"}, None, "has no order"),
    ({"orderBy": "tags_ASC"}, None, "has no order"),
    ({"orderBy": "id; drop table app_user_ASC"}, None, "has no order"),
    ({"orderBy": ["id_ASC"]}, None, "takes the name of a field"),
    ({"after": {"id": ["u1"]}}, None, "takes a string"),
])
def test_bad_cuts(refuse, args, code, says):
    problem = refuse("users", **args)
    assert says in problem["detail"], problem
    assert problem.get("prisma_code") == code
    nested = refuse("users", select={"staff": {**args, "select": {"id": True}}})
    assert says in nested["detail"] and nested.get("prisma_code") == code
    assert nested["path"] == "/select/staff" + problem["path"]


def edges(answer):
    return [edge["node"]["id"] for edge in answer["edges"]]


@pytest.mark.parametrize("args, found, more, before", [
    ({}, ALL, False, False),
    ({"first": 2}, ["u1", "u2"], True, False),
    ({"first": 4}, ALL, False, False),
    ({"first": 2, "after": "u2"}, ["u3", "u4"], False, False),
    ({"first": 1, "after": "u2"}, ["u3"], True, False),
    ({"first": 0}, [], True, False),
    ({"last": 2}, ["u3", "u4"], False, True),
    ({"last": 2, "before": "u3"}, ["u1", "u2"], False, False),
    ({"last": 1, "before": "u3"}, ["u2"], False, True),
    ({"orderBy": "age_DESC", "first": 2}, ["u2", "u1"], True, False),
    ({"where": {"age": 30}}, ["u1", "u4"], False, False),
    ({"where": {"age": 99}}, [], False, False),
    ({"skip": 3}, ["u4"], False, False),
])
def test_connections(ask, args, found, more, before):
    answer = ask("usersConnection", **args, select="""{ edges { node { id } cursor } aggregate { count }
                                                        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }""")
    assert edges(answer) == found == [edge["cursor"] for edge in answer["edges"]]
    assert answer["pageInfo"] == {"hasNextPage": more, "hasPreviousPage": before, "startCursor": found[0] if found else None,
                                  "endCursor": found[-1] if found else None}
    assert answer["aggregate"] == {"count": 4 if "where" not in args else len(found)}


def test_selections_of_connections(ask):
    everything = ask("teamsConnection")
    assert everything == {
        "edges": [{"node": {"id": i, "name": name}, "cursor": i} for i, name in ((1, "red"), (2, "blue"), (3, "empty"))],
        "pageInfo": {"hasNextPage": False, "hasPreviousPage": False, "startCursor": 1, "endCursor": 3},
        "aggregate": {"count": 3}}
    assert ask("teamsConnection", select={"edges": True, "pageInfo": True,
        "aggregate": {"select": {"count": True}}}) == everything
    assert ask("teamsConnection", select="{ aggregate { n: count m: count } }") == {"aggregate": {"n": 3, "m": 3}}
    assert ask("usersConnection", first=1, select="""{ a: edges { node { posts(first: 1) { id } } } b: edges { cursor }
                                                       p: pageInfo { more: hasNextPage } }""") == {
        "a": [{"node": {"posts": [{"id": "a1"}]}}], "b": [{"cursor": "u1"}], "p": {"more": True}}
    lines = ask("linesConnection", first=2, select={"edges": {"select": {"cursor": True}},
        "pageInfo": {"select": {"endCursor": True}}})
    assert lines == {"edges": [{"cursor": {"order": "o1", "no": 1}}, {"cursor": {"order": "o1", "no": 2}}],
                     "pageInfo": {"endCursor": {"order": "o1", "no": 2}}}
    assert ask("linesConnection", after=lines["pageInfo"]["endCursor"],
        select="{ edges { node { note } } }") == {"edges": [{"node": {"note": "y"}}]}


@pytest.mark.parametrize("select, says, path", [
    ("{ edge { cursor } }", "did you mean edges?", "/select"),
    ("{ edges }", "Which fields of \"edges\"?", "/select"),
    ("{ aggregate { count { x } } }", "has no fields", "/select"),
    ("{ edges { node { idd } } }", "User has no field \"idd\"", "/select"),
    ("{ edges(first: 1) { cursor } }", "no fragments, directives or arguments", "/select"),
    ({"edges": {"first": 1}}, "has no argument \"first\"", "/select/edges/first"),
    ({"edges": {"select": {"node": {"select": {"idd": True}}}}}, "no field \"idd\"", "/select/edges/select/node/select/idd"),
    ({"x y": True}, "no field \"x y\" here", "/select/x y"),
    ({}, "needs a field", "/select"),
    ({"edges": 1}, "by true or an object", "/select/edges"),
])
def test_bad_selections_of_connections(refuse, select, says, path):
    problem = refuse("usersConnection", select=select)
    assert says in problem["detail"] and problem["path"] == path, problem
