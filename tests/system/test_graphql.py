"""GraphQL over HTTP: what of a document becomes of commands, and what of their results becomes of the answer. Which documents
are valid is another matter (tests/graphql), as are the clients (test_graphql_clients.py)."""

import hashlib
import json
import urllib.parse

import pytest

import harness
from service import Service

MODEL = """
enum Colour { RED GREEN @db(name: "dark green") }

type User @db(name: "app_user") {
  id: ID! @id
  email: String! @unique
  nick: String
  age: Int
  big: BigInt
  price: Decimal
  bigs: [BigInt!]!
  data: Json
  colour: Colour
  boss: User @relation(name: "Boss")
  staff: [User] @relation(name: "Boss")
  posts: [Post]
}

type Post {
  id: ID! @id
  title: String!
  stars: Int! @default(value: 0)
  author: User
}

type Team {
  id: Int! @id
  name: String!
}

type Gap {
  id: ID! @id
  text: String!
}
"""

MANIFEST = """
specVersion: 1
schema: { file: ./schema.graphql }
models:
  User:
    create: { allow: [editor] }
    update: { allow: [editor] }
    upsert: { allow: [editor] }
    delete: { allow: [editor] }
    updateMany: { allow: [editor] }
    deleteMany: { allow: [editor] }
    query: { allow: [editor, reader] }
  Post: { create: { allow: [editor] }, update: { allow: [editor] }, query: { allow: [editor, reader] } }
  Team: { create: { allow: [editor] }, query: { allow: [editor] } }
  Gap: { query: { allow: [editor] }, create: { allow: [editor] } }
commands:
  nothing: { sql: "select 1 as one" }
"""


def loosen(database):
    """A database in which the file promises more than holds."""
    database.execute('alter table "Gap" alter text drop not null')


@pytest.fixture(scope="module")
def site(database):
    harness.create_tables(database, MODEL)
    loosen(database)
    with harness.Site(database, MANIFEST, files={"schema.graphql": MODEL}, background_runners=1,
                      background={"poll_ms": 50, "lease_ms": 1000}) as site:
        yield site


@pytest.fixture(autouse=True)
def empty(database):
    yield
    database.execute('truncate app_user, "Post", "Team", "Gap", writ.idempotency, writ.document, writ.mutation, writ.state cascade')


def ask(site, query, variables=None, role="editor", headers=(), inside=False, **more):
    body = {"query": query, **({"variables": variables} if variables is not None else {}), **more}
    return (site.inside if inside else site.client).post("/graphql", body, headers=headers, role=role)


def data(site, query, variables=None, **options):
    answer = ask(site, query, variables, **options)
    assert answer.status == 200 and "errors" not in answer.json, answer
    return answer.json["data"]


def error(site, query, variables=None, status=200, **options):
    """The one error of an operation that had begun."""
    answer = ask(site, query, variables, **options)
    assert answer.status == status, answer
    assert answer.json["data"] is None and len(answer.json["errors"]) == 1, answer
    assert answer.json["errors"][0]["requestId"] == answer.header("x-request-id")
    return answer.json["errors"][0]


def refused(site, query, variables=None, **options):
    """Messages of a request of which nothing has run."""
    answer = ask(site, query, variables, **options)
    assert "data" not in answer.json, answer
    return [error["message"] for error in answer.json["errors"]]


ANN = 'mutation { createUser(data: { id: "u1", email: "ann@example.org", nick: "Ann", age: 30 }) { id } }'


# ------------------------------------------------------------------------------------------------------- operations


def test_a_mutation_and_a_query(site):
    assert data(site, ANN) == {"createUser": {"id": "u1"}}
    assert data(site, "{ user(where: { id: \"u1\" }) { nick age } }") == {"user": {"nick": "Ann", "age": 30}}
    assert data(site, "{ users { nick } usersConnection { aggregate { count } edges { cursor node { id } } } }") == {
        "users": [{"nick": "Ann"}],
        "usersConnection": {"aggregate": {"count": 1}, "edges": [{"cursor": "u1", "node": {"id": "u1"}}]}}


def test_aliases_fragments_and_the_same_field_twice(site):
    data(site, ANN)
    assert data(site, """
      query Q { a: user(where: { id: "u1" }) { ...Names who: nick ...Names posts(first: 1) { id } posts(first: 1) { title } }
                b: user(where: { email: "ann@example.org" }) { __typename id }
                a: user(where: { id: "u1" }) { ... on User { age } ... { years: age } } }
      fragment Names on User { nick name: nick ...More }
      fragment More on User { email }""") == {
        "a": {"nick": "Ann", "name": "Ann", "email": "ann@example.org", "who": "Ann", "posts": [], "age": 30, "years": 30},
        "b": {"__typename": "User", "id": "u1"}}


def test_members_come_in_the_order_of_the_document(site):
    data(site, ANN)
    answer = ask(site, '{ z: user(where: {id: "u1"}) { nick id email } __typename a: user(where: {id: "u1"}) { id } }')
    assert answer.text == ('{"data":{"z":{"nick":"Ann","id":"u1","email":"ann@example.org"},"__typename":"Query",'
                           '"a":{"id":"u1"}}}')


