"""Durable mutations: accepted before they are answered, run in one transaction a step, continued, repeated, given up, and
taken over from whoever dies."""

import contextlib
import json
import os
import signal
import threading
import time
import uuid

import pytest

import harness
from crowd import Later
from faulty import build_with_faults, faulty_site
from service import Service

SCHEMA = """
create table note (id bigint generated always as identity primary key, text text, amount numeric, who text default current_setting('request.user', true));
create table gate (name text primary key);
create function pass(gate_name text) returns text language plpgsql volatile as $$
begin
  for i in 1..600 loop
    perform from gate where name = gate_name;
    exit when found;
    perform pg_sleep(0.05);
  end loop;
  return 'passed';
end $$;
create function broken(n int) returns text language plpgsql volatile as $$
begin
  if (select count(*) from note where text = 'mended') < n then raise exception 'not yet' using errcode = '55P03'; end if;
  return 'mended';
end $$;
grant select, insert, update, delete on note, gate to writ;
"""

MANIFEST = """
specVersion: 1
commands:
  add: { allow: [anonymous, customer], sql: "insert into note (text) values (:text) returning id, text", returns: one, description: Adds a note. }
  keep: { allow: [anonymous], sql: "insert into note (text) values (:text)", returns: none }
  add_amount: { allow: [anonymous], sql: "insert into note (text, amount) values ('amount', :amount) returning id, amount", returns: one }
  slow: { allow: [anonymous], sql: "insert into note (text) select 'slow ' || pass(:gate) returning id", returns: one }
  check_no: { allow: [anonymous], check: "select false", error: { code: NO, status: 409, message: No. } }
  twice: { allow: [anonymous], args: { text: text }, commands: [ { add: { text: $args.text }, as: a }, { add: { text: $args.text }, as: b } ], result: { first: $a.id, second: $b.id } }
  fails: { allow: [anonymous], sql: "insert into note (text) values (broken(:n)) returning id", returns: one }
  merge: { allow: [anonymous], sql: "merge into gate using (values (:n::text)) v (n) on name = v.n when not matched then insert values (v.n)" }
  lonely: { sql: "insert into note (text) values ('lonely') returning id", returns: one }
  guarded: { allow: [customer], sql: "insert into note (text) values ('guarded') returning id", returns: one, permissions: { before: { owner: "current_setting('request.user') = 'ada'" } } }
  hooked: { allow: [anonymous], sql: "insert into note (text) values ('hooked') returning id, text", returns: one, hooks: { after: { told: "SERVICE/told" } } }
  asked: { allow: [anonymous], sql: "insert into note (text) values (:text) returning id, text", returns: one, hooks: { before: { change: { url: "SERVICE/change", changes: true } } } }
  program: { allow: [anonymous], http: "SERVICE/program", args: { text: text } }
  raw: { allow: [anonymous], args: { doc: json }, sql: "select :doc as doc", returns: one }
"""


@pytest.fixture(scope="module")
def service():
    with Service() as service:
        yield service


def settings(**more):
    background = {"lease_ms": 1000, "poll_ms": 50, **more.pop("background", {})}
    return {"background_runners": 1, "background": background, "inside_workers": 2, **more}


def site_with(database, service, **more):
    return harness.Site(database, MANIFEST.replace("SERVICE", service.url("")), **settings(**more))


@pytest.fixture(scope="module")
def site(database, service):
    with site_with(database, service) as site:
        yield site


@pytest.fixture(scope="module")
def apart(postgres):
    """A database that the runner of `site` does not know."""
    database = harness.Database(postgres, "mutations_apart", SCHEMA)
    yield database
    database.drop()


@pytest.fixture(autouse=True)
def clean(database, apart):
    for each in (database, apart):
        each.execute("update writ.mutation set ended = now(), outcome = 'error', owner = null where ended is null")
        each.execute("truncate note, gate")


def texts(database):
    return [row[0] for row in database.execute("select text from note order by id")]


def execute(site, commands, headers=(), **more):
    body = {"commands": [harness.as_command(c) for c in commands], **more}
    return site.client.command("execute_command_set", body, headers=headers)


def accepted(answer):
    assert answer.status == 202, answer
    return answer.json["mutation"]


def row(database, mutation, columns="outcome"):
    return database.execute(f"select {columns} from writ.mutation where id = %s", [mutation])[0]


def ended(database, mutation, timeout=20):
    harness.wait_until(lambda: row(database, mutation)[0] is not None, "the end of the mutation", timeout * harness.PATIENCE)
    return row(database, mutation)[0]


def follower(database, mutation):
    found = database.execute("select id from writ.mutation where parent = %s", [mutation])
    return str(found[0][0]) if found else None


# ---- accepting ----

def test_a_command_in_the_background(site, database):
    answer = site.client.command("add", {"text": "later"}, headers={"Prefer": "respond-async"})
    mutation = accepted(answer)
    assert uuid.UUID(mutation).version == 7
    assert answer.json == {"mutation": mutation, "state": f"/mutation/{mutation}"}
    assert answer.header("Location") == f"/mutation/{mutation}"
    assert answer.header("Preference-Applied") == "respond-async"
    assert ended(database, mutation) == "complete"
    assert texts(database) == ["later"]
    stored = json.loads(row(database, mutation, "answer")[0])
    assert stored["result"]["text"] == "later"


def test_the_commands_of_a_set_and_what_follows(site, database):
    answer = execute(site, [("add", {"text": "one"}, "first"), ("add", {"text": {"$ref": "first.text"}}), ("twice", {"text": "two"}, "both")],
                     on_complete=[{"command": "add", "args": {"text": {"$ref": "first.text"}}, "as": "again"},
                                  {"command": "add", "args": {"text": {"$ref": "again.text"}}}],
                     on_error=[{"command": "add", "args": {"text": "never"}}])
    mutation = accepted(answer)
    assert answer.header("Preference-Applied") is None
    assert ended(database, mutation) == "complete"
    assert ended(database, follower(database, mutation)) == "complete"
    assert texts(database) == ["one", "one", "two", "two", "one", "one"]


