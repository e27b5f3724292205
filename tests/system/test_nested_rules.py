"""What is nested obeys the rules of its own model: permissions before and after, fields that a role may not write, presets from
claims, hooks, mutexes, limits. A matrix of operations and rules, then attempts to get round them."""

import concurrent.futures
import contextlib
import time

import pytest

import harness
from service import Service

MODEL = """
type User { id: ID! @id  name: String! @unique  posts: [Post]  cards: [Card]  teams: [Team]  badge: Badge }
type Post { id: ID! @id  title: String! @unique  owner: String  secret: String  size: Int  author: User  comments: [Comment] }
type Comment { id: ID! @id  text: String! @unique  by: String  post: Post }
type Card { id: ID! @id  no: String! @unique  state: String  holder: User }
type Team { id: ID! @id  name: String! @unique  members: [User] }
type Ticket { no: Int! @id  text: String }
type Badge { id: ID! @id  code: String! @unique  owner: String  user: User @relation(link: INLINE) }
type Item { id: ID! @id  name: String! @unique  editor: String  kind: String  rank: Int  team: Team  user: User }
type Pin { id: ID! @id  name: String! @unique  post: Post }
type Wall { id: ID! @id  name: String! @unique  pin: Pin }
type Seat { id: ID! @id  name: String! @unique  guest: Guest }
type Guest { id: ID! @id  name: String! @unique  seat: Seat @relation(link: INLINE) }
type Told { id: ID! @id  name: String! @unique  box: Box  hall: Hall }
type Box { id: ID! @id  name: String! @unique  told: [Told] }
type Hall { id: ID! @id  name: String! @unique  told: [Told] }
type Version { id: ID! @id  name: String! @unique  n: Int  box: Box }
"""

# A post may be touched by its owner.
MINE = r'''"exists (select from \"Post\" where (id = :where ->> 'id' or title = :where ->> 'title') and owner = :user)"'''

MANIFEST = """
specVersion: 1
schema: { file: ./schema.graphql }
roles: { customer: rules_customer, admin: rules_admin }
models:
  User: { create: ANY, update: ANY, upsert: ANY, delete: ANY }
  Team: { create: ANY, update: ANY }
  Seat: { create: ANY, update: ANY }
  Ticket: { create: ANY, update: ANY }
  Guest:
    create: ANY
    update: { allow: [customer, admin], permissions: { before: { stays: ":where ->> 'id' <> 'g1' or :data is null" },
              after: { no_seat: "not (:where ->> 'id' = 'g3' and :data #> '{seat,connect,id}' = '\\\"s2\\\"')" } } }
  Pin: { create: ANY, update: ANY }
  Wall: { upsert: ANY }
  Box: { create: ANY, update: ANY, upsert: ANY }
  Post:
    fields: { secret: { write: [admin] }, size: { create: [customer, admin], update: [admin] } }
    presets: { owner: $user }
    create:
      allow: [customer, admin]
      permissions:
        before: { not_bad: ":data ->> 'title' not like 'bad%'" }
        after: { not_late: ":result ->> 'title' not like 'late%' and :result ->> 'owner' = :user" }
    update:
      allow: [customer, admin]
      permissions:
        before: { mine: MINE }
        after: { not_worn: ":result ->> 'title' <> 'worn'" }
    upsert: { allow: [customer, admin], permissions: { before: { upsert_ok: "coalesce(:create ->> 'title', '') <> 'no upsert'" },
                                                       after: { upserted: ":result ->> 'title' <> 'badly upserted'" } } }
    delete: { allow: [customer, admin], permissions: { before: { mine: MINE }, after: { kept: ":result ->> 'title' not like 'keep%'" } } }
    updateMany: { allow: [customer, admin], permissions: { before: { small: ":where ->> 'title' = 'mine'" }, after: { some: "(:result ->> 'count')::int > 0" } }, max_affected: 2 }
    deleteMany: { allow: [customer, admin], permissions: { before: { small: "not (:where = '{}')" } }, max_affected: 1 }
  Comment:
    create: { allow: [customer, admin], permissions: { polite: ":data ->> 'text' <> 'rude' and :claims ->> 'sub' is not null" } }
    update: { allow: [customer, admin], permissions: { never: false } }
    upsert: ANY
    delete: { allow: [customer, admin], permissions: { never: false } }
    deleteMany: ANY
  Card:
    create: ANY
    update: { allow: [customer, admin], permissions: { before: { open: "exists (select from \\"Team\\" where name = 'gate')" } } }
    upsert: ANY
  Badge:
    presets: { create: { owner: $claims.sub, user: $user } }
    create: ANY
    update: ANY
  Item:
    fields: { team: { write: [admin] }, rank: { write: [] } }
    presets: { create: { kind: plain, editor: $role }, update: { editor: $claims.sub } }
    create: ANY
    update: ANY
    updateMany: ANY
  Told:
    create: { allow: [customer], mutex: "told:$args.data.name", hooks: { before: { ask: "HOOK/ask" }, after: { create: { url: "HOOK/create", key: [told, $result.name] } } } }
    update: { allow: [customer], hooks: { before: { ask: { url: "HOOK/update", changes: true } }, after: { update: "HOOK/updated" } } }
    upsert: { allow: [customer], hooks: { after: { upsert: "HOOK/upserted" } } }
    delete: { allow: [customer], hooks: { after: { delete: "HOOK/deleted" } } }
    deleteMany: { allow: [customer], hooks: { after: { many: "HOOK/many" } } }
  Hall: { create: { allow: [customer], hooks: { before: { box: { url: "HOOK/box", changes: true } } } } }
  Version:
    create: ANY
    update: { allow: [customer], version: { sql: "select n from \\"Version\\" where id = :where ->> 'id'", required: true } }
    delete: { allow: [customer], version: "select n from \\"Version\\" where id = :where ->> 'id'" }
commands:
  board:
    allow: [customer]
    args: { title: text, posts: jsonb }
    commands:
      - createUser: { data: { name: $args.title, posts: { create: [{ title: $args.title, secret: known, owner: the house }] }, cards: $args.posts } }
  add_items:
    allow: [customer]
    args: { data: jsonb }
    commands: [{ createItem: { data: $args.data } }]
""".replace("ANY", "{ allow: [customer, admin] }").replace("MINE", MINE)