def test_typename_at_every_level(site):
    data(site, ANN)
    assert data(site, """{ __typename usersConnection { __typename pageInfo { t: __typename hasNextPage } edges { __typename node { __typename } }
                             aggregate { __typename count } } }""") == {
        "__typename": "Query",
        "usersConnection": {"__typename": "UserConnection", "pageInfo": {"t": "PageInfo", "hasNextPage": False},
                            "edges": [{"__typename": "UserEdge", "node": {"__typename": "User"}}],
                            "aggregate": {"__typename": "AggregateUser", "count": 1}}}
    assert data(site, 'mutation { __typename updateManyUsers(data: { nick: "x" }) { __typename n: count count } }') == {
        "__typename": "Mutation", "updateManyUsers": {"__typename": "BatchPayload", "n": 1, "count": 1}}


def test_skip_and_include(site):
    data(site, ANN)
    query = """query ($yes: Boolean!, $no: Boolean = false) {
      a: user(where: { id: "u1" }) { id nick @skip(if: $yes) age @include(if: $no) email @include(if: $yes) @skip(if: $no) }
      b: user(where: { id: "u1" }) @skip(if: $yes) { id }
      ...F @include(if: $no)
      ... @include(if: $yes) { c: user(where: { id: "u1" }) { id @skip(if: true) } } }
      fragment F on Query { d: users { id } }"""
    assert data(site, query, {"yes": True}) == {"a": {"id": "u1", "email": "ann@example.org"}, "c": {}}
    assert data(site, query, {"yes": False, "no": True}) == {
        "a": {"id": "u1", "nick": "Ann", "age": 30}, "b": {"id": "u1"}, "d": [{"id": "u1"}]}
    assert data(site, "query ($no: Boolean!) { users @include(if: $no) { id } }", {"no": False}) == {}


def test_variables_everywhere(site):
    created = data(site, """
      mutation ($data: UserCreateInput!, $n: Int = 1, $title: String) {
        createUser(data: $data) { email posts(first: $n, where: { title: $title }) { title } } }""",
                   {"data": {"email": "a@b", "posts": {"create": [{"title": "one"}, {"title": "two"}]}}, "title": "two"})
    assert created == {"createUser": {"email": "a@b", "posts": [{"title": "two"}]}}
    query = "query ($first: Int, $order: PostOrderByInput) { posts(first: $first, orderBy: $order) { title } }"
    assert data(site, query) == {"posts": [{"title": "one"}, {"title": "two"}]}
    assert data(site, query, {"first": 1, "order": "title_DESC"}) == {"posts": [{"title": "two"}]}
    assert data(site, query, {"first": None}) == {"posts": [{"title": "one"}, {"title": "two"}]}


def test_data_that_looks_like_a_reference_is_data(site):
    marker = {"$ref": "x.y", "a": {"$literal": 1}}
    mutation = """mutation ($d: Json) { a: createUser(data: { email: "a", data: $d }) { data }
                                       b: createUser(data: { email: "b", data: $d }) { data } }"""
    assert data(site, mutation, {"d": marker}) == {"a": {"data": marker}, "b": {"data": marker}}


def test_root_fields_run_in_order_in_one_transaction(site, database):
    assert data(site, """mutation {
      one: createUser(data: { id: "u1", email: "a" }) { email }
      two: updateUser(where: { id: "u1" }, data: { email: "b" }) { email }
      three: updateUser(where: { email: "b" }, data: { posts: { create: { title: "t" } } }) { posts { title } }
      four: deleteUser(where: { id: "u1" }) { email posts { title } } }""") == {
        "one": {"email": "a"}, "two": {"email": "b"}, "three": {"posts": [{"title": "t"}]},
        "four": {"email": "b", "posts": [{"title": "t"}]}}
    told = error(site, """mutation { one: createUser(data: { email: "a" }) { id }
                                    two: createUser(data: { email: "a" }) { id } }""")
    assert told["path"] == ["two"] and told["code"] == 3010, told
    assert database.one("select count(*) from app_user") == 0


def test_queries_see_one_snapshot_in_one_flight(site):
    before = len(site.writ.log())
    data(site, "{ a: users { id } b: posts { id } c: usersConnection { aggregate { count } } }")
    line = [line for line in site.writ.log()[before:].splitlines() if "command=graphql(users,posts,usersConnection)" in line]
    assert len(line) == 1 and " flights=1 " in line[0], line


def test_one_of_several_operations(site):
    document = "query A { a: __typename } query B { b: __typename }"
    assert data(site, document, operationName="B") == {"b": "Query"}
    assert refused(site, document) == ["Must provide operation name if query contains multiple operations."]
    assert refused(site, document, operationName="C") == ['Unknown operation named "C".']


# ---------------------------------------------------------------------------------------------------------- values


def test_big_numbers_are_strings_here_and_numbers_to_commands(site):
    big, price = "9007199254740993", "12345678901234567890.10"
    fields = "big price bigs staff { big } posts { author { price } }"
    mutation = """mutation ($big: BigInt!, $price: Decimal) { createUser(data: { id: "u1", email: "a", big: $big, price: $price,
      bigs: { set: [$big, 1] }, posts: { create: { title: "t" } }, staff: { create: { email: "b", big: "-1" } } }) { %s } }""" % fields
    expected = {"big": big, "price": price, "bigs": [big, "1"], "staff": [{"big": "-1"}], "posts": [{"author": {"price": price}}]}
    assert data(site, mutation, {"big": big, "price": price}) == {"createUser": expected}
    assert data(site, '{ users(where: { id: "u1" }) { %s } usersConnection(where: { id: "u1" }) { edges { node { big } } } }' % fields) == {
        "users": [expected], "usersConnection": {"edges": [{"node": {"big": big}}]}}
    answer = site.client.command("user", {"where": {"id": "u1"}, "select": "{ big price bigs }"}, role="editor")
    assert answer.text == '{"result":{"big":9007199254740993,"price":12345678901234567890.10,"bigs":[9007199254740993,1]}}'