@pytest.mark.parametrize("default", ["on", "off"])
def test_each_step_waits_for_the_disk(apart, service, default):
    """The last one too, whatever the database's default: who reads what it wrote, or is told by NOTIFY, must not see it undone by a
    crash. What is deferred runs at COMMIT."""
    apart.execute("""create function look() returns trigger language plpgsql as $$
                       begin update note set who = current_setting('synchronous_commit') where id = new.id; return null; end $$;
                     create constraint trigger look after insert on note deferrable initially deferred for each row execute function look()""")
    apart.execute(f"alter database {apart.name} set synchronous_commit = {default}")
    try:
        with site_with(apart, service) as site:
            mutation = accepted(execute(site, [("add", {"text": "first"}), ("add", {"text": "last"})],
                                        on_complete=[{"command": "add", "args": {"text": "behind"}}]))
            assert ended(apart, mutation) == "complete" == ended(apart, follower(apart, mutation))
        assert apart.execute("select text, who from note order by id") == [("first", "on"), ("last", "on"), ("behind", "on")]
    finally:
        apart.execute(f"drop function look() cascade; alter database {apart.name} reset synchronous_commit")


def test_names_of_what_follows_are_its_own(site, database):
    mutation = accepted(execute(site, [("add", {"text": "old"}, "a")],
                                on_complete=[{"command": "add", "args": {"text": {"$ref": "a.text"}}},
                                             {"command": "add", "args": {"text": "new"}, "as": "a"},
                                             {"command": "add", "args": {"text": {"$ref": "a.text"}}}]))
    ended(database, mutation)
    assert ended(database, follower(database, mutation)) == "complete"
    assert texts(database) == ["old", "old", "new", "new"]


def test_what_cannot_be_run_any_more_has_its_end(apart, service):
    """A command that was taken out of the manifest, and what was to follow an error."""
    with site_with(apart, service, background_runners=0) as site:
        mutation = accepted(execute(site, [("add", {"text": "1"}), ("twice", {"text": "2"})],
                                    on_error=[{"command": "add", "args": {"text": {"$ref": "error.code"}}}]))
    manifest = "\n".join(line for line in MANIFEST.splitlines() if " twice:" not in line).replace("SERVICE", service.url(""))
    with harness.Site(apart, manifest, **settings()):
        assert ended(apart, mutation) == "error"
        assert ended(apart, follower(apart, mutation)) == "complete"
    assert texts(apart) == ["UNKNOWN_COMMAND"]


def test_on_error_is_told_how_much_was_done(apart, service):
    """By whoever found out that it cannot go on, before a step of its own."""
    with site_with(apart, service) as site:
        mutation = accepted(execute(site, [("add", {"text": "1"}), ("fails", {"n": 1}), ("twice", {"text": "2"})],
                                    on_error=[{"command": "add", "args": {"text": {"$ref": "error.committed"}}}]))
        harness.wait_until(lambda: row(apart, mutation, "step, error is not null") == (1, True), "the second step to be put off")
        apart.execute("update writ.mutation set args = jsonb_set(args::jsonb, '{commands,2,command}', '\"gone\"') where id = %s", [mutation])
        assert ended(apart, mutation) == "error"
        assert ended(apart, follower(apart, mutation)) == "complete"
    assert texts(apart) == ["1", "1"]


def test_on_error_is_told_why(site, database):
    mutation = accepted(execute(site, [("add", {"text": "done"}, "done"), ("check_no", {})],
                                on_complete=[{"command": "add", "args": {"text": "never"}}],
                                on_error=[{"command": "add", "args": {"text": {"$ref": "error.code"}}},
                                          {"command": "add", "args": {"text": {"$ref": "error.detail"}}},
                                          {"command": "add_amount", "args": {"amount": {"$ref": "error.committed"}}},
                                          {"command": "add", "args": {"text": {"$ref": "done.text"}}}]))
    assert ended(database, mutation) == "error"
    assert ended(database, follower(database, mutation)) == "complete"
    assert texts(database) == ["done", "NO", "No.", "amount", "done"]
    assert database.one("select amount from note where amount is not null") == 1


def test_a_transactional_set_in_the_background_is_one_step(site, database):
    answer = site.client.command("transactional_command_set", {
        "commands": [{"command": "add", "args": {"text": "a"}, "as": "a"}, {"command": "add", "args": {"text": {"$ref": "a.text"}}}],
        "on_complete": [{"command": "add", "args": {"text": {"$ref": "a.text"}}}]})
    mutation = accepted(answer)
    assert ended(database, mutation) == "complete"
    assert ended(database, follower(database, mutation)) == "complete"
    assert texts(database) == ["a", "a", "a"]
    assert row(database, mutation, "step")[0] == 1


def test_a_transactional_set_as_a_step(site, database):
    inner = {"command": "transactional_command_set", "as": "t", "args": {"isolation": "serializable", "commands": [
        {"command": "add", "args": {"text": "in"}, "as": "x"}, {"command": "add", "args": {"text": {"$ref": "x.text"}}}]}}
    answer = execute(site, [("add", {"text": "out"}), inner, ("add", {"text": {"$ref": "t.1.text"}})])
    assert [len(answer.results), len(answer.results[1])] == [3, 2]
    assert texts(database) == ["out", "in", "in", "in"]
    inner["args"]["commands"].append({"command": "check_no"})
    answer = execute(site, [("add", {"text": "kept"}), inner])
    assert answer.code == "NO" and answer.json["committed"] == 1
    assert (answer.json["command"], answer.json["path"]) == ("check_no", "/commands/1/args/commands/2")
    assert texts(database)[4:] == ["kept"]
    mutation = accepted(execute(site, [inner], headers={"Prefer": "respond-async"}))
    assert ended(database, mutation) == "error"
    assert texts(database)[5:] == []


