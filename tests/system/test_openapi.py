"""/openapi.json: what it says of commands is what they take and give, and programs that know OpenAPI find nothing wrong with it."""

import json
import os
import subprocess

import pytest

import harness
from service import Service

MODEL = """
enum Colour { RED GREEN }

type Author @db(name: "author") {
  id: ID! @id
  email: String! @unique
  age: Int
  big: BigInt
  price: Decimal
  weight: Float
  born: DateTime
  token: UUID
  data: Json
  active: Boolean
  tags: [String!]!
  colour: Colour
  books: [Book]
}

type Book {
  id: Int! @id
  title: String!
  author: Author!
}

type Line @id(fields: ["page", "no"]) {
  page: Int!
  no: Int!
  text: String
}
"""

SCHEMA = """
create type mood as enum ('calm', 'it''s "loud"');
create type place as (street text, no int);
create domain positive as numeric check (value > 0);
create domain label as varchar(20);
create table pet (id bigint generated always as identity primary key, name text not null unique, kind mood, version int not null default 1);
create table kinds (i2 smallint, i4 int, i8 bigint, o oid, n numeric(10, 2), f4 real, f8 double precision, p positive, b boolean, t text,
  c char(3), v varchar(9), l label, d date, ts timestamp, tz timestamptz, tm time, iv interval, u uuid, by bytea, j json, jb jsonb, ip inet,
  m mood, ia int[], ma mood[], pl place, pls place[], r int4range, bi bit, mo money, x xml, po point);
insert into kinds default values;
grant all on all tables in schema public to writ;
grant all on all sequences in schema public to writ;
"""

COLUMNS = ("i2 i4 i8 o n f4 f8 p b t c v l d ts tz tm iv u by j jb ip m ia ma pl pls r bi mo x po").split()

MANIFEST = f"""
specVersion: 1
schema: {{ file: ./schema.graphql }}
event_log: {{ readers: [editor] }}
models:
  Author: {{ create: {{ allow: [editor] }}, update: {{ allow: [editor] }}, upsert: {{ allow: [editor] }}, delete: {{ allow: [editor] }},
            updateMany: {{ allow: [editor] }}, deleteMany: {{ allow: [editor] }}, query: {{ allow: [editor, reader] }},
            fields: {{ active: {{ write: [chief] }} }} }}
  Book: {{ create: {{ allow: [editor] }}, update: {{ allow: [editor] }}, query: {{ allow: [editor] }} }}
  Line: {{ create: {{ allow: [editor] }}, update: {{ allow: [editor] }}, delete: {{ allow: [editor] }}, query: {{ allow: [editor] }} }}
commands:
  free_name:
    title: Is the name free?
    description: Nobody else has it.
    allow: [editor, reader]
    check: select not exists (select from pet where name = :name)
    error: {{ code: NAME_TAKEN, status: 409, message: That name is taken. }}
  add_pet:
    allow: [editor, anonymous]
    sql: insert into pet (name, kind) values (:name, :kind) returning id, name, kind
    args: {{ name: text, kind: {{ type: mood, default: calm }} }}
    returns: one
  adopt:
    allow: [editor]
    args: {{ name: {{}}, kind: {{}} }}
    commands:
      - free_name: {{ name: $args.name }}
      - add_pet: {{ name: $args.name, kind: $args.kind }}
        as: pet
    result: {{ pet: $pet, id: $pet.id, note: done, names: [$args.name] }}
  adopt_plainly:
    allow: [editor]
    args: {{ name: text }}
    commands:
      - add_pet: {{ name: $args.name }}
  rename:
    allow: [editor]
    sql: update pet set name = :name, version = version + 1 where id = :id returning id, version
    returns: optional
    version: {{ sql: "select version from pet where id = :id", required: true }}
  kinds:
    allow: [editor]
    sql: select * from kinds
  set_kinds:
    allow: [editor]
    sql: "update kinds set ({', '.join(COLUMNS)}) = row({', '.join(':' + name for name in COLUMNS)})"
  forget:
    allow: [editor]
    idempotency: required
    sql: delete from pet where id = :id
    returns: none
  ask:
    allow: [editor]
    args: {{ who: text, times: {{ type: int, default: 2 }}, what: {{}} }}
    http: "SERVICE/ask"
  gone:
    allow: [editor]
    check: select false
    error: {{ code: GONE, status: 410, message: It is gone. }}
  odd:
    allow: [editor]
    sql: select writ.fail('ODD', 'It is odd.', 418)
  secret: {{ sql: select 1 as one }}
"""