def test_cursors_of_numbers_are_strings_that_come_back(site):
    data(site, 'mutation { a: createTeam(data: { name: "a" }) { id } b: createTeam(data: { name: "b" }) { id } }')
    page = data(site, "{ teamsConnection(first: 1) { pageInfo { endCursor } edges { cursor node { name } } } }")["teamsConnection"]
    cursor = page["pageInfo"]["endCursor"]
    assert page["edges"] == [{"cursor": cursor, "node": {"name": "a"}}] and isinstance(cursor, str)
    assert data(site, "query ($after: String) { teams(after: $after) { name } }", {"after": cursor}) == {"teams": [{"name": "b"}]}


def test_enums_and_json(site):
    mutation = 'mutation ($c: Colour) { createUser(data: { email: "a", colour: $c, data: "{\\"a\\": [1.10]}" }) { colour data } }'
    assert data(site, mutation, {"c": "GREEN"}) == {"createUser": {"colour": "GREEN", "data": {"a": [1.1]}}}


def test_changes_of_numbers_and_lists(site):
    data(site, ANN)
    update = "mutation ($d: UserUpdateInput!) { updateUser(where: { id: \"u1\" }, data: $d) { age bigs posts { stars } } }"
    told = data(site, update, {"d": {"age_increment": 2, "bigs": {"set": ["1", "2"]}, "posts": {"create": {"id": "p", "title": "t", "stars": 3}}}})
    assert told == {"updateUser": {"age": 32, "bigs": ["1", "2"], "posts": [{"stars": 3}]}}
    nested = {"posts": {"update": [{"where": {"id": "p"}, "data": {"stars_multiply": 5}}]}, "age_divide": None, "bigs": {"push": "3"}}
    assert data(site, update, {"d": nested})["updateUser"] == {"age": 32, "bigs": ["1", "2", "3"], "posts": [{"stars": 15}]}
    assert data(site, 'mutation { updateManyUsers(data: { age_decrement: 30 }) { count } }') == {"updateManyUsers": {"count": 1}}
    assert data(site, "{ users { age } }") == {"users": [{"age": 2}]}
    assert error(site, update, {"d": {"age_increment": 1, "age_multiply": 2}})["extensions"]["inputPath"] == ["data", "age"]
    assert "one of them only" in refused(site, update, {"d": {"age_increment": 1, "age": 2}})[0]
    assert "one of them only" in refused(site, 'mutation { updateManyUsers(data: { age: 1, age_increment: 1 }) { count } }')[0]


def test_null_in_a_place_without_goes_up(site, database):
    """The file says that it is required, the table holds a null: the next place above that may be null is."""
    database.execute("""insert into "Gap" values ('g1', null), ('g2', 'there')""")
    answer = ask(site, '{ gap(where: { id: "g1" }) { id text } other: gap(where: { id: "g2" }) { text } }')
    assert answer.json["data"] == {"gap": None, "other": {"text": "there"}}
    (told,) = answer.json["errors"]
    assert told["path"] == ["gap", "text"] and told["locations"] == [{"line": 1, "column": 33}], told
    answer = ask(site, "{ list: gaps { text } __typename }")
    assert answer.status == 200 and answer.json["errors"][0]["path"] == ["list", 0, "text"], answer
    assert data(site, '{ gap(where: { id: "g1" }) { id } }') == {"gap": {"id": "g1"}}


# ---------------------------------------------------------------------------------------------------------- errors


def test_an_error_of_the_operation(site):
    data(site, ANN)
    told = error(site, 'mutation {\n  again: createUser(data: { email: "ann@example.org" }) { id }\n}')
    assert told["message"] == "A unique constraint would be violated on User. Details: Field name = email", told
    assert told["path"] == ["again"] and told["locations"] == [{"line": 2, "column": 3}] and told["code"] == 3010
    assert told["extensions"]["code"] == "UNIQUE_VIOLATION" and told["extensions"]["status"] == 409
    assert told["extensions"]["retryable"] is False


def test_where_in_the_input(site, database):
    data(site, ANN)
    variables = {"data": {"email": "x", "posts": {"create": [{"title": "a"}, {"id": "p", "title": "b"}, {"id": "p", "title": "c"}]}}}
    told = error(site, "mutation ($data: UserCreateInput!) { ok: __typename createUser(data: $data) { id } }", variables)
    assert told["code"] == 3010 and told["path"] == ["createUser"]
    assert told["extensions"]["inputPath"][:4] == ["data", "posts", "create", 2], told
    told = error(site, 'mutation { a: createUser(data: { email: "y" }) { id } '
                       'b: updateUser(where: { id: "u1" }, data: { posts: { connect: [{ id: "no" }] } }) { id } }')
    assert told["code"] == 3039 and told["path"] == ["b"]
    assert told["extensions"]["inputPath"] == ["data", "posts", "connect", 0, "id"], told
    told = error(site, "{ users { posts(first: 1, last: 1) { id } } }")
    assert told["code"] == 3014 and told["path"] == ["users"] and told["extensions"]["inputPath"] == ["posts", "last"], told
    told = error(site, "{ users { select: posts(first: 1, last: 1) { id } } }")
    assert told["extensions"]["inputPath"] == ["select", "last"], told
    told = error(site, "{ users { posts { select: author { posts(first: 1, last: 1) { id } } } } }")
    assert told["extensions"]["inputPath"] == ["posts", "select", "posts", "last"], told
    assert database.one("select count(*) from app_user") == 1