DOUBLED = '{"a": 1, "a": 2}'  # json of PostgreSQL's, which a strict reader refuses


def test_a_result_that_is_not_read_strictly_stops_nobody(site, database):
    """Neither what follows it, nor what is claimed with that."""
    mutation = accepted(execute(site, [("raw", {"doc": DOUBLED}, "raw"), ("add", {"text": "1"}, "one")],
                                on_complete=[{"command": "add", "args": {"text": {"$ref": "one.text"}}}]))
    assert ended(database, mutation) == "complete"
    assert ended(database, follower(database, mutation)) == "complete"
    assert texts(database) == ["1", "1"]
    mutation = accepted(execute(site, [("raw", {"doc": DOUBLED}, "raw")], on_complete=[{"command": "raw", "args": {"doc": {"$ref": "raw.doc"}}}]))
    ended(database, mutation)
    assert ended(database, follower(database, mutation)) == "error"
    assert row(database, follower(database, mutation), "error ->> 'code'")[0] == "BAD_REFERENCE"


@contextlib.contextmanager
def at_each_claim(database, does):
    """SQL in a trigger of each row that is claimed."""
    database.execute(f"create table claimed (id uuid, owner uuid); grant insert on claimed to writ;"
                     f" create function at_claim() returns trigger language plpgsql as $$ begin {does}; return new; end $$;"
                     f" create trigger claims after update of owner on writ.mutation for each row"
                     f" when (new.owner is not null and new.owner is distinct from old.owner) execute function at_claim()")
    try:
        yield
    finally:
        database.execute("drop trigger claims on writ.mutation; drop function at_claim; drop table claimed")


def test_large_arguments_are_taken_one_at_a_time(apart, service):
    """All that is claimed at once must find room in the runner."""
    with site_with(apart, service, background_runners=0) as site:
        mutations = [accepted(execute(site, [("add", {"text": "1"})], headers={"Prefer": "respond-async"})) for _ in range(6)]
    apart.execute("update writ.mutation set args = json_build_object('commands', json_build_array(json_build_object('command', 'keep',"
                  " 'args', json_build_object('text', repeat('x', 9000000))))) where id = any (%s)", [mutations[:3]])
    with at_each_claim(apart, "insert into claimed values (new.id, new.owner)"):
        with site_with(apart, service):
            assert [ended(apart, mutation) for mutation in mutations] == ["complete"] * 6
        together = [apart.one("select count(distinct b.id) from claimed a join claimed b using (owner) where a.id = %s and b.id = any (%s)",
                              [id, mutations[:3]]) for id in mutations[:3]]
    assert together == [1, 1, 1]
    assert sorted(len(text) for text in texts(apart)) == [1, 1, 1, 9000000, 9000000, 9000000]


def test_large_results_come_to_those_who_ask(apart, service):
    """Of what they follow, by name. That a result is large is nothing to others, nor to the lease."""
    follows = {"nothing": "1", "small": {"$ref": "small.text"}, "large": {"$ref": "large.text"}, "odd": {"$ref": 'o"\\d\u0001.text'}}
    with site_with(apart, service, background_runners=0) as site:
        mutations = [accepted(execute(site, [("add", {"text": text}, name) for text, name in (("2", "small"), ("3", "large"), ("4", 'o"\\d\u0001'))],
                                      on_complete=[{"command": "keep", "args": {"text": text}}])) for text in follows.values()]
        with site_with(apart, service, background={"claims": 1, "lease_ms": 60000}):
            followers = [harness.wait_until(lambda: follower(apart, mutation), "its end", 20 * harness.PATIENCE) for mutation in mutations]
            for mutation in followers:
                ended(apart, mutation)
        apart.execute("truncate note")
        apart.execute("update writ.mutation set answer = replace(answer, '\"3\"', '\"' || repeat('x', 9000000) || '\"')"
                      " where id = any (%s)", [mutations])
        apart.execute("update writ.mutation set outcome = null, ended = null, step = 0, due = now() where id = any (%s)", [followers])
    with site_with(apart, service):
        assert [ended(apart, mutation) for mutation in followers] == ["complete"] * 4
    assert [text[:9] for text in sorted(texts(apart))] == ["1", "2", "4", "x" * 9]
    assert max(map(len, texts(apart))) == 9000000


def test_a_claim_that_outlasts_its_lease_is_used(apart, service):
    """Given back it would be claimed anew for ever, each time for longer than its lease."""
    with at_each_claim(apart, "perform pg_sleep(1.1)"), site_with(apart, service, background={"claims": 1}) as site:
        mutation = accepted(execute(site, [("add", {"text": "1"}), ("add", {"text": "2"})], headers={"Prefer": "respond-async"}))
        assert ended(apart, mutation) == "complete"
    assert texts(apart) == ["1", "2"]


def test_such_a_result_of_a_step_before(site, database):
    mutation = accepted(execute(site, [("raw", {"doc": DOUBLED}, "raw"), ("fails", {"n": 1})], headers={"Prefer": "respond-async"}))
    harness.wait_until(lambda: row(database, mutation, "attempts")[0], "a failure")
    database.execute("insert into note (text) values ('mended')")
    assert ended(database, mutation) == "complete"
    assert '{"a": 1, "a": 2}' in row(database, mutation, "answer")[0]  # as without the pause


@pytest.mark.parametrize("doc", ['"\\u0000"', "1e200000"])
def test_a_result_that_no_state_can_have(site, database, doc):
    """jsonb does not take it: the state ends without a result."""
    mutation = accepted(execute(site, [("raw", {"doc": doc})], headers={"Prefer": "respond-async"}))
    assert ended(database, mutation) == "complete"
    assert doc in row(database, mutation, "answer")[0]
    harness.wait_until(lambda: site.client.request("GET", f"/mutation/{mutation}").json["status"] == "complete", "the end of the state")
    mutation = str(uuid.uuid4())
    assert execute(site, [("raw", {"doc": doc})], headers={"Mutation-Id": mutation}).status == 200
    state = site.client.request("GET", f"/mutation/{mutation}").json
    assert state["status"] == "complete" and "result" not in state


