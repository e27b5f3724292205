"""The state of a mutation: made and read, what is dispatched while its transaction is open, extended by the manifest."""

import fcntl
import json
import os
import select
import signal
import struct
import subprocess
import termios
import threading
import time
import uuid

import pytest

import harness
from faulty import build_with_faults, faulty_site
from harness import Site, wait_until
from service import Service

SCHEMA = """
create table log (id bigint generated always as identity primary key, text text not null unique);
create table gate (open boolean);
create table counter (id int primary key, n int not null default 0);
insert into counter values (1), (2);
grant select, insert, update on log, gate, counter to writ;
create role state_caller;
grant state_caller to writ;
grant select, insert, update on log, gate, counter to state_caller;
create schema app;
grant usage on schema app to writ, state_caller;

-- Tells of progress, waits for the gate, goes on; fails where it is told to.
create function app.work(fails boolean) returns text language plpgsql as $$
begin
  insert into log (text) values ('in work');
  perform writ.dispatch('PROGRESS_UPDATE', '{"value": 0.25}');
  perform writ.dispatch('FILE_STORED', '{"name": "a", "bytes": 10}');
  for i in 1..1500 loop
    exit when exists (select from gate);
    perform pg_sleep(0.02);
  end loop;
  perform writ.dispatch('FILE_STORED', '{"name": "b", "bytes": 5}');
  delete from log where text = 'in work';
  if fails then raise exception 'it was told to fail'; end if;
  return 'done';
end $$;
create function app.flood(n int, bytes int) returns int language plpgsql as $$
begin
  for i in 1..n loop perform writ.dispatch('FLOOD', to_jsonb(repeat('x', bytes) || i)); end loop;
  return n;
end $$;
-- As many events as may come at once, as fast as they are written, and more that have to wait for their time.
create function app.burst(n int) returns int language plpgsql security definer as $$
begin
  for i in 1..n loop
    perform writ.dispatch('B', to_jsonb(i));
    for j in 1..1500 loop
      exit when i % 20 > 0 or i > 200 or exists (select from writ.state where mutation = current_setting('writ.mutation')::uuid and version > i);
      perform pg_sleep(0.02);
    end loop;
  end loop;
  for i in 1..1500 loop
    exit when exists (select from gate);
    perform pg_sleep(0.02);
  end loop;
  return n;
end $$;
create function app.say(name text, payload jsonb) returns text language plpgsql as $$
begin
  perform writ.dispatch(name, payload);
  return 'said';
end $$;
-- Fails with a serialization failure of the server's own where another transaction comes between.
create function app.stored(state jsonb, payload jsonb) returns jsonb language sql stable as $$
  select jsonb_build_object('files', coalesce(state -> 'files', '[]') || (payload -> 'name'),
                            'bytes', coalesce((state ->> 'bytes')::int, 0) + (payload ->> 'bytes')::int, 'status', 'hijacked', 'steps', 1)
$$;
create function app.broken(state jsonb, payload jsonb) returns jsonb language plpgsql stable as $$
begin raise exception 'this reducer is broken'; end $$;
create function app.last(state jsonb, event jsonb) returns jsonb language sql stable as $$
  select jsonb_build_object('last', event ->> 'name') $$;
create function app.listed(state jsonb, payload jsonb) returns jsonb language sql immutable as $$ select '[1]'::jsonb $$;
create function app.begun(mutation uuid) returns jsonb language sql stable as $$
  select jsonb_build_object('of', mutation, 'bytes', 0, 'status', 'hijacked') $$;
create function app.bad_return(state jsonb, payload jsonb) returns text language sql stable as $$ select '' $$;
create function app.writes(state jsonb, payload jsonb) returns jsonb language sql volatile as $$ select '{}'::jsonb $$;
grant delete on log, gate to writ, state_caller;
"""

STATE = """
state:
  readers: [auditor]
  initial: { function: app.begun }
  reducers: { FILE_STORED: app.stored, BROKEN: app.broken, LISTED: app.listed }
  catch_all: app.last
  payloads:
    FILE_STORED: { type: object, required: [name, bytes], properties: { bytes: { type: integer, minimum: 0 } } }
"""

COMMANDS = """
commands:
  work: { allow: [anonymous, member, other], title: Work hard, description: It takes its time., sql: "select app.work(:fails) as work",
          args: { fails: { type: boolean, default: false } }, returns: one }
  one: { allow: [anonymous, member], sql: select 1 as one, returns: one }
  add: { allow: [anonymous, member], title: Add a line, sql: "insert into log (text) values (:text) returning id", returns: one }
  refuse: { allow: [anonymous, member], check: "false", error: { code: NO, message: It does not want to. } }
  flood: { allow: [anonymous], sql: "select app.flood(:n, :bytes) as n", args: { n: int, bytes: int }, returns: one }
  burst: { allow: [anonymous], sql: "select app.burst(:n) as n", args: { n: int }, returns: one }
  say: { allow: [anonymous], sql: "select app.say(:name, :payload) as said", args: { name: text, payload: jsonb }, returns: one }
  count: { allow: [anonymous], commands: [ { bump: {} } ], isolation: serializable }
  bump: { sql: "update counter set n = n + 1 where id = 1 and app.say('BUMPED', to_jsonb(n)) = 'said' and pg_sleep(1.5) is not null returning n", returns: one }
  told: { allow: [anonymous], commands: [ { dispatch_event: { name: TOLD, payload: { a: 1.50 } } }, { one: {} } ] }
"""


def manifest(more="", state=STATE):
    return "specVersion: 1" + state + COMMANDS + more


@pytest.fixture(scope="module")
def service():
    with Service() as service:
        yield service


