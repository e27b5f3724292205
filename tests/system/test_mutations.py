"""Mutations of models: scalars, keys, answers, order, depth, self relations, cascades, errors of the input. What each
operation does to links is the matrix of test_nested.py; races are in test_mutations_by_chance.py."""

import re
import uuid

import pytest

import harness
from mutated import do, empty, fail, rows, site, tables

# -------------------------------------------------------------------------- scalars and keys


def test_scalars_of_a_create(do):
    got = do("createPerson", data={"name": "ann", "age": 3, "score": 1, "tags": {"set": ["b", "a"]}, "extra": {"x": [1]}})
    assert re.fullmatch("c[0-9a-z]{24}", got["id"])
    assert (got["name"], got["nick"], got["age"], got["score"], got["tags"]) == ("ann", None, 3, 1, ["b", "a"])
    assert (got["mood"], got["extra"]) == ("CALM", {"x": [1]})
    assert got["createdAt"] == got["updatedAt"] and re.search(r"\.\d{3}Z$", got["createdAt"])


def test_null_and_absent(do):
    got = do("createPerson", data={"name": "ann", "id": None, "age": None, "nick": None, "tags": None})
    assert got["id"] and got["age"] is None and got["tags"] == []
    assert do("updatePerson", where={"name": "ann"}, data={"age": 4})["age"] == 4
    assert do("updatePerson", where={"name": "ann"}, data={})["age"] == 4
    assert do("updatePerson", where={"name": "ann"}, data={"age": None})["age"] is None


def test_keys(do, database):
    """Generated keys grow, also within one statement; given ones are taken as they are."""
    made = [do("createPerson", data={"name": f"p{i}"})["id"] for i in range(3)]
    tree = do("createPerson", data={"name": "root", "staff": {"create": [{"name": f"s{i}"} for i in range(20)]}},
              select="{ id staff { id name } }")
    keys = [*made, tree["id"], *[row["id"] for row in tree["staff"]]]
    assert keys == sorted(keys) and len(set(keys)) == len(keys)
    assert [row["name"] for row in tree["staff"]] == [f"s{i}" for i in range(20)]
    assert do("createPerson", data={"id": "me", "name": "me"})["id"] == "me"
    assert do("createPlace", data={"title": "x"})["id"] + 1 == do("createPlace", data={"title": "y"})["id"]
    assert do("createCount")["id"] + 1 == do("createCount", data={})["id"]
    pets = do("createPerson", data={"name": "o", "pets": {"create": [{"name": f"pet{i}"} for i in range(5)]}},
              select="{ pets { id name } }")["pets"]
    assert [pet["name"] for pet in pets] == [f"pet{i}" for i in range(5)]
    assert all(re.fullmatch("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", pet["id"])
               for pet in pets)


def test_numbers_and_lists_are_changed(do):
    do("createPerson", data={"name": "ann", "age": 10, "score": 2.5, "tags": {"set": ["a"]}})
    def change(**data):
        return do("updatePerson", where={"name": "ann"}, data=data)
    assert change(age={"increment": 5})["age"] == 15
    assert change(age={"decrement": 1})["age"] == 14
    assert change(score={"multiply": 4})["score"] == 10
    assert change(score={"divide": 5}, age={"set": 1})["score"] == 2
    assert change(tags={"push": "b"})["tags"] == ["a", "b"]
    assert change(tags={"push": ["a", "c"]})["tags"] == ["a", "b", "a", "c"]
    assert change(tags={"remove": ["a"]})["tags"] == ["b", "c"]
    assert change(tags={})["tags"] == ["b", "c"]
    assert change(tags={"set": None})["tags"] == []


def test_updated_at(do):
    """Changes with scalars alone, and two updates always differ."""
    times = [do("createPerson", data={"name": "ann", "id": "ann"})["updatedAt"]]
    for age in range(5):
        times.append(do("updatePerson", where={"id": "ann"}, data={"age": age})["updatedAt"])
    assert times == sorted(set(times))
    assert do("updatePerson", where={"id": "ann"}, data={"staff": {"create": {"name": "bob"}}})["updatedAt"] == times[-1]
    do("createPerson", data={"name": "cid", "staff": {"connect": {"id": "ann"}}})
    assert do("updatePerson", where={"id": "ann"}, data={})["updatedAt"] == times[-1]
    assert do("updatePerson", where={"id": "ann"}, data={"tags": {"set": []}})["updatedAt"] > times[-1]


# -------------------------------------------------------------------------- what is refused before anything runs