TABLES = ["User", "Post", "Comment", "Card", "Team", "Badge", "Item", "Told", "Box", "Version", "Pin", "Wall", "Seat", "Guest", "Hall", "Ticket"]
ROLES = """
do $$ begin
  create role rules_customer; create role rules_admin; grant rules_customer, rules_admin to writ;
exception when duplicate_object then null; end $$;
"""


@pytest.fixture(scope="module")
def service():
    with Service() as service:
        for path in ("/ask", "/create", "/update", "/updated", "/upserted", "/deleted", "/many", "/box"):
            service.at(path, lambda request: None)
        yield service


@pytest.fixture(scope="module")
def site(database, service):
    harness.create_tables(database, MODEL)
    database.execute(ROLES)
    database.execute("grant usage on schema public to rules_customer, rules_admin;"
                     "grant all on all tables in schema public to rules_customer, rules_admin;"
                     "grant all on all sequences in schema public to rules_customer, rules_admin")
    with harness.Site(database, MANIFEST.replace("HOOK", service.url("")), workers=6, inside_workers=4, runners=1,
                      runner={"poll_ms": 50, "lease_ms": 1000}, files={"schema.graphql": MODEL}) as site:
        yield site


@pytest.fixture(autouse=True)
def empty(site, database, service):
    def told():
        """What is being delivered comes to its end; else the next test would hear of it."""
        database.execute("delete from writ.outbox where owner is null")
        return database.one("select count(*) from writ.outbox") == 0

    harness.wait_until(told, "the end of what is being delivered")
    database.execute("truncate " + ", ".join(f'"{table}"' for table in TABLES) + " cascade")
    service.requests.clear()


@pytest.fixture
def ask(site):
    """A mutation by u1: its result, or the code and where in the input."""
    def ask(name, args, role="customer", user="u1", client=site.client):
        answer = client.command(name, args, role=role, user=user, claims=f'{{"role":"{role}","sub":"{user}"}}')
        return answer.result if answer.status == 200 else (answer.code, answer.json.get("path"))
    return ask


@pytest.fixture
def rows(database):
    def rows(sql):
        return [tuple(row) for row in database.execute(sql)]
    return rows


def user(*operations, name="u1", **fields):
    posts = dict(operations)
    return {"where": {"name": name}, "data": {**({"posts": posts} if posts else {}), **fields}}


@pytest.fixture
def filled(site, database):
    """u1 has the posts mine (its own) and other (of somebody else), and no comments."""
    database.execute("""insert into "User" (id, name) values ('u1', 'u1'), ('u2', 'u2');
        insert into "Post" (id, title, owner, author) values ('p1', 'mine', 'u1', 'u1'), ('p2', 'other', 'u2', 'u1'),
          ('p3', 'far', 'u2', 'u2'), ('p4', 'near', 'u1', 'u2');
        insert into "Comment" (id, text, post) values ('c1', 'hello', 'p1'), ('c2', 'free', null)""")


DENIED = "PERMISSION_DENIED"