@pytest.fixture(scope="module")
def site(database, service):
    more = f"""
  handled: {{ allow: [anonymous, member], http: {{ url: "{service.url('/handled')}", timeout_ms: 20000 }} }}
"""
    with Site(database, manifest(more), workers=4, inside_workers=2) as site:
        yield site


@pytest.fixture(autouse=True)
def gate_closed(database):
    database.execute("truncate gate")


def new():
    return str(uuid.uuid4())


def state_of(site, mutation, **options):
    answer = site.client.get(f"/mutation/{mutation}", **options)
    assert answer.status == 200, answer
    return answer.json


def names(state):
    return [event["name"] for event in state["events"]]


class Running:
    """A command sent in the background."""

    def __init__(self, site, name, args=None, **options):
        self.answer, self.mutation = None, new()
        options.setdefault("headers", {})["Mutation-Id"] = self.mutation
        self.thread = threading.Thread(target=self.send, args=(site, name, args, options), daemon=True)
        self.thread.start()

    def send(self, site, name, args, options):
        self.answer = site.client.command(name, args, **options)

    def end(self):
        self.thread.join(30 * harness.PATIENCE)
        return self.answer


def seen(site, mutation, name, **options):
    """The state, once an event of this name stands in it."""
    def look():
        answer = site.client.get(f"/mutation/{mutation}", **options)
        return answer.status == 200 and name in names(answer.json) and answer.json
    return wait_until(look, f"the event {name}", 20 * harness.PATIENCE)


# ---- without anything special ---------------------------------------------------------------------------------------


def test_a_command_and_its_state(site):
    mutation = new()
    answer = site.client.command("one", headers={"Mutation-Id": mutation.upper()})
    assert answer.result == {"one": 1}
    state = state_of(site, mutation)
    assert (state["uuid"], state["status"], state["progress"], state["result"]) == (mutation, "complete", 1, {"one": 1})
    assert state["steps"] == [{"id": "one", "title": "one", "status": "finished"}]
    assert names(state) == ["TRANSACTION_CREATED", "TRANSACTION_COMPLETED", "MUTATION_COMPLETED"]
    assert {event["attempt"] for event in state["events"]} == {1} and "error" not in state


def test_a_refused_command_and_its_state(site):
    mutation = new()
    answer = site.client.command("refuse", headers={"Mutation-Id": mutation})
    assert answer.code == "NO"
    state = state_of(site, mutation)
    assert (state["status"], state["error"]["code"], state["steps"][0]["status"]) == ("error", "NO", "error")
    assert state["error"] == answer.json == state["steps"][0]["error"]
    assert names(state) == ["TRANSACTION_CREATED", "TRANSACTION_ERROR", "MUTATION_ERROR"] and "result" not in state


def test_an_execute_set_has_a_step_for_each(site, database):
    mutation, text = new(), new()
    body = {"commands": [{"command": "add", "as": "line", "args": {"text": text}}, {"command": "one"}, {"command": "one"}]}
    answer = site.client.command("execute_command_set", body, headers={"Mutation-Id": mutation})
    state = state_of(site, mutation)
    assert [(s["id"], s.get("title"), s["status"]) for s in state["steps"]] == [
        ("line", "Add a line", "finished"), ("1", "one", "finished"), ("2", "one", "finished")]
    assert state["result"] == answer.json["results"] and state["progress"] == 1
    mutation = new()
    body["commands"][1] = {"command": "refuse"}
    body["commands"][0]["args"]["text"] += "x"
    answer = site.client.command("execute_command_set", body, headers={"Mutation-Id": mutation})
    state = state_of(site, mutation)
    assert answer.json["committed"] == 1 and state["error"] == answer.json
    assert [s["status"] for s in state["steps"]] == ["finished", "error", "pending"] and round(state["progress"], 2) == 0.33
    assert database.one("select count(*) from log where text like %s", [text + "%"]) == 2


def test_versions_are_gapless(site, database):
    mutation = new()
    body = {"commands": [{"command": "say", "args": {"name": f"E{i}", "payload": i}} for i in range(10)]}
    assert site.client.command("execute_command_set", body, headers={"Mutation-Id": mutation}).status == 200
    versions = [version for version, in database.execute(
        "select version from writ.state_change where mutation = %s order by 1", [mutation])]
    assert versions == list(range(2, database.one("select version from writ.state where mutation = %s", [mutation]) + 1))
    changes = [change for change, in database.execute(
        "select change from writ.state_change where mutation = %s order by version", [mutation])]
    assert [c["event"]["name"] for c in changes if c["event"]["name"].startswith("E")] == [f"E{i}" for i in range(10)]
    assert changes[-1]["set"]["status"] == "complete" and all("events" not in c["set"] for c in changes)


@pytest.mark.parametrize("value", ["", "x", "0198c5f0-7b1e-7c3d-9a4e-5f607182930", "0198c5f0-7b1e-7c3d-9a4e-5f6071829304, 0198c5f0-7b1e-7c3d-9a4e-5f6071829305"])
def test_a_malformed_mutation_id_is_refused(site, database, value):
    text = new()
    answer = site.client.command("add", {"text": text}, headers={"Mutation-Id": value})
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")
    assert database.one("select count(*) from log where text = %s", [text]) == 0


def test_a_mutation_id_is_used_once(site, database):
    mutation, text = new(), new()
    assert site.client.command("add", {"text": text}, headers={"Mutation-Id": mutation}).status == 200
    answer = site.client.command("add", {"text": text + "2"}, headers={"Mutation-Id": mutation})
    assert (answer.status, answer.code, answer.json["retryable"]) == (409, "MUTATION_EXISTS", False)
    assert database.one("select count(*) from log where text = %s", [text + "2"]) == 0
    assert state_of(site, mutation)["status"] == "complete"


