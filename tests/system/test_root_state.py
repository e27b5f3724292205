"""States of single fields of a GraphQL mutation (@state), and of single commands of a transactional set: each is followed by its own
UUID while the one transaction of all of them is open."""

import json
import os
import signal
import threading
import uuid

import pytest

import harness
import sse
from faulty import build_with_faults, faulty_site
from harness import Site, wait_until
from service import Service
from test_graphql import ask

TABLES = """
create table log (id bigint generated always as identity primary key, text text not null unique);
create table gate (open boolean);
grant select, insert, update, delete on log, gate to writ;
create schema app;
grant usage on schema app to writ;

create function app.say(name text, payload jsonb) returns text language plpgsql as $$
begin perform writ.dispatch(name, payload); return 'said'; end $$;
-- Tells of progress, waits for the gate, goes on; fails where it is told to.
create function app.work(name text, fails boolean) returns text language plpgsql as $$
begin
  perform writ.dispatch('PROGRESS_UPDATE', '{"value": 0.25}');
  perform writ.dispatch('BEGUN', to_jsonb(name));
  for i in 1..1500 loop
    exit when exists (select from gate);
    perform pg_sleep(0.02);
  end loop;
  perform writ.dispatch('DONE', to_jsonb(name));
  if fails then raise exception 'it was told to fail'; end if;
  return name;
end $$;
create function app.on_log() returns trigger language plpgsql as $$
begin perform writ.dispatch(tg_argv[0], to_jsonb(new.text)); return null; end $$;
create trigger told after insert on log for each row execute function app.on_log('LOGGED');
create constraint trigger deferred after insert on log deferrable initially deferred
  for each row when (new.text like 'late %') execute function app.on_log('DEFERRED');
create sequence app.tries;
grant usage on sequence app.tries to writ;
create function app.unlucky() returns int language plpgsql as $$
begin
  perform writ.dispatch('TRIED', null);
  if nextval('app.tries') < 3 then raise exception using errcode = '55P03', message = 'not now'; end if;
  return 1;
end $$;
"""

MODEL = """
type Note { id: Int! @id  text: String! @unique }
type Mutation {
  work(name: String!, fails: Boolean = false): Worked!
  say(name: String!, payload: Json): Said!
  add(text: String!): Line!
  upload(text: String!): Line! @state
  program(text: String!): Answered @state
  refuse: Boolean!
  unlucky: Tried!
}
type Query { one: One! }
type Worked { work: String! }
type Said { said: String! }
type Line { id: Int! }
type Answered { text: String }
type Tried { n: Int! }
type One { one: Int! }
"""

MANIFEST = """
specVersion: 1
schema: { file: ./schema.graphql }
state: { readers: [auditor] }
models: { Note: { create: { allow: [editor, other] }, query: { allow: [editor, reader] } } }
commands:
  work: { allow: [editor, other], sql: "select app.work(:name, :fails) as work", args: { name: text, fails: { type: boolean, default: false } },
          returns: one, title: Work hard }
  say: { allow: [editor], sql: "select app.say(:name, :payload) as said", args: { name: text, payload: { type: jsonb, default: null } }, returns: one }
  add: { allow: [editor], sql: "insert into log (text) values (:text) returning id", returns: one }
  upload: { allow: [editor], sql: "insert into log (text) values (:text) returning id", returns: one }
  refuse: { allow: [editor], check: "false", error: { code: NO, message: It does not want to. } }
  unlucky: { allow: [editor], sql: "select app.unlucky() as n", returns: one }
  one: { allow: [editor], sql: select 1 as one, returns: one }
  both: { allow: [editor], commands: [ { say: { name: FIRST } }, { say: { name: SECOND } } ] }
  program: { allow: [editor], http: { url: "SERVICE", timeout_ms: 20000 }, args: { text: text } }
"""


@pytest.fixture(scope="module")
def service():
    with Service() as service:
        yield service


@pytest.fixture(scope="module")
def text(service):
    return MANIFEST.replace("SERVICE", service.url("/program"))


def prepare(database):
    harness.create_tables(database, MODEL)
    database.execute(TABLES)


@pytest.fixture(scope="module")
def site(database, text):
    prepare(database)
    with Site(database, text, files={"schema.graphql": MODEL}, workers=4, inside_workers=2,
              background_runners=1, streams={"most": 20}) as site:
        yield site


@pytest.fixture(autouse=True)
def gate_closed(site, database):
    database.execute("truncate gate")


@pytest.fixture
def apart(postgres):
    """A database that the processes of `site` do not know."""
    database = harness.Database(postgres, f"root_state_{uuid.uuid4().hex[:8]}")
    prepare(database)
    yield database
    database.drop()