# Below updateUser(u1): the operation on posts, then what comes of it.
CASES = [
    ("create", {"title": "good"}, None),
    ("create", [{"title": "good"}, {"title": "better"}], None),
    ("create", {"title": "bad"}, "/create"),
    ("create", [{"title": "good"}, {"title": "bad"}, {"title": "fine"}], "/create/1"),
    ("create", [{"title": "good"}, {"title": "late"}], "/create/1"),
    ("create", {"title": "late"}, "/create"),
    ("create", {"title": "good", "comments": {"create": [{"text": "a"}, {"text": "rude"}]}}, "/create/comments/create/1"),
    ("update", {"where": {"title": "mine"}, "data": {"title": "new"}}, None),
    ("update", {"where": {"id": "p1"}, "data": {"title": "worn"}}, "/update"),
    ("update", {"where": {"title": "other"}, "data": {"title": "new"}}, "/update"),
    ("update", [{"where": {"title": "mine"}, "data": {}}, {"where": {"id": "p2"}, "data": {}}], "/update/1"),
    ("upsert", {"where": {"title": "mine"}, "update": {"title": "new"}, "create": {"title": "bad"}}, None),
    ("upsert", {"where": {"title": "other"}, "update": {"title": "new"}, "create": {"title": "good"}}, "/upsert"),
    ("upsert", {"where": {"title": "none"}, "update": {"title": "worn"}, "create": {"title": "good"}}, None),
    ("upsert", {"where": {"title": "none"}, "update": {"title": "new"}, "create": {"title": "bad"}}, "/upsert"),
    ("upsert", {"where": {"title": "none"}, "update": {"title": "new"}, "create": {"title": "late"}}, "/upsert"),
    ("upsert", {"where": {"title": "none"}, "update": {}, "create": {"title": "no upsert"}}, "/upsert"),
    ("upsert", {"where": {"title": "mine"}, "update": {}, "create": {"title": "no upsert"}}, "/upsert"),
    ("upsert", {"where": {"title": "mine"}, "update": {"title": "worn"}, "create": {"title": "good"}}, "/upsert"),
    ("upsert", {"where": {"title": "mine"}, "update": {"title": "badly upserted"}, "create": {"title": "good"}}, "/upsert"),
    ("connectOrCreate", {"where": {"title": "near"}, "create": {"title": "bad"}}, None),
    ("connectOrCreate", {"where": {"title": "far"}, "create": {"title": "good"}}, "/connectOrCreate"),
    ("connectOrCreate", {"where": {"title": "none"}, "create": {"title": "good"}}, None),
    ("connectOrCreate", {"where": {"title": "none"}, "create": {"title": "bad"}}, "/connectOrCreate"),
    ("connectOrCreate", {"where": {"title": "none"}, "create": {"title": "late"}}, "/connectOrCreate"),
    ("delete", {"title": "mine"}, None),
    ("delete", {"title": "other"}, "/delete"),
    ("delete", [{"title": "mine"}, {"id": "p2"}], "/delete/1"),
    ("connect", {"title": "near"}, None),
    ("connect", {"title": "mine"}, None),  # it is already: nothing is written
    ("connect", {"title": "other"}, None),
    ("connect", {"title": "far"}, "/connect"),
    ("connect", [{"title": "near"}, {"id": "p3"}], "/connect/1"),
    ("connect", [{"id": "p4"}, {"id": "p3"}], "/connect"),  # found together
    ("disconnect", {"title": "mine"}, None),
    ("disconnect", {"title": "other"}, "/disconnect"),
    ("set", [{"title": "mine"}, {"title": "other"}], None),
    ("set", [{"title": "other"}, {"title": "near"}], None),  # mine goes
    ("set", [{"title": "mine"}], "/set"),  # other would go
    ("set", [{"title": "mine"}, {"title": "other"}, {"title": "far"}], "/set"),
    ("updateMany", {"where": {"title": "mine"}, "data": {"title": "new"}}, None),
    ("updateMany", {"where": {}, "data": {"secret": None}}, "FORBIDDEN/updateMany/data/secret"),
    ("updateMany", {"where": {"title": "other"}, "data": {"title": "new"}}, "/updateMany"),
    ("updateMany", {"where": {"title": "mine", "id": "p9"}, "data": {"title": "new"}}, "/updateMany"),  # after: none
    ("updateMany", {"where": {"title": "mine", "id": "p9"}, "data": {}}, "/updateMany"),
    ("updateMany", {"where": {"title": "mine"}, "data": {}}, None),
    ("deleteMany", {"title": "mine"}, None),
    ("deleteMany", {}, "/deleteMany"),
    ("deleteMany", {"title_not": "x"}, "TOO_MANY_AFFECTED/deleteMany"),
]


@pytest.mark.parametrize("kind, given, wanted", CASES, ids=[f"{i}-{case[0]}" for i, case in enumerate(CASES)])
def test_operations(ask, rows, filled, kind, given, wanted):
    everything = 'select * from "Post" union all select id, text, by, null, null, post from "Comment" order by 1'
    before = rows(everything)
    answer = ask("updateUser", user((kind, given)))
    if wanted is None:
        assert isinstance(answer, dict), answer
        return
    code, _, path = wanted.partition("/")
    assert answer == (code or DENIED, "/data/posts/" + path)
    assert rows(everything) == before


TO_ONE = [
    ({"update": {"title": "x"}}, "p1", None),
    ({"update": {"title": "x"}}, "p2", "/update"),
    ({"update": {"title": "worn"}}, "p1", "/update"),
    ({"delete": True}, "p1", None),
    ({"delete": True}, "p2", "/delete"),
    ({"upsert": {"update": {"title": "x"}, "create": {"title": "bad"}}}, "p1", None),
    ({"upsert": {"update": {"title": "x"}, "create": {"title": "y"}}}, "p2", "/upsert"),
    ({"upsert": {"update": {"title": "x"}, "create": {"title": "bad"}}}, None, "/upsert"),
    ({"upsert": {"update": {"title": "x"}, "create": {"title": "late"}}}, None, "/upsert"),
    ({"upsert": {"update": {"title": "x"}, "create": {"title": "good"}}}, None, None),
    ({"create": {"title": "bad"}}, "p1", "/create"),
    ({"connect": {"id": "p2"}}, "p1", None),  # the link is the parent's own
    ({"disconnect": True}, "p2", None),
]