def test_errors_of_documents_and_variables_have_no_data(site):
    assert refused(site, "{ users { nope } }")[0].startswith('Cannot query field "nope" on type "User".')
    assert "Syntax Error" in refused(site, "{ users {")[0] or refused(site, "{ users {")[0]
    assert len(refused(site, "{ users { nope neither } no }")) == 3
    assert refused(site, "query ($i: Int!) { users(first: $i) { id } }")[0]
    answer = ask(site, "\n {  users { nope } }", headers={"Accept": "application/graphql-response+json"})
    assert answer.status == 400 and answer.header("content-type") == "application/graphql-response+json; charset=utf-8"
    assert answer.json["errors"][0]["locations"] == [{"line": 2, "column": 13}]
    assert ask(site, "{ users { nope } }", headers={"Accept": "application/json"}).status == 200


def test_a_role_sees_what_it_may_call(site):
    data(site, ANN)
    assert data(site, "{ users { id } }", role="reader") == {"users": [{"id": "u1"}]}
    assert refused(site, ANN, role="reader")
    assert refused(site, "{ users { id } }", role="nobody") and refused(site, "{ users { id } }", role=None)
    assert data(site, "{ users { id } }", role="editor") == {"users": [{"id": "u1"}]}  # kept documents are a role's own
    assert data(site, "{ users { id } }", role=None, inside=True) == {"users": [{"id": "u1"}]}


# ------------------------------------------------------------------------------------------------------------ HTTP


def get(site, headers=(), role="editor", **parameters):
    return site.client.request("GET", "/graphql?" + urllib.parse.urlencode(parameters), None, [*headers, ("Test-Role", role)])


def test_get_is_for_queries(site):
    data(site, ANN)
    answer = get(site, query="query Q($id: ID!) { user(where: { id: $id }) { nick } }", variables='{"id": "u1"}', operationName="Q")
    assert answer.status == 200 and answer.json == {"data": {"user": {"nick": "Ann"}}}
    answer = get(site, query='mutation { deleteUser(where: { id: "u1" }) { id } }')
    assert answer.status == 405 and answer.header("allow") == "POST" and "data" not in answer.json
    assert data(site, "{ users { id } }") == {"users": [{"id": "u1"}]}
    assert get(site).status == 400 and get(site, query="{ users { id } }", variables="[1]").status == 400
    assert get(site, query="{ users { id } }", variables="{").status == 400
    assert site.client.get("/graphql?query=%7B__typename%7D&query=x").status == 400
    assert site.client.get("/graphql?query=%zz").status == 400 and site.client.get("/graphql?query=%00").status == 400
    assert site.client.request("PUT", "/graphql", {}).status == 405


@pytest.mark.parametrize("accept, status, kind", [
    (None, 200, "application/json"), ("*/*", 200, "application/json"), ("application/*;q=0.1", 200, "application/json"),
    ("application/json", 200, "application/json"), ("application/graphql-response+json", 400, "application/graphql-response+json"),
    ("application/graphql-response+json, application/json;q=0.9", 400, "application/graphql-response+json"),
    ("application/json;q=0.9, application/graphql-response+json;q=0.95", 400, "application/graphql-response+json"),
    ("application/json, application/graphql-response+json", 200, "application/json"),
    ("application/graphql-response+json;q=0, */*", 200, "application/json"),
    ("application/json;q=0, application/*", 400, "application/graphql-response+json"),
    ("text/html, application/xhtml+xml", 406, "application/json"),
    ("application/json;q=0", 406, "application/json")])
def test_media_types(site, accept, status, kind):
    answer = ask(site, "{ nope }", headers={"Accept": accept} if accept else {})
    assert answer.status == status and answer.header("content-type") == kind + "; charset=utf-8", answer
    assert "errors" in answer.json and "data" not in answer.json


@pytest.mark.parametrize("body, status", [
    ("{", 400), ("", 400), ("[]", 400), ('[{"query": "{__typename}"}]', 400), ("1", 400), ("{}", 400), ('{"query": 1}', 400),
    ('{"query": null}', 400), ('{"query": "{__typename}", "variables": []}', 400), ('{"query": "{__typename}", "variables": "{}"}', 400),
    ('{"query": "{__typename}", "operationName": 1}', 400), ('{"query": "{__typename}", "extensions": 1}', 400),
    ('{"query": "{__typename}", "extensions": {"persistedQuery": {"version": 2, "sha256Hash": "x"}}}', 400),
    ('{"query": "{__typename}", "extensions": {"persistedQuery": {"version": 1, "sha256Hash": "x"}}}', 400),
    ('{"query": "{__typename}", "variables": null, "operationName": null, "extensions": {"trace": 1}, "id": "x"}', 200)])
def test_bodies(site, body, status):
    answer = site.client.post("/graphql", body, role="editor")
    assert answer.status == status and ("data" in answer.json) == (status == 200), answer


def test_content_types(site):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json; charset=latin1"):
        answer = site.client.post("/graphql", '{"query": "{__typename}"}', headers={"Content-Type": kind}, role="editor")
        assert answer.status == 415 and answer.json["errors"][0]["extensions"]["code"] == "UNSUPPORTED_MEDIA_TYPE"
    assert "uploaded" in site.client.post("/graphql", "x", headers={"Content-Type": "multipart/form-data"}).json["errors"][0]["message"]


def test_without_a_schema_there_is_no_graphql(database):
    with harness.Site(database, "specVersion: 1\ncommands: { nothing: { sql: select 1 as one } }") as site:
        answer = ask(site, "{ __typename }")
        assert answer.status == 404 and answer.code == "NOT_FOUND" and "schema" in answer.json["detail"]