def new():
    return str(uuid.uuid4())


def read(site, mutation, role="editor", **options):
    return site.client.get(f"/mutation/{mutation}", headers={"Test-Role": role}, **options)


def state_of(site, mutation, **options):
    answer = read(site, mutation, **options)
    assert answer.status == 200, answer
    return answer.json


def names(state):
    return [event["name"] for event in state["events"]]


def seen(site, mutation, name):
    """The state, once an event of this name stands in it."""
    def look():
        answer = read(site, mutation)
        return answer.status == 200 and name in names(answer.json) and answer.json
    return wait_until(look, f"the event {name}", 20 * harness.PATIENCE)


def open_gate(database):
    database.execute("insert into gate values (true)")


class Running:
    """An operation sent in the background."""

    def __init__(self, site, query, variables=None, **options):
        self.answer = None
        self.thread = threading.Thread(target=self.send, args=(site, query, variables, options), daemon=True)
        self.thread.start()

    def send(self, site, query, variables, options):
        self.answer = ask(site, query, variables, **options)

    def end(self):
        self.thread.join(30 * harness.PATIENCE)
        return self.answer


def kept(database, *mutations):
    return database.one("select count(*) from writ.state where mutation = any (%s::uuid[])", [list(mutations)])


# ---- while it runs --------------------------------------------------------------------------------------------------


TWO = """mutation ($a: UUID!, $b: UUID!, $fails: Boolean) {
  one: work(name: "first") @state(id: $a) { work }
  two: work(name: "second", fails: $fails) @state(id: $b) { work }
  add(text: "beside") { id }
}"""


def test_two_fields_are_followed_while_their_transaction_is_open(site, database):
    a, b = new(), new()
    running = Running(site, TWO.replace('"beside"', f'"{a}"'), {"a": a, "b": b})
    state = seen(site, a, "BEGUN")
    assert (state["uuid"], state["status"], state["progress"]) == (a, "running", 0.25)
    assert state["steps"] == [{"id": "work", "title": "Work hard", "status": "processing", "current": 0.25}]
    other = state_of(site, b)
    assert (other["status"], other["progress"], names(other)) == ("running", 0, ["TRANSACTION_CREATED"])
    open_gate(database)
    answer = running.end()
    assert answer.json["data"]["two"] == {"work": "second"} and "extensions" not in answer.json
    for mutation, name in ((a, "first"), (b, "second")):
        state = state_of(site, mutation)
        assert (state["status"], state["progress"], state["result"]) == ("complete", 1, {"work": name})
        assert names(state) == ["TRANSACTION_CREATED", "PROGRESS_UPDATE", "BEGUN", "DONE", "TRANSACTION_COMPLETED", "MUTATION_COMPLETED"]
        assert [e["payload"] for e in state["events"] if e["name"] in ("BEGUN", "DONE")] == [name, name]  # and not LOGGED
    assert database.one("select count(*) from writ.state_mark where mutation = any (%s::uuid[])", [[a, b]]) == 0


def test_a_field_is_streamed(site, database):
    a, b = new(), new()
    running = Running(site, TWO.replace('"beside"', f'"{a}"'), {"a": a, "b": b})
    seen(site, a, "BEGUN")
    with sse.open(site.client, f"/mutation/{b}/events", role="editor") as stream:
        open_gate(database)
        told = []
        for event in stream.until("end"):
            told += [event.json["event"]["name"]] if "event" in event.json else []
    assert told[-4:] == ["BEGUN", "DONE", "TRANSACTION_COMPLETED", "MUTATION_COMPLETED"]
    assert running.end().status == 200


def test_an_error_of_one_ends_all(site, database):
    a, b = new(), new()
    running = Running(site, TWO.replace('"beside"', f'"{a}"'), {"a": a, "b": b, "fails": True})
    seen(site, a, "BEGUN")
    open_gate(database)
    error = running.end().json["errors"][0]
    assert error["path"] == ["two"] and error["extensions"]["code"] == "RAISED"
    for mutation in (a, b):
        state = state_of(site, mutation)
        assert (state["status"], state["steps"][0]["status"]) == ("error", "error") and "result" not in state
        assert names(state)[-3:] == ["DONE", "TRANSACTION_ERROR", "MUTATION_ERROR"]
        assert (state["error"]["code"], state["error"]["index"], state["error"]["detail"]) == ("RAISED", 1, "it was told to fail")
        assert state["steps"][0]["error"] == state["error"]
    assert database.one("select count(*) from log where text = %s", [a]) == 0