@pytest.mark.parametrize("operation, post, wanted", TO_ONE)
def test_to_one(database, ask, rows, filled, operation, post, wanted):
    """Nothing names the row: the permission sees its key."""
    database.execute(f"""insert into "Pin" (id, name, post) values ('n', 'n', {f"'{post}'" if post else "null"})""")
    before = rows('select * from "Post" order by 1')
    answer = ask("updatePin", {"where": {"id": "n"}, "data": {"post": operation}})
    assert isinstance(answer, dict) if wanted is None else answer == (DENIED, "/data/post" + wanted)
    assert wanted is None or rows('select * from "Post" order by 1') == before
    down = {"where": {"id": "w"}, "create": {"name": "w"}, "update": {"pin": {"update": {"post": operation}}}}
    if wanted:  # one level further, in the branch that is taken and in the one that is not
        assert isinstance(ask("upsertWall", down), dict)
        database.execute("""insert into "Wall" (id, name, pin) values ('w', 'v', 'n')""")
        assert ask("upsertWall", down) == (DENIED, "/update/pin/update/post" + wanted)


def test_links_that_others_lose(database, ask, rows):
    """g1 sits on s1 and is to stay: nobody may take its place, from either side. What is linked to s2 is told at the end."""
    database.execute("""insert into "Seat" (id, name) values ('s1', 's1'), ('s2', 's2');
        insert into "Guest" (id, name, seat) values ('g1', 'g1', 's1'), ('g2', 'g2', null), ('g3', 'g3', null)""")

    def seat(name, **operation):
        return ask("updateSeat", {"where": {"name": name}, "data": {"guest": operation}})
    assert seat("s1", create={"name": "n"}) == (DENIED, "/data/guest/create")
    assert seat("s1", connect={"name": "g2"}) == (DENIED, "/data/guest/connect")
    assert seat("s1", disconnect=True) == (DENIED, "/data/guest/disconnect")
    assert seat("s2", connect={"name": "g1"}) == (DENIED, "/data/guest/connect")
    assert seat("s2", connect={"name": "g3"}) == (DENIED, "/data/guest/connect")
    assert ask("updateGuest", {"where": {"id": "g2"}, "data": {"seat": {"connect": {"id": "s1"}}}}) == \
        (DENIED, "/data/seat/connect")  # g1 would lose it
    assert ask("createGuest", {"data": {"name": "n", "seat": {"connect": {"id": "s1"}}}}) == (DENIED, "/data/seat/connect")
    assert ask("createSeat", {"data": {"name": "s3", "guest": {"connect": {"id": "g1"}}}}) == (DENIED, "/data/guest/connect")
    assert rows('select id, seat from "Guest" order by 1') == [("g1", "s1"), ("g2", None), ("g3", None)]
    assert isinstance(seat("s1", connect={"name": "g1"}), dict)
    assert isinstance(seat("s2", connect={"name": "g2"}), dict)
    assert isinstance(seat("s2", disconnect=True), dict)
    assert isinstance(seat("s2", create={"name": "new"}), dict)


def test_three_levels_and_branches(ask, rows, filled):
    def deep(post):
        return ask("createTeam", {"data": {"name": "t", "members": {"create": {"name": "m", "posts": post}}}})
    assert deep({"create": {"title": "x", "comments": {"create": {"text": "rude"}}}}) == \
        (DENIED, "/data/members/create/posts/create/comments/create")
    assert deep({"connect": {"id": "p3"}}) == (DENIED, "/data/members/create/posts/connect")
    assert deep({"connectOrCreate": {"where": {"id": "p3"}, "create": {"title": "q"}}}) == \
        (DENIED, "/data/members/create/posts/connectOrCreate")
    assert deep({"upsert": {"where": {"id": "p3"}, "update": {"title": "q"}, "create": {"title": "q"}}}) == \
        (DENIED, "/data/members/create/posts/upsert")
    assert rows('select count(*) from "Team"') == [(0,)]

    def upsert(name, update, create):
        return ask("upsertUser", {"where": {"name": name}, "update": {"posts": update}, "create": {"name": name, "posts": create}})
    bad, rude = {"create": {"title": "bad"}}, {"create": [{"title": "k", "comments": {"create": {"text": "rude"}}}]}
    fine = {"create": [{"title": "f1"}, {"title": "f2", "comments": {"create": {"text": "f"}}}]}
    assert upsert("u1", bad, fine) == (DENIED, "/update/posts/create")
    assert upsert("u1", rude, fine) == (DENIED, "/update/posts/create/0/comments/create")
    assert upsert("new", fine, bad) == (DENIED, "/create/posts/create")
    assert upsert("new", fine, rude) == (DENIED, "/create/posts/create/0/comments/create")
    assert isinstance(upsert("new", bad, fine), dict)  # the branch that is not taken is not judged
    assert rows("""select title from "Post" where title like 'f_' order by 1""") == [("f1",), ("f2",)]
    late = {"create": [{"title": "late 1"}, {"title": "late 2"}]}
    assert upsert("newer", fine, late) == (DENIED, "/create/posts/create/0")
    assert rows("""select count(*) from "User" where name = 'newer'""") == [(0,)]