NAMES = {"free_name", "add_pet", "adopt", "adopt_plainly", "rename", "kinds", "set_kinds", "forget", "ask"}
OF_AUTHOR = {"createAuthor", "updateAuthor", "upsertAuthor", "deleteAuthor", "updateManyAuthors", "deleteManyAuthors", "author", "authors",
             "authorsConnection"}
SETS = {"transactional_command_set", "execute_command_set"}


@pytest.fixture(scope="module")
def site(database):
    harness.create_tables(database, MODEL)
    with Service() as service:
        service.at("/ask", lambda request: {"result": {"answer": 42}})
        with harness.Site(database, MANIFEST.replace("SERVICE", service.url("")), files={"schema.graphql": MODEL}, workers=4, inside_workers=2,
                          streams={"most": 10}, background_runners=1) as site:
            yield site


def document(site, role="editor", inside=False):
    answer = (site.inside if inside else site.client).get("/openapi.json", headers={"Test-Role": role} if role and not inside else ())
    assert answer.status == 200, answer
    assert answer.header("content-type") == "application/json"
    return answer.json


def commands(document):
    return {path.removeprefix("/command/") for path in document["paths"] if path.startswith("/command/")}


def operation(document, name):
    return document["paths"]["/command/" + name]["post"]


def body(document, name):
    return operation(document, name)["requestBody"]["content"]["application/json"]


def arguments(document, name):
    return body(document, name)["schema"]["properties"]


def result(document, name):
    content = operation(document, name)["responses"]["200"]["content"]
    return content["application/json"]["schema"]["properties"]["result"]


# ---- who sees what -------------------------------------------------------------------------------------------------------


def test_a_role_sees_what_it_may_call(site):
    assert commands(document(site, None)) == {"add_pet"} | SETS
    assert commands(document(site, "reader")) == {"free_name", "author", "authors", "authorsConnection"} | SETS
    editor = commands(document(site))
    assert NAMES | OF_AUTHOR | SETS <= editor and "secret" not in editor and "dispatch_event" not in editor
    assert {"secret", "dispatch_event", "deleteBook"} | editor <= commands(document(site, inside=True))


def test_nothing_of_what_a_role_may_not_call_is_told(site):
    text = json.dumps(document(site, "reader"))
    for word in ("CreateInput", "secret", "add_pet", "adopt"):
        assert word not in text, word
    assert "BookCreate" in json.dumps(document(site))


def test_who_may_call_nothing_has_no_sets(site):
    there = document(site, "nobody")
    assert not commands(there) and set(there["paths"]) == {"/mutation/{uuid}", "/mutation/{uuid}/events", "/graphql"}


def test_events_are_for_their_readers(site):
    assert "/events" in document(site)["paths"] and "/events" not in document(site, "reader")["paths"]
    assert "/events" in document(site, inside=True)["paths"]


# ---- what a command takes and gives --------------------------------------------------------------------------------------


def test_the_text_of_the_manifest(site):
    check = operation(document(site), "free_name")
    assert check["summary"] == "Is the name free?" and check["operationId"] == "free_name" and check["tags"] == ["Checks"]
    assert check["description"] == "Nobody else has it.\n\nRefused with 409 `NAME_TAKEN`: That name is taken."
    assert "NAME_TAKEN" in operation(document(site), "adopt")["description"]
    assert operation(document(site), "add_pet")["summary"] == "add_pet"


def test_kinds_are_told_apart(site):
    there = document(site)
    tags = {name: operation(there, name)["tags"] for name in commands(there)}
    assert [tags[name][0] for name in ("kinds", "free_name", "adopt", "ask", "authors", "execute_command_set")] == [
        "SQL commands", "Checks", "Composites", "Handlers", "Models", "Command sets"]
    assert {tag["name"] for tag in there["tags"]} == {tag for item in there["paths"].values() for verb in item.values()
                                                     if isinstance(verb, dict) for tag in verb["tags"]}