@pytest.mark.parametrize("command, args, code, path", [
    ("createPerson", {"data": {}}, None, "/data"),
    ("createPerson", {"data": {"name": None}}, None, "/data/name"),
    ("createPerson", {"data": {"name": 3}}, None, "/data/name"),
    ("createPerson", {"data": {"name": "x", "mood": None}}, 3036, "/data/mood"),
    ("createPerson", {"data": {"name": "x", "mood": "SAD"}}, None, "/data/mood"),
    ("createPerson", {"data": {"name": "x", "id": "c" * 26}}, 3007, "/data/id"),
    ("createPerson", {"data": {"name": "x", "nmae": 1}}, None, "/data/nmae"),
    ("createPerson", {"data": {"name": "x", "createdAt": "2020"}}, None, "/data/createdAt"),
    ("createPerson", {"data": {"name": "x", "tags": {"push": "a"}}}, None, "/data/tags/push"),
    ("createPerson", {"data": {"name": "x", "tags": {"set": [None]}}}, None, "/data/tags/set/0"),
    ("createPerson", {"data": {"name": "x", "staff": {"update": []}}}, None, "/data/staff/update"),
    ("createPerson", {"data": {"name": "x", "staff": {"create": {"name": "y", "boss": {}}}}}, None,
     "/data/staff/create/boss"),
    ("createPerson", {"data": {"name": "x", "staff": {"create": [{"name": "y"}, {}]}}}, None, "/data/staff/create/1"),
    ("createPerson", {"data": {"name": "x", "staff": 3}}, None, "/data/staff"),
    ("createPerson", {"data": {"name": "x", "staff": {"create": False}}}, None, "/data/staff/create"),
    ("createPerson", {"data": {"name": "x", "boss": {"connect": False}}}, None, "/data/boss/connect"),
    ("updatePerson", {"where": {"id": "1"}, "data": {"staff": {"set": False}}}, None, "/data/staff/set"),
    ("createPerson", {"data": {"name": "x", "boss": {"connect": {}}}}, 3040, "/data/boss/connect"),
    ("createPerson", {"data": {"name": "x", "boss": {"connect": {"id": None}}}}, 3040, "/data/boss/connect"),
    ("createPerson", {"data": {"name": "x", "boss": {"connect": {"id": "1", "name": "2"}}}}, 3045, "/data/boss/connect"),
    ("createPerson", {"data": {"name": "x", "boss": {"connect": {"age": 1}}}}, None, "/data/boss/connect/age"),
    ("createPerson", {"data": {"name": "x", "boss": {"create": {"name": "y"}, "connect": {"id": "1"}}}}, None, "/data/boss"),
    ("createPerson", {"data": {"name": "x", "boss": {"create": [{"name": "y"}]}}}, None, "/data/boss/create"),
    ("createPet", {"data": {"name": "x"}}, None, "/data"),
    ("createPet", {"data": {"name": "x", "owner": {}}}, 3032, "/data/owner"),
    ("createPet", {"data": {"name": "x", "owner": None}}, 3032, "/data/owner"),
    ("createPlace", {"data": {"id": 3, "title": "x"}}, None, "/data/id"),
    ("createKey", {"data": {}}, None, "/data"),
    ("updatePerson", {"where": {"id": "1"}, "data": {"name": None}}, 3020, "/data/name"),
    ("updatePerson", {"where": {"id": "1"}, "data": {"id": "2"}}, None, "/data/id"),
    ("updatePerson", {"where": {}, "data": {}}, 3040, "/where"),
    ("updatePerson", {"where": {"id": "1"}, "data": {"home": {"delete": 1}}}, None, "/data/home/delete"),
    ("updatePerson", {"where": {"id": "1"}, "data": {"pets": {"update": {"data": {}}}}}, None, "/data/pets/update"),
    ("updatePet", {"where": {"name": "1"}, "data": {"owner": {"disconnect": True}}}, None, "/data/owner/disconnect"),
    ("upsertPerson", {"where": {"id": "1"}, "update": {}, "create": {"name": "x", "id": "c" * 26}}, 3007, "/create/id"),
    ("upsertPerson", {"where": {"id": "1"}, "update": {"name": None}, "create": {"name": "x"}}, 3020, "/update/name"),
    ("updatePerson", {"where": {"id": "1"}, "data": {"staff": {"updateMany": {"where": {"nosuch": 1}, "data": {}}}}}, None,
     "/data/staff/updateMany/where/nosuch"),
    ("updateManyPersons", {"data": {"staff": {"set": []}}}, None, "/data"),
    ("updateManyPersons", {"data": {"age": "x"}}, None, "/data/age"),
])
def test_input_errors(fail, database, command, args, code, path):
    database.execute("""insert into "Person" (id, name, "createdAt", "updatedAt") values ('1', 'one', now(), now())""")
    assert fail(command, **args) == (code, path, "BAD_ARGUMENT")
    assert rows(database, "Person") == 1


@pytest.mark.parametrize("command, data, path", [
    ("createPerson", {"name": "x", "likes": {"connect": {"id": "1"}}}, "/data/likes/connect/id"),
    ("createPerson", {"name": "x", "likes": {"connect": [{"id": 1}, {"id": "1"}]}}, "/data/likes/connect/1/id"),
    ("createPerson", {"name": "x", "likes": {"connect": [{"id": 1}, {"title": "x"}, {"id": "1"}]}}, "/data/likes/connect/2/id"),
    ("createPerson", {"name": "x", "pets": {"connect": [{"id": "01a200c5-cf1b-7499-998f-a0ca06512511"}, {"id": "x"}]}},
     "/data/pets/connect/1/id"),
    ("updatePerson", {"likes": {"set": [{"title": "x"}, {"id": 1}, {"id": 1.5}]}}, "/data/likes/set/2/id"),
    ("updatePerson", {"likes": {"disconnect": [{"id": 1}, {"title": 1}]}}, "/data/likes/disconnect/1/title"),
    ("updatePerson", {"pets": {"update": [{"where": {"name": "a"}, "data": {"toys": {"deleteMany": {}}}},
                                          {"where": {"name": 2}, "data": {"toys": {"deleteMany": {}}}}]}},
     "/data/pets/update/1/where/name"),
    ("updatePerson", {"likes": {"set": [{"id": {"$ref": "zero.count"}}, {"id": "x"}]}}, "/data/likes/set/1/id"),
])
def test_which_of_a_list_has_a_wrong_value(site, command, data, path):
    args = {"data": data} if command == "createPerson" else {"where": {"name": "x"}, "data": data}
    zero = {"command": "updateManyPersons", "as": "zero", "args": {"data": {}, "where": {"id": "0"}}}
    answer = site.inside.set(zero, {"command": command, "args": args})
    assert (answer.code, answer.json["path"]) == ("BAD_ARGUMENT", "/commands/1/args" + path)
    assert answer.json["detail"].count(" takes ") == 1 and not answer.json["detail"].endswith("..")


def test_did_you_mean(site):
    assert 'did you mean' in site.inside.command("createPerson", {"data": {"nmae": "x"}}).json["detail"].lower()
    assert 'did you mean' in site.inside.command("createPerson", {"data": {"name": "x",
        "staff": {"conect": []}}}).json["detail"].lower()


@pytest.mark.parametrize("command, field, change, said", [
    ("createPerson", "tags", "push", '"push" is not offered for the field tags here.'),
    ("updatePerson", "tags", "pusch", '"pusch" is not offered for the field tags here. Did you mean "push"?'),
    ("updatePerson", "tags", "increment", '"increment" is not offered for the field tags here.'),
    ("updatePerson", "age", "remove", '"remove" is not offered for the field age here.'),
    ("updatePerson", "age", "decrment", '"decrment" is not offered for the field age here. Did you mean "decrement"?'),
])
def test_only_what_is_offered_is_meant(site, command, field, change, said):
    where = {"where": {"name": "x"}} if command == "updatePerson" else {}
    answer = site.inside.command(command, {**where, "data": {"name": "x", field: {change: 1}}})
    assert (answer.code, answer.json["path"], answer.json["detail"]) == ("BAD_ARGUMENT", f"/data/{field}/{change}", said)