def test_the_upsert_that_is_called(ask, rows, filled):
    """Of it, too, the branch that is taken is judged."""
    def upsert(title, update, create):
        return ask("upsertPost", {"where": {"title": title}, "update": {"title": update}, "create": {"title": create}})
    assert upsert("other", "x", "y") == (DENIED, "/update")
    assert upsert("none", "x", "bad") == (DENIED, "/create")
    assert upsert("none", "x", "no upsert") == (DENIED, None)
    assert isinstance(upsert("mine", "newer", "bad"), dict)
    assert isinstance(upsert("none", "worn", "good"), dict)
    assert rows('select title, owner from "Post" order by 1')[1] == ("good", "u1")


def test_of_whoever_nests_it(site, ask, filled):
    """allow: is for those outside; a permission is for all, inside and in composites."""
    assert ask("updateUser", user(("delete", {"title": "other"})), client=site.inside) == (DENIED, "/data/posts/delete")
    answer = site.client.command("board", {"title": "bad board", "posts": None}, role="customer", user="u1")
    assert (answer.status, answer.code) == (403, DENIED), answer


def test_values_that_are_references(site, database, rows):
    """What an earlier command gave is judged as what it is."""
    def both(name):
        commands = [{"command": "createTeam", "as": "team", "args": {"data": {"name": name}}},
                    {"command": "createUser", "args": {"data": {"name": name, "posts": {"create": [
                        {"title": {"$ref": "team.name"}}, {"title": name + "!"}]}}}}]
        answer = site.client.command("transactional_command_set", {"commands": commands}, role="customer", user="u1")
        return (answer.code, answer.json["path"]) if answer.status != 200 else 200
    assert both("good") == 200
    assert both("bad") == (DENIED, "/commands/1/args/data/posts/create/0")
    assert both("late") == (DENIED, "/commands/1/args/data/posts/create/0")
    assert rows('select name from "Team"') == [("good",)]


# ---- fields ---------------------------------------------------------------------------------------------------------------


def test_fields(ask, filled):
    def nested(kind, given, role="customer"):
        answer = ask("updateUser", user((kind, given)), role=role)
        return answer if isinstance(answer, tuple) else True
    post = {"title": "n", "secret": "s"}
    assert nested("create", post) == ("FORBIDDEN", "/data/posts/create/secret")
    assert nested("create", [{"title": "m"}, post]) == ("FORBIDDEN", "/data/posts/create/1/secret")
    assert nested("create", post, role="admin") is True
    assert nested("create", {"title": "o", "size": 1}) is True
    assert nested("update", {"where": {"id": "p1"}, "data": {"size": {"increment": 1}}}) == ("FORBIDDEN", "/data/posts/update/data/size")
    assert nested("update", {"where": {"id": "p1"}, "data": {"secret": None}}) == ("FORBIDDEN", "/data/posts/update/data/secret")
    assert nested("upsert", {"where": {"id": "p1"}, "update": {}, "create": post}) == ("FORBIDDEN", "/data/posts/upsert/create/secret")
    assert nested("connectOrCreate", {"where": {"id": "p1"}, "create": post}) == ("FORBIDDEN", "/data/posts/connectOrCreate/create/secret")
    assert nested("updateMany", {"where": {"title": "mine"}, "data": {"size": 4}}) == ("FORBIDDEN", "/data/posts/updateMany/data/size")
    assert ask("createPost", {"data": post}) == ("FORBIDDEN", "/data/secret")
    assert ask("updatePost", {"where": {"id": "p1"}, "data": {"size": 1}}) == ("FORBIDDEN", "/data/size")
    assert ask("upsertPost", {"where": {"id": "p1"}, "update": {"size": 1}, "create": {"title": "x"}}) == ("FORBIDDEN", "/update/size")
    assert ask("createItem", {"data": {"name": "i", "rank": 1}}, role="admin") == ("FORBIDDEN", "/data/rank")  # nobody's


def test_links_are_fields(ask, rows, filled):
    team = {"create": {"name": "t"}}
    assert ask("createItem", {"data": {"name": "i", "team": team}}) == ("FORBIDDEN", "/data/team/create")
    assert ask("createItem", {"data": {"name": "i", "team": {"connect": {"name": "t"}}}}) == ("FORBIDDEN", "/data/team/connect")
    assert isinstance(ask("createItem", {"data": {"name": "i", "team": team}}, role="admin"), dict)
    for operation in ({"disconnect": True}, {"connect": {"name": "t"}}, {"upsert": {"update": {}, "create": {"name": "z"}}}):
        where = {"where": {"name": "i"}, "data": {"team": operation}}
        assert ask("updateItem", where) == ("FORBIDDEN", f"/data/team/{list(operation)[0]}")
    assert isinstance(ask("updateItem", {"where": {"name": "i"}, "data": {"team": {"update": {"name": "t2"}}}}), dict)
    assert rows('select name from "Team"') == [("t2",)]


