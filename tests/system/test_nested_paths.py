"""One row that is reached in two ways by one mutation: what is promised of links holds, and the order is the one of docs/nested.md."""

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