def test_a_set_without_commands_has_its_end(site, database):
    mutation = accepted(execute(site, [], on_complete=[{"command": "add", "args": {"text": "after nothing"}}]))
    assert ended(database, mutation) == "complete"
    assert ended(database, follower(database, mutation)) == "complete"
    assert texts(database) == ["after nothing"]


@pytest.mark.parametrize("more, code, path", [
    ({"on_complete": [{"command": "nothing"}]}, "UNKNOWN_COMMAND", "/on_complete/0"),
    ({"on_error": [{"command": "lonely"}]}, "UNKNOWN_COMMAND", "/on_error/0"),
    ({"on_error": [{"command": "guarded"}]}, "UNAUTHENTICATED", "/on_error/0"),
    ({"on_complete": [{"command": "add", "args": {"txt": 1}}]}, "BAD_ARGUMENT", "/on_complete/0/args/txt"),
    ({"on_complete": [{"command": "add_amount", "args": {"amount": {}}}]}, "BAD_ARGUMENT", "/on_complete/0/args/amount"),
    ({"on_complete": [{"command": "add", "args": {"text": {"$ref": "error.code"}}}]}, "BAD_REFERENCE", "/on_complete/0/args/text"),
    ({"on_complete": [{"command": "add", "args": {"text": {"$ref": "a.nothing"}}}]}, "BAD_REFERENCE", "/on_complete/0/args/text"),
    ({"on_error": [{"command": "add", "args": {"text": {"$ref": "b.text"}}}]}, "BAD_REFERENCE", "/on_error/0/args/text"),
    ({"on_complete": 1}, "BAD_REQUEST", "/on_complete"),
    ({"on_complete": [{"command": "merge", "args": {"n": "x"}}]}, "NOT_IMPLEMENTED", "/on_complete/0"),
])
def test_all_of_it_is_judged_before_it_is_accepted(site, database, more, code, path):
    before = database.one("select count(*) from writ.mutation")
    answer = execute(site, [("add", {"text": "a"}, "a")], **more)
    assert (answer.code, answer.json["path"]) == (code, path)
    assert database.one("select count(*) from writ.mutation") == before
    assert texts(database) == []


def test_a_mutation_id_is_used_once(site, database):
    mine = str(uuid.uuid4())
    headers = {"Prefer": "respond-async", "Mutation-Id": mine.upper()}
    assert accepted(site.client.command("add", {"text": "x"}, headers=headers)) == mine
    assert ended(database, mine) == "complete"
    assert site.client.command("add", {"text": "x"}, headers=headers).code == "MUTATION_EXISTS"
    assert site.client.command("add", {"text": "x"}, headers={**headers, "Mutation-Id": "x"}).code == "BAD_REQUEST"
    assert texts(database) == ["x"]


def test_who_asked_goes_along(site, database):
    answer = site.client.command("guarded", {}, headers={"Prefer": "respond-async"}, role="customer", user="ada",
                                 claims='{"role":"customer","sub":"ada","n":1.50}')
    assert ended(database, accepted(answer)) == "complete"
    assert database.execute("select text, who from note") == [("guarded", "ada")]
    answer = site.client.command("guarded", {}, headers={"Prefer": "respond-async"}, role="customer", user="bob")
    mutation = accepted(answer)  # a permission is asked when it is run
    assert ended(database, mutation) == "error"
    assert row(database, mutation, "error")[0]["code"] == "PERMISSION_DENIED"


def test_digits_arrive_as_they_were_sent(site, database):
    body = '{"commands":[{"command":"add_amount","as":"a","args":{"amount":12345678901234567890.1200}},' \
           '{"command":"add_amount","args":{"amount":{"$ref":"a.amount"}}}],"on_complete":[{"command":"add_amount","args":{"amount":{"$ref":"a.amount"}}}]}'
    mutation = accepted(site.client.post("/command/execute_command_set", body))
    ended(database, mutation)
    ended(database, follower(database, mutation))
    assert {str(r[0]) for r in database.execute("select amount from note")} == {"12345678901234567890.1200"}


# ---- keys ----

def test_a_key_on_several_commands(site, database):
    key = {"Idempotency-Key": "several"}
    first = execute(site, [("add", {"text": "1"}), ("add", {"text": "2"})], headers=key)
    assert first.status == 200 and first.header("Idempotent-Replay") is None
    again = execute(site, [("add", {"text": "1"}), ("add", {"text": "2"})], headers=key)
    assert (again.status, again.body, again.header("Idempotent-Replay")) == (200, first.body, "true")
    assert execute(site, [("add", {"text": "1"}), ("add", {"text": "3"})], headers=key).code == "IDEMPOTENCY_MISMATCH"
    assert texts(database) == ["1", "2"]


def test_an_error_that_left_something_behind_is_kept(site, database):
    key = {"Idempotency-Key": "half"}
    commands = [("add", {"text": "1"}), ("check_no", {})]
    first = execute(site, commands, headers=key)
    assert (first.code, first.json["committed"]) == ("NO", 1)
    again = execute(site, commands, headers=key)
    assert (again.code, again.json["committed"], again.header("Idempotent-Replay")) == ("NO", 1, "true")
    assert texts(database) == ["1"]


def test_an_error_that_left_nothing_behind_is_forgotten(site, database):
    key = {"Idempotency-Key": "nothing"}
    commands = [("fails", {"n": 1}), ("add", {"text": "2"})]
    before = database.one("select count(*) from writ.mutation")
    commands[0] = ("check_no", {})
    assert execute(site, commands, headers=key).code == "NO"
    assert execute(site, commands, headers=key).header("Idempotent-Replay") is None
    assert database.one("select count(*) from writ.mutation") == before