def test_presets(ask, rows, site, filled):
    assert isinstance(ask("createPost", {"data": {"title": "a"}}), dict)
    assert isinstance(ask("updateUser", user(("create", [{"title": "b"}, {"title": "c"}]))), dict)
    assert rows("""select title, owner from "Post" where title in ('a', 'b', 'c') order by 1""") == [
        ("a", "u1"), ("b", "u1"), ("c", "u1")]
    assert ask("createPost", {"data": {"title": "d", "owner": "u1"}}) == ("FORBIDDEN", "/data/owner")  # not even the same
    assert ask("updatePost", {"where": {"id": "p1"}, "data": {"owner": "u2"}}) == ("FORBIDDEN", "/data/owner")
    assert ask("createPost", {"data": {"title": "d", "owner": None}}, role="admin") == ("FORBIDDEN", "/data/owner")
    nobody = site.client.command("createPost", {"data": {"title": "d"}}, role="customer")
    assert (nobody.status, nobody.code, nobody.json["path"]) == (403, "FORBIDDEN", "/data")
    assert "$user" in nobody.json["detail"]


def test_presets_of_links_and_updates(ask, rows, filled):
    assert isinstance(ask("createBadge", {"data": {"code": "b"}}), dict)
    assert rows('select owner, "user" from "Badge"') == [("u1", "u1")]
    assert ask("createBadge", {"data": {"code": "c", "user": {"connect": {"id": "u2"}}}}) == ("FORBIDDEN", "/data/user/connect")
    assert ask("createBadge", {"data": {"code": "c"}}, user="u9")[0] == "NOT_FOUND"
    assert ask("updateUser", user(badge={"create": {"code": "d"}})) == ("FORBIDDEN", "/data/badge/create")
    assert ask("updateUser", user(name="u2", badge={"connect": {"code": "b"}})) == ("FORBIDDEN", "/data/badge/connect")
    assert isinstance(ask("createItem", {"data": {"name": "i"}}), dict)
    assert rows('select kind, editor from "Item"') == [("plain", "customer")]
    assert isinstance(ask("updateItem", {"where": {"name": "i"}, "data": {}}), dict)
    assert rows('select kind, editor from "Item"') == [("plain", "customer")]  # nothing was written
    assert isinstance(ask("updateItem", {"where": {"name": "i"}, "data": {"name": "j"}}, user="42"), dict)
    assert rows('select kind, editor from "Item"') == [("plain", "42")]
    assert ask("updateManyItems", {"where": {}, "data": {"name": "k"}}, user="43") == {"count": 1}
    assert rows('select editor from "Item"') == [("43",)]


def test_composites_write_what_they_say(site, rows, filled):
    """A composite's own text is the manifest's; what comes out of its arguments is the caller's."""
    answer = site.client.command("board", {"title": "tt", "posts": None}, role="customer", user="the house")
    assert answer.status == 200, answer
    assert rows("""select owner, secret from "Post" where title = 'tt'""") == [("the house", "known")]
    answer = site.client.command("add_items", {"data": {"name": "x", "rank": 3}}, role="customer", user="u1")
    assert answer.code == "FORBIDDEN", answer


# ---- races ----------------------------------------------------------------------------------------------------------------


def test_a_permission_holds_what_it_looks_at(site, database, ask, filled):
    """The gate is closed by another while it is looked at: the permission waits for that, and sees it."""
    database.execute("""insert into "Card" (id, no, holder) values ('k1', 'k1', 'u1');
        insert into "Team" (id, name) values ('t', 'gate')""")
    change = user(cards={"update": [{"where": {"id": "k1"}, "data": {"state": "seen"}}]})

    def behind(sql):
        with database.connect() as other, concurrent.futures.ThreadPoolExecutor(1) as pool:
            other.execute("begin")
            other.execute(sql)
            answer = pool.submit(ask, "updateUser", change)
            harness.wait_until(lambda: database.execute("select 1 from pg_stat_activity where wait_event_type = 'Lock' "
                                                        "and datname = current_database()"), "the wait")
            other.execute("commit")
            return answer.result(30)
    assert isinstance(behind("""update "Team" set name = 'gate'"""), dict)
    assert behind("""update "Team" set name = 'closed'""") == (DENIED, "/data/cards/update/0")
    database.execute("""update "Team" set name = 'gate'""")
    assert behind("""delete from "Team" """) == (DENIED, "/data/cards/update/0")


# ---- hooks, mutexes, versions ---------------------------------------------------------------------------------------------


def told(service, path):
    return [request.json for request in service.requests if request.path == path]