def test_subscriptions_are_refused(site):
    assert "ubscription" in refused(site, "subscription { users { id } }")[0]


# ---------------------------------------------------------------------------------- what commands have, this has too


def test_an_idempotency_key(site, database):
    headers = {"Idempotency-Key": "k1"}
    mutation = """mutation M($e: String!) { a: createUser(data: { email: $e, big: "1" }) { email big nick }
                                           b: createUser(data: { email: "b" }) { nick } }"""
    first = ask(site, mutation, {"e": "x"}, headers=headers)
    again = ask(site, mutation, {"e": "x"}, headers=headers)
    assert first.json["data"]["a"] == {"email": "x", "big": "1", "nick": None}
    assert again.json == first.json and again.header("idempotent-replay") == "true" and not first.header("idempotent-replay")
    assert database.one("select count(*) from app_user") == 2
    told = error(site, mutation, {"e": "y"}, headers=headers)
    assert told["extensions"]["code"] == "IDEMPOTENCY_MISMATCH"
    single = 'mutation { createUser(data: { email: "s" }) { email } }'
    first, again = (ask(site, single, headers={"Idempotency-Key": "k2"}) for _ in range(2))
    assert first.json == again.json == {"data": {"createUser": {"email": "s"}}} and again.header("idempotent-replay")
    assert data(site, "{ users { email } }", headers=headers)  # a query has no use for it


def test_a_dry_run(site, database):
    answer = ask(site, ANN, headers={"Prefer": "tx=rollback"})
    assert answer.json == {"data": {"createUser": {"id": "u1"}}} and answer.header("preference-applied") == "tx=rollback"
    assert database.one("select count(*) from app_user") == 0


def state(site, mutation):
    return site.client.request("GET", f"/mutation/{mutation}", None, [("Test-Role", "editor")])


def test_the_state_of_a_mutation(site, database):
    mutation = "0198c0de-0000-7000-8000-000000000001"
    document = 'mutation { a: createUser(data: { email: "a", big: "1" }) { big } b: createUser(data: { email: "b" }) { email } }'
    assert ask(site, document, headers={"Mutation-Id": mutation}).json == {"data": {"a": {"big": "1"}, "b": {"email": "b"}}}
    told = state(site, mutation).json
    assert told["status"] == "complete" and told["uuid"] == mutation, told
    again = error(site, document, headers={"Mutation-Id": mutation})
    assert again["extensions"]["code"] == "MUTATION_EXISTS"
    assert database.one("select count(*) from app_user") == 2
    assert ask(site, "{ users { id } }", headers={"Mutation-Id": mutation}).status == 400
    assert ask(site, ANN, headers={"Mutation-Id": "x"}).status == 400
    assert ask(site, ANN, headers={"If-Match": '"5"'}).status == 400  # it would guard nothing


def told_again(site, document, key):
    """Who comes back for an error is told all that who waits for it is: number, place, constraint."""
    at_once = error(site, document)
    told = ask(site, document, headers={"Prefer": "respond-async", "Idempotency-Key": key}).json["extensions"]
    harness.wait_until(lambda: state(site, told["mutation"]).json["status"] == "error", "the mutation's end")
    later = error(site, document, headers={"Idempotency-Key": key})
    assert {**later, "requestId": at_once["requestId"]} == at_once, (at_once, later)
    return at_once["code"] and at_once["extensions"]["inputPath"]


def test_in_the_background(site, database):
    headers = {"Prefer": "respond-async", "Idempotency-Key": "async"}
    document = 'mutation { a: createUser(data: { id: "u1", email: "a", big: "1" }) { big } b: createUser(data: { email: "b" }) { email } }'
    answer = ask(site, document, headers=headers)
    assert answer.status == 202 and answer.json["data"] is None and answer.header("preference-applied") == "respond-async", answer
    told = answer.json["extensions"]
    assert answer.header("location") == told["state"] == f"/mutation/{told['mutation']}"
    harness.wait_until(lambda: state(site, told["mutation"]).json["status"] == "complete", "the mutation's end")
    repeat = ask(site, document, headers={"Idempotency-Key": "async"})
    assert repeat.json == {"data": {"a": {"big": "1"}, "b": {"email": "b"}}} and repeat.header("idempotent-replay") == "true"
    headers = {"Prefer": "respond-async", "Idempotency-Key": "async-2"}
    told = ask(site, 'mutation { x: createUser(data: { id: "u1", email: "c" }) { id } }', headers=headers).json["extensions"]
    harness.wait_until(lambda: state(site, told["mutation"]).json["status"] == "error", "the mutation's end")
    assert error(site, 'mutation { x: createUser(data: { id: "u1", email: "c" }) { id } }', status=200,
                 headers={"Idempotency-Key": "async-2"})["extensions"]["code"] == "UNIQUE_VIOLATION"
    assert told_again(site, 'mutation { x: createUser(data: { email: "d" }) { id } y: createUser(data: { email: "d" }) { id } }', "async-3")
    assert told_again(site, 'mutation { createUser(data: { email: "d", posts: { connect: [{ id: "none" }] } }) { id } }', "async-4")
    answer = ask(site, "{ users { id } }", headers={"Prefer": "respond-async"})
    assert answer.status == 200 and len(answer.json["data"]["users"]) == 2