def test_the_same_keyed_request_once_more_is_replayed(site, database):
    headers = {"Mutation-Id": new(), "Idempotency-Key": new()}
    text = new()
    first = site.client.command("add", {"text": text}, headers=headers)
    again = site.client.command("add", {"text": text}, headers=headers)
    assert first.body == again.body and again.header("idempotent-replay") == "true"
    other = site.client.command("add", {"text": text}, headers={**headers, "Idempotency-Key": new()})
    assert other.code == "MUTATION_EXISTS"


def test_a_dry_run_takes_none(site):
    answer = site.client.command("one", headers={"Mutation-Id": new(), "Prefer": "tx=rollback"})
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")


def test_without_a_state_nothing_is_written(site, database):
    before = database.one("select count(*) from writ.state")
    assert site.client.command("say", {"name": "X", "payload": 1}).result == {"said": "said"}
    assert site.client.command("told").status == 200
    assert database.one("select count(*) from writ.state") == before


# ---- while a transaction is open ------------------------------------------------------------------------------------


def test_two_see_it_before_it_is_committed(site, database):
    running = Running(site, "work")
    state = seen(site, running.mutation, "FILE_STORED")
    assert (state["status"], state["progress"]) == ("running", 0.25)
    assert state["steps"] == [{"id": "work", "title": "Work hard", "description": "It takes its time.", "status": "processing",
                               "current": 0.25}]
    assert database.one("select count(*) from log where text = 'in work'") == 0  # not committed
    assert "FILE_STORED" in names(database.one("select state from writ.state where mutation = %s", [running.mutation]))
    database.execute("insert into gate values (true)")
    assert running.end().result == {"work": "done"}
    state = state_of(site, running.mutation)
    assert names(state) == ["TRANSACTION_CREATED", "PROGRESS_UPDATE", "FILE_STORED", "FILE_STORED", "TRANSACTION_COMPLETED",
                            "MUTATION_COMPLETED"]
    assert (state["status"], state["progress"], state["steps"][0]["status"]) == ("complete", 1, "finished")


def test_what_was_told_stays_when_it_is_rolled_back(site, database):
    running = Running(site, "work", {"fails": True})
    seen(site, running.mutation, "FILE_STORED")
    database.execute("insert into gate values (true)")
    assert running.end().status == 400
    state = state_of(site, running.mutation)
    assert names(state) == ["TRANSACTION_CREATED", "PROGRESS_UPDATE", "FILE_STORED", "FILE_STORED", "TRANSACTION_ERROR",
                            "MUTATION_ERROR"]
    assert state["files"] == ["a", "b"] and {event["attempt"] for event in state["events"]} == {1}


def test_another_try_is_another_attempt(site, database):
    running = [Running(site, "count") for _ in range(2)]
    assert [r.end().status for r in running] == [200, 200]
    told = [[event["attempt"] for event in state_of(site, r.mutation)["events"] if event["name"] == "BUMPED"] for r in running]
    assert sorted(told) == [[1], [1, 2]]
    ends = [[event["attempt"] for event in state_of(site, r.mutation)["events"] if event["name"] == "TRANSACTION_COMPLETED"]
            for r in running]
    assert sorted(ends) == [[1], [2]]


def test_the_connection_is_opened_when_needed_only(database):
    sessions = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'writ'"
    with Site(database, manifest(), workers=1) as site:
        assert wait_until(lambda: site.client.command("one").status == 200, "an answer")
        assert site.client.command("one", headers={"Mutation-Id": new()}).status == 200
        before = database.one(sessions)
        assert site.client.command("say", {"name": "X", "payload": 1}, headers={"Mutation-Id": new()}).status == 200
        assert database.one(sessions) == before + 1


@pytest.mark.parametrize("n, size", [(20000, 10), (300, 60000), (300, 70000)])
def test_a_flood_of_events_harms_nobody(site, database, n, size):
    mutation, begun = new(), time.monotonic()
    assert site.client.command("flood", {"n": n, "bytes": size}, headers={"Mutation-Id": mutation}).result == {"n": n}
    state = state_of(site, mutation)
    assert state["status"] == "complete" and names(state)[-1] == "MUTATION_COMPLETED" and len(state["events"]) == 50
    if size > 8192:
        assert "EVENT_REFUSED" in names(state) and "limits.event_bytes" in json.dumps(state)
    dropped = [event["payload"]["count"] for event in state["events"] if event["name"] == "EVENTS_DROPPED"]
    assert dropped and 0 < dropped[0] < n
    written = database.one("select version from writ.state where mutation = %s", [mutation])
    assert 64 < written < 200 + 64 + 20 + 50 * (time.monotonic() - begun)  # those that wait; 200 come at once when PostgreSQL keeps up: below
    metrics = site.inside.get("/metrics").text
    assert "writ_state_events_total" in metrics


def test_what_waits_is_seen_before_the_end_too(site, database):
    running = Running(site, "burst", {"n": 260})  # more than may come at once and in their time
    wait_until(lambda: 260 in [event["payload"] for event in state_of(site, running.mutation)["events"]]
               if site.client.get(f"/mutation/{running.mutation}").status == 200 else False, "the last event", 20 * harness.PATIENCE)
    assert running.answer is None
    database.execute("insert into gate values (true)")
    assert running.end().result == {"n": 260}
    assert "EVENTS_DROPPED" not in names(state_of(site, running.mutation))
    assert database.one("select version from writ.state where mutation = %s", [running.mutation]) == 1 + 1 + 260 + 2