def test_a_key_in_the_background(site, database):
    headers = {"Idempotency-Key": "async", "Prefer": "respond-async"}
    first = accepted(site.client.command("add", {"text": "x"}, headers=headers))
    assert accepted(site.client.command("add", {"text": "x"}, headers=headers)) == first
    ended(database, first)
    assert accepted(site.client.command("add", {"text": "x"}, headers=headers)) == first
    waited = site.client.command("add", {"text": "x"}, headers={"Idempotency-Key": "async"})
    assert waited.result["text"] == "x" and waited.header("Idempotent-Replay") == "true"
    assert texts(database) == ["x"]


def test_a_repeat_waits_a_short_while(site, database):
    key = {"Idempotency-Key": "slow"}
    commands = [("add", {"text": "1"}), ("slow", {"gate": "a"})]
    first = Later(lambda: execute(site, commands, headers=key))
    harness.wait_until(lambda: texts(database) == ["1"], "the first step")
    assert execute(site, commands, headers=key).code == "IDEMPOTENCY_CONFLICT"
    database.execute("insert into gate values ('a')")
    assert first.get().status == 200
    assert execute(site, commands, headers=key).body == first.get().body
    assert texts(database) == ["1", "slow passed"]


def test_who_waits_too_long_is_told_and_it_goes_on(apart, service):
    database = apart
    with site_with(database, service, timeout_ms=1000) as site:
        key = {"Idempotency-Key": "too-long"}
        commands = [("add", {"text": "1"}), ("slow", {"gate": "late"}), ("add", {"text": "3"})]
        answer = execute(site, commands, headers=key)
        assert (answer.code, answer.json["committed"]) == ("TIMEOUT", 1)
        database.execute("insert into gate values ('late')")
        harness.wait_until(lambda: len(texts(database)) == 3, "the runner's end of it", 20 * harness.PATIENCE)
        assert len(execute(site, commands, headers=key).results) == 3
        assert texts(database) == ["1", "slow passed", "3"]


# ---- ends ----

def cancel(site, mutation, **who):
    headers = {f"Test-{name.capitalize()}": value for name, value in who.items()}
    return site.client.request("DELETE", f"/mutation/{mutation}", headers=headers)


def test_it_is_cancelled_between_steps(site, database):
    mutation = accepted(execute(site, [("add", {"text": "1"}), ("slow", {"gate": "c"}), ("add", {"text": "3"})],
                                on_error=[{"command": "add", "args": {"text": {"$ref": "error.code"}}}]))
    harness.wait_until(lambda: texts(database) == ["1"], "the first step")
    assert cancel(site, uuid.uuid4()).code == "NOT_FOUND"
    assert cancel(site, mutation, role="customer", user="bob").code == "NOT_FOUND"  # not theirs
    answer = cancel(site, mutation)
    assert (answer.status, answer.json["mutation"]) == (202, mutation)
    database.execute("insert into gate values ('c')")
    assert ended(database, mutation) == "cancelled"
    assert ended(database, follower(database, mutation)) == "complete"
    assert texts(database) == ["1", "slow passed", "CANCELLED"]
    state = site.inside.get(f"/mutation/{mutation}").json
    assert [step["status"] for step in state["steps"]] == ["finished", "finished", "pending"]


def test_only_its_owner_cancels_it(site, database):
    headers = {"Prefer": "respond-async"}
    body = {"commands": [{"command": "slow", "args": {"gate": "o"}}]}
    mutation = accepted(site.client.command("execute_command_set", body, headers=headers, user="ada"))
    assert cancel(site, mutation, user="bob").code == "NOT_FOUND"
    assert cancel(site, mutation).code == "NOT_FOUND"
    assert cancel(site, mutation, user="ada").status == 202
    database.execute("insert into gate values ('o')")
    ended(database, mutation)


def test_it_is_given_up_at_its_deadline(apart, service):
    database = apart
    with site_with(database, service, background={"deadline_s": 1}) as site:
        mutation = accepted(execute(site, [("add", {"text": "1"}), ("slow", {"gate": "d"}), ("add", {"text": "3"})],
                                    on_error=[{"command": "add", "args": {"text": {"$ref": "error.code"}}}]))
        assert ended(database, mutation) == "error"
        assert row(database, mutation, "error")[0]["code"] == "TIMEOUT"
        assert ended(database, follower(database, mutation)) == "complete"
        assert "TIMEOUT" in texts(database)


def test_what_passes_is_tried_again(site, database):
    mutation = accepted(execute(site, [("add", {"text": "1"}), ("fails", {"n": 1}), ("add", {"text": "3"})],
                                headers={"Prefer": "respond-async"}))
    harness.wait_until(lambda: row(database, mutation, "attempts")[0] == 1, "the first failure")
    assert row(database, mutation, "error")[0]["code"] == "LOCK_TIMEOUT"
    database.execute("insert into note (text) values ('mended')")
    assert ended(database, mutation) == "complete"
    assert texts(database) == ["1", "mended", "mended", "3"]
    assert row(database, mutation, "attempts, error") == (0, None)