def test_the_request_id_and_the_log_line(site):
    answer = ask(site, "mutation { deleteManyUsers { count } }", headers={"X-Request-Id": "graph-1"})
    assert answer.header("x-request-id") == "graph-1" and answer.header("cache-control") == "no-store"
    ask(site, "{ nope }", headers={"X-Request-Id": "graph-2", "Accept": "application/graphql-response+json"})
    lines = harness.wait_until(lambda: (found := [line for line in site.writ.log().splitlines() if "id=graph-" in line])[1:] and found,
                               "two log lines")
    assert "command=graphql(deleteManyUsers) role=\"editor\" status=200" in lines[0]
    assert "command=graphql role=\"editor\" status=400 code=BAD_REQUEST" in lines[1]


def test_limits(site):
    deep = "{ users " + "{ staff " * 24 + "{ id }" + " }" * 25
    assert any("deep" in message for message in refused(site, deep)), refused(site, deep)
    assert refused(site, "{ " + " ".join(f"a{i}: __typename" for i in range(300)) + " }")
    many = "mutation { " + " ".join(f"a{i}: deleteManyUsers {{ count }}" for i in range(101)) + " }"
    assert error(site, many)["extensions"]["code"] == "TOO_MANY_COMMANDS"
    fragments = "".join(f"fragment F{i} on User {{ a: staff {{ ...F{i + 1} }} b: staff {{ ...F{i + 1} }} }} " for i in range(30))
    assert refused(site, "{ users { ...F0 } } " + fragments + "fragment F30 on User { id }")


# ------------------------------------------------------------------------------------------------------- documents


def persisted(query, **more):
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(query.encode()).hexdigest(), **more}}}