def test_before_hooks(ask, rows, service):
    box = {"data": {"name": "b", "told": {"create": [{"name": "x"}, {"name": "y"}]}}}
    assert isinstance(ask("createBox", box), dict)
    assert sorted(call["args"]["data"]["name"] for call in told(service, "/ask")) == ["x", "y"]
    assert {call["command"] for call in told(service, "/ask")} == {"createTold"}
    service.at("/ask", lambda r: (403, {"code": "NO", "message": "no"}) if r.json["args"]["data"]["name"] == "z" else None)
    try:
        bad = {"data": {"name": "c", "told": {"create": [{"name": "w"}, {"name": "z"}]}}}
        assert ask("createBox", bad) == ("NO", "/data/told/create/1")
        deep = {"where": {"name": "b"}, "create": {"name": "q"}, "update": {"told": {"connectOrCreate": {
            "where": {"name": "x"}, "create": {"name": "z"}}}}}
        assert ask("upsertBox", deep) == ("NO", "/update/told/connectOrCreate/create")  # whichever branch will be taken
        assert rows('select count(*) from "Box"') == [(1,)]
    finally:
        service.at("/ask", lambda request: None)
    change = {"where": {"name": "b"}, "data": {"told": {"update": [{"where": {"name": "x"}, "data": {"name": "x1"}}]}}}
    service.at("/update", lambda request: {"args": {"data": {"name": "changed"}}})
    try:
        assert ask("updateBox", change)[0] == "HANDLER_FAILED"  # what is nested cannot be changed by a hook
        assert ask("updateTold", {"where": {"name": "x"}, "data": {"name": "x1"}})["name"] == "changed"
    finally:
        service.at("/update", lambda request: None)
    assert rows('select name from "Told" order by 1') == [("changed",), ("y",)]


def test_a_hook_of_the_whole_cannot_slip_in_what_was_not_asked(ask, rows, service):
    """It may change the input; but what is nested was judged by its own hooks as it was."""
    service.at("/box", lambda r: {"args": {"data": {"name": "b", "told": {"create": {"name": "unasked"}}}}})
    assert ask("createHall", {"data": {"name": "h", "told": {"create": {"name": "asked"}}}})[0] == "HANDLER_FAILED"
    service.at("/box", lambda r: {"args": {"data": {"name": "b", "told": {"create": {"name": "asked"}}}}})
    assert ask("createHall", {"data": {"name": "h", "told": {"create": {"name": "asked"}}}})["name"] == "b"
    assert rows('select name from "Told"') == [("asked",)]


def test_so_many_hooks_and_no_more(ask, service):
    def box(n):
        return ask("createBox", {"data": {"name": f"b{n}", "told": {"create": [{"name": f"{n}-{i}"} for i in range(n)]}}})
    assert isinstance(box(100), dict) and len(told(service, "/ask")) == 100
    assert box(101)[0] == "TOO_MANY_COMMANDS" and len(told(service, "/ask")) == 100


def test_after_hooks(ask, rows, service):
    def settled():
        return rows("select count(*) from writ.outbox where dead is null") == [(0,)]
    ask("createBox", {"data": {"name": "b", "told": {"create": [{"name": "x"}, {"name": "y"}, {"name": "z"}]}}})
    harness.wait_until(lambda: len(told(service, "/create")) == 3, "three deliveries")
    call = sorted(told(service, "/create"), key=lambda c: c["result"]["name"])[0]
    assert call["hook"] == "createTold.create" and call["command"] == "createTold" and call["args"]["data"] == {"name": "x"}
    assert call["result"]["name"] == "x" and call["caller"]["user"] == "u1" and call["mutation"] and call["at"]
    update = {"where": {"name": "b"}, "data": {"told": {
        "update": {"where": {"name": "x"}, "data": {"name": "x2"}},
        "upsert": [{"where": {"name": "y"}, "update": {"name": "y2"}, "create": {"name": "no"}},
                   {"where": {"name": "new"}, "update": {"name": "no"}, "create": {"name": "new"}}],
        "delete": {"name": "z"}, "deleteMany": {"name": "new"}}}}
    assert isinstance(ask("updateBox", update), dict)
    for path, count in (("/updated", 2), ("/upserted", 2), ("/deleted", 1), ("/many", 1), ("/create", 4)):
        harness.wait_until(lambda: len(told(service, path)) >= count, f"{count} at {path}")
    assert sorted(c["result"]["name"] for c in told(service, "/updated")) == ["x2", "y2"]
    assert sorted(c["result"]["name"] for c in told(service, "/upserted")) == ["new", "y2"]
    assert [c["result"]["name"] for c in told(service, "/deleted")] == ["z"]
    assert [c["result"] for c in told(service, "/many")] == [{"count": 1}]
    harness.wait_until(settled, "an empty outbox")
    assert len(told(service, "/create")) == 4
    # Nothing is told of what was rolled back, and nothing of a branch that was not taken.
    service.requests.clear()
    assert ask("updateBox", {"where": {"name": "b"}, "data": {"told": {"create": [{"name": "q"}, {"name": "x2"}]}}})[0] == \
        "UNIQUE_VIOLATION"
    assert rows("select count(*) from writ.outbox") == [(0,)]


