"""Queries over a data model: selections, filters, orders and cuts, and what comes back of every kind of field and
relation. Rows are written by SQL: what mutations do is another matter."""

import json
import random
import re
import string

import pytest

import crowd
import harness

MODEL = """
enum Colour { RED GREEN @db(name: "dark green") BLUE }

type User @db(name: "app_user") {
  id: ID! @id
  email: String! @unique
  nick: String
  age: Int
  big: BigInt
  score: Float
  price: Decimal
  active: Boolean
  born: DateTime
  day: DateTime @db(type: "date")
  data: Json
  token: UUID @unique
  colour: Colour
  tags: [String!]!
  colours: [Colour!]!
  times: [DateTime!]!
  createdAt: DateTime! @createdAt
  boss: User @relation(name: "Boss")
  staff: [User] @relation(name: "Boss")
  friends: [User] @relation(name: "Friends")
  profile: Profile @relation(link: INLINE)
  posts: [Post]
  teams: [Team]
}

type Profile {
  id: ID! @id
  bio: String
  user: User
}

type Post {
  id: ID! @id
  title: String!
  author: User
  comments: [Comment]
}

type Comment {
  id: ID! @id
  text: String
  post: Post @relation(link: TABLE)
}

type Team {
  id: Int! @id
  name: String!
  members: [User]
}

type Order {
  id: ID! @id
  lines: [Line]
}

type Line @id(fields: ["order", "no"]) {
  order: Order!
  no: Int!
  note: String
  parts: [Part]
}

type Part {
  id: ID! @id
  name: String
  line: Line
}

type Secret {
  id: ID! @id
  owner: String
}

type Guarded {
  id: ID! @id
}

type Sneak {
  id: ID! @id
}
"""

SCHEMA = """
create type "Colour" as enum ('RED', 'dark green', 'BLUE');
create table "Profile" (id text primary key collate "C", bio text);
create table app_user (id text primary key collate "C", email text not null unique, nick text, age integer, big bigint,
  score double precision, price numeric, active boolean, born timestamptz, day date, data jsonb, token uuid unique,
  colour "Colour", tags text[], colours "Colour"[], times timestamptz[], "createdAt" timestamptz not null default now(),
  boss text references app_user, profile text unique references "Profile");
create table "_Friends" ("A" text references app_user, "B" text references app_user, primary key ("A", "B"));
create table "Post" (id text primary key collate "C", title text not null, author text references app_user);
create table "Comment" (id text primary key collate "C", text text);
create table "_CommentToPost" ("A" text references "Comment" unique, "B" text references "Post", primary key ("A", "B"));
create table "Team" (id integer primary key, name text not null);
create table "_TeamToUser" ("A" integer references "Team", "B" text references app_user, primary key ("A", "B"));
create table "Order" (id text primary key collate "C");
create table "Line" ("order" text references "Order", no integer, note text, primary key ("order", no));
create table "Part" (id text primary key collate "C", name text, line_order text, line_no integer,
  foreign key (line_order, line_no) references "Line");
create table "Secret" (id text primary key collate "C", owner text);

insert into "Profile" values ('p1', 'says "hi"'), ('p2', null);
insert into app_user (id, email, nick, age, big, score, price, active, born, day, data, token, colour, tags, colours,
times, "createdAt",
  boss, profile) values
  ('u1', 'ann@example.org', 'Ann', 30, 12345678901234567, 1.5, 1.10, true, '1969-07-20 20:17:40.125+00', '2016-02-29',
   '{"a": [1, null, 1.10]}', '0b7a1f10-3b1d-4c5e-8f00-000000000001', 'dark green', '{b,a}', '{BLUE,"dark green"}',
   '{2016-01-01 00:00:00.5+00}', '2020-01-02 03:04:05.678901+00', null, 'p1'),
  ('u2', 'bob@example.org', null, null, null, null, null, null, null, null, null, null, null, null, null, null,
   '2020-01-02 03:04:05+00', 'u1', null),
  ('u3', 'cy_%@example.org', '50%_\\', 20, -1, 'NaN', 0.00, false, 'infinity', null, '[]', null, 'RED', '{}', '{}', '{}',
   '2020-01-02 03:04:05+00', 'u1', 'p2'),
  ('u4', 'dan@example.org', 'O''Dan', 30, 0, 0, 5, true, null, null, null, null, 'BLUE', '{}', '{}', '{}',
  '2020-01-02 03:04:05+00',
   'u2', null);
insert into "_Friends" values ('u1', 'u2'), ('u1', 'u3'), ('u3', 'u1');
insert into "Post" values ('a1', 'One', 'u1'), ('a2', 'Two', 'u1'), ('a3', 'Three', 'u2'), ('a4', 'Four', null);
insert into "Comment" values ('c1', 'first'), ('c2', 'second'), ('c3', null), ('c4', 'loose');
insert into "_CommentToPost" values ('c1', 'a1'), ('c2', 'a1'), ('c3', 'a3');
insert into "Team" values (1, 'red'), (2, 'blue'), (3, 'empty');
insert into "_TeamToUser" values (1, 'u1'), (1, 'u2'), (2, 'u1');
insert into "Order" values ('o1'), ('o2');
insert into "Line" values ('o1', 1, 'x'), ('o1', 2, null), ('o2', 1, 'y');
insert into "Part" values ('q1', 'bolt', 'o1', 2), ('q2', 'nut', 'o1', 2), ('q3', 'screw', 'o2', 1),
  ('q4', 'spare', null, null);
insert into "Secret" values ('s1', 'ann'), ('s2', 'bob');

create table "Guarded" (id text primary key collate "C");
insert into "Guarded" values ('g1'), ('g2');
create table log (at timestamptz);
create function sneak() returns text language sql volatile as $$ insert into log values (now()) returning 'x' $$;
create view "Sneak" as select sneak() as id;
grant insert on log to public;


create role queries_customer;
create role queries_staff;
grant queries_customer, queries_staff to writ;
grant select on all tables in schema public to queries_customer, queries_staff, writ;
revoke select on "Comment" from queries_customer;
grant update on "Guarded" to queries_customer; -- its permission locks rows
alter table "Secret" enable row level security;
create policy own on "Secret" using (owner = current_setting('request.user'));
"""

