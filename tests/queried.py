"""The data model, its rows, and the fixtures of the tests of queries (test_queries, test_filters, test_queries_by_chance). Rows are
written by SQL: what mutations do is another matter."""

import pytest

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


do $$ begin  -- roles are the cluster's, and modules share one
  if to_regrole('queries_customer') is null then
    create role queries_customer;
    create role queries_staff;
  end if;
end $$;
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


ALL = ["u1", "u2", "u3", "u4"]


def ids(nodes):
    return [node["id"] for node in nodes]