def test_mutexes(database, ask, site, service):
    box = {"data": {"name": "b", "told": {"create": {"name": "m"}}}}
    with database.connect() as other, concurrent.futures.ThreadPoolExecutor(1) as pool:
        other.execute("select pg_advisory_lock(2003986806, hashtext('told:m'))")
        answer = pool.submit(ask, "createBox", box)
        harness.wait_until(lambda: database.execute("select 1 from pg_locks where locktype = 'advisory' and not granted"), "the wait")
        other.execute("select pg_advisory_unlock_all()")
        assert isinstance(answer.result(30), dict)


def test_versions(ask, site, database):
    made = ask("createVersion", {"data": {"name": "v", "n": 1}})
    where = {"id": made["id"]}
    assert ask("updateVersion", {"where": where, "data": {"n": 2}})[0] == "BAD_ARGUMENT"
    assert ask("updateVersion", {"where": where, "data": {"n": 2}, "version": 7})[0] == "VERSION_MISMATCH"
    assert ask("updateVersion", {"where": where, "data": {"n": 2}, "version": 1})["n"] == 2
    assert ask("deleteVersion", {"where": where, "version": 1})[0] == "VERSION_MISMATCH"
    assert ask("deleteVersion", {"where": where, "version": 2})["name"] == "v"


def test_limits(ask, rows, filled):
    assert ask("updateManyPosts", {"where": {"title": "mine", "OR": []}, "data": {"title": "x"}}) == (DENIED, None)
    assert ask("deleteManyPosts", {"where": {"title_not": "x"}}) == ("TOO_MANY_AFFECTED", None)
    assert ask("deleteManyPosts", {"where": {"title": "mine"}}) == {"count": 1}
    assert rows('select count(*) from "Post"') == [(3,)]


# ---- what is sent -----------------------------------------------------------------------------------------------------------


def explain(site, name, args):
    import json
    return harness.writ("explain", "-c", site.writ.file, "--role", "customer", "--user", "u1", name, json.dumps(args)).stdout


def test_statements(site):
    """One statement for each permission of a command, however many it judges; none without rules."""
    def steps(n, what):
        data = {"name": "x", what: {"create": [{"title" if what == "posts" else "no": f"{i}"} for i in range(n)]}}
        return explain(site, "createUser", {"data": data})
    one, many = steps(2, "posts"), steps(20, "posts")
    assert many.count("permission createPost.not_bad") == one.count("permission createPost.not_bad") == 1
    assert many.count("permission createPost.not_late") == 1
    plain = steps(20, "cards")
    assert "permission" not in plain and "results of" not in plain and plain.count("parse") == steps(2, "cards").count("parse")
    text = explain(site, "updateUser", user(("create", {"title": "a"}), ("update", {"where": {"id": "b"}, "data": {"title": "c"}})))
    first_write = min(text.index("-- create Post"), text.index("-- update Post"))
    assert max(text.index("permission createPost.not_bad"), text.index("permission updatePost.mine")) < first_write
    text = explain(site, "updateUser", user(("upsert", {"where": {"id": "a"}, "update": {"title": "b"}, "create": {"title": "c"}})))
    order = [text.index(word) for word in ("upsertPost.upsert_ok", "updatePost.mine", "createPost.not_bad", "createPost.not_late")]
    assert order == sorted(order)


def test_check_tells_of_missing_grants(site, database):
    database.execute('revoke update on "Card" from rules_customer')
    try:
        check = harness.writ("check", "-c", site.writ.file, check=False)
        said = (check.stdout or "") + (check.stderr or "")
        assert check.returncode and "updateCard, as database role rules_customer: may not UPDATE \"public\".\"Card\"" in said, said
    finally:
        database.execute('grant update on "Card" to rules_customer')
    assert harness.writ("check", "-c", site.writ.file, check=False).returncode == 0


def test_check_tells_of_a_sequence(site, database):
    database.execute('revoke usage, update on sequence "Ticket_no_seq" from rules_customer')
    try:
        check = harness.writ("check", "-c", site.writ.file, check=False)
        said = (check.stdout or "") + (check.stderr or "")
        text = 'createTicket, as database role rules_customer: may not USE the sequence "public"."Ticket_no_seq", from which keys are drawn'
        assert check.returncode and text in said and "updateTicket" not in said, said
    finally:
        database.execute('grant all on sequence "Ticket_no_seq" to rules_customer')


@pytest.mark.parametrize("right, thing, command, text", [
    ("insert", '"_TeamToUser"', "createTeam", 'may not INSERT "public"."_TeamToUser"'),
    ("delete", '"_TeamToUser"', "createTeam", None),
    ("delete", '"_TeamToUser"', "updateTeam", 'may not DELETE "public"."_TeamToUser"'),
])
def test_check_warns_of_links(site, database, right, thing, command, text):
    database.execute(f"revoke {right} on {thing} from rules_customer")
    try:
        check = harness.writ("check", "-c", site.writ.file, check=False)
        said = [line for line in ((check.stdout or "") + (check.stderr or "")).splitlines()
                if f"{command}, as database role rules_customer" in line]
        assert check.returncode == 0, check
        assert said == [] if text is None else len(said) == 1 and "warning" in said[0] and text in said[0], said
    finally:
        database.execute(f"grant all on {thing} to rules_customer")