def test_events_go_to_their_field(site):
    """Of SQL, a trigger, what nests in a model's mutation; and to the operation what no field claims."""
    whole, a, b, c = new(), new(), new(), new()
    answer = ask(site, f"""mutation {{
      say(name: "PLAIN") {{ said }}
      a: add(text: "late {a}") @state(id: "{a.upper()}") {{ id }}
      more: say(name: "AGAIN") {{ said }}
      b: say(name: "MINE", payload: "[1]") @state(id: "{b}") {{ said }}
      createNote(data: {{ text: "{c}" }}) @state(id: "{c}") {{ text }}
    }}""", headers={"Mutation-Id": whole})
    assert answer.status == 200 and "errors" not in answer.json, answer
    mine = {mutation: [e["name"] for e in state_of(site, mutation)["events"] if not e["name"].startswith(("TRANSACTION_", "MUTATION_"))]
            for mutation in (whole, a, b, c)}
    assert mine == {whole: ["PLAIN", "AGAIN", "DEFERRED"], a: ["LOGGED"], b: ["MINE"], c: []}
    assert [event["payload"] for event in state_of(site, b)["events"] if event["name"] == "MINE"] == [[1]]
    assert state_of(site, c)["result"] == {"text": c} and state_of(site, c)["steps"][0]["id"] == "createNote"
    assert len(state_of(site, whole)["result"]) == 5 and state_of(site, whole)["result"][1] == {
        "command": "add", "as": "a", "result": state_of(site, a)["result"]}


def test_many_states_end_all_the_same(site, database):
    """More than the queue of events holds."""
    ids = [new() for _ in range(80)]
    fields = "".join(f'f{i}: say(name: "N{i}") @state(id: "{id}") {{ said }} ' for i, id in enumerate(ids))
    assert ask(site, f"mutation {{ {fields} }}").status == 200
    states = [state_of(site, id) for id in ids]
    assert {(s["status"], s["progress"], s["result"]["said"]) for s in states} == {("complete", 1, "said")}
    assert all(names(s).count("MUTATION_COMPLETED") == 1 for s in states)
    said = [name for i, s in enumerate(states) for name in names(s) if name == f"N{i}"]
    assert said and not [name for i, s in enumerate(states) for name in names(s) if name.startswith("N") and name != f"N{i}"]


def test_without_one_nothing_is_written(site, database):
    before = database.one("select count(*) from writ.state")
    assert ask(site, 'mutation { a: say(name: "X") { said } b: say(name: "Y") { said } }').status == 200
    skipped = ask(site, 'mutation { a: say(name: "X") @state @skip(if: true) { said } b: say(name: "Y") { said } }')
    assert skipped.json == {"data": {"b": {"said": "said"}}}
    assert database.one("select count(*) from writ.state") == before


# ---- alone, and with others -----------------------------------------------------------------------------------------


def test_a_field_alone(site):
    a = new()
    answer = ask(site, f'mutation {{ say(name: "X") @state(id: "{a}") {{ said }} }}')
    assert answer.json == {"data": {"say": {"said": "said"}}}
    state = state_of(site, a)
    assert (state["status"], state["result"], names(state)) == (
        "complete", {"said": "said"}, ["TRANSACTION_CREATED", "X", "TRANSACTION_COMPLETED", "MUTATION_COMPLETED"])


def test_a_field_alone_and_its_operation(site):
    a, whole = new(), new()
    answer = ask(site, f'mutation {{ say(name: "X") @state(id: "{a}") {{ said }} }}', headers={"Mutation-Id": whole})
    assert answer.json == {"data": {"say": {"said": "said"}}}
    assert "X" in names(state_of(site, a)) and state_of(site, a)["result"] == {"said": "said"}
    assert names(state_of(site, whole)) == ["TRANSACTION_CREATED", "TRANSACTION_COMPLETED", "MUTATION_COMPLETED"]


def test_writ_names_it(site):
    answer = ask(site, 'mutation { say(name: "X") @state { said } }')
    told = answer.json["extensions"]["mutations"]["say"]
    assert answer.json["data"] == {"say": {"said": "said"}} and told["state"] == f"/mutation/{told['mutation']}"
    assert uuid.UUID(told["mutation"]).version == 7 and state_of(site, told["mutation"])["result"] == {"said": "said"}
    b = new()
    answer = ask(site, f'mutation ($none: UUID) {{ a: say(name: "X") @state(id: $none) {{ said }} b: say(name: "Y") @state(id: "{b}") {{ said }} '
                 'c: say(name: "Z") { said } }')
    assert list(answer.json["extensions"]["mutations"]) == ["a"]
    assert "X" in names(state_of(site, answer.json["extensions"]["mutations"]["a"]["mutation"])) and "Y" in names(state_of(site, b))


