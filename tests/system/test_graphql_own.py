"""Commands as fields of the schema file's own type Mutation and type Query, over HTTP; introspection as clients ask."""

import json
import os
import pathlib
import subprocess

import pytest

import harness
from test_graphql import ask, data

JS = harness.SOURCE / "tests" / "js"

MODEL = """
type Person { id: Int! @id  name: String! @unique  age: Int  big: BigInt }

type Mutation {
  sign_up(data: SignUp!): Account!
  rename(id: Int!, name: String!): Person
  forget(name: String! = "nobody"): Int!
}
type Query { stats: Stats!  found(names: [String!]!): [Person!]! }
extend type Mutation { nothing: Boolean }

"What somebody gives"
input SignUp { name: String!  size: Size = SMALL  tags: [String!] = ["new"] }
enum Size { SMALL LARGE }
type Account { id: Int!  name: String!  size: Size  tags: [String!]  more: Json }
type Stats { people: Int! }
"""

MANIFEST = """
specVersion: 1
schema: { file: ./schema.graphql }
graphql: { introspection: [reader] }
models: { Person: { query: { allow: [reader] }, create: { allow: [editor] }, update: { allow: [editor] } } }
mutations: { file: ./more.yaml }
commands:
  sign_up:
    sql: >
      with made as (insert into "Person" (name) select :data::jsonb ->> 'name' returning id, name)
      select id, name, :data::jsonb ->> 'size' as size, array(select jsonb_array_elements_text(:data::jsonb -> 'tags')) as tags,
        '{"a": [1]}'::jsonb as more from made
    returns: one
    allow: [editor]
  rename: { sql: 'update "Person" set name = :name where id = :id returning *', returns: optional, allow: [editor] }
  forget: { sql: 'delete from "Person" where name = :name', returns: count, allow: [editor] }
  stats: { sql: 'select count(*)::int as people from "Person"', returns: one, allow: [editor, reader] }
  found: { sql: 'select * from "Person" where name = any (:names::text[]) order by id', returns: many, allow: [editor] }
  nothing: { sql: select 1 as a, returns: none, allow: [editor] }
"""
MORE = """
specVersion: 1
schema: { file: more.graphql }
commands: { twice: { sql: 'select 2 * :n::int as n', returns: one, allow: [editor] } }
"""
MORE_SDL = "type Mutation { twice(n: Int!): Twice! } type Twice { n: Int! }"


@pytest.fixture(scope="module")
def site(database):
    harness.create_tables(database, MODEL)
    files = {"schema.graphql": MODEL, "more.yaml": MORE, "more.graphql": MORE_SDL}
    with harness.Site(database, MANIFEST, files=files) as site:
        yield site


def test_commands_are_fields(site):
    assert data(site, 'mutation { a: sign_up(data: { name: "Ann" }) { name size tags more __typename } '
                'sign_up(data: { name: "Bob", size: LARGE, tags: [] }) { tags size } twice(n: 4) { n } nothing '
                'forget }') == {
        "a": {"name": "Ann", "size": "SMALL", "tags": ["new"], "more": {"a": [1]}, "__typename": "Account"},
        "sign_up": {"tags": [], "size": "LARGE"}, "twice": {"n": 8}, "nothing": None, "forget": 0}
    people = data(site, 'query ($n: [String!]!) { found(names: $n) { id name age } stats { people } }', {"n": ["Ann", "Bob", "C"]})
    assert [one["name"] for one in people["found"]] == ["Ann", "Bob"] and people["stats"]["people"] >= 2
    assert data(site, "mutation ($id: Int!) { rename(id: $id, name: \"Anna\") { name } }", {"id": people["found"][0]["id"]}) == {
        "rename": {"name": "Anna"}}
    assert data(site, 'mutation { rename(id: -1, name: "X") { name } forget(name: "Anna") }') == {"rename": None, "forget": 1}


def test_numbers_are_changed_by_fields_of_their_own(site):
    made = data(site, 'mutation { createPerson(data: { name: "Cy", age: 40, big: "9007199254740993" }) { id } }')["createPerson"]["id"]
    changed = data(site, "mutation ($id: Int!) { updatePerson(where: { id: $id }, data: { age_increment: 2, big_multiply: \"2\" }) "
                   "{ age big } }", {"id": made})
    assert changed == {"updatePerson": {"age": 42, "big": "18014398509481986"}}
    changed = data(site, "mutation ($id: Int!, $d: PersonUpdateInput!) { updatePerson(where: { id: $id }, data: $d) { age } }",
                   {"id": made, "d": {"age_decrement": 2}})
    assert changed == {"updatePerson": {"age": 40}}
    answer = ask(site, "mutation ($id: Int!) { updatePerson(where: { id: $id }, data: { age: 1, age_increment: 2 }) { age } }",
                 {"id": made})
    assert "age" in answer.json["errors"][0]["message"] and not answer.json.get("data")


def test_who_may_not_introspect_is_told_of_no_such_field(site):
    answer = ask(site, "{ __schema { queryType { name } } }")
    assert answer.json["errors"][0]["message"] == 'Cannot query field "__schema" on type "Query".' and "data" not in answer.json
    assert data(site, "{ __typename stats { __typename } }") == {"__typename": "Query", "stats": {"__typename": "Stats"}}
    assert data(site, "{ __schema { queryType { name } } }", role="reader") == {"__schema": {"queryType": {"name": "Query"}}}


def test_a_role_without_queries_has_one_that_gives_null(site):
    assert data(site, "{ _ }", role="nobody") == {"_": None}
    assert "errors" in ask(site, "{ _ }").json


def test_clients_can_build_the_schema(site):
    folder = pathlib.Path(os.environ.get("WRIT_NODE_MODULES", harness.BUILD.parent / "js"))
    subprocess.run([JS / "install", folder], timeout=600, check=True)
    script = ("const g = require('graphql'); console.log(JSON.stringify([g.getIntrospectionQuery(), g.getIntrospectionQuery("
              "{ specifiedByUrl: true, directiveIsRepeatable: true, schemaDescription: true, inputValueDeprecation: true, oneOf: true })]))")
    queries = json.loads(subprocess.run(["node", "-e", script], cwd=folder, capture_output=True, text=True, check=True,
                                        timeout=60 * harness.PATIENCE).stdout)
    for query in queries:
        told = json.dumps(data(site, query, role="reader"))
        script = ("const g = require('graphql'); const s = g.buildClientSchema(JSON.parse(require('fs').readFileSync(0, 'utf8')));"
                  "g.assertValidSchema(s); console.log(g.printSchema(s))")
        text = subprocess.run(["node", "-e", script], cwd=folder, input=told, capture_output=True, text=True, check=True,
                              timeout=60 * harness.PATIENCE).stdout
        assert "stats: Stats!" in text and "sign_up" not in text and "type Person {" in text