def test_arguments_that_must_be_given(site):
    there = document(site)
    assert body(there, "add_pet")["schema"]["required"] == ["name"]
    assert arguments(there, "add_pet")["kind"] == {
        "type": ["string", "null"], "enum": ["calm", "it's \"loud\"", None], "description": "mood", "default": "calm"}
    assert body(there, "add_pet")["example"] == {"name": "text", "kind": "calm"}
    assert operation(there, "add_pet")["requestBody"]["required"] is True
    assert operation(there, "kinds")["requestBody"]["required"] is False
    assert body(there, "kinds")["schema"] == {"type": "object", "additionalProperties": False, "properties": {}}


def test_types_of_parameters(site):
    types = {name: schema.get("type", [None])[0] for name, schema in arguments(document(site), "set_kinds").items()}
    assert types == {
        **dict.fromkeys(("i2", "i4", "i8", "o"), "integer"), **dict.fromkeys(("n", "f4", "f8", "p", "mo"), "number"), "b": "boolean",
        **dict.fromkeys("t c v l d ts tz tm iv u by ip m r bi x po".split(), "string"), "j": None, "jb": None,
        **dict.fromkeys(("ia", "ma", "pls"), "array"), "pl": "object"}
    there = arguments(document(site), "set_kinds")
    assert there["i4"]["format"] == "int32" and there["i8"]["format"] == "int64" and there["tz"]["format"] == "date-time"
    assert there["ia"]["items"]["type"] == ["integer", "null"]
    assert there["pl"]["properties"]["no"]["type"] == ["integer", "null"]
    assert "format" not in there["ts"] and there["u"]["format"] == "uuid"


def test_types_of_columns_are_what_is_answered(site):
    """The document's word for each column, held against a row of all types."""
    site.database.execute("delete from kinds; insert into kinds default values")
    example = body(document(site), "set_kinds")["example"]
    assert site.client.command("set_kinds", example, role="editor").result == 1
    row = site.client.command("kinds", role="editor").result[0]
    schema = result(document(site), "kinds")["items"]
    assert schema["required"] == COLUMNS == list(row)
    words = {str: "string", int: "integer", float: "number", bool: "boolean", list: "array", dict: "object"}
    for name, value in row.items():
        types = schema["properties"][name].get("type")
        assert types is None or words[type(value)] in types, (name, value, types)
    assert schema["properties"]["n"]["type"] == ["number", "string", "null"]  # NaN
    assert schema["properties"]["o"]["type"] == schema["properties"]["mo"]["type"] == ["string", "null"]


def test_results(site):
    there = document(site)
    assert result(there, "free_name") == {"const": True}
    assert result(there, "kinds")["type"] == "array" and result(there, "add_pet")["type"] == "object"
    assert result(there, "rename")["type"] == ["object", "null"]
    assert result(there, "set_kinds")["type"] == "integer" and result(there, "forget") == {"type": "null"} and result(there, "ask") == {}
    adopted = result(there, "adopt")["properties"]
    assert adopted["pet"] == result(there, "add_pet") and adopted["id"]["format"] == "int64"
    assert result(there, "adopt_plainly") == result(there, "add_pet")


def test_composites_and_handlers_have_types(site):
    there = document(site)
    assert arguments(there, "adopt")["kind"]["enum"][0] == "calm"  # its member's
    assert arguments(there, "ask")["times"]["type"] == ["integer", "null"] and arguments(there, "ask")["times"]["default"] == 2
    assert arguments(there, "ask")["what"] == {}
    assert "502" in operation(there, "ask")["responses"] and "502" not in operation(there, "kinds")["responses"]


def test_header_fields(site):
    there = document(site)

    def names(name):
        return [parameter["$ref"].rsplit("/", 1)[1] for parameter in operation(there, name)["parameters"]]

    assert "If-Match" in names("rename") and "If-Match" not in names("kinds")
    assert "412" in operation(there, "rename")["responses"] and "412" not in operation(there, "kinds")["responses"]
    assert "Idempotency-Key-needed" in names("forget") and "Idempotency-Key" in names("kinds")
    assert there["components"]["parameters"]["Idempotency-Key-needed"]["required"] is True
    assert "Retry-After" in there["components"]["responses"]["503-Unavailable"]["headers"]