def test_a_field_whose_definition_asks(site):
    answer = ask(site, f'mutation {{ upload(text: "{new()}") {{ id }} }}')
    told = answer.json["extensions"]["mutations"]["upload"]
    assert state_of(site, told["mutation"])["result"] == answer.json["data"]["upload"]
    a, whole = new(), new()
    answer = ask(site, f'mutation {{ x: upload(text: "{a}") @state(id: "{a}") {{ id }} y: upload(text: "y{a}") {{ id }} }}')
    assert list(answer.json["extensions"]["mutations"]) == ["y"] and state_of(site, a)["status"] == "complete"
    answer = ask(site, f'mutation {{ upload(text: "{whole}") {{ id }} }}', headers={"Mutation-Id": whole})
    assert "extensions" not in answer.json and "LOGGED" in names(state_of(site, whole))  # it has one
    assert "extensions" not in ask(site, f'mutation {{ upload(text: "{new()}") {{ id }} }}', headers={"Prefer": "tx=rollback"}).json


def test_the_schema_tells(site):
    printed = harness.writ("-c", site.writ.file, "schema", "print", "--role", "editor").stdout
    assert ") on FIELD | FIELD_DEFINITION" in printed and "upload(text: String!): Line! @state" in printed
    assert "@state" not in harness.writ("-c", site.writ.file, "schema", "print", "--role", "reader").stdout
    named = "{ __schema { directives { name locations args { name type { name } } } } }"
    told = {d["name"]: d for d in ask(site, named).json["data"]["__schema"]["directives"]}["state"]
    assert told == {"name": "state", "locations": ["FIELD", "FIELD_DEFINITION"], "args": [{"name": "id", "type": {"name": "UUID"}}]}
    assert "state" not in ask(site, named, role="reader").text


@pytest.mark.parametrize("was, sdl, message", [
    ("one: One!", "one: One! @state", "@state is for fields of type Mutation; remove it"),
    ("unlucky: Tried!", 'unlucky: Tried! @state(id: "a")', "@state: an id is given by who calls the field; remove it"),
    ("type One", "directive @state on FIELD_DEFINITION type One", "@state is writ's own; remove it, or take another name"),
])
def test_a_schema_that_misuses_it(text, was, sdl, message):
    folder = harness.workspace().folder("misuse")
    (folder / "schema.graphql").write_text(MODEL.replace(was, sdl))
    (folder / "manifest.yaml").write_text(text)
    (folder / "writ.yaml").write_text("manifest: ./manifest.yaml\ndatasources: { main: { conninfo: dbname=nothing } }\n")
    told = harness.writ("-c", folder / "writ.yaml", "schema", "print", check=False)
    assert told.returncode != 0 and message in told.stdout, told


def test_a_program(site, service):
    def answer(request):
        said = site.inside.command("dispatch_event", {"name": "FROM_PROGRAM", "payload": 1},
                                   headers={"Writ-Call": request.json["call"]})
        return {"result": {"text": str(said.status)}}
    service.at("/program", answer)
    a = new()
    assert ask(site, f'mutation {{ program(text: "x") @state(id: "{a}") {{ text }} }}').json == {"data": {"program": {"text": "200"}}}
    assert "FROM_PROGRAM" in names(state_of(site, a))
    both = ask(site, f'mutation {{ program(text: "x") @state(id: "{new()}") {{ text }} }}', headers={"Mutation-Id": new()})
    assert "one state" in both.json["errors"][0]["message"] and "data" not in both.json
    told = ask(site, 'mutation { program(text: "x") { text } }').json["extensions"]["mutations"]["program"]
    assert "FROM_PROGRAM" in names(state_of(site, told["mutation"]))


def test_a_program_that_runs_a_set(site, service):
    inner = new()

    def answer(request):
        body = {"commands": [{"command": "say", "mutation": inner, "args": {"name": "INNER"}}, {"command": "say", "args": {"name": "OUTER"}}]}
        said = site.inside.command("transactional_command_set", body, headers={"Writ-Call": request.json["call"]})
        return {"result": {"text": str(said.status)}}
    service.at("/program", answer)
    a = new()
    assert ask(site, f'mutation {{ program(text: "x") @state(id: "{a}") {{ text }} }}').json == {"data": {"program": {"text": "200"}}}
    assert names(state_of(site, a)) == ["TRANSACTION_CREATED", "OUTER", "TRANSACTION_COMPLETED", "MUTATION_COMPLETED"]
    assert "INNER" in names(site.inside.get(f"/mutation/{inner}").json)