# -------------------------------------------------------------------------- what is refused while it runs


def test_unique_violations(do, fail, database):
    do("createPerson", data={"name": "ann", "id": "a"})
    answer = fail("createPerson", data={"name": "ann"})
    assert answer == (3010, "/data", "UNIQUE_VIOLATION")
    assert fail("createPerson", data={"name": "x", "id": "a"})[0] == 3010
    assert fail("createPerson", data={"name": "x", "staff": {"create": [{"name": "y"}, {"name": "ann"}]}}) \
        == (3010, "/data/staff/create/1", "UNIQUE_VIOLATION")
    assert fail("createPerson", data={"name": "x", "pets": {"create": [{"name": "y"}, {"name": "y"}]}}) \
        == (3010, "/data/pets/create/1", "UNIQUE_VIOLATION")
    assert fail("createPerson", data={"name": "x", "pets": {"create": [
        {"name": "y", "toys": {"create": [{"name": "t"}]}}, {"name": "z",
            "toys": {"create": [{"name": "u"}, {"name": "t"}]}}]}}) \
        == (3010, "/data/pets/create/1/toys/create/1", "UNIQUE_VIOLATION")
    do("createPerson", data={"name": "bob"})
    assert fail("updatePerson", where={"name": "bob"}, data={"name": "ann"})[0] == 3010
    assert fail("updateManyPersons", data={"name": "same"})[0] == 3010
    assert sorted(row[0] for row in database.execute('select name from "Person"')) == ["ann", "bob"]


SOME_CODE = "0198c0de-0000-7000-8000-00000000abcd"
WRONG_ROWS = [  # rows of one statement, and what is said of which
    ([{"at": "2017"}, {"at": "2016"}], "1", "UNIQUE_VIOLATION"),  # shown as 2016-01-01 00:00:00+00
    ([{"code": SOME_CODE.upper()}, {"code": SOME_CODE[:-1] + "e"}], "0", "UNIQUE_VIOLATION"),
    ([{"name": "x"}, {"name": "y"}, {"name": "x"}, {"name": "x"}], "2", "UNIQUE_VIOLATION"),
    ([{"name": "x"}, {"name": "there"}, {"name": "there"}], "1", "UNIQUE_VIOLATION"),
    ([{"n": 1}, {"n": 2}, {"n": 10}, {"n": 11}], "2", "CHECK_VIOLATION"),
    ([{"n": 1}, {"n": 2}, {"n": 1}], "2", "EXCLUSION_VIOLATION"),
    ([{"short": "fits"}, {"short": "too long"}], "1", "DATA_ERROR"),
    ([{"n": 1, "specks": {"create": [{"n": 1}, {"n": 2}]}}, {"n": 2, "specks": {"create": [{"n": 3}, {"n": 9}]}}],
     "1/specks/create/1", "CHECK_VIOLATION"),
    ([{"n": 1, "specks": {"create": [{"n": 1}, {"n": 5}]}}, {"n": 2, "specks": {"create": {"n": 3}}}], "0/specks/create/1", "RAISED"),
    ([{"n": 1, "specks": {"create": {"at": "2016"}}}, {"n": 2, "specks": {"create": {"at": "2016"}}}], "1/specks/create",
     "UNIQUE_VIOLATION"),
]


@pytest.mark.parametrize("grains, place, code", WRONG_ROWS)
def test_which_of_many(do, fail, database, grains, place, code):
    """One statement makes all of the rows, but what is wrong with one of them is told of that one."""
    do("createGrain", data={"name": "there", "at": "2016", "code": SOME_CODE})
    assert fail("createSack", data={"grains": {"create": grains}})[1:] == ("/data/grains/create/" + place, code)
    assert fail("createSack", data={"id": "s", "grains": {"create": grains}}, select="{ grains { specks { id } } }")[2] == code
    assert (rows(database, "Sack"), rows(database, "Grain"), rows(database, "Speck")) == (0, 1, 0)


def test_which_of_many_in_a_set(site, do, database):
    key = {"Idempotency-Key": str(uuid.uuid4())}
    answer = site.inside.set(("createSack", {"data": {"id": "a"}}, "a"),
                             ("createSack", {"data": {"id": "b", "grains": {"create": [{"n": 1}, {"n": 10}]}}}),
                             ("createSack", {"data": {"id": "a"}}), headers=key)
    assert (answer.code, answer.json["path"], answer.json["index"]) == \
        ("CHECK_VIOLATION", "/commands/1/args/data/grains/create/1", 1)
    assert rows(database, "Sack") == 0
    again = site.inside.set(("createSack", {"data": {"id": "a"}}), headers=key)
    assert again.status == 200  # nothing of it was kept


def test_names_of_a_unique_violation(site, do):
    do("createPerson", data={"name": "ann", "nick": "a"})
    detail = site.inside.command("createPerson", {"data": {"name": "bob", "nick": "a"}}).json["detail"]
    assert "Person" in detail and "Field name = nick" in detail


def test_unknown_nodes(do, fail):
    assert fail("updatePerson", where={"id": "0"}, data={"age": 1}) == (3039, "/where/id", "NOT_FOUND")
    assert fail("deletePerson", where={"name": "0"}) == (3039, "/where/name", "NOT_FOUND")
    do("createPerson", data={"name": "ann"})
    following = {"connect": [{"name": "ann"}, {"name": "nobody"}]}
    assert fail("createPerson", data={"name": "bob", "following": following}) \
        == (3039, "/data/following/connect/1/name", "NOT_FOUND")
    assert fail("updatePerson", where={"name": "ann"}, data={"following": {"set": [{"name": "ann"}, {"id": "nobody"}]}}) \
        == (3039, "/data/following/set/1/id", "NOT_FOUND")