def test_inputs_of_models_are_those_of_command(site):
    schemas = document(site)["components"]["schemas"]
    update = schemas["AuthorUpdateInput"]["properties"]
    assert "age_increment" not in update and set(update["age"]["anyOf"][1]["properties"]) == {
        "set", "increment", "decrement", "multiply", "divide"}
    create = schemas["AuthorCreateInput"]
    assert create["required"] == ["email"] and create["additionalProperties"] is False
    assert create["properties"]["big"] == {"type": ["integer", "null"], "format": "int64"}
    assert schemas["Colour"] == {"type": "string", "enum": ["RED", "GREEN"]}
    assert arguments(document(site), "authors")["select"] == {"$ref": "#/components/schemas/writ.Select"}
    made = site.client.command("createAuthor", {"data": {"email": "a@b", "age": 1}, "select": {"id": True}}, role="editor").result
    changed = site.client.command("updateAuthor", {"where": made, "data": {"age": {"increment": 2}}, "select": "{ age }"}, role="editor")
    assert changed.result == {"age": 3}


def test_fields_that_a_role_may_not_write(site):
    for inside in (False, True):
        schemas = document(site, inside=inside)["components"]["schemas"]
        assert [("active" in schemas[name]["properties"]) for name in ("AuthorCreateInput", "AuthorUpdateInput", "Author")] == [
            inside, inside, True]


def test_streams(site):
    stream = document(site)["paths"]["/mutation/{uuid}/events"]["get"]
    assert list(stream["responses"]["200"]["content"]) == ["text/event-stream"]
    assert "text/event-stream" in document(site)["paths"]["/events"]["get"]["responses"]["200"]["content"]


def test_sets(site):
    there = document(site, "reader")
    names = there["components"]["schemas"]["writ.Command"]["enum"]
    assert set(names) == {"free_name", "author", "authors", "authorsConnection"}
    assert "isolation" in arguments(there, "transactional_command_set") and "isolation" not in arguments(there, "execute_command_set")


# ---- examples ------------------------------------------------------------------------------------------------------------


def test_every_example_is_taken(site):
    """Some find nothing, or clash with others; but none has an argument that is wrong."""
    there = document(site, inside=True)
    tried = 0
    for name in sorted(commands(there)):
        answer = site.inside.command(name, body(there, name)["example"], headers={"Idempotency-Key": f"example-{name}"})
        assert answer.status in {200, 404, 409, 410, 412, 418}, (name, answer)
        tried += 1
    assert tried >= 35


# ---- programs that know OpenAPI ------------------------------------------------------------------------------------------


def node(*arguments, **options):
    modules = os.path.join(harness.node_modules(), "node_modules")
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    return subprocess.run(["node", *(argument.replace("MODULES", modules) for argument in arguments)], text=True, capture_output=True,
                          timeout=120, env={**os.environ, **quiet}, stdin=subprocess.DEVNULL, **options)


LINT = "MODULES/@redocly/cli/bin/cli.js", "lint", "--extends=recommended", "--format=json"
VALIDATE = """
import { Validator } from "MODULES/@seriousme/openapi-schema-validator/index.js";
const validator = new Validator();
const found = await validator.validate(process.argv[1]);
console.log(JSON.stringify({ ...found, version: validator.version }));
"""


def lint(file):
    done = node(*LINT, str(file))
    return json.loads(done.stdout[done.stdout.index("{"):])


@pytest.mark.parametrize("role", [None, "reader", "editor", "nobody", "inside"])
def test_linted_clean_and_valid(site, tmp_path, role):
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(document(site, role, inside=role == "inside")))
    found = lint(file)
    assert found["totals"] == {"errors": 0, "warnings": 0, "ignored": 0}, found["problems"][:5]
    done = node("--input-type=module", "-e", VALIDATE, str(file))
    assert json.loads(done.stdout) == {"valid": True, "version": "3.1"}, done


def test_the_linter_looks(site, tmp_path):
    """An example that does not fit, a reference to nothing."""
    there = document(site)
    body(there, "add_pet")["example"] = {"name": 7}
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(there))
    assert {problem["ruleId"] for problem in lint(file)["problems"]} == {"no-invalid-media-type-examples"}
    arguments(there, "authors")["select"] = {"$ref": "#/components/schemas/nothing"}
    file.write_text(json.dumps(there))
    assert lint(file)["totals"]["errors"] >= 1