def test_only_the_last_progress_of_many_counts(site, database):
    database.execute("""create or replace function app.flood(n int, bytes int) returns int language plpgsql as $$
      begin for i in 1..n loop perform writ.dispatch('PROGRESS_UPDATE', jsonb_build_object('progress', i::numeric / n)); end loop;
      return n; end $$""")
    mutation = new()
    assert site.client.command("flood", {"n": 5000, "bytes": 0}, headers={"Mutation-Id": mutation}).status == 200
    state = state_of(site, mutation)
    last = [event for event in state["events"] if event["name"] == "PROGRESS_UPDATE"][-1]
    assert last["payload"] == {"progress": 1} and "EVENTS_DROPPED" not in names(state)


@pytest.mark.parametrize("name", ["MUTATION_COMPLETED", "TRANSACTION_ERROR", "EVENTS_DROPPED", "", "x" * 64])
def test_some_names_are_refused(site, name):
    mutation = new()
    assert site.client.command("say", {"name": name, "payload": {}}, headers={"Mutation-Id": mutation}).status == 200
    state = state_of(site, mutation)
    assert names(state) == ["TRANSACTION_CREATED", "EVENT_REFUSED", "TRANSACTION_COMPLETED", "MUTATION_COMPLETED"]


# ---- handlers and modules -------------------------------------------------------------------------------------------


def test_a_handler_tells_and_reads(site, service):
    found = {}

    def handled(request):
        call, mutation = {"Writ-Call": request.json["call"]}, request.json["mutation"]
        found["told"] = site.inside.command("dispatch_event", '{"name": "MAILED", "payload": {"n": 1.50}}', headers=call).status
        found["set"] = site.inside.command("say", {"name": "WITHIN", "payload": {}}, headers=call).status
        found["state"] = site.inside.get(f"/mutation/{mutation}", headers=call).json
        return {"result": {"fine": True}}

    service.at("/handled", handled)
    mutation = new()
    assert site.client.command("handled", headers={"Mutation-Id": mutation}).result == {"fine": True}
    assert (found["told"], found["set"]) == (200, 200)
    assert (found["state"]["uuid"], found["state"]["status"], found["state"]["steps"][0]["status"]) == (mutation, "running", "processing")
    assert names(found["state"]) == ["TRANSACTION_CREATED", "MAILED", "WITHIN"]
    assert '"n": 1.50' in site.client.get(f"/mutation/{mutation}").text
    state = state_of(site, mutation)
    assert names(state)[-2:] == ["TRANSACTION_COMPLETED", "MUTATION_COMPLETED"] and state["result"] == {"fine": True}
    # Without a state there is none to tell of, and none to read.
    assert site.client.command("handled").result == {"fine": True}
    assert found["told"] == 200 and found["state"]["code"] == "NOT_FOUND"


def test_dispatch_event_is_for_the_inside(site, database):
    assert site.client.command("dispatch_event", {"name": "X"}).code == "UNKNOWN_COMMAND"
    mutation = new()
    assert site.client.command("told", headers={"Mutation-Id": mutation}).result == {"one": 1}
    told = [event for event in state_of(site, mutation)["events"] if event["name"] == "TOLD"]
    assert [event["payload"] for event in told] == [{"a": 1.5}]


@pytest.fixture(scope="module")
def module_site(database):
    folder = harness.workspace().folder("state-module")
    shared_object = folder / "test_module.so"
    subprocess.run([*os.environ.get("CC", "cc").split(), "-shared", "-fPIC", f"-I{harness.SOURCE}/include", "-o", shared_object,
                    harness.SOURCE / "tests" / "module" / "test_module.c", *subprocess.check_output(
                        ["pkg-config", "--cflags", "--libs", "jansson"], text=True).split()], check=True)
    shared_object.chmod(0o755)
    more = f"""
  dispatch: {{ allow: [anonymous], args: {{ name: text, payload: text }}, module: {{ file: {shared_object}, function: dispatch }} }}
"""
    with Site(database, manifest(more), workers=1) as site:
        yield site


def test_a_module_tells(module_site):
    mutation = new()
    args = {"name": "PROGRESS_UPDATE", "payload": '{"value": 0.5}'}
    assert module_site.client.command("dispatch", args, headers={"Mutation-Id": mutation}).result == 0
    state = state_of(module_site, mutation)
    assert names(state) == ["TRANSACTION_CREATED", "PROGRESS_UPDATE", "TRANSACTION_COMPLETED", "MUTATION_COMPLETED"]
    assert state["events"][1]["payload"] == {"value": 0.5} and state["events"][1]["attempt"] == 1


# ---- who may read ---------------------------------------------------------------------------------------------------


def test_who_may_read(site):
    mutation = new()
    who = {"Test-Role": "member", "Test-User": "ann"}
    assert site.client.command("one", headers={"Mutation-Id": mutation, **who}).status == 200
    path = f"/mutation/{mutation}"
    assert site.client.get(path, headers=who).status == 200
    for other in ({}, {"Test-Role": "member", "Test-User": "bob"}, {"Test-Role": "admin", "Test-User": "ann"},
                  {"Test-Role": "member"}):
        assert site.client.get(path, headers=other).code == "NOT_FOUND"
        assert site.client.request("DELETE", path, headers=other).code == "NOT_FOUND"
    assert site.client.get(path, headers={"Test-Role": "auditor"}).status == 200
    assert site.inside.get(path).status == 200
    claims = {"Test-Role": "member", "Test-Claims": '{"sub": "ann", "exp": 1}'}
    mutation = new()
    assert site.client.command("one", headers={"Mutation-Id": mutation, **claims}).status == 200
    renewed = {**claims, "Test-Claims": '{"sub": "ann", "exp": 2}'}
    assert site.client.get(f"/mutation/{mutation}", headers=renewed).status == 200
    assert site.client.get(f"/mutation/{mutation}", headers={**claims, "Test-Claims": '{"sub": "bob"}'}).status == 404