def test_many(do, database):
    for i in range(5):
        do("createPerson", data={"name": f"p{i}", "age": i})
    assert do("updateManyPersons", where={"age_gt": 2}, data={"nick": None, "age": {"increment": 10}}) == {"count": 2}
    assert do("updateManyPersons", where={}, data={}) == {"count": 5}
    assert do("updateManyPersons", where={"age_lt": 0}, data={"age": 1}) == {"count": 0}
    assert do("deleteManyPersons", where={"age_gt": 10}) == {"count": 2}
    assert do("deleteManyPersons") == {"count": 3}
    assert do("deleteManyPersons", where={}) == {"count": 0}


def test_what_is_nested_must_be_allowed(site, do, database):
    def ask(name, args, role="customer"):
        answer = site.client.command(name, args, role=role)
        return (answer.json.get("path"), answer.code) if answer.status != 200 else 200
    do("createPlace", data={"title": "hut"})
    person = {"name": "ann", "home": {"connect": {"title": "hut"}}, "pets": {"create": {"name": "rex"}},
              "staff": {"create": {"name": "b"}}}
    assert ask("createPerson", {"data": person}) == 200
    toys = {"toys": {"create": [{"name": "ball"}]}}
    assert ask("createPerson", {"data": {"name": "x", "pets": {"create": [{"name": "y"}, {"name": "z", **toys}]}}}) \
        == ("/data/pets/create/1/toys/create/0", "FORBIDDEN")
    def change(**operations):
        return ask("updatePerson", {"where": {"name": "ann"}, "data": {"pets": operations}})
    assert change(update={"where": {"name": "rex"}, "data": {}}) == ("/data/pets/update", "FORBIDDEN")
    assert change(upsert={"where": {"name": "rex"}, "update": {}, "create": {"name": "q"}}) == ("/data/pets/upsert",
        "FORBIDDEN")
    assert change(delete={"name": "rex"}) == ("/data/pets/delete", "FORBIDDEN")
    assert change(deleteMany={}) == ("/data/pets/deleteMany", "FORBIDDEN")
    assert change(updateMany={"where": {}, "data": {}}) == ("/data/pets/updateMany", "FORBIDDEN")
    assert change(connect={"name": "rex"}, set=[{"name": "rex"}]) == 200
    home = {"where": {"name": "ann"}, "data": {"home": {"connectOrCreate": {"where": {"title": "hut"},
        "create": {"title": "hut"}}}}}
    assert ask("updatePerson", home) == ("/data/home/connectOrCreate", "FORBIDDEN")
    assert ask("updatePerson", {"where": {"name": "ann"}, "data": {"home": {"delete": True}}}) == 200
    assert rows(database, "Pet") == 1 and rows(database, "Place") == 0
    assert ask("keeper", {"name": "k", "pets": {"create": {"name": "kit"}}}) == 200
    assert ask("keeper", {"name": "l", "pets": {"create": {"name": "kat", **toys}}}) == (None, "FORBIDDEN")
    assert rows(database, "Pet") == 2 and rows(database, "Place") == 1


# -------------------------------------------------------------------------- trees


def test_depth(do, fail, database):
    data = {"name": "ann", "pets": {"create": [
        {"name": "rex", "toys": {"create": [{"name": "ball", "parts": {"create": [{"name": "skin"}, {"name": "air"}]}}]}},
        {"name": "tom", "toys": {"create": {"name": "mouse"}}}]}}
    select = "{ name pets { name toys { name parts { name } } } }"
    tree = do("createPerson", data=data, select=select)
    assert tree == {"name": "ann", "pets": [
        {"name": "rex", "toys": [{"name": "ball", "parts": [{"name": "skin"}, {"name": "air"}]}]},
        {"name": "tom", "toys": [{"name": "mouse", "parts": []}]}]}
    change = {"pets": {"update": {"where": {"name": "rex"}, "data": {"toys": {"update": {"where": {"name": "ball"}, "data": {
        "name": "bowl", "parts": {"create": {"name": "lid"}, "disconnect": {"name": "air"},
                                  "delete": {"name": "skin"}}}}}}}}}
    tree = do("updatePerson", where={"name": "ann"}, data=change, select=select)
    assert tree["pets"][0]["toys"] == [{"name": "bowl", "parts": [{"name": "lid"}]}]
    broken = {"age": 9, "pets": {"update": {"where": {"name": "tom"}, "data": {"name": "tim", "toys": {"update": {
        "where": {"name": "bowl"}, "data": {}}}}}}}
    assert fail("updatePerson", where={"name": "ann"}, data=broken) \
        == (3041, "/data/pets/update/data/toys/update/where/name", "NOT_CONNECTED")
    assert database.one("""select age is null from "Person" """) and rows(database, "Pet") == 2
    assert database.one("""select count(*) from "Pet" where name = 'tom'""") == 1


def test_levels(do, database):
    """Rows of one level go into their table together, whatever each of them gives."""
    data = {"name": "ann", "pets": {"create": [
        {"name": "a", "toys": {"create": [{"name": "a1", "parts": {"create": {"name": "a11"}}},
                                          {"id": "own", "name": "a2"}]}},
        {"name": "b"},
        {"id": "01890a5d-ac96-774b-bcce-b302099a8057", "name": "c", "toys": {"create": [
            {"id": "mine", "name": "c1", "parts": {"create": [{"name": "c11"}, {"name": "c12"}]}}, {"name": "c2"}]}}]}}
    got = do("createPerson", data=data,
             select="{ pets(orderBy: name_ASC) { name toys(orderBy: name_ASC) { name parts { name } } } }")
    assert got == {"pets": [
        {"name": "a", "toys": [{"name": "a1", "parts": [{"name": "a11"}]}, {"name": "a2", "parts": []}]},
            {"name": "b", "toys": []},
        {"name": "c", "toys": [{"name": "c1", "parts": [{"name": "c11"}, {"name": "c12"}]}, {"name": "c2", "parts": []}]}]}
    tree = {"name": "r", "children": {"create": [{"name": str(i), "files": {"create": {"name": f"f{i}"}},
                                                  "children": {"create": [
        {"name": f"{i}.{j}", "children": {"create": {"name": f"{i}.{j}.x"}}} for j in range(3)]}} for i in range(3)]}}
    do("createFolder", data=tree)
    names = [row[0] for row in database.execute('select name from "Folder" order by id')]
    assert names == ["r"] + [name for i in range(3) for name in [str(i)] + [n for j in range(3)
        for n in (f"{i}.{j}", f"{i}.{j}.x")]]
    assert do("folder", where={"name": "1.2"}, select="{ parent { name } children { name } }") \
        == {"parent": {"name": "1"}, "children": [{"name": "1.2.x"}]}