def test_two_trips_more_however_many(site):
    def flights(query):
        mark = site.writ.log_mark()
        assert "errors" not in ask(site, query).json
        line, = wait_until(lambda: [line for line in site.writ.log_since(mark).splitlines() if "flights=" in line], "the log line")
        return int(line.split("flights=")[1].split()[0])
    fields = lambda n, state: "".join(f'f{i}: createNote(data: {{ text: "{new()}" }}) {state} {{ id }} ' for i in range(n))
    assert [flights(f"mutation {{ {fields(n, state)} }}") for n, state in ((20, ""), (1, "@state"), (2, "@state"), (20, "@state"))] == [
        1, 3, 3, 3]


# ---- when something dies --------------------------------------------------------------------------------------------


def expire(database, *mutations):
    database.execute("update writ.state set lease = now() - interval '1 s' where mutation = any (%s::uuid[])", [list(mutations)])


def test_the_states_of_a_killed_worker_end(apart, text):
    with Site(apart, text, files={"schema.graphql": MODEL}, workers=1, inside_workers=1) as site:
        a, b = new(), new()
        running = Running(site, TWO, {"a": a, "b": b})
        wait_until(lambda: "BEGUN" in str(apart.execute("select state from writ.state where mutation = %s", [a])), "the event")
        for pid in site.writ.workers():
            os.kill(pid, signal.SIGKILL)
        running.end()
        wait_until(lambda: site.inside.get("/readyz").status == 200, "workers")
        expire(apart, a, b)
        for mutation in (a, b):
            state = state_of(site, mutation)
            assert (state["status"], state["error"]["code"]) == ("error", "MUTATION_LOST")


@pytest.mark.skipif(not build_with_faults(), reason="needs a build with --enable-faults: WRIT_BUILD_FAULTS=FOLDER")
def test_a_worker_dies_between_commit_and_end(apart, text):
    with faulty_site(apart, text, files={"schema.graphql": MODEL}, workers=1) as site:
        a, b = new(), new()
        running = Running(site, TWO, {"a": a, "b": b})
        wait_until(lambda: "BEGUN" in str(apart.execute("select state from writ.state where mutation = %s", [a])), "the event")
        site.writ.die_at("after-commit")
        open_gate(apart)
        assert running.end().status == 502
        assert apart.execute("select status from writ.state where mutation = any (%s::uuid[])", [[a, b]]) == [("running",)] * 2
        expire(apart, a, b)
        for mutation in (a, b):
            state = wait_until(lambda: (answer := read(site, mutation)).status == 200 and answer.json, "a worker")
            assert (state["status"], state["progress"]) == ("complete", 1) and "result" not in state
            assert names(state)[-2:] == ["TRANSACTION_COMPLETED", "MUTATION_COMPLETED"]


# ---- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query, message, rule", [
    ('mutation { say(name: "X") { said @state } }', 'is for the root fields of a mutation, and "said" of type "Said" is none', "StateOnRootField"),
    ("{ one @state { one } }", 'is for the root fields of a mutation, and "one" of type "Query" is none', "StateOnRootField"),
    ("mutation { __typename @state }", "is for the root fields of a mutation", "StateOnRootField"),
    ('mutation @state { say(name: "X") { said } }', "may not be used on MUTATION", "KnownDirectives"),
    ('mutation { say(name: "X") @state(uuid: 1) { said } }', 'Unknown argument "uuid"', "KnownArgumentNames"),
    ('mutation { say(name: "X") @state @state { said } }', "can only be used once", "UniqueDirectivesPerLocation"),
    ('mutation { say(name: "X") @state(id: "x") { said } }', "It takes a string with a UUID", "ValuesOfCorrectType"),
    (f'mutation {{ a: say(name: "X") @state(id: "{"a" * 8}-{"a" * 4}-4aaa-8aaa-{"a" * 12}") {{ said }} '
     f'b: say(name: "X") @state(id: "{"A" * 8}-{"a" * 4}-4aaa-8aaa-{"a" * 12}") {{ said }} }}', "Two fields have the state", None),
    ('mutation { say(name: "X") @state { said } ...F } fragment F on Mutation { say(name: "X") @state { said } }', "twice", None),
])
def test_misuse_is_told(site, database, query, message, rule):
    before = database.one("select count(*) from writ.state")
    answer = ask(site, query, headers={"Accept": "application/graphql-response+json"})
    assert answer.status == 400 and "data" not in answer.json, answer
    error = answer.json["errors"][0]
    assert message in error["message"] and error["locations"] and error["extensions"].get("rule") == rule, answer
    assert database.one("select count(*) from writ.state") == before