def test_paths_and_methods(site):
    for path in ("/mutation/", "/mutation/x", f"/mutation/{new()}", f"/mutation/{new()}/x"):
        assert site.client.get(path).code == "NOT_FOUND"
    answer = site.client.post(f"/mutation/{new()}", {})
    assert (answer.status, answer.header("allow")) == (405, "GET, HEAD, DELETE")


def test_the_version_is_the_entity_tag(site, database):
    mutation = new()
    site.client.command("one", headers={"Mutation-Id": mutation})
    answer = site.client.get(f"/mutation/{mutation}")
    assert answer.header("etag") == f'"{database.one("select version from writ.state where mutation = %s", [mutation])}"'
    assert answer.header("cache-control") == "private, no-cache"
    for value in (answer.header("etag"), f'"x", W/{answer.header("etag")}', "*"):
        same = site.client.get(f"/mutation/{mutation}", headers={"If-None-Match": value})
        assert (same.status, same.body, same.header("etag")) == (304, b"", answer.header("etag"))
    assert site.client.get(f"/mutation/{mutation}", headers={"If-None-Match": '"1"'}).body == answer.body
    head = site.client.request("HEAD", f"/mutation/{mutation}")
    assert (head.status, head.body, head.header("etag")) == (200, b"", answer.header("etag"))


def test_what_is_over_cannot_be_stopped(site, database):
    mutation = new()
    site.client.command("one", headers={"Mutation-Id": mutation})
    assert site.client.request("DELETE", f"/mutation/{mutation}").code == "MUTATION_OVER"
    running = Running(site, "work")
    seen(site, running.mutation, "FILE_STORED")
    assert site.client.request("DELETE", f"/mutation/{running.mutation}").code == "NOT_CANCELLABLE"
    database.execute("insert into gate values (true)")
    assert running.end().status == 200


# ---- extended state -------------------------------------------------------------------------------------------------


def test_reducers(site, database):
    running = Running(site, "work")
    state = seen(site, running.mutation, "FILE_STORED")
    assert (state["of"], state["bytes"], state["files"], state["last"]) == (running.mutation, 10, ["a"], "FILE_STORED")
    assert (state["status"], len(state["steps"])) == ("running", 1)  # the core's members are the core's
    database.execute("insert into gate values (true)")
    running.end()
    state = state_of(site, running.mutation)
    assert (state["bytes"], state["files"], state["last"]) == (15, ["a", "b"], "MUTATION_COMPLETED")


@pytest.mark.parametrize("name, reason", [("BROKEN", "this reducer is broken"), ("LISTED", "it gave array, not an object")])
def test_a_broken_reducer_is_reported(site, name, reason):
    mutation = new()
    assert site.client.command("say", {"name": name, "payload": {"x": 1}}, headers={"Mutation-Id": mutation}).status == 200
    state = state_of(site, mutation)
    assert names(state) == ["TRANSACTION_CREATED", name, "REDUCER_FAILED", "TRANSACTION_COMPLETED", "MUTATION_COMPLETED"]
    assert state["events"][2]["payload"]["event"] == name and reason in state["events"][2]["payload"]["reason"]
    assert state["status"] == "complete"


@pytest.mark.parametrize("payload, reason", [({"name": "a"}, "has no member bytes"), ({"name": "a", "bytes": -1}, "minimum"),
                                             ({"name": "a", "bytes": 1.5}, "not of the type"), (None, "not of the type")])
def test_payloads_obey_their_schema(site, payload, reason):
    mutation = new()
    site.client.command("say", {"name": "FILE_STORED", "payload": payload}, headers={"Mutation-Id": mutation})
    state = state_of(site, mutation)
    assert state["events"][1]["name"] == "EVENT_REFUSED" and reason in state["events"][1]["payload"]["reason"]
    assert state["bytes"] == 0


def test_an_initial_constant_and_mapped_roles(database):
    state = "\nroles: { anonymous: state_caller }\nstate: { initial: { files: [], n: 1.50 } }\n"
    commands = """commands:
  work: { allow: [anonymous], sql: "select app.work(false) as work", returns: one }
  sneaky: { allow: [anonymous], sql: "select writ.state_event(:m, 1, 'MUTATION_COMPLETED', null, '{}') as v", args: { m: uuid }, returns: one }
"""
    with Site(database, "specVersion: 1" + state + commands, workers=2) as site:
        running = Running(site, "work")
        assert seen(site, running.mutation, "FILE_STORED")["files"] == []
        assert site.client.command("sneaky", {"m": running.mutation}).code == "FORBIDDEN"
        database.execute("insert into gate values (true)")
        assert running.end().status == 200
        assert '"n": 1.50' in site.client.get(f"/mutation/{running.mutation}").text