def test_order_of_the_operations(do):
    """By kind, not as the client wrote them."""
    do("createPerson", data={"name": "ann", "pets": {"create": [{"name": "rex"}]}})
    do("createPerson", data={"name": "bob", "pets": {"create": [{"name": "tom",
        "toys": {"create": [{"name": "a"}, {"name": "b"}]}}]}})
    def toys(**operations):
        return [toy["name"] for toy in do("updatePet", where={"name": "tom"}, data={"toys": operations},
                                          select="{ toys { name } }")["toys"]]
    assert toys(delete={"name": "c"}, create={"name": "c"}) == ["a", "b"]
    assert toys(set=[{"name": "d"}, {"name": "a"}], create={"name": "d"}) == ["a", "d"]
    assert toys(update={"where": {"name": "e"}, "data": {"name": "f"}}, create={"name": "e"}) == ["a", "d", "f"]
    assert toys(disconnect={"name": "b"}, connect={"name": "b"}) == ["a", "d", "f"]
    assert toys(deleteMany={"name_in": ["a", "f"]}, updateMany={"where": {"name": "d"}, "data": {"name": "a2"}}) == ["a2"]
    assert toys(updateMany=[{"where": {"name": "a2"}, "data": {"name": "x"}},
                            {"where": {"name": "x"}, "data": {"name": "y"}}]) == ["y"]
    assert toys(set=[]) == []
    assert toys(connectOrCreate=[{"where": {"name": "n"}, "create": {"name": "n"}}] * 2) == ["n"]


def test_nothing_is_done_by_null_and_false(do):
    do("createPerson", data={"name": "ann", "home": {"create": {"title": "hut"}}})
    data = {"home": {"delete": False, "disconnect": False, "create": None}, "pets": {"create": None}, "staff": None,
            "likes": {}}
    assert do("updatePerson", where={"name": "ann"}, data=data, select="{ home { title } }") == {"home": {"title": "hut"}}


def test_self_relations(do):
    do("createPerson", data={"name": "ann", "boss": {"create": {"name": "eve"}},
                             "staff": {"create": [{"name": "bob"}, {"name": "cid"}]}})
    select = "{ name boss { name } staff { name } followers { name } following { name } }"
    assert do("updatePerson", where={"name": "ann"}, data={"following": {"connect": [{"name": "bob"}]},
                                                           "followers": {"connect": {"name": "cid"}}}, select=select) \
        == {"name": "ann", "boss": {"name": "eve"}, "staff": [{"name": "bob"}, {"name": "cid"}],
            "followers": [{"name": "cid"}], "following": [{"name": "bob"}]}
    assert do("updatePerson", where={"name": "bob"}, data={"following": {"connect": {"name": "ann"}},
                                                           "boss": {"disconnect": True}},
              select=select) == {"name": "bob", "boss": None, "staff": [], "followers": [{"name": "ann"}],
                                 "following": [{"name": "ann"}]}
    got = do("updatePerson", where={"name": "ann"}, data={"followers": {"delete": {"name": "bob"}}}, select=select)
    assert got["followers"] == [{"name": "cid"}] and got["following"] == [] and got["staff"] == [{"name": "cid"}]
    assert do("updatePerson", where={"name": "ann"}, data={"boss": {"connect": {"name": "ann"}}},
              select=select)["boss"]["name"] == "ann"


@pytest.mark.parametrize("data", [
    {"following": {"connect": {"id": "me"}}, "followers": {"connect": {"id": "me"}}},
    {"following": {"connect": {"name": "idol"}}, "staff": {"create": {"name": "bob", "staff": {
        "upsert": {"where": {"name": "idol"}, "create": {"name": "idol"}, "update": {"followers": {"connect": {"id": "me"}}}}}}}},
], ids=["from its other end", "by what is nested ahead"])
def test_a_new_row_is_linked_twice(do, database, data):
    """Connecting what is connected already is no error, whoever did it."""
    do("createPerson", data={"name": "idol"})
    do("createPerson", data={"id": "me", "name": "ann", **data})
    assert database.one("""select count(*) from "_Follows" where 'me' in ("A", "B")""") == 1


def test_without_back_fields(do):
    """The missing side is a list: nothing is stolen."""
    do("createPlace", data={"title": "hut"})
    for name in "ab":
        got = do("createPerson", data={"name": name, "home": {"connect": {"title": "hut"}},
                                       "likes": {"connect": {"title": "hut"}}},
                 select="{ home { title } likes { title } }")
        assert got == {"home": {"title": "hut"}, "likes": [{"title": "hut"}]}
    assert do("person", where={"name": "a"}, select="{ home { title } }")["home"] == {"title": "hut"}
    do("deletePlace", where={"title": "hut"})
    assert do("person", where={"name": "a"}, select="{ home { title } likes { title } }") == {"home": None, "likes": []}


def test_a_self_relation_with_one_field(do):
    """It is seen from one side only."""
    select = "{ name next { name } }"
    assert do("createStep", data={"name": "a", "next": {"create": {"name": "b"}}}, select=select)["next"] == {"name": "b"}
    assert do("step", where={"name": "b"}, select=select)["next"] is None
    do("createStep", data={"name": "c", "next": {"connect": {"name": "b"}}})
    assert do("step", where={"name": "a"}, select=select)["next"] == {"name": "b"}
    assert do("updateStep", where={"name": "a"}, data={"next": {"update": {"name": "bb"}}},
              select=select)["next"] == {"name": "bb"}
    do("deleteStep", where={"name": "bb"})
    assert do("step", where={"name": "c"}, select=select)["next"] is None