def test_roles_without_mutations_do_not_see_it(site):
    assert 'Unknown directive "@state"' in ask(site, "{ notes @state { text } }", role="reader").json["errors"][0]["message"]


def test_a_uuid_is_used_once(site, database):
    a, text = new(), new()
    assert ask(site, f'mutation {{ say(name: "X") @state(id: "{a}") {{ said }} }}').status == 200
    query = f'mutation {{ add(text: "{text}") @state(id: "{new()}") {{ id }} again: say(name: "X") @state(id: "{a}") {{ said }} }}'
    answer = ask(site, query)
    error = answer.json["errors"][0]
    assert (error["extensions"]["code"], error["extensions"]["status"], error["path"]) == ("MUTATION_EXISTS", 409, ["again"])
    assert database.one("select count(*) from log where text = %s", [text]) == 0
    assert state_of(site, a)["status"] == "complete"
    answer = ask(site, f'mutation {{ say(name: "X") @state(id: "{a}") {{ said }} }}')
    assert (answer.json["errors"][0]["extensions"]["code"], answer.json["errors"][0]["path"]) == ("MUTATION_EXISTS", ["say"])
    same = ask(site, f'mutation {{ a: say(name: "X") @state(id: "{text}") {{ said }} b: refuse }}', headers={"Mutation-Id": text})
    assert "that of the operation" in same.json["errors"][0]["message"]


def test_a_dry_run_takes_none(site):
    answer = ask(site, 'mutation { a: say(name: "X") @state { said } b: say(name: "X") { said } }', headers={"Prefer": "tx=rollback"})
    assert "dry run" in answer.json["errors"][0]["message"] and "data" not in answer.json


def test_who_may_read_it(site):
    a, b = new(), new()
    query = f'mutation {{ a: say(name: "X") @state(id: "{a}") {{ said }} b: say(name: "X") @state(id: "{b}") {{ said }} }}'
    answer = site.client.post("/graphql", {"query": query}, role="editor", user="ada")
    assert answer.status == 200
    as_user = lambda role, user: site.client.get(f"/mutation/{b}", headers={"Test-Role": role, "Test-User": user}).status
    assert [as_user("editor", "ada"), as_user("editor", "bob"), as_user("other", "ada"), as_user("auditor", "eve")] == [200, 404, 404, 200]
    assert site.inside.get(f"/mutation/{a}").status == 200


# ---- with a key -----------------------------------------------------------------------------------------------------


def test_the_same_keyed_request_once_more_is_replayed(site, database):
    a, b, text = new(), new(), new()
    query = f'mutation {{ add(text: "{text}") @state(id: "{a}") {{ id }} say(name: "X") @state(id: "{b}") {{ said }} }}'
    headers = {"Idempotency-Key": new()}
    first, again = ask(site, query, headers=headers), ask(site, query, headers=headers)
    assert "errors" not in first.json and first.json == again.json and again.header("idempotent-replay") == "true"
    assert kept(database, a, b) == 2 and names(state_of(site, a)).count("MUTATION_COMPLETED") == 1
    other = ask(site, query, headers={"Idempotency-Key": new()})
    assert other.json["errors"][0]["extensions"]["code"] == "MUTATION_EXISTS"


def test_a_repeat_makes_no_second_state(site, database):
    query = f'mutation {{ upload(text: "{new()}") {{ id }} say(name: "X") @state {{ said }} }}'
    headers = {"Idempotency-Key": new()}
    first = ask(site, query, headers=headers)
    before = database.one("select count(*) from writ.state")
    again = ask(site, query, headers=headers)
    assert sorted(first.json["extensions"]["mutations"]) == ["say", "upload"] and "extensions" not in again.json
    assert again.json["data"] == first.json["data"] and again.header("idempotent-replay") == "true"
    assert database.one("select count(*) from writ.state") == before


# ---- as command sets ------------------------------------------------------------------------------------------------


def test_commands_of_a_set(site):
    a, b, whole = new(), new(), new()
    body = {"commands": [{"command": "say", "as": "s", "mutation": a, "args": {"name": "X"}}, {"command": "both", "mutation": b},
                         {"command": "say", "args": {"name": "Z"}}]}
    answer = site.client.command("transactional_command_set", body, role="editor", headers={"Mutation-Id": whole})
    assert answer.status == 200, answer
    assert [state_of(site, mutation)["result"] for mutation in (a, b)] == [r["result"] for r in answer.json["results"][:2]]
    assert [[n for n in names(state_of(site, m)) if "_" not in n] for m in (a, b, whole)] == [["X"], ["FIRST", "SECOND"], ["Z"]]
    answer = site.client.command("transactional_command_set", body, role="editor")
    assert (answer.status, answer.code, answer.json["index"], answer.json["path"]) == (409, "MUTATION_EXISTS", 0, "/commands/0")