def check(database, state):
    folder = harness.workspace().folder("state-check")
    (folder / "manifest.yaml").write_text(f"specVersion: 1\nstate: {state}\ncommands: {{ one: {{ sql: select 1 as one }} }}\n")
    (folder / "writ.yaml").write_text(harness.settings_text(harness.settings_for(database, folder)))
    done = subprocess.run([harness.workspace().bin / "writ", "-c", folder / "writ.yaml", "check"], capture_output=True, text=True,
                          env=harness.environment(), **harness.identity())
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("state, complaint", [
    ("{ reducers: { A: app.nowhere } }", "there is no function app.nowhere(jsonb, jsonb)"),
    ("{ reducers: { A: app.bad_return } }", "app.bad_return(jsonb, jsonb) gives text, not jsonb"),
    ("{ catch_all: app.writes }", "app.writes(jsonb, jsonb) is VOLATILE"),
    ("{ initial: { function: app.last } }", "there is no function app.last(uuid)"),
    ("{ reducers: { A: nowhere } }", "is not the name of a function with its schema"),
    ("{ reducers: { A: 'app.f()' } }", "is not the name of a function with its schema"),
    ("{ initial: { steps: [] } }", "steps is writ's own member"),
    ("{ payloads: { A: { pattern: x } } }", "the keyword pattern of JSON Schema is not known here"),
    ("{ reader: [a] }", "did you mean readers"),
])
def test_check_tells_what_is_wrong(database, state, complaint):
    code, text = check(database, state)
    assert code == 1 and complaint in text and "manifest.yaml:2" in text, text


def test_check_is_content(database):
    code, text = check(database, "{ readers: [a], initial: { function: app.begun }, reducers: { A: app.stored }, catch_all: app.last }")
    assert code == 0, text


# ---- when something dies --------------------------------------------------------------------------------------------


def stored(database, mutation):
    """Waits for the event, without a worker's help."""
    wait_until(lambda: "FILE_STORED" in names(database.one("select coalesce((select state from writ.state where mutation = %s), "
                                                           "'{\"events\": []}')", [mutation])), "the event")


def expire(database, mutation):
    database.execute("update writ.state set lease = now() - interval '1 s' where mutation = %s", [mutation])


def test_the_state_of_a_killed_worker_ends(database):
    with Site(database, manifest(), workers=1, inside_workers=1) as site:
        running = Running(site, "work")
        stored(database, running.mutation)
        for pid in site.writ.workers():
            os.kill(pid, signal.SIGKILL)
        running.end()
        wait_until(lambda: site.inside.get("/readyz").status == 200, "workers")
        lease = database.one("select lease - clock_timestamp() from writ.state where mutation = %s", [running.mutation])
        assert 0 < lease.total_seconds() < 60
        assert state_of(site, running.mutation)["status"] == "running"
        expire(database, running.mutation)
        state = state_of(site, running.mutation)
        assert (state["status"], state["error"]["code"]) == ("error", "MUTATION_LOST")
        assert names(state)[-1] == "MUTATION_ERROR" and "FILE_STORED" in names(state)


@pytest.mark.skipif(not build_with_faults(), reason="needs a build with --enable-faults: WRIT_BUILD_FAULTS=FOLDER")
def test_a_worker_dies_between_commit_and_end(database):
    with faulty_site(database, manifest(), workers=1) as site:
        running = Running(site, "work")
        stored(database, running.mutation)
        site.writ.die_at("after-commit")
        database.execute("insert into gate values (true)")
        assert running.end().status == 502
        assert database.one("select status from writ.state where mutation = %s", [running.mutation]) == "running"
        expire(database, running.mutation)
        state = wait_until(lambda: (answer := site.client.get(f"/mutation/{running.mutation}")).status == 200 and answer.json, "a worker")
        assert (state["status"], state["progress"], state["steps"][0]["status"]) == ("complete", 1, "finished")
        assert "result" not in state and names(state)[-2:] == ["TRANSACTION_COMPLETED", "MUTATION_COMPLETED"]


def test_what_was_committed_is_told_after_a_kill(site, database):
    """As a worker leaves it that was killed between its COMMIT and the end of the state."""
    mutation = new()
    site.client.command("one", headers={"Mutation-Id": mutation})
    database.execute("""update writ.state set status = 'running', ended = null, lease = now() - interval '1 s',
      state = state - 'result' || '{"status": "running", "steps": [{"id": "one", "status": "processing"}]}' where mutation = %s""",
                     [mutation])
    database.execute("insert into writ.state_mark (mutation, attempt, name, payload, at) values "
                     "(%s, 1, 'TRANSACTION_COMPLETED', '{\"step\": \"one\"}', now() - interval '1 min')", [mutation])
    state = state_of(site, mutation)
    assert (state["status"], state["steps"][0]["status"]) == ("complete", "finished") and "result" not in state
    assert database.one("select count(*) from writ.state_mark") == 0


def test_a_late_beginning_takes_in_no_end(site, database):
    """As when the connection of the events is slow: what began a step arrives when all has been committed."""
    mutation = new()
    site.client.command("one", headers={"Mutation-Id": mutation})
    database.execute("""update writ.state set status = 'running', ended = null, state = state - 'result' ||
      '{"status": "running", "steps": [{"id": "0", "status": "processing"}, {"id": "1", "status": "pending"}]}' where mutation = %s""",
                     [mutation])
    for name, payload in (("TRANSACTION_COMPLETED", {"step": "0"}), ("TRANSACTION_COMPLETED", {"step": "1"}), ("MUTATION_COMPLETED", {"result": 1})):
        database.execute("insert into writ.state_mark (mutation, attempt, name, payload) values (%s, 1, %s, %s)",
                         [mutation, name, json.dumps(payload)])
    told = "select writ.state_event(%s, 1, %s, %s, '{}')"
    database.execute(told, [mutation, "TRANSACTION_CREATED", '{"step": "1"}'])
    database.execute(told, [mutation, "LAST", "{}"])
    database.execute(told, [mutation, None, None])
    state = state_of(site, mutation)
    assert names(state)[3:] == ["TRANSACTION_COMPLETED", "TRANSACTION_CREATED", "LAST", "TRANSACTION_COMPLETED", "MUTATION_COMPLETED"]
    assert (state["status"], state["result"], [s["status"] for s in state["steps"]]) == ("complete", 1, ["finished", "finished"])