@pytest.mark.parametrize("name", ["create_user", "demo", "ledger"])
def test_documents_of_the_examples(postgres, tmp_path, name):
    example = harness.SOURCE / "examples" / name
    database = harness.Database(postgres, f"openapi_{name}")
    database.execute((example / "schema.sql").read_text())
    files = {"schema.graphql": (example / "schema.graphql").read_text()} if (example / "schema.graphql").exists() else {}
    nowhere = {"USERS_URL": "http://127.0.0.1:1", "VERIFICATION_URL": "http://127.0.0.1:1", "WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    with harness.Site(database, (example / "manifest.yaml").read_text(), files=files, environment=nowhere) as site:
        there = document(site, inside=True)
        assert len(commands(there)) > 3
        file = tmp_path / "openapi.json"
        file.write_text(json.dumps(there))
        found = lint(file)
        assert found["totals"]["errors"] == found["totals"]["warnings"] == 0, found["problems"][:5]


# ---- HTTP ----------------------------------------------------------------------------------------------------------------


def test_etag(site):
    answer = site.client.get("/openapi.json", headers={"Test-Role": "editor"})
    tag = answer.header("etag")
    assert answer.header("cache-control") == "private, no-cache" and len(tag) == 66
    again = site.client.get("/openapi.json", headers={"Test-Role": "editor", "If-None-Match": tag})
    assert again.status == 304 and again.body == b"" and again.header("etag") == tag
    assert site.client.get("/openapi.json", headers={"Test-Role": "reader", "If-None-Match": tag}).status == 200
    head = site.client.request("HEAD", "/openapi.json", headers={"Test-Role": "editor"})
    assert head.status == 200 and head.header("etag") == tag and head.body == b""


# ---- what is asked and answered ------------------------------------------------------------------------------------------


class Recorder:
    """A client that keeps what it has asked and was answered, for tests/js/fits.mjs."""

    def __init__(self, client, role):
        self.client, self.role, self.exchanges = client, role, []

    def ask(self, method, path, body=None, **headers):
        sent = {name.lower().replace("_", "-"): value for name, value in headers.items()}
        about = {"Test-Role": self.role} if self.role else {}
        answer = self.client.request(method, path, body, {**sent, **about})
        text = answer.body.decode()
        self.exchanges.append({
            "method": method, "path": path.partition("?")[0], "sent": {name: value for name, value in sent.items() if name not in ("accept", "content-type")},
            "status": answer.status, "headers": {name.lower(): value for name, value in answer.headers},
            **({} if body is None else {"asked": body}),
            **({} if not text else {"body": answer.json if "json" in (answer.header("content-type") or "") else text})})
        return answer

    def command(self, name, args=None, **headers):
        return self.ask("POST", f"/command/{name}", {} if args is None else args, **headers)

    def graphql(self, query, variables=None, accept="application/graphql-response+json", **headers):
        return self.ask("POST", "/graphql", {"query": query, **({"variables": variables} if variables else {})}, accept=accept, **headers)

    def misfits(self, document, folder):
        for name, value in (("document", document), ("exchanges", self.exchanges)):
            (folder / f"{name}.json").write_text(json.dumps(value))
        done = subprocess.run(["node", harness.SOURCE / "tests/js/fits.mjs", folder / "document.json", folder / "exchanges.json"], text=True,
                              capture_output=True, timeout=120 * harness.PATIENCE, env={**os.environ, "WRIT_NODE_MODULES": harness.node_modules()})
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def ask_commands(r):
    r.command("add_pet", {"name": "Rex", "kind": None}, traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", X_Request_Id="7")
    r.command("add_pet", {"name": "Kit"}, Idempotency_Key="kit"), r.command("add_pet", {"name": "Kit"}, Idempotency_Key="kit")
    r.command("add_pet", {"name": "Kit"}, Idempotency_Key="other")
    r.command("add_pet", {"name": "Tom"}, Prefer="tx=rollback")
    r.command("add_pet", {"name": 7}), r.command("add_pet", {"nom": "Rex"}), r.command("add_pet", {"name": "x"}, Mutation_Id="none")
    r.ask("POST", "/command/add_pet", "{}", content_type="text/plain"), r.command("add_pet", {"name": "x"}, accept="text/html")
    r.command("add_pet", {"name": "x" * 2**20})
    for name in ("kinds", "free_name", "gone", "odd", "ask", "adopt", "adopt_plainly"):
        r.command(name, {"kinds": {}, "gone": {}, "odd": {}, "ask": {"who": "me", "what": [1]}}.get(name, {"name": f"by {name}"} | (
            {"kind": "calm"} if name == "adopt" else {})))
    r.command("adopt", {"name": "Rex", "kind": None}), r.command("ask", {"who": "me", "what": 1}, Prefer="tx=rollback")
    r.command("rename", {"id": 1, "name": "Max", "version": 1}), r.command("rename", {"id": 1, "name": "Max"}, If_Match='"1"')
    r.command("forget", {"id": 0}), r.command("forget", {"id": 1}, Idempotency_Key="forget")


def ask_models(r):
    made = r.command("createAuthor", {"data": {"email": "a@example.org", "age": 3, "big": 2**40, "price": 1.5, "born": "2026-01-31T12:00:00Z", "colour": "RED",
                                               "data": {"a": [None]}, "tags": {"set": ["a", "b"]}, "books": {"create": [{"title": "One"}, {"title": "Two"}]}},
                                      "select": "{ id email age big price weight born token data active tags colour books(first: 1) { id title author { id } } }"})
    where = {"id": made.json["result"]["id"]}
    r.command("updateAuthor", {"where": where, "data": {"age": {"increment": 2}, "tags": {"push": ["c"]}, "books": {
        "update": [{"where": {"id": 1}, "data": {"title": "None"}}], "create": [{"title": "Three"}]}}})
    r.command("upsertAuthor", {"where": {"email": "b@example.org"}, "create": {"email": "b@example.org"}, "update": {"weight": {"multiply": 2}}})
    r.command("author", {"where": {"email": "nobody"}}), r.command("author", {"where": where, "select": {"id": True, "books": True}})
    r.command("authors", {"where": {"OR": [{"age_gt": 1}, {"books_some": {"title": "One"}}]}, "orderBy": "email_DESC", "first": 1})
    r.command("authorsConnection", {"first": 1, "select": "{ edges { cursor node { id } } pageInfo { hasNextPage endCursor } aggregate { count } }"})
    r.command("createLine", {"data": {"page": 1, "no": 2, "text": "x"}}), r.command("createLine", {"data": {"page": 1, "no": 2}})
    r.command("line", {"where": {"page_no": {"page": 1, "no": 2}}})
    r.command("linesConnection", {"select": "{ edges { cursor node { page } } }"})
    r.command("createAuthor", {"data": {"email": "a@example.org"}}), r.command("createAuthor", {"data": {"email": None}})
    r.command("deleteAuthor", {"where": {"id": "none"}}), r.command("updateManyAuthors", {"data": {"colour": None}, "where": {"colour": "RED"}})
    r.command("deleteManyAuthors", {"where": {"age": None}})


def ask_sets(r):
    r.command("transactional_command_set", {"isolation": "serializable", "commands": [
        {"command": "add_pet", "as": "pet", "args": {"name": "Bo"}}, {"command": "rename", "args": {"id": {"$ref": "pet.id"}, "name": "Bob", "version": 1}}]})
    r.command("execute_command_set", {"commands": [
        {"command": "kinds"}, {"command": "transactional_command_set", "as": "both", "args": {"commands": [{"command": "add_pet", "args": {"name": "Al"}}]}},
        {"command": "rename", "args": {"id": {"$ref": "both.0.id"}, "name": "Ali", "version": 1}}]})
    r.command("execute_command_set", {"commands": [{"command": "kinds"}], "on_error": [],
                                      "on_complete": [{"command": "kinds"}, {"command": "transactional_command_set", "args": {"commands": []}}]})
    r.command("execute_command_set", {"commands": []}), r.command("transactional_command_set", {"commands": [{"command": "ask"}]})


def ask_mutations(r):
    for answer in (r.command("add_pet", {"name": "late"}, Prefer="respond-async"), r.graphql("mutation { createLine(data: {page: 9, no: 9}) { no } }", Prefer="respond-async")):
        state = answer.header("location")
        harness.wait_until(lambda: r.client.get(state, {"Test-Role": r.role}).json["status"] == "complete", "its end")
        tag = r.ask("GET", state).header("etag")
        r.ask("GET", state, If_None_Match=tag), r.ask("DELETE", state)
    uuid = "5f0c7b9e-0c5e-4d0c-9a4e-5f6071829304"
    r.command("execute_command_set", {"commands": [{"command": "kinds", "as": "all"}, {"command": "gone"}]}, Mutation_Id=uuid)
    r.ask("GET", f"/mutation/{uuid}"), r.ask("GET", "/mutation/00000000-0000-0000-0000-000000000000"), r.ask("DELETE", f"/mutation/{uuid}")
    r.graphql("mutation { createLine(data: {page: 8, no: 8}) { no } }", Mutation_Id="5f0c7b9e-0c5e-4d0c-9a4e-5f6071829305", X_Request_Id="8",
              traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


def ask_graphql(r):
    for accept in ("application/json", "application/graphql-response+json"):
        r.graphql("{ authors { email books { title } } }", accept=accept), r.graphql("{ nothing }", accept=accept), r.graphql("{", accept=accept)
        r.graphql("mutation ($e: String!) { createAuthor(data: {email: $e}) { id } }", {"e": "a@example.org"}, accept=accept)
        r.ask("POST", "/graphql", {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}}, accept=accept)
        r.ask("GET", "/graphql?query=%7B__typename%7D", accept=accept), r.ask("GET", "/graphql?query=mutation%7Bx%7D", accept=accept)
    r.graphql("mutation { createLine(data: {page: 7, no: 7}) { no } }", Prefer="tx=rollback")
    for _ in range(2):
        r.graphql("mutation { createLine(data: {page: 7, no: 7}) { no } }", Idempotency_Key="line")
    r.graphql("{ authors { email } }", accept="text/html"), r.ask("POST", "/graphql", "{}", content_type="text/plain"), r.ask("POST", "/graphql", [])


def ask_events(r):
    r.ask("GET", "/events?after=0&limit=1"), r.ask("GET", "/events?after=x"), r.ask("GET", "/events", accept="image/png")


def test_what_is_answered_fits_the_document(site, tmp_path):
    r = Recorder(site.client, "editor")
    site.database.execute("delete from pet; alter table pet alter id restart; alter table \"Book\" alter id restart; delete from \"Book\"; delete from author; delete from \"Line\"")
    for ask in (ask_commands, ask_models, ask_sets, ask_mutations, ask_graphql, ask_events):
        ask(r)
    assert r.misfits(document(site), tmp_path) == []
    assert {200, 202, 304, 400, 404, 406, 409, 410, 412, 413, 415, 418, 501} <= {exchange["status"] for exchange in r.exchanges}


def test_methods_and_media(site):
    assert site.client.post("/openapi.json", {}).code == "METHOD_NOT_ALLOWED"
    assert site.client.get("/openapi.json", headers={"Accept": "text/html"}).code == "NOT_ACCEPTABLE"


PREFIXED = harness.SITE.replace("location / {\n", "location /api/v1/ {\n      set $writ_prefix /api/v1;\n", 1)


def test_the_prefix_is_the_server(database):
    with harness.Site(database, "specVersion: 1\ncommands: { one: { allow: [anonymous], sql: select 1 as one } }", http=PREFIXED) as site:
        there = site.client.get("/api/v1/openapi.json").json
        assert there["servers"] == [{"url": "/api/v1"}]
        assert set(there["paths"]) == {"/command/one", "/mutation/{uuid}"} | {"/command/" + name for name in SETS}


def test_the_manifest_gives_a_title(database):
    manifest = "specVersion: 1\nopenapi: { %s }\ncommands: { one: { allow: [anonymous], sql: select 1 as one } }"
    with harness.Site(database, manifest % 'title: "Pet \\"shop\\"", version: "2.1", description: Pets.') as site:
        info = site.client.get("/openapi.json").json["info"]
        assert (info["title"], info["version"], info["description"]) == ('Pet "shop"', "2.1", "Pets.")
    with harness.Site(database, manifest % "") as site:
        info = site.client.get("/openapi.json").json["info"]
        assert (info["title"], info["version"]) == ("Commands", "1") and "PostgreSQL" in info["description"]


def test_without_the_database(postgres):
    with harness.Postgres() as server:
        database = harness.Database(server, "away")
        with harness.Site(database, "specVersion: 1\ncommands: { one: { allow: [anonymous], sql: select 1 as one } }") as site:
            assert site.client.get("/openapi.json").status == 200
            server.stop()
            answer = site.client.get("/openapi.json")
            assert answer.status == 503 and answer.code == "DATABASE_UNAVAILABLE" and answer.header("retry-after")


def test_the_tool_prints_the_same(site):
    config = site.writ.file
    assert json.loads(harness.writ("-c", config, "openapi", "--role", "reader").stdout) == document(site, "reader")
    assert json.loads(harness.writ("-c", config, "openapi").stdout) == document(site, inside=True)