def test_a_dead_letter_and_its_retry(apart, service):
    database = apart
    with site_with(database, service, background={"attempts": 2}) as site:
        mutation = accepted(execute(site, [("add", {"text": "1"}, "one"), ("fails", {"n": 1}), ("add", {"text": {"$ref": "one.text"}})],
                                    on_error=[{"command": "add", "args": {"text": {"$ref": "error.code"}}}]))
        assert ended(database, mutation) == "error"
        ended(database, follower(database, mutation))
        assert texts(database) == ["1", "LOCK_TIMEOUT"]
        jobs = ["-c", site.writ.file, "jobs"]
        listed = harness.writ(*jobs, "--json", "list", "--dead").stdout
        assert [(item["id"], item["state"], item["attempts"]) for item in json.loads(listed)] == [(mutation, "dead", 2)]
        assert mutation in harness.writ(*jobs, "list").stdout
        assert '"fails"' in harness.writ(*jobs, "show", mutation).stdout
        database.execute("insert into note (text) values ('mended')")
        told = harness.writ(*jobs, "retry", mutation).stdout
        fresh = told.split()[-3]
        assert ended(database, fresh) == "complete"
        assert str(row(database, fresh, "retry_of")[0]) == mutation
        assert texts(database) == ["1", "LOCK_TIMEOUT", "mended", "mended", "1"]
        assert json.loads(harness.writ(*jobs, "--json", "list").stdout) == []
        assert harness.writ(*jobs, "retry", fresh, check=False).returncode == 1  # it is complete
        assert harness.writ(*jobs, "retry", mutation, check=False).returncode == 1  # two would do the rest twice
        assert database.one("select count(*) from writ.mutation where retry_of is not null and id = %s or retry_of = %s", [fresh, mutation]) == 1


@pytest.mark.parametrize("steps", [1, 2])
def test_a_retry_does_nothing_twice_that_a_program_did(apart, service, steps):
    calls = []

    def program(request):
        calls.append(request)
        assert site.inside.command("add", {"text": "inside"}, headers={"Writ-Call": request.headers["writ-call"]}).status == 200
        return (503, {}) if len(calls) < 3 else {"result": 1}

    service.at("/program", program)
    with site_with(apart, service, background={"attempts": 1}) as site:
        mutation = accepted(execute(site, [("program", {"text": "x"}), ("add", {"text": "last"})][:steps], headers={"Prefer": "respond-async"}))
        for _ in range(2):  # the retry of a retry, too
            assert ended(apart, mutation) == "error"
            mutation = harness.writ("-c", site.writ.file, "jobs", "retry", mutation).stdout.split()[-3]
        assert ended(apart, mutation) == "complete"
    assert len(calls) == 3
    assert texts(apart) == ["inside", "last"][:steps]


def test_what_waits_is_stopped_at_once_by_a_drop(apart, service):
    with site_with(apart, service) as site:
        mutation = accepted(site.client.command("fails", {"n": 1}, headers={"Prefer": "respond-async"}))
        harness.wait_until(lambda: row(apart, mutation, "attempts")[0] and row(apart, mutation, "owner")[0] is None, "a failure")
        apart.execute("update writ.mutation set due = now() + interval '1 hour' where id = %s", [mutation])
        harness.writ("-c", site.writ.file, "jobs", "drop", mutation)
        assert ended(apart, mutation) == "cancelled"


def test_a_dead_letter_is_dropped(apart, service):
    database = apart
    with site_with(database, service, background={"attempts": 1}) as site:
        mutation = accepted(site.client.command("fails", {"n": 1}, headers={"Prefer": "respond-async"}))
        assert ended(database, mutation) == "error"
        assert "dropped: 1" in harness.writ("-c", site.writ.file, "jobs", "drop", mutation).stdout
        assert json.loads(harness.writ("-c", site.writ.file, "jobs", "--json", "list").stdout) == []


# ---- programs ----

def test_a_program_is_run_again_and_its_sets_once(site, database, service):
    calls = []

    def program(request):
        calls.append(request.json)
        inside = site.inside.command("add", {"text": request.json["args"]["text"]}, headers={"Writ-Call": request.headers["writ-call"]})
        assert inside.status == 200, inside
        return (503, {}) if len(calls) == 1 else {"result": inside.result["text"]}

    service.at("/program", program)
    mutation = accepted(execute(site, [("program", {"text": "a"}, "p"), ("program", {"text": "a"}), ("add", {"text": {"$ref": "p"}})],
                                headers={"Prefer": "respond-async"}))
    assert ended(database, mutation) == "complete"
    assert [call["mutation"] for call in calls] == [mutation] * 3
    assert texts(database) == ["a", "a", "a"]  # one of each step


def test_a_long_program_keeps_its_lease(site, database, service):
    begun = []
    service.at("/program", lambda request: (begun.append(1), time.sleep(2.5), {"result": 1})[2])  # the lease is 1 s
    with site_with(database, service):  # another runner that would take it
        mutation = accepted(site.client.command("program", {"text": "x"}, headers={"Prefer": "respond-async"}))
        assert ended(database, mutation) == "complete"
    assert len(begun) == 1


def test_hooks_are_asked_and_told(apart, service):
    told = []
    service.at("/told", lambda request: told.append(request.json))
    service.at("/change", lambda request: {"args": {"text": request.json["args"]["text"].upper()}})
    with site_with(apart, service, runners=1) as site:
        mutation = accepted(execute(site, [("asked", {"text": "loud"}, "a"), ("hooked", {}), ("add", {"text": {"$ref": "a.text"}})],
                                    headers={"Prefer": "respond-async"}))
        assert ended(apart, mutation) == "complete"
        harness.wait_until(lambda: told, "the after-hook", 10 * harness.PATIENCE)
    assert texts(apart) == ["LOUD", "hooked", "LOUD"]
    assert [call["mutation"] for call in told] == [mutation] and told[0]["result"]["text"] == "hooked"


def test_runners_are_woken(apart, service):
    """Nobody waits for the poll, which is an hour here."""
    with site_with(apart, service, background={"poll_ms": 3600000}) as site:
        harness.wait_until(lambda: runners(site), "the runner")
        time.sleep(0.5)  # until its first look is over
        mutation = accepted(execute(site, [("add", {"text": "1"})], on_complete=[{"command": "add", "args": {"text": "2"}}]))
        assert ended(apart, mutation) == "complete"
        assert ended(apart, follower(apart, mutation)) == "complete"
    assert texts(apart) == ["1", "2"]


# ---- whoever dies ----

def runners(site):
    found = []
    for pid in site.writ.workers():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/comm") as comm:  # gone meanwhile
            if "backgroun" in comm.read():
                found.append(pid)
    return found