def test_beginnings_that_come_late_are_told_in_order(site, database):
    """Steps so quick that all of them are committed before the first beginning arrives."""
    mutation = new()
    site.client.command("one", headers={"Mutation-Id": mutation})
    database.execute("""update writ.state set status = 'running', ended = null, state = state - 'result' || '{"status": "running", "events": [],
      "steps": [{"id": "0", "status": "pending"}, {"id": "a", "status": "pending"}, {"id": "2", "status": "pending"}]}' where mutation = %s""",
                     [mutation])
    steps = ["0", "a", "2"]
    for step in steps:
        database.execute("insert into writ.state_mark (mutation, attempt, name, payload) values (%s, 1, 'TRANSACTION_COMPLETED', %s)",
                         [mutation, json.dumps({"step": step})])
    for name, payload in (*(("TRANSACTION_CREATED", json.dumps({"step": step})) for step in steps), ("MUTATION_COMPLETED", "{}")):
        database.execute("select writ.state_event(%s, 1, %s, %s, '{}')", [mutation, name, payload])
    state = state_of(site, mutation)
    assert [(event["name"], event["payload"]["step"]) for event in state["events"][:-1]] == [
        (name, step) for step in steps for name in ("TRANSACTION_CREATED", "TRANSACTION_COMPLETED")]
    assert (state["status"], [step["status"] for step in state["steps"]]) == ("complete", ["finished"] * 3)


def test_runners_end_and_clean_states(database):
    with Site(database, manifest(), workers=1, runners=1) as site:
        old, lost = new(), new()
        for mutation in (old, lost):
            site.client.command("one", headers={"Mutation-Id": mutation})
        database.execute("update writ.state set ended = now() - interval '8 days' where mutation = %s", [old])
        database.execute("""update writ.state set status = 'running', ended = null, lease = now() - interval '1 s',
          state = state || '{"status": "running", "steps": [{"id": "one", "status": "processing"}]}' where mutation = %s""", [lost])
        wait_until(lambda: database.one("select status from writ.state where mutation = %s", [lost]) == "error", "the end", 40)
        wait_until(lambda: not database.one("select count(*) from writ.state where mutation = %s", [old]), "it to go", 40)
        assert database.one("select count(*) from writ.state_change where mutation = %s", [old]) == 0


def test_a_database_that_takes_no_events_harms_no_mutation(database):
    with Site(database, manifest(), workers=1) as site:
        mutation = new()
        assert site.client.command("one").status == 200
        database.execute("revoke execute on function writ.state_event(uuid, integer, text, jsonb, jsonb) from writ")
        try:
            answer = site.client.command("say", {"name": "X", "payload": {}}, headers={"Mutation-Id": mutation})
            assert (answer.status, answer.code) == (503, "DATABASE_UNAVAILABLE")
        finally:
            database.execute("grant execute on function writ.state_event(uuid, integer, text, jsonb, jsonb) to writ")
        # No connection is left for events.
        database.execute("alter role writ connection limit 1")
        try:
            mutation = new()
            assert site.client.command("say", {"name": "X", "payload": {}}, headers={"Mutation-Id": mutation}).status == 200
            state = state_of(site, mutation)
            assert state["status"] == "complete" and "X" not in names(state)
        finally:
            database.execute("alter role writ connection limit -1")


# ---- in the background, and behind a pooler -------------------------------------------------------------------------


def test_a_mutation_in_the_background_tells_too(database):
    with Site(database, manifest(), workers=2, background_runners=1) as site:
        mutation = new()
        answer = site.client.command("work", headers={"Mutation-Id": mutation, "Prefer": "respond-async"})
        assert answer.status == 202 and answer.json["state"] == f"/mutation/{mutation}"
        state = seen(site, mutation, "FILE_STORED")
        assert (state["status"], state["progress"], state["bytes"]) == ("running", 0.25, 10)
        assert state["steps"][0]["title"] == "Work hard" and state["steps"][0]["status"] == "processing"
        assert database.one("select count(*) from log where text = 'in work'") == 0
        database.execute("insert into gate values (true)")
        state = seen(site, mutation, "MUTATION_COMPLETED")
        assert (state["status"], state["result"], state["files"]) == ("complete", {"work": "done"}, ["a", "b"])


def test_a_step_that_is_run_again_is_another_attempt(database):
    more = """
  unlucky: { allow: [anonymous], sql: "select app.unlucky() as n", returns: one }
"""
    database.execute("""create sequence app.tries; grant usage on sequence app.tries to writ;
      create function app.unlucky() returns int language plpgsql as $$ begin
        perform writ.dispatch('TRIED', null);
        if nextval('app.tries') < 3 then raise exception using errcode = '55P03', message = 'not now'; end if;
        return 1; end $$""")
    with Site(database, manifest(more), workers=1, background_runners=1) as site:
        body = {"commands": [{"command": "unlucky"}, {"command": "say", "args": {"name": "NEXT", "payload": {}}}]}
        answer = site.client.command("execute_command_set", body, headers={"Prefer": "respond-async"})
        state = seen(site, answer.json["mutation"], "MUTATION_COMPLETED")
        assert [event["attempt"] for event in state["events"] if event["name"] == "TRIED"] == [1, 2, 3]
        begun = [(event["payload"]["step"], event["attempt"]) for event in state["events"] if event["name"] == "TRANSACTION_CREATED"]
        assert begun == [("0", 1), ("0", 2), ("0", 3), ("1", 1)]
        assert [event["attempt"] for event in state["events"] if event["name"] == "NEXT"] == [1]