def test_persisted_queries(site, database):
    query = "{ users { id nick } }"
    answer = site.client.post("/graphql", persisted(query), role="editor")
    assert answer.json["errors"][0]["message"] == "PersistedQueryNotFound" and "data" not in answer.json
    assert answer.json["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
    assert site.client.post("/graphql", {"query": query, **persisted(query)}, role="editor").json == {"data": {"users": []}}
    assert database.one("select text from writ.document where not known") == query
    for role in ("editor", "reader"):
        for _ in range(4):  # of whichever worker
            assert site.client.post("/graphql", persisted(query), role=role).json == {"data": {"users": []}}
    assert get(site, extensions=json.dumps(persisted(query)["extensions"])).json == {"data": {"users": []}}
    answer = site.client.post("/graphql", {"query": query + " ", **persisted(query)}, role="editor")
    assert answer.status == 400 and "SHA-256" in answer.json["errors"][0]["message"]
    wrong = "{ nope }"
    site.client.post("/graphql", {"query": wrong, **persisted(wrong)}, role="editor")
    assert database.one("select count(*) from writ.document") == 1  # what is not valid is not stored


def test_documents_stored_by_clients_are_bounded(database):
    with harness.Site(database, MANIFEST, files={"schema.graphql": MODEL}, graphql={"stored_documents": 3, "stored_days": 7}) as site:
        queries = [f"{{ a{i}: __typename }}" for i in range(5)]
        for query in queries:
            site.client.post("/graphql", {"query": query, **persisted(query)}, role="editor")
            database.execute("update writ.document set used = used - interval '1 second'")
        assert database.execute("select text from writ.document order by text") == [(query,) for query in queries[2:]]
        site.client.post("/graphql", {"query": queries[4], **persisted(queries[4])}, role="editor")
        assert database.one("select count(*) from writ.document") == 3  # what is there needs no room
        database.execute("update writ.document set used = now() - interval '8 days'")
        site.client.post("/graphql", {"query": queries[0], **persisted(queries[0])}, role="editor")
        assert database.execute("select text from writ.document") == [(queries[0],)]


def test_prepared_documents_give_way(database):
    """Seen by hashes: without storing, only what the worker has in hand is known by its hash."""
    settings = {"cache_documents": 2, "cache_bytes": 65536, "stored_documents": 0}
    with harness.Site(database, MANIFEST, files={"schema.graphql": MODEL}, workers=1, graphql=settings) as site:
        def is_there(query):
            answer = site.client.post("/graphql", persisted(query), role="editor")
            if answer.json.get("data"):
                return True
            assert answer.json["errors"][0]["message"] == "PersistedQueryNotSupported", answer
            return False

        a, b, c = (f"{{ {name}: __typename }}" for name in "abc")
        for query in (a, b):
            data(site, query)
        assert is_there(a)  # and so b is the oldest
        data(site, c)
        assert is_there(a) and is_there(c) and not is_there(b)
        large = "{ " + " ".join(f"a{i}: users {{ id nick }}" for i in range(60)) + " }"
        assert len(data(site, large)) == 60 and not is_there(large)  # more than an eighth of the room
        assert is_there(a) and is_there(c)
        assert not site.client.post("/graphql", persisted(a), role="reader").json.get("data")  # prepared for a role


def test_known_documents_only(database):
    known = "query Known { users { id } }"
    with harness.Site(database, MANIFEST, files={"schema.graphql": MODEL}, graphql={"documents": "known"}) as site:
        answer = ask(site, known)
        assert answer.status == 403 and answer.json["errors"][0]["extensions"]["code"] == "DOCUMENT_NOT_KNOWN"
        answer = site.client.post("/graphql", {"query": known, **persisted(known)}, role="editor")
        assert answer.status == 403 and database.one("select count(*) from writ.document") == 0
        file = site.writ.folder / "known.graphql"
        file.write_text(known)
        told = harness.writ("schema", "persist", "-c", site.writ.file, file).stdout
        assert hashlib.sha256(known.encode()).hexdigest() in told
        assert data(site, known) == {"users": []}
        assert site.client.post("/graphql", persisted(known), role="editor").json == {"data": {"users": []}}
        assert ask(site, known + " ").status == 403


# ------------------------------------------------------------------------------- commands of the schema file's own

OWN_MODEL = """
type Item @db(name: "item") { id: Int! @id  name: String! }

type Query {
  "Whatever there is."
  things(kinds: [String!] = ["Cat", "Dog"]): [Thing!]!
  pet(kind: String!): Pet
  numbers: Numbers
  strange: Strange
  one: Boolean!
  sneak: Sneak!
  how: How!
}
type Sneak { n: Int! }
type How { isolation: String!  read_only: String! }
type Mutation {
  rename(id: Int!, to: NewName!): Renamed
  count_items: Int!
  is_there(id: Int!): Boolean!
}

input NewName { name: String!  loud: Boolean = false }
interface Thing { name: String! }
type Cat implements Thing { name: String!  lives: Int! }
type Dog implements Thing { name: String!  tricks: [String!]  owner: Owner }
type Owner { name: String  next: Owner }
union Pet = Cat | Dog
type Numbers { big: BigInt  decimal: Decimal  id: ID  int: Int  float: Float  mood: Mood  text: String }
type Strange { int: Int  mood: Mood  list: [Int!]  must: Inner }
type Inner { value: Int! }
type Renamed { id: Int!  item: Text }
type Text { text: String! }
enum Mood { HAPPY SAD }
"""

OWN_MANIFEST = """
specVersion: 1
schema: { file: ./schema.graphql }
graphql: { introspection: [tester] }
models: { Item: { create: { allow: [tester] } } }
commands:
  things:
    allow: [tester, plain]
    args: { kinds: "text[]" }
    sql: >
      select * from (values ('Cat', 'Tom', 9, null::text[], null::jsonb),
                            ('Dog', 'Rex', null, '{sit}', '{"name": "Ann", "next": {"name": "Bob", "next": null}}'))
      as t("__typename", name, lives, tricks, owner) where "__typename" = any(:kinds)
  pet: { allow: [tester], sql: "select :kind as \\"__typename\\", 'x' as name, 1 as lives", args: { kind: text }, returns: optional }
  numbers:
    allow: [tester]
    returns: one
    sql: >
      select 9007199254740993::bigint as big, 1.10::numeric as decimal, 5 as id, 2147483647 as int, 1.5::float8 as float,
      'SAD' as mood, 'x' as text, 'hidden' as other
  strange: { allow: [tester], returns: one, sql: "select 3000000000 as int, 'ANGRY' as mood, '{1,null}'::int[] as list, '{}'::jsonb as must" }
  sneak:
    allow: [tester]
    returns: one
    sql: "with made as (insert into item (name) values ('sneaked') returning id) select count(*)::int as n from made"
  how:
    allow: [tester]
    returns: one
    sql: "select current_setting('transaction_isolation') as isolation, current_setting('transaction_read_only') as read_only"
  one: { allow: [tester, plain], check: "select true", error: { code: X } }
  rename:
    allow: [tester]
    args: { id: int, to: jsonb }
    sql: >
      update item set name = case when (:to::jsonb ->> 'loud')::boolean then upper(:to::jsonb ->> 'name') else :to::jsonb ->> 'name' end
      where id = :id returning id, json_build_object('text', name) as item
    returns: optional
  count_items: { allow: [tester], sql: "update item set name = name", returns: count }
  is_there: { allow: [tester], check: "select exists (select from item where id = :id)", args: { id: int }, error: { code: NOT_THERE } }
"""


@pytest.fixture(scope="module")
def own(postgres):
    database = harness.Database(postgres, "graphql_own")
    database.execute("create table item (id integer generated by default as identity primary key, name text not null);"
                     "grant all on item to writ; grant all on sequence item_id_seq to writ")
    with harness.Site(database, OWN_MANIFEST, files={"schema.graphql": OWN_MODEL}) as site:
        site.database = database
        yield site
    database.drop()


def test_interfaces_and_unions(own):
    assert data(own, """{ things { __typename name ... on Cat { lives } ...D } }
                        fragment D on Dog { tricks owner { name next { next { name } called: name } } }""", role="tester") == {
        "things": [{"__typename": "Cat", "name": "Tom", "lives": 9},
                   {"__typename": "Dog", "name": "Rex", "tricks": ["sit"],
                    "owner": {"name": "Ann", "next": {"next": None, "called": "Bob"}}}]}
    query = "query ($k: [String!]) { things(kinds: $k) { n: name } }"
    assert data(own, query, {"k": "Dog"}, role="plain") == {"things": [{"n": "Rex"}]}
    assert data(own, query, role="plain") == {"things": [{"n": "Tom"}, {"n": "Rex"}]}
    pet = "query ($k: String!) { pet(kind: $k) { ... on Cat { name lives } ... on Thing { __typename } } }"
    assert data(own, pet, {"k": "Cat"}, role="tester") == {"pet": {"name": "x", "lives": 1, "__typename": "Cat"}}
    answer = ask(own, pet, {"k": "Fish"}, role="tester").json
    assert answer["data"] == {"pet": None} and "__typename" in answer["errors"][0]["message"]


def test_values_of_other_commands_are_what_their_types_say(own):
    assert data(own, "{ numbers { big decimal id int float mood text } }", role="tester") == {
        "numbers": {"big": "9007199254740993", "decimal": "1.10", "id": "5", "int": 2147483647, "float": 1.5, "mood": "SAD", "text": "x"}}
    answer = ask(own, "{ strange { int mood list must { value } } }", role="tester").json
    assert answer["data"] == {"strange": {"int": None, "mood": None, "list": None, "must": None}}
    assert [error["path"] for error in answer["errors"]] == [["strange", "int"], ["strange", "mood"], ["strange", "list", 1],
                                                              ["strange", "must", "value"]]


def test_commands_beside_models_in_one_transaction(own):
    mutation = """mutation ($to: NewName!) {
      createItem(data: { name: "a" }) { id }
      count_items
      rename(id: 1, to: $to) { item { text } }
      again: rename(id: 1, to: { name: "c", loud: true }) { item { text } __typename }
      gone: rename(id: 99, to: { name: "d" }) { id }
      is_there(id: 1) }"""
    own.database.execute("truncate item restart identity")
    assert data(own, mutation, {"to": {"name": "b"}}, role="tester") == {
        "createItem": {"id": 1}, "count_items": 1, "rename": {"item": {"text": "b"}},
        "again": {"item": {"text": "C"}, "__typename": "Renamed"}, "gone": None, "is_there": True}
    told = error(own, 'mutation { a: rename(id: 1, to: { name: "z" }) { id } is_there(id: 5) }', role="tester")
    assert told["extensions"]["code"] == "NOT_THERE" and told["path"] == ["is_there"]
    assert own.database.one("select name from item") == "C"


def by_get(site, query, role):
    return site.client.request("GET", "/graphql?query=" + urllib.parse.quote(query), None, [("Test-Role", role)])


def test_a_query_changes_nothing_whatever_its_commands_do(own):
    """Not by POST, and least by GET, which pages of others can have a browser send."""
    own.database.execute("truncate item restart identity")
    for answer in (by_get(own, "{ sneak { n } }", "tester"), ask(own, "{ how { read_only } sneak { n } }", role="tester")):
        assert answer.status == 500 and answer.json["data"] is None, answer
        assert answer.json["errors"][0]["path"] == ["sneak"] and "must not change data" in answer.json["errors"][0]["message"]
    assert own.database.one("select count(*) from item") == 0
    assert "25006" in own.writ.log()


def test_all_of_a_query_is_one_snapshot(own):
    how = {"isolation": "repeatable read", "read_only": "on"}
    assert data(own, "{ a: how { isolation read_only } one b: how { isolation read_only } }", role="tester") == {"a": how, "one": True, "b": how}


def test_a_program_as_a_field(database):
    """It is a command of its own, and not a part of a transaction."""
    with Service() as service:
        told = []
        service.at("/greet", lambda request: told.append(request.json) or {"result": {"text": "hello " + request.json["args"]["name"], "n": 1}})
        manifest = f"""
specVersion: 1
schema: {{ file: ./schema.graphql }}
commands:
  greet: {{ allow: [editor], http: "{service.url('/greet')}", args: {{ name: text }} }}
  asked: {{ allow: [editor], http: "{service.url('/greet')}", args: {{ name: text }} }}
"""
        model = """type Mutation { greet(name: String!): Greeting! } type Greeting { text: String! }
                   type Query { asked(name: String!): Greeting! }"""
        with harness.Site(database, manifest, files={"schema.graphql": model}, inside_workers=2) as site:
            mutation = 'mutation { hi: greet(name: "Ann") { __typename text } }'
            first = ask(site, mutation, headers={"Idempotency-Key": "greet"})
            assert first.json == {"data": {"hi": {"__typename": "Greeting", "text": "hello Ann"}}}, first
            assert ask(site, mutation, headers={"Idempotency-Key": "greet"}).json == first.json and len(told) == 1
            two = error(site, 'mutation { a: greet(name: "x") { text } b: greet(name: "y") { text } }')
            assert two["extensions"]["code"] == "NOT_TRANSACTIONAL" and two["path"] == ["a"] and len(told) == 1
            query = '{ asked(name: "Bob") { text } }'
            refused_by_get = by_get(site, query, "editor")
            assert refused_by_get.status == 405 and refused_by_get.header("allow") == "POST" and len(told) == 1, refused_by_get
            assert data(site, query) == {"asked": {"text": "hello Bob"}}
            service.at("/greet", lambda request: (409, {"code": "NO", "detail": "Not you."}))
            assert error(site, mutation)["extensions"]["code"] == "NO"


INTROSPECT = """query ($n: String = "Dog") { __schema { queryType { ...T } mutationType { name } } item: __type(name: $n) { ...T }
  none: __type(name: "None") { name } __typename }
  fragment T on __Type { kind name fields { name } ... on __Type { label: name } }"""


def test_introspection_for_those_who_may(own):
    told = data(own, INTROSPECT, role="tester")
    assert told["item"] == {"kind": "OBJECT", "name": "Dog", "fields": [{"name": "name"}, {"name": "tricks"}, {"name": "owner"}], "label": "Dog"}
    assert told["none"] is None and told["__typename"] == "Query" and told["__schema"]["mutationType"] == {"name": "Mutation"}
    assert {"name": "things"} in told["__schema"]["queryType"]["fields"]
    assert data(own, INTROSPECT, {"n": "Cat"}, role="tester")["item"]["name"] == "Cat"
    assert data(own, "{ __schema { queryType { name } } things { name } }", role="tester")["__schema"] == {"queryType": {"name": "Query"}}
    assert "__schema" in refused(own, INTROSPECT, role="plain")[0]
    assert data(own, "{ __typename things { __typename } }", role="plain")["__typename"] == "Query"