def test_a_killed_runner_is_taken_over(site, database):
    mutation = accepted(execute(site, [("add", {"text": "1"}), ("slow", {"gate": "k"}), ("add", {"text": "3"})],
                                headers={"Prefer": "respond-async"}))
    harness.wait_until(lambda: texts(database) == ["1"], "the first step")
    os.kill(runners(site)[0], signal.SIGKILL)
    database.execute("insert into gate values ('k')")
    assert ended(database, mutation) == "complete"
    assert texts(database) == ["1", "slow passed", "3"]


def test_a_paused_runner_writes_nothing_any_more(apart, service):
    database = apart
    with site_with(database, service) as one, site_with(database, service, background_runners=0) as other:
        (paused,) = runners(one)
        started = threading.Event()
        service.at("/program", lambda request: (started.set(), time.sleep(0.5), {"result": 1})[2])
        mutation = accepted(execute(one, [("program", {"text": "x"}), ("add", {"text": "2"})], headers={"Prefer": "respond-async"}))
        assert started.wait(10 * harness.PATIENCE)
        os.kill(paused, signal.SIGSTOP)
        try:
            other.writ.write(background_runners=1)
            other.writ.reload()
            assert ended(database, mutation) == "complete"
        finally:
            os.kill(paused, signal.SIGCONT)
        harness.wait_until(lambda: "end=lost" in one.writ.log(), "that the lease is lost", 10 * harness.PATIENCE)
        assert texts(database) == ["2"]


def test_a_killed_worker_is_gone_on_for(site, database):
    key = {"Idempotency-Key": "killed"}
    commands = [("add", {"text": "1"}), ("slow", {"gate": "w"}), ("add", {"text": "3"})]
    first = Later(lambda: execute(site, commands, headers=key))
    harness.wait_until(lambda: texts(database) == ["1"], "the first step")
    for pid in site.writ.workers():
        if "border" in open(f"/proc/{pid}/comm").read():
            os.kill(pid, signal.SIGKILL)
    assert first.get().status == 502
    database.execute("insert into gate values ('w')")
    harness.wait_until(lambda: len(texts(database)) == 3, "the runner's end of it", 20 * harness.PATIENCE)
    harness.wait_until(lambda: execute(site, commands, headers=key).status == 200, "the stored answer")
    assert texts(database) == ["1", "slow passed", "3"]


def test_a_stop_leaves_the_rest_to_others(apart, service):
    database = apart
    with site_with(database, service) as site:
        mutation = accepted(execute(site, [("add", {"text": "1"}), ("slow", {"gate": "s"}), ("add", {"text": "3"})],
                                    headers={"Prefer": "respond-async"}))
        harness.wait_until(lambda: texts(database) == ["1"], "the first step")
        os.kill(runners(site)[0], signal.SIGTERM)
        database.execute("insert into gate values ('s')")
        assert ended(database, mutation) == "complete"  # by the next one
        assert "end=left" in site.writ.log()
    assert texts(database) == ["1", "slow passed", "3"]


def test_what_kills_its_runners_is_given_up(apart, service):
    """A lease that ends without a word counts as an attempt."""
    database = apart
    with site_with(database, service, background={"attempts": 2}) as site:
        mutation = accepted(execute(site, [("slow", {"gate": "never"}), ("add", {"text": "2"})], headers={"Prefer": "respond-async"}))
        owners = [None]
        for _ in range(2):
            harness.wait_until(lambda: row(database, mutation, "owner")[0] not in owners, "a runner that has it", 20 * harness.PATIENCE)
            owners.append(row(database, mutation, "owner")[0])
            harness.wait_until(lambda: database.one("select count(*) from pg_stat_activity where query like '%pass(%' and pid <> pg_backend_pid() and state = 'active'"),
                               "the step", 20 * harness.PATIENCE)
            os.kill(runners(site)[0], signal.SIGKILL)
            database.execute("select pg_terminate_backend(pid) from pg_stat_activity where query like '%pass(%' and pid <> pg_backend_pid()")
        assert ended(database, mutation) == "error"
        assert row(database, mutation, "dead")[0] is True
        assert texts(database) == []


@pytest.mark.skipif(not build_with_faults(), reason="needs a build with --enable-faults")
@pytest.mark.parametrize("place", ["accepted", "mutation-step", "before-commit", "after-send", "after-commit"])
def test_death_at_a_named_place(apart, service, place):
    database = apart
    with faulty_site(database, MANIFEST.replace("SERVICE", service.url("")), **settings(workers=1)) as site:
        key = {"Idempotency-Key": f"death-at-{place}", "Prefer": "respond-async"}
        commands = [("add", {"text": str(i)}, f"a{i}") for i in range(5)]
        site.writ.die_at(place)

        def try_it():
            with contextlib.suppress(OSError):
                return execute(site, commands, headers=key, on_complete=[{"command": "add", "args": {"text": {"$ref": "a4.text"}}}]).status == 202
        harness.wait_until(try_it, "202", 20 * harness.PATIENCE)
        harness.wait_until(lambda: texts(database) == ["0", "1", "2", "3", "4", "4"], "each step once", 20 * harness.PATIENCE)


def test_nothing_is_kept_for_ever(apart, service):
    database = apart
    with site_with(database, service, background={"keep_s": 1}, idempotency_hours=1) as site:
        mutation = accepted(site.client.command("add", {"text": "x"}, headers={"Prefer": "respond-async"}))
        ended(database, mutation)
        harness.wait_until(lambda: database.one("select count(*) from writ.mutation where id = %s", [mutation]) == 0,
                           "that it is gone", 30 * harness.PATIENCE)