def test_behind_a_pooler(postgres, database):
    with harness.PgBouncer(postgres) as pooler:
        source = {"default": {"conninfo": pooler.conninfo(database.name), "prepared": False}}
        with Site(database, manifest(), workers=2, datasources=source) as site:
            running = Running(site, "work")
            assert seen(site, running.mutation, "FILE_STORED")["progress"] == 0.25
            database.execute("insert into gate values (true)")
            assert running.end().result == {"work": "done"}
            assert names(state_of(site, running.mutation))[-3:] == ["FILE_STORED", "TRANSACTION_COMPLETED", "MUTATION_COMPLETED"]


# ---- writ state -----------------------------------------------------------------------------------------------------


class Tool:
    """`writ state` on the site's own configuration."""

    def __init__(self, site, *arguments, terminal=False):
        self.command = [str(harness.workspace().bin / "writ"), "-c", str(site.writ.file), "state", *arguments]
        self.text = b""
        if terminal:
            self.master, slave = os.openpty()
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
        else:
            self.master, slave = os.pipe()
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=slave, stderr=subprocess.PIPE,
                                        env=harness.environment(), **harness.identity())
        os.close(slave)

    def read_until(self, text):
        def look():
            ready, _, _ = select.select([self.master], [], [], 0.1)
            if ready:
                self.text += os.read(self.master, 65536)
            return text.encode() in self.text
        wait_until(look, f"{text!r} in the output of writ state", 20 * harness.PATIENCE)

    def end(self):
        """(exit status, all that it said)"""
        while True:
            try:
                more = os.read(self.master, 65536)
            except OSError:  # EIO: the terminal's other end is closed
                break
            if not more:
                break
            self.text += more
        os.close(self.master)
        return self.process.wait(20 * harness.PATIENCE), self.text.decode()


def test_the_tool_shows_a_state(site):
    mutation = new()
    site.client.command("one", headers={"Mutation-Id": mutation})
    code, text = Tool(site, mutation).end()
    assert (code, text) == (0, "[##############################] 100 % complete\n[x] one\n{\"one\":1}\n")
    code, text = Tool(site, "--json", mutation).end()
    assert code == 0 and json.loads(text)["uuid"] == mutation
    refused = new()
    site.client.command("refuse", headers={"Mutation-Id": refused})
    code, text = Tool(site, refused).end()
    assert code == 3 and "[!] refuse: NO" in text and "NO: It does not want to." in text
    assert Tool(site, new()).end()[0] == 1
    assert Tool(site, "x").end()[0] == 2


def test_the_tool_follows_with_a_line_for_each_event(site, database):
    running = Running(site, "work")
    seen(site, running.mutation, "FILE_STORED")
    assert Tool(site, running.mutation).end()[0] == 5
    tool = Tool(site, "--follow", running.mutation)
    tool.read_until("FILE_STORED")
    database.execute("insert into gate values (true)")
    code, text = tool.end()
    lines = text.splitlines()
    assert code == 0 and "\033" not in text
    assert [line.split()[1] for line in lines[:-1]] == ["TRANSACTION_CREATED", "PROGRESS_UPDATE", "FILE_STORED", "FILE_STORED",
                                                         "TRANSACTION_COMPLETED", "MUTATION_COMPLETED"]
    assert '{"name":"a","bytes":10}' in lines[2].replace(" ", "").replace('{"bytes":10,"name":"a"}', '{"name":"a","bytes":10}')
    assert lines[-1] == 'complete {"work":"done"}'
    running.end()


def test_the_tool_tells_of_events_that_it_missed(site, database):
    """Twenty at once, of which five are kept."""
    mutation, rules = new(), '{"changes": 5}'
    event = "select writ.state_event(%s, 1, %s, %s, %s)"
    database.execute("select writ.state_new(%s, null, '[]', %s)", [mutation, rules])
    database.execute(event, [mutation, "FIRST", None, rules])
    tool = Tool(site, "--follow", mutation)
    tool.read_until("FIRST")
    with database.connect(autocommit=False) as connection:
        for i in range(20):
            connection.execute(event, [mutation, f"N{i}", None, rules])
        connection.commit()
    tool.read_until("N19")
    database.execute(event, [mutation, "MUTATION_COMPLETED", "{}", rules])
    code, text = tool.end()
    assert code == 0
    assert [line.split(" ", 1)[1].split(" attempt")[0] for line in text.splitlines()] == [
        "FIRST", "15 events between are not kept any more", *(f"N{i}" for i in range(15, 20)), "MUTATION_COMPLETED", ""]


def test_the_tool_draws_on_a_terminal(site, database):
    running = Running(site, "work", {"fails": True})
    seen(site, running.mutation, "FILE_STORED")
    tool = Tool(site, "--follow", running.mutation, terminal=True)
    tool.read_until("[>] Work hard (25 %)")
    assert "[########----------------------]  25 % running" in tool.text.decode()
    database.execute("insert into gate values (true)")
    code, text = tool.end()
    assert code == 3
    last = text.split("\033[J")[-1].replace("\r", "")
    assert last.splitlines()[1:] == ["[!] Work hard (25 %): RAISED", "RAISED: it was told to fail"]
    assert text.count("\033[3A\033[J") >= 1
    running.end()


def test_a_terminal_is_not_at_the_mercy_of_payloads(site, database):
    mutation = new()
    site.client.command("say", {"name": "A\u001b[2J\u009b2J", "payload": {"x": "\u001b[2J\u009b"}}, headers={"Mutation-Id": mutation})
    code, text = Tool(site, "--follow", mutation).end()
    assert code == 0 and "A?[2J?2J" in text and "\033" not in text and "\u009b" not in text