def test_composite_keys(do, fail, database):
    do("createBill", data={"id": "b", "lines": {"create": [{"no": 1, "text": "x"},
                                                           {"no": 2, "marks": {"create": {"name": "m"}}}]}})
    line = {"bill_no": {"bill": "b", "no": 1}}
    assert do("updateLine", where=line, data={"text": "y", "marks": {"create": {"name": "n"}, "connect": {"name": "m"}}},
              select="{ no text bill { id } marks { name } }") \
        == {"no": 1, "text": "y", "bill": {"id": "b"}, "marks": [{"name": "m"}, {"name": "n"}]}
    assert do("updateMark", where={"name": "m"}, data={"line": {"connect": {"bill_no": {"bill": "b", "no": 2}}}},
              select="{ line { no } }") == {"line": {"no": 2}}
    assert fail("updateMark", where={"name": "m"}, data={"line": {"connect": {"bill_no": {"bill": "b",
        "no": 3}}}})[0] == 3039
    assert do("updateLine", where=line, data={"marks": {"set": [{"name": "m"}]}},
              select="{ marks { name } }") == {"marks": [{"name": "m"}]}
    assert do("deleteLine", where=line, select="{ no marks { name } }") == {"no": 1, "marks": [{"name": "m"}]}
    assert fail("deleteBill", where={"id": "b"}) == (3042, "/where", "REQUIRED_RELATION")
    assert do("deleteManyLines") == {"count": 1} and do("deleteBill", where={"id": "b"}) == {"id": "b"}


@pytest.fixture
def companies(do):
    """1 and 2, each with a customer 7 and an order 1."""
    for id in (1, 2):
        do("createCompany", data={"id": id, "customers": {"create": {"no": 7}}, "orders": {"create": {"no": 1}}})


def company(id):
    return {"connect": {"id": id}}


def customer(id):
    return {"connect": {"company_no": {"company": id, "no": 7}}}


SHARED = [  # the command, whose, data, and where it is that it asks for an order of one company with a customer of another
    ("createOrder", None, {"company": company(1), "no": 5, "customer": customer(2)}, ""),
    ("createOrder", None, {"company": {"create": {"id": 3}}, "no": 5, "customer": customer(2)}, ""),
    ("updateOrder", (1, 1), {"customer": customer(2)}, "/customer/connect"),
    ("updateOrder", (1, 1), {"customer": {"create": {"no": 8, "company": company(2)}}}, "/customer/create"),
    ("updateOrder", (1, 1), {"company": company(2)}, "/company/connect"),
    ("updateOrder", (1, 1), {"company": {"create": {"id": 3}}}, "/company/create"),
    ("updateCompany", 2, {"orders": {"connect": {"company_no": {"company": 1, "no": 1}}}}, "/orders/connect"),
    ("updateCompany", 2, {"orders": {"set": [{"company_no": {"company": 1, "no": 1}}, {"company_no": {"company": 2, "no": 1}}]}},
     "/orders/set"),
    ("updateCompany", 1, {"orders": {"create": [{"no": 5}, {"no": 6, "customer": customer(2)}]}}, "/orders/create/1"),
    ("updateCustomer", (2, 7), {"orders": {"create": [{"no": 5, "company": company(2)}, {"no": 6, "company": company(1)}]}},
     "/orders/create/1"),
    ("updateCustomer", (2, 7), {"orders": {"connect": {"company_no": {"company": 1, "no": 1}}}}, "/orders/connect"),
]


@pytest.mark.parametrize("command, key, data, path", SHARED)
def test_who_gives_a_column_must_agree(fail, database, companies, command, key, data, path):
    """A column that the key and a link have, or a link in the key: no link leads to another row than it says, no key changes."""
    where = {"id": key} if isinstance(key, int) else {"company_no": {"company": key[0], "no": key[1]}} if key else None
    everything = 'select * from "Order" order by 1, 2'
    before = [tuple(row) for row in database.execute(everything)]
    assert fail(command, data=data, **({"where": where} if where else {})) == (None, "/data" + path, "BAD_ARGUMENT")
    assert [tuple(row) for row in database.execute(everything)] == before
    assert rows(database, "Company") == 2 and rows(database, "Customer") == 2


def test_columns_of_several(do, fail, database, companies):
    """They agree; a link goes without what others stand on."""
    order = {"company_no": {"company": 1, "no": 1}}
    assert do("updateOrder", where=order, data={"company": company(1), "customer": customer(1)}, select="{ customer { no } }") \
        == {"customer": {"no": 7}}
    assert do("updateOrder", where=order, data={"customer": {"disconnect": True}}, select="{ no company { id } customer { no } }") \
        == {"no": 1, "company": {"id": 1}, "customer": None}
    assert do("createOrder", data={"company": company(2), "no": 2, "customer": customer(2)}, select="{ customer { company { id } } }") \
        == {"customer": {"company": {"id": 2}}}
    for room in (1, 2):
        do("createBox", data={"room": room, "no": 1, "items": {"create": [{"room": room, "no": 1}, {"room": room, "no": 2}]}})
    one, two = ({"room_no": {"room": room, "no": 1}} for room in (1, 2))
    assert fail("updateBox", where=one, data={"items": {"create": [{"room": 1, "no": 3}, {"room": 2, "no": 3}]}}) \
        == (None, "/data/items/create/1", "BAD_ARGUMENT")
    do("updateItem", where=one, data={"other": {"connect": one}})
    assert do("updateItem", where=one, data={"other": {"connect": two}}, select="{ other { room } }") == {"other": {"room": 2}}
    assert fail("updateItem", where=one, data={"third": {"connect": one}}) == (None, "/data/third/connect", "BAD_ARGUMENT")
    do("updateItem", where=one, data={"third": {"connect": two}})
    assert do("updateItem", where=one, data={"other": {"disconnect": True}}, select="{ other { no } third { room } }") \
        == {"other": None, "third": {"room": 2}}


def test_both_sides_required(do, fail, database):
    egg = do("createEgg", data={"chicken": {"create": {}}}, select="{ id chicken { id } }")
    assert do("chicken", where={"id": egg["chicken"]["id"]}, select="{ egg { id } }")["egg"]["id"] == egg["id"]
    assert do("createChicken", data={"egg": {"create": {}}}, select="{ egg { id } }")["egg"]["id"]
    assert fail("deleteEgg", where={"id": egg["id"]})[0] == 3042
    assert (rows(database, "Egg"), rows(database, "Chicken")) == (2, 2)


