"""One row that is reached in two ways by one mutation: what is promised of links holds, and the order is the one of docs/nested.md."""

import json

import pytest

import harness

MODEL = """
type Lock { id: ID! @id  name: String! @unique  bolt: Bolt @relation(name: "InTable", link: TABLE)
  bar: Bar @relation(name: "InLock", link: INLINE)  bolts: [Bolt] @relation(name: "Spare")  bars: [Bar] @relation(name: "Old") }
type Bolt { id: ID! @id  name: String! @unique  lock: Lock! @relation(name: "InTable")  of: Lock @relation(name: "Spare") }
type Bar { id: ID! @id  name: String! @unique  lock: Lock! @relation(name: "InLock")  of: Lock @relation(name: "Old") }
type Post { id: ID! @id  name: String! @unique  items: [Item] @relation(name: "Items")  main: Item @relation(name: "Main")
  top: Item! @relation(name: "Top")  parent: Post @relation(name: "Tree")  children: [Post] @relation(name: "Tree")
  editor: User @relation(name: "Edits") }
type Item @id(fields: ["shelf", "no"]) { shelf: Int!  no: Int!  name: String! @unique  posts: [Post] @relation(name: "Items") }
type User { id: ID! @id  name: String! @unique  edits: [Post] @relation(name: "Edits")  posts: [Post] @relation(name: "Likes") }
"""

MANIFEST = "specVersion: 1\nschema: { file: ./schema.graphql }\n"


@pytest.fixture(scope="module")
def site(database):
    harness.create_tables(database, MODEL)
    with harness.Site(database, MANIFEST, workers=1, inside_workers=2, files={"schema.graphql": MODEL}) as site:
        yield site


@pytest.fixture
def do(site, database):
    database.execute('truncate "Lock", "Bolt", "Bar", "Post", "Item", "User", "_InTable", "_Items", "_Likes"')
    return lambda name, /, **args: site.inside.command(name, args)


# -------------------------------------------------------------------------- a required link stays


@pytest.mark.parametrize("model, field", [("Bolt", "bolts"), ("Bar", "bars")])
def test_an_upsert_takes_no_child_that_its_update_gave_away(do, database, model, field):
    """The lock is free when the upsert finds it; its own update gives it to the first, which needs it."""
    assert do("createLock", data={"name": "l"}).status == 200
    answer = do(f"create{model}", data={"name": "second", "lock": {"upsert": {
        "where": {"name": "l"}, "create": {"name": "other"}, "update": {field: {"create": {
            "name": "first", "lock": {"connect": {"name": "l"}}}}}}}})
    assert (answer.status, answer.json["prisma_code"], answer.json["path"]) == (422, 3042, "/data/lock/upsert")
    assert database.one(f'select count(*) from "{model}"') == 0
    answer = do(f"create{model}", data={"name": "only", "lock": {"upsert": {
        "where": {"name": "l"}, "create": {"name": "other"}, "update": {"name": "new name"}}}}, select="{ lock { name } }")
    assert answer.result == {"lock": {"name": "new name"}}


# -------------------------------------------------------------------------- what a create makes, it can name


ITEMS = {"create": [{"shelf": 1, "no": 1, "name": "a"}, {"shelf": 1, "no": 2, "name": "b"}]}
TOP = {"connectOrCreate": {"where": {"name": "top"}, "create": {"shelf": 9, "no": 9, "name": "top"}}}
B_OR_NEW = {"where": {"name": "b"}, "create": {"shelf": 2, "no": 2, "name": "new"}}


@pytest.mark.parametrize("main", [
    {"connect": {"name": "b"}},
    {"connect": {"shelf_no": {"shelf": 1, "no": 2}}},
    {"connectOrCreate": B_OR_NEW},
    {"upsert": {**B_OR_NEW, "update": {}}},
])
@pytest.mark.parametrize("kind", ["create", "upsert", "nested"])
def test_an_optional_link_leads_to_what_is_made_beside_it(do, database, kind, main):
    data = {"name": "p", "items": ITEMS, "main": main, "top": TOP}
    select = "{ name main { name } items { name } }"
    if kind == "create":
        post = do("createPost", data=data, select=select).result
    elif kind == "upsert":
        post = do("upsertPost", where={"name": "p"}, create=data, update={}, select=select).result
    else:
        (post,) = do("createUser", data={"name": "u", "posts": {"create": [data]}}, select=f"{{ posts {select} }}").result["posts"]
    assert post == {"name": "p", "main": {"name": "b"}, "items": [{"name": "a"}, {"name": "b"}]}
    assert database.one('select count(*) from "Item"') == 3


@pytest.mark.parametrize("parent", [
    {"connect": {"name": "p"}},
    {"connectOrCreate": {"where": {"name": "p"}, "create": {"name": "new", "top": TOP}}},
])
def test_a_new_row_is_linked_to_itself(do, database, parent):
    answer = do("createPost", data={"name": "p", "top": TOP, "parent": parent}, select="{ parent { name } children { name } }")
    assert answer.result == {"parent": {"name": "p"}, "children": [{"name": "p"}]}
    assert database.one('select count(*) from "Post"') == 1


def test_what_is_made_above_is_named_below(do):
    answer = do("createPost", data={"name": "p", "top": TOP, "editor": {"create": {
        "name": "u", "posts": {"connect": {"name": "p"}}}}}, select="{ editor { name edits { name } posts { name } } }")
    assert answer.result == {"editor": {"name": "u", "edits": [{"name": "p"}], "posts": [{"name": "p"}]}}


def test_a_required_link_leads_to_what_was_there(do, database):
    answer = do("createPost", data={"name": "p", "items": ITEMS, "top": {"connect": {"name": "b"}}})
    assert (answer.json["prisma_code"], answer.json["path"]) == (3039, "/data/top/connect/name")
    assert database.one('select (select count(*) from "Post") + (select count(*) from "Item")') == 0


@pytest.mark.parametrize("name, updates", [("other", 0), ("b", 1)])
def test_only_such_a_link_costs_a_statement(site, name, updates):
    data = {"name": "p", "items": ITEMS, "main": {"connect": {"name": name}}, "top": TOP}
    explained = harness.writ("-c", site.writ.file, "explain", "createPost", json.dumps({"data": data})).stdout
    assert explained.count('update "public"."Post"') == updates