@pytest.mark.parametrize("set_name, mutations, index", [
    ("transactional_command_set", ["x"], 0), ("transactional_command_set", [1], 0), ("execute_command_set", [new()], 0),
    ("transactional_command_set", ["00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000A"], 1),
])
def test_bad_sets_are_refused(site, set_name, mutations, index):
    body = {"commands": [{"command": "say", "mutation": mutation, "args": {"name": "X"}} for mutation in mutations]}
    answer = site.client.command(set_name, body, role="editor")
    assert (answer.status, answer.code, answer.json["index"]) == (400, "BAD_REQUEST", index) and "mutation" in answer.json["detail"]


def test_sets_that_cannot_have_them(site):
    a = new()
    body = {"commands": [{"command": "say", "mutation": a, "args": {"name": "X"}}]}
    send = lambda headers: site.client.command("transactional_command_set", body, role="editor", headers=headers)
    assert "dry run" in send({"Prefer": "tx=rollback"}).json["detail"]
    assert "UUID of its own" in send({"Mutation-Id": a.upper()}).json["detail"]
    inner = {"commands": [{"command": "transactional_command_set", "args": body}]}
    assert site.client.command("execute_command_set", inner, role="editor").code == "BAD_REQUEST"


# ---- behind the answer ----------------------------------------------------------------------------------------------


ASYNC = {"Prefer": "respond-async"}


def test_fields_in_the_background(site, database):
    a, b = new(), new()
    query = TWO.replace('"beside"', f'"{a}"')
    answer = ask(site, query, {"a": a, "b": b}, headers=ASYNC)
    assert answer.status == 202 and sorted(answer.json["extensions"]) == ["mutation", "state"]
    assert {state_of(site, m)["status"] for m in (a, b)} <= {"pending", "running"}  # from the 202 on
    state = seen(site, a, "BEGUN")
    assert (state["status"], state["progress"]) == ("running", 0.25) and state_of(site, b)["status"] == "pending"
    open_gate(database)
    for mutation, name in ((a, "first"), (b, "second")):
        state = seen(site, mutation, "MUTATION_COMPLETED")
        assert (state["status"], state["progress"], state["result"], state["steps"][0]["status"]) == (
            "complete", 1, {"work": name}, "finished")
        assert names(state) == ["PROGRESS_UPDATE", "BEGUN", "DONE", "TRANSACTION_COMPLETED", "MUTATION_COMPLETED"]
    whole = seen(site, answer.json["extensions"]["mutation"], "MUTATION_COMPLETED")
    assert "LOGGED" in names(whole) and "BEGUN" not in names(whole)


def test_ends_in_the_background_are_told_unasked(site, database):
    """Whoever reads the state would take them in, later."""
    a = new()
    assert ask(site, f'mutation {{ say(name: "X") {{ said }} b: say(name: "Y") @state(id: "{a}") {{ said }} }}', headers=ASYNC).status == 202
    wait_until(lambda: database.one("select status from writ.state where mutation = %s", [a]) == "complete", "the end", 20 * harness.PATIENCE)


def test_fields_in_the_background_that_fail(site, database):
    open_gate(database)
    a, b = new(), new()
    answer = ask(site, TWO.replace('"beside"', f'"{a}"'), {"a": a, "b": b, "fails": True}, headers=ASYNC)
    assert answer.status == 202
    for mutation in (a, b):
        state = seen(site, mutation, "MUTATION_ERROR")
        assert (state["status"], state["steps"][0]["status"], state["error"]["code"]) == ("error", "error", "RAISED")
        assert names(state)[-2:] == ["TRANSACTION_ERROR", "MUTATION_ERROR"]


def test_writ_names_them_in_the_202(site, database):
    text, headers = new(), {**ASYNC, "Idempotency-Key": new()}
    query = f'mutation {{ upload(text: "{text}") {{ id }} say(name: "X") @state {{ said }} }}'
    answer, again = ask(site, query, headers=headers), ask(site, query, headers=headers)
    told = answer.json["extensions"]["mutations"]
    assert answer.status == 202 and sorted(told) == ["say", "upload"]
    assert "LOGGED" in names(seen(site, told["upload"]["mutation"], "MUTATION_COMPLETED"))
    assert "X" in names(seen(site, told["say"]["mutation"], "MUTATION_COMPLETED"))
    assert "mutations" not in again.json.get("extensions", {})
    alone = ask(site, f'mutation {{ upload(text: "a{text}") {{ id }} }}', headers=ASYNC).json["extensions"]
    assert alone["mutations"]["upload"] == {"mutation": alone["mutation"], "state": alone["state"]}