MANIFEST = r"""
specVersion: 1
schema: { file: ./schema.graphql }
roles: { customer: queries_customer, reader: queries_customer, staff: queries_staff }
models:
  User: { query: { allow: [customer, reader] } }
  Secret: { query: { allow: [customer] } }
  Post: { query: { allow: [customer] } }
  Guarded:
    query:
      allow: [customer]
      permissions: { only_one: { sql: "select true from \"Guarded\" where id = :where ->> 'id' and id = 'g1'" } }
commands:
  touch: { sql: "select 1 as one" }
  told:
    commands: [ { users: { select: "{ id }" } } ]
    hooks: { after: { tell: "http://unix:/nonexistent:/" } }
  two_users:
    args: { id: text }
    commands:
      - user: { where: { id: $args.id }, select: "{ id boss { id } }" }
        as: one
      - users: { where: { boss: { id: $one.id } }, select: { id: true } }
        as: staff
    result: { one: $one.id, staff: $staff }
"""


@pytest.fixture(scope="module")
def site(database):
    with harness.Site(database, MANIFEST, workers=1, inside_workers=1, files={"schema.graphql": MODEL}) as site:
        yield site


@pytest.fixture(scope="module")
def ask(site):
    """A command inside: ask("users", where={...}) gives the result."""
    def ask(name, **args):
        return site.inside.command(name, args, role="staff").result
    return ask


@pytest.fixture(scope="module")
def refuse(site):
    """The problem of a command that is refused with 400 BAD_ARGUMENT."""
    def refuse(name, **args):
        answer = site.inside.command(name, args, role="customer")
        assert answer.code == "BAD_ARGUMENT", answer
        return answer.json
    return refuse


def ids(nodes):
    return [node["id"] for node in nodes]


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


# ---- filters --------------------------------------------------------------------------------------------------------

ALL = ["u1", "u2", "u3", "u4"]
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


# ---- whatever compiles, PostgreSQL takes ----------------------------------------------------------------------------

def parse_model():
    """{model: {field: (type, is list)}}; enums apart."""
    models = {}
    for name, body in re.findall(r"^type (\w+)[^{]*\{(.*?)^\}", MODEL, re.M | re.S):
        models[name] = {field: (kind, bool(many)) for field, many, kind in re.findall(r"^  (\w+): (\[?)(\w+)", body, re.M)}
    return models


MODELS = parse_model()
ENDINGS = ["", "_not", "_in", "_not_in", "_lt", "_lte", "_gt", "_gte", "_contains", "_not_contains", "_starts_with",
    "_not_starts_with",
           "_ends_with", "_not_ends_with"]