def test_cleaning_keeps_up(apart, service):
    """One runner ends a thousand in a second, and must be able to forget them as fast."""
    database = apart
    database.execute("""insert into writ.mutation (id, created, ended, outcome, command, args, role, request_id)
        select gen_random_uuid(), now() - interval '1 day', now() - interval '1 day', 'complete', 'add', '{}', 'x', 'x'
        from generate_series(1, 12000)""")
    with site_with(database, service, background={"keep_s": 1}):
        harness.wait_until(lambda: database.one("select count(*) from writ.mutation where command = 'add' and request_id = 'x'") == 0,
                           "that they are gone", 30 * harness.PATIENCE)


def test_a_killed_worker_in_a_keyed_program_is_gone_on_for(site, database, service):
    calls, held = [], threading.Event()

    def program(request):
        calls.append(request.json)
        inside = site.inside.command("add", {"text": "inside"}, headers={"Writ-Call": request.headers["writ-call"]})
        if len(calls) == 1:
            held.wait(20 * harness.PATIENCE)
        return {"result": inside.result["text"]}

    service.at("/program", program)
    key = {"Idempotency-Key": "program"}
    first = Later(lambda: site.client.command("program", {"text": "x"}, headers=key))
    harness.wait_until(lambda: texts(database) == ["inside"], "what it does inside")
    assert site.client.command("program", {"text": "x"}, headers=key).code == "IDEMPOTENCY_CONFLICT"
    for pid in site.writ.workers():
        if "border" in open(f"/proc/{pid}/comm").read():
            os.kill(pid, signal.SIGKILL)
    assert first.get().status == 502
    harness.wait_until(lambda: len(calls) == 2, "the runner's call", 20 * harness.PATIENCE)
    held.set()
    again = site.client.command("program", {"text": "x"}, headers=key)
    assert (again.result, again.header("Idempotent-Replay")) == ("inside", "true")
    assert texts(database) == ["inside"] and len(calls) == 2


def test_a_reducer_that_does_not_return_stops_no_runner(apart, service):
    apart.execute("create or replace function looping(state jsonb, event jsonb) returns jsonb language plpgsql stable as "
                  "$$ begin loop perform pg_sleep(0.1); end loop; end $$")
    manifest = MANIFEST.replace("SERVICE", service.url("")) + "state: { catch_all: public.looping }\n"
    with harness.Site(apart, manifest, **settings()) as site:
        for text in ("1", "2"):
            mutation = accepted(execute(site, [("add", {"text": text}), ("add", {"text": text})], headers={"Prefer": "respond-async"}))
            assert ended(apart, mutation) == "complete"
            harness.wait_until(lambda: apart.execute("select ended from writ.state where mutation = %s", [mutation])[0][0],
                               "the end of the state", 15 * harness.PATIENCE)
    assert texts(apart) == ["1", "1", "2", "2"]


REDUCERS_IN_THE_WAY = {"loops": "loop perform pg_sleep(0.1); end loop", "asserts": "assert false, 'never'"}


@pytest.mark.parametrize("body", REDUCERS_IN_THE_WAY.values(), ids=REDUCERS_IN_THE_WAY.keys())
@pytest.mark.parametrize("event", ["MUTATION_ERROR", "MUTATION_COMPLETED"])
def test_a_reducer_in_the_way_of_an_end(apart, service, event, body):
    """The mutation ends, what follows it too, and their states."""
    apart.execute("create or replace function in_the_way(state jsonb, event jsonb) returns jsonb language plpgsql stable as "
                  f"$$ begin if event ->> 'name' = '{event}' then {body}; end if; return '{{}}'; end $$")
    manifest = MANIFEST.replace("SERVICE", service.url("")) + "state: { catch_all: public.in_the_way }\n"
    with harness.Site(apart, manifest, **settings()) as site:
        mutation = accepted(execute(site, [("add", {"text": "1"}), ("check_no", {})],
                                    on_error=[{"command": "add", "args": {"text": {"$ref": "error.code"}}}]))
        assert ended(apart, mutation) == "error"
        follows = follower(apart, mutation)
        assert ended(apart, follows, 40) == "complete"
        for each, status in ((mutation, "error"), (follows, "complete")):
            harness.wait_until(lambda: apart.execute("select status from writ.state where mutation = %s", [each])[0][0] == status,
                               "the end of the state", 40 * harness.PATIENCE)
        state = site.inside.get(f"/mutation/{mutation if event == 'MUTATION_ERROR' else follows}").json
    assert texts(apart) == ["1", "NO"]
    if "assert" in body:
        assert state["events"][-1]["payload"] == {"event": event, "reason": '"public"."in_the_way": never'}


def test_the_state_has_ended_when_its_caller_is_answered(site, database):
    for last, end in (("add", "complete"), ("check_no", "error")):
        name = str(uuid.uuid4())
        commands = [("add", {"text": "1"}), ("add", {"text": "2"}), (last, {"text": "3"} if last == "add" else {})]
        answer = execute(site, commands, headers={"Idempotency-Key": name, "Mutation-Id": name})
        state = site.client.get(f"/mutation/{name}").json
        assert state["status"] == end and answer.status == (200 if end == "complete" else 409)
        assert state.get("result") == answer.json.get("results")


def test_an_end_is_told_before_the_next_is_begun(apart, service):
    """Two that are claimed together, none of them quick, and nobody who would settle the first one's state."""
    with site_with(apart, service, background_runners=0) as site:
        first, second = (accepted(site.client.command("slow", {"gate": gate}, headers={"Prefer": "respond-async"})) for gate in "ab")
    with site_with(apart, service, runners=0, background={"lease_ms": 60000}):
        harness.wait_until(lambda: row(apart, second, "owner")[0], "the claim")
        time.sleep(0.5)  # ends of what is quicker are told together
        apart.execute("insert into gate values ('a')")
        harness.wait_until(lambda: apart.execute("select status from writ.state where mutation = %s", [first])[0][0] == "complete",
                           "the end of the first one's state", 15 * harness.PATIENCE)
        assert row(apart, second, "outcome, attempts") == (None, 0)
        apart.execute("insert into gate values ('b')")
        assert ended(apart, second) == "complete"