def test_cascades(do, fail, database):
    def tree(name, depth):
        data = {"name": name, "files": {"create": {"name": f"f{name}"}}}
        if depth:
            data["children"] = {"create": [tree(name + "0", depth - 1), tree(name + "1", depth - 1)]}
        return data
    do("createFolder", data=tree("r", 3))
    assert (rows(database, "Folder"), rows(database, "File")) == (15, 15)
    assert do("deleteFolder", where={"name": "r00"}, select="{ name children { name } }") \
        == {"name": "r00", "children": [{"name": "r000"}, {"name": "r001"}]}
    assert (rows(database, "Folder"), rows(database, "File")) == (12, 12)
    do("createPin", data={"file": {"connect": {"name": "fr1"}}})
    assert fail("deleteFolder", where={"name": "r"}) == (3042, "/where", "REQUIRED_RELATION")
    assert fail("deleteFile", where={"name": "fr1"})[0] == 3042
    assert (rows(database, "Folder"), rows(database, "File")) == (12, 12)
    do("deleteManyPins")
    assert do("deleteManyFolders", where={"name": "r"}) == {"count": 1}
    assert (rows(database, "Folder"), rows(database, "File")) == (0, 0)


def test_upserts(do, database):
    def put(**more):
        return do("upsertPerson", where={"name": "ann"}, create={"name": "ann", "age": 1,
            "staff": {"create": {"name": "new"}}},
                  update={"age": {"increment": 1}, "staff": {"create": {"name": "more"}}}, select="{ age staff { name } }",
                      **more)
    assert put() == {"age": 1, "staff": [{"name": "new"}]}
    assert put() == {"age": 2, "staff": [{"name": "new"}, {"name": "more"}]}
    other = do("upsertPerson", where={"nick": "none"}, create={"name": "x"}, update={"name": "y"})
    assert (other["name"], other["nick"]) == ("x", None)
    assert do("upsertPerson", where={"name": "x"}, create={"name": "z"}, update={"name": "w"})["name"] == "w"
    nested = {"pets": {"upsert": {"where": {"name": "rex"}, "create": {"name": "rex", "toys": {"create": {"name": "t1"}}},
                                  "update": {"toys": {"create": {"name": "t2"}}}}}}
    select = "{ pets { name toys { name } } }"
    assert do("updatePerson", where={"name": "ann"}, data=nested, select=select)["pets"] == [{"name": "rex",
        "toys": [{"name": "t1"}]}]
    assert do("updatePerson", where={"name": "ann"}, data=nested, select=select)["pets"] \
        == [{"name": "rex", "toys": [{"name": "t1"}, {"name": "t2"}]}]
    assert rows(database, "Toy") == 2


def test_the_key_of_the_where_may_change(do):
    do("createPerson", data={"name": "ann", "nick": "a"})
    assert do("updatePerson", where={"nick": "a"}, data={"nick": None})["name"] == "ann"
    assert do("updatePerson", where={"name": "ann"}, data={"name": "bob"})["name"] == "bob"


# -------------------------------------------------------------------------- sets, composites, references


def test_in_sets(site, do):
    results = site.inside.set(
        ("createPerson", {"data": {"name": "ann", "pets": {"create": {"name": "rex"}}}, "select": "{ id pets { id } }"},
         "ann"),
        ("createPerson", {"data": {"name": "bob", "boss": {"connect": {"id": {"$ref": "ann.id"}}}},
                          "select": "{ name boss { name } }"}),
        ("updatePet", {"where": {"id": {"$ref": "ann.pets.0.id"}}, "data": {"owner": {"connect": {"name": "bob"}}},
                       "select": "{ owner { name } }"}),
        ("deleteManyPets", {})).results
    assert results[1:] == [{"name": "bob", "boss": {"name": "ann"}}, {"owner": {"name": "bob"}}, {"count": 1}]
    assert do("family", name="eve") == {"boss": {"id": do("person", where={"name": "eve"})["id"], "name": "eve"},
                                        "junior": {"name": "junior", "boss": {"name": "eve"}}}


def test_a_set_is_one_transaction(site, database):
    answer = site.inside.set(("createPerson", {"data": {"name": "ann"}}),
                             ("createPerson", {"data": {"name": "bob", "staff": {"connect": {"name": "nobody"}}}}))
    assert (answer.json["prisma_code"], answer.json["path"]) == (3039, "/commands/1/args/data/staff/connect/name")
    assert rows(database, "Person") == 0


def test_one_round_trip(site, do):
    """Whatever the depth. What was prepared for one tree serves the next of the same shape."""
    text = harness.writ("explain", "-c", site.writ.file, "createPerson",
                        '{"data": {"name": "a", "pets": {"create": [{"name": "x"}, {"name": "y"}]}}}').stdout
    assert "1 round trip" in text
    # caller, the person, both pets, answer
    assert len(re.findall(r"^ *\d+  --", text, re.M)) == 4, text
    nested = '{"data": {"name": "a", "staff": {"create": {"name": "x"}}}}'
    text = harness.writ("explain", "-c", site.writ.file, "createPerson", nested).stdout
    assert len(re.findall(r"^ *\d+  --", text, re.M)) == 4 and "writ.n" not in text, text  # all keys are known
    text = harness.writ("explain", "-c", site.writ.file, "createMember", nested).stdout
    assert "-- keys" in text  # two statements make members: the boss's number comes first


def test_generated_keys(do):
    """In the order in which they were made, and not to be guessed from each other."""
    made = do("createPerson", data={"name": "a", "staff": {"create": [{"name": f"s{i}"} for i in range(9)]}},
              select="{ id staff(orderBy: name_ASC) { id } }")
    keys = [made["id"], *(row["id"] for row in made["staff"])]
    assert keys == sorted(keys) and all(re.fullmatch("c[0-9a-f]{24}", key) for key in keys)
    assert len({key[14:] for key in keys}) == 10


def test_keys_for_others(do, database):
    """Who does not come through writ gets keys of the same kind, by the column's default."""
    keys = [do("createToy", data={"name": "a"})["id"], database.one("""insert into "Toy" (name) values ('b') returning id"""),
            do("createToy", data={"name": "c"})["id"]]
    assert keys == sorted(keys) and all(re.fullmatch("c[0-9a-f]{24}", key) for key in keys), keys