def test_an_accepted_uuid_is_used_once(site, database):
    a = new()
    ask(site, f'mutation {{ say(name: "X") @state(id: "{a}") {{ said }} }}')
    query = f'mutation {{ say(name: "X") {{ said }} again: say(name: "X") @state(id: "{a}") {{ said }} }}'
    before = database.one("select count(*) from writ.mutation")
    error = ask(site, query, headers=ASYNC).json["errors"][0]
    assert (error["extensions"]["code"], error["path"]) == ("MUTATION_EXISTS", ["again"])
    assert database.one("select count(*) from writ.mutation") == before


def test_a_try_that_failed_is_another_attempt(site, database):
    a = new()
    ask(site, f'mutation {{ say(name: "X") {{ said }} unlucky @state(id: "{a}") {{ n }} }}', headers=ASYNC)
    state = seen(site, a, "MUTATION_COMPLETED")
    assert [e["attempt"] for e in state["events"] if e["name"] == "TRIED"] == [1, 2, 3]
    assert [e["attempt"] for e in state["events"] if e["name"] == "MUTATION_COMPLETED"] == [3]


def test_a_field_is_not_stopped_alone(site, database):
    a, b, who = new(), new(), {"Test-Role": "editor"}
    answer = ask(site, TWO.replace('"beside"', f'"{a}"'), {"a": a, "b": b}, headers=ASYNC)
    seen(site, a, "BEGUN")
    delete = lambda mutation: site.client.request("DELETE", f"/mutation/{mutation}", headers=list(who.items()))
    assert delete(a).code == "NOT_CANCELLABLE" and "as a whole" in delete(a).json["detail"]
    open_gate(database)
    seen(site, a, "MUTATION_COMPLETED")
    assert delete(a).code == "MUTATION_OVER" and answer.status == 202


def test_a_runner_is_killed(apart, text):
    with Site(apart, text, files={"schema.graphql": MODEL}, workers=2, background_runners=1, background={"lease_ms": 1000}) as site:
        a, b = new(), new()
        ask(site, TWO, {"a": a, "b": b}, headers=ASYNC)
        seen(site, a, "BEGUN")
        for pid in runners_of(site):
            os.kill(pid, signal.SIGKILL)
        open_gate(apart)
        for mutation, name in ((a, "first"), (b, "second")):
            state = seen(site, mutation, "MUTATION_COMPLETED")
            assert (state["status"], state["result"]) == ("complete", {"work": name})
            assert names(state).count("TRANSACTION_COMPLETED") == 1 and state["events"][-1]["attempt"] == 2


def runners_of(site):
    return [pid for pid in site.writ.workers() if "backgroun" in open(f"/proc/{pid}/comm").read()]


def test_all_are_stopped_together(apart, text):
    """Nobody runs it when it is stopped."""
    with Site(apart, text, files={"schema.graphql": MODEL}, workers=2, background_runners=0) as site:
        a, b = new(), new()
        whole = ask(site, TWO, {"a": a, "b": b}, headers=ASYNC).json["extensions"]["mutation"]
        assert state_of(site, a)["status"] == "pending"
        assert site.client.request("DELETE", f"/mutation/{whole}", headers=[("Test-Role", "editor")]).status == 202
    with Site(apart, text, files={"schema.graphql": MODEL}, workers=2, background_runners=1) as site:
        for mutation in (a, b, whole):
            assert names(seen(site, mutation, "MUTATION_CANCELLED")) == ["MUTATION_CANCELLED"]
            assert state_of(site, mutation)["status"] == "cancelled"


def test_a_dead_letter_and_its_retry(apart, text):
    with Site(apart, text, files={"schema.graphql": MODEL}, workers=2, background_runners=1, background={"attempts": 1}) as site:
        a = new()
        answer = ask(site, f'mutation {{ say(name: "X") {{ said }} unlucky @state(id: "{a}") {{ n }} }}', headers=ASYNC)
        whole = answer.json["extensions"]["mutation"]
        assert names(seen(site, a, "MUTATION_ERROR"))[-2:] == ["TRANSACTION_ERROR", "MUTATION_ERROR"]
        apart.execute("select setval('app.tries', 10)")
        told = harness.writ("-c", site.writ.file, "jobs", "retry", whole).stdout
        fresh = next(word for word in told.split() if len(word) == 36 and word != whole)
        assert seen(site, fresh, "MUTATION_COMPLETED")["status"] == "complete"
        assert state_of(site, a)["status"] == "error"  # what has ended has ended