class Generator:
    """Requests that are right, made by chance."""

    def __init__(self, seed):
        self.r = random.Random(seed)

    def text(self):
        return "".join(self.r.choice("ab'\"\\%_$; é\n{}") for _ in range(self.r.randrange(6)))

    def value(self, kind):
        r = self.r
        return {"ID": lambda: r.choice([self.text(), r.randrange(100)]), "String": self.text,
                "Int": lambda: r.choice([r.randrange(-5, 50), -2147483648, 2147483647]),
                "BigInt": lambda: r.choice([r.randrange(99), "9223372036854775807", -9223372036854775808]),
                "Float": lambda: r.choice([r.random(), 1e300, 0, -1]),
                "Decimal": lambda: r.choice([1.10, "1e-5", "12345678901234567890.5"]),
                "Boolean": lambda: r.random() < 0.5,
                "UUID": lambda: "%08x-0000-4000-8000-000000000000" % r.randrange(1 << 32),
                "DateTime": lambda: r.choice(["2016", "1969-12", "2016-02-29", "2016-01-01T12", "2016-01-01T12:30+05:30",
                                              "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00-12:00"]),
                "Colour": lambda: r.choice(["RED", "GREEN", "BLUE"])}[kind]()

    def endings(self, kind):
        if kind in ("ID", "String"):
            return ENDINGS
        if kind in ("UUID", "Colour"):
            return ENDINGS[:4]
        return ENDINGS[:2] if kind == "Boolean" else ENDINGS[:8]

    def filter(self, model, depth=0):
        r, where = self.r, {}
        for _ in range(r.randrange(4)):
            if r.random() < 0.25 and depth < 3:
                inner = [self.filter(model, depth + 1) for _ in range(r.randrange(3))]
                where[r.choice(["AND", "OR", "NOT"])] = r.choice([inner, inner[0] if inner else None])
                continue
            field, (kind, many) = r.choice(list(MODELS[model].items()))
            if kind in MODELS:
                if depth < 3:
                    inner = self.filter(kind, depth + 1)
                    ending = r.choice(["_some", "_every", "_none"]) if many else ""
                    where[field + ending] = inner if many else r.choice([inner, inner, None])
            elif not many and kind != "Json":
                ending = r.choice(self.endings(kind))
                lists = ending.endswith("_in")
                value = [self.value(kind) for _ in range(r.randrange(3))] if lists else self.value(kind)
                where[field + ending] = r.choice([value, value, value, None])
        return where

    def arguments(self, model, depth=0):
        r, args = self.r, {}
        scalars = [f for f, (kind, many) in MODELS[model].items() if kind not in MODELS and not many]
        if r.random() < 0.5:
            args["where"] = self.filter(model, depth)
        if r.random() < 0.4 and scalars:
            args["orderBy"] = r.choice(scalars) + r.choice(["_ASC", "_DESC"])
        if r.random() < 0.3:
            args[r.choice(["first", "last"])] = r.randrange(5)
        for name in ("after", "before"):
            if r.random() < 0.2:
                keys = {"Line": {"order": "o1", "no": r.randrange(3)}, "Team": r.randrange(3)}
                args[name] = keys.get(model, self.text())
        if r.random() < 0.2:
            args["skip"] = r.randrange(3)
        return args

    def tree(self, model, depth=0):
        r, tree = self.r, {}
        fields = list(MODELS[model].items())
        for i in range(r.randrange(1, 6)):
            field, (kind, many) = r.choice(fields)
            alias = field if r.random() < 0.5 and field not in tree else f"a{i}"
            entry = {} if alias == field else {"field": field}
            if kind in MODELS:
                if depth >= 4:
                    continue
                entry.update(self.arguments(kind, 2) if many else {})
                entry["select"] = self.tree(kind, depth + 1)
            tree[alias] = entry or True
        return tree or {"__typename": True}

    def as_text(self, tree):
        """The same selection in GraphQL."""
        def value(x):
            if isinstance(x, dict):
                return "{" + ", ".join(f"{k}: {value(v)}" for k, v in x.items()) + "}"
            if isinstance(x, list):
                return "[" + " ".join(map(value, x)) + "]"
            return json.dumps(x)

        parts = []
        for alias, entry in tree.items():
            entry = {} if entry is True else entry
            name = entry.get("field", alias)
            args = " ".join(f"{k}: {value(v)}" for k, v in entry.items() if k not in ("field", "select"))
            inner = self.as_text(entry["select"]) if "select" in entry else ""
            parts.append(f"{alias}: {name}{f'({args})' if args else ''} {inner}")
        return "{ " + "\n".join(parts) + " }"


PLURALS = {model: model[0].lower() + model[1:] + "s" for model in MODELS}


def test_what_compiles_is_taken_by_postgresql(site):
    for seed in range(400):
        generator = Generator(seed)
        model = generator.r.choice([name for name in MODELS if name not in ("Sneak", "Guarded")])
        tree, args = generator.tree(model), generator.arguments(model)
        answers = [site.inside.command(PLURALS[model], {**args, "select": select}, role="staff") for select in (tree,
            generator.as_text(tree))]
        assert answers[0].status == 200, (seed, args, tree, answers[0])
        assert answers[0].json == answers[1].json, (seed, args, tree, answers[1])


def test_what_is_wrong_is_refused_and_nothing_else(site):
    """One place of a request that is right is spoilt: an error of the caller's, never of the server's."""
    def places(x, path=()):
        yield path
        for key, value in x.items() if isinstance(x, dict) else enumerate(x) if isinstance(x, list) else ():
            yield from places(value, path + (key,))

    for seed in range(300):
        generator = Generator(seed)
        r, model = generator.r, generator.r.choice([name for name in MODELS if name not in ("Sneak", "Guarded")])
        args = {**generator.arguments(model), "select": generator.tree(model)}
        *path, last = r.choice([path for path in places(args) if path])
        holder = args
        for step in path:
            holder = holder[step]
        if isinstance(holder, dict) and r.random() < 0.5:
            holder["".join(r.choice(string.printable) for _ in range(5))] = holder.pop(last)
        else:
            holder[last] = r.choice([None, True, 0, -1, 1.5, "", "x' y", [], {}, [None], {"id": 1}, "0001-01-01", 10 ** 40])
        answer = site.inside.command(PLURALS[model], args, role="staff")
        assert answer.status == 200 or answer.code == "BAD_ARGUMENT", (seed, args, answer)