@pytest.mark.parametrize("model", ["Person", "Member"])
def test_many_keys_for_rows_made_one_by_one(do, database, model):
    """In the order of the input, whichever way the row is made; numbers are drawn, and are more than one slot has."""
    names, key = [f"n{i:03}" for i in range(650)], "id" if model == "Person" else "no"
    pairs = [{"where": {"name": name}, "update": {}, "create": {"name": name}} for name in names]
    do(f"create{model}", data={"name": "boss"})
    do(f"update{model}", where={"name": "boss"}, data={"staff": {"create": [{"name": "m1", "staff": {"create": {"name": "m2"}}}, {"name": "m3"}],
                                                               "upsert": pairs}})
    made = [row[0] for row in database.execute(f'select name from "{model}" order by {key}')]
    assert made == ["boss", "m1", "m2", "m3"] + names


def test_many_of_everything(do, database):
    """A thousand in a list, of each operation; what is locked ahead for them is still one statement a model."""
    names = [f"n{i:04}" for i in range(1000)]

    def staff(**operations):
        do("updatePerson", where={"name": "boss"}, data={"staff": operations}, select="{ id }")

    def led():
        return database.one("""select count(*) from "Person" where boss is not null""")
    do("createPerson", data={"name": "boss"})
    staff(create=[{"name": name} for name in names])
    staff(update=[{"where": {"name": name}, "data": {"age": 1}} for name in names])
    staff(updateMany=[{"where": {"name": name}, "data": {"age": {"increment": 1}}} for name in names])
    assert database.one('select sum(age) from "Person"') == 2000
    staff(disconnect=[{"name": name} for name in names])
    assert led() == 0
    staff(connect=[{"name": name} for name in names])
    assert led() == 1000
    staff(set=[{"name": name} for name in names[:900]])
    assert led() == 900
    staff(connectOrCreate=[{"where": {"name": name}, "create": {"name": name}} for name in names])
    staff(upsert=[{"where": {"name": name}, "update": {"age": 7}, "create": {"name": name}} for name in names])
    assert database.one('select sum(age) from "Person"') == 7000 and led() == 1000
    staff(delete=[{"name": name} for name in names[:500]])
    staff(deleteMany=[{"name": name} for name in names[500:]])
    assert rows(database, "Person") == 1


def test_large_trees(do, database):
    got = do("createPerson", data={"name": "ann", "staff": {"create": [{"name": f"s{i}", "age": i} for i in range(1000)]},
                                   "pets": {"create": [{"name": f"pet{i}", "toys": {"create": [{"name": f"toy{i}"}]}}
                                                       for i in range(100)]}}, select="{ name }")
    assert got == {"name": "ann"}
    assert (rows(database, "Person"), rows(database, "Pet"), rows(database, "Toy")) == (1001, 100, 100)
    assert database.one("""select string_agg(name, ',' order by id) = string_agg(name, ',' order by age)
                           from "Person" where age >= 0""")


# -------------------------------------------------------------------------- attacks


@pytest.mark.parametrize("text", harness.POISON, ids=lambda text: text[:20])
def test_values_are_values(site, do, database, text):
    """A text comes back as it was sent, wherever it stood."""
    made = do("createPerson", data={"name": text, "nick": text, "tags": [text, text], "extra": {text: [text]}, "home": {"create": {"title": text}},
                                    "pets": {"create": [{"name": text}, {"name": text + "2"}]}},
              select="{ name nick tags extra home { title } pets(orderBy: name_ASC) { name } }")
    assert made == {"name": text, "nick": text, "tags": [text, text], "extra": {text: [text]}, "home": {"title": text},
                    "pets": [{"name": text}, {"name": text + "2"}]}
    do("updatePerson", where={"name": text}, data={"tags": {"push": [text]}, "likes": {"connect": {"title": text}}, "pets": {
        "update": {"where": {"name": text}, "data": {"toys": {"connectOrCreate": {"where": {"name": text}, "create": {"name": text}}}}},
        "updateMany": {"where": {"name_contains": text, "name_ends_with": "2"}, "data": {"name": text + "3"}}}})
    do("updatePerson", where={"nick": text}, data={"pets": {"delete": {"name": text + "3"}}, "likes": {"set": {"title": text}, "disconnect": {"title": text}}})
    do("upsertPerson", where={"name": text}, create={"name": text}, update={"nick": text + "!"})
    assert database.execute('select name, nick, tags from "Person"') == [(text, text + "!", [text] * 3)]
    assert database.execute('select name from "Pet"') == database.execute('select name from "Toy"') == [(text,)]
    assert do("deleteManyToys", where={"name_in": [text], "name_starts_with": text}) == {"count": 1}


@pytest.mark.parametrize("text", harness.POISON, ids=lambda text: text[:20])
def test_names_are_names(site, do, database, text):
    do("createPerson", data={"name": "ann"})
    where, before = {"name": "ann"}, database.execute('select * from "Person"')
    data = [{text: 1}, {"mood": text}, {"score": text}, {"age": {text: 1}}, {"tags": {text: []}}, {"pets": {text: {}}},
            {"pets": {"create": {text: "x"}}}, {"pets": {"connect": {text: "x"}}}, {"pets": {"connect": {"id": text}}},
            {"home": {"connectOrCreate": {"where": {text: 1}, "create": {"title": "t"}}}},
            {"pets": {"updateMany": {"where": {text: 1}, "data": {"name": "x"}}}}, {"home": {"connect": {"id": text}}}]
    for value in data:
        answer = site.inside.command("updatePerson", {"where": where, "data": value})
        assert answer.status == 400 or answer.json.get("prisma_code") in (3039, 3040), (value, answer)
    for args in ({"where": {text: "x"}, "data": {}}, {"where": where, "data": {}, "select": text}, {"where": where, "data": {}, text: 1},
                 {"where": where, "data": {}, "select": {text: True}}, {"where": where, "data": {}, "select": {"x": {"field": text}}}):
        assert site.inside.command("updatePerson", args).status == 400, args
    assert database.execute('select * from "Person"') == before
